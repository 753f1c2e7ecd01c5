/*
 * schema_json.c - the JSON Schema of a pipeline file, for completion and checks in editors.
 *
 *     properties: the pipeline's keys
 *     $defs.step: type, method, ...; allOf, per method: if method is M then config is $defs.M
 *     $defs.M:    the method's own keys and those of its step type
 *
 * It is as strict as an editor can be without running the engine: unknown keys, wrong kinds, bounds of numbers, choices.
 * Text in place of a number is allowed, since the dialect allows it, and a choice may be a placeholder.
 */
#include "config/reference.h"

#include "config/pipeline_options.h"

/* Pretty-printed JSON: one call a token, commas and indentation from the nesting. */
struct writer {
    struct mr_bytes *out;
    int depth;
    bool first; /* nothing yet in the innermost object or list */
};

static void line(struct writer *writer)
{
    if (!writer->first)
        mr_bytes_char(writer->out, ',');
    if (writer->depth > 0)
        mr_bytes_printf(writer->out, "\n%*s", 2 * writer->depth, "");
    writer->first = false;
}

static void string(struct writer *writer, const char *text)
{
    mr_bytes_json_string(writer->out, text, strlen(text));
}

/* A member's key, or nothing in a list. */
static void key(struct writer *writer, const char *name)
{
    line(writer);
    if (name != NULL) {
        string(writer, name);
        mr_bytes_text(writer->out, ": ");
    }
}

static void begin(struct writer *writer, const char *name, char bracket)
{
    key(writer, name);
    mr_bytes_char(writer->out, bracket);
    writer->depth++;
    writer->first = true;
}

static void end(struct writer *writer, char bracket)
{
    writer->depth--;
    if (!writer->first)
        mr_bytes_printf(writer->out, "\n%*s", 2 * writer->depth, "");
    mr_bytes_char(writer->out, bracket);
    writer->first = false;
}

static void member(struct writer *writer, const char *name, const char *text)
{
    key(writer, name);
    string(writer, text);
}

/* A value that is JSON already. */
static void raw(struct writer *writer, const char *name, const char *json)
{
    key(writer, name);
    mr_bytes_text(writer->out, json);
}

#define SCALAR "[\"string\", \"number\", \"boolean\"]"

static void write_object(struct writer *writer, const struct mr_option *table,
                         const struct mr_option *common, bool required);

static void write_bounds(struct writer *writer, const struct mr_option *row)
{
    if ((row->minimum == 0 && row->maximum == 0) || row->type == MR_OPTION_DURATION)
        return;
    key(writer, "minimum");
    mr_bytes_printf(writer->out, "%lld", (long long)row->minimum);
    if (row->maximum == 0 || row->maximum == INT64_MAX)
        return;
    key(writer, "maximum");
    mr_bytes_printf(writer->out, "%lld", (long long)row->maximum);
}

static void write_fields(struct writer *writer, const struct mr_option *row)
{
    begin(writer, NULL, '{');
    write_object(writer, row->fields, NULL, true);
    end(writer, '}');
}

static void write_choices(struct writer *writer, const struct mr_option *row)
{
    begin(writer, "anyOf", '[');
    begin(writer, NULL, '{');
    begin(writer, "enum", '[');
    for (int i = 0; row->choices[i] != NULL; i++)
        member(writer, NULL, row->choices[i]);
    end(writer, ']');
    end(writer, '}');
    raw(writer, NULL, "{\"type\": \"string\", \"pattern\": \"[$][{]\"}");
    end(writer, ']');
}

/* Objects by name, or lists of objects, or one object. */
static void write_nested(struct writer *writer, const struct mr_option *row)
{
    if (row->type == MR_OPTION_NAMED_OBJECTS) {
        raw(writer, "type", "\"object\"");
        begin(writer, "additionalProperties", '{');
        begin(writer, "anyOf", '[');
        write_fields(writer, row);
        if (row->flags & MR_OPTION_OR_LIST)
            raw(writer, NULL, "{\"type\": \"array\", \"maxItems\": 2}");
        end(writer, ']');
        end(writer, '}');
        return;
    }
    begin(writer, "anyOf", '[');
    write_fields(writer, row);
    if (row->type == MR_OPTION_OBJECTS) {
        begin(writer, NULL, '{');
        raw(writer, "type", "\"array\"");
        key(writer, "items");
        mr_bytes_char(writer->out, '{');
        writer->depth++;
        writer->first = true;
        write_object(writer, row->fields, NULL, true);
        end(writer, '}');
        end(writer, '}');
    }
    if (row->flags & MR_OPTION_OR_SCALAR)
        raw(writer, NULL, "{\"type\": " SCALAR "}");
    end(writer, ']');
}

static void write_pairs(struct writer *writer, const struct mr_option *row)
{
    begin(writer, "anyOf", '[');
    raw(writer, NULL, "{\"type\": \"object\", \"additionalProperties\": {\"type\": " SCALAR "}}");
    if (row->flags & MR_OPTION_OR_LIST)
        raw(writer, NULL, "{\"type\": [\"array\", \"string\"], \"items\": {\"type\": " SCALAR "}}");
    end(writer, ']');
}

