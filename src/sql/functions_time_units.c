/*
 * functions_time_units.c - moving a time by so many units, counting the units between two times, changing the zone of a time.
 *
 * Days and longer move the fields of the session's time zone, shorter units move the instant, so that 24 hours over a change
 * of clocks are not a day. Differences are counted on the fields, as in Spark.
 */
#include "base/text.h"
#include "sql/coerce.h"
#include "sql/datetime.h"
#include "sql/local_time.h"

#include <strings.h>

/* A unit is so many months or so many microseconds. */
struct time_unit {
    const char *name;
    int64_t months;
    int64_t micros;
};

static const struct time_unit units[] = {
    {"microsecond", 0, 1},
    {"millisecond", 0, 1000},
    {"second", 0, MR_MICROS_PER_SECOND},
    {"minute", 0, 60 * MR_MICROS_PER_SECOND},
    {"hour", 0, 3600 * MR_MICROS_PER_SECOND},
    {"day", 0, MR_MICROS_PER_DAY},
    {"week", 0, 7 * MR_MICROS_PER_DAY},
    {"month", 1, 0},
    {"quarter", 3, 0},
    {"year", 12, 0},
};

static enum mr_status bind_unit(struct mr_binding *binding)
{
    struct mr_value text;
    if (!mr_bind_constant(binding, 0, &text) || text.is_null)
        return mr_bind_fail(binding, 0, "the unit must be a constant");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strlen(units[i].name) == text.u.bytes.size &&
            strncasecmp(units[i].name, text.u.bytes.data, text.u.bytes.size) == 0)
            binding->data = &units[i];
    }
    if (!binding->data)
        return mr_bind_fail(binding, 0,
                            "the unit is none of YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, "
                            "MINUTE, SECOND, MILLISECOND, MICROSECOND");
    return MR_OK;
}

static enum mr_status bind_add(struct mr_binding *binding)
{
    MR_TRY(bind_unit(binding));
    if (binding->args[2]->type->id == MR_TYPE_DATE)
        MR_TRY(mr_bind_cast(binding, 2, mr_type_of(MR_TYPE_TIMESTAMP)));
    binding->type = binding->args[2]->type;
    return MR_OK;
}

static enum mr_status bind_difference(struct mr_binding *binding)
{
    for (int i = 1; i < 3; i++) {
        if (binding->args[i]->type->id == MR_TYPE_DATE)
            MR_TRY(mr_bind_cast(binding, i, mr_type_of(MR_TYPE_TIMESTAMP)));
    }
    return bind_unit(binding);
}

/* False on overflow. `tz` NULL: fields without a zone. */
static bool move(const struct mr_tz *tz, const struct time_unit *unit, int64_t count, int64_t time,
                 int64_t *out)
{
    int64_t micros, local = tz ? mr_tz_to_local(tz, time) : time;
    if (unit->months == 0) {
        bool days = unit->micros >= MR_MICROS_PER_DAY;
        if (__builtin_mul_overflow(count, unit->micros, &micros) ||
            __builtin_add_overflow(days ? local : time, micros, &micros))
            return false;
        *out = days && tz ? mr_tz_to_utc(tz, micros) : micros;
        return true;
    }
    if (count > 4000000 || count < -4000000)
        return false;
    int64_t day = mr_floor_divide(local, MR_MICROS_PER_DAY);
    int64_t moved = mr_days_add_months(day, count * unit->months);
    if (__builtin_mul_overflow(moved, MR_MICROS_PER_DAY, &micros) ||
        __builtin_add_overflow(micros, local - day * MR_MICROS_PER_DAY, &micros))
        return false;
    *out = tz ? mr_tz_to_utc(tz, micros) : micros;
    return true;
}

static enum mr_status kernel_add(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg count = mr_arg_of(call, 1), time = mr_arg_of(call, 2);
    const struct mr_tz *tz = time.type->id == MR_TYPE_TIMESTAMP ? call->session->tz : NULL;
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t moved;
        if (move(tz, call->data, MR_ARG(count, int32_t, row), MR_ARG(time, int64_t, row), &moved))
            MR_SET(&result, int64_t, row, moved);
        else
            mr_time_overflow(&result, row);
    }
    return mr_result_finish(&result, out);
}

