/*
 * functions_map.c - maps: made, taken apart, joined, with some of their keys.
 *
 * Keys are told apart by value. A key that comes twice, or is NULL, is an error whatever the ANSI mode, as in Spark
 * (spark.sql.mapKeyDedupPolicy = EXCEPTION): which of two values would win is nobody's guess.
 */
#include "col/kernel.h"
#include "sql/coerce.h"
#include "sql/nested.h"

/* Two pools: of keys and of values. */
struct entries {
    struct mr_pool keys;
    struct mr_pool values;
    struct mr_item_set set;
    struct mr_list_result result;
};

static void entries_init(struct entries *self, struct mr_call *call, const char *keys,
                         const char *values)
{
    *self = (struct entries){0};
    mr_list_result_init(&self->result, call);
    enum mr_status status = mr_pool_init(&self->keys, call, keys);
    if (status == MR_OK)
        status = mr_pool_init(&self->values, call, values);
    if (status == MR_OK)
        status = mr_item_set_init(&self->set, &self->keys);
    if (self->result.status == MR_OK)
        self->result.status = status;
}

static enum mr_status entries_finish(struct entries *self, struct mr_column **out)
{
    enum mr_status status =
        mr_map_finish(&self->result, self->keys.column, self->values.column, out);
    mr_item_set_reset(&self->set);
    mr_pool_reset(&self->keys);
    mr_pool_reset(&self->values);
    return status;
}

/* Before the entries of a row. */
static bool entries_begin(struct entries *self, int64_t most)
{
    if (self->result.status == MR_OK && !mr_item_set_clear(&self->set, most))
        self->result.status = mr_error_nomem(self->result.call->err);
    return self->result.status == MR_OK;
}

static void entries_add(struct entries *self, int32_t key, int32_t value)
{
    if (self->result.status != MR_OK)
        return;
    if (mr_pool_null(&self->keys, key))
        self->result.status = mr_call_fail(self->result.call, "a key of the map is NULL");
    else if (!mr_item_set_add(&self->set, key))
        self->result.status = mr_call_fail(self->result.call, "a key of the map comes twice");
    else
        mr_list_add_entry(&self->result, key, value);
}

static const struct mr_type *common_of(struct mr_binding *binding, int first, int step)
{
    const struct mr_type *common = NULL;
    for (int i = first; i < binding->nargs; i += step) {
        const struct mr_type *type = binding->args[i]->type;
        const struct mr_type *wider =
            common ? mr_common_type(binding->arena, binding->session, common, type) : type;
        if (wider == NULL) {
            char a[128], b[128];
            mr_bind_fail(binding, i, "no common type of %s and %s",
                         mr_type_text(common, a, sizeof(a)), mr_type_text(type, b, sizeof(b)));
            return NULL;
        }
        common = wider;
    }
    return common ? common : mr_type_of(MR_TYPE_NULL);
}

static enum mr_status check_key(struct mr_binding *binding, const struct mr_type *key)
{
    char text[96];
    if (mr_type_is_orderable(key))
        return MR_OK;
    return mr_bind_fail(binding, 0, "%s cannot be the key of a map",
                        mr_type_text(key, text, sizeof(text)));
}

struct alternating {
    char *keys; /* e-e-e- */
    char *values;
};

/* map(key, value, ...) */
static enum mr_status bind_map(struct mr_binding *binding)
{
    struct alternating *data = mr_arena_calloc(binding->arena, 1, sizeof(*data));
    size_t room = (size_t)binding->nargs + 2;
    if (binding->nargs % 2)
        return mr_bind_fail(binding, 0, "keys and values come in pairs");
    const struct mr_type *key = common_of(binding, 0, 2);
    const struct mr_type *value = key ? common_of(binding, 1, 2) : NULL;
    if (value == NULL)
        return MR_CONFIG;
    MR_TRY(check_key(binding, key));
    if (data == NULL || (data->keys = mr_arena_calloc(binding->arena, room, 1)) == NULL ||
        (data->values = mr_arena_calloc(binding->arena, room, 1)) == NULL)
        return mr_error_nomem(binding->err);
    for (int i = 0; i < binding->nargs; i++) {
        data->keys[i] = i % 2 ? '-' : 'e';
        data->values[i] = i % 2 ? 'e' : '-';
        MR_TRY(mr_bind_cast(binding, i, i % 2 ? value : key));
    }
    binding->data = data;
    binding->nullable = false;
    binding->nullable_decided = true;
    binding->type = mr_type_map(binding->arena, key, value, true);
    return MR_OK;
}

