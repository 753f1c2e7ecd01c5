/*
 * files.h - whole files: the source (fromS3, fromFile, fromAvro) and the sink (toS3, toFile).
 */
#ifndef MR_CONNECT_FILES_FILES_H
#define MR_CONNECT_FILES_FILES_H

#include "ext/sink.h"
#include "ext/source.h"

extern const struct mr_source mr_source_files;
extern const struct mr_sink mr_sink_files;

#endif
