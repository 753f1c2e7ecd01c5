/*
 * stage.c - objects being written.
 *
 * S3 has no rename, so where an object waits until it is published depends on its size:
 *
 *  - Up to multipartThreshold it is one PUT to ".millrace/<tag>/<token>/<path>.inprogress"; publishing
 *    copies it to its path inside the service (one request, no bytes through us) and removes it.
 *    A multipart upload of one part would cost two requests more.
 *  - A larger one is a multipart upload under its final key, invisible until it is completed. Parts
 *    are in flight while the task goes on; publishing completes it.
 *
 * What a dead run left must be found by its tag, however large the lake is. Staged objects are found by
 * listing ".millrace/<tag>/". Open uploads can be listed too, but bear nothing except their key: the
 * last part of a path contains the tag (ext/store.h). Should one not, a mark is written before its first
 * part is sent, ".millrace/<tag>/<token>/<path>.upload" with the id of the upload in it, and removed
 * when the upload is completed or aborted.
 *
 * The PUT of a small object goes on when `finish` has returned; `sync` waits for it. Part sizes
 * double every thousand parts, so that 10,000 parts of 8 MB at first make 8 TB.
 */
#include "store/s3/stage.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "store/s3/xml.h"

#include <stdio.h>

#define PARTS_PER_SIZE  1000
#define BACKGROUND_MOST 64
#define CONTROL_MICROS  INT64_C(60000000)

struct s3_part {
    struct s3_part *next;
    struct s3_flight *flight;
    struct s3_buffer *buffer;
    const char *checksum; /* in the flight's arena */
    int number;           /* from 0 */
};

struct s3_stage {
    struct s3 *s3;
    struct s3_stage *next; /* of the handle, while parts of it are in flight */
    struct mr_arena arena; /* path, tag, staged path */
    const char *path;
    const char *tag;
    const char *staged;
    const char *mark;
    char token[33];
    struct s3_buffer *buffer; /* being filled, or NULL */
    int64_t size;
    uint32_t crc;
    const char *upload_id; /* NULL: nothing is sent yet */
    struct s3_part *parts; /* in flight */
    int nflying;
    int nparts;             /* begun */
    struct mr_slice *etags; /* by number: ETag and checksum, in the arena */
    struct mr_slice *sums;
    int capacity;
    enum mr_status status; /* of a part that failed */
    struct mr_error err;
    bool finished;
};

/* --- parts --- */

static enum mr_status keep_part(struct s3_stage *stage, const struct s3_part *part,
                                struct mr_error *err)
{
    struct mr_slice etag = mr_http_header(&part->flight->transfer.answer, "ETag");
    const char *copy = mr_arena_strndup(&stage->arena, etag.data, etag.size);
    const char *sum = mr_arena_strdup(&stage->arena, part->checksum);
    if (!copy || !sum)
        return mr_error_nomem(err);
    if (etag.size == 0 || etag.size > 256)
        return mr_error_set(err, MR_SINK, MR_CLASS_CONFIG,
                            "the service gives no ETag for a part of s3://%s/%s",
                            stage->s3->config.bucket, part->flight->call.key);
    stage->etags[part->number] = (struct mr_slice){copy, etag.size};
    stage->sums[part->number] = mr_slice_of(sum);
    return MR_OK;
}

static void free_part(struct s3_part *part)
{
    s3_flight_free(part->flight);
    s3_buffer_unref(part->buffer);
    mr_free(part);
}

static void reap_stage(struct s3_stage *stage)
{
    for (struct s3_part **place = &stage->parts; *place;) {
        struct s3_part *part = *place;
        if (!part->flight->finished) {
            place = &part->next;
            continue;
        }
        struct mr_error err = {0};
        enum mr_status status = s3_flight_wait(part->flight, &err);
        if (status == MR_OK && !s3_flight_ok(part->flight))
            status = s3_flight_error(part->flight, "upload a part of", &err);
        if (status == MR_OK)
            status = keep_part(stage, part, &err);
        if (status != MR_OK && stage->status == MR_OK) {
            stage->status = status;
            stage->err = err;
        }
        *place = part->next;
        stage->nflying--;
        free_part(part);
    }
}

int s3_parts_reap(struct s3 *s3)
{
    int flying = 0;
    for (struct s3_stage **place = &s3->stages; *place;) {
        struct s3_stage *stage = *place;
        reap_stage(stage);
        flying += stage->nflying;
        if (stage->nflying == 0)
            *place = stage->next;
        else
            place = &stage->next;
    }
    return flying;
}

static bool is_listed(const struct s3_stage *stage)
{
    for (const struct s3_stage *at = stage->s3->stages; at; at = at->next)
        if (at == stage)
            return true;
    return false;
}

