/*
 * warn.c - what a user should know before the run: skew, frames that nobody reads, wishes that
 * cannot be met, and the deliberate differences from the older dialect that touch this file.
 *
 * (Small files are foreseen by the sinks, in their notes: only they know what a row becomes.)
 */
#include "plan/build.h"

#define SKEW_MOST       2.0
#define SPLITS_FOR_SKEW 2

static enum mr_status warn_skew(struct mr_plan_builder *builder, const struct mr_plan_node *node,
                                struct mr_error *err)
{
    if (node->splits.count < SPLITS_FOR_SKEW)
        return MR_OK;
    double total = 0, most = 0;
    int widest = 0;
    for (int i = 0; i < node->splits.count; i++) {
        const struct mr_split *split = &node->splits.items[i];
        int64_t size = split->bytes >= 0 ? split->bytes : split->rows;
        if (size < 0)
            return MR_OK;
        total += (double)size;
        if ((double)size > most) {
            most = (double)size;
            widest = i;
        }
    }
    double mean = total / node->splits.count;
    if (mean <= 0 || most / mean <= SKEW_MOST)
        return MR_OK;
    const char *label = node->splits.items[widest].label;
    return mr_plan_warn(builder, node->label, err,
                        "skew %.1f: split %s is %.1f times the mean; leave out lowerBound and "
                        "upperBound, or choose another partitionColumn",
                        most / mean, label != NULL ? label : "?", most / mean);
}

static enum mr_status warn_unread(struct mr_plan_builder *builder, const struct mr_plan_node *node,
                                  struct mr_error *err)
{
    if (node->kind != MR_PLAN_SOURCE || builder->drafts[node->id].live)
        return MR_OK;
    return mr_plan_warn(builder, node->label, err,
                        "no load and no validation uses its rows: it is not read");
}

static enum mr_status warn_tasks(struct mr_plan_builder *builder,
                                 const struct mr_plan_segment *segment, struct mr_error *err)
{
    for (int i = 0; i < segment->nnodes; i++) {
        const struct mr_plan_node *node = &builder->nodes[segment->nodes[i]];
        if (node->kind != MR_PLAN_OP || node->op_info.partitions <= segment->ntasks ||
            node->op_info.coalesce_only || mr_plan_is_breaker(node))
            continue;
        MR_TRY(mr_plan_warn(builder, node->label, err,
                            "%d output tasks asked for, %d are possible: a task reads whole splits "
                            "(the source gives %d), in order where the rows are limited",
                            node->op_info.partitions, segment->ntasks, segment->nsplits));
    }
    return MR_OK;
}

static enum mr_status warn_read_again(struct mr_plan_builder *builder,
                                      const struct mr_plan_node *node, struct mr_error *err)
{
    int times = 0;
    for (int s = 0; s < builder->plan->nsegments; s++)
        for (int i = 0; i < builder->plan->segments[s].nsources; i++)
            times += builder->plan->segments[s].sources[i] == node->id;
    if (times < 2)
        return MR_OK;
    return mr_plan_warn(builder, node->label, err,
                        "is read %d times under one snapshot: its consumers need different numbers "
                        "of output tasks, or one needs all rows before another may start",
                        times);
}

static bool option_is(const struct mr_options *options, const char *name, const char *choice)
{
    const struct mr_option *row = options != NULL ? mr_option_find(options->table, name) : NULL;
    if (row == NULL || row->type != MR_OPTION_ENUM || !mr_options_has(options, row->name))
        return false;
    return strcmp(row->choices[mr_options_integer(options, row->name, 0)], choice) == 0;
}

static bool by_user(const struct mr_options *options, const char *name)
{
    const struct mr_option *row = options != NULL ? mr_option_find(options->table, name) : NULL;
    return row != NULL && mr_options_get(options, row->name)->by_user;
}

static bool has_option(const struct mr_options *options, const char *name)
{
    const struct mr_option *row = options != NULL ? mr_option_find(options->table, name) : NULL;
    return row != NULL && mr_options_has(options, row->name);
}

static bool any_expression(const struct mr_plan_builder *builder)
{
    for (int i = 0; i < builder->plan->nnodes; i++) {
        const struct mr_options *options = builder->drafts[i].options;
        for (int k = 0; options != NULL && k < options->count; k++)
            if ((options->values[k].option->flags & MR_OPTION_EXPRESSION) && options->values[k].set)
                return true;
    }
    return false;
}

static bool any_instant(const struct mr_plan_builder *builder)
{
    for (int i = 0; i < builder->plan->nnodes; i++) {
        const struct mr_schema *schema = builder->nodes[i].schema;
        for (int k = 0; schema != NULL && k < schema->nfields; k++)
            if (schema->fields[k].type->id == MR_TYPE_TIMESTAMP)
                return true;
    }
    return false;
}

static bool reads_from(const struct mr_plan_builder *builder, int at, int source)
{
    const struct mr_plan_node *node = &builder->nodes[at];
    for (int k = 0; k < node->ninputs; k++)
        if (node->inputs[k].node == source ||
            (node->inputs[k].node > source && reads_from(builder, node->inputs[k].node, source)))
            return true;
    return false;
}

