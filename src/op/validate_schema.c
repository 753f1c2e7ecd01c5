/*
 * validate_schema.c - the columns and types that a frame must have.
 *
 * Types are known when the plan is made, so a mismatch fails there, before anything is read. What only the rows can tell (a column
 * that must not be NULL but may be) becomes a rule.
 */
#include "op/ops.h"
#include "op/rules.h"

#include <string.h>

enum { MODE_LENIENT, MODE_STRICT };

static enum mr_status mismatch(const struct mr_op_bind *bind, struct mr_error *err,
                               const char *format, const char *name, const char *a, const char *b)
{
    mr_error_set(err, MR_VALIDATION, MR_CLASS_DATA, format, name, a, b);
    struct mr_bytes columns;
    mr_bytes_init(&columns, 1 << 16);
    mr_schema_format(bind->inputs[0].schema, &columns);
    mr_error_hint(err, "the frame has %s", columns.data ? columns.data : "no columns");
    mr_bytes_reset(&columns);
    return mr_op_option_failed(bind->options, "expectedColumns", NULL, err);
}

static enum mr_status check_column(const struct mr_op_bind *bind, const struct mr_options *expected,
                                   int index, bool strict, struct mr_rule *rule,
                                   struct mr_error *err)
{
    const struct mr_schema *input = bind->inputs[0].schema;
    const char *name = mr_options_text(expected, "name");
    const struct mr_type *type = NULL;
    char wanted[256], actual[256];
    MR_TRY(mr_type_parse(bind->arena, mr_options_text(expected, "type"), &type, err));
    int at = mr_schema_find(input, name);
    if (at < 0)
        return mismatch(bind, err, "column %s is missing%s%s", name, "", "");
    const struct mr_field *field = &input->fields[at];
    if (strict && at != index)
        return mismatch(bind, err, "column %s is not where it is expected%s%s", name, "", "");
    bool same = mr_type_equal(field->type, type) ||
                (mr_type_is_string(field->type) && mr_type_is_string(type));
    if (!same)
        return mismatch(bind, err, "column %s should be %s and is %s", name,
                        mr_type_text(type, wanted, sizeof wanted),
                        mr_type_text(field->type, actual, sizeof actual));
    rule->name = mr_arena_printf(bind->arena, "schema(%s not null)", name);
    if (!mr_options_boolean(expected, "nullable", true) && field->nullable) {
        char *quoted = mr_op_quote_name(bind->arena, field->name);
        rule->text = quoted ? mr_arena_printf(bind->arena, "%s IS NULL", quoted) : NULL;
        if (!rule->text)
            return mr_error_nomem(err);
    }
    return rule->name ? MR_OK : mr_error_nomem(err);
}

static enum mr_status schema_bind(const struct mr_op_bind *bind, void **plan,
                                  struct mr_op_info *info, struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(bind->options, "expectedColumns");
    bool strict = mr_options_integer(bind->options, "mode", MODE_LENIENT) == MODE_STRICT;
    const struct mr_schema *input = bind->inputs[0].schema;
    int count = value->u.objects.count;
    struct mr_rules *rules = NULL;
    MR_TRY(mr_rules_new(bind, count, &rules, err));
    int kept = 0;
    for (int i = 0; i < count; i++) {
        struct mr_rule rule = {0};
        MR_TRY(check_column(bind, value->u.objects.items[i], i, strict, &rule, err));
        if (rule.text)
            rules->rules[kept++] = rule;
    }
    rules->count = rules->counts.count = kept;
    if (strict && input->nfields != count) {
        const char *extra = input->nfields > count ? input->fields[count].name : "?";
        return mismatch(bind, err, "column %s is not expected%s%s", extra, "", "");
    }
    *plan = rules;
    return mr_rules_bind(bind, rules, "expectedColumns", info, err);
}

static const struct mr_option column_fields[] = {
    {.name = "name",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_COLUMN,
     .doc = "Name of the column."},
    {.name = "type",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .doc = "Its type, in Spark's or SQL's spelling (long and bigint are the same)."},
    {.name = "nullable",
     .type = MR_OPTION_BOOL,
     .fallback = "true",
     .doc = "false: a NULL breaks the rule."},
    MR_OPTION_END,
};

static const char *const mode_choices[] = {"lenient", "strict", NULL};

static const struct mr_option schema_options[] = {
    {.name = "expectedColumns",
     .type = MR_OPTION_OBJECTS,
     .flags = MR_OPTION_REQUIRED,
     .fields = column_fields,
     .doc = "The columns that must be there."},
    {.name = "mode",
     .type = MR_OPTION_ENUM,
     .choices = mode_choices,
     .fallback = "lenient",
     .doc = "lenient: other columns and any order are allowed; strict: exactly these, in this "
            "order."},
    MR_RULES_OPTIONS,
    MR_OPTION_END,
};

const struct mr_op mr_op_validate_schema = {
    .name = "validateSchema",
    .doc = "Checks the columns and types of a frame.",
    .options = schema_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_VALIDATION,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = schema_bind,
    .open = mr_rules_open,
    .push = mr_rules_push,
    .close = mr_op_eval_close,
};
