/*
 * input.h - the bytes of column chunks: read together, kept in windows.
 */
#ifndef MR_FORMAT_PARQUET_INPUT_H
#define MR_FORMAT_PARQUET_INPUT_H

#include "base/buffer.h"
#include "ext/format.h"

/* Bytes of a stream that will be wanted. */
struct mr_pq_piece {
    int64_t start;
    int64_t end;
    struct mr_buffer *buffer; /* that holds them, once they are read */
    size_t offset;            /* of `start` in it */
};

/* The bytes [next, end) of the file, of which [start, start + held) are in `window`. */
struct mr_pq_stream {
    int64_t next;
    int64_t end;
    struct mr_pq_piece *pieces; /* ascending; all that is wanted of it */
    int npieces;
    struct mr_buffer *window; /* 64 bytes behind `held` are readable */
    int64_t start;
    size_t offset; /* in the window's storage, of `start` */
    size_t held;
};

struct mr_pq_input {
    struct mr_byte_source *source;
    struct mr_memory *memory;
    struct mr_pq_stream *streams;
    int nstreams;
    int64_t window; /* bytes that a stream reads ahead when not all is read at once */
};

/* Streams have next, end and pieces; reads all of them if that is little enough. */
enum mr_status mr_pq_input_open(struct mr_pq_input *input, struct mr_error *err);
/*
 * Makes at least `size` bytes from stream->next on be there, or what there is until its end; *out
 * and *got say where and how many. Earlier pointers stay valid while their window is referenced.
 */
enum mr_status mr_pq_input_peek(struct mr_pq_input *input, struct mr_pq_stream *stream, size_t size,
                                const uint8_t **out, size_t *got, struct mr_error *err);
/* Frees what the streams hold. */
void mr_pq_input_reset(struct mr_pq_input *input);

#endif
