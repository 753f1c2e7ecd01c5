/*
 * windowColumns over every type, in memory, spilled, and in pieces of a group: rows are found again by their id, and
 * what a function says of them is computed from ids alone. Values against DuckDB: tests/interop/test_windows.py.
 */
#include "drive.h"

#include "../col/sample.h"
#include "col/kernel.h"
#include "op/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BATCHES 5
#define ROWS    120
#define ALL     (BATCHES * ROWS)

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

static void bind(struct fixture *f, const char *const *pairs)
{
    if (drive_bind(&f->drive, &mr_op_window_columns, f->schema, -1, pairs) != MR_OK)
        fail_msg("%s", f->drive.err.message);
}

static void run(struct fixture *f, int ntasks, int64_t share)
{
    if (drive_run(&f->drive, f->batches, BATCHES, ntasks, share) != MR_OK)
        fail_msg("%s", f->drive.err.message);
    assert_int_equal(f->drive.all->rows, ALL);
}

/* Output column `column` of row `row` is column c of the input's row `id`, NULL when id is none of the group's. */
static void check_value(struct fixture *f, int column, int64_t row, int c, int64_t id)
{
    const struct mr_column *got = f->drive.all->columns[column];
    if (id < 0 || id >= ALL) {
        assert_true(mr_column_is_null(got, row));
        return;
    }
    const struct mr_column *wanted = f->batches[id / ROWS]->columns[c];
    assert_true(mr_column_equal_rows(got, row, wanted, id % ROWS));
}

static bool is_null(struct fixture *f, int c, int64_t id)
{
    return mr_column_is_null(f->batches[id / ROWS]->columns[c], id % ROWS);
}

static int compare(struct fixture *f, int c, int64_t a, int64_t b)
{
    return mr_column_compare_rows(f->batches[a / ROWS]->columns[c], a % ROWS,
                                  f->batches[b / ROWS]->columns[c], b % ROWS);
}

/* The least row that is not NULL among every fifth id in [from, to], -1 = none. */
static int64_t least(struct fixture *f, int c, int64_t from, int64_t to, bool greatest)
{
    int64_t best = -1;
    for (int64_t id = from; id <= to; id += 5) {
        if (id < 0 || id >= ALL || is_null(f, c, id))
            continue;
        int order = best < 0 ? 0 : compare(f, c, id, best);
        if (best < 0 || (greatest ? order > 0 : order < 0))
            best = id;
    }
    return best;
}

static int64_t count(struct fixture *f, int c, int64_t from, int64_t to)
{
    int64_t n = 0;
    for (int64_t id = from; id <= to; id += 5)
        n += id >= 0 && id < ALL && !is_null(f, c, id);
    return n;
}

static bool can_compare(const struct mr_type *type)
{
    for (int i = 0; mr_type_is_nested(type) && i < type->nfields; i++)
        if (type->id == MR_TYPE_MAP || !can_compare(type->fields[i].type))
            return false;
    return type->id != MR_TYPE_MAP && type->id != MR_TYPE_INTERVAL && type->id != MR_TYPE_NULL;
}

static const int64_t shares[] = {INT64_MAX / 4, 40000, 1};

/* Groups: id % 5, in the order of id; the frame is 3 rows before to 1 behind. */
static void test_types(void **state)
{
    struct fixture *f = *state;
    struct drive *drive = &f->drive;
    drive->spare_pulls = 1;
    for (int t = 0; t < sample_ntypes; t++) {
        int c = t + 1, first = f->schema->nfields;
        bool extremes = can_compare(f->schema->fields[c].type);
        char texts[8][64];
        static const char *const calls[] = {"lag(c%d)",        "lead(c%d, 2)", "first_value(c%d)",
                                            "last_value(c%d)", "count(c%d)",   "nth_value(c%d, 2)",
                                            "min(c%d)",        "max(c%d)"};
        for (int i = 0; i < 8; i++) {
            int n = snprintf(texts[i], sizeof texts[i], "x%d=", i);
            snprintf(texts[i] + n, sizeof texts[i] - (size_t)n, calls[i < 6 || extremes ? i : 0],
                     t);
        }
        bind(f, (const char *const[]){
                    "partitionBy", "id % 5",  "orderBy",
                    "id",          "frame",   "ROWS BETWEEN 3 PRECEDING AND 1 FOLLOWING",
                    "columns",     texts[0],  "columns",
                    texts[1],      "columns", texts[2],
                    "columns",     texts[3],  "columns",
                    texts[4],      "columns", texts[5],
                    "columns",     texts[6],  "columns",
                    texts[7],      NULL});
        run(f, 1 + t % 3, shares[t % 3]);
        for (int64_t i = 0; i < ALL; i++) {
            int64_t id = drive_int(drive, 0, i);
            int64_t from = id - 15 < 0 ? id % 5 : id - 15, to = id + 5 < ALL ? id + 5 : id;
            assert_true(i == 0 || id == drive_int(drive, 0, i - 1) + 5 || id < 5);
            check_value(f, c, i, c, id);
            check_value(f, first, i, c, id - 5);
            check_value(f, first + 1, i, c, id + 10);
            check_value(f, first + 2, i, c, from);
            check_value(f, first + 3, i, c, to);
            assert_int_equal(drive_int(drive, first + 4, i), count(f, c, from, to));
            check_value(f, first + 5, i, c, from + 5 <= to ? from + 5 : -1);
            if (extremes) {
                check_value(f, first + 6, i, c, least(f, c, from, to, false));
                check_value(f, first + 7, i, c, least(f, c, from, to, true));
            }
        }
    }
    drive_forget(drive);
}

