/*
 * call.c - what kernels are written with: arguments of any encoding, results under construction, failing rows.
 *
 * An argument is read through a mask (0 for a constant, all ones for a flat column) instead of through two copies of each
 * kernel; the hot kernels (comparison, arithmetic) have their own loops. A result keeps its first failure, so that
 * a kernel has one check, at the end.
 */
#include "sql/eval.h"

#include <stdio.h>

struct mr_arg mr_arg_of_column(const struct mr_column *column)
{
    return (struct mr_arg){
        .values = column->values ? column->values->data : NULL,
        .bytes = column->data ? (const char *)column->data->data : "",
        .validity = column->validity ? column->validity->data : NULL,
        .mask = column->encoding == MR_CONSTANT ? 0 : -1,
        .type = column->type,
    };
}

struct mr_arg mr_arg_of(const struct mr_call *call, int i)
{
    return mr_arg_of_column(call->args[i]);
}

int64_t mr_arg_int(const struct mr_arg *arg, int64_t row)
{
    switch (mr_type_layout(arg->type)) {
    case MR_LAYOUT_I8:
        return MR_ARG(*arg, int8_t, row);
    case MR_LAYOUT_I16:
        return MR_ARG(*arg, int16_t, row);
    case MR_LAYOUT_I32:
        return MR_ARG(*arg, int32_t, row);
    default:
        return MR_ARG(*arg, int64_t, row);
    }
}

double mr_arg_double(const struct mr_arg *arg, int64_t row)
{
    return arg->type->id == MR_TYPE_FLOAT32 ? (double)MR_ARG(*arg, float, row)
                                            : MR_ARG(*arg, double, row);
}

void mr_result_init(struct mr_result *result, struct mr_call *call)
{
    *result = (struct mr_result){.call = call, .validity = mr_buffer_ref(call->validity)};
    enum mr_layout layout = mr_type_layout(call->type);
    bool text = layout == MR_LAYOUT_BYTES;
    size_t rows = (size_t)call->length + text;
    size_t size = rows * (size_t)mr_layout_width(layout);
    result->status = mr_buffer_new(call->memory, size, &result->values, call->err);
    if (result->status == MR_OK && text)
        result->status =
            mr_buffer_new(call->memory, (size_t)call->count * 8, &result->data, call->err);
    if (result->status == MR_OK)
        memset(result->values->data, 0, text ? sizeof(int32_t) : size);
}

void mr_result_decimal(struct mr_result *result, int64_t row, mr_int128 value)
{
    if (result->call->type->precision <= MR_DECIMAL64_PRECISION)
        MR_SET(result, int64_t, row, (int64_t)value);
    else
        MR_SET(result, mr_int128, row, value);
}

/* The preset validity may be shared (with an argument): a result that clears bits owns a copy. */
static void own_validity(struct mr_result *result)
{
    int64_t length = result->call->length;
    size_t size = mr_bitmap_bytes(length);
    struct mr_buffer *own;
    result->status = mr_buffer_new(result->call->memory, size, &own, result->call->err);
    if (result->status != MR_OK)
        return;
    if (result->validity != NULL)
        memcpy(own->data, result->validity->data, size);
    else
        mr_bitmap_fill(own->data, 0, length, true);
    mr_buffer_finish(own, size);
    mr_buffer_unref(result->validity);
    result->validity = own;
}

void mr_result_null(struct mr_result *result, int64_t row)
{
    if (result->status == MR_OK &&
        (result->validity == NULL || result->validity == result->call->validity))
        own_validity(result);
    if (result->status == MR_OK)
        mr_bitmap_clear(result->validity->data, row);
}

/* Rows that were passed over are empty. */
static void fill_offsets(struct mr_result *result, int64_t to)
{
    int32_t *offsets = (int32_t *)(void *)result->values->data;
    for (; result->next <= to; result->next++)
        offsets[result->next] = (int32_t)result->size;
}

char *mr_result_reserve(struct mr_result *result, size_t size)
{
    if (result->status != MR_OK)
        return NULL;
    if (size > (size_t)INT32_MAX - result->size) {
        result->status = mr_error_set(result->call->err, MR_LIMIT, MR_CLASS_DATA,
                                      "the text of one batch is larger than 2 GiB");
        return NULL;
    }
    result->data->size = result->size;
    if (result->size + size > result->data->capacity)
        result->status = mr_buffer_reserve(result->data, result->size + size, result->call->err);
    return result->status == MR_OK ? (char *)result->data->data + result->size : NULL;
}

