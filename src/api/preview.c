/*
 * preview.c - executes the plan up to a frame and lays out what comes as a table.
 *
 * Cells are collected first, because a column is as wide as its widest cell.
 */
#include "api/preview.h"

#include "api/pipeline.h"

#include <string.h>

#define MAX_CELL 40

struct preview {
    const struct mr_schema *schema;
    int64_t left;
    char **cells; /* row after row behind a row of names */
    int64_t ncells;
    int64_t capacity;
};

static enum mr_status add_cell(struct preview *preview, const char *text, size_t size,
                               struct mr_error *err)
{
    if (preview->ncells == preview->capacity) {
        int64_t capacity = preview->capacity ? preview->capacity * 2 : 256;
        char **cells = mr_realloc(preview->cells, (size_t)capacity * sizeof(*cells));
        if (!cells)
            return mr_error_nomem(err);
        preview->cells = cells;
        preview->capacity = capacity;
    }
    char *cell = mr_strndup(text, size);
    if (!cell)
        return mr_error_nomem(err);
    preview->cells[preview->ncells++] = cell;
    return MR_OK;
}

static enum mr_status add_value(struct preview *preview, const struct mr_column *column,
                                int64_t row, struct mr_error *err)
{
    struct mr_bytes text;
    struct mr_value value;
    mr_bytes_init(&text, 1 << 20);
    mr_column_get(column, row, &value);
    mr_value_format(&value, &text);
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < ' ')
            text.data[i] = ' ';
    size_t size = text.size;
    if (size > MAX_CELL) {
        size = MAX_CELL - 3;
        while (size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80)
            size--;
        memcpy(text.data + size, "...", 3);
        size += 3;
    }
    enum mr_status status = add_cell(preview, text.data ? text.data : "", size, err);
    mr_bytes_reset(&text);
    return status;
}

static enum mr_status preview_tap(void *context, struct mr_batch *batch, bool *enough,
                                  struct mr_error *err)
{
    struct preview *preview = context;
    for (int64_t row = 0; row < batch->rows && preview->left > 0; row++, preview->left--)
        for (int i = 0; i < preview->schema->nfields; i++)
            MR_TRY(add_value(preview, batch->columns[i], row, err));
    *enough = preview->left <= 0;
    return MR_OK;
}

/* Columns on a terminal, each code point taken as one wide. */
static int64_t width_of(const char *text)
{
    int64_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static enum mr_status lay_out(const struct preview *preview, struct mr_bytes *out,
                              struct mr_error *err)
{
    int ncolumns = preview->schema->nfields;
    int64_t *widths = mr_calloc((size_t)ncolumns + 1, sizeof *widths);
    if (!widths)
        return mr_error_nomem(err);
    for (int64_t i = 0; i < preview->ncells; i++) {
        int64_t width = width_of(preview->cells[i]);
        if (width > widths[i % ncolumns])
            widths[i % ncolumns] = width;
    }
    for (int64_t i = 0; i < preview->ncells; i++) {
        int column = (int)(i % ncolumns);
        bool last = column == ncolumns - 1;
        int pad = last ? 0 : (int)(widths[column] - width_of(preview->cells[i])) + 2;
        mr_bytes_printf(out, "%s%*s%s", preview->cells[i], pad, "", last ? "\n" : "");
    }
    mr_free(widths);
    return mr_bytes_status(out, err);
}

static enum mr_status fill(struct mr_session *session, struct preview *preview,
                           struct mr_error *err)
{
    struct mr_exec_result result = {0};
    preview->schema = session->plan->nodes[session->plan->result].schema;
    for (int i = 0; i < preview->schema->nfields; i++) {
        const char *name = preview->schema->fields[i].name;
        MR_TRY(add_cell(preview, name, strlen(name), err));
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
        status = lay_out(&preview, out, &err);
    for (int64_t i = 0; i < preview.ncells; i++)
        mr_free(preview.cells[i]);
    mr_free(preview.cells);
    return mr_api_end(pipeline, status, &err);
}
