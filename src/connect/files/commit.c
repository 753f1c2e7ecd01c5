/*
 * commit.c - from staged files to a token, and from a token to visible files.
 *
 * The token lists, by exact name, every file to publish and every file to remove. What an overwrite removes is decided at
 * prepare: files that appear later belong to somebody else and stay. Commit publishes, syncs, writes the manifest if there
 * is one, then removes: a reader never sees less than the old or the new rows, for a moment it may see both. All
 * steps are idempotent, and the order is that of the token, so that any process can run them again from the start. The
 * token says where, the options how to get there: an endpoint may have another name and keys may have changed since.
 * The marker (marker.c) is written before all this and after it.
 *
 * Hidden files (names starting with '_' or '.') are never removed.
 */
#include "base/failpoint.h"
#include "base/map.h"
#include "connect/files/files_private.h"
#include "connect/files/manifest.h"
#include "connect/files/marker.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- prepare ---- */

struct removals {
    struct mr_arena *arena;
    const struct mr_map *ours;
    const char **paths;
    int count;
};

static enum mr_status note_removal(void *context, const struct mr_store_entry *entry,
                                   struct mr_error *err)
{
    struct removals *removals = context;
    if (mr_map_get(removals->ours, mr_slice_of(entry->path)))
        return MR_OK;
    int n = removals->count;
    if ((n & (n - 1)) == 0) { /* doubles whenever the count is a power of two */
        const char **more = mr_arena_alloc(removals->arena, (n ? 2 * (size_t)n : 1) * sizeof *more);
        if (!more)
            return mr_error_nomem(err);
        if (n)
            memcpy(more, removals->paths, (size_t)n * sizeof *more);
        removals->paths = more;
    }
    removals->paths[n] = mr_arena_strdup(removals->arena, entry->path);
    if (!removals->paths[n])
        return mr_error_nomem(err);
    removals->count++;
    return MR_OK;
}

/* What this overwrite replaces: everything, or what is in the partitions that were written. */
static enum mr_status list_removals(const struct files *files, void *handle,
                                    const struct files_token *token, struct removals *removals,
                                    struct mr_error *err)
{
    const struct mr_store *store = files->location.store;
    if (!files->dynamic)
        return store->list(handle, "", NULL, false, note_removal, removals, err);
    struct mr_map listed;
    mr_map_init(&listed, false);
    enum mr_status status = MR_OK;
    for (int i = 0; i < token->npublish && status == MR_OK; i++) {
        struct mr_slice directory = mr_slice_of(token->publish[i].directory);
        if (mr_map_get(&listed, directory))
            continue;
        status = mr_map_put(&listed, directory, handle, err);
        if (status == MR_OK)
            status = store->list(handle, directory.data, NULL, false, note_removal, removals, err);
    }
    mr_map_reset(&listed);
    return status;
}

static enum mr_status map_of_publishes(const struct files_token *token, struct mr_map *ours,
                                       struct mr_error *err)
{
    for (int i = 0; i < token->npublish; i++)
        MR_TRY(mr_map_put(ours, mr_slice_of(token->publish[i].path), ours, err));
    return MR_OK;
}

static enum mr_status already_there(const char *url, struct mr_error *err)
{
    mr_error_set(err, MR_SINK, MR_CLASS_CONFIG,
                 "%s was empty when the run began and holds files now", url);
    if (err)
        mr_error_hint(err, "mode errorifexists: nothing was written; append adds, overwrite "
                           "replaces");
    return MR_SINK;
}

/* A result without rows still has a schema: one empty file, unless that would only add to what is there. */
static enum mr_status stage_empty(struct files *files, struct mr_runtime *runtime,
                                  const struct mr_epoch *epoch, struct mr_arena *arena,
                                  struct files_token *token, struct mr_error *err)
{
    bool exists = false;
    if (token->mode == FILES_APPEND)
        MR_TRY(files_exists(files, runtime, &exists, err));
    if (exists || files->npartition_columns > 0)
        return MR_OK;
    void *writer;
    struct mr_bytes committable;
    mr_bytes_init(&committable, MR_BYTES_DEFAULT_MAXIMUM);
    MR_TRY(files_writer_open(files, runtime, epoch, 0, &writer, err));
    enum mr_status status = mr_dataset_writer_touch(((struct files_writer *)writer)->writer, err);
    if (status == MR_OK)
        status = files_writer_finish(writer, &committable, err);
    files_writer_close(writer);
    if (status == MR_OK) {
        char *copy = mr_arena_alloc(arena, committable.size);
        if (copy)
            memcpy(copy, committable.data, committable.size);
        status = copy ? files_committable_read((struct mr_slice){copy, committable.size}, arena,
                                               &token->publish, &token->npublish, err)
                      : mr_error_nomem(err);
    }
    mr_bytes_reset(&committable);
    return status;
}

