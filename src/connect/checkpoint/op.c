/*
 * op.c - checkpoint: a breaker that keeps its rows in files instead of memory.
 *
 * Each task writes its batches as chunks into files of its own, staged until the state is settled;
 * the lists are put together in task order, so that the order of the rows depends on the plan
 * alone. Settling publishes the files; from then on only the description is needed to read them,
 * here and in a later run (source.c). A state that nobody has described removes what it wrote; what
 * a killed process leaves is removed by the sweep of the next run.
 *
 * No filter and no column list crosses the step: what is kept must not depend on what stands behind
 * it, because that may be mended before the restart.
 */
#include "connect/checkpoint/frame.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "col/pack.h"
#include "dataset/store_options.h"
#include "ext/codec.h"
#include "ext/registry.h"

/* Larger ones are continued in another file: an upload has a limited number of parts. */
#define MOST_BYTES ((int64_t)8 << 30)

struct checkpoint_plan {
    const struct mr_options *options;
    struct mr_arena *arena;
    struct frame_place place;
    const struct mr_schema *schema;
    int parts;
    atomic_int files; /* numbered so far */
};

struct written {
    char *path;
    int64_t size;
    struct mr_bytes ticket;
};

struct state {
    struct checkpoint_plan *plan;
    struct mr_runtime *runtime;
    void *handle; /* of the store; opened with the first row */
    void *stage;  /* of the file that is being written */
    void *scratch;
    struct mr_bytes packed;
    struct mr_bytes stored;
    int64_t staged; /* bytes in it */
    int nfiles;
    struct written *files; /* the last one may still be being written */
    int nchunks;
    int capacity;
    struct frame_chunk *chunks;
    bool described;
    struct frame frame; /* settled: over files and chunks */
};

/* ---- bind ---- */

const struct mr_option checkpoint_options[] = {
    {.name = "path",
     .type = MR_OPTION_STRING,
     .doc = "Where the rows are kept until the run is committed: s3://, s3a://, file:// or a plain "
            "path (relative to the pipeline file). Default: in the directory of the state. Needed "
            "where the state is in a PostgreSQL."},
    MR_STORE_OPTION_ROWS,
    MR_UPLOAD_OPTION_ROWS,
    MR_OPTION_END,
};

static enum mr_status checkpoint_bind(const struct mr_op_bind *bind, void **plan,
                                      struct mr_op_info *info, struct mr_error *err)
{
    struct checkpoint_plan *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    if (self == NULL)
        return mr_error_nomem(err);
    self->options = bind->options;
    self->arena = bind->arena;
    MR_TRY(frame_locate(bind->options, bind->runtime, bind->arena, &self->place, err));
    self->schema = bind->inputs[0].schema;
    self->parts = frame_parts(bind->runtime);
    info->schema = self->schema;
    info->rows = bind->inputs[0].rows;
    info->pulls = self->parts;
    info->sorted = true;
    info->details = mr_arena_printf(bind->arena, "durable in %s; a restart begins here",
                                    self->place.text != NULL ? self->place.text : "its path");
    if (info->details == NULL)
        return mr_error_nomem(err);
    *plan = self;
    return MR_OK;
}

/* ---- writing ---- */

static void free_files(struct state *self)
{
    for (int i = 0; i < self->nfiles; i++) {
        mr_bytes_reset(&self->files[i].ticket);
        mr_free(self->files[i].path);
    }
    mr_free(self->files);
    mr_free(self->chunks);
    mr_free(self->frame.files);
    self->files = NULL;
    self->chunks = NULL;
    self->frame.files = NULL;
    self->nfiles = self->nchunks = self->capacity = 0;
}

/* As far as that goes: the sweep of the next run finds the rest. */
static void remove_files(struct state *self)
{
    const struct mr_store *store = self->plan->place.store;
    if (self->handle == NULL && store->open(self->plan->place.url, self->plan->options,
                                            self->runtime, &self->handle, NULL) != MR_OK)
        return;
    for (int i = 0; i < self->nfiles; i++) {
        struct mr_bytes *ticket = &self->files[i].ticket;
        if (ticket->size > 0)
            store->discard(self->handle, (struct mr_slice){ticket->data, ticket->size}, NULL);
        store->remove(self->handle, self->files[i].path, NULL);
    }
}

static void checkpoint_close(void *task)
{
    struct state *self = task;
    const struct mr_store *store = self->plan->place.store;
    if (self->stage != NULL)
        store->stage_close(self->stage);
    if (!self->described && self->nfiles > 0)
        remove_files(self);
    if (self->handle != NULL)
        store->close(self->handle);
    if (self->scratch != NULL)
        mr_registry_codec(self->runtime->registry, "lz4")->free_scratch(self->scratch);
    mr_bytes_reset(&self->packed);
    mr_bytes_reset(&self->stored);
    free_files(self);
    mr_free(self);
}