void mr_result_commit(struct mr_result *result, int64_t row, size_t size)
{
    if (result->status != MR_OK)
        return;
    fill_offsets(result, row);
    result->size += size;
}

void mr_result_text(struct mr_result *result, int64_t row, const char *text, size_t size)
{
    char *to = mr_result_reserve(result, size);
    if (to == NULL)
        return;
    if (size > 0)
        memcpy(to, text, size);
    mr_result_commit(result, row, size);
}

/* Message, place and the expression of a failure of `call`. */
static void place_error(struct mr_call *call, const char *message, struct mr_slice value)
{
    const struct mr_node *node = call->node;
    const struct mr_eval *eval = call->eval;
    int shown = (int)(value.size > 80 ? 80 : value.size);
    if (value.data != NULL && eval->show_values)
        mr_error_data(call->err, MR_SOURCE, "%s: '%.*s'", message, shown, value.data);
    else
        mr_error_data(call->err, MR_SOURCE, "%s", message);
    if (eval->text != NULL)
        mr_error_where(call->err, "expression %.200s, character %d", eval->text,
                       node->position + 1);
    else
        mr_error_where(call->err, "expression, character %d", node->position + 1);
    if (call->failure == MR_FAIL_RAISE && call->session->ansi)
        mr_error_hint(call->err, "TRY_CAST and the try_ functions give NULL instead; "
                                 "\"sql\": {\"ansi\": false} does so everywhere");
}

static void fail_row(struct mr_result *result, int64_t row, const char *message,
                     struct mr_slice value)
{
    if (result->status != MR_OK)
        return;
    if (result->call->failure != MR_FAIL_RAISE) {
        mr_result_null(result, row);
        return;
    }
    place_error(result->call, message, value);
    result->status = MR_SOURCE;
}

void mr_result_fail(struct mr_result *result, int64_t row, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    fail_row(result, row, message, (struct mr_slice){0});
}

void mr_result_fail_value(struct mr_result *result, int64_t row, struct mr_slice value,
                          const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    fail_row(result, row, message, value);
}

enum mr_status mr_call_fail(struct mr_call *call, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    place_error(call, message, (struct mr_slice){0});
    mr_error_hint(call->err, "%s", "");
    return MR_SOURCE;
}

enum mr_status mr_result_finish(struct mr_result *result, struct mr_column **out)
{
    struct mr_call *call = result->call;
    if (result->status != MR_OK) {
        mr_buffer_unref(result->values);
        mr_buffer_unref(result->data);
        mr_buffer_unref(result->validity);
        return result->status;
    }
    enum mr_layout layout = mr_type_layout(call->type);
    size_t rows = (size_t)call->length;
    if (result->data != NULL) {
        fill_offsets(result, call->length);
        mr_buffer_finish(result->data, result->size);
        rows++;
    }
    mr_buffer_finish(result->values, rows * (size_t)mr_layout_width(layout));
    int64_t nulls = 0;
    if (result->validity != NULL)
        nulls = call->length - mr_bitmap_count(result->validity->data, call->length);
    if (nulls == 0) {
        mr_buffer_unref(result->validity);
        result->validity = NULL;
    }
    return mr_column_new(call->type, call->length, nulls, result->validity, result->values,
                         result->data, out, call->err);
}

void *mr_call_state(struct mr_call *call, size_t size, void (*release)(void *state))
{
    struct mr_eval *eval = call->eval;
    for (int i = 0; i < eval->nstates; i++) {
        if (eval->states[i].node == call->node && eval->states[i].release == release)
            return eval->states[i].memory;
    }
    if (eval->nstates == eval->states_capacity) {
        int capacity = eval->states_capacity ? eval->states_capacity * 2 : 4;
        struct mr_eval_state *states = mr_realloc(eval->states, (size_t)capacity * sizeof(*states));
        if (states == NULL)
            return NULL;
        eval->states = states;
        eval->states_capacity = capacity;
    }
    void *memory = mr_calloc(1, size);
    if (memory != NULL)
        eval->states[eval->nstates++] =
            (struct mr_eval_state){.node = call->node, .memory = memory, .release = release};
    return memory;
}

enum mr_status mr_call_eval(struct mr_call *call, int i, const struct mr_selected *selected,
                            struct mr_column **out)
{
    return mr_eval_node(call->eval, call->node->args[i], selected, out, call->err);
}

enum mr_status mr_kernel_replaced(struct mr_call *call, struct mr_column **out)
{
    (void)out;
    return mr_error_internal(call->err, "%s was not replaced", call->node->name);
}
