/*
 * constraints.c - CHECK constraints and invariants, evaluated by the engine's own expressions.
 *
 * Constraints are properties, delta.constraints.<name> = <SQL>; an invariant is in the metadata of a
 * field: "delta.invariants":"{\"expression\":{\"expression\":\"id > 3\"}}". A row for which one is
 * FALSE or NULL must not be committed.
 */
#include "connect/delta/constraints.h"

#include "connect/delta/private.h"
#include "ext/condition.h"
#include "ext/registry.h"

#define PREFIX "delta.constraints."

struct constraint {
    const char *name;
    const char *text;
    struct mr_condition *condition;
};

struct delta_constraints {
    const struct mr_conditions *conditions;
    const char *table;
    struct mr_arena arena;
    struct constraint *items;
    int count;
    int room;
    uint8_t *truth;
    int64_t capacity;
};

static enum mr_status add(struct delta_constraints *all, const char *name, const char *text,
                          struct mr_error *err)
{
    if (all->count == all->room) {
        int room = all->room ? 2 * all->room : 4;
        struct constraint *more = mr_arena_calloc(&all->arena, (size_t)room, sizeof *more);
        if (!more)
            return mr_error_nomem(err);
        if (all->count)
            memcpy(more, all->items, (size_t)all->count * sizeof *more);
        all->items = more;
        all->room = room;
    }
    if (!name || !text)
        return mr_error_nomem(err);
    all->items[all->count++] = (struct constraint){.name = name, .text = text};
    return MR_OK;
}

/* The SQL in {"expression":{"expression":"..."}}. */
static const char *invariant_text(struct mr_slice json, struct mr_arena *arena)
{
    struct mr_json_tree tree;
    struct mr_bytes scratch;
    const char *text = NULL;
    mr_json_tree_init(&tree);
    mr_bytes_init(&scratch, 1 << 20);
    if (mr_json_tree_parse(&tree, json, 0)) {
        for (uint32_t at = 1; at < tree.count && !text; at++) {
            if (tree.nodes[at].kind != MR_JSON_STRING ||
                !mr_slice_equal(mr_json_raw_key(&tree, at), mr_slice_of("expression")))
                continue;
            struct mr_slice found = mr_json_string(&tree, at, &scratch);
            if (scratch.status != MR_OK)
                break;
            text = mr_arena_strndup(arena, found.data, found.size);
        }
    }
    mr_json_tree_reset(&tree);
    mr_bytes_reset(&scratch);
    return text;
}

static enum mr_status add_invariants(struct delta_constraints *all,
                                     const struct delta_metadata *metadata, struct mr_error *err)
{
    struct mr_json_tree tree;
    struct mr_bytes scratch;
    enum mr_status status = MR_OK;
    mr_json_tree_init(&tree);
    mr_bytes_init(&scratch, 1 << 20);
    if (!mr_json_tree_parse(&tree, mr_slice_of(metadata->schema_json), 0))
        status = tree.nomem ? mr_error_nomem(err)
                            : mr_error_data(err, MR_SINK, "%s: the schema is not JSON", all->table);
    for (uint32_t at = 1; at < tree.count && status == MR_OK; at++) {
        if (tree.nodes[at].kind != MR_JSON_STRING ||
            !mr_slice_equal(mr_json_raw_key(&tree, at), mr_slice_of("delta.invariants")))
            continue;
        struct mr_slice json = mr_json_string(&tree, at, &scratch);
        char *copy = mr_arena_strndup(&all->arena, json.data, json.size);
        const char *text =
            copy ? invariant_text((struct mr_slice){copy, json.size}, &all->arena) : NULL;
        status = text ? add(all, "delta.invariants", text, err)
                      : mr_error_data(err, MR_SINK, "%s: an invariant cannot be read: %.*s",
                                      all->table, (int)json.size, json.data);
    }
    mr_json_tree_reset(&tree);
    mr_bytes_reset(&scratch);
    return status;
}

static enum mr_status collect(struct delta_constraints *all, const struct delta_metadata *metadata,
                              struct mr_error *err)
{
    for (int i = 0; i < metadata->nconfiguration; i++) {
        const struct delta_pair *pair = &metadata->configuration[i];
        if (strncmp(pair->name, PREFIX, sizeof PREFIX - 1) == 0 && pair->value)
            MR_TRY(add(all, mr_arena_strdup(&all->arena, pair->name),
                       mr_arena_strdup(&all->arena, pair->value), err));
    }
    if (strstr(metadata->schema_json, "delta.invariants"))
        return add_invariants(all, metadata, err);
    return MR_OK;
}

static enum mr_status compile(struct delta_constraints *all, const struct delta_metadata *metadata,
                              struct mr_runtime *runtime, struct mr_error *err)
{
    all->conditions = runtime->registry->conditions;
    for (int i = 0; i < all->count; i++) {
        struct constraint *one = &all->items[i];
        if (all->conditions && all->conditions->compile(one->text, metadata->schema, runtime,
                                                        &all->arena, &one->condition, err) == MR_OK)
            continue;
        struct mr_error cause = {0};
        if (err)
            cause = *err;
        return mr_error_set(err, MR_SINK, MR_CLASS_CONFIG,
                            "%s: %s = %s cannot be evaluated by this writer: %s", all->table,
                            one->name, one->text, cause.message);
    }
    return MR_OK;
}

enum mr_status delta_constraints_new(const struct delta_metadata *metadata,
                                     struct mr_runtime *runtime, const char *table,
                                     struct delta_constraints **out, struct mr_error *err)
{
    *out = NULL;
    struct delta_constraints *all = mr_calloc(1, sizeof *all);
    if (!all)
        return mr_error_nomem(err);
    all->table = table;
    mr_arena_init(&all->arena, runtime->memory);
    enum mr_status status = collect(all, metadata, err);
    if (status == MR_OK)
        status = compile(all, metadata, runtime, err);
    if (status == MR_OK && all->count > 0)
        *out = all;
    else
        delta_constraints_free(all);
    return status;
}

enum mr_status delta_constraints_check(struct delta_constraints *all, struct mr_batch *batch,
                                       struct mr_error *err)
{
    if (batch->rows > all->capacity) {
        mr_free(all->truth);
        all->truth = mr_alloc((size_t)batch->rows);
        all->capacity = all->truth ? batch->rows : 0;
        if (!all->truth)
            return mr_error_nomem(err);
    }
    for (int i = 0; i < all->count; i++) {
        const struct constraint *one = &all->items[i];
        MR_TRY(all->conditions->evaluate(one->condition, batch, all->truth, err));
        for (int64_t row = 0; row < batch->rows; row++) {
            if (all->truth[row] == 1)
                continue;
            return mr_error_data(err, MR_SINK, "a row breaks a rule of %s: %s (%s) is %s for it",
                                 all->table, one->name, one->text,
                                 all->truth[row] == 0 ? "FALSE" : "NULL");
        }
    }
    return MR_OK;
}

void delta_constraints_free(struct delta_constraints *all)
{
    if (!all)
        return;
    for (int i = 0; i < all->count; i++) {
        if (all->items[i].condition)
            all->conditions->free(all->items[i].condition);
    }
    mr_free(all->truth);
    mr_arena_reset(&all->arena);
    mr_free(all);
}
