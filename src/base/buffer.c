/*
 * buffer.c - reference-counted storage of columns.
 *
 * Growing allocates, copies and frees instead of calling realloc, because realloc does not keep the
 * 64-byte alignment that vectorised loops and the Arrow format want. Storage is not cleared when it
 * is made: decoders overwrite it; only the padding behind the size is, once, by mr_buffer_finish.
 */
#include "base/buffer.h"

#include <assert.h>
#include <string.h>

static size_t round_up(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

/* Charged, aligned storage of a multiple of 64 bytes. */
static enum mr_status storage_new(struct mr_memory *memory, size_t capacity, uint8_t **out,
                                  struct mr_error *err)
{
    MR_TRY(mr_memory_charge(memory, (int64_t)capacity, err));
    *out = mr_alloc_aligned(capacity);
    if (*out)
        return MR_OK;
    mr_memory_credit(memory, (int64_t)capacity);
    return mr_error_nomem(err);
}

static enum mr_status too_large(struct mr_error *err, size_t size)
{
    return mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG, "a buffer of %zu bytes is too large", size);
}

enum mr_status mr_buffer_new(struct mr_memory *memory, size_t capacity, struct mr_buffer **out,
                             struct mr_error *err)
{
    *out = NULL;
    if (capacity > (size_t)INT64_MAX / 4)
        return too_large(err, capacity);
    struct mr_buffer *buffer = mr_alloc(sizeof *buffer);
    if (!buffer)
        return mr_error_nomem(err);
    capacity = capacity ? round_up(capacity) : 64;
    enum mr_status status = storage_new(memory, capacity, &buffer->data, err);
    if (status != MR_OK) {
        mr_free(buffer);
        return status;
    }
    atomic_init(&buffer->refs, 1);
    buffer->memory = memory;
    buffer->size = 0;
    buffer->capacity = capacity;
    buffer->release = NULL;
    buffer->owner = NULL;
    *out = buffer;
    return MR_OK;
}

/* Constant storage: nobody to tell. */
static void release_nothing(void *owner)
{
    (void)owner;
}

enum mr_status mr_buffer_wrap(const void *data, size_t size, void (*release)(void *owner),
                              void *owner, struct mr_buffer **out, struct mr_error *err)
{
    *out = NULL;
    struct mr_buffer *buffer = mr_alloc(sizeof *buffer);
    if (!buffer)
        return mr_error_nomem(err);
    atomic_init(&buffer->refs, 1);
    buffer->memory = NULL;
    buffer->data = (uint8_t *)(uintptr_t)data;
    buffer->size = size;
    buffer->capacity = size;
    buffer->release = release ? release : release_nothing;
    buffer->owner = owner;
    *out = buffer;
    return MR_OK;
}

/* Replaces the storage by one of `capacity` bytes, a multiple of 64. */
static enum mr_status move_to(struct mr_buffer *buffer, size_t capacity, struct mr_error *err)
{
    uint8_t *data;
    MR_TRY(storage_new(buffer->memory, capacity, &data, err));
    /* Decoders write ahead of `size`, so all of the old storage is carried over. */
    memcpy(data, buffer->data, buffer->capacity < capacity ? buffer->capacity : capacity);
    mr_free(buffer->data);
    mr_memory_credit(buffer->memory, (int64_t)buffer->capacity);
    buffer->data = data;
    buffer->capacity = capacity;
    return MR_OK;
}

enum mr_status mr_buffer_reserve(struct mr_buffer *buffer, size_t capacity, struct mr_error *err)
{
    if (capacity <= buffer->capacity)
        return MR_OK;
    assert(!buffer->release && atomic_load(&buffer->refs) == 1);
    if (capacity > (size_t)INT64_MAX / 4)
        return too_large(err, capacity);
    size_t wanted = buffer->capacity + buffer->capacity / 2;
    if (wanted < capacity)
        wanted = capacity;
    enum mr_status status = move_to(buffer, round_up(wanted), err);
    /* Under a tight budget the exact size may still fit. */
    if (status == MR_LIMIT && round_up(capacity) < round_up(wanted))
        status = move_to(buffer, round_up(capacity), err);
    return status;
}

void mr_buffer_finish(struct mr_buffer *buffer, size_t size)
{
    assert(size <= buffer->capacity && !buffer->release);
    buffer->size = size;
    size_t needed = size ? round_up(size) : 64;
    /*
     * Below a page nothing is won; a refusal leaves the buffer larger than it need be, which is no
     * failure.
     */
    size_t unused = buffer->capacity - needed;
    if (unused > buffer->capacity / 4 && unused >= 4096)
        (void)move_to(buffer, needed, NULL);
    memset(buffer->data + size, 0, needed - size);
}

struct mr_buffer *mr_buffer_ref(struct mr_buffer *buffer)
{
    if (buffer)
        atomic_fetch_add_explicit(&buffer->refs, 1, memory_order_relaxed);
    return buffer;
}

void mr_buffer_unref(struct mr_buffer *buffer)
{
    if (!buffer || atomic_fetch_sub_explicit(&buffer->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (buffer->release) {
        buffer->release(buffer->owner);
    } else {
        mr_free(buffer->data);
        mr_memory_credit(buffer->memory, (int64_t)buffer->capacity);
    }
    mr_free(buffer);
}
