/*
 * frame.h - what was written of a frame: files, the chunks in them, and how they are found again.
 *
 * A file is nothing but chunks: a packed batch (col/pack.h) each, compressed with LZ4 where that is
 * smaller. Where they lie, their rows and checksums are in the description, which the state of the
 * pipeline keeps: a file alone says nothing, and a file that differs is noticed.
 */
#ifndef MR_CONNECT_CHECKPOINT_FRAME_H
#define MR_CONNECT_CHECKPOINT_FRAME_H

#include "connect/checkpoint/checkpoint.h"
#include "ext/store.h"

struct frame_file {
    const char *path; /* below the root */
    int64_t size;
};

struct frame_chunk {
    int file;
    int64_t offset;
    int64_t stored; /* bytes in the file */
    int64_t packed; /* bytes before compression; equal to `stored`: not compressed */
    int64_t rows;
    uint64_t checksum; /* of the stored bytes */
};

struct frame {
    const char *url; /* root of the store */
    const struct mr_schema *schema;
    int64_t rows;
    int nfiles;
    struct frame_file *files;
    int nchunks;
    struct frame_chunk *chunks; /* in the order of the rows */
};

/* A versioned byte string and back; what does not hold together is MR_INTERNAL, class fatal. */
void frame_encode(const struct frame *frame, struct mr_bytes *out);
enum mr_status frame_decode(struct mr_slice bytes, struct mr_arena *arena, struct frame *out,
                            struct mr_error *err);
int64_t frame_stored_bytes(const struct frame *frame);

/* schema.c: every field with its type, as deep as it is, its origin and number. */
void frame_put_schema(struct mr_bytes *out, const struct mr_schema *schema);
/* NULL: damaged (reader->bad) or out of memory. */
const struct mr_schema *frame_get_schema(struct mr_byte_reader *reader, struct mr_arena *arena);

/* An opened root and room for one chunk at a time. One thread. */
struct frame_reader {
    const struct frame *frame;
    const struct mr_store *store;
    struct mr_runtime *runtime;
    void *handle;
};

enum mr_status frame_reader_open(const struct frame *frame, const struct mr_options *options,
                                 struct mr_runtime *runtime, struct frame_reader *out,
                                 struct mr_error *err);
void frame_reader_close(struct frame_reader *reader);
/* The bytes of a chunk as they are stored, after their checksum was compared. */
enum mr_status frame_read_stored(struct frame_reader *reader, int chunk, struct mr_buffer **out,
                                 struct mr_error *err);
enum mr_status frame_read(struct frame_reader *reader, int chunk, struct mr_batch **out,
                          struct mr_error *err);

/* First chunk of part p of n; of part n: the end. */
static inline int frame_part(const struct frame *frame, int p, int n)
{
    return (int)((int64_t)frame->nchunks * p / n);
}
/* Parts that can be read at once, as the plan knows them. */
static inline int frame_parts(const struct mr_runtime *runtime)
{
    return runtime->parallelism > 0 ? runtime->parallelism : 1;
}

/* Where the files of a step are. */
struct frame_place {
    const struct mr_store *store; /* NULL: known only with credentials (offline) */
    const char *url;
    const char *text;
    char key[17]; /* of the pipeline's state: in all names that it writes */
};

enum mr_status frame_locate(const struct mr_options *options, struct mr_runtime *runtime,
                            struct mr_arena *arena, struct frame_place *out, struct mr_error *err);
/* "millrace-<key>/<key>-<run>-<step>-<n>.frame" */
char *frame_name(struct mr_arena *arena, const struct frame_place *place,
                 const struct mr_runtime *runtime, int n);
enum mr_status frame_sweep(const struct mr_options *options, struct mr_runtime *runtime,
                           const struct mr_slice *keep, int nkeep, struct mr_error *err);
enum mr_status frame_check(const struct mr_options *options, struct mr_runtime *runtime,
                           struct mr_slice described, struct mr_error *err);

extern const struct mr_op checkpoint_light;
extern const struct mr_source checkpoint_source;
extern const struct mr_option checkpoint_options[];

#endif
