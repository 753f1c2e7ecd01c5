/*
 * functions_time_text.c - dates and times to text and from text, by casts or by patterns.
 *
 * A constant pattern is compiled at bind; one that comes from a column is compiled when it changes. A text that does not match
 * fails the row: an error under ANSI, else NULL.
 */
#include "sql/coerce.h"
#include "sql/local_time.h"
#include "sql/text_of.h"
#include "sql/time_pattern.h"
#include "sql/unit.h"

static const char default_pattern[] = "yyyy-MM-dd HH:mm:ss";

/* Compiles the constant pattern at argument `at` (or the default one) into binding->data. */
static enum mr_status bind_pattern(struct mr_binding *binding, int at)
{
    struct mr_value text = {.u.bytes = mr_slice_of(default_pattern)};
    const struct mr_time_pattern *pattern = NULL;
    if (at < binding->nargs && (!mr_bind_constant(binding, at, &text) || text.is_null))
        return MR_OK;
    struct mr_error err = {0};
    enum mr_status status = mr_time_pattern_compile(binding->arena, text.u.bytes, &pattern, &err);
    if (status != MR_OK)
        return mr_bind_fail(binding, at < binding->nargs ? at : -1, "%s", err.message);
    binding->data = pattern;
    return MR_OK;
}

/* The pattern of a row when it is not constant: kept by the thread until it changes. */
struct pattern_state {
    struct mr_arena arena;
    char *text;
    size_t size;
    const struct mr_time_pattern *pattern;
};

static void release_pattern(void *state)
{
    mr_arena_reset(&((struct pattern_state *)state)->arena);
}

static enum mr_status pattern_of(struct mr_call *call, int at, int64_t row,
                                 const struct mr_time_pattern **out)
{
    *out = call->data;
    if (*out)
        return MR_OK;
    struct mr_arg arg = mr_arg_of(call, at);
    struct mr_slice text = mr_arg_text(&arg, row);
    struct pattern_state *state = mr_call_state(call, sizeof(*state), release_pattern);
    if (!state)
        return mr_error_nomem(call->err);
    if (!state->pattern || state->size != text.size || memcmp(state->text, text.data, text.size)) {
        struct mr_error err = {0};
        mr_arena_reset(&state->arena);
        state->pattern = NULL;
        state->text = mr_arena_strndup(&state->arena, text.data, text.size);
        state->size = text.size;
        if (!state->text)
            return mr_error_nomem(call->err);
        if (mr_time_pattern_compile(&state->arena, (struct mr_slice){state->text, text.size},
                                    &state->pattern, &err) != MR_OK)
            return mr_call_fail(call, "%s", err.message);
    }
    *out = state->pattern;
    return MR_OK;
}

/* One time as text through a pattern. */
static void format_row(struct mr_call *call, struct mr_result *result, int64_t row, int64_t local,
                       int64_t utc, int pattern_at, struct mr_bytes *text)
{
    const struct mr_time_pattern *pattern = NULL;
    if (result->status != MR_OK)
        return;
    result->status = pattern_of(call, pattern_at, row, &pattern);
    if (result->status != MR_OK)
        return;
    mr_bytes_clear(text);
    mr_time_pattern_format(pattern, call->session->tz, local, utc, text);
    result->status = mr_bytes_status(text, call->err);
    mr_result_text(result, row, text->data ? text->data : "", text->size);
}

static enum mr_status kernel_date_format(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg time = mr_arg_of(call, 0);
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 16);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t local = mr_local_micros(call->session, &time, row);
        int64_t utc = time.type->id == MR_TYPE_TIMESTAMP ? MR_ARG(time, int64_t, row)
                                                         : mr_tz_to_utc(call->session->tz, local);
        format_row(call, &result, row, local, utc, 1, &text);
    }
    mr_bytes_reset(&text);
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_from_unixtime(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg seconds = mr_arg_of(call, 0);
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 16);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t utc;
        if (__builtin_mul_overflow(MR_ARG(seconds, int64_t, row), MR_MICROS_PER_SECOND, &utc) &&
            call->failure != MR_FAIL_WRAP) {
            mr_result_fail(&result, row, "timestamp overflow");
            continue;
        }
        format_row(call, &result, row, mr_tz_to_local(call->session->tz, utc), utc, 1, &text);
    }
    mr_bytes_reset(&text);
    return mr_result_finish(&result, out);
}

