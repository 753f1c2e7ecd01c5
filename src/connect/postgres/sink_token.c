/*
 * sink_token.c - committables and tokens of toPostgres, as bytes, and how the first become the second. What is read may come from a
 * damaged journal: every count and length is checked.
 */
#include "connect/postgres/sink_private.h"

#include <stdio.h>

#define VERSION       1
#define TOKEN_VERSION 2 /* 1 had no run */

enum { FLAG_SWAP = 1, FLAG_DIRECT = 2, FLAG_OVERRIDING = 4, FLAG_ANALYZE = 8, FLAG_NOTED = 16 };

static enum mr_status damaged(struct mr_error *err)
{
    return mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                        "the record of this commit is damaged or of another version");
}

void pg_committable_write(struct mr_bytes *out, const struct pg_staged *staged)
{
    mr_bytes_u8(out, VERSION);
    mr_bytes_lenpref_text(out, staged->name);
    mr_bytes_u64le(out, (uint64_t)staged->rows);
}

enum mr_status pg_committable_read(struct mr_slice data, struct mr_arena *arena,
                                   struct pg_staged *out, struct mr_error *err)
{
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, data.data, data.size);
    uint8_t version = mr_byte_reader_u8(&reader);
    out->name = mr_byte_reader_lenpref_text(&reader, arena);
    out->rows = (int64_t)mr_byte_reader_u64le(&reader);
    if (!out->name)
        return mr_error_nomem(err);
    if (!mr_byte_reader_done(&reader) || version != VERSION || out->rows < 0)
        return damaged(err);
    return MR_OK;
}

/* The texts of a token in the order of the record. */
#define TEXTS 12
static void texts_of(struct pg_token *token, const char **out[TEXTS])
{
    const char **const all[TEXTS] = {
        &token->schema, &token->name,     &token->sink,     &token->state_key,
        &token->uuid,   &token->where,    &token->create,   &token->into,
        &token->select, &token->conflict, &token->key_list, &token->indexes,
    };
    memcpy(out, all, sizeof all);
}

void pg_token_write(const struct pg_token *token, struct mr_bytes *out)
{
    struct pg_token copy = *token;
    const char **texts[TEXTS];
    texts_of(&copy, texts);
    mr_bytes_u8(out, TOKEN_VERSION);
    mr_bytes_u8(out, (uint8_t)token->mode);
    mr_bytes_u8(out,
                (uint8_t)((token->swap ? FLAG_SWAP : 0) | (token->direct ? FLAG_DIRECT : 0) |
                          (token->overriding ? FLAG_OVERRIDING : 0) |
                          (token->analyze ? FLAG_ANALYZE : 0) | (token->noted ? FLAG_NOTED : 0)));
    mr_bytes_u32le(out, (uint32_t)token->lane);
    mr_bytes_u64le(out, (uint64_t)token->epoch);
    for (int i = 0; i < TEXTS; i++)
        mr_bytes_lenpref_text(out, *texts[i]);
    mr_bytes_lenpref_text(out, token->run);
    mr_bytes_lenpref(out, token->positions.data, token->positions.size);
    mr_bytes_u64le(out, (uint64_t)token->before.epoch);
    mr_bytes_lenpref_text(out, token->before.uuid);
    mr_bytes_varint(out, (uint64_t)token->nstaged);
    for (int i = 0; i < token->nstaged; i++) {
        mr_bytes_lenpref_text(out, token->staged[i].name);
        mr_bytes_u64le(out, (uint64_t)token->staged[i].rows);
    }
}

static enum mr_status take_staged(struct mr_byte_reader *reader, struct mr_arena *arena,
                                  struct pg_token *out, struct mr_error *err)
{
    uint64_t count = mr_byte_reader_varint(reader);
    if (reader->bad || count > (uint64_t)(reader->end - reader->at) / 9)
        return damaged(err);
    out->nstaged = (int)count;
    out->staged = mr_arena_calloc(arena, (size_t)count + 1, sizeof *out->staged);
    if (!out->staged)
        return mr_error_nomem(err);
    for (int i = 0; i < out->nstaged; i++) {
        out->staged[i].name = mr_byte_reader_lenpref_text(reader, arena);
        out->staged[i].rows = (int64_t)mr_byte_reader_u64le(reader);
        if (!out->staged[i].name)
            return mr_error_nomem(err);
    }
    return reader->bad || reader->at != reader->end ? damaged(err) : MR_OK;
}

