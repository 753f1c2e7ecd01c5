/*
 * fuzz_avro.c - any bytes as an Avro file, as a schema, and as rows of a schema: batches that hold together or an error with a message,
 * in bounded memory; never a crash or a leak.
 *
 * A file: bytes that begin with "Obj". Rows: bytes with a NUL, in front of it the schema. Else the bytes are a schema.
 */
#include "codec/codecs.h"
#include "col/batch.h"
#include "enc/avro_check.h"
#include "enc/avro_decode.h"
#include "enc/avro_encode.h"
#include "enc/avro_type.h"
#include "ext/registry.h"
#include "format/avro.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mr_codec *const codecs[] = {&mr_codec_snappy, &mr_codec_zstd, &mr_codec_deflate,
                                                NULL};
static const struct mr_registry registry = {.codecs = codecs};

struct source {
    struct mr_byte_source base;
    const uint8_t *data;
};

static enum mr_status read_bytes(struct mr_byte_source *base, int64_t offset, void *out,
                                 size_t size, struct mr_error *err)
{
    if (offset < 0 || (int64_t)size > base->size - offset)
        return mr_error_data(err, MR_SOURCE, "read past the end");
    if (size)
        memcpy(out, ((struct source *)(void *)base)->data + offset, size);
    return MR_OK;
}

static void check(enum mr_status status, const struct mr_error *err)
{
    if (status != MR_OK && err->message[0] == '\0')
        abort();
}

static void check_columns(struct mr_column **columns, int count)
{
    for (int i = 0; i < count; i++)
        if (mr_column_check(columns[i], NULL) != MR_OK)
            abort();
}

static void read_file(const struct mr_format_read *read, const struct mr_file_range *range)
{
    struct mr_error err = {0};
    void *reader;
    enum mr_status status = mr_format_avro.read_open(read, range, &reader, &err);
    check(status, &err);
    if (status != MR_OK)
        return;
    struct mr_batch *batch;
    for (int i = 0; i < 100; i++) {
        status = mr_format_avro.read_next(reader, &batch, &err);
        check(status, &err);
        if (status != MR_OK || !batch)
            break;
        check_columns(batch->columns, batch->schema->nfields);
        mr_batch_unref(batch);
    }
    mr_format_avro.read_close(reader);
}

static void whole_file(const uint8_t *data, size_t size, struct mr_memory *memory)
{
    struct source source = {{.size = (int64_t)size, .name = "fuzz", .read = read_bytes}, data};
    struct mr_runtime runtime = {.memory = memory, .registry = &registry};
    struct mr_format_read read = {.source = &source.base, .runtime = &runtime};
    struct mr_arena arena;
    struct mr_file_info info;
    struct mr_error err = {0};
    mr_arena_init(&arena, NULL);
    enum mr_status status = mr_format_avro.probe(&read, &arena, &info, &err);
    check(status, &err);
    read_file(&read, NULL);
    read.row_positions = true;
    struct mr_file_range range = {(int64_t)size / 3, INT64_MAX};
    read_file(&read, &range);
    mr_arena_reset(&arena);
}

/* Rows by the schema; what was decoded is encoded and must decode again. */
static void rows_of(const struct mr_avro_document *document, struct mr_slice rows,
                    struct mr_arena *arena, struct mr_memory *memory)
{
    struct mr_avro_resolution resolution = {.writer = document};
    const struct mr_avro_plan *plan;
    struct mr_avro_decoder *decoder;
    struct mr_error err = {0};
    size_t used;
    int64_t done;
    enum mr_status status = mr_avro_resolve(arena, &resolution, &plan, &err);
    check(status, &err);
    if (status != MR_OK || mr_avro_decoder_new(plan, memory, &decoder, &err) != MR_OK)
        return;
    const struct mr_schema *schema = mr_avro_plan_columns(plan);
    struct mr_column **columns = calloc((size_t)schema->nfields + 1, sizeof(void *));
    status = mr_avro_decode(decoder, rows, 100, SIZE_MAX, &used, &done, &err);
    check(status, &err);
    if (status == MR_OK && mr_avro_decoder_finish(decoder, columns, &err) == MR_OK) {
        struct mr_avro_encoder *encoder;
        struct mr_batch *batch;
        struct mr_bytes out;
        check_columns(columns, schema->nfields);
        if (mr_batch_new(schema, done, columns, &batch, &err) != MR_OK)
            abort();
        mr_bytes_init(&out, 1 << 26);
        status = mr_avro_encoder_new(document, schema, &encoder, &err);
        check(status, &err);
        if (status == MR_OK) {
            mr_avro_encoder_batch(encoder, batch);
            check(mr_avro_encode(encoder, 0, done, SIZE_MAX, &out, &done, &err), &err);
            mr_avro_encoder_free(encoder);
        }
        mr_bytes_reset(&out);
        mr_batch_unref(batch);
    }
    free(columns);
    mr_avro_decoder_free(decoder);
}

static void schema_of(const uint8_t *data, size_t size, struct mr_memory *memory)
{
    const uint8_t *end = memchr(data, 0, size);
    struct mr_slice text = {(const char *)data, end ? (size_t)(end - data) : size};
    struct mr_slice rows = {text.data + text.size, 0};
    const struct mr_avro_document *document, *again;
    const struct mr_avro_difference *differences;
    struct mr_error err = {0};
    struct mr_arena arena;
    struct mr_bytes form;
    int count;
    if (end)
        rows = (struct mr_slice){(const char *)end + 1, size - text.size - 1};
    mr_arena_init(&arena, memory);
    mr_bytes_init(&form, 1 << 24);
    enum mr_status status = mr_avro_parse(&arena, text, false, &document, &err);
    check(status, &err);
    if (status == MR_OK) {
        rows_of(document, rows, &arena, memory);
        mr_avro_canonical(document->root, &form);
        status =
            mr_avro_parse(&arena, (struct mr_slice){form.data, form.size}, false, &again, &err);
        check(status, &err);
        if (status == MR_OK)
            mr_avro_check(&arena, document->root, again->root, &differences, &count, &err);
    }
    mr_bytes_reset(&form);
    mr_arena_reset(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_memory memory;
    mr_memory_init(&memory, NULL, "fuzz", (int64_t)300 << 20);
    if (size >= 3 && memcmp(data, "Obj", 3) == 0)
        whole_file(data, size, &memory);
    else
        schema_of(data, size, &memory);
    if (mr_memory_used(&memory) != 0)
        abort();
    return 0;
}
