/*
 * functions_array_change.c - lists from lists: without duplicates, joined, cut, sorted, with elements added and removed.
 *
 * Every kernel says for each row which elements of the pool make its list (nested.h); sets are hash tables over the pool.
 */
#include "col/kernel.h"
#include "sql/coerce.h"
#include "sql/nested.h"

/* What makes the list of one row; rows of NULL arguments are not asked about unless the function takes NULLs. */
typedef void (*mr_row_fn)(struct mr_list_result *result, const struct mr_pool *pool,
                          struct mr_item_set *set, int64_t row);

static enum mr_status make_lists(struct mr_call *call, const char *parts, bool with_set,
                                 mr_row_fn make, struct mr_column **out)
{
    struct mr_pool pool;
    struct mr_item_set set = {0};
    struct mr_list_result result;
    mr_list_result_init(&result, call);
    enum mr_status status = mr_pool_init(&pool, call, parts);
    if (status == MR_OK && with_set)
        status = mr_item_set_init(&set, &pool);
    set.signed_zeros = status == MR_OK && with_set && mr_type_is_float(pool.column->type);
    if (result.status == MR_OK)
        result.status = status;
    if (result.status == MR_OK)
        MR_EACH_ROW(call, row)
        {
            if (result.status != MR_OK)
                break;
            make(&result, &pool, &set, row);
            if (result.status == MR_OK && result.next <= row)
                mr_list_end(&result, row);
        }
    mr_item_set_reset(&set);
    status = mr_list_finish(&result, pool.column, out);
    mr_pool_reset(&pool);
    return status;
}

static bool clear_set(struct mr_list_result *result, struct mr_item_set *set, int64_t items)
{
    if (!mr_item_set_clear(set, items))
        result->status = mr_error_nomem(result->call->err);
    return result->status == MR_OK;
}

/* The result is the list of argument 0; arguments that are the literal NULL make the call NULL. */
static enum mr_status bind_lists(struct mr_binding *binding, unsigned lists, unsigned values)
{
    const struct mr_type *element;
    enum mr_status status;
    for (int i = 0; i < binding->nargs; i++) {
        if ((lists & 1u << i) &&
            mr_bind_null_argument(binding, i,
                                  mr_type_list(binding->arena, mr_type_of(MR_TYPE_NULL), true),
                                  &status))
            return status;
    }
    MR_TRY(mr_bind_elements(binding, lists, values, &element));
    binding->type = mr_type_list(binding->arena, element, true);
    return MR_OK;
}

static enum mr_status bind_one(struct mr_binding *binding)
{
    return bind_lists(binding, 1, 0);
}

static enum mr_status bind_two(struct mr_binding *binding)
{
    return bind_lists(binding, 3, 0);
}

static enum mr_status bind_with_value(struct mr_binding *binding)
{
    if (binding->flags & MR_FN_NULLS) {
        binding->nullable = binding->args[0]->nullable;
        binding->nullable_decided = true;
    }
    return bind_lists(binding, 1, 2);
}

static enum mr_status bind_insert(struct mr_binding *binding)
{
    binding->nullable = true;
    return bind_lists(binding, 1, 4);
}

static enum mr_status bind_orderable(struct mr_binding *binding)
{
    char text[96];
    if (binding->args[0]->type->id != MR_TYPE_NULL && !mr_type_is_orderable(binding->args[0]->type))
        return mr_bind_fail(binding, 0, "%s has no order",
                            mr_type_text(binding->args[0]->type, text, sizeof(text)));
    return bind_lists(binding, 1, 0);
}

static void add_new(struct mr_list_result *result, struct mr_item_set *set, struct mr_span span)
{
    for (int32_t i = span.from; i < span.to; i++) {
        if (mr_item_set_add(set, i))
            mr_list_add(result, i);
    }
}

