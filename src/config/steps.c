/*
 * steps.c - the steps of a pipeline.
 *
 * For each step, in order: the method is found and its type compared; the keys of `config`, then those of the file named by
 * `configRef`, are checked against the method's table; presets, credentials, sparkConf and defaults fill what is left, in
 * this order; frames are looked up among those that earlier steps registered. A step that is broken leaves a frame
 * behind all the same, so that one mistake does not make every later step wrong as well.
 */
#include "config/steps.h"

#include "config/context.h"
#include "config/pipeline_options.h"

#include <limits.h>
#include <stdio.h>

/* One step while it is read. */
struct draft {
    struct mr_step_spec *spec;
    struct mr_json *json;
    const struct mr_json *config;
    struct mr_json *ref;     /* the object of the configRef file, or NULL */
    struct mr_options *step; /* the step's own keys */
    struct mr_options *options;
    struct mr_options *common;
};

static struct mr_option_value *value_of(struct mr_options *options, const char *name)
{
    return (struct mr_option_value *)mr_options_get(options, name);
}

/* Has the table this key, and is it given? */
static const char *common_text(const struct draft *draft, const char *name)
{
    const struct mr_option *row = mr_option_find(draft->common->table, name);
    return row != NULL ? mr_options_text(draft->common, name) : NULL;
}

/* Where a frame name is written, for messages: item `index` of a list, or the value. */
static struct mr_position name_position(const struct draft *draft, const char *key, int index)
{
    const struct mr_json *json = mr_json_member(draft->config, key);
    if (json == NULL)
        json = mr_json_member(draft->ref, key);
    if (json == NULL)
        return draft->json->at;
    const struct mr_json *item = json->kind == MR_JSON_ARRAY ? json->children : NULL;
    for (; item != NULL && index > 0; index--)
        item = item->next;
    return item != NULL ? item->at : json->at;
}

static enum mr_status check_frame(struct mr_step_reader *reader, const char *name,
                                  struct mr_position at, const char *key)
{
    if (mr_map_get(&reader->frame_names, mr_slice_of(name)) != NULL || reader->unknown_frames)
        return MR_OK;
    struct mr_error err;
    mr_error_config(&err, "\"%s\" names the frame \"%.80s\", which no earlier step registers", key,
                    name);
    char list[sizeof(err.hint) - 64] = "";
    size_t used = 0;
    for (int i = 0; i < reader->nframes && used < sizeof(list); i++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "",
                                 reader->frames[i].name);
    if (reader->nframes > 0)
        mr_error_hint(&err, "registered before this step: %s", list);
    else
        mr_error_hint(&err, "no earlier step registers a frame; give one \"registerAs\"");
    return mr_config_report(reader->context, at, &err);
}

/* Options of the method's own table that name frames. */
static enum mr_status check_frame_options(struct mr_step_reader *reader, const struct draft *draft)
{
    for (int i = 0; i < draft->options->count; i++) {
        const struct mr_option_value *value = &draft->options->values[i];
        const char *key = value->option->name;
        if (!value->set || !(value->option->flags & MR_OPTION_FRAME) ||
            mr_option_find(draft->common->table, key) != NULL)
            continue;
        if (value->option->type == MR_OPTION_STRING)
            MR_TRY(check_frame(reader, value->u.text, value->position, key));
        for (int k = 0; value->option->type == MR_OPTION_STRINGS && k < value->u.strings.count; k++)
            MR_TRY(
                check_frame(reader, value->u.strings.items[k], name_position(draft, key, k), key));
    }
    return MR_OK;
}

