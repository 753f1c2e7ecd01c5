/*
 * format.h - contract: the inside of a file. Bytes come and go by handle, codecs by name.
 */
#ifndef MR_EXT_FORMAT_H
#define MR_EXT_FORMAT_H

#include "base/tz.h"
#include "ext/item.h"
#include "ext/predicate.h"
#include "ext/runtime.h"

/* Where the bytes of a file being written go. */
struct mr_byte_sink {
    enum mr_status (*append)(struct mr_byte_sink *sink, const void *data, size_t size,
                             struct mr_error *err);
};

/* One of several reads; `out` has room for `size` bytes. */
struct mr_byte_read {
    int64_t offset;
    size_t size;
    void *out;
};

/*
 * Random access to the bytes of a file being read, by one thread at a time. Reading past the end
 * is an error of class data (the file was cut). Waits only through the waiter of its opener.
 */
struct mr_byte_source {
    int64_t size;
    const char *name; /* for messages: the URL or path, without secrets */
    enum mr_status (*read)(struct mr_byte_source *source, int64_t offset, void *out, size_t size,
                           struct mr_error *err);
    /* Several at once: a remote store has them in flight together. Never NULL. */
    enum mr_status (*read_many)(struct mr_byte_source *source, const struct mr_byte_read *reads,
                                int nreads, struct mr_error *err);
};

/* Row of an option table: of formats that may hold nanoseconds, and of the sources that read them. */
#define MR_NANOSECONDS_OPTION_ROW                                                                  \
    {                                                                                              \
        .name = "nanoseconds", .type = MR_OPTION_ENUM, .fallback = "fail",                         \
        .choices = (const char *const[]){"fail", "floor", NULL},                                   \
        .doc = "Parquet: times with parts of a microsecond fail, or are cut (floor).",             \
    }

struct mr_format_write {
    const struct mr_schema *schema;
    const char *compression;          /* codec name, "none", or NULL = the format's default */
    int level;                        /* of the codec, INT_MIN = its default */
    int64_t row_group_rows;           /* 0 = default */
    int64_t row_group_bytes;          /* 0 = default */
    const struct mr_options *options; /* the format's own keys, or NULL */
    /* Key and value pairs for the file's own metadata ("avro.schema.doc", ..), ended by NULL; or NULL */
    const char *const *metadata;
    struct mr_runtime *runtime;
};

/*
 * Of one leaf: a column, or a field of a struct at any depth that is neither inside a list nor a
 * map. NaN is in no bound; a float leaf with a NaN has none.
 */
struct mr_leaf_statistics {
    bool has_bounds;
    struct mr_value minimum; /* arena of the writer */
    struct mr_value maximum;
    bool minimum_exact; /* false: a text or binary value that was cut, still a bound */
    bool maximum_exact;
    int64_t nulls; /* rows in which it is NULL, by itself or in a struct that is; -1 unknown */
};

struct mr_file_statistics {
    int64_t rows;
    int64_t bytes;
    int nleaves; /* in the order of the schema, depth first; lists and maps count as one leaf */
    const struct mr_leaf_statistics *leaves; /* NULL when the format has none */
};

/*
 * Part of a file that is read alone: the rows that begin in these bytes. Any cut is right: a
 * Parquet row group belongs to the range that its first byte is in, a line or an Avro block to the
 * range where it starts; so ranges that cover a file give each row once.
 */
struct mr_file_range {
    int64_t offset;
    int64_t size; /* INT64_MAX = to the end */
};

/* What becomes of a row that cannot be read (a malformed line, a value that is no number). */
enum mr_on_error {
    MR_ON_ERROR_FAIL,
    MR_ON_ERROR_NULL, /* the value that is wrong is NULL; a record without any shape is all NULL */
    MR_ON_ERROR_DROP, /* the row is left out; a quarantine takes it from `bad` */
};

struct mr_bad_row {
    int64_t position;   /* line from 1 (text), else row from 0; of the whole file; -1 unknown */
    int64_t offset;     /* byte where the record starts, of the decompressed file */
    const char *column; /* NULL: the record as a whole */
    const char *reason;
    struct mr_slice record; /* as it stands in the file; empty for binary formats */
};

/* How columns of the file are found for the fields that are wanted, nested ones too. */
enum mr_resolve { MR_RESOLVE_NAME, MR_RESOLVE_ID };

/* What probe and read_open are told. Everything outlives the reader. */
struct mr_format_read {
    struct mr_byte_source *source;
    const struct mr_options
        *options; /* of the step; rows of the format that are not in it: default */
    /*
     * The columns that come out, in this order, with exactly these types. A column that the file
     * lacks is NULL (MR_SOURCE, class data, if it may not be); one of another type is widened
     * (integers, int to double, float to double, decimals that lose nothing, date to
     * timestamp_ntz), anything else is an error naming file, column and both types. Parquet finds
     * names exactly, then ignoring ASCII case. NULL: as probe says. May be empty: rows only.
     */
    const struct mr_schema *schema;
    enum mr_resolve resolve;
    /* Joined by AND, columns are those of `schema`. Parts where none can be TRUE may be left out;
     * rows that do not match may come. */
    const struct mr_predicate *const *predicates;
    int npredicates;
    /*
     * Appends a column, BIGINT NOT NULL "row position": number of the row in the file, from 0. Batches
     * then have a schema that lives as long as the reader, as they do where `schema` is NULL.
     */
    bool row_positions;
    enum mr_on_error on_error;
    void (*bad)(void *context, const struct mr_bad_row *row); /* for NULL and DROP; may be NULL */
    void *bad_context;
    const struct mr_tz *tz; /* of texts that are instants without a zone; NULL = UTC */
    struct mr_runtime *runtime;
};

struct mr_file_info {
    const struct mr_schema *schema; /* of the file, or what a sample of its rows suggests */
    int64_t rows;                   /* -1 = unknown */
    bool splittable;                /* false: it has one range only (a compressed text) */
    bool inferred;                  /* the schema is a guess from a sample */
    /* For people, where it is cheap: "3 row groups, snappy, written by x"; in the arena, or NULL */
    const char *details;
};

struct mr_format {
    const char *name;      /* "parquet" */
    const char *extension; /* "parquet"; a codec may be put in front by the writer's caller */
    const char *doc;
    const struct mr_option *options; /* keys of its own, may be NULL */

    /* Reading. NULL members: this format can only be written in this build. */
    /* Reads a footer, a header or a sample, never all. `read->schema`, when given, is believed. */
    enum mr_status (*probe)(const struct mr_format_read *read, struct mr_arena *arena,
                            struct mr_file_info *info, struct mr_error *err);
    enum mr_status (*read_open)(const struct mr_format_read *read,
                                const struct mr_file_range *range, void **reader,
                                struct mr_error *err);
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
