/*
 * functions_to_json.c - to_json: structs, arrays and maps as Spark's JacksonGenerator writes them.
 *
 * enc/json_text.h writes exact numbers and times with all digits, for files; here the aim is Spark's text: NULL fields are left
 * out, timestamps have milliseconds and an offset, doubles are Java's, keys of maps that are dates or timestamps are their internal
 * numbers.
 */
#include "base/text.h"
#include "enc/value_text.h"
#include "sql/json.h"
#include "sql/local_time.h"
#include "sql/text_of.h"
#include "sql/time_pattern.h"

#include <math.h>

struct layout {
    const struct mr_time_pattern *timestamp;
    const struct mr_time_pattern *timestamp_ntz;
    const struct mr_time_pattern *date;
    bool keep_nulls;
};

struct writer {
    const struct mr_sql_session *session;
    const struct layout *layout;
    struct mr_bytes *out;
};

static void put_value(const struct writer *self, const struct mr_column *column, int64_t row);

/* BigDecimal.toString: scientific when the exponent is less than -6. */
void mr_json_put_decimal(mr_int128 value, int scale, struct mr_bytes *out)
{
    char text[MR_DECIMAL_TEXT_MAX];
    mr_uint128 rest = value < 0 ? -(mr_uint128)value : (mr_uint128)value;
    int digits = 1;
    for (mr_uint128 left = rest; left >= 10; left /= 10)
        digits++;
    int exponent = digits - 1 - scale;
    if (exponent >= -6) {
        mr_bytes_append(out, text, (size_t)mr_decimal_format(value, scale, text));
        return;
    }
    int size = mr_decimal_format(value, 0, text), at = value < 0;
    mr_bytes_append(out, text, (size_t)at + 1);
    if (size > at + 1) {
        mr_bytes_char(out, '.');
        mr_bytes_append(out, text + at + 1, (size_t)(size - at - 1));
    }
    mr_bytes_printf(out, "E%d", exponent);
}

static void put_float(const struct mr_arg *arg, int64_t row, struct mr_bytes *out)
{
    char text[MR_DOUBLE_TEXT_MAX];
    bool single = arg->type->id == MR_TYPE_FLOAT32;
    int size = single ? mr_float_to_text(MR_ARG(*arg, float, row), text)
                      : mr_double_to_text(MR_ARG(*arg, double, row), text);
    bool finite = isfinite(mr_arg_double(arg, row));
    mr_bytes_text(out, finite ? "" : "\"");
    mr_bytes_append(out, text, (size_t)size);
    mr_bytes_text(out, finite ? "" : "\"");
}

static void put_time(const struct writer *self, const struct mr_arg *arg, int64_t row)
{
    enum mr_type_id id = arg->type->id;
    const struct mr_tz *tz = id == MR_TYPE_TIMESTAMP ? self->session->tz : NULL;
    const struct mr_time_pattern *pattern = id == MR_TYPE_DATE        ? self->layout->date
                                            : id == MR_TYPE_TIMESTAMP ? self->layout->timestamp
                                                                      : self->layout->timestamp_ntz;
    int64_t micros = id == MR_TYPE_DATE ? MR_ARG(*arg, int32_t, row) * MR_MICROS_PER_DAY
                                        : MR_ARG(*arg, int64_t, row);
    mr_bytes_char(self->out, '"');
    mr_time_pattern_format(pattern, tz, tz ? mr_tz_to_local(tz, micros) : micros, micros,
                           self->out);
    mr_bytes_char(self->out, '"');
}

static void put_struct(const struct writer *self, const struct mr_column *column, int64_t row)
{
    bool first = true;
    mr_bytes_char(self->out, '{');
    for (int i = 0; i < column->nchildren; i++) {
        const struct mr_column *child = column->children[i];
        if (mr_column_is_null(child, row) && !self->layout->keep_nulls)
            continue;
        if (!first)
            mr_bytes_char(self->out, ',');
        first = false;
        mr_json_put_string(mr_slice_of(column->type->fields[i].name), self->out);
        mr_bytes_char(self->out, ':');
        put_value(self, child, row);
    }
    mr_bytes_char(self->out, '}');
}

/* Spark writes the key's internal form: days of a date, microseconds of a timestamp. */
static void put_key(const struct writer *self, const struct mr_column *keys, int64_t row)
{
    struct mr_bytes text;
    struct mr_value value;
    mr_bytes_init(&text, INT32_MAX);
    mr_column_get(keys, row, &value);
    switch (keys->type->id) {
    case MR_TYPE_DATE:
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        mr_bytes_printf(&text, "%lld", (long long)value.u.i64);
        break;
    default:
        mr_text_of(self->session, keys, row, &text);
    }
    mr_json_put_string((struct mr_slice){text.data ? text.data : "", text.size}, self->out);
    if (self->out->status == MR_OK)
        self->out->status = text.status;
    mr_bytes_reset(&text);
}

