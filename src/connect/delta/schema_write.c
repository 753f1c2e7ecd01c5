/*
 * schema_write.c - schemaString.
 *
 * A new table's schema is written from our types. A table that exists keeps its own text: it is walked
 * as JSON, every member copied as it stands (comments, identities, mapping, keys of other writers),
 * and new fields are put in where a struct ends. The alternative, our own schema written out anew,
 * would lose whatever we do not know of.
 */
#include "connect/delta/schema_write.h"

#include "base/hash.h"
#include "base/text.h"
#include "connect/delta/log_write.h"
#include "connect/delta/private.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- what a table can hold ---- */

static enum mr_status storable_type(const struct mr_type *type, const char *column,
                                    struct mr_arena *arena, const struct mr_type **out,
                                    struct mr_error *err);

static enum mr_status not_storable(const struct mr_type *type, const char *column,
                                   struct mr_error *err)
{
    char text[128];
    if (type->id == MR_TYPE_NULL)
        mr_error_config(err, "column '%s' holds nothing but NULL, which has no type in Delta Lake",
                        column);
    else
        mr_error_config(err, "column '%s' is %s, which Delta Lake has no type for", column,
                        mr_type_text(type, text, sizeof text));
    if (err)
        mr_error_hint(err, "castColumns gives it another type, for instance string");
    return MR_CONFIG;
}

static enum mr_status check_names(const struct mr_field *fields, int nfields, struct mr_error *err)
{
    for (int i = 0; i < nfields; i++) {
        for (int k = 0; k < i; k++) {
            if (mr_text_equal_nocase(fields[i].name, fields[k].name))
                return mr_error_config(err,
                                       "columns '%s' and '%s' are one name in Delta Lake, which "
                                       "does not tell upper from lower case",
                                       fields[k].name, fields[i].name);
        }
    }
    return MR_OK;
}

static enum mr_status storable_fields(const struct mr_field *fields, int nfields,
                                      const char *column, struct mr_arena *arena,
                                      struct mr_field **out, struct mr_error *err)
{
    MR_TRY(check_names(fields, nfields, err));
    *out = mr_arena_calloc(arena, (size_t)nfields + 1, sizeof **out);
    if (!*out)
        return mr_error_nomem(err);
    for (int i = 0; i < nfields; i++) {
        (*out)[i] = (struct mr_field){.name = fields[i].name, .nullable = true};
        MR_TRY(storable_type(fields[i].type, column ? column : fields[i].name, arena,
                             &(*out)[i].type, err));
    }
    return MR_OK;
}

static enum mr_status storable_type(const struct mr_type *type, const char *column,
                                    struct mr_arena *arena, const struct mr_type **out,
                                    struct mr_error *err)
{
    struct mr_field *fields = NULL;
    switch (type->id) {
    case MR_TYPE_NULL:
    case MR_TYPE_TIME:
    case MR_TYPE_INTERVAL:
        return not_storable(type, column, err);
    case MR_TYPE_UUID:
    case MR_TYPE_JSON:
        *out = mr_type_of(MR_TYPE_STRING);
        return MR_OK;
    case MR_TYPE_LIST:
        MR_TRY(storable_fields(type->fields, 1, column, arena, &fields, err));
        *out = mr_type_list(arena, fields[0].type, true);
        break;
    case MR_TYPE_MAP:
        MR_TRY(storable_fields(type->fields, 2, column, arena, &fields, err));
        *out = mr_type_map(arena, fields[0].type, fields[1].type, true);
        break;
    case MR_TYPE_STRUCT:
        if (type->nfields == 0)
            return mr_error_config(err, "column '%s' has a struct without fields", column);
        MR_TRY(storable_fields(type->fields, type->nfields, column, arena, &fields, err));
        *out = mr_type_struct(arena, fields, type->nfields);
        break;
    default:
        *out = type;
        break;
    }
    return *out ? MR_OK : mr_error_nomem(err);
}

