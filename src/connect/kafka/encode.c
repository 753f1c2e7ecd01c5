/*
 * encode.c - rows as records: key, value, headers, partition, time.
 *
 * Values are made a few hundred rows at a time into one buffer that is used again, and librdkafka copies each into its queue. A value column of
 * text or bytes is handed over as it lies in the batch. JSON is that of JSON files (enc/json_text.h), where a line break only
 * ever ends a row, so that rows are found again by looking for it.
 */
#include "connect/kafka/sink.h"

#include "enc/avro_encode.h"
#include "enc/avro_type.h"
#include "enc/json_text.h"
#include "enc/value_text.h"

#define CHUNK_ROWS  256
#define VALUE_BYTES ((size_t)1 << 30)

/* --- bind --- */

static enum mr_status find_column(const struct mr_options *options, const char *name,
                                  const struct mr_schema *schema, int *out, struct mr_error *err)
{
    const char *column = mr_options_text(options, name);
    *out = -1;
    if (column == NULL || schema == NULL)
        return MR_OK;
    *out = mr_schema_find(schema, column);
    return *out >= 0 ? MR_OK
                     : mr_options_error(options, name, err, "there is no column \"%s\"", column);
}

static bool is_bytes(const struct mr_type *type)
{
    return type->id == MR_TYPE_STRING || type->id == MR_TYPE_BINARY || type->id == MR_TYPE_JSON;
}

/* list<struct<key string, value binary>>, as fromKafka has it, or map<string, string or binary>. */
static bool is_headers(const struct mr_type *type)
{
    const struct mr_type *pair = type;
    if (type->id == MR_TYPE_LIST)
        pair = type->fields[0].type;
    else if (type->id != MR_TYPE_MAP)
        return false;
    if (type->id == MR_TYPE_LIST && pair->id != MR_TYPE_STRUCT)
        return false;
    return pair->nfields == 2 && pair->fields[0].type->id == MR_TYPE_STRING &&
           is_bytes(pair->fields[1].type);
}

static enum mr_status wrong(const struct mr_options *options, const char *name,
                            const struct mr_type *type, const char *wanted, struct mr_error *err)
{
    char text[128];
    return mr_options_error(options, name, err, "a column of type %s; wanted is %s",
                            mr_type_text(type, text, sizeof text), wanted);
}

static enum mr_status check_types(const struct mr_options *options, const struct mr_schema *schema,
                                  const struct kafka_columns *columns, struct mr_error *err)
{
    const struct mr_field *fields = schema->fields;
    if (columns->headers >= 0 && !is_headers(fields[columns->headers].type))
        return wrong(options, "headers", fields[columns->headers].type,
                     "array<struct<key:string,value:binary>> or map<string,string>", err);
    if (columns->partition >= 0 && !mr_type_is_integer(fields[columns->partition].type))
        return wrong(options, "partition", fields[columns->partition].type, "an integer", err);
    if (columns->topic >= 0 && fields[columns->topic].type->id != MR_TYPE_STRING)
        return wrong(options, "topicColumn", fields[columns->topic].type, "string", err);
    if (columns->timestamp >= 0 && fields[columns->timestamp].type->id != MR_TYPE_TIMESTAMP &&
        fields[columns->timestamp].type->id != MR_TYPE_TIMESTAMP_NTZ)
        return wrong(options, "timestamp", fields[columns->timestamp].type, "timestamp", err);
    return MR_OK;
}

/* All columns but those that say where and when. */
static enum mr_status choose_payload(struct kafka_columns *columns, const struct mr_schema *schema,
                                     struct mr_arena *arena, struct mr_error *err)
{
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)schema->nfields + 1, sizeof *fields);
    columns->from = mr_arena_calloc(arena, (size_t)schema->nfields + 1, sizeof *columns->from);
    if (fields == NULL || columns->from == NULL)
        return mr_error_nomem(err);
    int n = 0;
    for (int i = 0; i < schema->nfields; i++) {
        if (i == columns->headers || i == columns->partition || i == columns->timestamp ||
            i == columns->topic)
            continue;
        fields[n] = schema->fields[i];
        columns->from[n++] = i;
    }
    if (n == 0)
        return mr_error_config(err, "no column is left for the value");
    columns->payload = mr_schema_new(arena, fields, n);
    return columns->payload != NULL ? MR_OK : mr_error_nomem(err);
}

