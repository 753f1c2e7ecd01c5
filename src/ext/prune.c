/*
 * prune.c - a condition over statistics, in the logic of what may happen.
 *
 * For each condition the set of answers that a row of the part may give is worked out: TRUE, FALSE,
 * unknown (NULL), as three bits. The set is never too small; it may be too large, which costs reading
 * and no row. AND, OR and NOT work on sets, so that NOT, which a logic of "may match" gets wrong, needs
 * no care: NOT (c < 5) over [0, 4] is {FALSE} because c < 5 is {TRUE}. TRUE absent: the part is left
 * out. TRUE alone: nothing is left of the condition in this part. An empty part gives the empty set.
 *
 * A column is an interval of the order that mr_value_compare has, an absent bound is its end; for
 * floats NaN is the upper end, so a part without a maximum may hold it, and one with a maximum that
 * does not speak of NaN has it as a second piece. Bounds that contradict each other say nothing.
 *
 * Functions that keep the order are applied to the bounds. In a zone, local time runs backwards where
 * the clock is set back, so a bound takes the extreme offset of the 48 hours around it; beyond those
 * no change of offset makes up for the distance.
 */
#include "ext/prune.h"

#include "base/time.h"

#include <math.h>
#include <string.h>

enum { TRUE_ = 1, FALSE_ = 2, UNKNOWN = 4, ANY = TRUE_ | FALSE_ | UNKNOWN };

struct interval {
    bool has_low;
    bool has_high;
    struct mr_value low;
    struct mr_value high;
};

/* --- functions around a column --- */

#define HOUR  (3600 * MR_MICROS_PER_SECOND)
#define HOURS 48

static int64_t offset_at(const struct mr_tz *tz, int64_t micros)
{
    return tz == NULL ? 0 : mr_tz_offset_at(tz, micros) * MR_MICROS_PER_SECOND;
}

/* The least (or greatest) offset in the hours from `micros` on, upwards or downwards. */
static int64_t extreme_offset(const struct mr_tz *tz, int64_t micros, int direction, bool greatest)
{
    if (tz == NULL || mr_tz_is_utc(tz))
        return 0;
    int64_t extreme = offset_at(tz, micros);
    for (int i = 1; i <= HOURS; i++) {
        int64_t offset = offset_at(tz, micros + direction * i * HOUR);
        if (greatest ? offset > extreme : offset < extreme)
            extreme = offset;
    }
    return extreme;
}

/* Room for offsets and units on both sides. */
static bool far_out(int64_t micros)
{
    return micros < INT64_MIN + 800 * MR_MICROS_PER_DAY ||
           micros > INT64_MAX - 800 * MR_MICROS_PER_DAY;
}

/* No instant from `utc` on (down from it, when `high`) has an earlier (later) local time. */
static int64_t local_bound(const struct mr_tz *tz, int64_t utc, bool high)
{
    return utc + extreme_offset(tz, utc, high ? -1 : 1, high);
}

/* The same from local time to the instants that it may stand for. */
static int64_t instant_bound(const struct mr_tz *tz, int64_t local, bool high)
{
    int64_t above = extreme_offset(tz, local, 1, !high);
    int64_t below = extreme_offset(tz, local, -1, !high);
    bool first = high ? above < below : above > below;
    return local - (first ? above : below);
}

static int64_t floor_to(int64_t value, int64_t step)
{
    int64_t rest = value % step;
    return value - (rest < 0 ? rest + step : rest);
}

static int64_t first_day(int64_t days, enum mr_monotone unit)
{
    int64_t year;
    int month, day;
    if (unit == MR_MONOTONE_TRUNC_WEEK)
        return days - (mr_iso_weekday(days) - 1);
    mr_civil_from_days(days, &year, &month, &day);
    if (unit == MR_MONOTONE_TRUNC_QUARTER)
        month = (month - 1) / 3 * 3 + 1;
    else if (unit == MR_MONOTONE_TRUNC_YEAR)
        month = 1;
    return mr_days_from_civil(year, month, 1);
}