static enum mr_status read_inputs(struct mr_step_reader *reader, struct draft *draft)
{
    const struct mr_method *method = draft->spec->method;
    int least = mr_method_min_inputs(method);
    int most = mr_method_max_inputs(method);
    const char *key = "inputDataFrames";
    if (method->type == MR_STEP_TRANSFORM && mr_options_has(draft->common, key)) {
        const struct mr_option_value *value = mr_options_get(draft->common, key);
        int count = value->u.strings.count;
        for (int i = 0; i < count; i++)
            MR_TRY(
                check_frame(reader, value->u.strings.items[i], name_position(draft, key, i), key));
        if (count < least)
            return mr_config_problem(reader->context, value->position,
                                     "\"%s\" must name at least %d frame%s, not %d", key, least,
                                     least == 1 ? "" : "s", count);
        if (count > most)
            return mr_config_problem(reader->context, value->position,
                                     "\"%s\" must name at most %d frame%s, not %d", key, most,
                                     most == 1 ? "" : "s", count);
        draft->spec->inputs = value->u.strings.items;
        draft->spec->ninputs = count;
        return MR_OK;
    }
    if (method->type == MR_STEP_TRANSFORM && least >= 2)
        return mr_config_problem(reader->context, draft->json->at,
                                 "\"%s\" is required: at least %d frames", key, least);
    bool needs = method->type == MR_STEP_TRANSFORM || method->type == MR_STEP_VALIDATE ||
                 method->type == MR_STEP_LOAD;
    if (needs && least > 0 && !reader->primary)
        return mr_config_problem(reader->context, draft->json->at,
                                 "there is no frame to work on: an extract must come first");
    return MR_OK;
}

static enum mr_status register_frame(struct mr_step_reader *reader, const char *name,
                                     struct mr_position at)
{
    const struct mr_frame *other = mr_map_get(&reader->frame_names, mr_slice_of(name));
    if (other != NULL)
        return mr_config_problem(reader->context, at,
                                 "the frame \"%.80s\" is registered already at %d:%d", name,
                                 other->at.line, other->at.column);
    struct mr_frame *frame = &reader->frames[reader->nframes++];
    *frame = (struct mr_frame){.name = name, .at = at};
    return mr_map_put(&reader->frame_names, mr_slice_of(name), frame, NULL);
}

static enum mr_status read_frames(struct mr_step_reader *reader, struct draft *draft)
{
    MR_TRY(check_frame_options(reader, draft));
    const char *referenced = common_text(draft, "referencedDataFrame");
    if (referenced != NULL)
        MR_TRY(check_frame(reader, referenced, name_position(draft, "referencedDataFrame", 0),
                           "referencedDataFrame"));
    draft->spec->referenced = referenced;
    MR_TRY(read_inputs(reader, draft));
    const char *name = common_text(draft, "registerAs");
    if (name != NULL && name[0] != '\0')
        MR_TRY(register_frame(reader, name, name_position(draft, "registerAs", 0)));
    else if (name != NULL)
        MR_TRY(mr_config_problem(reader->context, name_position(draft, "registerAs", 0),
                                 "\"registerAs\" must not be empty"));
    draft->spec->register_as = name;
    return MR_OK;
}

/* Options that the method fixes (toAvro is a file sink with format avro). */
static enum mr_status apply_presets(struct mr_step_reader *reader, struct draft *draft)
{
    struct mr_config_context *context = reader->context;
    const char *const *pair = draft->spec->method->presets;
    for (; pair != NULL && pair[0] != NULL; pair += 2) {
        struct mr_option_value *value = value_of(draft->options, pair[0]);
        struct mr_option_value written = *value;
        struct mr_error err;
        if (mr_options_set_text(context->arena, draft->options, pair[0], pair[1], &err) != MR_OK)
            return mr_config_report(context, draft->json->at, &err);
        if (!written.set)
            continue;
        enum mr_option_type type = value->option->type;
        bool same = type == MR_OPTION_STRING ? strcmp(written.u.text, value->u.text) == 0
                    : type == MR_OPTION_BOOL ? written.u.boolean == value->u.boolean
                                             : written.u.integer == value->u.integer;
        if (!same)
            MR_TRY(mr_config_problem(context, written.position, "%s always has \"%s\": \"%s\"",
                                     draft->spec->method->name, pair[0], pair[1]));
    }
    return MR_OK;
}

/* The object of the file that configRef names; *out stays NULL when there is none or it is broken. */
static enum mr_status read_ref(struct mr_step_reader *reader, struct draft *draft)
{
    struct mr_config_context *context = reader->context;
    const char *path = mr_options_text(draft->step, "configRef");
    if (path == NULL)
        return MR_OK;
    struct mr_position at = mr_options_get(draft->step, "configRef")->position;
    char *file = mr_config_join(context->arena, reader->directory, path);
    if (file == NULL)
        return MR_NOMEM;
    struct mr_json *ref = NULL;
    MR_TRY(mr_json_parse_file(context, file, at, false, &ref));
    if (ref == NULL)
        return MR_OK;
    if (ref->kind != MR_JSON_OBJECT)
        return mr_config_problem(context, ref->at, "%s must hold an object, not %s", file,
                                 mr_json_kind_name(ref->kind));
    draft->ref = ref;
    return MR_OK;
}

