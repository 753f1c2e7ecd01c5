/*
 * stage.h - bytes waiting for their upload, and what describes a staged object to another process.
 */
#ifndef MR_STORE_S3_STAGE_H
#define MR_STORE_S3_STAGE_H

#include "store/s3/s3_private.h"

/* --- buffers.c --- */

/* Bytes of an object, in memory or in the handle's temporary file; parts of it may be in flight. */
struct s3_buffer {
    struct s3_buffers *buffers;
    int refs;
    size_t size;
    size_t room;     /* what it may hold at most */
    char *data;      /* NULL: on disk */
    size_t capacity; /* of data */
    int64_t offset;  /* on disk */
    bool disk;
};

void s3_buffers_free(struct s3_buffers *buffers);
/* `whole`: it will be full, so take the room at once. */
enum mr_status s3_buffer_new(struct s3 *s3, size_t room, bool whole, struct s3_buffer **out,
                             struct mr_error *err);
/* At most room - size bytes. Waits for uploads when memory is short, else goes to disk. */
enum mr_status s3_buffer_append(struct s3_buffer *buffer, const void *data, size_t size,
                                struct mr_error *err);
struct s3_buffer *s3_buffer_ref(struct s3_buffer *buffer);
void s3_buffer_unref(void *buffer);
/* Makes `size` bytes from `start` the body of a call, with its hashes. */
enum mr_status s3_buffer_send(struct s3_buffer *buffer, size_t start, size_t size,
                              struct s3_flight *flight, const char **checksum,
                              struct mr_error *err);

/* --- stage.c --- */

/* Takes in the parts that have arrived, of all stages of the handle; how many are still flying. */
int s3_parts_reap(struct s3 *s3);

/* --- publish.c --- */

enum s3_ticket_kind {
    S3_TICKET_OBJECT = 1, /* a staged object, to be copied */
    S3_TICKET_UPLOAD = 2, /* a multipart upload, to be completed */
};

struct s3_ticket {
    enum s3_ticket_kind kind;
    struct mr_slice path;
    struct mr_slice tag;
    struct mr_slice token;
    int64_t size;
    uint32_t crc;
    struct mr_slice upload_id;
    enum s3_checksum checksum; /* of the parts */
    int nparts;
    struct mr_slice parts; /* ETag and checksum of each, with their lengths */
};

void s3_ticket_write(const struct s3_ticket *ticket, struct mr_bytes *out);
/* Borrows from `data`. */
enum mr_status s3_ticket_read(struct mr_slice data, struct s3_ticket *out, struct mr_error *err);
/* ".millrace/<tag>/<token>/<path>.inprogress", or ".upload" for the mark of a multipart upload. */
char *s3_staged_path(struct mr_arena *arena, const char *tag, const char *token, const char *path,
                     enum s3_ticket_kind kind);
/* Is the tag not in the last part of the path, where listings of uploads show it? */
bool s3_needs_mark(struct mr_slice path, struct mr_slice tag);

/* --- discard.c --- */

/* Ends a multipart upload without an object; fine if it is gone. */
enum mr_status s3_abort_start(struct s3 *s3, const char *path, const char *upload_id,
                              struct mr_error *err);

#endif
