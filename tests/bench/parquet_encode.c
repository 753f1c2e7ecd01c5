/*
 * parquet_encode.c - microseconds a row of the Parquet writer, on one thread, for rows like TPC-H's lineitem.
 *
 *     parquet_encode [ROWS [CODEC [FILE]]]     (default 2000000 snappy, to nowhere)
 *
 * The batches are made before the clock starts, and written several times over; the same seed gives the same rows
 * always. With FILE the rows are written once to it, for a comparison with other writers on the same data.
 */
#include "base/hash.h"
#include "base/time.h"
#include "codec/codecs.h"
#include "col/builder.h"
#include "ext/registry.h"
#include "format/parquet/parquet.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH_ROWS 16384
#define COLUMNS    16
#define BATCHES    64 /* made once, written in turn */

struct sink {
    struct mr_byte_sink base;
    FILE *file;
};

static enum mr_status append_sink(struct mr_byte_sink *base, const void *data, size_t size,
                                  struct mr_error *err)
{
    FILE *file = ((struct sink *)(void *)base)->file;
    if (file != NULL && fwrite(data, 1, size, file) != size)
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL, "write");
    return MR_OK;
}

static void check(enum mr_status status, const struct mr_error *err)
{
    if (status == MR_OK)
        return;
    fprintf(stderr, "parquet_encode: %s\n", err->message);
    exit(1);
}

static uint64_t state = 42;

static int64_t between(int64_t low, int64_t high)
{
    state += UINT64_C(0x9E3779B97F4A7C15);
    return low + (int64_t)(mr_hash_mix(state) % (uint64_t)(high - low + 1));
}

static void comment(struct mr_builder *builder)
{
    static const char *const words[] = {"furiously", "quickly",  "carefully", "final",
                                        "special",   "pending",  "deposits",  "packages",
                                        "requests",  "accounts", "sleep",     "haggle",
                                        "nag",       "above",    "the",       "ironic",
                                        "even",      "bold"};
    char text[64];
    struct mr_error err;
    size_t size = 0, wanted = (size_t)between(10, 43);
    while (size < wanted) {
        const char *word = words[between(0, 17)];
        for (; *word && size < wanted; word++)
            text[size++] = *word;
        if (size < wanted)
            text[size++] = ' ';
    }
    check(mr_builder_bytes(builder, text, size, &err), &err);
}

static void make_row(struct mr_builder *b, int64_t order, int64_t line)
{
    static const char *const instructs[] = {"DELIVER IN PERSON", "COLLECT COD", "NONE",
                                            "TAKE BACK RETURN"};
    static const char *const modes[] = {"REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"};
    struct mr_error err;
    int64_t quantity = between(1, 50), part = between(1, 200000), date = between(8036, 10561);
    check(mr_builder_int(&b[0], order, &err), &err);
    check(mr_builder_int(&b[1], part, &err), &err);
    check(mr_builder_int(&b[2], between(1, 10000), &err), &err);
    check(mr_builder_int(&b[3], line, &err), &err);
    check(mr_builder_int(&b[4], quantity * 100, &err), &err);
    check(mr_builder_int(&b[5], quantity * (90000 + part % 20001 + part / 10), &err), &err);
    check(mr_builder_int(&b[6], between(0, 10), &err), &err);
    check(mr_builder_int(&b[7], between(0, 8), &err), &err);
    check(mr_builder_bytes(&b[8], &"ANR"[between(0, 2)], 1, &err), &err);
    check(mr_builder_bytes(&b[9], &"FO"[between(0, 1)], 1, &err), &err);
    check(mr_builder_int(&b[10], date, &err), &err);
    check(mr_builder_int(&b[11], date + between(-30, 30), &err), &err);
    check(mr_builder_int(&b[12], date + between(1, 30), &err), &err);
    const char *text = instructs[between(0, 3)];
    check(mr_builder_bytes(&b[13], text, strlen(text), &err), &err);
    text = modes[between(0, 6)];
    check(mr_builder_bytes(&b[14], text, strlen(text), &err), &err);
    comment(&b[15]);
}

