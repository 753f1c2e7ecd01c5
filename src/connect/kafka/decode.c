/*
 * decode.c - values of records into rows: Avro with a schema of its own for each record, CSV with one record a value.
 *
 * A framed value names its writer's schema by number. What a reader has met is kept with it: the plan from that schema to the columns, or
 * why there is none. All decoders append to the same rows, so records of many schemas in any order make one batch; a decoder with columns of its
 * own would end a batch at every change.
 *
 * An id that the registry does not know, and a schema that cannot be resolved to the columns, are faults of the record, subject to `onError`; a
 * registry that does not answer is an error of the run.
 */
#include "connect/kafka/decode.h"

#include "base/text.h"
#include "enc/avro_decode.h"
#include "enc/avro_type.h"
#include "enc/csv_decode.h"

#include <jansson.h>
#include <stdio.h>

/* Ids without a schema that are remembered; further ones are asked for each time. */
#define UNKNOWN_MOST 1000

/* --- options --- */

static enum mr_status one_character(const struct mr_options *options, const char *name, char *out,
                                    struct mr_error *err)
{
    const char *text = mr_options_text(options, name);
    if (text != NULL && strcmp(text, "\\t") == 0)
        text = "\t";
    if (text == NULL || strlen(text) != 1)
        return mr_options_error(options, name, err, "one ASCII character is wanted");
    *out = *text;
    return MR_OK;
}

static enum mr_status read_dialect(struct mr_csv_dialect *dialect, const struct mr_options *options,
                                   struct mr_error *err)
{
    struct mr_error cause = {0};
    MR_TRY(one_character(options, "delimiter", &dialect->delimiter, err));
    MR_TRY(one_character(options, "quote", &dialect->quote, err));
    dialect->escape = dialect->quote;
    if (mr_options_get(options, "escape")->by_user)
        MR_TRY(one_character(options, "escape", &dialect->escape, err));
    dialect->null_value = mr_options_text(options, "nullValue");
    if (dialect->null_value == NULL)
        dialect->null_value = "";
    if (mr_csv_dialect_check(dialect, &cause) == MR_OK)
        return MR_OK;
    return mr_options_error(options, "delimiter", err, "%s", cause.message);
}

/* Options of other formats say something that would not happen. */
static enum mr_status refuse_strangers(const struct mr_options *options, enum kafka_format format,
                                       struct mr_error *err)
{
    static const char *const of_csv[] = {"delimiter", "quote", "escape", "nullValue", NULL};
    static const char *const of_avro[] = {"schemaRegistry", NULL};
    const struct {
        enum kafka_format format;
        const char *name;
        const char *const *options;
    } strangers[] = {{KAFKA_CSV, "csv", of_csv}, {KAFKA_AVRO, "avro", of_avro}};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++)
        for (int k = 0; strangers[i].format != format && strangers[i].options[k] != NULL; k++)
            if (mr_options_get(options, strangers[i].options[k])->by_user)
                return mr_options_error(options, strangers[i].options[k], err,
                                        "only used with format %s", strangers[i].name);
    return MR_OK;
}

/* `schema` is kept as JSON: a string of it without its quotes, all else as it stands. */
static enum mr_status schema_text(const struct mr_options *options, struct mr_arena *arena,
                                  const char **out, struct mr_error *err)
{
    const char *text = mr_options_text(options, "schema");
    *out = text;
    if (text == NULL || text[0] != '"')
        return MR_OK;
    json_t *string = json_loads(text, JSON_DECODE_ANY, NULL);
    *out = string != NULL ? mr_arena_strdup(arena, json_string_value(string)) : text;
    json_decref(string);
    return *out != NULL ? MR_OK : mr_error_nomem(err);
}

static bool is_avro(const char *text)
{
    size_t size = strlen(text);
    char first = text[strspn(text, " \t\r\n")];
    return first == '{' || first == '[' || (size > 5 && strcmp(text + size - 5, ".avsc") == 0);
}