static int64_t truncate(int64_t local, enum mr_monotone unit)
{
    switch (unit) {
    case MR_MONOTONE_TIMESTAMP:
        return local;
    case MR_MONOTONE_TRUNC_HOUR:
        return floor_to(local, HOUR);
    case MR_MONOTONE_TRUNC_DAY:
        return floor_to(local, MR_MICROS_PER_DAY);
    default:
        return first_day(floor_to(local, MR_MICROS_PER_DAY) / MR_MICROS_PER_DAY, unit) *
               MR_MICROS_PER_DAY;
    }
}

static bool local_of(const struct mr_value *value, const struct mr_tz *tz, bool high,
                     int64_t *local)
{
    switch (value->type->id) {
    case MR_TYPE_DATE:
        return !__builtin_mul_overflow(value->u.i64, MR_MICROS_PER_DAY, local) && !far_out(*local);
    case MR_TYPE_TIMESTAMP_NTZ:
        *local = value->u.i64;
        return !far_out(*local);
    case MR_TYPE_TIMESTAMP:
        if (far_out(value->u.i64))
            return false;
        *local = local_bound(tz, value->u.i64, high);
        return true;
    default:
        return false;
    }
}

/* A bound of the column becomes one of the function, of type `type`. False: there is none. */
static bool apply(enum mr_monotone monotone, const struct mr_type *type, const struct mr_tz *tz,
                  bool high, struct mr_value *value)
{
    int64_t local, year;
    int month, day;
    if (!local_of(value, tz, high, &local))
        return false;
    int64_t days = floor_to(local, MR_MICROS_PER_DAY) / MR_MICROS_PER_DAY;
    value->type = type;
    if (monotone == MR_MONOTONE_DATE) {
        value->u.i64 = days;
        return type->id == MR_TYPE_DATE;
    }
    if (monotone == MR_MONOTONE_YEAR) {
        mr_civil_from_days(days, &year, &month, &day);
        value->u.i64 = year;
        return mr_type_is_integer(type);
    }
    local = truncate(local, monotone);
    switch (type->id) {
    case MR_TYPE_DATE:
        value->u.i64 = floor_to(local, MR_MICROS_PER_DAY) / MR_MICROS_PER_DAY;
        return true;
    case MR_TYPE_TIMESTAMP_NTZ:
        value->u.i64 = local;
        return true;
    case MR_TYPE_TIMESTAMP:
        value->u.i64 = instant_bound(tz, local, high);
        return true;
    default:
        return false;
    }
}

/* --- intervals against values --- */

static bool is_float(const struct mr_type *type)
{
    return type->id == MR_TYPE_FLOAT32 || type->id == MR_TYPE_FLOAT64;
}

static bool orderable(const struct mr_type *type)
{
    return type->id != MR_TYPE_NULL && type->id != MR_TYPE_INTERVAL && !mr_type_is_nested(type);
}

static bool comparable(const struct mr_type *a, const struct mr_type *b)
{
    if (mr_type_is_integer(a) && mr_type_is_integer(b))
        return true;
    if (a->id == MR_TYPE_DECIMAL && b->id == MR_TYPE_DECIMAL)
        return a->scale == b->scale;
    return orderable(a) && (a->id == b->id || (is_float(a) && is_float(b)));
}

static bool usable(const struct mr_value *bound)
{
    return bound->type != NULL && !bound->is_null && orderable(bound->type) &&
           !(is_float(bound->type) && isnan(bound->u.f64));
}

static void drop_bounds(struct interval *interval)
{
    interval->has_low = interval->has_high = false;
}

/* May the interval hold something below (or at) the value? */
static bool reaches_down(const struct interval *interval, const struct mr_value *value, bool at)
{
    return !interval->has_low || mr_value_compare(&interval->low, value) < (at ? 1 : 0);
}

static bool reaches_up(const struct interval *interval, const struct mr_value *value, bool at)
{
    return !interval->has_high || mr_value_compare(&interval->high, value) > (at ? -1 : 0);
}

static int equal_answers(const struct interval *interval, const struct mr_value *value)
{
    bool holds = reaches_down(interval, value, true) && reaches_up(interval, value, true);
    bool only = interval->has_low && interval->has_high &&
                mr_value_compare(&interval->low, value) == 0 &&
                mr_value_compare(&interval->high, value) == 0;
    return (holds ? TRUE_ : 0) | (only ? 0 : FALSE_);
}

