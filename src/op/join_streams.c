/*
 * join_streams.c - two streams side by side, where keys are equal and event times are not further apart than `within`.
 *
 * Rows of both sides are kept for those of the other that may still come. In an epoch new rows of the right meet what is kept of
 * the left, and are kept; then new rows of the left meet all that is kept of the right: each pair once, and new rows may come
 * in blocks that fit into memory. A row of
 * time t is out of reach when the other side's watermark has reached t + within, because what comes then is late. That is when a row
 * that has to come out without a partner does so.
 *
 * Tasks only spread rows over partitions by the hash of their keys. All joining is done in `settle`, a partition a piece, into a
 * spill of the result: `pull` may be called more than once, but kept rows change once. Tables and probing are the batch
 * join's (join_table.c, join_probe.c), with the plan bound twice: rows of port 0 against tables of port 1, and changed over. The
 * alternative, one table of kept rows that grows, cannot let old rows go; runs (join_runs.c) are let go as a whole.
 */
#include "op/join_runs.h"

#include "op/join_options.h"
#include "op/ops.h"

#include "col/kernel.h"
#include "ext/event_clock.h"

#include <string.h>

struct task {
    struct mr_join_both *plan;
    struct mr_runtime *runtime;
    struct mr_eval *eval;
    struct mr_spill *spills[2];
    struct mr_spill **outs; /* by partition; NULL = nothing came out */
};

/* ---- bind ---- */

static enum mr_status check(const struct mr_join_both *self, const struct mr_op_bind *bind,
                            struct mr_error *err)
{
    const struct mr_join_plan *plan = self->plans[0];
    if (!bind->inputs[0].stream || !bind->inputs[1].stream) {
        mr_error_config(err, "is for two streams");
        mr_error_hint(err, "joinDataFrames with `within` joins any two frames");
        return MR_CONFIG;
    }
    if (!mr_options_has(bind->options, "within")) {
        mr_options_error(bind->options, "within", err, "two streams are joined within a time");
        mr_error_hint(err, "say how far apart event times of rows that meet may be, as "
                           "\"within\": \"10 minutes\"");
        return MR_CONFIG;
    }
    if (plan->nkeys > 0)
        return MR_OK;
    mr_options_error(bind->options, "within", err, "no equality joins the two streams");
    mr_error_hint(err, "with it, rows meet only those of their key");
    return MR_CONFIG;
}

static enum mr_status streams_bind(const struct mr_op_bind *bind, void **plan,
                                   struct mr_op_info *info, struct mr_error *err)
{
    struct mr_join_both *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    MR_TRY(mr_join_bind_both(bind, self->plans, info, err));
    MR_TRY(check(self, bind, err));
    enum mr_join_kind kind = self->plans[0]->kind;
    self->preserved[0] = kind == MR_JOIN_OUTER || kind == MR_JOIN_FULL || kind == MR_JOIN_ANTI;
    self->preserved[1] = kind == MR_JOIN_FULL;
    self->semi = kind == MR_JOIN_SEMI;
    self->exists = self->semi || kind == MR_JOIN_ANTI;
    self->marks[0] = self->preserved[0] || self->semi;
    self->marks[1] = self->preserved[1];
    self->pads[0] = self->pads[1] = *self->plans[0];
    self->pads[0].kind = MR_JOIN_OUTER;
    self->pads[1].kind = MR_JOIN_FULL;
    self->plans[0]->kind = self->plans[1]->kind = MR_JOIN_INNER;
    self->schema = self->plans[0]->schema;
    self->within = self->plans[0]->within;
    for (int s = 0; s < 2; s++) {
        self->time[s] = self->plans[0]->time[s];
        self->stored[s] = self->plans[1 - s]->store;
    }
    MR_TRY(mr_join_kept_schema(bind->arena, self, err));
    info->kept = self->kept;
    info->narrows = info->one_task = false;
    self->pulls = 8;
    info->pulls = self->pulls;
    *plan = self;
    return MR_OK;
}

/* ---- rows come in ---- */

