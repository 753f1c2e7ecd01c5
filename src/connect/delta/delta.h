/*
 * delta.h - what the registry names of Delta Lake.
 */
#ifndef MR_CONNECT_DELTA_DELTA_H
#define MR_CONNECT_DELTA_DELTA_H

#include "ext/source.h"

extern const struct mr_source mr_source_delta;

#endif
