/*
 * sorter.c - sorting with bounded memory: runs, and how they are divided.
 *
 * Rows are kept as they came until the share is full; then they are sorted and written as one run of
 * chunks to a temporary file. What is in memory at the end is sorted where it is: an order over the
 * batches, so that rows that never left memory are moved once, when they are read. When 32 runs of a
 * kind have come together they are merged into one: a reader needs a chunk of each in memory.
 *
 * Ranges are found from samples (rows at even distances, and the first row of every chunk). The order
 * that they cut is that of (keys, run, place in the run), in which no two rows are equal; so a single
 * key that has half of the rows is cut like any other. A whole sort by one thread, or a partitioning
 * by sampled keys before sorting, were refused: the one does not scale, the other reads all rows once
 * more and still puts equal keys into one place.
 *
 * With a limit, a full buffer is cut to the first rows, so that the first 100 of any number of rows
 * take the memory of a buffer.
 */
#include "op/sorter.h"
#include "op/sorter_private.h"

#include "base/clamp.h"

#include <string.h>

#define FAN_IN     32
#define SMALL_ROWS 512
#define SMALL_MOST 4096 /* rows, or batches, before small ones are put together */
#define SAMPLES    64   /* of a run in memory, for each range */

enum mr_status mr_sorter_new(const struct mr_sorter_plan *plan, struct mr_runtime *runtime,
                             int64_t share, struct mr_sorter **out, struct mr_error *err)
{
    struct mr_sorter *self = mr_calloc(1, sizeof *self);
    *out = self;
    if (!self)
        return mr_error_nomem(err);
    self->plan = plan;
    self->runtime = *runtime;
    self->share = share;
    self->chunk_bytes = mr_clamp(share / 128, 32 << 10, 1 << 20);
    return MR_OK;
}

static void unref_store(struct mr_sorter_store *store)
{
    if (!store || --store->refs > 0)
        return;
    mr_spill_free(store->spill);
    mr_free(store);
}

static void drop_batches(struct mr_batch **batches, int count)
{
    for (int i = 0; i < count; i++)
        mr_batch_unref(batches[i]);
}

static void reset_run(struct mr_sorter_run *run)
{
    mr_sort_run_reset(&run->order);
    drop_batches(run->batches, run->nbatches);
    mr_free(run->batches);
    mr_batch_unref(run->marks);
    unref_store(run->store);
    *run = (struct mr_sorter_run){0};
}

void mr_sorter_free(struct mr_sorter *sorter)
{
    if (!sorter)
        return;
    for (int i = 0; i < sorter->nruns; i++)
        reset_run(&sorter->runs[i]);
    mr_free(sorter->runs);
    drop_batches(sorter->batches, sorter->nbatches);
    mr_free(sorter->batches);
    unref_store(sorter->store);
    mr_free(sorter->bounds);
    mr_free(sorter);
}

int64_t mr_sorter_rows(const struct mr_sorter *sorter)
{
    int64_t rows = sorter->rows;
    for (int i = 0; i < sorter->nruns; i++)
        rows += sorter->runs[i].rows;
    return rows;
}

/* ---- runs ---------------------------------------------------------------------------------- */

static enum mr_status append_run(struct mr_sorter *self, struct mr_sorter_run *run,
                                 struct mr_error *err)
{
    if (self->nruns == self->run_capacity) {
        int capacity = self->run_capacity * 2 + 8;
        struct mr_sorter_run *grown = mr_realloc(self->runs, (size_t)capacity * sizeof *grown);
        if (!grown) {
            reset_run(run);
            return mr_error_nomem(err);
        }
        self->runs = grown;
        self->run_capacity = capacity;
    }
    self->runs[self->nruns++] = *run;
    return MR_OK;
}

