/*
 * action.h - contract: maintenance of a target (optimize, vacuum, delete). A step of type maintain.
 */
#ifndef MR_EXT_ACTION_H
#define MR_EXT_ACTION_H

#include "ext/runtime.h"

struct mr_action {
    const char *name;
    const char *doc;
    const char *system;
    const struct mr_option *options;
    enum mr_status (*bind)(const struct mr_options *options, struct mr_runtime *runtime,
                           struct mr_arena *arena, void **state, struct mr_error *err);
    /* Lines saying what run would do. */
    enum mr_status (*plan)(void *state, struct mr_bytes *out, struct mr_error *err);
    /* Does it and writes a JSON object for the report. */
    enum mr_status (*run)(void *state, struct mr_runtime *runtime, struct mr_bytes *report,
                          struct mr_error *err);
    void (*close)(void *state);
};

#endif
