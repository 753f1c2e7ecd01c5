/*
 * sink_layout.c - autoCompact and zOrderBy: other files with the same rows, after a load.
 *
 * Commits of their own, behind the COMMITTED record of the load's epoch: the load is done whatever becomes of them, readers never wait for a
 * layout, and a cancel need not wait either. A run that dies in between leaves a correct table with small files.
 *
 * A stream asks after each epoch. To look at the table each time would mean to replay its log once more an epoch, so the process remembers how many small
 * files its last look left, and counts what it adds. Files of other writers are found at the next look. Where a look ended with an error, or
 * somebody else was first, half of the way to the next one is waited.
 */
#include "connect/delta/maintain.h"
#include "connect/delta/sink_private.h"

#include "base/hash.h"

#include <stdatomic.h>
#include <stdlib.h>

#define TARGET ((int64_t)256 << 20) /* as of a load's own files */

bool delta_sink_has_layout(const struct mr_options *options)
{
    return options && (mr_options_boolean(options, "autoCompact", false) ||
                       mr_options_get(options, "zOrderBy")->set);
}

static enum mr_status optimize(const struct delta_table *table,
                               const struct delta_optimize *request, const char *what,
                               struct delta_optimized *done, struct mr_error *err)
{
    enum mr_status status = delta_optimize(table, request, false, done, err);
    if (status != MR_OK && err)
        mr_error_prefix(err, "%s", what);
    MR_TRY(status);
    if (done->version >= 0)
        mr_event(table->runtime, MR_LOG_INFO, "%s: version %lld, %s: %lld file%s in place of %lld",
                 table->text, (long long)done->version, what, (long long)done->files_added,
                 done->files_added == 1 ? "" : "s", (long long)done->files_removed);
    return MR_OK;
}

/* ---- is there enough to compact? ---- */

/* Of a table, for as long as the process lives; runs of several pipelines may load it. */
struct look {
    /* small files of the partition that has most, as far as known; -1 = nobody has looked */
    atomic_int waiting;
};

static enum mr_status make_look(void *context, void **out, struct mr_error *err)
{
    struct look *look = mr_calloc(1, sizeof *look);
    (void)context;
    if (!look)
        return mr_error_nomem(err);
    atomic_init(&look->waiting, -1);
    *out = look;
    return MR_OK;
}

/* *out NULL: nothing is remembered. */
static enum mr_status find_look(const struct delta_table *table, struct look **out,
                                struct mr_error *err)
{
    struct mr_runtime lent = *table->runtime;
    struct mr_bytes key;
    void *object = NULL;
    *out = NULL;
    if (!lent.common)
        return MR_OK;
    lent.shared = lent.common;
    mr_bytes_init(&key, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_printf(&key, "delta autoCompact %s", table->url);
    enum mr_status status = mr_bytes_status(&key, err);
    if (status == MR_OK)
        status = mr_shared_get(&lent, key.data, make_look, NULL, mr_free, &object, err);
    mr_bytes_reset(&key);
    *out = object;
    return status;
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Files of the partition that gets most; a directory is a partition. */
static enum mr_status count_most(const struct delta_file *adds, int nadds, int *most,
                                 struct mr_error *err)
{
    uint64_t *hashes = mr_calloc((size_t)nadds + 1, sizeof *hashes);
    int run = 0;
    *most = 0;
    if (!hashes)
        return mr_error_nomem(err);
    for (int i = 0; i < nadds; i++) {
        const char *slash = strrchr(adds[i].path, '/');
        hashes[i] = slash ? mr_hash64(adds[i].path, (size_t)(slash - adds[i].path)) : 0;
    }
    qsort(hashes, (size_t)nadds, sizeof *hashes, compare_hashes);
    for (int i = 0; i < nadds; i++) {
        run = i > 0 && hashes[i] == hashes[i - 1] ? run + 1 : 1;
        *most = run > *most ? run : *most;
    }
    mr_free(hashes);
    return MR_OK;
}

static enum mr_status compact(const struct mr_options *options, const struct delta_table *table,
                              const struct delta_file *adds, int nadds, struct mr_error *err)
{
    struct delta_optimize request = {.target = mr_options_integer(options, "targetFileSize", 0),
                                     .fallback = TARGET,
                                     .least =
                                         (int)mr_options_integer(options, "autoCompactFiles", 50),
                                     .cause = "true"};
    struct delta_optimized done;
    struct mr_error failure = {0};
    struct look *look;
    int most;
    MR_TRY(find_look(table, &look, err));
    MR_TRY(count_most(adds, nadds, &most, err));
    int waiting = look ? atomic_load(&look->waiting) : -1;
    if (waiting >= 0 && waiting + most < request.least) {
        atomic_fetch_add(&look->waiting, most);
        return MR_OK;
    }
    enum mr_status status = optimize(table, &request, "autoCompact", &done, &failure);
    if (look)
        atomic_store(&look->waiting, status == MR_OK ? done.waiting : request.least / 2);
    if (status == MR_SINK && failure.cls == MR_CLASS_TRANSIENT) {
        mr_event(table->runtime, MR_LOG_INFO, "%s: left for later: %s", table->text,
                 failure.message);
        return MR_OK;
    }
    if (status != MR_OK && err)
        *err = failure;
    return status;
}

enum mr_status delta_sink_lay_out(const struct mr_options *options, const struct delta_table *table,
                                  const struct delta_file *adds, int nadds, struct mr_error *err)
{
    const struct mr_option_value *zorder = mr_options_get(options, "zOrderBy");
    enum mr_status status = MR_OK;
    if (zorder->set && nadds > 0) {
        struct delta_optimized done;
        struct delta_optimize request = {.zorder = zorder->u.strings.items,
                                         .nzorder = zorder->u.strings.count,
                                         .target = mr_options_integer(options, "targetFileSize", 0),
                                         .only = adds,
                                         .nonly = nadds,
                                         .cause = "true"};
        status = optimize(table, &request, "zOrderBy", &done, err);
    }
    if (status == MR_OK && mr_options_boolean(options, "autoCompact", false))
        status = compact(options, table, adds, nadds, err);
    return status;
}
