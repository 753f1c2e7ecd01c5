/*
 * deduplicate_stream.c - deduplicate from epoch to epoch: keys that were seen, with the event time of their row.
 *
 * A key is known as long as the time of the row that was kept for it is after the watermark with which the epoch began
 * (`before`). Rows at or behind `before` are late and never come so far, so a row sent twice is dropped whenever it comes: as a
 * known key or as late. Which rows leave therefore depends on where epochs begin, and on nothing else in a run; within an epoch the
 * first row in split order wins. To let each further row of a key extend its time (as a session would) was refused: a key that is
 * repeated for ever would come out once in its life.
 *
 * Keys lie in group tables, one for each partition of the hash, beside an array of times. A forgotten key stays in its
 * table until half of the table is such, then the table is built anew. Saved are the keys that were added since the last
 * save; what was forgotten is not saved, because the times say it.
 */
#include "op/dedup.h"
#include "op/event_time.h"

#include "col/builder.h"

#include <string.h>

struct part {
    struct mr_group_table *table;
    int64_t *times; /* by group */
    int64_t capacity;
    uint32_t *changed; /* groups that are not saved */
    int64_t nchanged, changed_capacity;
    int64_t charged; /* for both arrays */
    int64_t swept;   /* the watermark at which forgotten keys were last counted */
};

struct kept {
    const struct mr_dedup_plan *plan;
    struct mr_runtime *runtime;
    struct part parts[MR_DEDUP_PARTITIONS];
};

/* ---- options ---- */

enum mr_status mr_dedup_expand(const struct mr_op_bind *bind, struct mr_op_parts *out,
                               struct mr_error *err)
{
    const struct mr_option_value *given = mr_options_get(bind->options, "watermark");
    const struct mr_op_input *input = &bind->inputs[0];
    const struct mr_options *watermark = given->set ? given->u.object : NULL;
    const char *time = watermark ? mr_options_text(watermark, "column") : input->event_time;
    int last;
    *out = (struct mr_op_parts){0};
    bool letters;
    if (bind->options->table == mr_dedup_part_options)
        return MR_OK;
    MR_TRY(mr_late_bind(bind->options, &letters, err));
    if (letters && !time)
        return mr_options_error(bind->options, "late", err, "late rows need a `watermark`");
    if ((!input->stream && !letters) || !time)
        return MR_OK;
    struct mr_options *options = mr_options_new(bind->arena, mr_dedup_part_options);
    int *from = mr_arena_calloc(bind->arena, 1, sizeof *from);
    out->items = mr_arena_calloc(bind->arena, 3, sizeof *out->items);
    if (!options || !from || !out->items)
        return mr_error_nomem(err);
    MR_TRY(mr_event_time_parts(bind, watermark, time, bind->options, 0, out, &last, err));
    options->position = bind->options->position;
    for (int i = 0; i < bind->options->count; i++) /* the part's table begins with the step's */
        options->values[i] = bind->options->values[i];
    MR_TRY(mr_options_set_text(bind->arena, options, "eventTime", time, err));
    *from = last;
    out->items[out->count++] = (struct mr_op_part){.method = "deduplicate",
                                                   .options = options,
                                                   .ninputs = 1,
                                                   .inputs = from};
    return MR_OK;
}

static enum mr_status refuse(const struct mr_dedup_plan *plan, const struct mr_op_bind *bind,
                             struct mr_error *err)
{
    if (plan->keep == MR_DEDUP_LAST)
        mr_options_error(bind->options, "keep", err,
                         "the last row of a key is not known in a stream: another may come");
    else if (plan->ordered)
        mr_options_error(bind->options, "orderBy", err,
                         "a stream keeps the row of a key that comes first, and no other");
    else if (plan->keep == MR_DEDUP_UNIQUE)
        mr_options_error(bind->options, "keep", err, "unique is for batch");
    else
        return MR_OK;
    mr_error_hint(err, "keep first without orderBy, or aggregateData with max_by and a window");
    return MR_CONFIG;
}

/* The column of the event time, as a timestamp. */
static enum mr_status bind_time(struct mr_dedup_plan *plan, const struct mr_op_bind *bind,
                                const char *text, struct mr_error *err)
{
    if (mr_op_append(&plan->appended, text, &plan->time, err) != MR_OK) {
        mr_error_hint(err, "%s is the event time of the watermark: it is still needed here", text);
        return mr_op_option_failed(bind->options, "watermark", NULL, err);
    }
    enum mr_type_id id = mr_op_append_field(&plan->appended, plan->time).type->id;
    if (id == MR_TYPE_TIMESTAMP || id == MR_TYPE_TIMESTAMP_NTZ)
        return MR_OK;
    const char *cast = mr_arena_printf(bind->arena, "CAST((%s) AS TIMESTAMP)", text);
    return cast ? mr_op_append(&plan->appended, cast, &plan->time, err) : mr_error_nomem(err);
}

