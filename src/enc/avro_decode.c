/*
 * avro_decode.c - runs a plan over bytes.
 *
 * Every node takes its bytes from one cursor and appends to one builder; a row is the nodes of the plan in turn. Builders are
 * written directly: the only checks for a value are those for the end of the bytes and for room. The alternative, a pass
 * a column over a block, would have to find the start of each value in rows that have no fixed places.
 *
 * Nothing read is believed before it is compared with the bytes that are left: a count of elements that take bytes may not be
 * larger than those; elements that take none (null, empty records: AVRO-4241) are drawn from a budget of the decoder.
 */
#include "enc/avro_plan.h"

#include "base/text.h"
#include "base/time.h"
#include "enc/avro_wire.h"

#include <assert.h>

/* Elements without bytes that one decoder makes or skips. */
#define FREE_ELEMENTS ((int64_t)16 << 20)
/* The same of one message. */
#define FREE_ELEMENTS_ROW ((int64_t)64 << 10)
/* Data that nobody reads may be nested deeper than columns can be (linked lists). */
#define MAX_SKIP_DEPTH 1000

struct mr_avro_decoder {
    const struct mr_avro_plan *plan;
    struct mr_builder *columns;
    struct mr_rows *onto;       /* whose builders they are; NULL = its own */
    struct mr_row_fault *fault; /* where what is wrong with a row is told, or NULL: in an error */
    struct mr_builder **slots;
    int64_t free_elements;
    int64_t rows;
    int depth;
    struct mr_error *err;
    enum mr_status status;
};

/* ---- failures: the status is kept, the way out is false ---- */

static bool fail(struct mr_avro_decoder *decoder, enum mr_status status)
{
    if (decoder->status == MR_OK)
        decoder->status = status;
    return false;
}

__attribute__((noinline, cold)) static bool cut(struct mr_avro_decoder *decoder,
                                                const struct avro_node *node)
{
    if (decoder->fault) {
        mr_row_fault_set(decoder->fault, node->path, "the Avro data end, or are damaged");
        return false;
    }
    return fail(decoder,
                mr_error_data(decoder->err, MR_SOURCE, "the Avro data end, or are damaged, in %s%s",
                              node->path ? "field " : "a row", node->path ? node->path : ""));
}

__attribute__((noinline, cold)) static bool bad(struct mr_avro_decoder *decoder,
                                                const struct avro_node *node, const char *what)
{
    if (decoder->fault) {
        mr_row_fault_set(decoder->fault, node->path, "%s", what);
        return false;
    }
    return fail(decoder, mr_error_data(decoder->err, MR_SOURCE, "field %s: %s",
                                       node->path ? node->path : "(not read)", what));
}

/* ---- storing ---- */

__attribute__((noinline, cold)) static bool grow(struct mr_avro_decoder *decoder,
                                                 struct mr_builder *builder, size_t bytes)
{
    enum mr_status status =
        mr_builder_reserve(builder, 1, bytes > INT32_MAX ? INT64_MAX : (int64_t)bytes,
                           decoder->err);
    return status == MR_OK || fail(decoder, status);
}

static inline bool room(struct mr_avro_decoder *decoder, struct mr_builder *builder)
{
    return builder->length < builder->capacity || grow(decoder, builder, 0);
}

static inline bool put_i64(struct mr_avro_decoder *decoder, const struct avro_node *node,
                           int64_t value)
{
    struct mr_builder *builder = decoder->slots[node->slot];
    if (!room(decoder, builder))
        return false;
    ((int64_t *)(void *)builder->values->data)[builder->length++] = value;
    return true;
}

static inline bool put_bytes(struct mr_avro_decoder *decoder, const struct avro_node *node,
                             const void *data, size_t size)
{
    struct mr_builder *builder = decoder->slots[node->slot];
    if (builder->length == builder->capacity || !builder->data ||
        builder->data->capacity - builder->data->size < size ||
        builder->data->size + size > INT32_MAX) {
        if (!grow(decoder, builder, size))
            return false;
    }
    memcpy(builder->data->data + builder->data->size, data, size);
    builder->data->size += size;
    ((int32_t *)(void *)builder->values->data)[++builder->length] = (int32_t)builder->data->size;
    return true;
}

