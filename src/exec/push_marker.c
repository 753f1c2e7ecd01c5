/*
 * push_marker.c - ends, watermarks, idleness and barriers on their way through the graph.
 *
 * A node with several inputs forwards the smallest watermark of those that are neither ended nor
 * idle; a barrier only once every open input has delivered it. What comes on an input behind its
 * barrier is held meanwhile and replayed afterwards, in the order of the inputs, so that a state
 * saved at the barrier holds exactly the rows before it. Batch runs send ends only.
 */
#include "exec/push.h"

static bool is_open(const struct mr_push_input *input)
{
    return input->live && !input->ended;
}

static enum mr_status forward(struct mr_push_node *node, const struct mr_item *item,
                              struct mr_error *err)
{
    for (int i = 0; i < node->nedges; i++)
        MR_TRY(mr_push_mark_input(node->edges[i].to, node->edges[i].to_port, item, err));
    return MR_OK;
}

enum mr_status mr_push_hold(struct mr_push_node *node, int port, struct mr_batch *batch,
                            struct mr_error *err)
{
    struct mr_push_input *input = &node->inputs[port];
    struct mr_batch **grown =
        mr_realloc(input->held, ((size_t)input->nheld + 1) * sizeof(struct mr_batch *));
    if (grown == NULL)
        return mr_error_nomem(err);
    input->held = grown;
    input->held[input->nheld++] = mr_batch_ref(batch);
    return MR_OK;
}

static enum mr_status replay(struct mr_push_node *node, struct mr_error *err)
{
    for (int k = 0; k < node->ninputs; k++) {
        struct mr_push_input *input = &node->inputs[k];
        struct mr_batch **held = input->held;
        int count = input->nheld;
        input->held = NULL;
        input->nheld = 0;
        enum mr_status status = MR_OK;
        for (int i = 0; i < count; i++) {
            if (status == MR_OK)
                status = mr_push_deliver(node, k, held[i], err);
            mr_batch_unref(held[i]);
        }
        mr_free(held);
        MR_TRY(status);
    }
    return MR_OK;
}

/* All open inputs have delivered the barrier: it passes. */
static enum mr_status align(struct mr_push_node *node, struct mr_error *err)
{
    int64_t epoch = INT64_MIN;
    bool pending = false;
    for (int k = 0; k < node->ninputs; k++) {
        struct mr_push_input *input = &node->inputs[k];
        if (is_open(input) && !input->barrier)
            return MR_OK;
        if (input->barrier) {
            pending = true;
            epoch = input->epoch > epoch ? input->epoch : epoch;
        }
    }
    if (!pending)
        return MR_OK;
    for (int k = 0; k < node->ninputs; k++)
        node->inputs[k].barrier = false;
    const struct mr_push_hooks *hooks = node->graph->hooks;
    if (node->role == MR_PUSH_SINK && hooks->barrier != NULL)
        MR_TRY(hooks->barrier(hooks->context, node, epoch, err));
    struct mr_item item = {.kind = MR_ITEM_BARRIER, .epoch = epoch};
    MR_TRY(forward(node, &item, err));
    return replay(node, err);
}

enum mr_status mr_push_send_watermark(struct mr_push_node *node, int64_t watermark,
                                      struct mr_error *err)
{
    if (watermark <= node->watermark)
        return MR_OK;
    node->watermark = watermark;
    struct mr_item item = {.kind = MR_ITEM_WATERMARK, .watermark = watermark};
    return forward(node, &item, err);
}

/* An operator with a callback of its own sends watermarks itself; the others let them pass. */
static enum mr_status advance(struct mr_push_node *node, int port, struct mr_error *err)
{
    int64_t least = INT64_MAX;
    bool any = false, idle = true;
    for (int k = 0; k < node->ninputs; k++) {
        const struct mr_push_input *input = &node->inputs[k];
        if (!is_open(input))
            continue;
        idle = idle && input->idle;
        if (input->idle)
            continue;
        any = true;
        least = input->watermark < least ? input->watermark : least;
    }
    bool own = node->role == MR_PUSH_OP && node->plan->op->watermark != NULL;
    if (own && !node->inputs[port].idle && !node->inputs[port].ended &&
        node->inputs[port].watermark > INT64_MIN) {
        int before = mr_clock_move(node->graph->clock, node->plan->id);
        enum mr_status status =
            node->plan->op->watermark(node->state, port, node->inputs[port].watermark, &node->emit,
                                      err);
        mr_clock_move(node->graph->clock, before);
        MR_TRY(mr_push_blame(node->graph->plan, node->plan, status, err));
    }
    if (!own && any && least > INT64_MIN)
        MR_TRY(mr_push_send_watermark(node, least, err));
    if (!any && idle) {
        struct mr_item item = {.kind = MR_ITEM_IDLE};
        return forward(node, &item, err);
    }
    return MR_OK;
}

enum mr_status mr_push_mark_input(struct mr_push_node *node, int port, const struct mr_item *item,
                                  struct mr_error *err)
{
    struct mr_push_input *input = &node->inputs[port];
    if (node->role == MR_PUSH_QUEUE || input->ended)
        return MR_OK;
    switch (item->kind) {
    case MR_ITEM_BARRIER:
        input->barrier = true;
        input->epoch = item->epoch;
        return align(node, err);
    case MR_ITEM_WATERMARK:
        input->idle = false;
        if (item->watermark > input->watermark)
            input->watermark = item->watermark;
        return advance(node, port, err);
    case MR_ITEM_IDLE:
        input->idle = true;
        return advance(node, port, err);
    default:
        return MR_OK;
    }
}

static enum mr_status end_node(struct mr_push_node *node, struct mr_error *err)
{
    node->ended = true;
    for (int i = 0; i < node->nedges; i++)
        MR_TRY(mr_push_end_input(node->edges[i].to, node->edges[i].to_port, err));
    return MR_OK;
}

enum mr_status mr_push_end_input(struct mr_push_node *node, int port, struct mr_error *err)
{
    struct mr_push_input *input = &node->inputs[port];
    if (node->role == MR_PUSH_QUEUE || !is_open(input))
        return MR_OK;
    MR_TRY(align(node, err));
    input->ended = true;
    MR_TRY(align(node, err)); /* the others may have waited for this one */
    if ((node->role == MR_PUSH_OP || node->role == MR_PUSH_BUILD) &&
        node->plan->op->finish != NULL) {
        int before = mr_clock_move(node->graph->clock, node->plan->id);
        enum mr_status status = node->plan->op->finish(node->state, port, &node->emit, err);
        mr_clock_move(node->graph->clock, before);
        MR_TRY(mr_push_blame(node->graph->plan, node->plan, status, err));
    }
    bool open = false;
    for (int k = 0; k < node->ninputs; k++)
        open |= is_open(&node->inputs[k]);
    if (open)
        return advance(node, port, err);
    return end_node(node, err);
}
