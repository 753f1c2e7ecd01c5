/*
 * avro_encode_plan.c - columns and a schema -> how each column is written.
 *
 * With a schema made from the columns every choice is plain. With a schema of the user's there may be a union to choose from: the
 * first branch that holds every value of the column, else the first that may hold some (then checked value by value).
 */
#include "enc/avro_encode_plan.h"

#include "base/text.h"
#include "enc/avro_type.h"

#include <stdio.h>

static enum mr_status plan(struct avro_planner *planner, const struct mr_avro_schema *schema,
                           const struct mr_type *type, bool exact, const char *path,
                           struct avro_writer *out);

void avro_writer_reset(struct avro_writer *writer)
{
    for (int i = 0; i < writer->count; i++)
        avro_writer_reset(&writer->children[i]);
    mr_map_reset(&writer->symbols);
    writer->count = 0;
}

static enum mr_status unfit(struct avro_planner *planner, const struct mr_avro_schema *schema,
                            const struct mr_type *type, const char *path)
{
    char text[160];
    mr_error_config(planner->err, "column %s of type %s cannot be written as Avro %s", path,
                    mr_type_text(type, text, sizeof text), mr_avro_name(schema));
    if (planner->err)
        mr_error_hint(planner->err, "cast the column, or change avroSchema");
    return MR_CONFIG;
}

static enum mr_status new_children(struct avro_planner *planner, int count, struct avro_writer *out)
{
    out->children = mr_arena_calloc(planner->arena, (size_t)count + 1, sizeof *out->children);
    if (!out->children)
        return mr_error_nomem(planner->err);
    for (int i = 0; i < count; i++) {
        mr_map_init(&out->children[i].symbols, false);
        out->children[i].source = i;
        out->children[i].null_branch = -1;
    }
    out->count = count;
    return MR_OK;
}

/* ---- scalars: false = not so ---- */

static bool plan_integer(const struct mr_avro_schema *schema, const struct mr_type *type,
                         bool exact, struct avro_writer *out)
{
    int bits = mr_type_integer_bits(type);
    if (schema->logical != MR_AVRO_PLAIN)
        return false;
    out->op = AVRO_WRITE_VARINT;
    switch (schema->kind) {
    case MR_AVRO_INT:
        out->ranged = bits > 32;
        out->low = INT32_MIN;
        out->high = INT32_MAX;
        return !(out->ranged && exact);
    case MR_AVRO_LONG:
        return true;
    case MR_AVRO_FLOAT:
        out->op = AVRO_WRITE_INT_F32;
        return bits <= 16;
    case MR_AVRO_DOUBLE:
        out->op = AVRO_WRITE_INT_F64;
        return bits <= 32;
    default:
        return false;
    }
}

/* Microseconds in the unit of the schema. */
static bool plan_unit(enum mr_avro_logical logical, enum mr_avro_logical millis,
                      enum mr_avro_logical micros, enum mr_avro_logical nanos, bool exact,
                      struct avro_writer *out)
{
    out->op = AVRO_WRITE_VARINT;
    if (logical == micros)
        return true;
    out->op = logical == millis ? AVRO_WRITE_PARTS : AVRO_WRITE_TIMES;
    out->factor = 1000;
    return !exact && (logical == millis || logical == nanos);
}

static bool plan_decimal(const struct mr_avro_schema *schema, const struct mr_type *type,
                         struct avro_writer *out)
{
    if (schema->logical != MR_AVRO_DECIMAL)
        return false;
    bool fixed = schema->kind == MR_AVRO_FIXED;
    out->op = fixed ? AVRO_WRITE_DECIMAL_RAW : AVRO_WRITE_DECIMAL;
    out->size = schema->size;
    out->shift = schema->scale - type->scale;
    return out->shift >= 0 && schema->precision <= MR_DECIMAL_MAX_PRECISION &&
           schema->precision - schema->scale >= type->precision - type->scale;
}

