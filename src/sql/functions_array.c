/*
 * functions_array.c - reading lists: how many elements, which one, where, least and greatest, as one text.
 *
 * Lists are read through pools (nested.h). Two elements are equal as in <=>: NaN equals NaN, and where NULLs matter each function
 * says how.
 */
#include "col/kernel.h"
#include "sql/coerce.h"
#include "sql/nested.h"
#include "sql/text_of.h"

/* The size of NULL is NULL; with ANSI off -1, as Spark's legacy default has it. */
static enum mr_status bind_size(struct mr_binding *binding)
{
    bool minus = !binding->session->ansi;
    enum mr_status status;
    if (!minus && mr_bind_null_argument(binding, 0, binding->type, &status))
        return status;
    if (binding->args[0]->type->id == MR_TYPE_NULL)
        MR_TRY(
            mr_bind_cast(binding, 0, mr_type_list(binding->arena, mr_type_of(MR_TYPE_NULL), true)));
    if (minus) {
        binding->flags |= MR_FN_NULLS;
        binding->nullable = false;
        binding->nullable_decided = true;
    }
    return MR_OK;
}

static enum mr_status kernel_size(struct mr_call *call, struct mr_column **out)
{
    const struct mr_column *column = call->args[0];
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        bool null = mr_column_is_null(column, row);
        struct mr_span span = null ? (struct mr_span){1, 0} : mr_list_span(column, row);
        MR_SET(&result, int32_t, row, span.to - span.from);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status bind_element(struct mr_binding *binding)
{
    const struct mr_type *list = binding->args[0]->type;
    enum mr_status status;
    if (mr_bind_null_argument(binding, 0, mr_type_of(MR_TYPE_NULL), &status))
        return status;
    binding->type = list->fields[0].type;
    binding->nullable |= list->fields[0].nullable;
    if (binding->function->names[0] == 'g') /* get: whatever is outside is NULL */
        return MR_OK;
    return mr_bind_cast(binding, 1, mr_type_of(MR_TYPE_INT32));
}

/* element_at: from 1, from the end when negative. */
static enum mr_status kernel_element_at(struct mr_call *call, struct mr_column **out)
{
    const struct mr_column *column = call->args[0];
    struct mr_arg index = mr_arg_of(call, 1);
    struct mr_buffer *buffer;
    int32_t *rows;
    enum mr_status status = MR_OK;
    MR_TRY(mr_rows_open(call, &buffer, &rows));
    MR_EACH_ROW(call, row)
    {
        struct mr_span span = mr_list_span(column, row);
        int64_t size = span.to - span.from, at = MR_ARG(index, int32_t, row);
        if (at == 0 || at == INT32_MIN)
            status = mr_call_fail(call, "the index %lld is no element: they count from 1",
                                  (long long)at);
        else if ((at < 0 ? -at : at) <= size)
            rows[row] = (int32_t)(at < 0 ? span.to + at : span.from + at - 1);
        else if (call->failure == MR_FAIL_RAISE)
            status = mr_call_fail(call, "the index %lld is outside of a list of %lld elements",
                                  (long long)at, (long long)size);
        if (status != MR_OK) {
            mr_buffer_unref(buffer);
            return status;
        }
    }
    return mr_rows_take(call, buffer, column->children[0], out);
}

/* get: from 0, NULL outside. */
static enum mr_status kernel_get(struct mr_call *call, struct mr_column **out)
{
    const struct mr_column *column = call->args[0];
    struct mr_arg index = mr_arg_of(call, 1);
    struct mr_buffer *buffer;
    int32_t *rows;
    MR_TRY(mr_rows_open(call, &buffer, &rows));
    MR_EACH_ROW(call, row)
    {
        struct mr_span span = mr_list_span(column, row);
        int64_t at = mr_arg_int(&index, row);
        if (at >= 0 && at < span.to - span.from)
            rows[row] = span.from + (int32_t)at;
    }
    return mr_rows_take(call, buffer, column->children[0], out);
}

static enum mr_status bind_search(struct mr_binding *binding)
{
    const struct mr_type *element;
    enum mr_status status;
    if (mr_bind_null_argument(binding, 0, binding->type, &status))
        return status;
    return mr_bind_elements(binding, 1, 2, &element);
}

/* NULL when the value is not found but an element is NULL. */
static enum mr_status kernel_array_contains(struct mr_call *call, struct mr_column **out)
{
    struct mr_pool pool;
    struct mr_result result;
    enum mr_status status = mr_pool_init(&pool, call, "le");
    mr_result_init(&result, call);
    if (result.status == MR_OK)
        result.status = status;
    if (result.status == MR_OK)
        MR_EACH_ROW(call, row)
        {
            struct mr_span span = mr_pool_span(&pool, 0, row);
            int32_t value = mr_pool_value(&pool, 1, row);
            bool found = false, null = false;
            for (int32_t i = span.from; i < span.to && !found; i++) {
                found = mr_pool_equal(&pool, i, value);
                null |= mr_pool_null(&pool, i);
            }
            MR_SET(&result, uint8_t, row, found);
            if (!found && null)
                mr_result_null(&result, row);
        }
    mr_pool_reset(&pool);
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_array_position(struct mr_call *call, struct mr_column **out)
{
    struct mr_pool pool;
    struct mr_result result;
    enum mr_status status = mr_pool_init(&pool, call, "le");
    mr_result_init(&result, call);
    if (result.status == MR_OK)
        result.status = status;
    if (result.status == MR_OK)
        MR_EACH_ROW(call, row)
        {
            struct mr_span span = mr_pool_span(&pool, 0, row);
            int32_t value = mr_pool_value(&pool, 1, row), at = span.from;
            while (at < span.to && !mr_pool_equal(&pool, at, value))
                at++;
            MR_SET(&result, int64_t, row, at < span.to ? at - span.from + 1 : 0);
        }
    mr_pool_reset(&pool);
    return mr_result_finish(&result, out);
}

static enum mr_status bind_overlap(struct mr_binding *binding)
{
    const struct mr_type *element;
    enum mr_status status;
    if (mr_bind_null_argument(binding, 0, binding->type, &status) ||
        mr_bind_null_argument(binding, 1, binding->type, &status))
        return status;
    return mr_bind_elements(binding, 3, 0, &element);
}

/* 1: they share an element, 0: they do not, -1: a NULL leaves it open. */
static int overlap(const struct mr_pool *pool, struct mr_item_set *set, int64_t row)
{
    struct mr_span a = mr_pool_span(pool, 0, row), b = mr_pool_span(pool, 1, row);
    bool null = false;
    for (int32_t i = a.from; i < a.to; i++) {
        null |= mr_pool_null(pool, i);
        mr_item_set_add(set, i);
    }
    for (int32_t i = b.from; i < b.to; i++) {
        if (mr_pool_null(pool, i))
            null = true;
        else if (mr_item_set_has(set, i))
            return 1;
    }
    return null && a.from < a.to && b.from < b.to ? -1 : 0;
}

static enum mr_status kernel_arrays_overlap(struct mr_call *call, struct mr_column **out)
{
    struct mr_pool pool;
    struct mr_item_set set = {0};
    struct mr_result result;
    enum mr_status status = mr_pool_init(&pool, call, "ll");
    mr_result_init(&result, call);
    if (status == MR_OK)
        status = mr_item_set_init(&set, &pool);
    if (result.status == MR_OK)
        result.status = status;
    if (result.status == MR_OK)
        MR_EACH_ROW(call, row)
        {
            struct mr_span span = mr_pool_span(&pool, 0, row);
            if (!mr_item_set_clear(&set, span.to - span.from)) {
                result.status = mr_error_nomem(call->err);
                break;
            }
            int shared = overlap(&pool, &set, row);
            MR_SET(&result, uint8_t, row, shared > 0);
            if (shared < 0)
                mr_result_null(&result, row);
        }
    mr_item_set_reset(&set);
    mr_pool_reset(&pool);
    return mr_result_finish(&result, out);
}

static enum mr_status bind_join(struct mr_binding *binding)
{
    enum mr_status status;
    if (mr_bind_null_argument(binding, 0, binding->type, &status))
        return status;
    return mr_bind_cast(binding, 0, mr_type_list(binding->arena, mr_type_of(MR_TYPE_STRING), true));
}

/* NULL elements are left out, or written as the third argument. */
static enum mr_status kernel_array_join(struct mr_call *call, struct mr_column **out)
{
    const struct mr_column *lists = call->args[0];
    struct mr_arg between = mr_arg_of(call, 1), instead = mr_arg_of(call, call->nargs - 1);
    bool replace = call->nargs > 2;
    struct mr_column *items;
    MR_TRY(mr_column_flatten(call->memory, lists->children[0], &items, call->err));
    struct mr_arg item = mr_arg_of_column(items);
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        struct mr_span span = mr_list_span(lists, row);
        struct mr_slice gap = mr_arg_text(&between, row);
        size_t size = 0;
        bool first = true;
        for (int32_t i = span.from; i < span.to; i++) {
            bool null = mr_arg_is_null(&item, i);
            if (null && !replace)
                continue;
            struct mr_slice text = null ? mr_arg_text(&instead, row) : mr_arg_text(&item, i);
            char *to = mr_result_reserve(&result, size + gap.size + text.size);
            if (to == NULL)
                break;
            if (!first && gap.size)
                memcpy(to + size, gap.data, gap.size);
            size += first ? 0 : gap.size;
            if (text.size)
                memcpy(to + size, text.data, text.size);
            size += text.size;
            first = false;
        }
        mr_result_commit(&result, row, size);
    }
    mr_column_unref(items);
    return mr_result_finish(&result, out);
}

/* concat_ws where some arguments are arrays. */
static enum mr_status bind_concat_ws(struct mr_binding *binding)
{
    const struct mr_type *text = mr_type_of(MR_TYPE_STRING);
    const struct mr_type *list = mr_type_list(binding->arena, text, true);
    for (int i = 1; i < binding->nargs; i++)
        MR_TRY(mr_bind_cast(binding, i, binding->args[i]->type->id == MR_TYPE_LIST ? list : text));
    binding->nullable = binding->args[0]->nullable;
    binding->nullable_decided = true;
    return MR_OK;
}

static void append_part(struct mr_bytes *out, const struct mr_column *column, int64_t row,
                        struct mr_slice gap, bool *first)
{
    struct mr_value value;
    mr_column_get(column, row, &value);
    if (value.is_null)
        return;
    if (!*first)
        mr_bytes_append(out, gap.data, gap.size);
    mr_bytes_append(out, value.u.bytes.data, value.u.bytes.size);
    *first = false;
}

static enum mr_status kernel_concat_ws(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg separator = mr_arg_of(call, 0);
    struct mr_bytes made;
    mr_bytes_init(&made, INT32_MAX);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        bool first = true;
        if (result.status != MR_OK)
            break;
        if (mr_arg_is_null(&separator, row)) {
            mr_result_null(&result, row);
            continue;
        }
        struct mr_slice gap = mr_arg_text(&separator, row);
        mr_bytes_clear(&made);
        for (int i = 1; i < call->nargs; i++) {
            const struct mr_column *column = call->args[i];
            if (column->type->id != MR_TYPE_LIST) {
                append_part(&made, column, row, gap, &first);
            } else if (!mr_column_is_null(column, row)) {
                struct mr_span span = mr_list_span(column, row);
                for (int32_t j = span.from; j < span.to; j++)
                    append_part(&made, column->children[0], j, gap, &first);
            }
        }
        result.status = mr_bytes_status(&made, call->err);
        mr_result_text(&result, row, made.data ? made.data : "", made.size);
    }
    mr_bytes_reset(&made);
    return mr_result_finish(&result, out);
}

