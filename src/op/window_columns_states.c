/*
 * window_columns_states.c - aggregates over frames by their states, for functions without a loop of their own.
 *
 * Three ways, by the frame. All rows of a group: one state a group, all groups at once. From the start
 * of the group on: one state a group, and a result whenever the frame's end moves. Any other frame:
 * a state a row, fed with all rows of its frame, some thousands at a time; this costs rows times the
 * width of the frame, where states that can only add leave no other way.
 */
#include "op/window_block.h"

#include <string.h>

#define FED_AT_ONCE 65536 /* rows of frames */

struct feeder {
    struct mr_window_block *block;
    const struct mr_aggregation *aggregation;
    struct mr_column **inputs;
    int ninputs;
    struct mr_agg_states *states;
    struct mr_column **pieces; /* results */
    int npieces;
    int capacity;
    struct mr_error *err;
};

static enum mr_status states_new(struct feeder *f)
{
    mr_agg_states_free(f->states);
    f->states = NULL;
    return mr_agg_states_new(f->aggregation, f->block->runtime->memory, &f->states, f->err);
}

static enum mr_status take_results(struct feeder *f, int64_t from, int64_t count)
{
    if (f->npieces == f->capacity) {
        int capacity = f->capacity * 2 + 64;
        struct mr_column **grown = mr_realloc(f->pieces, (size_t)capacity * sizeof(*grown));
        if (!grown)
            return mr_error_nomem(f->err);
        f->pieces = grown;
        f->capacity = capacity;
    }
    MR_TRY(mr_agg_states_finish(f->states, from, count, &f->pieces[f->npieces], f->err));
    f->npieces++;
    return MR_OK;
}

static enum mr_status feed(struct feeder *f, const int32_t *rows, int64_t count,
                           const uint32_t *groups)
{
    return count == 0 ? MR_OK
                      : mr_agg_states_update(f->states, f->inputs, rows, count, groups, f->err);
}

/* rows_of[i] = number of the row's group, which is its result's place. */
static enum mr_status whole_groups(struct feeder *f)
{
    struct mr_window_block *block = f->block;
    uint32_t *groups = (uint32_t *)(void *)block->scratch;
    int32_t group = -1;
    for (int64_t i = 0; i < block->rows; i++) {
        group += i == block->group_start[i];
        groups[i] = (uint32_t)group;
        block->rows_of[i] = group;
    }
    MR_TRY(states_new(f));
    MR_TRY(mr_agg_states_resize(f->states, block->ngroups, f->err));
    MR_TRY(feed(f, NULL, block->rows, groups));
    return take_results(f, 0, block->ngroups);
}

/* `numbers` holds 0, 1, ..: the rows that enter are a part of it. */
static enum mr_status run_through(struct feeder *f, const int32_t *numbers)
{
    struct mr_window_block *block = f->block;
    int64_t group = -1, to = 0;
    uint32_t *groups = (uint32_t *)(void *)block->scratch;
    for (int64_t i = 0; i < block->rows; i++) {
        bool start = i == block->group_start[i];
        if (start) {
            group++;
            to = i;
        }
        int64_t more = block->to[i] > to ? block->to[i] - to : 0;
        if (start || more > 0) {
            for (int64_t k = 0; k < more; k++)
                groups[k] = (uint32_t)group;
            MR_TRY(feed(f, numbers + to, more, groups));
            MR_TRY(take_results(f, group, 1));
            to += more;
        }
        block->rows_of[i] = f->npieces - 1;
    }
    return MR_OK;
}

static enum mr_status running_groups(struct feeder *f)
{
    struct mr_buffer *numbers;
    MR_TRY(mr_buffer_new(f->block->runtime->memory, (size_t)f->block->rows * sizeof(int32_t),
                         &numbers, f->err));
    int32_t *to = (int32_t *)(void *)numbers->data;
    for (int64_t i = 0; i < f->block->rows; i++)
        to[i] = (int32_t)i;
    enum mr_status status = states_new(f);
    if (status == MR_OK)
        status = mr_agg_states_resize(f->states, f->block->ngroups, f->err);
    if (status == MR_OK)
        status = run_through(f, to);
    mr_buffer_unref(numbers);
    return status;
}

/* Frames of rows [first, last) into states 0 .. last - first - 1. */
static enum mr_status feed_frames(struct feeder *f, int64_t first, int64_t last, int64_t total)
{
    struct mr_buffer *buffer;
    MR_TRY(mr_buffer_new(f->block->runtime->memory, (size_t)total * 8, &buffer, f->err));
    int32_t *rows = (int32_t *)(void *)buffer->data;
    uint32_t *groups = (uint32_t *)(void *)(rows + total);
    int64_t n = 0;
    for (int64_t i = first; i < last; i++) {
        for (int32_t r = f->block->from[i]; r < f->block->to[i]; r++) {
            rows[n] = r;
            groups[n++] = (uint32_t)(i - first);
        }
    }
    enum mr_status status = states_new(f);
    if (status == MR_OK)
        status = mr_agg_states_resize(f->states, last - first, f->err);
    if (status == MR_OK)
        status = feed(f, rows, n, groups);
    if (status == MR_OK)
        status = take_results(f, 0, last - first);
    mr_buffer_unref(buffer);
    return status;
}

static enum mr_status all_frames(struct feeder *f)
{
    struct mr_window_block *block = f->block;
    for (int64_t i = 0; i < block->rows;) {
        int64_t first = i, total = 0;
        while (i < block->rows && (i == first || total < FED_AT_ONCE)) {
            total += block->to[i] - block->from[i];
            block->rows_of[i] = (int32_t)i;
            i++;
        }
        MR_TRY(feed_frames(f, first, i, total));
    }
    return MR_OK;
}

static enum mr_status compute(struct feeder *f)
{
    const struct mr_window_frame *frame = &f->block->plan->frame;
    if (frame->from == MR_BOUND_FIRST && frame->to == MR_BOUND_LAST)
        return whole_groups(f);
    if (frame->from == MR_BOUND_FIRST)
        return running_groups(f);
    return all_frames(f);
}

enum mr_status mr_window_by_states(struct mr_window_block *block,
                                   const struct mr_window_function *function,
                                   struct mr_column **out, struct mr_error *err)
{
    const struct mr_projection *inputs = mr_aggregation_inputs(function->aggregation);
    struct feeder f = {.block = block, .aggregation = function->aggregation, .err = err};
    struct mr_column *all = NULL;
    f.ninputs = mr_projection_count(inputs);
    f.inputs = mr_calloc((size_t)f.ninputs + 1, sizeof(*f.inputs));
    enum mr_status status = f.inputs ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK) {
        status = mr_projection_eval(block->eval, inputs, block->batch, f.inputs, err);
        if (status != MR_OK)
            memset(f.inputs, 0, (size_t)f.ninputs * sizeof(*f.inputs));
    }
    if (status == MR_OK)
        status = compute(&f);
    if (status == MR_OK)
        status = mr_column_concat(block->runtime->memory, f.pieces, f.npieces, &all, err);
    if (status == MR_OK)
        status = mr_column_take(block->runtime->memory, all, block->rows_of, block->rows, out, err);
    mr_column_unref(all);
    for (int i = 0; i < f.npieces; i++)
        mr_column_unref(f.pieces[i]);
    for (int i = 0; f.inputs && i < f.ninputs; i++)
        mr_column_unref(f.inputs[i]);
    mr_agg_states_free(f.states);
    mr_free(f.pieces);
    mr_free(f.inputs);
    return status;
}
