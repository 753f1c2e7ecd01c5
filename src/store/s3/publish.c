/*
 * publish.c - from a ticket to a visible object, or to nothing; idempotent, in any process.
 *
 * Nothing is ever replaced. Before an object is published HEAD asks whether its key is taken. If it is,
 * that is fine when it bears our token (published before a crash) or holds the same bytes (the
 * same epoch was written twice because the state was set back); anything else stops the run. Names
 * are a pure function of the run's identity, so the moment between HEAD and publishing is nobody
 * else's.
 *
 * Completing an upload twice answers NoSuchUpload the second time, as does one that was aborted: HEAD
 * tells the two apart. A reply that never comes is judged in the same way.
 *
 * The ticket: u8 version 1, u8 kind, path, tag, token (each with its length in front), u64 size, u32 CRC
 * of the bytes, id of the upload, u8 kind of checksum, number of parts, ETag and checksum of each.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "store/s3/stage.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "store/s3/xml.h"

#include <stdio.h>
#include <stdlib.h>

#define TICKET_VERSION  1
#define S3_ETAG_MAX     300
#define CHECK_BYTES     ((size_t)8 << 20)
#define CONTROL_MICROS  INT64_C(60000000)
#define COMPLETE_MICROS INT64_C(600000000)

/* --- tickets --- */

void s3_ticket_write(const struct s3_ticket *ticket, struct mr_bytes *out)
{
    mr_bytes_u8(out, TICKET_VERSION);
    mr_bytes_u8(out, (uint8_t)ticket->kind);
    mr_bytes_lenpref(out, ticket->path.data, ticket->path.size);
    mr_bytes_lenpref(out, ticket->tag.data, ticket->tag.size);
    mr_bytes_lenpref(out, ticket->token.data, ticket->token.size);
    mr_bytes_u64le(out, (uint64_t)ticket->size);
    mr_bytes_u32le(out, ticket->crc);
    mr_bytes_lenpref(out, ticket->upload_id.data, ticket->upload_id.size);
    mr_bytes_u8(out, (uint8_t)ticket->checksum);
    mr_bytes_varint(out, (uint64_t)ticket->nparts);
    mr_bytes_append(out, ticket->parts.data, ticket->parts.size);
}

static bool is_plain(struct mr_slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < 0x20)
            return false;
    return true;
}

enum mr_status s3_ticket_read(struct mr_slice data, struct s3_ticket *out, struct mr_error *err)
{
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, data.data, data.size);
    uint8_t version = mr_byte_reader_u8(&reader);
    out->kind = (enum s3_ticket_kind)mr_byte_reader_u8(&reader);
    out->path = mr_byte_reader_lenpref(&reader);
    out->tag = mr_byte_reader_lenpref(&reader);
    out->token = mr_byte_reader_lenpref(&reader);
    out->size = (int64_t)mr_byte_reader_u64le(&reader);
    out->crc = mr_byte_reader_u32le(&reader);
    out->upload_id = mr_byte_reader_lenpref(&reader);
    uint8_t checksum = mr_byte_reader_u8(&reader);
    uint64_t nparts = mr_byte_reader_varint(&reader);
    const char *parts = (const char *)reader.at;
    bool good = !reader.bad && version == TICKET_VERSION && nparts <= S3_PARTS_MAX &&
                checksum <= S3_CHECKSUM_SHA256 && is_plain(out->path) && is_plain(out->tag) &&
                is_plain(out->token) && is_plain(out->upload_id) &&
                (out->kind == S3_TICKET_OBJECT
                     ? nparts == 0
                     : out->kind == S3_TICKET_UPLOAD && nparts > 0 && out->upload_id.size > 0);
    for (uint64_t i = 0; good && i < 2 * nparts; i++)
        good = is_plain(mr_byte_reader_lenpref(&reader)) && !reader.bad;
    if (!good || reader.at != reader.end)
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                            "the record of a staged object is damaged or of another version");
    out->checksum = (enum s3_checksum)checksum;
    out->nparts = (int)nparts;
    out->parts = (struct mr_slice){parts, (size_t)((const char *)reader.end - parts)};
    return MR_OK;
}

