/*
 * kept_note.c - "MRS1", flags (1 last, 2 compressed), rows, size of the packed batch, its bytes (col/pack.h).
 *
 * The state adds a checksum over kind, epoch, name and these bytes. They are valid on machines of one byte order, which is said in the
 * magic. A batch that was read back is checked like anything from outside: the state may be a server's.
 */
#include "run/kept_note.h"

#include "col/pack.h"

#include <stdlib.h>

#define LAST       1
#define COMPRESSED 2
#define MOST_BYTES ((uint64_t)1 << 30)
/* Below it compressing is not worth a call. */
#define LEAST_BYTES 512

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static const char rows_magic[4] = {'M', 'R', 'S', '1'};
#else
static const char rows_magic[4] = {'M', 'R', 'S', 'B'};
#endif
static const char base_magic[4] = {'M', 'R', 'B', '1'};

enum mr_status mr_kept_damaged(struct mr_error *err)
{
    mr_error_set(err, MR_INTERNAL, MR_CLASS_FATAL, "what steps keep is damaged in the state");
    mr_error_hint(err, "restore the state, or run once with --fresh after checking what the "
                       "target holds");
    return MR_INTERNAL;
}

void mr_kept_base_encode(const struct mr_kept_owner *owners, int count, struct mr_bytes *out)
{
    mr_bytes_append(out, base_magic, sizeof base_magic);
    mr_bytes_varint(out, (uint64_t)count);
    for (int i = 0; i < count; i++) {
        mr_bytes_lenpref_text(out, owners[i].step);
        mr_bytes_varint(out, (uint64_t)owners[i].part);
        mr_bytes_lenpref_text(out, owners[i].op);
        mr_bytes_u64le(out, owners[i].options);
        mr_bytes_lenpref_text(out, owners[i].schema);
        mr_bytes_u8(out, owners[i].clock);
    }
}

enum mr_status mr_kept_base_decode(struct mr_slice bytes, struct mr_arena *arena,
                                   struct mr_kept_owner **out, int *count, struct mr_error *err)
{
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, bytes.data, bytes.size);
    if (!mr_byte_reader_expect(&reader, base_magic, sizeof base_magic))
        return mr_kept_damaged(err);
    uint64_t n = mr_byte_reader_varint(&reader);
    if (reader.bad || n > bytes.size)
        return mr_kept_damaged(err);
    struct mr_kept_owner *owners = mr_arena_calloc(arena, n + 1, sizeof *owners);
    if (owners == NULL)
        return mr_error_nomem(err);
    for (uint64_t i = 0; i < n; i++) {
        owners[i].step = mr_byte_reader_lenpref_text(&reader, arena);
        owners[i].part = (int)mr_byte_reader_varint(&reader);
        owners[i].op = mr_byte_reader_lenpref_text(&reader, arena);
        owners[i].options = mr_byte_reader_u64le(&reader);
        owners[i].schema = mr_byte_reader_lenpref_text(&reader, arena);
        owners[i].clock = mr_byte_reader_u8(&reader) != 0;
        if (owners[i].step == NULL || owners[i].op == NULL || owners[i].schema == NULL)
            return mr_error_nomem(err);
    }
    if (!mr_byte_reader_done(&reader))
        return mr_kept_damaged(err);
    *out = owners;
    *count = (int)n;
    return MR_OK;
}

const char *mr_kept_rows_name(struct mr_arena *arena, const struct mr_kept_owner *owner, int number)
{
    return mr_arena_printf(arena, "%s|%d|%08d", owner->step, owner->part, number);
}

bool mr_kept_rows_parse(const char *name, struct mr_slice *step, int *part, int *number)
{
    const char *second = strrchr(name, '|'), *first = second;
    while (first != NULL && first > name && *--first != '|') {
    }
    if (first == NULL || first == name || first == second || *first != '|')
        return false;
    *step = (struct mr_slice){name, (size_t)(first - name)};
    *part = atoi(first + 1);
    *number = atoi(second + 1);
    return true;
}

