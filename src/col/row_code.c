/*
 * row_code.c - values as bytes, walked recursively: for single values, where speed is not the point.
 */
#include "col/row_code.h"

#include <math.h>

static double as_canonical(double value)
{
    if (value == 0)
        return 0;
    return isnan(value) ? (double)NAN : value;
}

void mr_row_encode(struct mr_bytes *out, const struct mr_column *column, int64_t row,
                   bool canonical)
{
    int32_t at = mr_column_place(column, row);
    mr_bytes_u8(out, at >= 0);
    if (at < 0)
        return;
    const struct mr_column *flat = column->dictionary ? column->dictionary : column;
    enum mr_layout layout = mr_type_layout(flat->type);
    if (layout == MR_LAYOUT_STRUCT) {
        for (int i = 0; i < flat->nchildren; i++)
            mr_row_encode(out, flat->children[i], at, canonical);
    } else if (layout == MR_LAYOUT_LIST) {
        const int32_t *offsets = mr_column_offsets(flat) + at;
        mr_bytes_u32le(out, (uint32_t)(offsets[1] - offsets[0]));
        for (int32_t i = offsets[0]; i < offsets[1]; i++)
            mr_row_encode(out, flat->children[0], i, canonical);
    } else if (layout == MR_LAYOUT_BYTES) {
        struct mr_slice text = mr_column_slice(flat, at);
        mr_bytes_u32le(out, (uint32_t)text.size);
        mr_bytes_append(out, text.data, text.size);
    } else {
        int width = mr_layout_width(layout);
        const uint8_t *value = flat->values->data + (int64_t)at * width;
        double f64;
        float f32;
        if (canonical && layout == MR_LAYOUT_F64) {
            memcpy(&f64, value, sizeof f64);
            f64 = as_canonical(f64);
            value = (const uint8_t *)&f64;
        } else if (canonical && layout == MR_LAYOUT_F32) {
            memcpy(&f32, value, sizeof f32);
            f32 = (float)as_canonical((double)f32);
            value = (const uint8_t *)&f32;
        }
        mr_bytes_append(out, value, (size_t)width);
    }
}

enum mr_status mr_row_decode(struct mr_builder *builder, const char **at, struct mr_error *err)
{
    if (*(*at)++ == 0)
        return mr_builder_null(builder, err);
    uint32_t count = 0;
    switch (builder->layout) {
    case MR_LAYOUT_STRUCT:
        for (int i = 0; i < builder->nchildren; i++)
            MR_TRY(mr_row_decode(&builder->children[i], at, err));
        return mr_builder_struct(builder, err);
    case MR_LAYOUT_LIST:
        memcpy(&count, *at, sizeof count);
        *at += sizeof count;
        for (uint32_t i = 0; i < count; i++)
            MR_TRY(mr_row_decode(&builder->children[0], at, err));
        return mr_builder_list(builder, err);
    case MR_LAYOUT_BYTES:
        memcpy(&count, *at, sizeof count);
        *at += sizeof count + count;
        return mr_builder_bytes(builder, *at - count, count, err);
    default:
        MR_TRY(mr_builder_reserve(builder, 1, 0, err));
        memcpy(builder->values->data + builder->length * builder->width, *at,
               (size_t)builder->width);
        builder->length++;
        *at += builder->width;
        return MR_OK;
    }
}
