/*
 * Builders, columns and kernels over every type and encoding: what a kernel makes is compared row by row with what
 * mr_column_get and mr_column_compare_rows say, which are simple and were checked by hand in test_order.
 */
#include "base/hash.h"
#include "col/batch.h"
#include "col/kernel.h"
#include "fixture.h"
#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ROWS 700

static void check(struct fixture *f, const struct mr_column *column)
{
    if (mr_column_check(column, &f->err) != MR_OK)
        fail_msg("%s", f->err.message);
}

/* The four kinds of column that a kernel can be given; NULL when the type has no such. */
static struct mr_column *variant(struct fixture *f, const struct mr_type *type, int which)
{
    switch (which) {
    case 0:
        return sample_column(&f->memory, type, ROWS, ROWS, 0);
    case 1:
        return sample_column(&f->memory, type, ROWS, 50, 5);
    case 2:
        return type->id == MR_TYPE_NULL ? NULL : sample_dictionary(&f->memory, type, ROWS, 20, 6);
    case 3:
    case 4:
        return sample_constant(&f->memory, type, ROWS, which == 4);
    default:
        return NULL;
    }
}
#define VARIANTS 5

#define FOR_EACH(f, type, column)                                                                  \
    for (int t_ = 0; t_ < sample_ntypes; t_++)                                                     \
        for (const struct mr_type *type = fixture_type(f, sample_types[t_]); type; type = NULL)    \
            for (int v_ = 0; v_ < VARIANTS; v_++)                                                  \
                for (struct mr_column *column = variant(f, type, v_); column;                      \
                     mr_column_unref(column), column = NULL)

static void test_build(void **state)
{
    struct fixture *f = *state;
    FOR_EACH(f, type, column)
    {
        check(f, column);
        assert_int_equal(column->length, ROWS);
        assert_true(mr_column_bytes(column) > 0 || type->id == MR_TYPE_NULL);
        /* Value by value into a new column. */
        struct mr_builder builder;
        struct mr_column *copy;
        assert_int_equal(mr_builder_init(&builder, &f->memory, type, &f->err), MR_OK);
        for (int64_t i = 0; i < ROWS; i++) {
            struct mr_value value;
            mr_column_get(column, i, &value);
            assert_int_equal(mr_builder_value(&builder, &value, &f->err), MR_OK);
        }
        assert_int_equal(mr_builder_finish(&builder, &copy, &f->err), MR_OK);
        check(f, copy);
        for (int64_t i = 0; i < ROWS; i++)
            assert_true(mr_column_equal_rows(column, i, copy, i));
        mr_column_unref(copy);
        /* A finished builder starts again; a column of no rows has its buffers. */
        assert_int_equal(mr_builder_finish(&builder, &copy, &f->err), MR_OK);
        assert_int_equal(copy->length, 0);
        check(f, copy);
        mr_column_unref(copy);
        mr_builder_reset(&builder);
    }
}

static void test_direct_writes(void **state)
{
    struct fixture *f = *state;
    struct mr_builder builder;
    struct mr_column *column;
    mr_builder_init(&builder, &f->memory, mr_type_of(MR_TYPE_INT64), &f->err);
    for (int block = 0; block < 10; block++) {
        assert_int_equal(mr_builder_reserve(&builder, 1000, 0, &f->err), MR_OK);
        int64_t *values = (int64_t *)(void *)builder.values->data;
        for (int i = 0; i < 1000; i++) {
            values[builder.length] = i;
            if (block == 5 && i % 10 == 0)
                assert_int_equal(mr_builder_mark_null(&builder, &f->err), MR_OK);
            builder.length++;
        }
    }
    assert_int_equal(mr_builder_finish(&builder, &column, &f->err), MR_OK);
    check(f, column);
    assert_int_equal(column->nulls, 100);
    for (int64_t i = 0; i < 10000; i++)
        assert_int_equal(mr_column_is_null(column, i), i / 1000 == 5 && i % 10 == 0);
    mr_column_unref(column);
    mr_builder_reset(&builder);
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    struct mr_memory small;
    struct mr_builder builder;
    mr_memory_init(&small, &f->memory, "small", 10000);
    mr_builder_init(&builder, &small, mr_type_of(MR_TYPE_STRING), &f->err);
    enum mr_status status = MR_OK;
    int rows = 0;
    for (; status == MR_OK; rows++)
        status = mr_builder_bytes(&builder, "0123456789", 10, &f->err);
    assert_int_equal(status, MR_LIMIT);
    assert_true(rows > 200);
    assert_int_equal(mr_builder_reserve(&builder, 1, INT64_C(1) << 31, &f->err), MR_LIMIT);
    mr_builder_reset(&builder);
    assert_int_equal(mr_memory_used(&small), 0);
}

