/*
 * codec.h - contract: compression of one block, stateless and thread-safe; and reading of whole compressed files.
 */
#ifndef MR_EXT_CODEC_H
#define MR_EXT_CODEC_H

#include "base/alloc.h"

#include <limits.h>
#include <stddef.h>

/* Compressed bytes in, plain ones out. A step moves both pointers on by what it took and made. */
struct mr_codec_flow {
    const char *in;
    size_t in_size;
    bool last; /* nothing comes behind `in` */
    char *out;
    size_t out_size;
};

struct mr_codec {
    /* "snappy", "zstd", "gzip", "deflate" (raw), "lz4" (block format, LZ4_RAW of Parquet), "none" */
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
    /*
     * Optional, for containers that do not tell the size: what comes out, up to `capacity`. MR_LIMIT with `err` untouched when
     * that is too little.
     */
    enum mr_status (*decompress_within)(const void *in, size_t size, void *out, size_t capacity,
                                        size_t *out_size, struct mr_error *err);
    void (*free_scratch)(void *scratch);
    /*
     * Whole files: gzip members or zstd and LZ4 frames, one after the other. NULL: blocks only. A
     * stream belongs to one thread; its state is charged to `memory`.
     */
    enum mr_status (*stream_open)(struct mr_memory *memory, void **stream, struct mr_error *err);
    /*
     * One step. When it neither takes nor makes anything it wants more input, or with `last` the
     * file is at its end; one that is cut or damaged is MR_SOURCE, class data. Large pieces at both
     * ends are faster (gzip: 2 MiB of room takes a whole member at once).
     */
    enum mr_status (*stream_step)(void *stream, struct mr_codec_flow *flow, struct mr_error *err);
    void (*stream_close)(void *stream);
};

#endif
