/*
 * validate_referential_integrity.c - every value of a column must occur in a column of another frame; NULL passes.
 *
 * The other frame is the build side: its distinct values go into a group table per build task, combined into one that is then
 * only read. Its memory is charged to the step, so a reference frame that does not fit ends the run with the step's name.
 */
#include "op/ops.h"
#include "op/rules.h"

#include "col/group_table.h"

#define COMBINE_ROWS 65536

struct integrity_plan {
    struct mr_rules *rules;
    int key;                    /* column of port 0 */
    int referenced;             /* column of port 1 */
    const struct mr_type *type; /* of both */
};

struct integrity_task {
    struct mr_op_eval_task base; /* first: mr_op_eval_close frees it */
    struct mr_group_table *set;  /* build tasks */
    const struct mr_group_table *built;
};

/* The rows of `count` (NULL = all) whose value is not NULL, in `valid`; their number. */
static int64_t valid_rows(const struct mr_column *column, const int32_t *rows, int64_t count,
                          int32_t *valid)
{
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t row = rows ? rows[i] : (int32_t)i;
        if (!mr_column_is_null(column, row))
            valid[n++] = row;
    }
    return n;
}

/* Adds the values of the given rows (NULL = all) that are not NULL. */
static enum mr_status set_insert(struct mr_group_table *set, struct mr_column *column,
                                 const int32_t *rows, int64_t count, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    int32_t *valid = mr_alloc(((size_t)count + 1) * sizeof *valid);
    uint32_t *groups = mr_alloc(((size_t)count + 1) * sizeof *groups);
    if (!valid || !groups)
        status = mr_error_nomem(err);
    else
        status = mr_group_table_put(set, &column, valid, valid_rows(column, rows, count, valid),
                                    NULL, groups, err);
    mr_free(valid);
    mr_free(groups);
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
    self->type = key->type;
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
    const struct integrity_plan *integrity = plan;
    struct integrity_task *self = mr_calloc(1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    self->base.plan = plan;
    self->base.runtime = runtime;
    enum mr_status status =
        mr_group_table_new(runtime->memory, &integrity->type, 1, &self->set, err);
    if (status != MR_OK) {
        mr_free(self);
        return status;
    }
    *task = self;
    return MR_OK;
}

static enum mr_status integrity_attach(void *task, const void *built, struct mr_error *err)
{
    (void)err;
    struct integrity_task *self = task;
    self->built = ((const struct integrity_task *)built)->set;
    return MR_OK;
}

static enum mr_status integrity_combine(void *into, void *from, struct mr_error *err)
{
    struct integrity_task *target = into, *source = from;
    int64_t total = mr_group_table_count(source->set);
    for (int64_t at = 0; at < total; at += COMBINE_ROWS) {
        int64_t count = total - at < COMBINE_ROWS ? total - at : COMBINE_ROWS;
        struct mr_column *values;
        MR_TRY(mr_group_table_keys(source->set, target->base.runtime->memory, NULL, at, count,
                                   &values, err));
        enum mr_status status = set_insert(target->set, values, NULL, count, err);
        mr_column_unref(values);
        MR_TRY(status);
    }
    return MR_OK;
}

static enum mr_status probe(struct integrity_task *self, struct mr_batch *batch,
                            struct mr_emit *emit, struct mr_error *err)
{
    struct integrity_plan *plan = self->base.plan;
    struct mr_column *column = batch->columns[plan->key];
    int64_t count = mr_batch_active(batch), nvalid;
    enum mr_status status = MR_OK;
    int32_t *valid = mr_alloc(((size_t)count + 1) * sizeof *valid);
    uint32_t *groups = mr_alloc(((size_t)count + 1) * sizeof *groups);
    uint8_t *broken = mr_calloc((size_t)batch->rows + 1, 1);
    bool any = false;
    if (!valid || !groups || !broken) {
        status = mr_error_nomem(err);
        goto out;
    }
    nvalid = valid_rows(column, mr_selection_rows(batch->selection), count, valid);
    MR_TRY_OUT(mr_group_table_find(self->built, &column, valid, nvalid, NULL, groups, err));
    for (int64_t i = 0; i < nvalid; i++) {
        broken[valid[i]] = groups[i] == MR_GROUP_NONE;
        any |= groups[i] == MR_GROUP_NONE;
    }
    if (any)
        status = mr_rules_settle(plan->rules, self->base.runtime, batch, broken, emit, err);
    else
        status = emit->batch(emit, 0, mr_batch_ref(batch), err);
out:
    mr_free(valid);
    mr_free(groups);
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
    return set_insert(self->set, batch->columns[plan->referenced],
                      mr_selection_rows(batch->selection), mr_batch_active(batch), err);
}

static void integrity_close(void *task)
{
    struct integrity_task *self = task;
    mr_group_table_free(self->set);
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
