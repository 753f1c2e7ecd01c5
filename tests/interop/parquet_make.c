/*
 * parquet_make.c - writes a Parquet file from made-up batches and, on another path, what a reader must find in it.
 *
 *     parquet_make SEED ROWS BATCH_ROWS GROUP_ROWS CODEC PAGE_ROWS PAGE_SIZE DICTIONARY_SIZE OUT.parquet OUT.jsonl [ENCODING]
 *
 * Seed 0 is the table of edge values, one column a type; any other seed is a random nested schema with random values in
 * random encodings. The first line of OUT.jsonl is the list of columns, [name, type]; then one line a row. Each value is written there
 * before it goes into a builder: integers, dates and times as numbers, floats as the hexadecimal bits, decimals as text, bytes and
 * UUIDs as hexadecimal, lists as lists, structs as lists of their fields, maps as lists of pairs.
 */
#include "base/hash.h"
#include "codec/codecs.h"
#include "col/builder.h"
#include "ext/registry.h"
#include "format/parquet/parquet.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct file_sink {
    struct mr_byte_sink base;
    FILE *file;
};

struct maker {
    struct mr_arena arena;
    uint64_t state;
    struct mr_bytes json;
    char columns[64][32]; /* names */
};

static void die(const char *what, const struct mr_error *err)
{
    fprintf(stderr, "parquet_make: %s: %s\n", what, err->message);
    exit(1);
}

static uint64_t next(struct maker *maker)
{
    maker->state += UINT64_C(0x9E3779B97F4A7C15);
    return mr_hash_mix(maker->state);
}

static uint64_t below(struct maker *maker, uint64_t n)
{
    return next(maker) % n;
}

static enum mr_status append_file(struct mr_byte_sink *sink, const void *data, size_t size,
                                  struct mr_error *err)
{
    FILE *file = ((struct file_sink *)(void *)sink)->file;
    if (fwrite(data, 1, size, file) != size)
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL, "write");
    return MR_OK;
}

/* ---- scalars ---- */

static const int64_t int_edges[] = {0, 1, -1, INT64_MIN, INT64_MAX, 127, -128, 32767, -32768};
static const double float_edges[] = {0.0,
                                     -0.0,
                                     1.5,
                                     -1.5,
                                     INFINITY,
                                     -INFINITY,
                                     5e-324,
                                     1.7976931348623157e308,
                                     1e-40,
                                     NAN,
                                     3.4028234663852886e38};
static const char *const text_edges[] = {
    "",
    "a",
    "\xc3\xa9t\xc3\xa9",
    "\xf4\x8f\xbf\xbf",
    "quote \" and, comma\nnewline\ttab",
    "\x01\x7f",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82"
    "\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
    "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82"
    "\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac",
};

static void hex(struct mr_bytes *out, const void *data, size_t size)
{
    mr_bytes_char(out, '"');
    for (size_t i = 0; i < size; i++)
        mr_bytes_printf(out, "%02x", ((const uint8_t *)data)[i]);
    mr_bytes_char(out, '"');
}

static int64_t clamp_int(enum mr_type_id id, uint64_t seed)
{
    int64_t value = seed % 4 == 0 ? int_edges[seed / 4 % 9] : (int64_t)mr_hash_mix(seed);
    switch (id) {
    case MR_TYPE_INT8:
        return (int8_t)value;
    case MR_TYPE_INT16:
        return (int16_t)value;
    case MR_TYPE_INT32:
        return value == INT64_MIN ? INT32_MIN : value == INT64_MAX ? INT32_MAX : (int32_t)value;
    case MR_TYPE_DATE: /* years 1 to 9999 */
        return (int64_t)(mr_hash_mix(seed) % 3652059) - 719162;
    case MR_TYPE_TIME:
        return seed % 4 == 0 ? INT64_C(86399999999)
                             : (int64_t)(mr_hash_mix(seed) % UINT64_C(86400000000));
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        return (int64_t)(mr_hash_mix(seed) % UINT64_C(315537897600000000)) -
               INT64_C(62135596800000000);
    default:
        return value;
    }
}

