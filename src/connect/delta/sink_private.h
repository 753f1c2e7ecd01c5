/*
 * sink_private.h - what the files of the sink share.
 */
#ifndef MR_CONNECT_DELTA_SINK_PRIVATE_H
#define MR_CONNECT_DELTA_SINK_PRIVATE_H

#include "connect/delta/commit.h"
#include "connect/delta/target.h"
#include "ext/condition.h"
#include "ext/sink.h"

extern const struct mr_option delta_sink_options[];

enum delta_mode {
    DELTA_MODE_APPEND,
    DELTA_MODE_OVERWRITE,
    DELTA_MODE_ERROR_IF_EXISTS,
    DELTA_MODE_IGNORE,
    DELTA_MODE_UPSERT,
};

/* Which files of the table a commit takes away, and when that is decided. */
enum delta_removal {
    DELTA_REMOVE_NOTHING,
    DELTA_REMOVE_ALL,        /* at the commit */
    DELTA_REMOVE_PARTITIONS, /* at the commit: of the partitions that were written */
    DELTA_REMOVE_WHERE,      /* at the commit: partitions that a condition picks */
    DELTA_REMOVE_LISTED,     /* while preparing: files that were rewritten */
};

/* A bound sink; lives in the plan's arena. */
struct delta_sink {
    const struct mr_options *options;
    struct mr_location location;
    enum delta_mode mode;
    enum delta_removal removal;
    const char *compression; /* NULL = the table's */
    int level;
    struct delta_target target; /* all NULL offline */
    const char *where;          /* replaceWhere, or NULL */
    bool addresses; /* upsert: rows with two columns more, the place of a row to be replaced */
    int sequence;   /* of the sink in the pipeline */
};

/* ---- sink_bind.c ---- */

enum mr_status delta_sink_bind(const struct mr_sink_bind *bind, void **state,
                               struct mr_sink_info *info, struct mr_error *err);
enum mr_status delta_sink_expand(const struct mr_sink_bind *bind, struct mr_op_parts *out,
                                 const struct mr_options **options, struct mr_error *err);

/* ---- sink_write.c ---- */

/* The tag under which everything of this pipeline's state is staged. */
void delta_sink_tag(const struct mr_runtime *runtime, char out[17]);
/* What file names of one epoch and sink derive from; lives in the arena. */
const char *delta_sink_identity(const struct delta_sink *sink, const struct mr_runtime *runtime,
                                const struct mr_epoch *epoch, const char *what,
                                struct mr_arena *arena);
enum mr_status delta_sink_writer_open(void *state, struct mr_runtime *runtime,
                                      const struct mr_epoch *epoch, int task, void **writer,
                                      struct mr_error *err);
enum mr_status delta_sink_write(void *writer, struct mr_batch *batch, struct mr_error *err);
enum mr_status delta_sink_relieve(void *writer, int64_t bytes, struct mr_error *err);
int64_t delta_sink_part_bytes(void *writer);
enum mr_status delta_sink_writer_finish(void *writer, struct mr_bytes *committable,
                                        struct mr_error *err);
void delta_sink_writer_close(void *writer);

/* ---- sink_token.c ---- */

/*
 * committable: u8 version, u64 rows, what delta_writer_finish gave, then addresses of rows to be
 * replaced: per file its path and a portable Roaring bitmap of positions (32 bits).
 */
struct delta_addresses {
    const char *path;
    struct mr_slice bitmap;
};
struct delta_committable {
    int64_t rows;
    struct mr_slice written;
    struct delta_addresses *addresses;
    int naddresses;
};
void delta_committable_begin(struct mr_bytes *out, int64_t rows, struct mr_slice written);
void delta_committable_address(struct mr_bytes *out, const char *path, struct mr_slice bitmap);
enum mr_status delta_committable_read(struct mr_slice data, struct mr_arena *arena,
                                      struct delta_committable *out, struct mr_error *err);

struct delta_token {
    enum delta_mode mode;
    enum delta_removal removal;
    const char *url;
    const char *text; /* of the table, for messages */
    const char *app_id;
    int64_t epoch;
    uint64_t run; /* mr_run_mark, 0 = not known */
    const char *operation;
    const char *parameters;
    const char *metrics;
    const char *where;      /* DELTA_REMOVE_WHERE */
    int64_t read_version;   /* that the rows were prepared for, -1 = there was no table */
    uint64_t basis;         /* hash of its metadata */
    const char *definition; /* lines of the log: protocol and metaData to be committed, or "" */
    int nwritten;
    struct mr_slice *written; /* as delta_writer_finish gave them */
    int nremoves;
    const char **removes; /* raw paths, DELTA_REMOVE_LISTED */
};
void delta_token_write(const struct delta_token *token, struct mr_bytes *out);
enum mr_status delta_token_read(struct mr_slice data, struct mr_arena *arena,
                                struct delta_token *out, struct mr_error *err);
/* Of what a writer depends on: schema, partition columns, properties. */
uint64_t delta_metadata_hash(const struct delta_metadata *metadata);
/*
 * Of what staged rows depend on. The random id of a table that is only now created is none of it; the version
 * is, when places of its rows are.
 */
uint64_t delta_sink_basis(const struct delta_sink *sink);

/* ---- sink_prepare.c ---- */

enum mr_status delta_sink_prepare(void *state, struct mr_runtime *runtime,
                                  const struct mr_epoch *epoch, const struct mr_slice *committables,
                                  int ncommittables, struct mr_bytes *token, struct mr_error *err);

/* ---- sink_layout.c ---- */

/* Is autoCompact or zOrderBy asked for? */
bool delta_sink_has_layout(const struct mr_options *options);
/* After the commit of `adds`. What another writer was first to change is left for later, which is no failure. */
enum mr_status delta_sink_lay_out(const struct mr_options *options, const struct delta_table *table,
                                  const struct delta_file *adds, int nadds, struct mr_error *err);

/* ---- sink_commit.c ---- */

/* The appId of a sink's transactions; sequence -1: what all sinks of this state begin with. */
const char *delta_sink_app_id(const struct mr_runtime *runtime, int sequence, int lane,
                              struct mr_arena *arena);
enum mr_status delta_sink_commit(const struct mr_options *options, struct mr_runtime *runtime,
                                 struct mr_slice token, struct mr_error *err);
enum mr_status delta_sink_tidy(const struct mr_options *options, struct mr_runtime *runtime,
                               struct mr_slice token, struct mr_error *err);
enum mr_status delta_sink_recover(const struct mr_options *options, struct mr_runtime *runtime,
                                  int lane, struct mr_recovered *out, struct mr_error *err);
enum mr_status delta_sink_abort(const struct mr_options *options, struct mr_runtime *runtime,
                                struct mr_slice token, struct mr_error *err);
/* ---- sink_sweep.c ---- */

enum mr_status delta_sink_sweep(const struct mr_options *options, struct mr_runtime *runtime,
                                struct mr_sink_kept *kept, int nkept, struct mr_error *err);

/* The table that options name, its newest version (NULL: no table yet). The caller closes it. */
enum mr_status delta_sink_open(const struct mr_options *options, struct mr_runtime *runtime,
                               struct mr_arena *arena, struct mr_location *location,
                               struct delta_table *table, const struct delta_snapshot **snapshot,
                               struct mr_error *err);

#endif
