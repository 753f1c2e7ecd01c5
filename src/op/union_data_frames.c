/*
 * union_data_frames.c - the rows of several frames, columns matched by name.
 *
 * Each input port has its own projection to the common schema: a column that is there already at the common type passes, one of
 * a narrower type is cast, a missing one is NULL (allowMissingColumns). Rows are not put in any order between frames. Without
 * repeated rows (distinct) the step is two operators.
 */
#include "op/bind.h"
#include "op/ops.h"

#include "base/text.h"
#include "ext/registry.h"

#include <limits.h>

struct union_port {
    int *source;                      /* per output column: input column, -1 computed, -2 NULL */
    struct mr_projection *projection; /* the casts, in the order of the columns with -1 */
};

struct union_plan {
    struct mr_sql_session session;
    const struct mr_schema *schema;
    struct union_port *ports;
};

static int integer_rank(const struct mr_type *type)
{
    switch (type->id) {
    case MR_TYPE_INT8:
        return 1;
    case MR_TYPE_INT16:
        return 2;
    case MR_TYPE_INT32:
        return 3;
    case MR_TYPE_INT64:
        return 4;
    default:
        return 0;
    }
}

/* The type that both fit into without loss, or NULL. */
static const struct mr_type *common_type(struct mr_arena *arena, const struct mr_type *a,
                                         const struct mr_type *b)
{
    if (mr_type_equal(a, b) || b->id == MR_TYPE_NULL)
        return a;
    if (a->id == MR_TYPE_NULL)
        return b;
    if (integer_rank(a) && integer_rank(b))
        return integer_rank(a) > integer_rank(b) ? a : b;
    if (a->id == MR_TYPE_DECIMAL && b->id == MR_TYPE_DECIMAL) {
        int scale = a->scale > b->scale ? a->scale : b->scale;
        int whole_a = a->precision - a->scale, whole_b = b->precision - b->scale;
        int precision = scale + (whole_a > whole_b ? whole_a : whole_b);
        return precision <= MR_DECIMAL_MAX_PRECISION ? mr_type_decimal(arena, precision, scale)
                                                     : NULL;
    }
    bool float_a = a->id == MR_TYPE_FLOAT32 || a->id == MR_TYPE_FLOAT64;
    bool float_b = b->id == MR_TYPE_FLOAT32 || b->id == MR_TYPE_FLOAT64;
    if (float_a && float_b)
        return mr_type_of(MR_TYPE_FLOAT64);
    if (mr_type_is_string(a) && mr_type_is_string(b))
        return mr_type_of(MR_TYPE_STRING);
    return NULL;
}

static const char *frame_name(const struct mr_op_bind *bind, int input)
{
    return bind->inputs[input].frame ? bind->inputs[input].frame : "the primary frame";
}

static bool is_wanted(const struct mr_op_bind *bind, const char *name)
{
    for (int i = 0; i < bind->nwanted; i++)
        if (mr_text_equal_nocase(bind->wanted[i], name))
            return true;
    return bind->wanted == NULL;
}

/* Adds the columns of one input to the common fields, but those that nobody reads. */
static enum mr_status merge_fields(const struct mr_op_bind *bind, int input, bool allow_missing,
                                   struct mr_field *fields, int *total, struct mr_error *err)
{
    const struct mr_schema *schema = bind->inputs[input].schema;
    struct mr_schema so_far = {.nfields = *total, .fields = fields};
    for (int i = 0; i < schema->nfields; i++) {
        const struct mr_field *field = &schema->fields[i];
        if (!is_wanted(bind, field->name))
            continue;
        int at = input == 0 ? -1 : mr_schema_find(&so_far, field->name);
        if (at < 0) {
            if (input > 0 && !allow_missing) {
                mr_error_config(err, "frame %s has a column %s that %s lacks",
                                frame_name(bind, input), field->name, frame_name(bind, 0));
                mr_error_hint(err, "set allowMissingColumns to true to fill it with NULL, or "
                                   "select the same columns in both");
                return MR_CONFIG;
            }
            fields[*total] = *field;
            fields[*total].nullable = field->nullable || input > 0;
            (*total)++;
            continue;
        }
        const struct mr_type *type = common_type(bind->arena, fields[at].type, field->type);
        if (!type) {
            char a[128], b[128];
            mr_error_config(err, "column %s is %s in one frame and %s in %s", field->name,
                            mr_type_text(fields[at].type, a, sizeof a),
                            mr_type_text(field->type, b, sizeof b), frame_name(bind, input));
            mr_error_hint(err, "cast one of them with castColumns");
            return MR_CONFIG;
        }
        fields[at].type = type;
        fields[at].nullable |= field->nullable;
    }
    return MR_OK;
}

