/*
 * window_columns_compute.c - window functions over a block.
 *
 * Three kinds of loops. Numbers of rows (row_number, rank, ntile, ..) come from the bounds of groups and
 * equals. Functions whose result is a value of some row (lag, first_value, min, max) find the row's
 * number, and one take makes the column, whatever its type. Sums and counts add what enters the
 * frame and subtract what leaves it, which is exact for integers and decimals; for floating point a
 * queue of two stacks adds only (each value at most twice), so that a large value that has left
 * takes nothing with it. min and max of a frame that moves keep the rows that can still win
 * (a monotone queue). All are linear in the rows, whatever the width of the frame.
 *
 * A group that goes on from the block before starts from what the function remembers.
 */
#include "op/window_block.h"

#include <math.h>
#include <string.h>

/* ---- numbers of rows ----------------------------------------------------------------------- */

static enum mr_status fixed_new(struct mr_window_block *block, int width, struct mr_buffer **out,
                                struct mr_error *err)
{
    size_t size = (size_t)block->rows * (size_t)width;
    MR_TRY(mr_buffer_new(block->runtime->memory, size, out, err));
    mr_buffer_finish(*out, size);
    return MR_OK;
}

static enum mr_status too_many(struct mr_error *err)
{
    return mr_error_set(err, MR_LIMIT, MR_CLASS_DATA,
                        "a group of a window has more than 2147483647 rows");
}

/* Does row i belong to the group that began before the block? */
static bool is_old(const struct mr_window_block *block, int64_t i)
{
    return block->rows_before > 0 && block->group_start[i] == 0;
}

static int64_t number_of(const struct mr_window_block *block, enum mr_window_kind kind, int64_t i,
                         int64_t *dense)
{
    int64_t before = is_old(block, i) ? block->rows_before : 0;
    if (i == block->group_start[i])
        *dense = is_old(block, i) ? block->peers_before + 1 : 1;
    else if (i == block->peer_start[i])
        ++*dense;
    if (kind == MR_WINDOW_ROW_NUMBER)
        return before + i - block->group_start[i] + 1;
    if (kind == MR_WINDOW_RANK)
        return before + block->peer_start[i] - block->group_start[i] + 1;
    return *dense;
}

static int64_t tile_of(const struct mr_window_block *block, int64_t tiles, int64_t i)
{
    int64_t rows = block->group_end[i] - block->group_start[i];
    int64_t at = i - block->group_start[i], small = rows / tiles, large = rows % tiles;
    if (at < large * (small + 1))
        return at / (small + 1) + 1;
    return large + (at - large * (small + 1)) / small + 1;
}

static enum mr_status compute_number(struct mr_window_block *block,
                                     const struct mr_window_function *f, struct mr_column **out,
                                     struct mr_error *err)
{
    struct mr_buffer *values;
    int64_t dense = 0;
    if (block->rows_before + block->rows > INT32_MAX)
        return too_many(err);
    MR_TRY(fixed_new(block, 4, &values, err));
    int32_t *to = (int32_t *)(void *)values->data;
    for (int64_t i = 0; i < block->rows; i++)
        to[i] = (int32_t)(f->kind == MR_WINDOW_NTILE ? tile_of(block, f->n, i)
                                                     : number_of(block, f->kind, i, &dense));
    return mr_column_new(f->type, block->rows, 0, NULL, values, NULL, out, err);
}

static enum mr_status compute_part(struct mr_window_block *block,
                                   const struct mr_window_function *f, struct mr_column **out,
                                   struct mr_error *err)
{
    struct mr_buffer *values;
    MR_TRY(fixed_new(block, 8, &values, err));
    double *to = (double *)(void *)values->data;
    for (int64_t i = 0; i < block->rows; i++) {
        int64_t start = block->group_start[i], rows = block->group_end[i] - start;
        if (f->kind == MR_WINDOW_CUME_DIST)
            to[i] = (double)(block->peer_end[i] - start) / (double)rows;
        else
            to[i] = rows > 1 ? (double)(block->peer_start[i] - start) / (double)(rows - 1) : 0;
    }
    return mr_column_new(f->type, block->rows, 0, NULL, values, NULL, out, err);
}

