/*
 * push.c - a batch runs through the graph of one thread.
 *
 * A node with several consumers hands the same batch to each in turn, so that consumers of one
 * frame cannot drift apart and no queue between them can fill up while another one starves: this is
 * why a diamond cannot deadlock. Selections are applied at most once per emission, in front of the
 * first consumer that does not take them.
 *
 * `closed` runs from right to left: an operator that will emit nothing more closes itself, a
 * producer all of whose consumers are closed is closed. A validation is never closed by what is
 * behind it: it must see every row.
 */
#include "exec/push.h"

#include <stdio.h>
#include <string.h>

enum mr_status mr_push_blame(const struct mr_plan *plan, const struct mr_plan_node *node,
                             enum mr_status status, struct mr_error *err)
{
    if (status == MR_OK || err == NULL)
        return status;
    for (int i = 0; i < plan->nnodes; i++)
        if (strstr(err->where, plan->nodes[i].label) != NULL)
            return status;
    char where[sizeof err->where];
    snprintf(where, sizeof where, "%s", err->where);
    if (where[0] == '\0')
        mr_error_where(err, "%s", node->label);
    else
        mr_error_where(err, "%s, %s", node->label, where);
    if ((status == MR_LIMIT || status == MR_NOMEM) && err->hint[0] == '\0')
        mr_error_hint(err, "raise resources.memory, or lower resources.parallelism, "
                           "resources.batchRows or the number of connections");
    return status;
}

/* Does this input take part, given what the node is for in this segment? */
static bool port_counts(const struct mr_plan_segment *segment, const struct mr_plan_node *node,
                        int port)
{
    if (mr_plan_is_breaker(node))
        return true;
    bool side_port = node->kind == MR_PLAN_OP && (node->op->flags & MR_OP_BUILD_SIDE) && port == 1;
    return mr_plan_fills(segment, node->id) == side_port;
}

static bool has_tap(const struct mr_push_node *node)
{
    const struct mr_push_hooks *hooks = node->graph->hooks;
    return hooks->tap != NULL && hooks->tap_node == node->plan->id;
}

/* Borrows the batch, which has no selection. */
static enum mr_status tap(struct mr_push_node *node, struct mr_batch *batch, struct mr_error *err)
{
    const struct mr_push_hooks *hooks = node->graph->hooks;
    bool enough = false;
    enum mr_status status = hooks->tap(hooks->context, batch, &enough, err);
    if (enough)
        node->emit.closed = true;
    return status;
}

static enum mr_status consume(struct mr_push_node *node, int port, struct mr_batch *batch,
                              struct mr_error *err)
{
    const struct mr_push_hooks *hooks = node->graph->hooks;
    if (node->role != MR_PUSH_SINK)
        return node->plan->op->push(node->state, port, batch, &node->emit, err);
    if (has_tap(node))
        MR_TRY(tap(node, batch, err));
    return hooks->write(hooks->context, node, batch, err);
}

/* Gives a batch to one input of one node; borrows it. */
static enum mr_status deliver(struct mr_push_node *node, int port, struct mr_batch *batch,
                              struct mr_error *err)
{
    struct mr_push_graph *graph = node->graph;
    if (node->emit.closed)
        return MR_OK;
    if (node->role == MR_PUSH_QUEUE)
        return graph->hooks->queue(graph->hooks->context, node->plan->id, port, mr_batch_ref(batch),
                                   &node->emit.closed, err);
    struct mr_exec_step *step = &graph->clock->steps[node->plan->id];
    if (node->counted) {
        step->rows_in += mr_batch_active(batch);
        step->batches++;
    }
    int before = mr_clock_move(graph->clock, node->plan->id);
    enum mr_status status = consume(node, port, batch, err);
    mr_clock_move(graph->clock, before);
    return mr_push_blame(node->graph->plan, node->plan, status, err);
}

static bool takes_selection(const struct mr_push_node *node)
{
    return (node->role == MR_PUSH_OP || node->role == MR_PUSH_BUILD) &&
           (node->plan->op->flags & MR_OP_TAKES_SELECTION);
}

static enum mr_status compact(struct mr_push_node *node, struct mr_batch *batch,
                              struct mr_batch **out, struct mr_error *err)
{
    int before = mr_clock_move(node->graph->clock, node->plan->id);
    enum mr_status status = mr_batch_compact(node->runtime.memory, batch, out, err);
    mr_clock_move(node->graph->clock, before);
    return mr_push_blame(node->graph->plan, node->plan, status, err);
}

static void close_if_unwanted(struct mr_push_node *node)
{
    if (node->nedges == 0 || has_tap(node) ||
        (node->role == MR_PUSH_OP && (node->plan->op->flags & MR_OP_VALIDATION)))
        return;
    for (int i = 0; i < node->nedges; i++)
        if (!node->edges[i].to->emit.closed)
            return;
    node->emit.closed = true;
}

