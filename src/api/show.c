/*
 * show.c - an extract's own account of itself, and a sample of its rows.
 *
 * The plan of a pipeline with one extract knows all of it already, so this prints a plan's node in a form for people. The sample as JSON is
 * what the JSON format writes: there is one way from values to JSON.
 */
#include "api/show.h"

#include "api/pipeline.h"
#include "api/text_table.h"
#include "base/time.h"
#include "ext/format.h"
#include "ext/registry.h"

#include <limits.h>
#include <string.h>

struct memory_sink {
    struct mr_byte_sink base; /* first */
    struct mr_bytes bytes;
};

struct sample {
    struct mr_session *session;
    const struct mr_schema *schema;
    int64_t left;
    int64_t rows;
    bool json;
    struct mr_text_table table;
    struct memory_sink sink;
    const struct mr_format *format;
    void *writer;
};

/* --- rows --- */

static enum mr_status append(struct mr_byte_sink *sink, const void *data, size_t size,
                             struct mr_error *err)
{
    struct memory_sink *memory = (struct memory_sink *)sink;
    mr_bytes_append(&memory->bytes, data, size);
    return mr_bytes_status(&memory->bytes, err);
}

static enum mr_status write_json(struct sample *sample, struct mr_batch *batch,
                                 struct mr_error *err)
{
    struct mr_batch *first = NULL;
    int64_t rows = batch->rows < sample->left ? batch->rows : sample->left;
    MR_TRY(mr_batch_slice(sample->session->runtime.memory, batch, 0, rows, &first, err));
    enum mr_status status = sample->format->write(sample->writer, first, err);
    mr_batch_unref(first);
    sample->left -= rows;
    return status;
}

static enum mr_status take_rows(void *context, struct mr_batch *batch, bool *enough,
                                struct mr_error *err)
{
    struct sample *sample = context;
    if (sample->json)
        MR_TRY(write_json(sample, batch, err));
    for (int64_t row = 0; row < batch->rows && sample->left > 0; row++, sample->left--)
        for (int i = 0; i < sample->schema->nfields; i++)
            MR_TRY(mr_text_table_value(&sample->table, batch->columns[i], row, err));
    *enough = sample->left <= 0;
    return MR_OK;
}

static enum mr_status open_json(struct sample *sample, struct mr_error *err)
{
    struct mr_runtime *runtime = &sample->session->runtime;
    sample->format = mr_registry_format(runtime->registry, "json");
    if (!sample->format || !sample->format->write_open)
        return mr_error_internal(err, "the JSON format is not in this build");
    struct mr_format_write write = {.schema = sample->schema,
                                    .compression = "none",
                                    .level = INT_MIN,
                                    .runtime = runtime};
    sample->sink.base.append = append;
    return sample->format->write_open(&write, &sample->sink.base, &sample->writer, err);
}

static enum mr_status read_sample(struct sample *sample, struct mr_error *err)
{
    struct mr_session *session = sample->session;
    struct mr_exec_result result = {0};
    sample->table.ncolumns = sample->schema->nfields;
    if (sample->json)
        MR_TRY(open_json(sample, err));
    for (int i = 0; !sample->json && i < sample->schema->nfields; i++) {
        const char *name = sample->schema->fields[i].name;
        MR_TRY(mr_text_table_text(&sample->table, name, strlen(name), err));
    }
    struct mr_exec_request request = {
        .plan = session->plan,
        .tap_node = session->plan->result,
        .tap = take_rows,
        .tap_context = sample,
        .only_segment = -1,
        .only_task = -1,
    };
    enum mr_status status =
        sample->left > 0 ? mr_exec_run(session->engine, &request, &result, err) : MR_OK;
    mr_exec_result_reset(&result);
    struct mr_file_statistics statistics;
    if (status == MR_OK && sample->writer)
        status = sample->format->write_finish(sample->writer, &statistics, err);
    return status;
}

/* --- as text --- */

static enum mr_status print_columns(const struct mr_schema *schema, struct mr_bytes *out,
                                    struct mr_error *err)
{
    struct mr_text_table table = {.ncolumns = 3};
    enum mr_status status = MR_OK;
    for (int i = 0; i < schema->nfields && status == MR_OK; i++) {
        char type[512];
        const struct mr_field *field = &schema->fields[i];
        mr_type_text(field->type, type, sizeof type);
        const char *cells[] = {field->name, type, field->nullable ? "" : "not null"};
        for (int k = 0; k < 3 && status == MR_OK; k++)
            status = mr_text_table_text(&table, cells[k], strlen(cells[k]), err);
    }
    if (status == MR_OK)
        status = mr_text_table_print(&table, "  ", out, err);
    mr_text_table_reset(&table);
    return status;
}

