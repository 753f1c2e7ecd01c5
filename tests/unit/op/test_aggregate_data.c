/*
 * aggregateData against Apache Spark (aggregate_spark.tsv, see aggregate_spark.py): every case over several batches, in
 * one task and in three, in memory and spilled after every batch. Then what Spark cannot tell: names, windows, errors.
 */
#include "drive.h"

#include "col/builder.h"
#include "op/ops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX_ROWS   200
#define MAX_FIELDS 64
#define LINE       8192

struct spark {
    struct drive drive;
    const struct mr_schema *schema;
    char *rows[MAX_ROWS];
    int nrows;
    char *groups[MAX_FIELDS];
    int ngroups;
    struct mr_batch *batches[MAX_ROWS];
    int nbatches;
};

static int split(char *line, char **fields)
{
    int n = 0;
    line[strcspn(line, "\n")] = '\0';
    for (char *at = line; at && n < MAX_FIELDS; n++) {
        fields[n] = at;
        at = strchr(at, '\t');
        if (at)
            *at++ = '\0';
    }
    return n;
}

static void append(struct mr_builder *builder, const char *text, struct mr_error *err)
{
    enum mr_status status;
    if (strcmp(text, "NULL") == 0)
        status = mr_builder_null(builder, err);
    else if (builder->layout == MR_LAYOUT_BYTES)
        status = mr_builder_bytes(builder, text, strlen(text), err);
    else if (builder->layout == MR_LAYOUT_F64)
        status = mr_builder_double(builder, strtod(text, NULL), err);
    else
        status = mr_builder_int(builder, strtoll(text, NULL, 10), err);
    assert_int_equal(status, MR_OK);
}

/* Batches of `size` rows. */
static void make_batches(struct spark *spark, int size)
{
    struct mr_error *err = &spark->drive.err;
    spark->nbatches = 0;
    for (int from = 0; from < spark->nrows; from += size) {
        struct mr_builder builders[8];
        struct mr_column *columns[8];
        int n = spark->schema->nfields;
        int64_t count = 0;
        for (int c = 0; c < n; c++)
            assert_int_equal(mr_builder_init(&builders[c], &spark->drive.memory,
                                             spark->schema->fields[c].type, err),
                             MR_OK);
        for (int r = from; r < from + size && r < spark->nrows; r++, count++) {
            char line[LINE], *fields[MAX_FIELDS];
            snprintf(line, sizeof line, "%s", spark->rows[r]);
            assert_int_equal(split(line, fields), n + 1);
            for (int c = 0; c < n; c++)
                append(&builders[c], fields[c + 1], err);
        }
        for (int c = 0; c < n; c++) {
            assert_int_equal(mr_builder_finish(&builders[c], &columns[c], err), MR_OK);
            mr_builder_reset(&builders[c]);
        }
        assert_int_equal(mr_batch_new(spark->schema, count, columns,
                                      &spark->batches[spark->nbatches++], err),
                         MR_OK);
    }
}

static bool close_enough(const char *a, const char *b)
{
    char *end_a, *end_b;
    for (;;) {
        a += strspn(a, "[], ");
        b += strspn(b, "[], ");
        if (!*a || !*b)
            return *a == *b;
        double x = strtod(a, &end_a), y = strtod(b, &end_b);
        if (end_a == a || end_b == b)
            return strcmp(a, b) == 0;
        if (!(fabs(x - y) <= 1e-9 * fmax(fabs(x), fabs(y)) || x == y || (isnan(x) && isnan(y))))
            return false;
        a = end_a;
        b = end_b;
    }
}

/* The result of group g, as text; "" when it is not there. */
static void value_of(const struct spark *spark, const char *group, bool by, char *out, size_t size)
{
    const struct mr_batch *all = spark->drive.all;
    out[0] = '\0';
    for (int64_t i = 0; all && i < all->rows; i++) {
        struct mr_bytes text;
        struct mr_value value;
        mr_bytes_init(&text, LINE);
        if (by) {
            mr_column_get(all->columns[0], i, &value);
            mr_value_format(&value, &text);
        }
        if (!by || strcmp(text.data, group) == 0) {
            mr_bytes_clear(&text);
            mr_column_get(all->columns[by ? 1 : 0], i, &value);
            mr_value_format(&value, &text);
            snprintf(out, size, "%.*s", (int)text.size, text.data ? text.data : "");
        }
        mr_bytes_reset(&text);
    }
}

