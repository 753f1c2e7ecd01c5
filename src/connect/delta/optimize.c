/*
 * optimize.c - few large files in the place of many small ones, or in a better order.
 *
 * Compaction: in each partition the files smaller than the target are packed, by size ascending, into
 * bins of the target's size; bins of one file without a deletion vector are left alone. What runs behind
 * every load (`least`) leaves a file alone until there is as much of smaller ones: to write the one large file
 * again with each fifty small ones would cost the square of the table. Z-ordering takes all files of a partition. Either way the rows stay the same, so the commit says dataChange
 * false and conflicts only with those who removed one of the same files.
 */
#include "connect/delta/maintain.h"
#include "connect/delta/zorder.h"

#include "base/map.h"
#include "base/tz.h"
#include "ext/condition.h"
#include "ext/registry.h"

#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_TARGET ((int64_t)1 << 30)
#define SMALL_JSON     2048

/* Files of one partition that become new files together. */
struct bin {
    int *files; /* numbers of snapshot->files */
    int count;
};

struct optimizer {
    const struct delta_table *table;
    const struct delta_optimize *request;
    const struct delta_snapshot *snapshot;
    struct mr_arena arena;
    struct mr_tz *tz;
    int64_t target;
    int zorder[DELTA_ZORDER_MAX]; /* columns */
    int *files;                   /* that `where` leaves, by partition, then size */
    int nfiles;
    struct bin *bins;
    int nbins;
    int64_t partitions;
    int waiting;
};

/* ---- what is asked for ---- */

static bool is_partition_column(const struct delta_metadata *metadata, const char *name)
{
    for (int i = 0; i < metadata->npartition_columns; i++)
        if (strcmp(metadata->partition_columns[i], name) == 0)
            return true;
    return false;
}

static enum mr_status find_zorder(struct optimizer *self, struct mr_error *err)
{
    const struct delta_metadata *metadata = &self->snapshot->metadata;
    if (self->request->nzorder > DELTA_ZORDER_MAX)
        return mr_error_config(err, "Z-order by %d columns: at most %d", self->request->nzorder,
                               DELTA_ZORDER_MAX);
    for (int i = 0; i < self->request->nzorder; i++) {
        const char *name = self->request->zorder[i];
        self->zorder[i] = mr_schema_find(metadata->schema, name);
        if (self->zorder[i] < 0)
            return mr_schema_unknown_column(metadata->schema, name, err);
        if (is_partition_column(metadata, metadata->schema->fields[self->zorder[i]].name))
            return mr_error_config(err, "cannot Z-order by %s: it is a partition column", name);
    }
    return MR_OK;
}

static enum mr_status check_where(const struct optimizer *self, const struct mr_condition *where,
                                  struct mr_error *err)
{
    const struct delta_metadata *metadata = &self->snapshot->metadata;
    bool *used = mr_calloc((size_t)metadata->schema->nfields + 1, sizeof *used);
    enum mr_status status = used ? MR_OK : mr_error_nomem(err);
    if (used)
        self->table->runtime->registry->conditions->uses(where, used);
    for (int i = 0; status == MR_OK && i < metadata->schema->nfields; i++)
        if (used[i] && !is_partition_column(metadata, metadata->schema->fields[i].name)) {
            status = mr_error_config(err, "where names %s, which is no partition column",
                                     metadata->schema->fields[i].name);
            mr_error_hint(err, "whole files are rewritten, so only partitions can be chosen");
        }
    mr_free(used);
    return status;
}

/* Files of the partitions that `where` leaves. Statistics do not count: files are taken whole. */
static enum mr_status choose_files(struct optimizer *self, struct mr_error *err)
{
    const struct mr_conditions *conditions = self->table->runtime->registry->conditions;
    const struct mr_predicate *const *predicates = NULL;
    struct mr_condition *where = NULL;
    int count = 0;
    bool exact = true;
    enum mr_status status = MR_OK;
    if (self->request->where) {
        MR_TRY(conditions->compile(self->request->where, self->snapshot->metadata.schema,
                                   self->table->runtime, &self->arena, &where, err));
        conditions->predicates(where, &predicates, &count, &exact);
        status = check_where(self, where, err);
        if (status == MR_OK && !exact)
            status = mr_error_config(err, "where is no comparison of partition columns with "
                                          "literals");
    }
    if (status == MR_OK)
        status = delta_prune(self->snapshot, predicates, count, self->tz, &self->arena,
                             &self->files, &self->nfiles, NULL, err);
    if (where)
        conditions->free(where);
    return status;
}

