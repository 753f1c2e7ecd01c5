/*
 * schema.c - records as rows: the columns of format raw (Spark's, with headers), and dead letters, as rows for files or as records for a topic.
 *
 * A record without key or value (a tombstone) has NULL there, an empty one the empty string; a record without time has NULL and type -1.
 */
#include "connect/kafka/source.h"

#include "base/text.h"

#include <stdio.h>

static const struct mr_type *headers_type(struct mr_arena *arena)
{
    struct mr_field fields[2] = {
        {.name = "key", .type = mr_type_of(MR_TYPE_STRING)},
        {.name = "value", .type = mr_type_of(MR_TYPE_BINARY), .nullable = true},
    };
    const struct mr_type *pair = mr_type_struct(arena, fields, 2);
    return pair != NULL ? mr_type_list(arena, pair, false) : NULL;
}

const struct mr_schema *kafka_raw_schema(struct mr_arena *arena)
{
    const struct mr_type *bytes = mr_type_of(MR_TYPE_BINARY), *number = mr_type_of(MR_TYPE_INT32);
    const struct mr_type *headers = headers_type(arena);
    if (headers == NULL)
        return NULL;
    struct mr_field fields[KAFKA_COLUMNS] = {
        [KAFKA_KEY] = {.name = "key", .type = bytes, .nullable = true},
        [KAFKA_VALUE] = {.name = "value", .type = bytes, .nullable = true},
        [KAFKA_TOPIC] = {.name = "topic", .type = mr_type_of(MR_TYPE_STRING)},
        [KAFKA_PARTITION] = {.name = "partition", .type = number},
        [KAFKA_OFFSET] = {.name = "offset", .type = mr_type_of(MR_TYPE_INT64)},
        [KAFKA_TIMESTAMP] = {.name = "timestamp",
                             .type = mr_type_of(MR_TYPE_TIMESTAMP),
                             .nullable = true},
        [KAFKA_TIMESTAMP_TYPE] = {.name = "timestampType", .type = number},
        [KAFKA_HEADERS] = {.name = "headers", .type = headers, .nullable = true},
    };
    return mr_schema_new(arena, fields, KAFKA_COLUMNS);
}

static enum mr_status append_bytes(struct mr_builder *builder, const void *data, size_t size,
                                   struct mr_error *err)
{
    if (data == NULL)
        return mr_builder_null(builder, err);
    return mr_builder_bytes(builder, data, size, err);
}

/* A name is text; of one that is no UTF-8 the bytes that are not become U+FFFD. */
static enum mr_status append_text(struct mr_builder *builder, const char *text,
                                  struct mr_error *err)
{
    size_t size = strlen(text), good = mr_utf8_valid_prefix(text, size);
    if (good == size)
        return mr_builder_bytes(builder, text, size, err);
    struct mr_bytes clean;
    mr_bytes_init(&clean, SIZE_MAX / 4);
    while (size > 0) {
        mr_bytes_append(&clean, text, good);
        bool bad = good < size;
        if (bad)
            mr_bytes_append(&clean, "\xEF\xBF\xBD", 3);
        text += good + bad;
        size -= good + bad;
        good = size > 0 ? mr_utf8_valid_prefix(text, size) : 0;
    }
    enum mr_status status = mr_bytes_status(&clean, err);
    if (status == MR_OK)
        status = mr_builder_bytes(builder, clean.data, clean.size, err);
    mr_bytes_reset(&clean);
    return status;
}

static enum mr_status append_pairs(struct mr_builder *pair, const rd_kafka_headers_t *headers,
                                   struct mr_error *err)
{
    const char *name;
    const void *value;
    size_t size;
    for (size_t i = 0;
         rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         i++) {
        MR_TRY(append_text(&pair->children[0], name, err));
        MR_TRY(append_bytes(&pair->children[1], value, size, err));
        MR_TRY(mr_builder_struct(pair, err));
    }
    return MR_OK;
}

static enum mr_status append_headers(struct mr_builder *builder, const rd_kafka_message_t *message,
                                     struct mr_error *err)
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return mr_builder_null(builder, err);
    MR_TRY(append_pairs(&builder->children[0], headers, err));
    return mr_builder_list(builder, err);
}

static enum mr_status append_time(struct mr_builder *builder, const rd_kafka_message_t *message,
                                  struct mr_error *err)
{
    rd_kafka_timestamp_type_t type;
    int64_t millis = rd_kafka_message_timestamp(message, &type), micros;
    if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || millis == -1 ||
        __builtin_mul_overflow(millis, (int64_t)1000, &micros))
        return mr_builder_null(builder, err);
    return mr_builder_int(builder, micros, err);
}

/* Spark's numbers: 0 of the producer, 1 of the broker, -1 none. */
static int time_type(const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    rd_kafka_message_timestamp(message, &type);
    return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1
                                                    : type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
}

