/*
 * sink_private.h - what the files of toPostgres share.
 */
#ifndef MR_CONNECT_POSTGRES_SINK_PRIVATE_H
#define MR_CONNECT_POSTGRES_SINK_PRIVATE_H

#include "connect/postgres/copy_encode.h"
#include "connect/postgres/settings.h"
#include "ext/sink.h"
#include "net/pg_conn.h"

extern const struct mr_option pg_sink_options[];

/* The order of the choices of `mode`. */
enum pg_mode { PG_APPEND, PG_OVERWRITE, PG_ERROR_IF_EXISTS, PG_IGNORE, PG_UPSERT };

#define PG_STATE_TABLE "_millrace_state"
#define PG_NAME_MAX    64 /* NAMEDATALEN */

/* ---- sink_link.c: a way to the server, and its errors as those of a load ---- */

struct pg_link {
    struct mr_postgres_login login;
    struct mr_pg_config config;
    char location[256];
};
/* `link` must stay where it is while connections of it live, unless the runtime shares them. */
enum mr_status pg_link_read(struct pg_link *link, const struct mr_options *options,
                            const struct mr_runtime *runtime, struct mr_arena *arena,
                            struct mr_error *err);
/* What can be done on any connection, and again on another when it failed. */
typedef enum mr_status (*pg_link_fn)(void *context, struct mr_pg *pg, struct mr_error *err);
/* Calls on a session of the link; by the runtime's `retry` again when that failed in passing. `unit` is for the report. */
enum mr_status pg_link_ask(const struct pg_link *link, struct mr_runtime *runtime, const char *unit,
                           pg_link_fn ask, void *context, struct mr_error *err);
/*
 * An error of the server as MR_SINK, with a hint that fits a load. Where `staging` is not NULL, its name in the message is
 * replaced by that of the target.
 */
enum mr_status pg_sink_blame(enum mr_status status, const struct mr_pg *pg, const char *staging,
                             const char *target, struct mr_error *err);
/* The text of a field of a result. */
const char *pg_field(const PGresult *result, int row, int column);

/* ---- sink_keep.c: sessions ---- */

/* A session, new or the one that is kept. Tried once. Closed with mr_pg_close or pg_link_close. */
enum mr_status pg_link_open(const struct pg_link *link, struct mr_runtime *runtime,
                            struct mr_pg **out, struct mr_error *err);
/*
 * Keeps it for the next pg_link_open of the run, if it is idle; its settings are those of a new one, and it holds no advisory locks. NULL is
 * allowed. Any thread.
 */
void pg_link_close(const struct pg_link *link, struct mr_runtime *runtime, struct mr_pg *pg);

/* ---- sink_target.c: the table that is loaded ---- */

struct pg_column {
    const char *name;
    const char *sql_type;
    uint32_t type; /* below domains */
    int32_t typmod;
    bool not_null;
    bool has_default; /* or an identity */
    bool generated;
    bool text;   /* its binary form is that of text: an enum, citext */
    bool always; /* GENERATED ALWAYS AS IDENTITY */
};
struct pg_target {
    const char *schema;
    const char *name;
    const char *from;  /* "schema"."name" */
    const char *label; /* schema.name */
    const char *state; /* "schema"."_millrace_state" */
    const char *user;
    bool exists;
    char kind; /* relkind */
    bool schema_exists;
    bool may_create; /* in the schema */
    bool remembers;  /* _millrace_state is in the schema */
    struct pg_column *columns;
    int ncolumns;
    bool unique_keys; /* a unique index on exactly the keys that were asked for */
};
/* Where `table` of the options is, or would be made. `keys` may be empty. */
enum mr_status pg_target_find(struct mr_pg *pg, const char *table, struct mr_arena *arena,
                              struct pg_target *out, struct mr_error *err);
enum mr_status pg_target_columns(struct mr_pg *pg, struct pg_target *target, struct mr_arena *arena,
                                 struct mr_error *err);
enum mr_status pg_target_keys(struct mr_pg *pg, struct pg_target *target, const char *const *keys,
                              int nkeys, struct mr_error *err);

/* ---- sink_bind.c ---- */

/* What the target remembers of this sink: see sink_state.c. */
struct pg_memory {
    int64_t epoch;
    char uuid[33];
    char run[40]; /* id of the run, "" = not kept */
    int load;     /* number in its name */
};

/* A bound sink; lives in the plan's arena. */
struct pg_sink {
    const struct mr_options *options;
    struct pg_link link;
    struct pg_target target;
    enum pg_mode mode;
    bool swap;   /* overwriteMode swap */
    bool direct; /* all tasks fill one table, which becomes the target */
    const char *where;
    const char *const *keys;
    int nkeys;
    int64_t batch_rows;
    int sequence;
    const char *name;               /* "table#sequence" */
    struct mr_copy_target *columns; /* of the staging tables: one a column of the batches */
    int ncolumns;
    const char *definition; /* "(a int NOT NULL, ..)" of a staging table */
    const char *create;     /* the same of the target when it is made */
    const char *into;       /* "a", "b" */
    const char *select;     /* "a", "b"::inet */
    const char *conflict;   /* "" or " ON CONFLICT .." */
    const char *key_list;   /* "k1", "k2"; "" without upsert */
    const char *indexes;    /* statements, or "" */
    bool overriding;        /* a column is GENERATED ALWAYS AS IDENTITY */
    struct pg_memory before;
};