static void row_distinct(struct mr_list_result *result, const struct mr_pool *pool,
                         struct mr_item_set *set, int64_t row)
{
    struct mr_span span = mr_pool_span(pool, 0, row);
    if (clear_set(result, set, span.to - span.from))
        add_new(result, set, span);
}

static void row_union(struct mr_list_result *result, const struct mr_pool *pool,
                      struct mr_item_set *set, int64_t row)
{
    struct mr_span a = mr_pool_span(pool, 0, row), b = mr_pool_span(pool, 1, row);
    if (!clear_set(result, set, (int64_t)(a.to - a.from) + (b.to - b.from)))
        return;
    add_new(result, set, a);
    add_new(result, set, b);
}

static void row_except(struct mr_list_result *result, const struct mr_pool *pool,
                       struct mr_item_set *set, int64_t row)
{
    struct mr_span a = mr_pool_span(pool, 0, row), b = mr_pool_span(pool, 1, row);
    if (!clear_set(result, set, (int64_t)(a.to - a.from) + (b.to - b.from)))
        return;
    for (int32_t i = b.from; i < b.to; i++)
        mr_item_set_add(set, i);
    add_new(result, set, a);
}

/* Elements of a in b, in a's order: those of b are in the set, and an element found is looked for once more in the result. */
static void row_intersect(struct mr_list_result *result, const struct mr_pool *pool,
                          struct mr_item_set *set, int64_t row)
{
    struct mr_span a = mr_pool_span(pool, 0, row), b = mr_pool_span(pool, 1, row);
    int64_t first = result->count;
    if (!clear_set(result, set, b.to - b.from))
        return;
    for (int32_t i = b.from; i < b.to; i++)
        mr_item_set_add(set, i);
    for (int32_t i = a.from; i < a.to; i++) {
        if (mr_item_set_has(set, i))
            mr_list_add(result, i);
    }
    int64_t found = result->count - first;
    if (result->status != MR_OK || found < 2 || !clear_set(result, set, found))
        return;
    const int32_t *items = (const int32_t *)(const void *)result->items[0]->data + first;
    result->count = first;
    for (int64_t i = 0; i < found; i++) {
        if (mr_item_set_add(set, items[i]))
            mr_list_add(result, items[i]);
    }
}

static void row_concat(struct mr_list_result *result, const struct mr_pool *pool,
                       struct mr_item_set *set, int64_t row)
{
    (void)set;
    for (int i = 0; i < result->call->nargs; i++)
        mr_list_add_span(result, mr_pool_span(pool, i, row));
}

static void row_remove(struct mr_list_result *result, const struct mr_pool *pool,
                       struct mr_item_set *set, int64_t row)
{
    (void)set;
    struct mr_span span = mr_pool_span(pool, 0, row);
    int32_t value = mr_pool_value(pool, 1, row);
    for (int32_t i = span.from; i < span.to; i++) {
        if (!mr_pool_equal(pool, i, value))
            mr_list_add(result, i);
    }
}

static void row_compact(struct mr_list_result *result, const struct mr_pool *pool,
                        struct mr_item_set *set, int64_t row)
{
    (void)set;
    struct mr_span span = mr_pool_span(pool, 0, row);
    for (int32_t i = span.from; i < span.to; i++) {
        if (!mr_pool_null(pool, i))
            mr_list_add(result, i);
    }
}

static void row_append(struct mr_list_result *result, const struct mr_pool *pool,
                       struct mr_item_set *set, int64_t row)
{
    (void)set;
    if (mr_column_is_null(result->call->args[0], row)) {
        mr_list_null(result, row);
        return;
    }
    mr_list_add_span(result, mr_pool_span(pool, 0, row));
    mr_list_add(result, mr_pool_value(pool, 1, row));
}

static void row_prepend(struct mr_list_result *result, const struct mr_pool *pool,
                        struct mr_item_set *set, int64_t row)
{
    (void)set;
    if (mr_column_is_null(result->call->args[0], row)) {
        mr_list_null(result, row);
        return;
    }
    mr_list_add(result, mr_pool_value(pool, 1, row));
    mr_list_add_span(result, mr_pool_span(pool, 0, row));
}

