/*
 * latency.h - how old the records of an epoch are when it is committed.
 *
 * Sources that know the times of their records note them (mr_runtime.latency); the loop of a stream asks when the epoch is
 * committed. Ages are kept as a histogram, 3 % wide and so 3 % exact, so memory does not depend on how many records there are.
 */
#ifndef MR_EXT_LATENCY_H
#define MR_EXT_LATENCY_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdint.h>

#define MR_LATENCY_BUCKETS 1536

struct mr_latency {
    int64_t base; /* wall clock, micros: ages are counted from here until the epoch is committed */
    atomic_int_fast64_t counts[MR_LATENCY_BUCKETS];
};

/* A new epoch: nothing is noted. `now`: behind the last record that it reads. One thread. */
void mr_latency_begin(struct mr_latency *latency, int64_t now);
/* `count` records of this time (wall clock, micros). Any thread. NULL: nobody asks. */
void mr_latency_note(struct mr_latency *latency, int64_t time, int64_t count);
/* Adds the ages at `now` of what was noted. One thread. */
void mr_latency_add(struct mr_latency *sum, const struct mr_latency *epoch, int64_t now);

struct mr_latency_figures {
    int64_t count;
    int64_t p50, p95, p99, max; /* micros */
    int64_t sum;                /* micros */
};
void mr_latency_read(const struct mr_latency *sum, struct mr_latency_figures *out);
/* How many are at most so old. */
int64_t mr_latency_up_to(const struct mr_latency *sum, int64_t micros);

#endif
