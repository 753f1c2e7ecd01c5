/*
 * json_shape.c - keys of objects.
 *
 * Objects of one file mostly have their keys in one order, so the field behind the last one is tried first and the hash table
 * is for the others. Names are compared exactly, as Spark does for JSON.
 */
#include "enc/json_shape.h"

#include "base/hash.h"

static const struct mr_json_shape *shape_of_type(struct mr_arena *arena,
                                                 const struct mr_type *type);

static bool fill_table(struct mr_arena *arena, struct mr_json_shape *shape)
{
    uint32_t size = 8;
    while (size < 2 * (uint32_t)shape->nfields)
        size *= 2;
    shape->mask = size - 1;
    shape->slots = mr_arena_calloc(arena, size, sizeof *shape->slots);
    if (!shape->slots)
        return false;
    for (int i = 0; i < shape->nfields; i++) {
        uint32_t at = (uint32_t)mr_hash64(shape->keys[i].name, shape->keys[i].size) & shape->mask;
        while (shape->slots[at] != 0)
            at = (at + 1) & shape->mask;
        shape->slots[at] = i + 1;
    }
    return true;
}

/* A struct or a row: keys, and the shapes of fields that have one. */
static const struct mr_json_shape *shape_of_fields(struct mr_arena *arena,
                                                   const struct mr_type *type,
                                                   const struct mr_field *fields, int nfields)
{
    struct mr_json_shape *shape = mr_arena_calloc(arena, 1, sizeof *shape);
    size_t n = (size_t)nfields + 1;
    if (!shape)
        return NULL;
    shape->type = type;
    shape->nfields = nfields;
    shape->keys = mr_arena_calloc(arena, n, sizeof *shape->keys);
    shape->shapes = mr_arena_calloc(arena, n, sizeof(struct mr_json_shape *));
    if (!shape->keys || !shape->shapes)
        return NULL;
    for (int i = 0; i < nfields; i++) {
        size_t size = strlen(fields[i].name);
        if (size > UINT32_MAX)
            return NULL;
        shape->keys[i] = (struct mr_json_key){fields[i].name, (uint32_t)size, fields[i].nullable,
                                              strpbrk(fields[i].name, "\"\\") == NULL};
        shape->shapes[i] = shape_of_type(arena, fields[i].type);
        if (!shape->shapes[i])
            return NULL;
    }
    return fill_table(arena, shape) ? shape : NULL;
}

/* Scalars have a shape without anything, so that there is no special case. */
static const struct mr_json_shape *shape_of_type(struct mr_arena *arena, const struct mr_type *type)
{
    if (type->id == MR_TYPE_STRUCT)
        return shape_of_fields(arena, type, type->fields, type->nfields);
    struct mr_json_shape *shape = mr_arena_calloc(arena, 1, sizeof *shape);
    if (!shape)
        return NULL;
    shape->type = type;
    if (type->id != MR_TYPE_LIST && type->id != MR_TYPE_MAP)
        return shape;
    int element = type->id == MR_TYPE_MAP; /* of a map the value */
    shape->shapes = mr_arena_calloc(arena, 1, sizeof(struct mr_json_shape *));
    shape->keys = mr_arena_calloc(arena, 1, sizeof *shape->keys);
    if (!shape->shapes || !shape->keys)
        return NULL;
    shape->keys[0].nullable = type->fields[element].nullable;
    shape->shapes[0] = shape_of_type(arena, type->fields[element].type);
    return shape->shapes[0] ? shape : NULL;
}

const struct mr_json_shape *mr_json_shape_of_schema(struct mr_arena *arena,
                                                    const struct mr_schema *schema)
{
    return shape_of_fields(arena, NULL, schema->fields, schema->nfields);
}

static inline bool is_key(const struct mr_json_key *key, const char *name, size_t size)
{
    return key->size == size && memcmp(key->name, name, size) == 0;
}

int mr_json_shape_find(const struct mr_json_shape *shape, const char *name, size_t size, int likely)
{
    if (likely < shape->nfields && is_key(&shape->keys[likely], name, size))
        return likely;
    uint32_t at = (uint32_t)mr_hash64(name, size) & shape->mask;
    for (; shape->slots[at] != 0; at = (at + 1) & shape->mask)
        if (is_key(&shape->keys[shape->slots[at] - 1], name, size))
            return shape->slots[at] - 1;
    return -1;
}
