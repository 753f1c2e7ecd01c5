/*
 * load.c - from the text of a pipeline file to a checked spec.
 *
 *     text -> tree with positions (json.c) -> placeholders replaced (substitute.c) -> pipeline keys checked by their table
 *          -> sparkConf read (spark.c) -> steps checked (steps.c, check.c, credentials.c) -> spec
 *
 * Everything that is wrong is collected on the way (context.c); the spec is handed out only when nothing was.
 */
#include "config/load.h"

#include "base/hash.h"
#include "base/tz.h"
#include "config/context.h"
#include "config/pipeline_options.h"
#include "config/state_server.h"
#include "config/steps.h"

#include <stdlib.h>
#include <unistd.h>

#define NAME_LONGEST 200

/* What is alive while one file is read. */
struct load {
    struct mr_config_context context;
    struct mr_json *root;
    struct mr_options *pipeline;
    struct mr_parameters parameters;
    struct mr_spark spark;
    struct mr_step_reader reader;
    struct mr_spec *spec;
};

static const struct mr_options *object_of(const struct load *load, const char *name)
{
    const struct mr_option_value *value = mr_options_get(load->pipeline, name);
    return value->set ? value->u.object : NULL;
}

static enum mr_status parse(struct load *load)
{
    const struct mr_load_request *request = load->context.request;
    struct mr_position from = {.file = request->file};
    if (request->text != NULL)
        return mr_json_parse(&load->context, request->file, request->text, request->text_size,
                             false, &load->root);
    return mr_json_parse_file(&load->context, request->file, from, false, &load->root);
}

/*
 * Placeholders in everything but the parameters themselves, which are resolved when they are used, and the steps, whose values may be
 * their own (steps.c).
 */
static enum mr_status substitute(struct load *load)
{
    const struct mr_json *object = mr_json_member(load->root, "parameters");
    MR_TRY(mr_parameters_init(&load->context, object, mr_json_member(load->root, "name"),
                              &load->parameters));
    const struct mr_json *steps = mr_json_member(load->root, "steps");
    for (struct mr_json *member = load->root->children; member; member = member->next)
        if (member != object && (member != steps || steps->kind != MR_JSON_ARRAY))
            MR_TRY(mr_substitute(&load->context, &load->parameters, member));
    return MR_OK;
}

static bool valid_name(const char *name)
{
    size_t size = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
    return size > 0 && size <= NAME_LONGEST && name[size] == '\0';
}

static enum mr_status read_identity(struct load *load)
{
    struct mr_spec *spec = load->spec;
    const struct mr_option_value *name = mr_options_get(load->pipeline, "name");
    const struct mr_option_value *mode = mr_options_get(load->pipeline, "mode");
    spec->name = name->set ? name->u.text : "";
    if (name->set && !valid_name(name->u.text))
        MR_TRY(mr_config_problem(&load->context, name->position,
                                 "\"name\" may hold letters, digits, _ . and - (at most %d), not "
                                 "\"%.80s\"",
                                 NAME_LONGEST, name->u.text));
    spec->mode = mode->set ? (enum mr_mode)mode->u.integer : MR_MODE_BATCH;
    const struct mr_json *description = mr_json_member(load->root, "description");
    if (description != NULL && description->kind == MR_JSON_STRING)
        spec->description = description->text;
    else
        spec->description = mr_options_text(load->pipeline, "description");
    spec->metadata_json = mr_options_text(load->pipeline, "metadata");
    const struct mr_option_value *key = mr_options_get(load->pipeline, "stateKey");
    spec->state_key = key->set ? key->u.text : spec->name;
    if (key->set && key->u.text[0] == '\0')
        return mr_config_problem(&load->context, key->position, "\"stateKey\" must not be empty");
    return MR_OK;
}

static enum mr_status read_state(struct load *load)
{
    struct mr_spec *spec = load->spec;
    struct mr_arena *arena = load->context.arena;
    const struct mr_options *state = object_of(load, "state");
    spec->state_path = state != NULL ? mr_options_text(state, "path") : NULL;
    const struct mr_option_value *server = state ? mr_options_get(state, "postgres") : NULL;
    if (server != NULL && server->set && spec->state_path != NULL)
        MR_TRY(mr_config_problem(&load->context, server->position,
                                 "state is in one place: \"path\" or \"postgres\""));
    if (spec->state_path != NULL)
        return MR_OK;
    const char *from_env = getenv("MILLRACE_STATE");
    if (from_env == NULL || from_env[0] == '\0') {
        spec->state_path = ".millrace";
    } else if (from_env[0] == '/') {
        spec->state_path = mr_arena_strdup(arena, from_env);
    } else { /* relative to where the command was typed, not to the pipeline */
        char directory[4096];
        const char *base = getcwd(directory, sizeof(directory)) != NULL ? directory : ".";
        spec->state_path = mr_arena_printf(arena, "%s/%s", base, from_env);
    }
    return spec->state_path != NULL ? MR_OK : MR_NOMEM;
}

