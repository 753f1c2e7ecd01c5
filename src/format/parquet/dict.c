/*
 * dict.c - open-addressing tables, one slot layout per width.
 *
 * The table is at most half full, probed linearly. Four- and eight-byte values lie in the slots themselves, so that a lookup
 * touches one cache line; strings keep (hash, length, id) there, and for at most eight bytes the "hash" is the zero-padded value
 * itself, so that (key, length) decides without looking at the entry. Ids are stored plus one: 0 is a free slot. Growing
 * rehashes from the slots; entries never move, so ids stay. Entries are kept in the form of the dictionary page, which then is a
 * copy. A chained table or a sorted dictionary would cost a cache miss or a sort for nothing that readers use.
 */
#include "format/parquet/dict.h"

#include "base/hash.h"

#include <string.h>

#define MULTIPLIER    UINT64_C(0x9E3779B97F4A7C15)
#define FIRST_SLOTS   64
#define FIRST_ENTRIES 32

struct slot4 {
    uint32_t key;
    uint32_t id;
};

struct slot8 {
    uint64_t key;
    uint32_t id;
};

struct slot_bytes {
    uint64_t key;
    uint32_t size;
    uint32_t id;
};

void mr_pq_dict_init(struct mr_pq_dict *dict, struct mr_memory *memory, int width)
{
    *dict = (struct mr_pq_dict){.memory = memory, .width = width};
}

void mr_pq_dict_reset(struct mr_pq_dict *dict)
{
    mr_buffer_unref(dict->slots);
    mr_buffer_unref(dict->values);
    mr_buffer_unref(dict->starts);
    mr_pq_dict_init(dict, dict->memory, dict->width);
}

static size_t slot_size(const struct mr_pq_dict *dict)
{
    return dict->width == 4   ? sizeof(struct slot4)
           : dict->width == 8 ? sizeof(struct slot8)
                              : sizeof(struct slot_bytes);
}

static uint64_t slot_key(const struct mr_pq_dict *dict, const uint8_t *slot, uint32_t *id)
{
    if (dict->width == 4) {
        const struct slot4 *s = (const void *)slot;
        *id = s->id;
        return s->key;
    }
    if (dict->width == 8) {
        const struct slot8 *s = (const void *)slot;
        *id = s->id;
        return s->key;
    }
    const struct slot_bytes *s = (const void *)slot;
    *id = s->id;
    return s->key + s->size;
}

/* Doubles the table. The home of a slot depends on its key only (for bytes: key + size). */
static enum mr_status grow(struct mr_pq_dict *dict, struct mr_error *err)
{
    uint32_t nslots = dict->nslots == 0 ? FIRST_SLOTS : dict->nslots * 2;
    size_t size = slot_size(dict);
    struct mr_buffer *slots;
    MR_TRY(mr_buffer_new(dict->memory, nslots * size, &slots, err));
    memset(slots->data, 0, nslots * size);
    slots->size = nslots * size;
    int shift = 64 - __builtin_ctz(nslots);
    for (uint32_t i = 0; i < dict->nslots; i++) {
        const uint8_t *old = dict->slots->data + i * size;
        uint32_t id;
        uint64_t key = slot_key(dict, old, &id);
        if (id == 0)
            continue;
        uint32_t at = (uint32_t)((key * MULTIPLIER) >> shift), other;
        while (slot_key(dict, slots->data + at * size, &other), other != 0)
            at = (at + 1) & (nslots - 1);
        memcpy(slots->data + at * size, old, size);
    }
    mr_buffer_unref(dict->slots);
    dict->slots = slots;
    dict->nslots = nslots;
    dict->shift = shift;
    return MR_OK;
}

static enum mr_status room(struct mr_pq_dict *dict, struct mr_buffer **buffer, size_t bytes,
                           size_t first, struct mr_error *err)
{
    if (*buffer == NULL)
        return mr_buffer_new(dict->memory, bytes > first ? bytes : first, buffer, err);
    if ((*buffer)->size + bytes <= (*buffer)->capacity)
        return MR_OK;
    return mr_buffer_reserve(*buffer, (*buffer)->size + bytes, err);
}

static __attribute__((noinline)) enum mr_status
append_fixed(struct mr_pq_dict *dict, const void *value, struct mr_error *err)
{
    size_t width = (size_t)dict->width;
    MR_TRY(room(dict, &dict->values, width, width * FIRST_ENTRIES, err));
    memcpy(dict->values->data + dict->values->size, value, width);
    dict->values->size += width;
    dict->count++;
    return MR_OK;
}

