/*
 * function.h - the function table: what a function or operator of the dialect is, and what its kernel works with.
 *
 * A function is one row of data (`struct mr_function`) and one kernel. The machinery (bind.c, eval.c) looks the name up,
 * counts and casts the arguments, works out the result type, folds constants, evaluates the arguments, removes rows that
 * hold a NULL, runs the kernel once on a DICTIONARY's entries instead of on its rows, and builds constants from one row.
 * So a kernel sees only FLAT or CONSTANT columns of the types that its row asked for, and (unless it asked for NULLs)
 * only rows where every argument has a value. How to add one, with examples: docs/internals/sql.md.
 */
#ifndef MR_SQL_FUNCTION_H
#define MR_SQL_FUNCTION_H

#include "sql/node.h"

struct mr_eval;
struct mr_call;
struct mr_binding;

/* Computes the rows of `call`; *out is a FLAT column of call->length rows of call->type. */
typedef enum mr_status (*mr_kernel_fn)(struct mr_call *call, struct mr_column **out);
/* Checks more than the signature can say, sets the result type, picks the kernel, prepares `data`. */
typedef enum mr_status (*mr_bind_fn)(struct mr_binding *binding);

enum mr_function_flag {
    MR_FN_NULLS = 1,    /* the kernel gets rows with NULL arguments too (coalesce, concat_ws) */
    MR_FN_TOTAL = 2,    /* no value makes it fail; it may be run over rows that do not count */
    MR_FN_VOLATILE = 4, /* another value each time: never folded, never shared (rand, uuid) */
    MR_FN_LAZY = 8, /* the kernel evaluates its arguments itself (mr_call_eval); implies NULLS */
    MR_FN_TRY = 16, /* a failing row is NULL whatever the session says (try_add) */
    MR_FN_MAY_NULL = 32,   /* can give NULL where no argument is */
    MR_FN_NEVER_NULL = 64, /* gives a value for NULL arguments */
    MR_FN_FIRST =
        128, /* only the first argument is evaluated; bind has taken in the (constant) others */
    MR_FN_LAST_FIRST = 256, /* the last argument is evaluated first: a division's divisor */
};

/*
 * `args`, a letter an argument. Of a fixed type (arguments are cast to it, implicitly, where Spark would):
 *   z BOOL  i INT32  l INT64  d FLOAT64  s STRING  b BINARY  D DATE  T TIMESTAMP  V INTERVAL
 * Kept as it comes: a anything, n number (text becomes FLOAT64), I integer (text becomes INT64), x STRING or BINARY
 *   (anything else becomes STRING), t DATE, TIMESTAMP or TIMESTAMP_NTZ (text becomes TIMESTAMP),
 *   A list, M map, R struct; = all arguments marked so get their common type.
 * `!` behind a letter: as it comes or NULL, nothing is cast; `?` what follows is optional; `*` the letter before it repeats, zero times or more ("s*", "==*").
 *
 * `result`: a letter of the first list; = the common type; 0..9 the type of that argument; ! set by bind.
 * Several rows may share a name (overloads): the first that takes the arguments as they are wins, else the first that
 * can be reached by implicit casts.
 */
struct mr_function {
    const char *names; /* "substring substr": the name, then its aliases */
    const char *args;
    const char *result;
    unsigned flags;
    mr_kernel_fn kernel;
    mr_bind_fn bind; /* may be NULL */
    const char
        *signature; /* "substring(text, start[, length])"; NULL: not in the reference (operators) */
    const char *family; /* "text" */
    const char *doc;    /* one sentence */
};

/* A file of functions: functions_<family>.c defines one, function.c lists it. */
struct mr_function_family {
    const struct mr_function *functions;
    size_t count;
};

