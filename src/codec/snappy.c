/*
 * snappy.c - Snappy's raw block format (what Parquet calls SNAPPY; no framing), by libsnappy's C interface.
 *
 * The block starts with its decompressed size as a varint, so a wrong size is found before anything is written. The
 * library keeps its hash table of at most 64 KiB by itself for the time of a call: there is no scratch to reuse.
 */
#include "codec/codecs.h"

#include <snappy-c.h>

static size_t snappy_bound(size_t size)
{
    return snappy_max_compressed_length(size);
}

static enum mr_status snappy_compress_block(const void *in, size_t size, int level, void *out,
                                            size_t capacity, size_t *out_size, void **scratch,
                                            struct mr_error *err)
{
    (void)level;
    (void)scratch;
    *out_size = capacity;
    if (snappy_compress(in, size, out, out_size) != SNAPPY_OK)
        return mr_error_internal(err, "snappy: %zu bytes do not fit into %zu", size, capacity);
    return MR_OK;
}

static enum mr_status snappy_decompress_block(const void *in, size_t size, void *out,
                                              size_t out_size, struct mr_error *err)
{
    size_t length = 0;
    if (snappy_uncompressed_length(in, size, &length) != SNAPPY_OK || length != out_size)
        return mr_error_data(err, MR_SOURCE, "snappy block says %zu bytes, %zu were expected",
                             length, out_size);
    if (snappy_uncompress(in, size, out, &length) != SNAPPY_OK || length != out_size)
        return mr_error_data(err, MR_SOURCE, "snappy block of %zu bytes is damaged", size);
    return MR_OK;
}

static enum mr_status snappy_decompress_within(const void *in, size_t size, void *out,
                                               size_t capacity, size_t *out_size,
                                               struct mr_error *err)
{
    size_t length = 0;
    if (snappy_uncompressed_length(in, size, &length) != SNAPPY_OK)
        return mr_error_data(err, MR_SOURCE, "snappy block of %zu bytes is damaged", size);
    if (length > capacity)
        return MR_LIMIT;
    *out_size = length;
    return snappy_decompress_block(in, size, out, length, err);
}

const struct mr_codec mr_codec_snappy = {
    .name = "snappy",
    .doc = "Snappy block format: fast, moderate ratio.",
    .extension = "snappy",
    .bound = snappy_bound,
    .compress = snappy_compress_block,
    .decompress = snappy_decompress_block,
    .decompress_within = snappy_decompress_within,
};
