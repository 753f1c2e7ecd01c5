/*
 * verify.h - `millrace verify`: the targets against what was loaded, as text or JSON.
 */
#ifndef MR_API_VERIFY_H
#define MR_API_VERIFY_H

#include "base/bytes.h"
#include "millrace.h"

struct mr_api_verify_options {
    const char *load; /* NULL = all */
    int most;         /* places listed for each load */
    bool json;
};

/*
 * MILLRACE_OK: all that was loaded is there, and nothing else. MILLRACE_VALIDATION: something differs.
 * MILLRACE_CONFIG without errors in the pipeline: nothing differs, but not everything could be compared.
 */
int mr_api_verify(struct millrace_pipeline *pipeline, const struct mr_api_verify_options *options,
                  struct mr_bytes *out);

#endif
