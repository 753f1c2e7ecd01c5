/*
 * avro_leaf.c - plans of scalars: what is on the wire, what the reader's schema calls it, what the column is.
 *
 * By the specification logical types do not take part in resolution. Where both sides name a time, or both a decimal, the writer's
 * unit or scale is believed all the same: reading timestamp-millis with a schema of timestamp-micros gives the instant, not
 * one a thousand times too early. Where only the reader names one, its unit holds.
 */
#include "enc/avro_resolve.h"

#define MICROS_PER_DAY INT64_C(86400000000)

static bool is_moment(enum mr_avro_logical logical)
{
    return logical >= MR_AVRO_TIMESTAMP_MILLIS && logical <= MR_AVRO_LOCAL_NANOS;
}

static bool is_time(enum mr_avro_logical logical)
{
    return logical == MR_AVRO_TIME_MILLIS || logical == MR_AVRO_TIME_MICROS;
}

static enum mr_avro_logical unit_of(const struct avro_value *value)
{
    enum mr_avro_logical writer = value->writer->logical, reader = value->reader->logical;
    bool both = (is_moment(writer) && is_moment(reader)) || (is_time(writer) && is_time(reader));
    return both ? writer : reader;
}

static void use_unit(struct avro_node *node, enum mr_avro_logical unit)
{
    bool millis = unit == MR_AVRO_TIME_MILLIS || unit == MR_AVRO_TIMESTAMP_MILLIS ||
                  unit == MR_AVRO_LOCAL_MILLIS;
    bool nanos = unit == MR_AVRO_TIMESTAMP_NANOS || unit == MR_AVRO_LOCAL_NANOS;
    node->op = nanos ? AVRO_NANOS : AVRO_SCALED;
    node->factor = millis ? 1000 : 1;
    node->time = is_time(unit);
    if (node->factor == 1 && !nanos && !node->time)
        node->op = AVRO_I64;
}

/* An int or a long on the wire. False: not into such a column. */
static bool plan_varint(const struct avro_value *value, struct avro_node *node)
{
    enum mr_avro_kind kind = value->reader->kind;
    enum mr_avro_logical unit = unit_of(value);
    node->narrow = value->writer->kind == MR_AVRO_INT;
    bool integer = unit == MR_AVRO_PLAIN && (kind == MR_AVRO_INT || kind == MR_AVRO_LONG);
    switch (value->type->id) {
    case MR_TYPE_DATE:
        node->op = AVRO_I32;
        return unit == MR_AVRO_DATE;
    case MR_TYPE_INT32:
        node->op = AVRO_I32;
        return integer && kind == MR_AVRO_INT;
    case MR_TYPE_INT64:
        node->op = AVRO_I64;
        return integer;
    case MR_TYPE_DECIMAL:
        node->op = AVRO_VARINT_DECIMAL;
        node->shift = value->type->scale;
        return integer &&
               value->type->precision - value->type->scale >= (kind == MR_AVRO_INT ? 10 : 19);
    case MR_TYPE_FLOAT32:
        node->op = AVRO_VARINT_F32;
        return kind == MR_AVRO_FLOAT;
    case MR_TYPE_FLOAT64:
        node->op = kind == MR_AVRO_FLOAT ? AVRO_VARINT_F32_F64 : AVRO_VARINT_F64;
        return kind == MR_AVRO_FLOAT || kind == MR_AVRO_DOUBLE || (integer && kind == MR_AVRO_INT);
    case MR_TYPE_TIME:
        use_unit(node, unit);
        return is_time(unit);
    case MR_TYPE_TIMESTAMP:
        use_unit(node, unit);
        return unit >= MR_AVRO_TIMESTAMP_MILLIS && unit <= MR_AVRO_LOCAL_NANOS &&
               value->reader->logical <= MR_AVRO_TIMESTAMP_NANOS;
    case MR_TYPE_TIMESTAMP_NTZ:
        if (unit == MR_AVRO_DATE) {
            node->op = AVRO_SCALED;
            node->factor = MICROS_PER_DAY;
            return true;
        }
        use_unit(node, unit);
        return is_moment(unit) && value->reader->logical >= MR_AVRO_LOCAL_MILLIS;
    default:
        return false;
    }
}

static bool plan_float(const struct avro_value *value, struct avro_node *node)
{
    bool wide = value->writer->kind == MR_AVRO_DOUBLE;
    if (value->type->id == MR_TYPE_FLOAT32)
        node->op = AVRO_F32;
    else
        node->op = wide ? AVRO_F64 : AVRO_F32_F64;
    return value->type->id == MR_TYPE_FLOAT64 || (value->type->id == MR_TYPE_FLOAT32 && !wide);
}