/* ---- values of other rows ------------------------------------------------------------------- */

/*
 * The argument with what is kept of earlier rows in front of it and the fallback behind: row i of the
 * block is row *first + i, its fallback row *first + rows + i.
 */
static enum mr_status argument(struct mr_window_block *block, int f, struct mr_column **out,
                               int32_t *first, struct mr_error *err)
{
    const struct mr_window_function *function = &block->plan->functions[f];
    struct mr_column *kept =
        block->memories && block->rows_before > 0 ? block->memories[f].kept : NULL;
    struct mr_column *parts[3];
    int n = 0;
    *first = 0;
    if (kept) {
        parts[n++] = kept;
        *first = (int32_t)kept->length;
    }
    parts[n++] = block->batch->columns[function->arg];
    if (function->fallback >= 0)
        parts[n++] = block->batch->columns[function->fallback];
    if (n == 1) {
        *out = mr_column_ref(parts[0]);
        return MR_OK;
    }
    return mr_column_concat(block->runtime->memory, parts, n, out, err);
}

static bool is_null(const struct mr_column *column, int64_t row)
{
    return column->nulls > 0 && mr_column_is_null(column, row);
}

/* The row n before i (behind it when n is negative) in [start, end), or -1. */
static int64_t shifted(const struct mr_column *column, int64_t i, int64_t n, int64_t start,
                       int64_t end, bool ignore_nulls)
{
    if (!ignore_nulls || n == 0 || column->nulls == 0) {
        int64_t at = i - n;
        return at >= start && at < end ? at : -1;
    }
    int step = n > 0 ? -1 : 1;
    int64_t left = n > 0 ? n : -n;
    for (int64_t at = i + step; at >= start && at < end; at += step)
        if (!is_null(column, at) && --left == 0)
            return at;
    return -1;
}

static void find_shifted(const struct mr_window_block *block, const struct mr_window_function *f,
                         const struct mr_column *column, int32_t first)
{
    for (int64_t i = 0; i < block->rows; i++) {
        int64_t start = is_old(block, i) ? 0 : block->group_start[i] + first;
        int64_t at =
            shifted(column, first + i, f->n, start, block->group_end[i] + first, f->ignore_nulls);
        if (at < 0 && f->fallback >= 0)
            at = first + block->rows + i;
        block->rows_of[i] = (int32_t)at;
    }
}

/* First, last or n-th row of the frame that counts. */
static int64_t frame_row(const struct mr_window_block *block, const struct mr_window_function *f,
                         const struct mr_column *column, int32_t first, int64_t i)
{
    int64_t from = block->from[i] + first, to = block->to[i] + first;
    int64_t left = f->kind == MR_WINDOW_NTH ? f->n : 1;
    if (f->kind == MR_WINDOW_FIRST && is_old(block, i))
        from = 0;
    if (!f->ignore_nulls || column->nulls == 0) {
        int64_t at = f->kind == MR_WINDOW_LAST ? to - 1 : from + left - 1;
        return at >= from && at < to ? at : -1;
    }
    if (f->kind == MR_WINDOW_LAST) {
        for (int64_t at = to - 1; at >= from; at--)
            if (!is_null(column, at))
                return at;
        return -1;
    }
    for (int64_t at = from; at < to; at++)
        if (!is_null(column, at) && --left == 0)
            return at;
    return -1;
}

/* Frames that begin with the group: the search goes on where it ended for the row before. */
static void find_in_frames(const struct mr_window_block *block, const struct mr_window_function *f,
                           const struct mr_column *column, int32_t first)
{
    for (int64_t i = 0; i < block->rows; i++) {
        bool same = i > block->group_start[i] && block->from[i] == block->from[i - 1] &&
                    (block->to[i] == block->to[i - 1] ||
                     (f->kind != MR_WINDOW_LAST && block->rows_of[i - 1] >= 0));
        block->rows_of[i] =
            same ? block->rows_of[i - 1] : (int32_t)frame_row(block, f, column, first, i);
    }
}

