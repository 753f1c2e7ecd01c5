/*
 * functions_operator.c - arithmetic, bits and || as rows of the function table.
 */
#include "sql/arithmetic.h"
#include "sql/coerce.h"
#include "sql/datetime.h"
#include "sql/vector.h"

static enum mr_status bind_add(struct mr_binding *binding)
{
    if (mr_datetime_operands(binding))
        return mr_bind_datetime(binding, '+');
    return mr_bind_arithmetic(binding, '+');
}

static enum mr_status bind_subtract(struct mr_binding *binding)
{
    if (mr_datetime_operands(binding))
        return mr_bind_datetime(binding, '-');
    return mr_bind_arithmetic(binding, '-');
}

static enum mr_status bind_multiply(struct mr_binding *binding)
{
    if (mr_datetime_operands(binding))
        return mr_bind_datetime(binding, '*');
    return mr_bind_arithmetic(binding, '*');
}

static enum mr_status bind_divide(struct mr_binding *binding)
{
    if (mr_datetime_operands(binding))
        return mr_bind_datetime(binding, '/');
    return mr_bind_arithmetic(binding, '/');
}

static enum mr_status bind_modulo(struct mr_binding *binding)
{
    return mr_bind_arithmetic(binding, '%');
}

static enum mr_status bind_div(struct mr_binding *binding)
{
    return mr_bind_arithmetic(binding, 'D');
}

static enum mr_status bind_pmod(struct mr_binding *binding)
{
    return mr_bind_arithmetic(binding, 'm');
}

/* -x is 0 - x, but for floating point (-0.0). */
static enum mr_status kernel_negate_float(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_buffer *values;
    MR_TRY(mr_fixed_new(call, &values));
    MR_EACH_ROW(call, row)
    {
        if (call->type->id == MR_TYPE_FLOAT32)
            ((float *)(void *)values->data)[row] = -MR_ARG(x, float, row);
        else
            ((double *)(void *)values->data)[row] = -MR_ARG(x, double, row);
    }
    return mr_fixed_finish(call, values, out);
}

static enum mr_status kernel_negate_integer(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_result result;
    int bits = mr_layout_width(mr_type_layout(call->type)) * 8;
    int64_t least = INT64_MIN >> (64 - bits);
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        int64_t value = mr_arg_int(&x, row);
        if (value == least && call->failure != MR_FAIL_WRAP) {
            mr_overflow(&result, row);
            continue;
        }
        value = value == least ? value : -value;
        memcpy(result.values->data + row * (bits / 8), &value, (size_t)bits / 8);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_negate_decimal(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_result result;
    mr_result_init(&result, call);
    if (result.status == MR_OK)
        MR_EACH_ROW(call, row)
    mr_result_decimal(&result, row, -mr_arg_decimal(&x, row));
    return mr_result_finish(&result, out);
}

static enum mr_status bind_negate(struct mr_binding *binding)
{
    const struct mr_type *type = binding->args[0]->type;
    if (type->id == MR_TYPE_INTERVAL)
        return mr_bind_negate_interval(binding);
    if (!mr_type_is_numeric(type)) {
        char text[96];
        if (!mr_type_is_string(type) && type->id != MR_TYPE_NULL)
            return mr_bind_fail(binding, 0, "there is no negative of %s",
                                mr_type_text(type, text, sizeof(text)));
        MR_TRY(mr_bind_cast(binding, 0, mr_type_of(MR_TYPE_FLOAT64)));
    }
    binding->type = type = binding->args[0]->type;
    if (mr_type_is_integer(type)) {
        binding->kernel = kernel_negate_integer;
    } else {
        binding->kernel = type->id == MR_TYPE_DECIMAL ? kernel_negate_decimal : kernel_negate_float;
        binding->flags |= MR_FN_TOTAL;
    }
    return MR_OK;
}

static enum mr_status bind_plus(struct mr_binding *binding)
{
    const struct mr_type *type = binding->args[0]->type;
    binding->replacement = binding->args[0];
    if (!mr_type_is_numeric(type) && type->id != MR_TYPE_INTERVAL) {
        char text[96];
        if (!mr_type_is_string(type) && type->id != MR_TYPE_NULL)
            return mr_bind_fail(binding, 0, "it does not take %s",
                                mr_type_text(type, text, sizeof(text)));
        MR_TRY(mr_bind_cast(binding, 0, mr_type_of(MR_TYPE_FLOAT64)));
        binding->replacement = binding->args[0];
    }
    return MR_OK;
}

static enum mr_status unreachable(struct mr_call *call, struct mr_column **out)
{
    (void)out;
    return mr_error_internal(call->err, "%s was not bound to a kernel", call->node->name);
}

/* & | ^ work on the bits of the common integer type. */
static enum mr_status bits(struct mr_call *call, char op, struct mr_column **out)
{
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, call->nargs - 1);
    struct mr_buffer *values;
    int width = mr_layout_width(mr_type_layout(call->type));
    MR_TRY(mr_fixed_new(call, &values));
    MR_EACH_ROW(call, row)
    {
        int64_t x = mr_arg_int(&a, row), y = mr_arg_int(&b, row), r;
        r = op == '&' ? (x & y) : op == '|' ? (x | y) : op == '^' ? (x ^ y) : ~x;
        memcpy(values->data + row * width, &r, (size_t)width);
    }
    return mr_fixed_finish(call, values, out);
}

