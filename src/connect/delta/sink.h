/*
 * sink.h - toDeltaLake: rows become a version of a table.
 */
#ifndef MR_CONNECT_DELTA_SINK_H
#define MR_CONNECT_DELTA_SINK_H

#include "ext/sink.h"

extern const struct mr_sink mr_sink_delta;

#endif
