/*
 * mr_prune against evaluating the condition on every row of random parts: what it says of a part must hold of each row. Rows, statistics
 * (true, loosened, missing) and conditions come from a fixed seed. And a few verdicts that must not be weaker than they are.
 */
#include "ext/prune.h"

#include "base/time.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS  12
#define DEPTH 3

enum { C_INT, C_DOUBLE, C_TEXT, C_BOOL, C_DATE, C_INSTANT, C_LOCAL, C_DECIMAL, COLUMNS };

static uint64_t seed = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static const struct mr_type decimal_5_2 = {.id = MR_TYPE_DECIMAL, .precision = 5, .scale = 2};

static const struct mr_type *type_of(int column)
{
    static const enum mr_type_id ids[] = {MR_TYPE_INT32,        MR_TYPE_FLOAT64, MR_TYPE_STRING,
                                          MR_TYPE_BOOL,         MR_TYPE_DATE,    MR_TYPE_TIMESTAMP,
                                          MR_TYPE_TIMESTAMP_NTZ};
    return column == C_DECIMAL ? &decimal_5_2 : mr_type_of(ids[column]);
}

static const char *const texts[] = {"", "a", "ab", "abc", "abd", "b", "ba", "\xc3\xa4", "c"};

/* Around the clock changes of Sao Paulo (back over midnight) and Berlin, and two turns of a month. */
static int cluster;

static int64_t some_instant(void)
{
    static const int64_t around[] = {1518919200, 1541300400, 1540688400, 1546300800, 1551398400};
    int64_t seconds = around[cluster] - 9000 + (int64_t)draw(180) * 100;
    return seconds * MR_MICROS_PER_SECOND;
}

static struct mr_value some_value(int column)
{
    struct mr_value value = {.type = type_of(column)};
    switch (column) {
    case C_INT:
        value.u.i64 = (int64_t)draw(9) - 4;
        break;
    case C_DOUBLE: {
        static const double doubles[] = {NAN, INFINITY, -INFINITY, -0.0, 0.0, 1.5, -2.5, 3};
        value.u.f64 = doubles[draw(8)];
        break;
    }
    case C_TEXT:
        value.u.bytes.data = texts[draw(9)];
        value.u.bytes.size = strlen(value.u.bytes.data);
        break;
    case C_BOOL:
        value.u.i64 = (int64_t)draw(2);
        break;
    case C_DATE:
        value.u.i64 = 17830 + (int64_t)draw(80);
        break;
    case C_DECIMAL:
        value.u.i128 = (int64_t)draw(11) - 5;
        break;
    default:
        value.u.i64 = some_instant();
    }
    return value;
}

/* --- a part: rows and what is said of them --- */

struct part {
    int rows;
    struct mr_value values[COLUMNS][ROWS];
    struct mr_part_column known[COLUMNS];
};

static void look(struct part *part, int column)
{
    struct mr_part_column *known = &part->known[column];
    *known = (struct mr_part_column){.rows = part->rows};
    for (int i = 0; i < part->rows; i++) {
        const struct mr_value *value = &part->values[column][i];
        if (value->is_null) {
            known->nulls++;
            continue;
        }
        if (column == C_DOUBLE && isnan(value->u.f64)) {
            known->may_have_nan = true;
            continue;
        }
        if (!known->has_minimum || mr_value_compare(value, &known->minimum) < 0)
            known->minimum = *value;
        if (!known->has_maximum || mr_value_compare(value, &known->maximum) > 0)
            known->maximum = *value;
        known->has_minimum = known->has_maximum = true;
    }
    for (int tries = (int)draw(3); tries > 0; tries--) {
        struct mr_value wider = some_value(column);
        bool nan = column == C_DOUBLE && isnan(wider.u.f64);
        if (!nan && known->has_minimum && mr_value_compare(&wider, &known->minimum) < 0)
            known->minimum = wider;
        if (!nan && known->has_maximum && mr_value_compare(&wider, &known->maximum) > 0)
            known->maximum = wider;
    }
    known->has_minimum = known->has_minimum && draw(8) > 0;
    known->has_maximum = known->has_maximum && draw(8) > 0;
    if (draw(8) == 0)
        known->nulls = -1;
    if (draw(8) == 0)
        known->rows = -1;
    known->may_have_nan = known->may_have_nan || draw(4) == 0;
}

