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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
