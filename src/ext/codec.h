/*
 * codec.h - contract: compression of one block. Stateless and thread-safe.
 */
#ifndef MR_EXT_CODEC_H
#define MR_EXT_CODEC_H

#include "base/error.h"

#include <limits.h>
#include <stddef.h>

struct mr_codec {
    /* "snappy", "zstd", "gzip", "lz4" (block format, LZ4_RAW of Parquet), "none" */
    const char *name;
    const char *doc;
    const char *extension; /* of a whole compressed stream: "gz", "zst"; or NULL */
    int min_level;         /* min == max == 0: no levels */
    int max_level;
    int default_level;
    /* Largest size that `size` bytes can take. */
    size_t (*bound)(size_t size);
    /*
     * level INT_MIN = default. `scratch` (may be NULL) points to a pointer that the codec may fill
     * with reusable state.
     */
    enum mr_status (*compress)(const void *in, size_t size, int level, void *out, size_t capacity,
                               size_t *out_size, void **scratch, struct mr_error *err);
    /* The exact decompressed size is known by the caller; anything else is an error. */
    enum mr_status (*decompress)(const void *in, size_t size, void *out, size_t out_size,
                                 struct mr_error *err);
    void (*free_scratch)(void *scratch);
};

#endif
