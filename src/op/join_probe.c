/*
 * join_probe.c - rows of the probe side meet the table, and what comes of it is emitted.
 *
 * Three ways, from cheap to general:
 *
 *   exists   semi and anti joins without further conditions: a selection on the batch, no copy
 *   single   every key is unique and there is no further condition: at most one match a row. Where
 *            every row has one, the columns of the probe side pass as they are
 *   pairs    (probe row, table row) lists of bounded length; conditions over both sides are tried on
 *            them, what remains is gathered. One key with a million rows fills many lists in turn:
 *            memory does not depend on it
 *
 * Rows without a match come out after the pairs of their batch.
 */
#include "op/join_state.h"

#include "col/kernel.h"

#include <string.h>

/* ---- output ---- */

static enum mr_status null_column(struct mr_join_probe *probe, const struct mr_type *type,
                                  int64_t count, struct mr_column **out, struct mr_error *err)
{
    struct mr_value null = {.type = type, .is_null = true};
    return mr_column_new_constant(probe->task->runtime->memory, type, &null, count, out, err);
}

/* Rows to put side by side; with neither list both sides are all rows of the batch. */
struct pairs {
    const struct mr_join_rows *from; /* NULL: there is no probe row, its columns are NULL */
    const int32_t *probe;            /* rows of the batch; NULL = all, in place */
    const int32_t *build;            /* rows of the table; NULL = none, its columns are NULL */
    int64_t count;
};

static enum mr_status output_column(struct mr_join_probe *probe, const struct pairs *pairs, int i,
                                    struct mr_column **out, struct mr_error *err)
{
    const struct mr_join_plan *plan = probe->task->plan;
    struct mr_memory *memory = probe->task->runtime->memory;
    const struct mr_join_output *output = &plan->outputs[i];
    const struct mr_type *type = plan->schema->fields[i].type;
    struct mr_column *source = NULL;
    int stored = output->column;
    if (output->from == MR_JOIN_PROBE) {
        if (!pairs->from)
            return null_column(probe, type, pairs->count, out, err);
        source = pairs->from->batch->columns[output->column];
    } else if (output->from == MR_JOIN_KEY) {
        stored = plan->keys[output->column].stored;
        if (pairs->from)
            source = pairs->from->keys[output->column];
    }
    if (!source && !pairs->build)
        return null_column(probe, type, pairs->count, out, err);
    if (!source)
        return mr_join_table_take(probe->table, memory, stored, pairs->build, pairs->count, out,
                                  err);
    if (pairs->probe)
        return mr_column_take(memory, source, pairs->probe, pairs->count, out, err);
    *out = mr_column_ref(source);
    return MR_OK;
}

static enum mr_status emit_pairs(struct mr_join_probe *probe, const struct pairs *pairs,
                                 struct mr_error *err)
{
    const struct mr_join_plan *plan = probe->task->plan;
    int n = plan->schema->nfields, done = 0;
    if (pairs->count == 0 || probe->emit->closed)
        return MR_OK;
    struct mr_column **columns = mr_calloc((size_t)n + 1, sizeof(*columns));
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    for (; status == MR_OK && done < n; done++) {
        status = output_column(probe, pairs, done, &columns[done], err);
        if (status != MR_OK)
            break;
    }
    struct mr_batch *batch = NULL;
    if (status == MR_OK && pairs->from && !pairs->probe)
        status = mr_batch_derive(pairs->from->batch, plan->schema, columns, &batch, err);
    else if (status == MR_OK)
        status = mr_batch_new(plan->schema, pairs->count, columns, &batch, err);
    else
        for (int c = 0; columns && c < done; c++)
            mr_column_unref(columns[c]);
    mr_free(columns);
    return status == MR_OK ? probe->emit->batch(probe->emit, 0, batch, err) : status;
}

/* The rows listed, without columns of the table; the list is a buffer of int32. */
static enum mr_status emit_selected(struct mr_join_probe *probe, const struct mr_join_rows *from,
                                    struct mr_buffer *list, int64_t count, struct mr_error *err)
{
    const struct mr_join_plan *plan = probe->task->plan;
    if (count == 0 || probe->emit->closed) {
        mr_buffer_unref(list);
        return MR_OK;
    }
    struct mr_column **columns = mr_calloc((size_t)plan->schema->nfields + 1, sizeof(*columns));
    struct mr_batch *plain = NULL, *batch = NULL;
    struct mr_selection *selection = NULL;
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    if (status != MR_OK) {
        mr_buffer_unref(list);
        return status;
    }
    for (int i = 0; i < plan->schema->nfields; i++)
        columns[i] = mr_column_ref(from->batch->columns[plan->outputs[i].column]);
    status = mr_batch_new(plan->schema, from->batch->rows, columns, &plain, err);
    mr_free(columns);
    if (status == MR_OK)
        status = mr_selection_new(list, count, &selection, err);
    else
        mr_buffer_unref(list);
    if (status == MR_OK)
        status = mr_batch_select(plain, selection, &batch, err);
    mr_batch_unref(plain);
    return status == MR_OK ? probe->emit->batch(probe->emit, 0, batch, err) : status;
}