static void make_part(struct part *part)
{
    part->rows = (int)draw(ROWS);
    cluster = (int)draw(5);
    for (int column = 0; column < COLUMNS; column++) {
        int alike = (int)draw(3); /* often one value, or only NULL */
        struct mr_value first = some_value(column);
        uint64_t nulls = draw(4);
        for (int i = 0; i < part->rows; i++) {
            part->values[column][i] = alike == 0 ? first : some_value(column);
            part->values[column][i].is_null = nulls == 3 || (nulls == 2 && draw(3) == 0);
        }
        look(part, column);
    }
}

static void known_of(void *context, int column, struct mr_part_column *out)
{
    *out = ((struct part *)context)->known[column];
}

/* --- conditions --- */

struct pool {
    struct mr_predicate predicates[64];
    const struct mr_predicate *lists[64];
    struct mr_value values[256];
    int npredicates, nlists, nvalues;
};

static struct mr_value some_result(int column, enum mr_monotone monotone)
{
    struct mr_value value = some_value(column);
    int64_t micros = column == C_DATE ? value.u.i64 * MR_MICROS_PER_DAY : value.u.i64;
    int64_t days = micros / MR_MICROS_PER_DAY;
    if (monotone == MR_MONOTONE_DATE)
        return (struct mr_value){.type = mr_type_of(MR_TYPE_DATE), .u.i64 = days};
    if (monotone == MR_MONOTONE_YEAR)
        return (struct mr_value){.type = mr_type_of(MR_TYPE_INT32),
                                 .u.i64 = 2017 + (int64_t)draw(4)};
    int64_t hour = 3600 * MR_MICROS_PER_SECOND;
    if (column != C_DATE)
        return (struct mr_value){.type = type_of(column),
                                 .u.i64 = micros / hour * hour + (int64_t)draw(2)};
    if (monotone == MR_MONOTONE_TIMESTAMP)
        return (struct mr_value){.type = type_of(C_INSTANT),
                                 .u.i64 = days * MR_MICROS_PER_DAY + (int64_t)draw(24) * hour};
    static const int64_t firsts[] = {17805, 17835, 17865, 17866, 17896, 17869};
    return (struct mr_value){.type = mr_type_of(MR_TYPE_DATE), .u.i64 = firsts[draw(6)]};
}

static enum mr_monotone some_function(int column)
{
    if ((column != C_DATE && column != C_INSTANT && column != C_LOCAL) || draw(2) == 0)
        return MR_MONOTONE_NONE;
    for (;;) {
        enum mr_monotone monotone = (enum mr_monotone)draw(MR_MONOTONE_TRUNC_YEAR + 1);
        bool day = monotone == MR_MONOTONE_YEAR || monotone == MR_MONOTONE_TIMESTAMP ||
                   monotone >= MR_MONOTONE_TRUNC_WEEK;
        if (column == C_DATE ? day : monotone != MR_MONOTONE_TIMESTAMP)
            return monotone;
    }
}

static const struct mr_predicate *some_leaf(struct pool *pool)
{
    struct mr_predicate *made = &pool->predicates[pool->npredicates++];
    static const enum mr_predicate_kind kinds[] = {MR_PREDICATE_COMPARE, MR_PREDICATE_COMPARE,
                                                   MR_PREDICATE_COMPARE, MR_PREDICATE_IN,
                                                   MR_PREDICATE_IS_NULL, MR_PREDICATE_PREFIX,
                                                   MR_PREDICATE_IS_TRUE};
    *made = (struct mr_predicate){.kind = kinds[draw(7)]};
    made->column = made->kind == MR_PREDICATE_PREFIX    ? C_TEXT
                   : made->kind == MR_PREDICATE_IS_TRUE ? C_BOOL
                                                        : (int)draw(COLUMNS);
    made->compare = (enum mr_compare)draw(6);
    if (made->kind == MR_PREDICATE_COMPARE || made->kind == MR_PREDICATE_IN)
        made->monotone = some_function(made->column);
    made->nvalues = made->kind == MR_PREDICATE_IN ? 1 + (int)draw(3) : 1;
    made->values = &pool->values[pool->nvalues];
    for (int i = 0; i < made->nvalues; i++)
        pool->values[pool->nvalues++] = made->monotone == MR_MONOTONE_NONE
                                            ? some_value(made->column)
                                            : some_result(made->column, made->monotone);
    return made;
}

