/*
 * actions.c - maintain steps: what is done to targets after the loads.
 *
 * They move no rows through the plan, so they are no nodes. All of them run, in the order of the
 * steps, once every load of the pipeline has committed: maintenance of a table that the same
 * pipeline writes must see what was written, and a failure of it must not undo the loads.
 */
#include "plan/build.h"

enum mr_status mr_plan_add_action(struct mr_plan_builder *builder, const struct mr_step_spec *step,
                                  struct mr_error *err)
{
    struct mr_plan *plan = builder->plan;
    const struct mr_spec *spec = builder->spec;
    if (!builder->request->with_sinks)
        return MR_OK;
    for (int i = step->index + 1; i < spec->nsteps; i++)
        if (spec->steps[i].method != NULL && spec->steps[i].method->sink != NULL) {
            mr_error_config(err, "stands before a load, but is done after all loads");
            mr_error_hint(err, "put it behind %s", spec->steps[i].label);
            return MR_CONFIG;
        }
    if (plan->actions == NULL)
        plan->actions =
            mr_arena_calloc(builder->arena, (size_t)spec->nsteps, sizeof *plan->actions);
    if (plan->actions == NULL)
        return mr_error_nomem(err);
    struct mr_plan_action *action = &plan->actions[plan->nactions];
    *action = (struct mr_plan_action){.step = step, .action = step->method->action};
    MR_TRY(mr_plan_new_runtime(builder, step->label, &action->runtime, err));
    plan->nactions++;
    return MR_OK;
}

static enum mr_status describe(struct mr_plan_builder *builder, struct mr_plan_action *action,
                               struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    enum mr_status status = action->action->plan(action->state, &text, err);
    if (status == MR_OK)
        status = mr_bytes_status(&text, err);
    if (status == MR_OK) {
        action->text = mr_arena_strndup(builder->arena, text.data, text.size);
        if (action->text == NULL)
            status = mr_error_nomem(err);
    }
    mr_bytes_reset(&text);
    return status;
}

enum mr_status mr_plan_bind_actions(struct mr_plan_builder *builder, struct mr_error *err)
{
    (void)err;
    for (int i = 0; i < builder->plan->nactions; i++) {
        struct mr_plan_action *action = &builder->plan->actions[i];
        struct mr_error step_error = {0};
        void *state = NULL;
        enum mr_status status = action->action->bind(action->step->options, action->runtime,
                                                     builder->arena, &state, &step_error);
        if (status == MR_OK)
            action->state = state;
        if (status == MR_OK && builder->request->connect)
            status = describe(builder, action, &step_error);
        if (status != MR_OK)
            mr_plan_fail(builder, action->step, &step_error);
        if (status == MR_CANCELLED || status == MR_NOMEM)
            break;
    }
    return MR_OK;
}
