/*
 * group_table.c - an open-addressing table from packed keys to group numbers.
 *
 *   slots   [hash >> 32 : 32 | group + 1 : 32]   0 = free; linear probing from the hash's low bits
 *   keys    [words of group 0][words of group 1] ...  (group_pack.h)
 *   hashes  of each group: growing moves slots without touching keys
 *
 * A batch is looked up in blocks of 1024 rows and three passes: pack the keys, find each row's
 * candidate by the 32 hash bits of the slot, compare with the candidate's key. The candidates' slots
 * and keys are prefetched, so that cache misses of different rows overlap; the rare row whose
 * candidate is not its group (a new key, equal hash bits) takes the slow path, in row order, which
 * keeps numbers in the order of first appearance.
 *
 * Where every key is a CONSTANT or a DICTIONARY, rows with equal codes are looked up once: a batch
 * has few combinations of codes, and an array indexed by them replaces the table.
 *
 * The alternative, groups kept sorted by chains behind buckets, costs a dependent miss a link; keys
 * inside of the slots would make the common integer key a miss cheaper and every growth and every
 * wide key dearer.
 */
#include "col/group_table.h"

#include "base/hash.h"
#include "col/group_pack.h"

#include <assert.h>

#define FIRST_SLOTS  256
#define FIRST_GROUPS 128
#define TEXT_BLOCK   (INT64_C(16) << 10)
#define TEXT_LARGEST (INT64_C(1) << 20)
#define MAX_GROUPS   (INT64_C(0xFFFFFFFE))
#define MAX_COMBINED 65536
/* Tables of up to so many slots are in the cache anyway. */
#define PREFETCH_FROM 4096

struct text_block {
    struct text_block *next;
    int64_t size;
    char bytes[];
};

struct mr_group_table {
    struct mr_memory *memory;
    struct mr_group_layout layout;
    int64_t charged;
    uint64_t *slots;
    uint64_t mask; /* slots - 1 */
    int64_t count;
    int64_t capacity; /* groups that keys and hashes have room for */
    uint64_t *keys;
    uint64_t *hashes;
    struct text_block *texts; /* newest first */
    char *text_at;
    int64_t text_left;
};

enum mr_status mr_group_table_new(struct mr_memory *memory, const struct mr_type *const *types,
                                  int ntypes, struct mr_group_table **out, struct mr_error *err)
{
    struct mr_group_table *table = mr_calloc(1, sizeof *table);
    if (!table)
        return mr_error_nomem(err);
    table->memory = memory;
    enum mr_status status = mr_group_layout_init(&table->layout, types, ntypes, err);
    if (status != MR_OK) {
        mr_free(table);
        return status;
    }
    *out = table;
    return MR_OK;
}

static enum mr_status charge(struct mr_group_table *table, int64_t bytes, struct mr_error *err)
{
    MR_TRY(mr_memory_charge(table->memory, bytes, err));
    table->charged += bytes;
    return MR_OK;
}

static void credit(struct mr_group_table *table, int64_t bytes)
{
    mr_memory_credit(table->memory, bytes);
    table->charged -= bytes;
}

static void drop_texts(struct mr_group_table *table)
{
    while (table->texts) {
        struct text_block *next = table->texts->next;
        credit(table, table->texts->size + (int64_t)sizeof(struct text_block));
        mr_free(table->texts);
        table->texts = next;
    }
    table->text_at = NULL;
    table->text_left = 0;
}

void mr_group_table_clear(struct mr_group_table *table)
{
    drop_texts(table);
    if (table->slots)
        memset(table->slots, 0, (table->mask + 1) * sizeof *table->slots);
    table->count = 0;
}

void mr_group_table_free(struct mr_group_table *table)
{
    if (!table)
        return;
    drop_texts(table);
    mr_free(table->slots);
    mr_free(table->keys);
    mr_free(table->hashes);
    mr_group_layout_reset(&table->layout);
    mr_memory_credit(table->memory, table->charged);
    mr_free(table);
}