static void test_take(void **state)
{
    struct fixture *f = *state;
    int32_t rows[1500];
    FOR_EACH(f, type, column)
    {
        for (int negative = 0; negative < 2; negative++) {
            for (int i = 0; i < 1500; i++)
                rows[i] = negative && i % 7 == 0 ? -1 : (int32_t)(i * 7919 % ROWS);
            struct mr_column *out;
            assert_int_equal(mr_column_take(&f->memory, column, rows, 1500, &out, &f->err), MR_OK);
            check(f, out);
            assert_int_equal(out->length, 1500);
            for (int i = 0; i < 1500; i++) {
                if (rows[i] < 0)
                    assert_true(mr_column_is_null(out, i));
                else
                    assert_true(mr_column_equal_rows(out, i, column, rows[i]));
            }
            mr_column_unref(out);
            assert_int_equal(mr_column_take(&f->memory, column, rows, 0, &out, &f->err), MR_OK);
            check(f, out);
            mr_column_unref(out);
        }
    }
}

static void test_flatten_and_range(void **state)
{
    struct fixture *f = *state;
    FOR_EACH(f, type, column)
    {
        struct mr_column *out;
        assert_int_equal(mr_column_flatten(&f->memory, column, &out, &f->err), MR_OK);
        assert_true(out->encoding == MR_FLAT || type->id == MR_TYPE_NULL);
        check(f, out);
        for (int64_t i = 0; i < ROWS; i++)
            assert_true(mr_column_equal_rows(out, i, column, i));
        mr_column_unref(out);
        for (int64_t from = 0; from < 20; from += 3)
            for (int64_t count = 0; count < ROWS - 20; count += 97) {
                assert_int_equal(mr_column_range(&f->memory, column, from, count, &out, &f->err),
                                 MR_OK);
                check(f, out);
                assert_int_equal(out->length, count);
                for (int64_t i = 0; i < count; i++)
                    assert_true(mr_column_equal_rows(out, i, column, from + i));
                mr_column_unref(out);
            }
    }
}

static void test_concat(void **state)
{
    struct fixture *f = *state;
    for (int t = 0; t < sample_ntypes; t++) {
        const struct mr_type *type = fixture_type(f, sample_types[t]);
        struct mr_column *parts[VARIANTS + 1], *out;
        int n = 0;
        for (int v = 0; v < VARIANTS; v++) {
            parts[n] = variant(f, type, v);
            n += parts[n] != NULL;
        }
        parts[n++] = sample_column(&f->memory, type, 0, 1, 0);
        for (int count = 1; count <= n; count++) {
            assert_int_equal(mr_column_concat(&f->memory, parts, count, &out, &f->err), MR_OK);
            check(f, out);
            assert_true(out->encoding == MR_FLAT || type->id == MR_TYPE_NULL);
            int64_t at = 0;
            for (int p = 0; p < count; p++)
                for (int64_t i = 0; i < parts[p]->length; i++)
                    assert_true(mr_column_equal_rows(out, at++, parts[p], i));
            assert_int_equal(out->length, at);
            mr_column_unref(out);
        }
        for (int p = 0; p < n; p++)
            mr_column_unref(parts[p]);
    }
}

