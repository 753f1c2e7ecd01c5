/*
 * batch.c - batches and selections.
 *
 * Batches are small records over shared columns, so that deriving, selecting and re-labelling cost
 * one allocation and some reference counts, never a copy of data. Slicing copies: columns have no
 * offset, which keeps every kernel free of one.
 */
#include "col/batch.h"

#include "col/kernel.h"

#include <assert.h>

enum mr_status mr_batch_new(const struct mr_schema *schema, int64_t rows,
                            struct mr_column **columns, struct mr_batch **out, struct mr_error *err)
{
    size_t n = (size_t)schema->nfields;
    struct mr_batch *batch = mr_calloc(1, sizeof *batch + n * sizeof batch->columns[0]);
    *out = batch;
    if (!batch) {
        for (size_t i = 0; i < n; i++)
            mr_column_unref(columns[i]);
        return mr_error_nomem(err);
    }
    atomic_init(&batch->refs, 1);
    batch->schema = schema;
    batch->rows = rows;
    batch->columns = (struct mr_column **)(void *)(batch + 1);
    for (size_t i = 0; i < n; i++) {
        assert(columns[i]->length == rows);
        batch->columns[i] = columns[i];
    }
    return MR_OK;
}

struct mr_batch *mr_batch_ref(struct mr_batch *batch)
{
    if (batch)
        atomic_fetch_add_explicit(&batch->refs, 1, memory_order_relaxed);
    return batch;
}

void mr_batch_unref(struct mr_batch *batch)
{
    if (!batch || atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (int i = 0; i < batch->schema->nfields; i++)
        mr_column_unref(batch->columns[i]);
    mr_selection_unref(batch->selection);
    mr_free(batch);
}

enum mr_status mr_batch_select(struct mr_batch *batch, struct mr_selection *selection,
                               struct mr_batch **out, struct mr_error *err)
{
    for (int i = 0; i < batch->schema->nfields; i++)
        mr_column_ref(batch->columns[i]);
    enum mr_status status = mr_batch_new(batch->schema, batch->rows, batch->columns, out, err);
    if (status != MR_OK) {
        mr_selection_unref(selection);
        return status;
    }
    (*out)->selection = selection;
    return MR_OK;
}

enum mr_status mr_batch_derive(const struct mr_batch *batch, const struct mr_schema *schema,
                               struct mr_column **columns, struct mr_batch **out,
                               struct mr_error *err)
{
    MR_TRY(mr_batch_new(schema, batch->rows, columns, out, err));
    (*out)->selection = mr_selection_ref(batch->selection);
    return MR_OK;
}

/* The columns of `out` were filled one by one: a failure leaves `n` of them. */
static enum mr_status assemble(enum mr_status status, const struct mr_schema *schema, int64_t rows,
                               struct mr_column **columns, int n, struct mr_batch **out,
                               struct mr_error *err)
{
    if (status == MR_OK)
        status = mr_batch_new(schema, rows, columns, out, err);
    else
        for (int i = 0; i < n; i++)
            mr_column_unref(columns[i]);
    mr_free(columns);
    return status;
}

enum mr_status mr_batch_take(struct mr_memory *memory, const struct mr_batch *batch,
                             const int32_t *rows, int64_t count, struct mr_batch **out,
                             struct mr_error *err)
{
    *out = NULL;
    int n = 0;
    struct mr_column **columns = mr_alloc((size_t)batch->schema->nfields * sizeof *columns);
    if (!columns)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (; n < batch->schema->nfields && status == MR_OK; n++)
        status = mr_column_take(memory, batch->columns[n], rows, count, &columns[n], err);
    if (status != MR_OK)
        n--;
    return assemble(status, batch->schema, count, columns, n, out, err);
}

enum mr_status mr_batch_compact(struct mr_memory *memory, struct mr_batch *batch,
                                struct mr_batch **out, struct mr_error *err)
{
    if (!batch->selection) {
        *out = mr_batch_ref(batch);
        return MR_OK;
    }
    if (batch->selection->count == batch->rows)
        return mr_batch_select(batch, NULL, out, err);
    return mr_batch_take(memory, batch, mr_selection_rows(batch->selection),
                         batch->selection->count, out, err);
}

static enum mr_status slice_all(struct mr_memory *memory, struct mr_batch *batch, int64_t from,
                                int64_t count, struct mr_batch **out, struct mr_error *err)
{
    if (from == 0 && count == batch->rows) {
        *out = mr_batch_ref(batch);
        return MR_OK;
    }
    int n = 0;
    struct mr_column **columns = mr_alloc((size_t)batch->schema->nfields * sizeof *columns);
    if (!columns)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (; n < batch->schema->nfields && status == MR_OK; n++)
        status = mr_column_range(memory, batch->columns[n], from, count, &columns[n], err);
    if (status != MR_OK)
        n--;
    return assemble(status, batch->schema, count, columns, n, out, err);
}

enum mr_status mr_batch_slice(struct mr_memory *memory, struct mr_batch *batch, int64_t from,
                              int64_t count, struct mr_batch **out, struct mr_error *err)
{
    *out = NULL;
    assert(from >= 0 && count >= 0 && from + count <= mr_batch_active(batch));
    if (batch->selection)
        return mr_batch_take(memory, batch, mr_selection_rows(batch->selection) + from, count, out,
                             err);
    return slice_all(memory, batch, from, count, out, err);
}

int64_t mr_batch_bytes(const struct mr_batch *batch)
{
    int64_t total = 0;
    for (int i = 0; i < batch->schema->nfields; i++)
        total += mr_column_bytes(batch->columns[i]);
    if (batch->selection)
        total += (int64_t)batch->selection->rows->capacity;
    return total;
}

enum mr_status mr_selection_new(struct mr_buffer *rows, int64_t count, struct mr_selection **out,
                                struct mr_error *err)
{
    struct mr_selection *selection = mr_alloc(sizeof *selection);
    *out = selection;
    if (!selection) {
        mr_buffer_unref(rows);
        return mr_error_nomem(err);
    }
    atomic_init(&selection->refs, 1);
    selection->count = count;
    selection->rows = rows;
    return MR_OK;
}

struct mr_selection *mr_selection_ref(struct mr_selection *selection)
{
    if (selection)
        atomic_fetch_add_explicit(&selection->refs, 1, memory_order_relaxed);
    return selection;
}

void mr_selection_unref(struct mr_selection *selection)
{
    if (!selection || atomic_fetch_sub_explicit(&selection->refs, 1, memory_order_acq_rel) > 1)
        return;
    mr_buffer_unref(selection->rows);
    mr_free(selection);
}
