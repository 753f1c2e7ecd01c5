/*
 * toy_parts.c - toys that stand for several operators.
 */
#include "unit/exec/toy.h"

#include <limits.h>
#include <string.h>

static const struct mr_option parts_options[] = {
    {.name = "tables", .type = MR_OPTION_STRINGS},
    {.name = "pulls", .type = MR_OPTION_INT, .fallback = "2"},
    {.name = "wrong", .type = MR_OPTION_BOOL, .fallback = "false"},
    MR_OPTION_END,
};

static enum mr_status parts_frames(struct mr_arena *arena, const struct mr_options *options,
                                   const char *const **names, int *count, struct mr_error *err)
{
    (void)arena;
    (void)err;
    const struct mr_option_value *tables = mr_options_get(options, "tables");
    *names = tables->u.strings.items;
    *count = tables->set ? tables->u.strings.count : 0;
    return MR_OK;
}

static struct mr_options *options_of(const struct mr_op_bind *bind, const char *method)
{
    const struct mr_method *found = mr_registry_method(bind->runtime->registry, method);
    return mr_options_new(bind->arena, found->op->options);
}

/* All inputs -> toyUnion -> toyPass -> toyGroup -> toyParts, which is bound then. */
static enum mr_status parts_expand(const struct mr_op_bind *bind, struct mr_op_parts *out,
                                   struct mr_error *err)
{
    static const char *const methods[] = {"toyUnion", "toyPass", "toyGroup", "toyParts"};
    struct mr_op_part *parts = mr_arena_calloc(bind->arena, 4, sizeof *parts);
    int *inputs = mr_arena_calloc(bind->arena, (size_t)bind->ninputs + 3, sizeof *inputs);
    for (int i = 0; i < bind->ninputs; i++)
        inputs[i] = -1 - i;
    for (int i = 0; i < 3; i++)
        inputs[bind->ninputs + i] = i;
    for (int i = 0; i < 4; i++) {
        struct mr_options *options = options_of(bind, methods[i]);
        if (i == 1 && mr_options_boolean(bind->options, "wrong", false))
            MR_TRY(mr_options_set_text(bind->arena, options, "column", "nope", err));
        if (i == 2)
            MR_TRY(mr_options_set_text(bind->arena, options, "pulls",
                                       mr_arena_printf(bind->arena, "%d",
                                                       (int)mr_options_integer(bind->options,
                                                                               "pulls", 0)),
                                       err));
        parts[i] = (struct mr_op_part){
            .method = methods[i],
            .detail = i == 2 ? "GROUP BY" : NULL,
            .options = options,
            .ninputs = i == 0 ? bind->ninputs : 1,
            .inputs = i == 0 ? inputs : inputs + bind->ninputs + i - 1,
        };
    }
    *out = (struct mr_op_parts){parts, 4};
    return MR_OK;
}

static enum mr_status nest_expand(const struct mr_op_bind *bind, struct mr_op_parts *out,
                                  struct mr_error *err)
{
    (void)err;
    static const int first[] = {-1}, second[] = {0, -1};
    struct mr_op_part *parts = mr_arena_calloc(bind->arena, 2, sizeof *parts);
    parts[0] = (struct mr_op_part){"toyParts", "inner", options_of(bind, "toyParts"), 1, first};
    parts[1] = (struct mr_op_part){"toyUnion", NULL, options_of(bind, "toyUnion"), 2, second};
    *out = (struct mr_op_parts){parts, 2};
    return MR_OK;
}

static enum mr_status pass_bind(const struct mr_op_bind *bind, void **plan, struct mr_op_info *info,
                                struct mr_error *err)
{
    (void)err;
    *plan = (void *)(uintptr_t)bind;
    *info = (struct mr_op_info){.schema = bind->inputs[0].schema, .rows = bind->inputs[0].rows};
    return MR_OK;
}

static enum mr_status pass_open(void *plan, struct mr_runtime *runtime, void **task,
                                struct mr_error *err)
{
    (void)plan;
    (void)err;
    *task = runtime;
    return MR_OK;
}

static enum mr_status pass_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                struct mr_error *err)
{
    (void)task;
    (void)port;
    return emit->batch(emit, 0, mr_batch_ref(batch), err);
}

static void pass_close(void *task)
{
    (void)task;
}

static const struct mr_option ask_options[] = {
    {.name = "of", .type = MR_OPTION_STRING, .flags = MR_OPTION_EXPRESSION},
    {.name = "most", .type = MR_OPTION_INT, .fallback = "100"},
    {.name = "values", .type = MR_OPTION_STRINGS},
    MR_OPTION_END,
};

static enum mr_status ask_discover(struct mr_arena *arena, const struct mr_options *options,
                                   struct mr_op_question *out, struct mr_error *err)
{
    (void)arena;
    (void)err;
    if (!mr_options_has(options, "values"))
        *out = (struct mr_op_question){mr_options_text(options, "of"),
                                       mr_options_integer(options, "most", 0), "values"};
    return MR_OK;
}

static enum mr_status ask_bind(const struct mr_op_bind *bind, void **plan, struct mr_op_info *info,
                               struct mr_error *err)
{
    MR_TRY(pass_bind(bind, plan, info, err));
    const struct mr_op_discovered *found = bind->discovered;
    const char *text = "";
    assert_true((found == NULL) == mr_options_has(bind->options, "values"));
    for (int i = 0; found != NULL && i < found->count; i++)
        text = mr_arena_printf(bind->arena, "%s%s%s", text, i > 0 ? " " : "",
                               found->values[i] != NULL ? found->values[i] : "NULL");
    info->details = text;
    return MR_OK;
}

const struct mr_op toy_ask = {
    .name = "toyAsk",
    .options = ask_options,
    .flags = MR_OP_STREAMING,
    .min_inputs = 1,
    .max_inputs = 1,
    .discover = ask_discover,
    .bind = ask_bind,
    .open = pass_open,
    .push = pass_push,
    .close = pass_close,
};

const struct mr_op toy_parts = {
    .name = "toyParts",
    .options = parts_options,
    .flags = MR_OP_STREAMING,
    .min_inputs = 1,
    .max_inputs = INT_MAX,
    .frames = parts_frames,
    .expand = parts_expand,
    .bind = pass_bind,
    .open = pass_open,
    .push = pass_push,
    .close = pass_close,
};

const struct mr_op toy_nest = {
    .name = "toyNest",
    .options = parts_options,
    .flags = MR_OP_STREAMING,
    .min_inputs = 1,
    .max_inputs = 1,
    .expand = nest_expand,
    .bind = pass_bind,
    .open = pass_open,
    .push = pass_push,
    .close = pass_close,
};
