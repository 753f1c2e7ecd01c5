/*
 * read_back.h - the target of a load, read through our own source: a plan of steps that no file holds.
 */
#ifndef MR_RUN_READ_BACK_H
#define MR_RUN_READ_BACK_H

#include "exec/exec.h"
#include "run/session.h"

#define MR_READ_BACK_STEPS 3

struct mr_read_back {
    struct mr_session *session;
    const struct mr_step_spec *load;
    struct mr_spec spec;
    struct mr_step_spec steps[MR_READ_BACK_STEPS];
    struct mr_plan *plan;
};

/* The method that reads what the load writes; NULL = there is none. */
const char *mr_read_back_method(const struct mr_step_spec *load);
/* Zeroed storage of the caller's; the session and the load outlive it. */
void mr_read_back_init(struct mr_read_back *reader, struct mr_session *session,
                       const struct mr_step_spec *load);
void mr_read_back_reset(struct mr_read_back *reader);
/* Adds a step; *options are its own, all unset. */
enum mr_status mr_read_back_step(struct mr_read_back *reader, const char *method,
                                 struct mr_options **options, struct mr_error *err);
/*
 * Begins anew with the extract of mr_read_back_method, which has those options of the load that both know. *options may
 * be added to until the plan is made.
 */
enum mr_status mr_read_back_source(struct mr_read_back *reader, struct mr_options **options,
                                   struct mr_error *err);
/* Makes reader->plan of the steps, connected. `rows`: of the result, 0 = all. */
enum mr_status mr_read_back_plan(struct mr_read_back *reader, bool with_splits, int64_t rows,
                                 struct mr_error *err);

#endif
