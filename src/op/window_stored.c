/*
 * window_stored.c - kept rows of a stream's windowColumns that do not fit into memory.
 *
 * A partition that holds more than its part of the memory goes into a log of files (ext/spill_log.h), as a tree by the bits of the groups' hashes.
 * A leaf is some pieces of rows, few enough to be loaded. New rows of an epoch go down the tree; a leaf that gets some is loaded as a
 * partition of its own, computed like any other, and what is new in it is written behind the rest. A leaf that has grown, of which half is out of
 * reach, or that is in many pieces, is written anew, and divided by the next bits where it is too large. So memory holds a
 * leaf for each thread, and a leaf's place in the tree. The rows of one group are never divided: they have to fit.
 *
 * Pieces in the order in which rows came, as those of a join (join_stored.c), were refused: only the last row of a group tells which of
 * its rows are out of reach, and groups can be more than memory holds.
 */
#include "op/window_kept.h"

#include <string.h>

#define FAN_BITS   4
#define FAN        (1 << FAN_BITS)
#define MOST_BITS  42 /* of a hash: behind them groups are not told apart */
#define MANY       16 /* pieces of a leaf */
#define SLACK_ROWS 64 /* out of reach, of a small leaf */

static int child_of(uint64_t hash, int bits)
{
    return (int)(hash << bits >> (64 - FAN_BITS));
}

static void drop_pieces(const struct mr_window_kept *kept, struct mr_window_node *node)
{
    for (int i = 0; i < node->npieces; i++)
        mr_spilled_drop(kept->log, &node->pieces[i].rows);
    mr_free(node->pieces);
    node->pieces = NULL;
    node->npieces = node->capacity = 0;
    node->bytes = 0;
}

static void node_reset(const struct mr_window_kept *kept, struct mr_window_node *node)
{
    drop_pieces(kept, node);
    for (int c = 0; node->children && c < FAN; c++)
        node_reset(kept, &node->children[c]);
    mr_free(node->children);
    node->children = NULL;
}

void mr_window_node_free(const struct mr_window_kept *kept, struct mr_window_node *node)
{
    if (node)
        node_reset(kept, node);
    mr_free(node);
}

int64_t mr_window_node_rows(const struct mr_window_node *node)
{
    int64_t rows = 0;
    for (int i = 0; node && i < node->npieces; i++)
        rows += node->pieces[i].rows.rows;
    for (int c = 0; node && node->children && c < FAN; c++)
        rows += mr_window_node_rows(&node->children[c]);
    return rows;
}

enum mr_status mr_window_walk(struct mr_window_walk *walk, struct mr_window_node *node, int bits,
                              struct mr_batch *batch, const uint64_t *hashes)
{
    if (!node->children)
        return walk->visit(walk, node, bits, batch);
    size_t n = (size_t)batch->rows;
    uint64_t *some = mr_alloc((n + 1) * (sizeof *some + sizeof(int32_t)));
    if (!some)
        return mr_error_nomem(walk->err);
    int32_t *rows = (int32_t *)(void *)(some + n + 1);
    enum mr_status status = MR_OK;
    for (int c = 0; status == MR_OK && c < FAN; c++) {
        struct mr_batch *part = NULL;
        int64_t count = 0;
        for (size_t i = 0; i < n; i++) {
            if (child_of(hashes[i], bits) != c)
                continue;
            some[count] = hashes[i];
            rows[count++] = (int32_t)i;
        }
        if (count == 0)
            continue;
        status = mr_batch_take(walk->memory, batch, rows, count, &part, walk->err);
        if (status == MR_OK)
            status = mr_window_walk(walk, &node->children[c], bits + FAN_BITS, part, some);
        mr_batch_unref(part);
    }
    mr_free(some);
    return status;
}

/* ---- reading ---- */

/* Takes the batch over. */
static enum mr_status enter(const struct mr_window_kept *kept, struct mr_window_part *part,
                            struct mr_batch *batch, bool saved, struct mr_error *err)
{
    size_t rows = (size_t)batch->rows;
    uint64_t *hashes = mr_alloc((rows + 1) * (sizeof *hashes + sizeof(uint32_t)));
    enum mr_status status = hashes ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK) {
        uint32_t *groups = (uint32_t *)(void *)(hashes + rows + 1);
        struct mr_window_run run = {.batch = batch, .saved = saved, .stored = true};
        mr_window_hash(kept->plan, batch, kept->plan->kept_keys, hashes);
        status = mr_window_groups(kept, part, batch, kept->plan->kept_keys, hashes, groups, err);
        if (status == MR_OK) {
            batch = NULL;
            status = mr_window_enter(kept, part, run, groups, err);
        }
    }
    mr_batch_unref(batch);
    mr_free(hashes);
    return status;
}

