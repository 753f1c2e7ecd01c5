/*
 * stream.c - trigger, checkpointLocation, outputMode, queryName.
 *
 * Other engines start a query for each sink, and each has these of its own. Here the pipeline is one query, whose epochs commit all loads
 * together: what loads say differently is an error, and not a choice. In batch they would mean nothing, so there they are refused: a
 * load that is thought to run every five seconds must not run once.
 */
#include "config/stream.h"

#include "base/time.h"

#include <string.h>
#include <strings.h>

static const char *skip_space(const char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    return text;
}

/* "name", or "name = true"; with `value`, "name = .." and what stands behind it. */
static bool is_named(const char *text, const char *name, const char **value)
{
    size_t size = strlen(name);
    if (strncasecmp(text, name, size) != 0)
        return false;
    const char *rest = skip_space(text + size);
    bool given = *rest == '=' || *rest == ':';
    if (given)
        rest = skip_space(rest + 1);
    if (value != NULL) {
        *value = rest;
        return given;
    }
    return given ? strcasecmp(rest, "true") == 0 : *rest == '\0';
}

bool mr_trigger_parse(const char *text, struct mr_stream_spec *out)
{
    const char *interval = skip_space(text);
    if (is_named(interval, "once", NULL)) {
        out->trigger = MR_TRIGGER_ONCE;
        return true;
    }
    if (is_named(interval, "availableNow", NULL)) {
        out->trigger = MR_TRIGGER_AVAILABLE_NOW;
        return true;
    }
    (void)is_named(interval, "processingTime", &interval);
    out->trigger = MR_TRIGGER_INTERVAL;
    return mr_duration_parse(interval, 0, &out->interval_micros) && out->interval_micros >= 0;
}

static bool same_trigger(const struct mr_stream_spec *a, const struct mr_stream_spec *b)
{
    return a->trigger == b->trigger &&
           (a->trigger != MR_TRIGGER_INTERVAL || a->interval_micros == b->interval_micros);
}

static enum mr_status disagree(struct mr_config_context *context,
                               const struct mr_option_value *value,
                               const struct mr_option_value *first)
{
    return mr_config_problem(
        context, value->position,
        "\"%s\" is \"%.80s\" here and \"%.80s\" at %d:%d: all loads of a stream "
        "are committed together, so they must agree",
        value->option->name, value->u.text, first->u.text, first->position.line,
        first->position.column);
}

static enum mr_status read_trigger(struct mr_stream_reader *reader,
                                   struct mr_config_context *context,
                                   const struct mr_option_value *value)
{
    struct mr_stream_spec found = {0};
    if (!mr_trigger_parse(value->u.text, &found)) {
        struct mr_error err;
        mr_error_config(&err,
                        "\"trigger\" is a time such as \"5 seconds\", once or availableNow, "
                        "not \"%.80s\"",
                        value->u.text);
        return mr_config_report(context, value->position, &err);
    }
    if (reader->trigger != NULL)
        return same_trigger(&found, &reader->spec) ? MR_OK
                                                   : disagree(context, value, reader->trigger);
    reader->trigger = value;
    reader->spec.trigger = found.trigger;
    reader->spec.interval_micros = found.interval_micros;
    return MR_OK;
}

static enum mr_status read_text(const struct mr_option_value **first,
                                struct mr_config_context *context,
                                const struct mr_option_value *value)
{
    if (*first != NULL && strcmp((*first)->u.text, value->u.text) != 0)
        return disagree(context, value, *first);
    if (*first == NULL)
        *first = value;
    return MR_OK;
}

static enum mr_status refuse_in_batch(struct mr_config_context *context,
                                      const struct mr_option_value *value)
{
    struct mr_error err;
    mr_error_config(&err, "\"%s\" belongs to mode streaming: in batch it would do nothing",
                    value->option->name);
    mr_error_hint(&err, "say \"mode\": \"streaming\", or leave it out");
    return mr_config_report(context, value->position, &err);
}

enum mr_status mr_stream_read(struct mr_stream_reader *reader, struct mr_config_context *context,
                              enum mr_mode mode, const struct mr_options *common, int *output_mode)
{
    for (int i = 0; i < common->count; i++) {
        const struct mr_option_value *value = &common->values[i];
        const char *name = value->option->name;
        bool trigger = strcmp(name, "trigger") == 0;
        bool checkpoint = strcmp(name, "checkpointLocation") == 0;
        bool output = strcmp(name, "outputMode") == 0, query = strcmp(name, "queryName") == 0;
        if (!value->set || !(trigger || checkpoint || output || query))
            continue;
        if (mode != MR_MODE_STREAMING) {
            MR_TRY(refuse_in_batch(context, value));
            continue;
        }
        if (trigger)
            MR_TRY(read_trigger(reader, context, value));
        if (checkpoint)
            MR_TRY(read_text(&reader->checkpoint, context, value));
        if (query)
            MR_TRY(read_text(&reader->query, context, value));
        if (output)
            *output_mode = (int)value->u.integer;
    }
    return MR_OK;
}

/* A path without a scheme, or with file:; NULL = it is elsewhere. */
static const char *local_path(const char *text)
{
    if (strncmp(text, "file:///", 8) == 0)
        return text + 7;
    if (strncmp(text, "file:/", 6) == 0 && text[6] != '/')
        return text + 5;
    return strstr(text, ":/") != NULL ? NULL : text;
}

static enum mr_status take_checkpoint(const struct mr_stream_reader *reader,
                                      struct mr_config_context *context,
                                      const struct mr_option_value *state, struct mr_spec *spec)
{
    const struct mr_option_value *value = reader->checkpoint;
    const char *path = local_path(value->u.text);
    bool given = state != NULL && state->set;
    struct mr_error err;
    if (path == NULL || path[0] == '\0') {
        mr_error_config(&err, "\"checkpointLocation\" must be a local directory, not \"%.200s\"",
                        value->u.text);
        mr_error_hint(&err, "to keep the state where any host finds it say \"state\": "
                            "{\"postgres\": \"<credentialPath>\"}");
        return mr_config_report(context, value->position, &err);
    }
    if (given && (spec->state_path == NULL || strcmp(spec->state_path, path) != 0))
        return mr_config_problem(context, value->position,
                                 "state is in one place: \"checkpointLocation\" says another than "
                                 "\"state\" at %d:%d",
                                 state->position.line, state->position.column);
    spec->state_path = path;
    return MR_OK;
}

/* Between two epochs it would hold up the stream, and in a run of its own it holds up nobody. */
static enum mr_status refuse_maintenance(struct mr_config_context *context,
                                         const struct mr_spec *spec)
{
    for (int i = 0; i < spec->nsteps; i++) {
        const struct mr_step_spec *step = &spec->steps[i];
        struct mr_error err;
        if (spec->mode != MR_MODE_STREAMING || step->method == NULL ||
            step->type != MR_STEP_MAINTAIN)
            continue;
        mr_error_config(&err, "%s: maintain steps belong to batch", step->label);
        mr_error_hint(&err, "put it into a pipeline of its own and run that beside the stream");
        MR_TRY(mr_config_report(context, step->position, &err));
    }
    return MR_OK;
}

enum mr_status mr_stream_finish(const struct mr_stream_reader *reader,
                                struct mr_config_context *context,
                                const struct mr_option_value *state, struct mr_spec *spec)
{
    MR_TRY(refuse_maintenance(context, spec));
    spec->stream = reader->spec;
    if (reader->query != NULL)
        spec->stream.query_name = reader->query->u.text;
    return reader->checkpoint != NULL ? take_checkpoint(reader, context, state, spec) : MR_OK;
}
