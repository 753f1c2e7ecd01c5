/*
 * sortData over every type, split over tasks and spilled at every size: the rows come in the one order that keys
 * and then the place in the input give.
 */
#include "drive.h"

#include "../col/sample.h"
#include "col/sort.h"
#include "op/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BATCHES 6
#define ROWS    300

struct fixture {
    struct drive drive;
    const struct mr_schema *schema;
    struct mr_batch *batches[BATCHES];
};

static int setup(void **state)
{
    static struct fixture f;
    drive_init(&f.drive);
    f.schema = drive_schema(&f.drive);
    drive_data(&f.drive, f.schema, BATCHES, ROWS, 70, f.batches);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    drive_free_data(f->batches, BATCHES);
    drive_reset(&f->drive);
    return 0;
}

/* The ids in order, by col/sort alone over all batches. */
static void expect(struct fixture *f, const struct mr_sort_key *keys, int nkeys, int64_t *out)
{
    struct mr_sort_layout *layout;
    struct mr_sort_run run;
    struct mr_error *err = &f->drive.err;
    assert_int_equal(mr_sort_layout_new(&f->drive.arena, keys, nkeys, &layout, err), MR_OK);
    assert_int_equal(mr_sort_rows(layout, &f->drive.memory, f->batches, BATCHES, &run, err), MR_OK);
    for (int64_t i = 0; i < run.count; i++) {
        uint64_t position = mr_sort_run_position(&run, i);
        out[i] = (int64_t)(position >> 32) * ROWS + (uint32_t)position;
    }
    mr_sort_run_reset(&run);
}

/* Each row of the output is, in all columns, the row of the input that its id names. */
static void check_rows(struct fixture *f, const int64_t *expected, int64_t count)
{
    struct drive *drive = &f->drive;
    assert_int_equal(drive->all ? drive->all->rows : 0, count);
    for (int64_t i = 0; i < count; i++) {
        int64_t id = drive_int(drive, 0, i);
        if (id != expected[i])
            fail_msg("row %d is %d, expected %d", (int)i, (int)id, (int)expected[i]);
        for (int c = 0; c < f->schema->nfields; c++)
            assert_true(mr_column_equal_rows(drive->all->columns[c], i,
                                             f->batches[id / ROWS]->columns[c], id % ROWS));
    }
    for (int b = 1; b < drive->nbatches; b++)
        assert_true(drive->partitions[b] >= drive->partitions[b - 1]);
}

static void run(struct fixture *f, int ntasks, int64_t share)
{
    if (drive_run(&f->drive, f->batches, BATCHES, ntasks, share) != MR_OK)
        fail_msg("%s", f->drive.err.message);
}

static const int64_t shares[] = {INT64_MAX / 4, 300000, 1};

static void test_types(void **state)
{
    struct fixture *f = *state;
    int64_t expected[BATCHES * ROWS];
    f->drive.spare_pulls = 2;
    for (int t = 0; t < sample_ntypes; t++) {
        char text[64];
        struct mr_sort_key keys[2] = {{t + 1, f->schema->fields[t + 1].type, true, t & 1, t & 2},
                                      {sample_ntypes - t, f->schema->fields[sample_ntypes - t].type,
                                       true, true, true}};
        snprintf(text, sizeof text, "c%d %s NULLS %s, c%d DESC", t, t & 1 ? "DESC" : "asc",
                 t & 2 ? "last" : "FIRST", sample_ntypes - t - 1);
        assert_int_equal(drive_bind(&f->drive, &mr_op_sort_data, f->schema, -1,
                                    (const char *const[]){"orderBy", text, NULL}),
                         MR_OK);
        assert_int_equal(f->drive.info.pulls, 8);
        assert_true(f->drive.info.sorted);
        expect(f, keys, 2, expected);
        run(f, 1 + t % 3, shares[t % 3]);
        check_rows(f, expected, BATCHES * ROWS);
        drive_forget(&f->drive);
    }
}

/* All keys equal: order of the input, and yet every partition has its part. */
static void test_one_key(void **state)
{
    struct fixture *f = *state;
    int64_t expected[BATCHES * ROWS];
    for (int i = 0; i < BATCHES * ROWS; i++)
        expected[i] = i;
    assert_int_equal(drive_bind(&f->drive, &mr_op_sort_data, f->schema, -1,
                                (const char *const[]){"orderBy", "1 + 1", NULL}),
                     MR_OK);
    for (int s = 0; s < 3; s++) {
        run(f, 3, shares[s]);
        check_rows(f, expected, BATCHES * ROWS);
        int64_t rows[8] = {0};
        for (int b = 0; b < f->drive.nbatches; b++)
            rows[f->drive.partitions[b]] += f->drive.batches[b]->rows;
        for (int p = 0; p < 8; p++)
            assert_in_range(rows[p], BATCHES * ROWS / 16, BATCHES * ROWS / 4);
    }
    drive_forget(&f->drive);
}