static int32_t row_at(const struct mr_join_rows *rows, int64_t i)
{
    return rows->rows ? rows->rows[i] : (int32_t)i;
}

static enum mr_status new_list(struct mr_join_probe *probe, int64_t count, struct mr_buffer **out,
                               struct mr_error *err)
{
    return mr_buffer_new(probe->task->runtime->memory, ((size_t)count + 1) * sizeof(int32_t), out,
                         err);
}

static int32_t *numbers(struct mr_buffer *list)
{
    return (int32_t *)(void *)list->data;
}

/* Rows where matched[i] is `wanted`: without a partner (outer, full), or all there is (semi, anti). */
static enum mr_status emit_where(struct mr_join_probe *probe, const struct mr_join_rows *rows,
                                 const uint8_t *matched, bool wanted, struct mr_error *err)
{
    const struct mr_join_plan *plan = probe->task->plan;
    struct mr_buffer *list;
    MR_TRY(new_list(probe, rows->count, &list, err));
    int64_t n = 0;
    for (int64_t i = 0; i < rows->count; i++)
        if (matched[i] == wanted)
            numbers(list)[n++] = row_at(rows, i);
    if (!mr_join_emits_build(plan)) {
        mr_buffer_finish(list, (size_t)n * sizeof(int32_t));
        return emit_selected(probe, rows, list, n, err);
    }
    struct pairs pairs = {.from = rows, .probe = numbers(list), .count = n};
    enum mr_status status = emit_pairs(probe, &pairs, err);
    mr_buffer_unref(list);
    return status;
}

/* What follows the pairs of a batch. */
static enum mr_status emit_rest(struct mr_join_probe *probe, const struct mr_join_rows *rows,
                                const uint8_t *matched, struct mr_error *err)
{
    const struct mr_join_plan *plan = probe->task->plan;
    if (plan->kind == MR_JOIN_INNER || (rows->matched && !rows->last))
        return MR_OK;
    return emit_where(probe, rows, matched, plan->kind == MR_JOIN_SEMI, err);
}

/* ---- one match at most ---- */

static void mark_build(struct mr_join_probe *probe, const int32_t *found, int64_t count)
{
    for (int64_t i = 0; probe->build_matched && i < count; i++)
        if (found[i] >= 0)
            mr_bitmap_set(probe->build_matched, found[i]);
}

/* Every row of `rows` comes out once, beside found[i] (-1 = NULL). */
static enum mr_status emit_in_place(struct mr_join_probe *probe, const struct mr_join_rows *rows,
                                    const int32_t *found, struct mr_error *err)
{
    int64_t total = rows->batch->rows;
    struct pairs pairs = {.from = rows, .build = found, .count = rows->count};
    if (!rows->rows)
        return emit_pairs(probe, &pairs, err);
    bool selected = rows->rows == mr_selection_rows(rows->batch->selection);
    if (!selected || rows->count * 4 < total * 3) {
        pairs.probe = rows->rows;
        return emit_pairs(probe, &pairs, err);
    }
    /* Rows outside of the selection mean nothing: any row of the table will do for them. */
    struct mr_buffer *list;
    MR_TRY(new_list(probe, total, &list, err));
    memset(list->data, probe->table->rows > 0 ? 0 : 0xFF, (size_t)total * sizeof(int32_t));
    for (int64_t i = 0; i < rows->count; i++)
        numbers(list)[rows->rows[i]] = found[i];
    pairs.build = numbers(list);
    pairs.count = total;
    enum mr_status status = emit_pairs(probe, &pairs, err);
    mr_buffer_unref(list);
    return status;
}

static enum mr_status emit_found(struct mr_join_probe *probe, const struct mr_join_rows *rows,
                                 int32_t *found, struct mr_error *err)
{
    struct mr_buffer *list;
    MR_TRY(new_list(probe, rows->count, &list, err));
    int64_t n = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        numbers(list)[n] = row_at(rows, i);
        found[n] = found[i];
        n += found[i] >= 0;
    }
    struct pairs pairs = {.from = rows, .probe = numbers(list), .build = found, .count = n};
    enum mr_status status = emit_pairs(probe, &pairs, err);
    mr_buffer_unref(list);
    return status;
}

