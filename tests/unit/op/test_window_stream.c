/*
 * test_window_stream.c - windowColumns over epochs, saved and given back at random, against the batch operator over all rows.
 */
#include "saved.h"

#include "op/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BATCHES 256

/* Rows as text, by id. */
struct rows {
    char *texts[20000];
    int count;
};

static void note_rows(const struct drive *drive, struct rows *rows)
{
    struct mr_bytes text;
    if (!drive->all)
        return;
    mr_bytes_init(&text, INT64_MAX / 4);
    drive_text(drive, &text);
    mr_bytes_append(&text, "", 1);
    assert_int_equal(text.status, MR_OK);
    for (char *save = NULL, *row = strtok_r(text.data, ";", &save); row;
         row = strtok_r(NULL, ";", &save)) {
        int id = atoi(row);
        assert_in_range(id, 0, 19999);
        assert_null(rows->texts[id]);
        rows->texts[id] = strdup(row);
        rows->count++;
    }
    mr_bytes_reset(&text);
}

static struct mr_batch *some_rows(struct drive *drive, const struct mr_schema *schema, int *next,
                                  int nkeys)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 20);
    for (int rows = 1 + rand() % 60; rows > 0; rows--) {
        int key = rand() % 3 ? rand() % nkeys : rand() % 3;
        mr_bytes_printf(&text, "%s%d,", text.size ? ";" : "", (*next)++);
        mr_bytes_printf(&text, key % 20 == 7 ? "NULL,k%d," : "%d,k%d,",
                        key % 20 == 7 ? key : key % 20, key / 20);
        mr_bytes_printf(&text, rand() % 8 ? "%d,%d.5,t%d" : "NULL,NULL,NULL", rand() % 1000,
                        rand() % 64, rand() % 100);
    }
    assert_int_equal(text.status, MR_OK);
    struct mr_batch *batch = drive_rows(drive, schema, text.data);
    mr_bytes_reset(&text);
    return batch;
}

static const char *const names[] = {"columns", "partitionBy", "frame"};
/* Columns with semicolons between them. */
static const char *const cases[][3] = {
    {"n = row_number();l = lag(x);l3 = lag(s, 3, 'none');sx = sum(x)", "a,b",
     "ROWS BETWEEN 9 PRECEDING AND CURRENT ROW"},
    {"sx = sum(x);ad = avg(d);lo = min(s);hi = max(d);c = count(*);e = x - lag(x, 2)", "a,b",
     "ROWS BETWEEN 5 PRECEDING AND 2 PRECEDING"},
    {"n = row_number()", "b", NULL},
    {"m = median(x);f = first_value(s);v = last_value(x) IGNORE NULLS;w = nth_value(x, 2)", "a,b",
     "ROWS BETWEEN 20 PRECEDING AND CURRENT ROW"},
    {"sx = sum(x);n = row_number()", NULL, "ROWS BETWEEN 30 PRECEDING AND CURRENT ROW"},
    {"sx = sum(x) FILTER (WHERE d > 10)", "a % 3", "ROWS BETWEEN CURRENT ROW AND CURRENT ROW"},
    {"sx = sum(x);ad = avg(d);lo = min(s);hi = max(d);c = count(*);n = row_number()", "a,b",
     "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"},
    {"f = first_value(s);fi = first_value(x) IGNORE NULLS;v = last_value(x);l = lag(x, 3);"
     "li = last_value(s) IGNORE NULLS;m = max_by(s, x);sx = sum(x) FILTER (WHERE d > 10)",
     "b", "ROWS UNBOUNDED PRECEDING"},
    {"sx = sum(x) - lag(x);p = bool_or(x > 500);v = round(var_pop(d), 6)", NULL,
     "ROWS UNBOUNDED PRECEDING"},
    /* wide rows: what is stored is divided */
    {"l = right(lag(repeat(s, 200), 40), 3);n = row_number()", "a,b", NULL},
};

static void bind(struct drive *drive, const struct mr_schema *schema, const char *const *texts,
                 bool stream)
{
    const char *pairs[32];
    char columns[400], *save = NULL;
    int n = 0;
    snprintf(columns, sizeof columns, "%s", texts[0]);
    for (char *text = strtok_r(columns, ";", &save); text; text = strtok_r(NULL, ";", &save)) {
        pairs[n++] = names[0];
        pairs[n++] = text;
    }
    for (int i = 1; i < 3; i++) {
        if (!texts[i])
            continue;
        pairs[n++] = names[i];
        pairs[n++] = texts[i];
    }
    if (!stream) {
        pairs[n++] = "orderBy";
        pairs[n++] = "id";
    }
    pairs[n] = NULL;
    drive->stream = stream;
    if (drive_bind(drive, &mr_op_window_columns, schema, stream ? -1 : 100, pairs) != MR_OK)
        fail_msg("%s: %s", texts[0], drive->err.message);
}

