/*
 * fuzz_parquet.c - any bytes as a Parquet file: batches that keep the invariants of columns, or an error; never a crash, a leak or
 * more memory than the account allows.
 *
 * The first byte says how many rows a batch has, whether the file is read by parts, and with a condition.
 */
#include "codec/codecs.h"
#include "ext/registry.h"
#include "format/parquet/parquet.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
    struct mr_byte_source base;
    const uint8_t *data;
};

static enum mr_status read_part(struct mr_byte_source *base, int64_t offset, void *out, size_t size,
                                struct mr_error *err)
{
    if (offset < 0 || offset > base->size || (int64_t)size > base->size - offset)
        return mr_error_data(err, MR_SOURCE, "cut");
    memcpy(out, ((struct source *)(void *)base)->data + offset, size);
    return MR_OK;
}

static enum mr_status read_many(struct mr_byte_source *base, const struct mr_byte_read *reads,
                                int nreads, struct mr_error *err)
{
    for (int i = 0; i < nreads; i++)
        MR_TRY(read_part(base, reads[i].offset, reads[i].out, reads[i].size, err));
    return MR_OK;
}

static void read_range(const struct mr_format_read *read, int64_t offset, int64_t size)
{
    struct mr_error err = {0};
    struct mr_file_range range = {offset, size};
    struct mr_batch *batch = NULL;
    void *reader = NULL;
    enum mr_status status = mr_format_parquet.read_open(read, &range, &reader, &err);
    while (status == MR_OK) {
        status = mr_format_parquet.read_next(reader, &batch, &err);
        if (status != MR_OK || batch == NULL)
            break;
        for (int i = 0; i < batch->schema->nfields; i++)
            if (mr_column_check(batch->columns[i], &err) != MR_OK)
                abort();
        mr_batch_unref(batch);
    }
    if (status != MR_OK && err.message[0] == '\0')
        abort();
    mr_format_parquet.read_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mr_codec *const codecs[] = {&mr_codec_snappy, &mr_codec_zstd,
                                                    &mr_codec_gzip,   &mr_codec_lz4,
                                                    &mr_codec_none,   NULL};
    if (size < 1)
        return 0;
    struct mr_memory memory;
    struct mr_counters counters = {0};
    struct mr_registry registry = {.codecs = codecs};
    mr_memory_init(&memory, NULL, "fuzz", 16 << 20);
    struct mr_runtime runtime = {.memory = &memory,
                                 .counters = &counters,
                                 .registry = &registry,
                                 .batch_rows = 1 + data[0] % 100};
    struct source source = {
        .base = {(int64_t)size - 1, "fuzz", read_part, read_many},
        .data = data + 1,
    };
    struct mr_format_read read = {.source = &source.base,
                                  .row_positions = data[0] & 1,
                                  .runtime = &runtime};
    struct mr_arena arena;
    struct mr_file_info info;
    mr_arena_init(&arena, NULL);
    struct mr_value zero = {0};
    const struct mr_predicate above = {.kind = MR_PREDICATE_COMPARE,
                                       .compare = MR_GT,
                                       .nvalues = 1,
                                       .values = &zero};
    const struct mr_predicate *predicate = &above;
    if (data[0] & 4 && mr_format_parquet.probe(&read, &arena, &info, NULL) == MR_OK &&
        info.schema->nfields > 0 && !mr_type_is_nested(info.schema->fields[0].type)) {
        zero.type = info.schema->fields[0].type;
        read.predicates = &predicate;
        read.npredicates = 1;
    }
    if (data[0] & 2) {
        read_range(&read, 0, 100);
        read_range(&read, 100, INT64_MAX);
    } else {
        read_range(&read, 0, INT64_MAX);
    }
    mr_arena_reset(&arena);
    if (mr_memory_used(&memory) != 0)
        abort();
    return 0;
}
