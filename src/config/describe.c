/*
 * describe.c - option tables in words.
 */
#include "config/describe.h"

#include "base/time.h"
#include "config/pipeline_options.h"

#include <stdio.h>

#define WIDTH 100

static void describe_bounds(const struct mr_option *option, struct mr_bytes *out)
{
    char low[MR_OPTION_BOUND_TEXT], high[MR_OPTION_BOUND_TEXT];
    if (option->minimum == 0 && option->maximum == 0)
        return;
    mr_option_bound_text(option, option->minimum, low);
    mr_option_bound_text(option, option->maximum, high);
    if (option->maximum == 0 || option->maximum == INT64_MAX)
        mr_bytes_printf(out, ", at least %s", low);
    else
        mr_bytes_printf(out, ", %s to %s", low, high);
}

static const char *text_kind(const struct mr_option *option, bool many)
{
    if (option->flags & MR_OPTION_EXPRESSION)
        return many ? "expressions" : "expression";
    if (option->flags & MR_OPTION_FRAME)
        return many ? "frames" : "frame";
    if (option->flags & MR_OPTION_COLUMN)
        return many ? "columns" : "column";
    return many ? "texts" : "text";
}

static void describe_choices(const struct mr_option *option, struct mr_bytes *out)
{
    for (int i = 0; option->choices[i] != NULL; i++)
        mr_bytes_printf(out, "%s%s", i > 0 ? " | " : "", option->choices[i]);
}

void mr_option_describe_type(const struct mr_option *option, struct mr_bytes *out)
{
    bool or_list = option->flags & MR_OPTION_OR_LIST;
    switch (option->type) {
    case MR_OPTION_BOOL:
        mr_bytes_text(out, "true or false");
        return;
    case MR_OPTION_INT:
        mr_bytes_text(out, "whole number");
        break;
    case MR_OPTION_DOUBLE:
        mr_bytes_text(out, "number");
        return;
    case MR_OPTION_SIZE:
        mr_bytes_text(out, "size");
        break;
    case MR_OPTION_DURATION:
        mr_bytes_text(out, "duration");
        if (option->unit != NULL)
            mr_bytes_printf(out, ", a bare number is %s", option->unit);
        break;
    case MR_OPTION_STRING:
        mr_bytes_text(out, text_kind(option, false));
        return;
    case MR_OPTION_ENUM:
        describe_choices(option, out);
        return;
    case MR_OPTION_STRINGS:
        mr_bytes_printf(out, "list of %s", text_kind(option, true));
        return;
    case MR_OPTION_PAIRS:
        mr_bytes_printf(out, "{name: %s}%s", text_kind(option, false), or_list ? " or a list" : "");
        return;
    case MR_OPTION_OBJECT:
        mr_bytes_text(out, option->flags & MR_OPTION_OR_SCALAR ? "object or value" : "object");
        return;
    case MR_OPTION_OBJECTS:
        mr_bytes_text(out, "list of objects");
        return;
    case MR_OPTION_NAMED_OBJECTS:
        mr_bytes_text(out, or_list ? "{name: object or list}" : "{name: object}");
        return;
    case MR_OPTION_ANY:
        mr_bytes_text(out, "any JSON");
        return;
    }
    if (option->type == MR_OPTION_INT && option->unit != NULL)
        mr_bytes_printf(out, " of %s", option->unit);
    describe_bounds(option, out);
}

void mr_option_describe_rules(const struct mr_option *option, struct mr_bytes *out)
{
    const char *separator = "";
    if (option->flags & MR_OPTION_REQUIRED) {
        mr_bytes_text(out, "required");
        separator = ", ";
    }
    if (option->fallback != NULL && option->type != MR_OPTION_OBJECT) {
        mr_bytes_printf(out, "%sdefault %s", separator,
                        option->fallback[0] != '\0' ? option->fallback : "empty");
        separator = ", ";
    }
    if (option->flags & MR_OPTION_SECRET) {
        mr_bytes_printf(out, "%ssecret", separator);
        separator = ", ";
    }
    if (option->flags & MR_OPTION_CONNECTION) {
        mr_bytes_printf(out, "%salso from credentials", separator);
        separator = ", ";
    }
    if (option->flags & MR_OPTION_UNBUILT)
        mr_bytes_printf(out, "%snot built in this version", separator);
}

