/*
 * page.h - a page on its way to the file: levels and values joined, compressed, summed, with its header.
 */
#ifndef MR_FORMAT_PARQUET_PAGE_H
#define MR_FORMAT_PARQUET_PAGE_H

#include "format/parquet/chunk.h"

enum mr_pq_encoding {
    MR_PQ_ENC_PLAIN = 0,
    MR_PQ_ENC_RLE = 3,
    MR_PQ_ENC_DELTA = 5,         /* DELTA_BINARY_PACKED */
    MR_PQ_ENC_DELTA_LENGTHS = 6, /* DELTA_LENGTH_BYTE_ARRAY */
    MR_PQ_ENC_DELTA_STRINGS = 7, /* DELTA_BYTE_ARRAY */
    MR_PQ_ENC_RLE_DICTIONARY = 8,
    MR_PQ_ENC_SPLIT = 9, /* BYTE_STREAM_SPLIT */
};

/* Makes the open page of a chunk into header + body; sizes are added to the chunk's totals. */
enum mr_status mr_pq_page_data(struct mr_pq_chunk *chunk, struct mr_buffer **out,
                               struct mr_error *err);
enum mr_status mr_pq_page_dictionary(struct mr_pq_chunk *chunk, struct mr_buffer **out,
                                     struct mr_error *err);

#endif
