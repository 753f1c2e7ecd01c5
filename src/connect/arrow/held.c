/*
 * held.c - a given stream, read once into memory.
 *
 * An Arrow C stream can be read once and by one thread, while a plan may need its rows several
 * times (two segments, a retry, a preview before the run) and by several threads. So the rows are
 * copied into columns of ours, charged to the budget of the run, and handed out by reference from
 * then on. The alternative, to read the stream while the run goes on, would save the memory and
 * lose parallel reading, exact counts for the plan, and pipelines that use the frame twice.
 *
 * Record batches come in any size: big ones are cut while they are copied, so that the peak is the
 * foreign batch plus one of ours; runs of small ones are joined, since everything downstream pays
 * per batch.
 */
#include "connect/arrow/held.h"

#include "col/arrow_cdata.h"
#include "col/kernel.h"

#include <errno.h>

#define SMALL_ROWS (MR_ARROW_HELD_ROWS / 4)

static void unref_all(struct mr_batch **batches, int n)
{
    for (int i = 0; i < n; i++)
        mr_batch_unref(batches[i]);
}

static void held_free(void *object)
{
    struct mr_arrow_held *held = object;
    unref_all(held->batches, held->nbatches);
    unref_all(held->small, held->nsmall);
    mr_free(held->batches);
    mr_free(held->ends);
    mr_free(held->small);
    if (held->in_schema.release != NULL)
        held->in_schema.release(&held->in_schema);
    mr_arena_reset(&held->arena);
    mr_free(held);
}

static enum mr_status stream_error(struct mr_given *given, int code, struct mr_error *err)
{
    const char *said =
        given->stream.get_last_error ? given->stream.get_last_error(&given->stream) : NULL;
    return mr_error_data(err, MR_SOURCE, "the Arrow stream \"%.100s\" failed: %s", given->name,
                         said != NULL && said[0] != '\0' ? said : strerror(code));
}

/* --- the schema --- */

static enum mr_status check_names(const struct mr_given *given, const struct mr_schema *schema,
                                  struct mr_error *err)
{
    if (schema->nfields == 0)
        return mr_error_config(err, "the Arrow stream \"%.100s\" has no columns", given->name);
    for (int i = 0; i < schema->nfields; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(schema->fields[i].name, schema->fields[k].name) == 0)
                return mr_error_config(err,
                                       "the Arrow stream \"%.100s\" has two columns named \"%s\"",
                                       given->name, schema->fields[i].name);
    return MR_OK;
}

static enum mr_status read_schema(struct mr_given *given, struct mr_arrow_held *held,
                                  struct mr_error *err)
{
    int code = given->stream.get_schema(&given->stream, &held->in_schema);
    if (code != 0) {
        held->in_schema.release = NULL;
        return stream_error(given, code, err);
    }
    MR_TRY(mr_arrow_import_schema(&held->in_schema, &held->arena, &held->schema, err));
    return check_names(given, held->schema, err);
}

enum mr_status mr_arrow_held_get(struct mr_given *given, struct mr_given_list *list,
                                 struct mr_arrow_held **out, struct mr_error *err)
{
    *out = given->held;
    if (*out != NULL)
        return MR_OK;
    struct mr_arrow_held *held = mr_calloc(1, sizeof *held);
    if (held == NULL)
        return mr_error_nomem(err);
    mr_arena_init(&held->arena, NULL);
    char *name = mr_arena_printf(&held->arena, "stream \"%s\"", given->name);
    mr_memory_init(&held->memory, list->memory, name, INT64_MAX);
    enum mr_status status = name != NULL ? read_schema(given, held, err) : mr_error_nomem(err);
    if (status != MR_OK) {
        held_free(held);
        return status;
    }
    given->held = *out = held;
    given->held_free = held_free;
    return MR_OK;
}

/* --- the rows --- */

static enum mr_status grow(struct mr_arrow_held *held, struct mr_error *err)
{
    if (held->nbatches < held->capacity)
        return MR_OK;
    int capacity = held->capacity > 0 ? 2 * held->capacity : 64;
    struct mr_batch **batches =
        mr_realloc(held->batches, (size_t)capacity * sizeof(struct mr_batch *));
    if (batches == NULL)
        return mr_error_nomem(err);
    held->batches = batches;
    int64_t *ends = mr_realloc(held->ends, (size_t)capacity * sizeof *ends);
    if (ends == NULL)
        return mr_error_nomem(err);
    held->ends = ends;
    held->capacity = capacity;
    return MR_OK;
}

/* Takes over the reference, also when it fails. */
static enum mr_status keep(struct mr_arrow_held *held, struct mr_batch *batch, struct mr_error *err)
{
    enum mr_status status = grow(held, err);
    if (status != MR_OK) {
        mr_batch_unref(batch);
        return status;
    }
    held->rows += batch->rows;
    held->bytes += mr_batch_bytes(batch);
    held->ends[held->nbatches] = held->rows;
    held->batches[held->nbatches++] = batch;
    return MR_OK;
}

