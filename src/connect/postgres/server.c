/*
 * server.c - one coordinator, one snapshot, and the readers of a server.
 *
 * The coordinator's connection answers the planner's questions. When the first step asks for its splits, it opens a REPEATABLE READ, READ ONLY
 * transaction and exports the snapshot (pg_export_snapshot); the transaction stays open until the run ends, because the snapshot can be joined only
 * while it lives. Every reader starts its transaction with SET TRANSACTION SNAPSHOT, so all rows of all steps
 * are of one moment, as pg_dump -j does it. The alternative, a transaction per connection, reads each split at its own moment.
 *
 * What the coordinator asks later happens behind a savepoint that is rolled back: an error then does not cost the snapshot, and the
 * locks that planning a statement takes are given back, so that a waiting ALTER TABLE cannot stand between
 * the coordinator and its readers for the whole run.
 *
 * Readers keep their transaction between splits: a connection reads many splits, and its locks on a table hold until the
 * run ends, so that nobody rewrites a table in the middle of its splits.
 *
 * `lock` guards the coordinator's use, the list of idle readers and the counts. It is held while the coordinator is asked, which
 * happens during planning, on one thread.
 */
#include "connect/postgres/server.h"

#include "base/thread.h"
#include "base/time.h"

#include <stdio.h>

#define STANDBY_POLL_MICROS (MR_MICROS_PER_SECOND / 20)
/* In front of the name of a snapshot that must not be imported: with the name splits carry it to other processes. */
#define UNSHARED "unshared "

struct mr_postgres_server {
    pthread_mutex_t lock;
    struct mr_arena arena;
    struct mr_postgres_login login; /* a copy, in the arena */
    struct mr_pg_config config;
    char location[256];
    char encoding[32];
    struct mr_pg *coordinator;
    char snapshot[MR_POSTGRES_SNAPSHOT_MAX]; /* "" until exported */
    int64_t since;                           /* when it was exported */
    int64_t age_micros;                      /* what it may become, idle; 0 = any */
    char safe_time[32];                      /* "" until then, or when it is not known */
    struct mr_postgres_bound bound;          /* of the snapshot */
    bool lent;
    bool saved; /* a savepoint is open */
    struct mr_postgres_conn *idle;
    int nidle;
    int open; /* readers, idle ones included */
};

/* --- making and freeing --- */

static const char *login_value(const struct mr_postgres_login *login, const char *keyword)
{
    for (int i = 0; login->keywords[i]; i++)
        if (strcmp(login->keywords[i], keyword) == 0)
            return login->values[i];
    return NULL;
}

static enum mr_status make_server(void *context, void **out, struct mr_error *err)
{
    const struct mr_postgres_login *login = context;
    struct mr_postgres_server *server = mr_calloc(1, sizeof *server);
    if (server == NULL)
        return mr_error_nomem(err);
    mr_mutex_init(&server->lock);
    mr_arena_init(&server->arena, NULL);
    server->login = *login;
    if (!mr_postgres_login_keep(&server->login, &server->arena)) {
        mr_postgres_server_free(server);
        return mr_error_nomem(err);
    }
    const char *host = login_value(login, "host");
    const char *database = login_value(login, "dbname");
    snprintf(server->location, sizeof server->location, "%s%s%s", host ? host : "default host",
             database ? "/" : "", database ? database : "");
    server->config = (struct mr_pg_config){
        .keywords = server->login.keywords,
        .values = server->login.values,
        .location = server->location,
        .connect_timeout_micros = login->connect_timeout_micros,
        .statement_timeout_micros = login->statement_timeout_micros,
        .socket_timeout_micros = login->socket_timeout_micros,
    };
    *out = server;
    return MR_OK;
}

static void free_conn(struct mr_postgres_conn *conn)
{
    mr_pg_close(conn->pg);
    mr_free(conn);
}

void mr_postgres_server_free(struct mr_postgres_server *server)
{
    while (server->idle) {
        struct mr_postgres_conn *conn = server->idle;
        server->idle = conn->next;
        free_conn(conn);
    }
    mr_pg_close(server->coordinator);
    mr_arena_reset(&server->arena);
    pthread_mutex_destroy(&server->lock);
    mr_free(server);
}

