/*
 * postgres.h - a connection to the state in a PostgreSQL, shared by the two files of that backend.
 */
#ifndef MR_STATE_POSTGRES_H
#define MR_STATE_POSTGRES_H

#include "net/pg_conn.h"
#include "state/backend.h"

struct mr_state_pg {
    struct mr_pg_config config;
    struct mr_waiter plain;
    struct mr_waiter *waiter; /* what the state does takes moments and is not broken off lightly */
    struct mr_pg *pg;         /* NULL = not connected */
    struct mr_retry retry;
    struct mr_retry_log *retries; /* or NULL */
    int64_t lease_micros; /* how long a lease lasts without being renewed; it is at a third of it */
};

/*
 * Runs one statement, again on a new connection when that is lost: for statements that may be done twice. PQclear(*out) is
 * the caller's. Errors say that they are of the state.
 */
enum mr_status mr_state_pg_query(struct mr_state_pg *store, const char *sql, int nparams,
                                 const char *const *params, PGresult **out, struct mr_error *err);
/* Opens a session for the state: text as UTF-8, bytes as hex, commits durable. */
enum mr_status mr_state_pg_connect(const struct mr_pg_config *config, struct mr_waiter *waiter,
                                   struct mr_pg **out, struct mr_error *err);

struct mr_state_pg_lease;

enum mr_status mr_state_pg_take(void *self, const char *key, const char *run_id,
                                struct mr_lease_attempt *attempt, void **out, int64_t *fence,
                                struct mr_error *err);
void mr_state_pg_release(void *self);
enum mr_status mr_state_pg_check(void *self, struct mr_error *err);

/*
 * A write under the lease. `sql` is one or more parts "name AS (..)" of a WITH, each a data-modifying statement that reads its rows FROM held,
 * which has one row (state_key) while the lease is ours and none when it is not; its own parameters are $4 and on. All of
 * them or none, and once, whatever happens to the connection.
 */
#define MR_STATE_PG_PARAMS 8
enum mr_status mr_state_pg_write(void *lease, const char *sql, int nparams,
                                 const char *const *params, struct mr_error *err);

#endif