static void streams_close(void *opaque)
{
    struct task *task = opaque;
    mr_eval_free(task->eval);
    for (int s = 0; s < 2; s++)
        mr_spill_free(task->spills[s]);
    for (int p = 0; task->outs && p < MR_JOIN_KEPT_PARTS; p++)
        mr_spill_free(task->outs[p]);
    mr_free(task->outs);
    mr_free(task);
}

static enum mr_status streams_open(void *plan, struct mr_runtime *runtime, void **out,
                                   struct mr_error *err)
{
    struct task *task = mr_calloc(1, sizeof *task);
    if (!task)
        return mr_error_nomem(err);
    task->plan = plan;
    task->runtime = runtime;
    enum mr_status status =
        mr_eval_new(runtime->memory, &task->plan->plans[0]->session, &task->eval, err);
    for (int s = 0; status == MR_OK && s < 2; s++)
        status = mr_spill_new(runtime, task->plan->stored[s], MR_JOIN_KEPT_PARTS,
                              runtime->share / 2, &task->spills[s], err);
    if (status != MR_OK) {
        streams_close(task);
        return status;
    }
    *out = task;
    return MR_OK;
}

/* All rows of the batch with their keys and hashes. */
static enum mr_status stored_batch(struct task *task, int port, const struct mr_batch *batch,
                                   const struct mr_join_hashed *hashed, struct mr_batch **out,
                                   struct mr_error *err)
{
    const struct mr_schema *schema = task->plan->stored[port];
    const struct mr_join_plan *mirror = task->plan->plans[1 - port];
    int n = batch->schema->nfields, total = schema->nfields;
    struct mr_column **columns = mr_calloc((size_t)total, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(err);
    for (int c = 0; c < n; c++)
        columns[c] = mr_column_ref(batch->columns[c]);
    for (int k = 0; k < mirror->nkeys; k++)
        if (mirror->keys[k].stored >= n)
            columns[mirror->keys[k].stored] = mr_column_ref(hashed->keys[k]);
    enum mr_status status =
        mr_join_hash_column(task->runtime->memory, hashed, batch->rows, &columns[total - 1], err);
    if (status == MR_OK)
        status = mr_batch_new(schema, batch->rows, columns, out, err);
    else
        for (int c = 0; c < total; c++)
            mr_column_unref(columns[c]);
    mr_free(columns);
    return status;
}

static enum mr_status scatter(struct task *task, int port, const struct mr_batch *stored,
                              const struct mr_join_hashed *hashed, struct mr_error *err)
{
    size_t room = (size_t)hashed->count + 1;
    int32_t *rows = mr_alloc(room * sizeof *rows);
    uint32_t *partitions = mr_alloc(room * sizeof *partitions);
    enum mr_status status = rows && partitions ? MR_OK : mr_error_nomem(err);
    int64_t n = 0;
    for (int64_t i = 0; status == MR_OK && i < hashed->count; i++) {
        bool valid = !hashed->valid || hashed->valid[i];
        if (!valid && !task->plan->preserved[port])
            continue;
        rows[n] = hashed->rows ? hashed->rows[i] : (int32_t)i;
        partitions[n++] = valid ? mr_join_partition(hashed->hashes[i], 0, MR_JOIN_KEPT_BITS)
                                : (uint32_t)i % MR_JOIN_KEPT_PARTS;
    }
    if (status == MR_OK && n > 0)
        status = mr_spill_scatter(task->spills[port], stored, rows, partitions, n, err);
    mr_free(rows);
    mr_free(partitions);
    return status;
}

static enum mr_status streams_push(void *opaque, int port, struct mr_batch *batch,
                                   struct mr_emit *emit, struct mr_error *err)
{
    (void)emit;
    struct task *task = opaque;
    struct mr_join_task hashing = {.plan = task->plan->plans[0],
                                   .runtime = task->runtime,
                                   .eval = task->eval};
    struct mr_join_hashed hashed = {0};
    struct mr_batch *stored = NULL;
    if (mr_batch_active(batch) == 0)
        return MR_OK;
    MR_TRY(mr_join_hash(&hashing, port, batch, &hashed, err));
    enum mr_status status = stored_batch(task, port, batch, &hashed, &stored, err);
    if (status == MR_OK)
        status = scatter(task, port, stored, &hashed, err);
    mr_batch_unref(stored);
    mr_join_hashed_reset(task->plan->plans[0], &hashed);
    return status;
}

static enum mr_status streams_finish(void *opaque, int port, struct mr_emit *emit,
                                     struct mr_error *err)
{
    (void)emit;
    return mr_spill_flush(((struct task *)opaque)->spills[port], err);
}

static enum mr_status streams_combine(void *into, void *from, struct mr_error *err)
{
    struct task *a = into, *b = from;
    for (int s = 0; s < 2; s++) {
        MR_TRY(mr_spill_flush(a->spills[s], err));
        MR_TRY(mr_spill_flush(b->spills[s], err));
        MR_TRY(mr_spill_absorb(a->spills[s], b->spills[s], err));
    }
    return MR_OK;
}

/* ---- an epoch of a partition ---- */

struct piece {
    struct mr_emit emit; /* into `out` */
    struct task *task;
    struct mr_runtime *runtime;
    struct mr_eval *eval;
    struct mr_join_kept *kept;
    struct mr_join_part *part;
    struct mr_spill **out;
    struct mr_join_run *fresh; /* new rows that are not kept yet, or NULL */
    struct mr_error *err;
};

/* Batches of either plan, as the operator's. */
static enum mr_status put(struct mr_emit *emit, int port, struct mr_batch *batch,
                          struct mr_error *err)
{
    (void)port;
    struct piece *piece = (struct piece *)(void *)emit;
    const struct mr_schema *schema = piece->task->plan->schema;
    struct mr_batch *dense = NULL, *own = NULL;
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof(*columns));
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = mr_batch_compact(piece->runtime->memory, batch, &dense, err);
    if (status == MR_OK) {
        for (int c = 0; c < schema->nfields; c++)
            columns[c] = mr_column_ref(dense->columns[c]);
        status = mr_batch_new(schema, dense->rows, columns, &own, err);
    }
    if (status == MR_OK && !*piece->out)
        status = mr_spill_new(piece->runtime, schema, 1,
                              piece->task->runtime->share / MR_JOIN_KEPT_PARTS, piece->out, err);
    if (status == MR_OK)
        status = mr_spill_add(*piece->out, 0, own, err);
    mr_free(columns);
    mr_batch_unref(own);
    mr_batch_unref(dense);
    mr_batch_unref(batch);
    return status;
}

