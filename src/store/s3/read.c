/*
 * read.c - objects read by ranges, several at once.
 *
 * A large range is cut into pieces that are in flight together, because one connection rarely gets
 * more than some tens of MB/s from S3. Pieces are an eighth of the range, from 2 to 8 MiB.
 *
 * All pieces must be of one object: the ETag of the first answer is remembered for the path that the
 * handle reads, sent as If-Match afterwards, and compared in every answer. An object that was
 * replaced while it was read is an error, never a mixture. A read that covers the whole object as far
 * as it is known begins anew, so that small files which change, as _last_checkpoint of Delta, can be read
 * again and again by one handle.
 *
 * Of every answer Content-Range is checked: a proxy that ignores Range would give the wrong bytes.
 */
#include "base/text.h"
#include "base/time.h"
#include "store/s3/s3_private.h"

#include <stdio.h>

#define PIECE_MIN ((size_t)2 << 20)
#define PIECE_MAX ((size_t)8 << 20)
#define PIECES    8
#define IN_FLIGHT 16

struct piece {
    struct mr_store_read *read; /* whose piece it is */
    size_t offset;              /* in the read */
    size_t size;
    struct s3_flight *flight;
};

/* The walk through the pieces of all reads. */
struct cutting {
    struct mr_store_read *reads;
    int nreads;
    int read;      /* the next piece is of this one */
    size_t offset; /* and begins here */
};

void s3_forget(struct s3 *s3)
{
    mr_free(s3->read_path);
    mr_free(s3->read_etag);
    s3->read_path = s3->read_etag = NULL;
    s3->read_size = -1;
}

static size_t piece_size(size_t size)
{
    size_t piece = (size + PIECES - 1) / PIECES;
    return piece < PIECE_MIN ? PIECE_MIN : piece > PIECE_MAX ? PIECE_MAX : piece;
}

static bool cut(struct cutting *cutting, struct piece *out)
{
    while (cutting->read < cutting->nreads &&
           cutting->offset >= cutting->reads[cutting->read].size) {
        cutting->read++;
        cutting->offset = 0;
    }
    if (cutting->read == cutting->nreads)
        return false;
    struct mr_store_read *read = &cutting->reads[cutting->read];
    size_t size = piece_size(read->size);
    if (size > read->size - cutting->offset)
        size = read->size - cutting->offset;
    *out = (struct piece){.read = read, .offset = cutting->offset, .size = size};
    cutting->offset += size;
    return true;
}

static enum mr_status begin(struct s3 *s3, const char *path, struct piece *piece,
                            struct mr_error *err)
{
    MR_TRY(s3_flight_new(s3, &piece->flight, err));
    struct s3_flight *flight = piece->flight;
    int64_t first = piece->read->offset + (int64_t)piece->offset;
    flight->call.method = "GET";
    flight->call.key = s3_flight_key(flight, path);
    flight->call.out = (char *)piece->read->out + piece->offset;
    flight->call.out_size = piece->size;
    const char *range = mr_arena_printf(&flight->arena, "bytes=%lld-%lld", (long long)first,
                                        (long long)(first + (int64_t)piece->size - 1));
    if (!flight->call.key || !range)
        return mr_error_nomem(err);
    s3_flight_header(flight, "range", range);
    if (s3->read_etag) {
        const char *etag = mr_arena_strdup(&flight->arena, s3->read_etag);
        if (!etag)
            return mr_error_nomem(err);
        s3_flight_header(flight, "if-match", etag);
    }
    s3_flight_start(flight);
    return MR_OK;
}

static enum mr_status replaced(const struct s3 *s3, const char *path, struct mr_error *err)
{
    mr_error_set(err, MR_SOURCE, MR_CLASS_FATAL,
                 "s3://%s/%s%s was replaced by another object while it was read", s3->config.bucket,
                 s3->config.prefix, path);
    mr_error_hint(err, "run again; whoever writes there should use new names");
    return MR_SOURCE;
}

