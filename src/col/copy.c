/*
 * copy.c - batches that share nothing with where they come from.
 *
 * Buffers remember the account that they are charged to, and the account lives as long as the
 * pipeline. Rows that leave the pipeline for good (the Arrow stream of the embedding program) must
 * neither keep its budget in use nor outlive it, so they are copied into storage without account.
 */
#include "col/kernel.h"

static enum mr_status copy_buffer(struct mr_memory *memory, const struct mr_buffer *from,
                                  struct mr_buffer **out, struct mr_error *err)
{
    *out = NULL;
    if (!from)
        return MR_OK;
    MR_TRY(mr_buffer_new(memory, from->size, out, err));
    if (from->size)
        memcpy((*out)->data, from->data, from->size);
    mr_buffer_finish(*out, from->size);
    return MR_OK;
}

/* The buffers of a FLAT column; those that were made are set also when it fails. */
static enum mr_status copy_buffers(struct mr_memory *memory, const struct mr_column *flat,
                                   struct mr_buffer *out[3], struct mr_error *err)
{
    MR_TRY(copy_buffer(memory, flat->validity, &out[0], err));
    MR_TRY(copy_buffer(memory, flat->values, &out[1], err));
    return copy_buffer(memory, flat->data, &out[2], err);
}

static enum mr_status copy_nested(struct mr_memory *memory, const struct mr_column *flat,
                                  struct mr_buffer *buffers[3], struct mr_column **out,
                                  struct mr_error *err)
{
    int n = 0;
    struct mr_column **children = mr_calloc((size_t)flat->nchildren + 1, sizeof *children);
    enum mr_status status = children ? MR_OK : mr_error_nomem(err);
    for (; status == MR_OK && n < flat->nchildren; n++)
        status = mr_column_copy(memory, flat->children[n], &children[n], err);
    if (status == MR_OK) {
        status = mr_column_new_nested(flat->type, flat->length, flat->nulls, buffers[0], buffers[1],
                                      children, n, out, err);
        buffers[0] = buffers[1] = NULL;
    } else {
        for (int i = 0; i < n; i++)
            mr_column_unref(children[i]);
    }
    mr_free(children);
    return status;
}

static enum mr_status copy_flat(struct mr_memory *memory, const struct mr_column *flat,
                                struct mr_column **out, struct mr_error *err)
{
    struct mr_buffer *buffers[3] = {NULL, NULL, NULL};
    enum mr_status status = copy_buffers(memory, flat, buffers, err);
    if (status == MR_OK && mr_type_is_nested(flat->type)) {
        status = copy_nested(memory, flat, buffers, out, err);
    } else if (status == MR_OK) {
        status = mr_column_new(flat->type, flat->length, flat->nulls, buffers[0], buffers[1],
                               buffers[2], out, err);
        buffers[0] = buffers[1] = buffers[2] = NULL;
    }
    for (int i = 0; i < 3; i++)
        mr_buffer_unref(buffers[i]);
    return status;
}

enum mr_status mr_column_copy(struct mr_memory *memory, struct mr_column *column,
                              struct mr_column **out, struct mr_error *err)
{
    struct mr_column *flat;
    *out = NULL;
    if (column->type->id == MR_TYPE_NULL)
        return mr_column_new(column->type, column->length, column->length, NULL, NULL, NULL, out,
                             err);
    MR_TRY(mr_column_flatten(memory, column, &flat, err));
    enum mr_status status = copy_flat(memory, flat, out, err);
    mr_column_unref(flat);
    return status;
}

enum mr_status mr_batch_copy(struct mr_memory *memory, struct mr_batch *batch,
                             struct mr_batch **out, struct mr_error *err)
{
    struct mr_batch *compact;
    *out = NULL;
    MR_TRY(mr_batch_compact(memory, batch, &compact, err));
    int n = 0, nfields = batch->schema->nfields;
    struct mr_column **columns = mr_calloc((size_t)nfields + 1, sizeof *columns);
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    for (; status == MR_OK && n < nfields; n++)
        status = mr_column_copy(memory, compact->columns[n], &columns[n], err);
    if (status == MR_OK)
        status = mr_batch_new(batch->schema, compact->rows, columns, out, err);
    else
        for (int i = 0; i < n; i++)
            mr_column_unref(columns[i]);
    mr_free(columns);
    mr_batch_unref(compact);
    return status;
}
