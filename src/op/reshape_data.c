/*
 * reshape_data.c - reshapeData: values of a column become columns (pivot), and columns become rows (unpivot).
 *
 * A pivot is two aggregations, as in Spark: by the group columns and the pivot column, with the aggregates wanted; then
 * by the group columns, where each new column takes the one row of its value. The second sees one row a cell, however
 * many rows there were, and a cell without rows is NULL, also for counts. Without `values` they are learnt from the data
 * when the run is planned.
 *
 * An unpivot streams: each row becomes one row a value column, one after the other.
 */
#include "base/text.h"
#include "col/builder.h"
#include "col/kernel.h"
#include "ext/registry.h"
#include "op/bind.h"
#include "op/ops.h"
#include "sql/aggregate.h"
#include "sql/coerce.h"

#define MOST_VALUES 10000 /* spark.sql.pivotMaxValues */

enum { PIVOT, UNPIVOT };

static int operation_of(const struct mr_options *options)
{
    return (int)mr_options_integer(options, "operation", PIVOT);
}

/* Pivot. */

static enum mr_status reshape_discover(struct mr_arena *arena, const struct mr_options *options,
                                       struct mr_op_question *out, struct mr_error *err)
{
    const char *column = mr_options_text(options, "pivotColumn");
    *out = (struct mr_op_question){0};
    if (operation_of(options) != PIVOT || mr_options_has(options, "values") || !column)
        return MR_OK;
    *out = (struct mr_op_question){.expression = mr_op_quote_name(arena, column),
                                   .limit = MOST_VALUES,
                                   .option = "values"};
    return out->expression ? MR_OK : mr_error_nomem(err);
}

struct pivot {
    const struct mr_op_bind *bind;
    const struct mr_option *table; /* of aggregateData */
    const struct mr_field *column;
    const char *column_text;
    int nvalues;
    const char *const *values; /* NULL: the value NULL */
    int ngroups;
    const char *const *groups; /* quoted */
    const char *measure;       /* quoted, or "*" */
    const char *const *functions;
    int nfunctions;
};

static enum mr_status find_column(const struct mr_op_bind *bind, const char *option,
                                  const char *name, int *out, struct mr_error *err)
{
    const struct mr_schema *schema = bind->inputs[0].schema;
    *out = mr_schema_find(schema, name);
    if (*out >= 0)
        return MR_OK;
    mr_schema_unknown_column(schema, name, err);
    return mr_op_option_failed(bind->options, option, NULL, err);
}

static enum mr_status required(const struct mr_op_bind *bind, const char *option,
                               struct mr_error *err)
{
    if (mr_options_has(bind->options, option))
        return MR_OK;
    return mr_options_error(bind->options, "operation", err, "%s needs %s",
                            operation_of(bind->options) == PIVOT ? "pivot" : "unpivot", option);
}

static enum mr_status read_groups(struct pivot *pivot, struct mr_error *err)
{
    const struct mr_op_bind *bind = pivot->bind;
    const struct mr_option_value *value = mr_options_get(bind->options, "groupByColumns");
    pivot->ngroups = value->set ? value->u.strings.count : 0;
    const char **groups = mr_arena_calloc(bind->arena, (size_t)pivot->ngroups + 2, sizeof(*groups));
    if (!groups)
        return mr_error_nomem(err);
    for (int g = 0; g < pivot->ngroups; g++) {
        int column;
        MR_TRY(find_column(bind, "groupByColumns", value->u.strings.items[g], &column, err));
        groups[g] = mr_op_quote_name(bind->arena, bind->inputs[0].schema->fields[column].name);
        if (!groups[g])
            return mr_error_nomem(err);
    }
    pivot->groups = groups;
    return MR_OK;
}

