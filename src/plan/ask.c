/*
 * ask.c - steps whose schema depends on values in their rows.
 *
 * The columns of a pivot without a list of values are the values of its column. Such a step asks
 * (mr_op.discover) before anything else of it is looked at. The build leaves it and all behind it
 * unbound and hands the question up, because only run/ can execute; run/ builds another plan of the
 * same file, which ends at that step and in which the step is replaced by parts that give the
 * distinct values in order; it runs that plan under the same snapshot and builds again with the
 * answer. Guessing a schema from a sample was refused: the result would depend on luck.
 */
#include "plan/build.h"

#define NOTE_VALUES 8

bool mr_plan_is_asked(const struct mr_plan_builder *builder, int node)
{
    const struct mr_plan_question *ask = builder->request->ask;
    return ask != NULL && builder->nodes[node].step->index == ask->step->index &&
           builder->drafts[node].origin == NULL;
}

static enum mr_status note_answer(struct mr_plan_builder *builder, int node,
                                  const struct mr_op_question *question,
                                  const struct mr_op_discovered *found, struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_printf(&text, "%d values of %s were read:", found->count, question->expression);
    for (int i = 0; i < found->count && i < NOTE_VALUES; i++)
        mr_bytes_printf(&text, "%s %s", i > 0 ? "," : "",
                        found->values[i] != NULL ? found->values[i] : "NULL");
    mr_bytes_printf(&text, "%s (%s would spare the reading)",
                    found->count > NOTE_VALUES ? ", ..." : "", question->option);
    enum mr_status status = mr_bytes_status(&text, err);
    if (status == MR_OK) {
        builder->nodes[node].note = mr_arena_strndup(builder->arena, text.data, text.size);
        if (builder->nodes[node].note == NULL)
            status = mr_error_nomem(err);
    }
    mr_bytes_reset(&text);
    return status;
}

enum mr_status mr_plan_ask(struct mr_plan_builder *builder, int at, bool *waits,
                           const struct mr_op_discovered **found, struct mr_error *err)
{
    const struct mr_plan_request *request = builder->request;
    const struct mr_plan_node *node = &builder->nodes[at];
    struct mr_op_question question = {0};
    *waits = false;
    *found = NULL;
    if (node->op->discover == NULL || builder->drafts[at].origin != NULL)
        return MR_OK;
    MR_TRY(node->op->discover(builder->arena, builder->drafts[at].options, &question, err));
    if (question.expression == NULL)
        return MR_OK;
    for (int i = 0; i < request->nanswers; i++)
        if (request->answers[i].step == node->step->index) {
            *found = &request->answers[i].found;
            return node->note != NULL ? MR_OK : note_answer(builder, at, &question, *found, err);
        }
    *waits = true;
    if (request->connect && builder->plan->question.step == NULL)
        builder->plan->question = (struct mr_plan_question){node->step, question};
    return MR_OK;
}

static struct mr_options *options_of(struct mr_plan_builder *builder, const char *method)
{
    const struct mr_method *found = mr_registry_method(builder->request->runtime->registry, method);
    if (found == NULL || found->op == NULL)
        return NULL;
    return mr_options_new(builder->arena, found->op->options);
}

/* selectColumns {value: e, text: CAST(e AS STRING)} -> deduplicate -> sortData value */
enum mr_status mr_plan_ask_parts(struct mr_plan_builder *builder, struct mr_op_parts *out,
                                 struct mr_error *err)
{
    static const int chain[] = {-1, 0, 1};
    static const char *const order[] = {"value"}, *const keys[] = {"text"};
    const char *expression = builder->request->ask->asked.expression;
    struct mr_arena *arena = builder->arena;
    struct mr_options *select = options_of(builder, "selectColumns");
    struct mr_options *distinct = options_of(builder, "deduplicate");
    struct mr_options *sort = options_of(builder, "sortData");
    struct mr_op_part *parts = mr_arena_calloc(arena, 3, sizeof *parts);
    const char *text = mr_arena_printf(arena, "CAST((%s) AS STRING)", expression);
    if (parts == NULL || text == NULL)
        return mr_error_nomem(err);
    if (select == NULL || sort == NULL)
        return mr_error_config(err,
                               "the values of %s cannot be found without selectColumns and "
                               "sortData",
                               expression);
    MR_TRY(mr_options_add_pair(arena, select, "columns", "value", expression, err));
    MR_TRY(mr_options_add_pair(arena, select, "columns", "text", text, err));
    MR_TRY(mr_options_set_list(arena, sort, "orderBy", order, 1, err));
    int n = 0;
    parts[n++] = (struct mr_op_part){"selectColumns", NULL, select, 1, &chain[0]};
    if (distinct != NULL) {
        MR_TRY(mr_options_set_list(arena, distinct, "keys", keys, 1, err));
        parts[n] = (struct mr_op_part){"deduplicate", NULL, distinct, 1, &chain[n]};
        n++;
    }
    parts[n] = (struct mr_op_part){"sortData", NULL, sort, 1, &chain[n]};
    *out = (struct mr_op_parts){parts, n + 1};
    return MR_OK;
}
