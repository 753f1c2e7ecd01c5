/*
 * evolve_avro_schema.c - the columns of a frame as another Avro schema wants them: its order, names, defaults and types.
 *
 * The rules are those of reading (enc/avro_resolve.c), with the frame's own schema as the writer's, and the work is
 * done by the same code: columns that change are encoded as Avro rows and decoded with the plan, so that this step and a file that
 * is written and read again cannot differ. Columns of the same scalar type are passed on untouched, which is most of them.
 */
#include "base/text.h"
#include "enc/avro_decode.h"
#include "enc/avro_encode.h"
#include "enc/avro_type.h"
#include "op/bind.h"
#include "op/ops.h"

#define CHUNK ((size_t)1 << 20)

struct evolve_plan {
    const struct mr_schema *schema;
    const int *passes;              /* by column of the output: of the input, or -1 */
    const struct mr_schema *encode; /* columns of the input that change */
    const int *sources;             /* of `encode`, in the input */
    const struct mr_avro_document *written;
    const struct mr_avro_plan *decode; /* the other columns of the output, in order */
    bool changes;
};

struct evolve_task {
    const struct evolve_plan *plan;
    struct mr_runtime *runtime;
    struct mr_avro_encoder *encoder;
    struct mr_avro_decoder *decoder;
    struct mr_bytes rows;
    size_t charged;
};

/* ---- bind ---- */

static enum mr_status document_of(struct mr_arena *arena, const struct mr_schema *columns,
                                  const struct mr_avro_document **out, struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, MR_AVRO_MAX_TEXT);
    enum mr_status status = mr_avro_print(columns, NULL, NULL, &text, err);
    if (status == MR_OK)
        status = mr_avro_parse(arena, (struct mr_slice){text.data, text.size}, true, out, err);
    mr_bytes_reset(&text);
    return status;
}

/* The column that a field is read from: by its name, then by its aliases; -1 none. */
static int column_of(const struct mr_schema *input, const struct mr_avro_field *field)
{
    for (int alias = -1; alias < field->naliases; alias++) {
        const char *name = alias < 0 ? field->name : field->aliases[alias];
        for (int i = 0; i < input->nfields; i++)
            if (strcmp(input->fields[i].name, name) == 0)
                return i;
    }
    return -1;
}

/* Nothing to do but to hand the column on? */
static bool untouched(const struct mr_field *from, const struct mr_field *to,
                      const struct mr_avro_schema *schema)
{
    const struct mr_avro_schema *one = mr_avro_nullable_of(schema);
    enum mr_avro_kind kind = one ? one->kind : schema->kind;
    return mr_type_equal(from->type, to->type) && !mr_type_is_nested(to->type) &&
           (to->nullable || !from->nullable) && kind != MR_AVRO_ENUM && kind != MR_AVRO_FIXED &&
           kind != MR_AVRO_UNION;
}

struct draft {
    struct evolve_plan *plan;
    const struct mr_avro_document *target;
    struct mr_field *encode;
    struct mr_field *decode;
    int *passes;
    int *sources;
    bool *reads; /* by column of the input */
    int nencode;
    int ndecode;
};

static enum mr_status sort_columns(const struct mr_op_bind *bind, struct draft *draft)
{
    const struct mr_schema *input = bind->inputs[0].schema, *output = draft->plan->schema;
    for (int i = 0; i < output->nfields; i++) {
        const struct mr_avro_field *field = &draft->target->root->fields[i];
        int from = column_of(input, field);
        draft->passes[i] = -1;
        if (from >= 0)
            draft->reads[from] = true;
        if (from >= 0 && untouched(&input->fields[from], &output->fields[i], field->schema)) {
            draft->passes[i] = from;
            continue;
        }
        draft->decode[draft->ndecode++] = output->fields[i];
        if (from >= 0) {
            draft->sources[draft->nencode] = from;
            draft->encode[draft->nencode++] = input->fields[from];
        }
    }
    return MR_OK;
}

