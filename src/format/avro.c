/*
 * avro.c - the format "avro": object container files of the specification, version 1.
 *
 *     Obj 01 | map of metadata: avro.schema, avro.codec | sync | block ..
 *     block:  varint rows | varint bytes | rows, compressed | sync (16 bytes)
 *
 * Rows are enc/'s business, codecs the registry's. The file's schema is the user's text byte for byte when avroSchema is given, else made
 * from the columns, with logical types (libavro's writer drops those, which makes every decimal bytes for the next reader).
 */
#include "format/avro.h"

#include "format/avro_container.h"

static const struct mr_option avro_options[] = {
    MR_AVRO_OPTION_ROWS,
    MR_OPTION_END,
};

const struct mr_format mr_format_avro = {
    .name = "avro",
    .extension = "avro",
    .doc = "Avro object container files.",
    .options = avro_options,
    .probe = avro_probe,
    .read_open = avro_read_open,
    .read_next = avro_read_next,
    .read_close = avro_read_close,
    .write_open = avro_write_open,
    .write = avro_write,
    .buffered = avro_buffered,
    .written = avro_written,
    .flush = avro_flush,
    .write_finish = avro_write_finish,
    .write_close = avro_write_close,
};