static enum mr_status bind_second_pattern(struct mr_binding *binding)
{
    if (mr_type_is_datetime(binding->args[0]->type))
        MR_TRY(mr_bind_cast(binding, 0, mr_type_of(MR_TYPE_TIMESTAMP)));
    return bind_pattern(binding, 1);
}

/* A text read through a pattern as an instant; false: the row was failed. */
static bool parse_row(struct mr_call *call, struct mr_result *result, int64_t row,
                      struct mr_slice text, int64_t *utc)
{
    const struct mr_time_pattern *pattern = NULL;
    bool zoned = false;
    if (result->status == MR_OK)
        result->status = pattern_of(call, 1, row, &pattern);
    if (result->status != MR_OK)
        return false;
    if (mr_time_pattern_unreadable(pattern)) {
        result->status = mr_call_fail(call, "the letter %c is for writing times only",
                                      mr_time_pattern_unreadable(pattern));
        return false;
    }
    if (!mr_time_pattern_parse(pattern, text, utc, &zoned)) {
        mr_result_fail_value(result, row, text, "a text that does not match the pattern");
        return false;
    }
    if (!zoned)
        *utc = mr_tz_to_utc(call->session->tz, *utc);
    return true;
}

static enum mr_status kernel_to_timestamp(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t utc = 0;
        if (!parse_row(call, &result, row, mr_arg_text(&x, row), &utc))
            continue;
        if (call->type->id == MR_TYPE_TIMESTAMP_NTZ)
            utc = mr_tz_to_local(call->session->tz, utc);
        MR_SET(&result, int64_t, row, utc);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_to_date(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t utc = 0;
        if (parse_row(call, &result, row, mr_arg_text(&x, row), &utc))
            MR_SET(&result, int32_t, row,
                   (int32_t)mr_floor_divide(mr_tz_to_local(call->session->tz, utc),
                                            MR_MICROS_PER_DAY));
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_text_to_unix(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t utc = 0;
        if (parse_row(call, &result, row, mr_arg_text(&x, row), &utc))
            MR_SET(&result, int64_t, row, utc / MR_MICROS_PER_SECOND);
    }
    return mr_result_finish(&result, out);
}

/*
 * to_date(x) and to_timestamp(x): the cast. With a pattern, what is a time already is cast as well. Anything else goes by way
 * of its text, but for numbers, which are seconds of an instant.
 */
static enum mr_status bind_to(struct mr_binding *binding, const struct mr_type *type, bool try_cast)
{
    const struct mr_type *from = binding->args[0]->type;
    bool instant = mr_type_is_numeric(from) && type->id == MR_TYPE_TIMESTAMP;
    bool time = mr_type_is_datetime(from) || from->id == MR_TYPE_NULL;
    if (mr_type_is_nested(from) || (instant && binding->nargs > 1)) {
        char text[96];
        return mr_bind_fail(binding, 0, "%s is no time", mr_type_text(from, text, sizeof(text)));
    }
    binding->type = type;
    if (!instant && !time)
        MR_TRY(mr_bind_cast(binding, 0, mr_type_of(MR_TYPE_STRING)));
    if (binding->nargs > 1 && !time)
        return bind_pattern(binding, 1);
    return mr_unit_cast(binding->binder, binding->args[0], type, true, try_cast, binding->position,
                        &binding->replacement);
}

/* date(x), timestamp(x): CAST. */
static enum mr_status bind_date(struct mr_binding *binding)
{
    return mr_unit_cast(binding->binder, binding->args[0], mr_type_of(MR_TYPE_DATE), false, false,
                        binding->position, &binding->replacement);
}

static enum mr_status bind_timestamp(struct mr_binding *binding)
{
    return mr_unit_cast(binding->binder, binding->args[0], mr_type_of(MR_TYPE_TIMESTAMP), false,
                        false, binding->position, &binding->replacement);
}

static enum mr_status bind_to_date(struct mr_binding *binding)
{
    return bind_to(binding, mr_type_of(MR_TYPE_DATE), false);
}

static enum mr_status bind_to_timestamp(struct mr_binding *binding)
{
    return bind_to(binding, mr_type_of(MR_TYPE_TIMESTAMP), false);
}

static enum mr_status bind_to_timestamp_ntz(struct mr_binding *binding)
{
    return bind_to(binding, mr_type_of(MR_TYPE_TIMESTAMP_NTZ), false);
}

static enum mr_status bind_try_to_timestamp(struct mr_binding *binding)
{
    return bind_to(binding, mr_type_of(MR_TYPE_TIMESTAMP), true);
}

/* unix_timestamp: now, or a text through a pattern, or unix_seconds of a time. */
static enum mr_status bind_unix_timestamp(struct mr_binding *binding)
{
    const struct mr_type *type = binding->nargs > 0 ? binding->args[0]->type : NULL;
    if (type && mr_type_is_string(type))
        return bind_pattern(binding, 1);
    if (type && !mr_type_is_datetime(type) && type->id != MR_TYPE_NULL)
        return mr_bind_fail(binding, 0, "it takes a text or a time");
    if (type && type->id == MR_TYPE_TIMESTAMP_NTZ)
        return mr_bind_call(binding, "__field_seconds", 1, binding->args, &binding->replacement);
    if (type)
        return mr_bind_call(binding, "__whole_seconds", 1, binding->args, &binding->replacement);
    struct mr_node **now = mr_arena_calloc(binding->arena, 1, sizeof(*now));
    if (!now)
        return mr_error_nomem(binding->err);
    MR_TRY(mr_bind_call(binding, "current_timestamp", 0, NULL, now));
    return mr_bind_call(binding, "unix_seconds", 1, now, &binding->replacement);
}

#define TIME(names_, args_, result_, kernel_, bind_, signature_, doc_)                             \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = MR_FN_MAY_NULL,                \
        .kernel = kernel_, .bind = bind_, .signature = signature_, .family = "date and time",      \
        .doc = doc_                                                                                \
    }

