/*
 * leaf.c - the mapping of types.
 *
 * One table row per scalar type says the physical type, how bounds compare and how values are fetched; nested types are
 * walked twice, once for the leaves and once for the schema elements. Lists have three levels (`list.element`), maps too
 * (`key_value.key`, `.value`). An interval becomes struct<months, days, microseconds>: Parquet's own INTERVAL has
 * milliseconds and no sign, so it cannot hold one exactly. Text-like annotations come as LogicalType and, where
 * the older ConvertedType means the same, as that too; times without a zone have no ConvertedType.
 */
#include "format/parquet/leaf.h"

#include <assert.h>

#define MAX_NESTING 32
#define MAX_STEPS   (MAX_NESTING * 2 + 2)

enum { REQUIRED = 0, OPTIONAL = 1, REPEATED = 2 };
enum {
    CONVERTED_UTF8 = 0,
    CONVERTED_MAP = 1,
    CONVERTED_LIST = 3,
    CONVERTED_DECIMAL = 5,
    CONVERTED_DATE = 6,
    CONVERTED_TIMESTAMP_MICROS = 10,
    CONVERTED_INT_8 = 15,
    CONVERTED_INT_16 = 16,
    CONVERTED_JSON = 19,
};
/* Fields of the union LogicalType. */
enum {
    LOGICAL_STRING = 1,
    LOGICAL_MAP = 2,
    LOGICAL_LIST = 3,
    LOGICAL_DECIMAL = 5,
    LOGICAL_DATE = 6,
    LOGICAL_TIME = 7,
    LOGICAL_TIMESTAMP = 8,
    LOGICAL_INTEGER = 10,
    LOGICAL_UNKNOWN = 11,
    LOGICAL_JSON = 12,
    LOGICAL_UUID = 14,
};

static const struct {
    enum mr_pq_physical physical;
    int value;
    enum mr_pq_order order;
    enum mr_pq_source source;
} scalars[] = {
    [MR_TYPE_NULL] = {MR_PQ_INT32, 4, MR_PQ_ORDER_NONE, MR_PQ_FROM_SAME},
    [MR_TYPE_BOOL] = {MR_PQ_BOOLEAN, 1, MR_PQ_ORDER_BOOL, MR_PQ_FROM_SAME},
    [MR_TYPE_INT8] = {MR_PQ_INT32, 4, MR_PQ_ORDER_I32, MR_PQ_FROM_I8},
    [MR_TYPE_INT16] = {MR_PQ_INT32, 4, MR_PQ_ORDER_I32, MR_PQ_FROM_I16},
    [MR_TYPE_INT32] = {MR_PQ_INT32, 4, MR_PQ_ORDER_I32, MR_PQ_FROM_SAME},
    [MR_TYPE_INT64] = {MR_PQ_INT64, 8, MR_PQ_ORDER_I64, MR_PQ_FROM_SAME},
    [MR_TYPE_FLOAT32] = {MR_PQ_FLOAT, 4, MR_PQ_ORDER_F32, MR_PQ_FROM_SAME},
    [MR_TYPE_FLOAT64] = {MR_PQ_DOUBLE, 8, MR_PQ_ORDER_F64, MR_PQ_FROM_SAME},
    [MR_TYPE_DECIMAL] = {MR_PQ_INT64, 8, MR_PQ_ORDER_I64, MR_PQ_FROM_SAME},
    [MR_TYPE_DATE] = {MR_PQ_INT32, 4, MR_PQ_ORDER_I32, MR_PQ_FROM_SAME},
    [MR_TYPE_TIME] = {MR_PQ_INT64, 8, MR_PQ_ORDER_I64, MR_PQ_FROM_SAME},
    [MR_TYPE_TIMESTAMP] = {MR_PQ_INT64, 8, MR_PQ_ORDER_I64, MR_PQ_FROM_SAME},
    [MR_TYPE_TIMESTAMP_NTZ] = {MR_PQ_INT64, 8, MR_PQ_ORDER_I64, MR_PQ_FROM_SAME},
    [MR_TYPE_STRING] = {MR_PQ_BYTE_ARRAY, 0, MR_PQ_ORDER_TEXT, MR_PQ_FROM_BYTES},
    [MR_TYPE_BINARY] = {MR_PQ_BYTE_ARRAY, 0, MR_PQ_ORDER_BINARY, MR_PQ_FROM_BYTES},
    [MR_TYPE_JSON] = {MR_PQ_BYTE_ARRAY, 0, MR_PQ_ORDER_TEXT, MR_PQ_FROM_BYTES},
    [MR_TYPE_UUID] = {MR_PQ_FIXED, 16, MR_PQ_ORDER_FIXED16, MR_PQ_FROM_SAME},
};