/*
 * Spark divides by zero, under ANSI an error, where a side of corr is constant; here the answer is NULL. Its sketches are
 * off where there are few values, or NaN; here both are exact.
 */
static const char *const known_differences[] = {"corr(i, d)", "corr(d, d)",
                                                "approx_count_distinct(s)",
                                                "percentile_approx(d, 0.3)", NULL};

static bool is_known(const char *expression)
{
    for (int i = 0; known_differences[i]; i++)
        if (strcmp(known_differences[i], expression) == 0)
            return true;
    return false;
}

static int run_case(struct spark *spark, char **fields, int nfields, int ntasks, int64_t share)
{
    const char *by = fields[2], *expression = fields[3], *type = fields[4];
    bool legacy = strcmp(fields[1], "legacy") == 0, fails = strcmp(type, "!") == 0;
    char text[LINE], value[LINE], typed[128];
    struct drive *drive = &spark->drive;
    int wrong = 0;
    const char *where = legacy ? "" : "k IS NULL OR k NOT IN ('big')";
    (void)where;
    snprintf(text, sizeof text, "r=%s", expression);
    const char *pairs[] = {"aggregations", text, *by ? "groupBy" : NULL, by, NULL};
    drive->legacy = legacy;
    enum mr_status status = drive_bind(drive, &mr_op_aggregate_data, spark->schema, -1, pairs);
    if (status == MR_OK) {
        mr_type_text(drive->info.schema->fields[*by ? 1 : 0].type, typed, sizeof typed);
        /* The last two rows are those of the group "big", which overflows. */
        int n = spark->nbatches - (legacy ? 0 : 1);
        status = drive_run(drive, spark->batches, n, ntasks, share);
    }
    if (status != MR_OK || fails) {
        if ((status != MR_OK) != fails) {
            printf("%s %s [%s]: %s\n", fields[1], expression, by,
                   fails ? "should fail" : drive->err.message);
            wrong++;
        }
        drive_forget(drive);
        return wrong;
    }
    if (strcmp(typed, type) != 0) {
        printf("%s %s [%s]: type %s, Spark's is %s\n", fields[1], expression, by, typed, type);
        wrong++;
    }
    for (int g = 0, f = 5; f < nfields; g++) {
        if (*by && !legacy && strcmp(spark->groups[g], "big") == 0)
            continue;
        value_of(spark, *by ? spark->groups[g] : NULL, *by, value, sizeof value);
        if (strcmp(value, fields[f]) != 0 && !close_enough(value, fields[f])) {
            printf("%s %s [%s %s] tasks %d share %lld: %s, Spark gives %s\n", fields[1], expression,
                   by, *by ? spark->groups[g] : "", ntasks, (long long)share, value, fields[f]);
            wrong++;
        }
        f++;
    }
    drive_forget(drive);
    return wrong;
}

static void test_spark(void **state)
{
    (void)state;
    static struct spark spark;
    const char *directory = getenv("srcdir");
    char path[512], line[LINE], *fields[MAX_FIELDS];
    snprintf(path, sizeof path, "%s/tests/unit/op/aggregate_spark.tsv",
             directory ? directory : ".");
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("cannot open %s", path);
    int wrong = 0, cases = 0;
    drive_init(&spark.drive);
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#')
            continue;
        if (strncmp(line, "row\t", 4) == 0) {
            line[strcspn(line, "\n")] = '\0';
            spark.rows[spark.nrows++] = strdup(line);
            continue;
        }
        int n = split(line, fields);
        if (strcmp(fields[0], "schema") == 0) {
            assert_int_equal(mr_schema_parse(&spark.drive.arena, fields[1], &spark.schema,
                                             &spark.drive.err),
                             MR_OK);
        } else if (strcmp(fields[0], "groups") == 0) {
            for (int g = 1; g < n; g++)
                spark.groups[spark.ngroups++] = strdup(fields[g]);
            make_batches(&spark, 12);
            /* The last batch must hold exactly the two rows of "big". */
            assert_int_equal(spark.batches[spark.nbatches - 1]->rows, 2);
        } else if (!is_known(fields[3])) {
            cases++;
            wrong += run_case(&spark, fields, n, 1, INT64_MAX);
            wrong += run_case(&spark, fields, n, 3, INT64_MAX);
            wrong += run_case(&spark, fields, n, 2, 1);
        }
    }
    fclose(file);
    for (int b = 0; b < spark.nbatches; b++)
        mr_batch_unref(spark.batches[b]);
    for (int r = 0; r < spark.nrows; r++)
        free(spark.rows[r]);
    for (int g = 0; g < spark.ngroups; g++)
        free(spark.groups[g]);
    drive_reset(&spark.drive);
    print_message("%d cases, %d differences\n", cases, wrong);
    assert_int_equal(wrong, 0);
}

