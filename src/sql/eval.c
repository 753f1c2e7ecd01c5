/*
 * eval.c - evaluates bound trees column at a time.
 *
 * Each node gives a whole column of the batch's length; a selection says which rows of it mean something. Operators
 * that must not evaluate a branch for a row (CASE, AND, coalesce) evaluate the branch under a narrower selection, and kernels that
 * can fail touch only selected rows. The alternative, compacting the batch for each branch, copies every column that the
 * branch reads and loses the encodings. A common subexpression is kept in a slot once it was computed for the whole
 * selection of the batch; a narrower result is not kept, since other places may ask for other rows.
 */
#include "sql/eval.h"

#include "col/kernel.h"

#include <assert.h>

enum mr_status mr_eval_new(struct mr_memory *memory, const struct mr_sql_session *session,
                           struct mr_eval **out, struct mr_error *err)
{
    struct mr_eval *eval = mr_calloc(1, sizeof(*eval));
    if (eval == NULL)
        return mr_error_nomem(err);
    eval->memory = memory;
    eval->session = session;
    *out = eval;
    return MR_OK;
}

static void drop_shared(struct mr_eval *eval)
{
    for (int i = 0; i < eval->nshared; i++) {
        mr_column_unref(eval->shared[i].column);
        eval->shared[i].column = NULL;
    }
}

void mr_eval_free(struct mr_eval *eval)
{
    if (eval == NULL)
        return;
    drop_shared(eval);
    mr_free(eval->shared);
    for (int i = 0; i < eval->nstates; i++) {
        if (eval->states[i].release)
            eval->states[i].release(eval->states[i].memory);
        mr_free(eval->states[i].memory);
    }
    mr_free(eval->states);
    mr_free(eval);
}

void mr_eval_show_values(struct mr_eval *eval, bool show)
{
    eval->show_values = show;
}

static enum mr_status reserve_slots(struct mr_eval *eval, int nslots, struct mr_error *err)
{
    if (nslots <= eval->nshared)
        return MR_OK;
    struct mr_shared *shared = mr_realloc(eval->shared, (size_t)nslots * sizeof(*shared));
    if (shared == NULL)
        return mr_error_nomem(err);
    for (int i = eval->nshared; i < nslots; i++)
        shared[i].column = NULL;
    eval->shared = shared;
    eval->nshared = nslots;
    return MR_OK;
}

static enum mr_status constant_null(struct mr_eval *eval, const struct mr_type *type,
                                    int64_t length, struct mr_column **out, struct mr_error *err)
{
    struct mr_value value = {.type = type, .is_null = true};
    return mr_column_new_constant(eval->memory, type, &value, length, out, err);
}

/* Arguments that are evaluated. */
static int evaluated(const struct mr_node *node)
{
    return mr_node_impl(node)->flags & MR_FN_FIRST ? 1 : node->nargs;
}

static enum mr_failure failure_of(const struct mr_eval *eval, const struct mr_node *node)
{
    if (node->try_cast || (mr_node_impl(node)->flags & MR_FN_TRY))
        return MR_FAIL_NULL;
    return eval->session->ansi ? MR_FAIL_RAISE : MR_FAIL_WRAP;
}

/* Validity of a strict result over the arguments: shared when only one of them has NULLs. */
static enum mr_status strict_validity(struct mr_eval *eval, struct mr_column *const *args,
                                      int nargs, int64_t length, struct mr_buffer **out,
                                      struct mr_error *err)
{
    *out = NULL;
    bool own = false;
    for (int i = 0; i < nargs; i++) {
        if (args[i]->encoding == MR_CONSTANT || args[i]->validity == NULL)
            continue;
        if (*out == NULL) {
            *out = mr_buffer_ref(args[i]->validity);
        } else if (own) {
            mr_bitmap_and((*out)->data, (*out)->data, args[i]->validity->data, length);
        } else {
            struct mr_buffer *both;
            enum mr_status status =
                mr_buffer_new(eval->memory, mr_bitmap_bytes(length), &both, err);
            if (status != MR_OK) {
                mr_buffer_unref(*out);
                *out = NULL;
                return status;
            }
            mr_bitmap_and(both->data, (*out)->data, args[i]->validity->data, length);
            mr_buffer_finish(both, mr_bitmap_bytes(length));
            mr_buffer_unref(*out);
            *out = both;
            own = true;
        }
    }
    return MR_OK;
}

