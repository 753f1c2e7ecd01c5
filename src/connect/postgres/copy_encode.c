/*
 * copy_encode.c - batches to binary COPY rows; the reverse of copy_decode.c.
 *
 * A tuple is a 16-bit field count and, per field, a 32-bit length (-1 = NULL) and that many bytes, big-endian:
 *   00 02 | 00 00 00 04 00 00 00 2a | ff ff ff ff          two fields: int4 42 and NULL
 *
 * Rows lie one behind the other, so columns cannot be written one at a time. What a column needs is therefore settled once per call
 * in a lane: where its values are, what must be checked, and one operation for each pair of our layout and its form. The
 * inner loop is a switch over the operation, without a call for what is frequent. Constants and dictionaries differ from flat
 * columns only in how the index of a row is found. Room for all rows is computed in front (fixed widths, and the
 * differences of offsets), so that nothing in the loop looks at a capacity.
 *
 * Text is checked as a whole first: where the bytes of a column hold neither a NUL nor anything but ASCII, no value is looked at
 * alone. Structs and maps are rendered as JSON in front of the loop and are a text from there on.
 */
#include "connect/postgres/copy_encode.h"

#include "base/text.h"
#include "base/time.h"
#include "connect/postgres/catalog.h"
#include "connect/postgres/numeric.h"
#include "enc/json_text.h"

#include <math.h>

/* 1970-01-01 to 2000-01-01, where Postgres counts from. */
#define EPOCH_DAYS   10957
#define EPOCH_MICROS (EPOCH_DAYS * MR_MICROS_PER_DAY)
/* Counted from 2000: 4713-11-24 BC and the ends of its types (timestamp.h, date.h of the server). */
#define FIRST_DAY    (-2451545)
#define LAST_DAY     2145031948
#define FIRST_MICROS INT64_C(-211813488000000000)
#define LAST_MICROS  INT64_C(9223371331199999999)

struct fault {
    const char *reason;
    const char *hint;
};

static const struct fault fault_range = {"the value is out of the range of its column's type",
                                         "widen the column, or leave such rows out"};
static const struct fault fault_digits = {
    "the value has more digits behind the point than its column's type",
    "round it before, or widen the column"};
static const struct fault fault_length = {"the text is longer than its column's type allows",
                                          "cut it before, or widen the column"};
static const struct fault fault_nul = {"the text holds a NUL byte, which no Postgres text can",
                                       "replace it before, or load it into bytea"};
static const struct fault fault_utf8 = {"the text is not valid UTF-8", "load it into bytea"};

enum op {
    OP_NULL,
    OP_1,
    OP_2,
    OP_4,
    OP_8,
    OP_INT, /* any integer to int2, int4, int8 */
    OP_DECIMAL_INT,
    OP_REAL,   /* any number to float4 */
    OP_DOUBLE, /* any number to float8 */
    OP_NUMERIC64,
    OP_NUMERIC, /* any integer or decimal, checked */
    OP_BYTES,
    OP_TEXT, /* checked */
    OP_JSONB,
    OP_DATE,
    OP_TIME,
    OP_TIMESTAMP,
    OP_DATE_TIMESTAMP,
    OP_INTERVAL,
    OP_UUID,
    OP_ARRAY,
};

struct lane {
    enum op op;
    int width;               /* INT: of the form */
    const uint8_t *validity; /* NULL = all valid */
    const int32_t *codes;    /* DICTIONARY */
    int64_t valid_mask;      /* 0 for CONSTANT, -1 else */
    int64_t mask;            /* the same for the values */
    const uint8_t *values;
    const int32_t *offsets; /* the same as values, for BYTES and LIST */
    const char *data;
    enum mr_layout layout;
    int scale;
    mr_int128 limit;   /* numeric: too large from here; 0 = none */
    mr_int128 modulus; /* numeric, times: must divide the value; 1 = none */
    int64_t low, high; /* INT */
    int64_t max_chars; /* of a varchar(n), char(n); INT64_MAX = any */
    bool padded;       /* char(n): blanks at the end do not count */
    struct lane *element;
    uint32_t element_type;
    struct mr_bytes rendered; /* structs and maps as JSON */
};

