/*
 * splits.c - runs of bytes of files as independent parts.
 *
 * A large file is cut into equal ranges; small files that follow each other share a split, so that ten thousand of
 * them are not ten thousand tasks. The size aimed at gives every thread several splits (so that they end together), but none below 16 MB,
 * where opening costs more than it gains, nor above 128 MB. One file is cut into a multiple of the threads' number, but for pieces
 * of less than 8 MB: three parts of a file for two threads would leave one of them waiting for a third of the time. Opening a file counts as 1 MB. A cut may be anywhere: formats read
 * the rows that begin in their range.
 */
#include "connect/files/incremental.h"

#define LEAST           ((int64_t)16 << 20)
#define MOST            ((int64_t)128 << 20)
#define OPENING         ((int64_t)1 << 20)
#define SPLITS_A_THREAD 4
#define PIECES_MOST     1024

struct cutting {
    const struct files_source *source;
    struct mr_arena *arena;
    struct mr_split_list *out;
    int capacity;
    int64_t aim;
    int64_t threads;
    /* the split that is being filled */
    struct mr_bytes pieces;
    int npieces;
    int64_t cost;
    int64_t bytes;
    int64_t rows; /* -1 = unknown */
    const char *first;
    int64_t offset;
    int64_t end;
};

static int64_t aim_of(const struct files_source *source, int64_t threads)
{
    int64_t bytes = 0;
    for (int i = 0; i < source->nentries; i++)
        if (!source->entries[i].skipped)
            bytes += source->entries[i].size;
    int64_t aim = bytes / (threads * SPLITS_A_THREAD);
    return aim < LEAST ? LEAST : aim > MOST ? MOST : aim;
}

static const char *label_of(const struct cutting *cutting)
{
    if (cutting->npieces > 1)
        return mr_arena_printf(cutting->arena, "%s and %d more", cutting->first,
                               cutting->npieces - 1);
    if (cutting->offset == 0 && cutting->end < 0)
        return mr_arena_strdup(cutting->arena, cutting->first);
    return mr_arena_printf(cutting->arena, "%s [%lld, %lld)", cutting->first,
                           (long long)cutting->offset, (long long)cutting->end);
}

static enum mr_status room_for_split(struct cutting *cutting, struct mr_error *err)
{
    struct mr_split_list *out = cutting->out;
    if (out->count < cutting->capacity)
        return MR_OK;
    int capacity = cutting->capacity ? 2 * cutting->capacity : 64;
    struct mr_split *more = mr_arena_calloc(cutting->arena, (size_t)capacity, sizeof *more);
    if (more == NULL)
        return mr_error_nomem(err);
    if (out->count > 0)
        memcpy(more, out->items, (size_t)out->count * sizeof *more);
    out->items = more;
    cutting->capacity = capacity;
    return MR_OK;
}

static enum mr_status end_split(struct cutting *cutting, struct mr_error *err)
{
    if (cutting->npieces == 0)
        return MR_OK;
    MR_TRY(room_for_split(cutting, err));
    struct mr_bytes token;
    mr_bytes_init(&token, MR_BYTES_DEFAULT_MAXIMUM);
    files_split_begin(&token, cutting->npieces);
    mr_bytes_append(&token, cutting->pieces.data, cutting->pieces.size);
    enum mr_status status = mr_bytes_status(&token, err);
    struct mr_split *split = &cutting->out->items[cutting->out->count++];
    *split = (struct mr_split){
        .token = {status == MR_OK ? mr_arena_strndup(cutting->arena, token.data, token.size) : NULL,
                  token.size},
        .label = label_of(cutting),
        .rows = cutting->rows,
        .bytes = cutting->bytes,
    };
    int64_t limit = cutting->source->limit;
    if (limit >= 0 && split->rows > limit)
        split->rows = limit;
    mr_bytes_reset(&token);
    mr_bytes_clear(&cutting->pieces);
    cutting->npieces = 0;
    cutting->cost = cutting->bytes = cutting->rows = 0;
    if (status == MR_OK && (split->token.data == NULL || split->label == NULL))
        status = mr_error_nomem(err);
    return status;
}

