/*
 * preview.h - the first rows of a frame as a table of text.
 */
#ifndef MR_API_PREVIEW_H
#define MR_API_PREVIEW_H

#include "base/bytes.h"
#include "millrace.h"

/* As millrace_stream; appends a line of names and a line per row to `out`. Long values are cut. Returns a millrace code. */
int mr_api_preview(struct millrace_pipeline *pipeline, const char *step, int64_t rows,
                   struct mr_bytes *out);

#endif