static enum mr_status probe_single(struct mr_join_probe *probe, const struct mr_join_rows *rows,
                                   int32_t *found, struct mr_error *err)
{
    const struct mr_join_plan *plan = probe->task->plan;
    int64_t hits = 0;
    for (int64_t i = 0; i < rows->count; i++)
        hits += found[i] >= 0;
    mark_build(probe, found, rows->count);
    if (rows->matched) {
        for (int64_t i = 0; i < rows->count; i++)
            rows->matched[i] |= found[i] >= 0;
        if (hits > 0)
            MR_TRY(emit_found(probe, rows, found, err));
        return emit_rest(probe, rows, rows->matched, err);
    }
    if (mr_join_keeps_probe(plan) || hits == rows->count)
        return emit_in_place(probe, rows, found, err);
    return hits > 0 ? emit_found(probe, rows, found, err) : MR_OK;
}

static enum mr_status probe_exists(struct mr_join_probe *probe, const struct mr_join_rows *rows,
                                   const int32_t *found, uint8_t *matched, struct mr_error *err)
{
    for (int64_t i = 0; i < rows->count; i++)
        matched[i] |= found[i] >= 0;
    return emit_rest(probe, rows, matched, err);
}

/* ---- pairs ---- */

struct pairing {
    struct mr_join_probe *probe;
    const struct mr_join_rows *rows;
    uint8_t *matched;
    int32_t *at;        /* position of the probe row in `rows` */
    int32_t *probe_row; /* in the batch */
    int32_t *build_row; /* in the table */
    int64_t count;
    int64_t most;
    struct mr_error *err;
};

/* The columns that conditions over both sides read, at the pairs. */
static enum mr_status condition_columns(struct pairing *pairing, struct mr_column **columns)
{
    const struct mr_join_plan *plan = pairing->probe->task->plan;
    struct mr_memory *memory = pairing->probe->task->runtime->memory;
    int nprobe = plan->probe->nfields;
    for (int c = 0; c < nprobe + plan->build->nfields; c++) {
        if (!plan->rest_uses[c])
            continue;
        if (c < nprobe)
            MR_TRY(mr_column_take(memory, pairing->rows->batch->columns[c], pairing->probe_row,
                                  pairing->count, &columns[c], pairing->err));
        else
            MR_TRY(mr_join_table_take(pairing->probe->table, memory, plan->store_of[c - nprobe],
                                      pairing->build_row, pairing->count, &columns[c],
                                      pairing->err));
    }
    return MR_OK;
}

static enum mr_status try_conditions(struct pairing *pairing, struct mr_column **columns,
                                     struct mr_selection **passed)
{
    struct mr_join_task *task = pairing->probe->task;
    struct mr_batch view = {.rows = pairing->count, .columns = columns};
    *passed = NULL;
    for (int i = 0; i < task->plan->nrest; i++) {
        struct mr_selection *next;
        MR_TRY(mr_expr_filter(task->eval, task->plan->rest[i], &view, &next, pairing->err));
        if (!next)
            continue;
        mr_selection_unref(*passed);
        *passed = next;
        view.selection = next;
    }
    return MR_OK;
}

/* Pairs for which the conditions over both sides hold. */
static enum mr_status filter_pairs(struct pairing *pairing)
{
    const struct mr_join_plan *plan = pairing->probe->task->plan;
    int width = plan->probe->nfields + plan->build->nfields;
    if (plan->nrest == 0 || pairing->count == 0)
        return MR_OK;
    struct mr_selection *passed = NULL;
    struct mr_column **columns = mr_calloc((size_t)width + 1, sizeof(*columns));
    enum mr_status status = columns ? MR_OK : mr_error_nomem(pairing->err);
    if (status == MR_OK)
        status = condition_columns(pairing, columns);
    if (status == MR_OK)
        status = try_conditions(pairing, columns, &passed);
    if (status == MR_OK && passed) {
        const int32_t *keep = mr_selection_rows(passed);
        for (int64_t i = 0; i < passed->count; i++) {
            pairing->at[i] = pairing->at[keep[i]];
            pairing->probe_row[i] = pairing->probe_row[keep[i]];
            pairing->build_row[i] = pairing->build_row[keep[i]];
        }
        pairing->count = passed->count;
    }
    mr_selection_unref(passed);
    for (int c = 0; columns && c < width; c++)
        mr_column_unref(columns[c]);
    mr_free(columns);
    return status;
}