enum mr_status delta_schema_check_names(const struct mr_schema *schema, struct mr_error *err)
{
    for (int i = 0; i < schema->nfields; i++) {
        const char *name = schema->fields[i].name;
        if (name[0] && strcspn(name, " ,;{}()\n\t=") == strlen(name))
            continue;
        mr_error_config(err,
                        "column '%s': a name in Delta Lake is not empty and has none of "
                        "\" ,;{}()=\", tabs and line ends",
                        name);
        if (err)
            mr_error_hint(err, "renameColumns gives it another name");
        return MR_CONFIG;
    }
    return MR_OK;
}

enum mr_status delta_schema_storable(const struct mr_schema *schema, struct mr_arena *arena,
                                     const struct mr_schema **out, struct mr_error *err)
{
    struct mr_field *fields;
    MR_TRY(storable_fields(schema->fields, schema->nfields, NULL, arena, &fields, err));
    *out = mr_schema_new(arena, fields, schema->nfields);
    return *out ? MR_OK : mr_error_nomem(err);
}

static bool has_ntz(const struct mr_type *type)
{
    for (int i = 0; i < type->nfields; i++) {
        if (has_ntz(type->fields[i].type))
            return true;
    }
    return type->id == MR_TYPE_TIMESTAMP_NTZ;
}

bool delta_schema_has_ntz(const struct mr_schema *schema)
{
    for (int i = 0; i < schema->nfields; i++) {
        if (has_ntz(schema->fields[i].type))
            return true;
    }
    return false;
}

/* ---- types as JSON ---- */

/* How new fields are numbered and named under column mapping. */
struct numbering {
    bool mapped;
    const char *seed;
    int64_t next_id;
    int added;
};

static const char *primitive_name(enum mr_type_id id)
{
    switch (id) {
    case MR_TYPE_BOOL:
        return "boolean";
    case MR_TYPE_INT8:
        return "byte";
    case MR_TYPE_INT16:
        return "short";
    case MR_TYPE_INT32:
        return "integer";
    case MR_TYPE_INT64:
        return "long";
    case MR_TYPE_FLOAT32:
        return "float";
    case MR_TYPE_FLOAT64:
        return "double";
    case MR_TYPE_DATE:
        return "date";
    case MR_TYPE_TIMESTAMP:
        return "timestamp";
    case MR_TYPE_TIMESTAMP_NTZ:
        return "timestamp_ntz";
    case MR_TYPE_BINARY:
        return "binary";
    default:
        return "string";
    }
}

static void put_type(struct mr_bytes *out, const struct mr_type *type, struct numbering *numbering);

static void put_mapping(struct mr_bytes *out, const char *name, struct numbering *numbering)
{
    char key[64];
    int64_t id = numbering->next_id++;
    int size = snprintf(key, sizeof key, "%" PRId64 ":", id);
    uint64_t low = mr_hash64(key, (size_t)size);
    low = mr_hash64_seed(numbering->seed, strlen(numbering->seed), low);
    uint64_t high = mr_hash64_seed(name, strlen(name), low);
    mr_bytes_printf(out,
                    "\"delta.columnMapping.id\":%" PRId64
                    ",\"delta.columnMapping.physicalName\":\"col-%016" PRIx64 "%016" PRIx64 "\"",
                    id, high, low);
}

static void put_field(struct mr_bytes *out, const struct mr_field *field, bool nullable,
                      struct numbering *numbering)
{
    mr_bytes_text(out, "{\"name\":");
    delta_put_string(out, field->name);
    mr_bytes_text(out, ",\"type\":");
    struct mr_bytes mapping;
    mr_bytes_init(&mapping, 1 << 16);
    if (numbering->mapped)
        put_mapping(&mapping, field->name, numbering);
    put_type(out, field->type, numbering);
    mr_bytes_printf(out, ",\"nullable\":%s,\"metadata\":{%s}}", nullable ? "true" : "false",
                    mapping.data ? mapping.data : "");
    if (mapping.status != MR_OK && out->status == MR_OK)
        out->status = mapping.status;
    mr_bytes_reset(&mapping);
}

