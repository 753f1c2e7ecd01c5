/*
 * join_table.c - the hash table of a join's kept side.
 *
 * Rows lie column by column, one after the other, so that matches are gathered with one take a
 * column. A slot is 16 bytes:
 *
 *     hash (8) | first row (4) | rows of this key (4)
 *
 * and found by open addressing, from the low bits of the hash. Where the key is one integer the
 * 64-bit hash is a bijection of it: comparing hashes is comparing keys, and a probe touches one cache
 * line. Otherwise equal hashes are confirmed column by column over the whole batch; a mismatch, which
 * happens about never, goes the slow way. A key with several rows has their numbers in a row
 * somewhere else, so unique keys pay nothing for duplicates, and duplicates are read in sequence.
 * Chains through the rows were refused: each link is a cache miss.
 *
 * The table is made by several threads without locks: regions share the hashes by their high bits,
 * each thread reads all hashes and enters those of its region; columns are laid together apart.
 */
#include "op/join_table.h"

#include "base/hash.h"
#include "col/kernel.h"

#include <string.h>

#define BLOCK 512
/* Text columns of tables up to this size become dictionaries: what is joined to them is a code. */
#define SMALL_TABLE 4096

void mr_join_table_init(struct mr_join_table *table, const struct mr_join_plan *plan,
                        struct mr_memory *memory)
{
    memset(table, 0, sizeof *table);
    table->plan = plan;
    table->memory = memory;
    table->no_keys = plan->nkeys == 0;
}

static void drop_chunks(struct mr_join_table *table)
{
    for (int i = 0; i < table->nchunks; i++)
        mr_batch_unref(table->chunks[i]);
    mr_free(table->chunks);
    table->chunks = NULL;
    table->nchunks = table->chunk_capacity = 0;
}

void mr_join_table_reset(struct mr_join_table *table)
{
    drop_chunks(table);
    for (int r = 0; table->regions && r < 1 << table->bits; r++) {
        mr_free(table->regions[r].slots);
        mr_free(table->regions[r].rows);
        mr_memory_credit(table->memory, table->regions[r].bytes);
    }
    mr_free(table->regions);
    for (int c = 0; table->columns && c < table->plan->nstored; c++)
        mr_column_unref(table->columns[c]);
    mr_free(table->columns);
    mr_join_table_init(table, table->plan, table->memory);
}

enum mr_status mr_join_table_add(struct mr_join_table *table, struct mr_batch *chunk,
                                 struct mr_error *err)
{
    if (table->rows + chunk->rows >= INT32_MAX) {
        mr_error_set(err, MR_LIMIT, MR_CLASS_DATA,
                     "a join cannot hold more than 2^31 rows at once");
        return MR_LIMIT;
    }
    if (table->nchunks == table->chunk_capacity) {
        int capacity = table->chunk_capacity ? table->chunk_capacity * 2 : 64;
        struct mr_batch **chunks = mr_realloc(table->chunks, (size_t)capacity * sizeof(*chunks));
        if (!chunks)
            return mr_error_nomem(err);
        table->chunks = chunks;
        table->chunk_capacity = capacity;
    }
    table->chunks[table->nchunks++] = mr_batch_ref(chunk);
    table->rows += chunk->rows;
    return MR_OK;
}

static uint64_t slots_for(int64_t rows)
{
    uint64_t size = 16;
    while (size * 3 < (uint64_t)rows * 4)
        size *= 2;
    return size;
}

int64_t mr_join_table_overhead(int64_t rows)
{
    return (int64_t)slots_for(rows) * (int64_t)sizeof(struct mr_join_slot) + 4 * rows;
}

enum mr_status mr_join_table_begin(struct mr_join_table *table, int bits, int *pieces,
                                   struct mr_error *err)
{
    table->bits = table->no_keys ? 0 : bits;
    int regions = 1 << table->bits;
    *pieces = 0;
    table->regions = mr_calloc((size_t)regions, sizeof *table->regions);
    table->columns = mr_calloc((size_t)table->plan->nstored + 1, sizeof(*table->columns));
    if (!table->regions || !table->columns)
        return mr_error_nomem(err);
    *pieces = regions + table->plan->nstored;
    atomic_store(&table->unfinished, *pieces);
    return MR_OK;
}

/* ---- making a region ---- */

struct maker {
    struct mr_join_table *table;
    struct mr_join_region *region;
    uint32_t index;
    int64_t count;
    uint32_t *members; /* rows of the region, in order */
    uint32_t *places;  /* slot of each */
    bool many;
    struct mr_error *err;
};

