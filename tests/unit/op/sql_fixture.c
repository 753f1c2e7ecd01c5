/*
 * sql_fixture.c - the registry is a fake one, so that parts are seen as the sql step makes them: nothing
 * is bound, and no operator but sql itself is needed.
 */
#include "unit/op/sql_fixture.h"

#include "ext/registry.h"
#include "op/ops.h"

#define TEXT(option)                                                                               \
    {                                                                                              \
        .name = option, .type = MR_OPTION_STRING                                                   \
    }
#define LIST(option)                                                                               \
    {                                                                                              \
        .name = option, .type = MR_OPTION_STRINGS                                                  \
    }
#define PAIRS(option)                                                                              \
    {                                                                                              \
        .name = option, .type = MR_OPTION_PAIRS, .flags = MR_OPTION_OR_LIST                        \
    }

static const struct mr_option filter_options[] = {TEXT("condition"), MR_OPTION_END};
static const struct mr_option columns_options[] = {PAIRS("columns"), MR_OPTION_END};
static const struct mr_option join_options[] = {LIST("joinConditions"), LIST("joinType"),
                                                MR_OPTION_END};
static const struct mr_option event_options[] = {TEXT("column"), TEXT("type"), TEXT("size"),
                                                 TEXT("slide"),  TEXT("gap"),  MR_OPTION_END};
static const struct mr_option aggregate_options[] = {LIST("groupBy"),
                                                     PAIRS("aggregations"),
                                                     {.name = "window",
                                                      .type = MR_OPTION_OBJECT,
                                                      .fields = event_options},
                                                     TEXT("emit"),
                                                     MR_OPTION_END};
static const struct mr_option window_options[] = {LIST("partitionBy"), LIST("orderBy"),
                                                  TEXT("frame"), PAIRS("columns"), MR_OPTION_END};
static const struct mr_option sort_options[] = {LIST("orderBy"), MR_OPTION_END};
static const struct mr_option limit_options[] = {TEXT("count"), TEXT("offset"), MR_OPTION_END};
static const struct mr_option no_options[] = {MR_OPTION_END};

static const struct mr_op ops[] = {
    {.name = "filterRows", .options = filter_options},
    {.name = "enrichData", .options = columns_options},
    {.name = "selectColumns", .options = columns_options},
    {.name = "renameColumns", .options = columns_options},
    {.name = "joinDataFrames", .options = join_options},
    {.name = "aggregateData", .options = aggregate_options},
    {.name = "windowColumns", .options = window_options},
    {.name = "sortData", .options = sort_options},
    {.name = "limitRows", .options = limit_options},
    {.name = "unionDataFrames", .options = no_options},
    {.name = "deduplicate", .options = no_options},
};
#define NOPS (sizeof ops / sizeof ops[0])

static void print_value(struct mr_bytes *out, const struct mr_option_value *value)
{
    mr_bytes_printf(out, " %s: ", value->option->name);
    switch (value->option->type) {
    case MR_OPTION_STRINGS:
        for (int i = 0; i < value->u.strings.count; i++)
            mr_bytes_printf(out, "%s%s", i ? ", " : "", value->u.strings.items[i]);
        return;
    case MR_OPTION_PAIRS:
        for (int i = 0; i < value->u.pairs.count; i++)
            mr_bytes_printf(out, "%s%s = %s", i ? ", " : "", value->u.pairs.items[i].name,
                            value->u.pairs.items[i].text);
        return;
    case MR_OPTION_OBJECT:
        mr_bytes_text(out, "{");
        for (int i = 0; i < value->u.object->count; i++)
            if (value->u.object->values[i].set)
                print_value(out, &value->u.object->values[i]);
        mr_bytes_text(out, " }");
        return;
    default:
        mr_bytes_text(out, value->u.text);
        return;
    }
}

static void print_parts(struct mr_bytes *out, const struct mr_op_parts *parts,
                        const struct mr_op_input *inputs)
{
    for (int i = 0; i < parts->count; i++) {
        const struct mr_op_part *part = &parts->items[i];
        mr_bytes_printf(out, "%d %s (", i, part->method);
        for (int k = 0; k < part->ninputs; k++) {
            mr_bytes_text(out, k ? ", " : "");
            if (part->inputs[k] < 0)
                mr_bytes_text(out, inputs[-1 - part->inputs[k]].frame);
            else
                mr_bytes_printf(out, "%d", part->inputs[k]);
        }
        mr_bytes_char(out, ')');
        for (int k = 0; k < part->options->count; k++) {
            if (part->options->values[k].set)
                print_value(out, &part->options->values[k]);
        }
        mr_bytes_char(out, '\n');
    }
}

static const struct {
    const char *name, *schema;
} frames[] = {
    {"t", "id INT NOT NULL, k INT, name STRING, v DOUBLE, d DATE"},
    {"u", "id INT, k BIGINT, w DECIMAL(10,2)"},
    {"s", "id INT NOT NULL, p STRUCT<x: INT, y: STRING>, a ARRAY<INT>"},
    {"e", "k INT, ts TIMESTAMP NOT NULL, v DOUBLE, text STRING"},
    {"w", "k INT, window_start TIMESTAMP, n BIGINT"},
};

static enum mr_status read_schema(struct mr_arena *arena, const char *name,
                                  const struct mr_schema **out, struct mr_error *err)
{
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        if (strcmp(frames[i].name, name) == 0)
            return mr_schema_parse(arena, frames[i].schema, out, err);
    }
    return mr_error_config(err, "no earlier step registers a frame \"%s\"", name);
}

enum mr_status sql_fixture_expand(struct mr_arena *arena, const char *query, struct mr_bytes *out,
                                  struct mr_error *err)
{
    struct mr_method methods[NOPS + 1] = {{0}};
    for (size_t i = 0; i < NOPS; i++)
        methods[i] =
            (struct mr_method){.name = ops[i].name, .type = MR_STEP_TRANSFORM, .op = &ops[i]};
    struct mr_registry registry = {.methods = methods};
    struct mr_runtime runtime = {.registry = &registry};
    struct mr_op_input inputs[3];
    struct mr_op_parts parts = {0};
    const char *const *names;
    int count;
    struct mr_options *options = mr_options_new(arena, mr_op_sql.options);
    if (options == NULL)
        return mr_error_nomem(err);
    MR_TRY(mr_options_set_text(arena, options, "query", query, err));
    MR_TRY(mr_op_sql.frames(arena, options, &names, &count, err));
    if (count > 3)
        return mr_error_config(err, "more frames than there are");
    for (int i = 0; i < count; i++) {
        inputs[i] = (struct mr_op_input){.frame = names[i], .rows = -1};
        MR_TRY(read_schema(arena, names[i], &inputs[i].schema, err));
    }
    struct mr_op_bind bind = {.options = options,
                              .runtime = &runtime,
                              .arena = arena,
                              .inputs = inputs,
                              .ninputs = count,
                              .ansi = true};
    struct mr_tz *utc;
    MR_TRY(mr_tz_new("UTC", &utc, err));
    bind.tz = utc;
    enum mr_status status = mr_op_sql.expand(&bind, &parts, err);
    mr_tz_free(utc);
    if (status != MR_OK)
        return status;
    print_parts(out, &parts, inputs);
    return mr_bytes_status(out, err);
}