static enum mr_status prepare(struct files *files, void *handle, struct mr_runtime *runtime,
                              struct mr_arena *arena, struct files_token *token,
                              struct mr_error *err)
{
    struct mr_map ours;
    mr_map_init(&ours, false);
    struct removals removals = {.arena = arena, .ours = &ours};
    enum mr_status status;
    bool exists = false;
    MR_TRY_OUT(map_of_publishes(token, &ours, err));
    if (files->mode == FILES_ERROR_IF_EXISTS) {
        MR_TRY_OUT(files_exists(files, runtime, &exists, err));
        if (exists)
            MR_TRY_OUT(already_there(files->location.text, err));
    }
    if (token->manifest == FILES_MANIFEST_ADDS)
        MR_TRY_OUT(files_manifest_check(files->location.store, handle, err));
    if (files->mode == FILES_OVERWRITE)
        MR_TRY_OUT(list_removals(files, handle, token, &removals, err));
    token->remove = removals.paths;
    token->nremove = removals.count;
out:
    mr_map_reset(&ours);
    return status;
}

static int by_bytes(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* For the report. */
static void count_median(const struct files_token *token, struct mr_runtime *runtime,
                         struct mr_arena *arena)
{
    int64_t *bytes = mr_arena_calloc(arena, (size_t)token->npublish + 1, sizeof *bytes);
    if (!bytes || token->npublish == 0)
        return;
    for (int i = 0; i < token->npublish; i++)
        bytes[i] = token->publish[i].bytes;
    qsort(bytes, (size_t)token->npublish, sizeof *bytes, by_bytes);
    mr_count_peak(runtime, MR_COUNT_FILE_BYTES_MEDIAN, bytes[token->npublish / 2]);
}

static enum files_manifest manifest_of(const struct files *files)
{
    if (!mr_options_boolean(files->options, "manifest", false))
        return FILES_MANIFEST_NONE;
    return files->mode == FILES_OVERWRITE && !files->dynamic ? FILES_MANIFEST_REPLACES
                                                             : FILES_MANIFEST_ADDS;
}

enum mr_status files_prepare(void *state, struct mr_runtime *runtime, const struct mr_epoch *epoch,
                             const struct mr_slice *committables, int ncommittables,
                             struct mr_bytes *out, struct mr_error *err)
{
    struct files *files = state;
    struct mr_arena arena;
    void *handle = NULL;
    struct files_token token = {.mode = files->mode,
                                .url = files->location.url,
                                .manifest = manifest_of(files),
                                .state_key = runtime->state_key ? runtime->state_key : "",
                                .uuid = runtime->state_uuid ? runtime->state_uuid : "",
                                .run = runtime->run_id ? runtime->run_id : "",
                                .load = files->sequence,
                                .lane = epoch->lane,
                                .epoch = epoch->epoch,
                                .positions = epoch->positions};
    enum mr_status status;
    mr_arena_init(&arena, runtime->memory);
    for (int i = 0; i < ncommittables; i++)
        MR_TRY_OUT(
            files_committable_read(committables[i], &arena, &token.publish, &token.npublish, err));
    if (token.npublish == 0)
        MR_TRY_OUT(stage_empty(files, runtime, epoch, &arena, &token, err));
    count_median(&token, runtime, &arena);
    MR_TRY_OUT(
        files->location.store->open(files->location.url, files->options, runtime, &handle, err));
    MR_TRY_OUT(prepare(files, handle, runtime, &arena, &token, err));
    files_token_write(&token, out);
    status = mr_bytes_status(out, err);
out:
    if (handle)
        files->location.store->close(handle);
    mr_arena_reset(&arena);
    return status;
}

/* ---- commit ---- */

static enum mr_status open_token(const struct mr_options *options, struct mr_runtime *runtime,
                                 struct mr_slice data, struct mr_arena *arena,
                                 struct files_token *token, const struct mr_store **store,
                                 void **handle, struct mr_error *err)
{
    MR_TRY(files_token_read(data, arena, token, err));
    *store = mr_store_of_url(token->url, runtime);
    if (!*store)
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL, "this build has no store for %s",
                            token->url);
    return (*store)->open(token->url, options, runtime, handle, err);
}

struct present {
    const struct mr_map *ours;
    bool own;
    bool foreign;
};

static enum mr_status note_present(void *context, const struct mr_store_entry *entry,
                                   struct mr_error *err)
{
    struct present *present = context;
    (void)err;
    if (mr_map_get(present->ours, mr_slice_of(entry->path)))
        present->own = true;
    else
        present->foreign = true;
    return MR_OK;
}

