/*
 * discard.c - what a dead run left: its staged objects, its open uploads.
 *
 * Staged objects and marks lie below ".millrace/<tag>/". Uploads are listed below the prefix, and those
 * aborted whose key has the tag in its last part. The listing of uploads holds open ones only, so
 * it is short however large the lake is. A principal that may not list uploads gets a warning:
 * nothing is wrong with what it reads and writes.
 */
#include "store/s3/stage.h"

#include "base/failpoint.h"
#include "store/s3/xml.h"

#include <stdio.h>

#define CONTROL_MICROS INT64_C(60000000)
#define PAGES_MAX      100000

enum mr_status s3_abort_start(struct s3 *s3, const char *path, const char *upload_id,
                              struct mr_error *err)
{
    struct s3_flight *flight;
    MR_TRY(MR_FAILPOINT("store.abort.before", err));
    MR_TRY(s3_flight_new(s3, &flight, err));
    flight->call.method = "DELETE";
    flight->call.key = s3_flight_key(flight, path);
    flight->call.timeout_micros = CONTROL_MICROS;
    flight->call.write = true;
    const char *id = mr_arena_strdup(&flight->arena, upload_id);
    if (!flight->call.key || !id) {
        s3_flight_free(flight);
        return mr_error_nomem(err);
    }
    s3_flight_query(flight, "uploadId", id);
    s3_flight_start(flight);
    return s3_background_add(s3, flight, "abort the upload of", true, NULL, NULL, err);
}

/* --- staged objects and marks --- */

struct leftovers {
    struct mr_arena arena;
    const char **paths;
    size_t count;
    size_t capacity;
};

static enum mr_status note(void *context, const struct mr_store_entry *entry, struct mr_error *err)
{
    struct leftovers *left = context;
    if (left->count == left->capacity) {
        size_t wanted = left->capacity ? left->capacity * 2 : 64;
        const char **more = mr_arena_calloc(&left->arena, wanted, sizeof *more);
        if (!more)
            return mr_error_nomem(err);
        if (left->count)
            memcpy(more, left->paths, left->count * sizeof *more);
        left->paths = more;
        left->capacity = wanted;
    }
    left->paths[left->count] = mr_arena_strdup(&left->arena, entry->path);
    return left->paths[left->count++] ? MR_OK : mr_error_nomem(err);
}

static bool ends_in(const char *text, const char *end)
{
    size_t size = strlen(text), tail = strlen(end);
    return size > tail && strcmp(text + size - tail, end) == 0;
}

static bool is_below(const char *path, const char *prefix)
{
    size_t size = strlen(prefix);
    return size == 0 || (strncmp(path, prefix, size) == 0 &&
                         (prefix[size - 1] == '/' || path[size] == '/' || path[size] == '.'));
}

/* Aborts the upload that a mark names. */
static enum mr_status abort_marked(struct s3 *s3, const char *mark, const char *path,
                                   struct mr_error *err)
{
    char id[2048];
    size_t got = 0;
    struct mr_error failure = {0};
    enum mr_status status = s3_read(s3, mark, 0, id, sizeof id - 1, &got, &failure);
    if (status == MR_SOURCE && failure.cls == MR_CLASS_CONFIG)
        return MR_OK; /* somebody else was faster */
    if (status != MR_OK) {
        if (err)
            *err = failure;
        return status;
    }
    id[got] = '\0';
    if (got == 0 || strlen(id) != got || strcspn(id, "\r\n") != got)
        return MR_OK;
    MR_TRY(s3_abort_start(s3, path, id, err));
    return s3_background_settle(s3, 0, err);
}

/* Is the last part of a path, without an ending of so many bytes, among the kept? */
static bool is_kept(const struct mr_map *kept, const char *path, size_t ending)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t size = strlen(name);
    return kept && size > ending && mr_map_get(kept, (struct mr_slice){name, size - ending});
}

/* `path` is ".millrace/<tag>/<token>/<object>.inprogress" or ".upload". */
static enum mr_status discard_left(struct s3 *s3, const char *path, const char *prefix,
                                   size_t below, const struct mr_map *kept, struct mr_error *err)
{
    const char *slash = strchr(path + below, '/');
    bool upload = ends_in(path, ".upload");
    char object[S3_PATH_MAX + 1];
    if (!slash || strlen(slash) > S3_PATH_MAX || (!upload && !ends_in(path, ".inprogress")) ||
        !is_below(slash + 1, prefix) ||
        is_kept(kept, path, strlen(upload ? ".upload" : ".inprogress")))
        return MR_OK;
    if (upload) {
        snprintf(object, sizeof object, "%.*s", (int)(strlen(slash + 1) - strlen(".upload")),
                 slash + 1);
        MR_TRY(abort_marked(s3, path, object, err));
    }
    return s3_background_remove(s3, path, err);
}

/* --- uploads --- */

struct uploads {
    struct s3 *s3;
    const char *tag;
    const struct mr_map *kept;
    struct mr_arena arena; /* of a page */
    const char *key;
    const char *id;
    const char *key_marker; /* where the next page begins */
    const char *id_marker;
    bool truncated;
};

