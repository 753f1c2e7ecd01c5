/*
 * preview.h - the first rows of a frame, or of what a load has written, as a table of text.
 */
#ifndef MR_API_PREVIEW_H
#define MR_API_PREVIEW_H

#include "base/bytes.h"
#include "millrace.h"

struct mr_api_preview_options {
    const char *step; /* name or number; NULL = the last frame, the last load */
    int64_t rows;
    bool
        written; /* the target of the load `step` is read, instead of the pipeline being executed up to there */
};

/* As millrace_stream; appends a line of names and a line per row to `out`. Long values are cut. Returns a millrace code. */
int mr_api_preview(struct millrace_pipeline *pipeline, const struct mr_api_preview_options *options,
                   struct mr_bytes *out);

#endif
