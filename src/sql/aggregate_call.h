/*
 * aggregate_call.h - the table of aggregate functions, and what keeps their states; private to aggregate*.c.
 *
 * A function is a row that counts its arguments and a `bind` that casts them and picks a *kind* (how the states of all
 * groups are kept and updated) and a `finish` (how a result is made of them). Calls of the same kind over the same
 * inputs share a state: sum(x), avg(x) and count(x) of decimals are one pass.
 */
#ifndef MR_SQL_AGGREGATE_CALL_H
#define MR_SQL_AGGREGATE_CALL_H

#include "col/builder.h"
#include "col/kernel.h"
#include "sql/aggregate.h"
#include "sql/unit.h"

#define MR_AGG_MAX_ARGS 8

struct mr_agg_call;
struct mr_agg_state;

/*
 * Rows for a state: row rows[i] (NULL: row i) of the FLAT columns `args` goes into groups[i]. No row has a NULL among
 * the arguments unless the call keeps NULLs.
 */
struct mr_agg_input {
    struct mr_column *const *args;
    const int32_t *rows;
    int64_t count;
    const uint32_t *groups;
};
#define MR_AGG_ROW(in, i) ((in)->rows ? (in)->rows[i] : (int32_t)(i))

/* A field of a state of fixed size: exported as a column of this type. */
struct mr_agg_field {
    int offset;
    enum mr_type_id id; /* INT64, FLOAT64; DECIMAL: an int128 */
};

struct mr_agg_kind {
    /* States of fixed size, zero at first: state->rows has one a group. Else create .. export are there. */
    int size;
    const struct mr_agg_field *fields;
    int nfields;
    enum mr_status (*update)(struct mr_agg_state *state, const struct mr_agg_input *in,
                             struct mr_error *err);
    /*
     * Fixed size, optional: update, and copies[i] (of `size` bytes) is the group's row after row i. Without it the
     * update is called for each row.
     */
    enum mr_status (*run)(struct mr_agg_state *state, const struct mr_agg_input *in, void *copies,
                          struct mr_error *err);
    /* Fixed size: from[i] goes into row groups[i]. */
    enum mr_status (*merge_rows)(struct mr_agg_state *state, const void *from, int64_t count,
                                 const uint32_t *groups, struct mr_error *err);
    /* Others. `resize` has been told the new number; merge NULL: exported rows are updated with. */
    enum mr_status (*create)(struct mr_agg_state *state, struct mr_error *err);
    void (*destroy)(struct mr_agg_state *state);
    enum mr_status (*resize)(struct mr_agg_state *state, int64_t ngroups, struct mr_error *err);
    enum mr_status (*merge)(struct mr_agg_state *state, struct mr_column *const *exported,
                            int64_t count, const uint32_t *groups, struct mr_error *err);
    enum mr_status (*export_)(struct mr_agg_state *state, int64_t from, int64_t count,
                              struct mr_column **out, struct mr_error *err);
    /* The types of the exported columns; sets call->nstates (1 .. MR_AGG_MAX_ARGS). */
    enum mr_status (*describe)(struct mr_agg_call *call, struct mr_arena *arena,
                               const struct mr_type **types, struct mr_error *err);
};

typedef enum mr_status (*mr_agg_finish_fn)(struct mr_agg_state *state,
                                           const struct mr_agg_call *call, int64_t from,
                                           int64_t count, struct mr_column **out,
                                           struct mr_error *err);

/* A bound call. */
struct mr_agg_call {
    const struct mr_aggregate *function;
    const struct mr_agg_kind *kind;
    mr_agg_finish_fn finish;
    const struct mr_type *type;
    bool nullable;
    int nargs;
    int args[MR_AGG_MAX_ARGS]; /* of the inputs */
    const struct mr_type *arg_types[MR_AGG_MAX_ARGS];
    int filter; /* input, or -1 */
    bool distinct;
    bool keep_nulls; /* the state sees rows with NULL arguments */
    bool raise;      /* overflow is an error (ANSI) */
    bool null_on_overflow;
    int choice;        /* of the kind: first or last, least or greatest, ... */
    double *fractions; /* percentiles */
    int nfractions;
    bool list; /* of fractions: the result is a list */
    bool descending;
    int position; /* in characters */
    const char *text;
    int state; /* number of the state that it uses */
    int nstates;
    const struct mr_type *states[MR_AGG_MAX_ARGS]; /* types of the exported columns */
};

