/*
 * deleted.c - the bytes of a deletion vector: a 64-bit Roaring bitmap in its portable form.
 *
 *   magic 1681511377 (u32) | bitmaps (u64) | per bitmap: high 32 bits (u32), 32-bit bitmap
 *   32-bit bitmap: cookie | [runs flags] | key, cardinality - 1 (u16 each) | [offsets] | blocks
 *
 * all little-endian (RoaringFormatSpec). The blocks are used where they lie: arrays of ascending
 * u16, bitmaps of 8192 bytes, runs of (start, length - 1). CRoaring could read this too, but it
 * trusts order and lengths inside the blocks, and these bytes come from outside; and a file's rows
 * are asked for in order, for which a cursor over the blocks needs no bitmap in memory.
 */
#include "connect/delta/vector.h"

#define MAGIC          1681511377U
#define COOKIE_RUNS    12347U
#define COOKIE_NO_RUNS 12346U
/* With runs, fewer blocks than this have no offsets. */
#define OFFSETS_FROM 4
#define ARRAY_MOST   4096
#define BLOCK_VALUES 65536
#define BITMAP_BYTES (BLOCK_VALUES / 8)

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

static enum mr_status broken(struct mr_error *err, const char *what)
{
    return mr_error_data(err, MR_SOURCE, "a deletion vector is not valid: %s", what);
}

static const uint8_t *take(struct input *input, size_t size)
{
    if ((size_t)(input->end - input->at) < size)
        return NULL;
    const uint8_t *at = input->at;
    input->at += size;
    return at;
}

static uint32_t u16(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static uint32_t u32(const uint8_t *at)
{
    return u16(at) | u16(at + 2) << 16;
}

static bool take_u32(struct input *input, uint32_t *out)
{
    const uint8_t *at = take(input, 4);
    if (at)
        *out = u32(at);
    return at != NULL;
}

/* ---- checks of a block; all give the number of values, -1 = not valid ---- */

static int check_array(const uint8_t *data, int count)
{
    for (int i = 1; i < count; i++) {
        if (u16(data + 2 * i) <= u16(data + 2 * (i - 1)))
            return -1;
    }
    return count;
}

static int check_bitmap(const uint8_t *data)
{
    int count = 0;
    for (int i = 0; i < BITMAP_BYTES; i++)
        count += __builtin_popcount(data[i]);
    return count;
}

static int check_runs(const uint8_t *data, int runs)
{
    int count = 0;
    int64_t next = 0; /* the first value that the next run may start with */
    for (int i = 0; i < runs; i++) {
        int64_t start = u16(data + 4 * i);
        int64_t length = (int64_t)u16(data + 4 * i + 2) + 1;
        if (start < next || start + length > BLOCK_VALUES)
            return -1;
        next = start + length;
        count += (int)length;
    }
    return count;
}

static enum mr_status read_block(struct input *input, bool runs, int cardinality,
                                 struct delta_block *block, struct mr_error *err)
{
    int found = -1;
    if (runs) {
        const uint8_t *number = take(input, 2);
        block->kind = DELTA_BLOCK_RUNS;
        block->count = number ? (int)u16(number) : 0;
        block->data = number ? take(input, (size_t)block->count * 4) : NULL;
        if (block->data)
            found = check_runs(block->data, block->count);
    } else if (cardinality <= ARRAY_MOST) {
        block->kind = DELTA_BLOCK_ARRAY;
        block->count = cardinality;
        block->data = take(input, (size_t)cardinality * 2);
        if (block->data)
            found = check_array(block->data, cardinality);
    } else {
        block->kind = DELTA_BLOCK_BITMAP;
        block->count = cardinality;
        block->data = take(input, BITMAP_BYTES);
        if (block->data)
            found = check_bitmap(block->data);
    }
    if (!block->data)
        return broken(err, "it is cut short");
    return found == cardinality ? MR_OK : broken(err, "a block has wrong values");
}

struct blocks {
    struct mr_arena *arena;
    struct delta_deleted *out;
    int64_t capacity;
};

static struct delta_block *new_block(struct blocks *blocks)
{
    struct delta_deleted *out = blocks->out;
    if (out->nblocks == blocks->capacity) {
        int64_t capacity = blocks->capacity ? blocks->capacity * 2 : 16;
        struct delta_block *more = mr_arena_calloc(blocks->arena, (size_t)capacity, sizeof *more);
        if (!more)
            return NULL;
        if (out->nblocks)
            memcpy(more, out->blocks, (size_t)out->nblocks * sizeof *more);
        out->blocks = more;
        blocks->capacity = capacity;
    }
    return &out->blocks[out->nblocks++];
}

/* Cookie to offsets: the tables that come before the blocks. */
struct head {
    int blocks;
    const uint8_t *runs; /* a bit a block, or NULL */
    const uint8_t *keys; /* key and cardinality - 1 */
};

static enum mr_status read_head(struct input *input, struct head *head, struct mr_error *err)
{
    uint32_t cookie;
    uint32_t count;
    if (!take_u32(input, &cookie))
        return broken(err, "it is cut short");
    head->runs = NULL;
    if ((cookie & 0xFFFF) == COOKIE_RUNS) {
        count = (cookie >> 16) + 1;
        head->runs = take(input, (count + 7) / 8);
        if (!head->runs)
            return broken(err, "it is cut short");
    } else if (cookie != COOKIE_NO_RUNS) {
        return broken(err, "a bitmap begins with a wrong number");
    } else if (!take_u32(input, &count)) {
        return broken(err, "it is cut short");
    }
    if (count > BLOCK_VALUES)
        return broken(err, "a bitmap has too many blocks");
    head->blocks = (int)count;
    head->keys = take(input, (size_t)count * 4);
    bool offsets = !head->runs || count >= OFFSETS_FROM;
    /* blocks follow each other: the offsets say nothing more */
    if (!head->keys || (offsets && !take(input, (size_t)count * 4)))
        return broken(err, "it is cut short");
    return MR_OK;
}

static enum mr_status read_bitmap(struct input *input, uint64_t high, struct blocks *blocks,
                                  struct mr_error *err)
{
    struct head head = {0};
    MR_TRY(read_head(input, &head, err));
    for (int i = 0; i < head.blocks; i++) {
        uint32_t key = u16(head.keys + 4 * i);
        int cardinality = (int)u16(head.keys + 4 * i + 2) + 1;
        if (i > 0 && key <= u16(head.keys + 4 * (i - 1)))
            return broken(err, "its blocks are not in order");
        struct delta_block *block = new_block(blocks);
        if (!block)
            return mr_error_nomem(err);
        block->key = high << 16 | key;
        bool runs = head.runs && (head.runs[i / 8] >> (i % 8) & 1);
        MR_TRY(read_block(input, runs, cardinality, block, err));
        blocks->out->cardinality += cardinality;
    }
    return MR_OK;
}

enum mr_status delta_deleted_parse(const void *data, size_t size, struct mr_arena *arena,
                                   struct delta_deleted *out, struct mr_error *err)
{
    *out = (struct delta_deleted){0};
    struct input input = {data, (const uint8_t *)data + size};
    struct blocks blocks = {arena, out, 0};
    uint32_t magic;
    uint32_t low;
    uint32_t high;
    if (!take_u32(&input, &magic) || !take_u32(&input, &low) || !take_u32(&input, &high))
        return broken(err, "it is cut short");
    if (magic != MAGIC)
        return broken(err, "it begins with a wrong number");
    uint64_t count = (uint64_t)high << 32 | low;
    uint64_t before = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t key;
        if (!take_u32(&input, &key))
            return broken(err, "it is cut short");
        if (key > INT32_MAX || (i > 0 && key <= before))
            return broken(err, "its bitmaps are not in order");
        before = key;
        MR_TRY(read_bitmap(&input, key, &blocks, err));
    }
    return MR_OK;
}

