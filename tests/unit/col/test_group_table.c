/*
 * Group numbers over every type and encoding against a search through all earlier rows with mr_column_equal_rows.
 */
#include "base/hash.h"
#include "col/batch.h"
#include "col/group_table.h"
#include "fixture.h"
#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS 900

/* Flat without and with NULLs, dictionary, constant, constant NULL; NULL when the type has no such. */
static struct mr_column *variant(struct fixture *f, const struct mr_type *type, int which)
{
    switch (which) {
    case 0:
        return sample_column(&f->memory, type, ROWS, ROWS, 0);
    case 1:
        return sample_column(&f->memory, type, ROWS, 60, 5);
    case 2:
        return type->id == MR_TYPE_NULL ? NULL : sample_dictionary(&f->memory, type, ROWS, 20, 6);
    case 3:
        return type->id == MR_TYPE_NULL ? NULL : sample_dictionary(&f->memory, type, ROWS, 500, 0);
    default:
        return sample_constant(&f->memory, type, ROWS, which == 5);
    }
}
#define VARIANTS 6

static bool rows_equal(struct mr_column *const *a, int64_t i, struct mr_column *const *b, int64_t j,
                       int n)
{
    for (int k = 0; k < n; k++)
        if (!mr_column_equal_rows(a[k], i, b[k], j))
            return false;
    return true;
}

/* Two puts of the same columns (once by row numbers, backwards), against the naive numbering. */
static void check_table(struct fixture *f, struct mr_column **keys, int n, bool hashed)
{
    const struct mr_type *types[8] = {NULL};
    for (int k = 0; k < n; k++)
        types[k] = keys[k]->type;
    struct mr_group_table *table;
    assert_int_equal(mr_group_table_new(&f->memory, types, n, &table, &f->err), MR_OK);
    static uint64_t hashes[ROWS], back[ROWS];
    static uint32_t groups[ROWS], expected[ROWS], again[ROWS];
    static int32_t first[ROWS], rows[ROWS];
    memset(hashes, 0, sizeof hashes);
    for (int k = 0; k < n; k++)
        mr_column_hash(keys[k], NULL, ROWS, hashes);
    assert_int_equal(mr_group_table_find(table, keys, NULL, ROWS, hashed ? hashes : NULL, again,
                                         &f->err),
                     MR_OK);
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(again[i], MR_GROUP_NONE);
    assert_int_equal(mr_group_table_put(table, keys, NULL, ROWS, hashed ? hashes : NULL, groups,
                                        &f->err),
                     MR_OK);
    uint32_t ngroups = 0;
    for (int i = 0; i < ROWS; i++) {
        uint32_t g = 0;
        while (g < ngroups && !rows_equal(keys, i, keys, first[g], n))
            g++;
        if (g == ngroups)
            first[ngroups++] = i;
        expected[i] = g;
        rows[i] = ROWS - 1 - i;
        back[i] = hashes[ROWS - 1 - i];
        assert_int_equal(groups[i], expected[i]);
    }
    assert_int_equal(mr_group_table_count(table), ngroups);
    assert_int_equal(mr_group_table_put(table, keys, rows, ROWS, hashed ? back : NULL, groups,
                                        &f->err),
                     MR_OK);
    assert_int_equal(mr_group_table_find(table, keys, rows, ROWS, hashed ? back : NULL, again,
                                         &f->err),
                     MR_OK);
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(groups[i], expected[ROWS - 1 - i]);
        assert_int_equal(again[i], groups[i]);
        if (hashed)
            assert_int_equal(mr_group_table_hashes(table)[groups[i]], back[i]);
    }
    assert_int_equal(mr_group_table_count(table), ngroups);
    assert_true(mr_group_table_bytes(table) > 0);
    struct mr_column *out[8];
    assert_int_equal(mr_group_table_keys(table, &f->memory, NULL, 0, ngroups, out, &f->err), MR_OK);
    for (int k = 0; k < n; k++)
        if (mr_column_check(out[k], &f->err) != MR_OK)
            fail_msg("%s", f->err.message);
    for (uint32_t g = 0; g < ngroups; g++)
        assert_true(rows_equal(out, g, keys, first[g], n));
    for (int k = 0; k < n; k++)
        mr_column_unref(out[k]);
    assert_int_equal(mr_group_table_keys(table, &f->memory, groups, 0, ROWS, out, &f->err), MR_OK);
    for (int i = 0; i < ROWS; i++)
        assert_true(rows_equal(out, i, keys, ROWS - 1 - i, n));
    for (int k = 0; k < n; k++)
        mr_column_unref(out[k]);
    mr_group_table_free(table);
}

static void test_one_key(void **state)
{
    struct fixture *f = *state;
    for (int t = 0; t < sample_ntypes; t++)
        for (int v = 0; v < VARIANTS; v++) {
            struct mr_column *column = variant(f, fixture_type(f, sample_types[t]), v);
            if (!column)
                continue;
            check_table(f, &column, 1, true);
            check_table(f, &column, 1, false);
            mr_column_unref(column);
        }
}