static enum mr_status kernel_and(struct mr_call *call, struct mr_column **out)
{
    return bits(call, '&', out);
}

static enum mr_status kernel_or(struct mr_call *call, struct mr_column **out)
{
    return bits(call, '|', out);
}

static enum mr_status kernel_xor(struct mr_call *call, struct mr_column **out)
{
    return bits(call, '^', out);
}

static enum mr_status kernel_invert(struct mr_call *call, struct mr_column **out)
{
    return bits(call, '~', out);
}

/* The common integer type; under ANSI text meets an integer as BIGINT. */
static enum mr_status bind_bits(struct mr_binding *binding)
{
    const struct mr_type *type = NULL;
    bool text = false;
    for (int i = 0; i < binding->nargs; i++) {
        char name[96];
        const struct mr_type *own = binding->args[i]->type;
        if (own->id == MR_TYPE_NULL)
            continue;
        text |= mr_type_is_string(own);
        if (mr_type_is_string(own) && binding->session->ansi && binding->nargs == 2)
            continue;
        if (!mr_type_is_integer(own))
            return mr_bind_fail(binding, i, "it works on integers, not %s",
                                mr_type_text(own, name, sizeof(name)));
        if (type == NULL || own->id > type->id)
            type = own;
    }
    if (text && type == NULL)
        return mr_bind_fail(binding, 0, "it works on integers, not string");
    type = text ? mr_type_of(MR_TYPE_INT64) : type ? type : mr_type_of(MR_TYPE_INT32);
    for (int i = 0; i < binding->nargs; i++)
        MR_TRY(mr_bind_cast(binding, i, type));
    binding->type = type;
    return MR_OK;
}

static enum mr_status kernel_concat(struct mr_call *call, struct mr_column **out)
{
    struct mr_result result;
    mr_result_init(&result, call);
    struct mr_arg *args = mr_calloc((size_t)call->nargs, sizeof(*args));
    if (args == NULL)
        result.status = mr_error_nomem(call->err);
    for (int i = 0; args && i < call->nargs; i++)
        args[i] = mr_arg_of(call, i);
    MR_EACH_ROW(call, row)
    {
        size_t size = 0, at = 0;
        for (int i = 0; args && i < call->nargs; i++)
            size += mr_arg_text(&args[i], row).size;
        char *to = mr_result_reserve(&result, size);
        if (to == NULL)
            break;
        for (int i = 0; i < call->nargs; i++) {
            struct mr_slice text = mr_arg_text(&args[i], row);
            if (text.size > 0)
                memcpy(to + at, text.data, text.size);
            at += text.size;
        }
        mr_result_commit(&result, row, size);
    }
    mr_free(args);
    return mr_result_finish(&result, out);
}

