/*
 * group_pack.c - key columns to rows of words and back.
 *
 * Equal keys must have equal words whatever the encoding of the column, so that comparing keys is
 * comparing words: NULL clears the value and sets a bit, -0.0 becomes 0.0 and every NaN the same
 * NaN, padding is zero. The widest slots come first, so that none straddles a word.
 *
 *   (date, decimal(12,2), string)   [length 4 | bytes 12] [decimal 8] [date 4 | null bits 1 | 0 0 0]
 *
 * A text of more than 12 bytes keeps its length and its first 4 bytes in the slot and a pointer
 * behind them; most unequal texts differ in the first word. A nested value is a text too: an
 * encoding of it that is equal exactly where the values are. The alternative, comparing the columns
 * themselves through mr_column_equal_rows, costs a resolution of encodings for every comparison and
 * a cache miss for every key column.
 */
#include "col/group_pack.h"

#include "base/hash.h"
#include "col/row_code.h"

#include <assert.h>
#include <math.h>

static int slot_width(const struct mr_group_slot *slot)
{
    if (slot->bytes)
        return 16;
    return slot->layout == MR_LAYOUT_NONE ? 0 : mr_layout_width(slot->layout);
}

enum mr_status mr_group_layout_init(struct mr_group_layout *layout,
                                    const struct mr_type *const *types, int ntypes,
                                    struct mr_error *err)
{
    static const int widths[] = {16, 8, 4, 2, 1, 0};
    *layout = (struct mr_group_layout){.nkeys = ntypes};
    layout->slots = mr_calloc((size_t)ntypes + 1, sizeof *layout->slots);
    if (!layout->slots)
        return mr_error_nomem(err);
    for (int i = 0; i < ntypes; i++) {
        struct mr_group_slot *slot = &layout->slots[i];
        slot->type = types[i];
        slot->layout = mr_type_layout(types[i]);
        slot->bytes = slot->layout == MR_LAYOUT_BYTES || slot->layout == MR_LAYOUT_LIST ||
                      slot->layout == MR_LAYOUT_STRUCT;
        slot->width = slot_width(slot);
        layout->ntexts += slot->bytes;
    }
    int offset = 0;
    for (int i = 0; i < ntypes; i++)
        if (layout->slots[i].bytes) {
            layout->slots[i].offset = offset;
            offset += 16;
        }
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int i = 0; i < ntypes; i++)
            if (!layout->slots[i].bytes && layout->slots[i].width == widths[w]) {
                layout->slots[i].offset = offset;
                offset += widths[w];
            }
    int bit = offset * 8;
    for (int i = 0; i < ntypes; i++) {
        struct mr_group_slot *slot = &layout->slots[i];
        slot->null_at = slot->bytes || slot->width == 0 ? -1 : bit++;
    }
    layout->words = (bit + 63) / 64;
    if (layout->words == 0)
        layout->words = 1;
    return MR_OK;
}

void mr_group_layout_reset(struct mr_group_layout *layout)
{
    mr_free(layout->slots);
    *layout = (struct mr_group_layout){0};
}

/* `safe`: 12 bytes may be read at `data`. */
static inline void pack_text(uint64_t *slot, const char *data, uint32_t size, bool safe)
{
    if (size > MR_GROUP_INLINE) {
        uint32_t prefix;
        memcpy(&prefix, data, 4);
        slot[0] = size | (uint64_t)prefix << 32;
        slot[1] = (uintptr_t)data;
        return;
    }
    /* Bytes that count of the first eight and of the next four. */
    static const uint64_t lows[] = {0,          0xFF,         0xFFFF,         0xFFFFFF,
                                    0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF,
                                    UINT64_MAX, UINT64_MAX,   UINT64_MAX,     UINT64_MAX,
                                    UINT64_MAX};
    static const uint32_t highs[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFFFF, 0xFFFFFF, UINT32_MAX};
    uint64_t low = 0;
    uint32_t high = 0;
    if (safe) {
        memcpy(&low, data, 8);
        memcpy(&high, data + 8, 4);
        low &= lows[size];
        high &= highs[size];
    } else if (size > 0) {
        char bytes[12] = {0};
        memcpy(bytes, data, size);
        memcpy(&low, bytes, 8);
        memcpy(&high, bytes + 8, 4);
    }
    slot[0] = size | low << 32;
    slot[1] = low >> 32 | (uint64_t)high << 32;
}