#define LONGEST_LIST (INT32_MAX - 15)

/* Before which element a position puts something: from 1; -1 is behind the last. Behind the ends NULLs fill the gap. */
static void row_insert(struct mr_list_result *result, const struct mr_pool *pool,
                       struct mr_item_set *set, int64_t row)
{
    (void)set;
    struct mr_call *call = result->call;
    if (mr_column_is_null(call->args[0], row) || mr_column_is_null(call->args[1], row)) {
        mr_list_null(result, row);
        return;
    }
    struct mr_arg at = mr_arg_of(call, 1);
    struct mr_span span = mr_pool_span(pool, 0, row);
    int64_t size = span.to - span.from, position = MR_ARG(at, int32_t, row);
    int32_t value = mr_pool_value(pool, 2, row);
    if (position == 0) {
        result->status = mr_call_fail(call, "the position 0 is no place: they count from 1");
        return;
    }
    int64_t before = position > 0 ? position - 1 : size + position + 1;
    if (before > LONGEST_LIST || before < -(int64_t)LONGEST_LIST) {
        result->status = mr_call_fail(call, "the list is too long");
        return;
    }
    if (before < 0) {
        mr_list_add(result, value);
        for (int64_t i = before + 1; i <= 0 && result->status == MR_OK; i++)
            mr_list_add(result, -1);
        mr_list_add_span(result, span);
        return;
    }
    int64_t kept = before < size ? before : size;
    mr_list_add_span(result, (struct mr_span){span.from, span.from + (int32_t)kept});
    for (int64_t i = size; i < before && result->status == MR_OK; i++)
        mr_list_add(result, -1);
    mr_list_add(result, value);
    mr_list_add_span(result, (struct mr_span){span.from + (int32_t)kept, span.to});
}

static void row_reverse(struct mr_list_result *result, const struct mr_pool *pool,
                        struct mr_item_set *set, int64_t row)
{
    (void)set;
    struct mr_span span = mr_pool_span(pool, 0, row);
    for (int32_t i = span.to - 1; i >= span.from; i--)
        mr_list_add(result, i);
}

static void row_slice(struct mr_list_result *result, const struct mr_pool *pool,
                      struct mr_item_set *set, int64_t row)
{
    (void)set;
    struct mr_call *call = result->call;
    struct mr_arg start = mr_arg_of(call, 1), length = mr_arg_of(call, 2);
    struct mr_span span = mr_pool_span(pool, 0, row);
    int64_t size = span.to - span.from;
    int64_t from = MR_ARG(start, int32_t, row), count = MR_ARG(length, int32_t, row);
    if (from == 0 || count < 0) {
        result->status = mr_call_fail(call, from ? "the length is negative"
                                                 : "the start 0 is no element: they "
                                                   "count from 1");
        return;
    }
    from = from > 0 ? from - 1 : size + from;
    if (from < 0 || from >= size)
        return;
    count = count < size - from ? count : size - from;
    span.from += (int32_t)from;
    mr_list_add_span(result, (struct mr_span){span.from, span.from + (int32_t)count});
}

struct order {
    const struct mr_column *column;
    int sign;
    int null_sign; /* of NULL against a value */
};

static int compare_items(const struct order *order, int32_t a, int32_t b)
{
    bool null_a = mr_column_is_null(order->column, a), null_b = mr_column_is_null(order->column, b);
    if (null_a || null_b)
        return (null_a - null_b) * order->null_sign;
    return mr_column_compare_rows(order->column, a, order->column, b) * order->sign;
}

