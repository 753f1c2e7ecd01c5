/*
 * avro_rows.c - rows a second of CPU, written and read as Avro by the engine and by libavro's generic values.
 *
 *     avro_rows [ROWS]
 *
 * Ten fields: long, timestamp, int, double, float, boolean, string, [null,string], bytes, [null,long]; about 68 bytes a row. Engine: batches
 * of 8192 rows that are made beforehand, into memory and out of it. libavro: the file API over a memory file, one value reused.
 */
#include "base/hash.h"
#include "base/time.h"
#include "col/builder.h"
#include "contract/fixture.h"
#include "contract/registered.h"
#include "ext/format.h"
#include "format/avro.h"

#include <avro.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH 8192
#define TYPES                                                                                      \
    "id BIGINT NOT NULL, at TIMESTAMP NOT NULL, qty INT NOT NULL, price DOUBLE NOT NULL, "         \
    "rate FLOAT NOT NULL, ok BOOLEAN NOT NULL, name STRING NOT NULL, note STRING, "                \
    "raw BINARY NOT NULL, parent BIGINT"

struct sink {
    struct mr_byte_sink base;
    struct mr_bytes bytes;
};

static enum mr_status append(struct mr_byte_sink *base, const void *data, size_t size,
                             struct mr_error *err)
{
    struct sink *sink = (struct sink *)(void *)base;
    mr_bytes_append(&sink->bytes, data, size);
    return mr_bytes_status(&sink->bytes, err);
}

struct source {
    struct mr_byte_source base;
    const char *data;
};

static enum mr_status read_bytes(struct mr_byte_source *base, int64_t offset, void *out,
                                 size_t size, struct mr_error *err)
{
    (void)err;
    memcpy(out, ((struct source *)(void *)base)->data + offset, size);
    return MR_OK;
}

static struct mr_batch *make_batch(struct fixture *f, const struct mr_schema *schema)
{
    struct mr_builder b[10];
    struct mr_column *columns[10];
    struct mr_batch *batch;
    char text[64];
    for (int c = 0; c < 10; c++)
        FIXTURE_OK(f, mr_builder_init(&b[c], &f->memory, schema->fields[c].type, &f->err));
    for (int64_t i = 0; i < BATCH; i++) {
        uint64_t h = mr_hash_mix((uint64_t)i);
        mr_builder_int(&b[0], i * 1000, NULL);
        mr_builder_int(&b[1], INT64_C(1700000000000000) + i * 1000003, NULL);
        mr_builder_int(&b[2], (int64_t)(h % 1000), NULL);
        mr_builder_double(&b[3], (double)(h % 100000) / 100, NULL);
        mr_builder_double(&b[4], (double)(h % 100), NULL);
        mr_builder_int(&b[5], h & 1, NULL);
        mr_builder_bytes(&b[6], text, (size_t)snprintf(text, 64, "customer %d", (int)(h % 5000)),
                         NULL);
        if (i % 4)
            mr_builder_bytes(&b[7], "a short note", 12, NULL);
        else
            mr_builder_null(&b[7], NULL);
        mr_builder_bytes(&b[8], &h, 8, NULL);
        if (i % 3)
            mr_builder_int(&b[9], i, NULL);
        else
            mr_builder_null(&b[9], NULL);
    }
    for (int c = 0; c < 10; c++) {
        FIXTURE_OK(f, mr_builder_finish(&b[c], &columns[c], &f->err));
        mr_builder_reset(&b[c]);
    }
    FIXTURE_OK(f, mr_batch_new(schema, BATCH, columns, &batch, &f->err));
    return batch;
}

static double per_second(int64_t rows, int64_t began)
{
    return (double)rows * 1e3 / (double)(mr_clock_thread_cpu_nanos() - began);
}

static void engine(struct fixture *f, const char *codec, int64_t rows, struct sink *sink)
{
    const struct mr_schema *schema = fixture_schema(f, TYPES);
    struct mr_batch *batch = make_batch(f, schema), *out;
    struct mr_format_write write = {.schema = schema,
                                    .compression = codec,
                                    .level = INT_MIN,
                                    .runtime = &f->runtime};
    struct mr_file_statistics statistics;
    void *writer, *reader;
    sink->bytes.size = 0;
    int64_t began = mr_clock_thread_cpu_nanos();
    FIXTURE_OK(f, mr_format_avro.write_open(&write, &sink->base, &writer, &f->err));
    for (int64_t at = 0; at < rows; at += BATCH)
        FIXTURE_OK(f, mr_format_avro.write(writer, batch, &f->err));
    FIXTURE_OK(f, mr_format_avro.write_finish(writer, &statistics, &f->err));
    printf("%-10s engine   write %6.2f", codec, per_second(statistics.rows, began));
    mr_format_avro.write_close(writer);
    struct source source = {{.size = (int64_t)sink->bytes.size, .name = "memory"},
                            sink->bytes.data};
    source.base.read = read_bytes;
    struct mr_format_read read = {.source = &source.base, .schema = schema, .runtime = &f->runtime};
    int64_t got = 0;
    began = mr_clock_thread_cpu_nanos();
    FIXTURE_OK(f, mr_format_avro.read_open(&read, NULL, &reader, &f->err));
    for (;;) {
        FIXTURE_OK(f, mr_format_avro.read_next(reader, &out, &f->err));
        if (!out)
            break;
        got += out->rows;
        mr_batch_unref(out);
    }
    printf("  read %6.2f  Mrows/s, %lld MB\n", per_second(got, began),
           (long long)source.base.size >> 20);
    mr_format_avro.read_close(reader);
    mr_batch_unref(batch);
}

