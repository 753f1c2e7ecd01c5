/*
 * condition.c - the implementation of ext/condition.h: SQL conditions for sinks and actions.
 *
 * They compile with the session of the run, as the same text in a filterRows step would, so that
 * "delete where x" and "keep where not x" split a table into the same rows. The parts that have a
 * pushable form come from the pass that pushes filters into sources.
 */
#include "plan/condition.h"

#include "plan/build.h"

struct mr_condition {
    struct mr_tz *tz;
    struct mr_eval *eval;
    struct mr_sql_session session;
    struct mr_expr *expr;
    const struct mr_predicate **predicates;
    int npredicates;
    bool exact;
};

static enum mr_status find_predicates(struct mr_condition *self, const char *text,
                                      const struct mr_schema *schema, struct mr_arena *arena,
                                      struct mr_error *err)
{
    struct mr_sql_scope scope = {.schema = schema};
    const char **texts;
    int count;
    MR_TRY(mr_plan_split_conjuncts(arena, text, &texts, &count, err));
    int *map = mr_arena_calloc(arena, (size_t)schema->nfields + 1, sizeof *map);
    self->predicates = mr_arena_calloc(arena, (size_t)count + 1, sizeof(*self->predicates));
    if (map == NULL || self->predicates == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < schema->nfields; i++)
        map[i] = i;
    self->exact = true;
    for (int i = 0; i < count; i++) {
        struct mr_expr *expr;
        const struct mr_predicate *predicate = NULL;
        if (mr_expr_compile_condition(arena, texts[i], &scope, &self->session, &expr, NULL) ==
            MR_OK)
            predicate = mr_plan_predicate(arena, mr_expr_root(expr), map, schema);
        if (predicate != NULL)
            self->predicates[self->npredicates++] = predicate;
        else
            self->exact = false;
    }
    return MR_OK;
}

static void condition_free(struct mr_condition *self)
{
    if (self == NULL)
        return;
    mr_eval_free(self->eval);
    mr_tz_free(self->tz);
    self->eval = NULL;
    self->tz = NULL;
}

static enum mr_status condition_compile(const char *text, const struct mr_schema *schema,
                                        struct mr_runtime *runtime, struct mr_arena *arena,
                                        struct mr_condition **out, struct mr_error *err)
{
    struct mr_condition *self = mr_arena_calloc(arena, 1, sizeof *self);
    if (self == NULL)
        return mr_error_nomem(err);
    MR_TRY(mr_tz_new(runtime->time_zone ? runtime->time_zone : "UTC", &self->tz, err));
    self->session = (struct mr_sql_session){
        .ansi = !runtime->ansi_off,
        .tz = self->tz,
        .now_micros = runtime->start_micros,
    };
    struct mr_sql_scope scope = {.schema = schema};
    enum mr_status status =
        mr_expr_compile_condition(arena, text, &scope, &self->session, &self->expr, err);
    if (status == MR_OK)
        status = find_predicates(self, text, schema, arena, err);
    if (status == MR_OK)
        status = mr_eval_new(runtime->memory, &self->session, &self->eval, err);
    if (status != MR_OK) {
        condition_free(self);
        return status;
    }
    *out = self;
    return MR_OK;
}

static void condition_predicates(const struct mr_condition *self,
                                 const struct mr_predicate *const **out, int *count, bool *exact)
{
    *out = self->predicates;
    *count = self->npredicates;
    *exact = self->exact;
}

static void condition_uses(const struct mr_condition *self, bool *used)
{
    mr_expr_uses(self->expr, used);
}

static enum mr_status condition_evaluate(struct mr_condition *self, struct mr_batch *batch,
                                         uint8_t *truth, struct mr_error *err)
{
    struct mr_column *column;
    MR_TRY(mr_expr_eval(self->eval, self->expr, batch, &column, err));
    for (int64_t i = 0; i < batch->rows; i++) {
        struct mr_value value;
        mr_column_get(column, i, &value);
        truth[i] = value.is_null ? 2 : value.u.i64 != 0;
    }
    mr_column_unref(column);
    return MR_OK;
}

const struct mr_conditions mr_plan_conditions = {
    .compile = condition_compile,
    .predicates = condition_predicates,
    .uses = condition_uses,
    .evaluate = condition_evaluate,
    .free = condition_free,
};