/* Waits until at most `most` parts of the stage are in flight. */
static enum mr_status wait_parts(struct s3_stage *stage, int most, struct mr_error *err)
{
    s3_poll(stage->s3);
    for (;;) {
        s3_parts_reap(stage->s3);
        if (stage->status != MR_OK) {
            if (err)
                *err = stage->err;
            return stage->status;
        }
        if (stage->nflying <= most)
            return MR_OK;
        MR_TRY(s3_turn(stage->s3, MR_WAIT_SINK, err));
    }
}

static size_t part_size(const struct s3_stage *stage, int number)
{
    int64_t size = stage->s3->config.part_size;
    for (int i = number / PARTS_PER_SIZE; i > 0 && size < S3_PART_MAX; i--)
        size *= 2;
    return (size_t)(size < S3_PART_MAX ? size : S3_PART_MAX);
}

static enum mr_status need_number(struct s3_stage *stage, struct mr_error *err)
{
    if (stage->nparts == S3_PARTS_MAX) {
        mr_error_set(err, MR_SINK, MR_CLASS_CONFIG, "s3://%s/%s%s has more than %d parts",
                     stage->s3->config.bucket, stage->s3->config.prefix, stage->path, S3_PARTS_MAX);
        mr_error_hint(err, "set a smaller targetFileSize or a larger multipartSize");
        return MR_SINK;
    }
    if (stage->nparts < stage->capacity)
        return MR_OK;
    int wanted = stage->capacity ? stage->capacity * 2 : 64;
    struct mr_slice *both =
        mr_arena_calloc(&stage->arena, (size_t)wanted * 2, sizeof(struct mr_slice));
    if (!both)
        return mr_error_nomem(err);
    if (stage->nparts) {
        memcpy(both, stage->etags, (size_t)stage->nparts * sizeof *both);
        memcpy(both + wanted, stage->sums, (size_t)stage->nparts * sizeof *both);
    }
    stage->etags = both;
    stage->sums = both + wanted;
    stage->capacity = wanted;
    return MR_OK;
}

static enum mr_status make_part(struct s3_stage *stage, size_t start, size_t size,
                                struct s3_part *part, struct mr_error *err)
{
    MR_TRY(s3_flight_new(stage->s3, &part->flight, err));
    struct s3_flight *flight = part->flight;
    flight->call.method = "PUT";
    flight->call.key = s3_flight_key(flight, stage->path);
    flight->call.write = true;
    const char *number = mr_arena_printf(&flight->arena, "%d", part->number + 1);
    if (!flight->call.key || !number)
        return mr_error_nomem(err);
    s3_flight_query(flight, "partNumber", number);
    s3_flight_query(flight, "uploadId", stage->upload_id);
    return s3_buffer_send(part->buffer, start, size, flight, &part->checksum, err);
}

static enum mr_status start_part(struct s3_stage *stage, size_t start, size_t size,
                                 struct mr_error *err)
{
    MR_TRY(need_number(stage, err));
    struct s3_part *part = mr_calloc(1, sizeof *part);
    if (!part)
        return mr_error_nomem(err);
    part->number = stage->nparts;
    part->buffer = s3_buffer_ref(stage->buffer);
    enum mr_status status = make_part(stage, start, size, part, err);
    /* Hashed before there is room, so that no connection waits for that. */
    if (status == MR_OK)
        status = wait_parts(stage, stage->s3->config.upload_threads - 1, err);
    if (status != MR_OK) {
        free_part(part);
        return status;
    }
    stage->nparts++;
    if (!is_listed(stage)) {
        stage->next = stage->s3->stages;
        stage->s3->stages = stage;
    }
    part->next = stage->parts;
    stage->parts = part;
    stage->nflying++;
    s3_flight_start(part->flight);
    return MR_OK;
}

/* --- the upload --- */

struct created {
    struct mr_arena *arena;
    const char *upload_id;
};

static enum mr_status take_created(void *context, const char *parent, const char *name,
                                   struct mr_slice text, struct mr_error *err)
{
    struct created *created = context;
    if (strcmp(parent, "InitiateMultipartUploadResult") != 0 || strcmp(name, "UploadId") != 0)
        return MR_OK;
    created->upload_id = mr_arena_strndup(created->arena, text.data, text.size);
    return created->upload_id ? MR_OK : mr_error_nomem(err);
}

