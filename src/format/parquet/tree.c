/*
 * tree.c - from the flat list of schema elements to nested values.
 *
 * Lists and maps were annotated in several ways over the years. The rules are those of the specification ("Lists",
 * "Maps", backward compatibility): the repeated field of a LIST group is itself the element when it is no group, has several
 * fields, has one that is repeated, or is named "array" or "<list>_tuple"; else its one field is. MAP_KEY_VALUE is MAP. A
 * repeated field outside of any annotation is a list of required values. A LIST or MAP group of another shape is read as
 * the struct that it looks like. What an annotation means is settled here once; a leaf that cannot be read makes its
 * ancestors unreadable, with the reason, so that only wanting it is an error.
 */
#include "format/parquet/tree.h"

#define MAX_NESTING 32
#define MAX_PATH    4096

struct builder {
    const struct mr_pq_file *file;
    struct mr_arena *arena;
    struct mr_error *err;
    int next; /* element that is read next */
    int leaf;
    int depth;
};

/* ---- scalars ---- */

static const struct mr_type *decimal_type(struct builder *builder, int precision, int scale)
{
    if (precision < 1 || precision > MR_DECIMAL_MAX_PRECISION || scale < 0 || scale > precision)
        return NULL;
    return mr_type_decimal(builder->arena, precision, scale);
}

static const struct mr_type *integer_type(struct builder *builder,
                                          const struct mr_pq_element *element)
{
    int bits = element->bits;
    if (!element->is_signed && bits == 64)
        return decimal_type(builder, 20, 0);
    if (!element->is_signed)
        bits *= 2;
    return mr_type_of(bits <= 8    ? MR_TYPE_INT8
                      : bits <= 16 ? MR_TYPE_INT16
                      : bits <= 32 ? MR_TYPE_INT32
                                   : MR_TYPE_INT64);
}

static const struct mr_type *plain_type(const struct mr_pq_element *element)
{
    static const enum mr_type_id types[] = {
        [MR_PQ_T_BOOLEAN] = MR_TYPE_BOOL,      [MR_PQ_T_INT32] = MR_TYPE_INT32,
        [MR_PQ_T_INT64] = MR_TYPE_INT64,       [MR_PQ_T_INT96] = MR_TYPE_TIMESTAMP,
        [MR_PQ_T_FLOAT] = MR_TYPE_FLOAT32,     [MR_PQ_T_DOUBLE] = MR_TYPE_FLOAT64,
        [MR_PQ_T_BYTE_ARRAY] = MR_TYPE_BINARY, [MR_PQ_T_FIXED] = MR_TYPE_BINARY,
    };
    return mr_type_of(types[element->type]);
}

/* NULL: the annotation does not go with the physical type, or the type is not ours. */
static const struct mr_type *scalar_type(struct builder *builder,
                                         const struct mr_pq_element *element)
{
    bool i32 = element->type == MR_PQ_T_INT32, i64 = element->type == MR_PQ_T_INT64;
    bool bytes = element->type == MR_PQ_T_BYTE_ARRAY, fixed = element->type == MR_PQ_T_FIXED;
    if (fixed && element->length == 0)
        return NULL;
    switch (element->logical) {
    case MR_PQ_L_STRING:
    case MR_PQ_L_ENUM:
        return bytes || fixed ? mr_type_of(MR_TYPE_STRING) : NULL;
    case MR_PQ_L_JSON:
        return bytes ? mr_type_of(MR_TYPE_JSON) : NULL;
    case MR_PQ_L_BSON:
        return bytes ? mr_type_of(MR_TYPE_BINARY) : NULL;
    case MR_PQ_L_DECIMAL:
        return i32 || i64 || bytes || fixed
                   ? decimal_type(builder, element->precision, element->scale)
                   : NULL;
    case MR_PQ_L_DATE:
        return i32 ? mr_type_of(MR_TYPE_DATE) : NULL;
    case MR_PQ_L_TIME:
        return (i32 && element->unit == MR_PQ_MILLIS) || (i64 && element->unit <= MR_PQ_NANOS)
                   ? mr_type_of(MR_TYPE_TIME)
                   : NULL;
    case MR_PQ_L_TIMESTAMP:
        return i64 && element->unit <= MR_PQ_NANOS
                   ? mr_type_of(element->utc ? MR_TYPE_TIMESTAMP : MR_TYPE_TIMESTAMP_NTZ)
                   : NULL;
    case MR_PQ_L_INTERVAL:
        return fixed && element->length == 12 ? mr_type_of(MR_TYPE_INTERVAL) : NULL;
    case MR_PQ_L_INTEGER:
        return (i32 && element->bits <= 32) || (i64 && element->bits == 64)
                   ? integer_type(builder, element)
                   : NULL;
    case MR_PQ_L_UNKNOWN:
        return mr_type_of(MR_TYPE_NULL);
    case MR_PQ_L_UUID:
        return fixed && element->length == 16 ? mr_type_of(MR_TYPE_UUID) : NULL;
    case MR_PQ_L_FLOAT16:
        return fixed && element->length == 2 ? mr_type_of(MR_TYPE_FLOAT32) : NULL;
    case MR_PQ_L_VARIANT:
    case MR_PQ_L_GEOMETRY:
    case MR_PQ_L_GEOGRAPHY:
        return NULL;
    default:
        return plain_type(element);
    }
}

