/*
 * lz4.c - LZ4's block format without any frame: Parquet's LZ4_RAW (codec 7). The older codec 5 is Hadoop's
 * undocumented framing around the same blocks and is never written. Whole files (.lz4) are of the frame format, which is only
 * read, by liblz4's own reader of frames.
 */
#include "base/alloc.h"
#include "codec/codecs.h"

#include <lz4.h>
#include <lz4frame.h>

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

/* Two blocks of the largest size, 4 MiB, and their history. */
#define STREAM_BYTES ((int64_t)9 << 20)

struct lz4_stream {
    struct mr_memory *memory;
    LZ4F_dctx *context;
    bool inside; /* a frame that is not at its end */
};

static void stream_close(void *opaque)
{
    struct lz4_stream *stream = opaque;
    if (stream == NULL)
        return;
    LZ4F_freeDecompressionContext(stream->context);
    mr_memory_credit(stream->memory, STREAM_BYTES);
    mr_free(stream);
}

static enum mr_status stream_open(struct mr_memory *memory, void **out, struct mr_error *err)
{
    MR_TRY(mr_memory_charge(memory, STREAM_BYTES, err));
    struct lz4_stream *stream = mr_calloc(1, sizeof *stream);
    if (stream == NULL) {
        mr_memory_credit(memory, STREAM_BYTES);
        return mr_error_nomem(err);
    }
    stream->memory = memory;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&stream->context, LZ4F_VERSION))) {
        stream_close(stream);
        return mr_error_nomem(err);
    }
    *out = stream;
    return MR_OK;
}

static enum mr_status stream_step(void *opaque, struct mr_codec_flow *flow, struct mr_error *err)
{
    struct lz4_stream *stream = opaque;
    size_t used = flow->in_size, made = flow->out_size;
    if (made == 0 || (used == 0 && !stream->inside))
        return MR_OK;
    size_t n = LZ4F_decompress(stream->context, flow->out, &made, flow->in, &used, NULL);
    if (LZ4F_isError(n))
        return mr_error_data(err, MR_SOURCE, "the LZ4 data are damaged: %s", LZ4F_getErrorName(n));
    stream->inside = n != 0;
    if (stream->inside && flow->last && flow->in_size == 0 && made == 0)
        return mr_error_data(err, MR_SOURCE, "the LZ4 data end too early: the file was cut");
    flow->in += used;
    flow->in_size -= used;
    flow->out += made;
    flow->out_size -= made;
    return MR_OK;
}

const struct mr_codec mr_codec_lz4 = {
    .name = "lz4",
    .doc = "LZ4 block format: fastest to read.",
    .extension = NULL,
    .bound = lz4_bound,
    .compress = lz4_compress,
    .decompress = lz4_decompress,
    .free_scratch = lz4_free_scratch,
    .stream_open = stream_open,
    .stream_step = stream_step,
    .stream_close = stream_close,
};