/* Placeholders of the step, but not in its config. */
static enum mr_status substitute_head(struct mr_step_reader *reader, struct draft *draft)
{
    for (struct mr_json *child = draft->json->children; child; child = child->next)
        if (strcmp(child->name, "config") != 0)
            MR_TRY(mr_substitute(reader->context, reader->parameters, child));
    return MR_OK;
}

/* The object `incremental` of the step, its placeholders replaced, or NULL. */
static enum mr_status find_incremental(struct mr_step_reader *reader, const struct draft *draft,
                                       struct mr_json **out)
{
    *out = NULL;
    if (draft->spec->method == NULL ||
        mr_option_find(mr_method_options(draft->spec->method), "incremental") == NULL)
        return MR_OK;
    struct mr_json *found = (struct mr_json *)mr_json_member(draft->config, "incremental");
    if (found == NULL)
        found = (struct mr_json *)mr_json_member(draft->ref, "incremental");
    if (found == NULL || found->kind == MR_JSON_NULL || found->kind == MR_JSON_BOOL)
        return MR_OK;
    *out = found;
    return mr_substitute(reader->context, reader->parameters, found);
}

/* What ${last_run_timestamp} is in a step that reads incrementally: NULL = as in a first run. */
static const char *last_run_of(const struct mr_step_reader *reader, const struct draft *draft,
                               const struct mr_json *incremental)
{
    const struct mr_load_request *request = reader->context->request;
    for (int i = 0; i < request->nwatermarks; i++) {
        const struct mr_load_watermark *watermark = &request->watermarks[i];
        if (strcmp(watermark->step, draft->spec->key) == 0 && watermark->text[0] != '\0' &&
            strcmp(watermark->method, draft->spec->method->name) == 0)
            return watermark->text;
    }
    const struct mr_json *initial = mr_json_member(incremental, "initial");
    bool scalar =
        initial != NULL && (initial->kind == MR_JSON_STRING || initial->kind == MR_JSON_NUMBER);
    return scalar ? initial->text : NULL;
}

/* Placeholders of config and configRef: with the step's own ${last_run_timestamp} where it reads incrementally. */
static enum mr_status substitute_config(struct mr_step_reader *reader, struct draft *draft)
{
    struct mr_json *incremental = NULL;
    struct mr_json *config = (struct mr_json *)mr_json_member(draft->json, "config");
    struct mr_json *parts[] = {config, draft->ref};
    MR_TRY(find_incremental(reader, draft, &incremental));
    if (incremental != NULL)
        mr_parameters_enter(reader->parameters, last_run_of(reader, draft, incremental));
    enum mr_status status = MR_OK;
    for (int i = 0; i < 2 && status == MR_OK; i++) {
        struct mr_json *child = parts[i] != NULL ? parts[i]->children : NULL;
        for (; child != NULL && status == MR_OK; child = child->next)
            if (child != incremental)
                status = mr_substitute(reader->context, reader->parameters, child);
        if (parts[i] != NULL && parts[i]->children == NULL && status == MR_OK)
            status = mr_substitute(reader->context, reader->parameters, parts[i]);
    }
    if (incremental != NULL)
        mr_parameters_leave(reader->context, reader->parameters);
    return status;
}

static enum mr_status read_config(struct mr_step_reader *reader, struct draft *draft)
{
    struct mr_config_context *context = reader->context;
    const struct mr_method *method = draft->spec->method;
    draft->options = mr_options_new(context->arena, mr_method_options(method));
    draft->common = mr_options_new(context->arena, mr_common_options(method));
    if (draft->options == NULL || draft->common == NULL)
        return MR_NOMEM;
    struct mr_position at = draft->config != NULL ? draft->config->at : draft->json->at;
    draft->options->position = at;
    struct mr_check check = {.context = context,
                             .options = draft->options,
                             .common = draft->common,
                             .by_user = true};
    if (draft->config != NULL)
        MR_TRY(mr_check_object(&check, draft->config));
    check.keep = true;
    if (draft->ref != NULL) {
        context->order = mr_options_get(draft->step, "configRef")->position;
        enum mr_status status = mr_check_object(&check, draft->ref);
        context->order = (struct mr_position){0};
        MR_TRY(status);
    }
    return apply_presets(reader, draft);
}

