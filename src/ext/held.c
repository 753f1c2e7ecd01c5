/*
 * held.c - the list of held frames, and their rows.
 *
 * Rows are packed batches (one buffer each, charged to the account of the frame), so that unpacking shares the buffer and costs nothing. The old
 * rows go when they are due, before the new ones are read: otherwise a refresh would need room for both. Accounts belong to frames, which
 * live as long as the list, because columns of a plan may hold a buffer for longer than the reading it came from.
 */
#include "ext/held.h"

#include "base/buffer.h"
#include "col/pack.h"

#include <string.h>

#define PACK_MAXIMUM ((size_t)1 << 31)

static void free_rows(struct mr_held_rows *rows)
{
    if (rows == NULL)
        return;
    for (int i = 0; i < rows->nblocks; i++)
        mr_buffer_unref(rows->blocks[i].packed);
    mr_free(rows->blocks);
    mr_arena_reset(&rows->arena);
    mr_free(rows);
}

static void drop_reading(struct mr_held_frame *frame)
{
    free_rows(frame->reading);
    frame->reading = NULL;
}

struct mr_held_frame *mr_held_find(const struct mr_held_list *list, const char *step, int input)
{
    struct mr_held_frame *frame = list != NULL ? list->first : NULL;
    while (frame != NULL && (frame->input != input || strcmp(frame->step, step) != 0))
        frame = frame->next;
    return frame;
}

enum mr_status mr_held_frame(struct mr_held_list *list, const char *step, int input,
                             const char *label, struct mr_held_frame **out, struct mr_error *err)
{
    *out = mr_held_find(list, step, input);
    if (*out != NULL)
        return MR_OK;
    size_t size = strlen(step) + 1;
    struct mr_held_frame *frame = mr_calloc(1, sizeof *frame + size);
    if (frame == NULL)
        return mr_error_nomem(err);
    memcpy(frame->step, step, size);
    frame->input = input;
    frame->label = mr_strdup(label);
    if (frame->label == NULL) {
        mr_free(frame);
        return mr_error_nomem(err);
    }
    if (list->first == NULL) {
        int64_t half = list->memory->limit == INT64_MAX ? INT64_MAX : list->memory->limit / 2;
        mr_memory_init(&list->held, list->memory,
                       "rows held until `refresh` (half of resources.memory)", half);
    }
    mr_memory_init(&frame->memory, &list->held, frame->label, INT64_MAX);
    pthread_mutex_init(&frame->lock, NULL);
    frame->next = list->first;
    list->first = *out = frame;
    return MR_OK;
}

const struct mr_held_rows *mr_held_fresh(const struct mr_held_list *list,
                                         struct mr_held_frame *frame, int64_t refresh)
{
    if (frame->rows != NULL && list->now - frame->rows->read_at >= refresh) {
        free_rows(frame->rows);
        frame->rows = NULL;
    }
    return frame->rows;
}

enum mr_status mr_held_begin(struct mr_held_frame *frame, const struct mr_schema *schema,
                             const char *event_time, struct mr_error *err)
{
    drop_reading(frame);
    struct mr_held_rows *rows = mr_calloc(1, sizeof *rows);
    if (rows == NULL)
        return mr_error_nomem(err);
    mr_arena_init(&rows->arena, NULL);
    rows->schema = mr_schema_new(&rows->arena, schema->fields, schema->nfields);
    rows->event_time = event_time != NULL ? mr_arena_strdup(&rows->arena, event_time) : NULL;
    if (rows->schema == NULL || (event_time != NULL && rows->event_time == NULL)) {
        free_rows(rows);
        return mr_error_nomem(err);
    }
    frame->reading = rows;
    return MR_OK;
}

/* Takes over the buffer, also when it fails. */
static enum mr_status append(struct mr_held_rows *to, struct mr_buffer *packed, int64_t rows,
                             struct mr_error *err)
{
    if (to->nblocks == to->capacity) {
        int capacity = to->capacity > 0 ? 2 * to->capacity : 16;
        struct mr_held_block *grown =
            mr_realloc(to->blocks, (size_t)capacity * sizeof(struct mr_held_block));
        if (grown == NULL) {
            mr_buffer_unref(packed);
            return mr_error_nomem(err);
        }
        to->blocks = grown;
        to->capacity = capacity;
    }
    to->blocks[to->nblocks++] = (struct mr_held_block){packed, rows};
    to->rows += rows;
    to->bytes += (int64_t)packed->size;
    return MR_OK;
}

static enum mr_status pack(struct mr_held_frame *frame, const struct mr_batch *batch,
                           struct mr_buffer **out, struct mr_error *err)
{
    struct mr_bytes bytes;
    struct mr_buffer *packed = NULL;
    mr_bytes_init(&bytes, PACK_MAXIMUM);
    enum mr_status status = mr_batch_pack(batch, &bytes, err);
    if (status == MR_OK)
        status = mr_bytes_status(&bytes, err);
    if (status == MR_OK)
        status = mr_buffer_new(&frame->memory, bytes.size, &packed, err);
    if (status == MR_OK) {
        if (bytes.size > 0)
            memcpy(packed->data, bytes.data, bytes.size);
        mr_buffer_finish(packed, bytes.size);
    }
    mr_bytes_reset(&bytes);
    *out = packed;
    return status;
}

enum mr_status mr_held_add(struct mr_held_frame *frame, const struct mr_batch *batch,
                           struct mr_error *err)
{
    struct mr_buffer *packed = NULL;
    MR_TRY(pack(frame, batch, &packed, err));
    pthread_mutex_lock(&frame->lock);
    enum mr_status status = append(frame->reading, packed, batch->rows, err);
    pthread_mutex_unlock(&frame->lock);
    return status;
}

void mr_held_settle(struct mr_held_list *list)
{
    for (struct mr_held_frame *frame = list->first; frame != NULL; frame = frame->next) {
        if (frame->reading != NULL && frame->reading->opened && !frame->reading->cut) {
            free_rows(frame->rows);
            frame->rows = frame->reading;
            frame->rows->read_at = list->now;
            frame->reading = NULL;
        }
        drop_reading(frame);
    }
}

void mr_held_discard(struct mr_held_list *list)
{
    for (struct mr_held_frame *frame = list->first; frame != NULL; frame = frame->next)
        drop_reading(frame);
}

int64_t mr_held_reserve(const struct mr_held_list *list)
{
    for (const struct mr_held_frame *frame = list != NULL ? list->first : NULL; frame != NULL;
         frame = frame->next)
        if (frame->reading != NULL && list->held.limit != INT64_MAX)
            return list->held.limit - mr_memory_used(&list->held);
    return 0;
}

void mr_held_reset(struct mr_held_list *list)
{
    while (list->first != NULL) {
        struct mr_held_frame *frame = list->first;
        list->first = frame->next;
        drop_reading(frame);
        free_rows(frame->rows);
        pthread_mutex_destroy(&frame->lock);
        mr_free(frame->label);
        mr_free(frame);
    }
}
