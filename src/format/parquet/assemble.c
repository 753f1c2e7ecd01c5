/*
 * assemble.c - structs, lists and maps.
 *
 * A level entry (repetition r, definition d) makes a slot of a nested value at repetition depth R whose innermost list has
 * an element from level E on, if r <= R and d >= E. A struct's validity and a list's offsets come from the entries of any
 * one leaf below it, so each nested value is one pass over one leaf's levels; that all leaves below agree is checked by
 * the lengths of what they give. Recursion over the schema, no automaton over records: columns are made a batch at a time.
 *
 * list<int> rows [1,2], NULL, [], [3]: r 0 1 0 0 0, d 3 3 0 1 3 -> offsets 0 2 2 2 3, second row not valid.
 */
#include "format/parquet/assemble.h"

struct context {
    struct mr_pq_leaf_reader *leaves;
    struct mr_memory *memory;
    struct mr_error *err;
};

static enum mr_status build(const struct context *context, const struct mr_pq_want *want,
                            int slot_def, int64_t length, struct mr_column **out);

static enum mr_status disagree(const struct context *context, const struct mr_pq_want *want)
{
    const struct mr_pq_leaf_reader *leaf =
        &context->leaves[want->levels >= 0 ? want->levels : want->leaf];
    return mr_pq_pages_bad(&leaf->pages, context->err,
                           "its levels do not go together with each other or its neighbours'");
}

static enum mr_status build_missing(const struct context *context, const struct mr_type *type,
                                    int64_t length, struct mr_column **out)
{
    struct mr_value null = {.type = type, .is_null = true};
    return mr_column_new_constant(context->memory, type, &null, length, out, context->err);
}

static enum mr_status build_leaf(const struct context *context, const struct mr_pq_want *want,
                                 int64_t length, struct mr_column **out)
{
    MR_TRY(mr_pq_leaf_column(&context->leaves[want->leaf], out, context->err));
    if ((*out)->length == length)
        return MR_OK;
    mr_column_unref(*out);
    *out = NULL;
    return disagree(context, want);
}

static enum mr_status new_bitmap(const struct context *context, int64_t length,
                                 struct mr_buffer **out)
{
    MR_TRY(mr_buffer_new(context->memory, mr_bitmap_bytes(length) + 8, out, context->err));
    memset((*out)->data, 0, mr_bitmap_bytes(length) + 8);
    return MR_OK;
}

static const uint8_t *bytes_of(const struct mr_buffer *buffer)
{
    return buffer ? buffer->data : NULL;
}

/* Which slots of a struct are valid. */
static enum mr_status struct_validity(const struct context *context, const struct mr_pq_want *want,
                                      int slot_def, int64_t length, struct mr_buffer **out,
                                      int64_t *nulls)
{
    const struct mr_pq_leaf_reader *leaf = &context->leaves[want->levels];
    const uint8_t *def = bytes_of(leaf->def_levels), *rep = bytes_of(leaf->rep_levels);
    int64_t n = 0, valid = 0;
    if (leaf->levels == 0)
        return MR_OK;
    MR_TRY(new_bitmap(context, leaf->levels, out));
    uint8_t *bits = (*out)->data;
    for (int64_t i = 0; i < leaf->levels; i++) {
        bool slot = def[i] >= slot_def && (leaf->node->rep == 0 || rep[i] <= want->node->rep);
        bool is_valid = slot && def[i] >= want->node->def;
        bits[n >> 3] |= (uint8_t)(is_valid << (n & 7));
        n += slot;
        valid += is_valid;
    }
    if (n != length)
        return disagree(context, want);
    mr_buffer_finish(*out, mr_bitmap_bytes(length));
    *nulls = length - valid;
    return MR_OK;
}

static enum mr_status build_struct(const struct context *context, const struct mr_pq_want *want,
                                   int slot_def, int64_t length, struct mr_column **out)
{
    enum mr_status status = MR_OK;
    struct mr_buffer *validity = NULL;
    int64_t nulls = 0;
    int done = 0;
    struct mr_column **children = mr_calloc((size_t)want->nchildren + 1, sizeof *children);
    if (children == NULL)
        return mr_error_nomem(context->err);
    if (want->node->nullable)
        MR_TRY_OUT(struct_validity(context, want, slot_def, length, &validity, &nulls));
    for (; done < want->nchildren; done++)
        MR_TRY_OUT(build(context, &want->children[done], slot_def, length, &children[done]));
    status = mr_column_new_nested(want->type, length, nulls, validity, NULL, children,
                                  want->nchildren, out, context->err);
    mr_free(children);
    return status;
out:
    mr_buffer_unref(validity);
    for (int i = 0; i < done; i++)
        mr_column_unref(children[i]);
    mr_free(children);
    return status;
}