static void test_limit(void **state)
{
    struct fixture *f = *state;
    int64_t expected[BATCHES * ROWS];
    static const char *const limits[] = {"1", "10", "700", "100000"};
    struct mr_sort_key key = {14, f->schema->fields[14].type, true, true, true};
    expect(f, &key, 1, expected);
    for (int l = 0; l < 4; l++) {
        assert_int_equal(drive_bind(&f->drive, &mr_op_sort_data, f->schema, 5000,
                                    (const char *const[]){"orderBy", "c13 desc", "limit", limits[l],
                                                          NULL}),
                         MR_OK);
        assert_int_equal(f->drive.info.pulls, 1);
        for (int s = 0; s < 3; s++) {
            int64_t count = atoll(limits[l]);
            run(f, 2, shares[s]);
            check_rows(f, expected, count < BATCHES * ROWS ? count : BATCHES * ROWS);
        }
    }
    drive_forget(&f->drive);
}

/* Hundreds of runs: they are merged on the way. Many small batches without spilling: put together. */
static void test_many_runs(void **state)
{
    struct fixture *f = *state;
    struct drive *drive = &f->drive;
    const struct mr_schema *schema;
    assert_int_equal(mr_schema_parse(&drive->arena, "id bigint, a string", &schema, &drive->err),
                     MR_OK);
    int n = 1200;
    struct mr_batch **batches = calloc((size_t)n, sizeof *batches);
    for (int b = 0; b < n; b++) {
        char rows[128];
        snprintf(rows, sizeof rows, "%d,some rather long text %d;%d,NULL;%d,some rather long t%d",
                 b * 3, b * 7919 % 1000, b * 3 + 1, b * 3 + 2, b % 10);
        batches[b] = drive_rows(drive, schema, rows);
    }
    assert_int_equal(drive_bind(drive, &mr_op_sort_data, schema, -1,
                                (const char *const[]){"orderBy", "a desc nulls first", NULL}),
                     MR_OK);
    struct mr_batch *first = NULL;
    for (int s = 0; s < 3; s++) {
        assert_int_equal(drive_run(drive, batches, n, s + 1,
                                   s == 1   ? 5000
                                   : s == 0 ? 1
                                            : 1 << 30),
                         MR_OK);
        assert_int_equal(drive->all->rows, n * 3);
        for (int64_t i = 0; first && i < n * 3; i++)
            assert_true(mr_column_equal_rows(first->columns[0], i, drive->all->columns[0], i));
        for (int64_t i = 1; i < n * 3; i++) {
            int c =
                mr_column_compare_rows(drive->all->columns[1], i - 1, drive->all->columns[1], i);
            bool null = mr_column_is_null(drive->all->columns[1], i - 1);
            assert_true(null || c > 0 ||
                        (c == 0 && drive_int(drive, 0, i - 1) < drive_int(drive, 0, i)));
        }
        if (!first)
            first = mr_batch_ref(drive->all);
    }
    mr_batch_unref(first);
    drive_free_data(batches, n);
    free(batches);
    drive_forget(drive);
}

static void test_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(drive_bind(&f->drive, &mr_op_sort_data, f->schema, 0,
                                (const char *const[]){"orderBy", "id", NULL}),
                     MR_OK);
    assert_int_equal(f->drive.info.pulls, 1);
    assert_int_equal(drive_run(&f->drive, NULL, 0, 2, 1), MR_OK);
    assert_int_equal(f->drive.nbatches, 0);
}

static void test_mistakes(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[][2] = {{"nosuch DESC", "nosuch"},
                                           {"id DESC NULLS", "DESC"},
                                           {"DESC ASC NULLS LAST", "DESC"}};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(drive_bind(&f->drive, &mr_op_sort_data, f->schema, -1,
                                    (const char *const[]){"orderBy", texts[i][0], NULL}),
                         MR_CONFIG);
        if (!strstr(f->drive.err.message, texts[i][1]))
            fail_msg("%s", f->drive.err.message);
        assert_non_null(strstr(f->drive.err.message, "orderBy"));
    }
}

/* Every budget from nothing on: the answer is right or MR_LIMIT, and nothing stays charged. */
static void test_short_memory(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(drive_bind(&f->drive, &mr_op_sort_data, f->schema, -1,
                                (const char *const[]){"orderBy", "c15, c8 DESC", NULL}),
                     MR_OK);
    int64_t used = mr_memory_used(&f->drive.memory);
    int done = 0;
    for (int64_t room = 0; room < 3000000; room += 60000) {
        f->drive.memory.limit = used + room;
        enum mr_status status = drive_run(&f->drive, f->batches, BATCHES, 2, room % 7 * 50000);
        if (status != MR_OK)
            assert_int_equal(status, MR_LIMIT);
        done += status == MR_OK;
        drive_forget(&f->drive);
        assert_int_equal(mr_memory_used(&f->drive.memory), used);
    }
    f->drive.memory.limit = INT64_MAX;
    assert_true(done > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),        cmocka_unit_test(test_one_key),
        cmocka_unit_test(test_limit),        cmocka_unit_test(test_many_runs),
        cmocka_unit_test(test_nothing),      cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_short_memory),
    };
    return cmocka_run_group_tests_name("sortData", tests, setup, teardown);
}
