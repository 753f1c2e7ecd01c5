/*
 * type.c - types: constants, constructors, comparison, layout.
 *
 * A type is a small immutable tree in an arena. Interning all types in one table would make
 * comparison a pointer compare, but needs a lock or a table per plan passed everywhere; comparing
 * trees happens once a plan or batch, never once a row.
 */
#include "col/type.h"

#include "base/decimal.h"

#include <assert.h>

#define PLAIN(name) [MR_TYPE_##name] = {.id = MR_TYPE_##name}
static const struct mr_type plain_types[] = {
    PLAIN(NULL),   PLAIN(BOOL),      PLAIN(INT8),          PLAIN(INT16),    PLAIN(INT32),
    PLAIN(INT64),  PLAIN(FLOAT32),   PLAIN(FLOAT64),       PLAIN(DATE),     PLAIN(TIME),
    PLAIN(STRING), PLAIN(TIMESTAMP), PLAIN(TIMESTAMP_NTZ), PLAIN(INTERVAL), PLAIN(BINARY),
    PLAIN(JSON),   PLAIN(UUID),
};

const struct mr_type *mr_type_of(enum mr_type_id id)
{
    assert(id != MR_TYPE_DECIMAL && id < MR_TYPE_LIST);
    return &plain_types[id];
}

const struct mr_type *mr_type_decimal(struct mr_arena *arena, int precision, int scale)
{
    assert(precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision);
    struct mr_type *type = mr_arena_calloc(arena, 1, sizeof *type);
    if (!type)
        return NULL;
    type->id = MR_TYPE_DECIMAL;
    type->precision = precision;
    type->scale = scale;
    return type;
}

static const struct mr_type *nested(struct mr_arena *arena, enum mr_type_id id,
                                    const struct mr_field *fields, int nfields)
{
    struct mr_type *type = mr_arena_calloc(arena, 1, sizeof *type);
    struct mr_field *copy = mr_arena_calloc(arena, (size_t)nfields, sizeof *copy);
    if (!type || !copy)
        return NULL;
    for (int i = 0; i < nfields; i++) {
        copy[i] = fields[i];
        copy[i].name = mr_arena_strdup(arena, fields[i].name);
        if (!copy[i].name)
            return NULL;
        if (fields[i].origin) {
            copy[i].origin = mr_arena_strdup(arena, fields[i].origin);
            if (!copy[i].origin)
                return NULL;
        }
    }
    type->id = id;
    type->nfields = nfields;
    type->fields = copy;
    return type;
}

const struct mr_type *mr_type_list(struct mr_arena *arena, const struct mr_type *element,
                                   bool element_nullable)
{
    struct mr_field field = {.name = "element", .type = element, .nullable = element_nullable};
    return nested(arena, MR_TYPE_LIST, &field, 1);
}

const struct mr_type *mr_type_map(struct mr_arena *arena, const struct mr_type *key,
                                  const struct mr_type *value, bool value_nullable)
{
    /*
     * The one child of a map column has a type of its own: fields[2] is that struct, kept out of
     * nfields.
     */
    struct mr_field entries[] = {{.name = "key", .type = key},
                                 {.name = "value", .type = value, .nullable = value_nullable}};
    const struct mr_type *entry = nested(arena, MR_TYPE_STRUCT, entries, 2);
    if (!entry)
        return NULL;
    struct mr_field fields[] = {entries[0], entries[1], {.name = "entries", .type = entry}};
    struct mr_type *type = (struct mr_type *)nested(arena, MR_TYPE_MAP, fields, 3);
    if (type)
        type->nfields = 2;
    return type;
}

const struct mr_type *mr_type_map_entry(const struct mr_type *type)
{
    assert(type->id == MR_TYPE_MAP);
    return type->fields[2].type;
}

const struct mr_type *mr_type_child(const struct mr_type *type, int i)
{
    return type->id == MR_TYPE_MAP ? mr_type_map_entry(type) : type->fields[i].type;
}

const struct mr_type *mr_type_struct(struct mr_arena *arena, const struct mr_field *fields,
                                     int nfields)
{
    return nested(arena, MR_TYPE_STRUCT, fields, nfields);
}

