/*
 * maintain_action.h - the maintain methods of Delta tables that the registry names.
 */
#ifndef MR_CONNECT_DELTA_MAINTAIN_ACTION_H
#define MR_CONNECT_DELTA_MAINTAIN_ACTION_H

#include "ext/action.h"

extern const struct mr_action mr_action_optimize_delta;
extern const struct mr_action mr_action_vacuum_delta;
extern const struct mr_action mr_action_delete_delta;
extern const struct mr_action mr_action_describe_delta;
extern const struct mr_action mr_action_history_delta;
extern const struct mr_action mr_action_sql_delta;

#endif
