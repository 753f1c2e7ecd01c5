/*
 * sink_token.c - committables and tokens of the sink, as bytes. What is read may come from a damaged
 * journal: every count and length is checked.
 */
#include "connect/delta/sink_private.h"

#include "base/hash.h"

#define VERSION       1
#define TOKEN_VERSION 2 /* 1 had no run */

static enum mr_status damaged(struct mr_error *err)
{
    return mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                        "the record of this commit is damaged or of another version");
}

static void put_slice(struct mr_bytes *out, struct mr_slice slice)
{
    mr_bytes_lenpref(out, slice.data, slice.size);
}

/* A reader that remembers the first thing that went wrong. */
struct take {
    struct mr_byte_reader reader;
    struct mr_arena *arena;
    bool nomem;
};

static const char *take_text(struct take *take)
{
    const char *copy = mr_byte_reader_lenpref_text(&take->reader, take->arena);
    take->nomem = take->nomem || !copy;
    return copy ? copy : "";
}

static const char *take_optional(struct take *take)
{
    const char *text = take_text(take);
    return *text ? text : NULL;
}

/* A count that the rest of the record has room for. */
static int take_count(struct take *take)
{
    uint64_t count = mr_byte_reader_varint(&take->reader);
    if (count > (uint64_t)(take->reader.end - take->reader.at))
        take->reader.bad = true;
    return take->reader.bad ? 0 : (int)count;
}

static enum mr_status taken(const struct take *take, struct mr_error *err)
{
    if (!mr_byte_reader_done(&take->reader))
        return damaged(err);
    return take->nomem ? mr_error_nomem(err) : MR_OK;
}

/* ---- committables ---- */

void delta_committable_begin(struct mr_bytes *out, int64_t rows, struct mr_slice written)
{
    mr_bytes_u8(out, VERSION);
    mr_bytes_u64le(out, (uint64_t)rows);
    put_slice(out, written);
}

void delta_committable_address(struct mr_bytes *out, const char *path, struct mr_slice bitmap)
{
    mr_bytes_lenpref_text(out, path);
    put_slice(out, bitmap);
}

enum mr_status delta_committable_read(struct mr_slice data, struct mr_arena *arena,
                                      struct delta_committable *out, struct mr_error *err)
{
    struct take take = {.arena = arena};
    int room = 0;
    *out = (struct delta_committable){0};
    mr_byte_reader_init(&take.reader, data.data, data.size);
    if (mr_byte_reader_u8(&take.reader) != VERSION)
        return damaged(err);
    out->rows = (int64_t)mr_byte_reader_u64le(&take.reader);
    out->written = mr_byte_reader_lenpref(&take.reader);
    while (!take.reader.bad && take.reader.at < take.reader.end) {
        if (out->naddresses == room) {
            room = room ? 2 * room : 8;
            struct delta_addresses *more = mr_arena_calloc(arena, (size_t)room, sizeof *more);
            if (!more)
                return mr_error_nomem(err);
            if (out->naddresses)
                memcpy(more, out->addresses, (size_t)out->naddresses * sizeof *more);
            out->addresses = more;
        }
        struct delta_addresses *one = &out->addresses[out->naddresses++];
        one->path = take_text(&take);
        one->bitmap = mr_byte_reader_lenpref(&take.reader);
    }
    return taken(&take, err);
}

/* ---- tokens ---- */

void delta_token_write(const struct delta_token *token, struct mr_bytes *out)
{
    mr_bytes_u8(out, TOKEN_VERSION);
    mr_bytes_u8(out, (uint8_t)token->mode);
    mr_bytes_u8(out, (uint8_t)token->removal);
    mr_bytes_lenpref_text(out, token->url);
    mr_bytes_lenpref_text(out, token->text);
    mr_bytes_lenpref_text(out, token->app_id);
    mr_bytes_u64le(out, (uint64_t)token->epoch);
    mr_bytes_u64le(out, token->run);
    mr_bytes_lenpref_text(out, token->operation);
    mr_bytes_lenpref_text(out, token->parameters);
    mr_bytes_lenpref_text(out, token->metrics);
    mr_bytes_lenpref_text(out, token->where);
    mr_bytes_u64le(out, (uint64_t)token->read_version);
    mr_bytes_u64le(out, token->basis);
    mr_bytes_lenpref_text(out, token->definition);
    mr_bytes_varint(out, (uint64_t)token->nwritten);
    for (int i = 0; i < token->nwritten; i++)
        put_slice(out, token->written[i]);
    mr_bytes_varint(out, (uint64_t)token->nremoves);
    for (int i = 0; i < token->nremoves; i++)
        mr_bytes_lenpref_text(out, token->removes[i]);
}

