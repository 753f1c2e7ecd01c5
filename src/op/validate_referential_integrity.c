/*
 * validate_referential_integrity.c - every value of a column must occur in a column of another frame; NULL passes.
 *
 * The other frame is the build side: its values go into an open-addressing set (hash -> row of a growing list of column chunks),
 * one per build task, combined into one that is then only read. The set holds each distinct value once; its memory is charged to
 * the step, so a reference frame that does not fit ends the run with the step's name.
 */
#include "op/ops.h"
#include "op/rules.h"

#include "col/kernel.h"

#include <string.h>

struct integrity_plan {
    struct mr_rules *rules;
    int key;        /* column of port 0 */
    int referenced; /* column of port 1 */
};

struct set_slot {
    uint64_t hash;
    int32_t chunk; /* -1 = free */
    int32_t row;
};

/* Distinct values: kept as the columns they came in, compacted to the new ones. */
struct value_set {
    struct mr_memory *memory;
    struct set_slot *slots;
    size_t nslots; /* power of two */
    size_t count;
    struct mr_column **chunks;
    int nchunks;
    int chunk_capacity;
};

struct integrity_task {
    struct mr_op_eval_task base; /* first: mr_op_eval_close frees it */
    struct value_set set;        /* build tasks */
    const struct value_set *built;
};

static void set_reset(struct value_set *set)
{
    for (int i = 0; i < set->nchunks; i++)
        mr_column_unref(set->chunks[i]);
    mr_free(set->chunks);
    mr_free(set->slots);
    mr_memory_credit(set->memory, (int64_t)(set->nslots * sizeof *set->slots));
    *set = (struct value_set){.memory = set->memory};
}

/* The slot of an equal value, or the free one where it would go. */
static struct set_slot *set_find(const struct value_set *set, uint64_t hash,
                                 const struct mr_column *column, int64_t row)
{
    for (size_t at = hash & (set->nslots - 1);; at = (at + 1) & (set->nslots - 1)) {
        struct set_slot *slot = &set->slots[at];
        if (slot->chunk < 0)
            return slot;
        if (slot->hash == hash &&
            mr_column_equal_rows(set->chunks[slot->chunk], slot->row, column, row))
            return slot;
    }
}

static enum mr_status set_grow(struct value_set *set, size_t wanted, struct mr_error *err)
{
    size_t size = set->nslots ? set->nslots : 1024;
    while (size < wanted * 2)
        size *= 2;
    if (size == set->nslots)
        return MR_OK;
    MR_TRY(mr_memory_charge(set->memory, (int64_t)(size * sizeof(struct set_slot)), err));
    struct set_slot *slots = mr_alloc(size * sizeof *slots);
    if (!slots) {
        mr_memory_credit(set->memory, (int64_t)(size * sizeof *slots));
        return mr_error_nomem(err);
    }
    for (size_t i = 0; i < size; i++)
        slots[i] = (struct set_slot){.chunk = -1};
    for (size_t i = 0; i < set->nslots; i++) {
        if (set->slots[i].chunk < 0)
            continue;
        size_t at = set->slots[i].hash & (size - 1);
        while (slots[at].chunk >= 0)
            at = (at + 1) & (size - 1);
        slots[at] = set->slots[i];
    }
    mr_free(set->slots);
    mr_memory_credit(set->memory, (int64_t)(set->nslots * sizeof *slots));
    set->slots = slots;
    set->nslots = size;
    return MR_OK;
}

static enum mr_status set_add_chunk(struct value_set *set, struct mr_column *column,
                                    struct mr_error *err)
{
    if (set->nchunks == set->chunk_capacity) {
        int capacity = set->chunk_capacity ? set->chunk_capacity * 2 : 16;
        struct mr_column **chunks = mr_realloc(set->chunks, (size_t)capacity * sizeof(*chunks));
        if (!chunks)
            return mr_error_nomem(err);
        set->chunks = chunks;
        set->chunk_capacity = capacity;
    }
    set->chunks[set->nchunks++] = column;
    return MR_OK;
}

/* Adds the values of the given rows (NULL = all) that are new and not NULL. */
static enum mr_status set_insert(struct value_set *set, const struct mr_column *column,
                                 const int32_t *rows, int64_t count, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    uint64_t *hashes = mr_calloc((size_t)count + 1, sizeof *hashes);
    int32_t *fresh = mr_alloc(((size_t)count + 1) * sizeof *fresh);
    struct mr_column *chunk = NULL;
    int64_t nfresh = 0;
    if (!hashes || !fresh) {
        status = mr_error_nomem(err);
        goto out;
    }
    MR_TRY_OUT(set_grow(set, set->count + (size_t)count, err));
    mr_column_hash(column, rows, count, hashes);
    /* Candidates first, then exactness: a chunk is taken once, and its rows are entered where they are still new. */
    for (int64_t i = 0; i < count; i++) {
        int32_t row = rows ? rows[i] : (int32_t)i;
        if (mr_column_is_null(column, row) || set_find(set, hashes[i], column, row)->chunk >= 0)
            continue;
        hashes[nfresh] = hashes[i];
        fresh[nfresh++] = row;
    }
    if (nfresh == 0)
        goto out;
    MR_TRY_OUT(mr_column_take(set->memory, column, fresh, nfresh, &chunk, err));
    MR_TRY_OUT(set_add_chunk(set, chunk, err));
    for (int64_t i = 0; i < nfresh; i++) {
        struct set_slot *slot = set_find(set, hashes[i], chunk, i);
        if (slot->chunk >= 0)
            continue;
        *slot = (struct set_slot){hashes[i], set->nchunks - 1, (int32_t)i};
        set->count++;
    }
    chunk = NULL;
out:
    mr_column_unref(chunk);
    mr_free(hashes);
    mr_free(fresh);
    return status;
}