enum mr_status pg_token_read(struct mr_slice data, struct mr_arena *arena, struct pg_token *out,
                             struct mr_error *err)
{
    struct mr_byte_reader reader;
    const char **texts[TEXTS];
    *out = (struct pg_token){0};
    mr_byte_reader_init(&reader, data.data, data.size);
    uint8_t version = mr_byte_reader_u8(&reader);
    uint8_t mode = mr_byte_reader_u8(&reader);
    uint8_t flags = mr_byte_reader_u8(&reader);
    if (reader.bad || (version != TOKEN_VERSION && version != 1) || mode > PG_UPSERT)
        return damaged(err);
    out->mode = (enum pg_mode)mode;
    out->swap = flags & FLAG_SWAP;
    out->direct = flags & FLAG_DIRECT;
    out->overriding = flags & FLAG_OVERRIDING;
    out->analyze = flags & FLAG_ANALYZE;
    out->noted = flags & FLAG_NOTED;
    out->lane = (int)mr_byte_reader_u32le(&reader);
    out->epoch = (int64_t)mr_byte_reader_u64le(&reader);
    texts_of(out, texts);
    for (int i = 0; i < TEXTS; i++) {
        *texts[i] = mr_byte_reader_lenpref_text(&reader, arena);
        if (!*texts[i])
            return mr_error_nomem(err);
    }
    out->run = version == 1 ? "" : mr_byte_reader_lenpref_text(&reader, arena);
    if (!out->run)
        return mr_error_nomem(err);
    out->positions = mr_byte_reader_lenpref(&reader);
    out->before.epoch = (int64_t)mr_byte_reader_u64le(&reader);
    const char *uuid = mr_byte_reader_lenpref_text(&reader, arena);
    if (!uuid)
        return mr_error_nomem(err);
    snprintf(out->before.uuid, sizeof out->before.uuid, "%s", uuid);
    return take_staged(&reader, arena, out, err);
}

/* ---- prepare ---- */

/* Tasks that share a table become one entry. */
static enum mr_status gather(struct pg_token *token, const struct mr_slice *committables,
                             int ncommittables, struct mr_arena *arena, struct mr_error *err)
{
    token->staged = mr_arena_calloc(arena, (size_t)ncommittables + 1, sizeof *token->staged);
    if (!token->staged)
        return mr_error_nomem(err);
    for (int i = 0; i < ncommittables; i++) {
        struct pg_staged one;
        if (committables[i].size == 0)
            continue; /* a task without rows */
        MR_TRY(pg_committable_read(committables[i], arena, &one, err));
        if (token->direct && token->nstaged > 0)
            token->staged[0].rows += one.rows;
        else
            token->staged[token->nstaged++] = one;
    }
    return MR_OK;
}

enum mr_status pg_sink_prepare(void *state, struct mr_runtime *runtime,
                               const struct mr_epoch *epoch, const struct mr_slice *committables,
                               int ncommittables, struct mr_bytes *out, struct mr_error *err)
{
    const struct pg_sink *sink = state;
    struct mr_arena arena;
    mr_arena_init(&arena, runtime->memory);
    struct pg_token token = {
        .mode = sink->mode,
        .swap = sink->swap,
        .direct = sink->direct,
        .noted = sink->direct,
        .overriding = sink->overriding,
        .analyze = mr_options_boolean(sink->options, "analyze", true),
        .lane = epoch->lane,
        .epoch = epoch->epoch,
        .schema = sink->target.schema,
        .name = sink->target.name,
        .sink = sink->name,
        .state_key = runtime->state_key,
        .uuid = runtime->state_uuid,
        .run = runtime->run_id ? runtime->run_id : "",
        .positions = epoch->positions,
        .before = sink->before,
        .where = sink->where,
        .create = sink->create,
        .into = sink->into,
        .select = sink->select,
        .conflict = sink->conflict,
        .key_list = sink->key_list,
        .indexes = sink->indexes,
    };
    enum mr_status status = gather(&token, committables, ncommittables, &arena, err);
    if (status == MR_OK) {
        pg_token_write(&token, out);
        status = mr_bytes_status(out, err);
    }
    mr_arena_reset(&arena);
    return status;
}
