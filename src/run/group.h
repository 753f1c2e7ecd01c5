/*
 * group.h - a stream that several processes share: this process's part (docs/internals/lanes.md).
 */
#ifndef MR_RUN_GROUP_H
#define MR_RUN_GROUP_H

#include "run/run.h"

/* Does the pipeline read a stream that is shared, so that mr_group_execute is to run it? */
bool mr_group_wanted(const struct mr_spec *spec);
/* As mr_run_execute. Ends when it is drained, when one lane fails for good, or when all lanes have reached their trigger's end. */
enum mr_status mr_group_execute(struct mr_session *session, const struct mr_run_options *options,
                                char **report, struct mr_load_errors *errors, struct mr_error *err);
/* The mark in the record of the state key itself that its positions are of lanes. */
#define MR_GROUP_MARK "lanes:"
bool mr_group_has_begun(const struct mr_epoch_record *record);

/* A lane that has a record. */
struct mr_group_lane {
    const char *name; /* "clicks/3" */
    const char *key;  /* state key */
};
/* By name, numbers in their order. */
enum mr_status mr_group_lanes(struct mr_state *state, const char *key, struct mr_arena *arena,
                              struct mr_group_lane **out, int *count, struct mr_error *err);

#endif
