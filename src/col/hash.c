/*
 * hash.c - row hashes over columns of any encoding.
 *
 * A value's hash depends on the value only: an int hashes as the bigint of the same value, a float
 * as the double, a decimal of 38 digits as one of 18 when it fits, a dictionary entry as its text.
 * Row numbers are resolved in blocks of 1024 to places in the flat storage (-1 = NULL), so that
 * each type has two short loops: dense, and by place. NULL has a hash of its own, as grouping wants
 * it.
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

#define ADD_INT(hash, v)    mr_hash_combine(hash, (uint64_t)(int64_t)(v))
#define ADD_DOUBLE(hash, v) mr_hash_combine(hash, of_double((double)(v)))

/* `place` NULL: rows start.. of `values`; else place[i], -1 = NULL. */
#define HASH_LOOPS(name, T, ADD)                                                                   \
    static void name(const void *values, int64_t start, const int32_t *place, int64_t n,           \
                     uint64_t *restrict hashes)                                                    \
    {                                                                                              \
        const T *restrict v = values;                                                              \
        if (!place) {                                                                              \
            for (int64_t i = 0; i < n; i++)                                                        \
                hashes[i] = ADD(hashes[i], v[start + i]);                                          \
            return;                                                                                \
        }                                                                                          \
        for (int64_t i = 0; i < n; i++)                                                            \
            hashes[i] = place[i] < 0 ? mr_hash_combine(hashes[i], NULL_HASH)                       \
                                     : ADD(hashes[i], v[place[i]]);                                \
    }

HASH_LOOPS(hash_i8, int8_t, ADD_INT)
HASH_LOOPS(hash_i16, int16_t, ADD_INT)
HASH_LOOPS(hash_i32, int32_t, ADD_INT)
HASH_LOOPS(hash_i64, int64_t, ADD_INT)
HASH_LOOPS(hash_i128, mr_int128, add_i128)
HASH_LOOPS(hash_f32, float, ADD_DOUBLE)
HASH_LOOPS(hash_f64, double, ADD_DOUBLE)
HASH_LOOPS(hash_interval, struct mr_interval, add_interval)
HASH_LOOPS(hash_fixed16, struct fixed16, add_fixed16)

static void hash_bytes(const struct mr_column *flat, int64_t start, const int32_t *place, int64_t n,
                       uint64_t *hashes)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t at = place ? place[i] : start + i;
        if (at < 0) {
            hashes[i] = mr_hash_combine(hashes[i], NULL_HASH);
            continue;
        }
        struct mr_slice text = mr_column_slice(flat, at);
        hashes[i] = mr_hash_combine(hashes[i], mr_hash64(text.data, text.size));
    }
}

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
                mr_column_hash(flat->children[c], &at, 1, &hashes[i]);
            continue;
        }
        const int32_t *offsets = mr_column_offsets(flat);
        hashes[i] = mr_hash_combine(hashes[i], (uint64_t)(offsets[at + 1] - offsets[at]));
        for (int32_t j = offsets[at]; j < offsets[at + 1]; j++)
            mr_column_hash(flat->children[0], &j, 1, &hashes[i]);
    }
}

