/*
 * lz4.c - LZ4's block format without any frame: Parquet's LZ4_RAW (codec 7). The older codec 5 is Hadoop's
 * undocumented framing around the same blocks and is never written.
 */
#include "base/alloc.h"
#include "codec/codecs.h"

#include <lz4.h>

static size_t lz4_bound(size_t size)
{
    return size > LZ4_MAX_INPUT_SIZE ? 0 : (size_t)LZ4_compressBound((int)size);
}

static enum mr_status lz4_compress(const void *in, size_t size, int level, void *out,
                                   size_t capacity, size_t *out_size, void **scratch,
                                   struct mr_error *err)
{
    (void)level;
    if (size > LZ4_MAX_INPUT_SIZE)
        return mr_error_data(err, MR_LIMIT, "lz4: a block of %zu bytes is over the format's limit",
                             size);
    void *state = scratch ? *scratch : NULL;
    if (state == NULL) {
        state = mr_alloc_aligned((size_t)LZ4_sizeofState());
        if (state == NULL)
            return mr_error_nomem(err);
        if (scratch)
            *scratch = state;
    }
    int room = capacity > INT_MAX ? INT_MAX : (int)capacity;
    int n = LZ4_compress_fast_extState(state, in, out, (int)size, room, 1);
    if (scratch == NULL)
        mr_free(state);
    if (n <= 0)
        return mr_error_internal(err, "lz4: %zu bytes do not fit into %zu", size, capacity);
    *out_size = (size_t)n;
    return MR_OK;
}

static enum mr_status lz4_decompress(const void *in, size_t size, void *out, size_t out_size,
                                     struct mr_error *err)
{
    if (size > INT_MAX || out_size > INT_MAX)
        return mr_error_data(err, MR_SOURCE, "lz4 block of %zu bytes is too large", size);
    int n = LZ4_decompress_safe(in, out, (int)size, (int)out_size);
    if (n < 0 || (size_t)n != out_size)
        return mr_error_data(err, MR_SOURCE, "lz4 block of %zu bytes is damaged", size);
    return MR_OK;
}

static void lz4_free_scratch(void *scratch)
{
    mr_free(scratch);
}

const struct mr_codec mr_codec_lz4 = {
    .name = "lz4",
    .doc = "LZ4 block format: fastest to read.",
    .extension = NULL,
    .bound = lz4_bound,
    .compress = lz4_compress,
    .decompress = lz4_decompress,
    .free_scratch = lz4_free_scratch,
};
