/*
 * tell.h - what a stream says of itself while it runs: lines of the log, its row among the runs.
 */
#ifndef MR_RUN_TELL_H
#define MR_RUN_TELL_H

#include "run/stream.h"

/*
 * The epoch at hand is committed, or there was nothing to do, or (`again`) the stream goes on behind failures. At most every ten seconds,
 * unless `again`, and only where an epoch was committed since.
 */
void mr_tell_epoch(struct mr_stream *stream, bool again);
/* The epoch at hand has failed, and is done again after `pause` micros. */
void mr_tell_failure(struct mr_stream *stream, const struct mr_error *failure, int64_t pause);

#endif
