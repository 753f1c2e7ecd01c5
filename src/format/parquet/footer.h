/*
 * footer.h - what a file remembers of its row groups, and the metadata written from it.
 */
#ifndef MR_FORMAT_PARQUET_FOOTER_H
#define MR_FORMAT_PARQUET_FOOTER_H

#include "format/parquet/chunk.h"

struct mr_pq_chunk_meta {
    const struct mr_pq_leaf *leaf;
    int64_t levels;
    int64_t nulls;
    int64_t uncompressed;
    int64_t compressed;
    int64_t data_offset;       /* of the first data page */
    int64_t dictionary_offset; /* 0 = none */
    int dict_pages;            /* data pages of ids */
    int plain_pages;
    int other_pages; /* of values in `other` */
    int other;
    struct mr_pq_bounds bounds;
    struct mr_slice column_index; /* serialised; empty = none */
    struct mr_slice offset_index;
    int64_t column_index_offset;
    int64_t offset_index_offset;
};

struct mr_pq_group_meta {
    struct mr_pq_group_meta *next;
    int64_t rows;
    int64_t offset;
    int64_t uncompressed;
    int64_t compressed;
    struct mr_pq_chunk_meta *chunks; /* one a leaf */
};

struct mr_pq_file_meta {
    const struct mr_pq_leaves *leaves;
    int codec_id;
    int64_t rows;
    int ngroups;
    struct mr_pq_group_meta *first;
    struct mr_pq_group_meta *last;
    const char *const *metadata; /* key, value, .., NULL; or NULL */
};

/* Serialises the page index of a finished chunk. False: this chunk must not have one. */
bool mr_pq_column_index_write(const struct mr_pq_chunk *chunk, struct mr_bytes *out);
/* `offset` is where the first data page lies. */
void mr_pq_offset_index_write(const struct mr_pq_chunk *chunk, int64_t offset,
                              struct mr_bytes *out);
/* FileMetaData. */
void mr_pq_footer_write(const struct mr_pq_file_meta *file, struct mr_bytes *out);

#endif
