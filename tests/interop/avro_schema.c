/*
 * avro_schema.c - what the schema code says of a schema on standard input.
 *
 *     avro_schema canonical       the canonical form, and the fingerprint as a signed number
 *     avro_schema decode HEX      one datum of that schema as JSON
 */
#include "col/batch.h"
#include "enc/avro_decode.h"
#include "enc/json_text.h"

#include <stdio.h>
#include <stdlib.h>

static enum mr_status canonical(const struct mr_avro_document *document, struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 20);
    mr_avro_canonical(document->root, &text);
    printf("%s\n%lld\n", text.data, (long long)mr_avro_fingerprint(document->root, err));
    enum mr_status status = mr_bytes_status(&text, err);
    mr_bytes_reset(&text);
    return status;
}

static enum mr_status print(const struct mr_schema *schema, struct mr_column **columns,
                            struct mr_error *err)
{
    struct mr_batch *batch;
    struct mr_json_rows *rows;
    struct mr_bytes text;
    MR_TRY(mr_batch_new(schema, 1, columns, &batch, err));
    mr_bytes_init(&text, 1 << 20);
    MR_TRY(mr_json_rows_new(schema, &rows, err));
    mr_json_rows_encode(rows, batch, 0, 1, &text);
    printf("%s", text.data);
    mr_json_rows_free(rows);
    mr_bytes_reset(&text);
    mr_batch_unref(batch);
    return MR_OK;
}

static enum mr_status decode(const struct mr_avro_document *document, struct mr_arena *arena,
                             const char *hex, struct mr_error *err)
{
    static char data[65536];
    struct mr_column *columns[100];
    struct mr_avro_resolution resolution = {.writer = document};
    const struct mr_avro_plan *plan;
    struct mr_avro_decoder *decoder;
    size_t size = 0, used;
    int64_t done;
    for (; hex[2 * size] && hex[2 * size + 1] && size < sizeof data; size++) {
        char pair[3] = {hex[2 * size], hex[2 * size + 1], 0};
        data[size] = (char)strtol(pair, NULL, 16);
    }
    MR_TRY(mr_avro_resolve(arena, &resolution, &plan, err));
    MR_TRY(mr_avro_decoder_new(plan, NULL, &decoder, err));
    enum mr_status status =
        mr_avro_decode(decoder, (struct mr_slice){data, size}, 1, size, &used, &done, err);
    if (status == MR_OK && used != size)
        status = mr_error_data(err, MR_SOURCE, "bytes are left");
    if (status == MR_OK)
        status = mr_avro_decoder_finish(decoder, columns, err);
    if (status == MR_OK)
        status = print(mr_avro_plan_columns(plan), columns, err);
    mr_avro_decoder_free(decoder);
    return status;
}

int main(int argc, char **argv)
{
    static char text[1 << 20];
    struct mr_arena arena;
    struct mr_error err = {0};
    const struct mr_avro_document *document;
    size_t size = fread(text, 1, sizeof text, stdin);
    mr_arena_init(&arena, NULL);
    enum mr_status status =
        mr_avro_parse(&arena, (struct mr_slice){text, size}, true, &document, &err);
    if (status == MR_OK)
        status = argc > 2 ? decode(document, &arena, argv[2], &err) : canonical(document, &err);
    if (status != MR_OK)
        fprintf(stderr, "%s\n", err.message);
    mr_arena_reset(&arena);
    return status != MR_OK;
}
