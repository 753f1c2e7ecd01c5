/*
 * substitute.c - placeholders in strings.
 *
 *     ${name}   ${env:NAME}   ${run_id}   ${run_date}   ${last_run_timestamp}   $${ = a literal ${
 *
 * Values of strings are replaced before anything is checked; keys of objects never are, so that the shape of a file does
 * not depend on parameters. The value of a parameter may hold placeholders itself; each is resolved once, when it is
 * first needed, and a ring of them is an error. What comes out of a replacement is not looked at again: a value from
 * the environment or the command line is text, whatever it looks like. One string may grow to 1 MiB and all of them
 * together to 64 MiB, so that a few doubling parameters cannot eat the machine.
 */
#include "config/substitute.h"

#include "base/text.h"
#include "base/time.h"
#include "config/context.h"

#include <stdlib.h>

#define ONE_MAX             ((size_t)1 << 20)
#define ALL_MAX             ((size_t)64 << 20)
#define NAME_SHOWN          80
#define FIRST_RUN_TIMESTAMP "1970-01-01 00:00:00"

static struct mr_parameter *find(const struct mr_parameters *parameters, const char *name,
                                 size_t size)
{
    return mr_map_get(&parameters->by_name, (struct mr_slice){name, size});
}

static enum mr_status put(struct mr_config_context *context, struct mr_parameters *parameters,
                          const char *name, const char *text, const struct mr_json *json)
{
    struct mr_parameter *parameter = find(parameters, name, strlen(name));
    if (parameter == NULL) {
        parameter = mr_arena_calloc(context->arena, 1, sizeof(*parameter));
        if (parameter == NULL)
            return MR_NOMEM;
        MR_TRY(mr_map_put(&parameters->by_name, mr_slice_of(name), parameter, NULL));
        parameter->name = name;
        if (parameters->last != NULL)
            parameters->last->next = parameter;
        else
            parameters->first = parameter;
        parameters->last = parameter;
    }
    parameter->text = text;
    parameter->json = json;
    parameter->resolved = json == NULL || json->kind != MR_JSON_STRING;
    return MR_OK;
}

static bool valid_name(const char *name, size_t size)
{
    if (size == 0)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || ((c < '0' || c > '9') && c != '.' && c != '-')))
            return false;
    }
    return true;
}

static enum mr_status declare(struct mr_config_context *context, struct mr_parameters *parameters,
                              const struct mr_json *member)
{
    if (!valid_name(member->name, strlen(member->name)))
        return mr_config_problem(
            context, member->name_at,
            "\"%.80s\" cannot be the name of a parameter: letters, digits, _ . and - are allowed",
            member->name);
    if (member->kind == MR_JSON_OBJECT || member->kind == MR_JSON_ARRAY)
        return mr_config_problem(context, member->at,
                                 "parameter \"%.80s\" must be text, a number or a boolean, not %s",
                                 member->name, mr_json_kind_name(member->kind));
    const char *text = member->kind == MR_JSON_NULL ? NULL : member->text;
    return put(context, parameters, member->name, text, member);
}

enum mr_status mr_parameters_init(struct mr_config_context *context, const struct mr_json *object,
                                  const struct mr_json *name, struct mr_parameters *parameters)
{
    const struct mr_load_request *request = context->request;
    memset(parameters, 0, sizeof(*parameters));
    mr_map_init(&parameters->by_name, false);
    if (name != NULL && name->kind == MR_JSON_STRING)
        MR_TRY(put(context, parameters, "name", name->text, name));
    if (object != NULL && object->kind == MR_JSON_OBJECT) {
        for (const struct mr_json *member = object->children; member; member = member->next)
            MR_TRY(declare(context, parameters, member));
    } else if (object != NULL && object->kind != MR_JSON_NULL) {
        MR_TRY(mr_config_problem(context, object->at, "\"parameters\" must be an object, not %s",
                                 mr_json_kind_name(object->kind)));
    }
    const char *last = request->last_run_timestamp;
    MR_TRY(put(context, parameters, "run_id", request->run_id ? request->run_id : "none", NULL));
    parameters->last->moving = true;
    MR_TRY(put(context, parameters, "last_run_timestamp", last ? last : FIRST_RUN_TIMESTAMP, NULL));
    const char *date = request->run_date;
    if (date == NULL) {
        char today[MR_TIME_TEXT_MAX];
        mr_date_format(mr_clock_wall_micros() / MR_MICROS_PER_DAY, today);
        date = mr_arena_strdup(context->arena, today);
        if (date == NULL)
            return MR_NOMEM;
    }
    MR_TRY(put(context, parameters, "run_date", date, NULL));
    const char *const *pair = request->parameters;
    for (; pair != NULL && pair[0] != NULL; pair += 2) {
        MR_TRY(put(context, parameters, pair[0], pair[1], NULL));
        parameters->time_given =
            parameters->time_given || strcmp(pair[0], "last_run_timestamp") == 0;
    }
    return MR_OK;
}

