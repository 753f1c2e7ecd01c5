/*
 * text_table.h - rows of values as lines of text, in columns.
 */
#ifndef MR_API_TEXT_TABLE_H
#define MR_API_TEXT_TABLE_H

#include "base/bytes.h"
#include "col/column.h"

struct mr_text_table {
    int ncolumns;
    char **cells; /* row after row */
    int64_t ncells;
    int64_t capacity;
    size_t most; /* bytes of a value that are shown; 0: 40 */
};

void mr_text_table_reset(struct mr_text_table *table);
/* Row by row; control characters become blanks. */
enum mr_status mr_text_table_text(struct mr_text_table *table, const char *text, size_t size,
                                  struct mr_error *err);
/* The same of a value, cut when it is long. */
enum mr_status mr_text_table_value(struct mr_text_table *table, const struct mr_column *column,
                                   int64_t row, struct mr_error *err);
/* Appends a line per row, each behind `indent`; a column is as wide as its widest cell. */
enum mr_status mr_text_table_print(const struct mr_text_table *table, const char *indent,
                                   struct mr_bytes *out, struct mr_error *err);

#endif