/* The parts of struct mr_interval as leaves. */
static const struct {
    const char *name;
    int offset;
    int size;
} interval_parts[] = {
    {"months", offsetof(struct mr_interval, months), 4},
    {"days", offsetof(struct mr_interval, days), 4},
    {"microseconds", offsetof(struct mr_interval, micros), 8},
};

struct walk {
    struct mr_arena *arena;
    struct mr_pq_leaves *out;
    struct mr_error *err;
    int column;
    const char *top;
    int depth;
    int def;
    int rep;
    int nsteps;
    int npath;
    struct mr_pq_step steps[MAX_STEPS];
    const char *path[MAX_STEPS * 2];
};

/* Bytes of a two's complement integer of that many decimal digits: ceil((digits * log2(10) + 1) / 8). */
static int decimal_width(int precision)
{
    return (int)((precision * 3.3219280948873626 + 1) / 8) + 1;
}

static void fill_scalar(struct mr_pq_leaf *leaf, const struct mr_type *type)
{
    leaf->type = type;
    leaf->physical = scalars[type->id].physical;
    leaf->value = scalars[type->id].value;
    leaf->order = scalars[type->id].order;
    leaf->source = scalars[type->id].source;
    leaf->width = 16;
    if (type->id == MR_TYPE_DECIMAL && type->precision <= 9) {
        leaf->physical = MR_PQ_INT32;
        leaf->value = 4;
        leaf->order = MR_PQ_ORDER_I32;
        leaf->source = MR_PQ_FROM_I64;
    } else if (type->id == MR_TYPE_DECIMAL && type->precision > 18) {
        leaf->physical = MR_PQ_FIXED;
        leaf->value = 16;
        leaf->order = MR_PQ_ORDER_I128;
        leaf->width = decimal_width(type->precision);
    }
}

static enum mr_status add_leaf(struct walk *walk, const struct mr_type *type, int part)
{
    struct mr_pq_leaf *leaf = &walk->out->items[walk->out->count];
    *leaf = (struct mr_pq_leaf){.column = walk->column, .max_def = walk->def, .max_rep = walk->rep};
    if (part < 0) {
        fill_scalar(leaf, type);
    } else {
        bool wide = interval_parts[part].size == 8;
        fill_scalar(leaf, mr_type_of(wide ? MR_TYPE_INT64 : MR_TYPE_INT32));
        leaf->source = wide ? MR_PQ_FROM_PART8 : MR_PQ_FROM_PART4;
        leaf->part = interval_parts[part].offset;
    }
    struct mr_pq_step *steps = mr_arena_calloc(walk->arena, (size_t)walk->nsteps, sizeof *steps);
    const char **path = mr_arena_calloc(walk->arena, (size_t)walk->npath, sizeof *path);
    if (steps == NULL || path == NULL)
        return mr_error_nomem(walk->err);
    memcpy(steps, walk->steps, (size_t)walk->nsteps * sizeof *steps);
    memcpy(path, walk->path, (size_t)walk->npath * sizeof *path);
    leaf->steps = steps;
    leaf->nsteps = walk->nsteps;
    leaf->path = path;
    leaf->npath = walk->npath;
    walk->out->count++;
    return MR_OK;
}

static enum mr_status add_field(struct walk *walk, const char *name, const struct mr_type *type,
                                bool nullable);

static void push_step(struct walk *walk, bool optional, int kind, int child)
{
    walk->steps[walk->nsteps++] = (struct mr_pq_step){optional, kind, child};
}

