/*
 * builder.c - columns grow row by row.
 *
 * Two decisions make decoders fast. The bits of the validity bitmap behind `length` are always set,
 * so that appending a value never touches the bitmap, and a decoder that writes `values` itself
 * only adds to `length`; only a NULL clears its bit. And the bitmap does not exist before the first
 * NULL. The alternative, one byte a row packed at the end, costs a pass over data that mostly have
 * no NULL at all.
 *
 * Layout of a STRING builder after "ab", NULL, "c":
 *
 *     validity  101111..   (bit 1 cleared)      values  0 2 2 3      data  "abc"
 */
#include "col/builder.h"

#include <assert.h>

#define FIRST_ROWS 64

static bool has_offsets(const struct mr_builder *builder)
{
    return builder->layout == MR_LAYOUT_BYTES || builder->layout == MR_LAYOUT_LIST;
}

static int32_t *offsets_of(const struct mr_builder *builder)
{
    return (int32_t *)(void *)builder->values->data;
}

enum mr_status mr_builder_init(struct mr_builder *builder, struct mr_memory *memory,
                               const struct mr_type *type, struct mr_error *err)
{
    *builder = (struct mr_builder){.memory = memory, .type = type};
    builder->layout = mr_type_layout(type);
    builder->width = mr_layout_width(builder->layout);
    if (!mr_type_is_nested(type))
        return MR_OK;
    int n = type->id == MR_TYPE_STRUCT ? type->nfields : 1;
    builder->children = mr_calloc((size_t)n, sizeof *builder->children);
    if (!builder->children)
        return mr_error_nomem(err);
    for (; builder->nchildren < n; builder->nchildren++) {
        struct mr_builder *child = &builder->children[builder->nchildren];
        enum mr_status status =
            mr_builder_init(child, memory, mr_type_child(type, builder->nchildren), err);
        if (status != MR_OK) {
            mr_builder_reset(builder);
            return status;
        }
    }
    return MR_OK;
}

/* Drops what was built, keeps the children's builders. */
static void clear(struct mr_builder *builder)
{
    mr_buffer_unref(builder->validity);
    mr_buffer_unref(builder->values);
    mr_buffer_unref(builder->data);
    builder->validity = builder->values = builder->data = NULL;
    builder->length = builder->nulls = builder->capacity = 0;
    for (int i = 0; i < builder->nchildren; i++)
        clear(&builder->children[i]);
}

void mr_builder_reset(struct mr_builder *builder)
{
    clear(builder);
    for (int i = 0; i < builder->nchildren; i++)
        mr_builder_reset(&builder->children[i]);
    mr_free(builder->children);
    builder->children = NULL;
    builder->nchildren = 0;
}

static enum mr_status grow_buffer(struct mr_builder *builder, struct mr_buffer **buffer,
                                  size_t size, struct mr_error *err)
{
    if (*buffer)
        return mr_buffer_reserve(*buffer, size, err);
    return mr_buffer_new(builder->memory, size, buffer, err);
}

/* Sets the bits that came with new storage: every row is valid until it is marked. */
static enum mr_status grow_validity(struct mr_builder *builder, int64_t rows, struct mr_error *err)
{
    size_t old = builder->validity ? builder->validity->capacity : 0;
    MR_TRY(grow_buffer(builder, &builder->validity, mr_bitmap_bytes(rows), err));
    memset(builder->validity->data + old, 0xFF, builder->validity->capacity - old);
    return MR_OK;
}

static enum mr_status grow_rows(struct mr_builder *builder, int64_t rows, struct mr_error *err)
{
    if (rows > INT32_MAX - 1)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_DATA, "a column batch of more than 2^31 rows");
    if (rows < FIRST_ROWS)
        rows = FIRST_ROWS;
    int64_t capacity = rows;
    if (builder->width) {
        bool fresh = !builder->values;
        int64_t extra = has_offsets(builder);
        MR_TRY(grow_buffer(builder, &builder->values,
                           (size_t)(rows + extra) * (size_t)builder->width, err));
        if (fresh && extra)
            offsets_of(builder)[0] = 0;
        capacity = (int64_t)(builder->values->capacity / (size_t)builder->width) - extra;
    } else if (capacity < builder->capacity * 2) {
        capacity = builder->capacity * 2;
    }
    if (builder->validity)
        MR_TRY(grow_validity(builder, capacity, err));
    builder->capacity = capacity;
    return MR_OK;
}

enum mr_status mr_builder_reserve(struct mr_builder *builder, int64_t rows, int64_t bytes,
                                  struct mr_error *err)
{
    if (builder->length + rows > builder->capacity)
        MR_TRY(grow_rows(builder, builder->length + rows, err));
    if (builder->layout != MR_LAYOUT_BYTES)
        return MR_OK;
    int64_t used = builder->data ? (int64_t)builder->data->size : 0;
    if (bytes > INT32_MAX || used + bytes > INT32_MAX) {
        mr_error_set(err, MR_LIMIT, MR_CLASS_DATA, "a text column of one batch exceeds 2 GiB");
        mr_error_hint(err, "lower resources.batchRows");
        return MR_LIMIT;
    }
    if (!builder->data || (size_t)(used + bytes) > builder->data->capacity)
        return grow_buffer(builder, &builder->data, (size_t)(used + bytes), err);
    return MR_OK;
}

