/*
 * Sorting, merging and gathering over every type, encoding and direction: each result is checked against
 * mr_sort_compare, which is the order of mr_column_compare_rows with the directions put on top.
 */
#include "base/hash.h"
#include "col/sort.h"
#include "fixture.h"
#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ROWS    400
#define BATCHES 3

/* Batch b has another encoding than batch b + 1. */
static struct mr_column *column_of_kind(struct fixture *f, const struct mr_type *type, int kind,
                                        int64_t distinct)
{
    if (kind == 1 && type->id != MR_TYPE_NULL)
        return sample_dictionary(&f->memory, type, ROWS, distinct < 40 ? distinct : 40, 6);
    if (kind == 2)
        return sample_constant(&f->memory, type, ROWS, false);
    return sample_column(&f->memory, type, ROWS, distinct, kind == 3 ? 0 : 7);
}

struct data {
    const struct mr_schema *schema;
    struct mr_batch *batches[BATCHES];
};

static void make_data(struct fixture *f, const struct mr_type *const *types, int ntypes, int first,
                      int64_t distinct, struct data *out)
{
    struct mr_field fields[8] = {0};
    for (int c = 0; c < ntypes; c++)
        fields[c] = (struct mr_field){.name = "c", .type = types[c], .nullable = true};
    out->schema = mr_schema_new(&f->arena, fields, ntypes);
    for (int b = 0; b < BATCHES; b++) {
        struct mr_column *columns[8];
        for (int c = 0; c < ntypes; c++)
            columns[c] =
                column_of_kind(f, types[c], first < 0 ? 1 : (b + first + c) % 4, distinct + b);
        assert_int_equal(mr_batch_new(out->schema, ROWS, columns, &out->batches[b], &f->err),
                         MR_OK);
    }
}

static void free_data(struct data *data)
{
    for (int b = 0; b < BATCHES; b++)
        mr_batch_unref(data->batches[b]);
}

static int compare(const struct mr_sort_layout *layout, const struct data *data, uint64_t a,
                   uint64_t b)
{
    return mr_sort_compare(layout, 0, data->batches[a >> 32], (uint32_t)a, data->batches[b >> 32],
                           (uint32_t)b);
}

/* Ascending, ties in order of position, each position once. */
static void check_order(const struct mr_sort_layout *layout, const struct data *data,
                        const uint64_t *positions, int64_t count)
{
    uint8_t seen[BATCHES * ROWS] = {0};
    for (int64_t i = 0; i < count; i++) {
        int64_t at = (int64_t)(positions[i] >> 32) * ROWS + (uint32_t)positions[i];
        assert_int_equal(seen[at]++, 0);
        if (i == 0)
            continue;
        int c = compare(layout, data, positions[i - 1], positions[i]);
        assert_true(c < 0 || (c == 0 && positions[i - 1] < positions[i]));
    }
}

static void check_gather(struct fixture *f, const struct data *data, const uint64_t *positions,
                         int64_t count)
{
    struct mr_batch *out;
    assert_int_equal(mr_sort_gather(&f->memory, data->schema, data->batches, BATCHES, positions,
                                    count, &out, &f->err),
                     MR_OK);
    assert_int_equal(out->rows, count);
    for (int c = 0; c < data->schema->nfields; c++) {
        if (mr_column_check(out->columns[c], &f->err) != MR_OK)
            fail_msg("%s", f->err.message);
        for (int64_t i = 0; i < count; i++)
            assert_true(mr_column_equal_rows(out->columns[c], i,
                                             data->batches[positions[i] >> 32]->columns[c],
                                             (uint32_t)positions[i]));
    }
    mr_batch_unref(out);
}