/* After the steps: they share what was read of the credentials. */
static enum mr_status read_state_server(struct load *load)
{
    const struct mr_options *state = object_of(load, "state");
    const struct mr_option_value *server = state ? mr_options_get(state, "postgres") : NULL;
    if (server == NULL || !server->set)
        return MR_OK;
    return mr_state_server_read(&load->context, &load->reader.credentials, server, load->spec);
}

static enum mr_status read_limits(struct load *load)
{
    struct mr_spec *spec = load->spec;
    const struct mr_options *retry = object_of(load, "retry");
    const struct mr_options *timeouts = object_of(load, "timeouts");
    const struct mr_options *resources = object_of(load, "resources");
    if (retry != NULL) {
        const struct mr_option_value *multiplier = mr_options_get(retry, "multiplier");
        spec->retry.attempts = (int)mr_options_integer(retry, "maxAttempts", 3);
        spec->retry.delay_micros = mr_options_integer(retry, "delay", 0);
        spec->retry.max_delay_micros = mr_options_integer(retry, "maxDelay", 0);
        spec->retry.multiplier = multiplier->set ? multiplier->u.number : 2;
        spec->retry.jitter = mr_options_boolean(retry, "jitter", true);
        spec->retry_given = mr_options_get(load->pipeline, "retry")->by_user;
        if (spec->retry.multiplier < 1)
            MR_TRY(mr_config_problem(&load->context, multiplier->position,
                                     "\"multiplier\" must be at least 1"));
    }
    if (timeouts != NULL) {
        spec->timeout_connect_micros = mr_options_integer(timeouts, "connect", 0);
        spec->timeout_statement_micros = mr_options_integer(timeouts, "statement", 0);
        spec->timeout_step_micros = mr_options_integer(timeouts, "step", 0);
        spec->timeout_run_micros = mr_options_integer(timeouts, "run", 0);
    }
    spec->broadcast_threshold = -1;
    if (resources == NULL)
        return MR_OK;
    const struct mr_option_value *parallelism = mr_options_get(resources, "parallelism");
    if (parallelism->set && parallelism->u.object != NULL)
        spec->parallelism = (int)mr_options_integer(parallelism->u.object, "max", 0);
    spec->memory = mr_options_integer(resources, "memory", 0);
    spec->temp_dir = mr_options_text(resources, "tempDir");
    spec->batch_rows = mr_options_integer(resources, "batchRows", 0);
    spec->resume_bytes = mr_options_integer(resources, "resumeBytes", 0);
    spec->broadcast_threshold = mr_options_integer(resources, "broadcastThreshold", -1);
    return MR_OK;
}

static enum mr_status read_session(struct load *load)
{
    struct mr_spec *spec = load->spec;
    const struct mr_options *sql = object_of(load, "sql");
    const struct mr_options *metrics = object_of(load, "metrics");
    spec->verify = mr_options_boolean(load->pipeline, "verify", false);
    spec->ansi = sql == NULL || mr_options_boolean(sql, "ansi", true);
    spec->time_zone = sql != NULL ? mr_options_text(sql, "timeZone") : "UTC";
    if (metrics != NULL) {
        spec->metrics_path = mr_options_text(metrics, "path");
        spec->metrics_format = mr_options_text(metrics, "format");
    }
    return MR_OK;
}

/* The time zone may come from sql or from sparkConf. */
static enum mr_status check_time_zone(struct load *load)
{
    const struct mr_options *sql = object_of(load, "sql");
    struct mr_position at = load->spark.time_zone_at;
    if (sql != NULL && mr_options_get(sql, "timeZone")->by_user)
        at = mr_options_get(sql, "timeZone")->position;
    struct mr_tz *tz = NULL;
    struct mr_error err;
    if (mr_tz_new(load->spec->time_zone, &tz, &err) != MR_OK)
        return mr_config_report(&load->context, at, &err);
    mr_tz_free(tz);
    return MR_OK;
}