static enum mr_status fill_rest(struct mr_step_reader *reader, struct draft *draft)
{
    struct mr_config_context *context = reader->context;
    const char *system = mr_method_system(draft->spec->method);
    context->order = draft->json->at;
    enum mr_status status = MR_OK;
    struct mr_credentials_lack lack = {0};
    if (system != NULL || common_text(draft, "credentialPath") != NULL)
        status = mr_credentials_apply(context, &reader->credentials, system,
                                      common_text(draft, "credentialPath"), draft->options, &lack);
    draft->spec->credentials_error = lack.error;
    draft->spec->vault_path = lack.vault_path;
    context->order = (struct mr_position){0};
    MR_TRY(status);
    MR_TRY(mr_spark_apply_to_step(context, reader->spark, system, draft->options));
    struct mr_error err;
    if (mr_options_fill_defaults(context->arena, draft->options, &err) != MR_OK)
        MR_TRY(mr_config_report(context, draft->json->at, &err));
    struct mr_position at = draft->config != NULL ? draft->config->at : draft->json->at;
    MR_TRY(mr_check_required(context, draft->common, at, NULL));
    return mr_check_required(context, draft->options, at, NULL);
}

static const char *article(enum mr_step_type type)
{
    return type == MR_STEP_EXTRACT ? "an" : "a";
}

static enum mr_status find_method(struct mr_step_reader *reader, struct draft *draft)
{
    struct mr_config_context *context = reader->context;
    const struct mr_option_value *written = mr_options_get(draft->step, "method");
    const char *name = written->u.text;
    const struct mr_option_value *type = mr_options_get(draft->step, "type");
    const struct mr_method *method =
        type->set
            ? mr_registry_method_of(context->registry, name, (enum mr_step_type)type->u.integer)
            : mr_registry_method(context->registry, name);
    if (method == NULL) {
        struct mr_error err;
        mr_error_config(&err, "unknown method \"%.80s\"", name);
        const char *nearest = mr_registry_nearest_method(context->registry, name);
        if (nearest != NULL)
            mr_error_hint(&err, "did you mean \"%s\"?", nearest);
        else
            mr_error_hint(&err, "\"millrace methods\" lists them");
        return mr_config_report(context, written->position, &err);
    }
    if (type->set && type->u.integer != (int64_t)method->type)
        MR_TRY(mr_config_problem(context, type->position, "%s is %s %s method, not %s %s method",
                                 name, article(method->type), mr_step_type_name(method->type),
                                 article((enum mr_step_type)type->u.integer),
                                 mr_step_type_name((enum mr_step_type)type->u.integer)));
    if (method->unbuilt != NULL)
        return mr_config_problem(context, written->position, "%s is refused: %s", name,
                                 method->unbuilt);
    draft->spec->method = method;
    return MR_OK;
}

/* "fromPostgres#2" of the second step with this method. */
static const char *count_method(const struct mr_step_reader *reader,
                                const struct mr_step_spec *spec)
{
    const char *method = spec->method_name ? spec->method_name : "";
    int number = 1;
    for (const struct mr_step_spec *s = spec - spec->index; s < spec; s++)
        number += s->method_name && strcmp(s->method_name, method) == 0;
    return mr_arena_printf(reader->context->arena, "%.60s#%d", method, number);
}

/* The step's own keys, its label and its name. */
static enum mr_status read_head(struct mr_step_reader *reader, struct draft *draft)
{
    struct mr_config_context *context = reader->context;
    struct mr_step_spec *spec = draft->spec;
    const struct mr_json *method = mr_json_member(draft->json, "method");
    bool named = method != NULL && method->kind == MR_JSON_STRING;
    spec->label =
        named ? mr_arena_printf(context->arena, "step %d (%.60s)", spec->index + 1, method->text)
              : mr_arena_printf(context->arena, "step %d", spec->index + 1);
    draft->step = mr_options_new(context->arena, mr_step_options);
    if (spec->label == NULL || draft->step == NULL)
        return MR_NOMEM;
    context->label = spec->label;
    struct mr_check check = {.context = context, .options = draft->step, .by_user = true};
    MR_TRY(mr_check_object(&check, draft->json));
    MR_TRY(mr_check_required(context, draft->step, draft->json->at, NULL));
    spec->method_name = mr_options_text(draft->step, "method");
    spec->name = mr_options_text(draft->step, "name");
    draft->config = mr_json_member(draft->json, "config");
    if (draft->config != NULL && draft->config->kind != MR_JSON_OBJECT) {
        if (draft->config->kind != MR_JSON_NULL)
            MR_TRY(mr_config_problem(context, draft->config->at,
                                     "\"config\" must be an object, not %s",
                                     mr_json_kind_name(draft->config->kind)));
        draft->config = NULL;
    }
    spec->key = spec->name != NULL ? spec->name : count_method(reader, spec);
    if (spec->key == NULL)
        return MR_NOMEM;
    if (spec->name == NULL)
        return MR_OK;
    const struct mr_json *first = mr_map_get(&reader->step_names, mr_slice_of(spec->name));
    if (first == NULL)
        return mr_map_put(&reader->step_names, mr_slice_of(spec->name), (void *)draft->json, NULL);
    return mr_config_problem(context, mr_options_get(draft->step, "name")->position,
                             "the step at %d:%d is named \"%.80s\" already", first->at.line,
                             first->at.column, spec->name);
}

