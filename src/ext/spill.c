/*
 * spill.c - rows in partitions, in memory as long as they fit.
 *
 * Scattered rows are sorted by partition batch by batch (one gather per column) and kept aside with
 * the bounds of each partition's run; when enough have come, the runs of each partition become one
 * chunk. So every row is copied twice, both times in order, whatever the number of partitions, and
 * no partition holds a half-empty builder. Over the limit whole partitions are written, first those
 * of which something was written before, then the largest: a consumer that can use partitions which
 * are wholly in memory (a hybrid join) keeps as many as possible.
 */
#include "ext/spill.h"

#include "base/clamp.h"
#include "col/kernel.h"
#include "ext/spill_file.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

struct chunk {
    struct mr_batch *batch;     /* NULL: in the file */
    struct mr_spill_file *file; /* NULL: in memory */
    struct mr_spill_extent extent;
    int64_t rows;
    int64_t bytes; /* in memory */
};

struct partition {
    struct chunk *chunks;
    int count;
    int capacity;
    int first_resident; /* no chunk before it is in memory */
    int64_t rows;
    int64_t bytes;
    int64_t resident;
    bool written;
};

/* A batch whose rows lie in the order of partitions. */
struct scattered {
    struct mr_batch *batch;
    int32_t *starts; /* npartitions + 1 */
};

struct mr_spill {
    struct mr_runtime runtime; /* a copy: operators outlive the thread that made them */
    const struct mr_schema *schema;
    int npartitions;
    int64_t limit;
    struct partition *partitions;
    atomic_int_fast64_t resident; /* partitions are dropped by several threads at once */
    struct mr_spill_file *file;   /* of this spill's own writing; NULL = none yet */
    struct scattered *pending;
    int npending;
    int pending_capacity;
    int64_t pending_bytes;
    int64_t pending_most;
    int32_t *order; /* scratch of scatter */
    int64_t order_capacity;
};

enum mr_status mr_spill_new(struct mr_runtime *runtime, const struct mr_schema *schema,
                            int npartitions, int64_t limit, struct mr_spill **out,
                            struct mr_error *err)
{
    assert(npartitions > 0);
    struct mr_spill *spill = mr_calloc(1, sizeof *spill);
    *out = spill;
    if (spill == NULL)
        return mr_error_nomem(err);
    spill->runtime = *runtime;
    spill->schema = schema;
    spill->npartitions = npartitions;
    spill->limit = limit;
    spill->pending_most = mr_clamp(limit / 4, 64 << 10, 16 << 20);
    spill->partitions = mr_calloc((size_t)npartitions, sizeof *spill->partitions);
    if (spill->partitions == NULL) {
        mr_free(spill);
        *out = NULL;
        return mr_error_nomem(err);
    }
    return MR_OK;
}

static void drop_pending(struct mr_spill *spill)
{
    for (int i = 0; i < spill->npending; i++) {
        mr_batch_unref(spill->pending[i].batch);
        mr_free(spill->pending[i].starts);
    }
    spill->npending = 0;
    spill->pending_bytes = 0;
}

void mr_spill_drop(struct mr_spill *spill, int p)
{
    struct partition *partition = &spill->partitions[p];
    for (int i = 0; i < partition->count; i++) {
        mr_batch_unref(partition->chunks[i].batch);
        mr_spill_file_unref(partition->chunks[i].file);
    }
    mr_free(partition->chunks);
    spill->resident -= partition->resident;
    *partition = (struct partition){0};
}

void mr_spill_free(struct mr_spill *spill)
{
    if (spill == NULL)
        return;
    for (int p = 0; p < spill->npartitions; p++)
        mr_spill_drop(spill, p);
    drop_pending(spill);
    mr_spill_file_unref(spill->file);
    mr_free(spill->pending);
    mr_free(spill->order);
    mr_free(spill->partitions);
    mr_free(spill);
}

static enum mr_status reserve_chunks(struct partition *partition, int more, struct mr_error *err)
{
    int wanted = partition->count + more;
    if (wanted <= partition->capacity)
        return MR_OK;
    int capacity = partition->capacity * 2 > wanted ? partition->capacity * 2 : wanted;
    struct chunk *grown = mr_realloc(partition->chunks, (size_t)capacity * sizeof *grown);
    if (grown == NULL)
        return mr_error_nomem(err);
    partition->chunks = grown;
    partition->capacity = capacity;
    return MR_OK;
}

