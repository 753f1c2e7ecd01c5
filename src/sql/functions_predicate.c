/*
 * functions_predicate.c - comparison, logic, IS, LIKE, RLIKE, IN and BETWEEN as rows of the function table.
 *
 * Comparisons cast both sides to Spark's common type first, so that each kernel sees equal types. BETWEEN, and IN over anything but
 * constants, are replaced by the comparisons they stand for.
 */
#include "sql/coerce.h"
#include "sql/compare.h"
#include "sql/in_set.h"
#include "sql/like.h"
#include "sql/logic.h"
#include "sql/regex.h"
#include "sql/unit.h"
#include "sql/vector.h"

static enum mr_status bind_pair(struct mr_binding *binding, bool ordered)
{
    struct mr_node **args = binding->args;
    const struct mr_type *type =
        mr_comparison_type(binding->arena, binding->session, args[0]->type, args[1]->type);
    /* With ANSI off a boolean equals a number, but is not less than one. */
    bool mixed = mr_type_is_numeric(args[0]->type) && args[1]->type->id == MR_TYPE_BOOL;
    mixed |= mr_type_is_numeric(args[1]->type) && args[0]->type->id == MR_TYPE_BOOL;
    if (type == NULL || type->id == MR_TYPE_MAP ||
        (ordered && (mixed || !mr_type_is_orderable(type)))) {
        char a[128], b[128];
        return mr_bind_fail(binding, -1, "cannot compare %s and %s",
                            mr_type_text(args[0]->type, a, sizeof(a)),
                            mr_type_text(args[1]->type, b, sizeof(b)));
    }
    MR_TRY(mr_bind_cast(binding, 0, type));
    return mr_bind_cast(binding, 1, type);
}

static enum mr_status bind_equal(struct mr_binding *binding)
{
    return bind_pair(binding, false);
}

static enum mr_status bind_order(struct mr_binding *binding)
{
    return bind_pair(binding, true);
}

static enum mr_status compare(struct mr_call *call, enum compare_op op, struct mr_column **out)
{
    struct mr_buffer *values;
    MR_TRY(mr_fixed_new(call, &values));
    mr_compare_columns(op, call->args[0], call->args[1], call->rows, call->count, values->data);
    return mr_fixed_finish(call, values, out);
}

#define COMPARISON(name, op)                                                                       \
    static enum mr_status name(struct mr_call *call, struct mr_column **out)                       \
    {                                                                                              \
        return compare(call, op, out);                                                             \
    }
COMPARISON(kernel_eq, OP_EQ)
COMPARISON(kernel_ne, OP_NE)
COMPARISON(kernel_lt, OP_LT)
COMPARISON(kernel_le, OP_LE)
COMPARISON(kernel_gt, OP_GT)
COMPARISON(kernel_ge, OP_GE)

