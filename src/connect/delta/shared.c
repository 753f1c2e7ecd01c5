/*
 * shared.c - the version that all steps of a run read.
 *
 * The first step that asks for the latest version settles which that is; the next step of the same
 * table gets it too, though somebody has committed meanwhile. A self-join sees one table.
 */
#include "base/time.h"
#include "connect/delta/source.h"

#include <inttypes.h>

struct making {
    struct mr_runtime *runtime;
    const struct mr_location *location;
    const struct mr_options *options;
    const struct delta_asof *asof;
};

static void destroy(void *object)
{
    struct delta_shared *shared = object;
    mr_arena_reset(&shared->arena);
    mr_free(shared);
}

/* Steps come and go; the run's account stays as long as what is shared. */
static struct mr_memory *account_of_run(struct mr_memory *memory)
{
    while (memory && memory->parent)
        memory = memory->parent;
    return memory;
}

static enum mr_status make(void *context, void **out, struct mr_error *err)
{
    const struct making *making = context;
    struct delta_shared *shared = mr_calloc(1, sizeof *shared);
    if (!shared)
        return mr_error_nomem(err);
    mr_arena_init(&shared->arena, account_of_run(making->runtime->memory));
    struct delta_table table;
    enum mr_status status =
        delta_table_open(making->location, making->options, making->runtime, &table, err);
    if (status == MR_OK) {
        status = delta_snapshot_read(&table, making->asof, &shared->arena, &shared->snapshot, err);
        delta_table_close(&table);
    }
    if (status != MR_OK) {
        destroy(shared);
        return status;
    }
    *out = shared;
    return MR_OK;
}

enum mr_status delta_shared_get(struct mr_runtime *runtime, const struct mr_location *location,
                                const struct mr_options *options, const struct delta_asof *asof,
                                struct delta_shared **out, struct mr_error *err)
{
    struct making making = {runtime, location, options, asof};
    void *object = NULL;
    *out = NULL;
    if (!runtime->shared) {
        MR_TRY(make(&making, &object, err));
        *out = object;
        (*out)->owned = true;
        return MR_OK;
    }
    const char *endpoint = mr_options_text(options, "endpoint");
    struct mr_bytes key;
    mr_bytes_init(&key, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_printf(&key, "delta %s %s %" PRId64 " %" PRId64, location->url,
                    endpoint ? endpoint : "", asof->version, asof->timestamp_micros);
    enum mr_status status = mr_bytes_status(&key, err);
    if (status == MR_OK)
        status = mr_shared_get(runtime, key.data, make, &making, destroy, &object, err);
    mr_bytes_reset(&key);
    *out = object;
    return status;
}

void delta_shared_release(struct delta_shared *shared)
{
    if (shared && shared->owned)
        destroy(shared);
}
