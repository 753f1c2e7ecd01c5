/*
 * avro_schema.c - the text of a schema -> a graph of nodes.
 *
 * jansson reads the JSON; what follows here are the specification's rules for names: a name with a dot is full, one without
 * takes the namespace given beside it, else the one around it. Defaults are kept back until every name is known and become
 * Avro data then (avro_json.c). The text itself is kept byte for byte, since properties that nobody here knows may
 * mean something to the next reader.
 */
#include "enc/avro_schema.h"

#include "base/map.h"
#include "enc/avro_json.h"

#include <ctype.h>

#define MAX_NODES   100000
#define MAX_DEFAULT ((size_t)1 << 20)

struct pending {
    struct pending *next;
    const char *record;
    struct mr_avro_field *field;
    const json_t *value;
};

struct parser {
    struct mr_arena *arena;
    struct mr_map names;
    bool strict;
    int depth;
    int nodes;
    const char *record; /* innermost, for messages */
    const char *field;
    struct pending *pending;
    struct pending **pending_end;
    struct mr_error *err;
};

static const char *const kind_names[] = {
    "null",   "boolean", "int",  "long",  "float", "double", "bytes",
    "string", "record",  "enum", "array", "map",   "union",  "fixed",
};

const char *mr_avro_kind_name(enum mr_avro_kind kind)
{
    return kind_names[kind];
}

const char *mr_avro_name(const struct mr_avro_schema *schema)
{
    return schema->name ? schema->name : kind_names[schema->kind];
}

const char *mr_avro_short_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

bool mr_avro_name_valid(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    for (const char *at = name; *at; at++)
        if ((unsigned char)*at >= 0x80 || (!isalnum((unsigned char)*at) && *at != '_'))
            return false;
    return true;
}

int mr_avro_null_branch(const struct mr_avro_schema *schema)
{
    for (int i = 0; schema->kind == MR_AVRO_UNION && i < schema->count; i++)
        if (schema->branches[i]->kind == MR_AVRO_NULL)
            return i;
    return -1;
}

const struct mr_avro_schema *mr_avro_nullable_of(const struct mr_avro_schema *schema)
{
    if (schema->kind != MR_AVRO_UNION)
        return NULL;
    int null = mr_avro_null_branch(schema);
    if (schema->count == 1 && null < 0)
        return schema->branches[0];
    return schema->count == 2 && null >= 0 ? schema->branches[1 - null] : NULL;
}

static enum mr_status wrong(struct parser *parser, const char *what, const char *name)
{
    mr_error_config(parser->err, "Avro schema: %s%s%.200s%s", what, name ? " '" : "",
                    name ? name : "", name ? "'" : "");
    if (parser->err && parser->record)
        mr_error_where(parser->err, "record %s%s%s", parser->record,
                       parser->field ? ", field " : "", parser->field ? parser->field : "");
    return MR_CONFIG;
}

static enum mr_status parse(struct parser *parser, const json_t *json, const char *space,
                            const struct mr_avro_schema **out);

/* ---- names ---- */

static enum mr_status check_name(struct parser *parser, const char *full)
{
    if (!*full)
        return wrong(parser, "an empty name", NULL);
    if (!parser->strict)
        return MR_OK;
    char part[256];
    const char *at = full;
    for (;;) {
        size_t size = strcspn(at, ".");
        if (size >= sizeof part)
            return wrong(parser, "a name is too long:", full);
        memcpy(part, at, size);
        part[size] = 0;
        if (!mr_avro_name_valid(part))
            return wrong(parser, "not a name (letters, digits and _, no digit first):", full);
        if (!at[size])
            return MR_OK;
        at += size + 1;
    }
}

static const char *full_name(struct parser *parser, const char *name, const char *space)
{
    if (strchr(name, '.') || !space || !*space)
        return mr_arena_strdup(parser->arena, name);
    return mr_arena_printf(parser->arena, "%s.%s", space, name);
}

/* The namespace in front of a full name; "" = none. */
static const char *space_of(struct parser *parser, const char *full)
{
    const char *dot = strrchr(full, '.');
    return dot ? mr_arena_strndup(parser->arena, full, (size_t)(dot - full)) : "";
}

static enum mr_status parse_strings(struct parser *parser, const json_t *list, const char *what,
                                    const char *space, const char *const **out, int *count)
{
    *count = 0;
    *out = NULL;
    if (!list)
        return MR_OK;
    if (!json_is_array(list))
        return parser->strict ? wrong(parser, "not a list of names:", what) : MR_OK;
    size_t n = json_array_size(list);
    const char **items = mr_arena_calloc(parser->arena, n + 1, sizeof *items);
    if (!items)
        return mr_error_nomem(parser->err);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text)
            return wrong(parser, "not a list of names:", what);
        items[i] = space ? full_name(parser, text, space) : mr_arena_strdup(parser->arena, text);
        if (!items[i])
            return mr_error_nomem(parser->err);
    }
    *out = items;
    *count = (int)n;
    return MR_OK;
}