static __attribute__((noinline)) enum mr_status
append_bytes(struct mr_pq_dict *dict, const uint8_t *data, uint32_t size, struct mr_error *err)
{
    MR_TRY(room(dict, &dict->values, size + 4, 16 * FIRST_ENTRIES, err));
    MR_TRY(room(dict, &dict->starts, 8, 4 * FIRST_ENTRIES, err));
    uint8_t *out = dict->values->data + dict->values->size;
    memcpy(out, &size, 4);
    memcpy(out + 4, data, size);
    uint32_t *starts = (uint32_t *)(void *)dict->starts->data;
    starts[dict->count] = (uint32_t)dict->values->size;
    dict->values->size += size + 4;
    starts[dict->count + 1] = (uint32_t)dict->values->size;
    dict->starts->size = (dict->count + 2) * sizeof *starts - 4;
    dict->count++;
    return MR_OK;
}

#define NAME put4
#define KEY  uint32_t
#define SLOT struct slot4
#include "format/parquet/dict_kernel.h"
#undef NAME
#undef KEY
#undef SLOT
#define NAME put8
#define KEY  uint64_t
#define SLOT struct slot8
#include "format/parquet/dict_kernel.h"

/* Key of a byte string: itself up to eight bytes, else a hash of all of it. */
static inline uint64_t bytes_key(const uint8_t *p, uint32_t size)
{
    if (size > 8)
        return mr_hash64(p, size);
    if (size >= 4) {
        uint32_t a, b;
        memcpy(&a, p, 4);
        memcpy(&b, p + size - 4, 4);
        return (uint64_t)b << (8 * (size - 4)) | a;
    }
    uint64_t key = 0;
    for (uint32_t i = 0; i < size; i++)
        key |= (uint64_t)p[i] << (8 * i);
    return key;
}

static inline bool same_entry(const struct mr_pq_dict *dict, const struct slot_bytes *slot,
                              uint64_t key, const uint8_t *p, uint32_t size)
{
    if (slot->key != key || slot->size != size)
        return false;
    if (size <= 8)
        return true;
    const uint8_t *entry = dict->values->data;
    if (dict->width == 16)
        return memcmp(entry + (size_t)(slot->id - 1) * 16, p, 16) == 0;
    const uint32_t *starts = (const uint32_t *)(const void *)dict->starts->data;
    return memcmp(entry + starts[slot->id - 1] + 4, p, size) == 0;
}

static inline enum mr_status put_one(struct mr_pq_dict *dict, const uint8_t *p, uint32_t size,
                                     uint32_t *out, struct mr_error *err)
{
    uint64_t key = bytes_key(p, size);
    struct slot_bytes *slots = (struct slot_bytes *)(void *)dict->slots->data;
    uint32_t mask = dict->nslots - 1;
    uint32_t at = (uint32_t)(((key + size) * MULTIPLIER) >> dict->shift);
    while (slots[at].id != 0 && !same_entry(dict, &slots[at], key, p, size))
        at = (at + 1) & mask;
    if (__builtin_expect(slots[at].id == 0, 0)) {
        MR_TRY(dict->width == 16 ? append_fixed(dict, p, err) : append_bytes(dict, p, size, err));
        slots[at] = (struct slot_bytes){key, size, dict->count};
        *out = dict->count - 1;
        return dict->count * 2 > dict->nslots ? grow(dict, err) : MR_OK;
    }
    *out = slots[at].id - 1;
    return MR_OK;
}

enum mr_status mr_pq_dict_put_fixed(struct mr_pq_dict *dict, const void *values, int64_t count,
                                    uint32_t *ids, struct mr_error *err)
{
    if (dict->nslots == 0)
        MR_TRY(grow(dict, err));
    if (dict->width == 4)
        return put4(dict, values, count, ids, err);
    if (dict->width == 8)
        return put8(dict, values, count, ids, err);
    for (int64_t i = 0; i < count; i++)
        MR_TRY(put_one(dict, (const uint8_t *)values + i * 16, 16, &ids[i], err));
    return MR_OK;
}

enum mr_status mr_pq_dict_put_bytes(struct mr_pq_dict *dict, const uint8_t *data,
                                    const int32_t *starts, const int32_t *ends, int64_t count,
                                    uint32_t *ids, struct mr_error *err)
{
    if (dict->nslots == 0)
        MR_TRY(grow(dict, err));
    for (int64_t i = 0; i < count; i++)
        MR_TRY(put_one(dict, data + starts[i], (uint32_t)(ends[i] - starts[i]), &ids[i], err));
    return MR_OK;
}