static enum mr_status print_text(const struct sample *sample, const struct mr_plan_node *node,
                                 struct mr_bytes *out, struct mr_error *err)
{
    const struct mr_source_info *info = &node->source_info;
    char size[32];
    mr_bytes_printf(out, "%s\n", info->location ? info->location : "");
    if (info->rows >= 0)
        mr_bytes_printf(out, "rows: %lld\n", (long long)info->rows);
    if (info->bytes >= 0) {
        mr_size_format(info->bytes, size, sizeof size);
        mr_bytes_printf(out, "size: %s\n", size);
    }
    for (int i = 0; i < info->nnotes; i++)
        mr_bytes_printf(out, "%s\n", info->notes[i]);
    mr_bytes_printf(out, "columns:\n");
    MR_TRY(print_columns(sample->schema, out, err));
    if (sample->rows == 0)
        return mr_bytes_status(out, err);
    mr_bytes_printf(out, "first rows:\n");
    return mr_text_table_print(&sample->table, "  ", out, err);
}

/* --- as JSON --- */

static void put_string(struct mr_bytes *out, const char *text)
{
    if (text)
        mr_bytes_json_string(out, text, strlen(text));
    else
        mr_bytes_text(out, "null");
}

static void put_number(struct mr_bytes *out, const char *name, int64_t number)
{
    if (number >= 0)
        mr_bytes_printf(out, ",\"%s\":%lld", name, (long long)number);
    else
        mr_bytes_printf(out, ",\"%s\":null", name);
}

static void put_columns(struct mr_bytes *out, const struct mr_schema *schema)
{
    mr_bytes_text(out, ",\"columns\":[");
    for (int i = 0; i < schema->nfields; i++) {
        struct mr_bytes type;
        mr_bytes_init(&type, MR_BYTES_DEFAULT_MAXIMUM);
        mr_type_format(schema->fields[i].type, &type);
        mr_bytes_printf(out, "%s{\"name\":", i ? "," : "");
        put_string(out, schema->fields[i].name);
        mr_bytes_text(out, ",\"type\":");
        put_string(out, type.data);
        mr_bytes_printf(out, ",\"nullable\":%s}", schema->fields[i].nullable ? "true" : "false");
        mr_bytes_reset(&type);
    }
    mr_bytes_char(out, ']');
}

/* Lines become elements. */
static void put_sample(struct mr_bytes *out, const struct mr_bytes *lines)
{
    mr_bytes_text(out, ",\"sample\":[");
    for (size_t i = 0; i < lines->size; i++)
        if (lines->data[i] != '\n')
            mr_bytes_char(out, lines->data[i]);
        else if (i + 1 < lines->size)
            mr_bytes_char(out, ',');
    mr_bytes_char(out, ']');
}

static enum mr_status print_json(const struct sample *sample, const struct mr_plan_node *node,
                                 struct mr_bytes *out, struct mr_error *err)
{
    const struct mr_source_info *info = &node->source_info;
    mr_bytes_text(out, "{\"location\":");
    put_string(out, info->location);
    put_number(out, "rows", info->rows);
    put_number(out, "bytes", info->bytes);
    mr_bytes_text(out, ",\"notes\":[");
    for (int i = 0; i < info->nnotes; i++) {
        mr_bytes_text(out, i ? "," : "");
        put_string(out, info->notes[i]);
    }
    mr_bytes_char(out, ']');
    put_columns(out, sample->schema);
    put_sample(out, &sample->sink.bytes);
    mr_bytes_char(out, '}');
    return mr_bytes_status(out, err);
}

static enum mr_status show(struct sample *sample, struct mr_bytes *out, struct mr_error *err)
{
    const struct mr_plan *plan = sample->session->plan;
    if (plan->result < 0 || plan->nodes[plan->result].kind != MR_PLAN_SOURCE)
        return mr_error_config(err, "the pipeline does not end with an extract");
    const struct mr_plan_node *node = &plan->nodes[plan->result];
    sample->schema = node->schema;
    MR_TRY(read_sample(sample, err));
    return sample->json ? print_json(sample, node, out, err) : print_text(sample, node, out, err);
}

int mr_api_show(struct millrace_pipeline *pipeline, int64_t rows, bool json, struct mr_bytes *out)
{
    struct sample sample = {.session = pipeline->session, .left = rows, .rows = rows, .json = json};
    struct mr_error err = {0};
    mr_bytes_init(&sample.sink.bytes, SIZE_MAX / 4);
    mr_api_begin(pipeline);
    struct mr_session_plan_options options = {.connect = true,
                                              .with_splits = true,
                                              .rows_wanted = rows};
    enum mr_status status = mr_session_plan(pipeline->session, &options, &pipeline->errors, &err);
    if (status == MR_OK)
        status = show(&sample, out, &err);
    if (sample.writer)
        sample.format->write_close(sample.writer);
    mr_text_table_reset(&sample.table);
    mr_bytes_reset(&sample.sink.bytes);
    return mr_api_end(pipeline, status, &err);
}
