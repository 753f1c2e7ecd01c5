/*
 * plan.h - what a run will do, decided before anything is written, and printable.
 *
 * spec -> nodes (one per step, perhaps fused or moved by rewrites) -> segments (what one task
 * runs). Nothing happens in a run that the plan did not show. A plan is immutable once built;
 * everything in it lives in its arena; it owns the bound states of sources and sinks until
 * mr_plan_free.
 */
#ifndef MR_PLAN_PLAN_H
#define MR_PLAN_PLAN_H

#include "config/spec.h"
#include "ext/action.h"
#include "ext/format.h"
#include "ext/op.h"
#include "ext/sink.h"
#include "ext/source.h"
#include "sql/expr.h"

enum mr_plan_node_kind { MR_PLAN_SOURCE, MR_PLAN_OP, MR_PLAN_SINK };

struct mr_plan_measures {
    int count;
    const int *nodes;
};

/* Where rows come from: an output port of an earlier node. */
struct mr_plan_edge {
    int node;
    int port; /* 0 result, 1 side output */
};

struct mr_plan_node {
    int id; /* index in plan->nodes, topological */
    enum mr_plan_node_kind kind;
    const struct mr_step_spec *step; /* the step that asked for it */
    /* "step 3 (validateRanges)"; of a side output "step 3 (validateRanges) quarantine" or "... deadLetter" */
    const char *label;
    bool is_part;  /* of several operators that the step stands for: "step 3 (sql): filterRows" */
    bool is_inner; /* and its rows go only to other parts */
    int ninputs;
    const struct mr_plan_edge *inputs;
    /* of port 0; of the rows written for a sink; NULL offline when unknown */
    const struct mr_schema *schema;
    int64_t rows; /* estimate, -1 = unknown */
    int64_t bytes;
    struct mr_runtime *runtime; /* of the step: account and counters */
    /* SOURCE */
    const struct mr_source *source;
    void *source_state;
    const char *since_text; /* where incremental reading of the step ended, or NULL */
    struct mr_source_info source_info;
    int npushed; /* predicates that went into the source, as text for explain */
    const char *const *pushed;
    /* stands for a checkpoint step whose rows an earlier run has made durable; or NULL */
    const struct mr_plan_restorable *restored;
    struct mr_split_list splits; /* of a breaker too: one for each partition that is pulled */
    /* OP */
    const struct mr_op *op;
    void *op_plan;
    struct mr_op_info op_info;
    /* a rewrite left it nothing to do (its filter went into the source): in no segment */
    bool absorbed;
    const char *moved_to; /* a rewrite has put its condition in front of that node: its label */
    const char *note;     /* for the plan: what was read in order to bind it; or NULL */
    /*
     * In a stream, by input: the nodes that measure its frame (their clocks; the smallest holds), or, of one that measures,
     * the sources whose partitions its rows come from. NULL = not a stream.
     */
    const struct mr_plan_measures *measures;
    /* breakers and build sides: bytes that one task may hold of it; 0 = has no state */
    int64_t share;
    /* SINK */
    const struct mr_sink *sink;
    void *sink_state;
    struct mr_sink_info sink_info;
    const struct mr_options *sink_options; /* of the step, or made for a side output */
    /* a side output that is written into the system of an extract, with its connection: that step; else NULL */
    const struct mr_step_spec *extract;
    int sink_sequence; /* number among the sinks, from 0; side outputs have sinks too */
};

/* How the splits of a segment reach its output tasks. */
enum mr_gather {
    /* each output task reads its own contiguous run of splits, everything on one thread */
    MR_GATHER_FUSED,
    /* readers fill queues; the output task takes a batch of each in turn: deterministic */
    MR_GATHER_ROTATE,
    /* readers fill queues; the output task drains them in split order (limitRows) */
    MR_GATHER_ORDERED,
};

struct mr_plan_split {
    int node;  /* the source or breaker */
    int split; /* index in its splits */
};

/* What a full build side can tell a source of the segment that needs it. */
struct mr_plan_narrowing {
    int node;       /* the operator */
    int source;     /* gives the rows of its port 0 */
    const int *map; /* column of the source by column of port 0, -1 = not carried unchanged */
};

/* All rows of the node go in before any comes out: the end of some segments, a source of others. */
static inline bool mr_plan_is_breaker(const struct mr_plan_node *node)
{
    return node->kind == MR_PLAN_OP && (node->op->flags & MR_OP_BREAKER);
}

/*
 * What is run together: sources and the nodes that they reach down to sinks, breakers and build
 * sides, a DAG run in lock-step on one thread (a node with several consumers pushes the same batch
 * to each; no queue, so no deadlock). A breaker is filled in one segment and a source of others. Sources that meet (union) share a segment, their splits one list. A
 * source is in a second segment, and read again under the same snapshot, only where one of its
 * consumers needs what another one builds, or where explicit numbers of output tasks differ.
 */