static void pack_null_text(uint64_t *slot)
{
    slot[0] = MR_GROUP_NULL;
    slot[1] = 0;
}

static void pack_texts(const struct mr_column *flat, const int32_t *place, int64_t n, uint64_t *out,
                       int stride)
{
    const int32_t *offsets = mr_column_offsets(flat);
    const char *data = (const char *)flat->data->data;
    int64_t safe = (int64_t)flat->data->capacity - 12;
    for (int64_t i = 0; i < n; i++) {
        uint64_t *slot = out + i * stride;
        if (place[i] < 0) {
            pack_null_text(slot);
            continue;
        }
        int32_t from = offsets[place[i]];
        pack_text(slot, data + from, (uint32_t)(offsets[place[i] + 1] - from), from <= safe);
    }
}

static double canonical(double value)
{
    if (value == 0)
        return 0;
    return isnan(value) ? (double)NAN : value;
}

/* The encodings are found by their ends once the buffer no longer moves. */
static enum mr_status pack_nested(struct mr_bytes *encoded, const struct mr_column *flat,
                                  const int32_t *place, int64_t n, uint64_t *out, int stride,
                                  struct mr_error *err)
{
    size_t ends[MR_GROUP_BLOCK];
    mr_bytes_clear(encoded);
    for (int64_t i = 0; i < n; i++) {
        if (place[i] >= 0)
            mr_row_encode(encoded, flat, place[i], true);
        ends[i] = encoded->size;
    }
    MR_TRY(mr_bytes_status(encoded, err));
    for (int64_t i = 0; i < n; i++) {
        size_t from = i ? ends[i - 1] : 0;
        if (place[i] < 0)
            pack_null_text(out + i * stride);
        else
            pack_text(out + i * stride, encoded->data + from, (uint32_t)(ends[i] - from), false);
    }
    return MR_OK;
}

#define PLAIN(v)   (v)
#define FLOAT32(v) ((float)canonical((double)(v)))
#define PACK_LOOP(T, CANON)                                                                        \
    do {                                                                                           \
        const T *restrict v = (const T *)(const void *)flat->values->data;                         \
        for (int64_t i = 0; i < n; i++) {                                                          \
            if (place[i] < 0)                                                                      \
                continue;                                                                          \
            T value = CANON(v[place[i]]);                                                          \
            memcpy(to + i * stride, &value, sizeof value);                                         \
        }                                                                                          \
    } while (0)

static void pack_fixed(const struct mr_group_slot *slot, const struct mr_column *flat,
                       const int32_t *place, int64_t n, char *row, int64_t stride)
{
    char *to = row + slot->offset;
    if (slot->layout == MR_LAYOUT_F64)
        PACK_LOOP(double, canonical);
    else if (slot->layout == MR_LAYOUT_F32)
        PACK_LOOP(float, FLOAT32);
    else if (slot->width == 8)
        PACK_LOOP(uint64_t, PLAIN);
    else if (slot->width == 4)
        PACK_LOOP(uint32_t, PLAIN);
    else if (slot->width == 2)
        PACK_LOOP(uint16_t, PLAIN);
    else if (slot->width == 1)
        PACK_LOOP(uint8_t, PLAIN);
    else
        PACK_LOOP(mr_int128, PLAIN);
    int byte = slot->null_at / 8;
    char bit = (char)(1 << slot->null_at % 8);
    for (int64_t i = 0; i < n; i++)
        if (place[i] < 0)
            row[i * stride + byte] |= bit;
}

