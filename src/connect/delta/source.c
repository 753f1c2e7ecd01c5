/*
 * source.c - fromDeltaLake: bind, offer, narrow, and the table of callbacks.
 *
 * Binding reads the log and no data: schema, files, sizes, rows and bounds are all in it. What is
 * offered is answered from there too: conditions on partition columns decide about whole files and
 * are exact, others leave out the files whose statistics exclude them and go on to the Parquet
 * reader for row groups and pages. The parts: shared.c the version, splits.c, reader.c.
 */
#include "connect/delta/source.h"

#include "base/time.h"
#include "connect/delta/delta.h"
#include "connect/delta/predicate.h"
#include "ext/prune.h"

#include <inttypes.h>

/* ---- bind ---- */

static void close_source(void *object)
{
    struct delta_source *source = object;
    mr_arena_reset(&source->narrow_arena);
    delta_shared_release(source->shared);
    mr_tz_free(source->tz);
    mr_free(source);
}

static enum mr_status read_asof(struct delta_source *source, struct mr_error *err)
{
    const struct mr_options *options = source->options;
    const char *time = mr_options_text(options, "timestamp");
    source->asof = (struct delta_asof){mr_options_integer(options, "version", -1), INT64_MIN};
    if (!time)
        return MR_OK;
    if (source->asof.version >= 0)
        return mr_options_error(options, "timestamp", err, "give version or timestamp, not both");
    struct mr_value value;
    if (!delta_value_parse(mr_type_of(MR_TYPE_TIMESTAMP), time, source->tz, &value) ||
        value.is_null)
        return mr_options_error(options, "timestamp", err, "'%s' is not a time", time);
    source->asof.timestamp_micros = value.u.i64;
    return MR_OK;
}

static enum mr_status all_columns(struct delta_source *source, struct mr_error *err)
{
    const struct mr_schema *table = source->snapshot->metadata.schema;
    int count = table->nfields;
    struct mr_field *fields = mr_arena_calloc(source->arena, (size_t)count + 2, sizeof *fields);
    source->columns = mr_arena_calloc(source->arena, (size_t)count + 2, sizeof *source->columns);
    if (!fields || !source->columns)
        return mr_error_nomem(err);
    if (count)
        memcpy(fields, table->fields, (size_t)count * sizeof *fields);
    if (source->addresses) {
        fields[count++] = (struct mr_field){.name = "__file", .type = mr_type_of(MR_TYPE_STRING)};
        fields[count++] =
            (struct mr_field){.name = "__position", .type = mr_type_of(MR_TYPE_INT64)};
    }
    for (int i = 0; i < count; i++)
        source->columns[i] = i;
    source->all = source->schema = mr_schema_new(source->arena, fields, count);
    return source->all ? MR_OK : mr_error_nomem(err);
}

/* Rows and bytes of the files that are left, and the line for the plan. */
static enum mr_status describe(struct delta_source *source, struct mr_source_info *info,
                               struct mr_error *err)
{
    const struct delta_snapshot *snapshot = source->snapshot;
    struct delta_statistics *statistics;
    MR_TRY(delta_statistics_new(&snapshot->metadata, source->tz, &statistics, err));
    info->rows = 0;
    info->bytes = 0;
    for (int i = 0; i < source->nfiles; i++) {
        const struct delta_file *file = &snapshot->files[source->files[i]];
        delta_statistics_file(statistics, file);
        int64_t rows = delta_statistics_rows(statistics);
        info->rows = info->rows < 0 || rows < 0 ? -1 : info->rows + rows;
        info->bytes += file->size > 0 ? file->size : 0;
    }
    delta_statistics_free(statistics);
    char skipped[32];
    mr_size_format(source->skipped.bytes, skipped, sizeof skipped);
    info->details =
        source->skipped.files
            ? mr_arena_printf(source->arena,
                              "version %" PRId64 ", %d of %d files, %s skipped by partitions and "
                              "statistics",
                              snapshot->version, source->nfiles, snapshot->nfiles, skipped)
            : mr_arena_printf(source->arena, "version %" PRId64 ", %d file%s", snapshot->version,
                              snapshot->nfiles, snapshot->nfiles == 1 ? "" : "s");
    info->schema = source->schema;
    return info->details ? MR_OK : mr_error_nomem(err);
}

static enum mr_status prune(struct delta_source *source, struct mr_error *err)
{
    return delta_prune(source->snapshot, source->predicates, source->npredicates, source->tz,
                       source->arena, &source->files, &source->nfiles, &source->skipped, err);
}

static enum mr_status bind_connected(struct delta_source *source, const struct mr_source_bind *bind,
                                     struct mr_source_info *info, struct mr_error *err)
{
    MR_TRY(delta_shared_get(bind->runtime, &source->location, bind->options, &source->asof,
                            &source->shared, err));
    source->snapshot = source->shared->snapshot;
    if (!source->snapshot)
        return mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                            "%s is no Delta table: there is no _delta_log in it",
                            source->location.text);
    MR_TRY(delta_increment_bind(source, bind, info, err));
    if (delta_source_is_remote(source) && bind->runtime->parallelism < DELTA_REMOTE_READERS)
        info->max_readers = DELTA_REMOTE_READERS;
    MR_TRY(all_columns(source, err));
    MR_TRY(prune(source, err));
    return describe(source, info, err);
}

