/*
 * functions_from_json.c - from_json: documents into columns of a declared type, as Spark's JacksonParser reads them.
 *
 * A value that does not fit the type of its field makes the field NULL; inside an array or map it makes the whole array or map
 * NULL. So those are looked through before anything is appended: builders cannot go back. A text that is no JSON, or of another
 * form than the type, gives a struct of NULLs, or NULL for arrays and maps; mode FAILFAST makes all of these errors.
 */
#include "base/text.h"
#include "base/time.h"
#include "col/builder.h"
#include "enc/value_text.h"
#include "sql/cast_kernels.h"
#include "sql/json.h"
#include "sql/text_of.h"
#include "sql/time_pattern.h"

#include <math.h>
#include <stdio.h>

struct rules {
    bool fail_fast;
    unsigned json;
    const struct mr_time_pattern *timestamp; /* NULL: as CAST reads them */
    const struct mr_time_pattern *timestamp_ntz;
    const struct mr_time_pattern *date;
    int corrupt; /* the root's field that receives texts that do not fit, -1: none */
};

struct reader {
    struct mr_call *call;
    const struct rules *rules;
    struct mr_json_state *state;
    const struct mr_json_tree *tree;
    bool failed; /* something of this row did not fit */
};

struct scalar {
    int64_t i64;
    mr_int128 decimal;
    double f64;
};

static bool word(struct mr_slice text, const char *expected)
{
    return text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
}

static bool special_number(struct mr_slice text, double *out)
{
    if (word(text, "NaN"))
        *out = NAN;
    else if (word(text, "+INF") || word(text, "+Infinity") || word(text, "Infinity"))
        *out = INFINITY;
    else if (word(text, "-INF") || word(text, "-Infinity"))
        *out = -INFINITY;
    else
        return false;
    return true;
}

static bool read_integer(struct mr_slice raw, enum mr_json_kind kind, const struct mr_type *type,
                         struct scalar *out)
{
    static const int64_t most[] = {255, INT16_MAX, INT32_MAX, INT64_MAX};
    static const int64_t least[] = {INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN};
    int width = (int)type->id - (int)MR_TYPE_INT8;
    if (kind != MR_JSON_INTEGER || !mr_text_to_int64(raw, false, &out->i64) ||
        out->i64 > most[width] || out->i64 < least[width])
        return false;
    if (width == 0) /* Jackson reads a byte without sign too */
        out->i64 = (int8_t)out->i64;
    return true;
}

static bool read_decimal(struct mr_slice text, bool string, const struct mr_type *type,
                         struct scalar *out)
{
    char plain[128];
    size_t size = 0;
    if (text.size == 0 || text.size >= sizeof(plain))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != ',' || !string)
            plain[size++] = text.data[i];
    }
    return mr_decimal_parse(plain, size, type->precision, type->scale, &out->decimal);
}

static bool by_pattern(struct reader *self, const struct mr_time_pattern *pattern,
                       enum mr_type_id id, struct mr_slice text, struct scalar *out)
{
    int64_t micros;
    bool zoned;
    const struct mr_tz *tz = self->call->session->tz;
    if (!mr_time_pattern_parse(pattern, text, &micros, &zoned))
        return false;
    if (id == MR_TYPE_TIMESTAMP)
        out->i64 = zoned || tz == NULL ? micros : mr_tz_to_utc(tz, micros);
    else if (id == MR_TYPE_TIMESTAMP_NTZ)
        out->i64 = micros;
    else
        out->i64 = micros / MR_MICROS_PER_DAY - (micros % MR_MICROS_PER_DAY < 0);
    return !(id == MR_TYPE_TIMESTAMP_NTZ && zoned);
}