static inline uint8_t *store16(uint8_t *at, unsigned value)
{
    uint16_t swapped = __builtin_bswap16((uint16_t)value);
    memcpy(at, &swapped, 2);
    return at + 2;
}

static inline uint8_t *store32(uint8_t *at, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(at, &value, 4);
    return at + 4;
}

static inline uint8_t *store64(uint8_t *at, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(at, &value, 8);
    return at + 8;
}

/* --- values --- */

static inline uint16_t load_16(const struct lane *lane, int64_t at)
{
    return ((const uint16_t *)(const void *)lane->values)[at];
}

static inline uint32_t load_32(const struct lane *lane, int64_t at)
{
    return ((const uint32_t *)(const void *)lane->values)[at];
}

static inline int64_t load_64(const struct lane *lane, int64_t at)
{
    return ((const int64_t *)(const void *)lane->values)[at];
}

/* Integers and decimals. */
static mr_int128 load_exact(const struct lane *lane, int64_t at)
{
    switch (lane->layout) {
    case MR_LAYOUT_I8:
        return (int8_t)lane->values[at];
    case MR_LAYOUT_I16:
        return (int16_t)load_16(lane, at);
    case MR_LAYOUT_I32:
        return (int32_t)load_32(lane, at);
    case MR_LAYOUT_I64:
        return load_64(lane, at);
    default:
        return ((const mr_int128 *)(const void *)lane->values)[at];
    }
}

static double load_real(const struct lane *lane, int64_t at)
{
    if (lane->layout == MR_LAYOUT_F32)
        return (double)((const float *)(const void *)lane->values)[at];
    if (lane->layout == MR_LAYOUT_F64)
        return ((const double *)(const void *)lane->values)[at];
    return mr_decimal_to_double(load_exact(lane, at), lane->scale);
}

static const struct fault *put_integer(const struct lane *lane, mr_int128 value, uint8_t **to)
{
    if (lane->op == OP_DECIMAL_INT) {
        mr_int128 unit = mr_decimal_pow10(lane->scale);
        if (value % unit != 0)
            return &fault_digits;
        value /= unit;
    }
    if (value < lane->low || value > lane->high)
        return &fault_range;
    uint8_t *out = store32(*to, (uint32_t)lane->width);
    if (lane->width == 2)
        out = store16(out, (unsigned)(int)value);
    else
        out = lane->width == 4 ? store32(out, (uint32_t)value) : store64(out, (uint64_t)value);
    *to = out;
    return NULL;
}

/* Decimals go to the nearest; an integer that would change is refused. */
static const struct fault *put_real(const struct lane *lane, int64_t at, uint8_t **to)
{
    double value = load_real(lane, at);
    bool narrow = lane->op == OP_REAL;
    bool integer = lane->scale == 0 && lane->layout < MR_LAYOUT_F32;
    if (narrow) {
        float real = (float)value;
        if ((isinf(real) && !isinf(value)) || (real == 0 && value != 0))
            return &fault_range;
        if (integer)
            value = (double)real;
        uint32_t bits;
        memcpy(&bits, &real, 4);
        *to = store32(store32(*to, 4), bits);
    } else {
        uint64_t bits;
        memcpy(&bits, &value, 8);
        *to = store64(store32(*to, 8), bits);
    }
    /* Beyond 2^126 the way back could leave the range; no integer of 38 digits is there. */
    if (integer && (fabs(value) > 0x1p126 || (mr_int128)value != load_exact(lane, at)))
        return &fault_digits;
    return NULL;
}

