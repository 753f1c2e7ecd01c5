/*
 * sink_rewrite.c - the rows of the table that a load replaces: by their places (upsert), by a
 * condition (replaceWhere). Part of preparing; what is written here is staged like the rows' files.
 */
#include "connect/delta/sink_rewrite.h"

#include "base/map.h"
#include "base/tz.h"
#include "connect/delta/rewrite.h"
#include "ext/registry.h"

#include <roaring/roaring.h>

struct choice {
    const struct mr_conditions *conditions;
    struct mr_condition *condition;
    const struct mr_schema *schema;
    const roaring_bitmap_t *bitmap; /* of the file that was asked for last */
    const struct delta_file *file;
    const struct mr_map *bitmaps; /* address of the file -> bitmap */
    struct mr_arena *arena;
};

/* ---- choosing ---- */

static enum mr_status by_place(void *context, const struct delta_file *file, struct mr_batch *batch,
                               const int64_t *positions, uint8_t *goes, struct mr_error *err)
{
    struct choice *choice = context;
    if (choice->file != file) {
        const char *address = delta_file_address(choice->arena, file);
        if (!address)
            return mr_error_nomem(err);
        choice->file = file;
        choice->bitmap = mr_map_get(choice->bitmaps, mr_slice_of(address));
    }
    for (int64_t i = 0; choice->bitmap && i < batch->rows; i++)
        goes[i] = positions[i] <= UINT32_MAX &&
                  roaring_bitmap_contains(choice->bitmap, (uint32_t)positions[i]);
    return MR_OK;
}

static enum mr_status by_condition(void *context, const struct delta_file *file,
                                   struct mr_batch *batch, const int64_t *positions, uint8_t *goes,
                                   struct mr_error *err)
{
    struct choice *choice = context;
    (void)file;
    (void)positions;
    MR_TRY(choice->conditions->evaluate(choice->condition, batch, goes, err));
    for (int64_t i = 0; i < batch->rows; i++)
        goes[i] = goes[i] == 1; /* NULL stays, as in DELETE */
    return MR_OK;
}

/* ---- upsert ---- */

static void free_bitmaps(struct mr_map *bitmaps)
{
    for (size_t i = 0; i < bitmaps->count; i++)
        roaring_bitmap_free(bitmaps->entries[i].value);
    mr_map_reset(bitmaps);
}

static enum mr_status add_bitmap(struct mr_map *bitmaps, const struct delta_addresses *addresses,
                                 struct mr_error *err)
{
    roaring_bitmap_t *bitmap =
        roaring_bitmap_portable_deserialize_safe(addresses->bitmap.data, addresses->bitmap.size);
    if (!bitmap)
        return mr_error_internal(err, "places of rows cannot be read back");
    roaring_bitmap_t *known = mr_map_get(bitmaps, mr_slice_of(addresses->path));
    if (known) {
        roaring_bitmap_or_inplace(known, bitmap);
        roaring_bitmap_free(bitmap);
        return MR_OK;
    }
    enum mr_status status = mr_map_put(bitmaps, mr_slice_of(addresses->path), bitmap, err);
    if (status != MR_OK)
        roaring_bitmap_free(bitmap);
    return status;
}

static enum mr_status gather(const struct delta_sink_rewrite *request, struct mr_map *bitmaps,
                             struct mr_error *err)
{
    for (int i = 0; i < request->ncommittables; i++) {
        const struct delta_committable *one = &request->committables[i];
        for (int k = 0; k < one->naddresses; k++)
            MR_TRY(add_bitmap(bitmaps, &one->addresses[k], err));
    }
    return MR_OK;
}

static enum mr_status files_with_places(const struct delta_snapshot *snapshot,
                                        const struct mr_map *bitmaps, struct mr_arena *arena,
                                        int *files, int *count, struct mr_error *err)
{
    *count = 0;
    for (int i = 0; i < snapshot->nfiles; i++) {
        const char *address = delta_file_address(arena, &snapshot->files[i]);
        if (!address)
            return mr_error_nomem(err);
        if (mr_map_get(bitmaps, mr_slice_of(address)))
            files[(*count)++] = i;
    }
    return (size_t)*count == bitmaps->count
               ? MR_OK
               : mr_error_internal(err, "places in files that the table does not have");
}

