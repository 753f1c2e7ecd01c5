/*
 * json_text.h - rows as JSON objects and values as JSON.
 *
 * Integers and decimals are exact numbers, however long; NaN and the infinities are the strings "NaN", "Infinity",
 * "-Infinity"; dates, times, intervals and UUIDs are strings (enc/value_text.h); BINARY is base64; a column of type JSON
 * is put in as it is; a map is an object whose keys are the texts of the keys; NULL is null, written out.
 */
#ifndef MR_ENC_JSON_TEXT_H
#define MR_ENC_JSON_TEXT_H

#include "col/batch.h"

struct mr_json_rows;

/* Prepares the keys. The schema outlives it. */
enum mr_status mr_json_rows_new(const struct mr_schema *schema, struct mr_json_rows **out,
                                struct mr_error *err);
void mr_json_rows_free(struct mr_json_rows *rows);
/* Appends rows [from, from + count) of a batch without selection, each with a newline. Failures stay in `out`. */
void mr_json_rows_encode(const struct mr_json_rows *rows, const struct mr_batch *batch,
                         int64_t from, int64_t count, struct mr_bytes *out);
/* Appends the value of one row, any encoding, any type, NULL as null. */
void mr_json_value(const struct mr_column *column, int64_t row, struct mr_bytes *out);

/* Rows of an option table (ext/option.h) for who reads JSON; with those of CSV for who reads CSV. */
#define MR_JSON_READ_OPTION_ROWS                                                                   \
    {                                                                                              \
        .name = "multiLine", .type = MR_OPTION_BOOL,                                               \
        .doc = "JSON: true = the file is one array of objects, or objects one after the other, "   \
               "over any lines; else each line is an object. CSV: false = a line is a row; true "  \
               "= values in quotes have line breaks, the file is read in one piece; by default "   \
               "they may have, and where a large file is cut is checked."                          \
    }

#endif