void mr_parameters_reset(struct mr_parameters *parameters)
{
    mr_map_reset(&parameters->by_name);
}

/* Where in the file the byte at `at` of a string is. */
static struct mr_position inside(const struct mr_json *value, const char *at)
{
    struct mr_position position = value->at;
    if (!value->escaped)
        position.column += 1 + (int)(at - value->text);
    return position;
}

static enum mr_status undefined(struct mr_config_context *context,
                                const struct mr_parameters *parameters, const struct mr_json *value,
                                const char *at, const char *name)
{
    struct mr_error err;
    mr_error_config(&err, "${%.80s} is not defined", name);
    const char *names[NAME_SHOWN];
    size_t count = 0;
    for (const struct mr_parameter *p = parameters->first; p && count < NAME_SHOWN; p = p->next)
        names[count++] = p->name;
    const char *nearest = mr_nearest_name(name, names, count);
    if (nearest != NULL && strcmp(nearest, name) != 0)
        mr_error_hint(&err, "did you mean ${%s}?", nearest);
    else
        mr_error_hint(&err, "give it in \"parameters\" or with --param %.80s=value", name);
    return mr_config_report(context, inside(value, at), &err);
}

static enum mr_status replace(struct mr_config_context *context, struct mr_parameters *parameters,
                              const struct mr_json *value, const char **out);

static void note_use(struct mr_parameters *parameters, struct mr_parameter *parameter)
{
    parameter->moving = true;
    if (parameters->in_step)
        parameters->uses_watermark = true;
    else
        parameters->uses_last_run_timestamp = true;
}

/* The text of ${name}; *text stays NULL when a problem was reported. */
static enum mr_status value_of(struct mr_config_context *context, struct mr_parameters *parameters,
                               const struct mr_json *value, const char *at, const char *name,
                               const char **text)
{
    if (strncmp(name, "env:", 4) == 0) {
        *text = getenv(name + 4);
        if (*text != NULL)
            return MR_OK;
        return mr_config_problem(context, inside(value, at),
                                 "the environment has no variable \"%.80s\"", name + 4);
    }
    if (!valid_name(name, strlen(name)))
        return mr_config_problem(context, inside(value, at),
                                 "\"${%.80s}\" is not a placeholder; write $${ for a literal ${",
                                 name);
    struct mr_parameter *parameter = find(parameters, name, strlen(name));
    if (parameter == NULL || parameter->text == NULL)
        return undefined(context, parameters, value, at, name);
    parameter->used = true;
    if (strcmp(name, "last_run_timestamp") == 0)
        note_use(parameters, parameter);
    if (parameter->resolving)
        return mr_config_problem(context, inside(value, at), "${%.80s} refers to itself", name);
    if (!parameter->resolved) {
        parameter->resolving = true;
        const char *resolved = NULL;
        bool outer = parameters->moving;
        parameters->moving = false;
        MR_TRY(replace(context, parameters, parameter->json, &resolved));
        parameter->moving = parameters->moving;
        parameters->moving = outer;
        parameter->resolving = false;
        parameter->resolved = true;
        parameter->text = resolved != NULL ? resolved : "";
    }
    parameters->moving = parameters->moving || parameter->moving;
    *text = parameter->text;
    return MR_OK;
}

