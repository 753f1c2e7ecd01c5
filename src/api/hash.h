/*
 * hash.h - a run whose output rows are hashed on their way into the first sink.
 */
#ifndef MR_API_HASH_H
#define MR_API_HASH_H

#include "millrace.h"

/* 32 hex digits and the number of rows; equal multisets of rows give equal texts, whatever the order. */
#define MR_API_HASH_TEXT 64

/* Runs the pipeline once (it commits as any run does). `out` tells "rows:hash". Returns a millrace code. */
int mr_api_run_hashed(struct millrace_pipeline *pipeline, char out[MR_API_HASH_TEXT]);

#endif
