/*
 * fuzz_copy.c - any bytes as a binary COPY: batches that keep the invariants of columns, or an error; never a crash or a leak.
 *
 * The first byte says how the rest is cut into messages: 0 = one message, else a message every so many bytes.
 */
#include "connect/postgres/copy_decode.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NFIELDS 14

static const enum mr_copy_kind kinds[NFIELDS] = {
    MR_COPY_BOOL, MR_COPY_INT2,      MR_COPY_INT4,         MR_COPY_INT8,           MR_COPY_NUMERIC,
    MR_COPY_TEXT, MR_COPY_JSONB,     MR_COPY_NUMERIC_TEXT, MR_COPY_NUMERIC_DOUBLE, MR_COPY_DATE,
    MR_COPY_UUID, MR_COPY_TIMESTAMP, MR_COPY_INTERVAL,     MR_COPY_ARRAY,
};
static const enum mr_type_id types[NFIELDS] = {
    MR_TYPE_BOOL,   MR_TYPE_INT16,     MR_TYPE_INT32,    MR_TYPE_INT64,   MR_TYPE_DECIMAL,
    MR_TYPE_STRING, MR_TYPE_JSON,      MR_TYPE_STRING,   MR_TYPE_FLOAT64, MR_TYPE_DATE,
    MR_TYPE_UUID,   MR_TYPE_TIMESTAMP, MR_TYPE_INTERVAL, MR_TYPE_LIST,
};

static void make_fields(struct mr_arena *arena, int precision, struct mr_copy_field *fields,
                        struct mr_copy_field *element, struct mr_field *schema)
{
    const struct mr_type *decimal = mr_type_decimal(arena, precision, precision / 3);
    *element = (struct mr_copy_field){.name = "element", .kind = MR_COPY_NUMERIC, .type = decimal};
    for (int i = 0; i < NFIELDS; i++) {
        const struct mr_type *type = types[i] == MR_TYPE_DECIMAL ? decimal
                                     : types[i] == MR_TYPE_LIST ? mr_type_list(arena, decimal, true)
                                                                : mr_type_of(types[i]);
        fields[i] = (struct mr_copy_field){.name = "f",
                                           .kind = kinds[i],
                                           .type = type,
                                           .infinity_null = i % 2 == 1,
                                           .element = element};
        schema[i] = (struct mr_field){.name = "f", .type = type, .nullable = true};
    }
}

static void finish(struct mr_copy_decoder *decoder, const struct mr_schema *schema)
{
    struct mr_error err;
    struct mr_batch *batch = NULL;
    if (mr_copy_decoder_finish(decoder, schema, &batch, &err) != MR_OK)
        abort();
    for (int i = 0; i < schema->nfields; i++)
        /* Text is not checked for UTF-8: the server promises it. */
        if (!mr_type_is_string(schema->fields[i].type) &&
            mr_column_check(batch->columns[i], &err) != MR_OK)
            abort();
    mr_batch_unref(batch);
}

static void decode(const uint8_t *data, size_t size, size_t piece,
                   const struct mr_copy_field *fields, const struct mr_schema *schema,
                   struct mr_memory *memory)
{
    struct mr_error err = {0};
    struct mr_copy_decoder decoder;
    if (mr_copy_decoder_init(&decoder, memory, fields, NFIELDS, "table t", &err) != MR_OK)
        abort();
    enum mr_status status = mr_copy_decoder_begin(&decoder, 2, &err);
    while (status == MR_OK && size > 0) {
        size_t now = piece > 0 && piece < size ? piece : size;
        status = mr_copy_decoder_message(&decoder, data, now, &err);
        data += now;
        size -= now;
    }
    if (status == MR_OK)
        finish(&decoder, schema);
    else if (err.message[0] == '\0')
        abort();
    mr_copy_decoder_reset(&decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct mr_memory memory;
    mr_memory_init(&memory, NULL, "fuzz", 64 << 20);
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    struct mr_copy_field fields[NFIELDS];
    struct mr_copy_field element;
    struct mr_field columns[NFIELDS];
    make_fields(&arena, 1 + data[1] % 38, fields, &element, columns);
    const struct mr_schema *schema = mr_schema_new(&arena, columns, NFIELDS);
    decode(data + 2, size - 2, data[0], fields, schema, &memory);
    if (mr_memory_used(&memory) != 0)
        abort();
    mr_arena_reset(&arena);
    return 0;
}