static enum mr_status add_repeated(struct walk *walk, const struct mr_type *type, bool nullable)
{
    push_step(walk, nullable, MR_PQ_STEP_REPEAT, 0);
    walk->path[walk->npath++] = type->id == MR_TYPE_MAP ? "key_value" : "list";
    walk->def++;
    walk->rep++;
    if (type->id == MR_TYPE_LIST) {
        MR_TRY(add_field(walk, "element", type->fields[0].type, type->fields[0].nullable));
    } else {
        int nsteps = walk->nsteps;
        for (int i = 0; i < 2; i++) {
            push_step(walk, false, MR_PQ_STEP_CHILD, i);
            MR_TRY(add_field(walk, i == 0 ? "key" : "value", type->fields[i].type,
                             i == 1 && type->fields[i].nullable));
            walk->nsteps = nsteps;
        }
    }
    walk->def--;
    walk->rep--;
    walk->npath--;
    return MR_OK;
}

static enum mr_status add_struct(struct walk *walk, const struct mr_type *type, bool nullable)
{
    if (type->nfields == 0)
        return mr_error_config(walk->err, "column %s: Parquet cannot hold a struct without fields",
                               walk->top);
    for (int i = 0; i < type->nfields; i++) {
        int nsteps = walk->nsteps;
        push_step(walk, nullable, MR_PQ_STEP_CHILD, i);
        MR_TRY(
            add_field(walk, type->fields[i].name, type->fields[i].type, type->fields[i].nullable));
        walk->nsteps = nsteps;
    }
    return MR_OK;
}

static enum mr_status add_interval(struct walk *walk, bool nullable)
{
    for (int i = 0; i < 3; i++) {
        push_step(walk, nullable, MR_PQ_STEP_LEAF, 0);
        walk->path[walk->npath++] = interval_parts[i].name;
        MR_TRY(add_leaf(walk, NULL, i));
        walk->npath--;
        walk->nsteps--;
    }
    return MR_OK;
}

static enum mr_status add_field(struct walk *walk, const char *name, const struct mr_type *type,
                                bool nullable)
{
    if (walk->depth == MAX_NESTING)
        return mr_error_config(walk->err, "column %s is nested more than %d levels deep", walk->top,
                               MAX_NESTING);
    enum mr_status status;
    int nsteps = walk->nsteps;
    walk->depth++;
    walk->path[walk->npath++] = name;
    walk->def += nullable;
    switch (type->id) {
    case MR_TYPE_LIST:
    case MR_TYPE_MAP:
        status = add_repeated(walk, type, nullable);
        break;
    case MR_TYPE_STRUCT:
        status = add_struct(walk, type, nullable);
        break;
    case MR_TYPE_INTERVAL:
        status = add_interval(walk, nullable);
        break;
    default:
        push_step(walk, nullable, MR_PQ_STEP_LEAF, 0);
        status = add_leaf(walk, type, -1);
        break;
    }
    walk->nsteps = nsteps;
    walk->def -= nullable;
    walk->npath--;
    walk->depth--;
    return status;
}

int mr_pq_leaf_count(const struct mr_type *type)
{
    if (type->id == MR_TYPE_INTERVAL)
        return 3;
    if (!mr_type_is_nested(type))
        return 1;
    int count = 0;
    for (int i = 0; i < type->nfields; i++)
        count += mr_pq_leaf_count(type->fields[i].type);
    return count;
}

/* A column of NULLs is always optional, whatever its field says. */
static bool is_nullable(const struct mr_field *field)
{
    return field->nullable || field->type->id == MR_TYPE_NULL;
}

