/*
 * latency.c - ages in buckets: 32 of the same width between a power of two and the next.
 *
 *   0..31 -> itself;   [2^e, 2^(e+1)) -> 32 * (e - 4) + the five bits behind the first
 *
 * The age of a record at the commit is its age at `base` and what the epoch took from there. Only the first is put into a bucket while
 * records are read, so that noting them needs no clock; the second is added once a bucket.
 */
#include "ext/latency.h"

static int bucket_of(int64_t age)
{
    uint64_t value = age > 0 ? (uint64_t)age : 0;
    if (value < 32)
        return (int)value;
    int exponent = 63 - __builtin_clzll(value);
    int bucket = 32 * (exponent - 4) + (int)((value >> (exponent - 5)) & 31);
    return bucket < MR_LATENCY_BUCKETS ? bucket : MR_LATENCY_BUCKETS - 1;
}

/* The largest age in it. */
static int64_t end_of(int bucket)
{
    if (bucket < 32)
        return bucket;
    int exponent = bucket / 32 + 4;
    int64_t width = INT64_C(1) << (exponent - 5);
    return (INT64_C(1) << exponent) + width * (bucket % 32 + 1) - 1;
}

/* What stands for the ages in it: an age goes through two buckets, and the errors of ends would add up. */
static int64_t middle_of(int bucket)
{
    int64_t start = bucket > 0 ? end_of(bucket - 1) + 1 : 0;
    return start + (end_of(bucket) - start) / 2;
}

void mr_latency_begin(struct mr_latency *latency, int64_t now)
{
    latency->base = now;
    for (int i = 0; i < MR_LATENCY_BUCKETS; i++)
        atomic_store_explicit(&latency->counts[i], 0, memory_order_relaxed);
}

void mr_latency_note(struct mr_latency *latency, int64_t time, int64_t count)
{
    int64_t age;
    if (latency == NULL)
        return;
    if (__builtin_sub_overflow(latency->base, time, &age))
        age = time < 0 ? INT64_MAX : 0;
    atomic_fetch_add_explicit(&latency->counts[bucket_of(age)], count, memory_order_relaxed);
}

void mr_latency_add(struct mr_latency *sum, const struct mr_latency *epoch, int64_t now)
{
    int64_t since = now > epoch->base ? now - epoch->base : 0;
    for (int i = 0; i < MR_LATENCY_BUCKETS; i++) {
        int64_t count = atomic_load_explicit(&epoch->counts[i], memory_order_relaxed);
        if (count > 0)
            atomic_fetch_add_explicit(&sum->counts[bucket_of(middle_of(i) + since)], count,
                                      memory_order_relaxed);
    }
}

void mr_latency_read(const struct mr_latency *sum, struct mr_latency_figures *out)
{
    *out = (struct mr_latency_figures){0};
    for (int i = 0; i < MR_LATENCY_BUCKETS; i++) {
        int64_t count = atomic_load_explicit(&sum->counts[i], memory_order_relaxed);
        out->count += count;
        out->sum += count * middle_of(i);
    }
    int64_t below = 0;
    for (int i = 0; i < MR_LATENCY_BUCKETS && below < out->count; i++) {
        int64_t count = atomic_load_explicit(&sum->counts[i], memory_order_relaxed);
        if (count == 0)
            continue;
        struct {
            double share;
            int64_t *at;
        } wanted[] = {{0.5, &out->p50}, {0.95, &out->p95}, {0.99, &out->p99}};
        for (int k = 0; k < 3; k++) {
            double rank = wanted[k].share * (double)out->count;
            if ((double)below < rank && (double)(below + count) >= rank)
                *wanted[k].at = middle_of(i);
        }
        below += count;
        out->max = middle_of(i);
    }
}

int64_t mr_latency_up_to(const struct mr_latency *sum, int64_t micros)
{
    int64_t count = 0;
    for (int i = 0; i < MR_LATENCY_BUCKETS && end_of(i) <= micros; i++)
        count += atomic_load_explicit(&sum->counts[i], memory_order_relaxed);
    return count;
}
