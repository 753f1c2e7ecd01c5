/*
 * sink_bind.c - everything that can be known before a row is written: the table, its schema against
 * the rows', what has to be put in front of the sink, and whether this writer may write at all.
 *
 * The table is read twice, by expand and by bind: between them only the plan's memory lives, and the
 * second reading sees a commit of somebody else that the first did not.
 */
#include "connect/delta/sink.h"
#include "connect/delta/sink_private.h"

#include "base/time.h"
#include "connect/delta/private.h"
#include "ext/codec.h"
#include "ext/registry.h"

#include <limits.h>

/* ---- the table ---- */

enum mr_status delta_sink_open(const struct mr_options *options, struct mr_runtime *runtime,
                               struct mr_arena *arena, struct mr_location *location,
                               struct delta_table *table, const struct delta_snapshot **snapshot,
                               struct mr_error *err)
{
    *table = (struct delta_table){0};
    *snapshot = NULL;
    MR_TRY(mr_locate(options, runtime, arena, location, err));
    if (!location->store || runtime->offline)
        return MR_OK;
    MR_TRY(delta_table_open(location, options, runtime, table, err));
    int64_t version = mr_options_integer(options, "readVersion", -1);
    const struct delta_asof asof = {.version = version, .timestamp_micros = INT64_MIN};
    return delta_snapshot_read(table, &asof, arena, snapshot, err);
}

static enum delta_mode mode_of(const struct mr_options *options)
{
    return (enum delta_mode)mr_options_integer(options, "mode", DELTA_MODE_APPEND);
}

static bool is_dynamic(const struct mr_options *options)
{
    return mr_options_integer(options, "partitionOverwriteMode", 0) == 1;
}

static int count_of(const struct mr_options *options, const char *name)
{
    const struct mr_option_value *value = mr_options_get(options, name);
    return value->set ? value->u.strings.count : 0;
}

/* ---- options that need each other ---- */

static enum mr_status check_options(const struct mr_options *options, struct mr_error *err)
{
    enum delta_mode mode = mode_of(options);
    bool overwrite = mode == DELTA_MODE_OVERWRITE;
    const char *where = mr_options_text(options, "replaceWhere");
    bool replace_schema = mr_options_boolean(options, "overwriteSchema", false);
    if (mode == DELTA_MODE_UPSERT && count_of(options, "keys") == 0)
        return mr_options_error(options, "mode", err, "upsert needs keys");
    if (mode != DELTA_MODE_UPSERT && count_of(options, "keys") > 0)
        return mr_options_error(options, "keys", err, "keys are for mode upsert");
    if (where && !overwrite)
        return mr_options_error(options, "replaceWhere", err, "needs mode overwrite");
    if (replace_schema && !overwrite)
        return mr_options_error(options, "overwriteSchema", err, "needs mode overwrite");
    if (replace_schema && (where || is_dynamic(options)))
        return mr_options_error(options, "overwriteSchema", err,
                                "replaces the whole table, not a part of it");
    if (where && is_dynamic(options))
        return mr_options_error(options, "replaceWhere", err,
                                "and partitionOverwriteMode dynamic both say what is replaced");
    return MR_OK;
}

static enum mr_status find_compression(struct delta_sink *sink, struct mr_runtime *runtime,
                                       struct mr_error *err)
{
    const struct mr_options *options = sink->options;
    const char *name = mr_options_text(options, "compression");
    sink->level = INT_MIN;
    if (name && strcmp(name, "uncompressed") == 0)
        name = "none";
    sink->compression = name;
    const struct mr_codec *codec = NULL;
    if (name && strcmp(name, "none") != 0) {
        codec = mr_registry_codec(runtime->registry, name);
        if (!codec)
            return mr_options_error(options, "compression", err,
                                    "compression %s is not in this build", name);
    }
    if (!mr_options_has(options, "compressionLevel"))
        return MR_OK;
    int64_t level = mr_options_integer(options, "compressionLevel", 0);
    if (!codec || codec->min_level == codec->max_level)
        return mr_options_error(options, "compressionLevel", err, "compression %s has no levels",
                                name ? name : "snappy");
    if (level < codec->min_level || level > codec->max_level)
        return mr_options_error(options, "compressionLevel", err, "%s has levels %d to %d", name,
                                codec->min_level, codec->max_level);
    sink->level = (int)level;
    return MR_OK;
}

/* ---- may it be written? ---- */