/* Merge sort from `items` by way of `spare`: stable. */
static void sort_items(const struct order *order, int32_t *items, int32_t *spare, int64_t count)
{
    for (int64_t width = 1; width < count; width *= 2) {
        for (int64_t low = 0; low < count; low += 2 * width) {
            int64_t middle = low + width < count ? low + width : count;
            int64_t high = middle + width < count ? middle + width : count;
            int64_t a = low, b = middle;
            for (int64_t to = low; to < high; to++) {
                bool left =
                    a < middle && (b >= high || compare_items(order, items[a], items[b]) <= 0);
                spare[to] = left ? items[a++] : items[b++];
            }
        }
        memcpy(items, spare, (size_t)count * sizeof(*items));
    }
}

static void sort_row(struct mr_list_result *result, const struct mr_pool *pool,
                     const struct order *order, int64_t row)
{
    struct mr_span span = mr_pool_span(pool, 0, row);
    int64_t count = span.to - span.from, first = result->count;
    mr_list_add_span(result, span);
    if (count < 2 || result->status != MR_OK)
        return;
    int32_t *spare = mr_alloc((size_t)count * sizeof(*spare));
    if (spare == NULL) {
        result->status = mr_error_nomem(result->call->err);
        return;
    }
    sort_items(order, (int32_t *)(void *)result->items[0]->data + first, spare, count);
    mr_free(spare);
}

/* sort_array: NULLs first when ascending, last when descending. */
static void row_sort_array(struct mr_list_result *result, const struct mr_pool *pool,
                           struct mr_item_set *set, int64_t row)
{
    (void)set;
    bool up = true;
    if (result->call->nargs > 1) {
        struct mr_arg ascending = mr_arg_of(result->call, 1);
        up = MR_ARG(ascending, uint8_t, row);
    }
    struct order order = {pool->column, up ? 1 : -1, up ? -1 : 1};
    sort_row(result, pool, &order, row);
}

/* array_sort: ascending, NULLs last. */
static void row_array_sort(struct mr_list_result *result, const struct mr_pool *pool,
                           struct mr_item_set *set, int64_t row)
{
    (void)set;
    struct order order = {pool->column, 1, 1};
    sort_row(result, pool, &order, row);
}

#define KERNEL(name, parts, with_set)                                                              \
    static enum mr_status kernel_##name(struct mr_call *call, struct mr_column **out)              \
    {                                                                                              \
        return make_lists(call, parts, with_set, row_##name, out);                                 \
    }
KERNEL(distinct, "l", true)
KERNEL(union, "ll", true)
KERNEL(intersect, "ll", true)
KERNEL(except, "ll", true)
KERNEL(concat, "l", false)
KERNEL(remove, "le", false)
KERNEL(compact, "l", false)
KERNEL(append, "le", false)
KERNEL(prepend, "le", false)
KERNEL(insert, "l-e", false)
KERNEL(reverse, "l", false)
KERNEL(slice, "l-", false)
KERNEL(sort_array, "l-", false)
KERNEL(array_sort, "l", false)

/* flatten: the inner lists of a list; NULL when one of them is. */
static enum mr_status bind_flatten(struct mr_binding *binding)
{
    const struct mr_type *list = binding->args[0]->type;
    enum mr_status status;
    if (mr_bind_null_argument(binding, 0, mr_type_of(MR_TYPE_NULL), &status))
        return status;
    if (list->fields[0].type->id != MR_TYPE_LIST)
        return mr_bind_fail(binding, 0, "its elements are not arrays");
    binding->type = list->fields[0].type;
    binding->nullable |= list->fields[0].nullable;
    return MR_OK;
}

static enum mr_status kernel_flatten(struct mr_call *call, struct mr_column **out)
{
    const struct mr_column *lists = call->args[0];
    struct mr_column *inner;
    struct mr_list_result result;
    MR_TRY(mr_column_flatten(call->memory, lists->children[0], &inner, call->err));
    mr_list_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        struct mr_span span = mr_list_span(lists, row);
        bool null = false;
        for (int32_t i = span.from; i < span.to && !null; i++) {
            null = mr_column_is_null(inner, i);
            if (!null)
                mr_list_add_span(&result, mr_list_span(inner, i));
        }
        if (null)
            mr_list_null(&result, row);
        else
            mr_list_end(&result, row);
    }
    enum mr_status status = mr_list_finish(&result, inner->children[0], out);
    mr_column_unref(inner);
    return status;
}

