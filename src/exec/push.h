/*
 * push.h - the nodes of a segment as one thread sees them: who gets a batch next.
 * Private to exec/.
 *
 * A graph belongs to one thread and one task (or one split, in a reader). Everything is a plain
 * call: a batch that enters runs through all its consumers before the call returns.
 */
#ifndef MR_EXEC_PUSH_H
#define MR_EXEC_PUSH_H

#include "exec/engine.h"

enum mr_push_side {
    MR_PUSH_WHOLE,  /* sources, operators, sinks: FUSED */
    MR_PUSH_READER, /* one source and the row-wise operators before the queues */
    MR_PUSH_TASK,   /* what is behind the queues */
};

enum mr_push_role { MR_PUSH_SOURCE, MR_PUSH_OP, MR_PUSH_BUILD, MR_PUSH_SINK, MR_PUSH_QUEUE };

struct mr_push_edge {
    int port; /* of the producer */
    struct mr_push_node *to;
    int to_port;
};

/* An input port of a node. */
struct mr_push_input {
    bool live; /* something in this graph leads to it */
    bool ended;
};

struct mr_push_node {
    struct mr_emit emit; /* first: what the operator is given */
    struct mr_push_graph *graph;
    const struct mr_plan_node *plan;
    enum mr_push_role role;
    void *state;               /* OP, BUILD: the operator's task */
    bool counted;              /* not mr_plan_segment.uncounted */
    struct mr_runtime runtime; /* with the waiter of this thread */
    /* BUILD: what the state was opened with, on the heap: it is kept as long as the state is */
    struct mr_runtime *kept;
    int nedges;
    struct mr_push_edge *edges;
    int ninputs;
    struct mr_push_input *inputs;
};

/* What a graph does not know how to do itself. */
struct mr_push_hooks {
    void *context;
    /* Takes over the batch (no selection). Sets *closed when nobody wants more. */
    enum mr_status (*queue)(void *context, int node, int port, struct mr_batch *batch, bool *closed,
                            struct mr_error *err);
    /* Borrows the batch (no selection). */
    enum mr_status (*write)(void *context, struct mr_push_node *sink, struct mr_batch *batch,
                            struct mr_error *err);
    /* Borrows; NULL = no tap. */
    enum mr_status (*tap)(void *context, struct mr_batch *batch, bool *closed,
                          struct mr_error *err);
    int tap_node;
    struct mr_tally *tallies; /* by node of the plan, or NULL */
    /* The state of a build side or breaker that is complete. */
    const void *(*built)(void *context, int node);
};

struct mr_push_graph {
    const struct mr_plan *plan;
    const struct mr_plan_segment *segment;
    const struct mr_push_hooks *hooks;
    struct mr_task_waiter *waiter;
    struct mr_clock *clock;
    int nnodes;
    struct mr_push_node *nodes;   /* topological */
    struct mr_push_node **by_id;  /* by number in the plan; NULL = not in this graph */
    struct mr_state_pool pool;    /* of the states that are filled */
    const char *origin;           /* of the rows at hand */
    struct mr_push_edge *edges;   /* of all nodes, one behind the other */
    struct mr_push_input *inputs; /* likewise; last, because they need the least alignment */
    void *storage;
};

/* `source`: READER's root. Opens the operators and attaches them to their build sides. */
enum mr_status mr_push_open(struct mr_push_graph *graph, const struct mr_plan *plan,
                            const struct mr_plan_segment *segment, enum mr_push_side side,
                            int source, const struct mr_push_hooks *hooks,
                            struct mr_task_waiter *waiter, struct mr_clock *clock,
                            struct mr_error *err);
/* Closes the operators (build states that were taken out before stay). */
void mr_push_close(struct mr_push_graph *graph);

/* Where the rows come from that go in next (mr_runtime.origin); NULL = not known. Borrowed until the next call. */
void mr_push_origin(struct mr_push_graph *graph, const char *origin);
/* What comes out of a port of a source. The batch is taken over. */
enum mr_status mr_push_batch(struct mr_push_graph *graph, int source, int port,
                             struct mr_batch *batch, struct mr_error *err);
/* Nobody reads this source any more. */
bool mr_push_closed(const struct mr_push_graph *graph, int source);
/* No more items from any source (WHOLE, READER), or from the queues (TASK). */
enum mr_status mr_push_finish(struct mr_push_graph *graph, struct mr_error *err);
/* What comes out of a queue; the batch is taken over. */
enum mr_status mr_push_into(struct mr_push_graph *graph, int node, int port, struct mr_batch *batch,
                            struct mr_error *err);
/* All nodes that queues lead to are closed. */
bool mr_push_task_closed(const struct mr_push_graph *graph);

/*
 * Puts the step in front of `where`, unless a node further to the right has done so. Returns the
 * status.
 */
enum mr_status mr_push_blame(const struct mr_plan *plan, const struct mr_plan_node *node,
                             enum mr_status status, struct mr_error *err);

#endif
