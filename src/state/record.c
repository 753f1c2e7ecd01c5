/*
 * record.c - an epoch record as bytes: "MRE4", fields, CRC-32 of all before it; and a note, sealed the same way.
 *
 *   4D 52 45 34 | phase u8 | flags u8 | written u64le, if flagged | lane varint | epoch u64le | run id | maker | fingerprint | watermark | positions |
 *   token count varint { step varint, method, location, token } | crc u32le
 *
 *   4D 52 4E 31 | kind u8 | epoch u64le | name | bytes | crc u32le
 *
 * A note says whose it is inside its checksum, so that one in the wrong row is damage too. Texts and byte strings have a varint length in front; a watermark that is absent is an empty one. A binary form of our own
 * rather than JSON, because tokens are binary and because every flipped bit must be noticed. "MRE1" had no locations, "MRE2" no maker,
 * "MRE3" no flags (1: of a stream, 2: it has the time when it was written).
 */
#include "state/record.h"

#define OF_STREAM 1
#define HAS_TIME  2

static const char record_magic[4] = {'M', 'R', 'E', '4'};
static const char third_magic[4] = {'M', 'R', 'E', '3'};
static const char second_magic[4] = {'M', 'R', 'E', '2'};
static const char first_magic[4] = {'M', 'R', 'E', '1'};

void mr_epoch_record_encode(const struct mr_epoch_record *record, int64_t now, struct mr_bytes *out)
{
    size_t start = out->size;
    mr_bytes_append(out, record_magic, sizeof record_magic);
    mr_bytes_u8(out, (uint8_t)record->phase);
    mr_bytes_u8(out, (uint8_t)((record->stream ? OF_STREAM : 0) | (now > 0 ? HAS_TIME : 0)));
    if (now > 0)
        mr_bytes_u64le(out, (uint64_t)now);
    mr_bytes_varint(out, (uint64_t)record->lane);
    mr_bytes_u64le(out, (uint64_t)record->epoch);
    mr_bytes_lenpref_text(out, record->run_id);
    mr_bytes_lenpref_text(out, record->maker);
    mr_bytes_lenpref_text(out, record->fingerprint);
    mr_bytes_lenpref_text(out, record->watermark);
    mr_bytes_lenpref(out, record->positions.data, record->positions.size);
    mr_bytes_varint(out, (uint64_t)record->ntokens);
    for (int i = 0; i < record->ntokens; i++) {
        mr_bytes_varint(out, (uint64_t)record->tokens[i].step);
        mr_bytes_lenpref_text(out, record->tokens[i].method);
        mr_bytes_lenpref_text(out, record->tokens[i].location);
        mr_bytes_lenpref(out, record->tokens[i].token.data, record->tokens[i].token.size);
    }
    mr_bytes_seal(out, start);
}

static struct mr_slice get_slice(struct mr_byte_reader *reader, struct mr_arena *arena, bool *ok)
{
    struct mr_slice slice = mr_byte_reader_lenpref(reader);
    char *copy = mr_arena_strndup(arena, slice.data, slice.size);
    if (!copy)
        *ok = false;
    return (struct mr_slice){copy, slice.size};
}

bool mr_epoch_record_decode(struct mr_slice bytes, struct mr_arena *arena,
                            struct mr_epoch_record *out)
{
    struct mr_byte_reader reader;
    if (!mr_byte_reader_unseal(&reader, bytes))
        return false;
    bool first = mr_byte_reader_expect(&reader, first_magic, sizeof first_magic);
    bool second = !first && mr_byte_reader_expect(&reader, second_magic, sizeof second_magic);
    bool older = first || second;
    bool third = !older && mr_byte_reader_expect(&reader, third_magic, sizeof third_magic);
    if (!older && !third && !mr_byte_reader_expect(&reader, record_magic, sizeof record_magic))
        return false;
    bool ok = true;
    *out = (struct mr_epoch_record){0};
    out->phase = (enum mr_epoch_phase)mr_byte_reader_u8(&reader);
    uint8_t flags = older || third ? 0 : mr_byte_reader_u8(&reader);
    out->stream = flags & OF_STREAM;
    out->written = flags & HAS_TIME ? (int64_t)mr_byte_reader_u64le(&reader) : 0;
    out->lane = (int)mr_byte_reader_varint(&reader);
    out->epoch = (int64_t)mr_byte_reader_u64le(&reader);
    out->run_id = get_slice(&reader, arena, &ok).data;
    out->maker = older ? "" : get_slice(&reader, arena, &ok).data;
    out->fingerprint = get_slice(&reader, arena, &ok).data;
    struct mr_slice watermark = get_slice(&reader, arena, &ok);
    out->watermark = watermark.size ? watermark.data : NULL;
    out->positions = get_slice(&reader, arena, &ok);
    uint64_t count = mr_byte_reader_varint(&reader);
    if (reader.bad || count > bytes.size)
        return false;
    out->ntokens = (int)count;
    out->tokens = mr_arena_calloc(arena, count + 1, sizeof *out->tokens);
    for (int i = 0; out->tokens && i < out->ntokens; i++) {
        out->tokens[i].step = (int)mr_byte_reader_varint(&reader);
        out->tokens[i].method = get_slice(&reader, arena, &ok).data;
        out->tokens[i].location = first ? "" : get_slice(&reader, arena, &ok).data;
        out->tokens[i].token = get_slice(&reader, arena, &ok);
    }
    return ok && flags <= (OF_STREAM | HAS_TIME) && out->tokens && mr_byte_reader_done(&reader);
}

static const char note_magic[4] = {'M', 'R', 'N', '1'};

void mr_note_encode(enum mr_note_kind kind, const struct mr_note *note, struct mr_bytes *out)
{
    size_t start = out->size;
    mr_bytes_append(out, note_magic, sizeof note_magic);
    mr_bytes_u8(out, (uint8_t)kind);
    mr_bytes_u64le(out, (uint64_t)note->epoch);
    mr_bytes_lenpref_text(out, note->name);
    mr_bytes_lenpref(out, note->bytes.data, note->bytes.size);
    mr_bytes_seal(out, start);
}

bool mr_note_unseal(enum mr_note_kind kind, struct mr_note *note)
{
    struct mr_byte_reader reader;
    if (!mr_byte_reader_unseal(&reader, note->bytes) ||
        !mr_byte_reader_expect(&reader, note_magic, sizeof note_magic))
        return false;
    bool same = mr_byte_reader_u8(&reader) == (uint8_t)kind &&
                mr_byte_reader_u64le(&reader) == (uint64_t)note->epoch;
    same = mr_slice_equal(mr_byte_reader_lenpref(&reader), mr_slice_of(note->name)) && same;
    note->bytes = mr_byte_reader_lenpref(&reader);
    return same && mr_byte_reader_done(&reader);
}