static void destroy_server(void *object)
{
    mr_postgres_server_free(object);
}

enum mr_status mr_postgres_server_get(struct mr_runtime *runtime,
                                      const struct mr_postgres_login *login,
                                      struct mr_postgres_server **out, bool *owned,
                                      struct mr_error *err)
{
    void *object = NULL;
    enum mr_status status;
    *owned = runtime->shared == NULL;
    if (runtime->shared)
        status = mr_shared_get(runtime, login->key, make_server, (void *)(uintptr_t)login,
                               destroy_server, &object, err);
    else
        status = make_server((void *)(uintptr_t)login, &object, err);
    *out = object;
    return status;
}

/* --- connecting --- */

static enum mr_status open_session(struct mr_postgres_server *server, struct mr_runtime *runtime,
                                   struct mr_pg **out, struct mr_error *err)
{
    struct mr_pg *pg = NULL;
    MR_TRY(mr_pg_open(&server->config, runtime->waiter, MR_WAIT_SOURCE, &pg, err));
    mr_count(runtime, MR_COUNT_CONNECTIONS, 1);
    enum mr_status status = mr_pg_exec(pg, server->login.session_sql, err);
    if (status != MR_OK) {
        mr_pg_close(pg);
        pg = NULL;
    }
    *out = pg;
    return status;
}

static enum mr_status snapshot_gone(struct mr_error *err)
{
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                 "the snapshot of this run is gone: the connection that held it was lost");
    mr_error_hint(err, "run again; \"snapshot\": \"none\" reads without one");
    return MR_SOURCE;
}

static enum mr_status lock_coordinator(struct mr_postgres_server *server,
                                       struct mr_runtime *runtime, struct mr_pg **out,
                                       struct mr_error *err)
{
    pthread_mutex_lock(&server->lock);
    enum mr_status status = MR_OK;
    if (server->coordinator == NULL && server->snapshot[0])
        status = snapshot_gone(err);
    if (server->coordinator && !server->lent && server->snapshot[0] == '\0' &&
        !mr_pg_usable(server->coordinator)) {
        mr_pg_close(server->coordinator); /* nothing depends on it yet */
        server->coordinator = NULL;
    }
    if (status == MR_OK && server->coordinator == NULL) {
        status = open_session(server, runtime, &server->coordinator, err);
        if (status == MR_OK) {
            mr_pg_address(server->coordinator, server->location, sizeof server->location);
            snprintf(server->encoding, sizeof server->encoding, "%s",
                     mr_pg_parameter(server->coordinator, "server_encoding"));
        }
    }
    if (status == MR_OK && server->lent)
        status = mr_error_internal(err, "the coordinating connection is reading");
    if (status != MR_OK) {
        pthread_mutex_unlock(&server->lock);
        return status;
    }
    mr_pg_set_waiter(server->coordinator, runtime->waiter);
    if (server->snapshot[0])
        status = mr_pg_exec(server->coordinator, "SAVEPOINT millrace", err);
    if (status != MR_OK) {
        pthread_mutex_unlock(&server->lock);
        return status;
    }
    server->saved = server->snapshot[0] != '\0';
    *out = server->coordinator;
    return MR_OK;
}

/* Returns whether the coordinator can be asked again: what it held is there. */
static bool unlock_coordinator(struct mr_postgres_server *server)
{
    if (server->saved)
        (void)mr_pg_exec(server->coordinator,
                         "ROLLBACK TO SAVEPOINT millrace; RELEASE SAVEPOINT millrace", NULL);
    server->saved = false;
    bool good = server->snapshot[0] == '\0' ||
                (server->coordinator != NULL && mr_pg_usable(server->coordinator));
    pthread_mutex_unlock(&server->lock);
    return good;
}

static enum mr_status ask_once(struct mr_postgres_server *server, struct mr_runtime *runtime,
                               mr_postgres_ask_fn ask, void *context, bool *again,
                               struct mr_error *err)
{
    struct mr_pg *pg = NULL;
    *again = true;
    MR_TRY(lock_coordinator(server, runtime, &pg, err));
    enum mr_status status = ask(context, pg, err);
    *again = unlock_coordinator(server);
    return status;
}

