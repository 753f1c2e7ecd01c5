/*
 * functions_json.c - looking into documents: get_json_object, how long, which keys, of which schema.
 *
 * Documents are read as Spark reads them: single quotes and raw control characters are accepted, what follows the first value is
 * not looked at, and what is no JSON gives NULL. get_json_object is Spark's evaluatePath (GetJsonObject, 3.5) with its three
 * styles, which are Hive's: matches of [*] become an array unless there is only one, nested ones are flattened or not
 * depending on where they stand.
 */
#include "base/text.h"
#include "col/builder.h"
#include "sql/json.h"
#include "sql/nested.h"

#include <stdlib.h>

enum step_kind { STEP_KEY, STEP_INDEX, STEP_ALL, STEP_NOTHING };

struct step {
    enum step_kind kind;
    struct mr_slice key;
    int64_t index;
};

#define MOST_STEPS 64

/* The path of the row before: paths are nearly always constant. */
struct path_state {
    struct mr_json_state *json;
    struct mr_bytes text;
    struct step steps[MOST_STEPS];
    int count;
    bool valid;
    bool parsed;
};

static void release_path(void *memory)
{
    mr_bytes_reset(&((struct path_state *)memory)->text);
}

/* Behind a dot: a name up to the next dot or bracket, or a star. */
static const char *parse_dot(const char *at, const char *end, struct step *step)
{
    const char *from = ++at;
    if (at < end && *at == '*') {
        step->kind = STEP_NOTHING; /* Spark takes .* and matches nothing with it */
        return at + 1;
    }
    while (at < end && *at != '.' && *at != '[')
        at++;
    step->kind = STEP_KEY;
    step->key = (struct mr_slice){from, (size_t)(at - from)};
    return at > from ? at : NULL;
}

/* Behind a bracket: 'name', a number or a star. */
static const char *parse_bracket(const char *at, const char *end, struct step *step)
{
    const char *from = ++at;
    if (at < end && *at == '\'') {
        from = ++at;
        while (at < end && *at != '\'' && *at != '?')
            at++;
        step->key = (struct mr_slice){from, (size_t)(at - from)};
        step->kind = step->key.size == 1 && *from == '*' ? STEP_NOTHING : STEP_KEY;
        return at > from && end - at >= 2 && at[0] == '\'' && at[1] == ']' ? at + 2 : NULL;
    }
    if (at < end && *at == '*') {
        step->kind = STEP_ALL;
        at++;
    } else {
        while (at < end && *at >= '0' && *at <= '9')
            at++;
        step->kind = STEP_INDEX;
        if (!mr_text_to_int64((struct mr_slice){from, (size_t)(at - from)}, false, &step->index))
            return NULL;
    }
    return at < end && *at == ']' ? at + 1 : NULL;
}

static bool parse_path(struct path_state *path)
{
    const char *at = path->text.data, *end = at + path->text.size;
    path->count = 0;
    if (path->text.size == 0 || *at++ != '$')
        return false;
    while (at != NULL && at < end) {
        struct step *step = &path->steps[path->count];
        if (path->count == MOST_STEPS)
            return false;
        *step = (struct step){0};
        if (*at == '.')
            at = parse_dot(at, end, step);
        else if (*at == '[')
            at = parse_bracket(at, end, step);
        else
            return false;
        path->count++;
    }
    return at != NULL;
}

static bool set_path(struct path_state *path, struct mr_slice text)
{
    if (!path->parsed || path->text.size != text.size ||
        (text.size && memcmp(path->text.data, text.data, text.size) != 0)) {
        mr_bytes_clear(&path->text);
        mr_bytes_append(&path->text, text.data, text.size);
        path->valid = path->text.status == MR_OK && parse_path(path);
        path->parsed = true;
    }
    return path->valid;
}

enum style { RAW, QUOTED, FLATTEN };

/* What is being written: the values of an array need commas. */
struct writer {
    struct mr_bytes *out;
    bool array;
    bool any;
};