/* Rows that come again need a target that knows them by their keys. */
static enum mr_status warn_repeats(struct mr_plan_builder *builder, const struct mr_plan_node *node,
                                   struct mr_error *err)
{
    if (node->kind != MR_PLAN_SOURCE || !node->source_info.repeats)
        return MR_OK;
    for (int i = node->id + 1; i < builder->plan->nnodes; i++) {
        const struct mr_options *options = builder->drafts[i].options;
        if (builder->nodes[i].kind != MR_PLAN_SINK || !reads_from(builder, i, node->id) ||
            option_is(options, "mode", "upsert") || option_is(options, "mode", "overwrite"))
            continue;
        MR_TRY(mr_plan_warn(builder, builder->nodes[i].label, err,
                            "rows of %s may come again in a later run, and this load adds them "
                            "again: use mode upsert with keys (toPostgres, toDeltaLake)",
                            node->label));
    }
    return MR_OK;
}

/* Where we differ from the older dialect on purpose, and what restores it. */
static enum mr_status tell_differences(struct mr_plan_builder *builder, struct mr_error *err)
{
    if (builder->spec->ansi && any_expression(builder))
        MR_TRY(mr_plan_warn(builder, "differs from Spark 3", err,
                            "bad casts, overflow and division by zero are errors, not NULL "
                            "(restore: \"sql\": {\"ansi\": false})"));
    if (any_instant(builder) && mr_tz_is_utc(builder->request->tz))
        MR_TRY(mr_plan_warn(builder, "differs from Spark 3", err,
                            "the session time zone is UTC, not the machine's (restore: "
                            "\"sql\": {\"timeZone\": \"...\"})"));
    for (int i = 0; i < builder->plan->nnodes; i++) {
        const struct mr_plan_node *node = &builder->nodes[i];
        const struct mr_options *options = builder->drafts[i].options;
        if (node->kind == MR_PLAN_SINK && option_is(options, "mode", "overwrite") &&
            has_option(options, "partitionBy") &&
            option_is(options, "partitionOverwriteMode", "dynamic") &&
            !by_user(options, "partitionOverwriteMode"))
            MR_TRY(mr_plan_warn(builder, node->label, err,
                                "overwrite replaces only the partitions that are written, it does "
                                "not wipe the path (restore: \"partitionOverwriteMode\": "
                                "\"static\")"));
        if (node->kind == MR_PLAN_SINK && option_is(options, "mode", "overwrite") &&
            option_is(options, "overwriteMode", "truncate") && !by_user(options, "overwriteMode"))
            MR_TRY(mr_plan_warn(builder, node->label, err,
                                "overwrite truncates the table, it does not drop it (restore: "
                                "\"overwriteMode\": \"swap\")"));
        if (node->kind == MR_PLAN_OP && node->op->max_inputs > 2 && node->step->ninputs > 0 &&
            !node->is_part && strcmp(node->op->name, "unionDataFrames") == 0)
            MR_TRY(mr_plan_warn(builder, node->label, err,
                                "the union is of the listed frames only; the primary frame takes "
                                "part if it is listed"));
    }
    return MR_OK;
}

/* Which guarantee ${last_run_timestamp} has in this run. */
static enum mr_status tell_watermark(struct mr_plan_builder *builder, struct mr_error *err)
{
    static const char where[] = "${last_run_timestamp}";
    const char *from = builder->request->last_run_timestamp;
    if (!builder->spec->uses_last_run_timestamp || builder->plan->nsegments == 0)
        return MR_OK;
    if (builder->plan->watermark != NULL)
        return mr_plan_warn(
            builder, where, err,
            "is %s now and %s in the next run: at least once. No committed row whose "
            "stamp is its transaction's start is lost; rows that are written while the "
            "snapshot is taken may be read twice",
            from != NULL ? from : "the initial value", builder->plan->watermark);
    for (int i = 0; i < builder->plan->nnodes; i++)
        if (builder->nodes[i].kind == MR_PLAN_SOURCE && builder->drafts[i].live &&
            !(builder->nodes[i].source->flags & MR_SOURCE_IMMUTABLE))
            return mr_plan_warn(
                builder, where, err,
                "the server hides other roles' transactions from this role, or some are prepared: "
                "a safe time is not known, and the next run reads from %s again (GRANT "
                "pg_read_all_stats makes it known)",
                from != NULL ? from : "the beginning");
    return mr_plan_warn(builder, where, err,
                        "no source of this pipeline has a clock: is %s in every run; in steps with "
                        "`incremental` it is the step's watermark",
                        from != NULL ? from : "the initial value");
}

enum mr_status mr_plan_add_warnings(struct mr_plan_builder *builder, struct mr_error *err)
{
    for (int i = 0; i < builder->plan->nnodes; i++) {
        MR_TRY(warn_skew(builder, &builder->nodes[i], err));
        MR_TRY(warn_unread(builder, &builder->nodes[i], err));
        MR_TRY(warn_read_again(builder, &builder->nodes[i], err));
        MR_TRY(warn_repeats(builder, &builder->nodes[i], err));
    }
    for (int i = 0; i < builder->plan->nsegments; i++)
        MR_TRY(warn_tasks(builder, &builder->plan->segments[i], err));
    MR_TRY(tell_watermark(builder, err));
    return tell_differences(builder, err);
}