static enum mr_status store_new(struct mr_sorter *self, struct mr_sorter_store **out,
                                struct mr_error *err)
{
    struct mr_sorter_store *store = mr_calloc(1, sizeof *store);
    if (!store)
        return mr_error_nomem(err);
    enum mr_status status =
        mr_spill_new(&self->runtime, self->plan->schema, 1, 0, &store->spill, err);
    if (status != MR_OK) {
        mr_free(store);
        return status;
    }
    store->refs = 1;
    *out = store;
    return MR_OK;
}

/* Rows that come one chunk after the other to the end of a store. */
struct run_writer {
    struct mr_sorter *sorter;
    struct mr_sorter_run run;
    struct mr_batch **marks;
    int capacity;
    struct mr_error *err;
};

static enum mr_status write_chunk(struct run_writer *writer, struct mr_batch *batch)
{
    struct mr_sorter_run *run = &writer->run;
    struct mr_memory *memory = writer->sorter->runtime.memory;
    if (run->nchunks == writer->capacity) {
        int capacity = writer->capacity * 2 + 64;
        struct mr_batch **grown =
            mr_realloc(writer->marks, (size_t)capacity * sizeof(*writer->marks));
        if (!grown)
            return mr_error_nomem(writer->err);
        writer->marks = grown;
        writer->capacity = capacity;
    }
    int32_t first = 0;
    MR_TRY(mr_spill_add(run->store->spill, 0, batch, writer->err));
    MR_TRY(mr_batch_take(memory, batch, &first, 1, &writer->marks[run->nchunks], writer->err));
    run->nchunks++;
    run->rows += batch->rows;
    return MR_OK;
}

static void start_run(struct run_writer *writer, struct mr_sorter *sorter,
                      struct mr_sorter_store *store, struct mr_error *err)
{
    *writer = (struct run_writer){.sorter = sorter, .err = err};
    writer->run.store = store;
    writer->run.tie_key = sorter->plan->layout->nkeys;
    writer->run.first_chunk = mr_spill_chunks(store->spill, 0);
    store->refs++;
}

/* Appends the run unless `status` says that it is broken. */
static enum mr_status end_run(struct run_writer *writer, enum mr_status status)
{
    struct mr_sorter *self = writer->sorter;
    struct mr_sorter_run *run = &writer->run;
    if (status == MR_OK && run->nchunks > 0)
        status = mr_batch_concat(self->runtime.memory, writer->marks, run->nchunks, &run->marks,
                                 writer->err);
    drop_batches(writer->marks, run->nchunks);
    mr_free(writer->marks);
    if (status != MR_OK || run->nchunks == 0) {
        reset_run(run);
        return status;
    }
    return append_run(self, run, writer->err);
}

static int64_t chunk_rows(const struct mr_sorter *self, int64_t row_bytes)
{
    return mr_clamp(self->chunk_bytes / (row_bytes > 0 ? row_bytes : 1), 16, 1 << 16);
}

int64_t mr_sorter_row_bytes(const struct mr_sorter *sorter)
{
    int64_t rows = 0, bytes = 0;
    for (int r = 0; r < sorter->nruns; r++) {
        const struct mr_sorter_run *run = &sorter->runs[r];
        rows += run->rows;
        for (int b = 0; b < run->nbatches; b++)
            bytes += mr_batch_bytes(run->batches[b]);
        if (run->store && run->nchunks > 0)
            bytes += mr_spill_bytes(run->store->spill, 0) / mr_spill_chunks(run->store->spill, 0) *
                     run->nchunks;
    }
    return rows > 0 ? bytes / rows + 1 : 1;
}

