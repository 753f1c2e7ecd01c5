/*
 * window_columns.c - windowColumns: functions over the rows of a group, in an order.
 *
 * Rows are scattered by a hash of partitionBy over the partitions of a spill; each is sorted by
 * (partitionBy, orderBy) when it is pulled, and read as blocks of whole groups, whose columns are
 * computed in loops over the block (window_columns_compute.c). Without partitionBy there is one group:
 * each task sorts its rows, and the merge of all of them is read.
 *
 * A block holds whole groups, so memory holds the largest group. A group larger than half of the share
 * is worked off in pieces when all functions can (row_number, rank, dense_rank, lag, and what runs from
 * the start of the group to the current row): a piece ends where a new value of the order begins,
 * and each function remembers what it needs.
 *
 * In a stream rows keep the order of arrival, and the last ones of each group wait for the next
 * epoch (window_columns_stream.c, window_kept.c).
 *
 * Sorting the partitions before they are pulled, in the tasks, was refused: a partition's runs
 * would be as many as tasks, and rows of one key are together only after the scatter anyway.
 */
#include "op/window_kept.h"

#include "op/ops.h"

#include <string.h>

#define PARTITION_BITS MR_WINDOW_BITS
#define NPARTITIONS    MR_WINDOW_PARTS
#define BLOCK_ROWS     4096  /* at least, where there are so many */
#define OUT_ROWS       65536 /* at most, of a batch */

struct window_task {
    const struct mr_window_plan *plan;
    struct mr_eval *eval;
    struct mr_spill *spill;   /* with partitionBy, and of a stream */
    struct mr_sorter *sorter; /* without */
    struct mr_spill **outs;   /* of a stream: what comes out, by partition; NULL = nothing */
};

/* ---- taking rows in ------------------------------------------------------------------------ */

static void window_close(void *task)
{
    struct window_task *self = task;
    mr_eval_free(self->eval);
    mr_spill_free(self->spill);
    mr_sorter_free(self->sorter);
    for (int p = 0; self->outs && p < NPARTITIONS; p++)
        mr_spill_free(self->outs[p]);
    mr_free(self->outs);
    mr_free(self);
}