/* One made of the columns. */
static enum mr_status make_schema(struct kafka_columns *columns, struct mr_arena *arena,
                                  struct mr_error *err)
{
    struct mr_bytes made;
    struct mr_slice json;
    mr_bytes_init(&made, MR_BYTES_DEFAULT_MAXIMUM);
    enum mr_status status = mr_avro_print(columns->payload, NULL, NULL, &made, err);
    if (status == MR_OK)
        status = mr_bytes_settle(&made, arena, &json, err);
    mr_bytes_reset(&made);
    return status == MR_OK ? mr_avro_parse(arena, json, false, &columns->avro, err) : status;
}

static enum mr_status choose_avro(const struct mr_options *options, const char *directory,
                                  struct kafka_columns *columns, struct mr_arena *arena,
                                  struct mr_error *err)
{
    const char *text = mr_options_text(options, "schema");
    struct mr_error cause = {0};
    struct mr_avro_encoder *trial = NULL;
    enum mr_status status = text != NULL
                                ? mr_avro_load(arena, text, directory, &columns->avro, &cause)
                                : make_schema(columns, arena, &cause);
    if (status == MR_NOMEM)
        return mr_error_nomem(err);
    if (status != MR_OK)
        return mr_options_error(options, text ? "schema" : "format", err, "%s", cause.message);
    status = mr_avro_encoder_new(columns->avro, columns->payload, &trial, err);
    mr_avro_encoder_free(trial);
    return status;
}

static enum mr_status read_registry(const struct mr_options *options, struct mr_arena *arena,
                                    struct kafka_columns *out, struct mr_error *err)
{
    const char *topic = mr_options_text(options, "topic");
    if (out->format == KAFKA_LOAD_AVRO)
        MR_TRY(kafka_registry_open(options, MR_SINK, arena, &out->registry, err));
    out->subject = mr_options_text(options, "subject");
    if (out->registry == NULL)
        return out->subject == NULL ? MR_OK
                                    : mr_options_error(options, "subject", err,
                                                       "`subject` needs format avro and "
                                                       "`schemaRegistry`");
    if (out->subject == NULL && topic == NULL)
        return mr_options_error(options, "topicColumn", err,
                                "without `topic` the registry needs `subject`");
    if (out->subject == NULL)
        out->subject = mr_arena_printf(arena, "%s-value", topic);
    return out->subject != NULL ? MR_OK : mr_error_nomem(err);
}

static enum mr_status check_keys(const struct mr_options *options, const struct kafka_columns *out,
                                 struct mr_error *err)
{
    if (mr_options_has(options, "value") && out->format == KAFKA_LOAD_AVRO)
        return mr_options_error(options, "value", err,
                                "with format avro the whole row is the value");
    if (mr_options_has(options, "schema") && out->format != KAFKA_LOAD_AVRO)
        return mr_options_error(options, "schema", err, "`schema` needs format avro");
    if (out->mode == KAFKA_LOAD_UPSERT && !mr_options_has(options, "key"))
        return mr_options_error(options, "mode", err, "mode upsert needs `key`");
    if (!mr_options_has(options, "topic") && !mr_options_has(options, "topicColumn"))
        return mr_error_config(err, "topic or topicColumn is needed");
    return MR_OK;
}