static bool read_time(struct reader *self, struct mr_slice text, enum mr_type_id id,
                      struct scalar *out, enum mr_status *status)
{
    const struct mr_time_pattern *pattern = id == MR_TYPE_DATE        ? self->rules->date
                                            : id == MR_TYPE_TIMESTAMP ? self->rules->timestamp
                                                                      : self->rules->timestamp_ntz;
    struct mr_slice zone = {0};
    int32_t days;
    bool ok = false;
    if (pattern != NULL)
        return by_pattern(self, pattern, id, text, out);
    if (id == MR_TYPE_DATE) {
        ok = mr_text_to_date(text, &days);
        out->i64 = ok ? days : 0;
    } else if (id == MR_TYPE_TIMESTAMP) {
        *status = mr_text_to_instant(self->call, text, &out->i64, &ok);
    } else {
        ok = mr_text_to_local(text, &out->i64, &zone) && zone.size == 0;
    }
    return ok;
}

/* A value that is no string, for types that are read from numbers and words. */
static bool read_plain(const struct mr_json_node *node, struct mr_slice raw,
                       const struct mr_type *type, struct scalar *out)
{
    bool number = node->kind == MR_JSON_INTEGER || node->kind == MR_JSON_NUMBER;
    switch (type->id) {
    case MR_TYPE_BOOL:
        out->i64 = node->kind == MR_JSON_TRUE;
        return node->kind == MR_JSON_TRUE || node->kind == MR_JSON_FALSE;
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
        return read_integer(raw, node->kind, type, out);
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        return number &&
               (special_number(raw, &out->f64) || mr_text_to_double(raw, false, &out->f64));
    case MR_TYPE_DECIMAL:
        return number && read_decimal(raw, false, type, out);
    case MR_TYPE_TIMESTAMP:
        return node->kind == MR_JSON_INTEGER && mr_text_to_int64(raw, false, &out->i64) &&
               !__builtin_mul_overflow(out->i64, MR_MICROS_PER_SECOND, &out->i64);
    default:
        return false;
    }
}

/* Reads a value of a type of fixed width. */
static bool read_scalar(struct reader *self, uint32_t node, const struct mr_type *type,
                        struct scalar *out, enum mr_status *status)
{
    const struct mr_json_node *at = &self->tree->nodes[node];
    if (at->kind != MR_JSON_STRING)
        return read_plain(at, mr_json_raw(self->tree, node), type, out);
    struct mr_slice text = mr_json_string(self->tree, node, &self->state->scratch);
    switch (type->id) {
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        return special_number(text, &out->f64);
    case MR_TYPE_DECIMAL:
        return read_decimal(text, true, type, out);
    case MR_TYPE_DATE:
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        return text.size > 0 && read_time(self, text, type->id, out, status);
    default:
        return false;
    }
}

