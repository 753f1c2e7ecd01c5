/*
 * pack.c - batches to bytes and back.
 *
 * A column is a header, its buffers, then its dictionary or its children, depth first; what is
 * known from the type is not written. Everything starts at a multiple of 64 bytes. Encodings that
 * would not pay are flattened on the way: constants (the compressor removes what they repeat), and
 * dictionaries that are longer than half of the rows they serve, because a few rows picked out of a
 * large batch still carry its whole dictionary.
 */
#include "col/pack.h"

#include "col/kernel.h"

#include <assert.h>

struct header {
    int64_t encoding; /* FLAT or DICTIONARY */
    int64_t length;
    int64_t nulls;
    int64_t validity; /* bytes of each buffer; -1 = none */
    int64_t values;
    int64_t data;
    int64_t reserved[2];
};

static void put(struct mr_bytes *out, const void *data, size_t size)
{
    static const char zeros[64];
    mr_bytes_append(out, data, size);
    mr_bytes_append(out, zeros, (64 - size % 64) % 64);
}

static int64_t values_size(const struct mr_column *column)
{
    enum mr_layout layout = mr_type_layout(column->type);
    if (column->encoding == MR_DICTIONARY)
        return column->length * (int64_t)sizeof(int32_t);
    if (layout == MR_LAYOUT_BYTES || layout == MR_LAYOUT_LIST)
        return (column->length + 1) * (int64_t)sizeof(int32_t);
    return column->length * mr_layout_width(layout);
}

static enum mr_status pack_column(struct mr_column *column, struct mr_bytes *out,
                                  struct mr_error *err)
{
    bool dictionary = column->encoding == MR_DICTIONARY;
    struct header header = {
        .encoding = column->encoding,
        .length = column->length,
        .nulls = column->nulls,
        .validity = column->validity ? (int64_t)mr_bitmap_bytes(column->length) : -1,
        .values = column->values ? values_size(column) : -1,
        .data = column->data && !dictionary ? (int64_t)column->data->size : -1,
    };
    assert(sizeof header == 64);
    put(out, &header, sizeof header);
    if (header.validity >= 0)
        put(out, column->validity->data, (size_t)header.validity);
    if (header.values >= 0)
        put(out, column->values->data, (size_t)header.values);
    if (header.data >= 0)
        put(out, column->data->data, (size_t)header.data);
    struct mr_column **children = dictionary ? &column->dictionary : column->children;
    int nchildren = dictionary ? 1 : column->nchildren;
    for (int i = 0; i < nchildren; i++) {
        struct mr_column *child = children[i], *flat;
        if (child->encoding == MR_CONSTANT ||
            (child->encoding == MR_DICTIONARY && child->dictionary->length > child->length / 2))
            MR_TRY(mr_column_flatten(NULL, child, &flat, err));
        else
            flat = mr_column_ref(child);
        enum mr_status status = pack_column(flat, out, err);
        mr_column_unref(flat);
        MR_TRY(status);
    }
    return mr_bytes_status(out, err);
}

enum mr_status mr_batch_pack(const struct mr_batch *batch, struct mr_bytes *out,
                             struct mr_error *err)
{
    assert(batch->selection == NULL && out->size == 0);
    /* The columns of the batch as the children of one. */
    struct mr_column root = {.nchildren = batch->schema->nfields, .children = batch->columns};
    struct mr_field none = {0};
    struct mr_type type = {.id = MR_TYPE_STRUCT, .nfields = 0, .fields = &none};
    root.type = &type;
    root.length = batch->rows;
    return pack_column(&root, out, err);
}

struct unpacking {
    struct mr_buffer *packed;
    size_t at;
    bool dictionary; /* it is one that is being unpacked */
    struct mr_error *err;
};

static void release(void *owner)
{
    mr_buffer_unref(owner);
}

static enum mr_status cut_short(struct unpacking *from)
{
    return mr_error_internal(from->err, "packed rows are cut short");
}