static enum mr_status load_pieces(const struct mr_window_kept *kept,
                                  const struct mr_window_node *leaf, bool saved,
                                  struct mr_runtime *runtime, struct mr_window_part *out,
                                  struct mr_error *err)
{
    struct mr_batch *all = NULL;
    int done = 0;
    struct mr_batch **batches = mr_calloc((size_t)leaf->npieces + 1, sizeof(*batches));
    enum mr_status status = batches ? MR_OK : mr_error_nomem(err);
    for (int i = 0; status == MR_OK && i < leaf->npieces; i++) {
        if (leaf->pieces[i].saved != saved)
            continue;
        status =
            mr_spilled_read(&leaf->pieces[i].rows, runtime, kept->plan->kept, &batches[done], err);
        done += status == MR_OK;
    }
    if (status == MR_OK && done == 1)
        all = mr_batch_ref(batches[0]);
    else if (status == MR_OK && done > 1)
        status = mr_batch_concat(runtime->memory, batches, done, &all, err);
    for (int i = 0; i < done; i++)
        mr_batch_unref(batches[i]);
    mr_free(batches);
    return all ? enter(kept, out, all, saved, err) : status;
}

enum mr_status mr_window_leaf_load(const struct mr_window_kept *kept,
                                   const struct mr_window_node *leaf, struct mr_runtime *runtime,
                                   struct mr_window_part *out, struct mr_error *err)
{
    *out = (struct mr_window_part){0};
    MR_TRY(mr_window_part_init(kept, out, err));
    MR_TRY(load_pieces(kept, leaf, true, runtime, out, err));
    return load_pieces(kept, leaf, false, runtime, out, err);
}

/* ---- writing ---- */

/* Rows of a partition on their way into a tree. */
struct putting {
    struct mr_window_walk walk; /* first */
    const struct mr_window_kept *kept;
    struct mr_runtime *runtime;
    bool saved;
};

static enum mr_status append(const struct putting *putting, struct mr_window_node *leaf,
                             const struct mr_batch *rows)
{
    struct mr_error *err = putting->walk.err;
    if (leaf->npieces == leaf->capacity) {
        int capacity = leaf->capacity * 2 + 2;
        struct mr_window_piece *grown = mr_realloc(leaf->pieces, (size_t)capacity * sizeof *grown);
        if (!grown)
            return mr_error_nomem(err);
        leaf->pieces = grown;
        leaf->capacity = capacity;
    }
    struct mr_window_piece *piece = &leaf->pieces[leaf->npieces];
    piece->saved = putting->saved;
    MR_TRY(mr_spill_log_put(putting->kept->log, putting->runtime, rows, &piece->rows, err));
    leaf->npieces++;
    leaf->bytes += piece->rows.extent.packed;
    return MR_OK;
}

static bool has_grown(const struct mr_window_kept *kept, const struct mr_window_node *leaf)
{
    return leaf->bytes > (leaf->most > 0 ? leaf->most : 2 * kept->leaf);
}

static enum mr_status put_visit(struct mr_window_walk *walk, struct mr_window_node *leaf, int bits,
                                struct mr_batch *rows)
{
    const struct putting *putting = (const struct putting *)(const void *)walk;
    struct mr_window_part part;
    MR_TRY(append(putting, leaf, rows));
    if (leaf->npieces < 2 * MANY && !has_grown(putting->kept, leaf))
        return MR_OK;
    /* It has grown without being loaded, as when rows are given back. */
    enum mr_status status =
        mr_window_leaf_load(putting->kept, leaf, putting->runtime, &part, walk->err);
    if (status == MR_OK)
        status = mr_window_leaf_put(putting->kept, leaf, bits, &part, putting->runtime, walk->err);
    mr_window_part_reset(putting->kept, &part);
    return status;
}

