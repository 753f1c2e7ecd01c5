/*
 * aggregate_build.c - keys and states of groups: filled, kept in a spill, finished.
 *
 * The table numbers the groups, the states are arrays by that number. What leaves a task are batches of keys and
 * exported states, divided by the highest bits of the keys' hashes (mr_column_hash; the table has a hash of its own).
 */
#include "op/aggregate.h"

#define KEEP_ROWS 8192 /* groups exported at once */

enum mr_status mr_agg_build_init(struct mr_agg_build *build, const struct mr_agg_plan *plan,
                                 struct mr_memory *memory, struct mr_error *err)
{
    *build = (struct mr_agg_build){.plan = plan, .memory = memory};
    MR_TRY(mr_agg_states_new(plan->aggregation, memory, &build->states, err));
    if (plan->nkeys == 0)
        return MR_OK;
    enum mr_status status =
        mr_group_table_new(memory, plan->key_types, plan->nkeys, &build->table, err);
    if (status != MR_OK)
        mr_agg_build_reset(build);
    return status;
}

void mr_agg_build_reset(struct mr_agg_build *build)
{
    mr_group_table_free(build->table);
    mr_agg_states_free(build->states);
    mr_free(build->groups);
    *build = (struct mr_agg_build){0};
}

enum mr_status mr_agg_build_clear(struct mr_agg_build *build, struct mr_error *err)
{
    if (build->table)
        mr_group_table_clear(build->table);
    return mr_agg_states_clear(build->states, err);
}

int64_t mr_agg_build_count(const struct mr_agg_build *build)
{
    return build->table ? mr_group_table_count(build->table) : 1;
}

int64_t mr_agg_build_bytes(const struct mr_agg_build *build)
{
    int64_t bytes = mr_agg_states_bytes(build->states);
    return build->table ? bytes + mr_group_table_bytes(build->table) : bytes;
}

enum mr_status mr_agg_build_groups(struct mr_agg_build *build, struct mr_column *const *keys,
                                   const int32_t *rows, int64_t count, const uint64_t *hashes,
                                   struct mr_error *err)
{
    if (count > build->capacity) {
        uint32_t *grown = mr_realloc(build->groups, (size_t)count * sizeof *grown);
        if (!grown)
            return mr_error_nomem(err);
        /* Without keys all rows are of group 0, for ever. */
        memset(grown + build->capacity, 0, (size_t)(count - build->capacity) * sizeof *grown);
        build->groups = grown;
        build->capacity = count;
    }
    if (build->table)
        MR_TRY(mr_group_table_put(build->table, keys, rows, count, hashes, build->groups, err));
    return mr_agg_states_resize(build->states, mr_agg_build_count(build), err);
}

static enum mr_status keep_range(struct mr_agg_build *build, struct mr_spill *spill, int64_t from,
                                 int64_t count, int skip, int bits, struct mr_error *err)
{
    const struct mr_agg_plan *plan = build->plan;
    int nkeys = plan->nkeys;
    struct mr_column **columns = mr_calloc((size_t)plan->kept->nfields + 1, sizeof(*columns));
    struct mr_batch *batch = NULL;
    uint64_t *hashes = mr_calloc((size_t)count + 1, sizeof *hashes);
    uint32_t *partitions = mr_alloc(((size_t)count + 1) * sizeof *partitions);
    enum mr_status status = columns && hashes && partitions ? MR_OK : mr_error_nomem(err);
    if (status != MR_OK)
        goto out;
    if (nkeys > 0)
        MR_TRY_OUT(
            mr_group_table_keys(build->table, build->memory, NULL, from, count, columns, err));
    status = mr_agg_states_export(build->states, from, count, columns + nkeys, err);
    if (status != MR_OK) {
        for (int k = 0; k < nkeys; k++)
            mr_column_unref(columns[k]);
        goto out;
    }
    MR_TRY_OUT(mr_batch_new(plan->kept, count, columns, &batch, err));
    for (int k = 0; k < nkeys && bits > 0; k++)
        mr_column_hash(batch->columns[k], NULL, count, hashes);
    for (int64_t i = 0; i < count; i++)
        partitions[i] = bits > 0 ? mr_spill_partition(hashes[i] << skip, bits) : 0;
    status = bits > 0 ? mr_spill_scatter(spill, batch, NULL, partitions, count, err)
                      : mr_spill_add(spill, 0, batch, err);
out:
    mr_batch_unref(batch);
    mr_free(columns);
    mr_free(hashes);
    mr_free(partitions);
    return status;
}