char *s3_staged_path(struct mr_arena *arena, const char *tag, const char *token, const char *path,
                     enum s3_ticket_kind kind)
{
    return mr_arena_printf(arena, S3_HIDDEN "%s/%s/%s.%s", tag, token, path,
                           kind == S3_TICKET_OBJECT ? "inprogress" : "upload");
}

bool s3_needs_mark(struct mr_slice path, struct mr_slice tag)
{
    const char *last = path.data;
    for (size_t i = 0; i < path.size; i++)
        if (path.data[i] == '/')
            last = path.data + i + 1;
    size_t size = path.size - (size_t)(last - path.data);
    return !memmem(last, size, tag.data, tag.size);
}

/* Is there a hidden object besides: the bytes, or a mark? */
static bool has_staged(const struct s3_ticket *ticket)
{
    return ticket->kind == S3_TICKET_OBJECT || s3_needs_mark(ticket->path, ticket->tag);
}

/* A ticket's texts, ended by NULs. */
struct names {
    struct mr_arena arena;
    const char *path;
    const char *token;
    const char *upload_id;
    const char *staged; /* or the mark */
};

static enum mr_status names_of(const struct s3 *s3, const struct s3_ticket *ticket,
                               struct names *out, struct mr_error *err)
{
    mr_arena_init(&out->arena, NULL);
    struct mr_arena *arena = &out->arena;
    const char *tag = mr_arena_strndup(arena, ticket->tag.data, ticket->tag.size);
    out->path = mr_arena_strndup(arena, ticket->path.data, ticket->path.size);
    out->token = mr_arena_strndup(arena, ticket->token.data, ticket->token.size);
    out->upload_id = mr_arena_strndup(arena, ticket->upload_id.data, ticket->upload_id.size);
    enum mr_status status = MR_OK;
    out->staged = tag && out->path && out->token
                      ? s3_staged_path(arena, tag, out->token, out->path, ticket->kind)
                      : NULL;
    if (!out->staged || !out->upload_id)
        status = mr_error_nomem(err);
    if (status == MR_OK)
        status = s3_check_path(s3, out->path, err);
    if (status != MR_OK)
        mr_arena_reset(arena);
    return status;
}

/* --- is it there already? --- */

static enum mr_status same_bytes(struct s3 *s3, const char *path, const struct s3_ticket *ticket,
                                 bool *same, struct mr_error *err)
{
    char *buffer = mr_alloc(CHECK_BYTES);
    uint32_t crc = 0;
    int64_t at = 0;
    enum mr_status status = buffer ? MR_OK : mr_error_nomem(err);
    s3_forget(s3);
    while (status == MR_OK && at < ticket->size) {
        size_t got = 0;
        status = s3_read(s3, path, at, buffer, CHECK_BYTES, &got, err);
        if (status != MR_OK || got == 0)
            break;
        crc = mr_crc32(crc, buffer, got);
        at += (int64_t)got;
    }
    s3_forget(s3);
    mr_free(buffer);
    *same = status == MR_OK && at == ticket->size && crc == ticket->crc;
    return status;
}

/* *there: the key holds what the ticket means. Another object under it is an error. */
static enum mr_status look(struct s3 *s3, const struct names *names, const struct s3_ticket *ticket,
                           bool *there, struct mr_error *err)
{
    struct s3_head head;
    *there = false;
    MR_TRY(s3_head(s3, names->path, true, &head, err));
    if (!head.exists)
        return MR_OK;
    *there = strcmp(head.token, names->token) == 0 && head.size == ticket->size;
    if (!*there && head.size == ticket->size)
        MR_TRY(same_bytes(s3, names->path, ticket, there, err));
    if (*there)
        return MR_OK;
    mr_error_set(err, MR_SINK, MR_CLASS_FATAL, "s3://%s/%s%s exists already with other content",
                 s3->config.bucket, s3->config.prefix, names->path);
    mr_error_hint(err, "somebody else wrote there between the run and its commit");
    return MR_SINK;
}