static enum mr_status empty_maps(struct mr_call *call, struct mr_column **out)
{
    struct mr_list_result result;
    struct mr_column *none[2] = {NULL, NULL}, *entries = NULL;
    const struct mr_type *entry = mr_type_child(call->type, 0);
    mr_list_result_init(&result, call);
    for (int i = 0; i < 2 && result.status == MR_OK; i++) {
        struct mr_value null = {.type = entry->fields[i].type, .is_null = true};
        result.status =
            mr_column_new_constant(call->memory, null.type, &null, 0, &none[i], call->err);
    }
    if (result.status == MR_OK) {
        result.status = mr_column_new_nested(entry, 0, 0, NULL, NULL, none, 2, &entries, call->err);
    } else {
        mr_column_unref(none[0]);
        mr_column_unref(none[1]);
    }
    return mr_list_finish_with(&result, entries, out);
}

static enum mr_status kernel_map(struct mr_call *call, struct mr_column **out)
{
    const struct alternating *data = call->data;
    struct entries self;
    if (call->nargs == 0)
        return empty_maps(call, out);
    entries_init(&self, call, data->keys, data->values);
    MR_EACH_ROW(call, row)
    {
        if (!entries_begin(&self, call->nargs / 2))
            break;
        for (int i = 0; i < call->nargs; i += 2)
            entries_add(&self, mr_pool_value(&self.keys, i, row),
                        mr_pool_value(&self.values, i + 1, row));
        mr_list_end(&self.result, row);
    }
    return entries_finish(&self, out);
}

static enum mr_status bind_from_arrays(struct mr_binding *binding)
{
    enum mr_status status;
    if (mr_bind_null_argument(binding, 0, mr_type_of(MR_TYPE_NULL), &status) ||
        mr_bind_null_argument(binding, 1, mr_type_of(MR_TYPE_NULL), &status))
        return status;
    const struct mr_type *key = binding->args[0]->type->fields[0].type;
    binding->type = mr_type_map(binding->arena, key, binding->args[1]->type->fields[0].type, true);
    return check_key(binding, key);
}

static enum mr_status kernel_from_arrays(struct mr_call *call, struct mr_column **out)
{
    struct entries self;
    entries_init(&self, call, "l-", "-l");
    MR_EACH_ROW(call, row)
    {
        if (self.result.status != MR_OK)
            break;
        struct mr_span keys = mr_pool_span(&self.keys, 0, row);
        struct mr_span values = mr_pool_span(&self.values, 1, row);
        if (keys.to - keys.from != values.to - values.from)
            self.result.status = mr_call_fail(call, "%d keys and %d values", keys.to - keys.from,
                                              values.to - values.from);
        if (!entries_begin(&self, keys.to - keys.from))
            break;
        for (int32_t i = 0; i < keys.to - keys.from; i++)
            entries_add(&self, keys.from + i, values.from + i);
        mr_list_end(&self.result, row);
    }
    return entries_finish(&self, out);
}

static enum mr_status bind_from_entries(struct mr_binding *binding)
{
    enum mr_status status;
    if (mr_bind_null_argument(binding, 0, mr_type_of(MR_TYPE_NULL), &status))
        return status;
    const struct mr_field *element = &binding->args[0]->type->fields[0];
    if (element->type->id != MR_TYPE_STRUCT || element->type->nfields != 2)
        return mr_bind_fail(binding, 0, "its elements are not structs of key and value");
    const struct mr_type *key = element->type->fields[0].type;
    binding->type = mr_type_map(binding->arena, key, element->type->fields[1].type, true);
    binding->nullable |= element->nullable;
    return check_key(binding, key);
}

/* A NULL entry makes the map NULL. */
static enum mr_status kernel_from_entries(struct mr_call *call, struct mr_column **out)
{
    const struct mr_column *lists = call->args[0];
    struct mr_column *flat;
    struct entries self = {0};
    MR_TRY(mr_column_flatten(call->memory, lists->children[0], &flat, call->err));
    self.keys = (struct mr_pool){.call = call, .column = mr_column_ref(flat->children[0])};
    self.values = (struct mr_pool){.call = call, .column = mr_column_ref(flat->children[1])};
    mr_list_result_init(&self.result, call);
    if (self.result.status == MR_OK)
        self.result.status = mr_item_set_init(&self.set, &self.keys);
    MR_EACH_ROW(call, row)
    {
        struct mr_span span = mr_list_span(lists, row);
        bool null = false;
        for (int32_t i = span.from; i < span.to; i++)
            null |= mr_column_is_null(flat, i);
        if (null) {
            mr_list_null(&self.result, row);
            continue;
        }
        if (!entries_begin(&self, span.to - span.from))
            break;
        for (int32_t i = span.from; i < span.to; i++)
            entries_add(&self, i, i);
        mr_list_end(&self.result, row);
    }
    mr_column_unref(flat);
    return entries_finish(&self, out);
}