enum mr_status kafka_append_raw(struct mr_rows *rows, const int *columns,
                                const rd_kafka_message_t *message, struct mr_error *err)
{
    const char *topic = rd_kafka_topic_name(message->rkt);
    for (int i = 0; i < rows->schema->nfields; i++) {
        struct mr_builder *builder = &rows->builders[i];
        switch ((enum kafka_column)columns[i]) {
        case KAFKA_KEY:
            MR_TRY(append_bytes(builder, message->key, message->key_len, err));
            break;
        case KAFKA_VALUE:
            MR_TRY(append_bytes(builder, message->payload, message->len, err));
            break;
        case KAFKA_TOPIC:
            MR_TRY(mr_builder_bytes(builder, topic, strlen(topic), err));
            break;
        case KAFKA_PARTITION:
            MR_TRY(mr_builder_int(builder, message->partition, err));
            break;
        case KAFKA_OFFSET:
            MR_TRY(mr_builder_int(builder, message->offset, err));
            break;
        case KAFKA_TIMESTAMP:
            MR_TRY(append_time(builder, message, err));
            break;
        case KAFKA_TIMESTAMP_TYPE:
            MR_TRY(mr_builder_int(builder, time_type(message), err));
            break;
        case KAFKA_HEADERS:
            MR_TRY(append_headers(builder, message, err));
            break;
        case KAFKA_COLUMNS:
            break;
        }
    }
    rows->count++;
    return MR_OK;
}

enum {
    LETTER_TOPIC,
    LETTER_PARTITION,
    LETTER_OFFSET,
    LETTER_TIMESTAMP,
    LETTER_COLUMN,
    LETTER_REASON,
    LETTER_KEY,
    LETTER_VALUE,
    LETTER_COLUMNS
};

const struct mr_schema *kafka_side_schema(struct mr_arena *arena)
{
    const struct mr_type *text = mr_type_of(MR_TYPE_STRING), *bytes = mr_type_of(MR_TYPE_BINARY);
    struct mr_field fields[LETTER_COLUMNS] = {
        [LETTER_TOPIC] = {.name = "topic", .type = text},
        [LETTER_PARTITION] = {.name = "partition", .type = mr_type_of(MR_TYPE_INT32)},
        [LETTER_OFFSET] = {.name = "offset", .type = mr_type_of(MR_TYPE_INT64)},
        [LETTER_TIMESTAMP] = {.name = "timestamp",
                              .type = mr_type_of(MR_TYPE_TIMESTAMP),
                              .nullable = true},
        [LETTER_COLUMN] = {.name = "column", .type = text, .nullable = true},
        [LETTER_REASON] = {.name = "reason", .type = text},
        [LETTER_KEY] = {.name = "key", .type = bytes, .nullable = true},
        [LETTER_VALUE] = {.name = "value", .type = bytes, .nullable = true},
    };
    return mr_schema_new(arena, fields, LETTER_COLUMNS);
}

/* Columns of toKafka, which the plan connects by these names. */
const struct mr_schema *kafka_letter_record_schema(struct mr_arena *arena)
{
    const struct mr_type *bytes = mr_type_of(MR_TYPE_BINARY), *headers = headers_type(arena);
    if (headers == NULL)
        return NULL;
    struct mr_field fields[] = {
        {.name = "key", .type = bytes, .nullable = true},
        {.name = "value", .type = bytes, .nullable = true},
        {.name = "headers", .type = headers},
    };
    return mr_schema_new(arena, fields, 3);
}

/* Those of the record, and where it was and what is wrong with it. */
static enum mr_status append_letter_headers(struct mr_builder *builder,
                                            const rd_kafka_message_t *message, const char *column,
                                            const char *reason, struct mr_error *err)
{
    char partition[16], offset[24];
    snprintf(partition, sizeof partition, "%d", (int)message->partition);
    snprintf(offset, sizeof offset, "%lld", (long long)message->offset);
    const char *const own[][2] = {{"millrace.topic", rd_kafka_topic_name(message->rkt)},
                                  {"millrace.partition", partition},
                                  {"millrace.offset", offset},
                                  {"millrace.reason", reason},
                                  {"millrace.column", column}};
    struct mr_builder *pair = &builder->children[0];
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        MR_TRY(append_pairs(pair, headers, err));
    for (size_t i = 0; i < sizeof own / sizeof own[0] && own[i][1] != NULL; i++) {
        MR_TRY(append_text(&pair->children[0], own[i][0], err));
        MR_TRY(append_bytes(&pair->children[1], own[i][1], strlen(own[i][1]), err));
        MR_TRY(mr_builder_struct(pair, err));
    }
    return mr_builder_list(builder, err);
}

enum mr_status kafka_append_letter_record(struct mr_rows *rows, const rd_kafka_message_t *message,
                                          const char *column, const char *reason,
                                          struct mr_error *err)
{
    MR_TRY(append_bytes(&rows->builders[0], message->key, message->key_len, err));
    MR_TRY(append_bytes(&rows->builders[1], message->payload, message->len, err));
    MR_TRY(append_letter_headers(&rows->builders[2], message, column, reason, err));
    rows->count++;
    return MR_OK;
}

enum mr_status kafka_append_letter(struct mr_rows *rows, const rd_kafka_message_t *message,
                                   const char *column, const char *reason, struct mr_error *err)
{
    struct mr_builder *to = rows->builders;
    MR_TRY(append_text(&to[LETTER_TOPIC], rd_kafka_topic_name(message->rkt), err));
    MR_TRY(mr_builder_int(&to[LETTER_PARTITION], message->partition, err));
    MR_TRY(mr_builder_int(&to[LETTER_OFFSET], message->offset, err));
    MR_TRY(append_time(&to[LETTER_TIMESTAMP], message, err));
    if (column != NULL)
        MR_TRY(append_text(&to[LETTER_COLUMN], column, err));
    else
        MR_TRY(mr_builder_null(&to[LETTER_COLUMN], err));
    MR_TRY(append_text(&to[LETTER_REASON], reason, err));
    MR_TRY(append_bytes(&to[LETTER_KEY], message->key, message->key_len, err));
    MR_TRY(append_bytes(&to[LETTER_VALUE], message->payload, message->len, err));
    rows->count++;
    return MR_OK;
}
