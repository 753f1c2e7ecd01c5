/*
 * nested.c - pools of elements, sets of them, and lists made of row numbers.
 *
 * Every function of lists could have loops per type; there are 21 types, nested ones among them, and thirty functions. Here
 * a function decides which elements go where, and col/'s take and concat move them.
 */
#include "sql/nested.h"

#include "base/hash.h"
#include "col/kernel.h"
#include "sql/coerce.h"

#include <math.h>

static enum mr_status part_of(struct mr_call *call, int i, char kind, struct mr_column **out)
{
    struct mr_column *column = call->args[i];
    switch (kind) {
    case 'l':
        *out = mr_column_ref(column->children[0]);
        return MR_OK;
    case 'k':
    case 'v':
        *out = mr_column_ref(column->children[0]->children[kind == 'v']);
        return MR_OK;
    default:
        if (column->encoding == MR_CONSTANT)
            return mr_column_resize_constant(column, 1, out, call->err);
        *out = mr_column_ref(column);
        return MR_OK;
    }
}

enum mr_status mr_pool_init(struct mr_pool *pool, struct mr_call *call, const char *parts)
{
    enum mr_status status = MR_OK;
    int n = 0;
    int64_t length = 0;
    *pool = (struct mr_pool){.call = call};
    struct mr_column **columns = mr_calloc((size_t)call->nargs + 1, sizeof(*columns));
    pool->base = mr_calloc((size_t)call->nargs + 1, sizeof(*pool->base));
    if (columns == NULL || pool->base == NULL) {
        status = mr_error_nomem(call->err);
        goto out;
    }
    for (int i = 0; i < call->nargs; i++) {
        char kind = *parts;
        parts += parts[1] != '\0';
        pool->base[i] = -1;
        if (kind == '-')
            continue;
        MR_TRY_OUT(part_of(call, i, kind, &columns[n]));
        pool->base[i] = (int32_t)length;
        length += columns[n++]->length;
        if (length > INT32_MAX) {
            status = mr_error_set(call->err, MR_LIMIT, MR_CLASS_DATA,
                                  "the lists of one batch have more than 2^31 elements");
            goto out;
        }
    }
    if (n == 1)
        pool->column = mr_column_ref(columns[0]);
    else if (n > 1)
        status = mr_column_concat(call->memory, columns, n, &pool->column, call->err);
out:
    for (int i = 0; i < n; i++)
        mr_column_unref(columns[i]);
    mr_free(columns);
    return status;
}

void mr_pool_reset(struct mr_pool *pool)
{
    mr_column_unref(pool->column);
    mr_free(pool->base);
    *pool = (struct mr_pool){0};
}

bool mr_pool_equal(const struct mr_pool *pool, int32_t a, int32_t b)
{
    return mr_column_equal_rows(pool->column, a, pool->column, b);
}

enum mr_status mr_item_set_init(struct mr_item_set *set, const struct mr_pool *pool)
{
    int64_t length = pool->column->length;
    *set = (struct mr_item_set){.pool = pool};
    set->hashes = mr_calloc((size_t)length + 1, sizeof(*set->hashes));
    if (set->hashes == NULL)
        return mr_error_nomem(pool->call->err);
    mr_column_hash(pool->column, NULL, length, set->hashes);
    return MR_OK;
}

void mr_item_set_reset(struct mr_item_set *set)
{
    mr_free(set->hashes);
    mr_free(set->slots);
    *set = (struct mr_item_set){0};
}

bool mr_item_set_clear(struct mr_item_set *set, int64_t items)
{
    size_t need = 8;
    while (need < (size_t)items * 2)
        need *= 2;
    if (need > set->nslots) {
        int32_t *slots = mr_realloc(set->slots, need * sizeof(*slots));
        if (slots == NULL)
            return false;
        set->slots = slots;
        set->nslots = need;
    }
    set->mask = need - 1;
    memset(set->slots, 0xFF, need * sizeof(*set->slots));
    return true;
}

static bool same_item(const struct mr_item_set *set, int32_t a, int32_t b)
{
    if (set->hashes[a] != set->hashes[b] || !mr_pool_equal(set->pool, a, b))
        return false;
    if (!set->signed_zeros || mr_pool_null(set->pool, a))
        return true;
    struct mr_value x, y;
    mr_column_get(set->pool->column, a, &x);
    mr_column_get(set->pool->column, b, &y);
    return x.u.f64 != 0 || signbit(x.u.f64) == signbit(y.u.f64);
}

/* The slot of an equal item, or the free one where it would be. */
static size_t find_slot(const struct mr_item_set *set, int32_t item)
{
    size_t at = mr_hash_mix(set->hashes[item]) & set->mask;
    while (set->slots[at] >= 0 && !same_item(set, set->slots[at], item))
        at = (at + 1) & set->mask;
    return at;
}

