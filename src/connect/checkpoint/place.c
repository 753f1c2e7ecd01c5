/*
 * place.c - where the files of checkpoints are, how they are called, which of them may go.
 *
 * Without `path` they are in the state's directory, <state>/checkpoints. Names begin with a hash of
 * the state's identity and the state key, so that pipelines can share a place, and what a sweep
 * removes was written by this pipeline: under its lease nobody else writes such names.
 */
#include "connect/checkpoint/frame.h"

#include "base/hash.h"
#include "dataset/location.h"

#include <stdio.h>
#include <unistd.h>

#define SUFFIX ".frame"

static void make_key(const struct mr_runtime *runtime, char key[17])
{
    uint64_t hash = mr_hash64(runtime->state_uuid, strlen(runtime->state_uuid));
    hash = mr_hash64_seed(runtime->state_key, strlen(runtime->state_key), hash);
    snprintf(key, 17, "%016llx", (unsigned long long)hash);
}

/* Another start may come from another working directory. */
static enum mr_status make_absolute(struct mr_arena *arena, const char **url, struct mr_error *err)
{
    char directory[4096];
    if (*url == NULL || (*url)[0] == '/' || strstr(*url, "://") != NULL)
        return MR_OK;
    if (getcwd(directory, sizeof directory) == NULL)
        return mr_error_config(err, "the working directory cannot be found");
    *url = mr_arena_printf(arena, "%s/%s", directory, *url);
    return *url != NULL ? MR_OK : mr_error_nomem(err);
}

enum mr_status frame_locate(const struct mr_options *options, struct mr_runtime *runtime,
                            struct mr_arena *arena, struct frame_place *out, struct mr_error *err)
{
    struct mr_location location;
    *out = (struct frame_place){.url = NULL};
    make_key(runtime, out->key);
    if (mr_options_has(options, "path")) {
        MR_TRY(mr_locate(options, runtime, arena, &location, err));
    } else if (runtime->state_dir != NULL) {
        const char *path = mr_arena_printf(arena, "%s/checkpoints", runtime->state_dir);
        MR_TRY(path != NULL ? make_absolute(arena, &path, err) : mr_error_nomem(err));
        MR_TRY(mr_locate_text(path, NULL, runtime, arena, &location, err));
    } else {
        mr_error_config(err, "the state is in a PostgreSQL: a checkpoint needs a path");
        mr_error_hint(err, "give a path that every host which may run this pipeline reaches "
                           "(s3://.., a shared directory)");
        return MR_CONFIG;
    }
    MR_TRY(make_absolute(arena, &location.url, err));
    out->store = location.store;
    out->url = location.url;
    out->text = location.text;
    return MR_OK;
}

char *frame_name(struct mr_arena *arena, const struct frame_place *place,
                 const struct mr_runtime *runtime, int n)
{
    const char *label = runtime->memory->name;
    return mr_arena_printf(arena, "millrace-%s/%s-%s-%08x-%d" SUFFIX, place->key, place->key,
                           runtime->run_id, (unsigned)mr_hash64(label, strlen(label)), n);
}

/* ---- sweep ---- */

struct sweep {
    struct mr_arena *arena;
    const char *key;
    const struct frame *keep;
    int nkeep;
    const char **found;
    int nfound;
};

static bool is_kept(const struct sweep *sweep, const char *path)
{
    for (int i = 0; i < sweep->nkeep; i++)
        for (int k = 0; k < sweep->keep[i].nfiles; k++)
            if (strcmp(sweep->keep[i].files[k].path, path) == 0)
                return true;
    return false;
}

static bool is_ours(const struct sweep *sweep, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    size_t size = strlen(name), suffix = sizeof SUFFIX - 1;
    return strncmp(name, sweep->key, strlen(sweep->key)) == 0 && size > suffix &&
           strcmp(name + size - suffix, SUFFIX) == 0;
}

