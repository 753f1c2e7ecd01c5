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
/*
 * A clock where frames meet: the smallest of `parts`, which outlive it and are begun and told by themselves. Only `before` and `reached`
 * may be asked of it.
 */
enum mr_status mr_event_clock_combine(struct mr_event_clock *const *parts, int count,
                                      struct mr_event_clock **out, struct mr_error *err);
/*
 * An epoch begins: `before` becomes what the last one reached. `now`: wall clock, micros. `origins`: the partitions that the frame has from
 * now on; those of which nothing has come yet hold the watermark back until they have been idle, others that were seen once do no
 * longer. count 0 = not known: all that were seen do. One thread.
 */
enum mr_status mr_event_clock_begin(struct mr_event_clock *clock, int64_t now,
                                    const char *const *origins, int count, struct mr_error *err);
/* The latest time among rows of one partition (mr_runtime.origin). Any thread. */
enum mr_status mr_event_clock_seen(struct mr_event_clock *clock, const char *origin, int64_t time,
                                   struct mr_error *err);
/* Any thread; micros, or MR_WATERMARK_NONE. Never INT64_MAX: there is always a time that is not late. */
int64_t mr_event_clock_before(const struct mr_event_clock *clock);
/* Behind all rows of the epoch (mr_op.settle and later). Never smaller than `before`. */
int64_t mr_event_clock_reached(struct mr_event_clock *clock);
/* Would an epoch that begins at `now` reach more though no rows come, because a partition has become idle? */
bool mr_event_clock_due(struct mr_event_clock *clock, int64_t now);

/*
 * For saving: what is known, entry by entry from 0 on until it returns false. Entry 0 is what was reached (origin NULL), others are
 * partitions. `changed`: since mr_event_clock_saved. Between epochs.
 */
struct mr_event_mark {
    const char *origin;
    int64_t time;
    bool changed;
};
bool mr_event_clock_mark(struct mr_event_clock *clock, int i, struct mr_event_mark *out);
void mr_event_clock_saved(struct mr_event_clock *clock);
/* And back, into a new clock. Idleness counts from the first epoch that begins. */
enum mr_status mr_event_clock_restore(struct mr_event_clock *clock, const char *origin,
                                      int64_t time, struct mr_error *err);

#endif
