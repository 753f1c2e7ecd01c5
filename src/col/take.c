/*
 * take.c - rows picked by number, and flattening, which is picking by code.
 *
 * Every fixed-width type is one of five copy loops. Text and lists are done in two passes: lengths
 * first, so that the result is allocated once at its exact size, then the bytes. A row number below
 * zero stands for a row that does not exist (outer joins) and becomes NULL; one OR over the numbers
 * decides whether the loops must look for it.
 */
#include "col/kernel.h"

#include <assert.h>

struct pick {
    struct mr_memory *memory;
    const int32_t *rows;
    int64_t count;
    bool negative; /* some row numbers are below zero */
    struct mr_error *err;
};

static bool any_negative(const int32_t *rows, int64_t count)
{
    int32_t all = 0;
    for (int64_t i = 0; i < count; i++)
        all |= rows[i];
    return all < 0;
}

#define GATHER(name, T)                                                                            \
    static void name(void *out_, const void *in_, const struct pick *pick)                         \
    {                                                                                              \
        T *restrict out = out_;                                                                    \
        const T *restrict in = in_;                                                                \
        const int32_t *restrict rows = pick->rows;                                                 \
        if (pick->negative)                                                                        \
            for (int64_t i = 0; i < pick->count; i++)                                              \
                out[i] = rows[i] < 0 ? (T){0} : in[rows[i]];                                       \
        else                                                                                       \
            for (int64_t i = 0; i < pick->count; i++)                                              \
                out[i] = in[rows[i]];                                                              \
    }

struct sixteen {
    uint64_t low, high;
};
GATHER(gather_1, uint8_t)
GATHER(gather_2, uint16_t)
GATHER(gather_4, uint32_t)
GATHER(gather_8, uint64_t)
GATHER(gather_16, struct sixteen)

static void gather(void *out, const void *in, int width, const struct pick *pick)
{
    switch (width) {
    case 1:
        gather_1(out, in, pick);
        break;
    case 2:
        gather_2(out, in, pick);
        break;
    case 4:
        gather_4(out, in, pick);
        break;
    case 8:
        gather_8(out, in, pick);
        break;
    default:
        assert(width == 16);
        gather_16(out, in, pick);
    }
}

/* The bitmap of the picked rows, NULL when all are valid. */
static enum mr_status take_validity(const struct pick *pick, const struct mr_buffer *validity,
                                    struct mr_buffer **out, int64_t *nulls)
{
    *out = NULL;
    *nulls = 0;
    if (!validity && !pick->negative)
        return MR_OK;
    size_t size = mr_bitmap_bytes(pick->count);
    MR_TRY(mr_buffer_new(pick->memory, size, out, pick->err));
    const uint8_t *bits = validity ? validity->data : NULL;
    uint8_t *to = (*out)->data;
    for (int64_t i = 0; i < pick->count; i += 8) {
        int n = pick->count - i < 8 ? (int)(pick->count - i) : 8;
        unsigned byte = 0;
        for (int j = 0; j < n; j++) {
            int32_t row = pick->rows[i + j];
            byte |= (unsigned)(row >= 0 && mr_bitmap_get(bits, row)) << j;
        }
        *to++ = (uint8_t)byte;
    }
    mr_buffer_finish(*out, size);
    *nulls = pick->count - mr_bitmap_count((*out)->data, pick->count);
    return MR_OK;
}

static enum mr_status take_fixed(const struct pick *pick, const struct mr_buffer *values, int width,
                                 struct mr_buffer **out)
{
    size_t size = (size_t)pick->count * (size_t)width;
    MR_TRY(mr_buffer_new(pick->memory, size, out, pick->err));
    gather((*out)->data, values->data, width, pick);
    mr_buffer_finish(*out, size);
    return MR_OK;
}

/* Offsets of the picked values; the last one is their total. */
static enum mr_status take_offsets(const struct pick *pick, const struct mr_column *column,
                                   struct mr_buffer **out, int64_t *total)
{
    size_t size = (size_t)(pick->count + 1) * sizeof(int32_t);
    MR_TRY(mr_buffer_new(pick->memory, size, out, pick->err));
    int32_t *restrict to = (int32_t *)(void *)(*out)->data;
    const int32_t *restrict from = mr_column_offsets(column);
    int64_t at = 0;
    to[0] = 0;
    for (int64_t i = 0; i < pick->count; i++) {
        int32_t row = pick->rows[i];
        if (row >= 0)
            at += from[row + 1] - from[row];
        to[i + 1] = (int32_t)at;
    }
    *total = at;
    mr_buffer_finish(*out, size);
    if (at <= INT32_MAX)
        return MR_OK;
    mr_buffer_unref(*out);
    *out = NULL;
    mr_error_set(pick->err, MR_LIMIT, MR_CLASS_DATA, "a column of one batch exceeds 2 GiB");
    mr_error_hint(pick->err, "lower resources.batchRows");
    return MR_LIMIT;
}

/*
 * Most texts are short, and a call of memcpy for each costs more than its bytes. Where 16 bytes may
 * be read and written, they are, in two registers; the next value overwrites what was too much.
 */
