/*
 * toy_sink.c - rows as lines of text on a store, one object a (lane, epoch, task), and one object a lane that says which epoch
 * the target has and which positions belong to it.
 *
 * The order of a commit is that of every real sink: publish the rows, then let the lane's object say so. A commit whose
 * epoch the lane has already is done. Lines start with the row's kind: + insert, < before, > after, - delete.
 */
#include "contract/toy_sink.h"

#include "enc/json_text.h"
#include "ext/registry.h"
#include "ext/store.h"

#include <stdio.h>

#define VERSION 1

static const struct mr_option toy_options[] = {
    {.name = "path", .type = MR_OPTION_STRING, .flags = MR_OPTION_REQUIRED, .doc = "Where."},
    MR_OPTION_END,
};

struct toy {
    const struct mr_store *store;
    const char *path;
    const struct mr_schema *schema;
};

struct toy_writer {
    struct toy *toy;
    struct mr_runtime *runtime;
    void *handle;
    void *stage;
    struct mr_json_rows *rows;
    struct mr_bytes text; /* not staged yet */
    size_t charged;
};

static const struct mr_store *find_store(const struct mr_runtime *runtime)
{
    return mr_registry_store(runtime->registry, "file");
}

static enum mr_status toy_bind(const struct mr_sink_bind *bind, void **state,
                               struct mr_sink_info *info, struct mr_error *err)
{
    struct toy *toy = mr_arena_calloc(bind->arena, 1, sizeof *toy);
    if (!toy)
        return mr_error_nomem(err);
    *toy = (struct toy){find_store(bind->runtime), mr_options_text(bind->options, "path"),
                        bind->schema};
    *info = (struct mr_sink_info){
        .kinds = MR_SINK_APPEND | MR_SINK_UPSERT | MR_SINK_COMPLETE,
        .tasks = 2,
        .location = toy->path,
    };
    *state = toy;
    return MR_OK;
}

static void toy_writer_close(void *opaque)
{
    struct toy_writer *writer = opaque;
    if (writer->stage)
        writer->toy->store->stage_close(writer->stage);
    if (writer->handle)
        writer->toy->store->close(writer->handle);
    mr_json_rows_free(writer->rows);
    mr_bytes_reset(&writer->text);
    mr_memory_credit(writer->runtime->memory, (int64_t)writer->charged);
    mr_free(writer);
}

static enum mr_status toy_writer_open(void *state, struct mr_runtime *runtime,
                                      const struct mr_epoch *epoch, int task, void **out,
                                      struct mr_error *err)
{
    struct toy *toy = state;
    struct toy_writer *writer = mr_calloc(1, sizeof *writer);
    if (!writer)
        return mr_error_nomem(err);
    *writer = (struct toy_writer){.toy = toy, .runtime = runtime};
    mr_bytes_init(&writer->text, (size_t)1 << 24);
    char path[96];
    snprintf(path, sizeof path, "rows-%d-%lld-%d", epoch->lane, (long long)epoch->epoch, task);
    enum mr_status status = toy->store->open(toy->path, NULL, runtime, &writer->handle, err);
    if (status == MR_OK)
        status =
            toy->store->stage_open(writer->handle, path, runtime->state_key, &writer->stage, err);
    if (status == MR_OK)
        status = mr_json_rows_new(toy->schema, &writer->rows, err);
    if (status == MR_OK)
        *out = writer;
    else
        toy_writer_close(writer);
    return status;
}

static enum mr_status toy_write(void *opaque, struct mr_batch *batch, struct mr_error *err)
{
    struct toy_writer *writer = opaque;
    mr_json_rows_encode(writer->rows, batch, 0, batch->rows, &writer->text);
    MR_TRY(mr_bytes_status(&writer->text, err));
    MR_TRY(mr_memory_charge(writer->runtime->memory,
                            (int64_t)(writer->text.capacity - writer->charged), err));
    writer->charged = writer->text.capacity;
    mr_count(writer->runtime, MR_COUNT_ROWS_WRITTEN, batch->rows);
    return MR_OK;
}

static enum mr_status toy_relieve(void *opaque, int64_t bytes, struct mr_error *err)
{
    struct toy_writer *writer = opaque;
    (void)bytes;
    if (writer->text.size)
        MR_TRY(writer->toy->store->stage_append(writer->stage, writer->text.data, writer->text.size,
                                                err));
    mr_bytes_reset(&writer->text);
    mr_memory_credit(writer->runtime->memory, (int64_t)writer->charged);
    writer->charged = 0;
    return MR_OK;
}

static enum mr_status toy_writer_finish(void *opaque, struct mr_bytes *committable,
                                        struct mr_error *err)
{
    struct toy_writer *writer = opaque;
    MR_TRY(toy_relieve(writer, INT64_MAX, err));
    MR_TRY(writer->toy->store->stage_finish(writer->stage, committable, err));
    return writer->toy->store->sync(writer->handle, err);
}

/* version, path, lane, epoch, positions, tickets */
static enum mr_status toy_prepare(void *state, struct mr_runtime *runtime,
                                  const struct mr_epoch *epoch, const struct mr_slice *committables,
                                  int ncommittables, struct mr_bytes *token, struct mr_error *err)
{
    struct toy *toy = state;
    (void)runtime;
    mr_bytes_u8(token, VERSION);
    mr_bytes_lenpref(token, toy->path, strlen(toy->path));
    mr_bytes_varint(token, (uint64_t)epoch->lane);
    mr_bytes_varint(token, (uint64_t)epoch->epoch);
    mr_bytes_lenpref(token, epoch->positions.data, epoch->positions.size);
    mr_bytes_varint(token, (uint64_t)ncommittables);
    for (int i = 0; i < ncommittables; i++)
        mr_bytes_lenpref(token, committables[i].data, committables[i].size);
    return mr_bytes_status(token, err);
}

