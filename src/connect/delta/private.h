/*
 * private.h - what the files of the reading half share: the log's files, actions as they stand in
 * them, the replay, and the small decoders.
 */
#ifndef MR_CONNECT_DELTA_PRIVATE_H
#define MR_CONNECT_DELTA_PRIVATE_H

#include "connect/delta/table.h"
#include "enc/json_tree.h"

#define DELTA_LOG_DIRECTORY "_delta_log/"
/* Nesting of a schema, and of a JSON text of which we look at every level. */
#define DELTA_MAX_DEPTH 100
/* A log file is held in memory whole: larger ones belong into a checkpoint in Parquet. */
#define DELTA_MAX_LOG_FILE ((int64_t)2 << 30)

/* ---- path.c ---- */

/*
 * The path of an action (a URI reference, RFC 2396): percent signs decoded once. Relative paths
 * stay relative, absolute ones get the form scheme://authority/path ("/x" and "file:/x" become
 * "file:///x"; without a scheme it is that of the table). NULL: out of memory.
 */
const char *delta_path_decode(struct mr_arena *arena, struct mr_slice raw, const char *table_url);
bool delta_path_is_absolute(const char *path);

/* ---- protocol.c ---- */

/* Reader features of a table of the older versions, or in its list. Aliases count. */
bool delta_protocol_reads(const struct delta_protocol *protocol, const char *feature);

/* ---- schema_read.c ---- */

/* Fills schema, physical and mapping from schema_json and configuration. */
enum mr_status delta_schema_read(struct mr_arena *arena, struct delta_metadata *metadata,
                                 struct mr_error *err);

/* ---- entry.c, action.c ---- */

struct delta_pairs {
    int count;
    const struct delta_pair *items;
};

/* An add or remove as it stands in a log file: partition values by the names written there. */
struct delta_entry {
    struct delta_file file;
    struct delta_pairs values;
    uint64_t hash; /* of path and deletion vector */
};

struct delta_sidecar {
    const char *path; /* raw */
    int64_t size;
};

/* The actions of one log file (a commit, a compaction, a JSON checkpoint), in their order. */
struct delta_actions {
    const struct delta_protocol *protocol; /* the last one, or NULL */
    struct delta_metadata *metadata;       /* the last one, without schema; or NULL */
    const char *info;
    int64_t in_commit_millis; /* inCommitTimestamp of commitInfo, -1 = absent */
    struct delta_entry *entries;
    int nentries;
    struct delta_txn *txns;
    int ntxns;
    struct delta_domain *domains;
    int ndomains;
    struct delta_sidecar *sidecars;
    int nsidecars;
    int ncdc;
    bool checkpoint; /* has a checkpointMetadata action */
    int64_t checkpoint_version;
};

/* `text` is one action a line. `name` is the file's, for errors; `version` goes into the files. */
enum mr_status delta_actions_parse(const struct delta_table *table, const char *name,
                                   struct mr_slice text, int64_t version, struct mr_arena *arena,
                                   struct delta_actions *out, struct mr_error *err);
uint64_t delta_file_hash(const struct delta_file *file);
/* Same path and same deletion vector. */
bool delta_file_same(const struct delta_file *a, const struct delta_file *b);
/* Puts the partition values into the order of the metadata's columns. */
enum mr_status delta_entry_resolve(struct delta_entry *entry, const struct delta_metadata *metadata,
                                   struct mr_arena *arena, struct mr_error *err);

/* ---- log.c ---- */

enum delta_log_kind {
    DELTA_LOG_COMMIT,
    DELTA_LOG_CHECKPOINT,      /* <v>.checkpoint.parquet: classic, or V2 under the classic name */
    DELTA_LOG_CHECKPOINT_PART, /* <v>.checkpoint.<part>.<parts>.parquet */
    DELTA_LOG_CHECKPOINT_V2,   /* <v>.checkpoint.<uuid>.parquet */
    DELTA_LOG_CHECKPOINT_JSON, /* <v>.checkpoint.<uuid>.json */
    DELTA_LOG_COMPACTED,       /* <v>.<to>.compacted.json */
};

struct delta_log_file {
    enum delta_log_kind kind;
    int64_t version;
    int64_t to; /* COMPACTED */
    int part;   /* CHECKPOINT_PART: 1..parts */
    int parts;
    const char *path; /* below the table */
    int64_t size;
    int64_t modified_micros;
};

/* Files of the log, in byte order of their names. */
struct delta_log {
    struct delta_log_file *files;
    int count;
};

/* True when `name` (without directory) is a log file that replay may need. */
bool delta_log_name(const char *name, struct delta_log_file *out);
/* The files of version `from` and later. */
enum mr_status delta_log_list(const struct delta_table *table, int64_t from, struct mr_arena *arena,
                              struct delta_log *out, struct mr_error *err);
/*
 * The version that _last_checkpoint names, and (NULL is allowed) how many actions the checkpoint has; -1: there is none, it cannot be
 * read, or does not say.
 */
enum mr_status delta_last_checkpoint(const struct delta_table *table, int64_t *version,
                                     int64_t *actions, struct mr_error *err);
/* An object of the table whole, with a NUL behind it. `size` as listed, -1 = ask. */
enum mr_status delta_load(const struct delta_table *table, const char *path, int64_t size,
                          struct mr_arena *arena, struct mr_slice *out, struct mr_error *err);
/* The commit of a version in a listing, or NULL. */
const struct delta_log_file *delta_log_commit(const struct delta_log *log, int64_t version);

/* ---- asof.c ---- */

/* The version that `asof` means. The log is complete; it can be read from `earliest` on. */
enum mr_status delta_asof_find(const struct delta_table *table, const struct delta_log *log,
                               const struct delta_asof *asof, int64_t earliest, int64_t latest,
                               int64_t *version, struct mr_error *err);

/* ---- replay.c ---- */

/*
 * Reconciliation of actions, newest first: what is put later is older and counts only where
 * nothing was said before.
 */
struct delta_replay {
    struct mr_arena *arena;
    bool tombstones; /* are those of a checkpoint wanted? */
    const struct delta_protocol *protocol;
    struct delta_metadata *metadata;
    struct delta_entry **entries; /* the winners, in the order of putting */
    int64_t count;
    int64_t capacity;
    uint32_t *slots; /* entry + 1, 0 = free */
    size_t nslots;   /* a power of two */
    struct delta_txn *txns;
    int ntxns;
    int txn_capacity;
    struct delta_domain *domains;
    int ndomains;
    int domain_capacity;
};

enum mr_status delta_replay_init(struct delta_replay *replay, struct mr_arena *arena,
                                 struct mr_error *err);
enum mr_status delta_replay_entry(struct delta_replay *replay, struct delta_entry *entry,
                                  struct mr_error *err);
enum mr_status delta_replay_txn(struct delta_replay *replay, const struct delta_txn *txn,
                                struct mr_error *err);
enum mr_status delta_replay_domain(struct delta_replay *replay, const struct delta_domain *domain,
                                   struct mr_error *err);
/* All of one file of the log. */
enum mr_status delta_replay_actions(struct delta_replay *replay,
                                    const struct delta_actions *actions, struct mr_error *err);

/* ---- checkpoint_read.c ---- */

/* Puts what a checkpoint holds (of all its parts: `files`, of one version). */
enum mr_status delta_checkpoint_read(const struct delta_table *table,
                                     const struct delta_log_file *files, int nfiles,
                                     struct delta_replay *replay, struct mr_error *err);

#endif
