/*
 * join_options.c - the options of joinDataFrames and the many ways to write them.
 *
 * There are two tables: the user's, and that of the parts which join_expand.c makes of a step. The
 * second has a few rows more, which nobody can write (which side is which, the frames that columns
 * of an earlier part came from).
 */
#include "op/join_options.h"

#include "base/text.h"

#include <string.h>

static const struct {
    const char *name;
    enum mr_join_type type;
} spellings[] = {
    {"inner", MR_JOIN_TYPE_INNER},      {"left", MR_JOIN_TYPE_LEFT},
    {"leftouter", MR_JOIN_TYPE_LEFT},   {"right", MR_JOIN_TYPE_RIGHT},
    {"rightouter", MR_JOIN_TYPE_RIGHT}, {"full", MR_JOIN_TYPE_FULL},
    {"outer", MR_JOIN_TYPE_FULL},       {"fullouter", MR_JOIN_TYPE_FULL},
    {"cross", MR_JOIN_TYPE_CROSS},      {"semi", MR_JOIN_TYPE_SEMI},
    {"leftsemi", MR_JOIN_TYPE_SEMI},    {"anti", MR_JOIN_TYPE_ANTI},
    {"leftanti", MR_JOIN_TYPE_ANTI},
};

const char *mr_join_type_name(enum mr_join_type type)
{
    static const char *const names[] = {"inner", "left",      "right",    "full",
                                        "cross", "left semi", "left anti"};
    return names[type];
}

/* Case, blanks and underscores do not count: "LEFT OUTER", "left_outer", "leftouter". */
static bool parse_type(const char *text, enum mr_join_type *out)
{
    char plain[32];
    size_t n = 0;
    for (; *text && n < sizeof plain - 1; text++)
        if (*text != '_' && *text != ' ' && *text != '-')
            plain[n++] = *text;
    plain[n] = '\0';
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        if (mr_text_equal_nocase(spellings[i].name, plain)) {
            *out = spellings[i].type;
            return true;
        }
    }
    return false;
}

static enum mr_status read_types(const struct mr_op_bind *bind, struct mr_join_request *out,
                                 struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(bind->options, "joinType");
    int given = value->set ? value->u.strings.count : 0;
    out->types = mr_arena_calloc(bind->arena, (size_t)out->njoins + 1, sizeof *out->types);
    if (!out->types)
        return mr_error_nomem(err);
    if (given > 1 && given != out->njoins)
        return mr_options_error(bind->options, "joinType", err,
                                "%d frames are joined by %d joins: give one type, or %d",
                                out->njoins + 1, out->njoins, out->njoins);
    for (int i = 0; i < out->njoins; i++) {
        const char *text = given ? value->u.strings.items[given > 1 ? i : 0] : "inner";
        if (parse_type(text, &out->types[i]))
            continue;
        mr_options_error(bind->options, "joinType", err, "\"%.40s\" is no type of join", text);
        mr_error_hint(err, "one of inner, left, right, full, cross, left_semi, left_anti");
        return MR_CONFIG;
    }
    return MR_OK;
}

static const struct mr_option_value *list_of(const struct mr_op_bind *bind, const char *name)
{
    const struct mr_option_value *value = mr_options_get(bind->options, name);
    return value->set ? value : NULL;
}

static enum mr_status read_conditions(const struct mr_op_bind *bind, struct mr_join_request *out,
                                      struct mr_error *err)
{
    const struct mr_option_value *value = list_of(bind, "joinConditions");
    out->form = MR_JOIN_BY_CONDITIONS;
    out->option = "joinConditions";
    out->conditions = value->u.strings.items;
    if (value->u.strings.count == out->njoins)
        return MR_OK;
    mr_options_error(bind->options, "joinConditions", err,
                     "%d frames need %d condition%s, there %s %d", out->njoins + 1, out->njoins,
                     out->njoins == 1 ? "" : "s", value->u.strings.count == 1 ? "is" : "are",
                     value->u.strings.count);
    mr_error_hint(err, "condition i joins frame i + 1 to what is joined so far; conditions of one "
                       "join go into one text, with AND");
    return MR_CONFIG;
}

static enum mr_status read_pairs(const struct mr_op_bind *bind, struct mr_join_request *out,
                                 struct mr_error *err)
{
    const struct mr_option_value *left = list_of(bind, "leftKeys");
    const struct mr_option_value *right = list_of(bind, "rightKeys");
    out->form = MR_JOIN_BY_KEYS;
    out->option = left ? "leftKeys" : "rightKeys";
    if (!left || !right)
        return mr_options_error(bind->options, out->option, err,
                                "leftKeys and rightKeys go together");
    if (out->njoins != 1) {
        mr_options_error(bind->options, "leftKeys", err,
                         "leftKeys and rightKeys are for two frames, here are %d", out->njoins + 1);
        mr_error_hint(err, "write joinConditions, one for each join");
        return MR_CONFIG;
    }
    out->nkeys = left->u.strings.count;
    out->left_keys = left->u.strings.items;
    out->right_keys = right->u.strings.items;
    if (out->nkeys == 0 || out->nkeys != right->u.strings.count)
        return mr_options_error(bind->options, "leftKeys", err,
                                "%d left keys and %d right keys do not pair up", out->nkeys,
                                right->u.strings.count);
    return MR_OK;
}