bool mr_item_set_add(struct mr_item_set *set, int32_t item)
{
    size_t at = find_slot(set, item);
    if (set->slots[at] >= 0)
        return false;
    set->slots[at] = item;
    return true;
}

bool mr_item_set_has(const struct mr_item_set *set, int32_t item)
{
    return set->slots[find_slot(set, item)] >= 0;
}

void mr_list_result_init(struct mr_list_result *result, struct mr_call *call)
{
    size_t offsets = ((size_t)call->length + 1) * sizeof(int32_t);
    *result = (struct mr_list_result){.call = call, .validity = mr_buffer_ref(call->validity)};
    result->status = mr_buffer_new(call->memory, offsets, &result->offsets, call->err);
    if (result->status == MR_OK)
        memset(result->offsets->data, 0, sizeof(int32_t));
}

static void put_item(struct mr_list_result *result, int which, int32_t item)
{
    struct mr_buffer **buffer = &result->items[which];
    size_t need = ((size_t)result->count + 1) * sizeof(int32_t);
    if (result->status == MR_OK && *buffer == NULL)
        result->status = mr_buffer_new(result->call->memory, (size_t)result->call->count * 8 + 64,
                                       buffer, result->call->err);
    if (result->status == MR_OK && need > (*buffer)->capacity) {
        (*buffer)->size = need - sizeof(int32_t);
        result->status = mr_buffer_reserve(*buffer, need, result->call->err);
    }
    if (result->status == MR_OK)
        ((int32_t *)(void *)(*buffer)->data)[result->count] = item;
}

void mr_list_add_count(struct mr_list_result *result, int64_t items)
{
    if (result->status != MR_OK)
        return;
    result->count += items;
    if (result->count > INT32_MAX)
        result->status = mr_error_set(result->call->err, MR_LIMIT, MR_CLASS_DATA,
                                      "the lists of one batch have more than 2^31 elements");
}

void mr_list_add(struct mr_list_result *result, int32_t item)
{
    put_item(result, 0, item);
    mr_list_add_count(result, 1);
}

void mr_list_add_span(struct mr_list_result *result, struct mr_span span)
{
    for (int32_t i = span.from; i < span.to; i++)
        mr_list_add(result, i);
}

void mr_list_add_entry(struct mr_list_result *result, int32_t key, int32_t value)
{
    put_item(result, 0, key);
    put_item(result, 1, value);
    mr_list_add_count(result, 1);
}

static int32_t *offsets_of(const struct mr_list_result *result)
{
    return (int32_t *)(void *)result->offsets->data;
}

/* Rows passed over begin and end where the last one ended. */
void mr_list_end(struct mr_list_result *result, int64_t row)
{
    if (result->status != MR_OK)
        return;
    int32_t *offsets = offsets_of(result);
    for (; result->next < row; result->next++)
        offsets[result->next + 1] = offsets[result->next];
    offsets[row + 1] = (int32_t)result->count;
    result->next = row + 1;
}

void mr_list_restart(struct mr_list_result *result)
{
    if (result->status == MR_OK)
        result->count = offsets_of(result)[result->next];
}

static void own_validity(struct mr_list_result *result)
{
    struct mr_call *call = result->call;
    size_t size = mr_bitmap_bytes(call->length);
    struct mr_buffer *own;
    result->status = mr_buffer_new(call->memory, size, &own, call->err);
    if (result->status != MR_OK)
        return;
    if (result->validity != NULL)
        memcpy(own->data, result->validity->data, size);
    else
        mr_bitmap_fill(own->data, 0, call->length, true);
    mr_buffer_finish(own, size);
    mr_buffer_unref(result->validity);
    result->validity = own;
}

void mr_list_null(struct mr_list_result *result, int64_t row)
{
    mr_list_restart(result);
    if (result->status == MR_OK &&
        (result->validity == NULL || result->validity == result->call->validity))
        own_validity(result);
    if (result->status == MR_OK)
        mr_bitmap_clear(result->validity->data, row);
    mr_list_end(result, row);
}

static void reset(struct mr_list_result *result)
{
    mr_buffer_unref(result->offsets);
    mr_buffer_unref(result->items[0]);
    mr_buffer_unref(result->items[1]);
    mr_buffer_unref(result->validity);
    result->offsets = result->items[0] = result->items[1] = result->validity = NULL;
}

enum mr_status mr_list_finish_with(struct mr_list_result *result, struct mr_column *child,
                                   struct mr_column **out)
{
    struct mr_call *call = result->call;
    int64_t nulls = 0;
    if (result->status == MR_OK && call->length > result->next)
        mr_list_end(result, call->length - 1);
    if (result->status != MR_OK) {
        mr_column_unref(child);
        reset(result);
        return result->status;
    }
    mr_buffer_finish(result->offsets, ((size_t)call->length + 1) * sizeof(int32_t));
    if (result->validity != NULL)
        nulls = call->length - mr_bitmap_count(result->validity->data, call->length);
    struct mr_buffer *validity = nulls > 0 ? mr_buffer_ref(result->validity) : NULL;
    enum mr_status status =
        mr_column_new_nested(call->type, call->length, nulls, validity,
                             mr_buffer_ref(result->offsets), &child, 1, out, call->err);
    reset(result);
    return status;
}

