/*
 * window_kept.c - the last rows of each group of a stream's windowColumns.
 *
 * Rows lie in runs, one for each epoch, as columns of what the functions read; a group knows where each of its last rows is, by
 * the row's number in the group. Runs are merged as they grow, largest first, so that there are few, and rows that have fallen
 * out of reach go with that; when more than half of all rows are such, everything is merged. The number is saved with the row,
 * so what is saved are the rows of an epoch, and a later row says by its number which earlier ones no longer count.
 *
 * A ring of values for each group was refused: texts and nested values would have to be packed one by one.
 *
 * What is more than its part of the memory is in files (window_stored.c). A partition that is there has runs only while rows are given back.
 */
#include "op/window_kept.h"

#include "base/clamp.h"

#include <string.h>

#define NOWHERE UINT32_MAX
/* Of rows that are loaded together. */
#define LEAST_LEAF ((int64_t)16 << 10)
#define MOST_LEAF  ((int64_t)4 << 20)

void mr_window_hash(const struct mr_window_plan *plan, const struct mr_batch *batch, const int *at,
                    uint64_t *hashes)
{
    memset(hashes, 0, (size_t)batch->rows * sizeof *hashes);
    for (int k = 0; k < plan->npartition; k++)
        mr_column_hash(batch->columns[at[k]], NULL, batch->rows, hashes);
}

static enum mr_status charge(const struct mr_window_kept *kept, struct mr_window_part *part,
                             int64_t bytes, struct mr_error *err)
{
    MR_TRY(mr_memory_charge(kept->memory, bytes, err));
    part->charged += bytes;
    return MR_OK;
}

static enum mr_status grow_keys(const struct mr_window_kept *kept, struct mr_window_part *part,
                                struct mr_error *err)
{
    int64_t count = mr_group_table_count(part->table), capacity = part->capacity;
    if (count > capacity) {
        capacity = capacity * 2 > count ? capacity * 2 : count;
        MR_TRY(charge(kept, part, (capacity - part->capacity) * (int64_t)sizeof *part->keys, err));
        struct mr_window_key *keys = mr_realloc(part->keys, (size_t)capacity * sizeof *keys);
        if (!keys)
            return mr_error_nomem(err);
        part->keys = keys;
        part->capacity = capacity;
    }
    for (; part->nkeys < count; part->nkeys++)
        part->keys[part->nkeys] = (struct mr_window_key){0};
    return MR_OK;
}

enum mr_status mr_window_groups(const struct mr_window_kept *kept, struct mr_window_part *part,
                                const struct mr_batch *batch, const int *at, const uint64_t *hashes,
                                uint32_t *groups, struct mr_error *err)
{
    int n = kept->plan->npartition;
    struct mr_column **keys = mr_calloc((size_t)n + 1, sizeof(*keys));
    if (!keys)
        return mr_error_nomem(err);
    for (int k = 0; k < n; k++)
        keys[k] = batch->columns[at[k]];
    enum mr_status status =
        mr_group_table_put(part->table, keys, NULL, batch->rows, hashes, groups, err);
    mr_free(keys);
    return status == MR_OK ? grow_keys(kept, part, err) : status;
}

static const int64_t *numbers_of(const struct mr_window_run *run)
{
    int n = run->batch->schema->nfields;
    return (const int64_t *)(const void *)run->batch->columns[n - 1]->values->data;
}

bool mr_window_find(const struct mr_window_part *part, uint32_t group, int64_t number,
                    struct mr_window_place *out)
{
    const struct mr_window_key *key = &part->keys[group];
    if (key->room == 0)
        return false;
    *out = key->places[(uint64_t)number & (key->room - 1)];
    if (out->run == NOWHERE || out->run >= (uint32_t)part->nruns)
        return false;
    const struct mr_window_run *run = &part->runs[out->run];
    return out->row < run->batch->rows && run->owners[out->row] == group &&
           numbers_of(run)[out->row] == number;
}