enum mr_status mr_pq_leaves_make(struct mr_arena *arena, const struct mr_schema *schema,
                                 struct mr_pq_leaves *out, struct mr_error *err)
{
    int count = 0;
    for (int i = 0; i < schema->nfields; i++)
        count += mr_pq_leaf_count(schema->fields[i].type);
    out->schema = schema;
    out->count = 0;
    out->items = mr_arena_calloc(arena, (size_t)count + 1, sizeof *out->items);
    struct walk *walk = mr_arena_calloc(arena, 1, sizeof *walk);
    if (out->items == NULL || walk == NULL)
        return mr_error_nomem(err);
    walk->arena = arena;
    walk->out = out;
    walk->err = err;
    for (int i = 0; i < schema->nfields; i++) {
        const struct mr_field *field = &schema->fields[i];
        walk->column = i;
        walk->top = field->name;
        MR_TRY(add_field(walk, field->name, field->type, is_nullable(field)));
    }
    return MR_OK;
}

static void write_time_unit(struct mr_thrift *thrift, int16_t logical, bool utc)
{
    mr_thrift_begin(thrift, logical);
    mr_thrift_bool(thrift, 1, utc);
    mr_thrift_begin(thrift, 2);
    mr_thrift_empty(thrift, 2); /* MICROS */
    mr_thrift_end(thrift);
    mr_thrift_end(thrift);
}

static void write_logical(struct mr_thrift *thrift, const struct mr_type *type)
{
    switch (type->id) {
    case MR_TYPE_NULL:
        mr_thrift_empty(thrift, LOGICAL_UNKNOWN);
        break;
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
        mr_thrift_begin(thrift, LOGICAL_INTEGER);
        mr_thrift_i8(thrift, 1, type->id == MR_TYPE_INT8 ? 8 : 16);
        mr_thrift_bool(thrift, 2, true);
        mr_thrift_end(thrift);
        break;
    case MR_TYPE_DECIMAL:
        mr_thrift_begin(thrift, LOGICAL_DECIMAL);
        mr_thrift_i32(thrift, 1, type->scale);
        mr_thrift_i32(thrift, 2, type->precision);
        mr_thrift_end(thrift);
        break;
    case MR_TYPE_DATE:
        mr_thrift_empty(thrift, LOGICAL_DATE);
        break;
    case MR_TYPE_TIME:
        write_time_unit(thrift, LOGICAL_TIME, false);
        break;
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        write_time_unit(thrift, LOGICAL_TIMESTAMP, type->id == MR_TYPE_TIMESTAMP);
        break;
    case MR_TYPE_JSON:
        mr_thrift_empty(thrift, LOGICAL_JSON);
        break;
    case MR_TYPE_UUID:
        mr_thrift_empty(thrift, LOGICAL_UUID);
        break;
    default:
        mr_thrift_empty(thrift, LOGICAL_STRING);
        break;
    }
}

/* The ConvertedType that says the same as the LogicalType, or -1. */
static int converted_type(const struct mr_type *type)
{
    switch (type->id) {
    case MR_TYPE_INT8:
        return CONVERTED_INT_8;
    case MR_TYPE_INT16:
        return CONVERTED_INT_16;
    case MR_TYPE_DECIMAL:
        return CONVERTED_DECIMAL;
    case MR_TYPE_DATE:
        return CONVERTED_DATE;
    case MR_TYPE_TIMESTAMP:
        return CONVERTED_TIMESTAMP_MICROS;
    case MR_TYPE_STRING:
        return CONVERTED_UTF8;
    case MR_TYPE_JSON:
        return CONVERTED_JSON;
    default:
        return -1;
    }
}

static bool has_logical(const struct mr_type *type)
{
    switch (type->id) {
    case MR_TYPE_BOOL:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
    case MR_TYPE_BINARY:
        return false;
    default:
        return true;
    }
}

static void write_scalar(struct mr_thrift *thrift, const char *name, const struct mr_type *type,
                         int repetition, int id)
{
    struct mr_pq_leaf leaf;
    fill_scalar(&leaf, type);
    mr_thrift_begin(thrift, 0);
    mr_thrift_i32(thrift, 1, (int32_t)leaf.physical);
    if (leaf.physical == MR_PQ_FIXED)
        mr_thrift_i32(thrift, 2, leaf.width);
    mr_thrift_i32(thrift, 3, repetition);
    mr_thrift_text(thrift, 4, name);
    if (converted_type(type) >= 0)
        mr_thrift_i32(thrift, 6, converted_type(type));
    if (type->id == MR_TYPE_DECIMAL) {
        mr_thrift_i32(thrift, 7, type->scale);
        mr_thrift_i32(thrift, 8, type->precision);
    }
    if (id != 0)
        mr_thrift_i32(thrift, 9, id);
    if (has_logical(type)) {
        mr_thrift_begin(thrift, 10);
        write_logical(thrift, type);
        mr_thrift_end(thrift);
    }
    mr_thrift_end(thrift);
}