static void run_stream(unsigned seed, const char *const *texts, int nkeys, int64_t share)
{
    struct drive drive;
    struct saved saved;
    const struct mr_schema *schema;
    struct mr_batch *batches[BATCHES];
    struct rows *got = calloc(1, sizeof *got), *wanted = calloc(1, sizeof *wanted);
    int next = 0, from = 0;
    srand(seed);
    drive_init(&drive);
    drive.spare_pulls = 1;
    drive.runtime.share = share; /* of what is kept, too */
    assert_int_equal(mr_schema_parse(&drive.arena,
                                     "id BIGINT, a INT, b STRING, x INT, d DOUBLE, s STRING",
                                     &schema, &drive.err),
                     MR_OK);
    bind(&drive, schema, texts, true);
    assert_non_null(drive.info.kept);
    saved_open(&saved, &drive, &mr_op_window_columns);
    for (int epoch = 0; epoch < 60; epoch++) {
        int to = from + rand() % 4;
        for (int b = from; b < to; b++)
            batches[b] = some_rows(&drive, schema, &next, nkeys);
        if (drive_run(&drive, batches + from, to - from, 1 + rand() % 3, share) != MR_OK)
            fail_msg("%s", drive.err.message);
        note_rows(&drive, got);
        saved_save(&saved, rand() % 5 == 0);
        if (rand() % 4 == 0)
            saved_reopen(&saved);
        from = to;
    }
    saved_close(&saved);
    bind(&drive, schema, texts, false);
    if (drive_run(&drive, batches, from, 1, INT64_MAX / 4) != MR_OK)
        fail_msg("%s", drive.err.message);
    note_rows(&drive, wanted);
    assert_int_equal(got->count, next);
    assert_int_equal(wanted->count, next);
    for (int i = 0; i < next; i++) {
        assert_string_equal(got->texts[i], wanted->texts[i]);
        free(got->texts[i]);
        free(wanted->texts[i]);
    }
    free(got);
    free(wanted);
    drive_free_data(batches, from);
    drive_reset(&drive);
}

static void test_epochs(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 40; seed++)
        run_stream(seed, cases[seed % 10], seed % 4 ? 200 : 5, seed % 3 ? INT64_MAX / 4 : 4096);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *const pairs[8];
        const char *message;
    } refused[] = {
        {{"columns", "n = row_number()", "orderBy", "id"}, "the order of arrival"},
        {{"columns", "n = rank()"}, "rank(): rows that have not come yet would change it"},
        {{"columns", "n = ntile(4)"}, "ntile(4): rows that have not come yet would change it"},
        {{"columns", "n = lead(a)"}, "lead(a): it needs rows that have not come yet"},
        {{"columns", "n = lag(a) IGNORE NULLS"}, "with IGNORE NULLS"},
        {{"columns", "n = sum(a)"}, "without a frame all rows of the group count"},
        {{"columns", "n = last_value(a)"}, "without a frame all rows of the group count"},
        {{"columns", "n = sum(a)", "frame", "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING"},
         "sum(a): the frame needs rows that have not come yet"},
        {{"columns", "n = sum(a)", "frame", "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"},
         "a frame from UNBOUNDED PRECEDING goes to CURRENT ROW"},
        {{"columns", "n = median(a)", "frame", "ROWS UNBOUNDED PRECEDING"},
         "median(a): all values of the group would be kept"},
        {{"columns", "n = collect_list(a)", "frame", "ROWS UNBOUNDED PRECEDING"},
         "collect_list(a): all values of the group would be kept"},
        {{"columns", "n = nth_value(a, 2)", "frame", "ROWS UNBOUNDED PRECEDING"},
         "nth_value(a, 2): from UNBOUNDED PRECEDING it would need a row from long ago"},
        {{"columns", "n = sum(a)", "frame", "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"},
         "RANGE needs an order"},
    };
    struct drive drive;
    const struct mr_schema *schema;
    drive_init(&drive);
    drive.stream = true;
    assert_int_equal(mr_schema_parse(&drive.arena, "id BIGINT, a INT", &schema, &drive.err), MR_OK);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(drive_bind(&drive, &mr_op_window_columns, schema, 1, refused[i].pairs),
                         MR_CONFIG);
        if (!strstr(drive.err.message, refused[i].message))
            fail_msg("%s: %s", refused[i].message, drive.err.message);
    }
    drive_reset(&drive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