static int negated(int answers)
{
    return (answers & UNKNOWN) | (answers & TRUE_ ? FALSE_ : 0) | (answers & FALSE_ ? TRUE_ : 0);
}

static int compare_answers(const struct interval *interval, enum mr_compare compare,
                           const struct mr_value *value)
{
    switch (compare) {
    case MR_EQ:
        return equal_answers(interval, value);
    case MR_NE:
        return negated(equal_answers(interval, value));
    case MR_LT:
    case MR_LE:
        return (reaches_down(interval, value, compare == MR_LE) ? TRUE_ : 0) |
               (reaches_up(interval, value, compare == MR_LT) ? FALSE_ : 0);
    default:
        return (reaches_up(interval, value, compare == MR_GE) ? TRUE_ : 0) |
               (reaches_down(interval, value, compare == MR_GT) ? FALSE_ : 0);
    }
}

static int in_answers(const struct interval *interval, const struct mr_predicate *predicate)
{
    int answers = FALSE_;
    for (int i = 0; i < predicate->nvalues; i++) {
        int one = equal_answers(interval, &predicate->values[i]);
        answers |= one & TRUE_;
        if (one == TRUE_)
            return TRUE_;
    }
    return answers;
}

static bool starts_with(struct mr_slice text, struct mr_slice prefix)
{
    return text.size >= prefix.size &&
           (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

static int prefix_answers(const struct interval *interval, const struct mr_value *prefix)
{
    struct mr_slice bytes = prefix->u.bytes;
    bool low = interval->has_low && starts_with(interval->low.u.bytes, bytes);
    bool high = interval->has_high && starts_with(interval->high.u.bytes, bytes);
    /* what starts with it lies from it up to, but without, the next text of its length */
    bool below = low || reaches_down(interval, prefix, true);
    bool above = reaches_up(interval, prefix, true);
    return (below && above ? TRUE_ : 0) | (low && high ? 0 : FALSE_);
}

static int leaf_answers(const struct interval *interval, const struct mr_predicate *predicate)
{
    struct mr_value yes = {.type = mr_type_of(MR_TYPE_BOOL), .u.i64 = 1};
    switch (predicate->kind) {
    case MR_PREDICATE_COMPARE:
        return compare_answers(interval, predicate->compare, &predicate->values[0]);
    case MR_PREDICATE_IN:
        return in_answers(interval, predicate);
    case MR_PREDICATE_PREFIX:
        return prefix_answers(interval, &predicate->values[0]);
    default:
        return equal_answers(interval, &yes);
    }
}

/* --- one column --- */

/* Types that fit together, or nothing is known of the order. */
static void fit_bounds(struct interval *interval, const struct mr_predicate *predicate,
                       const struct mr_tz *tz)
{
    const struct mr_type *type = predicate->kind == MR_PREDICATE_IS_TRUE
                                     ? mr_type_of(MR_TYPE_BOOL)
                                     : predicate->values[0].type;
    bool low = interval->has_low && usable(&interval->low);
    bool high = interval->has_high && usable(&interval->high);
    if (predicate->monotone != MR_MONOTONE_NONE) {
        low = low && apply(predicate->monotone, type, tz, false, &interval->low);
        high = high && apply(predicate->monotone, type, tz, true, &interval->high);
    }
    interval->has_low = low && comparable(interval->low.type, type);
    interval->has_high = high && comparable(interval->high.type, type);
    if (interval->has_low && interval->has_high &&
        mr_value_compare(&interval->low, &interval->high) > 0)
        drop_bounds(interval);
}

static bool well_formed(const struct mr_predicate *predicate)
{
    bool values = predicate->kind == MR_PREDICATE_COMPARE || predicate->kind == MR_PREDICATE_PREFIX;
    if (predicate->kind == MR_PREDICATE_IS_TRUE)
        return predicate->monotone == MR_MONOTONE_NONE;
    if (predicate->nvalues < 1 || (values && predicate->nvalues != 1))
        return false;
    for (int i = 0; i < predicate->nvalues; i++)
        if (predicate->values[i].is_null || !orderable(predicate->values[i].type) ||
            !comparable(predicate->values[i].type, predicate->values[0].type))
            return false;
    return predicate->kind != MR_PREDICATE_PREFIX ||
           (predicate->monotone == MR_MONOTONE_NONE &&
            mr_type_layout(predicate->values[0].type) == MR_LAYOUT_BYTES);
}

static int column_answers(const struct mr_predicate *predicate, const struct mr_prune_part *part)
{
    struct mr_part_column column = {.nulls = -1, .rows = -1};
    part->column(part->context, predicate->column, &column);
    if (column.rows == 0)
        return 0;
    bool contradiction = column.rows >= 0 && column.nulls > column.rows;
    bool counted = column.nulls >= 0 && !contradiction;
    bool all_null = counted && column.rows > 0 && column.nulls == column.rows;
    bool no_null = counted && column.nulls == 0;
    if (predicate->kind == MR_PREDICATE_IS_NULL)
        return (no_null ? 0 : TRUE_) | (all_null ? 0 : FALSE_);
    if (all_null)
        return UNKNOWN;
    int unknown = no_null ? 0 : UNKNOWN;
    if (!well_formed(predicate))
        return TRUE_ | FALSE_ | unknown;
    struct interval interval = {.has_low = column.has_minimum,
                                .has_high = column.has_maximum,
                                .low = column.minimum,
                                .high = column.maximum};
    fit_bounds(&interval, predicate, part->tz);
    int answers = leaf_answers(&interval, predicate);
    if (predicate->nvalues > 0 && is_float(predicate->values[0].type) && column.may_have_nan) {
        struct mr_value nan = {.type = predicate->values[0].type, .u.f64 = NAN};
        struct interval piece = {true, true, nan, nan};
        answers |= leaf_answers(&piece, predicate);
    }
    return answers | unknown;
}

/* --- AND, OR, NOT --- */

static int list_answers(const struct mr_predicate *predicate, const struct mr_prune_part *part);

static int answers_of(const struct mr_predicate *predicate, const struct mr_prune_part *part)
{
    switch (predicate->kind) {
    case MR_PREDICATE_AND:
    case MR_PREDICATE_OR:
        return list_answers(predicate, part);
    case MR_PREDICATE_NOT:
        return negated(answers_of(predicate->args[0], part));
    default:
        return column_answers(predicate, part);
    }
}

struct conjunction {
    bool all_true;    /* every argument may be TRUE */
    bool none_false;  /* no argument need be FALSE: each may be TRUE or unknown */
    bool any_false;   /* some argument may be FALSE */
    bool any_unknown; /* some argument may be unknown */
    bool empty;       /* some argument has no answer: there are no rows */
};

static void join(struct conjunction *c, int answers)
{
    c->all_true = c->all_true && (answers & TRUE_);
    c->none_false = c->none_false && (answers & (TRUE_ | UNKNOWN));
    c->any_false = c->any_false || (answers & FALSE_);
    c->any_unknown = c->any_unknown || (answers & UNKNOWN);
    c->empty = c->empty || answers == 0;
}

static int joined(const struct conjunction *c)
{
    if (c->empty)
        return 0;
    return (c->all_true ? TRUE_ : 0) | (c->any_false ? FALSE_ : 0) |
           (c->none_false && c->any_unknown ? UNKNOWN : 0);
}

/* OR is AND of the opposites, turned round. */
static int list_answers(const struct mr_predicate *predicate, const struct mr_prune_part *part)
{
    struct conjunction c = {.all_true = true, .none_false = true};
    bool either = predicate->kind == MR_PREDICATE_OR;
    for (int i = 0; i < predicate->nargs; i++) {
        int answers = answers_of(predicate->args[i], part);
        join(&c, either ? negated(answers) : answers);
    }
    return either ? negated(joined(&c)) : joined(&c);
}

static enum mr_prune verdict(int answers)
{
    if (!(answers & TRUE_))
        return MR_PRUNE_NONE;
    return answers == TRUE_ ? MR_PRUNE_ALL : MR_PRUNE_SOME;
}

enum mr_prune mr_prune(const struct mr_predicate *predicate, const struct mr_prune_part *part)
{
    return verdict(answers_of(predicate, part));
}

enum mr_prune mr_prune_all(const struct mr_predicate *const *predicates, int count,
                           const struct mr_prune_part *part)
{
    struct conjunction c = {.all_true = true, .none_false = true};
    for (int i = 0; i < count; i++)
        join(&c, answers_of(predicates[i], part));
    return verdict(joined(&c));
}
