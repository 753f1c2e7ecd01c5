/*
 * functions_null.c - functions about NULL and NaN.
 *
 * coalesce evaluates each argument only for the rows that are still NULL, so an argument that would fail is not reached. Two-way
 * forms (nvl2, nullif) are CASE.
 */
#include "sql/coerce.h"
#include "sql/eval.h"

#include <math.h>

/* Rows of `selected` where the column is NULL, and the others. */
static enum mr_status split_null(struct mr_call *call, const struct mr_column *column,
                                 const struct mr_selected *selected, struct mr_buffer **null,
                                 int64_t *nnull, struct mr_buffer **value, int64_t *nvalue)
{
    size_t size = (size_t)selected->count * sizeof(int32_t);
    MR_TRY(mr_buffer_new(call->memory, size, null, call->err));
    enum mr_status status = mr_buffer_new(call->memory, size, value, call->err);
    if (status != MR_OK) {
        mr_buffer_unref(*null);
        return status;
    }
    int32_t *to_null = (int32_t *)(void *)(*null)->data;
    int32_t *to_value = (int32_t *)(void *)(*value)->data;
    int64_t n = 0, m = 0;
    for (int64_t i = 0; i < selected->count; i++) {
        int32_t row = selected->rows ? selected->rows[i] : (int32_t)i;
        bool is_null = mr_column_is_null(column, row);
        to_null[n] = row;
        to_value[m] = row;
        n += is_null;
        m += !is_null;
    }
    *nnull = n;
    *nvalue = m;
    return MR_OK;
}

struct parts {
    struct mr_column **columns;
    struct mr_selected *selected;
    struct mr_buffer **buffers;
    int count;
    int nbuffers;
    struct mr_selected rest;
};

static enum mr_status add_part(struct mr_call *call, struct parts *parts, int i)
{
    struct mr_column *column;
    struct mr_buffer *null, *value;
    int64_t nnull, nvalue;
    MR_TRY(mr_call_eval(call, i, &parts->rest, &column));
    parts->columns[parts->count++] = column;
    struct mr_selected *own = &parts->selected[parts->count - 1];
    *own = parts->rest;
    if (column->nulls == 0 && column->type->id != MR_TYPE_NULL) {
        parts->rest.count = 0;
        return MR_OK;
    }
    MR_TRY(split_null(call, column, &parts->rest, &null, &nnull, &value, &nvalue));
    parts->buffers[parts->nbuffers++] = null;
    parts->buffers[parts->nbuffers++] = value;
    *own =
        (struct mr_selected){.rows = (const int32_t *)(const void *)value->data, .count = nvalue};
    parts->rest =
        (struct mr_selected){.rows = (const int32_t *)(const void *)null->data, .count = nnull};
    return MR_OK;
}

static enum mr_status kernel_coalesce(struct mr_call *call, struct mr_column **out)
{
    size_t n = (size_t)call->nargs;
    struct parts parts = {.rest = *call->selected};
    enum mr_status status = MR_OK;
    parts.columns = mr_calloc(n, sizeof(*parts.columns));
    parts.selected = mr_calloc(n, sizeof(*parts.selected));
    parts.buffers = mr_calloc(n * 2, sizeof(*parts.buffers));
    if (!parts.columns || !parts.selected || !parts.buffers)
        status = mr_error_nomem(call->err);
    for (int i = 0; i < call->nargs && status == MR_OK && parts.rest.count > 0; i++)
        status = add_part(call, &parts, i);
    if (status == MR_OK && parts.count == 1)
        *out = mr_column_ref(parts.columns[0]);
    else if (status == MR_OK)
        status = mr_eval_merge(call->eval, call->type, parts.columns, parts.selected, parts.count,
                               out, call->err);
    for (int i = 0; i < parts.count; i++)
        mr_column_unref(parts.columns[i]);
    for (int i = 0; i < parts.nbuffers; i++)
        mr_buffer_unref(parts.buffers[i]);
    mr_free(parts.columns);
    mr_free(parts.selected);
    mr_free(parts.buffers);
    return status;
}

/* Not nullable as soon as one argument is not. */
static enum mr_status bind_coalesce(struct mr_binding *binding)
{
    struct mr_value first;
    if (binding->nargs == 1 || (mr_bind_constant(binding, 0, &first) && !first.is_null)) {
        binding->replacement = binding->args[0];
        return MR_OK;
    }
    binding->nullable = binding->nullable_decided = true;
    for (int i = 0; i < binding->nargs; i++)
        binding->nullable &= binding->args[i]->nullable;
    return MR_OK;
}

/* CASE WHEN a = b THEN NULL ELSE a END */
static enum mr_status bind_nullif(struct mr_binding *binding)
{
    struct mr_node *pair[2] = {binding->args[0], binding->args[1]};
    struct mr_node **args = mr_arena_calloc(binding->arena, 3, sizeof(*args));
    if (args == NULL)
        return mr_error_nomem(binding->err);
    MR_TRY(mr_bind_call(binding, "=", 2, pair, &args[0]));
    MR_TRY(mr_bind_null(binding, binding->args[0]->type, &args[1]));
    args[2] = binding->args[0];
    return mr_bind_case(binding, 3, args, &binding->replacement);
}