static bool plan_decimal(const struct avro_value *value, struct avro_node *node)
{
    const struct mr_avro_schema *scaled =
        value->writer->logical == MR_AVRO_DECIMAL ? value->writer : value->reader;
    node->op = value->writer->kind == MR_AVRO_FIXED ? AVRO_DECIMAL_RAW : AVRO_DECIMAL;
    node->size = value->writer->size;
    node->shift = value->type->scale - scaled->scale;
    return value->type->id == MR_TYPE_DECIMAL && node->shift >= 0 &&
           value->type->precision - value->type->scale >= scaled->precision - scaled->scale;
}

/* string, bytes and fixed on the wire. */
static bool plan_bytes(const struct avro_value *value, struct avro_node *node)
{
    enum mr_avro_kind writer = value->writer->kind, reader = value->reader->kind;
    bool fixed = writer == MR_AVRO_FIXED;
    node->size = value->writer->size;
    if (value->reader->logical == MR_AVRO_DECIMAL && writer != MR_AVRO_STRING)
        return plan_decimal(value, node);
    switch (value->type->id) {
    case MR_TYPE_STRING:
    case MR_TYPE_JSON:
        node->op = AVRO_TEXT;
        return reader == MR_AVRO_STRING && !fixed;
    case MR_TYPE_BINARY:
        node->op = fixed ? AVRO_RAW : AVRO_BYTES;
        if (reader == MR_AVRO_FIXED && !fixed) {
            node->op = AVRO_BYTES_RAW;
            node->size = value->reader->size;
        }
        return reader == MR_AVRO_BYTES || reader == MR_AVRO_FIXED;
    case MR_TYPE_UUID:
        node->op = fixed ? AVRO_UUID_RAW : AVRO_UUID_TEXT;
        return value->reader->logical == MR_AVRO_UUID;
    case MR_TYPE_INTERVAL:
        node->op = AVRO_DURATION;
        return fixed && value->reader->logical == MR_AVRO_DURATION;
    default:
        return false;
    }
}

/* The writer's symbols by index; those that the reader lacks become its default, or fail when they come. */
static enum mr_status plan_enum(struct avro_compiler *compiler, const struct avro_value *value,
                                struct avro_node *node)
{
    const struct mr_avro_schema *writer = value->writer, *reader = value->reader;
    bool text = writer->kind == MR_AVRO_STRING;
    const struct mr_avro_schema *from = text ? reader : writer;
    struct mr_slice *symbols =
        mr_arena_calloc(compiler->arena, (size_t)from->count + 1, sizeof *symbols);
    struct mr_map known;
    if (!symbols)
        return mr_error_nomem(compiler->err);
    mr_map_init(&known, false);
    enum mr_status status = MR_OK;
    for (int i = 0; status == MR_OK && i < reader->count; i++)
        status = mr_map_put(&known, mr_slice_of(reader->symbols[i]), (void *)(intptr_t)(i + 1),
                            compiler->err);
    if (reader->default_symbol >= 0)
        node->fallback = mr_slice_of(reader->symbols[reader->default_symbol]);
    for (int i = 0; i < from->count; i++) {
        struct mr_slice name = mr_slice_of(from->symbols[i]);
        symbols[i] = mr_map_get(&known, name) ? name : node->fallback;
    }
    mr_map_reset(&known);
    node->op = text ? AVRO_TEXT_ENUM : AVRO_ENUM;
    node->symbols = symbols;
    node->count = from->count;
    return status;
}

enum mr_status avro_compile_leaf(struct avro_compiler *compiler, const struct avro_value *value,
                                 const struct avro_node **out)
{
    struct avro_node *node = avro_node_new(compiler, AVRO_NULL, value, 0);
    bool fits = false;
    if (!node)
        return mr_error_nomem(compiler->err);
    if (value->type->id == MR_TYPE_DECIMAL)
        node->precision = value->type->precision;
    *out = node;
    if (value->reader->kind == MR_AVRO_ENUM) {
        MR_TRY(plan_enum(compiler, value, node));
        fits = mr_type_is_string(value->type);
        return fits ? MR_OK : avro_unresolved(compiler, value);
    }
    switch (value->writer->kind) {
    case MR_AVRO_NULL:
        fits = value->nullable || value->type->id == MR_TYPE_NULL;
        break;
    case MR_AVRO_BOOLEAN:
        node->op = AVRO_BOOL;
        fits = value->type->id == MR_TYPE_BOOL;
        break;
    case MR_AVRO_INT:
    case MR_AVRO_LONG:
        fits = plan_varint(value, node);
        break;
    case MR_AVRO_FLOAT:
    case MR_AVRO_DOUBLE:
        fits = plan_float(value, node);
        break;
    default:
        fits = plan_bytes(value, node);
    }
    return fits ? MR_OK : avro_unresolved(compiler, value);
}
