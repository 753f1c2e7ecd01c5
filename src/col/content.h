/*
 * content.h - what a set of rows holds, as counts and sums that do not depend on the order of rows.
 *
 * Sums are modulo 2^64 and add up: those of tasks give those of a load, those of loads those of a
 * table. Equal rows give equal sums whatever the encoding, the width of integers or the batches.
 */
#ifndef MR_COL_CONTENT_H
#define MR_COL_CONTENT_H

#include "col/batch.h"

enum {
    MR_CONTENT_RANGES = 1024,     /* kept apart, at most */
    MR_CONTENT_PARTITIONS = 4096, /* of more none is kept apart */
    MR_CONTENT_SAMPLE = 2048,     /* keys that are remembered, at least, when there are so many */
};

/* What is counted of the rows. Column numbers are those of the batches. */
struct mr_content_spec {
    int ncolumns;    /* the first so many are looked at */
    int range;       /* column whose ranges are kept apart, -1 = none */
    int npartitions; /* columns whose values are kept apart */
    const int *partitions;
    int nkeys; /* columns by which rows are sampled */
    const int *keys;
    int skip; /* rows in which this column is not NULL do not count, -1 = none */
};

struct mr_content_column {
    int64_t nulls;
    uint64_t sum; /* over the hashes of the values, NULL too; other columns hash them otherwise */
};

/* Rows whose value of the range column is in [key << shift, (key + 1) << shift). */
struct mr_content_range {
    int64_t key;
    int64_t rows;
    uint64_t sum;    /* over the hashes of the rows */
    uint64_t values; /* of the range column, added up */
};

struct mr_content_partition {
    uint64_t hash; /* of the values */
    char *label;   /* "day=2024-05-01/shop=7" */
    int64_t rows;
    uint64_t sum;
};

/* The last row with these keys. */
struct mr_content_key {
    uint64_t key;
    uint64_t row;
    int64_t value; /* of the range column; NULL = 0 */
    bool seen;     /* FIXED samples: a row with the key came */
};

struct mr_content {
    int64_t rows;
    uint64_t sum; /* over the hashes of the rows */
    int ncolumns;
    struct mr_content_column *columns;
    int shift;
    int nranges;
    struct mr_content_range *ranges;  /* ascending after mr_content_sort */
    struct mr_content_range no_value; /* rows whose range column is NULL */
    bool partitions_full;
    int npartitions;
    struct mr_content_partition *partitions;
    /*
     * Of all keys those with the smallest hashes: an even choice, and the same however rows are
     * divided. Keys above `bound` are not remembered. `fixed`: no others than those given.
     */
    bool fixed;
    uint64_t bound;
    int nkeys;
    struct mr_content_key *keys;
    int32_t *range_slots;     /* open addressing, number + 1 */
    int32_t *partition_slots; /* the same */
    int32_t *key_slots;
    int64_t capacity; /* rows that the scratch arrays hold */
    uint64_t *hashes;
    uint64_t *row_hashes;
};

enum mr_status mr_content_new(int ncolumns, struct mr_content **out, struct mr_error *err);
void mr_content_free(struct mr_content *content);
/* Counts the rows of a batch (no selection). One thread at a time. */
enum mr_status mr_content_add(struct mr_content *content, const struct mr_content_spec *spec,
                              const struct mr_batch *batch, struct mr_error *err);
/* Adds what `from` counted; of rows with the same keys those of `from` are the later ones. MR_INTERNAL when the number of columns differs. */
enum mr_status mr_content_merge(struct mr_content *content, const struct mr_content *from,
                                struct mr_error *err);
/* Makes ranges at least 2^shift wide. */
void mr_content_coarsen(struct mr_content *content, int shift);
/* Ranges by key, partitions by label, keys by hash: for comparing, and so that bytes do not depend on timing. */
void mr_content_sort(struct mr_content *content);
/* Replaces partitions that `from` has too, and adds the others. */
enum mr_status mr_content_replace_partitions(struct mr_content *content,
                                             const struct mr_content *from, struct mr_error *err);
/* Empties the sample and remembers of the keys of `from` what comes, nothing else. */
enum mr_status mr_content_fix_keys(struct mr_content *content, const struct mr_content *from,
                                   struct mr_error *err);

/* A versioned byte string. */
void mr_content_encode(struct mr_content *content, struct mr_bytes *out);
/* MR_INTERNAL when the bytes are not such a string. */
enum mr_status mr_content_decode(struct mr_slice bytes, struct mr_content **out,
                                 struct mr_error *err);

/* Can ranges of this type be kept apart? */
bool mr_content_has_ranges(const struct mr_type *type);
/* "[4096, 8192)" for a range of a column of this type. */
void mr_content_range_text(const struct mr_type *type, int64_t key, int shift,
                           struct mr_bytes *out);
/* The value of the range column that a sum of one gives; false where a sum cannot tell. */
bool mr_content_value_text(const struct mr_type *type, uint64_t value, struct mr_bytes *out);

#endif
