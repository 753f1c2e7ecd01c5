/*
 * deflate.c - DEFLATE (RFC 1951) without header or checksum, by libdeflate: the codec "deflate" of Avro.
 *
 * The container around it must find damage. Bytes behind the end of the stream are let pass, as Java's Inflater does: fastavro
 * leaves three bytes of zlib's checksum there.
 */
#include "base/alloc.h"
#include "codec/codecs.h"
#include "codec/compressor.h"

static size_t deflate_bound(size_t size)
{
    return libdeflate_deflate_compress_bound(NULL, size);
}

static enum mr_status deflate_compress(const void *in, size_t size, int level, void *out,
                                       size_t capacity, size_t *out_size, void **scratch,
                                       struct mr_error *err)
{
    return mr_libdeflate_compress(&mr_codec_deflate, libdeflate_deflate_compress, in, size, level,
                                  out, capacity, out_size, scratch, err);
}

static enum mr_status deflate_decompress_within(const void *in, size_t size, void *out,
                                                size_t capacity, size_t *out_size,
                                                struct mr_error *err)
{
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    size_t used = 0;
    if (decompressor == NULL)
        return mr_error_nomem(err);
    enum libdeflate_result result =
        libdeflate_deflate_decompress_ex(decompressor, in, size, out, capacity, &used, out_size);
    libdeflate_free_decompressor(decompressor);
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE)
        return MR_LIMIT;
    if (result != LIBDEFLATE_SUCCESS)
        return mr_error_data(err, MR_SOURCE, "deflate block of %zu bytes is damaged", size);
    return MR_OK;
}

static enum mr_status deflate_decompress(const void *in, size_t size, void *out, size_t out_size,
                                         struct mr_error *err)
{
    size_t made = 0;
    enum mr_status status = deflate_decompress_within(in, size, out, out_size, &made, err);
    if (status == MR_LIMIT || (status == MR_OK && made != out_size))
        return mr_error_data(err, MR_SOURCE, "deflate block of %zu bytes is damaged", size);
    return status;
}

const struct mr_codec mr_codec_deflate = {
    .name = "deflate",
    .doc = "DEFLATE without a header, as Avro files have it.",
    .extension = "deflate",
    .min_level = 1,
    .max_level = 12,
    .default_level = 6,
    .bound = deflate_bound,
    .compress = deflate_compress,
    .decompress = deflate_decompress,
    .decompress_within = deflate_decompress_within,
    .free_scratch = mr_libdeflate_free,
};
