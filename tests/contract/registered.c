/*
 * registered.c - the stores, formats and codecs of the build.
 */
#include "contract/registered.h"

#include "codec/codecs.h"
#include "format/parquet/parquet.h"
#include "format/text.h"
#include "store/local.h"

static const struct mr_store *const stores[] = {&mr_store_local, NULL};
static const struct mr_format *const formats[] = {&mr_format_parquet, &mr_format_json,
                                                  &mr_format_csv, NULL};
static const struct mr_codec *const codecs[] = {&mr_codec_snappy, &mr_codec_zstd, &mr_codec_gzip,
                                                &mr_codec_lz4,    &mr_codec_none, NULL};
static const struct mr_registry registry = {.stores = stores, .formats = formats, .codecs = codecs};

const struct mr_registry *contract_registry(void)
{
    return &registry;
}
