/*
 * show.h - what an extract knows of itself, and some of its rows: `millrace show`.
 */
#ifndef MR_API_SHOW_H
#define MR_API_SHOW_H

#include "base/bytes.h"
#include "millrace.h"

/*
 * Of the pipeline's first step: location, files, statistics, columns, and `rows` rows, appended to `out` as text, or as an object
 * {location, rows, bytes, notes, columns: [{name, type, nullable}], sample: [..]}. Returns a millrace code.
 */
int mr_api_show(struct millrace_pipeline *pipeline, int64_t rows, bool json, struct mr_bytes *out);

#endif
