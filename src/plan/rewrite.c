/*
 * rewrite.c - what is moved into sources: filters, then column lists and limits.
 *
 * First filters behind joins and aggregates come in front of them where that is the same. Then in
 * two rounds, because which columns are needed depends on which filters stay: first every live
 * source is offered its predicates, filters become smaller or empty, operators are bound again;
 * then it is offered the same predicates with the columns still needed and the limit, and operators
 * are bound to the narrowed schemas. sparkConf's adaptive switch turns all this off.
 */
#include "plan/build.h"

static bool can_offer(const struct mr_plan_builder *builder, const struct mr_plan_node *node)
{
    return node->kind == MR_PLAN_SOURCE && builder->drafts[node->id].live && node->schema != NULL &&
           node->source->offer != NULL;
}

static enum mr_status make_request(struct mr_plan_builder *builder, struct mr_plan_offer *offer,
                                   struct mr_error *err)
{
    size_t room = (size_t)offer->nconjuncts + 1;
    const struct mr_predicate **predicates =
        mr_arena_calloc(builder->arena, room, sizeof(struct mr_predicate *));
    enum mr_pushed *pushed = mr_arena_calloc(builder->arena, room, sizeof *pushed);
    if (predicates == NULL || pushed == NULL)
        return mr_error_nomem(err);
    offer->request =
        (struct mr_source_offer){.predicates = predicates, .pushed = pushed, .limit = -1};
    for (int i = 0; i < offer->nconjuncts; i++)
        if (offer->conjuncts[i].predicate != NULL)
            predicates[offer->request.npredicates++] = offer->conjuncts[i].predicate;
    return MR_OK;
}

static enum mr_status ask(struct mr_plan_node *node, struct mr_plan_offer *offer,
                          struct mr_error *err)
{
    MR_TRY(node->source->offer(node->source_state, &offer->request, &node->source_info, err));
    for (int i = 0, k = 0; i < offer->nconjuncts; i++)
        if (offer->conjuncts[i].predicate != NULL)
            offer->conjuncts[i].pushed = offer->request.pushed[k++];
    node->schema = node->source_info.schema;
    node->rows = node->source_info.rows;
    node->bytes = node->source_info.bytes;
    if (node->bytes < 0 && node->rows >= 0)
        node->bytes = node->rows * mr_plan_row_width(node->schema);
    return MR_OK;
}

static enum mr_status offer_filters(struct mr_plan_builder *builder, struct mr_plan_node *node,
                                    struct mr_plan_offer *offer, struct mr_error *err)
{
    MR_TRY(mr_plan_collect_filters(builder, offer, err));
    MR_TRY(make_request(builder, offer, err));
    if (offer->request.npredicates == 0)
        return MR_OK;
    MR_TRY(ask(node, offer, err));
    return mr_plan_drop_pushed(builder, offer, err);
}

static enum mr_status offer_columns(struct mr_plan_builder *builder, struct mr_plan_node *node,
                                    struct mr_plan_offer *offer, struct mr_error *err)
{
    offer->request.columns = builder->drafts[node->id].need;
    offer->request.limit = mr_plan_collect_limit(builder, node->id);
    return ask(node, offer, err);
}

/* One round over the sources. */
static enum mr_status
each_source(struct mr_plan_builder *builder, struct mr_plan_offer *offers,
            enum mr_status (*round)(struct mr_plan_builder *, struct mr_plan_node *,
                                    struct mr_plan_offer *, struct mr_error *),
            struct mr_error *err)
{
    for (int i = 0; i < builder->plan->nnodes; i++) {
        struct mr_plan_node *node = &builder->nodes[i];
        if (!can_offer(builder, node))
            continue;
        struct mr_error step_error = {0};
        offers[i].source = i;
        enum mr_status status = round(builder, node, &offers[i], &step_error);
        if (status == MR_NOMEM)
            return mr_error_nomem(err);
        if (status != MR_OK)
            mr_plan_fail(builder, node->step, &step_error);
    }
    MR_TRY(mr_plan_failed(builder, err));
    MR_TRY(mr_plan_bind_ops(builder, err));
    MR_TRY(mr_plan_failed(builder, err));
    return mr_plan_mark_live(builder, err);
}

enum mr_status mr_plan_rewrite(struct mr_plan_builder *builder, struct mr_error *err)
{
    if (!builder->spec->rewrites)
        return MR_OK;
    MR_TRY(mr_plan_move_filters(builder, err));
    struct mr_plan_offer *offers =
        mr_arena_calloc(builder->arena, (size_t)builder->plan->nnodes + 1, sizeof *offers);
    if (offers == NULL)
        return mr_error_nomem(err);
    MR_TRY(each_source(builder, offers, offer_filters, err));
    MR_TRY(mr_plan_collect_columns(builder, err));
    MR_TRY(mr_plan_limit_sorts(builder, err));
    return each_source(builder, offers, offer_columns, err);
}
