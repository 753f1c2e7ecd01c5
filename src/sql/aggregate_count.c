/*
 * aggregate_count.c - count, count_if, the boolean and the bitwise aggregates: one or two counters a group.
 */
#include "sql/aggregate_call.h"
#include "sql/coerce.h"

struct one {
    int64_t n;
};

static const struct mr_agg_field one_fields[] = {{offsetof(struct one, n), MR_TYPE_INT64}};

static enum mr_status count_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                   struct mr_error *err)
{
    (void)err;
    struct one *restrict rows = (struct one *)(void *)state->rows;
    for (int64_t i = 0; i < in->count; i++)
        rows[in->groups[i]].n++;
    return MR_OK;
}

static enum mr_status count_run(struct mr_agg_state *state, const struct mr_agg_input *in,
                                void *copies, struct mr_error *err)
{
    (void)err;
    struct one *restrict rows = (struct one *)(void *)state->rows, *restrict copy = copies;
    for (int64_t i = 0; i < in->count; i++)
        copy[i].n = ++rows[in->groups[i]].n;
    return MR_OK;
}

static enum mr_status count_if_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                      struct mr_error *err)
{
    (void)err;
    struct one *restrict rows = (struct one *)(void *)state->rows;
    const uint8_t *values = in->args[0]->values->data;
    for (int64_t i = 0; i < in->count; i++)
        rows[in->groups[i]].n += values[MR_AGG_ROW(in, i)] != 0;
    return MR_OK;
}

static enum mr_status one_merge(struct mr_agg_state *state, const void *from, int64_t count,
                                const uint32_t *groups, struct mr_error *err)
{
    (void)err;
    struct one *rows = (struct one *)(void *)state->rows;
    const struct one *more = from;
    for (int64_t i = 0; i < count; i++)
        rows[groups[i]].n += more[i].n;
    return MR_OK;
}

static const struct mr_agg_kind kind_count = {.size = sizeof(struct one),
                                              .fields = one_fields,
                                              .nfields = 1,
                                              .update = count_update,
                                              .run = count_run,
                                              .merge_rows = one_merge};
static const struct mr_agg_kind kind_count_if = {.size = sizeof(struct one),
                                                 .fields = one_fields,
                                                 .nfields = 1,
                                                 .update = count_if_update,
                                                 .merge_rows = one_merge};

static enum mr_status one_finish(struct mr_agg_state *state, const struct mr_agg_call *call,
                                 int64_t from, int64_t count, struct mr_column **out,
                                 struct mr_error *err)
{
    struct mr_agg_result result;
    const struct one *rows = (const struct one *)(const void *)state->rows + from;
    MR_TRY(mr_agg_result_init(&result, state, call->type, count, err));
    for (int64_t i = 0; i < count; i++)
        MR_AGG_SET(&result, int64_t, i, rows[i].n);
    return mr_agg_result_finish(&result, out, err);
}

static enum mr_status bind_count(struct mr_agg_binding *binding)
{
    struct mr_agg_call *call = binding->call;
    call->kind = &kind_count;
    call->finish = one_finish;
    call->type = mr_type_of(MR_TYPE_INT64);
    call->nullable = false;
    /* What cannot be NULL need not be looked at. */
    int kept = 0;
    for (int i = 0; i < binding->nargs; i++)
        if (binding->args[i]->nullable || call->distinct)
            binding->args[kept++] = binding->args[i];
    binding->nargs = kept;
    return MR_OK;
}

static enum mr_status bind_count_if(struct mr_agg_binding *binding)
{
    struct mr_agg_call *call = binding->call;
    MR_TRY(mr_agg_cast(binding, 0, mr_type_of(MR_TYPE_BOOL)));
    call->kind = &kind_count_if;
    call->finish = one_finish;
    call->type = mr_type_of(MR_TYPE_INT64);
    call->nullable = false;
    return MR_OK;
}

/* every, some: how often each value came. */

