/*
 * copy_decode.c - binary COPY messages straight into column builders.
 *
 * A tuple is a 16-bit field count and, per field, a 32-bit length (-1 = NULL) and that many bytes, big-endian:
 *   00 02 | 00 00 00 04 00 00 00 2a | ff ff ff ff          two fields: int4 42 and NULL
 * The stream begins with an 11-byte signature, flags and a header extension, and ends with a field count of -1. Today's servers send
 * one tuple a message, the header in front of the first; the decoder takes any whole number of tuples a message.
 *
 * Work is done row by row, one indirect call a field, because libpq gives row by row: collecting the pointers of many rows to decode
 * column by column costs more in cache misses than the calls do (each row's bytes are hot once). All room for a
 * batch's fixed-width values is reserved before its first row, so a decoder is a load, a byte swap and a store. The builder keeps
 * the validity bits behind its length set, so valid values never touch the bitmap.
 *
 * While a batch is being built, lengths and sizes live in `struct mr_copy_column`; the builder learns them in `sync`, which
 * runs before anything is asked of it. A fault is a pointer to a constant; the message is made where it is met.
 */
#include "connect/postgres/copy_decode.h"

#include "base/text.h"
#include "base/time.h"
#include "connect/postgres/numeric.h"

#include <assert.h>

/* 1970-01-01 to 2000-01-01, where Postgres counts from. */
#define EPOCH_DAYS   10957
#define EPOCH_MICROS (EPOCH_DAYS * MR_MICROS_PER_DAY)

struct fault {
    const char *reason;
    const char *hint;
};

static const struct fault fault_memory = {NULL, NULL}; /* decoder->err is set already */
static const struct fault fault_size = {"its bytes do not have the length of its type",
                                        "was the column changed while it was read? Run again"};
static const struct fault fault_format = {"its bytes are not the binary form of its type",
                                          "was the column changed while it was read? Run again"};
static const struct fault fault_infinity = {
    "infinity has no place in this type",
    "set \"infinityAs\" to \"null\" or \"text\", or leave such rows out with `where`"};
static const struct fault fault_timestamp = {
    "the time is outside of what 64-bit microseconds since 1970 can hold",
    "leave such rows out with `where`, or cast the column to text in `query`"};
static const struct fault fault_nan = {
    "NaN or Infinity has no place in a decimal",
    "for numeric without precision set \"numericAs\" to \"text\" or \"double\"; else use NULLIF(x, "
    "'NaN') in `query`"};
static const struct fault fault_loss = {
    "the number has more digits behind the point than its decimal type",
    "set \"numericAs\" to \"text\" or \"double\", or to a decimal with more scale"};
static const struct fault fault_range = {
    "the number has more digits than its decimal type",
    "set \"numericAs\" to \"text\" or \"double\", or to a decimal with more room before the point"};
static const struct fault fault_dimensions = {
    "the array has more than one dimension, and a list column holds one",
    "use `query` with to_jsonb(x) or x::text"};

typedef const struct fault *(*decode_fn)(struct mr_copy_column *column, const uint8_t *data,
                                         uint32_t size);

struct mr_copy_column {
    decode_fn decode;
    uint8_t *values; /* the builder's, room for `capacity` */
    int64_t length;
    int64_t capacity;
    uint8_t *data; /* BYTES */
    size_t data_size;
    size_t data_capacity;
    uint8_t *validity; /* NULL until the first NULL of the batch */
    int64_t nulls;
    int width;
    int precision;
    int scale;
    bool infinity_null;
    struct mr_copy_column *element;
    struct mr_copy_decoder *decoder;
    struct mr_builder *builder;
    struct mr_builder storage;
    size_t last_data_size; /* of the last batch: what to reserve for the next */
};

static inline uint16_t load16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, 2);
    return __builtin_bswap16(value);
}

static inline uint32_t load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return __builtin_bswap32(value);
}

static inline uint64_t load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return __builtin_bswap64(value);
}

