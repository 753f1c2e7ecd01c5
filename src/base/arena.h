/*
 * arena.h - bump allocation for things that die together.
 *
 * Four lifetimes exist, each an arena passed explicitly: process, plan, run, batch. Nothing in an
 * arena is freed alone. Not thread-safe: one owner at a time.
 */
#ifndef MR_BASE_ARENA_H
#define MR_BASE_ARENA_H

#include "base/alloc.h"

struct mr_arena_block;

struct mr_arena {
    struct mr_memory *memory; /* charged for blocks; may be NULL */
    struct mr_arena_block *blocks;
    size_t next_size;
};

void mr_arena_init(struct mr_arena *arena, struct mr_memory *memory);
/* Frees all; the arena can be used again. */
void mr_arena_reset(struct mr_arena *arena);
/* 16-byte aligned, not cleared. NULL when memory or budget is out. */
void *mr_arena_alloc(struct mr_arena *arena, size_t size);
/* Cleared, overflow-checked. */
void *mr_arena_calloc(struct mr_arena *arena, size_t count, size_t size);
char *mr_arena_strdup(struct mr_arena *arena, const char *text);
/* `text` may be NULL where `length` is 0. */
char *mr_arena_strndup(struct mr_arena *arena, const char *text, size_t length);
char *mr_arena_printf(struct mr_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