static enum mr_status checkpoint_open(void *plan, struct mr_runtime *runtime, void **task,
                                      struct mr_error *err)
{
    struct state *self = mr_calloc(1, sizeof *self);
    if (self == NULL)
        return mr_error_nomem(err);
    self->plan = plan;
    self->runtime = runtime;
    mr_bytes_init(&self->packed, (size_t)INT64_MAX);
    mr_bytes_init(&self->stored, (size_t)INT64_MAX);
    *task = self;
    return MR_OK;
}

/* Compresses `packed` into `stored` where that makes it smaller. */
static enum mr_status compress(struct state *self, const struct mr_bytes **out,
                               struct mr_error *err)
{
    const struct mr_codec *codec = mr_registry_codec(self->runtime->registry, "lz4");
    *out = &self->packed;
    size_t bound = codec != NULL ? codec->bound(self->packed.size) : 0, size = 0;
    if (bound == 0)
        return MR_OK;
    mr_bytes_clear(&self->stored);
    char *to = mr_bytes_reserve(&self->stored, bound);
    if (to == NULL)
        return mr_bytes_status(&self->stored, err);
    MR_TRY(codec->compress(self->packed.data, self->packed.size, INT_MIN, to, bound, &size,
                           &self->scratch, err));
    self->stored.size = size;
    if (size < self->packed.size)
        *out = &self->stored;
    return MR_OK;
}

static enum mr_status begin_file(struct state *self, struct mr_error *err)
{
    const struct frame_place *place = &self->plan->place;
    if (self->handle == NULL)
        MR_TRY(
            place->store->open(place->url, self->plan->options, self->runtime, &self->handle, err));
    struct written *grown =
        mr_realloc(self->files, ((size_t)self->nfiles + 1) * sizeof *self->files);
    if (grown == NULL)
        return mr_error_nomem(err);
    self->files = grown;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    const char *name =
        frame_name(&arena, place, self->runtime, atomic_fetch_add(&self->plan->files, 1));
    struct written *file = &self->files[self->nfiles];
    *file = (struct written){.path = name != NULL ? mr_strdup(name) : NULL};
    mr_bytes_init(&file->ticket, MR_BYTES_DEFAULT_MAXIMUM);
    mr_arena_reset(&arena);
    if (file->path == NULL)
        return mr_error_nomem(err);
    self->nfiles++;
    self->staged = 0;
    return place->store->stage_open(self->handle, file->path, place->key, &self->stage, err);
}

/* Makes the file that is being written durable; nobody sees it yet. */
static enum mr_status end_file(struct state *self, struct mr_error *err)
{
    const struct mr_store *store = self->plan->place.store;
    if (self->stage == NULL)
        return MR_OK;
    struct written *file = &self->files[self->nfiles - 1];
    file->size = self->staged;
    MR_TRY(MR_FAILPOINT("checkpoint.file", err));
    enum mr_status status = store->stage_finish(self->stage, &file->ticket, err);
    store->stage_close(self->stage);
    self->stage = NULL;
    MR_TRY(status);
    mr_count(self->runtime, MR_COUNT_FILES, 1);
    return MR_OK;
}

static enum mr_status room_for_chunk(struct state *self, struct mr_error *err)
{
    if (self->nchunks < self->capacity)
        return MR_OK;
    int capacity = self->capacity > 0 ? 2 * self->capacity : 16;
    struct frame_chunk *grown = mr_realloc(self->chunks, (size_t)capacity * sizeof *grown);
    if (grown == NULL)
        return mr_error_nomem(err);
    self->chunks = grown;
    self->capacity = capacity;
    return MR_OK;
}

static enum mr_status checkpoint_push(void *task, int port, struct mr_batch *batch,
                                      struct mr_emit *emit, struct mr_error *err)
{
    struct state *self = task;
    const struct mr_bytes *bytes;
    (void)port;
    (void)emit;
    if (batch->rows == 0)
        return MR_OK;
    mr_bytes_clear(&self->packed);
    MR_TRY(mr_batch_pack(batch, &self->packed, err));
    MR_TRY(compress(self, &bytes, err));
    if (self->stage != NULL && self->staged + (int64_t)bytes->size > MOST_BYTES)
        MR_TRY(end_file(self, err));
    if (self->stage == NULL)
        MR_TRY(begin_file(self, err));
    MR_TRY(room_for_chunk(self, err));
    MR_TRY(MR_FAILPOINT("checkpoint.chunk", err));
    MR_TRY(self->plan->place.store->stage_append(self->stage, bytes->data, bytes->size, err));
    self->chunks[self->nchunks++] = (struct frame_chunk){
        .file = self->nfiles - 1,
        .offset = self->staged,
        .stored = (int64_t)bytes->size,
        .packed = (int64_t)self->packed.size,
        .rows = batch->rows,
        .checksum = mr_hash64(bytes->data, bytes->size),
    };
    self->staged += (int64_t)bytes->size;
    mr_count(self->runtime, MR_COUNT_BYTES_WRITTEN, (int64_t)bytes->size);
    return MR_OK;
}

static enum mr_status checkpoint_finish(void *task, int port, struct mr_emit *emit,
                                        struct mr_error *err)
{
    struct state *self = task;
    (void)port;
    (void)emit;
    MR_TRY(end_file(self, err));
    return self->handle != NULL ? self->plan->place.store->sync(self->handle, err) : MR_OK;
}