static void set_fields(avro_value_t *value, const struct mr_batch *batch, int64_t row)
{
    avro_value_t field, branch;
    struct mr_value cell;
    for (int c = 0; c < 10; c++) {
        mr_column_get(batch->columns[c], row, &cell);
        avro_value_get_by_index(value, (size_t)c, &field, NULL);
        if (c == 7 || c == 9) {
            avro_value_set_branch(&field, !cell.is_null, &branch);
            field = branch;
            if (cell.is_null) {
                avro_value_set_null(&field);
                continue;
            }
        }
        if (c == 0 || c == 1 || c == 9)
            avro_value_set_long(&field, cell.u.i64);
        else if (c == 2)
            avro_value_set_int(&field, (int32_t)cell.u.i64);
        else if (c == 3)
            avro_value_set_double(&field, cell.u.f64);
        else if (c == 4)
            avro_value_set_float(&field, (float)cell.u.f64);
        else if (c == 5)
            avro_value_set_boolean(&field, (int)cell.u.i64);
        else if (c == 8)
            avro_value_set_bytes(&field, (void *)cell.u.bytes.data, cell.u.bytes.size);
        else
            avro_value_set_string_len(&field, c == 6 ? "customer 1234" : "a short note", 13);
    }
}

static void libavro(struct fixture *f, const char *codec, int64_t rows)
{
    static const char schema_text[] =
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"},"
        "{\"name\":\"at\",\"type\":\"long\"},{\"name\":\"qty\",\"type\":\"int\"},{\"name\":"
        "\"price\",\"type\":\"double\"},{\"name\":\"rate\",\"type\":\"float\"},{\"name\":\"ok\","
        "\"type\":\"boolean\"},{\"name\":\"name\",\"type\":\"string\"},{\"name\":\"note\",\"type\":"
        "[\"null\",\"string\"]},{\"name\":\"raw\",\"type\":\"bytes\"},{\"name\":\"parent\","
        "\"type\":[\"null\",\"long\"]}]}";
    struct mr_batch *batch = make_batch(f, fixture_schema(f, TYPES));
    char path[300];
    avro_schema_t schema;
    avro_file_writer_t writer;
    avro_file_reader_t reader;
    avro_value_t value;
    snprintf(path, sizeof path, "%s/libavro.avro", f->directory);
    if (avro_schema_from_json_length(schema_text, sizeof schema_text - 1, &schema) ||
        avro_file_writer_create_with_codec(path, schema, &writer, codec, 256 << 10)) {
        printf("%-10s libavro  %s\n", codec, avro_strerror());
        mr_batch_unref(batch);
        return;
    }
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    avro_generic_value_new(iface, &value);
    int64_t began = mr_clock_thread_cpu_nanos();
    for (int64_t i = 0; i < rows; i++) {
        set_fields(&value, batch, i % BATCH);
        avro_file_writer_append_value(writer, &value);
    }
    avro_file_writer_close(writer);
    printf("%-10s libavro  write %6.2f", codec, per_second(rows, began));
    int64_t got = 0;
    avro_file_reader(path, &reader);
    began = mr_clock_thread_cpu_nanos();
    while (avro_file_reader_read_value(reader, &value) == 0)
        got++;
    printf("  read %6.2f  Mrows/s, %lld rows\n", per_second(got, began), (long long)got);
    avro_file_reader_close(reader);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    remove(path);
    mr_batch_unref(batch);
}

int main(int argc, char **argv)
{
    static const char *const codecs[] = {"none", "snappy", "zstandard", "deflate"};
    struct fixture f;
    struct sink sink = {.base = {append}};
    int64_t rows = argc > 1 ? atoll(argv[1]) : 1000000;
    fixture_init(&f, 0);
    f.registry = *contract_registry();
    mr_bytes_init(&sink.bytes, (size_t)4 << 30);
    for (int i = 0; i < 4; i++) {
        engine(&f, codecs[i], rows, &sink);
        engine(&f, codecs[i], rows, &sink);
    }
    libavro(&f, "null", rows);
    libavro(&f, "snappy", rows);
    libavro(&f, "deflate", rows / 10);
    mr_bytes_reset(&sink.bytes);
    return fixture_reset(&f);
}