/* One group in pieces: what runs from its start to the current row. The order has equals. */
static void test_pieces(void **state)
{
    struct fixture *f = *state;
    struct drive *drive = &f->drive;
    int first = f->schema->nfields;
    for (int way = 0; way < 4; way++) {
        bool rows = way & 1, partitioned = way & 2;
        bind(f,
             (const char *const[]){"orderBy",
                                   rows ? "id" : "id div 3",
                                   "frame",
                                   rows ? "ROWS UNBOUNDED PRECEDING" : "RANGE UNBOUNDED PRECEDING",
                                   "columns",
                                   "n=row_number()",
                                   "columns",
                                   "r=rank()",
                                   "columns",
                                   "d=dense_rank()",
                                   "columns",
                                   "c=count(c4)",
                                   "columns",
                                   "s=sum(id)",
                                   "columns",
                                   "a=avg(CAST(id AS DOUBLE))",
                                   "columns",
                                   "l=lag(c15, 7)",
                                   "columns",
                                   "f=first_value(c19)",
                                   "columns",
                                   "m=min(c15)",
                                   partitioned ? "partitionBy" : NULL,
                                   "id < 0",
                                   NULL});
        for (int s = 0; s < 3; s++) {
            run(f, 2, shares[s]);
            int64_t least = -1, values = 0;
            for (int64_t i = 0, to = 0; i < ALL; i++) {
                int64_t peers = rows ? i : i / 3 * 3, end = rows ? i : peers + 2;
                for (; to <= end; to++) {
                    values += !is_null(f, 5, to);
                    if (!is_null(f, 16, to) && (least < 0 || compare(f, 16, to, least) < 0))
                        least = to;
                }
                assert_int_equal(drive_int(drive, 0, i), i);
                assert_int_equal(drive_int(drive, first, i), i + 1);
                assert_int_equal(drive_int(drive, first + 1, i), peers + 1);
                assert_int_equal(drive_int(drive, first + 2, i), (rows ? i : i / 3) + 1);
                assert_int_equal(drive_int(drive, first + 3, i), values);
                assert_int_equal(drive_int(drive, first + 4, i), end * (end + 1) / 2);
                struct mr_value mean;
                mr_column_get(drive->all->columns[first + 5], i, &mean);
                assert_true(mean.u.f64 == (double)end / 2);
                check_value(f, first + 6, i, 16, i - 7);
                check_value(f, first + 7, i, 20, 0);
                check_value(f, first + 8, i, 16, least);
            }
        }
    }
    drive_forget(drive);
}

struct small {
    const char *rows; /* k, v */
    const char *pairs[14];
    const char *result;
};

/* In the order of the output, all in one group or by k. */
static const struct small smalls[] = {
    {"1,5;1,6;1,6;1,NULL",
     {"orderBy", "v", "columns", "x=count(*)", "columns", "y=sum(v)"},
     "1,NULL,1,NULL;1,5,2,5;1,6,4,17;1,6,4,17"},
    {"1,5;1,6", {"columns", "x=sum(v) + 1", "columns", "v=v - avg(v)"}, "1,-0.5,12;1,0.5,12"},
    {"1,1;1,2;1,4;1,9",
     {"orderBy", "v DESC", "frame", "RANGE BETWEEN 2 PRECEDING AND 3 FOLLOWING", "columns",
      "x=count(*)", "columns", "y=max(v)"},
     "1,9,1,9;1,4,3,4;1,2,3,4;1,1,2,2"},
    {"1,1;1,2;1,3;1,4",
     {"orderBy", "v", "frame", "ROWS BETWEEN 2 FOLLOWING AND 9 FOLLOWING", "columns", "x=sum(v)",
      "columns", "y=collect_list(v)", "columns", "z=count(*)"},
     "1,1,7,[3, 4],2;1,2,4,[4],1;1,3,NULL,[],0;1,4,NULL,[],0"},
    {"1,1;1,2;1,3",
     {"orderBy", "v", "frame", "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING", "columns",
      "x=collect_list(v)", "columns", "y=stddev(v)", "columns", "z=min(v)"},
     "1,1,[],NULL,NULL;1,2,[1],NULL,1;1,3,[1, 2],0.7071067811865476,1"},
    {"1,1;2,2;1,3",
     {"partitionBy", "k", "orderBy", "v", "columns", "x=percentile(v, 0.5)", "columns",
      "y=ntile(2)"},
     NULL},
    {"1,1;1,2;1,2;1,3;1,4",
     {"orderBy", "v", "columns", "x=ntile(3)", "columns", "y=percent_rank()", "columns",
      "z=cume_dist()"},
     "1,1,1,0.0,0.2;1,2,1,0.25,0.6;1,2,2,0.25,0.6;1,3,2,0.75,0.8;1,4,3,1.0,1.0"},
};