/* Merges runs of one batch each and compares with the order of all of them. */
static void check_merge(struct fixture *f, const struct mr_sort_layout *layout,
                        const struct data *data)
{
    struct mr_sort_run runs[BATCHES];
    struct mr_sort_merge merge;
    uint64_t out[BATCHES * ROWS], mask[MR_SORT_MAX_WORDS];
    int64_t at[BATCHES] = {0}, n = 0;
    int tie_key = layout->nkeys;
    for (int b = 0; b < BATCHES; b++) {
        assert_int_equal(mr_sort_rows(layout, &f->memory, &data->batches[b], 1, &runs[b], &f->err),
                         MR_OK);
        tie_key = runs[b].tie_key < tie_key ? runs[b].tie_key : tie_key;
    }
    mr_sort_mask(layout, tie_key, mask);
    assert_int_equal(mr_sort_merge_init(&merge, layout, tie_key, BATCHES, &f->err), MR_OK);
    for (int b = -1; b >= 0 || !n;) {
        if (b < 0) {
            for (int i = 0; i < BATCHES; i++) {
                merge.cursors[i].batch = data->batches[i];
                merge.cursors[i].row = (uint32_t)mr_sort_run_position(&runs[i], 0);
                for (int w = 0; w < layout->words; w++)
                    merge.cursors[i].key[w] = mr_sort_entry(&runs[i], 0)[w] & mask[w];
            }
            mr_sort_merge_start(&merge);
        } else {
            struct mr_sort_cursor *cursor = &merge.cursors[b];
            out[n++] = mr_sort_position(b, cursor->row);
            cursor->done = ++at[b] == ROWS;
            if (!cursor->done) {
                cursor->row = (uint32_t)mr_sort_run_position(&runs[b], at[b]);
                for (int w = 0; w < layout->words; w++)
                    cursor->key[w] = mr_sort_entry(&runs[b], at[b])[w] & mask[w];
            }
            mr_sort_merge_fix(&merge);
        }
        b = mr_sort_merge_winner(&merge);
    }
    assert_int_equal(n, BATCHES * ROWS);
    check_order(layout, data, out, n);
    mr_sort_merge_reset(&merge);
    for (int b = 0; b < BATCHES; b++)
        mr_sort_run_reset(&runs[b]);
}

static void check_sort(struct fixture *f, const struct data *data, const struct mr_sort_key *keys,
                       int nkeys)
{
    struct mr_sort_layout *layout;
    struct mr_sort_run run;
    uint64_t positions[BATCHES * ROWS];
    assert_int_equal(mr_sort_layout_new(&f->arena, keys, nkeys, &layout, &f->err), MR_OK);
    assert_int_equal(mr_sort_rows(layout, &f->memory, data->batches, BATCHES, &run, &f->err),
                     MR_OK);
    assert_int_equal(run.count, BATCHES * ROWS);
    for (int64_t i = 0; i < run.count; i++)
        positions[i] = mr_sort_run_position(&run, i);
    check_order(layout, data, positions, run.count);
    check_gather(f, data, positions, run.count);
    check_gather(f, data, positions + 17, 5);
    check_gather(f, data, positions, 0);
    check_merge(f, layout, data);
    mr_sort_run_reset(&run);
}

static void test_each_type(void **state)
{
    struct fixture *f = *state;
    for (int t = 0; t < sample_ntypes; t++) {
        const struct mr_type *type = fixture_type(f, sample_types[t]);
        for (int way = 0; way < 8; way++) {
            struct data data;
            struct mr_sort_key key = {.column = 0,
                                      .type = type,
                                      .nullable = true,
                                      .descending = way & 1,
                                      .nulls_last = way & 2};
            make_data(f, &type, 1, way - 1, way & 4 ? 17 : ROWS, &data);
            check_sort(f, &data, &key, 1);
            free_data(&data);
        }
    }
}

