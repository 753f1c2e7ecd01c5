/*
 * batch.h - a schema and its columns: the unit that flows.
 *
 * Immutable once finished and reference counted. A batch may carry a selection: the rows that
 * count, ascending. It never crosses a queue and reaches only operators and sinks that say they
 * take it (MR_OP_TAKES_SELECTION).
 */
#ifndef MR_COL_BATCH_H
#define MR_COL_BATCH_H

#include "col/column.h"

struct mr_selection {
    atomic_int_fast32_t refs;
    int64_t count;
    struct mr_buffer *rows; /* int32 row numbers, ascending */
};

struct mr_batch {
    atomic_int_fast32_t refs;
    const struct mr_schema *schema;
    int64_t rows; /* length of every column */
    struct mr_column **columns;
    struct mr_selection *selection; /* NULL = all rows */
};

/* Takes over the references in `columns` (copies the array), also when it fails. */
enum mr_status mr_batch_new(const struct mr_schema *schema, int64_t rows,
                            struct mr_column **columns, struct mr_batch **out,
                            struct mr_error *err);
struct mr_batch *mr_batch_ref(struct mr_batch *batch);
/*
 * The same columns and selection to be looked at under another selection while the batch lives; it
 * has no references of its own. (A plain copy would read the count that other threads change.)
 */
static inline struct mr_batch mr_batch_view(const struct mr_batch *batch)
{
    return (struct mr_batch){.schema = batch->schema,
                             .rows = batch->rows,
                             .columns = batch->columns,
                             .selection = batch->selection};
}
/* NULL is allowed. */
void mr_batch_unref(struct mr_batch *batch);
/* A batch of the same columns with this selection (takes the reference; NULL removes it). */
enum mr_status mr_batch_select(struct mr_batch *batch, struct mr_selection *selection,
                               struct mr_batch **out, struct mr_error *err);
/*
 * Same rows and selection under another schema: column i of the result is columns[i]
 * (references taken over).
 */
enum mr_status mr_batch_derive(const struct mr_batch *batch, const struct mr_schema *schema,
                               struct mr_column **columns, struct mr_batch **out,
                               struct mr_error *err);
/*
 * Applies the selection: the result has none. A new reference to the same batch when there is none.
 */
enum mr_status mr_batch_compact(struct mr_memory *memory, struct mr_batch *batch,
                                struct mr_batch **out, struct mr_error *err);
/*
 * Row i of the result is row rows[i] of the batch's columns (its selection does not count; rows >=
 * 0).
 */
enum mr_status mr_batch_take(struct mr_memory *memory, const struct mr_batch *batch,
                             const int32_t *rows, int64_t count, struct mr_batch **out,
                             struct mr_error *err);
/* Rows [from, from + count), compacted first. */
enum mr_status mr_batch_slice(struct mr_memory *memory, struct mr_batch *batch, int64_t from,
                              int64_t count, struct mr_batch **out, struct mr_error *err);
/* Rows that count. */
static inline int64_t mr_batch_active(const struct mr_batch *batch)
{
    return batch->selection ? batch->selection->count : batch->rows;
}
int64_t mr_batch_bytes(const struct mr_batch *batch);

/* Takes over the buffer of int32 row numbers. */
enum mr_status mr_selection_new(struct mr_buffer *rows, int64_t count, struct mr_selection **out,
                                struct mr_error *err);
struct mr_selection *mr_selection_ref(struct mr_selection *selection);
void mr_selection_unref(struct mr_selection *selection);
static inline const int32_t *mr_selection_rows(const struct mr_selection *selection)
{
    return selection ? (const int32_t *)(const void *)selection->rows->data : NULL;
}

#endif
