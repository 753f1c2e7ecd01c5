/*
 * unit.c - makes nodes so that equal ones are the same one, folds constants, and hands out slots for shared results.
 *
 * Every node is looked up before it is made (hash-consing), over all expressions of a projection. Common
 * subexpressions are then simply nodes with more than one user: no second pass compares trees. A constant whose evaluation fails
 * stays unfolded, so that the error comes at run time, and only if a row gets there (CASE WHEN false THEN 1/0 END).
 */
#include "sql/unit.h"

#include "base/hash.h"
#include "sql/lexer.h"

#include <stdio.h>

enum mr_status mr_unit_init(struct mr_unit *unit, struct mr_arena *arena,
                            const struct mr_sql_scope *scope, const struct mr_sql_session *session,
                            struct mr_error *err)
{
    *unit = (struct mr_unit){.arena = arena, .scope = scope, .session = session, .err = err};
    return mr_eval_new(NULL, session, &unit->folder, err);
}

void mr_unit_reset(struct mr_unit *unit)
{
    mr_eval_free(unit->folder);
    mr_free(unit->nodes);
    mr_free(unit->buckets);
    mr_free(unit->next);
    *unit = (struct mr_unit){0};
}

enum mr_status mr_unit_fail(struct mr_unit *unit, int position, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    mr_error_config(unit->err, "at character %d: %s", position + 1, message);
    mr_error_where(unit->err, "expression, character %d", position + 1);
    return MR_CONFIG;
}

static uint64_t hash_literal(const struct mr_value *value)
{
    enum mr_layout layout = mr_type_layout(value->type);
    if (value->is_null)
        return 1;
    if (layout == MR_LAYOUT_BYTES)
        return mr_hash64(value->u.bytes.data, value->u.bytes.size);
    if (value->type->id == MR_TYPE_DECIMAL)
        return mr_hash64(&value->u.i128, sizeof(value->u.i128));
    if (layout == MR_LAYOUT_FIXED16)
        return mr_hash64(value->u.uuid, sizeof(value->u.uuid));
    return mr_hash64(&value->u.i64, sizeof(value->u.i64));
}

/* The same to the bit: 0.0 and -0.0 differ. */
static bool same_literal(const struct mr_value *a, const struct mr_value *b)
{
    if (a->is_null || b->is_null)
        return a->is_null && b->is_null;
    switch (mr_type_layout(a->type)) {
    case MR_LAYOUT_BYTES:
        return mr_slice_equal(a->u.bytes, b->u.bytes);
    case MR_LAYOUT_FIXED16:
        return memcmp(a->u.uuid, b->u.uuid, sizeof(a->u.uuid)) == 0;
    case MR_LAYOUT_LIST:
    case MR_LAYOUT_STRUCT:
    case MR_LAYOUT_NONE:
        return false;
    default:
        if (a->type->id == MR_TYPE_DECIMAL)
            return a->u.i128 == b->u.i128;
        return memcmp(&a->u.i64, &b->u.i64, sizeof(a->u.i64)) == 0;
    }
}

static uint64_t hash_node(const struct mr_node *node, const struct mr_impl *impl)
{
    uint64_t hash = mr_hash_mix((uint64_t)node->kind << 32 | (uint64_t)node->type->id);
    hash = mr_hash_combine(hash, (uint64_t)node->column);
    hash = mr_hash_combine(hash, (uint64_t)(uintptr_t)impl->function);
    for (int i = 0; i < node->nargs; i++)
        hash = mr_hash_combine(hash, (uint64_t)mr_node_impl(node->args[i])->id);
    if (node->kind == MR_NODE_LITERAL)
        hash = mr_hash_combine(hash, hash_literal(&node->literal));
    return hash;
}

static bool same_node(const struct mr_node *a, const struct mr_impl *ai, const struct mr_node *b)
{
    const struct mr_impl *bi = mr_node_impl(b);
    if (a->kind != b->kind || a->column != b->column || a->nargs != b->nargs ||
        a->try_cast != b->try_cast || ai->function != bi->function || ai->kernel != bi->kernel ||
        !mr_type_equal(a->type, b->type))
        return false;
    for (int i = 0; i < a->nargs; i++) {
        if (a->args[i] != b->args[i])
            return false;
    }
    return a->kind != MR_NODE_LITERAL ||
           (a->implicit == b->implicit && same_literal(&a->literal, &b->literal));
}

static enum mr_status grow(struct mr_unit *unit)
{
    if (unit->nnodes < unit->nodes_capacity)
        return MR_OK;
    int capacity = unit->nodes_capacity ? unit->nodes_capacity * 2 : 64;
    struct mr_node **nodes = mr_realloc(unit->nodes, (size_t)capacity * sizeof(*nodes));
    if (nodes == NULL)
        return mr_error_nomem(unit->err);
    unit->nodes = nodes;
    int *next = mr_realloc(unit->next, (size_t)capacity * sizeof(*next));
    if (next == NULL)
        return mr_error_nomem(unit->err);
    unit->next = next;
    int *buckets = mr_calloc((size_t)capacity * 2, sizeof(*buckets));
    if (buckets == NULL)
        return mr_error_nomem(unit->err);
    mr_free(unit->buckets);
    unit->buckets = buckets;
    unit->nbuckets = capacity * 2;
    unit->nodes_capacity = capacity;
    for (int id = 0; id < unit->nnodes; id++) {
        const struct mr_node *node = unit->nodes[id];
        uint64_t slot = hash_node(node, node->impl) % (uint64_t)unit->nbuckets;
        unit->next[id] = unit->buckets[slot];
        unit->buckets[slot] = id + 1;
    }
    return MR_OK;
}