static inline enum mr_status room(struct mr_builder *builder, struct mr_error *err)
{
    return builder->length < builder->capacity ? MR_OK : mr_builder_reserve(builder, 1, 0, err);
}

enum mr_status mr_builder_mark_null(struct mr_builder *builder, struct mr_error *err)
{
    assert(builder->length < builder->capacity);
    if (builder->layout != MR_LAYOUT_NONE) {
        if (!builder->validity)
            MR_TRY(grow_validity(builder, builder->capacity, err));
        mr_bitmap_clear(builder->validity->data, builder->length);
    }
    builder->nulls++;
    return MR_OK;
}

enum mr_status mr_builder_null(struct mr_builder *builder, struct mr_error *err)
{
    MR_TRY(room(builder, err));
    if (builder->layout == MR_LAYOUT_STRUCT)
        for (int i = 0; i < builder->nchildren; i++)
            MR_TRY(mr_builder_null(&builder->children[i], err));
    MR_TRY(mr_builder_mark_null(builder, err));
    int64_t at = builder->length++;
    if (has_offsets(builder))
        offsets_of(builder)[at + 1] = offsets_of(builder)[at];
    else if (builder->width)
        memset(builder->values->data + at * builder->width, 0, (size_t)builder->width);
    return MR_OK;
}

enum mr_status mr_builder_int(struct mr_builder *builder, int64_t value, struct mr_error *err)
{
    MR_TRY(room(builder, err));
    void *data = builder->values->data;
    int64_t at = builder->length++;
    switch (builder->layout) {
    case MR_LAYOUT_I8:
        ((int8_t *)data)[at] = (int8_t)value;
        break;
    case MR_LAYOUT_I16:
        ((int16_t *)data)[at] = (int16_t)value;
        break;
    case MR_LAYOUT_I32:
        ((int32_t *)data)[at] = (int32_t)value;
        break;
    default:
        assert(builder->layout == MR_LAYOUT_I64);
        ((int64_t *)data)[at] = value;
    }
    return MR_OK;
}

enum mr_status mr_builder_decimal(struct mr_builder *builder, mr_int128 value, struct mr_error *err)
{
    MR_TRY(room(builder, err));
    void *data = builder->values->data;
    int64_t at = builder->length++;
    if (builder->layout == MR_LAYOUT_I64) {
        ((int64_t *)data)[at] = (int64_t)value;
    } else {
        assert(builder->layout == MR_LAYOUT_I128);
        ((mr_int128 *)data)[at] = value;
    }
    return MR_OK;
}

enum mr_status mr_builder_double(struct mr_builder *builder, double value, struct mr_error *err)
{
    MR_TRY(room(builder, err));
    void *data = builder->values->data;
    int64_t at = builder->length++;
    if (builder->layout == MR_LAYOUT_F32) {
        ((float *)data)[at] = (float)value;
    } else {
        assert(builder->layout == MR_LAYOUT_F64);
        ((double *)data)[at] = value;
    }
    return MR_OK;
}

enum mr_status mr_builder_bytes(struct mr_builder *builder, const void *data, size_t size,
                                struct mr_error *err)
{
    assert(builder->layout == MR_LAYOUT_BYTES);
    if (builder->length == builder->capacity || !builder->data ||
        builder->data->capacity - builder->data->size < size || size > INT32_MAX ||
        builder->data->size + size > INT32_MAX)
        MR_TRY(mr_builder_reserve(builder, 1, size > INT32_MAX ? INT64_MAX : (int64_t)size, err));
    if (size)
        memcpy(builder->data->data + builder->data->size, data, size);
    builder->data->size += size;
    offsets_of(builder)[++builder->length] = (int32_t)builder->data->size;
    return MR_OK;
}

enum mr_status mr_builder_fixed16(struct mr_builder *builder, const void *data,
                                  struct mr_error *err)
{
    assert(builder->layout == MR_LAYOUT_FIXED16);
    MR_TRY(room(builder, err));
    memcpy(builder->values->data + builder->length++ * 16, data, 16);
    return MR_OK;
}

enum mr_status mr_builder_list(struct mr_builder *builder, struct mr_error *err)
{
    assert(builder->layout == MR_LAYOUT_LIST);
    MR_TRY(room(builder, err));
    offsets_of(builder)[++builder->length] = (int32_t)builder->children[0].length;
    return MR_OK;
}

enum mr_status mr_builder_struct(struct mr_builder *builder, struct mr_error *err)
{
    assert(builder->layout == MR_LAYOUT_STRUCT);
    MR_TRY(room(builder, err));
    builder->length++;
    for (int i = 0; i < builder->nchildren; i++)
        assert(builder->children[i].length == builder->length);
    return MR_OK;
}