static void put_list(const struct writer *self, const struct mr_column *column, int64_t row)
{
    const int32_t *offsets = mr_column_offsets(column);
    const struct mr_column *child = column->children[0];
    bool map = column->type->id == MR_TYPE_MAP;
    mr_bytes_char(self->out, map ? '{' : '[');
    for (int32_t i = offsets[row]; i < offsets[row + 1]; i++) {
        if (i > offsets[row])
            mr_bytes_char(self->out, ',');
        if (map) {
            put_key(self, child->children[0], i);
            mr_bytes_char(self->out, ':');
        }
        put_value(self, map ? child->children[1] : child, i);
    }
    mr_bytes_char(self->out, map ? '}' : ']');
}

static void put_bytes(const struct mr_arg *arg, int64_t row, struct mr_bytes *out)
{
    struct mr_slice bytes = mr_arg_text(arg, row);
    if (arg->type->id == MR_TYPE_JSON) {
        mr_bytes_append(out, bytes.data, bytes.size);
    } else if (arg->type->id == MR_TYPE_STRING) {
        mr_json_put_string(bytes, out);
    } else {
        mr_bytes_char(out, '"');
        mr_base64_append(out, bytes.data, bytes.size);
        mr_bytes_char(out, '"');
    }
}

static void put_scalar(const struct writer *self, const struct mr_column *flat, int64_t row)
{
    struct mr_arg arg = mr_arg_of_column(flat);
    switch (flat->type->id) {
    case MR_TYPE_STRING:
    case MR_TYPE_JSON:
    case MR_TYPE_BINARY:
        put_bytes(&arg, row, self->out);
        break;
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        put_float(&arg, row, self->out);
        break;
    case MR_TYPE_DECIMAL:
        mr_json_put_decimal(mr_arg_decimal(&arg, row), flat->type->scale, self->out);
        break;
    case MR_TYPE_DATE:
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        put_time(self, &arg, row);
        break;
    case MR_TYPE_BOOL:
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
        mr_text_of(self->session, flat, row, self->out);
        break;
    default:
        mr_bytes_char(self->out, '"');
        mr_text_of(self->session, flat, row, self->out);
        mr_bytes_char(self->out, '"');
    }
}

static void put_value(const struct writer *self, const struct mr_column *column, int64_t row)
{
    const struct mr_column *flat;
    int64_t at;
    if (!mr_column_locate(column, row, &flat, &at))
        mr_bytes_text(self->out, "null");
    else if (flat->type->id == MR_TYPE_STRUCT)
        put_struct(self, flat, at);
    else if (mr_type_is_nested(flat->type))
        put_list(self, flat, at);
    else
        put_scalar(self, flat, at);
}

static enum mr_status bind_to_json(struct mr_binding *binding)
{
    static const char *const known[] = {"timestampFormat", "timestampNTZFormat", "dateFormat",
                                        "ignoreNullFields", NULL};
    struct mr_slice values[4] = {mr_slice_of("yyyy-MM-dd'T'HH:mm:ss[.SSS][XXX]"),
                                 mr_slice_of("yyyy-MM-dd'T'HH:mm:ss[.SSS]"),
                                 mr_slice_of("yyyy-MM-dd"), mr_slice_of("true")};
    struct layout *layout = mr_arena_calloc(binding->arena, 1, sizeof(*layout));
    const struct mr_type *type = binding->args[0]->type;
    enum mr_status status;
    char text[96];
    if (layout == NULL)
        return mr_error_nomem(binding->err);
    if (type->id == MR_TYPE_NULL)
        return mr_bind_null(binding, binding->type, &binding->replacement);
    if (!mr_type_is_nested(type))
        return mr_bind_fail(binding, 0, "%s is no struct, array or map",
                            mr_type_text(type, text, sizeof(text)));
    MR_TRY(mr_json_options(binding, 1, known, values));
    const struct mr_time_pattern **patterns[] = {&layout->timestamp, &layout->timestamp_ntz,
                                                 &layout->date};
    for (int i = 0; i < 3; i++) {
        struct mr_error err = {0};
        status = mr_time_pattern_compile(binding->arena, values[i], patterns[i], &err);
        if (status != MR_OK)
            return mr_bind_fail(binding, 1, "%s", err.message);
    }
    layout->keep_nulls = values[3].size == 5;
    binding->data = layout;
    return MR_OK;
}

static enum mr_status kernel_to_json(struct mr_call *call, struct mr_column **out)
{
    struct mr_json_state *state = mr_json_state_of(call);
    if (state == NULL)
        return MR_NOMEM;
    struct writer writer = {call->session, call->data, &state->out};
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        mr_bytes_clear(&state->out);
        put_value(&writer, call->args[0], row);
        result.status = mr_bytes_status(&state->out, call->err);
        mr_result_text(&result, row, state->out.data, state->out.size);
    }
    return mr_result_finish(&result, out);
}

static const struct mr_function functions[] = {
    {.names = "to_json",
     .args = "a?a",
     .result = "s",
     .flags = MR_FN_TOTAL | MR_FN_FIRST,
     .kernel = kernel_to_json,
     .bind = bind_to_json,
     .signature = "to_json(value[, map('option', 'value', ...)])",
     .family = "JSON",
     .doc = "A struct, array or map as JSON; NULL fields are left out. Options: timestampFormat, "
            "timestampNTZFormat, dateFormat, ignoreNullFields."},
};

const struct mr_function_family mr_functions_to_json = {functions,
                                                        sizeof(functions) / sizeof(functions[0])};
