/*
 * join_build.c - the kept side of a join: collected by many tasks, combined, made into one table.
 *
 * A task keeps its rows as they come, columns by reference, as long as they take less than half of
 * its share of memory: most kept sides are small, and nothing is gained by sorting their rows. Above
 * that it spreads them over partitions by the first bits of their hashes; over its share, whole
 * partitions go to a file. When all tasks are done, the partitions that fit become the table, and
 * the others stay aside until the probe side has been read (join_spill.c).
 *
 * Every stored row carries its hash, so that neither the table nor a later partitioning computes it
 * again. A row that can be equal to nothing (a NULL key, a condition on this side alone that fails)
 * is dropped; a full join keeps it with a NULL hash.
 */
#include "op/join_state.h"

#include "col/kernel.h"

#include <stdlib.h>
#include <string.h>

#define PARTITION_BITS 5
#define SMALL_BATCH    1024
/* A column of the table cannot hold more text than int32 offsets reach. */
#define TABLE_BYTES (INT64_C(1900) << 20)

static bool tracks_range(const struct mr_join_pair_key *key)
{
    const struct mr_type *type = mr_expr_type(key->build);
    switch (type->id) {
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
    case MR_TYPE_DATE:
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        return key->probe_column >= 0 && !key->null_safe;
    default:
        return false;
    }
}

static enum mr_status begin(struct mr_join_task *task, struct mr_error *err)
{
    const struct mr_join_plan *plan = task->plan;
    task->ranges = mr_calloc((size_t)plan->nkeys + 1, sizeof *task->ranges);
    if (!task->ranges)
        return mr_error_nomem(err);
    for (int k = 0; k < plan->nkeys; k++)
        task->ranges[k].tracked = tracks_range(&plan->keys[k]);
    task->filled_by = 1;
    return mr_spill_new(task->runtime, plan->store, 1, task->runtime->share, &task->store, err);
}

/* The chunks of a partition again, by other bits. */
enum mr_status mr_join_repartition(struct mr_runtime *runtime, struct mr_spill *from, int partition,
                                   const struct mr_schema *schema, int skip, int bits,
                                   int64_t limit, struct mr_spill **out, struct mr_error *err)
{
    enum mr_status status = mr_spill_new(runtime, schema, 1 << bits, limit, out, err);
    uint32_t *partitions = NULL;
    int64_t room = 0;
    int hash = schema->nfields - 1;
    for (int c = 0; status == MR_OK && c < mr_spill_chunks(from, partition); c++) {
        struct mr_batch *chunk;
        status = mr_spill_chunk(from, runtime, partition, c, &chunk, err);
        if (status != MR_OK)
            break;
        if (chunk->rows > room) {
            mr_free(partitions);
            room = chunk->rows;
            partitions = mr_alloc((size_t)room * sizeof *partitions);
            status = partitions ? MR_OK : mr_error_nomem(err);
        }
        if (status == MR_OK) {
            const struct mr_column *column = chunk->columns[hash];
            const uint64_t *hashes = (const uint64_t *)(const void *)column->values->data;
            /* Rows without a hash match nothing: anywhere, but not all in one place. */
            for (int64_t i = 0; i < chunk->rows; i++)
                partitions[i] = mr_column_is_null(column, i)
                                    ? (uint32_t)i & ((1u << bits) - 1)
                                    : mr_join_partition(hashes[i], skip, bits);
            status = mr_spill_scatter(*out, chunk, NULL, partitions, chunk->rows, err);
        }
        mr_batch_unref(chunk);
    }
    mr_free(partitions);
    if (status == MR_OK)
        status = mr_spill_flush(*out, err);
    if (status != MR_OK) {
        mr_spill_free(*out);
        *out = NULL;
    }
    return status;
}

static enum mr_status spread(struct mr_join_task *task, int64_t limit, struct mr_error *err)
{
    struct mr_spill *spill;
    MR_TRY(mr_spill_flush(task->store, err));
    MR_TRY(mr_join_repartition(task->runtime, task->store, 0, task->plan->store, 0, PARTITION_BITS,
                               limit, &spill, err));
    mr_spill_free(task->store);
    task->store = spill;
    task->bits = PARTITION_BITS;
    return MR_OK;
}

/* ---- rows ---- */

