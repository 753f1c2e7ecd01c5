/*
 * avro_encode.c - writes rows.
 *
 * Avro rows have no fixed places, so columns are walked side by side: for each row, each writer of the plan in turn takes its value
 * straight out of the column's buffers (constants and dictionary codes as they are) and puts the bytes down. Room is
 * made before each value, in steps that grow by half, so that a value costs one comparison; a row that cannot be written is
 * cut off again.
 */
#include "enc/avro_encode_plan.h"

#include "base/time.h"
#include "enc/avro_wire.h"

struct mr_avro_encoder {
    struct mr_arena arena;
    struct avro_writer root;
    uint8_t *at;
    uint8_t *end;
    struct mr_bytes *out;
    struct mr_error *err;
    enum mr_status status;
};

enum mr_status mr_avro_encoder_new(const struct mr_avro_document *schema,
                                   const struct mr_schema *columns, struct mr_avro_encoder **out,
                                   struct mr_error *err)
{
    *out = NULL;
    if (schema->root->kind != MR_AVRO_RECORD)
        return mr_error_config(err, "rows are written as an Avro record, the schema is a %s",
                               mr_avro_kind_name(schema->root->kind));
    struct mr_avro_encoder *encoder = mr_calloc(1, sizeof *encoder);
    if (!encoder)
        return mr_error_nomem(err);
    mr_arena_init(&encoder->arena, NULL);
    mr_map_init(&encoder->root.symbols, false);
    struct avro_planner planner = {.arena = &encoder->arena, .err = err};
    enum mr_status status = avro_plan_records(&planner, schema->root, columns->fields,
                                              columns->nfields, NULL, &encoder->root);
    if (status == MR_OK) {
        if (err)
            *err = (struct mr_error){0};
        *out = encoder;
    } else {
        mr_avro_encoder_free(encoder);
    }
    return status;
}

void mr_avro_encoder_free(struct mr_avro_encoder *encoder)
{
    if (!encoder)
        return;
    avro_writer_reset(&encoder->root);
    mr_arena_reset(&encoder->arena);
    mr_free(encoder);
}

/* ---- the batch ---- */

static void bind(struct avro_writer *writer, const struct mr_column *column)
{
    const struct mr_column *values =
        column->encoding == MR_DICTIONARY ? column->dictionary : column;
    writer->layout = mr_type_layout(column->type);
    writer->encoding = column->encoding;
    writer->validity = mr_column_validity(column);
    writer->codes = column->encoding == MR_DICTIONARY ? mr_column_offsets(column) : NULL;
    writer->values = values->values ? values->values->data : NULL;
    writer->bytes = values->data ? values->data->data : NULL;
    if (writer->op == AVRO_WRITE_MAP) {
        bind(&writer->children[0], values->children[0]->children[0]);
        bind(&writer->children[1], values->children[0]->children[1]);
        return;
    }
    for (int i = 0; i < writer->count; i++)
        if (writer->children[i].source >= 0)
            bind(&writer->children[i], values->children[writer->children[i].source]);
}

void mr_avro_encoder_batch(struct mr_avro_encoder *encoder, const struct mr_batch *batch)
{
    for (int i = 0; i < encoder->root.count; i++) {
        struct avro_writer *writer = &encoder->root.children[i];
        if (writer->source >= 0)
            bind(writer, batch->columns[writer->source]);
    }
}

/* ---- bytes ---- */

static bool fail(struct mr_avro_encoder *encoder, enum mr_status status)
{
    if (encoder->status == MR_OK)
        encoder->status = status;
    return false;
}

__attribute__((noinline, cold)) static bool bad(struct mr_avro_encoder *encoder,
                                                const struct avro_writer *writer, const char *what)
{
    return fail(encoder, mr_error_data(encoder->err, MR_SINK, "column %s: %s", writer->path, what));
}