static enum mr_status flush_pairs(struct pairing *pairing)
{
    struct mr_join_probe *probe = pairing->probe;
    if (mr_wait_cancelled(probe->task->runtime->waiter))
        return mr_error_cancelled(pairing->err);
    MR_TRY(filter_pairs(pairing));
    for (int64_t i = 0; i < pairing->count; i++)
        pairing->matched[pairing->at[i]] = 1;
    mark_build(probe, pairing->build_row, pairing->count);
    struct pairs pairs = {.from = pairing->rows,
                          .probe = pairing->probe_row,
                          .build = pairing->build_row,
                          .count = pairing->count};
    pairing->count = 0;
    return mr_join_emits_build(probe->task->plan) ? emit_pairs(probe, &pairs, pairing->err) : MR_OK;
}

static enum mr_status pair_row(struct pairing *pairing, int64_t i, const uint32_t *list,
                               uint32_t count)
{
    bool exists = !mr_join_emits_build(pairing->probe->task->plan);
    int32_t row = row_at(pairing->rows, i);
    for (uint32_t j = 0; j < count; j++) {
        if (exists && pairing->matched[i])
            return MR_OK;
        pairing->at[pairing->count] = (int32_t)i;
        pairing->probe_row[pairing->count] = row;
        pairing->build_row[pairing->count++] = (int32_t)list[j];
        if (pairing->count == pairing->most) {
            MR_TRY(flush_pairs(pairing));
            if (pairing->probe->emit->closed)
                return MR_OK;
        }
    }
    return MR_OK;
}

static enum mr_status pair_all(struct pairing *pairing, const int32_t *found,
                               const struct mr_join_slot *const *slots)
{
    const struct mr_join_table *table = pairing->probe->table;
    for (int64_t i = 0; i < pairing->rows->count && !pairing->probe->emit->closed; i++) {
        if (found[i] < 0)
            continue;
        uint32_t one = (uint32_t)found[i];
        if (slots)
            MR_TRY(pair_row(pairing, i, mr_join_slot_rows(table, slots[i]), slots[i]->count));
        else
            MR_TRY(pair_row(pairing, i, &one, 1));
    }
    return flush_pairs(pairing);
}

static enum mr_status probe_pairs(struct mr_join_probe *probe, const struct mr_join_rows *rows,
                                  const int32_t *found, const struct mr_join_slot *const *slots,
                                  uint8_t *matched, struct mr_error *err)
{
    int64_t most = probe->task->plan->batch_rows;
    int32_t *lists = mr_alloc(3 * (size_t)most * sizeof *lists);
    if (!lists)
        return mr_error_nomem(err);
    struct pairing pairing = {.probe = probe,
                              .rows = rows,
                              .matched = matched,
                              .at = lists,
                              .probe_row = lists + most,
                              .build_row = lists + 2 * most,
                              .most = most,
                              .err = err};
    enum mr_status status = pair_all(&pairing, found, slots);
    mr_free(lists);
    return status == MR_OK ? emit_rest(probe, rows, matched, err) : status;
}

/* ---- all of it ---- */

static enum mr_status dispatch(struct mr_join_probe *probe, const struct mr_join_rows *rows,
                               int32_t *found, const struct mr_join_slot **slots, uint8_t *matched,
                               struct mr_error *err)
{
    const struct mr_join_plan *plan = probe->task->plan;
    struct mr_join_lookup lookup = {.keys = rows->keys,
                                    .rows = rows->rows,
                                    .count = rows->count,
                                    .hashes = rows->hashes,
                                    .valid = rows->valid};
    MR_TRY(mr_join_table_find(probe->table, &lookup, found, slots, err));
    if (plan->nrest == 0 && !mr_join_emits_build(plan))
        return probe_exists(probe, rows, found, matched, err);
    if (plan->nrest == 0 && !slots)
        return probe_single(probe, rows, found, err);
    return probe_pairs(probe, rows, found, slots, matched, err);
}

enum mr_status mr_join_probe_rows(struct mr_join_probe *probe, const struct mr_join_rows *rows,
                                  struct mr_error *err)
{
    size_t n = (size_t)rows->count + 1;
    bool many = atomic_load(&probe->table->many);
    int32_t *found = mr_alloc(n * sizeof *found);
    uint8_t *matched = rows->matched ? NULL : mr_calloc(n, 1);
    const struct mr_join_slot **slots = many ? mr_alloc(n * sizeof(*slots)) : NULL;
    enum mr_status status = MR_OK;
    if (!found || (!matched && !rows->matched) || (many && !slots))
        status = mr_error_nomem(err);
    else
        status = dispatch(probe, rows, found, slots, matched ? matched : rows->matched, err);
    mr_free(found);
    mr_free(matched);
    mr_free(slots);
    return status;
}

