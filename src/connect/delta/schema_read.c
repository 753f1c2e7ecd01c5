/*
 * schema_read.c - schemaString, the JSON form of Spark's types, into two schemas of ours.
 *
 * The logical one has the names that users write, the physical one the same fields under the names
 * and ids by which data files, statistics and partition values know them (column mapping). Both
 * are built in one walk, so that a field has the same index in both at every level.
 *
 *   {"type":"struct","fields":[{"name":"id","type":"long","nullable":true,
 *     "metadata":{"delta.columnMapping.id":1,"delta.columnMapping.physicalName":"col-5f"}}]}
 */
#include "base/text.h"
#include "connect/delta/private.h"

#include <stdio.h>

struct walk {
    struct mr_arena *arena;
    struct mr_json_tree tree;
    struct mr_bytes scratch;
    enum delta_mapping mapping;
    int depth;
};

/* A type under both sets of names. */
struct both {
    const struct mr_type *logical;
    const struct mr_type *physical;
};

static enum mr_status broken(struct mr_error *err, const char *what)
{
    return mr_error_data(err, MR_SOURCE, "the table's schema is not valid: %s", what);
}

static const struct mr_json_node *node_of(const struct walk *walk, uint32_t node)
{
    return &walk->tree.nodes[node];
}

static uint32_t child_of(const struct walk *walk, uint32_t object, const char *name,
                         enum mr_json_kind kind)
{
    uint32_t end = node_of(walk, object)->next;
    for (uint32_t i = object + 1; i < end; i = node_of(walk, i)->next) {
        if (mr_slice_equal(mr_json_raw_key(&walk->tree, i), mr_slice_of(name)))
            return node_of(walk, i)->kind == kind ? i : 0;
    }
    return 0;
}

static bool is_true(const struct walk *walk, uint32_t object, const char *name)
{
    return child_of(walk, object, name, MR_JSON_FALSE) == 0;
}

static const char *text_of(struct walk *walk, uint32_t node)
{
    struct mr_slice text = mr_json_string(&walk->tree, node, &walk->scratch);
    if (walk->scratch.status != MR_OK)
        return NULL;
    return mr_arena_strndup(walk->arena, text.data, text.size);
}

static const struct {
    const char *name;
    enum mr_type_id id;
} primitives[] = {
    {"string", MR_TYPE_STRING},       {"long", MR_TYPE_INT64},
    {"integer", MR_TYPE_INT32},       {"short", MR_TYPE_INT16},
    {"byte", MR_TYPE_INT8},           {"float", MR_TYPE_FLOAT32},
    {"double", MR_TYPE_FLOAT64},      {"boolean", MR_TYPE_BOOL},
    {"binary", MR_TYPE_BINARY},       {"date", MR_TYPE_DATE},
    {"timestamp", MR_TYPE_TIMESTAMP}, {"timestamp_ntz", MR_TYPE_TIMESTAMP_NTZ},
    {"void", MR_TYPE_NULL},           {"null", MR_TYPE_NULL},
};

static enum mr_status unknown_type(struct mr_error *err, const char *name)
{
    return mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                        "the table's schema has a type that this reader does not have: %.100s",
                        name);
}

static enum mr_status read_primitive(struct walk *walk, uint32_t node, struct both *out,
                                     struct mr_error *err)
{
    const char *name = text_of(walk, node);
    if (!name)
        return mr_error_nomem(err);
    const struct mr_type *type = NULL;
    int precision = 10;
    int scale = 0;
    char close = 0;
    for (size_t i = 0; i < sizeof primitives / sizeof *primitives; i++) {
        if (strcmp(primitives[i].name, name) == 0)
            type = mr_type_of(primitives[i].id);
    }
    if (!type && strncmp(name, "decimal", 7) == 0) {
        if (name[7] &&
            (sscanf(name + 7, "(%d,%d%c", &precision, &scale, &close) != 3 || close != ')'))
            return unknown_type(err, name);
        if (precision < 1 || precision > MR_DECIMAL_MAX_PRECISION || scale < 0 || scale > precision)
            return broken(err, name);
        type = mr_type_decimal(walk->arena, precision, scale);
        if (!type)
            return mr_error_nomem(err);
    }
    /* written so by those who do not know that they are texts with metadata */
    if (!type && (strncmp(name, "varchar(", 8) == 0 || strncmp(name, "char(", 5) == 0))
        type = mr_type_of(MR_TYPE_STRING);
    if (!type)
        return unknown_type(err, name);
    *out = (struct both){type, type};
    return MR_OK;
}

