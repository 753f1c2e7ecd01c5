/*
 * aggregate_sum.c - sum, avg and their try_ forms.
 *
 *   integers   sum: int64, checked; avg and try_sum: int128, exact
 *   decimals   exact, 192 bits; only the result must have 38 digits
 *   floats     double, added in row order
 *
 * sum and avg of decimals and of doubles share their state. Partial sums merge in the order of tasks, so that a sum of
 * doubles is the same in every run with the same splits. Spark sums the doubles of integers for their average; the
 * exact sum differs only beyond 2^53.
 */
#include "sql/aggregate_call.h"
#include "sql/coerce.h"

enum { SUM, AVG, TRY_SUM, TRY_AVG };

struct sum64 {
    int64_t sum, n;
};
struct sum128 {
    mr_int128 sum;
    int64_t n;
    int64_t high;
};
struct sumf {
    double sum;
    int64_t n;
};

static const struct mr_agg_field sum64_fields[] = {{offsetof(struct sum64, sum), MR_TYPE_INT64},
                                                   {offsetof(struct sum64, n), MR_TYPE_INT64}};
static const struct mr_agg_field sum128_fields[] = {{offsetof(struct sum128, sum), MR_TYPE_DECIMAL},
                                                    {offsetof(struct sum128, n), MR_TYPE_INT64},
                                                    {offsetof(struct sum128, high), MR_TYPE_INT64}};
static const struct mr_agg_field sumf_fields[] = {{offsetof(struct sumf, sum), MR_TYPE_FLOAT64},
                                                  {offsetof(struct sumf, n), MR_TYPE_INT64}};

static enum mr_status integer_overflow(const struct mr_agg_state *state, struct mr_error *err)
{
    mr_agg_data_error(state->call, err, "the sum is out of the range of bigint");
    mr_error_hint(err, "try_sum gives NULL instead; a decimal has more digits");
    return MR_SOURCE;
}

/* One loop per input type: `rows` decides once whether there is a list of rows. */
#define LOOP(T, BODY)                                                                              \
    do {                                                                                           \
        const T *restrict values = (const T *)(const void *)in->args[0]->values->data;             \
        const uint32_t *restrict groups = in->groups;                                              \
        if (in->rows)                                                                              \
            for (int64_t i = 0; i < in->count; i++) {                                              \
                T value = values[in->rows[i]];                                                     \
                BODY                                                                               \
            }                                                                                      \
        else                                                                                       \
            for (int64_t i = 0; i < in->count; i++) {                                              \
                T value = values[i];                                                               \
                BODY                                                                               \
            }                                                                                      \
    } while (0)

#define SUM64_UPDATE(name, T)                                                                      \
    static enum mr_status name##_run(struct mr_agg_state *state, const struct mr_agg_input *in,    \
                                     void *copies, struct mr_error *err)                           \
    {                                                                                              \
        struct sum64 *rows = (struct sum64 *)(void *)state->rows, *copy = copies;                  \
        bool overflow = false;                                                                     \
        LOOP(T, struct sum64 *row = &rows[groups[i]];                                              \
             overflow |= __builtin_add_overflow(row->sum, (int64_t)value, &row->sum); row->n++;    \
             copy[i] = *row;);                                                                     \
        return overflow && state->call->raise ? integer_overflow(state, err) : MR_OK;              \
    }                                                                                              \
    static enum mr_status name(struct mr_agg_state *state, const struct mr_agg_input *in,          \
                               struct mr_error *err)                                               \
    {                                                                                              \
        struct sum64 *rows = (struct sum64 *)(void *)state->rows;                                  \
        bool overflow = false;                                                                     \
        LOOP(T, struct sum64 *row = &rows[groups[i]];                                              \
             overflow |= __builtin_add_overflow(row->sum, (int64_t)value, &row->sum); row->n++;);  \
        return overflow && state->call->raise ? integer_overflow(state, err) : MR_OK;              \
    }
SUM64_UPDATE(sum64_i8, int8_t)
SUM64_UPDATE(sum64_i16, int16_t)
SUM64_UPDATE(sum64_i32, int32_t)
SUM64_UPDATE(sum64_i64, int64_t)

static enum mr_status sum64_merge(struct mr_agg_state *state, const void *from, int64_t count,
                                  const uint32_t *groups, struct mr_error *err)
{
    struct sum64 *rows = (struct sum64 *)(void *)state->rows;
    const struct sum64 *more = from;
    bool overflow = false;
    for (int64_t i = 0; i < count; i++) {
        struct sum64 *row = &rows[groups[i]];
        overflow |= __builtin_add_overflow(row->sum, more[i].sum, &row->sum);
        row->n += more[i].n;
    }
    return overflow && state->call->raise ? integer_overflow(state, err) : MR_OK;
}

