/*
 * deduplicate_kept.c - keys that were seen, with the event time of their row.
 *
 * Keys lie in group tables, one for each partition of the hash, beside an array of times. A forgotten key stays in its
 * table until half of the table is such, then the table is built anew. Saved are the keys that were added since the last
 * save; what was forgotten is not saved, because the times say it.
 *
 * A table that holds more than its part of the memory is written into a log (ext/spill_log.h) in pieces, and begun anew. What is stored is
 * asked once an epoch (and block) about all keys that are new to the table, and goes piece by piece when the watermark has passed its latest
 * time: keys that came together are forgotten together, so most pieces are written once. Others (one partition is far ahead) are written anew when
 * half of what was read is forgotten. A key that was found there is in both places, which
 * a flag says, so that it is not written again. Runs sorted by hash, to look up instead of reading on, were refused: an epoch
 * asks about as many keys as make most blocks of such a run needed.
 */
#include "op/deduplicate_kept.h"

#include "col/builder.h"

#include <string.h>

#define RECALLED   1 /* is stored, too */
#define CHANGED    2 /* is not saved */
#define SAVED_ROWS 16384
#define LEAST_ROWS 64

enum mr_status mr_dedup_rows_init(struct mr_dedup_rows *rows, int nkeys,
                                  struct mr_column *const *keys, int64_t count,
                                  struct mr_error *err)
{
    size_t n = (size_t)count;
    rows->keys = mr_calloc(1, ((size_t)nkeys + 1) * sizeof(*rows->keys) +
                                  n * (sizeof(uint64_t) + sizeof(uint32_t)));
    if (!rows->keys)
        return mr_error_nomem(err);
    rows->hashes = (uint64_t *)(void *)(rows->keys + nkeys + 1);
    rows->groups = (uint32_t *)(void *)(rows->hashes + n);
    for (int k = 0; k < nkeys; k++) {
        rows->keys[k] = keys[k];
        mr_column_hash(keys[k], NULL, count, rows->hashes);
    }
    return MR_OK;
}

void mr_dedup_rows_reset(struct mr_dedup_rows *rows)
{
    mr_free(rows->keys);
    *rows = (struct mr_dedup_rows){0};
}

/* ---- a partition in memory ---- */

static void part_free(const struct mr_dedup_kept *kept, struct mr_dedup_part *part)
{
    mr_group_table_free(part->table);
    mr_free(part->times);
    mr_free(part->flags);
    mr_free(part->changed);
    mr_memory_credit(kept->runtime.memory, part->charged);
    part->table = NULL;
    part->times = NULL;
    part->flags = NULL;
    part->changed = NULL;
    part->capacity = part->nchanged = part->changed_capacity = part->charged = 0;
    part->recalled = 0;
}

static void drop_stored(const struct mr_dedup_kept *kept, struct mr_dedup_part *part)
{
    for (int i = 0; i < part->nstored; i++)
        mr_spilled_drop(kept->log, &part->stored[i].rows);
    mr_free(part->stored);
    part->stored = NULL;
    part->nstored = part->stored_capacity = 0;
}

static enum mr_status new_table(const struct mr_dedup_kept *kept, struct mr_group_table **out,
                                struct mr_error *err)
{
    return mr_group_table_new(kept->runtime.memory, kept->plan->types, kept->plan->nkeys, out, err);
}

int64_t mr_dedup_part_bytes(const struct mr_dedup_part *part)
{
    return mr_group_table_bytes(part->table) + part->charged;
}

static enum mr_status charge(const struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                             int64_t bytes, struct mr_error *err)
{
    MR_TRY(mr_memory_charge(kept->runtime.memory, bytes, err));
    part->charged += bytes;
    return MR_OK;
}

/* Room for the times of all groups; new ones are of no time at all. */
static enum mr_status part_grow(const struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                struct mr_error *err)
{
    int64_t count = mr_group_table_count(part->table), capacity = part->capacity;
    if (count <= capacity)
        return MR_OK;
    capacity = capacity * 2 > count ? capacity * 2 : count;
    int64_t more = (capacity - part->capacity) * (int64_t)(sizeof *part->times + 1);
    MR_TRY(charge(kept, part, more, err));
    int64_t *times = mr_realloc(part->times, (size_t)capacity * sizeof *times);
    if (times)
        part->times = times;
    uint8_t *flags = mr_realloc(part->flags, (size_t)capacity);
    if (flags)
        part->flags = flags;
    if (!times || !flags)
        return mr_error_nomem(err);
    for (int64_t g = part->capacity; g < capacity; g++)
        times[g] = MR_WATERMARK_NONE;
    memset(flags + part->capacity, 0, (size_t)(capacity - part->capacity));
    part->capacity = capacity;
    return MR_OK;
}

