/*
 * credentials.h - the credentials file, and completing the connection of a step from it.
 */
#ifndef MR_CONFIG_CREDENTIALS_H
#define MR_CONFIG_CREDENTIALS_H

#include "config/check.h"

struct mr_credentials {
    bool looked;
    const char *file;      /* the one that was found, or NULL */
    const char *directory; /* of it, absolute */
    const char *searched;  /* for messages: where it was looked for */
    struct mr_json *root;  /* NULL without a file or with a broken one */
};

/* What a step lacks; all NULL: nothing. */
struct mr_credentials_lack {
    const char *error;      /* what mr_spec_need_credentials says */
    const char *vault_path; /* the secret that would help */
};

/*
 * Completes the connection options of one step: from the entry `path` (credentialPath, may be NULL) of the file or, if the
 * request has it, of Vault; else, when the step says nothing itself, from defaults.<system>.
 */
enum mr_status mr_credentials_apply(struct mr_config_context *context,
                                    struct mr_credentials *credentials, const char *system,
                                    const char *path, struct mr_options *options,
                                    struct mr_credentials_lack *lack);

#endif