/* --- between columns and their builders --- */

static void sync(struct mr_copy_column *column)
{
    struct mr_builder *builder = column->builder;
    builder->length = column->length;
    builder->nulls = column->nulls;
    if (builder->data)
        builder->data->size = column->data_size;
    if (column->element)
        sync(column->element);
}

static void fetch(struct mr_copy_column *column)
{
    struct mr_builder *builder = column->builder;
    column->values = builder->values ? builder->values->data : NULL;
    column->data = builder->data ? builder->data->data : NULL;
    column->data_capacity = builder->data ? builder->data->capacity : 0;
    column->validity = builder->validity ? builder->validity->data : NULL;
    column->capacity = builder->capacity;
}

/* Room for more rows and bytes; at least half as much again, so that growing is rare. */
static enum mr_status reserve(struct mr_copy_column *column, int64_t rows, size_t bytes,
                              struct mr_error *err)
{
    sync(column);
    MR_TRY(mr_builder_reserve(column->builder, rows, (int64_t)bytes, err));
    fetch(column);
    return MR_OK;
}

static const struct fault *grow_data(struct mr_copy_column *column, size_t size)
{
    size_t more = size > column->data_size / 2 ? size : column->data_size / 2;
    if (column->data_size + more > INT32_MAX)
        more = size;
    return reserve(column, 1, more + 64, column->decoder->err) == MR_OK ? NULL : &fault_memory;
}

static const struct fault *append_null(struct mr_copy_column *column)
{
    if (column->validity == NULL) {
        sync(column);
        if (mr_builder_mark_null(column->builder, column->decoder->err) != MR_OK)
            return &fault_memory;
        fetch(column);
    }
    mr_bitmap_clear(column->validity, column->length);
    column->nulls++;
    switch (column->builder->layout) {
    case MR_LAYOUT_BYTES:
        ((int32_t *)(void *)column->values)[column->length + 1] = (int32_t)column->data_size;
        break;
    case MR_LAYOUT_LIST:
        ((int32_t *)(void *)column->values)[column->length + 1] = (int32_t)column->element->length;
        break;
    default:
        memset(column->values + column->length * column->width, 0, (size_t)column->width);
    }
    column->length++;
    return NULL;
}

/* --- decoders --- */

#define SLOT(column, type) (&((type *)(void *)(column)->values)[(column)->length++])

static const struct fault *decode_bool(struct mr_copy_column *column, const uint8_t *data,
                                       uint32_t size)
{
    if (size != 1)
        return &fault_size;
    *SLOT(column, uint8_t) = data[0] != 0;
    return NULL;
}

static const struct fault *decode_int2(struct mr_copy_column *column, const uint8_t *data,
                                       uint32_t size)
{
    if (size != 2)
        return &fault_size;
    *SLOT(column, uint16_t) = load16(data);
    return NULL;
}

/* int4 and float4. */
static const struct fault *decode_4(struct mr_copy_column *column, const uint8_t *data,
                                    uint32_t size)
{
    if (size != 4)
        return &fault_size;
    *SLOT(column, uint32_t) = load32(data);
    return NULL;
}

/* int8, float8. */
static const struct fault *decode_8(struct mr_copy_column *column, const uint8_t *data,
                                    uint32_t size)
{
    if (size != 8)
        return &fault_size;
    *SLOT(column, uint64_t) = load64(data);
    return NULL;
}

static const struct fault *numeric_fault(enum mr_numeric_result result)
{
    switch (result) {
    case MR_NUMERIC_SPECIAL:
        return &fault_nan;
    case MR_NUMERIC_LOSS:
        return &fault_loss;
    case MR_NUMERIC_RANGE:
        return &fault_range;
    default:
        return &fault_format;
    }
}

