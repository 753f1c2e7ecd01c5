/*
 * sorter_read.c - reading runs in order: cursors over runs, a merge, and a gather for each batch.
 *
 * A cursor stands in the order of a run in memory, or in a chunk that was read back; the merge names
 * rows by (source, row), and as soon as a batch is full one gather makes its columns. Sources are the
 * batches of the runs in memory, then one chunk of each run in files; a chunk that its cursor has
 * left stays a source until the gather.
 *
 * Where a range begins inside of a chunk is searched when the chunk is there: the marks tell which one
 * it is. So dividing reads nothing, and a range reads at most one chunk of a run in vain.
 */
#include "op/sorter_private.h"

#include <string.h>

#define BATCH_BYTES (INT64_C(2) << 20)

struct cursor {
    const struct mr_sorter_run *run;
    int index;   /* of the run in the sorter */
    int64_t at;  /* row of the order, or of the chunk */
    int64_t end; /* of the rows in range */
    /* in memory */
    int first_source;
    /* in files */
    int chunk; /* of the run */
    int last;  /* the last chunk in range */
    struct mr_batch *batch;
    uint64_t *keys;
    int64_t key_room;
    int source;
};

struct mr_sorter_reader {
    const struct mr_sorter *sorter;
    struct mr_runtime *runtime;
    const struct mr_schema *schema;
    const struct mr_sorter_bound *from;
    const struct mr_sorter_bound *to;
    uint64_t mask[MR_SORT_MAX_WORDS];
    struct mr_sort_merge merge;
    struct cursor *cursors; /* of merge.count runs */
    struct mr_batch **sources;
    int nsources;
    int nmemory; /* sources of runs in memory: borrowed; those behind are references */
    int source_room;
    int nleft; /* chunks that were left since the last gather */
    int64_t batch_rows;
    uint64_t *positions;
};

void mr_sorter_reader_rows(struct mr_sorter_reader *reader, int64_t rows)
{
    reader->batch_rows = rows;
}

/* ---- where ranges begin --------------------------------------------------------------------- */

static bool row_before(const struct mr_sorter_reader *self, const struct cursor *cursor, int64_t i,
                       const struct mr_sorter_bound *bound)
{
    uint64_t key[MR_SORT_MAX_WORDS];
    if (!cursor->run->store) {
        uint64_t position = mr_sort_run_position(&cursor->run->order, i);
        const uint64_t *words = mr_sort_entry(&cursor->run->order, i);
        for (int w = 0; w < self->sorter->plan->layout->words; w++)
            key[w] = words[w] & self->sorter->mask[w];
        return mr_sorter_before(self->sorter, key, cursor->run->batches[position >> 32],
                                (int64_t)(uint32_t)position, cursor->index, i, bound);
    }
    mr_sorter_key_of(self->sorter, cursor->batch, i, key);
    /* The first row of chunk c has place c; rows behind it lie between c and c + 1. */
    if (bound->run == cursor->index && bound->at > cursor->chunk)
        return true;
    return mr_sorter_before(self->sorter, key, cursor->batch, i, cursor->index, cursor->chunk,
                            bound);
}