__attribute__((noinline, cold)) static bool grow(struct mr_avro_encoder *encoder, size_t size)
{
    struct mr_bytes *out = encoder->out;
    if (encoder->at)
        out->size = (size_t)(encoder->at - (uint8_t *)out->data);
    char *at = mr_bytes_reserve(out, size);
    if (!at)
        return fail(encoder, mr_bytes_status(out, encoder->err));
    encoder->at = (uint8_t *)at;
    encoder->end = (uint8_t *)out->data + out->capacity;
    return true;
}

/* mr_bytes keeps a NUL behind its contents, so one byte of the capacity is not ours. */
static inline bool room(struct mr_avro_encoder *encoder, size_t size)
{
    return (size_t)(encoder->end - encoder->at) > size || grow(encoder, size);
}

static inline bool put_long(struct mr_avro_encoder *encoder, int64_t value)
{
    if (!room(encoder, MR_AVRO_LONG_MAX))
        return false;
    encoder->at = mr_avro_put_long(encoder->at, value);
    return true;
}

static inline bool put_raw(struct mr_avro_encoder *encoder, const void *data, size_t size)
{
    if (!room(encoder, size))
        return false;
    memcpy(encoder->at, data, size);
    encoder->at += size;
    return true;
}

static inline bool put_sized(struct mr_avro_encoder *encoder, const void *data, size_t size)
{
    if (!room(encoder, size + MR_AVRO_LONG_MAX))
        return false;
    encoder->at = mr_avro_put_long(encoder->at, (int64_t)size);
    memcpy(encoder->at, data, size);
    encoder->at += size;
    return true;
}

/* ---- values ---- */

static inline int64_t integer(const struct avro_writer *writer, int64_t index)
{
    switch (writer->layout) {
    case MR_LAYOUT_I8:
        return ((const int8_t *)writer->values)[index];
    case MR_LAYOUT_I16:
        return ((const int16_t *)(const void *)writer->values)[index];
    case MR_LAYOUT_I32:
        return ((const int32_t *)(const void *)writer->values)[index];
    default:
        return ((const int64_t *)(const void *)writer->values)[index];
    }
}

static inline struct mr_slice slice(const struct avro_writer *writer, int64_t index)
{
    const int32_t *offsets = (const int32_t *)(const void *)writer->values;
    return (struct mr_slice){(const char *)writer->bytes + offsets[index],
                             (size_t)(offsets[index + 1] - offsets[index])};
}

static bool put_decimal(struct mr_avro_encoder *encoder, const struct avro_writer *writer,
                        int64_t index)
{
    mr_int128 value;
    if (writer->layout == MR_LAYOUT_I64)
        value = ((const int64_t *)(const void *)writer->values)[index];
    else
        memcpy(&value, writer->values + index * 16, 16);
    if (writer->shift > 0 && !mr_decimal_rescale(value, 0, writer->shift, &value))
        return bad(encoder, writer, "a decimal has more digits than the schema's");
    uint8_t bytes[16];
    for (int i = 15; i >= 0; i--) {
        bytes[i] = (uint8_t)value;
        value >>= 8;
    }
    /* The fewest bytes that keep the sign. */
    size_t skip = 0;
    while (skip < 15 && ((bytes[skip] == 0 && bytes[skip + 1] < 0x80) ||
                         (bytes[skip] == 0xFF && bytes[skip + 1] >= 0x80)))
        skip++;
    if (writer->op == AVRO_WRITE_DECIMAL)
        return put_sized(encoder, bytes + skip, 16 - skip);
    size_t wanted = (size_t)writer->size, have = 16 - skip;
    if (have > wanted)
        return bad(encoder, writer, "a decimal needs more bytes than the fixed has");
    if (!room(encoder, wanted))
        return false;
    memset(encoder->at, bytes[skip] >= 0x80 ? 0xFF : 0, wanted - have);
    memcpy(encoder->at + wanted - have, bytes + skip, have);
    encoder->at += wanted;
    return true;
}

static bool put_uuid(struct mr_avro_encoder *encoder, const struct avro_writer *writer,
                     int64_t index)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = writer->values + index * 16;
    char text[36], *at = text;
    if (writer->op == AVRO_WRITE_UUID_RAW)
        return put_raw(encoder, bytes, 16);
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
    return put_sized(encoder, text, sizeof text);
}

