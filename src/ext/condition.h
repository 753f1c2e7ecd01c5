/*
 * condition.h - SQL conditions for those who must not know SQL: sinks and actions that decide which
 * rows of a target go (delete where, replaceWhere) or may come (CHECK constraints, invariants).
 *
 * The implementation is plan/condition.c, reached through the registry.
 */
#ifndef MR_EXT_CONDITION_H
#define MR_EXT_CONDITION_H

#include "col/batch.h"
#include "ext/predicate.h"
#include "ext/runtime.h"

struct mr_condition;

struct mr_conditions {
    /*
     * MR_CONFIG with the position inside `text`: not a boolean expression over the schema. The
     * session's zone and ANSI mode count. Lives in the arena; `free` releases the rest.
     */
    enum mr_status (*compile)(const char *text, const struct mr_schema *schema,
                              struct mr_runtime *runtime, struct mr_arena *arena,
                              struct mr_condition **out, struct mr_error *err);
    /* Its parts that can be pushed down, joined by AND; *exact: together they are all of it. */
    void (*predicates)(const struct mr_condition *condition, const struct mr_predicate *const **out,
                       int *count, bool *exact);
    /* Sets used[i] for every column of the schema that it reads. */
    void (*uses)(const struct mr_condition *condition, bool *used);
    /* truth[i] for each row of a batch without selection: 1 TRUE, 0 FALSE, 2 NULL. One thread. */
    enum mr_status (*evaluate)(struct mr_condition *condition, struct mr_batch *batch,
                               uint8_t *truth, struct mr_error *err);
    void (*free)(struct mr_condition *condition);
};

#endif