enum mr_status mr_postgres_server_ask(struct mr_postgres_server *server, struct mr_runtime *runtime,
                                      mr_postgres_ask_fn ask, void *context, struct mr_error *err)
{
    for (int attempt = 1;; attempt++) {
        struct mr_error failure = {0};
        bool again;
        enum mr_status status = ask_once(server, runtime, ask, context, &again, &failure);
        if (!again || !mr_retry_wanted(&runtime->retry, attempt, status, &failure)) {
            if (status != MR_OK && err)
                *err = failure;
            return status;
        }
        MR_TRY(mr_retry_wait(runtime, &runtime->retry, "catalog queries", attempt, &failure, err));
    }
}

/*
 * The time that no row outside of the coming snapshot can carry a stamp before: the server's clock, or the start of the oldest
 * transaction that is open now and may yet write now() into rows. It is asked for before the snapshot is taken: a transaction
 * that is not in the snapshot is then either in this answer or began after it. What is said at bound_sql holds here too. One microsecond
 * is taken off, because it is used as "stamp > time". Unknown (empty) when other roles' transactions are hidden from this one, or some
 * are prepared, and on a standby, where those of the primary are not seen.
 */
static const char safe_time_sql[] =
    "SELECT CASE WHEN (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()) "
    "> 0 OR pg_is_in_recovery()"
    " OR bool_or((usename IS DISTINCT FROM current_user AND hidden) OR state = 'disabled') THEN ''"
    " ELSE to_char((least(statement_timestamp() - interval '10 milliseconds', min(least(xact_start,"
    " CASE WHEN state = 'active' THEN query_start END))) - interval '1 microsecond') AT TIME ZONE"
    " 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') END FROM (SELECT usename, xact_start, query_start, state,"
    " NOT (pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
    " OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)) AS hidden"
    " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type <> 'autovacuum worker') AS others";