/* Rows as they outlive the epoch: nothing of it is left in them, neither memory of its account nor types of its plan. */
static enum mr_status adopt(const struct piece *piece, int side, const struct mr_batch *batch,
                            struct mr_batch **out)
{
    const struct mr_schema *schema = piece->kept->plan->stored[side];
    int done = 0;
    struct mr_column **columns = mr_calloc((size_t)schema->nfields, sizeof(*columns));
    enum mr_status status = columns ? MR_OK : mr_error_nomem(piece->err);
    for (; status == MR_OK && done < schema->nfields; done += status == MR_OK) {
        struct mr_column *copy;
        status = mr_column_copy(piece->kept->memory, batch->columns[done], &copy, piece->err);
        if (status != MR_OK)
            break;
        status = mr_column_retype(copy, schema->fields[done].type, &columns[done], piece->err);
        mr_column_unref(copy);
    }
    if (status == MR_OK)
        status = mr_batch_new(schema, batch->rows, columns, out, piece->err);
    else
        for (int c = 0; columns && c < done; c++)
            mr_column_unref(columns[c]);
    mr_free(columns);
    return status;
}

/* A block of new rows of one side as a run. */
static enum mr_status read_fresh(struct piece *piece, int side, int partition, int *chunk)
{
    struct mr_join_side *kept = &piece->part->sides[side];
    struct mr_batch *batch, *own = NULL;
    MR_TRY(mr_spill_block(piece->task->spills[side], piece->runtime, partition, piece->kept->block,
                          chunk, &batch, piece->err));
    int64_t *seqs = mr_alloc(((size_t)batch->rows + 1) * sizeof *seqs);
    enum mr_status status = seqs ? MR_OK : mr_error_nomem(piece->err);
    if (status == MR_OK)
        status = adopt(piece, side, batch, &own);
    mr_batch_unref(batch);
    for (int64_t i = 0; status == MR_OK && i < own->rows; i++, kept->next += MR_JOIN_KEPT_PARTS)
        seqs[i] = kept->next;
    if (status == MR_OK)
        status = mr_join_run_new(piece->kept->plan, side, piece->kept->memory, own, seqs, NULL,
                                 true, &piece->fresh, piece->err);
    mr_batch_unref(own);
    mr_free(seqs);
    return status;
}

