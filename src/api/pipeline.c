/*
 * pipeline.c - open, validate, plan, run, cancel.
 *
 * A thin shell over run/: it turns a status and an error into a code and a list of messages, and log records into lines.
 */
#include "api/pipeline.h"

#include "registry.h"

#include <stdlib.h>

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

const struct mr_registry *mr_api_registry(void)
{
    return &mr_registry_builtin;
}

const char *millrace_version(void)
{
    return PACKAGE_VERSION;
}

void millrace_free(void *memory)
{
    mr_free(memory);
}

static void forget_messages(struct millrace_pipeline *pipeline)
{
    for (int i = 0; pipeline->messages && i < pipeline->errors.count; i++)
        mr_free(pipeline->messages[i]);
    mr_free(pipeline->messages);
    pipeline->messages = NULL;
}

void mr_api_begin(struct millrace_pipeline *pipeline)
{
    forget_messages(pipeline);
    pipeline->errors.count = 0;
}

static char *error_line(const struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 16);
    if (err->where[0])
        mr_bytes_printf(&text, "%s: ", err->where);
    mr_bytes_text(&text, err->message);
    if (err->hint[0])
        mr_bytes_printf(&text, " (%s)", err->hint);
    return mr_bytes_move(&text, NULL);
}

int mr_api_end(struct millrace_pipeline *pipeline, enum mr_status status,
               const struct mr_error *err)
{
    struct mr_load_errors *errors = &pipeline->errors;
    if (status != MR_OK && errors->count == 0 && err)
        errors->items[errors->count++] = *err;
    if (errors->count > 0) {
        pipeline->messages = mr_calloc((size_t)errors->count, sizeof(char *));
        for (int i = 0; pipeline->messages && i < errors->count; i++)
            pipeline->messages[i] = error_line(&errors->items[i]);
    }
    return mr_status_exit_code(status);
}

int millrace_error_count(const struct millrace_pipeline *pipeline)
{
    return pipeline ? pipeline->errors.count : 0;
}

const char *millrace_error_message(const struct millrace_pipeline *pipeline, int i)
{
    if (!pipeline || i < 0 || i >= pipeline->errors.count)
        return NULL;
    if (!pipeline->messages || !pipeline->messages[i])
        return "out of memory";
    return pipeline->messages[i];
}

static void log_record(void *context, const struct mr_log_record *record)
{
    struct millrace_pipeline *pipeline = context;
    struct mr_bytes line;
    mr_bytes_init(&line, 1 << 16);
    if (pipeline->log_json)
        mr_log_format_json(record, &line);
    else
        mr_log_format_text(record, &line);
    pipeline->log(pipeline->log_context, (enum millrace_log_level)record->level,
                  line.data ? line.data : record->message);
    mr_bytes_reset(&line);
}

int millrace_open(const struct millrace_open_options *options, struct millrace_pipeline **out)
{
    struct millrace_pipeline *pipeline = mr_calloc(1, sizeof *pipeline);
    *out = pipeline;
    if (!pipeline)
        return mr_status_exit_code(MR_NOMEM);
    pipeline->log = options->log;
    pipeline->log_context = options->log_context;
    pipeline->log_json = options->log_json;
    struct mr_session_request request = {
        .load = {.file = options->file ? options->file : "<text>",
                 .text = options->text,
                 .text_size = options->text_size,
                 .registry = &mr_registry_builtin,
                 .credentials_file = options->credentials_file,
                 .parameters = options->parameters,
                 .conf = options->conf},
        .state_path = options->state_path,
        .run_key = options->run_key && *options->run_key ? options->run_key : NULL,
        .log = options->log ? log_record : NULL,
        .log_context = pipeline,
        .log_level = (enum mr_log_level)options->log_level,
    };
    if (options->pool)
        request.pool = (struct mr_pool *)options->pool;
    if (options->stop_seconds > 0)
        request.patience_micros = options->stop_seconds * INT64_C(600000);
    if (!options->file && !options->text) {
        struct mr_error err = {0};
        mr_error_set(&err, MR_USAGE, MR_CLASS_CONFIG, "neither a file nor a text is given");
        return mr_api_end(pipeline, MR_USAGE, &err);
    }
    enum mr_status status = mr_session_open(&request, &pipeline->session, &pipeline->errors);
    return mr_api_end(pipeline, status, NULL);
}

void millrace_close(struct millrace_pipeline *pipeline)
{
    if (!pipeline)
        return;
    forget_messages(pipeline);
    mr_api_end_job(pipeline);
    mr_session_close(pipeline->session);
    mr_free(pipeline);
}

static int not_open(struct millrace_pipeline *pipeline)
{
    if (pipeline && !pipeline->session && pipeline->errors.count == 0) {
        struct mr_error err = {0};
        mr_error_set(&err, MR_USAGE, MR_CLASS_CONFIG, "the pipeline is not open");
        return mr_api_end(pipeline, MR_USAGE, &err);
    }
    return MILLRACE_USAGE;
}