static enum mr_status bind_parts(struct mr_binding *binding)
{
    const struct mr_type *none = mr_type_of(MR_TYPE_NULL);
    if (binding->args[0]->type->id == MR_TYPE_NULL)
        MR_TRY(mr_bind_cast(binding, 0, mr_type_map(binding->arena, none, none, true)));
    const struct mr_type *map = binding->args[0]->type;
    const struct mr_type *part = mr_type_map_entry(map);
    char which = binding->function->names[4]; /* map_keys, map_values, map_entries */
    bool nullable = which == 'v' && map->fields[1].nullable;
    if (which != 'e')
        part = map->fields[which == 'v'].type;
    binding->type = part ? mr_type_list(binding->arena, part, nullable) : NULL;
    return MR_OK;
}

static enum mr_status kernel_parts(struct mr_call *call, struct mr_column **out)
{
    const struct mr_column *map = call->args[0], *entries = map->children[0];
    char which = call->node->name[4];
    struct mr_list_result result;
    mr_list_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        mr_list_add_span(&result, mr_list_span(map, row));
        mr_list_end(&result, row);
    }
    return mr_list_finish(&result, which == 'e' ? entries : entries->children[which == 'v'], out);
}

static enum mr_status bind_concat(struct mr_binding *binding)
{
    const struct mr_type *string = mr_type_of(MR_TYPE_STRING);
    enum mr_status status;
    binding->type = mr_type_map(binding->arena, string, string, true);
    for (int i = 0; i < binding->nargs; i++) {
        if (mr_bind_null_argument(binding, i, mr_type_of(MR_TYPE_NULL), &status))
            return status;
    }
    if (binding->nargs == 0)
        return MR_OK;
    const struct mr_type *common = common_of(binding, 0, 1);
    if (common == NULL)
        return MR_CONFIG;
    for (int i = 0; i < binding->nargs; i++)
        MR_TRY(mr_bind_cast(binding, i, common));
    binding->type = common;
    return MR_OK;
}

static enum mr_status kernel_concat(struct mr_call *call, struct mr_column **out)
{
    struct entries self;
    if (call->nargs == 0)
        return empty_maps(call, out);
    entries_init(&self, call, "k", "v");
    MR_EACH_ROW(call, row)
    {
        int64_t most = 0;
        for (int i = 0; i < call->nargs; i++) {
            struct mr_span span = mr_list_span(call->args[i], row);
            most += span.to - span.from;
        }
        if (!entries_begin(&self, most))
            break;
        for (int i = 0; i < call->nargs; i++) {
            struct mr_span span = mr_list_span(call->args[i], row);
            for (int32_t j = span.from; j < span.to; j++)
                entries_add(&self, self.keys.base[i] + j, self.values.base[i] + j);
        }
        mr_list_end(&self.result, row);
    }
    return entries_finish(&self, out);
}

/* The map's keys and those of a list (or one key) get one type. */
static enum mr_status bind_keys(struct mr_binding *binding)
{
    const struct mr_type *map = binding->args[0]->type, *other = binding->args[1]->type;
    bool list = binding->function->args[1] == 'A', found = binding->function->result[0] == 'z';
    enum mr_status status;
    const struct mr_type *null = mr_type_of(found ? MR_TYPE_BOOL : MR_TYPE_NULL);
    if (mr_bind_null_argument(binding, 0, null, &status) ||
        mr_bind_null_argument(binding, 1, found ? null : map, &status))
        return status;
    const struct mr_type *key = map->fields[0].type;
    const struct mr_type *common =
        mr_common_type(binding->arena, binding->session, key, list ? other->fields[0].type : other);
    char a[96], b[96];
    if (common == NULL)
        return mr_bind_fail(binding, 1, "no common type of %s and %s",
                            mr_type_text(key, a, sizeof(a)), mr_type_text(other, b, sizeof(b)));
    map = mr_type_map(binding->arena, common, map->fields[1].type, map->fields[1].nullable);
    if (!found)
        binding->type = map;
    MR_TRY(mr_bind_cast(binding, 0, map));
    return mr_bind_cast(binding, 1, list ? mr_type_list(binding->arena, common, true) : common);
}

