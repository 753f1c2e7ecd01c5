/*
 * aggregate_lists.c - entries by group: sorted, as list columns, and list columns taken apart again.
 *
 * Kinds that keep every value (aggregate_bag.c, aggregate_distinct.c) append entries in the order in which they come
 * and sort them by group only when something is wanted: a counting sort, one pass over the group numbers, which keeps
 * the order of a group's entries.
 */
#include "sql/aggregate_call.h"

enum mr_status mr_agg_sort(struct mr_agg_state *state, const uint32_t *groups, int64_t nentries,
                           struct mr_agg_sorted *out, struct mr_error *err)
{
    *out = (struct mr_agg_sorted){.ngroups = state->ngroups, .nentries = nentries};
    if (nentries > INT32_MAX)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_DATA,
                            "an aggregate keeps more than 2147483647 values");
    int64_t bytes = (out->ngroups + 1) * (int64_t)sizeof *out->offsets +
                    (nentries + 1) * (int64_t)sizeof *out->order;
    MR_TRY(mr_agg_charge(state, bytes, err));
    out->offsets = mr_calloc((size_t)out->ngroups + 1, sizeof *out->offsets);
    out->order = mr_alloc((size_t)(nentries + 1) * sizeof *out->order);
    if (!out->offsets || !out->order) {
        mr_agg_sorted_reset(state, out);
        return mr_error_nomem(err);
    }
    for (int64_t e = 0; e < nentries; e++)
        out->offsets[groups[e]]++;
    int64_t at = 0;
    for (int64_t g = 0; g <= out->ngroups; g++) {
        int64_t n = out->offsets[g];
        out->offsets[g] = at;
        at += n;
    }
    for (int64_t e = 0; e < nentries; e++)
        out->order[out->offsets[groups[e]]++] = (int32_t)e;
    /* Each offset now is its group's end: shift them back. */
    for (int64_t g = out->ngroups; g > 0; g--)
        out->offsets[g] = out->offsets[g - 1];
    out->offsets[0] = 0;
    return MR_OK;
}

void mr_agg_sorted_reset(struct mr_agg_state *state, struct mr_agg_sorted *sorted)
{
    if (sorted->ngroups || sorted->nentries || sorted->offsets)
        mr_agg_credit(state, (sorted->ngroups + 1) * (int64_t)sizeof *sorted->offsets +
                                 (sorted->nentries + 1) * (int64_t)sizeof *sorted->order);
    mr_free(sorted->offsets);
    mr_free(sorted->order);
    *sorted = (struct mr_agg_sorted){0};
}

enum mr_status mr_agg_lists(struct mr_agg_state *state, const struct mr_agg_sorted *sorted,
                            const struct mr_column *values, const struct mr_type *type,
                            int64_t from, int64_t count, struct mr_column **out,
                            struct mr_error *err)
{
    int64_t first = sorted->offsets[from], total = sorted->offsets[from + count] - first;
    struct mr_column *elements = NULL, *child;
    struct mr_buffer *offsets = NULL;
    MR_TRY(mr_column_take(state->memory, values, sorted->order + first, total, &elements, err));
    enum mr_status status = mr_column_flatten(state->memory, elements, &child, err);
    mr_column_unref(elements);
    MR_TRY(status);
    size_t size = (size_t)(count + 1) * sizeof(int32_t);
    status = mr_buffer_new(state->memory, size, &offsets, err);
    if (status != MR_OK) {
        mr_column_unref(child);
        return status;
    }
    int32_t *to = (int32_t *)(void *)offsets->data;
    for (int64_t i = 0; i <= count; i++)
        to[i] = (int32_t)(sorted->offsets[from + i] - first);
    mr_buffer_finish(offsets, size);
    return mr_column_new_nested(type, count, 0, NULL, offsets, &child, 1, out, err);
}

enum mr_status mr_agg_list_groups(const struct mr_column *lists, const uint32_t *groups,
                                  uint32_t **out, int64_t *count, struct mr_error *err)
{
    const int32_t *offsets = mr_column_offsets(lists);
    *count = offsets[lists->length] - offsets[0];
    *out = mr_alloc((size_t)*count * sizeof **out + 1);
    if (!*out)
        return mr_error_nomem(err);
    for (int64_t i = 0; i < lists->length; i++)
        for (int32_t e = offsets[i]; e < offsets[i + 1]; e++)
            (*out)[e - offsets[0]] = groups[i];
    return MR_OK;
}