/* Leaves only the files that are asked for, where some are. */
static enum mr_status keep_only(struct optimizer *self, struct mr_error *err)
{
    struct mr_map only;
    enum mr_status status = MR_OK;
    int kept = 0;
    if (!self->request->only)
        return MR_OK;
    mr_map_init(&only, false);
    for (int i = 0; i < self->request->nonly && status == MR_OK; i++)
        status = mr_map_put(&only, mr_slice_of(self->request->only[i].raw_path), &only, err);
    for (int i = 0; i < self->nfiles && status == MR_OK; i++)
        if (mr_map_get(&only, mr_slice_of(self->snapshot->files[self->files[i]].raw_path)))
            self->files[kept++] = self->files[i];
    self->nfiles = kept;
    mr_map_reset(&only);
    return status;
}

/* ---- bins ---- */

static int compare_partitions(const struct delta_snapshot *snapshot, int a, int b)
{
    const char *const *x = snapshot->files[a].partition_values;
    const char *const *y = snapshot->files[b].partition_values;
    for (int i = 0; i < snapshot->metadata.npartition_columns; i++) {
        if (!x[i] || !y[i]) {
            if (x[i] || y[i])
                return x[i] ? 1 : -1;
            continue;
        }
        int order = strcmp(x[i], y[i]);
        if (order != 0)
            return order;
    }
    return 0;
}

static int compare_files(const void *a, const void *b, void *context)
{
    const struct delta_snapshot *snapshot = context;
    int x = *(const int *)a, y = *(const int *)b;
    int order = compare_partitions(snapshot, x, y);
    if (order != 0)
        return order;
    int64_t left = snapshot->files[x].size, right = snapshot->files[y].size;
    if (left != right)
        return left < right ? -1 : 1;
    return strcmp(snapshot->files[x].path, snapshot->files[y].path);
}

static void add_bin(struct optimizer *self, int *files, int count)
{
    bool alone = count == 1 && !self->snapshot->files[files[0]].vector;
    if (count > 0 && (!alone || self->request->nzorder > 0))
        self->bins[self->nbins++] = (struct bin){files, count};
}

/* How many of files[0..count), the smallest first, are worth writing again: each with as many bytes of smaller ones. */
static int worth(const struct optimizer *self, const int *files, int count)
{
    int64_t bytes = 0;
    int taken = 0;
    for (int i = 0; i < count; i++) {
        int64_t size = self->snapshot->files[files[i]].size;
        if (size <= bytes)
            taken = i + 1;
        bytes += size;
    }
    return taken;
}

/* Bins of files[0..count), which are of one partition and ascending in size. */
static void pack_partition(struct optimizer *self, int *files, int count)
{
    int before = self->nbins;
    if (self->request->nzorder > 0) {
        add_bin(self, files, count);
    } else {
        int small = 0, from = 0;
        int64_t bytes = 0;
        while (small < count && self->snapshot->files[files[small]].size < self->target)
            small++;
        if (self->request->least > 1)
            small = worth(self, files, small);
        if (small < self->request->least && small > self->waiting)
            self->waiting = small;
        for (int i = 0; small >= self->request->least && i < small; i++) {
            int64_t size = self->snapshot->files[files[i]].size;
            if (i > from && bytes + size > self->target) {
                add_bin(self, files + from, i - from);
                from = i;
                bytes = 0;
            }
            bytes += size;
        }
        if (small >= self->request->least)
            add_bin(self, files + from, small - from);
        /* Large files that carry deleted rows are worth writing again alone. */
        for (int i = small; self->request->least <= 1 && i < count; i++)
            if (self->snapshot->files[files[i]].vector)
                add_bin(self, files + i, 1);
    }
    self->partitions += self->nbins > before;
}

