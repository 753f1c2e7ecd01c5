/*
 * avro_json.c - defaults: a JSON value of a schema's text becomes Avro data of the field's type, once, when the schema is parsed.
 *
 * Resolution then decodes the default with the same plan as data of a file. The alternative, JSON kept beside the schema and
 * a second way from JSON into columns, would be a second place for every logical type.
 *
 *     {"type": ["null", "string"], "default": null}     00
 *     {"type": "bytes", "default": "\u00FF"}            02 FF      (code points are bytes)
 */
#include "enc/avro_json.h"

#include "base/text.h"
#include "enc/avro_wire.h"

#include <math.h>

static void put_long(struct mr_bytes *out, int64_t value)
{
    uint8_t text[MR_AVRO_LONG_MAX];
    mr_bytes_append(out, text, (size_t)(mr_avro_put_long(text, value) - text));
}

static void put_sized(struct mr_bytes *out, const void *data, size_t size)
{
    put_long(out, (int64_t)size);
    mr_bytes_append(out, data, size);
}

static bool encode_integer(const json_t *value, int64_t least, int64_t most, struct mr_bytes *out)
{
    if (!json_is_integer(value))
        return false;
    int64_t number = json_integer_value(value);
    put_long(out, number);
    return number >= least && number <= most;
}

static bool encode_number(const json_t *value, bool wide, struct mr_bytes *out)
{
    double number = json_number_value(value);
    if (json_is_string(value) &&
        !mr_text_to_double(mr_slice_of(json_string_value(value)), false, &number))
        return false;
    if (!json_is_number(value) && !json_is_string(value))
        return false;
    float narrow = (float)number;
    if (wide)
        mr_bytes_append(out, &number, sizeof number);
    else
        mr_bytes_append(out, &narrow, sizeof narrow);
    return true;
}

/* Code points 0 to 255 are bytes. `wanted` -1: any number of them, with the length in front. */
static bool encode_bytes(const json_t *value, int64_t wanted, struct mr_bytes *out)
{
    if (!json_is_string(value))
        return false;
    const char *at = json_string_value(value);
    size_t left = json_string_length(value);
    int64_t count = mr_utf8_length(at, left);
    if (wanted >= 0 && count != wanted)
        return false;
    if (wanted < 0)
        put_long(out, count);
    while (left > 0) {
        uint32_t point;
        int step = mr_utf8_decode(at, left, &point);
        if (step <= 0 || point > 0xFF)
            return false;
        mr_bytes_u8(out, (uint8_t)point);
        at += step;
        left -= (size_t)step;
    }
    return true;
}

static bool encode_record(const struct mr_avro_schema *schema, const json_t *value, int depth,
                          struct mr_bytes *out)
{
    if (!json_is_object(value))
        return false;
    for (int i = 0; i < schema->count; i++) {
        const struct mr_avro_field *field = &schema->fields[i];
        const json_t *item = json_object_get(value, field->name);
        if (item) {
            if (!mr_avro_encode_json(field->schema, item, depth + 1, out))
                return false;
        } else if (field->has_default && field->default_value.data) {
            mr_bytes_append(out, field->default_value.data, field->default_value.size);
        } else {
            return false;
        }
    }
    return true;
}

static bool encode_enum(const struct mr_avro_schema *schema, const json_t *value,
                        struct mr_bytes *out)
{
    for (int i = 0; json_is_string(value) && i < schema->count; i++) {
        if (strcmp(schema->symbols[i], json_string_value(value)) == 0) {
            put_long(out, i);
            return true;
        }
    }
    return false;
}

static bool encode_array(const struct mr_avro_schema *schema, const json_t *value, int depth,
                         struct mr_bytes *out)
{
    if (!json_is_array(value))
        return false;
    size_t count = json_array_size(value);
    if (count > 0)
        put_long(out, (int64_t)count);
    for (size_t i = 0; i < count; i++)
        if (!mr_avro_encode_json(schema->branches[0], json_array_get(value, i), depth + 1, out))
            return false;
    put_long(out, 0);
    return true;
}

static bool encode_map(const struct mr_avro_schema *schema, const json_t *value, int depth,
                       struct mr_bytes *out)
{
    if (!json_is_object(value))
        return false;
    if (json_object_size(value) > 0)
        put_long(out, (int64_t)json_object_size(value));
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)value, key, item)
    {
        put_sized(out, key, strlen(key));
        if (!mr_avro_encode_json(schema->branches[0], item, depth + 1, out))
            return false;
    }
    put_long(out, 0);
    return true;
}

/* The first branch that fits: 1.11 wants the first of all, 1.12 any. */
static bool encode_union(const struct mr_avro_schema *schema, const json_t *value, int depth,
                         struct mr_bytes *out)
{
    size_t start = out->size;
    for (int i = 0; i < schema->count; i++) {
        out->size = start;
        put_long(out, i);
        if (mr_avro_encode_json(schema->branches[i], value, depth + 1, out))
            return true;
    }
    return false;
}

bool mr_avro_encode_json(const struct mr_avro_schema *schema, const json_t *value, int depth,
                         struct mr_bytes *out)
{
    if (depth > MR_AVRO_MAX_DEPTH || out->status != MR_OK)
        return false;
    switch (schema->kind) {
    case MR_AVRO_NULL:
        return json_is_null(value);
    case MR_AVRO_BOOLEAN:
        mr_bytes_u8(out, json_is_true(value));
        return json_is_boolean(value);
    case MR_AVRO_INT:
        return encode_integer(value, INT32_MIN, INT32_MAX, out);
    case MR_AVRO_LONG:
        return encode_integer(value, INT64_MIN, INT64_MAX, out);
    case MR_AVRO_FLOAT:
    case MR_AVRO_DOUBLE:
        return encode_number(value, schema->kind == MR_AVRO_DOUBLE, out);
    case MR_AVRO_BYTES:
        return encode_bytes(value, -1, out);
    case MR_AVRO_STRING:
        if (json_is_string(value))
            put_sized(out, json_string_value(value), json_string_length(value));
        return json_is_string(value);
    case MR_AVRO_RECORD:
        return encode_record(schema, value, depth, out);
    case MR_AVRO_ENUM:
        return encode_enum(schema, value, out);
    case MR_AVRO_ARRAY:
        return encode_array(schema, value, depth, out);
    case MR_AVRO_MAP:
        return encode_map(schema, value, depth, out);
    case MR_AVRO_UNION:
        return encode_union(schema, value, depth, out);
    case MR_AVRO_FIXED:
        return encode_bytes(value, schema->size, out);
    }
    return false;
}
