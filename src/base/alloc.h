/*
 * alloc.h - the one door to the heap, and the byte-accounted budget.
 *
 * All heap memory of ours comes through mr_alloc & co, so that a test build can make the Nth call
 * fail (configure --enable-failpoints; MILLRACE_FAIL_ALLOC=N[,sticky]). Memory whose size depends
 * on the data (column buffers, arenas of a batch, queues, encoders) is also charged to a `struct
 * mr_memory`, a node in a tree of accounts whose root is `resources.memory`. Charging never blocks:
 * it fails with MR_LIMIT, and the caller spills, flushes, waits or ends the run.
 */
#ifndef MR_BASE_ALLOC_H
#define MR_BASE_ALLOC_H

#include "base/error.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Like malloc, calloc, realloc, free, strdup; NULL when out of memory. Size 0 gives a unique
 * pointer.
 */
void *mr_alloc(size_t size);
void *mr_calloc(size_t count, size_t size);
void *mr_realloc(void *old, size_t size);
/* 64-byte aligned; freed with mr_free. */
void *mr_alloc_aligned(size_t size);
char *mr_strdup(const char *text);
char *mr_strndup(const char *text, size_t length);
void mr_free(void *ptr);
/*
 * For a program that is ours alone, before it makes threads: the heap shall keep little of what was
 * freed, so that the memory of the process follows the accounts.
 */
void mr_alloc_tune(void);
/* Gives free pages back to the system. Any thread; takes milliseconds. */
void mr_alloc_trim(void);

/*
 * One account. A child's charge counts in all of its ancestors. `used` and `peak` are bytes.
 * Storage is the caller's; a parent outlives its children. Any thread.
 */
struct mr_memory {
    struct mr_memory *parent; /* NULL for the root */
    const char *name;         /* for the error and the report: "step 2 (filterRows)" */
    int64_t limit;            /* bytes; INT64_MAX = only the parent's */
    atomic_int_fast64_t used;
    atomic_int_fast64_t peak;
};

void mr_memory_init(struct mr_memory *memory, struct mr_memory *parent, const char *name,
                    int64_t limit);
/*
 * MR_LIMIT names the account that refused, its limit and what was asked. A NULL account takes
 * anything.
 */
enum mr_status mr_memory_charge(struct mr_memory *memory, int64_t bytes, struct mr_error *err);
void mr_memory_credit(struct mr_memory *memory, int64_t bytes);
/* Bytes that could still be charged here, the tightest ancestor counted. */
int64_t mr_memory_available(const struct mr_memory *memory);
int64_t mr_memory_used(const struct mr_memory *memory);
int64_t mr_memory_peak(const struct mr_memory *memory);

#endif