static enum mr_status pack(struct optimizer *self, struct mr_error *err)
{
    self->bins = mr_arena_calloc(&self->arena, (size_t)self->nfiles + 1, sizeof *self->bins);
    if (!self->bins)
        return mr_error_nomem(err);
    qsort_r(self->files, (size_t)self->nfiles, sizeof *self->files, compare_files,
            (void *)(uintptr_t)self->snapshot);
    for (int from = 0, i = 1; i <= self->nfiles; i++)
        if (i == self->nfiles ||
            compare_partitions(self->snapshot, self->files[from], self->files[i]) != 0) {
            pack_partition(self, self->files + from, i - from);
            from = i;
        }
    return MR_OK;
}

/* ---- writing ---- */

static enum mr_status copy_file(const struct optimizer *self, int file,
                                struct delta_replace *replace, struct mr_error *err)
{
    struct delta_read *read;
    struct delta_want want = {.schema = self->snapshot->metadata.schema,
                              .size = INT64_MAX,
                              .tz = self->tz};
    MR_TRY(delta_read_open(self->table, self->snapshot, &self->snapshot->files[file], &want, &read,
                           err));
    enum mr_status status = MR_OK;
    for (struct mr_batch *batch = NULL; status == MR_OK;) {
        status = mr_wait_cancelled(self->table->runtime->waiter)
                     ? mr_error_cancelled(err)
                     : delta_read_next(read, &batch, err);
        if (status != MR_OK || !batch)
            break;
        status = delta_replace_add(replace, batch, err);
        mr_batch_unref(batch);
    }
    delta_read_close(read);
    return status;
}

static enum mr_status write_bin(const struct optimizer *self, const struct bin *bin,
                                struct delta_replace *replace, struct mr_error *err)
{
    if (self->request->nzorder > 0)
        MR_TRY(delta_zorder(self->table, self->snapshot, self->tz, self->zorder,
                            self->request->nzorder, bin->files, bin->count, replace, err));
    for (int i = 0; self->request->nzorder == 0 && i < bin->count; i++)
        MR_TRY(copy_file(self, bin->files[i], replace, err));
    return delta_replace_seal(replace, err);
}

static void describe(const struct optimizer *self, struct mr_bytes *out)
{
    const char *where = self->request->where ? self->request->where : "";
    mr_bytes_text(out, "{\"predicate\":");
    mr_bytes_json_string(out, where, strlen(where));
    mr_bytes_text(out, ",\"zOrderBy\":\"[");
    for (int i = 0; i < self->request->nzorder; i++) {
        struct mr_bytes text;
        const char *name = self->snapshot->metadata.schema->fields[self->zorder[i]].name;
        mr_bytes_init(&text, SMALL_JSON);
        mr_bytes_json_string(&text, name, strlen(name));
        /* A JSON list inside a JSON text: its quotes are escaped. */
        mr_bytes_printf(out, "%s\\\"%.*s\\\"", i ? "," : "", text.size > 2 ? (int)text.size - 2 : 0,
                        text.size > 2 ? text.data + 1 : "");
        mr_bytes_reset(&text);
    }
    mr_bytes_printf(out, "]\",\"auto\":\"%s\"}",
                    self->request->cause ? self->request->cause : "false");
}