/* CASE WHEN a IS NOT NULL THEN b ELSE c END */
static enum mr_status bind_nvl2(struct mr_binding *binding)
{
    struct mr_node *tested[1] = {binding->args[0]};
    struct mr_node **args = mr_arena_calloc(binding->arena, 3, sizeof(*args));
    if (args == NULL)
        return mr_error_nomem(binding->err);
    MR_TRY(mr_bind_call(binding, "IS NOT NULL", 1, tested, &args[0]));
    args[1] = binding->args[1];
    args[2] = binding->args[2];
    return mr_bind_case(binding, 3, args, &binding->replacement);
}

static enum mr_status bind_isnull(struct mr_binding *binding)
{
    return mr_bind_call(binding, "IS NULL", 1, binding->args, &binding->replacement);
}

static enum mr_status bind_isnotnull(struct mr_binding *binding)
{
    return mr_bind_call(binding, "IS NOT NULL", 1, binding->args, &binding->replacement);
}

/* FALSE for NULL, as in Spark. */
static enum mr_status kernel_isnan(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_result result;
    mr_result_init(&result, call);
    if (result.status == MR_OK)
        MR_EACH_ROW(call, row)
    MR_SET(&result, uint8_t, row,
           !mr_column_is_null(call->args[0], row) && isnan(mr_arg_double(&x, row)));
    return mr_result_finish(&result, out);
}

/* CASE WHEN isnan(a) THEN b ELSE a END, over two FLOATs or two DOUBLEs. */
static enum mr_status bind_nanvl(struct mr_binding *binding)
{
    bool single = binding->args[0]->type->id == MR_TYPE_FLOAT32 &&
                  binding->args[1]->type->id == MR_TYPE_FLOAT32;
    for (int i = 0; i < 2; i++)
        MR_TRY(mr_bind_cast(binding, i, mr_type_of(single ? MR_TYPE_FLOAT32 : MR_TYPE_FLOAT64)));
    struct mr_node *tested[1] = {binding->args[0]};
    struct mr_node **args = mr_arena_calloc(binding->arena, 3, sizeof(*args));
    if (args == NULL)
        return mr_error_nomem(binding->err);
    MR_TRY(mr_bind_call(binding, "isnan", 1, tested, &args[0]));
    args[1] = binding->args[1];
    args[2] = binding->args[0];
    return mr_bind_case(binding, 3, args, &binding->replacement);
}

#define REPLACED(name_, args_, bind_, signature_, doc_)                                            \
    {                                                                                              \
        .names = name_, .args = args_, .result = "!", .flags = MR_FN_TOTAL,                        \
        .kernel = mr_kernel_replaced, .bind = bind_, .signature = signature_,                      \
        .family = "null handling", .doc = doc_                                                     \
    }

static const struct mr_function functions[] = {
    {.names = "coalesce",
     .args = "==*",
     .result = "=",
     .flags = MR_FN_LAZY | MR_FN_TOTAL,
     .kernel = kernel_coalesce,
     .bind = bind_coalesce,
     .signature = "coalesce(value, ...)",
     .family = "null handling",
     .doc = "The first argument that is not NULL; later ones are evaluated only where needed."},
    {.names = "nvl ifnull",
     .args = "==",
     .result = "=",
     .flags = MR_FN_LAZY | MR_FN_TOTAL,
     .kernel = kernel_coalesce,
     .bind = bind_coalesce,
     .signature = "nvl(value, otherwise)",
     .family = "null handling",
     .doc = "The value, or `otherwise` where it is NULL."},
    REPLACED("nvl2", "aaa", bind_nvl2, "nvl2(value, if_value, if_null)",
             "The second argument where the first is not NULL, else the third."),
    REPLACED("nullif", "aa", bind_nullif, "nullif(a, b)", "NULL where a = b, else a."),
    REPLACED("isnull", "a", bind_isnull, "isnull(value)", "Is the value NULL?"),
    REPLACED("isnotnull", "a", bind_isnotnull, "isnotnull(value)", "Is the value not NULL?"),
    {.names = "isnan",
     .args = "d",
     .result = "z",
     .flags = MR_FN_TOTAL | MR_FN_NULLS | MR_FN_NEVER_NULL,
     .kernel = kernel_isnan,
     .signature = "isnan(number)",
     .family = "null handling",
     .doc = "Is the number NaN? FALSE for NULL."},
    REPLACED("nanvl", "nn", bind_nanvl, "nanvl(number, otherwise)",
             "The number, or `otherwise` where it is NaN."),
};

const struct mr_function_family mr_functions_null = {functions,
                                                     sizeof(functions) / sizeof(functions[0])};