static enum mr_status take_upload(struct uploads *uploads, struct mr_error *err)
{
    struct s3 *s3 = uploads->s3;
    size_t root = strlen(s3->config.prefix);
    if (!uploads->key || !uploads->id || strncmp(uploads->key, s3->config.prefix, root) != 0)
        return MR_OK;
    const char *path = uploads->key + root;
    if (s3_needs_mark(mr_slice_of(path), mr_slice_of(uploads->tag)) ||
        is_kept(uploads->kept, path, 0))
        return MR_OK;
    return s3_abort_start(s3, path, uploads->id, err);
}

static enum mr_status take_element(void *context, const char *parent, const char *name,
                                   struct mr_slice text, struct mr_error *err)
{
    struct uploads *uploads = context;
    const char **place = NULL;
    if (strcmp(name, "Upload") == 0) {
        enum mr_status status = take_upload(uploads, err);
        uploads->key = uploads->id = NULL;
        return status;
    }
    if (strcmp(parent, "Upload") == 0 && strcmp(name, "Key") == 0)
        place = &uploads->key;
    else if (strcmp(parent, "Upload") == 0 && strcmp(name, "UploadId") == 0)
        place = &uploads->id;
    else if (strcmp(name, "NextKeyMarker") == 0)
        place = &uploads->key_marker;
    else if (strcmp(name, "NextUploadIdMarker") == 0)
        place = &uploads->id_marker;
    else if (strcmp(name, "IsTruncated") == 0)
        uploads->truncated = text.size == 4 && memcmp(text.data, "true", 4) == 0;
    if (!place)
        return MR_OK;
    bool coded = place == &uploads->key || place == &uploads->key_marker;
    *place = coded ? s3_url_decode(&uploads->arena, text)
                   : mr_arena_strndup(&uploads->arena, text.data, text.size);
    return *place ? MR_OK : mr_error_nomem(err);
}

static enum mr_status ask_uploads(struct uploads *uploads, const char *prefix,
                                  struct s3_flight *flight, struct mr_error *err)
{
    flight->call.method = "GET";
    flight->call.timeout_micros = CONTROL_MICROS;
    flight->call.write = true;
    const char *below = s3_flight_key(flight, prefix);
    const char *key = uploads->key_marker, *id = uploads->id_marker;
    if (key)
        key = mr_arena_strdup(&flight->arena, key);
    if (id)
        id = mr_arena_strdup(&flight->arena, id);
    if (!below || (uploads->key_marker && !key) || (uploads->id_marker && !id))
        return mr_error_nomem(err);
    s3_flight_query(flight, "uploads", "");
    s3_flight_query(flight, "encoding-type", "url");
    if (*below)
        s3_flight_query(flight, "prefix", below);
    if (key)
        s3_flight_query(flight, "key-marker", key);
    if (id)
        s3_flight_query(flight, "upload-id-marker", id);
    return s3_flight_run(flight, err);
}

static enum mr_status take_page(struct uploads *uploads, const struct s3_flight *flight,
                                struct mr_error *err)
{
    const struct s3_xml reader = {take_element, uploads};
    uploads->truncated = false;
    if (s3_flight_ok(flight)) {
        uploads->key_marker = uploads->id_marker = NULL;
        return s3_xml_read(s3_flight_body(flight), &reader, err);
    }
    if (s3_flight_code(flight) == 403 || s3_flight_code(flight) == 501) {
        mr_event(uploads->s3->runtime, MR_LOG_WARN,
                 "s3: uploads of s3://%s cannot be listed (HTTP %d): what a killed run left there "
                 "stays until a lifecycle rule removes it",
                 uploads->s3->config.bucket, s3_flight_code(flight));
        return MR_OK;
    }
    return s3_flight_error(flight, "list the uploads of", err);
}

static enum mr_status discard_uploads(struct s3 *s3, const char *prefix, const char *tag,
                                      const struct mr_map *kept, struct mr_error *err)
{
    struct uploads uploads = {.s3 = s3, .tag = tag, .kept = kept};
    enum mr_status status = MR_OK;
    mr_arena_init(&uploads.arena, s3->runtime->memory);
    int pages = 0;
    do {
        struct s3_flight *flight;
        MR_TRY_OUT(s3_flight_new(s3, &flight, err));
        status = ask_uploads(&uploads, prefix, flight, err);
        if (status == MR_OK)
            status = take_page(&uploads, flight, err);
        s3_flight_free(flight);
        MR_TRY_OUT(status);
    } while (uploads.truncated && uploads.key_marker && ++pages < PAGES_MAX);
out:
    mr_arena_reset(&uploads.arena);
    return status;
}

enum mr_status s3_discard_tag(void *handle, const char *prefix, const char *tag,
                              const struct mr_map *kept, struct mr_error *err)
{
    struct s3 *s3 = handle;
    struct leftovers left = {0};
    mr_arena_init(&left.arena, s3->runtime->memory);
    enum mr_status status = MR_OK;
    const char *where = mr_arena_printf(&left.arena, S3_HIDDEN "%s/", tag);
    if (!where)
        MR_TRY_OUT(mr_error_nomem(err));
    MR_TRY_OUT(discard_uploads(s3, prefix, tag, kept, err));
    MR_TRY_OUT(s3_list(s3, where, NULL, true, note, &left, err));
    for (size_t i = 0; i < left.count; i++)
        MR_TRY_OUT(discard_left(s3, left.paths[i], prefix, strlen(where), kept, err));
    MR_TRY_OUT(s3_background_settle(s3, 0, err));
out:
    mr_arena_reset(&left.arena);
    return status;
}