enum mr_status mr_agg_build_keep(struct mr_agg_build *build, struct mr_spill *spill, int skip,
                                 int bits, struct mr_error *err)
{
    int64_t total = mr_agg_build_count(build);
    enum mr_status status = MR_OK;
    for (int64_t from = 0; from < total && status == MR_OK; from += KEEP_ROWS) {
        int64_t count = total - from < KEEP_ROWS ? total - from : KEEP_ROWS;
        status = keep_range(build, spill, from, count, skip, bits, err);
    }
    return status;
}

int64_t mr_agg_batch_rows(const struct mr_runtime *runtime)
{
    return runtime->batch_rows > 0 ? runtime->batch_rows : 16384;
}

enum mr_status mr_agg_emit_results(const struct mr_agg_plan *plan, struct mr_batch *results,
                                   struct mr_eval *eval, struct mr_memory *memory,
                                   struct mr_emit *emit, struct mr_error *err)
{
    const struct mr_projection *outputs = mr_aggregation_outputs(plan->aggregation);
    const struct mr_expr *having = mr_aggregation_having(plan->aggregation);
    struct mr_column **columns = mr_calloc((size_t)plan->schema->nfields + 1, sizeof(*columns));
    struct mr_batch *kept = NULL, *out = NULL;
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK && having) {
        struct mr_selection *selection = NULL;
        struct mr_batch *selected = NULL;
        MR_TRY_OUT(mr_expr_filter(eval, having, results, &selection, err));
        MR_TRY_OUT(mr_batch_select(results, selection, &selected, err));
        status = mr_batch_compact(memory, selected, &kept, err);
        mr_batch_unref(selected);
    } else if (status == MR_OK) {
        kept = mr_batch_ref(results);
    }
    if (status != MR_OK || kept->rows == 0)
        goto out;
    MR_TRY_OUT(mr_projection_eval(eval, outputs, kept, columns + plan->nkeys, err));
    for (int k = 0; k < plan->nkeys; k++)
        columns[k] = mr_column_ref(kept->columns[k]);
    MR_TRY_OUT(mr_batch_new(plan->schema, kept->rows, columns, &out, err));
    status = emit->batch(emit, 0, out, err);
out:
    mr_batch_unref(kept);
    mr_free(columns);
    return status;
}

enum mr_status mr_agg_emit_rows(const struct mr_agg_plan *plan, struct mr_agg_states *states,
                                struct mr_column **keys, int64_t from, int64_t count,
                                struct mr_eval *eval, struct mr_memory *memory,
                                struct mr_emit *emit, struct mr_error *err)
{
    const struct mr_schema *schema = mr_aggregation_results(plan->aggregation);
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof(*columns));
    struct mr_batch *results = NULL;
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = mr_agg_states_finish(states, from, count, columns + plan->nkeys, err);
    if (status != MR_OK) {
        for (int k = 0; k < plan->nkeys; k++)
            mr_column_unref(keys[k]);
        mr_free(columns);
        return status;
    }
    for (int k = 0; k < plan->nkeys; k++)
        columns[k] = keys[k];
    status = mr_batch_new(schema, count, columns, &results, err);
    if (status == MR_OK)
        status = mr_agg_emit_results(plan, results, eval, memory, emit, err);
    mr_batch_unref(results);
    mr_free(columns);
    return status;
}

enum mr_status mr_agg_emit_build(struct mr_agg_build *build, struct mr_eval *eval,
                                 struct mr_runtime *runtime, struct mr_emit *emit,
                                 struct mr_error *err)
{
    const struct mr_agg_plan *plan = build->plan;
    int64_t total = mr_agg_build_count(build), step = mr_agg_batch_rows(runtime);
    struct mr_column **keys = mr_calloc((size_t)plan->nkeys + 1, sizeof(*keys));
    if (!keys)
        return mr_error_nomem(err);
    enum mr_status status = mr_agg_states_resize(build->states, total, err);
    for (int64_t from = 0; from < total && status == MR_OK && !emit->closed; from += step) {
        int64_t count = total - from < step ? total - from : step;
        if (plan->nkeys > 0)
            status = mr_group_table_keys(build->table, build->memory, NULL, from, count, keys, err);
        if (status == MR_OK)
            status = mr_agg_emit_rows(plan, build->states, keys, from, count, eval, build->memory,
                                      emit, err);
    }
    mr_free(keys);
    return status;
}