/* Fills place[i]: where row i of the block lies in the column's flat storage, -1 = NULL. */
static void resolve(const struct mr_group_packer *packer, const struct mr_column *column,
                    int64_t start, const int32_t *picks, int64_t n, int32_t *place)
{
    const int32_t *rows = packer->rows;
    if (column->type->id == MR_TYPE_NULL || column->encoding == MR_CONSTANT) {
        int32_t at = mr_column_place(column, 0);
        for (int64_t i = 0; i < n; i++)
            place[i] = at;
        return;
    }
    const uint8_t *bits = mr_column_validity(column);
    const int32_t *codes = column->encoding == MR_DICTIONARY ? mr_column_offsets(column) : NULL;
    if (!bits && !codes && !rows && !picks) {
        for (int64_t i = 0; i < n; i++)
            place[i] = (int32_t)(start + i);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t index = picks ? picks[i] : start + i;
        int64_t row = rows ? rows[index] : index;
        if (row < 0 || !mr_bitmap_get(bits, row))
            place[i] = -1;
        else
            place[i] = codes ? codes[row] : (int32_t)row;
    }
}

static void pack_entries(const uint64_t *entries, const int32_t *place, int64_t n, uint64_t *out,
                         int stride)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t *slot = out + i * stride;
        if (place[i] < 0) {
            pack_null_text(slot);
            continue;
        }
        slot[0] = entries[2 * (int64_t)place[i]];
        slot[1] = entries[2 * (int64_t)place[i] + 1];
    }
}

enum mr_status mr_group_pack(struct mr_group_packer *packer, int64_t start, const int32_t *picks,
                             int64_t n, uint64_t *out, struct mr_error *err)
{
    const struct mr_group_layout *layout = packer->layout;
    int32_t place[MR_GROUP_BLOCK];
    int stride = layout->words;
    assert(n <= MR_GROUP_BLOCK);
    memset(out, 0, (size_t)n * (size_t)stride * sizeof *out);
    for (int k = 0; k < layout->nkeys; k++) {
        const struct mr_group_slot *slot = &layout->slots[k];
        const struct mr_column *column = packer->keys[k];
        const struct mr_column *flat = column->dictionary ? column->dictionary : column;
        if (slot->width == 0)
            continue;
        resolve(packer, column, start, picks, n, place);
        if (!slot->bytes)
            pack_fixed(slot, flat, place, n, (char *)out, (int64_t)stride * 8);
        else if (slot->layout != MR_LAYOUT_BYTES)
            MR_TRY(pack_nested(&packer->encoded[k], flat, place, n, out + slot->offset / 8, stride,
                               err));
        else if (packer->entries[k])
            pack_entries(packer->entries[k], place, n, out + slot->offset / 8, stride);
        else
            pack_texts(flat, place, n, out + slot->offset / 8, stride);
    }
    return MR_OK;
}

/* Texts first: the words of a short one, or its size and the hash of its bytes. `words` is a constant where it matters. */
static inline __attribute__((always_inline)) void
hash_words(const uint64_t *packed, int words, int ntexts, int64_t n, uint64_t *hashes)
{
    const uint64_t a = UINT64_C(0xA0761D6478BD642F), b = UINT64_C(0xE7037ED1A0B428DB);
    for (int64_t i = 0; i < n; i++, packed += words) {
        uint64_t hash = b;
        for (int t = 0; t < ntexts; t++) {
            const uint64_t *slot = packed + t * 2;
            uint64_t word = slot[1];
            if (mr_group_text_is_long(slot))
                word = mr_hash64((const char *)(uintptr_t)word, (uint32_t)slot[0]);
            hash = mr_hash_fold(slot[0] ^ a, word ^ hash);
        }
        for (int w = ntexts * 2; w < words; w++)
            hash = mr_hash_fold(packed[w] ^ a, hash);
        hashes[i] = hash;
    }
}

void mr_group_hash(const struct mr_group_layout *layout, const uint64_t *packed, int64_t n,
                   uint64_t *hashes)
{
    int words = layout->words, ntexts = layout->ntexts;
    if (words == 1 && ntexts == 0)
        hash_words(packed, 1, 0, n, hashes);
    else if (words == 2 && ntexts == 1)
        hash_words(packed, 2, 1, n, hashes);
    else
        hash_words(packed, words, ntexts, n, hashes);
}

