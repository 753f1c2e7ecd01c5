/*
 * window_columns_bind.c - what windowColumns is asked for, bound: functions, order, frame, outputs.
 *
 * Everything that is computed from a row alone (keys, arguments, the ends of a RANGE frame) becomes a
 * column behind the input's before the rows are sorted (append.h), so that windows see columns only.
 */
#include "op/window_kept.h"

#include <string.h>

struct binder {
    struct mr_window_plan *plan;
    const struct mr_op_bind *bind;
    struct mr_window_split split;
    struct mr_error *err;
};

static enum mr_status append_keys(struct binder *b)
{
    struct mr_window_plan *plan = b->plan;
    const struct mr_option_value *by = mr_options_get(b->bind->options, "partitionBy");
    const struct mr_option_value *order = mr_options_get(b->bind->options, "orderBy");
    plan->npartition = by->set ? by->u.strings.count : 0;
    plan->norder = order->set ? order->u.strings.count : 0;
    int count = plan->npartition + plan->norder;
    struct mr_sort_key *keys = mr_arena_calloc(b->bind->arena, (size_t)count + 1, sizeof *keys);
    plan->partition =
        mr_arena_calloc(b->bind->arena, (size_t)plan->npartition + 1, sizeof *plan->partition);
    if (!keys || !plan->partition)
        return mr_error_nomem(b->err);
    for (int i = 0; i < plan->npartition; i++) {
        if (mr_op_append(&plan->appended, by->u.strings.items[i], &plan->partition[i], b->err) !=
            MR_OK)
            return mr_op_option_failed(b->bind->options, "partitionBy", NULL, b->err);
        struct mr_field field = mr_op_append_field(&plan->appended, plan->partition[i]);
        keys[i] = (struct mr_sort_key){.column = plan->partition[i],
                                       .type = field.type,
                                       .nullable = field.nullable};
    }
    plan->order = keys + plan->npartition;
    for (int i = 0; i < plan->norder; i++) {
        if (mr_op_append_order(&plan->appended, order->u.strings.items[i], &plan->order[i],
                               b->err) != MR_OK)
            return mr_op_option_failed(b->bind->options, "orderBy", NULL, b->err);
    }
    struct mr_sort_layout *layout;
    MR_TRY(mr_sort_layout_new(b->bind->arena, keys, count, &layout, b->err));
    plan->sorter.layout = layout;
    return MR_OK;
}

/* ---- frames -------------------------------------------------------------------------------- */

/* The value of an expression without columns. */
static enum mr_status constant(struct binder *b, const char *text, struct mr_value *out)
{
    static const struct mr_schema nothing = {0};
    struct mr_sql_scope scope = {.schema = &nothing};
    struct mr_expr *expr;
    struct mr_eval *eval;
    struct mr_batch *row = NULL;
    struct mr_column *column = NULL;
    const struct mr_sql_session *session = &b->plan->appended.session;
    MR_TRY(mr_expr_compile(b->bind->arena, text, &scope, session, &expr, b->err));
    MR_TRY(mr_eval_new(b->bind->runtime->memory, session, &eval, b->err));
    enum mr_status status = mr_batch_new(&nothing, 1, NULL, &row, b->err);
    if (status == MR_OK)
        status = mr_expr_eval(eval, expr, row, &column, b->err);
    if (status == MR_OK) {
        mr_column_get(column, 0, out);
        if (mr_type_is_nested(out->type) || !mr_value_copy(b->bind->arena, out, out))
            status = mr_type_is_nested(out->type)
                         ? mr_error_config(b->err, "expected a plain constant, found %.80s", text)
                         : mr_error_nomem(b->err);
    }
    mr_column_unref(column);
    mr_batch_unref(row);
    mr_eval_free(eval);
    return status;
}

static enum mr_status whole_number(struct binder *b, const char *text, int64_t least,
                                   const char *what, int64_t *out)
{
    struct mr_value value;
    MR_TRY(constant(b, text, &value));
    if (value.is_null || !mr_type_is_integer(value.type) || value.u.i64 < least ||
        value.u.i64 > INT32_MAX)
        return mr_error_config(b->err, "%s must be a whole number from %lld, not %.80s", what,
                               (long long)least, text);
    *out = value.u.i64;
    return MR_OK;
}

/*
 * A column with the end of each row's frame by value: its key minus (PRECEDING, ascending) or plus the
 * offset.
 */
