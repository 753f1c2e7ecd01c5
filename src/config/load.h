/*
 * load.h - from the text of a pipeline file to a checked spec.
 */
#ifndef MR_CONFIG_LOAD_H
#define MR_CONFIG_LOAD_H

#include "config/spec.h"

struct mr_vault_secret;

/* Where incremental reading of a step has ended: what ${last_run_timestamp} is in that step. */
struct mr_load_watermark {
    const char *step; /* mr_step_spec.key */
    const char *method;
    const char *text;
};

struct mr_load_request {
    const char *file; /* path; also the name in messages when `text` is given */
    const char *text; /* NULL = read `file` */
    size_t text_size;
    const struct mr_registry *registry;
    const char *
        credentials_file; /* NULL = $MILLRACE_CREDENTIALS, else config/credentials.json found beside or above the file */
    const char *const *parameters; /* name, value, ..., NULL */
    const char *const *conf;       /* sparkConf overrides: key, value, ..., NULL */
    const char *run_id;
    const char *run_date; /* yyyy-MM-dd */
    const char *
        last_run_timestamp; /* NULL on a first run or when not looked up yet: the initial value is used */
    const struct mr_load_watermark *watermarks;
    int nwatermarks;
    const struct mr_vault_secret *secrets; /* what mr_vault_fetch brought, or NULL */
};

/*
 * MR_OK and *out; or the status of the first error, all of them in `errors`. The arena is the plan's. Missing
 * credentials are no error here (offline validation must work without): mr_spec_need_credentials reports them.
 */
enum mr_status mr_config_load(const struct mr_load_request *request, struct mr_arena *arena,
                              const struct mr_spec **out, struct mr_load_errors *errors);
/* MR_CREDENTIALS, naming the step and what was looked for where, if a step lacks them. */
enum mr_status mr_spec_need_credentials(const struct mr_spec *spec, struct mr_error *err);

#endif