static const struct fault *decode_decimal64(struct mr_copy_column *column, const uint8_t *data,
                                            uint32_t size)
{
    int64_t value = 0;
    enum mr_numeric_result result =
        mr_numeric_to_decimal64(data, size, column->precision, column->scale, &value);
    if (result != MR_NUMERIC_OK)
        return numeric_fault(result);
    *SLOT(column, int64_t) = value;
    return NULL;
}

static const struct fault *decode_decimal128(struct mr_copy_column *column, const uint8_t *data,
                                             uint32_t size)
{
    mr_int128 value = 0;
    enum mr_numeric_result result =
        mr_numeric_to_decimal(data, size, column->precision, column->scale, &value);
    if (result != MR_NUMERIC_OK)
        return numeric_fault(result);
    *SLOT(column, mr_int128) = value;
    return NULL;
}

static const struct fault *append_bytes(struct mr_copy_column *column, const void *data,
                                        size_t size)
{
    if (size > column->data_capacity - column->data_size) {
        const struct fault *fault = grow_data(column, size);
        if (fault)
            return fault;
    }
    memcpy(column->data + column->data_size, data, size);
    column->data_size += size;
    ((int32_t *)(void *)column->values)[++column->length] = (int32_t)column->data_size;
    return NULL;
}

static const struct fault *decode_bytes(struct mr_copy_column *column, const uint8_t *data,
                                        uint32_t size)
{
    return append_bytes(column, data, size);
}

static const struct fault *decode_jsonb(struct mr_copy_column *column, const uint8_t *data,
                                        uint32_t size)
{
    if (size < 1 || data[0] != 1)
        return &fault_format;
    return append_bytes(column, data + 1, size - 1);
}

static const struct fault *decode_numeric_text(struct mr_copy_column *column, const uint8_t *data,
                                               uint32_t size)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 20);
    const struct fault *fault = NULL;
    if (mr_numeric_to_text(data, size, &text) != MR_NUMERIC_OK)
        fault = &fault_format;
    else if (mr_bytes_status(&text, column->decoder->err) != MR_OK)
        fault = &fault_memory;
    else
        fault = append_bytes(column, text.data, text.size);
    mr_bytes_reset(&text);
    return fault;
}

static const struct fault *decode_numeric_double(struct mr_copy_column *column, const uint8_t *data,
                                                 uint32_t size)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 20);
    const struct fault *fault = NULL;
    double value = 0;
    if (mr_numeric_to_text(data, size, &text) != MR_NUMERIC_OK)
        fault = &fault_format;
    else if (mr_bytes_status(&text, column->decoder->err) != MR_OK)
        fault = &fault_memory;
    else if (!mr_text_to_double((struct mr_slice){text.data, text.size}, false, &value))
        fault = &fault_range;
    else
        *SLOT(column, double) = value;
    mr_bytes_reset(&text);
    return fault;
}

static const struct fault *infinity(struct mr_copy_column *column)
{
    return column->infinity_null ? append_null(column) : &fault_infinity;
}

static const struct fault *decode_date(struct mr_copy_column *column, const uint8_t *data,
                                       uint32_t size)
{
    if (size != 4)
        return &fault_size;
    int32_t days = (int32_t)load32(data);
    if (days == INT32_MAX || days == INT32_MIN)
        return infinity(column);
    int32_t shifted;
    if (__builtin_add_overflow(days, EPOCH_DAYS, &shifted))
        return &fault_format;
    *SLOT(column, int32_t) = shifted;
    return NULL;
}

static const struct fault *decode_timestamp(struct mr_copy_column *column, const uint8_t *data,
                                            uint32_t size)
{
    if (size != 8)
        return &fault_size;
    int64_t micros = (int64_t)load64(data);
    if (micros == INT64_MAX || micros == INT64_MIN)
        return infinity(column);
    int64_t shifted;
    if (__builtin_add_overflow(micros, EPOCH_MICROS, &shifted))
        return &fault_timestamp;
    *SLOT(column, int64_t) = shifted;
    return NULL;
}