bool mr_window_is_live(const struct mr_window_kept *kept, const struct mr_window_part *part, int r,
                       int64_t row)
{
    struct mr_window_place place;
    const struct mr_window_run *run = &part->runs[r];
    uint32_t group = run->owners[row];
    int64_t number = numbers_of(run)[row];
    return number > part->keys[group].seen - kept->plan->keep &&
           mr_window_find(part, group, number, &place) && place.run == (uint32_t)r &&
           place.row == row;
}

/* ---- taking rows ---- */

enum mr_status mr_window_recall(const struct mr_window_part *part, struct mr_memory *memory,
                                const struct mr_window_place *places, int64_t count,
                                struct mr_batch **out, int32_t *at, struct mr_error *err)
{
    size_t nruns = (size_t)part->nruns;
    int npieces = 0;
    int64_t *starts = mr_calloc(nruns + 1, sizeof *starts);
    int32_t *rows = mr_alloc((size_t)count * sizeof *rows);
    struct mr_batch **pieces = mr_calloc(nruns + 1, sizeof(*pieces));
    enum mr_status status = starts && rows && pieces ? MR_OK : mr_error_nomem(err);
    for (int64_t i = 0; status == MR_OK && i < count; i++)
        starts[places[i].run + 1]++;
    for (size_t r = 1; status == MR_OK && r <= nruns; r++)
        starts[r] += starts[r - 1];
    for (int64_t i = 0; status == MR_OK && i < count; i++) {
        at[i] = (int32_t)starts[places[i].run]++;
        rows[at[i]] = places[i].row;
    }
    for (size_t r = 0, from = 0; status == MR_OK && r < nruns; r++) {
        size_t to = (size_t)starts[r]; /* by now where the next run's begin */
        if (to > from)
            status = mr_batch_take(memory, part->runs[r].batch, rows + from, (int64_t)(to - from),
                                   &pieces[npieces], err);
        npieces += status == MR_OK && to > from;
        from = to;
    }
    if (status == MR_OK && npieces == 1)
        *out = mr_batch_ref(pieces[0]);
    else if (status == MR_OK)
        status = mr_batch_concat(memory, pieces, npieces, out, err);
    for (int i = 0; pieces && i < npieces; i++)
        mr_batch_unref(pieces[i]);
    mr_free(starts);
    mr_free(rows);
    mr_free(pieces);
    return status;
}

/* ---- keeping rows ---- */

/* Room for `wanted` places. */
static enum mr_status grow_places(const struct mr_window_kept *kept, struct mr_window_part *part,
                                  struct mr_window_key *key, int64_t seen, int64_t wanted,
                                  struct mr_error *err)
{
    uint32_t room = key->room ? key->room : 1;
    if (wanted <= key->room)
        return MR_OK;
    while (room < wanted)
        room *= 2;
    MR_TRY(charge(kept, part, (int64_t)(room - key->room) * (int64_t)sizeof *key->places, err));
    struct mr_window_place *places = mr_alloc(room * sizeof *places);
    if (!places)
        return mr_error_nomem(err);
    for (uint32_t i = 0; i < room; i++)
        places[i].run = NOWHERE;
    for (int64_t n = seen; key->room > 0 && n > 0 && n > seen - (int64_t)key->room; n--)
        places[(uint64_t)n & (room - 1)] = key->places[(uint64_t)n & (key->room - 1)];
    mr_free(key->places);
    key->places = places;
    key->room = room;
    return MR_OK;
}

static enum mr_status note_row(const struct mr_window_kept *kept, struct mr_window_part *part,
                               int run, int64_t row, struct mr_error *err)
{
    struct mr_window_key *key = &part->keys[part->runs[run].owners[row]];
    int64_t number = numbers_of(&part->runs[run])[row], keep = kept->plan->keep;
    int64_t before = key->seen, held = before < keep ? before : keep;
    if (number <= before - keep)
        return MR_OK;
    if (number > before)
        key->seen = number;
    int64_t holds = key->seen < keep ? key->seen : keep;
    part->live += holds - held;
    MR_TRY(grow_places(kept, part, key, before, holds, err));
    key->places[(uint64_t)number & (key->room - 1)] =
        (struct mr_window_place){.run = (uint32_t)run, .row = (int32_t)row};
    return MR_OK;
}

