/*
 * test_delta_files.c - what the log says of a file: deletion vectors, partition values, statistics.
 */
#include "connect/delta/private.h"
#include "connect/delta/value.h"
#include "connect/delta/vector.h"
#include "contract/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, (int64_t)64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fixture_reset(&f);
}

/* ---- deletion vectors ---- */

static void test_z85(void **state)
{
    (void)state;
    uint8_t out[32];
    static const uint8_t hello[] = {0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B};
    assert_true(delta_z85_decode("HelloWorld", 10, out)); /* the vector of RFC 32 */
    assert_memory_equal(out, hello, 8);
    assert_false(delta_z85_decode("Hello~orld", 10, out));
    assert_false(delta_z85_decode("Hello", 4, out));
    assert_false(delta_z85_decode("#####", 5, out)); /* more than 32 bits */
    struct delta_vector vector = {.storage = 'u', .text = "ab^-aqEH.-t@S}K{vb[*k^"};
    assert_string_equal(delta_vector_path(&vector, "/t", &f.arena),
                        "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin");
    vector.text = "short";
    assert_null(delta_vector_path(&vector, "/t", &f.arena));
}

static void put16(struct mr_bytes *bytes, unsigned value)
{
    mr_bytes_u8(bytes, (uint8_t)value);
    mr_bytes_u8(bytes, (uint8_t)(value >> 8));
}

/* Values 1, 3, 70000..70009 and every even one of 131072..196607, in the three forms. */
static void make_vector(struct mr_bytes *out)
{
    mr_bytes_init(out, 1 << 20);
    mr_bytes_u32le(out, 1681511377);
    mr_bytes_u64le(out, 2);
    mr_bytes_u32le(out, 0);
    mr_bytes_u32le(out, 12347 | 2 << 16); /* three blocks */
    mr_bytes_u8(out, 2);                  /* the second one is of runs */
    put16(out, 0), put16(out, 1);
    put16(out, 1), put16(out, 9);
    put16(out, 2), put16(out, 32767);
    put16(out, 1), put16(out, 3);
    put16(out, 1), put16(out, 70000 - 65536), put16(out, 9);
    for (int i = 0; i < 8192; i++)
        mr_bytes_u8(out, 0x55);
    mr_bytes_u32le(out, 1); /* high half 1: one block without runs */
    mr_bytes_u32le(out, 12346);
    mr_bytes_u32le(out, 1);
    put16(out, 0), put16(out, 0);
    mr_bytes_u32le(out, 0);
    put16(out, 7);
}

static void test_deleted(void **state)
{
    (void)state;
    struct mr_bytes bytes;
    struct delta_deleted deleted;
    struct delta_deleted_cursor cursor = {0};
    make_vector(&bytes);
    FIXTURE_OK(&f, delta_deleted_parse(bytes.data, bytes.size, &f.arena, &deleted, &f.err));
    assert_int_equal(deleted.cardinality, 2 + 10 + 32768 + 1);
    for (uint64_t row = 0; row < 200000; row++) {
        bool gone = row == 1 || row == 3 || (row >= 70000 && row < 70010) ||
                    (row >= 131072 && row < 196608 && row % 2 == 0);
        assert_int_equal(delta_deleted_has(&deleted, &cursor, row), gone);
    }
    assert_true(delta_deleted_has(&deleted, &cursor, (UINT64_C(1) << 32) + 7));
    assert_true(delta_deleted_has(&deleted, &cursor, 3)); /* back again */
    assert_true(delta_deleted_has(&deleted, &cursor, 1));
    assert_false(delta_deleted_has(&deleted, &cursor, 0));
    mr_bytes_reset(&bytes);
}

