/*
 * functions_array_make.c - lists and structs from values: array, array_repeat, sequence, arrays_zip, named_struct.
 */
#include "base/time.h"
#include "col/builder.h"
#include "col/kernel.h"
#include "sql/coerce.h"
#include "sql/datetime.h"
#include "sql/local_time.h"
#include "sql/nested.h"

#include <stdio.h>

static enum mr_status bind_array(struct mr_binding *binding)
{
    const struct mr_type *element =
        binding->nargs ? binding->args[0]->type : mr_type_of(MR_TYPE_NULL);
    binding->nullable_decided = true;
    binding->type = mr_type_list(binding->arena, element, true);
    return MR_OK;
}

/* Without arguments there is nothing to make a pool of. */
static enum mr_status empty_lists(struct mr_call *call, struct mr_column **out)
{
    struct mr_builder builder;
    enum mr_status status = mr_builder_init(&builder, call->memory, call->type, call->err);
    for (int64_t i = 0; i < call->length && status == MR_OK; i++)
        status = mr_builder_list(&builder, call->err);
    if (status == MR_OK)
        status = mr_builder_finish(&builder, out, call->err);
    mr_builder_reset(&builder);
    return status;
}

static enum mr_status kernel_array(struct mr_call *call, struct mr_column **out)
{
    struct mr_pool pool;
    struct mr_list_result result;
    if (call->nargs == 0)
        return empty_lists(call, out);
    mr_list_result_init(&result, call);
    enum mr_status status = mr_pool_init(&pool, call, "e");
    if (result.status == MR_OK)
        result.status = status;
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        for (int i = 0; i < call->nargs; i++)
            mr_list_add(&result, mr_pool_value(&pool, i, row));
        mr_list_end(&result, row);
    }
    status = mr_list_finish(&result, pool.column, out);
    mr_pool_reset(&pool);
    return status;
}

static enum mr_status bind_repeat(struct mr_binding *binding)
{
    binding->type = mr_type_list(binding->arena, binding->args[0]->type, true);
    binding->nullable = binding->args[1]->nullable;
    binding->nullable_decided = true;
    return MR_OK;
}

static enum mr_status kernel_repeat(struct mr_call *call, struct mr_column **out)
{
    struct mr_pool pool;
    struct mr_arg times = mr_arg_of(call, 1);
    struct mr_list_result result;
    mr_list_result_init(&result, call);
    enum mr_status status = mr_pool_init(&pool, call, "e-");
    if (result.status == MR_OK)
        result.status = status;
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        if (mr_arg_is_null(&times, row)) {
            mr_list_null(&result, row);
            continue;
        }
        for (int32_t i = 0; i < MR_ARG(times, int32_t, row) && result.status == MR_OK; i++)
            mr_list_add(&result, mr_pool_value(&pool, 0, row));
        mr_list_end(&result, row);
    }
    status = mr_list_finish(&result, pool.column, out);
    mr_pool_reset(&pool);
    return status;
}

/* struct and named_struct: the parser has made the one into the other. */
static enum mr_status bind_struct(struct mr_binding *binding)
{
    int n = binding->nargs / 2;
    struct mr_field *fields = mr_arena_calloc(binding->arena, (size_t)n + 1, sizeof(*fields));
    struct mr_node **values = mr_arena_calloc(binding->arena, (size_t)n + 1, sizeof(*values));
    if (fields == NULL || values == NULL)
        return mr_error_nomem(binding->err);
    if (binding->nargs % 2)
        return mr_bind_fail(binding, 0, "names and values come in pairs");
    for (int i = 0; i < n; i++) {
        struct mr_value name;
        if (!mr_bind_constant(binding, 2 * i, &name) || !mr_type_is_string(name.type) ||
            name.is_null)
            return mr_bind_fail(binding, 2 * i, "the name of a field is a constant text");
        values[i] = binding->args[2 * i + 1];
        fields[i] =
            (struct mr_field){.name = mr_arena_strndup(binding->arena,
                                                       name.u.bytes.data ? name.u.bytes.data : "",
                                                       name.u.bytes.size),
                              .type = values[i]->type,
                              .nullable = values[i]->nullable};
    }
    binding->type = mr_type_struct(binding->arena, fields, n);
    binding->args = values;
    binding->nargs = n;
    binding->nullable = false;
    binding->nullable_decided = true;
    return MR_OK;
}