/* BINARY when all are, else text. */
static enum mr_status bind_concat(struct mr_binding *binding)
{
    for (int i = 0; i < binding->nargs; i++) {
        for (int j = 0; binding->args[i]->type->id == MR_TYPE_LIST && j < binding->nargs; j++) {
            if (binding->args[j]->type->id == MR_TYPE_NULL)
                return mr_bind_fail(binding, j, "it takes arrays beside an array, not NULL");
        }
        if (binding->args[i]->type->id == MR_TYPE_LIST)
            return mr_bind_call(binding, "CONCAT_LISTS", binding->nargs, binding->args,
                                &binding->replacement);
    }
    bool binary = binding->nargs > 0;
    for (int i = 0; i < binding->nargs; i++) {
        binary &= binding->args[i]->type->id == MR_TYPE_BINARY;
        if (mr_type_is_nested(binding->args[i]->type))
            return mr_bind_fail(binding, i, "it takes texts or arrays");
    }
    binding->type = mr_type_of(binary ? MR_TYPE_BINARY : MR_TYPE_STRING);
    for (int i = 0; i < binding->nargs && !binary; i++)
        MR_TRY(mr_bind_cast(binding, i, binding->type));
    return MR_OK;
}

#define BOUND(symbol, arguments, bind_name)                                                        \
    {                                                                                              \
        .names = symbol, .args = arguments, .result = "!", .kernel = unreachable,                  \
        .bind = bind_name                                                                          \
    }

static const struct mr_function functions[] = {
    BOUND("+", "a", bind_plus),
    BOUND("+", "aa", bind_add),
    BOUND("-", "a", bind_negate),
    BOUND("-", "aa", bind_subtract),
    BOUND("*", "aa", bind_multiply),
    BOUND("/", "aa", bind_divide),
    BOUND("%", "aa", bind_modulo),
    BOUND("DIV", "aa", bind_div),
    {.names = "&",
     .args = "aa",
     .result = "!",
     .flags = MR_FN_TOTAL,
     .kernel = kernel_and,
     .bind = bind_bits},
    {.names = "|",
     .args = "aa",
     .result = "!",
     .flags = MR_FN_TOTAL,
     .kernel = kernel_or,
     .bind = bind_bits},
    {.names = "^",
     .args = "aa",
     .result = "!",
     .flags = MR_FN_TOTAL,
     .kernel = kernel_xor,
     .bind = bind_bits},
    {.names = "~",
     .args = "a",
     .result = "!",
     .flags = MR_FN_TOTAL,
     .kernel = kernel_invert,
     .bind = bind_bits},
    {.names = "||",
     .args = "aa*",
     .result = "!",
     .flags = MR_FN_TOTAL,
     .kernel = kernel_concat,
     .bind = bind_concat},
    {.names = "concat",
     .args = "a*",
     .result = "!",
     .flags = MR_FN_TOTAL,
     .kernel = kernel_concat,
     .bind = bind_concat,
     .signature = "concat(value, ...)",
     .family = "text",
     .doc = "The texts, or the arrays, one behind the other; NULL if any is NULL."},
    {.names = "mod",
     .args = "aa",
     .result = "!",
     .kernel = unreachable,
     .bind = bind_modulo,
     .signature = "mod(dividend, divisor)",
     .family = "math",
     .doc = "The remainder, with the sign of the dividend."},
    {.names = "pmod",
     .args = "aa",
     .result = "!",
     .kernel = unreachable,
     .bind = bind_pmod,
     .signature = "pmod(dividend, divisor)",
     .family = "math",
     .doc = "The remainder, not negative for a positive divisor."},
    {.names = "try_add",
     .args = "aa",
     .result = "!",
     .flags = MR_FN_TRY,
     .kernel = unreachable,
     .bind = bind_add,
     .signature = "try_add(a, b)",
     .family = "math",
     .doc = "a + b, NULL on overflow."},
    {.names = "try_subtract",
     .args = "aa",
     .result = "!",
     .flags = MR_FN_TRY,
     .kernel = unreachable,
     .bind = bind_subtract,
     .signature = "try_subtract(a, b)",
     .family = "math",
     .doc = "a - b, NULL on overflow."},
    {.names = "try_multiply",
     .args = "aa",
     .result = "!",
     .flags = MR_FN_TRY,
     .kernel = unreachable,
     .bind = bind_multiply,
     .signature = "try_multiply(a, b)",
     .family = "math",
     .doc = "a * b, NULL on overflow."},
    {.names = "try_divide",
     .args = "aa",
     .result = "!",
     .flags = MR_FN_TRY,
     .kernel = unreachable,
     .bind = bind_divide,
     .signature = "try_divide(a, b)",
     .family = "math",
     .doc = "a / b, NULL where b is 0."},
};

const struct mr_function_family mr_functions_operator = {functions,
                                                         sizeof(functions) / sizeof(functions[0])};