/* ---- both ---- */

static enum mr_status rewrite(const struct delta_sink_rewrite *request, struct choice *choice,
                              const int *files, int nfiles, struct mr_error *err)
{
    const struct delta_sink *sink = request->sink;
    const struct delta_snapshot *snapshot = sink->target.snapshot;
    char tag[17];
    delta_sink_tag(request->table->runtime, tag);
    struct delta_writer_options options = {
        .tag = tag,
        .identity = delta_sink_identity(sink, request->table->runtime, request->epoch, "copies",
                                        request->arena),
        .target_file_size = mr_options_integer(sink->options, "targetFileSize", 0),
        .compression = sink->compression,
        .level = sink->level,
        .trusted = true,
    };
    struct delta_rewrite all = {
        .table = request->table,
        .snapshot = snapshot,
        .metadata = sink->target.metadata,
        .options = &options,
        .choose = choice->condition ? by_condition : by_place,
        .context = choice,
    };
    if (!options.identity)
        return mr_error_nomem(err);
    MR_TRY(delta_rewrite_files(&all, files, nfiles, request->arena, request->out, err));
    const char **removes = mr_arena_calloc(request->arena, (size_t)nfiles + 1, sizeof *removes);
    if (!removes)
        return mr_error_nomem(err);
    for (int i = 0; i < nfiles; i++) {
        if (request->out->touched[i])
            removes[request->token->nremoves++] = snapshot->files[files[i]].raw_path;
    }
    request->token->removes = removes;
    return MR_OK;
}

static enum mr_status rewrite_places(const struct delta_sink_rewrite *request, struct mr_error *err)
{
    const struct delta_snapshot *snapshot = request->sink->target.snapshot;
    struct mr_map bitmaps;
    int *files = mr_arena_calloc(request->arena, (size_t)snapshot->nfiles + 1, sizeof *files);
    if (!files)
        return mr_error_nomem(err);
    mr_map_init(&bitmaps, false);
    struct choice choice = {.bitmaps = &bitmaps, .arena = request->arena};
    int count = 0;
    enum mr_status status = gather(request, &bitmaps, err);
    if (status == MR_OK)
        status = files_with_places(snapshot, &bitmaps, request->arena, files, &count, err);
    if (status == MR_OK)
        status = rewrite(request, &choice, files, count, err);
    free_bitmaps(&bitmaps);
    return status;
}

static enum mr_status rewrite_where(const struct delta_sink_rewrite *request, struct mr_error *err)
{
    struct mr_runtime *runtime = request->table->runtime;
    const struct delta_snapshot *snapshot = request->sink->target.snapshot;
    const struct mr_predicate *const *predicates;
    int npredicates, *files, count;
    bool exact;
    struct mr_tz *tz = NULL;
    struct choice choice = {.conditions = runtime->registry->conditions};
    MR_TRY(choice.conditions->compile(request->sink->where, snapshot->metadata.schema, runtime,
                                      request->arena, &choice.condition, err));
    choice.conditions->predicates(choice.condition, &predicates, &npredicates, &exact);
    enum mr_status status = mr_tz_new(runtime->time_zone ? runtime->time_zone : "UTC", &tz, err);
    if (status == MR_OK)
        status = delta_prune(snapshot, predicates, npredicates, tz, request->arena, &files, &count,
                             NULL, err);
    if (status == MR_OK)
        status = rewrite(request, &choice, files, count, err);
    mr_tz_free(tz);
    choice.conditions->free(choice.condition);
    return status;
}

enum mr_status delta_sink_rewrite(const struct delta_sink_rewrite *request, struct mr_error *err)
{
    return request->sink->where ? rewrite_where(request, err) : rewrite_places(request, err);
}