static enum mr_status commit(const struct optimizer *self, struct delta_replace *replace,
                             struct delta_optimized *out, struct mr_error *err)
{
    int nremoves = 0;
    struct mr_bytes parameters, metrics;
    struct mr_arena arena;
    struct delta_outcome outcome = {.version = -1};
    mr_arena_init(&arena, NULL);
    mr_bytes_init(&parameters, 1 << 20);
    mr_bytes_init(&metrics, SMALL_JSON);
    struct delta_file *removes = mr_arena_calloc(&arena, (size_t)self->nfiles + 1, sizeof *removes);
    enum mr_status status = removes ? MR_OK : mr_error_nomem(err);
    for (int b = 0; status == MR_OK && b < self->nbins; b++)
        for (int i = 0; i < self->bins[b].count; i++)
            removes[nremoves++] = self->snapshot->files[self->bins[b].files[i]];
    describe(self, &parameters);
    mr_bytes_printf(&metrics, "{\"numRemovedFiles\":\"%d\",\"numRemovedBytes\":\"%lld\"}", nremoves,
                    (long long)out->bytes_removed);
    struct delta_change change = {
        .operation = "OPTIMIZE",
        .parameters = parameters.data,
        .metrics = metrics.data,
        .nremoves = nremoves,
        .removes = removes,
        .data_change = false,
        .reads = DELTA_READS_FILES,
    };
    if (status == MR_OK)
        status = mr_bytes_status(&parameters, err);
    if (status == MR_OK)
        status = delta_replace_commit(replace, &change, &arena, &outcome, err);
    if (status == MR_OK) {
        out->version = outcome.version;
        out->files_added = change.nadds;
        for (int i = 0; i < change.nadds; i++)
            out->bytes_added += change.adds[i].size;
    }
    mr_bytes_reset(&parameters);
    mr_bytes_reset(&metrics);
    mr_arena_reset(&arena);
    return status;
}

static void count_removed(const struct optimizer *self, struct delta_optimized *out)
{
    out->partitions = self->partitions;
    out->waiting = self->waiting;
    for (int b = 0; b < self->nbins; b++)
        for (int i = 0; i < self->bins[b].count; i++) {
            out->files_removed++;
            out->bytes_removed += self->snapshot->files[self->bins[b].files[i]].size;
        }
}

static int64_t target_of(const struct optimizer *self)
{
    int64_t target = self->request->target;
    const char *property = delta_property(&self->snapshot->metadata, "delta.targetFileSize");
    if (target == 0 && property) {
        char *end;
        long long bytes = strtoll(property, &end, 10);
        target = *end == '\0' && bytes > 0 ? bytes : 0;
    }
    if (target > 0)
        return target;
    return self->request->fallback > 0 ? self->request->fallback : DEFAULT_TARGET;
}

static enum mr_status run(struct optimizer *self, bool dry, struct delta_optimized *out,
                          struct mr_error *err)
{
    const struct delta_asof latest = {-1, INT64_MIN};
    struct delta_replace *replace;
    MR_TRY(delta_snapshot_read(self->table, &latest, &self->arena, &self->snapshot, err));
    if (!self->snapshot)
        return mr_error_set(err, MR_SINK, MR_CLASS_CONFIG, "%s is no Delta table",
                            self->table->text);
    MR_TRY(delta_check_writable(self->snapshot, DELTA_KIND_REORGANISE, self->table->text, err));
    MR_TRY(mr_tz_new(self->table->runtime->time_zone ? self->table->runtime->time_zone : "UTC",
                     &self->tz, err));
    self->target = target_of(self);
    MR_TRY(find_zorder(self, err));
    MR_TRY(choose_files(self, err));
    MR_TRY(keep_only(self, err));
    MR_TRY(pack(self, err));
    count_removed(self, out);
    if (dry || self->nbins == 0)
        return MR_OK;
    MR_TRY(delta_replace_new(self->table, self->snapshot, self->target, &replace, err));
    enum mr_status status = MR_OK;
    for (int b = 0; status == MR_OK && b < self->nbins; b++)
        status = write_bin(self, &self->bins[b], replace, err);
    if (status == MR_OK)
        status = commit(self, replace, out, err);
    delta_replace_free(replace);
    return status;
}

enum mr_status delta_optimize(const struct delta_table *table, const struct delta_optimize *request,
                              bool dry, struct delta_optimized *out, struct mr_error *err)
{
    struct optimizer self = {.table = table, .request = request};
    *out = (struct delta_optimized){.version = -1};
    mr_arena_init(&self.arena, NULL);
    enum mr_status status = run(&self, dry, out, err);
    mr_tz_free(self.tz);
    mr_arena_reset(&self.arena);
    return status;
}