static enum mr_status bind_concat_lists(struct mr_binding *binding)
{
    if (binding->nargs > 32)
        return mr_bind_fail(binding, -1, "more than 32 arrays");
    return bind_lists(binding, (unsigned)((UINT64_C(1) << binding->nargs) - 1), 0);
}

#define ROW(names_, args_, flags_, kernel_, bind_, signature_, doc_)                               \
    {                                                                                              \
        .names = names_, .args = args_, .result = "!", .flags = flags_, .kernel = kernel_,         \
        .bind = bind_, .signature = signature_, .family = "arrays", .doc = doc_                    \
    }

static const struct mr_function functions[] = {
    ROW("array_distinct", "A", MR_FN_TOTAL, kernel_distinct, bind_one, "array_distinct(array)",
        "Without duplicates, in the order of first occurrence."),
    ROW("array_union", "AA", MR_FN_TOTAL, kernel_union, bind_two, "array_union(a, b)",
        "The elements of both, without duplicates."),
    ROW("array_intersect", "AA", MR_FN_TOTAL, kernel_intersect, bind_two, "array_intersect(a, b)",
        "The elements that are in both, without duplicates."),
    ROW("array_except", "AA", MR_FN_TOTAL, kernel_except, bind_two, "array_except(a, b)",
        "The elements of a that are not in b, without duplicates."),
    ROW("array_remove", "Aa", MR_FN_TOTAL, kernel_remove, bind_with_value,
        "array_remove(array, value)", "Without the elements equal to the value."),
    ROW("array_compact", "A", MR_FN_TOTAL, kernel_compact, bind_one, "array_compact(array)",
        "Without NULLs."),
    ROW("array_append", "Aa", MR_FN_TOTAL | MR_FN_NULLS, kernel_append, bind_with_value,
        "array_append(array, value)", "With the value, NULL too, behind the last element."),
    ROW("array_prepend", "Aa", MR_FN_TOTAL | MR_FN_NULLS, kernel_prepend, bind_with_value,
        "array_prepend(array, value)", "With the value, NULL too, in front of the first element."),
    ROW("array_insert", "Aia", MR_FN_NULLS, kernel_insert, bind_insert,
        "array_insert(array, position, value)",
        "With the value at a position from 1 (-1 is the last); NULLs fill a gap."),
    ROW("slice", "Aii", 0, kernel_slice, bind_one, "slice(array, start, length)",
        "So many elements from a start on; it counts from 1, from the end if negative."),
    ROW("sort_array", "A?z", MR_FN_TOTAL, kernel_sort_array, bind_orderable,
        "sort_array(array[, ascending])",
        "Sorted; NULLs come first when ascending, last when descending."),
    ROW("array_sort", "A", MR_FN_TOTAL, kernel_array_sort, bind_orderable, "array_sort(array)",
        "Sorted ascending, NULLs last."),
    ROW("flatten", "A", MR_FN_TOTAL, kernel_flatten, bind_flatten, "flatten(array of arrays)",
        "The elements of the inner arrays; NULL when one of them is."),
    ROW("reverse", "A", MR_FN_TOTAL, kernel_reverse, bind_one, "reverse(array)",
        "Elements in reverse order."),
    ROW("CONCAT_LISTS", "A*", MR_FN_TOTAL, kernel_concat, bind_concat_lists, NULL, NULL),
};

const struct mr_function_family mr_functions_array_change = {functions, sizeof(functions) /
                                                                            sizeof(functions[0])};