/* Every prefix is refused, and every changed byte is refused or gives something that can be asked. */
static void test_hostile(void **state)
{
    (void)state;
    struct mr_bytes bytes;
    struct delta_deleted deleted;
    make_vector(&bytes);
    for (size_t size = 0; size < bytes.size; size += size < 100 ? 1 : 97) {
        char *cut = mr_alloc(size);
        memcpy(cut, bytes.data, size);
        assert_int_equal(delta_deleted_parse(cut, size, &f.arena, &deleted, &f.err), MR_SOURCE);
        mr_free(cut);
    }
    for (size_t at = 0; at < bytes.size; at += at < 100 ? 1 : 511) {
        char kept = bytes.data[at];
        for (int flip = 1; flip < 256; flip = flip * 2 + 1) {
            bytes.data[at] = (char)(kept ^ flip);
            if (delta_deleted_parse(bytes.data, bytes.size, &f.arena, &deleted, &f.err) == MR_OK) {
                struct delta_deleted_cursor cursor = {0};
                for (uint64_t row = 0; row < 200000; row += 777)
                    delta_deleted_has(&deleted, &cursor, row);
            }
        }
        bytes.data[at] = kept;
    }
    mr_bytes_reset(&bytes);
}

/* ---- partition values ---- */

static void is_value(const char *type_text, const char *text, const char *expected)
{
    const struct mr_type *type;
    FIXTURE_OK(&f, mr_type_parse(&f.arena, type_text, &type, &f.err));
    struct mr_tz *berlin;
    FIXTURE_OK(&f, mr_tz_new("+02:00", &berlin, &f.err));
    struct mr_value value;
    bool good = delta_value_parse(type, text, berlin, &value);
    struct mr_bytes out;
    mr_bytes_init(&out, 1000);
    if (good)
        mr_value_format(&value, &out);
    if (strcmp(good ? out.data : "wrong", expected) != 0)
        fail_msg("%s of '%s' is %s", type_text, text, good ? out.data : "wrong");
    mr_bytes_reset(&out);
    mr_tz_free(berlin);
}

static void test_values(void **state)
{
    (void)state;
    is_value("int", "-5", "-5");
    is_value("int", "5000000000", "wrong");
    is_value("tinyint", "128", "wrong");
    is_value("bigint", "9223372036854775807", "9223372036854775807");
    is_value("int", "", "NULL");
    is_value("string", "", "NULL");
    is_value("string", "null", "null");
    is_value("boolean", "true", "true");
    is_value("boolean", "1", "wrong");
    is_value("double", "1.5E3", "1500.0");
    is_value("double", "NaN", "NaN");
    is_value("decimal(10,2)", "-12.30", "-12.30");
    is_value("date", "2024-02-29", "2024-02-29");
    is_value("date", "2023-02-29", "wrong");
    is_value("timestamp", "2024-01-01 10:00:00.5", "2024-01-01 08:00:00.5");
    is_value("timestamp", "2024-01-01T10:00:00.000001Z", "2024-01-01 10:00:00.000001");
    is_value("timestamp", "2024-01-01T10:00:00-08:00", "2024-01-01 18:00:00");
    is_value("timestamp", "2024-01-01", "2023-12-31 22:00:00");
    is_value("timestamp_ntz", "2024-01-01 10:00:00", "2024-01-01 10:00:00");
    is_value("timestamp", "soon", "wrong");
}

/* ---- statistics ---- */

static const char *const columns[] = {"p"};
static struct delta_statistics *statistics;

static struct mr_part_column about(const char *stats, bool vector, int column)
{
    static const struct delta_vector some = {.cardinality = 1};
    static const char *const values[] = {"x"};
    static struct delta_file file;
    file = (struct delta_file){.stats = stats,
                               .partition_values = values,
                               .vector = vector ? &some : NULL};
    delta_statistics_file(statistics, &file);
    struct mr_part_column out;
    delta_statistics_column(statistics, column, &out);
    return out;
}

