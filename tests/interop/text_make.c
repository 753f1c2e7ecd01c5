/*
 * text_make.c - writes edge values and many plain rows as JSON lines or CSV, for readers in Python.
 *
 *     text_make FORMAT COMPRESSION edge|bulk ROWS OUT [OPTION VALUE ..]
 *
 * Prints rows a second for bulk: id BIGINT, name STRING, price DOUBLE, day DATE, at TIMESTAMP.
 */
#include "base/time.h"
#include "col/builder.h"
#include "contract/fixture.h"
#include "contract/registered.h"
#include "ext/format.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct file_sink {
    struct mr_byte_sink base;
    FILE *file;
};

static enum mr_status append(struct mr_byte_sink *base, const void *data, size_t size,
                             struct mr_error *err)
{
    FILE *file = ((struct file_sink *)(void *)base)->file;
    if (fwrite(data, 1, size, file) != size)
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL, "write");
    return MR_OK;
}

#define EDGE                                                                                       \
    "a BYTE, b SHORT, c INT, d BIGINT, e FLOAT, f DOUBLE, g DECIMAL(9,2), h DECIMAL(38,3), "       \
    "i BOOLEAN, j DATE, k TIMESTAMP, l TIMESTAMP_NTZ, m TIME, n STRING, o BINARY, p JSON"

static const char *const edge_rows[] = {
    "-128|-32768|-2147483648|-9223372036854775808|1.5|0.1|-9999999.99|"
    "-99999999999999999999999999999999999.999|1|0|0|0|0|text|bytes|{\"k\": [1, 2.50]}",
    "127|32767|2147483647|9223372036854775807|3.4028235e38|1.7976931348623157e308|9999999.99|"
    "99999999999999999999999999999999999.999|0|-719162|-1|-1|86399999999||\x01\x02|[]",
    "~|~|~|~|~|~|~|~|~|~|~|~|~|~|~|~",
    "0|0|0|9007199254740993|1e-45|5e-324|0.01|0.001|1|2932896|253402300799999999|1|1|"
    "quote \" comma , semi ; tab \t back \\ line\nfeed \r\n \xC3\xA9 \xF0\x9F\x98\x80 '||\"s\"",
    "1|1|1|1|nan|inf|0|0|0|19782|1|500000|1| lead and trail |Man|null",
    NULL,
};

static void fill_bulk(struct mr_builder *b, int64_t from, int64_t count, struct mr_error *err)
{
    char name[32];
    for (int64_t i = from; i < from + count; i++) {
        int size = snprintf(name, sizeof name, "customer %lld", (long long)(i % 5000));
        mr_builder_int(&b[0], i, err);
        mr_builder_bytes(&b[1], name, (size_t)size, err);
        mr_builder_double(&b[2], (double)(i % 100000) / 100, err);
        mr_builder_int(&b[3], i % 20000, err);
        mr_builder_int(&b[4], i * 1000003, err);
    }
}

static void write_bulk(struct fixture *f, const struct mr_format *format, void *writer,
                       const struct mr_schema *schema, int64_t rows)
{
    int64_t spent = 0;
    for (int64_t from = 0; from < rows; from += 16384) {
        struct mr_builder builders[5];
        struct mr_column *columns[5];
        struct mr_batch *batch;
        int64_t count = rows - from < 16384 ? rows - from : 16384;
        for (int i = 0; i < 5; i++)
            FIXTURE_OK(f,
                       mr_builder_init(&builders[i], &f->memory, schema->fields[i].type, &f->err));
        fill_bulk(builders, from, count, &f->err);
        for (int i = 0; i < 5; i++) {
            FIXTURE_OK(f, mr_builder_finish(&builders[i], &columns[i], &f->err));
            mr_builder_reset(&builders[i]);
        }
        FIXTURE_OK(f, mr_batch_new(schema, count, columns, &batch, &f->err));
        int64_t began = mr_clock_thread_cpu_nanos();
        FIXTURE_OK(f, format->write(writer, batch, &f->err));
        spent += mr_clock_thread_cpu_nanos() - began;
        mr_batch_unref(batch);
    }
    printf("%.0f\n", (double)rows * 1e9 / (double)(spent ? spent : 1));
}

int main(int argc, char **argv)
{
    struct fixture f;
    if (argc < 6)
        return 2;
    fixture_init(&f, 0);
    f.registry = *contract_registry();
    const struct mr_format *format = mr_registry_format(&f.registry, argv[1]);
    bool bulk = strcmp(argv[3], "bulk") == 0;
    const struct mr_schema *schema =
        fixture_schema(&f, bulk ? "id BIGINT, name STRING, price DOUBLE, day DATE, at TIMESTAMP"
                                : EDGE);
    struct mr_format_write write = {.schema = schema,
                                    .compression = argv[2],
                                    .level = INT_MIN,
                                    .runtime = &f.runtime};
    struct mr_file_statistics statistics;
    struct file_sink sink = {{append}, fopen(argv[5], "wb")};
    void *writer;
    if (!sink.file)
        return 1;
    if (format->options)
        FIXTURE_OK(&f,
                   mr_options_from_texts(&f.arena, format->options, (const char *const *)argv + 6,
                                         &write.options, &f.err));
    FIXTURE_OK(&f, format->write_open(&write, &sink.base, &writer, &f.err));
    if (bulk) {
        write_bulk(&f, format, writer, schema, atoll(argv[4]));
    } else {
        struct mr_batch *batch = fixture_batch(&f, EDGE, edge_rows);
        FIXTURE_OK(&f, format->write(writer, batch, &f.err));
        mr_batch_unref(batch);
    }
    FIXTURE_OK(&f, format->write_finish(writer, &statistics, &f.err));
    format->write_close(writer);
    fclose(sink.file);
    return fixture_reset(&f);
}
