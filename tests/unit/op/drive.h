/*
 * drive.h - runs one operator as an engine does: tasks in order, combined, settled, pulled; and data for it.
 */
#ifndef TESTS_UNIT_OP_DRIVE_H
#define TESTS_UNIT_OP_DRIVE_H

#include "base/tz.h"
#include "ext/op.h"
#include "ext/registry.h"

struct drive {
    struct mr_arena arena;
    struct mr_memory memory;
    struct mr_counters counters;
    struct mr_runtime runtime;
    struct mr_registry registry;
    struct mr_tz *tz;
    char directory[64];
    const struct mr_op *op;
    void *plan;
    bool legacy; /* binds with ANSI off */
    bool stream; /* inputs are measured streams; runtime.kept and .clocks are the test's */
    enum mr_output_mode output_mode;
    struct mr_op_info info;
    struct mr_error err;
    /* what came out */
    struct mr_batch **batches;
    int *partitions; /* of each batch */
    int nbatches;
    int capacity;
    struct mr_batch *all; /* in one */
    int spare_pulls;      /* partitions that are pulled a second time, for nothing */
};

void drive_init(struct drive *drive);
/* Fails the test when memory is still charged or files are left. */
void drive_reset(struct drive *drive);
/* `pairs`: name, text, .., NULL. `rows`: estimate. */
enum mr_status drive_bind(struct drive *drive, const struct mr_op *op,
                          const struct mr_schema *schema, int64_t rows, const char *const *pairs);
enum mr_status drive_bind_options(struct drive *drive, const struct mr_op *op,
                                  const struct mr_schema *schema, int64_t rows,
                                  const struct mr_options *options);
/* Batches go to tasks in contiguous runs. */
enum mr_status drive_run(struct drive *drive, struct mr_batch *const *batches, int nbatches,
                         int ntasks, int64_t share);
void drive_forget(struct drive *drive);
int64_t drive_int(const struct drive *drive, int column, int64_t row);

/*
 * Batches of a column "id" (bigint, 0..) and one column of each sample type, named c0, c1, ..; encodings differ
 * from batch to batch.
 */
const struct mr_schema *drive_schema(struct drive *drive);
void drive_data(struct drive *drive, const struct mr_schema *schema, int nbatches, int64_t rows,
                int64_t distinct, struct mr_batch **out);
void drive_free_data(struct mr_batch **batches, int nbatches);
/* "id BIGINT, a INT" and rows as text, "1,2;3,NULL", in one batch. Integers, doubles and strings. */
struct mr_batch *drive_rows(struct drive *drive, const struct mr_schema *schema, const char *rows);
/* Rows of `all` in the same form. */
void drive_text(const struct drive *drive, struct mr_bytes *out);

#endif