static void run_reset(struct mr_window_run *run)
{
    mr_batch_unref(run->batch);
    mr_free(run->owners);
    *run = (struct mr_window_run){0};
}

/* Takes the run over, also when it fails. */
static enum mr_status push_run(const struct mr_window_kept *kept, struct mr_window_part *part,
                               struct mr_window_run run, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    if (part->nruns == part->run_capacity) {
        int capacity = part->run_capacity * 2 + 8;
        struct mr_window_run *runs = mr_realloc(part->runs, (size_t)capacity * sizeof *runs);
        status = runs ? MR_OK : mr_error_nomem(err);
        part->runs = runs ? runs : part->runs;
        part->run_capacity = runs ? capacity : part->run_capacity;
    }
    if (status == MR_OK)
        status = charge(kept, part, run.batch->rows * (int64_t)sizeof *run.owners, err);
    if (status != MR_OK) {
        run_reset(&run);
        return status;
    }
    part->runs[part->nruns++] = run;
    part->rows += run.batch->rows;
    return MR_OK;
}

static void drop_runs(const struct mr_window_kept *kept, struct mr_window_part *part, int from)
{
    for (int r = from; r < part->nruns; r++) {
        int64_t bytes = part->runs[r].batch->rows * (int64_t)sizeof *part->runs[r].owners;
        mr_memory_credit(kept->memory, bytes);
        part->charged -= bytes;
        part->rows -= part->runs[r].batch->rows;
        run_reset(&part->runs[r]);
    }
    part->nruns = from;
}

static enum mr_status live_rows(const struct mr_window_kept *kept,
                                const struct mr_window_part *part, int from,
                                struct mr_window_place **out, int64_t *count, struct mr_error *err)
{
    int64_t total = 0, n = 0;
    for (int r = from; r < part->nruns; r++)
        total += part->runs[r].batch->rows;
    struct mr_window_place *places = mr_alloc(((size_t)total + 1) * sizeof *places);
    if (!places)
        return mr_error_nomem(err);
    for (int r = from; r < part->nruns; r++)
        for (int64_t i = 0; i < part->runs[r].batch->rows; i++)
            if (mr_window_is_live(kept, part, r, i))
                places[n++] = (struct mr_window_place){.run = (uint32_t)r, .row = (int32_t)i};
    *out = places;
    *count = n;
    return MR_OK;
}

/* Runs from `from` on become one. */
static enum mr_status merge(struct mr_window_kept *kept, struct mr_window_part *part, int from,
                            struct mr_error *err)
{
    struct mr_window_place *places = NULL;
    struct mr_window_run run = {.saved = true, .stored = true};
    int64_t count = 0;
    MR_TRY(live_rows(kept, part, from, &places, &count, err));
    int32_t *at = mr_alloc(((size_t)count + 1) * sizeof *at);
    run.owners = mr_alloc(((size_t)count + 1) * sizeof *run.owners);
    enum mr_status status = at && run.owners ? MR_OK : mr_error_nomem(err);
    for (int r = from; r < part->nruns; r++) {
        run.saved &= part->runs[r].saved;
        run.stored &= part->runs[r].stored;
    }
    if (status == MR_OK && count > 0)
        status = mr_window_recall(part, kept->memory, places, count, &run.batch, at, err);
    for (int64_t i = 0; status == MR_OK && i < count; i++)
        run.owners[at[i]] = part->runs[places[i].run].owners[places[i].row];
    if (status == MR_OK) {
        drop_runs(kept, part, from);
        if (count > 0)
            status = push_run(kept, part, run, err);
        else
            run_reset(&run);
        for (int64_t i = 0; status == MR_OK && i < count; i++)
            status = note_row(kept, part, from, i, err);
    } else {
        run_reset(&run);
    }
    mr_free(at);
    mr_free(places);
    return status;
}

/* Each run is to be more than twice as large as all behind it, and half of the rows are to be needed. */
static enum mr_status tidy(struct mr_window_kept *kept, struct mr_window_part *part,
                           struct mr_error *err)
{
    int from = part->nruns - 1;
    if (from < 0 || !part->runs[from].saved) /* with it others would be saved again */
        return MR_OK;
    int64_t total = part->runs[from].batch->rows;
    while (from > 0 && part->runs[from - 1].batch->rows <= 2 * total)
        total += part->runs[--from].batch->rows;
    if (part->rows > 2 * part->live + 4096)
        from = 0;
    else if (from == part->nruns - 1)
        return MR_OK;
    return merge(kept, part, from, err);
}

