/*
 * files.h - the sink of whole files: toS3, toFile.
 */
#ifndef MR_CONNECT_FILES_FILES_H
#define MR_CONNECT_FILES_FILES_H

#include "ext/sink.h"

extern const struct mr_sink mr_sink_files;

#endif