static enum mr_status kernel_struct(struct mr_call *call, struct mr_column **out)
{
    enum mr_status status = MR_OK;
    struct mr_column **children = mr_calloc((size_t)call->nargs + 1, sizeof(*children));
    if (children == NULL)
        return mr_error_nomem(call->err);
    for (int i = 0; i < call->nargs && status == MR_OK; i++) {
        if (call->args[i]->encoding == MR_CONSTANT)
            status =
                mr_column_resize_constant(call->args[i], call->length, &children[i], call->err);
        else
            children[i] = mr_column_ref(call->args[i]);
    }
    if (status == MR_OK) {
        status = mr_column_new_nested(call->type, call->length, 0, NULL, NULL, children,
                                      call->nargs, out, call->err);
    } else {
        for (int i = 0; i < call->nargs; i++)
            mr_column_unref(children[i]);
    }
    mr_free(children);
    return status;
}

/* The name of a column or field, else its place. */
static const char *zip_name(struct mr_binding *binding, int i)
{
    const struct mr_node *node = binding->args[i];
    char text[16];
    if (node->kind == MR_NODE_COLUMN)
        return node->name;
    if (node->kind == MR_NODE_CALL && node->nargs == 2 && strcmp(node->name, "get_field") == 0)
        return mr_arena_strndup(binding->arena, node->args[1]->literal.u.bytes.data,
                                node->args[1]->literal.u.bytes.size);
    snprintf(text, sizeof(text), "%d", i);
    return mr_arena_strdup(binding->arena, text);
}

static enum mr_status bind_zip(struct mr_binding *binding)
{
    struct mr_field *fields =
        mr_arena_calloc(binding->arena, (size_t)binding->nargs + 1, sizeof(*fields));
    if (fields == NULL)
        return mr_error_nomem(binding->err);
    for (int i = 0; i < binding->nargs; i++) {
        const struct mr_type *type = binding->args[i]->type;
        if (type->id == MR_TYPE_NULL)
            MR_TRY(mr_bind_cast(binding, i, mr_type_list(binding->arena, type, true)));
        fields[i] = (struct mr_field){.name = zip_name(binding, i),
                                      .type = binding->args[i]->type->fields[0].type,
                                      .nullable = true};
        if (fields[i].name == NULL)
            return mr_error_nomem(binding->err);
    }
    const struct mr_type *element = mr_type_struct(binding->arena, fields, binding->nargs);
    binding->type = element ? mr_type_list(binding->arena, element, false) : NULL;
    return MR_OK;
}

/* Which element of list `arg` is in each element of the result. */
static enum mr_status zip_child(struct mr_call *call, int arg, int64_t total,
                                struct mr_column **out)
{
    const struct mr_column *column = call->args[arg];
    struct mr_buffer *buffer;
    MR_TRY(mr_buffer_new(call->memory, (size_t)total * sizeof(int32_t), &buffer, call->err));
    int32_t *rows = (int32_t *)(void *)buffer->data;
    int64_t n = 0;
    MR_EACH_ROW(call, row)
    {
        struct mr_span span = mr_list_span(column, row);
        int32_t longest = 0;
        for (int i = 0; i < call->nargs; i++) {
            struct mr_span other = mr_list_span(call->args[i], row);
            longest = other.to - other.from > longest ? other.to - other.from : longest;
        }
        for (int32_t i = 0; i < longest; i++)
            rows[n++] = span.from + i < span.to ? span.from + i : -1;
    }
    enum mr_status status =
        mr_column_take(call->memory, column->children[0], rows, total, out, call->err);
    mr_buffer_unref(buffer);
    return status;
}

