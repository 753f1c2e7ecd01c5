/*
 * hash.c - order-independent content hash of what a run writes, so that two configurations can be proved to do the same.
 */
#include "api/hash.h"

#include "api/pipeline.h"
#include "col/kernel.h"

#include <stdio.h>

static enum mr_status hash_tap(void *context, struct mr_batch *batch, bool *enough,
                               struct mr_error *err)
{
    struct mr_content_hash *sum = context, hash;
    (void)enough;
    MR_TRY(mr_batch_content_hash(batch, &hash, err));
    sum->sum += hash.sum;
    sum->mixed += hash.mixed;
    sum->rows += hash.rows;
    return MR_OK;
}

int mr_api_run_hashed(struct millrace_pipeline *pipeline, char out[MR_API_HASH_TEXT])
{
    struct mr_content_hash hash = {0};
    int code = mr_api_run(pipeline, NULL, hash_tap, &hash, NULL);
    snprintf(out, MR_API_HASH_TEXT, "%lld:%016llx%016llx", (long long)hash.rows,
             (unsigned long long)hash.sum, (unsigned long long)hash.mixed);
    return code;
}