struct truth {
    int64_t yes, no;
};
static const struct mr_agg_field truth_fields[] = {{offsetof(struct truth, yes), MR_TYPE_INT64},
                                                   {offsetof(struct truth, no), MR_TYPE_INT64}};

static enum mr_status truth_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                   struct mr_error *err)
{
    (void)err;
    struct truth *restrict rows = (struct truth *)(void *)state->rows;
    const uint8_t *values = in->args[0]->values->data;
    for (int64_t i = 0; i < in->count; i++) {
        bool value = values[MR_AGG_ROW(in, i)] != 0;
        rows[in->groups[i]].yes += value;
        rows[in->groups[i]].no += !value;
    }
    return MR_OK;
}

static enum mr_status truth_merge(struct mr_agg_state *state, const void *from, int64_t count,
                                  const uint32_t *groups, struct mr_error *err)
{
    (void)err;
    struct truth *rows = (struct truth *)(void *)state->rows;
    const struct truth *more = from;
    for (int64_t i = 0; i < count; i++) {
        rows[groups[i]].yes += more[i].yes;
        rows[groups[i]].no += more[i].no;
    }
    return MR_OK;
}

static const struct mr_agg_kind kind_truth = {.size = sizeof(struct truth),
                                              .fields = truth_fields,
                                              .nfields = 2,
                                              .update = truth_update,
                                              .merge_rows = truth_merge};

enum { EVERY, SOME };

static enum mr_status truth_finish(struct mr_agg_state *state, const struct mr_agg_call *call,
                                   int64_t from, int64_t count, struct mr_column **out,
                                   struct mr_error *err)
{
    struct mr_agg_result result;
    const struct truth *rows = (const struct truth *)(const void *)state->rows + from;
    bool every = call->function->choice == EVERY;
    MR_TRY(mr_agg_result_init(&result, state, call->type, count, err));
    for (int64_t i = 0; i < count; i++) {
        if (rows[i].yes + rows[i].no == 0)
            mr_agg_result_null(&result, i);
        else
            MR_AGG_SET(&result, uint8_t, i, every ? rows[i].no == 0 : rows[i].yes > 0);
    }
    return mr_agg_result_finish(&result, out, err);
}

static enum mr_status bind_truth(struct mr_agg_binding *binding)
{
    struct mr_agg_call *call = binding->call;
    MR_TRY(mr_agg_cast(binding, 0, mr_type_of(MR_TYPE_BOOL)));
    call->kind = &kind_truth;
    call->finish = truth_finish;
    call->type = mr_type_of(MR_TYPE_BOOL);
    call->choice = 0;
    return MR_OK;
}

/* bit_and, bit_or, bit_xor over integers widened to 64 bits. */

struct bits {
    int64_t value, n;
};
static const struct mr_agg_field bits_fields[] = {{offsetof(struct bits, value), MR_TYPE_INT64},
                                                  {offsetof(struct bits, n), MR_TYPE_INT64}};

enum { BIT_AND, BIT_OR, BIT_XOR };

static inline void add_bits(struct bits *to, int64_t value, int64_t n, int choice)
{
    if (n == 0)
        return;
    if (choice == BIT_XOR)
        to->value ^= value;
    else if (choice == BIT_OR)
        to->value |= value;
    else
        to->value = to->n ? to->value & value : value;
    to->n += n;
}

static enum mr_status bits_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                  struct mr_error *err)
{
    (void)err;
    struct bits *rows = (struct bits *)(void *)state->rows;
    const int64_t *values = (const int64_t *)(const void *)in->args[0]->values->data;
    int choice = state->call->choice;
    for (int64_t i = 0; i < in->count; i++)
        add_bits(&rows[in->groups[i]], values[MR_AGG_ROW(in, i)], 1, choice);
    return MR_OK;
}

