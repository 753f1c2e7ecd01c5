/*
 * sort_key.c - normalised keys: the values of a row's keys as bytes whose order is the rows' order.
 *
 * Each key takes a fixed number of bytes, most significant first; a key that may be NULL has a byte
 * in front that says so. Descending keys have their bits inverted (not the NULL byte, which follows
 * NULLS FIRST or LAST alone). At most 32 bytes are used: comparing and moving them must stay cheap.
 *
 *   INT 5, nullable          01 80 00 00 05
 *   the same, descending     01 7F FF FF FA
 *   NULL, nulls last         02 00 00 00 00
 *   "ab"                     01 61 62 00 .. 00 02       14 bytes of text, then its length
 *   15 bytes or more         01 xx xx xx .. xx 0F       cut: equal words say nothing about the rest
 *
 * The length behind the text makes "a" less than "a\0" and tells texts that were cut. In data where
 * a text was cut, words decide only up to that key (mr_sort_mask), and the rows themselves behind it.
 * Refused: keys of variable length that hold everything. They need no second comparison, but every
 * entry then has a pointer, and sorting waits for memory where it now runs through an array.
 */
#include "col/sort.h"

#include <assert.h>
#include <math.h>

#define KEY_BYTES   (MR_SORT_MAX_WORDS * 8)
#define TEXT_PREFIX 14

struct mr_sort_part {
    int start;  /* byte of the NULL byte, or of the value */
    int value;  /* byte of the value */
    int prefix; /* bytes of text */
    int end;
};

/* Bytes that a value of a fixed-width type takes; 0 for none. */
static int fixed_width(const struct mr_type *type)
{
    switch (mr_type_layout(type)) {
    case MR_LAYOUT_BYTES:
    case MR_LAYOUT_LIST:
    case MR_LAYOUT_STRUCT:
    case MR_LAYOUT_NONE:
        return 0;
    default:
        return mr_layout_width(mr_type_layout(type));
    }
}

static bool holds_nothing(const struct mr_type *type)
{
    enum mr_layout layout = mr_type_layout(type);
    return layout == MR_LAYOUT_LIST || layout == MR_LAYOUT_STRUCT;
}

static enum mr_status layout_new(struct mr_arena *arena, const struct mr_sort_key *keys, int nkeys,
                                 struct mr_sort_layout **out, struct mr_error *err)
{
    struct mr_sort_layout *self = mr_arena_calloc(arena, 1, sizeof *self);
    struct mr_sort_key *copy = mr_arena_calloc(arena, (size_t)nkeys + 1, sizeof *copy);
    struct mr_sort_part *parts = mr_arena_calloc(arena, (size_t)nkeys + 1, sizeof *parts);
    if (!self || !copy || !parts)
        return mr_error_nomem(err);
    int at = 0, k = 0;
    for (; k < nkeys; k++) {
        copy[k] = keys[k];
        struct mr_sort_part *part = &parts[k];
        bool text = mr_type_layout(keys[k].type) == MR_LAYOUT_BYTES;
        int null_byte = keys[k].nullable || keys[k].type->id == MR_TYPE_NULL ? 1 : 0;
        int room = KEY_BYTES - at - null_byte;
        part->prefix = !text ? 0 : room - 1 < TEXT_PREFIX ? room - 1 : TEXT_PREFIX;
        int width = text ? part->prefix + 1 : fixed_width(keys[k].type);
        if (width > room || (text && part->prefix < 3))
            break;
        part->start = at;
        part->value = at + null_byte;
        part->end = at = part->value + width;
        if (holds_nothing(keys[k].type)) {
            k++;
            self->tie_key = k - 1;
            break;
        }
        self->tie_key = k + 1;
    }
    for (int i = k; i < nkeys; i++) {
        copy[i] = keys[i];
        parts[i] = (struct mr_sort_part){.start = at, .value = at, .end = at};
    }
    const struct mr_sort_layout **rest = mr_arena_calloc(arena, (size_t)nkeys + 1, sizeof *rest);
    if (!rest)
        return mr_error_nomem(err);
    self->rest = rest;
    self->nkeys = nkeys;
    self->keys = copy;
    self->parts = parts;
    self->words = (at + 7) / 8;
    *out = self;
    return MR_OK;
}

enum mr_status mr_sort_layout_new(struct mr_arena *arena, const struct mr_sort_key *keys, int nkeys,
                                  struct mr_sort_layout **out, struct mr_error *err)
{
    MR_TRY(layout_new(arena, keys, nkeys, out, err));
    /* What decides behind a key that was cut; the last one has nobody behind it. */
    struct mr_sort_layout *self = *out;
    self->rest[0] = self;
    for (int k = 1; k < nkeys; k++) {
        struct mr_sort_layout *rest;
        MR_TRY(layout_new(arena, keys + k, nkeys - k, &rest, err));
        self->rest[k] = rest;
    }
    return MR_OK;
}

int mr_sort_key_prefix(const struct mr_sort_layout *layout, int key)
{
    return layout->parts[key].prefix;
}