static const struct mr_predicate *some_predicate(struct pool *pool, int depth)
{
    if (depth == 0 || draw(3) == 0)
        return some_leaf(pool);
    int at = pool->npredicates++;
    struct mr_predicate *made = &pool->predicates[at];
    *made = (struct mr_predicate){.kind = (enum mr_predicate_kind)draw(3)};
    made->nargs = made->kind == MR_PREDICATE_NOT ? 1 : 1 + (int)draw(3);
    made->args = &pool->lists[pool->nlists];
    int first = pool->nlists;
    pool->nlists += made->nargs;
    for (int i = 0; i < made->nargs; i++)
        pool->lists[first + i] = some_predicate(pool, depth - 1);
    return made;
}

/* --- the truth of one row: 1, 0, or -1 unknown --- */

static int64_t start_of(int64_t days, enum mr_monotone monotone)
{
    int64_t year;
    int month, day;
    mr_civil_from_days(days, &year, &month, &day);
    switch (monotone) {
    case MR_MONOTONE_TRUNC_WEEK:
        return days + 1 - mr_iso_weekday(days);
    case MR_MONOTONE_TRUNC_MONTH:
        return days - day + 1;
    case MR_MONOTONE_TRUNC_QUARTER:
        return mr_days_from_civil(year, month - (month - 1) % 3, 1);
    case MR_MONOTONE_TRUNC_YEAR:
        return mr_days_from_civil(year, 1, 1);
    default:
        return days;
    }
}

static struct mr_value called(const struct mr_value *value, const struct mr_predicate *predicate,
                              const struct mr_tz *tz)
{
    enum mr_monotone monotone = predicate->monotone;
    if (monotone == MR_MONOTONE_NONE)
        return *value;
    enum mr_type_id id = value->type->id;
    int64_t local = id == MR_TYPE_DATE        ? value->u.i64 * MR_MICROS_PER_DAY
                    : id == MR_TYPE_TIMESTAMP ? mr_tz_to_local(tz, value->u.i64)
                                              : value->u.i64;
    int64_t days = local / MR_MICROS_PER_DAY; /* all behind 1970 */
    struct mr_value out = {.type = predicate->values[0].type};
    int64_t year;
    int month, day;
    mr_civil_from_days(days, &year, &month, &day);
    int64_t hour = 3600 * MR_MICROS_PER_SECOND;
    if (monotone == MR_MONOTONE_YEAR)
        out.u.i64 = year;
    else if (out.type->id == MR_TYPE_DATE)
        out.u.i64 = start_of(days, monotone);
    else {
        int64_t start = monotone == MR_MONOTONE_TRUNC_HOUR
                            ? local / hour * hour
                            : start_of(days, monotone) * MR_MICROS_PER_DAY;
        out.u.i64 = out.type->id == MR_TYPE_TIMESTAMP ? mr_tz_to_utc(tz, start) : start;
    }
    return out;
}

static int truth(const struct mr_predicate *predicate, const struct part *part, int row,
                 const struct mr_tz *tz);

static int truth_of_list(const struct mr_predicate *predicate, const struct part *part, int row,
                         const struct mr_tz *tz)
{
    int decides = predicate->kind == MR_PREDICATE_OR, result = !decides;
    for (int i = 0; i < predicate->nargs; i++) {
        int one = truth(predicate->args[i], part, row, tz);
        if (one == decides)
            return decides;
        if (one < 0)
            result = -1;
    }
    return result;
}

