/*
 * test_marks.c - where incremental reading has ended, as bytes: what was written is read; every flipped bit, every truncation and every
 * byte more is refused; damage under a right checksum is refused or read, but never beyond the bytes.
 */
#include "base/hash.h"
#include "connect/delta/source.h"
#include "connect/files/incremental.h"
#include "connect/postgres/incremental_mark.h"
#include "run/positions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROUNDS 20000

/* True when the bytes are taken for a mark. */
typedef bool (*read_fn)(struct mr_slice bytes, struct mr_arena *arena);

static bool read_files(struct mr_slice bytes, struct mr_arena *arena)
{
    struct files_known known;
    return files_known_read(bytes, arena, &known, NULL);
}

static bool read_delta(struct mr_slice bytes, struct mr_arena *arena)
{
    struct delta_mark mark;
    return delta_mark_read(bytes, arena, &mark);
}

static bool read_postgres(struct mr_slice bytes, struct mr_arena *arena)
{
    struct mr_postgres_mark mark = {0};
    return mr_postgres_mark_read(bytes, arena, &mark);
}

static bool read_positions(struct mr_slice bytes, struct mr_arena *arena)
{
    struct mr_positions positions;
    return bytes.size > 0 && mr_positions_decode(bytes, arena, &positions, NULL) == MR_OK;
}

static void seal(char *bytes, size_t size)
{
    uint32_t crc = mr_crc32(0, bytes, size - 4);
    for (int i = 0; i < 4; i++)
        bytes[size - 4 + (size_t)i] = (char)(crc >> (8 * i));
}

/* A copy of exact size, so that a sanitizer sees a byte too far. */
static bool try_copy(read_fn read, const char *data, size_t size)
{
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    char *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    bool good = read((struct mr_slice){copy, size}, &arena);
    free(copy);
    mr_arena_reset(&arena);
    return good;
}

static void damage(struct mr_slice good, read_fn read)
{
    char *bytes = malloc(good.size + 8);
    memcpy(bytes, good.data, good.size);
    assert_true(try_copy(read, bytes, good.size));
    for (size_t i = 0; i < good.size; i++) {
        for (int flip = 1; flip < 256; flip++) {
            bytes[i] = (char)(good.data[i] ^ flip);
            assert_false(try_copy(read, bytes, good.size));
        }
        bytes[i] = good.data[i];
    }
    for (size_t size = 0; size < good.size; size++)
        assert_false(try_copy(read, bytes, size));
    memset(bytes + good.size, 0, 8);
    for (size_t more = 1; more <= 8; more++)
        assert_false(try_copy(read, bytes, good.size + more));
    uint64_t dice = 1;
    for (int round = 0; round < ROUNDS; round++) {
        memcpy(bytes, good.data, good.size);
        size_t size = good.size;
        for (int k = 0; k < 1 + round % 3; k++) {
            dice = mr_hash_mix(dice + 0x9E3779B97F4A7C15);
            bytes[dice % (good.size - 4)] = (char)(dice >> 32);
        }
        if (round % 4 == 0)
            size = 4 + (size_t)(dice >> 40) % (good.size - 4);
        seal(bytes, size);
        (void)try_copy(read, bytes, size);
    }
    free(bytes);
}

static void test_files(void **state)
{
    (void)state;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    const int64_t newest = INT64_C(1700000000123456);
    struct files_mark listed[] = {{1, 2, newest}, {3, 4, newest}, {UINT64_MAX, 5, newest}};
    struct files_mark gone[] = {{9, 8, newest}, {7, 6, newest}};
    struct files_known known = {.place = "file:///data",
                                .newest = newest,
                                .nlisted = 3,
                                .listed = listed,
                                .ngone = 2,
                                .gone = gone};
    struct files_known back;
    struct mr_slice bytes;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(files_known_write(&known, &arena, &bytes, NULL), MR_OK);
        assert_true(files_known_read(bytes, &arena, &back, NULL));
        assert_string_equal(back.place, known.place);
        assert_int_equal(back.newest, known.newest);
        assert_int_equal(back.nlisted, 3);
        assert_memory_equal(back.listed, listed, sizeof listed);
        assert_int_equal(back.ngone, 2);
        assert_memory_equal(back.gone, gone, sizeof gone);
        assert_int_equal(back.has_horizon, round == 1);
        assert_int_equal(back.horizon, known.horizon);
        damage(bytes, read_files);
        /* With a horizon each has a time of its own. */
        known.has_horizon = true;
        known.horizon = newest - 1000;
        listed[1].modified = newest - 7;
        gone[1].modified = newest - 8;
    }
    known = (struct files_known){.place = "", .newest = INT64_MIN};
    assert_int_equal(files_known_write(&known, &arena, &bytes, NULL), MR_OK);
    assert_true(files_known_read(bytes, &arena, &back, NULL));
    damage(bytes, read_files);
    mr_arena_reset(&arena);
}