static void write_type(struct writer *writer, const struct mr_option *row)
{
    switch (row->type) {
    case MR_OPTION_BOOL:
        raw(writer, "type", "[\"boolean\", \"string\"]");
        return;
    case MR_OPTION_INT:
    case MR_OPTION_SIZE:
        raw(writer, "type", "[\"integer\", \"string\"]");
        write_bounds(writer, row);
        return;
    case MR_OPTION_DOUBLE:
    case MR_OPTION_DURATION:
        raw(writer, "type", "[\"number\", \"string\"]");
        return;
    case MR_OPTION_STRING:
        raw(writer, "type", SCALAR);
        return;
    case MR_OPTION_ENUM:
        write_choices(writer, row);
        return;
    case MR_OPTION_STRINGS:
        raw(writer, "type", "[\"array\", \"string\"]");
        raw(writer, "items", "{\"type\": " SCALAR "}");
        return;
    case MR_OPTION_PAIRS:
        write_pairs(writer, row);
        return;
    case MR_OPTION_OBJECT:
    case MR_OPTION_OBJECTS:
    case MR_OPTION_NAMED_OBJECTS:
        write_nested(writer, row);
        return;
    case MR_OPTION_ANY:
        return;
    }
}

static void write_default(struct writer *writer, const struct mr_option *row)
{
    if (row->fallback == NULL || row->type == MR_OPTION_OBJECT)
        return;
    key(writer, "default");
    if (row->type == MR_OPTION_BOOL || row->type == MR_OPTION_INT || row->type == MR_OPTION_DOUBLE)
        mr_bytes_text(writer->out, row->fallback);
    else
        string(writer, row->fallback);
}

/* One property under one of its names. `steps` is a list of $defs.step. */
static void write_property(struct writer *writer, const struct mr_option *row, const char *name)
{
    begin(writer, name, '{');
    if (row->doc != NULL)
        member(writer, "description", row->doc);
    if (strcmp(row->name, "steps") == 0 && row->type == MR_OPTION_ANY) {
        raw(writer, "type", "\"array\"");
        raw(writer, "minItems", "1");
        raw(writer, "items", "{\"$ref\": \"#/$defs/step\"}");
    } else if (row->flags & MR_OPTION_PREFIX) {
        raw(writer, "type", SCALAR);
    } else {
        write_type(writer, row);
        write_default(writer, row);
    }
    end(writer, '}');
}

static void write_properties(struct writer *writer, const struct mr_option *table)
{
    for (const struct mr_option *row = table; row != NULL && row->name != NULL; row++) {
        if (row->flags & (MR_OPTION_PREFIX | MR_OPTION_UNBUILT | MR_OPTION_INTERNAL))
            continue;
        write_property(writer, row, row->name);
        for (const char *at = row->aliases; at != NULL && *at != '\0';) {
            char alias[128];
            size_t size = strcspn(at, ",");
            if (size < sizeof(alias)) {
                memcpy(alias, at, size);
                alias[size] = '\0';
                write_property(writer, row, alias);
            }
            at += size + (at[size] == ',');
        }
    }
}

/* Required keys; one with aliases or from credentials is left to the engine. */
static void write_required(struct writer *writer, const struct mr_option *table,
                           const struct mr_option *common)
{
    bool any = false;
    const struct mr_option *tables[] = {table, common};
    for (int i = 0; i < 2; i++) {
        for (const struct mr_option *row = tables[i]; row != NULL && row->name != NULL; row++) {
            if (!(row->flags & MR_OPTION_REQUIRED) || (row->flags & MR_OPTION_CONNECTION) ||
                row->aliases != NULL)
                continue;
            if (!any)
                begin(writer, "required", '[');
            any = true;
            member(writer, NULL, row->name);
        }
    }
    if (any)
        end(writer, ']');
}

static void write_object(struct writer *writer, const struct mr_option *table,
                         const struct mr_option *common, bool required)
{
    raw(writer, "type", "\"object\"");
    begin(writer, "properties", '{');
    write_properties(writer, table);
    write_properties(writer, common);
    end(writer, '}');
    for (const struct mr_option *row = table; row != NULL && row->name != NULL; row++) {
        if (!(row->flags & MR_OPTION_PREFIX) || (row->flags & MR_OPTION_UNBUILT))
            continue;
        struct mr_bytes pattern;
        mr_bytes_init(&pattern, MR_BYTES_DEFAULT_MAXIMUM);
        mr_bytes_char(&pattern, '^');
        for (const char *at = row->name; *at != '\0'; at++) {
            if (*at == '.')
                mr_bytes_text(&pattern, "[.]");
            else
                mr_bytes_char(&pattern, *at);
        }
        begin(writer, "patternProperties", '{');
        write_property(writer, row, pattern.data != NULL ? pattern.data : "");
        end(writer, '}');
        mr_bytes_reset(&pattern);
    }
    if (required)
        write_required(writer, table, common);
    raw(writer, "additionalProperties", "false");
}

static bool listed(const struct mr_method *method)
{
    return method->unbuilt == NULL;
}