static enum mr_status read_pipeline(struct load *load)
{
    struct mr_config_context *context = &load->context;
    load->pipeline = mr_options_new(context->arena, mr_pipeline_options);
    if (load->pipeline == NULL)
        return MR_NOMEM;
    load->pipeline->position = load->root->at;
    struct mr_check check = {.context = context, .options = load->pipeline, .by_user = true};
    MR_TRY(mr_check_object(&check, load->root));
    struct mr_error err;
    if (mr_options_fill_defaults(context->arena, load->pipeline, &err) != MR_OK)
        MR_TRY(mr_config_report(context, load->root->at, &err));
    MR_TRY(mr_check_required(context, load->pipeline, load->root->at, NULL));
    MR_TRY(read_identity(load));
    MR_TRY(read_state(load));
    MR_TRY(read_limits(load));
    MR_TRY(read_session(load));
    MR_TRY(mr_spark_read(context, mr_options_get(load->pipeline, "sparkConf"), &load->spark));
    load->reader = (struct mr_step_reader){.context = context,
                                           .parameters = &load->parameters,
                                           .spark = &load->spark,
                                           .directory = load->spec->directory,
                                           .mode = load->spec->mode};
    mr_map_init(&load->reader.frame_names, false);
    mr_map_init(&load->reader.step_names, false);
    const struct mr_json *steps = mr_json_member(load->root, "steps");
    if (steps != NULL && steps->kind != MR_JSON_NULL)
        MR_TRY(mr_steps_read(&load->reader, steps, load->spec));
    MR_TRY(mr_stream_finish(&load->reader.stream, context, mr_options_get(load->pipeline, "state"),
                            load->spec));
    MR_TRY(read_state_server(load));
    MR_TRY(mr_spark_apply(context, &load->spark, load->pipeline, load->spec));
    MR_TRY(check_time_zone(load));
    return mr_parameters_note_unused(context, &load->parameters);
}

/* Tells a retry of the same work from a run of the same file for another day. */
static enum mr_status hash_parameters(struct load *load)
{
    uint64_t hash = 0;
    for (const struct mr_parameter *p = load->parameters.first; p != NULL; p = p->next) {
        if (!p->used || p->text == NULL || p->moving || strcmp(p->name, "last_run_timestamp") == 0)
            continue;
        hash = mr_hash64_seed(p->name, strlen(p->name) + 1, hash);
        hash = mr_hash64_seed(p->text, strlen(p->text) + 1, hash);
    }
    load->spec->parameters_hash =
        mr_arena_printf(load->context.arena, "%016llx", (unsigned long long)hash);
    return load->spec->parameters_hash != NULL ? MR_OK : MR_NOMEM;
}

static enum mr_status read_all(struct load *load)
{
    struct mr_config_context *context = &load->context;
    struct mr_spec *spec = mr_arena_calloc(context->arena, 1, sizeof(*spec));
    if (spec == NULL)
        return MR_NOMEM;
    load->spec = spec;
    spec->file = context->request->file;
    spec->directory = mr_config_directory(context->arena, spec->file);
    if (spec->directory == NULL)
        return MR_NOMEM;
    MR_TRY(parse(load));
    if (load->root == NULL)
        return MR_OK;
    if (load->root->kind != MR_JSON_OBJECT)
        return mr_config_problem(context, load->root->at, "a pipeline must be an object, not %s",
                                 mr_json_kind_name(load->root->kind));
    MR_TRY(substitute(load));
    MR_TRY(read_pipeline(load));
    spec->uses_last_run_timestamp = load->parameters.uses_last_run_timestamp;
    spec->uses_watermark = load->parameters.uses_watermark;
    MR_TRY(hash_parameters(load));
    spec->notes = context->notes;
    spec->nnotes = context->nnotes;
    return MR_OK;
}

enum mr_status mr_config_load(const struct mr_load_request *request, struct mr_arena *arena,
                              const struct mr_spec **out, struct mr_load_errors *errors)
{
    struct load load = {0};
    /* Positions in the spec outlive the call, and with them the name of the file. */
    struct mr_load_request kept = *request;
    kept.file = request->file ? mr_arena_strdup(arena, request->file) : NULL;
    if (request->file && !kept.file) {
        errors->count = 1;
        return mr_error_nomem(&errors->items[0]);
    }
    mr_config_context_init(&load.context, arena, &kept);
    mr_map_init(&load.parameters.by_name, false);
    mr_map_init(&load.reader.frame_names, false);
    mr_map_init(&load.reader.step_names, false);
    *out = NULL;
    enum mr_status status = read_all(&load);
    mr_parameters_reset(&load.parameters);
    mr_map_reset(&load.reader.frame_names);
    mr_map_reset(&load.reader.step_names);
    if (status != MR_OK) {
        errors->count = 1;
        return mr_error_nomem(&errors->items[0]);
    }
    status = mr_config_take_problems(&load.context, errors);
    if (status == MR_OK)
        *out = load.spec;
    return status;
}

static enum mr_status need_step(const struct mr_step_spec *step, struct mr_error *err)
{
    if (step->credentials_error == NULL)
        return MR_OK;
    mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG, "%s: %s", step->label,
                 step->credentials_error);
    mr_error_where(err, "%s:%d:%d", step->position.file, step->position.line,
                   step->position.column);
    return MR_CREDENTIALS;
}

enum mr_status mr_spec_need_credentials(const struct mr_spec *spec, struct mr_error *err)
{
    if (spec->state_server != NULL)
        MR_TRY(need_step(&spec->state_server->step, err));
    for (int i = 0; i < spec->nsteps; i++)
        MR_TRY(need_step(&spec->steps[i], err));
    return MR_OK;
}