static void test_small(void **state)
{
    struct fixture *f = *state;
    struct drive *drive = &f->drive;
    const struct mr_schema *schema;
    assert_int_equal(mr_schema_parse(&drive->arena, "k int, v int", &schema, &drive->err), MR_OK);
    for (size_t i = 0; i < sizeof smalls / sizeof smalls[0]; i++) {
        struct mr_batch *batch = drive_rows(drive, schema, smalls[i].rows);
        if (drive_bind(drive, &mr_op_window_columns, schema, 3, smalls[i].pairs) != MR_OK)
            fail_msg("%d: %s", (int)i, drive->err.message);
        assert_int_equal(drive->info.pulls, 1);
        assert_int_equal(drive_run(drive, &batch, 1, 1, 1 << 20), MR_OK);
        struct mr_bytes text;
        mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
        drive_text(drive, &text);
        mr_bytes_append(&text, "", 1);
        if (smalls[i].result)
            assert_string_equal(text.data, smalls[i].result);
        mr_bytes_reset(&text);
        mr_batch_unref(batch);
    }
    drive_forget(drive);
}

struct mistake {
    const char *pairs[10];
    const char *message;
};

static const struct mistake mistakes[] = {
    {{"columns", "x=nosuch(id)"}, "columns.x"},
    {{"columns", "x=sum(nosuch)"}, "nosuch"},
    {{"columns", "x=sum(id) OVER (PARTITION BY id)"}, "OVER is not written here"},
    {{"columns", "x=count(DISTINCT id)"}, "DISTINCT"},
    {{"columns", "x=rank(id)"}, "rank has 1 arguments"},
    {{"columns", "x=lag(id, id)"}, "lag"},
    {{"columns", "x=rank()"}, "rank needs an order"},
    {{"partitionBy", "id", "columns", "x=1 + lag(id)"}, "lag needs an order"},
    {{"columns", "x=ntile(0)"}, "whole number from 1"},
    {{"columns", "x=sum(id)", "frame", "ROWS BETWEEN 1 FOLLOWING AND CURRENT ROW"}, "ends before"},
    {{"columns", "x=sum(id)", "frame", "ROWS BETWEEN -1 PRECEDING AND CURRENT ROW"}, "frame: "},
    {{"columns", "x=sum(id)", "frame", "3 PRECEDING"}, "frame: "},
    {{"columns", "x=sum(id)", "frame", "RANGE 3 PRECEDING"}, "exactly one orderBy"},
    {{"columns", "x=sum(id)", "orderBy", "c15", "frame", "RANGE 3 PRECEDING"}, "frame: "},
    {{"columns", "x=sum(id)", "partitionBy", "nosuch"}, "partitionBy: "},
    {{"columns", "x=sum(id)", "orderBy", "nosuch DESC"}, "orderBy: "},
    {{"columns", "x=sum(sum(id))"}, "columns.x"},
};

static void test_mistakes(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        enum mr_status status =
            drive_bind(&f->drive, &mr_op_window_columns, f->schema, -1, mistakes[i].pairs);
        if (status != MR_CONFIG || !strstr(f->drive.err.message, mistakes[i].message))
            fail_msg("%d: %d %s", (int)i, (int)status,
                     status == MR_OK ? "no error" : f->drive.err.message);
    }
}

/* Every budget from nothing on; a group that is too large is named. */
static void test_short_memory(void **state)
{
    struct fixture *f = *state;
    struct drive *drive = &f->drive;
    int64_t used = mr_memory_used(&drive->memory);
    int done = 0, named = 0;
    for (int way = 0; way < 2; way++) {
        bind(f, (const char *const[]){"partitionBy", "id < 500", "orderBy", "c15, id", "columns",
                                      "a=lag(c8)", "columns", "b=sum(id)", "columns",
                                      way ? "c=collect_list(c4)" : "c=min(c20)", "columns",
                                      way ? "d=last_value(c1)" : "d=rank()", NULL});
        for (int64_t room = 0; room < 1500000; room += 30000) {
            drive->memory.limit = used + room;
            enum mr_status status = drive_run(drive, f->batches, BATCHES, 2, room % 7 * 20000);
            if (status != MR_OK)
                assert_int_equal(status, MR_LIMIT);
            done += status == MR_OK;
            named += status == MR_LIMIT && strstr(drive->err.message, "window group (true)");
            drive_forget(drive);
            assert_int_equal(mr_memory_used(&drive->memory), used);
        }
    }
    drive->memory.limit = INT64_MAX;
    assert_true(done > 0);
    assert_true(named > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_small),        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_short_memory),
    };
    return cmocka_run_group_tests_name("windowColumns", tests, setup, teardown);
}
