/*
 * pg_conn.c - asynchronous libpq behind a handful of calls.
 *
 * Every libpq function used here is one of those that do not wait (PQconnectPoll, PQsendQuery.., PQconsumeInput, PQgetCopyData
 * in asynchronous mode); all waiting is mr_wait on the socket, so that a task gives its CPU permit back, wakes on
 * cancel and keeps its deadlines. The one exception is PQcancel, which libpq 15 offers only as a blocking call without a
 * time-out: it is used when a statement is given up, on a connection that answered before, and costs a round trip. A thread of its
 * own makes it, so that a server that hangs costs a second and not the run's end.
 *
 * Reading the socket behind libpq's back would save one malloc and one copy a row (measured: 1.5 times less client CPU, where the
 * server needs six times as much) and cost our own SCRAM, TLS and GSS: refused.
 *
 * The statement deadline is kept by us (the server's statement_timeout counts a COPY as one statement too, but a proxy may
 * hide it). Between two messages of a COPY the socket time-out applies.
 *
 * Rows to the server go out in pieces that are flushed before the next, so that libpq's buffer does not grow to the size of the
 * load; the kernel's socket buffer keeps the server busy meanwhile. libpq does not tell that the server refused a row until the
 * copy is ended (it leaves the message unread in its buffer), and a long load would go on for nothing. A server says nothing
 * during COPY FROM but notices and its refusal: when something came that was no notice, twice in a row, the copy is
 * broken off, and the refusal is what the server's result says. Where libpq swallows the event, the end of the copy reports it.
 */
#include "net/pg_conn.h"

#include "base/thread.h"
#include "base/time.h"
#include "net/pg_error.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* A CopyData message: large enough that its 5 bytes do not count, small enough for libpq's buffer. */
#define COPY_PIECE ((size_t)64 << 10)

/* So long is waited for the server to take a request to cancel. */
#define CANCEL_MICROS MR_MICROS_PER_SECOND

#define DEFAULT_CONNECT_MICROS (10 * MR_MICROS_PER_SECOND)

struct mr_pg {
    PGconn *conn;
    struct mr_pg_config config;
    struct mr_waiter *waiter;
    enum mr_wait_cause cause;
    int64_t deadline; /* of the statement in progress */
    bool copying;     /* between copy_out or copy_in and the end of its data */
    bool loading;     /* it is a copy_in */
    bool alone;       /* the copy_in was not begun inside a transaction: its end commits */
    unsigned notices; /* that came so far */
    unsigned
        spoken; /* COPY IN: calls in a row in which the server said something that is no notice */
    bool broken;
    char sqlstate[6];
};

static void count_notice(void *context, const PGresult *result)
{
    (void)result;
    ((struct mr_pg *)context)->notices++;
}

static enum mr_status lost(struct mr_pg *pg, struct mr_error *err)
{
    pg->broken = true;
    return mr_pg_error_state(err, "", PQerrorMessage(pg->conn), pg->config.location, false);
}

static enum mr_status timed_out_error(struct mr_pg *pg, const char *what, int64_t micros,
                                      struct mr_error *err)
{
    char text[32];
    mr_duration_format(micros, text, sizeof text);
    pg->broken = true;
    mr_error_set(err, MR_SOURCE, MR_CLASS_TRANSIENT, "no answer from the server: %s of %s passed",
                 what, text);
    mr_error_where(err, "postgres %s", pg->config.location);
    return MR_SOURCE;
}

/* Waits for the socket until the nearer of the two deadlines. */
static enum mr_status wait_socket(struct mr_pg *pg, int events, struct mr_error *err)
{
    int64_t silence = INT64_MAX;
    if (pg->config.socket_timeout_micros > 0)
        silence = mr_clock_monotonic_micros() + pg->config.socket_timeout_micros;
    int64_t deadline = silence < pg->deadline ? silence : pg->deadline;
    bool timed_out = false;
    MR_TRY(mr_wait(pg->waiter, PQsocket(pg->conn), events, deadline, pg->cause, &timed_out, err));
    if (!timed_out)
        return MR_OK;
    if (deadline == pg->deadline)
        return timed_out_error(pg, "the statement time-out", pg->config.statement_timeout_micros,
                               err);
    return timed_out_error(pg, "the socket time-out", pg->config.socket_timeout_micros, err);
}

/* --- connecting --- */

