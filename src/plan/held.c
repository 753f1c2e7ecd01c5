/*
 * held.c - joins of a stream that read a static frame again only every `refresh`.
 *
 * In front of each input of such a join stands a node of its own. Where the rows of an earlier epoch are there and fresh it is a source over
 * them, and what only led to it is taken out of the plan before anything is bound: a server is not asked for a catalog, and no snapshot is
 * taken. Else it is an operator that passes rows on and gathers them. Which inputs are streams is not known yet; the operator knows when it
 * is bound, and gathers nothing of these. What other steps read of the same frame they read in every epoch.
 */
#include "plan/build.h"

#include "ext/held.h"

static int64_t refresh_of(const struct mr_plan_node *node)
{
    if (node->kind != MR_PLAN_OP || node->step->type != MR_STEP_TRANSFORM)
        return 0;
    const struct mr_option *row = mr_option_find(node->step->options->table, "refresh");
    return row != NULL && row->type == MR_OPTION_DURATION
               ? mr_options_integer(node->step->options, "refresh", 0)
               : 0;
}

static enum mr_status make_options(struct mr_plan_builder *builder, const char *step, int input,
                                   const struct mr_options **out, struct mr_error *err)
{
    const struct mr_holder *holder = builder->request->runtime->registry->holder;
    const char *number = mr_arena_printf(builder->arena, "%d", input);
    if (number == NULL)
        return mr_error_nomem(err);
    const char *const pairs[] = {"step", step, "input", number, NULL};
    return mr_options_from_texts(builder->arena, holder->options, pairs, out, err);
}

/* The node in front of input k of `whole`, at place `at`. *fresh: it is a source. */
static enum mr_status make_node(struct mr_plan_builder *builder, int at,
                                const struct mr_plan_node *whole, const char *frame, int k,
                                bool *fresh, struct mr_error *err)
{
    struct mr_held_list *list = builder->request->runtime->held;
    const struct mr_holder *holder = builder->request->runtime->registry->holder;
    const char *key = whole->step->key;
    struct mr_held_frame *held;
    const char *label = mr_arena_printf(builder->arena, "%s: rows of %s", whole->label,
                                        frame != NULL ? frame : "the primary frame");
    struct mr_plan_edge *edge = mr_arena_alloc(builder->arena, sizeof *edge);
    const char **names = mr_arena_calloc(builder->arena, 1, sizeof *names);
    if (label == NULL || edge == NULL || names == NULL)
        return mr_error_nomem(err);
    MR_TRY(mr_held_frame(list, key, k, label, &held, err));
    const struct mr_held_rows *rows = mr_held_fresh(list, held, refresh_of(whole));
    MR_TRY(mr_plan_set_node(builder, at, rows != NULL ? MR_PLAN_SOURCE : MR_PLAN_OP, whole->step,
                            label, err));
    struct mr_plan_node *node = &builder->nodes[at];
    struct mr_plan_draft *draft = &builder->drafts[at];
    MR_TRY(make_options(builder, key, k, &draft->options, err));
    node->is_part = node->is_inner = true;
    *edge = whole->inputs[k];
    names[0] = frame;
    draft->frames = names;
    *fresh = rows != NULL;
    if (rows == NULL) {
        node->op = holder->op;
        node->ninputs = 1;
        node->inputs = edge;
        draft->failed = builder->drafts[edge->node].failed;
        return MR_OK;
    }
    node->source = holder->source;
    if (rows->event_time == NULL)
        return MR_OK;
    draft->event_time = mr_arena_strdup(builder->arena, rows->event_time);
    return draft->event_time != NULL ? MR_OK : mr_error_nomem(err);
}

static enum mr_status hold_inputs(struct mr_plan_builder *builder, int at, bool *any,
                                  struct mr_error *err)
{
    const struct mr_plan_node whole = builder->nodes[at];
    const char **frames = builder->drafts[at].frames;
    int count = whole.ninputs;
    struct mr_plan_edge *edges = mr_arena_calloc(builder->arena, (size_t)count + 1, sizeof *edges);
    if (edges == NULL)
        return mr_error_nomem(err);
    MR_TRY(mr_plan_open_gap(builder, at, count + 1, err));
    for (int k = 0; k < count; k++) {
        bool fresh = false;
        MR_TRY(make_node(builder, at + k, &whole, frames[k], k, &fresh, err));
        edges[k] = (struct mr_plan_edge){at + k, 0};
        *any = *any || fresh;
    }
    builder->nodes[at + count].inputs = edges;
    return MR_OK;
}

/* Without the nodes whose rows only went where they are there already. */
static enum mr_status take_out(struct mr_plan_builder *builder, const bool *led,
                               struct mr_error *err)
{
    size_t n = (size_t)builder->plan->nnodes;
    int *readers = mr_arena_calloc(builder->arena, n + 1, sizeof *readers);
    bool *gone = mr_arena_calloc(builder->arena, n + 1, sizeof *gone);
    int *moved = mr_arena_calloc(builder->arena, n + 1, sizeof *moved);
    if (readers == NULL || gone == NULL || moved == NULL)
        return mr_error_nomem(err);
    for (size_t i = n; i-- > 0;) {
        const struct mr_plan_node *node = &builder->nodes[i];
        gone[i] = led[i] && readers[i] == 0 && builder->plan->result != (int)i;
        for (int k = 0; !gone[i] && k < node->ninputs; k++)
            readers[node->inputs[k].node]++;
    }
    int next = 0;
    for (size_t i = 0; i < n; i++)
        moved[i] = gone[i] ? -1 : next++;
    return mr_plan_renumber(builder, moved, err);
}

/* Marks what is in front of the frames that are fresh: their edges are gone from the plan. */
static void mark_before(const struct mr_plan_builder *builder, bool *led, int from)
{
    for (int i = from; i >= 0; i--)
        for (int k = 0; led[i] && k < builder->nodes[i].ninputs; k++)
            led[builder->nodes[i].inputs[k].node] = true;
}

enum mr_status mr_plan_hold(struct mr_plan_builder *builder, struct mr_error *err)
{
    const struct mr_runtime *runtime = builder->request->runtime;
    if (!runtime->streaming || runtime->held == NULL || runtime->registry->holder == NULL ||
        !builder->request->with_sinks || builder->nerrors > 0)
        return MR_OK;
    for (int i = 0; i < builder->plan->nnodes; i++) {
        bool any = false;
        if (refresh_of(&builder->nodes[i]) <= 0)
            continue;
        const struct mr_plan_edge *before = builder->nodes[i].inputs;
        int count = builder->nodes[i].ninputs;
        MR_TRY(hold_inputs(builder, i, &any, err));
        int at = i + count;
        if (any) {
            bool *led =
                mr_arena_calloc(builder->arena, (size_t)builder->plan->nnodes + 1, sizeof *led);
            if (led == NULL)
                return mr_error_nomem(err);
            for (int k = 0; k < count; k++)
                if (builder->nodes[i + k].kind == MR_PLAN_SOURCE)
                    led[before[k].node] = true;
            mark_before(builder, led, i - 1);
            int nodes = builder->plan->nnodes;
            int behind = nodes - at;
            MR_TRY(take_out(builder, led, err));
            at = builder->plan->nnodes - behind;
        }
        i = at;
    }
    return MR_OK;
}