/* Rows in reach that are saved, or not, as a batch with the hashes of their groups; NULL if there are none. */
static enum mr_status collect(const struct putting *putting, const struct mr_window_part *part,
                              bool all, struct mr_batch **out, uint64_t **hashes)
{
    struct mr_error *err = putting->walk.err;
    const uint64_t *of = mr_group_table_hashes(part->table);
    int64_t count = 0;
    size_t rows = (size_t)part->rows + 1;
    struct mr_window_place *places = mr_alloc(rows * (sizeof *places + sizeof(int32_t)));
    *hashes = mr_alloc(rows * sizeof **hashes);
    enum mr_status status = places && *hashes ? MR_OK : mr_error_nomem(err);
    int32_t *at = (int32_t *)(void *)(places + (places ? rows : 0));
    for (int r = 0; status == MR_OK && r < part->nruns; r++) {
        const struct mr_window_run *run = &part->runs[r];
        bool wanted = run->saved == putting->saved && (all || !run->stored);
        for (int64_t i = 0; wanted && i < run->batch->rows; i++)
            if (mr_window_is_live(putting->kept, part, r, i))
                places[count++] = (struct mr_window_place){.run = (uint32_t)r, .row = (int32_t)i};
    }
    if (status == MR_OK && count > 0)
        status = mr_window_recall(part, putting->runtime->memory, places, count, out, at, err);
    for (int64_t i = 0; status == MR_OK && i < count; i++)
        (*hashes)[at[i]] = of[part->runs[places[i].run].owners[places[i].row]];
    mr_free(places);
    return status;
}

/* All rows in reach, or those that are not stored. */
static enum mr_status put_rows(const struct mr_window_kept *kept, struct mr_window_node *node,
                               int bits, const struct mr_window_part *part, bool all,
                               struct mr_runtime *runtime, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    for (int saved = 0; status == MR_OK && saved < 2; saved++) {
        struct putting putting = {.walk = {.visit = put_visit,
                                           .memory = runtime->memory,
                                           .err = err},
                                  .kept = kept,
                                  .runtime = runtime,
                                  .saved = saved != 0};
        struct mr_batch *batch = NULL;
        uint64_t *hashes = NULL;
        status = collect(&putting, part, all, &batch, &hashes);
        if (status == MR_OK && batch)
            status = mr_window_walk(&putting.walk, node, bits, batch, hashes);
        mr_batch_unref(batch);
        mr_free(hashes);
    }
    return status;
}

enum mr_status mr_window_leaf_put(const struct mr_window_kept *kept, struct mr_window_node *leaf,
                                  int bits, const struct mr_window_part *part,
                                  struct mr_runtime *runtime, struct mr_error *err)
{
    if (part->rows <= 2 * part->live + SLACK_ROWS && leaf->npieces < MANY && !has_grown(kept, leaf))
        return put_rows(kept, leaf, bits, part, false, runtime, err);
    struct mr_window_node old = *leaf;
    *leaf = (struct mr_window_node){.most = INT64_MAX}; /* is not loaded for what is put now */
    enum mr_status status = MR_OK;
    if (mr_window_part_bytes(part) > kept->leaf && mr_group_table_count(part->table) > 1 &&
        bits < MOST_BITS) {
        leaf->children = mr_calloc(FAN, sizeof *leaf->children);
        status = leaf->children ? MR_OK : mr_error_nomem(err);
    }
    if (status == MR_OK)
        status = put_rows(kept, leaf, bits, part, true, runtime, err);
    leaf->most = 2 * (leaf->bytes > kept->leaf ? leaf->bytes : kept->leaf);
    drop_pieces(kept, &old);
    return status;
}

enum mr_status mr_window_part_store(const struct mr_window_kept *kept, struct mr_window_part *part,
                                    struct mr_runtime *runtime, struct mr_error *err)
{
    if (part->nruns == 0)
        return MR_OK;
    if (!part->stored)
        part->stored = mr_calloc(1, sizeof *part->stored);
    if (!part->stored)
        return mr_error_nomem(err);
    MR_TRY(put_rows(kept, part->stored, MR_WINDOW_BITS, part, false, runtime, err));
    mr_window_part_reset(kept, part);
    return mr_window_part_init(kept, part, err);
}

enum mr_status mr_window_part_shrink(const struct mr_window_kept *kept, struct mr_window_part *part,
                                     struct mr_runtime *runtime, struct mr_error *err)
{
    if (mr_window_part_bytes(part) + mr_group_table_bytes(part->table) <= kept->limit)
        return MR_OK;
    return mr_window_part_store(kept, part, runtime, err);
}

/* ---- saved ---- */

enum mr_status mr_window_node_save(struct mr_window_kept *kept, struct mr_window_node *node,
                                   bool everything, struct mr_emit *emit, struct mr_error *err)
{
    for (int i = 0; i < node->npieces; i++) {
        struct mr_window_piece *piece = &node->pieces[i];
        struct mr_batch *batch;
        if (piece->saved && !everything)
            continue;
        MR_TRY(mr_spilled_read(&piece->rows, &kept->runtime, kept->plan->kept, &batch, err));
        MR_TRY(emit->batch(emit, 0, batch, err));
        piece->saved = true;
    }
    for (int c = 0; node->children && c < FAN; c++)
        MR_TRY(mr_window_node_save(kept, &node->children[c], everything, emit, err));
    return MR_OK;
}
