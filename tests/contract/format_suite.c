/*
 * format_suite.c - the writing half of ext/format.h, on every registered format that can write.
 *
 * What is in the files is read back by other programs in tests/interop; here is how a writer behaves: bytes and rows it
 * reports, memory it gives back, the same bytes every time, errors of the sink passed on.
 */
#include "contract/fixture.h"
#include "contract/registered.h"
#include "ext/format.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct fixture f;
static const struct mr_format *format; /* under test */

struct memory_sink {
    struct mr_byte_sink base;
    struct mr_bytes bytes;
    int fail_at; /* number of the append that fails, 0 = none */
    int appends;
};

static enum mr_status append(struct mr_byte_sink *base, const void *data, size_t size,
                             struct mr_error *err)
{
    struct memory_sink *sink = (struct memory_sink *)(void *)base;
    if (++sink->appends == sink->fail_at)
        return mr_error_set(err, MR_SINK, MR_CLASS_TRANSIENT, "the disk says no");
    mr_bytes_append(&sink->bytes, data, size);
    return mr_bytes_status(&sink->bytes, err);
}

static void sink_init(struct memory_sink *sink, int fail_at)
{
    *sink = (struct memory_sink){.base = {append}, .fail_at = fail_at};
    mr_bytes_init(&sink->bytes, (size_t)1 << 28);
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, 0);
    f.registry = *contract_registry();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fixture_reset(&f);
}

#define SCHEMA                                                                                     \
    "a BYTE, b SHORT, c INT, d BIGINT, e FLOAT, f DOUBLE, g DECIMAL(9,2), h DECIMAL(38,3), "       \
    "i BOOLEAN, j DATE, k TIMESTAMP, l TIMESTAMP_NTZ, m TIME, n STRING, o BINARY, p JSON"

static const char *const rows[] = {
    "1|2|3|4|1.5|2.5|1.25|-7.125|1|0|0|0|0|text|bytes|{}",
    "~|~|~|~|~|~|~|~|~|~|~|~|~|~|~|~",
    "-1|-2|-3|-4|nan|-inf|-0.01|0.001|0|-1|-1|-1|1|\xC3\xA9||[1]",
    NULL,
};

static struct mr_format_write request(const struct mr_schema *schema)
{
    return (struct mr_format_write){.schema = schema,
                                    .compression = "none",
                                    .level = INT_MIN,
                                    .runtime = &f.runtime};
}

/* Writes the rows `times` over; flushes behind each batch when told to. */
static void write_file(struct memory_sink *sink, int times, bool flush,
                       struct mr_file_statistics *statistics)
{
    struct mr_batch *batch = fixture_batch(&f, SCHEMA, rows);
    struct mr_format_write write = request(batch->schema);
    void *writer;
    FIXTURE_OK(&f, format->write_open(&write, &sink->base, &writer, &f.err));
    for (int i = 0; i < times; i++) {
        int64_t before = format->written(writer);
        FIXTURE_OK(&f, format->write(writer, batch, &f.err));
        assert_true(format->written(writer) >= before);
        assert_true(format->buffered(writer) >= 0);
        if (flush) {
            FIXTURE_OK(&f, format->flush(writer, &f.err));
            assert_true(format->written(writer) > before);
        }
        assert_int_equal(format->written(writer), sink->bytes.size);
    }
    FIXTURE_OK(&f, format->write_finish(writer, statistics, &f.err));
    assert_int_equal(statistics->rows, 3 * times);
    assert_int_equal(statistics->bytes, sink->bytes.size);
    if (statistics->leaves)
        assert_int_equal(statistics->nleaves, batch->schema->nfields);
    format->write_close(writer);
    mr_batch_unref(batch);
}

static void test_writes(void **state)
{
    (void)state;
    for (int flush = 0; flush < 2; flush++) {
        struct memory_sink one, two;
        struct mr_file_statistics statistics;
        sink_init(&one, 0);
        sink_init(&two, 0);
        write_file(&one, 50, flush, &statistics);
        write_file(&two, 50, flush, &statistics);
        assert_int_equal(one.bytes.size, two.bytes.size);
        assert_memory_equal(one.bytes.data, two.bytes.data, one.bytes.size);
        mr_bytes_reset(&one.bytes);
        mr_bytes_reset(&two.bytes);
    }
}

