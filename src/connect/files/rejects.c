/*
 * rejects.c - records that could not be read, as rows for the quarantine.
 *
 * What the record was is kept as text; bytes that are no UTF-8 become U+FFFD. The format tells of a record in a callback that
 * cannot fail, so the first failure is kept and found after the call.
 */
#include "connect/files/read.h"

#include "base/text.h"

enum { FILE_NAME, POSITION, OFFSET, COLUMN, REASON, RECORD, COLUMNS };

const struct mr_schema *files_rejects_schema(struct mr_arena *arena)
{
    const struct mr_type *text = mr_type_of(MR_TYPE_STRING), *number = mr_type_of(MR_TYPE_INT64);
    struct mr_field fields[COLUMNS] = {
        [FILE_NAME] = {.name = "file", .type = text},
        [POSITION] = {.name = "position", .type = number, .nullable = true},
        [OFFSET] = {.name = "offset", .type = number, .nullable = true},
        [COLUMN] = {.name = "column", .type = text, .nullable = true},
        [REASON] = {.name = "reason", .type = text},
        [RECORD] = {.name = "record", .type = text, .nullable = true},
    };
    return mr_schema_new(arena, fields, COLUMNS);
}

static enum mr_status init_columns(struct files_rejects *rejects, const struct mr_schema *schema,
                                   struct mr_error *err)
{
    for (int i = 0; i < COLUMNS; i++)
        MR_TRY(mr_builder_init(&rejects->columns[i], rejects->runtime->memory,
                               schema->fields[i].type, err));
    return MR_OK;
}

enum mr_status files_rejects_init(struct files_rejects *rejects, const struct mr_schema *schema,
                                  struct mr_runtime *runtime, struct mr_error *err)
{
    *rejects = (struct files_rejects){.runtime = runtime};
    return init_columns(rejects, schema, err);
}

void files_rejects_reset(struct files_rejects *rejects)
{
    for (int i = 0; i < COLUMNS; i++)
        mr_builder_reset(&rejects->columns[i]);
}

static enum mr_status add_text(struct mr_builder *builder, const char *text, struct mr_error *err)
{
    if (text == NULL)
        return mr_builder_null(builder, err);
    return mr_builder_bytes(builder, text, strlen(text), err);
}

static enum mr_status add_number(struct mr_builder *builder, int64_t number, struct mr_error *err)
{
    return number < 0 ? mr_builder_null(builder, err) : mr_builder_int(builder, number, err);
}

static enum mr_status add_record(struct mr_builder *builder, struct mr_slice record,
                                 struct mr_error *err)
{
    if (record.data == NULL)
        return mr_builder_null(builder, err);
    size_t good = mr_utf8_valid_prefix(record.data, record.size);
    if (good == record.size)
        return mr_builder_bytes(builder, record.data, record.size, err);
    struct mr_bytes text;
    mr_bytes_init(&text, SIZE_MAX / 4);
    while (record.size > 0) {
        mr_bytes_append(&text, record.data, good);
        bool bad = good < record.size;
        if (bad)
            mr_bytes_append(&text, "\xEF\xBF\xBD", 3);
        record.data += good + bad;
        record.size -= good + bad;
        good = record.size > 0 ? mr_utf8_valid_prefix(record.data, record.size) : 0;
    }
    enum mr_status status = mr_bytes_status(&text, err);
    if (status == MR_OK)
        status = mr_builder_bytes(builder, text.data, text.size, err);
    mr_bytes_reset(&text);
    return status;
}

static enum mr_status add(struct files_rejects *rejects, const char *file,
                          const struct mr_bad_row *row, struct mr_error *err)
{
    MR_TRY(add_text(&rejects->columns[FILE_NAME], file, err));
    MR_TRY(add_number(&rejects->columns[POSITION], row->position, err));
    MR_TRY(add_number(&rejects->columns[OFFSET], row->offset, err));
    MR_TRY(add_text(&rejects->columns[COLUMN], row->column, err));
    MR_TRY(add_text(&rejects->columns[REASON], row->reason, err));
    return add_record(&rejects->columns[RECORD], row->record, err);
}

void files_rejects_add(struct files_rejects *rejects, const char *file,
                       const struct mr_bad_row *row)
{
    if (rejects->status != MR_OK)
        return;
    rejects->status = add(rejects, file, row, &rejects->err);
    rejects->rows++;
}

enum mr_status files_rejects_finish(struct files_rejects *rejects, const struct mr_schema *schema,
                                    struct mr_batch **out, struct mr_error *err)
{
    struct mr_column *columns[COLUMNS] = {NULL};
    enum mr_status status = MR_OK;
    for (int i = 0; i < COLUMNS && status == MR_OK; i++)
        status = mr_builder_finish(&rejects->columns[i], &columns[i], err);
    if (status == MR_OK)
        status = mr_batch_new(schema, rejects->rows, columns, out, err);
    else
        for (int i = 0; i < COLUMNS; i++)
            mr_column_unref(columns[i]);
    rejects->rows = 0;
    return status;
}
