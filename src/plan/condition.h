/*
 * condition.h - the implementation of ext/condition.h that the registry names.
 */
#ifndef MR_PLAN_CONDITION_H
#define MR_PLAN_CONDITION_H

#include "ext/condition.h"

extern const struct mr_conditions mr_plan_conditions;

#endif