#define SUM128_UPDATE(name, T)                                                                     \
    static enum mr_status name##_run(struct mr_agg_state *state, const struct mr_agg_input *in,    \
                                     void *copies, struct mr_error *err)                           \
    {                                                                                              \
        (void)err;                                                                                 \
        struct sum128 *rows = (struct sum128 *)(void *)state->rows, *copy = copies;                \
        LOOP(T, struct sum128 *row = &rows[groups[i]]; row->sum += value; row->n++;                \
             copy[i] = *row;);                                                                     \
        return MR_OK;                                                                              \
    }                                                                                              \
    static enum mr_status name(struct mr_agg_state *state, const struct mr_agg_input *in,          \
                               struct mr_error *err)                                               \
    {                                                                                              \
        (void)err;                                                                                 \
        struct sum128 *rows = (struct sum128 *)(void *)state->rows;                                \
        LOOP(T, struct sum128 *row = &rows[groups[i]]; row->sum += value; row->n++;);              \
        return MR_OK;                                                                              \
    }
SUM128_UPDATE(sum128_i8, int8_t)
SUM128_UPDATE(sum128_i16, int16_t)
SUM128_UPDATE(sum128_i32, int32_t)
SUM128_UPDATE(sum128_i64, int64_t)

/* Two's complement of 192 bits, `high` above `sum`: what overflows on the way may come back. */
static inline void add_wide(struct sum128 *row, mr_int128 value, int64_t n)
{
    mr_int128 sum;
    if (__builtin_add_overflow(row->sum, value, &sum))
        row->high += value < 0 ? -1 : 1;
    row->sum = sum;
    row->n += n;
}

static enum mr_status sum128_i128(struct mr_agg_state *state, const struct mr_agg_input *in,
                                  struct mr_error *err)
{
    (void)err;
    struct sum128 *rows = (struct sum128 *)(void *)state->rows;
    LOOP(mr_int128, add_wide(&rows[groups[i]], value, 1););
    return MR_OK;
}

static enum mr_status sum128_i128_run(struct mr_agg_state *state, const struct mr_agg_input *in,
                                      void *copies, struct mr_error *err)
{
    (void)err;
    struct sum128 *rows = (struct sum128 *)(void *)state->rows, *copy = copies;
    LOOP(mr_int128, add_wide(&rows[groups[i]], value, 1); copy[i] = rows[groups[i]];);
    return MR_OK;
}

static enum mr_status sum128_merge(struct mr_agg_state *state, const void *from, int64_t count,
                                   const uint32_t *groups, struct mr_error *err)
{
    (void)err;
    struct sum128 *rows = (struct sum128 *)(void *)state->rows;
    const char *at = from;
    for (int64_t i = 0; i < count; i++, at += sizeof(struct sum128)) {
        struct sum128 more;
        memcpy(&more, at, sizeof more);
        rows[groups[i]].high += more.high;
        add_wide(&rows[groups[i]], more.sum, more.n);
    }
    return MR_OK;
}

#define SUMF_UPDATE(name, T)                                                                       \
    static enum mr_status name##_run(struct mr_agg_state *state, const struct mr_agg_input *in,    \
                                     void *copies, struct mr_error *err)                           \
    {                                                                                              \
        (void)err;                                                                                 \
        struct sumf *rows = (struct sumf *)(void *)state->rows, *copy = copies;                    \
        LOOP(T, struct sumf *row = &rows[groups[i]]; row->sum += (double)value; row->n++;          \
             copy[i] = *row;);                                                                     \
        return MR_OK;                                                                              \
    }                                                                                              \
    static enum mr_status name(struct mr_agg_state *state, const struct mr_agg_input *in,          \
                               struct mr_error *err)                                               \
    {                                                                                              \
        (void)err;                                                                                 \
        struct sumf *rows = (struct sumf *)(void *)state->rows;                                    \
        LOOP(T, struct sumf *row = &rows[groups[i]]; row->sum += (double)value; row->n++;);        \
        return MR_OK;                                                                              \
    }
SUMF_UPDATE(sumf_f32, float)
SUMF_UPDATE(sumf_f64, double)

static enum mr_status sumf_merge(struct mr_agg_state *state, const void *from, int64_t count,
                                 const uint32_t *groups, struct mr_error *err)
{
    (void)err;
    struct sumf *rows = (struct sumf *)(void *)state->rows;
    const struct sumf *more = from;
    for (int64_t i = 0; i < count; i++) {
        rows[groups[i]].sum += more[i].sum;
        rows[groups[i]].n += more[i].n;
    }
    return MR_OK;
}