static enum mr_status read_measure(struct pivot *pivot, struct mr_error *err)
{
    const struct mr_op_bind *bind = pivot->bind;
    const struct mr_option_value *functions = mr_options_get(bind->options, "aggregateFunction");
    const char *name = mr_options_text(bind->options, "aggregateColumn");
    int column;
    pivot->functions = functions->u.strings.items;
    pivot->nfunctions = functions->u.strings.count;
    for (int f = 0; f < pivot->nfunctions; f++)
        if (!mr_aggregation_is_function(pivot->functions[f]))
            return mr_options_error(bind->options, "aggregateFunction", err,
                                    "%.80s is no aggregate function", pivot->functions[f]);
    if (pivot->nfunctions == 0)
        return mr_options_error(bind->options, "aggregateFunction", err, "names no function");
    pivot->measure = "*";
    if (!strcmp(name, "*"))
        return MR_OK;
    MR_TRY(find_column(bind, "aggregateColumn", name, &column, err));
    pivot->measure = mr_op_quote_name(bind->arena, bind->inputs[0].schema->fields[column].name);
    return pivot->measure ? MR_OK : mr_error_nomem(err);
}

static enum mr_status pivot_init(struct pivot *pivot, const struct mr_op_bind *bind,
                                 struct mr_error *err)
{
    int column;
    *pivot = (struct pivot){.bind = bind};
    MR_TRY(required(bind, "pivotColumn", err));
    MR_TRY(required(bind, "aggregateColumn", err));
    MR_TRY(find_column(bind, "pivotColumn", mr_options_text(bind->options, "pivotColumn"), &column,
                       err));
    pivot->column = &bind->inputs[0].schema->fields[column];
    if (mr_type_is_nested(pivot->column->type))
        return mr_options_error(bind->options, "pivotColumn", err,
                                "a nested column cannot be pivoted by");
    pivot->column_text = mr_op_quote_name(bind->arena, pivot->column->name);
    const struct mr_method *method = mr_registry_method(bind->runtime->registry, "aggregateData");
    if (!pivot->column_text)
        return mr_error_nomem(err);
    if (!method || !method->op)
        return mr_error_internal(err, "aggregateData is not registered");
    pivot->table = mr_method_options(method);
    MR_TRY(read_groups(pivot, err));
    MR_TRY(read_measure(pivot, err));
    const struct mr_option_value *values = mr_options_get(bind->options, "values");
    if (values->set) {
        pivot->values = values->u.strings.items;
        pivot->nvalues = values->u.strings.count;
    } else if (bind->discovered) {
        pivot->values = bind->discovered->values;
        pivot->nvalues = bind->discovered->count;
    } else {
        return mr_options_error(bind->options, "operation", err,
                                "a pivot without values must be planned with the data at hand");
    }
    return MR_OK;
}

/* By groups and the pivot column: `.a0`, `.a1`, .. */
static enum mr_status first_part(const struct pivot *pivot, struct mr_options **out,
                                 struct mr_error *err)
{
    struct mr_arena *arena = pivot->bind->arena;
    struct mr_options *options = mr_options_new(arena, pivot->table);
    const char **groups = mr_arena_calloc(arena, (size_t)pivot->ngroups + 1, sizeof(*groups));
    if (!options || !groups)
        return mr_error_nomem(err);
    for (int g = 0; g < pivot->ngroups; g++)
        groups[g] = pivot->groups[g];
    groups[pivot->ngroups] = mr_arena_printf(arena, "%s AS `.pivot`", pivot->column_text);
    if (!groups[pivot->ngroups])
        return mr_error_nomem(err);
    MR_TRY(mr_options_set_list(arena, options, "groupBy", groups, pivot->ngroups + 1, err));
    for (int f = 0; f < pivot->nfunctions; f++) {
        char *name = mr_arena_printf(arena, ".a%d", f);
        char *text = mr_arena_printf(arena, "%s(%s)", pivot->functions[f], pivot->measure);
        if (!name || !text)
            return mr_error_nomem(err);
        MR_TRY(mr_options_add_pair(arena, options, "aggregations", name, text, err));
    }
    *out = options;
    return MR_OK;
}