static enum mr_status write_chunk(struct mr_spill *spill, struct partition *partition,
                                  struct chunk *chunk, struct mr_error *err)
{
    if (spill->file == NULL)
        MR_TRY(mr_spill_file_new(&spill->runtime, &spill->file, err));
    MR_TRY(mr_spill_file_append(spill->file, &spill->runtime, chunk->batch, &chunk->extent, err));
    mr_batch_unref(chunk->batch);
    chunk->batch = NULL;
    chunk->file = mr_spill_file_ref(spill->file);
    partition->resident -= chunk->bytes;
    partition->written = true;
    spill->resident -= chunk->bytes;
    return MR_OK;
}

static enum mr_status write_partition(struct mr_spill *spill, struct partition *partition,
                                      struct mr_error *err)
{
    for (; partition->first_resident < partition->count; partition->first_resident++) {
        struct chunk *chunk = &partition->chunks[partition->first_resident];
        if (chunk->batch != NULL)
            MR_TRY(write_chunk(spill, partition, chunk, err));
    }
    return MR_OK;
}

enum mr_status mr_spill_write(struct mr_spill *spill, int partition, struct mr_error *err)
{
    int from = partition < 0 ? 0 : partition;
    int to = partition < 0 ? spill->npartitions : partition + 1;
    for (int p = from; p < to; p++)
        MR_TRY(write_partition(spill, &spill->partitions[p], err));
    return MR_OK;
}

/* The partition to write next: one that was written before, then the largest. */
static struct partition *victim(struct mr_spill *spill)
{
    struct partition *best = NULL;
    for (int p = 0; p < spill->npartitions; p++) {
        struct partition *at = &spill->partitions[p];
        if (at->resident > 0 && (best == NULL || at->written > best->written ||
                                 (at->written == best->written && at->resident > best->resident)))
            best = at;
    }
    return best;
}

static enum mr_status keep_limit(struct mr_spill *spill, struct mr_error *err)
{
    if (spill->resident <= spill->limit)
        return MR_OK;
    while (spill->resident > spill->limit / 2) {
        struct partition *partition = victim(spill);
        if (partition == NULL)
            break;
        MR_TRY(write_partition(spill, partition, err));
    }
    return MR_OK;
}

enum mr_status mr_spill_limit(struct mr_spill *spill, int64_t limit, struct mr_error *err)
{
    spill->limit = limit;
    return keep_limit(spill, err);
}

/* Takes over the batch. */
static enum mr_status append_chunk(struct mr_spill *spill, int p, struct mr_batch *batch,
                                   struct mr_error *err)
{
    struct partition *partition = &spill->partitions[p];
    enum mr_status status = reserve_chunks(partition, 1, err);
    if (status != MR_OK) {
        mr_batch_unref(batch);
        return status;
    }
    int64_t bytes = mr_batch_bytes(batch);
    partition->chunks[partition->count++] =
        (struct chunk){.batch = batch, .rows = batch->rows, .bytes = bytes};
    partition->rows += batch->rows;
    partition->bytes += bytes;
    partition->resident += bytes;
    spill->resident += bytes;
    return MR_OK;
}

/*
 * Replaces columns of a batch that nobody else has: all that are not FLAT, or only dictionaries with
 * more entries than there are rows.
 */
static enum mr_status flatten(struct mr_spill *spill, struct mr_batch *batch, bool all,
                              struct mr_error *err)
{
    for (int c = 0; c < spill->schema->nfields; c++) {
        struct mr_column *flat, *column = batch->columns[c];
        if (!all &&
            (column->encoding != MR_DICTIONARY || column->dictionary->length <= batch->rows))
            continue;
        MR_TRY(mr_column_flatten(spill->runtime.memory, column, &flat, err));
        mr_column_unref(column);
        batch->columns[c] = flat;
    }
    return MR_OK;
}

enum mr_status mr_spill_add(struct mr_spill *spill, int partition, struct mr_batch *batch,
                            struct mr_error *err)
{
    assert(batch->selection == NULL);
    if (batch->rows == 0)
        return MR_OK;
    struct mr_batch *own;
    MR_TRY(mr_batch_select(batch, NULL, &own, err));
    enum mr_status status = flatten(spill, own, false, err);
    if (status != MR_OK) {
        mr_batch_unref(own);
        return status;
    }
    MR_TRY(append_chunk(spill, partition, own, err));
    return keep_limit(spill, err);
}