static enum mr_status plan_changes(const struct mr_op_bind *bind, struct draft *draft,
                                   struct mr_error *err)
{
    struct evolve_plan *plan = draft->plan;
    plan->changes = draft->ndecode > 0;
    plan->passes = draft->passes;
    plan->sources = draft->sources;
    plan->encode = mr_schema_new(bind->arena, draft->encode, draft->nencode);
    struct mr_avro_resolution resolution = {.reader = draft->target,
                                            .lenient = true,
                                            .partial = true};
    resolution.columns = mr_schema_new(bind->arena, draft->decode, draft->ndecode);
    if (!plan->encode || !resolution.columns)
        return mr_error_nomem(err);
    if (!plan->changes)
        return MR_OK;
    MR_TRY(document_of(bind->arena, plan->encode, &plan->written, err));
    resolution.writer = plan->written;
    return mr_avro_resolve(bind->arena, &resolution, &plan->decode, err);
}

/* The target must be readable as a whole, whichever columns go the short way. */
static enum mr_status check_all(const struct mr_op_bind *bind,
                                const struct mr_avro_document *target, struct mr_error *err)
{
    const struct mr_avro_plan *ignored;
    struct mr_avro_resolution whole = {.reader = target, .lenient = true};
    MR_TRY(document_of(bind->arena, bind->inputs[0].schema, &whole.writer, err));
    return mr_avro_resolve(bind->arena, &whole, &ignored, err);
}

static enum mr_status make_draft(const struct mr_op_bind *bind, struct draft *draft,
                                 struct mr_error *err)
{
    const struct mr_schema *input = bind->inputs[0].schema;
    draft->plan = mr_arena_calloc(bind->arena, 1, sizeof *draft->plan);
    MR_TRY(mr_avro_load(bind->arena, mr_options_text(bind->options, "targetSchema"),
                        bind->runtime->pipeline_dir, &draft->target, err));
    if (draft->target->root->kind != MR_AVRO_RECORD)
        return mr_error_config(err, "a record is wanted, the Avro schema is a %s",
                               mr_avro_kind_name(draft->target->root->kind));
    MR_TRY(check_all(bind, draft->target, err));
    size_t room = (size_t)draft->target->root->count + 1;
    draft->encode = mr_arena_calloc(bind->arena, room, sizeof *draft->encode);
    draft->decode = mr_arena_calloc(bind->arena, room, sizeof *draft->decode);
    draft->passes = mr_arena_calloc(bind->arena, room, sizeof *draft->passes);
    draft->sources = mr_arena_calloc(bind->arena, room, sizeof *draft->sources);
    draft->reads = mr_arena_calloc(bind->arena, (size_t)input->nfields + 1, sizeof(bool));
    if (!draft->plan || !draft->encode || !draft->decode || !draft->passes || !draft->sources ||
        !draft->reads)
        return mr_error_nomem(err);
    return mr_avro_columns(bind->arena, draft->target->root, &draft->plan->schema, err);
}

static enum mr_status evolve_bind(const struct mr_op_bind *bind, void **out,
                                  struct mr_op_info *info, struct mr_error *err)
{
    struct draft draft = {.plan = NULL};
    enum mr_status status = make_draft(bind, &draft, err);
    if (status == MR_OK)
        status = sort_columns(bind, &draft);
    if (status == MR_OK)
        status = plan_changes(bind, &draft, err);
    if (status == MR_CONFIG)
        return mr_op_option_failed(bind->options, "targetSchema", NULL, err);
    MR_TRY(status);
    const int **passes = mr_arena_calloc(bind->arena, 1, sizeof *passes);
    const bool **reads = mr_arena_calloc(bind->arena, 1, sizeof *reads);
    if (!passes || !reads)
        return mr_error_nomem(err);
    passes[0] = draft.passes;
    reads[0] = draft.reads;
    info->schema = draft.plan->schema;
    info->rows = bind->inputs[0].rows;
    info->passes = draft.passes;
    info->passes_from = passes;
    info->reads = reads;
    info->details =
        mr_arena_printf(bind->arena, "to %s, %d of %d columns change", draft.target->root->name,
                        draft.ndecode, draft.plan->schema->nfields);
    *out = draft.plan;
    return MR_OK;
}

/* ---- rows ---- */

static void evolve_close(void *task)
{
    struct evolve_task *self = task;
    if (!self)
        return;
    mr_avro_encoder_free(self->encoder);
    mr_avro_decoder_free(self->decoder);
    mr_bytes_reset(&self->rows);
    mr_memory_credit(self->runtime->memory, (int64_t)self->charged);
    mr_free(self);
}