/* 'text' as a literal of the dialect; NULL when out of memory. */
static char *quote_text(struct mr_arena *arena, const char *text)
{
    char *quoted = mr_arena_alloc(arena, strlen(text) * 2 + 3);
    char *at = quoted;
    if (!quoted)
        return NULL;
    *at++ = '\'';
    for (const char *c = text; *c; c++) {
        if (*c == '\'' || *c == '\\')
            *at++ = '\\';
        *at++ = *c;
    }
    *at++ = '\'';
    *at = '\0';
    return quoted;
}

static const char *value_condition(const struct pivot *pivot, const char *value)
{
    struct mr_arena *arena = pivot->bind->arena;
    char type[96];
    if (!value)
        return "`.pivot` IS NULL";
    char *text = quote_text(arena, value);
    if (!text)
        return NULL;
    if (mr_type_is_string(pivot->column->type))
        return mr_arena_printf(arena, "`.pivot` = %s", text);
    return mr_arena_printf(arena, "`.pivot` = CAST(%s AS %s)", text,
                           mr_type_text(pivot->column->type, type, sizeof type));
}

/* Spark's: the value; with several functions, the value and the aggregate. */
static const char *cell_name(const struct pivot *pivot, const char *value, int f)
{
    const char *text = value ? value : "null";
    const char *column = mr_options_text(pivot->bind->options, "aggregateColumn");
    if (pivot->nfunctions == 1)
        return text;
    return mr_arena_printf(pivot->bind->arena, "%s_%s(%s)", text, pivot->functions[f],
                           strcmp(column, "*") ? column : "1");
}

/* Lists of a cell without rows are empty, as Spark's, where any other value is NULL. */
static const char *cell_text(const struct pivot *pivot, const char *value, int f)
{
    static const char *const lists[] = {"collect_list", "collect_set", "array_agg"};
    struct mr_arena *arena = pivot->bind->arena;
    const char *condition = value_condition(pivot, value);
    if (!condition)
        return NULL;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (mr_text_equal_nocase(pivot->functions[f], lists[i]))
            return mr_arena_printf(arena, "coalesce(first(`.a%d`) FILTER (WHERE %s), array())", f,
                                   condition);
    return mr_arena_printf(arena, "first(`.a%d`) FILTER (WHERE %s)", f, condition);
}

/* By groups: every value picks its row. */
static enum mr_status second_part(const struct pivot *pivot, struct mr_options **out,
                                  struct mr_error *err)
{
    struct mr_arena *arena = pivot->bind->arena;
    struct mr_options *options = mr_options_new(arena, pivot->table);
    if (!options)
        return mr_error_nomem(err);
    MR_TRY(mr_options_set_list(arena, options, "groupBy", pivot->groups, pivot->ngroups, err));
    for (int v = 0; v < pivot->nvalues; v++) {
        for (int f = 0; f < pivot->nfunctions; f++) {
            const char *name = cell_name(pivot, pivot->values[v], f);
            const char *text = cell_text(pivot, pivot->values[v], f);
            if (!name || !text)
                return mr_error_nomem(err);
            MR_TRY(mr_options_add_pair(arena, options, "aggregations", name, text, err));
        }
    }
    *out = options;
    return MR_OK;
}

static enum mr_status reshape_expand(const struct mr_op_bind *bind, struct mr_op_parts *out,
                                     struct mr_error *err)
{
    static const int inputs[] = {-1, 0};
    struct pivot pivot;
    struct mr_options *first = NULL, *second = NULL;
    *out = (struct mr_op_parts){0};
    if (operation_of(bind->options) != PIVOT)
        return MR_OK;
    MR_TRY(pivot_init(&pivot, bind, err));
    MR_TRY(first_part(&pivot, &first, err));
    MR_TRY(second_part(&pivot, &second, err));
    struct mr_op_part *parts = mr_arena_calloc(bind->arena, 2, sizeof *parts);
    if (!parts)
        return mr_error_nomem(err);
    parts[0] = (struct mr_op_part){.method = "aggregateData",
                                   .detail = "cells",
                                   .options = first,
                                   .ninputs = 1,
                                   .inputs = &inputs[0]};
    parts[1] = (struct mr_op_part){.method = "aggregateData",
                                   .detail = "columns",
                                   .options = second,
                                   .ninputs = 1,
                                   .inputs = &inputs[1]};
    *out = (struct mr_op_parts){.items = parts, .count = 2};
    return MR_OK;
}