static enum mr_status read_type(struct walk *walk, uint32_t node, struct both *out,
                                struct mr_error *err);

static enum mr_status made(struct both *out, struct mr_error *err)
{
    return out->logical && out->physical ? MR_OK : mr_error_nomem(err);
}

/* Member `name` of a type: a text (primitive) or an object. */
static enum mr_status read_inner(struct walk *walk, uint32_t object, const char *name,
                                 struct both *out, struct mr_error *err)
{
    uint32_t inner = child_of(walk, object, name, MR_JSON_STRING);
    if (!inner)
        inner = child_of(walk, object, name, MR_JSON_OBJECT);
    return inner ? read_type(walk, inner, out, err) : broken(err, "a type is missing");
}

static enum mr_status read_array(struct walk *walk, uint32_t object, struct both *out,
                                 struct mr_error *err)
{
    struct both element;
    MR_TRY(read_inner(walk, object, "elementType", &element, err));
    bool null = is_true(walk, object, "containsNull");
    out->logical = mr_type_list(walk->arena, element.logical, null);
    out->physical = mr_type_list(walk->arena, element.physical, null);
    return made(out, err);
}

static enum mr_status read_map(struct walk *walk, uint32_t object, struct both *out,
                               struct mr_error *err)
{
    struct both key;
    struct both value;
    MR_TRY(read_inner(walk, object, "keyType", &key, err));
    MR_TRY(read_inner(walk, object, "valueType", &value, err));
    bool null = is_true(walk, object, "valueContainsNull");
    out->logical = mr_type_map(walk->arena, key.logical, value.logical, null);
    out->physical = mr_type_map(walk->arena, key.physical, value.physical, null);
    return made(out, err);
}

/* Name and id of a field in the files. */
static enum mr_status read_mapping(struct walk *walk, uint32_t object, struct mr_field *physical,
                                   struct mr_error *err)
{
    uint32_t metadata = child_of(walk, object, "metadata", MR_JSON_OBJECT);
    uint32_t id =
        metadata ? child_of(walk, metadata, "delta.columnMapping.id", MR_JSON_INTEGER) : 0;
    uint32_t name =
        metadata ? child_of(walk, metadata, "delta.columnMapping.physicalName", MR_JSON_STRING) : 0;
    int64_t number = 0;
    if (id && (!mr_text_to_int64(mr_json_raw(&walk->tree, id), false, &number) || number < 0 ||
               number > INT32_MAX))
        return broken(err, "the id of a column is not a number of 32 bits");
    if (!name || (walk->mapping == DELTA_MAPPING_ID && !id))
        return mr_error_data(err, MR_SOURCE,
                             "the table's schema is not valid: column %s has no physical name or "
                             "id, which its column mapping needs",
                             physical->name);
    physical->id = (int)number;
    physical->name = text_of(walk, name);
    return physical->name ? MR_OK : mr_error_nomem(err);
}

static enum mr_status read_field(struct walk *walk, uint32_t object, struct mr_field *logical,
                                 struct mr_field *physical, struct mr_error *err)
{
    if (node_of(walk, object)->kind != MR_JSON_OBJECT)
        return broken(err, "a field is no object");
    uint32_t name = child_of(walk, object, "name", MR_JSON_STRING);
    if (!name)
        return broken(err, "a field has no name");
    struct both type;
    MR_TRY(read_inner(walk, object, "type", &type, err));
    *logical = (struct mr_field){.name = text_of(walk, name),
                                 .type = type.logical,
                                 .nullable = is_true(walk, object, "nullable")};
    if (!logical->name)
        return mr_error_nomem(err);
    *physical = *logical;
    physical->type = type.physical;
    if (walk->mapping != DELTA_MAPPING_NONE)
        MR_TRY(read_mapping(walk, object, physical, err));
    return MR_OK;
}