/* One name for two columns: a key of JSON would be both, and what is loaded could not be told apart. */
static enum mr_status check_names(const struct mr_schema *schema, const struct mr_options *options,
                                  struct mr_error *err)
{
    if (schema->nfields == 0)
        return mr_options_error(options, "schema", err, "no column is named");
    for (int i = 0; i < schema->nfields; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(schema->fields[i].name, schema->fields[k].name) == 0)
                return mr_options_error(options, "schema", err, "the column \"%.80s\" comes twice",
                                        schema->fields[i].name);
    return MR_OK;
}

static enum mr_status read_columns(struct kafka_shape *shape, const struct mr_options *options,
                                   const char *text, const char *directory, struct mr_arena *arena,
                                   struct mr_error *err)
{
    struct mr_error cause = {0};
    enum mr_status status;
    if (!is_avro(text)) {
        status = mr_schema_parse(arena, text, &shape->columns, &cause);
    } else if (shape->format != KAFKA_AVRO) {
        return mr_options_error(options, "schema", err,
                                "a schema of Avro needs format avro; else write columns, as \"id "
                                "BIGINT, at TIMESTAMP\"");
    } else {
        status = mr_avro_load(arena, text, directory, &shape->reader, &cause);
        if (status == MR_OK)
            status = mr_avro_columns(arena, shape->reader->root, &shape->columns, &cause);
    }
    if (status == MR_NOMEM)
        return mr_error_nomem(err);
    return status == MR_OK ? check_names(shape->columns, options, err)
                           : mr_options_error(options, "schema", err, "%s", cause.message);
}

enum mr_status kafka_shape_read(struct kafka_shape *shape, const struct mr_options *options,
                                const char *directory, struct mr_arena *arena, struct mr_error *err)
{
    const char *text;
    *shape = (struct kafka_shape){0};
    shape->format = (enum kafka_format)mr_options_integer(options, "format", KAFKA_RAW);
    MR_TRY(refuse_strangers(options, shape->format, err));
    MR_TRY(schema_text(options, arena, &text, err));
    if (shape->format == KAFKA_AVRO)
        MR_TRY(kafka_registry_open(options, MR_SOURCE, arena, &shape->registry, err));
    if (shape->format == KAFKA_CSV)
        MR_TRY(read_dialect(&shape->csv, options, err));
    if (shape->format == KAFKA_RAW)
        return text == NULL ? MR_OK
                            : mr_options_error(options, "schema", err,
                                               "`schema` needs format json, avro or csv");
    if (text != NULL)
        MR_TRY(read_columns(shape, options, text, directory, arena, err));
    else if (shape->registry == NULL)
        return mr_options_error(options, "format", err, "format %s needs `schema`%s",
                                mr_options_text(options, "format"),
                                shape->format == KAFKA_AVRO ? " or `schemaRegistry`" : "");
    if (shape->format == KAFKA_AVRO && shape->registry == NULL && shape->reader == NULL)
        return mr_options_error(options, "schema", err,
                                "without `schemaRegistry` the schema of Avro values is wanted, as "
                                "JSON: columns alone do not say how they were written");
    return MR_OK;
}

enum mr_status kafka_shape_ask(struct kafka_shape *shape, struct mr_runtime *runtime,
                               const char *topic, struct mr_arena *arena, struct mr_error *err)
{
    const struct kafka_registered *latest;
    if (shape->columns != NULL || shape->registry == NULL)
        return MR_OK;
    if (topic == NULL) {
        mr_error_config(err, "`schema` is needed: the registry has one for each topic, and there "
                             "are several");
        return MR_CONFIG;
    }
    char *subject = mr_arena_printf(arena, "%s-value", topic);
    if (subject == NULL)
        return mr_error_nomem(err);
    MR_TRY(kafka_registry_latest(shape->registry, runtime, subject, &latest, err));
    shape->reader = latest->document;
    return mr_avro_columns(arena, shape->reader->root, &shape->columns, err);
}

/* --- Avro --- */

