/*
 * bind.c - asks every implementation to check its options against what comes in, and to say what
 * goes out.
 *
 * Sources first: only they know schemas. Operators follow in the order of the steps, each once it
 * knows the schemas of its inputs; sinks come last, because their schema depends on the rewrites. A
 * node that fails does not stop the pass: nodes behind it are skipped (their expressions are still
 * parsed), the others go on, so that one run shows all the mistakes. Offline a source may not know
 * its schema: what is behind it is parsed only, and the plan says "checked on connect".
 */
#include "plan/build.h"

int64_t mr_plan_row_width(const struct mr_schema *schema)
{
    int64_t width = 0;
    for (int i = 0; schema != NULL && i < schema->nfields; i++) {
        const struct mr_type *type = schema->fields[i].type;
        enum mr_layout layout = mr_type_layout(type);
        width += mr_type_is_nested(type)       ? 64
                 : layout == MR_LAYOUT_BYTES   ? 24
                 : layout == MR_LAYOUT_FIXED16 ? 16
                                               : mr_layout_width(layout);
    }
    return width > 0 ? width : 1;
}

static void estimate_source(struct mr_plan_node *node)
{
    node->schema = node->source_info.schema;
    node->rows = node->source_info.rows;
    node->bytes = node->source_info.bytes;
    if (node->bytes < 0 && node->rows >= 0 && node->schema != NULL)
        node->bytes = node->rows * mr_plan_row_width(node->schema);
}

/* What is remembered of a step, if its method wrote it. */
static const struct mr_source_position *position_of(const struct mr_source_position *list,
                                                    int count, const struct mr_plan_node *node)
{
    for (int i = 0; i < count; i++) {
        const struct mr_source_position *position = &list[i];
        if (!node->is_part && strcmp(position->step, node->step->key) == 0 &&
            strcmp(position->method, node->step->method->name) == 0)
            return position;
    }
    return NULL;
}

enum mr_status mr_plan_bind_source(struct mr_plan_builder *builder, int at, struct mr_error *err)
{
    struct mr_plan_node *node = &builder->nodes[at];
    const struct mr_plan_request *request = builder->request;
    const struct mr_source_position *since = position_of(request->since, request->nsince, node);
    const struct mr_source_position *until = position_of(request->until, request->nuntil, node);
    struct mr_source_bind bind = {
        .since = node->restored != NULL ? node->restored->frame
                 : since != NULL        ? since->bytes
                                        : (struct mr_slice){NULL, 0},
        .since_text = since != NULL ? since->text : NULL,
        .before_text = since != NULL ? since->before : NULL,
        .until = until != NULL ? until->bytes : (struct mr_slice){NULL, 0},
        .options = builder->drafts[at].options,
        .runtime = node->runtime,
        .arena = builder->arena,
        .last_run_timestamp = builder->request->last_run_timestamp,
    };
    node->since_text = bind.since_text != NULL && *bind.since_text != '\0' ? bind.since_text : NULL;
    node->source_info = (struct mr_source_info){.rows = -1, .bytes = -1};
    enum mr_status status = node->source->bind(&bind, &node->source_state, &node->source_info, err);
    builder->drafts[at].failed = status != MR_OK;
    builder->drafts[at].bound = status == MR_OK;
    if (status == MR_OK)
        estimate_source(node);
    else
        node->source_state = NULL;
    return status;
}

enum mr_status mr_plan_bind_sources(struct mr_plan_builder *builder, struct mr_error *err)
{
    (void)err;
    for (int i = 0; i < builder->plan->nnodes; i++) {
        const struct mr_plan_node *node = &builder->nodes[i];
        if (node->kind != MR_PLAN_SOURCE || builder->drafts[i].failed)
            continue;
        struct mr_error step_error = {0};
        enum mr_status status = mr_plan_bind_source(builder, i, &step_error);
        if (status != MR_OK)
            mr_plan_fail(builder, node->step, &step_error);
        if (status == MR_CANCELLED || status == MR_NOMEM)
            break;
    }
    mr_plan_lanes_sources(builder);
    return MR_OK;
}

