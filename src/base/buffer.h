/*
 * buffer.h - the storage under columns: reference-counted, 64-byte aligned, charged to an account.
 *
 * A buffer is written by the one who made it and immutable once it is shared. Its padding up to the
 * next multiple of 64 bytes is readable and zero after mr_buffer_finish, as the Arrow columnar
 * format asks, so that kernels may run over the end.
 */
#ifndef MR_BASE_BUFFER_H
#define MR_BASE_BUFFER_H

#include "base/alloc.h"

struct mr_buffer {
    atomic_int_fast32_t refs;
    struct mr_memory *memory; /* credited when the last reference goes; may be NULL */
    uint8_t *data;
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated and charged, a multiple of 64 */
    void (*release)(
        void *owner); /* foreign storage (Arrow import): called instead of mr_free(data) */
    void *owner;
};

/* One reference, size 0, at least `capacity` bytes. */
enum mr_status mr_buffer_new(struct mr_memory *memory, size_t capacity, struct mr_buffer **out,
                             struct mr_error *err);
/* Wraps storage that somebody else frees. Not charged. */
enum mr_status mr_buffer_wrap(const void *data, size_t size, void (*release)(void *owner),
                              void *owner, struct mr_buffer **out, struct mr_error *err);
/* Only while the caller holds the one reference. Grows at least by half. */
enum mr_status mr_buffer_reserve(struct mr_buffer *buffer, size_t capacity, struct mr_error *err);
/* Sets the size, clears the padding, and gives back capacity that is more than a quarter unused. */
void mr_buffer_finish(struct mr_buffer *buffer, size_t size);
struct mr_buffer *mr_buffer_ref(struct mr_buffer *buffer);
/* NULL is allowed. */
void mr_buffer_unref(struct mr_buffer *buffer);

#endif
