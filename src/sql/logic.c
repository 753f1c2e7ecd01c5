/*
 * logic.c - AND and OR over any number of operands, and the filter.
 *
 * A truth value is one byte: 0 false, 1 unknown, 2 true, so that AND is min and OR is max, in loops without branches. Operands go
 * left to right. One that can raise an error is evaluated only for rows that the operands before it have not decided (Spark's
 * short circuit), and so is any operand when three quarters of the rows are decided: the narrower selection saves more than it costs.
 */
#include "sql/logic.h"
#include "sql/eval.h"
#include "sql/vector.h"

enum { IS_FALSE = 0, IS_UNKNOWN = 1, IS_TRUE = 2 };

static MR_VECTORISE void double_bytes(const uint8_t *restrict in, uint8_t *restrict out,
                                      int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (uint8_t)(in[i] << 1);
}

static MR_VECTORISE void merge_min(uint8_t *restrict state, const uint8_t *restrict next,
                                   int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        state[i] = state[i] < next[i] ? state[i] : next[i];
}

static MR_VECTORISE void merge_max(uint8_t *restrict state, const uint8_t *restrict next,
                                   int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        state[i] = state[i] > next[i] ? state[i] : next[i];
}

static MR_VECTORISE int64_t count_byte(const uint8_t *bytes, uint8_t wanted, int64_t count)
{
    int64_t found = 0;
    for (int64_t from = 0; from < count; from += 128) {
        int64_t to = from + 128 < count ? from + 128 : count;
        uint8_t part = 0;
        for (int64_t i = from; i < to; i++)
            part = (uint8_t)(part + (bytes[i] == wanted));
        found += part;
    }
    return found;
}

/* Truth values of a BOOL column for all rows. */
static enum mr_status truth_of(struct mr_eval *eval, struct mr_column *column, uint8_t *out,
                               struct mr_error *err)
{
    struct mr_column *flat = NULL;
    int64_t length = column->length;
    if (column->type->id == MR_TYPE_NULL) {
        memset(out, IS_UNKNOWN, (size_t)length);
        return MR_OK;
    }
    if (column->encoding == MR_DICTIONARY) {
        MR_TRY(mr_column_flatten(eval->memory, column, &flat, err));
        column = flat;
    }
    const uint8_t *values = column->values->data;
    const uint8_t *validity = mr_column_validity(column);
    if (column->encoding == MR_CONSTANT) {
        int value = mr_column_is_null(column, 0) ? IS_UNKNOWN : values[0] << 1;
        memset(out, value, (size_t)length);
    } else {
        double_bytes(values, out, length);
        for (int64_t i = 0; validity != NULL && i < length; i++)
            out[i] = mr_bitmap_get(validity, i) ? out[i] : IS_UNKNOWN;
    }
    mr_column_unref(flat);
    return MR_OK;
}

struct chain {
    struct mr_call *call;
    bool is_and;
    uint8_t decided;        /* the truth value that no later operand can change */
    uint8_t *state;         /* a byte a row */
    uint8_t *next;          /* of the operand at hand */
    struct mr_buffer *rows; /* undecided rows, when narrowed */
    struct mr_selected selected;
};

/* Leaves only undecided rows in the selection. */
static enum mr_status narrow(struct chain *chain)
{
    struct mr_call *call = chain->call;
    struct mr_buffer *buffer;
    size_t size = (size_t)chain->selected.count * sizeof(int32_t);
    MR_TRY(mr_buffer_new(call->memory, size, &buffer, call->err));
    int32_t *rows = (int32_t *)(void *)buffer->data;
    int64_t n = 0;
    for (int64_t i = 0; i < chain->selected.count; i++) {
        int32_t row = chain->selected.rows ? chain->selected.rows[i] : (int32_t)i;
        rows[n] = row;
        n += chain->state[row] != chain->decided;
    }
    mr_buffer_unref(chain->rows);
    chain->rows = buffer;
    chain->selected = (struct mr_selected){.rows = rows, .count = n};
    return MR_OK;
}

