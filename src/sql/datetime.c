/*
 * datetime.c - arithmetic of dates, timestamps and intervals.
 *
 * date + n and date - n move by days; date - date is an interval of days; a timestamp minus another is an interval of days and
 * microseconds. Months and days are added in local time (a day is 23 or 25 hours long where clocks change), microseconds
 * to the instant. A date plus a constant interval with a time part becomes a timestamp, as in Spark; with an interval from a column it
 * stays a date, and a time part is an error.
 */
#include "sql/datetime.h"

#include "base/time.h"
#include "sql/arithmetic.h"
#include "sql/coerce.h"
#include "sql/interval.h"

#include <math.h>

#define DAY_MICROS INT64_C(86400000000)

static bool is_interval(const struct mr_type *type)
{
    return type->id == MR_TYPE_INTERVAL;
}

bool mr_datetime_operands(const struct mr_binding *binding)
{
    for (int i = 0; i < 2; i++) {
        const struct mr_type *type = binding->args[i]->type;
        if (mr_type_is_datetime(type) || is_interval(type))
            return true;
    }
    return false;
}

static bool add_parts(const struct mr_interval *a, const struct mr_interval *b, int sign,
                      struct mr_interval *out)
{
    int64_t months = (int64_t)a->months + sign * (int64_t)b->months;
    int64_t days = (int64_t)a->days + sign * (int64_t)b->days;
    out->months = (int32_t)months;
    out->days = (int32_t)days;
    bool bad = sign > 0 ? __builtin_add_overflow(a->micros, b->micros, &out->micros)
                        : __builtin_sub_overflow(a->micros, b->micros, &out->micros);
    /* Without months it is a day-time interval of Spark's: 64 bits of microseconds. */
    mr_int128 total = (mr_int128)days * DAY_MICROS + out->micros;
    if (months == 0 && total != (int64_t)total)
        return false;
    if (bad || months != out->months || days != out->days)
        return false;
    mr_interval_normalise(out);
    return true;
}

bool mr_timestamp_add(const struct mr_tz *tz, int64_t micros, const struct mr_interval *interval,
                      int sign, int64_t *out)
{
    int64_t months = sign * (int64_t)interval->months, days = sign * (int64_t)interval->days;
    int64_t part = interval->micros;
    if (months != 0 || days != 0) {
        int64_t local = tz ? mr_tz_to_local(tz, micros) : micros;
        int64_t day = local / DAY_MICROS - (local % DAY_MICROS < 0);
        int64_t time = local - day * DAY_MICROS;
        day = mr_days_add_months(day, months) + days;
        if (__builtin_mul_overflow(day, DAY_MICROS, &local) ||
            __builtin_add_overflow(local, time, &local))
            return false;
        micros = tz ? mr_tz_to_utc(tz, local) : local;
    }
    return sign > 0 ? !__builtin_add_overflow(micros, part, out)
                    : !__builtin_sub_overflow(micros, part, out);
}

void mr_time_overflow(struct mr_result *result, int64_t row)
{
    char type[48];
    if (result->call->failure == MR_FAIL_NULL)
        mr_result_null(result, row);
    else if (result->status == MR_OK)
        result->status = mr_call_fail(result->call, "%s overflow",
                                      mr_type_text(result->call->type, type, sizeof(type)));
}

static int sign_of(const struct mr_call *call)
{
    return *(const char *)call->data == '-' ? -1 : 1;
}

/* DATE + n, DATE - n */
static enum mr_status kernel_date_days(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        int64_t day =
            (int64_t)MR_ARG(a, int32_t, row) + sign_of(call) * (int64_t)MR_ARG(b, int32_t, row);
        if (day != (int32_t)day && call->failure != MR_FAIL_WRAP)
            mr_overflow(&result, row);
        else
            MR_SET(&result, int32_t, row, (int32_t)day);
    }
    return mr_result_finish(&result, out);
}