static enum mr_status gone(const struct s3 *s3, const struct names *names, struct mr_error *err)
{
    mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                 "what was staged for s3://%s/%s%s is gone, and the object is not there either",
                 s3->config.bucket, s3->config.prefix, names->path);
    mr_error_hint(err,
                  "a lifecycle rule that aborts uploads or removes .millrace/ must wait longer "
                  "than the longest outage");
    return MR_SINK;
}

/* --- publishing --- */

static enum mr_status make_copy(struct s3 *s3, const struct names *names, struct s3_flight *flight,
                                struct mr_error *err)
{
    struct mr_bytes source;
    mr_bytes_init(&source, 1 << 14);
    mr_bytes_printf(&source, "/%s/", s3->config.bucket);
    sigv4_encode(&source, mr_slice_of(s3->config.prefix), true);
    sigv4_encode(&source, mr_slice_of(names->staged), true);
    const char *copy = mr_bytes_to_arena(&source, &flight->arena);
    flight->call.method = "PUT";
    flight->call.key = s3_flight_key(flight, names->path);
    flight->call.write = true;
    flight->call.error_in_200 = true;
    flight->call.stall_micros = COMPLETE_MICROS;
    if (!copy || !flight->call.key)
        return mr_error_nomem(err);
    s3_flight_header(flight, "x-amz-copy-source", copy);
    return s3_flight_run(flight, err);
}

static enum mr_status publish_object(struct s3 *s3, const struct names *names, struct mr_error *err)
{
    struct s3_flight *flight;
    MR_TRY(s3_flight_new(s3, &flight, err));
    enum mr_status status = make_copy(s3, names, flight, err);
    if (status == MR_OK && s3_flight_code(flight) == 404 &&
        strcmp(flight->fault.code, "NoSuchBucket") != 0)
        status = gone(s3, names, err);
    else if (status == MR_OK && !s3_flight_ok(flight))
        status = s3_flight_error(flight, "publish", err);
    s3_flight_free(flight);
    return status;
}

/* <CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"..."</ETag></Part>... */
static enum mr_status part_list(const struct s3_ticket *ticket, struct mr_bytes *out,
                                struct mr_error *err)
{
    const char *algorithm = s3_checksum_algorithm(ticket->checksum);
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, ticket->parts.data, ticket->parts.size);
    mr_bytes_text(out, "<CompleteMultipartUpload "
                       "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (int i = 0; i < ticket->nparts; i++) {
        struct mr_slice etag = mr_byte_reader_lenpref(&reader);
        struct mr_slice sum = mr_byte_reader_lenpref(&reader);
        mr_bytes_printf(out, "<Part><PartNumber>%d</PartNumber><ETag>%.*s</ETag>", i + 1,
                        (int)etag.size, etag.data);
        if (algorithm && sum.size > 0)
            mr_bytes_printf(out, "<Checksum%s>%.*s</Checksum%s>", algorithm, (int)sum.size,
                            sum.data, algorithm);
        mr_bytes_text(out, "</Part>");
    }
    mr_bytes_text(out, "</CompleteMultipartUpload>");
    return mr_bytes_status(out, err);
}

static enum mr_status send_complete(const struct s3_ticket *ticket, const struct names *names,
                                    struct s3_flight *flight, struct mr_bytes *body,
                                    struct mr_error *err)
{
    flight->call.method = "POST";
    flight->call.key = s3_flight_key(flight, names->path);
    flight->call.write = true;
    flight->call.error_in_200 = true;
    flight->call.stall_micros = COMPLETE_MICROS;
    if (!flight->call.key)
        return mr_error_nomem(err);
    MR_TRY(part_list(ticket, body, err));
    flight->call.body = (struct mr_slice){body->data, body->size};
    s3_flight_query(flight, "uploadId", names->upload_id);
    s3_flight_header(flight, "content-type", "application/xml");
    return s3_flight_run(flight, err);
}