static enum mr_status append_bound(struct binder *b, enum mr_window_bound bound, const char *offset,
                                   const char *key, int *column)
{
    struct mr_window_plan *plan = b->plan;
    struct mr_value value;
    if (bound != MR_BOUND_PRECEDING && bound != MR_BOUND_FOLLOWING)
        return MR_OK;
    MR_TRY(constant(b, offset, &value));
    if (value.is_null)
        return mr_error_config(b->err, "an offset is NULL: %.80s", offset);
    bool minus = (bound == MR_BOUND_PRECEDING) != plan->order[0].descending;
    const char *text =
        mr_arena_printf(b->bind->arena, "(%s) %c (%s)", key, minus ? '-' : '+', offset);
    if (!text)
        return mr_error_nomem(b->err);
    return mr_op_append(&plan->appended, text, column, b->err);
}

/* All three columns must be of one type: the key is cast to the type of the ends. */
static enum mr_status append_range(struct binder *b)
{
    struct mr_window_plan *plan = b->plan;
    const struct mr_option_value *order = mr_options_get(b->bind->options, "orderBy");
    struct mr_sql_order key;
    char type[256];
    if (plan->norder != 1)
        return mr_error_config(b->err,
                               "RANGE with an offset needs exactly one orderBy, there are %d",
                               plan->norder);
    enum mr_type_id id = plan->order[0].type->id;
    if (!mr_type_is_numeric(plan->order[0].type) && id != MR_TYPE_DATE && id != MR_TYPE_TIMESTAMP &&
        id != MR_TYPE_TIMESTAMP_NTZ)
        return mr_error_config(
            b->err,
            "RANGE with an offset needs an orderBy that is a number, a date or a "
            "timestamp, not %s",
            mr_type_text(plan->order[0].type, type, sizeof type));
    MR_TRY(mr_sql_order_parse(b->bind->arena, order->u.strings.items[0], &key, b->err));
    MR_TRY(append_bound(b, plan->frame.from, plan->frame.from_offset, key.text, &plan->range_from));
    MR_TRY(append_bound(b, plan->frame.to, plan->frame.to_offset, key.text, &plan->range_to));
    int end = plan->range_from >= 0 ? plan->range_from : plan->range_to;
    const struct mr_type *wanted = mr_op_append_field(&plan->appended, end).type;
    mr_type_text(wanted, type, sizeof type);
    const char *text = mr_arena_printf(b->bind->arena, "CAST(%s AS %s)", key.text, type);
    if (!text)
        return mr_error_nomem(b->err);
    MR_TRY(mr_op_append(&plan->appended, text, &plan->range_key, b->err));
    if (plan->range_from >= 0 && plan->range_to >= 0 &&
        !mr_type_equal(wanted, mr_op_append_field(&plan->appended, plan->range_to).type))
        return mr_error_config(b->err, "the two offsets are of different types");
    return MR_OK;
}

static bool has_offset(enum mr_window_bound bound)
{
    return bound == MR_BOUND_PRECEDING || bound == MR_BOUND_FOLLOWING;
}

static enum mr_status bind_offsets(struct binder *b)
{
    struct mr_window_plan *plan = b->plan;
    const struct mr_window_frame *frame = &plan->frame;
    if (!has_offset(frame->from) && !has_offset(frame->to))
        return MR_OK;
    if (!frame->rows)
        return append_range(b);
    if (has_offset(frame->from))
        MR_TRY(whole_number(b, frame->from_offset, 0, "an offset of ROWS", &plan->from_rows));
    if (has_offset(frame->to))
        MR_TRY(whole_number(b, frame->to_offset, 0, "an offset of ROWS", &plan->to_rows));
    if (frame->from == MR_BOUND_PRECEDING)
        plan->from_rows = -plan->from_rows;
    if (frame->to == MR_BOUND_PRECEDING)
        plan->to_rows = -plan->to_rows;
    return MR_OK;
}

static enum mr_status bind_frame(struct binder *b)
{
    struct mr_window_plan *plan = b->plan;
    const char *text = mr_options_text(b->bind->options, "frame");
    plan->range_key = plan->range_from = plan->range_to = -1;
    plan->frame = mr_window_frame_default(plan->norder > 0);
    if (!text)
        return MR_OK;
    enum mr_status status = mr_window_frame_parse(b->bind->arena, text, &plan->frame, b->err);
    if (status == MR_OK)
        status = bind_offsets(b);
    return status == MR_OK ? MR_OK : mr_op_option_failed(b->bind->options, "frame", NULL, b->err);
}