static enum mr_status append_row(struct mr_builder *builder, const struct mr_column *column,
                                 int64_t row, struct mr_error *err)
{
    struct mr_value value;
    mr_column_get(column, row, &value);
    return mr_builder_value(builder, &value, err);
}

enum mr_status mr_builder_value(struct mr_builder *builder, const struct mr_value *value,
                                struct mr_error *err)
{
    if (value->is_null)
        return mr_builder_null(builder, err);
    const struct mr_column *column = value->u.nested.column;
    int64_t row = value->u.nested.row;
    switch (builder->layout) {
    case MR_LAYOUT_NONE:
        return mr_builder_null(builder, err);
    case MR_LAYOUT_F32:
    case MR_LAYOUT_F64:
        return mr_builder_double(builder, value->u.f64, err);
    case MR_LAYOUT_BYTES:
        return mr_builder_bytes(builder, value->u.bytes.data, value->u.bytes.size, err);
    case MR_LAYOUT_FIXED16:
        return mr_builder_fixed16(builder, &value->u, err);
    case MR_LAYOUT_LIST:
        for (int64_t i = mr_column_offsets(column)[row]; i < mr_column_offsets(column)[row + 1];
             i++)
            MR_TRY(append_row(&builder->children[0], column->children[0], i, err));
        return mr_builder_list(builder, err);
    case MR_LAYOUT_STRUCT:
        for (int i = 0; i < builder->nchildren; i++)
            MR_TRY(append_row(&builder->children[i], column->children[i], row, err));
        return mr_builder_struct(builder, err);
    default:
        if (builder->type->id == MR_TYPE_DECIMAL)
            return mr_builder_decimal(builder, value->u.i128, err);
        return mr_builder_int(builder, value->u.i64, err);
    }
}

void mr_builder_truncate(struct mr_builder *builder, int64_t rows)
{
    assert(rows >= 0 && rows <= builder->length);
    if (builder->layout == MR_LAYOUT_NONE)
        builder->nulls = rows;
    if (builder->validity && rows < builder->length) {
        for (int64_t i = rows; i < builder->length; i++)
            builder->nulls -= !mr_bitmap_get(builder->validity->data, i);
        mr_bitmap_fill(builder->validity->data, rows, builder->length, true);
    }
    builder->length = rows;
    int32_t end = has_offsets(builder) && builder->values ? offsets_of(builder)[rows] : 0;
    if (builder->data)
        builder->data->size = (size_t)end;
    for (int i = 0; i < builder->nchildren; i++)
        mr_builder_truncate(&builder->children[i],
                            builder->layout == MR_LAYOUT_LIST ? (int64_t)end : rows);
}

/* Sets the sizes of the buffers and clears what is behind the last row. */
static enum mr_status seal(struct mr_builder *builder, struct mr_error *err)
{
    /* A column of no rows has buffers too, so that kernels need not ask. */
    if (!builder->values || (builder->layout == MR_LAYOUT_BYTES && !builder->data))
        MR_TRY(mr_builder_reserve(builder, 0, 0, err));
    if (builder->width && !builder->values)
        MR_TRY(grow_rows(builder, 0, err));
    if (builder->validity) {
        size_t size = mr_bitmap_bytes(builder->length);
        mr_bitmap_fill(builder->validity->data, builder->length, (int64_t)size * 8, false);
        mr_buffer_finish(builder->validity, size);
    }
    if (builder->values)
        mr_buffer_finish(builder->values,
                         (size_t)(builder->length + has_offsets(builder)) * (size_t)builder->width);
    if (builder->data)
        mr_buffer_finish(builder->data, builder->data->size);
    return MR_OK;
}

/* The references that mr_column_new* takes over are gone from the builder, also when it fails. */
static enum mr_status to_column(struct mr_builder *builder, struct mr_column **children,
                                struct mr_column **out, struct mr_error *err)
{
    struct mr_buffer *validity = builder->validity;
    struct mr_buffer *values = builder->values;
    struct mr_buffer *data = builder->data;
    builder->validity = builder->values = builder->data = NULL;
    if (children)
        return mr_column_new_nested(builder->type, builder->length, builder->nulls, validity,
                                    values, children, builder->nchildren, out, err);
    return mr_column_new(builder->type, builder->length, builder->nulls, validity, values, data,
                         out, err);
}

enum mr_status mr_builder_finish(struct mr_builder *builder, struct mr_column **out,
                                 struct mr_error *err)
{
    *out = NULL;
    struct mr_column **children = NULL;
    int done = 0;
    enum mr_status status = seal(builder, err);
    if (status == MR_OK && mr_type_is_nested(builder->type)) {
        children = mr_calloc((size_t)builder->nchildren, sizeof(struct mr_column *));
        status = children ? MR_OK : mr_error_nomem(err);
        for (; status == MR_OK && done < builder->nchildren; done++)
            status = mr_builder_finish(&builder->children[done], &children[done], err);
    }
    if (status == MR_OK)
        status = to_column(builder, children, out, err);
    else
        for (int i = 0; i < done; i++)
            mr_column_unref(children[i]);
    mr_free(children);
    clear(builder);
    return status;
}