static const struct fault *put_numeric(const struct lane *lane, mr_int128 value, uint8_t **to)
{
    if (lane->limit && (value >= lane->limit || value <= -lane->limit))
        return &fault_range;
    if (lane->modulus > 1 && value % lane->modulus != 0)
        return &fault_digits;
    size_t size = mr_numeric_from_decimal(value, lane->scale, *to + 4);
    *to = store32(*to, (uint32_t)size) + size;
    return NULL;
}

static inline uint8_t *put_bytes(const struct lane *lane, int64_t at, uint8_t *out)
{
    int32_t from = lane->offsets[at];
    size_t size = (size_t)(lane->offsets[at + 1] - from);
    out = store32(out, (uint32_t)size);
    const char *data = lane->data + from;
    if (size)
        memcpy(out, data, size);
    return out + size;
}

static const struct fault *check_text(const struct lane *lane, int64_t at)
{
    int32_t from = lane->offsets[at];
    size_t size = (size_t)(lane->offsets[at + 1] - from);
    if (size == 0)
        return NULL;
    const char *data = lane->data + from;
    if (memchr(data, '\0', size))
        return &fault_nul;
    if (mr_utf8_valid_prefix(data, size) != size)
        return &fault_utf8;
    while (lane->padded && size > 0 && data[size - 1] == ' ')
        size--;
    if ((int64_t)size > lane->max_chars && mr_utf8_length(data, size) > lane->max_chars)
        return &fault_length;
    return NULL;
}

static const struct fault *put_jsonb(const struct lane *lane, int64_t at, uint8_t **to)
{
    const struct fault *fault = check_text(lane, at);
    if (fault)
        return fault;
    uint8_t *end = put_bytes(lane, at, *to + 1);
    store32(*to, (uint32_t)(end - *to - 4));
    (*to)[4] = 1;
    *to = end;
    return NULL;
}

static const struct fault *put_date(int64_t days, uint8_t **to)
{
    days -= EPOCH_DAYS;
    if (days < FIRST_DAY || days > LAST_DAY)
        return &fault_range;
    *to = store32(store32(*to, 4), (uint32_t)(int32_t)days);
    return NULL;
}

static inline const struct fault *put_timestamp(const struct lane *lane, int64_t micros,
                                                uint8_t **to)
{
    int64_t shifted;
    if (__builtin_sub_overflow(micros, EPOCH_MICROS, &shifted) || shifted < FIRST_MICROS ||
        shifted > LAST_MICROS)
        return &fault_range;
    if (lane->modulus > 1 && micros % (int64_t)lane->modulus != 0)
        return &fault_digits;
    *to = store64(store32(*to, 8), (uint64_t)shifted);
    return NULL;
}

static const struct fault *put_time(const struct lane *lane, int64_t micros, uint8_t **to)
{
    if (micros < 0 || micros > MR_MICROS_PER_DAY)
        return &fault_range;
    if (lane->modulus > 1 && micros % (int64_t)lane->modulus != 0)
        return &fault_digits;
    *to = store64(store32(*to, 8), (uint64_t)micros);
    return NULL;
}

static uint8_t *put_interval(const struct lane *lane, int64_t at, uint8_t *out)
{
    const struct mr_interval *value = &((const struct mr_interval *)(const void *)lane->values)[at];
    out = store64(store32(out, 16), (uint64_t)value->micros);
    return store32(store32(out, (uint32_t)value->days), (uint32_t)value->months);
}

static const struct fault *put_array(const struct lane *lane, int64_t at, uint8_t **to);

static inline bool is_null(const struct lane *lane, int64_t row)
{
    return lane->validity && !mr_bitmap_get(lane->validity, row & lane->valid_mask);
}

