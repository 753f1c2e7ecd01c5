/*
 * leaf_read.h - reads one column chunk row by row: levels and values.
 */
#ifndef MR_FORMAT_PARQUET_LEAF_READ_H
#define MR_FORMAT_PARQUET_LEAF_READ_H

#include "format/parquet/hybrid.h"
#include "format/parquet/pages.h"
#include "format/parquet/skip.h"
#include "format/parquet/values.h"

#define MR_PQ_AHEAD 1024

enum mr_pq_mode {
    MR_PQ_MODE_NONE,
    MR_PQ_MODE_FIXED,   /* values of fixed width at `at` */
    MR_PQ_MODE_BITS,    /* booleans, one bit each */
    MR_PQ_MODE_RUNS,    /* booleans as RLE */
    MR_PQ_MODE_PLAIN,   /* byte strings behind their lengths */
    MR_PQ_MODE_LENGTHS, /* byte strings whose lengths are in `lengths` */
    MR_PQ_MODE_CODES,   /* numbers of dictionary entries */
};

struct mr_pq_leaf_reader {
    struct mr_pq_pages pages;
    const struct mr_pq_node *node;
    const struct mr_type *type; /* of the column that comes out */
    struct mr_pq_convert convert;
    bool levels_only; /* nobody wants the values */
    bool nested;      /* levels are kept: something above is nested */
    int slot_def;     /* level from which there is a slot for a value */
    struct mr_memory *memory;
    const struct mr_pq_places *places; /* of its pages, when some are left out; or NULL */
    int64_t row;                       /* the next, in the row group */
    /* The chunk's dictionary. */
    bool has_dictionary;
    bool coded; /* small enough that codes go out as they are */
    struct mr_pq_values dictionary;
    struct mr_column *dictionary_column;
    /* The page at hand. */
    int64_t page_left; /* levels */
    enum mr_pq_mode mode;
    const uint8_t *at;
    const uint8_t *end;
    int64_t bit;
    const int32_t *lengths;
    int64_t values_left; /* LENGTHS: lengths left */
    struct mr_pq_hybrid rep;
    struct mr_pq_hybrid def;
    struct mr_pq_hybrid codes;
    struct mr_buffer *scratch[2]; /* what a page was decoded into */
    struct mr_buffer *work;       /* codes or booleans on their way */
    /* Levels read and not given out: a repeated column's rows end where the next begins. */
    bool started;
    int ahead_at;
    int ahead_count;
    uint8_t ahead_def[MR_PQ_AHEAD];
    uint8_t ahead_rep[MR_PQ_AHEAD];
    /* The batch. */
    int64_t levels;
    struct mr_buffer *def_levels; /* uint8 a level; nested only */
    struct mr_buffer *rep_levels; /* repeated only */
    struct mr_buffer *validity;   /* flat and nullable only */
    struct mr_pq_values values;
};

/* pages.input, stream, memory, file, column, leaf; node, type, convert and the flags are set. */
enum mr_status mr_pq_leaf_open(struct mr_pq_leaf_reader *leaf, const struct mr_registry *registry,
                               struct mr_error *err);
void mr_pq_leaf_close(struct mr_pq_leaf_reader *leaf);
/* The next `rows` rows, which must be there. What the last call left is dropped. */
enum mr_status mr_pq_leaf_read(struct mr_pq_leaf_reader *leaf, int64_t rows, struct mr_error *err);
/* Goes forward to a row of the row group; `most` rows are decoded at a time on the way. */
enum mr_status mr_pq_leaf_seek(struct mr_pq_leaf_reader *leaf, int64_t row, int64_t most,
                               struct mr_error *err);
/* Their values as a column of a row a slot; once. */
enum mr_status mr_pq_leaf_column(struct mr_pq_leaf_reader *leaf, struct mr_column **out,
                                 struct mr_error *err);

#endif
