/*
 * event_clock.h - event time of one frame of a stream: how far it has come in each partition of the source.
 *
 * withWatermark keeps one (its kept object) and tells it the times of its rows; stateful operators to the right ask it
 * (mr_runtime.clocks). The watermark is the smallest, over the partitions that are not idle, of the latest time seen there, less the
 * delay. It moves between epochs only: `before` is what held when the epoch began, and decides which rows are late; `reached` is what
 * holds when all rows of the epoch were seen, and decides which windows close. Neither depends on the timing of threads.
 */
#ifndef MR_EXT_EVENT_CLOCK_H
#define MR_EXT_EVENT_CLOCK_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct mr_event_clock;

#define MR_WATERMARK_NONE INT64_MIN /* nothing was seen yet */

/* delay, idle: micros; idle 0 = a partition is never idle. */
enum mr_status mr_event_clock_new(int64_t delay, int64_t idle, struct mr_event_clock **out,
                                  struct mr_error *err);
void mr_event_clock_free(struct mr_event_clock *clock);
/* An epoch begins: `before` becomes what was reached. `now`: wall clock, micros. One thread. */
void mr_event_clock_begin(struct mr_event_clock *clock, int64_t now);
/* The latest time among rows of one partition (mr_runtime.origin). Any thread. */
enum mr_status mr_event_clock_seen(struct mr_event_clock *clock, const char *origin, int64_t time,
                                   struct mr_error *err);
/* Any thread; micros, or MR_WATERMARK_NONE. */
int64_t mr_event_clock_before(const struct mr_event_clock *clock);
/* Behind all rows of the epoch (mr_op.settle and later). Never smaller than `before`. */
int64_t mr_event_clock_reached(struct mr_event_clock *clock);

#endif