/* Nothing of the epoch is left in the copy, neither memory of its account nor types of its plan. */
static enum mr_status adopt(const struct mr_window_kept *kept, const struct mr_batch *batch,
                            struct mr_batch **out, struct mr_error *err)
{
    const struct mr_schema *schema = kept->plan->kept;
    int done = 0;
    struct mr_column **columns = mr_calloc((size_t)schema->nfields, sizeof(*columns));
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    for (; status == MR_OK && done < schema->nfields; done += status == MR_OK) {
        struct mr_column *copy = NULL, *flat = NULL;
        status = mr_column_copy(kept->memory, batch->columns[done], &copy, err);
        if (status == MR_OK && done == schema->nfields - 1)
            status = mr_column_flatten(kept->memory, copy, &flat, err);
        else if (status == MR_OK)
            flat = mr_column_ref(copy);
        if (status == MR_OK)
            status = mr_column_retype(flat, schema->fields[done].type, &columns[done], err);
        mr_column_unref(copy);
        mr_column_unref(flat);
        if (status != MR_OK)
            break;
    }
    if (status == MR_OK)
        status = mr_batch_new(schema, batch->rows, columns, out, err);
    else
        for (int c = 0; columns && c < done; c++)
            mr_column_unref(columns[c]);
    mr_free(columns);
    return status;
}

enum mr_status mr_window_enter(const struct mr_window_kept *kept, struct mr_window_part *part,
                               struct mr_window_run run, const uint32_t *groups,
                               struct mr_error *err)
{
    int64_t rows = run.batch->rows;
    size_t bytes = (size_t)rows * sizeof *run.owners;
    run.owners = mr_alloc(bytes + 1);
    if (!run.owners) {
        run_reset(&run);
        return mr_error_nomem(err);
    }
    memcpy(run.owners, groups, bytes);
    MR_TRY(push_run(kept, part, run, err));
    for (int64_t i = 0; i < rows; i++)
        MR_TRY(note_row(kept, part, part->nruns - 1, i, err));
    return MR_OK;
}

enum mr_status mr_window_keep(struct mr_window_kept *kept, struct mr_window_part *part,
                              const struct mr_batch *batch, const uint32_t *groups,
                              struct mr_error *err)
{
    struct mr_window_run run = {0};
    if (batch->rows == 0)
        return MR_OK;
    MR_TRY(tidy(kept, part, err));
    MR_TRY(adopt(kept, batch, &run.batch, err));
    return mr_window_enter(kept, part, run, groups, err);
}

/* ---- a partition ---- */

enum mr_status mr_window_part_init(const struct mr_window_kept *kept, struct mr_window_part *part,
                                   struct mr_error *err)
{
    *part = (struct mr_window_part){.stored = part->stored};
    return mr_group_table_new(kept->memory, kept->plan->types, kept->plan->npartition, &part->table,
                              err);
}

void mr_window_part_reset(const struct mr_window_kept *kept, struct mr_window_part *part)
{
    drop_runs(kept, part, 0);
    for (int64_t g = 0; g < part->nkeys; g++)
        mr_free(part->keys[g].places);
    mr_memory_credit(kept->memory, part->charged);
    mr_group_table_free(part->table);
    mr_free(part->keys);
    mr_free(part->runs);
    *part = (struct mr_window_part){.stored = part->stored};
}

int64_t mr_window_part_bytes(const struct mr_window_part *part)
{
    int64_t bytes = part->charged;
    for (int r = 0; r < part->nruns; r++)
        bytes += mr_batch_bytes(part->runs[r].batch);
    return bytes;
}

/* ---- saved and given back ---- */

static void kept_close(void *opaque)
{
    struct mr_window_kept *kept = opaque;
    for (int p = 0; p < MR_WINDOW_PARTS; p++) {
        mr_window_part_reset(kept, &kept->parts[p]);
        mr_window_node_free(kept, kept->parts[p].stored);
    }
    mr_spill_log_free(kept->log);
    mr_free(kept);
}