static void copy_texts(const struct pick *pick, const struct mr_column *column,
                       const int32_t *offsets, struct mr_buffer *out)
{
    const int32_t *from = mr_column_offsets(column);
    const uint8_t *data = column->data->data;
    int64_t safe_in = (int64_t)column->data->capacity - 16;
    int64_t safe_out = (int64_t)out->capacity - 16;
    for (int64_t i = 0; i < pick->count; i++) {
        int32_t row = pick->rows[i];
        if (row < 0)
            continue;
        int32_t start = from[row], size = offsets[i + 1] - offsets[i];
        if (size <= 16 && start <= safe_in && offsets[i] <= safe_out)
            memcpy(out->data + offsets[i], data + start, 16);
        else
            memcpy(out->data + offsets[i], data + start, (size_t)size);
    }
}

static enum mr_status take_bytes(const struct pick *pick, const struct mr_column *column,
                                 struct mr_buffer *validity, int64_t nulls, struct mr_column **out)
{
    struct mr_buffer *offsets = NULL, *data = NULL;
    int64_t total;
    enum mr_status status = take_offsets(pick, column, &offsets, &total);
    if (status == MR_OK)
        status = mr_buffer_new(pick->memory, (size_t)total, &data, pick->err);
    if (status != MR_OK) {
        mr_buffer_unref(offsets);
        mr_buffer_unref(validity);
        return status;
    }
    copy_texts(pick, column, (const int32_t *)(const void *)offsets->data, data);
    mr_buffer_finish(data, (size_t)total);
    return mr_column_new(column->type, pick->count, nulls, validity, offsets, data, out, pick->err);
}

/* Row numbers of all elements of the picked lists. */
static enum mr_status element_rows(const struct pick *pick, const struct mr_column *column,
                                   int64_t total, struct mr_buffer **out)
{
    MR_TRY(mr_buffer_new(pick->memory, (size_t)total * sizeof(int32_t), out, pick->err));
    int32_t *to = (int32_t *)(void *)(*out)->data;
    const int32_t *from = mr_column_offsets(column);
    for (int64_t i = 0; i < pick->count; i++) {
        int32_t row = pick->rows[i];
        if (row < 0)
            continue;
        for (int32_t j = from[row]; j < from[row + 1]; j++)
            *to++ = j;
    }
    return MR_OK;
}

static enum mr_status take_list(const struct pick *pick, const struct mr_column *column,
                                struct mr_buffer *validity, int64_t nulls, struct mr_column **out)
{
    struct mr_buffer *offsets = NULL, *elements = NULL;
    struct mr_column *child = NULL;
    int64_t total;
    enum mr_status status = take_offsets(pick, column, &offsets, &total);
    if (status == MR_OK)
        status = element_rows(pick, column, total, &elements);
    if (status == MR_OK)
        status =
            mr_column_take(pick->memory, column->children[0],
                           (const int32_t *)(const void *)elements->data, total, &child, pick->err);
    mr_buffer_unref(elements);
    if (status != MR_OK) {
        mr_buffer_unref(offsets);
        mr_buffer_unref(validity);
        return status;
    }
    return mr_column_new_nested(column->type, pick->count, nulls, validity, offsets, &child, 1, out,
                                pick->err);
}

static enum mr_status take_struct(const struct pick *pick, const struct mr_column *column,
                                  struct mr_buffer *validity, int64_t nulls, struct mr_column **out)
{
    int n = 0;
    struct mr_column **children = mr_calloc((size_t)column->nchildren, sizeof *children);
    enum mr_status status = children ? MR_OK : mr_error_nomem(pick->err);
    for (; status == MR_OK && n < column->nchildren; n++)
        status = mr_column_take(pick->memory, column->children[n], pick->rows, pick->count,
                                &children[n], pick->err);
    if (status == MR_OK) {
        status = mr_column_new_nested(column->type, pick->count, nulls, validity, NULL, children, n,
                                      out, pick->err);
    } else {
        for (int i = 0; i < n; i++)
            mr_column_unref(children[i]);
        mr_buffer_unref(validity);
    }
    mr_free(children);
    return status;
}

static enum mr_status take_flat(const struct pick *pick, const struct mr_column *column,
                                struct mr_column **out)
{
    struct mr_buffer *validity, *values = NULL;
    int64_t nulls;
    MR_TRY(take_validity(pick, column->validity, &validity, &nulls));
    enum mr_layout layout = mr_type_layout(column->type);
    switch (layout) {
    case MR_LAYOUT_BYTES:
        return take_bytes(pick, column, validity, nulls, out);
    case MR_LAYOUT_LIST:
        return take_list(pick, column, validity, nulls, out);
    case MR_LAYOUT_STRUCT:
        return take_struct(pick, column, validity, nulls, out);
    default: {
        enum mr_status status = take_fixed(pick, column->values, mr_layout_width(layout), &values);
        if (status != MR_OK) {
            mr_buffer_unref(validity);
            return status;
        }
        return mr_column_new(column->type, pick->count, nulls, validity, values, NULL, out,
                             pick->err);
    }
    }
}

