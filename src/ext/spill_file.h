/*
 * spill_file.h - a temporary file without a name that packed batches are appended to. Private to
 * spill.c and spill_log.c.
 */
#ifndef MR_EXT_SPILL_FILE_H
#define MR_EXT_SPILL_FILE_H

#include "col/batch.h"
#include "ext/runtime.h"

struct mr_spill_file;

/* Where a batch lies. */
struct mr_spill_extent {
    int64_t offset;
    int64_t stored; /* bytes in the file */
    int64_t packed; /* bytes before compression; equal to `stored`: not compressed */
    uint64_t checksum;
};

/* One reference. In runtime->temp_dir. */
enum mr_status mr_spill_file_new(struct mr_runtime *runtime, struct mr_spill_file **out,
                                 struct mr_error *err);
struct mr_spill_file *mr_spill_file_ref(struct mr_spill_file *file);
/* NULL is allowed. */
void mr_spill_file_unref(struct mr_spill_file *file);
/* One thread at a time. */
enum mr_status mr_spill_file_append(struct mr_spill_file *file, struct mr_runtime *runtime,
                                    const struct mr_batch *batch, struct mr_spill_extent *out,
                                    struct mr_error *err);
/* Nothing more is appended: lets go of what that needed. Reading goes on. */
void mr_spill_file_seal(struct mr_spill_file *file);
/* What is appended next begins a block of the disk, so that its blocks can be let go. */
void mr_spill_file_align(struct mr_spill_file *file);
/* Nobody reads this again: its blocks go at once where the file system can, else with the file. Any thread. */
void mr_spill_file_forget(const struct mr_spill_file *file, const struct mr_spill_extent *extent);
/* Any thread; `rows` and the schema are those of the batch. */
enum mr_status mr_spill_file_read(const struct mr_spill_file *file, struct mr_runtime *runtime,
                                  const struct mr_spill_extent *extent,
                                  const struct mr_schema *schema, int64_t rows,
                                  struct mr_batch **out, struct mr_error *err);

#endif
