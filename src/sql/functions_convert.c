/*
 * functions_convert.c - casts written as calls (int(x), string(x)), and bytes from texts in some format.
 */
#include "enc/value_text.h"
#include "sql/coerce.h"
#include "sql/unit.h"

static const struct {
    const char *name;
    enum mr_type_id id;
} targets[] = {
    {"boolean", MR_TYPE_BOOL},   {"tinyint", MR_TYPE_INT8},        {"smallint", MR_TYPE_INT16},
    {"int", MR_TYPE_INT32},      {"bigint", MR_TYPE_INT64},        {"float", MR_TYPE_FLOAT32},
    {"double", MR_TYPE_FLOAT64}, {"string", MR_TYPE_STRING},       {"binary", MR_TYPE_BINARY},
    {"date", MR_TYPE_DATE},      {"timestamp", MR_TYPE_TIMESTAMP}, {"decimal", MR_TYPE_DECIMAL},
};

static enum mr_status bind_convert(struct mr_binding *binding)
{
    const char *name = binding->function->names;
    const struct mr_type *type = NULL;
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        if (strcmp(targets[i].name, name) == 0 && targets[i].id != MR_TYPE_DECIMAL)
            type = mr_type_of(targets[i].id);
    }
    if (type == NULL)
        type = mr_type_decimal(binding->arena, 10, 0);
    if (type == NULL)
        return mr_error_nomem(binding->err);
    return mr_unit_cast(binding->binder, binding->args[0], type, false, false, binding->position,
                        &binding->replacement);
}

/* try_to_binary('zz', 'hex') and the like are decided by the constant format. */
static bool named(struct mr_slice text, const char *name)
{
    for (size_t i = 0; i < text.size; i++) {
        if (name[i] == '\0' || (text.data[i] | 32) != (name[i] | 32))
            return false;
    }
    return name[text.size] == '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int64_t from_hex(struct mr_slice text, unsigned char *to)
{
    size_t odd = text.size % 2;
    memset(to, 0, (text.size + 1) / 2);
    for (size_t i = 0; i < text.size; i++) {
        int digit = hex_digit(text.data[i]);
        if (digit < 0)
            return -1;
        to[(i + odd) / 2] = (unsigned char)(to[(i + odd) / 2] << 4 | digit);
    }
    return (int64_t)(text.size + 1) / 2;
}

/* Strict: padding where it belongs or none, blanks passed over, nothing else. */
static int64_t from_base64(struct mr_slice text, unsigned char *to)
{
    uint32_t bits = 0;
    size_t digits = 0, padding = 0, made = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        int digit = mr_base64_digit(c);
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
            continue;
        if (c == '=') {
            padding++;
            continue;
        }
        if (digit < 0 || padding > 0)
            return -1;
        bits = bits << 6 | (uint32_t)digit;
        if (digits++ % 4 > 0)
            to[made++] = (unsigned char)(bits >> (6 - 2 * ((digits - 1) % 4)));
    }
    bool good = digits % 4 == 0 ? padding == 0
                                : digits % 4 > 1 && (padding == 0 || padding == 4 - digits % 4);
    return good ? (int64_t)made : -1;
}

static enum mr_status bind_to_binary(struct mr_binding *binding)
{
    struct mr_value format = {0};
    if (binding->nargs < 2)
        return MR_OK;
    if (!mr_bind_constant(binding, 1, &format))
        return mr_bind_fail(binding, 1, "the format is a constant");
    if (format.is_null || named(format.u.bytes, "hex") || named(format.u.bytes, "base64") ||
        named(format.u.bytes, "utf-8") || named(format.u.bytes, "utf8"))
        return MR_OK;
    return mr_bind_fail(binding, 1, "the format is 'hex', 'base64' or 'utf-8'");
}

static enum mr_status kernel_to_binary(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), format = mr_arg_of(call, call->nargs - 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row), how = mr_slice_of("hex");
        if (call->nargs > 1)
            how = mr_arg_text(&format, row);
        unsigned char *to = (unsigned char *)mr_result_reserve(&result, text.size + 1);
        if (to == NULL)
            break;
        int64_t size;
        if (named(how, "hex")) {
            size = from_hex(text, to);
        } else if (named(how, "base64")) {
            size = from_base64(text, to);
        } else {
            if (text.size)
                memcpy(to, text.data, text.size);
            size = (int64_t)text.size;
        }
        if (size >= 0)
            mr_result_commit(&result, row, (size_t)size);
        else if (call->failure == MR_FAIL_NULL)
            mr_result_null(&result, row);
        else if (result.status == MR_OK) /* whatever the ANSI mode, as in Spark */
            result.status = mr_call_fail(call, "a text that is not in this format");
    }
    return mr_result_finish(&result, out);
}

#define CONVERT(name)                                                                              \
    {                                                                                              \
        .names = name, .args = "a", .result = "!", .kernel = mr_kernel_replaced,                   \
        .bind = bind_convert, .signature = name "(value)", .family = "conversion",                 \
        .doc = "CAST(value AS " name ")."                                                          \
    }
#define ROW(names_, args_, result_, flags_, kernel_, bind_, family_, signature_, doc_)             \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = flags_, .kernel = kernel_,     \
        .bind = bind_, .signature = signature_, .family = family_, .doc = doc_                     \
    }

static const struct mr_function functions[] = {
    CONVERT("boolean"),
    CONVERT("tinyint"),
    CONVERT("smallint"),
    CONVERT("int"),
    CONVERT("bigint"),
    CONVERT("decimal"),
    CONVERT("float"),
    CONVERT("double"),
    CONVERT("string"),
    CONVERT("binary"),
    CONVERT("date"),
    CONVERT("timestamp"),
    ROW("to_binary", "s?s", "b", 0, kernel_to_binary, bind_to_binary, "conversion",
        "to_binary(text[, format])",
        "The bytes of a text in 'hex' (the default), 'base64' or "
        "'utf-8'."),
    ROW("try_to_binary", "s?s", "b", MR_FN_TRY, kernel_to_binary, bind_to_binary, "conversion",
        "try_to_binary(text[, format])", "The same, NULL where the text is not in the format."),
};

const struct mr_function_family mr_functions_convert = {functions,
                                                        sizeof(functions) / sizeof(functions[0])};