/* One field, its length in front. */
static inline const struct fault *put_value(const struct lane *lane, int64_t row, uint8_t **to)
{
    uint8_t *out = *to;
    if (is_null(lane, row)) {
        *to = store32(out, UINT32_MAX);
        return NULL;
    }
    int64_t at = lane->codes ? lane->codes[row] : row & lane->mask;
    const struct fault *fault;
    switch (lane->op) {
    case OP_NULL:
        *to = store32(out, UINT32_MAX);
        return NULL;
    case OP_1:
        out = store32(out, 1);
        *out = lane->values[at];
        *to = out + 1;
        return NULL;
    case OP_2:
        *to = store16(store32(out, 2), load_16(lane, at));
        return NULL;
    case OP_4:
        *to = store32(store32(out, 4), load_32(lane, at));
        return NULL;
    case OP_8:
        *to = store64(store32(out, 8), (uint64_t)load_64(lane, at));
        return NULL;
    case OP_INT:
    case OP_DECIMAL_INT:
        return put_integer(lane, load_exact(lane, at), to);
    case OP_REAL:
    case OP_DOUBLE:
        return put_real(lane, at, to);
    case OP_NUMERIC64: {
        size_t size = mr_numeric_from_decimal64(load_64(lane, at), lane->scale, out + 4);
        *to = store32(out, (uint32_t)size) + size;
        return NULL;
    }
    case OP_NUMERIC:
        return put_numeric(lane, load_exact(lane, at), to);
    case OP_TEXT:
        fault = check_text(lane, at);
        if (fault)
            return fault;
        *to = put_bytes(lane, at, out);
        return NULL;
    case OP_BYTES:
        *to = put_bytes(lane, at, out);
        return NULL;
    case OP_JSONB:
        return put_jsonb(lane, at, to);
    case OP_DATE:
        return put_date((int32_t)load_32(lane, at), to);
    case OP_TIME:
        return put_time(lane, load_64(lane, at), to);
    case OP_TIMESTAMP:
        return put_timestamp(lane, load_64(lane, at), to);
    case OP_DATE_TIMESTAMP:
        return put_timestamp(lane, (int32_t)load_32(lane, at) * MR_MICROS_PER_DAY, to);
    case OP_INTERVAL:
        *to = put_interval(lane, at, out);
        return NULL;
    case OP_UUID:
        out = store32(out, 16);
        memcpy(out, lane->values + 16 * at, 16);
        *to = out + 16;
        return NULL;
    case OP_ARRAY:
        return put_array(lane, at, to);
    }
    return NULL;
}

/* ndim, has-null flag, element type; per dimension size and lower bound; then the elements as in a tuple. */
static const struct fault *put_array(const struct lane *lane, int64_t at, uint8_t **to)
{
    int64_t from = lane->offsets[at];
    int64_t count = lane->offsets[at + 1] - from;
    const struct lane *element = lane->element;
    uint8_t *out = store32(*to + 4, count > 0);
    uint8_t *flag = out;
    out = store32(store32(out, 0), lane->element_type);
    if (count > 0)
        out = store32(store32(out, (uint32_t)count), 1);
    bool nulls = false;
    for (int64_t i = from; i < from + count; i++) {
        nulls = nulls || is_null(element, i) || element->op == OP_NULL;
        const struct fault *fault = put_value(element, i, &out);
        if (fault)
            return fault;
    }
    store32(flag, nulls);
    store32(*to, (uint32_t)(out - *to - 4));
    *to = out;
    return NULL;
}

/* --- lanes --- */

struct setup {
    struct mr_arena *arena;
    struct mr_error *err;
};

static enum op integer_op(struct lane *lane, const struct mr_type *from, int width)
{
    lane->width = width;
    lane->high = width == 8 ? INT64_MAX : (INT64_C(1) << (8 * width - 1)) - 1;
    lane->low = -lane->high - 1;
    if (from->id == MR_TYPE_DECIMAL)
        return OP_DECIMAL_INT;
    if (mr_layout_width(lane->layout) != width)
        return OP_INT;
    return width == 2 ? OP_2 : width == 4 ? OP_4 : OP_8;
}