static void put_type(struct mr_bytes *out, const struct mr_type *type, struct numbering *numbering)
{
    switch (type->id) {
    case MR_TYPE_DECIMAL:
        mr_bytes_printf(out, "\"decimal(%d,%d)\"", type->precision, type->scale);
        break;
    case MR_TYPE_LIST:
        mr_bytes_text(out, "{\"type\":\"array\",\"elementType\":");
        put_type(out, type->fields[0].type, numbering);
        mr_bytes_printf(out, ",\"containsNull\":%s}", type->fields[0].nullable ? "true" : "false");
        break;
    case MR_TYPE_MAP:
        mr_bytes_text(out, "{\"type\":\"map\",\"keyType\":");
        put_type(out, type->fields[0].type, numbering);
        mr_bytes_text(out, ",\"valueType\":");
        put_type(out, type->fields[1].type, numbering);
        mr_bytes_printf(out, ",\"valueContainsNull\":%s}",
                        type->fields[1].nullable ? "true" : "false");
        break;
    case MR_TYPE_STRUCT:
        mr_bytes_text(out, "{\"type\":\"struct\",\"fields\":[");
        for (int i = 0; i < type->nfields; i++) {
            if (i)
                mr_bytes_char(out, ',');
            put_field(out, &type->fields[i], type->fields[i].nullable, numbering);
        }
        mr_bytes_text(out, "]}");
        break;
    default:
        mr_bytes_printf(out, "\"%s\"", primitive_name(type->id));
        break;
    }
}

void delta_put_schema(struct mr_bytes *out, const struct mr_schema *schema)
{
    struct numbering numbering = {.mapped = false};
    struct mr_type whole = {.id = MR_TYPE_STRUCT,
                            .nfields = schema->nfields,
                            .fields = schema->fields};
    put_type(out, &whole, &numbering);
}

/* ---- a table that gets more columns ---- */

static bool key_is(const struct mr_json_tree *tree, uint32_t node, const char *key)
{
    return mr_slice_equal(mr_json_raw_key(tree, node), mr_slice_of(key));
}

static const struct mr_field *find_field(const struct mr_type *type, const char *name)
{
    for (int i = 0; i < type->nfields; i++) {
        if (mr_text_equal_nocase(type->fields[i].name, name))
            return &type->fields[i];
    }
    return NULL;
}

static void merge_type(struct mr_bytes *out, const struct mr_json_tree *tree, uint32_t node,
                       const struct mr_type *old, const struct mr_type *incoming,
                       struct numbering *numbering);

/* The key of a member, as it was written. */
static void put_key(struct mr_bytes *out, const struct mr_json_tree *tree, uint32_t at, bool next)
{
    struct mr_slice key = mr_json_raw_key(tree, at);
    mr_bytes_text(out, next ? ",\"" : "\"");
    mr_bytes_append(out, key.data, key.size);
    mr_bytes_text(out, "\":");
}

/* An object with one or two members that are types: those are merged, all else is copied. */
static void merge_members(struct mr_bytes *out, const struct mr_json_tree *tree, uint32_t node,
                          const char *const keys[2], const struct mr_type *const old[2],
                          const struct mr_type *const incoming[2], struct numbering *numbering)
{
    uint32_t end = tree->nodes[node].next;
    mr_bytes_char(out, '{');
    for (uint32_t at = node + 1; at < end; at = tree->nodes[at].next) {
        put_key(out, tree, at, at > node + 1);
        int which = key_is(tree, at, keys[0]) ? 0 : keys[1] && key_is(tree, at, keys[1]) ? 1 : -1;
        if (which >= 0)
            merge_type(out, tree, at, old[which], incoming[which], numbering);
        else
            mr_json_write_verbatim(tree, at, out);
    }
    mr_bytes_char(out, '}');
}

static void merge_fields(struct mr_bytes *out, const struct mr_json_tree *tree, uint32_t array,
                         const struct mr_type *old, const struct mr_type *incoming,
                         struct numbering *numbering)
{
    uint32_t end = tree->nodes[array].next;
    int i = 0;
    mr_bytes_char(out, '[');
    for (uint32_t at = array + 1; at < end && i < old->nfields; at = tree->nodes[at].next, i++) {
        const struct mr_field *match = find_field(incoming, old->fields[i].name);
        if (i)
            mr_bytes_char(out, ',');
        const char *const keys[2] = {"type", NULL};
        const struct mr_type *const types[2] = {old->fields[i].type, NULL};
        const struct mr_type *const others[2] = {match ? match->type : NULL, NULL};
        merge_members(out, tree, at, keys, types, others, numbering);
    }
    for (int k = 0; k < incoming->nfields; k++) {
        if (find_field(old, incoming->fields[k].name))
            continue;
        if (i++)
            mr_bytes_char(out, ',');
        put_field(out, &incoming->fields[k], true, numbering);
        numbering->added++;
    }
    mr_bytes_char(out, ']');
}