/* ---- functions ----------------------------------------------------------------------------- */

static enum mr_status append_arg(struct binder *b, const char *text, int *column)
{
    return mr_op_append(&b->plan->appended, text, column, b->err);
}

static enum mr_status bind_shift(struct binder *b, const struct mr_window_call *call,
                                 struct mr_window_function *f)
{
    char type[256];
    f->n = 1;
    if (call->nargs > 1)
        MR_TRY(whole_number(b, call->args[1], INT32_MIN, "the number of rows", &f->n));
    if (call->kind == MR_WINDOW_LEAD)
        f->n = -f->n;
    f->kind = MR_WINDOW_LAG;
    if (call->nargs < 3)
        return MR_OK;
    mr_type_text(f->type, type, sizeof type);
    const char *text = mr_arena_printf(b->bind->arena, "CAST(%s AS %s)", call->args[2], type);
    return text ? append_arg(b, text, &f->fallback) : mr_error_nomem(b->err);
}

static enum mr_window_way way_of(const struct mr_window_call *call, const struct mr_type *arg)
{
    bool whole = arg && mr_type_is_integer(arg);
    bool decimal = arg && arg->id == MR_TYPE_DECIMAL && arg->precision <= MR_DECIMAL64_PRECISION;
    bool floating = arg && (arg->id == MR_TYPE_FLOAT32 || arg->id == MR_TYPE_FLOAT64);
    const char *name = call->name;
    if (!strcmp(name, "count") && (call->star || call->nargs == 1))
        return MR_WAY_COUNT;
    if (!strcmp(name, "sum"))
        return whole || decimal ? MR_WAY_SUM_INT : floating ? MR_WAY_SUM_FLOAT : MR_WAY_STATES;
    if (!strcmp(name, "avg") || !strcmp(name, "mean"))
        return whole      ? MR_WAY_AVG_INT
               : decimal  ? MR_WAY_AVG_DECIMAL
               : floating ? MR_WAY_AVG_FLOAT
                          : MR_WAY_STATES;
    if (!strcmp(name, "min"))
        return MR_WAY_LEAST;
    return !strcmp(name, "max") ? MR_WAY_GREATEST : MR_WAY_STATES;
}

static void reads_of(const struct mr_projection *projection, bool *reads)
{
    for (int i = 0; i < mr_projection_count(projection); i++)
        mr_expr_uses(mr_projection_expr(projection, i), reads);
}

static enum mr_status compile_aggregate(struct binder *b, const char *text,
                                        struct mr_window_function *f)
{
    const char *name = "x";
    int failed;
    struct mr_aggregation_ask ask = {.scope = {.schema = b->plan->appended.input},
                                     .session = b->plan->appended.session,
                                     .count = 1,
                                     .texts = &text,
                                     .names = &name};
    MR_TRY(mr_aggregation_compile(b->bind->arena, &ask, &f->aggregation, &failed, b->err));
    f->type = mr_aggregation_results(f->aggregation)->fields[0].type;
    return MR_OK;
}

static enum mr_status bind_aggregate(struct binder *b, const struct mr_window_call *call,
                                     struct mr_window_function *f)
{
    struct mr_op_appended *appended = &b->plan->appended;
    const char *text = call->nargs == 1 ? call->args[0] : NULL;
    const struct mr_type *arg = NULL;
    MR_TRY(compile_aggregate(b, call->text, f));
    if (text && !call->star) {
        struct mr_expr *expr;
        struct mr_sql_scope scope = {.schema = appended->input};
        MR_TRY(mr_expr_compile(b->bind->arena, text, &scope, &appended->session, &expr, b->err));
        arg = mr_expr_type(expr);
    }
    f->way = way_of(call, arg);
    if (f->way == MR_WAY_STATES) {
        reads_of(mr_aggregation_inputs(f->aggregation), appended->reads);
        return MR_OK;
    }
    if (call->filter)
        text = mr_arena_printf(b->bind->arena, "CASE WHEN %s THEN %s END", call->filter,
                               call->star ? "1" : text);
    if (call->filter && !text)
        return mr_error_nomem(b->err);
    return call->star && !call->filter ? MR_OK : append_arg(b, text, &f->arg);
}

