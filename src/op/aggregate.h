/*
 * aggregate.h - what the files of aggregateData share.
 */
#ifndef MR_OP_AGGREGATE_H
#define MR_OP_AGGREGATE_H

#include "col/group_table.h"
#include "ext/spill.h"
#include "op/bind.h"
#include "sql/aggregate.h"

enum mr_agg_window { MR_AGG_NO_WINDOW, MR_AGG_TUMBLING, MR_AGG_SLIDING, MR_AGG_SESSION };

struct mr_agg_plan {
    struct mr_sql_session session;
    const struct mr_schema *input;
    /* The input and, with a window, window_start (and window_end of sessions) behind it. */
    const struct mr_schema *scope;
    struct mr_aggregation *aggregation;
    int nkeys;
    const struct mr_type **key_types;
    const struct mr_schema *kept;   /* rows of the spill: keys, then states; `raw`: see below */
    const struct mr_schema *book;   /* rows of what stays: aggregate_book.h */
    const struct mr_schema *schema; /* of the output */
    int pulls;
    int bits;   /* pulls is 2^bits */
    bool plain; /* states are of fixed size: rows may be kept without looking them up */
    bool *used; /* columns of the scope that keys and inputs read */
    enum mr_agg_window window;
    struct mr_expr *time; /* event time */
    int64_t size, slide;  /* microseconds; size is the gap of a session */
    /*
     * Sessions are cut only when all rows of a key are together: kept rows are the keys without the
     * window, the event time, and the inputs. Running results want the rows too: keys and inputs.
     */
    bool raw;
    int nplain;   /* keys without the window's */
    int ntable;   /* keys of kept rows */
    bool changes; /* emit */
    bool streaming;
    enum mr_output_mode mode;
};

/* The end of a window, or of the session of one row, that begins at `start`. */
static inline int64_t mr_agg_end(const struct mr_agg_plan *plan, int64_t start)
{
    int64_t end;
    return __builtin_add_overflow(start, plan->size, &end) ? INT64_MAX : end;
}
/* Is a window with this end over when the watermark has reached that? A row at the very end of a session belongs to it. */
static inline bool mr_agg_closes(const struct mr_agg_plan *plan, int64_t end, int64_t reached)
{
    if (plan->window == MR_AGG_NO_WINDOW || reached == INT64_MIN)
        return false;
    return plan->window == MR_AGG_SESSION ? end < reached : end <= reached;
}

/* What is asked for, as texts. */
struct mr_agg_ask {
    struct mr_aggregation_ask ask;
    const char **groups, **group_names;
    const char **texts, **names;
    const char **entries; /* option entry of each text; NULL: not the user's */
};
/* From the options; needs plan->scope. Sets plan->nplain. */
enum mr_status mr_agg_ask_init(struct mr_agg_ask *ask, struct mr_agg_plan *plan,
                               const struct mr_op_bind *bind, struct mr_error *err);
/* Sets plan->aggregation; errors name the option. */
enum mr_status mr_agg_ask_compile(struct mr_agg_plan *plan, const struct mr_agg_ask *ask,
                                  const struct mr_op_bind *bind, struct mr_error *err);
/* DISTINCT as two aggregations, where that can be done (aggregate_expand.c). */
enum mr_status mr_agg_expand(const struct mr_op_bind *bind, struct mr_op_parts *out,
                             struct mr_error *err);

/* For people: "tumbling windows of 10m 00s on at"; nothing where there is no window. */
void mr_agg_describe_window(const struct mr_agg_plan *plan, const struct mr_op_bind *bind,
                            struct mr_bytes *out);
/* Makes plan->scope, ->time and the window's settings from the options. */
enum mr_status mr_agg_window_bind(struct mr_agg_plan *plan, const struct mr_op_bind *bind,
                                  struct mr_error *err);
/*
 * A batch of plan->scope: rows that have an event time, once for each window that they are in and that `closed` has not
 * closed. *late: rows that are in no other. *out is a new reference; NULL when no row is left.
 */
enum mr_status mr_agg_window_rows(const struct mr_agg_plan *plan, struct mr_eval *eval,
                                  struct mr_memory *memory, struct mr_batch *batch, int64_t closed,
                                  int64_t *late, struct mr_batch **out, struct mr_error *err);

/* Keys and states being built. */
struct mr_agg_build {
    const struct mr_agg_plan *plan;
    struct mr_memory *memory;
    struct mr_group_table *table; /* NULL without keys */
    struct mr_agg_states *states;
    uint32_t *groups; /* of the rows at hand */
    int64_t capacity;
};
enum mr_status mr_agg_build_init(struct mr_agg_build *build, const struct mr_agg_plan *plan,
                                 struct mr_memory *memory, struct mr_error *err);
void mr_agg_build_reset(struct mr_agg_build *build);
/* No groups; most of the memory stays. */
enum mr_status mr_agg_build_clear(struct mr_agg_build *build, struct mr_error *err);
int64_t mr_agg_build_count(const struct mr_agg_build *build);
int64_t mr_agg_build_bytes(const struct mr_agg_build *build);
/* Finds build->groups of `count` rows and makes room for their states. */
enum mr_status mr_agg_build_groups(struct mr_agg_build *build, struct mr_column *const *keys,
                                   const int32_t *rows, int64_t count, const uint64_t *hashes,
                                   struct mr_error *err);
/* Groups as batches of plan->kept into the partitions of `spill` by bits [skip, skip + bits) of their hashes. */
enum mr_status mr_agg_build_keep(struct mr_agg_build *build, struct mr_spill *spill, int skip,
                                 int bits, struct mr_error *err);

/* The results of groups as batches of plan->schema. */
enum mr_status mr_agg_emit_build(struct mr_agg_build *build, struct mr_eval *eval,
                                 struct mr_runtime *runtime, struct mr_emit *emit,
                                 struct mr_error *err);
/* Keys (references are taken over) and the results of states [from, from + count): HAVING, outputs, emit. */
enum mr_status mr_agg_emit_rows(const struct mr_agg_plan *plan, struct mr_agg_states *states,
                                struct mr_column **keys, int64_t from, int64_t count,
                                struct mr_eval *eval, struct mr_memory *memory,
                                struct mr_emit *emit, struct mr_error *err);
/* A batch of mr_aggregation_results: HAVING, outputs, emit. */
enum mr_status mr_agg_emit_results(const struct mr_agg_plan *plan, struct mr_batch *results,
                                   struct mr_eval *eval, struct mr_memory *memory,
                                   struct mr_emit *emit, struct mr_error *err);
/* A column of values[entries[i]] (NULL: values[i]), 64 bits wide. */
enum mr_status mr_agg_times(const struct mr_type *type, struct mr_memory *memory,
                            const int64_t *values, const uint32_t *entries, int64_t count,
                            struct mr_column **out, struct mr_error *err);
/* Rows of an output batch. */
int64_t mr_agg_batch_rows(const struct mr_runtime *runtime);

/* One partition of kept rows: merged and emitted. */
enum mr_status mr_agg_pull(const struct mr_agg_plan *plan, const struct mr_spill *spill,
                           struct mr_runtime *runtime, int partition, struct mr_emit *emit,
                           struct mr_error *err);
enum mr_status mr_agg_pull_sessions(const struct mr_agg_plan *plan, const struct mr_spill *spill,
                                    struct mr_runtime *runtime, int partition, struct mr_emit *emit,
                                    struct mr_error *err);

extern const struct mr_option mr_agg_options[];

#endif
