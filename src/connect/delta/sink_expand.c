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

#define MAX_PARTS 8

struct expand {
    const struct mr_sink_bind *bind;
    struct mr_location location;
    const struct delta_snapshot *snapshot;
    struct delta_target target;
    struct mr_op_parts *parts;
    int *inputs; /* two for each part */
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

static enum mr_status expand_all(struct expand *expand, const struct mr_options **options,
                                 struct mr_error *err)
{
    const struct mr_sink_bind *bind = expand->bind;
    enum delta_mode mode =
        (enum delta_mode)mr_options_integer(bind->options, "mode", DELTA_MODE_APPEND);
    (void)options;
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
    return add_regrouping(expand, err);
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
