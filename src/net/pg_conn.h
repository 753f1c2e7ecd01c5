/*
 * pg_conn.h - one PostgreSQL connection, driven without ever blocking outside a waiter.
 *
 * A connection belongs to one thread at a time. Its errors are classed (pg_error.c) and never contain secrets.
 */
#ifndef MR_NET_PG_CONN_H
#define MR_NET_PG_CONN_H

#include "base/bytes.h"
#include "base/wait.h"

#include <libpq-fe.h>

struct mr_pg;

/* How to connect. The strings are borrowed for the life of the connection. */
struct mr_pg_config {
    const char *const
        *keywords; /* libpq's names, ended by NULL; what is missing comes from libpq's defaults */
    const char *const *values;
    const char *location;             /* for messages: "host:5432/db", without secrets */
    int64_t connect_timeout_micros;   /* 0 = 10 s */
    int64_t statement_timeout_micros; /* 0 = none; kept by us, and by the server a little later */
    bool writes;                      /* for the hints of its errors */
    int64_t socket_timeout_micros;    /* silence of the server while it should answer; 0 = none */
};

/*
 * Connects. MR_CREDENTIALS when the server refuses who we are, MR_SOURCE otherwise; transient where a repetition may help.
 * `cause` is booked for all waiting on this connection.
 */
enum mr_status mr_pg_open(const struct mr_pg_config *config, struct mr_waiter *waiter,
                          enum mr_wait_cause cause, struct mr_pg **out, struct mr_error *err);
/* Cancels what the server still does, if it is in the middle of something. NULL is allowed. */
void mr_pg_close(struct mr_pg *pg);
/* Whose thread and task it serves from now on (pools hand connections over). */
void mr_pg_set_waiter(struct mr_pg *pg, struct mr_waiter *waiter);

/* Several statements in one go (simple protocol); the last result is dropped. */
enum mr_status mr_pg_exec(struct mr_pg *pg, const char *sql, struct mr_error *err);
/* One statement with text parameters (NULL = SQL NULL) and a text result, freed by the caller with PQclear. */
enum mr_status mr_pg_query(struct mr_pg *pg, const char *sql, int nparams,
                           const char *const *params, PGresult **out, struct mr_error *err);
/* Describes the columns of a statement without running it. The result is freed by the caller with PQclear. */
enum mr_status mr_pg_describe(struct mr_pg *pg, const char *sql, PGresult **out,
                              struct mr_error *err);

/* Starts "COPY .. TO STDOUT" (statements in front of it, separated by ';', are run as well). */
enum mr_status mr_pg_copy_out(struct mr_pg *pg, const char *sql, struct mr_error *err);
/*
 * The next message of the copy, freed by the caller with PQfreemem; *data NULL behind the last one, when the server has also
 * confirmed that the statement succeeded.
 */
enum mr_status mr_pg_copy_next(struct mr_pg *pg, char **data, size_t *size, struct mr_error *err);

/*
 * Starts "COPY .. FROM STDIN" (statements in front of it, separated by ';', are run as well). A copy that is not ended is given up by
 * the next mr_pg_exec (ROLLBACK): the server fails it first.
 */
enum mr_status mr_pg_copy_in(struct mr_pg *pg, const char *sql, struct mr_error *err);
/* Sends bytes of the copy, cut anywhere. Waits while the server does not take them. */
enum mr_status mr_pg_copy_put(struct mr_pg *pg, const void *data, size_t size,
                              struct mr_error *err);
/* Ends the copy and waits for the server's word: rows loaded. A refused row is reported here or by put. */
enum mr_status mr_pg_copy_end(struct mr_pg *pg, int64_t *rows, struct mr_error *err);

/* Still usable for another statement: idle, and neither broken nor in a failed transaction. */
bool mr_pg_usable(const struct mr_pg *pg);
/* Idle outside of a transaction, and the server has said nothing since: what a pool may hand out. */
bool mr_pg_quiet(const struct mr_pg *pg);
/* PQparameterStatus; "" when unknown. */
const char *mr_pg_parameter(const struct mr_pg *pg, const char *name);
/* "host:5432/db" of the established connection. */
void mr_pg_address(const struct mr_pg *pg, char *out, size_t capacity);
int mr_pg_server_version(const struct mr_pg *pg);
/* SQLSTATE of the last server error of this connection, "" = none. */
const char *mr_pg_sqlstate(const struct mr_pg *pg);

#endif
