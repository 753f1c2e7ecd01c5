/*
 * json_infer.c - schemas out of samples. Speed does not matter here: the trees of json_tree.c are merged one by one.
 */
#include "enc/json_infer.h"

#include "base/text.h"
#include "enc/json_tree.h"

#define DEPTH_MAX  30
#define FIELDS_MAX 10000

enum kind { NOTHING, BOOLEAN, BIGINT, LONG_INTEGER, DOUBLE, TEXT, OBJECT, ARRAY };

struct member;

struct shape {
    enum kind kind;
    int nmembers; /* ARRAY: 1, without a name */
    int capacity;
    struct member *members;
};

struct member {
    const char *name;
    struct shape shape;
};

struct mr_json_guess {
    struct mr_arena *arena;
    struct mr_json_tree tree;
    struct mr_bytes scratch;
    struct shape root;
};

enum mr_status mr_json_guess_new(struct mr_arena *arena, struct mr_json_guess **out,
                                 struct mr_error *err)
{
    struct mr_json_guess *guess = mr_calloc(1, sizeof *guess);
    if (!guess)
        return mr_error_nomem(err);
    guess->arena = arena;
    mr_json_tree_init(&guess->tree);
    mr_bytes_init(&guess->scratch, INT32_MAX);
    guess->root.kind = OBJECT;
    *out = guess;
    return MR_OK;
}

void mr_json_guess_free(struct mr_json_guess *guess)
{
    if (!guess)
        return;
    mr_json_tree_reset(&guess->tree);
    mr_bytes_reset(&guess->scratch);
    mr_free(guess);
}

/* The member with this name, new if need be; NULL: out of memory. Where `likely` points it is found at once. */
static struct member *find_member(struct mr_json_guess *guess, struct shape *shape,
                                  struct mr_slice name, int *likely)
{
    for (int i = 0; i < shape->nmembers; i++) {
        int at = (*likely + i) % shape->nmembers;
        const char *known = shape->members[at].name;
        if (strlen(known) == name.size && memcmp(known, name.data, name.size) == 0) {
            *likely = at + 1;
            return &shape->members[at];
        }
    }
    if (shape->nmembers == shape->capacity) {
        int capacity = shape->capacity ? 2 * shape->capacity : 8;
        struct member *members = mr_arena_calloc(guess->arena, (size_t)capacity, sizeof *members);
        if (!members)
            return NULL;
        if (shape->nmembers > 0)
            memcpy(members, shape->members, (size_t)shape->nmembers * sizeof *members);
        shape->members = members;
        shape->capacity = capacity;
    }
    struct member *member = &shape->members[shape->nmembers];
    member->name = mr_arena_strndup(guess->arena, name.data, name.size);
    if (!member->name)
        return NULL;
    shape->nmembers++;
    *likely = shape->nmembers;
    return member;
}

static enum kind number_kind(struct mr_slice text, bool integer)
{
    int64_t value;
    if (!integer)
        return DOUBLE;
    if (mr_text_to_int64(text, false, &value))
        return BIGINT;
    return text.size - (text.data[0] == '-') <= 38 ? LONG_INTEGER : DOUBLE;
}

static enum kind kind_of(const struct mr_json_tree *tree, uint32_t node)
{
    switch ((enum mr_json_kind)tree->nodes[node].kind) {
    case MR_JSON_NULL:
        return NOTHING;
    case MR_JSON_FALSE:
    case MR_JSON_TRUE:
        return BOOLEAN;
    case MR_JSON_INTEGER:
        return number_kind(mr_json_raw(tree, node), true);
    case MR_JSON_NUMBER:
        return DOUBLE;
    case MR_JSON_ARRAY:
        return ARRAY;
    case MR_JSON_OBJECT:
        return OBJECT;
    default:
        return TEXT;
    }
}

static enum kind join(enum kind a, enum kind b)
{
    bool numbers = a >= BIGINT && a <= DOUBLE && b >= BIGINT && b <= DOUBLE;
    if (a == b || b == NOTHING)
        return a;
    if (a == NOTHING)
        return b;
    return numbers ? (a > b ? a : b) : TEXT;
}

