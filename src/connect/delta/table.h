/*
 * table.h - a Delta table as its log tells it: one version, its files, and the commits after it.
 *
 * Reading half of connect/delta; commit.h is the writing half. Everything lives in an arena and is
 * immutable. Spec: Delta Transaction Log Protocol (PROTOCOL.md of delta-io/delta).
 */
#ifndef MR_CONNECT_DELTA_TABLE_H
#define MR_CONNECT_DELTA_TABLE_H

#include "col/type.h"
#include "dataset/location.h"
#include "ext/predicate.h"
#include "ext/runtime.h"

struct mr_batch;
struct mr_tz;

struct delta_pair {
    const char *name;
    const char *value; /* NULL = JSON null */
};

struct delta_protocol {
    int reader; /* minReaderVersion */
    int writer;
    const char *const *reader_features; /* NULL unless reader is 3; ended by NULL */
    const char *const *writer_features; /* NULL unless writer is 7 */
};

enum delta_mapping { DELTA_MAPPING_NONE, DELTA_MAPPING_NAME, DELTA_MAPPING_ID };

struct delta_metadata {
    const char *id;
    const char *name;        /* or NULL */
    const char *description; /* or NULL */
    const char *schema_json; /* schemaString as it stands in the log */
    int64_t created_millis;  /* -1 = absent */
    int npartition_columns;
    const char *const *partition_columns; /* logical names */
    int nconfiguration;
    const struct delta_pair *configuration;
    /* Made of the above. Field metadata is kept in `schema_json` only, except: */
    const struct mr_schema *schema;   /* logical names, partition columns in their places */
    const struct mr_schema *physical; /* the same fields under the names and ids of the files */
    enum delta_mapping mapping;
};

struct delta_vector { /* descriptor of a deletion vector */
    char storage;     /* 'u', 'p', 'i' */
    const char *text; /* pathOrInlineDv */
    int64_t offset;   /* -1 = absent */
    int64_t size;     /* sizeInBytes */
    int64_t cardinality;
};

/* A file of the table: an add, or a remove when `removed`. */
struct delta_file {
    const char *raw_path; /* as in the log, to be copied byte for byte */
    const char *path;     /* decoded; relative to the table, or absolute with a scheme */
    int64_t size;
    int64_t modified_millis;
    /* In the order of metadata.partition_columns; NULL = null. Text of the protocol's form. NULL when
     * the table is not partitioned. */
    const char *const *partition_values;
    const char *stats;                 /* JSON text, or NULL */
    const struct delta_vector *vector; /* or NULL */
    int ntags;
    const struct delta_pair *tags;
    int64_t base_row_id; /* -1 = absent */
    int64_t default_row_commit_version;
    const char *clustering_provider;
    bool data_change;
    bool removed;
    int64_t deleted_millis; /* of a remove, -1 = absent */
    int64_t version;        /* of the commit that it came with, -1 = from a checkpoint */
};

/*
 * Text that names a file among those of a version: raw_path, and '#' with the identity of its
 * deletion vector if it has one. NULL: out of memory.
 */
char *delta_file_address(struct mr_arena *arena, const struct delta_file *file);

struct delta_txn {
    const char *app_id;
    int64_t version;
    int64_t updated_millis; /* -1 = absent */
};

struct delta_domain {
    const char *domain;
    const char *configuration;
    bool removed;
};

/* The actions of one commit, in their order by kind. */
struct delta_commit {
    int64_t version;
    int64_t timestamp_millis;              /* inCommitTimestamp, else the log file's time */
    const char *info;                      /* the commitInfo action's JSON object, or NULL */
    const struct delta_protocol *protocol; /* or NULL */
    const struct delta_metadata *metadata; /* or NULL */
    int nfiles;
    const struct delta_file *files; /* adds and removes */
    int ntxns;
    const struct delta_txn *txns;
    int ndomains;
    const struct delta_domain *domains;
    int ncdc; /* cdc actions, which nobody here needs in detail */
};

struct delta_snapshot {
    int64_t version;
    int64_t timestamp_millis;
    struct delta_protocol protocol;
    struct delta_metadata metadata;
    int nfiles;
    const struct delta_file *files; /* live */
    int ntombstones;
    const struct delta_file *tombstones; /* removes not yet forgotten */
    int ntxns;
    const struct delta_txn *txns; /* the latest of each appId */
    int ndomains;
    const struct delta_domain *domains;
    int64_t checkpoint_version; /* of the checkpoint that it was read from, -1 = none */
};