/* numeric(p,s) of the target against the digits of ours; see types.c for its typmod. */
static enum op numeric_op(struct lane *lane, const struct mr_type *from, int32_t typmod)
{
    bool decimal = from->id == MR_TYPE_DECIMAL;
    int digits = decimal ? from->precision : 19;
    if (typmod >= 4) {
        int precision = ((typmod - 4) >> 16) & 0xFFFF;
        int scale = (((typmod - 4) & 0x7FF) ^ 1024) - 1024;
        int before = precision - scale + lane->scale;
        if (before < digits)
            lane->limit = before > 0 ? mr_decimal_pow10(before) : 1;
        int lost = lane->scale - scale;
        if (lost > 0)
            lane->modulus =
                mr_decimal_pow10(lost < MR_DECIMAL_MAX_PRECISION ? lost : MR_DECIMAL_MAX_PRECISION);
    }
    bool plain = lane->layout == MR_LAYOUT_I64 && lane->limit == 0 && lane->modulus == 1;
    return plain ? OP_NUMERIC64 : OP_NUMERIC;
}

/* Is there neither a NUL nor a byte beyond ASCII? */
static bool plain_ascii(const char *data, size_t size)
{
    if (memchr(data, '\0', size))
        return false;
    uint64_t seen = 0;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        seen |= word;
    }
    for (; i < size; i++)
        seen |= (uint8_t)data[i];
    return (seen & UINT64_C(0x8080808080808080)) == 0;
}

static enum op text_op(struct lane *lane, const struct mr_copy_target *target, int64_t from,
                       int64_t to)
{
    lane->padded = target->type == MR_PG_BPCHAR;
    if ((lane->padded || target->type == MR_PG_VARCHAR) && target->typmod >= 4) {
        lane->max_chars = target->typmod - 4;
        return OP_TEXT;
    }
    size_t size = (size_t)(lane->offsets[to] - lane->offsets[from]);
    return size == 0 || plain_ascii(lane->data + lane->offsets[from], size) ? OP_BYTES : OP_TEXT;
}

/* Structs, maps and lists of them: rows [from, to) as JSON. */
static enum mr_status render(struct setup *setup, struct lane *lane, const struct mr_column *column,
                             int64_t from, int64_t to)
{
    int32_t *offsets = mr_arena_alloc(setup->arena, (size_t)(to + 1) * sizeof *offsets);
    if (offsets == NULL)
        return mr_error_nomem(setup->err);
    mr_bytes_init(&lane->rendered, INT32_MAX - 1);
    memset(offsets, 0, (size_t)(from + 1) * sizeof *offsets);
    for (int64_t row = from; row < to; row++) {
        if (!mr_column_is_null(column, row))
            mr_json_value(column, row, &lane->rendered);
        offsets[row + 1] = (int32_t)lane->rendered.size;
    }
    lane->offsets = offsets;
    lane->data = lane->rendered.data;
    lane->mask = -1;
    lane->codes = NULL;
    lane->layout = MR_LAYOUT_BYTES;
    return mr_bytes_status(&lane->rendered, setup->err);
}

static mr_int128 time_modulus(int32_t typmod)
{
    return typmod >= 0 && typmod < 6 ? mr_decimal_pow10(6 - typmod) : 1;
}

static enum op choose_op(struct lane *lane, const struct mr_copy_target *target,
                         const struct mr_type *from, int64_t first, int64_t end)
{
    switch (target->form) {
    case MR_FORM_BOOL:
        return OP_1;
    case MR_FORM_INT2:
        return integer_op(lane, from, 2);
    case MR_FORM_INT4:
        return integer_op(lane, from, 4);
    case MR_FORM_INT8:
        return integer_op(lane, from, 8);
    case MR_FORM_FLOAT4:
        return lane->layout == MR_LAYOUT_F32 ? OP_4 : OP_REAL;
    case MR_FORM_FLOAT8:
        return lane->layout == MR_LAYOUT_F64 ? OP_8 : OP_DOUBLE;
    case MR_FORM_NUMERIC:
        return numeric_op(lane, from, target->typmod);
    case MR_FORM_TEXT:
    case MR_FORM_CAST:
        return text_op(lane, target, first, end);
    case MR_FORM_JSONB:
        return OP_JSONB;
    case MR_FORM_BYTEA:
        return OP_BYTES;
    case MR_FORM_DATE:
        return OP_DATE;
    case MR_FORM_TIME:
        lane->modulus = time_modulus(target->typmod);
        return OP_TIME;
    case MR_FORM_TIMESTAMP:
        lane->modulus = time_modulus(target->typmod);
        return lane->layout == MR_LAYOUT_I32 ? OP_DATE_TIMESTAMP : OP_TIMESTAMP;
    case MR_FORM_INTERVAL:
        return OP_INTERVAL;
    case MR_FORM_UUID:
        return OP_UUID;
    case MR_FORM_ARRAY:
        break;
    }
    return OP_ARRAY;
}