static void test_hash(void **state)
{
    struct fixture *f = *state;
    static uint64_t whole[ROWS], flat_hashes[ROWS], picked[ROWS];
    int32_t rows[ROWS];
    for (int i = 0; i < ROWS; i++)
        rows[i] = i * 31 % ROWS;
    FOR_EACH(f, type, column)
    {
        struct mr_column *flat;
        assert_int_equal(mr_column_flatten(&f->memory, column, &flat, &f->err), MR_OK);
        for (int i = 0; i < ROWS; i++)
            whole[i] = flat_hashes[i] = picked[i] = 99;
        mr_column_hash(column, NULL, ROWS, whole);
        mr_column_hash(flat, NULL, ROWS, flat_hashes);
        mr_column_hash(column, rows, ROWS, picked);
        for (int i = 0; i < ROWS; i++) {
            assert_true(whole[i] == flat_hashes[i]);
            assert_true(picked[i] == whole[rows[i]]);
            /* Equal rows hash equally, others (nearly always) do not. */
            int other = (i * 17 + 50) % ROWS;
            assert_int_equal(whole[i] == whole[other],
                             mr_column_equal_rows(column, i, column, other));
        }
        mr_column_unref(flat);
    }
}

/* One column of the type from a list of builders' calls is clumsy: rows are made by hand from doubles. */
static void test_order(void **state)
{
    struct fixture *f = *state;
    static const double ascending[] = {-1.0 / 0.0, -1, 0, 2, 1.0 / 0.0, 0.0 / 0.0};
    struct mr_builder builder;
    struct mr_column *column;
    mr_builder_init(&builder, &f->memory, mr_type_of(MR_TYPE_FLOAT64), &f->err);
    mr_builder_null(&builder, &f->err);
    for (int i = 0; i < 6; i++)
        mr_builder_double(&builder, ascending[i], &f->err);
    mr_builder_double(&builder, -0.0, &f->err);
    mr_builder_finish(&builder, &column, &f->err);
    mr_builder_reset(&builder);
    for (int i = 0; i < 7; i++)
        for (int j = 0; j < 7; j++) {
            int c = mr_column_compare_rows(column, i, column, j);
            assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
            assert_int_equal(mr_column_equal_rows(column, i, column, j), i == j);
        }
    assert_int_equal(mr_column_compare_rows(column, 3, column, 7), 0); /* 0.0 and -0.0 */
    uint64_t hashes[8] = {0};
    mr_column_hash(column, NULL, 8, hashes);
    assert_true(hashes[3] == hashes[7]);
    mr_column_unref(column);

    /* [] < [NULL] < [1] < [1, 0] < [2] */
    mr_builder_init(&builder, &f->memory, fixture_type(f, "array<int>"), &f->err);
    static const int lists[][3] = {{0}, {1, -1}, {1, 1}, {2, 1, 0}, {1, 2}};
    for (int i = 0; i < 5; i++) {
        for (int j = 1; j <= lists[i][0]; j++) {
            if (lists[i][j] < 0)
                mr_builder_null(&builder.children[0], &f->err);
            else
                mr_builder_int(&builder.children[0], lists[i][j], &f->err);
        }
        mr_builder_list(&builder, &f->err);
    }
    mr_builder_finish(&builder, &column, &f->err);
    mr_builder_reset(&builder);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++)
            assert_int_equal(mr_column_compare_rows(column, i, column, j), (i > j) - (i < j));
    mr_column_unref(column);
}

/* Order must be total: antisymmetric everywhere and in agreement with equality and with mr_value_compare. */
static void test_order_of_all(void **state)
{
    struct fixture *f = *state;
    FOR_EACH(f, type, column)
    {
        for (int64_t i = 0; i < ROWS; i += 3) {
            int64_t j = i * 13 % ROWS;
            struct mr_value a, b;
            mr_column_get(column, i, &a);
            mr_column_get(column, j, &b);
            int c = mr_column_compare_rows(column, i, column, j);
            int d = mr_column_compare_rows(column, j, column, i);
            int e = mr_value_compare(&a, &b);
            assert_int_equal((c > 0) - (c < 0), (d < 0) - (d > 0));
            assert_int_equal((c > 0) - (c < 0), (e > 0) - (e < 0));
            assert_int_equal(c == 0, mr_column_equal_rows(column, i, column, j));
        }
    }
}