/* Offsets and validity of `length` lists; *elements: how many they have in all. */
struct lists {
    struct mr_buffer *offsets;
    struct mr_buffer *validity;
    int64_t nulls;
    int64_t elements;
};

static enum mr_status list_offsets(const struct context *context, const struct mr_pq_want *want,
                                   int slot_def, int64_t length, struct lists *lists)
{
    const struct mr_pq_node *node = want->node;
    const struct mr_pq_leaf_reader *leaf = &context->leaves[want->levels];
    const uint8_t *def = bytes_of(leaf->def_levels), *rep = bytes_of(leaf->rep_levels);
    int64_t n = 0, elements = 0, valid = 0;
    bool open = false;
    MR_TRY(new_bitmap(context, length, &lists->validity));
    MR_TRY(mr_buffer_new(context->memory, (size_t)(length + 1) * 4, &lists->offsets, context->err));
    int32_t *offsets = (int32_t *)(void *)lists->offsets->data;
    uint8_t *bits = lists->validity->data;
    for (int64_t i = 0; i < leaf->levels; i++) {
        if (rep[i] > node->rep + 1)
            continue;
        bool element = def[i] >= node->element_def;
        if (rep[i] == node->rep + 1) {
            /* It goes on where there must be an element already. */
            if (!open || !element)
                return disagree(context, want);
            elements++;
            continue;
        }
        open = element;
        if (def[i] < slot_def)
            continue;
        if (n == length)
            return disagree(context, want);
        bool is_valid = def[i] >= node->def;
        bits[n >> 3] |= (uint8_t)(is_valid << (n & 7));
        offsets[n++] = (int32_t)elements;
        elements += element;
        valid += is_valid;
    }
    if (n != length)
        return disagree(context, want);
    if (elements > INT32_MAX)
        return mr_error_data(context->err, MR_LIMIT, "column %s: over 2^31 elements in a batch",
                             node->path);
    offsets[n] = (int32_t)elements;
    mr_buffer_finish(lists->offsets, (size_t)(length + 1) * 4);
    mr_buffer_finish(lists->validity, mr_bitmap_bytes(length));
    lists->nulls = length - valid;
    lists->elements = elements;
    return MR_OK;
}

/* The struct<key, value> of a map's entries. */
static enum mr_status build_entries(const struct context *context, const struct mr_pq_want *want,
                                    int64_t length, struct mr_column **out)
{
    struct mr_column *sides[2] = {NULL, NULL};
    int slot_def = want->node->element_def;
    MR_TRY(build(context, &want->children[0], slot_def, length, &sides[0]));
    enum mr_status status = MR_OK;
    if (sides[0]->nulls > 0)
        status = mr_pq_pages_bad(&context->leaves[want->levels].pages, context->err,
                                 "a map has a NULL key");
    if (status == MR_OK)
        status = build(context, &want->children[1], slot_def, length, &sides[1]);
    if (status != MR_OK) {
        mr_column_unref(sides[0]);
        return status;
    }
    return mr_column_new_nested(mr_type_map_entry(want->type), length, 0, NULL, NULL, sides, 2, out,
                                context->err);
}

static enum mr_status build_list(const struct context *context, const struct mr_pq_want *want,
                                 int slot_def, int64_t length, struct mr_column **out)
{
    struct lists lists = {0};
    struct mr_column *child = NULL;
    enum mr_status status = list_offsets(context, want, slot_def, length, &lists);
    if (status == MR_OK && want->node->kind == MR_PQ_MAP)
        status = build_entries(context, want, lists.elements, &child);
    else if (status == MR_OK)
        status =
            build(context, &want->children[0], want->node->element_def, lists.elements, &child);
    if (status != MR_OK) {
        mr_buffer_unref(lists.offsets);
        mr_buffer_unref(lists.validity);
        return status;
    }
    return mr_column_new_nested(want->type, length, lists.nulls, lists.validity, lists.offsets,
                                &child, 1, out, context->err);
}

static enum mr_status build(const struct context *context, const struct mr_pq_want *want,
                            int slot_def, int64_t length, struct mr_column **out)
{
    *out = NULL;
    if (want->node == NULL)
        return build_missing(context, want->type, length, out);
    switch (want->node->kind) {
    case MR_PQ_LEAF:
        return build_leaf(context, want, length, out);
    case MR_PQ_STRUCT:
        return build_struct(context, want, slot_def, length, out);
    default:
        return build_list(context, want, slot_def, length, out);
    }
}

enum mr_status mr_pq_assemble(const struct mr_pq_want *want, struct mr_pq_leaf_reader *leaves,
                              struct mr_memory *memory, int64_t rows, struct mr_column **out,
                              struct mr_error *err)
{
    struct context context = {leaves, memory, err};
    return build(&context, want, 0, rows, out);
}