/* The rows of a run, as a probe has them; `valid` and `matched` by row. */
struct probing {
    struct mr_column **keys;
    uint64_t *hashes;
    uint8_t *valid, *matched;
};

static void probing_reset(struct probing *probing)
{
    mr_free(probing->keys);
    mr_free(probing->valid);
    mr_free(probing->matched);
}

static enum mr_status probing_init(const struct mr_join_both *plan, int side,
                                   const struct mr_join_run *run, struct probing *out,
                                   struct mr_error *err)
{
    const struct mr_join_plan *mirror = plan->plans[1 - side];
    const struct mr_column *hash = run->batch->columns[plan->stored[side]->nfields - 1];
    *out = (struct probing){.hashes = (uint64_t *)(void *)hash->values->data};
    out->keys = mr_calloc((size_t)mirror->nkeys + 1, sizeof(*out->keys));
    out->valid = mr_alloc((size_t)run->rows + 1);
    out->matched = mr_calloc((size_t)run->rows + 1, 1);
    if (!out->keys || !out->valid || !out->matched)
        return mr_error_nomem(err);
    for (int k = 0; k < mirror->nkeys; k++)
        out->keys[k] = run->batch->columns[mirror->keys[k].stored];
    for (int64_t i = 0; i < run->rows; i++)
        out->valid[i] = !mr_column_is_null(hash, i);
    return MR_OK;
}

static enum mr_status drop(struct mr_emit *emit, int port, struct mr_batch *batch,
                           struct mr_error *err)
{
    (void)emit;
    (void)port;
    (void)err;
    mr_batch_unref(batch);
    return MR_OK;
}

/* Rows of the run of `side` meet those of another run of the other side. */
static enum mr_status meet(struct piece *piece, int side, struct mr_join_run *run,
                           const struct probing *probing, struct mr_join_run *other)
{
    const struct mr_join_both *plan = piece->task->plan;
    struct mr_emit nowhere = {.batch = drop};
    struct mr_join_task task = {.plan = plan->plans[side],
                                .runtime = piece->runtime,
                                .eval = piece->eval};
    struct mr_join_probe probe = {.task = &task,
                                  .table = &other->table,
                                  .build_matched = plan->marks[1 - side] ? other->matched : NULL,
                                  .emit = plan->exists ? &nowhere : &piece->emit};
    struct mr_join_rows rows = {.batch = run->batch,
                                .keys = probing->keys,
                                .count = run->rows,
                                .hashes = probing->hashes,
                                .valid = probing->valid,
                                .matched = probing->matched};
    return mr_join_probe_rows(&probe, &rows, piece->err);
}

/* Marks of a probing into the run's. */
static void mark(struct mr_join_run *run, const struct probing *probing)
{
    for (int64_t i = 0; i < run->rows; i++)
        if (probing->matched[i])
            mr_bitmap_set(run->matched, i);
}

/* Times of a run; false where no row has one. */
static bool bounds(const struct mr_join_run *run, int64_t *least, int64_t *most)
{
    *least = INT64_MAX;
    *most = INT64_MIN;
    for (int64_t i = 0; i < run->rows; i++) {
        int64_t time = run->times[i];
        if (time == INT64_MIN)
            continue;
        *least = time < *least ? time : *least;
        *most = time > *most ? time : *most;
    }
    return *least <= *most;
}

