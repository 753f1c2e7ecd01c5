/*
 * cast_text.c - CAST to and from STRING, JSON and BINARY.
 */
#include "base/text.h"
#include "base/time.h"
#include "sql/cast.h"
#include "sql/cast_kernels.h"
#include "sql/coerce.h"
#include "sql/interval.h"
#include "sql/text_of.h"

enum mr_status mr_cast_to_text(struct mr_call *call, struct mr_column **out)
{
    struct mr_result result;
    struct mr_bytes text;
    struct mr_sql_session session = *call->session;
    session.ansi |= call->failure == MR_FAIL_NULL; /* TRY_CAST is ANSI's */
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        mr_bytes_clear(&text);
        mr_text_of(&session, call->args[0], row, &text);
        result.status = mr_bytes_status(&text, call->err);
        mr_result_text(&result, row, text.data, text.size);
    }
    mr_bytes_reset(&text);
    return mr_result_finish(&result, out);
}

enum mr_status mr_cast_retype(struct mr_call *call, struct mr_column **out)
{
    struct mr_column *flat;
    MR_TRY(mr_column_flatten(call->memory, call->args[0], &flat, call->err));
    enum mr_status status = mr_column_retype(flat, call->type, out, call->err);
    mr_column_unref(flat);
    return status;
}

/* The last zone named in a text, so that a column of "... Europe/Berlin" loads it once. */
struct zone_cache {
    char name[64];
    struct mr_tz *tz;
};

static void release_zone(void *state)
{
    mr_tz_free(((struct zone_cache *)state)->tz);
}

static enum mr_status zone_of(struct mr_call *call, struct mr_slice name, const struct mr_tz **out)
{
    struct zone_cache *cache = mr_call_state(call, sizeof(*cache), release_zone);
    *out = NULL;
    if (cache == NULL)
        return mr_error_nomem(call->err);
    if (name.size >= sizeof(cache->name))
        return MR_OK;
    if (cache->tz == NULL || strlen(cache->name) != name.size ||
        memcmp(cache->name, name.data, name.size) != 0) {
        struct mr_tz *tz;
        char text[sizeof(cache->name)];
        memcpy(text, name.data, name.size);
        text[name.size] = '\0';
        enum mr_status status = mr_tz_new(text, &tz, NULL);
        if (status != MR_OK)
            return status == MR_NOMEM ? mr_error_nomem(call->err) : MR_OK;
        mr_tz_free(cache->tz);
        cache->tz = tz;
        memcpy(cache->name, text, sizeof(text));
    }
    *out = cache->tz;
    return MR_OK;
}

/* Text to an instant: the text's own zone, else the session's. *ok false: it is no timestamp. */
enum mr_status mr_text_to_instant(struct mr_call *call, struct mr_slice text, int64_t *micros,
                                  bool *ok)
{
    struct mr_slice name;
    int32_t offset;
    const struct mr_tz *tz = call->session->tz;
    *ok = mr_text_to_local(text, micros, &name);
    if (!*ok)
        return MR_OK;
    if (name.size > 0 && mr_zone_offset(name, &offset)) {
        *ok = !__builtin_sub_overflow(*micros, offset * MR_MICROS_PER_SECOND, micros);
        return MR_OK;
    }
    if (name.size > 0) {
        MR_TRY(zone_of(call, name, &tz));
        *ok = tz != NULL;
    }
    if (*ok && tz != NULL)
        *micros = mr_tz_to_utc(tz, *micros);
    return MR_OK;
}

/* Text to local fields; the zone is not used, but must be one. */
static enum mr_status parse_local(struct mr_call *call, struct mr_slice text, int64_t *local,
                                  bool *ok)
{
    struct mr_slice name;
    int32_t offset;
    const struct mr_tz *tz;
    *ok = mr_text_to_local(text, local, &name);
    if (!*ok || name.size == 0 || mr_zone_offset(name, &offset))
        return MR_OK;
    MR_TRY(zone_of(call, name, &tz));
    *ok = tz != NULL;
    return MR_OK;
}