static const char *why_refused(const struct mr_pq_element *element)
{
    switch (element->logical) {
    case MR_PQ_L_VARIANT:
        return "its type is VARIANT, which is not supported";
    case MR_PQ_L_GEOMETRY:
    case MR_PQ_L_GEOGRAPHY:
        return "its type is GEOMETRY or GEOGRAPHY, which is not supported";
    case MR_PQ_L_DECIMAL:
        return element->precision > MR_DECIMAL_MAX_PRECISION
                   ? "it is a decimal of more than 38 digits"
                   : "its decimal annotation makes no sense";
    default:
        return "its annotation does not go with its physical type";
    }
}

/* ---- building ---- */

static enum mr_status damaged(struct builder *builder, const char *what)
{
    return mr_error_data(builder->err, MR_SOURCE, "%s: not a readable Parquet file: %s",
                         builder->file->name, what);
}

static const struct mr_pq_element *peek(const struct builder *builder, int ahead)
{
    static const struct mr_pq_element none = {.type = -1, .name = ""};
    int64_t at = (int64_t)builder->next + ahead;
    return at < builder->file->nelements ? &builder->file->elements[at] : &none;
}

static enum mr_status build(struct builder *builder, const struct mr_pq_node *parent, bool element,
                            struct mr_pq_node *node);

static enum mr_status make_children(struct builder *builder, struct mr_pq_node *node, int count)
{
    if (count < 0 || count > builder->file->nelements - builder->next)
        return damaged(builder, "its schema has fewer elements than it says");
    node->nchildren = count;
    node->children = mr_arena_calloc(builder->arena, (size_t)count + 1, sizeof *node->children);
    return node->children ? MR_OK : mr_error_nomem(builder->err);
}

static void take_refusal(struct mr_pq_node *node)
{
    for (int i = 0; i < node->nchildren && node->refused == NULL; i++)
        node->refused = node->children[i].refused;
}

static enum mr_status build_struct(struct builder *builder, struct mr_pq_node *node)
{
    node->kind = MR_PQ_STRUCT;
    MR_TRY(make_children(builder, node, node->element->nchildren));
    struct mr_field *fields =
        mr_arena_calloc(builder->arena, (size_t)node->nchildren + 1, sizeof *fields);
    if (fields == NULL)
        return mr_error_nomem(builder->err);
    for (int i = 0; i < node->nchildren; i++) {
        struct mr_pq_node *child = &node->children[i];
        MR_TRY(build(builder, node, false, child));
        fields[i] = (struct mr_field){.name = child->name,
                                      .type = child->type,
                                      .nullable = child->nullable,
                                      .id = child->id};
    }
    take_refusal(node);
    if (node->nchildren == 0)
        node->refused = "it is a group without columns";
    if (node->element->logical == MR_PQ_L_VARIANT)
        node->refused = why_refused(node->element);
    if (node->refused != NULL)
        return MR_OK;
    node->type = mr_type_struct(builder->arena, fields, node->nchildren);
    return node->type ? MR_OK : mr_error_nomem(builder->err);
}

static enum mr_status finish_list(struct builder *builder, struct mr_pq_node *node)
{
    take_refusal(node);
    if (node->refused != NULL)
        return MR_OK;
    struct mr_pq_node *element = node->children;
    node->type = mr_type_list(builder->arena, element->type, element->nullable);
    return node->type ? MR_OK : mr_error_nomem(builder->err);
}

/* Is the repeated field itself the element? */
static bool repeated_is_element(const struct builder *builder, const char *list,
                                const struct mr_pq_element *repeated)
{
    if (repeated->type >= 0 || repeated->nchildren != 1)
        return true;
    if (peek(builder, 1)->repetition == MR_PQ_REPEATED)
        return true;
    size_t length = strlen(list);
    return strcmp(repeated->name, "array") == 0 || (strncmp(repeated->name, list, length) == 0 &&
                                                    strcmp(repeated->name + length, "_tuple") == 0);
}

static enum mr_status build_list(struct builder *builder, struct mr_pq_node *node)
{
    const struct mr_pq_element *repeated = peek(builder, 0);
    node->kind = MR_PQ_LIST;
    node->element_def = node->def + 1;
    MR_TRY(make_children(builder, node, 1));
    if (!repeated_is_element(builder, node->name, repeated)) {
        builder->next++;
        MR_TRY(build(builder, node, false, node->children));
    } else {
        MR_TRY(build(builder, node, true, node->children));
    }
    return finish_list(builder, node);
}