static enum mr_status init_lane(struct setup *setup, struct lane *lane,
                                const struct mr_copy_target *target, const struct mr_column *column,
                                int64_t from, int64_t to)
{
    *lane = (struct lane){.modulus = 1, .max_chars = INT64_MAX, .mask = -1, .valid_mask = -1};
    mr_bytes_init(&lane->rendered, 0);
    if (column->type->id == MR_TYPE_NULL)
        return MR_OK;
    if (column->nulls > 0)
        lane->validity = mr_column_validity(column);
    const struct mr_column *flat = column;
    if (column->encoding == MR_CONSTANT) {
        lane->mask = lane->valid_mask = 0;
    } else if (column->encoding == MR_DICTIONARY) {
        flat = column->dictionary;
        lane->codes = mr_column_offsets(column);
    }
    lane->layout = mr_type_layout(flat->type);
    lane->scale = flat->type->scale;
    bool array = target->element != NULL;
    if (mr_type_is_nested(flat->type) && !array)
        MR_TRY(render(setup, lane, column, from, to));
    else if (flat->values)
        lane->values = flat->values->data;
    if (lane->offsets == NULL)
        lane->offsets = (const int32_t *)(const void *)lane->values;
    if (flat->data)
        lane->data = (const char *)flat->data->data;
    /* The values that the rows mean: all of a dictionary or constant. */
    int64_t first = flat == column && lane->mask ? from : 0;
    int64_t end = flat != column ? flat->length : lane->mask ? to : 1;
    if (!array) {
        lane->op = choose_op(lane, target, flat->type, first, end);
        return MR_OK;
    }
    lane->op = OP_ARRAY;
    lane->element_type = target->element->type;
    lane->element = mr_arena_alloc(setup->arena, sizeof *lane->element);
    if (lane->element == NULL)
        return mr_error_nomem(setup->err);
    return init_lane(setup, lane->element, target->element, flat->children[0], lane->offsets[first],
                     lane->offsets[end]);
}

static const size_t widths[] = {
    [OP_1] = 1,         [OP_2] = 2,
    [OP_4] = 4,         [OP_8] = 8,
    [OP_INT] = 8,       [OP_DECIMAL_INT] = 8,
    [OP_REAL] = 8,      [OP_DOUBLE] = 8,
    [OP_JSONB] = 1,     [OP_NUMERIC64] = MR_NUMERIC_SIZE_MAX,
    [OP_DATE] = 4,      [OP_NUMERIC] = MR_NUMERIC_SIZE_MAX,
    [OP_TIME] = 8,      [OP_TIMESTAMP] = 8,
    [OP_INTERVAL] = 16, [OP_DATE_TIMESTAMP] = 8,
    [OP_UUID] = 16,     [OP_ARRAY] = 20,
};

