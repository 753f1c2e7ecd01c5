/*
 * preview.c - executes the plan up to a frame, or reads the target of a load, and lays out what comes as a table.
 *
 * A target is read by the plan of run/read_back.h, so what is shown is what others find there, and not what the pipeline would
 * make now: an incremental one has nothing to read behind its own run. Records of a topic are shown as they are, with key and offset;
 * those of Avro with a registry as columns.
 */
#include "api/preview.h"

#include "api/pipeline.h"
#include "api/text_table.h"
#include "run/read_back.h"

#include <string.h>

#define RECORD_MOST 160 /* bytes of a record's value: some columns of JSON */

struct preview {
    const struct mr_schema *schema;
    int64_t left;
    struct mr_text_table table;
};

static enum mr_status preview_tap(void *context, struct mr_batch *batch, bool *enough,
                                  struct mr_error *err)
{
    struct preview *preview = context;
    for (int64_t row = 0; row < batch->rows && preview->left > 0; row++, preview->left--)
        for (int i = 0; i < preview->schema->nfields; i++)
            MR_TRY(mr_text_table_value(&preview->table, batch->columns[i], row, err));
    *enough = preview->left <= 0;
    return MR_OK;
}

static enum mr_status fill(struct mr_session *session, struct mr_plan *plan,
                           struct preview *preview, struct mr_error *err)
{
    struct mr_exec_result result = {0};
    preview->schema = plan->nodes[plan->result].schema;
    preview->table.ncolumns = preview->schema->nfields;
    for (int i = 0; i < preview->schema->nfields; i++) {
        const char *name = preview->schema->fields[i].name;
        MR_TRY(mr_text_table_text(&preview->table, name, strlen(name), err));
    }
    struct mr_exec_request request = {
        .plan = plan,
        .tap_node = plan->result,
        .tap = preview_tap,
        .tap_context = preview,
        .only_segment = -1,
        .only_task = -1,
    };
    enum mr_status status = mr_exec_run(session->engine, &request, &result, err);
    mr_exec_result_reset(&result);
    return status;
}

/* ---- a frame ---- */

static enum mr_status show_frame(struct millrace_pipeline *pipeline,
                                 const struct mr_api_preview_options *wanted,
                                 struct preview *preview, struct mr_error *err)
{
    struct mr_session *session = pipeline->session;
    struct mr_session_plan_options options = {.connect = true,
                                              .with_splits = true,
                                              .until_step = wanted->step,
                                              .rows_wanted = wanted->rows};
    MR_TRY(mr_session_plan(session, &options, &pipeline->errors, err));
    if (session->plan->result < 0)
        return mr_error_config(err, "the pipeline has no frame to show");
    return fill(session, session->plan, preview, err);
}

/* ---- what was written ---- */

static enum mr_status find_load(const struct mr_spec *spec, const char *name,
                                const struct mr_step_spec **out, struct mr_error *err)
{
    *out = NULL;
    for (int i = 0; i < spec->nsteps; i++) {
        const struct mr_step_spec *step = &spec->steps[i];
        if (step->type == MR_STEP_LOAD && (!name || mr_step_is_called(step, name)))
            *out = step;
    }
    if (!*out)
        return name ? mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG,
                                   "no load \"%s\": give its name or the number of its step", name)
                    : mr_error_config(err, "the pipeline has no load");
    if (!mr_read_back_method(*out))
        return mr_error_config(err, "%s: what it writes cannot be read here", (*out)->label);
    return MR_OK;
}

/* Keys and values as text, unless they are Avro: {name, expression} of format raw. */
static enum mr_status add_record(struct mr_read_back *back, bool text, struct mr_error *err)
{
    const char *const columns[][2] = {{"partition", "partition"},
                                      {"offset", "offset"},
                                      {"timestamp", "timestamp"},
                                      {"key", "CAST(key AS STRING)"},
                                      {"value", text ? "CAST(value AS STRING)" : "value"}};
    struct mr_arena *arena = &back->session->arena;
    struct mr_options *options;
    MR_TRY(mr_read_back_step(back, "selectColumns", &options, err));
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        MR_TRY(mr_options_add_pair(arena, options, "columns", columns[i][0], columns[i][1], err));
    return mr_options_fill_defaults(arena, options, err);
}

/* Records of a topic, from the first on that is kept. */
static enum mr_status add_topic(struct mr_read_back *back, struct mr_options *options,
                                struct mr_error *err)
{
    const struct mr_options *load = back->load->options;
    bool avro =
        strcmp(mr_options_text(load, "format"), "avro") == 0 && !mr_options_has(load, "value");
    if (!mr_options_has(load, "topic"))
        return mr_error_config(err, "%s: its topics are named by the rows; `topic` names none",
                               back->load->label);
    if (avro && mr_options_has(load, "schemaRegistry") && !mr_options_has(load, "subject"))
        return MR_OK;
    MR_TRY(mr_options_set_text(&back->session->arena, options, "format", "raw", err));
    return add_record(back, !avro, err);
}

static enum mr_status show_written(struct millrace_pipeline *pipeline,
                                   const struct mr_api_preview_options *wanted,
                                   struct preview *preview, struct mr_error *err)
{
    struct mr_session *session = pipeline->session;
    struct mr_read_back back = {0};
    struct mr_options *options;
    const struct mr_step_spec *load;
    MR_TRY(mr_session_fetch_credentials(session, &pipeline->errors, err));
    MR_TRY(mr_spec_need_credentials(session->spec, err));
    MR_TRY(find_load(session->spec, wanted->step, &load, err));
    mr_read_back_init(&back, session, load);
    enum mr_status status = mr_read_back_source(&back, &options, err);
    if (status == MR_OK && strcmp(mr_read_back_method(load), "fromKafka") == 0) {
        preview->table.most = RECORD_MOST;
        status = add_topic(&back, options, err);
    }
    if (status == MR_OK)
        status = mr_read_back_plan(&back, true, wanted->rows, err);
    if (status == MR_OK)
        status = fill(session, back.plan, preview, err);
    mr_read_back_reset(&back);
    return status;
}

int mr_api_preview(struct millrace_pipeline *pipeline, const struct mr_api_preview_options *options,
                   struct mr_bytes *out)
{
    struct preview preview = {.left = options->rows};
    struct mr_error err = {0};
    mr_api_begin(pipeline);
    enum mr_status status = options->written ? show_written(pipeline, options, &preview, &err)
                                             : show_frame(pipeline, options, &preview, &err);
    if (status == MR_OK && preview.schema->nfields > 0)
        status = mr_text_table_print(&preview.table, "", out, &err);
    mr_text_table_reset(&preview.table);
    return mr_api_end(pipeline, status, &err);
}