static enum mr_status read_fields(struct walk *walk, uint32_t object, struct mr_field **logical,
                                  struct mr_field **physical, int *count, struct mr_error *err)
{
    uint32_t array = child_of(walk, object, "fields", MR_JSON_ARRAY);
    if (!array)
        return broken(err, "a struct has no fields");
    uint32_t number = node_of(walk, array)->count;
    *logical = mr_arena_calloc(walk->arena, (size_t)number + 1, sizeof **logical);
    *physical = mr_arena_calloc(walk->arena, (size_t)number + 1, sizeof **physical);
    if (!*logical || !*physical)
        return mr_error_nomem(err);
    *count = 0;
    for (uint32_t i = array + 1; i < node_of(walk, array)->next; i = node_of(walk, i)->next) {
        MR_TRY(read_field(walk, i, *logical + *count, *physical + *count, err));
        ++*count;
    }
    return MR_OK;
}

static enum mr_status read_object(struct walk *walk, uint32_t object, struct both *out,
                                  struct mr_error *err)
{
    uint32_t type = child_of(walk, object, "type", MR_JSON_STRING);
    struct mr_slice name = type ? mr_json_raw(&walk->tree, type) : (struct mr_slice){"", 0};
    if (mr_slice_equal(name, mr_slice_of("array")))
        return read_array(walk, object, out, err);
    if (mr_slice_equal(name, mr_slice_of("map")))
        return read_map(walk, object, out, err);
    if (!mr_slice_equal(name, mr_slice_of("struct")))
        return broken(err, "a type is neither array, map nor struct");
    struct mr_field *logical;
    struct mr_field *physical;
    int count;
    MR_TRY(read_fields(walk, object, &logical, &physical, &count, err));
    out->logical = mr_type_struct(walk->arena, logical, count);
    out->physical = mr_type_struct(walk->arena, physical, count);
    return made(out, err);
}

static enum mr_status read_type(struct walk *walk, uint32_t node, struct both *out,
                                struct mr_error *err)
{
    if (walk->depth == DELTA_MAX_DEPTH)
        return broken(err, "it is nested too deep");
    walk->depth++;
    enum mr_status status = node_of(walk, node)->kind == MR_JSON_STRING
                                ? read_primitive(walk, node, out, err)
                                : read_object(walk, node, out, err);
    walk->depth--;
    return status;
}

static enum mr_status read_root(struct walk *walk, struct delta_metadata *metadata,
                                struct mr_error *err)
{
    struct mr_slice text = mr_slice_of(metadata->schema_json);
    if (text.size > UINT32_MAX - 1 || !mr_json_tree_parse(&walk->tree, text, 0) ||
        walk->tree.count == 0 || node_of(walk, 0)->kind != MR_JSON_OBJECT)
        return walk->tree.nomem ? mr_error_nomem(err) : broken(err, "it is not a JSON object");
    struct mr_field *logical;
    struct mr_field *physical;
    int count;
    MR_TRY(read_fields(walk, 0, &logical, &physical, &count, err));
    metadata->schema = mr_schema_new(walk->arena, logical, count);
    metadata->physical = mr_schema_new(walk->arena, physical, count);
    if (!metadata->schema || !metadata->physical)
        return mr_error_nomem(err);
    for (int i = 0; i < metadata->npartition_columns; i++) {
        if (mr_schema_find(metadata->schema, metadata->partition_columns[i]) < 0)
            return mr_error_data(err, MR_SOURCE,
                                 "the table is partitioned by %s, which its schema does not have",
                                 metadata->partition_columns[i]);
    }
    return MR_OK;
}

enum mr_status delta_schema_read(struct mr_arena *arena, struct delta_metadata *metadata,
                                 struct mr_error *err)
{
    const char *mode = delta_property(metadata, "delta.columnMapping.mode");
    if (!mode || strcmp(mode, "none") == 0)
        metadata->mapping = DELTA_MAPPING_NONE;
    else if (strcmp(mode, "name") == 0)
        metadata->mapping = DELTA_MAPPING_NAME;
    else if (strcmp(mode, "id") == 0)
        metadata->mapping = DELTA_MAPPING_ID;
    else
        return mr_error_data(err, MR_SOURCE,
                             "delta.columnMapping.mode is '%s', not none, name or id", mode);
    struct walk walk = {.arena = arena, .mapping = metadata->mapping};
    mr_json_tree_init(&walk.tree);
    mr_bytes_init(&walk.scratch, MR_BYTES_DEFAULT_MAXIMUM);
    enum mr_status status = read_root(&walk, metadata, err);
    mr_bytes_reset(&walk.scratch);
    mr_json_tree_reset(&walk.tree);
    return status;
}