/* Sorted rows "a,b;c,d" of the result. */
static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sorted_text(const struct drive *drive, char *out, size_t size)
{
    struct mr_bytes text;
    char *lines[2048];
    int n = 0;
    mr_bytes_init(&text, 1 << 20);
    drive_text(drive, &text);
    for (char *at = text.data ? strtok(text.data, ";") : NULL; at; at = strtok(NULL, ";"))
        lines[n++] = at;
    qsort(lines, (size_t)n, sizeof *lines, compare_texts);
    out[0] = '\0';
    for (int i = 0; i < n; i++)
        snprintf(out + strlen(out), size - strlen(out), "%s%s", i ? ";" : "", lines[i]);
    mr_bytes_reset(&text);
}

/* Three batches of events; what Spark 3.5 gives for window() and session_window() over them. */
static const char *const events[] = {"a,0,1;a,5,2;a,9,3;b,-3,4", "a,14,5;a,25,6;b,61,7;NULL,5,8",
                                     "a,NULL,9;b,3,10;a,15,11"};

static const struct {
    const char *group, *type, *size, *slide, *gap, *expected;
} windows[] = {
    {"k", "tumbling", "10 seconds", NULL, NULL,
     "NULL,0,10,8,[8];a,0,10,6,[1, 2, 3];a,10,20,16,[5, 11];a,20,30,6,[6];b,-10,0,4,[4];"
     "b,0,10,10,[10];b,60,70,7,[7]"},
    {"k", "sliding", "10 seconds", "5 seconds", NULL,
     "NULL,0,10,8,[8];NULL,5,15,8,[8];a,-5,5,1,[1];a,0,10,6,[1, 2, 3];a,10,20,16,[5, 11];"
     "a,15,25,11,[11];a,20,30,6,[6];a,25,35,6,[6];a,5,15,10,[2, 3, 5];b,-10,0,4,[4];"
     "b,-5,5,14,[4, 10];b,0,10,10,[10];b,55,65,7,[7];b,60,70,7,[7]"},
    {"k", "sliding", "7 seconds", "3 seconds", NULL,
     "NULL,0,7,8,[8];NULL,3,10,8,[8];a,-3,4,1,[1];a,-6,1,1,[1];a,0,7,3,[1, 2];"
     "a,12,19,16,[5, 11];a,15,22,11,[11];a,21,28,6,[6];a,24,31,6,[6];a,3,10,5,[2, 3];"
     "a,6,13,3,[3];a,9,16,19,[3, 5, 11];b,-3,4,14,[4, 10];b,-6,1,4,[4];b,-9,-2,4,[4];"
     "b,0,7,10,[10];b,3,10,10,[10];b,57,64,7,[7];b,60,67,7,[7]"},
    {"k", "session", NULL, NULL, "5 seconds",
     "NULL,5,10,8,[8];a,0,20,22,[1, 2, 3, 5, 11];a,25,30,6,[6];b,-3,2,4,[4];b,3,8,10,[10];"
     "b,61,66,7,[7]"},
    {NULL, "session", NULL, NULL, "5 seconds",
     "-3,20,44,[4, 1, 10, 2, 8, 3, 5, 11];25,30,6,[6];61,66,7,[7]"},
};

