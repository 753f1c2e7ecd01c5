/*
 * preview.c - executes the plan up to a frame and lays out what comes as a table.
 */
#include "api/preview.h"

#include "api/pipeline.h"
#include "api/text_table.h"

#include <string.h>

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

static enum mr_status fill(struct mr_session *session, struct preview *preview,
                           struct mr_error *err)
{
    struct mr_exec_result result = {0};
    preview->schema = session->plan->nodes[session->plan->result].schema;
    preview->table.ncolumns = preview->schema->nfields;
    for (int i = 0; i < preview->schema->nfields; i++) {
        const char *name = preview->schema->fields[i].name;
        MR_TRY(mr_text_table_text(&preview->table, name, strlen(name), err));
    }
    struct mr_exec_request request = {
        .plan = session->plan,
        .tap_node = session->plan->result,
        .tap = preview_tap,
        .tap_context = preview,
        .only_segment = -1,
        .only_task = -1,
    };
    enum mr_status status = mr_exec_run(session->engine, &request, &result, err);
    mr_exec_result_reset(&result);
    return status;
}

int mr_api_preview(struct millrace_pipeline *pipeline, const char *step, int64_t rows,
                   struct mr_bytes *out)
{
    struct preview preview = {.left = rows};
    struct mr_error err = {0};
    mr_api_begin(pipeline);
    struct mr_session_plan_options options = {.connect = true,
                                              .with_splits = true,
                                              .until_step = step,
                                              .rows_wanted = rows};
    enum mr_status status = mr_session_plan(pipeline->session, &options, &pipeline->errors, &err);
    if (status == MR_OK && pipeline->session->plan->result < 0)
        status = mr_error_config(&err, "the pipeline has no frame to show");
    if (status == MR_OK)
        status = fill(pipeline->session, &preview, &err);
    if (status == MR_OK && preview.schema->nfields > 0)
        status = mr_text_table_print(&preview.table, "", out, &err);
    mr_text_table_reset(&preview.table);
    return mr_api_end(pipeline, status, &err);
}
