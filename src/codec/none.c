/*
 * none.c - no compression: a copy, so that callers need no special case.
 */
#include "codec/codecs.h"

#include <string.h>

static size_t none_bound(size_t size)
{
    return size;
}

static enum mr_status none_compress(const void *in, size_t size, int level, void *out,
                                    size_t capacity, size_t *out_size, void **scratch,
                                    struct mr_error *err)
{
    (void)level;
    (void)scratch;
    if (capacity < size)
        return mr_error_internal(err, "none: %zu bytes do not fit into %zu", size, capacity);
    if (size > 0)
        memcpy(out, in, size);
    *out_size = size;
    return MR_OK;
}

static enum mr_status none_decompress(const void *in, size_t size, void *out, size_t out_size,
                                      struct mr_error *err)
{
    if (size != out_size)
        return mr_error_data(err, MR_SOURCE, "stored block has %zu bytes, %zu were expected", size,
                             out_size);
    if (size > 0)
        memcpy(out, in, size);
    return MR_OK;
}

const struct mr_codec mr_codec_none = {
    .name = "none",
    .doc = "No compression.",
    .bound = none_bound,
    .compress = none_compress,
    .decompress = none_decompress,
};