/* Name, aliases, and the entry that later mentions of the name find. */
static enum mr_status parse_name(struct parser *parser, const json_t *json, const char *space,
                                 struct mr_avro_schema *node, const char **inner)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *given = json_string_value(json_object_get(json, "namespace"));
    if (!name)
        return wrong(parser, "without a name:", kind_names[node->kind]);
    node->name = full_name(parser, name, given ? given : space);
    *inner = node->name ? space_of(parser, node->name) : NULL;
    if (!node->name || !*inner)
        return mr_error_nomem(parser->err);
    MR_TRY(check_name(parser, node->name));
    for (int kind = 0; kind <= MR_AVRO_STRING; kind++)
        if (strcmp(node->name, kind_names[kind]) == 0)
            return wrong(parser,
                         "the name of a primitive type cannot be given to another:", node->name);
    MR_TRY(parse_strings(parser, json_object_get(json, "aliases"), "aliases", *inner,
                         &node->aliases, &node->naliases));
    if (mr_map_get(&parser->names, mr_slice_of(node->name)))
        return wrong(parser, "a name is defined twice:", node->name);
    return mr_map_put(&parser->names, mr_slice_of(node->name), node, parser->err);
}

/* ---- logical types ---- */

static bool integer_of(const json_t *json, const char *key, int64_t fallback, int64_t *out)
{
    const json_t *value = json_object_get(json, key);
    *out = value ? json_integer_value(value) : fallback;
    return !value || json_is_integer(value);
}

static enum mr_avro_logical decimal(const json_t *json, struct mr_avro_schema *node)
{
    int64_t precision, scale;
    if (!integer_of(json, "precision", 0, &precision) || !integer_of(json, "scale", 0, &scale) ||
        precision < 1 || precision > 1000000 || scale < 0 || scale > precision)
        return MR_AVRO_PLAIN;
    node->precision = (int)precision;
    node->scale = (int)scale;
    return MR_AVRO_DECIMAL;
}

static bool is_key_values(const struct mr_avro_schema *node)
{
    const struct mr_avro_schema *item = node->branches[0];
    return item->kind == MR_AVRO_RECORD && item->count == 2 &&
           strcmp(item->fields[0].name, "key") == 0 && strcmp(item->fields[1].name, "value") == 0;
}

static enum mr_avro_logical logical_of(const json_t *json, struct mr_avro_schema *node)
{
    static const struct {
        const char *name;
        enum mr_avro_kind kind;
        enum mr_avro_logical logical;
    } simple[] = {
        {"uuid", MR_AVRO_STRING, MR_AVRO_UUID},
        {"date", MR_AVRO_INT, MR_AVRO_DATE},
        {"time-millis", MR_AVRO_INT, MR_AVRO_TIME_MILLIS},
        {"time-micros", MR_AVRO_LONG, MR_AVRO_TIME_MICROS},
        {"timestamp-millis", MR_AVRO_LONG, MR_AVRO_TIMESTAMP_MILLIS},
        {"timestamp-micros", MR_AVRO_LONG, MR_AVRO_TIMESTAMP_MICROS},
        {"timestamp-nanos", MR_AVRO_LONG, MR_AVRO_TIMESTAMP_NANOS},
        {"local-timestamp-millis", MR_AVRO_LONG, MR_AVRO_LOCAL_MILLIS},
        {"local-timestamp-micros", MR_AVRO_LONG, MR_AVRO_LOCAL_MICROS},
        {"local-timestamp-nanos", MR_AVRO_LONG, MR_AVRO_LOCAL_NANOS},
    };
    const char *name = json_string_value(json_object_get(json, "logicalType"));
    if (!name)
        return MR_AVRO_PLAIN;
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++)
        if (strcmp(name, simple[i].name) == 0 && node->kind == simple[i].kind)
            return simple[i].logical;
    bool fixed = node->kind == MR_AVRO_FIXED;
    if (strcmp(name, "uuid") == 0 && fixed && node->size == 16)
        return MR_AVRO_UUID;
    if (strcmp(name, "duration") == 0 && fixed && node->size == 12)
        return MR_AVRO_DURATION;
    if (strcmp(name, "decimal") == 0 && (fixed || node->kind == MR_AVRO_BYTES))
        return decimal(json, node);
    if (strcmp(name, "map") == 0 && node->kind == MR_AVRO_ARRAY && is_key_values(node))
        return MR_AVRO_KEY_VALUES;
    return MR_AVRO_PLAIN;
}