/* Stored columns of the rows listed (NULL = all of the batch). */
static enum mr_status stored_batch(struct mr_join_task *task, const struct mr_batch *batch,
                                   const struct mr_join_hashed *hashed, const int32_t *rows,
                                   int64_t count, struct mr_batch **out, struct mr_error *err)
{
    const struct mr_join_plan *plan = task->plan;
    struct mr_memory *memory = task->runtime->memory;
    int done = 0, total = plan->nstored + 1;
    struct mr_column *hash = NULL;
    struct mr_column **columns = mr_calloc((size_t)total, sizeof(*columns));
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = mr_join_hash_column(memory, hashed, batch->rows, &hash, err);
    for (; status == MR_OK && done < total; done++) {
        int from = done < plan->nstored ? plan->store_from[done] : 0;
        struct mr_column *column = done == plan->nstored ? hash
                                   : from >= 0           ? batch->columns[from]
                                                         : hashed->keys[-1 - from];
        if (rows)
            status = mr_column_take(memory, column, rows, count, &columns[done], err);
        else
            columns[done] = mr_column_ref(column);
        if (status != MR_OK)
            break;
    }
    mr_column_unref(hash);
    if (status == MR_OK)
        status = mr_batch_new(plan->store, rows ? count : batch->rows, columns, out, err);
    else
        for (int c = 0; columns && c < done; c++)
            mr_column_unref(columns[c]);
    mr_free(columns);
    return status;
}

static int64_t integer_at(const struct mr_column *column, int64_t row)
{
    struct mr_value value;
    mr_column_get(column, row, &value);
    return value.u.i64;
}

static void widen(struct mr_join_range *range, int64_t least, int64_t most)
{
    range->least = range->any && range->least < least ? range->least : least;
    range->most = range->any && range->most > most ? range->most : most;
    range->any = true;
}

static void track(struct mr_join_task *task, const struct mr_batch *stored)
{
    const struct mr_join_plan *plan = task->plan;
    for (int k = 0; k < plan->nkeys; k++) {
        const struct mr_column *column = stored->columns[plan->keys[k].stored];
        struct mr_join_range *range = &task->ranges[k];
        if (!range->tracked)
            continue;
        bool fast = column->encoding == MR_FLAT && !column->validity &&
                    mr_type_layout(column->type) == MR_LAYOUT_I64;
        const int64_t *values = fast ? (const int64_t *)(const void *)column->values->data : NULL;
        int64_t least = INT64_MAX, most = INT64_MIN;
        for (int64_t i = 0; i < stored->rows; i++) {
            if (!fast && mr_column_is_null(column, i))
                continue;
            int64_t value = fast ? values[i] : integer_at(column, i);
            least = value < least ? value : least;
            most = value > most ? value : most;
        }
        if (least <= most)
            widen(range, least, most);
    }
}

static enum mr_status scatter(struct mr_join_task *task, struct mr_batch *stored,
                              struct mr_error *err)
{
    const struct mr_column *column = stored->columns[task->plan->nstored];
    const uint64_t *hashes = (const uint64_t *)(const void *)column->values->data;
    uint32_t *partitions = mr_calloc((size_t)stored->rows + 1, sizeof *partitions);
    if (!partitions)
        return mr_error_nomem(err);
    uint32_t mask = (1u << task->bits) - 1;
    for (int64_t i = 0; task->bits > 0 && i < stored->rows; i++)
        partitions[i] = mr_column_is_null(column, i) ? (uint32_t)i & mask
                                                     : mr_join_partition(hashes[i], 0, task->bits);
    enum mr_status status =
        mr_spill_scatter(task->store, stored, NULL, partitions, stored->rows, err);
    mr_free(partitions);
    return status;
}

static enum mr_status keep(struct mr_join_task *task, struct mr_batch *stored, struct mr_error *err)
{
    track(task, stored);
    if (task->bits > 0 || stored->rows < SMALL_BATCH)
        MR_TRY(scatter(task, stored, err));
    else
        MR_TRY(mr_spill_add(task->store, 0, stored, err));
    if (task->bits == 0 && task->plan->nkeys > 0 &&
        mr_spill_resident(task->store) > task->runtime->share / 2)
        return spread(task, task->runtime->share / 2, err);
    return MR_OK;
}

/* Rows that are kept, as numbers; *all when that is every row of the batch. */
static int64_t chosen_rows(const struct mr_join_plan *plan, const struct mr_batch *batch,
                           const struct mr_join_hashed *hashed, int32_t *rows, bool *all)
{
    int64_t n = 0;
    bool keep_void = plan->kind == MR_JOIN_FULL;
    for (int64_t i = 0; i < hashed->count; i++)
        if (keep_void || !hashed->valid || hashed->valid[i])
            rows[n++] = hashed->rows ? hashed->rows[i] : (int32_t)i;
    *all = n == batch->rows;
    return n;
}