/* The old array stays when it fails. */
static enum mr_status grow_array(struct mr_group_table *table, uint64_t **array, int64_t from,
                                 int64_t to, struct mr_error *err)
{
    int64_t bytes = (to - from) * (int64_t)sizeof **array;
    MR_TRY(charge(table, bytes, err));
    uint64_t *grown = mr_realloc(*array, (size_t)to * sizeof **array);
    if (!grown) {
        credit(table, bytes);
        return mr_error_nomem(err);
    }
    *array = grown;
    return MR_OK;
}

static enum mr_status grow_groups(struct mr_group_table *table, struct mr_error *err)
{
    if (table->count >= MAX_GROUPS)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_DATA, "more than 4294967294 groups in a table");
    int64_t from = table->capacity;
    int64_t to = from ? from + from / 2 : FIRST_GROUPS;
    int words = table->layout.words;
    MR_TRY(grow_array(table, &table->hashes, from, to, err));
    enum mr_status status = grow_array(table, &table->keys, from * words, to * words, err);
    if (status != MR_OK) { /* the next try grows from the old capacity again */
        credit(table, (to - from) * (int64_t)sizeof *table->hashes);
        return status;
    }
    table->capacity = to;
    return MR_OK;
}

static enum mr_status grow_slots(struct mr_group_table *table, struct mr_error *err)
{
    int64_t old = table->slots ? (int64_t)table->mask + 1 : 0;
    int64_t size = old ? old * 2 : FIRST_SLOTS;
    int64_t bytes = size * (int64_t)sizeof *table->slots;
    MR_TRY(charge(table, bytes, err));
    uint64_t *slots = mr_calloc((size_t)size, sizeof *slots);
    if (!slots) {
        credit(table, bytes);
        return mr_error_nomem(err);
    }
    uint64_t mask = (uint64_t)size - 1;
    for (int64_t g = 0; g < table->count; g++) {
        uint64_t hash = table->hashes[g], at = hash & mask;
        while (slots[at])
            at = (at + 1) & mask;
        slots[at] = (hash >> 32 << 32) | (uint64_t)(g + 1);
    }
    credit(table, old * (int64_t)sizeof *table->slots);
    mr_free(table->slots);
    table->slots = slots;
    table->mask = mask;
    return MR_OK;
}

/* A copy of `text` that lives as long as the table. */
static enum mr_status keep_text(struct mr_group_table *table, struct mr_slice text,
                                const char **out, struct mr_error *err)
{
    int64_t size = (int64_t)text.size;
    if (size > table->text_left) {
        int64_t block = table->texts ? table->texts->size * 2 : TEXT_BLOCK;
        if (block > TEXT_LARGEST)
            block = TEXT_LARGEST;
        if (block < size)
            block = size;
        int64_t bytes = block + (int64_t)sizeof(struct text_block);
        MR_TRY(charge(table, bytes, err));
        struct text_block *fresh = mr_alloc((size_t)bytes);
        if (!fresh) {
            credit(table, bytes);
            return mr_error_nomem(err);
        }
        *fresh = (struct text_block){.next = table->texts, .size = block};
        table->texts = fresh;
        table->text_at = fresh->bytes;
        table->text_left = block;
    }
    memcpy(table->text_at, text.data, text.size);
    *out = table->text_at;
    table->text_at += size;
    table->text_left -= size;
    return MR_OK;
}

/* The key becomes the group `count`, in the free slot `at`. */
static enum mr_status insert(struct mr_group_table *table, uint64_t at, uint64_t hash,
                             const uint64_t *key, struct mr_error *err)
{
    if (table->count == table->capacity)
        MR_TRY(grow_groups(table, err));
    int words = table->layout.words;
    uint64_t *to = table->keys + table->count * words;
    memcpy(to, key, (size_t)words * sizeof *to);
    for (int t = 0; t < table->layout.ntexts; t++) {
        if (!mr_group_text_is_long(key + t * 2))
            continue;
        const char *text = NULL;
        MR_TRY(keep_text(table, mr_group_text(key + t * 2), &text, err));
        to[t * 2 + 1] = (uintptr_t)text;
    }
    table->hashes[table->count] = hash;
    table->slots[at] = (hash >> 32 << 32) | (uint64_t)(table->count + 1);
    table->count++;
    return MR_OK;
}

