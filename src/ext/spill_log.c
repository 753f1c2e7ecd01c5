/*
 * spill_log.c - files that are begun anew.
 *
 * Batches go behind each other into one file until that holds an eighth of all that is there (and 16 MB), then a new one is begun. So there are
 * few files whatever the size, and what has come together goes together: streams forget in the order of time. Of a file of which one batch is
 * left the others' blocks are given back (a hole); moving such batches was refused: those who put them know better when rows are dead.
 *
 * One lock is held while a batch is packed, compressed and written: there is one file at a time, and the disk is one, too.
 */
#include "ext/spill_log.h"

#include "base/clamp.h"
#include "base/thread.h"

#define FILE_LEAST  ((int64_t)16 << 20)
#define PIECE_LEAST ((int64_t)16 << 10)
#define PIECE_MOST  ((int64_t)1 << 20)

struct mr_spill_log {
    struct mr_runtime runtime; /* a copy: the log outlives the epoch that made it */
    pthread_mutex_t lock;      /* guards what follows */
    struct mr_spill_file *file;
    int64_t written; /* into that file */
    int64_t held;    /* bytes of all batches that are there */
};

int64_t mr_spill_log_piece(int64_t limit)
{
    return mr_clamp(limit / 4, PIECE_LEAST, PIECE_MOST);
}

enum mr_status mr_spill_log_new(const struct mr_runtime *runtime, struct mr_spill_log **out,
                                struct mr_error *err)
{
    struct mr_spill_log *log = mr_calloc(1, sizeof *log);
    *out = log;
    if (!log)
        return mr_error_nomem(err);
    log->runtime = *runtime;
    mr_mutex_init(&log->lock);
    return MR_OK;
}

void mr_spill_log_free(struct mr_spill_log *log)
{
    if (!log)
        return;
    mr_spill_file_unref(log->file);
    pthread_mutex_destroy(&log->lock);
    mr_free(log);
}

/* Caller holds the lock. */
static enum mr_status append(struct mr_spill_log *log, struct mr_runtime *runtime,
                             const struct mr_batch *batch, struct mr_spilled *out,
                             struct mr_error *err)
{
    int64_t most = log->held / 8 > FILE_LEAST ? log->held / 8 : FILE_LEAST;
    if (log->file && log->written >= most) {
        mr_spill_file_seal(log->file);
        mr_spill_file_unref(log->file);
        log->file = NULL;
    }
    if (!log->file) {
        MR_TRY(mr_spill_file_new(&log->runtime, &log->file, err));
        log->written = 0;
    }
    mr_spill_file_align(log->file);
    MR_TRY(mr_spill_file_append(log->file, runtime, batch, &out->extent, err));
    out->file = mr_spill_file_ref(log->file);
    out->rows = batch->rows;
    log->written += out->extent.stored;
    log->held += out->extent.stored;
    return MR_OK;
}

enum mr_status mr_spill_log_put(struct mr_spill_log *log, struct mr_runtime *runtime,
                                const struct mr_batch *batch, struct mr_spilled *out,
                                struct mr_error *err)
{
    *out = (struct mr_spilled){0};
    pthread_mutex_lock(&log->lock);
    enum mr_status status = append(log, runtime, batch, out, err);
    pthread_mutex_unlock(&log->lock);
    return status;
}

enum mr_status mr_spilled_read(const struct mr_spilled *spilled, struct mr_runtime *runtime,
                               const struct mr_schema *schema, struct mr_batch **out,
                               struct mr_error *err)
{
    return mr_spill_file_read(spilled->file, runtime, &spilled->extent, schema, spilled->rows, out,
                              err);
}

void mr_spilled_drop(struct mr_spill_log *log, struct mr_spilled *spilled)
{
    if (!spilled->file)
        return;
    pthread_mutex_lock(&log->lock);
    log->held -= spilled->extent.stored;
    pthread_mutex_unlock(&log->lock);
    mr_spill_file_forget(spilled->file, &spilled->extent);
    mr_spill_file_unref(spilled->file);
    *spilled = (struct mr_spilled){0};
}
