/*
 * sort.c - sorting rows of some batches into a run of entries.
 *
 * An entry is the row's normalised key and its position, 16 to 40 bytes side by side, so that nothing
 * is read but the array being sorted. A radix sort from the most significant byte, over those bytes
 * that differ at all (a date has two of eight), splits until a few dozen are left, which insertion
 * sorts; both keep the order of positions. An array in order is left alone.
 *
 * Rows that the words cannot tell apart, because a text was cut, are sorted again by the next 22 bytes
 * of their texts, and then by the keys behind, with entries of the same kind; comparing the rows
 * themselves, one cache miss each, is left for handfuls, nested keys, and texts that split too deep.
 * Sorting pointers with a comparison function was refused: 6 M rows wait for memory 130 M times.
 */
#include "col/sort.h"

#include <assert.h>

#define FEW       32 /* rows sorted by insertion */
#define MAX_DEPTH 8  /* of sorting again */
#define MAX_BYTES (MR_SORT_MAX_WORDS * 8)

/* Bytes of the words that differ somewhere, most significant first. */
struct varying {
    int count;
    uint8_t word[MAX_BYTES];
    uint8_t shift[MAX_BYTES];
};

#define ENTRY_SORT(W)                                                                              \
    struct entry_##W {                                                                             \
        uint64_t word[(W) + 1];                                                                    \
    };                                                                                             \
    static inline bool less_##W(const struct entry_##W *a, const struct entry_##W *b)              \
    {                                                                                              \
        for (int w = 0; w < (W); w++)                                                              \
            if (a->word[w] != b->word[w])                                                          \
                return a->word[w] < b->word[w];                                                    \
        return a->word[W] < b->word[W];                                                            \
    }                                                                                              \
    static bool in_order_##W(const struct entry_##W *e, int64_t n)                                 \
    {                                                                                              \
        for (int64_t i = 1; i < n; i++)                                                            \
            if (less_##W(&e[i], &e[i - 1]))                                                        \
                return false;                                                                      \
        return true;                                                                               \
    }                                                                                              \
    static void insertion_##W(struct entry_##W *e, int64_t n)                                      \
    {                                                                                              \
        for (int64_t i = 1; i < n; i++) {                                                          \
            struct entry_##W x = e[i];                                                             \
            int64_t j = i;                                                                         \
            for (; j > 0 && less_##W(&x, &e[j - 1]); j--)                                          \
                e[j] = e[j - 1];                                                                   \
            e[j] = x;                                                                              \
        }                                                                                          \
    }                                                                                              \
    static void radix_##W(struct entry_##W *e, struct entry_##W *work, int64_t n,                  \
                          const struct varying *bytes, int level)                                  \
    {                                                                                              \
        for (;; level++) {                                                                         \
            if (n <= FEW) {                                                                        \
                insertion_##W(e, n);                                                               \
                return;                                                                            \
            }                                                                                      \
            if (level >= bytes->count)                                                             \
                return;                                                                            \
            int64_t at[256] = {0}, from[257];                                                      \
            int word = bytes->word[level], shift = bytes->shift[level];                            \
            for (int64_t i = 0; i < n; i++)                                                        \
                at[(e[i].word[word] >> shift) & 255]++;                                            \
            if (at[(e[0].word[word] >> shift) & 255] == n)                                         \
                continue;                                                                          \
            int64_t sum = 0;                                                                       \
            for (int b = 0; b < 256; b++) {                                                        \
                from[b] = sum;                                                                     \
                sum += at[b];                                                                      \
                at[b] = from[b];                                                                   \
            }                                                                                      \
            from[256] = n;                                                                         \
            for (int64_t i = 0; i < n; i++)                                                        \
                work[at[(e[i].word[word] >> shift) & 255]++] = e[i];                               \
            memcpy(e, work, (size_t)n * sizeof *e);                                                \
            for (int b = 0; b < 256; b++)                                                          \
                if (from[b + 1] - from[b] > 1)                                                     \
                    radix_##W(e + from[b], work + from[b], from[b + 1] - from[b], bytes,           \
                              level + 1);                                                          \
            return;                                                                                \
        }                                                                                          \
    }                                                                                              \
    static void sort_##W(uint64_t *entries, uint64_t *work, int64_t n,                             \
                         const struct varying *bytes)                                              \
    {                                                                                              \
        struct entry_##W *e = (struct entry_##W *)(void *)entries;                                 \
        if (!in_order_##W(e, n))                                                                   \
            radix_##W(e, (struct entry_##W *)(void *)work, n, bytes, 0);                           \
    }
ENTRY_SORT(1)
ENTRY_SORT(2)
ENTRY_SORT(3)
ENTRY_SORT(4)

static void find_varying(const uint64_t *entries, int64_t n, int words, struct varying *out)
{
    uint64_t differ[MR_SORT_MAX_WORDS] = {0};
    for (int64_t i = 1; i < n; i++)
        for (int w = 0; w < words; w++)
            differ[w] |= entries[i * (words + 1) + w] ^ entries[w];
    out->count = 0;
    for (int b = 0; b < words * 8; b++) {
        int shift = 56 - b % 8 * 8;
        if ((differ[b / 8] >> shift & 255) == 0)
            continue;
        out->word[out->count] = (uint8_t)(b / 8);
        out->shift[out->count++] = (uint8_t)shift;
    }
}

/* Entries whose positions ascend within equal words. */
static void sort_entries(uint64_t *entries, uint64_t *work, int64_t n, int words)
{
    struct varying bytes;
    find_varying(entries, n, words, &bytes);
    if (words == 1)
        sort_1(entries, work, n, &bytes);
    else if (words == 2)
        sort_2(entries, work, n, &bytes);
    else if (words == 3)
        sort_3(entries, work, n, &bytes);
    else if (words == 4)
        sort_4(entries, work, n, &bytes);
}

/* ---- rows that the words do not tell apart ------------------------------------------------- */

struct ties {
    const struct mr_sort_layout *layout;
    struct mr_batch *const *batches;
    struct mr_memory *memory;
    struct mr_error *err;
};

static const struct mr_batch *batch_at(const struct ties *ties, uint64_t position)
{
    return ties->batches[position >> 32];
}

static int compare_at(const struct ties *ties, int key, uint64_t a, uint64_t b)
{
    return mr_sort_compare(ties->layout, key, batch_at(ties, a), (int64_t)(uint32_t)a,
                           batch_at(ties, b), (int64_t)(uint32_t)b);
}

static enum mr_status words_new(const struct ties *ties, int64_t count, uint64_t **out)
{
    *out = NULL;
    MR_TRY(mr_memory_charge(ties->memory, count * 8, ties->err));
    *out = mr_alloc((size_t)count * 8 + 8);
    if (*out)
        return MR_OK;
    mr_memory_credit(ties->memory, count * 8);
    return mr_error_nomem(ties->err);
}

static void words_free(const struct ties *ties, uint64_t *words, int64_t count)
{
    if (words)
        mr_memory_credit(ties->memory, count * 8);
    mr_free(words);
}

/* Merges from the bottom; `work` has room for n. */
static void merge_sort(const struct ties *ties, int key, uint64_t *positions, uint64_t *work,
                       int64_t n)
{
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t from = 0; from + width < n; from += 2 * width) {
            int64_t middle = from + width, end = middle + width < n ? middle + width : n;
            if (compare_at(ties, key, positions[middle - 1], positions[middle]) <= 0)
                continue;
            memcpy(work, positions + from, (size_t)width * 8);
            int64_t i = 0, j = middle, out = from;
            while (i < width && j < end)
                positions[out++] =
                    compare_at(ties, key, work[i], positions[j]) <= 0 ? work[i++] : positions[j++];
            memcpy(positions + out, work + i, (size_t)(width - i) * 8);
        }
    }
}