/* A broken step: what later steps may count on. */
static enum mr_status guess_frames(struct mr_step_reader *reader, const struct draft *draft)
{
    reader->primary = true;
    const struct mr_json *name = mr_json_member(draft->config, "registerAs");
    if (mr_options_has(draft->step, "configRef"))
        reader->unknown_frames = true;
    if (name != NULL && name->kind == MR_JSON_STRING && name->text[0] != '\0')
        return register_frame(reader, name->text, name->at);
    return MR_OK;
}

static enum mr_status read_step(struct mr_step_reader *reader, struct draft *draft)
{
    MR_TRY(substitute_head(reader, draft));
    MR_TRY(read_head(reader, draft));
    if (draft->spec->method_name != NULL)
        MR_TRY(find_method(reader, draft));
    if (draft->spec->method != NULL)
        MR_TRY(read_ref(reader, draft));
    MR_TRY(substitute_config(reader, draft));
    if (draft->spec->method == NULL)
        return guess_frames(reader, draft);
    draft->spec->type = draft->spec->method->type;
    MR_TRY(read_config(reader, draft));
    MR_TRY(fill_rest(reader, draft));
    MR_TRY(mr_stream_read(&reader->stream, reader->context, reader->mode, draft->common,
                          &draft->spec->output_mode));
    MR_TRY(read_frames(reader, draft));
    draft->spec->options = draft->options;
    if (draft->spec->type == MR_STEP_EXTRACT || draft->spec->type == MR_STEP_TRANSFORM)
        reader->primary = true;
    return MR_OK;
}

bool mr_step_is_called(const struct mr_step_spec *step, const char *name)
{
    char number[16];
    snprintf(number, sizeof number, "%d", step->index + 1);
    return name != NULL &&
           (strcmp(name, number) == 0 || (step->key != NULL && strcmp(step->key, name) == 0) ||
            (step->name != NULL && strcmp(step->name, name) == 0));
}

enum mr_status mr_steps_read(struct mr_step_reader *reader, const struct mr_json *steps,
                             struct mr_spec *spec)
{
    struct mr_config_context *context = reader->context;
    if (steps->kind != MR_JSON_ARRAY)
        return mr_config_problem(context, steps->at, "\"steps\" must be a list, not %s",
                                 mr_json_kind_name(steps->kind));
    if (steps->count == 0)
        return mr_config_problem(context, steps->at, "\"steps\" must hold at least one step");
    struct mr_step_spec *specs =
        mr_arena_calloc(context->arena, (size_t)steps->count, sizeof(*specs));
    reader->frames = mr_arena_calloc(context->arena, (size_t)steps->count, sizeof(*reader->frames));
    if (specs == NULL || reader->frames == NULL)
        return MR_NOMEM;
    int index = 0;
    enum mr_status status = MR_OK;
    for (struct mr_json *json = steps->children; json && status == MR_OK; json = json->next) {
        struct draft draft = {.spec = &specs[index], .json = json};
        specs[index].index = index;
        specs[index].position = json->at;
        index++;
        if (json->kind == MR_JSON_OBJECT)
            status = read_step(reader, &draft);
        else
            status = mr_config_problem(context, json->at, "a step must be an object, not %s",
                                       mr_json_kind_name(json->kind));
        context->label = NULL;
    }
    spec->steps = specs;
    spec->nsteps = steps->count;
    return status;
}
