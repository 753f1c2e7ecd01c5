/*
 * aggregate_pull.c - one partition of kept groups: merged into a fresh table and emitted.
 *
 * A partition that is larger than the share is divided again by the next bits of the hashes, in a spill of its own:
 * what was merged so far goes in front, so that first and last stay in order. A partition may be pulled again, so the
 * kept rows are only read.
 */
#include "op/aggregate.h"

#define DIVIDE_BITS 4
#define LAST_BIT    48 /* the table needs the lowest ones */

struct pull {
    const struct mr_agg_plan *plan;
    struct mr_runtime *runtime;
    struct mr_eval *eval;
    struct mr_emit *emit;
};

static enum mr_status pull_partition(struct pull *pull, const struct mr_spill *spill, int partition,
                                     int used_bits, struct mr_error *err);

/* Kept rows into the partitions of `parts`. */
static enum mr_status scatter(struct pull *pull, struct mr_spill *parts,
                              const struct mr_batch *batch, int skip, struct mr_error *err)
{
    int64_t n = batch->rows;
    uint64_t *hashes = mr_calloc((size_t)n + 1, sizeof *hashes);
    uint32_t *partitions = mr_alloc((size_t)n * sizeof *partitions + 1);
    enum mr_status status = hashes && partitions ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK) {
        for (int k = 0; k < pull->plan->nkeys; k++)
            mr_column_hash(batch->columns[k], NULL, n, hashes);
        for (int64_t i = 0; i < n; i++)
            partitions[i] = mr_spill_partition(hashes[i] << skip, DIVIDE_BITS);
        status = mr_spill_scatter(parts, batch, NULL, partitions, n, err);
    }
    mr_free(hashes);
    mr_free(partitions);
    return status;
}

/* The groups built so far (which go) and the chunks from `chunk` on, divided further. */
static enum mr_status divide(struct pull *pull, struct mr_agg_build *build,
                             const struct mr_spill *spill, int partition, int chunk, int used_bits,
                             struct mr_error *err)
{
    struct mr_spill *parts = NULL;
    enum mr_status status = mr_spill_new(pull->runtime, pull->plan->kept, 1 << DIVIDE_BITS,
                                         pull->runtime->share / 2, &parts, err);
    if (status == MR_OK)
        status = mr_agg_build_keep(build, parts, used_bits, DIVIDE_BITS, err);
    mr_agg_build_reset(build);
    for (; status == MR_OK && chunk < mr_spill_chunks(spill, partition); chunk++) {
        struct mr_batch *batch;
        status = mr_spill_chunk(spill, pull->runtime, partition, chunk, &batch, err);
        if (status != MR_OK)
            break;
        status = scatter(pull, parts, batch, used_bits, err);
        mr_batch_unref(batch);
    }
    if (status == MR_OK)
        status = mr_spill_flush(parts, err);
    for (int p = 0; p < 1 << DIVIDE_BITS && status == MR_OK && !pull->emit->closed; p++)
        status = pull_partition(pull, parts, p, used_bits + DIVIDE_BITS, err);
    mr_spill_free(parts);
    return status;
}

static enum mr_status merge_chunk(struct pull *pull, struct mr_agg_build *build,
                                  const struct mr_batch *batch, struct mr_error *err)
{
    MR_TRY(mr_agg_build_groups(build, batch->columns, NULL, batch->rows, NULL, err));
    return mr_agg_states_merge(build->states, batch->columns + pull->plan->nkeys, batch->rows,
                               build->groups, err);
}

static enum mr_status pull_partition(struct pull *pull, const struct mr_spill *spill, int partition,
                                     int used_bits, struct mr_error *err)
{
    struct mr_agg_build build;
    int chunks = spill ? mr_spill_chunks(spill, partition) : 0;
    bool divisible = pull->plan->nkeys > 0 && used_bits + DIVIDE_BITS <= LAST_BIT;
    if (chunks == 0 && pull->plan->nkeys > 0)
        return MR_OK;
    MR_TRY(mr_agg_build_init(&build, pull->plan, pull->runtime->memory, err));
    enum mr_status status = MR_OK;
    for (int c = 0; c < chunks && status == MR_OK; c++) {
        struct mr_batch *batch;
        status = mr_spill_chunk(spill, pull->runtime, partition, c, &batch, err);
        if (status != MR_OK)
            break;
        status = merge_chunk(pull, &build, batch, err);
        mr_batch_unref(batch);
        if (status == MR_OK && c + 1 < chunks && divisible &&
            mr_agg_build_bytes(&build) > pull->runtime->share && mr_agg_build_count(&build) > 1)
            return divide(pull, &build, spill, partition, c + 1, used_bits, err);
    }
    if (status == MR_OK)
        status = mr_agg_emit_build(&build, pull->eval, pull->runtime, pull->emit, err);
    mr_agg_build_reset(&build);
    return status;
}

enum mr_status mr_agg_pull(const struct mr_agg_plan *plan, const struct mr_spill *spill,
                           struct mr_runtime *runtime, int partition, struct mr_emit *emit,
                           struct mr_error *err)
{
    struct pull pull = {.plan = plan, .runtime = runtime, .emit = emit};
    MR_TRY(mr_eval_new(runtime->memory, &plan->session, &pull.eval, err));
    enum mr_status status = pull_partition(&pull, spill, partition, plan->bits, err);
    mr_eval_free(pull.eval);
    return status;
}