/* The rows of a stored piece of `side` meet a run of the other. */
static enum mr_status meet_stored(struct piece *piece, int side, struct mr_join_stored *stored,
                                  struct mr_join_run *other)
{
    struct mr_join_side *kept = &piece->part->sides[side];
    struct mr_join_run *run;
    struct probing probing;
    MR_TRY(mr_join_stored_load(piece->kept, side, stored, piece->runtime, &run, piece->err));
    enum mr_status status = probing_init(piece->task->plan, side, run, &probing, piece->err);
    if (status == MR_OK)
        status = meet(piece, side, run, &probing, other);
    if (status == MR_OK) {
        mark(run, &probing);
        mr_join_stored_mark(stored, run);
        status =
            mr_join_stored_tidy(piece->kept, side, kept, stored, run, piece->runtime, piece->err);
    }
    probing_reset(&probing);
    mr_join_run_free(run);
    return status;
}

/* A run of `side` against stored pieces of the other that are in its reach. */
static enum mr_status meet_all_stored(struct piece *piece, int side, struct mr_join_run *run)
{
    struct mr_join_side *other = &piece->part->sides[1 - side];
    int64_t within = piece->task->plan->within, least, most;
    if (other->nstored == 0 || !bounds(run, &least, &most))
        return MR_OK;
    least = least < INT64_MIN + within ? INT64_MIN : least - within;
    most = most > INT64_MAX - within ? INT64_MAX : most + within;
    for (int i = 0; i < other->nstored; i++)
        if (other->stored[i].most >= least && other->stored[i].least <= most)
            MR_TRY(meet_stored(piece, 1 - side, &other->stored[i], run));
    return MR_OK;
}

/* New rows of `side` against what is kept of the other. */
static enum mr_status join_fresh(struct piece *piece, int side)
{
    struct mr_join_run *run = piece->fresh;
    const struct mr_join_side *other = &piece->part->sides[1 - side];
    struct probing probing;
    MR_TRY(meet_all_stored(piece, side, run));
    enum mr_status status = probing_init(piece->task->plan, side, run, &probing, piece->err);
    for (int i = 0; status == MR_OK && i < other->nruns; i++)
        status = meet(piece, side, run, &probing, other->runs[i]);
    if (status == MR_OK)
        mark(run, &probing);
    probing_reset(&probing);
    return status;
}

static enum mr_status join_side(struct piece *piece, int side, int partition)
{
    int chunk = 0, count = mr_spill_chunks(piece->task->spills[side], partition);
    while (chunk < count) {
        MR_TRY(read_fresh(piece, side, partition, &chunk));
        MR_TRY(join_fresh(piece, side));
        struct mr_join_run *fresh = piece->fresh;
        piece->fresh = NULL;
        MR_TRY(mr_join_side_add(&piece->part->sides[side], fresh, piece->err));
        MR_TRY(mr_join_part_shrink(piece->kept, piece->part, piece->runtime, piece->err));
    }
    return MR_OK;
}

/* ---- rows that will find no partner ---- */

static enum mr_status pad_left(struct piece *piece, const struct mr_join_run *run,
                               const int32_t *list, int64_t count)
{
    struct mr_join_both *plan = piece->task->plan;
    struct mr_join_task task = {.plan = &plan->pads[0],
                                .runtime = piece->runtime,
                                .eval = piece->eval};
    struct mr_join_table nothing;
    struct probing probing;
    int pieces = 0;
    mr_join_table_init(&nothing, &plan->pads[0], piece->runtime->memory);
    enum mr_status status = probing_init(plan, 0, run, &probing, piece->err);
    if (status == MR_OK)
        status = mr_join_table_begin(&nothing, 0, &pieces, piece->err);
    for (int i = 0; status == MR_OK && i < pieces; i++)
        status = mr_join_table_make(&nothing, i, piece->err);
    if (status == MR_OK) {
        struct mr_join_probe probe = {.task = &task, .table = &nothing, .emit = &piece->emit};
        struct mr_join_rows rows = {.batch = run->batch,
                                    .keys = probing.keys,
                                    .rows = list,
                                    .count = count};
        status = mr_join_probe_rows(&probe, &rows, piece->err);
    }
    mr_join_table_reset(&nothing);
    probing_reset(&probing);
    return status;
}

