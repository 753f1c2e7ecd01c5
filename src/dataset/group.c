/*
 * group.c - partition numbers of the rows of a batch, exactly and without a call per row.
 *
 * Each partition column is turned into small codes by one loop over its layout: fixed widths are their own 64-bit key,
 * byte strings are hashed and compared with the first row of their code, a dictionary is coded entry by entry and
 * then looked up, a constant is one code. Codes of several columns are combined pair by pair through the same
 * integer table. A value equal to that of the row before it skips the table, which is the common case of sorted
 * input. The alternative, one 64-bit hash over all columns, needs a comparison of every row with its group's first row
 * to be exact, in calls that switch on the type.
 */
#include "dataset/group.h"

#include "base/hash.h"

#include <assert.h>

void mr_grouper_init(struct mr_grouper *grouper, struct mr_memory *memory)
{
    *grouper = (struct mr_grouper){.memory = memory};
}

static int64_t scratch_bytes(int64_t capacity, int64_t nslots)
{
    return capacity * (int64_t)(5 * sizeof(int32_t) + sizeof(uint64_t)) +
           nslots * (int64_t)sizeof(int32_t);
}

void mr_grouper_reset(struct mr_grouper *grouper)
{
    mr_free(grouper->ids);
    mr_free(grouper->codes);
    mr_free(grouper->rows);
    mr_free(grouper->starts);
    mr_free(grouper->slots);
    mr_free(grouper->keys);
    mr_free(grouper->first);
    if (grouper->capacity)
        mr_memory_credit(grouper->memory, scratch_bytes(grouper->capacity, grouper->nslots));
    mr_grouper_init(grouper, grouper->memory);
}

static enum mr_status reserve(struct mr_grouper *grouper, int64_t rows, struct mr_error *err)
{
    if (rows <= grouper->capacity)
        return MR_OK;
    mr_grouper_reset(grouper);
    int64_t capacity = rows + rows / 8 + 64, nslots = 128;
    while (nslots < 2 * capacity)
        nslots *= 2;
    MR_TRY(mr_memory_charge(grouper->memory, scratch_bytes(capacity, nslots), err));
    grouper->capacity = capacity;
    grouper->nslots = nslots;
    size_t n = (size_t)capacity;
    grouper->ids = mr_alloc(n * sizeof(int32_t));
    grouper->codes = mr_alloc(n * sizeof(int32_t));
    grouper->rows = mr_alloc(n * sizeof(int32_t));
    grouper->starts = mr_alloc((n + 1) * sizeof(int32_t));
    grouper->first = mr_alloc(n * sizeof(int32_t));
    grouper->keys = mr_alloc(n * sizeof(uint64_t));
    grouper->slots = mr_alloc((size_t)nslots * sizeof(int32_t));
    if (!grouper->ids || !grouper->codes || !grouper->rows || !grouper->starts || !grouper->first ||
        !grouper->keys || !grouper->slots) {
        mr_grouper_reset(grouper);
        return mr_error_nomem(err);
    }
    return MR_OK;
}

/* A table under construction: only as many slots are cleared as the rows at hand can need. */
struct table {
    struct mr_grouper *grouper;
    uint64_t mask;
    int count;
};

static struct table table_begin(struct mr_grouper *grouper, int64_t rows)
{
    int64_t nslots = 128;
    while (nslots < 2 * rows)
        nslots *= 2;
    memset(grouper->slots, 0, (size_t)nslots * sizeof(int32_t));
    return (struct table){.grouper = grouper, .mask = (uint64_t)nslots - 1};
}

/* Code of an integer key; `row` is remembered as the first with it. */
static inline int32_t code_of_key(struct table *table, uint64_t key, int32_t row)
{
    struct mr_grouper *grouper = table->grouper;
    uint64_t at = mr_hash_mix(key) & table->mask;
    for (; grouper->slots[at]; at = (at + 1) & table->mask) {
        int32_t code = grouper->slots[at] - 1;
        if (grouper->keys[code] == key)
            return code;
    }
    int32_t code = table->count++;
    grouper->slots[at] = code + 1;
    grouper->keys[code] = key;
    grouper->first[code] = row;
    return code;
}

