/*
 * toy_sink.h - a two-phase sink that uses every member of the contract: all changelogs, lanes, epochs and positions
 * kept in the target, early flushes.
 */
#ifndef MR_TESTS_CONTRACT_TOY_SINK_H
#define MR_TESTS_CONTRACT_TOY_SINK_H

#include "ext/sink.h"

extern const struct mr_sink toy_sink;

#endif