/* a <=> b: NULL equals NULL, never NULL. */
static enum mr_status kernel_null_safe(struct mr_call *call, struct mr_column **out)
{
    struct mr_result result;
    struct mr_column *a = call->args[0], *b = call->args[1];
    mr_result_init(&result, call);
    if (result.status == MR_OK && a->type->id != MR_TYPE_NULL)
        mr_compare_columns(OP_EQ, a, b, call->rows, call->count, result.values->data);
    if (result.status == MR_OK)
        MR_EACH_ROW(call, row)
        {
            bool x = mr_column_is_null(a, row), y = mr_column_is_null(b, row);
            if (x || y)
                MR_SET(&result, uint8_t, row, x && y);
        }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_not(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_buffer *values;
    MR_TRY(mr_fixed_new(call, &values));
    MR_EACH_ROW(call, row)
    values->data[row] = !MR_ARG(x, uint8_t, row);
    return mr_fixed_finish(call, values, out);
}

static enum mr_status test_null(struct mr_call *call, bool wanted, struct mr_column **out)
{
    struct mr_result result;
    mr_result_init(&result, call);
    if (result.status == MR_OK)
        MR_EACH_ROW(call, row)
    MR_SET(&result, uint8_t, row, mr_column_is_null(call->args[0], row) == wanted);
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_is_null(struct mr_call *call, struct mr_column **out)
{
    return test_null(call, true, out);
}

static enum mr_status kernel_is_not_null(struct mr_call *call, struct mr_column **out)
{
    return test_null(call, false, out);
}

static enum mr_status test_truth(struct mr_call *call, uint8_t wanted, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_result result;
    mr_result_init(&result, call);
    if (result.status == MR_OK)
        MR_EACH_ROW(call, row)
    MR_SET(&result, uint8_t, row,
           !mr_column_is_null(call->args[0], row) && MR_ARG(x, uint8_t, row) == wanted);
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_is_true(struct mr_call *call, struct mr_column **out)
{
    return test_truth(call, 1, out);
}

static enum mr_status kernel_is_false(struct mr_call *call, struct mr_column **out)
{
    return test_truth(call, 0, out);
}

/* x IS TRUE of something else than a boolean is x <=> TRUE, with the casts of a comparison. */
static enum mr_status bind_truth(struct mr_binding *binding, bool wanted)
{
    struct mr_value value = {.type = mr_type_of(MR_TYPE_BOOL), .u.i64 = wanted};
    struct mr_node *args[2] = {binding->args[0]};
    MR_TRY(mr_unit_literal(binding->binder, &value, binding->position, &args[1]));
    return mr_bind_call(binding, "<=>", 2, args, &binding->replacement);
}

static enum mr_status bind_is_true(struct mr_binding *binding)
{
    return bind_truth(binding, true);
}

static enum mr_status bind_is_false(struct mr_binding *binding)
{
    return bind_truth(binding, false);
}

static enum mr_status kernel_rlike(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg text = mr_arg_of(call, 0), pattern = mr_arg_of(call, 1);
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        struct mr_regex *regex;
        const size_t *groups;
        if (result.status != MR_OK)
            break;
        result.status = mr_regex_get(call, 0, mr_arg_text(&pattern, row), &regex);
        if (result.status != MR_OK)
            break;
        int found = mr_regex_match(call, regex, mr_arg_text(&text, row), 0, &groups);
        if (found < 0)
            result.status = MR_CONFIG;
        else
            MR_SET(&result, uint8_t, row, found > 0);
    }
    return mr_result_finish(&result, out);
}

/* x BETWEEN a AND b: each bound is compared in its own common type, as Spark does. */
static enum mr_status bind_between(struct mr_binding *binding)
{
    struct mr_node *low[2] = {binding->args[0], binding->args[1]};
    struct mr_node *high[2] = {binding->args[0], binding->args[2]};
    struct mr_node *both[2];
    MR_TRY(mr_bind_call(binding, ">=", 2, low, &both[0]));
    MR_TRY(mr_bind_call(binding, "<=", 2, high, &both[1]));
    return mr_bind_call(binding, "AND", 2, both, &binding->replacement);
}

static enum mr_status bind_in(struct mr_binding *binding)
{
    const struct mr_type *type = binding->args[0]->type;
    bool constant = true;
    for (int i = 1; i < binding->nargs; i++) {
        const struct mr_type *wider =
            mr_common_type(binding->arena, binding->session, type, binding->args[i]->type);
        if (wider == NULL || wider->id == MR_TYPE_MAP) {
            char a[128], b[128];
            return mr_bind_fail(binding, i, "cannot look for %s among %s",
                                mr_type_text(binding->args[0]->type, a, sizeof(a)),
                                mr_type_text(binding->args[i]->type, b, sizeof(b)));
        }
        type = wider;
    }
    for (int i = 0; i < binding->nargs; i++) {
        MR_TRY(mr_bind_cast(binding, i, type));
        constant &= i == 0 || binding->args[i]->kind == MR_NODE_LITERAL;
    }
    if (constant && mr_in_set_supports(type))
        return mr_in_set_bind(binding);
    struct mr_node **tests =
        mr_arena_calloc(binding->arena, (size_t)binding->nargs, sizeof(*tests));
    if (tests == NULL)
        return mr_error_nomem(binding->err);
    for (int i = 1; i < binding->nargs; i++) {
        struct mr_node *pair[2] = {binding->args[0], binding->args[i]};
        MR_TRY(mr_bind_call(binding, "=", 2, pair, &tests[i - 1]));
    }
    if (binding->nargs == 2) {
        binding->replacement = tests[0];
        return MR_OK;
    }
    return mr_bind_call(binding, "OR", binding->nargs - 1, tests, &binding->replacement);
}

/* Drops what constants decide: nothing is left of TRUE AND x but x. Errors in x stay where they are. */
static enum mr_status bind_chain(struct mr_binding *binding, int neutral)
{
    int kept = 0;
    for (int i = 0; i < binding->nargs; i++) {
        struct mr_value value;
        if (mr_bind_constant(binding, i, &value) && !value.is_null && value.u.i64 == neutral)
            continue;
        binding->args[kept++] = binding->args[i];
    }
    if (kept == 0)
        kept = 1;
    binding->nargs = kept;
    if (kept == 1)
        binding->replacement = binding->args[0];
    struct mr_value first;
    if (mr_bind_constant(binding, 0, &first) && !first.is_null && first.u.i64 != neutral)
        binding->replacement = binding->args[0];
    return MR_OK;
}

/* Was the operand text, or the literal NULL, before its implicit cast? */
static bool was_text(const struct mr_node *node, bool *null)
{
    *null = node->kind == MR_NODE_LITERAL && node->literal.is_null;
    return node->kind == MR_NODE_CAST && node->implicit && mr_type_is_string(node->args[0]->type);
}

/* Under ANSI text beside a boolean is cast; two texts have no reason to become booleans. */
static enum mr_status check_texts(struct mr_binding *binding)
{
    bool a_null, b_null;
    bool a = was_text(binding->args[0], &a_null), b = was_text(binding->args[1], &b_null);
    if ((a && (b || b_null)) || (b && a_null))
        return mr_bind_fail(binding, -1, "it works on booleans, not on texts");
    return MR_OK;
}

static enum mr_status bind_and(struct mr_binding *binding)
{
    MR_TRY(check_texts(binding));
    return bind_chain(binding, 1);
}

static enum mr_status bind_or(struct mr_binding *binding)
{
    MR_TRY(check_texts(binding));
    return bind_chain(binding, 0);
}

#define EQUALITY(symbol, kernel_name)                                                              \
    {                                                                                              \
        .names = symbol, .args = "aa", .result = "z", .flags = MR_FN_TOTAL, .kernel = kernel_name, \
        .bind = bind_equal                                                                         \
    }
#define ORDER(symbol, kernel_name)                                                                 \
    {                                                                                              \
        .names = symbol, .args = "aa", .result = "z", .flags = MR_FN_TOTAL, .kernel = kernel_name, \
        .bind = bind_order                                                                         \
    }
#define NULL_TEST(symbol, argument, kernel_name)                                                   \
    {                                                                                              \
        .names = symbol, .args = argument, .result = "z",                                          \
        .flags = MR_FN_TOTAL | MR_FN_NULLS | MR_FN_NEVER_NULL, .kernel = kernel_name               \
    }

static const struct mr_function functions[] = {
    EQUALITY("=", kernel_eq),
    EQUALITY("<>", kernel_ne),
    ORDER("<", kernel_lt),
    ORDER("<=", kernel_le),
    ORDER(">", kernel_gt),
    ORDER(">=", kernel_ge),
    {.names = "<=>",
     .args = "aa",
     .result = "z",
     .flags = MR_FN_TOTAL | MR_FN_NULLS | MR_FN_NEVER_NULL,
     .kernel = kernel_null_safe,
     .bind = bind_equal},
    /* The operands carry their own failures: the chain itself has none. */
    {.names = "AND",
     .args = "zz*",
     .result = "z",
     .flags = MR_FN_LAZY | MR_FN_TOTAL,
     .kernel = mr_kernel_and,
     .bind = bind_and},
    {.names = "OR",
     .args = "zz*",
     .result = "z",
     .flags = MR_FN_LAZY | MR_FN_TOTAL,
     .kernel = mr_kernel_or,
     .bind = bind_or},
    {.names = "NOT", .args = "z", .result = "z", .flags = MR_FN_TOTAL, .kernel = kernel_not},
    NULL_TEST("IS NULL", "a", kernel_is_null),
    NULL_TEST("IS NOT NULL", "a", kernel_is_not_null),
    NULL_TEST("IS TRUE", "z", kernel_is_true),
    NULL_TEST("IS FALSE", "z", kernel_is_false),
    {.names = "IS TRUE",
     .args = "a",
     .result = "z",
     .kernel = mr_kernel_replaced,
     .bind = bind_is_true},
    {.names = "IS FALSE",
     .args = "a",
     .result = "z",
     .kernel = mr_kernel_replaced,
     .bind = bind_is_false},
    {.names = "LIKE", .args = "ss?s", .result = "z", .kernel = mr_kernel_like},
    {.names = "ILIKE", .args = "ss?s", .result = "z", .kernel = mr_kernel_ilike},
    {.names = "RLIKE regexp regexp_like",
     .args = "ss",
     .result = "z",
     .kernel = kernel_rlike,
     .signature = "regexp_like(text, pattern)",
     .family = "text",
     .doc = "Is there a match of the regular expression in the text?"},
    {.names = "BETWEEN",
     .args = "aaa",
     .result = "z",
     .kernel = mr_kernel_replaced,
     .bind = bind_between},
    {.names = "IN",
     .args = "aa*",
     .result = "z",
     .flags = MR_FN_TOTAL,
     .kernel = mr_kernel_in_set,
     .bind = bind_in},
};

const struct mr_function_family mr_functions_predicate = {functions,
                                                          sizeof(functions) / sizeof(functions[0])};