/* Whole months from a to b: java.time's MONTHS.between. */
static int64_t months_from(int64_t a, int64_t b)
{
    struct mr_civil x, y;
    int64_t a_day = mr_floor_divide(a, MR_MICROS_PER_DAY);
    int64_t b_day = mr_floor_divide(b, MR_MICROS_PER_DAY);
    int64_t a_time = a - a_day * MR_MICROS_PER_DAY, b_time = b - b_day * MR_MICROS_PER_DAY;
    if (b_day > a_day && b_time < a_time)
        b_day--;
    else if (b_day < a_day && b_time > a_time)
        b_day++;
    mr_civil_from_days(a_day, &x.year, &x.month, &x.day);
    mr_civil_from_days(b_day, &y.year, &y.month, &y.day);
    return (((y.year * 12 + y.month) * 32 + y.day) - ((x.year * 12 + x.month) * 32 + x.day)) / 32;
}

static enum mr_status kernel_difference(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg start = mr_arg_of(call, 1), end = mr_arg_of(call, 2);
    const struct time_unit *unit = call->data;
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t a = mr_local_micros(call->session, &start, row), micros;
        int64_t b = mr_local_micros(call->session, &end, row);
        if (unit->months > 0)
            MR_SET(&result, int64_t, row, months_from(a, b) / unit->months);
        else if (__builtin_sub_overflow(b, a, &micros))
            mr_time_overflow(&result, row);
        else
            MR_SET(&result, int64_t, row, micros / unit->micros);
    }
    return mr_result_finish(&result, out);
}

static void short_name(struct mr_result *result, int64_t row, const char *names, int index)
{
    mr_result_text(result, row, names + 3 * (ptrdiff_t)index, 3);
}

static enum mr_status kernel_dayname(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    short_name(&result, row, "MonTueWedThuFriSatSun", mr_iso_weekday(MR_ARG(x, int32_t, row)) - 1);
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_monthname(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t year;
        int month, day;
        mr_civil_from_days(MR_ARG(x, int32_t, row), &year, &month, &day);
        short_name(&result, row, "JanFebMarAprMayJunJulAugSepOctNovDec", month - 1);
    }
    return mr_result_finish(&result, out);
}

/* make_interval(years, months, weeks, days, hours, minutes, seconds) */
static enum mr_status kernel_make_interval(struct mr_call *call, struct mr_column **out)
{
    static const int64_t factors[6] = {
        12, 1, 7, 1, 3600 * MR_MICROS_PER_SECOND, 60 * MR_MICROS_PER_SECOND};
    struct mr_arg args[7];
    for (int i = 0; i < call->nargs; i++)
        args[i] = mr_arg_of(call, i);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t sums[3] = {0, 0, 0};
        double seconds = call->nargs > 6 ? MR_ARG(args[6], double, row) : 0;
        bool ok = seconds > -9e12 && seconds < 9e12;
        for (int i = 0; i < call->nargs && i < 6; i++)
            sums[i / 2] += factors[i] * MR_ARG(args[i], int32_t, row);
        if (ok)
            ok = !__builtin_add_overflow(sums[2],
                                         (int64_t)(seconds * 1e6 + (seconds < 0 ? -0.5 : 0.5)),
                                         &sums[2]);
        ok &= sums[0] == (int32_t)sums[0] && sums[1] == (int32_t)sums[1];
        struct mr_interval interval = {.months = (int32_t)sums[0],
                                       .days = (int32_t)sums[1],
                                       .micros = sums[2]};
        if (ok)
            MR_SET(&result, struct mr_interval, row, interval);
        else
            mr_result_fail(&result, row, "interval overflow");
    }
    return mr_result_finish(&result, out);
}

#define TIME(names_, args_, result_, flags_, kernel_, bind_, signature_, doc_)                     \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = flags_, .kernel = kernel_,     \
        .bind = bind_, .signature = signature_, .family = "date and time", .doc = doc_             \
    }

static const struct mr_function functions[] = {
    TIME("timestampadd dateadd date_add", "sit", "!", 0, kernel_add, bind_add,
         "timestampadd(unit, count, time)",
         "The time so many units (YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, ...) later."),
    TIME("timestampdiff datediff date_diff", "stt", "l", 0, kernel_difference, bind_difference,
         "timestampdiff(unit, start, end)", "Whole units from start to end."),
    TIME("dayname", "D", "s", MR_FN_TOTAL, kernel_dayname, NULL, "dayname(date)",
         "Day of the week as three letters."),
    TIME("monthname", "D", "s", MR_FN_TOTAL, kernel_monthname, NULL, "monthname(date)",
         "Month as three letters."),
    TIME("make_interval", "?iiiiiid", "V", 0, kernel_make_interval, NULL,
         "make_interval([years, months, weeks, days, hours, minutes, seconds])",
         "An interval of its parts, 0 by default."),
};

const struct mr_function_family mr_functions_time_units = {functions, sizeof(functions) /
                                                                          sizeof(functions[0])};