static enum mr_status checkpoint_combine(void *into, void *from, struct mr_error *err)
{
    struct state *self = into, *other = from;
    size_t nfiles = (size_t)self->nfiles + (size_t)other->nfiles;
    size_t nchunks = (size_t)self->nchunks + (size_t)other->nchunks;
    struct written *files = mr_realloc(self->files, (nfiles + 1) * sizeof *files);
    if (files == NULL)
        return mr_error_nomem(err);
    self->files = files;
    struct frame_chunk *chunks = mr_realloc(self->chunks, (nchunks + 1) * sizeof *chunks);
    if (chunks == NULL)
        return mr_error_nomem(err);
    self->chunks = chunks;
    self->capacity = (int)nchunks + 1;
    for (int i = 0; i < other->nchunks; i++) {
        chunks[self->nchunks] = other->chunks[i];
        chunks[self->nchunks++].file += self->nfiles;
    }
    for (int i = 0; i < other->nfiles; i++)
        files[self->nfiles++] = other->files[i];
    other->nfiles = other->nchunks = 0;
    return MR_OK;
}

static enum mr_status publish(struct state *self, struct mr_runtime *runtime, struct mr_error *err)
{
    const struct frame_place *place = &self->plan->place;
    void *handle = NULL;
    MR_TRY(place->store->open(place->url, self->plan->options, runtime, &handle, err));
    enum mr_status status = MR_OK;
    for (int i = 0; i < self->nfiles && status == MR_OK; i++) {
        const struct mr_bytes *ticket = &self->files[i].ticket;
        status = place->store->publish(handle, (struct mr_slice){ticket->data, ticket->size}, err);
    }
    if (status == MR_OK)
        status = place->store->sync(handle, err);
    place->store->close(handle);
    return status;
}

/* The files become visible and durable by name; the state is now what can be described. */
static enum mr_status checkpoint_settle(void *built, struct mr_runtime *runtime, int piece,
                                        int *pieces, struct mr_error *err)
{
    struct state *self = built;
    (void)piece;
    (void)pieces;
    if (self->nfiles > 0)
        MR_TRY(publish(self, runtime, err));
    MR_TRY(MR_FAILPOINT("checkpoint.published", err));
    struct frame *frame = &self->frame;
    frame->url = self->plan->place.url;
    frame->schema = self->plan->schema;
    frame->files = mr_calloc((size_t)self->nfiles + 1, sizeof *frame->files);
    if (frame->files == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < self->nfiles; i++)
        frame->files[i] = (struct frame_file){self->files[i].path, self->files[i].size};
    frame->nfiles = self->nfiles;
    frame->chunks = self->chunks;
    frame->nchunks = self->nchunks;
    for (int i = 0; i < frame->nchunks; i++)
        frame->rows += frame->chunks[i].rows;
    return MR_OK;
}

static enum mr_status checkpoint_describe(void *built, struct mr_bytes *out, int64_t *rows,
                                          struct mr_error *err)
{
    struct state *self = built;
    *rows = self->frame.rows;
    frame_encode(&self->frame, out);
    MR_TRY(mr_bytes_status(out, err));
    self->described = true;
    return MR_OK;
}

/* ---- reading ---- */

static enum mr_status checkpoint_pull(const void *built, struct mr_runtime *runtime, int partition,
                                      struct mr_emit *emit, struct mr_error *err)
{
    const struct state *self = built;
    const struct frame *frame = &self->frame;
    struct frame_reader reader;
    int end = frame_part(frame, partition + 1, self->plan->parts);
    int at = frame_part(frame, partition, self->plan->parts);
    if (at == end)
        return MR_OK;
    MR_TRY(frame_reader_open(frame, self->plan->options, runtime, &reader, err));
    enum mr_status status = MR_OK;
    for (; at < end && status == MR_OK && !emit->closed; at++) {
        struct mr_batch *batch;
        status = frame_read(&reader, at, &batch, err);
        if (status == MR_OK)
            status = emit->batch(emit, 0, batch, err);
    }
    frame_reader_close(&reader);
    return status;
}

static const struct mr_durable durable = {
    .light = &checkpoint_light,
    .source = &checkpoint_source,
    .describe = checkpoint_describe,
    .check = frame_check,
    .sweep = frame_sweep,
};

const struct mr_op mr_op_checkpoint = {
    .name = "checkpoint",
    .doc = "Makes the frame durable: when the run fails behind it, the next start reads it from "
           "there and nothing in front of it again.",
    .system = "s3",
    .options = checkpoint_options,
    .flags = MR_OP_BREAKER,
    .batch_only = "every epoch of a stream is durable by itself: leave it out",
    .min_inputs = 1,
    .max_inputs = 1,
    .durable = &durable,
    .bind = checkpoint_bind,
    .open = checkpoint_open,
    .push = checkpoint_push,
    .finish = checkpoint_finish,
    .combine = checkpoint_combine,
    .settle = checkpoint_settle,
    .pull = checkpoint_pull,
    .close = checkpoint_close,
};