static void merge(struct chain *chain)
{
    if (chain->selected.rows == NULL) {
        if (chain->is_and)
            merge_min(chain->state, chain->next, chain->call->length);
        else
            merge_max(chain->state, chain->next, chain->call->length);
        return;
    }
    for (int64_t i = 0; i < chain->selected.count; i++) {
        int32_t row = chain->selected.rows[i];
        uint8_t a = chain->state[row], b = chain->next[row];
        chain->state[row] = (a < b) == chain->is_and ? a : b;
    }
}

/* Undecided rows among the selected ones. */
static int64_t undecided(const struct chain *chain)
{
    if (chain->selected.rows == NULL)
        return chain->selected.count -
               count_byte(chain->state, chain->decided, chain->call->length);
    int64_t count = 0;
    for (int64_t i = 0; i < chain->selected.count; i++)
        count += chain->state[chain->selected.rows[i]] != chain->decided;
    return count;
}

static enum mr_status run_operand(struct chain *chain, int i)
{
    struct mr_call *call = chain->call;
    struct mr_column *column = NULL;
    if (i > 0) {
        int64_t left = undecided(chain);
        bool fallible = mr_node_impl(call->node->args[i])->fallible;
        if (left == 0)
            return MR_OK;
        if (left < chain->selected.count && (fallible || left * 4 < chain->selected.count))
            MR_TRY(narrow(chain));
    }
    MR_TRY(mr_call_eval(call, i, &chain->selected, &column));
    enum mr_status status = truth_of(call->eval, column, chain->next, call->err);
    mr_column_unref(column);
    if (status == MR_OK)
        merge(chain);
    return status;
}

/* States to a BOOL column, in place. */
static enum mr_status finish_chain(struct chain *chain, struct mr_buffer *states,
                                   struct mr_column **out)
{
    struct mr_call *call = chain->call;
    struct mr_buffer *validity = NULL;
    int64_t length = call->length;
    int64_t nulls = count_byte(states->data, IS_UNKNOWN, length);
    if (nulls > 0) {
        enum mr_status status =
            mr_buffer_new(call->memory, mr_bitmap_bytes(length), &validity, call->err);
        if (status != MR_OK) {
            mr_buffer_unref(states);
            return status;
        }
        memset(validity->data, 0, mr_bitmap_bytes(length));
        for (int64_t i = 0; i < length; i++)
            validity->data[i >> 3] |= (uint8_t)((states->data[i] != IS_UNKNOWN) << (i & 7));
        mr_buffer_finish(validity, mr_bitmap_bytes(length));
    }
    for (int64_t i = 0; i < length; i++)
        states->data[i] >>= 1;
    mr_buffer_finish(states, (size_t)length);
    return mr_column_new(call->type, length, nulls, validity, states, NULL, out, call->err);
}

static enum mr_status chain_kernel(struct mr_call *call, bool is_and, struct mr_column **out)
{
    struct mr_buffer *states = NULL, *next = NULL;
    struct chain chain = {.call = call,
                          .is_and = is_and,
                          .decided = is_and ? IS_FALSE : IS_TRUE,
                          .selected = *call->selected};
    enum mr_status status = mr_buffer_new(call->memory, (size_t)call->length, &states, call->err);
    if (status == MR_OK)
        status = mr_buffer_new(call->memory, (size_t)call->length, &next, call->err);
    if (status == MR_OK) {
        chain.state = states->data;
        chain.next = next->data;
        memset(chain.state, is_and ? IS_TRUE : IS_FALSE, (size_t)call->length);
    }
    for (int i = 0; i < call->nargs && status == MR_OK; i++)
        status = run_operand(&chain, i);
    mr_buffer_unref(next);
    mr_buffer_unref(chain.rows);
    if (status != MR_OK) {
        mr_buffer_unref(states);
        return status;
    }
    return finish_chain(&chain, states, out);
}

