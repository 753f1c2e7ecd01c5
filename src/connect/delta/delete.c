/*
 * delete.c - rows that fulfil a condition go.
 *
 * Files where partition values or statistics say that no row can match are not opened. Of the others
 * the columns of the condition are read first, and only files in which some rows match and some do
 * not are read whole and written again. A row for which the condition is NULL stays.
 */
#include "connect/delta/maintain.h"

#include "ext/condition.h"
#include "ext/prune.h"
#include "ext/registry.h"

struct deleter {
    const struct delta_table *table;
    const struct mr_conditions *conditions;
    const struct delta_snapshot *snapshot;
    struct mr_arena arena;
    struct mr_tz *tz;
    struct mr_condition *where;   /* over metadata.schema */
    struct mr_condition *narrow;  /* over `read` */
    const struct mr_schema *read; /* the columns that it needs */
    struct delta_file *removes;
    int nremoves;
    int64_t rows;
};

static enum mr_status compile(struct deleter *self, const char *where, struct mr_error *err)
{
    const struct mr_schema *schema = self->snapshot->metadata.schema;
    bool *used = mr_arena_calloc(&self->arena, (size_t)schema->nfields + 1, sizeof *used);
    struct mr_field *fields =
        mr_arena_calloc(&self->arena, (size_t)schema->nfields + 1, sizeof *fields);
    int count = 0;
    if (!used || !fields)
        return mr_error_nomem(err);
    MR_TRY(self->conditions->compile(where, schema, self->table->runtime, &self->arena,
                                     &self->where, err));
    self->conditions->uses(self->where, used);
    for (int i = 0; i < schema->nfields; i++)
        if (used[i])
            fields[count++] = schema->fields[i];
    self->read = mr_schema_new(&self->arena, fields, count);
    if (!self->read)
        return mr_error_nomem(err);
    return self->conditions->compile(where, self->read, self->table->runtime, &self->arena,
                                     &self->narrow, err);
}

/* Hands the batches of a file to `take`, which is told what the condition says of each row. */
static enum mr_status each_batch(struct deleter *self, const struct delta_file *file, bool whole,
                                 enum mr_status (*take)(void *context, struct mr_batch *batch,
                                                        const uint8_t *truth, struct mr_error *err),
                                 void *context, struct mr_error *err)
{
    struct delta_read *read;
    const struct mr_schema *schema = whole ? self->snapshot->metadata.schema : self->read;
    struct mr_condition *where = whole ? self->where : self->narrow;
    struct delta_want want = {.schema = schema, .size = INT64_MAX, .tz = self->tz};
    MR_TRY(delta_read_open(self->table, self->snapshot, file, &want, &read, err));
    enum mr_status status = MR_OK;
    for (struct mr_batch *batch = NULL; status == MR_OK;) {
        status = delta_read_next(read, &batch, err);
        if (status != MR_OK || !batch)
            break;
        uint8_t *truth = mr_calloc((size_t)batch->rows + 1, 1);
        status = truth ? self->conditions->evaluate(where, batch, truth, err) : mr_error_nomem(err);
        if (status == MR_OK)
            status = take(context, batch, truth, err);
        mr_free(truth);
        mr_batch_unref(batch);
    }
    delta_read_close(read);
    return status;
}

struct tally {
    int64_t rows;
    int64_t matches;
};

static enum mr_status count_matches(void *context, struct mr_batch *batch, const uint8_t *truth,
                                    struct mr_error *err)
{
    (void)err;
    struct tally *tally = context;
    tally->rows += batch->rows;
    for (int64_t i = 0; i < batch->rows; i++)
        tally->matches += truth[i] == 1;
    return MR_OK;
}

struct keeper {
    struct deleter *deleter;
    struct delta_replace *replace;
};

static enum mr_status keep_rows(void *context, struct mr_batch *batch, const uint8_t *truth,
                                struct mr_error *err)
{
    struct keeper *keeper = context;
    int32_t *rows = mr_calloc((size_t)batch->rows + 1, sizeof *rows);
    struct mr_batch *kept = NULL;
    int64_t count = 0;
    if (!rows)
        return mr_error_nomem(err);
    for (int64_t i = 0; i < batch->rows; i++)
        if (truth[i] != 1)
            rows[count++] = (int32_t)i;
    enum mr_status status = MR_OK;
    if (count == batch->rows)
        status = delta_replace_add(keeper->replace, batch, err);
    else if (count > 0) {
        status =
            mr_batch_take(keeper->deleter->table->runtime->memory, batch, rows, count, &kept, err);
        if (status == MR_OK)
            status = delta_replace_add(keeper->replace, kept, err);
        mr_batch_unref(kept);
    }
    mr_free(rows);
    return status;
}

/* The file's rows without those that match; nothing if none does. */
static enum mr_status take_file(struct deleter *self, const struct delta_file *file, bool dry,
                                struct delta_replace *replace, struct mr_error *err)
{
    struct tally tally = {0};
    MR_TRY(each_batch(self, file, false, count_matches, &tally, err));
    if (tally.matches == 0)
        return MR_OK;
    self->rows += tally.matches;
    self->removes[self->nremoves++] = *file;
    struct keeper keeper = {self, replace};
    return dry || tally.matches == tally.rows
               ? MR_OK
               : each_batch(self, file, true, keep_rows, &keeper, err);
}

