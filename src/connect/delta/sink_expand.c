/*
 * sink_expand.c - what the plan puts in front of the sink.
 *
 *   append, overwrite:  rows -> [selectColumns: the table's columns] -> [repartitionByColumns] -> sink
 *
 *   upsert:  rows -> [selectColumns] -> deduplicate unique keys = D
 *            table -> the rows' keys and places -> left semi join D on the keys -> places
 *            D with no place, union places with no values -> sink
 *
 * The join is the plan's: it spills, it prunes the scan by D's keys, it is shown. The sink writes D and
 * rewrites the files that places point into.
 */
#include "connect/delta/sink_private.h"

#include "ext/registry.h"

#include <stdio.h>

#define MAX_PARTS 10

struct expand {
    const struct mr_sink_bind *bind;
    struct mr_location location;
    const struct delta_snapshot *snapshot;
    struct delta_target target;
    struct mr_op_parts *parts;
    int *inputs;         /* two for each part */
    const char **quoted; /* keys as expressions */
};

/* A new part with the options of its method; its inputs are given. */
static enum mr_status add_part(struct expand *expand, const char *method, const char *detail,
                               int ninputs, int first, int second, struct mr_options **options,
                               struct mr_error *err)
{
    const struct mr_sink_bind *bind = expand->bind;
    const struct mr_method *found = mr_registry_method(bind->runtime->registry, method);
    if (!found || !mr_method_options(found))
        return mr_error_config(err, "needs the method \"%s\", which this build lacks", method);
    *options = mr_options_new(bind->arena, mr_method_options(found));
    if (!*options)
        return mr_error_nomem(err);
    int at = expand->parts->count++;
    expand->inputs[2 * at] = first;
    expand->inputs[2 * at + 1] = second;
    expand->parts->items[at] = (struct mr_op_part){.method = method,
                                                   .detail = detail,
                                                   .options = *options,
                                                   .ninputs = ninputs,
                                                   .inputs = &expand->inputs[2 * at]};
    return MR_OK;
}

static int last_part(const struct expand *expand)
{
    return expand->parts->count - 1; /* -1 is the sink's own input */
}

/* selectColumns, unless the rows are right as they are. */
static enum mr_status add_projection(struct expand *expand, struct mr_error *err)
{
    const char *const *expressions;
    struct mr_options *options;
    bool same;
    const struct mr_sink_bind *bind = expand->bind;
    const struct mr_schema *schema = expand->target.metadata->schema;
    MR_TRY(
        delta_target_project(&expand->target, bind->schema, bind->arena, &expressions, &same, err));
    if (same)
        return MR_OK;
    MR_TRY(add_part(expand, "selectColumns", "as the table has them", 1, last_part(expand), 0,
                    &options, err));
    for (int i = 0; i < schema->nfields; i++)
        MR_TRY(mr_options_add_pair(bind->arena, options, "columns", schema->fields[i].name,
                                   expressions[i], err));
    return MR_OK;
}

static enum mr_status add_regrouping(struct expand *expand, struct mr_error *err)
{
    const struct delta_metadata *metadata = expand->target.metadata;
    struct mr_options *options;
    if (!mr_options_boolean(expand->bind->options, "optimizeWrite", false) ||
        metadata->npartition_columns == 0)
        return MR_OK;
    MR_TRY(add_part(expand, "repartitionByColumns", "partitions", 1, last_part(expand), 0, &options,
                    err));
    return mr_options_set_list(expand->bind->arena, options, "columns", metadata->partition_columns,
                               metadata->npartition_columns, err);
}

/* ---- upsert ---- */

/* The options of `from` for the rows that another table has too. */
static void copy_options(const struct mr_options *from, struct mr_options *to)
{
    to->position = from->position;
    for (int i = 0; i < to->count; i++) {
        const struct mr_option *row = mr_option_find(from->table, to->table[i].name);
        if (!row || row->type != to->table[i].type || strcmp(row->name, to->table[i].name) != 0)
            continue;
        to->values[i] = *mr_options_get(from, row->name);
        to->values[i].option = &to->table[i];
    }
}