/* To every consumer of the port; borrows the batch. */
static enum mr_status fan_out(struct mr_push_node *node, int port, struct mr_batch *batch,
                              struct mr_error *err)
{
    struct mr_batch *dense = NULL;
    enum mr_status status = MR_OK;
    bool tapped = port == 0 && has_tap(node);
    for (int i = tapped ? -1 : 0; i < node->nedges && status == MR_OK; i++) {
        struct mr_push_edge *edge = i >= 0 ? &node->edges[i] : NULL;
        if (edge != NULL && (edge->port != port || edge->to->emit.closed))
            continue;
        bool as_is = batch->selection == NULL || (edge != NULL && takes_selection(edge->to));
        if (!as_is && dense == NULL)
            status = compact(node, batch, &dense, err);
        if (status != MR_OK)
            break;
        struct mr_batch *use = as_is ? batch : dense;
        status = edge == NULL ? tap(node, use, err) : deliver(edge->to, edge->to_port, use, err);
    }
    mr_batch_unref(dense);
    close_if_unwanted(node);
    return status;
}

static enum mr_status emit_batch(struct mr_emit *emit, int port, struct mr_batch *batch,
                                 struct mr_error *err)
{
    struct mr_push_node *node = (struct mr_push_node *)emit;
    int64_t rows = mr_batch_active(batch);
    enum mr_status status = MR_OK;
    if (node->role == MR_PUSH_BUILD) {
        status = mr_error_internal(err, "rows come out before all are in");
    } else if (rows > 0) {
        if (port == 0 && node->counted)
            node->graph->clock->steps[node->plan->id].rows_out += rows;
        status = fan_out(node, port, batch, err);
    }
    mr_batch_unref(batch);
    return status;
}

void mr_push_origin(struct mr_push_graph *graph, const char *origin)
{
    const char *name = origin != NULL ? origin : "";
    if (graph->origin == name)
        return;
    graph->origin = name;
    for (int i = 0; i < graph->nnodes; i++) {
        graph->nodes[i].runtime.origin = name;
        if (graph->nodes[i].kept != NULL)
            graph->nodes[i].kept->origin = name;
    }
}

enum mr_status mr_push_batch(struct mr_push_graph *graph, int source, int port,
                             struct mr_batch *batch, struct mr_error *err)
{
    struct mr_push_node *node = graph->by_id[source];
    graph->clock->steps[source].batches++;
    return emit_batch(&node->emit, port, batch, err);
}

bool mr_push_closed(const struct mr_push_graph *graph, int source)
{
    return graph->by_id[source]->emit.closed;
}

enum mr_status mr_push_into(struct mr_push_graph *graph, int node, int port, struct mr_batch *batch,
                            struct mr_error *err)
{
    enum mr_status status = deliver(graph->by_id[node], port, batch, err);
    mr_batch_unref(batch);
    return status;
}

/* Is this an input that queues fill? */
static bool is_entry(const struct mr_push_graph *graph, const struct mr_push_node *node, int port)
{
    return node->inputs[port].live && graph->by_id[node->plan->inputs[port].node] == NULL;
}

bool mr_push_task_closed(const struct mr_push_graph *graph)
{
    for (int i = 0; i < graph->nnodes; i++)
        for (int k = 0; k < graph->nodes[i].ninputs; k++)
            if (is_entry(graph, &graph->nodes[i], k) && !graph->nodes[i].emit.closed)
                return false;
    return true;
}

/* The input has ended; with its last one the node has. */
static enum mr_status end_input(struct mr_push_node *node, int port, struct mr_error *err)
{
    struct mr_push_input *input = &node->inputs[port];
    if (node->role == MR_PUSH_QUEUE || !input->live || input->ended)
        return MR_OK;
    input->ended = true;
    if ((node->role == MR_PUSH_OP || node->role == MR_PUSH_BUILD) &&
        node->plan->op->finish != NULL) {
        int before = mr_clock_move(node->graph->clock, node->plan->id);
        enum mr_status status = node->plan->op->finish(node->state, port, &node->emit, err);
        mr_clock_move(node->graph->clock, before);
        MR_TRY(mr_push_blame(node->graph->plan, node->plan, status, err));
    }
    for (int k = 0; k < node->ninputs; k++)
        if (node->inputs[k].live && !node->inputs[k].ended)
            return MR_OK;
    for (int i = 0; i < node->nedges; i++)
        MR_TRY(end_input(node->edges[i].to, node->edges[i].to_port, err));
    return MR_OK;
}