static bool texts_equal(const uint64_t *a, const uint64_t *b)
{
    if (a[0] != b[0])
        return false;
    if (a[1] == b[1])
        return true;
    return mr_group_text_is_long(a) && memcmp((const void *)(uintptr_t)a[1],
                                              (const void *)(uintptr_t)b[1], (uint32_t)a[0]) == 0;
}

/* `words` and `ntexts` are constants in the common cases, so that this becomes one comparison. */
static inline __attribute__((always_inline)) bool keys_equal(const uint64_t *a, const uint64_t *b,
                                                             int words, int ntexts)
{
    for (int t = 0; t < ntexts; t++)
        if (!texts_equal(a + t * 2, b + t * 2))
            return false;
    for (int w = ntexts * 2; w < words; w++)
        if (a[w] != b[w])
            return false;
    return true;
}

/* One block of a call: packed keys, their hashes, and what is known of their groups. */
struct block {
    const uint64_t *packed;
    const uint64_t *hashes;
    int64_t n;
    uint32_t *groups;
};

static void find_candidates(const struct mr_group_table *table, const struct block *block)
{
    const uint64_t *slots = table->slots;
    uint64_t mask = table->mask;
    bool far = mask >= PREFETCH_FROM;
    if (!slots) {
        for (int64_t i = 0; i < block->n; i++)
            block->groups[i] = MR_GROUP_NONE;
        return;
    }
    if (far)
        for (int64_t i = 0; i < block->n; i++)
            __builtin_prefetch(&slots[block->hashes[i] & mask]);
    for (int64_t i = 0; i < block->n; i++) {
        uint64_t hash = block->hashes[i], at = hash & mask;
        while (slots[at] && slots[at] >> 32 != hash >> 32)
            at = (at + 1) & mask;
        /* A free slot is 0, and 0 - 1 is MR_GROUP_NONE. */
        uint32_t group = (uint32_t)slots[at] - 1;
        block->groups[i] = group;
        if (far && group != MR_GROUP_NONE)
            __builtin_prefetch(table->keys + (int64_t)group * table->layout.words);
    }
}

/* The whole search for one key: its group, or MR_GROUP_NONE and the free slot where it would be. */
static uint32_t search(const struct mr_group_table *table, uint64_t hash, const uint64_t *key,
                       uint64_t *at)
{
    if (!table->slots)
        return MR_GROUP_NONE;
    int words = table->layout.words;
    *at = hash & table->mask;
    for (; table->slots[*at]; *at = (*at + 1) & table->mask) {
        if (table->slots[*at] >> 32 != hash >> 32)
            continue;
        uint32_t group = (uint32_t)table->slots[*at] - 1;
        if (keys_equal(table->keys + (int64_t)group * words, key, words, table->layout.ntexts))
            return group;
    }
    return MR_GROUP_NONE;
}

static enum mr_status put_slowly(struct mr_group_table *table, uint64_t hash, const uint64_t *key,
                                 uint32_t *group, struct mr_error *err)
{
    uint64_t at = 0;
    *group = search(table, hash, key, &at);
    if (*group != MR_GROUP_NONE)
        return MR_OK;
    int64_t size = table->slots ? (int64_t)table->mask + 1 : 0;
    if (table->count + 1 > size / 8 * 5) {
        MR_TRY(grow_slots(table, err));
        (void)search(table, hash, key, &at);
    }
    uint32_t number = (uint32_t)table->count;
    MR_TRY(insert(table, at, hash, key, err));
    *group = number;
    return MR_OK;
}

/*
 * Marks in `wrong` the rows whose candidate is not their group, returns how many. Without a branch
 * that depends on the data.
 */
static inline __attribute__((always_inline)) int64_t
check_candidates(const struct mr_group_table *table, const struct block *block, int32_t *wrong,
                 int words, int ntexts)
{
    int64_t nwrong = 0;
    for (int64_t i = 0; i < block->n; i++) {
        uint32_t group = block->groups[i];
        bool right = group != MR_GROUP_NONE && keys_equal(table->keys + (int64_t)group * words,
                                                          block->packed + i * words, words, ntexts);
        wrong[nwrong] = (int32_t)i;
        nwrong += !right;
    }
    return nwrong;
}