static enum mr_status sort_by_comparing(const struct ties *ties, int key, uint64_t *positions,
                                        int64_t n)
{
    uint64_t few[FEW], *work = few;
    if (n > FEW)
        MR_TRY(words_new(ties, n, &work));
    merge_sort(ties, key, positions, work, n);
    if (n > FEW)
        words_free(ties, work, n);
    return MR_OK;
}

#define TEXT_BYTES 22 /* at a time, with a NULL byte in front and a length behind */
#define TEXT_WORDS 3

/* Bytes [offset, offset + 22) of a text key as an entry. */
static void text_entry(const struct ties *ties, int key, size_t offset, uint64_t position,
                       uint64_t *entry)
{
    const struct mr_sort_key *k = &ties->layout->keys[key];
    const struct mr_column *column = batch_at(ties, position)->columns[k->column];
    int64_t row = (int64_t)(uint32_t)position;
    uint8_t bytes[TEXT_WORDS * 8] = {0};
    if (mr_column_is_null(column, row)) {
        bytes[0] = k->nulls_last ? 2 : 0;
    } else {
        struct mr_value value;
        mr_column_get(column, row, &value);
        struct mr_slice text = value.u.bytes;
        size_t left = text.size > offset ? text.size - offset : 0;
        bytes[0] = 1;
        if (left > 0)
            memcpy(bytes + 1, text.data + offset, left < TEXT_BYTES ? left : TEXT_BYTES);
        bytes[TEXT_BYTES + 1] = (uint8_t)(left > TEXT_BYTES ? TEXT_BYTES + 1 : left);
        for (size_t i = 1; k->descending && i < sizeof bytes; i++)
            bytes[i] = (uint8_t)~bytes[i];
    }
    for (int w = 0; w < TEXT_WORDS; w++) {
        uint64_t word;
        memcpy(&word, bytes + w * 8, 8);
        entry[w] = __builtin_bswap64(word);
    }
    entry[TEXT_WORDS] = position;
}

