/*
 * shred.h - from a column of a batch to the levels and values of one leaf (Dremel).
 *
 * Source: S. Melnik et al., "Dremel: Interactive Analysis of Web-Scale Datasets", VLDB 2010; "Nested Encoding", Parquet format.
 */
#ifndef MR_FORMAT_PARQUET_SHRED_H
#define MR_FORMAT_PARQUET_SHRED_H

#include "col/column.h"
#include "format/parquet/leaf.h"

/* Working storage of one writer, shared by its columns and kept between batches. */
struct mr_pq_scratch {
    struct mr_memory *memory;
    struct mr_buffer *rows[2]; /* int32 */
    struct mr_buffer *def[2];  /* uint8 */
    struct mr_buffer *rep[2];  /* uint8 */
    struct mr_buffer *values;  /* gathered values, or starts of byte strings */
    struct mr_buffer *ends;
    struct mr_buffer *ids;  /* uint32 */
    struct mr_buffer *body; /* a page before and after compression */
    struct mr_buffer *packed;
};

/* Levels and values of one leaf over some rows. The pointers are valid until the scratch is used again. */
struct mr_pq_shred {
    int64_t rows;
    int64_t levels;
    const uint8_t *def;             /* NULL: every level is max_def */
    const uint8_t *rep;             /* NULL: every level starts a row */
    int64_t values;                 /* levels with def == max_def */
    const struct mr_column *column; /* FLAT or CONSTANT storage of the values */
    const int32_t *index;           /* value i is at index[i] of it; NULL: at first + i */
    int64_t first;
    bool coded; /* index holds codes of a dictionary (or zeros of a constant): few distinct */
};

/* Values as the encoder takes them: dense, of the leaf's value width. */
struct mr_pq_dense {
    int64_t count;
    const uint8_t *data; /* fixed: count * width; bytes: what starts and ends point into */
    size_t limit;        /* bytes readable at data */
    const int32_t *starts;
    const int32_t *ends;
};

void mr_pq_scratch_reset(struct mr_pq_scratch *scratch);
/* Makes *buffer hold at least `bytes` (its contents may be lost). */
enum mr_status mr_pq_scratch_room(struct mr_pq_scratch *scratch, struct mr_buffer **buffer,
                                  size_t bytes, struct mr_error *err);
/* Rows [from, from + count) of a top-level column. MR_DATA-class error for a NULL where none may be. */
enum mr_status mr_pq_shred_column(struct mr_pq_scratch *scratch, const struct mr_pq_leaf *leaf,
                                  const struct mr_column *column, int64_t from, int64_t count,
                                  struct mr_pq_shred *out, struct mr_error *err);
/* Values [from, from + count) of a shred. */
enum mr_status mr_pq_gather(struct mr_pq_scratch *scratch, const struct mr_pq_leaf *leaf,
                            const struct mr_pq_shred *shred, int64_t from, int64_t count,
                            struct mr_pq_dense *out, struct mr_error *err);

#endif