static enum mr_status kept_open(void *plan, struct mr_runtime *runtime, int64_t share, void **out,
                                struct mr_error *err)
{
    struct mr_window_kept *kept = mr_calloc(1, sizeof *kept);
    if (!kept)
        return mr_error_nomem(err);
    kept->plan = plan;
    kept->runtime = mr_kept_runtime(runtime);
    kept->memory = runtime->memory;
    kept->limit = share / MR_WINDOW_PARTS;
    kept->leaf = mr_clamp(kept->limit, LEAST_LEAF, MOST_LEAF);
    kept->block = share / 4 / (runtime->parallelism > 1 ? runtime->parallelism : 1);
    enum mr_status status = mr_spill_log_new(&kept->runtime, &kept->log, err);
    for (int p = 0; status == MR_OK && p < MR_WINDOW_PARTS; p++)
        status = mr_window_part_init(kept, &kept->parts[p], err);
    if (status != MR_OK) {
        kept_close(kept);
        return status;
    }
    *out = kept;
    return MR_OK;
}

static enum mr_status restore_part(struct mr_window_kept *kept, int p, const struct mr_batch *batch,
                                   const uint64_t *hashes, const int32_t *rows, int64_t count,
                                   struct mr_error *err)
{
    struct mr_window_part *part = &kept->parts[p];
    struct mr_batch *own = NULL;
    uint64_t *some = mr_alloc((size_t)count * (sizeof *some + sizeof(uint32_t)));
    enum mr_status status = some ? MR_OK : mr_error_nomem(err);
    uint32_t *groups = (uint32_t *)(void *)(some + (some ? count : 0));
    for (int64_t i = 0; status == MR_OK && i < count; i++)
        some[i] = hashes[rows[i]];
    if (status == MR_OK)
        status = mr_batch_take(kept->memory, batch, rows, count, &own, err);
    if (status == MR_OK)
        status = mr_window_groups(kept, part, own, kept->plan->kept_keys, some, groups, err);
    if (status == MR_OK)
        status = mr_window_keep(kept, part, own, groups, err);
    if (status == MR_OK)
        part->runs[part->nruns - 1].saved = true;
    if (status == MR_OK)
        status = mr_window_part_shrink(kept, part, &kept->runtime, err);
    mr_batch_unref(own);
    mr_free(some);
    return status;
}

static enum mr_status check_numbers(const struct mr_column *numbers, struct mr_error *err)
{
    for (int64_t i = 0; i < numbers->length; i++) {
        struct mr_value value;
        mr_column_get(numbers, i, &value);
        if (value.is_null || value.u.i64 <= 0 || value.u.i64 > INT64_MAX / 2)
            return mr_error_set(err, MR_SOURCE, MR_CLASS_DATA, "a kept row has no number");
    }
    return MR_OK;
}

static enum mr_status kept_restore(void *opaque, struct mr_batch *batch, struct mr_error *err)
{
    struct mr_window_kept *kept = opaque;
    size_t rows = (size_t)batch->rows;
    MR_TRY(check_numbers(batch->columns[kept->plan->kept->nfields - 1], err));
    uint64_t *hashes = mr_alloc((rows + 1) * (sizeof *hashes + sizeof(int32_t)));
    if (!hashes)
        return mr_error_nomem(err);
    int32_t *list = (int32_t *)(void *)(hashes + rows + 1);
    enum mr_status status = MR_OK;
    mr_window_hash(kept->plan, batch, kept->plan->kept_keys, hashes);
    for (int p = 0; status == MR_OK && p < MR_WINDOW_PARTS; p++) {
        int64_t count = 0;
        for (size_t i = 0; i < rows; i++)
            if (mr_spill_partition(hashes[i], MR_WINDOW_BITS) == (uint32_t)p)
                list[count++] = (int32_t)i;
        if (count > 0)
            status = restore_part(kept, p, batch, hashes, list, count, err);
    }
    mr_free(hashes);
    return status;
}

#define SAVED_ROWS  16384
#define SAVED_BYTES ((int64_t)256 << 10)
#define SAVED_MOST  64