/* Appends the compressed bytes; false where that does not pay. */
static enum mr_status compress(const struct mr_codec *codec, const struct mr_bytes *packed,
                               void **scratch, struct mr_bytes *out, bool *done,
                               struct mr_error *err)
{
    size_t bound = codec != NULL ? codec->bound(packed->size) : 0, size = 0;
    *done = false;
    if (bound == 0 || packed->size < LEAST_BYTES)
        return MR_OK;
    char *to = mr_bytes_reserve(out, bound);
    if (to == NULL)
        return mr_bytes_status(out, err);
    MR_TRY(codec->compress(packed->data, packed->size, INT_MIN, to, bound, &size, scratch, err));
    *done = size < packed->size;
    out->size += *done ? size : 0;
    return MR_OK;
}

void mr_kept_rows_mark_last(struct mr_bytes *encoded)
{
    encoded->data[sizeof rows_magic] |= LAST;
}

enum mr_status mr_kept_rows_encode(const struct mr_batch *batch, const struct mr_codec *codec,
                                   struct mr_bytes *packed, void **scratch, struct mr_bytes *out,
                                   struct mr_error *err)
{
    bool compressed;
    mr_bytes_clear(packed);
    MR_TRY(mr_batch_pack(batch, packed, err));
    mr_bytes_append(out, rows_magic, sizeof rows_magic);
    mr_bytes_u8(out, 0);
    mr_bytes_varint(out, (uint64_t)batch->rows);
    mr_bytes_varint(out, packed->size);
    MR_TRY(mr_bytes_status(out, err));
    MR_TRY(compress(codec, packed, scratch, out, &compressed, err));
    if (compressed)
        out->data[sizeof rows_magic] |= COMPRESSED;
    else
        mr_bytes_append(out, packed->data, packed->size);
    return mr_bytes_status(out, err);
}

static enum mr_status unpack(struct mr_slice stored, bool compressed, uint64_t size, uint64_t rows,
                             const struct mr_schema *schema, const struct mr_codec *codec,
                             struct mr_memory *memory, struct mr_batch **out, struct mr_error *err)
{
    struct mr_buffer *packed = NULL;
    enum mr_status status = MR_OK;
    if (compressed ? codec == NULL : stored.size != size)
        return mr_kept_damaged(err);
    MR_TRY(mr_buffer_new(memory, (size_t)size, &packed, err));
    if (compressed)
        MR_TRY_OUT(codec->decompress(stored.data, stored.size, packed->data, (size_t)size, err));
    else
        memcpy(packed->data, stored.data, stored.size);
    mr_buffer_finish(packed, (size_t)size);
    MR_TRY_OUT(mr_batch_unpack(schema, (int64_t)rows, packed, out, err));
    for (int i = 0; i < schema->nfields && status == MR_OK; i++)
        status = (*out)->columns[i]->length == (int64_t)rows
                     ? mr_column_check((*out)->columns[i], err)
                     : mr_kept_damaged(err);
    if (status != MR_OK) {
        mr_batch_unref(*out);
        *out = NULL;
    }
out:
    mr_buffer_unref(packed);
    return status;
}

enum mr_status mr_kept_rows_decode(struct mr_slice bytes, const struct mr_schema *schema,
                                   const struct mr_codec *codec, struct mr_memory *memory,
                                   bool *last, struct mr_batch **out, struct mr_error *err)
{
    struct mr_byte_reader reader;
    *out = NULL;
    mr_byte_reader_init(&reader, bytes.data, bytes.size);
    if (!mr_byte_reader_expect(&reader, rows_magic, sizeof rows_magic))
        return mr_kept_damaged(err);
    uint8_t flags = mr_byte_reader_u8(&reader);
    uint64_t rows = mr_byte_reader_varint(&reader), size = mr_byte_reader_varint(&reader);
    if (reader.bad || rows > INT32_MAX || size > MOST_BYTES || flags > (LAST | COMPRESSED))
        return mr_kept_damaged(err);
    *last = flags & LAST;
    struct mr_slice stored = {(const char *)reader.at, (size_t)(reader.end - reader.at)};
    return unpack(stored, flags & COMPRESSED, size, rows, schema, codec, memory, out, err);
}