/* The selected rows that are valid, as a list. */
static enum mr_status valid_rows(struct mr_eval *eval, const uint8_t *validity,
                                 const struct mr_selected *selected, struct mr_buffer **out,
                                 int64_t *count, struct mr_error *err)
{
    MR_TRY(mr_buffer_new(eval->memory, (size_t)selected->count * sizeof(int32_t), out, err));
    int32_t *rows = (int32_t *)(void *)(*out)->data;
    int64_t n = 0;
    for (int64_t i = 0; i < selected->count; i++) {
        int32_t row = selected->rows ? selected->rows[i] : (int32_t)i;
        rows[n] = row;
        n += mr_bitmap_get(validity, row);
    }
    *count = n;
    return MR_OK;
}

/* Runs the kernel on FLAT and CONSTANT arguments, not all of them CONSTANT. */
static enum mr_status run_kernel(struct mr_eval *eval, const struct mr_node *node,
                                 struct mr_column *const *args, int64_t length,
                                 const struct mr_selected *selected, struct mr_column **out,
                                 struct mr_error *err)
{
    const struct mr_impl *impl = mr_node_impl(node);
    struct mr_buffer *rows = NULL;
    enum mr_status status = MR_OK;
    struct mr_call call = {.eval = eval,
                           .memory = eval->memory,
                           .session = eval->session,
                           .node = node,
                           .type = node->type,
                           .data = impl->data,
                           .failure = failure_of(eval, node),
                           .nargs = evaluated(node),
                           .args = args,
                           .length = length,
                           .rows = selected->rows,
                           .count = selected->count,
                           .selected = selected,
                           .err = err};
    if (!(impl->flags & MR_FN_NULLS))
        MR_TRY_OUT(strict_validity(eval, args, evaluated(node), length, &call.validity, err));
    bool fixed = mr_type_layout(node->type) < MR_LAYOUT_BYTES;
    if ((impl->flags & MR_FN_TOTAL) && fixed && selected->count * 4 >= length) {
        call.rows = NULL;
        call.count = length;
    } else if (call.validity != NULL) {
        MR_TRY_OUT(valid_rows(eval, call.validity->data, selected, &rows, &call.count, err));
        call.rows = (const int32_t *)(const void *)rows->data;
    }
    status = impl->kernel(&call, out);
out:
    mr_buffer_unref(rows);
    mr_buffer_unref(call.validity);
    return status;
}

/* The one row of `column`, for `length` rows. */
static enum mr_status to_constant(struct mr_eval *eval, struct mr_column *column, int64_t length,
                                  struct mr_column **out, struct mr_error *err)
{
    struct mr_value value;
    mr_column_get(column, 0, &value);
    enum mr_status status =
        mr_column_new_constant(eval->memory, column->type, &value, length, out, err);
    mr_column_unref(column);
    return status;
}

static enum mr_status apply_constant(struct mr_eval *eval, const struct mr_node *node,
                                     struct mr_column *const *args, int64_t length,
                                     struct mr_column **out, struct mr_error *err)
{
    int nargs = evaluated(node);
    struct mr_selected one = {.count = 1};
    struct mr_column *column;
    if (!(mr_node_impl(node)->flags & MR_FN_NULLS)) {
        for (int i = 0; i < nargs; i++) {
            if (mr_column_is_null(args[i], 0))
                return constant_null(eval, node->type, length, out, err);
        }
    }
    MR_TRY(run_kernel(eval, node, args, 1, &one, &column, err));
    return to_constant(eval, column, length, out, err);
}