static enum mr_status read_form(const struct mr_op_bind *bind, struct mr_join_request *out,
                                struct mr_error *err)
{
    const struct mr_option_value *conditions = list_of(bind, "joinConditions");
    const struct mr_option_value *columns = list_of(bind, "joinColumn");
    const struct mr_option_value *left = list_of(bind, "leftKeys");
    const struct mr_option_value *right = list_of(bind, "rightKeys");
    if ((conditions != NULL) + (columns != NULL) + (left || right) > 1)
        return mr_options_error(bind->options, "joinConditions", err,
                                "joinConditions, joinColumn, and leftKeys with rightKeys are three "
                                "ways to say the same: give one");
    if (conditions)
        return read_conditions(bind, out, err);
    if (left || right)
        return read_pairs(bind, out, err);
    if (!columns)
        return MR_OK;
    out->form = MR_JOIN_USING;
    out->option = "joinColumn";
    out->nkeys = columns->u.strings.count;
    out->left_keys = out->right_keys = columns->u.strings.items;
    if (out->nkeys == 0)
        return mr_options_error(bind->options, "joinColumn", err, "names no column");
    return MR_OK;
}

static enum mr_status check_cross(const struct mr_op_bind *bind, const struct mr_join_request *out,
                                  struct mr_error *err)
{
    for (int i = 0; i < out->njoins; i++) {
        bool cross = out->types[i] == MR_JOIN_TYPE_CROSS;
        if (out->form == MR_JOIN_BY_NOTHING && !cross) {
            mr_error_config(err, "says nothing of what joins the frames");
            mr_error_hint(err, "give joinConditions, joinColumn, or leftKeys and rightKeys; "
                               "joinType cross pairs every row with every row");
            return MR_CONFIG;
        }
        if (cross && (out->form == MR_JOIN_USING || out->form == MR_JOIN_BY_KEYS))
            return mr_options_error(bind->options, "joinType", err,
                                    "a cross join has no keys; an inner join has");
    }
    return MR_OK;
}

enum mr_status mr_join_read_options(const struct mr_op_bind *bind, struct mr_join_request *out,
                                    struct mr_error *err)
{
    *out = (struct mr_join_request){.njoins = bind->ninputs - 1};
    MR_TRY(read_types(bind, out, err));
    MR_TRY(read_form(bind, out, err));
    MR_TRY(check_cross(bind, out, err));
    out->right_frame = bind->inputs[bind->ninputs - 1].frame;
    if (bind->options->table != mr_join_part_options)
        return MR_OK;
    out->swapped = mr_options_boolean(bind->options, "swapped", false);
    out->right_frame = mr_options_text(bind->options, "rightFrame");
    const struct mr_option_value *frames = mr_options_get(bind->options, "leftFrames");
    out->nleft_frames = frames->set ? frames->u.pairs.count : 0;
    out->left_frames = frames->u.pairs.items;
    return MR_OK;
}

#define JOIN_OPTIONS                                                                               \
    {.name = "joinConditions",                                                                     \
     .aliases = "joinCondition",                                                                   \
     .type = MR_OPTION_STRINGS,                                                                    \
     .flags = MR_OPTION_EXPRESSION,                                                                \
     .doc = "One condition for each frame after the first, over its columns and those joined so "  \
            "far; frames qualify: `orders.customer_id = customers.id AND orders.total > 100`."},   \
        {.name = "joinColumn",                                                                     \
         .aliases = "joinColumns,joinKey,joinKeys",                                                \
         .type = MR_OPTION_STRINGS,                                                                \
         .doc = "Columns that all frames have and that must be equal (USING). Each comes out "     \
                "once, in front."},                                                                \
        {.name = "leftKeys",                                                                       \
         .type = MR_OPTION_STRINGS,                                                                \
         .doc = "Columns of the first of two frames, equal to `rightKeys` by position."},          \
        {.name = "rightKeys",                                                                      \
         .type = MR_OPTION_STRINGS,                                                                \
         .doc = "Columns of the second of two frames."},                                           \
        {.name = "joinType",                                                                       \
         .type = MR_OPTION_STRINGS,                                                                \
         .doc = "inner (default), left, right, full, cross, left_semi or left_anti, in Spark's "   \
                "spellings too; one for all joins, or a list of one for each."},                   \
        {.name = "broadcast",                                                                      \
         .type = MR_OPTION_STRINGS,                                                                \
         .doc = "Frames to build the lookup table from, where the type of join leaves a choice "   \
                "(inner, cross); without it the smaller one, or `true`: the last one."},           \
        {.name = "within",                                                                         \
         .type = MR_OPTION_DURATION,                                                               \
         .unit = "seconds",                                                                        \
         .unit_micros = 1000000,                                                                   \
         .maximum = INT64_C(1) << 60,                                                              \
         .doc =                                                                                    \
             "How far apart the event times of the two rows may be: the columns of withWatermark " \
             "in front of each frame. Two streams cannot be joined without it."},                  \
    {                                                                                              \
        .name = "refresh", .type = MR_OPTION_DURATION, .unit = "seconds", .unit_micros = 1000000,  \
        .maximum = INT64_C(1) << 60,                                                               \
        .doc = "Streaming: a static frame is read again in the first epoch that begins so long "   \
               "after the last reading, and at the start of the process; its rows are held in "    \
               "memory in between. Without it, in every epoch. In batch it means nothing."         \
    }

const struct mr_option mr_join_options[] = {
    JOIN_OPTIONS,
    MR_OPTION_END,
};

const struct mr_option mr_join_part_options[] = {
    JOIN_OPTIONS,
    {.name = "swapped", .type = MR_OPTION_BOOL, .doc = "The first input is the right frame."},
    {.name = "rightFrame", .type = MR_OPTION_STRING, .doc = "Qualifier of the right frame."},
    {.name = "leftFrames", .type = MR_OPTION_PAIRS, .doc = "Column -> frame, of the left side."},
    MR_OPTION_END,
};