enum mr_status mr_push_finish(struct mr_push_graph *graph, struct mr_error *err)
{
    for (int i = 0; i < graph->nnodes; i++) {
        struct mr_push_node *node = &graph->nodes[i];
        if (node->role == MR_PUSH_SOURCE)
            for (int k = 0; k < node->nedges; k++)
                MR_TRY(end_input(node->edges[k].to, node->edges[k].to_port, err));
        for (int k = 0; k < node->ninputs; k++)
            if (node->role != MR_PUSH_QUEUE && is_entry(graph, node, k))
                MR_TRY(end_input(node, k, err));
    }
    return MR_OK;
}

static enum mr_push_role role_of(const struct mr_plan_segment *segment, enum mr_push_side side,
                                 int index)
{
    int id = segment->nodes[index];
    if (side == MR_PUSH_READER && segment->in_task[index])
        return MR_PUSH_QUEUE;
    return mr_plan_fills(segment, id) ? MR_PUSH_BUILD : MR_PUSH_OP;
}

static struct mr_push_node *add_node(struct mr_push_graph *graph, int id, enum mr_push_role role,
                                     bool counted)
{
    struct mr_push_node *node = &graph->nodes[graph->nnodes++];
    node->emit.batch = emit_batch;
    node->graph = graph;
    node->plan = &graph->plan->nodes[id];
    node->role = node->plan->kind == MR_PLAN_SINK && role != MR_PUSH_QUEUE ? MR_PUSH_SINK : role;
    node->ninputs = role == MR_PUSH_SOURCE ? 0 : node->plan->ninputs;
    node->runtime = *node->plan->runtime;
    node->runtime.waiter = &graph->waiter->base;
    node->runtime.origin = "";
    node->counted = counted;
    if (!counted)
        node->runtime.counters = NULL;
    else if (graph->hooks->tallies != NULL)
        node->runtime.tally = &graph->hooks->tallies[id];
    graph->by_id[id] = node;
    return node;
}

/*
 * Does anything in the graph lead to this node (READER), or is it simply behind the queues (TASK)?
 */
static bool wanted(const struct mr_push_graph *graph, const struct mr_plan_segment *segment,
                   enum mr_push_side side, int index)
{
    const struct mr_plan_node *node = &graph->plan->nodes[segment->nodes[index]];
    if (side == MR_PUSH_WHOLE)
        return true;
    if (side == MR_PUSH_TASK)
        return segment->in_task[index];
    for (int k = 0; k < node->ninputs; k++) {
        const struct mr_push_node *from = graph->by_id[node->inputs[k].node];
        if (from != NULL && from->role != MR_PUSH_QUEUE && port_counts(segment, node, k))
            return true;
    }
    return false;
}

/* Which inputs of the node something in this graph, or a queue, leads to. */
static void connect_inputs(struct mr_push_graph *graph, struct mr_push_node *node,
                           enum mr_push_side side)
{
    for (int k = 0; k < node->ninputs; k++) {
        const struct mr_push_node *from = graph->by_id[node->plan->inputs[k].node];
        bool here = from != NULL && from->role != MR_PUSH_QUEUE;
        node->inputs[k].live =
            port_counts(graph->segment, node->plan, k) && (here || side == MR_PUSH_TASK);
    }
}

/* Edges of a producer, in the order of its consumers. */
static void connect_outputs(struct mr_push_graph *graph, struct mr_push_node *from,
                            struct mr_push_edge **edges)
{
    from->edges = *edges;
    for (int i = 0; from->role != MR_PUSH_QUEUE && i < graph->nnodes; i++) {
        struct mr_push_node *to = &graph->nodes[i];
        for (int k = 0; k < to->ninputs; k++)
            if (to->plan->inputs[k].node == from->plan->id && to->inputs[k].live)
                *(*edges)++ = (struct mr_push_edge){to->plan->inputs[k].port, to, k};
    }
    from->nedges = (int)(*edges - from->edges);
}

/* The runtime for a task's state, which outlives the graph if the state is to be kept. */
static struct mr_runtime *runtime_of_state(struct mr_push_node *node)
{
    if (node->role != MR_PUSH_BUILD)
        return &node->runtime;
    node->kept = mr_alloc(sizeof *node->kept);
    if (node->kept != NULL) {
        *node->kept = node->runtime;
        node->kept->pool = &node->graph->pool;
    }
    return node->kept;
}

static enum mr_status open_node(struct mr_push_node *node, struct mr_error *err)
{
    const struct mr_plan_segment *segment = node->graph->segment;
    const struct mr_push_hooks *hooks = node->graph->hooks;
    const struct mr_op *op = node->plan->op;
    struct mr_runtime *runtime = runtime_of_state(node);
    if (runtime == NULL)
        return mr_error_nomem(err);
    enum mr_status status = op->open(node->plan->op_plan, runtime, &node->state, err);
    if (status != MR_OK)
        node->state = NULL;
    if (status == MR_OK && node->role == MR_PUSH_OP && mr_plan_needs(segment, node->plan->id))
        status = op->attach(node->state, hooks->built(hooks->context, node->plan->id), err);
    return status;
}

