/*
 * csv_text.h - rows as CSV (RFC 4180, lines ended by a newline).
 *
 * NULL is `null_value`, unquoted. The empty string is "" in quotes, and so is a text that would read as NULL, so that both
 * can be told apart. Texts with the delimiter, a quote, the escape character or a line break are quoted. Scalars as in
 * enc/value_text.h, BINARY as base64, nested values as JSON.
 */
#ifndef MR_ENC_CSV_TEXT_H
#define MR_ENC_CSV_TEXT_H

#include "col/batch.h"

struct mr_csv_rows;

struct mr_csv_dialect {
    char delimiter;
    char quote;
    char escape; /* put in front of a quote inside quotes; the quote itself = doubled */
    const char *null_value;
};

/* MR_CONFIG when the characters are not distinct or break lines. */
enum mr_status mr_csv_dialect_check(const struct mr_csv_dialect *dialect, struct mr_error *err);
/* MR_CONFIG when the characters are not distinct or break lines. The schema and the dialect outlive it. */
enum mr_status mr_csv_rows_new(const struct mr_schema *schema, const struct mr_csv_dialect *dialect,
                               struct mr_csv_rows **out, struct mr_error *err);
void mr_csv_rows_free(struct mr_csv_rows *rows);
/* Appends the line of column names. */
void mr_csv_rows_header(const struct mr_csv_rows *rows, struct mr_bytes *out);
/*
 * Appends rows [from, from + count) of a batch without selection. MR_SINK, class data, for a NULL that would be an
 * empty line (one column, empty null_value): readers skip such lines.
 */
enum mr_status mr_csv_rows_encode(const struct mr_csv_rows *rows, const struct mr_batch *batch,
                                  int64_t from, int64_t count, struct mr_bytes *out,
                                  struct mr_error *err);

/* Rows of an option table (ext/option.h): the dialect. */
#define MR_CSV_DIALECT_ROWS                                                                        \
    {.name = "delimiter",                                                                          \
     .aliases = "sep",                                                                             \
     .type = MR_OPTION_STRING,                                                                     \
     .fallback = ",",                                                                              \
     .doc = "CSV: one ASCII character between values; \\t is a tab."},                             \
        {.name = "quote",                                                                          \
         .type = MR_OPTION_STRING,                                                                 \
         .fallback = "\"",                                                                         \
         .doc = "CSV: the character around texts that need it."},                                  \
        {.name = "escape",                                                                         \
         .type = MR_OPTION_STRING,                                                                 \
         .fallback = "\"",                                                                         \
         .doc = "CSV: the character in front of a quote inside quotes; the default doubles it."},  \
    {                                                                                              \
        .name = "nullValue", .type = MR_OPTION_STRING, .fallback = "",                             \
        .doc = "CSV: the text of NULL, unquoted. Empty strings are written as two quotes."         \
    }

/* For the format and for the connectors that write or read files. */
#define MR_CSV_OPTION_ROWS                                                                         \
    {.name = "header",                                                                             \
     .type = MR_OPTION_BOOL,                                                                       \
     .fallback = "true",                                                                           \
     .doc = "CSV: the first line holds the names of the columns."},                                \
        MR_CSV_DIALECT_ROWS

/* Further rows for who reads CSV; `multiLine` is among those of JSON (enc/json_text.h). */
#define MR_CSV_READ_OPTION_ROWS                                                                    \
    {                                                                                              \
        .name = "inferSchema", .type = MR_OPTION_BOOL, .fallback = "true",                         \
        .doc = "CSV without a schema: the types of columns are guessed from a sample at the "      \
               "start of the file; false: all are strings."                                        \
    }

#endif
