/*
 * sink_layout.c - autoCompact and zOrderBy: other files with the same rows, after a load.
 *
 * Commits of their own, behind the load's: the load is done whatever becomes of them, and readers
 * never wait for a layout. A run that dies in between leaves a correct table with small files.
 */
#include "connect/delta/maintain.h"
#include "connect/delta/sink_private.h"

#define AUTO_COMPACT_FILES 50

static void optimize(const struct delta_table *table, const struct delta_optimize *request,
                     const char *what)
{
    struct delta_optimized done;
    struct mr_error err = {0};
    if (delta_optimize(table, request, false, &done, &err) != MR_OK)
        mr_event(table->runtime, MR_LOG_WARN, "%s: the rows are committed, but %s failed: %s",
                 table->text, what, err.message);
    else if (done.version >= 0)
        mr_event(table->runtime, MR_LOG_INFO, "%s: version %lld, %s: %lld files in place of %lld",
                 table->text, (long long)done.version, what, (long long)done.files_added,
                 (long long)done.files_removed);
}

void delta_sink_lay_out(const struct mr_options *options, const struct delta_table *table,
                        const struct delta_file *adds, int nadds)
{
    if (!options)
        return;
    int64_t target = mr_options_integer(options, "targetFileSize", 0);
    const struct mr_option_value *zorder = mr_options_get(options, "zOrderBy");
    if (zorder->set && nadds > 0) {
        struct delta_optimize request = {.zorder = zorder->u.strings.items,
                                         .nzorder = zorder->u.strings.count,
                                         .target = target,
                                         .only = adds,
                                         .nonly = nadds,
                                         .cause = "true"};
        optimize(table, &request, "zOrderBy");
    }
    if (mr_options_boolean(options, "autoCompact", false)) {
        struct delta_optimize request = {.target = target,
                                         .least = AUTO_COMPACT_FILES,
                                         .cause = "true"};
        optimize(table, &request, "autoCompact");
    }
}
