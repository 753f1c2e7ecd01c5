/*
 * marker.c - the memory of a directory of files, so that a state that was lost or copied is noticed.
 *
 * {"version": 1, "stateKey": "orders", "lane": 0, "loads": [
 *   {"load": 0, "stateUuid": "5f..", "epoch": 7, "run": "2026..", "positions": "01a4..", "unfinished": "0301.."}],
 *  "check": "9ab01c3d"}
 *
 * One small object for each stateKey and lane, below the target in .millrace-state/, which no reader of data sets looks into (and not
 * in .millrace/ of a bucket, which lifecycle rules empty). Its name has no extension, so that a pattern like "**" with
 * ".json" does not find it either. It is replaced as a whole twice in a commit:
 * before the first file becomes visible, with the token of the commit in `unfinished`, and when all is done, without. So it never
 * claims an epoch of which a file may be missing without saying how to finish it, and no file of an epoch is ever visible
 * that it does not name. One object written after the files would leave a gap in which a killed run and a lost state together bring
 * rows twice; written only before them it would have to be proven against every file at each start.
 *
 * Bytes are hexadecimal. `check` is the CRC-32 of everything in front of it.
 */
#include "connect/files/marker.h"

#include "base/hash.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define MAXIMUM_SIZE ((int64_t)1 << 30)
#define CHECK        ",\n \"check\": \""
#define CHECK_SIZE   (sizeof CHECK - 1 + 8 + 3) /* the digits, then quote, brace, line feed */
#define PATH_SIZE    64

static void path_of(const char *state_key, int lane, char out[PATH_SIZE])
{
    uint64_t hash = mr_hash_combine(mr_hash64(state_key, strlen(state_key)), (uint64_t)lane);
    snprintf(out, PATH_SIZE, ".millrace-state/%016llx", (unsigned long long)hash);
}

static enum mr_status damaged(const char *path, const char *why, struct mr_error *err)
{
    mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                 "%s at the target is damaged or of another version: %s", path, why);
    if (err)
        mr_error_hint(err, "it says which epoch was loaded last; if you know that the state fits "
                           "what is there, remove it");
    return MR_SINK;
}

/* ---- reading ---- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A missing text is no bytes. */
static enum mr_status take_bytes(const json_t *text, struct mr_arena *arena, struct mr_slice *out,
                                 bool *bad, struct mr_error *err)
{
    size_t size = json_string_length(text) / 2;
    const char *hex = json_string_value(text);
    char *bytes = mr_arena_alloc(arena, size + 1);
    if (!bytes)
        return mr_error_nomem(err);
    for (size_t i = 0; i < size; i++) {
        int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
        *bad |= high < 0 || low < 0;
        bytes[i] = (char)(((unsigned)high << 4 | (unsigned)low) & 0xff);
    }
    *bad |= json_string_length(text) % 2 != 0;
    *out = (struct mr_slice){bytes, size};
    return MR_OK;
}

static enum mr_status take_load(const json_t *json, struct mr_arena *arena,
                                struct files_memory *out, bool *bad, struct mr_error *err)
{
    const json_t *load = json_object_get(json, "load"), *epoch = json_object_get(json, "epoch");
    const char *uuid = json_string_value(json_object_get(json, "stateUuid"));
    const char *run = json_string_value(json_object_get(json, "run"));
    *bad |= !json_is_integer(load) || !json_is_integer(epoch) || json_integer_value(epoch) < 0 ||
            json_integer_value(load) < 0 || json_integer_value(load) > INT32_MAX || !uuid ||
            strlen(uuid) > 32;
    if (*bad)
        return MR_OK;
    out->load = (int)json_integer_value(load);
    out->epoch = json_integer_value(epoch);
    out->uuid = mr_arena_strdup(arena, uuid);
    out->run = mr_arena_strdup(arena, run ? run : "");
    if (!out->uuid || !out->run)
        return mr_error_nomem(err);
    MR_TRY(take_bytes(json_object_get(json, "positions"), arena, &out->positions, bad, err));
    return take_bytes(json_object_get(json, "unfinished"), arena, &out->unfinished, bad, err);
}