static bool merge(struct mr_json_guess *guess, struct shape *shape, uint32_t node, int depth);

static bool merge_members(struct mr_json_guess *guess, struct shape *shape, uint32_t node,
                          int depth)
{
    const struct mr_json_tree *tree = &guess->tree;
    int likely = 0;
    for (uint32_t i = node + 1; i < tree->nodes[node].next; i = tree->nodes[i].next) {
        struct mr_slice name = {"", 0};
        if (shape->kind == OBJECT)
            name = mr_json_key(tree, i, &guess->scratch);
        if (memchr(name.data, '\0', name.size) != NULL || shape->nmembers >= FIELDS_MAX)
            continue;
        struct member *member = find_member(guess, shape, name, &likely);
        if (!member || !merge(guess, &member->shape, i, depth + 1))
            return false;
    }
    return true;
}

static bool merge(struct mr_json_guess *guess, struct shape *shape, uint32_t node, int depth)
{
    enum kind kind = kind_of(&guess->tree, node);
    if (depth > DEPTH_MAX && (kind == OBJECT || kind == ARRAY))
        kind = TEXT;
    shape->kind = join(shape->kind, kind);
    if (shape->kind != OBJECT && shape->kind != ARRAY)
        return true;
    return kind == NOTHING || merge_members(guess, shape, node, depth);
}

enum mr_status mr_json_guess_record(struct mr_json_guess *guess, struct mr_slice text,
                                    struct mr_error *err)
{
    if (mr_utf8_valid_prefix(text.data, text.size) != text.size)
        return MR_OK;
    if (!mr_json_tree_parse(&guess->tree, text, 0))
        return guess->tree.nomem ? mr_error_nomem(err) : MR_OK;
    if (guess->tree.count == 0 || guess->tree.nodes[0].kind != MR_JSON_OBJECT)
        return MR_OK;
    if (!merge(guess, &guess->root, 0, 0))
        return mr_error_nomem(err);
    return mr_bytes_status(&guess->scratch, err);
}

static const struct mr_type *type_of(const struct mr_json_guess *guess, const struct shape *shape);

static struct mr_field *fields_of(const struct mr_json_guess *guess, const struct shape *shape)
{
    struct mr_field *fields =
        mr_arena_calloc(guess->arena, (size_t)shape->nmembers + 1, sizeof *fields);
    for (int i = 0; fields && i < shape->nmembers; i++) {
        fields[i] = (struct mr_field){.name = shape->members[i].name, .nullable = true};
        fields[i].type = type_of(guess, &shape->members[i].shape);
        if (!fields[i].type)
            return NULL;
    }
    return fields;
}

static const struct mr_type *type_of(const struct mr_json_guess *guess, const struct shape *shape)
{
    const struct mr_type *element = mr_type_of(MR_TYPE_STRING);
    struct mr_field *fields;
    switch (shape->kind) {
    case BOOLEAN:
        return mr_type_of(MR_TYPE_BOOL);
    case BIGINT:
        return mr_type_of(MR_TYPE_INT64);
    case LONG_INTEGER:
        return mr_type_decimal(guess->arena, 38, 0);
    case DOUBLE:
        return mr_type_of(MR_TYPE_FLOAT64);
    case OBJECT:
        if (shape->nmembers == 0)
            return element;
        fields = fields_of(guess, shape);
        return fields ? mr_type_struct(guess->arena, fields, shape->nmembers) : NULL;
    case ARRAY:
        if (shape->nmembers > 0)
            element = type_of(guess, &shape->members[0].shape);
        return element ? mr_type_list(guess->arena, element, true) : NULL;
    default:
        return element;
    }
}

enum mr_status mr_json_guess_schema(const struct mr_json_guess *guess, const struct mr_schema **out,
                                    struct mr_error *err)
{
    struct mr_field *fields = fields_of(guess, &guess->root);
    *out = fields ? mr_schema_new(guess->arena, fields, guess->root.nmembers) : NULL;
    return *out ? MR_OK : mr_error_nomem(err);
}