static enum mr_status bind_port(const struct mr_op_bind *bind, struct union_plan *self, int input,
                                bool allow_missing, bool *nullable, struct mr_error *err)
{
    const struct mr_schema *schema = bind->inputs[input].schema;
    struct union_port *port = &self->ports[input];
    size_t room = (size_t)self->schema->nfields + 1;
    port->source = mr_arena_calloc(bind->arena, room, sizeof *port->source);
    const char **names = mr_arena_calloc(bind->arena, room, sizeof *names);
    const char **texts = mr_arena_calloc(bind->arena, room, sizeof *texts);
    if (!port->source || !names || !texts)
        return mr_error_nomem(err);
    int casts = 0;
    for (int i = 0; i < self->schema->nfields; i++) {
        const struct mr_field *field = &self->schema->fields[i];
        int at = mr_schema_find(schema, field->name);
        port->source[i] = at;
        if (at < 0 && !allow_missing) {
            mr_error_config(err, "frame %s lacks the column %s", frame_name(bind, input),
                            field->name);
            mr_error_hint(err, "set allowMissingColumns to true to fill it with NULL");
            return MR_CONFIG;
        }
        if (at < 0) {
            port->source[i] = -2;
            nullable[i] = true;
        } else if (!mr_type_equal(schema->fields[at].type, field->type)) {
            char text[256];
            char *quoted = mr_op_quote_name(bind->arena, schema->fields[at].name);
            names[casts] = field->name;
            texts[casts++] = quoted ? mr_arena_printf(bind->arena, "CAST(%s AS %s)", quoted,
                                                      mr_type_text(field->type, text, sizeof text))
                                    : NULL;
            port->source[i] = -1;
            if (!texts[casts - 1])
                return mr_error_nomem(err);
        }
    }
    int failed = 0;
    struct mr_sql_scope scope = mr_op_scope(bind, input);
    if (casts)
        return mr_projection_compile(bind->arena, &scope, &self->session, casts, names, texts,
                                     false, &port->projection, &failed, err);
    return MR_OK;
}

/* Which columns of each input come out unchanged; the others are read for casts. */
static enum mr_status say_passes(const struct mr_op_bind *bind, const struct union_plan *self,
                                 struct mr_op_info *info, struct mr_error *err)
{
    struct mr_arena *arena = bind->arena;
    int n = self->schema->nfields;
    const int **passes = mr_arena_calloc(arena, (size_t)bind->ninputs, sizeof(*passes));
    const bool **reads = mr_arena_calloc(arena, (size_t)bind->ninputs, sizeof(*reads));
    const bool **crosses = mr_arena_calloc(arena, (size_t)bind->ninputs, sizeof(*crosses));
    if (!passes || !reads || !crosses)
        return mr_error_nomem(err);
    for (int k = 0; k < bind->ninputs; k++) {
        const struct mr_schema *input = bind->inputs[k].schema;
        int *pass = mr_arena_calloc(arena, (size_t)n + 1, sizeof *pass);
        bool *cross = mr_arena_calloc(arena, (size_t)n + 1, sizeof *cross);
        bool *read = mr_arena_calloc(arena, (size_t)input->nfields + 1, sizeof *read);
        if (!pass || !cross || !read)
            return mr_error_nomem(err);
        for (int i = 0; i < n; i++) {
            int source = self->ports[k].source[i];
            pass[i] = source >= 0 ? source : -1;
            cross[i] = source >= 0;
            if (source == -1)
                read[mr_schema_find(input, self->schema->fields[i].name)] = true;
        }
        passes[k] = pass;
        crosses[k] = cross;
        reads[k] = read;
    }
    info->passes_from = passes;
    info->reads = reads;
    info->crosses = crosses;
    info->crosses_all = true;
    return MR_OK;
}

/* distinct: the union of all, then the first row of each. */
static enum mr_status union_expand(const struct mr_op_bind *bind, struct mr_op_parts *out,
                                   struct mr_error *err)
{
    if (!mr_options_boolean(bind->options, "distinct", false))
        return MR_OK;
    const struct mr_method *distinct = mr_registry_method(bind->runtime->registry, "deduplicate");
    if (!distinct || !distinct->op)
        return mr_error_config(err,
                               "distinct needs the method deduplicate, which this build lacks");
    struct mr_op_part *parts = mr_arena_calloc(bind->arena, 2, sizeof *parts);
    int *inputs = mr_arena_calloc(bind->arena, (size_t)bind->ninputs + 1, sizeof *inputs);
    struct mr_options *all = mr_options_new(bind->arena, bind->options->table);
    struct mr_options *each = mr_options_new(bind->arena, distinct->op->options);
    if (!parts || !inputs || !all || !each)
        return mr_error_nomem(err);
    if (mr_options_boolean(bind->options, "allowMissingColumns", false))
        MR_TRY(mr_options_set_text(bind->arena, all, "allowMissingColumns", "true", err));
    for (int i = 0; i < bind->ninputs; i++)
        inputs[i] = -1 - i;
    parts[0] = (struct mr_op_part){"unionDataFrames", NULL, all, bind->ninputs, inputs};
    parts[1] = (struct mr_op_part){"deduplicate", "distinct", each, 1, &inputs[bind->ninputs]};
    *out = (struct mr_op_parts){parts, 2};
    return MR_OK;
}

