/*
 * nested.h - what functions of lists and maps are written with: the elements of all arguments as rows of one column, results as row
 * numbers of it.
 *
 * So a function of lists only juggles row numbers, whatever the type of the elements; one take makes the result.
 */
#ifndef MR_SQL_NESTED_H
#define MR_SQL_NESTED_H

#include "sql/function.h"

/* The elements of list arguments and the values of plain ones, one argument behind the other. */
struct mr_pool {
    const struct mr_call *call;
    struct mr_column *column; /* any encoding */
    int32_t *base; /* row of the first element or value of argument i; -1: not in the pool */
};
/*
 * `parts`: a letter an argument, the last one repeated: l the elements of a list, k the keys and v the values of a map,
 * e the value itself, - left out. All must have one type. The pool is valid until reset, also after a failure.
 */
enum mr_status mr_pool_init(struct mr_pool *pool, struct mr_call *call, const char *parts);
void mr_pool_reset(struct mr_pool *pool);

/* Elements [from, to) as rows of the pool. */
struct mr_span {
    int32_t from;
    int32_t to;
};
/* Entries of a list or map in its own child column. */
static inline struct mr_span mr_list_span(const struct mr_column *column, int64_t row)
{
    const int32_t *offsets = mr_column_offsets(column);
    int64_t at = column->encoding == MR_CONSTANT ? 0 : row;
    return (struct mr_span){offsets[at], offsets[at + 1]};
}
static inline struct mr_span mr_pool_span(const struct mr_pool *pool, int arg, int64_t row)
{
    struct mr_span span = mr_list_span(pool->call->args[arg], row);
    return (struct mr_span){span.from + pool->base[arg], span.to + pool->base[arg]};
}
static inline int32_t mr_pool_value(const struct mr_pool *pool, int arg, int64_t row)
{
    bool constant = pool->call->args[arg]->encoding == MR_CONSTANT;
    return pool->base[arg] + (constant ? 0 : (int32_t)row);
}
static inline bool mr_pool_null(const struct mr_pool *pool, int32_t item)
{
    return mr_column_is_null(pool->column, item);
}
bool mr_pool_equal(const struct mr_pool *pool, int32_t a, int32_t b);

/* Rows of a pool, told apart by value (NULL equals NULL): made once a call, cleared for each row. */
struct mr_item_set {
    const struct mr_pool *pool;
    uint64_t *hashes;
    int32_t *slots;
    size_t nslots;
    size_t mask;
    bool signed_zeros; /* 0.0 and -0.0 are two items */
};
enum mr_status mr_item_set_init(struct mr_item_set *set, const struct mr_pool *pool);
void mr_item_set_reset(struct mr_item_set *set);
/* Empties it and makes room for `items`. False: out of memory. */
bool mr_item_set_clear(struct mr_item_set *set, int64_t items);
/* True when no equal item was there. */
bool mr_item_set_add(struct mr_item_set *set, int32_t item);
bool mr_item_set_has(const struct mr_item_set *set, int32_t item);

/* Lists (or maps) under construction: rows in ascending order; a row passed over is empty, or NULL where the call says so. */
struct mr_list_result {
    struct mr_call *call;
    struct mr_buffer *offsets;
    struct mr_buffer *items[2]; /* rows of the pool; [1]: of the values of a map */
    struct mr_buffer *validity;
    int64_t next;
    int64_t count;
    enum mr_status status;
};
void mr_list_result_init(struct mr_list_result *result, struct mr_call *call);
/* Adds an element (-1: NULL) to the list of the row at work; mr_list_end says which row that was. */
void mr_list_add(struct mr_list_result *result, int32_t item);
void mr_list_add_span(struct mr_list_result *result, struct mr_span span);
void mr_list_add_entry(struct mr_list_result *result, int32_t key, int32_t value);
void mr_list_end(struct mr_list_result *result, int64_t row);
/* The row is NULL; what was added to it goes. */
void mr_list_null(struct mr_list_result *result, int64_t row);
/* The list of the row is empty again. */
void mr_list_restart(struct mr_list_result *result);
/* Ends the building; frees everything. The elements are rows of `column`. */
enum mr_status mr_list_finish(struct mr_list_result *result, const struct mr_column *column,
                              struct mr_column **out);
enum mr_status mr_map_finish(struct mr_list_result *result, const struct mr_column *keys,
                             const struct mr_column *values, struct mr_column **out);
/* The same over children that were built elsewhere, in order: `offsets` were set by mr_list_add_count. */
void mr_list_add_count(struct mr_list_result *result, int64_t items);
enum mr_status mr_list_finish_with(struct mr_list_result *result, struct mr_column *child,
                                   struct mr_column **out);

/* Numbers of rows of another column, -1 (NULL) in rows not visited. */
enum mr_status mr_rows_open(struct mr_call *call, struct mr_buffer **buffer, int32_t **rows);
/* column[rows[i]], and the buffer goes. */
enum mr_status mr_rows_take(struct mr_call *call, struct mr_buffer *buffer,
                            const struct mr_column *column, struct mr_column **out);

/* Binding: the call is NULL of `type` when argument `arg` is the literal NULL (true: done, or failed in *status). */
bool mr_bind_null_argument(struct mr_binding *binding, int arg, const struct mr_type *type,
                           enum mr_status *status);
/* Casts the lists named by `lists` (bit i: argument i) and the values (bit i) so that all have one element type. */
enum mr_status mr_bind_elements(struct mr_binding *binding, unsigned lists, unsigned values,
                                const struct mr_type **element);

#endif
