/*
 * in_set.c - x IN (constants): a hash set made once when the expression is bound.
 *
 * The call keeps its list as arguments, so that plan/ can push it into a source; the kernel reads only the first.
 * Values are looked up by their bytes: integers widened to int64, text as it is. Floating point and nested lists go
 * the other way (a chain of comparisons), since their equality is not that of their bytes. A list with a NULL gives NULL where nothing matches.
 */
#include "sql/in_set.h"

#include "base/hash.h"
#include "sql/vector.h"

struct in_set {
    bool has_null;
    bool text;
    uint32_t items;
    uint32_t mask;   /* of `slots` */
    uint32_t *slots; /* index + 1 of the item, 0 = free */
    const int64_t *numbers;
    const struct mr_slice *texts;
};

bool mr_in_set_supports(const struct mr_type *type)
{
    switch (mr_type_layout(type)) {
    case MR_LAYOUT_I8:
    case MR_LAYOUT_I16:
    case MR_LAYOUT_I32:
    case MR_LAYOUT_I64:
    case MR_LAYOUT_BYTES:
        return true;
    default:
        return false;
    }
}

static bool contains_number(const struct in_set *set, int64_t value)
{
    uint32_t slot = (uint32_t)mr_hash_mix((uint64_t)value) & set->mask;
    for (; set->slots[slot] != 0; slot = (slot + 1) & set->mask) {
        if (set->numbers[set->slots[slot] - 1] == value)
            return true;
    }
    return false;
}

static bool contains_text(const struct in_set *set, struct mr_slice value)
{
    uint32_t slot = (uint32_t)mr_hash64(value.data, value.size) & set->mask;
    for (; set->slots[slot] != 0; slot = (slot + 1) & set->mask) {
        if (mr_slice_equal(set->texts[set->slots[slot] - 1], value))
            return true;
    }
    return false;
}

static void insert(struct in_set *set, uint64_t hash, uint32_t item)
{
    uint32_t slot = (uint32_t)hash & set->mask;
    while (set->slots[slot] != 0)
        slot = (slot + 1) & set->mask;
    set->slots[slot] = item + 1;
}

enum mr_status mr_in_set_bind(struct mr_binding *binding)
{
    uint32_t items = (uint32_t)binding->nargs - 1, capacity = 8;
    while (capacity < items * 2)
        capacity *= 2;
    struct in_set *set = mr_arena_calloc(binding->arena, 1, sizeof(*set));
    uint32_t *slots = mr_arena_calloc(binding->arena, capacity, sizeof(*slots));
    int64_t *numbers = mr_arena_calloc(binding->arena, items, sizeof(*numbers));
    struct mr_slice *texts = mr_arena_calloc(binding->arena, items, sizeof(*texts));
    if (!set || !slots || !numbers || !texts)
        return mr_error_nomem(binding->err);
    *set = (struct in_set){
        .items = items, .mask = capacity - 1, .slots = slots, .numbers = numbers, .texts = texts};
    const struct mr_type *type = binding->args[0]->type;
    set->text = mr_type_layout(type) == MR_LAYOUT_BYTES;
    for (uint32_t i = 0; i < items; i++) {
        const struct mr_value *value = &binding->args[i + 1]->literal;
        if (value->is_null) {
            set->has_null = true;
        } else if (set->text) {
            texts[i] = value->u.bytes;
            insert(set, mr_hash64(texts[i].data, texts[i].size), i);
        } else {
            numbers[i] = type->id == MR_TYPE_DECIMAL ? (int64_t)value->u.i128 : value->u.i64;
            insert(set, mr_hash_mix((uint64_t)numbers[i]), i);
        }
    }
    binding->data = set;
    if (set->has_null)
        binding->flags |= MR_FN_MAY_NULL;
    binding->flags |= MR_FN_FIRST;
    return MR_OK;
}

#define FEW 8

#define MATCH_FEW(name, ctype)                                                                     \
    static MR_VECTORISE void name(const ctype *restrict x, const int64_t *items, uint32_t count,   \
                                  int64_t rows, uint8_t *restrict out)                             \
    {                                                                                              \
        memset(out, 0, (size_t)rows);                                                              \
        for (uint32_t k = 0; k < count; k++) {                                                     \
            ctype item = (ctype)items[k];                                                          \
            for (int64_t i = 0; i < rows; i++)                                                     \
                out[i] |= x[i] == item;                                                            \
        }                                                                                          \
    }
MATCH_FEW(match_few_i32, int32_t)
MATCH_FEW(match_few_i64, int64_t)

/* A short list of integers over all rows: one pass of comparisons an item, faster than a look-up a row. */
static enum mr_status few_integers(struct mr_call *call, const struct in_set *set,
                                   struct mr_column **out)
{
    const void *x = call->args[0]->values->data;
    struct mr_buffer *values;
    MR_TRY(mr_fixed_new(call, &values));
    if (mr_type_layout(call->args[0]->type) == MR_LAYOUT_I32)
        match_few_i32(x, set->numbers, set->items, call->length, values->data);
    else
        match_few_i64(x, set->numbers, set->items, call->length, values->data);
    return mr_fixed_finish(call, values, out);
}

static bool takes_few(const struct mr_call *call, const struct in_set *set)
{
    enum mr_layout layout = mr_type_layout(call->args[0]->type);
    return call->rows == NULL && !set->has_null && set->items <= FEW &&
           call->args[0]->encoding == MR_FLAT &&
           (layout == MR_LAYOUT_I32 || layout == MR_LAYOUT_I64);
}

enum mr_status mr_kernel_in_set(struct mr_call *call, struct mr_column **out)
{
    const struct in_set *set = call->data;
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_result result;
    if (takes_few(call, set))
        return few_integers(call, set, out);
    mr_result_init(&result, call);
    if (result.status != MR_OK)
        return mr_result_finish(&result, out);
    MR_EACH_ROW(call, row)
    {
        bool found = set->text ? contains_text(set, mr_arg_text(&x, row))
                               : contains_number(set, mr_arg_int(&x, row));
        if (!found && set->has_null)
            mr_result_null(&result, row);
        else
            MR_SET(&result, uint8_t, row, found);
    }
    return mr_result_finish(&result, out);
}