/* Rows of many partitions and leaves, few of each: gathered, so that notes are not as many. */
struct saving {
    struct mr_emit emit; /* first: what rows are emitted into */
    struct mr_emit *to;
    struct mr_memory *memory;
    struct mr_batch *batches[SAVED_MOST];
    int count;
    int64_t bytes;
};

static enum mr_status send(struct saving *saving, struct mr_error *err)
{
    struct mr_batch *all = NULL;
    if (saving->count == 0)
        return MR_OK;
    enum mr_status status = MR_OK;
    if (saving->count == 1)
        all = mr_batch_ref(saving->batches[0]);
    else
        status = mr_batch_concat(saving->memory, saving->batches, saving->count, &all, err);
    for (int i = 0; i < saving->count; i++)
        mr_batch_unref(saving->batches[i]);
    saving->count = 0;
    saving->bytes = 0;
    return status == MR_OK ? saving->to->batch(saving->to, 0, all, err) : status;
}

static enum mr_status gather(struct mr_emit *emit, int port, struct mr_batch *batch,
                             struct mr_error *err)
{
    (void)port;
    struct saving *saving = (struct saving *)(void *)emit;
    saving->batches[saving->count++] = batch;
    saving->bytes += mr_batch_bytes(batch);
    return saving->count == SAVED_MOST || saving->bytes >= SAVED_BYTES ? send(saving, err) : MR_OK;
}

static enum mr_status save_run(const struct mr_window_kept *kept, const struct mr_window_part *part,
                               int r, struct mr_emit *emit, struct mr_error *err)
{
    const struct mr_window_run *run = &part->runs[r];
    int32_t *rows = mr_alloc((size_t)run->batch->rows * sizeof *rows);
    int64_t count = 0;
    if (!rows)
        return mr_error_nomem(err);
    for (int64_t i = 0; i < run->batch->rows; i++)
        if (mr_window_is_live(kept, part, r, i))
            rows[count++] = (int32_t)i;
    enum mr_status status = MR_OK;
    for (int64_t from = 0; status == MR_OK && from < count; from += SAVED_ROWS) {
        struct mr_batch *batch;
        int64_t n = count - from < SAVED_ROWS ? count - from : SAVED_ROWS;
        status = mr_batch_take(kept->memory, run->batch, rows + from, n, &batch, err);
        if (status == MR_OK)
            status = emit->batch(emit, 0, batch, err);
    }
    mr_free(rows);
    return status;
}

static enum mr_status save_part(struct mr_window_kept *kept, struct mr_window_part *part,
                                bool everything, struct mr_emit *emit, struct mr_error *err)
{
    for (int r = 0; r < part->nruns; r++) {
        if (everything || !part->runs[r].saved)
            MR_TRY(save_run(kept, part, r, emit, err));
        part->runs[r].saved = true;
    }
    return part->stored ? mr_window_node_save(kept, part->stored, everything, emit, err) : MR_OK;
}

static enum mr_status kept_save(void *opaque, bool everything, struct mr_emit *emit,
                                struct mr_error *err)
{
    struct mr_window_kept *kept = opaque;
    struct saving saving = {.emit = {.batch = gather}, .to = emit, .memory = kept->memory};
    enum mr_status status = MR_OK;
    for (int p = 0; status == MR_OK && p < MR_WINDOW_PARTS; p++)
        status = save_part(kept, &kept->parts[p], everything, &saving.emit, err);
    if (status == MR_OK)
        return send(&saving, err);
    for (int i = 0; i < saving.count; i++)
        mr_batch_unref(saving.batches[i]);
    return status;
}

static int64_t kept_rows(const void *opaque)
{
    const struct mr_window_kept *kept = opaque;
    int64_t rows = 0;
    for (int p = 0; p < MR_WINDOW_PARTS; p++)
        rows += kept->parts[p].rows + mr_window_node_rows(kept->parts[p].stored);
    return rows;
}

const struct mr_keeper mr_window_keeper = {
    .open = kept_open,
    .restore = kept_restore,
    .save = kept_save,
    .rows = kept_rows,
    .close = kept_close,
};
