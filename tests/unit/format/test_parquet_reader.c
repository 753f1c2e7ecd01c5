/*
 * The Parquet reader as an object: files cut at every length, every bit of a file flipped, accounts that are too small, and
 * its decoders alone. What values mean is the business of tests/interop/test_parquet_read.py.
 */
#include "base/hash.h"
#include "codec/codecs.h"
#include "col/builder.h"
#include "ext/registry.h"
#include "format/parquet/delta.h"
#include "format/parquet/delta_write.h"
#include "format/parquet/hybrid.h"
#include "format/parquet/parquet.h"
#include "format/parquet/rle.h"
#include "format/parquet/thrift_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct mr_codec *const codecs[] = {&mr_codec_snappy, &mr_codec_zstd, &mr_codec_gzip,
                                                &mr_codec_lz4, NULL};
static const struct mr_registry registry = {.codecs = codecs};

/* ---- a file in memory ---- */

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

/* (id bigint, name string, tags array<string>): every seventh name is NULL. */
#define SCHEMA "id bigint, name string, tags array<string>"

static struct mr_batch *make_batch(const struct mr_schema *schema, int64_t rows)
{
    struct mr_builder b[3];
    struct mr_column *columns[3];
    struct mr_batch *batch;
    for (int c = 0; c < 3; c++)
        assert_int_equal(mr_builder_init(&b[c], NULL, schema->fields[c].type, NULL), MR_OK);
    for (int64_t i = 0; i < rows; i++) {
        char text[32];
        int size = snprintf(text, sizeof text, "name %d", (int)(mr_hash_mix((uint64_t)i) % 50));
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

struct file {
    struct mr_arena arena;
    struct sink sink;
    struct mr_memory memory;
    struct mr_counters counters;
    struct mr_runtime runtime;
    struct mr_error err;
};

static void make_file(struct file *f, const char *compression, int64_t rows, int64_t group_rows)
{
    *f = (struct file){.sink = {.base = {append}}};
    const struct mr_schema *schema;
    struct mr_file_statistics statistics;
    void *writer;
    mr_arena_init(&f->arena, NULL);
    mr_bytes_init(&f->sink.bytes, (size_t)1 << 30);
    mr_memory_init(&f->memory, NULL, "test", INT64_MAX);
    f->runtime = (struct mr_runtime){.memory = &f->memory,
                                     .counters = &f->counters,
                                     .registry = &registry,
                                     .batch_rows = 16};
    assert_int_equal(mr_schema_parse(&f->arena, SCHEMA, &schema, &f->err), MR_OK);
    struct mr_format_write write = {.schema = schema,
                                    .compression = compression,
                                    .level = INT_MIN,
                                    .row_group_rows = group_rows,
                                    .runtime = &f->runtime};
    struct mr_batch *batch = make_batch(schema, rows);
    assert_int_equal(mr_format_parquet.write_open(&write, &f->sink.base, &writer, &f->err), MR_OK);
    assert_int_equal(mr_format_parquet.write(writer, batch, &f->err), MR_OK);
    assert_int_equal(mr_format_parquet.write_finish(writer, &statistics, &f->err), MR_OK);
    mr_format_parquet.write_close(writer);
    mr_batch_unref(batch);
}

static void drop_file(struct file *f)
{
    mr_bytes_reset(&f->sink.bytes);
    mr_arena_reset(&f->arena);
}

/* Reads all; every column must keep the invariants and all memory must come back. */
static enum mr_status read_bytes(struct file *f, const uint8_t *data, size_t size, int64_t limit,
                                 const struct mr_predicate *predicate, int64_t *rows)
{
    struct source source = {.base = {(int64_t)size, "file", read_part, read_many}, .data = data};
    struct mr_file_range range = {0, INT64_MAX};
    struct mr_format_read read = {.source = &source.base,
                                  .runtime = &f->runtime,
                                  .predicates = &predicate,
                                  .npredicates = predicate != NULL};
    struct mr_batch *batch = NULL;
    void *reader = NULL;
    *rows = 0;
    mr_memory_init(&f->memory, NULL, "test", limit);
    f->err = (struct mr_error){0};
    enum mr_status status = mr_format_parquet.read_open(&read, &range, &reader, &f->err);
    while (status == MR_OK) {
        status = mr_format_parquet.read_next(reader, &batch, &f->err);
        if (status != MR_OK || batch == NULL)
            break;
        for (int i = 0; i < batch->schema->nfields; i++)
            assert_int_equal(mr_column_check(batch->columns[i], NULL), MR_OK);
        *rows += batch->rows;
        mr_batch_unref(batch);
    }
    mr_format_parquet.read_close(reader);
    assert_int_equal(mr_memory_used(&f->memory), 0);
    if (status != MR_OK)
        assert_true(f->err.message[0] != '\0');
    return status;
}

/* ---- cases ---- */

static void reads_what_was_written(void **state)
{
    (void)state;
    struct file f;
    int64_t rows;
    make_file(&f, "snappy", 500, 120);
    const uint8_t *data = (const uint8_t *)f.sink.bytes.data;
    assert_int_equal(read_bytes(&f, data, f.sink.bytes.size, INT64_MAX, NULL, &rows), MR_OK);
    assert_int_equal(rows, 500);
    drop_file(&f);
}

/* Ends anywhere: an error of class data, always. */
static void cut_at_every_length(void **state)
{
    (void)state;
    struct file f;
    int64_t rows;
    make_file(&f, "none", 40, 25);
    for (size_t size = 0; size < f.sink.bytes.size; size++) {
        uint8_t *copy = mr_alloc(size + 1);
        memcpy(copy, f.sink.bytes.data, size);
        assert_int_equal(read_bytes(&f, copy, size, INT64_MAX, NULL, &rows), MR_SOURCE);
        assert_int_equal(f.err.cls, MR_CLASS_DATA);
        mr_free(copy);
    }
    drop_file(&f);
}

/* The end is there, and bytes in front of it are missing. */
static void cut_inside(void **state)
{
    (void)state;
    struct file f;
    int64_t rows;
    make_file(&f, "none", 40, 25);
    for (size_t gone = 1; gone + 12 < f.sink.bytes.size; gone += 3) {
        size_t size = f.sink.bytes.size - gone;
        uint8_t *copy = mr_alloc(size);
        memcpy(copy, f.sink.bytes.data + gone, size);
        assert_int_not_equal(read_bytes(&f, copy, size, (int64_t)64 << 20, NULL, &rows), MR_OK);
        mr_free(copy);
    }
    drop_file(&f);
}

/* Any answer that is no crash: with pages' checksums most are errors. */
static void flip_every_bit(void **state)
{
    (void)state;
    struct file f;
    int64_t rows;
    static const char *const compressions[] = {"none", "zstd"};
    struct mr_value limit = {.type = mr_type_of(MR_TYPE_INT64), .u.i64 = 20};
    struct mr_predicate predicate = {.kind = MR_PREDICATE_COMPARE,
                                     .compare = MR_GT,
                                     .nvalues = 1,
                                     .values = &limit};
    for (int c = 0; c < 2; c++) {
        make_file(&f, compressions[c], 40, 25);
        size_t size = f.sink.bytes.size;
        uint8_t *copy = mr_alloc(size);
        memcpy(copy, f.sink.bytes.data, size);
        for (size_t bit = 0; bit < size * 8; bit++) {
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            (void)read_bytes(&f, copy, size, (int64_t)16 << 20, bit % 2 ? &predicate : NULL, &rows);
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        mr_free(copy);
        drop_file(&f);
    }
}

/* Every account is enough or says that it is not. */
static void small_accounts(void **state)
{
    (void)state;
    struct file f;
    int64_t rows;
    make_file(&f, "snappy", 5000, 5000);
    f.runtime.batch_rows = 0;
    const uint8_t *data = (const uint8_t *)f.sink.bytes.data;
    enum mr_status last = MR_LIMIT;
    for (int64_t limit = 64; limit < (int64_t)64 << 20; limit = limit * 3 / 2) {
        enum mr_status status = read_bytes(&f, data, f.sink.bytes.size, limit, NULL, &rows);
        assert_true(status == MR_OK || status == MR_LIMIT || status == MR_NOMEM);
        last = status;
    }
    assert_int_equal(last, MR_OK);
    drop_file(&f);
}

static void row_groups_are_left_out(void **state)
{
    (void)state;
    struct file f;
    int64_t rows;
    struct mr_value limit = {.type = mr_type_of(MR_TYPE_INT64), .u.i64 = 250};
    struct mr_predicate predicate = {.kind = MR_PREDICATE_COMPARE,
                                     .compare = MR_GE,
                                     .nvalues = 1,
                                     .values = &limit};
    make_file(&f, "snappy", 400, 100);
    const uint8_t *data = (const uint8_t *)f.sink.bytes.data;
    assert_int_equal(read_bytes(&f, data, f.sink.bytes.size, INT64_MAX, &predicate, &rows), MR_OK);
    assert_int_equal(rows, 200);
    assert_true(f.counters.value[MR_COUNT_BYTES_SKIPPED] > 0);
    drop_file(&f);
}

/* ---- decoders ---- */

static void hybrid_round_trip(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static uint32_t values[COUNT + 8], back[COUNT + 8];
    for (int width = 1; width <= 32; width++) {
        uint64_t mask = (UINT64_C(1) << width) - 1;
        for (int i = 0; i < COUNT; i++)
            values[i] =
                (uint32_t)(mr_hash_mix(i / 50 % 3 ? (uint64_t)i : (uint64_t)(i / 50)) & mask);
        size_t bound = mr_rle_bound(COUNT, width);
        uint8_t *bytes = mr_calloc(1, bound + MR_PQ_SLACK);
        size_t size = mr_rle_encode(values, COUNT, width, bytes);
        struct mr_pq_hybrid hybrid;
        mr_pq_hybrid_init(&hybrid, bytes, size, width);
        int at = 0;
        for (int step = 1; at < COUNT; step = step * 2 % 611) {
            int now = step < COUNT - at ? step : COUNT - at;
            if (step % 5 == 4) {
                assert_true(mr_pq_hybrid_skip(&hybrid, now));
                memcpy(back + at, values + at, (size_t)now * 4);
            } else {
                assert_true(mr_pq_hybrid_get(&hybrid, back + at, now));
            }
            at += now;
        }
        assert_memory_equal(values, back, COUNT * 4);
        mr_free(bytes);
    }
}

static void hybrid_bits(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static uint32_t values[COUNT + 8];
    static uint8_t bytes[COUNT * 2 + 64], bits[COUNT / 8 + 16];
    int64_t ones = 0, wanted = 0;
    struct mr_pq_hybrid hybrid;
    for (int i = 0; i < COUNT; i++) {
        values[i] =
            i / 100 % 2 ? (uint32_t)(mr_hash_mix((uint64_t)i) & 1) : (uint32_t)(i / 200 & 1);
        wanted += values[i];
    }
    mr_pq_hybrid_init(&hybrid, bytes, mr_rle_encode(values, COUNT, 1, bytes), 1);
    for (int64_t at = 0, step = 1; at < COUNT; at += step, step = step * 3 % 157) {
        step = step < COUNT - at ? step : COUNT - at;
        assert_true(mr_pq_hybrid_get_bits(&hybrid, bits, at, step, &ones));
    }
    assert_int_equal(ones, wanted);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal((bits[i / 8] >> (i % 8)) & 1, values[i]);
}

/* 0..7 in three bits each, highest bit first: 00000101 00111001 01110111 (the specification's example). */
static void legacy_levels(void **state)
{
    (void)state;
    static const uint8_t bytes[3 + MR_PQ_SLACK] = {0x05, 0x39, 0x77};
    uint32_t values[9];
    struct mr_pq_hybrid hybrid;
    mr_pq_hybrid_init_legacy(&hybrid, bytes, 3, 3);
    assert_true(mr_pq_hybrid_get(&hybrid, values, 8));
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(values[i], i);
    assert_false(mr_pq_hybrid_get(&hybrid, values, 1));
}

/* The specification's example: 1 2 3 4 5 is a head, one block of least difference 1 and widths 0. */
static void delta_example(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {128, 1, 4, 5, 2, 2, 0, 0, 0, 0, [31] = 0};
    int64_t values[5];
    size_t used;
    assert_int_equal(mr_pq_delta_count(bytes, 10), 5);
    assert_true(mr_pq_delta_read(bytes, 10, 8, values, &used));
    assert_int_equal(used, 10);
    for (int i = 0; i < 5; i++)
        assert_int_equal(values[i], i + 1);
    for (size_t size = 0; size < 9; size++)
        assert_false(mr_pq_delta_count(bytes, size) == 5 &&
                     mr_pq_delta_read(bytes, size, 8, values, &used));
}

static void delta_round_trip(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static int64_t wide[COUNT], wide_back[COUNT];
    static int32_t narrow[COUNT], narrow_back[COUNT];
    uint8_t *bytes = mr_alloc(mr_pq_delta_bound(COUNT, 8) + MR_PQ_SLACK);
    for (int bits = 0; bits <= 64; bits++) {
        int64_t count = bits == 3 ? 0 : bits == 4 ? 1 : bits == 5 ? 129 : COUNT - bits;
        for (int i = 0; i < COUNT; i++) {
            uint64_t value = mr_hash_mix((uint64_t)(i * 67 + bits));
            wide[i] = bits == 0 ? i * 5 : (int64_t)(value >> (64 - bits));
            narrow[i] = (int32_t)wide[i];
        }
        size_t used, size = mr_pq_delta_write(wide, count, 8, bytes);
        assert_true(size <= mr_pq_delta_bound(count, 8));
        assert_int_equal(mr_pq_delta_count(bytes, size), count);
        assert_true(mr_pq_delta_read(bytes, size, 8, wide_back, &used));
        assert_int_equal(used, size);
        assert_memory_equal(wide, wide_back, (size_t)count * 8);
        size = mr_pq_delta_write(narrow, count, 4, bytes);
        assert_true(size <= mr_pq_delta_bound(count, 4));
        assert_true(mr_pq_delta_read(bytes, size, 4, narrow_back, &used));
        assert_memory_equal(narrow, narrow_back, (size_t)count * 4);
    }
    mr_free(bytes);
}

static void check_strings(const struct mr_buffer *lengths, int64_t count, const uint8_t *data,
                          const uint8_t *plain)
{
    const int32_t *sizes = (const int32_t *)(const void *)lengths->data;
    for (int64_t i = 0; i < count; i++) {
        uint32_t size;
        memcpy(&size, plain, 4);
        assert_int_equal(sizes[i], size);
        assert_memory_equal(data, plain + 4, size);
        data += size;
        plain += 4 + size;
    }
}

static void strings_round_trip(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    static int32_t a[COUNT], b[COUNT];
    static uint8_t plain[COUNT * 40], bytes[COUNT * 60 + 4096];
    uint8_t *at = plain;
    for (int i = 0; i < COUNT; i++) {
        char text[32];
        uint32_t size = i % 9 ? (uint32_t)snprintf(text, sizeof text, "key %06d", i) : 0;
        memcpy(at, &size, 4);
        memcpy(at + 4, text, size);
        at += 4 + size;
    }
    struct mr_buffer *lengths, *data;
    int64_t count;
    size_t begin, size = mr_pq_delta_lengths_write(plain, COUNT, a, bytes);
    assert_int_equal(mr_pq_delta_lengths(NULL, bytes, size, COUNT, &lengths, &count, &begin, NULL),
                     MR_OK);
    assert_int_equal(count, COUNT);
    check_strings(lengths, COUNT, bytes + begin, plain);
    mr_buffer_unref(lengths);
    size = mr_pq_delta_strings_write(plain, COUNT, a, b, bytes);
    assert_true(size < (size_t)(at - plain) / 2);
    assert_int_equal(mr_pq_delta_strings(NULL, bytes, size, COUNT, &lengths, &count, &data, NULL),
                     MR_OK);
    assert_int_equal(count, COUNT);
    check_strings(lengths, COUNT, data->data, plain);
    mr_buffer_unref(lengths);
    mr_buffer_unref(data);
    for (int width = 1; width <= 16; width++) {
        static uint8_t joined[COUNT * 16];
        mr_pq_stream_split(plain, COUNT, width, bytes);
        mr_pq_stream_join(bytes, COUNT, width, joined);
        assert_memory_equal(joined, plain, (size_t)(COUNT * width));
    }
}

static void thrift_limits(void **state)
{
    (void)state;
    struct mr_thrift_in in;
    struct mr_thrift_field field = {0};
    /* Lists of lists without end. */
    uint8_t deep[1000];
    memset(deep, 0x19, sizeof deep);
    mr_thrift_in_init(&in, deep, sizeof deep);
    assert_true(mr_thrift_in_field(&in, &field));
    mr_thrift_in_skip(&in, field.type);
    assert_true(in.bad);
    /* A list of 2^40 elements in 10 bytes. */
    static const uint8_t huge[] = {0x19, 0xfc, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0, 0};
    mr_thrift_in_init(&in, huge, sizeof huge);
    field = (struct mr_thrift_field){0};
    assert_true(mr_thrift_in_field(&in, &field));
    assert_int_equal(mr_thrift_in_list(&in, &field, MR_THRIFT_STRUCT), 0);
    assert_true(in.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_written),
        cmocka_unit_test(cut_at_every_length),
        cmocka_unit_test(cut_inside),
        cmocka_unit_test(flip_every_bit),
        cmocka_unit_test(small_accounts),
        cmocka_unit_test(row_groups_are_left_out),
        cmocka_unit_test(hybrid_round_trip),
        cmocka_unit_test(hybrid_bits),
        cmocka_unit_test(legacy_levels),
        cmocka_unit_test(delta_example),
        cmocka_unit_test(delta_round_trip),
        cmocka_unit_test(strings_round_trip),
        cmocka_unit_test(thrift_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