static bool on_partitions_only(const struct deleter *self)
{
    const struct delta_metadata *metadata = &self->snapshot->metadata;
    for (int i = 0; i < self->read->nfields; i++) {
        bool found = false;
        for (int k = 0; k < metadata->npartition_columns; k++)
            found |= strcmp(self->read->fields[i].name, metadata->partition_columns[k]) == 0;
        if (!found)
            return false;
    }
    return self->read->nfields > 0;
}

static enum mr_status commit(struct deleter *self, const char *where, struct delta_replace *replace,
                             struct delta_deletion *out, struct mr_error *err)
{
    struct mr_bytes parameters, metrics, list;
    struct delta_outcome outcome = {.version = -1};
    const struct mr_predicate *const *predicates;
    int npredicates;
    bool exact;
    self->conditions->predicates(self->where, &predicates, &npredicates, &exact);
    bool partitions = exact && on_partitions_only(self);
    mr_bytes_init(&parameters, 1 << 20);
    mr_bytes_init(&metrics, 4096);
    mr_bytes_init(&list, 1 << 20);
    mr_bytes_char(&list, '[');
    mr_bytes_json_string(&list, where, strlen(where));
    mr_bytes_char(&list, ']');
    mr_bytes_text(&parameters, "{\"predicate\":");
    mr_bytes_json_string(&parameters, list.data ? list.data : "", list.size);
    mr_bytes_char(&parameters, '}');
    mr_bytes_printf(&metrics, "{\"numDeletedRows\":\"%lld\",\"numRemovedFiles\":\"%d\"}",
                    (long long)self->rows, self->nremoves);
    struct delta_change change = {
        .operation = "DELETE",
        .parameters = parameters.data,
        .metrics = metrics.data,
        .nremoves = self->nremoves,
        .removes = self->removes,
        .data_change = true,
        .reads = partitions ? DELTA_READS_WHERE : DELTA_READS_TABLE,
        .where = predicates,
        .nwhere = partitions ? npredicates : 0,
    };
    enum mr_status status = mr_bytes_status(&parameters, err);
    if (status == MR_OK)
        status = delta_replace_commit(replace, &change, &self->arena, &outcome, err);
    if (status == MR_OK) {
        out->version = outcome.version;
        out->files_added = change.nadds;
    }
    mr_bytes_reset(&list);
    mr_bytes_reset(&parameters);
    mr_bytes_reset(&metrics);
    return status;
}

static enum mr_status work(struct deleter *self, const char *where, bool dry,
                           struct delta_replace *replace, struct delta_deletion *out,
                           struct mr_error *err)
{
    const struct mr_predicate *const *predicates;
    int npredicates, count, *files;
    bool exact;
    self->conditions->predicates(self->where, &predicates, &npredicates, &exact);
    MR_TRY(delta_prune(self->snapshot, predicates, npredicates, self->tz, &self->arena, &files,
                       &count, NULL, err));
    self->removes = mr_arena_calloc(&self->arena, (size_t)count + 1, sizeof *self->removes);
    if (!self->removes)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++)
        MR_TRY(take_file(self, &self->snapshot->files[files[i]], dry, replace, err));
    out->rows = self->rows;
    out->files_removed = self->nremoves;
    return dry || self->nremoves == 0 ? MR_OK : commit(self, where, replace, out, err);
}

static enum mr_status run(struct deleter *self, const char *where, bool dry,
                          struct delta_deletion *out, struct mr_error *err)
{
    const struct delta_asof latest = {-1, INT64_MIN};
    struct delta_replace *replace;
    MR_TRY(delta_snapshot_read(self->table, &latest, &self->arena, &self->snapshot, err));
    if (!self->snapshot)
        return mr_error_set(err, MR_SINK, MR_CLASS_CONFIG, "%s is no Delta table",
                            self->table->text);
    MR_TRY(delta_check_writable(self->snapshot, DELTA_KIND_REWRITE, self->table->text, err));
    MR_TRY(mr_tz_new(self->table->runtime->time_zone ? self->table->runtime->time_zone : "UTC",
                     &self->tz, err));
    MR_TRY(compile(self, where, err));
    MR_TRY(delta_replace_new(self->table, self->snapshot, 0, &replace, err));
    enum mr_status status = work(self, where, dry, replace, out, err);
    delta_replace_free(replace);
    return status;
}

enum mr_status delta_delete(const struct delta_table *table, const char *where, bool dry,
                            struct delta_deletion *out, struct mr_error *err)
{
    struct deleter self = {.table = table, .conditions = table->runtime->registry->conditions};
    *out = (struct delta_deletion){.version = -1};
    mr_arena_init(&self.arena, NULL);
    enum mr_status status = run(&self, where, dry, out, err);
    self.conditions->free(self.where);
    self.conditions->free(self.narrow);
    mr_tz_free(self.tz);
    mr_arena_reset(&self.arena);
    return status;
}