static enum mr_status union_bind(const struct mr_op_bind *bind, void **plan,
                                 struct mr_op_info *info, struct mr_error *err)
{
    bool allow_missing = mr_options_boolean(bind->options, "allowMissingColumns", false);
    struct union_plan *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    size_t room = 1;
    for (int i = 0; i < bind->ninputs; i++)
        room += (size_t)bind->inputs[i].schema->nfields;
    struct mr_field *fields = mr_arena_calloc(bind->arena, room, sizeof *fields);
    bool *nullable = mr_arena_calloc(bind->arena, room, sizeof *nullable);
    if (!self || !fields || !nullable)
        return mr_error_nomem(err);
    self->session = mr_op_session(bind);
    self->ports = mr_arena_calloc(bind->arena, (size_t)bind->ninputs, sizeof *self->ports);
    int total = 0;
    int64_t rows = 0;
    for (int i = 0; i < bind->ninputs; i++) {
        MR_TRY(merge_fields(bind, i, allow_missing, fields, &total, err));
        rows = rows < 0 || bind->inputs[i].rows < 0 ? -1 : rows + bind->inputs[i].rows;
    }
    self->schema = mr_schema_new(bind->arena, fields, total);
    if (!self->ports || !self->schema)
        return mr_error_nomem(err);
    for (int i = 0; i < bind->ninputs; i++)
        MR_TRY(bind_port(bind, self, i, allow_missing, nullable, err));
    for (int i = 0; i < total; i++)
        fields[i].nullable |= nullable[i];
    self->schema = mr_schema_new(bind->arena, fields, total);
    if (!self->schema)
        return mr_error_nomem(err);
    info->schema = self->schema;
    info->rows = rows;
    info->details = mr_arena_printf(bind->arena, "%d frames by name", bind->ninputs);
    *plan = self;
    return say_passes(bind, self, info, err);
}

static enum mr_status union_open(void *plan, struct mr_runtime *runtime, void **task,
                                 struct mr_error *err)
{
    struct union_plan *self = plan;
    return mr_op_eval_open(plan, runtime, &self->session, task, err);
}

static enum mr_status union_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                 struct mr_error *err)
{
    struct mr_op_eval_task *self = task;
    struct union_plan *plan = self->plan;
    struct union_port *input = &plan->ports[port];
    int total = plan->schema->nfields, ncasts = 0;
    int wanted = input->projection ? mr_projection_count(input->projection) : 0;
    struct mr_column **columns = mr_calloc((size_t)(total + wanted) + 1, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(err);
    struct mr_column **casts = columns + total;
    enum mr_status status = MR_OK;
    int done = 0;
    if (wanted)
        MR_TRY_OUT(mr_projection_eval(self->eval, input->projection, batch, casts, err));
    for (; done < total; done++) {
        int source = input->source[done];
        const struct mr_type *type = plan->schema->fields[done].type;
        if (source == -2) {
            struct mr_value null = {.type = type, .is_null = true};
            MR_TRY_OUT(mr_column_new_constant(self->runtime->memory, type, &null, batch->rows,
                                              &columns[done], err));
        } else {
            columns[done] = mr_column_ref(source >= 0 ? batch->columns[source] : casts[ncasts++]);
        }
    }
    struct mr_batch *out = NULL;
    status = mr_batch_derive(batch, plan->schema, columns, &out, err);
    done = 0; /* taken over, also on failure */
    if (status == MR_OK)
        status = emit->batch(emit, 0, out, err);
out:
    for (int i = 0; i < done; i++)
        mr_column_unref(columns[i]);
    for (int i = 0; i < wanted; i++)
        mr_column_unref(casts[i]);
    mr_free(columns);
    return status;
}

static const struct mr_option union_options[] = {
    {.name = "distinct",
     .type = MR_OPTION_BOOL,
     .fallback = "false",
     .doc = "Leave out repeated rows."},
    {.name = "allowMissingColumns",
     .type = MR_OPTION_BOOL,
     .fallback = "false",
     .doc = "Fill a column that some frame lacks with NULL instead of refusing."},
    MR_OPTION_END,
};

const struct mr_op mr_op_union_data_frames = {
    .name = "unionDataFrames",
    .doc = "The rows of all listed frames, columns matched by name.",
    .options = union_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION,
    .min_inputs = 2,
    .max_inputs = INT_MAX,
    .expand = union_expand,
    .bind = union_bind,
    .open = union_open,
    .push = union_push,
    .close = mr_op_eval_close,
};
