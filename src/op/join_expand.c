/*
 * join_expand.c - a step joinDataFrames as joins of two inputs each, and which input is kept.
 *
 * N frames are joined from left to right. Two frames need no parts, unless they change places: the
 * kept side is port 1, so a right join keeps the left frame, and an inner or cross join the frame
 * that is named by `broadcast` or is estimated to have fewer rows. In a chain the result so far has
 * no name, so each part is told which frame a column came from: names in the output are unique, and
 * that is enough for "orders.id" to be found in any later condition.
 */
#include "op/join_options.h"
#include "op/join_plan.h"

#include "base/text.h"
#include "op/event_time.h"

#include <string.h>

/* dropLateRows without its wishes. */
static const struct mr_option late_options[] = {MR_LATE_OPTIONS, MR_OPTION_END};

struct expansion {
    const struct mr_op_bind *bind;
    struct mr_join_request request;
    struct mr_op_parts *out;
    int first[2]; /* what the first join reads */
    bool streams;
    struct mr_error *err;
};

static bool is_broadcast(const struct expansion *expansion, int input)
{
    const struct mr_op_bind *bind = expansion->bind;
    const struct mr_option_value *value = mr_options_get(bind->options, "broadcast");
    const char *frame = bind->inputs[input].frame;
    for (int i = 0; value->set && i < value->u.strings.count; i++) {
        const char *name = value->u.strings.items[i];
        if ((frame && mr_text_equal_nocase(name, frame)) ||
            (mr_text_equal_nocase(name, "true") && input == bind->ninputs - 1))
            return true;
    }
    return false;
}

static bool left_streams(const struct mr_op_bind *bind, int j)
{
    bool stream = false;
    for (int i = 0; i <= j; i++)
        stream |= bind->inputs[i].stream;
    return stream;
}

/* Should join j keep what is on its left? `rows`: estimate of it. */
static bool keep_left(const struct expansion *expansion, int j, int64_t rows)
{
    const struct mr_op_bind *bind = expansion->bind;
    enum mr_join_type type = expansion->request.types[j];
    if (type == MR_JOIN_TYPE_RIGHT)
        return true;
    if (type != MR_JOIN_TYPE_INNER && type != MR_JOIN_TYPE_CROSS)
        return false;
    if (left_streams(bind, j) != bind->inputs[j + 1].stream) /* a stream streams past */
        return bind->inputs[j + 1].stream;
    if (is_broadcast(expansion, j + 1))
        return false;
    if (j == 0 && is_broadcast(expansion, 0))
        return true;
    return rows >= 0 && bind->inputs[j + 1].rows >= 0 && rows < bind->inputs[j + 1].rows;
}

static enum mr_status copy_position(const struct expansion *expansion, struct mr_options *options)
{
    const struct mr_options *from = expansion->bind->options;
    options->position = from->position;
    for (int i = 0; i < from->count; i++) {
        const char *name = from->table[i].name;
        for (int k = 0; k < options->count; k++)
            if (!strcmp(options->table[k].name, name))
                options->values[k].position = from->values[i].position;
    }
    return MR_OK;
}

/* Frames of the columns joined before join j: inputs 0 .. j. */
static enum mr_status set_left_frames(const struct expansion *expansion, int j,
                                      struct mr_options *options)
{
    const struct mr_op_bind *bind = expansion->bind;
    for (int input = 0; input <= j; input++) {
        const char *frame = bind->inputs[input].frame;
        const struct mr_schema *schema = bind->inputs[input].schema;
        for (int c = 0; frame && c < schema->nfields; c++)
            MR_TRY(mr_options_add_pair(bind->arena, options, "leftFrames", schema->fields[c].name,
                                       frame, expansion->err));
    }
    return MR_OK;
}

static enum mr_status set_keys(const struct expansion *expansion, int j, struct mr_options *options)
{
    const struct mr_join_request *request = &expansion->request;
    struct mr_arena *arena = expansion->bind->arena;
    struct mr_error *err = expansion->err;
    switch (request->form) {
    case MR_JOIN_BY_CONDITIONS:
        return mr_options_set_list(arena, options, "joinConditions", &request->conditions[j], 1,
                                   err);
    case MR_JOIN_USING:
        return mr_options_set_list(arena, options, "joinColumn", request->left_keys, request->nkeys,
                                   err);
    case MR_JOIN_BY_KEYS:
        MR_TRY(mr_options_set_list(arena, options, "leftKeys", request->left_keys, request->nkeys,
                                   err));
        return mr_options_set_list(arena, options, "rightKeys", request->right_keys, request->nkeys,
                                   err);
    case MR_JOIN_BY_NOTHING:
        break;
    }
    return MR_OK;
}

