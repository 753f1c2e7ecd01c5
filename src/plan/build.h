/*
 * build.h - what the files of plan/ share while a plan is being built. Private to the folder.
 *
 * A draft stands beside each node with the same number and dies (in meaning) when the plan is
 * finished. The order of the passes is that of the declarations below; mr_plan_build calls them.
 */
#ifndef MR_PLAN_BUILD_H
#define MR_PLAN_BUILD_H

#include "plan/plan.h"
#include "sql/node.h"

struct mr_plan_draft {
    const struct mr_options *options; /* of the step, or rewritten */
    const char **frames;              /* registered names of the inputs, each may be NULL */
    const char *side;                 /* sink of a side output: the option that asks for it */
    bool failed;                      /* has an error, or stands behind one: no more messages */
    bool bound;
    bool waits;                          /* for an answer (plan.question): stays unbound */
    bool expanded;                       /* has been asked for its parts */
    const struct mr_plan_origin *origin; /* is a part: of which operators */
    bool live;                           /* leads to something that the run does */
    bool *need;                          /* columns of port 0 that somebody reads; NULL = all */
    const char **wanted;                 /* the same for operators, as they are told; NULL = all */
    int nwanted;
    int nconsumers;
    int wish;        /* output tasks wanted at port 0, 0 = no wish */
    bool wish_bound; /* the wish is an upper bound */
    /* stream.c */
    bool stream;            /* operators: rows go on from epoch to epoch */
    bool measured;          /* and have a watermark */
    const char *event_time; /* of a frame behind withWatermark, in batch too: its expression */
    bool updates;           /* and replace earlier ones */
    enum mr_output_mode output_mode;
    const char *mode_of; /* the load that wants it; NULL = none does */
    const char *mixed;   /* loads that want different ones */
};

struct mr_plan_builder {
    const struct mr_plan_request *request;
    const struct mr_spec *spec;
    struct mr_arena *arena;
    struct mr_plan *plan;
    struct mr_plan_node *nodes; /* = plan->nodes; room for all that the steps can make */
    struct mr_plan_draft *drafts;
    int capacity;
    struct mr_load_errors *errors;
    int nerrors;
    struct mr_error first;
    int warning_capacity;
    struct mr_plan_warning *warnings;
};

/*
 * Takes note of a failure of a step: its label in front of the message, file:line:column as `where`
 * when the error has none. The build goes on; it fails at the end of the pass.
 */
void mr_plan_fail(struct mr_plan_builder *builder, const struct mr_step_spec *step,
                  struct mr_error *err);
