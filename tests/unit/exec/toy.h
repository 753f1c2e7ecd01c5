/*
 * toy.h - a source, operators and a sink that do little and can be told to fail, and pipelines made of them.
 *
 * The source gives two columns: id (split * 1000000 + row, BIGINT) and v (row % 10, BIGINT). The sink keeps the ids that
 * each task wrote, in order.
 */
#ifndef MR_TESTS_TOY_H
#define MR_TESTS_TOY_H

#include "base/thread.h"
#include "base/tz.h"
#include "exec/exec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define TOY_TASKS 64
#define TOY_STEPS 16
#define TOY_SPLIT 1000000

/* What one sink has got. */
struct toy_target {
    int64_t *ids[TOY_TASKS];
    int64_t count[TOY_TASKS];
    int opened, finished, closed, relieved;
    int fail_open_after, fail_write_after, fail_finish_after; /* 0 = never */
    int writes;
};

/* Everything that the implementations share in one test; the test owns it. */
struct toy {
    pthread_mutex_t lock;
    struct toy_target targets[4];
    int readers_open, readers_peak, readers_closed;
    int transient_failures; /* that `next` still has to give */
    int batches_read;
    int fail_next_after, fail_open, fail_push_after, pushes;
    bool hang; /* next waits until cancelled */
    int batch_pause_micros;
    int ops_open, ops_closed;
    /* toyGroup: which call fails or waits until cancelled; 0 = none */
    int fail_combine_after, fail_settle_after, fail_pull_after;
    bool hang_settle, hang_pull;
    int combines, settles, pulls;
    int groups, groups_peak; /* that are settled and open */
    int narrowed; /* calls of the source's narrow, and the last predicate's largest value */
    int64_t narrowed_to;
    int nwanted;       /* columns of the last toyOne that are read; -1 = all */
    int64_t share;     /* that the last task of toyGroup was opened with */
    int64_t shares[8]; /* of tasks in the order of opening */
    int nshares;
    int64_t group_holds; /* bytes that a state of toyGroup is charged with */
    int64_t rest;        /* what the last one was told to keep */
    int64_t limit_offered;
    bool narrow; /* the source gives only the columns that are needed */
    int npredicates;
    enum mr_pushed answer; /* to each predicate */
    struct mr_memory memory;
    struct mr_arena arena;
    struct mr_tz *tz;
    struct mr_shared *shared;
    struct mr_waiter waiter;
    struct mr_runtime runtime;
    struct mr_counters counters;
    struct mr_spec spec;
    struct mr_step_spec steps[TOY_STEPS];
    struct mr_plan *plan;
    struct mr_engine *engine;
    struct mr_exec_result result;
    struct mr_load_errors errors;
    struct mr_error err;
    int64_t queue_bytes;
    struct mr_exec_request request;
};

void toy_init(struct toy *toy, int parallelism, int64_t memory);
void toy_reset(struct toy *toy);
/*
 * Adds a step: method, then option, text, ..., NULL. "as", "from" (comma-separated) and "ref" are registerAs, inputDataFrames
 * and referencedDataFrame. Methods: toySource (splits, rows, batch, readers, bytes), toyPass, toyFilter (condition, for the plan only), toySelect (the first column), toyEven, toyUnion,
 * toyLimit (count), toyKnown (validation with a build side), toyTasks (count, most), toyGroup (a breaker: the sum of ids for each
 * v, in `pulls` partitions, in order of v if `sorted`), toyOne (a build side; port 0 in one task), toyParts (stands for toyPass, toyGroup and toyParts itself, of the frames `tables`
 * united), toyNest (stands for toyParts and toyUnion), toyAsk (asks for the values of `of`; its `details` are them), toySink.
 */
void toy_step(struct toy *toy, const char *method, ...);
enum mr_status toy_plan(struct toy *toy, bool connect);
enum mr_status toy_run(struct toy *toy);
/* Rows of a target over all tasks, and their sum. */
int64_t toy_count(const struct toy *toy, int target);
int64_t toy_sum(const struct toy *toy, int target);
extern const struct mr_registry toy_registry;
extern const struct mr_op toy_group;                    /* toy_group.c */
extern const struct mr_op toy_parts, toy_nest, toy_ask; /* toy_parts.c */

#endif
