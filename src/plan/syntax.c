/*
 * syntax.c - parses the expressions of a step whose input columns are not known (yet).
 *
 * The option table says which texts are expressions, so that this needs to know no operator: it
 * walks the values, nested objects too.
 */
#include "plan/build.h"

static enum mr_status check_text(struct mr_plan_builder *builder, const char *text,
                                 const struct mr_position *position, struct mr_error *err)
{
    if (text == NULL)
        return MR_OK;
    enum mr_status status = mr_expr_check_syntax(builder->arena, text, NULL, NULL, err);
    if (status != MR_OK && position->line > 0)
        mr_error_where(err, "%s:%d:%d", position->file, position->line, position->column);
    return status;
}

static enum mr_status check_value(struct mr_plan_builder *builder,
                                  const struct mr_option_value *value, struct mr_error *err)
{
    bool expression = (value->option->flags & MR_OPTION_EXPRESSION) != 0;
    switch (value->option->type) {
    case MR_OPTION_STRING:
        return expression ? check_text(builder, value->u.text, &value->position, err) : MR_OK;
    case MR_OPTION_STRINGS:
        for (int i = 0; expression && i < value->u.strings.count; i++)
            MR_TRY(check_text(builder, value->u.strings.items[i], &value->position, err));
        return MR_OK;
    case MR_OPTION_PAIRS:
    case MR_OPTION_NAMED_OBJECTS:
        for (int i = 0; i < value->u.pairs.count; i++) {
            const struct mr_option_pair *pair = &value->u.pairs.items[i];
            if (expression)
                MR_TRY(check_text(builder, pair->text, &pair->position, err));
            if (pair->object != NULL)
                MR_TRY(mr_plan_check_syntax(builder, pair->object, err));
        }
        return MR_OK;
    case MR_OPTION_OBJECT:
        return mr_plan_check_syntax(builder, value->u.object, err);
    case MR_OPTION_OBJECTS:
        for (int i = 0; i < value->u.objects.count; i++)
            MR_TRY(mr_plan_check_syntax(builder, value->u.objects.items[i], err));
        return MR_OK;
    default:
        return MR_OK;
    }
}

enum mr_status mr_plan_check_syntax(struct mr_plan_builder *builder,
                                    const struct mr_options *options, struct mr_error *err)
{
    for (int i = 0; options != NULL && i < options->count; i++)
        if (options->values[i].set)
            MR_TRY(check_value(builder, &options->values[i], err));
    return MR_OK;
}