static enum mr_status add_piece(struct cutting *cutting, const struct files_entry *entry,
                                int64_t offset, int64_t end, struct mr_error *err)
{
    int64_t length = (end < 0 ? entry->size : end) - offset;
    struct files_piece piece = {
        .path = mr_slice_of(entry->path),
        .size = entry->size,
        .modified_micros = entry->modified_micros,
        .offset = offset,
        .length = end < 0 ? INT64_MAX : length,
    };
    if (cutting->npieces == 0) {
        cutting->first = entry->path;
        cutting->offset = offset;
        cutting->end = end;
    }
    files_piece_write(&piece, &cutting->pieces);
    cutting->npieces++;
    cutting->cost += length + OPENING;
    cutting->bytes += length;
    cutting->rows =
        cutting->rows < 0 || entry->rows < 0 ? -1
        : end < 0 && offset == 0
            ? cutting->rows + entry->rows
            : cutting->rows + (int64_t)((double)entry->rows * (double)length / (double)entry->size);
    return mr_bytes_status(&cutting->pieces, err);
}

/* Into how many ranges a file is cut. */
static int64_t ranges_of(const struct cutting *cutting, const struct files_entry *entry)
{
    if (entry->one_range)
        return 1;
    int64_t ranges = (entry->size + cutting->aim / 2) / cutting->aim;
    int64_t even = (ranges + cutting->threads - 1) / cutting->threads * cutting->threads;
    return ranges > 1 && entry->size / even >= LEAST / 2 ? even : ranges;
}

static enum mr_status cut_file(struct cutting *cutting, const struct files_entry *entry,
                               struct mr_error *err)
{
    int64_t ranges = ranges_of(cutting, entry);
    if (ranges <= 1) {
        if (cutting->cost + entry->size > cutting->aim + cutting->aim / 4 ||
            cutting->npieces == PIECES_MOST)
            MR_TRY(end_split(cutting, err));
        return add_piece(cutting, entry, 0, -1, err);
    }
    MR_TRY(end_split(cutting, err));
    int64_t step = entry->size / ranges;
    for (int64_t i = 0; i < ranges; i++) {
        MR_TRY(add_piece(cutting, entry, i * step, i + 1 < ranges ? (i + 1) * step : -1, err));
        if (i + 1 == ranges)
            cutting->end = entry->size; /* for its label */
        MR_TRY(end_split(cutting, err));
    }
    return MR_OK;
}

/* Counted here, once: what was planned may be asked for many times, splits are made for a run. */
static void count_skipped(const struct files_source *source, struct mr_runtime *runtime)
{
    for (int i = 0; i < source->nentries; i++) {
        if (!source->entries[i].skipped || source->entries[i].known)
            continue;
        mr_count(runtime, MR_COUNT_FILES_SKIPPED, 1);
        mr_count(runtime, MR_COUNT_BYTES_SKIPPED, source->entries[i].size);
    }
}

enum mr_status files_splits(void *state, struct mr_runtime *runtime, struct mr_arena *arena,
                            struct mr_split_list *out, struct mr_error *err)
{
    const struct files_source *source = state;
    int64_t threads = runtime->parallelism > 0 ? runtime->parallelism : 1;
    struct cutting cutting = {.source = source,
                              .arena = arena,
                              .out = out,
                              .aim = aim_of(source, threads),
                              .threads = threads};
    *out = (struct mr_split_list){0};
    mr_bytes_init(&cutting.pieces, MR_BYTES_DEFAULT_MAXIMUM);
    enum mr_status status = MR_OK;
    for (int i = 0; i < source->nentries && status == MR_OK; i++)
        if (!source->entries[i].skipped)
            status = cut_file(&cutting, &source->entries[i], err);
    if (status == MR_OK)
        status = end_split(&cutting, err);
    mr_bytes_reset(&cutting.pieces);
    count_skipped(source, runtime);
    if (status == MR_OK)
        status = files_incremental_end(source, arena, out, err);
    return status;
}