/* Strict base64 with its padding; out NULL: only looks. */
static bool read_base64(struct mr_slice text, struct mr_bytes *out)
{
    uint32_t bits = 0;
    size_t digits = text.size;
    while (digits > 0 && text.size - digits < 2 && text.data[digits - 1] == '=')
        digits--;
    for (size_t i = 0; i < digits; i++) {
        int digit = mr_base64_digit(text.data[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        if (out != NULL && i % 4 > 0)
            mr_bytes_char(out, (char)(bits >> (6 - 2 * (i % 4))));
    }
    return text.size % 4 == 0 && digits % 4 != 1;
}

static bool fits(struct reader *self, uint32_t node, const struct mr_type *type,
                 enum mr_status *status);

/* Do all elements fit, those of inner arrays too? Structs always do: their fields may be NULL. */
static bool elements_fit(struct reader *self, uint32_t node, const struct mr_type *element,
                         enum mr_status *status)
{
    const struct mr_json_tree *tree = self->tree;
    for (uint32_t i = node + 1; i < tree->nodes[node].next; i = tree->nodes[i].next) {
        if (tree->nodes[i].kind != MR_JSON_NULL && !fits(self, i, element, status))
            return false;
    }
    return true;
}

static bool fits(struct reader *self, uint32_t node, const struct mr_type *type,
                 enum mr_status *status)
{
    enum mr_json_kind kind = self->tree->nodes[node].kind;
    struct scalar scalar;
    switch (type->id) {
    case MR_TYPE_STRUCT:
        return kind == MR_JSON_OBJECT;
    case MR_TYPE_LIST:
        return kind == MR_JSON_ARRAY && elements_fit(self, node, type->fields[0].type, status);
    case MR_TYPE_MAP:
        return kind == MR_JSON_OBJECT && elements_fit(self, node, type->fields[1].type, status);
    case MR_TYPE_STRING:
    case MR_TYPE_JSON:
        return true;
    case MR_TYPE_BINARY:
        return kind == MR_JSON_STRING &&
               read_base64(mr_json_string(self->tree, node, &self->state->scratch), NULL);
    default:
        return read_scalar(self, node, type, &scalar, status);
    }
}

static enum mr_status append(struct reader *self, uint32_t node, struct mr_builder *to);

static enum mr_status append_scalar(struct reader *self, uint32_t node, struct mr_builder *to)
{
    struct mr_error *err = self->call->err;
    struct scalar scalar = {0};
    enum mr_status status = MR_OK;
    bool good = read_scalar(self, node, to->type, &scalar, &status);
    if (status != MR_OK)
        return status;
    if (!good) {
        self->failed = true;
        return mr_builder_null(to, err);
    }
    switch (to->type->id) {
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        return mr_builder_double(to, scalar.f64, err);
    case MR_TYPE_DECIMAL:
        return mr_builder_decimal(to, scalar.decimal, err);
    default:
        return mr_builder_int(to, scalar.i64, err);
    }
}

static enum mr_status append_bytes(struct reader *self, uint32_t node, struct mr_builder *to)
{
    struct mr_error *err = self->call->err;
    struct mr_bytes *scratch = &self->state->scratch, *out = &self->state->out;
    bool string = self->tree->nodes[node].kind == MR_JSON_STRING;
    struct mr_slice text = {0};
    if (string)
        text = mr_json_string(self->tree, node, scratch);
    if (string && to->type->id == MR_TYPE_STRING)
        return mr_builder_bytes(to, text.data, text.size, err);
    mr_bytes_clear(out);
    if (to->type->id != MR_TYPE_BINARY) {
        mr_json_copy(self->tree, node, scratch, out);
    } else if (!string || !read_base64(text, out)) {
        self->failed = true;
        return mr_builder_null(to, err);
    }
    MR_TRY(mr_bytes_status(out, err));
    return mr_builder_bytes(to, out->data ? out->data : "", out->size, err);
}

/* The member that is read for a field: the last of its name. Looks first where the last one was found. */
static uint32_t member_of(struct reader *self, uint32_t object, struct mr_slice name)
{
    const struct mr_json_tree *tree = self->tree;
    uint32_t found = 0;
    for (uint32_t i = object + 1; i < tree->nodes[object].next; i = tree->nodes[i].next) {
        if (mr_json_key_is(tree, i, name, &self->state->scratch))
            found = i;
    }
    return found;
}

static enum mr_status append_struct(struct reader *self, uint32_t node, struct mr_builder *to,
                                    int skip)
{
    struct mr_error *err = self->call->err;
    for (int i = 0; i < to->nchildren; i++) {
        if (i == skip)
            continue;
        uint32_t member = member_of(self, node, mr_slice_of(to->type->fields[i].name));
        if (member == 0)
            MR_TRY(mr_builder_null(&to->children[i], err));
        else
            MR_TRY(append(self, member, &to->children[i]));
    }
    return MR_OK;
}

static enum mr_status append_elements(struct reader *self, uint32_t node, struct mr_builder *to)
{
    struct mr_error *err = self->call->err;
    const struct mr_json_tree *tree = self->tree;
    bool map = to->type->id == MR_TYPE_MAP;
    struct mr_builder *child = &to->children[0];
    for (uint32_t i = node + 1; i < tree->nodes[node].next; i = tree->nodes[i].next) {
        if (!map) {
            MR_TRY(append(self, i, child));
            continue;
        }
        struct mr_slice key = mr_json_key(tree, i, &self->state->scratch);
        MR_TRY(mr_builder_bytes(&child->children[0], key.data, key.size, err));
        MR_TRY(append(self, i, &child->children[1]));
        MR_TRY(mr_builder_struct(child, err));
    }
    return mr_builder_list(to, err);
}

static enum mr_status append(struct reader *self, uint32_t node, struct mr_builder *to)
{
    struct mr_error *err = self->call->err;
    enum mr_status status = MR_OK;
    if (self->tree->nodes[node].kind == MR_JSON_NULL || to->type->id == MR_TYPE_NULL)
        return mr_builder_null(to, err);
    if (!mr_type_is_nested(to->type)) {
        bool bytes = mr_type_layout(to->type) == MR_LAYOUT_BYTES;
        return bytes ? append_bytes(self, node, to) : append_scalar(self, node, to);
    }
    bool good = fits(self, node, to->type, &status);
    if (status != MR_OK)
        return status;
    if (!good) {
        self->failed = true;
        return mr_builder_null(to, err);
    }
    if (to->type->id != MR_TYPE_STRUCT)
        return append_elements(self, node, to);
    MR_TRY(append_struct(self, node, to, -1));
    return mr_builder_struct(to, err);
}

/* Fields of the root; the one for texts that do not fit is filled last. */
static enum mr_status append_root(struct reader *self, bool parsed, struct mr_slice text,
                                  struct mr_builder *to)
{
    struct mr_error *err = self->call->err;
    int corrupt = self->rules->corrupt;
    if (parsed && self->tree->nodes[0].kind == MR_JSON_OBJECT) {
        MR_TRY(append_struct(self, 0, to, corrupt));
    } else {
        self->failed = !parsed || self->tree->nodes[0].kind != MR_JSON_NULL;
        for (int i = 0; i < to->nchildren; i++) {
            if (i != corrupt)
                MR_TRY(mr_builder_null(&to->children[i], err));
        }
    }
    if (corrupt >= 0 && self->failed)
        MR_TRY(mr_builder_bytes(&to->children[corrupt], text.data, text.size, err));
    else if (corrupt >= 0)
        MR_TRY(mr_builder_null(&to->children[corrupt], err));
    return mr_builder_struct(to, err);
}

static enum mr_status append_document(struct reader *self, struct mr_slice text,
                                      struct mr_builder *to)
{
    struct mr_error *err = self->call->err;
    enum mr_status status = MR_OK;
    bool parsed = mr_json_parse_row(self->call, self->state, text, self->rules->json, &status);
    if (status != MR_OK)
        return status;
    self->failed = false;
    if (!parsed && self->tree->count == 0 && mr_text_trim(text).size == 0)
        return mr_builder_null(to, err);
    if (to->type->id == MR_TYPE_STRUCT)
        return append_root(self, parsed, text, to);
    enum mr_json_kind kind = parsed ? self->tree->nodes[0].kind : MR_JSON_NULL;
    const struct mr_type *element = to->type->fields[0].type;
    if (kind == MR_JSON_OBJECT && to->type->id == MR_TYPE_LIST && element->id == MR_TYPE_STRUCT) {
        MR_TRY(append(self, 0, &to->children[0]));
        return mr_builder_list(to, err);
    }
    if (parsed)
        return append(self, 0, to);
    self->failed = true;
    return mr_builder_null(to, err);
}

static enum mr_status kernel_from_json(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg document = mr_arg_of(call, 0);
    struct reader self = {.call = call, .rules = call->data, .state = mr_json_state_of(call)};
    struct mr_builder builder;
    if (self.state == NULL)
        return MR_NOMEM;
    self.tree = &self.state->tree;
    enum mr_status status = mr_builder_init(&builder, call->memory, call->type, call->err);
    MR_EACH_ROW(call, row)
    {
        while (status == MR_OK && builder.length < row)
            status = mr_builder_null(&builder, call->err);
        struct mr_slice text = mr_arg_text(&document, row);
        if (status == MR_OK)
            status = append_document(&self, text, &builder);
        if (status == MR_OK)
            status = mr_bytes_status(&self.state->scratch, call->err);
        if (status == MR_OK && self.failed && self.rules->fail_fast)
            status = mr_call_fail(call, "a text that does not fit the type (mode FAILFAST)");
        if (status != MR_OK)
            break;
    }
    while (status == MR_OK && builder.length < call->length)
        status = mr_builder_null(&builder, call->err);
    if (status == MR_OK)
        status = mr_builder_finish(&builder, out, call->err);
    mr_builder_reset(&builder);
    return status;
}

/* Every field may be NULL, whatever the schema says. */
static const struct mr_type *nullable_type(struct mr_arena *arena, const struct mr_type *type)
{
    if (!mr_type_is_nested(type))
        return type;
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)type->nfields + 1, sizeof(*fields));
    if (fields == NULL)
        return NULL;
    for (int i = 0; i < type->nfields; i++) {
        fields[i] = (struct mr_field){.name = type->fields[i].name,
                                      .type = nullable_type(arena, type->fields[i].type),
                                      .nullable = true};
        if (fields[i].type == NULL)
            return NULL;
    }
    if (type->id == MR_TYPE_LIST)
        return mr_type_list(arena, fields[0].type, true);
    if (type->id == MR_TYPE_MAP)
        return mr_type_map(arena, fields[0].type, fields[1].type, true);
    return mr_type_struct(arena, fields, type->nfields);
}