static enum mr_status bind_extreme(struct mr_binding *binding)
{
    const struct mr_type *list = binding->args[0]->type;
    enum mr_status status;
    char text[96];
    if (mr_bind_null_argument(binding, 0, mr_type_of(MR_TYPE_NULL), &status))
        return status;
    if (!mr_type_is_orderable(list))
        return mr_bind_fail(binding, 0, "%s has no order", mr_type_text(list, text, sizeof(text)));
    binding->type = list->fields[0].type;
    binding->nullable = true;
    return MR_OK;
}

static enum mr_status list_extreme(struct mr_call *call, int sign, struct mr_column **out)
{
    const struct mr_column *column = call->args[0], *items = column->children[0];
    struct mr_buffer *buffer;
    int32_t *rows;
    MR_TRY(mr_rows_open(call, &buffer, &rows));
    MR_EACH_ROW(call, row)
    {
        struct mr_span span = mr_list_span(column, row);
        for (int32_t i = span.from; i < span.to; i++) {
            if (!mr_column_is_null(items, i) &&
                (rows[row] < 0 || mr_column_compare_rows(items, i, items, rows[row]) * sign > 0))
                rows[row] = i;
        }
    }
    return mr_rows_take(call, buffer, items, out);
}

static enum mr_status kernel_array_max(struct mr_call *call, struct mr_column **out)
{
    return list_extreme(call, 1, out);
}

