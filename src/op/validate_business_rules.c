/*
 * validate_business_rules.c - conditions that every row must meet; NULL passes, as in an SQL CHECK.
 */
#include "op/ops.h"
#include "op/rules.h"

static enum mr_status business_bind(const struct mr_op_bind *bind, void **plan,
                                    struct mr_op_info *info, struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(bind->options, "rules");
    struct mr_rules *rules = NULL;
    MR_TRY(mr_rules_new(bind, value->u.pairs.count, &rules, err));
    for (int i = 0; i < rules->count; i++) {
        const struct mr_option_pair *pair = &value->u.pairs.items[i];
        const char *condition = pair->text ? pair->text : pair->name;
        struct mr_rule *rule = &rules->rules[i];
        rule->name = pair->name;
        rule->text = mr_arena_printf(bind->arena, "NOT (%s)", condition);
        if (!rule->text)
            return mr_error_nomem(err);
    }
    *plan = rules;
    return mr_rules_bind(bind, rules, "rules", info, err);
}

static const struct mr_option business_options[] = {
    {.name = "rules",
     .type = MR_OPTION_PAIRS,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_EXPRESSION | MR_OPTION_OR_LIST,
     .doc = "Conditions: a list, or an object of rule names and conditions. A row for which one is "
            "FALSE breaks that rule; NULL passes."},
    MR_RULES_OPTIONS,
    MR_OPTION_END,
};

const struct mr_op mr_op_validate_business_rules = {
    .name = "validateBusinessRules",
    .doc = "Checks conditions that every row must meet.",
    .options = business_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_VALIDATION,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = business_bind,
    .open = mr_rules_open,
    .push = mr_rules_push,
    .close = mr_op_eval_close,
};