static enum mr_status plan_enum(struct avro_planner *planner, const struct mr_avro_schema *schema,
                                struct avro_writer *out)
{
    out->op = AVRO_WRITE_ENUM;
    for (int i = 0; i < schema->count; i++)
        MR_TRY(mr_map_put(&out->symbols, mr_slice_of(schema->symbols[i]), (void *)(intptr_t)(i + 1),
                          planner->err));
    return MR_OK;
}

static bool plan_bytes(const struct mr_avro_schema *schema, const struct mr_type *type, bool exact,
                       struct avro_writer *out)
{
    out->op = AVRO_WRITE_BYTES;
    if (type->id != MR_TYPE_BINARY)
        return schema->kind == MR_AVRO_STRING && schema->logical == MR_AVRO_PLAIN;
    if (schema->kind == MR_AVRO_FIXED && schema->logical == MR_AVRO_PLAIN && !exact) {
        out->op = AVRO_WRITE_RAW;
        out->size = schema->size;
        return true;
    }
    return schema->kind == MR_AVRO_BYTES && schema->logical == MR_AVRO_PLAIN;
}

static bool plan_scalar(const struct mr_avro_schema *schema, const struct mr_type *type, bool exact,
                        struct avro_writer *out)
{
    enum mr_avro_logical logical = schema->logical;
    switch (type->id) {
    case MR_TYPE_BOOL:
        out->op = AVRO_WRITE_BOOL;
        return schema->kind == MR_AVRO_BOOLEAN;
    case MR_TYPE_FLOAT32:
        out->op = schema->kind == MR_AVRO_FLOAT ? AVRO_WRITE_F32 : AVRO_WRITE_F32_F64;
        return schema->kind == MR_AVRO_FLOAT || schema->kind == MR_AVRO_DOUBLE;
    case MR_TYPE_FLOAT64:
        out->op = AVRO_WRITE_F64;
        return schema->kind == MR_AVRO_DOUBLE;
    case MR_TYPE_DECIMAL:
        return plan_decimal(schema, type, out);
    case MR_TYPE_DATE:
        out->op = AVRO_WRITE_VARINT;
        return logical == MR_AVRO_DATE;
    case MR_TYPE_TIME:
        return plan_unit(logical, MR_AVRO_TIME_MILLIS, MR_AVRO_TIME_MICROS, MR_AVRO_PLAIN, exact,
                         out) &&
               logical != MR_AVRO_PLAIN;
    case MR_TYPE_TIMESTAMP:
        return plan_unit(logical, MR_AVRO_TIMESTAMP_MILLIS, MR_AVRO_TIMESTAMP_MICROS,
                         MR_AVRO_TIMESTAMP_NANOS, exact, out);
    case MR_TYPE_TIMESTAMP_NTZ:
        return plan_unit(logical, MR_AVRO_LOCAL_MILLIS, MR_AVRO_LOCAL_MICROS, MR_AVRO_LOCAL_NANOS,
                         exact, out);
    case MR_TYPE_INTERVAL:
        out->op = AVRO_WRITE_DURATION;
        return logical == MR_AVRO_DURATION;
    case MR_TYPE_UUID:
        out->op = schema->kind == MR_AVRO_FIXED ? AVRO_WRITE_UUID_RAW : AVRO_WRITE_UUID_TEXT;
        return logical == MR_AVRO_UUID ||
               (schema->kind == MR_AVRO_STRING && logical == MR_AVRO_PLAIN);
    case MR_TYPE_STRING:
    case MR_TYPE_JSON:
    case MR_TYPE_BINARY:
        return plan_bytes(schema, type, exact, out);
    default:
        return mr_type_integer_bits(type) > 0 && plan_integer(schema, type, exact, out);
    }
}

/* ---- nested ---- */