/* Code of a byte string: key = hash, and the bytes of the first row with that code must be equal. */
static inline int32_t code_of_bytes(struct table *table, struct mr_slice text,
                                    const struct mr_column *column, int width, int32_t row)
{
    struct mr_grouper *grouper = table->grouper;
    uint64_t key = mr_hash64(text.data, text.size);
    uint64_t at = key & table->mask;
    for (; grouper->slots[at]; at = (at + 1) & table->mask) {
        int32_t code = grouper->slots[at] - 1;
        if (grouper->keys[code] != key)
            continue;
        int32_t first = grouper->first[code];
        struct mr_slice other =
            width ? (struct mr_slice){(const char *)column->values->data + (int64_t)first * width,
                                      (size_t)width}
                  : mr_column_slice(column, first);
        if (other.size == text.size && memcmp(other.data, text.data, text.size) == 0)
            return code;
    }
    int32_t code = table->count++;
    grouper->slots[at] = code + 1;
    grouper->keys[code] = key;
    grouper->first[code] = row;
    return code;
}

/* The loop over one fixed-width layout; NULL has the code -1. */
#define CODES_OF(ctype)                                                                            \
    do {                                                                                           \
        const ctype *values = (const ctype *)(const void *)column->values->data;                   \
        uint64_t last_key = 0;                                                                     \
        int32_t last = -1;                                                                         \
        for (int64_t row = 0; row < rows; row++) {                                                 \
            if (!mr_bitmap_get(validity, row)) {                                                   \
                codes[row] = -1;                                                                   \
                continue;                                                                          \
            }                                                                                      \
            uint64_t key = (uint64_t)values[row];                                                  \
            if (last < 0 || key != last_key) {                                                     \
                last = code_of_key(&table, key, (int32_t)row);                                     \
                last_key = key;                                                                    \
            }                                                                                      \
            codes[row] = last;                                                                     \
        }                                                                                          \
    } while (0)

static void codes_of_bytes(struct table table, const struct mr_column *column, int width,
                           int64_t rows, int32_t *codes)
{
    const uint8_t *validity = mr_column_validity(column);
    struct mr_slice last_text = {NULL, 0};
    int32_t last = -1;
    for (int64_t row = 0; row < rows; row++) {
        if (!mr_bitmap_get(validity, row)) {
            codes[row] = -1;
            continue;
        }
        struct mr_slice text =
            width
                ? (struct mr_slice){(const char *)column->values->data + row * width, (size_t)width}
                : mr_column_slice(column, row);
        if (last < 0 || text.size != last_text.size ||
            memcmp(text.data, last_text.data, text.size) != 0) {
            last = code_of_bytes(&table, text, column, width, (int32_t)row);
            last_text = text;
        }
        codes[row] = last;
    }
}

/* Codes of `rows` rows of a FLAT column; NULL is -1. */
static void flat_codes(struct mr_grouper *grouper, const struct mr_column *column, int64_t rows,
                       int32_t *codes)
{
    struct table table = table_begin(grouper, rows);
    const uint8_t *validity = mr_column_validity(column);
    switch (mr_type_layout(column->type)) {
    case MR_LAYOUT_I8:
        CODES_OF(uint8_t);
        break;
    case MR_LAYOUT_I16:
        CODES_OF(uint16_t);
        break;
    case MR_LAYOUT_I32:
    case MR_LAYOUT_F32:
        CODES_OF(uint32_t);
        break;
    case MR_LAYOUT_I64:
    case MR_LAYOUT_F64:
        CODES_OF(uint64_t);
        break;
    case MR_LAYOUT_I128:
    case MR_LAYOUT_FIXED16:
        codes_of_bytes(table, column, 16, rows, codes);
        break;
    case MR_LAYOUT_BYTES:
        codes_of_bytes(table, column, 0, rows, codes);
        break;
    case MR_LAYOUT_NONE:
        memset(codes, 0xFF, (size_t)rows * sizeof *codes);
        break;
    default:
        assert(!"nested columns are refused at bind");
    }
}