/* Rows and bytes behind an operator, from its own estimate and the width of its rows. */
static void estimate_op(const struct mr_plan_builder *builder, struct mr_plan_node *node)
{
    node->schema = node->op_info.schema;
    node->rows = node->op_info.rows;
    node->bytes = -1;
    if (node->rows < 0 || node->ninputs == 0)
        return;
    const struct mr_plan_node *input = &builder->nodes[node->inputs[0].node];
    double width = (double)mr_plan_row_width(node->schema);
    if (input->rows > 0 && input->bytes > 0)
        width *=
            (double)input->bytes / (double)input->rows / (double)mr_plan_row_width(input->schema);
    node->bytes = (int64_t)((double)node->rows * width);
}

enum mr_status mr_plan_prepare_bind(struct mr_plan_builder *builder, int at,
                                    struct mr_op_bind *bind, struct mr_error *err)
{
    const struct mr_plan_node *node = &builder->nodes[at];
    struct mr_op_input *inputs =
        mr_arena_calloc(builder->arena, (size_t)node->ninputs + 1, sizeof *inputs);
    if (inputs == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < node->ninputs; i++) {
        const struct mr_plan_node *from = &builder->nodes[node->inputs[i].node];
        inputs[i] = (struct mr_op_input){
            .frame = builder->drafts[at].frames[i],
            .schema = from->schema,
            .rows = from->rows,
        };
        mr_plan_stream_input(builder, from->id, &inputs[i]);
        if (node->step->type == MR_STEP_LOAD)
            inputs[i].stream = inputs[i].measured = false;
    }
    bool waits;
    const struct mr_op_discovered *found;
    MR_TRY(mr_plan_stream_modes_agree(builder, at, err));
    MR_TRY(mr_plan_ask(builder, at, &waits, &found, err));
    *bind = (struct mr_op_bind){
        .options = builder->drafts[at].options,
        .runtime = node->runtime,
        .arena = builder->arena,
        .inputs = inputs,
        .ninputs = node->ninputs,
        .wanted = builder->drafts[at].wanted,
        .nwanted = builder->drafts[at].nwanted,
        .discovered = found,
        .ansi = builder->spec->ansi,
        .tz = builder->request->tz,
        .now_micros = builder->request->now_micros,
        .output_mode = builder->drafts[at].output_mode,
    };
    return MR_OK;
}

static enum mr_status bind_op(struct mr_plan_builder *builder, struct mr_plan_node *node,
                              struct mr_error *err)
{
    struct mr_op_bind bind;
    MR_TRY(mr_plan_prepare_bind(builder, node->id, &bind, err));
    if (builder->drafts[node->id].bound && node->op->unbind != NULL)
        node->op->unbind(node->op_plan);
    builder->drafts[node->id].bound = false;
    node->op_plan = NULL;
    node->op_info = (struct mr_op_info){.rows = -1};
    void *op_plan = NULL;
    MR_TRY(node->op->bind(&bind, &op_plan, &node->op_info, err));
    if (mr_plan_is_breaker(node) && node->op_info.pulls < 1)
        node->op_info.pulls = 1;
    node->op_plan = op_plan;
    builder->drafts[node->id].bound = true;
    estimate_op(builder, node);
    return mr_plan_stream_op(builder, node->id, err);
}

enum mr_status mr_plan_bind_op(struct mr_plan_builder *builder, int node, struct mr_error *err)
{
    return bind_op(builder, &builder->nodes[node], err);
}

/* Of the rows that come out of a port. */
static const struct mr_schema *schema_of_port(const struct mr_plan_node *from, int port)
{
    if (port == 0)
        return from->schema;
    return from->kind == MR_PLAN_SOURCE ? from->source_info.side : from->op_info.side;
}

/* 1: all schemas known; 0: unknown offline; -1: an input has failed. */
static int inputs_known(const struct mr_plan_builder *builder, const struct mr_plan_node *node)
{
    int known = 1;
    for (int i = 0; i < node->ninputs; i++) {
        const struct mr_plan_node *from = &builder->nodes[node->inputs[i].node];
        if (builder->drafts[from->id].failed)
            return -1;
        if (schema_of_port(from, node->inputs[i].port) == NULL)
            known = 0;
    }
    return known;
}