/* The state of one or more calls, all groups. */
struct mr_agg_state {
    const struct mr_agg_call *call; /* the first that uses it */
    const struct mr_agg_kind *kind;
    struct mr_memory *memory;
    int64_t charged; /* by mr_agg_charge */
    int64_t extra;   /* by columns and tables that it holds */
    int64_t ngroups;
    int64_t capacity;
    char *rows; /* fixed size */
    void *own;  /* of the kind */
    struct mr_agg_distinct *distinct;
    bool lasting; /* outlives the columns that it is given, and their accounts */
};

/* What `bind` of a function works on. */
struct mr_agg_binding {
    struct mr_unit *unit; /* over the input rows */
    struct mr_arena *arena;
    const struct mr_ast *ast;
    int nargs;
    struct mr_node **args; /* bind may drop and cast them: what is left are the inputs */
    struct mr_node *order; /* WITHIN GROUP, or NULL */
    struct mr_agg_call *call;
    struct mr_error *err;
};
enum mr_status mr_agg_cast(struct mr_agg_binding *binding, int arg, const struct mr_type *type);
/* "name: message" at the call. */
enum mr_status mr_agg_fail(struct mr_agg_binding *binding, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The value of a constant argument; an error naming `what` when it is none. */
enum mr_status mr_agg_constant(struct mr_agg_binding *binding, int arg, const char *what,
                               struct mr_value *out);

struct mr_aggregate {
    const char *names; /* "avg mean": the name, then its aliases */
    int least, most;   /* arguments */
    enum mr_status (*bind)(struct mr_agg_binding *binding);
    int choice; /* preset of call->choice */
    const char *signature;
    const char *doc;
};
/* By name, case ignored; NULL when there is none. */
const struct mr_aggregate *mr_aggregate_find(const char *name);

struct mr_aggregate_family {
    const struct mr_aggregate *functions;
    size_t count;
};
extern const struct mr_aggregate_family mr_aggregates_count;
extern const struct mr_aggregate_family mr_aggregates_sum;
extern const struct mr_aggregate_family mr_aggregates_pick;
extern const struct mr_aggregate_family mr_aggregates_moments;
extern const struct mr_aggregate_family mr_aggregates_bag;
extern const struct mr_aggregate_family mr_aggregates_sketch;

/* Row functions of states. */
enum mr_status mr_agg_charge(struct mr_agg_state *state, int64_t bytes, struct mr_error *err);
void mr_agg_credit(struct mr_agg_state *state, int64_t bytes);
/* *array grows from `from` to `to` entries, new ones zero; charged. */
enum mr_status mr_agg_grow(struct mr_agg_state *state, void *array, size_t width, int64_t from,
                           int64_t to, struct mr_error *err);
/* "text, character N: message": an error of the data. */
enum mr_status mr_agg_data_error(const struct mr_agg_call *call, struct mr_error *err,
                                 const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A result column of fixed width under construction; rows are valid unless mr_agg_result_null. */
struct mr_agg_result {
    const struct mr_type *type;
    int64_t count;
    int64_t nulls;
    struct mr_buffer *values;
    struct mr_buffer *validity;
};
enum mr_status mr_agg_result_init(struct mr_agg_result *result, struct mr_agg_state *state,
                                  const struct mr_type *type, int64_t count, struct mr_error *err);
static inline void mr_agg_result_null(struct mr_agg_result *result, int64_t row)
{
    mr_bitmap_clear(result->validity->data, row);
    result->nulls++;
}
#define MR_AGG_SET(result, ctype, row, value)                                                      \
    (((ctype *)(void *)(result)->values->data)[row] = (value))
enum mr_status mr_agg_result_finish(struct mr_agg_result *result, struct mr_column **out,
                                    struct mr_error *err);
void mr_agg_result_drop(struct mr_agg_result *result);

/*
 * Entries (numbered) sorted by their group, stably: order[offsets[g] .. offsets[g + 1]) are those of group g. Both are
 * mr_alloc'ed and charged (mr_agg_sorted_bytes).
 */
struct mr_agg_sorted {
    int64_t ngroups, nentries;
    int64_t *offsets;
    int32_t *order;
};
enum mr_status mr_agg_sort(struct mr_agg_state *state, const uint32_t *groups, int64_t nentries,
                           struct mr_agg_sorted *out, struct mr_error *err);
void mr_agg_sorted_reset(struct mr_agg_state *state, struct mr_agg_sorted *sorted);
/* A list column of groups [from, from + count) over `values` (by entry). */
enum mr_status mr_agg_lists(struct mr_agg_state *state, const struct mr_agg_sorted *sorted,
                            const struct mr_column *values, const struct mr_type *type,
                            int64_t from, int64_t count, struct mr_column **out,
                            struct mr_error *err);
/* The group of each element of `lists`, whose row i belongs to groups[i]; mr_alloc'ed. */
enum mr_status mr_agg_list_groups(const struct mr_column *lists, const uint32_t *groups,
                                  uint32_t **out, int64_t *count, struct mr_error *err);

/* DISTINCT: the different tuples of arguments by group, in aggregate_distinct.c. */
enum mr_status mr_agg_distinct_describe(struct mr_agg_call *call, struct mr_arena *arena,
                                        struct mr_error *err);
enum mr_status mr_agg_distinct_new(struct mr_agg_state *state, struct mr_error *err);
void mr_agg_distinct_free(struct mr_agg_state *state);
enum mr_status mr_agg_distinct_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                      struct mr_error *err);
enum mr_status mr_agg_distinct_merge(struct mr_agg_state *state, struct mr_column *lists,
                                     int64_t count, const uint32_t *groups, struct mr_error *err);
enum mr_status mr_agg_distinct_export(struct mr_agg_state *state, int64_t from, int64_t count,
                                      struct mr_column **out, struct mr_error *err);
enum mr_status mr_agg_distinct_finish(struct mr_agg_state *state, const struct mr_agg_call *call,
                                      int64_t from, int64_t count, struct mr_column **out,
                                      struct mr_error *err);

/*
 * For running results: adds the tuples of rows where takes[i], leaves takes[i] where the tuple is new, and gives the state
 * that all tuples before have made, with room for all groups.
 */
enum mr_status mr_agg_distinct_run(struct mr_agg_state *state, const struct mr_agg_input *in,
                                   uint8_t *takes, struct mr_agg_state **inner,
                                   struct mr_error *err);

/* The states of all calls (aggregate_states.c). */
struct mr_agg_state *mr_agg_states_each(struct mr_agg_states *states,
                                        const struct mr_aggregation **aggregation,
                                        struct mr_memory **memory);

/* States as such, without FILTER and DISTINCT (aggregate_states.c). */
enum mr_status mr_agg_state_init(struct mr_agg_state *state, const struct mr_agg_call *call,
                                 struct mr_memory *memory, struct mr_error *err);
void mr_agg_state_reset(struct mr_agg_state *state);
enum mr_status mr_agg_state_resize(struct mr_agg_state *state, int64_t ngroups,
                                   struct mr_error *err);
/* Columns of any encoding; removes NULLs unless the call keeps them. */
enum mr_status mr_agg_state_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                   struct mr_error *err);

