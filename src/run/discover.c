/*
 * discover.c - plans a file whose steps ask for values of their rows.
 *
 * plan -> question -> plan of the rows in front of the step -> run it, keep the values -> plan again, until
 * nothing is asked. The rows of that run are read as in any other, through the same shared objects: a server
 * gives both the same snapshot. Most files ask nothing and are planned once.
 */
#include "run/discover.h"

/* The distinct values of a question, as they come. */
struct answering {
    const struct mr_plan_question *question;
    struct mr_arena *arena;
    const char **values;
    int count;
    int capacity;
};

static enum mr_status add_value(struct answering *answering, const struct mr_value *text,
                                struct mr_error *err)
{
    if (answering->count == answering->capacity) {
        int capacity = answering->capacity > 0 ? 2 * answering->capacity : 64;
        const char **grown = mr_arena_calloc(answering->arena, (size_t)capacity, sizeof *grown);
        if (!grown)
            return mr_error_nomem(err);
        for (int i = 0; i < answering->count; i++)
            grown[i] = answering->values[i];
        answering->values = grown;
        answering->capacity = capacity;
    }
    char *copy = NULL;
    if (!text->is_null) {
        copy = mr_arena_strndup(answering->arena, text->u.bytes.data, text->u.bytes.size);
        if (!copy)
            return mr_error_nomem(err);
    }
    answering->values[answering->count++] = copy;
    return MR_OK;
}

static bool is_last(const struct answering *answering, const struct mr_value *text)
{
    if (answering->count == 0)
        return false;
    const char *last = answering->values[answering->count - 1];
    if (!last || text->is_null)
        return !last && text->is_null;
    return strlen(last) == text->u.bytes.size &&
           memcmp(last, text->u.bytes.data, text->u.bytes.size) == 0;
}

/* Rows come sorted: equal ones are neighbours. */
static enum mr_status take(void *context, struct mr_batch *batch, bool *enough,
                           struct mr_error *err)
{
    struct answering *answering = context;
    const struct mr_op_question *asked = &answering->question->asked;
    for (int64_t row = 0; row < batch->rows && !*enough; row++) {
        struct mr_value text;
        mr_column_get(batch->columns[1], row, &text);
        if (is_last(answering, &text))
            continue;
        MR_TRY(add_value(answering, &text, err));
        *enough = answering->count > asked->limit;
    }
    return MR_OK;
}

static enum mr_status execute(struct mr_session *session, struct mr_plan *plan,
                              struct answering *answering, struct mr_error *err)
{
    struct mr_exec_result result = {0};
    struct mr_exec_request request = {
        .plan = plan,
        .tap_node = plan->result,
        .tap = take,
        .tap_context = answering,
        .only_segment = -1,
        .only_task = -1,
    };
    enum mr_status status = mr_exec_run(session->engine, &request, &result, err);
    mr_exec_result_reset(&result);
    return status;
}

static enum mr_status answer(struct mr_session *session, const struct mr_plan_request *request,
                             const struct mr_plan *asked_by,
                             const struct mr_plan_question *question, struct mr_plan_answer *out,
                             struct mr_load_errors *errors, struct mr_error *err)
{
    struct answering answering = {.question = question, .arena = &session->arena};
    struct mr_plan_request asking = *request;
    asking.ask = question;
    asking.with_splits = true;
    asking.with_sinks = false;
    asking.until_step = NULL;
    asking.rows_wanted = 0;
    /* The same frames: what it finds must be true of the rows that the run reads. */
    struct mr_plan_restorable *frames;
    MR_TRY(mr_plan_used_frames(asked_by, &session->arena, &frames, &asking.nrestorable, err));
    asking.restorable = frames;
    asking.restore_all = true;
    struct mr_plan *plan = NULL;
    MR_TRY(mr_plan_build(&asking, &plan, errors, err));
    enum mr_status status = execute(session, plan, &answering, err);
    mr_plan_free(plan);
    MR_TRY(status);
    const struct mr_op_question *asked = &question->asked;
    if (answering.count > asked->limit) {
        mr_options_error(question->step->options, asked->option, err,
                         "%s has more than %lld different values", asked->expression,
                         (long long)asked->limit);
        mr_error_prefix(err, "%s", question->step->label);
        mr_error_hint(err, "list those that are wanted in \"%s\"", asked->option);
        return MR_CONFIG;
    }
    *out = (struct mr_plan_answer){question->step->index, {answering.count, answering.values}};
    return MR_OK;
}

enum mr_status mr_discover_and_plan(struct mr_session *session, struct mr_plan_request *request,
                                    struct mr_load_errors *errors, struct mr_error *err)
{
    /* A step asks once, so there are no more answers than steps. */
    size_t most = (size_t)session->spec->nsteps + 1;
    struct mr_plan_answer *answers = mr_arena_calloc(&session->arena, most, sizeof *answers);
    if (!answers)
        return mr_error_nomem(err);
    request->answers = answers;
    for (;;) {
        MR_TRY(mr_plan_build(request, &session->plan, errors, err));
        struct mr_plan_question question = session->plan->question;
        if (!question.step)
            return MR_OK;
        const struct mr_plan *asked_by = session->plan;
        mr_plan_free(session->plan); /* its arena stays */
        session->plan = NULL;
        MR_TRY(answer(session, request, asked_by, &question, &answers[request->nanswers], errors,
                      err));
        request->nanswers++;
    }
}