enum mr_status kafka_columns_bind(const struct mr_options *options, const struct mr_schema *schema,
                                  const char *directory, struct mr_arena *arena,
                                  struct kafka_columns *out, struct mr_error *err)
{
    *out = (struct kafka_columns){
        .format = (enum kafka_load_format)mr_options_integer(options, "format", KAFKA_LOAD_JSON),
        .mode = (enum kafka_load_mode)mr_options_integer(options, "mode", KAFKA_LOAD_APPEND),
    };
    MR_TRY(check_keys(options, out, err));
    MR_TRY(read_registry(options, arena, out, err));
    MR_TRY(find_column(options, "key", schema, &out->key, err));
    MR_TRY(find_column(options, "value", schema, &out->value, err));
    MR_TRY(find_column(options, "headers", schema, &out->headers, err));
    MR_TRY(find_column(options, "partition", schema, &out->partition, err));
    MR_TRY(find_column(options, "timestamp", schema, &out->timestamp, err));
    MR_TRY(find_column(options, "topicColumn", schema, &out->topic, err));
    if (schema == NULL)
        return MR_OK;
    MR_TRY(check_types(options, schema, out, err));
    if (!mr_options_has(options, "value"))
        MR_TRY(choose_payload(out, schema, arena, err));
    return out->format == KAFKA_LOAD_AVRO ? choose_avro(options, directory, out, arena, err)
                                          : MR_OK;
}

/* --- encoder --- */

struct kafka_encoder {
    const struct kafka_columns *columns;
    int32_t schema; /* number in the registry, -1 = none */
    struct mr_json_rows *json;
    struct mr_avro_encoder *avro;
    struct mr_bytes text; /* values of a chunk */
    size_t starts[CHUNK_ROWS + 1];
    struct mr_bytes key;
    struct mr_bytes name;
};

void kafka_encoder_free(struct kafka_encoder *encoder)
{
    if (encoder == NULL)
        return;
    mr_json_rows_free(encoder->json);
    mr_avro_encoder_free(encoder->avro);
    mr_bytes_reset(&encoder->text);
    mr_bytes_reset(&encoder->key);
    mr_bytes_reset(&encoder->name);
    mr_free(encoder);
}

enum mr_status kafka_encoder_new(const struct kafka_columns *columns, int32_t schema,
                                 struct kafka_encoder **out, struct mr_error *err)
{
    struct kafka_encoder *encoder = mr_calloc(1, sizeof *encoder);
    *out = NULL;
    if (encoder == NULL)
        return mr_error_nomem(err);
    encoder->columns = columns;
    encoder->schema = schema;
    mr_bytes_init(&encoder->text, VALUE_BYTES);
    mr_bytes_init(&encoder->key, VALUE_BYTES);
    mr_bytes_init(&encoder->name, 1 << 16);
    enum mr_status status = MR_OK;
    if (columns->payload != NULL && columns->format == KAFKA_LOAD_AVRO)
        status = mr_avro_encoder_new(columns->avro, columns->payload, &encoder->avro, err);
    else if (columns->payload != NULL)
        status = mr_json_rows_new(columns->payload, &encoder->json, err);
    if (status == MR_OK)
        *out = encoder;
    else
        kafka_encoder_free(encoder);
    return status;
}

/* The text of a column of text or bytes; data NULL: NULL. An empty one has an address. */
static struct mr_slice bytes_at(const struct mr_column *column, int64_t row)
{
    const struct mr_column *flat;
    int64_t index;
    if (!mr_column_locate(column, row, &flat, &index))
        return (struct mr_slice){NULL, 0};
    struct mr_slice slice = mr_column_slice(flat, index);
    return slice.size > 0 ? slice : (struct mr_slice){"", 0};
}

/* Any value as bytes: texts and bytes as they are, other scalars as their text, the rest as JSON. */
static struct mr_slice value_at(const struct mr_column *column, int64_t row, struct mr_bytes *room)
{
    const struct mr_column *flat;
    int64_t index;
    if (is_bytes(column->type))
        return bytes_at(column, row);
    if (!mr_column_locate(column, row, &flat, &index))
        return (struct mr_slice){NULL, 0};
    mr_bytes_clear(room);
    if (mr_value_text_bounded(column->type)) {
        char *to = mr_bytes_reserve(room, MR_VALUE_TEXT_MAX);
        if (to != NULL)
            room->size += (size_t)mr_value_text_put(flat, index, to);
    } else {
        mr_json_value(column, row, room);
    }
    return (struct mr_slice){room->data, room->size};
}