static void merge_struct(struct mr_bytes *out, const struct mr_json_tree *tree, uint32_t node,
                         const struct mr_type *old, const struct mr_type *incoming,
                         struct numbering *numbering)
{
    uint32_t end = tree->nodes[node].next;
    mr_bytes_char(out, '{');
    for (uint32_t at = node + 1; at < end; at = tree->nodes[at].next) {
        put_key(out, tree, at, at > node + 1);
        if (key_is(tree, at, "fields"))
            merge_fields(out, tree, at, old, incoming, numbering);
        else
            mr_json_write_verbatim(tree, at, out);
    }
    mr_bytes_char(out, '}');
}

static void merge_type(struct mr_bytes *out, const struct mr_json_tree *tree, uint32_t node,
                       const struct mr_type *old, const struct mr_type *incoming,
                       struct numbering *numbering)
{
    if (!incoming || old->id != incoming->id || !mr_type_is_nested(old)) {
        mr_json_write_verbatim(tree, node, out);
        return;
    }
    const struct mr_type *const types[2] = {old->fields[0].type,
                                            old->nfields > 1 ? old->fields[1].type : NULL};
    const struct mr_type *const others[2] = {incoming->fields[0].type,
                                             incoming->nfields > 1 ? incoming->fields[1].type
                                                                   : NULL};
    const char *const list[2] = {"elementType", NULL}, *const map[2] = {"keyType", "valueType"};
    if (old->id == MR_TYPE_STRUCT)
        merge_struct(out, tree, node, old, incoming, numbering);
    else
        merge_members(out, tree, node, old->id == MR_TYPE_LIST ? list : map, types, others,
                      numbering);
}

enum mr_status delta_put_merged_schema(struct mr_bytes *out, const struct delta_metadata *metadata,
                                       const struct mr_schema *incoming, const char *seed,
                                       int64_t *next_id, int *added, struct mr_error *err)
{
    struct mr_json_tree tree;
    struct numbering numbering = {.mapped = metadata->mapping != DELTA_MAPPING_NONE,
                                  .seed = seed,
                                  .next_id = *next_id};
    struct mr_type old = {.id = MR_TYPE_STRUCT,
                          .nfields = metadata->schema->nfields,
                          .fields = metadata->schema->fields};
    struct mr_type other = {.id = MR_TYPE_STRUCT,
                            .nfields = incoming->nfields,
                            .fields = incoming->fields};
    mr_json_tree_init(&tree);
    enum mr_status status = MR_OK;
    if (mr_json_tree_parse(&tree, mr_slice_of(metadata->schema_json), 0) && tree.count > 0)
        merge_type(out, &tree, 0, &old, &other, &numbering);
    else
        status = tree.nomem ? mr_error_nomem(err)
                            : mr_error_data(err, MR_SINK, "the table's schema is not JSON");
    mr_json_tree_reset(&tree);
    *next_id = numbering.next_id;
    *added = numbering.added;
    return status == MR_OK ? mr_bytes_status(out, err) : status;
}

enum mr_status delta_metadata_with(const struct delta_metadata *metadata, const char *schema_json,
                                   const struct delta_pair *configuration, int nconfiguration,
                                   struct mr_arena *arena, const struct delta_metadata **out,
                                   struct mr_error *err)
{
    struct delta_metadata *copy = mr_arena_calloc(arena, 1, sizeof *copy);
    if (!copy)
        return mr_error_nomem(err);
    *copy = *metadata;
    copy->schema_json = schema_json;
    copy->configuration = configuration;
    copy->nconfiguration = nconfiguration;
    *out = copy;
    return delta_schema_read(arena, copy, err);
}