static enum mr_status already_exists(const struct mr_options *options,
                                     const struct mr_location *location, struct mr_error *err)
{
    mr_options_error(options, "mode", err, "%s is a table already", location->text);
    if (err) {
        mr_error_hint(err, "mode errorifexists stops here; append adds, overwrite replaces");
        err->status = MR_SINK;
    }
    return MR_SINK;
}

static enum delta_kind kind_of(const struct delta_sink *sink)
{
    if (sink->removal == DELTA_REMOVE_NOTHING)
        return DELTA_KIND_APPEND;
    return sink->removal == DELTA_REMOVE_LISTED ? DELTA_KIND_REWRITE : DELTA_KIND_REPLACE;
}

/*
 * replaceWhere over partition columns alone picks whole files, whenever that is asked. Not so floats:
 * of a partition of NaN the bounds say nothing, so its rows are looked at.
 */
static enum mr_status where_is_partitions(const char *where, const struct delta_metadata *metadata,
                                          struct mr_runtime *runtime, struct mr_arena *arena,
                                          bool *out, struct mr_error *err);

static bool only_partitions(const struct mr_predicate *predicate,
                            const struct delta_metadata *metadata)
{
    for (int i = 0; i < predicate->nargs; i++) {
        if (!only_partitions(predicate->args[i], metadata))
            return false;
    }
    if (predicate->nargs > 0)
        return true;
    const struct mr_field *field = &metadata->schema->fields[predicate->column];
    if (field->type->id == MR_TYPE_FLOAT32 || field->type->id == MR_TYPE_FLOAT64)
        return false;
    const char *name = field->name;
    for (int i = 0; i < metadata->npartition_columns; i++) {
        if (strcmp(metadata->partition_columns[i], name) == 0)
            return true;
    }
    return false;
}

static enum mr_status where_is_partitions(const char *where, const struct delta_metadata *metadata,
                                          struct mr_runtime *runtime, struct mr_arena *arena,
                                          bool *out, struct mr_error *err)
{
    const struct mr_conditions *conditions = runtime->registry->conditions;
    struct mr_condition *condition;
    const struct mr_predicate *const *predicates;
    int count;
    MR_TRY(conditions->compile(where, metadata->schema, runtime, arena, &condition, err));
    conditions->predicates(condition, &predicates, &count, out);
    for (int i = 0; i < count && *out; i++)
        *out = only_partitions(predicates[i], metadata);
    conditions->free(condition);
    return MR_OK;
}

static enum mr_status choose_removal(struct delta_sink *sink, struct mr_runtime *runtime,
                                     struct mr_arena *arena, struct mr_error *err)
{
    sink->removal = DELTA_REMOVE_NOTHING;
    if (sink->mode == DELTA_MODE_UPSERT)
        sink->removal = sink->target.snapshot ? DELTA_REMOVE_LISTED : DELTA_REMOVE_NOTHING;
    if (sink->mode != DELTA_MODE_OVERWRITE)
        return MR_OK;
    sink->removal = is_dynamic(sink->options) ? DELTA_REMOVE_PARTITIONS : DELTA_REMOVE_ALL;
    if (sink->where) {
        bool partitions;
        enum mr_status status = where_is_partitions(sink->where, sink->target.metadata, runtime,
                                                    arena, &partitions, err);
        if (status != MR_OK && err)
            mr_error_prefix(err, "replaceWhere");
        MR_TRY(status);
        sink->removal = partitions ? DELTA_REMOVE_WHERE : DELTA_REMOVE_LISTED;
    }
    return MR_OK;
}

/* ---- others in the same place ---- */

#define RECENT_MICROS (600 * MR_MICROS_PER_SECOND)

/* Data files that are this young may be those of somebody who creates the table at this moment. */
static enum mr_status seen(void *context, const struct mr_store_entry *entry, struct mr_error *err)
{
    (void)err;
    const char *slash = strrchr(entry->path, '/');
    const char *name = slash ? slash + 1 : entry->path;
    const char *end = strrchr(name, '.');
    bool data = strncmp(name, "part-", 5) == 0 && end && strcmp(end, ".parquet") == 0;
    if (data && entry->modified_micros > mr_clock_wall_micros() - RECENT_MICROS)
        return MR_OK;
    *(bool *)context = true;
    return MR_CANCELLED; /* one is enough: ends the listing */
}