/* ---- types ---- */

static enum mr_status new_node(struct parser *parser, enum mr_avro_kind kind,
                               struct mr_avro_schema **out)
{
    if (parser->nodes >= MAX_NODES)
        return wrong(parser, "more than 100000 types", NULL);
    *out = mr_arena_calloc(parser->arena, 1, sizeof **out);
    if (!*out)
        return mr_error_nomem(parser->err);
    (*out)->kind = kind;
    (*out)->id = parser->nodes++;
    (*out)->default_symbol = -1;
    (*out)->empty = kind == MR_AVRO_NULL;
    return MR_OK;
}

static enum mr_status parse_field(struct parser *parser, const json_t *json, const char *space,
                                  struct mr_avro_field *field)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    const json_t *type = json_object_get(json, "type");
    if (!name || !*name)
        return wrong(parser, "a field without a name", NULL);
    parser->field = field->name = mr_arena_strdup(parser->arena, name);
    if (!field->name)
        return mr_error_nomem(parser->err);
    if (parser->strict && !mr_avro_name_valid(name))
        return wrong(parser, "not a name (letters, digits and _, no digit first):", name);
    if (!type)
        return wrong(parser, "a field without a type:", name);
    MR_TRY(parse_strings(parser, json_object_get(json, "aliases"), "aliases", NULL, &field->aliases,
                         &field->naliases));
    MR_TRY(parse(parser, type, space, &field->schema));
    const json_t *value = json_object_get(json, "default");
    if (!value)
        return MR_OK;
    struct pending *pending = mr_arena_calloc(parser->arena, 1, sizeof *pending);
    if (!pending)
        return mr_error_nomem(parser->err);
    field->has_default = true;
    *pending = (struct pending){.record = parser->record, .field = field, .value = value};
    *parser->pending_end = pending;
    parser->pending_end = &pending->next;
    return MR_OK;
}

static enum mr_status unique_fields(struct parser *parser, const struct mr_avro_schema *node)
{
    struct mr_map seen;
    enum mr_status status = MR_OK;
    mr_map_init(&seen, false);
    for (int i = 0; status == MR_OK && i < node->count; i++) {
        struct mr_slice name = mr_slice_of(node->fields[i].name);
        if (mr_map_get(&seen, name))
            status = wrong(parser, "a field is defined twice:", name.data);
        else
            status = mr_map_put(&seen, name, &node->fields[i], parser->err);
    }
    mr_map_reset(&seen);
    return status;
}

static enum mr_status parse_record(struct parser *parser, const json_t *json, const char *space,
                                   struct mr_avro_schema *node)
{
    const char *inner, *record = parser->record, *outer_field = parser->field;
    MR_TRY(parse_name(parser, json, space, node, &inner));
    parser->record = node->name;
    parser->field = NULL;
    const json_t *fields = json_object_get(json, "fields");
    if (!json_is_array(fields))
        return wrong(parser, "a record without fields:", node->name);
    int count = (int)json_array_size(fields);
    node->fields = mr_arena_calloc(parser->arena, (size_t)count + 1, sizeof *node->fields);
    if (!node->fields)
        return mr_error_nomem(parser->err);
    bool empty = true;
    for (; node->count < count; node->count++) {
        struct mr_avro_field *field = &node->fields[node->count];
        MR_TRY(parse_field(parser, json_array_get(fields, (size_t)node->count), inner, field));
        empty = empty && field->schema->empty;
    }
    node->empty = empty;
    parser->field = NULL;
    MR_TRY(unique_fields(parser, node));
    parser->record = record;
    parser->field = outer_field;
    return MR_OK;
}

static enum mr_status parse_enum(struct parser *parser, const json_t *json, const char *space,
                                 struct mr_avro_schema *node)
{
    const char *inner;
    MR_TRY(parse_name(parser, json, space, node, &inner));
    const json_t *symbols = json_object_get(json, "symbols");
    if (!json_is_array(symbols))
        return wrong(parser, "an enum without symbols:", node->name);
    MR_TRY(parse_strings(parser, symbols, "symbols", NULL, &node->symbols, &node->count));
    const char *fallback = json_string_value(json_object_get(json, "default"));
    struct mr_map seen;
    enum mr_status status = MR_OK;
    mr_map_init(&seen, false);
    for (int i = 0; status == MR_OK && i < node->count; i++) {
        struct mr_slice symbol = mr_slice_of(node->symbols[i]);
        if (mr_map_get(&seen, symbol))
            status = wrong(parser, "a symbol is there twice:", symbol.data);
        else if (parser->strict && !mr_avro_name_valid(symbol.data))
            status =
                wrong(parser, "not a name (letters, digits and _, no digit first):", symbol.data);
        else
            status = mr_map_put(&seen, symbol, node, parser->err);
        if (fallback && strcmp(fallback, symbol.data) == 0)
            node->default_symbol = i;
    }
    mr_map_reset(&seen);
    if (status == MR_OK && parser->strict && fallback && node->default_symbol < 0)
        return wrong(parser, "the default of an enum is none of its symbols:", fallback);
    return status;
}