static int64_t check_block(const struct mr_group_table *table, const struct block *block,
                           int32_t *wrong)
{
    int words = table->layout.words, ntexts = table->layout.ntexts;
    if (ntexts == 0 && words == 1)
        return check_candidates(table, block, wrong, 1, 0);
    if (ntexts == 0 && words == 2)
        return check_candidates(table, block, wrong, 2, 0);
    if (ntexts == 1 && words == 2)
        return check_candidates(table, block, wrong, 2, 1);
    return check_candidates(table, block, wrong, words, ntexts);
}

/* `writable` is `table` or, when only finding, NULL. */
static enum mr_status look_up(const struct mr_group_table *table, struct mr_group_table *writable,
                              const struct block *block, struct mr_error *err)
{
    int32_t wrong[MR_GROUP_BLOCK];
    int words = table->layout.words;
    find_candidates(table, block);
    int64_t nwrong = check_block(table, block, wrong);
    for (int64_t j = 0; j < nwrong; j++) {
        int64_t i = wrong[j];
        const uint64_t *key = block->packed + i * words;
        uint64_t at;
        if (writable)
            MR_TRY(put_slowly(writable, block->hashes[i], key, &block->groups[i], err));
        else
            block->groups[i] = search(table, block->hashes[i], key, &at);
    }
    return MR_OK;
}

struct call {
    const struct mr_group_table *table;
    struct mr_group_table *writable;
    struct mr_column *const *keys;
    const int32_t *rows;
    int64_t count;
    const uint64_t *hashes;
    uint32_t *groups;
};

/* Hashes of n rows that are packed: the caller's, at `start` or at `picks`, else the table's own. */
static const uint64_t *hash_rows(const struct call *call, int64_t start, const int32_t *picks,
                                 int64_t n, const uint64_t *packed, uint64_t *room)
{
    if (call->hashes && !picks)
        return call->hashes + start;
    if (!call->hashes)
        mr_group_hash(&call->table->layout, packed, n, room);
    else
        for (int64_t i = 0; i < n; i++)
            room[i] = call->hashes[picks[i]];
    return room;
}

/* Groups of the rows picks[0 .. count) of the call (NULL: all), one after the other into `groups`. */
static enum mr_status run_blocks(const struct call *call, const int32_t *picks, int64_t count,
                                 uint32_t *groups, struct mr_error *err)
{
    const struct mr_group_layout *layout = &call->table->layout;
    int64_t most = count < MR_GROUP_BLOCK ? count : MR_GROUP_BLOCK;
    uint64_t hashes[MR_GROUP_BLOCK];
    uint64_t *packed = mr_alloc((size_t)most * (size_t)layout->words * sizeof *packed);
    if (!packed)
        return mr_error_nomem(err);
    struct mr_group_packer packer;
    enum mr_status status =
        mr_group_packer_init(&packer, layout, call->keys, call->rows, count, err);
    if (status != MR_OK) {
        mr_free(packed);
        return status;
    }
    for (int64_t start = 0; start < count && status == MR_OK; start += MR_GROUP_BLOCK) {
        int64_t n = count - start < MR_GROUP_BLOCK ? count - start : MR_GROUP_BLOCK;
        const int32_t *block_picks = picks ? picks + start : NULL;
        struct block block = {.packed = packed, .n = n, .groups = groups + start};
        status = mr_group_pack(&packer, start, block_picks, n, packed, err);
        if (status != MR_OK)
            break;
        block.hashes = hash_rows(call, start, block_picks, n, packed, hashes);
        status = look_up(call->table, call->writable, &block, err);
    }
    mr_group_packer_reset(&packer);
    mr_free(packed);
    return status;
}

/*
 * Number of combinations of codes that rows can have when all keys are dictionaries or constants
 * and there are clearly fewer combinations than rows; else 0.
 */
static int64_t combinations(const struct call *call)
{
    int64_t product = 1;
    for (int k = 0; k < call->table->layout.nkeys; k++) {
        const struct mr_column *key = call->keys[k];
        if (key->type->id == MR_TYPE_NULL || key->encoding == MR_CONSTANT)
            continue;
        if (key->encoding != MR_DICTIONARY)
            return 0;
        product *= key->dictionary->length + 1; /* the last one is NULL */
        if (product > MAX_COMBINED || product > call->count / 2)
            return 0;
    }
    /* Rows below zero are NULL, which a constant cannot tell. */
    return product == 1 && (call->rows || call->count < 2) ? 0 : product;
}

