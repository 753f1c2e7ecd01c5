/*
 * functions_time.c - fields and arithmetic of dates and times.
 *
 * A TIMESTAMP is an instant and its fields are those of the session's time zone; a TIMESTAMP_NTZ has its fields as they are; a DATE is
 * midnight. What goes through patterns (date_format, to_date with a format, ...) is in functions_time_text.c.
 */
#include "base/text.h"
#include "base/time.h"
#include "sql/datetime.h"
#include "sql/function.h"
#include "sql/local_time.h"

#include <math.h>
#include <stdio.h>

/* Fields of a date: an INT out of days. */
#define DATE_FIELD(name, expression)                                                               \
    static int32_t field_##name(int64_t days)                                                      \
    {                                                                                              \
        int64_t year;                                                                              \
        int month, day;                                                                            \
        mr_civil_from_days(days, &year, &month, &day);                                             \
        return (int32_t)(expression);                                                              \
    }                                                                                              \
    MR_KERNEL_UNARY(kernel_##name, int32_t, int32_t, field_##name(x))

DATE_FIELD(year, year)
DATE_FIELD(quarter, (month - 1) / 3 + 1)
DATE_FIELD(month, month)
DATE_FIELD(day, day)
DATE_FIELD(dayofyear, days - mr_days_from_civil(year, 1, 1) + 1)
DATE_FIELD(last_day, days - day + mr_days_in_month(year, month))

MR_KERNEL_UNARY(kernel_dayofweek, int32_t, int32_t, mr_iso_weekday(x) % 7 + 1)
MR_KERNEL_UNARY(kernel_weekday, int32_t, int32_t, mr_iso_weekday(x) - 1)
MR_KERNEL_UNARY(kernel_unix_date, int32_t, int32_t, x)

static int32_t week_of_year(int32_t days)
{
    int64_t year;
    int week;
    mr_iso_week(days, &year, &week);
    return week;
}
MR_KERNEL_UNARY(kernel_weekofyear, int32_t, int32_t, week_of_year(x))

static int32_t week_year(int32_t days)
{
    int64_t year;
    int week;
    mr_iso_week(days, &year, &week);
    return (int32_t)year;
}
MR_KERNEL_UNARY(kernel_yearofweek, int32_t, int32_t, week_year(x))

/* A field of the time of day: (micros of the day / divisor) % modulus. */
static enum mr_status clock_field(struct mr_call *call, int64_t divisor, int64_t modulus,
                                  struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t local = mr_local_micros(call->session, &x, row);
        int64_t of_day = local % MR_MICROS_PER_DAY;
        of_day += of_day < 0 ? MR_MICROS_PER_DAY : 0;
        MR_SET(&result, int32_t, row, (int32_t)(of_day / divisor % modulus));
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_hour(struct mr_call *call, struct mr_column **out)
{
    return clock_field(call, 3600 * MR_MICROS_PER_SECOND, 24, out);
}

static enum mr_status kernel_minute(struct mr_call *call, struct mr_column **out)
{
    return clock_field(call, 60 * MR_MICROS_PER_SECOND, 60, out);
}

static enum mr_status kernel_second(struct mr_call *call, struct mr_column **out)
{
    return clock_field(call, MR_MICROS_PER_SECOND, 60, out);
}

/* Seconds with six digits of fraction, for extract(SECOND FROM ..). */
static enum mr_status kernel_second_fraction(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t local = mr_local_micros(call->session, &x, row);
        int64_t minute = 60 * MR_MICROS_PER_SECOND;
        mr_result_decimal(&result, row, local - mr_floor_divide(local, minute) * minute);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status bind_second_fraction(struct mr_binding *binding)
{
    binding->type = mr_type_decimal(binding->arena, 8, 6);
    return binding->type ? MR_OK : mr_error_nomem(binding->err);
}

/* date_part('field', x), which extract(field FROM x) becomes too: another call by the name of the field. */
static enum mr_status bind_date_part(struct mr_binding *binding)
{
    static const char *const fields[][2] = {
        {"year", "year"},
        {"y", "year"},
        {"years", "year"},
        {"yr", "year"},
        {"yrs", "year"},
        {"mons", "month"},
        {"hr", "hour"},
        {"hrs", "hour"},
        {"mins", "minute"},
        {"secs", "__seconds"},
        {"quarter", "quarter"},
        {"qtr", "quarter"},
        {"month", "month"},
        {"mon", "month"},
        {"months", "month"},
        {"day", "day"},
        {"d", "day"},
        {"days", "day"},
        {"dayofweek", "dayofweek"},
        {"dow", "dayofweek"},
        {"dayofweek_iso", "__isodow"},
        {"dow_iso", "__isodow"},
        {"doy", "dayofyear"},
        {"week", "weekofyear"},
        {"w", "weekofyear"},
        {"weeks", "weekofyear"},
        {"yearofweek", "__isoyear"},
        {"hour", "hour"},
        {"h", "hour"},
        {"hours", "hour"},
        {"minute", "minute"},
        {"m", "minute"},
        {"min", "minute"},
        {"minutes", "minute"},
        {"second", "__seconds"},
        {"s", "__seconds"},
        {"sec", "__seconds"},
        {"seconds", "__seconds"},
    };
    struct mr_value field;
    char name[32], part[48];
    if (binding->args[0]->type->id == MR_TYPE_NULL ||
        (mr_bind_constant(binding, 0, &field) && field.is_null))
        return mr_bind_null(binding, mr_type_of(MR_TYPE_FLOAT64), &binding->replacement);
    if (!mr_bind_constant(binding, 0, &field) || field.u.bytes.size >= sizeof(name))
        return mr_bind_fail(binding, 0, "the field must be a constant");
    memcpy(name, field.u.bytes.data, field.u.bytes.size);
    name[field.u.bytes.size] = '\0';
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (mr_text_equal_nocase(fields[i][0], name)) {
            const char *function = fields[i][1];
            bool seconds = strcmp(function, "__seconds") == 0;
            snprintf(part, sizeof(part), "__interval_%s", seconds ? "second" : function);
            if (binding->args[1]->type->id == MR_TYPE_INTERVAL && mr_function_find(part, NULL))
                function = part;
            return mr_bind_call(binding, function, 1, binding->args + 1, &binding->replacement);
        }
    return mr_bind_fail(binding, 0,
                        "there is no field %s (year, quarter, month, week, day, "
                        "dayofweek, doy, hour, minute, second)",
                        name);
}

MR_KERNEL_UNARY(kernel_isodow, int32_t, int32_t, mr_iso_weekday(x))

/* Writes days; beyond what a DATE holds is a failure. */
static void set_days(struct mr_result *result, int64_t row, int64_t days)
{
    if (days < INT32_MIN || days > INT32_MAX)
        mr_time_overflow(result, row);
    else
        MR_SET(result, int32_t, row, (int32_t)days);
}

/* Days are counted by integers up to INT; with ANSI on by text too. */
static enum mr_status bind_days(struct mr_binding *binding)
{
    const struct mr_type *type = binding->args[1]->type;
    bool text = mr_type_is_string(type) && binding->session->ansi;
    char name[96];
    if (type->id == MR_TYPE_INT64 ||
        !(text || type->id == MR_TYPE_NULL || mr_type_is_integer(type)))
        return mr_bind_fail(binding, 1, "days are an int, not %s",
                            mr_type_text(type, name, sizeof(name)));
    return mr_bind_cast(binding, 1, mr_type_of(MR_TYPE_INT32));
}

static enum mr_status date_plus(struct mr_call *call, int sign, struct mr_column **out)
{
    struct mr_arg date = mr_arg_of(call, 0), days = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t sum =
            (int64_t)MR_ARG(date, int32_t, row) + (int64_t)sign * MR_ARG(days, int32_t, row);
        set_days(&result, row, call->failure == MR_FAIL_WRAP ? (int32_t)sum : sum);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_date_add(struct mr_call *call, struct mr_column **out)
{
    return date_plus(call, 1, out);
}

static enum mr_status kernel_date_sub(struct mr_call *call, struct mr_column **out)
{
    return date_plus(call, -1, out);
}

static enum mr_status kernel_datediff(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg end = mr_arg_of(call, 0), start = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t days = (int64_t)MR_ARG(end, int32_t, row) - MR_ARG(start, int32_t, row);
        if ((days < INT32_MIN || days > INT32_MAX) && call->failure != MR_FAIL_WRAP)
            mr_result_fail(&result, row, "integer overflow");
        else
            MR_SET(&result, int32_t, row, (int32_t)days);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_add_months(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg date = mr_arg_of(call, 0), months = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    set_days(&result, row,
             mr_days_add_months(MR_ARG(date, int32_t, row), MR_ARG(months, int32_t, row)));
    return mr_result_finish(&result, out);
}

/* Seconds since midnight, as they passed: a clock that was put forward does not count. */
static int64_t seconds_of_day(const struct mr_tz *tz, int64_t utc, int64_t local)
{
    int64_t of_day = local % MR_MICROS_PER_DAY;
    of_day += of_day < 0 ? MR_MICROS_PER_DAY : 0;
    /* Unsigned: the first instants of all have no midnight in 64 bits. */
    int64_t midnight = mr_tz_to_utc(tz, (int64_t)((uint64_t)local - (uint64_t)of_day));
    return (int64_t)((uint64_t)utc - (uint64_t)midnight) / MR_MICROS_PER_SECOND;
}

/* Months from b to a: whole ones when the days of the month agree or both are last days, else with days as 1/31. */
static double months_between(const struct mr_tz *tz, int64_t a_utc, int64_t b_utc, bool rounded)
{
    int64_t a = mr_tz_to_local(tz, a_utc), b = mr_tz_to_local(tz, b_utc);
    struct mr_civil x, y;
    mr_civil_from_micros(a, &x);
    mr_civil_from_micros(b, &y);
    double months = (double)((x.year * 12 + x.month) - (y.year * 12 + y.month));
    bool last =
        x.day == mr_days_in_month(x.year, x.month) && y.day == mr_days_in_month(y.year, y.month);
    if (x.day == y.day || last)
        return months;
    int64_t seconds = (int64_t)(x.day - y.day) * 86400 + seconds_of_day(tz, a_utc, a) -
                      seconds_of_day(tz, b_utc, b);
    double exact = months + (double)seconds / (31.0 * 86400.0);
    return rounded ? floor(exact * 1e8 + 0.5) / 1e8 : exact;
}

static enum mr_status kernel_months_between(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    struct mr_arg rounded = mr_arg_of(call, call->nargs > 2 ? 2 : 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    MR_SET(&result, double, row,
           months_between(call->session->tz, MR_ARG(a, int64_t, row), MR_ARG(b, int64_t, row),
                          call->nargs < 3 || MR_ARG(rounded, uint8_t, row)));
    return mr_result_finish(&result, out);
}

/* ISO number of "MO", "mon", "Monday"; 0 when it is none. */
static int weekday_of(struct mr_slice text)
{
    static const char *const days[7] = {"monday", "tuesday",  "wednesday", "thursday",
                                        "friday", "saturday", "sunday"};
    char name[12];
    if (text.size < 2 || text.size >= sizeof(name))
        return 0;
    memcpy(name, text.data, text.size);
    name[text.size] = '\0';
    for (int i = 0; i < 7; i++) {
        char start[12];
        size_t size = text.size <= 3 ? text.size : strlen(days[i]);
        memcpy(start, days[i], size);
        start[size] = '\0';
        if (mr_text_equal_nocase(name, start))
            return i + 1;
    }
    return 0;
}

static enum mr_status kernel_next_day(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg date = mr_arg_of(call, 0), name = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int wanted = weekday_of(mr_arg_text(&name, row));
        int64_t days = MR_ARG(date, int32_t, row);
        int ahead = (wanted - mr_iso_weekday(days) + 6) % 7 + 1;
        if (wanted == 0)
            mr_result_fail_value(&result, row, mr_arg_text(&name, row), "no day of the week");
        else
            set_days(&result, row, days + ahead);
    }
    return mr_result_finish(&result, out);
}

enum trunc_unit {
    TRUNC_NONE,
    TRUNC_MICROSECOND,
    TRUNC_MILLISECOND,
    TRUNC_SECOND,
    TRUNC_MINUTE,
    TRUNC_HOUR,
    TRUNC_DAY,
    TRUNC_WEEK,
    TRUNC_MONTH,
    TRUNC_QUARTER,
    TRUNC_YEAR,
};

static enum trunc_unit unit_of(struct mr_slice text)
{
    static const struct {
        const char *name;
        enum trunc_unit unit;
    } units[] = {
        {"year", TRUNC_YEAR},
        {"yyyy", TRUNC_YEAR},
        {"yy", TRUNC_YEAR},
        {"quarter", TRUNC_QUARTER},
        {"month", TRUNC_MONTH},
        {"mon", TRUNC_MONTH},
        {"mm", TRUNC_MONTH},
        {"week", TRUNC_WEEK},
        {"day", TRUNC_DAY},
        {"dd", TRUNC_DAY},
        {"hour", TRUNC_HOUR},
        {"minute", TRUNC_MINUTE},
        {"second", TRUNC_SECOND},
        {"millisecond", TRUNC_MILLISECOND},
        {"microsecond", TRUNC_MICROSECOND},
    };
    char name[16];
    if (text.size >= sizeof(name))
        return TRUNC_NONE;
    memcpy(name, text.data, text.size);
    name[text.size] = '\0';
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (mr_text_equal_nocase(units[i].name, name))
            return units[i].unit;
    return TRUNC_NONE;
}

/* First day of the unit that holds the day; WEEK and longer. */
static int64_t trunc_days(int64_t days, enum trunc_unit unit)
{
    int64_t year;
    int month, day;
    if (unit == TRUNC_WEEK)
        return days - (mr_iso_weekday(days) - 1);
    mr_civil_from_days(days, &year, &month, &day);
    if (unit == TRUNC_QUARTER)
        month = (month - 1) / 3 * 3 + 1;
    else if (unit == TRUNC_YEAR)
        month = 1;
    return mr_days_from_civil(year, month, 1);
}

static enum mr_status kernel_trunc(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg date = mr_arg_of(call, 0), name = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        enum trunc_unit unit = unit_of(mr_arg_text(&name, row));
        if (unit < TRUNC_WEEK)
            mr_result_null(&result, row);
        else
            set_days(&result, row, trunc_days(MR_ARG(date, int32_t, row), unit));
    }
    return mr_result_finish(&result, out);
}

/* Local microseconds at the start of the unit. */
static int64_t trunc_local(int64_t local, enum trunc_unit unit)
{
    static const int64_t steps[] = {
        [TRUNC_MICROSECOND] = 1,
        [TRUNC_MILLISECOND] = 1000,
        [TRUNC_SECOND] = MR_MICROS_PER_SECOND,
        [TRUNC_MINUTE] = 60 * MR_MICROS_PER_SECOND,
        [TRUNC_HOUR] = 3600 * MR_MICROS_PER_SECOND,
        [TRUNC_DAY] = MR_MICROS_PER_DAY,
    };
    if (unit <= TRUNC_DAY)
        return mr_floor_divide(local, steps[unit]) * steps[unit];
    return trunc_days(mr_floor_divide(local, MR_MICROS_PER_DAY), unit) * MR_MICROS_PER_DAY;
}

/* Where a day has an hour twice, the start of the second one is in the second one. */
static int64_t trunc_instant(const struct mr_tz *tz, int64_t utc, enum trunc_unit unit)
{
    int64_t local = mr_tz_to_local(tz, utc);
    int64_t start = trunc_local(local, unit);
    int64_t same_offset = utc - (local - start);
    if (unit < TRUNC_DAY && mr_tz_to_local(tz, same_offset) == start)
        return same_offset;
    return mr_tz_to_utc(tz, start);
}

static enum mr_status kernel_date_trunc(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg name = mr_arg_of(call, 0), time = mr_arg_of(call, 1);
    const struct mr_tz *tz = call->session->tz;
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        enum trunc_unit unit = unit_of(mr_arg_text(&name, row));
        int64_t utc = MR_ARG(time, int64_t, row);
        if (unit == TRUNC_NONE)
            mr_result_null(&result, row);
        else if (utc < INT64_MIN + 400 * MR_MICROS_PER_DAY)
            mr_time_overflow(&result, row);
        else if (unit <=
                 TRUNC_SECOND) /* the zone's offset is whole seconds: no need to leave UTC */
            MR_SET(&result, int64_t, row, trunc_local(utc, unit));
        else
            MR_SET(&result, int64_t, row, trunc_instant(tz, utc, unit));
    }
    return mr_result_finish(&result, out);
}

/* ---- numbers and instants ---- */

static enum mr_status kernel_per_second(struct mr_call *call, int64_t units, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    MR_SET(&result, int64_t, row,
           mr_floor_divide(MR_ARG(x, int64_t, row), MR_MICROS_PER_SECOND / units));
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_unix_seconds(struct mr_call *call, struct mr_column **out)
{
    return kernel_per_second(call, 1, out);
}

/* unix_timestamp's, which drops the fraction towards zero. */
MR_KERNEL_UNARY(kernel_whole_seconds, int64_t, int64_t, x / MR_MICROS_PER_SECOND)

static enum mr_status kernel_unix_millis(struct mr_call *call, struct mr_column **out)
{
    return kernel_per_second(call, 1000, out);
}

static enum mr_status kernel_unix_micros(struct mr_call *call, struct mr_column **out)
{
    return kernel_per_second(call, MR_MICROS_PER_SECOND, out);
}

static enum mr_status kernel_from_integer(struct mr_call *call, int64_t micros,
                                          struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t value;
        if (__builtin_mul_overflow(mr_arg_int(&x, row), micros, &value))
            mr_time_overflow(&result, row);
        else
            MR_SET(&result, int64_t, row, value);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_timestamp_millis(struct mr_call *call, struct mr_column **out)
{
    return kernel_from_integer(call, 1000, out);
}

static enum mr_status kernel_timestamp_micros(struct mr_call *call, struct mr_column **out)
{
    return kernel_from_integer(call, 1, out);
}

/* Whole and fractional seconds: an integer, a decimal (more than six digits of fraction fail) or a double. */
static enum mr_status kernel_timestamp_seconds(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        mr_int128 micros = 0;
        bool ok = true;
        if (x.type->id == MR_TYPE_DECIMAL) {
            mr_int128 back = 0, value = mr_arg_decimal(&x, row);
            ok = mr_decimal_rescale(value, x.type->scale, 6, &micros) &&
                 mr_decimal_rescale(micros, 6, x.type->scale, &back) && back == value;
        } else if (mr_type_is_integer(x.type)) {
            micros = (mr_int128)mr_arg_int(&x, row) * MR_MICROS_PER_SECOND;
        } else {
            double value = mr_arg_double(&x, row);
            if (!isfinite(value)) {
                mr_result_null(&result, row);
                continue;
            }
            ok = fabs(value) < 9.2e12;
            micros = ok ? (mr_int128)(value * 1e6) : 0;
            if (!ok && call->failure == MR_FAIL_WRAP) {
                MR_SET(&result, int64_t, row, value < 0 ? INT64_MIN : INT64_MAX);
                continue;
            }
        }
        if (!ok || micros != (mr_int128)(int64_t)micros)
            mr_time_overflow(&result, row);
        else
            MR_SET(&result, int64_t, row, (int64_t)micros);
    }
    return mr_result_finish(&result, out);
}

/* ---- made of parts ---- */

static bool valid_day(int64_t year, int64_t month, int64_t day)
{
    return year >= -999999999 && year <= 999999999 && month >= 1 && month <= 12 && day >= 1 &&
           day <= mr_days_in_month(year, (int)month);
}

static enum mr_status kernel_make_date(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg year = mr_arg_of(call, 0), month = mr_arg_of(call, 1), day = mr_arg_of(call, 2);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int32_t y = MR_ARG(year, int32_t, row), m = MR_ARG(month, int32_t, row);
        int32_t d = MR_ARG(day, int32_t, row);
        if (!valid_day(y, m, d))
            mr_result_fail(&result, row, "there is no such date");
        else
            set_days(&result, row, mr_days_from_civil(y, m, d));
    }
    return mr_result_finish(&result, out);
}

/* A zone by its name, remembered by the thread while it stays the same. */
struct zone_state {
    struct mr_tz *tz;
    char name[64];
};

static void release_zone(void *state)
{
    mr_tz_free(((struct zone_state *)state)->tz);
}

static const struct mr_tz *zone_named(struct zone_state *state, struct mr_slice name)
{
    if (!state || name.size >= sizeof(state->name))
        return NULL;
    if (state->tz && strlen(state->name) == name.size && !memcmp(state->name, name.data, name.size))
        return state->tz;
    mr_tz_free(state->tz);
    state->tz = NULL;
    memcpy(state->name, name.data, name.size);
    state->name[name.size] = '\0';
    return mr_tz_new(state->name, &state->tz, NULL) == MR_OK ? state->tz : NULL;
}

static const struct mr_tz *zone_of(struct mr_call *call, struct mr_slice name)
{
    return zone_named(mr_call_state(call, sizeof(struct zone_state), release_zone), name);
}

static enum mr_status kernel_make_timestamp(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg parts[7];
    const struct mr_tz *tz = call->type->id == MR_TYPE_TIMESTAMP ? call->session->tz : NULL;
    for (int i = 0; i < call->nargs; i++)
        parts[i] = mr_arg_of(call, i);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int32_t fields[5];
        for (int i = 0; i < 5; i++)
            fields[i] = MR_ARG(parts[i], int32_t, row);
        int64_t micros = MR_ARG(parts[5], int64_t, row); /* DECIMAL(16,6) */
        bool ok = valid_day(fields[0], fields[1], fields[2]) && fields[3] >= 0 && fields[3] < 24 &&
                  fields[4] >= 0 && fields[4] < 60 && micros >= 0 && micros <= 60000000;
        if (!ok) {
            mr_result_fail(&result, row, "there is no such time");
            continue;
        }
        int64_t local, day = mr_days_from_civil(fields[0], fields[1], fields[2]);
        micros += (fields[3] * 60 + fields[4]) * 60 * MR_MICROS_PER_SECOND;
        if (__builtin_mul_overflow(day, MR_MICROS_PER_DAY, &local) ||
            __builtin_add_overflow(local, micros, &local)) {
            mr_time_overflow(&result, row);
            continue;
        }
        if (call->nargs > 6 && !(tz = zone_of(call, mr_arg_text(&parts[6], row)))) {
            result.status = mr_call_fail(call, "unknown time zone");
            break;
        }
        MR_SET(&result, int64_t, row, tz ? mr_tz_to_utc(tz, local) : local);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status bind_make_timestamp(struct mr_binding *binding)
{
    const struct mr_type *type = binding->args[5]->type;
    if (!mr_type_is_numeric(type) && !mr_type_is_string(type) && type->id != MR_TYPE_NULL)
        return mr_bind_fail(binding, 5, "the seconds are a number");
    return mr_bind_cast(binding, 5, mr_type_decimal(binding->arena, 16, 6));
}

static enum mr_status bind_make_timestamp_ntz(struct mr_binding *binding)
{
    binding->type = mr_type_of(MR_TYPE_TIMESTAMP_NTZ);
    return bind_make_timestamp(binding);
}

/* ---- now ---- */

static enum mr_status constant(struct mr_call *call, int64_t value, struct mr_column **out)
{
    struct mr_value held = {.type = call->type, .u.i64 = value};
    return mr_column_new_constant(call->memory, call->type, &held, call->length, out, call->err);
}

static int64_t local_now(const struct mr_call *call)
{
    return mr_tz_to_local(call->session->tz, call->session->now_micros);
}

static enum mr_status kernel_current_date(struct mr_call *call, struct mr_column **out)
{
    return constant(call, mr_floor_divide(local_now(call), MR_MICROS_PER_DAY), out);
}

static enum mr_status kernel_current_timestamp(struct mr_call *call, struct mr_column **out)
{
    return constant(call, call->session->now_micros, out);
}

static enum mr_status kernel_localtimestamp(struct mr_call *call, struct mr_column **out)
{
    return constant(call, local_now(call), out);
}

static enum mr_status bind_ntz(struct mr_binding *binding)
{
    binding->type = mr_type_of(MR_TYPE_TIMESTAMP_NTZ);
    binding->nullable = false;
    return MR_OK;
}

static enum mr_status kernel_current_timezone(struct mr_call *call, struct mr_column **out)
{
    struct mr_value held = {.type = call->type,
                            .u.bytes = mr_slice_of(mr_tz_name(call->session->tz))};
    return mr_column_new_constant(call->memory, call->type, &held, call->length, out, call->err);
}

static enum mr_status shift_zone(struct mr_call *call, bool from_utc, struct mr_column **out)
{
    struct mr_arg time = mr_arg_of(call, 0), name = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        const struct mr_tz *tz = zone_of(call, mr_arg_text(&name, row));
        int64_t utc = MR_ARG(time, int64_t, row);
        if (!tz) {
            result.status =
                mr_call_fail(call, "unknown time zone %.*s", (int)mr_arg_text(&name, row).size,
                             mr_arg_text(&name, row).data);
            break;
        }
        int64_t moved = from_utc ? mr_tz_to_local(tz, utc) : mr_tz_to_utc(tz, utc);
        bool wrapped = (utc < 0) != (moved < 0) &&
                       (utc > MR_MICROS_PER_DAY * 2 || utc < -MR_MICROS_PER_DAY * 2);
        if (wrapped)
            mr_time_overflow(&result, row);
        else
            MR_SET(&result, int64_t, row, moved);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_from_utc(struct mr_call *call, struct mr_column **out)
{
    return shift_zone(call, true, out);
}

static enum mr_status kernel_to_utc(struct mr_call *call, struct mr_column **out)
{
    return shift_zone(call, false, out);
}

/* Two zones by name, remembered by the thread while they stay the same. */
struct zone_pair {
    struct zone_state zones[2];
};

static void release_pair(void *state)
{
    release_zone(&((struct zone_pair *)state)->zones[0]);
    release_zone(&((struct zone_pair *)state)->zones[1]);
}

static enum mr_status kernel_convert_zone(struct mr_call *call, struct mr_column **out)
{
    int names = call->nargs - 1;
    struct mr_arg first = mr_arg_of(call, 0), second = mr_arg_of(call, 1);
    struct mr_arg time = mr_arg_of(call, names);
    struct zone_pair *pair = mr_call_state(call, sizeof(*pair), release_pair);
    if (!pair)
        return mr_error_nomem(call->err);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        const struct mr_tz *from = call->session->tz;
        const struct mr_tz *to = zone_named(&pair->zones[0], mr_arg_text(&first, row));
        if (names > 1) {
            from = to;
            to = zone_named(&pair->zones[1], mr_arg_text(&second, row));
        }
        if (!from || !to) {
            result.status = mr_call_fail(call, "unknown time zone");
            break;
        }
        int64_t utc = mr_tz_to_utc(from, MR_ARG(time, int64_t, row));
        MR_SET(&result, int64_t, row, mr_tz_to_local(to, utc));
    }
    return mr_result_finish(&result, out);
}

static enum mr_status bind_convert_zone(struct mr_binding *binding)
{
    binding->type = mr_type_of(MR_TYPE_TIMESTAMP_NTZ);
    return mr_bind_cast(binding, binding->nargs - 1, binding->type);
}

#define TIME(names_, args_, result_, flags_, kernel_, bind_, signature_, doc_)                     \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = flags_, .kernel = kernel_,     \
        .bind = bind_, .signature = signature_, .family = "date and time", .doc = doc_             \
    }
#define FIELD(names_, args_, kernel_, signature_, doc_)                                            \
    TIME(names_, args_, "i", MR_FN_TOTAL, kernel_, NULL, signature_, doc_)
#define NOW(names_, result_, kernel_, bind_, signature_, doc_)                                     \
    TIME(names_, "", result_, MR_FN_TOTAL | MR_FN_NULLS, kernel_, bind_, signature_, doc_)

static const struct mr_function functions[] = {
    FIELD("year", "D", kernel_year, "year(date)", "Year."),
    FIELD("quarter", "D", kernel_quarter, "quarter(date)", "Quarter, 1 to 4."),
    FIELD("month", "D", kernel_month, "month(date)", "Month, 1 to 12."),
    FIELD("day dayofmonth", "D", kernel_day, "day(date)", "Day of the month."),
    FIELD("dayofweek", "D", kernel_dayofweek, "dayofweek(date)", "Day of the week, 1 = Sunday."),
    FIELD("weekday", "D", kernel_weekday, "weekday(date)", "Day of the week, 0 = Monday."),
    FIELD("__isodow", "D", kernel_isodow, NULL, NULL),
    FIELD("dayofyear", "D", kernel_dayofyear, "dayofyear(date)", "Day of the year, from 1."),
    FIELD("weekofyear", "D", kernel_weekofyear, "weekofyear(date)", "ISO 8601 week of the year."),
    FIELD("__isoyear", "D", kernel_yearofweek, NULL, NULL),
    FIELD("hour", "t", kernel_hour, "hour(timestamp)", "Hour, 0 to 23."),
    FIELD("minute", "t", kernel_minute, "minute(timestamp)", "Minute."),
    FIELD("second", "t", kernel_second, "second(timestamp)", "Second, without its fraction."),
    TIME("__seconds", "t", "!", MR_FN_TOTAL, kernel_second_fraction, bind_second_fraction, NULL,
         NULL),
    TIME("date_part datepart", "sa", "!", MR_FN_TOTAL, mr_kernel_replaced, bind_date_part,
         "date_part(field, time)", "A field by its name; also extract(field FROM time)."),
    TIME("date_add dateadd", "Da", "D", 0, kernel_date_add, bind_days, "date_add(date, days)",
         "The date so many days later."),
    TIME("date_sub", "Da", "D", 0, kernel_date_sub, bind_days, "date_sub(date, days)",
         "The date so many days earlier."),
    TIME("datediff date_diff", "DD", "i", 0, kernel_datediff, NULL, "datediff(end, start)",
         "Days from start to end."),
    TIME("add_months", "Di", "D", 0, kernel_add_months, NULL, "add_months(date, months)",
         "The same day so many months later, at most the month's last."),
    TIME("months_between", "TT?z", "d", MR_FN_TOTAL, kernel_months_between, NULL,
         "months_between(a, b[, rounded])",
         "Months from b to a, days as 1/31, rounded to 8 digits unless told otherwise."),
    TIME("last_day", "D", "D", MR_FN_TOTAL, kernel_last_day, NULL, "last_day(date)",
         "Last day of the month."),
    TIME("next_day", "Ds", "D", 0, kernel_next_day, NULL, "next_day(date, day_of_week)",
         "The first such day of the week (Mon, Monday) after the date."),
    TIME("trunc", "Ds", "D", MR_FN_MAY_NULL, kernel_trunc, NULL, "trunc(date, unit)",
         "First day of the year, quarter, month or week; NULL for another unit."),
    TIME("date_trunc", "sT", "T", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_date_trunc, NULL,
         "date_trunc(unit, timestamp)",
         "Start of the year, quarter, month, week, day, hour, minute, second, millisecond or "
         "microsecond; NULL for another unit."),
    TIME("unix_seconds", "T!", "l", MR_FN_TOTAL, kernel_unix_seconds, NULL,
         "unix_seconds(timestamp)", "Whole seconds since 1970-01-01 00:00:00 UTC."),
    TIME("__whole_seconds", "T", "l", MR_FN_TOTAL, kernel_whole_seconds, NULL, NULL, NULL),
    /* A TIMESTAMP_NTZ counts as if its fields were UTC's. */
    TIME("__field_seconds", "a", "l", MR_FN_TOTAL, kernel_whole_seconds, NULL, NULL, NULL),
    TIME("unix_millis", "T!", "l", MR_FN_TOTAL, kernel_unix_millis, NULL, "unix_millis(timestamp)",
         "Whole milliseconds since 1970-01-01 00:00:00 UTC."),
    TIME("unix_micros", "T!", "l", MR_FN_TOTAL, kernel_unix_micros, NULL, "unix_micros(timestamp)",
         "Microseconds since 1970-01-01 00:00:00 UTC."),
    TIME("timestamp_seconds", "n!", "T", MR_FN_MAY_NULL, kernel_timestamp_seconds, NULL,
         "timestamp_seconds(number)", "The instant so many seconds after 1970-01-01 00:00:00 UTC."),
    TIME("timestamp_millis", "I!", "T", 0, kernel_timestamp_millis, NULL,
         "timestamp_millis(number)",
         "The instant so many milliseconds after 1970-01-01 00:00:00 UTC."),
    TIME("timestamp_micros", "I!", "T", 0, kernel_timestamp_micros, NULL,
         "timestamp_micros(number)",
         "The instant so many microseconds after 1970-01-01 00:00:00 UTC."),
    TIME("unix_date", "D!", "i", MR_FN_TOTAL, kernel_unix_date, NULL, "unix_date(date)",
         "Days since 1970-01-01."),
    TIME("date_from_unix_date", "i", "D", MR_FN_TOTAL, kernel_unix_date, NULL,
         "date_from_unix_date(days)", "The date so many days after 1970-01-01."),
    TIME("make_date", "iii", "D", MR_FN_MAY_NULL, kernel_make_date, NULL,
         "make_date(year, month, day)", "A date of its parts."),
    TIME("make_timestamp make_timestamp_ltz", "iiiiia", "T", MR_FN_MAY_NULL, kernel_make_timestamp,
         bind_make_timestamp, "make_timestamp(year, month, day, hour, minute, second[, zone])",
         "A timestamp of its parts."),
    TIME("make_timestamp make_timestamp_ltz", "iiiiias", "T", MR_FN_MAY_NULL, kernel_make_timestamp,
         bind_make_timestamp, NULL, NULL),
    TIME("make_timestamp_ntz", "iiiiia", "!", 0, kernel_make_timestamp, bind_make_timestamp_ntz,
         "make_timestamp_ntz(year, month, day, hour, minute, second)",
         "A timestamp without zone of its parts."),
    TIME("convert_timezone", "ssa", "!", 0, kernel_convert_zone, bind_convert_zone,
         "convert_timezone([from, ]to, timestamp_ntz)",
         "The fields of one zone (the session's by default) as those of another."),
    TIME("convert_timezone", "sa", "!", 0, kernel_convert_zone, bind_convert_zone, NULL, NULL),
    TIME("from_utc_timestamp", "Ts", "T", 0, kernel_from_utc, NULL,
         "from_utc_timestamp(timestamp, zone)",
         "The fields taken as UTC, shown as the fields in that zone."),
    TIME("to_utc_timestamp", "Ts", "T", 0, kernel_to_utc, NULL, "to_utc_timestamp(timestamp, zone)",
         "The fields taken as of that zone, shown as the fields in UTC."),
    NOW("current_date curdate", "D", kernel_current_date, NULL, "current_date()",
        "The day on which the run began, in the session's time zone."),
    NOW("current_timestamp now", "T", kernel_current_timestamp, NULL, "current_timestamp()",
        "The instant at which the run began."),
    NOW("localtimestamp", "!", kernel_localtimestamp, bind_ntz, "localtimestamp()",
        "The same as fields in the session's time zone."),
    NOW("current_timezone", "s", kernel_current_timezone, NULL, "current_timezone()",
        "Name of the session's time zone."),
};

const struct mr_function_family mr_functions_time = {functions,
                                                     sizeof(functions) / sizeof(functions[0])};
