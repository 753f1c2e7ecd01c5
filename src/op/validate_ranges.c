/*
 * validate_ranges.c - columns whose values must lie between bounds, both included; NULL passes.
 *
 * A bound is written as text or number. For a numeric column it becomes a literal, so that 0.5 bounds an integer column
 * rightly; for any other it is cast to the column's type.
 */
#include "base/text.h"
#include "op/ops.h"
#include "op/rules.h"

/* The bound as an SQL literal of the column's type, or NULL with the error set. */
static char *bound_literal(const struct mr_op_bind *bind, const struct mr_field *field,
                           const char *text, struct mr_error *err)
{
    double number;
    if (mr_type_is_numeric(field->type)) {
        if (mr_text_to_double(mr_slice_of(text), true, &number))
            return mr_arena_printf(bind->arena, "(%s)", text);
        mr_error_config(err, "bound %s of the numeric column %s is not a number", text,
                        field->name);
        return NULL;
    }
    char type[256];
    struct mr_bytes quoted;
    mr_bytes_init(&quoted, 1 << 16);
    for (const char *c = text; *c; c++) {
        if (*c == '\'' || *c == '\\')
            mr_bytes_char(&quoted, '\\');
        mr_bytes_char(&quoted, *c);
    }
    char *literal = mr_arena_printf(bind->arena, "CAST('%s' AS %s)", quoted.data ? quoted.data : "",
                                    mr_type_text(field->type, type, sizeof type));
    mr_bytes_reset(&quoted);
    if (!literal)
        mr_error_nomem(err);
    return literal;
}

static enum mr_status range_rule(const struct mr_op_bind *bind, const struct mr_option_pair *pair,
                                 struct mr_rule *rule, struct mr_error *err)
{
    const struct mr_schema *input = bind->inputs[0].schema;
    int at = mr_schema_find(input, pair->name);
    if (at < 0)
        return mr_schema_unknown_column(input, pair->name, err);
    const struct mr_field *field = &input->fields[at];
    const char *minimum = mr_options_text(pair->object, "min");
    const char *maximum = mr_options_text(pair->object, "max");
    if (!minimum && !maximum)
        return mr_error_config(err, "neither min nor max is given");
    char *name = mr_op_quote_name(bind->arena, field->name);
    char *low = minimum ? bound_literal(bind, field, minimum, err) : NULL;
    if (minimum && !low)
        return err ? err->status : MR_CONFIG;
    char *high = maximum ? bound_literal(bind, field, maximum, err) : NULL;
    if (maximum && !high)
        return err ? err->status : MR_CONFIG;
    if (!name)
        return mr_error_nomem(err);
    if (low && high)
        rule->text = mr_arena_printf(bind->arena, "%s < %s OR %s > %s", name, low, name, high);
    else
        rule->text = low ? mr_arena_printf(bind->arena, "%s < %s", name, low)
                         : mr_arena_printf(bind->arena, "%s > %s", name, high);
    rule->name = mr_arena_printf(bind->arena, "range(%s)", field->name);
    return rule->text && rule->name ? MR_OK : mr_error_nomem(err);
}

static enum mr_status ranges_bind(const struct mr_op_bind *bind, void **plan,
                                  struct mr_op_info *info, struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(bind->options, "ranges");
    struct mr_rules *rules = NULL;
    MR_TRY(mr_rules_new(bind, value->u.pairs.count, &rules, err));
    for (int i = 0; i < rules->count; i++) {
        const struct mr_option_pair *pair = &value->u.pairs.items[i];
        if (range_rule(bind, pair, &rules->rules[i], err) != MR_OK)
            return mr_op_option_failed(bind->options, "ranges", pair->name, err);
    }
    *plan = rules;
    return mr_rules_bind(bind, rules, "ranges", info, err);
}

static const struct mr_option range_fields[] = {
    {.name = "min", .type = MR_OPTION_STRING, .doc = "Smallest value allowed."},
    {.name = "max", .type = MR_OPTION_STRING, .doc = "Largest value allowed."},
    MR_OPTION_END,
};

static const struct mr_option ranges_options[] = {
    {.name = "ranges",
     .type = MR_OPTION_NAMED_OBJECTS,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_COLUMN | MR_OPTION_OR_LIST,
     .fields = range_fields,
     .doc =
         "Columns and their bounds: {\"age\": {\"min\": 0, \"max\": 150}} or {\"age\": [0, 150]}."},
    MR_RULES_OPTIONS,
    MR_OPTION_END,
};

const struct mr_op mr_op_validate_ranges = {
    .name = "validateRanges",
    .doc = "Checks that values lie between bounds.",
    .options = ranges_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_VALIDATION,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = ranges_bind,
    .open = mr_rules_open,
    .push = mr_rules_push,
    .close = mr_op_eval_close,
};