static enum mr_status pad_right(struct piece *piece, const struct mr_join_run *run,
                                const int32_t *list, int64_t count)
{
    struct mr_join_task task = {.plan = &piece->task->plan->pads[1],
                                .runtime = piece->runtime,
                                .eval = piece->eval};
    size_t bytes = mr_bitmap_bytes(run->rows) + 1;
    uint8_t *others = mr_alloc(bytes);
    if (!others)
        return mr_error_nomem(piece->err);
    memset(others, 0xFF, bytes);
    for (int64_t i = 0; i < count; i++)
        others[list[i] >> 3] &= (uint8_t) ~(1u << (list[i] & 7));
    struct mr_join_probe probe = {.task = &task,
                                  .table = &run->table,
                                  .build_matched = others,
                                  .emit = &piece->emit};
    enum mr_status status = mr_join_probe_end(&probe, piece->err);
    mr_free(others);
    return status;
}

/* Rows with a time in (from, to]; new ones also before. */
static enum mr_status pad_run(struct piece *piece, int side, const struct mr_join_run *run,
                              int64_t to)
{
    const struct mr_join_side *kept = &piece->part->sides[side];
    int32_t *list = mr_alloc(((size_t)run->rows + 1) * sizeof *list);
    int64_t n = 0;
    if (!list)
        return mr_error_nomem(piece->err);
    for (int64_t i = 0; i < run->rows; i++)
        if (run->times[i] <= to && (run->seqs[i] >= kept->saved || run->times[i] > kept->limit) &&
            !mr_bitmap_get(run->matched, i))
            list[n++] = (int32_t)i;
    enum mr_status status = n == 0      ? MR_OK
                            : side == 0 ? pad_left(piece, run, list, n)
                                        : pad_right(piece, run, list, n);
    mr_free(list);
    return status;
}

static enum mr_status pad_stored(struct piece *piece, int side, int64_t to)
{
    const struct mr_join_side *kept = &piece->part->sides[side];
    for (int i = 0; i < kept->nstored; i++) {
        const struct mr_join_stored *stored = &kept->stored[i];
        struct mr_join_run *run;
        bool due = stored->least <= to && stored->most > kept->limit;
        if (!due && stored->last < kept->saved)
            continue;
        MR_TRY(mr_join_stored_load(piece->kept, side, stored, piece->runtime, &run, piece->err));
        enum mr_status status = pad_run(piece, side, run, to);
        mr_join_run_free(run);
        MR_TRY(status);
    }
    return MR_OK;
}

/* left_semi: rows of the left that have found a partner since the last save, which is once an epoch. */
static enum mr_status give_found(struct piece *piece, const struct mr_join_run *run)
{
    int32_t *list = mr_alloc(((size_t)run->rows + 1) * sizeof *list);
    int64_t n = 0;
    if (!list)
        return mr_error_nomem(piece->err);
    for (int64_t i = 0; i < run->rows; i++)
        if (mr_bitmap_get(run->matched, i) && !mr_bitmap_get(run->saved, i))
            list[n++] = (int32_t)i;
    enum mr_status status = n == 0 ? MR_OK : pad_left(piece, run, list, n);
    mr_free(list);
    return status;
}

static enum mr_status give_all_found(struct piece *piece)
{
    const struct mr_join_side *left = &piece->part->sides[0];
    for (int i = 0; i < left->nstored; i++) {
        struct mr_join_run *run;
        if (!mr_join_stored_changed(&left->stored[i]))
            continue;
        MR_TRY(mr_join_stored_load(piece->kept, 0, &left->stored[i], piece->runtime, &run,
                                   piece->err));
        enum mr_status status = give_found(piece, run);
        mr_join_run_free(run);
        MR_TRY(status);
    }
    for (int i = 0; i < left->nruns; i++)
        MR_TRY(give_found(piece, left->runs[i]));
    return MR_OK;
}