/* Entries of a dictionary that some selected row refers to, ascending. */
static enum mr_status used_entries(struct mr_eval *eval, const struct mr_column *column,
                                   const struct mr_selected *selected, struct mr_buffer **out,
                                   int64_t *count, struct mr_error *err)
{
    int64_t entries = column->dictionary->length;
    const int32_t *codes = mr_column_offsets(column);
    MR_TRY(mr_buffer_new(eval->memory, (size_t)entries * sizeof(int32_t), out, err));
    int32_t *used = (int32_t *)(void *)(*out)->data;
    memset(used, 0, (size_t)entries * sizeof(int32_t));
    for (int64_t i = 0; i < selected->count; i++) {
        int64_t row = selected->rows ? selected->rows[i] : i;
        if (!mr_column_is_null(column, row))
            used[codes[row]] = 1;
    }
    int64_t n = 0;
    for (int64_t i = 0; i < entries; i++) {
        bool is_used = used[i] != 0;
        used[n] = (int32_t)i;
        n += is_used;
    }
    *count = n;
    return MR_OK;
}

/* The results of the entries, back at the rows: text stays a dictionary, narrow values are gathered. */
static enum mr_status spread_entries(struct mr_eval *eval, const struct mr_column *column,
                                     struct mr_column *entries, struct mr_column **out,
                                     struct mr_error *err)
{
    if (mr_type_layout(entries->type) == MR_LAYOUT_BYTES && entries->nulls == 0)
        return mr_column_new_dictionary(entries, column->length, column->nulls,
                                        mr_buffer_ref(column->validity),
                                        mr_buffer_ref(column->values), out, err);
    enum mr_status status;
    struct mr_buffer *rows = NULL;
    const int32_t *codes = mr_column_offsets(column);
    if (column->nulls > 0) {
        status = mr_buffer_new(eval->memory, (size_t)column->length * sizeof(int32_t), &rows, err);
        if (status != MR_OK)
            goto out;
        int32_t *to = (int32_t *)(void *)rows->data;
        for (int64_t i = 0; i < column->length; i++)
            to[i] = mr_column_is_null(column, i) ? -1 : codes[i];
        codes = to;
    }
    status = mr_column_take(eval->memory, entries, codes, column->length, out, err);
out:
    mr_buffer_unref(rows);
    mr_column_unref(entries);
    return status;
}

/* One DICTIONARY argument, the others CONSTANT: the kernel runs on the entries in use. */
static enum mr_status apply_dictionary(struct mr_eval *eval, const struct mr_node *node,
                                       struct mr_column *const *args, int which,
                                       const struct mr_selected *selected, struct mr_column **out,
                                       struct mr_error *err)
{
    int nargs = evaluated(node);
    const struct mr_column *column = args[which];
    struct mr_column *inner[8];
    struct mr_column *entries;
    struct mr_buffer *used = NULL;
    struct mr_selected some = {0};
    assert(nargs <= 8);
    for (int i = 0; i < nargs; i++)
        inner[i] = i == which ? column->dictionary : args[i];
    if (mr_node_impl(node)->flags & MR_FN_TOTAL) {
        some.count = column->dictionary->length;
    } else {
        MR_TRY(used_entries(eval, column, selected, &used, &some.count, err));
        some.rows = (const int32_t *)(const void *)used->data;
    }
    enum mr_status status =
        run_kernel(eval, node, inner, column->dictionary->length, &some, &entries, err);
    mr_buffer_unref(used);
    if (status != MR_OK)
        return status;
    return spread_entries(eval, column, entries, out, err);
}

/* The dictionary argument that the call can be evaluated through, -1 when there is none. */
static int dictionary_argument(const struct mr_node *node, struct mr_column *const *args,
                               const struct mr_selected *selected)
{
    int nargs = evaluated(node);
    int found = -1;
    if (nargs > 8 || (mr_node_impl(node)->flags & MR_FN_NULLS))
        return -1;
    for (int i = 0; i < nargs; i++) {
        if (args[i]->encoding == MR_FLAT)
            return -1;
        if (args[i]->encoding == MR_CONSTANT) {
            if (args[i]->validity != NULL && mr_column_is_null(args[i], 0))
                return -1;
            continue;
        }
        if (found >= 0 || args[i]->dictionary->length > selected->count)
            return -1;
        found = i;
    }
    return found;
}