/* What rows are compared by: values of the two common layouts as they lie there, others by their column. */
struct extremes {
    const struct mr_column *column;
    const double *floats;
    const int64_t *wholes;
    bool greatest;
};

static struct extremes extremes_of(const struct mr_column *column, bool greatest)
{
    struct extremes e = {.column = column, .greatest = greatest};
    enum mr_layout layout = mr_type_layout(column->type);
    if (column->encoding == MR_FLAT && layout == MR_LAYOUT_F64)
        e.floats = (const double *)(const void *)column->values->data;
    if (column->encoding == MR_FLAT && layout == MR_LAYOUT_I64)
        e.wholes = (const int64_t *)(const void *)column->values->data;
    return e;
}

/* Neither of both is NULL; NaN is the greatest. */
static inline bool better(const struct extremes *e, int64_t a, int64_t b)
{
    if (!e->greatest) { /* less is: the other is greater */
        int64_t swap = a;
        a = b;
        b = swap;
    }
    if (e->floats) {
        double x = e->floats[a], y = e->floats[b];
        return x > y || (isnan(x) && !isnan(y));
    }
    if (e->wholes)
        return e->wholes[a] > e->wholes[b];
    return mr_column_compare_rows(e->column, a, e->column, b) > 0;
}

/* The least (greatest) row of each frame: a queue of rows, each better than those behind it. */
static void find_extremes(const struct mr_window_block *block, const struct mr_window_function *f,
                          const struct mr_column *column, int32_t first)
{
    const struct extremes e = extremes_of(column, f->way == MR_WAY_GREATEST);
    int32_t *queue = block->scratch;
    int64_t head = 0, tail = 0, next = 0;
    int64_t old = -1; /* the row kept of a group that goes on */
    for (int64_t i = 0; i < block->rows; i++) {
        int64_t start = block->group_start[i];
        if (i == start) {
            head = tail = 0;
            next = block->from[i];
            old = is_old(block, i) && first > 0 && !is_null(column, 0) ? 0 : -1;
        }
        if (next < block->from[i])
            next = block->from[i];
        for (; next < block->to[i]; next++) {
            if (is_null(column, first + next))
                continue;
            /* Equals stay behind: the first of them wins. */
            while (tail > head && better(&e, first + next, first + queue[tail - 1]))
                tail--;
            queue[tail++] = (int32_t)next;
        }
        while (head < tail && queue[head] < block->from[i])
            head++;
        int64_t best = head < tail ? first + queue[head] : -1;
        if (old >= 0 && (best < 0 || !better(&e, best, old)))
            best = old;
        block->rows_of[i] = (int32_t)best;
    }
}

/* What the group that goes on will need of this block. */
static enum mr_status keep_rows(struct mr_window_block *block, int f,
                                const struct mr_column *column, int32_t first, struct mr_error *err)
{
    const struct mr_window_function *function = &block->plan->functions[f];
    struct mr_column *kept = NULL;
    if (!block->memories)
        return MR_OK;
    if (block->goes_on) {
        int64_t last = block->rows - 1, end = first + block->rows;
        int64_t start = is_old(block, last) ? 0 : block->group_start[last] + first;
        if (function->kind == MR_WINDOW_LAG) {
            int64_t from = end - function->n > start ? end - function->n : start;
            MR_TRY(mr_column_range(block->runtime->memory, column, from, end - from, &kept, err));
        } else {
            int32_t row = block->rows_of[last];
            MR_TRY(mr_column_take(block->runtime->memory, column, &row, 1, &kept, err));
        }
    }
    mr_column_unref(block->memories[f].kept);
    block->memories[f].kept = kept;
    return MR_OK;
}