enum mr_status delta_token_read(struct mr_slice data, struct mr_arena *arena,
                                struct delta_token *out, struct mr_error *err)
{
    struct take take = {.arena = arena};
    *out = (struct delta_token){0};
    mr_byte_reader_init(&take.reader, data.data, data.size);
    uint8_t version = mr_byte_reader_u8(&take.reader);
    if (version != TOKEN_VERSION && version != 1)
        return damaged(err);
    out->mode = (enum delta_mode)mr_byte_reader_u8(&take.reader);
    out->removal = (enum delta_removal)mr_byte_reader_u8(&take.reader);
    out->url = take_text(&take);
    out->text = take_text(&take);
    out->app_id = take_text(&take);
    out->epoch = (int64_t)mr_byte_reader_u64le(&take.reader);
    out->run = version == 1 ? 0 : mr_byte_reader_u64le(&take.reader);
    out->operation = take_text(&take);
    out->parameters = take_text(&take);
    out->metrics = take_optional(&take);
    out->where = take_optional(&take);
    out->read_version = (int64_t)mr_byte_reader_u64le(&take.reader);
    out->basis = mr_byte_reader_u64le(&take.reader);
    out->definition = take_text(&take);
    out->nwritten = take_count(&take);
    out->written = mr_arena_calloc(arena, (size_t)out->nwritten + 1, sizeof *out->written);
    if (!out->written)
        return mr_error_nomem(err);
    for (int i = 0; i < out->nwritten; i++)
        out->written[i] = mr_byte_reader_lenpref(&take.reader);
    out->nremoves = take_count(&take);
    out->removes = mr_arena_calloc(arena, (size_t)out->nremoves + 1, sizeof *out->removes);
    if (!out->removes)
        return mr_error_nomem(err);
    for (int i = 0; i < out->nremoves; i++)
        out->removes[i] = take_text(&take);
    if (out->mode > DELTA_MODE_UPSERT || out->removal > DELTA_REMOVE_LISTED)
        return damaged(err);
    return taken(&take, err);
}

static void hash_text(uint64_t *hash, const char *text)
{
    *hash = mr_hash64_seed(text ? text : "", text ? strlen(text) + 1 : 0, *hash);
}

static uint64_t hash_metadata(const struct delta_metadata *metadata, const char *id)
{
    uint64_t hash = 0, properties = 0;
    hash_text(&hash, id);
    hash_text(&hash, metadata->schema_json);
    for (int i = 0; i < metadata->npartition_columns; i++)
        hash_text(&hash, metadata->partition_columns[i]);
    /* Their order means nothing. */
    for (int i = 0; i < metadata->nconfiguration; i++) {
        uint64_t one = 0;
        hash_text(&one, metadata->configuration[i].name);
        hash_text(&one, metadata->configuration[i].value);
        properties += mr_hash_mix(one);
    }
    return mr_hash_combine(hash, properties);
}

uint64_t delta_metadata_hash(const struct delta_metadata *metadata)
{
    return hash_metadata(metadata, metadata->id);
}

uint64_t delta_sink_basis(const struct delta_sink *sink)
{
    const struct delta_snapshot *snapshot = sink->target.snapshot;
    bool places = sink->addresses || sink->removal == DELTA_REMOVE_LISTED;
    if (!sink->target.metadata)
        return 0;
    uint64_t hash = hash_metadata(sink->target.metadata, snapshot ? snapshot->metadata.id : "");
    if (snapshot)
        hash = mr_hash_combine(hash, delta_metadata_hash(&snapshot->metadata));
    return mr_hash_combine(hash, places && snapshot ? (uint64_t)snapshot->version : UINT64_MAX);
}
