/*
 * given.h - Arrow streams that the program around the library gave to a pipeline, by name.
 *
 * The session owns the list, since what was read from a stream outlives a plan: a pipeline that is
 * validated, planned and run reads each stream once. What a stream turned into is the business of
 * the source that reads it (connect/arrow). Only planning changes an entry, on one thread.
 */
#ifndef MR_EXT_GIVEN_H
#define MR_EXT_GIVEN_H

#include "base/alloc.h"
#include "base/bytes.h"
#include "col/arrow_abi.h"

struct mr_given {
    struct mr_given *next;
    struct ArrowArrayStream stream; /* release NULL: read to its end, or failed */
    void *held;                     /* what the source made of it; NULL = not looked at yet */
    void (*held_free)(void *held);
    char name[];
};

struct mr_given_list {
    struct mr_given *first;   /* in the order of giving */
    struct mr_memory *memory; /* the run's root: what is held is charged below it */
};

/*
 * Moves the stream into the list: on success the caller's struct is marked as released. MR_USAGE
 * when the name is empty or taken, or the stream was released.
 */
enum mr_status mr_given_add(struct mr_given_list *list, const char *name,
                            struct ArrowArrayStream *stream, struct mr_error *err);
/* NULL when there is none; `list` may be NULL. */
struct mr_given *mr_given_find(const struct mr_given_list *list, const char *name);
/* "a", "b": for messages. */
void mr_given_names(const struct mr_given_list *list, struct mr_bytes *out);
/* Frees what is held and releases the streams that were not read. */
void mr_given_reset(struct mr_given_list *list);

#endif