static bool put_duration(struct mr_avro_encoder *encoder, const struct avro_writer *writer,
                         int64_t index)
{
    struct mr_interval value;
    memcpy(&value, writer->values + index * 16, sizeof value);
    int64_t millis = value.micros / 1000;
    if (value.months < 0 || value.days < 0 || value.micros < 0 || value.micros % 1000 != 0 ||
        millis > UINT32_MAX)
        return bad(encoder, writer,
                   "an Avro duration holds no negative part, no microseconds and at most 2^32-1 "
                   "milliseconds; cast the column to string");
    uint32_t parts[3] = {(uint32_t)value.months, (uint32_t)value.days, (uint32_t)millis};
    return put_raw(encoder, parts, sizeof parts);
}

static bool put_symbol(struct mr_avro_encoder *encoder, const struct avro_writer *writer,
                       int64_t index)
{
    intptr_t number = (intptr_t)mr_map_get(&writer->symbols, slice(writer, index));
    if (number == 0)
        return bad(encoder, writer, "a value is none of the enum's symbols");
    return put_long(encoder, number - 1);
}

static bool put_scaled(struct mr_avro_encoder *encoder, const struct avro_writer *writer,
                       int64_t index)
{
    int64_t value = integer(writer, index);
    if (writer->op == AVRO_WRITE_TIMES) {
        if (__builtin_mul_overflow(value, writer->factor, &value))
            return bad(encoder, writer, "a timestamp is out of the range of nanoseconds");
    } else {
        if (value % writer->factor != 0)
            return bad(encoder, writer, "a time has microseconds, the schema milliseconds");
        value /= writer->factor;
    }
    return put_long(encoder, value);
}

static bool put_real(struct mr_avro_encoder *encoder, const struct avro_writer *writer,
                     int64_t index)
{
    float narrow = 0;
    double wide = 0;
    if (writer->layout == MR_LAYOUT_F32)
        wide = narrow = ((const float *)(const void *)writer->values)[index];
    else if (writer->layout == MR_LAYOUT_F64)
        wide = ((const double *)(const void *)writer->values)[index];
    else
        wide = narrow = (float)integer(writer, index);
    if (writer->op == AVRO_WRITE_INT_F64)
        wide = (double)integer(writer, index);
    if (writer->op == AVRO_WRITE_F32 || writer->op == AVRO_WRITE_INT_F32)
        return put_raw(encoder, &narrow, sizeof narrow);
    return put_raw(encoder, &wide, sizeof wide);
}

/* ---- nested ---- */

static bool put(struct mr_avro_encoder *encoder, const struct avro_writer *writer, int64_t row);

static bool put_list(struct mr_avro_encoder *encoder, const struct avro_writer *writer,
                     int64_t index)
{
    const int32_t *offsets = (const int32_t *)(const void *)writer->values;
    int64_t from = offsets[index], to = offsets[index + 1];
    if (to > from && !put_long(encoder, to - from))
        return false;
    for (int64_t i = from; i < to; i++)
        for (int k = 0; k < writer->count; k++)
            if (!put(encoder, &writer->children[k], i))
                return false;
    return put_long(encoder, 0);
}

static inline bool is_null(const struct avro_writer *writer, int64_t row)
{
    if (writer->layout == MR_LAYOUT_NONE)
        return true;
    return writer->validity &&
           !mr_bitmap_get(writer->validity, writer->encoding == MR_CONSTANT ? 0 : row);
}

static bool put_members(struct mr_avro_encoder *encoder, const struct avro_writer *writer,
                        int64_t index)
{
    int found = -1;
    for (int i = 0; i < writer->count; i++) {
        if (is_null(&writer->children[i], index))
            continue;
        if (found >= 0)
            return bad(encoder, writer, "two members of a union have a value");
        found = i;
    }
    if (found < 0)
        return bad(encoder, writer, "no member of a union has a value");
    return put_long(encoder, writer->branches[found]) &&
           put(encoder, &writer->children[found], index);
}

