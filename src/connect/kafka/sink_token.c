/*
 * sink_token.c - tokens of toKafka as bytes. What is read may come from a damaged journal: everything is checked.
 *
 *   "MRKT" 01 | flags u8 | lane varint | epoch u64 | uuid | run | key | epoch before u64 | uuid before | run before | CRC-32
 */
#include "connect/kafka/sink.h"

enum { FLAG_TRANSACTIONAL = 1 };

static const char magic[5] = {'M', 'R', 'K', 'T', 1};

void kafka_token_write(const struct kafka_token *token, struct mr_bytes *out)
{
    size_t start = out->size;
    mr_bytes_append(out, magic, sizeof magic);
    mr_bytes_u8(out, token->transactional ? FLAG_TRANSACTIONAL : 0);
    mr_bytes_varint(out, (uint64_t)token->lane);
    mr_bytes_u64le(out, (uint64_t)token->epoch);
    mr_bytes_lenpref_text(out, token->uuid);
    mr_bytes_lenpref_text(out, token->run);
    mr_bytes_lenpref_text(out, token->key);
    mr_bytes_u64le(out, (uint64_t)token->before_epoch);
    mr_bytes_lenpref_text(out, token->before_uuid);
    mr_bytes_lenpref_text(out, token->before_run);
    mr_bytes_seal(out, start);
}

enum mr_status kafka_token_read(struct mr_slice bytes, struct mr_arena *arena,
                                struct kafka_token *out, struct mr_error *err)
{
    struct mr_byte_reader reader;
    *out = (struct kafka_token){0};
    if (mr_byte_reader_unseal(&reader, bytes) &&
        mr_byte_reader_expect(&reader, magic, sizeof magic)) {
        out->transactional = (mr_byte_reader_u8(&reader) & FLAG_TRANSACTIONAL) != 0;
        out->lane = (int)mr_byte_reader_varint(&reader);
        out->epoch = (int64_t)mr_byte_reader_u64le(&reader);
        out->uuid = mr_byte_reader_lenpref_text(&reader, arena);
        out->run = mr_byte_reader_lenpref_text(&reader, arena);
        out->key = mr_byte_reader_lenpref_text(&reader, arena);
        out->before_epoch = (int64_t)mr_byte_reader_u64le(&reader);
        out->before_uuid = mr_byte_reader_lenpref_text(&reader, arena);
        out->before_run = mr_byte_reader_lenpref_text(&reader, arena);
        if (mr_byte_reader_done(&reader))
            return out->uuid && out->run && out->key && out->before_uuid && out->before_run
                       ? MR_OK
                       : mr_error_nomem(err);
    }
    return mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                        "the record of this commit is damaged or of another version");
}
