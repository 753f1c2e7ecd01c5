/*
 * spill_log.h - batches kept aside in files for longer than a run of rows: each is put, read and let go by itself.
 *
 * What kept objects of streams are made of that outgrow memory (ext/kept.h). A spill (ext/spill.h) is filled, read and thrown away as a whole
 * and keeps its file until then; here files are begun anew, and one goes when the last batch in it has gone.
 */
#ifndef MR_EXT_SPILL_LOG_H
#define MR_EXT_SPILL_LOG_H

#include "ext/spill_file.h"

struct mr_spill_log;

/* A batch in the log. All 0: there is none. */
struct mr_spilled {
    struct mr_spill_file *file;
    struct mr_spill_extent extent;
    int64_t rows;
};

/* Bytes of a batch, about, where rows that have `limit` bytes of memory go into a log piece by piece. */
int64_t mr_spill_log_piece(int64_t limit);
/* `runtime` is copied; nothing is opened before the first batch. */
enum mr_status mr_spill_log_new(const struct mr_runtime *runtime, struct mr_spill_log **out,
                                struct mr_error *err);
/* NULL is allowed. After all of its batches. */
void mr_spill_log_free(struct mr_spill_log *log);
/* Writes a batch (no selection). Counted in MR_COUNT_SPILL_BYTES of `runtime`. Any thread. */
enum mr_status mr_spill_log_put(struct mr_spill_log *log, struct mr_runtime *runtime,
                                const struct mr_batch *batch, struct mr_spilled *out,
                                struct mr_error *err);
/* Reads it, charged to `runtime`. Any thread. */
enum mr_status mr_spilled_read(const struct mr_spilled *spilled, struct mr_runtime *runtime,
                               const struct mr_schema *schema, struct mr_batch **out,
                               struct mr_error *err);
/* Any thread; nothing where there is none. */
void mr_spilled_drop(struct mr_spill_log *log, struct mr_spilled *spilled);

#endif
