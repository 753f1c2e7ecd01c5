/*
 * commit.h - one version more: what every writer of a Delta table does at its end.
 *
 * The sink, optimize, vacuum (its log entry) and delete all come here. The loop: try version
 * read + 1; on a lost race read the winners, check each against what we read and write (the
 * conflict rules of the protocol, as in Spark's ConflictChecker), go to latest + 1, with jittered
 * back-off. Data files are durable before. Nothing after the log entry exists turns success into a
 * failure: checkpoint, _last_checkpoint and log clean-up only warn.
 */
#ifndef MR_CONNECT_DELTA_COMMIT_H
#define MR_CONNECT_DELTA_COMMIT_H

#include "connect/delta/table.h"

/* What was read to decide what to write: concurrent commits are judged by it. */
enum delta_reads {
    DELTA_READS_NOTHING, /* a blind append: conflicts with nothing but protocol and metadata */
    DELTA_READS_FILES,   /* exactly the files that `removes` names */
    DELTA_READS_WHERE,   /* all files that `where` (partition columns only) leaves */
    DELTA_READS_TABLE,
};

struct delta_change {
    const char *operation;  /* "WRITE", "MERGE", "DELETE", "OPTIMIZE", ... */
    const char *parameters; /* JSON object of operationParameters (values are strings) */
    const char *metrics;    /* JSON object of operationMetrics, or NULL */
    const struct delta_protocol *protocol; /* NULL = unchanged; needed for version 0 */
    const struct delta_metadata *metadata; /* NULL = unchanged; needed for version 0 */
    int nadds;
    const struct delta_file *adds;
    int nremoves;
    const struct delta_file
        *removes;                /* as read from the snapshot; written with deletionTimestamp */
    bool data_change;            /* false: the same rows in other files */
    const struct delta_txn *txn; /* or NULL */
    const struct delta_txn *run; /* written beside txn: whose run it is, as its version; or NULL */
    enum delta_reads reads;
    const struct mr_predicate *const *where; /* DELTA_READS_WHERE; over metadata.schema */
    int nwhere;
    bool
        only_create; /* with no snapshot: a table that somebody else created meanwhile is an error */
};

/* What a list of transactions says of the epoch of a change. */
enum delta_txn_known {
    DELTA_TXN_BEFORE,     /* it is not there; *version: the one that is, -1 = none */
    DELTA_TXN_DONE,       /* it is there, and as far as can be told it is this one */
    DELTA_TXN_OTHERS,     /* the same epoch of another run: of a copy of this state */
    DELTA_TXN_SUPERSEDED, /* a later one */
};
enum delta_txn_known delta_txn_known(const struct delta_txn *txns, int ntxns,
                                     const struct delta_txn *txn, const struct delta_txn *run,
                                     int64_t *version);
/* The error that goes with the last two. */
enum mr_status delta_txn_overtaken(enum delta_txn_known known, const char *table,
                                   const struct delta_txn *txn, int64_t version,
                                   struct mr_error *err);

struct delta_outcome {
    int64_t version; /* that was written, or (already) one that knows our txn */
    bool already;    /* the table knew our txn: nothing was written */
    bool uncertain;  /* of a failure: the change may have been written all the same */
    int attempts;
};

/*
 * `snapshot` is what the change was computed from; NULL creates the table (version 0; if somebody
 * else created it meanwhile: retried as an append when schema and partitioning are the same).
 * MR_SINK, class transient: a concurrent commit invalidates what was read, naming both; nothing
 * was written, and the change has to be computed again. Class unknown: it may be there. Whether no version
 * can name the files of a change that failed, out->uncertain says.
 */
enum mr_status delta_commit_write(const struct delta_table *table,
                                  const struct delta_snapshot *snapshot,
                                  const struct delta_change *change, struct delta_outcome *out,
                                  struct mr_error *err);

/* What kind of change a table may refuse. */
enum delta_kind {
    DELTA_KIND_APPEND,
    DELTA_KIND_REPLACE, /* removes whole files, and with them all of their rows */
    DELTA_KIND_REWRITE, /* removes some rows of files and writes the others again */
    DELTA_KIND_REORGANISE,
};
/*
 * MR_SINK, class config, naming the features, columns and properties of a table that stand in the
 * way of a change. Invariants and CHECK constraints do not: the writer below evaluates them.
 */
enum mr_status delta_check_writable(const struct delta_snapshot *snapshot, enum delta_kind kind,
                                    const char *table, struct mr_error *err);

/*
 * Rows into data files of a table: an mr_dataset_write prepared for it (Parquet, physical names
 * and ids, partition directories, codec of the table), whose sealed files become adds with
 * statistics. For the sink and for everything that rewrites.
 */
struct delta_writer;
struct delta_writer_options {
    const char *tag;      /* of what is staged; part of the names */
    const char *identity; /* the names derive from (tag, identity, task, sequence) */
    int task;
    int64_t target_file_size; /* 0 = delta.targetFileSize or 256 MB */
    const char *compression;  /* NULL = delta.parquet.compression.codec or snappy */
    int level;                /* INT_MIN = the codec's default */
    int64_t memory_share;     /* as mr_dataset_write */
    bool trusted;             /* the rows come from this table: constraints are not evaluated */
};
/* Batches carry metadata.schema (logical names). Metadata and protocol as they will be committed. */
enum mr_status delta_writer_new(const struct delta_table *table,
                                const struct delta_metadata *metadata,
                                const struct delta_writer_options *options,
                                struct delta_writer **out, struct mr_error *err);
enum mr_status delta_writer_add(struct delta_writer *writer, struct mr_batch *batch,
                                struct mr_error *err);
enum mr_status delta_writer_relieve(struct delta_writer *writer, int64_t bytes,
                                    struct mr_error *err);
int64_t delta_writer_part_bytes(const struct delta_writer *writer);
/* What is sealed: adds (without `version`) and the tickets that publish them, as one byte string. */
enum mr_status delta_writer_finish(struct delta_writer *writer, struct mr_bytes *out,
                                   struct mr_error *err);
void delta_writer_free(struct delta_writer *writer);
/* The way back from delta_writer_finish. */
struct delta_written {
    struct delta_file *files;
    struct mr_slice *tickets;
    int count;
};
enum mr_status delta_written_read(struct mr_slice data, struct mr_arena *arena,
                                  struct delta_written *out, struct mr_error *err);

#endif
