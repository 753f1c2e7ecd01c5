/*
 * functions_nested.c - struct.field, list[i] and map[key].
 *
 * Each gives row numbers into a child column and takes them in one go, whatever the type of the element.
 */
#include "base/map.h"
#include "base/text.h"
#include "col/kernel.h"
#include "sql/coerce.h"
#include "sql/function.h"

/* The field of that name: as written, else whatever its case. */
static int find_field(const struct mr_type *type, const char *name)
{
    int found = -1;
    for (int i = 0; i < type->nfields; i++) {
        if (strcmp(type->fields[i].name, name) == 0)
            return i;
        if (mr_text_equal_nocase(type->fields[i].name, name))
            found = i;
    }
    return found;
}

static enum mr_status unknown_field(struct mr_binding *binding, const char *name)
{
    const struct mr_type *type = binding->args[0]->type;
    const char *names[64];
    size_t count = 0;
    char text[128];
    for (int i = 0; i < type->nfields && count < 64; i++)
        names[count++] = type->fields[i].name;
    const char *near = mr_nearest_name(name, names, count);
    mr_bind_fail(binding, 1, "no field %.80s in %s", name, mr_type_text(type, text, sizeof(text)));
    if (near != NULL)
        mr_error_hint(binding->err, "did you mean %s?", near);
    return MR_CONFIG;
}

static enum mr_status bind_get_field(struct mr_binding *binding)
{
    const struct mr_type *type = binding->args[0]->type;
    if (binding->args[1]->kind != MR_NODE_LITERAL || binding->args[1]->literal.is_null)
        return mr_bind_fail(binding, 1, "the name of a field is a constant");
    const char *name = mr_arena_strndup(binding->arena, binding->args[1]->literal.u.bytes.data,
                                        binding->args[1]->literal.u.bytes.size);
    if (name == NULL)
        return mr_error_nomem(binding->err);
    int field = find_field(type, name);
    if (field < 0)
        return unknown_field(binding, name);
    binding->type = type->fields[field].type;
    binding->nullable = binding->args[0]->nullable || type->fields[field].nullable;
    binding->data = &type->fields[field];
    return MR_OK;
}

/* Rows of the result as row numbers of another column, -1 where it is NULL. */
static enum mr_status open_rows(struct mr_call *call, struct mr_buffer **buffer, int32_t **rows)
{
    size_t size = (size_t)call->length * sizeof(int32_t);
    MR_TRY(mr_buffer_new(call->memory, size, buffer, call->err));
    *rows = (int32_t *)(void *)(*buffer)->data;
    memset(*rows, 0xFF, size);
    return MR_OK;
}

static int64_t row_of(const struct mr_column *column, int64_t row)
{
    return column->encoding == MR_CONSTANT ? 0 : row;
}

static enum mr_status kernel_get_field(struct mr_call *call, struct mr_column **out)
{
    const struct mr_column *column = call->args[0];
    const struct mr_field *field = call->data;
    int index = (int)(field - call->node->args[0]->type->fields);
    struct mr_column *child = column->children[index];
    struct mr_buffer *buffer;
    int32_t *rows;
    if (call->validity == NULL && column->encoding == MR_FLAT)
        return mr_column_flatten(call->memory, child, out, call->err);
    MR_TRY(open_rows(call, &buffer, &rows));
    MR_EACH_ROW(call, row)
    rows[row] = (int32_t)row_of(column, row);
    enum mr_status status = mr_column_take(call->memory, child, rows, call->length, out, call->err);
    mr_buffer_unref(buffer);
    return status;
}

static enum mr_status bind_list_item(struct mr_binding *binding)
{
    const struct mr_field *element = &binding->args[0]->type->fields[0];
    binding->type = element->type;
    binding->nullable |= element->nullable;
    return MR_OK;
}

/* Outside of the list: an error with ANSI on, else NULL. */
static enum mr_status bad_index(struct mr_call *call, int64_t index, int64_t size)
{
    if (call->failure != MR_FAIL_RAISE)
        return MR_OK;
    return mr_call_fail(call, "the index %lld is outside of a list of %lld elements",
                        (long long)index, (long long)size);
}

static enum mr_status kernel_list_item(struct mr_call *call, struct mr_column **out)
{
    const struct mr_column *column = call->args[0];
    const int32_t *offsets = mr_column_offsets(column);
    struct mr_arg index = mr_arg_of(call, 1);
    struct mr_buffer *buffer;
    int32_t *rows;
    enum mr_status status = MR_OK;
    MR_TRY(open_rows(call, &buffer, &rows));
    MR_EACH_ROW(call, row)
    {
        int64_t from = offsets[row_of(column, row)], to = offsets[row_of(column, row) + 1];
        int64_t i = mr_arg_int(&index, row);
        if (i >= 0 && i < to - from)
            rows[row] = (int32_t)(from + i);
        else if ((status = bad_index(call, i, to - from)) != MR_OK)
            break;
    }
    if (status == MR_OK)
        status =
            mr_column_take(call->memory, column->children[0], rows, call->length, out, call->err);
    mr_buffer_unref(buffer);
    return status;
}

static enum mr_status bind_map_item(struct mr_binding *binding)
{
    const struct mr_type *map = binding->args[0]->type;
    if (map->id != MR_TYPE_MAP)
        return mr_bind_fail(binding, 0, "it takes a list or a map");
    binding->type = map->fields[1].type;
    binding->nullable = true;
    return mr_bind_cast(binding, 1, map->fields[0].type);
}

static enum mr_status kernel_map_item(struct mr_call *call, struct mr_column **out)
{
    const struct mr_column *column = call->args[0], *key = call->args[1];
    const struct mr_column *entries = column->children[0];
    const int32_t *offsets = mr_column_offsets(column);
    struct mr_buffer *buffer;
    int32_t *rows;
    MR_TRY(open_rows(call, &buffer, &rows));
    MR_EACH_ROW(call, row)
    {
        int64_t at = row_of(column, row);
        for (int32_t i = offsets[at]; i < offsets[at + 1] && rows[row] < 0; i++) {
            if (mr_column_equal_rows(entries->children[0], i, key, row))
                rows[row] = i;
        }
    }
    enum mr_status status =
        mr_column_take(call->memory, entries->children[1], rows, call->length, out, call->err);
    mr_buffer_unref(buffer);
    return status;
}

static const struct mr_function functions[] = {
    {.names = "get_field",
     .args = "Rs",
     .result = "!",
     .flags = MR_FN_TOTAL | MR_FN_FIRST,
     .kernel = kernel_get_field,
     .bind = bind_get_field},
    {.names = "[]",
     .args = "Rs",
     .result = "!",
     .flags = MR_FN_TOTAL | MR_FN_FIRST,
     .kernel = kernel_get_field,
     .bind = bind_get_field},
    {.names = "[]",
     .args = "AI",
     .result = "!",
     .kernel = kernel_list_item,
     .bind = bind_list_item},
    {.names = "[]",
     .args = "Ma",
     .result = "!",
     .flags = MR_FN_TOTAL,
     .kernel = kernel_map_item,
     .bind = bind_map_item},
    {.names = "element_at try_element_at",
     .args = "Ma",
     .result = "!",
     .flags = MR_FN_TOTAL,
     .kernel = kernel_map_item,
     .bind = bind_map_item,
     .signature = "element_at(map, key)",
     .family = "maps",
     .doc = "The value of a key, NULL when there is none."},
};

const struct mr_function_family mr_functions_nested = {functions,
                                                       sizeof(functions) / sizeof(functions[0])};