static enum mr_status add_part(const struct expansion *expansion, int j, bool swapped)
{
    const struct mr_op_bind *bind = expansion->bind;
    struct mr_error *err = expansion->err;
    const char *type = mr_join_type_name(expansion->request.types[j]);
    struct mr_options *options = mr_options_new(bind->arena, mr_join_part_options);
    int *inputs = mr_arena_calloc(bind->arena, 2, sizeof *inputs);
    if (!options || !inputs)
        return mr_error_nomem(err);
    MR_TRY(copy_position(expansion, options));
    MR_TRY(mr_options_set_list(bind->arena, options, "joinType", &type, 1, err));
    MR_TRY(set_keys(expansion, j, options));
    MR_TRY(mr_options_set_text(bind->arena, options, "swapped", swapped ? "true" : "false", err));
    const char *frame = bind->inputs[j + 1].frame;
    if (frame)
        MR_TRY(mr_options_set_text(bind->arena, options, "rightFrame", frame, err));
    MR_TRY(set_left_frames(expansion, j, options));
    if (mr_options_has(bind->options, "within")) {
        const char *within =
            mr_arena_printf(bind->arena, "%lldus",
                            (long long)mr_options_integer(bind->options, "within", 0));
        if (!within)
            return mr_error_nomem(err);
        MR_TRY(mr_options_set_text(bind->arena, options, "within", within, err));
    }
    inputs[swapped ? 1 : 0] = j == 0 ? expansion->first[0] : j - 1;
    inputs[swapped ? 0 : 1] = j == 0 ? expansion->first[1] : -1 - (j + 1);
    expansion->out->items[expansion->out->count++] = (struct mr_op_part){
        .method = expansion->streams ? "joinStreams" : "joinDataFrames",
        .detail = bind->ninputs > 2 && frame ? frame : NULL,
        .options = options,
        .ninputs = 2,
        .inputs = inputs,
    };
    return MR_OK;
}

/* Late rows are left out of each, then both are kept. */
static enum mr_status expand_streams(struct expansion *expansion)
{
    const struct mr_op_bind *bind = expansion->bind;
    enum mr_join_type type = expansion->request.types[0];
    struct mr_options *late = mr_options_new(bind->arena, late_options);
    expansion->streams = true;
    expansion->out->items = mr_arena_calloc(bind->arena, 3, sizeof *expansion->out->items);
    if (!expansion->out->items || !late)
        return mr_error_nomem(expansion->err);
    for (int i = 0; i < 2; i++) {
        const char *frame = bind->inputs[i].frame ? bind->inputs[i].frame : "the primary frame";
        if (!bind->inputs[i].measured || !bind->inputs[i].event_time) {
            mr_options_error(bind->options, "within", expansion->err, "%.80s has no watermark",
                             frame);
            mr_error_hint(expansion->err, "put a step withWatermark in front of each frame");
            return MR_CONFIG;
        }
        MR_TRY(mr_event_time_parts(bind, NULL, bind->inputs[i].event_time, late, i, expansion->out,
                                   &expansion->first[i], expansion->err));
    }
    return add_part(expansion, 0, type == MR_JOIN_TYPE_RIGHT);
}

static enum mr_status two_streams(const struct mr_op_bind *bind, struct mr_error *err)
{
    mr_options_error(
        bind->options, "within", err,
        "two streams can only be joined with `within`: how far apart their event times "
        "may be");
    mr_error_hint(err, bind->ninputs > 2
                           ? "join two frames in a step of their own"
                           : "say \"within\": \"10 minutes\"; withWatermark in front of each "
                             "of them names the event times");
    return MR_CONFIG;
}

/* Is there a frame that could be read again? */
static enum mr_status check_refresh(const struct mr_op_bind *bind, struct mr_error *err)
{
    if (!bind->runtime->streaming || !mr_options_has(bind->options, "refresh"))
        return MR_OK;
    for (int i = 0; i < bind->ninputs; i++)
        if (!bind->inputs[i].stream)
            return MR_OK;
    return mr_options_error(bind->options, "refresh", err,
                            "all frames are streams: there is none that would be read again");
}

enum mr_status mr_join_expand(const struct mr_op_bind *bind, struct mr_op_parts *out,
                              struct mr_error *err)
{
    struct expansion expansion = {.bind = bind, .out = out, .first = {-1, -2}, .err = err};
    *out = (struct mr_op_parts){0};
    if (bind->options->table == mr_join_part_options)
        return MR_OK;
    MR_TRY(mr_join_read_options(bind, &expansion.request, err));
    MR_TRY(check_refresh(bind, err));
    int joins = expansion.request.njoins;
    int64_t rows = bind->inputs[0].rows;
    if (mr_options_has(bind->options, "within") && joins > 1)
        return mr_options_error(bind->options, "within", err, "is for two frames, here are %d",
                                joins + 1);
    if (mr_options_has(bind->options, "within") && bind->inputs[0].stream && bind->inputs[1].stream)
        return expand_streams(&expansion);
    for (int j = 0; j < joins; j++)
        if (left_streams(bind, j) && bind->inputs[j + 1].stream)
            return two_streams(bind, err);
    if (joins == 1 && !keep_left(&expansion, 0, rows))
        return MR_OK;
    out->items = mr_arena_calloc(bind->arena, (size_t)joins, sizeof *out->items);
    if (!out->items)
        return mr_error_nomem(err);
    for (int j = 0; j < joins; j++) {
        MR_TRY(add_part(&expansion, j, keep_left(&expansion, j, rows)));
        /* A chain by foreign keys has as many rows as its largest frame. */
        int64_t right = bind->inputs[j + 1].rows;
        rows = rows < 0 || right < 0 ? -1 : rows > right ? rows : right;
    }
    return MR_OK;
}