static enum mr_status bind_state(struct delta_source *source, const struct mr_source_bind *bind,
                                 struct mr_source_info *info, struct mr_error *err)
{
    struct mr_runtime *runtime = bind->runtime;
    if (runtime->time_zone)
        MR_TRY(mr_tz_new(runtime->time_zone, &source->tz, err));
    MR_TRY(read_asof(source, err));
    MR_TRY(delta_increment_check(source, bind, err));
    MR_TRY(mr_locate(bind->options, runtime, bind->arena, &source->location, err));
    info->location = mr_arena_printf(bind->arena, "delta table %s", source->location.text);
    if (!info->location)
        return mr_error_nomem(err);
    return runtime->offline ? MR_OK : bind_connected(source, bind, info, err);
}

static enum mr_status bind_source(const struct mr_source_bind *bind, void **out,
                                  struct mr_source_info *info, struct mr_error *err)
{
    *out = NULL;
    *info = (struct mr_source_info){.rows = -1, .bytes = -1};
    struct delta_source *source = mr_calloc(1, sizeof *source);
    if (!source)
        return mr_error_nomem(err);
    source->options = bind->options;
    source->arena = bind->arena;
    source->limit = -1;
    source->addresses = mr_options_boolean(bind->options, "addresses", false);
    mr_arena_init(&source->narrow_arena, NULL);
    enum mr_status status = bind_state(source, bind, info, err);
    if (status != MR_OK) {
        close_source(source);
        return status;
    }
    *out = source;
    return MR_OK;
}

/* ---- offer ---- */

/* Does the condition say NONE or ALL of every file? It must be one of partition columns only. */
static enum mr_status decides(const struct delta_source *source,
                              const struct mr_predicate *predicate, bool *out, struct mr_error *err)
{
    const struct delta_snapshot *snapshot = source->snapshot;
    *out = delta_by_partition(&snapshot->metadata, predicate);
    if (!*out)
        return MR_OK;
    struct delta_statistics *statistics;
    MR_TRY(delta_statistics_new(&snapshot->metadata, source->tz, &statistics, err));
    struct mr_prune_part part = {delta_statistics_column, statistics, source->tz};
    for (int i = 0; i < snapshot->nfiles && *out; i++) {
        delta_statistics_file(statistics, &snapshot->files[i]);
        *out = mr_prune(predicate, &part) != MR_PRUNE_SOME;
    }
    delta_statistics_free(statistics);
    return MR_OK;
}

static enum mr_status take_predicates(struct delta_source *source, struct mr_source_offer *offer,
                                      bool *all_exact, struct mr_error *err)
{
    const struct mr_predicate **kept =
        mr_arena_calloc(source->arena, (size_t)offer->npredicates + 1, sizeof *kept);
    if (!kept)
        return mr_error_nomem(err);
    source->npredicates = 0;
    *all_exact = true;
    for (int i = 0; i < offer->npredicates; i++) {
        const struct mr_predicate **copy = &kept[source->npredicates];
        if (!delta_predicate_copy(source->arena, offer->predicates[i], NULL,
                                  delta_source_fields(source), copy))
            return mr_error_nomem(err);
        offer->pushed[i] = MR_PUSH_REFUSED;
        if (*copy) {
            bool exact;
            MR_TRY(decides(source, *copy, &exact, err));
            offer->pushed[i] = exact ? MR_PUSH_EXACT : MR_PUSH_PARTIAL;
            source->npredicates++;
        }
        *all_exact = *all_exact && offer->pushed[i] == MR_PUSH_EXACT;
    }
    source->predicates = kept;
    return MR_OK;
}

static enum mr_status take_columns(struct delta_source *source, const bool *wanted,
                                   struct mr_error *err)
{
    struct mr_field *fields =
        mr_arena_calloc(source->arena, (size_t)source->all->nfields + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    int count = 0;
    for (int i = 0; i < source->all->nfields; i++) {
        if (wanted[i]) {
            source->columns[count] = i;
            fields[count++] = source->all->fields[i];
        }
    }
    source->schema = mr_schema_new(source->arena, fields, count);
    return source->schema ? MR_OK : mr_error_nomem(err);
}

static enum mr_status offer_source(void *state, struct mr_source_offer *offer,
                                   struct mr_source_info *info, struct mr_error *err)
{
    struct delta_source *source = state;
    if (!source->snapshot) { /* offline */
        for (int i = 0; i < offer->npredicates; i++)
            offer->pushed[i] = MR_PUSH_REFUSED;
        return MR_OK;
    }
    bool all_exact = true;
    MR_TRY(take_predicates(source, offer, &all_exact, err));
    source->limit = all_exact ? offer->limit : -1;
    MR_TRY(prune(source, err));
    if (offer->columns)
        MR_TRY(take_columns(source, offer->columns, err));
    return describe(source, info, err);
}

static enum mr_status narrow_source(void *state, const struct mr_predicate *predicate,
                                    struct mr_error *err)
{
    struct delta_source *source = state;
    source->narrowed = NULL;
    mr_arena_reset(&source->narrow_arena);
    if (predicate && !delta_predicate_copy(&source->narrow_arena, predicate, NULL,
                                           source->schema->nfields, &source->narrowed))
        return mr_error_nomem(err);
    return MR_OK;
}

const struct mr_source mr_source_delta = {
    .name = "delta",
    .doc = "Reads a version of a Delta Lake table.",
    .system = "s3",
    .options = delta_source_options,
    .flags = MR_SOURCE_STABLE_ORDER | MR_SOURCE_IMMUTABLE,
    .bind = bind_source,
    .offer = offer_source,
    .splits = delta_source_splits,
    .narrow = narrow_source,
    .reader_open = delta_reader_open,
    .next = delta_reader_next,
    .position = delta_reader_position,
    .reader_close = delta_reader_close,
    .close = close_source,
};