/* The runs of partition p among the pending batches, one column after the other. */
static enum mr_status gather_chunk(struct mr_spill *spill, int p, struct mr_column_run *runs,
                                   int64_t rows, struct mr_batch **out, struct mr_error *err)
{
    int nfields = spill->schema->nfields, done = 0;
    struct mr_column **columns = mr_calloc((size_t)nfields + 1, sizeof(*columns));
    enum mr_status status = columns != NULL ? MR_OK : mr_error_nomem(err);
    for (; status == MR_OK && done < nfields; done++) {
        int nruns = 0;
        for (int i = 0; i < spill->npending; i++) {
            const struct scattered *from = &spill->pending[i];
            int32_t count = from->starts[p + 1] - from->starts[p];
            if (count > 0)
                runs[nruns++] =
                    (struct mr_column_run){from->batch->columns[done], from->starts[p], count};
        }
        status = mr_column_concat_runs(spill->runtime.memory, runs, nruns, &columns[done], err);
        if (status != MR_OK)
            break;
    }
    if (status == MR_OK)
        status = mr_batch_new(spill->schema, rows, columns, out, err);
    else
        for (int c = 0; c < done; c++)
            mr_column_unref(columns[c]);
    mr_free(columns);
    return status;
}

/* Under a full budget everything of ours goes to the file, and the step is tried once more. */
static enum mr_status gather_or_write(struct mr_spill *spill, int p, struct mr_column_run *runs,
                                      int64_t rows, struct mr_batch **out, struct mr_error *err)
{
    enum mr_status status = gather_chunk(spill, p, runs, rows, out, err);
    if (status != MR_LIMIT || spill->resident == 0)
        return status;
    MR_TRY(mr_spill_write(spill, -1, err));
    return gather_chunk(spill, p, runs, rows, out, err);
}

enum mr_status mr_spill_flush(struct mr_spill *spill, struct mr_error *err)
{
    if (spill->npending == 0)
        return MR_OK;
    struct mr_column_run *runs = mr_alloc((size_t)spill->npending * sizeof *runs);
    if (runs == NULL)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (int p = 0; p < spill->npartitions && status == MR_OK; p++) {
        int64_t rows = 0;
        for (int i = 0; i < spill->npending; i++)
            rows += spill->pending[i].starts[p + 1] - spill->pending[i].starts[p];
        if (rows == 0)
            continue;
        struct mr_batch *batch;
        status = gather_or_write(spill, p, runs, rows, &batch, err);
        if (status == MR_OK)
            status = append_chunk(spill, p, batch, err);
        if (status == MR_OK)
            status = keep_limit(spill, err);
    }
    mr_free(runs);
    drop_pending(spill);
    return status;
}

/* Row numbers in the order of their partitions, and where each partition starts. */
static enum mr_status sort_rows(struct mr_spill *spill, const int32_t *rows,
                                const uint32_t *partitions, int64_t count, int32_t **starts,
                                struct mr_error *err)
{
    if (count > spill->order_capacity) {
        int32_t *grown = mr_realloc(spill->order, (size_t)count * sizeof *grown);
        if (grown == NULL)
            return mr_error_nomem(err);
        spill->order = grown;
        spill->order_capacity = count;
    }
    size_t n = (size_t)spill->npartitions;
    int32_t *bounds = mr_calloc(n + 2, sizeof *bounds);
    *starts = bounds;
    if (bounds == NULL)
        return mr_error_nomem(err);
    /* bounds[p + 2] counts p, then bounds[p + 1] is the place of the next row of p. */
    for (int64_t i = 0; i < count; i++)
        bounds[partitions[i] + 2]++;
    for (size_t p = 2; p <= n; p++)
        bounds[p] += bounds[p - 1];
    for (int64_t i = 0; i < count; i++)
        spill->order[bounds[partitions[i] + 1]++] = rows != NULL ? rows[i] : (int32_t)i;
    return MR_OK;
}

/* The rows in spill->order of a batch, every column FLAT. */
static enum mr_status take_flat(struct mr_spill *spill, const struct mr_batch *batch, int64_t count,
                                struct mr_batch **out, struct mr_error *err)
{
    MR_TRY(mr_batch_take(spill->runtime.memory, batch, spill->order, count, out, err));
    enum mr_status status = flatten(spill, *out, true, err);
    if (status != MR_OK) {
        mr_batch_unref(*out);
        *out = NULL;
    }
    return status;
}

static enum mr_status add_pending(struct mr_spill *spill, struct mr_batch *batch, int32_t *starts,
                                  struct mr_error *err)
{
    if (spill->npending == spill->pending_capacity) {
        int capacity = spill->pending_capacity > 0 ? 2 * spill->pending_capacity : 8;
        struct scattered *grown =
            mr_realloc(spill->pending, (size_t)capacity * sizeof *spill->pending);
        if (grown == NULL)
            return mr_error_nomem(err);
        spill->pending = grown;
        spill->pending_capacity = capacity;
    }
    spill->pending[spill->npending++] = (struct scattered){batch, starts};
    spill->pending_bytes += mr_batch_bytes(batch);
    return MR_OK;
}

