/*
 * durable.h - contract: a breaker whose rows outlive the run that computed them (mr_op.durable).
 *
 * When its state is settled everything in it is durable. run/ asks for a description of it, keeps
 * that under the lease of the pipeline, and a later run gives it to `source` in the place of the
 * step and of all that is in front of it.
 */
#ifndef MR_EXT_DURABLE_H
#define MR_EXT_DURABLE_H

#include "ext/op.h"
#include "ext/source.h"

struct mr_durable {
    /* Stands in where nothing may be kept (a preview, a foreign scheduler): passes rows on. */
    const struct mr_op *light;
    /* Reads what was described; the description comes as mr_source_bind.since. */
    const struct mr_source *source;
    /*
     * Of a settled state: a versioned byte string, valid on another host that reaches the same
     * place. From then on `close` keeps what was written; without it everything is removed.
     */
    enum mr_status (*describe)(void *built, struct mr_bytes *out, int64_t *rows,
                               struct mr_error *err);
    /* Is all of it there, as it was written? The message says what is wrong. Reads everything. */
    enum mr_status (*check)(const struct mr_options *options, struct mr_runtime *runtime,
                            struct mr_slice described, struct mr_error *err);
    /*
     * Removes what this pipeline (state_uuid and state_key) has written at the place of the step,
     * but what the descriptions in `keep` hold. Under the lease, while nothing is being written.
     */
    enum mr_status (*sweep)(const struct mr_options *options, struct mr_runtime *runtime,
                            const struct mr_slice *keep, int nkeep, struct mr_error *err);
};

#endif