static enum mr_status kernel_zip(struct mr_call *call, struct mr_column **out)
{
    struct mr_list_result result;
    struct mr_column **children = mr_calloc((size_t)call->nargs + 1, sizeof(*children));
    struct mr_column *entries = NULL;
    if (children == NULL)
        return mr_error_nomem(call->err);
    mr_list_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        int32_t longest = 0;
        for (int i = 0; i < call->nargs; i++) {
            struct mr_span span = mr_list_span(call->args[i], row);
            longest = span.to - span.from > longest ? span.to - span.from : longest;
        }
        mr_list_add_count(&result, longest);
        mr_list_end(&result, row);
    }
    for (int i = 0; i < call->nargs && result.status == MR_OK; i++)
        result.status = zip_child(call, i, result.count, &children[i]);
    if (result.status == MR_OK) {
        result.status = mr_column_new_nested(mr_type_child(call->type, 0), result.count, 0, NULL,
                                             NULL, children, call->nargs, &entries, call->err);
    } else {
        for (int i = 0; i < call->nargs; i++)
            mr_column_unref(children[i]);
    }
    mr_free(children);
    return mr_list_finish_with(&result, entries, out);
}

/* sequence: integers by an integer; dates and timestamps by an interval. */
static enum mr_status bind_sequence(struct mr_binding *binding)
{
    const struct mr_type *a = binding->args[0]->type, *b = binding->args[1]->type;
    const struct mr_type *common = mr_common_type(binding->arena, binding->session, a, b);
    if (common != NULL && common->id == MR_TYPE_NULL)
        common = mr_type_of(MR_TYPE_INT32);
    bool integer = common != NULL && mr_type_is_integer(common);
    if (common == NULL || (!integer && !mr_type_is_datetime(common)))
        return mr_bind_fail(binding, 0, "start and stop are integers, dates or timestamps");
    if (binding->nargs > 2) {
        const struct mr_type *step = binding->args[2]->type;
        bool text = mr_type_is_string(step);
        if (integer && (mr_type_is_integer(step) || (text && binding->session->ansi)))
            common = mr_common_type(binding->arena, binding->session, common, step);
        else if (step->id != MR_TYPE_NULL && !(integer && text) &&
                 (integer || step->id != MR_TYPE_INTERVAL))
            return mr_bind_fail(binding, 2,
                                integer ? "the step is an integer" : "the step is an interval");
        MR_TRY(mr_bind_cast(binding, 2, integer ? common : mr_type_of(MR_TYPE_INTERVAL)));
    }
    MR_TRY(mr_bind_cast(binding, 0, common));
    MR_TRY(mr_bind_cast(binding, 1, common));
    binding->type = mr_type_list(binding->arena, common, false);
    return MR_OK;
}

#define LONGEST_LIST (INT32_MAX - 15)

static enum mr_status bad_boundaries(struct mr_call *call)
{
    return mr_call_fail(call, "the step does not lead from the start to the stop");
}

static enum mr_status integer_sequence(struct mr_call *call, int64_t row, struct mr_builder *items)
{
    struct mr_arg from = mr_arg_of(call, 0), to = mr_arg_of(call, 1);
    int64_t start = mr_arg_int(&from, row), stop = mr_arg_int(&to, row);
    int64_t step = start <= stop ? 1 : -1;
    if (call->nargs > 2) {
        struct mr_arg by = mr_arg_of(call, 2);
        step = mr_arg_int(&by, row);
    }
    if (step > 0 ? start > stop : step < 0 ? start < stop : start != stop)
        return bad_boundaries(call);
    mr_int128 count = step == 0 ? 1 : ((mr_int128)stop - start) / step + 1;
    if (count > LONGEST_LIST)
        return mr_call_fail(call, "the sequence is too long");
    MR_TRY(mr_builder_reserve(items, (int64_t)count, 0, call->err));
    for (int64_t i = 0; i < (int64_t)count; i++)
        MR_TRY(mr_builder_int(items, start + i * step, call->err));
    return MR_OK;
}

static bool scale_interval(const struct mr_interval *by, int64_t times, struct mr_interval *out)
{
    return !__builtin_mul_overflow(by->months, times, &out->months) &&
           !__builtin_mul_overflow(by->days, times, &out->days) &&
           !__builtin_mul_overflow(by->micros, times, &out->micros);
}