/* Merges the last runs of one level, as often as there are enough. */
static enum mr_status merge_runs(struct mr_sorter *self, struct mr_error *err)
{
    for (;;) {
        int n = 0;
        while (n < self->nruns &&
               self->runs[self->nruns - 1 - n].level == self->runs[self->nruns - 1].level)
            n++;
        if (n < FAN_IN)
            return MR_OK;
        int first = self->nruns - n;
        struct mr_sorter_store *store;
        struct mr_sorter_reader *reader = NULL;
        struct run_writer writer;
        MR_TRY(store_new(self, &store, err));
        start_run(&writer, self, store, err);
        enum mr_status status = mr_sorter_merge_new(self, &self->runtime, first, n, NULL, NULL,
                                                    self->plan->schema, &reader, err);
        writer.run.tie_key = mr_sorter_tie_key(self, first, n, (uint64_t[MR_SORT_MAX_WORDS]){0});
        writer.run.level = self->runs[first].level + 1;
        if (status == MR_OK)
            mr_sorter_reader_rows(reader, chunk_rows(self, mr_sorter_row_bytes(self)));
        struct mr_batch *batch = NULL;
        while (status == MR_OK) {
            int64_t limit = self->plan->limit;
            if (limit > 0 && writer.run.rows >= limit)
                break;
            status = mr_sorter_read(reader, &batch, err);
            if (status != MR_OK || !batch)
                break;
            status = write_chunk(&writer, batch);
            mr_batch_unref(batch);
        }
        mr_sorter_reader_free(reader);
        if (status == MR_OK) {
            for (int i = first; i < self->nruns; i++)
                reset_run(&self->runs[i]);
            self->nruns = first;
        }
        unref_store(self->store);
        self->store = NULL;
        status = end_run(&writer, status);
        unref_store(store);
        MR_TRY(status);
    }
}

/* ---- rows in memory ------------------------------------------------------------------------ */

static int64_t batch_bytes(const struct mr_sorter *self, const struct mr_batch *batch)
{
    int64_t bytes = mr_batch_bytes(batch);
    const struct mr_batch *last = self->nbatches > 0 ? self->batches[self->nbatches - 1] : NULL;
    for (int c = 0; last && c < batch->schema->nfields; c++)
        if (batch->columns[c]->encoding == MR_DICTIONARY &&
            batch->columns[c]->dictionary == last->columns[c]->dictionary)
            bytes -= mr_column_bytes(batch->columns[c]->dictionary);
    return bytes;
}

/* The last batches, which are small, become one. */
static enum mr_status join_small(struct mr_sorter *self, struct mr_error *err)
{
    if (self->nsmall > 1) {
        struct mr_batch **small = self->batches + self->nbatches - self->nsmall, *all;
        MR_TRY(mr_batch_concat(self->runtime.memory, small, self->nsmall, &all, err));
        for (int i = 0; i < self->nsmall; i++)
            self->bytes -= mr_batch_bytes(small[i]);
        drop_batches(small, self->nsmall);
        self->nbatches -= self->nsmall;
        self->batches[self->nbatches++] = all;
        self->bytes += mr_batch_bytes(all);
    }
    self->nsmall = 0;
    self->small_rows = 0;
    return MR_OK;
}

static enum mr_status append_batch(struct mr_sorter *self, struct mr_batch *batch,
                                   struct mr_error *err)
{
    if (self->nbatches == self->batch_capacity) {
        int capacity = self->batch_capacity * 2 + 16;
        struct mr_batch **grown = mr_realloc(self->batches, (size_t)capacity * sizeof(*grown));
        if (!grown)
            return mr_error_nomem(err);
        self->batches = grown;
        self->batch_capacity = capacity;
    }
    bool small = batch->rows < SMALL_ROWS;
    self->bytes += small ? mr_batch_bytes(batch) : batch_bytes(self, batch);
    self->rows += batch->rows;
    self->batches[self->nbatches++] = mr_batch_ref(batch);
    if (!small)
        return MR_OK;
    self->nsmall++;
    self->small_rows += batch->rows;
    if (self->small_rows >= SMALL_MOST || self->nsmall >= SMALL_MOST)
        return join_small(self, err);
    return MR_OK;
}

static void forget_batches(struct mr_sorter *self)
{
    drop_batches(self->batches, self->nbatches);
    self->nbatches = 0;
    self->nsmall = 0;
    self->small_rows = 0;
    self->rows = 0;
    self->bytes = 0;
}