static enum mr_status apply_flat(struct mr_eval *eval, const struct mr_node *node,
                                 struct mr_column *const *args, const struct mr_selected *selected,
                                 struct mr_column **out, struct mr_error *err)
{
    int nargs = evaluated(node);
    int64_t length = eval->batch->rows;
    struct mr_column **flat = mr_calloc((size_t)nargs + 1, sizeof(*flat));
    if (flat == NULL)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    bool null = false;
    for (int i = 0; i < nargs && status == MR_OK; i++) {
        if (args[i]->encoding == MR_DICTIONARY)
            status = mr_column_flatten(eval->memory, args[i], &flat[i], err);
        else
            flat[i] = mr_column_ref(args[i]);
        null |= args[i]->encoding == MR_CONSTANT && mr_column_is_null(args[i], 0);
        null |= args[i]->type->id == MR_TYPE_NULL;
    }
    if (status == MR_OK && null && !(mr_node_impl(node)->flags & MR_FN_NULLS))
        status = constant_null(eval, node->type, length, out, err);
    else if (status == MR_OK)
        status = run_kernel(eval, node, flat, length, selected, out, err);
    for (int i = 0; i < nargs; i++)
        mr_column_unref(flat[i]);
    mr_free(flat);
    return status;
}

enum mr_status mr_eval_apply(struct mr_eval *eval, const struct mr_node *node,
                             struct mr_column *const *args, const struct mr_selected *selected,
                             struct mr_column **out, struct mr_error *err)
{
    int nargs = evaluated(node);
    int constants = 0;
    for (int i = 0; i < nargs; i++)
        constants += args[i]->encoding == MR_CONSTANT;
    if (constants == nargs && !(mr_node_impl(node)->flags & MR_FN_VOLATILE))
        return apply_constant(eval, node, args, eval->batch->rows, out, err);
    int which = dictionary_argument(node, args, selected);
    if (which >= 0)
        return apply_dictionary(eval, node, args, which, selected, out, err);
    return apply_flat(eval, node, args, selected, out, err);
}

static bool any_null(const struct mr_column *column)
{
    return column->nulls > 0 || column->type->id == MR_TYPE_NULL;
}

/* Leaves the rows of `rest` where the column has a value; `buffer` holds them and what it held is released. */
static enum mr_status drop_nulls(struct mr_eval *eval, const struct mr_column *column,
                                 struct mr_selected *rest, struct mr_buffer **buffer,
                                 struct mr_error *err)
{
    struct mr_buffer *rows;
    MR_TRY(mr_buffer_new(eval->memory, (size_t)rest->count * sizeof(int32_t), &rows, err));
    int32_t *to = (int32_t *)(void *)rows->data;
    int64_t n = 0;
    for (int64_t i = 0; i < rest->count; i++) {
        int32_t row = rest->rows ? rest->rows[i] : (int32_t)i;
        to[n] = row;
        n += !mr_column_is_null(column, row);
    }
    mr_buffer_unref(*buffer);
    *buffer = rows;
    *rest = (struct mr_selected){.rows = to, .count = n};
    return MR_OK;
}

/*
 * The arguments in the order in which Spark evaluates them. Where one is NULL the later ones are not evaluated, so their
 * errors are not raised.
 */