enum mr_status mr_kernel_and(struct mr_call *call, struct mr_column **out)
{
    return chain_kernel(call, true, out);
}

enum mr_status mr_kernel_or(struct mr_call *call, struct mr_column **out)
{
    return chain_kernel(call, false, out);
}

/* Rows of a dense BOOL column that are TRUE; eight bytes at a time, since most conditions are either rare or common. */
static int64_t collect_dense(const uint8_t *values, const uint8_t *validity, int64_t length,
                             int32_t *rows)
{
    int64_t n = 0, i = 0;
    for (; validity == NULL && i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, values + i, 8);
        if (word == 0)
            continue;
        for (int j = 0; j < 8; j++) {
            rows[n] = (int32_t)(i + j);
            n += values[i + j];
        }
    }
    for (; i < length; i++) {
        rows[n] = (int32_t)i;
        n += values[i] & mr_bitmap_get(validity, i);
    }
    return n;
}

static enum mr_status collect(struct mr_eval *eval, const struct mr_column *column,
                              const struct mr_selected *selected, struct mr_buffer **out,
                              int64_t *count, struct mr_error *err)
{
    MR_TRY(mr_buffer_new(eval->memory, (size_t)selected->count * sizeof(int32_t), out, err));
    int32_t *rows = (int32_t *)(void *)(*out)->data;
    const uint8_t *values = column->values->data;
    const uint8_t *validity = mr_column_validity(column);
    if (selected->rows == NULL) {
        *count = collect_dense(values, validity, selected->count, rows);
        return MR_OK;
    }
    int64_t n = 0;
    for (int64_t i = 0; i < selected->count; i++) {
        int32_t row = selected->rows[i];
        rows[n] = row;
        n += values[row] & mr_bitmap_get(validity, row);
    }
    *count = n;
    return MR_OK;
}

/* All selected rows, or none. */
static enum mr_status constant_filter(const struct mr_eval *eval, const struct mr_column *column,
                                      struct mr_selection **out, struct mr_error *err)
{
    struct mr_buffer *rows;
    bool keep = column->type->id == MR_TYPE_BOOL && !mr_column_is_null(column, 0) &&
                column->values->data[0];
    *out = NULL;
    if (keep) {
        *out = eval->batch->selection ? mr_selection_ref(eval->batch->selection) : NULL;
        return MR_OK;
    }
    MR_TRY(mr_buffer_new(eval->memory, 0, &rows, err));
    return mr_selection_new(rows, 0, out, err);
}

static enum mr_status flat_filter(struct mr_eval *eval, const struct mr_column *column,
                                  const struct mr_selected *selected, struct mr_selection **out,
                                  struct mr_error *err)
{
    struct mr_buffer *rows;
    int64_t count;
    *out = NULL;
    MR_TRY(collect(eval, column, selected, &rows, &count, err));
    if (count == eval->batch->rows) {
        mr_buffer_unref(rows);
        return MR_OK;
    }
    mr_buffer_finish(rows, (size_t)count * sizeof(int32_t));
    return mr_selection_new(rows, count, out, err);
}

enum mr_status mr_expr_filter(struct mr_eval *eval, const struct mr_expr *condition,
                              const struct mr_batch *batch, struct mr_selection **out,
                              struct mr_error *err)
{
    struct mr_column *column = NULL, *flat = NULL;
    struct mr_selected selected = {.rows = mr_selection_rows(batch->selection),
                                   .count = mr_batch_active(batch),
                                   .whole = true};
    MR_TRY(mr_expr_eval(eval, condition, batch, &column, err));
    enum mr_status status = MR_OK;
    if (column->encoding == MR_CONSTANT || column->type->id == MR_TYPE_NULL) {
        status = constant_filter(eval, column, out, err);
    } else {
        status = mr_column_flatten(eval->memory, column, &flat, err);
        if (status == MR_OK)
            status = flat_filter(eval, flat, &selected, out, err);
    }
    mr_column_unref(flat);
    mr_column_unref(column);
    return status;
}
