/*
 * map.c - open addressing over 32-bit entry numbers, entries in insertion order.
 *
 * Two arrays instead of one table of pairs: iteration is in the order of insertion without a linked
 * list, and a probe touches four bytes a slot. Nothing is ever removed, so there are no tombstones.
 * Slots are kept at most half full.
 */
#include "base/map.h"

#include "base/hash.h"

#include <assert.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static uint64_t hash_key(const struct mr_map *map, struct mr_slice key)
{
    if (!map->ignore_case)
        return mr_hash64(key.data, key.size);
    uint64_t hash = key.size;
    char folded[64];
    for (size_t at = 0; at < key.size;) {
        size_t n = 0;
        while (n < sizeof folded && at < key.size)
            folded[n++] = lower(key.data[at++]);
        hash = mr_hash64_seed(folded, n, hash);
    }
    return hash;
}

static bool same_key(const struct mr_map *map, const struct mr_map_entry *entry,
                     struct mr_slice key, uint64_t hash)
{
    if (entry->hash != hash || entry->key_size != key.size)
        return false;
    if (!map->ignore_case)
        return memcmp(entry->key, key.data, key.size) == 0;
    for (size_t i = 0; i < key.size; i++)
        if (lower(entry->key[i]) != lower(key.data[i]))
            return false;
    return true;
}

/* The slot of the key, or the free slot where it would go. */
static uint32_t *find(const struct mr_map *map, struct mr_slice key, uint64_t hash)
{
    size_t mask = map->nslots - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        uint32_t slot = map->slots[i];
        if (slot == 0 || same_key(map, &map->entries[slot - 1], key, hash))
            return &map->slots[i];
    }
}

void mr_map_init(struct mr_map *map, bool ignore_case)
{
    *map = (struct mr_map){.ignore_case = ignore_case};
}

void mr_map_reset(struct mr_map *map)
{
    for (size_t i = 0; i < map->count; i++)
        mr_free(map->entries[i].key);
    mr_free(map->entries);
    mr_free(map->slots);
    mr_map_init(map, map->ignore_case);
}

static enum mr_status grow(struct mr_map *map, struct mr_error *err)
{
    if (map->count == UINT32_MAX / 4)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_DATA, "a map holds more than a billion keys");
    if (map->count == map->capacity) {
        size_t capacity = map->capacity ? map->capacity * 2 : 8;
        struct mr_map_entry *entries = mr_realloc(map->entries, capacity * sizeof *entries);
        if (!entries)
            return mr_error_nomem(err);
        map->entries = entries;
        map->capacity = capacity;
    }
    if ((map->count + 1) * 2 <= map->nslots)
        return MR_OK;
    size_t nslots = map->nslots ? map->nslots * 2 : 16;
    uint32_t *slots = mr_calloc(nslots, sizeof *slots);
    if (!slots)
        return mr_error_nomem(err);
    for (size_t e = 0; e < map->count; e++) {
        size_t i = (size_t)map->entries[e].hash & (nslots - 1);
        while (slots[i])
            i = (i + 1) & (nslots - 1);
        slots[i] = (uint32_t)e + 1;
    }
    mr_free(map->slots);
    map->slots = slots;
    map->nslots = nslots;
    return MR_OK;
}

enum mr_status mr_map_put(struct mr_map *map, struct mr_slice key, void *value,
                          struct mr_error *err)
{
    assert(value);
    uint64_t hash = hash_key(map, key);
    if (map->nslots) {
        uint32_t *slot = find(map, key, hash);
        if (*slot) {
            map->entries[*slot - 1].value = value;
            return MR_OK;
        }
    }
    MR_TRY(grow(map, err));
    char *copy = mr_strndup(key.data, key.size);
    if (!copy)
        return mr_error_nomem(err);
    uint32_t *slot = find(map, key, hash);
    map->entries[map->count++] = (struct mr_map_entry){copy, key.size, hash, value};
    *slot = (uint32_t)map->count;
    return MR_OK;
}

void *mr_map_get(const struct mr_map *map, struct mr_slice key)
{
    if (!map->nslots)
        return NULL;
    uint32_t slot = *find(map, key, hash_key(map, key));
    return slot ? map->entries[slot - 1].value : NULL;
}

/*
 * Edit distance where swapping two neighbours counts one (optimal string alignment), in three rows.
 */
#define NAME_MAX_LENGTH 128
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][NAME_MAX_LENGTH + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= nb; j++)
        last[j] = j;
    for (size_t i = 1; i <= na; i++) {
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            char x = lower(a[i - 1]), y = lower(b[j - 1]);
            size_t best = last[j - 1] + (x != y);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && lower(a[i - 2]) == y &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        size_t *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[nb];
}

const char *mr_nearest_name(const char *name, const char *const *names, size_t count)
{
    size_t length = strlen(name);
    if (length > NAME_MAX_LENGTH)
        return NULL;
    /* A third of the letters may be wrong, and always one. */
    size_t allowed = length < 3 ? 1 : length / 3 + (length >= 5);
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(names[i]);
        size_t gap = other > length ? other - length : length - other;
        if (other > NAME_MAX_LENGTH || gap > allowed)
            continue;
        size_t d = distance(name, length, names[i], other);
        if (d > allowed || d >= (other > length ? other : length))
            continue;
        nearest = names[i];
        if (d == 0)
            break;
        allowed = d - 1;
    }
    return nearest;
}