/* A compiled aggregation. */
struct mr_aggregation {
    struct mr_sql_session session;
    struct mr_projection *keys;
    struct mr_projection *inputs;
    struct mr_projection *outputs;
    struct mr_expr *having;
    const struct mr_schema *states;
    const struct mr_schema *results;
    const struct mr_schema *schema;
    int ncalls;
    struct mr_agg_call *calls;
    int nstates; /* states; each is that of calls[first[i]] */
    int *first;
};

/* aggregate_split.c: finds the calls in a parsed text and puts COLUMNs of the results in their place. */
struct mr_agg_splitter {
    struct mr_arena *arena;
    struct mr_sql_scope scope;
    int ngroups;
    struct mr_ast *const *groups;
    const char *const *group_names;
    /* Outputs that `having` may name; NULL while outputs themselves are split. */
    int nnames;
    const char *const *names;
    struct mr_ast *const *outputs;
    const char *text; /* at work */
    /* The calls found: appended. */
    struct mr_ast **calls;
    const char **call_texts;
    int ncalls;
    int calls_capacity;
    struct mr_error *err;
};
enum mr_status mr_agg_split(struct mr_agg_splitter *splitter, struct mr_ast *ast);
/* Hash of a tree: equal for trees that mean the same over the scope. */
uint64_t mr_agg_ast_hash(const struct mr_sql_scope *scope, struct mr_ast *ast);

#endif