static enum mr_status eval_arguments(struct mr_eval *eval, const struct mr_node *node,
                                     const struct mr_selected *selected, struct mr_column **args,
                                     struct mr_error *err)
{
    const struct mr_impl *impl = mr_node_impl(node);
    int nargs = evaluated(node);
    bool backwards = impl->flags & MR_FN_LAST_FIRST;
    struct mr_selected rest = *selected;
    struct mr_buffer *buffer = NULL;
    enum mr_status status = MR_OK;
    for (int i = 0; i < nargs && status == MR_OK; i++) {
        int at = backwards ? nargs - 1 - i : i;
        status = mr_eval_node(eval, node->args[at], &rest, &args[at], err);
        if (status != MR_OK || i + 1 == nargs || (impl->flags & MR_FN_NULLS) || !any_null(args[at]))
            continue;
        bool fallible = false;
        for (int j = i + 1; j < nargs; j++)
            fallible |= mr_node_impl(node->args[backwards ? nargs - 1 - j : j])->fallible;
        if (fallible)
            status = drop_nulls(eval, args[at], &rest, &buffer, err);
    }
    mr_buffer_unref(buffer);
    return status;
}

static enum mr_status eval_call(struct mr_eval *eval, const struct mr_node *node,
                                const struct mr_selected *selected, struct mr_column **out,
                                struct mr_error *err)
{
    int nargs = evaluated(node);
    struct mr_column *few[4] = {0};
    struct mr_column **args = few;
    if (nargs > 4 && (args = mr_calloc((size_t)nargs, sizeof(*args))) == NULL)
        return mr_error_nomem(err);
    enum mr_status status = eval_arguments(eval, node, selected, args, err);
    if (status == MR_OK)
        status = mr_eval_apply(eval, node, args, selected, out, err);
    for (int i = 0; i < nargs; i++)
        mr_column_unref(args[i]);
    if (args != few)
        mr_free(args);
    return status;
}

static enum mr_status eval_lazy(struct mr_eval *eval, const struct mr_node *node,
                                const struct mr_selected *selected, struct mr_column **out,
                                struct mr_error *err)
{
    struct mr_call call = {.eval = eval,
                           .memory = eval->memory,
                           .session = eval->session,
                           .node = node,
                           .type = node->type,
                           .data = mr_node_impl(node)->data,
                           .failure = failure_of(eval, node),
                           .nargs = evaluated(node),
                           .length = eval->batch->rows,
                           .rows = selected->rows,
                           .count = selected->count,
                           .selected = selected,
                           .err = err};
    return mr_node_impl(node)->kernel(&call, out);
}

static enum mr_status eval_plain(struct mr_eval *eval, const struct mr_node *node,
                                 const struct mr_selected *selected, struct mr_column **out,
                                 struct mr_error *err)
{
    switch (node->kind) {
    case MR_NODE_COLUMN:
        *out = mr_column_ref(eval->batch->columns[node->column]);
        return MR_OK;
    case MR_NODE_LITERAL:
        return mr_column_new_constant(eval->memory, node->type, &node->literal, eval->batch->rows,
                                      out, err);
    default:
        break;
    }
    if (selected->count == 0)
        return constant_null(eval, node->type, eval->batch->rows, out, err);
    if (node->kind == MR_NODE_CASE)
        return mr_eval_case(eval, node, selected, out, err);
    if (mr_node_impl(node)->flags & MR_FN_LAZY)
        return eval_lazy(eval, node, selected, out, err);
    return eval_call(eval, node, selected, out, err);
}

enum mr_status mr_eval_node(struct mr_eval *eval, const struct mr_node *node,
                            const struct mr_selected *selected, struct mr_column **out,
                            struct mr_error *err)
{
    int slot = node->shared;
    if (slot >= 0 && slot < eval->nshared && eval->shared[slot].column != NULL) {
        *out = mr_column_ref(eval->shared[slot].column);
        return MR_OK;
    }
    MR_TRY(eval_plain(eval, node, selected, out, err));
    if (slot >= 0 && slot < eval->nshared && selected->whole)
        eval->shared[slot].column = mr_column_ref(*out);
    return MR_OK;
}

