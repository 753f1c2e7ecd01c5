/*
 * aggregate_extreme.c - min and max of numbers, dates and times: the value so far, widened to 64 bits, 128 or double.
 *
 * Everything else (text, UUIDs, nested values) goes the way of max_by (aggregate_pick.c). NaN is greater than any
 * number, as in Spark's order.
 */
#include "sql/aggregate_extreme.h"

#include <math.h>

struct whole {
    int64_t value, n;
};
struct wide {
    mr_int128 value;
    int64_t n, unused;
};
struct real {
    double value;
    int64_t n;
};

static const struct mr_agg_field whole_fields[] = {{offsetof(struct whole, value), MR_TYPE_INT64},
                                                   {offsetof(struct whole, n), MR_TYPE_INT64}};
static const struct mr_agg_field wide_fields[] = {{offsetof(struct wide, value), MR_TYPE_DECIMAL},
                                                  {offsetof(struct wide, n), MR_TYPE_INT64},
                                                  {offsetof(struct wide, unused), MR_TYPE_INT64}};
static const struct mr_agg_field real_fields[] = {{offsetof(struct real, value), MR_TYPE_FLOAT64},
                                                  {offsetof(struct real, n), MR_TYPE_INT64}};

#define LESS(a, b)      ((a) < (b))
#define MORE(a, b)      ((a) > (b))
#define REAL_LESS(a, b) ((a) < (b) || (isnan(b) && !isnan(a)))
#define REAL_MORE(a, b) ((a) > (b) || (isnan(a) && !isnan(b)))

#define UPDATE(name, S, T, BEATS)                                                                  \
    static enum mr_status name(struct mr_agg_state *state, const struct mr_agg_input *in,          \
                               struct mr_error *err)                                               \
    {                                                                                              \
        (void)err;                                                                                 \
        S *rows = (S *)(void *)state->rows;                                                        \
        const T *values = (const T *)(const void *)in->args[0]->values->data;                      \
        for (int64_t i = 0; i < in->count; i++) {                                                  \
            S *row = &rows[in->groups[i]];                                                         \
            T value = values[MR_AGG_ROW(in, i)];                                                   \
            if (!row->n || BEATS(value, row->value)) {                                             \
                row->value = value;                                                                \
                row->n = 1;                                                                        \
            }                                                                                      \
        }                                                                                          \
        return MR_OK;                                                                              \
    }                                                                                              \
    static enum mr_status name##_run(struct mr_agg_state *state, const struct mr_agg_input *in,    \
                                     void *copies, struct mr_error *err)                           \
    {                                                                                              \
        (void)err;                                                                                 \
        S *rows = (S *)(void *)state->rows, *copy = copies;                                        \
        const T *values = (const T *)(const void *)in->args[0]->values->data;                      \
        for (int64_t i = 0; i < in->count; i++) {                                                  \
            S *row = &rows[in->groups[i]];                                                         \
            T value = values[MR_AGG_ROW(in, i)];                                                   \
            if (!row->n || BEATS(value, row->value)) {                                             \
                row->value = value;                                                                \
                row->n = 1;                                                                        \
            }                                                                                      \
            copy[i] = *row;                                                                        \
        }                                                                                          \
        return MR_OK;                                                                              \
    }
#define MERGE(name, S, BEATS)                                                                      \
    static enum mr_status name(struct mr_agg_state *state, const void *from, int64_t count,        \
                               const uint32_t *groups, struct mr_error *err)                       \
    {                                                                                              \
        (void)err;                                                                                 \
        S *rows = (S *)(void *)state->rows;                                                        \
        const char *at = from;                                                                     \
        for (int64_t i = 0; i < count; i++, at += sizeof(S)) {                                     \
            S *row = &rows[groups[i]], more;                                                       \
            memcpy(&more, at, sizeof more);                                                        \
            if (more.n && (!row->n || BEATS(more.value, row->value)))                              \
                *row = more;                                                                       \
        }                                                                                          \
        return MR_OK;                                                                              \
    }