static int truth(const struct mr_predicate *predicate, const struct part *part, int row,
                 const struct mr_tz *tz)
{
    if (predicate->kind == MR_PREDICATE_AND || predicate->kind == MR_PREDICATE_OR)
        return truth_of_list(predicate, part, row, tz);
    if (predicate->kind == MR_PREDICATE_NOT) {
        int inner = truth(predicate->args[0], part, row, tz);
        return inner < 0 ? -1 : !inner;
    }
    const struct mr_value *value = &part->values[predicate->column][row];
    if (predicate->kind == MR_PREDICATE_IS_NULL)
        return value->is_null;
    if (value->is_null)
        return -1;
    struct mr_value result = called(value, predicate, tz);
    int order = mr_value_compare(&result, &predicate->values[0]);
    struct mr_slice text = value->u.bytes, prefix = predicate->values[0].u.bytes;
    switch (predicate->kind) {
    case MR_PREDICATE_IS_TRUE:
        return value->u.i64 != 0;
    case MR_PREDICATE_PREFIX:
        return text.size >= prefix.size && strncmp(text.data, prefix.data, prefix.size) == 0;
    case MR_PREDICATE_IN:
        for (int i = 0; i < predicate->nvalues; i++)
            if (mr_value_compare(&result, &predicate->values[i]) == 0)
                return 1;
        return 0;
    default: {
        const int answers[] = {order == 0, order != 0, order<0, order <= 0, order> 0, order >= 0};
        return answers[predicate->compare];
    }
    }
}

static void test_random(void **state)
{
    (void)state;
    struct mr_tz *tz[3];
    static const char *const zones[] = {"UTC", "Europe/Berlin", "America/Sao_Paulo"};
    for (int i = 0; i < 3; i++)
        assert_int_equal(mr_tz_new(zones[i], &tz[i], NULL), MR_OK);
    int counts[3] = {0};
    static struct part part;
    static struct pool pool;
    for (int round = 0; round < 200000; round++) {
        make_part(&part);
        pool.npredicates = pool.nlists = pool.nvalues = 0;
        const struct mr_predicate *predicate = some_predicate(&pool, DEPTH);
        const struct mr_tz *zone = tz[draw(3)];
        struct mr_prune_part asked = {known_of, &part, zone};
        enum mr_prune verdict = mr_prune(predicate, &asked);
        counts[verdict]++;
        for (int row = 0; row < part.rows; row++) {
            int one = truth(predicate, &part, row, zone);
            if (verdict == MR_PRUNE_NONE)
                assert_int_not_equal(one, 1);
            if (verdict == MR_PRUNE_ALL)
                assert_int_equal(one, 1);
        }
    }
    for (int i = 0; i < 3; i++) {
        assert_true(counts[i] > 5000);
        mr_tz_free(tz[i]);
    }
}

/* --- verdicts that must not be weaker --- */

static struct mr_part_column one_column;

static void column_is(void *context, int column, struct mr_part_column *out)
{
    (void)context;
    (void)column;
    *out = one_column;
}

static enum mr_prune ask(const struct mr_predicate *predicate, const struct mr_tz *tz)
{
    struct mr_prune_part part = {column_is, NULL, tz};
    return mr_prune(predicate, &part);
}

static void bounds(enum mr_type_id id, int64_t low, int64_t high)
{
    const struct mr_type *type = mr_type_of(id);
    one_column = (struct mr_part_column){.has_minimum = true,
                                         .has_maximum = true,
                                         .minimum = {.type = type, .u.i64 = low},
                                         .maximum = {.type = type, .u.i64 = high},
                                         .nulls = 0,
                                         .rows = 10};
}

static enum mr_prune compare(enum mr_monotone monotone, enum mr_compare how, enum mr_type_id id,
                             int64_t value, const struct mr_tz *tz)
{
    struct mr_value literal = {.type = mr_type_of(id), .u.i64 = value};
    struct mr_predicate predicate = {.kind = MR_PREDICATE_COMPARE,
                                     .monotone = monotone,
                                     .compare = how,
                                     .nvalues = 1,
                                     .values = &literal};
    return ask(&predicate, tz);
}