/* Binds the node, or what it turns out to stand for: the first of its parts then. */
static enum mr_status expand_and_bind(struct mr_plan_builder *builder, int at, struct mr_error *err)
{
    while (!builder->drafts[at].expanded)
        MR_TRY(mr_plan_expand(builder, at, err));
    return bind_op(builder, &builder->nodes[at], err);
}

/* A step that asks is not bound before it is answered; what is behind it is parsed only. */
static enum mr_status ask_or_bind(struct mr_plan_builder *builder, int at, struct mr_error *err)
{
    bool waits = false;
    const struct mr_op_discovered *found;
    if (!builder->drafts[at].expanded && !mr_plan_is_asked(builder, at))
        MR_TRY(mr_plan_ask(builder, at, &waits, &found, err));
    if (waits) {
        struct mr_op_question question = {0};
        const struct mr_plan_node *node = &builder->nodes[at];
        MR_TRY(node->op->discover(builder->arena, builder->drafts[at].options, &question, err));
        MR_TRY(mr_plan_stream_question(builder, at, question.option, err));
    }
    if (waits)
        return mr_plan_check_syntax(builder, builder->drafts[at].options, err);
    return expand_and_bind(builder, at, err);
}

/* A part that is of the step's own method needs no second mention of it. */
static void prefix_part(const struct mr_plan_node *node, struct mr_error *err)
{
    const char *part = strstr(node->label, ": ");
    if (part == NULL || node->step == NULL || strcmp(part + 2, node->step->method->name) != 0)
        mr_error_prefix(err, "%s", part != NULL ? part + 2 : node->label);
}

/* Is this a sink whose parts can be asked for now? */
static bool can_expand_sink(const struct mr_plan_builder *builder, int at)
{
    const struct mr_plan_draft *draft = &builder->drafts[at];
    return builder->nodes[at].kind == MR_PLAN_SINK && !draft->expanded && !draft->failed &&
           builder->request->connect && builder->plan->question.step == NULL &&
           inputs_known(builder, &builder->nodes[at]) > 0;
}

enum mr_status mr_plan_bind_ops(struct mr_plan_builder *builder, struct mr_error *err)
{
    for (int i = 0; i < builder->plan->nnodes; i++) {
        if (can_expand_sink(builder, i)) {
            struct mr_error sink_error = {0};
            enum mr_status expanded = mr_plan_expand_sink(builder, i, &sink_error);
            if (expanded != MR_OK) {
                builder->drafts[i].failed = true;
                mr_plan_fail(builder, builder->nodes[i].step, &sink_error);
            }
        }
        const struct mr_plan_node *node = &builder->nodes[i];
        if (node->kind != MR_PLAN_OP || node->absorbed)
            continue;
        /* What nobody reads is bound once: rewrites take no account of its columns. */
        if (builder->drafts[i].bound && !builder->drafts[i].live)
            continue;
        bool failed = builder->drafts[i].failed;
        int known = failed && node->ninputs == 0 ? -1 : inputs_known(builder, node);
        struct mr_error step_error = {0};
        enum mr_status status =
            known > 0 && !failed
                ? ask_or_bind(builder, i, &step_error)
                : mr_plan_check_syntax(builder, builder->drafts[i].options, &step_error);
        if (status == MR_NOMEM)
            return mr_error_nomem(err);
        if (status != MR_OK && builder->nodes[i].is_part)
            prefix_part(&builder->nodes[i], &step_error);
        if (status != MR_OK)
            mr_plan_fail(builder, builder->nodes[i].step, &step_error);
        if (status != MR_OK || known < 0)
            builder->drafts[i].failed = true;
    }
    return MR_OK;
}

