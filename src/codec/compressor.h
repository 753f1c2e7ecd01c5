/*
 * compressor.h - one block through libdeflate: what gzip and deflate do alike.
 */
#ifndef MR_CODEC_COMPRESSOR_H
#define MR_CODEC_COMPRESSOR_H

#include "ext/codec.h"

#include <libdeflate.h>

/* libdeflate_gzip_compress, libdeflate_deflate_compress */
typedef size_t (*mr_libdeflate_fn)(struct libdeflate_compressor *compressor, const void *in,
                                   size_t size, void *out, size_t capacity);

/*
 * mr_codec.compress of `codec`. The scratch holds a compressor and its level, since a compressor is made
 * for one.
 */
enum mr_status mr_libdeflate_compress(const struct mr_codec *codec, mr_libdeflate_fn compress,
                                      const void *in, size_t size, int level, void *out,
                                      size_t capacity, size_t *out_size, void **scratch,
                                      struct mr_error *err);
/* mr_codec.free_scratch */
void mr_libdeflate_free(void *scratch);

#endif
