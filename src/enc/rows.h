/*
 * rows.h - rows under construction: a builder a column, and going back when a record turns out bad in its middle.
 */
#ifndef MR_ENC_ROWS_H
#define MR_ENC_ROWS_H

#include "col/batch.h"
#include "col/builder.h"

struct mr_rows {
    const struct mr_schema *schema; /* outlives the rows and their batches */
    struct mr_memory *memory;
    struct mr_builder *builders;
    int64_t count; /* rows that are complete */
};

/* What is wrong with a record. */
struct mr_row_fault {
    bool found;
    const char *column; /* NULL: the record as a whole */
    char reason[256];
};

enum mr_status mr_rows_init(struct mr_rows *rows, struct mr_memory *memory,
                            const struct mr_schema *schema, struct mr_error *err);
void mr_rows_reset(struct mr_rows *rows);
/* Drops what was appended behind the last complete row. */
void mr_rows_rollback(struct mr_rows *rows);
/* A complete row of NULLs; false (and nothing) when a column may not be NULL. */
enum mr_status mr_rows_null(struct mr_rows *rows, bool *done, struct mr_error *err);
/* The complete rows as a batch; none are left. */
enum mr_status mr_rows_finish(struct mr_rows *rows, struct mr_batch **out, struct mr_error *err);
/* Keeps the first fault of a record. */
void mr_row_fault_set(struct mr_row_fault *fault, const char *column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
