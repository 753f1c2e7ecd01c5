/*
 * location.h - from bucket, path and the credentials file's map of buckets to a store and a URL.
 */
#ifndef MR_DATASET_LOCATION_H
#define MR_DATASET_LOCATION_H

#include "ext/store.h"

struct mr_location {
    const struct mr_store *store; /* NULL: known only with credentials (offline) */
    const char *url;              /* what the store opens */
    const char *text;             /* for people: as the user wrote it, joined */
};

/* MR_CONFIG at the option that is wrong. Offline, a bucket that is not mapped is no error. */
enum mr_status mr_locate(const struct mr_options *options, struct mr_runtime *runtime,
                         struct mr_arena *arena, struct mr_location *out, struct mr_error *err);

#endif
