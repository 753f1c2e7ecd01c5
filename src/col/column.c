/*
 * column.c - making, sharing and reading columns.
 *
 * A column owns references to its buffers and children, nothing else; all of the heavy storage is
 * in buffers, so retyping, constants and dictionary views share it. The children of nested columns
 * may have any encoding; the kernels are recursive, so a list of dictionary-coded strings stays
 * one.
 */
#include "col/column.h"

#include "col/builder.h"
#include "col/kernel.h"

#include <assert.h>

struct mr_column *mr_column_ref(struct mr_column *column)
{
    if (column)
        atomic_fetch_add_explicit(&column->refs, 1, memory_order_relaxed);
    return column;
}

void mr_column_unref(struct mr_column *column)
{
    if (!column || atomic_fetch_sub_explicit(&column->refs, 1, memory_order_acq_rel) > 1)
        return;
    mr_buffer_unref(column->validity);
    mr_buffer_unref(column->values);
    mr_buffer_unref(column->data);
    mr_column_unref(column->dictionary);
    for (int i = 0; i < column->nchildren; i++)
        mr_column_unref(column->children[i]);
    mr_free(column);
}

/* One allocation holds the column and its array of children. */
static struct mr_column *column_alloc(const struct mr_type *type, int64_t length, int64_t nulls,
                                      int nchildren)
{
    struct mr_column *column =
        mr_calloc(1, sizeof *column + (size_t)nchildren * sizeof column->children[0]);
    if (!column)
        return NULL;
    atomic_init(&column->refs, 1);
    column->type = type;
    column->length = length;
    column->nulls = nulls;
    column->nchildren = nchildren;
    column->children = nchildren ? (struct mr_column **)(void *)(column + 1) : NULL;
    return column;
}

/* A bitmap without a cleared bit says nothing: kernels are faster without it. */
static struct mr_buffer *useful_validity(struct mr_buffer *validity, int64_t nulls)
{
    if (nulls > 0)
        return validity;
    mr_buffer_unref(validity);
    return NULL;
}

enum mr_status mr_column_new(const struct mr_type *type, int64_t length, int64_t nulls,
                             struct mr_buffer *validity, struct mr_buffer *values,
                             struct mr_buffer *data, struct mr_column **out, struct mr_error *err)
{
    assert(!mr_type_is_nested(type));
    struct mr_column *column = column_alloc(type, length, nulls, 0);
    *out = column;
    if (!column) {
        mr_buffer_unref(validity);
        mr_buffer_unref(values);
        mr_buffer_unref(data);
        return mr_error_nomem(err);
    }
    column->validity = useful_validity(validity, nulls);
    column->values = values;
    column->data = data;
    return MR_OK;
}

enum mr_status mr_column_new_nested(const struct mr_type *type, int64_t length, int64_t nulls,
                                    struct mr_buffer *validity, struct mr_buffer *offsets,
                                    struct mr_column **children, int nchildren,
                                    struct mr_column **out, struct mr_error *err)
{
    assert(mr_type_is_nested(type));
    struct mr_column *column = column_alloc(type, length, nulls, nchildren);
    *out = column;
    if (!column) {
        mr_buffer_unref(validity);
        mr_buffer_unref(offsets);
        for (int i = 0; i < nchildren; i++)
            mr_column_unref(children[i]);
        return mr_error_nomem(err);
    }
    column->validity = useful_validity(validity, nulls);
    column->values = offsets;
    for (int i = 0; i < nchildren; i++)
        column->children[i] = children[i];
    return MR_OK;
}

enum mr_status mr_column_new_constant(struct mr_memory *memory, const struct mr_type *type,
                                      const struct mr_value *value, int64_t length,
                                      struct mr_column **out, struct mr_error *err)
{
    struct mr_builder builder;
    *out = NULL;
    MR_TRY(mr_builder_init(&builder, memory, type, err));
    enum mr_status status = mr_builder_value(&builder, value, err);
    struct mr_column *column = NULL;
    if (status == MR_OK)
        status = mr_builder_finish(&builder, &column, err);
    mr_builder_reset(&builder);
    if (status != MR_OK)
        return status;
    column->encoding = MR_CONSTANT;
    column->nulls = column->nulls ? length : 0;
    column->length = length;
    *out = column;
    return MR_OK;
}

enum mr_status mr_column_new_dictionary(struct mr_column *dictionary, int64_t length, int64_t nulls,
                                        struct mr_buffer *validity, struct mr_buffer *codes,
                                        struct mr_column **out, struct mr_error *err)
{
    assert(dictionary->encoding == MR_FLAT && dictionary->nulls == 0);
    struct mr_column *column = column_alloc(dictionary->type, length, nulls, 0);
    *out = column;
    if (!column) {
        mr_column_unref(dictionary);
        mr_buffer_unref(validity);
        mr_buffer_unref(codes);
        return mr_error_nomem(err);
    }
    column->encoding = MR_DICTIONARY;
    column->validity = useful_validity(validity, nulls);
    column->values = codes;
    column->dictionary = dictionary;
    return MR_OK;
}

/* A new column over the same storage. */
static struct mr_column *share(struct mr_column *column, const struct mr_type *type)
{
    struct mr_column *copy = column_alloc(type, column->length, column->nulls, column->nchildren);
    if (!copy)
        return NULL;
    copy->encoding = column->encoding;
    copy->validity = mr_buffer_ref(column->validity);
    copy->values = mr_buffer_ref(column->values);
    copy->data = mr_buffer_ref(column->data);
    copy->dictionary = mr_column_ref(column->dictionary);
    for (int i = 0; i < column->nchildren; i++)
        copy->children[i] = mr_column_ref(column->children[i]);
    return copy;
}

