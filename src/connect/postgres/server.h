/*
 * server.h - what the steps of a run share of one server and login: the coordinator, the snapshot, the pool of readers.
 */
#ifndef MR_CONNECT_POSTGRES_SERVER_H
#define MR_CONNECT_POSTGRES_SERVER_H

#include "connect/postgres/settings.h"
#include "net/pg_conn.h"

#include <pthread.h>

#define MR_POSTGRES_SNAPSHOT_MAX 64

/* A connection that reads; used by one thread at a time, kept in the pool between splits. */
struct mr_postgres_conn {
    struct mr_pg *pg;
    char snapshot
        [MR_POSTGRES_SNAPSHOT_MAX]; /* its transaction is in this one; "" = no transaction */
    uint64_t
        checked; /* hash of the SELECT list and relation that was last compared with the plan; 0 = none */
    bool ordered; /* the session reads in physical order only */
    bool lent;    /* it is the coordinator's */
    int64_t idle_since;
    struct mr_postgres_conn *next;
};

/*
 * What was known of other transactions just before the snapshot: every row that is not in the snapshot and is stamped with now() or
 * later by its transaction carries `time` at least. Times are text of timestamptz.
 */
struct mr_postgres_bound {
    char time[40];
    char clock[40]; /* the server's */
    char prepared
        [40];    /* when the oldest transaction that is prepared here was prepared; "" = none */
    bool hidden; /* other roles' transactions cannot be seen, or this is a standby: no bound */
};

struct mr_postgres_server;

/*
 * The server of this login: `runtime->shared` holds one per run. When that is NULL, a private one is made and *owned is set: the
 * caller frees it with mr_postgres_server_free.
 */
enum mr_status mr_postgres_server_get(struct mr_runtime *runtime,
                                      const struct mr_postgres_login *login,
                                      struct mr_postgres_server **out, bool *owned,
                                      struct mr_error *err);
void mr_postgres_server_free(struct mr_postgres_server *server);

/* Catalog queries; may be called again after a failure, and begins anew then. */
typedef enum mr_status (*mr_postgres_ask_fn)(void *context, struct mr_pg *pg, struct mr_error *err);
/*
 * Lends the coordinator's connection, opened if need be, to `ask`, alone. By the runtime's `retry` what failed in passing is asked
 * again, on a new connection where the old one is lost; but a lost snapshot stays lost.
 */
enum mr_status mr_postgres_server_ask(struct mr_postgres_server *server, struct mr_runtime *runtime,
                                      mr_postgres_ask_fn ask, void *context, struct mr_error *err);

/*
 * The exported snapshot of this run, made at the first call. Copied to `out`. `imported`: others than the coordinator will read in it. Standbys
 * of a release that cannot share one while transactions are open are then asked again until none is, for retry.maxDelay at most;
 * after that mr_postgres_server_take fails with MR_SOURCE.
 */
enum mr_status mr_postgres_server_snapshot(struct mr_postgres_server *server,
                                           struct mr_runtime *runtime, bool imported,
                                           char out[MR_POSTGRES_SNAPSHOT_MAX],
                                           struct mr_error *err);
/* Before it is made: the server ends its sessions a second after this; the least of all calls, 0 = no matter. */
void mr_postgres_server_limit_age(struct mr_postgres_server *server, int64_t micros);
/* When it was made, monotonic; 0 = not yet. */
int64_t mr_postgres_server_since(const struct mr_postgres_server *server);
/* Once the snapshot was made: see mr_split_list.safe_time. */
const char *mr_postgres_server_safe_time(const struct mr_postgres_server *server);
/* The bound that goes with the snapshot; asked for now where there is none. `pg` is the locked coordinator. */
enum mr_status mr_postgres_server_bound(struct mr_postgres_server *server, struct mr_pg *pg,
                                        struct mr_postgres_bound *out, struct mr_error *err);
/*
 * A connection in the given snapshot ("" = none), from the pool or new. `lend`: hand out the coordinator's own. Any thread.
 */
enum mr_status mr_postgres_server_take(struct mr_postgres_server *server,
                                       struct mr_runtime *runtime, const char *snapshot, bool lend,
                                       struct mr_postgres_conn **out, struct mr_error *err);
/* Opens idle readers until there are `count` of them. */
enum mr_status mr_postgres_server_warm(struct mr_postgres_server *server,
                                       struct mr_runtime *runtime, const char *snapshot, int count,
                                       struct mr_error *err);
/* Back into the pool; closed if it is not usable any more or idle ones are too old. */
void mr_postgres_server_give(struct mr_postgres_server *server, struct mr_postgres_conn *conn);
/* "host:5432/db" once connected. */
const char *mr_postgres_server_location(const struct mr_postgres_server *server);
/* "UTF8", "LATIN1", "SQL_ASCII" .. once connected. */
const char *mr_postgres_server_encoding(const struct mr_postgres_server *server);

#endif