/* combined[i] = the row's codes as one number. */
static void combine_codes(const struct call *call, uint32_t *combined)
{
    memset(combined, 0, (size_t)call->count * sizeof *combined);
    for (int k = 0; k < call->table->layout.nkeys; k++) {
        const struct mr_column *key = call->keys[k];
        if (key->type->id == MR_TYPE_NULL || key->encoding != MR_DICTIONARY)
            continue;
        const int32_t *codes = mr_column_offsets(key);
        const uint8_t *bits = mr_column_validity(key);
        uint32_t null = (uint32_t)key->dictionary->length;
        for (int64_t i = 0; i < call->count; i++) {
            int64_t row = call->rows ? call->rows[i] : i;
            bool valid = row >= 0 && mr_bitmap_get(bits, row);
            combined[i] = combined[i] * (null + 1) + (valid ? (uint32_t)codes[row] : null);
        }
    }
}

/* Every combination of codes is looked up once, at the first row that has it. */
static enum mr_status by_codes(const struct call *call, int64_t ncodes, struct mr_error *err)
{
    uint32_t *combined = call->groups; /* the codes, until they become groups */
    uint32_t *map = mr_alloc((size_t)ncodes * (sizeof *map + sizeof(uint32_t) + sizeof(int32_t)));
    if (!map)
        return mr_error_nomem(err);
    uint32_t *found = map + ncodes;
    int32_t *picks = (int32_t *)(found + ncodes);
    memset(map, 0xFF, (size_t)ncodes * sizeof *map);
    combine_codes(call, combined);
    int64_t n = 0;
    for (int64_t i = 0; i < call->count; i++) {
        if (map[combined[i]] != UINT32_MAX)
            continue;
        map[combined[i]] = (uint32_t)n;
        picks[n++] = (int32_t)i;
    }
    enum mr_status status = run_blocks(call, picks, n, found, err);
    for (int64_t i = 0; i < call->count && status == MR_OK; i++)
        call->groups[i] = found[map[combined[i]]];
    mr_free(map);
    return status;
}

static enum mr_status look_up_all(const struct call *call, struct mr_error *err)
{
    if (call->count == 0)
        return MR_OK;
    int64_t ncodes = combinations(call);
    return ncodes ? by_codes(call, ncodes, err)
                  : run_blocks(call, NULL, call->count, call->groups, err);
}

enum mr_status mr_group_table_put(struct mr_group_table *table, struct mr_column *const *keys,
                                  const int32_t *rows, int64_t count, const uint64_t *hashes,
                                  uint32_t *groups, struct mr_error *err)
{
    struct call call = {table, table, keys, rows, count, hashes, groups};
    return look_up_all(&call, err);
}

enum mr_status mr_group_table_find(const struct mr_group_table *table,
                                   struct mr_column *const *keys, const int32_t *rows,
                                   int64_t count, const uint64_t *hashes, uint32_t *groups,
                                   struct mr_error *err)
{
    struct call call = {table, NULL, keys, rows, count, hashes, groups};
    return look_up_all(&call, err);
}

int64_t mr_group_table_count(const struct mr_group_table *table)
{
    return table->count;
}

const uint64_t *mr_group_table_hashes(const struct mr_group_table *table)
{
    return table->hashes;
}

int64_t mr_group_table_bytes(const struct mr_group_table *table)
{
    return table->charged;
}

enum mr_status mr_group_table_keys(const struct mr_group_table *table, struct mr_memory *memory,
                                   const uint32_t *groups, int64_t from, int64_t count,
                                   struct mr_column **out, struct mr_error *err)
{
    for (int k = 0; k < table->layout.nkeys; k++) {
        enum mr_status status = mr_group_unpack(&table->layout, k, table->keys, groups, from, count,
                                                memory, &out[k], err);
        if (status == MR_OK)
            continue;
        while (k-- > 0)
            mr_column_unref(out[k]);
        return status;
    }
    return MR_OK;
}
