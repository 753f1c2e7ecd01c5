/*
 * hash.c - row hashes over columns of any encoding.
 *
 * A value's hash depends on the value only: an int hashes as the bigint of the same value, a float
 * as the double, a decimal of 38 digits as one of 18 when it fits, a dictionary entry as its text.
 * Row numbers are resolved in blocks of 1024 to places in the flat storage (-1 = NULL), so that
 * each type has two short loops: dense, and by place. NULL has a hash of its own, as grouping wants
 * it.
 *
 * A value's word is what its hash is made of: 64 bits, the value itself where it has no more. Most
 * types have both from one body, so that they agree. Refused: to make words first and hash them in a
 * second pass, which costs a quarter more on integers; and hashes instead of words for content.c,
 * half as much again.
 */
#include "base/hash.h"
#include "col/kernel.h"

#include <math.h>

#define BLOCK     1024
#define NULL_HASH UINT64_C(0x6E756C6C6E756C6C)

static uint64_t of_double(double value)
{
    if (value == 0)
        value = 0; /* -0.0 */
    if (isnan(value))
        return UINT64_C(0x7FF8000000000000);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint64_t add_i128(uint64_t hash, mr_int128 value)
{
    hash = mr_hash_combine(hash, (uint64_t)value);
    if (value == (int64_t)value)
        return hash;
    return mr_hash_combine(hash, (uint64_t)(value >> 64));
}

static uint64_t word_of_i128(mr_int128 value)
{
    return value == (int64_t)value ? (uint64_t)value : add_i128(0, value);
}

/* As the struct of its fields, which is what files keep it as. */
static uint64_t add_interval(uint64_t hash, struct mr_interval value)
{
    hash = mr_hash_combine(hash, (uint64_t)(int64_t)value.months);
    hash = mr_hash_combine(hash, (uint64_t)(int64_t)value.days);
    return mr_hash_combine(hash, (uint64_t)value.micros);
}

struct fixed16 {
    uint64_t low, high;
};

static uint64_t add_fixed16(uint64_t hash, struct fixed16 value)
{
    return mr_hash_combine(mr_hash_combine(hash, value.low), value.high);
}

/* `place` NULL: rows start.. of `values`; else place[i], -1 = NULL. */
#define LOOPS(name, T, ADD, ADD_NULL)                                                              \
    static void name(const void *values, int64_t start, const int32_t *place, int64_t n,           \
                     uint64_t *restrict out)                                                       \
    {                                                                                              \
        const T *restrict v = values;                                                              \
        if (!place) {                                                                              \
            for (int64_t i = 0; i < n; i++)                                                        \
                out[i] = ADD(out[i], v[start + i]);                                                \
            return;                                                                                \
        }                                                                                          \
        for (int64_t i = 0; i < n; i++)                                                            \
            out[i] = place[i] < 0 ? ADD_NULL(out[i], NULL_HASH) : ADD(out[i], v[place[i]]);        \
    }

#define PUT(hash, word)     (word)
#define ADD_INT(hash, v)    mr_hash_combine(hash, (uint64_t)(int64_t)(v))
#define PUT_INT(hash, v)    (uint64_t)(int64_t)(v)
#define ADD_DOUBLE(hash, v) mr_hash_combine(hash, of_double((double)(v)))
#define PUT_DOUBLE(hash, v) of_double((double)(v))
#define PUT_I128(hash, v)   word_of_i128(v)
#define BOTH(name, T, ADD, PUT_VALUE)                                                              \
    LOOPS(hash_##name, T, ADD, mr_hash_combine)                                                    \
    LOOPS(words_##name, T, PUT_VALUE, PUT)

BOTH(i8, int8_t, ADD_INT, PUT_INT)
BOTH(i16, int16_t, ADD_INT, PUT_INT)
BOTH(i32, int32_t, ADD_INT, PUT_INT)
BOTH(i64, int64_t, ADD_INT, PUT_INT)
BOTH(i128, mr_int128, add_i128, PUT_I128)
BOTH(f32, float, ADD_DOUBLE, PUT_DOUBLE)
BOTH(f64, double, ADD_DOUBLE, PUT_DOUBLE)
LOOPS(hash_interval, struct mr_interval, add_interval, mr_hash_combine)
LOOPS(hash_fixed16, struct fixed16, add_fixed16, mr_hash_combine)

static void hash_bytes(const struct mr_column *flat, int64_t start, const int32_t *place, int64_t n,
                       bool words, uint64_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t at = place ? place[i] : start + i;
        struct mr_slice text = at < 0 ? (struct mr_slice){NULL, 0} : mr_column_slice(flat, at);
        uint64_t word = at < 0 ? NULL_HASH : mr_hash64(text.data, text.size);
        out[i] = words ? word : mr_hash_combine(out[i], word);
    }
}

static void hash_one(const struct mr_column *column, int32_t row, uint64_t *hash);

/* A list adds its length and its elements in order, a struct its fields. */
static void hash_nested(const struct mr_column *flat, int64_t start, const int32_t *place,
                        int64_t n, uint64_t *hashes)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t at = place ? place[i] : (int32_t)(start + i);
        if (at < 0) {
            hashes[i] = mr_hash_combine(hashes[i], NULL_HASH);
            continue;
        }
        if (flat->type->id == MR_TYPE_STRUCT) {
            for (int c = 0; c < flat->nchildren; c++)
                hash_one(flat->children[c], at, &hashes[i]);
            continue;
        }
        const int32_t *offsets = mr_column_offsets(flat);
        hashes[i] = mr_hash_combine(hashes[i], (uint64_t)(offsets[at + 1] - offsets[at]));
        for (int32_t j = offsets[at]; j < offsets[at + 1]; j++)
            hash_one(flat->children[0], j, &hashes[i]);
    }
}

