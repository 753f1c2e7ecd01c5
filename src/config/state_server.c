/*
 * state_server.c - the connection of a state that is kept in PostgreSQL.
 *
 * Its options are those of the methods that connect to PostgreSQL: the table of fromPostgres says what a login is, and the credentials
 * are found in the same places as a step's. A table of its own would be a second description of the same keys: refused.
 */
#include "config/state_server.h"

#include "config/context.h"

#define KEYWORDS_MOST 12

static enum mr_status read_options(struct mr_config_context *context,
                                   struct mr_credentials *credentials,
                                   const struct mr_option_value *written,
                                   const struct mr_method *method, struct mr_step_spec *step)
{
    struct mr_options *options = mr_options_new(context->arena, mr_method_options(method));
    if (options == NULL)
        return MR_NOMEM;
    options->position = written->position;
    *step = (struct mr_step_spec){.index = -1,
                                  .method = method,
                                  .method_name = "state",
                                  .label = "state",
                                  .options = options,
                                  .position = written->position};
    struct mr_credentials_lack lack = {0};
    context->order = written->position;
    enum mr_status status =
        mr_credentials_apply(context, credentials, "postgres", written->u.text, options, &lack);
    context->order = (struct mr_position){0};
    step->credentials_error = lack.error;
    step->vault_path = lack.vault_path;
    return status;
}

static void add(const char **keywords, const char **values, int *n, const char *keyword,
                const char *value)
{
    if (value == NULL)
        return;
    keywords[*n] = keyword;
    values[(*n)++] = value;
}

static enum mr_status make_login(struct mr_arena *arena, struct mr_state_server *server)
{
    const struct mr_options *options = server->step.options;
    const char **keywords = mr_arena_calloc(arena, KEYWORDS_MOST, sizeof *keywords);
    const char **values = mr_arena_calloc(arena, KEYWORDS_MOST, sizeof *values);
    long long port = mr_options_integer(options, "port", 5432);
    const char *host = mr_options_text(options, "host");
    const char *database = mr_options_text(options, "database");
    const char *port_text =
        mr_options_has(options, "port") ? mr_arena_printf(arena, "%lld", port) : NULL;
    server->location = mr_arena_printf(arena, "%s:%lld/%s", host ? host : "(default host)", port,
                                       database ? database : "");
    if (!keywords || !values || !server->location)
        return MR_NOMEM;
    int n = 0;
    add(keywords, values, &n, "host", host);
    add(keywords, values, &n, "port", port_text);
    add(keywords, values, &n, "dbname", database);
    add(keywords, values, &n, "user", mr_options_text(options, "username"));
    add(keywords, values, &n, "password", mr_options_text(options, "password"));
    add(keywords, values, &n, "sslmode", mr_options_text(options, "sslmode"));
    add(keywords, values, &n, "fallback_application_name", "millrace state");
    add(keywords, values, &n, "client_encoding", "UTF8");
    server->keywords = keywords;
    server->values = values;
    return MR_OK;
}

enum mr_status mr_state_server_read(struct mr_config_context *context,
                                    struct mr_credentials *credentials,
                                    const struct mr_option_value *written, struct mr_spec *spec)
{
    const struct mr_method *method =
        mr_registry_method_of(context->registry, "fromPostgres", MR_STEP_EXTRACT);
    if (method == NULL || method->unbuilt != NULL)
        return mr_config_problem(context, written->position,
                                 "state in PostgreSQL: this build has no PostgreSQL");
    struct mr_state_server *server = mr_arena_calloc(context->arena, 1, sizeof *server);
    if (server == NULL)
        return MR_NOMEM;
    MR_TRY(read_options(context, credentials, written, method, &server->step));
    MR_TRY(make_login(context->arena, server));
    spec->state_server = server;
    return MR_OK;
}