enum mr_status mr_group_packer_init(struct mr_group_packer *packer,
                                    const struct mr_group_layout *layout,
                                    struct mr_column *const *keys, const int32_t *rows,
                                    int64_t count, struct mr_error *err)
{
    *packer = (struct mr_group_packer){.layout = layout, .keys = keys, .rows = rows};
    packer->entries = mr_calloc((size_t)layout->nkeys + 1, sizeof *packer->entries);
    packer->encoded = mr_calloc((size_t)layout->nkeys + 1, sizeof *packer->encoded);
    if (!packer->entries || !packer->encoded) {
        mr_group_packer_reset(packer);
        return mr_error_nomem(err);
    }
    for (int k = 0; k < layout->nkeys; k++)
        mr_bytes_init(&packer->encoded[k], (size_t)INT32_MAX);
    for (int k = 0; k < layout->nkeys; k++) {
        const struct mr_column *dictionary = keys[k]->dictionary;
        if (!dictionary || layout->slots[k].layout != MR_LAYOUT_BYTES ||
            dictionary->length > count / 2)
            continue;
        uint64_t *entries = mr_alloc((size_t)(dictionary->length * 2) * sizeof *entries + 16);
        if (!entries) {
            mr_group_packer_reset(packer);
            return mr_error_nomem(err);
        }
        for (int64_t i = 0; i < dictionary->length; i++) {
            struct mr_slice text = mr_column_slice(dictionary, i);
            pack_text(entries + 2 * i, text.data, (uint32_t)text.size, false);
        }
        packer->entries[k] = entries;
    }
    return MR_OK;
}

void mr_group_packer_reset(struct mr_group_packer *packer)
{
    for (int k = 0; packer->entries && packer->encoded && k < packer->layout->nkeys; k++) {
        mr_free(packer->entries[k]);
        mr_bytes_reset(&packer->encoded[k]);
    }
    mr_free(packer->entries);
    mr_free(packer->encoded);
}

static enum mr_status unpack_bytes(const struct mr_group_slot *slot, const uint64_t *packed,
                                   int words, const uint32_t *groups, int64_t from, int64_t count,
                                   struct mr_builder *builder, struct mr_error *err)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t group = groups ? groups[i] : from + i;
        const uint64_t *text = packed + group * words + slot->offset / 8;
        if ((uint32_t)text[0] == MR_GROUP_NULL) {
            MR_TRY(mr_builder_null(builder, err));
            continue;
        }
        struct mr_slice slice = mr_group_text(text);
        if (slot->layout == MR_LAYOUT_BYTES)
            MR_TRY(mr_builder_bytes(builder, slice.data, slice.size, err));
        else
            MR_TRY(mr_row_decode(builder, &slice.data, err));
    }
    return MR_OK;
}

static enum mr_status unpack_fixed(const struct mr_group_slot *slot, const uint64_t *packed,
                                   int words, const uint32_t *groups, int64_t from, int64_t count,
                                   struct mr_builder *builder, struct mr_error *err)
{
    if (count == 0)
        return MR_OK;
    MR_TRY(mr_builder_reserve(builder, count, 0, err));
    uint8_t *to = builder->values->data;
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *row = (const uint8_t *)(packed + (groups ? groups[i] : from + i) * words);
        memcpy(to + i * slot->width, row + slot->offset, (size_t)slot->width);
        if (row[slot->null_at / 8] >> slot->null_at % 8 & 1)
            MR_TRY(mr_builder_mark_null(builder, err));
        builder->length++;
    }
    return MR_OK;
}

enum mr_status mr_group_unpack(const struct mr_group_layout *layout, int key,
                               const uint64_t *packed, const uint32_t *groups, int64_t from,
                               int64_t count, struct mr_memory *memory, struct mr_column **out,
                               struct mr_error *err)
{
    const struct mr_group_slot *slot = &layout->slots[key];
    struct mr_builder builder;
    MR_TRY(mr_builder_init(&builder, memory, slot->type, err));
    enum mr_status status = MR_OK;
    if (slot->width == 0)
        for (int64_t i = 0; i < count && status == MR_OK; i++)
            status = mr_builder_null(&builder, err);
    else if (slot->bytes)
        status = unpack_bytes(slot, packed, layout->words, groups, from, count, &builder, err);
    else
        status = unpack_fixed(slot, packed, layout->words, groups, from, count, &builder, err);
    if (status == MR_OK)
        status = mr_builder_finish(&builder, out, err);
    mr_builder_reset(&builder);
    return status;
}
