/*
 * zorder.c - the layout that OPTIMIZE ... ZORDER BY gives.
 *
 * Two passes. The first reads only the columns of the curve and keeps a sample of at most 64 Ki rows,
 * evenly spaced. Its quantiles cut each column into 1,024 ranges of about equal numbers of rows, so
 * that skew does not matter; the place of a row on the curve is the interleaved bits of its range
 * numbers. The second pass reads everything and scatters rows by that place into buckets (quantiles of
 * the sample's places) of about 16 MB, which spill; the buckets, each sorted by place, are written in
 * order. A full external sort was refused: within a file the order matters little, and buckets need
 * no merge.
 *
 * A column's value becomes a 64-bit word in the order of the type (col/sort.h; NULL first). Long
 * texts are cut there, which makes them neighbours and costs skipping only.
 */
#include "connect/delta/zorder.h"

#include "col/sort.h"
#include "ext/spill.h"

#include <stdlib.h>

#define SAMPLE_ROWS  (64 * 1024)
#define RANGE_BITS   10
#define NRANGES      (1 << RANGE_BITS)
#define BUCKET_BYTES ((int64_t)16 << 20)
#define MAX_BUCKETS  4096
#define CHUNK_ROWS   4096

struct zorder {
    const struct delta_table *table;
    const struct delta_snapshot *snapshot;
    const struct mr_tz *tz;
    struct mr_arena arena;
    int ncolumns;
    const struct mr_schema *keys; /* the columns of the curve alone */
    const int *columns;           /* of metadata.schema */
    /* one a column: of the key's batches, and of whole rows */
    struct mr_sort_layout *key_layouts[DELTA_ZORDER_MAX];
    struct mr_sort_layout *row_layouts[DELTA_ZORDER_MAX];
    /* sample: ncolumns words a row; every stride-th row is taken */
    uint64_t *sample;
    int64_t nsample;
    int64_t stride;
    int64_t seen;
    uint64_t *cuts[DELTA_ZORDER_MAX]; /* NRANGES - 1 words, ascending */
    uint64_t *places;                 /* nbuckets - 1, ascending */
    int nbuckets;
    const struct mr_schema *rows; /* metadata.schema and the place */
    struct mr_spill *spill;
};

