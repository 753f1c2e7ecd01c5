/*
 * part.h - the sub-plan that a step stands for (a join of three frames, a SELECT, a merge): methods
 * of the registry with options, as if the user had written each as a step of its own.
 */
#ifndef MR_EXT_PART_H
#define MR_EXT_PART_H

#include "ext/option.h"

struct mr_op_part {
    const char *method; /* "filterRows"; of a sink's parts also an extract, with no inputs */
    const char *detail; /* for its label in the plan and in errors: "WHERE"; or NULL */
    const struct mr_options
        *options; /* of that method's table (mr_options_new, mr_options_set_*) */
    int ninputs;
    const int *inputs; /* i >= 0: an earlier part; -1 - i: input i of the step */
};
struct mr_op_parts {
    struct mr_op_part *items; /* arena-owned; the last one gives the result */
    int count;                /* 0 = the step is one operator: bind it */
    int side;                 /* 1 + the part whose port 1 is the step's; 0 = the last one's */
};

#endif
