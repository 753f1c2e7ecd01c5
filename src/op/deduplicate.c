/*
 * deduplicate.c - deduplicate: one row of each key.
 *
 * Rows are scattered by a hash of their keys over the partitions of a spill, and each partition is
 * worked off alone, so memory holds the distinct keys of one partition. Without an order, reading the
 * rows forwards (first) or backwards (last) and keeping those whose key is new is all there is to do,
 * and rows leave as they are read. With an order, or when a partition is too large for that, the
 * partition is sorted by its keys and the order, in bounded memory, and the first or last row of each
 * run of equal keys is kept; the sort is stable, so both ways keep the same rows.
 *
 * "unique" keeps all rows, and fails on a second one with a key: what an upsert does first.
 *
 * In a stream, keys of earlier epochs are kept (deduplicate_stream.c), and what leaves is the first row of each key that is not
 * among them.
 *
 * For "first in the order of the input", a task leaves out at once what it has seen before, with a
 * table of keys that grows to half of its share: data with many duplicates is never spilled.
 */
#include "op/dedup.h"
#include "op/event_time.h"
#include "op/ops.h"

#include <string.h>

struct dedup_task {
    const struct mr_dedup_plan *plan;
    struct mr_runtime *runtime;
    struct mr_eval *eval;
    struct mr_spill *spill;
    struct mr_group_table *seen; /* of this task; NULL when it is of no use */
    bool full;
    struct mr_dedup_fresh *fresh; /* of a stream: by partition, once it is settled */
};

/* ---- bind ---------------------------------------------------------------------------------- */

static enum mr_status bind_keys(struct mr_dedup_plan *self, const struct mr_op_bind *bind,
                                struct mr_error *err)
{
    const struct mr_option_value *keys = mr_options_get(bind->options, "keys");
    const struct mr_schema *input = bind->inputs[0].schema;
    bool all = !keys->set || keys->u.strings.count == 0;
    self->nkeys = all ? input->nfields : keys->u.strings.count;
    self->keys = mr_arena_calloc(bind->arena, (size_t)self->nkeys + 1, sizeof *self->keys);
    self->types = mr_arena_calloc(bind->arena, (size_t)self->nkeys + 1, sizeof(*self->types));
    if (!self->keys || !self->types)
        return mr_error_nomem(err);
    for (int i = 0; i < self->nkeys; i++) {
        self->keys[i] = i;
        if (all)
            self->appended.reads[i] = true;
        else if (mr_op_append(&self->appended, keys->u.strings.items[i], &self->keys[i], err) !=
                 MR_OK)
            return mr_op_option_failed(bind->options, "keys", NULL, err);
        self->types[i] = mr_op_append_field(&self->appended, self->keys[i]).type;
    }
    return MR_OK;
}

static enum mr_status bind_order(struct mr_dedup_plan *self, const struct mr_op_bind *bind,
                                 struct mr_error *err)
{
    const struct mr_option_value *order = mr_options_get(bind->options, "orderBy");
    int norder = order->set ? order->u.strings.count : 0;
    struct mr_sort_key *keys =
        mr_arena_calloc(bind->arena, (size_t)(self->nkeys + norder + 1), sizeof *keys);
    struct mr_sort_layout *layout;
    if (!keys)
        return mr_error_nomem(err);
    for (int i = 0; i < self->nkeys; i++) {
        struct mr_field field = mr_op_append_field(&self->appended, self->keys[i]);
        keys[i] = (struct mr_sort_key){.column = self->keys[i],
                                       .type = field.type,
                                       .nullable = field.nullable};
    }
    for (int i = 0; i < norder; i++) {
        if (mr_op_append_order(&self->appended, order->u.strings.items[i], &keys[self->nkeys + i],
                               err) != MR_OK)
            return mr_op_option_failed(bind->options, "orderBy", NULL, err);
    }
    self->ordered = norder > 0;
    MR_TRY(mr_dedup_bind_stream(self, bind, err));
    MR_TRY(mr_op_append_finish(&self->appended, err));
    MR_TRY(mr_sort_layout_new(bind->arena, keys, self->nkeys + norder, &layout, err));
    self->sorter.layout = layout;
    self->sorter.schema = self->appended.schema;
    return MR_OK;
}