static void test_empty(void **state)
{
    (void)state;
    struct memory_sink sink;
    struct mr_file_statistics statistics;
    sink_init(&sink, 0);
    write_file(&sink, 0, false, &statistics);
    mr_bytes_reset(&sink.bytes);
}

static void test_close_without_finish(void **state)
{
    (void)state;
    struct memory_sink sink;
    sink_init(&sink, 0);
    struct mr_batch *batch = fixture_batch(&f, SCHEMA, rows);
    struct mr_format_write write = request(batch->schema);
    void *writer;
    FIXTURE_OK(&f, format->write_open(&write, &sink.base, &writer, &f.err));
    FIXTURE_OK(&f, format->write(writer, batch, &f.err));
    format->write_close(writer);
    mr_batch_unref(batch);
    mr_bytes_reset(&sink.bytes);
}

/* The sink fails at its first, second, ... append until the file is done: always the sink's error, no leak. */
static void test_sink_errors(void **state)
{
    (void)state;
    struct mr_batch *batch = fixture_batch(&f, SCHEMA, rows);
    bool done = false;
    for (int fail_at = 1; !done; fail_at++) {
        struct memory_sink sink;
        struct mr_file_statistics statistics;
        struct mr_format_write write = request(batch->schema);
        void *writer = NULL;
        sink_init(&sink, fail_at);
        enum mr_status status = format->write_open(&write, &sink.base, &writer, &f.err);
        bool opened = status == MR_OK;
        for (int i = 0; i < 3 && status == MR_OK; i++) {
            status = format->write(writer, batch, &f.err);
            if (status == MR_OK)
                status = format->flush(writer, &f.err);
        }
        if (status == MR_OK)
            status = format->write_finish(writer, &statistics, &f.err);
        if (opened)
            format->write_close(writer);
        done = status == MR_OK;
        if (!done) {
            assert_int_equal(status, MR_SINK);
            assert_int_equal(f.err.cls, MR_CLASS_TRANSIENT);
            assert_non_null(strstr(f.err.message, "the disk says no"));
        }
        mr_bytes_reset(&sink.bytes);
    }
    mr_batch_unref(batch);
}

static void test_memory_limit(void **state)
{
    (void)state;
    struct mr_batch *batch = fixture_batch(&f, SCHEMA, rows);
    struct mr_memory small;
    mr_memory_init(&small, NULL, "small", 100);
    f.runtime.memory = &small;
    struct memory_sink sink;
    sink_init(&sink, 0);
    struct mr_format_write write = request(batch->schema);
    struct mr_file_statistics statistics;
    void *writer = NULL;
    enum mr_status status = format->write_open(&write, &sink.base, &writer, &f.err);
    bool opened = status == MR_OK;
    for (int i = 0; i < 1000 && status == MR_OK; i++)
        status = format->write(writer, batch, &f.err);
    if (status == MR_OK)
        status = format->write_finish(writer, &statistics, &f.err);
    assert_int_equal(mr_status_exit_code(status), 8);
    if (opened)
        format->write_close(writer);
    assert_int_equal(mr_memory_used(&small), 0);
    f.runtime.memory = &f.memory;
    mr_batch_unref(batch);
    mr_bytes_reset(&sink.bytes);
}

static void test_compression(void **state)
{
    (void)state;
    const struct mr_schema *schema = fixture_schema(&f, "a INT");
    struct mr_format_write write = request(schema);
    struct memory_sink sink;
    void *writer;
    sink_init(&sink, 0);
    write.compression = "no-such-codec";
    assert_int_equal(format->write_open(&write, &sink.base, &writer, &f.err), MR_CONFIG);
    mr_bytes_reset(&sink.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_without_finish, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sink_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compression, setup, teardown),
    };
    int failed = 0;
    for (int i = 0; contract_registry()->formats[i]; i++) {
        format = contract_registry()->formats[i];
        if (!format->write_open)
            continue;
        printf("# format %s\n", format->name);
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