/* Positions [from, from + count) of the order as a batch. */
static enum mr_status gather(const struct mr_sorter *self, const struct mr_sort_run *order,
                             int64_t from, int64_t count, struct mr_batch **out,
                             struct mr_error *err)
{
    uint64_t *positions = mr_alloc((size_t)count * sizeof *positions + 8);
    if (!positions)
        return mr_error_nomem(err);
    for (int64_t i = 0; i < count; i++)
        positions[i] = mr_sort_run_position(order, from + i);
    enum mr_status status = mr_sort_gather(self->runtime.memory, self->plan->schema, self->batches,
                                           self->nbatches, positions, count, out, err);
    mr_free(positions);
    return status;
}

static int64_t wanted_rows(const struct mr_sorter *self)
{
    int64_t limit = self->plan->limit;
    return limit > 0 && limit < self->rows ? limit : self->rows;
}

/* Sorts what is in memory and writes it as a run. */
static enum mr_status spill_rows(struct mr_sorter *self, struct mr_error *err)
{
    struct mr_sort_run order;
    struct run_writer writer;
    MR_TRY(join_small(self, err));
    if (!self->store)
        MR_TRY(store_new(self, &self->store, err));
    MR_TRY(mr_sort_rows(self->plan->layout, self->runtime.memory, self->batches, self->nbatches,
                        &order, err));
    start_run(&writer, self, self->store, err);
    writer.run.tie_key = order.tie_key;
    int64_t rows = wanted_rows(self);
    int64_t step = chunk_rows(self, self->bytes / self->rows);
    enum mr_status status = MR_OK;
    for (int64_t from = 0; status == MR_OK && from < rows; from += step) {
        struct mr_batch *batch = NULL;
        status = gather(self, &order, from, rows - from < step ? rows - from : step, &batch, err);
        if (status == MR_OK)
            status = write_chunk(&writer, batch);
        mr_batch_unref(batch);
    }
    mr_sort_run_reset(&order);
    MR_TRY(end_run(&writer, status));
    forget_batches(self);
    return merge_runs(self, err);
}

/* Only the first rows stay, sorted. */
static enum mr_status cut_rows(struct mr_sorter *self, struct mr_error *err)
{
    struct mr_sort_run order;
    struct mr_batch *first = NULL;
    MR_TRY(join_small(self, err));
    MR_TRY(mr_sort_rows(self->plan->layout, self->runtime.memory, self->batches, self->nbatches,
                        &order, err));
    enum mr_status status = gather(self, &order, 0, wanted_rows(self), &first, err);
    mr_sort_run_reset(&order);
    if (status != MR_OK)
        return status;
    forget_batches(self);
    status = append_batch(self, first, err);
    mr_batch_unref(first);
    self->nsmall = 0;
    self->small_rows = 0;
    return status;
}

static bool is_full(const struct mr_sorter *self)
{
    return self->bytes + mr_sort_work_bytes(self->plan->layout, self->rows) >= self->share ||
           self->rows > INT32_MAX / 2;
}

enum mr_status mr_sorter_add(struct mr_sorter *sorter, struct mr_batch *batch, struct mr_error *err)
{
    int64_t limit = sorter->plan->limit;
    if (batch->rows == 0)
        return MR_OK;
    MR_TRY(append_batch(sorter, batch, err));
    bool many = limit > 0 && sorter->rows / 2 > limit && sorter->rows - limit > (1 << 16);
    if (!is_full(sorter) && !many)
        return MR_OK;
    if (limit > 0 && sorter->rows / 2 > limit) {
        MR_TRY(cut_rows(sorter, err));
        if (!is_full(sorter))
            return MR_OK;
    }
    return spill_rows(sorter, err);
}