static enum mr_status create(struct s3_stage *stage, struct s3_flight *flight, const char **id,
                             struct mr_error *err)
{
    struct created created = {.arena = &stage->arena};
    const struct s3_xml reader = {take_created, &created};
    const char *algorithm = s3_checksum_algorithm(stage->s3->config.checksum);
    flight->call.method = "POST";
    flight->call.key = s3_flight_key(flight, stage->path);
    flight->call.timeout_micros = CONTROL_MICROS;
    flight->call.write = true;
    flight->call.error_in_200 = true;
    if (!flight->call.key)
        return mr_error_nomem(err);
    s3_flight_query(flight, "uploads", "");
    s3_flight_header(flight, S3_TOKEN, stage->token);
    if (algorithm)
        s3_flight_header(flight, "x-amz-checksum-algorithm", algorithm);
    MR_TRY(s3_flight_run(flight, err));
    if (!s3_flight_ok(flight))
        return s3_flight_error(flight, "begin the upload of", err);
    MR_TRY(s3_xml_read(s3_flight_body(flight), &reader, err));
    if (!created.upload_id || !*created.upload_id)
        return mr_error_set(err, MR_SINK, MR_CLASS_CONFIG,
                            "the service gives no id for the upload of s3://%s/%s",
                            stage->s3->config.bucket, flight->call.key);
    *id = created.upload_id;
    return MR_OK;
}

static enum mr_status begin_upload(struct s3_stage *stage, struct mr_error *err)
{
    struct s3_flight *flight;
    const char *id = NULL;
    MR_TRY(s3_flight_new(stage->s3, &flight, err));
    enum mr_status status = create(stage, flight, &id, err);
    s3_flight_free(flight);
    MR_TRY(status);
    stage->upload_id = id; /* from here on closing aborts it */
    MR_TRY(MR_FAILPOINT("store.upload.begun", err));
    if (!s3_needs_mark(mr_slice_of(stage->path), mr_slice_of(stage->tag)))
        return MR_OK;
    return s3_put(stage->s3, stage->mark, mr_slice_of(id), err);
}

/* Sends the buffer in parts and lets go of it. */
static enum mr_status flush(struct s3_stage *stage, struct mr_error *err)
{
    if (!stage->upload_id)
        MR_TRY(begin_upload(stage, err));
    size_t sent = 0, size = stage->buffer->size;
    while (sent < size) {
        size_t part = part_size(stage, stage->nparts);
        if (part > size - sent)
            part = size - sent;
        MR_TRY(start_part(stage, sent, part, err));
        MR_TRY(MR_FAILPOINT("store.upload.part", err));
        sent += part;
    }
    s3_buffer_unref(stage->buffer);
    stage->buffer = NULL;
    return MR_OK;
}

/* --- the contract's functions --- */

enum mr_status s3_stage_open(void *handle, const char *path, const char *tag, void **out,
                             struct mr_error *err)
{
    struct s3 *s3 = handle;
    *out = NULL;
    MR_TRY(s3_check_path(s3, path, err));
    if (*tag == '\0' || strchr(tag, '/'))
        return mr_error_internal(err, "'%s' is no tag of staged objects", tag);
    struct s3_stage *stage = mr_calloc(1, sizeof *stage);
    if (!stage)
        return mr_error_nomem(err);
    stage->s3 = s3;
    mr_arena_init(&stage->arena, NULL);
    enum mr_status status = s3_random_token(stage->token, err);
    stage->path = mr_arena_strdup(&stage->arena, path);
    stage->tag = mr_arena_strdup(&stage->arena, tag);
    stage->staged = s3_staged_path(&stage->arena, tag, stage->token, path, S3_TICKET_OBJECT);
    stage->mark = s3_staged_path(&stage->arena, tag, stage->token, path, S3_TICKET_UPLOAD);
    if (status == MR_OK && (!stage->path || !stage->tag || !stage->staged || !stage->mark))
        status = mr_error_nomem(err);
    if (status == MR_OK)
        status = s3_check_path(s3, stage->staged, err);
    if (status == MR_OK)
        *out = stage;
    else
        s3_stage_close(stage);
    return status;
}

/* The first buffer holds what one PUT may take, in whole parts. */
static size_t room_of(const struct s3_stage *stage)
{
    const struct s3_config *config = &stage->s3->config;
    if (stage->upload_id)
        return part_size(stage, stage->nparts);
    int64_t parts = (config->threshold + config->part_size - 1) / config->part_size;
    return (size_t)((parts > 0 ? parts : 1) * config->part_size);
}

