/*
 * aggregate.h - expressions over aggregates: compile, accumulate, merge, finish.
 *
 * "sum(price * qty) / count(*)" is split into calls (sum, count), the expressions that feed them,
 * and an expression over their results. The states of the calls are columnar: one entry per group
 * number (col/group_table.h gives those), updated and merged a batch at a time. States can be
 * exported as columns, spilled or sent elsewhere, and merged from columns: that is the only form in
 * which they leave a thread. Source of the semantics: Spark SQL 3.5.
 */
#ifndef MR_SQL_AGGREGATE_H
#define MR_SQL_AGGREGATE_H

#include "sql/expr.h"

struct mr_aggregation;

struct mr_aggregation_ask {
    struct mr_sql_scope scope; /* of the input rows */
    struct mr_sql_session session;
    int ngroups;
    const char *const *groups;      /* expressions over the input */
    const char *const *group_names; /* of the key columns in the output */
    int count;
    const char *const *texts; /* expressions over aggregates and over the group expressions */
    const char *const *names;
    const char *having; /* or NULL */
};

/* *failed: index of the text at fault; groups first, then texts, then having. Lives in `arena`. */
enum mr_status mr_aggregation_compile(struct mr_arena *arena, const struct mr_aggregation_ask *ask,
                                      struct mr_aggregation **out, int *failed,
                                      struct mr_error *err);
/* Is this a bare name of an aggregate function ("sum")? */
bool mr_aggregation_is_function(const char *text);
/*
 * "expr [AS name]": the expression's text and its name: what is written, a column's own, or the one
 * that Spark gives ("year(ts)").
 */
enum mr_status mr_sql_named_expression(struct mr_arena *arena, const char *text, const char **expr,
                                       const char **name, struct mr_error *err);

/*
 * f(DISTINCT x) as two aggregations: the first by the groups and x, the second by the groups, over
 * the results of the first, without DISTINCT. That divides and spills by value, where sets of values
 * would have to be in memory. count = 0 where it cannot be done: several different DISTINCTs, or
 * another function whose partial results cannot be aggregated again.
 */
struct mr_aggregation_stages {
    int ngroups;
    const char *const *groups; /* "expr AS `name`" */
    int count;
    const char *const *texts; /* of the first; named `.p0`, .. */
    const char *const *names;
    const char *const *second; /* texts of the second, in the order of the ask */
    const char *having;        /* of the second, or NULL */
};
enum mr_status mr_aggregation_stage(struct mr_arena *arena, const struct mr_aggregation_ask *ask,
                                    const struct mr_aggregation *aggregation,
                                    struct mr_aggregation_stages *out, struct mr_error *err);

/* Every aggregate function, as mr_sql_function_doc gives the others. */
bool mr_sql_aggregate_doc(size_t i, struct mr_function_doc *out);

/* The keys as expressions over the input, in order. */
const struct mr_projection *mr_aggregation_keys(const struct mr_aggregation *aggregation);
/* What the calls are fed with: arguments, FILTER conditions, ORDER BY values. */
const struct mr_projection *mr_aggregation_inputs(const struct mr_aggregation *aggregation);
/* The exported states, in order. */
const struct mr_schema *mr_aggregation_states(const struct mr_aggregation *aggregation);
/* Keys, then the results of the calls: what `outputs` and `having` are expressions over. */
const struct mr_schema *mr_aggregation_results(const struct mr_aggregation *aggregation);
const struct mr_projection *mr_aggregation_outputs(const struct mr_aggregation *aggregation);
const struct mr_expr *mr_aggregation_having(const struct mr_aggregation *aggregation);
/* Keys, then outputs, with their names and types. */
const struct mr_schema *mr_aggregation_schema(const struct mr_aggregation *aggregation);

/* States of all calls for groups 0 .. n - 1. One thread. */
struct mr_agg_states;
enum mr_status mr_agg_states_new(const struct mr_aggregation *aggregation, struct mr_memory *memory,
                                 struct mr_agg_states **out, struct mr_error *err);
/* Before anything is put in: these states outlive the columns that they are given, and those columns' accounts, so that nothing is shared with them. */
void mr_agg_states_last(struct mr_agg_states *states);
void mr_agg_states_free(struct mr_agg_states *states);
/* No groups; the memory of states of fixed size stays for the next ones. */
enum mr_status mr_agg_states_clear(struct mr_agg_states *states, struct mr_error *err);
/* At least so many groups; new ones are empty. */
enum mr_status mr_agg_states_resize(struct mr_agg_states *states, int64_t ngroups,
                                    struct mr_error *err);
/*
 * Row rows[i] (NULL: row i) of the input columns (results of mr_aggregation_inputs over a batch)
 * goes into groups[i], in this order. For first and last: what comes in a later call, or is merged
 * later, is later.
 */
enum mr_status mr_agg_states_update(struct mr_agg_states *states, struct mr_column *const *inputs,
                                    const int32_t *rows, int64_t count, const uint32_t *groups,
                                    struct mr_error *err);
/* Row i of exported states goes into groups[i]. */
enum mr_status mr_agg_states_merge(struct mr_agg_states *states, struct mr_column *const *exported,
                                   int64_t count, const uint32_t *groups, struct mr_error *err);
/* The states of groups [from, from + count) as columns of mr_aggregation_states. */
enum mr_status mr_agg_states_export(struct mr_agg_states *states, int64_t from, int64_t count,
                                    struct mr_column **out, struct mr_error *err);
/* The results of the calls for groups [from, from + count), one column a call. */
enum mr_status mr_agg_states_finish(struct mr_agg_states *states, int64_t from, int64_t count,
                                    struct mr_column **out, struct mr_error *err);
/* New states: group i is a copy of group entries[i]. */
enum mr_status mr_agg_states_gather(struct mr_agg_states *states, const uint32_t *entries,
                                    int64_t count, struct mr_agg_states **out,
                                    struct mr_error *err);
/*
 * As update, and the results of the calls after each row, for its group: out has one column a call, of `count` rows. Not
 * where mr_aggregation_not_running names a function.
 */
enum mr_status mr_agg_states_run(struct mr_agg_states *states, struct mr_column *const *inputs,
                                 const int32_t *rows, int64_t count, const uint32_t *groups,
                                 struct mr_column **out, struct mr_error *err);
/* A function that has no running results (percentiles, lists), or NULL. */
const char *mr_aggregation_not_running(const struct mr_aggregation *aggregation, int *length);
/* Bytes charged. */
int64_t mr_agg_states_bytes(const struct mr_agg_states *states);

#endif