static enum mr_status build_map(struct builder *builder, struct mr_pq_node *node)
{
    node->kind = MR_PQ_MAP;
    node->element_def = node->def + 1;
    builder->next++;
    MR_TRY(make_children(builder, node, 2));
    for (int i = 0; i < 2; i++)
        MR_TRY(build(builder, node, false, &node->children[i]));
    take_refusal(node);
    if (node->refused != NULL)
        return MR_OK;
    node->type = mr_type_map(builder->arena, node->children[0].type, node->children[1].type,
                             node->children[1].nullable);
    return node->type ? MR_OK : mr_error_nomem(builder->err);
}

static enum mr_status build_leaf(struct builder *builder, struct mr_pq_node *node)
{
    node->kind = MR_PQ_LEAF;
    node->leaf = builder->leaf++;
    node->type = scalar_type(builder, node->element);
    if (node->type == NULL)
        node->refused = why_refused(node->element);
    return MR_OK;
}

/* The group's shape, its own element taken already. */
static enum mr_status build_shape(struct builder *builder, struct mr_pq_node *node)
{
    const struct mr_pq_element *element = node->element, *child = peek(builder, 0);
    if (element->type >= 0)
        return build_leaf(builder, node);
    bool one = element->nchildren == 1 && child->repetition == MR_PQ_REPEATED;
    bool map = element->logical == MR_PQ_L_MAP || element->logical == MR_PQ_L_MAP_KEY_VALUE;
    if (one && element->logical == MR_PQ_L_LIST)
        return build_list(builder, node);
    if (one && map && child->type < 0 && child->nchildren == 2 &&
        peek(builder, 1)->repetition != MR_PQ_REPEATED)
        return build_map(builder, node);
    return build_struct(builder, node);
}

/* A repeated field without annotation: a list that is never NULL, of values that are never NULL. */
static enum mr_status build_repeated(struct builder *builder, struct mr_pq_node *node)
{
    node->kind = MR_PQ_LIST;
    node->element_def = node->def + 1;
    MR_TRY(make_children(builder, node, 1));
    MR_TRY(build(builder, node, true, node->children));
    return finish_list(builder, node);
}

static char *join_path(struct builder *builder, const struct mr_pq_node *parent, const char *name)
{
    if (parent->path == NULL)
        return mr_arena_strdup(builder->arena, name);
    if (strlen(parent->path) + strlen(name) > MAX_PATH)
        return mr_arena_printf(builder->arena, "...%s", "");
    return mr_arena_printf(builder->arena, "%s.%s", parent->path, name);
}

/* `element`: the next schema element is repeated, and what it repeats is `node`. */
static enum mr_status build(struct builder *builder, const struct mr_pq_node *parent, bool element,
                            struct mr_pq_node *node)
{
    if (builder->next >= builder->file->nelements)
        return damaged(builder, "its schema has fewer elements than it says");
    if (++builder->depth > MAX_NESTING * 2)
        return damaged(builder, "its schema is nested more than 32 levels deep");
    const struct mr_pq_element *self = peek(builder, 0);
    bool list = parent->kind == MR_PQ_LIST || parent->kind == MR_PQ_MAP;
    *node = (struct mr_pq_node){.element = self,
                                .name = self->name,
                                .id = self->id,
                                .rep = parent->rep + list,
                                .slot_def = list ? parent->element_def : parent->def};
    node->path = join_path(builder, parent, self->name);
    if (node->path == NULL)
        return mr_error_nomem(builder->err);
    bool repeated = self->repetition == MR_PQ_REPEATED && !element;
    node->nullable = self->repetition == MR_PQ_OPTIONAL;
    node->def = node->slot_def + node->nullable;
    if (node->rep > MAX_NESTING || node->def > 2 * MAX_NESTING)
        return damaged(builder, "its schema is nested more than 32 levels deep");
    if (!repeated)
        builder->next++;
    enum mr_status status = repeated ? build_repeated(builder, node) : build_shape(builder, node);
    /* UNKNOWN: all NULL, whatever it says. */
    if (node->type != NULL && node->type->id == MR_TYPE_NULL)
        node->nullable = true;
    builder->depth--;
    return status;
}

enum mr_status mr_pq_tree_make(const struct mr_pq_file *file, struct mr_arena *arena,
                               struct mr_pq_node *root, struct mr_error *err)
{
    struct builder builder = {.file = file, .arena = arena, .err = err, .next = 1};
    *root = (struct mr_pq_node){.kind = MR_PQ_STRUCT, .element = &file->elements[0], .name = ""};
    if (file->elements[0].type >= 0)
        return damaged(&builder, "its schema has no root");
    MR_TRY(make_children(&builder, root, file->elements[0].nchildren));
    for (int i = 0; i < root->nchildren; i++)
        MR_TRY(build(&builder, root, false, &root->children[i]));
    if (builder.next != file->nelements)
        return damaged(&builder, "its schema has more elements than it uses");
    return MR_OK;
}