/* The first error so far, or MR_OK. */
enum mr_status mr_plan_failed(const struct mr_plan_builder *builder, struct mr_error *err);
enum mr_status mr_plan_warn(struct mr_plan_builder *builder, const char *where,
                            struct mr_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Does an edge into `port` of this node fill a state: a build side, or a breaker? */
bool mr_plan_is_build(const struct mr_plan_node *node, int port);
/* Bytes that a row of this schema may have, from the types alone. */
int64_t mr_plan_row_width(const struct mr_schema *schema);

/* frames.c: one node per step, and the edges. */
enum mr_status mr_plan_frames(struct mr_plan_builder *builder, struct mr_error *err);
/* The next node; NULL when out of memory. */
struct mr_plan_node *mr_plan_add_node(struct mr_plan_builder *builder, enum mr_plan_node_kind kind,
                                      const struct mr_step_spec *step, struct mr_error *err);
/* Room for its inputs, to be filled in; *frames are their registered names. */
enum mr_status mr_plan_set_inputs(struct mr_plan_builder *builder, struct mr_plan_node *node,
                                  int ninputs, struct mr_plan_edge **edges, const char ***frames,
                                  struct mr_error *err);
/* side.c: a sink for `quarantine` or `deadLetter` of the step of this node, if it has one. */
enum mr_status mr_plan_add_side(struct mr_plan_builder *builder, int node, struct mr_error *err);
/* Behind bind of such a sink: refuses a topic that a source in front of it reads. */
enum mr_status mr_plan_check_side(const struct mr_plan_builder *builder,
                                  const struct mr_plan_node *node, struct mr_error *err);
/* held.c: static frames of joins with `refresh`, held or to be held. */
enum mr_status mr_plan_hold(struct mr_plan_builder *builder, struct mr_error *err);
/* stages.c: node i becomes node moved[i], which grows with i; -1 = it is taken out. Nothing is bound yet. */
enum mr_status mr_plan_renumber(struct mr_plan_builder *builder, const int *moved,
                                struct mr_error *err);
/* stages.c: checkpoint steps; what an earlier run has made durable is not done again. */
enum mr_status mr_plan_stages(struct mr_plan_builder *builder, struct mr_error *err);
/* fingerprint.c: the options that are set, without secrets. */
void mr_plan_print_options(struct mr_bytes *out, const struct mr_options *options,
                           bool with_connection);
/* A new node with an account, counters and a runtime of its own, in a place that there is. */
enum mr_status mr_plan_set_node(struct mr_plan_builder *builder, int at,
                                enum mr_plan_node_kind kind, const struct mr_step_spec *step,
                                const char *label, struct mr_error *err);
/* bind.c: sources; operators (again after a rewrite changed what is before them); sinks. */
enum mr_status mr_plan_bind_sources(struct mr_plan_builder *builder, struct mr_error *err);
enum mr_status mr_plan_bind_source(struct mr_plan_builder *builder, int node, struct mr_error *err);
enum mr_status mr_plan_bind_ops(struct mr_plan_builder *builder, struct mr_error *err);
/* One operator again. */
enum mr_status mr_plan_bind_op(struct mr_plan_builder *builder, int node, struct mr_error *err);
enum mr_status mr_plan_bind_sinks(struct mr_plan_builder *builder, struct mr_error *err);
/* What an operator is given at bind and expand. */
enum mr_status mr_plan_prepare_bind(struct mr_plan_builder *builder, int node,
                                    struct mr_op_bind *bind, struct mr_error *err);
/*
 * expand.c: the parts of a step take its place, once the schemas of its inputs are known. Nodes and
 * drafts move.
 */
enum mr_status mr_plan_expand(struct mr_plan_builder *builder, int node, struct mr_error *err);
/* The parts of a sink come in front of it: the first of them is then at `node`. */
enum mr_status mr_plan_expand_sink(struct mr_plan_builder *builder, int node, struct mr_error *err);
/*
 * Makes room for `count` nodes in the place of one: who read it reads the last of them. The places
 * hold copies of it with their own numbers.
 */
enum mr_status mr_plan_open_gap(struct mr_plan_builder *builder, int at, int count,
                                struct mr_error *err);
/*
 * ask.c: does the step wait for something to be found in the data? Else *found is what was, or NULL.
 */
enum mr_status mr_plan_ask(struct mr_plan_builder *builder, int node, bool *waits,
                           const struct mr_op_discovered **found, struct mr_error *err);
/* Is this the step whose question the plan is to answer? Its parts then do. */
bool mr_plan_is_asked(const struct mr_plan_builder *builder, int node);
enum mr_status mr_plan_ask_parts(struct mr_plan_builder *builder, struct mr_op_parts *out,
                                 struct mr_error *err);
/*
 * actions.c: a maintain step is noted, and bound once everything else is. A load behind it is an
 * error: it would be done before.
 */
enum mr_status mr_plan_add_action(struct mr_plan_builder *builder, const struct mr_step_spec *step,
                                  struct mr_error *err);
enum mr_status mr_plan_bind_actions(struct mr_plan_builder *builder, struct mr_error *err);
/* An account, counters and a runtime for a step. */
enum mr_status mr_plan_new_runtime(struct mr_plan_builder *builder, const char *label,
                                   struct mr_runtime **out, struct mr_error *err);
/* syntax.c: expressions of a step that cannot be bound yet. */
enum mr_status mr_plan_check_syntax(struct mr_plan_builder *builder,
                                    const struct mr_options *options, struct mr_error *err);
/*
 * stream.c: output modes, from the loads to the left, once all steps are nodes. Is the frame of a node a stream? What an operator is told
 * of an input. What cannot be done to a stream is refused: behind bind; a question about rows; a sink. Which nodes
 * measure which inputs.
 */
void mr_plan_stream_modes(struct mr_plan_builder *builder);
void mr_plan_stream_parts(struct mr_plan_builder *builder, int at, const struct mr_op_parts *parts,
                          const struct mr_plan_draft *whole);
bool mr_plan_is_stream(const struct mr_plan_builder *builder, int node);
void mr_plan_stream_input(const struct mr_plan_builder *builder, int from,
                          struct mr_op_input *input);
enum mr_status mr_plan_stream_modes_agree(const struct mr_plan_builder *builder, int node,
                                          struct mr_error *err);
enum mr_status mr_plan_stream_op(struct mr_plan_builder *builder, int node, struct mr_error *err);
enum mr_status mr_plan_stream_question(const struct mr_plan_builder *builder, int node,
                                       const char *option, struct mr_error *err);
enum mr_status mr_plan_stream_sink(const struct mr_plan_builder *builder,
                                   const struct mr_plan_node *node, struct mr_error *err);
/* lanes.c: the same for a stream that several processes share. */
enum mr_status mr_plan_lanes_op(const struct mr_plan_builder *builder,
                                const struct mr_plan_node *node, struct mr_error *err);
enum mr_status mr_plan_lanes_sink(const struct mr_plan_builder *builder,
                                  const struct mr_plan_node *node, struct mr_error *err);
void mr_plan_lanes_sources(struct mr_plan_builder *builder);
enum mr_status mr_plan_stream_clocks(struct mr_plan_builder *builder, struct mr_error *err);
/* live.c: which nodes lead to sinks, validations, the result. */
enum mr_status mr_plan_mark_live(struct mr_plan_builder *builder, struct mr_error *err);

/* What the rewrites want to offer to one source. */
struct mr_plan_conjunct {
    const char *text;
    int filter; /* operator that it comes from */
    int index;  /* which of its conjuncts */
    const struct mr_predicate *predicate;
    enum mr_pushed pushed;
};
struct mr_plan_offer {
    int source;
    int nconjuncts;
    struct mr_plan_conjunct *conjuncts;
    struct mr_source_offer request; /* of those conjuncts that have a predicate */
};
/*
 * rewrite_filter.c: conjuncts of the filters that stand alone above a source; and taking exact ones
 * out of them.
 */
enum mr_status mr_plan_collect_filters(struct mr_plan_builder *builder, struct mr_plan_offer *offer,
                                       struct mr_error *err);
enum mr_status mr_plan_drop_pushed(struct mr_plan_builder *builder,
                                   const struct mr_plan_offer *offer, struct mr_error *err);
/* The option that holds the condition of a filter; a filter has one. */
bool mr_plan_is_filter(const struct mr_plan_builder *builder, const struct mr_plan_node *node);
const char *mr_plan_condition(const struct mr_plan_builder *builder, int filter);
/* Sets it, in a copy of the options. NULL text = out of memory. */
enum mr_status mr_plan_set_condition(struct mr_plan_builder *builder, int filter, const char *text,
                                     struct mr_error *err);
/* Nothing is left of the filter: consumers read its input instead. */
void mr_plan_take_out(struct mr_plan_builder *builder, int filter);
/* rewrite_move.c: filters in front of joins, aggregates, sorts. */
enum mr_status mr_plan_move_filters(struct mr_plan_builder *builder, struct mr_error *err);
/* rewrite_columns.c: sets `need` of all nodes. */
enum mr_status mr_plan_collect_columns(struct mr_plan_builder *builder, struct mr_error *err);
/* rewrite_limit.c */
int64_t mr_plan_collect_limit(const struct mr_plan_builder *builder, int source);
/* Sorts of which only the first rows are wanted are told so, by their option `limit`. */
enum mr_status mr_plan_limit_sorts(struct mr_plan_builder *builder, struct mr_error *err);
/* rewrite.c: all of it. */
enum mr_status mr_plan_rewrite(struct mr_plan_builder *builder, struct mr_error *err);
/* conjunct.c: splits a condition at its top-level ANDs. *count 1 when there is nothing to split. */
enum mr_status mr_plan_split_conjuncts(struct mr_arena *arena, const char *text, const char ***out,
                                       int *count, struct mr_error *err);
/*
 * predicate.c: NULL when there is no form with the same meaning. map[i]: source column of input
 * column i, or -1.
 */
const struct mr_predicate *mr_plan_predicate(struct mr_arena *arena, const struct mr_node *node,
                                             const int *map, const struct mr_schema *schema);

/* splits.c, segment.c, tasks.c, memory.c */
enum mr_status mr_plan_make_splits(struct mr_plan_builder *builder, struct mr_error *err);
void mr_plan_spread_wishes(struct mr_plan_builder *builder);
enum mr_status mr_plan_make_segments(struct mr_plan_builder *builder, struct mr_error *err);
/* narrow.c */
enum mr_status mr_plan_find_narrowings(struct mr_plan_builder *builder, struct mr_error *err);
enum mr_status mr_plan_make_tasks(struct mr_plan_builder *builder, struct mr_error *err);
void mr_plan_share_memory(struct mr_plan_builder *builder);
/* warn.c, fingerprint.c */
enum mr_status mr_plan_add_warnings(struct mr_plan_builder *builder, struct mr_error *err);
enum mr_status mr_plan_fingerprint(struct mr_plan_builder *builder, struct mr_error *err);

#endif
