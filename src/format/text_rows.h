/*
 * text_rows.h - what readers of text share behind the decoder: batches, positions of rows, and what becomes of bad rows.
 */
#ifndef MR_FORMAT_TEXT_ROWS_H
#define MR_FORMAT_TEXT_ROWS_H

#include "enc/rows.h"
#include "ext/format.h"

/* Where a record is. */
struct mr_text_place {
    int64_t line;   /* from 1; -1 unknown */
    int64_t offset; /* of its first byte in the text */
    struct mr_slice record;
};

struct mr_text_rows {
    const struct mr_format_read *read;
    struct mr_rows rows;
    struct mr_arena arena;
    const struct mr_schema *positioned; /* with the column of positions, or NULL */
    struct mr_builder positions;
    int64_t position; /* of the next record in the file */
    int64_t most;     /* rows of a batch */
    bool plain;       /* of the file: lines can be counted again */
};

/* `schema` is that of the columns wanted. */
enum mr_status mr_text_rows_init(struct mr_text_rows *rows, const struct mr_format_read *read,
                                 const struct mr_schema *schema, bool plain, struct mr_error *err);
void mr_text_rows_reset(struct mr_text_rows *rows);
/*
 * To be called once a record, `before` being rows.count in front of it: gives the row its position and deals with the
 * fault as the reader was told. A faulty record without a row becomes NULLs for MR_ON_ERROR_NULL.
 */
enum mr_status mr_text_rows_settle(struct mr_text_rows *rows, int64_t before,
                                   const struct mr_row_fault *fault,
                                   const struct mr_text_place *place, struct mr_error *err);
/* MR_SOURCE, class data: "file, line n, column c: reason". */
enum mr_status mr_text_fault(const struct mr_format_read *read, bool plain,
                             const struct mr_row_fault *fault, const struct mr_text_place *place,
                             struct mr_error *err);
enum mr_status mr_text_rows_finish(struct mr_text_rows *rows, struct mr_batch **out,
                                   struct mr_error *err);

#endif
