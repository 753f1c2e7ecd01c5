/*
 * report_steps.h - what each step did, for the report. Private to run/.
 */
#ifndef MR_RUN_REPORT_STEPS_H
#define MR_RUN_REPORT_STEPS_H

#include "run/figures.h"

#include <jansson.h>

/*
 * One entry per step (and per side output), in order; a step of several parts has them in "parts". Behind them the maintain steps of the
 * plan, which may be NULL.
 */
json_t *mr_report_steps(const struct mr_figures *figures, const struct mr_plan *plan);

#endif
