/*
 * codecs.h - the codecs of this build, for registry.c and for tests.
 */
#ifndef MR_CODEC_CODECS_H
#define MR_CODEC_CODECS_H

#include "ext/codec.h"

extern const struct mr_codec mr_codec_none;
extern const struct mr_codec mr_codec_snappy;
extern const struct mr_codec mr_codec_zstd;
extern const struct mr_codec mr_codec_gzip;
extern const struct mr_codec mr_codec_deflate;
extern const struct mr_codec mr_codec_lz4;

#endif