/* After no answer, or NoSuchUpload: is the object there? */
static enum mr_status settle(struct s3 *s3, const struct s3_ticket *ticket,
                             const struct names *names, const struct mr_error *lost,
                             struct mr_error *err)
{
    bool there;
    MR_TRY(look(s3, names, ticket, &there, err));
    if (there)
        return MR_OK;
    if (!lost)
        return gone(s3, names, err);
    if (err) {
        *err = *lost;
        err->cls = MR_CLASS_UNKNOWN;
    }
    return lost->status;
}

static enum mr_status publish_upload(struct s3 *s3, const struct s3_ticket *ticket,
                                     const struct names *names, struct mr_error *err)
{
    struct s3_flight *flight;
    struct mr_error failure = {0};
    struct mr_bytes body;
    MR_TRY(s3_flight_new(s3, &flight, err));
    mr_bytes_init(&body, 16 << 20);
    enum mr_status status = send_complete(ticket, names, flight, &body, &failure);
    bool answered = status == MR_OK;
    if (answered && s3_flight_ok(flight))
        status = MR_OK;
    else if (answered && strcmp(flight->fault.code, "NoSuchUpload") == 0)
        status = settle(s3, ticket, names, NULL, err);
    else {
        if (answered)
            status = s3_flight_error(flight, "publish", &failure);
        if (flight->uncertain && status != MR_CANCELLED)
            status = settle(s3, ticket, names, &failure, err);
        else if (err)
            *err = failure;
    }
    s3_flight_free(flight);
    mr_bytes_reset(&body);
    return status;
}

enum mr_status s3_publish(void *handle, struct mr_slice data, struct mr_error *err)
{
    struct s3 *s3 = handle;
    struct s3_ticket ticket;
    struct names names;
    bool there = false;
    MR_TRY(s3_ticket_read(data, &ticket, err));
    MR_TRY(s3_background_settle_puts(s3, err));
    MR_TRY(names_of(s3, &ticket, &names, err));
    s3_forget(s3);
    enum mr_status status = look(s3, &names, &ticket, &there, err);
    if (status == MR_OK)
        status = MR_FAILPOINT("store.publish.before", err);
    if (status == MR_OK && !there)
        status = ticket.kind == S3_TICKET_OBJECT ? publish_object(s3, &names, err)
                                                 : publish_upload(s3, &ticket, &names, err);
    if (status == MR_OK)
        status = MR_FAILPOINT("store.publish.after", err);
    if (status == MR_OK && has_staged(&ticket))
        status = s3_background_remove(s3, names.staged, err);
    if (status == MR_OK)
        mr_progressed(s3->runtime);
    mr_arena_reset(&names.arena);
    return status;
}

/* The parts of an open upload, as they are listed, against those of the ticket. */
struct listed {
    const struct s3_ticket *ticket;
    char etag[S3_ETAG_MAX]; /* of the part being read */
    int number;
    bool *seen; /* by number */
    int count;  /* of those seen */
    int last;   /* the highest number listed */
    bool truncated;
};

static struct mr_slice bare(struct mr_slice etag)
{
    bool quoted = etag.size > 1 && etag.data[0] == '"' && etag.data[etag.size - 1] == '"';
    return quoted ? (struct mr_slice){etag.data + 1, etag.size - 2} : etag;
}

static struct mr_slice etag_of(const struct s3_ticket *ticket, int number)
{
    struct mr_byte_reader reader;
    struct mr_slice etag = {"", 0};
    mr_byte_reader_init(&reader, ticket->parts.data, ticket->parts.size);
    for (int i = 0; i < number; i++) {
        etag = mr_byte_reader_lenpref(&reader);
        mr_byte_reader_lenpref(&reader);
    }
    return etag;
}

/* A number may be listed more than once by services that keep what was sent again. */
static void take_listed_part(struct listed *listed)
{
    int number = listed->number;
    bool known = number > 0 && number <= listed->ticket->nparts && !listed->seen[number];
    if (number > listed->last)
        listed->last = number;
    if (known &&
        mr_slice_equal(bare(etag_of(listed->ticket, number)), bare(mr_slice_of(listed->etag)))) {
        listed->seen[number] = true;
        listed->count++;
    }
    listed->number = 0;
    listed->etag[0] = '\0';
}