/* All kernels on one column under a budget: the first refusal, or MR_OK. */
static enum mr_status all_kernels(struct mr_memory *memory, struct mr_column *column,
                                  const int32_t *rows, int64_t count, struct mr_error *err)
{
    struct mr_column *taken = NULL, *flat = NULL, *range = NULL, *joined = NULL;
    enum mr_status status;
    MR_TRY_OUT(mr_column_take(memory, column, rows, count, &taken, err));
    MR_TRY_OUT(mr_column_flatten(memory, column, &flat, err));
    MR_TRY_OUT(mr_column_range(memory, column, 3, count / 2, &range, err));
    struct mr_column *parts[] = {column, taken, range};
    MR_TRY_OUT(mr_column_concat(memory, parts, 3, &joined, err));
out:
    mr_column_unref(taken);
    mr_column_unref(flat);
    mr_column_unref(range);
    mr_column_unref(joined);
    return status;
}

/* With a budget that grows from nothing every charge is refused once; nothing may leak or be half done. */
static void test_refusals(void **state)
{
    struct fixture *f = *state;
    int32_t rows[100];
    for (int i = 0; i < 100; i++)
        rows[i] = i % 9 ? i : -1;
    FOR_EACH(f, type, column)
    {
        enum mr_status status = MR_LIMIT;
        int64_t limit = 0;
        for (; status != MR_OK; limit += limit < 20000 ? 64 : 4096) {
            struct mr_memory budget;
            mr_memory_init(&budget, NULL, "budget", limit);
            status = all_kernels(&budget, column, rows, 100, &f->err);
            assert_true(status == MR_OK || status == MR_LIMIT);
            assert_int_equal(mr_memory_used(&budget), 0);
        }
    }
}

static void test_retype(void **state)
{
    struct fixture *f = *state;
    struct mr_column *column = sample_dictionary(&f->memory, mr_type_of(MR_TYPE_STRING), 50, 9, 4);
    struct mr_column *json, *renamed, *wrong;
    assert_int_equal(mr_column_retype(column, mr_type_of(MR_TYPE_JSON), &json, &f->err), MR_OK);
    assert_int_equal(json->type->id, MR_TYPE_JSON);
    check(f, json);
    assert_int_equal(mr_column_retype(column, mr_type_of(MR_TYPE_INT32), &wrong, &f->err),
                     MR_INTERNAL);
    mr_column_unref(json);
    mr_column_unref(column);
    column = sample_column(&f->memory, fixture_type(f, "map<string,struct<a:int>>"), 50, 50, 4);
    assert_int_equal(mr_column_retype(column, fixture_type(f, "map<string,struct<b:date>>"),
                                      &renamed, &f->err),
                     MR_OK);
    check(f, renamed);
    assert_string_equal(renamed->children[0]->children[1]->type->fields[0].name, "b");
    mr_column_unref(renamed);
    mr_column_unref(column);
}

static void test_check_finds(void **state)
{
    struct fixture *f = *state;
    struct mr_column *column = sample_column(&f->memory, mr_type_of(MR_TYPE_STRING), 50, 50, 4);
    ((int32_t *)(void *)column->values->data)[20] = 1 << 30;
    assert_int_equal(mr_column_check(column, &f->err), MR_INTERNAL);
    mr_column_unref(column);
    column = sample_column(&f->memory, mr_type_of(MR_TYPE_STRING), 50, 50, 0);
    column->data->data[3] = 0xFF;
    assert_int_equal(mr_column_check(column, &f->err), MR_INTERNAL);
    mr_column_unref(column);
    column = sample_dictionary(&f->memory, mr_type_of(MR_TYPE_INT32), 50, 5, 4);
    ((int32_t *)(void *)column->values->data)[1] = 5;
    assert_int_equal(mr_column_check(column, &f->err), MR_INTERNAL);
    mr_column_unref(column);
    column = sample_column(&f->memory, mr_type_of(MR_TYPE_INT32), 50, 50, 4);
    column->nulls--;
    assert_int_equal(mr_column_check(column, &f->err), MR_INTERNAL);
    mr_column_unref(column);
}