/* A new table takes the whole directory: a vacuum would remove what else is there. */
static enum mr_status check_empty(const struct delta_sink *sink, const struct delta_table *table,
                                  struct mr_error *err)
{
    bool found = false;
    enum mr_status status = table->store->list(table->handle, "", NULL, false, seen, &found, err);
    if (!found)
        return status;
    mr_error_set(err, MR_SINK, MR_CLASS_CONFIG, "%s holds files, but is no Delta table",
                 sink->location.text);
    if (err)
        mr_error_hint(err, "choose an empty directory, or remove what is there");
    return MR_SINK;
}

/* The first load of the run into a table. */
struct first_load {
    int sequence;
    bool all_append;
};

static enum mr_status make_first(void *context, void **out, struct mr_error *err)
{
    struct first_load *first = mr_alloc(sizeof *first);
    if (!first)
        return mr_error_nomem(err);
    *first = *(const struct first_load *)context;
    *out = first;
    return MR_OK;
}

/*
 * Loads of one run commit one after the other, but all were prepared for the version before: of
 * several into one table only appends can follow each other.
 */
static enum mr_status check_alone(const struct delta_sink *sink, const struct mr_sink_bind *bind,
                                  struct mr_error *err)
{
    struct first_load own = {bind->sequence, sink->mode == DELTA_MODE_APPEND};
    void *found;
    if (bind->runtime->offline || !bind->runtime->shared || !sink->location.url)
        return MR_OK;
    const char *key = mr_arena_printf(bind->arena, "delta load:%s", sink->location.url);
    if (!key)
        return mr_error_nomem(err);
    MR_TRY(mr_shared_get(bind->runtime, key, make_first, &own, mr_free, &found, err));
    struct first_load *first = found;
    if (first->sequence == own.sequence || (first->all_append && own.all_append))
        return MR_OK;
    mr_options_error(bind->options, "path", err, "another load of this pipeline writes %s too",
                     sink->location.text);
    if (err)
        mr_error_hint(err, "several loads into one table must all append; bring the rows together "
                           "with unionDataFrames");
    return MR_CONFIG;
}

/* ---- notes ---- */

#define MAX_NOTES 6

static enum mr_status make_notes(const struct delta_sink *sink, const struct mr_sink_bind *bind,
                                 struct mr_sink_info *info, struct mr_error *err)
{
    const char **notes = mr_arena_calloc(bind->arena, MAX_NOTES, sizeof *notes);
    if (!notes)
        return mr_error_nomem(err);
    const struct delta_target *target = &sink->target;
    int count = 0;
    if (target->metadata && !target->snapshot)
        notes[count++] = "a new table";
    else if (target->new_metadata)
        notes[count++] = "the table gets another schema";
    if (target->snapshot && target->protocol)
        notes[count++] = "the table's protocol is raised: timestampNtz";
    if (target->snapshot && sink->removal == DELTA_REMOVE_ALL)
        notes[count++] =
            mr_arena_printf(bind->arena,
                            "overwrite replaces all %d files of version "
                            "%lld",
                            target->snapshot->nfiles, (long long)target->snapshot->version);
    if (sink->removal == DELTA_REMOVE_PARTITIONS)
        notes[count++] = "overwrite replaces the partitions that are written";
    if (sink->where)
        notes[count++] =
            mr_arena_printf(bind->arena, "overwrite replaces rows where %s", sink->where);
    for (int i = 0; i < count; i++) {
        if (!notes[i])
            return mr_error_nomem(err);
    }
    info->notes = notes;
    info->nnotes = count;
    info->location = mr_arena_printf(bind->arena, "%s (delta)", sink->location.text);
    return info->location ? MR_OK : mr_error_nomem(err);
}

/* ---- bind ---- */

/* The rows' columns, without the two that addresses come in. */
static enum mr_status row_schema(const struct delta_sink *sink, const struct mr_sink_bind *bind,
                                 const struct mr_schema **out, struct mr_error *err)
{
    *out = bind->schema;
    if (!sink->addresses)
        return MR_OK;
    *out = mr_schema_new(bind->arena, bind->schema->fields, bind->schema->nfields - 2);
    return *out ? MR_OK : mr_error_nomem(err);
}