static const char *describe(const struct mr_dedup_plan *self, const struct mr_op_bind *bind)
{
    const struct mr_option_value *keys = mr_options_get(bind->options, "keys");
    const struct mr_option_value *order = mr_options_get(bind->options, "orderBy");
    const char *by = "all columns", *ordered = NULL;
    if (keys->set && keys->u.strings.count > 0)
        by = mr_op_join_texts(bind->arena, keys->u.strings.items, keys->u.strings.count);
    if (self->ordered)
        ordered = mr_op_join_texts(bind->arena, order->u.strings.items, order->u.strings.count);
    if (!by || (self->ordered && !ordered))
        return NULL;
    if (self->keep == MR_DEDUP_UNIQUE)
        return mr_arena_printf(bind->arena, "all rows, an error if two have the same %s", by);
    return mr_arena_printf(bind->arena, "the %s row of each %s%s%s",
                           self->keep == MR_DEDUP_LAST ? "last" : "first", by,
                           ordered ? " in the order of " : "", ordered ? ordered : "");
}

static enum mr_status dedup_bind(const struct mr_op_bind *bind, void **plan,
                                 struct mr_op_info *info, struct mr_error *err)
{
    struct mr_dedup_plan *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    self->schema = bind->inputs[0].schema;
    self->keep = (enum mr_dedup_keep)mr_options_integer(bind->options, "keep", MR_DEDUP_FIRST);
    MR_TRY(mr_op_append_init(&self->appended, bind, err));
    MR_TRY(bind_keys(self, bind, err));
    MR_TRY(bind_order(self, bind, err));
    info->schema = self->schema;
    info->kept = self->kept;
    info->rows = bind->inputs[0].rows;
    self->pulls = mr_op_pulls(bind, info->rows);
    if (self->pulls > MR_DEDUP_PARTITIONS)
        self->pulls = MR_DEDUP_PARTITIONS;
    info->pulls = self->pulls;
    info->details = describe(self, bind);
    if (!info->details)
        return mr_error_nomem(err);
    *plan = self;
    MR_TRY(mr_op_append_passes(&self->appended, info->schema, info, err));
    return mr_op_append_crosses(&self->appended, self->keys, self->nkeys, info, err);
}

/* ---- taking rows in ------------------------------------------------------------------------ */

static void dedup_close(void *task)
{
    struct dedup_task *self = task;
    mr_eval_free(self->eval);
    mr_group_table_free(self->seen);
    mr_spill_free(self->spill);
    for (int p = 0; self->fresh && p < MR_DEDUP_PARTITIONS; p++)
        mr_free(self->fresh[p].bits);
    mr_free(self->fresh);
    mr_free(self);
}

