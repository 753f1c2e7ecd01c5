/*
 * map.h - hash map from byte strings to pointers, insertion order kept for iteration.
 */
#ifndef MR_BASE_MAP_H
#define MR_BASE_MAP_H

#include "base/bytes.h"

struct mr_map_entry {
    char *key; /* owned, NUL-terminated */
    size_t key_size;
    uint64_t hash;
    void *value; /* not owned */
};

struct mr_map {
    struct mr_map_entry *entries; /* in the order of insertion */
    size_t count;
    size_t capacity;
    uint32_t *slots; /* entry index + 1, 0 = free */
    size_t nslots;
    bool ignore_case; /* ASCII case, for names of columns, functions and methods */
};

void mr_map_init(struct mr_map *map, bool ignore_case);
void mr_map_reset(struct mr_map *map);
/* Replaces the value of an existing key. */
enum mr_status mr_map_put(struct mr_map *map, struct mr_slice key, void *value,
                          struct mr_error *err);
/* NULL when absent (values are never NULL). */
void *mr_map_get(const struct mr_map *map, struct mr_slice key);

/*
 * The nearest of `count` names by edit distance (ASCII case ignored), or NULL if none is near
 * enough to offer.
 */
const char *mr_nearest_name(const char *name, const char *const *names, size_t count);

#endif
