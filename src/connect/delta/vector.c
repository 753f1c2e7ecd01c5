/*
 * vector.c - where a deletion vector is: in the log itself ('i'), in a file of the table named by a
 * UUID ('u'), or in a file anywhere ('p').
 *
 * A file holds several vectors, each at an offset: size (u32), bytes, CRC-32 (u32), all big-endian
 * here, unlike what is inside; the file begins with one byte of version, 1.
 */
#include "connect/delta/vector.h"

#include "base/hash.h"
#include "connect/delta/object.h"
#include "connect/delta/private.h"

#define UUID_TEXT   20 /* of Z85 */
#define FRAME       8
#define VECTOR_MOST ((int64_t)1 << 30)

static enum mr_status broken(const struct delta_vector *vector, struct mr_error *err,
                             const char *what)
{
    return mr_error_data(err, MR_SOURCE, "the deletion vector %c:%.120s is not valid: %s",
                         vector->storage, vector->text, what);
}

const char *delta_vector_path(const struct delta_vector *vector, const char *table_url,
                              struct mr_arena *arena)
{
    if (vector->storage == 'p')
        return delta_path_decode(arena, mr_slice_of(vector->text), table_url);
    size_t size = strlen(vector->text);
    uint8_t u[16];
    if (vector->storage != 'u' || size < UUID_TEXT ||
        !delta_z85_decode(vector->text + size - UUID_TEXT, UUID_TEXT, u))
        return NULL;
    size_t prefix = size - UUID_TEXT;
    return mr_arena_printf(arena,
                           "%.*s%sdeletion_vector_%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
                           "%02x%02x%02x%02x%02x%02x.bin",
                           (int)prefix, vector->text, prefix ? "/" : "", u[0], u[1], u[2], u[3],
                           u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
                           u[15]);
}

static enum mr_status decode_inline(const struct delta_vector *vector, struct mr_arena *arena,
                                    const uint8_t **data, struct mr_error *err)
{
    size_t size = strlen(vector->text);
    uint8_t *out = mr_arena_alloc(arena, size + 1);
    if (!out)
        return mr_error_nomem(err);
    if (!delta_z85_decode(vector->text, size, out))
        return broken(vector, err, "its text is not Z85");
    if ((int64_t)(size / 5 * 4) < vector->size)
        return broken(vector, err, "its text is shorter than its size");
    *data = out;
    return MR_OK;
}

static uint32_t big_endian(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static enum mr_status load_file(const struct delta_table *table, const struct delta_vector *vector,
                                struct mr_arena *arena, const uint8_t **data, struct mr_error *err)
{
    const char *path = delta_vector_path(vector, table->url, arena);
    if (!path)
        return broken(vector, err, "it names no file");
    size_t size = (size_t)vector->size + FRAME;
    uint8_t *out = mr_arena_alloc(arena, size);
    if (!out)
        return mr_error_nomem(err);
    struct delta_object object;
    MR_TRY(delta_object_open(table, path, &object, err));
    size_t got = 0;
    enum mr_status status =
        object.store->read(object.handle, object.path, vector->offset < 0 ? 1 : vector->offset, out,
                           size, &got, err);
    delta_object_close(&object);
    MR_TRY(status);
    mr_count(table->runtime, MR_COUNT_BYTES_READ, (int64_t)got);
    if (got != size || (int64_t)big_endian(out) != vector->size)
        return broken(vector, err, "its file has another size");
    if (mr_crc32(0, out + 4, (size_t)vector->size) != big_endian(out + 4 + vector->size))
        return broken(vector, err, "its checksum is wrong");
    *data = out + 4;
    return MR_OK;
}

enum mr_status delta_vector_load(const struct delta_table *table, const struct delta_vector *vector,
                                 struct mr_arena *arena, struct delta_deleted *out,
                                 struct mr_error *err)
{
    const uint8_t *data = NULL;
    if (vector->size < 0 || vector->size > VECTOR_MOST)
        return broken(vector, err, "its size is not possible");
    if (vector->storage == 'i')
        MR_TRY(decode_inline(vector, arena, &data, err));
    else if (vector->storage == 'u' || vector->storage == 'p')
        MR_TRY(load_file(table, vector, arena, &data, err));
    else
        return broken(vector, err, "its kind of storage is not known");
    MR_TRY(delta_deleted_parse(data, (size_t)vector->size, arena, out, err));
    if (out->cardinality != vector->cardinality)
        return broken(vector, err, "it has another number of rows than the log says");
    return MR_OK;
}