/* Unpivot. */

struct unpivot_plan {
    struct mr_sql_session session;
    const struct mr_schema *schema;
    int nids;
    const int *ids;
    int nvalues;
    struct mr_projection *values; /* cast to their common type */
    const char *const *names;
};

static enum mr_status common_value_type(const struct mr_op_bind *bind, const int *columns,
                                        int count, const struct mr_type **out, struct mr_error *err)
{
    const struct mr_schema *schema = bind->inputs[0].schema;
    struct mr_sql_session session = mr_op_session(bind);
    *out = schema->fields[columns[0]].type;
    for (int i = 1; i < count; i++) {
        const struct mr_field *field = &schema->fields[columns[i]];
        const struct mr_type *wider = mr_common_type(bind->arena, &session, *out, field->type);
        char a[96], b[96];
        if (!wider)
            return mr_options_error(bind->options, "valueCols", err,
                                    "%.80s is %s, %.80s is %s: no common type",
                                    schema->fields[columns[0]].name,
                                    mr_type_text(*out, a, sizeof a), field->name,
                                    mr_type_text(field->type, b, sizeof b));
        *out = wider;
    }
    return MR_OK;
}

static enum mr_status compile_values(struct unpivot_plan *plan, const struct mr_op_bind *bind,
                                     const int *columns, const struct mr_type *type,
                                     struct mr_error *err)
{
    const struct mr_schema *schema = bind->inputs[0].schema;
    struct mr_sql_scope scope = {.schema = schema};
    struct mr_bytes name;
    const char **texts = mr_arena_calloc(bind->arena, (size_t)plan->nvalues + 1, sizeof(*texts));
    if (!texts)
        return mr_error_nomem(err);
    mr_bytes_init(&name, MR_BYTES_DEFAULT_MAXIMUM);
    mr_type_format(type, &name);
    enum mr_status status = mr_bytes_status(&name, err);
    for (int i = 0; i < plan->nvalues && status == MR_OK; i++) {
        const struct mr_field *field = &schema->fields[columns[i]];
        const char *quoted = mr_op_quote_name(bind->arena, field->name);
        texts[i] = quoted;
        if (quoted && !mr_type_equal(field->type, type))
            texts[i] = mr_arena_printf(bind->arena, "CAST(%s AS %s)", quoted, name.data);
        if (!texts[i])
            status = mr_error_nomem(err);
    }
    mr_bytes_reset(&name);
    MR_TRY(status);
    return mr_projection_compile(bind->arena, &scope, &plan->session, plan->nvalues, texts, texts,
                                 false, &plan->values, NULL, err);
}

static enum mr_status read_columns(const struct mr_op_bind *bind, const char *option,
                                   const int **out, int *count, struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(bind->options, option);
    *count = value->u.strings.count;
    int *columns = mr_arena_calloc(bind->arena, (size_t)*count + 1, sizeof *columns);
    if (!columns)
        return mr_error_nomem(err);
    for (int i = 0; i < *count; i++)
        MR_TRY(find_column(bind, option, value->u.strings.items[i], &columns[i], err));
    *out = columns;
    return MR_OK;
}

/* idCols, or the columns that are no value columns. */
static enum mr_status read_ids(struct unpivot_plan *plan, const struct mr_op_bind *bind,
                               const int *values, struct mr_error *err)
{
    if (mr_options_has(bind->options, "idCols"))
        return read_columns(bind, "idCols", &plan->ids, &plan->nids, err);
    int n = bind->inputs[0].schema->nfields;
    int *ids = mr_arena_calloc(bind->arena, (size_t)n + 1, sizeof *ids);
    if (!ids)
        return mr_error_nomem(err);
    for (int c = 0; c < n; c++) {
        bool value = false;
        for (int v = 0; v < plan->nvalues; v++)
            value |= values[v] == c;
        if (!value)
            ids[plan->nids++] = c;
    }
    plan->ids = ids;
    return MR_OK;
}