static enum mr_status evolve_open(void *plan, struct mr_runtime *runtime, void **task,
                                  struct mr_error *err)
{
    struct evolve_task *self = mr_calloc(1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    *self = (struct evolve_task){.plan = plan, .runtime = runtime};
    mr_bytes_init(&self->rows, (size_t)1 << 31);
    enum mr_status status = MR_OK;
    if (self->plan->changes)
        status = mr_avro_encoder_new(self->plan->written, self->plan->encode, &self->encoder, err);
    if (status == MR_OK && self->plan->changes)
        status = mr_avro_decoder_new(self->plan->decode, runtime->memory, &self->decoder, err);
    if (status == MR_OK)
        *task = self;
    else
        evolve_close(self);
    return status;
}

static enum mr_status book(struct evolve_task *self, struct mr_error *err)
{
    if (self->rows.capacity <= self->charged)
        return MR_OK;
    MR_TRY(mr_memory_charge(self->runtime->memory, (int64_t)(self->rows.capacity - self->charged),
                            err));
    self->charged = self->rows.capacity;
    return MR_OK;
}

static enum mr_status recode(struct evolve_task *self, const struct mr_batch *batch,
                             struct mr_error *err)
{
    int64_t row = 0, made, back;
    size_t used;
    mr_avro_encoder_batch(self->encoder, batch);
    while (row < batch->rows) {
        mr_bytes_clear(&self->rows);
        MR_TRY(
            mr_avro_encode(self->encoder, row, batch->rows - row, CHUNK, &self->rows, &made, err));
        MR_TRY(book(self, err));
        struct mr_slice rows = {self->rows.data, self->rows.size};
        MR_TRY(mr_avro_decode(self->decoder, rows, made, SIZE_MAX, &used, &back, err));
        row += made;
    }
    return MR_OK;
}

/* A batch of the columns that change; borrows them. */
static enum mr_status change(struct evolve_task *self, struct mr_batch *batch,
                             struct mr_column **out, struct mr_error *err)
{
    const struct evolve_plan *plan = self->plan;
    struct mr_column **columns = mr_calloc((size_t)plan->encode->nfields + 1, sizeof(void *));
    if (!columns)
        return mr_error_nomem(err);
    for (int i = 0; i < plan->encode->nfields; i++)
        columns[i] = batch->columns[plan->sources[i]];
    struct mr_batch some = {.schema = plan->encode, .rows = batch->rows, .columns = columns};
    enum mr_status status = recode(self, &some, err);
    mr_free(columns);
    if (status != MR_OK && err && (err->status == MR_SINK || err->status == MR_SOURCE))
        err->status = status = MR_SOURCE;
    return status == MR_OK ? mr_avro_decoder_finish(self->decoder, out, err) : status;
}

static enum mr_status evolve_push(void *task, int port, struct mr_batch *batch,
                                  struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    struct evolve_task *self = task;
    const struct evolve_plan *plan = self->plan;
    int count = plan->schema->nfields, next = 0;
    if (batch->rows == 0)
        return MR_OK;
    struct mr_column **columns = mr_calloc(2 * ((size_t)count + 1), sizeof(void *));
    if (!columns)
        return mr_error_nomem(err);
    struct mr_column **changed = columns + count + 1;
    enum mr_status status = plan->changes ? change(self, batch, changed, err) : MR_OK;
    struct mr_batch *out = NULL;
    if (status == MR_OK) {
        for (int i = 0; i < count; i++)
            columns[i] = plan->passes[i] >= 0 ? mr_column_ref(batch->columns[plan->passes[i]])
                                              : changed[next++];
        status = mr_batch_derive(batch, plan->schema, columns, &out, err);
    }
    mr_free(columns);
    return status == MR_OK ? emit->batch(emit, 0, out, err) : status;
}

static const struct mr_option evolve_options[] = {
    {.name = "targetSchema",
     .type = MR_OPTION_ANY,
     .flags = MR_OPTION_REQUIRED,
     .doc =
         "The Avro schema (JSON, or a string of it), or the path of a file that holds it, relative "
         "to the pipeline file."},
    MR_OPTION_END,
};

const struct mr_op mr_op_evolve_avro_schema = {
    .name = "evolveAvroSchema",
    .doc =
        "Columns as an Avro schema wants them: order, names through aliases, defaults, promotions.",
    .options = evolve_options,
    .flags = MR_OP_STREAMING,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = evolve_bind,
    .open = evolve_open,
    .push = evolve_push,
    .close = evolve_close,
};