static void hash_block(const struct mr_column *flat, int64_t start, const int32_t *place, int64_t n,
                       uint64_t *hashes)
{
    switch (mr_type_layout(flat->type)) {
    case MR_LAYOUT_NONE:
        for (int64_t i = 0; i < n; i++)
            hashes[i] = mr_hash_combine(hashes[i], NULL_HASH);
        break;
    case MR_LAYOUT_I8:
        hash_i8(flat->values->data, start, place, n, hashes);
        break;
    case MR_LAYOUT_I16:
        hash_i16(flat->values->data, start, place, n, hashes);
        break;
    case MR_LAYOUT_I32:
        hash_i32(flat->values->data, start, place, n, hashes);
        break;
    case MR_LAYOUT_I64:
        hash_i64(flat->values->data, start, place, n, hashes);
        break;
    case MR_LAYOUT_I128:
        hash_i128(flat->values->data, start, place, n, hashes);
        break;
    case MR_LAYOUT_F32:
        hash_f32(flat->values->data, start, place, n, hashes);
        break;
    case MR_LAYOUT_F64:
        hash_f64(flat->values->data, start, place, n, hashes);
        break;
    case MR_LAYOUT_FIXED16:
        if (flat->type->id == MR_TYPE_INTERVAL)
            hash_interval(flat->values->data, start, place, n, hashes);
        else
            hash_fixed16(flat->values->data, start, place, n, hashes);
        break;
    case MR_LAYOUT_BYTES:
        hash_bytes(flat, start, place, n, hashes);
        break;
    case MR_LAYOUT_LIST:
    case MR_LAYOUT_STRUCT:
        hash_nested(flat, start, place, n, hashes);
        break;
    }
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

/*
 * Text dictionaries: one hash an entry instead of one a row. False when there is no memory for
 * that.
 */
static bool hash_by_entry(const struct mr_column *column, const int32_t *rows, int64_t count,
                          uint64_t *hashes)
{
    const struct mr_column *dictionary = column->dictionary;
    uint64_t *entries = mr_alloc((size_t)dictionary->length * sizeof *entries);
    if (!entries)
        return false;
    for (int64_t i = 0; i < dictionary->length; i++) {
        struct mr_slice text = mr_column_slice(dictionary, i);
        entries[i] = mr_hash64(text.data, text.size);
    }
    int32_t place[BLOCK];
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t n = count - start < BLOCK ? count - start : BLOCK;
        resolve(column, rows, start, n, place);
        for (int64_t i = 0; i < n; i++)
            hashes[start + i] =
                mr_hash_combine(hashes[start + i], place[i] < 0 ? NULL_HASH : entries[place[i]]);
    }
    mr_free(entries);
    return true;
}

static void hash_constant(const struct mr_column *column, int64_t count, uint64_t *hashes)
{
    static const int32_t null = -1, first = 0;
    struct mr_column flat = *column;
    flat.encoding = MR_FLAT;
    for (int64_t i = 0; i < count; i++)
        hash_block(&flat, 0, column->nulls ? &null : &first, 1, &hashes[i]);
}

void mr_column_hash(const struct mr_column *column, const int32_t *rows, int64_t count,
                    uint64_t *hashes)
{
    if (column->type->id != MR_TYPE_NULL && column->encoding == MR_CONSTANT) {
        hash_constant(column, count, hashes);
        return;
    }
    const struct mr_column *flat = column->dictionary ? column->dictionary : column;
    if (column->dictionary && mr_type_layout(flat->type) == MR_LAYOUT_BYTES &&
        flat->length <= count && hash_by_entry(column, rows, count, hashes))
        return;
    if (count == 1 && rows) { /* an element of a list: no block to clear */
        int32_t place;
        resolve(column, rows, 0, 1, &place);
        hash_block(flat, 0, &place, 1, hashes);
        return;
    }
    bool dense = !rows && !column->validity && !column->dictionary;
    int32_t place[BLOCK];
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t n = count - start < BLOCK ? count - start : BLOCK;
        if (!dense)
            resolve(column, rows, start, n, place);
        hash_block(flat, start, dense ? NULL : place, n, hashes + start);
    }
}

/* ---- words ---- */

static uint64_t word_of_i128(mr_int128 value)
{
    return value == (int64_t)value ? (uint64_t)value : add_i128(0, value);
}

#define WORD_INT(v)    ((uint64_t)(int64_t)(v))
#define WORD_DOUBLE(v) of_double((double)(v))

#define WORD_LOOPS(name, T, WORD)                                                                  \
    static void name(const void *values, int64_t start, const int32_t *place, int64_t n,           \
                     uint64_t *restrict words)                                                     \
    {                                                                                              \
        const T *restrict v = values;                                                              \
        for (int64_t i = 0; !place && i < n; i++)                                                  \
            words[i] = WORD(v[start + i]);                                                         \
        for (int64_t i = 0; place && i < n; i++)                                                   \
            words[i] = place[i] < 0 ? NULL_HASH : WORD(v[place[i]]);                               \
    }