static enum mr_status bind_function(struct binder *b, const struct mr_window_call *call,
                                    struct mr_window_function *f)
{
    *f = (struct mr_window_function){.kind = call->kind,
                                     .text = call->text,
                                     .arg = -1,
                                     .fallback = -1,
                                     .ignore_nulls = call->ignore_nulls,
                                     .type = mr_type_of(MR_TYPE_INT32)};
    switch (call->kind) {
    case MR_WINDOW_ROW_NUMBER:
    case MR_WINDOW_RANK:
    case MR_WINDOW_DENSE_RANK:
        return MR_OK;
    case MR_WINDOW_PERCENT_RANK:
    case MR_WINDOW_CUME_DIST:
        f->type = mr_type_of(MR_TYPE_FLOAT64);
        return MR_OK;
    case MR_WINDOW_NTILE:
        f->n = 1;
        return call->nargs == 0 ? MR_OK : whole_number(b, call->args[0], 1, "ntile", &f->n);
    case MR_WINDOW_AGGREGATE:
        return bind_aggregate(b, call, f);
    default:
        break;
    }
    MR_TRY(append_arg(b, call->args[0], &f->arg));
    f->type = mr_op_append_field(&b->plan->appended, f->arg).type;
    if (call->kind == MR_WINDOW_NTH)
        return whole_number(b, call->args[1], 1, "the n of nth_value", &f->n);
    if (call->kind == MR_WINDOW_LAG || call->kind == MR_WINDOW_LEAD)
        return bind_shift(b, call, f);
    return MR_OK;
}

/* In a stream: what a frame of all rows so far gives comes from a state of the group. */
static enum mr_status bind_running(struct binder *b, const struct mr_window_call *call,
                                   struct mr_window_function *f)
{
    const struct mr_window_frame *frame = &b->plan->frame;
    bool first = f->kind == MR_WINDOW_FIRST, last = f->kind == MR_WINDOW_LAST && f->ignore_nulls;
    if (!b->bind->inputs[0].stream || !mr_options_has(b->bind->options, "frame") || !frame->rows ||
        frame->from != MR_BOUND_FIRST || frame->to != MR_BOUND_CURRENT)
        return MR_OK;
    if (!first && !last && f->kind != MR_WINDOW_AGGREGATE)
        return MR_OK;
    if (first || last) {
        const char *text = mr_arena_printf(b->bind->arena, "%s(%s, %s)", first ? "first" : "last",
                                           call->args[0], f->ignore_nulls ? "true" : "false");
        if (!text)
            return mr_error_nomem(b->err);
        MR_TRY(compile_aggregate(b, text, f));
    }
    f->runs = true;
    reads_of(mr_aggregation_inputs(f->aggregation), b->plan->appended.reads);
    return MR_OK;
}

/* As in Spark: without an order it would be chance what they give. */
static enum mr_status check_ordered(struct binder *b, const struct mr_window_call *call)
{
    if (b->bind->inputs[0].stream || b->plan->norder > 0 || call->kind == MR_WINDOW_AGGREGATE ||
        call->kind == MR_WINDOW_FIRST || call->kind == MR_WINDOW_LAST)
        return MR_OK;
    mr_error_config(b->err, "%s needs an order of the rows", call->name);
    mr_error_hint(b->err, "add \"orderBy\" (in a query: ORDER BY inside of OVER)");
    return MR_CONFIG;
}

/* The option's entry that holds a call, for messages. */
static enum mr_status call_failed(struct binder *b, const struct mr_window_call *call)
{
    const struct mr_option_value *columns = mr_options_get(b->bind->options, "columns");
    const char *entry = NULL;
    for (int i = 0; i < columns->u.pairs.count && !entry; i++)
        if (strstr(columns->u.pairs.items[i].text, call->text) || columns->u.pairs.count == 1)
            entry = columns->u.pairs.items[i].name;
    mr_error_prefix(b->err, "%.200s", call->text);
    return mr_op_option_failed(b->bind->options, "columns", entry, b->err);
}

static bool function_streams(const struct mr_window_plan *plan, const struct mr_window_function *f)
{
    bool ordered = plan->norder > 0; /* else all rows of a group are equals */
    bool running = plan->frame.from == MR_BOUND_FIRST && plan->frame.to == MR_BOUND_CURRENT &&
                   (ordered || plan->frame.rows);
    switch (f->kind) {
    case MR_WINDOW_ROW_NUMBER:
        return true;
    case MR_WINDOW_RANK:
    case MR_WINDOW_DENSE_RANK:
        return ordered;
    case MR_WINDOW_LAG:
        return f->n >= 0 && !f->ignore_nulls;
    case MR_WINDOW_FIRST:
        return running && !f->ignore_nulls;
    case MR_WINDOW_AGGREGATE:
        return running && f->way != MR_WAY_STATES;
    default:
        return false;
    }
}

