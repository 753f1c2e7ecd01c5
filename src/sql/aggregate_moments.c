/*
 * aggregate_moments.c - variance and its kin, covariance, correlation and linear regression.
 *
 * Central moments are kept, not sums of powers, which lose all digits where values are large and close together. Update
 * and merge follow Spark's CentralMomentAgg and Covariance (Chan, Golub and LeVeque 1979; Pebay 2008), so that results
 * agree to the last few bits.
 */
#include "sql/aggregate_call.h"

#include <math.h>

struct central {
    double n, mean, m2;
};
struct shape {
    double n, mean, m2, m3, m4;
};
struct pair {
    double n, x, y, xy, xx, yy; /* means, then sums of products of differences */
    double sum_x, sum_y;
};

#define REAL(S, field)                                                                             \
    {                                                                                              \
        offsetof(struct S, field), MR_TYPE_FLOAT64                                                 \
    }
static const struct mr_agg_field central_fields[] = {REAL(central, n), REAL(central, mean),
                                                     REAL(central, m2)};
static const struct mr_agg_field shape_fields[] = {REAL(shape, n), REAL(shape, mean),
                                                   REAL(shape, m2), REAL(shape, m3),
                                                   REAL(shape, m4)};
static const struct mr_agg_field pair_fields[] = {REAL(pair, n),     REAL(pair, x),
                                                  REAL(pair, y),     REAL(pair, xy),
                                                  REAL(pair, xx),    REAL(pair, yy),
                                                  REAL(pair, sum_x), REAL(pair, sum_y)};

static enum mr_status central_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                     struct mr_error *err)
{
    (void)err;
    struct central *rows = (struct central *)(void *)state->rows;
    const double *values = (const double *)(const void *)in->args[0]->values->data;
    for (int64_t i = 0; i < in->count; i++) {
        struct central *row = &rows[in->groups[i]];
        double value = values[MR_AGG_ROW(in, i)];
        double n = row->n + 1, delta = value - row->mean, step = delta / n;
        row->n = n;
        row->mean += step;
        row->m2 += delta * (delta - step);
    }
    return MR_OK;
}

static enum mr_status central_merge(struct mr_agg_state *state, const void *from, int64_t count,
                                    const uint32_t *groups, struct mr_error *err)
{
    (void)err;
    struct central *rows = (struct central *)(void *)state->rows;
    const struct central *more = from;
    for (int64_t i = 0; i < count; i++) {
        struct central *a = &rows[groups[i]];
        const struct central *b = &more[i];
        double n = a->n + b->n, delta = b->mean - a->mean, step = n == 0 ? 0 : delta / n;
        a->m2 += b->m2 + delta * step * a->n * b->n;
        a->mean += step * b->n;
        a->n = n;
    }
    return MR_OK;
}

static enum mr_status shape_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                   struct mr_error *err)
{
    (void)err;
    struct shape *rows = (struct shape *)(void *)state->rows;
    const double *values = (const double *)(const void *)in->args[0]->values->data;
    for (int64_t i = 0; i < in->count; i++) {
        struct shape *row = &rows[in->groups[i]];
        double value = values[MR_AGG_ROW(in, i)];
        double n = row->n + 1, delta = value - row->mean, step = delta / n;
        double m2 = row->m2 + delta * (delta - step);
        double delta2 = delta * delta, step2 = step * step;
        double m3 = row->m3 - 3 * step * m2 + delta * (delta2 - step2);
        row->m4 += -4 * step * m3 - 6 * step2 * m2 + delta * (delta * delta2 - step * step2);
        row->n = n;
        row->mean += step;
        row->m2 = m2;
        row->m3 = m3;
    }
    return MR_OK;
}

static void shape_add(struct shape *a, const struct shape *b)
{
    double n = a->n + b->n, delta = b->mean - a->mean, step = n == 0 ? 0 : delta / n;
    double na = a->n, nb = b->n;
    struct shape sum = {.n = n, .mean = a->mean + step * nb};
    sum.m2 = a->m2 + b->m2 + delta * step * na * nb;
    sum.m3 = a->m3 + b->m3 + step * step * delta * na * nb * (na - nb) +
             3 * step * (na * b->m2 - nb * a->m2);
    sum.m4 = a->m4 + b->m4 + step * step * step * delta * na * nb * (na * na - na * nb + nb * nb) +
             6 * step * step * (na * na * b->m2 + nb * nb * a->m2) +
             4 * step * (na * b->m3 - nb * a->m3);
    *a = sum;
}

static enum mr_status shape_merge(struct mr_agg_state *state, const void *from, int64_t count,
                                  const uint32_t *groups, struct mr_error *err)
{
    (void)err;
    struct shape *rows = (struct shape *)(void *)state->rows;
    const struct shape *more = from;
    for (int64_t i = 0; i < count; i++)
        shape_add(&rows[groups[i]], &more[i]);
    return MR_OK;
}