enum mr_status mr_column_resize_constant(const struct mr_column *column, int64_t length,
                                         struct mr_column **out, struct mr_error *err)
{
    assert(column->encoding == MR_CONSTANT || column->type->id == MR_TYPE_NULL);
    *out = share((struct mr_column *)(uintptr_t)column, column->type);
    if (!*out)
        return mr_error_nomem(err);
    (*out)->nulls = mr_column_is_null(column, 0) ? length : 0;
    (*out)->length = length;
    return MR_OK;
}

/* Replaces references to children by the same children under the types of `type`. */
static enum mr_status retype_children(struct mr_column *column, const struct mr_type *type,
                                      struct mr_error *err)
{
    for (int i = 0; i < column->nchildren; i++) {
        struct mr_column *child;
        MR_TRY(mr_column_retype(column->children[i], mr_type_child(type, i), &child, err));
        mr_column_unref(column->children[i]);
        column->children[i] = child;
    }
    return MR_OK;
}

enum mr_status mr_column_retype(struct mr_column *column, const struct mr_type *type,
                                struct mr_column **out, struct mr_error *err)
{
    *out = NULL;
    if (column->type == type) {
        *out = mr_column_ref(column);
        return MR_OK;
    }
    if (mr_type_layout(column->type) != mr_type_layout(type) ||
        (mr_type_is_nested(type) && column->encoding != MR_DICTIONARY &&
         (type->id == MR_TYPE_STRUCT ? type->nfields : 1) != column->nchildren))
        return mr_error_internal(err, "retype between different layouts");
    struct mr_column *copy = share(column, type);
    if (!copy)
        return mr_error_nomem(err);
    enum mr_status status = retype_children(copy, type, err);
    if (status == MR_OK && copy->dictionary) {
        struct mr_column *dictionary;
        status = mr_column_retype(copy->dictionary, type, &dictionary, err);
        if (status == MR_OK) {
            mr_column_unref(copy->dictionary);
            copy->dictionary = dictionary;
        }
    }
    if (status != MR_OK) {
        mr_column_unref(copy);
        return status;
    }
    *out = copy;
    return MR_OK;
}

static int64_t buffer_bytes(const struct mr_buffer *buffer)
{
    return buffer ? (int64_t)buffer->capacity : 0;
}

int64_t mr_column_bytes(const struct mr_column *column)
{
    int64_t total =
        buffer_bytes(column->validity) + buffer_bytes(column->values) + buffer_bytes(column->data);
    if (column->dictionary)
        total += mr_column_bytes(column->dictionary);
    for (int i = 0; i < column->nchildren; i++)
        total += mr_column_bytes(column->children[i]);
    return total;
}

static void get_fixed(const struct mr_column *column, int64_t at, struct mr_value *out)
{
    const uint8_t *data = column->values->data;
    switch (mr_type_layout(column->type)) {
    case MR_LAYOUT_I8:
        out->u.i64 = ((const int8_t *)data)[at];
        break;
    case MR_LAYOUT_I16:
        out->u.i64 = ((const int16_t *)(const void *)data)[at];
        break;
    case MR_LAYOUT_I32:
        out->u.i64 = ((const int32_t *)(const void *)data)[at];
        break;
    case MR_LAYOUT_I64:
        if (column->type->id == MR_TYPE_DECIMAL)
            out->u.i128 = ((const int64_t *)(const void *)data)[at];
        else
            out->u.i64 = ((const int64_t *)(const void *)data)[at];
        break;
    case MR_LAYOUT_I128:
        memcpy(&out->u.i128, data + at * 16, 16);
        break;
    case MR_LAYOUT_F32:
        out->u.f64 = (double)((const float *)(const void *)data)[at];
        break;
    case MR_LAYOUT_F64:
        out->u.f64 = ((const double *)(const void *)data)[at];
        break;
    case MR_LAYOUT_FIXED16:
        if (column->type->id == MR_TYPE_UUID)
            memcpy(out->u.uuid, data + at * 16, 16);
        else
            memcpy(&out->u.interval, data + at * 16, 16);
        break;
    default:
        assert(!"not a fixed-width layout");
    }
}

void mr_column_get(const struct mr_column *column, int64_t row, struct mr_value *out)
{
    assert(row >= 0 && row < column->length);
    memset(out, 0, sizeof *out);
    out->type = column->type;
    out->is_null = mr_column_is_null(column, row);
    if (out->is_null)
        return;
    if (column->encoding == MR_DICTIONARY) {
        int32_t code = ((const int32_t *)(const void *)column->values->data)[row];
        mr_column_get(column->dictionary, code, out);
        out->type = column->type;
        return;
    }
    int64_t at = column->encoding == MR_CONSTANT ? 0 : row;
    switch (mr_type_layout(column->type)) {
    case MR_LAYOUT_BYTES:
        out->u.bytes = mr_column_slice(column, at);
        break;
    case MR_LAYOUT_LIST:
    case MR_LAYOUT_STRUCT:
        out->u.nested.column = column;
        out->u.nested.row = at;
        break;
    default:
        get_fixed(column, at, out);
    }
}