/* What the other side's watermark has put out of reach. */
static int64_t limit_of(const struct piece *piece, int side)
{
    struct mr_event_clock *const *clocks = piece->runtime->clocks;
    struct mr_event_clock *clock = clocks ? clocks[1 - side] : NULL;
    int64_t reached = clock ? mr_event_clock_reached(clock) : MR_WATERMARK_NONE;
    int64_t before = piece->part->sides[side].limit, within = piece->task->plan->within;
    if (reached == MR_WATERMARK_NONE || reached < INT64_MIN + within)
        return before;
    return reached - within > before ? reached - within : before;
}

static enum mr_status keep_side(struct piece *piece, int side)
{
    struct mr_join_side *kept = &piece->part->sides[side];
    int64_t limit = limit_of(piece, side);
    if (piece->task->plan->preserved[side]) {
        MR_TRY(pad_stored(piece, side, limit));
        for (int i = 0; i < kept->nruns; i++)
            MR_TRY(pad_run(piece, side, kept->runs[i], limit));
    }
    kept->limit = limit;
    mr_join_stored_forget(piece->kept, kept);
    return mr_join_side_tidy(piece->kept->plan, side, piece->kept->memory, kept, piece->err);
}

static enum mr_status settle_part(struct task *task, struct mr_runtime *runtime, int partition,
                                  struct mr_error *err)
{
    struct mr_join_kept *kept = runtime->kept;
    struct piece piece = {.emit = {.batch = put},
                          .task = task,
                          .runtime = runtime,
                          .kept = kept,
                          .part = &kept->parts[partition],
                          .out = &task->outs[partition],
                          .err = err};
    MR_TRY(mr_eval_new(runtime->memory, &task->plan->plans[0]->session, &piece.eval, err));
    enum mr_status status = join_side(&piece, 1, partition);
    if (status == MR_OK)
        status = join_side(&piece, 0, partition);
    if (status == MR_OK && task->plan->semi)
        status = give_all_found(&piece);
    for (int s = 0; status == MR_OK && s < 2; s++)
        status = keep_side(&piece, s);
    mr_join_run_free(piece.fresh);
    mr_eval_free(piece.eval);
    return status;
}

static enum mr_status streams_settle(void *built, struct mr_runtime *runtime, int piece,
                                     int *pieces, struct mr_error *err)
{
    struct task *task = built;
    if (piece >= 0)
        return settle_part(task, runtime, piece, err);
    if (!runtime->kept)
        return mr_error_internal(err, "streams are joined outside of a stream");
    for (int s = 0; s < 2; s++)
        MR_TRY(mr_spill_flush(task->spills[s], err));
    task->outs = mr_calloc(MR_JOIN_KEPT_PARTS, sizeof(*task->outs));
    *pieces = MR_JOIN_KEPT_PARTS;
    return task->outs ? MR_OK : mr_error_nomem(err);
}

static enum mr_status streams_pull(const void *built, struct mr_runtime *runtime, int partition,
                                   struct mr_emit *emit, struct mr_error *err)
{
    const struct task *task = built;
    int pulls = task->plan->pulls;
    for (int p = MR_JOIN_KEPT_PARTS * partition / pulls;
         p < MR_JOIN_KEPT_PARTS * (partition + 1) / pulls; p++) {
        int count = task->outs[p] ? mr_spill_chunks(task->outs[p], 0) : 0;
        for (int c = 0; c < count && !emit->closed; c++) {
            struct mr_batch *batch;
            MR_TRY(mr_spill_chunk(task->outs[p], runtime, 0, c, &batch, err));
            MR_TRY(emit->batch(emit, 0, batch, err));
        }
    }
    return MR_OK;
}

const struct mr_op mr_op_join_streams = {
    .name = "joinStreams",
    .doc = "What joinDataFrames with `within` is between two streams: rows of both are kept until "
           "none of the other can match them.",
    .options = mr_join_part_options,
    .flags = MR_OP_BREAKER | MR_OP_STATEFUL | MR_OP_TAKES_SELECTION,
    .min_inputs = 2,
    .max_inputs = 2,
    .keeper = &mr_join_keeper,
    .bind = streams_bind,
    .open = streams_open,
    .push = streams_push,
    .finish = streams_finish,
    .combine = streams_combine,
    .settle = streams_settle,
    .pull = streams_pull,
    .close = streams_close,
};