struct mr_plan_segment {
    int nsources;
    const int *sources; /* nodes: sources, and breakers whose rows are pulled */
    const bool *again;  /* nsources entries: another segment reads them, too, and counts them */
    int nsplits;
    const struct mr_plan_split *splits; /* of all sources, in the order of writing */
    int nnodes;
    const int *nodes; /* operators and sinks, topological */
    /* nnodes entries: runs in the output task, behind the queues; all true when FUSED */
    const bool *in_task;
    /*
     * nnodes entries: an operator that is in another segment, too, which counts what it sees, lets through and rejects. Each row counts
     * once, however often its source is read.
     */
    const bool *uncounted;
    int nbuilds;
    /* operators among `nodes` that end here: breakers, and build sides (port 1), are filled */
    const int *builds;
    int nneeds;
    /* operators whose build side, and breakers among `sources`, that others must fill before */
    const int *needs;
    int nnarrowings;
    const struct mr_plan_narrowing *narrowings;
    int first_task; /* number of its first output task in the run: names of files derive from it */
    int ntasks;     /* output tasks */
    /* ntasks + 1 entries: task t reads splits [task_splits[t], task_splits[t + 1]) */
    const int *task_splits;
    int readers; /* open at once over all tasks */
    enum mr_gather gather;
    int64_t queue_bytes; /* bound of the queue of one split */
    int64_t flow_bytes;  /* what readers, queues and writers hold, at most about */
};

/* A step that cannot be bound before something is known of its rows. */
struct mr_plan_question {
    const struct mr_step_spec *step; /* NULL = none is open */
    struct mr_op_question asked;
};
/* The answer, for the next build. */
struct mr_plan_answer {
    int step; /* index in the spec */
    struct mr_op_discovered found;
};

/* Does the segment fill the state of this operator? Does it read it? */
static inline bool mr_plan_lists(const int *list, int count, int node)
{
    for (int i = 0; i < count; i++)
        if (list[i] == node)
            return true;
    return false;
}
static inline bool mr_plan_fills(const struct mr_plan_segment *segment, int node)
{
    return mr_plan_lists(segment->builds, segment->nbuilds, node);
}
static inline bool mr_plan_needs(const struct mr_plan_segment *segment, int node)
{
    return mr_plan_lists(segment->needs, segment->nneeds, node);
}

/* A maintain step: done after all loads have committed. */
struct mr_plan_action {
    const struct mr_step_spec *step;
    const struct mr_action *action;
    struct mr_runtime *runtime;
    void *state;
    const char *text;   /* what it would do, lines; NULL offline */
    const char *report; /* JSON object of what it did; NULL before */
};

/* A source whose rows are in a frame, and the run that read them. */
struct mr_plan_cover {
    const char *step; /* mr_step_spec.key */
    const char *reading;
};
/* A frame that an earlier run has made durable, as the caller found it. */
struct mr_plan_restorable {
    const char *step; /* mr_step_spec.key of the checkpoint */
    const char *fingerprint;
    const char *run_id;
    int64_t rows;
    struct mr_slice frame; /* mr_durable.describe */
    int ncovers;
    const struct mr_plan_cover *covers;
    /*
     * Where incremental reading of those sources ended; their safe time (NULL = unknown), if one of
     * them has a clock.
     */
    int npositions;
    const struct mr_source_position *positions;
    bool has_clock;
    const char *safe_time;
};
/* A checkpoint step. */
struct mr_plan_stage {
    const struct mr_step_spec *step;
    const char *fingerprint; /* of everything in front of it */
    /* a frame fits: it is there, and read if something needs it (`used`); else NULL */
    const struct mr_plan_restorable *restored;
    bool used;
    const char *refused; /* why a frame that there was cannot be used; or NULL */
};

struct mr_plan_warning {
    const char *text;
    const char *where; /* "step 3 (toS3)" */
};