enum mr_status pg_sink_bind(const struct mr_sink_bind *bind, void **state,
                            struct mr_sink_info *info, struct mr_error *err);

/* ---- sink_define.c: the SQL of tables, columns and indexes ---- */

/* Matches the schema with the target's columns, and writes definition .. indexes. */
enum mr_status pg_sink_define(struct pg_sink *sink, const struct mr_schema *schema,
                              struct mr_arena *arena, struct mr_error *err);

/* ---- sink_write.c ---- */

/*
 * Of this pipeline's state: the advisory lock that its staging sessions share, and a part of their tables' names. The upper 40 bits
 * are the stateKey's; without state_uuid the others are 0.
 */
uint64_t pg_staging_number(const struct mr_runtime *runtime);
/*
 * "_mr_<16 hex digits>_": what names of staging tables of this pipeline's state begin with. Without state_uuid it ends behind the ten
 * digits of the stateKey and is that of all states of the pipeline.
 */
void pg_staging_prefix(const struct mr_runtime *runtime, char out[PG_NAME_MAX]);
/* The table beside a direct staging table in which every task notes, in its own transaction, how many rows it has put there. */
void pg_staging_notes(const char *staging, char out[PG_NAME_MAX]);
enum mr_status pg_sink_writer_open(void *state, struct mr_runtime *runtime,
                                   const struct mr_epoch *epoch, int task, void **writer,
                                   struct mr_error *err);
enum mr_status pg_sink_write(void *writer, struct mr_batch *batch, struct mr_error *err);
enum mr_status pg_sink_relieve(void *writer, int64_t bytes, struct mr_error *err);
enum mr_status pg_sink_writer_finish(void *writer, struct mr_bytes *committable,
                                     struct mr_error *err);
void pg_sink_writer_close(void *writer);

/* ---- sink_token.c ---- */

struct pg_staged {
    const char *name;
    int64_t rows;
};
/* All that a commit needs besides the options, of which it takes the connection. */
struct pg_token {
    enum pg_mode mode;
    bool swap;
    bool direct;
    bool noted; /* the tasks' rows are in the table of notes */
    bool overriding;
    bool analyze;
    int lane;
    int64_t epoch;
    const char *schema;
    const char *name;
    const char *sink; /* "name#sequence" */
    const char *state_key;
    const char *uuid;
    const char *run; /* id of the run, "" = not known */
    struct mr_slice positions;
    struct pg_memory before;
    const char *where; /* "" = none */
    const char *create;
    const char *into;
    const char *select;
    const char *conflict;
    const char *key_list;
    const char *indexes;
    struct pg_staged *staged; /* in the order of tasks; one table when direct */
    int nstaged;
};
void pg_committable_write(struct mr_bytes *out, const struct pg_staged *staged);
enum mr_status pg_committable_read(struct mr_slice data, struct mr_arena *arena,
                                   struct pg_staged *out, struct mr_error *err);
void pg_token_write(const struct pg_token *token, struct mr_bytes *out);
enum mr_status pg_token_read(struct mr_slice data, struct mr_arena *arena, struct pg_token *out,
                             struct mr_error *err);
enum mr_status pg_sink_prepare(void *state, struct mr_runtime *runtime,
                               const struct mr_epoch *epoch, const struct mr_slice *committables,
                               int ncommittables, struct mr_bytes *token, struct mr_error *err);

/* ---- sink_state.c: the epoch in the target ---- */

/* Makes the table when it is missing, and the column run_id of an older one; two that do so at once both succeed. */
enum mr_status pg_state_make(struct mr_pg *pg, const char *schema, struct mr_error *err);
/*
 * Last epoch of a lane: of one sink, or (sink NULL) of all that load the table. `positions` may be NULL. No table, no
 * row: epoch 0.
 */
struct pg_state_of {
    const struct pg_target *target;
    const char *state_key;
    const char *sink; /* "name#sequence" or NULL */
    int lane;
};
enum mr_status pg_state_read(struct mr_pg *pg, const struct pg_state_of *of, struct pg_memory *out,
                             struct mr_bytes *positions, struct mr_error *err);
/* Inside of a transaction: locks the row, made when missing; nobody else commits until the end. */
enum mr_status pg_state_lock(struct mr_pg *pg, const struct pg_token *token, struct pg_memory *out,
                             struct mr_error *err);
enum mr_status pg_state_store(struct mr_pg *pg, const struct pg_token *token, struct mr_error *err);
enum mr_status pg_sink_recover(const struct mr_options *options, struct mr_runtime *runtime,
                               int lane, struct mr_recovered *out, struct mr_error *err);
enum mr_status pg_sink_abort(const struct mr_options *options, struct mr_runtime *runtime,
                             struct mr_slice token, struct mr_error *err);

/* ---- sink_commit.c, sink_apply.c ---- */

/* Inside of the transaction: the rows of the staging tables into the target. */
/*
 * A staging table that lost rows is an error of class refused: a commit takes the table away, so that it was never
 * committed, and now never can be.
 */
enum mr_status pg_sink_apply(struct mr_pg *pg, const struct mr_runtime *runtime,
                             const struct pg_token *token, struct mr_error *err);
/* Are all staging tables of the token there? */
enum mr_status pg_sink_staged(struct mr_pg *pg, const struct pg_token *token, bool *all,
                              struct mr_error *err);
enum mr_status pg_sink_commit(const struct mr_options *options, struct mr_runtime *runtime,
                              struct mr_slice token, struct mr_error *err);

#endif