static void test_statistics(void **state)
{
    (void)state;
    struct delta_metadata metadata = {.npartition_columns = 1, .partition_columns = columns};
    metadata.schema = metadata.physical =
        fixture_schema(&f, "id bigint, t timestamp, s string, d double, m decimal(20,2), p string");
    FIXTURE_OK(&f, delta_statistics_new(&metadata, NULL, &statistics, &f.err));
    const char *stats =
        "{\"numRecords\":3,\"minValues\":{\"id\":-4,\"t\":\"2024-01-01T00:00:00.000Z\",\"s\":"
        "\"a\\u0062\",\"d\":1.5,\"m\":12345678901234567.25},\"maxValues\":{\"id\":9,\"t\":"
        "\"2024-01-01T00:00:00.123Z\",\"d\":\"NaN\"},\"nullCount\":{\"id\":0,\"t\":1,\"s\":3}}";
    struct mr_part_column column = about(stats, false, 0);
    assert_true(column.has_minimum && column.has_maximum);
    assert_int_equal(column.minimum.u.i64, -4);
    assert_int_equal(column.maximum.u.i64, 9);
    assert_int_equal(column.nulls, 0);
    assert_int_equal(column.rows, 3);
    column = about(stats, true, 1);
    assert_int_equal(column.nulls, -1); /* wide bounds: one of three says nothing */
    assert_int_equal(column.maximum.u.i64 % 1000000, 123999);
    assert_int_equal(about(stats, true, 2).nulls, 3);
    column = about(stats, false, 2);
    assert_false(column.has_maximum);
    assert_memory_equal(column.minimum.u.bytes.data, "ab", 2);
    column = about(stats, false, 3);
    assert_true(column.has_minimum && !column.has_maximum && column.may_have_nan);
    column = about(stats, false, 4);
    assert_true(column.minimum.u.i128 < (mr_int128)1234567890123456725);
    column = about(stats, false, 5);
    assert_memory_equal(column.minimum.u.bytes.data, "x", 1);
    assert_int_equal(column.nulls, 0);
    column = about("{\"numRecords\":", false, 0);
    assert_false(column.has_minimum || column.has_maximum);
    assert_int_equal(column.rows, -1);
    assert_false(about("{\"minValues\":{\"id\":true}}", false, 0).has_minimum);
    delta_statistics_free(statistics);
}

static void test_pruned(void **state)
{
    (void)state;
    const struct mr_schema *schema = fixture_schema(&f, "id bigint, p string");
    static const char *const low[] = {"a"};
    static const char *const high[] = {"b"};
    struct delta_file files[] = {{.path = "1",
                                  .size = 5,
                                  .partition_values = low,
                                  .stats = "{\"minValues\":{\"id\":1},\"maxValues\":{\"id\":9}}"},
                                 {.path = "2",
                                  .size = 7,
                                  .partition_values = high,
                                  .stats = "{\"minValues\":{\"id\":10},\"maxValues\":{\"id\":19}}"},
                                 {.path = "3", .size = 11, .partition_values = high}};
    struct delta_snapshot snapshot = {.nfiles = 3,
                                      .files = files,
                                      .metadata = {.npartition_columns = 1,
                                                   .partition_columns = columns,
                                                   .schema = schema,
                                                   .physical = schema}};
    struct mr_value ten = {.type = mr_type_of(MR_TYPE_INT64), .u.i64 = 10};
    struct mr_value a = {.type = mr_type_of(MR_TYPE_STRING), .u.bytes = {"a", 1}};
    struct mr_predicate below = {
        .kind = MR_PREDICATE_COMPARE, .column = 0, .compare = MR_LT, .nvalues = 1, .values = &ten};
    struct mr_predicate not_a = below;
    not_a.column = 1;
    not_a.compare = MR_NE;
    not_a.values = &a;
    const struct mr_predicate *both[] = {&below, &not_a};
    int *left;
    int count;
    struct delta_skipped skipped;
    FIXTURE_OK(&f,
               delta_prune(&snapshot, both, 1, NULL, &f.arena, &left, &count, &skipped, &f.err));
    assert_int_equal(count, 2);
    assert_int_equal(left[1], 2);
    assert_int_equal(skipped.bytes, 7);
    FIXTURE_OK(&f,
               delta_prune(&snapshot, both, 2, NULL, &f.arena, &left, &count, &skipped, &f.err));
    assert_int_equal(count, 1);
    assert_int_equal(left[0], 2);
    assert_true(delta_by_partition(&snapshot.metadata, &not_a));
    assert_false(delta_by_partition(&snapshot.metadata, &below));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_z85, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deleted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_statistics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pruned, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