enum mr_status mr_sorter_finish(struct mr_sorter *sorter, struct mr_error *err)
{
    if (sorter->rows == 0)
        return MR_OK;
    MR_TRY(join_small(sorter, err));
    struct mr_sorter_run run = {.rows = sorter->rows};
    MR_TRY(mr_sort_rows(sorter->plan->layout, sorter->runtime.memory, sorter->batches,
                        sorter->nbatches, &run.order, err));
    run.tie_key = run.order.tie_key;
    run.batches = sorter->batches;
    run.nbatches = sorter->nbatches;
    sorter->batches = NULL;
    sorter->nbatches = sorter->batch_capacity = 0;
    forget_batches(sorter);
    return append_run(sorter, &run, err);
}

enum mr_status mr_sorter_fill(struct mr_sorter *sorter, const struct mr_spill *spill,
                              struct mr_runtime *runtime, int partition, struct mr_error *err)
{
    int count = mr_spill_chunks(spill, partition);
    for (int c = 0; c < count; c++) {
        struct mr_batch *batch;
        MR_TRY(mr_spill_chunk(spill, runtime, partition, c, &batch, err));
        enum mr_status status = mr_sorter_add(sorter, batch, err);
        mr_batch_unref(batch);
        MR_TRY(status);
    }
    return mr_sorter_finish(sorter, err);
}

enum mr_status mr_sorter_absorb(struct mr_sorter *into, struct mr_sorter *from,
                                struct mr_error *err)
{
    int wanted = into->nruns + from->nruns;
    if (wanted > into->run_capacity) {
        int capacity = wanted + into->run_capacity;
        struct mr_sorter_run *grown = mr_realloc(into->runs, (size_t)capacity * sizeof *grown);
        if (!grown)
            return mr_error_nomem(err);
        into->runs = grown;
        into->run_capacity = capacity;
    }
    if (from->nruns > 0)
        memcpy(into->runs + into->nruns, from->runs, (size_t)from->nruns * sizeof *from->runs);
    into->nruns = wanted;
    from->nruns = 0;
    return MR_OK;
}

/* ---- ranges -------------------------------------------------------------------------------- */

int mr_sorter_tie_key(const struct mr_sorter *sorter, int first_run, int nruns,
                      uint64_t mask[MR_SORT_MAX_WORDS])
{
    int tie_key = sorter->plan->layout->nkeys;
    for (int i = first_run; i < first_run + nruns; i++)
        if (sorter->runs[i].tie_key < tie_key)
            tie_key = sorter->runs[i].tie_key;
    mr_sort_mask(sorter->plan->layout, tie_key, mask);
    return tie_key;
}

void mr_sorter_key_of(const struct mr_sorter *sorter, const struct mr_batch *batch, int64_t row,
                      uint64_t key[MR_SORT_MAX_WORDS])
{
    const struct mr_sort_layout *layout = sorter->plan->layout;
    int tie_key = layout->nkeys;
    mr_sort_encode(layout, batch, row, 1, key, layout->words, &tie_key);
    for (int w = 0; w < layout->words; w++)
        key[w] &= sorter->mask[w];
}

static int compare_keys(const struct mr_sorter *self, const uint64_t *key,
                        const struct mr_batch *batch, int64_t row,
                        const struct mr_sorter_bound *bound)
{
    const struct mr_sort_layout *layout = self->plan->layout;
    for (int w = 0; w < layout->words; w++)
        if (key[w] != bound->key[w])
            return key[w] < bound->key[w] ? -1 : 1;
    if (self->tie_key >= layout->nkeys)
        return 0;
    return mr_sort_compare(layout, self->tie_key, batch, row, bound->batch, bound->row);
}

bool mr_sorter_before(const struct mr_sorter *sorter, const uint64_t *key,
                      const struct mr_batch *batch, int64_t row, int run, int64_t at,
                      const struct mr_sorter_bound *bound)
{
    int c = compare_keys(sorter, key, batch, row, bound);
    if (c)
        return c < 0;
    return run != bound->run ? run < bound->run : at < bound->at;
}