static enum mr_status look(void *context, const struct mr_store_entry *entry, struct mr_error *err)
{
    struct sweep *sweep = context;
    if (!is_ours(sweep, entry->path) || is_kept(sweep, entry->path))
        return MR_OK;
    int n = sweep->nfound;
    if ((n & (n - 1)) == 0) { /* doubles whenever the count is a power of two */
        size_t room = n > 0 ? 2 * (size_t)n : 1;
        const char **more = mr_arena_calloc(sweep->arena, room, sizeof *more);
        if (more == NULL)
            return mr_error_nomem(err);
        if (n > 0)
            memcpy(more, sweep->found, (size_t)n * sizeof *more);
        sweep->found = more;
    }
    sweep->found[n] = mr_arena_strdup(sweep->arena, entry->path);
    if (sweep->found[n] == NULL)
        return mr_error_nomem(err);
    sweep->nfound++;
    return MR_OK;
}

static enum mr_status remove_found(const struct mr_store *store, void *handle, struct sweep *sweep,
                                   struct mr_error *err)
{
    const char *prefix = mr_arena_printf(sweep->arena, "millrace-%s", sweep->key);
    if (prefix == NULL)
        return mr_error_nomem(err);
    MR_TRY(store->discard_tag(handle, prefix, sweep->key, NULL, err));
    MR_TRY(store->list(handle, prefix, NULL, false, look, sweep, err));
    for (int i = 0; i < sweep->nfound; i++)
        MR_TRY(store->remove(handle, sweep->found[i], err));
    return store->sync(handle, err);
}

enum mr_status frame_sweep(const struct mr_options *options, struct mr_runtime *runtime,
                           const struct mr_slice *keep, int nkeep, struct mr_error *err)
{
    struct mr_arena arena;
    struct frame_place place;
    void *handle = NULL;
    enum mr_status status;
    mr_arena_init(&arena, NULL);
    struct frame *frames = mr_arena_calloc(&arena, (size_t)nkeep + 1, sizeof *frames);
    MR_TRY_OUT(frames != NULL ? MR_OK : mr_error_nomem(err));
    for (int i = 0; i < nkeep; i++)
        MR_TRY_OUT(frame_decode(keep[i], &arena, &frames[i], err));
    MR_TRY_OUT(frame_locate(options, runtime, &arena, &place, err));
    struct sweep sweep = {.arena = &arena, .key = place.key, .keep = frames, .nkeep = nkeep};
    if (place.store == NULL || (place.url[0] == '/' && access(place.url, F_OK) != 0))
        goto out;
    MR_TRY_OUT(place.store->open(place.url, options, runtime, &handle, err));
    status = remove_found(place.store, handle, &sweep, err);
out:
    if (handle != NULL)
        place.store->close(handle);
    mr_arena_reset(&arena);
    return status;
}

/* ---- check ---- */

static enum mr_status check_files(struct frame_reader *reader, struct mr_error *err)
{
    for (int i = 0; i < reader->frame->nfiles; i++) {
        const struct frame_file *file = &reader->frame->files[i];
        struct mr_store_entry entry;
        bool exists = false;
        MR_TRY(reader->store->stat(reader->handle, file->path, &entry, &exists, err));
        if (!exists || entry.size != file->size)
            return mr_error_set(err, MR_SOURCE, MR_CLASS_DATA, "%s/%s is %s", reader->frame->url,
                                file->path, exists ? "of another size" : "gone");
    }
    for (int i = 0; i < reader->frame->nchunks; i++) {
        struct mr_buffer *stored = NULL;
        if (mr_wait_cancelled(reader->runtime->waiter))
            return mr_error_cancelled(err);
        MR_TRY(frame_read_stored(reader, i, &stored, err));
        mr_buffer_unref(stored);
    }
    return MR_OK;
}

enum mr_status frame_check(const struct mr_options *options, struct mr_runtime *runtime,
                           struct mr_slice described, struct mr_error *err)
{
    struct mr_arena arena;
    struct frame frame;
    struct frame_reader reader = {.handle = NULL};
    mr_arena_init(&arena, NULL);
    enum mr_status status = frame_decode(described, &arena, &frame, err);
    if (status == MR_OK)
        status = frame_reader_open(&frame, options, runtime, &reader, err);
    if (status == MR_OK)
        status = check_files(&reader, err);
    frame_reader_close(&reader);
    mr_arena_reset(&arena);
    return status;
}