/* DATE - DATE */
static enum mr_status kernel_date_difference(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        int64_t days = (int64_t)MR_ARG(a, int32_t, row) - MR_ARG(b, int32_t, row);
        if (days != (int32_t)days)
            mr_time_overflow(&result, row);
        else
            MR_SET(&result, struct mr_interval, row, ((struct mr_interval){.days = (int32_t)days}));
    }
    return mr_result_finish(&result, out);
}

/* TIMESTAMP - TIMESTAMP: what the clocks of the session's zone show, as Spark counts it. */
static enum mr_status kernel_timestamp_difference(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    const struct mr_tz *tz = a.type->id == MR_TYPE_TIMESTAMP ? call->session->tz : NULL;
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        int64_t micros;
        if (result.status != MR_OK)
            break;
        int64_t end = MR_ARG(a, int64_t, row), start = MR_ARG(b, int64_t, row);
        if (tz) {
            end = mr_tz_to_local(tz, end);
            start = mr_tz_to_local(tz, start);
        }
        if (__builtin_sub_overflow(end, start, &micros)) {
            mr_time_overflow(&result, row);
            continue;
        }
        struct mr_interval value = {.days = (int32_t)(micros / DAY_MICROS),
                                    .micros = micros % DAY_MICROS};
        MR_SET(&result, struct mr_interval, row, value);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_date_interval(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    struct mr_result result;
    int sign = sign_of(call);
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        struct mr_interval by = MR_ARG(b, struct mr_interval, row);
        int64_t day = mr_days_add_months(MR_ARG(a, int32_t, row), sign * (int64_t)by.months) +
                      sign * ((int64_t)by.days + by.micros / DAY_MICROS);
        if (by.micros % DAY_MICROS != 0)
            mr_result_fail(&result, row, "an interval with hours cannot be added to a date");
        else if (day != (int32_t)day)
            mr_time_overflow(&result, row);
        else
            MR_SET(&result, int32_t, row, (int32_t)day);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_timestamp_interval(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    const struct mr_tz *tz = call->type->id == MR_TYPE_TIMESTAMP ? call->session->tz : NULL;
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        int64_t moved;
        if (result.status != MR_OK)
            break;
        if (mr_timestamp_add(tz, MR_ARG(a, int64_t, row), &MR_ARG(b, struct mr_interval, row),
                             sign_of(call), &moved))
            MR_SET(&result, int64_t, row, moved);
        else
            mr_time_overflow(&result, row);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_interval_sum(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, call->nargs - 1);
    static const struct mr_interval zero;
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        struct mr_interval sum;
        if (result.status != MR_OK)
            break;
        const struct mr_interval *x = &MR_ARG(a, struct mr_interval, row);
        if (add_parts(call->nargs == 1 ? &zero : x, &MR_ARG(b, struct mr_interval, row),
                      sign_of(call), &sum))
            MR_SET(&result, struct mr_interval, row, sum);
        else
            mr_time_overflow(&result, row);
    }
    return mr_result_finish(&result, out);
}

/* A part times a factor, with the rest of a day left to the microseconds. */
static bool scale_parts(const struct mr_interval *in, double factor, struct mr_interval *out)
{
    double months = trunc((double)in->months * factor);
    double days = (double)in->days * factor;
    double whole = trunc(days);
    double micros = (double)in->micros * factor + (days - whole) * (double)DAY_MICROS;
    if (!(fabs(months) < 2147483648.0) || !(fabs(whole) < 2147483648.0) || !(fabs(micros) < 9.2e18))
        return false;
    *out = (struct mr_interval){(int32_t)months, (int32_t)whole, llround(micros)};
    return true;
}

/* A number times or through a factor, rounded half away from zero. */
static bool scale_number(int64_t number, const struct mr_arg *by, int64_t row, bool divide,
                         mr_int128 *out)
{
    if (mr_type_is_float(by->type)) {
        double factor = mr_arg_double(by, row);
        double value = divide ? (double)number / factor : (double)number * factor;
        double rounded = round(value);
        *out = (mr_int128)(fabs(rounded) < 1e30 ? rounded : 0);
        return fabs(rounded) < 1e30;
    }
    bool decimal = by->type->id == MR_TYPE_DECIMAL;
    int scale = decimal ? by->type->scale : 0;
    mr_int128 factor = decimal ? mr_arg_decimal(by, row) : mr_arg_int(by, row);
    return divide ? mr_decimal_divide(number, 0, factor, scale, 0, out)
                  : mr_decimal_multiply(number, 0, factor, scale, 0, out);
}

/* Months alone, or days and microseconds as one number (Spark's two other interval types), are scaled exactly. */
static bool scale_interval(const struct mr_interval *in, const struct mr_arg *by, int64_t row,
                           bool divide, struct mr_interval *out)
{
    mr_int128 value, micros = (mr_int128)in->days * DAY_MICROS + in->micros;
    bool months = in->months != 0;
    if (months && micros != 0) {
        double factor = mr_type_is_float(by->type) ? mr_arg_double(by, row)
                        : by->type->id == MR_TYPE_DECIMAL
                            ? mr_decimal_to_double(mr_arg_decimal(by, row), by->type->scale)
                            : (double)mr_arg_int(by, row);
        return scale_parts(in, divide ? 1 / factor : factor, out);
    }
    if (micros != (int64_t)micros ||
        !scale_number(months ? in->months : (int64_t)micros, by, row, divide, &value))
        return false;
    *out = (struct mr_interval){.months = months ? (int32_t)value : 0,
                                .days = months ? 0 : (int32_t)(value / DAY_MICROS),
                                .micros = months ? 0 : (int64_t)(value % DAY_MICROS)};
    return months ? value == (int32_t)value : value == (int64_t)value;
}

static bool is_zero(const struct mr_arg *by, int64_t row)
{
    if (mr_type_is_float(by->type))
        return mr_arg_double(by, row) == 0;
    return by->type->id == MR_TYPE_DECIMAL ? mr_arg_decimal(by, row) == 0
                                           : mr_arg_int(by, row) == 0;
}

static enum mr_status kernel_interval_scale(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    bool divide = *(const char *)call->data == '/';
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        struct mr_interval value = {0};
        if (divide && is_zero(&b, row) && call->failure != MR_FAIL_NULL)
            result.status = mr_call_fail(call, "division by zero");
        else if (!(divide && is_zero(&b, row)) &&
                 scale_interval(&MR_ARG(a, struct mr_interval, row), &b, row, divide, &value))
            MR_SET(&result, struct mr_interval, row, value);
        else
            mr_time_overflow(&result, row);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status no_such(struct mr_binding *binding, char op)
{
    char a[96], b[96];
    return mr_bind_fail(binding, -1, "%c does not take %s and %s", op,
                        mr_type_text(binding->args[0]->type, a, sizeof(a)),
                        mr_type_text(binding->args[1]->type, b, sizeof(b)));
}

static enum mr_status bind_scale(struct mr_binding *binding, char op)
{
    if (op == '*' && is_interval(binding->args[1]->type)) {
        struct mr_node *first = binding->args[0];
        binding->args[0] = binding->args[1];
        binding->args[1] = first;
    }
    const struct mr_type *factor = binding->args[1]->type;
    bool number =
        mr_type_is_numeric(factor) || mr_type_is_string(factor) || factor->id == MR_TYPE_NULL;
    if (!is_interval(binding->args[0]->type) || !number)
        return no_such(binding, op);
    binding->kernel = kernel_interval_scale;
    binding->type = mr_type_of(MR_TYPE_INTERVAL);
    if (mr_type_is_numeric(factor))
        return MR_OK;
    return mr_bind_cast(binding, 1, mr_type_of(MR_TYPE_FLOAT64));
}

/* Does a constant interval have a part below a day? */
static bool has_time(const struct mr_binding *binding, int i)
{
    struct mr_value value;
    return mr_bind_constant(binding, i, &value) && !value.is_null &&
           value.u.interval.micros % DAY_MICROS != 0;
}

/* x + interval, x - interval */
static enum mr_status bind_move(struct mr_binding *binding, char op)
{
    const struct mr_type *moved = binding->args[0]->type;
    binding->type = moved;
    if (is_interval(moved) || moved->id == MR_TYPE_NULL) {
        binding->kernel = kernel_interval_sum;
        binding->type = mr_type_of(MR_TYPE_INTERVAL);
        return mr_bind_cast(binding, 0, binding->type);
    }
    if (moved->id == MR_TYPE_DATE && !has_time(binding, 1)) {
        binding->kernel = kernel_date_interval;
        return MR_OK;
    }
    if (!mr_type_is_datetime(moved) && !mr_type_is_string(moved))
        return no_such(binding, op);
    if (moved->id != MR_TYPE_TIMESTAMP_NTZ) {
        binding->type = mr_type_of(MR_TYPE_TIMESTAMP);
        MR_TRY(mr_bind_cast(binding, 0, binding->type));
    }
    binding->kernel = kernel_timestamp_interval;
    return MR_OK;
}

static bool counts_days(const struct mr_type *type)
{
    return mr_type_is_integer(type) && type->id != MR_TYPE_INT64;
}

static enum mr_status bind_difference(struct mr_binding *binding)
{
    const struct mr_type *common =
        mr_comparison_type(binding->arena, binding->session, binding->args[0]->type,
                           binding->args[1]->type);
    /* With ANSI off text is taken for a date in front of a date only. */
    bool text = mr_type_is_string(binding->args[1]->type), local = false;
    text |= mr_type_is_string(binding->args[0]->type) && binding->args[1]->type->id != MR_TYPE_DATE;
    for (int i = 0; i < 2; i++) {
        local |= binding->args[i]->type->id == MR_TYPE_TIMESTAMP_NTZ;
    }
    if (common == NULL || !mr_type_is_datetime(common) || (text && !binding->session->ansi))
        return no_such(binding, '-');
    if (local)
        common = mr_type_of(MR_TYPE_TIMESTAMP_NTZ);
    MR_TRY(mr_bind_cast(binding, 0, common));
    MR_TRY(mr_bind_cast(binding, 1, common));
    binding->type = mr_type_of(MR_TYPE_INTERVAL);
    binding->kernel =
        common->id == MR_TYPE_DATE ? kernel_date_difference : kernel_timestamp_difference;
    return MR_OK;
}

enum mr_status mr_bind_datetime(struct mr_binding *binding, char op)
{
    binding->data = strchr(mr_arithmetic_ops, op);
    if (op == '*' || op == '/')
        return bind_scale(binding, op);
    if (op == '+' && !is_interval(binding->args[1]->type) &&
        (is_interval(binding->args[0]->type) || counts_days(binding->args[0]->type) ||
         (binding->args[0]->type->id == MR_TYPE_NULL &&
          binding->args[1]->type->id == MR_TYPE_DATE))) {
        struct mr_node *first = binding->args[0];
        binding->args[0] = binding->args[1];
        binding->args[1] = first;
    }
    const struct mr_type *a = binding->args[0]->type, *b = binding->args[1]->type;
    if (is_interval(b))
        return bind_move(binding, op);
    if (a->id == MR_TYPE_DATE && (counts_days(b) || b->id == MR_TYPE_NULL)) {
        binding->type = a;
        binding->kernel = kernel_date_days;
        return mr_bind_cast(binding, 1, mr_type_of(MR_TYPE_INT32));
    }
    return op == '-' ? bind_difference(binding) : no_such(binding, op);
}

enum mr_status mr_bind_negate_interval(struct mr_binding *binding)
{
    binding->data = strchr(mr_arithmetic_ops, '-');
    binding->type = mr_type_of(MR_TYPE_INTERVAL);
    binding->kernel = kernel_interval_sum;
    return MR_OK;
}