static void write_names(struct writer *writer, const struct mr_method *method)
{
    member(writer, NULL, method->name);
    for (const char *at = method->aliases; at != NULL && *at != '\0';) {
        size_t size = strcspn(at, ",");
        line(writer);
        mr_bytes_json_string(writer->out, at, size);
        at += size + (at[size] == ',');
    }
}

/* Do methods of two types go by one name (sql)? */
static bool shares_name(const struct mr_registry *registry, const struct mr_method *method)
{
    for (const struct mr_method *other = registry->methods; other->name != NULL; other++)
        if (other->type != method->type &&
            (mr_registry_method_of(registry, other->name, method->type) == method ||
             mr_registry_method_of(registry, method->name, other->type) == other))
            return true;
    return false;
}

static void write_type_condition(struct writer *writer, const struct mr_method *method)
{
    const char *type = mr_step_type_name(method->type);
    key(writer, "anyOf");
    mr_bytes_printf(writer->out,
                    "[{\"properties\": {\"type\": {\"const\": \"%s\"}}, \"required\": "
                    "[\"type\"]}, {\"properties\": {\"stepType\": {\"const\": \"%s\"}}, "
                    "\"required\": [\"stepType\"]}]",
                    type, type);
}

/* if the method is this one, then: its type, its config. */
static void write_branch(struct writer *writer, const struct mr_registry *registry,
                         const struct mr_method *method)
{
    begin(writer, NULL, '{');
    begin(writer, "if", '{');
    begin(writer, "properties", '{');
    begin(writer, "method", '{');
    begin(writer, "enum", '[');
    write_names(writer, method);
    end(writer, ']');
    end(writer, '}');
    end(writer, '}');
    raw(writer, "required", "[\"method\"]");
    if (shares_name(registry, method))
        write_type_condition(writer, method);
    end(writer, '}');
    begin(writer, "then", '{');
    begin(writer, "properties", '{');
    const char *const type_keys[] = {"type", "stepType"};
    for (int i = 0; i < 2; i++) {
        begin(writer, type_keys[i], '{');
        member(writer, "const", mr_step_type_name(method->type));
        end(writer, '}');
    }
    begin(writer, "config", '{');
    key(writer, "$ref");
    mr_bytes_printf(writer->out, "\"#/$defs/%s\"", method->name);
    end(writer, '}');
    end(writer, '}');
    raw(writer, "if", "{\"required\": [\"configRef\"]}");
    begin(writer, "else", '{');
    begin(writer, "properties", '{');
    begin(writer, "config", '{');
    write_required(writer, mr_method_options(method), mr_common_options(method));
    end(writer, '}');
    end(writer, '}');
    end(writer, '}');
    end(writer, '}');
    end(writer, '}');
}

static void write_step(struct writer *writer, const struct mr_registry *registry)
{
    begin(writer, "step", '{');
    raw(writer, "type", "\"object\"");
    begin(writer, "properties", '{');
    for (const struct mr_option *row = mr_step_options; row->name != NULL; row++) {
        if (strcmp(row->name, "method") == 0) {
            begin(writer, "method", '{');
            member(writer, "description", row->doc);
            begin(writer, "enum", '[');
            for (const struct mr_method *method = registry->methods; method->name; method++)
                if (listed(method))
                    write_names(writer, method);
            end(writer, ']');
            end(writer, '}');
        } else if (strcmp(row->name, "config") == 0) {
            begin(writer, "config", '{');
            member(writer, "description", row->doc);
            raw(writer, "type", "\"object\"");
            end(writer, '}');
        } else {
            const struct mr_option one[] = {*row, MR_OPTION_END};
            write_properties(writer, one);
        }
    }
    end(writer, '}');
    raw(writer, "required", "[\"method\"]");
    raw(writer, "anyOf", "[{\"required\": [\"type\"]}, {\"required\": [\"stepType\"]}]");
    begin(writer, "allOf", '[');
    for (const struct mr_method *method = registry->methods; method->name != NULL; method++)
        if (listed(method))
            write_branch(writer, registry, method);
    end(writer, ']');
    raw(writer, "additionalProperties", "false");
    end(writer, '}');
}

void mr_config_write_schema(const struct mr_registry *registry, struct mr_bytes *out)
{
    struct writer writer = {.out = out, .first = true};
    begin(&writer, NULL, '{');
    member(&writer, "$schema", "https://json-schema.org/draft/2020-12/schema");
    member(&writer, "title", "Millrace pipeline");
    member(&writer, "$comment", "Generated from the option tables by make reference; do not edit.");
    write_object(&writer, mr_pipeline_options, NULL, true);
    begin(&writer, "$defs", '{');
    write_step(&writer, registry);
    for (const struct mr_method *method = registry->methods; method->name != NULL; method++) {
        if (!listed(method))
            continue;
        begin(&writer, method->name, '{');
        const char *doc = mr_method_doc(method);
        if (doc != NULL)
            member(&writer, "description", doc);
        write_object(&writer, mr_method_options(method), mr_common_options(method), false);
        end(&writer, '}');
    }
    end(&writer, '}');
    end(&writer, '}');
    mr_bytes_char(out, '\n');
}
