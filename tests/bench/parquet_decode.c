/*
 * parquet_decode.c - microseconds a row of the Parquet reader, on one thread.
 *
 *     parquet_decode FILE [ROUNDS [COLUMNS [BATCH_ROWS]]]
 *
 * The file is in memory before the clock starts. Every column comes out as a batch's column (strings of small
 * dictionaries as codes); best of ROUNDS (5). COLUMNS: a schema, all if not given or "".
 */
#include "base/time.h"
#include "codec/codecs.h"
#include "ext/registry.h"
#include "format/parquet/parquet.h"

#include <stdio.h>
#include <stdlib.h>

struct source {
    struct mr_byte_source base;
    uint8_t *data;
};

static enum mr_status read_part(struct mr_byte_source *base, int64_t offset, void *out, size_t size,
                                struct mr_error *err)
{
    (void)err;
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

static void check(enum mr_status status, const struct mr_error *err)
{
    if (status == MR_OK)
        return;
    fprintf(stderr, "parquet_decode: %s\n", err->message);
    exit(1);
}

static void load(struct source *source, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "parquet_decode: no file %s\n", path);
        exit(1);
    }
    fseek(file, 0, SEEK_END);
    source->base = (struct mr_byte_source){ftell(file), path, read_part, read_many};
    rewind(file);
    source->data = mr_alloc((size_t)source->base.size);
    if (fread(source->data, 1, (size_t)source->base.size, file) != (size_t)source->base.size)
        exit(1);
    fclose(file);
}

static int64_t read_all(const struct mr_format_read *read)
{
    const struct mr_file_range all = {0, INT64_MAX};
    struct mr_error err;
    struct mr_batch *batch;
    void *reader;
    int64_t rows = 0;
    check(mr_format_parquet.read_open(read, &all, &reader, &err), &err);
    for (;;) {
        check(mr_format_parquet.read_next(reader, &batch, &err), &err);
        if (batch == NULL)
            break;
        rows += batch->rows;
        mr_batch_unref(batch);
    }
    mr_format_parquet.read_close(reader);
    return rows;
}

int main(int argc, char **argv)
{
    static const struct mr_codec *const codecs[] = {&mr_codec_snappy, &mr_codec_zstd,
                                                    &mr_codec_gzip,   &mr_codec_lz4,
                                                    &mr_codec_none,   NULL};
    struct source source;
    struct mr_memory memory;
    struct mr_arena arena;
    struct mr_error err;
    struct mr_registry registry = {.codecs = codecs};
    if (argc < 2)
        return 2;
    load(&source, argv[1]);
    mr_memory_init(&memory, NULL, "bench", INT64_MAX);
    mr_arena_init(&arena, NULL);
    struct mr_runtime runtime = {.memory = &memory, .registry = &registry};
    struct mr_format_read read = {.source = &source.base, .runtime = &runtime};
    if (argc > 4)
        runtime.batch_rows = atoll(argv[4]);
    if (argc > 3 && argv[3][0] != '\0')
        check(mr_schema_parse(&arena, argv[3], &read.schema, &err), &err);
    double best = 0;
    int64_t rows = 0;
    for (int round = 0; round < (argc > 2 ? atoi(argv[2]) : 5); round++) {
        int64_t start = mr_clock_thread_cpu_nanos();
        rows = read_all(&read);
        double micros =
            (double)(mr_clock_thread_cpu_nanos() - start) / 1e3 / (double)(rows ? rows : 1);
        best = best == 0 || micros < best ? micros : best;
    }
    printf("{\"rows\": %lld, \"micros_per_row\": %.4f, \"bytes\": %lld, \"peak_memory\": %lld}\n",
           (long long)rows, best, (long long)source.base.size, (long long)mr_memory_peak(&memory));
    mr_free(source.data);
    mr_arena_reset(&arena);
    return 0;
}