/* A group; converted and logical -1 = none. */
static void write_group(struct mr_thrift *thrift, const char *name, int repetition, int nchildren,
                        int converted, int logical, int id)
{
    mr_thrift_begin(thrift, 0);
    if (repetition >= 0)
        mr_thrift_i32(thrift, 3, repetition);
    mr_thrift_text(thrift, 4, name);
    mr_thrift_i32(thrift, 5, nchildren);
    if (converted >= 0)
        mr_thrift_i32(thrift, 6, converted);
    if (id != 0)
        mr_thrift_i32(thrift, 9, id);
    if (logical >= 0) {
        mr_thrift_begin(thrift, 10);
        mr_thrift_empty(thrift, (int16_t)logical);
        mr_thrift_end(thrift);
    }
    mr_thrift_end(thrift);
}

static void write_element(struct mr_thrift *thrift, const char *name, const struct mr_field *field,
                          bool nullable)
{
    const struct mr_type *type = field->type;
    int repetition = nullable ? OPTIONAL : REQUIRED;
    switch (type->id) {
    case MR_TYPE_LIST:
        write_group(thrift, name, repetition, 1, CONVERTED_LIST, LOGICAL_LIST, field->id);
        write_group(thrift, "list", REPEATED, 1, -1, -1, 0);
        write_element(thrift, "element", &type->fields[0], type->fields[0].nullable);
        break;
    case MR_TYPE_MAP:
        write_group(thrift, name, repetition, 1, CONVERTED_MAP, LOGICAL_MAP, field->id);
        write_group(thrift, "key_value", REPEATED, 2, -1, -1, 0);
        write_element(thrift, "key", &type->fields[0], false);
        write_element(thrift, "value", &type->fields[1], type->fields[1].nullable);
        break;
    case MR_TYPE_STRUCT:
        write_group(thrift, name, repetition, type->nfields, -1, -1, field->id);
        for (int i = 0; i < type->nfields; i++)
            write_element(thrift, type->fields[i].name, &type->fields[i], type->fields[i].nullable);
        break;
    case MR_TYPE_INTERVAL:
        write_group(thrift, name, repetition, 3, -1, -1, field->id);
        for (int i = 0; i < 3; i++) {
            bool wide = interval_parts[i].size == 8;
            write_scalar(thrift, interval_parts[i].name,
                         mr_type_of(wide ? MR_TYPE_INT64 : MR_TYPE_INT32), REQUIRED, 0);
        }
        break;
    default:
        write_scalar(thrift, name, type, repetition, field->id);
        break;
    }
}

static int count_elements(const struct mr_type *type)
{
    if (type->id == MR_TYPE_INTERVAL)
        return 4;
    if (!mr_type_is_nested(type))
        return 1;
    int count = type->id == MR_TYPE_STRUCT ? 1 : 2;
    for (int i = 0; i < type->nfields; i++)
        count += count_elements(type->fields[i].type);
    return count;
}

void mr_pq_schema_write(struct mr_thrift *thrift, const struct mr_pq_leaves *leaves)
{
    const struct mr_schema *schema = leaves->schema;
    int count = 1;
    for (int i = 0; i < schema->nfields; i++)
        count += count_elements(schema->fields[i].type);
    mr_thrift_list(thrift, 2, MR_THRIFT_STRUCT, (size_t)count);
    write_group(thrift, "schema", -1, schema->nfields, -1, -1, 0);
    for (int i = 0; i < schema->nfields; i++)
        write_element(thrift, schema->fields[i].name, &schema->fields[i],
                      is_nullable(&schema->fields[i]));
}
