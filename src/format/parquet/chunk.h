/*
 * chunk.h - encodes one leaf column of the open row group into compressed pages.
 */
#ifndef MR_FORMAT_PARQUET_CHUNK_H
#define MR_FORMAT_PARQUET_CHUNK_H

#include "ext/codec.h"
#include "ext/format.h"
#include "format/parquet/bounds.h"
#include "format/parquet/dict.h"
#include "format/parquet/shred.h"

/* What all columns of a writer share. */
struct mr_pq_encoder {
    struct mr_memory *memory;
    const struct mr_codec *codec;
    int codec_id; /* Parquet's CompressionCodec */
    int level;
    void *codec_scratch;
    struct mr_pq_scratch scratch;
    struct mr_bytes header; /* of the page being written */
    int64_t page_rows;
    int64_t page_bytes;
    int64_t dictionary_bytes; /* of values; 0 = no dictionaries */
    bool delta;               /* pages that are not dictionary-coded may be delta-encoded */
    bool split;               /* those of floats go as BYTE_STREAM_SPLIT */
};

/* A finished data page: header and compressed body as they go to the file. */
struct mr_pq_page {
    struct mr_buffer *data;
    int64_t first_row; /* in the row group */
    int64_t nulls;
    int64_t values; /* not NULL */
    struct mr_pq_bounds bounds;
};

enum mr_pq_mode {
    MR_PQ_TRYING,     /* first page: ids are kept, whether they pay is decided at its end */
    MR_PQ_DICTIONARY, /* ids */
    MR_PQ_PLAIN,      /* values, for the rest of the chunk */
};

struct mr_pq_chunk {
    struct mr_pq_encoder *encoder;
    const struct mr_pq_leaf *leaf;
    enum mr_pq_mode mode;
    struct mr_pq_dict dict;
    uint32_t dict_seen; /* entries when the last page was closed */
    /* Ids of the entries of the dictionary-coded column seen last: -1 = not put yet. */
    struct mr_column *codes_of;
    struct mr_buffer *codes_map;
    /* The open page. */
    struct mr_buffer *ids;   /* uint32 */
    struct mr_buffer *plain; /* PLAIN values; booleans one byte each */
    struct mr_buffer *def; /* levels; behind those of pages without NULLs they are filled in late */
    struct mr_buffer *rep;
    int64_t page_rows;
    int64_t page_levels;
    int64_t page_values;
    bool page_plain; /* settled at its end: values, not ids, follow the levels */
    /* How values are written, chosen on the first page of them in the file that is large enough. */
    bool settled;
    int value_encoding;
    int page_encoding; /* of the page written last */
    struct mr_pq_bounds page_bounds;
    /* Finished pages. */
    struct mr_pq_page *pages;
    int npages;
    int pages_capacity;
    int dict_pages;  /* how many of them hold ids */
    int plain_pages; /* PLAIN values; the others have value_encoding */
    /* The chunk so far, open page excluded. */
    int64_t rows;
    int64_t levels;
    int64_t nulls;        /* levels that hold no value */
    int64_t uncompressed; /* bytes of pages with their headers */
    int64_t compressed;
    struct mr_pq_bounds bounds;
};

void mr_pq_chunk_init(struct mr_pq_chunk *chunk, struct mr_pq_encoder *encoder,
                      const struct mr_pq_leaf *leaf);
/* Frees what the row group held; ready for the next. */
void mr_pq_chunk_reset(struct mr_pq_chunk *chunk);
enum mr_status mr_pq_chunk_append(struct mr_pq_chunk *chunk, const struct mr_pq_shred *shred,
                                  struct mr_error *err);
/* Ends the open page, if it has rows. */
enum mr_status mr_pq_chunk_close_page(struct mr_pq_chunk *chunk, struct mr_error *err);
/* Encoded bytes so far before compression, open page and dictionary included: an estimate for the row group's size. */
int64_t mr_pq_chunk_size(const struct mr_pq_chunk *chunk);
/* The dictionary page, header and all; *out NULL when the chunk has none. The caller unrefs. */
enum mr_status mr_pq_chunk_dictionary(struct mr_pq_chunk *chunk, struct mr_buffer **out,
                                      struct mr_error *err);

#endif
