/*
 * row_code.h - one value of any type as bytes, and back: what keeps single values of nested types.
 *
 * A byte 0 for NULL; else a byte 1 and the value: fixed widths as they are, texts and lists behind their count of 4
 * bytes, structs as their fields. For use inside of one process.
 */
#ifndef MR_COL_ROW_CODE_H
#define MR_COL_ROW_CODE_H

#include "base/bytes.h"
#include "col/builder.h"
#include "col/column.h"

/* Appends row `row` (below zero: NULL). `canonical`: equal values give equal bytes (-0.0, NaN). */
void mr_row_encode(struct mr_bytes *out, const struct mr_column *column, int64_t row,
                   bool canonical);
/* Appends the value at *at, which moves behind it, to a builder of the type it was encoded from. */
enum mr_status mr_row_decode(struct mr_builder *builder, const char **at, struct mr_error *err);

#endif