static enum mr_status take_buffer(struct unpacking *from, int64_t size, struct mr_buffer **out)
{
    *out = NULL;
    if (size < 0)
        return MR_OK;
    if (from->at > from->packed->size || (uint64_t)size > from->packed->size - from->at)
        return cut_short(from);
    const uint8_t *data = from->packed->data + from->at;
    from->at += ((size_t)size + 63) & ~(size_t)63;
    MR_TRY(mr_buffer_wrap(data, (size_t)size, release, from->packed, out, from->err));
    mr_buffer_ref(from->packed);
    return MR_OK;
}

/* `rows`: that it has to have; -1 = its own business. */
static enum mr_status unpack_column(struct unpacking *from, const struct mr_type *type,
                                    int64_t rows, struct mr_column **out);

static int count_children(const struct mr_type *type)
{
    if (!mr_type_is_nested(type))
        return 0;
    return type->id == MR_TYPE_STRUCT ? type->nfields : 1;
}

static enum mr_status unpack_nested(struct unpacking *from, const struct mr_type *type,
                                    const struct header *header, struct mr_buffer *validity,
                                    struct mr_buffer *values, struct mr_column **out)
{
    int wanted = count_children(type), n = 0;
    struct mr_column **children = mr_calloc((size_t)wanted + 1, sizeof(*children));
    enum mr_status status = children ? MR_OK : mr_error_nomem(from->err);
    for (; status == MR_OK && n < wanted; n++) {
        status = unpack_column(from, mr_type_child(type, n),
                               type->id == MR_TYPE_STRUCT ? header->length : -1, &children[n]);
        if (status != MR_OK)
            break;
    }
    if (status == MR_OK) {
        status = mr_column_new_nested(type, header->length, header->nulls, validity, values,
                                      children, n, out, from->err);
    } else {
        for (int i = 0; i < n; i++)
            mr_column_unref(children[i]);
        mr_buffer_unref(validity);
        mr_buffer_unref(values);
    }
    mr_free(children);
    return status;
}

static enum mr_status unpack_column(struct unpacking *from, const struct mr_type *type,
                                    int64_t rows, struct mr_column **out)
{
    struct header header;
    struct mr_buffer *validity, *values = NULL, *data = NULL;
    bool inner = from->dictionary;
    *out = NULL;
    from->dictionary = false;
    if (from->at > from->packed->size || from->packed->size - from->at < sizeof header)
        return cut_short(from);
    memcpy(&header, from->packed->data + from->at, sizeof header);
    from->at += sizeof header;
    if (header.length < 0 || header.length > INT32_MAX || header.nulls < 0 ||
        header.nulls > header.length || (rows >= 0 && header.length != rows) ||
        (inner && (header.encoding != MR_FLAT || header.nulls > 0)))
        return cut_short(from);
    enum mr_status status = take_buffer(from, header.validity, &validity);
    if (status == MR_OK)
        status = take_buffer(from, header.values, &values);
    if (status == MR_OK)
        status = take_buffer(from, header.data, &data);
    struct mr_column *dictionary = NULL;
    if (status == MR_OK && header.encoding == MR_DICTIONARY) {
        from->dictionary = true;
        status = unpack_column(from, type, -1, &dictionary);
        from->dictionary = false;
    }
    if (status != MR_OK) {
        mr_buffer_unref(validity);
        mr_buffer_unref(values);
        mr_buffer_unref(data);
        return status;
    }
    if (dictionary)
        return mr_column_new_dictionary(dictionary, header.length, header.nulls, validity, values,
                                        out, from->err);
    if (mr_type_is_nested(type))
        return unpack_nested(from, type, &header, validity, values, out);
    return mr_column_new(type, header.length, header.nulls, validity, values, data, out, from->err);
}

enum mr_status mr_batch_unpack(const struct mr_schema *schema, int64_t rows,
                               struct mr_buffer *packed, struct mr_batch **out,
                               struct mr_error *err)
{
    *out = NULL;
    struct unpacking from = {.packed = packed, .at = sizeof(struct header), .err = err};
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    int n = 0;
    for (; n < schema->nfields; n++) {
        status = unpack_column(&from, schema->fields[n].type, rows, &columns[n]);
        if (status != MR_OK)
            break;
    }
    if (status == MR_OK)
        status = mr_batch_new(schema, rows, columns, out, err);
    else
        for (int i = 0; i < n; i++)
            mr_column_unref(columns[i]);
    mr_free(columns);
    return status;
}
