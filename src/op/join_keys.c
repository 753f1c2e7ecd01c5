/*
 * join_keys.c - keys and hashes of a batch, the same for both sides of a join.
 *
 * Conditions on one side alone come first: a row that fails one can have no match, which is the same
 * as having a NULL key, and its keys are not evaluated (they may fail where the condition does not
 * hold).
 */
#include "op/join_state.h"

#include "col/kernel.h"

#include <string.h>

/* Where all conditions hold; *out NULL = everywhere. */
static enum mr_status filter(struct mr_join_task *task, int port, const struct mr_batch *batch,
                             struct mr_selection **out, struct mr_error *err)
{
    const struct mr_join_plan *plan = task->plan;
    int n = port == 0 ? plan->nprobe_only : plan->nbuild_only;
    struct mr_expr **conditions = port == 0 ? plan->probe_only : plan->build_only;
    struct mr_batch view = mr_batch_view(batch);
    *out = NULL;
    for (int i = 0; i < n; i++) {
        struct mr_selection *passed;
        enum mr_status status = mr_expr_filter(task->eval, conditions[i], &view, &passed, err);
        if (status != MR_OK) {
            mr_selection_unref(*out);
            *out = NULL;
            return status;
        }
        if (!passed)
            continue;
        mr_selection_unref(*out);
        *out = passed;
        view.selection = passed;
    }
    return MR_OK;
}

static enum mr_status evaluate_keys(struct mr_join_task *task, int port,
                                    const struct mr_batch *batch, struct mr_selection *passed,
                                    struct mr_column **keys, struct mr_error *err)
{
    const struct mr_join_plan *plan = task->plan;
    struct mr_batch view = mr_batch_view(batch);
    if (passed)
        view.selection = passed;
    for (int k = 0; k < plan->nkeys; k++) {
        const struct mr_expr *expr = port == 0 ? plan->keys[k].probe : plan->keys[k].build;
        int column = mr_expr_as_column(expr);
        if (column >= 0)
            keys[k] = mr_column_ref(batch->columns[column]);
        else
            MR_TRY(mr_expr_eval(task->eval, expr, &view, &keys[k], err));
    }
    return MR_OK;
}

static enum mr_status need_valid(struct mr_join_hashed *hashed, struct mr_error *err)
{
    if (hashed->valid)
        return MR_OK;
    hashed->valid = mr_alloc((size_t)hashed->count + 1);
    if (!hashed->valid)
        return mr_error_nomem(err);
    memset(hashed->valid, 1, (size_t)hashed->count);
    return MR_OK;
}

/* Both lists ascend, and `passed` is part of the rows. */
static enum mr_status void_failed(struct mr_join_hashed *hashed, const struct mr_selection *passed,
                                  struct mr_error *err)
{
    const int32_t *rows = mr_selection_rows(passed);
    MR_TRY(need_valid(hashed, err));
    int64_t at = 0;
    for (int64_t i = 0; i < hashed->count; i++) {
        int32_t row = hashed->rows ? hashed->rows[i] : (int32_t)i;
        bool hit = at < passed->count && rows[at] == row;
        hashed->valid[i] = hit;
        at += hit;
    }
    return MR_OK;
}

static enum mr_status void_nulls(struct mr_join_hashed *hashed, const struct mr_column *key,
                                 struct mr_error *err)
{
    MR_TRY(need_valid(hashed, err));
    for (int64_t i = 0; i < hashed->count; i++) {
        int64_t row = hashed->rows ? hashed->rows[i] : i;
        hashed->valid[i] &= !mr_column_is_null(key, row);
    }
    return MR_OK;
}

static enum mr_status hash(struct mr_join_task *task, int port, const struct mr_batch *batch,
                           struct mr_selection *passed, struct mr_join_hashed *out,
                           struct mr_error *err)
{
    const struct mr_join_plan *plan = task->plan;
    out->keys = mr_calloc((size_t)plan->nkeys + 1, sizeof(*out->keys));
    out->hashes = mr_calloc((size_t)out->count + 1, sizeof *out->hashes);
    if (!out->keys || !out->hashes)
        return mr_error_nomem(err);
    MR_TRY(evaluate_keys(task, port, batch, passed, out->keys, err));
    if (passed)
        MR_TRY(void_failed(out, passed, err));
    for (int k = 0; k < plan->nkeys; k++) {
        if (!plan->keys[k].null_safe && out->keys[k]->nulls > 0)
            MR_TRY(void_nulls(out, out->keys[k], err));
        mr_column_hash(out->keys[k], out->rows, out->count, out->hashes);
    }
    return MR_OK;
}

enum mr_status mr_join_hash(struct mr_join_task *task, int port, const struct mr_batch *batch,
                            struct mr_join_hashed *out, struct mr_error *err)
{
    struct mr_selection *passed;
    *out = (struct mr_join_hashed){.rows = mr_selection_rows(batch->selection),
                                   .count = mr_batch_active(batch)};
    MR_TRY(filter(task, port, batch, &passed, err));
    enum mr_status status = hash(task, port, batch, passed, out, err);
    mr_selection_unref(passed);
    if (status != MR_OK)
        mr_join_hashed_reset(task->plan, out);
    return status;
}

void mr_join_hashed_reset(const struct mr_join_plan *plan, struct mr_join_hashed *hashed)
{
    for (int k = 0; hashed->keys && k < plan->nkeys; k++)
        mr_column_unref(hashed->keys[k]);
    mr_free(hashed->keys);
    mr_free(hashed->hashes);
    mr_free(hashed->valid);
    *hashed = (struct mr_join_hashed){0};
}

enum mr_status mr_join_hash_column(struct mr_memory *memory, const struct mr_join_hashed *hashed,
                                   int64_t rows, struct mr_column **out, struct mr_error *err)
{
    struct mr_buffer *values, *validity = NULL;
    size_t size = (size_t)rows * sizeof(uint64_t);
    MR_TRY(mr_buffer_new(memory, size, &values, err));
    uint64_t *to = (uint64_t *)(void *)values->data;
    if (hashed->rows)
        memset(to, 0, size);
    for (int64_t i = 0; i < hashed->count; i++)
        to[hashed->rows ? hashed->rows[i] : i] = hashed->hashes[i];
    mr_buffer_finish(values, size);
    int64_t nulls = 0;
    if (hashed->valid) {
        enum mr_status status = mr_buffer_new(memory, mr_bitmap_bytes(rows), &validity, err);
        if (status != MR_OK) {
            mr_buffer_unref(values);
            return status;
        }
        memset(validity->data, 0, mr_bitmap_bytes(rows));
        for (int64_t i = 0; i < hashed->count; i++)
            if (hashed->valid[i])
                mr_bitmap_set(validity->data, hashed->rows ? hashed->rows[i] : i);
        mr_buffer_finish(validity, mr_bitmap_bytes(rows));
        nulls = rows - mr_bitmap_count(validity->data, rows);
    }
    return mr_column_new(mr_type_of(MR_TYPE_INT64), rows, nulls, validity, values, NULL, out, err);
}
