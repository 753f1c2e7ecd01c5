/*
 * The Parquet writer as an object: limits of memory, row groups, refusals, statistics of a file. What the bytes mean is
 * the business of tests/interop/test_parquet.py.
 */
#include "base/hash.h"
#include "codec/codecs.h"
#include "col/builder.h"
#include "ext/registry.h"
#include "format/parquet/parquet.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct mr_codec *const codecs[] = {&mr_codec_snappy, &mr_codec_zstd, &mr_codec_gzip,
                                                &mr_codec_lz4, NULL};
static const struct mr_registry registry = {.codecs = codecs};

struct sink {
    struct mr_byte_sink base;
    struct mr_bytes bytes;
    int64_t fail_at; /* bytes that it takes; -1 = any number */
};

static enum mr_status append(struct mr_byte_sink *base, const void *data, size_t size,
                             struct mr_error *err)
{
    struct sink *sink = (struct sink *)(void *)base;
    if (sink->fail_at >= 0 && (int64_t)(sink->bytes.size + size) > sink->fail_at)
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL, "full");
    mr_bytes_append(&sink->bytes, data, size);
    return mr_bytes_status(&sink->bytes, err);
}

struct fixture {
    struct mr_arena arena;
    struct mr_memory memory;
    struct mr_runtime runtime;
    struct mr_format_write write;
    struct sink sink;
    struct mr_error err;
    void *writer;
};

static void start(struct fixture *f, const char *schema, const char *compression, int64_t limit)
{
    *f = (struct fixture){.sink = {.base = {append}, .fail_at = -1}};
    mr_arena_init(&f->arena, NULL);
    mr_bytes_init(&f->sink.bytes, (size_t)1 << 30);
    mr_memory_init(&f->memory, NULL, "test", limit);
    f->runtime = (struct mr_runtime){.memory = &f->memory, .registry = &registry};
    f->write = (struct mr_format_write){.compression = compression,
                                        .level = INT_MIN,
                                        .runtime = &f->runtime};
    assert_int_equal(mr_schema_parse(&f->arena, schema, &f->write.schema, &f->err), MR_OK);
}

static enum mr_status open_writer(struct fixture *f)
{
    return mr_format_parquet.write_open(&f->write, &f->sink.base, &f->writer, &f->err);
}

static void stop(struct fixture *f)
{
    if (f->writer != NULL)
        mr_format_parquet.write_close(f->writer);
    assert_int_equal(mr_memory_used(&f->memory), 0);
    mr_bytes_reset(&f->sink.bytes);
    mr_arena_reset(&f->arena);
}

/* Columns (id bigint, name string, tags array<string>) of made-up rows; every seventh name is NULL. */
#define SCHEMA "id bigint, name string, tags array<string>"

static struct mr_batch *make_batch(const struct mr_schema *schema, int64_t from, int64_t rows)
{
    struct mr_builder b[3];
    struct mr_column *columns[3];
    struct mr_batch *batch;
    for (int c = 0; c < 3; c++)
        assert_int_equal(mr_builder_init(&b[c], NULL, schema->fields[c].type, NULL), MR_OK);
    for (int64_t i = from; i < from + rows; i++) {
        char text[32];
        int size = snprintf(text, sizeof text, "name %d", (int)(mr_hash_mix((uint64_t)i) % 100000));
        mr_builder_int(&b[0], i, NULL);
        if (i % 7 == 0)
            mr_builder_null(&b[1], NULL);
        else
            mr_builder_bytes(&b[1], text, (size_t)size, NULL);
        for (int64_t k = 0; k < i % 3; k++)
            mr_builder_bytes(&b[2].children[0], text, 4, NULL);
        mr_builder_list(&b[2], NULL);
    }
    for (int c = 0; c < 3; c++) {
        assert_int_equal(mr_builder_finish(&b[c], &columns[c], NULL), MR_OK);
        mr_builder_reset(&b[c]);
    }
    assert_int_equal(mr_batch_new(schema, rows, columns, &batch, NULL), MR_OK);
    return batch;
}

static enum mr_status write_some(struct fixture *f, int batches, struct mr_file_statistics *out)
{
    enum mr_status status = open_writer(f);
    for (int i = 0; status == MR_OK && i < batches; i++) {
        struct mr_batch *batch = make_batch(f->write.schema, i * 3000, 3000);
        status = mr_format_parquet.write(f->writer, batch, &f->err);
        mr_batch_unref(batch);
    }
    if (status == MR_OK)
        status = mr_format_parquet.write_finish(f->writer, out, &f->err);
    return status;
}