/* Each item is start + i * step, so that the last of a month does not wear down to the 28th. */
static enum mr_status time_sequence(struct mr_call *call, int64_t row, struct mr_builder *items)
{
    struct mr_arg from = mr_arg_of(call, 0), to = mr_arg_of(call, 1);
    bool date = from.type->id == MR_TYPE_DATE;
    int64_t unit = date ? MR_MICROS_PER_DAY : 1;
    int64_t start = mr_arg_int(&from, row) * unit, stop = mr_arg_int(&to, row) * unit, at = start;
    struct mr_interval by = {.days = start <= stop ? 1 : -1}, total;
    if (call->nargs > 2) {
        struct mr_arg step = mr_arg_of(call, 2);
        by = MR_ARG(step, struct mr_interval, row);
    }
    mr_int128 length = (mr_int128)by.micros + (mr_int128)by.days * MR_MICROS_PER_DAY +
                       (mr_int128)by.months * 28 * MR_MICROS_PER_DAY;
    if (date && by.months == 0 && by.days == 0 && by.micros != 0)
        return mr_call_fail(call, "the step between dates is of whole days or months");
    if (length > 0 ? start > stop : length < 0 ? start < stop : start != stop)
        return bad_boundaries(call);
    const struct mr_tz *tz = from.type->id == MR_TYPE_TIMESTAMP ? call->session->tz : NULL;
    for (int64_t i = 1; length < 0 ? at >= stop : at <= stop; i++) {
        MR_TRY(mr_builder_int(items, date ? mr_floor_divide(at, unit) : at, call->err));
        if (length == 0)
            break;
        if (i > LONGEST_LIST)
            return mr_call_fail(call, "the sequence is too long");
        if (!scale_interval(&by, i, &total) || !mr_timestamp_add(tz, start, &total, 1, &at))
            break;
    }
    return MR_OK;
}

static enum mr_status kernel_sequence(struct mr_call *call, struct mr_column **out)
{
    const struct mr_type *type = mr_type_child(call->type, 0);
    bool integer = mr_type_is_integer(type);
    struct mr_list_result result;
    struct mr_builder items;
    struct mr_column *child = NULL;
    mr_list_result_init(&result, call);
    enum mr_status status = mr_builder_init(&items, call->memory, type, call->err);
    if (result.status == MR_OK)
        result.status = status;
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        int64_t before = items.length;
        result.status =
            integer ? integer_sequence(call, row, &items) : time_sequence(call, row, &items);
        mr_list_add_count(&result, items.length - before);
        mr_list_end(&result, row);
    }
    if (result.status == MR_OK)
        result.status = mr_builder_finish(&items, &child, call->err);
    mr_builder_reset(&items);
    return mr_list_finish_with(&result, child, out);
}

#define ROW(names_, args_, flags_, kernel_, bind_, family_, signature_, doc_)                      \
    {                                                                                              \
        .names = names_, .args = args_, .result = "!", .flags = flags_, .kernel = kernel_,         \
        .bind = bind_, .signature = signature_, .family = family_, .doc = doc_                     \
    }

static const struct mr_function functions[] = {
    ROW("array", "=*", MR_FN_TOTAL | MR_FN_NULLS, kernel_array, bind_array, "arrays",
        "array(value, ...)", "The values as an array of their common type."),
    ROW("array_repeat", "ai!", MR_FN_NULLS | MR_FN_TOTAL, kernel_repeat, bind_repeat, "arrays",
        "array_repeat(value, count)", "An array of so many times the value."),
    ROW("sequence", "aa?a", 0, kernel_sequence, bind_sequence, "arrays",
        "sequence(start, stop[, step])",
        "Integers, dates or timestamps from start to stop; the step is 1 or 1 day by default, "
        "negative when the stop is less."),
    ROW("arrays_zip", "A*", MR_FN_TOTAL, kernel_zip, bind_zip, "arrays", "arrays_zip(array, ...)",
        "An array of structs of the first, second ... elements; shorter arrays end in NULLs."),
    ROW("named_struct", "a*", MR_FN_TOTAL | MR_FN_NULLS, kernel_struct, bind_struct, "structs",
        "named_struct(name, value, ...)", "A struct of named fields."),
    ROW("struct", "a*", MR_FN_TOTAL | MR_FN_NULLS, mr_kernel_replaced, bind_struct, "structs",
        "struct(value [AS name], ...)",
        "A struct; a field has its name, that of its column, or col1, col2, ..."),
};

const struct mr_function_family mr_functions_array_make = {functions, sizeof(functions) /
                                                                          sizeof(functions[0])};