static enum mr_status bits_merge(struct mr_agg_state *state, const void *from, int64_t count,
                                 const uint32_t *groups, struct mr_error *err)
{
    (void)err;
    struct bits *rows = (struct bits *)(void *)state->rows;
    const struct bits *more = from;
    for (int64_t i = 0; i < count; i++)
        add_bits(&rows[groups[i]], more[i].value, more[i].n, state->call->choice);
    return MR_OK;
}

static const struct mr_agg_kind kind_bits = {.size = sizeof(struct bits),
                                             .fields = bits_fields,
                                             .nfields = 2,
                                             .update = bits_update,
                                             .merge_rows = bits_merge};

static enum mr_status bits_finish(struct mr_agg_state *state, const struct mr_agg_call *call,
                                  int64_t from, int64_t count, struct mr_column **out,
                                  struct mr_error *err)
{
    struct mr_agg_result result;
    const struct bits *rows = (const struct bits *)(const void *)state->rows + from;
    int width = mr_layout_width(mr_type_layout(call->type));
    MR_TRY(mr_agg_result_init(&result, state, call->type, count, err));
    for (int64_t i = 0; i < count; i++) {
        if (rows[i].n == 0)
            mr_agg_result_null(&result, i);
        else if (width == 8)
            MR_AGG_SET(&result, int64_t, i, rows[i].value);
        else if (width == 4)
            MR_AGG_SET(&result, int32_t, i, (int32_t)rows[i].value);
        else if (width == 2)
            MR_AGG_SET(&result, int16_t, i, (int16_t)rows[i].value);
        else
            MR_AGG_SET(&result, int8_t, i, (int8_t)rows[i].value);
    }
    return mr_agg_result_finish(&result, out, err);
}

static enum mr_status bind_bits(struct mr_agg_binding *binding)
{
    struct mr_agg_call *call = binding->call;
    const struct mr_type *type = binding->args[0]->type;
    if (!mr_type_is_integer(type) && type->id != MR_TYPE_NULL)
        return mr_agg_fail(binding, "takes integers");
    call->type = type->id == MR_TYPE_NULL ? mr_type_of(MR_TYPE_INT32) : type;
    MR_TRY(mr_agg_cast(binding, 0, mr_type_of(MR_TYPE_INT64)));
    call->kind = &kind_bits;
    call->finish = bits_finish;
    return MR_OK;
}

static const struct mr_aggregate functions[] = {
    {.names = "count",
     .least = 1,
     .most = -1,
     .bind = bind_count,
     .signature = "count(*), count([DISTINCT] x, ...)",
     .doc = "Rows; rows where no argument is NULL; different combinations of arguments."},
    {.names = "count_if",
     .least = 1,
     .most = 1,
     .bind = bind_count_if,
     .signature = "count_if(condition)",
     .doc = "Rows where the condition is true."},
    {.names = "bool_and every",
     .least = 1,
     .most = 1,
     .bind = bind_truth,
     .choice = EVERY,
     .signature = "bool_and(condition)",
     .doc = "Is the condition true in every row where it is not NULL?"},
    {.names = "bool_or some any",
     .least = 1,
     .most = 1,
     .bind = bind_truth,
     .choice = SOME,
     .signature = "bool_or(condition)",
     .doc = "Is the condition true in any row?"},
    {.names = "bit_and",
     .least = 1,
     .most = 1,
     .bind = bind_bits,
     .choice = BIT_AND,
     .signature = "bit_and(integer)",
     .doc = "Bitwise AND of all values."},
    {.names = "bit_or",
     .least = 1,
     .most = 1,
     .bind = bind_bits,
     .choice = BIT_OR,
     .signature = "bit_or(integer)",
     .doc = "Bitwise OR of all values."},
    {.names = "bit_xor",
     .least = 1,
     .most = 1,
     .bind = bind_bits,
     .choice = BIT_XOR,
     .signature = "bit_xor(integer)",
     .doc = "Bitwise exclusive OR of all values."},
};

const struct mr_aggregate_family mr_aggregates_count = {functions,
                                                        sizeof functions / sizeof functions[0]};