static void lead(struct writer *writer)
{
    if (writer->array && writer->any)
        mr_bytes_char(writer->out, ',');
    writer->any = true;
}

static bool evaluate(struct path_state *path, uint32_t node, int step, enum style style,
                     struct writer *writer);

static bool each_child(struct path_state *path, uint32_t node, int step, enum style style,
                       struct writer *writer, int *matches)
{
    const struct mr_json_tree *tree = &path->json->tree;
    *matches = 0;
    for (uint32_t i = node + 1; i < tree->nodes[node].next; i = tree->nodes[i].next)
        *matches += evaluate(path, i, step, style, writer);
    return *matches > 0;
}

static bool write_value(struct path_state *path, uint32_t node, enum style style,
                        struct writer *writer)
{
    const struct mr_json_tree *tree = &path->json->tree;
    enum mr_json_kind kind = tree->nodes[node].kind;
    int matches;
    if (kind == MR_JSON_ARRAY && style == FLATTEN)
        return each_child(path, node, path->count, FLATTEN, writer, &matches);
    lead(writer);
    if (kind == MR_JSON_STRING && style == RAW) {
        struct mr_slice text = mr_json_string(tree, node, &path->json->scratch);
        mr_bytes_append(writer->out, text.data, text.size);
        return true;
    }
    mr_json_copy(tree, node, &path->json->scratch, writer->out);
    return true;
}

/* [*] over an array. One match stands alone, unless the array around it is quoted. */
static bool match_all(struct path_state *path, uint32_t node, int step, enum style style,
                      struct writer *writer)
{
    bool twice = step + 1 < path->count && path->steps[step + 1].kind == STEP_ALL;
    bool keep = twice || style == QUOTED, any = writer->any;
    size_t start = writer->out->size;
    int matches;
    lead(writer);
    size_t open = writer->out->size;
    struct writer inner = {.out = writer->out, .array = true};
    mr_bytes_char(writer->out, '[');
    each_child(path, node, step + 1 + twice, twice || style == FLATTEN ? FLATTEN : QUOTED, &inner,
               &matches);
    if (!keep && matches == 0) {
        writer->any = any;
        writer->out->size = writer->out->status == MR_OK ? start : writer->out->size;
    } else if (!keep && matches == 1 && writer->out->status == MR_OK) {
        writer->out->size--;
        memmove(writer->out->data + open, writer->out->data + open + 1, writer->out->size - open);
    } else {
        mr_bytes_char(writer->out, ']');
    }
    return matches > 0;
}

static bool match_key(struct path_state *path, uint32_t node, int step, enum style style,
                      struct writer *writer)
{
    const struct mr_json_tree *tree = &path->json->tree;
    bool found = false;
    for (uint32_t i = node + 1; i < tree->nodes[node].next && !found; i = tree->nodes[i].next) {
        if (tree->nodes[i].kind != MR_JSON_NULL &&
            mr_json_key_is(tree, i, path->steps[step].key, &path->json->scratch))
            found = evaluate(path, i, step + 1, style, writer);
    }
    return found;
}

static bool evaluate(struct path_state *path, uint32_t node, int step, enum style style,
                     struct writer *writer)
{
    const struct mr_json_tree *tree = &path->json->tree;
    enum mr_json_kind kind = tree->nodes[node].kind;
    if (step == path->count)
        return write_value(path, node, style, writer);
    enum step_kind wanted = path->steps[step].kind;
    if (kind == MR_JSON_OBJECT && wanted == STEP_KEY)
        return match_key(path, node, step, style, writer);
    if (kind != MR_JSON_ARRAY)
        return false;
    if (wanted == STEP_ALL)
        return match_all(path, node, step, style, writer);
    if (wanted != STEP_INDEX || path->steps[step].index >= tree->nodes[node].count)
        return false;
    uint32_t child = node + 1;
    for (int64_t i = path->steps[step].index; i > 0; i--)
        child = tree->nodes[child].next;
    if (step + 1 < path->count && path->steps[step + 1].kind == STEP_ALL)
        style = QUOTED;
    return evaluate(path, child, step + 1, style, writer);
}