static enum mr_status parse_fixed(struct parser *parser, const json_t *json, const char *space,
                                  struct mr_avro_schema *node)
{
    const char *inner;
    int64_t size;
    MR_TRY(parse_name(parser, json, space, node, &inner));
    if (!integer_of(json, "size", -1, &size) || size < 0 || size > MR_AVRO_MAX_FIXED)
        return wrong(parser, "a fixed needs a size from 0 to 268435456:", node->name);
    node->size = (int)size;
    node->empty = size == 0;
    return MR_OK;
}

static enum mr_status parse_element(struct parser *parser, const json_t *json, const char *space,
                                    struct mr_avro_schema *node)
{
    const char *key = node->kind == MR_AVRO_ARRAY ? "items" : "values";
    const json_t *element = json_object_get(json, key);
    if (!element)
        return wrong(parser, node->kind == MR_AVRO_ARRAY ? "an array without" : "a map without",
                     key);
    node->count = 1;
    node->branches = mr_arena_calloc(parser->arena, 1, sizeof(void *));
    if (!node->branches)
        return mr_error_nomem(parser->err);
    return parse(parser, element, space, &node->branches[0]);
}

static enum mr_status check_branch(struct parser *parser, const struct mr_avro_schema *node, int i)
{
    const struct mr_avro_schema *branch = node->branches[i];
    if (branch->kind == MR_AVRO_UNION)
        return wrong(parser, "a union directly inside of a union", NULL);
    for (int j = 0; j < i && parser->strict; j++) {
        const struct mr_avro_schema *other = node->branches[j];
        if (other == branch || (other->kind == branch->kind && !branch->name))
            return wrong(parser, "a union has the same type twice:", mr_avro_name(branch));
    }
    return MR_OK;
}

static enum mr_status parse_union(struct parser *parser, const json_t *json, const char *space,
                                  const struct mr_avro_schema **out)
{
    struct mr_avro_schema *node;
    MR_TRY(new_node(parser, MR_AVRO_UNION, &node));
    int count = (int)json_array_size(json);
    node->branches = mr_arena_calloc(parser->arena, (size_t)count + 1, sizeof(void *));
    if (!node->branches)
        return mr_error_nomem(parser->err);
    for (; node->count < count; node->count++) {
        MR_TRY(parse(parser, json_array_get(json, (size_t)node->count), space,
                     &node->branches[node->count]));
        MR_TRY(check_branch(parser, node, node->count));
    }
    *out = node;
    return MR_OK;
}

/* A type by its name: a primitive, or one defined before. */
static enum mr_status parse_mention(struct parser *parser, const char *name, const char *space,
                                    const struct mr_avro_schema **out)
{
    for (int kind = 0; kind <= MR_AVRO_STRING; kind++) {
        if (strcmp(name, kind_names[kind]) == 0) {
            struct mr_avro_schema *node;
            MR_TRY(new_node(parser, (enum mr_avro_kind)kind, &node));
            *out = node;
            return MR_OK;
        }
    }
    const char *full = full_name(parser, name, space);
    if (!full)
        return mr_error_nomem(parser->err);
    *out = mr_map_get(&parser->names, mr_slice_of(full));
    if (!*out)
        *out = mr_map_get(&parser->names, mr_slice_of(name));
    if (*out)
        return MR_OK;
    wrong(parser, "no type", name);
    if (parser->err)
        mr_error_hint(parser->err,
                      "a named type is defined before it is mentioned; the namespace counts");
    return MR_CONFIG;
}