static enum mr_status dedup_open(void *plan, struct mr_runtime *runtime, void **task,
                                 struct mr_error *err)
{
    struct dedup_task *self = mr_calloc(1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    const struct mr_dedup_plan *p = plan;
    bool forwards = !p->ordered && p->keep == MR_DEDUP_FIRST;
    self->plan = plan;
    self->runtime = runtime;
    enum mr_status status = mr_eval_new(runtime->memory, &p->appended.session, &self->eval, err);
    if (status == MR_OK)
        status = mr_spill_new(runtime, p->appended.schema, MR_DEDUP_PARTITIONS,
                              forwards ? runtime->share / 2 : runtime->share, &self->spill, err);
    if (status == MR_OK && forwards)
        status = mr_group_table_new(runtime->memory, p->types, p->nkeys, &self->seen, err);
    if (status != MR_OK) {
        dedup_close(self);
        return status;
    }
    *task = self;
    return MR_OK;
}

static void key_columns(const struct mr_dedup_plan *plan, const struct mr_batch *batch,
                        struct mr_column **out)
{
    for (int k = 0; k < plan->nkeys; k++)
        out[k] = batch->columns[plan->keys[k]];
}

/* Scratch for the rows of a batch, one piece of memory. */
struct scratch {
    uint64_t *hashes;
    uint32_t *groups; /* or partitions */
    int32_t *rows;
    struct mr_column **columns;
};

static enum mr_status scratch_new(const struct mr_dedup_plan *plan, const struct mr_batch *batch,
                                  struct scratch *out, struct mr_error *err)
{
    size_t rows = (size_t)batch->rows;
    out->columns = mr_calloc(1, ((size_t)plan->nkeys + 1) * sizeof(*out->columns) + rows * 16);
    if (!out->columns)
        return mr_error_nomem(err);
    out->hashes = (uint64_t *)(void *)(out->columns + plan->nkeys + 1);
    out->groups = (uint32_t *)(void *)(out->hashes + rows);
    out->rows = (int32_t *)(void *)(out->groups + rows);
    key_columns(plan, batch, out->columns);
    for (int k = 0; k < plan->nkeys; k++)
        mr_column_hash(out->columns[k], NULL, batch->rows, out->hashes);
    return MR_OK;
}

/*
 * Rows of the batch whose key the table does not have, into scratch->rows; `last` keeps the last of
 * those with one key, and looks at the rows backwards.
 */
static enum mr_status find_new(struct mr_group_table *table, const struct mr_batch *batch,
                               struct scratch *scratch, bool last, int64_t *count,
                               struct mr_error *err)
{
    int64_t n = batch->rows, before = mr_group_table_count(table), out = 0;
    int32_t *rows = NULL;
    if (last) {
        rows = scratch->rows;
        uint64_t *h = scratch->hashes;
        for (int64_t i = 0; i < n; i++)
            rows[i] = (int32_t)(n - 1 - i);
        for (int64_t i = 0; i < n / 2; i++) {
            uint64_t swap = h[i];
            h[i] = h[n - 1 - i];
            h[n - 1 - i] = swap;
        }
    }
    MR_TRY(mr_group_table_put(table, scratch->columns, rows, n, scratch->hashes, scratch->groups,
                              err));
    /* New groups are numbered in the order of appearance. */
    int64_t next = before;
    for (int64_t i = 0; i < n; i++) {
        if (scratch->groups[i] != next)
            continue;
        scratch->rows[out++] = rows ? (int32_t)(n - 1 - i) : (int32_t)i;
        next++;
    }
    for (int64_t i = 0; last && i < out / 2; i++) {
        int32_t swap = scratch->rows[i];
        scratch->rows[i] = scratch->rows[out - 1 - i];
        scratch->rows[out - 1 - i] = swap;
    }
    *count = out;
    return MR_OK;
}

/* Rows that this task has not seen; *count = all of them when it does not know. */
static enum mr_status leave_out_seen(struct dedup_task *self, const struct mr_batch *batch,
                                     struct scratch *scratch, int64_t *count, bool *all,
                                     struct mr_error *err)
{
    *count = batch->rows;
    *all = true;
    if (!self->seen)
        return MR_OK;
    if (!self->full) {
        self->full = mr_group_table_bytes(self->seen) > self->runtime->share / 4;
        *all = false;
        return find_new(self->seen, batch, scratch, false, count, err);
    }
    MR_TRY(mr_group_table_find(self->seen, scratch->columns, NULL, batch->rows, scratch->hashes,
                               scratch->groups, err));
    int64_t n = 0;
    for (int64_t i = 0; i < batch->rows; i++)
        if (scratch->groups[i] == MR_GROUP_NONE)
            scratch->rows[n++] = (int32_t)i;
    *count = n;
    *all = false;
    return MR_OK;
}

static enum mr_status take_in(struct dedup_task *self, struct mr_batch *batch, struct mr_error *err)
{
    struct scratch scratch;
    int64_t count;
    bool all;
    MR_TRY(scratch_new(self->plan, batch, &scratch, err));
    enum mr_status status = leave_out_seen(self, batch, &scratch, &count, &all, err);
    if (status == MR_OK && count > 0) {
        for (int64_t i = 0; i < count; i++)
            scratch.groups[i] =
                mr_spill_partition(scratch.hashes[all ? i : scratch.rows[i]], MR_DEDUP_BITS);
        status = mr_spill_scatter(self->spill, batch, all ? NULL : scratch.rows, scratch.groups,
                                  count, err);
    }
    mr_free(scratch.columns);
    return status;
}

static enum mr_status dedup_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                 struct mr_error *err)
{
    (void)port;
    (void)emit;
    struct dedup_task *self = task;
    struct mr_batch *rows;
    MR_TRY(mr_op_append_eval(&self->plan->appended, self->eval, batch, &rows, err));
    enum mr_status status = take_in(self, rows, err);
    mr_batch_unref(rows);
    return status;
}

