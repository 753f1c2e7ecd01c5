/*
 * token.c - writing and reading them. What is read may come from a damaged journal: every count and length is checked.
 */
#include "connect/files/token.h"

#define VERSION       3
#define TOKEN_VERSION 4 /* 3 had no run */

static enum mr_status damaged(struct mr_error *err)
{
    return mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                        "the record of this commit is damaged or of another version");
}

void files_committable_begin(struct mr_bytes *out)
{
    mr_bytes_u8(out, VERSION);
}

void files_committable_add(struct mr_bytes *out, const struct files_staged *file)
{
    mr_bytes_lenpref_text(out, file->path);
    mr_bytes_lenpref_text(out, file->directory);
    mr_bytes_lenpref(out, file->ticket.data, file->ticket.size);
    mr_bytes_u64le(out, (uint64_t)file->rows);
    mr_bytes_u64le(out, (uint64_t)file->bytes);
}

enum mr_status files_committable_read(struct mr_slice data, struct mr_arena *arena,
                                      struct files_staged **files, int *count, struct mr_error *err)
{
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, data.data, data.size);
    if (mr_byte_reader_u8(&reader) != VERSION)
        return damaged(err);
    while (reader.at < reader.end) {
        /* The array doubles whenever the count is a power of two. */
        if ((*count & (*count - 1)) == 0) {
            size_t room = *count ? 2 * (size_t)*count : 1;
            struct files_staged *more = mr_arena_alloc(arena, room * sizeof *more);
            if (!more)
                return mr_error_nomem(err);
            if (*count)
                memcpy(more, *files, (size_t)*count * sizeof *more);
            *files = more;
        }
        struct files_staged *file = &(*files)[*count];
        file->path = mr_byte_reader_lenpref_text(&reader, arena);
        file->directory = mr_byte_reader_lenpref_text(&reader, arena);
        file->ticket = mr_byte_reader_lenpref(&reader);
        file->rows = (int64_t)mr_byte_reader_u64le(&reader);
        file->bytes = (int64_t)mr_byte_reader_u64le(&reader);
        if (reader.bad)
            return damaged(err);
        if (!file->path || !file->directory)
            return mr_error_nomem(err);
        (*count)++;
    }
    return MR_OK;
}

void files_token_write(const struct files_token *token, struct mr_bytes *out)
{
    mr_bytes_u8(out, TOKEN_VERSION);
    mr_bytes_u8(out, (uint8_t)token->mode);
    mr_bytes_lenpref_text(out, token->url);
    mr_bytes_u8(out, (uint8_t)token->manifest);
    mr_bytes_lenpref_text(out, token->state_key);
    mr_bytes_lenpref_text(out, token->uuid);
    mr_bytes_lenpref_text(out, token->run);
    mr_bytes_varint(out, (uint64_t)token->load);
    mr_bytes_varint(out, (uint64_t)token->lane);
    mr_bytes_u64le(out, (uint64_t)token->epoch);
    mr_bytes_lenpref(out, token->positions.data, token->positions.size);
    mr_bytes_varint(out, (uint64_t)token->npublish);
    for (int i = 0; i < token->npublish; i++) {
        mr_bytes_lenpref_text(out, token->publish[i].path);
        mr_bytes_lenpref(out, token->publish[i].ticket.data, token->publish[i].ticket.size);
        mr_bytes_u64le(out, (uint64_t)token->publish[i].rows);
        mr_bytes_u64le(out, (uint64_t)token->publish[i].bytes);
    }
    mr_bytes_varint(out, (uint64_t)token->nremove);
    for (int i = 0; i < token->nremove; i++)
        mr_bytes_lenpref_text(out, token->remove[i]);
}

/* A count that the rest of the record has room for. */
static int take_count(struct mr_byte_reader *reader)
{
    uint64_t count = mr_byte_reader_varint(reader);
    if (count > (uint64_t)(reader->end - reader->at))
        reader->bad = true;
    return reader->bad ? 0 : (int)count;
}

static void take_identity(struct mr_byte_reader *reader, uint8_t version, struct mr_arena *arena,
                          struct files_token *out)
{
    out->state_key = mr_byte_reader_lenpref_text(reader, arena);
    out->uuid = mr_byte_reader_lenpref_text(reader, arena);
    out->run = version == TOKEN_VERSION ? mr_byte_reader_lenpref_text(reader, arena) : "";
    uint64_t load = mr_byte_reader_varint(reader), lane = mr_byte_reader_varint(reader);
    out->epoch = (int64_t)mr_byte_reader_u64le(reader);
    out->positions = mr_byte_reader_lenpref(reader);
    if (load > INT32_MAX || lane > INT32_MAX || (out->uuid && strlen(out->uuid) > 32))
        reader->bad = true;
    out->load = reader->bad ? 0 : (int)load;
    out->lane = reader->bad ? 0 : (int)lane;
}

enum mr_status files_token_read(struct mr_slice data, struct mr_arena *arena,
                                struct files_token *out, struct mr_error *err)
{
    *out = (struct files_token){0};
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, data.data, data.size);
    uint8_t version = mr_byte_reader_u8(&reader);
    if (version != TOKEN_VERSION && version != VERSION)
        return damaged(err);
    uint8_t mode = mr_byte_reader_u8(&reader);
    out->mode = (enum files_mode)mode;
    out->url = mr_byte_reader_lenpref_text(&reader, arena);
    uint8_t manifest = mr_byte_reader_u8(&reader);
    out->manifest = (enum files_manifest)manifest;
    take_identity(&reader, version, arena, out);
    out->npublish = take_count(&reader);
    out->publish = mr_arena_calloc(arena, (size_t)out->npublish + 1, sizeof *out->publish);
    if (!out->publish)
        return mr_error_nomem(err);
    for (int i = 0; i < out->npublish && !reader.bad; i++) {
        out->publish[i].path = mr_byte_reader_lenpref_text(&reader, arena);
        out->publish[i].ticket = mr_byte_reader_lenpref(&reader);
        out->publish[i].rows = (int64_t)mr_byte_reader_u64le(&reader);
        out->publish[i].bytes = (int64_t)mr_byte_reader_u64le(&reader);
    }
    out->nremove = take_count(&reader);
    out->remove = mr_arena_calloc(arena, (size_t)out->nremove + 1, sizeof *out->remove);
    if (!out->remove)
        return mr_error_nomem(err);
    for (int i = 0; i < out->nremove && !reader.bad; i++)
        out->remove[i] = mr_byte_reader_lenpref_text(&reader, arena);
    if (!mr_byte_reader_done(&reader) || mode > FILES_IGNORE || manifest > FILES_MANIFEST_REPLACES)
        return damaged(err);
    for (int i = 0; i < out->npublish; i++) {
        if (!out->publish[i].path)
            return mr_error_nomem(err);
    }
    for (int i = 0; i < out->nremove; i++) {
        if (!out->remove[i])
            return mr_error_nomem(err);
    }
    return out->url && out->state_key && out->uuid && out->run ? MR_OK : mr_error_nomem(err);
}
