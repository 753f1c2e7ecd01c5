/*
 * avro_type.c - an Avro schema -> types of columns. The mapping is Spark's where Spark has one.
 *
 * A named type that is used at many places becomes a type at each of them, so the number of types made is bounded: a schema of
 * 64 records, each with two fields of the next, would be 2^64 columns.
 */
#include "enc/avro_type.h"

#include "base/decimal.h"

#define MAX_TYPES 100000

struct mapper {
    struct mr_arena *arena;
    const struct mr_avro_schema *open[MR_AVRO_MAX_DEPTH]; /* records around, to notice recursion */
    int depth;
    int made;
    struct mr_error *err;
};

static enum mr_status map(struct mapper *mapper, const struct mr_avro_schema *schema,
                          const struct mr_type **out, bool *nullable);

static enum mr_status enter(struct mapper *mapper, const struct mr_avro_schema *schema)
{
    if (mapper->made++ > MAX_TYPES)
        return mr_error_config(mapper->err, "the Avro schema stands for more than 100000 columns");
    if (mapper->depth >= MR_AVRO_MAX_DEPTH)
        return mr_error_config(mapper->err, "the Avro schema is nested more than 64 deep");
    for (int i = 0; schema->name && i < mapper->depth; i++) {
        if (mapper->open[i] != schema)
            continue;
        mr_error_config(mapper->err, "Avro record %s contains itself: columns cannot",
                        schema->name);
        if (mapper->err)
            mr_error_hint(mapper->err, "give avroSchema without the field that recurs");
        return MR_CONFIG;
    }
    mapper->open[mapper->depth++] = schema;
    return MR_OK;
}

static enum mr_status named(const struct mr_type *type, const struct mr_type **out,
                            struct mapper *mapper)
{
    *out = type;
    return type ? MR_OK : mr_error_nomem(mapper->err);
}

static enum mr_status map_logical(struct mapper *mapper, const struct mr_avro_schema *schema,
                                  const struct mr_type **out)
{
    switch (schema->logical) {
    case MR_AVRO_DECIMAL:
        if (schema->precision > MR_DECIMAL_MAX_PRECISION) {
            mr_error_config(mapper->err, "an Avro decimal of %d digits: 38 are the most",
                            schema->precision);
            if (mapper->err)
                mr_error_hint(mapper->err,
                              "an avroSchema without that logicalType reads it as binary");
            return MR_CONFIG;
        }
        return named(mr_type_decimal(mapper->arena, schema->precision, schema->scale), out, mapper);
    case MR_AVRO_UUID:
        return named(mr_type_of(MR_TYPE_UUID), out, mapper);
    case MR_AVRO_DATE:
        return named(mr_type_of(MR_TYPE_DATE), out, mapper);
    case MR_AVRO_TIME_MILLIS:
    case MR_AVRO_TIME_MICROS:
        return named(mr_type_of(MR_TYPE_TIME), out, mapper);
    case MR_AVRO_TIMESTAMP_MILLIS:
    case MR_AVRO_TIMESTAMP_MICROS:
    case MR_AVRO_TIMESTAMP_NANOS:
        return named(mr_type_of(MR_TYPE_TIMESTAMP), out, mapper);
    case MR_AVRO_LOCAL_MILLIS:
    case MR_AVRO_LOCAL_MICROS:
    case MR_AVRO_LOCAL_NANOS:
        return named(mr_type_of(MR_TYPE_TIMESTAMP_NTZ), out, mapper);
    case MR_AVRO_DURATION:
        return named(mr_type_of(MR_TYPE_INTERVAL), out, mapper);
    default:
        return MR_OK;
    }
}