static enum mr_status dedup_finish(void *task, int port, struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    (void)emit;
    struct dedup_task *self = task;
    mr_eval_free(self->eval);
    mr_group_table_free(self->seen);
    self->eval = NULL;
    self->seen = NULL;
    return mr_spill_flush(self->spill, err);
}

static enum mr_status dedup_combine(void *into, void *from, struct mr_error *err)
{
    struct dedup_task *a = into, *b = from;
    return mr_spill_absorb(a->spill, b->spill, err);
}

static enum mr_status dedup_rest(void *built, int64_t bytes, struct mr_error *err)
{
    return mr_spill_limit(((struct dedup_task *)built)->spill, bytes, err);
}

/* Of a stream: what is new of each partition is known before anything is pulled, which may happen more than once. */
static enum mr_status dedup_settle(void *built, struct mr_runtime *runtime, int piece, int *pieces,
                                   struct mr_error *err)
{
    struct dedup_task *self = built;
    if (!runtime->kept)
        return MR_OK;
    if (piece >= 0)
        return mr_dedup_remember(self->plan, self->spill, runtime, piece, &self->fresh[piece], err);
    self->fresh = mr_calloc(MR_DEDUP_PARTITIONS, sizeof *self->fresh);
    *pieces = MR_DEDUP_PARTITIONS;
    return self->fresh ? MR_OK : mr_error_nomem(err);
}

/* ---- giving rows out ------------------------------------------------------------------------ */

/* Rows `rows` of the batch without the columns behind those of the input. */
static enum mr_status emit_rows(const struct mr_dedup_plan *plan, struct mr_runtime *runtime,
                                const struct mr_batch *batch, const int32_t *rows, int64_t count,
                                struct mr_emit *emit, struct mr_error *err)
{
    int n = plan->schema->nfields, done = 0;
    struct mr_batch *out;
    if (count == 0)
        return MR_OK;
    struct mr_column **columns = mr_calloc((size_t)n + 1, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (; status == MR_OK && done < n; done += status == MR_OK) {
        if (count == batch->rows)
            columns[done] = mr_column_ref(batch->columns[done]);
        else
            status = mr_column_take(runtime->memory, batch->columns[done], rows, count,
                                    &columns[done], err);
    }
    if (status == MR_OK)
        status = mr_batch_new(plan->schema, count, columns, &out, err);
    else
        for (int i = 0; i < done; i++)
            mr_column_unref(columns[i]);
    mr_free(columns);
    return status == MR_OK ? emit->batch(emit, 0, out, err) : status;
}

/* "id = 7, day = 2024-01-01" of a row. */
static void describe_key(const struct mr_dedup_plan *plan, const struct mr_batch *batch,
                         int64_t row, struct mr_bytes *out)
{
    for (int k = 0; k < plan->nkeys; k++) {
        struct mr_value value;
        mr_bytes_printf(out, "%s%s = ", k ? ", " : "",
                        plan->appended.schema->fields[plan->keys[k]].name);
        mr_column_get(batch->columns[plan->keys[k]], row, &value);
        mr_value_format(&value, out);
    }
}

static enum mr_status repeated(const struct mr_dedup_plan *plan, const struct mr_batch *batch,
                               int64_t row, struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 400);
    describe_key(plan, batch, row, &text);
    mr_error_set(err, MR_SOURCE, MR_CLASS_DATA, "more than one row has the key %.*s",
                 (int)text.size, text.size ? text.data : "");
    if (err)
        mr_error_hint(err, "keep one of them with a deduplicate step before");
    mr_bytes_reset(&text);
    return MR_SOURCE;
}