enum mr_status s3_stage_append(void *opaque, const void *data, size_t size, struct mr_error *err)
{
    struct s3_stage *stage = opaque;
    const char *at = data;
    while (size > 0) {
        if (stage->buffer && stage->buffer->size == stage->buffer->room)
            MR_TRY(flush(stage, err));
        if (!stage->buffer)
            MR_TRY(s3_buffer_new(stage->s3, room_of(stage), stage->upload_id != NULL,
                                 &stage->buffer, err));
        size_t room = stage->buffer->room - stage->buffer->size;
        size_t part = size < room ? size : room;
        MR_TRY(s3_buffer_append(stage->buffer, at, part, err));
        stage->crc = mr_crc32(stage->crc, at, part);
        stage->size += (int64_t)part;
        at += part;
        size -= part;
    }
    return MR_OK;
}

/* One PUT, which goes on in the background. */
static enum mr_status put_staged(struct s3_stage *stage, struct mr_error *err)
{
    struct s3 *s3 = stage->s3;
    struct s3_flight *flight;
    const char *checksum;
    MR_TRY(s3_background_settle(s3, BACKGROUND_MOST, err));
    MR_TRY(s3_flight_new(s3, &flight, err));
    flight->call.method = "PUT";
    flight->call.key = s3_flight_key(flight, stage->staged);
    flight->call.write = true;
    const char *token = mr_arena_strdup(&flight->arena, stage->token);
    enum mr_status status = flight->call.key && token ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        s3_flight_header(flight, S3_TOKEN, token);
    if (status == MR_OK)
        status = stage->buffer
                     ? s3_buffer_send(stage->buffer, 0, stage->buffer->size, flight, &checksum, err)
                     : s3_flight_body_set(flight, (struct mr_slice){"", 0}, err);
    if (status != MR_OK) {
        s3_flight_free(flight);
        return status;
    }
    struct s3_buffer *buffer = stage->buffer;
    stage->buffer = NULL;
    s3_flight_start(flight);
    return s3_background_add(s3, flight, "write", false, s3_buffer_unref, buffer, err);
}

static enum mr_status write_ticket(struct s3_stage *stage, struct mr_bytes *out,
                                   struct mr_error *err)
{
    struct mr_bytes parts;
    mr_bytes_init(&parts, 16 << 20);
    for (int i = 0; i < stage->nparts; i++) {
        mr_bytes_lenpref(&parts, stage->etags[i].data, stage->etags[i].size);
        mr_bytes_lenpref(&parts, stage->sums[i].data, stage->sums[i].size);
    }
    struct s3_ticket ticket = {
        .kind = stage->upload_id ? S3_TICKET_UPLOAD : S3_TICKET_OBJECT,
        .path = mr_slice_of(stage->path),
        .tag = mr_slice_of(stage->tag),
        .token = mr_slice_of(stage->token),
        .size = stage->size,
        .crc = stage->crc,
        .upload_id = mr_slice_of(stage->upload_id ? stage->upload_id : ""),
        .checksum = stage->s3->config.checksum,
        .nparts = stage->nparts,
        .parts = {parts.data ? parts.data : "", parts.size},
    };
    s3_ticket_write(&ticket, out);
    enum mr_status status = mr_bytes_status(&parts, err);
    mr_bytes_reset(&parts);
    return status == MR_OK ? mr_bytes_status(out, err) : status;
}

enum mr_status s3_stage_finish(void *opaque, struct mr_bytes *ticket, struct mr_error *err)
{
    struct s3_stage *stage = opaque;
    if (!stage->upload_id && stage->size <= stage->s3->config.threshold) {
        MR_TRY(put_staged(stage, err));
    } else {
        if (stage->buffer)
            MR_TRY(flush(stage, err));
        MR_TRY(wait_parts(stage, 0, err));
    }
    MR_TRY(write_ticket(stage, ticket, err));
    MR_TRY(MR_FAILPOINT("store.stage.finished", err));
    stage->finished = true;
    return MR_OK;
}

static void leave_list(struct s3_stage *stage)
{
    for (struct s3_stage **place = &stage->s3->stages; *place; place = &(*place)->next) {
        if (*place == stage) {
            *place = stage->next;
            return;
        }
    }
}

void s3_stage_close(void *opaque)
{
    struct s3_stage *stage = opaque;
    if (!stage)
        return;
    leave_list(stage);
    while (stage->parts) {
        struct s3_part *part = stage->parts;
        stage->parts = part->next;
        free_part(part);
    }
    s3_buffer_unref(stage->buffer);
    if (!stage->finished && stage->upload_id &&
        s3_abort_start(stage->s3, stage->path, stage->upload_id, NULL) == MR_OK &&
        s3_needs_mark(mr_slice_of(stage->path), mr_slice_of(stage->tag)))
        s3_background_remove(stage->s3, stage->mark, NULL);
    mr_arena_reset(&stage->arena);
    mr_free(stage);
}