static void test_windows(void **state)
{
    (void)state;
    static struct drive drive;
    struct mr_batch *batches[3];
    drive_init(&drive);
    struct mr_error *err = &drive.err;
    const struct mr_schema *schema;
    assert_int_equal(mr_schema_parse(&drive.arena, "k STRING, t INT, v INT", &schema, err), MR_OK);
    for (int b = 0; b < 3; b++)
        batches[b] = drive_rows(&drive, schema, events[b]);
    for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++) {
        const struct mr_option *table = mr_op_aggregate_data.options;
        struct mr_options *options = mr_options_new(&drive.arena, table);
        struct mr_options *window =
            mr_options_new(&drive.arena, mr_option_find(table, "window")->fields);
        const char *groups[] = {windows[w].group};
        mr_options_set_list(&drive.arena, options, "groupBy", groups, groups[0] != NULL, err);
        static const char *const outputs[][2] = {{"s", "sum(v)"}, {"l", "collect_list(v)"}};
        for (int i = 0; i < 2; i++)
            mr_options_add_pair(&drive.arena, options, "aggregations", outputs[i][0], outputs[i][1],
                                err);
        mr_options_set_text(&drive.arena, window, "column", "timestamp_seconds(t)", err);
        mr_options_set_text(&drive.arena, window, "type", windows[w].type, err);
        if (windows[w].size)
            mr_options_set_text(&drive.arena, window, "size", windows[w].size, err);
        if (windows[w].slide)
            mr_options_set_text(&drive.arena, window, "slide", windows[w].slide, err);
        if (windows[w].gap)
            mr_options_set_text(&drive.arena, window, "gap", windows[w].gap, err);
        mr_options_add_object(&drive.arena, options, "window", window, err);
        for (int run = 0; run < 4; run++) {
            char text[4096];
            if (drive_bind_options(&drive, &mr_op_aggregate_data, schema, -1, options) != MR_OK)
                fail_msg("%s", err->message);
            int first = groups[0] != NULL;
            assert_string_equal(drive.info.schema->fields[first].name, "window_start");
            assert_string_equal(drive.info.schema->fields[first + 1].name, "window_end");
            if (drive_run(&drive, batches, 3, run % 3 + 1, run == 3 ? 1 : INT64_MAX) != MR_OK)
                fail_msg("%s", err->message);
            /* Timestamps as seconds, to compare with what is above. */
            for (int64_t i = 0; i < drive.all->rows; i++)
                for (int c = first; c < first + 2; c++) {
                    int64_t *at = (int64_t *)(void *)drive.all->columns[c]->values->data + i;
                    *at /= 1000000;
                    assert_int_equal(drive.all->columns[c]->type->id, MR_TYPE_TIMESTAMP);
                }
            for (int c = first; c < first + 2; c++) {
                struct mr_column *column;
                mr_column_retype(drive.all->columns[c], mr_type_of(MR_TYPE_INT64), &column, err);
                mr_column_unref(drive.all->columns[c]);
                drive.all->columns[c] = column;
            }
            sorted_text(&drive, text, sizeof text);
            assert_string_equal(text, windows[w].expected);
            drive_forget(&drive);
        }
    }
    for (int b = 0; b < 3; b++)
        mr_batch_unref(batches[b]);
    drive_reset(&drive);
}