static enum mr_status same_object(struct s3 *s3, const char *path, const struct s3_flight *flight,
                                  struct mr_error *err)
{
    struct mr_slice etag = mr_http_header(&flight->transfer.answer, "ETag");
    if (etag.size == 0)
        return MR_OK;
    if (!s3->read_etag) {
        s3->read_etag = mr_strndup(etag.data, etag.size);
        return s3->read_etag ? MR_OK : mr_error_nomem(err);
    }
    return mr_slice_equal(etag, mr_slice_of(s3->read_etag)) ? MR_OK : replaced(s3, path, err);
}

/* "bytes 0-9/100" */
static bool content_range(struct mr_slice text, int64_t *first, int64_t *last, int64_t *total)
{
    char copy[96];
    long long a, b, c;
    snprintf(copy, sizeof copy, "%.*s", text.size < 90 ? (int)text.size : 90, text.data);
    if (sscanf(copy, "bytes %lld-%lld/%lld", &a, &b, &c) != 3 || a < 0 || b < a || c <= b)
        return false;
    *first = a;
    *last = b;
    *total = c;
    return true;
}

static enum mr_status wrong_range(const struct s3_flight *flight, struct mr_error *err)
{
    return mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                        "cannot read s3://%s/%s: the service does not answer with the range of "
                        "bytes that was asked for (HTTP %d)",
                        flight->s3->config.bucket, flight->call.key, s3_flight_code(flight));
}

/* What came for a piece; *got < piece->size only at the object's end. */
static enum mr_status take(struct s3 *s3, const char *path, const struct piece *piece, size_t *got,
                           struct mr_error *err)
{
    const struct s3_flight *flight = piece->flight;
    const struct mr_http_answer *answer = &flight->transfer.answer;
    int64_t offset = piece->read->offset + (int64_t)piece->offset, first, last;
    *got = 0;
    if (answer->status == 416) /* begins behind the end */
        return MR_OK;
    if (answer->status == 412)
        return replaced(s3, path, err);
    if (!s3_flight_ok(flight))
        return s3_flight_error(flight, "read", err);
    MR_TRY(same_object(s3, path, flight, err));
    *got = answer->received;
    if (answer->status == 200) { /* the whole object, which has fitted */
        s3->read_size = (int64_t)*got;
        return offset == 0 ? MR_OK : wrong_range(flight, err);
    }
    if (!content_range(mr_http_header(answer, "Content-Range"), &first, &last, &s3->read_size) ||
        first != offset || last - first + 1 != (int64_t)*got ||
        (*got < piece->size && last + 1 != s3->read_size))
        return wrong_range(flight, err);
    return MR_OK;
}

/* `got` of a read from its pieces, which arrive in any order: nothing may be missing in between. */
static void add_got(struct piece *piece, size_t got)
{
    if (got > 0 && piece->read->got < piece->offset + got)
        piece->read->got = piece->offset + got;
}

static enum mr_status read_pieces(struct s3 *s3, const char *path, struct cutting *cutting,
                                  struct piece *pieces, struct mr_error *err)
{
    int nflying = 0;
    bool more = true;
    int most = s3->config.connections < IN_FLIGHT ? s3->config.connections : IN_FLIGHT;
    while (more || nflying > 0) {
        for (int i = 0; i < most && more; i++) {
            if (pieces[i].flight)
                continue;
            more = cut(cutting, &pieces[i]);
            if (more)
                MR_TRY(begin(s3, path, &pieces[i], err));
            nflying += more;
        }
        bool any = false;
        for (int i = 0; i < most; i++) {
            size_t got;
            if (!pieces[i].flight || !pieces[i].flight->finished)
                continue;
            MR_TRY(s3_flight_wait(pieces[i].flight, err));
            MR_TRY(take(s3, path, &pieces[i], &got, err));
            add_got(&pieces[i], got);
            s3_flight_free(pieces[i].flight);
            pieces[i].flight = NULL;
            nflying--;
            any = true;
        }
        if (!any && nflying > 0)
            MR_TRY(s3_turn(s3, MR_WAIT_SOURCE, err));
    }
    return MR_OK;
}