static enum mr_status take_listed(void *context, const char *parent, const char *name,
                                  struct mr_slice text, struct mr_error *err)
{
    struct listed *listed = context;
    (void)err;
    if (strcmp(name, "IsTruncated") == 0)
        listed->truncated = text.size == 4 && memcmp(text.data, "true", 4) == 0;
    if (strcmp(name, "Part") == 0)
        take_listed_part(listed);
    if (strcmp(parent, "Part") != 0)
        return MR_OK;
    if (strcmp(name, "ETag") == 0)
        snprintf(listed->etag, sizeof listed->etag, "%.*s", (int)text.size, text.data);
    if (strcmp(name, "PartNumber") == 0 && text.size < 8) {
        char digits[8];
        snprintf(digits, sizeof digits, "%.*s", (int)text.size, text.data);
        listed->number = atoi(digits);
    }
    return MR_OK;
}

/*
 * Is the upload still open, with our parts? Some services answer 200 and an empty list when it is not. One page is looked
 * at: parts live as long as their upload does.
 */
static enum mr_status is_open(struct s3 *s3, const struct s3_ticket *ticket,
                              const struct names *names, bool *open, struct mr_error *err)
{
    struct s3_flight *flight;
    struct listed listed = {.ticket = ticket};
    const struct s3_xml reader = {take_listed, &listed};
    MR_TRY(s3_flight_new(s3, &flight, err));
    flight->call.method = "GET";
    flight->call.key = s3_flight_key(flight, names->path);
    flight->call.timeout_micros = CONTROL_MICROS;
    flight->call.write = true;
    listed.seen = mr_arena_calloc(&flight->arena, (size_t)ticket->nparts + 1, sizeof(bool));
    enum mr_status status = flight->call.key && listed.seen ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK) {
        s3_flight_query(flight, "uploadId", names->upload_id);
        status = s3_flight_run(flight, err);
    }
    bool answered = status == MR_OK && s3_flight_ok(flight);
    if (answered)
        status = s3_xml_read(s3_flight_body(flight), &reader, err);
    *open = answered && status == MR_OK && listed.count > 0 &&
            listed.count == (listed.truncated ? listed.last : ticket->nparts);
    s3_flight_free(flight);
    return status;
}

enum mr_status s3_is_staged(void *handle, struct mr_slice data, bool *whole, struct mr_error *err)
{
    struct s3 *s3 = handle;
    struct s3_ticket ticket;
    struct names names;
    *whole = false;
    MR_TRY(s3_ticket_read(data, &ticket, err));
    MR_TRY(s3_background_settle(s3, 0, err));
    MR_TRY(names_of(s3, &ticket, &names, err));
    s3_forget(s3);
    enum mr_status status = MR_OK;
    if (ticket.kind == S3_TICKET_UPLOAD) {
        status = is_open(s3, &ticket, &names, whole, err);
    } else {
        struct s3_head head;
        status = s3_head(s3, names.staged, true, &head, err);
        *whole = status == MR_OK && head.exists && head.size == ticket.size &&
                 strcmp(head.token, names.token) == 0;
    }
    mr_arena_reset(&names.arena);
    return status;
}

enum mr_status s3_discard(void *handle, struct mr_slice data, struct mr_error *err)
{
    struct s3 *s3 = handle;
    struct s3_ticket ticket;
    struct names names;
    MR_TRY(s3_ticket_read(data, &ticket, err));
    MR_TRY(s3_background_settle(s3, 0, err));
    MR_TRY(names_of(s3, &ticket, &names, err));
    enum mr_status status = MR_OK;
    if (ticket.kind == S3_TICKET_UPLOAD) {
        /* The mark goes last: without it nobody would find the upload. */
        status = s3_abort_start(s3, names.path, names.upload_id, err);
        if (status == MR_OK)
            status = s3_background_settle(s3, 0, err);
    }
    if (status == MR_OK && has_staged(&ticket))
        status = s3_background_remove(s3, names.staged, err);
    mr_arena_reset(&names.arena);
    return status;
}