static bool put_null(struct mr_avro_decoder *decoder, const struct avro_node *node)
{
    struct mr_builder *builder = decoder->slots[node->slot];
    if (node->not_null)
        return bad(decoder, node, "null in a column that may not be NULL");
    /* The common case, without a call: a leaf whose bitmap is there. */
    if (builder->validity && builder->length < builder->capacity && builder->width > 0 &&
        builder->nchildren == 0) {
        int64_t at = builder->length++;
        mr_bitmap_clear(builder->validity->data, at);
        builder->nulls++;
        if (builder->layout == MR_LAYOUT_BYTES)
            ((int32_t *)(void *)builder->values->data)[at + 1] =
                ((int32_t *)(void *)builder->values->data)[at];
        else
            memset(builder->values->data + at * builder->width, 0, (size_t)builder->width);
        return true;
    }
    enum mr_status status = mr_builder_null(builder, decoder->err);
    return status == MR_OK || fail(decoder, status);
}

static bool put_decimal(struct mr_avro_decoder *decoder, const struct avro_node *node,
                        mr_int128 value)
{
    if (node->shift > 0 && !mr_decimal_rescale(value, 0, node->shift, &value))
        return bad(decoder, node, "a decimal has more digits than its column");
    if (!mr_decimal_fits(value, node->precision))
        return bad(decoder, node, "a decimal has more digits than its type says");
    enum mr_status status = mr_builder_decimal(decoder->slots[node->slot], value, decoder->err);
    return status == MR_OK || fail(decoder, status);
}

/* ---- scalars ---- */

static inline bool ascii(const uint8_t *data, size_t size)
{
    uint64_t any = 0, word;
    while (size >= 8) {
        memcpy(&word, data, 8);
        any |= word;
        data += 8;
        size -= 8;
    }
    for (size_t i = 0; i < size; i++)
        any |= data[i];
    return !(any & UINT64_C(0x8080808080808080));
}

static inline bool take(struct mr_avro_decoder *decoder, const struct avro_node *node,
                        struct mr_avro_cursor *in, struct mr_slice *out)
{
    int64_t size;
    if (!mr_avro_get_size(in, &size))
        return cut(decoder, node);
    *out = (struct mr_slice){(const char *)in->at, (size_t)size};
    in->at += size;
    return true;
}

static inline bool take_raw(struct mr_avro_decoder *decoder, const struct avro_node *node,
                            struct mr_avro_cursor *in, size_t size, struct mr_slice *out)
{
    if ((size_t)(in->end - in->at) < size)
        return cut(decoder, node);
    *out = (struct mr_slice){(const char *)in->at, size};
    in->at += size;
    return true;
}

static inline bool text(struct mr_avro_decoder *decoder, const struct avro_node *node,
                        struct mr_avro_cursor *in)
{
    struct mr_slice value = {NULL, 0};
    if (!take(decoder, node, in, &value))
        return false;
    if (!ascii((const uint8_t *)value.data, value.size) &&
        mr_utf8_valid_prefix(value.data, value.size) != value.size)
        return bad(decoder, node, "a string is not UTF-8");
    return put_bytes(decoder, node, value.data, value.size);
}

static bool symbol(struct mr_avro_decoder *decoder, const struct avro_node *node,
                   struct mr_avro_cursor *in)
{
    int64_t index;
    if (!mr_avro_get_int(in, &index))
        return cut(decoder, node);
    if (index < 0 || index >= node->count)
        return bad(decoder, node, "an enum's number has no symbol");
    if (!node->symbols[index].data)
        return bad(decoder, node,
                   "a symbol of the writer's enum is none of the reader's, which "
                   "has no default");
    return put_bytes(decoder, node, node->symbols[index].data, node->symbols[index].size);
}

static bool text_symbol(struct mr_avro_decoder *decoder, const struct avro_node *node,
                        struct mr_avro_cursor *in)
{
    struct mr_slice value = {NULL, 0};
    if (!take(decoder, node, in, &value))
        return false;
    for (int i = 0; i < node->count; i++)
        if (mr_slice_equal(node->symbols[i], value))
            return put_bytes(decoder, node, value.data, value.size);
    if (!node->fallback.data)
        return bad(decoder, node, "a value is none of the enum's symbols, which has no default");
    return put_bytes(decoder, node, node->fallback.data, node->fallback.size);
}

