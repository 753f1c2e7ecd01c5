/*
 * location.h - from bucket, path and the credentials file's map of buckets to a store and a URL.
 *
 * A bucket that the map gives a directory is that directory. Any other is an S3 bucket: the URL is
 * s3://bucket/key, and the store finds the endpoint in the options that it is opened with
 * (bucketMap, then endpoint).
 */
#ifndef MR_DATASET_LOCATION_H
#define MR_DATASET_LOCATION_H

#include "ext/store.h"

struct mr_location {
    const struct mr_store *store; /* NULL: known only with credentials (offline) */
    const char *url;              /* what the store opens; NULL with the store */
    const char *text;             /* for people: as the user wrote it, joined */
};

/*
 * The options `bucket` and `path` (a table may lack bucket) to a place. MR_CONFIG at the option that
 * is wrong. Offline, a bucket that is not mapped is no error. The store is opened with the same
 * options.
 */
enum mr_status mr_locate(const struct mr_options *options, struct mr_runtime *runtime,
                         struct mr_arena *arena, struct mr_location *out, struct mr_error *err);

/*
 * The same for one text: a plain path, file://, s3:// or s3a://. `options` may hold bucketMap, or be
 * NULL; MR_CONFIG without a position.
 */
enum mr_status mr_locate_text(const char *text, const struct mr_options *options,
                              struct mr_runtime *runtime, struct mr_arena *arena,
                              struct mr_location *out, struct mr_error *err);

/* The store that opens such a URL; NULL when it is not in this build. */
const struct mr_store *mr_store_of_url(const char *url, struct mr_runtime *runtime);

#endif
