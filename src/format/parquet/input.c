/*
 * input.c - few, large reads.
 *
 * The chunks of a row group that are wanted are read at once while they are at most 64 MiB (less when memory is short):
 * chunks less than 1 MiB apart become one stretch, stretches are cut into parts of 8 MiB, and all parts go to read_many
 * together, since a store far away answers many requests as fast as one. A larger row group is read in windows: when a
 * stream runs dry, every stream that has used half of its window is refilled by the same read_many.
 */
#include "format/parquet/input.h"

#include <stdlib.h>

#define WHOLE_MAX  ((int64_t)64 << 20)
#define WHOLE_MIN  ((int64_t)4 << 20)
#define WINDOW_MIN ((int64_t)128 << 10)
#define WINDOW_MAX ((int64_t)8 << 20)
#define GAP_MAX    ((int64_t)1 << 20)
#define PART_MAX   ((int64_t)8 << 20)
#define SLACK      64

static int by_offset(const void *a, const void *b)
{
    const struct mr_pq_piece *x = *(struct mr_pq_piece *const *)a;
    const struct mr_pq_piece *y = *(struct mr_pq_piece *const *)b;
    return x->start < y->start ? -1 : x->start > y->start;
}

struct plan {
    struct mr_byte_read *reads;
    int nreads;
    int capacity;
};

static enum mr_status add_read(struct plan *plan, int64_t offset, size_t size, uint8_t *out,
                               struct mr_error *err)
{
    while (size > 0) {
        if (plan->nreads == plan->capacity) {
            int capacity = plan->capacity ? plan->capacity * 2 : 16;
            void *reads = mr_realloc(plan->reads, (size_t)capacity * sizeof *plan->reads);
            if (reads == NULL)
                return mr_error_nomem(err);
            plan->reads = reads;
            plan->capacity = capacity;
        }
        size_t now = size < (size_t)PART_MAX ? size : (size_t)PART_MAX;
        plan->reads[plan->nreads++] = (struct mr_byte_read){offset, now, out};
        offset += (int64_t)now;
        out += now;
        size -= now;
    }
    return MR_OK;
}

static enum mr_status run(struct mr_pq_input *input, struct plan *plan, struct mr_error *err)
{
    if (plan->nreads == 0)
        return MR_OK;
    return input->source->read_many(input->source, plan->reads, plan->nreads, err);
}

/* One stretch for pieces sorted[from..to). */
static enum mr_status add_stretch(struct mr_pq_input *input, struct mr_pq_piece **sorted, int from,
                                  int to, int64_t end, struct plan *plan, struct mr_error *err)
{
    int64_t start = sorted[from]->start;
    size_t size = (size_t)(end - start);
    struct mr_buffer *buffer;
    MR_TRY(mr_buffer_new(input->memory, size + SLACK, &buffer, err));
    memset(buffer->data + size, 0, SLACK);
    enum mr_status status = add_read(plan, start, size, buffer->data, err);
    for (int i = from; i < to; i++) {
        sorted[i]->buffer = mr_buffer_ref(buffer);
        sorted[i]->offset = (size_t)(sorted[i]->start - start);
    }
    mr_buffer_unref(buffer);
    return status;
}

static enum mr_status read_whole(struct mr_pq_input *input, struct mr_pq_piece **sorted, int count,
                                 struct mr_error *err)
{
    struct plan plan = {0};
    enum mr_status status = MR_OK;
    qsort(sorted, (size_t)count, sizeof *sorted, by_offset);
    for (int from = 0; status == MR_OK && from < count;) {
        int to = from + 1;
        int64_t end = sorted[from]->end;
        for (; to < count && sorted[to]->start - end < GAP_MAX; to++)
            if (sorted[to]->end > end)
                end = sorted[to]->end;
        status = add_stretch(input, sorted, from, to, end, &plan, err);
        from = to;
    }
    if (status == MR_OK)
        status = run(input, &plan, err);
    mr_free(plan.reads);
    return status;
}