/*
 * libpq 15 tells the SQLSTATE of a refused connection only inside its verbose message:
 * "... failed: FATAL:  28P01: password authentication failed for user "x"\nLOCATION:  auth_failed, auth.c:326".
 * Takes the code out of the last such message, and the LOCATION line away.
 */
static void read_refusal(struct mr_pg *pg, char *text, size_t capacity)
{
    snprintf(text, capacity, "%s", PQerrorMessage(pg->conn));
    for (char *at = text; (at = strstr(at, ":  ")) != NULL; at++) {
        if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 ||
            strncmp(at + 8, ": ", 2) != 0)
            continue;
        memcpy(pg->sqlstate, at + 3, 5);
        memmove(at + 2, at + 9, strlen(at + 9) + 1);
    }
    char *line = strstr(text, "\nLOCATION:");
    if (line)
        *line = '\0';
}

static enum mr_status refused(struct mr_pg *pg, struct mr_error *err)
{
    char text[900];
    read_refusal(pg, text, sizeof text);
    enum mr_status status = mr_pg_error_state(err, pg->sqlstate, text, pg->config.location, true);
    if (pg->sqlstate[0] == '\0' && PQconnectionNeedsPassword(pg->conn)) {
        status = MR_CREDENTIALS;
        mr_error_set(err, status, MR_CLASS_CONFIG, "cannot connect: the server wants a password");
        mr_error_where(err, "postgres %s", pg->config.location);
        mr_error_hint(err, "set `password`, or use the credentials file or ~/.pgpass");
    }
    return status;
}

static enum mr_status connect_poll(struct mr_pg *pg, int64_t deadline, struct mr_error *err)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
        if (state == PGRES_POLLING_FAILED)
            return refused(pg, err);
        bool timed_out = false;
        int events = state == PGRES_POLLING_READING ? MR_WAIT_READ : MR_WAIT_WRITE;
        MR_TRY(
            mr_wait(pg->waiter, PQsocket(pg->conn), events, deadline, pg->cause, &timed_out, err));
        if (timed_out)
            return timed_out_error(pg, "the connect time-out", pg->config.connect_timeout_micros,
                                   err);
        state = PQconnectPoll(pg->conn);
    }
    return MR_OK;
}

enum mr_status mr_pg_open(const struct mr_pg_config *config, struct mr_waiter *waiter,
                          enum mr_wait_cause cause, struct mr_pg **out, struct mr_error *err)
{
    struct mr_pg *pg = mr_calloc(1, sizeof *pg);
    if (pg == NULL)
        return mr_error_nomem(err);
    pg->config = *config;
    if (pg->config.connect_timeout_micros <= 0)
        pg->config.connect_timeout_micros = DEFAULT_CONNECT_MICROS;
    pg->waiter = waiter;
    pg->cause = cause;
    pg->deadline = INT64_MAX;
    enum mr_status status;
    pg->conn = PQconnectStartParams(config->keywords, config->values, 0);
    if (pg->conn == NULL) {
        status = mr_error_nomem(err);
        goto out;
    }
    PQsetNoticeReceiver(pg->conn, count_notice, pg);
    PQsetErrorVerbosity(pg->conn, PQERRORS_VERBOSE);
    if (PQstatus(pg->conn) == CONNECTION_BAD) {
        status = refused(pg, err);
        goto out;
    }
    status = connect_poll(pg, mr_clock_monotonic_micros() + pg->config.connect_timeout_micros, err);
    PQsetErrorVerbosity(pg->conn, PQERRORS_DEFAULT);
    if (status == MR_OK && PQsetnonblocking(pg->conn, 1) != 0)
        status = lost(pg, err);
out:
    if (status != MR_OK) {
        mr_pg_close(pg);
        pg = NULL;
    }
    *out = pg;
    return status;
}

/* A request to cancel, shared by who asks and the thread that sends it; the last of the two frees it. */
struct cancelling {
    PGcancel *handle;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t done;
    bool sent;
    bool left; /* nobody waits any more */
};

static void free_cancelling(struct cancelling *cancelling)
{
    PQfreeCancel(cancelling->handle);
    pthread_mutex_destroy(&cancelling->lock);
    pthread_cond_destroy(&cancelling->done);
    mr_free(cancelling);
}

static void send_cancel(void *arg)
{
    struct cancelling *cancelling = arg;
    char ignored[256];
    (void)PQcancel(cancelling->handle, ignored, sizeof ignored);
    pthread_mutex_lock(&cancelling->lock);
    cancelling->sent = true;
    bool left = cancelling->left;
    pthread_cond_signal(&cancelling->done);
    pthread_mutex_unlock(&cancelling->lock);
    if (left)
        free_cancelling(cancelling);
}