static bool put_rare(struct mr_avro_encoder *encoder, const struct avro_writer *writer,
                     int64_t index)
{
    struct mr_slice value;
    switch (writer->op) {
    case AVRO_WRITE_TIMES:
    case AVRO_WRITE_PARTS:
        return put_scaled(encoder, writer, index);
    case AVRO_WRITE_RAW:
        value = slice(writer, index);
        if (value.size != (size_t)writer->size)
            return bad(encoder, writer, "a value has not the size of the fixed");
        return put_raw(encoder, value.data, value.size);
    case AVRO_WRITE_ENUM:
        return put_symbol(encoder, writer, index);
    case AVRO_WRITE_DECIMAL:
    case AVRO_WRITE_DECIMAL_RAW:
        return put_decimal(encoder, writer, index);
    case AVRO_WRITE_UUID_TEXT:
    case AVRO_WRITE_UUID_RAW:
        return put_uuid(encoder, writer, index);
    case AVRO_WRITE_DURATION:
        return put_duration(encoder, writer, index);
    case AVRO_WRITE_LIST:
    case AVRO_WRITE_MAP:
        return put_list(encoder, writer, index);
    case AVRO_WRITE_RECORD:
        for (int i = 0; i < writer->count; i++)
            if (!put(encoder, &writer->children[i], index))
                return false;
        return true;
    case AVRO_WRITE_MEMBERS:
        return put_members(encoder, writer, index);
    default:
        return put_real(encoder, writer, index);
    }
}

static bool put_null(struct mr_avro_encoder *encoder, const struct avro_writer *writer)
{
    if (writer->null_branch >= 0)
        return put_long(encoder, writer->null_branch);
    if (writer->op == AVRO_WRITE_NOTHING)
        return true;
    return bad(encoder, writer, "NULL, which the schema does not allow");
}

static bool put(struct mr_avro_encoder *encoder, const struct avro_writer *writer, int64_t row)
{
    struct mr_slice value;
    int64_t number;
    if (writer->op == AVRO_WRITE_DEFAULT)
        return put_raw(encoder, writer->data.data, writer->data.size);
    if (is_null(writer, row))
        return put_null(encoder, writer);
    if (writer->in_union && !put_long(encoder, writer->value_branch))
        return false;
    int64_t index = row;
    if (writer->encoding != MR_FLAT)
        index = writer->encoding == MR_CONSTANT ? 0 : writer->codes[row];
    switch (writer->op) {
    case AVRO_WRITE_VARINT:
        number = integer(writer, index);
        if (writer->ranged && (number < writer->low || number > writer->high))
            return bad(encoder, writer, "a number is out of the range of an Avro int");
        return put_long(encoder, number);
    case AVRO_WRITE_BYTES:
        value = slice(writer, index);
        return put_sized(encoder, value.data, value.size);
    case AVRO_WRITE_F64:
        return put_raw(encoder, writer->values + index * 8, 8);
    case AVRO_WRITE_BOOL:
        return put_raw(encoder, writer->values + index, 1);
    default:
        return put_rare(encoder, writer, index);
    }
}

enum mr_status mr_avro_encode(struct mr_avro_encoder *encoder, int64_t from, int64_t count,
                              size_t most, struct mr_bytes *out, int64_t *done,
                              struct mr_error *err)
{
    const struct avro_writer *root = &encoder->root;
    size_t begun = out->size;
    encoder->out = out;
    encoder->err = err;
    encoder->status = MR_OK;
    encoder->at = encoder->end = NULL;
    *done = 0;
    if (!grow(encoder, MR_AVRO_LONG_MAX))
        return encoder->status;
    while (*done < count) {
        begun = (size_t)(encoder->at - (uint8_t *)out->data);
        if (*done > 0 && begun >= most)
            break;
        bool fine = true;
        for (int i = 0; fine && i < root->count; i++)
            fine = put(encoder, &root->children[i], from + *done);
        if (!fine)
            break;
        ++*done;
        begun = (size_t)(encoder->at - (uint8_t *)out->data);
    }
    if (out->status == MR_OK) {
        out->size = begun;
        out->data[begun] = 0;
    }
    return encoder->status;
}
