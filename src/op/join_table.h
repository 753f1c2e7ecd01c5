/*
 * join_table.h - rows that can be found by the hash of their keys. Private to join_*.c.
 */
#ifndef MR_OP_JOIN_TABLE_H
#define MR_OP_JOIN_TABLE_H

#include "op/join_plan.h"

/* The rows of one key. */
struct mr_join_slot {
    uint64_t hash;
    uint32_t first; /* the row, or with more than one: where their numbers start in region.rows */
    uint32_t count; /* 0 = free */
};

/* Rows whose hashes start with the same bits: a table of its own, made by one thread. */
struct mr_join_region {
    struct mr_join_slot *slots;
    uint64_t mask;  /* slots - 1 */
    uint32_t *rows; /* of keys with several rows, each key's together; NULL = all are unique */
    int64_t bytes;  /* charged */
};

struct mr_join_table {
    const struct mr_join_plan *plan;
    struct mr_memory *memory;
    struct mr_batch **chunks; /* of the store's schema, until the table is made */
    int nchunks;
    int chunk_capacity;
    int64_t rows;
    int bits; /* 2^bits regions */
    struct mr_join_region *regions;
    struct mr_column *
        *columns;          /* the store's, without the hash, one column each; NULL if no rows */
    bool no_keys;          /* every row matches every row */
    atomic_int unfinished; /* pieces */
    atomic_bool many;      /* some key has several rows */
};

void mr_join_table_init(struct mr_join_table *table, const struct mr_join_plan *plan,
                        struct mr_memory *memory);
void mr_join_table_reset(struct mr_join_table *table);
/* Takes a reference. */
enum mr_status mr_join_table_add(struct mr_join_table *table, struct mr_batch *chunk,
                                 struct mr_error *err);
/*
 * All chunks are there: *pieces = number of calls of mr_join_table_make that finish the table, by
 * any number of threads, each piece once. The last one lets go of the chunks.
 */
enum mr_status mr_join_table_begin(struct mr_join_table *table, int bits, int *pieces,
                                   struct mr_error *err);
enum mr_status mr_join_table_make(struct mr_join_table *table, int piece, struct mr_error *err);
/* Bytes of slots for so many rows, about. */
int64_t mr_join_table_overhead(int64_t rows);

/*
 * found[i] = first row of the key of rows[i] (NULL: row i), -1 = none or hashes are void for it
 * (`valid` NULL: for no row); `slots` (may be NULL where !many) its slot. Keys are compared where a
 * hash is not enough.
 */
struct mr_join_lookup {
    struct mr_column *const *keys;
    const int32_t *rows;
    int64_t count;
    const uint64_t *hashes;
    const uint8_t *valid;
};
enum mr_status mr_join_table_find(const struct mr_join_table *table,
                                  const struct mr_join_lookup *lookup, int32_t *found,
                                  const struct mr_join_slot **slots, struct mr_error *err);

static inline const struct mr_join_region *mr_join_region_of(const struct mr_join_table *table,
                                                             uint64_t hash)
{
    return &table->regions[table->bits == 0 ? 0 : hash >> (64 - table->bits)];
}
/* The rows of a slot. */
static inline const uint32_t *mr_join_slot_rows(const struct mr_join_table *table,
                                                const struct mr_join_slot *slot)
{
    return slot->count == 1 ? &slot->first
                            : mr_join_region_of(table, slot->hash)->rows + slot->first;
}

/* Stored column `column` at the given rows (-1: NULL). */
enum mr_status mr_join_table_take(const struct mr_join_table *table, struct mr_memory *memory,
                                  int column, const int32_t *rows, int64_t count,
                                  struct mr_column **out, struct mr_error *err);

#endif