/* Leaves a server that does not answer in time to the thread, which ends with its connection. */
static void cancel(struct mr_pg *pg)
{
    struct cancelling *cancelling = mr_calloc(1, sizeof *cancelling);
    struct mr_thread thread = {0};
    if (!cancelling)
        return;
    mr_mutex_init(&cancelling->lock);
    mr_cond_init(&cancelling->done);
    cancelling->handle = PQgetCancel(pg->conn);
    if (!cancelling->handle ||
        mr_thread_start(&thread, "pg-cancel", send_cancel, cancelling, NULL) != MR_OK) {
        free_cancelling(cancelling);
        return;
    }
    int64_t deadline = mr_clock_monotonic_micros() + CANCEL_MICROS;
    pthread_mutex_lock(&cancelling->lock);
    while (!cancelling->sent && mr_cond_wait(&cancelling->done, &cancelling->lock, deadline))
        ;
    cancelling->left = !cancelling->sent;
    bool left = cancelling->left;
    pthread_mutex_unlock(&cancelling->lock);
    if (left) {
        pthread_detach(thread.handle);
        return;
    }
    mr_thread_join(&thread);
    free_cancelling(cancelling);
}

void mr_pg_close(struct mr_pg *pg)
{
    if (pg == NULL)
        return;
    if (pg->conn) {
        if (PQstatus(pg->conn) == CONNECTION_OK && PQtransactionStatus(pg->conn) == PQTRANS_ACTIVE)
            cancel(pg);
        PQfinish(pg->conn);
    }
    mr_free(pg);
}

void mr_pg_set_waiter(struct mr_pg *pg, struct mr_waiter *waiter)
{
    pg->waiter = waiter;
}

/* --- statements --- */

static void begin_statement(struct mr_pg *pg)
{
    pg->sqlstate[0] = '\0';
    pg->deadline = pg->config.statement_timeout_micros > 0
                       ? mr_clock_monotonic_micros() + pg->config.statement_timeout_micros
                       : INT64_MAX;
}

/* Looks, without waiting, whether the server said something while rows are sent to it. */
static void listen_to(struct mr_pg *pg)
{
    struct pollfd look = {.fd = PQsocket(pg->conn), .events = POLLIN};
    if (pg->loading && pg->spoken == 0 && poll(&look, 1, 0) > 0)
        pg->spoken = 1;
}

/* Listens before libpq reads: what that takes from the socket cannot be seen there any more. */
static enum mr_status flush(struct mr_pg *pg, struct mr_error *err)
{
    for (;;) {
        listen_to(pg);
        int rc = PQflush(pg->conn);
        if (rc == 0)
            return MR_OK;
        if (rc < 0)
            return lost(pg, err);
        MR_TRY(wait_socket(pg, MR_WAIT_READ | MR_WAIT_WRITE, err));
        listen_to(pg);
        if (!PQconsumeInput(pg->conn))
            return lost(pg, err);
    }
}

/* The next result, or NULL behind the last. */
static enum mr_status next_result(struct mr_pg *pg, PGresult **out, struct mr_error *err)
{
    *out = NULL;
    while (PQisBusy(pg->conn)) {
        MR_TRY(wait_socket(pg, MR_WAIT_READ, err));
        if (!PQconsumeInput(pg->conn))
            return lost(pg, err);
    }
    *out = PQgetResult(pg->conn);
    return MR_OK;
}

static enum mr_status failed_result(struct mr_pg *pg, const PGresult *result, struct mr_error *err)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    snprintf(pg->sqlstate, sizeof pg->sqlstate, "%s", sqlstate ? sqlstate : "");
    if (PQstatus(pg->conn) == CONNECTION_BAD)
        pg->broken = true;
    enum mr_status status = mr_pg_error_result(err, result, pg->config.location);
    if (pg->config.writes)
        mr_pg_error_writing(err, pg->sqlstate);
    return status;
}