/* Does one of the reads cover all of the object, as far as we know it? */
static bool begins_anew(const struct s3 *s3, const struct mr_store_read *reads, int nreads)
{
    return nreads == 1 && reads[0].offset == 0 &&
           (s3->read_size < 0 || (int64_t)reads[0].size >= s3->read_size);
}

enum mr_status s3_read_many(void *handle, const char *path, struct mr_store_read *reads, int nreads,
                            struct mr_error *err)
{
    struct s3 *s3 = handle;
    struct piece pieces[IN_FLIGHT] = {{0}};
    struct cutting cutting = {.reads = reads, .nreads = nreads};
    if (*path == '\0')
        return mr_error_config(err, "the path of the object to read is empty");
    for (int i = 0; i < nreads; i++) {
        reads[i].got = 0;
        if (reads[i].offset < 0 || reads[i].size > (size_t)INT64_MAX - (size_t)reads[i].offset)
            return mr_error_internal(err, "a read begins at %lld", (long long)reads[i].offset);
    }
    if (!s3->read_path || strcmp(s3->read_path, path) != 0 || begins_anew(s3, reads, nreads)) {
        s3_forget(s3);
        s3->read_path = mr_strdup(path);
        if (!s3->read_path)
            return mr_error_nomem(err);
    }
    enum mr_status status = read_pieces(s3, path, &cutting, pieces, err);
    for (int i = 0; i < IN_FLIGHT; i++)
        s3_flight_free(pieces[i].flight);
    if (status != MR_OK)
        s3_forget(s3);
    return status;
}

enum mr_status s3_read(void *handle, const char *path, int64_t offset, void *out, size_t size,
                       size_t *got, struct mr_error *err)
{
    struct mr_store_read read = {.offset = offset, .size = size, .out = out};
    enum mr_status status = s3_read_many(handle, path, &read, 1, err);
    *got = status == MR_OK ? read.got : 0;
    return status;
}

/* --- HEAD --- */

enum mr_status s3_head(struct s3 *s3, const char *path, bool write, struct s3_head *out,
                       struct mr_error *err)
{
    struct s3_flight *flight;
    int64_t first, last;
    *out = (struct s3_head){0};
    MR_TRY(s3_flight_new(s3, &flight, err));
    flight->call.method = "HEAD";
    flight->call.key = s3_flight_key(flight, path);
    flight->call.timeout_micros = 60000000;
    flight->call.write = write;
    enum mr_status status = flight->call.key ? s3_flight_run(flight, err) : mr_error_nomem(err);
    const struct mr_http_answer *answer = &flight->transfer.answer;
    if (status == MR_OK && s3_flight_code(flight) == 404 &&
        strcmp(flight->fault.code, "NoSuchBucket") != 0) {
        out->exists = false;
    } else if (status == MR_OK && !s3_flight_ok(flight)) {
        status = s3_flight_error(flight, "look at", err);
    } else if (status == MR_OK) {
        struct mr_slice token = mr_http_header(answer, S3_TOKEN);
        out->exists = true;
        out->modified_micros = s3_http_date(mr_http_header(answer, "Last-Modified"));
        if (!mr_text_to_int64(mr_http_header(answer, "Content-Length"), true, &out->size))
            out->size = 0;
        if (answer->status == 206)
            content_range(mr_http_header(answer, "Content-Range"), &first, &last, &out->size);
        if (token.size < sizeof out->token)
            snprintf(out->token, sizeof out->token, "%.*s", (int)token.size, token.data);
    }
    s3_flight_free(flight);
    return status;
}

enum mr_status s3_stat(void *handle, const char *path, struct mr_store_entry *entry, bool *exists,
                       struct mr_error *err)
{
    struct s3 *s3 = handle;
    struct s3_head head;
    *exists = false;
    if (*path == '\0')
        return MR_OK;
    MR_TRY(s3_head(s3, path, false, &head, err));
    *exists = head.exists;
    *entry = (struct mr_store_entry){path, head.size, head.modified_micros};
    return MR_OK;
}