static enum mr_status bind_sink(struct mr_plan_builder *builder, struct mr_plan_node *node,
                                struct mr_error *err)
{
    const struct mr_plan_node *from = &builder->nodes[node->inputs[0].node];
    bool side = node->inputs[0].port == 1;
    node->schema = schema_of_port(from, node->inputs[0].port);
    if (side && node->schema == NULL && from->schema != NULL)
        return mr_error_config(err, "has no rows to quarantine");
    node->rows = side ? -1 : from->rows;
    node->bytes = side ? -1 : from->bytes;
    struct mr_sink_bind bind = {
        .options = builder->drafts[node->id].options,
        .runtime = node->runtime,
        .arena = builder->arena,
        .schema = node->schema,
        .rows = node->rows,
        .bytes = node->bytes,
        .step = node->label,
        .sequence = node->sink_sequence,
    };
    MR_TRY(
        mr_error_of_sink(node->sink->bind(&bind, &node->sink_state, &node->sink_info, err), err));
    if (!(node->sink_info.kinds & MR_SINK_APPEND) && node->sink_info.kinds != 0)
        return mr_error_config(err, "the target does not take plain rows");
    MR_TRY(mr_plan_check_side(builder, node, err));
    return mr_plan_stream_sink(builder, node, err);
}

/* Two transactions that die with the process: a crash between their ends would leave one without the other, for good. */
static enum mr_status check_transactions(const struct mr_plan_builder *builder,
                                         const struct mr_plan_node *node, struct mr_error *err)
{
    const char *own = node->sink_info.transaction;
    for (int i = 0; i < node->id && own != NULL; i++) {
        const struct mr_plan_node *other = &builder->nodes[i];
        const char *theirs =
            other->kind == MR_PLAN_SINK && builder->drafts[i].bound && !other->sink_info.skip
                ? other->sink_info.transaction
                : NULL;
        if (theirs == NULL || node->sink_info.skip || strcmp(own, theirs) == 0)
            continue;
        mr_error_config(err,
                        "two loads with transactions of their own (%s and this one) cannot "
                        "be one epoch",
                        other->label);
        bool side = builder->drafts[i].side != NULL || builder->drafts[node->id].side != NULL;
        mr_error_hint(
            err, side ? "give extract and load the same connection, leave out progressTopic, or "
                        "write dead letters into files (`path`)"
                      : "give both the same connection, or set transactional to false in one "
                        "of them (at least once)");
        return MR_CONFIG;
    }
    return MR_OK;
}

/* Loads come first: targets remember their number, which a side output that comes or goes must not change. */
static void number_sinks(struct mr_plan_builder *builder, int *sinks, bool loads)
{
    struct mr_plan *plan = builder->plan;
    for (int i = 0; i < plan->nnodes; i++) {
        struct mr_plan_node *node = &builder->nodes[i];
        if (node->kind != MR_PLAN_SINK || (node->step->type == MR_STEP_LOAD) != loads)
            continue;
        node->sink_sequence = plan->nsinks;
        sinks[plan->nsinks++] = i;
    }
}

enum mr_status mr_plan_bind_sinks(struct mr_plan_builder *builder, struct mr_error *err)
{
    struct mr_plan *plan = builder->plan;
    int *sinks = mr_arena_calloc(builder->arena, (size_t)plan->nnodes + 1, sizeof *sinks);
    if (sinks == NULL)
        return mr_error_nomem(err);
    plan->sinks = sinks;
    number_sinks(builder, sinks, true);
    number_sinks(builder, sinks, false);
    for (int i = 0; i < plan->nnodes; i++) {
        struct mr_plan_node *node = &builder->nodes[i];
        if (node->kind != MR_PLAN_SINK)
            continue;
        node->sink_options = builder->drafts[i].options;
        if (builder->drafts[i].failed || inputs_known(builder, node) < 0)
            continue;
        struct mr_error step_error = {0};
        enum mr_status status = bind_sink(builder, node, &step_error);
        if (status == MR_OK)
            status = check_transactions(builder, node, &step_error);
        if (status != MR_OK) {
            node->sink_state = NULL;
            builder->drafts[i].failed = true;
            if (builder->drafts[i].side != NULL)
                mr_error_prefix(&step_error, "%s", builder->drafts[i].side);
            mr_plan_fail(builder, node->step, &step_error);
            if (status == MR_CANCELLED || status == MR_NOMEM)
                break;
            continue;
        }
        builder->drafts[i].bound = true;
    }
    return MR_OK;
}