static enum mr_status split_flat(struct mr_eval *eval, const struct mr_column *condition,
                                 const struct mr_selected *selected, struct mr_buffer **yes,
                                 int64_t *nyes, struct mr_buffer **no, int64_t *nno,
                                 struct mr_error *err)
{
    size_t size = (size_t)selected->count * sizeof(int32_t);
    struct mr_arg arg = mr_arg_of_column(condition);
    bool null_type = condition->type->id == MR_TYPE_NULL;
    *yes = *no = NULL;
    enum mr_status status = mr_buffer_new(eval->memory, size, yes, err);
    if (status == MR_OK)
        status = mr_buffer_new(eval->memory, size, no, err);
    if (status != MR_OK) {
        mr_buffer_unref(*yes);
        *yes = NULL;
        return status;
    }
    int32_t *to_yes = (int32_t *)(void *)(*yes)->data;
    int32_t *to_no = (int32_t *)(void *)(*no)->data;
    int64_t n = 0, m = 0;
    for (int64_t i = 0; i < selected->count; i++) {
        int32_t row = selected->rows ? selected->rows[i] : (int32_t)i;
        bool is_true = !null_type && MR_ARG(arg, uint8_t, row) && !mr_arg_is_null(&arg, row);
        to_yes[n] = row;
        to_no[m] = row;
        n += is_true;
        m += !is_true;
    }
    *nyes = n;
    *nno = m;
    return MR_OK;
}

enum mr_status mr_eval_split(struct mr_eval *eval, struct mr_column *condition,
                             const struct mr_selected *selected, struct mr_buffer **yes,
                             int64_t *nyes, struct mr_buffer **no, int64_t *nno,
                             struct mr_error *err)
{
    struct mr_column *flat = NULL;
    if (condition->encoding == MR_DICTIONARY)
        MR_TRY(mr_column_flatten(eval->memory, condition, &flat, err));
    enum mr_status status =
        split_flat(eval, flat ? flat : condition, selected, yes, nyes, no, nno, err);
    mr_column_unref(flat);
    return status;
}

static struct mr_selected whole_batch(const struct mr_batch *batch)
{
    return (struct mr_selected){.rows = mr_selection_rows(batch->selection),
                                .count = mr_batch_active(batch),
                                .whole = true};
}

static enum mr_status begin(struct mr_eval *eval, const struct mr_batch *batch, int nslots,
                            struct mr_error *err)
{
    drop_shared(eval);
    eval->batch = batch;
    return reserve_slots(eval, nslots, err);
}

enum mr_status mr_eval_failing(struct mr_eval *eval, const struct mr_expr *expr,
                               const struct mr_selected *selected, struct mr_error *err)
{
    for (int i = 0; i < expr->nfailing && selected->count > 0; i++) {
        struct mr_column *column = NULL;
        MR_TRY(mr_eval_node(eval, expr->failing[i], selected, &column, err));
        mr_column_unref(column);
    }
    return MR_OK;
}

enum mr_status mr_expr_eval(struct mr_eval *eval, const struct mr_expr *expr,
                            const struct mr_batch *batch, struct mr_column **out,
                            struct mr_error *err)
{
    struct mr_selected selected = whole_batch(batch);
    MR_TRY(begin(eval, batch, expr->nslots, err));
    eval->text = expr->text;
    enum mr_status status = mr_eval_failing(eval, expr, &selected, err);
    if (status == MR_OK)
        status = mr_eval_node(eval, expr->root, &selected, out, err);
    drop_shared(eval);
    return status;
}

enum mr_status mr_projection_eval(struct mr_eval *eval, const struct mr_projection *projection,
                                  const struct mr_batch *batch, struct mr_column **columns,
                                  struct mr_error *err)
{
    struct mr_selected selected = whole_batch(batch);
    MR_TRY(begin(eval, batch, projection->nslots, err));
    enum mr_status status = MR_OK;
    int done = 0;
    for (; done < projection->count && status == MR_OK; done++) {
        const struct mr_expr *expr = &projection->exprs[done];
        eval->text = expr->text;
        columns[done] = NULL;
        status = mr_eval_failing(eval, expr, &selected, err);
        if (status == MR_OK)
            status = mr_eval_node(eval, expr->root, &selected, &columns[done], err);
    }
    drop_shared(eval);
    for (int i = 0; status != MR_OK && i < done; i++) {
        mr_column_unref(columns[i]);
        columns[i] = NULL;
    }
    return status;
}