static enum mr_status unpivot_schema(struct unpivot_plan *plan, const struct mr_op_bind *bind,
                                     const struct mr_type *type, struct mr_error *err)
{
    const struct mr_schema *input = bind->inputs[0].schema;
    struct mr_field *fields = mr_arena_calloc(bind->arena, (size_t)plan->nids + 2, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    for (int i = 0; i < plan->nids; i++)
        fields[i] = input->fields[plan->ids[i]];
    fields[plan->nids] =
        (struct mr_field){.name = mr_options_text(bind->options, "variableColName"),
                          .type = mr_type_of(MR_TYPE_STRING)};
    fields[plan->nids + 1] =
        (struct mr_field){.name = mr_options_text(bind->options, "valueColName"),
                          .type = type,
                          .nullable = true};
    for (int i = 0; i < plan->nids + 2; i++)
        for (int j = 0; j < i; j++)
            if (!strcmp(fields[i].name, fields[j].name))
                return mr_options_error(bind->options, "operation", err,
                                        "two columns of the result are named %.80s",
                                        fields[i].name);
    plan->schema = mr_schema_new(bind->arena, fields, plan->nids + 2);
    return plan->schema ? MR_OK : mr_error_nomem(err);
}

static enum mr_status unpivot_info(const struct unpivot_plan *plan, const struct mr_op_bind *bind,
                                   const int *values, struct mr_op_info *info, struct mr_error *err)
{
    int n = plan->nids + 2;
    int *passes = mr_arena_calloc(bind->arena, (size_t)n, sizeof *passes);
    bool *reads =
        mr_arena_calloc(bind->arena, (size_t)bind->inputs[0].schema->nfields + 1, sizeof *reads);
    const int **passes_from = mr_arena_calloc(bind->arena, 1, sizeof(*passes_from));
    const bool **tables = mr_arena_calloc(bind->arena, 1, sizeof(*tables));
    if (!passes || !reads || !passes_from || !tables)
        return mr_error_nomem(err);
    for (int i = 0; i < n; i++)
        passes[i] = i < plan->nids ? plan->ids[i] : -1;
    for (int v = 0; v < plan->nvalues; v++)
        reads[values[v]] = true;
    /* Without idCols the result depends on which columns there are: all are read. */
    for (int i = 0; i < plan->nids && !mr_options_has(bind->options, "idCols"); i++)
        reads[plan->ids[i]] = true;
    passes_from[0] = passes;
    tables[0] = reads;
    info->passes_from = passes_from;
    info->passes = passes;
    info->reads = tables;
    info->schema = plan->schema;
    info->rows = bind->inputs[0].rows < 0 ? -1 : bind->inputs[0].rows * plan->nvalues;
    info->details = mr_arena_printf(bind->arena, "%d columns to rows", plan->nvalues);
    return info->details ? MR_OK : mr_error_nomem(err);
}

static enum mr_status reshape_bind(const struct mr_op_bind *bind, void **out,
                                   struct mr_op_info *info, struct mr_error *err)
{
    struct unpivot_plan *plan = mr_arena_calloc(bind->arena, 1, sizeof *plan);
    const int *values;
    const struct mr_type *type;
    if (!plan)
        return mr_error_nomem(err);
    if (operation_of(bind->options) == PIVOT)
        return mr_error_internal(err, "a pivot was bound without being expanded");
    MR_TRY(required(bind, "valueCols", err));
    plan->session = mr_op_session(bind);
    MR_TRY(read_columns(bind, "valueCols", &values, &plan->nvalues, err));
    if (plan->nvalues == 0)
        return mr_options_error(bind->options, "valueCols", err, "names no column");
    MR_TRY(common_value_type(bind, values, plan->nvalues, &type, err));
    MR_TRY(compile_values(plan, bind, values, type, err));
    MR_TRY(read_ids(plan, bind, values, err));
    MR_TRY(unpivot_schema(plan, bind, type, err));
    const char **names = mr_arena_calloc(bind->arena, (size_t)plan->nvalues + 1, sizeof(*names));
    if (!names)
        return mr_error_nomem(err);
    for (int v = 0; v < plan->nvalues; v++)
        names[v] = bind->inputs[0].schema->fields[values[v]].name;
    plan->names = names;
    *out = plan;
    return unpivot_info(plan, bind, values, info, err);
}

static enum mr_status reshape_open(void *plan, struct mr_runtime *runtime, void **task,
                                   struct mr_error *err)
{
    struct unpivot_plan *self = plan;
    return mr_op_eval_open(plan, runtime, &self->session, task, err);
}

/* The names, once for each row. */
static enum mr_status variable_column(const struct unpivot_plan *plan, struct mr_memory *memory,
                                      int64_t rows, struct mr_column **out, struct mr_error *err)
{
    struct mr_builder builder;
    struct mr_buffer *codes = NULL;
    struct mr_column *dictionary = NULL;
    MR_TRY(mr_builder_init(&builder, memory, mr_type_of(MR_TYPE_STRING), err));
    enum mr_status status = MR_OK;
    for (int v = 0; v < plan->nvalues && status == MR_OK; v++)
        status = mr_builder_bytes(&builder, plan->names[v], strlen(plan->names[v]), err);
    if (status == MR_OK)
        status = mr_builder_finish(&builder, &dictionary, err);
    mr_builder_reset(&builder);
    MR_TRY(status);
    int64_t n = rows * plan->nvalues;
    status = mr_buffer_new(memory, (size_t)n * sizeof(int32_t), &codes, err);
    if (status != MR_OK) {
        mr_column_unref(dictionary);
        return status;
    }
    int32_t *to = (int32_t *)(void *)codes->data;
    for (int64_t i = 0; i < n; i++)
        to[i] = (int32_t)(i % plan->nvalues);
    mr_buffer_finish(codes, (size_t)n * sizeof(int32_t));
    return mr_column_new_dictionary(dictionary, n, 0, NULL, codes, out, err);
}

/* Value columns of `rows` rows each, interleaved. */
static enum mr_status value_column(struct mr_memory *memory, struct mr_column *const *values,
                                   int nvalues, int64_t rows, int32_t *picks,
                                   struct mr_column **out, struct mr_error *err)
{
    struct mr_column *joined;
    MR_TRY(mr_column_concat(memory, values, nvalues, &joined, err));
    for (int64_t i = 0; i < rows; i++)
        for (int v = 0; v < nvalues; v++)
            picks[i * nvalues + v] = (int32_t)(v * rows + i);
    enum mr_status status = mr_column_take(memory, joined, picks, rows * nvalues, out, err);
    mr_column_unref(joined);
    return status;
}

/* One batch without selection whose result is of bearable size. */
static enum mr_status unpivot(struct mr_op_eval_task *self, struct mr_batch *batch,
                              struct mr_emit *emit, struct mr_error *err)
{
    const struct unpivot_plan *plan = self->plan;
    struct mr_memory *memory = self->runtime->memory;
    int nvalues = plan->nvalues, done = 0;
    int64_t rows = batch->rows, n = rows * nvalues;
    struct mr_column **columns =
        mr_calloc((size_t)(plan->schema->nfields + nvalues) + 1, sizeof(*columns));
    int32_t *picks = mr_alloc((size_t)n * sizeof *picks + 1);
    struct mr_column **values = columns ? columns + plan->schema->nfields : NULL;
    struct mr_batch *out = NULL;
    bool evaluated = false;
    enum mr_status status = columns && picks ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = mr_projection_eval(self->eval, plan->values, batch, values, err);
    evaluated = status == MR_OK;
    for (int64_t i = 0; i < n && evaluated; i++)
        picks[i] = (int32_t)(i / nvalues);
    for (; done < plan->nids && status == MR_OK; done += status == MR_OK)
        status =
            mr_column_take(memory, batch->columns[plan->ids[done]], picks, n, &columns[done], err);
    if (status == MR_OK)
        status = variable_column(plan, memory, rows, &columns[done], err);
    done += status == MR_OK;
    if (status == MR_OK)
        status = value_column(memory, values, nvalues, rows, picks, &columns[done], err);
    for (int v = 0; v < nvalues && evaluated; v++)
        mr_column_unref(values[v]);
    if (status == MR_OK) {
        status = mr_batch_new(plan->schema, n, columns, &out, err);
    } else {
        for (int c = 0; c < done; c++)
            mr_column_unref(columns[c]);
    }
    mr_free(columns);
    mr_free(picks);
    return status == MR_OK ? emit->batch(emit, 0, out, err) : status;
}

static enum mr_status reshape_push(void *task, int port, struct mr_batch *batch,
                                   struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    struct mr_op_eval_task *self = task;
    const struct unpivot_plan *plan = self->plan;
    struct mr_memory *memory = self->runtime->memory;
    int64_t step = 65536 / plan->nvalues;
    step = step > 0 ? step : 1;
    if (batch->rows <= step)
        return batch->rows > 0 ? unpivot(self, batch, emit, err) : MR_OK;
    enum mr_status status = MR_OK;
    for (int64_t from = 0; from < batch->rows && status == MR_OK && !emit->closed; from += step) {
        int64_t count = batch->rows - from < step ? batch->rows - from : step;
        struct mr_batch *part;
        status = mr_batch_slice(memory, batch, from, count, &part, err);
        if (status != MR_OK)
            break;
        status = unpivot(self, part, emit, err);
        mr_batch_unref(part);
    }
    return status;
}

static const char *const operations[] = {"pivot", "unpivot", NULL};

static const struct mr_option reshape_options[] = {
    {.name = "operation",
     .type = MR_OPTION_ENUM,
     .flags = MR_OPTION_REQUIRED,
     .choices = operations,
     .doc = "pivot: values of a column become columns; unpivot: columns become rows."},
    {.name = "pivotColumn",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_COLUMN,
     .doc = "pivot: the column whose values become columns."},
    {.name = "groupByColumns",
     .aliases = "groupBy",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_COLUMN,
     .doc = "pivot: one row for each combination of these; without any, one row."},
    {.name = "aggregateColumn",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_COLUMN,
     .doc = "pivot: the column that fills the new ones."},
    {.name = "aggregateFunction",
     .type = MR_OPTION_STRINGS,
     .fallback = "sum",
     .doc = "pivot: how rows of the same cell become one value. With several functions the "
            "columns are named `<value>_<function>(<column>)`, else `<value>`."},
    {.name = "values",
     .type = MR_OPTION_STRINGS,
     .doc = "pivot: the values that become columns, in this order. Without it all that occur, in "
            "their order, which reads the input once more when the run is planned."},
    {.name = "valueCols",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_COLUMN,
     .doc = "unpivot: the columns that become rows. Their values get their common type."},
    {.name = "variableColName",
     .type = MR_OPTION_STRING,
     .fallback = "variable",
     .doc = "unpivot: the new column with the name of the value column."},
    {.name = "valueColName",
     .type = MR_OPTION_STRING,
     .fallback = "value",
     .doc = "unpivot: the new column with its value. NULLs are kept."},
    {.name = "idCols",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_COLUMN,
     .doc = "unpivot: the columns that are kept; without it all but the value columns."},
    MR_OPTION_END,
};

const struct mr_op mr_op_reshape_data = {
    .name = "reshapeData",
    .doc = "Turns values of a column into columns, or columns into rows.",
    .options = reshape_options,
    .flags = MR_OP_STREAMING,
    .min_inputs = 1,
    .max_inputs = 1,
    .discover = reshape_discover,
    .expand = reshape_expand,
    .bind = reshape_bind,
    .open = reshape_open,
    .push = reshape_push,
    .close = mr_op_eval_close,
};
