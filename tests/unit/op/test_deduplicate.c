/*
 * deduplicate and the exchanges over every type, in memory and spilled: against comparing every row with every
 * other.
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

#define BATCHES 6
#define ROWS    200
#define ALL     (BATCHES * ROWS)

struct fixture {
    struct drive drive;
    const struct mr_schema *schema;
    struct mr_batch *batches[BATCHES];
    uint8_t expected[ALL]; /* is row id kept? */
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

static const struct mr_column *cell(const struct fixture *f, int column, int64_t id, int64_t *row)
{
    *row = id % ROWS;
    return f->batches[id / ROWS]->columns[column];
}

static int compare(const struct fixture *f, int column, int64_t a, int64_t b)
{
    int64_t row_a, row_b;
    const struct mr_column *x = cell(f, column, a, &row_a), *y = cell(f, column, b, &row_b);
    return mr_column_compare_rows(x, row_a, y, row_b);
}

/* Does row a win over row b of the same key? `order` column (0 = none) descending, nulls last. */
static bool wins(const struct fixture *f, int order, bool last, int64_t a, int64_t b)
{
    int c = order ? -compare(f, order, a, b) : 0;
    if (c == 0)
        c = a < b ? -1 : 1;
    return last ? c > 0 : c < 0;
}

static void expect(struct fixture *f, int key, int order, bool last)
{
    int64_t best[ALL];
    int n = 0;
    memset(f->expected, 0, sizeof f->expected);
    for (int64_t id = 0; id < ALL; id++) {
        int i = 0;
        while (i < n && compare(f, key, best[i], id) != 0)
            i++;
        if (i == n)
            best[n++] = id;
        else if (wins(f, order, last, id, best[i]))
            best[i] = id;
    }
    for (int i = 0; i < n; i++)
        f->expected[best[i]] = 1;
}

static void check(struct fixture *f)
{
    struct drive *drive = &f->drive;
    int left = 0;
    for (int id = 0; id < ALL; id++)
        left += f->expected[id];
    assert_int_equal(drive->all ? drive->all->rows : 0, left);
    for (int64_t i = 0; i < left; i++) {
        int64_t id = drive_int(drive, 0, i), row;
        assert_int_equal(f->expected[id]--, 1);
        for (int c = 1; c < f->schema->nfields; c++) {
            const struct mr_column *column = cell(f, c, id, &row);
            assert_true(mr_column_equal_rows(drive->all->columns[c], i, column, row));
        }
    }
}

static void run(struct fixture *f, int ntasks, int64_t share)
{
    if (drive_run(&f->drive, f->batches, BATCHES, ntasks, share) != MR_OK)
        fail_msg("%s", f->drive.err.message);
}

static const int64_t shares[] = {INT64_MAX / 4, 60000, 1};

static void test_types(void **state)
{
    struct fixture *f = *state;
    f->drive.spare_pulls = 1;
    for (int t = 0; t < sample_ntypes; t++) {
        for (int way = 0; way < 4; way++) {
            char key[32], text[64];
            bool last = way & 1, ordered = way & 2;
            int order = ordered ? sample_ntypes - t : 0;
            snprintf(key, sizeof key, "c%d", t);
            snprintf(text, sizeof text, "c%d DESC NULLS LAST", order - 1);
            const char *const pairs[] = {
                "keys", key, "keep", last ? "last" : "first", ordered ? "orderBy" : NULL,
                text,   NULL};
            assert_int_equal(drive_bind(&f->drive, &mr_op_deduplicate, f->schema, -1, pairs),
                             MR_OK);
            run(f, 1 + t % 3, shares[(t + way) % 3]);
            expect(f, t + 1, order, last);
            check(f);
        }
    }
    drive_forget(&f->drive);
}

static void test_all_columns(void **state)
{
    struct fixture *f = *state;
    struct mr_batch *twice[2 * BATCHES];
    for (int b = 0; b < 2 * BATCHES; b++)
        twice[b] = f->batches[b % BATCHES];
    assert_int_equal(drive_bind(&f->drive, &mr_op_deduplicate, f->schema, 10,
                                (const char *const[]){NULL}),
                     MR_OK);
    assert_int_equal(f->drive.info.pulls, 1);
    assert_non_null(strstr(f->drive.info.details, "all columns"));
    for (int s = 0; s < 3; s++) {
        assert_int_equal(drive_run(&f->drive, twice, 2 * BATCHES, 2, shares[s]), MR_OK);
        memset(f->expected, 1, sizeof f->expected);
        check(f);
    }
    drive_forget(&f->drive);
}

/* Every row once, equal keys in one partition, order of the input within it. */
static void test_by_columns(void **state)
{
    struct fixture *f = *state;
    struct drive *drive = &f->drive;
    for (int t = 0; t < sample_ntypes; t++) {
        char key[32];
        int at[ALL];
        snprintf(key, sizeof key, "c%d,c%d", t, t / 2);
        assert_int_equal(drive_bind(drive, &mr_op_repartition_by_columns, f->schema, -1,
                                    (const char *const[]){"columns", key, "numPartitions", "7",
                                                          NULL}),
                         MR_OK);
        assert_int_equal(drive->info.pulls, 7);
        assert_int_equal(drive->info.partitions, 7);
        run(f, 1 + t % 3, shares[t % 3]);
        memset(f->expected, 1, sizeof f->expected);
        check(f);
        for (int b = 0, last = -1, i = 0; b < drive->nbatches; b++) {
            if (b > 0 && drive->partitions[b] != drive->partitions[b - 1])
                last = -1;
            for (int64_t r = 0; r < drive->batches[b]->rows; r++) {
                int id = (int)drive_int(drive, 0, i++);
                assert_true(id > last);
                last = id;
                at[id] = drive->partitions[b];
            }
        }
        for (int a = 0; a < ALL; a += 7)
            for (int b = a + 1; b < ALL; b++)
                if (compare(f, t + 1, a, b) == 0 && compare(f, t / 2 + 1, a, b) == 0)
                    assert_int_equal(at[a], at[b]);
    }
    drive_forget(drive);
}