/* The first of rows [0, count) that is not before the bound. */
static int64_t search(const struct mr_sorter_reader *self, const struct cursor *cursor,
                      int64_t count, const struct mr_sorter_bound *bound)
{
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (row_before(self, cursor, middle, bound))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Chunks whose first row is before the bound. */
static int search_marks(const struct mr_sorter_reader *self, const struct cursor *cursor,
                        const struct mr_sorter_bound *bound)
{
    int low = 0, high = cursor->run->nchunks;
    while (low < high) {
        int middle = low + (high - low) / 2;
        uint64_t key[MR_SORT_MAX_WORDS];
        mr_sorter_key_of(self->sorter, cursor->run->marks, middle, key);
        if (mr_sorter_before(self->sorter, key, cursor->run->marks, middle, cursor->index, middle,
                             bound))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- cursors -------------------------------------------------------------------------------- */

static enum mr_status add_source(struct mr_sorter_reader *self, struct mr_batch *batch, int *source,
                                 struct mr_error *err)
{
    if (self->nsources == self->source_room) {
        int room = self->source_room * 2 + 16;
        struct mr_batch **grown = mr_realloc(self->sources, (size_t)room * sizeof(*grown));
        if (!grown)
            return mr_error_nomem(err);
        self->sources = grown;
        self->source_room = room;
    }
    *source = self->nsources;
    self->sources[self->nsources++] = batch;
    return MR_OK;
}

static enum mr_status encode_chunk(struct mr_sorter_reader *self, struct cursor *cursor,
                                   struct mr_error *err)
{
    const struct mr_sort_layout *layout = self->sorter->plan->layout;
    int64_t room = cursor->batch->rows * layout->words;
    struct mr_memory *memory = self->runtime->memory;
    if (room > cursor->key_room) {
        mr_memory_credit(memory, cursor->key_room * 8);
        mr_free(cursor->keys);
        cursor->keys = NULL;
        cursor->key_room = 0;
        MR_TRY(mr_memory_charge(memory, room * 8, err));
        cursor->keys = mr_alloc((size_t)room * 8);
        if (!cursor->keys) {
            mr_memory_credit(memory, room * 8);
            return mr_error_nomem(err);
        }
        cursor->key_room = room;
    }
    int tie_key = layout->nkeys;
    mr_sort_encode(layout, cursor->batch, 0, cursor->batch->rows, cursor->keys, layout->words,
                   &tie_key);
    return MR_OK;
}

/* Reads the cursor's chunk; its rows in range are [at, end). */
static enum mr_status load_chunk(struct mr_sorter_reader *self, struct cursor *cursor, bool first,
                                 struct mr_error *err)
{
    const struct mr_sorter_run *run = cursor->run;
    MR_TRY(mr_spill_chunk(run->store->spill, self->runtime, 0, run->first_chunk + cursor->chunk,
                          &cursor->batch, err));
    enum mr_status status = add_source(self, cursor->batch, &cursor->source, err);
    if (status != MR_OK) {
        mr_batch_unref(cursor->batch);
        cursor->batch = NULL;
        return status;
    }
    cursor->at = 0;
    cursor->end = cursor->batch->rows;
    if (first && self->from)
        cursor->at = search(self, cursor, cursor->end, self->from);
    if (self->to && cursor->chunk == cursor->last)
        cursor->end = search(self, cursor, cursor->end, self->to);
    return encode_chunk(self, cursor, err);
}

/* Tells the merge where cursor i stands; chunks follow each other. */
static enum mr_status show(struct mr_sorter_reader *self, int i, struct mr_error *err)
{
    struct cursor *cursor = &self->cursors[i];
    struct mr_sort_cursor *out = &self->merge.cursors[i];
    int words = self->sorter->plan->layout->words;
    while (cursor->run->store && cursor->at >= cursor->end && cursor->chunk < cursor->last) {
        cursor->chunk++;
        self->nleft++;
        MR_TRY(load_chunk(self, cursor, false, err));
    }
    if (cursor->at >= cursor->end) {
        out->done = true;
        return MR_OK;
    }
    const uint64_t *key;
    if (cursor->run->store) {
        key = cursor->keys + cursor->at * words;
        out->batch = cursor->batch;
        out->row = cursor->at;
    } else {
        key = mr_sort_entry(&cursor->run->order, cursor->at);
        uint64_t position = key[words];
        out->batch = cursor->run->batches[position >> 32];
        out->row = (int64_t)(uint32_t)position;
    }
    for (int w = 0; w < words; w++)
        out->key[w] = key[w] & self->mask[w];
    return MR_OK;
}

static uint64_t position_of(const struct cursor *cursor)
{
    if (cursor->run->store)
        return mr_sort_position(cursor->source, cursor->at);
    return mr_sort_run_position(&cursor->run->order, cursor->at) +
           mr_sort_position(cursor->first_source, 0);
}

static enum mr_status open_cursor(struct mr_sorter_reader *self, int i, int r, struct mr_error *err)
{
    struct cursor *cursor = &self->cursors[i];
    const struct mr_sorter_run *run = &self->sorter->runs[r];
    cursor->run = run;
    cursor->index = r;
    if (!run->store) {
        cursor->at = self->from ? search(self, cursor, run->rows, self->from) : 0;
        cursor->end = self->to ? search(self, cursor, run->rows, self->to) : run->rows;
        return show(self, i, err);
    }
    int first = self->from ? search_marks(self, cursor, self->from) - 1 : 0;
    cursor->chunk = first > 0 ? first : 0;
    cursor->last = (self->to ? search_marks(self, cursor, self->to) : run->nchunks) - 1;
    if (cursor->last >= cursor->chunk)
        MR_TRY(load_chunk(self, cursor, true, err));
    return show(self, i, err);
}

/* ---- reading -------------------------------------------------------------------------------- */

static enum mr_status add_memory_sources(struct mr_sorter_reader *self, int first, int count,
                                         struct mr_error *err)
{
    for (int i = 0; i < count; i++) {
        const struct mr_sorter_run *run = &self->sorter->runs[first + i];
        self->cursors[i].first_source = self->nsources;
        for (int b = 0; b < run->nbatches; b++) {
            int source;
            MR_TRY(add_source(self, run->batches[b], &source, err));
            self->nmemory = self->nsources;
        }
    }
    return MR_OK;
}

static int64_t rows_of_batch(const struct mr_sorter_reader *self)
{
    if (self->runtime->batch_rows > 0)
        return self->runtime->batch_rows;
    int64_t rows = BATCH_BYTES / mr_sorter_row_bytes(self->sorter);
    return rows < 1024 ? 1024 : rows > 32768 ? 32768 : rows;
}

enum mr_status mr_sorter_merge_new(const struct mr_sorter *sorter, struct mr_runtime *runtime,
                                   int first_run, int nruns, const struct mr_sorter_bound *from,
                                   const struct mr_sorter_bound *to, const struct mr_schema *schema,
                                   struct mr_sorter_reader **out, struct mr_error *err)
{
    struct mr_sorter_reader *self = mr_calloc(1, sizeof *self);
    *out = NULL;
    if (!self)
        return mr_error_nomem(err);
    self->sorter = sorter;
    self->runtime = runtime;
    self->schema = schema;
    self->from = from;
    self->to = to;
    self->batch_rows = rows_of_batch(self);
    int tie_key = mr_sorter_tie_key(sorter, first_run, nruns, self->mask);
    enum mr_status status =
        mr_sort_merge_init(&self->merge, sorter->plan->layout, tie_key, nruns, err);
    self->cursors = mr_calloc((size_t)nruns + 1, sizeof *self->cursors);
    if (status == MR_OK && !self->cursors)
        status = mr_error_nomem(err);
    if (status == MR_OK)
        status = add_memory_sources(self, first_run, nruns, err);
    for (int i = 0; status == MR_OK && i < nruns; i++)
        status = open_cursor(self, i, first_run + i, err);
    if (status != MR_OK) {
        mr_sorter_reader_free(self);
        return status;
    }
    mr_sort_merge_start(&self->merge);
    *out = self;
    return MR_OK;
}

enum mr_status mr_sorter_reader_new(const struct mr_sorter *sorter, struct mr_runtime *runtime,
                                    int range, const struct mr_schema *schema,
                                    struct mr_sorter_reader **out, struct mr_error *err)
{
    const struct mr_sorter_bound *bounds = sorter->bounds;
    return mr_sorter_merge_new(sorter, runtime, 0, sorter->nruns,
                               bounds && range > 0 ? &bounds[range - 1] : NULL,
                               bounds && range < sorter->nranges - 1 ? &bounds[range] : NULL,
                               schema, out, err);
}

void mr_sorter_reader_free(struct mr_sorter_reader *reader)
{
    if (!reader)
        return;
    for (int i = 0; reader->cursors && i < reader->merge.count; i++) {
        mr_memory_credit(reader->runtime->memory, reader->cursors[i].key_room * 8);
        mr_free(reader->cursors[i].keys);
    }
    for (int i = reader->nmemory; i < reader->nsources; i++)
        mr_batch_unref(reader->sources[i]);
    mr_free(reader->cursors);
    mr_free(reader->sources);
    mr_free(reader->positions);
    mr_sort_merge_reset(&reader->merge);
    mr_free(reader);
}

/* Chunks that no cursor is in any more are given back. */
static void drop_left(struct mr_sorter_reader *self)
{
    if (self->nleft == 0)
        return;
    for (int i = 0; i < self->merge.count; i++)
        if (self->cursors[i].batch)
            mr_batch_ref(self->cursors[i].batch);
    for (int i = self->nmemory; i < self->nsources; i++)
        mr_batch_unref(self->sources[i]);
    self->nsources = self->nmemory;
    for (int i = 0; i < self->merge.count; i++) {
        if (!self->cursors[i].batch)
            continue;
        self->cursors[i].source = self->nsources;
        self->sources[self->nsources++] = self->cursors[i].batch;
    }
    self->nleft = 0;
}

/* Fills `positions`; stops early when many chunks wait for the gather. */
static enum mr_status merge_rows(struct mr_sorter_reader *self, int64_t *count,
                                 struct mr_error *err)
{
    int64_t n = 0;
    int most_left = self->merge.count / 4 + 2;
    while (n < self->batch_rows && self->nleft < most_left) {
        int i = mr_sort_merge_winner(&self->merge);
        if (i < 0)
            break;
        self->positions[n++] = position_of(&self->cursors[i]);
        self->cursors[i].at++;
        MR_TRY(show(self, i, err));
        mr_sort_merge_fix(&self->merge);
    }
    *count = n;
    return MR_OK;
}

enum mr_status mr_sorter_read(struct mr_sorter_reader *reader, struct mr_batch **out,
                              struct mr_error *err)
{
    int64_t count;
    *out = NULL;
    if (!reader->positions) {
        reader->positions = mr_alloc((size_t)reader->batch_rows * sizeof *reader->positions);
        if (!reader->positions)
            return mr_error_nomem(err);
    }
    drop_left(reader);
    MR_TRY(merge_rows(reader, &count, err));
    if (count == 0)
        return MR_OK;
    return mr_sort_gather(reader->runtime->memory, reader->schema, reader->sources,
                          reader->nsources, reader->positions, count, out, err);
}
