/*
 * functions_interval.c - intervals made of parts, and the parts of intervals.
 *
 * Spark has three interval types and we have one (interval.c). An interval without months is read as Spark's day-time
 * interval: its days and microseconds are one number, so that 36 hours are 1 day and 12 hours.
 */
#include "base/time.h"
#include "sql/datetime.h"
#include "sql/function.h"

#define DAY_MICROS MR_MICROS_PER_DAY

/* make_ym_interval([years[, months]]) */
static enum mr_status kernel_make_ym(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg args[2];
    for (int i = 0; i < call->nargs; i++)
        args[i] = mr_arg_of(call, i);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t months = call->nargs > 0 ? 12 * (int64_t)MR_ARG(args[0], int32_t, row) : 0;
        months += call->nargs > 1 ? MR_ARG(args[1], int32_t, row) : 0;
        if (months != (int32_t)months)
            mr_time_overflow(&result, row);
        else
            MR_SET(&result, struct mr_interval, row,
                   ((struct mr_interval){.months = (int32_t)months}));
    }
    return mr_result_finish(&result, out);
}

/* make_dt_interval([days[, hours[, minutes[, seconds]]]]) */
static enum mr_status kernel_make_dt(struct mr_call *call, struct mr_column **out)
{
    static const int64_t factors[3] = {DAY_MICROS, 3600 * MR_MICROS_PER_SECOND,
                                       60 * MR_MICROS_PER_SECOND};
    struct mr_arg args[4];
    for (int i = 0; i < call->nargs; i++)
        args[i] = mr_arg_of(call, i);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        mr_int128 micros = call->nargs > 3 ? MR_ARG(args[3], int64_t, row) : 0; /* DECIMAL(18,6) */
        for (int i = 0; i < call->nargs && i < 3; i++)
            micros += (mr_int128)factors[i] * MR_ARG(args[i], int32_t, row);
        if (micros != (int64_t)micros) {
            mr_time_overflow(&result, row);
            continue;
        }
        struct mr_interval value = {.days = (int32_t)(micros / DAY_MICROS),
                                    .micros = (int64_t)(micros % DAY_MICROS)};
        MR_SET(&result, struct mr_interval, row, value);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status bind_make_dt(struct mr_binding *binding)
{
    if (binding->nargs < 4)
        return MR_OK;
    const struct mr_type *type = binding->args[3]->type;
    if (!mr_type_is_numeric(type) && !mr_type_is_string(type) && type->id != MR_TYPE_NULL)
        return mr_bind_fail(binding, 3, "the seconds are a number");
    return mr_bind_cast(binding, 3, mr_type_decimal(binding->arena, 18, 6));
}

/* The part a letter stands for: y M d h m s. */
static int64_t part_of(const struct mr_interval *interval, char part)
{
    mr_int128 total = (mr_int128)interval->days * DAY_MICROS + interval->micros;
    int64_t days = interval->days, micros = interval->micros;
    if (interval->months == 0) {
        days = (int64_t)(total / DAY_MICROS);
        micros = (int64_t)(total % DAY_MICROS);
    }
    switch (part) {
    case 'y':
        return interval->months / 12;
    case 'M':
        return interval->months % 12;
    case 'd':
        return days;
    case 'h':
        return micros / (3600 * MR_MICROS_PER_SECOND);
    case 'm':
        return micros / (60 * MR_MICROS_PER_SECOND) % 60;
    default:
        return micros % (60 * MR_MICROS_PER_SECOND);
    }
}

static enum mr_status kernel_part(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    char part = *(const char *)call->data;
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t value = part_of(&MR_ARG(x, struct mr_interval, row), part);
        if (part == 's')
            MR_SET(&result, int64_t, row, value); /* DECIMAL(8,6) */
        else if (part == 'y' || part == 'd')
            MR_SET(&result, int32_t, row, (int32_t)value);
        else
            MR_SET(&result, int8_t, row, (int8_t)value);
    }
    return mr_result_finish(&result, out);
}

#define PART(letter, result_type)                                                                  \
    static enum mr_status bind_part_##letter(struct mr_binding *binding)                           \
    {                                                                                              \
        binding->data = #letter;                                                                   \
        binding->type = result_type;                                                               \
        return binding->type ? MR_OK : mr_error_nomem(binding->err);                               \
    }
PART(y, mr_type_of(MR_TYPE_INT32))
PART(M, mr_type_of(MR_TYPE_INT8))
PART(d, mr_type_of(MR_TYPE_INT32))
PART(h, mr_type_of(MR_TYPE_INT8))
PART(m, mr_type_of(MR_TYPE_INT8))
PART(s, mr_type_decimal(binding->arena, 8, 6))

#define INTERVAL_PART(name, letter)                                                                \
    {                                                                                              \
        .names = "__interval_" name, .args = "V!", .result = "!", .flags = MR_FN_TOTAL,            \
        .kernel = kernel_part, .bind = bind_part_##letter                                          \
    }

static const struct mr_function functions[] = {
    INTERVAL_PART("year", y),
    INTERVAL_PART("month", M),
    INTERVAL_PART("day", d),
    INTERVAL_PART("hour", h),
    INTERVAL_PART("minute", m),
    INTERVAL_PART("second", s),
    {.names = "make_ym_interval",
     .args = "?ii",
     .result = "V",
     .kernel = kernel_make_ym,
     .signature = "make_ym_interval([years[, months]])",
     .family = "date and time",
     .doc = "An interval of years and months."},
    {.names = "make_dt_interval",
     .args = "?iiia",
     .result = "V",
     .flags = MR_FN_MAY_NULL,
     .kernel = kernel_make_dt,
     .bind = bind_make_dt,
     .signature = "make_dt_interval([days[, hours[, minutes[, seconds]]]])",
     .family = "date and time",
     .doc = "An interval of days and a time."},
};

const struct mr_function_family mr_functions_interval = {functions,
                                                         sizeof(functions) / sizeof(functions[0])};