/* NULL is no key: it matches nothing. */
static bool has_key(const struct mr_dedup_plan *plan, const struct mr_batch *batch, int64_t row)
{
    for (int k = 0; k < plan->nkeys; k++)
        if (mr_column_is_null(batch->columns[plan->keys[k]], row))
            return false;
    return true;
}

/* All rows of the batch; an error if the table, or an earlier row, has one of their keys. */
static enum mr_status emit_unique(const struct dedup_task *self, struct mr_runtime *runtime,
                                  struct mr_group_table *table, const struct mr_batch *batch,
                                  struct scratch *scratch, struct mr_emit *emit,
                                  struct mr_error *err)
{
    int64_t next = mr_group_table_count(table);
    MR_TRY(mr_group_table_put(table, scratch->columns, NULL, batch->rows, scratch->hashes,
                              scratch->groups, err));
    for (int64_t i = 0; i < batch->rows; i++) {
        if (scratch->groups[i] == next)
            next++;
        else if (has_key(self->plan, batch, i))
            return repeated(self->plan, batch, i, err);
    }
    return emit_rows(self->plan, runtime, batch, NULL, batch->rows, emit, err);
}

static enum mr_status emit_new(const struct dedup_task *self, struct mr_runtime *runtime,
                               struct mr_group_table *table, const struct mr_batch *batch,
                               struct mr_emit *emit, struct mr_error *err)
{
    struct scratch scratch;
    int64_t count;
    MR_TRY(scratch_new(self->plan, batch, &scratch, err));
    if (self->plan->keep == MR_DEDUP_UNIQUE) {
        enum mr_status unique = emit_unique(self, runtime, table, batch, &scratch, emit, err);
        mr_free(scratch.columns);
        return unique;
    }
    enum mr_status status =
        find_new(table, batch, &scratch, self->plan->keep == MR_DEDUP_LAST, &count, err);
    if (status == MR_OK)
        status = emit_rows(self->plan, runtime, batch, scratch.rows, count, emit, err);
    mr_free(scratch.columns);
    return status;
}

static enum mr_status pull_by_table(const struct dedup_task *self, struct mr_runtime *runtime,
                                    int partition, struct mr_emit *emit, struct mr_error *err)
{
    struct mr_group_table *table;
    int count = mr_spill_chunks(self->spill, partition);
    bool last = self->plan->keep == MR_DEDUP_LAST;
    MR_TRY(mr_group_table_new(runtime->memory, self->plan->types, self->plan->nkeys, &table, err));
    enum mr_status status = MR_OK;
    for (int c = 0; status == MR_OK && c < count && !emit->closed; c++) {
        struct mr_batch *batch;
        status =
            mr_spill_chunk(self->spill, runtime, partition, last ? count - 1 - c : c, &batch, err);
        if (status != MR_OK)
            break;
        status = emit_new(self, runtime, table, batch, emit, err);
        mr_batch_unref(batch);
    }
    mr_group_table_free(table);
    return status;
}

static bool same_key(const struct mr_dedup_plan *plan, const struct mr_batch *a, int64_t row_a,
                     const struct mr_batch *b, int64_t row_b)
{
    for (int k = 0; k < plan->nkeys; k++)
        if (!mr_column_equal_rows(a->columns[plan->keys[k]], row_a, b->columns[plan->keys[k]],
                                  row_b))
            return false;
    return true;
}

