/*
 * value_text.h - the text of one scalar value, the same in JSON and CSV.
 */
#ifndef MR_ENC_VALUE_TEXT_H
#define MR_ENC_VALUE_TEXT_H

#include "col/column.h"

/* Longest text of a value that is not a byte string. */
#define MR_VALUE_TEXT_MAX 128

/* STRING, JSON, BINARY and nested types have no text of bounded length; all others do. */
bool mr_value_text_bounded(const struct mr_type *type);
/*
 * Writes a valid row of a FLAT column of a bounded type; returns the bytes (no NUL). Numbers are exact: all digits of
 * int64 and decimals, the shortest digits that read back for floats. NaN, Infinity, -Infinity; true, false; dates
 * 2024-02-29; times 12:30:00.5; timestamps 2024-02-29T12:30:00Z, without Z when they have no zone; intervals P1Y2M3DT4H5M6.5S.
 */
int mr_value_text_put(const struct mr_column *flat, int64_t row, char out[MR_VALUE_TEXT_MAX]);
/* Appends `size` bytes as base64 (RFC 4648, with padding). */
void mr_base64_append(struct mr_bytes *out, const void *data, size_t size);
/* 0..63; -1 = no digit of base64. */
static inline int mr_base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Finds the FLAT column and row behind any encoding. False when the row is NULL. */
static inline bool mr_column_locate(const struct mr_column *column, int64_t row,
                                    const struct mr_column **flat, int64_t *index)
{
    if (mr_column_is_null(column, row))
        return false;
    *flat = column;
    *index = row;
    if (column->encoding == MR_CONSTANT) {
        *index = 0;
    } else if (column->encoding == MR_DICTIONARY) {
        *flat = column->dictionary;
        *index = ((const int32_t *)(const void *)column->values->data)[row];
    }
    return true;
}

#endif
