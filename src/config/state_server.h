/*
 * state_server.h - the login of `state: {postgres: credentialPath}`.
 */
#ifndef MR_CONFIG_STATE_SERVER_H
#define MR_CONFIG_STATE_SERVER_H

#include "config/credentials.h"
#include "config/spec.h"

/*
 * Fills spec->state_server from the credentials; what is missing is kept in it, as with steps. Reports problems at
 * `written`, the value of the option.
 */
enum mr_status mr_state_server_read(struct mr_config_context *context,
                                    struct mr_credentials *credentials,
                                    const struct mr_option_value *written, struct mr_spec *spec);

#endif
