/*
 * value_text.c - numbers, dates and other short values as text.
 *
 * One switch over types serves JSON and CSV; both add quotes as they need. Values are written into a caller's buffer of
 * bounded size, so that a row costs no allocation and no length check per character.
 */
#include "enc/value_text.h"

#include "base/text.h"
#include "base/time.h"

#include <assert.h>

bool mr_value_text_bounded(const struct mr_type *type)
{
    switch (type->id) {
    case MR_TYPE_STRING:
    case MR_TYPE_JSON:
    case MR_TYPE_BINARY:
    case MR_TYPE_LIST:
    case MR_TYPE_STRUCT:
    case MR_TYPE_MAP:
        return false;
    default:
        return true;
    }
}

static int put_int(int64_t value, char *out)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343"
        "53637383940414243444546474849505152535455565758596061626364656667686970"
        "71727374757677787980818283848586878889909192939495969798"
        "99";
    char digits[20];
    int at = 20;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    while (rest >= 100) {
        memcpy(digits + (at -= 2), pairs + 2 * (rest % 100), 2);
        rest /= 100;
    }
    if (rest >= 10)
        memcpy(digits + (at -= 2), pairs + 2 * rest, 2);
    else
        digits[--at] = (char)('0' + rest);
    char *end = out;
    if (value < 0)
        *end++ = '-';
    memcpy(end, digits + at, (size_t)(20 - at));
    return (int)(end - out) + 20 - at;
}

static char *put_part(char *out, int64_t value, char unit)
{
    if (value == 0)
        return out;
    out += put_int(value, out);
    *out++ = unit;
    return out;
}

/* ISO 8601 duration; every part carries its own sign, as PostgreSQL and java.time write it. */
static int put_interval(const struct mr_interval *interval, char *out)
{
    char *end = out;
    *end++ = 'P';
    end = put_part(end, interval->months / 12, 'Y');
    end = put_part(end, interval->months % 12, 'M');
    end = put_part(end, interval->days, 'D');
    int64_t micros = interval->micros;
    if (micros != 0 || end == out + 1) {
        *end++ = 'T';
        end = put_part(end, micros / INT64_C(3600000000), 'H');
        end = put_part(end, micros / 60000000 % 60, 'M');
        int64_t second = micros % 60000000;
        if (second != 0 || end[-1] == 'T') {
            if (second < 0)
                *end++ = '-';
            second = second < 0 ? -second : second;
            end += put_int(second / 1000000, end);
            int fraction = (int)(second % 1000000);
            if (fraction)
                *end++ = '.';
            for (int unit = 100000; fraction; fraction %= unit, unit /= 10)
                *end++ = (char)('0' + fraction / unit);
            *end++ = 'S';
        }
    }
    return (int)(end - out);
}

static int put_uuid(const uint8_t *bytes, char *out)
{
    static const char hex[] = "0123456789abcdef";
    char *end = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *end++ = '-';
        *end++ = hex[bytes[i] >> 4];
        *end++ = hex[bytes[i] & 15];
    }
    return (int)(end - out);
}

static int put_decimal(const struct mr_column *flat, int64_t row, char *out)
{
    mr_int128 value;
    if (mr_type_layout(flat->type) == MR_LAYOUT_I128)
        memcpy(&value, flat->values->data + row * 16, 16);
    else
        value = ((const int64_t *)(const void *)flat->values->data)[row];
    return mr_decimal_format(value, flat->type->scale, out);
}

int mr_value_text_put(const struct mr_column *flat, int64_t row, char out[MR_VALUE_TEXT_MAX])
{
    const void *values = flat->values ? flat->values->data : NULL;
    switch (flat->type->id) {
    case MR_TYPE_BOOL:
        memcpy(out, ((const uint8_t *)values)[row] ? "true" : "false", 5);
        return ((const uint8_t *)values)[row] ? 4 : 5;
    case MR_TYPE_INT8:
        return put_int(((const int8_t *)values)[row], out);
    case MR_TYPE_INT16:
        return put_int(((const int16_t *)values)[row], out);
    case MR_TYPE_INT32:
        return put_int(((const int32_t *)values)[row], out);
    case MR_TYPE_INT64:
        return put_int(((const int64_t *)values)[row], out);
    case MR_TYPE_FLOAT32:
        return mr_float_to_text(((const float *)values)[row], out);
    case MR_TYPE_FLOAT64:
        return mr_double_to_json(((const double *)values)[row], out);
    case MR_TYPE_DECIMAL:
        return put_decimal(flat, row, out);
    case MR_TYPE_DATE:
        return mr_date_format(((const int32_t *)values)[row], out);
    case MR_TYPE_TIME:
        return mr_time_of_day_format(((const int64_t *)values)[row], out);
    case MR_TYPE_TIMESTAMP: {
        int length = mr_timestamp_format(((const int64_t *)values)[row], 'T', out);
        out[length] = 'Z';
        return length + 1;
    }
    case MR_TYPE_TIMESTAMP_NTZ:
        return mr_timestamp_format(((const int64_t *)values)[row], 'T', out);
    case MR_TYPE_INTERVAL:
        return put_interval((const struct mr_interval *)values + row, out);
    case MR_TYPE_UUID:
        return put_uuid((const uint8_t *)values + row * 16, out);
    default:
        assert(!"a type of bounded text");
        return 0;
    }
}

void mr_base64_append(struct mr_bytes *out, const void *data, size_t size)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = data;
    size_t length = (size + 2) / 3 * 4;
    char *to = mr_bytes_reserve(out, length);
    if (!to)
        return;
    for (size_t i = 0; i < size; i += 3) {
        uint32_t word = (uint32_t)in[i] << 16;
        word |= i + 1 < size ? (uint32_t)in[i + 1] << 8 : 0;
        word |= i + 2 < size ? in[i + 2] : 0;
        *to++ = alphabet[word >> 18];
        *to++ = alphabet[word >> 12 & 63];
        *to++ = i + 1 < size ? alphabet[word >> 6 & 63] : '=';
        *to++ = i + 2 < size ? alphabet[word & 63] : '=';
    }
    out->size += length;
}