#define KIND64(update_)                                                                            \
    {                                                                                              \
        .size = sizeof(struct sum64), .fields = sum64_fields, .nfields = 2, .update = update_,     \
        .run = update_##_run, .merge_rows = sum64_merge                                            \
    }
#define KIND128(update_)                                                                           \
    {                                                                                              \
        .size = sizeof(struct sum128), .fields = sum128_fields, .nfields = 3, .update = update_,   \
        .run = update_##_run, .merge_rows = sum128_merge                                           \
    }
#define KINDF(update_)                                                                             \
    {                                                                                              \
        .size = sizeof(struct sumf), .fields = sumf_fields, .nfields = 2, .update = update_,       \
        .run = update_##_run, .merge_rows = sumf_merge                                             \
    }

/* By layout. */
static const struct mr_agg_kind kinds64[] = {[MR_LAYOUT_I8] = KIND64(sum64_i8),
                                             [MR_LAYOUT_I16] = KIND64(sum64_i16),
                                             [MR_LAYOUT_I32] = KIND64(sum64_i32),
                                             [MR_LAYOUT_I64] = KIND64(sum64_i64)};
static const struct mr_agg_kind kinds128[] = {[MR_LAYOUT_I8] = KIND128(sum128_i8),
                                              [MR_LAYOUT_I16] = KIND128(sum128_i16),
                                              [MR_LAYOUT_I32] = KIND128(sum128_i32),
                                              [MR_LAYOUT_I64] = KIND128(sum128_i64),
                                              [MR_LAYOUT_I128] = KIND128(sum128_i128)};
static const struct mr_agg_kind kindsf[] = {
    [MR_LAYOUT_F32] = KINDF(sumf_f32), [MR_LAYOUT_F64] = KINDF(sumf_f64)};

/* Results. */

static enum mr_status finish_sum64(struct mr_agg_state *state, const struct mr_agg_call *call,
                                   int64_t from, int64_t count, struct mr_column **out,
                                   struct mr_error *err)
{
    struct mr_agg_result result;
    const struct sum64 *rows = (const struct sum64 *)(const void *)state->rows + from;
    MR_TRY(mr_agg_result_init(&result, state, call->type, count, err));
    for (int64_t i = 0; i < count; i++) {
        if (rows[i].n == 0)
            mr_agg_result_null(&result, i);
        else
            MR_AGG_SET(&result, int64_t, i, rows[i].sum);
    }
    return mr_agg_result_finish(&result, out, err);
}

static enum mr_status finish_sumf(struct mr_agg_state *state, const struct mr_agg_call *call,
                                  int64_t from, int64_t count, struct mr_column **out,
                                  struct mr_error *err)
{
    struct mr_agg_result result;
    const struct sumf *rows = (const struct sumf *)(const void *)state->rows + from;
    bool average = call->function->choice == AVG || call->function->choice == TRY_AVG;
    MR_TRY(mr_agg_result_init(&result, state, call->type, count, err));
    for (int64_t i = 0; i < count; i++) {
        double sum = rows[i].sum;
        if (rows[i].n == 0)
            mr_agg_result_null(&result, i);
        else
            MR_AGG_SET(&result, double, i, average ? sum / (double)rows[i].n : sum);
    }
    return mr_agg_result_finish(&result, out, err);
}

/* avg of integers as a double; try_sum of integers as a bigint. */
static enum mr_status finish_exact(struct mr_agg_state *state, const struct mr_agg_call *call,
                                   int64_t from, int64_t count, struct mr_column **out,
                                   struct mr_error *err)
{
    struct mr_agg_result result;
    const struct sum128 *rows = (const struct sum128 *)(const void *)state->rows + from;
    bool sum = call->function->choice == TRY_SUM;
    MR_TRY(mr_agg_result_init(&result, state, call->type, count, err));
    for (int64_t i = 0; i < count; i++) {
        bool fits = rows[i].sum == (int64_t)rows[i].sum;
        if (rows[i].n == 0 || (sum && !fits))
            mr_agg_result_null(&result, i);
        else if (sum)
            MR_AGG_SET(&result, int64_t, i, (int64_t)rows[i].sum);
        else
            MR_AGG_SET(&result, double, i, (double)rows[i].sum / (double)rows[i].n);
    }
    return mr_agg_result_finish(&result, out, err);
}

/* The value of a decimal sum or average; false when it has too many digits. */
static bool decimal_value(const struct sum128 *row, const struct mr_agg_call *call, mr_int128 *out)
{
    bool average = call->function->choice == AVG || call->function->choice == TRY_AVG;
    const struct mr_type *type = call->type;
    *out = row->sum;
    if (row->high != 0)
        return false;
    if (average &&
        !mr_decimal_divide(row->sum, call->arg_types[0]->scale, row->n, 0, type->scale, out))
        return false;
    return mr_decimal_fits(*out, type->precision);
}