/* Up to five keys of types and encodings drawn from a fixed sequence. */
static void test_several_keys(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seed = 1; seed < 150; seed++) {
        struct mr_column *keys[8];
        int n = (int)(mr_hash_mix(seed) % 5) + 1, have = 0;
        for (int k = 0; k < n; k++) {
            uint64_t draw = mr_hash_mix(seed * 16 + (uint64_t)k);
            int v = seed % 4 == 0 ? 2 + (int)(draw % 4) : 1 + (int)(draw % 5);
            const struct mr_type *type =
                fixture_type(f, sample_types[(draw >> 20) % (uint64_t)sample_ntypes]);
            struct mr_column *column = variant(f, type, v);
            if (column)
                keys[have++] = column;
        }
        check_table(f, keys, have, seed % 2);
        for (int k = 0; k < have; k++)
            mr_column_unref(keys[k]);
    }
}

static void test_no_key(void **state)
{
    struct fixture *f = *state;
    struct mr_group_table *table;
    assert_int_equal(mr_group_table_new(&f->memory, NULL, 0, &table, &f->err), MR_OK);
    uint32_t groups[3] = {7, 7, 7};
    uint64_t hashes[3] = {0};
    assert_int_equal(mr_group_table_put(table, NULL, NULL, 3, hashes, groups, &f->err), MR_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(groups[i], 0);
    assert_int_equal(mr_group_table_put(table, NULL, NULL, 1, hashes, groups, &f->err), MR_OK);
    assert_int_equal(mr_group_table_count(table), 1);
    mr_group_table_free(table);
}

/* Growth over many batches; equal upper hash bits do not make keys equal. */
static void test_many(void **state)
{
    struct fixture *f = *state;
    const struct mr_type *type = mr_type_of(MR_TYPE_INT64);
    struct mr_group_table *table;
    assert_int_equal(mr_group_table_new(&f->memory, &type, 1, &table, &f->err), MR_OK);
    for (int round = 0; round < 2; round++)
        for (int64_t from = 0; from < 200000; from += 5000) {
            struct mr_builder builder;
            struct mr_column *column;
            static uint32_t groups[5000];
            static uint64_t hashes[5000];
            mr_builder_init(&builder, &f->memory, type, &f->err);
            for (int64_t i = 0; i < 5000; i++) {
                assert_int_equal(mr_builder_int(&builder, (from + i) * 3, &f->err), MR_OK);
                hashes[i] = mr_hash_mix((uint64_t)(from + i)) & UINT64_C(0x00000000FFFFFFFF);
                if (i % 5 == 0)
                    hashes[i] = 12345 + (uint64_t)from / 20000;
            }
            assert_int_equal(mr_builder_finish(&builder, &column, &f->err), MR_OK);
            if (from % 20000 == 0)
                assert_int_equal(mr_group_table_put(table, &column, NULL, 5000, hashes, groups,
                                                    &f->err),
                                 MR_OK);
            for (int64_t i = 0; i < 5000 && from % 20000 == 0; i++)
                assert_int_equal(groups[i], from / 4 + i);
            mr_column_unref(column);
        }
    assert_int_equal(mr_group_table_count(table), 50000);
    mr_group_table_free(table);
}

/* A budget that runs out leaves a table that still works. */
static void test_limit(void **state)
{
    struct fixture *f = *state;
    const struct mr_type *type = mr_type_of(MR_TYPE_STRING);
    struct mr_column *column = sample_column(&f->memory, type, 20000, 20000, 0);
    uint32_t *groups = calloc(20000, sizeof *groups);
    for (int64_t limit = 1000; limit < 2000000; limit *= 2) {
        struct mr_memory small;
        struct mr_group_table *table;
        mr_memory_init(&small, NULL, "small", limit);
        assert_int_equal(mr_group_table_new(&small, &type, 1, &table, &f->err), MR_OK);
        enum mr_status status =
            mr_group_table_put(table, &column, NULL, 20000, NULL, groups, &f->err);
        assert_true(status == MR_OK || status == MR_LIMIT);
        assert_true(mr_memory_used(&small) <= limit);
        assert_int_equal(mr_memory_used(&small), mr_group_table_bytes(table));
        int64_t n = mr_group_table_count(table);
        struct mr_column *keys;
        assert_int_equal(mr_group_table_keys(table, &f->memory, NULL, 0, n, &keys, &f->err), MR_OK);
        assert_int_equal(mr_group_table_find(table, &keys, NULL, n, NULL, groups, &f->err), MR_OK);
        for (int64_t i = 0; i < n; i++)
            assert_int_equal(groups[i], i);
        mr_column_unref(keys);
        mr_group_table_free(table);
        assert_int_equal(mr_memory_used(&small), 0);
    }
    free(groups);
    mr_column_unref(column);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_key, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_several_keys, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_no_key, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_many, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_limit, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
