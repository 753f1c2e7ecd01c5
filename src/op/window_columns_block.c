/*
 * window_columns_block.c - groups, equals and frames of a block of sorted rows.
 *
 * All of them are ranges of row numbers, one of each a row, found in passes over the columns: first
 * where a value differs from the row before, then where those runs begin and end. Frames move
 * forwards only, so both of their ends are found by walking.
 */
#include "op/window_block.h"

#include <string.h>

#define MARK(T)                                                                                    \
    do {                                                                                           \
        const T *values = (const T *)(const void *)column->values->data;                           \
        for (int64_t i = 1; i < rows; i++)                                                         \
            flags[i] |= values[i] != values[i - 1];                                                \
    } while (0)

void mr_window_mark(const struct mr_column *column, int64_t rows, uint8_t *flags)
{
    enum mr_layout layout = mr_type_layout(column->type);
    if (column->encoding == MR_CONSTANT || layout == MR_LAYOUT_NONE)
        return;
    bool plain = column->encoding == MR_FLAT && column->nulls == 0;
    if (plain && layout == MR_LAYOUT_I32) {
        MARK(int32_t);
        return;
    }
    if (plain && layout == MR_LAYOUT_I64) {
        MARK(int64_t);
        return;
    }
    if (plain && layout == MR_LAYOUT_BYTES) {
        for (int64_t i = 1; i < rows; i++)
            if (!flags[i])
                flags[i] =
                    !mr_slice_equal(mr_column_slice(column, i - 1), mr_column_slice(column, i));
        return;
    }
    for (int64_t i = 1; i < rows; i++)
        if (!flags[i])
            flags[i] = !mr_column_equal_rows(column, i - 1, column, i);
}

/* Ranges between marks: start and end by row; their number. */
static int ranges(const uint8_t *flags, int64_t rows, int32_t *start, int32_t *end)
{
    int count = 0;
    for (int64_t i = 0; i < rows;) {
        int64_t to = i + 1;
        while (to < rows && !flags[to])
            to++;
        for (int64_t r = i; r < to; r++) {
            start[r] = (int32_t)i;
            end[r] = (int32_t)to;
        }
        i = to;
        count++;
    }
    return count;
}

static void frame_by_rows(struct mr_window_block *block)
{
    const struct mr_window_plan *plan = block->plan;
    for (int64_t i = 0; i < block->rows; i++) {
        int64_t start = block->group_start[i], end = block->group_end[i];
        int64_t from = plan->frame.from == MR_BOUND_FIRST     ? start
                       : plan->frame.from == MR_BOUND_CURRENT ? i
                                                              : i + plan->from_rows;
        int64_t to = plan->frame.to == MR_BOUND_LAST      ? end
                     : plan->frame.to == MR_BOUND_CURRENT ? i + 1
                                                          : i + plan->to_rows + 1;
        from = from < start ? start : from > end ? end : from;
        to = to < from ? from : to > end ? end : to;
        block->from[i] = (int32_t)from;
        block->to[i] = (int32_t)to;
    }
}

/* Order of the key of row `at` and the bound of row `row`, in the direction of the sort. */
static int compare_bound(const struct mr_window_block *block, const struct mr_column *key,
                         int64_t at, const struct mr_column *bound, int64_t row)
{
    const struct mr_sort_key *order = &block->plan->order[0];
    bool null_key = mr_column_is_null(key, at), null_bound = mr_column_is_null(bound, row);
    if (null_key || null_bound) {
        if (null_key && null_bound)
            return 0;
        return null_key == order->nulls_last ? 1 : -1;
    }
    int c = mr_column_compare_rows(key, at, bound, row);
    return order->descending ? -c : c;
}

static void frame_by_range(struct mr_window_block *block)
{
    const struct mr_window_plan *plan = block->plan;
    struct mr_column *const *columns = block->batch->columns;
    const struct mr_column *key = plan->range_key >= 0 ? columns[plan->range_key] : NULL;
    int64_t from = 0, to = 0;
    for (int64_t i = 0; i < block->rows; i++) {
        int64_t start = block->group_start[i], end = block->group_end[i];
        if (i == start)
            from = to = start;
        if (plan->frame.from == MR_BOUND_CURRENT)
            from = block->peer_start[i];
        else if (plan->range_from >= 0)
            while (from < end && compare_bound(block, key, from, columns[plan->range_from], i) < 0)
                from++;
        if (plan->frame.to == MR_BOUND_CURRENT)
            to = block->peer_end[i];
        else if (plan->frame.to == MR_BOUND_LAST)
            to = end;
        else
            while (to < end && compare_bound(block, key, to, columns[plan->range_to], i) <= 0)
                to++;
        block->from[i] = (int32_t)from;
        block->to[i] = (int32_t)(to < from ? from : to);
    }
}

enum mr_status mr_window_block_init(struct mr_window_block *block, struct mr_error *err)
{
    const struct mr_window_plan *plan = block->plan;
    int64_t n = block->rows = block->batch->rows;
    MR_TRY(mr_buffer_new(block->runtime->memory, (size_t)n * (8 * sizeof(int32_t) + 1),
                         &block->storage, err));
    int32_t *at = (int32_t *)(void *)block->storage->data;
    block->group_start = at;
    block->group_end = at + n;
    block->peer_start = at + 2 * n;
    block->peer_end = at + 3 * n;
    block->from = at + 4 * n;
    block->to = at + 5 * n;
    block->scratch = at + 6 * n;
    block->rows_of = at + 7 * n;
    uint8_t *flags = (uint8_t *)(at + 8 * n);
    memset(flags, 0, (size_t)n);
    for (int k = 0; k < plan->npartition; k++)
        mr_window_mark(block->batch->columns[plan->partition[k]], n, flags);
    block->ngroups = ranges(flags, n, block->group_start, block->group_end);
    for (int k = 0; k < plan->norder; k++)
        mr_window_mark(block->batch->columns[plan->order[k].column], n, flags);
    ranges(flags, n, block->peer_start, block->peer_end);
    if (plan->frame.rows)
        frame_by_rows(block);
    else
        frame_by_range(block);
    return MR_OK;
}

void mr_window_block_reset(struct mr_window_block *block)
{
    mr_buffer_unref(block->storage);
    block->storage = NULL;
}
