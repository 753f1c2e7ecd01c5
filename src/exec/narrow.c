/*
 * narrow.c - tells sources, before their segment starts, what the build sides have left to find.
 *
 * The plan knows the way (plan/narrow.c), the operators know the keys. What several build sides say
 * of one source is joined by AND. Saying nothing is always right: nobody relies on it.
 */
#include "exec/run.h"

/*
 * The predicate over the source's columns; NULL in *out when a column is not carried. Parts of an
 * AND may be left out.
 */
static enum mr_status translate(struct mr_arena *arena, const struct mr_predicate *from,
                                const int *map, const struct mr_predicate **out,
                                struct mr_error *err)
{
    *out = NULL;
    bool list = from->kind == MR_PREDICATE_AND || from->kind == MR_PREDICATE_OR ||
                from->kind == MR_PREDICATE_NOT;
    if (!list && map[from->column] < 0)
        return MR_OK;
    struct mr_predicate *copy = mr_arena_alloc(arena, sizeof *copy);
    const struct mr_predicate **args =
        mr_arena_calloc(arena, (size_t)from->nargs + 1, sizeof(struct mr_predicate *));
    if (copy == NULL || args == NULL)
        return mr_error_nomem(err);
    *copy = *from;
    copy->column = list ? from->column : map[from->column];
    copy->args = args;
    copy->nargs = 0;
    for (int i = 0; i < from->nargs; i++) {
        MR_TRY(translate(arena, from->args[i], map, &args[copy->nargs], err));
        if (args[copy->nargs] != NULL)
            copy->nargs++;
        else if (from->kind != MR_PREDICATE_AND)
            return MR_OK;
    }
    if (!list || copy->nargs > 0)
        *out = copy;
    return MR_OK;
}

/* What the build sides say of one source. */
static enum mr_status collect(struct mr_run *run, const struct mr_plan_segment *segment, int source,
                              struct mr_predicate *all, struct mr_error *err)
{
    const struct mr_predicate **args =
        mr_arena_calloc(&run->arena, (size_t)segment->nnarrowings, sizeof(struct mr_predicate *));
    if (args == NULL)
        return mr_error_nomem(err);
    *all = (struct mr_predicate){.kind = MR_PREDICATE_AND, .args = args};
    for (int i = 0; i < segment->nnarrowings; i++) {
        const struct mr_plan_narrowing *narrowing = &segment->narrowings[i];
        const struct mr_plan_node *node = &run->plan->nodes[narrowing->node];
        const struct mr_predicate *said = NULL;
        if (narrowing->source != source)
            continue;
        enum mr_status status =
            node->op->narrows(mr_builds_state(run, node->id), &run->arena, &said, err);
        MR_TRY(mr_push_blame(run->plan, node, status, err));
        if (said != NULL)
            MR_TRY(translate(&run->arena, said, narrowing->map, &args[all->nargs], err));
        if (args[all->nargs] != NULL)
            all->nargs++;
    }
    return MR_OK;
}

enum mr_status mr_narrow_sources(struct mr_run *run, const struct mr_plan_segment *segment,
                                 struct mr_error *err)
{
    for (int i = 0; i < segment->nsources; i++) {
        const struct mr_plan_node *source = &run->plan->nodes[segment->sources[i]];
        bool any = false;
        for (int k = 0; k < segment->nnarrowings; k++)
            any |= segment->narrowings[k].source == source->id;
        if (!any)
            continue;
        struct mr_predicate *all = mr_arena_alloc(&run->arena, sizeof *all);
        if (all == NULL)
            return mr_error_nomem(err);
        MR_TRY(collect(run, segment, source->id, all, err));
        const struct mr_predicate *predicate = all->nargs == 0   ? NULL
                                               : all->nargs == 1 ? all->args[0]
                                                                 : all;
        enum mr_status status = source->source->narrow(source->source_state, predicate, err);
        MR_TRY(mr_push_blame(run->plan, source, status, err));
    }
    return MR_OK;
}
