/*
 * json_shape.h - a schema prepared for decoding JSON: the keys of objects, to be found fast.
 */
#ifndef MR_ENC_JSON_SHAPE_H
#define MR_ENC_JSON_SHAPE_H

#include "col/type.h"

/* Of a type: a struct's fields, or the one element of a list or map. */
struct mr_json_shape {
    const struct mr_type *type; /* NULL: the row itself */
    int nfields;
    struct mr_json_key *keys;            /* STRUCT and rows */
    const struct mr_json_shape **shapes; /* of the fields; LIST: the element; MAP: the value */
    uint32_t mask;                       /* of the hash table below, a power of two less one */
    int32_t *slots;                      /* field + 1, 0 = empty */
};

struct mr_json_key {
    const char *name;
    uint32_t size;
    bool nullable;
    bool plain; /* in JSON the name can stand as it is */
};

/* In the arena. NULL: out of memory. */
const struct mr_json_shape *mr_json_shape_of_schema(struct mr_arena *arena,
                                                    const struct mr_schema *schema);
/* The field with this name, -1: none. `likely` is tried first. */
int mr_json_shape_find(const struct mr_json_shape *shape, const char *name, size_t size,
                       int likely);

#endif