/* What has no word of its own: its word is its hash, from 0. */
static void hash_parts(const struct mr_column *flat, int64_t start, const int32_t *place, int64_t n,
                       bool words, uint64_t *out)
{
    if (words)
        memset(out, 0, (size_t)n * sizeof *out);
    if (flat->type->id == MR_TYPE_INTERVAL)
        hash_interval(flat->values->data, start, place, n, out);
    else if (mr_type_layout(flat->type) == MR_LAYOUT_FIXED16)
        hash_fixed16(flat->values->data, start, place, n, out);
    else if (mr_type_layout(flat->type) != MR_LAYOUT_NONE)
        hash_nested(flat, start, place, n, out);
    else
        for (int64_t i = 0; i < n; i++)
            out[i] = mr_hash_combine(out[i], NULL_HASH);
}

static void hash_block(const struct mr_column *flat, int64_t start, const int32_t *place, int64_t n,
                       bool words, uint64_t *out)
{
#define CASE(layout, name)                                                                         \
    case layout:                                                                                   \
        (words ? words_##name : hash_##name)(flat->values->data, start, place, n, out);            \
        break
    switch (mr_type_layout(flat->type)) {
        CASE(MR_LAYOUT_I8, i8);
        CASE(MR_LAYOUT_I16, i16);
        CASE(MR_LAYOUT_I32, i32);
        CASE(MR_LAYOUT_I64, i64);
        CASE(MR_LAYOUT_I128, i128);
        CASE(MR_LAYOUT_F32, f32);
        CASE(MR_LAYOUT_F64, f64);
    case MR_LAYOUT_BYTES:
        hash_bytes(flat, start, place, n, words, out);
        break;
    default:
        hash_parts(flat, start, place, n, words, out);
        break;
    }
#undef CASE
}

/* Places of rows [start, start + n) of the call in the flat storage. */
static void resolve(const struct mr_column *column, const int32_t *rows, int64_t start, int64_t n,
                    int32_t *place)
{
    const uint8_t *bits = mr_column_validity(column);
    const int32_t *codes = column->encoding == MR_DICTIONARY ? mr_column_offsets(column) : NULL;
    for (int64_t i = 0; i < n; i++) {
        int64_t row = rows ? rows[start + i] : start + i;
        if (row < 0 || !mr_bitmap_get(bits, row))
            place[i] = -1;
        else
            place[i] = codes ? codes[row] : (int32_t)row;
    }
}

/* One word an entry of a dictionary instead of one a row. False when there is no memory for that. */
static bool hash_by_entry(const struct mr_column *column, const int32_t *rows, int64_t count,
                          bool words, uint64_t *out)
{
    const struct mr_column *dictionary = column->dictionary;
    uint64_t *entries = mr_alloc((size_t)dictionary->length * sizeof *entries);
    if (!entries)
        return false;
    hash_block(dictionary, 0, NULL, dictionary->length, true, entries);
    int32_t place[BLOCK];
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t n = count - start < BLOCK ? count - start : BLOCK;
        resolve(column, rows, start, n, place);
        for (int64_t i = 0; i < n; i++) {
            uint64_t word = place[i] < 0 ? NULL_HASH : entries[place[i]];
            out[start + i] = words ? word : mr_hash_combine(out[start + i], word);
        }
    }
    mr_free(entries);
    return true;
}

