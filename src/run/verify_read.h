/*
 * verify_read.h - the rows of a target, counted as those of its loads were.
 */
#ifndef MR_RUN_VERIFY_READ_H
#define MR_RUN_VERIFY_READ_H

#include "run/verify.h"

struct mr_verify_reading {
    const struct mr_schema *schema; /* of the ledger */
    const char **why;               /* by column: not to be compared, because; or NULL */
    bool *missing;                  /* by column: the target has none of the name */
    struct mr_content *content;     /* heap */
};

/* *why: the target cannot be read for this; MR_OK then, and no content. */
enum mr_status mr_verify_read(struct mr_session *session, const struct mr_step_spec *load,
                              const struct mr_ledger *ledger, struct mr_verify_reading *out,
                              const char **why, struct mr_error *err);

#endif