enum mr_status mr_join_collect(struct mr_join_task *task, const struct mr_batch *batch,
                               struct mr_error *err)
{
    struct mr_join_hashed hashed = {0};
    struct mr_batch *stored = NULL;
    bool all;
    if (!task->store)
        MR_TRY(begin(task, err));
    int32_t *rows = mr_alloc(((size_t)batch->rows + 1) * sizeof *rows);
    enum mr_status status = rows ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = mr_join_hash(task, 1, batch, &hashed, err);
    if (status == MR_OK) {
        int64_t n = chosen_rows(task->plan, batch, &hashed, rows, &all);
        if (n > 0)
            status = stored_batch(task, batch, &hashed, all ? NULL : rows, n, &stored, err);
        if (status == MR_OK && n > 0)
            status = keep(task, stored, err);
    }
    mr_batch_unref(stored);
    mr_join_hashed_reset(task->plan, &hashed);
    mr_free(rows);
    return status;
}

enum mr_status mr_join_collected(struct mr_join_task *task, struct mr_error *err)
{
    if (!task->store)
        MR_TRY(begin(task, err));
    return mr_spill_flush(task->store, err);
}

/* ---- one state of many ---- */

static int64_t total_bytes(const struct mr_spill *spill)
{
    int64_t bytes = 0;
    for (int p = 0; p < mr_spill_partitions(spill); p++)
        bytes += mr_spill_bytes(spill, p);
    return bytes;
}

static int64_t budget_of(const struct mr_join_task *task)
{
    int64_t share = task->runtime->share;
    return share > INT64_MAX / 8 / task->filled_by ? INT64_MAX / 8 : share * task->filled_by;
}

enum mr_status mr_join_combine(void *into_, void *from_, struct mr_error *err)
{
    struct mr_join_task *into = into_, *from = from_;
    MR_TRY(mr_join_collected(into, err));
    MR_TRY(mr_join_collected(from, err));
    into->filled_by += from->filled_by;
    if (into->bits != from->bits)
        MR_TRY(spread(into->bits == 0 ? into : from, into->runtime->share / 2, err));
    for (int k = 0; k < into->plan->nkeys; k++)
        if (from->ranges[k].any)
            widen(&into->ranges[k], from->ranges[k].least, from->ranges[k].most);
    return mr_spill_absorb(into->store, from->store, err);
}

static int region_bits(int64_t rows, const struct mr_runtime *runtime)
{
    int bits = 0;
    while (rows >= 50000 && bits < 4 && 1 << bits < runtime->parallelism * 2)
        bits++;
    return bits;
}

/* Chooses the partitions that the table is made of: those that were never written, while they fit. */
static enum mr_status choose(struct mr_join_task *task, struct mr_error *err)
{
    int64_t most = budget_of(task) / 4 * 3;
    bool written = total_bytes(task->store) > most;
    most = most < TABLE_BYTES ? most : TABLE_BYTES;
    int n = mr_spill_partitions(task->store);
    bool any = false;
    int64_t taken = 0;
    task->apart = mr_calloc((size_t)n, sizeof *task->apart);
    if (!task->apart)
        return mr_error_nomem(err);
    for (int p = 0; p < n; p++) {
        int64_t bytes =
            mr_spill_bytes(task->store, p) + mr_join_table_overhead(mr_spill_rows(task->store, p));
        if (mr_spill_rows(task->store, p) == 0)
            continue;
        if (!mr_spill_written(task->store, p) && taken + bytes <= most) {
            taken += bytes;
            continue;
        }
        task->apart[p] = any = true;
        if (written)
            MR_TRY(mr_spill_write(task->store, p, err));
    }
    if (any)
        return MR_OK;
    mr_free(task->apart);
    task->apart = NULL;
    return MR_OK;
}

static enum mr_status fill_table(struct mr_join_task *task, struct mr_runtime *runtime,
                                 struct mr_error *err)
{
    mr_join_table_init(&task->table, task->plan, task->runtime->memory);
    for (int p = 0; p < mr_spill_partitions(task->store); p++) {
        if (task->apart && task->apart[p])
            continue;
        for (int c = 0; c < mr_spill_chunks(task->store, p); c++) {
            struct mr_batch *chunk;
            MR_TRY(mr_spill_chunk(task->store, runtime, p, c, &chunk, err));
            enum mr_status status = mr_join_table_add(&task->table, chunk, err);
            mr_batch_unref(chunk);
            MR_TRY(status);
        }
        mr_spill_drop(task->store, p);
    }
    if (!task->apart) {
        mr_spill_free(task->store);
        task->store = NULL;
    }
    return MR_OK;
}

enum mr_status mr_join_settle(void *built, struct mr_runtime *runtime, int piece, int *pieces,
                              struct mr_error *err)
{
    struct mr_join_task *task = built;
    if (piece >= 0)
        return mr_join_table_make(&task->table, piece, err);
    MR_TRY(mr_join_collected(task, err));
    int64_t bytes = total_bytes(task->store);
    if (task->bits == 0 && task->plan->nkeys > 0 &&
        (bytes > budget_of(task) / 4 * 3 || bytes > TABLE_BYTES))
        MR_TRY(spread(task, budget_of(task) / 2, err));
    MR_TRY(choose(task, err));
    MR_TRY(fill_table(task, runtime, err));
    return mr_join_table_begin(&task->table, region_bits(task->table.rows, runtime), pieces, err);
}