/* What bind works on. Arguments are cast already; everything preset from the row may be changed. */
struct mr_binding {
    struct mr_arena *arena; /* the plan's */
    const struct mr_sql_session *session;
    const struct mr_function *function;
    int nargs;
    struct mr_node **args;
    const struct mr_type *type; /* of the result */
    bool nullable;              /* bind may set it; what the arguments say is added unless ... */
    bool nullable_decided;      /* ... bind says that it has the last word (coalesce) */
    unsigned flags;
    mr_kernel_fn kernel;
    const void *data; /* for the kernel: immutable, shared by threads, in the arena */
    struct mr_node
        *replacement; /* set: the call is this node instead (BETWEEN is two comparisons) */
    int position;     /* of the call, in characters */
    void *binder;     /* of bind.c */
    struct mr_error *err;
};
/* "name: message", placed at argument `arg` (-1: at the call). */
enum mr_status mr_bind_fail(struct mr_binding *binding, int arg, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Casts an argument to another type (implicitly). */
enum mr_status mr_bind_cast(struct mr_binding *binding, int arg, const struct mr_type *type);
/* Another call over bound arguments, for `replacement`. The array is changed by the casts it needs. */
enum mr_status mr_bind_call(struct mr_binding *binding, const char *name, int nargs,
                            struct mr_node **args, struct mr_node **out);
/* CASE over when, then, ..., else. */
enum mr_status mr_bind_case(struct mr_binding *binding, int nargs, struct mr_node **args,
                            struct mr_node **out);
/* The literal NULL of a type. */
enum mr_status mr_bind_null(struct mr_binding *binding, const struct mr_type *type,
                            struct mr_node **out);
/* Is the argument a constant? Then its value. */
bool mr_bind_constant(const struct mr_binding *binding, int arg, struct mr_value *value);

/* What a failing row does. */
enum mr_failure {
    MR_FAIL_RAISE, /* ANSI: the evaluation ends with an error */
    MR_FAIL_WRAP,  /* ANSI off: integers wrap around, everything else is NULL */
    MR_FAIL_NULL,  /* try_..., TRY_CAST */
};

/* One run of a kernel. */
struct mr_call {
    struct mr_eval *eval;
    struct mr_memory *memory; /* charge buffers here */
    const struct mr_sql_session *session;
    const struct mr_node *node;
    const struct mr_type *type; /* of the result */
    const void *data;           /* what bind left */
    enum mr_failure failure;
    int nargs;
    struct mr_column *const *args; /* FLAT or CONSTANT; NULL for LAZY */
    int64_t length;                /* rows of the result */
    const int32_t *rows;           /* the rows to compute, ascending; NULL = 0 .. count-1 */
    int64_t count;
    struct mr_buffer
        *validity; /* preset of the result: rows with a NULL argument cleared; NULL = none */
    const struct mr_selected *selected; /* LAZY: pass it on to mr_call_eval */
    struct mr_error *err;
};

/* for (each row to compute) with `row` as int64_t. */
#define MR_EACH_ROW(call, row)                                                                     \
    for (int64_t row##_i = 0, row = 0;                                                             \
         row##_i < (call)->count && (row = (call)->rows ? (call)->rows[row##_i] : row##_i, true);  \
         row##_i++)

/* An argument to read at any row, whatever its encoding. */
struct mr_arg {
    const void *values;
    const char *bytes;
    const uint8_t *validity;
    int64_t mask; /* 0 for CONSTANT, all ones for FLAT */
    const struct mr_type *type;
};
struct mr_arg mr_arg_of(const struct mr_call *call, int i);
struct mr_arg mr_arg_of_column(const struct mr_column *column);
#define MR_ARG(arg, ctype, row) (((const ctype *)(arg).values)[(row) & (arg).mask])
static inline bool mr_arg_is_null(const struct mr_arg *arg, int64_t row)
{
    return !mr_bitmap_get(arg->validity, row & arg->mask);
}
static inline struct mr_slice mr_arg_text(const struct mr_arg *arg, int64_t row)
{
    const int32_t *offsets = (const int32_t *)arg->values + (row & arg->mask);
    return (struct mr_slice){arg->bytes + offsets[0], (size_t)(offsets[1] - offsets[0])};
}
/* DECIMAL of either width. */
static inline mr_int128 mr_arg_decimal(const struct mr_arg *arg, int64_t row)
{
    return arg->type->precision <= MR_DECIMAL64_PRECISION ? MR_ARG(*arg, int64_t, row)
                                                          : MR_ARG(*arg, mr_int128, row);
}
/* Any integer type, DATE and BOOL as int64. */
int64_t mr_arg_int(const struct mr_arg *arg, int64_t row);
/* FLOAT32 or FLOAT64. */
double mr_arg_double(const struct mr_arg *arg, int64_t row);

/*
 * A result under construction: fixed-width (write with MR_SET) or text (append in ascending order of rows). Rows that are
 * not written are zero or empty. The first failure is kept, later calls do nothing, and finish returns it.
 */
struct mr_result {
    struct mr_call *call;
    struct mr_buffer *values;
    struct mr_buffer *data;
    struct mr_buffer *validity;
    int64_t next; /* text: the first row without an offset */
    size_t size;  /* text: bytes so far */
    enum mr_status status;
};
void mr_result_init(struct mr_result *result, struct mr_call *call);
/* Declares `result`, and leaves the kernel when there is no memory for it. */
#define MR_RESULT_BEGIN(call, result, out)                                                         \
    struct mr_result result;                                                                       \
    mr_result_init(&result, call);                                                                 \
    if (result.status != MR_OK)                                                                    \
    return mr_result_finish(&result, out)
#define MR_SET(result, ctype, row, value) (((ctype *)(void *)(result)->values->data)[row] = (value))
void mr_result_decimal(struct mr_result *result, int64_t row, mr_int128 value);
void mr_result_null(struct mr_result *result, int64_t row);
void mr_result_text(struct mr_result *result, int64_t row, const char *text, size_t size);
/* Room for `size` bytes at the end; the row's text is what mr_result_commit says. NULL after a failure. */
char *mr_result_reserve(struct mr_result *result, size_t size);
void mr_result_commit(struct mr_result *result, int64_t row, size_t size);
/* Under ANSI: the error, with the place of the call; else NULL in this row. */
void mr_result_fail(struct mr_result *result, int64_t row, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, naming the offending text where values may be shown. */
void mr_result_fail_value(struct mr_result *result, int64_t row, struct mr_slice value,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));
enum mr_status mr_result_finish(struct mr_result *result, struct mr_column **out);

/* An error of this call that is no matter of ANSI (a bad pattern): fills call->err, returns its status. */
enum mr_status mr_call_fail(struct mr_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Memory of this node and thread that lasts as long as the mr_eval: zeroed the first time. NULL = out of memory. */
void *mr_call_state(struct mr_call *call, size_t size, void (*release)(void *state));
/* LAZY: evaluates argument i for these rows only (call->selected, or a part of it). Any encoding. */
enum mr_status mr_call_eval(struct mr_call *call, int i, const struct mr_selected *selected,
                            struct mr_column **out);

/* Rows under evaluation. `rows` NULL: all of 0 .. count-1. */
struct mr_selected {
    const int32_t *rows;
    int64_t count;
    bool whole; /* the batch's own selection: results may be kept for other places */
};

/* The kernel of a row whose bind always puts another node in the call's place: an internal error. */
enum mr_status mr_kernel_replaced(struct mr_call *call, struct mr_column **out);

/* Bodies of whole kernels: MR_KERNEL_UNARY(kernel_sqrt, double, double, sqrt(x)). Fixed widths only. */
#define MR_KERNEL_UNARY(name, result_type, arg_type, expression)                                   \
    static enum mr_status name(struct mr_call *call, struct mr_column **out)                       \
    {                                                                                              \
        struct mr_arg a_ = mr_arg_of(call, 0);                                                     \
        struct mr_result r_;                                                                       \
        mr_result_init(&r_, call);                                                                 \
        if (r_.status == MR_OK)                                                                    \
            MR_EACH_ROW(call, row)                                                                 \
            {                                                                                      \
                arg_type x = MR_ARG(a_, arg_type, row);                                            \
                MR_SET(&r_, result_type, row, (expression));                                       \
            }                                                                                      \
        return mr_result_finish(&r_, out);                                                         \
    }
#define MR_KERNEL_BINARY(name, result_type, x_type, y_type, expression)                            \
    static enum mr_status name(struct mr_call *call, struct mr_column **out)                       \
    {                                                                                              \
        struct mr_arg a_ = mr_arg_of(call, 0), b_ = mr_arg_of(call, 1);                            \
        struct mr_result r_;                                                                       \
        mr_result_init(&r_, call);                                                                 \
        if (r_.status == MR_OK)                                                                    \
            MR_EACH_ROW(call, row)                                                                 \
            {                                                                                      \
                x_type x = MR_ARG(a_, x_type, row);                                                \
                y_type y = MR_ARG(b_, y_type, row);                                                \
                MR_SET(&r_, result_type, row, (expression));                                       \
            }                                                                                      \
        return mr_result_finish(&r_, out);                                                         \
    }

/* The table. */
extern const struct mr_function_family mr_functions_operator;
extern const struct mr_function_family mr_functions_predicate;
extern const struct mr_function_family mr_functions_null;
extern const struct mr_function_family mr_functions_conditional;
extern const struct mr_function_family mr_functions_math;
extern const struct mr_function_family mr_functions_text;
extern const struct mr_function_family mr_functions_time;
extern const struct mr_function_family mr_functions_time_text;
extern const struct mr_function_family mr_functions_nested;
extern const struct mr_function_family mr_functions_encode;
extern const struct mr_function_family mr_functions_time_units;
extern const struct mr_function_family mr_functions_interval;
extern const struct mr_function_family mr_functions_map;
extern const struct mr_function_family mr_functions_array_make;
extern const struct mr_function_family mr_functions_array_change;
extern const struct mr_function_family mr_functions_array;
extern const struct mr_function_family mr_functions_json;
extern const struct mr_function_family mr_functions_to_json;
extern const struct mr_function_family mr_functions_from_json;
extern const struct mr_function_family mr_functions_json_object;
extern const struct mr_function_family mr_functions_regex;
extern const struct mr_function_family mr_functions_hash;
extern const struct mr_function_family mr_functions_generator;
extern const struct mr_function_family mr_functions_convert;
extern const struct mr_function_family mr_functions_random;
extern const struct mr_function_family mr_functions_url;
extern const struct mr_function_family mr_functions_format;
extern const struct mr_function_family mr_functions_number_text;
extern const struct mr_function_family mr_functions_bytes;

/* The next row of this name after `previous` (NULL: the first); NULL at the end. */
const struct mr_function *mr_function_find(const char *name, const struct mr_function *previous);
/* The known name nearest to this one, or NULL. */
const char *mr_function_nearest(const char *name, char *out, size_t capacity);
/* Why a name that is no function of rows cannot be called here. */
struct mr_function_refusal {
    char message[160];
    char hint[200]; /* may be empty */
};
void mr_function_refuse(const char *name, struct mr_function_refusal *out);
/* Row i over all families; NULL behind the last. */
const struct mr_function *mr_function_at(size_t i);
/* How many arguments it takes; *most is -1 for any number. */
void mr_function_arity(const struct mr_function *function, int *least, int *most);

#endif