static void fill_pool(struct mr_push_graph *graph)
{
    for (int i = 0; i < graph->nnodes; i++)
        if (graph->nodes[i].role == MR_PUSH_BUILD &&
            graph->nodes[i].runtime.share < INT64_MAX / 4 - graph->pool.limit)
            graph->pool.limit += graph->nodes[i].runtime.share;
}

static enum mr_status open_nodes(struct mr_push_graph *graph, struct mr_error *err)
{
    fill_pool(graph);
    for (int i = 0; i < graph->nnodes; i++) {
        struct mr_push_node *node = &graph->nodes[i];
        if (node->role != MR_PUSH_OP && node->role != MR_PUSH_BUILD)
            continue;
        int before = mr_clock_move(graph->clock, node->plan->id);
        enum mr_status status = open_node(node, err);
        mr_clock_move(graph->clock, before);
        MR_TRY(mr_push_blame(node->graph->plan, node->plan, status, err));
    }
    return MR_OK;
}

static enum mr_status allocate(struct mr_push_graph *graph, struct mr_error *err)
{
    size_t nnodes = (size_t)(graph->segment->nnodes + graph->segment->nsources);
    size_t ninputs = 0;
    for (int i = 0; i < graph->segment->nnodes; i++)
        ninputs += (size_t)graph->plan->nodes[graph->segment->nodes[i]].ninputs;
    size_t bytes = nnodes * sizeof(struct mr_push_node) +
                   ninputs * (sizeof(struct mr_push_input) + sizeof(struct mr_push_edge)) +
                   (size_t)graph->plan->nnodes * sizeof(struct mr_push_node *);
    graph->storage = mr_calloc(1, bytes + 64);
    if (graph->storage == NULL)
        return mr_error_nomem(err);
    graph->nodes = graph->storage;
    graph->by_id = (struct mr_push_node **)(void *)(graph->nodes + nnodes);
    graph->edges = (struct mr_push_edge *)(void *)(graph->by_id + graph->plan->nnodes);
    graph->inputs = (struct mr_push_input *)(void *)(graph->edges + ninputs);
    return MR_OK;
}

static void add_source(struct mr_push_graph *graph, int at)
{
    const struct mr_plan_segment *segment = graph->segment;
    struct mr_push_node *node = add_node(graph, segment->sources[at], MR_PUSH_SOURCE, true);
    node->runtime.again = segment->again != NULL && segment->again[at];
    node->counted = !node->runtime.again;
}

static void lay_out(struct mr_push_graph *graph, enum mr_push_side side, int source)
{
    const struct mr_plan_segment *segment = graph->segment;
    struct mr_push_input *inputs = graph->inputs;
    struct mr_push_edge *edges = graph->edges;
    for (int i = 0; side != MR_PUSH_TASK && i < segment->nsources; i++)
        if (side == MR_PUSH_WHOLE || segment->sources[i] == source)
            add_source(graph, i);
    for (int i = 0; i < segment->nnodes; i++) {
        if (!wanted(graph, segment, side, i))
            continue;
        struct mr_push_node *node = add_node(graph, segment->nodes[i], role_of(segment, side, i),
                                             segment->uncounted == NULL || !segment->uncounted[i]);
        node->inputs = inputs;
        inputs += node->ninputs;
        connect_inputs(graph, node, side);
    }
    for (int i = 0; i < graph->nnodes; i++)
        connect_outputs(graph, &graph->nodes[i], &edges);
}

enum mr_status mr_push_open(struct mr_push_graph *graph, const struct mr_plan *plan,
                            const struct mr_plan_segment *segment, enum mr_push_side side,
                            int source, const struct mr_push_hooks *hooks,
                            struct mr_task_waiter *waiter, struct mr_clock *clock,
                            struct mr_error *err)
{
    *graph = (struct mr_push_graph){
        .plan = plan, .segment = segment, .hooks = hooks, .waiter = waiter, .clock = clock};
    MR_TRY(allocate(graph, err));
    lay_out(graph, side, source);
    return open_nodes(graph, err);
}

void mr_push_close(struct mr_push_graph *graph)
{
    for (int i = 0; i < graph->nnodes; i++) {
        struct mr_push_node *node = &graph->nodes[i];
        if (node->state != NULL)
            node->plan->op->close(node->state);
        mr_free(node->kept);
    }
    mr_free(graph->storage);
    *graph = (struct mr_push_graph){0};
}