static enum mr_status pair_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                  struct mr_error *err)
{
    (void)err;
    struct pair *rows = (struct pair *)(void *)state->rows;
    const double *xs = (const double *)(const void *)in->args[0]->values->data;
    const double *ys = (const double *)(const void *)in->args[1]->values->data;
    for (int64_t i = 0; i < in->count; i++) {
        struct pair *row = &rows[in->groups[i]];
        double x = xs[MR_AGG_ROW(in, i)], y = ys[MR_AGG_ROW(in, i)];
        double n = row->n + 1, dx = x - row->x, dy = y - row->y;
        double mean_x = row->x + dx / n, mean_y = row->y + dy / n;
        row->xy += dx * (y - mean_y);
        row->xx += dx * (x - mean_x);
        row->yy += dy * (y - mean_y);
        row->n = n;
        row->x = mean_x;
        row->y = mean_y;
        row->sum_x += x;
        row->sum_y += y;
    }
    return MR_OK;
}

static enum mr_status pair_merge(struct mr_agg_state *state, const void *from, int64_t count,
                                 const uint32_t *groups, struct mr_error *err)
{
    (void)err;
    struct pair *rows = (struct pair *)(void *)state->rows;
    const struct pair *more = from;
    for (int64_t i = 0; i < count; i++) {
        struct pair *a = &rows[groups[i]];
        const struct pair *b = &more[i];
        double n = a->n + b->n, dx = b->x - a->x, dy = b->y - a->y;
        double sx = n == 0 ? 0 : dx / n, sy = n == 0 ? 0 : dy / n;
        a->xy += b->xy + dx * sy * a->n * b->n;
        a->xx += b->xx + dx * sx * a->n * b->n;
        a->yy += b->yy + dy * sy * a->n * b->n;
        a->x += sx * b->n;
        a->y += sy * b->n;
        a->n = n;
        a->sum_x += b->sum_x;
        a->sum_y += b->sum_y;
    }
    return MR_OK;
}

static const struct mr_agg_kind kind_central = {.size = sizeof(struct central),
                                                .fields = central_fields,
                                                .nfields = 3,
                                                .update = central_update,
                                                .merge_rows = central_merge};
static const struct mr_agg_kind kind_shape = {.size = sizeof(struct shape),
                                              .fields = shape_fields,
                                              .nfields = 5,
                                              .update = shape_update,
                                              .merge_rows = shape_merge};
static const struct mr_agg_kind kind_pair = {.size = sizeof(struct pair),
                                             .fields = pair_fields,
                                             .nfields = 8,
                                             .update = pair_update,
                                             .merge_rows = pair_merge};

enum {
    VAR_SAMP,
    VAR_POP,
    STDDEV_SAMP,
    STDDEV_POP,
    SKEWNESS,
    KURTOSIS,
    COVAR_SAMP,
    COVAR_POP,
    CORR,
    REGR_COUNT,
    REGR_AVGX,
    REGR_AVGY,
    REGR_SXX,
    REGR_SYY,
    REGR_SXY,
    REGR_SLOPE,
    REGR_INTERCEPT,
    REGR_R2
};

/* False: NULL. */
static bool central_value(const struct central *row, int choice, double *out)
{
    bool sample = choice == VAR_SAMP || choice == STDDEV_SAMP;
    if (row->n == 0 || (sample && row->n == 1))
        return false;
    double variance = row->m2 / (sample ? row->n - 1 : row->n);
    *out = choice == STDDEV_SAMP || choice == STDDEV_POP ? sqrt(variance) : variance;
    return true;
}

static bool shape_value(const struct shape *row, int choice, double *out)
{
    if (row->n == 0 || row->m2 == 0)
        return false;
    *out = choice == SKEWNESS ? sqrt(row->n) * row->m3 / sqrt(row->m2 * row->m2 * row->m2)
                              : row->n * row->m4 / (row->m2 * row->m2) - 3.0;
    return true;
}

/* Regressions: argument 0 is y, argument 1 is x. */
static bool pair_value(const struct pair *row, int choice, double *out)
{
    double n = row->n;
    if (n == 0)
        return false;
    switch (choice) {
    case COVAR_POP:
        *out = row->xy / n;
        return true;
    case COVAR_SAMP:
        *out = row->xy / (n - 1);
        return n > 1;
    case CORR:
        *out = row->xy / sqrt(row->xx * row->yy);
        return n > 1 && row->xx * row->yy != 0;
    case REGR_AVGX:
        *out = row->sum_y / n;
        return true;
    case REGR_AVGY:
        *out = row->sum_x / n;
        return true;
    case REGR_SXX:
        *out = row->yy;
        return true;
    case REGR_SYY:
        *out = row->xx;
        return true;
    case REGR_SXY:
        *out = row->xy;
        return true;
    case REGR_SLOPE:
        *out = row->xy / row->yy;
        return row->yy != 0;
    case REGR_INTERCEPT:
        *out = row->x - row->xy / row->yy * row->y;
        return row->yy != 0;
    default: /* REGR_R2 */
        *out = row->yy == 0 ? 1 : row->xy * row->xy / row->yy / row->xx;
        return row->xx != 0;
    }
}

