/*
 * rewrite.c - what is moved into sources: filters, column lists, limits.
 *
 * All is offered to each live source at once; the answers decide what stays. Then the operators are bound again, because a source
 * may have narrowed its schema and filters may have become smaller or empty. sparkConf's adaptive switch turns all this off.
 */
#include "plan/build.h"

static enum mr_status offer_to(struct mr_plan_builder *builder, struct mr_plan_node *node,
                               struct mr_error *err)
{
    struct mr_plan_offer offer = {.source = node->id, .limit = -1};
    MR_TRY(mr_plan_collect_filters(builder, &offer, err));
    offer.columns = builder->drafts[node->id].need;
    size_t room = (size_t)offer.nconjuncts + 1;
    const struct mr_predicate **predicates =
        mr_arena_calloc(builder->arena, room, sizeof(struct mr_predicate *));
    enum mr_pushed *pushed = mr_arena_calloc(builder->arena, room, sizeof *pushed);
    int *which = mr_arena_calloc(builder->arena, room, sizeof *which);
    if (predicates == NULL || pushed == NULL || which == NULL)
        return mr_error_nomem(err);
    struct mr_source_offer request = {.predicates = predicates,
                                      .pushed = pushed,
                                      .columns = offer.columns};
    for (int i = 0; i < offer.nconjuncts; i++)
        if (offer.conjuncts[i].predicate != NULL) {
            which[request.npredicates] = i;
            predicates[request.npredicates++] = offer.conjuncts[i].predicate;
        }
    request.limit = mr_plan_collect_limit(builder, node->id);
    MR_TRY(node->source->offer(node->source_state, &request, &node->source_info, err));
    for (int i = 0; i < request.npredicates; i++)
        offer.conjuncts[which[i]].pushed = pushed[i];
    node->schema = node->source_info.schema;
    node->rows = node->source_info.rows;
    node->bytes = node->source_info.bytes;
    if (node->bytes < 0 && node->rows >= 0)
        node->bytes = node->rows * mr_plan_row_width(node->schema);
    return mr_plan_drop_pushed(builder, &offer, err);
}

enum mr_status mr_plan_rewrite(struct mr_plan_builder *builder, struct mr_error *err)
{
    if (!builder->spec->rewrites)
        return MR_OK;
    MR_TRY(mr_plan_collect_columns(builder, err));
    bool any = false;
    for (int i = 0; i < builder->plan->nnodes; i++) {
        struct mr_plan_node *node = &builder->nodes[i];
        if (node->kind != MR_PLAN_SOURCE || !builder->drafts[i].live || node->schema == NULL ||
            node->source->offer == NULL)
            continue;
        struct mr_error step_error = {0};
        enum mr_status status = offer_to(builder, node, &step_error);
        if (status == MR_NOMEM)
            return mr_error_nomem(err);
        if (status != MR_OK)
            mr_plan_fail(builder, node->step, &step_error);
        any = true;
    }
    return any && builder->nerrors == 0 ? mr_plan_bind_ops(builder, err) : MR_OK;
}
