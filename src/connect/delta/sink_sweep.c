/*
 * sink_sweep.c - what a dead run left staged goes, but for the parts that this run goes on with.
 *
 * As for files (connect/files/sweep.c): the last part of a data file's path belongs to one part of one sink.
 */
#include "connect/delta/sink_private.h"

#include "base/map.h"

struct sweep {
    struct delta_table table;
    struct mr_arena arena;
    struct mr_map names; /* last parts of paths */
};

static enum mr_status look(struct sweep *sweep, struct mr_sink_kept *kept, struct mr_error *err)
{
    struct delta_committable committable;
    struct delta_written written;
    MR_TRY(delta_committable_read(kept->committable, &sweep->arena, &committable, err));
    MR_TRY(delta_written_read(committable.written, &sweep->arena, &written, err));
    kept->whole = true;
    for (int i = 0; kept->own && kept->whole && i < written.count; i++)
        MR_TRY(sweep->table.store->is_staged(sweep->table.handle, written.tickets[i], &kept->whole,
                                             err));
    for (int i = 0; kept->whole && i < written.count; i++) {
        const char *path = written.files[i].path, *slash = strrchr(path, '/');
        MR_TRY(mr_map_put(&sweep->names, mr_slice_of(slash ? slash + 1 : path), sweep, err));
    }
    return MR_OK;
}

static enum mr_status sweep_all(struct sweep *sweep, const struct mr_options *options,
                                struct mr_runtime *runtime, struct mr_sink_kept *kept, int nkept,
                                struct mr_error *err)
{
    struct mr_location location;
    char tag[17];
    MR_TRY(mr_locate(options, runtime, &sweep->arena, &location, err));
    if (!location.store)
        return MR_OK;
    delta_sink_tag(runtime, tag);
    MR_TRY(delta_table_open(&location, options, runtime, &sweep->table, err));
    for (int i = 0; i < nkept; i++)
        MR_TRY(look(sweep, &kept[i], err));
    MR_TRY(sweep->table.store->discard_tag(sweep->table.handle, "", tag, &sweep->names, err));
    return sweep->table.store->sync(sweep->table.handle, err);
}

enum mr_status delta_sink_sweep(const struct mr_options *options, struct mr_runtime *runtime,
                                struct mr_sink_kept *kept, int nkept, struct mr_error *err)
{
    struct sweep sweep = {0};
    mr_arena_init(&sweep.arena, runtime->memory);
    mr_map_init(&sweep.names, false);
    enum mr_status status = sweep_all(&sweep, options, runtime, kept, nkept, err);
    delta_table_close(&sweep.table);
    mr_map_reset(&sweep.names);
    mr_arena_reset(&sweep.arena);
    return status;
}
