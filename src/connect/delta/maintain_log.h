/*
 * maintain_log.h - what follows a commit: checkpoint, _last_checkpoint, clean-up of the log.
 */
#ifndef MR_CONNECT_DELTA_MAINTAIN_LOG_H
#define MR_CONNECT_DELTA_MAINTAIN_LOG_H

#include "connect/delta/table.h"

/* After version `version` was committed. Failures are events (warnings), never errors. */
void delta_log_maintain(const struct delta_table *table, const struct delta_metadata *metadata,
                        int64_t version);
/* A duration among the properties ("interval 30 days") in milliseconds. */
int64_t delta_property_millis(const struct delta_metadata *metadata, const char *name,
                              int64_t fallback);
/* Writes the checkpoint of a snapshot, and _last_checkpoint. */
enum mr_status delta_checkpoint_write(const struct delta_table *table,
                                      const struct delta_snapshot *snapshot, struct mr_error *err);

#endif