static enum mr_status take_items(struct mr_list_result *result, int which,
                                 const struct mr_column *column, struct mr_column **out)
{
    const int32_t none = 0;
    const struct mr_buffer *items = result->items[which];
    const int32_t *rows = items ? (const int32_t *)(const void *)items->data : &none;
    return mr_column_take(result->call->memory, column, rows, result->count, out,
                          result->call->err);
}

enum mr_status mr_list_finish(struct mr_list_result *result, const struct mr_column *column,
                              struct mr_column **out)
{
    struct mr_column *child = NULL;
    if (result->status == MR_OK)
        result->status = take_items(result, 0, column, &child);
    return mr_list_finish_with(result, child, out);
}

enum mr_status mr_map_finish(struct mr_list_result *result, const struct mr_column *keys,
                             const struct mr_column *values, struct mr_column **out)
{
    struct mr_column *children[2] = {NULL, NULL}, *entries = NULL;
    if (result->status == MR_OK)
        result->status = take_items(result, 0, keys, &children[0]);
    if (result->status == MR_OK)
        result->status = take_items(result, 1, values, &children[1]);
    if (result->status == MR_OK) {
        const struct mr_type *entry = mr_type_child(result->call->type, 0);
        result->status = mr_column_new_nested(entry, result->count, 0, NULL, NULL, children, 2,
                                              &entries, result->call->err);
    } else {
        mr_column_unref(children[0]);
        mr_column_unref(children[1]);
    }
    return mr_list_finish_with(result, entries, out);
}

enum mr_status mr_rows_open(struct mr_call *call, struct mr_buffer **buffer, int32_t **rows)
{
    size_t size = (size_t)call->length * sizeof(int32_t);
    MR_TRY(mr_buffer_new(call->memory, size, buffer, call->err));
    *rows = (int32_t *)(void *)(*buffer)->data;
    memset(*rows, 0xFF, size);
    return MR_OK;
}

enum mr_status mr_rows_take(struct mr_call *call, struct mr_buffer *buffer,
                            const struct mr_column *column, struct mr_column **out)
{
    const int32_t *rows = (const int32_t *)(const void *)buffer->data;
    enum mr_status status =
        mr_column_take(call->memory, column, rows, call->length, out, call->err);
    mr_buffer_unref(buffer);
    return status;
}

bool mr_bind_null_argument(struct mr_binding *binding, int arg, const struct mr_type *type,
                           enum mr_status *status)
{
    *status = MR_OK;
    if (arg >= binding->nargs || binding->args[arg]->type->id != MR_TYPE_NULL)
        return false;
    *status = mr_bind_null(binding, type, &binding->replacement);
    return true;
}

/* Elements meet as without ANSI (an INT and a FLOAT as FLOAT), and text meets only text, in both modes, as in Spark. */
static const struct mr_type *common_element(struct mr_arena *arena,
                                            const struct mr_sql_session *session,
                                            const struct mr_type *a, const struct mr_type *b)
{
    struct mr_sql_session legacy = *session;
    legacy.ansi = false;
    if (a->id != MR_TYPE_NULL && b->id != MR_TYPE_NULL &&
        mr_type_is_string(a) != mr_type_is_string(b))
        return NULL;
    return mr_common_type(arena, &legacy, a, b);
}

enum mr_status mr_bind_elements(struct mr_binding *binding, unsigned lists, unsigned values,
                                const struct mr_type **element)
{
    const struct mr_type *common = NULL;
    for (int i = 0; i < binding->nargs && i < 32; i++) {
        const struct mr_type *type = binding->args[i]->type;
        if (lists & 1u << i)
            type = type->id == MR_TYPE_LIST ? type->fields[0].type : type;
        else if (!(values & 1u << i))
            continue;
        const struct mr_type *wider =
            common ? common_element(binding->arena, binding->session, common, type) : type;
        if (wider == NULL) {
            char a[128], b[128];
            return mr_bind_fail(binding, i, "no common type of %s and %s",
                                mr_type_text(common, a, sizeof(a)),
                                mr_type_text(type, b, sizeof(b)));
        }
        common = wider;
    }
    *element = common;
    const struct mr_type *list = mr_type_list(binding->arena, common, true);
    for (int i = 0; i < binding->nargs && i < 32; i++) {
        if (lists & 1u << i)
            MR_TRY(mr_bind_cast(binding, i, list));
        else if (values & 1u << i)
            MR_TRY(mr_bind_cast(binding, i, common));
    }
    return MR_OK;
}