static enum mr_status find_safe_time(struct mr_postgres_server *server, struct mr_pg *pg,
                                     struct mr_error *err)
{
    PGresult *result = NULL;
    MR_TRY(mr_pg_query(pg, safe_time_sql, 0, NULL, &result, err));
    snprintf(server->safe_time, sizeof server->safe_time, "%s",
             PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return MR_OK;
}

/*
 * Every open transaction counts, also one that has not written yet: it may, and now() is when it began. A session's start of a transaction is
 * seen a moment after its clock was read, hence the 10 ms, and query_start, which is set first. The clock is that of the statement's
 * arrival: read before the sessions are.
 */
static const char bound_sql[] =
    "SELECT (least(statement_timestamp() - interval '10 milliseconds', "
    "min(least(xact_start, CASE WHEN state = 'active' THEN query_start END))))::text, "
    "statement_timestamp()::text, coalesce((SELECT min(prepared) FROM pg_prepared_xacts "
    "WHERE database = current_database())::text, ''), "
    "pg_is_in_recovery() OR NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') "
    "OR coalesce(bool_or(state = 'disabled'), false) "
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type <> 'autovacuum worker'";

static enum mr_status find_bound(struct mr_pg *pg, struct mr_postgres_bound *out,
                                 struct mr_error *err)
{
    PGresult *result = NULL;
    MR_TRY(mr_pg_query(pg, bound_sql, 0, NULL, &result, err));
    snprintf(out->time, sizeof out->time, "%s", PQgetvalue(result, 0, 0));
    snprintf(out->clock, sizeof out->clock, "%s", PQgetvalue(result, 0, 1));
    snprintf(out->prepared, sizeof out->prepared, "%s", PQgetvalue(result, 0, 2));
    out->hidden = PQgetvalue(result, 0, 3)[0] == 't';
    PQclear(result);
    return MR_OK;
}

enum mr_status mr_postgres_server_bound(struct mr_postgres_server *server, struct mr_pg *pg,
                                        struct mr_postgres_bound *out, struct mr_error *err)
{
    if (server->snapshot[0] == '\0')
        return find_bound(pg, out, err);
    *out = server->bound;
    return MR_OK;
}

void mr_postgres_server_limit_age(struct mr_postgres_server *server, int64_t micros)
{
    if (micros > 0 && (server->age_micros == 0 || micros < server->age_micros))
        server->age_micros = micros;
}

int64_t mr_postgres_server_since(const struct mr_postgres_server *server)
{
    return server->since;
}

static long long millis(int64_t micros)
{
    return micros / 1000 < INT32_MAX ? micros / 1000 + 1 : INT32_MAX;
}

/*
 * The statements that begin a transaction of the snapshot. Its age is limited by the server too, a second later than by us: a
 * process that is stopped would hold it for ever, idle or in the middle of a COPY.
 */
static void write_begin(const struct mr_postgres_server *server, char *sql, size_t capacity)
{
    int n = snprintf(sql, capacity, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
    int64_t most = server->age_micros + MR_MICROS_PER_SECOND;
    if (server->age_micros <= 0)
        return;
    int64_t statement = server->login.statement_timeout_micros;
    if (statement <= 0 || statement > most)
        statement = most;
    snprintf(sql + n, capacity - (size_t)n,
             "; SET LOCAL idle_in_transaction_session_timeout = %lld; SET LOCAL statement_timeout "
             "= %lld",
             millis(most), millis(statement));
}

/*
 * Whether this release imports a snapshot that was taken on a standby as it was. Before November 2026 transactions that were open could get
 * lost on the way: the importer takes their rows for aborted and marks them so on the standby's pages, for everybody ("Fix snapshot
 * export and import to work properly on a snapshot taken during recovery", release notes of 15.20; the others are those of the same day).
 */
static bool imports_on_standby(int version)
{
    static const int first[] = {140025, 150020, 160016, 170012, 180006, 190001};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++)
        if (version / 10000 == first[i] / 10000)
            return version >= first[i];
    return version >= 200000;
}

static bool is_unshared(const char *snapshot)
{
    return strncmp(snapshot, UNSHARED, strlen(UNSHARED)) == 0;
}

static enum mr_status export_snapshot(struct mr_postgres_server *server, struct mr_pg *pg,
                                      struct mr_error *err)
{
    MR_TRY(find_safe_time(server, pg, err));
    MR_TRY(find_bound(pg, &server->bound, err));
    char sql[250];
    write_begin(server, sql, sizeof sql);
    MR_TRY(mr_pg_exec(pg, sql, err));
    PGresult *result = NULL;
    MR_TRY(
        mr_pg_query(pg,
                    "SELECT pg_export_snapshot(), pg_is_in_recovery() AND "
                    "txid_snapshot_xmin(s) <> txid_snapshot_xmax(s) FROM txid_current_snapshot() s",
                    0, NULL, &result, err));
    server->since = mr_clock_monotonic_micros();
    bool loses =
        PQgetvalue(result, 0, 1)[0] == 't' && !imports_on_standby(mr_pg_server_version(pg));
    snprintf(server->snapshot, sizeof server->snapshot, "%s%s", loses ? UNSHARED : "",
             PQgetvalue(result, 0, 0));
    PQclear(result);
    return MR_OK;
}

struct snapshot_work {
    struct mr_postgres_server *server;
    struct mr_runtime *runtime;
    bool imported;
};

/* Takes the snapshot; where it could not be imported, again, until a moment is met in which no transaction is open. */
static enum mr_status take_snapshot(struct snapshot_work *work, struct mr_pg *pg,
                                    struct mr_error *err)
{
    struct mr_postgres_server *server = work->server;
    int64_t end = mr_clock_monotonic_micros() + work->runtime->retry.max_delay_micros;
    for (;;) {
        bool timed_out;
        MR_TRY(export_snapshot(server, pg, err));
        int64_t now = server->since;
        if (!work->imported || !is_unshared(server->snapshot) || now >= end)
            return MR_OK;
        server->snapshot[0] = '\0';
        server->since = 0;
        MR_TRY(mr_pg_exec(pg, "ROLLBACK", err));
        MR_TRY(mr_wait(work->runtime->waiter, -1, 0, now + STANDBY_POLL_MICROS, MR_WAIT_SOURCE,
                       &timed_out, err));
    }
}

static enum mr_status need_snapshot(void *context, struct mr_pg *pg, struct mr_error *err)
{
    struct snapshot_work *work = context;
    if (work->server->snapshot[0])
        return MR_OK;
    enum mr_status status = take_snapshot(work, pg, err);
    if (status != MR_OK)
        mr_error_prefix(err, "the snapshot cannot be taken (\"snapshot\": \"none\" goes without)");
    return status;
}

enum mr_status mr_postgres_server_snapshot(struct mr_postgres_server *server,
                                           struct mr_runtime *runtime, bool imported,
                                           char out[MR_POSTGRES_SNAPSHOT_MAX], struct mr_error *err)
{
    struct snapshot_work work = {server, runtime, imported};
    MR_TRY(mr_postgres_server_ask(server, runtime, need_snapshot, &work, err));
    memcpy(out, server->snapshot, sizeof server->snapshot);
    return MR_OK;
}

const char *mr_postgres_server_safe_time(const struct mr_postgres_server *server)
{
    return server->safe_time[0] ? server->safe_time : NULL;
}

/* --- the pool --- */

/* An idle reader of that snapshot, out of the list. Caller holds the lock. */
static struct mr_postgres_conn *find_idle(struct mr_postgres_server *server, const char *snapshot)
{
    for (struct mr_postgres_conn **at = &server->idle; *at; at = &(*at)->next) {
        struct mr_postgres_conn *conn = *at;
        if (strcmp(conn->snapshot, snapshot) != 0)
            continue;
        *at = conn->next;
        server->nidle--;
        return conn;
    }
    return NULL;
}

/* Takes out one reader that was idle for too long, or NULL. Caller holds the lock. */
static struct mr_postgres_conn *find_old(struct mr_postgres_server *server)
{
    if (server->login.idle_micros <= 0 || server->nidle <= server->login.keep_open)
        return NULL;
    int64_t oldest = mr_clock_monotonic_micros() - server->login.idle_micros;
    for (struct mr_postgres_conn **at = &server->idle; *at; at = &(*at)->next) {
        struct mr_postgres_conn *conn = *at;
        if (conn->idle_since >= oldest)
            continue;
        *at = conn->next;
        server->nidle--;
        server->open--;
        return conn;
    }
    return NULL;
}

static enum mr_status unshared(struct mr_pg *pg, struct mr_error *err)
{
    int version = mr_pg_server_version(pg);
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                 "several connections cannot read in one snapshot here: this standby's release of "
                 "PostgreSQL (%d.%d) loses transactions that are open when a snapshot is shared, "
                 "which can hide their rows on the standby for good",
                 version / 10000, version % 10000);
    mr_error_hint(err, "update the standby (fixed in 18.6, 17.12, 16.16, 15.20, 14.25), read from "
                       "the primary, set sourceLimits.connections to 1 where this is the only "
                       "step that reads there (no job in parts), or \"snapshot\": \"none\"");
    return MR_SOURCE;
}