/* The keys by their names in the table. */
static enum mr_status find_keys(const struct expand *expand, const char ***out, int *count,
                                struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(expand->bind->options, "keys");
    const struct mr_schema *schema = expand->target.metadata->schema;
    int n = value->set ? value->u.strings.count : 0;
    const char **keys = mr_arena_calloc(expand->bind->arena, (size_t)n + 1, sizeof *keys);
    if (!keys)
        return mr_error_nomem(err);
    for (int i = 0; i < n; i++) {
        int column = mr_schema_find(schema, value->u.strings.items[i]);
        if (column < 0 || mr_schema_find(expand->bind->schema, value->u.strings.items[i]) < 0) {
            mr_schema_unknown_column(column < 0 ? schema : expand->bind->schema,
                                     value->u.strings.items[i], err);
            if (err)
                mr_error_prefix(err, "keys");
            return MR_CONFIG;
        }
        keys[i] = schema->fields[column].name;
    }
    *out = keys;
    *count = n;
    return n > 0 ? MR_OK
                 : mr_options_error(expand->bind->options, "mode", err, "upsert needs keys");
}

static enum mr_status add_unique(struct expand *expand, const char *const *keys, int nkeys,
                                 struct mr_error *err)
{
    struct mr_options *options;
    struct mr_arena *arena = expand->bind->arena;
    MR_TRY(add_part(expand, "deduplicate", "by the keys", 1, last_part(expand), 0, &options, err));
    MR_TRY(mr_options_set_text(arena, options, "keep", "unique", err));
    for (int i = 0; i < nkeys; i++) {
        const char *name = delta_quoted_name(keys[i], arena);
        if (!name)
            return mr_error_nomem(err);
        expand->quoted[i] = name;
    }
    return mr_options_set_list(arena, options, "keys", expand->quoted, nkeys, err);
}

static enum mr_status add_scan(struct expand *expand, struct mr_error *err)
{
    struct mr_options *options;
    struct mr_arena *arena = expand->bind->arena;
    char version[24];
    MR_TRY(add_part(expand, "fromDeltaLake", "the table", 0, 0, 0, &options, err));
    copy_options(expand->bind->options, options);
    snprintf(version, sizeof version, "%lld", (long long)expand->snapshot->version);
    MR_TRY(mr_options_set_text(arena, options, "version", version, err));
    return mr_options_set_text(arena, options, "addresses", "true", err);
}

/* Rows of the table whose keys are among those of part `rows`, as addresses without values. */
static enum mr_status add_matches(struct expand *expand, const char *const *keys, int nkeys,
                                  int rows, struct mr_error *err)
{
    static const char *const semi[] = {"left_semi"};
    const struct mr_schema *schema = expand->target.metadata->schema;
    struct mr_arena *arena = expand->bind->arena;
    struct mr_options *options;
    MR_TRY(add_part(expand, "selectColumns", "keys and places", 1, last_part(expand), 0, &options,
                    err));
    for (int i = 0; i < nkeys; i++)
        MR_TRY(mr_options_add_pair(arena, options, "columns", keys[i], expand->quoted[i], err));
    MR_TRY(mr_options_add_pair(arena, options, "columns", "__file", "__file", err));
    MR_TRY(mr_options_add_pair(arena, options, "columns", "__position", "__position", err));
    MR_TRY(add_part(expand, "joinDataFrames", "rows that are replaced", 2, last_part(expand), rows,
                    &options, err));
    MR_TRY(mr_options_set_list(arena, options, "leftKeys", keys, nkeys, err));
    MR_TRY(mr_options_set_list(arena, options, "rightKeys", keys, nkeys, err));
    MR_TRY(mr_options_set_list(arena, options, "joinType", semi, 1, err));
    MR_TRY(
        add_part(expand, "selectColumns", "their places", 1, last_part(expand), 0, &options, err));
    for (int i = 0; i < schema->nfields; i++) {
        char *null = delta_null_of(schema->fields[i].type, arena);
        if (!null)
            return mr_error_nomem(err);
        MR_TRY(mr_options_add_pair(arena, options, "columns", schema->fields[i].name, null, err));
    }
    MR_TRY(mr_options_add_pair(arena, options, "columns", "__file", "__file", err));
    return mr_options_add_pair(arena, options, "columns", "__position", "__position", err);
}