enum mr_status mr_join_probe_end(struct mr_join_probe *probe, struct mr_error *err)
{
    int64_t most = probe->task->plan->batch_rows;
    struct mr_buffer *list;
    MR_TRY(new_list(probe, most, &list, err));
    enum mr_status status = MR_OK;
    int64_t n = 0;
    for (int64_t row = 0; status == MR_OK && row <= probe->table->rows; row++) {
        bool end = row == probe->table->rows;
        if (!end && !mr_bitmap_get(probe->build_matched, row))
            numbers(list)[n++] = (int32_t)row;
        if (n < most && !end)
            continue;
        struct pairs pairs = {.build = numbers(list), .count = n};
        status = emit_pairs(probe, &pairs, err);
        n = 0;
    }
    mr_buffer_unref(list);
    return status;
}

/* ---- a batch of port 0 ---- */

/* Rows whose partition is not in the table are kept; the others are listed in `now`. */
static enum mr_status set_apart(struct mr_join_task *task, const struct mr_batch *batch,
                                struct mr_join_hashed *hashed, int32_t *now, struct mr_error *err)
{
    const struct mr_join_task *built = task->built;
    int64_t n = 0, m = 0;
    int32_t *later = mr_alloc(((size_t)hashed->count + 1) * sizeof *later);
    uint32_t *partitions = mr_alloc(((size_t)hashed->count + 1) * sizeof *partitions);
    enum mr_status status = later && partitions ? MR_OK : mr_error_nomem(err);
    /* The hashes of rows to come are moved together behind the keeping, which needs them. */
    for (int64_t i = 0; status == MR_OK && i < hashed->count; i++) {
        int32_t row = hashed->rows ? hashed->rows[i] : (int32_t)i;
        uint32_t partition = mr_join_partition(hashed->hashes[i], 0, built->bits);
        if ((!hashed->valid || hashed->valid[i]) && built->apart[partition]) {
            later[m] = row;
            partitions[m++] = partition;
        }
    }
    if (status == MR_OK && m > 0)
        status = mr_join_keep(task, batch, hashed, later, partitions, m, err);
    for (int64_t i = 0; status == MR_OK && i < hashed->count; i++) {
        bool valid = !hashed->valid || hashed->valid[i];
        if (valid && built->apart[mr_join_partition(hashed->hashes[i], 0, built->bits)])
            continue;
        now[n] = hashed->rows ? hashed->rows[i] : (int32_t)i;
        if (hashed->valid)
            hashed->valid[n] = hashed->valid[i];
        hashed->hashes[n++] = hashed->hashes[i];
    }
    hashed->rows = now;
    hashed->count = n;
    mr_free(later);
    mr_free(partitions);
    return status;
}

static enum mr_status need_build_matched(struct mr_join_task *task, struct mr_error *err)
{
    if (task->plan->kind != MR_JOIN_FULL || task->build_matched)
        return MR_OK;
    task->build_matched = mr_calloc(mr_bitmap_bytes(task->built->table.rows) + 1, 1);
    return task->build_matched ? MR_OK : mr_error_nomem(err);
}

enum mr_status mr_join_push_probe(struct mr_join_task *task, struct mr_batch *batch,
                                  struct mr_emit *emit, struct mr_error *err)
{
    struct mr_join_hashed hashed;
    int32_t *now = NULL;
    MR_TRY(need_build_matched(task, err));
    MR_TRY(mr_join_hash(task, 0, batch, &hashed, err));
    enum mr_status status = MR_OK;
    if (task->built->apart) {
        now = mr_alloc(((size_t)hashed.count + 1) * sizeof *now);
        status = now ? set_apart(task, batch, &hashed, now, err) : mr_error_nomem(err);
    }
    if (status == MR_OK && hashed.count > 0) {
        struct mr_join_probe probe = {.task = task,
                                      .table = &task->built->table,
                                      .build_matched = task->build_matched,
                                      .emit = emit};
        struct mr_join_rows rows = {.batch = batch,
                                    .keys = hashed.keys,
                                    .rows = hashed.rows,
                                    .count = hashed.count,
                                    .hashes = hashed.hashes,
                                    .valid = hashed.valid};
        status = mr_join_probe_rows(&probe, &rows, err);
    }
    mr_join_hashed_reset(task->plan, &hashed);
    mr_free(now);
    return status;
}
