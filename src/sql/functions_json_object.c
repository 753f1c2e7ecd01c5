/*
 * functions_json_object.c - objects as values: merged, patched, with some of their keys, in canonical form. Not in Spark.
 *
 * Texts must be JSON by the letter (RFC 8259), else the row fails: these functions write documents, and half-read ones must not get
 * on. Values are passed on as written, but for blanks between tokens. Canonical text is RFC 8785 with one exception: an
 * integer keeps all its digits, where the RFC would round it to a double.
 */
#include "base/text.h"
#include "sql/json.h"
#include "sql/nested.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A tree an argument; `keys` and `other` hold unescaped keys of two documents that are compared. */
struct documents {
    struct mr_json_tree trees[2];
    struct mr_bytes merged; /* what the documents so far gave */
    struct mr_bytes out;
    struct mr_bytes keys;
    struct mr_bytes other;
};

static void release_documents(void *memory)
{
    struct documents *self = memory;
    mr_json_tree_reset(&self->trees[0]);
    mr_json_tree_reset(&self->trees[1]);
    mr_bytes_reset(&self->merged);
    mr_bytes_reset(&self->out);
    mr_bytes_reset(&self->keys);
    mr_bytes_reset(&self->other);
}

static struct documents *documents_of(struct mr_call *call)
{
    struct documents *self = mr_call_state(call, sizeof(*self), release_documents);
    if (self == NULL) {
        mr_error_nomem(call->err);
        return NULL;
    }
    self->merged.maximum = self->out.maximum = INT32_MAX;
    self->keys.maximum = self->other.maximum = INT32_MAX;
    return self;
}

/* Parses; a text that is no JSON (or no object, where one is asked for) fails the row. */
static bool read_document(struct mr_result *result, int64_t row, struct mr_json_tree *tree,
                          struct mr_slice text, bool object)
{
    bool parsed = mr_json_tree_parse(tree, text, 0);
    if (tree->nomem && result->status == MR_OK)
        result->status = mr_error_nomem(result->call->err);
    if (parsed && (!object || tree->nodes[0].kind == MR_JSON_OBJECT))
        return result->status == MR_OK;
    mr_result_fail_value(result, row, text, "a text that is no JSON%s", object ? " object" : "");
    return false;
}

/* The last member of that key, 0 when there is none. */
static uint32_t find_member(struct documents *self, const struct mr_json_tree *tree,
                            uint32_t object, struct mr_slice key)
{
    uint32_t found = 0;
    if (tree->nodes[object].kind != MR_JSON_OBJECT)
        return 0;
    for (uint32_t i = object + 1; i < tree->nodes[object].next; i = tree->nodes[i].next) {
        if (mr_json_key_is(tree, i, key, &self->other))
            found = i;
    }
    return found;
}

static void put_key(const struct mr_json_tree *tree, uint32_t member, bool *first,
                    struct mr_bytes *out)
{
    struct mr_slice key = mr_json_raw_key(tree, member);
    mr_bytes_char(out, *first ? '{' : ',');
    mr_bytes_char(out, '"');
    mr_bytes_append(out, key.data, key.size);
    mr_bytes_append(out, "\":", 2);
    *first = false;
}

static void put_end(bool first, struct mr_bytes *out)
{
    mr_bytes_text(out, first ? "{}" : "}");
}

/* Members of both at the top level; those of b win, at the place where a has them. */
static void merge_top(struct documents *self)
{
    const struct mr_json_tree *a = &self->trees[0], *b = &self->trees[1];
    struct mr_bytes *out = &self->out;
    bool first = true;
    mr_bytes_clear(out);
    for (uint32_t i = 1; i < a->nodes[0].next; i = a->nodes[i].next) {
        struct mr_slice key = mr_json_key(a, i, &self->keys);
        uint32_t other = find_member(self, b, 0, key);
        if (find_member(self, a, 0, key) != i)
            continue;
        put_key(a, i, &first, out);
        mr_json_write_verbatim(other ? b : a, other ? other : i, out);
    }
    for (uint32_t i = 1; i < b->nodes[0].next; i = b->nodes[i].next) {
        struct mr_slice key = mr_json_key(b, i, &self->keys);
        if (find_member(self, a, 0, key) || find_member(self, b, 0, key) != i)
            continue;
        put_key(b, i, &first, out);
        mr_json_write_verbatim(b, i, out);
    }
    put_end(first, out);
}