WORD_LOOPS(words_i8, int8_t, WORD_INT)
WORD_LOOPS(words_i16, int16_t, WORD_INT)
WORD_LOOPS(words_i32, int32_t, WORD_INT)
WORD_LOOPS(words_i64, int64_t, WORD_INT)
WORD_LOOPS(words_i128, mr_int128, word_of_i128)
WORD_LOOPS(words_f32, float, WORD_DOUBLE)
WORD_LOOPS(words_f64, double, WORD_DOUBLE)

static void words_bytes(const struct mr_column *flat, int64_t start, const int32_t *place,
                        int64_t n, uint64_t *words)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t at = place ? place[i] : start + i;
        struct mr_slice text = at < 0 ? (struct mr_slice){NULL, 0} : mr_column_slice(flat, at);
        words[i] = at < 0 ? NULL_HASH : mr_hash64(text.data, text.size);
    }
}

static void words_block(const struct mr_column *flat, int64_t start, const int32_t *place,
                        int64_t n, uint64_t *words)
{
    switch (mr_type_layout(flat->type)) {
    case MR_LAYOUT_I8:
        words_i8(flat->values->data, start, place, n, words);
        break;
    case MR_LAYOUT_I16:
        words_i16(flat->values->data, start, place, n, words);
        break;
    case MR_LAYOUT_I32:
        words_i32(flat->values->data, start, place, n, words);
        break;
    case MR_LAYOUT_I64:
        words_i64(flat->values->data, start, place, n, words);
        break;
    case MR_LAYOUT_I128:
        words_i128(flat->values->data, start, place, n, words);
        break;
    case MR_LAYOUT_F32:
        words_f32(flat->values->data, start, place, n, words);
        break;
    case MR_LAYOUT_F64:
        words_f64(flat->values->data, start, place, n, words);
        break;
    case MR_LAYOUT_BYTES:
        words_bytes(flat, start, place, n, words);
        break;
    default:
        memset(words, 0, (size_t)n * sizeof *words);
        hash_block(flat, start, place, n, words);
        break;
    }
}

/* A word an entry of the dictionary. False when there is no memory for that. */
static bool words_by_entry(const struct mr_column *column, const int32_t *rows, int64_t count,
                           uint64_t *words)
{
    const struct mr_column *dictionary = column->dictionary;
    uint64_t *entries = mr_alloc((size_t)dictionary->length * sizeof *entries);
    if (!entries)
        return false;
    words_block(dictionary, 0, NULL, dictionary->length, entries);
    int32_t place[BLOCK];
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t n = count - start < BLOCK ? count - start : BLOCK;
        resolve(column, rows, start, n, place);
        for (int64_t i = 0; i < n; i++)
            words[start + i] = place[i] < 0 ? NULL_HASH : entries[place[i]];
    }
    mr_free(entries);
    return true;
}

void mr_column_words(const struct mr_column *column, const int32_t *rows, int64_t count,
                     uint64_t *words)
{
    static const int32_t null = -1, first = 0;
    if (count > 0 && column->type->id != MR_TYPE_NULL && column->encoding == MR_CONSTANT) {
        struct mr_column flat = *column;
        flat.encoding = MR_FLAT;
        words_block(&flat, 0, column->nulls ? &null : &first, 1, words);
        for (int64_t i = 1; i < count; i++)
            words[i] = words[0];
        return;
    }
    if (column->dictionary && column->dictionary->length <= count &&
        words_by_entry(column, rows, count, words))
        return;
    const struct mr_column *flat = column->dictionary ? column->dictionary : column;
    bool dense = !rows && !column->validity && !column->dictionary;
    int32_t place[BLOCK];
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t n = count - start < BLOCK ? count - start : BLOCK;
        if (!dense)
            resolve(column, rows, start, n, place);
        words_block(flat, start, dense ? NULL : place, n, words + start);
    }
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
