/*
 * checkpoint.h - the step that makes a frame durable (ext/durable.h).
 */
#ifndef MR_CONNECT_CHECKPOINT_CHECKPOINT_H
#define MR_CONNECT_CHECKPOINT_CHECKPOINT_H

#include "ext/durable.h"

extern const struct mr_op mr_op_checkpoint;

#endif
