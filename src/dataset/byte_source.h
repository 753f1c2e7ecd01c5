/*
 * byte_source.h - an object of a store as the random-access bytes that a format reads.
 */
#ifndef MR_DATASET_BYTE_SOURCE_H
#define MR_DATASET_BYTE_SOURCE_H

#include "ext/format.h"
#include "ext/store.h"

/* What is known of the object. */
struct mr_object {
    const char *path;        /* below the root of the handle */
    const char *name;        /* for messages; NULL = path */
    int64_t size;            /* -1 = ask the store */
    int64_t modified_micros; /* as listed: asks the store, and another time or size is an error;
                                -1 = the size is believed */
};

/*
 * Borrows `handle` (whose one thread it is used on) and the texts until mr_byte_source_close. Counts
 * bytes in the runtime, charges its read-ahead to it. Absent: MR_SOURCE, class config; changed since
 * it was listed: MR_SOURCE, class data.
 */
enum mr_status mr_byte_source_open(const struct mr_store *store, void *handle,
                                   const struct mr_object *object, struct mr_runtime *runtime,
                                   struct mr_byte_source **out, struct mr_error *err);
/* NULL is allowed. */
void mr_byte_source_close(struct mr_byte_source *source);

#endif
