/*
 * concat.c - columns one after the other, and ranges of rows.
 *
 * Both are the same thing: a list of pieces (column, from, count) is laid end to end. Pieces of
 * FLAT columns are copied with memcpy and their offsets shifted; the elements of lists are pieces
 * of the child, so the recursion needs no row numbers. Other encodings are flattened first.
 */
#include "col/kernel.h"

#include <assert.h>

struct join {
    struct mr_memory *memory;
    struct mr_column_run *pieces;
    int n;
    int64_t rows; /* of all pieces */
    struct mr_error *err;
};

static enum mr_status join_pieces(const struct join *join, struct mr_column **out);

static enum mr_status join_validity(const struct join *join, struct mr_buffer **out, int64_t *nulls)
{
    *out = NULL;
    *nulls = 0;
    bool any = false;
    for (int i = 0; i < join->n; i++)
        any |= join->pieces[i].column->validity != NULL;
    if (!any)
        return MR_OK;
    size_t size = mr_bitmap_bytes(join->rows);
    MR_TRY(mr_buffer_new(join->memory, size, out, join->err));
    memset((*out)->data, 0, size);
    int64_t at = 0;
    for (int i = 0; i < join->n; i++) {
        const struct mr_column_run *piece = &join->pieces[i];
        mr_bitmap_copy((*out)->data, at, mr_column_validity(piece->column), piece->from,
                       piece->count);
        at += piece->count;
    }
    mr_buffer_finish(*out, size);
    *nulls = join->rows - mr_bitmap_count((*out)->data, join->rows);
    return MR_OK;
}

static enum mr_status join_fixed(const struct join *join, size_t width, struct mr_buffer **out)
{
    size_t size = (size_t)join->rows * width;
    MR_TRY(mr_buffer_new(join->memory, size, out, join->err));
    uint8_t *to = (*out)->data;
    for (int i = 0; i < join->n; i++) {
        const struct mr_column_run *piece = &join->pieces[i];
        size_t n = (size_t)piece->count * width;
        memcpy(to, piece->column->values->data + (size_t)piece->from * width, n);
        to += n;
    }
    mr_buffer_finish(*out, size);
    return MR_OK;
}

static int64_t piece_entries(const struct mr_column_run *piece)
{
    const int32_t *offsets = mr_column_offsets(piece->column);
    return (int64_t)offsets[piece->from + piece->count] - offsets[piece->from];
}

static enum mr_status join_offsets(const struct join *join, struct mr_buffer **out, int64_t *total)
{
    *total = 0;
    for (int i = 0; i < join->n; i++)
        *total += piece_entries(&join->pieces[i]);
    if (*total > INT32_MAX) {
        mr_error_set(join->err, MR_LIMIT, MR_CLASS_DATA, "a column of one batch exceeds 2 GiB");
        mr_error_hint(join->err, "lower resources.batchRows");
        return MR_LIMIT;
    }
    size_t size = (size_t)(join->rows + 1) * sizeof(int32_t);
    MR_TRY(mr_buffer_new(join->memory, size, out, join->err));
    int32_t *restrict to = (int32_t *)(void *)(*out)->data;
    int32_t base = 0;
    for (int i = 0; i < join->n; i++) {
        const struct mr_column_run *piece = &join->pieces[i];
        const int32_t *restrict from = mr_column_offsets(piece->column) + piece->from;
        int32_t shift = base - from[0];
        for (int64_t j = 0; j < piece->count; j++)
            to[j] = from[j] + shift;
        to += piece->count;
        base += (int32_t)piece_entries(piece);
    }
    *to = base;
    mr_buffer_finish(*out, size);
    return MR_OK;
}

static enum mr_status join_bytes(const struct join *join, struct mr_buffer **offsets,
                                 struct mr_buffer **data)
{
    int64_t total;
    MR_TRY(join_offsets(join, offsets, &total));
    MR_TRY(mr_buffer_new(join->memory, (size_t)total, data, join->err));
    uint8_t *to = (*data)->data;
    for (int i = 0; i < join->n; i++) {
        const struct mr_column_run *piece = &join->pieces[i];
        size_t n = (size_t)piece_entries(piece);
        if (n)
            memcpy(to, mr_column_slice(piece->column, piece->from).data, n);
        to += n;
    }
    mr_buffer_finish(*data, (size_t)total);
    return MR_OK;
}