static int64_t samples_of(const struct mr_sorter_run *run, int nranges)
{
    if (run->store)
        return run->nchunks;
    int64_t most = (int64_t)nranges * SAMPLES;
    return run->rows < most ? run->rows : most;
}

static void sample_run(const struct mr_sorter *self, int r, int64_t count,
                       struct mr_sorter_bound *out)
{
    const struct mr_sorter_run *run = &self->runs[r];
    for (int64_t i = 0; i < count; i++) {
        struct mr_sorter_bound *bound = &out[i];
        bound->run = r;
        if (run->store) {
            bound->at = i;
            bound->batch = run->marks;
            bound->row = i;
            bound->weight = mr_spill_chunk_rows(run->store->spill, 0, run->first_chunk + (int)i);
        } else {
            bound->at = run->rows * i / count;
            bound->weight = run->rows * (i + 1) / count - bound->at;
            uint64_t position = mr_sort_run_position(&run->order, bound->at);
            bound->batch = run->batches[position >> 32];
            bound->row = (int64_t)(uint32_t)position;
        }
        mr_sorter_key_of(self, bound->batch, bound->row, bound->key);
    }
}

/* Each run's samples are in order already: merges from the bottom. */
static void sort_samples(const struct mr_sorter *self, struct mr_sorter_bound *samples,
                         struct mr_sorter_bound *work, int64_t n)
{
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t from = 0; from + width < n; from += 2 * width) {
            int64_t middle = from + width, end = middle + width < n ? middle + width : n;
            memcpy(work, samples + from, (size_t)width * sizeof *work);
            int64_t i = 0, j = middle, out = from;
            while (i < width && j < end) {
                const struct mr_sorter_bound *b = &samples[j];
                bool later =
                    mr_sorter_before(self, b->key, b->batch, b->row, b->run, b->at, &work[i]);
                samples[out++] = later ? samples[j++] : work[i++];
            }
            memcpy(samples + out, work + i, (size_t)(width - i) * sizeof *work);
        }
    }
}

static enum mr_status choose_bounds(struct mr_sorter *self, struct mr_error *err)
{
    int64_t n = 0;
    for (int r = 0; r < self->nruns; r++)
        n += samples_of(&self->runs[r], self->nranges);
    struct mr_sorter_bound *samples = mr_calloc((size_t)n + 1, 2 * sizeof *samples);
    if (!samples)
        return mr_error_nomem(err);
    int64_t at = 0;
    for (int r = 0; r < self->nruns; r++) {
        int64_t count = samples_of(&self->runs[r], self->nranges);
        sample_run(self, r, count, samples + at);
        at += count;
    }
    sort_samples(self, samples, samples + n, n);
    int64_t total = mr_sorter_rows(self), before = 0;
    int range = 1;
    for (int64_t i = 0; i < n && range < self->nranges; i++) {
        while (range < self->nranges && before >= total * range / self->nranges)
            self->bounds[range++ - 1] = samples[i];
        before += samples[i].weight;
    }
    /* Fewer rows than ranges: what is left of the ranges is empty, which one `run` too high says. */
    if (range < self->nranges && n > 0) {
        struct mr_sorter_bound end = samples[n - 1];
        end.run = INT32_MAX;
        while (range < self->nranges)
            self->bounds[range++ - 1] = end;
    }
    mr_free(samples);
    return MR_OK;
}

enum mr_status mr_sorter_divide(struct mr_sorter *sorter, int nranges, struct mr_error *err)
{
    sorter->tie_key = mr_sorter_tie_key(sorter, 0, sorter->nruns, sorter->mask);
    sorter->nranges = nranges;
    if (nranges <= 1 || sorter->nruns == 0)
        return MR_OK;
    sorter->bounds = mr_calloc((size_t)nranges, sizeof *sorter->bounds);
    if (!sorter->bounds)
        return mr_error_nomem(err);
    return choose_bounds(sorter, err);
}
