/*
 * json.c - parsed documents kept between rows, and Jackson's way of writing.
 */
#include "sql/json.h"

#include "base/map.h"
#include "base/text.h"

#include <math.h>

static void release_state(void *memory)
{
    struct mr_json_state *state = memory;
    mr_json_tree_reset(&state->tree);
    mr_bytes_reset(&state->scratch);
    mr_bytes_reset(&state->out);
}

struct mr_json_state *mr_json_state_of(struct mr_call *call)
{
    struct mr_json_state *state = mr_call_state(call, sizeof(*state), release_state);
    if (state == NULL) {
        mr_error_nomem(call->err);
        return NULL;
    }
    if (state->out.maximum == 0) {
        mr_json_tree_init(&state->tree);
        mr_bytes_init(&state->scratch, INT32_MAX);
        mr_bytes_init(&state->out, INT32_MAX);
    }
    return state;
}

bool mr_json_parse_row(struct mr_call *call, struct mr_json_state *state, struct mr_slice text,
                       unsigned rules, enum mr_status *status)
{
    bool parsed = mr_json_tree_parse(&state->tree, text, rules);
    if (state->tree.nomem)
        *status = mr_error_nomem(call->err);
    return parsed;
}

void mr_json_put_string(struct mr_slice text, struct mr_bytes *out)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char short_for[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
    size_t run = 0;
    mr_bytes_char(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        if (i > run)
            mr_bytes_append(out, text.data + run, i - run);
        const char *at = c ? strchr(short_for, c) : NULL;
        char escape[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
        if (at != NULL)
            escape[1] = letters[at - short_for];
        mr_bytes_append(out, escape, at ? 2 : 6);
        run = i + 1;
    }
    if (text.size > run)
        mr_bytes_append(out, text.data + run, text.size - run);
    mr_bytes_char(out, '"');
}

static void copy_number(struct mr_slice raw, enum mr_json_kind kind, struct mr_bytes *out)
{
    char text[MR_DOUBLE_TEXT_MAX];
    double value = 0;
    if (kind == MR_JSON_INTEGER) {
        if (raw.size == 2 && raw.data[0] == '-' && raw.data[1] == '0')
            raw = (struct mr_slice){"0", 1};
        mr_bytes_append(out, raw.data, raw.size);
        return;
    }
    mr_text_to_double(raw, false, &value);
    int size = mr_double_to_text(value, text);
    mr_bytes_text(out, isfinite(value) ? "" : "\"");
    mr_bytes_append(out, text, (size_t)size);
    mr_bytes_text(out, isfinite(value) ? "" : "\"");
}

void mr_json_copy(const struct mr_json_tree *tree, uint32_t node, struct mr_bytes *scratch,
                  struct mr_bytes *out)
{
    const struct mr_json_node *at = &tree->nodes[node];
    bool object = at->kind == MR_JSON_OBJECT;
    switch (at->kind) {
    case MR_JSON_STRING:
        mr_json_put_string(mr_json_string(tree, node, scratch), out);
        return;
    case MR_JSON_INTEGER:
    case MR_JSON_NUMBER:
        copy_number(mr_json_raw(tree, node), at->kind, out);
        return;
    case MR_JSON_ARRAY:
    case MR_JSON_OBJECT:
        mr_bytes_char(out, object ? '{' : '[');
        for (uint32_t child = node + 1; child < at->next; child = tree->nodes[child].next) {
            if (child > node + 1)
                mr_bytes_char(out, ',');
            if (object) {
                mr_json_put_string(mr_json_key(tree, child, scratch), out);
                mr_bytes_char(out, ':');
            }
            mr_json_copy(tree, child, scratch, out);
        }
        mr_bytes_char(out, object ? '}' : ']');
        return;
    default:
        mr_bytes_append(out, tree->text + at->start, at->size);
    }
}

bool mr_json_key_is(const struct mr_json_tree *tree, uint32_t node, struct mr_slice key,
                    struct mr_bytes *scratch)
{
    if (!tree->nodes[node].key_escaped && tree->nodes[node].key_size != key.size)
        return false;
    return mr_slice_equal(mr_json_key(tree, node, scratch), key);
}

enum mr_status mr_json_options(struct mr_binding *binding, int arg, const char *const *known,
                               struct mr_slice *values)
{
    if (arg >= binding->nargs)
        return MR_OK;
    const struct mr_node *map = binding->args[arg];
    size_t count = 0;
    while (known[count] != NULL)
        count++;
    if (map->kind != MR_NODE_CALL || strcmp(map->name, "map") != 0)
        return mr_bind_fail(binding, arg, "the options are written as map('name', 'value', ...)");
    for (int i = 0; i + 1 < map->nargs; i += 2) {
        const struct mr_value *name = &map->args[i]->literal, *value = &map->args[i + 1]->literal;
        size_t which = 0;
        if (map->args[i]->kind != MR_NODE_LITERAL || map->args[i + 1]->kind != MR_NODE_LITERAL ||
            !mr_type_is_string(map->args[i]->type) || !mr_type_is_string(map->args[i + 1]->type) ||
            name->is_null || value->is_null)
            return mr_bind_fail(binding, arg, "names and values of options are constant texts");
        char text[64] = "";
        if (name->u.bytes.size < sizeof(text))
            memcpy(text, name->u.bytes.data, name->u.bytes.size);
        while (which < count && !mr_text_equal_nocase(known[which], text))
            which++;
        if (which < count) {
            values[which] = value->u.bytes;
            continue;
        }
        const char *near = mr_nearest_name(text, known, count);
        mr_bind_fail(binding, arg, "unknown option %.60s", text);
        if (near != NULL)
            mr_error_hint(binding->err, "did you mean %s?", near);
        return MR_CONFIG;
    }
    return MR_OK;
}
