/*
 * cast.c - which kernel does a cast, and casts of lists, structs and maps element by element.
 */
#include "sql/cast.h"

#include "sql/cast_kernels.h"
#include "sql/coerce.h"
#include "sql/eval.h"

static mr_kernel_fn to_text(const struct mr_type *from)
{
    if (mr_type_is_string(from))
        return mr_cast_retype;
    return from->id == MR_TYPE_BINARY ? mr_cast_binary : mr_cast_to_text;
}

static mr_kernel_fn from_number(const struct mr_type *to)
{
    if (mr_type_is_integer(to))
        return mr_cast_to_integer;
    if (mr_type_is_float(to))
        return mr_cast_to_float;
    switch (to->id) {
    case MR_TYPE_BOOL:
        return mr_cast_number_to_bool;
    case MR_TYPE_DECIMAL:
        return mr_cast_to_decimal;
    case MR_TYPE_TIMESTAMP:
        return mr_cast_number_to_timestamp;
    case MR_TYPE_BINARY:
        return mr_cast_integer_to_binary;
    default:
        return NULL;
    }
}

mr_kernel_fn mr_cast_kernel(const struct mr_type *from, const struct mr_type *to)
{
    if (mr_type_is_string(to))
        return to_text(from);
    if (mr_type_is_nested(to))
        return mr_cast_nested;
    if (mr_type_is_string(from))
        return to->id == MR_TYPE_BINARY ? mr_cast_retype : mr_cast_from_text;
    if (mr_type_is_datetime(from) && mr_type_is_datetime(to))
        return mr_cast_datetime;
    switch (from->id) {
    case MR_TYPE_NULL:
        return mr_cast_retype;
    case MR_TYPE_DATE:
        return mr_cast_to_null;
    case MR_TYPE_TIMESTAMP:
        return mr_cast_timestamp_to_number;
    case MR_TYPE_BINARY:
    case MR_TYPE_UUID:
        return mr_cast_binary;
    default:
        return from_number(to);
    }
}

bool mr_cast_may_null(const struct mr_type *from, const struct mr_type *to)
{
    /* NaN and the infinities are no decimals; text that is no interval. */
    return from->id == MR_TYPE_NULL || (mr_type_is_float(from) && to->id == MR_TYPE_DECIMAL) ||
           (mr_type_is_string(from) && to->id == MR_TYPE_INTERVAL && to->precision == 0);
}

/* Casts a child column, whose rows are elements: only those that a selected, valid row of the parent refers to. */
static enum mr_status cast_child(struct mr_call *call, struct mr_column *child,
                                 const struct mr_type *type, const int32_t *rows, int64_t count,
                                 struct mr_column **out)
{
    if (mr_type_equal(child->type, type)) {
        *out = mr_column_ref(child);
        return MR_OK;
    }
    struct mr_node node = *call->node;
    struct mr_impl impl = {.kernel = mr_cast_kernel(child->type, type)};
    struct mr_batch batch = {.rows = child->length};
    const struct mr_batch *outer = call->eval->batch;
    struct mr_selected selected = {.rows = rows, .count = count};
    if (impl.kernel == NULL)
        return mr_call_fail(call, "this cast is not built");
    node.type = type;
    node.impl = &impl;
    call->eval->batch = &batch;
    enum mr_status status = mr_eval_apply(call->eval, &node, &child, &selected, out, call->err);
    call->eval->batch = outer;
    if (status == MR_OK && (*out)->encoding != MR_FLAT) {
        struct mr_column *flat;
        status = mr_column_flatten(call->memory, *out, &flat, call->err);
        mr_column_unref(*out);
        *out = flat;
    }
    return status;
}

/* The elements of the selected rows of a list or map. */
static enum mr_status element_rows(struct mr_call *call, const struct mr_column *column,
                                   struct mr_buffer **out, int64_t *count)
{
    const int32_t *offsets = mr_column_offsets(column);
    int64_t n = 0;
    MR_EACH_ROW(call, row)
    n += offsets[row + 1] - offsets[row];
    MR_TRY(mr_buffer_new(call->memory, (size_t)n * sizeof(int32_t), out, call->err));
    int32_t *rows = (int32_t *)(void *)(*out)->data;
    *count = n;
    n = 0;
    MR_EACH_ROW(call, row)
    for (int32_t i = offsets[row]; i < offsets[row + 1]; i++)
        rows[n++] = i;
    return MR_OK;
}

static enum mr_status cast_struct_fields(struct mr_call *call, const struct mr_column *column,
                                         const struct mr_type *type, const int32_t *rows,
                                         int64_t count, struct mr_column **children)
{
    for (int i = 0; i < column->nchildren; i++)
        MR_TRY(
            cast_child(call, column->children[i], type->fields[i].type, rows, count, &children[i]));
    return MR_OK;
}

/* The struct of key and value below a map. */
static enum mr_status cast_entries(struct mr_call *call, const struct mr_column *entries,
                                   const struct mr_type *type, const int32_t *rows, int64_t count,
                                   struct mr_column **out)
{
    struct mr_column *children[2] = {NULL, NULL};
    enum mr_status status = cast_struct_fields(call, entries, type, rows, count, children);
    if (status != MR_OK) {
        mr_column_unref(children[0]);
        mr_column_unref(children[1]);
        return status;
    }
    return mr_column_new_nested(mr_type_map_entry(type), entries->length, 0, NULL, NULL, children,
                                2, out, call->err);
}

enum mr_status mr_cast_nested(struct mr_call *call, struct mr_column **out)
{
    struct mr_column *column = NULL;
    struct mr_buffer *rows = NULL;
    int64_t count = 0;
    const struct mr_type *type = call->type;
    int nchildren = type->id == MR_TYPE_STRUCT ? type->nfields : 1;
    struct mr_column **children = mr_calloc((size_t)nchildren + 1, sizeof(*children));
    enum mr_status status = children ? MR_OK : mr_error_nomem(call->err);
    if (status == MR_OK)
        status = mr_column_flatten(call->memory, call->args[0], &column, call->err);
    if (status != MR_OK)
        goto out;
    if (type->id == MR_TYPE_STRUCT) {
        MR_TRY_OUT(cast_struct_fields(call, column, type, call->rows, call->count, children));
    } else {
        MR_TRY_OUT(element_rows(call, column, &rows, &count));
        const int32_t *list = (const int32_t *)(const void *)rows->data;
        if (type->id == MR_TYPE_LIST)
            MR_TRY_OUT(cast_child(call, column->children[0], type->fields[0].type, list, count,
                                  &children[0]));
        else
            MR_TRY_OUT(cast_entries(call, column->children[0], type, list, count, &children[0]));
    }
    status =
        mr_column_new_nested(type, column->length, column->nulls, mr_buffer_ref(column->validity),
                             type->id == MR_TYPE_STRUCT ? NULL : mr_buffer_ref(column->values),
                             children, nchildren, out, call->err);
    mr_free(children);
    children = NULL;
out:
    for (int i = 0; children && i < nchildren; i++)
        mr_column_unref(children[i]);
    mr_free(children);
    mr_column_unref(column);
    mr_buffer_unref(rows);
    return status;
}