static bool text_goes_on(const struct ties *ties, int key, const uint64_t *entry)
{
    uint8_t length = (uint8_t)entry[TEXT_WORDS - 1];
    if (entry[0] >> 56 != 1)
        return false;
    return (ties->layout->keys[key].descending ? (uint8_t)~length : length) == TEXT_BYTES + 1;
}

static enum mr_status sort_ties(const struct ties *ties, int key, size_t offset,
                                uint64_t *positions, int64_t n, int depth);

/* End of the entries whose words are those of entry `from`. */
static int64_t group_end(const uint64_t *entries, int64_t from, int64_t n, int words)
{
    const uint64_t *first = entries + from * (words + 1);
    int64_t to = from + 1;
    while (to < n && !memcmp(first, entries + to * (words + 1), (size_t)words * 8))
        to++;
    return to;
}

/* Where sorting goes on for a group of equal entries: *next == nkeys when it does not. */
struct resume {
    int key;
    size_t offset;
};

static struct resume behind_text(const struct ties *ties, int key, size_t offset,
                                 const uint64_t *entry)
{
    if (text_goes_on(ties, key, entry))
        return (struct resume){key, offset + TEXT_BYTES};
    return (struct resume){key + 1, 0};
}

/* Entries made of the rows; the layout of keys `key`.. or, with `text`, a piece of one text. */
static int make_entries(const struct ties *ties, int key, size_t offset, bool text,
                        const uint64_t *positions, int64_t n, uint64_t *entries, int *tie_key)
{
    const struct mr_sort_layout *rest = ties->layout->rest[key];
    int words = text ? TEXT_WORDS : rest->words;
    for (int64_t i = 0; i < n; i++) {
        uint64_t *entry = entries + i * (words + 1);
        if (text)
            text_entry(ties, key, offset, positions[i], entry);
        else
            mr_sort_encode(rest, batch_at(ties, positions[i]), (int64_t)(uint32_t)positions[i], 1,
                           entry, words + 1, tie_key);
        entry[words] = positions[i];
    }
    if (text || *tie_key >= rest->nkeys)
        return words;
    uint64_t mask[MR_SORT_MAX_WORDS];
    mr_sort_mask(rest, *tie_key, mask);
    for (int64_t i = 0; i < n; i++)
        for (int w = 0; w < words; w++)
            entries[i * (words + 1) + w] &= mask[w];
    return words;
}

static enum mr_status sort_again(const struct ties *ties, int key, size_t offset,
                                 uint64_t *positions, int64_t n, int depth)
{
    bool text = offset > 0;
    int nkeys = ties->layout->nkeys, tie_key = nkeys;
    int64_t size = n * ((text ? TEXT_WORDS : ties->layout->rest[key]->words) + 1);
    uint64_t *entries = NULL, *work = NULL;
    enum mr_status status = words_new(ties, size, &entries);
    if (status == MR_OK)
        status = words_new(ties, size, &work);
    if (status == MR_OK) {
        int words = make_entries(ties, key, offset, text, positions, n, entries, &tie_key);
        sort_entries(entries, work, n, words);
        words_free(ties, work, size);
        work = NULL;
        for (int64_t i = 0; i < n; i++)
            positions[i] = entries[i * (words + 1) + words];
        for (int64_t i = 0, end; status == MR_OK && i < n; i = end) {
            end = group_end(entries, i, n, words);
            struct resume next = {nkeys, 0};
            if (text)
                next = behind_text(ties, key, offset, entries + i * (words + 1));
            else if (key + tie_key < nkeys)
                next =
                    (struct resume){key + tie_key,
                                    (size_t)mr_sort_key_prefix(ties->layout->rest[key], tie_key)};
            if (end - i > 1 && next.key < nkeys)
                status = sort_ties(ties, next.key, next.offset, positions + i, end - i, depth + 1);
        }
    }
    words_free(ties, entries, size);
    words_free(ties, work, size);
    return status;
}