static const struct mr_column *hashes_of(const struct mr_join_table *table, int chunk)
{
    return table->chunks[chunk]->columns[table->plan->nstored];
}

static enum mr_status allocate(struct maker *maker, int64_t bytes, void **out)
{
    MR_TRY(mr_memory_charge(maker->table->memory, bytes, maker->err));
    *out = mr_calloc(1, (size_t)bytes);
    if (!*out) {
        mr_memory_credit(maker->table->memory, bytes);
        return mr_error_nomem(maker->err);
    }
    maker->region->bytes += bytes;
    return MR_OK;
}

static uint32_t region_index(const struct mr_join_table *table, uint64_t hash)
{
    return table->bits == 0 ? 0 : (uint32_t)(hash >> (64 - table->bits));
}

static void count_rows(struct maker *maker)
{
    struct mr_join_table *table = maker->table;
    for (int c = 0; c < table->nchunks; c++) {
        const struct mr_column *column = hashes_of(table, c);
        const uint64_t *hashes = (const uint64_t *)(const void *)column->values->data;
        const uint8_t *bits = mr_column_validity(column);
        int64_t n = 0;
        for (int64_t i = 0; i < column->length; i++)
            n += region_index(table, hashes[i]) == maker->index && mr_bitmap_get(bits, i);
        maker->count += n;
    }
}

/* Chunk of a row, and the row within it. */
static int chunk_of(const struct mr_join_table *table, const int64_t *starts, int64_t *row)
{
    int low = 0, high = table->nchunks;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (starts[middle] <= *row)
            low = middle;
        else
            high = middle;
    }
    *row -= starts[low];
    return low;
}

static bool same_keys(const struct mr_join_table *table, const int64_t *starts, int64_t a,
                      int64_t b)
{
    const struct mr_join_plan *plan = table->plan;
    int chunk_a = chunk_of(table, starts, &a), chunk_b = chunk_of(table, starts, &b);
    for (int k = 0; k < plan->nkeys; k++) {
        int column = plan->keys[k].stored;
        if (!mr_column_equal_rows(table->chunks[chunk_a]->columns[column], a,
                                  table->chunks[chunk_b]->columns[column], b))
            return false;
    }
    return true;
}

/* The slot of the row's key, new or known. */
static uint32_t enter(struct maker *maker, const int64_t *starts, uint64_t hash, uint32_t row)
{
    struct mr_join_region *region = maker->region;
    bool exact = maker->table->plan->exact;
    for (uint64_t at = hash & region->mask;; at = (at + 1) & region->mask) {
        struct mr_join_slot *slot = &region->slots[at];
        if (slot->count == 0) {
            *slot = (struct mr_join_slot){hash, row, 1};
            return (uint32_t)at;
        }
        if (slot->hash == hash &&
            (exact || same_keys(maker->table, starts, (int64_t)slot->first, (int64_t)row))) {
            slot->count++;
            maker->many = true;
            return (uint32_t)at;
        }
    }
}

static void enter_all(struct maker *maker, const int64_t *starts)
{
    struct mr_join_table *table = maker->table;
    int64_t n = 0;
    for (int c = 0; c < table->nchunks; c++) {
        const struct mr_column *column = hashes_of(table, c);
        const uint64_t *hashes = (const uint64_t *)(const void *)column->values->data;
        const uint8_t *bits = mr_column_validity(column);
        for (int64_t i = 0; i < column->length; i++) {
            if (region_index(table, hashes[i]) != maker->index || !mr_bitmap_get(bits, i))
                continue;
            uint32_t row = (uint32_t)(starts[c] + i);
            maker->members[n] = row;
            if (!table->no_keys)
                maker->places[n] = enter(maker, starts, hashes[i], row);
            n++;
        }
    }
}

/* Keys with several rows get a run of row numbers. */
static enum mr_status lay_runs(struct maker *maker)
{
    struct mr_join_region *region = maker->region;
    void *rows;
    MR_TRY(allocate(maker, maker->count * (int64_t)sizeof(uint32_t), &rows));
    region->rows = rows;
    uint32_t at = 0;
    for (uint64_t s = 0; s <= region->mask; s++) {
        struct mr_join_slot *slot = &region->slots[s];
        if (slot->count < 2)
            continue;
        slot->first = at;
        at += slot->count;
    }
    for (int64_t i = 0; i < maker->count; i++) {
        struct mr_join_slot *slot = &region->slots[maker->places[i]];
        if (slot->count > 1)
            region->rows[slot->first++] = maker->members[i];
    }
    for (uint64_t s = 0; s <= region->mask; s++)
        if (region->slots[s].count > 1)
            region->slots[s].first -= region->slots[s].count;
    return MR_OK;
}

