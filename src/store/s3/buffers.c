/*
 * buffers.c - where the bytes of staged objects wait for their upload.
 *
 * Memory is the step's: it is charged to its account, and a handle takes no more than a share of what
 * is left, so that a writer with a thousand open partitions does not starve the operators in front of
 * it. When the share is used up the task waits for its own uploads; when there are none to wait for,
 * the buffer moves to a temporary file without a name, in which every handle has extents. That is
 * also what uploadBuffer "disk" does from the beginning. A part cannot simply be sent early instead:
 * S3 refuses parts under 5 MB but for the last.
 *
 * A buffer that will surely be full is taken whole, and a few are kept for reuse: growing anew by
 * doubling, and page faults on fresh memory, would cost a fifth of the upload.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "store/s3/stage.h"

#include "base/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SHARE_MIN   ((int64_t)16 << 20)
#define SHARE_MAX   ((int64_t)256 << 20)
#define FIRST_BYTES ((size_t)64 << 10)
#define SPARES      6
#define EXTENTS     64
#define CHUNK       ((size_t)1 << 20)

struct extent {
    int64_t offset;
    size_t room;
};

struct s3_buffers {
    struct s3 *s3;
    int64_t held; /* bytes of memory, charged */
    int64_t share;
    struct extent spares[SPARES]; /* memory: the address is in `data` */
    char *data[SPARES];
    int nspares;
    int fd; /* -1 = no file yet */
    int64_t end;
    struct extent extents[EXTENTS]; /* of the file, free */
    int nextents;
};

static struct s3_buffers *buffers_of(struct s3 *s3)
{
    if (s3->buffers)
        return s3->buffers;
    struct s3_buffers *buffers = mr_calloc(1, sizeof *buffers);
    if (!buffers)
        return NULL;
    int tasks = s3->runtime->parallelism > 0 ? s3->runtime->parallelism : 1;
    int64_t share = mr_memory_available(s3->runtime->memory) / (4 * (int64_t)tasks);
    buffers->share = share < SHARE_MIN ? SHARE_MIN : share > SHARE_MAX ? SHARE_MAX : share;
    buffers->s3 = s3;
    buffers->fd = -1;
    s3->buffers = buffers;
    return buffers;
}

static void give_back(struct s3_buffers *buffers, char *data, size_t size)
{
    mr_free(data);
    buffers->held -= (int64_t)size;
    mr_memory_credit(buffers->s3->runtime->memory, (int64_t)size);
}

static void drop_spares(struct s3_buffers *buffers)
{
    while (buffers->nspares > 0) {
        int last = --buffers->nspares;
        give_back(buffers, buffers->data[last], buffers->spares[last].room);
    }
}

void s3_buffers_free(struct s3_buffers *buffers)
{
    if (!buffers)
        return;
    drop_spares(buffers);
    if (buffers->fd >= 0)
        close(buffers->fd);
    mr_free(buffers);
}

/* --- memory --- */

/*
 * Is there memory for `more` bytes? Waits for uploads that will give some back. Not having it is no
 * error: *granted false.
 */
static enum mr_status ask_memory(struct s3_buffers *buffers, size_t more, bool *granted,
                                 struct mr_error *err)
{
    struct s3 *s3 = buffers->s3;
    *granted = false;
    for (;;) {
        bool fits = buffers->held + (int64_t)more <= buffers->share;
        if (!fits && buffers->nspares > 0) {
            drop_spares(buffers);
            continue;
        }
        if (fits && mr_memory_charge(s3->runtime->memory, (int64_t)more, NULL) == MR_OK) {
            buffers->held += (int64_t)more;
            *granted = true;
            return MR_OK;
        }
        int before = s3->nbackground;
        MR_TRY(s3_background_settle(s3, before, err));
        int flying = s3_parts_reap(s3);
        if (flying + s3->nbackground == 0)
            return MR_OK;
        if (s3->nbackground == before)
            MR_TRY(s3_turn(s3, MR_WAIT_SINK, err));
    }
}