enum mr_status mr_spill_scatter(struct mr_spill *spill, const struct mr_batch *batch,
                                const int32_t *rows, const uint32_t *partitions, int64_t count,
                                struct mr_error *err)
{
    if (count == 0)
        return MR_OK;
    int32_t *starts = NULL;
    struct mr_batch *taken = NULL;
    enum mr_status status = sort_rows(spill, rows, partitions, count, &starts, err);
    if (status == MR_OK)
        status = take_flat(spill, batch, count, &taken, err);
    if (status == MR_LIMIT && (spill->resident > 0 || spill->npending > 0)) {
        status = mr_spill_flush(spill, err);
        if (status == MR_OK)
            status = mr_spill_write(spill, -1, err);
        if (status == MR_OK)
            status = take_flat(spill, batch, count, &taken, err);
    }
    if (status == MR_OK)
        status = add_pending(spill, taken, starts, err);
    if (status != MR_OK) {
        mr_batch_unref(taken);
        mr_free(starts);
        return status;
    }
    /* Chunks are copies: making them must still fit. */
    bool enough = spill->pending_bytes >= spill->pending_most ||
                  spill->pending_bytes > mr_memory_available(spill->runtime.memory);
    return enough ? mr_spill_flush(spill, err) : MR_OK;
}

enum mr_status mr_spill_absorb(struct mr_spill *into, struct mr_spill *from, struct mr_error *err)
{
    assert(into->npartitions == from->npartitions && from->npending == 0 && into->npending == 0);
    for (int p = 0; p < into->npartitions; p++)
        MR_TRY(reserve_chunks(&into->partitions[p], from->partitions[p].count, err));
    for (int p = 0; p < into->npartitions; p++) {
        struct partition *to = &into->partitions[p], *source = &from->partitions[p];
        if (source->count > 0)
            memcpy(to->chunks + to->count, source->chunks,
                   (size_t)source->count * sizeof *to->chunks);
        to->count += source->count;
        to->rows += source->rows;
        to->bytes += source->bytes;
        to->resident += source->resident;
        to->written |= source->written;
        mr_free(source->chunks);
        *source = (struct partition){0};
    }
    into->resident += from->resident;
    from->resident = 0;
    into->limit = into->limit > INT64_MAX - from->limit ? INT64_MAX : into->limit + from->limit;
    return MR_OK;
}

int mr_spill_partitions(const struct mr_spill *spill)
{
    return spill->npartitions;
}

int64_t mr_spill_rows(const struct mr_spill *spill, int partition)
{
    return spill->partitions[partition].rows;
}

int64_t mr_spill_bytes(const struct mr_spill *spill, int partition)
{
    return spill->partitions[partition].bytes;
}

int64_t mr_spill_resident(const struct mr_spill *spill)
{
    return spill->resident + spill->pending_bytes;
}

bool mr_spill_written(const struct mr_spill *spill, int partition)
{
    return spill->partitions[partition].written;
}

int mr_spill_chunks(const struct mr_spill *spill, int partition)
{
    return spill->partitions[partition].count;
}

int64_t mr_spill_chunk_rows(const struct mr_spill *spill, int partition, int chunk)
{
    return spill->partitions[partition].chunks[chunk].rows;
}

enum mr_status mr_spill_chunk(const struct mr_spill *spill, struct mr_runtime *runtime,
                              int partition, int chunk, struct mr_batch **out, struct mr_error *err)
{
    const struct chunk *at = &spill->partitions[partition].chunks[chunk];
    if (at->batch != NULL) {
        *out = mr_batch_ref(at->batch);
        return MR_OK;
    }
    return mr_spill_file_read(at->file, runtime, &at->extent, spill->schema, at->rows, out, err);
}

enum mr_status mr_spill_block(const struct mr_spill *spill, struct mr_runtime *runtime,
                              int partition, int64_t bytes, int *chunk, struct mr_batch **out,
                              struct mr_error *err)
{
    int count = mr_spill_chunks(spill, partition), n = 0;
    int64_t read = 0;
    struct mr_batch **chunks = mr_calloc((size_t)(count - *chunk) + 1, sizeof(*chunks));
    enum mr_status status = chunks ? MR_OK : mr_error_nomem(err);
    while (status == MR_OK && *chunk < count && (n == 0 || read < bytes)) {
        status = mr_spill_chunk(spill, runtime, partition, (*chunk)++, &chunks[n], err);
        if (status == MR_OK)
            read += mr_batch_bytes(chunks[n++]);
    }
    if (status == MR_OK)
        status = mr_batch_concat(runtime->memory, chunks, n, out, err);
    for (int i = 0; i < n; i++)
        mr_batch_unref(chunks[i]);
    mr_free(chunks);
    return status;
}