static int option_column(const struct mr_op_bind *bind, int input, const char *option,
                         struct mr_error *err)
{
    const char *name = mr_options_text(bind->options, option);
    int at = mr_schema_find(bind->inputs[input].schema, name);
    if (at < 0) {
        mr_schema_unknown_column(bind->inputs[input].schema, name, err);
        mr_op_option_failed(bind->options, option, NULL, err);
    }
    return at;
}

static enum mr_status integrity_bind(const struct mr_op_bind *bind, void **plan,
                                     struct mr_op_info *info, struct mr_error *err)
{
    struct integrity_plan *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    self->key = option_column(bind, 0, "foreignKey", err);
    if (self->key < 0)
        return MR_CONFIG;
    self->referenced = option_column(bind, 1, "referencedColumn", err);
    if (self->referenced < 0)
        return MR_CONFIG;
    const struct mr_field *key = &bind->inputs[0].schema->fields[self->key];
    const struct mr_field *referenced = &bind->inputs[1].schema->fields[self->referenced];
    if (!mr_type_equal(key->type, referenced->type)) {
        char a[128], b[128];
        mr_error_config(err, "%s is %s and %s is %s", key->name,
                        mr_type_text(key->type, a, sizeof a), referenced->name,
                        mr_type_text(referenced->type, b, sizeof b));
        mr_error_hint(err, "cast one of them with castColumns, so that both have one type");
        return mr_op_option_failed(bind->options, "foreignKey", NULL, err);
    }
    MR_TRY(mr_rules_new(bind, 1, &self->rules, err));
    self->rules->rules[0].name =
        mr_arena_printf(bind->arena, "references(%s -> %s.%s)", key->name,
                        bind->inputs[1].frame ? bind->inputs[1].frame : "frame", referenced->name);
    if (!self->rules->rules[0].name)
        return mr_error_nomem(err);
    *plan = self;
    return mr_rules_bind(bind, self->rules, "foreignKey", info, err);
}

static enum mr_status integrity_open(void *plan, struct mr_runtime *runtime, void **task,
                                     struct mr_error *err)
{
    (void)err;
    struct integrity_task *self = mr_calloc(1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    self->base.plan = plan;
    self->base.runtime = runtime;
    self->set.memory = runtime->memory;
    *task = self;
    return MR_OK;
}

static enum mr_status integrity_attach(void *task, const void *built, struct mr_error *err)
{
    (void)err;
    struct integrity_task *self = task;
    self->built = &((const struct integrity_task *)built)->set;
    return MR_OK;
}

static enum mr_status integrity_combine(void *into, void *from, struct mr_error *err)
{
    struct integrity_task *target = into, *source = from;
    for (int i = 0; i < source->set.nchunks; i++) {
        struct mr_column *chunk = source->set.chunks[i];
        MR_TRY(set_insert(&target->set, chunk, NULL, chunk->length, err));
    }
    return MR_OK;
}

static enum mr_status probe(struct integrity_task *self, struct mr_batch *batch,
                            struct mr_emit *emit, struct mr_error *err)
{
    struct integrity_plan *plan = self->base.plan;
    const struct mr_column *column = batch->columns[plan->key];
    int64_t count = mr_batch_active(batch);
    const int32_t *rows = mr_selection_rows(batch->selection);
    enum mr_status status = MR_OK;
    uint64_t *hashes = mr_calloc((size_t)count + 1, sizeof *hashes);
    uint8_t *broken = mr_calloc((size_t)batch->rows + 1, 1);
    bool any = false;
    if (!hashes || !broken) {
        status = mr_error_nomem(err);
        goto out;
    }
    mr_column_hash(column, rows, count, hashes);
    for (int64_t i = 0; i < count; i++) {
        int32_t row = rows ? rows[i] : (int32_t)i;
        if (mr_column_is_null(column, row))
            continue;
        bool found =
            self->built->count > 0 && set_find(self->built, hashes[i], column, row)->chunk >= 0;
        broken[row] = !found;
        any |= !found;
    }
    if (any)
        status = mr_rules_settle(plan->rules, self->base.runtime, batch, broken, emit, err);
    else
        status = emit->batch(emit, 0, mr_batch_ref(batch), err);
out:
    mr_free(hashes);
    mr_free(broken);
    return status;
}

static enum mr_status integrity_push(void *task, int port, struct mr_batch *batch,
                                     struct mr_emit *emit, struct mr_error *err)
{
    struct integrity_task *self = task;
    struct integrity_plan *plan = self->base.plan;
    if (port == 0)
        return probe(self, batch, emit, err);
    return set_insert(&self->set, batch->columns[plan->referenced],
                      mr_selection_rows(batch->selection), mr_batch_active(batch), err);
}

static void integrity_close(void *task)
{
    struct integrity_task *self = task;
    set_reset(&self->set);
    mr_free(self);
}

static const struct mr_option integrity_options[] = {
    {.name = "foreignKey",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_COLUMN,
     .doc = "Column whose values must occur in the other frame. NULL passes."},
    {.name = "referencedColumn",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .doc = "Column of `referencedDataFrame` that holds the allowed values."},
    MR_RULES_OPTIONS,
    MR_OPTION_END,
};

const struct mr_op mr_op_validate_referential_integrity = {
    .name = "validateReferentialIntegrity",
    .doc = "Checks that values of a column occur in a column of another frame.",
    .options = integrity_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_VALIDATION | MR_OP_BUILD_SIDE,
    .min_inputs = 2,
    .max_inputs = 2,
    .bind = integrity_bind,
    .open = integrity_open,
    .attach = integrity_attach,
    .push = integrity_push,
    .combine = integrity_combine,
    .close = integrity_close,
};