static enum mr_status kernel_contains_key(struct mr_call *call, struct mr_column **out)
{
    const struct mr_column *map = call->args[0], *keys = map->children[0]->children[0];
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_span span = mr_list_span(map, row);
        bool found = false;
        for (int32_t i = span.from; i < span.to && !found; i++)
            found = mr_column_equal_rows(keys, i, call->args[1],
                                         call->args[1]->encoding == MR_CONSTANT ? 0 : row);
        MR_SET(&result, uint8_t, row, found);
    }
    return mr_result_finish(&result, out);
}

/* Entries whose key is (keep) or is not in a list. */
static enum mr_status some_keys(struct mr_call *call, bool keep, struct mr_column **out)
{
    struct entries self;
    entries_init(&self, call, "kl", "v-");
    MR_EACH_ROW(call, row)
    {
        struct mr_span map = mr_list_span(call->args[0], row);
        struct mr_span list = mr_list_span(call->args[1], row);
        if (!entries_begin(&self, list.to - list.from))
            break;
        for (int32_t i = list.from; i < list.to; i++)
            mr_item_set_add(&self.set, self.keys.base[1] + i);
        for (int32_t i = map.from; i < map.to; i++) {
            if (mr_item_set_has(&self.set, self.keys.base[0] + i) == keep)
                mr_list_add_entry(&self.result, self.keys.base[0] + i, self.values.base[0] + i);
        }
        mr_list_end(&self.result, row);
    }
    return entries_finish(&self, out);
}

static enum mr_status kernel_keep_keys(struct mr_call *call, struct mr_column **out)
{
    return some_keys(call, true, out);
}

static enum mr_status kernel_drop_keys(struct mr_call *call, struct mr_column **out)
{
    return some_keys(call, false, out);
}

#define ROW(names_, args_, result_, flags_, kernel_, bind_, signature_, doc_)                      \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = flags_, .kernel = kernel_,     \
        .bind = bind_, .signature = signature_, .family = "maps", .doc = doc_                      \
    }

static const struct mr_function functions[] = {
    ROW("map", "a*", "!", MR_FN_NULLS, kernel_map, bind_map, "map(key, value, ...)",
        "A map; a key that is NULL or comes twice is an error."),
    ROW("map_from_arrays", "AA", "!", 0, kernel_from_arrays, bind_from_arrays,
        "map_from_arrays(keys, values)", "A map of the keys and the values at the same places."),
    ROW("map_from_entries", "A", "!", MR_FN_MAY_NULL, kernel_from_entries, bind_from_entries,
        "map_from_entries(array of structs)",
        "A map of structs of key and value; NULL when one of them is."),
    ROW("map_entries", "M", "!", MR_FN_TOTAL, kernel_parts, bind_parts, "map_entries(map)",
        "An array of structs of key and value."),
    ROW("map_keys", "M", "!", MR_FN_TOTAL, kernel_parts, bind_parts, "map_keys(map)",
        "An array of the keys."),
    ROW("map_values", "M", "!", MR_FN_TOTAL, kernel_parts, bind_parts, "map_values(map)",
        "An array of the values."),
    ROW("map_concat", "M*", "!", 0, kernel_concat, bind_concat, "map_concat(map, ...)",
        "The entries of all maps; a key in two of them is an error."),
    ROW("map_contains_key", "Ma", "z", MR_FN_TOTAL, kernel_contains_key, bind_keys,
        "map_contains_key(map, key)", "Is there such a key?"),
    ROW("map_keep_keys map_filter_keys", "MA", "!", MR_FN_TOTAL, kernel_keep_keys, bind_keys,
        "map_keep_keys(map, keys)", "The entries whose key is in the array. (Not in Spark.)"),
    ROW("map_drop_keys", "MA", "!", MR_FN_TOTAL, kernel_drop_keys, bind_keys,
        "map_drop_keys(map, keys)", "The entries whose key is not in the array. (Not in Spark.)"),
};

const struct mr_function_family mr_functions_map = {functions,
                                                    sizeof(functions) / sizeof(functions[0])};