static enum mr_status join_snapshot(const struct mr_postgres_server *server, struct mr_pg *pg,
                                    const char *snapshot, struct mr_error *err)
{
    char begin[250];
    char sql[400];
    if (is_unshared(snapshot))
        return unshared(pg, err);
    write_begin(server, begin, sizeof begin);
    snprintf(sql, sizeof sql, "%s; SET TRANSACTION SNAPSHOT '%s'", begin, snapshot);
    enum mr_status status = mr_pg_exec(pg, sql, err);
    if (status != MR_OK && strcmp(mr_pg_sqlstate(pg), "22023") == 0)
        return snapshot_gone(err);
    return status;
}

static enum mr_status new_reader(struct mr_postgres_server *server, struct mr_runtime *runtime,
                                 const char *snapshot, struct mr_postgres_conn **out,
                                 struct mr_error *err)
{
    struct mr_postgres_conn *conn = mr_calloc(1, sizeof *conn);
    if (conn == NULL)
        return mr_error_nomem(err);
    enum mr_status status = open_session(server, runtime, &conn->pg, err);
    if (status == MR_OK && snapshot[0])
        status = join_snapshot(server, conn->pg, snapshot, err);
    if (status != MR_OK) {
        free_conn(conn);
        return status;
    }
    snprintf(conn->snapshot, sizeof conn->snapshot, "%s", snapshot);
    *out = conn;
    return MR_OK;
}