/* A schema that was met. */
struct met {
    struct met *next;
    int32_t id;
    struct mr_avro_decoder *decoder; /* NULL: it cannot be read, and why */
    const char *why;
};

struct kafka_avro {
    const struct kafka_shape *shape;
    struct mr_runtime *runtime;
    struct mr_rows *rows;
    struct mr_arena arena;
    struct met *met;  /* the one met last first */
    struct met plain; /* of values without frames */
    int unknown;
};

/* Makes the decoder, or notes why there is none. */
static enum mr_status resolve(struct kafka_avro *avro, const struct mr_avro_document *writer,
                              struct met *met, struct mr_error *err)
{
    const struct mr_avro_plan *plan;
    struct mr_error cause = {0};
    struct mr_avro_resolution resolution = {.writer = writer,
                                            .reader = avro->shape->reader,
                                            .columns = avro->rows->schema};
    enum mr_status status = mr_avro_resolve(&avro->arena, &resolution, &plan, &cause);
    if (status == MR_OK)
        return mr_avro_decoder_onto(plan, avro->rows, &met->decoder, err);
    if (status == MR_NOMEM)
        return mr_error_nomem(err);
    met->why = mr_arena_printf(&avro->arena, "schema %ld: %s", (long)met->id, cause.message);
    return met->why != NULL ? MR_OK : mr_error_nomem(err);
}

enum mr_status kafka_avro_new(const struct kafka_shape *shape, struct mr_runtime *runtime,
                              struct mr_rows *rows, struct kafka_avro **out, struct mr_error *err)
{
    struct kafka_avro *avro = mr_calloc(1, sizeof *avro);
    *out = NULL;
    if (avro == NULL)
        return mr_error_nomem(err);
    avro->shape = shape;
    avro->runtime = runtime;
    avro->rows = rows;
    mr_arena_init(&avro->arena, runtime->memory);
    enum mr_status status = MR_OK;
    if (shape->registry == NULL)
        status = resolve(avro, shape->reader, &avro->plain, err);
    if (status != MR_OK) {
        kafka_avro_free(avro);
        return status;
    }
    *out = avro;
    return MR_OK;
}

void kafka_avro_free(struct kafka_avro *avro)
{
    if (avro == NULL)
        return;
    for (struct met *met = avro->met; met != NULL; met = met->next)
        mr_avro_decoder_free(met->decoder);
    mr_avro_decoder_free(avro->plain.decoder);
    mr_arena_reset(&avro->arena);
    mr_free(avro);
}

/* The first record with this id. */
static enum mr_status meet(struct kafka_avro *avro, int32_t id, struct met **out,
                           struct mr_row_fault *fault, struct mr_error *err)
{
    const struct kafka_registered *registered;
    struct mr_error cause = {0};
    enum mr_status status =
        kafka_registry_schema(avro->shape->registry, avro->runtime, id, &registered, &cause);
    bool unknown = status != MR_OK && cause.cls == MR_CLASS_DATA;
    *out = NULL;
    if (status != MR_OK && !unknown) {
        if (err != NULL)
            *err = cause;
        return status;
    }
    if (unknown && avro->unknown++ >= UNKNOWN_MOST) {
        mr_row_fault_set(fault, NULL, "%s", cause.message);
        return MR_OK;
    }
    struct met *met = mr_arena_calloc(&avro->arena, 1, sizeof *met);
    if (met == NULL)
        return mr_error_nomem(err);
    met->id = id;
    if (!unknown)
        MR_TRY(resolve(avro, registered->document, met, err));
    else if ((met->why = mr_arena_strdup(&avro->arena, cause.message)) == NULL)
        return mr_error_nomem(err);
    met->next = avro->met;
    avro->met = *out = met;
    return MR_OK;
}

/* Among those met, to the front of them. */
static struct met *find_met(struct kafka_avro *avro, int32_t id)
{
    for (struct met **at = &avro->met; *at != NULL; at = &(*at)->next) {
        struct met *met = *at;
        if (met->id != id)
            continue;
        *at = met->next;
        met->next = avro->met;
        avro->met = met;
        return met;
    }
    return NULL;
}

