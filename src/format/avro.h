/*
 * avro.h - Avro object container files.
 */
#ifndef MR_FORMAT_AVRO_H
#define MR_FORMAT_AVRO_H

#include "ext/format.h"

extern const struct mr_format mr_format_avro;

#endif