static int compare_words(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* How many of `count` ascending words are at or below `word`. */
static int range_of(const uint64_t *cuts, int count, uint64_t word)
{
    int low = 0, high = count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (cuts[middle] <= word)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Bits of the range numbers, the highest of each column first. Below 2^63. */
static uint64_t interleave(const struct zorder *self, const uint64_t *words, int64_t stride)
{
    int bits = 63 / self->ncolumns < RANGE_BITS ? 63 / self->ncolumns : RANGE_BITS;
    uint64_t place = 0;
    int ranges[DELTA_ZORDER_MAX];
    for (int c = 0; c < self->ncolumns; c++)
        ranges[c] = range_of(self->cuts[c], NRANGES - 1, words[c * stride]);
    for (int b = 0; b < bits; b++)
        for (int c = 0; c < self->ncolumns; c++)
            place = place << 1 | (uint64_t)(ranges[c] >> (RANGE_BITS - 1 - b) & 1);
    return place;
}

/* ---- layouts ---- */

static enum mr_status make_layout(struct zorder *self, int column, int field,
                                  struct mr_sort_layout **out, struct mr_error *err)
{
    const struct mr_field *of = &self->snapshot->metadata.schema->fields[field];
    struct mr_sort_key key = {.column = column, .type = of->type, .nullable = of->nullable};
    MR_TRY(mr_sort_layout_new(&self->arena, &key, 1, out, err));
    if (mr_type_is_nested(of->type) || (*out)->words == 0)
        return mr_error_config(err, "cannot Z-order by column %s: its type has no order", of->name);
    return MR_OK;
}

static enum mr_status make_schemas(struct zorder *self, struct mr_error *err)
{
    const struct mr_schema *schema = self->snapshot->metadata.schema;
    struct mr_field keys[DELTA_ZORDER_MAX];
    struct mr_field *rows =
        mr_arena_calloc(&self->arena, (size_t)schema->nfields + 1, sizeof *rows);
    if (!rows)
        return mr_error_nomem(err);
    for (int c = 0; c < self->ncolumns; c++) {
        keys[c] = schema->fields[self->columns[c]];
        MR_TRY(make_layout(self, c, self->columns[c], &self->key_layouts[c], err));
        MR_TRY(make_layout(self, self->columns[c], self->columns[c], &self->row_layouts[c], err));
    }
    for (int i = 0; i < schema->nfields; i++)
        rows[i] = schema->fields[i];
    rows[schema->nfields] =
        (struct mr_field){.name = "place on the curve", .type = mr_type_of(MR_TYPE_INT64)};
    self->keys = mr_schema_new(&self->arena, keys, self->ncolumns);
    self->rows = mr_schema_new(&self->arena, rows, schema->nfields + 1);
    return self->keys && self->rows ? MR_OK : mr_error_nomem(err);
}

/* The first word of each row's key, of `count` rows from `from`. `scratch` has room for 4 a row. */
static void first_words(const struct mr_sort_layout *layout, const struct mr_batch *batch,
                        int64_t from, int64_t count, uint64_t *scratch, uint64_t *out)
{
    int tie_key = layout->nkeys;
    mr_sort_encode(layout, batch, from, count, scratch, layout->words, &tie_key);
    for (int64_t i = 0; i < count; i++)
        out[i] = scratch[i * layout->words];
}

/* ---- reading ---- */

static enum mr_status
each_batch(struct zorder *self, const struct mr_schema *schema, const int *files, int nfiles,
           enum mr_status (*take)(struct zorder *, struct mr_batch *, struct mr_error *),
           struct mr_error *err)
{
    enum mr_status status = MR_OK;
    for (int i = 0; i < nfiles && status == MR_OK; i++) {
        struct delta_read *read;
        const struct delta_file *file = &self->snapshot->files[files[i]];
        struct delta_want want = {.schema = schema, .size = INT64_MAX, .tz = self->tz};
        MR_TRY(delta_read_open(self->table, self->snapshot, file, &want, &read, err));
        for (struct mr_batch *batch = NULL; status == MR_OK;) {
            status = delta_read_next(read, &batch, err);
            if (status != MR_OK || !batch)
                break;
            status = take(self, batch, err);
            mr_batch_unref(batch);
        }
        delta_read_close(read);
    }
    return status;
}

/* ---- the sample ---- */

/* Every second row of it goes, and from now on half as many come in. */
static void thin_out(struct zorder *self)
{
    size_t row = (size_t)self->ncolumns * sizeof *self->sample;
    for (int64_t i = 0; i < self->nsample / 2; i++)
        memmove(self->sample + i * self->ncolumns, self->sample + 2 * i * self->ncolumns, row);
    self->nsample /= 2;
    self->stride *= 2;
}

static enum mr_status take_sample(struct zorder *self, struct mr_batch *batch, struct mr_error *err)
{
    uint64_t *scratch = mr_calloc((size_t)batch->rows + 1,
                                  (MR_SORT_MAX_WORDS + (size_t)self->ncolumns) * sizeof *scratch);
    if (!scratch)
        return mr_error_nomem(err);
    uint64_t *words = scratch + batch->rows * MR_SORT_MAX_WORDS;
    for (int c = 0; c < self->ncolumns; c++)
        first_words(self->key_layouts[c], batch, 0, batch->rows, scratch, words + c * batch->rows);
    for (int64_t i = 0; i < batch->rows; i++, self->seen++) {
        if (self->seen % self->stride != 0)
            continue;
        if (self->nsample == SAMPLE_ROWS) {
            thin_out(self);
            if (self->seen % self->stride != 0)
                continue;
        }
        for (int c = 0; c < self->ncolumns; c++)
            self->sample[self->nsample * self->ncolumns + c] = words[c * batch->rows + i];
        self->nsample++;
    }
    mr_free(scratch);
    return MR_OK;
}

static enum mr_status find_cuts(struct zorder *self, struct mr_error *err)
{
    uint64_t *sorted = mr_calloc((size_t)self->nsample + 1, sizeof *sorted);
    if (!sorted)
        return mr_error_nomem(err);
    for (int c = 0; c < self->ncolumns; c++) {
        self->cuts[c] = mr_arena_calloc(&self->arena, NRANGES, sizeof(uint64_t));
        if (!self->cuts[c])
            break;
        for (int64_t i = 0; i < self->nsample; i++)
            sorted[i] = self->sample[i * self->ncolumns + c];
        qsort(sorted, (size_t)self->nsample, sizeof *sorted, compare_words);
        for (int r = 1; r < NRANGES && self->nsample > 0; r++)
            self->cuts[c][r - 1] = sorted[self->nsample * r / NRANGES];
    }
    /* Where the buckets end. */
    self->places = mr_arena_calloc(&self->arena, (size_t)self->nbuckets, sizeof *self->places);
    for (int64_t i = 0; self->places && i < self->nsample; i++)
        sorted[i] = interleave(self, self->sample + i * self->ncolumns, 1);
    qsort(sorted, (size_t)self->nsample, sizeof *sorted, compare_words);
    for (int b = 1; self->places && b < self->nbuckets && self->nsample > 0; b++)
        self->places[b - 1] = sorted[self->nsample * b / self->nbuckets];
    mr_free(sorted);
    return self->places && self->cuts[self->ncolumns - 1] ? MR_OK : mr_error_nomem(err);
}

/* ---- rows into buckets ---- */

/* The places of the batch's rows, as a column behind the others. */
static enum mr_status place_rows(const struct zorder *self, const struct mr_batch *batch,
                                 struct mr_column **out, struct mr_error *err)
{
    struct mr_buffer *values;
    MR_TRY(mr_buffer_new(self->table->runtime->memory, (size_t)batch->rows * sizeof(int64_t),
                         &values, err));
    uint64_t *scratch = mr_calloc((size_t)batch->rows + 1,
                                  (MR_SORT_MAX_WORDS + (size_t)self->ncolumns) * sizeof *scratch);
    if (!scratch) {
        mr_buffer_unref(values);
        return mr_error_nomem(err);
    }
    uint64_t *words = scratch + batch->rows * MR_SORT_MAX_WORDS;
    uint64_t *places = (uint64_t *)(void *)values->data;
    for (int c = 0; c < self->ncolumns; c++)
        first_words(self->row_layouts[c], batch, 0, batch->rows, scratch, words + c * batch->rows);
    for (int64_t i = 0; i < batch->rows; i++)
        places[i] = interleave(self, words + i, batch->rows);
    mr_free(scratch);
    return mr_column_new(mr_type_of(MR_TYPE_INT64), batch->rows, 0, NULL, values, NULL, out, err);
}

static enum mr_status scatter(struct zorder *self, struct mr_batch *batch, struct mr_error *err)
{
    int n = batch->schema->nfields;
    struct mr_column **columns = mr_calloc((size_t)n + 1, sizeof(*columns));
    uint32_t *buckets = mr_calloc((size_t)batch->rows + 1, sizeof *buckets);
    struct mr_column *place = NULL;
    struct mr_batch *rows = NULL;
    enum mr_status status = columns && buckets ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = place_rows(self, batch, &place, err);
    if (status == MR_OK) {
        const uint64_t *places = (const uint64_t *)(const void *)place->values->data;
        for (int64_t i = 0; i < batch->rows; i++)
            buckets[i] = (uint32_t)range_of(self->places, self->nbuckets - 1, places[i]);
        for (int i = 0; i < n; i++)
            columns[i] = mr_column_ref(batch->columns[i]);
        columns[n] = place;
        status = mr_batch_new(self->rows, batch->rows, columns, &rows, err);
    }
    if (status == MR_OK)
        status = mr_spill_scatter(self->spill, rows, NULL, buckets, batch->rows, err);
    mr_batch_unref(rows);
    mr_free(columns);
    mr_free(buckets);
    return status;
}

/* ---- buckets into files ---- */

static enum mr_status write_sorted(struct zorder *self, struct mr_batch **batches, int nbatches,
                                   struct delta_replace *replace, struct mr_error *err)
{
    const struct mr_schema *schema = self->snapshot->metadata.schema;
    struct mr_runtime *runtime = self->table->runtime;
    struct mr_sort_layout *layout;
    struct mr_sort_run run = {0};
    struct mr_sort_key key = {.column = schema->nfields, .type = mr_type_of(MR_TYPE_INT64)};
    struct mr_arena arena;
    mr_arena_init(&arena, runtime->memory);
    uint64_t *positions = mr_calloc(CHUNK_ROWS, sizeof *positions);
    enum mr_status status = positions ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = mr_sort_layout_new(&arena, &key, 1, &layout, err);
    if (status == MR_OK)
        status = mr_sort_rows(layout, runtime->memory, batches, nbatches, &run, err);
    for (int64_t at = 0; status == MR_OK && at < run.count; at += CHUNK_ROWS) {
        int64_t count = run.count - at < CHUNK_ROWS ? run.count - at : CHUNK_ROWS;
        struct mr_batch *batch;
        for (int64_t i = 0; i < count; i++)
            positions[i] = mr_sort_run_position(&run, at + i);
        status = mr_sort_gather(runtime->memory, schema, batches, nbatches, positions, count,
                                &batch, err);
        if (status != MR_OK)
            break;
        status = delta_replace_add(replace, batch, err);
        mr_batch_unref(batch);
    }
    mr_sort_run_reset(&run);
    mr_free(positions);
    mr_arena_reset(&arena);
    return status;
}

static enum mr_status write_bucket(struct zorder *self, int bucket, struct delta_replace *replace,
                                   struct mr_error *err)
{
    int nchunks = mr_spill_chunks(self->spill, bucket), read = 0;
    struct mr_batch **batches = mr_calloc((size_t)nchunks + 1, sizeof(*batches));
    if (!batches)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (; status == MR_OK && read < nchunks; read += status == MR_OK)
        status =
            mr_spill_chunk(self->spill, self->table->runtime, bucket, read, &batches[read], err);
    if (status == MR_OK && nchunks > 0)
        status = write_sorted(self, batches, nchunks, replace, err);
    for (int i = 0; i < read; i++)
        mr_batch_unref(batches[i]);
    mr_free(batches);
    mr_spill_drop(self->spill, bucket);
    return status;
}

static enum mr_status run_passes(struct zorder *self, const int *files, int nfiles,
                                 struct delta_replace *replace, struct mr_error *err)
{
    struct mr_runtime *runtime = self->table->runtime;
    int64_t limit = runtime->share > 0 ? runtime->share : (int64_t)64 << 20;
    MR_TRY(make_schemas(self, err));
    self->sample =
        mr_arena_alloc(&self->arena, SAMPLE_ROWS * (size_t)self->ncolumns * sizeof *self->sample);
    if (!self->sample)
        return mr_error_nomem(err);
    MR_TRY(each_batch(self, self->keys, files, nfiles, take_sample, err));
    MR_TRY(find_cuts(self, err));
    MR_TRY(mr_spill_new(runtime, self->rows, self->nbuckets, limit, &self->spill, err));
    MR_TRY(each_batch(self, self->snapshot->metadata.schema, files, nfiles, scatter, err));
    MR_TRY(mr_spill_flush(self->spill, err));
    for (int b = 0; b < self->nbuckets; b++)
        MR_TRY(write_bucket(self, b, replace, err));
    return MR_OK;
}

enum mr_status delta_zorder(const struct delta_table *table, const struct delta_snapshot *snapshot,
                            const struct mr_tz *tz, const int *columns, int ncolumns,
                            const int *files, int nfiles, struct delta_replace *replace,
                            struct mr_error *err)
{
    struct zorder self = {.table = table,
                          .snapshot = snapshot,
                          .tz = tz,
                          .columns = columns,
                          .ncolumns = ncolumns,
                          .stride = 1};
    int64_t bytes = 0;
    for (int i = 0; i < nfiles; i++)
        bytes += snapshot->files[files[i]].size;
    /* Rows in memory are some four times their compressed size. */
    int64_t buckets = bytes * 4 / BUCKET_BYTES + 1;
    self.nbuckets = (int)(buckets < MAX_BUCKETS ? buckets : MAX_BUCKETS);
    mr_arena_init(&self.arena, table->runtime->memory);
    enum mr_status status = run_passes(&self, files, nfiles, replace, err);
    mr_spill_free(self.spill);
    mr_arena_reset(&self.arena);
    return status;
}
