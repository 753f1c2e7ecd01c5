/*
 * judge.h - the verdict of a run's validations.
 */
#ifndef MR_RUN_JUDGE_H
#define MR_RUN_JUDGE_H

#include "plan/plan.h"

/*
 * MR_VALIDATION, with the counts per rule, when more rows broke the rules of a step than it allows.
 * `which` (by node): only of those.
 */
enum mr_status mr_judge_some(const struct mr_plan *plan, const bool *which, struct mr_error *err);
enum mr_status mr_judge_validations(const struct mr_plan *plan, struct mr_error *err);

#endif
