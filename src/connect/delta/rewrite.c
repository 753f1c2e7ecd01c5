/*
 * rewrite.c - copy on write.
 *
 * One writer takes the rows that stay of all files, so that ten files that lose most of their rows
 * become one. A file is read twice when it is written again: the first reading ends as soon as a row
 * that goes and a row that stays were seen, which is cheap, and saves the writing of all files
 * in which nothing goes. The alternative, writing while looking, stages files only to discard them.
 */
#include "connect/delta/rewrite.h"

#include "col/batch.h"
#include "connect/delta/private.h"

struct pass {
    const struct delta_rewrite *rewrite;
    struct delta_snapshot snapshot; /* under the metadata to be written: new columns are NULL */
    struct delta_want want;
    const struct delta_file *file;
    struct delta_writer *writer; /* made when it is needed */
    uint8_t *goes;
    int64_t capacity;
    struct delta_rewritten *out;
};

/* ---- one batch ---- */

static enum mr_status choose(struct pass *pass, struct mr_batch *batch, int64_t *gone,
                             struct mr_error *err)
{
    const struct mr_column *column = batch->columns[batch->schema->nfields - 1];
    struct mr_column *flat;
    if (batch->rows > pass->capacity) {
        mr_free(pass->goes);
        pass->goes = mr_alloc((size_t)batch->rows);
        pass->capacity = pass->goes ? batch->rows : 0;
        if (!pass->goes)
            return mr_error_nomem(err);
    }
    memset(pass->goes, 0, (size_t)batch->rows);
    MR_TRY(mr_column_flatten(pass->rewrite->table->runtime->memory,
                             (struct mr_column *)(uintptr_t)column, &flat, err));
    enum mr_status status =
        pass->rewrite->choose(pass->rewrite->context, pass->file, batch,
                              (const int64_t *)(const void *)flat->values->data, pass->goes, err);
    mr_column_unref(flat);
    *gone = 0;
    for (int64_t i = 0; i < batch->rows && status == MR_OK; i++)
        *gone += pass->goes[i] != 0;
    return status;
}

static enum mr_status need_writer(struct pass *pass, struct mr_error *err)
{
    const struct delta_rewrite *rewrite = pass->rewrite;
    if (pass->writer)
        return MR_OK;
    return delta_writer_new(rewrite->table, rewrite->metadata, rewrite->options, &pass->writer,
                            err);
}

/* The rows that stay, without their positions. */
static enum mr_status copy_rows(struct pass *pass, struct mr_batch *batch, int64_t gone,
                                struct mr_error *err)
{
    const struct mr_schema *schema = pass->rewrite->metadata->schema;
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof(struct mr_column *));
    int32_t *rows = mr_alloc(((size_t)batch->rows + 1) * sizeof *rows);
    struct mr_batch *all = NULL, *left = NULL;
    int64_t count = 0;
    enum mr_status status = columns && rows ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK) {
        for (int i = 0; i < schema->nfields; i++)
            columns[i] = mr_column_ref(batch->columns[i]);
        status = mr_batch_new(schema, batch->rows, columns, &all, err);
    }
    for (int64_t i = 0; status == MR_OK && i < batch->rows; i++) {
        if (!pass->goes[i])
            rows[count++] = (int32_t)i;
    }
    if (status == MR_OK && gone == 0)
        left = mr_batch_ref(all);
    else if (status == MR_OK)
        status = mr_batch_take(pass->rewrite->table->runtime->memory, all, rows, count, &left, err);
    if (status == MR_OK)
        status = need_writer(pass, err);
    if (status == MR_OK)
        status = delta_writer_add(pass->writer, left, err);
    mr_batch_unref(left);
    mr_batch_unref(all);
    mr_free(columns);
    mr_free(rows);
    return status;
}

/* ---- one file ---- */

/* Does a row of the file go, does one stay? Ends when both are known. */
static enum mr_status look(struct pass *pass, struct delta_read *read, bool *goes, bool *stays,
                           int64_t *rows, struct mr_error *err)
{
    *goes = *stays = false;
    *rows = 0;
    for (;;) {
        struct mr_batch *batch;
        int64_t gone;
        MR_TRY(delta_read_next(read, &batch, err));
        if (!batch)
            return MR_OK;
        enum mr_status status = choose(pass, batch, &gone, err);
        *goes |= gone > 0;
        *stays |= gone < batch->rows;
        *rows += batch->rows;
        mr_batch_unref(batch);
        MR_TRY(status);
        if (*goes && *stays)
            return MR_OK;
    }
}

static enum mr_status copy(struct pass *pass, struct delta_read *read, struct mr_error *err)
{
    for (;;) {
        struct mr_batch *batch;
        int64_t gone;
        MR_TRY(delta_read_next(read, &batch, err));
        if (!batch)
            return MR_OK;
        enum mr_status status = choose(pass, batch, &gone, err);
        if (status == MR_OK && gone < batch->rows)
            status = copy_rows(pass, batch, gone, err);
        pass->out->rows_gone += gone;
        pass->out->rows_copied += batch->rows - gone;
        mr_batch_unref(batch);
        MR_TRY(status);
    }
}

static enum mr_status open_file(struct pass *pass, struct delta_read **read, struct mr_error *err)
{
    return delta_read_open(pass->rewrite->table, &pass->snapshot, pass->file, &pass->want, read,
                           err);
}

static enum mr_status rewrite_file(struct pass *pass, bool *touched, struct mr_error *err)
{
    struct delta_read *read;
    bool goes, stays;
    int64_t rows;
    MR_TRY(open_file(pass, &read, err));
    enum mr_status status = look(pass, read, &goes, &stays, &rows, err);
    delta_read_close(read);
    MR_TRY(status);
    *touched = goes;
    if (goes && !stays)
        pass->out->rows_gone += rows;
    if (!goes || !stays)
        return MR_OK;
    MR_TRY(open_file(pass, &read, err));
    status = copy(pass, read, err);
    delta_read_close(read);
    return status;
}

enum mr_status delta_rewrite_files(const struct delta_rewrite *rewrite, const int *files,
                                   int nfiles, struct mr_arena *arena, struct delta_rewritten *out,
                                   struct mr_error *err)
{
    struct pass pass = {
        .rewrite = rewrite,
        .snapshot = *rewrite->snapshot,
        .want = {.schema = rewrite->metadata->schema, .positions = true, .size = INT64_MAX},
        .out = out,
    };
    pass.snapshot.metadata = *rewrite->metadata;
    out->touched = mr_arena_calloc(arena, (size_t)nfiles + 1, sizeof *out->touched);
    if (!out->touched)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (int i = 0; i < nfiles && status == MR_OK; i++) {
        pass.file = &rewrite->snapshot->files[files[i]];
        status = rewrite_file(&pass, &out->touched[i], err);
        out->ntouched += out->touched[i];
    }
    if (status == MR_OK && pass.writer)
        status = delta_writer_finish(pass.writer, &out->written, err);
    delta_writer_free(pass.writer);
    mr_free(pass.goes);
    return status;
}