static enum mr_status compute_row(struct mr_window_block *block, int f, struct mr_column **out,
                                  struct mr_error *err)
{
    const struct mr_window_function *function = &block->plan->functions[f];
    struct mr_column *column;
    int32_t first;
    MR_TRY(argument(block, f, &column, &first, err));
    if (function->kind == MR_WINDOW_LAG)
        find_shifted(block, function, column, first);
    else if (function->kind == MR_WINDOW_AGGREGATE)
        find_extremes(block, function, column, first);
    else
        find_in_frames(block, function, column, first);
    enum mr_status status =
        mr_column_take(block->runtime->memory, column, block->rows_of, block->rows, out, err);
    if (status == MR_OK) {
        status = keep_rows(block, f, column, first, err);
        if (status != MR_OK)
            mr_column_unref(*out);
    }
    mr_column_unref(column);
    return status;
}

/* ---- sums ----------------------------------------------------------------------------------- */

/* Values of one argument: exact, or floating. */
struct values {
    const struct mr_column *column; /* FLAT; NULL = count(*) */
    enum mr_layout layout;
};

static inline bool counts(const struct values *v, int64_t i)
{
    return !v->column || !is_null(v->column, i);
}

static inline int64_t whole_at(const struct values *v, int64_t i)
{
    const void *data = v->column->values->data;
    switch (v->layout) {
    case MR_LAYOUT_I8:
        return ((const int8_t *)data)[i];
    case MR_LAYOUT_I16:
        return ((const int16_t *)data)[i];
    case MR_LAYOUT_I32:
        return ((const int32_t *)data)[i];
    default:
        return ((const int64_t *)data)[i];
    }
}

static inline double float_at(const struct values *v, int64_t i)
{
    const void *data = v->column->values->data;
    return v->layout == MR_LAYOUT_F32 ? (double)((const float *)data)[i]
                                      : ((const double *)data)[i];
}

/* A result in the making. */
struct result {
    const struct mr_window_function *f;
    struct mr_buffer *values;
    struct mr_buffer *validity;
    int64_t nulls;
    int width;
    int arg_scale;
    bool ansi;
    struct mr_error *err;
};

static void set_null(struct result *r, int64_t i)
{
    memset(r->values->data + i * r->width, 0, (size_t)r->width);
    mr_bitmap_clear(r->validity->data, i);
    r->nulls++;
}

static enum mr_status overflow(struct result *r, int64_t i)
{
    if (!r->ansi) {
        set_null(r, i);
        return MR_OK;
    }
    mr_error_data(r->err, MR_CONFIG, "%.200s: the sum is too large", r->f->text);
    mr_error_hint(r->err, "cast the argument to a wider type");
    return MR_CONFIG;
}

static enum mr_status put_decimal(struct result *r, int64_t i, mr_int128 value)
{
    if (!mr_decimal_fits(value, r->f->type->precision))
        return overflow(r, i);
    if (r->width == 16)
        memcpy(r->values->data + i * 16, &value, 16);
    else
        ((int64_t *)(void *)r->values->data)[i] = (int64_t)value;
    return MR_OK;
}

/* The result of row i of the exact sum and count of its frame. */
static enum mr_status put_exact(struct result *r, int64_t i, mr_int128 sum, int64_t count)
{
    int64_t *whole = (int64_t *)(void *)r->values->data;
    if (r->f->way == MR_WAY_COUNT) {
        whole[i] = count;
        return MR_OK;
    }
    if (count == 0) {
        set_null(r, i);
        return MR_OK;
    }
    if (r->f->way == MR_WAY_AVG_INT) {
        ((double *)(void *)r->values->data)[i] = (double)sum / (double)count;
        return MR_OK;
    }
    if (r->f->way == MR_WAY_AVG_DECIMAL) {
        mr_int128 mean;
        if (!mr_decimal_divide(sum, r->arg_scale, count, 0, r->f->type->scale, &mean))
            return overflow(r, i);
        return put_decimal(r, i, mean);
    }
    if (r->f->type->id == MR_TYPE_DECIMAL)
        return put_decimal(r, i, sum);
    if (sum != (int64_t)sum && r->ansi)
        return overflow(r, i);
    whole[i] = (int64_t)sum; /* without ANSI it wraps */
    return MR_OK;
}

