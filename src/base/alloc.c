/*
 * alloc.c - the heap wrappers and the tree of memory accounts.
 *
 * An account is two atomics; charging walks up to the root, adding, and takes its additions back
 * when an ancestor refuses. The alternative, a lock per tree, would put one lock under every buffer
 * of every thread. The price is that two charges that race for the last bytes may both be refused;
 * the budget is never exceeded, not even for a moment that somebody could act on.
 *
 * The Nth allocation fails when a test build (--enable-failpoints) sees MILLRACE_FAIL_ALLOC; the
 * counter is process-wide by its purpose and absent from a normal build.
 */
#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Larger pieces come from the system and go back to it; so much free memory is kept at the end of a heap. */
#define MMAP_BYTES (4 << 20)
#define KEEP_BYTES (4 << 20)
#define HEAPS_MOST 8

#ifdef MR_ENABLE_FAILPOINTS
#include <pthread.h>

static pthread_once_t fail_once = PTHREAD_ONCE_INIT;
static atomic_int_fast64_t fail_count;
static int64_t fail_at; /* 0 = never */
static bool fail_sticky;

static void fail_read(void)
{
    const char *text = getenv("MILLRACE_FAIL_ALLOC");
    char *end;
    if (!text)
        return;
    fail_at = strtoll(text, &end, 10);
    fail_sticky = strcmp(end, ",sticky") == 0;
}

static bool fail_now(void)
{
    pthread_once(&fail_once, fail_read);
    if (fail_at == 0)
        return false;
    int64_t n = atomic_fetch_add_explicit(&fail_count, 1, memory_order_relaxed) + 1;
    return n == fail_at || (fail_sticky && n > fail_at);
}
#else
#define fail_now() false
#endif

void *mr_alloc(size_t size)
{
    return fail_now() ? NULL : malloc(size ? size : 1);
}

void *mr_calloc(size_t count, size_t size)
{
    if (count == 0 || size == 0)
        count = size = 1;
    return fail_now() ? NULL : calloc(count, size);
}

void *mr_realloc(void *old, size_t size)
{
    return fail_now() ? NULL : realloc(old, size ? size : 1);
}

void *mr_alloc_aligned(size_t size)
{
    if (size > SIZE_MAX - 63 || fail_now())
        return NULL;
    size_t rounded = (size + 63) & ~(size_t)63;
    return aligned_alloc(64, rounded ? rounded : 64);
}

char *mr_strndup(const char *text, size_t length)
{
    char *copy = length == SIZE_MAX ? NULL : mr_alloc(length + 1);
    if (!copy)
        return NULL;
    if (length)
        memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *mr_strdup(const char *text)
{
    return mr_strndup(text, strlen(text));
}

void mr_free(void *ptr)
{
    free(ptr);
}

/*
 * glibc gives each of the first eight threads a core a heap of its own, and keeps in each what was
 * freed at the wrong end: hundreds of MB where segments with new threads follow each other.
 */
void mr_alloc_tune(void)
{
#ifdef __GLIBC__
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    mallopt(M_ARENA_MAX, cores < 1 ? 1 : cores > HEAPS_MOST ? HEAPS_MOST : (int)cores);
    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
#endif
}

void mr_alloc_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(KEEP_BYTES);
#endif
}

void mr_memory_init(struct mr_memory *memory, struct mr_memory *parent, const char *name,
                    int64_t limit)
{
    memory->parent = parent;
    memory->name = name;
    memory->limit = limit;
    atomic_init(&memory->used, 0);
    atomic_init(&memory->peak, 0);
}

static void raise_peak(struct mr_memory *memory, int64_t used)
{
    int_fast64_t peak = atomic_load_explicit(&memory->peak, memory_order_relaxed);
    while (used > peak &&
           !atomic_compare_exchange_weak_explicit(&memory->peak, &peak, used, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

enum mr_status mr_memory_charge(struct mr_memory *memory, int64_t bytes, struct mr_error *err)
{
    assert(bytes >= 0);
    for (struct mr_memory *node = memory; node; node = node->parent) {
        int64_t before = atomic_fetch_add_explicit(&node->used, bytes, memory_order_relaxed);
        if (bytes <= node->limit - before)
            continue;
        for (struct mr_memory *undo = memory;; undo = undo->parent) {
            atomic_fetch_sub_explicit(&undo->used, bytes, memory_order_relaxed);
            if (undo == node)
                break;
        }
        mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG,
                     "memory limit of %s reached: %lld bytes in use of %lld, %lld more wanted",
                     node->name ? node->name : "the run", (long long)before, (long long)node->limit,
                     (long long)bytes);
        mr_error_hint(err, "raise resources.memory, or lower parallelism or batchRows");
        return MR_LIMIT;
    }
    for (struct mr_memory *node = memory; node; node = node->parent)
        raise_peak(node, atomic_load_explicit(&node->used, memory_order_relaxed));
    return MR_OK;
}

void mr_memory_credit(struct mr_memory *memory, int64_t bytes)
{
    assert(bytes >= 0);
    for (struct mr_memory *node = memory; node; node = node->parent) {
        int64_t before = atomic_fetch_sub_explicit(&node->used, bytes, memory_order_relaxed);
        assert(before >= bytes);
        (void)before;
    }
}

int64_t mr_memory_available(const struct mr_memory *memory)
{
    int64_t least = INT64_MAX;
    for (; memory; memory = memory->parent) {
        int64_t left = memory->limit - atomic_load_explicit(&memory->used, memory_order_relaxed);
        if (left < least)
            least = left;
    }
    return least < 0 ? 0 : least;
}

int64_t mr_memory_used(const struct mr_memory *memory)
{
    return atomic_load_explicit(&memory->used, memory_order_relaxed);
}

int64_t mr_memory_peak(const struct mr_memory *memory)
{
    return atomic_load_explicit(&memory->peak, memory_order_relaxed);
}
