/*
 * write.c - one task's rows into staged files. The work is dataset/'s; here are names and the committable.
 *
 * Names derive from (stateKey, state UUID, lane, epoch, number of the sink, task, partition, sequence): two runs never
 * choose the same name, and the same epoch written twice always does. They begin with the tag, by which a later run
 * finds the uploads of a dead one (ext/store.h).
 */
#include "connect/files/files_private.h"

#include "base/hash.h"

#include <stdio.h>

static void hash_text(uint64_t *hash, const char *text)
{
    *hash = mr_hash64_seed(text ? text : "", text ? strlen(text) + 1 : 1, *hash);
}

static uint64_t hash_state(const struct mr_runtime *runtime)
{
    uint64_t hash = 0;
    hash_text(&hash, runtime->state_key);
    hash_text(&hash, runtime->state_uuid ? runtime->state_uuid : runtime->run_id);
    return hash;
}

void files_tag(const struct mr_runtime *runtime, char out[17])
{
    snprintf(out, 17, "%016llx", (unsigned long long)hash_state(runtime));
}

/* The tag, then what tells one epoch and sink of this state from another. */
static void name_identity(const struct files *files, const struct mr_runtime *runtime,
                          const struct mr_epoch *epoch, char out[33])
{
    uint64_t hash = hash_state(runtime);
    hash = mr_hash_combine(hash, (uint64_t)epoch->lane);
    hash = mr_hash_combine(hash, (uint64_t)epoch->epoch);
    hash = mr_hash_combine(hash, (uint64_t)files->sequence);
    files_tag(runtime, out);
    snprintf(out + 16, 17, "%016llx", (unsigned long long)hash);
}

static enum mr_status sealed(void *context, const struct mr_dataset_file *file,
                             struct mr_error *err)
{
    struct files_writer *writer = context;
    struct files_staged staged = {
        .path = file->path,
        .directory = file->directory,
        .ticket = file->ticket,
        .rows = file->statistics->rows,
        .bytes = file->statistics->bytes,
    };
    files_committable_add(&writer->committable, &staged);
    return mr_bytes_status(&writer->committable, err);
}

enum mr_status files_writer_open(void *state, struct mr_runtime *runtime,
                                 const struct mr_epoch *epoch, int task, void **out,
                                 struct mr_error *err)
{
    struct files *files = state;
    struct files_writer *writer = mr_calloc(1, sizeof *writer);
    if (!writer)
        return mr_error_nomem(err);
    writer->files = files;
    writer->runtime = runtime;
    mr_bytes_init(&writer->committable, (size_t)1 << 30);
    files_committable_begin(&writer->committable);
    files_tag(runtime, writer->tag);
    name_identity(files, runtime, epoch, writer->identity);
    const struct mr_store *store = files->location.store;
    enum mr_status status =
        store->open(files->location.url, files->options, runtime, &writer->handle, err);
    writer->write = (struct mr_dataset_write){
        .schema = files->schema,
        .partition_columns = files->partition_columns,
        .npartition_columns = files->npartition_columns,
        .file_schema = files->file_schema,
        .tz = files->tz,
        .format = files->format,
        .compression = files->compression,
        .level = files->level,
        .row_group_rows = mr_options_integer(files->options, "rowGroupRows", 0),
        .row_group_bytes = mr_options_integer(files->options, "rowGroupBytes", 0),
        .options = files->options,
        .store = store,
        .handle = writer->handle,
        .prefix = "",
        .tag = writer->tag,
        .identity = writer->identity,
        .extension = files->extension,
        .task = task,
        .target_file_size = mr_options_integer(files->options, "targetFileSize", 0),
        .runtime = runtime,
        .sealed = sealed,
        .context = writer,
    };
    if (status == MR_OK)
        status = mr_dataset_writer_new(&writer->write, &writer->writer, err);
    if (status == MR_OK)
        *out = writer;
    else
        files_writer_close(writer);
    return status;
}

enum mr_status files_write(void *opaque, struct mr_batch *batch, struct mr_error *err)
{
    struct files_writer *writer = opaque;
    MR_TRY(mr_dataset_writer_add(writer->writer, batch, err));
    mr_count(writer->runtime, MR_COUNT_ROWS_WRITTEN, batch->rows);
    mr_count(writer->runtime, MR_COUNT_BATCHES, 1);
    return MR_OK;
}

enum mr_status files_relieve(void *opaque, int64_t bytes, struct mr_error *err)
{
    return mr_dataset_writer_relieve(((struct files_writer *)opaque)->writer, bytes, err);
}

int64_t files_part_bytes(void *opaque)
{
    return mr_dataset_writer_part_bytes(((struct files_writer *)opaque)->writer);
}

enum mr_status files_writer_finish(void *opaque, struct mr_bytes *committable, struct mr_error *err)
{
    struct files_writer *writer = opaque;
    MR_TRY(mr_dataset_writer_finish(writer->writer, err));
    MR_TRY(mr_bytes_status(&writer->committable, err));
    mr_bytes_append(committable, writer->committable.data, writer->committable.size);
    MR_TRY(mr_bytes_status(committable, err));
    /* From here on the committable owns the files: closing must not discard them. */
    mr_bytes_reset(&writer->committable);
    return MR_OK;
}

/* Sealed files of a task that never finished: discard them as well. */
static void discard_sealed(struct files_writer *writer)
{
    struct mr_arena arena;
    struct files_staged *files = NULL;
    int count = 0;
    mr_arena_init(&arena, NULL);
    struct mr_slice data = {writer->committable.data, writer->committable.size};
    if (data.size > 1 && files_committable_read(data, &arena, &files, &count, NULL) == MR_OK) {
        for (int i = 0; i < count; i++)
            writer->files->location.store->discard(writer->handle, files[i].ticket, NULL);
    }
    mr_arena_reset(&arena);
}

void files_writer_close(void *opaque)
{
    struct files_writer *writer = opaque;
    if (!writer)
        return;
    mr_dataset_writer_free(writer->writer);
    if (writer->handle) {
        discard_sealed(writer);
        writer->files->location.store->close(writer->handle);
    }
    mr_bytes_reset(&writer->committable);
    mr_free(writer);
}