static enum mr_status sum_exact(struct mr_window_block *block, int f, const struct values *v,
                                struct result *r)
{
    mr_int128 sum = 0;
    int64_t count = 0, from = 0, to = 0;
    bool adds = r->f->way != MR_WAY_COUNT;
    struct mr_window_memory *memory = block->memories ? &block->memories[f] : NULL;
    for (int64_t i = 0; i < block->rows; i++) {
        if (i == block->group_start[i]) {
            sum = is_old(block, i) ? memory->sum : 0;
            count = is_old(block, i) ? memory->count : 0;
            from = to = block->from[i];
        }
        for (; to < block->to[i]; to++) {
            if (counts(v, to)) {
                count++;
                sum += adds ? whole_at(v, to) : 0;
            }
        }
        for (; from < block->from[i]; from++) {
            if (counts(v, from)) {
                count--;
                sum -= adds ? whole_at(v, from) : 0;
            }
        }
        MR_TRY(put_exact(r, i, sum, count));
    }
    if (memory) {
        memory->sum = sum;
        memory->count = count;
    }
    return MR_OK;
}

/* A queue of two stacks: `tails[i]` is the sum of rows i .. middle - 1, `sum` that of the rest. */
struct float_queue {
    double *tails;
    int64_t from, middle, to;
    double sum;
    int64_t count;
};

static void queue_move(struct float_queue *q, const struct values *v, int64_t from, int64_t to)
{
    for (; q->to < to; q->to++) {
        if (counts(v, q->to)) {
            q->sum += float_at(v, q->to);
            q->count++;
        }
    }
    for (; q->from < from && q->from < q->to; q->from++)
        q->count -= counts(v, q->from);
    if (q->from < from)
        q->from = q->to = from;
    if (q->from <= q->middle)
        return;
    /* Rows behind the front have left: what remains becomes the front. */
    double sum = 0;
    for (int64_t i = q->to - 1; i >= q->from; i--) {
        sum += counts(v, i) ? float_at(v, i) : 0;
        q->tails[i] = sum;
    }
    q->middle = q->to;
    q->sum = 0;
}

static double queue_sum(const struct float_queue *q)
{
    return q->from < q->middle ? q->tails[q->from] + q->sum : q->sum;
}

static void put_float(struct result *r, int64_t i, double sum, int64_t count)
{
    if (count == 0)
        set_null(r, i);
    else
        ((double *)(void *)r->values->data)[i] =
            r->f->way == MR_WAY_AVG_FLOAT ? sum / (double)count : sum;
}

/* Frames that begin with their group: one addition a row, in the order of the rows. */
static void sum_running(struct mr_window_block *block, int f, const struct values *v,
                        struct result *r)
{
    double sum = 0;
    int64_t count = 0, to = 0;
    struct mr_window_memory *memory = block->memories ? &block->memories[f] : NULL;
    for (int64_t i = 0; i < block->rows; i++) {
        if (i == block->group_start[i]) {
            sum = is_old(block, i) ? memory->float_sum : 0;
            count = is_old(block, i) ? memory->count : 0;
            to = i;
        }
        for (; to < block->to[i]; to++) {
            if (counts(v, to)) {
                sum += float_at(v, to);
                count++;
            }
        }
        put_float(r, i, sum, count);
    }
    if (memory) {
        memory->float_sum = sum;
        memory->count = count;
    }
}