static enum mr_status take_dictionary(const struct pick *pick, const struct mr_column *column,
                                      struct mr_column **out)
{
    struct mr_buffer *validity, *codes = NULL;
    int64_t nulls;
    MR_TRY(take_validity(pick, column->validity, &validity, &nulls));
    enum mr_status status = take_fixed(pick, column->values, 4, &codes);
    if (status != MR_OK) {
        mr_buffer_unref(validity);
        return status;
    }
    return mr_column_new_dictionary(mr_column_ref(column->dictionary), pick->count, nulls, validity,
                                    codes, out, pick->err);
}

/* A FLAT column of one row over the storage of a constant, on the caller's stack. */
static struct mr_column one_row(const struct mr_column *constant)
{
    struct mr_column view = *constant;
    view.encoding = MR_FLAT;
    view.length = 1;
    view.nulls = constant->nulls ? 1 : 0;
    return view;
}

/*
 * A constant with rows missing: codes 0 into a dictionary of one entry, NULL where the row is
 * negative.
 */
static enum mr_status constant_with_gaps(const struct pick *pick, const struct mr_column *column,
                                         struct mr_column **out)
{
    static const int32_t first = 0;
    struct mr_column view = one_row(column);
    struct pick one = {pick->memory, &first, 1, false, pick->err};
    struct mr_buffer *validity, *codes = NULL;
    struct mr_column *dictionary = NULL;
    int64_t nulls;
    MR_TRY(take_validity(pick, NULL, &validity, &nulls));
    enum mr_status status = take_flat(&one, &view, &dictionary);
    size_t size = (size_t)pick->count * sizeof(int32_t);
    if (status == MR_OK)
        status = mr_buffer_new(pick->memory, size, &codes, pick->err);
    if (status != MR_OK) {
        mr_buffer_unref(validity);
        mr_column_unref(dictionary);
        return status;
    }
    memset(codes->data, 0, size);
    mr_buffer_finish(codes, size);
    return mr_column_new_dictionary(dictionary, pick->count, nulls, validity, codes, out,
                                    pick->err);
}

enum mr_status mr_column_take(struct mr_memory *memory, const struct mr_column *column,
                              const int32_t *rows, int64_t count, struct mr_column **out,
                              struct mr_error *err)
{
    *out = NULL;
    if (!rows)
        return mr_column_range(memory, column, 0, count, out, err);
    if (column->type->id == MR_TYPE_NULL)
        return mr_column_resize_constant(column, count, out, err);
    struct pick pick = {memory, rows, count, any_negative(rows, count), err};
    switch (column->encoding) {
    case MR_DICTIONARY:
        return take_dictionary(&pick, column, out);
    case MR_CONSTANT:
        if (pick.negative && column->nulls == 0)
            return constant_with_gaps(&pick, column, out);
        return mr_column_resize_constant(column, count, out, err);
    default:
        return take_flat(&pick, column, out);
    }
}

/* The codes with -1 where the row is NULL, or the codes themselves when none is. */
static enum mr_status flatten_dictionary(struct mr_memory *memory, const struct mr_column *column,
                                         struct mr_column **out, struct mr_error *err)
{
    const int32_t *codes = mr_column_offsets(column);
    if (column->nulls == 0)
        return mr_column_take(memory, column->dictionary, codes, column->length, out, err);
    struct mr_buffer *rows;
    MR_TRY(mr_buffer_new(memory, (size_t)column->length * sizeof(int32_t), &rows, err));
    int32_t *to = (int32_t *)(void *)rows->data;
    for (int64_t i = 0; i < column->length; i++)
        to[i] = mr_bitmap_get(column->validity->data, i) ? codes[i] : -1;
    enum mr_status status =
        mr_column_take(memory, column->dictionary, to, column->length, out, err);
    mr_buffer_unref(rows);
    return status;
}

static enum mr_status flatten_constant(struct mr_memory *memory, const struct mr_column *column,
                                       struct mr_column **out, struct mr_error *err)
{
    struct mr_buffer *rows;
    size_t size = (size_t)column->length * sizeof(int32_t);
    MR_TRY(mr_buffer_new(memory, size, &rows, err));
    memset(rows->data, column->nulls ? 0xFF : 0, size);
    struct mr_column view = one_row(column);
    struct pick pick = {memory, (const int32_t *)(const void *)rows->data, column->length,
                        column->nulls > 0, err};
    enum mr_status status = take_flat(&pick, &view, out);
    mr_buffer_unref(rows);
    return status;
}

enum mr_status mr_column_flatten(struct mr_memory *memory, struct mr_column *column,
                                 struct mr_column **out, struct mr_error *err)
{
    *out = NULL;
    if (column->encoding == MR_DICTIONARY)
        return flatten_dictionary(memory, column, out, err);
    if (column->encoding == MR_CONSTANT && column->type->id != MR_TYPE_NULL)
        return flatten_constant(memory, column, out, err);
    *out = mr_column_ref(column);
    return MR_OK;
}
