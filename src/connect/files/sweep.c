/*
 * sweep.c - what a dead run left staged goes, but for the parts that this run goes on with.
 *
 * Staged files are known by the last part of their paths: it has the tag, the epoch's and the sink's hash and the number of the
 * part in it, so a name is one part's, of one sink, in whatever directory. The parts of other sinks are spared by it too:
 * quarantined rows may lie below the place of the good ones. A part of which one file is missing is of no use, and what is left
 * of it is discarded like the rest.
 */
#include "connect/files/files_private.h"

struct sweep {
    const struct mr_store *store;
    void *handle;
    struct mr_arena arena;
    struct mr_map names; /* last parts of paths */
};

static enum mr_status spare(struct sweep *sweep, const struct files_staged *files, int count,
                            struct mr_error *err)
{
    for (int i = 0; i < count; i++) {
        const char *slash = strrchr(files[i].path, '/');
        const char *name = slash ? slash + 1 : files[i].path;
        MR_TRY(mr_map_put(&sweep->names, mr_slice_of(name), sweep, err));
    }
    return MR_OK;
}

static enum mr_status look(struct sweep *sweep, struct mr_sink_kept *kept, struct mr_error *err)
{
    struct files_staged *files = NULL;
    int count = 0;
    MR_TRY(files_committable_read(kept->committable, &sweep->arena, &files, &count, err));
    kept->whole = true;
    for (int i = 0; kept->own && kept->whole && i < count; i++)
        MR_TRY(sweep->store->is_staged(sweep->handle, files[i].ticket, &kept->whole, err));
    return kept->whole ? spare(sweep, files, count, err) : MR_OK;
}

static enum mr_status sweep_all(struct sweep *sweep, struct mr_runtime *runtime,
                                struct mr_sink_kept *kept, int nkept, struct mr_error *err)
{
    char tag[17];
    files_tag(runtime, tag);
    for (int i = 0; i < nkept; i++)
        MR_TRY(look(sweep, &kept[i], err));
    MR_TRY(sweep->store->discard_tag(sweep->handle, "", tag, &sweep->names, err));
    return sweep->store->sync(sweep->handle, err);
}

enum mr_status files_sweep(const struct mr_options *options, struct mr_runtime *runtime,
                           struct mr_sink_kept *kept, int nkept, struct mr_error *err)
{
    struct sweep sweep = {.store = NULL};
    struct mr_location location;
    mr_arena_init(&sweep.arena, runtime->memory);
    mr_map_init(&sweep.names, false);
    enum mr_status status = mr_locate(options, runtime, &sweep.arena, &location, err);
    sweep.store = status == MR_OK ? location.store : NULL;
    if (sweep.store)
        status = sweep.store->open(location.url, options, runtime, &sweep.handle, err);
    if (status == MR_OK && sweep.store)
        status = sweep_all(&sweep, runtime, kept, nkept, err);
    if (sweep.handle)
        sweep.store->close(sweep.handle);
    mr_map_reset(&sweep.names);
    mr_arena_reset(&sweep.arena);
    return status;
}