/* Without keys: one slot with all rows. */
static enum mr_status lay_all(struct maker *maker)
{
    struct mr_join_region *region = maker->region;
    if (maker->count == 0)
        return MR_OK;
    void *rows;
    MR_TRY(allocate(maker, maker->count * (int64_t)sizeof(uint32_t), &rows));
    region->rows = rows;
    memcpy(rows, maker->members, (size_t)maker->count * sizeof(uint32_t));
    region->slots[0] = (struct mr_join_slot){.first = maker->count == 1 ? region->rows[0] : 0,
                                             .count = (uint32_t)maker->count};
    maker->many = maker->count > 1;
    return MR_OK;
}

static enum mr_status fill_region(struct maker *maker, const int64_t *starts)
{
    struct mr_join_region *region = maker->region;
    uint64_t slots = maker->table->no_keys ? 16 : slots_for(maker->count);
    void *memory;
    MR_TRY(allocate(maker, (int64_t)(slots * sizeof(struct mr_join_slot)), &memory));
    region->slots = memory;
    region->mask = slots - 1;
    enter_all(maker, starts);
    if (maker->table->no_keys)
        MR_TRY(lay_all(maker));
    else if (maker->many)
        MR_TRY(lay_runs(maker));
    if (maker->many)
        atomic_store(&maker->table->many, true);
    return MR_OK;
}

static enum mr_status make_region(struct mr_join_table *table, int index, struct mr_error *err)
{
    struct maker maker = {.table = table,
                          .region = &table->regions[index],
                          .index = (uint32_t)index,
                          .err = err};
    count_rows(&maker);
    int64_t scratch = maker.count * (int64_t)sizeof(uint32_t) * 2;
    MR_TRY(mr_memory_charge(table->memory, scratch, err));
    maker.members = mr_alloc((size_t)scratch + 8);
    int64_t *starts = mr_alloc(((size_t)table->nchunks + 1) * sizeof *starts);
    enum mr_status status = maker.members && starts ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK) {
        maker.places = maker.members + maker.count;
        starts[0] = 0;
        for (int c = 0; c < table->nchunks; c++)
            starts[c + 1] = starts[c] + table->chunks[c]->rows;
        status = fill_region(&maker, starts);
    }
    mr_free(starts);
    mr_free(maker.members);
    mr_memory_credit(table->memory, scratch);
    return status;
}

/* ---- laying columns together ---- */

/* A dictionary of its own entries: taking rows of it copies codes. */
static enum mr_status as_dictionary(struct mr_join_table *table, struct mr_column **column,
                                    struct mr_error *err)
{
    struct mr_column *entries = *column;
    struct mr_buffer *codes;
    MR_TRY(mr_buffer_new(table->memory, (size_t)entries->length * sizeof(int32_t), &codes, err));
    for (int64_t i = 0; i < entries->length; i++)
        ((int32_t *)(void *)codes->data)[i] = (int32_t)i;
    mr_buffer_finish(codes, (size_t)entries->length * sizeof(int32_t));
    *column = NULL;
    return mr_column_new_dictionary(entries, entries->length, 0, NULL, codes, column, err);
}

static enum mr_status make_column(struct mr_join_table *table, int index, struct mr_error *err)
{
    if (table->rows == 0)
        return MR_OK;
    struct mr_column **parts = mr_alloc((size_t)table->nchunks * sizeof(*parts));
    if (!parts)
        return mr_error_nomem(err);
    for (int c = 0; c < table->nchunks; c++)
        parts[c] = table->chunks[c]->columns[index];
    struct mr_column **out = &table->columns[index];
    enum mr_status status = mr_column_concat(table->memory, parts, table->nchunks, out, err);
    mr_free(parts);
    if (status == MR_OK && table->rows <= SMALL_TABLE && (*out)->encoding == MR_FLAT &&
        (*out)->nulls == 0 && mr_type_layout((*out)->type) == MR_LAYOUT_BYTES)
        status = as_dictionary(table, out, err);
    return status;
}

enum mr_status mr_join_table_make(struct mr_join_table *table, int piece, struct mr_error *err)
{
    int regions = 1 << table->bits;
    enum mr_status status =
        piece < regions ? make_region(table, piece, err) : make_column(table, piece - regions, err);
    if (atomic_fetch_sub(&table->unfinished, 1) == 1)
        drop_chunks(table);
    return status;
}