static enum mr_status take_loads(const json_t *root, struct mr_arena *arena,
                                 struct files_marker *out, bool *bad, struct mr_error *err)
{
    const json_t *loads = json_object_get(root, "loads");
    const char *key = json_string_value(json_object_get(root, "stateKey"));
    *bad = json_integer_value(json_object_get(root, "version")) != 1 || !json_is_array(loads) ||
           !key || strcmp(key, out->state_key) != 0 ||
           json_integer_value(json_object_get(root, "lane")) != out->lane;
    size_t count = *bad ? 0 : json_array_size(loads);
    out->loads = mr_arena_calloc(arena, count + 1, sizeof *out->loads);
    if (!out->loads)
        return mr_error_nomem(err);
    for (size_t i = 0; i < count && !*bad; i++)
        MR_TRY(take_load(json_array_get(loads, i), arena, &out->loads[i], bad, err));
    out->count = (int)count;
    return MR_OK;
}

static bool is_whole(const char *text, size_t size)
{
    char check[CHECK_SIZE + 1];
    if (size < CHECK_SIZE)
        return false;
    size -= CHECK_SIZE;
    snprintf(check, sizeof check, CHECK "%08x\"}\n", mr_crc32(0, text, size));
    return memcmp(text + size, check, CHECK_SIZE) == 0;
}

static enum mr_status parse(const char *path, const char *text, size_t size, struct mr_arena *arena,
                            struct files_marker *out, struct mr_error *err)
{
    json_error_t problem;
    bool bad = false;
    if (!is_whole(text, size))
        return damaged(path, "its check does not fit", err);
    json_t *root = json_loadb(text, size, JSON_ALLOW_NUL, &problem);
    if (!root)
        return damaged(path, problem.text, err);
    enum mr_status status = take_loads(root, arena, out, &bad, err);
    json_decref(root);
    return status == MR_OK && bad ? damaged(path, "it says other things than expected", err)
                                  : status;
}

enum mr_status files_marker_read(const struct mr_store *store, void *handle, const char *state_key,
                                 int lane, struct mr_arena *arena, struct files_marker *out,
                                 struct mr_error *err)
{
    struct mr_store_entry entry;
    bool found;
    char path[PATH_SIZE];
    *out = (struct files_marker){.state_key = state_key, .lane = lane};
    path_of(state_key, lane, path);
    MR_TRY(store->stat(handle, path, &entry, &found, err));
    if (!found)
        return MR_OK;
    if (entry.size > MAXIMUM_SIZE)
        return damaged(path, "it is larger than 1 GB", err);
    size_t got = 0;
    char *text = mr_alloc((size_t)entry.size + 1);
    if (!text)
        return mr_error_nomem(err);
    enum mr_status status = store->read(handle, path, 0, text, (size_t)entry.size, &got, err);
    if (status == MR_OK)
        status = parse(path, text, got, arena, out, err);
    mr_free(text);
    return status;
}

struct files_memory *files_marker_find(const struct files_marker *marker, int load)
{
    for (int i = 0; i < marker->count; i++) {
        if (marker->loads[i].load == load)
            return &marker->loads[i];
    }
    return NULL;
}

/* ---- writing ---- */

static void put_bytes(struct mr_bytes *out, const char *name, struct mr_slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    if (bytes.size == 0)
        return;
    mr_bytes_printf(out, ", \"%s\": \"", name);
    char *hex = mr_bytes_reserve(out, 2 * bytes.size);
    for (size_t i = 0; hex && i < bytes.size; i++) {
        hex[2 * i] = digits[(unsigned char)bytes.data[i] >> 4];
        hex[2 * i + 1] = digits[bytes.data[i] & 15];
    }
    out->size += hex ? 2 * bytes.size : 0;
    mr_bytes_char(out, '"');
}

static void put_load(struct mr_bytes *out, const struct files_memory *memory)
{
    mr_bytes_printf(out, "\n  {\"load\": %d, \"stateUuid\": ", memory->load);
    mr_bytes_json_string(out, memory->uuid, strlen(memory->uuid));
    mr_bytes_printf(out, ", \"epoch\": %lld", (long long)memory->epoch);
    if (memory->run[0]) {
        mr_bytes_text(out, ", \"run\": ");
        mr_bytes_json_string(out, memory->run, strlen(memory->run));
    }
    put_bytes(out, "positions", memory->positions);
    put_bytes(out, "unfinished", memory->unfinished);
    mr_bytes_char(out, '}');
}