struct toy_token {
    char path[512];
    int lane;
    int64_t epoch;
    struct mr_slice positions;
    int ntickets;
    struct mr_slice tickets[16];
};

static enum mr_status read_token(struct mr_slice data, struct toy_token *token,
                                 struct mr_error *err)
{
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, data.data, data.size);
    uint8_t version = mr_byte_reader_u8(&reader);
    struct mr_slice path = mr_byte_reader_lenpref(&reader);
    snprintf(token->path, sizeof token->path, "%.*s", (int)path.size, path.data);
    token->lane = (int)mr_byte_reader_varint(&reader);
    token->epoch = (int64_t)mr_byte_reader_varint(&reader);
    token->positions = mr_byte_reader_lenpref(&reader);
    token->ntickets = (int)mr_byte_reader_varint(&reader);
    for (int i = 0; i < token->ntickets && i < 16; i++)
        token->tickets[i] = mr_byte_reader_lenpref(&reader);
    if (reader.bad || version != VERSION || token->ntickets > 16)
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL, "damaged token");
    return MR_OK;
}

/* What the lane's object says: its epoch, a blank, the positions. */
static enum mr_status read_lane(const struct mr_store *store, void *handle, int lane,
                                int64_t *epoch, struct mr_bytes *positions, struct mr_error *err)
{
    char path[32], text[256];
    size_t size;
    snprintf(path, sizeof path, "lane-%d", lane);
    *epoch = 0;
    enum mr_status status = store->read(handle, path, 0, text, sizeof text - 1, &size, err);
    if (status == MR_SOURCE) /* absent: a new target */
        return MR_OK;
    MR_TRY(status);
    text[size] = '\0';
    int used = 0;
    long long number = 0;
    sscanf(text, "%lld %n", &number, &used);
    *epoch = number;
    mr_bytes_append(positions, text + used, size - (size_t)used);
    return mr_bytes_status(positions, err);
}

static enum mr_status publish(const struct mr_store *store, void *handle,
                              const struct toy_token *token, struct mr_error *err)
{
    int64_t known;
    struct mr_bytes text;
    char path[32];
    mr_bytes_init(&text, 1 << 16);
    enum mr_status status = read_lane(store, handle, token->lane, &known, &text, err);
    if (status == MR_OK && known < token->epoch) {
        for (int i = 0; i < token->ntickets && status == MR_OK; i++)
            status = store->publish(handle, token->tickets[i], err);
        if (status == MR_OK)
            status = store->sync(handle, err);
        snprintf(path, sizeof path, "lane-%d", token->lane);
        mr_bytes_clear(&text);
        mr_bytes_printf(&text, "%lld ", (long long)token->epoch);
        mr_bytes_append(&text, token->positions.data, token->positions.size);
        if (status == MR_OK)
            status = store->put(handle, path, (struct mr_slice){text.data, text.size}, err);
    }
    mr_bytes_reset(&text);
    return status;
}

static enum mr_status toy_commit(const struct mr_options *options, struct mr_runtime *runtime,
                                 struct mr_slice data, struct mr_error *err)
{
    const struct mr_store *store = find_store(runtime);
    struct toy_token token;
    void *handle;
    (void)options;
    MR_TRY(read_token(data, &token, err));
    MR_TRY(store->open(token.path, NULL, runtime, &handle, err));
    enum mr_status status = publish(store, handle, &token, err);
    store->close(handle);
    return status;
}

static enum mr_status toy_recover(const struct mr_options *options, struct mr_runtime *runtime,
                                  int lane, struct mr_recovered *out, struct mr_error *err)
{
    const struct mr_store *store = find_store(runtime);
    void *handle;
    MR_TRY(store->open(mr_options_text(options, "path"), NULL, runtime, &handle, err));
    enum mr_status status = read_lane(store, handle, lane, &out->epoch, &out->positions, err);
    store->close(handle);
    return status;
}

static enum mr_status toy_abort(const struct mr_options *options, struct mr_runtime *runtime,
                                struct mr_slice data, struct mr_error *err)
{
    const struct mr_store *store = find_store(runtime);
    struct toy_token token = {.ntickets = 0};
    void *handle;
    snprintf(token.path, sizeof token.path, "%s", mr_options_text(options, "path"));
    if (data.size)
        MR_TRY(read_token(data, &token, err));
    MR_TRY(store->open(token.path, NULL, runtime, &handle, err));
    enum mr_status status = MR_OK;
    if (!data.size)
        status = store->discard_tag(handle, "", runtime->state_key, NULL, err);
    for (int i = 0; i < token.ntickets && status == MR_OK; i++)
        status = store->discard(handle, token.tickets[i], err);
    if (status == MR_OK)
        status = store->sync(handle, err);
    store->close(handle);
    return status;
}

static void toy_close(void *state)
{
    (void)state;
}

const struct mr_sink toy_sink = {
    .name = "toy",
    .doc = "Rows as lines, for the contract suite.",
    .options = toy_options,
    .bind = toy_bind,
    .writer_open = toy_writer_open,
    .write = toy_write,
    .relieve = toy_relieve,
    .writer_finish = toy_writer_finish,
    .writer_close = toy_writer_close,
    .prepare = toy_prepare,
    .commit = toy_commit,
    .recover = toy_recover,
    .abort = toy_abort,
    .close = toy_close,
};