/* ---- finding ---- */

static const struct mr_join_slot *find_hash(const struct mr_join_region *region, uint64_t hash)
{
    for (uint64_t at = hash & region->mask;; at = (at + 1) & region->mask) {
        const struct mr_join_slot *slot = &region->slots[at];
        if (slot->count == 0)
            return NULL;
        if (slot->hash == hash)
            return slot;
    }
}

static int32_t first_row(const struct mr_join_table *table, const struct mr_join_slot *slot)
{
    return (int32_t)*mr_join_slot_rows(table, slot);
}

static void find_block(const struct mr_join_table *table, const uint64_t *hashes,
                       const uint8_t *valid, int64_t n, int32_t *found,
                       const struct mr_join_slot **slots)
{
    for (int64_t i = 0; i < n; i++) {
        const struct mr_join_region *region = mr_join_region_of(table, hashes[i]);
        __builtin_prefetch(&region->slots[hashes[i] & region->mask]);
    }
    for (int64_t i = 0; i < n; i++) {
        const struct mr_join_slot *slot = NULL;
        if (!valid || valid[i])
            slot = find_hash(mr_join_region_of(table, hashes[i]), hashes[i]);
        found[i] = !slot ? -1 : slots ? first_row(table, slot) : (int32_t)slot->first;
        if (slots)
            slots[i] = slot;
    }
}

static bool keys_equal(const struct mr_join_table *table, const struct mr_join_lookup *lookup,
                       int64_t i, int32_t found)
{
    int32_t row = lookup->rows ? lookup->rows[i] : (int32_t)i;
    for (int k = 0; k < table->plan->nkeys; k++)
        if (!mr_column_equal_rows(lookup->keys[k], row, table->columns[table->plan->keys[k].stored],
                                  found))
            return false;
    return true;
}

/* Equal hash, other key: on to the next slots. */
static void find_slowly(const struct mr_join_table *table, const struct mr_join_lookup *lookup,
                        int64_t i, int32_t *found, const struct mr_join_slot **slots)
{
    uint64_t hash = lookup->hashes[i];
    const struct mr_join_region *region = mr_join_region_of(table, hash);
    found[i] = -1;
    if (slots)
        slots[i] = NULL;
    for (uint64_t at = hash & region->mask; region->slots[at].count > 0;
         at = (at + 1) & region->mask) {
        const struct mr_join_slot *slot = &region->slots[at];
        if (slot->hash != hash || !keys_equal(table, lookup, i, first_row(table, slot)))
            continue;
        found[i] = first_row(table, slot);
        if (slots)
            slots[i] = slot;
        return;
    }
}

/* Where the values of a column lie: place codes[row] (or row) of values. */
struct cells {
    const uint8_t *values;
    const int32_t *codes;
    const struct mr_column *flat;
};

static bool plain_cells(const struct mr_column *column, struct cells *out)
{
    if (column->encoding == MR_CONSTANT)
        return false;
    bool coded = column->encoding == MR_DICTIONARY;
    out->codes = coded ? mr_column_offsets(column) : NULL;
    out->flat = coded ? column->dictionary : column;
    out->values = out->flat->values ? out->flat->values->data : NULL;
    return out->values != NULL;
}

#define DIFFER(name, T)                                                                            \
    static void name(const struct cells *a, const struct cells *b, const int32_t *rows,            \
                     const int32_t *found, int64_t n, uint8_t *differ)                             \
    {                                                                                              \
        const T *x = (const T *)(const void *)a->values, *y = (const T *)(const void *)b->values;  \
        for (int64_t i = 0; i < n; i++) {                                                          \
            if (found[i] < 0)                                                                      \
                continue;                                                                          \
            int32_t row = rows ? rows[i] : (int32_t)i;                                             \
            row = a->codes ? a->codes[row] : row;                                                  \
            int32_t other = b->codes ? b->codes[found[i]] : found[i];                              \
            differ[i] |= x[row] != y[other];                                                       \
        }                                                                                          \
    }
DIFFER(differ_1, uint8_t)
DIFFER(differ_2, uint16_t)
DIFFER(differ_4, uint32_t)
DIFFER(differ_8, uint64_t)
DIFFER(differ_16, mr_int128)