static void check_file(const struct fixture *f)
{
    const struct mr_bytes *bytes = &f->sink.bytes;
    assert_memory_equal(bytes->data, "PAR1", 4);
    assert_memory_equal(bytes->data + bytes->size - 4, "PAR1", 4);
}

static void test_file_statistics(void **state)
{
    (void)state;
    struct fixture f;
    struct mr_file_statistics statistics;
    start(&f, SCHEMA, "zstd", INT64_MAX);
    f.write.row_group_rows = 1000;
    assert_int_equal(write_some(&f, 4, &statistics), MR_OK);
    check_file(&f);
    assert_int_equal(statistics.rows, 12000);
    assert_int_equal(statistics.bytes, f.sink.bytes.size);
    assert_int_equal(mr_format_parquet.written(f.writer), f.sink.bytes.size);
    assert_int_equal(statistics.nleaves, 3);
    assert_true(statistics.leaves[0].has_bounds);
    assert_int_equal(statistics.leaves[0].minimum.u.i64, 0);
    assert_int_equal(statistics.leaves[0].maximum.u.i64, 11999);
    assert_int_equal(statistics.leaves[1].nulls, (12000 + 6) / 7);
    assert_true(statistics.leaves[1].has_bounds);
    assert_memory_equal(statistics.leaves[1].minimum.u.bytes.data, "name ", 5);
    assert_false(statistics.leaves[2].has_bounds);
    assert_int_equal(statistics.leaves[2].nulls, 0);
    stop(&f);
}

static void test_memory_limits(void **state)
{
    (void)state;
    int done = 0, refused = 0;
    for (int64_t limit = 1000; limit < 12000000; limit += limit / 6) {
        struct fixture f;
        struct mr_file_statistics statistics;
        start(&f, SCHEMA, limit % 2 ? "gzip" : "snappy", limit);
        enum mr_status status = write_some(&f, 12, &statistics);
        assert_true(status == MR_OK || status == MR_LIMIT || status == MR_NOMEM);
        assert_true(mr_memory_peak(&f.memory) <= limit);
        if (status == MR_OK)
            check_file(&f);
        done += status == MR_OK;
        refused += status != MR_OK;
        stop(&f);
    }
    assert_true(done > 5 && refused > 5);
}

static void test_full_sink(void **state)
{
    (void)state;
    for (int64_t room = 0; room < 100000; room += 1 + room / 3) {
        struct fixture f;
        struct mr_file_statistics statistics;
        start(&f, SCHEMA, "none", INT64_MAX);
        f.write.row_group_rows = 500;
        f.sink.fail_at = room;
        assert_int_equal(write_some(&f, 2, &statistics), MR_SINK);
        if (f.writer != NULL) /* broken for good */
            assert_int_not_equal(mr_format_parquet.flush(f.writer, &f.err), MR_OK);
        stop(&f);
    }
}

static void test_flush_gives_memory_back(void **state)
{
    (void)state;
    struct fixture f;
    struct mr_file_statistics statistics;
    start(&f, SCHEMA, NULL, INT64_MAX);
    assert_int_equal(open_writer(&f), MR_OK);
    int64_t empty = mr_format_parquet.buffered(f.writer);
    struct mr_batch *batch = make_batch(f.write.schema, 0, 50000);
    assert_int_equal(mr_format_parquet.write(f.writer, batch, &f.err), MR_OK);
    assert_true(mr_format_parquet.buffered(f.writer) > 100000);
    assert_int_equal(mr_format_parquet.buffered(f.writer), mr_memory_used(&f.memory));
    assert_int_equal(mr_format_parquet.flush(f.writer, &f.err), MR_OK);
    assert_true(mr_format_parquet.buffered(f.writer) < empty + 20000);
    assert_int_equal(mr_format_parquet.flush(f.writer, &f.err), MR_OK); /* nothing to do */
    assert_int_equal(mr_format_parquet.write_finish(f.writer, &statistics, &f.err), MR_OK);
    assert_int_equal(statistics.rows, 50000);
    mr_batch_unref(batch);
    stop(&f);
}