static enum mr_status plan_list(struct avro_planner *planner, const struct mr_avro_schema *schema,
                                const struct mr_type *type, bool exact, const char *path,
                                struct avro_writer *out)
{
    out->op = AVRO_WRITE_LIST;
    MR_TRY(new_children(planner, 1, out));
    return plan(planner, schema->branches[0], mr_type_child(type, 0), exact, path,
                &out->children[0]);
}

static enum mr_status plan_map(struct avro_planner *planner, const struct mr_avro_schema *schema,
                               const struct mr_type *type, bool exact, const char *path,
                               struct avro_writer *out)
{
    out->op = AVRO_WRITE_MAP;
    if (!mr_type_is_string(type->fields[0].type))
        return unfit(planner, schema, type, path);
    MR_TRY(new_children(planner, 2, out));
    out->children[0].op = AVRO_WRITE_BYTES;
    out->children[0].type = type->fields[0].type;
    out->children[0].path = path;
    return plan(planner, schema->branches[0], type->fields[1].type, exact, path, &out->children[1]);
}

static enum mr_status plan_missing(struct avro_planner *planner, const struct mr_avro_field *field,
                                   const char *path, struct avro_writer *out)
{
    static const char null_branches[] = {0, 2, 4, 6, 8, 10, 12, 14};
    int null = mr_avro_null_branch(field->schema);
    out->op = AVRO_WRITE_DEFAULT;
    out->source = -1;
    out->path = path;
    if (field->has_default && field->default_value.data)
        out->data = field->default_value;
    else if (field->schema->kind == MR_AVRO_NULL)
        out->data = (struct mr_slice){null_branches, 0};
    else if (null >= 0 && null < 8)
        out->data = (struct mr_slice){&null_branches[null], 1};
    else
        return mr_error_config(planner->err,
                               "field %s of the Avro schema has no column and no default", path);
    return MR_OK;
}

static int column_of(const struct mr_field *columns, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(columns[i].name, name) == 0)
            return i;
    for (int i = 0; i < count; i++)
        if (mr_text_equal_nocase(columns[i].name, name))
            return i;
    return -1;
}

static enum mr_status no_column_lost(struct avro_planner *planner,
                                     const struct mr_avro_schema *schema,
                                     const struct mr_field *columns, int ncolumns,
                                     const struct avro_writer *out, const char *path)
{
    for (int i = 0; i < ncolumns; i++) {
        bool written = false;
        for (int j = 0; j < out->count && !written; j++)
            written = out->children[j].source == i;
        if (written)
            continue;
        mr_error_config(planner->err, "column %s%s%s is not in Avro record %s", path ? path : "",
                        path ? "." : "", columns[i].name, mr_avro_name(schema));
        if (planner->err)
            mr_error_hint(planner->err, "add a field to avroSchema, or drop the column");
        return MR_CONFIG;
    }
    return MR_OK;
}

enum mr_status avro_plan_records(struct avro_planner *planner, const struct mr_avro_schema *schema,
                                 const struct mr_field *columns, int ncolumns, const char *path,
                                 struct avro_writer *out)
{
    out->op = AVRO_WRITE_RECORD;
    MR_TRY(new_children(planner, schema->count, out));
    for (int i = 0; i < schema->count; i++) {
        const struct mr_avro_field *field = &schema->fields[i];
        struct avro_writer *child = &out->children[i];
        const char *name = path ? mr_arena_printf(planner->arena, "%s.%s", path, field->name)
                                : mr_arena_strdup(planner->arena, field->name);
        int column = i < ncolumns && strcmp(columns[i].name, field->name) == 0
                         ? i
                         : column_of(columns, ncolumns, field->name);
        if (!name)
            return mr_error_nomem(planner->err);
        if (column < 0)
            MR_TRY(plan_missing(planner, field, name, child));
        else
            MR_TRY(plan(planner, field->schema, columns[column].type, false, name, child));
        child->source = column;
    }
    return no_column_lost(planner, schema, columns, ncolumns, out, path);
}