/* ---- asking ---- */

static int64_t find_block(const struct delta_deleted *deleted, uint64_t key)
{
    int64_t low = 0;
    int64_t high = deleted->nblocks;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (deleted->blocks[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_value(const struct delta_block *block, struct delta_deleted_cursor *cursor,
                      uint32_t value)
{
    if (block->kind == DELTA_BLOCK_BITMAP)
        return block->data[value / 8] >> (value % 8) & 1;
    if (block->kind == DELTA_BLOCK_ARRAY) {
        if (cursor->at > 0 && u16(block->data + 2 * (cursor->at - 1)) >= value)
            cursor->at = 0;
        while (cursor->at < block->count && u16(block->data + 2 * cursor->at) < value)
            cursor->at++;
        return cursor->at < block->count && u16(block->data + 2 * cursor->at) == value;
    }
    if (cursor->at > 0 && u16(block->data + 4 * (cursor->at - 1)) >= value)
        cursor->at = 0;
    for (; cursor->at < block->count; cursor->at++) {
        const uint8_t *run = block->data + 4 * cursor->at;
        if (value <= u16(run) + u16(run + 2))
            return value >= u16(run);
    }
    return false;
}

bool delta_deleted_has(const struct delta_deleted *deleted, struct delta_deleted_cursor *cursor,
                       uint64_t row)
{
    uint64_t key = row >> 16;
    if (cursor->block >= deleted->nblocks || deleted->blocks[cursor->block].key != key) {
        int64_t block = find_block(deleted, key);
        if (block >= deleted->nblocks || deleted->blocks[block].key != key)
            return false;
        *cursor = (struct delta_deleted_cursor){.block = block};
    }
    return has_value(&deleted->blocks[cursor->block], cursor, (uint32_t)(row & 0xFFFF));
}