/* Path, size and time all count, and are not mixed up. */
static void test_files_mark(void **state)
{
    (void)state;
    struct files_mark a = files_mark_of("a.parquet", 1, 2);
    assert_int_equal(a.name, files_mark_of("a.parquet", 2, 1).name);
    assert_true(a.state != files_mark_of("a.parquet", 2, 1).state);
    assert_true(a.state != files_mark_of("a.parquet", 1, 3).state);
    assert_true(a.name != files_mark_of("b.parquet", 1, 2).name);
    assert_true(a.state != files_mark_of("b.parquet", 1, 2).state);
}

/* As many as are remembered at most: the record bears them. */
static void test_files_most(void **state)
{
    (void)state;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    struct files_known known = {.place = "s3://b", .nlisted = FILES_KNOWN_MOST};
    struct files_known back;
    struct mr_slice bytes;
    known.listed = mr_arena_calloc(&arena, (size_t)known.nlisted, sizeof *known.listed);
    assert_non_null(known.listed);
    for (int64_t i = 0; i < known.nlisted; i++)
        known.listed[i] = (struct files_mark){(uint64_t)i << 30, mr_hash_mix((uint64_t)i), 0};
    assert_int_equal(files_known_write(&known, &arena, &bytes, NULL), MR_OK);
    assert_true(bytes.size < (size_t)24 << 20);
    assert_true(files_known_read(bytes, &arena, &back, NULL));
    assert_memory_equal(back.listed, known.listed, (size_t)known.nlisted * sizeof *known.listed);
    mr_arena_reset(&arena);
}

static void test_delta(void **state)
{
    (void)state;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    struct delta_mark mark = {1234567, 0xFEDCBA9876543210, "5fba94ed-9794-4965-ba6e-6ee3c0d22af9"};
    struct delta_mark back;
    struct mr_slice bytes;
    assert_int_equal(delta_mark_write(&mark, &arena, &bytes, NULL), MR_OK);
    assert_true(delta_mark_read(bytes, &arena, &back));
    assert_int_equal(back.version, mark.version);
    assert_true(back.commit == mark.commit);
    assert_string_equal(back.table, mark.table);
    damage(bytes, read_delta);
    mr_arena_reset(&arena);
}

static void test_postgres(void **state)
{
    (void)state;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    struct mr_postgres_mark mark = {
        .has_value = true,
        .has_keys = true,
        .system = "7123456789012345678",
        .database = "shop",
        .relation = "public.orders (oid 16384)",
        .column = "at",
        .type = "timestamp with time zone",
        .nkeys = 2,
        .keys = {"id", "part"},
        .values = {"2024-05-01 12:00:00.123456+00", "17", "a'b"},
    };
    struct mr_postgres_mark back = {0};
    struct mr_slice bytes;
    assert_int_equal(mr_postgres_mark_write(&mark, &arena, &bytes, NULL), MR_OK);
    assert_true(mr_postgres_mark_read(bytes, &arena, &back));
    assert_int_equal(mr_postgres_mark_compare(&back, &mark, NULL), MR_OK);
    for (int i = 0; i < 3; i++)
        assert_string_equal(back.values[i], mark.values[i]);
    assert_true(back.has_value && back.has_keys && !back.inclusive);
    damage(bytes, read_postgres);
    mark.has_value = mark.has_keys = false;
    mark.nkeys = 0;
    assert_int_equal(mr_postgres_mark_write(&mark, &arena, &bytes, NULL), MR_OK);
    damage(bytes, read_postgres);
    mr_arena_reset(&arena);
}

static void test_positions(void **state)
{
    (void)state;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    struct mr_source_position items[] = {
        {"orders", "fromPostgres", "2024-05-01 12:00:00.123456+00", {"\1\2\0\3", 4}},
        {"fromS3#1", "fromS3", "", {"", 0}},
    };
    struct mr_positions back;
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, 1 << 20);
    mr_positions_encode(items, 2, "2024-05-01 12:00:00", &bytes);
    struct mr_slice slice = {bytes.data, bytes.size};
    assert_int_equal(mr_positions_decode(slice, &arena, &back, NULL), MR_OK);
    assert_int_equal(back.count, 3);
    assert_string_equal(back.items[0].text, items[0].text);
    assert_memory_equal(back.items[0].bytes.data, items[0].bytes.data, 4);
    assert_string_equal(mr_positions_watermark(&back), "2024-05-01 12:00:00");
    damage(slice, read_positions);
    mr_bytes_reset(&bytes);
    mr_arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),      cmocka_unit_test(test_files_mark),
        cmocka_unit_test(test_files_most), cmocka_unit_test(test_delta),
        cmocka_unit_test(test_postgres),   cmocka_unit_test(test_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