static bool keys_are_text(const struct mr_type *type)
{
    if (type->id == MR_TYPE_MAP && type->fields[0].type->id != MR_TYPE_STRING)
        return false;
    for (int i = 0; i < type->nfields; i++) {
        if (!keys_are_text(type->fields[i].type))
            return false;
    }
    return true;
}

/* "array<..>", "map<..>", "struct<..>", or columns as in CREATE TABLE. */
static enum mr_status parse_type(struct mr_binding *binding, const char *text,
                                 const struct mr_type **out)
{
    static const char *const words[] = {"array", "map", "struct"};
    struct mr_error err = {0};
    const struct mr_schema *schema;
    const char *at = text + strspn(text, " \t\n");
    size_t size = strcspn(at, " <");
    bool nested = false;
    for (size_t i = 0; i < 3; i++) {
        char word_text[8] = "";
        if (size < sizeof(word_text))
            memcpy(word_text, at, size);
        nested |=
            mr_text_equal_nocase(word_text, words[i]) && at[size + strspn(at + size, " ")] == '<';
    }
    enum mr_status status = nested ? mr_type_parse(binding->arena, text, out, &err)
                                   : mr_schema_parse(binding->arena, text, &schema, &err);
    if (status == MR_OK && !nested)
        *out = mr_type_struct(binding->arena, schema->fields, schema->nfields);
    if (status == MR_OK)
        return *out ? MR_OK : mr_error_nomem(binding->err);
    mr_bind_fail(binding, 1, "%s", err.message);
    if (err.hint[0] != '\0')
        mr_error_hint(binding->err, "%s", err.hint);
    return status;
}