int millrace_validate(struct millrace_pipeline *pipeline, bool connect)
{
    if (!pipeline || !pipeline->session)
        return not_open(pipeline);
    struct mr_error err = {0};
    mr_api_begin(pipeline);
    struct mr_session_plan_options options = {.connect = connect,
                                              .with_splits = connect,
                                              .with_sinks = true};
    enum mr_status status = mr_session_plan(pipeline->session, &options, &pipeline->errors, &err);
    return mr_api_end(pipeline, status, &err);
}

int millrace_warnings(struct millrace_pipeline *pipeline, char **out)
{
    *out = NULL;
    if (!pipeline || !pipeline->session)
        return not_open(pipeline);
    struct mr_error err = {0};
    struct mr_bytes text;
    mr_api_begin(pipeline);
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    if (pipeline->session->plan)
        mr_plan_explain_warnings(pipeline->session->plan, &text);
    enum mr_status status = mr_bytes_status(&text, &err);
    *out = mr_bytes_move(&text, NULL);
    return mr_api_end(pipeline, status, &err);
}

int millrace_plan(struct millrace_pipeline *pipeline, bool json, char **out)
{
    *out = NULL;
    if (!pipeline || !pipeline->session)
        return not_open(pipeline);
    struct mr_error err = {0};
    mr_api_begin(pipeline);
    struct mr_session_plan_options options = {.connect = true,
                                              .with_splits = true,
                                              .with_sinks = true};
    enum mr_status status = mr_session_plan(pipeline->session, &options, &pipeline->errors, &err);
    if (status == MR_OK) {
        struct mr_bytes text;
        mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
        if (json)
            mr_plan_explain_json(pipeline->session->plan, &text);
        else
            mr_plan_explain_text(pipeline->session->plan, &text);
        status = mr_bytes_status(&text, &err);
        *out = mr_bytes_move(&text, NULL);
    }
    return mr_api_end(pipeline, status, &err);
}

static void report_progress(void *context, const struct mr_exec_progress *progress, bool done)
{
    struct millrace_pipeline *pipeline = context;
    struct millrace_progress out = {
        .rows_read = progress->rows_read,
        .rows_written = progress->rows_written,
        .bytes_read = progress->bytes_read,
        .bytes_written = progress->bytes_written,
        .rows_expected = progress->rows_expected,
        .splits_done = progress->splits_done,
        .splits = progress->splits,
        .done = done,
    };
    pipeline->user_options->progress(pipeline->user_options->progress_context, &out);
}

int mr_api_run(struct millrace_pipeline *pipeline, const struct millrace_run_options *options,
               enum mr_status (*tap)(void *context, struct mr_batch *batch, bool *enough,
                                     struct mr_error *err),
               void *tap_context, char **report)
{
    static const struct millrace_run_options defaults = {0};
    char *text = NULL;
    if (report)
        *report = NULL;
    if (!pipeline || !pipeline->session)
        return not_open(pipeline);
    struct mr_error err = {0};
    mr_api_begin(pipeline);
    pipeline->user_options = options ? options : &defaults;
    struct mr_run_options run = {
        .fresh = pipeline->user_options->fresh,
        .resume = pipeline->user_options->resume,
        .adopt = pipeline->user_options->adopt,
        .metrics_path = pipeline->user_options->report_file,
        .listen = pipeline->user_options->listen,
        .progress = pipeline->user_options->progress ? report_progress : NULL,
        .progress_context = pipeline,
        .tap = tap,
        .tap_context = tap_context,
    };
    enum mr_status status = mr_run_execute(pipeline->session, &run, &text, &pipeline->errors, &err);
    if (report)
        *report = text;
    else
        mr_free(text);
    return mr_api_end(pipeline, status, &err);
}

int millrace_run(struct millrace_pipeline *pipeline, const struct millrace_run_options *options,
                 char **report)
{
    return mr_api_run(pipeline, options, NULL, NULL, report);
}

void millrace_cancel(struct millrace_pipeline *pipeline)
{
    mr_api_cancel(pipeline, MILLRACE_CANCELLED);
}

bool mr_api_drain(struct millrace_pipeline *pipeline, int code)
{
    if (!pipeline || !pipeline->session)
        return false;
    atomic_store(&pipeline->session->cancel_code, code);
    return mr_session_drain(pipeline->session);
}

bool mr_api_was_drained(const struct millrace_pipeline *pipeline)
{
    return mr_api_is_stream(pipeline) && atomic_load(&pipeline->session->drain.set);
}

bool mr_api_is_stream(const struct millrace_pipeline *pipeline)
{
    return pipeline && pipeline->session && pipeline->session->spec->mode == MR_MODE_STREAMING;
}

void millrace_stop(struct millrace_pipeline *pipeline)
{
    if (!mr_api_is_stream(pipeline))
        millrace_cancel(pipeline);
    else
        (void)mr_api_drain(pipeline, MILLRACE_CANCELLED);
}

void mr_api_cancel(struct millrace_pipeline *pipeline, int code)
{
    if (!pipeline || !pipeline->session)
        return;
    atomic_store(&pipeline->session->cancel_code, code);
    mr_session_cancel(pipeline->session);
}