/* RFC 7396: the target (UINT32_MAX: none) as the patch changes it. */
#define NO_TARGET UINT32_MAX
static void patch(struct documents *self, uint32_t target, uint32_t with)
{
    const struct mr_json_tree *a = &self->trees[0], *b = &self->trees[1];
    struct mr_bytes *out = &self->out;
    bool first = true;
    if (b->nodes[with].kind != MR_JSON_OBJECT) {
        mr_json_write_verbatim(b, with, out);
        return;
    }
    bool object = target != NO_TARGET && a->nodes[target].kind == MR_JSON_OBJECT;
    for (uint32_t i = target + 1; object && i < a->nodes[target].next; i = a->nodes[i].next) {
        struct mr_slice key = mr_json_key(a, i, &self->keys);
        uint32_t change = find_member(self, b, with, key);
        if (find_member(self, a, target, key) != i ||
            (change && b->nodes[change].kind == MR_JSON_NULL))
            continue;
        put_key(a, i, &first, out);
        if (change)
            patch(self, i, change);
        else
            mr_json_write_verbatim(a, i, out);
    }
    for (uint32_t i = with + 1; i < b->nodes[with].next; i = b->nodes[i].next) {
        struct mr_slice key = mr_json_key(b, i, &self->keys);
        if (b->nodes[i].kind == MR_JSON_NULL || find_member(self, b, with, key) != i ||
            (object && find_member(self, a, target, key)))
            continue;
        put_key(b, i, &first, out);
        patch(self, NO_TARGET, i);
    }
    put_end(first, out);
}

static void finish_row(const struct documents *self, struct mr_result *result, int64_t row,
                       const struct mr_bytes *out)
{
    const struct mr_bytes *const made[] = {out, &self->keys, &self->other};
    for (int i = 0; i < 3 && result->status == MR_OK; i++)
        result->status = mr_bytes_status(made[i], result->call->err);
    mr_result_text(result, row, out->data ? out->data : "", out->size);
}