enum option {
    MODE,
    TIMESTAMP_FORMAT,
    TIMESTAMP_NTZ_FORMAT,
    DATE_FORMAT,
    CORRUPT,
    SINGLE_QUOTES,
    CONTROLS,
    NON_NUMERIC,
    OPTIONS
};

static enum mr_status bind_options(struct mr_binding *binding, struct rules *rules)
{
    static const char *const known[] = {"mode",
                                        "timestampFormat",
                                        "timestampNTZFormat",
                                        "dateFormat",
                                        "columnNameOfCorruptRecord",
                                        "allowSingleQuotes",
                                        "allowUnquotedControlChars",
                                        "allowNonNumericNumbers",
                                        NULL};
    struct mr_slice values[OPTIONS] = {{0}};
    MR_TRY(mr_json_options(binding, 2, known, values));
    const struct mr_time_pattern **patterns[] = {&rules->timestamp, &rules->timestamp_ntz,
                                                 &rules->date};
    for (int i = 0; i < 3; i++) {
        struct mr_error err = {0};
        struct mr_slice text = values[TIMESTAMP_FORMAT + i];
        if (text.data != NULL &&
            mr_time_pattern_compile(binding->arena, text, patterns[i], &err) != MR_OK)
            return mr_bind_fail(binding, 2, "%s", err.message);
    }
    char mode[16] = "PERMISSIVE";
    if (values[MODE].data != NULL)
        snprintf(mode, sizeof(mode), "%.*s", (int)values[MODE].size, values[MODE].data);
    rules->fail_fast = mr_text_equal_nocase(mode, "FAILFAST");
    if (!rules->fail_fast && !mr_text_equal_nocase(mode, "PERMISSIVE"))
        return mr_bind_fail(binding, 2, "mode is PERMISSIVE or FAILFAST");
    rules->json = MR_JSON_TRAILING;
    rules->json |= values[SINGLE_QUOTES].size == 5 ? 0 : MR_JSON_SINGLE_QUOTES;
    rules->json |= values[CONTROLS].size == 4 ? MR_JSON_CONTROLS : 0;
    rules->json |= values[NON_NUMERIC].size == 5 ? 0 : MR_JSON_NON_NUMERIC;
    rules->corrupt = -1;
    struct mr_slice corrupt = values[CORRUPT];
    if (corrupt.data == NULL)
        corrupt = mr_slice_of("_corrupt_record");
    for (int i = 0; binding->type->id == MR_TYPE_STRUCT && i < binding->type->nfields; i++) {
        if (mr_slice_equal(mr_slice_of(binding->type->fields[i].name), corrupt) &&
            binding->type->fields[i].type->id == MR_TYPE_STRING)
            rules->corrupt = i;
    }
    return MR_OK;
}