static enum mr_status map_record(struct mapper *mapper, const struct mr_avro_schema *schema,
                                 const struct mr_type **out)
{
    struct mr_field *fields =
        mr_arena_calloc(mapper->arena, (size_t)schema->count + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(mapper->err);
    for (int i = 0; i < schema->count; i++) {
        fields[i].name = schema->fields[i].name;
        enum mr_status status =
            map(mapper, schema->fields[i].schema, &fields[i].type, &fields[i].nullable);
        if (status != MR_OK) {
            if (mapper->err && !mapper->err->where[0])
                mr_error_where(mapper->err, "field %s", schema->fields[i].name);
            return status;
        }
    }
    return named(mr_type_struct(mapper->arena, fields, schema->count), out, mapper);
}

static enum mr_status map_key_values(struct mapper *mapper, const struct mr_avro_schema *schema,
                                     const struct mr_type **out)
{
    const struct mr_avro_schema *entry = schema->branches[0];
    const struct mr_type *key, *value;
    bool key_nullable, value_nullable;
    MR_TRY(enter(mapper, entry));
    MR_TRY(map(mapper, entry->fields[0].schema, &key, &key_nullable));
    MR_TRY(map(mapper, entry->fields[1].schema, &value, &value_nullable));
    mapper->depth--;
    if (key_nullable)
        return mr_error_config(mapper->err, "the key of a map may be null in the Avro schema");
    return named(mr_type_map(mapper->arena, key, value, value_nullable), out, mapper);
}

const struct mr_avro_schema *mr_avro_number_union(const struct mr_avro_schema *schema)
{
    const struct mr_avro_schema *found[2] = {NULL, NULL};
    int count = 0;
    for (int i = 0; i < schema->count; i++) {
        if (schema->branches[i]->kind == MR_AVRO_NULL)
            continue;
        if (count == 2 || schema->branches[i]->logical != MR_AVRO_PLAIN)
            return NULL;
        found[count++] = schema->branches[i];
    }
    if (count != 2)
        return NULL;
    const struct mr_avro_schema *wide = found[found[1]->kind > found[0]->kind];
    const struct mr_avro_schema *narrow = found[wide == found[0]];
    bool fits = (wide->kind == MR_AVRO_LONG && narrow->kind == MR_AVRO_INT) ||
                (wide->kind == MR_AVRO_DOUBLE && narrow->kind == MR_AVRO_FLOAT);
    return fits ? wide : NULL;
}

int mr_avro_member(const struct mr_avro_schema *schema, int branch)
{
    int member = -1;
    for (int i = 0; i <= branch; i++)
        member += schema->branches[i]->kind != MR_AVRO_NULL;
    return schema->branches[branch]->kind == MR_AVRO_NULL ? -1 : member;
}

static enum mr_status map_union(struct mapper *mapper, const struct mr_avro_schema *schema,
                                const struct mr_type **out, bool *nullable)
{
    const struct mr_avro_schema *one = mr_avro_nullable_of(schema);
    if (!one)
        one = mr_avro_number_union(schema);
    bool null = mr_avro_null_branch(schema) >= 0;
    if (schema->count == 0)
        return mr_error_config(mapper->err, "a union without types in the Avro schema");
    if (one || (schema->count == 1 && null)) {
        MR_TRY(map(mapper, one ? one : schema->branches[0], out, nullable));
        *nullable = *nullable || null;
        return MR_OK;
    }
    struct mr_field *fields = mr_arena_calloc(mapper->arena, (size_t)schema->count, sizeof *fields);
    if (!fields)
        return mr_error_nomem(mapper->err);
    int count = 0;
    for (int i = 0; i < schema->count; i++) {
        if (schema->branches[i]->kind == MR_AVRO_NULL)
            continue;
        bool ignored;
        MR_TRY(map(mapper, schema->branches[i], &fields[count].type, &ignored));
        fields[count].name = mr_arena_printf(mapper->arena, "member%d", count);
        fields[count].nullable = true;
        if (!fields[count++].name)
            return mr_error_nomem(mapper->err);
    }
    *nullable = null;
    return named(mr_type_struct(mapper->arena, fields, count), out, mapper);
}

static enum mr_status map_plain(struct mapper *mapper, const struct mr_avro_schema *schema,
                                const struct mr_type **out, bool *nullable)
{
    static const enum mr_type_id ids[] = {
        [MR_AVRO_NULL] = MR_TYPE_NULL,     [MR_AVRO_BOOLEAN] = MR_TYPE_BOOL,
        [MR_AVRO_INT] = MR_TYPE_INT32,     [MR_AVRO_LONG] = MR_TYPE_INT64,
        [MR_AVRO_FLOAT] = MR_TYPE_FLOAT32, [MR_AVRO_DOUBLE] = MR_TYPE_FLOAT64,
        [MR_AVRO_BYTES] = MR_TYPE_BINARY,  [MR_AVRO_STRING] = MR_TYPE_STRING,
        [MR_AVRO_ENUM] = MR_TYPE_STRING,   [MR_AVRO_FIXED] = MR_TYPE_BINARY,
    };
    const struct mr_type *element;
    bool element_nullable;
    switch (schema->kind) {
    case MR_AVRO_RECORD:
        return map_record(mapper, schema, out);
    case MR_AVRO_UNION:
        return map_union(mapper, schema, out, nullable);
    case MR_AVRO_ARRAY:
        MR_TRY(map(mapper, schema->branches[0], &element, &element_nullable));
        return named(mr_type_list(mapper->arena, element, element_nullable), out, mapper);
    case MR_AVRO_MAP:
        MR_TRY(map(mapper, schema->branches[0], &element, &element_nullable));
        return named(mr_type_map(mapper->arena, mr_type_of(MR_TYPE_STRING), element,
                                 element_nullable),
                     out, mapper);
    default:
        *nullable = schema->kind == MR_AVRO_NULL;
        return named(mr_type_of(ids[schema->kind]), out, mapper);
    }
}

static enum mr_status map(struct mapper *mapper, const struct mr_avro_schema *schema,
                          const struct mr_type **out, bool *nullable)
{
    *out = NULL;
    *nullable = false;
    MR_TRY(enter(mapper, schema));
    enum mr_status status;
    if (schema->logical == MR_AVRO_KEY_VALUES)
        status = map_key_values(mapper, schema, out);
    else
        status = map_logical(mapper, schema, out);
    if (status == MR_OK && !*out)
        status = map_plain(mapper, schema, out, nullable);
    mapper->depth--;
    return status;
}

enum mr_status mr_avro_type(struct mr_arena *arena, const struct mr_avro_schema *schema,
                            const struct mr_type **out, bool *nullable, struct mr_error *err)
{
    struct mapper mapper = {.arena = arena, .err = err};
    return map(&mapper, schema, out, nullable);
}

enum mr_status mr_avro_columns(struct mr_arena *arena, const struct mr_avro_schema *root,
                               const struct mr_schema **out, struct mr_error *err)
{
    struct mr_field value = {.name = "value"};
    MR_TRY(mr_avro_type(arena, root, &value.type, &value.nullable, err));
    if (root->kind == MR_AVRO_RECORD)
        *out = mr_schema_new(arena, value.type->fields, value.type->nfields);
    else
        *out = mr_schema_new(arena, &value, 1);
    return *out ? MR_OK : mr_error_nomem(err);
}