static bool decimal(struct mr_avro_decoder *decoder, const struct avro_node *node,
                    struct mr_slice value)
{
    const uint8_t *at = (const uint8_t *)value.data;
    size_t size = value.size;
    uint8_t sign = size > 0 && at[0] >= 0x80 ? 0xFF : 0;
    while (size > 16 && *at == sign) {
        at++;
        size--;
    }
    if (size > 16 || value.size == 0 || (size == 16 && value.size > 16 && (*at >= 0x80) != !!sign))
        return bad(decoder, node, "a decimal has no bytes, or more digits than its type says");
    mr_uint128 bits = sign ? ~(mr_uint128)0 : 0;
    for (size_t i = 0; i < size; i++)
        bits = bits << 8 | at[i];
    return put_decimal(decoder, node, (mr_int128)bits);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool uuid_text(struct mr_avro_decoder *decoder, const struct avro_node *node,
                      struct mr_avro_cursor *in)
{
    struct mr_slice value = {NULL, 0};
    uint8_t out[16];
    if (!take(decoder, node, in, &value))
        return false;
    const char *at = value.data;
    for (int i = 0; value.size == 36 && i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            if (*at++ != '-')
                return bad(decoder, node, "a text is no UUID");
        int high = hex(at[0]), low = hex(at[1]);
        if (high < 0 || low < 0)
            return bad(decoder, node, "a text is no UUID");
        out[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    if (value.size != 36)
        return bad(decoder, node, "a text is no UUID");
    enum mr_status status = mr_builder_fixed16(decoder->slots[node->slot], out, decoder->err);
    return status == MR_OK || fail(decoder, status);
}

static bool duration(struct mr_avro_decoder *decoder, const struct avro_node *node,
                     struct mr_avro_cursor *in)
{
    uint32_t part[3];
    if (!mr_avro_get_raw(in, part, sizeof part))
        return cut(decoder, node);
    if (part[0] > INT32_MAX || part[1] > INT32_MAX)
        return bad(decoder, node, "a duration of more than 2^31-1 months or days");
    struct mr_interval value = {.months = (int32_t)part[0],
                                .days = (int32_t)part[1],
                                .micros = (int64_t)part[2] * 1000};
    enum mr_status status = mr_builder_fixed16(decoder->slots[node->slot], &value, decoder->err);
    return status == MR_OK || fail(decoder, status);
}

static bool scaled(struct mr_avro_decoder *decoder, const struct avro_node *node,
                   struct mr_avro_cursor *in)
{
    int64_t value;
    if (!(node->narrow ? mr_avro_get_int(in, &value) : mr_avro_get_long(in, &value)))
        return cut(decoder, node);
    if (node->op == AVRO_NANOS) {
        if (value % 1000 != 0)
            return bad(decoder, node, "a timestamp has nanoseconds, columns hold microseconds");
        value /= 1000;
    } else if (__builtin_mul_overflow(value, node->factor, &value)) {
        return bad(decoder, node, "a timestamp is out of range");
    }
    if (node->time && (value < 0 || value >= MR_MICROS_PER_DAY))
        return bad(decoder, node, "a time of day is out of range");
    return put_i64(decoder, node, value);
}

static bool real(struct mr_avro_decoder *decoder, const struct avro_node *node,
                 struct mr_avro_cursor *in)
{
    int64_t integer = 0;
    float narrow = 0;
    double wide = 0;
    bool there;
    if (node->op == AVRO_F32 || node->op == AVRO_F32_F64)
        there = mr_avro_get_raw(in, &narrow, sizeof narrow);
    else if (node->op == AVRO_F64)
        there = mr_avro_get_raw(in, &wide, sizeof wide);
    else
        there = node->narrow ? mr_avro_get_int(in, &integer) : mr_avro_get_long(in, &integer);
    if (!there)
        return cut(decoder, node);
    if (node->op == AVRO_F32_F64)
        wide = (double)narrow;
    else if (node->op == AVRO_VARINT_F64)
        wide = (double)integer;
    else if (node->op == AVRO_VARINT_F32 || node->op == AVRO_VARINT_F32_F64)
        wide = (double)(float)integer;
    struct mr_builder *builder = decoder->slots[node->slot];
    if (!room(decoder, builder))
        return false;
    if (builder->layout == MR_LAYOUT_F32)
        ((float *)(void *)builder->values->data)[builder->length++] =
            node->op == AVRO_F32 ? narrow : (float)wide;
    else
        ((double *)(void *)builder->values->data)[builder->length++] = wide;
    return true;
}

/* ---- nested ---- */

static bool run(struct mr_avro_decoder *decoder, const struct avro_node *node,
                struct mr_avro_cursor *in);

/* The head of a block of elements: their number, 0 at the end; bytes -1 where they are not told. */
static bool next_block(struct mr_avro_decoder *decoder, const struct avro_node *node,
                       struct mr_avro_cursor *in, int64_t *count, int64_t *bytes)
{
    *bytes = -1;
    if (!mr_avro_get_long(in, count) || *count == INT64_MIN)
        return cut(decoder, node);
    if (*count < 0) {
        *count = -*count;
        if (!mr_avro_get_size(in, bytes))
            return cut(decoder, node);
    }
    if (!node->empty && *count > in->end - in->at)
        return cut(decoder, node);
    if (node->empty) {
        if (*count > decoder->free_elements)
            return bad(decoder, node, "too many elements that take no bytes");
        decoder->free_elements -= *count;
    }
    return true;
}

static bool list(struct mr_avro_decoder *decoder, const struct avro_node *node,
                 struct mr_avro_cursor *in)
{
    int64_t count, bytes;
    do {
        if (!next_block(decoder, node, in, &count, &bytes))
            return false;
        for (int64_t i = 0; i < count; i++)
            if (!run(decoder, node->children[0], in))
                return false;
    } while (count > 0);
    enum mr_status status = mr_builder_list(decoder->slots[node->slot], decoder->err);
    return status == MR_OK || fail(decoder, status);
}

static bool map(struct mr_avro_decoder *decoder, const struct avro_node *node,
                struct mr_avro_cursor *in)
{
    struct mr_builder *builder = decoder->slots[node->slot];
    int64_t count, bytes;
    enum mr_status status;
    do {
        if (!next_block(decoder, node, in, &count, &bytes))
            return false;
        for (int64_t i = 0; i < count; i++) {
            if (!text(decoder, node->children[0], in) || !run(decoder, node->children[1], in))
                return false;
            status = mr_builder_struct(&builder->children[0], decoder->err);
            if (status != MR_OK)
                return fail(decoder, status);
        }
    } while (count > 0);
    status = mr_builder_list(builder, decoder->err);
    return status == MR_OK || fail(decoder, status);
}

static bool record(struct mr_avro_decoder *decoder, const struct avro_node *node,
                   struct mr_avro_cursor *in)
{
    for (int i = 0; i < node->count; i++)
        if (!run(decoder, node->children[i], in))
            return false;
    enum mr_status status = mr_builder_struct(decoder->slots[node->slot], decoder->err);
    return status == MR_OK || fail(decoder, status);
}

static bool member(struct mr_avro_decoder *decoder, const struct avro_node *node,
                   struct mr_avro_cursor *in)
{
    struct mr_builder *builder = decoder->slots[node->slot];
    enum mr_status status = MR_OK;
    if (!run(decoder, node->children[0], in))
        return false;
    for (int i = 0; status == MR_OK && i < builder->nchildren; i++)
        if (i != node->size)
            status = mr_builder_null(&builder->children[i], decoder->err);
    if (status == MR_OK)
        status = mr_builder_struct(builder, decoder->err);
    return status == MR_OK || fail(decoder, status);
}

static bool branch(struct mr_avro_decoder *decoder, const struct avro_node *node,
                   struct mr_avro_cursor *in)
{
    int64_t index;
    if (!mr_avro_get_long(in, &index))
        return cut(decoder, node);
    if (index < 0 || index >= node->count)
        return bad(decoder, node, "a union's number has no branch");
    return run(decoder, node->children[index], in);
}

static inline bool nullable(struct mr_avro_decoder *decoder, const struct avro_node *node,
                            struct mr_avro_cursor *in)
{
    int64_t index;
    if (in->at < in->end && (*in->at & ~2) == 0)
        index = *in->at++ >> 1;
    else if (!mr_avro_get_long(in, &index))
        return cut(decoder, node);
    if (index == node->null_index)
        return put_null(decoder, node);
    if (index != 1 - node->null_index)
        return bad(decoder, node, "a union's number has no branch");
    return run(decoder, node->children[0], in);
}

/* ---- what nobody reads ---- */

static bool skip_list(struct mr_avro_decoder *decoder, const struct avro_node *node,
                      struct mr_avro_cursor *in)
{
    int64_t count, bytes, size;
    do {
        if (!next_block(decoder, node, in, &count, &bytes))
            return false;
        if (bytes >= 0) {
            in->at += bytes;
            continue;
        }
        for (int64_t i = 0; i < count && !(node->empty && i > 0); i++) {
            if (node->keyed) {
                if (!mr_avro_get_size(in, &size))
                    return cut(decoder, node);
                in->at += size;
            }
            if (!run(decoder, node->children[0], in))
                return false;
        }
    } while (count > 0);
    return true;
}

static bool skip_deep(struct mr_avro_decoder *decoder, const struct avro_node *node,
                      struct mr_avro_cursor *in)
{
    bool fine = true;
    if (decoder->depth >= MAX_SKIP_DEPTH)
        return bad(decoder, node, "nested more than 1000 deep");
    decoder->depth++;
    if (node->op == AVRO_SKIP_LIST)
        fine = skip_list(decoder, node, in);
    else if (node->op == AVRO_SKIP_UNION)
        fine = branch(decoder, node, in);
    else
        for (int i = 0; fine && i < node->count; i++)
            fine = run(decoder, node->children[i], in);
    decoder->depth--;
    return fine;
}

/* ---- one node ---- */

static bool run_scalar(struct mr_avro_decoder *decoder, const struct avro_node *node,
                       struct mr_avro_cursor *in)
{
    struct mr_slice value = {NULL, 0};
    int64_t number;
    enum mr_status status;
    switch (node->op) {
    case AVRO_SKIP_RAW:
    case AVRO_RAW:
    case AVRO_DECIMAL_RAW:
    case AVRO_UUID_RAW:
        if (!take_raw(decoder, node, in, (size_t)node->size, &value))
            return false;
        break;
    case AVRO_VARINT_DECIMAL:
        if (!(node->narrow ? mr_avro_get_int(in, &number) : mr_avro_get_long(in, &number)))
            return cut(decoder, node);
        return put_decimal(decoder, node, number);
    default:
        if (!take(decoder, node, in, &value))
            return false;
    }
    switch (node->op) {
    case AVRO_RAW:
    case AVRO_BYTES:
        return put_bytes(decoder, node, value.data, value.size);
    case AVRO_BYTES_RAW:
        if (value.size != (size_t)node->size)
            return bad(decoder, node, "a value has not the size of the fixed");
        return put_bytes(decoder, node, value.data, value.size);
    case AVRO_DECIMAL:
    case AVRO_DECIMAL_RAW:
        return decimal(decoder, node, value);
    case AVRO_UUID_RAW:
        status = mr_builder_fixed16(decoder->slots[node->slot], value.data, decoder->err);
        return status == MR_OK || fail(decoder, status);
    default:
        return true;
    }
}

static bool run_rare(struct mr_avro_decoder *decoder, const struct avro_node *node,
                     struct mr_avro_cursor *in)
{
    struct mr_avro_cursor from;
    switch (node->op) {
    case AVRO_SKIP_LIST:
    case AVRO_SKIP_RECORD:
    case AVRO_SKIP_UNION:
        return skip_deep(decoder, node, in);
    case AVRO_SCALED:
    case AVRO_NANOS:
        return scaled(decoder, node, in);
    case AVRO_TEXT_ENUM:
        return text_symbol(decoder, node, in);
    case AVRO_UUID_TEXT:
        return uuid_text(decoder, node, in);
    case AVRO_DURATION:
        return duration(decoder, node, in);
    case AVRO_LIST:
        return list(decoder, node, in);
    case AVRO_MAP:
        return map(decoder, node, in);
    case AVRO_RECORD:
        return record(decoder, node, in);
    case AVRO_MEMBER:
        return member(decoder, node, in);
    case AVRO_UNION:
        return branch(decoder, node, in);
    case AVRO_DEFAULT:
        from.at = (const uint8_t *)node->data.data;
        from.end = from.at + node->data.size;
        return run(decoder, node->children[0], &from);
    case AVRO_FAIL:
        if (decoder->fault) {
            mr_row_fault_set(decoder->fault, NULL, "%s", node->data.data);
            return false;
        }
        return fail(decoder, mr_error_data(decoder->err, MR_SOURCE, "%s", node->data.data));
    default:
        return run_scalar(decoder, node, in);
    }
}

/* The frequent ones here, so that a flat row is one loop. */
static bool run(struct mr_avro_decoder *decoder, const struct avro_node *node,
                struct mr_avro_cursor *in)
{
    struct mr_builder *builder;
    int64_t number;
    switch (node->op) {
    case AVRO_I64:
        if (!mr_avro_get_long(in, &number) || (node->narrow && number != (int32_t)number))
            return cut(decoder, node);
        return put_i64(decoder, node, number);
    case AVRO_I32:
        if (!mr_avro_get_int(in, &number))
            return cut(decoder, node);
        builder = decoder->slots[node->slot];
        if (!room(decoder, builder))
            return false;
        ((int32_t *)(void *)builder->values->data)[builder->length++] = (int32_t)number;
        return true;
    case AVRO_BOOL:
        if (in->at == in->end || *in->at > 1)
            return cut(decoder, node);
        builder = decoder->slots[node->slot];
        if (!room(decoder, builder))
            return false;
        builder->values->data[builder->length++] = *in->at++;
        return true;
    case AVRO_F32:
    case AVRO_F64:
    case AVRO_F32_F64:
    case AVRO_VARINT_F32:
    case AVRO_VARINT_F64:
    case AVRO_VARINT_F32_F64:
        return real(decoder, node, in);
    case AVRO_TEXT:
        return text(decoder, node, in);
    case AVRO_NULLABLE:
        return nullable(decoder, node, in);
    case AVRO_NULL:
        return put_null(decoder, node);
    case AVRO_ENUM:
        return symbol(decoder, node, in);
    case AVRO_SKIP_VARINT:
        return mr_avro_get_long(in, &number) || cut(decoder, node);
    default:
        return run_rare(decoder, node, in);
    }
}

/* ---- the decoder ---- */

static void collect(struct mr_builder *builder, struct mr_builder **slots, int *count)
{
    slots[(*count)++] = builder;
    for (int i = 0; i < builder->nchildren; i++)
        collect(&builder->children[i], slots, count);
}

/* Finds the builders of the columns, which are there. */
static enum mr_status find_slots(struct mr_avro_decoder *decoder, struct mr_error *err)
{
    const struct mr_avro_plan *plan = decoder->plan;
    int slots = 0;
    decoder->slots = mr_calloc((size_t)plan->slots + 1, sizeof(void *));
    if (!decoder->slots)
        return mr_error_nomem(err);
    for (int i = 0; i < plan->columns->nfields; i++)
        collect(&decoder->columns[i], decoder->slots, &slots);
    assert(slots == plan->slots);
    return MR_OK;
}

enum mr_status mr_avro_decoder_new(const struct mr_avro_plan *plan, struct mr_memory *memory,
                                   struct mr_avro_decoder **out, struct mr_error *err)
{
    const struct mr_schema *schema = plan->columns;
    struct mr_avro_decoder *decoder = mr_calloc(1, sizeof *decoder);
    *out = NULL;
    if (!decoder)
        return mr_error_nomem(err);
    *decoder = (struct mr_avro_decoder){.plan = plan, .free_elements = FREE_ELEMENTS};
    decoder->columns = mr_calloc((size_t)schema->nfields + 1, sizeof *decoder->columns);
    enum mr_status status = decoder->columns ? MR_OK : mr_error_nomem(err);
    for (int i = 0; status == MR_OK && i < schema->nfields; i++)
        status = mr_builder_init(&decoder->columns[i], memory, schema->fields[i].type, err);
    if (status == MR_OK)
        status = find_slots(decoder, err);
    if (status == MR_OK)
        *out = decoder;
    else
        mr_avro_decoder_free(decoder);
    return status;
}

enum mr_status mr_avro_decoder_onto(const struct mr_avro_plan *plan, struct mr_rows *rows,
                                    struct mr_avro_decoder **out, struct mr_error *err)
{
    struct mr_avro_decoder *decoder = mr_calloc(1, sizeof *decoder);
    *out = NULL;
    if (!decoder)
        return mr_error_nomem(err);
    assert(rows->schema->nfields == plan->columns->nfields);
    *decoder = (struct mr_avro_decoder){.plan = plan, .onto = rows, .columns = rows->builders};
    enum mr_status status = find_slots(decoder, err);
    if (status == MR_OK)
        *out = decoder;
    else
        mr_avro_decoder_free(decoder);
    return status;
}

void mr_avro_decoder_free(struct mr_avro_decoder *decoder)
{
    if (!decoder)
        return;
    for (int i = 0; !decoder->onto && decoder->columns && i < decoder->plan->columns->nfields; i++)
        mr_builder_reset(&decoder->columns[i]);
    if (!decoder->onto)
        mr_free(decoder->columns);
    mr_free(decoder->slots);
    mr_free(decoder);
}

enum mr_status mr_avro_decode(struct mr_avro_decoder *decoder, struct mr_slice data, int64_t rows,
                              size_t most, size_t *used, int64_t *done, struct mr_error *err)
{
    const struct mr_avro_plan *plan = decoder->plan;
    struct mr_avro_cursor in = {(const uint8_t *)data.data, (const uint8_t *)data.data + data.size};
    const uint8_t *enough = most < data.size ? in.at + most : in.end;
    int64_t row = 0;
    bool fine = true;
    decoder->err = err;
    decoder->status = MR_OK;
    *used = 0;
    while (row < rows) {
        for (int i = 0; fine && i < plan->count; i++)
            fine = run(decoder, plan->nodes[i], &in);
        if (!fine)
            break;
        row++;
        if (in.at >= enough && !plan->empty_rows)
            break;
    }
    decoder->rows += row;
    *done = row;
    *used = (size_t)(in.at - (const uint8_t *)data.data);
    return decoder->status;
}

enum mr_status mr_avro_decode_row(struct mr_avro_decoder *decoder, struct mr_slice data,
                                  struct mr_row_fault *fault, struct mr_error *err)
{
    const struct mr_avro_plan *plan = decoder->plan;
    struct mr_avro_cursor in = {(const uint8_t *)data.data, (const uint8_t *)data.data + data.size};
    bool fine = true;
    fault->found = false;
    decoder->err = err;
    decoder->status = MR_OK;
    decoder->fault = fault;
    decoder->free_elements = FREE_ELEMENTS_ROW;
    for (int i = 0; fine && i < plan->count; i++)
        fine = run(decoder, plan->nodes[i], &in);
    if (fine && in.at != in.end) {
        mr_row_fault_set(fault, NULL, "%zu bytes behind the Avro data", (size_t)(in.end - in.at));
        fine = false;
    }
    if (fine)
        decoder->onto->count++;
    else
        mr_rows_rollback(decoder->onto);
    return decoder->status;
}

int64_t mr_avro_decoder_rows(const struct mr_avro_decoder *decoder)
{
    return decoder->rows;
}

enum mr_status mr_avro_decoder_finish(struct mr_avro_decoder *decoder, struct mr_column **columns,
                                      struct mr_error *err)
{
    int count = decoder->plan->columns->nfields;
    enum mr_status status = MR_OK;
    int done = 0;
    decoder->rows = 0;
    for (; status == MR_OK && done < count; done++)
        status = mr_builder_finish(&decoder->columns[done], &columns[done], err);
    if (status == MR_OK)
        return MR_OK;
    for (int i = 0; i < done; i++) {
        mr_column_unref(columns[i]);
        columns[i] = NULL;
    }
    return status;
}