enum mr_status mr_dedup_part_enter(const struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                   struct mr_dedup_rows *rows, int64_t count, struct mr_error *err)
{
    MR_TRY(
        mr_group_table_put(part->table, rows->keys, NULL, count, rows->hashes, rows->groups, err));
    return part_grow(kept, part, err);
}

enum mr_status mr_dedup_part_take(const struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                  uint32_t group, int64_t time, struct mr_error *err)
{
    part->times[group] = time;
    part->recalled -= (part->flags[group] & RECALLED) != 0;
    part->flags[group] &= (uint8_t)~RECALLED; /* what is stored is an older time of it */
    if (part->flags[group] & CHANGED)
        return MR_OK;
    if (part->nchanged == part->changed_capacity) {
        int64_t capacity = part->changed_capacity * 2 + 256;
        int64_t more = (capacity - part->changed_capacity) * (int64_t)sizeof *part->changed;
        MR_TRY(charge(kept, part, more, err));
        uint32_t *changed = mr_realloc(part->changed, (size_t)capacity * sizeof *changed);
        if (!changed)
            return mr_error_nomem(err);
        part->changed = changed;
        part->changed_capacity = capacity;
    }
    part->flags[group] |= CHANGED;
    part->changed[part->nchanged++] = group;
    return MR_OK;
}

/* The keys of live groups into a new table. */
static enum mr_status rebuild(struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                              const uint32_t *live, int64_t count, struct mr_error *err)
{
    const struct mr_dedup_plan *plan = kept->plan;
    struct mr_column **keys = mr_calloc((size_t)plan->nkeys + 1, sizeof(*keys));
    struct mr_dedup_rows rows = {0};
    struct mr_dedup_part fresh = {.swept = part->swept};
    enum mr_status status = keys ? new_table(kept, &fresh.table, err) : mr_error_nomem(err);
    if (status == MR_OK)
        status = mr_group_table_keys(part->table, kept->runtime.memory, live, 0, count, keys, err);
    if (status == MR_OK) {
        status = mr_dedup_rows_init(&rows, plan->nkeys, keys, count, err);
        if (status == MR_OK)
            status = mr_dedup_part_enter(kept, &fresh, &rows, count, err);
        for (int k = 0; k < plan->nkeys; k++)
            mr_column_unref(keys[k]);
    }
    for (int64_t i = 0; status == MR_OK && i < count; i++) {
        fresh.times[i] = part->times[live[i]];
        fresh.flags[i] = part->flags[live[i]];
        fresh.recalled += (fresh.flags[i] & RECALLED) != 0;
    }
    mr_dedup_rows_reset(&rows);
    mr_free(keys);
    if (status != MR_OK) {
        part_free(kept, &fresh);
        return status;
    }
    part_free(kept, part);
    fresh.stored = part->stored;
    fresh.nstored = part->nstored;
    fresh.stored_capacity = part->stored_capacity;
    *part = fresh;
    return MR_OK;
}

static void forget_stored(const struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                          int64_t before)
{
    int n = 0;
    for (int i = 0; i < part->nstored; i++) {
        if (part->stored[i].most <= before)
            mr_spilled_drop(kept->log, &part->stored[i].rows);
        else
            part->stored[n++] = part->stored[i];
    }
    part->nstored = n;
}

enum mr_status mr_dedup_part_sweep(struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                   int64_t before, struct mr_error *err)
{
    int64_t count = mr_group_table_count(part->table), n = 0;
    if (before <= part->swept || part->nchanged > 0)
        return MR_OK;
    part->swept = before;
    forget_stored(kept, part, before);
    for (int64_t g = 0; g < count; g++)
        n += part->times[g] > before;
    /* Is half of the table forgotten by now? Then it is made anew. */
    if (n * 2 > count || count < 64)
        return MR_OK;
    uint32_t *live = mr_alloc(((size_t)n + 1) * sizeof *live);
    if (!live)
        return mr_error_nomem(err);
    n = 0;
    for (int64_t g = 0; g < count; g++)
        if (part->times[g] > before)
            live[n++] = (uint32_t)g;
    enum mr_status status = rebuild(kept, part, live, n, err);
    mr_free(live);
    return status;
}

/* ---- in files ---- */