static enum mr_status finish(struct mr_agg_state *state, const struct mr_agg_call *call,
                             int64_t from, int64_t count, struct mr_column **out,
                             struct mr_error *err)
{
    struct mr_agg_result result;
    int choice = call->function->choice;
    MR_TRY(mr_agg_result_init(&result, state, call->type, count, err));
    for (int64_t i = 0; i < count; i++) {
        double value = 0;
        bool valid;
        const void *row = state->rows + (from + i) * state->kind->size;
        if (choice == REGR_COUNT) {
            MR_AGG_SET(&result, int64_t, i, (int64_t)((const struct pair *)row)->n);
            continue;
        }
        if (state->kind == &kind_central)
            valid = central_value(row, choice, &value);
        else if (state->kind == &kind_shape)
            valid = shape_value(row, choice, &value);
        else
            valid = pair_value(row, choice, &value);
        if (valid)
            MR_AGG_SET(&result, double, i, value);
        else
            mr_agg_result_null(&result, i);
    }
    return mr_agg_result_finish(&result, out, err);
}

static enum mr_status bind_moment(struct mr_agg_binding *binding)
{
    struct mr_agg_call *call = binding->call;
    int choice = call->choice;
    call->choice = 0;
    for (int a = 0; a < binding->nargs; a++)
        MR_TRY(mr_agg_cast(binding, a, mr_type_of(MR_TYPE_FLOAT64)));
    call->kind = choice >= COVAR_SAMP ? &kind_pair
                 : choice >= SKEWNESS ? &kind_shape
                                      : &kind_central;
    call->finish = finish;
    call->type = mr_type_of(choice == REGR_COUNT ? MR_TYPE_INT64 : MR_TYPE_FLOAT64);
    call->nullable = choice != REGR_COUNT;
    return MR_OK;
}

#define ONE(names_, choice_, signature_, doc_)                                                     \
    {                                                                                              \
        .names = names_, .least = 1, .most = 1, .bind = bind_moment, .choice = choice_,            \
        .signature = signature_, .doc = doc_                                                       \
    }
#define TWO(names_, choice_, signature_, doc_)                                                     \
    {                                                                                              \
        .names = names_, .least = 2, .most = 2, .bind = bind_moment, .choice = choice_,            \
        .signature = signature_, .doc = doc_                                                       \
    }

static const struct mr_aggregate functions[] = {
    ONE("variance var_samp", VAR_SAMP, "variance(number)",
        "The sample variance; NULL for one value."),
    ONE("var_pop", VAR_POP, "var_pop(number)", "The population variance."),
    ONE("stddev std stddev_samp", STDDEV_SAMP, "stddev(number)",
        "The sample standard deviation; NULL for one value."),
    ONE("stddev_pop", STDDEV_POP, "stddev_pop(number)", "The population standard deviation."),
    ONE("skewness", SKEWNESS, "skewness(number)", "The skewness; NULL where all values are equal."),
    ONE("kurtosis", KURTOSIS, "kurtosis(number)",
        "The excess kurtosis; NULL where all values are equal."),
    TWO("covar_samp", COVAR_SAMP, "covar_samp(x, y)", "The sample covariance."),
    TWO("covar_pop", COVAR_POP, "covar_pop(x, y)", "The population covariance."),
    TWO("corr", CORR, "corr(x, y)", "Pearson's correlation coefficient."),
    TWO("regr_count", REGR_COUNT, "regr_count(y, x)", "Rows where both are not NULL."),
    TWO("regr_avgx", REGR_AVGX, "regr_avgx(y, x)", "The average of x where both are not NULL."),
    TWO("regr_avgy", REGR_AVGY, "regr_avgy(y, x)", "The average of y where both are not NULL."),
    TWO("regr_sxx", REGR_SXX, "regr_sxx(y, x)", "The sum of squares of x around its average."),
    TWO("regr_syy", REGR_SYY, "regr_syy(y, x)", "The sum of squares of y around its average."),
    TWO("regr_sxy", REGR_SXY, "regr_sxy(y, x)",
        "The sum of products of x and y around their averages."),
    TWO("regr_slope", REGR_SLOPE, "regr_slope(y, x)", "The slope of the line of least squares."),
    TWO("regr_intercept", REGR_INTERCEPT, "regr_intercept(y, x)",
        "The intercept of the line of least squares."),
    TWO("regr_r2", REGR_R2, "regr_r2(y, x)", "The coefficient of determination."),
};

const struct mr_aggregate_family mr_aggregates_moments = {functions,
                                                          sizeof functions / sizeof functions[0]};