static void print(const struct files_marker *marker, const struct files_memory *memory,
                  struct mr_bytes *out)
{
    mr_bytes_text(out, "{\"version\": 1, \"stateKey\": ");
    mr_bytes_json_string(out, marker->state_key, strlen(marker->state_key));
    mr_bytes_printf(out, ", \"lane\": %d, \"loads\": [", marker->lane);
    for (int i = 0; i < marker->count; i++) {
        if (marker->loads[i].load == memory->load)
            continue;
        put_load(out, &marker->loads[i]);
        mr_bytes_char(out, ',');
    }
    put_load(out, memory);
    mr_bytes_text(out, "]");
    uint32_t crc = out->data ? mr_crc32(0, out->data, out->size) : 0;
    mr_bytes_printf(out, CHECK "%08x\"}\n", crc);
}

enum mr_status files_marker_write(const struct mr_store *store, void *handle,
                                  const struct files_marker *marker,
                                  const struct files_memory *memory, struct mr_error *err)
{
    struct mr_bytes text;
    char path[PATH_SIZE];
    mr_bytes_init(&text, (size_t)MAXIMUM_SIZE);
    path_of(marker->state_key, marker->lane, path);
    print(marker, memory, &text);
    enum mr_status status = mr_bytes_status(&text, err);
    if (status == MR_OK)
        status = store->put(handle, path, (struct mr_slice){text.data, text.size}, err);
    mr_bytes_reset(&text);
    return status == MR_OK ? store->sync(handle, err) : status;
}

/* ---- claims ---- */

static void claim_path(const struct files_token *token, char out[PATH_SIZE])
{
    uint64_t of = mr_hash64(token->state_key, strlen(token->state_key));
    uint64_t hash = mr_hash_combine(mr_hash64(token->uuid, strlen(token->uuid)), of);
    hash = mr_hash_combine(mr_hash_combine(hash, (uint64_t)token->lane), (uint64_t)token->load);
    snprintf(out, PATH_SIZE, ".millrace-state/%016llx.claim",
             (unsigned long long)mr_hash_combine(hash, (uint64_t)token->epoch));
}

static enum mr_status is_ours(const struct mr_store *store, void *handle, const char *path,
                              const struct files_token *token, bool *ours, struct mr_error *err)
{
    char text[64] = "";
    struct mr_store_entry entry;
    bool found;
    size_t got = 0;
    *ours = false;
    MR_TRY(store->stat(handle, path, &entry, &found, err));
    if (!found)
        return MR_OK;
    MR_TRY(store->read(handle, path, 0, text, sizeof text - 1, &got, err));
    *ours = got == strlen(token->run) && memcmp(text, token->run, got) == 0;
    return MR_OK;
}

enum mr_status files_claim_take(const struct mr_store *store, void *handle,
                                const struct files_token *token, bool *ours, struct mr_error *err)
{
    char path[PATH_SIZE];
    struct mr_error failure = {0};
    *ours = true;
    if (!token->run[0])
        return MR_OK;
    claim_path(token, path);
    enum mr_status status =
        store->put_if_absent(handle, path, mr_slice_of(token->run), ours, &failure);
    if (status == MR_OK)
        return *ours ? MR_OK : is_ours(store, handle, path, token, ours, err);
    *ours = true;
    if (failure.cls == MR_CLASS_CONFIG)
        return MR_OK;
    if (err)
        *err = failure;
    return status;
}

enum mr_status files_claim_drop(const struct mr_store *store, void *handle,
                                const struct files_token *token, bool any, struct mr_error *err)
{
    char path[PATH_SIZE];
    bool ours = any;
    if (!token->run[0])
        return MR_OK;
    claim_path(token, path);
    if (!any)
        MR_TRY(is_ours(store, handle, path, token, &ours, err));
    return ours ? store->remove(handle, path, err) : MR_OK;
}