/*
 * Rows of a sorted batch at the wanted end of each run of equal keys; `other` is the batch before
 * (first) or behind (last) it, or NULL.
 */
static enum mr_status emit_ends(const struct mr_dedup_plan *plan, struct mr_runtime *runtime,
                                const struct mr_batch *batch, const struct mr_batch *other,
                                struct mr_emit *emit, struct mr_error *err)
{
    int32_t *rows = mr_calloc((size_t)batch->rows + 1, sizeof *rows);
    if (!rows)
        return mr_error_nomem(err);
    int64_t n = 0, end = batch->rows - 1;
    for (int64_t i = 0; i <= end; i++) {
        bool same;
        if (plan->keep != MR_DEDUP_LAST)
            same = i > 0 ? same_key(plan, batch, i - 1, batch, i)
                         : other && same_key(plan, other, other->rows - 1, batch, i);
        else
            same = i < end ? same_key(plan, batch, i, batch, i + 1)
                           : other && same_key(plan, batch, i, other, 0);
        if (same && plan->keep == MR_DEDUP_UNIQUE && has_key(plan, batch, i)) {
            mr_free(rows);
            return repeated(plan, batch, i, err);
        }
        if (!same || plan->keep == MR_DEDUP_UNIQUE)
            rows[n++] = (int32_t)i;
    }
    enum mr_status status = emit_rows(plan, runtime, batch, rows, n, emit, err);
    mr_free(rows);
    return status;
}

static enum mr_status emit_sorted(const struct mr_dedup_plan *plan, struct mr_runtime *runtime,
                                  struct mr_sorter_reader *reader, struct mr_emit *emit,
                                  struct mr_error *err)
{
    struct mr_batch *before = NULL, *batch = NULL;
    enum mr_status status = mr_sorter_read(reader, &batch, err);
    while (status == MR_OK && batch && !emit->closed) {
        struct mr_batch *next = NULL;
        status = mr_sorter_read(reader, &next, err);
        if (status == MR_OK)
            status = emit_ends(plan, runtime, batch, plan->keep == MR_DEDUP_LAST ? next : before,
                               emit, err);
        mr_batch_unref(before);
        before = batch;
        batch = next;
    }
    mr_batch_unref(before);
    mr_batch_unref(batch);
    return status;
}

static enum mr_status pull_by_sorting(const struct dedup_task *self, struct mr_runtime *runtime,
                                      int partition, struct mr_emit *emit, struct mr_error *err)
{
    struct mr_sorter *sorter;
    struct mr_sorter_reader *reader = NULL;
    const struct mr_sorter_plan *plan = &self->plan->sorter;
    MR_TRY(mr_sorter_new(plan, runtime, runtime->share, &sorter, err));
    enum mr_status status = mr_sorter_fill(sorter, self->spill, runtime, partition, err);
    if (status == MR_OK)
        status = mr_sorter_divide(sorter, 1, err);
    if (status == MR_OK)
        status = mr_sorter_reader_new(sorter, runtime, 0, plan->schema, &reader, err);
    if (status == MR_OK)
        status = emit_sorted(self->plan, runtime, reader, emit, err);
    mr_sorter_reader_free(reader);
    mr_sorter_free(sorter);
    return status;
}

static enum mr_status pull_fresh(const struct dedup_task *self, struct mr_runtime *runtime,
                                 int partition, struct mr_emit *emit, struct mr_error *err)
{
    const uint8_t *bits = self->fresh[partition].bits;
    int count = mr_spill_chunks(self->spill, partition);
    int64_t at = 0;
    enum mr_status status = MR_OK;
    for (int c = 0; status == MR_OK && c < count && !emit->closed; c++) {
        struct mr_batch *batch;
        int64_t n = 0, rows = mr_spill_chunk_rows(self->spill, partition, c);
        int32_t *chosen = mr_alloc(((size_t)rows + 1) * sizeof *chosen);
        if (!chosen)
            return mr_error_nomem(err);
        for (int64_t i = 0; i < rows; i++, at++)
            if (bits[at >> 3] >> (at & 7) & 1)
                chosen[n++] = (int32_t)i;
        if (n > 0) {
            status = mr_spill_chunk(self->spill, runtime, partition, c, &batch, err);
            if (status == MR_OK) {
                status = emit_rows(self->plan, runtime, batch, chosen, n, emit, err);
                mr_batch_unref(batch);
            }
        }
        mr_free(chosen);
    }
    return status;
}