static enum mr_status bind_from_json(struct mr_binding *binding)
{
    struct mr_value schema;
    struct rules *rules = mr_arena_calloc(binding->arena, 1, sizeof(*rules));
    const struct mr_type *type;
    if (!mr_bind_constant(binding, 1, &schema) || schema.is_null)
        return mr_bind_fail(binding, 1, "the schema is a constant text");
    char *text = mr_arena_strndup(binding->arena, schema.u.bytes.data ? schema.u.bytes.data : "",
                                  schema.u.bytes.size);
    if (rules == NULL || text == NULL)
        return mr_error_nomem(binding->err);
    MR_TRY(parse_type(binding, text, &type));
    if (!keys_are_text(type))
        return mr_bind_fail(binding, 1, "the keys of a map in JSON are of type string");
    binding->type = nullable_type(binding->arena, type);
    if (binding->type == NULL)
        return mr_error_nomem(binding->err);
    binding->nullable = true;
    binding->data = rules;
    return bind_options(binding, rules);
}

static const struct mr_function functions[] = {
    {.names = "from_json",
     .args = "s!s!?a",
     .result = "!",
     .flags = MR_FN_FIRST,
     .kernel = kernel_from_json,
     .bind = bind_from_json,
     .signature = "from_json(json, schema[, map('option', 'value', ...)])",
     .family = "JSON",
     .doc = "A document as a value of the type that the schema describes ('a INT, b "
            "ARRAY<STRING>', 'array<..>', 'map<string,..>'). Options: mode (PERMISSIVE, FAILFAST), "
            "timestampFormat, timestampNTZFormat, dateFormat, columnNameOfCorruptRecord, "
            "allowSingleQuotes, allowUnquotedControlChars, allowNonNumericNumbers."},
};

const struct mr_function_family mr_functions_from_json = {functions,
                                                          sizeof(functions) / sizeof(functions[0])};
