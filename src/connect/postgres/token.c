/*
 * token.c - splits and positions as versioned byte strings.
 *
 * A token holds all that a reader elsewhere needs besides the plan: 01 | flags | oid | filenode | from | condition | snapshot (strings with
 * a varint length). A position is 01 | hash of the token | rows delivered, so that it cannot be used on another split.
 */
#include "connect/postgres/state.h"

#include "base/hash.h"

#define VERSION      1
#define FLAG_ORDERED 1

enum mr_status mr_postgres_split_write(const struct mr_postgres_split *split,
                                       struct mr_arena *arena, struct mr_slice *token,
                                       struct mr_error *err)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_u8(&bytes, VERSION);
    mr_bytes_u8(&bytes, split->ordered ? FLAG_ORDERED : 0);
    mr_bytes_u32le(&bytes, split->oid);
    mr_bytes_u32le(&bytes, split->filenode);
    mr_bytes_lenpref(&bytes, split->from.data, split->from.size);
    mr_bytes_lenpref(&bytes, split->condition.data, split->condition.size);
    mr_bytes_lenpref(&bytes, split->snapshot.data, split->snapshot.size);
    return mr_bytes_settle(&bytes, arena, token, err);
}

enum mr_status mr_postgres_split_read(struct mr_slice token, struct mr_postgres_split *split,
                                      struct mr_error *err)
{
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, token.data, token.size);
    uint8_t version = mr_byte_reader_u8(&reader);
    split->ordered = mr_byte_reader_u8(&reader) & FLAG_ORDERED;
    split->oid = mr_byte_reader_u32le(&reader);
    split->filenode = mr_byte_reader_u32le(&reader);
    split->from = mr_byte_reader_lenpref(&reader);
    split->condition = mr_byte_reader_lenpref(&reader);
    split->snapshot = mr_byte_reader_lenpref(&reader);
    if (reader.bad || version != VERSION || split->snapshot.size >= MR_POSTGRES_SNAPSHOT_MAX)
        return mr_error_internal(err, "a Postgres split of an unknown form");
    return MR_OK;
}

void mr_postgres_position_write(struct mr_slice token, int64_t rows, struct mr_bytes *out)
{
    mr_bytes_u8(out, VERSION);
    mr_bytes_u64le(out, mr_hash64(token.data, token.size));
    mr_bytes_u64le(out, (uint64_t)rows);
}

enum mr_status mr_postgres_position_read(struct mr_slice position, struct mr_slice token,
                                         int64_t *rows, struct mr_error *err)
{
    *rows = 0;
    if (position.size == 0)
        return MR_OK;
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, position.data, position.size);
    uint8_t version = mr_byte_reader_u8(&reader);
    uint64_t hash = mr_byte_reader_u64le(&reader);
    uint64_t count = mr_byte_reader_u64le(&reader);
    if (reader.bad || version != VERSION || hash != mr_hash64(token.data, token.size) ||
        count > INT64_MAX)
        return mr_error_internal(err, "a Postgres position that is not of this split");
    *rows = (int64_t)count;
    return MR_OK;
}