/* Keys and times of some groups (NULL: from .. from + count - 1) as a batch of plan->kept. */
static enum mr_status make_batch(const struct mr_dedup_kept *kept, const struct mr_dedup_part *part,
                                 const uint32_t *groups, int64_t from, int64_t count,
                                 struct mr_batch **out, struct mr_error *err)
{
    int nkeys = kept->plan->nkeys;
    struct mr_builder builder = {0};
    struct mr_column **columns = mr_calloc((size_t)nkeys + 1, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(err);
    struct mr_memory *memory = kept->runtime.memory;
    enum mr_status status = mr_builder_init(&builder, memory, mr_type_of(MR_TYPE_INT64), err);
    for (int64_t i = from; status == MR_OK && i < from + count; i++)
        status = mr_builder_int(&builder, part->times[groups ? groups[i] : i], err);
    if (status == MR_OK)
        status = mr_builder_finish(&builder, &columns[nkeys], err);
    if (status == MR_OK)
        status = mr_group_table_keys(part->table, memory, groups ? groups + from : NULL, from,
                                     count, columns, err);
    if (status == MR_OK)
        status = mr_batch_new(kept->plan->kept, count, columns, out, err);
    else
        mr_column_unref(columns[nkeys]);
    mr_builder_reset(&builder);
    mr_free(columns);
    return status;
}

static enum mr_status store_piece(struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                  const uint32_t *groups, int64_t count, bool saved,
                                  struct mr_runtime *runtime, struct mr_error *err)
{
    struct mr_batch *batch;
    if (part->nstored == part->stored_capacity) {
        int capacity = part->stored_capacity * 2 + 8;
        struct mr_dedup_stored *grown = mr_realloc(part->stored, (size_t)capacity * sizeof *grown);
        if (!grown)
            return mr_error_nomem(err);
        part->stored = grown;
        part->stored_capacity = capacity;
    }
    struct mr_dedup_stored *stored = &part->stored[part->nstored];
    *stored = (struct mr_dedup_stored){.most = MR_WATERMARK_NONE, .saved = saved};
    for (int64_t i = 0; i < count; i++)
        if (part->times[groups[i]] > stored->most)
            stored->most = part->times[groups[i]];
    MR_TRY(make_batch(kept, part, groups, 0, count, &batch, err));
    enum mr_status status = mr_spill_log_put(kept->log, runtime, batch, &stored->rows, err);
    mr_batch_unref(batch);
    part->nstored += status == MR_OK;
    return status;
}

static enum mr_status store_groups(struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                   const uint32_t *groups, int64_t count, bool saved,
                                   struct mr_runtime *runtime, struct mr_error *err)
{
    int64_t each = mr_dedup_part_bytes(part) / (mr_group_table_count(part->table) + 1) + 1;
    int64_t rows = kept->piece / each > LEAST_ROWS ? kept->piece / each : LEAST_ROWS;
    for (int64_t at = 0; at < count; at += rows)
        MR_TRY(store_piece(kept, part, groups + at, count - at < rows ? count - at : rows, saved,
                           runtime, err));
    return MR_OK;
}

enum mr_status mr_dedup_part_shrink(struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                    int64_t before, struct mr_runtime *runtime,
                                    struct mr_error *err)
{
    int64_t count = mr_group_table_count(part->table), n = 0;
    struct mr_group_table *table = NULL;
    if (mr_dedup_part_bytes(part) <= kept->limit || count < LEAST_ROWS)
        return MR_OK;
    uint32_t *groups = mr_alloc(((size_t)count + 1) * sizeof *groups);
    enum mr_status status = groups ? MR_OK : mr_error_nomem(err);
    for (int64_t g = 0; status == MR_OK && g < count; g++)
        if (part->times[g] > before && part->flags[g] == 0)
            groups[n++] = (uint32_t)g;
    if (status == MR_OK)
        status = store_groups(kept, part, groups, n, true, runtime, err);
    if (status == MR_OK)
        status = store_groups(kept, part, part->changed, part->nchanged, false, runtime, err);
    if (status == MR_OK)
        status = new_table(kept, &table, err);
    if (status == MR_OK) {
        part_free(kept, part);
        part->table = table;
    }
    mr_free(groups);
    return status;
}

/* Keys of the piece that are not forgotten, in its place, if no more than half are left. */
static enum mr_status thin(const struct mr_dedup_kept *kept, struct mr_dedup_stored *stored,
                           const struct mr_batch *batch, int64_t before, struct mr_runtime *runtime,
                           struct mr_error *err)
{
    const int64_t *times =
        (const int64_t *)(const void *)batch->columns[kept->plan->nkeys]->values->data;
    struct mr_batch *rest = NULL;
    struct mr_spilled fresh;
    int64_t n = 0;
    int32_t *rows = mr_alloc(((size_t)batch->rows + 1) * sizeof *rows);
    if (!rows)
        return mr_error_nomem(err);
    for (int64_t i = 0; i < batch->rows; i++)
        if (times[i] > before)
            rows[n++] = (int32_t)i;
    enum mr_status status = MR_OK;
    if (n > 0 && n * 2 <= batch->rows) {
        status = mr_batch_take(runtime->memory, batch, rows, n, &rest, err);
        if (status == MR_OK)
            status = mr_spill_log_put(kept->log, runtime, rest, &fresh, err);
        if (status == MR_OK) {
            mr_spilled_drop(kept->log, &stored->rows);
            stored->rows = fresh;
        }
        mr_batch_unref(rest);
    }
    mr_free(rows);
    return status;
}

static enum mr_status recall_piece(const struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                   struct mr_dedup_stored *stored, int64_t from, int64_t before,
                                   struct mr_runtime *runtime, struct mr_error *err)
{
    int nkeys = kept->plan->nkeys;
    struct mr_dedup_rows rows = {0};
    struct mr_batch *batch;
    MR_TRY(mr_spilled_read(&stored->rows, runtime, kept->plan->kept, &batch, err));
    enum mr_status status = mr_dedup_rows_init(&rows, nkeys, batch->columns, batch->rows, err);
    if (status == MR_OK)
        status = mr_group_table_find(part->table, rows.keys, NULL, batch->rows, rows.hashes,
                                     rows.groups, err);
    const int64_t *times = (const int64_t *)(const void *)batch->columns[nkeys]->values->data;
    for (int64_t i = 0; status == MR_OK && i < batch->rows; i++) {
        uint32_t group = rows.groups[i];
        if (group == MR_GROUP_NONE || group < from || times[i] <= before)
            continue;
        part->times[group] = times[i];
        part->recalled += (part->flags[group] & RECALLED) == 0;
        part->flags[group] |= RECALLED;
    }
    if (status == MR_OK)
        status = thin(kept, stored, batch, before, runtime, err);
    mr_dedup_rows_reset(&rows);
    mr_batch_unref(batch);
    return status;
}

enum mr_status mr_dedup_part_recall(const struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                    int64_t from, int64_t before, struct mr_runtime *runtime,
                                    struct mr_error *err)
{
    for (int i = 0; i < part->nstored; i++)
        if (part->stored[i].most > before)
            MR_TRY(recall_piece(kept, part, &part->stored[i], from, before, runtime, err));
    return MR_OK;
}

/* ---- the kept object ---- */

static void kept_close(void *opaque)
{
    struct mr_dedup_kept *kept = opaque;
    for (int p = 0; p < MR_DEDUP_PARTITIONS; p++) {
        part_free(kept, &kept->parts[p]);
        drop_stored(kept, &kept->parts[p]);
    }
    mr_spill_log_free(kept->log);
    mr_free(kept);
}

static enum mr_status kept_open(void *plan, struct mr_runtime *runtime, int64_t share, void **out,
                                struct mr_error *err)
{
    struct mr_dedup_kept *kept = mr_calloc(1, sizeof *kept);
    if (!kept)
        return mr_error_nomem(err);
    kept->plan = plan;
    kept->runtime = mr_kept_runtime(runtime);
    kept->limit = share / 2 / MR_DEDUP_PARTITIONS;
    kept->piece = mr_spill_log_piece(kept->limit);
    enum mr_status status = mr_spill_log_new(&kept->runtime, &kept->log, err);
    for (int p = 0; status == MR_OK && p < MR_DEDUP_PARTITIONS; p++) {
        kept->parts[p].swept = MR_WATERMARK_NONE;
        status = new_table(kept, &kept->parts[p].table, err);
    }
    if (status != MR_OK) {
        kept_close(kept);
        return status;
    }
    *out = kept;
    return MR_OK;
}

/* A later row of a key is the later save of it. */
static enum mr_status kept_restore(void *opaque, struct mr_batch *batch, struct mr_error *err)
{
    struct mr_dedup_kept *kept = opaque;
    struct mr_dedup_rows rows = {0};
    enum mr_status status =
        mr_dedup_rows_init(&rows, kept->plan->nkeys, batch->columns, batch->rows, err);
    for (int64_t i = 0; status == MR_OK && i < batch->rows; i++) {
        struct mr_value time;
        int32_t row = (int32_t)i;
        uint32_t p = mr_spill_partition(rows.hashes[i], MR_DEDUP_BITS);
        struct mr_dedup_part *part = &kept->parts[p];
        mr_column_get(batch->columns[kept->plan->nkeys], i, &time);
        status = mr_group_table_put(part->table, rows.keys, &row, 1, &rows.hashes[i],
                                    &rows.groups[i], err);
        if (status == MR_OK)
            status = part_grow(kept, part, err);
        if (status == MR_OK)
            part->times[rows.groups[i]] = time.u.i64;
    }
    mr_dedup_rows_reset(&rows);
    for (int p = 0; status == MR_OK && p < MR_DEDUP_PARTITIONS; p++)
        status =
            mr_dedup_part_shrink(kept, &kept->parts[p], MR_WATERMARK_NONE, &kept->runtime, err);
    return status;
}

static enum mr_status save_stored(struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                  bool everything, struct mr_emit *emit, struct mr_error *err)
{
    for (int i = 0; i < part->nstored; i++) {
        struct mr_dedup_stored *stored = &part->stored[i];
        struct mr_batch *batch;
        if (stored->saved && !everything)
            continue;
        MR_TRY(mr_spilled_read(&stored->rows, &kept->runtime, kept->plan->kept, &batch, err));
        MR_TRY(emit->batch(emit, 0, batch, err));
        stored->saved = true;
    }
    return MR_OK;
}

static enum mr_status save_groups(const struct mr_dedup_kept *kept,
                                  const struct mr_dedup_part *part, const uint32_t *groups,
                                  int64_t count, struct mr_emit *emit, struct mr_error *err)
{
    for (int64_t from = 0; from < count; from += SAVED_ROWS) {
        struct mr_batch *batch;
        MR_TRY(make_batch(kept, part, groups, from,
                          count - from < SAVED_ROWS ? count - from : SAVED_ROWS, &batch, err));
        MR_TRY(emit->batch(emit, 0, batch, err));
    }
    return MR_OK;
}

/* Of a table, without those that are stored as they are. */
static enum mr_status save_table(const struct mr_dedup_kept *kept, const struct mr_dedup_part *part,
                                 struct mr_emit *emit, struct mr_error *err)
{
    int64_t count = mr_group_table_count(part->table), n = 0;
    if (part->recalled == 0)
        return save_groups(kept, part, NULL, count, emit, err);
    uint32_t *groups = mr_alloc(((size_t)count + 1) * sizeof *groups);
    if (!groups)
        return mr_error_nomem(err);
    for (int64_t g = 0; g < count; g++)
        if (!(part->flags[g] & RECALLED))
            groups[n++] = (uint32_t)g;
    enum mr_status status = save_groups(kept, part, groups, n, emit, err);
    mr_free(groups);
    return status;
}

/* What is stored comes first: of a key that is in both, the table has the later time. */
static enum mr_status kept_save(void *opaque, bool everything, struct mr_emit *emit,
                                struct mr_error *err)
{
    struct mr_dedup_kept *kept = opaque;
    for (int p = 0; p < MR_DEDUP_PARTITIONS; p++) {
        struct mr_dedup_part *part = &kept->parts[p];
        MR_TRY(save_stored(kept, part, everything, emit, err));
        if (everything)
            MR_TRY(save_table(kept, part, emit, err));
        else
            MR_TRY(save_groups(kept, part, part->changed, part->nchanged, emit, err));
        for (int64_t i = 0; i < part->nchanged; i++)
            part->flags[part->changed[i]] &= (uint8_t)~CHANGED;
        part->nchanged = 0;
    }
    return MR_OK;
}

/* Keys. Those that are forgotten count until what they lie in is swept. */
static int64_t kept_rows(const void *opaque)
{
    const struct mr_dedup_kept *kept = opaque;
    int64_t rows = 0;
    for (int p = 0; p < MR_DEDUP_PARTITIONS; p++) {
        const struct mr_dedup_part *part = &kept->parts[p];
        rows += mr_group_table_count(part->table) - part->recalled;
        for (int i = 0; i < part->nstored; i++)
            rows += part->stored[i].rows.rows;
    }
    return rows;
}

const struct mr_keeper mr_dedup_keeper = {
    .open = kept_open,
    .restore = kept_restore,
    .save = kept_save,
    .rows = kept_rows,
    .close = kept_close,
};
