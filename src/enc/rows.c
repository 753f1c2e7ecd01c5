/*
 * rows.c - rows under construction.
 *
 * Decoders append cell by cell and may stop anywhere; builders are cut back to the last complete row then. The other way,
 * looking a record through before anything is appended, reads every byte twice for the sake of records that are rare.
 */
#include "enc/rows.h"

#include <stdio.h>

enum mr_status mr_rows_init(struct mr_rows *rows, struct mr_memory *memory,
                            const struct mr_schema *schema, struct mr_error *err)
{
    *rows = (struct mr_rows){.memory = memory};
    rows->builders = mr_calloc((size_t)schema->nfields + 1, sizeof *rows->builders);
    if (!rows->builders)
        return mr_error_nomem(err);
    rows->schema = schema;
    for (int i = 0; i < schema->nfields; i++) {
        enum mr_status status =
            mr_builder_init(&rows->builders[i], memory, schema->fields[i].type, err);
        if (status != MR_OK) {
            mr_rows_reset(rows);
            return status;
        }
    }
    return MR_OK;
}

void mr_rows_reset(struct mr_rows *rows)
{
    for (int i = 0; rows->builders && i < rows->schema->nfields; i++)
        mr_builder_reset(&rows->builders[i]);
    mr_free(rows->builders);
    rows->builders = NULL;
}

void mr_rows_rollback(struct mr_rows *rows)
{
    for (int i = 0; i < rows->schema->nfields; i++)
        mr_builder_truncate(&rows->builders[i], rows->count);
}

enum mr_status mr_rows_null(struct mr_rows *rows, bool *done, struct mr_error *err)
{
    *done = false;
    for (int i = 0; i < rows->schema->nfields; i++)
        if (!rows->schema->fields[i].nullable)
            return MR_OK;
    for (int i = 0; i < rows->schema->nfields; i++)
        MR_TRY(mr_builder_null(&rows->builders[i], err));
    rows->count++;
    *done = true;
    return MR_OK;
}

enum mr_status mr_rows_finish(struct mr_rows *rows, struct mr_batch **out, struct mr_error *err)
{
    int n = rows->schema->nfields, done = 0;
    int64_t count = rows->count;
    struct mr_column **columns = mr_calloc((size_t)n + 1, sizeof(struct mr_column *));
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    for (; done < n && status == MR_OK; done++)
        status = mr_builder_finish(&rows->builders[done], &columns[done], err);
    rows->count = 0;
    if (status == MR_OK) {
        status = mr_batch_new(rows->schema, count, columns, out, err);
    } else {
        for (int i = 0; columns && i < done; i++)
            mr_column_unref(columns[i]);
        for (int i = done; i < n; i++)
            mr_builder_truncate(&rows->builders[i], 0);
    }
    mr_free(columns);
    return status;
}

void mr_row_fault_set(struct mr_row_fault *fault, const char *column, const char *format, ...)
{
    if (fault->found)
        return;
    fault->found = true;
    fault->column = column;
    va_list args;
    va_start(args, format);
    vsnprintf(fault->reason, sizeof fault->reason, format, args);
    va_end(args);
}
