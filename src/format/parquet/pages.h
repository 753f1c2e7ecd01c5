/*
 * pages.h - the pages of one column chunk: headers, checksums, decompression, and where levels and values lie.
 */
#ifndef MR_FORMAT_PARQUET_PAGES_H
#define MR_FORMAT_PARQUET_PAGES_H

#include "ext/codec.h"
#include "ext/registry.h"
#include "format/parquet/input.h"
#include "format/parquet/tree.h"

/* Parquet's Encoding, as far as data pages use it. */
enum {
    MR_PQ_E_PLAIN = 0,
    MR_PQ_E_PLAIN_DICTIONARY = 2,
    MR_PQ_E_RLE = 3,
    MR_PQ_E_BIT_PACKED = 4,
    MR_PQ_E_DELTA_BINARY_PACKED = 5,
    MR_PQ_E_DELTA_LENGTH_BYTE_ARRAY = 6,
    MR_PQ_E_DELTA_BYTE_ARRAY = 7,
    MR_PQ_E_RLE_DICTIONARY = 8,
    MR_PQ_E_BYTE_STREAM_SPLIT = 9,
    MR_PQ_E_ALP = 10,
};

struct mr_pq_part {
    const uint8_t *data; /* MR_PQ_SLACK bytes behind it are readable */
    size_t size;
};

struct mr_pq_page_in {
    bool dictionary;
    int64_t values; /* levels, with NULLs */
    int encoding;
    bool legacy_rep; /* levels are BIT_PACKED */
    bool legacy_def;
    struct mr_pq_part rep;
    struct mr_pq_part def;
    struct mr_pq_part data;
};

struct mr_pq_pages {
    struct mr_pq_input *input;
    struct mr_pq_stream *stream;
    struct mr_memory *memory;
    const struct mr_pq_file *file;
    const struct mr_pq_column *column;
    const struct mr_pq_node *leaf;
    const struct mr_codec *codec; /* NULL: not compressed */
    int max_rep;
    struct mr_buffer *body; /* the page at hand: decompressed, or a reference to a window */
    int64_t values_left;
    bool indexed; /* pages are left out: the stream's end is the end, whatever the values */
};

/* Chunks with a codec that is not built, encrypted ones and those in other files are refused. */
enum mr_status mr_pq_pages_open(struct mr_pq_pages *pages, const struct mr_registry *registry,
                                struct mr_error *err);
/* The next page of the chunk; *got false when all values were given. Pointers live until the next call. */
enum mr_status mr_pq_pages_next(struct mr_pq_pages *pages, struct mr_pq_page_in *page, bool *got,
                                struct mr_error *err);
void mr_pq_pages_close(struct mr_pq_pages *pages);
/* Class data, naming file and column. */
enum mr_status mr_pq_pages_bad(const struct mr_pq_pages *pages, struct mr_error *err,
                               const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Was the file written by `application` before that version? */
bool mr_pq_written_before(const struct mr_pq_file *file, const char *application, int major,
                          int minor, int patch);

#endif