static enum mr_status dedup_pull(const void *built, struct mr_runtime *runtime, int partition,
                                 struct mr_emit *emit, struct mr_error *err)
{
    const struct dedup_task *self = built;
    int from = MR_DEDUP_PARTITIONS * partition / self->plan->pulls;
    int to = MR_DEDUP_PARTITIONS * (partition + 1) / self->plan->pulls;
    for (int p = from; p < to && !emit->closed; p++) {
        if (mr_spill_rows(self->spill, p) == 0)
            continue;
        bool large = mr_spill_bytes(self->spill, p) > runtime->share;
        if (self->fresh)
            MR_TRY(pull_fresh(self, runtime, p, emit, err));
        else if (self->plan->ordered || large)
            MR_TRY(pull_by_sorting(self, runtime, p, emit, err));
        else
            MR_TRY(pull_by_table(self, runtime, p, emit, err));
    }
    return MR_OK;
}

static const char *const keep_choices[] = {"first", "last", "unique", NULL};

#define DEDUP_OPTIONS                                                                              \
    {.name = "keys",                                                                               \
     .type = MR_OPTION_STRINGS,                                                                    \
     .flags = MR_OPTION_EXPRESSION,                                                                \
     .doc =                                                                                        \
         "Columns or expressions; one row is kept of those that are equal in all of them (NULL "   \
         "equals NULL). Without it: all columns."},                                                \
        {.name = "keep",                                                                           \
         .type = MR_OPTION_ENUM,                                                                   \
         .choices = keep_choices,                                                                  \
         .fallback = "first",                                                                      \
         .doc = "Which row of equal keys is kept: the first or the last in the order of orderBy, " \
                "or, "                                                                             \
                "without it and among equals, in which the rows came. unique keeps all rows and "  \
                "fails "                                                                           \
                "if two have the same keys (rows with a NULL in them are not compared)."},         \
        {.name = "orderBy",                                                                        \
         .type = MR_OPTION_STRINGS,                                                                \
         .doc =                                                                                    \
             "Columns or expressions, each with ASC or DESC and NULLS FIRST or NULLS LAST behind " \
             "it, as in sortData."},                                                               \
        MR_WATERMARK_OPTION, MR_LATE_OPTIONS

const struct mr_option mr_dedup_options[] = {
    DEDUP_OPTIONS,
    MR_OPTION_END,
};

const struct mr_option mr_dedup_part_options[] = {
    DEDUP_OPTIONS,
    {.name = "eventTime", .type = MR_OPTION_STRING, .doc = "Event time of a row of a stream."},
    MR_OPTION_END,
};

const struct mr_op mr_op_deduplicate = {
    .name = "deduplicate",
    .doc = "Keeps one row of those with equal keys. The same rows are kept in every run; the order "
           "in which they come out is no particular one, but the same in every run. In a stream it "
           "remembers the keys of rows that are not behind the watermark.",
    .options = mr_dedup_options,
    .flags = MR_OP_BREAKER | MR_OP_STATEFUL,
    .min_inputs = 1,
    .max_inputs = 1,
    .keeper = &mr_dedup_keeper,
    .expand = mr_dedup_expand,
    .bind = dedup_bind,
    .open = dedup_open,
    .push = dedup_push,
    .finish = dedup_finish,
    .combine = dedup_combine,
    .settle = dedup_settle,
    .rest = dedup_rest,
    .pull = dedup_pull,
    .close = dedup_close,
};