static const struct fault *decode_interval(struct mr_copy_column *column, const uint8_t *data,
                                           uint32_t size)
{
    if (size != 16)
        return &fault_size;
    struct mr_interval *slot = SLOT(column, struct mr_interval);
    slot->micros = (int64_t)load64(data);
    slot->days = (int32_t)load32(data + 8);
    slot->months = (int32_t)load32(data + 12);
    return NULL;
}

static const struct fault *decode_uuid(struct mr_copy_column *column, const uint8_t *data,
                                       uint32_t size)
{
    if (size != 16)
        return &fault_size;
    memcpy(column->values + 16 * column->length++, data, 16);
    return NULL;
}

/* ndim, has-null flag, element type; per dimension size and lower bound; then the elements as in a tuple. */
static const struct fault *decode_array(struct mr_copy_column *column, const uint8_t *data,
                                        uint32_t size)
{
    struct mr_copy_column *element = column->element;
    const uint8_t *end = data + size;
    if (size < 12)
        return &fault_format;
    uint32_t dimensions = load32(data);
    uint32_t count = 0;
    data += 12;
    if (dimensions > 1)
        return dimensions <= 6 ? &fault_dimensions : &fault_format;
    if (dimensions == 1) {
        if (end - data < 8)
            return &fault_format;
        count = load32(data);
        data += 8;
    }
    if (count > (uint64_t)(end - data) / 4)
        return &fault_format;
    if (element->length + count > element->capacity) {
        int64_t more = element->length / 2 > count ? element->length / 2 : count;
        if (reserve(element, more + 64, 0, column->decoder->err) != MR_OK)
            return &fault_memory;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (end - data < 4)
            return &fault_format;
        uint32_t length = load32(data);
        data += 4;
        const struct fault *fault;
        if (length == UINT32_MAX) {
            fault = append_null(element);
        } else {
            if (length > (uint64_t)(end - data))
                return &fault_format;
            fault = element->decode(element, data, length);
            data += length;
        }
        if (fault)
            return fault;
    }
    if (data != end || element->length > INT32_MAX)
        return &fault_format;
    ((int32_t *)(void *)column->values)[++column->length] = (int32_t)element->length;
    return NULL;
}

static const decode_fn decoders[] = {
    [MR_COPY_BOOL] = decode_bool,
    [MR_COPY_INT2] = decode_int2,
    [MR_COPY_INT4] = decode_4,
    [MR_COPY_INT8] = decode_8,
    [MR_COPY_FLOAT4] = decode_4,
    [MR_COPY_FLOAT8] = decode_8,
    [MR_COPY_NUMERIC] = decode_decimal64,
    [MR_COPY_NUMERIC_TEXT] = decode_numeric_text,
    [MR_COPY_NUMERIC_DOUBLE] = decode_numeric_double,
    [MR_COPY_TEXT] = decode_bytes,
    [MR_COPY_JSONB] = decode_jsonb,
    [MR_COPY_BYTEA] = decode_bytes,
    [MR_COPY_DATE] = decode_date,
    [MR_COPY_TIME] = decode_8,
    [MR_COPY_TIMESTAMP] = decode_timestamp,
    [MR_COPY_INTERVAL] = decode_interval,
    [MR_COPY_UUID] = decode_uuid,
    [MR_COPY_ARRAY] = decode_array,
};

/* --- the decoder --- */

static enum mr_status init_column(struct mr_copy_decoder *decoder, struct mr_copy_column *column,
                                  const struct mr_copy_field *field, struct mr_builder *builder,
                                  struct mr_error *err)
{
    column->decoder = decoder;
    column->builder = builder;
    column->decode = decoders[field->kind];
    column->width = builder->width;
    column->precision = field->type->precision;
    column->scale = field->type->scale;
    column->infinity_null = field->infinity_null;
    if (field->kind == MR_COPY_NUMERIC && builder->layout == MR_LAYOUT_I128)
        column->decode = decode_decimal128;
    if (field->kind != MR_COPY_ARRAY)
        return MR_OK;
    column->element = mr_calloc(1, sizeof *column->element);
    if (column->element == NULL)
        return mr_error_nomem(err);
    return init_column(decoder, column->element, field->element, &builder->children[0], err);
}