/* `text` behind `indent` spaces, broken between words. */
static void wrap(const char *text, int indent, struct mr_bytes *out)
{
    int column = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " \n");
        if (column == 0 || column + 1 + (int)word > WIDTH) {
            mr_bytes_printf(out, "%s%*s", column == 0 ? "" : "\n", indent, "");
            column = indent;
        } else {
            mr_bytes_char(out, ' ');
            column++;
        }
        mr_bytes_append(out, text, word);
        column += (int)word;
        text += word;
        text += strspn(text, " \n");
    }
    mr_bytes_char(out, '\n');
}

static void describe_table(const struct mr_option *table, int indent, struct mr_bytes *out)
{
    for (const struct mr_option *row = table; row != NULL && row->name != NULL; row++) {
        if (row->flags & MR_OPTION_INTERNAL)
            continue;
        mr_bytes_printf(out, "\n%*s%s%s", indent, "", row->name,
                        row->flags & MR_OPTION_PREFIX ? "*" : "");
        if (row->aliases != NULL)
            mr_bytes_printf(out, " (also %s)", row->aliases);
        mr_bytes_text(out, ": ");
        mr_option_describe_type(row, out);
        size_t before = out->size;
        mr_bytes_text(out, "; ");
        mr_option_describe_rules(row, out);
        if (out->status == MR_OK && out->size == before + 2)
            out->size = before;
        mr_bytes_char(out, '\n');
        if (row->doc != NULL)
            wrap(row->doc, indent + 4, out);
        if (row->fields != NULL)
            describe_table(row->fields, indent + 4, out);
    }
}

static void list_type(const struct mr_registry *registry, enum mr_step_type type,
                      struct mr_bytes *out)
{
    bool any = false;
    for (const struct mr_method *method = registry->methods; method->name != NULL; method++) {
        if (method->type != type || method->unbuilt != NULL)
            continue;
        if (!any)
            mr_bytes_printf(out, "%s\n", mr_step_type_name(type));
        any = true;
        const char *doc = mr_method_doc(method);
        mr_bytes_printf(out, "  %-30s %s\n", method->name, doc != NULL ? doc : "");
    }
    if (any)
        mr_bytes_char(out, '\n');
}

void mr_config_describe_methods(const struct mr_registry *registry, struct mr_bytes *out)
{
    for (int type = MR_STEP_EXTRACT; type <= MR_STEP_MAINTAIN; type++)
        list_type(registry, (enum mr_step_type)type, out);
    struct mr_bytes names;
    mr_bytes_init(&names, MR_BYTES_DEFAULT_MAXIMUM);
    for (const struct mr_method *method = registry->methods; method->name != NULL; method++)
        if (method->unbuilt != NULL)
            mr_bytes_printf(&names, "%s%s", names.size > 0 ? ", " : "", method->name);
    if (names.size > 0) {
        mr_bytes_text(out, "known, but not built in this version\n");
        wrap(names.data, 2, out);
    }
    mr_bytes_reset(&names);
}

void mr_config_describe_method(const struct mr_method *method, struct mr_bytes *out)
{
    const char *doc = mr_method_doc(method);
    mr_bytes_printf(out, "%s (%s)", method->name, mr_step_type_name(method->type));
    if (method->aliases != NULL)
        mr_bytes_printf(out, ", also %s", method->aliases);
    mr_bytes_char(out, '\n');
    if (method->unbuilt != NULL) {
        wrap(method->unbuilt, 4, out);
        return;
    }
    if (doc != NULL)
        wrap(doc, 4, out);
    for (const char *const *pair = method->presets; pair && pair[0]; pair += 2)
        mr_bytes_printf(out, "    always %s = %s\n", pair[0], pair[1]);
    describe_table(mr_method_options(method), 2, out);
    describe_table(mr_common_options(method), 2, out);
}