static void test_small_writers(void **state)
{
    (void)state;
    /* A partitioned load keeps many files open, each with few rows. */
    struct fixture f;
    void *writers[100];
    start(&f, SCHEMA, NULL, INT64_MAX);
    struct mr_batch *batch = make_batch(f.write.schema, 0, 8);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(mr_format_parquet.write_open(&f.write, &f.sink.base, &writers[i], &f.err),
                         MR_OK);
        assert_int_equal(mr_format_parquet.write(writers[i], batch, &f.err), MR_OK);
    }
    assert_true(mr_memory_used(&f.memory) / 100 < 40000);
    for (int i = 0; i < 100; i++)
        mr_format_parquet.write_close(writers[i]);
    mr_batch_unref(batch);
    stop(&f);
}

static void test_empty_file(void **state)
{
    (void)state;
    struct fixture f;
    struct mr_file_statistics statistics;
    start(&f, SCHEMA, NULL, INT64_MAX);
    assert_int_equal(write_some(&f, 0, &statistics), MR_OK);
    check_file(&f);
    assert_int_equal(statistics.rows, 0);
    assert_false(statistics.leaves[0].has_bounds);
    stop(&f);
}

static void test_refusals(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "id bigint", "brotli", INT64_MAX);
    assert_int_equal(open_writer(&f), MR_CONFIG);
    f.write.compression = "snappy";
    f.write.level = 3;
    assert_int_equal(open_writer(&f), MR_CONFIG);
    f.write.compression = "zstd";
    f.write.level = 23;
    assert_int_equal(open_writer(&f), MR_CONFIG);
    assert_non_null(strstr(f.err.message, "22"));
    struct mr_field empty = {.name = "s", .type = mr_type_struct(&f.arena, NULL, 0)};
    f.write.level = 22;
    f.write.schema = mr_schema_new(&f.arena, &empty, 1);
    assert_int_equal(open_writer(&f), MR_CONFIG);
    assert_non_null(strstr(f.err.message, "column s"));
    stop(&f);
}

/* One column of one type from doubles, NaN meaning NULL when `nulls`. */
static enum mr_status write_doubles(struct fixture *f, const double *values, int64_t rows,
                                    bool nulls, struct mr_file_statistics *out)
{
    struct mr_builder b;
    struct mr_column *column;
    struct mr_batch *batch;
    mr_builder_init(&b, NULL, f->write.schema->fields[0].type, NULL);
    for (int64_t i = 0; i < rows; i++) {
        if (nulls && isnan(values[i]))
            mr_builder_null(&b, NULL);
        else
            mr_builder_double(&b, values[i], NULL);
    }
    mr_builder_finish(&b, &column, NULL);
    mr_builder_reset(&b);
    assert_int_equal(mr_batch_new(f->write.schema, rows, &column, &batch, NULL), MR_OK);
    enum mr_status status = open_writer(f);
    if (status == MR_OK)
        status = mr_format_parquet.write(f->writer, batch, &f->err);
    if (status == MR_OK)
        status = mr_format_parquet.write_finish(f->writer, out, &f->err);
    mr_batch_unref(batch);
    return status;
}

static void test_null_in_required_column(void **state)
{
    (void)state;
    struct fixture f;
    struct mr_file_statistics statistics;
    start(&f, "price double not null", NULL, INT64_MAX);
    assert_int_equal(write_doubles(&f, (double[]){1, NAN}, 2, true, &statistics), MR_SINK);
    assert_non_null(strstr(f.err.message, "price"));
    stop(&f);
}

static void test_nan_drops_file_bounds(void **state)
{
    (void)state;
    struct fixture f;
    struct mr_file_statistics statistics;
    start(&f, "price double", NULL, INT64_MAX);
    assert_int_equal(write_doubles(&f, (double[]){1, NAN, 3}, 3, false, &statistics), MR_OK);
    assert_false(statistics.leaves[0].has_bounds);
    stop(&f);
    start(&f, "price double", NULL, INT64_MAX);
    assert_int_equal(write_doubles(&f, (double[]){1, NAN, 3}, 3, true, &statistics), MR_OK);
    assert_true(statistics.leaves[0].has_bounds);
    assert_true(statistics.leaves[0].maximum.u.f64 == 3);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_statistics),
        cmocka_unit_test(test_memory_limits),
        cmocka_unit_test(test_full_sink),
        cmocka_unit_test(test_flush_gives_memory_back),
        cmocka_unit_test(test_small_writers),
        cmocka_unit_test(test_empty_file),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_null_in_required_column),
        cmocka_unit_test(test_nan_drops_file_bounds),
    };
    return cmocka_run_group_tests_name("format/parquet writer", tests, NULL, NULL);
}