static enum mr_status bind_functions(struct binder *b)
{
    struct mr_window_plan *plan = b->plan;
    const struct mr_option_value *columns = mr_options_get(b->bind->options, "columns");
    int count = columns->u.pairs.count, failed = 0;
    const char **texts = mr_arena_calloc(b->bind->arena, (size_t)count + 1, sizeof(*texts));
    if (!texts)
        return mr_error_nomem(b->err);
    for (int i = 0; i < count; i++)
        texts[i] = columns->u.pairs.items[i].text;
    if (mr_window_split(b->bind->arena, texts, count, &b->split, &failed, b->err) != MR_OK)
        return mr_op_option_failed(b->bind->options, "columns", columns->u.pairs.items[failed].name,
                                   b->err);
    plan->nfunctions = b->split.ncalls;
    plan->functions =
        mr_arena_calloc(b->bind->arena, (size_t)plan->nfunctions + 1, sizeof *plan->functions);
    if (!plan->functions)
        return mr_error_nomem(b->err);
    plan->streams = true;
    for (int f = 0; f < plan->nfunctions; f++) {
        if (bind_function(b, &b->split.calls[f], &plan->functions[f]) != MR_OK ||
            bind_running(b, &b->split.calls[f], &plan->functions[f]) != MR_OK ||
            mr_window_check_stream(plan, b->bind, &b->split.calls[f], b->err) != MR_OK ||
            check_ordered(b, &b->split.calls[f]) != MR_OK)
            return call_failed(b, &b->split.calls[f]);
        plan->streams &= function_streams(plan, &plan->functions[f]);
    }
    return MR_OK;
}

/* ---- outputs ------------------------------------------------------------------------------- */

static enum mr_status make_results(struct binder *b)
{
    struct mr_window_plan *plan = b->plan;
    const struct mr_schema *input = plan->appended.input;
    int n = input->nfields + plan->nfunctions;
    struct mr_field *fields = mr_arena_calloc(b->bind->arena, (size_t)n + 1, sizeof *fields);
    struct mr_schema *schema = mr_arena_calloc(b->bind->arena, 1, sizeof *schema);
    if (!fields || !schema)
        return mr_error_nomem(b->err);
    for (int i = 0; i < n; i++) {
        if (i < input->nfields) {
            fields[i] = input->fields[i];
            continue;
        }
        const struct mr_window_function *f = &plan->functions[i - input->nfields];
        fields[i] =
            (struct mr_field){.name = mr_window_result_name(b->bind->arena, i - input->nfields),
                              .type = f->type,
                              .nullable = f->arg >= 0 || f->way != MR_WAY_COUNT ||
                                          f->kind == MR_WINDOW_AGGREGATE};
        if (!fields[i].name)
            return mr_error_nomem(b->err);
        if (f->kind <= MR_WINDOW_NTILE || f->way == MR_WAY_COUNT)
            fields[i].nullable = false;
    }
    *schema = (struct mr_schema){.nfields = n, .fields = fields};
    plan->results = schema;
    return MR_OK;
}

static enum mr_status make_outputs(struct binder *b)
{
    struct mr_window_plan *plan = b->plan;
    struct mr_arena *arena = b->bind->arena;
    const struct mr_option_value *columns = mr_options_get(b->bind->options, "columns");
    const struct mr_schema *input = plan->appended.input;
    int count = columns->u.pairs.count, n = input->nfields;
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)(n + count) + 1, sizeof *fields);
    bool *used = mr_arena_calloc(arena, (size_t)plan->results->nfields + 1, sizeof *used);
    struct mr_schema *schema = mr_arena_calloc(arena, 1, sizeof *schema);
    struct mr_sql_scope scope = {.schema = plan->results};
    plan->from = mr_arena_calloc(arena, (size_t)(n + count) + 1, sizeof *plan->from);
    plan->exprs = mr_arena_calloc(arena, (size_t)(n + count) + 1, sizeof(*plan->exprs));
    if (!fields || !used || !schema || !plan->from || !plan->exprs)
        return mr_error_nomem(b->err);
    for (int i = 0; i < n; i++) {
        fields[i] = input->fields[i];
        plan->from[i] = i;
    }
    for (int i = 0; i < count; i++) {
        const char *name = columns->u.pairs.items[i].name;
        struct mr_expr *expr;
        if (mr_expr_compile(arena, b->split.outputs[i], &scope, &plan->appended.session, &expr,
                            b->err) != MR_OK)
            return mr_op_option_failed(b->bind->options, "columns", name, b->err);
        int at = mr_schema_find(input, name);
        if (at < 0)
            at = n++;
        fields[at] = (struct mr_field){.name = name,
                                       .type = mr_expr_type(expr),
                                       .nullable = mr_expr_nullable(expr)};
        mr_expr_uses(expr, used);
        plan->from[at] = mr_expr_as_column(expr);
        plan->exprs[at] = expr;
    }
    for (int i = 0; i < input->nfields; i++)
        plan->appended.reads[i] |= used[i];
    *schema = (struct mr_schema){.nfields = n, .fields = fields};
    plan->schema = schema;
    return MR_OK;
}