static const struct mr_function functions[] = {
    TIME("date_format", "ts", "s", kernel_date_format, bind_second_pattern,
         "date_format(time, pattern)", "As text by a datetime pattern."),
    TIME("from_unixtime", "l?s", "s", kernel_from_unixtime, bind_second_pattern,
         "from_unixtime(seconds[, pattern])",
         "Seconds since 1970-01-01 00:00:00 UTC as text in the session's time zone."),
    TIME("to_date", "a?s", "D", kernel_to_date, bind_to_date, "to_date(text[, pattern])",
         "A date, by CAST or by a datetime pattern."),
    TIME("to_timestamp", "a?s", "T", kernel_to_timestamp, bind_to_timestamp,
         "to_timestamp(text[, pattern])", "A timestamp, by CAST or by a datetime pattern."),
    TIME("to_timestamp_ltz", "a?s", "T", kernel_to_timestamp, bind_to_timestamp,
         "to_timestamp_ltz(text[, pattern])", "The same."),
    TIME("to_timestamp_ntz", "a?s", "!", kernel_to_timestamp, bind_to_timestamp_ntz,
         "to_timestamp_ntz(text[, pattern])", "A timestamp without zone."),
    TIME("date", "a", "D", mr_kernel_replaced, bind_date, "date(value)", "CAST(value AS DATE)."),
    TIME("timestamp", "a", "T", mr_kernel_replaced, bind_timestamp, "timestamp(value)",
         "CAST(value AS TIMESTAMP)."),
    {.names = "try_to_timestamp",
     .args = "a?s",
     .result = "T",
     .flags = MR_FN_MAY_NULL | MR_FN_TRY,
     .kernel = kernel_to_timestamp,
     .bind = bind_try_to_timestamp,
     .signature = "try_to_timestamp(text[, pattern])",
     .family = "date and time",
     .doc = "The same, NULL where the text is no timestamp."},
    TIME("unix_timestamp to_unix_timestamp", "?as!", "l", kernel_text_to_unix, bind_unix_timestamp,
         "unix_timestamp([time[, pattern]])",
         "Whole seconds since 1970-01-01 00:00:00 UTC of a time, of a text, or of now."),
};

const struct mr_function_family mr_functions_time_text = {functions,
                                                          sizeof(functions) / sizeof(functions[0])};