static enum mr_status kernel_merge(struct mr_call *call, struct mr_column **out)
{
    struct documents *self = documents_of(call);
    if (self == NULL)
        return MR_NOMEM;
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        bool good = true;
        mr_bytes_clear(&self->merged);
        mr_bytes_text(&self->merged, "{}");
        for (int i = 0; i < call->nargs && good; i++) {
            struct mr_arg arg = mr_arg_of(call, i);
            struct mr_slice so_far = {self->merged.data, self->merged.size};
            good = self->merged.status == MR_OK &&
                   read_document(&result, row, &self->trees[0], so_far, true) &&
                   read_document(&result, row, &self->trees[1], mr_arg_text(&arg, row), true);
            if (!good)
                break;
            merge_top(self);
            struct mr_bytes swap = self->merged;
            self->merged = self->out;
            self->out = swap;
        }
        if (good)
            finish_row(self, &result, row, &self->merged);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_merge_patch(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg target = mr_arg_of(call, 0), with = mr_arg_of(call, 1);
    struct documents *self = documents_of(call);
    if (self == NULL)
        return MR_NOMEM;
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        if (!read_document(&result, row, &self->trees[0], mr_arg_text(&target, row), false) ||
            !read_document(&result, row, &self->trees[1], mr_arg_text(&with, row), false))
            continue;
        mr_bytes_clear(&self->out);
        patch(self, 0, 0);
        finish_row(self, &result, row, &self->out);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status bind_keys(struct mr_binding *binding)
{
    enum mr_status status;
    if (mr_bind_null_argument(binding, 1, binding->type, &status))
        return status;
    return mr_bind_cast(binding, 1, mr_type_list(binding->arena, mr_type_of(MR_TYPE_STRING), true));
}

static bool in_list(const struct mr_arg *item, struct mr_span span, struct mr_slice key)
{
    for (int32_t i = span.from; i < span.to; i++) {
        if (!mr_arg_is_null(item, i) && mr_slice_equal(mr_arg_text(item, i), key))
            return true;
    }
    return false;
}

/* Members of the top level whose key is (keep) or is not in the list. */
static enum mr_status some_keys(struct mr_call *call, bool keep, struct mr_column **out)
{
    struct mr_arg document = mr_arg_of(call, 0);
    struct documents *self = documents_of(call);
    struct mr_column *keys;
    if (self == NULL)
        return MR_NOMEM;
    MR_TRY(mr_column_flatten(call->memory, call->args[1]->children[0], &keys, call->err));
    struct mr_arg item = mr_arg_of_column(keys);
    struct mr_result result;
    mr_result_init(&result, call);
    const struct mr_json_tree *tree = &self->trees[0];
    MR_EACH_ROW(call, row)
    {
        bool first = true;
        if (result.status != MR_OK ||
            !read_document(&result, row, &self->trees[0], mr_arg_text(&document, row), true))
            continue;
        struct mr_span span = mr_list_span(call->args[1], row);
        mr_bytes_clear(&self->out);
        for (uint32_t i = 1; i < tree->nodes[0].next; i = tree->nodes[i].next) {
            if (in_list(&item, span, mr_json_key(tree, i, &self->keys)) != keep)
                continue;
            put_key(tree, i, &first, &self->out);
            mr_json_write_verbatim(tree, i, &self->out);
        }
        put_end(first, &self->out);
        finish_row(self, &result, row, &self->out);
    }
    mr_column_unref(keys);
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_keep_keys(struct mr_call *call, struct mr_column **out)
{
    return some_keys(call, true, out);
}

static enum mr_status kernel_drop_keys(struct mr_call *call, struct mr_column **out)
{
    return some_keys(call, false, out);
}

/* A member of an object that is being sorted. */
struct member {
    struct mr_slice key; /* unescaped, owned when `escaped` */
    uint32_t node;
    bool escaped;
};

/* The first place where UTF-16 differs decides: half of a pair comes before U+E000. */
static int compare_keys(const void *x, const void *y)
{
    const struct member *a = x, *b = y;
    size_t least = a->key.size < b->key.size ? a->key.size : b->key.size;
    for (size_t i = 0; i < least; i++) {
        unsigned char c = (unsigned char)a->key.data[i], d = (unsigned char)b->key.data[i];
        if (c == d)
            continue;
        bool pair_c = c >= 0xF0, pair_d = d >= 0xF0; /* of four bytes: a pair in UTF-16 */
        if (pair_c != pair_d && c >= 0xEE && d >= 0xEE)
            return pair_c ? -1 : 1;
        return c < d ? -1 : 1;
    }
    if (a->key.size != b->key.size)
        return a->key.size < b->key.size ? -1 : 1;
    return a->node < b->node ? -1 : 1;
}

/* ECMAScript's Number.prototype.toString, from the shortest digits of Java's form. */
static bool put_number(struct mr_slice raw, struct mr_bytes *out)
{
    double value;
    char text[MR_DOUBLE_TEXT_MAX], digits[MR_DOUBLE_TEXT_MAX];
    int count = 0, point = -1, exponent = 0;
    if (!mr_text_to_double(raw, false, &value) || !isfinite(value))
        return false;
    if (value == 0) {
        mr_bytes_char(out, '0');
        return true;
    }
    int size = mr_double_to_text(fabs(value), text);
    text[size] = '\0';
    for (int i = 0; i < size; i++) {
        if (text[i] == '.')
            point = count;
        else if (text[i] == 'E') {
            exponent = atoi(text + i + 1);
            break;
        } else
            digits[count++] = text[i];
    }
    point = (point < 0 ? count : point) + exponent; /* the value is 0.digits * 10^point */
    int lead = 0;
    while (lead < count - 1 && digits[lead] == '0')
        lead++;
    while (count > lead + 1 && digits[count - 1] == '0')
        count--;
    point -= lead;
    count -= lead;
    const char *first = digits + lead;
    mr_bytes_text(out, value < 0 ? "-" : "");
    if (point > 21 || point < -5) {
        mr_bytes_printf(out, "%c%s%.*se%+d", first[0], count > 1 ? "." : "", count - 1, first + 1,
                        point - 1);
        return true;
    }
    if (point <= 0)
        mr_bytes_printf(out, "0.%.*s", -point, "00000");
    for (int i = 0; i < count || i < point; i++) {
        if (i == point && point > 0)
            mr_bytes_char(out, '.');
        mr_bytes_char(out, i < count ? first[i] : '0');
    }
    return true;
}

static bool put_canonical(struct documents *self, uint32_t node);

static bool put_sorted(struct documents *self, uint32_t node)
{
    const struct mr_json_tree *tree = &self->trees[0];
    struct mr_bytes *out = &self->out;
    uint32_t count = tree->nodes[node].count, n = 0;
    struct member *members = mr_calloc((size_t)count + 1, sizeof(*members));
    bool good = members != NULL;
    if (!good)
        out->status = MR_NOMEM;
    for (uint32_t i = node + 1; good && i < tree->nodes[node].next; i = tree->nodes[i].next) {
        struct member *member = &members[n++];
        *member = (struct member){mr_json_raw_key(tree, i), i, tree->nodes[i].key_escaped};
        if (!member->escaped)
            continue;
        struct mr_bytes key;
        mr_bytes_init(&key, INT32_MAX);
        mr_json_unescape(member->key, &key);
        mr_bytes_text(&key, "");
        out->status = key.status != MR_OK ? key.status : out->status;
        good = key.status == MR_OK;
        member->key.data = mr_bytes_move(&key, &member->key.size);
    }
    if (good && n > 1)
        qsort(members, n, sizeof(*members), compare_keys);
    bool first = true;
    mr_bytes_char(out, '{');
    for (uint32_t i = 0; good && i < n; i++) {
        if (i + 1 < n && mr_slice_equal(members[i].key, members[i + 1].key))
            continue; /* the last of a key that comes twice */
        mr_bytes_text(out, first ? "" : ",");
        mr_bytes_json_string(out, members[i].key.data, members[i].key.size);
        mr_bytes_char(out, ':');
        good = put_canonical(self, members[i].node);
        first = false;
    }
    mr_bytes_char(out, '}');
    for (uint32_t i = 0; i < n; i++) {
        if (members[i].escaped)
            mr_free((char *)members[i].key.data);
    }
    mr_free(members);
    return good;
}

/* False: a number beyond every double (or no memory, told by out). */
static bool put_canonical(struct documents *self, uint32_t node)
{
    const struct mr_json_tree *tree = &self->trees[0];
    const struct mr_json_node *at = &tree->nodes[node];
    struct mr_slice text = mr_json_raw(tree, node);
    bool good = true;
    switch (at->kind) {
    case MR_JSON_OBJECT:
        return put_sorted(self, node);
    case MR_JSON_ARRAY:
        mr_bytes_char(&self->out, '[');
        for (uint32_t i = node + 1; i < at->next && good; i = tree->nodes[i].next) {
            mr_bytes_text(&self->out, i > node + 1 ? "," : "");
            good = put_canonical(self, i);
        }
        mr_bytes_char(&self->out, ']');
        return good;
    case MR_JSON_STRING:
        text = mr_json_string(tree, node, &self->keys);
        mr_bytes_json_string(&self->out, text.data, text.size);
        return true;
    case MR_JSON_NUMBER:
        return put_number(text, &self->out);
    default:
        if (text.size == 2 && text.data[0] == '-' && text.data[1] == '0')
            text = (struct mr_slice){"0", 1};
        mr_bytes_append(&self->out, text.data, text.size);
        return true;
    }
}

static enum mr_status kernel_canonical(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg document = mr_arg_of(call, 0);
    struct documents *self = documents_of(call);
    if (self == NULL)
        return MR_NOMEM;
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&document, row);
        if (!read_document(&result, row, &self->trees[0], text, false))
            continue;
        mr_bytes_clear(&self->out);
        if (put_canonical(self, 0) || self->out.status != MR_OK)
            finish_row(self, &result, row, &self->out);
        else
            mr_result_fail_value(&result, row, text, "a number that no double holds");
    }
    return mr_result_finish(&result, out);
}

#define ROW(names_, args_, flags_, kernel_, bind_, signature_, doc_)                               \
    {                                                                                              \
        .names = names_, .args = args_, .result = "s", .flags = flags_, .kernel = kernel_,         \
        .bind = bind_, .signature = signature_, .family = "JSON", .doc = doc_                      \
    }

static const struct mr_function functions[] = {
    ROW("json_merge", "ss*", 0, kernel_merge, NULL, "json_merge(object, object, ...)",
        "One object with the members of all; of equal keys the last one's value. (Not in Spark.)"),
    ROW("json_merge_patch", "ss", 0, kernel_merge_patch, NULL, "json_merge_patch(target, patch)",
        "The target changed by a merge patch (RFC 7396): objects are merged at every depth, null "
        "removes a member. (Not in Spark.)"),
    ROW("json_keep_keys", "sA", 0, kernel_keep_keys, bind_keys, "json_keep_keys(object, keys)",
        "The members whose key is in the array. (Not in Spark.)"),
    ROW("json_drop_keys", "sA", 0, kernel_drop_keys, bind_keys, "json_drop_keys(object, keys)",
        "The members whose key is not in the array. (Not in Spark.)"),
    ROW("json_canonical", "s", 0, kernel_canonical, NULL, "json_canonical(json)",
        "The document in canonical form (RFC 8785): sorted keys, shortest numbers, no blanks; "
        "integers keep all their digits. (Not in Spark.)"),
};

const struct mr_function_family mr_functions_json_object = {functions, sizeof(functions) /
                                                                           sizeof(functions[0])};