enum mr_status mr_pq_input_open(struct mr_pq_input *input, struct mr_error *err)
{
    int64_t total = 0, most = mr_memory_available(input->memory) / 8;
    int count = 0;
    most = most > WHOLE_MAX ? WHOLE_MAX : most < WHOLE_MIN ? WHOLE_MIN : most;
    for (int i = 0; i < input->nstreams; i++)
        count += input->streams[i].npieces;
    if (count == 0)
        return MR_OK;
    input->window = most / input->nstreams;
    if (input->window > WINDOW_MAX)
        input->window = WINDOW_MAX;
    if (input->window < WINDOW_MIN)
        input->window = WINDOW_MIN;
    struct mr_pq_piece **sorted = mr_alloc((size_t)count * sizeof *sorted);
    if (sorted == NULL)
        return mr_error_nomem(err);
    count = 0;
    for (int i = 0; i < input->nstreams; i++) {
        for (int k = 0; k < input->streams[i].npieces; k++) {
            sorted[count] = &input->streams[i].pieces[k];
            /* Chunks may overlap in a file made to hurt: their sum is what counts. */
            total += sorted[count]->end - sorted[count]->start;
            count++;
        }
    }
    enum mr_status status = total <= most ? read_whole(input, sorted, count, err) : MR_OK;
    mr_free(sorted);
    return status;
}

static size_t unread(const struct mr_pq_stream *stream)
{
    int64_t used = stream->next - stream->start;
    return used >= 0 && used < (int64_t)stream->held ? stream->held - (size_t)used : 0;
}

/* A new window that starts at stream->next: what is left of the old one, then `size` bytes in all. */
static enum mr_status move_window(struct mr_pq_input *input, struct mr_pq_stream *stream,
                                  size_t size, struct plan *plan, struct mr_error *err)
{
    size_t left = unread(stream);
    struct mr_buffer *buffer;
    MR_TRY(mr_buffer_new(input->memory, size + SLACK, &buffer, err));
    if (left > 0)
        memcpy(buffer->data, stream->window->data + stream->offset + (stream->next - stream->start),
               left);
    memset(buffer->data + size, 0, SLACK);
    mr_buffer_unref(stream->window);
    stream->window = buffer;
    stream->start = stream->next;
    stream->offset = 0;
    stream->held = size;
    return add_read(plan, stream->next + (int64_t)left, size - left, buffer->data + left, err);
}

static enum mr_status refill(struct mr_pq_input *input, struct mr_pq_stream *stream, size_t size,
                             struct mr_error *err)
{
    struct plan plan = {0};
    enum mr_status status = MR_OK;
    for (int i = 0; status == MR_OK && i < input->nstreams; i++) {
        struct mr_pq_stream *other = &input->streams[i];
        int64_t rest = other->end - other->next;
        size_t want = (size_t)input->window;
        if (other == stream && want < size)
            want = size;
        if ((int64_t)want > rest)
            want = (size_t)rest;
        size_t have = unread(other);
        if (have < want && (other == stream || have < (size_t)input->window / 2))
            status = move_window(input, other, want, &plan, err);
    }
    if (status == MR_OK)
        status = run(input, &plan, err);
    mr_free(plan.reads);
    return status;
}

/* The piece that holds the next byte becomes the window, if it was read. */
static void enter_piece(struct mr_pq_stream *stream)
{
    for (int i = 0; i < stream->npieces; i++) {
        struct mr_pq_piece *piece = &stream->pieces[i];
        if (piece->buffer == NULL || stream->next < piece->start || stream->next >= piece->end)
            continue;
        mr_buffer_unref(stream->window);
        stream->window = mr_buffer_ref(piece->buffer);
        stream->start = piece->start;
        stream->offset = piece->offset;
        stream->held = (size_t)(piece->end - piece->start);
        return;
    }
}

enum mr_status mr_pq_input_peek(struct mr_pq_input *input, struct mr_pq_stream *stream, size_t size,
                                const uint8_t **out, size_t *got, struct mr_error *err)
{
    int64_t rest = stream->end - stream->next;
    if ((int64_t)size > rest)
        size = (size_t)rest;
    if (unread(stream) == 0)
        enter_piece(stream);
    /* A header is asked for with more than it takes: what is left of a piece will do, unless it was cut. */
    if (unread(stream) < size)
        MR_TRY(refill(input, stream, size, err));
    *got = unread(stream);
    *out = stream->window ? stream->window->data + stream->offset + (stream->next - stream->start)
                          : NULL;
    return MR_OK;
}

void mr_pq_input_reset(struct mr_pq_input *input)
{
    for (int i = 0; i < input->nstreams; i++) {
        mr_buffer_unref(input->streams[i].window);
        input->streams[i].window = NULL;
        input->streams[i].held = 0;
        for (int k = 0; k < input->streams[i].npieces; k++) {
            mr_buffer_unref(input->streams[i].pieces[k].buffer);
            input->streams[i].pieces[k].buffer = NULL;
        }
        input->streams[i].npieces = 0;
    }
}