static enum mr_status join_small(struct mr_arrow_held *held, struct mr_error *err)
{
    struct mr_batch *joined = NULL;
    if (held->nsmall == 0)
        return MR_OK;
    if (held->nsmall == 1)
        joined = mr_batch_ref(held->small[0]);
    else
        MR_TRY(mr_batch_concat(&held->memory, held->small, held->nsmall, &joined, err));
    unref_all(held->small, held->nsmall);
    held->nsmall = 0;
    held->small_rows = 0;
    return keep(held, joined, err);
}

/* Takes over the reference, also when it fails. */
static enum mr_status keep_small(struct mr_arrow_held *held, struct mr_batch *batch,
                                 struct mr_error *err)
{
    if (held->nsmall == held->small_capacity) {
        int capacity = held->small_capacity > 0 ? 2 * held->small_capacity : 16;
        struct mr_batch **small =
            mr_realloc(held->small, (size_t)capacity * sizeof(struct mr_batch *));
        if (small == NULL) {
            mr_batch_unref(batch);
            return mr_error_nomem(err);
        }
        held->small = small;
        held->small_capacity = capacity;
    }
    held->small[held->nsmall++] = batch;
    held->small_rows += batch->rows;
    return held->small_rows >= MR_ARROW_HELD_ROWS - SMALL_ROWS ? join_small(held, err) : MR_OK;
}

static enum mr_status check_nulls(const struct mr_batch *batch, struct mr_error *err)
{
    for (int i = 0; i < batch->schema->nfields; i++)
        if (!batch->schema->fields[i].nullable && batch->columns[i]->nulls > 0)
            return mr_error_data(err, MR_SOURCE,
                                 "column \"%s\" of the Arrow stream is not nullable by its schema, "
                                 "but there are NULLs",
                                 batch->schema->fields[i].name);
    return MR_OK;
}

static enum mr_status take_batch(void *context, struct mr_batch *batch, struct mr_error *err)
{
    struct mr_arrow_held *held = context;
    enum mr_status status = check_nulls(batch, err);
    bool small = batch->rows < SMALL_ROWS && mr_batch_bytes(batch) < MR_ARROW_HELD_BYTES / 4;
    if (status == MR_OK && !small)
        status = join_small(held, err);
    if (status != MR_OK) {
        mr_batch_unref(batch);
        return status;
    }
    return small ? keep_small(held, batch, err) : keep(held, batch, err);
}

static enum mr_status read_rows(struct mr_given *given, struct mr_arrow_held *held,
                                struct mr_waiter *waiter, struct mr_error *err)
{
    struct mr_arrow_cut cut = {MR_ARROW_HELD_ROWS, MR_ARROW_HELD_BYTES, take_batch, held};
    for (;;) {
        struct ArrowArray array = {0};
        if (mr_wait_cancelled(waiter))
            return mr_error_cancelled(err);
        int code = given->stream.get_next(&given->stream, &array);
        if (code != 0)
            return stream_error(given, code, err);
        if (array.release == NULL)
            return join_small(held, err);
        MR_TRY(mr_arrow_import_slices(&array, &held->in_schema, held->schema, &held->memory, &cut,
                                      err));
    }
}

/* A stream that failed in the middle cannot be read again: its rows go, its error stays. */
static void give_up(struct mr_given *given, struct mr_arrow_held *held, const struct mr_error *err)
{
    held->failure = *err;
    unref_all(held->batches, held->nbatches);
    unref_all(held->small, held->nsmall);
    held->nbatches = held->nsmall = 0;
    given->stream.release(&given->stream);
    given->stream.release = NULL;
}

enum mr_status mr_arrow_held_fill(struct mr_given *given, struct mr_waiter *waiter,
                                  struct mr_error *err)
{
    struct mr_arrow_held *held = given->held;
    struct mr_error failure = {0};
    if (held->failure.status != MR_OK) {
        if (err != NULL)
            *err = held->failure;
        return held->failure.status;
    }
    if (held->complete)
        return MR_OK;
    enum mr_status status = read_rows(given, held, waiter, &failure);
    if (status == MR_OK) {
        held->complete = true;
        given->stream.release(&given->stream);
        given->stream.release = NULL;
        return MR_OK;
    }
    if (status == MR_LIMIT)
        mr_error_hint(&failure, "the rows of a given stream are held in memory: raise "
                                "resources.memory, or give fewer rows or columns");
    if (status != MR_CANCELLED)
        give_up(given, held, &failure);
    if (err != NULL)
        *err = failure;
    return status;
}