/* Several keys: texts cut in the middle, keys behind them, and keys that find no room. */
static void test_several_keys(void **state)
{
    struct fixture *f = *state;
    static const char *const lists[][5] = {
        {"boolean", "string", "int", "double", "date"},
        {"string", "string", "bigint", "void", "smallint"},
        {"decimal(38,10)", "uuid", "string", "int", "timestamp"},
        {"boolean", "array<int>", "int", "string", "float"},
        {"tinyint", "interval", "binary", "decimal(12,2)", "struct<a:int,b:string>"},
    };
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++) {
        const struct mr_type *types[5];
        struct mr_sort_key keys[5];
        struct data data;
        for (int c = 0; c < 5; c++) {
            types[c] = fixture_type(f, lists[l][c]);
            keys[c] = (struct mr_sort_key){c, types[c], true, (c + (int)l) & 1, c & 2};
        }
        for (int distinct = 3; distinct < 60; distinct += 20) {
            make_data(f, types, 5, (int)l, distinct, &data);
            check_sort(f, &data, keys, 5);
            free_data(&data);
        }
    }
}

/* Texts that agree over 14, 36, and hundreds of bytes, then other keys. */
static void test_long_texts(void **state)
{
    struct fixture *f = *state;
    const struct mr_type *types[2] = {fixture_type(f, "string"), fixture_type(f, "int")};
    struct mr_field fields[2] = {{.name = "a", .type = types[0], .nullable = true},
                                 {.name = "b", .type = types[1], .nullable = true}};
    struct data data = {.schema = mr_schema_new(&f->arena, fields, 2)};
    for (int b = 0; b < BATCHES; b++) {
        struct mr_builder text, number;
        struct mr_column *columns[2];
        assert_int_equal(mr_builder_init(&text, &f->memory, types[0], &f->err), MR_OK);
        assert_int_equal(mr_builder_init(&number, &f->memory, types[1], &f->err), MR_OK);
        for (int i = 0; i < ROWS; i++) {
            char bytes[600];
            uint64_t seed = mr_hash_mix((uint64_t)(b * ROWS + i));
            int size = (int)(seed % 4 ? 500 + seed % 7 : seed % 40);
            memset(bytes, 'x', sizeof bytes);
            bytes[(seed >> 20) % 3 ? 36 + (seed >> 10) % 400 : 599] = (char)('a' + seed % 26);
            assert_int_equal(mr_builder_bytes(&text, bytes, (size_t)size, &f->err), MR_OK);
            assert_int_equal(mr_builder_int(&number, (int64_t)(seed >> 40) % 5, &f->err), MR_OK);
        }
        assert_int_equal(mr_builder_finish(&text, &columns[0], &f->err), MR_OK);
        assert_int_equal(mr_builder_finish(&number, &columns[1], &f->err), MR_OK);
        mr_builder_reset(&text);
        mr_builder_reset(&number);
        assert_int_equal(mr_batch_new(data.schema, ROWS, columns, &data.batches[b], &f->err),
                         MR_OK);
    }
    for (int way = 0; way < 4; way++) {
        struct mr_sort_key keys[2] = {{0, types[0], true, way & 1, false},
                                      {1, types[1], true, way & 2, false}};
        check_sort(f, &data, keys, 2);
    }
    free_data(&data);
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    const struct mr_type *type = fixture_type(f, "string");
    struct mr_sort_key key = {0, type, true, false, false};
    struct mr_sort_layout *layout;
    struct mr_sort_run run;
    struct data data;
    make_data(f, &type, 1, 0, ROWS, &data);
    assert_int_equal(mr_sort_layout_new(&f->arena, &key, 1, &layout, &f->err), MR_OK);
    for (int64_t room = 0; room < 60000; room += 700) {
        f->memory.limit = mr_memory_used(&f->memory) + room;
        int64_t used = mr_memory_used(&f->memory);
        enum mr_status status =
            mr_sort_rows(layout, &f->memory, data.batches, BATCHES, &run, &f->err);
        if (status == MR_OK)
            mr_sort_run_reset(&run);
        else
            assert_int_equal(status, MR_LIMIT);
        assert_int_equal(mr_memory_used(&f->memory), used);
    }
    f->memory.limit = INT64_MAX;
    free_data(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_type),
        cmocka_unit_test(test_several_keys),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests_name("sort", tests, fixture_setup, fixture_teardown);
}