/* Reads results until the server is ready; keeps the last good one, fails with the first bad one. */
static enum mr_status collect(struct mr_pg *pg, PGresult **out, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    PGresult *last = NULL;
    PGresult *result;
    for (;;) {
        enum mr_status got = next_result(pg, &result, status == MR_OK ? err : NULL);
        if (got != MR_OK) {
            status = status == MR_OK ? got : status;
            break;
        }
        if (result == NULL)
            break;
        ExecStatusType kind = PQresultStatus(result);
        bool good =
            kind == PGRES_COMMAND_OK || kind == PGRES_TUPLES_OK || kind == PGRES_EMPTY_QUERY;
        if (!good && status == MR_OK)
            status = failed_result(pg, result, err);
        PQclear(last);
        last = result;
        if (kind == PGRES_COPY_OUT || kind == PGRES_COPY_IN || kind == PGRES_COPY_BOTH) {
            pg->broken = true;
            break;
        }
    }
    if (status != MR_OK || out == NULL) {
        PQclear(last);
        last = NULL;
    }
    if (out)
        *out = last;
    return status;
}

/* Ends a copy_in, with a reason for the server to fail it or NULL, and waits for its word. */
static enum mr_status end_copy(struct mr_pg *pg, const char *reason, PGresult **out,
                               struct mr_error *err)
{
    for (;;) {
        int rc = PQputCopyEnd(pg->conn, reason);
        if (rc < 0)
            return lost(pg, err);
        if (rc > 0)
            break;
        MR_TRY(flush(pg, err));
    }
    pg->copying = false;
    pg->loading = false;
    MR_TRY(flush(pg, err));
    return collect(pg, out, err);
}

enum mr_status mr_pg_exec(struct mr_pg *pg, const char *sql, struct mr_error *err)
{
    begin_statement(pg);
    if (pg->loading) /* given up by its caller: its failure is what was asked for */
        (void)end_copy(pg, "given up by the client", NULL, NULL);
    if (!PQsendQuery(pg->conn, sql))
        return lost(pg, err);
    MR_TRY(flush(pg, err));
    return collect(pg, NULL, err);
}

enum mr_status mr_pg_query(struct mr_pg *pg, const char *sql, int nparams,
                           const char *const *params, PGresult **out, struct mr_error *err)
{
    *out = NULL;
    begin_statement(pg);
    if (!PQsendQueryParams(pg->conn, sql, nparams, NULL, params, NULL, NULL, 0))
        return lost(pg, err);
    MR_TRY(flush(pg, err));
    MR_TRY(collect(pg, out, err));
    if (*out == NULL)
        return mr_error_internal(err, "a statement gave no result");
    return MR_OK;
}

enum mr_status mr_pg_describe(struct mr_pg *pg, const char *sql, PGresult **out,
                              struct mr_error *err)
{
    *out = NULL;
    begin_statement(pg);
    if (!PQsendPrepare(pg->conn, "", sql, 0, NULL))
        return lost(pg, err);
    MR_TRY(flush(pg, err));
    MR_TRY(collect(pg, NULL, err));
    if (!PQsendDescribePrepared(pg->conn, ""))
        return lost(pg, err);
    MR_TRY(flush(pg, err));
    MR_TRY(collect(pg, out, err));
    if (*out == NULL)
        return mr_error_internal(err, "a statement gave no description");
    return MR_OK;
}

/* --- copy --- */

/* Sends statements of which the last one is a COPY, and reads until the server is in the state `wanted`. */
static enum mr_status start_copy(struct mr_pg *pg, const char *sql, ExecStatusType wanted,
                                 struct mr_error *err)
{
    begin_statement(pg);
    if (!PQsendQuery(pg->conn, sql))
        return lost(pg, err);
    MR_TRY(flush(pg, err));
    for (;;) {
        PGresult *result;
        MR_TRY(next_result(pg, &result, err));
        if (result == NULL)
            return mr_error_internal(err, "a COPY gave no result");
        ExecStatusType kind = PQresultStatus(result);
        if (kind == wanted) {
            PQclear(result);
            pg->copying = true;
            return MR_OK;
        }
        enum mr_status status = MR_OK;
        if (kind != PGRES_COMMAND_OK && kind != PGRES_TUPLES_OK)
            status = failed_result(pg, result, err);
        PQclear(result);
        if (status != MR_OK) {
            (void)collect(pg, NULL, NULL);
            return status;
        }
    }
}

enum mr_status mr_pg_copy_out(struct mr_pg *pg, const char *sql, struct mr_error *err)
{
    return start_copy(pg, sql, PGRES_COPY_OUT, err);
}