/* Positions of rows that agree up to byte `offset` of key `key`. */
static enum mr_status sort_ties(const struct ties *ties, int key, size_t offset,
                                uint64_t *positions, int64_t n, int depth)
{
    const struct mr_type *type = ties->layout->keys[key].type;
    bool nested = mr_type_is_nested(type);
    if (n <= FEW || depth > MAX_DEPTH || nested)
        return sort_by_comparing(ties, key, positions, n);
    return sort_again(ties, key, offset, positions, n, depth);
}

static enum mr_status sort_run_ties(const struct ties *ties, struct mr_sort_run *run)
{
    int words = run->words, key = run->tie_key;
    size_t prefix = (size_t)mr_sort_key_prefix(ties->layout, key);
    uint64_t *positions = NULL;
    int64_t room = 0;
    enum mr_status status = MR_OK;
    for (int64_t i = 0, end; status == MR_OK && i < run->count; i = end) {
        end = group_end(run->entries, i, run->count, words);
        int64_t n = end - i;
        if (n == 1)
            continue;
        if (n > room) {
            words_free(ties, positions, room);
            positions = NULL;
            room = n * 2 < run->count ? n * 2 : run->count;
            MR_TRY_OUT(words_new(ties, room, &positions));
        }
        for (int64_t j = 0; j < n; j++)
            positions[j] = mr_sort_run_position(run, i + j);
        status = sort_ties(ties, key, prefix, positions, n, 0);
        for (int64_t j = 0; j < n; j++)
            run->entries[(i + j) * (words + 1) + words] = positions[j];
    }
out:
    words_free(ties, positions, room);
    return status;
}

/* ---- runs ---------------------------------------------------------------------------------- */

int64_t mr_sort_run_bytes(const struct mr_sort_layout *layout, int64_t rows)
{
    return rows * (layout->words + 1) * 8;
}

int64_t mr_sort_work_bytes(const struct mr_sort_layout *layout, int64_t rows)
{
    int64_t again = layout->tie_key < layout->nkeys ? 8 : 0;
    for (int k = 0; k < layout->nkeys; k++)
        if (mr_type_layout(layout->keys[k].type) == MR_LAYOUT_BYTES)
            again = 8 + 2 * (TEXT_WORDS + 1) * 8;
    return 2 * mr_sort_run_bytes(layout, rows) + rows * again;
}

static void fill_run(const struct mr_sort_layout *layout, struct mr_batch *const *batches,
                     int nbatches, struct mr_sort_run *run)
{
    int words = layout->words;
    uint64_t *at = run->entries;
    run->tie_key = layout->nkeys;
    for (int b = 0; b < nbatches; b++) {
        int64_t rows = batches[b]->rows;
        mr_sort_encode(layout, batches[b], 0, rows, at, words + 1, &run->tie_key);
        for (int64_t i = 0; i < rows; i++)
            at[i * (words + 1) + words] = mr_sort_position(b, i);
        at += rows * (words + 1);
    }
    if (run->tie_key >= layout->nkeys)
        return;
    uint64_t mask[MR_SORT_MAX_WORDS];
    mr_sort_mask(layout, run->tie_key, mask);
    for (int64_t i = 0; i < run->count; i++)
        for (int w = 0; w < words; w++)
            run->entries[i * (words + 1) + w] &= mask[w];
}

enum mr_status mr_sort_rows(const struct mr_sort_layout *layout, struct mr_memory *memory,
                            struct mr_batch *const *batches, int nbatches, struct mr_sort_run *out,
                            struct mr_error *err)
{
    struct ties ties = {layout, batches, memory, err};
    *out = (struct mr_sort_run){.memory = memory, .words = layout->words};
    for (int b = 0; b < nbatches; b++)
        out->count += batches[b]->rows;
    int64_t size = out->count * (out->words + 1);
    uint64_t *work = NULL;
    enum mr_status status = words_new(&ties, size, &out->entries);
    if (status == MR_OK) {
        out->capacity = size;
        fill_run(layout, batches, nbatches, out);
        status = words_new(&ties, size, &work);
    }
    if (status == MR_OK)
        sort_entries(out->entries, work, out->count, out->words);
    words_free(&ties, work, size);
    if (status == MR_OK && out->tie_key < layout->nkeys)
        status = sort_run_ties(&ties, out);
    if (status != MR_OK)
        mr_sort_run_reset(out);
    return status;
}

void mr_sort_run_reset(struct mr_sort_run *run)
{
    if (run->entries)
        mr_memory_credit(run->memory, run->capacity * 8);
    mr_free(run->entries);
    *run = (struct mr_sort_run){0};
}