static enum mr_status finish_decimal(struct mr_agg_state *state, const struct mr_agg_call *call,
                                     int64_t from, int64_t count, struct mr_column **out,
                                     struct mr_error *err)
{
    struct mr_agg_result result;
    const struct sum128 *rows = (const struct sum128 *)(const void *)state->rows + from;
    bool narrow = call->type->precision <= MR_DECIMAL64_PRECISION;
    MR_TRY(mr_agg_result_init(&result, state, call->type, count, err));
    for (int64_t i = 0; i < count; i++) {
        mr_int128 value;
        if (rows[i].n == 0) {
            mr_agg_result_null(&result, i);
        } else if (!decimal_value(&rows[i], call, &value)) {
            if (!call->null_on_overflow) {
                mr_agg_result_drop(&result);
                return mr_agg_data_error(call, err, "the result has more than %d digits",
                                         call->type->precision);
            }
            mr_agg_result_null(&result, i);
        } else if (narrow) {
            MR_AGG_SET(&result, int64_t, i, (int64_t)value);
        } else {
            MR_AGG_SET(&result, mr_int128, i, value);
        }
    }
    return mr_agg_result_finish(&result, out, err);
}

static int at_most(int value)
{
    return value < MR_DECIMAL_MAX_PRECISION ? value : MR_DECIMAL_MAX_PRECISION;
}

static enum mr_status bind_decimal(struct mr_agg_binding *binding, bool average)
{
    struct mr_agg_call *call = binding->call;
    const struct mr_type *type = binding->args[0]->type;
    call->type = average
                     ? mr_type_decimal(binding->arena, at_most(type->precision + 4),
                                       at_most(type->scale + 4))
                     : mr_type_decimal(binding->arena, at_most(type->precision + 10), type->scale);
    if (!call->type)
        return mr_error_nomem(binding->err);
    call->kind = &kinds128[mr_type_layout(type)];
    call->finish = finish_decimal;
    return MR_OK;
}

static enum mr_status bind_sum(struct mr_agg_binding *binding)
{
    struct mr_agg_call *call = binding->call;
    int choice = call->choice;
    bool average = choice == AVG || choice == TRY_AVG,
         tries = choice == TRY_SUM || choice == TRY_AVG;
    call->choice = 0;
    call->raise = call->raise && !tries;
    call->null_on_overflow = !call->raise;
    if (!mr_type_is_numeric(binding->args[0]->type))
        MR_TRY(mr_agg_cast(binding, 0, mr_type_of(MR_TYPE_FLOAT64)));
    const struct mr_type *type = binding->args[0]->type;
    if (type->id == MR_TYPE_DECIMAL)
        return bind_decimal(binding, average);
    if (mr_type_is_float(type)) {
        call->type = mr_type_of(MR_TYPE_FLOAT64);
        call->kind = &kindsf[mr_type_layout(type)];
        call->finish = finish_sumf;
        return MR_OK;
    }
    bool exact = average || tries;
    call->type = mr_type_of(average ? MR_TYPE_FLOAT64 : MR_TYPE_INT64);
    call->kind = exact ? &kinds128[mr_type_layout(type)] : &kinds64[mr_type_layout(type)];
    call->finish = exact ? finish_exact : finish_sum64;
    return MR_OK;
}

static const struct mr_aggregate functions[] = {
    {.names = "sum",
     .least = 1,
     .most = 1,
     .bind = bind_sum,
     .choice = SUM,
     .signature = "sum([DISTINCT] number)",
     .doc =
         "The sum; NULL without values. Integers give bigint, decimal(p,s) gives decimal(p+10,s)."},
    {.names = "avg mean",
     .least = 1,
     .most = 1,
     .bind = bind_sum,
     .choice = AVG,
     .signature = "avg([DISTINCT] number)",
     .doc = "The average; decimal(p,s) gives decimal(p+4,s+4), anything else double."},
    {.names = "try_sum",
     .least = 1,
     .most = 1,
     .bind = bind_sum,
     .choice = TRY_SUM,
     .signature = "try_sum(number)",
     .doc = "The sum; NULL where it does not fit its type."},
    {.names = "try_avg",
     .least = 1,
     .most = 1,
     .bind = bind_sum,
     .choice = TRY_AVG,
     .signature = "try_avg(number)",
     .doc = "The average; NULL where it does not fit its type."},
};

const struct mr_aggregate_family mr_aggregates_sum = {functions,
                                                      sizeof functions / sizeof functions[0]};