enum mr_status mr_copy_decoder_init(struct mr_copy_decoder *decoder, struct mr_memory *memory,
                                    const struct mr_copy_field *fields, int nfields,
                                    const char *origin, struct mr_error *err)
{
    *decoder = (struct mr_copy_decoder){.fields = fields, .nfields = nfields, .origin = origin};
    decoder->columns = mr_calloc((size_t)nfields + 1, sizeof *decoder->columns);
    if (decoder->columns == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < nfields; i++) {
        struct mr_copy_column *column = &decoder->columns[i];
        enum mr_status status = mr_builder_init(&column->storage, memory, fields[i].type, err);
        if (status == MR_OK)
            status = init_column(decoder, column, &fields[i], &column->storage, err);
        if (status != MR_OK) {
            mr_copy_decoder_reset(decoder);
            return status;
        }
    }
    return MR_OK;
}

void mr_copy_decoder_reset(struct mr_copy_decoder *decoder)
{
    for (int i = 0; decoder->columns && i < decoder->nfields; i++) {
        struct mr_copy_column *column = &decoder->columns[i];
        if (column->builder) {
            sync(column);
            mr_builder_reset(&column->storage);
        }
        mr_free(column->element);
    }
    mr_free(decoder->columns);
    decoder->columns = NULL;
}

static void empty_column(struct mr_copy_column *column)
{
    column->length = column->nulls = column->capacity = 0;
    column->data_size = column->data_capacity = 0;
    column->values = column->data = column->validity = NULL;
    if (column->element)
        empty_column(column->element);
}

static enum mr_status begin_column(struct mr_copy_column *column, int64_t rows,
                                   struct mr_error *err)
{
    size_t bytes = 0;
    if (column->builder->layout == MR_LAYOUT_BYTES)
        bytes = column->last_data_size + column->last_data_size / 8 + 64;
    MR_TRY(reserve(column, rows, bytes, err));
    if (column->element)
        return begin_column(column->element, rows, err);
    return MR_OK;
}

enum mr_status mr_copy_decoder_begin(struct mr_copy_decoder *decoder, int64_t rows,
                                     struct mr_error *err)
{
    assert(rows > 0);
    for (int i = 0; i < decoder->nfields; i++)
        MR_TRY(begin_column(&decoder->columns[i], rows, err));
    decoder->capacity = rows;
    decoder->rows = decoder->bytes = 0;
    return MR_OK;
}

static enum mr_status value_error(struct mr_copy_decoder *decoder, int field,
                                  const struct fault *fault, struct mr_error *err)
{
    const char *name = decoder->fields[field].name;
    long long row = (long long)(decoder->total + decoder->rows + 1);
    if (fault == &fault_memory) {
        mr_error_prefix(err, "%s, column \"%s\", row %lld of the split", decoder->origin, name,
                        row);
        return err ? err->status : MR_NOMEM;
    }
    mr_error_data(err, MR_SOURCE, "%s, column \"%s\", row %lld of the split: %s", decoder->origin,
                  name, row, fault->reason);
    mr_error_hint(err, "%s", fault->hint);
    return MR_SOURCE;
}

static enum mr_status stream_error(const struct mr_copy_decoder *decoder, const char *what,
                                   struct mr_error *err)
{
    return mr_error_data(err, MR_SOURCE,
                         "%s, row %lld of the split: the server's COPY data is malformed: %s",
                         decoder->origin, (long long)(decoder->total + decoder->rows + 1), what);
}

