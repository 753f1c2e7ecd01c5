/*
 * op.c - in front of an input of a join with `refresh`: passes rows on, and gathers a copy of a static frame's.
 *
 * Where it gathers, no filter crosses it and no column is left out (it says no `passes`): what is held must not depend on what the steps behind
 * make of it in one epoch. A frame that is a stream is only passed on.
 */
#include "connect/held/held.h"

const struct mr_option mr_held_options[] = {
    {.name = "step", .type = MR_OPTION_STRING, .doc = "Of the join: its key."},
    {.name = "input", .type = MR_OPTION_INT, .doc = "Its input, from 0."},
    MR_OPTION_END,
};

const struct mr_holder mr_holder_builtin = {&mr_op_held, &mr_source_held, mr_held_options};

struct mr_held_frame *mr_held_of(const struct mr_options *options, const struct mr_runtime *runtime)
{
    return mr_held_find(runtime->held, mr_options_text(options, "step"),
                        (int)mr_options_integer(options, "input", 0));
}

struct plan {
    struct mr_held_frame *frame; /* NULL = rows are passed on, and that is all */
};

struct task {
    struct mr_held_frame *frame;
};

static const int *passes_all(struct mr_arena *arena, const struct mr_schema *schema)
{
    int *passes = mr_arena_calloc(arena, (size_t)schema->nfields + 1, sizeof *passes);
    for (int i = 0; passes != NULL && i < schema->nfields; i++)
        passes[i] = i;
    return passes;
}

static enum mr_status held_bind(const struct mr_op_bind *bind, void **out, struct mr_op_info *info,
                                struct mr_error *err)
{
    struct plan *plan = mr_arena_calloc(bind->arena, 1, sizeof *plan);
    if (plan == NULL)
        return mr_error_nomem(err);
    info->schema = bind->inputs[0].schema;
    info->rows = bind->inputs[0].rows;
    if (!bind->inputs[0].stream && !bind->runtime->offline)
        plan->frame = mr_held_of(bind->options, bind->runtime);
    info->details = bind->inputs[0].stream ? "a stream: not held" : "held until it is refreshed";
    *out = plan;
    if (plan->frame != NULL)
        return mr_held_begin(plan->frame, info->schema, bind->inputs[0].event_time, err);
    info->passes = passes_all(bind->arena, info->schema);
    return info->passes != NULL ? MR_OK : mr_error_nomem(err);
}

static enum mr_status held_open(void *plan, struct mr_runtime *runtime, void **out,
                                struct mr_error *err)
{
    (void)runtime;
    struct task *task = mr_calloc(1, sizeof *task);
    if (task == NULL)
        return mr_error_nomem(err);
    task->frame = ((struct plan *)plan)->frame;
    if (task->frame != NULL) {
        pthread_mutex_lock(&task->frame->lock);
        task->frame->reading->opened = true;
        pthread_mutex_unlock(&task->frame->lock);
    }
    *out = task;
    return MR_OK;
}

static enum mr_status held_push(void *opaque, int port, struct mr_batch *batch,
                                struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    struct task *task = opaque;
    enum mr_status status = task->frame != NULL ? mr_held_add(task->frame, batch, err) : MR_OK;
    if (status == MR_LIMIT)
        mr_error_hint(
            err, "with `refresh` a static frame has to fit into half of resources.memory: raise "
                 "it, select fewer columns in front of the join, or leave `refresh` out");
    MR_TRY(status);
    return emit->batch(emit, 0, mr_batch_ref(batch), err);
}

static enum mr_status held_finish(void *opaque, int port, struct mr_emit *emit,
                                  struct mr_error *err)
{
    (void)port;
    (void)err;
    struct task *task = opaque;
    if (task->frame != NULL && emit->closed) {
        pthread_mutex_lock(&task->frame->lock);
        task->frame->reading->cut = true;
        pthread_mutex_unlock(&task->frame->lock);
    }
    return MR_OK;
}

static void held_close(void *task)
{
    mr_free(task);
}

const struct mr_op mr_op_held = {
    .name = "holdRows",
    .doc = "Keeps the rows of a static frame until it is refreshed.",
    .options = mr_held_options,
    .flags = MR_OP_STREAMING | MR_OP_STATEFUL | MR_OP_CROSSES,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = held_bind,
    .open = held_open,
    .push = held_push,
    .finish = held_finish,
    .close = held_close,
};