/*
 * Hands out the coordinator's own connection, if it is free. Nothing is asked of the server here: a thread that waited for it
 * under the lock would want a CPU permit back while others sit on theirs waiting for the lock.
 */
static enum mr_status lend_coordinator(struct mr_postgres_server *server,
                                       struct mr_runtime *runtime, const char *snapshot,
                                       struct mr_postgres_conn **out, struct mr_error *err)
{
    struct mr_postgres_conn *conn = mr_calloc(1, sizeof *conn);
    if (conn == NULL)
        return mr_error_nomem(err);
    pthread_mutex_lock(&server->lock);
    if (!server->lent && server->coordinator && mr_pg_usable(server->coordinator) &&
        strcmp(snapshot, server->snapshot) == 0) {
        server->lent = true;
        conn->pg = server->coordinator;
    }
    pthread_mutex_unlock(&server->lock);
    if (conn->pg == NULL) {
        mr_free(conn);
        return MR_OK;
    }
    mr_pg_set_waiter(conn->pg, runtime->waiter);
    snprintf(conn->snapshot, sizeof conn->snapshot, "%s", snapshot);
    conn->lent = true;
    *out = conn;
    return MR_OK;
}

enum mr_status mr_postgres_server_take(struct mr_postgres_server *server,
                                       struct mr_runtime *runtime, const char *snapshot, bool lend,
                                       struct mr_postgres_conn **out, struct mr_error *err)
{
    *out = NULL;
    if (lend)
        MR_TRY(lend_coordinator(server, runtime, snapshot, out, err));
    if (*out)
        return MR_OK;
    pthread_mutex_lock(&server->lock);
    *out = find_idle(server, snapshot);
    if (*out == NULL)
        server->open++;
    int open = server->open;
    pthread_mutex_unlock(&server->lock);
    mr_count_peak(runtime, MR_COUNT_CONNECTIONS_PEAK, open);
    if (*out) {
        mr_pg_set_waiter((*out)->pg, runtime->waiter);
        return MR_OK;
    }
    enum mr_status status = new_reader(server, runtime, snapshot, out, err);
    if (status != MR_OK) {
        pthread_mutex_lock(&server->lock);
        server->open--;
        pthread_mutex_unlock(&server->lock);
    }
    return status;
}

void mr_postgres_server_give(struct mr_postgres_server *server, struct mr_postgres_conn *conn)
{
    bool usable = mr_pg_usable(conn->pg);
    if (conn->lent) {
        pthread_mutex_lock(&server->lock);
        server->lent = false;
        if (!usable) {
            mr_pg_close(server->coordinator);
            server->coordinator = NULL;
        }
        pthread_mutex_unlock(&server->lock);
        mr_free(conn);
        return;
    }
    pthread_mutex_lock(&server->lock);
    conn->idle_since = mr_clock_monotonic_micros();
    if (usable) {
        conn->next = server->idle;
        server->idle = conn;
        server->nidle++;
    } else {
        server->open--;
    }
    struct mr_postgres_conn *old = find_old(server);
    pthread_mutex_unlock(&server->lock);
    if (!usable)
        free_conn(conn);
    if (old)
        free_conn(old);
}

enum mr_status mr_postgres_server_warm(struct mr_postgres_server *server,
                                       struct mr_runtime *runtime, const char *snapshot, int count,
                                       struct mr_error *err)
{
    for (;;) {
        pthread_mutex_lock(&server->lock);
        bool enough = server->nidle >= count;
        server->open += !enough;
        int open = server->open;
        pthread_mutex_unlock(&server->lock);
        if (enough)
            return MR_OK;
        struct mr_postgres_conn *conn = NULL;
        enum mr_status status = new_reader(server, runtime, snapshot, &conn, err);
        if (status != MR_OK) {
            pthread_mutex_lock(&server->lock);
            server->open--;
            pthread_mutex_unlock(&server->lock);
            return status;
        }
        mr_count_peak(runtime, MR_COUNT_CONNECTIONS_PEAK, open);
        mr_postgres_server_give(server, conn);
    }
}

const char *mr_postgres_server_location(const struct mr_postgres_server *server)
{
    return server->location;
}

const char *mr_postgres_server_encoding(const struct mr_postgres_server *server)
{
    return server->encoding;
}