static struct mr_batch *make_batch(struct fixture *f, int64_t rows)
{
    const struct mr_schema *schema;
    struct mr_column *columns[3];
    struct mr_batch *batch;
    assert_int_equal(mr_schema_parse(&f->arena, "a int, b string, c array<string>", &schema,
                                     &f->err),
                     MR_OK);
    for (int i = 0; i < 3; i++)
        columns[i] = sample_column(&f->memory, schema->fields[i].type, rows, rows, 6);
    assert_int_equal(mr_batch_new(schema, rows, columns, &batch, &f->err), MR_OK);
    return batch;
}

static void test_batch(void **state)
{
    struct fixture *f = *state;
    struct mr_batch *batch = make_batch(f, 100), *selected, *compact, *slice, *joined;
    struct mr_buffer *rows;
    struct mr_selection *selection;
    assert_int_equal(mr_buffer_new(&f->memory, 40 * 4, &rows, &f->err), MR_OK);
    for (int i = 0; i < 40; i++)
        ((int32_t *)(void *)rows->data)[i] = i * 2 + 1;
    mr_buffer_finish(rows, 40 * 4);
    assert_int_equal(mr_selection_new(rows, 40, &selection, &f->err), MR_OK);
    assert_int_equal(mr_batch_select(batch, selection, &selected, &f->err), MR_OK);
    assert_int_equal(mr_batch_active(selected), 40);
    assert_int_equal(mr_batch_compact(&f->memory, selected, &compact, &f->err), MR_OK);
    assert_int_equal(compact->rows, 40);
    assert_null(compact->selection);
    for (int i = 0; i < 40; i++)
        for (int c = 0; c < 3; c++)
            assert_true(mr_column_equal_rows(compact->columns[c], i, batch->columns[c], i * 2 + 1));
    assert_int_equal(mr_batch_slice(&f->memory, selected, 10, 5, &slice, &f->err), MR_OK);
    assert_true(mr_column_equal_rows(slice->columns[1], 0, batch->columns[1], 21));
    mr_batch_unref(slice);
    assert_int_equal(mr_batch_slice(&f->memory, batch, 33, 20, &slice, &f->err), MR_OK);
    assert_true(mr_column_equal_rows(slice->columns[2], 19, batch->columns[2], 52));
    struct mr_batch *all[] = {selected, slice, batch};
    assert_int_equal(mr_batch_concat(&f->memory, all, 3, &joined, &f->err), MR_OK);
    assert_int_equal(joined->rows, 160);

    /* The content hash of the whole is the sum over its parts, in whatever order. */
    struct mr_content_hash whole, sum = {0}, part;
    assert_int_equal(mr_batch_content_hash(joined, &whole, &f->err), MR_OK);
    for (int i = 2; i >= 0; i--) {
        assert_int_equal(mr_batch_content_hash(all[i], &part, &f->err), MR_OK);
        sum.sum += part.sum;
        sum.mixed += part.mixed;
        sum.rows += part.rows;
    }
    assert_true(sum.sum == whole.sum && sum.mixed == whole.mixed && sum.rows == whole.rows);
    assert_true(mr_batch_bytes(joined) > mr_batch_bytes(slice));
    mr_batch_unref(joined);
    mr_batch_unref(slice);
    mr_batch_unref(compact);
    mr_batch_unref(selected);
    mr_batch_unref(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_build, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_direct_writes, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_limits, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_take, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_flatten_and_range, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_concat, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_hash, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_order, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_order_of_all, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_retype, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_check_finds, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_batch, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
