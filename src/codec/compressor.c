/*
 * compressor.c - a compressor of libdeflate that is kept between blocks.
 */
#include "codec/compressor.h"

#include "base/alloc.h"

struct scratch {
    int level;
    struct libdeflate_compressor *compressor;
};

void mr_libdeflate_free(void *scratch)
{
    struct scratch *state = scratch;
    if (state == NULL)
        return;
    libdeflate_free_compressor(state->compressor);
    mr_free(state);
}

static struct scratch *new_scratch(int level)
{
    struct scratch *state = mr_calloc(1, sizeof *state);
    if (state == NULL)
        return NULL;
    state->level = level;
    state->compressor = libdeflate_alloc_compressor(level);
    if (state->compressor == NULL) {
        mr_free(state);
        return NULL;
    }
    return state;
}

enum mr_status mr_libdeflate_compress(const struct mr_codec *codec, mr_libdeflate_fn compress,
                                      const void *in, size_t size, int level, void *out,
                                      size_t capacity, size_t *out_size, void **scratch,
                                      struct mr_error *err)
{
    struct scratch *state = scratch ? *scratch : NULL;
    if (level == INT_MIN)
        level = codec->default_level;
    if (state != NULL && state->level != level) {
        mr_libdeflate_free(state);
        *scratch = state = NULL;
    }
    if (state == NULL) {
        state = new_scratch(level);
        if (state == NULL)
            return mr_error_nomem(err);
        if (scratch)
            *scratch = state;
    }
    *out_size = compress(state->compressor, in, size, out, capacity);
    if (scratch == NULL)
        mr_libdeflate_free(state);
    if (*out_size == 0)
        return mr_error_internal(err, "%s: %zu bytes do not fit into %zu", codec->name, size,
                                 capacity);
    return MR_OK;
}