/* The same rows go to the same partitions for ever: files of two runs can be compared. */
static void test_hash_is_stable(void **state)
{
    struct fixture *f = *state;
    struct drive *drive = &f->drive;
    const struct mr_schema *schema;
    assert_int_equal(mr_schema_parse(&drive->arena, "k int, s string", &schema, &drive->err),
                     MR_OK);
    struct mr_batch *batch = drive_rows(drive, schema, "1,a;2,b;3,c;4,d;NULL,NULL;-5,e");
    assert_int_equal(drive_bind(drive, &mr_op_repartition_by_columns, schema, -1,
                                (const char *const[]){"columns", "k,s", "numPartitions", "3",
                                                      NULL}),
                     MR_OK);
    assert_int_equal(drive_run(drive, &batch, 1, 1, 1), MR_OK);
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    for (int b = 0; b < drive->nbatches; b++)
        for (int64_t r = 0; r < drive->batches[b]->rows; r++) {
            struct mr_value value;
            mr_column_get(drive->batches[b]->columns[0], r, &value);
            mr_bytes_printf(&text, "%d:", drive->partitions[b]);
            mr_value_format(&value, &text);
            mr_bytes_char(&text, ' ');
        }
    mr_bytes_append(&text, "", 1);
    assert_string_equal(text.data, "0:NULL 0:-5 1:1 2:2 2:3 2:4 ");
    mr_bytes_reset(&text);
    mr_batch_unref(batch);
    drive_forget(drive);
}

static void test_in_turns(void **state)
{
    struct fixture *f = *state;
    struct drive *drive = &f->drive;
    int64_t rows[11] = {0};
    assert_int_equal(drive_bind(drive, &mr_op_repartition_in_turns, f->schema, -1,
                                (const char *const[]){"numPartitions", "11", NULL}),
                     MR_OK);
    run(f, 2, 1000);
    memset(f->expected, 1, sizeof f->expected);
    check(f);
    for (int b = 0; b < drive->nbatches; b++)
        rows[drive->partitions[b]] += drive->batches[b]->rows;
    for (int p = 0; p < 11; p++)
        assert_in_range(rows[p], ALL / 11 - 2, ALL / 11 + 2);
    assert_true(atomic_load(&drive->counters.value[MR_COUNT_EXCHANGE_BYTES]) > 0);
    drive_forget(drive);
}

static void test_mistakes(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(drive_bind(&f->drive, &mr_op_deduplicate, f->schema, -1,
                                (const char *const[]){"keys", "id,nosuch", NULL}),
                     MR_CONFIG);
    assert_non_null(strstr(f->drive.err.message, "keys: "));
    assert_int_equal(drive_bind(&f->drive, &mr_op_deduplicate, f->schema, -1,
                                (const char *const[]){"keys", "id", "orderBy", "id +", NULL}),
                     MR_CONFIG);
    assert_non_null(strstr(f->drive.err.message, "orderBy: "));
    assert_int_equal(drive_bind(&f->drive, &mr_op_repartition_by_columns, f->schema, -1,
                                (const char *const[]){"columns", "nosuch", NULL}),
                     MR_CONFIG);
    assert_non_null(strstr(f->drive.err.message, "columns: "));
}

static void test_short_memory(void **state)
{
    struct fixture *f = *state;
    static const struct mr_op *const ops[] = {&mr_op_deduplicate, &mr_op_deduplicate,
                                              &mr_op_repartition_by_columns};
    static const char *const pairs[][7] = {{"keys", "c15,c4", NULL},
                                           {"keys", "c15", "keep", "last", "orderBy", "c8 DESC",
                                            NULL},
                                           {"columns", "c15", NULL}};
    int64_t used = mr_memory_used(&f->drive.memory);
    for (int i = 0; i < 3; i++) {
        int done = 0;
        assert_int_equal(drive_bind(&f->drive, ops[i], f->schema, -1, pairs[i]), MR_OK);
        for (int64_t room = 0; room < 3000000; room += 100000) {
            f->drive.memory.limit = used + room;
            enum mr_status status = drive_run(&f->drive, f->batches, BATCHES, 2, room % 7 * 50000);
            if (status != MR_OK)
                assert_int_equal(status, MR_LIMIT);
            done += status == MR_OK;
            drive_forget(&f->drive);
            if (mr_memory_used(&f->drive.memory) != used)
                fail_msg("op %d room %d: %s", i, (int)room, f->drive.err.message);
        }
        f->drive.memory.limit = INT64_MAX;
        assert_true(done > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),          cmocka_unit_test(test_all_columns),
        cmocka_unit_test(test_by_columns),     cmocka_unit_test(test_in_turns),
        cmocka_unit_test(test_hash_is_stable), cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_short_memory),
    };
    return cmocka_run_group_tests_name("deduplicate, repartition", tests, setup, teardown);
}