static enum mr_status sum_floats(struct mr_window_block *block, int f, const struct values *v,
                                 struct result *r)
{
    if (block->plan->frame.from == MR_BOUND_FIRST) {
        sum_running(block, f, v, r);
        return MR_OK;
    }
    struct mr_buffer *tails;
    struct float_queue q = {0};
    MR_TRY(mr_buffer_new(block->runtime->memory, (size_t)block->rows * 8, &tails, r->err));
    q.tails = (double *)(void *)tails->data;
    for (int64_t i = 0; i < block->rows; i++) {
        if (i == block->group_start[i]) {
            q.from = q.middle = q.to = block->from[i];
            q.sum = 0;
            q.count = 0;
        }
        queue_move(&q, v, block->from[i], block->to[i]);
        put_float(r, i, queue_sum(&q), q.count);
    }
    mr_buffer_unref(tails);
    return MR_OK;
}

static enum mr_status result_new(struct mr_window_block *block, const struct mr_window_function *f,
                                 struct result *r, struct mr_error *err)
{
    *r = (struct result){.f = f, .ansi = block->plan->appended.session.ansi, .err = err};
    r->width = mr_layout_width(mr_type_layout(f->type));
    MR_TRY(fixed_new(block, r->width, &r->values, err));
    size_t size = mr_bitmap_bytes(block->rows);
    enum mr_status status = mr_buffer_new(block->runtime->memory, size, &r->validity, err);
    if (status != MR_OK) {
        mr_buffer_unref(r->values);
        return status;
    }
    memset(r->validity->data, 0, size);
    mr_bitmap_fill(r->validity->data, 0, block->rows, true);
    mr_buffer_finish(r->validity, size);
    return MR_OK;
}

static enum mr_status compute_sum(struct mr_window_block *block, int f, struct mr_column **out,
                                  struct mr_error *err)
{
    const struct mr_window_function *function = &block->plan->functions[f];
    struct mr_column *flat = NULL;
    struct values v = {0};
    struct result r;
    if (function->arg >= 0) {
        struct mr_column *column = block->batch->columns[function->arg];
        if (function->way == MR_WAY_COUNT)
            flat = mr_column_ref(column);
        else
            MR_TRY(mr_column_flatten(block->runtime->memory, column, &flat, err));
        v = (struct values){flat, mr_type_layout(flat->type)};
    }
    enum mr_status status = result_new(block, function, &r, err);
    if (status == MR_OK) {
        bool floats = function->way == MR_WAY_SUM_FLOAT || function->way == MR_WAY_AVG_FLOAT;
        r.arg_scale = flat ? flat->type->scale : 0;
        status = floats ? sum_floats(block, f, &v, &r) : sum_exact(block, f, &v, &r);
        if (status == MR_OK && r.nulls == 0) {
            mr_buffer_unref(r.validity);
            r.validity = NULL;
        }
        if (status == MR_OK) {
            status = mr_column_new(function->type, block->rows, r.nulls, r.validity, r.values, NULL,
                                   out, err);
        } else {
            mr_buffer_unref(r.validity);
            mr_buffer_unref(r.values);
        }
    }
    mr_column_unref(flat);
    return status;
}

enum mr_status mr_window_compute(struct mr_window_block *block, int f, struct mr_column **out,
                                 struct mr_error *err)
{
    const struct mr_window_function *function = &block->plan->functions[f];
    switch (function->kind) {
    case MR_WINDOW_ROW_NUMBER:
    case MR_WINDOW_RANK:
    case MR_WINDOW_DENSE_RANK:
    case MR_WINDOW_NTILE:
        return compute_number(block, function, out, err);
    case MR_WINDOW_PERCENT_RANK:
    case MR_WINDOW_CUME_DIST:
        return compute_part(block, function, out, err);
    case MR_WINDOW_AGGREGATE:
        if (function->way == MR_WAY_STATES)
            return mr_window_by_states(block, function, out, err);
        if (function->way == MR_WAY_LEAST || function->way == MR_WAY_GREATEST)
            return compute_row(block, f, out, err);
        return compute_sum(block, f, out, err);
    default:
        return compute_row(block, f, out, err);
    }
}