static enum mr_status dictionary_codes(struct mr_grouper *grouper, const struct mr_column *column,
                                       int64_t rows, struct mr_error *err)
{
    int64_t entries = column->dictionary->length;
    size_t size = (size_t)(entries ? entries : 1) * sizeof(int32_t);
    int32_t *of_entry = mr_alloc(size);
    if (!of_entry)
        return mr_error_nomem(err);
    flat_codes(grouper, column->dictionary, entries, of_entry);
    const int32_t *at = (const int32_t *)(const void *)column->values->data;
    const uint8_t *validity = mr_column_validity(column);
    for (int64_t row = 0; row < rows; row++)
        grouper->codes[row] = mr_bitmap_get(validity, row) ? of_entry[at[row]] : -1;
    mr_free(of_entry);
    return MR_OK;
}

static enum mr_status column_codes(struct mr_grouper *grouper, const struct mr_column *column,
                                   int64_t rows, struct mr_error *err)
{
    if (column->encoding == MR_CONSTANT)
        memset(grouper->codes, 0, (size_t)rows * sizeof(int32_t));
    else if (column->encoding == MR_DICTIONARY)
        return dictionary_codes(grouper, column, rows, err);
    else
        flat_codes(grouper, column, rows, grouper->codes);
    return MR_OK;
}

/* ids = dense number of the pair (ids, codes), by first appearance. */
static int combine(struct mr_grouper *grouper, int64_t rows)
{
    struct table table = table_begin(grouper, rows);
    uint64_t last_key = 0;
    int32_t last = -1;
    for (int64_t row = 0; row < rows; row++) {
        uint64_t key = (uint64_t)(uint32_t)grouper->ids[row] << 32 | (uint32_t)grouper->codes[row];
        if (last < 0 || key != last_key) {
            last = code_of_key(&table, key, (int32_t)row);
            last_key = key;
        }
        grouper->ids[row] = last;
    }
    return table.count;
}

/* Counting sort by group keeps the order of rows. */
static void sort_rows(struct mr_grouper *grouper, int64_t rows)
{
    int32_t *starts = grouper->starts;
    memset(starts, 0, ((size_t)grouper->ngroups + 1) * sizeof *starts);
    for (int64_t row = 0; row < rows; row++)
        starts[grouper->ids[row] + 1]++;
    for (int g = 0; g < grouper->ngroups; g++)
        starts[g + 1] += starts[g];
    for (int64_t row = 0; row < rows; row++)
        grouper->rows[starts[grouper->ids[row]]++] = (int32_t)row;
    memmove(starts + 1, starts, (size_t)grouper->ngroups * sizeof *starts);
    starts[0] = 0;
}

enum mr_status mr_grouper_run(struct mr_grouper *grouper, const struct mr_batch *batch,
                              const int *columns, int ncolumns, struct mr_error *err)
{
    int64_t room = batch->rows;
    for (int i = 0; i < ncolumns; i++) {
        const struct mr_column *column = batch->columns[columns[i]];
        if (column->encoding == MR_DICTIONARY && column->dictionary->length > room)
            room = column->dictionary->length;
    }
    MR_TRY(reserve(grouper, room, err));
    memset(grouper->ids, 0, (size_t)batch->rows * sizeof(int32_t));
    grouper->ngroups = batch->rows > 0;
    for (int i = 0; i < ncolumns; i++) {
        MR_TRY(column_codes(grouper, batch->columns[columns[i]], batch->rows, err));
        grouper->ngroups = combine(grouper, batch->rows);
    }
    sort_rows(grouper, batch->rows);
    return MR_OK;
}