struct mr_plan {
    struct mr_arena *arena; /* borrowed */
    const struct mr_spec *spec;
    struct mr_sql_session session;
    int nnodes;
    struct mr_plan_node *nodes;
    int nsegments;
    struct mr_plan_segment *segments;
    int nsinks;
    const int *sinks; /* nodes, by sink_sequence */
    int nactions;
    struct mr_plan_action *actions; /* in the order of the steps */
    int ntasks;
    /*
     * node whose port 0 is the result: of until_step, else the primary frame at the end; -1 = none
     */
    int result;
    int nstages;
    struct mr_plan_stage *stages; /* in the order of the steps */
    int64_t predicted_memory;     /* bytes */
    /*
     * Memory is short: segments run one after the other, and what is free when one starts is shared
     * out among the states of that one (exec/budget.c). Else all at once, with the shares of nodes.
     */
    bool in_turn;
    int nwarnings;
    const struct mr_plan_warning *warnings;
    /* safe upper time bound of the snapshot for ${last_run_timestamp}, or NULL */
    const char *watermark;
    /* where incremental reading ends in this run; with splits only */
    int npositions;
    const struct mr_source_position *positions;
    /* of streams that begin here: where that is (mr_split_list.begin) */
    int nbegins;
    const struct mr_source_position *begins;
    /* of streams that have more than this run reads: where they end (mr_split_list.goal) */
    int ngoals;
    const struct mr_source_position *goals;
    /*
     * With connections: the first step that asks and was not answered. Then nothing behind it is
     * bound, there are no segments, and the caller builds the plan that asks (request.ask), runs it,
     * and builds again with the answer.
     */
    struct mr_plan_question question;
    const char *fingerprint; /* hash of what decides rows and names: 16 hex digits */
};

struct mr_plan_request {
    const struct mr_spec *spec;
    struct mr_arena *arena;
    struct mr_runtime *runtime; /* template: nodes get copies with their own account and counters */
    const struct mr_tz *tz;
    int64_t now_micros;
    const char *last_run_timestamp; /* or NULL */
    /* where incremental reading ended in the last committed epoch */
    const struct mr_source_position *since;
    int nsince;
    /* where streams are to end (mr_source_bind.until) */
    const struct mr_source_position *until;
    int nuntil;
    bool connect; /* false: offline check; sources whose schema needs a catalog stay unbound */
    /* fix the snapshot and make the splits (a run does; plan and validate --connect do too) */
    bool with_splits;
    bool with_sinks; /* preview: false */
    /* checkpoint steps keep nothing and pass rows on; so they do without sinks */
    bool light;
    /* frames that earlier runs have made durable; `restore_all`: use them without asking */
    const struct mr_plan_restorable *restorable;
    int nrestorable;
    bool restore_all;
    const char *until_step; /* preview: the result of this step (name or 1-based number), or NULL */
    /*
     * Instead of asking the sources: their splits by node, as another plan of the same file made
     * them; or NULL.
     */
    const struct mr_split_list *fixed_splits;
    int nfixed_splits;
    const struct mr_plan_answer *answers;
    int nanswers;
    /*
     * Build the plan that answers this question: its result has the columns `value` and `text`, in
     * the order of value, each value at least once.
     */
    const struct mr_plan_question *ask;
    int64_t rows_wanted; /* preview: of the result; 0 = all. One task then, splits in order */
};

/*
 * Several errors may be found in one pass; `errors` as config/load.h, may be NULL for the first
 * only.
 */
struct mr_load_errors;
enum mr_status mr_plan_build(const struct mr_plan_request *request, struct mr_plan **out,
                             struct mr_load_errors *errors, struct mr_error *err);
/* The frames that fit, in the order of the steps; the caller's arena. */
enum mr_status mr_plan_used_frames(const struct mr_plan *plan, struct mr_arena *arena,
                                   struct mr_plan_restorable **out, int *count,
                                   struct mr_error *err);
/*
 * Closes sources and sinks, and what else holds on to an epoch; operators stay bound, their plans and runtimes valid, until mr_plan_free.
 * For the plan that kept objects were opened with.
 */
void mr_plan_close_ends(struct mr_plan *plan);
/* Closes sources and sinks. Before the arena is reset. */
void mr_plan_free(struct mr_plan *plan);

/* Nodes that measure the inputs of a step that keeps rows or drops late ones; for people. `out` has room for MR_PLAN_CLOCKS. */
#define MR_PLAN_CLOCKS 16
int mr_plan_clocks(const struct mr_plan_node *node, int *out);
/* Has it rows to keep from epoch to epoch? (One that measures keeps times.) */
bool mr_plan_keeps(const struct mr_plan_node *node);
/* Of the loads of a stream: append, update, complete. */
const char *mr_plan_output_mode(const struct mr_plan *plan);

/*
 * The tree for people, and a JSON object (stable field names, documented in docs/guide). Without
 * secrets.
 */
void mr_plan_explain_text(const struct mr_plan *plan, struct mr_bytes *out);
/* The warnings alone, a line each: the last lines of mr_plan_explain_text. */
void mr_plan_explain_warnings(const struct mr_plan *plan, struct mr_bytes *out);
void mr_plan_explain_json(const struct mr_plan *plan, struct mr_bytes *out);

/*
 * Options of a sink of the system that an extract reads: its connection, and the sink's defaults. *out NULL: the step is no extract, or one of
 * another system.
 */
enum mr_status mr_plan_extract_sink(const struct mr_step_spec *extract, const struct mr_sink *sink,
                                    struct mr_arena *arena, const struct mr_options **out,
                                    struct mr_error *err);

#endif