static void hash_constant(const struct mr_column *column, int64_t count, bool words, uint64_t *out)
{
    static const int32_t null = -1, first = 0;
    struct mr_column flat = *column;
    flat.encoding = MR_FLAT;
    for (int64_t i = 0; i < count; i++)
        if (words && i > 0)
            out[i] = out[0];
        else
            hash_block(&flat, 0, column->nulls ? &null : &first, 1, words, &out[i]);
}

/* An element of a list, a field: without the block of hash_rows. */
static void hash_one(const struct mr_column *column, int32_t row, uint64_t *hash)
{
    int32_t place;
    if (column->type->id != MR_TYPE_NULL && column->encoding == MR_CONSTANT) {
        hash_constant(column, 1, false, hash);
        return;
    }
    resolve(column, &row, 0, 1, &place);
    hash_block(column->dictionary ? column->dictionary : column, 0, &place, 1, false, hash);
}

static void hash_rows(const struct mr_column *column, const int32_t *rows, int64_t count,
                      bool words, uint64_t *out)
{
    if (column->type->id != MR_TYPE_NULL && column->encoding == MR_CONSTANT) {
        hash_constant(column, count, words, out);
        return;
    }
    const struct mr_column *flat = column->dictionary ? column->dictionary : column;
    /* A hash is made of one word where the entry is a text. */
    bool by_entry = words || mr_type_layout(flat->type) == MR_LAYOUT_BYTES;
    if (column->dictionary && by_entry && flat->length <= count &&
        hash_by_entry(column, rows, count, words, out))
        return;
    bool dense = !rows && !column->validity && !column->dictionary;
    int32_t place[BLOCK];
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t n = count - start < BLOCK ? count - start : BLOCK;
        if (!dense)
            resolve(column, rows, start, n, place);
        hash_block(flat, start, dense ? NULL : place, n, words, out + start);
    }
}

void mr_column_hash(const struct mr_column *column, const int32_t *rows, int64_t count,
                    uint64_t *hashes)
{
    hash_rows(column, rows, count, false, hashes);
}

void mr_column_words(const struct mr_column *column, const int32_t *rows, int64_t count,
                     uint64_t *words)
{
    hash_rows(column, rows, count, true, words);
}

enum mr_status mr_batch_content_hash(const struct mr_batch *batch, struct mr_content_hash *hash,
                                     struct mr_error *err)
{
    int64_t count = mr_batch_active(batch);
    const int32_t *rows = mr_selection_rows(batch->selection);
    uint64_t *hashes = mr_calloc((size_t)count, sizeof *hashes);
    if (!hashes)
        return mr_error_nomem(err);
    for (int i = 0; i < batch->schema->nfields; i++)
        mr_column_hash(batch->columns[i], rows, count, hashes);
    *hash = (struct mr_content_hash){.rows = count};
    for (int64_t i = 0; i < count; i++) {
        hash->sum += hashes[i];
        hash->mixed += mr_hash_mix(hashes[i]);
    }
    mr_free(hashes);
    return MR_OK;
}
