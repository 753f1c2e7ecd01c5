/*
 * progress.h - reports how far a run is, a few times a second, from a thread of its own.
 */
#ifndef MR_RUN_PROGRESS_H
#define MR_RUN_PROGRESS_H

#include "exec/exec.h"

struct mr_progress;
enum mr_status mr_progress_start(struct mr_engine *engine,
                                 void (*report)(void *context,
                                                const struct mr_exec_progress *progress, bool done),
                                 void *context, struct mr_progress **out, struct mr_error *err);
/* Reports once more with `done`, and joins. NULL is allowed. */
void mr_progress_stop(struct mr_progress *progress);

#endif