/* errorifexists, once more: but a commit that has begun is ended, whatever came in between. */
static enum mr_status check_still_empty(const struct mr_store *store, void *handle,
                                        const struct files_token *token, struct mr_error *err)
{
    struct mr_map ours;
    mr_map_init(&ours, false);
    struct present present = {.ours = &ours};
    enum mr_status status = map_of_publishes(token, &ours, err);
    if (status == MR_OK)
        status = store->list(handle, "", NULL, false, note_present, &present, err);
    if (status == MR_OK && present.foreign && !present.own)
        status = already_there(token->url, err);
    mr_map_reset(&ours);
    return status;
}

static enum mr_status publish_all(const struct mr_store *store, void *handle,
                                  const struct files_token *token, struct mr_error *err)
{
    for (int i = 0; i < token->npublish; i++)
        MR_TRY(store->publish(handle, token->publish[i].ticket, err));
    return store->sync(handle, err);
}

static enum mr_status remove_all(const struct mr_store *store, void *handle,
                                 const struct files_token *token, struct mr_error *err)
{
    for (int i = 0; i < token->nremove; i++)
        MR_TRY(store->remove(handle, token->remove[i], err));
    return token->nremove > 0 ? store->sync(handle, err) : MR_OK;
}

static enum mr_status make_visible(const struct mr_store *store, void *handle,
                                   const struct files_token *token, struct mr_error *err)
{
    MR_TRY(publish_all(store, handle, token, err));
    MR_TRY(MR_FAILPOINT("files.published", err));
    if (token->manifest != FILES_MANIFEST_NONE) {
        MR_TRY(files_manifest_write(store, handle, token, err));
        MR_TRY(store->sync(handle, err));
    }
    MR_TRY(MR_FAILPOINT("files.listed", err));
    return remove_all(store, handle, token, err);
}

/*
 * What the marker says of this commit. *done: it has ended, here or in another process. Our epoch by another run is that of a copy
 * of this state, which has nothing of ours (the claim keeps two from being at it at once); a later epoch can be a copy's as well,
 * or that of one who took over from this process while it was stopped.
 */
static enum mr_status compare_marker(const struct files_memory *now,
                                     const struct files_token *token, bool *done,
                                     struct mr_error *err)
{
    bool same_state = now && strcmp(now->uuid, token->uuid) == 0;
    *done = false;
    if (!same_state || now->epoch < token->epoch)
        return MR_OK;
    if (now->epoch > token->epoch)
        return mr_sink_overtaken(token->url, token->epoch, now->epoch, MR_CLASS_SUPERSEDED, err);
    if (now->run[0] && token->run[0] && strcmp(now->run, token->run) != 0)
        return mr_sink_overtaken(token->url, token->epoch, now->epoch, MR_CLASS_REFUSED, err);
    *done = now->unfinished.size == 0;
    return MR_OK;
}

/* `data` is the token. */
static enum mr_status commit_marked(const struct mr_store *store, void *handle,
                                    const struct files_token *token, struct mr_slice data,
                                    struct mr_arena *arena, struct mr_error *err)
{
    struct files_marker marker;
    struct files_memory ours = {.load = token->load,
                                .uuid = token->uuid,
                                .epoch = token->epoch,
                                .run = token->run,
                                .positions = token->positions,
                                .unfinished = data};
    bool done, claimed;
    MR_TRY(files_claim_take(store, handle, token, &claimed, err));
    MR_TRY(MR_FAILPOINT("files.claimed", err));
    MR_TRY(files_marker_read(store, handle, token->state_key, token->lane, arena, &marker, err));
    enum mr_status status =
        compare_marker(files_marker_find(&marker, token->load), token, &done, err);
    if (status != MR_OK || done) {
        (void)files_claim_drop(store, handle, token, false, NULL);
        return status;
    }
    if (!claimed)
        return mr_sink_overtaken(token->url, token->epoch, token->epoch, MR_CLASS_REFUSED, err);
    MR_TRY(files_marker_write(store, handle, &marker, &ours, err));
    MR_TRY(MR_FAILPOINT("files.begun", err));
    MR_TRY(make_visible(store, handle, token, err));
    MR_TRY(MR_FAILPOINT("files.removed", err));
    ours.unfinished = (struct mr_slice){NULL, 0};
    MR_TRY(files_marker_write(store, handle, &marker, &ours, err));
    MR_TRY(MR_FAILPOINT("files.marked", err));
    (void)files_claim_drop(store, handle, token, true,
                           NULL); /* the marker is enough from here on */
    return MR_OK;
}