void mr_sort_mask(const struct mr_sort_layout *layout, int tie_key,
                  uint64_t mask[MR_SORT_MAX_WORDS])
{
    int end = tie_key < layout->nkeys ? layout->parts[tie_key].end : KEY_BYTES;
    for (int w = 0; w < MR_SORT_MAX_WORDS; w++) {
        int bytes = end - w * 8;
        mask[w] = bytes <= 0 ? 0 : bytes >= 8 ? UINT64_MAX : ~(UINT64_MAX >> (bytes * 8));
    }
}

/* Rows of one column on their way to bytes at `out`, `step` bytes apart. */
struct encoding {
    const struct mr_column *column; /* the rows' */
    const struct mr_column *flat;   /* where the values are */
    const int32_t *codes;
    int64_t from;
    int64_t count;
    uint8_t *out;
    size_t step;
    bool invert;
};

static int64_t place_of(const struct encoding *e, int64_t i)
{
    int64_t row = e->from + i;
    return e->codes ? e->codes[row] : e->column->encoding == MR_CONSTANT ? 0 : row;
}

static inline uint8_t big8(uint8_t x)
{
    return x;
}
static inline uint32_t bits_of_float(float x)
{
    uint32_t bits;
    if (x == 0)
        x = 0; /* -0.0 */
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        return UINT32_MAX;
    return bits >> 31 ? ~bits : bits | UINT32_C(1) << 31;
}
static inline uint64_t bits_of_double(double x)
{
    uint64_t bits;
    if (x == 0)
        x = 0;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        return UINT64_MAX;
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

#define OF_I8(v)  ((uint8_t)((uint8_t)(v) ^ 0x80u))
#define OF_I16(v) ((uint16_t)((uint16_t)(v) ^ 0x8000u))
#define OF_I32(v) ((uint32_t)(v) ^ UINT32_C(0x80000000))
#define OF_I64(v) ((uint64_t)(v) ^ UINT64_C(0x8000000000000000))

/* Values under NULL are encoded like others; the NULLs are put over them afterwards. */
#define ENCODE(name, T, U, BITS, SWAP)                                                             \
    static void name(const struct encoding *e)                                                     \
    {                                                                                              \
        const T *values = (const T *)(const void *)e->flat->values->data;                          \
        U flip = e->invert ? (U) ~(U)0 : 0;                                                        \
        uint8_t *out = e->out;                                                                     \
        bool dense = e->column == e->flat && e->column->encoding == MR_FLAT;                       \
        for (int64_t i = 0; i < e->count; i++, out += e->step) {                                   \
            int64_t at = dense ? e->from + i : place_of(e, i);                                     \
            if (!dense && e->codes && mr_column_is_null(e->column, e->from + i))                   \
                continue;                                                                          \
            U bits = SWAP((U)(BITS(values[at]) ^ flip));                                           \
            memcpy(out, &bits, sizeof bits);                                                       \
        }                                                                                          \
    }
ENCODE(encode_i8, int8_t, uint8_t, OF_I8, big8)
ENCODE(encode_i16, int16_t, uint16_t, OF_I16, __builtin_bswap16)
ENCODE(encode_i32, int32_t, uint32_t, OF_I32, __builtin_bswap32)
ENCODE(encode_i64, int64_t, uint64_t, OF_I64, __builtin_bswap64)
ENCODE(encode_f32, float, uint32_t, bits_of_float, __builtin_bswap32)
ENCODE(encode_f64, double, uint64_t, bits_of_double, __builtin_bswap64)

static void put64(uint8_t *out, uint64_t bits)
{
    bits = __builtin_bswap64(bits);
    memcpy(out, &bits, sizeof bits);
}

/* Decimals of more than 18 digits, UUIDs, intervals. */
static void encode_sixteen(const struct encoding *e)
{
    uint64_t flip = e->invert ? UINT64_MAX : 0;
    enum mr_type_id id = e->flat->type->id;
    for (int64_t i = 0; i < e->count; i++) {
        uint8_t *out = e->out + (size_t)i * e->step;
        if (mr_column_is_null(e->column, e->from + i))
            continue;
        const uint8_t *value = e->flat->values->data + place_of(e, i) * 16;
        uint64_t high, low;
        if (id == MR_TYPE_UUID) {
            memcpy(&high, value, 8);
            memcpy(&low, value + 8, 8);
            high = __builtin_bswap64(high);
            low = __builtin_bswap64(low);
        } else if (id == MR_TYPE_INTERVAL) {
            struct mr_interval interval;
            memcpy(&interval, value, sizeof interval);
            high = (uint64_t)OF_I32(interval.months) << 32 | OF_I32(interval.days);
            low = OF_I64(interval.micros);
        } else {
            mr_int128 number;
            memcpy(&number, value, sizeof number);
            high = OF_I64((uint64_t)(number >> 64));
            low = (uint64_t)number;
        }
        put64(out, high ^ flip);
        put64(out + 8, low ^ flip);
    }
}

/* True when some text did not fit. */
static bool encode_text(const struct encoding *e, int prefix)
{
    bool cut = false;
    uint8_t flip = e->invert ? 0xFF : 0;
    for (int64_t i = 0; i < e->count; i++) {
        uint8_t *out = e->out + (size_t)i * e->step;
        if (mr_column_is_null(e->column, e->from + i))
            continue;
        struct mr_slice text = mr_column_slice(e->flat, place_of(e, i));
        size_t size = text.size < (size_t)prefix ? text.size : (size_t)prefix;
        uint8_t bytes[TEXT_PREFIX + 1] = {0};
        memcpy(bytes, text.data, size);
        bytes[prefix] = (uint8_t)(text.size > (size_t)prefix ? prefix + 1 : (int)text.size);
        cut |= text.size > (size_t)prefix;
        for (int j = 0; j <= prefix; j++)
            out[j] = bytes[j] ^ flip;
    }
    return cut;
}

/* True when some value was cut. */
static bool encode_values(const struct encoding *e, const struct mr_sort_part *part)
{
    switch (mr_type_layout(e->flat->type)) {
    case MR_LAYOUT_I8:
        encode_i8(e);
        return false;
    case MR_LAYOUT_I16:
        encode_i16(e);
        return false;
    case MR_LAYOUT_I32:
        encode_i32(e);
        return false;
    case MR_LAYOUT_I64:
        encode_i64(e);
        return false;
    case MR_LAYOUT_F32:
        encode_f32(e);
        return false;
    case MR_LAYOUT_F64:
        encode_f64(e);
        return false;
    case MR_LAYOUT_I128:
    case MR_LAYOUT_FIXED16:
        encode_sixteen(e);
        return false;
    case MR_LAYOUT_BYTES:
        return encode_text(e, part->prefix);
    default:
        return false;
    }
}

static void encode_nulls(const struct mr_sort_key *key, const struct mr_sort_part *part,
                         const struct encoding *e)
{
    uint8_t null_byte = key->nulls_last ? 2 : 0;
    size_t back = (size_t)(part->value - part->start);
    size_t width = (size_t)(part->end - part->value);
    bool any = e->column->type->id == MR_TYPE_NULL || e->column->nulls > 0;
    for (int64_t i = 0; i < e->count; i++) {
        uint8_t *out = e->out + (size_t)i * e->step;
        bool null = any && mr_column_is_null(e->column, e->from + i);
        if (null)
            memset(out, 0, width);
        if (back)
            out[-1] = null ? null_byte : 1;
    }
}

static bool encode_key(const struct mr_sort_key *key, const struct mr_sort_part *part,
                       const struct encoding *e)
{
    bool cut =
        e->column->type->id != MR_TYPE_NULL && part->end > part->value && encode_values(e, part);
    encode_nulls(key, part, e);
    return cut;
}

void mr_sort_encode(const struct mr_sort_layout *layout, const struct mr_batch *batch, int64_t from,
                    int64_t count, uint64_t *words, int stride, int *tie_key)
{
    size_t step = (size_t)stride * 8;
    if (*tie_key > layout->tie_key)
        *tie_key = layout->tie_key;
    if (layout->words == 0)
        return;
    for (int64_t i = 0; i < count; i++)
        words[i * stride + layout->words - 1] = 0;
    for (int k = 0; k < layout->nkeys; k++) {
        const struct mr_sort_part *part = &layout->parts[k];
        if (part->end == part->start)
            break;
        struct mr_column *column = batch->columns[layout->keys[k].column];
        bool coded = column->encoding == MR_DICTIONARY;
        struct encoding e = {.column = column,
                             .flat = coded ? column->dictionary : column,
                             .codes = coded ? mr_column_offsets(column) : NULL,
                             .from = from,
                             .count = count,
                             .out = (uint8_t *)words + part->value,
                             .step = step,
                             .invert = layout->keys[k].descending};
        if (encode_key(&layout->keys[k], part, &e) && *tie_key > k)
            *tie_key = k;
    }
    for (int64_t i = 0; i < count; i++)
        for (int w = 0; w < layout->words; w++)
            words[i * stride + w] = __builtin_bswap64(words[i * stride + w]);
}

int mr_sort_compare(const struct mr_sort_layout *layout, int from, const struct mr_batch *a,
                    int64_t row_a, const struct mr_batch *b, int64_t row_b)
{
    for (int k = from; k < layout->nkeys; k++) {
        const struct mr_sort_key *key = &layout->keys[k];
        const struct mr_column *x = a->columns[key->column], *y = b->columns[key->column];
        bool null_a = mr_column_is_null(x, row_a), null_b = mr_column_is_null(y, row_b);
        if (null_a && null_b)
            continue;
        if (null_a || null_b)
            return null_a == key->nulls_last ? 1 : -1;
        int c = mr_column_compare_rows(x, row_a, y, row_b);
        if (c)
            return (c < 0) == key->descending ? 1 : -1;
    }
    return 0;
}