static enum mr_status parse_object(struct parser *parser, const json_t *json, const char *space,
                                   const struct mr_avro_schema **out)
{
    const json_t *type = json_object_get(json, "type");
    const char *name = json_string_value(type);
    if (!type)
        return wrong(parser, "a type without the key \"type\"", NULL);
    if (!name)
        return parse(parser, type, space, out);
    int kind = 0;
    while (kind <= MR_AVRO_FIXED && strcmp(kind_names[kind], name) != 0)
        kind++;
    if (strcmp(name, "error") == 0)
        kind = MR_AVRO_RECORD;
    if (kind > MR_AVRO_FIXED || kind == MR_AVRO_UNION)
        return parse_mention(parser, name, space, out);
    struct mr_avro_schema *node;
    MR_TRY(new_node(parser, (enum mr_avro_kind)kind, &node));
    switch (kind) {
    case MR_AVRO_RECORD:
        MR_TRY(parse_record(parser, json, space, node));
        break;
    case MR_AVRO_ENUM:
        MR_TRY(parse_enum(parser, json, space, node));
        break;
    case MR_AVRO_FIXED:
        MR_TRY(parse_fixed(parser, json, space, node));
        break;
    case MR_AVRO_ARRAY:
    case MR_AVRO_MAP:
        MR_TRY(parse_element(parser, json, space, node));
        break;
    default:
        break;
    }
    node->logical = logical_of(json, node);
    *out = node;
    return MR_OK;
}

static enum mr_status parse(struct parser *parser, const json_t *json, const char *space,
                            const struct mr_avro_schema **out)
{
    if (parser->depth >= MR_AVRO_MAX_DEPTH)
        return wrong(parser, "types are nested more than 64 deep", NULL);
    parser->depth++;
    enum mr_status status;
    if (json_is_string(json))
        status = parse_mention(parser, json_string_value(json), space, out);
    else if (json_is_array(json))
        status = parse_union(parser, json, space, out);
    else if (json_is_object(json))
        status = parse_object(parser, json, space, out);
    else
        status = wrong(parser, "a type is a name, an object or a list", NULL);
    parser->depth--;
    return status;
}

/* ---- defaults ---- */

static enum mr_status settle_default(struct parser *parser, const struct pending *pending)
{
    struct mr_bytes data;
    enum mr_status status = MR_OK;
    struct mr_avro_field *field = pending->field;
    mr_bytes_init(&data, MAX_DEFAULT);
    bool fits = mr_avro_encode_json(field->schema, pending->value, 0, &data);
    if (data.status == MR_NOMEM) {
        status = mr_error_nomem(parser->err);
    } else if (fits && data.status == MR_OK) {
        char *copy = mr_arena_strndup(parser->arena, "", 0);
        if (data.size > 0) {
            copy = mr_arena_alloc(parser->arena, data.size);
            if (copy)
                memcpy(copy, data.data, data.size);
        }
        field->default_value = (struct mr_slice){copy, data.size};
        status = copy ? MR_OK : mr_error_nomem(parser->err);
    } else if (parser->strict) {
        parser->record = pending->record;
        parser->field = field->name;
        status = wrong(parser, "the default does not fit the type of field", field->name);
    }
    mr_bytes_reset(&data);
    return status;
}

static enum mr_status parse_document(struct parser *parser, const json_t *json,
                                     struct mr_avro_document *document)
{
    MR_TRY(parse(parser, json, "", &document->root));
    for (const struct pending *at = parser->pending; at; at = at->next)
        MR_TRY(settle_default(parser, at));
    document->nodes = parser->nodes;
    return MR_OK;
}

enum mr_status mr_avro_parse(struct mr_arena *arena, struct mr_slice text, bool strict,
                             const struct mr_avro_document **out, struct mr_error *err)
{
    *out = NULL;
    if (text.size > MR_AVRO_MAX_TEXT)
        return mr_error_config(err, "Avro schema: longer than 16 MiB");
    json_error_t wrong_json;
    json_t *json = json_loadb(text.data ? text.data : "", text.size,
                              JSON_DECODE_ANY | (strict ? JSON_REJECT_DUPLICATES : 0), &wrong_json);
    if (!json) {
        mr_error_config(err, "Avro schema: %s", wrong_json.text);
        if (err)
            mr_error_where(err, "line %d, column %d of the schema", wrong_json.line,
                           wrong_json.column);
        return MR_CONFIG;
    }
    struct parser parser = {.arena = arena, .strict = strict, .err = err};
    parser.pending_end = &parser.pending;
    mr_map_init(&parser.names, false);
    struct mr_avro_document *document = mr_arena_calloc(arena, 1, sizeof *document);
    char *copy = mr_arena_strndup(arena, text.data, text.size);
    enum mr_status status = document && copy ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK) {
        document->text = (struct mr_slice){copy, text.size};
        status = parse_document(&parser, json, document);
    }
    if (status == MR_OK)
        *out = document;
    mr_map_reset(&parser.names);
    json_decref(json);
    return status;
}
