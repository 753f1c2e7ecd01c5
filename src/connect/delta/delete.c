/*
 * delete.c - rows that fulfil a condition go.
 *
 * Files where partition values or statistics say that no row can match are not opened; the others are
 * looked at, and written again only if some of their rows match and some do not (rewrite.h). A row
 * for which the condition is NULL stays.
 */
#include "connect/delta/maintain.h"

#include "base/tz.h"
#include "connect/delta/rewrite.h"
#include "ext/condition.h"
#include "ext/registry.h"

struct deleter {
    const struct delta_table *table;
    const struct mr_conditions *conditions;
    const struct delta_snapshot *snapshot;
    struct mr_arena arena;
    struct mr_tz *tz;
    struct mr_condition *where;
    const struct mr_predicate *const *predicates;
    int npredicates;
    bool exact;
    int *files; /* that may hold rows that match */
    int nfiles;
};

static enum mr_status choose(void *context, const struct delta_file *file, struct mr_batch *batch,
                             const int64_t *positions, uint8_t *goes, struct mr_error *err)
{
    struct deleter *self = context;
    (void)file;
    (void)positions;
    MR_TRY(self->conditions->evaluate(self->where, batch, goes, err));
    for (int64_t i = 0; i < batch->rows; i++)
        goes[i] = goes[i] == 1;
    return MR_OK;
}

static bool on_partitions_only(struct deleter *self)
{
    const struct delta_metadata *metadata = &self->snapshot->metadata;
    bool *used = mr_arena_calloc(&self->arena, (size_t)metadata->schema->nfields + 1, sizeof *used);
    if (!used)
        return false;
    self->conditions->uses(self->where, used);
    for (int i = 0; i < metadata->schema->nfields; i++) {
        bool found = !used[i];
        for (int k = 0; k < metadata->npartition_columns; k++)
            found |= strcmp(metadata->schema->fields[i].name, metadata->partition_columns[k]) == 0;
        if (!found)
            return false;
    }
    return true;
}

/* operationParameters as Spark writes them: a list of conditions, itself a text. */
static void put_parameters(const char *where, struct mr_bytes *out)
{
    struct mr_bytes list;
    mr_bytes_init(&list, 1 << 20);
    mr_bytes_char(&list, '[');
    mr_bytes_json_string(&list, where, strlen(where));
    mr_bytes_char(&list, ']');
    mr_bytes_text(out, "{\"predicate\":");
    mr_bytes_json_string(out, list.data ? list.data : "", list.size);
    mr_bytes_char(out, '}');
    if (list.status != MR_OK)
        out->status = list.status;
    mr_bytes_reset(&list);
}

static enum mr_status commit(struct deleter *self, const char *where,
                             const struct delta_rewritten *rewritten, struct delta_replace *replace,
                             struct delta_deletion *out, struct mr_error *err)
{
    struct mr_bytes parameters, metrics;
    struct delta_outcome outcome = {.version = -1};
    bool partitions = self->exact && on_partitions_only(self);
    int nremoves = 0;
    struct delta_file *removes =
        mr_arena_calloc(&self->arena, (size_t)self->nfiles + 1, sizeof *removes);
    if (!removes)
        return mr_error_nomem(err);
    for (int i = 0; i < self->nfiles; i++)
        if (rewritten->touched[i])
            removes[nremoves++] = self->snapshot->files[self->files[i]];
    mr_bytes_init(&parameters, 1 << 20);
    mr_bytes_init(&metrics, 4096);
    put_parameters(where, &parameters);
    mr_bytes_printf(&metrics,
                    "{\"numDeletedRows\":\"%lld\",\"numCopiedRows\":\"%lld\","
                    "\"numRemovedFiles\":\"%d\"}",
                    (long long)rewritten->rows_gone, (long long)rewritten->rows_copied, nremoves);
    struct delta_change change = {
        .operation = "DELETE",
        .parameters = parameters.data,
        .metrics = metrics.data,
        .nremoves = nremoves,
        .removes = removes,
        .data_change = true,
        .reads = partitions ? DELTA_READS_WHERE : DELTA_READS_TABLE,
        .where = self->predicates,
        .nwhere = partitions ? self->npredicates : 0,
    };
    enum mr_status status = mr_bytes_status(&parameters, err);
    if (status == MR_OK)
        status = delta_replace_commit(replace, &change, &self->arena, &outcome, err);
    if (status == MR_OK)
        *out = (struct delta_deletion){.version = outcome.version,
                                       .rows = rewritten->rows_gone,
                                       .files_removed = nremoves,
                                       .files_added = change.nadds};
    mr_bytes_reset(&parameters);
    mr_bytes_reset(&metrics);
    return status;
}

static enum mr_status work(struct deleter *self, const char *where, struct delta_replace *replace,
                           struct delta_deletion *out, struct mr_error *err)
{
    struct delta_rewritten rewritten = {0};
    struct delta_rewrite rewrite = {
        .table = self->table,
        .snapshot = self->snapshot,
        .metadata = &self->snapshot->metadata,
        .options = delta_replace_options(replace),
        .choose = choose,
        .context = self,
    };
    mr_bytes_init(&rewritten.written, (size_t)1 << 30);
    enum mr_status status =
        delta_rewrite_files(&rewrite, self->files, self->nfiles, &self->arena, &rewritten, err);
    if (status == MR_OK && rewritten.written.size > 0)
        status =
            delta_replace_take(replace,
                               (struct mr_slice){rewritten.written.data, rewritten.written.size},
                               err);
    if (status == MR_OK && rewritten.ntouched > 0)
        status = commit(self, where, &rewritten, replace, out, err);
    mr_bytes_reset(&rewritten.written);
    return status;
}

static enum mr_status run(struct deleter *self, const char *where, struct delta_deletion *out,
                          struct mr_error *err)
{
    const struct delta_asof latest = {-1, INT64_MIN};
    struct mr_runtime *runtime = self->table->runtime;
    struct delta_replace *replace;
    MR_TRY(delta_snapshot_read(self->table, &latest, &self->arena, &self->snapshot, err));
    if (!self->snapshot)
        return mr_error_set(err, MR_SINK, MR_CLASS_CONFIG, "%s is no Delta table",
                            self->table->text);
    MR_TRY(delta_check_writable(self->snapshot, DELTA_KIND_REWRITE, self->table->text, err));
    MR_TRY(mr_tz_new(runtime->time_zone ? runtime->time_zone : "UTC", &self->tz, err));
    MR_TRY(self->conditions->compile(where, self->snapshot->metadata.schema, runtime, &self->arena,
                                     &self->where, err));
    self->conditions->predicates(self->where, &self->predicates, &self->npredicates, &self->exact);
    MR_TRY(delta_prune(self->snapshot, self->predicates, self->npredicates, self->tz, &self->arena,
                       &self->files, &self->nfiles, NULL, err));
    MR_TRY(delta_replace_new(self->table, self->snapshot, 0, &replace, err));
    enum mr_status status = work(self, where, replace, out, err);
    delta_replace_free(replace);
    return status;
}

enum mr_status delta_delete(const struct delta_table *table, const char *where,
                            struct delta_deletion *out, struct mr_error *err)
{
    struct deleter self = {.table = table, .conditions = table->runtime->registry->conditions};
    *out = (struct delta_deletion){.version = -1};
    mr_arena_init(&self.arena, NULL);
    enum mr_status status = run(&self, where, out, err);
    self.conditions->free(self.where);
    mr_tz_free(self.tz);
    mr_arena_reset(&self.arena);
    return status;
}