static enum mr_status read_header(struct mr_copy_decoder *decoder, const uint8_t **at,
                                  const uint8_t *end, struct mr_error *err)
{
    static const char signature[11] = "PGCOPY\n\377\r\n";
    if (end - *at < 19 || memcmp(*at, signature, 11) != 0)
        return stream_error(decoder, "no binary signature", err);
    uint32_t flags = load32(*at + 11);
    uint32_t extension = load32(*at + 15);
    *at += 19;
    if (flags & 0xFFFF0000)
        return stream_error(decoder, "unknown critical flags", err);
    if (extension > (uint64_t)(end - *at))
        return stream_error(decoder, "the header is cut", err);
    *at += extension;
    decoder->header_seen = true;
    return MR_OK;
}

/* One tuple behind its field count. */
static enum mr_status read_tuple(struct mr_copy_decoder *decoder, const uint8_t **from,
                                 const uint8_t *end, struct mr_error *err)
{
    const uint8_t *at = *from;
    int nfields = decoder->nfields;
    struct mr_copy_column *column = decoder->columns;
    for (int i = 0; i < nfields; i++, column++) {
        if (end - at < 4)
            return stream_error(decoder, "a tuple is cut", err);
        uint32_t size = load32(at);
        at += 4;
        const struct fault *fault;
        if (size == UINT32_MAX) {
            fault = append_null(column);
        } else {
            if (size > (uint64_t)(end - at))
                return stream_error(decoder, "a field is cut", err);
            fault = column->decode(column, at, size);
            at += size;
        }
        if (__builtin_expect(fault != NULL, 0))
            return value_error(decoder, i, fault, err);
    }
    *from = at;
    decoder->rows++;
    return MR_OK;
}

static enum mr_status grow_rows(struct mr_copy_decoder *decoder, struct mr_error *err)
{
    for (int i = 0; i < decoder->nfields; i++)
        MR_TRY(reserve(&decoder->columns[i], decoder->capacity, 0, err));
    decoder->capacity *= 2;
    return MR_OK;
}

enum mr_status mr_copy_decoder_message(struct mr_copy_decoder *decoder, const void *data,
                                       size_t size, struct mr_error *err)
{
    const uint8_t *at = data;
    const uint8_t *end = at + size;
    decoder->err = err;
    decoder->bytes += (int64_t)size;
    if (!decoder->header_seen)
        MR_TRY(read_header(decoder, &at, end, err));
    while (at < end) {
        if (end - at < 2 || decoder->done)
            return stream_error(decoder, "bytes behind a tuple", err);
        int count = (int16_t)load16(at);
        at += 2;
        if (count == -1) {
            decoder->done = true;
            continue;
        }
        if (count != decoder->nfields) {
            mr_error_data(err, MR_SOURCE, "%s: a row has %d columns where %d were planned",
                          decoder->origin, count, decoder->nfields);
            mr_error_hint(err, "the table was changed between planning and reading; run again");
            return MR_SOURCE;
        }
        if (decoder->rows == decoder->capacity)
            MR_TRY(grow_rows(decoder, err));
        MR_TRY(read_tuple(decoder, &at, end, err));
    }
    return MR_OK;
}

enum mr_status mr_copy_decoder_finish(struct mr_copy_decoder *decoder,
                                      const struct mr_schema *schema, struct mr_batch **out,
                                      struct mr_error *err)
{
    *out = NULL;
    int n = decoder->nfields;
    struct mr_column **columns = mr_calloc((size_t)n + 1, sizeof(struct mr_column *));
    if (columns == NULL)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (int i = 0; i < n && status == MR_OK; i++) {
        struct mr_copy_column *column = &decoder->columns[i];
        sync(column);
        column->last_data_size = column->data_size;
        status = mr_builder_finish(&column->storage, &columns[i], err);
        empty_column(column);
    }
    if (status == MR_OK) {
        status = mr_batch_new(schema, decoder->rows, columns, out, err);
    } else {
        for (int i = 0; i < n; i++)
            mr_column_unref(columns[i]);
    }
    mr_free(columns);
    decoder->total += decoder->rows;
    decoder->rows = decoder->capacity = decoder->bytes = 0;
    return status;
}