static enum mr_status add_new_rows(struct expand *expand, int rows, struct mr_error *err)
{
    const struct mr_schema *schema = expand->target.metadata->schema;
    struct mr_arena *arena = expand->bind->arena;
    struct mr_options *options;
    MR_TRY(add_part(expand, "selectColumns", "without places", 1, rows, 0, &options, err));
    for (int i = 0; i < schema->nfields; i++) {
        const char *name = delta_quoted_name(schema->fields[i].name, arena);
        if (!name)
            return mr_error_nomem(err);
        MR_TRY(mr_options_add_pair(arena, options, "columns", schema->fields[i].name, name, err));
    }
    MR_TRY(mr_options_add_pair(arena, options, "columns", "__file", "CAST(NULL AS string)", err));
    return mr_options_add_pair(arena, options, "columns", "__position", "CAST(NULL AS bigint)",
                               err);
}

static enum mr_status add_merge(struct expand *expand, const struct mr_options **options,
                                struct mr_error *err)
{
    const char **keys = NULL;
    int nkeys = 0;
    char version[24];
    struct mr_arena *arena = expand->bind->arena;
    struct mr_options *own, *unused;
    MR_TRY(find_keys(expand, &keys, &nkeys, err));
    expand->quoted = mr_arena_calloc(arena, (size_t)nkeys + 1, sizeof *expand->quoted);
    if (!expand->quoted)
        return mr_error_nomem(err);
    MR_TRY(add_unique(expand, keys, nkeys, err));
    if (!expand->snapshot)
        return MR_OK;
    int rows = last_part(expand);
    MR_TRY(add_scan(expand, err));
    MR_TRY(add_matches(expand, keys, nkeys, rows, err));
    int places = last_part(expand);
    MR_TRY(add_new_rows(expand, rows, err));
    MR_TRY(add_part(expand, "unionDataFrames", NULL, 2, last_part(expand), places, &unused, err));
    own = mr_options_new(arena, expand->bind->options->table);
    if (!own)
        return mr_error_nomem(err);
    copy_options(expand->bind->options, own);
    snprintf(version, sizeof version, "%lld", (long long)expand->snapshot->version);
    MR_TRY(mr_options_set_text(arena, own, "readVersion", version, err));
    MR_TRY(mr_options_set_text(arena, own, "rowAddresses", "true", err));
    *options = own;
    return MR_OK;
}

static enum mr_status expand_all(struct expand *expand, const struct mr_options **options,
                                 struct mr_error *err)
{
    const struct mr_sink_bind *bind = expand->bind;
    enum delta_mode mode =
        (enum delta_mode)mr_options_integer(bind->options, "mode", DELTA_MODE_APPEND);
    if (expand->snapshot && (mode == DELTA_MODE_IGNORE || mode == DELTA_MODE_ERROR_IF_EXISTS))
        return MR_OK;
    struct delta_target_request request = {
        .options = bind->options,
        .snapshot = expand->snapshot,
        .schema = bind->schema,
        .overwrite = mode == DELTA_MODE_OVERWRITE,
        .table = expand->location.text,
    };
    MR_TRY(delta_target_resolve(&request, bind->arena, &expand->target, err));
    MR_TRY(add_projection(expand, err));
    return mode == DELTA_MODE_UPSERT ? add_merge(expand, options, err)
                                     : add_regrouping(expand, err);
}

enum mr_status delta_sink_expand(const struct mr_sink_bind *bind, struct mr_op_parts *out,
                                 const struct mr_options **options, struct mr_error *err)
{
    struct delta_table table;
    struct expand expand = {.bind = bind, .parts = out};
    out->items = mr_arena_calloc(bind->arena, MAX_PARTS, sizeof *out->items);
    expand.inputs = mr_arena_calloc(bind->arena, 2 * MAX_PARTS, sizeof *expand.inputs);
    if (!out->items || !expand.inputs)
        return mr_error_nomem(err);
    enum mr_status status = delta_sink_open(bind->options, bind->runtime, bind->arena,
                                            &expand.location, &table, &expand.snapshot, err);
    delta_table_close(&table);
    MR_TRY(status);
    return expand.location.store ? expand_all(&expand, options, err) : MR_OK;
}
