/*
 * zstd.c - Zstandard frames, by libzstd. The compression context (about 1 MB at level 3) is the scratch: making it anew for
 * each page costs more than compressing a small page does.
 *
 * Negative levels are the library's fast modes. Frames written here carry their content size.
 */
#include "codec/codecs.h"

#include <zstd.h>

static size_t zstd_bound(size_t size)
{
    return ZSTD_compressBound(size);
}

static enum mr_status zstd_compress(const void *in, size_t size, int level, void *out,
                                    size_t capacity, size_t *out_size, void **scratch,
                                    struct mr_error *err)
{
    ZSTD_CCtx *context = scratch ? *scratch : NULL;
    if (context == NULL) {
        context = ZSTD_createCCtx();
        if (context == NULL)
            return mr_error_nomem(err);
        if (scratch)
            *scratch = context;
    }
    if (level == INT_MIN)
        level = mr_codec_zstd.default_level;
    size_t n = ZSTD_compressCCtx(context, out, capacity, in, size, level);
    if (scratch == NULL)
        ZSTD_freeCCtx(context);
    if (ZSTD_isError(n))
        return mr_error_internal(err, "zstd: %s", ZSTD_getErrorName(n));
    *out_size = n;
    return MR_OK;
}

static enum mr_status zstd_decompress(const void *in, size_t size, void *out, size_t out_size,
                                      struct mr_error *err)
{
    size_t n = ZSTD_decompress(out, out_size, in, size);
    if (ZSTD_isError(n))
        return mr_error_data(err, MR_SOURCE, "zstd block is damaged: %s", ZSTD_getErrorName(n));
    if (n != out_size)
        return mr_error_data(err, MR_SOURCE, "zstd block has %zu bytes, %zu were expected", n,
                             out_size);
    return MR_OK;
}

static void zstd_free_scratch(void *scratch)
{
    ZSTD_freeCCtx(scratch);
}

const struct mr_codec mr_codec_zstd = {
    .name = "zstd",
    .doc = "Zstandard: good ratio at good speed.",
    .extension = "zst",
    .min_level = -7,
    .max_level = 22,
    .default_level = 3,
    .bound = zstd_bound,
    .compress = zstd_compress,
    .decompress = zstd_decompress,
    .free_scratch = zstd_free_scratch,
};