static enum mr_status window_open(void *plan, struct mr_runtime *runtime, void **task,
                                  struct mr_error *err)
{
    struct window_task *self = mr_calloc(1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    const struct mr_window_plan *p = self->plan = plan;
    enum mr_status status = mr_eval_new(runtime->memory, &p->appended.session, &self->eval, err);
    if (status == MR_OK && (p->npartition > 0 || p->kept))
        status = mr_spill_new(runtime, p->appended.schema, NPARTITIONS, runtime->share,
                              &self->spill, err);
    else if (status == MR_OK)
        status = mr_sorter_new(&p->sorter, runtime, runtime->share, &self->sorter, err);
    if (status != MR_OK) {
        window_close(self);
        return status;
    }
    *task = self;
    return MR_OK;
}

static enum mr_status scatter(struct window_task *self, struct mr_batch *batch,
                              struct mr_error *err)
{
    const struct mr_window_plan *plan = self->plan;
    size_t rows = (size_t)batch->rows;
    uint64_t *hashes = mr_calloc(rows + 1, sizeof *hashes + sizeof(uint32_t));
    if (!hashes)
        return mr_error_nomem(err);
    uint32_t *partitions = (uint32_t *)(void *)(hashes + rows);
    for (int k = 0; k < plan->npartition; k++)
        mr_column_hash(batch->columns[plan->partition[k]], NULL, batch->rows, hashes);
    for (size_t i = 0; i < rows; i++)
        partitions[i] = mr_spill_partition(hashes[i], PARTITION_BITS);
    enum mr_status status =
        mr_spill_scatter(self->spill, batch, NULL, partitions, batch->rows, err);
    mr_free(hashes);
    return status;
}

static enum mr_status window_push(void *task, int port, struct mr_batch *batch,
                                  struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    (void)emit;
    struct window_task *self = task;
    struct mr_batch *rows;
    MR_TRY(mr_op_append_eval(&self->plan->appended, self->eval, batch, &rows, err));
    enum mr_status status =
        self->spill ? scatter(self, rows, err) : mr_sorter_add(self->sorter, rows, err);
    mr_batch_unref(rows);
    return status;
}

static enum mr_status window_finish(void *task, int port, struct mr_emit *emit,
                                    struct mr_error *err)
{
    (void)port;
    (void)emit;
    struct window_task *self = task;
    mr_eval_free(self->eval);
    self->eval = NULL;
    return self->spill ? mr_spill_flush(self->spill, err) : mr_sorter_finish(self->sorter, err);
}

static enum mr_status window_combine(void *into, void *from, struct mr_error *err)
{
    struct window_task *a = into, *b = from;
    return a->spill ? mr_spill_absorb(a->spill, b->spill, err)
                    : mr_sorter_absorb(a->sorter, b->sorter, err);
}

static enum mr_status window_settle(void *built, struct mr_runtime *runtime, int piece, int *pieces,
                                    struct mr_error *err)
{
    struct window_task *self = built;
    if (self->plan->kept && piece >= 0)
        return mr_window_stream_part(self->plan, self->spill, runtime, piece, &self->outs[piece],
                                     err);
    if (self->plan->kept) {
        if (!runtime->kept)
            return mr_error_internal(err, "the rows before those of a stream are missing");
        self->outs = mr_calloc(NPARTITIONS, sizeof(*self->outs));
        *pieces = NPARTITIONS;
        return self->outs ? MR_OK : mr_error_nomem(err);
    }
    return piece < 0 && self->sorter ? mr_sorter_divide(self->sorter, 1, err) : MR_OK;
}

/* ---- one sorted stream of rows -------------------------------------------------------------- */

struct stream {
    const struct mr_window_plan *plan;
    struct mr_runtime *runtime;
    struct mr_eval *eval;
    struct mr_emit *emit;
    struct mr_error *err;
    /* rows that wait for the end of their group */
    struct mr_batch **pending;
    int npending;
    int capacity;
    int64_t bytes;
    /* of a group that is worked off in pieces */
    struct mr_window_memory *memories;
    int64_t rows_before;
    int64_t peers_before;
};

enum mr_status mr_window_emit(const struct mr_window_plan *plan, struct mr_eval *eval,
                              struct mr_memory *memory, struct mr_batch *results,
                              struct mr_emit *emit, struct mr_error *err)
{
    int n = plan->schema->nfields, done = 0;
    struct mr_batch *out = NULL;
    struct mr_column **columns = mr_calloc((size_t)n + 1, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (; status == MR_OK && done < n; done += status == MR_OK) {
        if (plan->from[done] >= 0)
            columns[done] = mr_column_ref(results->columns[plan->from[done]]);
        else
            status = mr_expr_eval(eval, plan->exprs[done], results, &columns[done], err);
    }
    if (status == MR_OK)
        status = mr_batch_new(plan->schema, results->rows, columns, &out, err);
    else
        for (int i = 0; i < done; i++)
            mr_column_unref(columns[i]);
    mr_free(columns);
    if (status != MR_OK || out->rows <= OUT_ROWS)
        return status == MR_OK ? emit->batch(emit, 0, out, err) : status;
    for (int64_t from = 0; status == MR_OK && from < out->rows && !emit->closed; from += OUT_ROWS) {
        struct mr_batch *part;
        int64_t count = out->rows - from < OUT_ROWS ? out->rows - from : OUT_ROWS;
        status = mr_batch_slice(memory, out, from, count, &part, err);
        if (status == MR_OK)
            status = emit->batch(emit, 0, part, err);
    }
    mr_batch_unref(out);
    return status;
}

static enum mr_status compute_all(struct stream *s, struct mr_window_block *block,
                                  struct mr_batch **out)
{
    const struct mr_window_plan *plan = s->plan;
    int n = plan->appended.input->nfields, done = 0;
    struct mr_column **columns = mr_calloc((size_t)(n + plan->nfunctions) + 1, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(s->err);
    enum mr_status status = MR_OK;
    for (; status == MR_OK && done < plan->nfunctions; done += status == MR_OK)
        status = mr_window_compute(block, done, &columns[n + done], s->err);
    if (status == MR_OK) {
        for (int i = 0; i < n; i++)
            columns[i] = mr_column_ref(block->batch->columns[i]);
        status = mr_batch_new(plan->results, block->rows, columns, out, s->err);
    } else {
        for (int i = 0; i < done; i++)
            mr_column_unref(columns[n + i]);
    }
    mr_free(columns);
    return status;
}

/* Where the next piece of the group begins, in rows, equals and what functions keep. */
static void go_on(struct stream *s, const struct mr_window_block *block)
{
    int64_t start = block->group_start[block->rows - 1];
    if (!block->goes_on) {
        s->rows_before = s->peers_before = 0;
        return;
    }
    if (start > 0)
        s->rows_before = s->peers_before = 0;
    s->rows_before += block->rows - start;
    for (int64_t i = start; i < block->rows; i++)
        s->peers_before += i == block->peer_start[i];
}

static enum mr_status work_off(struct stream *s, struct mr_batch *batch, bool goes_on)
{
    struct mr_window_block block = {.plan = s->plan,
                                    .runtime = s->runtime,
                                    .eval = s->eval,
                                    .batch = batch,
                                    .rows_before = s->rows_before,
                                    .peers_before = s->peers_before,
                                    .memories = s->memories,
                                    .goes_on = goes_on};
    struct mr_batch *results = NULL;
    enum mr_status status = mr_window_block_init(&block, s->err);
    if (status == MR_OK)
        status = compute_all(s, &block, &results);
    if (status == MR_OK)
        go_on(s, &block);
    mr_window_block_reset(&block);
    if (status == MR_OK)
        status = mr_window_emit(s->plan, s->eval, s->runtime->memory, results, s->emit, s->err);
    mr_batch_unref(results);
    return status;
}

/* ---- groups --------------------------------------------------------------------------------- */

static void drop_pending(struct stream *s)
{
    for (int i = 0; i < s->npending; i++)
        mr_batch_unref(s->pending[i]);
    s->npending = 0;
    s->bytes = 0;
}

/* Takes over the reference. */
static enum mr_status add_pending(struct stream *s, struct mr_batch *batch)
{
    if (s->npending == s->capacity) {
        int capacity = s->capacity * 2 + 16;
        struct mr_batch **grown = mr_realloc(s->pending, (size_t)capacity * sizeof(*grown));
        if (!grown) {
            mr_batch_unref(batch);
            return mr_error_nomem(s->err);
        }
        s->pending = grown;
        s->capacity = capacity;
    }
    s->pending[s->npending++] = batch;
    s->bytes += mr_batch_bytes(batch);
    return MR_OK;
}

/* All pending rows as one batch, which is no longer pending. */
static enum mr_status take_pending(struct stream *s, struct mr_batch **out)
{
    enum mr_status status = MR_OK;
    if (s->npending == 1)
        *out = mr_batch_ref(s->pending[0]);
    else
        status = mr_batch_concat(s->runtime->memory, s->pending, s->npending, out, s->err);
    if (status == MR_OK)
        drop_pending(s);
    return status;
}

/* The last row of the batch that begins a group (or run of equals); -1 = none. */
static enum mr_status last_start(struct stream *s, const struct mr_batch *batch, bool equals,
                                 int64_t *out)
{
    const struct mr_window_plan *plan = s->plan;
    const struct mr_batch *before = s->npending > 0 ? s->pending[s->npending - 1] : NULL;
    uint8_t *flags = mr_calloc((size_t)batch->rows + 1, 1);
    if (!flags)
        return mr_error_nomem(s->err);
    int nkeys = plan->npartition + (equals ? plan->norder : 0);
    for (int k = 0; k < nkeys; k++) {
        int column =
            k < plan->npartition ? plan->partition[k] : plan->order[k - plan->npartition].column;
        mr_window_mark(batch->columns[column], batch->rows, flags);
        if (before && !mr_column_equal_rows(before->columns[column], before->rows - 1,
                                            batch->columns[column], 0))
            flags[0] = 1;
    }
    int64_t at = batch->rows - 1;
    while (at >= 0 && !flags[at])
        at--;
    mr_free(flags);
    *out = at;
    return MR_OK;
}

static enum mr_status cut(struct stream *s, struct mr_batch *batch, int64_t at)
{
    struct mr_batch *part;
    MR_TRY(mr_batch_slice(s->runtime->memory, batch, at, batch->rows - at, &part, s->err));
    return add_pending(s, part);
}

/* Rows [0, at) of the batch behind what is pending are worked off; the rest is pending then. */
static enum mr_status work_off_to(struct stream *s, struct mr_batch *batch, int64_t at,
                                  bool goes_on)
{
    struct mr_batch *all = NULL, *part = NULL;
    if (at > 0) {
        MR_TRY(mr_batch_slice(s->runtime->memory, batch, 0, at, &part, s->err));
        MR_TRY(add_pending(s, part));
    }
    enum mr_status status = s->npending > 0 ? take_pending(s, &all) : MR_OK;
    if (status == MR_OK && all)
        status = work_off(s, all, goes_on);
    mr_batch_unref(all);
    return status == MR_OK ? cut(s, batch, at) : status;
}

/* A piece of the one group that is pending, up to where its last run of equals begins. */
static enum mr_status work_off_piece(struct stream *s)
{
    struct mr_batch *all;
    int64_t at;
    MR_TRY(take_pending(s, &all));
    enum mr_status status = last_start(s, all, true, &at);
    if (status == MR_OK && s->plan->norder == 0)
        at = all->rows - 1; /* there is nothing to tell equals by, nor a function that asks */
    if (status == MR_OK && at > 0)
        status = work_off_to(s, all, at, true);
    else if (status == MR_OK)
        status = add_pending(s, mr_batch_ref(all));
    mr_batch_unref(all);
    return status;
}

static enum mr_status take_batch(struct stream *s, struct mr_batch *batch)
{
    int64_t at;
    MR_TRY(last_start(s, batch, false, &at));
    if (at > 0 || (at == 0 && s->npending > 0))
        MR_TRY(work_off_to(s, batch, at, false));
    else
        MR_TRY(add_pending(s, mr_batch_ref(batch)));
    if (s->plan->streams && s->bytes > s->runtime->share / 2)
        return work_off_piece(s);
    return MR_OK;
}

/* A group that does not fit: which one, and of what. */
static enum mr_status too_large(struct stream *s)
{
    struct mr_bytes text;
    int64_t rows = s->rows_before;
    const struct mr_batch *batch = s->pending[0];
    for (int i = 0; i < s->npending; i++)
        rows += s->pending[i]->rows;
    mr_bytes_init(&text, 400);
    for (int k = 0; k < s->plan->npartition; k++) {
        struct mr_value value;
        mr_column_get(batch->columns[s->plan->partition[k]], 0, &value);
        mr_bytes_text(&text, k > 0 ? ", " : "");
        mr_value_format(&value, &text);
    }
    if (s->plan->npartition == 0)
        mr_bytes_text(&text, "all rows");
    mr_bytes_append(&text, "", 1);
    mr_error_set(s->err, MR_LIMIT, MR_CLASS_CONFIG,
                 "the window group (%.200s) has more rows (over %lld) than fit into memory",
                 text.status == MR_OK ? text.data : "..", (long long)rows);
    mr_error_hint(s->err,
                  "raise resources.memory, or use only functions that run through a group: "
                  "row_number, rank, lag, and frames from UNBOUNDED PRECEDING to CURRENT ROW");
    mr_bytes_reset(&text);
    return MR_LIMIT;
}

static enum mr_status read_all(struct stream *s, struct mr_sorter_reader *reader)
{
    enum mr_status status = MR_OK;
    while (status == MR_OK && !s->emit->closed) {
        struct mr_batch *batch, *all = NULL;
        status = mr_sorter_read(reader, &batch, s->err);
        if (status == MR_OK && batch) {
            status = take_batch(s, batch);
            mr_batch_unref(batch);
            continue;
        }
        if (status == MR_OK && s->npending > 0)
            status = take_pending(s, &all);
        if (status == MR_OK && all)
            status = work_off(s, all, false);
        mr_batch_unref(all);
        break;
    }
    if (status == MR_LIMIT && s->npending > 0 && s->bytes > s->runtime->share / 2)
        return too_large(s);
    return status;
}

static enum mr_status pull_sorter(const struct mr_window_plan *plan, struct mr_runtime *runtime,
                                  const struct mr_sorter *sorter, struct mr_emit *emit,
                                  struct mr_error *err)
{
    struct stream s = {.plan = plan, .runtime = runtime, .emit = emit, .err = err};
    struct mr_sorter_reader *reader = NULL;
    enum mr_status status = mr_eval_new(runtime->memory, &plan->appended.session, &s.eval, err);
    if (status == MR_OK && plan->streams) {
        s.memories = mr_calloc((size_t)plan->nfunctions + 1, sizeof *s.memories);
        status = s.memories ? MR_OK : mr_error_nomem(err);
    }
    if (status == MR_OK)
        status = mr_sorter_reader_new(sorter, runtime, 0, plan->sorter.schema, &reader, err);
    if (status == MR_OK) {
        if (runtime->batch_rows > 0 && runtime->batch_rows < BLOCK_ROWS)
            mr_sorter_reader_rows(reader, BLOCK_ROWS);
        status = read_all(&s, reader);
    }
    mr_sorter_reader_free(reader);
    drop_pending(&s);
    for (int f = 0; s.memories && f < plan->nfunctions; f++)
        mr_column_unref(s.memories[f].kept);
    mr_free(s.memories);
    mr_free(s.pending);
    mr_eval_free(s.eval);
    return status;
}

static enum mr_status pull_partition(const struct window_task *self, struct mr_runtime *runtime,
                                     int partition, struct mr_emit *emit, struct mr_error *err)
{
    struct mr_sorter *sorter;
    if (mr_spill_rows(self->spill, partition) == 0)
        return MR_OK;
    MR_TRY(mr_sorter_new(&self->plan->sorter, runtime, runtime->share, &sorter, err));
    enum mr_status status = mr_sorter_fill(sorter, self->spill, runtime, partition, err);
    if (status == MR_OK)
        status = mr_sorter_divide(sorter, 1, err);
    if (status == MR_OK)
        status = pull_sorter(self->plan, runtime, sorter, emit, err);
    mr_sorter_free(sorter);
    return status;
}

static enum mr_status pull_out(const struct window_task *self, struct mr_runtime *runtime,
                               int partition, struct mr_emit *emit, struct mr_error *err)
{
    const struct mr_spill *out = self->outs[partition];
    for (int c = 0; out && c < mr_spill_chunks(out, 0) && !emit->closed; c++) {
        struct mr_batch *batch;
        MR_TRY(mr_spill_chunk(out, runtime, 0, c, &batch, err));
        MR_TRY(emit->batch(emit, 0, batch, err));
    }
    return MR_OK;
}

static enum mr_status window_pull(const void *built, struct mr_runtime *runtime, int partition,
                                  struct mr_emit *emit, struct mr_error *err)
{
    const struct window_task *self = built;
    if (self->sorter)
        return pull_sorter(self->plan, runtime, self->sorter, emit, err);
    int from = NPARTITIONS * partition / self->plan->pulls;
    int to = NPARTITIONS * (partition + 1) / self->plan->pulls;
    for (int p = from; p < to && !emit->closed; p++)
        MR_TRY(self->outs ? pull_out(self, runtime, p, emit, err)
                          : pull_partition(self, runtime, p, emit, err));
    return MR_OK;
}

static const struct mr_option window_options[] = {
    {.name = "columns",
     .type = MR_OPTION_PAIRS,
     .flags = MR_OPTION_REQUIRED,
     .doc = "{name: expression over window functions}, added or replaced: row_number(), rank(), "
            "dense_rank(), percent_rank(), cume_dist(), ntile(n), lag(x[, n[, default]]), "
            "lead(..), first_value(x), last_value(x), nth_value(x, n), and every aggregate over "
            "the frame."},
    {.name = "partitionBy",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_EXPRESSION,
     .doc =
         "Columns or expressions; rows that are equal in all of them are a group. Without it all "
         "rows are one group, which one task works off."},
    {.name = "orderBy",
     .type = MR_OPTION_STRINGS,
     .doc = "The order in the group: columns or expressions, each with ASC or DESC and NULLS FIRST "
            "or NULLS LAST behind it, as in sortData. Equal rows come in the order in which they "
            "came."},
    {.name = "frame",
     .type = MR_OPTION_STRING,
     .doc = "\"ROWS BETWEEN a AND b\" or \"RANGE BETWEEN a AND b\", with UNBOUNDED PRECEDING, n "
            "PRECEDING, CURRENT ROW, n FOLLOWING, UNBOUNDED FOLLOWING. RANGE takes numbers and "
            "intervals. Default: with orderBy RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW, "
            "without it all rows of the group."},
    MR_OPTION_END,
};

const struct mr_op mr_op_window_columns = {
    .name = "windowColumns",
    .doc =
        "Adds columns that are computed over groups of rows in an order. The rows come out group "
        "by group, each in its order; the groups in no particular order, but the same in every "
        "run. In a stream without orderBy, in the order of arrival, over rows that have come: "
        "frames of ROWS from n PRECEDING to CURRENT ROW or m PRECEDING, or from UNBOUNDED "
        "PRECEDING to CURRENT ROW, lag, row_number.",
    .options = window_options,
    .flags = MR_OP_BREAKER | MR_OP_STATEFUL,
    .min_inputs = 1,
    .max_inputs = 1,
    .keeper = &mr_window_keeper,
    .bind = mr_window_bind,
    .open = window_open,
    .push = window_push,
    .finish = window_finish,
    .combine = window_combine,
    .settle = window_settle,
    .pull = window_pull,
    .close = window_close,
};