static enum mr_status add_node(struct mr_unit *unit, const struct mr_node *node,
                               const struct mr_impl *impl, uint64_t hash, struct mr_node **out)
{
    struct mr_node *copy = mr_arena_calloc(unit->arena, 1, sizeof(*copy));
    struct mr_impl *own = mr_arena_calloc(unit->arena, 1, sizeof(*own));
    struct mr_node **args = mr_arena_calloc(unit->arena, (size_t)node->nargs + 1, sizeof(*args));
    if (copy == NULL || own == NULL || args == NULL)
        return mr_error_nomem(unit->err);
    MR_TRY(grow(unit));
    *copy = *node;
    *own = *impl;
    own->constant = node->kind != MR_NODE_COLUMN && !impl->volatile_;
    for (int i = 0; i < node->nargs; i++) {
        args[i] = node->args[i];
        own->constant &= mr_node_impl(args[i])->constant;
    }
    copy->args = args;
    copy->impl = own;
    copy->shared = -1;
    own->id = unit->nnodes++;
    unit->nodes[own->id] = copy;
    uint64_t slot = hash % (uint64_t)unit->nbuckets;
    unit->next[own->id] = unit->buckets[slot];
    unit->buckets[slot] = own->id + 1;
    *out = copy;
    return MR_OK;
}

static bool foldable(const struct mr_node *node)
{
    if ((node->kind != MR_NODE_CALL && node->kind != MR_NODE_CAST) || mr_type_is_nested(node->type))
        return false;
    for (int i = 0; i < node->nargs; i++) {
        if (node->args[i]->kind != MR_NODE_LITERAL)
            return false;
    }
    return !mr_node_impl(node)->volatile_;
}

/* The value of a node over literals; *done false when its evaluation fails. */
static enum mr_status fold(struct mr_unit *unit, struct mr_node *node, struct mr_value *value,
                           bool *done)
{
    struct mr_batch batch = {.rows = 1};
    struct mr_selected one = {.count = 1};
    struct mr_column *column = NULL;
    struct mr_error ignored;
    unit->folder->batch = &batch;
    enum mr_status status = mr_eval_node(unit->folder, node, &one, &column, &ignored);
    *done = status == MR_OK;
    if (status == MR_NOMEM)
        return mr_error_nomem(unit->err);
    if (status != MR_OK)
        return MR_OK;
    struct mr_value borrowed;
    mr_column_get(column, 0, &borrowed);
    bool copied = mr_value_copy(unit->arena, &borrowed, value);
    value->type = node->type;
    mr_column_unref(column);
    return copied ? MR_OK : mr_error_nomem(unit->err);
}

/* `folded`: it does not stand in the text, which matters to decimals (arithmetic.c). */
static enum mr_status literal(struct mr_unit *unit, const struct mr_value *value, bool folded,
                              int position, struct mr_node **out)
{
    struct mr_node node = {.kind = MR_NODE_LITERAL,
                           .implicit = folded,
                           .type = value->type,
                           .nullable = value->is_null,
                           .literal = *value,
                           .column = -1,
                           .position = position};
    struct mr_impl impl = {0};
    return mr_unit_node(unit, &node, &impl, out);
}

enum mr_status mr_unit_literal(struct mr_unit *unit, const struct mr_value *value, int position,
                               struct mr_node **out)
{
    return literal(unit, value, false, position, out);
}

enum mr_status mr_unit_node(struct mr_unit *unit, const struct mr_node *node,
                            const struct mr_impl *given, struct mr_node **out)
{
    struct mr_impl impl = *given;
    for (int i = 0; i < node->nargs; i++) {
        impl.fallible |= mr_node_impl(node->args[i])->fallible;
        impl.volatile_ |= mr_node_impl(node->args[i])->volatile_;
    }
    uint64_t hash = hash_node(node, &impl);
    if (unit->nbuckets > 0 && !impl.volatile_) {
        int id = unit->buckets[hash % (uint64_t)unit->nbuckets];
        for (; id > 0; id = unit->next[id - 1]) {
            if (same_node(node, &impl, unit->nodes[id - 1])) {
                *out = unit->nodes[id - 1];
                return MR_OK;
            }
        }
    }
    struct mr_node *made = NULL;
    MR_TRY(add_node(unit, node, &impl, hash, &made));
    *out = made;
    if (!foldable(made))
        return MR_OK;
    struct mr_value value;
    bool done;
    MR_TRY(fold(unit, made, &value, &done));
    return done ? literal(unit, &value, true, node->position, out) : MR_OK;
}

int mr_unit_share(struct mr_unit *unit, struct mr_node *const *roots, int nroots)
{
    int slots = 0;
    for (int i = 0; i < unit->nnodes; i++) {
        ((struct mr_impl *)unit->nodes[i]->impl)->uses = 0;
        unit->nodes[i]->shared = -1;
    }
    for (int i = 0; i < nroots; i++)
        ((struct mr_impl *)roots[i]->impl)->uses++;
    /* Children come before parents: from the end, every user of a node is seen before the node. */
    for (int i = unit->nnodes - 1; i >= 0; i--) {
        struct mr_node *node = unit->nodes[i];
        const struct mr_impl *impl = node->impl;
        if (impl->uses == 0)
            continue;
        for (int j = 0; j < node->nargs; j++)
            ((struct mr_impl *)node->args[j]->impl)->uses++;
        bool plain = node->kind == MR_NODE_COLUMN || node->kind == MR_NODE_LITERAL;
        if (impl->uses > 1 && !plain)
            node->shared = slots++;
    }
    return slots;
}