static enum mr_status kernel_array_min(struct mr_call *call, struct mr_column **out)
{
    return list_extreme(call, -1, out);
}

#define ROW(names_, args_, result_, flags_, kernel_, bind_, signature_, doc_)                      \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = flags_, .kernel = kernel_,     \
        .bind = bind_, .signature = signature_, .family = "arrays", .doc = doc_                    \
    }

static const struct mr_function functions[] = {
    ROW("size cardinality", "A", "i", MR_FN_TOTAL, kernel_size, bind_size, "size(array or map)",
        "Number of elements or entries; of NULL it is NULL, with ANSI off -1."),
    ROW("size cardinality", "M", "i", MR_FN_TOTAL, kernel_size, bind_size, NULL, NULL),
    ROW("array_size", "A", "i", MR_FN_TOTAL, kernel_size, NULL, "array_size(array)",
        "Number of elements."),
    ROW("element_at", "AI", "!", 0, kernel_element_at, bind_element, "element_at(array, index)",
        "The element at an index from 1, from the end if negative; 0 is an error."),
    ROW("try_element_at", "AI", "!", MR_FN_TRY, kernel_element_at, bind_element,
        "try_element_at(array, index)", "The same, NULL outside of the array."),
    ROW("get", "AI", "!", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_get, bind_element,
        "get(array, index)", "The element at an index from 0, NULL outside of the array."),
    ROW("array_contains", "Aa", "z", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_array_contains,
        bind_search, "array_contains(array, value)",
        "Is the value an element? NULL when it is not found among elements with a NULL."),
    ROW("array_position", "Aa", "l", MR_FN_TOTAL, kernel_array_position, bind_search,
        "array_position(array, value)", "Position of the first such element, from 1; 0 without."),
    ROW("arrays_overlap", "AA", "z", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_arrays_overlap,
        bind_overlap, "arrays_overlap(a, b)",
        "Do they share an element that is not NULL? NULL when a NULL leaves it open."),
    ROW("array_join", "As!?s!", "s", MR_FN_TOTAL, kernel_array_join, bind_join,
        "array_join(array, separator[, null_text])",
        "The elements as one text; NULLs are left out, or written as the third argument."),
    ROW("concat_ws", "sa*", "s", MR_FN_TOTAL | MR_FN_NULLS, kernel_concat_ws, bind_concat_ws,
        "concat_ws(separator, text or array, ...)",
        "The same with the elements of arrays, NULLs left out."),
    ROW("array_max", "A", "!", MR_FN_TOTAL, kernel_array_max, bind_extreme, "array_max(array)",
        "The greatest element, NULLs left out."),
    ROW("array_min", "A", "!", MR_FN_TOTAL, kernel_array_min, bind_extreme, "array_min(array)",
        "The least element, NULLs left out."),
};

const struct mr_function_family mr_functions_array = {functions,
                                                      sizeof(functions) / sizeof(functions[0])};