static enum mr_status make_headers(const struct mr_column *column, int64_t row,
                                   rd_kafka_headers_t **out, struct mr_error *err)
{
    const struct mr_column *flat;
    int64_t index;
    *out = NULL;
    if (!mr_column_locate(column, row, &flat, &index))
        return MR_OK;
    const int32_t *offsets = mr_column_offsets(flat);
    const struct mr_column *pair = flat->children[0];
    rd_kafka_headers_t *headers =
        rd_kafka_headers_new((size_t)(offsets[index + 1] - offsets[index]));
    for (int32_t i = offsets[index]; i < offsets[index + 1]; i++) {
        if (mr_column_is_null(pair, i))
            continue;
        struct mr_slice name = bytes_at(pair->children[0], i);
        struct mr_slice value = bytes_at(pair->children[1], i);
        if (name.data != NULL &&
            rd_kafka_header_add(headers, name.data, (ssize_t)name.size, value.data,
                                (ssize_t)value.size) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_headers_destroy(headers);
            return mr_error_nomem(err);
        }
    }
    *out = headers;
    return MR_OK;
}

static enum mr_status number_at(const struct mr_column *column, int64_t row, const char *what,
                                int64_t least, int64_t most, int64_t *out, struct mr_error *err)
{
    struct mr_value value;
    if (mr_column_is_null(column, row))
        return MR_OK;
    mr_column_get(column, row, &value);
    if (value.u.i64 < least || value.u.i64 > most)
        return mr_error_data(err, MR_SINK, "%lld is no %s", (long long)value.u.i64, what);
    *out = value.u.i64;
    return MR_OK;
}

static enum mr_status place(struct kafka_encoder *encoder, const struct mr_batch *batch,
                            int64_t row, struct kafka_record *record, struct mr_error *err)
{
    const struct kafka_columns *columns = encoder->columns;
    int64_t partition = RD_KAFKA_PARTITION_UA, micros = 0;
    if (columns->partition >= 0)
        MR_TRY(number_at(batch->columns[columns->partition], row, "partition", 0, INT32_MAX,
                         &partition, err));
    if (columns->timestamp >= 0) /* librdkafka's 0 is now */
        MR_TRY(number_at(batch->columns[columns->timestamp], row,
                         "time of a record (microseconds since 1970, at least a millisecond)", 1000,
                         INT64_MAX, &micros, err));
    record->partition = (int32_t)partition;
    record->millis = micros / 1000;
    if (columns->topic < 0)
        return MR_OK;
    struct mr_slice name = bytes_at(batch->columns[columns->topic], row);
    if (name.data == NULL)
        return MR_OK;
    if (!kafka_is_topic(name))
        return mr_error_data(err, MR_SINK, KAFKA_TOPIC_RULE);
    mr_bytes_clear(&encoder->name);
    mr_bytes_append(&encoder->name, name.data, name.size);
    record->name = encoder->name.data;
    return mr_bytes_status(&encoder->name, err);
}

static enum mr_status make_record(struct kafka_encoder *encoder, const struct mr_batch *batch,
                                  int64_t row, int64_t first, struct kafka_record *out,
                                  struct mr_error *err)
{
    const struct kafka_columns *columns = encoder->columns;
    *out = (struct kafka_record){.partition = RD_KAFKA_PARTITION_UA};
    if (columns->key >= 0)
        out->key = value_at(batch->columns[columns->key], row, &encoder->key);
    if (columns->mode == KAFKA_LOAD_UPSERT && out->key.data == NULL)
        return mr_error_data(err, MR_SINK, "mode upsert: the key of a row is NULL");
    if (columns->payload == NULL)
        out->value = value_at(batch->columns[columns->value], row, &encoder->text);
    else
        out->value =
            (struct mr_slice){encoder->text.data + encoder->starts[row - first],
                              encoder->starts[row - first + 1] - encoder->starts[row - first] -
                                  (encoder->json != NULL ? 1 : 0)};
    MR_TRY(mr_bytes_status(&encoder->key, err));
    MR_TRY(mr_bytes_status(&encoder->text, err));
    MR_TRY(place(encoder, batch, row, out, err));
    return columns->headers >= 0
               ? make_headers(batch->columns[columns->headers], row, &out->headers, err)
               : MR_OK;
}