MERGE(whole_min, struct whole, LESS)
MERGE(whole_max, struct whole, MORE)
MERGE(wide_min, struct wide, LESS)
MERGE(wide_max, struct wide, MORE)
MERGE(real_min, struct real, REAL_LESS)
MERGE(real_max, struct real, REAL_MORE)
UPDATE(min_i8, struct whole, int8_t, LESS)
UPDATE(max_i8, struct whole, int8_t, MORE)
UPDATE(min_i16, struct whole, int16_t, LESS)
UPDATE(max_i16, struct whole, int16_t, MORE)
UPDATE(min_i32, struct whole, int32_t, LESS)
UPDATE(max_i32, struct whole, int32_t, MORE)
UPDATE(min_i64, struct whole, int64_t, LESS)
UPDATE(max_i64, struct whole, int64_t, MORE)
UPDATE(min_i128, struct wide, mr_int128, LESS)
UPDATE(max_i128, struct wide, mr_int128, MORE)
UPDATE(min_f32, struct real, float, REAL_LESS)
UPDATE(max_f32, struct real, float, REAL_MORE)
UPDATE(min_f64, struct real, double, REAL_LESS)
UPDATE(max_f64, struct real, double, REAL_MORE)

#define KIND(S, fields_, update_, merge_)                                                          \
    {                                                                                              \
        .size = sizeof(struct S), .fields = fields_,                                               \
        .nfields = sizeof(fields_) / sizeof(fields_[0]), .update = update_, .run = update_##_run,  \
        .merge_rows = merge_                                                                       \
    }
static const struct mr_agg_kind kinds[2][MR_LAYOUT_STRUCT + 1] = {
    {[MR_LAYOUT_I8] = KIND(whole, whole_fields, min_i8, whole_min),
     [MR_LAYOUT_I16] = KIND(whole, whole_fields, min_i16, whole_min),
     [MR_LAYOUT_I32] = KIND(whole, whole_fields, min_i32, whole_min),
     [MR_LAYOUT_I64] = KIND(whole, whole_fields, min_i64, whole_min),
     [MR_LAYOUT_I128] = KIND(wide, wide_fields, min_i128, wide_min),
     [MR_LAYOUT_F32] = KIND(real, real_fields, min_f32, real_min),
     [MR_LAYOUT_F64] = KIND(real, real_fields, min_f64, real_min)},
    {[MR_LAYOUT_I8] = KIND(whole, whole_fields, max_i8, whole_max),
     [MR_LAYOUT_I16] = KIND(whole, whole_fields, max_i16, whole_max),
     [MR_LAYOUT_I32] = KIND(whole, whole_fields, max_i32, whole_max),
     [MR_LAYOUT_I64] = KIND(whole, whole_fields, max_i64, whole_max),
     [MR_LAYOUT_I128] = KIND(wide, wide_fields, max_i128, wide_max),
     [MR_LAYOUT_F32] = KIND(real, real_fields, max_f32, real_max),
     [MR_LAYOUT_F64] = KIND(real, real_fields, max_f64, real_max)},
};

const struct mr_agg_kind *mr_agg_extreme_kind(const struct mr_type *type, bool greatest)
{
    const struct mr_agg_kind *kind = &kinds[greatest][mr_type_layout(type)];
    return kind->size ? kind : NULL;
}

#define FILL(S, T)                                                                                 \
    do {                                                                                           \
        const S *rows = (const S *)(const void *)state->rows + from;                               \
        for (int64_t i = 0; i < count; i++) {                                                      \
            if (rows[i].n == 0)                                                                    \
                mr_agg_result_null(&result, i);                                                    \
            else                                                                                   \
                MR_AGG_SET(&result, T, i, (T)rows[i].value);                                       \
        }                                                                                          \
    } while (0)

enum mr_status mr_agg_extreme_finish(struct mr_agg_state *state, const struct mr_agg_call *call,
                                     int64_t from, int64_t count, struct mr_column **out,
                                     struct mr_error *err)
{
    struct mr_agg_result result;
    MR_TRY(mr_agg_result_init(&result, state, call->type, count, err));
    switch (mr_type_layout(call->type)) {
    case MR_LAYOUT_I8:
        FILL(struct whole, int8_t);
        break;
    case MR_LAYOUT_I16:
        FILL(struct whole, int16_t);
        break;
    case MR_LAYOUT_I32:
        FILL(struct whole, int32_t);
        break;
    case MR_LAYOUT_I64:
        FILL(struct whole, int64_t);
        break;
    case MR_LAYOUT_I128:
        FILL(struct wide, mr_int128);
        break;
    case MR_LAYOUT_F32:
        FILL(struct real, float);
        break;
    default:
        FILL(struct real, double);
        break;
    }
    return mr_agg_result_finish(&result, out, err);
}