static bool parse_integer(struct mr_call *call, struct mr_slice text, void *out)
{
    static const int64_t limits[] = {INT8_MAX, INT16_MAX, INT32_MAX, INT64_MAX};
    int64_t value, limit = limits[call->type->id - MR_TYPE_INT8];
    if (!mr_text_to_integer(text, call->failure == MR_FAIL_WRAP, &value) || value > limit ||
        value < -limit - 1)
        return false;
    memcpy(out, &value, (size_t)mr_layout_width(mr_type_layout(call->type)));
    return true;
}

static bool parse_float(struct mr_call *call, struct mr_slice text, void *out)
{
    double value;
    float single;
    if (!mr_text_to_number(text, &value))
        return false;
    single = (float)value;
    if (call->type->id == MR_TYPE_FLOAT32)
        memcpy(out, &single, sizeof(single));
    else
        memcpy(out, &value, sizeof(value));
    return true;
}

static bool parse_decimal(struct mr_call *call, struct mr_slice text, void *out)
{
    mr_int128 value;
    text = mr_text_trim(text);
    if (!mr_decimal_parse(text.data, text.size, call->type->precision, call->type->scale, &value))
        return false;
    memcpy(out, &value, call->type->precision <= MR_DECIMAL64_PRECISION ? 8 : 16);
    return true;
}

/* One text to the fixed-width slot `out`. *ok false: it is not of that type. */
static enum mr_status parse_one(struct mr_call *call, struct mr_slice text, void *out, bool *ok)
{
    switch (call->type->id) {
    case MR_TYPE_BOOL:
        *ok = mr_text_to_bool(text, out);
        break;
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
        *ok = parse_integer(call, text, out);
        break;
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        *ok = parse_float(call, text, out);
        break;
    case MR_TYPE_DECIMAL:
        *ok = parse_decimal(call, text, out);
        break;
    case MR_TYPE_DATE:
        *ok = mr_text_to_date(text, out);
        break;
    case MR_TYPE_TIME:
        *ok = mr_text_to_time(text, out);
        break;
    case MR_TYPE_TIMESTAMP:
        return mr_text_to_instant(call, text, out, ok);
    case MR_TYPE_TIMESTAMP_NTZ:
        return parse_local(call, text, out, ok);
    case MR_TYPE_INTERVAL:
        *ok = mr_interval_parse(text.data, text.size, out);
        break;
    case MR_TYPE_UUID:
        *ok = mr_text_to_uuid(text, out);
        break;
    default:
        return mr_error_internal(call->err, "no cast from text to this type");
    }
    return MR_OK;
}

enum mr_status mr_cast_from_text(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg arg = mr_arg_of(call, 0);
    struct mr_result result;
    int width = mr_layout_width(mr_type_layout(call->type));
    char type[64];
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text;
        bool ok = false;
        if (result.status != MR_OK)
            break;
        text = mr_arg_text(&arg, row);
        result.status = parse_one(call, text, result.values->data + row * width, &ok);
        if (ok || result.status != MR_OK)
            continue;
        memset(result.values->data + row * width, 0, (size_t)width);
        bool null = mr_cast_may_null(arg.type, call->type);
        if (call->failure == MR_FAIL_RAISE && !null)
            mr_result_fail_value(&result, row, text, "a text that is no %s",
                                 mr_type_text(call->type, type, sizeof(type)));
        else
            mr_result_null(&result, row);
    }
    return mr_result_finish(&result, out);
}

enum mr_status mr_cast_binary(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg arg = mr_arg_of(call, 0);
    struct mr_result result;
    bool from_uuid = arg.type->id == MR_TYPE_UUID, to_uuid = call->type->id == MR_TYPE_UUID;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        if (from_uuid) {
            mr_result_text(&result, row, (const char *)arg.values + (row & arg.mask) * 16, 16);
            continue;
        }
        struct mr_slice bytes = mr_arg_text(&arg, row);
        if (to_uuid && bytes.size == 16)
            memcpy(result.values->data + row * 16, bytes.data, 16);
        else if (!to_uuid && mr_utf8_valid_prefix(bytes.data, bytes.size) == bytes.size)
            mr_result_text(&result, row, bytes.data, bytes.size);
        else
            mr_result_fail(&result, row,
                           to_uuid ? "a uuid has 16 bytes" : "the bytes are not UTF-8 text");
    }
    return mr_result_finish(&result, out);
}