static mr_int128 make_decimal(const struct mr_type *type, uint64_t seed)
{
    mr_int128 limit = mr_decimal_pow10(type->precision);
    if (seed % 8 == 0)
        return limit - 1;
    if (seed % 8 == 1)
        return 1 - limit;
    if (seed % 8 == 2)
        return (mr_int128)(seed / 8 % 3) - 1;
    mr_int128 value = (mr_int128)((mr_uint128)mr_hash_mix(seed) << 64 | mr_hash_mix(seed + 1));
    return value % limit;
}

static size_t make_text(char *out, size_t capacity, uint64_t seed)
{
    static const char *const parts[] = {"a",        "Zz",           "0",
                                        "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                        " "};
    if (seed % 4 == 0) {
        const char *edge = text_edges[seed / 4 % 8];
        memcpy(out, edge, strlen(edge));
        return strlen(edge);
    }
    size_t size = 0, pieces = seed % 97 == 1 ? 300 : mr_hash_mix(seed) % 12;
    for (size_t i = 0; i < pieces && size + 4 < capacity; i++) {
        const char *part = parts[mr_hash_mix(seed * 31 + i) % 7];
        memcpy(out + size, part, strlen(part));
        size += strlen(part);
    }
    return size;
}

/* The value of a seed: *text holds its bytes if it has any; its JSON goes to `json`. */
static void make_scalar(const struct mr_type *type, uint64_t seed, struct mr_value *value,
                        char text[2048], struct mr_bytes *json)
{
    char digits[MR_DECIMAL_TEXT_MAX];
    *value = (struct mr_value){.type = type};
    switch (type->id) {
    case MR_TYPE_BOOL:
        value->u.i64 = (int64_t)(seed & 1);
        mr_bytes_text(json, seed & 1 ? "true" : "false");
        break;
    case MR_TYPE_FLOAT32: {
        float f =
            (float)(seed % 2 ? (double)(int64_t)mr_hash_mix(seed) : float_edges[seed / 2 % 11]);
        value->u.f64 = (double)f;
        uint32_t bits;
        memcpy(&bits, &f, 4);
        mr_bytes_printf(json, "\"%08" PRIx32 "\"", isnan(f) ? UINT32_C(0x7fc00000) : bits);
        break;
    }
    case MR_TYPE_FLOAT64: {
        value->u.f64 =
            seed % 2 ? (double)(int64_t)mr_hash_mix(seed) / 1e9 : float_edges[seed / 2 % 11];
        uint64_t bits;
        memcpy(&bits, &value->u.f64, 8);
        mr_bytes_printf(json, "\"%016" PRIx64 "\"",
                        isnan(value->u.f64) ? UINT64_C(0x7ff8000000000000) : bits);
        break;
    }
    case MR_TYPE_DECIMAL:
        value->u.i128 = make_decimal(type, seed);
        mr_decimal_format(value->u.i128, type->scale, digits);
        mr_bytes_printf(json, "\"%s\"", digits);
        break;
    case MR_TYPE_INTERVAL:
        value->u.interval = (struct mr_interval){(int32_t)mr_hash_mix(seed), (int32_t)seed - 5,
                                                 (int64_t)mr_hash_mix(seed + 9)};
        mr_bytes_printf(json, "[%" PRId32 ",%" PRId32 ",%" PRId64 "]", value->u.interval.months,
                        value->u.interval.days, value->u.interval.micros);
        break;
    case MR_TYPE_STRING:
        value->u.bytes = (struct mr_slice){text, make_text(text, 2048, seed)};
        mr_bytes_json_string(json, text, value->u.bytes.size);
        break;
    case MR_TYPE_JSON:
        value->u.bytes =
            (struct mr_slice){text, (size_t)snprintf(text, 64, "{\"k\": %d}", (int)(seed % 1000))};
        mr_bytes_json_string(json, text, value->u.bytes.size);
        break;
    case MR_TYPE_BINARY:
        value->u.bytes = (struct mr_slice){text, seed % 3 == 0 ? 100 : seed % 20};
        memset(text, seed % 5 == 0 ? 0xff : (int)(seed * 7), 128);
        hex(json, text, value->u.bytes.size);
        break;
    case MR_TYPE_UUID:
        for (size_t i = 0; i < 16; i++)
            value->u.uuid[i] = (uint8_t)mr_hash_mix(seed * 16 + i);
        hex(json, value->u.uuid, 16);
        break;
    default:
        value->u.i64 = clamp_int(type->id, seed);
        mr_bytes_printf(json, "%" PRId64, value->u.i64);
        break;
    }
}

/* ---- columns ---- */

/* How the values of one (sub)column come about. */
struct style {
    uint64_t salt;
    uint64_t distinct;
    int null_percent;
};

static void check(enum mr_status status, const struct mr_error *err)
{
    if (status != MR_OK)
        die("build", err);
}

static void make_value(struct maker *maker, struct mr_builder *builder, bool nullable,
                       const struct style *style)
{
    struct mr_error err;
    const struct mr_type *type = builder->type;
    if (type->id == MR_TYPE_NULL || (nullable && (int)below(maker, 100) < style->null_percent)) {
        check(mr_builder_null(builder, &err), &err);
        mr_bytes_text(&maker->json, "null");
        return;
    }
    if (type->id == MR_TYPE_STRUCT) {
        for (int i = 0; i < type->nfields; i++) {
            mr_bytes_char(&maker->json, i == 0 ? '[' : ',');
            make_value(maker, &builder->children[i], type->fields[i].nullable, style);
        }
        mr_bytes_char(&maker->json, ']');
        check(mr_builder_struct(builder, &err), &err);
        return;
    }
    if (type->id == MR_TYPE_LIST || type->id == MR_TYPE_MAP) {
        uint64_t n = below(maker, 5);
        if (n == 4)
            n = below(maker, 40);
        mr_bytes_char(&maker->json, '[');
        for (uint64_t i = 0; i < n; i++) {
            struct mr_builder *child = &builder->children[0];
            if (i > 0)
                mr_bytes_char(&maker->json, ',');
            if (type->id == MR_TYPE_LIST) {
                make_value(maker, child, type->fields[0].nullable, style);
                continue;
            }
            mr_bytes_char(&maker->json, '[');
            make_value(maker, &child->children[0], false, style);
            mr_bytes_char(&maker->json, ',');
            make_value(maker, &child->children[1], type->fields[1].nullable, style);
            mr_bytes_char(&maker->json, ']');
            check(mr_builder_struct(child, &err), &err);
        }
        mr_bytes_char(&maker->json, ']');
        check(mr_builder_list(builder, &err), &err);
        return;
    }
    char text[2048];
    struct mr_value value;
    make_scalar(type, style->salt + below(maker, style->distinct), &value, text, &maker->json);
    check(mr_builder_value(builder, &value, &err), &err);
}

static struct mr_column *make_dictionary(struct maker *maker, const struct mr_field *field,
                                         const struct style *style, int64_t rows,
                                         struct mr_bytes *cells)
{
    struct mr_error err;
    struct mr_builder values, codes;
    struct mr_column *dictionary, *flat, *out;
    struct mr_bytes entries[8];
    int n = 1 + (int)below(maker, 8);
    check(mr_builder_init(&values, NULL, field->type, &err), &err);
    check(mr_builder_init(&codes, NULL, mr_type_of(MR_TYPE_INT32), &err), &err);
    for (int i = 0; i < n; i++) {
        mr_bytes_init(&entries[i], 1 << 20);
        mr_bytes_clear(&maker->json);
        make_value(maker, &values, false, style);
        mr_bytes_append(&entries[i], maker->json.data, maker->json.size);
    }
    for (int64_t i = 0; i < rows; i++) {
        int code = (int)below(maker, (uint64_t)n);
        bool null = field->nullable && (int)below(maker, 100) < style->null_percent;
        check(null ? mr_builder_null(&codes, &err) : mr_builder_int(&codes, code, &err), &err);
        mr_bytes_append(&cells[i], null ? "null" : entries[code].data,
                        null ? 4 : entries[code].size);
    }
    check(mr_builder_finish(&values, &dictionary, &err), &err);
    check(mr_builder_finish(&codes, &flat, &err), &err);
    struct mr_buffer *validity = flat->validity ? mr_buffer_ref(flat->validity) : NULL;
    check(mr_column_new_dictionary(dictionary, rows, flat->nulls, validity,
                                   mr_buffer_ref(flat->values), &out, &err),
          &err);
    mr_column_unref(flat);
    mr_builder_reset(&values);
    mr_builder_reset(&codes);
    for (int i = 0; i < n; i++)
        mr_bytes_reset(&entries[i]);
    return out;
}

static struct mr_column *make_constant(struct maker *maker, const struct mr_field *field,
                                       const struct style *style, int64_t rows,
                                       struct mr_bytes *cells)
{
    struct mr_error err;
    struct mr_builder builder;
    struct mr_column *one, *out;
    struct mr_value value;
    check(mr_builder_init(&builder, NULL, field->type, &err), &err);
    mr_bytes_clear(&maker->json);
    make_value(maker, &builder, field->nullable, style);
    check(mr_builder_finish(&builder, &one, &err), &err);
    mr_builder_reset(&builder);
    mr_column_get(one, 0, &value);
    for (int64_t i = 0; i < rows; i++)
        mr_bytes_append(&cells[i], maker->json.data, maker->json.size);
    check(mr_column_new_constant(NULL, field->type, &value, rows, &out, &err), &err);
    mr_column_unref(one);
    return out;
}

static struct mr_column *make_column(struct maker *maker, const struct mr_field *field,
                                     const struct style *style, int64_t rows, bool encodings,
                                     struct mr_bytes *cells)
{
    struct mr_error err;
    bool typed = field->type->id != MR_TYPE_NULL;
    uint64_t pick = below(maker, 4);
    if (encodings && typed && pick == 0)
        return make_dictionary(maker, field, style, rows, cells);
    if (encodings && typed && pick == 1)
        return make_constant(maker, field, style, rows, cells);
    struct mr_builder builder;
    struct mr_column *out;
    check(mr_builder_init(&builder, NULL, field->type, &err), &err);
    for (int64_t i = 0; i < rows; i++) {
        mr_bytes_clear(&maker->json);
        make_value(maker, &builder, field->nullable, style);
        mr_bytes_append(&cells[i], maker->json.data, maker->json.size);
    }
    check(mr_builder_finish(&builder, &out, &err), &err);
    mr_builder_reset(&builder);
    return out;
}

/* ---- schemas ---- */

static const struct mr_type *random_type(struct maker *maker, int depth)
{
    static const enum mr_type_id ids[] = {
        MR_TYPE_NULL,   MR_TYPE_BOOL,    MR_TYPE_INT8,      MR_TYPE_INT16,         MR_TYPE_INT32,
        MR_TYPE_INT64,  MR_TYPE_FLOAT32, MR_TYPE_FLOAT64,   MR_TYPE_DATE,          MR_TYPE_TIME,
        MR_TYPE_STRING, MR_TYPE_BINARY,  MR_TYPE_TIMESTAMP, MR_TYPE_TIMESTAMP_NTZ, MR_TYPE_INTERVAL,
        MR_TYPE_JSON,   MR_TYPE_UUID,    MR_TYPE_STRING};
    uint64_t pick = below(maker, depth >= 4 ? 20 : 32);
    if (pick < 18)
        return mr_type_of(ids[pick]);
    if (pick < 20) {
        int precision = 1 + (int)below(maker, 38);
        return mr_type_decimal(&maker->arena, precision,
                               (int)below(maker, (uint64_t)precision + 1));
    }
    if (pick < 25)
        return mr_type_list(&maker->arena, random_type(maker, depth + 1), below(maker, 3) != 0);
    if (pick < 28) {
        const struct mr_type *key = mr_type_of(below(maker, 2) ? MR_TYPE_STRING : MR_TYPE_INT32);
        return mr_type_map(&maker->arena, key, random_type(maker, depth + 1), below(maker, 3) != 0);
    }
    struct mr_field fields[4];
    int n = 1 + (int)below(maker, 4);
    static const char *const names[] = {"a", "b", "c", "d"};
    for (int i = 0; i < n; i++)
        fields[i] = (struct mr_field){.name = names[i],
                                      .type = random_type(maker, depth + 1),
                                      .nullable = below(maker, 3) != 0};
    return mr_type_struct(&maker->arena, fields, n);
}

/* NULLs cannot be kept out of a column of the NULL type. */
static bool may_be_required(const struct mr_type *type)
{
    if (type->id == MR_TYPE_NULL)
        return false;
    for (int i = 0; i < type->nfields; i++)
        if (!may_be_required(type->fields[i].type))
            return false;
    return true;
}

static const struct mr_schema *random_schema(struct maker *maker)
{
    struct mr_field fields[64];
    int n = 0, wanted = 1 + (int)below(maker, 8);
    while (n < wanted) {
        const struct mr_type *type = random_type(maker, 0);
        if (mr_type_is_nested(type) && !may_be_required(type))
            continue;
        snprintf(maker->columns[n], sizeof maker->columns[n], "c%d", n);
        fields[n] = (struct mr_field){.name = maker->columns[n],
                                      .type = type,
                                      .nullable = type->id == MR_TYPE_NULL || below(maker, 4) != 0};
        n++;
    }
    return mr_schema_new(&maker->arena, fields, n);
}

static const struct mr_schema *edge_schema(struct maker *maker)
{
    static const int precisions[] = {1, 4, 9, 10, 18, 19, 20, 28, 37, 38};
    struct mr_field fields[64];
    int n = 0;
    for (int id = MR_TYPE_NULL; id <= MR_TYPE_UUID; id++) {
        if (id == MR_TYPE_DECIMAL)
            continue;
        fields[n++] = (struct mr_field){.type = mr_type_of((enum mr_type_id)id), .nullable = true};
    }
    for (int i = 0; i < 10; i++)
        for (int scaled = 0; scaled < 2; scaled++)
            fields[n++] = (struct mr_field){.type = mr_type_decimal(&maker->arena, precisions[i],
                                                                    scaled ? precisions[i] / 2 : 0),
                                            .nullable = true};
    for (int i = 0; i < n; i++) {
        snprintf(maker->columns[i], sizeof maker->columns[i], "c%d", i);
        fields[i].name = maker->columns[i];
    }
    return mr_schema_new(&maker->arena, fields, n);
}

static void type_json(const struct mr_type *type, struct mr_bytes *out)
{
    char text[256];
    if (!mr_type_is_nested(type)) {
        mr_bytes_printf(out, "\"%s\"", mr_type_text(type, text, sizeof text));
        return;
    }
    mr_bytes_printf(out, "[\"%s\"",
                    type->id == MR_TYPE_LIST  ? "list"
                    : type->id == MR_TYPE_MAP ? "map"
                                              : "struct");
    for (int i = 0; i < type->nfields; i++) {
        mr_bytes_char(out, ',');
        type_json(type->fields[i].type, out);
    }
    mr_bytes_char(out, ']');
}

static void write_schema(const struct mr_schema *schema, struct mr_bytes *out)
{
    for (int i = 0; i < schema->nfields; i++) {
        mr_bytes_printf(out, "%s[\"%s\",", i == 0 ? "[" : ",", schema->fields[i].name);
        type_json(schema->fields[i].type, out);
        mr_bytes_char(out, ']');
    }
    mr_bytes_text(out, "]\n");
}

/* ---- the file ---- */

static void write_batch(struct maker *maker, const struct mr_schema *schema,
                        const struct style *styles, int64_t rows, bool encodings, void *writer,
                        FILE *expected)
{
    struct mr_error err;
    struct mr_column *columns[64];
    struct mr_batch *batch;
    struct mr_bytes *cells = mr_calloc((size_t)rows, sizeof *cells);
    for (int64_t i = 0; i < rows; i++)
        mr_bytes_init(&cells[i], MR_BYTES_DEFAULT_MAXIMUM);
    for (int c = 0; c < schema->nfields; c++) {
        for (int64_t i = 0; i < rows; i++)
            mr_bytes_char(&cells[i], c == 0 ? '[' : ',');
        columns[c] = make_column(maker, &schema->fields[c], &styles[c], rows, encodings, cells);
        check(mr_column_check(columns[c], &err), &err);
    }
    for (int64_t i = 0; i < rows; i++) {
        fprintf(expected, "%s]\n", cells[i].data);
        mr_bytes_reset(&cells[i]);
    }
    mr_free(cells);
    check(mr_batch_new(schema, rows, columns, &batch, &err), &err);
    check(mr_format_parquet.write(writer, batch, &err), &err);
    mr_batch_unref(batch);
}

static void random_styles(struct maker *maker, bool edges, struct style *styles, int n)
{
    static const uint64_t distinct[] = {1, 2, 5, 100, 3000, UINT64_MAX};
    static const int percents[] = {0, 1, 10, 50, 100};
    for (int i = 0; i < n; i++)
        styles[i] =
            (struct style){edges ? 0 : next(maker) >> 1, edges ? 500 : distinct[below(maker, 6)],
                           edges ? 10 : percents[below(maker, 5)]};
}

int main(int argc, char **argv)
{
    static const struct mr_codec *const codecs[] = {&mr_codec_snappy, &mr_codec_zstd,
                                                    &mr_codec_gzip, &mr_codec_lz4, NULL};
    if (argc != 11 && argc != 12)
        return 2;
    struct mr_error err;
    struct maker maker = {.state = strtoull(argv[1], NULL, 10)};
    bool edges = maker.state == 0;
    int64_t rows = atoll(argv[2]), batch_rows = atoll(argv[3]);
    mr_arena_init(&maker.arena, NULL);
    mr_bytes_init(&maker.json, MR_BYTES_DEFAULT_MAXIMUM);
    const struct mr_schema *schema = edges ? edge_schema(&maker) : random_schema(&maker);
    struct mr_memory memory;
    mr_memory_init(&memory, NULL, "test", INT64_MAX);
    struct mr_registry registry = {.codecs = codecs};
    struct mr_runtime runtime = {.memory = &memory, .registry = &registry};
    const struct mr_options *options;
    const char *pairs[] = {"pageRows",
                           argv[6],
                           "pageSize",
                           argv[7],
                           "dictionarySize",
                           argv[8],
                           "encoding",
                           argc > 11 ? argv[11] : "auto",
                           NULL};
    check(mr_options_from_texts(&maker.arena, mr_format_parquet.options, pairs, &options, &err),
          &err);
    struct mr_format_write write = {.schema = schema,
                                    .compression = argv[5],
                                    .level = INT_MIN,
                                    .row_group_rows = atoll(argv[4]),
                                    .options = options,
                                    .runtime = &runtime};
    struct file_sink sink = {.base = {append_file}, .file = fopen(argv[9], "wb")};
    FILE *expected = fopen(argv[10], "wb");
    void *writer = NULL;
    if (sink.file == NULL || expected == NULL)
        return 1;
    write_schema(schema, &maker.json);
    fwrite(maker.json.data, 1, maker.json.size, expected);
    check(mr_format_parquet.write_open(&write, &sink.base, &writer, &err), &err);
    struct style styles[64];
    random_styles(&maker, edges, styles, schema->nfields);
    for (int64_t done = 0; done < rows;) {
        int64_t now = 1 + (int64_t)below(&maker, (uint64_t)batch_rows * 2 - 1);
        now = now < rows - done ? now : rows - done;
        write_batch(&maker, schema, styles, now, !edges, writer, expected);
        done += now;
    }
    struct mr_file_statistics statistics;
    check(mr_format_parquet.write_finish(writer, &statistics, &err), &err);
    if (statistics.rows != rows || statistics.bytes != ftell(sink.file))
        return 1;
    mr_format_parquet.write_close(writer);
    fclose(sink.file);
    fclose(expected);
    mr_bytes_reset(&maker.json);
    mr_arena_reset(&maker.arena);
    if (mr_memory_used(&memory) != 0) {
        fprintf(stderr, "parquet_make: %lld bytes are still charged\n",
                (long long)mr_memory_used(&memory));
        return 1;
    }
    return 0;
}