/* Which version: `version` >= 0, else the last commit at or before `timestamp_micros`, else (-1,
 * INT64_MIN) the latest. */
struct delta_asof {
    int64_t version;
    int64_t timestamp_micros;
    bool
        tombstones; /* those of a checkpoint too: who maintains the table needs them, a reader does not */
};

/* An open table: the place, not a version. One thread. */
struct delta_table {
    const struct mr_store *store;
    void *handle;     /* root = the table */
    const char *url;  /* that the store was opened with */
    const char *text; /* for messages */
    struct mr_runtime *runtime;
    const struct mr_options *options; /* of the step: for files that lie in another store */
};

enum mr_status delta_table_open(const struct mr_location *location,
                                const struct mr_options *options, struct mr_runtime *runtime,
                                struct delta_table *out, struct mr_error *err);
void delta_table_close(struct delta_table *table);

/*
 * Reads a version. *out NULL when there is no table at all (no log): the caller says what that
 * means. MR_SOURCE, class data: gaps, no protocol, no metadata, broken actions, with the file and
 * line; class config: a feature that this reader does not support, by name, or a version that is
 * not there (with those that are).
 */
enum mr_status delta_snapshot_read(const struct delta_table *table, const struct delta_asof *asof,
                                   struct mr_arena *arena, const struct delta_snapshot **out,
                                   struct mr_error *err);
/*
 * The commits `from`..`to` (-1 = latest), one after the other, oldest first; no commit of that
 * number: none. `metadata` (of the version before) says the order of the partition values; NULL:
 * they are known only behind a commit that brings its own.
 */
enum mr_status delta_commits_read(const struct delta_table *table,
                                  const struct delta_metadata *metadata, int64_t from, int64_t to,
                                  struct mr_arena *arena, const struct delta_commit **out,
                                  int *count, struct mr_error *err);

/* MR_SOURCE, class config, listing what this reader lacks. Part of delta_snapshot_read. */
enum mr_status delta_check_readable(const struct delta_protocol *protocol, const char *table,
                                    struct mr_error *err);
/* The value of a table property ("delta.appendOnly"), or NULL. */
const char *delta_property(const struct delta_metadata *metadata, const char *name);
/*
 * The live files of a snapshot that conditions over metadata.schema leave, by partition values and
 * statistics, as numbers of snapshot->files, ascending. `skipped` (may be NULL) gets files and
 * bytes left out.
 */
struct delta_skipped {
    int64_t files;
    int64_t bytes;
};
enum mr_status delta_prune(const struct delta_snapshot *snapshot,
                           const struct mr_predicate *const *predicates, int npredicates,
                           const struct mr_tz *tz, struct mr_arena *arena, int **files, int *count,
                           struct delta_skipped *skipped, struct mr_error *err);

/* What is wanted of a file. Everything outlives the reader, and its batches. */
struct delta_want {
    const struct mr_schema *schema; /* fields of metadata.schema, by name, in the order wanted */
    const struct mr_predicate *const *predicates; /* over `schema`; rows that fail may come */
    int npredicates;
    bool positions;         /* appends "row position" (BIGINT): the number of the row in the file */
    int64_t offset;         /* rows that begin in these bytes, as mr_file_range */
    int64_t size;           /* INT64_MAX = to the end */
    const struct mr_tz *tz; /* of partition values that are instants; NULL = UTC */
};

/*
 * Reads one file of a table, deletion vector applied, partition values filled in, logical names:
 * for the source and for everything that rewrites files. With `positions` the schema of the
 * batches lives as long as the reader.
 */
struct delta_read;
enum mr_status delta_read_open(const struct delta_table *table,
                               const struct delta_snapshot *snapshot, const struct delta_file *file,
                               const struct delta_want *want, struct delta_read **out,
                               struct mr_error *err);
/* *out NULL at the end. */
enum mr_status delta_read_next(struct delta_read *read, struct mr_batch **out,
                               struct mr_error *err);
void delta_read_close(struct delta_read *read);

#endif
