/*
 * validate_nulls.c - columns that must not be NULL.
 */
#include "op/ops.h"
#include "op/rules.h"

static enum mr_status nulls_bind(const struct mr_op_bind *bind, void **plan,
                                 struct mr_op_info *info, struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(bind->options, "notNullColumns");
    const struct mr_schema *input = bind->inputs[0].schema;
    struct mr_rules *rules = NULL;
    MR_TRY(mr_rules_new(bind, value->u.strings.count, &rules, err));
    for (int i = 0; i < rules->count; i++) {
        int at = mr_schema_find(input, value->u.strings.items[i]);
        if (at < 0) {
            mr_schema_unknown_column(input, value->u.strings.items[i], err);
            return mr_op_option_failed(bind->options, "notNullColumns", NULL, err);
        }
        char *quoted = mr_op_quote_name(bind->arena, input->fields[at].name);
        struct mr_rule *rule = &rules->rules[i];
        rule->name = mr_arena_printf(bind->arena, "not_null(%s)", input->fields[at].name);
        rule->text = quoted ? mr_arena_printf(bind->arena, "%s IS NULL", quoted) : NULL;
        if (!rule->name || !rule->text)
            return mr_error_nomem(err);
    }
    *plan = rules;
    return mr_rules_bind(bind, rules, "notNullColumns", info, err);
}

static const struct mr_option nulls_options[] = {
    {.name = "notNullColumns",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_COLUMN,
     .doc = "Columns in which a NULL breaks the rule not_null(column)."},
    MR_RULES_OPTIONS,
    MR_OPTION_END,
};

const struct mr_op mr_op_validate_nulls = {
    .name = "validateNulls",
    .doc = "Checks that columns have no NULL.",
    .options = nulls_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_VALIDATION,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = nulls_bind,
    .open = mr_rules_open,
    .push = mr_rules_push,
    .close = mr_op_eval_close,
};