enum mr_status mr_dedup_bind_stream(struct mr_dedup_plan *plan, const struct mr_op_bind *bind,
                                    struct mr_error *err)
{
    const struct mr_op_input *input = &bind->inputs[0];
    plan->time = -1;
    if (!input->stream)
        return MR_OK;
    bool part = bind->options->table == mr_dedup_part_options;
    MR_TRY(refuse(plan, bind, err));
    if (!part) {
        mr_options_error(bind->options, "keys", err,
                         input->measured ? "the frames behind have different event times"
                                         : "a stream without a watermark would be remembered for "
                                           "ever");
        mr_error_hint(err, "give `watermark` {column, delay}%s",
                      input->measured ? "" : " here, or a step withWatermark in front");
        return MR_CONFIG;
    }
    MR_TRY(bind_time(plan, bind, mr_options_text(bind->options, "eventTime"), err));
    struct mr_field *fields = mr_arena_calloc(bind->arena, (size_t)plan->nkeys + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    for (int k = 0; k < plan->nkeys; k++) {
        fields[k].name = mr_arena_printf(bind->arena, "key %d", k + 1);
        fields[k].type = plan->types[k];
        fields[k].nullable = true;
        if (!fields[k].name)
            return mr_error_nomem(err);
    }
    fields[plan->nkeys] =
        (struct mr_field){.name = "event time", .type = mr_type_of(MR_TYPE_INT64)};
    plan->kept = mr_schema_new(bind->arena, fields, plan->nkeys + 1);
    return plan->kept ? MR_OK : mr_error_nomem(err);
}

/* ---- the kept object ---- */

static void part_reset(const struct kept *kept, struct part *part)
{
    mr_memory_credit(kept->runtime->memory, part->charged);
    mr_group_table_free(part->table);
    mr_free(part->times);
    mr_free(part->changed);
    *part = (struct part){0};
}

static enum mr_status part_init(const struct kept *kept, struct part *part, struct mr_error *err)
{
    *part = (struct part){.swept = MR_WATERMARK_NONE};
    return mr_group_table_new(kept->runtime->memory, kept->plan->types, kept->plan->nkeys,
                              &part->table, err);
}

static enum mr_status charge(const struct kept *kept, struct part *part, int64_t bytes,
                             struct mr_error *err)
{
    MR_TRY(mr_memory_charge(kept->runtime->memory, bytes, err));
    part->charged += bytes;
    return MR_OK;
}

/* Room for the times of all groups; new ones are of no time at all. */
static enum mr_status part_grow(const struct kept *kept, struct part *part, struct mr_error *err)
{
    int64_t count = mr_group_table_count(part->table), capacity = part->capacity;
    if (count <= capacity)
        return MR_OK;
    capacity = capacity * 2 > count ? capacity * 2 : count;
    MR_TRY(charge(kept, part, (capacity - part->capacity) * (int64_t)sizeof *part->times, err));
    int64_t *times = mr_realloc(part->times, (size_t)capacity * sizeof *times);
    if (!times)
        return mr_error_nomem(err);
    for (int64_t g = part->capacity; g < capacity; g++)
        times[g] = MR_WATERMARK_NONE;
    part->times = times;
    part->capacity = capacity;
    return MR_OK;
}

static enum mr_status note_change(const struct kept *kept, struct part *part, uint32_t group,
                                  struct mr_error *err)
{
    if (part->nchanged == part->changed_capacity) {
        int64_t capacity = part->changed_capacity * 2 + 256;
        MR_TRY(charge(kept, part,
                      (capacity - part->changed_capacity) * (int64_t)sizeof *part->changed, err));
        uint32_t *changed = mr_realloc(part->changed, (size_t)capacity * sizeof *changed);
        if (!changed)
            return mr_error_nomem(err);
        part->changed = changed;
        part->changed_capacity = capacity;
    }
    part->changed[part->nchanged++] = group;
    return MR_OK;
}

/* The keys of live groups into a new table. */
static enum mr_status rebuild(const struct kept *kept, struct part *part, const uint32_t *live,
                              int64_t count, struct mr_error *err)
{
    const struct mr_dedup_plan *plan = kept->plan;
    struct mr_column **keys = mr_calloc((size_t)plan->nkeys + 1, sizeof(*keys));
    uint64_t *hashes = mr_alloc(((size_t)count + 1) * (sizeof *hashes + sizeof(uint32_t)));
    struct part fresh = {0};
    enum mr_status status = keys && hashes ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = part_init(kept, &fresh, err);
    if (status == MR_OK)
        status = mr_group_table_keys(part->table, kept->runtime->memory, live, 0, count, keys, err);
    if (status == MR_OK) {
        uint32_t *groups = (uint32_t *)(void *)(hashes + count + 1);
        const uint64_t *old = mr_group_table_hashes(part->table);
        for (int64_t i = 0; i < count; i++)
            hashes[i] = old[live[i]];
        status = mr_group_table_put(fresh.table, keys, NULL, count, hashes, groups, err);
        for (int k = 0; k < plan->nkeys; k++)
            mr_column_unref(keys[k]);
    }
    if (status == MR_OK)
        status = part_grow(kept, &fresh, err);
    for (int64_t i = 0; status == MR_OK && i < count; i++)
        fresh.times[i] = part->times[live[i]];
    mr_free(keys);
    mr_free(hashes);
    if (status != MR_OK) {
        part_reset(kept, &fresh);
        return status;
    }
    part_reset(kept, part);
    *part = fresh;
    return MR_OK;
}

/* Is half of the table forgotten by now? Then it is made anew. */
static enum mr_status sweep(const struct kept *kept, struct part *part, int64_t before,
                            struct mr_error *err)
{
    int64_t count = mr_group_table_count(part->table), n = 0;
    if (before <= part->swept || part->nchanged > 0)
        return MR_OK;
    part->swept = before;
    for (int64_t g = 0; g < count; g++)
        n += part->times[g] > before;
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
    part->swept = before;
    mr_free(live);
    return status;
}

/* ---- an epoch ---- */

struct rows {
    struct mr_column **keys; /* then hashes and groups, one piece of memory */
    uint64_t *hashes;
    uint32_t *groups;
    struct mr_column *times;
};

static enum mr_status rows_new(int nkeys, struct mr_column *const *keys, int64_t count,
                               struct rows *out, struct mr_error *err)
{
    size_t n = (size_t)count;
    out->keys = mr_calloc(1, ((size_t)nkeys + 1) * sizeof(*out->keys) +
                                 n * (sizeof(uint64_t) + sizeof(uint32_t)));
    if (!out->keys)
        return mr_error_nomem(err);
    out->hashes = (uint64_t *)(void *)(out->keys + nkeys + 1);
    out->groups = (uint32_t *)(void *)(out->hashes + n);
    for (int k = 0; k < nkeys; k++) {
        out->keys[k] = keys[k];
        mr_column_hash(keys[k], NULL, count, out->hashes);
    }
    return MR_OK;
}

/* The rows of a chunk; `at`: place of the first one among the bits. */
static enum mr_status remember_chunk(const struct mr_dedup_plan *plan, struct part *part,
                                     struct mr_runtime *runtime, const struct mr_batch *batch,
                                     int64_t before, uint8_t *bits, int64_t at,
                                     struct mr_error *err)
{
    const struct kept *kept = runtime->kept;
    struct rows rows = {0};
    struct mr_column **keys = mr_calloc((size_t)plan->nkeys + 1, sizeof(*keys));
    enum mr_status status = keys ? MR_OK : mr_error_nomem(err);
    for (int k = 0; keys && k < plan->nkeys; k++)
        keys[k] = batch->columns[plan->keys[k]];
    if (status == MR_OK)
        status = rows_new(plan->nkeys, keys, batch->rows, &rows, err);
    if (status == MR_OK)
        status = mr_column_flatten(runtime->memory, batch->columns[plan->time], &rows.times, err);
    if (status == MR_OK)
        status = mr_group_table_put(part->table, rows.keys, NULL, batch->rows, rows.hashes,
                                    rows.groups, err);
    if (status == MR_OK)
        status = part_grow(kept, part, err);
    const int64_t *times =
        status == MR_OK ? (const int64_t *)(const void *)rows.times->values->data : NULL;
    for (int64_t i = 0; status == MR_OK && i < batch->rows; i++, at++) {
        uint32_t group = rows.groups[i];
        if (part->times[group] > before)
            continue;
        /* Without a time it is as if it had the first that is not late, which there is (event_clock.h). */
        part->times[group] = mr_column_is_null(rows.times, i) ? before + 1 : times[i];
        bits[at >> 3] |= (uint8_t)(1u << (at & 7));
        status = note_change(kept, part, group, err);
    }
    mr_column_unref(rows.times);
    mr_free(rows.keys);
    mr_free(keys);
    return status;
}

enum mr_status mr_dedup_remember(const struct mr_dedup_plan *plan, struct mr_spill *spill,
                                 struct mr_runtime *runtime, int partition,
                                 struct mr_dedup_fresh *out, struct mr_error *err)
{
    struct kept *kept = runtime->kept;
    struct part *part = &kept->parts[partition];
    struct mr_event_clock *clock = runtime->clocks ? runtime->clocks[0] : NULL;
    int64_t before = clock ? mr_event_clock_before(clock) : MR_WATERMARK_NONE, at = 0;
    enum mr_status status = MR_OK;
    MR_TRY(sweep(kept, part, before, err));
    out->bits = mr_calloc((size_t)mr_spill_rows(spill, partition) / 8 + 1, 1);
    if (!out->bits)
        return mr_error_nomem(err);
    for (int c = 0; status == MR_OK && c < mr_spill_chunks(spill, partition); c++) {
        struct mr_batch *batch;
        MR_TRY(mr_spill_chunk(spill, runtime, partition, c, &batch, err));
        status = remember_chunk(plan, part, runtime, batch, before, out->bits, at, err);
        at += batch->rows;
        mr_batch_unref(batch);
    }
    return status;
}

/* ---- saved and given back ---- */

static void kept_close(void *opaque)
{
    struct kept *kept = opaque;
    for (int p = 0; p < MR_DEDUP_PARTITIONS; p++)
        part_reset(kept, &kept->parts[p]);
    mr_free(kept);
}

static enum mr_status kept_open(void *plan, struct mr_runtime *runtime, void **out,
                                struct mr_error *err)
{
    struct kept *kept = mr_calloc(1, sizeof *kept);
    if (!kept)
        return mr_error_nomem(err);
    kept->plan = plan;
    kept->runtime = runtime;
    enum mr_status status = MR_OK;
    for (int p = 0; status == MR_OK && p < MR_DEDUP_PARTITIONS; p++)
        status = part_init(kept, &kept->parts[p], err);
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
    struct kept *kept = opaque;
    struct rows rows = {0};
    enum mr_status status = rows_new(kept->plan->nkeys, batch->columns, batch->rows, &rows, err);
    for (int64_t i = 0; status == MR_OK && i < batch->rows; i++) {
        struct mr_value time;
        int32_t row = (int32_t)i;
        uint32_t p = mr_spill_partition(rows.hashes[i], MR_DEDUP_BITS);
        struct part *part = &kept->parts[p];
        mr_column_get(batch->columns[kept->plan->nkeys], i, &time);
        status = mr_group_table_put(part->table, rows.keys, &row, 1, &rows.hashes[i],
                                    &rows.groups[i], err);
        if (status == MR_OK)
            status = part_grow(kept, part, err);
        if (status == MR_OK)
            part->times[rows.groups[i]] = time.u.i64;
    }
    mr_free(rows.keys);
    return status;
}

static enum mr_status save_groups(const struct kept *kept, const struct part *part,
                                  const uint32_t *groups, int64_t from, int64_t count,
                                  struct mr_emit *emit, struct mr_error *err)
{
    int nkeys = kept->plan->nkeys;
    struct mr_builder builder = {0};
    struct mr_batch *batch;
    struct mr_column **columns = mr_calloc((size_t)nkeys + 1, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(err);
    struct mr_memory *memory = kept->runtime->memory;
    enum mr_status status = mr_builder_init(&builder, memory, mr_type_of(MR_TYPE_INT64), err);
    for (int64_t i = from; status == MR_OK && i < from + count; i++)
        status = mr_builder_int(&builder, part->times[groups ? groups[i] : i], err);
    if (status == MR_OK)
        status = mr_builder_finish(&builder, &columns[nkeys], err);
    if (status == MR_OK)
        status = mr_group_table_keys(part->table, memory, groups ? groups + from : NULL, from,
                                     count, columns, err);
    if (status == MR_OK)
        status = mr_batch_new(kept->plan->kept, count, columns, &batch, err);
    else
        mr_column_unref(columns[nkeys]);
    mr_builder_reset(&builder);
    mr_free(columns);
    return status == MR_OK ? emit->batch(emit, 0, batch, err) : status;
}

#define SAVED_ROWS 16384

static enum mr_status kept_save(void *opaque, bool everything, struct mr_emit *emit,
                                struct mr_error *err)
{
    struct kept *kept = opaque;
    for (int p = 0; p < MR_DEDUP_PARTITIONS; p++) {
        struct part *part = &kept->parts[p];
        int64_t count = everything ? mr_group_table_count(part->table) : part->nchanged;
        for (int64_t from = 0; from < count; from += SAVED_ROWS)
            MR_TRY(save_groups(kept, part, everything ? NULL : part->changed, from,
                               count - from < SAVED_ROWS ? count - from : SAVED_ROWS, emit, err));
        part->nchanged = 0;
    }
    return MR_OK;
}

const struct mr_keeper mr_dedup_keeper = {
    .open = kept_open,
    .restore = kept_restore,
    .save = kept_save,
    .close = kept_close,
};
