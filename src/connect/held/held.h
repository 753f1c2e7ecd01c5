/*
 * held.h - both ends of a held frame (ext/held.h): what gathers its rows, and what reads them again.
 */
#ifndef MR_CONNECT_HELD_HELD_H
#define MR_CONNECT_HELD_HELD_H

#include "ext/held.h"
#include "ext/op.h"
#include "ext/source.h"

extern const struct mr_option mr_held_options[];
extern const struct mr_op mr_op_held;
extern const struct mr_source mr_source_held;
extern const struct mr_holder mr_holder_builtin;

/* The frame that the options mean; NULL when it is not held. */
struct mr_held_frame *mr_held_of(const struct mr_options *options,
                                 const struct mr_runtime *runtime);

#endif