/* Appends the placeholder that starts at `at` and returns the place behind it. */
static enum mr_status append_placeholder(struct mr_config_context *context,
                                         struct mr_parameters *parameters,
                                         const struct mr_json *value, const char **at,
                                         struct mr_bytes *out)
{
    const char *start = *at;
    const char *close = strchr(start, '}');
    if (close == NULL) {
        *at = start + strlen(start);
        return mr_config_problem(context, inside(value, start),
                                 "\"${\" without \"}\"; write $${ for a literal ${");
    }
    *at = close + 1;
    char *name = mr_arena_strndup(context->arena, start + 2, (size_t)(close - start) - 2);
    if (name == NULL)
        return MR_NOMEM;
    const char *text = NULL;
    MR_TRY(value_of(context, parameters, value, start, name, &text));
    if (text != NULL)
        mr_bytes_text(out, text);
    return MR_OK;
}

static enum mr_status append_all(struct mr_config_context *context,
                                 struct mr_parameters *parameters, const struct mr_json *value,
                                 struct mr_bytes *out)
{
    for (const char *at = value->text; *at != '\0' && out->status == MR_OK;) {
        const char *dollar = strchr(at, '$');
        size_t plain = dollar != NULL ? (size_t)(dollar - at) : strlen(at);
        mr_bytes_append(out, at, plain);
        at += plain;
        if (dollar == NULL)
            break;
        if (strncmp(dollar, "$${", 3) == 0) {
            mr_bytes_text(out, "${");
            at += 3;
        } else if (dollar[1] == '{') {
            MR_TRY(append_placeholder(context, parameters, value, &at, out));
        } else {
            mr_bytes_char(out, '$');
            at++;
        }
    }
    return MR_OK;
}

/* *out is the value with everything replaced. */
static enum mr_status replace(struct mr_config_context *context, struct mr_parameters *parameters,
                              const struct mr_json *value, const char **out)
{
    *out = value->text;
    if (strstr(value->text, "${") == NULL)
        return MR_OK;
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, ONE_MAX);
    enum mr_status status = append_all(context, parameters, value, &bytes);
    parameters->produced += bytes.size;
    if (status == MR_OK && bytes.status == MR_NOMEM)
        status = MR_NOMEM;
    if (status == MR_OK && (bytes.status != MR_OK || parameters->produced > ALL_MAX)) {
        status = mr_config_problem(context, value->at, "too large after replacing parameters");
    } else if (status == MR_OK && mr_utf8_valid_prefix(bytes.data, bytes.size) < bytes.size) {
        status = mr_config_problem(context, value->at, "not UTF-8 after replacing parameters");
    } else if (status == MR_OK) {
        *out = mr_arena_strndup(context->arena, bytes.data, bytes.size);
        status = *out != NULL ? MR_OK : MR_NOMEM;
    }
    mr_bytes_reset(&bytes);
    return status;
}

enum mr_status mr_substitute(struct mr_config_context *context, struct mr_parameters *parameters,
                             struct mr_json *value)
{
    if (value->kind == MR_JSON_STRING)
        return replace(context, parameters, value, &value->text);
    for (struct mr_json *child = value->children; child != NULL; child = child->next)
        MR_TRY(mr_substitute(context, parameters, child));
    return MR_OK;
}

/* What is made of it is made again when it is needed next. */
static void set_last_run(struct mr_parameters *parameters, const char *text)
{
    if (parameters->time_given)
        return;
    find(parameters, "last_run_timestamp", strlen("last_run_timestamp"))->text = text;
    for (struct mr_parameter *p = parameters->first; p != NULL; p = p->next)
        if (p->moving && p->json != NULL)
            p->resolved = p->json->kind != MR_JSON_STRING;
}

void mr_parameters_enter(struct mr_parameters *parameters, const char *text)
{
    parameters->in_step = true;
    set_last_run(parameters, text != NULL ? text : FIRST_RUN_TIMESTAMP);
}

void mr_parameters_leave(struct mr_config_context *context, struct mr_parameters *parameters)
{
    const char *text = context->request->last_run_timestamp;
    parameters->in_step = false;
    set_last_run(parameters, text != NULL ? text : FIRST_RUN_TIMESTAMP);
}

enum mr_status mr_parameters_note_unused(struct mr_config_context *context,
                                         const struct mr_parameters *parameters)
{
    const char *const *pair = context->request->parameters;
    for (; pair != NULL && pair[0] != NULL; pair += 2) {
        const struct mr_parameter *parameter = find(parameters, pair[0], strlen(pair[0]));
        if (parameter != NULL && !parameter->used)
            MR_TRY(mr_config_note(context, (struct mr_position){0},
                                  "--param %s: no placeholder uses it", pair[0]));
    }
    return MR_OK;
}
