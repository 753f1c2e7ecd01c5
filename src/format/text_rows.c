/*
 * text_rows.c - batches and bad rows of text files.
 *
 * A bad record is reported once, with its first fault, whatever becomes of it. Its line is known while a file is read from
 * its start; for a later range it is counted only for an error that ends the run, which is worth a pass over the file.
 */
#include "format/text_rows.h"

#include "format/text_reader.h"

#define BATCH_ROWS 32768

static enum mr_status add_position(struct mr_text_rows *rows, const struct mr_schema *schema,
                                   struct mr_error *err)
{
    struct mr_field *fields =
        mr_arena_calloc(&rows->arena, (size_t)schema->nfields + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    for (int i = 0; i < schema->nfields; i++)
        fields[i] = schema->fields[i];
    fields[schema->nfields] =
        (struct mr_field){.name = "row position", .type = mr_type_of(MR_TYPE_INT64)};
    rows->positioned = mr_schema_new(&rows->arena, fields, schema->nfields + 1);
    if (!rows->positioned)
        return mr_error_nomem(err);
    return mr_builder_init(&rows->positions, rows->read->runtime->memory, mr_type_of(MR_TYPE_INT64),
                           err);
}

enum mr_status mr_text_rows_init(struct mr_text_rows *rows, const struct mr_format_read *read,
                                 const struct mr_schema *schema, bool plain, struct mr_error *err)
{
    *rows = (struct mr_text_rows){.read = read, .plain = plain, .most = BATCH_ROWS};
    if (read->runtime->batch_rows > 0)
        rows->most = read->runtime->batch_rows;
    mr_arena_init(&rows->arena, NULL);
    MR_TRY(mr_rows_init(&rows->rows, read->runtime->memory, schema, err));
    return read->row_positions ? add_position(rows, schema, err) : MR_OK;
}

void mr_text_rows_reset(struct mr_text_rows *rows)
{
    if (rows->rows.builders)
        mr_rows_reset(&rows->rows);
    if (rows->positioned)
        mr_builder_reset(&rows->positions);
    if (rows->read)
        mr_arena_reset(&rows->arena);
}

enum mr_status mr_text_fault(const struct mr_format_read *read, bool plain,
                             const struct mr_row_fault *fault, const struct mr_text_place *place,
                             struct mr_error *err)
{
    int64_t line = place->line;
    if (line < 0 && plain)
        line = mr_text_line_at(read, place->offset);
    if (fault->column)
        mr_error_data(err, MR_SOURCE, "column '%s': %s", fault->column, fault->reason);
    else
        mr_error_data(err, MR_SOURCE, "bad record: %s", fault->reason);
    if (!err)
        return MR_SOURCE;
    if (line > 0)
        mr_error_where(err, "%s: line %lld", read->source->name, (long long)line);
    else
        mr_error_where(err, "%s: byte %lld", read->source->name, (long long)place->offset);
    mr_error_hint(err, "onError says what becomes of rows that cannot be read: fail, null, drop, "
                       "quarantine");
    return MR_SOURCE;
}

static void report(const struct mr_text_rows *rows, const struct mr_row_fault *fault,
                   const struct mr_text_place *place)
{
    struct mr_bad_row bad = {
        .position = place->line,
        .offset = place->offset,
        .column = fault->column,
        .reason = fault->reason,
        .record = place->record,
    };
    if (rows->read->bad)
        rows->read->bad(rows->read->bad_context, &bad);
}

enum mr_status mr_text_rows_settle(struct mr_text_rows *rows, int64_t before,
                                   const struct mr_row_fault *fault,
                                   const struct mr_text_place *place, struct mr_error *err)
{
    int64_t position = rows->position++;
    if (fault->found) {
        bool done = rows->rows.count > before;
        if (rows->read->on_error == MR_ON_ERROR_NULL && !done)
            MR_TRY(mr_rows_null(&rows->rows, &done, err));
        if (rows->read->on_error == MR_ON_ERROR_FAIL ||
            (rows->read->on_error == MR_ON_ERROR_NULL && !done))
            return mr_text_fault(rows->read, rows->plain, fault, place, err);
        report(rows, fault, place);
    }
    if (rows->positioned && rows->rows.count > before)
        return mr_builder_int(&rows->positions, position, err);
    return MR_OK;
}

/* The batch with the column of positions behind its own. */
static enum mr_status with_positions(struct mr_text_rows *rows, struct mr_batch *batch,
                                     struct mr_batch **out, struct mr_error *err)
{
    int n = batch->schema->nfields;
    struct mr_column *positions;
    MR_TRY(mr_builder_finish(&rows->positions, &positions, err));
    struct mr_column **columns = mr_calloc((size_t)n + 1, sizeof(struct mr_column *));
    if (!columns) {
        mr_column_unref(positions);
        return mr_error_nomem(err);
    }
    for (int i = 0; i < n; i++)
        columns[i] = mr_column_ref(batch->columns[i]);
    columns[n] = positions;
    enum mr_status status = mr_batch_derive(batch, rows->positioned, columns, out, err);
    mr_free(columns);
    return status;
}

enum mr_status mr_text_rows_finish(struct mr_text_rows *rows, struct mr_batch **out,
                                   struct mr_error *err)
{
    struct mr_batch *batch;
    *out = NULL;
    if (rows->rows.count == 0)
        return MR_OK;
    MR_TRY(mr_rows_finish(&rows->rows, &batch, err));
    if (!rows->positioned) {
        *out = batch;
        return MR_OK;
    }
    enum mr_status status = with_positions(rows, batch, out, err);
    mr_batch_unref(batch);
    return status;
}
