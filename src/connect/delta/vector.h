/*
 * vector.h - the rows that a deletion vector takes out of a file.
 */
#ifndef MR_CONNECT_DELTA_VECTOR_H
#define MR_CONNECT_DELTA_VECTOR_H

#include "connect/delta/table.h"

/* `out` gets size / 5 * 4 bytes. False: not Z85. */
bool delta_z85_decode(const char *text, size_t size, uint8_t *out);

/* Rows 2^16 * key and on that are deleted, in one of the three forms of Roaring bitmaps. */
struct delta_block {
    uint64_t key;
    enum { DELTA_BLOCK_ARRAY, DELTA_BLOCK_BITMAP, DELTA_BLOCK_RUNS } kind;
    int count; /* values, or runs */
    const uint8_t *data;
};

struct delta_deleted {
    struct delta_block *blocks; /* ascending */
    int64_t nblocks;
    int64_t cardinality;
};

/* Where asking has got to: rows are asked for in ascending order, or it starts again. */
struct delta_deleted_cursor {
    int64_t block;
    int at; /* value or run of it */
};

/*
 * Magic number and 64-bit Roaring bitmap ("portable" form) to blocks that point into `data`. Every
 * count and order is checked: nothing of what is asked later can leave the data. Class data.
 */
enum mr_status delta_deleted_parse(const void *data, size_t size, struct mr_arena *arena,
                                   struct delta_deleted *out, struct mr_error *err);
bool delta_deleted_has(const struct delta_deleted *deleted, struct delta_deleted_cursor *cursor,
                       uint64_t row);

/* Path of the file of a vector that is not inline, as actions' paths come out; NULL: not valid. */
const char *delta_vector_path(const struct delta_vector *vector, const char *table_url,
                              struct mr_arena *arena);
/* Reads the vector from where it is, checks framing, CRC and cardinality. */
enum mr_status delta_vector_load(const struct delta_table *table, const struct delta_vector *vector,
                                 struct mr_arena *arena, struct delta_deleted *out,
                                 struct mr_error *err);

#endif