static enum mr_status bind_target(struct delta_sink *sink, const struct mr_sink_bind *bind,
                                  const struct delta_snapshot *snapshot, struct mr_error *err)
{
    const struct mr_schema *schema;
    const char *const *expressions;
    bool same;
    MR_TRY(row_schema(sink, bind, &schema, err));
    struct delta_target_request request = {
        .options = bind->options,
        .snapshot = snapshot,
        .schema = schema,
        .overwrite = sink->mode == DELTA_MODE_OVERWRITE,
        .table = sink->location.text,
    };
    MR_TRY(delta_target_resolve(&request, bind->arena, &sink->target, err));
    MR_TRY(choose_removal(sink, bind->runtime, bind->arena, err));
    if (!bind->runtime->offline && sink->location.store) {
        MR_TRY(delta_target_project(&sink->target, schema, bind->arena, &expressions, &same, err));
        if (!same)
            return mr_error_set(err, MR_SINK, MR_CLASS_TRANSIENT,
                                "%s changed its schema while this run was being planned",
                                sink->location.text);
    }
    return snapshot ? delta_check_writable(snapshot, kind_of(sink), sink->location.text, err)
                    : MR_OK;
}

static enum mr_status bind_all(struct delta_sink *sink, const struct mr_sink_bind *bind,
                               struct mr_sink_info *info, struct mr_error *err)
{
    struct delta_table table;
    const struct delta_snapshot *snapshot;
    MR_TRY(check_options(bind->options, err));
    MR_TRY(find_compression(sink, bind->runtime, err));
    enum mr_status status = delta_sink_open(bind->options, bind->runtime, bind->arena,
                                            &sink->location, &table, &snapshot, err);
    if (status == MR_OK && table.handle && !snapshot)
        status = check_empty(sink, &table, err);
    delta_table_close(&table);
    MR_TRY(status);
    MR_TRY(check_alone(sink, bind, err));
    if (snapshot && sink->mode == DELTA_MODE_UPSERT && bind->schema && !sink->addresses)
        return mr_error_set(err, MR_SINK, MR_CLASS_TRANSIENT,
                            "%s was created while this run was being planned", sink->location.text);
    if (snapshot && sink->mode == DELTA_MODE_ERROR_IF_EXISTS)
        return already_exists(bind->options, &sink->location, err);
    info->missing = !snapshot;
    info->skip = snapshot && sink->mode == DELTA_MODE_IGNORE;
    if (bind->schema && !info->skip)
        MR_TRY(bind_target(sink, bind, snapshot, err));
    info->basis = delta_sink_basis(sink);
    return make_notes(sink, bind, info, err);
}

enum mr_status delta_sink_bind(const struct mr_sink_bind *bind, void **state,
                               struct mr_sink_info *info, struct mr_error *err)
{
    *info = (struct mr_sink_info){.kinds = MR_SINK_APPEND};
    struct delta_sink *sink = mr_arena_calloc(bind->arena, 1, sizeof *sink);
    if (!sink)
        return mr_error_nomem(err);
    sink->options = bind->options;
    sink->sequence = bind->sequence;
    sink->mode = mode_of(bind->options);
    info->kinds |= sink->mode == DELTA_MODE_UPSERT ? MR_SINK_UPSERT : 0;
    info->kinds |= sink->mode == DELTA_MODE_OVERWRITE ? MR_SINK_COMPLETE : 0;
    sink->where = mr_options_text(bind->options, "replaceWhere");
    sink->addresses = mr_options_boolean(bind->options, "rowAddresses", false);
    MR_TRY(bind_all(sink, bind, info, err));
    *state = sink;
    return MR_OK;
}

static void delta_sink_close(void *state)
{
    (void)state; /* all of it is the plan's */
}

const struct mr_sink mr_sink_delta = {
    .name = "delta",
    .doc = "Writes a Delta Lake table: create, append, overwrite, upsert; one version a run.",
    .system = "s3",
    .options = delta_sink_options,
    .flags = MR_SINK_ATOMIC,
    .expand = delta_sink_expand,
    .bind = delta_sink_bind,
    .writer_open = delta_sink_writer_open,
    .write = delta_sink_write,
    .relieve = delta_sink_relieve,
    .part_bytes = delta_sink_part_bytes,
    .writer_finish = delta_sink_writer_finish,
    .writer_close = delta_sink_writer_close,
    .prepare = delta_sink_prepare,
    .commit = delta_sink_commit,
    .tidy = delta_sink_tidy,
    .recover = delta_sink_recover,
    .abort = delta_sink_abort,
    .sweep = delta_sink_sweep,
    .close = delta_sink_close,
};