/* Child `c` of every piece as pieces, joined. Lists give their elements, structs the same rows. */
static enum mr_status join_child(const struct join *join, int c, bool list, struct mr_column **out)
{
    struct mr_column_run *pieces = mr_calloc((size_t)join->n, sizeof *pieces);
    if (!pieces)
        return mr_error_nomem(join->err);
    struct join inner = {join->memory, pieces, 0, 0, join->err};
    enum mr_status status = MR_OK;
    for (; status == MR_OK && inner.n < join->n; inner.n++) {
        const struct mr_column_run *piece = &join->pieces[inner.n];
        struct mr_column_run *to = &pieces[inner.n];
        to->from = list ? mr_column_offsets(piece->column)[piece->from] : piece->from;
        to->count = list ? piece_entries(piece) : piece->count;
        inner.rows += to->count;
        status =
            mr_column_flatten(join->memory, piece->column->children[c], &to->column, join->err);
    }
    if (status == MR_OK)
        status = join_pieces(&inner, out);
    for (int i = 0; i < inner.n; i++)
        mr_column_unref(pieces[i].column);
    mr_free(pieces);
    return status;
}

static enum mr_status join_nested(const struct join *join, struct mr_buffer *validity,
                                  int64_t nulls, struct mr_column **out)
{
    const struct mr_column *first = join->pieces[0].column;
    bool list = mr_type_layout(first->type) == MR_LAYOUT_LIST;
    int n = 0;
    int64_t total;
    struct mr_buffer *offsets = NULL;
    struct mr_column **children = mr_calloc((size_t)first->nchildren, sizeof *children);
    enum mr_status status = children ? MR_OK : mr_error_nomem(join->err);
    if (status == MR_OK && list)
        status = join_offsets(join, &offsets, &total);
    for (; status == MR_OK && n < first->nchildren; n++)
        status = join_child(join, n, list, &children[n]);
    if (status == MR_OK) {
        status = mr_column_new_nested(first->type, join->rows, nulls, validity, offsets, children,
                                      n, out, join->err);
    } else {
        for (int i = 0; i < n; i++)
            mr_column_unref(children[i]);
        mr_buffer_unref(offsets);
        mr_buffer_unref(validity);
    }
    mr_free(children);
    return status;
}

static enum mr_status join_pieces(const struct join *join, struct mr_column **out)
{
    struct mr_column *first = join->pieces[0].column;
    enum mr_layout layout = mr_type_layout(first->type);
    struct mr_buffer *validity, *values = NULL, *data = NULL;
    int64_t nulls;
    *out = NULL;
    if (layout == MR_LAYOUT_NONE)
        return mr_column_resize_constant(first, join->rows, out, join->err);
    if (join->n == 1 && join->pieces[0].from == 0 && join->rows == first->length) {
        *out = mr_column_ref(first);
        return MR_OK;
    }
    MR_TRY(join_validity(join, &validity, &nulls));
    if (layout == MR_LAYOUT_LIST || layout == MR_LAYOUT_STRUCT)
        return join_nested(join, validity, nulls, out);
    enum mr_status status = layout == MR_LAYOUT_BYTES
                                ? join_bytes(join, &values, &data)
                                : join_fixed(join, (size_t)mr_layout_width(layout), &values);
    if (status == MR_OK)
        return mr_column_new(first->type, join->rows, nulls, validity, values, data, out,
                             join->err);
    mr_buffer_unref(validity);
    mr_buffer_unref(values);
    return status;
}

static enum mr_status range_of_codes(struct mr_memory *memory, struct mr_column *column,
                                     int64_t from, int64_t count, struct mr_column **out,
                                     struct mr_error *err)
{
    struct mr_column_run piece = {column, from, count};
    struct join join = {memory, &piece, 1, count, err};
    struct mr_buffer *validity, *codes = NULL;
    int64_t nulls;
    MR_TRY(join_validity(&join, &validity, &nulls));
    enum mr_status status = join_fixed(&join, sizeof(int32_t), &codes);
    if (status != MR_OK) {
        mr_buffer_unref(validity);
        return status;
    }
    return mr_column_new_dictionary(mr_column_ref(column->dictionary), count, nulls, validity,
                                    codes, out, err);
}

