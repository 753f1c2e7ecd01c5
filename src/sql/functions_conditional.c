/*
 * functions_conditional.c - if, greatest, least. (CASE has its own node; if becomes one.)
 */
#include "col/kernel.h"
#include "sql/coerce.h"
#include "sql/unit.h"

static enum mr_status bind_if(struct mr_binding *binding)
{
    return mr_bind_case(binding, 3, binding->args, &binding->replacement);
}

static enum mr_status bind_extreme(struct mr_binding *binding)
{
    char text[96];
    if (binding->nargs < 2)
        return mr_bind_fail(binding, 0, "it takes two values or more");
    for (int i = 0; i < binding->nargs; i++) {
        const struct mr_node *node = binding->args[i];
        bool cast = node->kind == MR_NODE_CAST && node->implicit;
        if (cast && mr_type_is_string(node->type) != mr_type_is_string(node->args[0]->type))
            return mr_bind_fail(binding, i, "it takes texts or values of another type, not both");
    }
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

/* The type is known when the call is bound. */
static enum mr_status bind_typeof(struct mr_binding *binding)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 20);
    mr_type_format(binding->args[0]->type, &text);
    enum mr_status status = mr_bytes_status(&text, binding->err);
    struct mr_value value = {.type = mr_type_of(MR_TYPE_STRING)};
    value.u.bytes.size = text.size;
    if (status == MR_OK &&
        (value.u.bytes.data = mr_arena_strndup(binding->arena, text.data, text.size)) == NULL)
        status = mr_error_nomem(binding->err);
    mr_bytes_reset(&text);
    if (status != MR_OK)
        return status;
    return mr_unit_literal(binding->binder, &value, binding->position, &binding->replacement);
}

static enum mr_status bind_equal_null(struct mr_binding *binding)
{
    return mr_bind_call(binding, "<=>", 2, binding->args, &binding->replacement);
}

/* NULL, of no type. */
static enum mr_status nothing(struct mr_call *call, struct mr_column **out)
{
    struct mr_value null = {.type = call->type, .is_null = true};
    return mr_column_new_constant(call->memory, call->type, &null, call->length, out, call->err);
}

static enum mr_status kernel_assert_true(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg condition = mr_arg_of(call, 0);
    MR_EACH_ROW(call, row)
    {
        if (mr_arg_is_null(&condition, row) || !MR_ARG(condition, uint8_t, row)) {
            struct mr_slice text = {0};
            struct mr_arg message = mr_arg_of(call, call->nargs - 1);
            if (call->nargs > 1 && !mr_arg_is_null(&message, row))
                text = mr_arg_text(&message, row);
            return mr_call_fail(call, "not true%s%.*s", text.size ? ": " : "",
                                (int)(text.size < 200 ? text.size : 200), text.data);
        }
    }
    return nothing(call, out);
}

static enum mr_status bind_assert(struct mr_binding *binding)
{
    binding->type = mr_type_of(MR_TYPE_NULL);
    binding->nullable = true;
    return MR_OK;
}

static enum mr_status kernel_raise_error(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg message = mr_arg_of(call, 0);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = {0};
        if (!mr_arg_is_null(&message, row))
            text = mr_arg_text(&message, row);
        return mr_call_fail(call, "%.*s", (int)(text.size < 200 ? text.size : 200),
                            text.size ? text.data : "");
    }
    return nothing(call, out);
}

static const struct mr_function functions[] = {
    {.names = "typeof",
     .args = "a",
     .result = "s",
     .flags = MR_FN_TOTAL,
     .kernel = mr_kernel_replaced,
     .bind = bind_typeof,
     .signature = "typeof(value)",
     .family = "conditional",
     .doc = "Name of the value's type."},
    {.names = "equal_null",
     .args = "aa",
     .result = "z",
     .flags = MR_FN_TOTAL,
     .kernel = mr_kernel_replaced,
     .bind = bind_equal_null,
     .signature = "equal_null(a, b)",
     .family = "null handling",
     .doc = "Are the two equal, or both NULL? Also: a <=> b."},
    {.names = "assert_true",
     .args = "z!?s",
     .result = "!",
     .flags = MR_FN_NULLS | MR_FN_VOLATILE,
     .kernel = kernel_assert_true,
     .bind = bind_assert,
     .signature = "assert_true(condition[, message])",
     .family = "conditional",
     .doc = "NULL where the condition is TRUE, else an error."},
    {.names = "raise_error",
     .args = "s",
     .result = "!",
     .flags = MR_FN_NULLS | MR_FN_VOLATILE,
     .kernel = kernel_raise_error,
     .bind = bind_assert,
     .signature = "raise_error(message)",
     .family = "conditional",
     .doc = "An error with this message."},
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