enum mr_status files_commit(const struct mr_options *options, struct mr_runtime *runtime,
                            struct mr_slice data, struct mr_error *err)
{
    struct mr_arena arena;
    struct files_token token;
    const struct mr_store *store = NULL;
    void *handle = NULL;
    enum mr_status status;
    mr_arena_init(&arena, runtime->memory);
    MR_TRY_OUT(open_token(options, runtime, data, &arena, &token, &store, &handle, err));
    if (token.mode == FILES_ERROR_IF_EXISTS)
        MR_TRY_OUT(check_still_empty(store, handle, &token, err));
    status = token.uuid[0] ? commit_marked(store, handle, &token, data, &arena, err)
                           : make_visible(store, handle, &token, err);
out:
    if (handle)
        store->close(handle);
    mr_arena_reset(&arena);
    return status;
}

/* ---- recover ---- */

/* Of a load that is not known by its number, whose pipeline has changed, the latest of any number: a lost state is noticed by that too. */
static enum mr_status remember(const struct files_marker *marker, struct mr_recovered *out,
                               struct mr_error *err)
{
    const struct files_memory *known = files_marker_find(marker, out->load), *latest = NULL;
    for (int i = 0; i < marker->count; i++) {
        const struct files_memory *other = &marker->loads[i];
        latest = !latest || other->epoch > latest->epoch ? other : latest;
    }
    known = known ? known : latest;
    if (!known)
        return MR_OK;
    out->load = known->load;
    out->epoch = known->epoch;
    out->run = mr_run_mark(known->run);
    snprintf(out->state_uuid, sizeof out->state_uuid, "%s", known->uuid);
    mr_bytes_append(&out->positions, known->positions.data, known->positions.size);
    mr_bytes_append(&out->unfinished, known->unfinished.data, known->unfinished.size);
    MR_TRY(mr_bytes_status(&out->unfinished, err));
    return mr_bytes_status(&out->positions, err);
}

enum mr_status files_recover(const struct mr_options *options, struct mr_runtime *runtime, int lane,
                             struct mr_recovered *out, struct mr_error *err)
{
    struct mr_arena arena;
    struct mr_location location;
    struct files_marker marker;
    const char *key = runtime->state_key ? runtime->state_key : "";
    void *handle = NULL;
    enum mr_status status;
    out->epoch = 0;
    out->adds = mr_options_integer(options, "mode", FILES_APPEND) == FILES_APPEND;
    mr_arena_init(&arena, runtime->memory);
    MR_TRY_OUT(mr_locate(options, runtime, &arena, &location, err));
    if (!location.store)
        goto out;
    MR_TRY_OUT(location.store->open(location.url, options, runtime, &handle, err));
    MR_TRY_OUT(files_marker_read(location.store, handle, key, lane, &arena, &marker, err));
    status = remember(&marker, out, err);
out:
    if (handle)
        location.store->close(handle);
    mr_arena_reset(&arena);
    return status;
}

/* ---- abort ---- */

static enum mr_status abort_dead_run(const struct mr_options *options, struct mr_runtime *runtime,
                                     struct mr_arena *arena, struct mr_error *err)
{
    struct mr_location location;
    void *handle;
    char tag[17];
    MR_TRY(mr_locate(options, runtime, arena, &location, err));
    if (!location.store)
        return MR_OK;
    files_tag(runtime, tag);
    MR_TRY(location.store->open(location.url, options, runtime, &handle, err));
    enum mr_status status = location.store->discard_tag(handle, "", tag, NULL, err);
    if (status == MR_OK)
        status = location.store->sync(handle, err);
    location.store->close(handle);
    return status;
}

static enum mr_status abort_token(const struct mr_options *options, struct mr_runtime *runtime,
                                  struct mr_slice data, struct mr_arena *arena,
                                  struct mr_error *err)
{
    struct files_token token;
    const struct mr_store *store;
    void *handle;
    MR_TRY(open_token(options, runtime, data, arena, &token, &store, &handle, err));
    enum mr_status status = MR_OK;
    for (int i = 0; i < token.npublish && status == MR_OK; i++)
        status = store->discard(handle, token.publish[i].ticket, err);
    if (status == MR_OK)
        status = files_claim_drop(store, handle, &token, false, err);
    if (status == MR_OK)
        status = store->sync(handle, err);
    store->close(handle);
    return status;
}

enum mr_status files_abort(const struct mr_options *options, struct mr_runtime *runtime,
                           struct mr_slice data, struct mr_error *err)
{
    struct mr_arena arena;
    mr_arena_init(&arena, runtime->memory);
    enum mr_status status = data.size ? abort_token(options, runtime, data, &arena, err)
                                      : abort_dead_run(options, runtime, &arena, err);
    mr_arena_reset(&arena);
    return status;
}
