/*
 * maintain.c - runs the actions of the maintain steps.
 *
 * They come after the COMMITTED record. Before it they would keep a finished load from being
 * recorded; and as part of a run that then counts as successful, a failure would be lost. So the
 * run fails, and since its epoch is committed, a scheduler's retry does not read the rows again.
 * All actions can be done twice.
 */
#include "run/maintain.h"

static enum mr_status explain(enum mr_status status, const struct mr_step_spec *step, bool loaded,
                              struct mr_error *err)
{
    if (status == MR_OK || err == NULL)
        return status;
    if (!err->where[0])
        mr_error_where(err, "%s", step->label);
    if (loaded && !err->hint[0])
        mr_error_hint(err, "what the run loaded is committed; the next start does the maintenance "
                           "and reads nothing again");
    return status;
}

static enum mr_status act(const struct mr_action *action, void *state, struct mr_runtime *runtime,
                          struct mr_arena *arena, const char **report, struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    enum mr_status status = action->run(state, runtime, &text, err);
    if (status == MR_OK)
        status = mr_bytes_status(&text, err);
    if (status == MR_OK && text.size > 0) {
        *report = mr_arena_strndup(arena, text.data, text.size);
        if (*report == NULL)
            status = mr_error_nomem(err);
    }
    mr_bytes_reset(&text);
    return status;
}

enum mr_status mr_maintain(struct mr_session *session, struct mr_error *err)
{
    struct mr_plan *plan = session->plan;
    for (int i = 0; i < plan->nactions; i++) {
        struct mr_plan_action *action = &plan->actions[i];
        struct mr_runtime runtime = *action->runtime;
        runtime.waiter = mr_engine_waiter(session->engine);
        mr_logger_printf(&session->logger, MR_LOG_INFO, "run", "%s begins", action->step->label);
        MR_TRY(explain(act(action->action, action->state, &runtime, &session->arena,
                           &action->report, err),
                       action->step, plan->nsinks > 0, err));
    }
    return MR_OK;
}

enum mr_status mr_maintain_again(struct mr_session *session, struct mr_error *err)
{
    const struct mr_spec *spec = session->spec;
    for (int i = 0; i < spec->nsteps; i++) {
        const struct mr_step_spec *step = &spec->steps[i];
        const struct mr_action *action = step->method->action;
        if (action == NULL)
            continue;
        struct mr_runtime runtime = session->runtime;
        runtime.waiter = mr_engine_waiter(session->engine);
        void *state = NULL;
        const char *report = NULL;
        MR_TRY(mr_session_fetch_credentials(session, NULL, err));
        enum mr_status status = action->bind(step->options, &runtime, &session->arena, &state, err);
        if (status == MR_OK)
            status = act(action, state, &runtime, &session->arena, &report, err);
        if (state != NULL)
            action->close(state);
        MR_TRY(explain(status, step, true, err));
    }
    return MR_OK;
}
