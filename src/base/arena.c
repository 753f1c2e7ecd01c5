/*
 * arena.c - a chain of growing blocks.
 *
 * Blocks double from 4 KiB to 1 MiB; a request larger than that gets a block of its own behind the
 * current one, so that the room left in the current block is not lost. The first block is made at
 * the first request: an arena that is never used costs nothing.
 */
#include "base/arena.h"

#include <stdio.h>
#include <string.h>

#define FIRST_SIZE ((size_t)4 << 10)
#define LAST_SIZE  ((size_t)1 << 20)
#define ALIGNMENT  ((size_t)16)

struct mr_arena_block {
    struct mr_arena_block *next;
    size_t used;
    size_t size; /* bytes behind the header */
    size_t padding;
};
_Static_assert(sizeof(struct mr_arena_block) % 16 == 0, "data behind the header stay aligned");

void mr_arena_init(struct mr_arena *arena, struct mr_memory *memory)
{
    arena->memory = memory;
    arena->blocks = NULL;
    arena->next_size = FIRST_SIZE;
}

void mr_arena_reset(struct mr_arena *arena)
{
    struct mr_arena_block *block = arena->blocks;
    while (block) {
        struct mr_arena_block *next = block->next;
        mr_memory_credit(arena->memory, (int64_t)(block->size + sizeof *block));
        mr_free(block);
        block = next;
    }
    mr_arena_init(arena, arena->memory);
}

static struct mr_arena_block *block_new(struct mr_arena *arena, size_t size)
{
    size_t total = size + sizeof(struct mr_arena_block);
    if (mr_memory_charge(arena->memory, (int64_t)total, NULL) != MR_OK)
        return NULL;
    struct mr_arena_block *block = mr_alloc(total);
    if (!block) {
        mr_memory_credit(arena->memory, (int64_t)total);
        return NULL;
    }
    block->next = NULL;
    block->used = 0;
    block->size = size;
    return block;
}

void *mr_arena_alloc(struct mr_arena *arena, size_t size)
{
    if (size > (size_t)INT64_MAX / 2)
        return NULL;
    size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (size == 0)
        size = ALIGNMENT;
    struct mr_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < size) {
        bool large = size > arena->next_size / 2;
        struct mr_arena_block *fresh = block_new(arena, large ? size : arena->next_size);
        if (!fresh)
            return NULL;
        if (large && block) {
            fresh->next = block->next;
            block->next = fresh;
        } else {
            fresh->next = block;
            arena->blocks = fresh;
        }
        if (!large && arena->next_size < LAST_SIZE)
            arena->next_size *= 2;
        block = fresh;
    }
    void *out = (char *)(block + 1) + block->used;
    block->used += size;
    return out;
}

void *mr_arena_calloc(struct mr_arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    void *out = mr_arena_alloc(arena, total);
    if (out)
        memset(out, 0, total);
    return out;
}

char *mr_arena_strndup(struct mr_arena *arena, const char *text, size_t length)
{
    char *copy = length == SIZE_MAX ? NULL : mr_arena_alloc(arena, length + 1);
    if (!copy)
        return NULL;
    if (length)
        memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *mr_arena_strdup(struct mr_arena *arena, const char *text)
{
    return mr_arena_strndup(arena, text, strlen(text));
}

char *mr_arena_printf(struct mr_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char *out = NULL;
    int n = vsnprintf(NULL, 0, format, args);
    if (n >= 0)
        out = mr_arena_alloc(arena, (size_t)n + 1);
    if (out)
        vsnprintf(out, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    return out;
}