static char *take_spare(struct s3_buffers *buffers, size_t room)
{
    for (int i = 0; i < buffers->nspares; i++) {
        if (buffers->spares[i].room != room)
            continue;
        char *data = buffers->data[i];
        buffers->nspares--;
        buffers->data[i] = buffers->data[buffers->nspares];
        buffers->spares[i] = buffers->spares[buffers->nspares];
        return data;
    }
    return NULL;
}

/* --- disk --- */

static enum mr_status disk_error(const struct s3_buffers *buffers, int number, const char *what,
                                 struct mr_error *err)
{
    mr_error_errno(err, MR_LIMIT, number, "cannot %s a temporary file in %s", what,
                   buffers->s3->runtime->temp_dir);
    mr_error_hint(err, "parts of uploads wait there: set resources.tempDir to a larger disk, or "
                       "raise resources.memory");
    return MR_LIMIT;
}

static enum mr_status write_disk(struct s3_buffer *buffer, const char *data, size_t size,
                                 struct mr_error *err)
{
    int64_t at = buffer->offset + (int64_t)buffer->size;
    while (size > 0) {
        ssize_t n = pwrite(buffer->buffers->fd, data, size, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return disk_error(buffer->buffers, errno, "write", err);
        data += n;
        at += n;
        size -= (size_t)n;
        buffer->size += (size_t)n;
    }
    return MR_OK;
}

static enum mr_status to_disk(struct s3_buffer *buffer, struct mr_error *err)
{
    struct s3_buffers *buffers = buffer->buffers;
    if (buffers->fd < 0) {
        buffers->fd = mr_open_unnamed(buffers->s3->runtime->temp_dir);
        if (buffers->fd < 0)
            return disk_error(buffers, errno, "make", err);
    }
    buffer->offset = -1;
    for (int i = 0; i < buffers->nextents && buffer->offset < 0; i++) {
        if (buffers->extents[i].room == buffer->room) {
            buffer->offset = buffers->extents[i].offset;
            buffers->extents[i] = buffers->extents[--buffers->nextents];
        }
    }
    if (buffer->offset < 0) {
        buffer->offset = buffers->end;
        buffers->end += (int64_t)buffer->room;
    }
    char *data = buffer->data;
    size_t size = buffer->size, capacity = buffer->capacity;
    buffer->disk = true;
    buffer->data = NULL;
    buffer->size = buffer->capacity = 0;
    enum mr_status status = write_disk(buffer, data, size, err);
    if (data)
        give_back(buffers, data, capacity);
    return status;
}

/* The blocks go back to the file system at once; the extent is used again if it can be noted. */
static void free_extent(struct s3_buffer *buffer)
{
    struct s3_buffers *buffers = buffer->buffers;
    int ignored = fallocate(buffers->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, buffer->offset,
                            (off_t)buffer->room);
    (void)ignored;
    if (buffers->nextents < EXTENTS)
        buffers->extents[buffers->nextents++] = (struct extent){buffer->offset, buffer->room};
}

/* --- buffers --- */

/* Memory for `capacity` bytes in all, or the disk. */
static enum mr_status grow(struct s3_buffer *buffer, size_t capacity, struct mr_error *err)
{
    struct s3_buffers *buffers = buffer->buffers;
    bool granted;
    if (!buffer->data && (buffer->data = take_spare(buffers, capacity)) != NULL) {
        buffer->capacity = capacity;
        return MR_OK;
    }
    MR_TRY(ask_memory(buffers, capacity - buffer->capacity, &granted, err));
    if (!granted)
        return to_disk(buffer, err);
    char *data = mr_realloc(buffer->data, capacity);
    if (!data) {
        buffers->held -= (int64_t)(capacity - buffer->capacity);
        mr_memory_credit(buffers->s3->runtime->memory, (int64_t)(capacity - buffer->capacity));
        return mr_error_nomem(err);
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return MR_OK;
}

enum mr_status s3_buffer_new(struct s3 *s3, size_t room, bool whole, struct s3_buffer **out,
                             struct mr_error *err)
{
    struct s3_buffers *buffers = buffers_of(s3);
    struct s3_buffer *buffer = buffers ? mr_calloc(1, sizeof *buffer) : NULL;
    *out = NULL;
    if (!buffer)
        return mr_error_nomem(err);
    *buffer = (struct s3_buffer){.buffers = buffers, .refs = 1, .room = room};
    enum mr_status status = MR_OK;
    if (s3->config.disk)
        status = to_disk(buffer, err);
    else if (whole)
        status = grow(buffer, room, err);
    if (status == MR_OK)
        *out = buffer;
    else
        s3_buffer_unref(buffer);
    return status;
}

enum mr_status s3_buffer_append(struct s3_buffer *buffer, const void *data, size_t size,
                                struct mr_error *err)
{
    if (!buffer->disk && buffer->size + size > buffer->capacity) {
        size_t capacity = buffer->capacity ? buffer->capacity * 2 : FIRST_BYTES;
        if (capacity < buffer->size + size)
            capacity = buffer->size + size;
        MR_TRY(grow(buffer, capacity < buffer->room ? capacity : buffer->room, err));
    }
    if (buffer->disk)
        return write_disk(buffer, data, size, err);
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    return MR_OK;
}

struct s3_buffer *s3_buffer_ref(struct s3_buffer *buffer)
{
    buffer->refs++;
    return buffer;
}

void s3_buffer_unref(void *thing)
{
    struct s3_buffer *buffer = thing;
    if (!buffer || --buffer->refs > 0)
        return;
    struct s3_buffers *buffers = buffer->buffers;
    if (buffer->disk) {
        free_extent(buffer);
    } else if (buffer->data && buffer->capacity == buffer->room && buffers->nspares < SPARES) {
        buffers->data[buffers->nspares] = buffer->data;
        buffers->spares[buffers->nspares++].room = buffer->room;
    } else if (buffer->data) {
        give_back(buffers, buffer->data, buffer->capacity);
    }
    mr_free(buffer);
}

static enum mr_status hash_disk(const struct s3_buffer *buffer, size_t start, size_t size,
                                struct s3_hash *hash, struct mr_error *err)
{
    char *chunk = mr_alloc(CHUNK);
    if (!chunk)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    int64_t at = buffer->offset + (int64_t)start;
    while (status == MR_OK && size > 0) {
        ssize_t n = pread(buffer->buffers->fd, chunk, size < CHUNK ? size : CHUNK, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            status = disk_error(buffer->buffers, n < 0 ? errno : EIO, "read", err);
            break;
        }
        s3_hash_add(hash, chunk, (size_t)n);
        at += n;
        size -= (size_t)n;
    }
    mr_free(chunk);
    return status;
}

enum mr_status s3_buffer_send(struct s3_buffer *buffer, size_t start, size_t size,
                              struct s3_flight *flight, const char **checksum, struct mr_error *err)
{
    const struct s3_config *config = &flight->s3->config;
    struct s3_hash *hash;
    char payload[SIGV4_HASH_SIZE], sum[S3_CHECKSUM_SIZE];
    enum mr_status status = MR_OK;
    MR_TRY(s3_hash_new(config->checksum, !config->https, &hash, err));
    if (buffer->disk)
        status = hash_disk(buffer, start, size, hash, err);
    else
        s3_hash_add(hash, buffer->data + start, size);
    s3_hash_end(hash, payload, sum);
    MR_TRY(status);
    if (buffer->disk) {
        struct mr_http_file *file = mr_arena_alloc(&flight->arena, sizeof *file);
        if (!file)
            return mr_error_nomem(err);
        *file = (struct mr_http_file){buffer->buffers->fd, buffer->offset + (int64_t)start,
                                      (int64_t)size};
        flight->call.file = file;
    } else {
        flight->call.body = (struct mr_slice){buffer->data + start, size};
    }
    flight->call.payload_hash = mr_arena_strdup(&flight->arena, payload);
    *checksum = mr_arena_strdup(&flight->arena, sum);
    if (!flight->call.payload_hash || !*checksum)
        return mr_error_nomem(err);
    if (**checksum)
        s3_flight_header(flight, s3_checksum_header(config->checksum), *checksum);
    return MR_OK;
}