/* A struct of member0, member1, ..: what a general union is read as. */
static bool is_members(const struct mr_avro_schema *schema, const struct mr_type *type)
{
    int members = schema->count - (mr_avro_null_branch(schema) >= 0);
    if (type->id != MR_TYPE_STRUCT || type->nfields != members || members < 2)
        return false;
    char name[24];
    for (int i = 0; i < members; i++) {
        snprintf(name, sizeof name, "member%d", i);
        if (strcmp(type->fields[i].name, name) != 0)
            return false;
    }
    return true;
}

static enum mr_status plan_members(struct avro_planner *planner,
                                   const struct mr_avro_schema *schema, const struct mr_type *type,
                                   const char *path, struct avro_writer *out)
{
    out->op = AVRO_WRITE_MEMBERS;
    MR_TRY(new_children(planner, type->nfields, out));
    out->branches = mr_arena_calloc(planner->arena, (size_t)type->nfields + 1, sizeof(int));
    if (!out->branches)
        return mr_error_nomem(planner->err);
    for (int i = 0; i < schema->count; i++) {
        int member = mr_avro_member(schema, i);
        if (member < 0)
            continue;
        out->branches[member] = i;
        MR_TRY(plan(planner, schema->branches[i], type->fields[member].type, false, path,
                    &out->children[member]));
    }
    return MR_OK;
}

static enum mr_status plan_union(struct avro_planner *planner, const struct mr_avro_schema *schema,
                                 const struct mr_type *type, const char *path,
                                 struct avro_writer *out)
{
    int null = mr_avro_null_branch(schema);
    if (is_members(schema, type)) {
        MR_TRY(plan_members(planner, schema, type, path, out));
        out->null_branch = null;
        return MR_OK;
    }
    enum mr_status status = MR_CONFIG;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < schema->count; i++) {
            if (i == null && type->id != MR_TYPE_NULL)
                continue;
            struct avro_writer try = {.source = out->source};
            mr_map_init(&try.symbols, false);
            status = plan(planner, schema->branches[i], type, pass == 0, path, &try);
            if (status == MR_OK) {
                *out = try;
                out->in_union = true;
                out->value_branch = i;
                out->null_branch = null;
                return MR_OK;
            }
            avro_writer_reset(&try);
            if (status != MR_CONFIG)
                return status;
        }
    }
    if (schema->count - (null >= 0) == 1)
        return status;
    return unfit(planner, schema, type, path);
}

static enum mr_status plan(struct avro_planner *planner, const struct mr_avro_schema *schema,
                           const struct mr_type *type, bool exact, const char *path,
                           struct avro_writer *out)
{
    out->path = path;
    out->type = type;
    out->schema = schema;
    out->null_branch = -1;
    if (schema->kind == MR_AVRO_UNION)
        return plan_union(planner, schema, type, path, out);
    switch (type->id) {
    case MR_TYPE_NULL:
        out->op = AVRO_WRITE_NOTHING;
        return schema->kind == MR_AVRO_NULL ? MR_OK : unfit(planner, schema, type, path);
    case MR_TYPE_LIST:
        if (schema->kind == MR_AVRO_ARRAY)
            return plan_list(planner, schema, type, exact, path, out);
        break;
    case MR_TYPE_MAP:
        if (schema->kind == MR_AVRO_MAP)
            return plan_map(planner, schema, type, exact, path, out);
        if (schema->logical == MR_AVRO_KEY_VALUES)
            return plan_list(planner, schema, type, exact, path, out);
        break;
    case MR_TYPE_STRUCT:
        if (schema->kind == MR_AVRO_RECORD)
            return avro_plan_records(planner, schema, type->fields, type->nfields, path, out);
        break;
    default:
        if (mr_type_is_string(type) && schema->kind == MR_AVRO_ENUM && !exact)
            return plan_enum(planner, schema, out);
        if (plan_scalar(schema, type, exact, out))
            return MR_OK;
    }
    return unfit(planner, schema, type, path);
}