/* Columns that come out as they came in. */
static enum mr_status say_passes(struct binder *b, struct mr_op_info *info)
{
    MR_TRY(mr_op_append_passes(&b->plan->appended, b->plan->schema, info, b->err));
    int *passes =
        mr_arena_calloc(b->bind->arena, (size_t)b->plan->schema->nfields + 1, sizeof *passes);
    const int **from = mr_arena_calloc(b->bind->arena, 1, sizeof(*from));
    if (!passes || !from)
        return mr_error_nomem(b->err);
    for (int i = 0; i < b->plan->schema->nfields; i++) {
        bool same = b->plan->from[i] == i && i < b->plan->appended.input->nfields;
        passes[i] = same ? i : -1;
    }
    from[0] = passes;
    info->passes = passes;
    info->passes_from = from;
    return mr_op_append_crosses(&b->plan->appended, b->plan->partition, b->plan->npartition, info,
                                b->err);
}

static const char *describe(struct binder *b)
{
    struct mr_arena *arena = b->bind->arena;
    const struct mr_option_value *by = mr_options_get(b->bind->options, "partitionBy");
    const struct mr_option_value *order = mr_options_get(b->bind->options, "orderBy");
    const struct mr_option_value *columns = mr_options_get(b->bind->options, "columns");
    const char **names = mr_arena_calloc(arena, (size_t)columns->u.pairs.count + 1, sizeof(*names));
    if (!names)
        return NULL;
    for (int i = 0; i < columns->u.pairs.count; i++) {
        const struct mr_option_pair *pair = &columns->u.pairs.items[i];
        names[i] = mr_arena_printf(arena, "%s = %s", pair->name, pair->text);
        if (!names[i])
            return NULL;
    }
    const char *what = mr_op_join_texts(arena, names, columns->u.pairs.count);
    const char *keys = b->plan->npartition == 0
                           ? "all rows"
                           : mr_op_join_texts(arena, by->u.strings.items, by->u.strings.count);
    const char *in = b->plan->norder == 0
                         ? ""
                         : mr_op_join_texts(arena, order->u.strings.items, order->u.strings.count);
    if (!what || !keys || !in)
        return NULL;
    return mr_arena_printf(arena, "%s over %s%s%s", what, keys, *in ? " in the order of " : "", in);
}

enum mr_status mr_window_bind(const struct mr_op_bind *bind, void **plan, struct mr_op_info *info,
                              struct mr_error *err)
{
    struct mr_window_plan *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    struct binder b = {.plan = self, .bind = bind, .err = err};
    MR_TRY(mr_op_append_init(&self->appended, bind, err));
    MR_TRY(append_keys(&b));
    MR_TRY(bind_frame(&b));
    MR_TRY(bind_functions(&b));
    MR_TRY(mr_op_append_finish(&self->appended, err));
    self->sorter.schema = self->appended.schema;
    MR_TRY(mr_window_bind_stream(self, bind, info, err));
    MR_TRY(make_results(&b));
    MR_TRY(make_outputs(&b));
    info->schema = self->schema;
    info->rows = bind->inputs[0].rows;
    self->pulls = self->npartition == 0 ? 1 : mr_op_pulls(bind, info->rows);
    if (self->pulls > 64)
        self->pulls = 64;
    info->pulls = self->pulls;
    info->details = describe(&b);
    if (!info->details)
        return mr_error_nomem(err);
    *plan = self;
    return say_passes(&b, info);
}
