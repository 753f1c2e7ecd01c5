/*
 * files_private.h - what the parts of the files sink share.
 */
#ifndef MR_CONNECT_FILES_PRIVATE_H
#define MR_CONNECT_FILES_PRIVATE_H

#include "base/tz.h"
#include "connect/files/token.h"
#include "dataset/location.h"
#include "dataset/writer.h"
#include "ext/sink.h"

extern const struct mr_option files_options[];

/* A bound sink; lives in the plan's arena. */
struct files {
    const struct mr_options *options;
    struct mr_location location;
    enum files_mode mode;
    bool dynamic; /* overwrite replaces only the partitions written */
    const struct mr_format *format;
    const char *compression; /* codec name or "none" */
    const char *extension;   /* of file names: "snappy.parquet", "csv.gz" */
    int level;
    const struct mr_schema *schema;
    const struct mr_schema *file_schema;
    int *partition_columns;
    int npartition_columns;
    struct mr_tz *tz; /* when a partition column is a timestamp */
    int sequence;     /* of the sink in the pipeline */
};

struct files_writer {
    struct files *files;
    struct mr_runtime *runtime;
    void *handle;
    char tag[17];
    char identity[33];
    struct mr_dataset_write write;
    struct mr_dataset_writer *writer;
    struct mr_bytes committable;
};

/* The tag under which everything of this pipeline's state is staged: known to a later run of it, to nobody else. */
void files_tag(const struct mr_runtime *runtime, char out[17]);
/* Is there a visible object below the root? */
enum mr_status files_exists(const struct files *files, struct mr_runtime *runtime, bool *exists,
                            struct mr_error *err);

enum mr_status files_writer_open(void *state, struct mr_runtime *runtime,
                                 const struct mr_epoch *epoch, int task, void **out,
                                 struct mr_error *err);
enum mr_status files_write(void *opaque, struct mr_batch *batch, struct mr_error *err);
enum mr_status files_relieve(void *opaque, int64_t bytes, struct mr_error *err);
enum mr_status files_writer_finish(void *opaque, struct mr_bytes *committable,
                                   struct mr_error *err);
void files_writer_close(void *opaque);

enum mr_status files_prepare(void *state, struct mr_runtime *runtime, const struct mr_epoch *epoch,
                             const struct mr_slice *committables, int ncommittables,
                             struct mr_bytes *token, struct mr_error *err);
enum mr_status files_commit(const struct mr_options *options, struct mr_runtime *runtime,
                            struct mr_slice token, struct mr_error *err);
enum mr_status files_recover(const struct mr_options *options, struct mr_runtime *runtime, int lane,
                             struct mr_recovered *out, struct mr_error *err);
int64_t files_part_bytes(void *writer);
enum mr_status files_sweep(const struct mr_options *options, struct mr_runtime *runtime,
                           struct mr_sink_kept *kept, int nkept, struct mr_error *err);
enum mr_status files_abort(const struct mr_options *options, struct mr_runtime *runtime,
                           struct mr_slice token, struct mr_error *err);

#endif