/* What bind says: names and types of columns, or the start of an error. */
static const struct {
    const char *pairs[10];
    const char *expected;
} binds[] = {
    {{"groupBy", "a", "aggregations", "b=sum"}, "a int, b_sum bigint"},
    {{"groupBy", "A", "aggregations", "b=mean", "aggregations", "*=count"},
     "A int, b_avg double, count bigint"},
    {{"groupBy", "a + 1 AS next", "aggregations", "n=next * 2 + count(*)"}, "next int, n bigint"},
    {{"groupBy", "a % 10", "aggregations", "n=count(*)"}, "(a % 10) int, n bigint"},
    {{"groupBy", "a", "aggregations", "x=a + max(b)", "having", "x > 1 AND count(*) > 2"},
     "a int, x bigint"},
    {{"groupBy", "a"}, "a int"},
    {{"aggregations", "n=1 + 1", "aggregations", "m=count(*)"}, "n int, m bigint"},
    {{"groupBy", "a", "aggregations", "x=b"},
     "!aggregations.x: at character 1: b is neither in groupBy nor inside of an aggregate"},
    {{"groupBy", "a", "aggregations", "x=sum(b) + s"},
     "!aggregations.x: at character 10: s is neither"},
    {{"groupBy", "o.a", "aggregations", "x=sum(b)"},
     "!groupBy: at character 1: no column \"o\" (write a alone: names of frames"},
    {{"groupBy", "q", "aggregations", "x=sum(b)"}, "!groupBy: at character 1: no column"},
    {{"groupBy", "a", "aggregations", "x=sum(max(b))"},
     "!aggregations.x: at character 5: max is inside of another aggregate"},
    {{"groupBy", "a", "aggregations", "x=sum(b)", "having", "q > 1"},
     "!having: at character 1: no column \"q\" (columns: a, x)"},
    {{"groupBy", "a", "aggregations", "b=summ"},
     "!aggregations.b: unknown function summ (did you mean sum?)"},
    {{"groupBy", "a", "aggregations", "x=1 + summ(b)"},
     "!aggregations.x: at character 5: unknown function summ (did you mean sum?)"},
    {{"groupBy", "a", "aggregations", "x=rank()"},
     "!aggregations.x: at character 1: rank is a window function"},
    {{"groupBy", "a", "aggregations", "x=sum(b, 2)"}, "!aggregations.x: at character 1: sum: does"},
    {{"groupBy", "a", "aggregations", "x=sum(*)"}, "!aggregations.x: at character 1: sum: * is"},
    {{"groupBy", "a", "aggregations", "a=sum(b)"}, "!\"aggregations\": two columns"},
    {{"groupBy", "a", "aggregations", "nope=sum"}, "!aggregations.nope: at character 5: no column"},
    {{"aggregations", "x=percentile(b, 2)"}, "!aggregations.x: at character 1: percentile: the"},
    {{"aggregations", "x=median(b) OVER ()"}, "!aggregations.x: at character 1: OVER"},
    {{"groupBy", "count(*)", "aggregations", "x=sum(b)"}, "!groupBy: at character 1: count is an"},
    {{NULL}, "!\"aggregations\": there is nothing"},
};

static void test_bind(void **state)
{
    (void)state;
    static struct drive drive;
    const struct mr_schema *schema;
    int wrong = 0;
    drive_init(&drive);
    assert_int_equal(mr_schema_parse(&drive.arena, "a INT, b BIGINT, s STRING", &schema,
                                     &drive.err),
                     MR_OK);
    for (size_t i = 0; i < sizeof binds / sizeof binds[0]; i++) {
        char got[2048] = "!";
        if (drive_bind(&drive, &mr_op_aggregate_data, schema, -1, binds[i].pairs) != MR_OK) {
            snprintf(got + 1, sizeof got - 1, "%s (%s)", drive.err.message, drive.err.hint);
            got[strlen(binds[i].expected)] = '\0';
        } else {
            got[0] = '\0';
            for (int c = 0; c < drive.info.schema->nfields; c++) {
                char type[64];
                snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s %s", c ? ", " : "",
                         drive.info.schema->fields[c].name,
                         mr_type_text(drive.info.schema->fields[c].type, type, sizeof type));
            }
        }
        if (strcmp(got, binds[i].expected) != 0) {
            printf("bind %d:\n  %s\n  %s\n", (int)i, got, binds[i].expected);
            wrong++;
        }
    }
    drive_reset(&drive);
    assert_int_equal(wrong, 0);
}