static void differ_text(const struct cells *a, const struct cells *b, const int32_t *rows,
                        const int32_t *found, int64_t n, uint8_t *differ)
{
    for (int64_t i = 0; i < n; i++) {
        if (found[i] < 0)
            continue;
        int32_t row = rows ? rows[i] : (int32_t)i;
        row = a->codes ? a->codes[row] : row;
        int32_t other = b->codes ? b->codes[found[i]] : found[i];
        struct mr_slice s = mr_column_slice(a->flat, row), t = mr_column_slice(b->flat, other);
        differ[i] |= s.size != t.size || (s.size > 0 && memcmp(s.data, t.data, s.size) != 0);
    }
}

typedef void differ_fn(const struct cells *a, const struct cells *b, const int32_t *rows,
                       const int32_t *found, int64_t n, uint8_t *differ);

/* The loop over values without NULLs whose equality is that of their bytes; NULL = none fits. */
static differ_fn *loop_for(const struct mr_type *type)
{
    switch (mr_type_layout(type)) {
    case MR_LAYOUT_I8:
        return differ_1;
    case MR_LAYOUT_I16:
        return differ_2;
    case MR_LAYOUT_I32:
        return differ_4;
    case MR_LAYOUT_I64:
        return differ_8;
    case MR_LAYOUT_I128:
    case MR_LAYOUT_FIXED16:
        return differ_16;
    case MR_LAYOUT_BYTES:
        return differ_text;
    default:
        return NULL;
    }
}

static void compare_key(const struct mr_join_table *table, const struct mr_join_lookup *lookup,
                        int k, const int32_t *found, uint8_t *differ)
{
    const struct mr_column *mine = table->columns[table->plan->keys[k].stored];
    const struct mr_column *theirs = lookup->keys[k];
    differ_fn *loop = loop_for(mine->type);
    struct cells a, b;
    bool nulls = table->plan->keys[k].null_safe && (mine->nulls > 0 || theirs->nulls > 0);
    if (loop && !nulls && plain_cells(theirs, &a) && plain_cells(mine, &b)) {
        loop(&a, &b, lookup->rows, found, lookup->count, differ);
        return;
    }
    for (int64_t i = 0; i < lookup->count; i++) {
        int32_t row = lookup->rows ? lookup->rows[i] : (int32_t)i;
        if (found[i] >= 0)
            differ[i] |= !mr_column_equal_rows(theirs, row, mine, found[i]);
    }
}

static enum mr_status confirm(const struct mr_join_table *table,
                              const struct mr_join_lookup *lookup, int32_t *found,
                              const struct mr_join_slot **slots, struct mr_error *err)
{
    uint8_t *differ = mr_calloc((size_t)lookup->count + 1, 1);
    if (!differ)
        return mr_error_nomem(err);
    for (int k = 0; k < table->plan->nkeys; k++)
        compare_key(table, lookup, k, found, differ);
    for (int64_t i = 0; i < lookup->count; i++)
        if (differ[i])
            find_slowly(table, lookup, i, found, slots);
    mr_free(differ);
    return MR_OK;
}

enum mr_status mr_join_table_find(const struct mr_join_table *table,
                                  const struct mr_join_lookup *lookup, int32_t *found,
                                  const struct mr_join_slot **slots, struct mr_error *err)
{
    int64_t n = lookup->count;
    if (table->rows == 0 || table->no_keys) {
        const struct mr_join_slot *all = &table->regions[0].slots[0];
        bool any = table->rows > 0 && all->count > 0;
        for (int64_t i = 0; i < n; i++) {
            bool hit = any && (!lookup->valid || lookup->valid[i]);
            found[i] = hit ? first_row(table, all) : -1;
            if (slots)
                slots[i] = hit ? all : NULL;
        }
        return MR_OK;
    }
    for (int64_t from = 0; from < n; from += BLOCK) {
        int64_t count = n - from < BLOCK ? n - from : BLOCK;
        find_block(table, lookup->hashes + from, lookup->valid ? lookup->valid + from : NULL, count,
                   found + from, slots ? slots + from : NULL);
    }
    return table->plan->exact ? MR_OK : confirm(table, lookup, found, slots, err);
}

enum mr_status mr_join_table_take(const struct mr_join_table *table, struct mr_memory *memory,
                                  int column, const int32_t *rows, int64_t count,
                                  struct mr_column **out, struct mr_error *err)
{
    if (table->rows > 0)
        return mr_column_take(memory, table->columns[column], rows, count, out, err);
    const struct mr_type *type = table->plan->store->fields[column].type;
    struct mr_value null = {.type = type, .is_null = true};
    return mr_column_new_constant(memory, type, &null, count, out, err);
}