/* ---- what the probe side need not read ---- */

#define LIST_MOST 1000

static const struct mr_predicate *compare(struct mr_arena *arena, int column, enum mr_compare op,
                                          const struct mr_type *type, int64_t value)
{
    struct mr_predicate *predicate = mr_arena_calloc(arena, 1, sizeof *predicate);
    struct mr_value *operand = mr_arena_calloc(arena, 1, sizeof *operand);
    if (!predicate || !operand)
        return NULL;
    *operand = (struct mr_value){.type = type, .u.i64 = value};
    *predicate = (struct mr_predicate){.kind = MR_PREDICATE_COMPARE,
                                       .column = column,
                                       .compare = op,
                                       .nvalues = 1,
                                       .values = operand};
    return predicate;
}

static int by_value(const void *a, const void *b)
{
    return mr_value_compare(a, b);
}

/* The distinct values of a key in a small table. */
static enum mr_status list(const struct mr_join_task *task, struct mr_arena *arena, int key,
                           const struct mr_predicate **out, struct mr_error *err)
{
    const struct mr_join_table *table = &task->table;
    const struct mr_join_pair_key *at = &task->plan->keys[key];
    const struct mr_column *column = table->columns[at->stored];
    struct mr_predicate *predicate = mr_arena_calloc(arena, 1, sizeof *predicate);
    struct mr_value *values = mr_arena_calloc(arena, (size_t)table->rows, sizeof *values);
    if (!predicate || !values)
        return mr_error_nomem(err);
    int n = 0;
    for (int64_t i = 0; i < table->rows; i++) {
        struct mr_value value;
        mr_column_get(column, i, &value);
        if (!value.is_null && !mr_value_copy(arena, &value, &values[n++]))
            return mr_error_nomem(err);
    }
    qsort(values, (size_t)n, sizeof *values, by_value);
    int distinct = 0;
    for (int i = 0; i < n; i++)
        if (i == 0 || mr_value_compare(&values[i], &values[distinct - 1]) != 0)
            values[distinct++] = values[i];
    if (distinct == 0)
        return MR_OK;
    *predicate = (struct mr_predicate){.kind = MR_PREDICATE_IN,
                                       .column = at->probe_column,
                                       .nvalues = distinct,
                                       .values = values};
    *out = predicate;
    return MR_OK;
}

static bool can_list(const struct mr_join_task *task, int key)
{
    const struct mr_join_pair_key *at = &task->plan->keys[key];
    enum mr_type_id id = mr_expr_type(at->build)->id;
    return !task->apart && task->table.rows > 0 && task->table.rows <= LIST_MOST &&
           at->probe_column >= 0 && !at->null_safe &&
           (task->ranges[key].tracked || id == MR_TYPE_STRING);
}

static enum mr_status narrow_key(const struct mr_join_task *task, struct mr_arena *arena, int key,
                                 const struct mr_predicate **args, int *n, struct mr_error *err)
{
    const struct mr_join_pair_key *at = &task->plan->keys[key];
    const struct mr_join_range *range = &task->ranges[key];
    const struct mr_type *type = mr_expr_type(at->build);
    if (can_list(task, key)) {
        args[*n] = NULL;
        MR_TRY(list(task, arena, key, &args[*n], err));
        *n += args[*n] != NULL;
        return MR_OK;
    }
    if (!range->tracked || !range->any)
        return MR_OK;
    args[*n] = compare(arena, at->probe_column, MR_GE, type, range->least);
    args[*n + 1] = compare(arena, at->probe_column, MR_LE, type, range->most);
    if (!args[*n] || !args[*n + 1])
        return mr_error_nomem(err);
    *n += 2;
    return MR_OK;
}

enum mr_status mr_join_narrows(const void *built, struct mr_arena *arena,
                               const struct mr_predicate **out, struct mr_error *err)
{
    const struct mr_join_task *task = built;
    const struct mr_join_plan *plan = task->plan;
    *out = NULL;
    const struct mr_predicate **args =
        mr_arena_calloc(arena, 2 * (size_t)plan->nkeys + 1, sizeof(*args));
    struct mr_predicate *all = mr_arena_calloc(arena, 1, sizeof *all);
    if (!args || !all)
        return mr_error_nomem(err);
    int n = 0;
    for (int k = 0; k < plan->nkeys; k++)
        MR_TRY(narrow_key(task, arena, k, args, &n, err));
    if (n == 0)
        return MR_OK;
    *all = (struct mr_predicate){.kind = MR_PREDICATE_AND, .nargs = n, .args = args};
    *out = n == 1 ? args[0] : all;
    return MR_OK;
}