/* At most so many bytes for rows [from, to). */
static size_t bound(const struct lane *lane, int64_t from, int64_t to)
{
    size_t size = (size_t)(to - from) * (4 + widths[lane->op]);
    bool list = lane->op == OP_ARRAY;
    if (!list && lane->op != OP_BYTES && lane->op != OP_TEXT && lane->op != OP_JSONB)
        return size;
    if (lane->codes == NULL && lane->mask) {
        int32_t low = lane->offsets[from];
        int32_t high = lane->offsets[to];
        return size + (list ? bound(lane->element, low, high) : (size_t)(high - low));
    }
    for (int64_t row = from; row < to; row++) {
        if (is_null(lane, row))
            continue;
        int64_t at = lane->codes ? lane->codes[row] : 0;
        int32_t low = lane->offsets[at];
        int32_t high = lane->offsets[at + 1];
        size += list ? bound(lane->element, low, high) : (size_t)(high - low);
    }
    return size;
}

/* --- the encoder --- */

void mr_copy_encoder_init(struct mr_copy_encoder *encoder, const struct mr_copy_target *targets,
                          int ntargets, const char *origin)
{
    *encoder = (struct mr_copy_encoder){.targets = targets, .ntargets = ntargets, .origin = origin};
}

void mr_copy_encode_header(struct mr_bytes *out)
{
    static const char header[19] = "PGCOPY\n\377\r\n";
    mr_bytes_append(out, header, sizeof header);
}

void mr_copy_encode_trailer(struct mr_bytes *out)
{
    mr_bytes_append(out, "\377\377", 2);
}

static enum mr_status value_error(const struct mr_copy_encoder *encoder, int column, int64_t row,
                                  const struct fault *fault, struct mr_error *err)
{
    const struct mr_copy_target *target = &encoder->targets[column];
    mr_error_data(err, MR_SINK, "%s, column \"%s\" (%s), row %lld: %s", encoder->origin,
                  target->name, target->sql_type, (long long)(encoder->rows + row + 1),
                  fault->reason);
    mr_error_hint(err, "%s", fault->hint);
    return MR_SINK;
}

static enum mr_status put_rows(const struct mr_copy_encoder *encoder, const struct lane *lanes,
                               int64_t from, int64_t count, struct mr_bytes *out,
                               struct mr_error *err)
{
    int nlanes = encoder->ntargets;
    size_t size = (size_t)count * 2;
    for (int i = 0; i < nlanes; i++)
        size += bound(&lanes[i], from, from + count);
    uint8_t *begin = (uint8_t *)mr_bytes_reserve(out, size);
    if (begin == NULL)
        return mr_bytes_status(out, err);
    uint8_t *at = begin;
    for (int64_t row = from; row < from + count; row++) {
        at = store16(at, (unsigned)nlanes);
        for (int i = 0; i < nlanes; i++) {
            const struct fault *fault = put_value(&lanes[i], row, &at);
            if (__builtin_expect(fault != NULL, 0))
                return value_error(encoder, i, row - from, fault, err);
        }
    }
    out->size += (size_t)(at - begin);
    return MR_OK;
}

enum mr_status mr_copy_encode_rows(struct mr_copy_encoder *encoder, const struct mr_batch *batch,
                                   int64_t from, int64_t count, struct mr_bytes *out,
                                   struct mr_error *err)
{
    if (batch->selection || batch->schema->nfields != encoder->ntargets)
        return mr_error_internal(err, "a batch that its encoder was not made for");
    if (count == 0)
        return MR_OK;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    struct setup setup = {&arena, err};
    enum mr_status status = MR_OK;
    int ready = 0;
    struct lane *lanes = mr_arena_calloc(&arena, (size_t)encoder->ntargets + 1, sizeof *lanes);
    if (lanes == NULL)
        status = mr_error_nomem(err);
    while (status == MR_OK && ready < encoder->ntargets) {
        const struct mr_copy_target *target = &encoder->targets[ready];
        status =
            init_lane(&setup, &lanes[ready], target, batch->columns[ready], from, from + count);
        ready++;
    }
    if (status == MR_OK)
        status = put_rows(encoder, lanes, from, count, out, err);
    if (status == MR_OK)
        encoder->rows += count;
    for (int i = 0; i < ready; i++)
        mr_bytes_reset(&lanes[i].rendered);
    mr_arena_reset(&arena);
    return status;
}
