/*
 * writer.h - rows of one task into staged files: split by partition, rolled by size, inside a memory share.
 *
 * Shared by the files sink and Delta: the caller says where and how, and is told of each file when it is sealed.
 */
#ifndef MR_DATASET_WRITER_H
#define MR_DATASET_WRITER_H

#include "base/tz.h"
#include "ext/format.h"
#include "ext/store.h"

/* A sealed file, still invisible. Valid during the call. */
struct mr_dataset_file {
    const char *path;              /* below the store's root, prefix included */
    const char *directory;         /* of the partition, "" without: "year=2024/month=1" */
    const struct mr_value *values; /* of the partition columns */
    const struct mr_file_statistics *statistics;
    struct mr_slice ticket; /* of the store */
};

struct mr_dataset_write {
    const struct mr_schema *schema; /* of the batches, partition columns included */
    const int *partition_columns;   /* in the order of the directories */
    int npartition_columns;
    const struct mr_schema *file_schema; /* without them */
    const struct mr_tz *tz;              /* for the names of timestamp partitions, NULL = UTC */
    const struct mr_format *format;
    const char *compression; /* codec, "none" or NULL, as struct mr_format_write */
    int level;
    int64_t row_group_rows;
    int64_t row_group_bytes;
    const struct mr_options *options; /* of the format */
    const struct mr_store *store;
    void *handle;       /* of the store; one thread with the writer */
    const char *prefix; /* below the root, "" or ending in '/' */
    const char *tag;    /* of what is staged */
    /* Names: part-<task>-<identity>-<sequence>.<extension>; sequence counts per partition. */
    const char *identity;
    const char *extension;
    int task;
    int64_t target_file_size; /* bytes on the disk, 0 = no limit */
    int64_t memory_share;     /* bytes that open files may buffer together, 0 = from the account */
    int max_open;             /* files open at once, 0 = 16384 */
    struct mr_runtime *runtime;
    enum mr_status (*sealed)(void *context, const struct mr_dataset_file *file,
                             struct mr_error *err);
    void *context;
};

struct mr_dataset_writer;

/* `write` and what it points to outlive the writer. */
enum mr_status mr_dataset_writer_new(const struct mr_dataset_write *write,
                                     struct mr_dataset_writer **out, struct mr_error *err);
/* Borrows the batch (no selection). After a failure only mr_dataset_writer_free is allowed. */
enum mr_status mr_dataset_writer_add(struct mr_dataset_writer *writer, struct mr_batch *batch,
                                     struct mr_error *err);
/* Flushes the largest open files until about `bytes` are given back. */
enum mr_status mr_dataset_writer_relieve(struct mr_dataset_writer *writer, int64_t bytes,
                                         struct mr_error *err);
/* Opens the file without a partition although it has no rows: readers need its schema. */
enum mr_status mr_dataset_writer_touch(struct mr_dataset_writer *writer, struct mr_error *err);
/*
 * Bytes of batches after which ending all files of this writer and going on in another costs few files: what fills a few
 * of them for each partition that it has seen.
 */
int64_t mr_dataset_writer_part_bytes(const struct mr_dataset_writer *writer);
/* Seals all files, partitions in order of first appearance; then everything staged is durable. */
enum mr_status mr_dataset_writer_finish(struct mr_dataset_writer *writer, struct mr_error *err);
/* Discards what is not sealed. NULL is allowed. */
void mr_dataset_writer_free(struct mr_dataset_writer *writer);

#endif
