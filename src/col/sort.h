/*
 * sort.h - the order of rows: binary keys, sorting, merging, and gathering rows of many batches.
 *
 * A row's keys become a few 64-bit words (its normalised key) whose unsigned order is the order
 * wanted, as far as they go: numbers whole, texts by their first bytes, nested values not at all.
 * Where the words are equal and did not hold everything, mr_column_compare_rows decides. Rows of
 * several batches are named by a position: batch << 32 | row. Equal rows keep the order of their
 * positions, so a result never depends on the algorithm.
 */
#ifndef MR_COL_SORT_H
#define MR_COL_SORT_H

#include "col/kernel.h"

#define MR_SORT_MAX_WORDS 4

struct mr_sort_key {
    int column; /* of the batches to sort */
    const struct mr_type *type;
    bool nullable; /* a column that says not, but is, has its NULLs in no particular place */
    bool descending;
    bool nulls_last;
};

struct mr_sort_part; /* where a key lies in the words */

/* Immutable, any thread. */
struct mr_sort_layout {
    int nkeys;
    const struct mr_sort_key *keys;
    const struct mr_sort_part *parts;
    int words;   /* of a normalised key, 0..MR_SORT_MAX_WORDS */
    int tie_key; /* the first key that the words never hold whole; nkeys = they hold all */
    const struct mr_sort_layout **rest; /* layouts of keys k.., for 1 <= k < nkeys */
};

/* `keys` is copied into the arena; nkeys 0 = all rows are equal. */
enum mr_status mr_sort_layout_new(struct mr_arena *arena, const struct mr_sort_key *keys, int nkeys,
                                  struct mr_sort_layout **out, struct mr_error *err);
/*
 * The words of rows [from, from + count) of a batch (its selection does not count) at words[i *
 * stride]. *tie_key is lowered to the first key that was cut in some row.
 */
void mr_sort_encode(const struct mr_sort_layout *layout, const struct mr_batch *batch, int64_t from,
                    int64_t count, uint64_t *words, int stride, int *tie_key);
/* Bytes of text that the words hold of a key. */
int mr_sort_key_prefix(const struct mr_sort_layout *layout, int key);
/* The bits of the words that decide when key `tie_key` is the first one cut: later ones do not. */
void mr_sort_mask(const struct mr_sort_layout *layout, int tie_key,
                  uint64_t mask[MR_SORT_MAX_WORDS]);
/* Compares the rows themselves by keys `from`..; positions do not count. */
int mr_sort_compare(const struct mr_sort_layout *layout, int from, const struct mr_batch *a,
                    int64_t row_a, const struct mr_batch *b, int64_t row_b);

/* Sorted rows of some batches: `count` entries of layout->words words (masked) and a position. */
struct mr_sort_run {
    struct mr_memory *memory;
    int64_t count;
    int64_t capacity;
    int words;
    int tie_key;
    uint64_t *entries;
};

static inline uint64_t mr_sort_position(int64_t batch, int64_t row)
{
    return (uint64_t)batch << 32 | (uint64_t)row;
}
static inline const uint64_t *mr_sort_entry(const struct mr_sort_run *run, int64_t i)
{
    return run->entries + i * (run->words + 1);
}
static inline uint64_t mr_sort_run_position(const struct mr_sort_run *run, int64_t i)
{
    return run->entries[i * (run->words + 1) + run->words];
}
/* Bytes that sorting so many rows takes for a while, and that their run keeps. */
int64_t mr_sort_work_bytes(const struct mr_sort_layout *layout, int64_t rows);
int64_t mr_sort_run_bytes(const struct mr_sort_layout *layout, int64_t rows);
/* All rows of the batches (without selections, at most 2^31 of them), sorted. */
enum mr_status mr_sort_rows(const struct mr_sort_layout *layout, struct mr_memory *memory,
                            struct mr_batch *const *batches, int nbatches, struct mr_sort_run *out,
                            struct mr_error *err);
void mr_sort_run_reset(struct mr_sort_run *run);

/*
 * Row i of the result is the row at positions[i] of the batches; the first schema->nfields columns
 * of each. Texts stay DICTIONARY where all are and the dictionaries are small.
 */
enum mr_status mr_sort_gather(struct mr_memory *memory, const struct mr_schema *schema,
                              struct mr_batch *const *batches, int nbatches,
                              const uint64_t *positions, int64_t count, struct mr_batch **out,
                              struct mr_error *err);

/*
 * k-way merge by a tree of losers. The caller moves cursors: it sets `key` (masked), `batch` and
 * `row` of the winner to its next row (or `done`), and calls mr_sort_merge_fix. Equal rows come in
 * the order of the cursors.
 */
struct mr_sort_cursor {
    uint64_t key[MR_SORT_MAX_WORDS];
    const struct mr_batch *batch;
    int64_t row;
    bool done;
};

struct mr_sort_merge {
    const struct mr_sort_layout *layout;
    int tie_key;
    int count;
    struct mr_sort_cursor *cursors; /* `count`, owned */
    int *tree;                      /* losers; tree[0] is the winner */
};

enum mr_status mr_sort_merge_init(struct mr_sort_merge *merge, const struct mr_sort_layout *layout,
                                  int tie_key, int count, struct mr_error *err);
/* When all cursors stand at their first rows. */
void mr_sort_merge_start(struct mr_sort_merge *merge);
/* The winner's cursor has moved. */
void mr_sort_merge_fix(struct mr_sort_merge *merge);
void mr_sort_merge_reset(struct mr_sort_merge *merge);
/* The cursor with the least row, -1 when all are done. */
static inline int mr_sort_merge_winner(const struct mr_sort_merge *merge)
{
    return merge->count > 0 && !merge->cursors[merge->tree[0]].done ? merge->tree[0] : -1;
}
/* Order of two cursors that are not done; 0 when all their keys are equal. */
int mr_sort_cursor_compare(const struct mr_sort_merge *merge, const struct mr_sort_cursor *a,
                           const struct mr_sort_cursor *b);

#endif
