/*
 * format.h - contract: the inside of a file. Bytes come and go by handle, codecs by name.
 */
#ifndef MR_EXT_FORMAT_H
#define MR_EXT_FORMAT_H

#include "ext/item.h"
#include "ext/predicate.h"
#include "ext/runtime.h"

/* Where the bytes of a file being written go. */
struct mr_byte_sink {
    enum mr_status (*append)(struct mr_byte_sink *sink, const void *data, size_t size,
                             struct mr_error *err);
};

/* Random access to the bytes of a file being read. */
struct mr_byte_source {
    int64_t size;
    enum mr_status (*read)(struct mr_byte_source *source, int64_t offset, void *out, size_t size,
                           struct mr_error *err);
};

struct mr_format_write {
    const struct mr_schema *schema;
    const char *compression;          /* codec name, "none", or NULL = the format's default */
    int level;                        /* of the codec, INT_MIN = its default */
    int64_t row_group_rows;           /* 0 = default */
    int64_t row_group_bytes;          /* 0 = default */
    const struct mr_options *options; /* the format's own keys, or NULL */
    struct mr_runtime *runtime;
};

struct mr_column_statistics {
    bool has_bounds;
    struct mr_value minimum; /* arena of the writer; bytes may be truncated, still bounds */
    struct mr_value maximum;
    int64_t nulls;
};

struct mr_file_statistics {
    int64_t rows;
    int64_t bytes;
    int ncolumns;                               /* top level */
    const struct mr_column_statistics *columns; /* NULL when the format has none */
};

/* Part of a file that can be read alone. */
struct mr_file_range {
    int64_t offset;
    int64_t size;
    int64_t rows; /* -1 = unknown */
};

struct mr_format {
    const char *name;      /* "parquet" */
    const char *extension; /* "parquet"; a codec may be put in front by the writer's caller */
    const char *doc;
    const struct mr_option *options; /* keys of its own, may be NULL */

    /* Reading. NULL members: this format can only be written in this build. */
    enum mr_status (*probe)(struct mr_byte_source *source, const struct mr_options *options,
                            struct mr_runtime *runtime, struct mr_arena *arena,
                            const struct mr_schema **schema, struct mr_file_range **ranges,
                            int *nranges, struct mr_error *err);
    enum mr_status (*read_open)(struct mr_byte_source *source, const struct mr_file_range *range,
                                const struct mr_schema *schema, const bool *columns,
                                const struct mr_predicate *predicate, bool row_positions,
                                struct mr_runtime *runtime, void **reader, struct mr_error *err);
    /* *out NULL at the end. */
    enum mr_status (*read_next)(void *reader, struct mr_batch **out, struct mr_error *err);
    void (*read_close)(void *reader);

    /* Writing. Refuses, naming the column, a type that it cannot hold exactly. */
    enum mr_status (*write_open)(const struct mr_format_write *write, struct mr_byte_sink *sink,
                                 void **writer, struct mr_error *err);
    /* Borrows the batch (no selection). */
    enum mr_status (*write)(void *writer, struct mr_batch *batch, struct mr_error *err);
    /*
     * Bytes of memory held for rows that are not in the sink yet (what is kept for reuse may
     * count); and bytes handed to the sink so far.
     */
    int64_t (*buffered)(const void *writer);
    int64_t (*written)(const void *writer);
    /* Hands over what is buffered (ends the row group). */
    enum mr_status (*flush)(void *writer, struct mr_error *err);
    /* Footer; `statistics` lives until write_close. */
    enum mr_status (*write_finish)(void *writer, struct mr_file_statistics *statistics,
                                   struct mr_error *err);
    void (*write_close)(void *writer);
};

#endif