static enum mr_status encode_json(struct kafka_encoder *encoder, const struct mr_batch *payload,
                                  int64_t first, int64_t count, struct mr_error *err)
{
    struct mr_bytes *text = &encoder->text;
    mr_json_rows_encode(encoder->json, payload, first, count, text);
    MR_TRY(mr_bytes_status(text, err));
    size_t at = 0;
    for (int64_t i = 0; i < count; i++) {
        const char *end = memchr(text->data + at, '\n', text->size - at);
        if (end == NULL)
            return mr_error_internal(err, "a row of JSON without its end");
        at = (size_t)(end - text->data) + 1;
        encoder->starts[i + 1] = at;
    }
    return MR_OK;
}

static enum mr_status encode_avro(struct kafka_encoder *encoder, int64_t first, int64_t count,
                                  struct mr_error *err)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t done;
        if (encoder->schema >= 0) { /* a 0, and the number, highest byte first */
            uint32_t number = (uint32_t)encoder->schema;
            const uint8_t frame[KAFKA_FRAME_BYTES] = {0, (uint8_t)(number >> 24),
                                                      (uint8_t)(number >> 16),
                                                      (uint8_t)(number >> 8), (uint8_t)number};
            mr_bytes_append(&encoder->text, frame, sizeof frame);
        }
        MR_TRY(mr_avro_encode(encoder->avro, first + i, 1, SIZE_MAX, &encoder->text, &done, err));
        encoder->starts[i + 1] = encoder->text.size;
    }
    return mr_bytes_status(&encoder->text, err);
}

/* The values of rows [first, first + count). */
static enum mr_status encode_chunk(struct kafka_encoder *encoder, const struct mr_batch *payload,
                                   int64_t first, int64_t count, struct mr_error *err)
{
    mr_bytes_clear(&encoder->text);
    encoder->starts[0] = 0;
    if (encoder->json != NULL)
        return encode_json(encoder, payload, first, count, err);
    return encoder->avro != NULL ? encode_avro(encoder, first, count, err) : MR_OK;
}

static enum mr_status send_rows(struct kafka_encoder *encoder, const struct mr_batch *batch,
                                int64_t first, int64_t count, kafka_send send, void *context,
                                struct mr_error *err)
{
    for (int64_t row = first; row < first + count; row++) {
        struct kafka_record record;
        MR_TRY(make_record(encoder, batch, row, first, &record, err));
        MR_TRY(send(context, &record, err));
    }
    return MR_OK;
}

/* The columns of the payload; the batch itself where that is all. */
static enum mr_status derive(const struct kafka_columns *columns, struct mr_batch *batch,
                             struct mr_batch **out, struct mr_error *err)
{
    int n = columns->payload != NULL ? columns->payload->nfields : 0;
    if (n == 0 || n == batch->schema->nfields) {
        *out = mr_batch_ref(batch);
        return MR_OK;
    }
    struct mr_column **taken = mr_calloc((size_t)n, sizeof(struct mr_column *));
    if (taken == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < n; i++)
        taken[i] = mr_column_ref(batch->columns[columns->from[i]]);
    enum mr_status status = mr_batch_new(columns->payload, batch->rows, taken, out, err);
    mr_free(taken);
    return status;
}

enum mr_status kafka_encode(struct kafka_encoder *encoder, struct mr_batch *batch, kafka_send send,
                            void *context, struct mr_error *err)
{
    struct mr_batch *payload = NULL;
    MR_TRY(derive(encoder->columns, batch, &payload, err));
    if (encoder->avro != NULL)
        mr_avro_encoder_batch(encoder->avro, payload);
    enum mr_status status = MR_OK;
    for (int64_t row = 0; row < batch->rows && status == MR_OK; row += CHUNK_ROWS) {
        int64_t count = batch->rows - row < CHUNK_ROWS ? batch->rows - row : CHUNK_ROWS;
        status = encode_chunk(encoder, payload, row, count, err);
        if (status == MR_OK)
            status = send_rows(encoder, batch, row, count, send, context, err);
    }
    mr_batch_unref(payload);
    return status;
}