enum mr_status mr_pg_copy_next(struct mr_pg *pg, char **data, size_t *size, struct mr_error *err)
{
    *data = NULL;
    *size = 0;
    for (;;) {
        int got = PQgetCopyData(pg->conn, data, 1);
        if (got > 0) {
            *size = (size_t)got;
            return MR_OK;
        }
        if (got == -1) {
            pg->copying = false;
            return collect(pg, NULL, err);
        }
        if (got == -2)
            return lost(pg, err);
        if (!PQconsumeInput(pg->conn))
            return lost(pg, err);
        got = PQgetCopyData(pg->conn, data, 1);
        if (got > 0) {
            *size = (size_t)got;
            return MR_OK;
        }
        if (got == 0) {
            MR_TRY(wait_socket(pg, MR_WAIT_READ, err));
        }
    }
}

enum mr_status mr_pg_copy_in(struct mr_pg *pg, const char *sql, struct mr_error *err)
{
    pg->alone = PQtransactionStatus(pg->conn) == PQTRANS_IDLE;
    pg->spoken = 0;
    MR_TRY(start_copy(pg, sql, PGRES_COPY_IN, err));
    pg->loading = true;
    return MR_OK;
}

/* The server refused a row, as far as can be seen: asks it. */
static enum mr_status broken_off(struct mr_pg *pg, struct mr_error *err)
{
    enum mr_status status = end_copy(pg, "broken off by the client", NULL, err);
    if (status == MR_OK)
        return mr_error_internal(err, "a COPY that was broken off ended well");
    if (strcmp(pg->sqlstate, "57014") == 0 && err)
        err->cls = MR_CLASS_TRANSIENT;
    return status;
}

enum mr_status mr_pg_copy_put(struct mr_pg *pg, const void *data, size_t size, struct mr_error *err)
{
    if (!pg->loading)
        return mr_error_internal(err, "no COPY is under way");
    const char *at = data;
    while (size > 0) {
        unsigned notices = pg->notices;
        if (pg->spoken > 0 && !PQconsumeInput(pg->conn))
            return lost(pg, err);
        size_t piece = size < COPY_PIECE ? size : COPY_PIECE;
        int rc = PQputCopyData(pg->conn, at, (int)piece); /* reads notices as well */
        if (rc < 0)
            return lost(pg, err);
        if (rc > 0) {
            at += piece;
            size -= piece;
        }
        if (pg->notices != notices)
            pg->spoken = 0;
        else if (pg->spoken > 0 && pg->spoken++ > 1)
            return broken_off(pg, err);
        MR_TRY(flush(pg, err));
    }
    return MR_OK;
}

enum mr_status mr_pg_copy_end(struct mr_pg *pg, int64_t *rows, struct mr_error *err)
{
    *rows = 0;
    if (!pg->loading)
        return mr_error_internal(err, "no COPY is under way");
    PGresult *result = NULL;
    enum mr_status status = end_copy(pg, NULL, &result, err);
    if (status != MR_OK) {
        /* Without an answer nobody knows whether a COPY that commits by itself did. */
        if (pg->broken && pg->alone && err)
            err->cls = MR_CLASS_UNKNOWN;
        return status;
    }
    if (result == NULL)
        return mr_error_internal(err, "a COPY gave no result");
    *rows = strtoll(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    return MR_OK;
}

bool mr_pg_usable(const struct mr_pg *pg)
{
    if (pg->broken || pg->copying || PQstatus(pg->conn) != CONNECTION_OK)
        return false;
    PGTransactionStatusType state = PQtransactionStatus(pg->conn);
    return state == PQTRANS_IDLE || state == PQTRANS_INTRANS;
}

bool mr_pg_quiet(const struct mr_pg *pg)
{
    struct pollfd look = {.fd = PQsocket(pg->conn), .events = POLLIN};
    return mr_pg_usable(pg) && PQtransactionStatus(pg->conn) == PQTRANS_IDLE &&
           poll(&look, 1, 0) == 0;
}

const char *mr_pg_parameter(const struct mr_pg *pg, const char *name)
{
    const char *value = PQparameterStatus(pg->conn, name);
    return value ? value : "";
}

void mr_pg_address(const struct mr_pg *pg, char *out, size_t capacity)
{
    const char *host = PQhost(pg->conn);
    const char *port = PQport(pg->conn);
    const char *database = PQdb(pg->conn);
    snprintf(out, capacity, "%s:%s/%s", host ? host : "", port ? port : "",
             database ? database : "");
}

int mr_pg_server_version(const struct mr_pg *pg)
{
    return PQserverVersion(pg->conn);
}

const char *mr_pg_sqlstate(const struct mr_pg *pg)
{
    return pg->sqlstate;
}
