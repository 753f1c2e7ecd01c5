/*
 * functions_conditional.c - if, greatest, least. (CASE has its own node; if becomes one.)
 */
#include "col/kernel.h"
#include "sql/coerce.h"
#include "sql/eval.h"

static enum mr_status bind_if(struct mr_binding *binding)
{
    return mr_bind_case(binding, 3, binding->args, &binding->replacement);
}

static enum mr_status bind_extreme(struct mr_binding *binding)
{
    char text[96];
    if (binding->nargs < 2)
        return mr_bind_fail(binding, 0, "it takes two values or more");
    if (!mr_type_is_orderable(binding->args[0]->type))
        return mr_bind_fail(binding, 0, "%s has no order",
                            mr_type_text(binding->args[0]->type, text, sizeof(text)));
    binding->nullable = binding->nullable_decided = true;
    for (int i = 0; i < binding->nargs; i++)
        binding->nullable &= binding->args[i]->nullable;
    return MR_OK;
}

/* The greatest (sign 1) or least (-1) argument that is not NULL: row numbers over the concatenated arguments, then one take. */
static enum mr_status extreme(struct mr_call *call, int sign, struct mr_column **out)
{
    struct mr_column *all = NULL;
    struct mr_buffer *buffer = NULL;
    int64_t length = call->length;
    struct mr_column **flat = mr_calloc((size_t)call->nargs, sizeof(*flat));
    enum mr_status status = flat ? MR_OK : mr_error_nomem(call->err);
    for (int i = 0; i < call->nargs && status == MR_OK; i++)
        status = mr_column_flatten(call->memory, call->args[i], &flat[i], call->err);
    if (status != MR_OK)
        goto out;
    MR_TRY_OUT(mr_column_concat(call->memory, flat, call->nargs, &all, call->err));
    MR_TRY_OUT(mr_buffer_new(call->memory, (size_t)length * sizeof(int32_t), &buffer, call->err));
    int32_t *rows = (int32_t *)(void *)buffer->data;
    memset(rows, 0xFF, (size_t)length * sizeof(int32_t));
    MR_EACH_ROW(call, row)
    {
        int best = -1;
        for (int i = 0; i < call->nargs; i++) {
            if (mr_column_is_null(flat[i], row))
                continue;
            if (best < 0 || mr_column_compare_rows(flat[i], row, flat[best], row) * sign > 0)
                best = i;
        }
        rows[row] = best < 0 ? -1 : (int32_t)(best * flat[0]->length + row);
    }
    status = mr_column_take(call->memory, all, rows, length, out, call->err);
out:
    for (int i = 0; flat && i < call->nargs; i++)
        mr_column_unref(flat[i]);
    mr_free(flat);
    mr_column_unref(all);
    mr_buffer_unref(buffer);
    return status;
}

static enum mr_status kernel_greatest(struct mr_call *call, struct mr_column **out)
{
    return extreme(call, 1, out);
}

static enum mr_status kernel_least(struct mr_call *call, struct mr_column **out)
{
    return extreme(call, -1, out);
}

static const struct mr_function functions[] = {
    {.names = "if iff",
     .args = "z!aa",
     .result = "!",
     .flags = MR_FN_TOTAL,
     .kernel = mr_kernel_replaced,
     .bind = bind_if,
     .signature = "if(condition, value, otherwise)",
     .family = "conditional",
     .doc = "The value where the condition is TRUE, else `otherwise`; only the one taken is "
            "evaluated."},
    {.names = "greatest",
     .args = "==*",
     .result = "=",
     .flags = MR_FN_TOTAL | MR_FN_NULLS,
     .kernel = kernel_greatest,
     .bind = bind_extreme,
     .signature = "greatest(value, value, ...)",
     .family = "conditional",
     .doc = "The greatest value, NULLs left out; NULL when all are NULL."},
    {.names = "least",
     .args = "==*",
     .result = "=",
     .flags = MR_FN_TOTAL | MR_FN_NULLS,
     .kernel = kernel_least,
     .bind = bind_extreme,
     .signature = "least(value, value, ...)",
     .family = "conditional",
     .doc = "The least value, NULLs left out; NULL when all are NULL."},
};

const struct mr_function_family mr_functions_conditional = {functions, sizeof(functions) /
                                                                           sizeof(functions[0])};
