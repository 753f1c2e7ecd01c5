/*
 * zstd.c - Zstandard frames, by libzstd. The compression context (about 1 MB at level 3) is the scratch: making it anew for
 * each page costs more than compressing a small page does.
 *
 * Negative levels are the library's fast modes. Frames written here carry their content size.
 */
#include "codec/codecs.h"

#include <zstd.h>
#include <zstd_errors.h>

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

static enum mr_status zstd_decompress_within(const void *in, size_t size, void *out,
                                             size_t capacity, size_t *out_size,
                                             struct mr_error *err)
{
    size_t n = ZSTD_decompress(out, capacity, in, size);
    if (ZSTD_isError(n) && ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall)
        return MR_LIMIT;
    if (ZSTD_isError(n))
        return mr_error_data(err, MR_SOURCE, "zstd block is damaged: %s", ZSTD_getErrorName(n));
    *out_size = n;
    return MR_OK;
}

static void zstd_free_scratch(void *scratch)
{
    ZSTD_freeCCtx(scratch);
}

struct zstd_stream {
    struct mr_memory *memory;
    ZSTD_DStream *context;
    int64_t charged;
    bool inside; /* a frame that is not at its end */
};

static void stream_close(void *opaque)
{
    struct zstd_stream *stream = opaque;
    if (stream == NULL)
        return;
    ZSTD_freeDStream(stream->context);
    mr_memory_credit(stream->memory, stream->charged);
    mr_free(stream);
}

static enum mr_status stream_open(struct mr_memory *memory, void **out, struct mr_error *err)
{
    struct zstd_stream *stream = mr_calloc(1, sizeof *stream);
    if (stream == NULL)
        return mr_error_nomem(err);
    stream->memory = memory;
    stream->context = ZSTD_createDStream();
    if (stream->context == NULL) {
        stream_close(stream);
        return mr_error_nomem(err);
    }
    *out = stream;
    return MR_OK;
}

/* The window is made when a frame begins: at most 128 MiB, the library's own bound. */
static enum mr_status book_window(struct zstd_stream *stream, struct mr_error *err)
{
    int64_t size = (int64_t)ZSTD_sizeof_DStream(stream->context);
    if (size <= stream->charged)
        return MR_OK;
    MR_TRY(mr_memory_charge(stream->memory, size - stream->charged, err));
    stream->charged = size;
    return MR_OK;
}

static enum mr_status stream_step(void *opaque, struct mr_codec_flow *flow, struct mr_error *err)
{
    struct zstd_stream *stream = opaque;
    ZSTD_inBuffer in = {flow->in, flow->in_size, 0};
    ZSTD_outBuffer out = {flow->out, flow->out_size, 0};
    if (flow->out_size == 0 || (flow->in_size == 0 && !stream->inside))
        return MR_OK;
    size_t n = ZSTD_decompressStream(stream->context, &out, &in);
    if (ZSTD_isError(n))
        return mr_error_data(err, MR_SOURCE, "the zstd data are damaged: %s", ZSTD_getErrorName(n));
    stream->inside = n != 0;
    if (stream->inside && flow->last && flow->in_size == 0 && out.pos == 0)
        return mr_error_data(err, MR_SOURCE, "the zstd data end too early: the file was cut");
    flow->in += in.pos;
    flow->in_size -= in.pos;
    flow->out += out.pos;
    flow->out_size -= out.pos;
    return book_window(stream, err);
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
    .decompress_within = zstd_decompress_within,
    .free_scratch = zstd_free_scratch,
    .stream_open = stream_open,
    .stream_step = stream_step,
    .stream_close = stream_close,
};