/* Every type as a key and through the aggregates that take any type, divided and spilled at every size. */
static void test_types(void **state)
{
    (void)state;
    static struct drive drive;
    struct mr_batch *batches[5];
    drive_init(&drive);
    const struct mr_schema *schema = drive_schema(&drive);
    drive_data(&drive, schema, 5, 250, 40, batches);
    for (int c = 1; c < schema->nfields; c++) {
        const char *name = schema->fields[c].name;
        bool map = schema->fields[c].type->id == MR_TYPE_MAP;
        char first[64], list[64], most[64], distinct[80], reference[1 << 16], text[1 << 16];
        snprintf(first, sizeof first, "f=first(%s)", name);
        snprintf(list, sizeof list, "l=size(collect_list(%s))", name);
        snprintf(most, sizeof most, "m=max_by(%s, id)", name);
        snprintf(distinct, sizeof distinct, map ? "d=count(%s)" : "d=count(DISTINCT %s)", name);
        const char *pairs[] = {
            "groupBy", map ? "id" : name, "aggregations", first,          "aggregations",
            list,      "aggregations",    most,           "aggregations", distinct,
            NULL};
        for (int run = 0; run < 5; run++) {
            static const int64_t shares[] = {INT64_MAX, INT64_MAX, 1, 5000, 30000};
            if (drive_bind(&drive, &mr_op_aggregate_data, schema, -1, pairs) != MR_OK)
                fail_msg("%s", drive.err.message);
            if (drive_run(&drive, batches, 5, run % 3 + 1, shares[run]) != MR_OK)
                fail_msg("%s", drive.err.message);
            sorted_text(&drive, run ? text : reference, sizeof text);
            if (run > 0)
                assert_string_equal(text, reference);
            drive_forget(&drive);
        }
    }
    drive_free_data(batches, 5);
    drive_reset(&drive);
}

/* Group of row i: in the order of time, three rows each, but one row in 500 belongs to a group long ago. */
static int64_t passing_key(int64_t i)
{
    return i % 500 == 499 ? i / 9000 : i / 3;
}

/* Groups that are done with leave the table many times before the end; those that come back are whole all the same. */
static void test_passing(void **state)
{
    (void)state;
    enum { BATCHES = 40, ROWS = 6000, GROUPS = BATCHES * ROWS / 3 };
    static struct drive drive;
    static int64_t counts[GROUPS], sums[GROUPS], firsts[GROUPS];
    struct mr_batch *batches[BATCHES];
    drive_init(&drive);
    const struct mr_schema *schema;
    assert_int_equal(mr_schema_parse(&drive.arena, "k BIGINT, v BIGINT", &schema, &drive.err),
                     MR_OK);
    for (int b = 0; b < BATCHES; b++) {
        struct mr_bytes text;
        mr_bytes_init(&text, 1 << 20);
        for (int64_t i = (int64_t)b * ROWS; i < (int64_t)(b + 1) * ROWS; i++) {
            int64_t k = passing_key(i);
            mr_bytes_printf(&text, "%s%lld,%lld", i % ROWS ? ";" : "", (long long)k, (long long)i);
            firsts[k] = counts[k]++ ? firsts[k] : i;
            sums[k] += i;
        }
        batches[b] = drive_rows(&drive, schema, text.data);
        mr_bytes_reset(&text);
    }
    const char *pairs[] = {
        "groupBy",    "k", "aggregations", "n=count(*)", "aggregations", "s=sum(v)", "aggregations",
        "f=first(v)", NULL};
    for (int ntasks = 1; ntasks <= 3; ntasks++) {
        if (drive_bind(&drive, &mr_op_aggregate_data, schema, -1, pairs) != MR_OK ||
            drive_run(&drive, batches, BATCHES, ntasks, INT64_MAX) != MR_OK)
            fail_msg("%s", drive.err.message);
        int64_t rows = 0;
        for (int64_t r = 0; r < drive.all->rows; r++) {
            int64_t k = drive_int(&drive, 0, r);
            assert_int_equal(drive_int(&drive, 1, r), counts[k]);
            assert_int_equal(drive_int(&drive, 2, r), sums[k]);
            assert_int_equal(drive_int(&drive, 3, r), firsts[k]);
            rows += counts[k];
        }
        assert_int_equal(rows, BATCHES * ROWS);
        drive_forget(&drive);
    }
    drive_free_data(batches, BATCHES);
    drive_reset(&drive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bind),  cmocka_unit_test(test_windows),
        cmocka_unit_test(test_types), cmocka_unit_test(test_passing),
        cmocka_unit_test(test_spark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