static enum mr_status kernel_get_json_object(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg document = mr_arg_of(call, 0), where = mr_arg_of(call, 1);
    struct path_state *path = mr_call_state(call, sizeof(*path), release_path);
    if (path == NULL || (path->json = mr_json_state_of(call)) == NULL)
        return mr_error_nomem(call->err);
    path->text.maximum = INT32_MAX;
    struct mr_bytes *text = &path->json->out;
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        mr_bytes_clear(text);
        struct writer writer = {.out = text};
        bool found = set_path(path, mr_arg_text(&where, row)) &&
                     mr_json_parse_row(call, path->json, mr_arg_text(&document, row),
                                       MR_JSON_SPARK_RULES, &result.status) &&
                     evaluate(path, 0, 0, RAW, &writer);
        if (result.status == MR_OK)
            result.status = mr_bytes_status(&path->json->scratch, call->err);
        if (found && result.status == MR_OK &&
            (result.status = mr_bytes_status(text, call->err)) == MR_OK)
            mr_result_text(&result, row, text->data ? text->data : "", text->size);
        else
            mr_result_null(&result, row);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_array_length(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg document = mr_arg_of(call, 0);
    struct mr_json_state *state = mr_json_state_of(call);
    if (state == NULL)
        return MR_NOMEM;
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        if (mr_json_parse_row(call, state, mr_arg_text(&document, row), MR_JSON_SPARK_RULES,
                              &result.status) &&
            state->tree.nodes[0].kind == MR_JSON_ARRAY)
            MR_SET(&result, int32_t, row, (int32_t)state->tree.nodes[0].count);
        else
            mr_result_null(&result, row);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status bind_keys(struct mr_binding *binding)
{
    binding->type = mr_type_list(binding->arena, mr_type_of(MR_TYPE_STRING), false);
    return MR_OK;
}

static enum mr_status append_keys(struct mr_json_state *state, struct mr_builder *keys,
                                  struct mr_error *err)
{
    const struct mr_json_tree *tree = &state->tree;
    for (uint32_t i = 1; i < tree->nodes[0].next; i = tree->nodes[i].next) {
        struct mr_slice key = mr_json_key(tree, i, &state->scratch);
        MR_TRY(mr_builder_bytes(keys, key.data, key.size, err));
    }
    return mr_bytes_status(&state->scratch, err);
}

static enum mr_status kernel_object_keys(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg document = mr_arg_of(call, 0);
    struct mr_json_state *state = mr_json_state_of(call);
    struct mr_list_result result;
    struct mr_builder keys;
    struct mr_column *child = NULL;
    if (state == NULL)
        return MR_NOMEM;
    mr_list_result_init(&result, call);
    enum mr_status status =
        mr_builder_init(&keys, call->memory, mr_type_of(MR_TYPE_STRING), call->err);
    if (result.status == MR_OK)
        result.status = status;
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        if (!mr_json_parse_row(call, state, mr_arg_text(&document, row), MR_JSON_SPARK_RULES,
                               &result.status) ||
            state->tree.nodes[0].kind != MR_JSON_OBJECT) {
            mr_list_null(&result, row);
            continue;
        }
        int64_t before = keys.length;
        result.status = append_keys(state, &keys, call->err);
        mr_list_add_count(&result, keys.length - before);
        mr_list_end(&result, row);
    }
    if (result.status == MR_OK)
        result.status = mr_builder_finish(&keys, &child, call->err);
    mr_builder_reset(&keys);
    return mr_list_finish_with(&result, child, out);
}

/* A schema being found: JsonInferSchema of Spark, with its rules for what two types become. */
struct shape {
    enum { NOTHING, BOOLEAN, BIGINT, DECIMAL, DOUBLE, TEXT, LIST, OBJECT } kind;
    int precision;
    int nfields;
    struct shape_field *fields; /* by name; LIST: one */
};
struct shape_field {
    const char *name;
    struct shape *shape;
};

struct inference {
    struct mr_arena arena;
    const struct mr_json_tree *tree;
    struct mr_bytes *scratch;
    bool nomem;
};

static void merge(struct inference *self, struct shape *into, const struct shape *other);

/* The field of that name, made in its place in the order of names. */
static struct shape *field_named(struct inference *self, struct shape *shape, const char *name)
{
    int at = 0;
    while (at < shape->nfields && strcmp(shape->fields[at].name, name) < 0)
        at++;
    if (at < shape->nfields && strcmp(shape->fields[at].name, name) == 0)
        return shape->fields[at].shape;
    struct shape_field *fields =
        mr_arena_calloc(&self->arena, (size_t)shape->nfields + 1, sizeof(*fields));
    struct shape *made = mr_arena_calloc(&self->arena, 1, sizeof(*made));
    if (fields == NULL || made == NULL) {
        self->nomem = true;
        return NULL;
    }
    for (int i = 0; i < shape->nfields; i++)
        fields[i + (i >= at)] = shape->fields[i];
    fields[at] = (struct shape_field){name, made};
    shape->fields = fields;
    shape->nfields++;
    return made;
}

static void merge_fields(struct inference *self, struct shape *into, const struct shape *other)
{
    for (int i = 0; i < other->nfields; i++) {
        struct shape *field = field_named(self, into, other->fields[i].name);
        if (field != NULL)
            merge(self, field, other->fields[i].shape);
    }
}

static void merge(struct inference *self, struct shape *into, const struct shape *other)
{
    bool number_a = into->kind >= BIGINT && into->kind <= DOUBLE;
    bool number_b = other->kind >= BIGINT && other->kind <= DOUBLE;
    if (other->kind == NOTHING)
        return;
    if (into->kind == NOTHING)
        *into = *other;
    else if (into->kind == other->kind && into->kind >= LIST)
        merge_fields(self, into, other);
    else if (into->kind == other->kind || (number_a && number_b)) {
        into->precision = into->precision > other->precision ? into->precision : other->precision;
        into->kind = into->kind > other->kind ? into->kind : other->kind;
    } else
        into->kind = TEXT;
}

static void infer(struct inference *self, uint32_t node, struct shape *out)
{
    const struct mr_json_node *at = &self->tree->nodes[node];
    int64_t ignored;
    struct mr_slice text = mr_json_raw(self->tree, node);
    *out = (struct shape){.kind = NOTHING};
    if (at->kind == MR_JSON_TRUE || at->kind == MR_JSON_FALSE)
        out->kind = BOOLEAN;
    else if (at->kind == MR_JSON_STRING)
        out->kind = TEXT;
    else if (at->kind == MR_JSON_NUMBER)
        out->kind = DOUBLE;
    else if (at->kind == MR_JSON_INTEGER) {
        out->precision = (int)text.size - (text.data[0] == '-');
        out->kind = mr_text_to_int64(text, false, &ignored) ? BIGINT
                    : out->precision <= 38                  ? DECIMAL
                                                            : DOUBLE;
        if (out->kind == BIGINT)
            out->precision = 20;
    }
    if (at->kind < MR_JSON_ARRAY)
        return;
    out->kind = at->kind == MR_JSON_ARRAY ? LIST : OBJECT;
    if (out->kind == LIST)
        field_named(self, out, "");
    for (uint32_t i = node + 1; i < at->next && !self->nomem; i = self->tree->nodes[i].next) {
        struct shape shape;
        struct mr_slice key = {"", 0};
        if (out->kind == OBJECT)
            key = mr_json_key(self->tree, i, self->scratch);
        const char *name = mr_arena_strndup(&self->arena, key.data, key.size);
        struct shape *field = name ? field_named(self, out, name) : NULL;
        infer(self, i, &shape);
        if (field != NULL)
            merge(self, field, &shape);
    }
}

static void put_name(const char *name, struct mr_bytes *out)
{
    bool plain = *name != '\0';
    for (const char *at = name; *at; at++)
        plain &=
            *at == '_' || (*at >= '0' && *at <= '9') || ((*at | 32) >= 'a' && (*at | 32) <= 'z');
    if (plain) {
        mr_bytes_text(out, name);
        return;
    }
    mr_bytes_quoted(out, name, '`');
}

/* An object without fields, where it is a field, is left out, as Spark does. */
static void put_shape(const struct shape *shape, struct mr_bytes *out)
{
    static const char *const names[] = {"STRING", "BOOLEAN", "BIGINT", "", "DOUBLE", "STRING"};
    bool first = true;
    switch (shape->kind) {
    case LIST:
        mr_bytes_text(out, "ARRAY<");
        put_shape(shape->fields[0].shape, out);
        mr_bytes_char(out, '>');
        return;
    case OBJECT:
        mr_bytes_text(out, "STRUCT<");
        for (int i = 0; i < shape->nfields; i++) {
            const struct shape *field = shape->fields[i].shape;
            if (field->kind == OBJECT && field->nfields == 0)
                continue;
            mr_bytes_text(out, first ? "" : ", ");
            put_name(shape->fields[i].name, out);
            mr_bytes_text(out, ": ");
            put_shape(field, out);
            first = false;
        }
        mr_bytes_char(out, '>');
        return;
    case DECIMAL:
        mr_bytes_printf(out, "DECIMAL(%d,0)", shape->precision);
        return;
    default:
        mr_bytes_text(out, names[shape->kind]);
    }
}

static enum mr_status kernel_schema(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg document = mr_arg_of(call, 0);
    struct mr_json_state *state = mr_json_state_of(call);
    if (state == NULL)
        return MR_NOMEM;
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct inference self = {.tree = &state->tree, .scratch = &state->scratch};
        struct shape shape = {0};
        struct mr_slice text = mr_arg_text(&document, row);
        if (result.status != MR_OK)
            break;
        bool parsed = mr_json_parse_row(call, state, text, MR_JSON_SPARK_RULES, &result.status);
        if (!parsed && state->tree.count > 0)
            mr_result_fail_value(&result, row, text, "a text that is no JSON");
        if (result.status != MR_OK || (!parsed && state->tree.count > 0))
            continue;
        mr_arena_init(&self.arena, NULL);
        if (parsed)
            infer(&self, 0, &shape);
        mr_bytes_clear(&state->out);
        put_shape(&shape, &state->out);
        result.status =
            self.nomem ? mr_error_nomem(call->err) : mr_bytes_status(&state->out, call->err);
        if (result.status == MR_OK)
            result.status = mr_bytes_status(&state->scratch, call->err);
        mr_result_text(&result, row, state->out.data, state->out.size);
        mr_arena_reset(&self.arena);
    }
    return mr_result_finish(&result, out);
}

#define ROW(names_, args_, result_, flags_, kernel_, bind_, signature_, doc_)                      \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = flags_, .kernel = kernel_,     \
        .bind = bind_, .signature = signature_, .family = "JSON", .doc = doc_                      \
    }

static const struct mr_function functions[] = {
    ROW("get_json_object", "s!s!", "s", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_get_json_object, NULL,
        "get_json_object(json, path)",
        "What a path such as $.a['b'][0].c or $.a[*].b leads to: a string as it is, everything "
        "else as JSON."),
    ROW("json_array_length", "s!", "i", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_array_length, NULL,
        "json_array_length(json)", "Number of elements; NULL when it is no array."),
    ROW("json_object_keys", "s!", "!", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_object_keys, bind_keys,
        "json_object_keys(json)", "The keys of an object as an array; NULL when it is none."),
    ROW("schema_of_json", "s", "s", 0, kernel_schema, NULL, "schema_of_json(json)",
        "The type of a document, as from_json takes it."),
};

const struct mr_function_family mr_functions_json = {functions,
                                                     sizeof(functions) / sizeof(functions[0])};