const struct mr_type *mr_type_copy(struct mr_arena *arena, const struct mr_type *type)
{
    if (type->id == MR_TYPE_DECIMAL)
        return mr_type_decimal(arena, type->precision, type->scale);
    if (!mr_type_is_nested(type))
        return mr_type_of(type->id);
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)type->nfields, sizeof *fields);
    if (!fields)
        return NULL;
    for (int i = 0; i < type->nfields; i++) {
        fields[i] = type->fields[i];
        fields[i].type = mr_type_copy(arena, type->fields[i].type);
        if (!fields[i].type)
            return NULL;
    }
    if (type->id == MR_TYPE_MAP)
        return mr_type_map(arena, fields[0].type, fields[1].type, fields[1].nullable);
    return nested(arena, type->id, fields, type->nfields);
}

bool mr_type_equal(const struct mr_type *a, const struct mr_type *b)
{
    if (a == b)
        return true;
    if (a->id != b->id || a->precision != b->precision || a->scale != b->scale ||
        a->nfields != b->nfields)
        return false;
    for (int i = 0; i < a->nfields; i++) {
        if (a->id == MR_TYPE_STRUCT && strcmp(a->fields[i].name, b->fields[i].name) != 0)
            return false;
        if (!mr_type_equal(a->fields[i].type, b->fields[i].type))
            return false;
    }
    return true;
}

enum mr_layout mr_type_layout(const struct mr_type *type)
{
    switch (type->id) {
    case MR_TYPE_NULL:
        return MR_LAYOUT_NONE;
    case MR_TYPE_BOOL:
    case MR_TYPE_INT8:
        return MR_LAYOUT_I8;
    case MR_TYPE_INT16:
        return MR_LAYOUT_I16;
    case MR_TYPE_INT32:
    case MR_TYPE_DATE:
        return MR_LAYOUT_I32;
    case MR_TYPE_INT64:
    case MR_TYPE_TIME:
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        return MR_LAYOUT_I64;
    case MR_TYPE_FLOAT32:
        return MR_LAYOUT_F32;
    case MR_TYPE_FLOAT64:
        return MR_LAYOUT_F64;
    case MR_TYPE_DECIMAL:
        return type->precision <= MR_DECIMAL64_PRECISION ? MR_LAYOUT_I64 : MR_LAYOUT_I128;
    case MR_TYPE_INTERVAL:
    case MR_TYPE_UUID:
        return MR_LAYOUT_FIXED16;
    case MR_TYPE_STRING:
    case MR_TYPE_BINARY:
    case MR_TYPE_JSON:
        return MR_LAYOUT_BYTES;
    case MR_TYPE_LIST:
    case MR_TYPE_MAP:
        return MR_LAYOUT_LIST;
    case MR_TYPE_STRUCT:
        return MR_LAYOUT_STRUCT;
    }
    assert(!"unknown type");
    return MR_LAYOUT_NONE;
}

int mr_layout_width(enum mr_layout layout)
{
    static const int widths[] = {
        [MR_LAYOUT_NONE] = 0,     [MR_LAYOUT_I8] = 1,   [MR_LAYOUT_I16] = 2,
        [MR_LAYOUT_I32] = 4,      [MR_LAYOUT_I64] = 8,  [MR_LAYOUT_I128] = 16,
        [MR_LAYOUT_F32] = 4,      [MR_LAYOUT_F64] = 8,  [MR_LAYOUT_BYTES] = 4,
        [MR_LAYOUT_FIXED16] = 16, [MR_LAYOUT_LIST] = 4, [MR_LAYOUT_STRUCT] = 0,
    };
    return widths[layout];
}

bool mr_type_is_integer(const struct mr_type *type)
{
    return type->id >= MR_TYPE_INT8 && type->id <= MR_TYPE_INT64;
}

int mr_type_integer_bits(const struct mr_type *type)
{
    return mr_type_is_integer(type) ? 8 << (type->id - MR_TYPE_INT8) : 0;
}

bool mr_type_is_numeric(const struct mr_type *type)
{
    return type->id >= MR_TYPE_INT8 && type->id <= MR_TYPE_DECIMAL;
}

bool mr_type_is_string(const struct mr_type *type)
{
    return type->id == MR_TYPE_STRING || type->id == MR_TYPE_JSON;
}

bool mr_type_is_nested(const struct mr_type *type)
{
    return type->id >= MR_TYPE_LIST;
}
