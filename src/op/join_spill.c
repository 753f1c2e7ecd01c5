/*
 * join_spill.c - the part of a join that did not fit into memory.
 *
 * Partitions of the kept side that are not in the table (join_build.c) wait in a file; rows of the
 * probe side that belong to them are kept by each probe task, partition by partition, and joined when
 * the task has seen all of its rows. A partition that is still too large is spread again, over the
 * next bits of the hashes of both sides. What does not get smaller by that (rows of one key, or no
 * keys at all) is taken in pieces: a table of as much as fits, all probe rows of the partition, the
 * next table; which probe rows have had a match is remembered from pass to pass.
 */
#include "op/join_state.h"

#include "col/kernel.h"

#include <string.h>

#define SPREAD_BITS 4
#define MOST_LEVELS 8
#define CHUNK_ROWS  4096
#define CHUNKS_MOST 64
#define TABLE_LEAST 4096
#define TABLE_MOST  (INT64_C(1900) << 20) /* int32 offsets of its texts */

enum mr_status mr_join_keep(struct mr_join_task *task, const struct mr_batch *batch,
                            const struct mr_join_hashed *hashed, const int32_t *rows,
                            const uint32_t *partitions, int64_t count, struct mr_error *err)
{
    const struct mr_join_plan *plan = task->plan;
    int n = plan->probe->nfields, total = plan->kept->nfields;
    if (!task->kept)
        MR_TRY(mr_spill_new(task->runtime, plan->kept, 1 << task->built->bits,
                            task->runtime->share / 4 * 3, &task->kept, err));
    struct mr_column **columns = mr_calloc((size_t)total + 1, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(err);
    for (int c = 0; c < n; c++)
        columns[c] = mr_column_ref(batch->columns[c]);
    for (int k = 0; k < plan->nkeys; k++)
        if (plan->keys[k].kept >= n)
            columns[plan->keys[k].kept] = mr_column_ref(hashed->keys[k]);
    struct mr_batch *kept = NULL;
    enum mr_status status =
        mr_join_hash_column(task->runtime->memory, hashed, batch->rows, &columns[total - 1], err);
    if (status == MR_OK)
        status = mr_batch_new(plan->kept, batch->rows, columns, &kept, err);
    else
        for (int c = 0; c < total; c++)
            mr_column_unref(columns[c]);
    mr_free(columns);
    if (status == MR_OK)
        status = mr_spill_scatter(task->kept, kept, rows, partitions, count, err);
    mr_batch_unref(kept);
    return status;
}

/* One partition of each side; `kept` may be NULL (a full join without probe rows). */
struct part {
    struct mr_join_task *task;
    struct mr_emit *emit;
    struct mr_spill *store;
    struct mr_spill *kept;
    int index;
    int level; /* 0 = as the build side made it */
    int skip;  /* bits of the hash that are used up */
    struct mr_error *err;
};

static int64_t kept_rows(const struct part *part)
{
    return part->kept ? mr_spill_rows(part->kept, part->index) : 0;
}

/* Bytes that a table of this task may be made of: it is laid together, and has slots. */
static int64_t table_bytes(const struct part *part)
{
    int64_t bytes = part->task->runtime->share / 3;
    return bytes < TABLE_LEAST ? TABLE_LEAST : bytes > TABLE_MOST ? TABLE_MOST : bytes;
}

/* ---- a table at a time ---- */

struct passes {
    const struct part *part;
    struct mr_join_table table;
    uint8_t *matched; /* by probe row of the partition; NULL with one pass */
    uint8_t *build_matched;
    bool last;
};

/* Chunks from `*chunk` on, as many as fit; at least one. */
static enum mr_status fill_table(struct passes *passes, int *chunk)
{
    const struct part *part = passes->part;
    int64_t most = table_bytes(part), taken = 0;
    int64_t rows = mr_spill_rows(part->store, part->index);
    double width = rows > 0 ? (double)mr_spill_bytes(part->store, part->index) / (double)rows : 0;
    int total = mr_spill_chunks(part->store, part->index), pieces;
    mr_join_table_init(&passes->table, part->task->plan, part->task->runtime->memory);
    for (int first = *chunk; *chunk < total; (*chunk)++) {
        int64_t more = mr_spill_chunk_rows(part->store, part->index, *chunk);
        int64_t bytes = (int64_t)(width * (double)more);
        if (*chunk > first && taken + bytes > most)
            break;
        struct mr_batch *batch;
        MR_TRY(mr_spill_chunk(part->store, part->task->runtime, part->index, *chunk, &batch,
                              part->err));
        enum mr_status status = mr_join_table_add(&passes->table, batch, part->err);
        mr_batch_unref(batch);
        MR_TRY(status);
        taken += bytes;
    }
    passes->last = *chunk == total;
    MR_TRY(mr_join_table_begin(&passes->table, 0, &pieces, part->err));
    for (int piece = 0; piece < pieces; piece++)
        MR_TRY(mr_join_table_make(&passes->table, piece, part->err));
    return MR_OK;
}

static enum mr_status probe_chunk(struct passes *passes, struct mr_join_probe *probe,
                                  struct mr_batch *chunk, uint8_t *matched)
{
    const struct part *part = passes->part;
    const struct mr_join_plan *plan = part->task->plan;
    struct mr_column **keys = mr_calloc((size_t)plan->nkeys + 1, sizeof(*keys));
    if (!keys)
        return mr_error_nomem(part->err);
    for (int k = 0; k < plan->nkeys; k++)
        keys[k] = chunk->columns[plan->keys[k].kept];
    const struct mr_column *hash = chunk->columns[plan->kept->nfields - 1];
    struct mr_join_rows rows = {.batch = chunk,
                                .keys = keys,
                                .count = chunk->rows,
                                .hashes = (const uint64_t *)(const void *)hash->values->data,
                                .matched = matched,
                                .last = passes->last};
    enum mr_status status = mr_join_probe_rows(probe, &rows, part->err);
    mr_free(keys);
    return status;
}

/* Probe rows from chunk `*chunk` on: chunks of a spread partition are small, so several at once. */
static enum mr_status read_kept(const struct part *part, int *chunk, struct mr_batch **out)
{
    struct mr_runtime *runtime = part->task->runtime;
    struct mr_batch *parts[CHUNKS_MOST];
    int n = 0, total = mr_spill_chunks(part->kept, part->index);
    int64_t rows = 0;
    enum mr_status status = MR_OK;
    while (status == MR_OK && *chunk < total && n < CHUNKS_MOST &&
           (n == 0 || rows + mr_spill_chunk_rows(part->kept, part->index, *chunk) <= CHUNK_ROWS)) {
        rows += mr_spill_chunk_rows(part->kept, part->index, *chunk);
        status = mr_spill_chunk(part->kept, runtime, part->index, *chunk, &parts[n], part->err);
        n += status == MR_OK;
        (*chunk)++;
    }
    if (status == MR_OK && n == 1)
        *out = mr_batch_ref(parts[0]);
    else if (status == MR_OK)
        status = mr_batch_concat(runtime->memory, parts, n, out, part->err);
    for (int i = 0; i < n; i++)
        mr_batch_unref(parts[i]);
    return status;
}

static enum mr_status probe_all(struct passes *passes)
{
    const struct part *part = passes->part;
    struct mr_join_probe probe = {.task = part->task,
                                  .table = &passes->table,
                                  .build_matched = passes->build_matched,
                                  .emit = part->emit};
    int64_t at = 0;
    int chunks = part->kept ? mr_spill_chunks(part->kept, part->index) : 0;
    for (int c = 0; c < chunks && !part->emit->closed;) {
        struct mr_batch *batch;
        MR_TRY(read_kept(part, &c, &batch));
        int64_t rows = batch->rows;
        enum mr_status status =
            probe_chunk(passes, &probe, batch, passes->matched ? passes->matched + at : NULL);
        mr_batch_unref(batch);
        MR_TRY(status);
        at += rows;
    }
    return part->task->plan->kind == MR_JOIN_FULL ? mr_join_probe_end(&probe, part->err) : MR_OK;
}

static enum mr_status one_pass(struct passes *passes, int *chunk)
{
    const struct part *part = passes->part;
    enum mr_status status = fill_table(passes, chunk);
    if (status == MR_OK && !passes->last && !passes->matched) {
        passes->matched = mr_calloc((size_t)kept_rows(part) + 1, 1);
        status = passes->matched ? MR_OK : mr_error_nomem(part->err);
    }
    if (status == MR_OK && part->task->plan->kind == MR_JOIN_FULL) {
        passes->build_matched = mr_calloc(mr_bitmap_bytes(passes->table.rows) + 1, 1);
        status = passes->build_matched ? MR_OK : mr_error_nomem(part->err);
    }
    if (status == MR_OK)
        status = probe_all(passes);
    mr_free(passes->build_matched);
    passes->build_matched = NULL;
    mr_join_table_reset(&passes->table);
    return status;
}

static enum mr_status join_in_passes(const struct part *part)
{
    struct passes passes = {.part = part};
    int chunk = 0;
    enum mr_status status = MR_OK;
    do {
        status = one_pass(&passes, &chunk);
    } while (status == MR_OK && !passes.last && !part->emit->closed);
    mr_free(passes.matched);
    return status;
}

/* ---- partitions of partitions ---- */

static bool is_empty(const struct part *part)
{
    int64_t stored = mr_spill_rows(part->store, part->index);
    switch (part->task->plan->kind) {
    case MR_JOIN_INNER:
    case MR_JOIN_SEMI:
        return stored == 0 || kept_rows(part) == 0;
    case MR_JOIN_FULL:
        return stored == 0 && kept_rows(part) == 0;
    default:
        return kept_rows(part) == 0;
    }
}

static enum mr_status join_part(const struct part *part);

static enum mr_status join_spread(const struct part *part)
{
    struct mr_join_task *task = part->task;
    int64_t limit = task->runtime->share / 4;
    int64_t rows = mr_spill_rows(part->store, part->index);
    struct part inner = *part;
    inner.store = inner.kept = NULL;
    inner.level++;
    inner.skip += SPREAD_BITS;
    enum mr_status status =
        mr_join_repartition(task->runtime, part->store, part->index, task->plan->store, part->skip,
                            SPREAD_BITS, limit, &inner.store, part->err);
    if (status == MR_OK && kept_rows(part) > 0)
        status = mr_join_repartition(task->runtime, part->kept, part->index, task->plan->kept,
                                     part->skip, SPREAD_BITS, limit, &inner.kept, part->err);
    for (inner.index = 0; status == MR_OK && inner.index < 1 << SPREAD_BITS; inner.index++) {
        /* Nearly all of it in one place again: more bits will not help. */
        bool heavy = mr_spill_rows(inner.store, inner.index) > rows / 10 * 9;
        if (!is_empty(&inner))
            status = heavy ? join_in_passes(&inner) : join_part(&inner);
        mr_spill_drop(inner.store, inner.index);
        if (inner.kept)
            mr_spill_drop(inner.kept, inner.index);
    }
    mr_spill_free(inner.store);
    mr_spill_free(inner.kept);
    return status;
}

static enum mr_status join_part(const struct part *part)
{
    if (is_empty(part) || part->emit->closed)
        return MR_OK;
    bool fits = mr_spill_bytes(part->store, part->index) <= table_bytes(part);
    if (fits || part->task->plan->nkeys == 0 || part->level >= MOST_LEVELS)
        return join_in_passes(part);
    return join_spread(part);
}

enum mr_status mr_join_finish_probe(struct mr_join_task *task, struct mr_emit *emit,
                                    struct mr_error *err)
{
    const struct mr_join_task *built = task->built;
    if (task->plan->kind == MR_JOIN_FULL) {
        if (!task->build_matched)
            task->build_matched = mr_calloc(mr_bitmap_bytes(built->table.rows) + 1, 1);
        if (!task->build_matched)
            return mr_error_nomem(err);
        struct mr_join_probe probe = {.task = task,
                                      .table = &built->table,
                                      .build_matched = task->build_matched,
                                      .emit = emit};
        MR_TRY(mr_join_probe_end(&probe, err));
    }
    if (!built->apart)
        return MR_OK;
    if (task->kept) { /* what memory it has is for tables now */
        MR_TRY(mr_spill_flush(task->kept, err));
        MR_TRY(mr_spill_write(task->kept, -1, err));
    }
    for (int p = 0; p < 1 << built->bits && !emit->closed; p++) {
        struct part part = {.task = task,
                            .emit = emit,
                            .store = built->store,
                            .kept = task->kept,
                            .index = p,
                            .skip = built->bits,
                            .err = err};
        if (built->apart[p])
            MR_TRY(join_part(&part));
    }
    return MR_OK;
}
