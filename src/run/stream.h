/*
 * stream.h - mode streaming: the epochs of one process (docs/internals/streaming.md).
 */
#ifndef MR_RUN_STREAM_H
#define MR_RUN_STREAM_H

#include "run/kept.h"
#include "run/start.h"
#include "run/totals.h"

struct mr_stream {
    struct mr_start *start; /* last: of the epoch that is committed */
    struct mr_session *session;
    const struct mr_run_options *options;
    struct mr_load_errors *errors;
    struct mr_exec_result result; /* of the epoch at hand */
    struct mr_kept *kept;         /* what operators keep from epoch to epoch */
    struct mr_totals totals;
    struct mr_latency latency; /* of the epoch at hand */
    struct mr_positions goals; /* availableNow: where the streams ended at the start; by step */
    bool has_goals;
    bool asked;         /* targets were asked what they know */
    bool leftovers;     /* something may be staged that nobody will commit */
    bool staged;        /* the epoch at hand has begun to load, and is not committed */
    bool broken_off;    /* the last epoch had begun to load, and has failed */
    bool idle;          /* the last look found nothing to do */
    int failures;       /* epochs in a row */
    int64_t committing; /* number of the epoch at hand since its commit was begun, else 0 */
    int64_t begun;      /* monotonic: the epoch at hand, or the last */
    int64_t pause;      /* micros until sources are looked at again */
    int64_t told_at;    /* monotonic: the last line of the log, and of the row */
    int64_t told_rows;
    int64_t told_epochs;
};

enum mr_status mr_stream_init(struct mr_stream *stream, struct mr_start *start,
                              const struct mr_run_options *options, struct mr_load_errors *errors,
                              struct mr_error *err);
void mr_stream_reset(struct mr_stream *stream);
/*
 * Under the lease, with an interrupted epoch finished: epochs until the trigger says that it is enough (MR_OK), somebody stops or cancels
 * it (MR_CANCELLED), or one fails for good.
 */
enum mr_status mr_stream_run(struct mr_stream *stream, struct mr_error *err);

#endif
