/*
 * build.c - spec -> plan: the passes in their order, and the end of a plan.
 *
 * Each pass looks at all nodes and takes note of every failure; a pass that saw one ends the build,
 * because the next pass would only report consequences. Binding happens before anything else can be
 * decided and before anything is written; splits (which fix the snapshot) come when all is known to
 * be well formed.
 */
#include "plan/build.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void mr_plan_fail(struct mr_plan_builder *builder, const struct mr_step_spec *step,
                  struct mr_error *err)
{
    if (strstr(err->message, step->label) == NULL)
        mr_error_prefix(err, "%s", step->label);
    const struct mr_position *position = &step->position;
    if (position->line > 0 && position->file != NULL) {
        char where[sizeof err->where];
        snprintf(where, sizeof where, "%s", err->where);
        if (where[0] == '\0')
            mr_error_where(err, "%s:%d:%d", position->file, position->line, position->column);
        else if (strncmp(where, position->file, strlen(position->file)) != 0)
            mr_error_where(err, "%s:%d:%d, %s", position->file, position->line, position->column,
                           where);
    }
    if (builder->nerrors == 0 || err->status == MR_CANCELLED)
        builder->first = *err;
    builder->nerrors++;
    if (builder->errors != NULL && builder->errors->count < MR_LOAD_MAX_ERRORS)
        builder->errors->items[builder->errors->count++] = *err;
}

enum mr_status mr_plan_failed(const struct mr_plan_builder *builder, struct mr_error *err)
{
    if (builder->nerrors == 0)
        return MR_OK;
    if (err != NULL)
        *err = builder->first;
    return builder->first.status;
}

enum mr_status mr_plan_warn(struct mr_plan_builder *builder, const char *where,
                            struct mr_error *err, const char *format, ...)
{
    if (builder->plan->nwarnings == builder->warning_capacity) {
        int capacity = builder->warning_capacity > 0 ? 2 * builder->warning_capacity : 8;
        struct mr_plan_warning *grown =
            mr_arena_calloc(builder->arena, (size_t)capacity, sizeof *grown);
        if (grown == NULL)
            return mr_error_nomem(err);
        if (builder->warning_capacity > 0)
            memcpy(grown, builder->warnings, (size_t)builder->warning_capacity * sizeof *grown);
        builder->warnings = grown;
        builder->warning_capacity = capacity;
        builder->plan->warnings = grown;
    }
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *copy = mr_arena_strdup(builder->arena, text);
    if (copy == NULL)
        return mr_error_nomem(err);
    builder->warnings[builder->plan->nwarnings++] = (struct mr_plan_warning){copy, where};
    return MR_OK;
}

/* One pass over the nodes, then the errors that it has found. */
static enum mr_status pass(struct mr_plan_builder *builder,
                           enum mr_status (*run)(struct mr_plan_builder *, struct mr_error *),
                           struct mr_error *err)
{
    enum mr_status status = run(builder, err);
    if (status != MR_OK)
        return status;
    return mr_plan_failed(builder, err);
}

/* Offline the errors of all passes up to the sinks are worth having together. */
static enum mr_status bind_all(struct mr_plan_builder *builder, struct mr_error *err)
{
    MR_TRY(mr_plan_frames(builder, err));
    MR_TRY(mr_plan_hold(builder, err));
    mr_plan_stream_modes(builder);
    MR_TRY(mr_plan_stages(builder, err));
    MR_TRY(mr_plan_bind_sources(builder, err));
    MR_TRY(mr_plan_bind_ops(builder, err));
    if (builder->nerrors == 0 && builder->plan->question.step == NULL) {
        MR_TRY(mr_plan_mark_live(builder, err));
        MR_TRY(pass(builder, mr_plan_rewrite, err));
    }
    if (builder->plan->question.step == NULL)
        MR_TRY(mr_plan_bind_sinks(builder, err));
    MR_TRY(mr_plan_bind_actions(builder, err));
    return mr_plan_failed(builder, err);
}

static enum mr_status arrange(struct mr_plan_builder *builder, struct mr_error *err)
{
    MR_TRY(mr_plan_mark_live(builder, err));
    MR_TRY(mr_plan_stream_clocks(builder, err));
    mr_plan_spread_wishes(builder);
    if (builder->request->connect && builder->request->with_splits) {
        MR_TRY(pass(builder, mr_plan_make_splits, err));
        MR_TRY(mr_plan_make_segments(builder, err));
        MR_TRY(mr_plan_find_narrowings(builder, err));
        MR_TRY(mr_plan_make_tasks(builder, err));
        mr_plan_share_memory(builder);
    }
    MR_TRY(mr_plan_add_warnings(builder, err));
    return mr_plan_fingerprint(builder, err);
}

enum mr_status mr_plan_build(const struct mr_plan_request *request, struct mr_plan **out,
                             struct mr_load_errors *errors, struct mr_error *err)
{
    *out = NULL;
    struct mr_plan *plan = mr_arena_calloc(request->arena, 1, sizeof *plan);
    if (plan == NULL)
        return mr_error_nomem(err);
    plan->arena = request->arena;
    plan->spec = request->spec;
    plan->session = (struct mr_sql_session){.ansi = request->spec->ansi,
                                            .tz = request->tz,
                                            .now_micros = request->now_micros};
    plan->result = -1;
    struct mr_plan_builder builder = {
        .request = request,
        .spec = request->spec,
        .arena = request->arena,
        .plan = plan,
        .errors = errors,
    };
    enum mr_status status = bind_all(&builder, err);
    /* What stands behind an open question is not known yet. */
    if (status == MR_OK && plan->question.step == NULL)
        status = arrange(&builder, err);
    if (status != MR_OK) {
        mr_plan_free(plan);
        return status;
    }
    *out = plan;
    return MR_OK;
}

void mr_plan_close_ends(struct mr_plan *plan)
{
    for (int i = plan->nnodes - 1; i >= 0; i--) {
        struct mr_plan_node *node = &plan->nodes[i];
        if (node->kind == MR_PLAN_SOURCE && node->source_state != NULL &&
            node->source->close != NULL)
            node->source->close(node->source_state);
        if (node->kind == MR_PLAN_SINK && node->sink_state != NULL && node->sink->close != NULL)
            node->sink->close(node->sink_state);
        node->source_state = node->sink_state = NULL;
    }
    for (int i = 0; i < plan->nactions; i++)
        if (plan->actions[i].state != NULL)
            plan->actions[i].action->close(plan->actions[i].state);
    plan->nactions = 0;
}

void mr_plan_free(struct mr_plan *plan)
{
    if (plan == NULL)
        return;
    mr_plan_close_ends(plan);
    for (int i = plan->nnodes - 1; i >= 0; i--) {
        struct mr_plan_node *node = &plan->nodes[i];
        if (node->kind == MR_PLAN_OP && node->op_plan != NULL && node->op->unbind != NULL)
            node->op->unbind(node->op_plan);
        node->op_plan = NULL;
    }
    plan->nnodes = 0;
}