enum mr_status mr_column_range(struct mr_memory *memory, const struct mr_column *column,
                               int64_t from, int64_t count, struct mr_column **out,
                               struct mr_error *err)
{
    assert(from >= 0 && count >= 0 && from + count <= column->length);
    /* Reference counts are the one thing of a const column that may change. */
    struct mr_column *shared = (struct mr_column *)(uintptr_t)column;
    *out = NULL;
    if (from == 0 && count == column->length) {
        *out = mr_column_ref(shared);
        return MR_OK;
    }
    if (column->encoding == MR_CONSTANT || column->type->id == MR_TYPE_NULL)
        return mr_column_resize_constant(column, count, out, err);
    if (column->encoding == MR_DICTIONARY)
        return range_of_codes(memory, shared, from, count, out, err);
    struct mr_column_run piece = {shared, from, count};
    struct join join = {memory, &piece, 1, count, err};
    return join_pieces(&join, out);
}

enum mr_status mr_column_concat_runs(struct mr_memory *memory, const struct mr_column_run *runs,
                                     int nruns, struct mr_column **out, struct mr_error *err)
{
    assert(nruns > 0);
    *out = NULL;
    struct mr_column_run *pieces = mr_calloc((size_t)nruns, sizeof *pieces);
    if (!pieces)
        return mr_error_nomem(err);
    struct join join = {memory, pieces, 0, 0, err};
    enum mr_status status = MR_OK;
    for (; status == MR_OK && join.n < nruns; join.n++) {
        const struct mr_column_run *run = &runs[join.n];
        assert(mr_type_layout(run->column->type) == mr_type_layout(runs[0].column->type));
        pieces[join.n] = *run;
        join.rows += run->count;
        /* Consecutive runs of one column are flattened once. */
        if (join.n > 0 && run->column == runs[join.n - 1].column)
            pieces[join.n].column = mr_column_ref(pieces[join.n - 1].column);
        else
            status = mr_column_flatten(memory, run->column, &pieces[join.n].column, err);
    }
    if (status == MR_OK && join.rows > INT32_MAX)
        status = mr_error_set(err, MR_LIMIT, MR_CLASS_DATA, "a column of more than 2^31 rows");
    if (status == MR_OK)
        status = join_pieces(&join, out);
    for (int i = 0; i < join.n; i++)
        mr_column_unref(pieces[i].column);
    mr_free(pieces);
    return status;
}

enum mr_status mr_column_concat(struct mr_memory *memory, struct mr_column *const *columns,
                                int ncolumns, struct mr_column **out, struct mr_error *err)
{
    *out = NULL;
    struct mr_column_run *runs = mr_alloc((size_t)ncolumns * sizeof *runs);
    if (!runs)
        return mr_error_nomem(err);
    for (int i = 0; i < ncolumns; i++)
        runs[i] = (struct mr_column_run){columns[i], 0, columns[i]->length};
    enum mr_status status = mr_column_concat_runs(memory, runs, ncolumns, out, err);
    mr_free(runs);
    return status;
}

/* The batches have no selections. */
static enum mr_status concat_compact(struct mr_memory *memory, struct mr_batch *const *batches,
                                     int n, struct mr_batch **out, struct mr_error *err)
{
    const struct mr_schema *schema = batches[0]->schema;
    int64_t rows = 0;
    for (int i = 0; i < n; i++)
        rows += batches[i]->rows;
    size_t width = (size_t)schema->nfields;
    struct mr_column **scratch = mr_calloc(width + (size_t)n, sizeof *scratch);
    if (!scratch)
        return mr_error_nomem(err);
    struct mr_column **parts = scratch + width;
    enum mr_status status = MR_OK;
    for (size_t c = 0; status == MR_OK && c < width; c++) {
        for (int i = 0; i < n; i++)
            parts[i] = batches[i]->columns[c];
        status = mr_column_concat(memory, parts, n, &scratch[c], err);
    }
    if (status == MR_OK) {
        status = mr_batch_new(schema, rows, scratch, out, err);
    } else {
        for (size_t c = 0; c < width; c++)
            mr_column_unref(scratch[c]);
    }
    mr_free(scratch);
    return status;
}

enum mr_status mr_batch_concat(struct mr_memory *memory, struct mr_batch *const *batches,
                               int nbatches, struct mr_batch **out, struct mr_error *err)
{
    assert(nbatches > 0);
    *out = NULL;
    struct mr_batch **compact = mr_calloc((size_t)nbatches, sizeof(struct mr_batch *));
    if (!compact)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (int i = 0; status == MR_OK && i < nbatches; i++)
        status = mr_batch_compact(memory, batches[i], &compact[i], err);
    if (status == MR_OK)
        status = concat_compact(memory, compact, nbatches, out, err);
    for (int i = 0; i < nbatches; i++)
        mr_batch_unref(compact[i]);
    mr_free(compact);
    return status;
}