static enum mr_status take_frame(struct kafka_avro *avro, struct mr_slice *value, struct met **out,
                                 struct mr_row_fault *fault, struct mr_error *err)
{
    const uint8_t *at = (const uint8_t *)value->data;
    *out = NULL;
    if (value->size < KAFKA_FRAME_BYTES || at[0] != 0) {
        mr_row_fault_set(fault, NULL,
                         "it does not begin with the number of a schema (a 0, and four bytes)");
        return MR_OK;
    }
    uint32_t id = (uint32_t)at[1] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 8 | at[4];
    *value = (struct mr_slice){value->data + KAFKA_FRAME_BYTES, value->size - KAFKA_FRAME_BYTES};
    if (id > INT32_MAX) {
        mr_row_fault_set(fault, NULL, "%lu is no number of a schema", (unsigned long)id);
        return MR_OK;
    }
    *out = find_met(avro, (int32_t)id);
    return *out != NULL ? MR_OK : meet(avro, (int32_t)id, out, fault, err);
}

enum mr_status kafka_avro_decode(struct kafka_avro *avro, struct mr_slice value,
                                 struct mr_row_fault *fault, struct mr_error *err)
{
    struct met *met = &avro->plain;
    fault->found = false;
    if (avro->shape->registry != NULL)
        MR_TRY(take_frame(avro, &value, &met, fault, err));
    if (fault->found)
        return MR_OK;
    if (met->decoder != NULL)
        return mr_avro_decode_row(met->decoder, value, fault, err);
    mr_row_fault_set(fault, NULL, "%s", met->why);
    return MR_OK;
}

/* --- CSV --- */

struct kafka_csv {
    struct mr_csv_scanner scanner;
    struct mr_csv_decoder *decoder;
    struct mr_rows *rows;
};

enum mr_status kafka_csv_new(const struct kafka_shape *shape, const int *places,
                             const struct mr_tz *tz, struct mr_rows *rows, struct kafka_csv **out,
                             struct mr_error *err)
{
    struct kafka_csv *csv = mr_calloc(1, sizeof *csv);
    int cells = shape->columns->nfields;
    *out = NULL;
    if (csv == NULL)
        return mr_error_nomem(err);
    csv->rows = rows;
    enum mr_status status = mr_csv_scanner_init(&csv->scanner, &shape->csv, false, cells, err);
    if (status != MR_OK) {
        mr_free(csv);
        return status;
    }
    status = mr_csv_decoder_new(rows->schema, places, cells, tz, rows->memory, &csv->decoder, err);
    if (status != MR_OK) {
        kafka_csv_free(csv);
        return status;
    }
    *out = csv;
    return MR_OK;
}

void kafka_csv_free(struct kafka_csv *csv)
{
    if (csv == NULL)
        return;
    mr_csv_scanner_reset(&csv->scanner);
    mr_csv_decoder_free(csv->decoder);
    mr_free(csv);
}

enum mr_status kafka_csv_decode(struct kafka_csv *csv, struct mr_slice value,
                                struct mr_row_fault *fault, struct mr_error *err)
{
    struct mr_csv_scanner *scanner = &csv->scanner;
    const char *end = value.data + value.size;
    fault->found = false;
    mr_csv_scanner_set(scanner, value.data, value.size, true);
    enum mr_csv_found found = mr_csv_scan(scanner);
    if (found != MR_CSV_RECORD) {
        mr_row_fault_set(fault, NULL, "%s",
                         found == MR_CSV_BAD ? scanner->reason : "an empty value");
        return MR_OK;
    }
    for (const char *at = scanner->record_end; at < end; at++)
        if (*at != '\r' && *at != '\n') {
            mr_row_fault_set(fault, NULL, "more than one line of CSV");
            return MR_OK;
        }
    return mr_csv_decode(csv->decoder, scanner, false, csv->rows, fault, err);
}