static struct mr_batch *make_batch(const struct mr_schema *schema, int64_t *order, int64_t *line)
{
    struct mr_error err;
    struct mr_builder builders[COLUMNS];
    struct mr_column *columns[COLUMNS];
    struct mr_batch *batch;
    for (int c = 0; c < COLUMNS; c++)
        check(mr_builder_init(&builders[c], NULL, schema->fields[c].type, &err), &err);
    for (int i = 0; i < BATCH_ROWS; i++) {
        make_row(builders, *order, ++*line);
        if (between(1, 4) == 1) {
            *order += between(1, 8);
            *line = 0;
        }
    }
    for (int c = 0; c < COLUMNS; c++) {
        check(mr_builder_finish(&builders[c], &columns[c], &err), &err);
        mr_builder_reset(&builders[c]);
    }
    check(mr_batch_new(schema, BATCH_ROWS, columns, &batch, &err), &err);
    return batch;
}

int main(int argc, char **argv)
{
    static const struct mr_codec *const codecs[] = {&mr_codec_snappy, &mr_codec_zstd,
                                                    &mr_codec_gzip, &mr_codec_lz4, NULL};
    struct mr_error err;
    struct mr_arena arena;
    const struct mr_schema *schema;
    int64_t rows = argc > 1 ? atoll(argv[1]) : 2000000, order = 1, line = 0;
    mr_arena_init(&arena, NULL);
    check(mr_schema_parse(
              &arena,
              "l_orderkey bigint, l_partkey int, l_suppkey int, l_linenumber int, l_quantity "
              "decimal(12,2), "
              "l_extendedprice decimal(15,2), l_discount decimal(12,2), l_tax decimal(12,2), "
              "l_returnflag string, "
              "l_linestatus string, l_shipdate date, l_commitdate date, l_receiptdate date, "
              "l_shipinstruct string, l_shipmode string, l_comment string",
              &schema, &err),
          &err);
    struct mr_batch *batches[BATCHES];
    for (int i = 0; i < BATCHES; i++)
        batches[i] = make_batch(schema, &order, &line);
    struct mr_memory memory;
    mr_memory_init(&memory, NULL, "bench", INT64_MAX);
    struct mr_registry registry = {.codecs = codecs};
    struct mr_runtime runtime = {.memory = &memory, .registry = &registry};
    struct mr_format_write write = {.schema = schema,
                                    .compression = argc > 2 ? argv[2] : "snappy",
                                    .level = INT_MIN,
                                    .runtime = &runtime};
    struct sink sink = {.base = {append_sink}, .file = argc > 3 ? fopen(argv[3], "wb") : NULL};
    double best = 0;
    struct mr_file_statistics statistics;
    for (int round = 0; round < (sink.file ? 1 : 5); round++) {
        void *writer;
        int64_t start = mr_clock_thread_cpu_nanos(), done = 0;
        check(mr_format_parquet.write_open(&write, &sink.base, &writer, &err), &err);
        for (int i = 0; done < rows; i++, done += BATCH_ROWS)
            check(mr_format_parquet.write(writer, batches[i % BATCHES], &err), &err);
        check(mr_format_parquet.write_finish(writer, &statistics, &err), &err);
        mr_format_parquet.write_close(writer);
        double micros = (double)(mr_clock_thread_cpu_nanos() - start) / 1e3 / (double)done;
        best = best == 0 || micros < best ? micros : best;
    }
    printf("{\"rows\": %lld, \"codec\": \"%s\", \"micros_per_row\": %.4f, \"bytes\": %lld, "
           "\"peak_memory\": %lld}\n",
           (long long)statistics.rows, write.compression, best, (long long)statistics.bytes,
           (long long)mr_memory_peak(&memory));
    if (sink.file != NULL)
        fclose(sink.file);
    for (int i = 0; i < BATCHES; i++)
        mr_batch_unref(batches[i]);
    mr_arena_reset(&arena);
    return 0;
}