static void test_sharp(void **state)
{
    (void)state;
    bounds(MR_TYPE_INT64, 10, 20);
    assert_int_equal(compare(0, MR_EQ, MR_TYPE_INT64, 9, NULL), MR_PRUNE_NONE);
    assert_int_equal(compare(0, MR_NE, MR_TYPE_INT64, 9, NULL), MR_PRUNE_ALL);
    assert_int_equal(compare(0, MR_LT, MR_TYPE_INT64, 10, NULL), MR_PRUNE_NONE);
    assert_int_equal(compare(0, MR_LE, MR_TYPE_INT64, 10, NULL), MR_PRUNE_SOME);
    assert_int_equal(compare(0, MR_LE, MR_TYPE_INT64, 20, NULL), MR_PRUNE_ALL);
    assert_int_equal(compare(0, MR_GT, MR_TYPE_INT64, 20, NULL), MR_PRUNE_NONE);
    assert_int_equal(compare(0, MR_GE, MR_TYPE_INT64, 10, NULL), MR_PRUNE_ALL);
    one_column.nulls = 3;
    assert_int_equal(compare(0, MR_GE, MR_TYPE_INT64, 10, NULL), MR_PRUNE_SOME);
    one_column.nulls = 10;
    assert_int_equal(compare(0, MR_GE, MR_TYPE_INT64, 10, NULL), MR_PRUNE_NONE);
    /* statistics that contradict themselves say nothing */
    bounds(MR_TYPE_INT64, 20, 10);
    assert_int_equal(compare(0, MR_EQ, MR_TYPE_INT64, 9, NULL), MR_PRUNE_SOME);
    one_column.nulls = 11;
    assert_int_equal(compare(0, MR_EQ, MR_TYPE_INT64, 9, NULL), MR_PRUNE_SOME);
}

static void test_functions(void **state)
{
    (void)state;
    struct mr_tz *berlin;
    assert_int_equal(mr_tz_new("Europe/Berlin", &berlin, NULL), MR_OK);
    /* one day of June 2024 in Berlin */
    int64_t day = mr_days_from_civil(2024, 6, 10);
    int64_t start = day * MR_MICROS_PER_DAY - 7200 * MR_MICROS_PER_SECOND;
    bounds(MR_TYPE_TIMESTAMP, start, start + MR_MICROS_PER_DAY - 1);
    assert_int_equal(compare(MR_MONOTONE_DATE, MR_EQ, MR_TYPE_DATE, day, berlin), MR_PRUNE_ALL);
    assert_int_equal(compare(MR_MONOTONE_DATE, MR_EQ, MR_TYPE_DATE, day + 1, berlin),
                     MR_PRUNE_NONE);
    assert_int_equal(compare(MR_MONOTONE_DATE, MR_EQ, MR_TYPE_DATE, day, NULL), MR_PRUNE_SOME);
    assert_int_equal(compare(MR_MONOTONE_YEAR, MR_EQ, MR_TYPE_INT32, 2024, berlin), MR_PRUNE_ALL);
    assert_int_equal(compare(MR_MONOTONE_YEAR, MR_LT, MR_TYPE_INT32, 2024, berlin), MR_PRUNE_NONE);
    int64_t june = mr_days_from_civil(2024, 6, 1);
    assert_int_equal(compare(MR_MONOTONE_TRUNC_MONTH, MR_EQ, MR_TYPE_TIMESTAMP,
                             june * MR_MICROS_PER_DAY - 7200 * MR_MICROS_PER_SECOND, berlin),
                     MR_PRUNE_ALL);
    bounds(MR_TYPE_DATE, june, june + 29);
    assert_int_equal(compare(MR_MONOTONE_TRUNC_MONTH, MR_EQ, MR_TYPE_DATE, june, NULL),
                     MR_PRUNE_ALL);
    assert_int_equal(compare(MR_MONOTONE_TRUNC_MONTH, MR_GT, MR_TYPE_DATE, june, NULL),
                     MR_PRUNE_NONE);
    /* the ends of the range of instants: no answer, no overflow */
    bounds(MR_TYPE_TIMESTAMP, INT64_MIN, INT64_MAX);
    assert_int_equal(compare(MR_MONOTONE_DATE, MR_LT, MR_TYPE_DATE, day, berlin), MR_PRUNE_SOME);
    mr_tz_free(berlin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_sharp),
        cmocka_unit_test(test_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
