/*
 * postgres_lease.c - leases as rows that run out, and writes that are checked against them.
 *
 * A row holds the fence, the holder and the time at which it may be taken from him; all times are the server's. A thread of the
 * lease renews it at every third of its time over a connection of its own, so that a long statement of the run does not stand in its way. Whoever wants
 * a lease that has not run out waits for it and gives up once he sees it renewed: the holder lives. An advisory lock of the
 * session would be free the moment a connection breaks, while its holder goes on: refused.
 *
 * A holder that was stopped and comes back finds the fence raised; every write compares it in its own statement. `written` counts the
 * writes of a lease: when the reply to one is lost, the row says whether it was done, and one that lingers in a dead
 * connection cannot be done after a later one.
 */
#include "state/postgres.h"

#include "base/thread.h"
#include "base/time.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define POLL_MICROS  MR_MICROS_PER_SECOND
#define AGAIN_MICROS MR_MICROS_PER_SECOND
#define NUMBER_BYTES 24

struct mr_state_pg_lease {
    struct mr_waiter waiter; /* of the heartbeat: cancelled by `wake` */
    struct mr_state_pg *store;
    char *key;
    char fence[NUMBER_BYTES];
    char period[NUMBER_BYTES]; /* microseconds */
    int64_t written;
    struct mr_thread heartbeat;
    int wake; /* eventfd: readable = let go */
};

/* --- the heartbeat --- */

static int poll_timeout(int64_t deadline)
{
    int64_t left = deadline - mr_clock_monotonic_micros();
    return left <= 0 ? 0 : left / 1000 >= 60000 ? 60000 : (int)(left / 1000 + 1);
}

static enum mr_status wait_or_wake(struct mr_waiter *waiter, int fd, int events, int64_t deadline,
                                   enum mr_wait_cause cause, bool *timed_out, struct mr_error *err)
{
    struct mr_state_pg_lease *lease = (struct mr_state_pg_lease *)waiter;
    struct pollfd fds[2] = {{.fd = lease->wake, .events = POLLIN}, {.fd = fd}};
    (void)cause;
    if (events & MR_WAIT_READ)
        fds[1].events |= POLLIN;
    if (events & MR_WAIT_WRITE)
        fds[1].events |= POLLOUT;
    *timed_out = false;
    for (;;) {
        int rc = poll(fds, fd < 0 ? 1 : 2, poll_timeout(deadline));
        if (rc < 0 && errno != EINTR)
            return mr_error_errno(err, MR_INTERNAL, errno, "poll");
        if (rc > 0 && fds[0].revents)
            return mr_error_cancelled(err);
        if (rc > 0)
            return MR_OK;
        if (mr_clock_monotonic_micros() >= deadline) {
            *timed_out = true;
            return MR_OK;
        }
    }
}

static bool was_woken(struct mr_waiter *waiter)
{
    struct mr_state_pg_lease *lease = (struct mr_state_pg_lease *)waiter;
    struct pollfd fd = {.fd = lease->wake, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

static const char renew_sql[] =
    "UPDATE millrace.leases SET expires = clock_timestamp() + $3::bigint * interval '1 us'"
    " WHERE state_key = $1 AND fence = $2::bigint";

/* False once the lease is another's. A connection that fails is closed, for the next time. */
static bool renew(struct mr_state_pg_lease *lease, struct mr_pg **pg, int64_t *next)
{
    const char *params[] = {lease->key, lease->fence, lease->period};
    PGresult *result = NULL;
    *next = mr_clock_monotonic_micros() + AGAIN_MICROS;
    if (!*pg && mr_state_pg_connect(&lease->store->config, &lease->waiter, pg, NULL) != MR_OK)
        return true;
    if (mr_pg_query(*pg, renew_sql, 3, params, &result, NULL) != MR_OK) {
        mr_pg_close(*pg);
        *pg = NULL;
        return true;
    }
    bool ours = atoi(PQcmdTuples(result)) == 1;
    PQclear(result);
    *next = mr_clock_monotonic_micros() + lease->store->lease_micros / 3;
    return ours;
}

static void beat(void *arg)
{
    struct mr_state_pg_lease *lease = arg;
    struct mr_pg *pg = NULL;
    bool timed_out;
    int64_t next = mr_clock_monotonic_micros() + lease->store->lease_micros / 3;
    while (mr_wait(&lease->waiter, -1, 0, next, MR_WAIT_RETRY, &timed_out, NULL) == MR_OK)
        if (!renew(lease, &pg, &next))
            break;
    mr_pg_close(pg);
}

/* --- taking and letting go --- */

static void free_lease(struct mr_state_pg_lease *lease)
{
    if (!lease)
        return;
    uint64_t one = 1;
    if (lease->wake >= 0 && write(lease->wake, &one, sizeof one) < 0)
        abort(); /* the descriptor is ours and never full */
    mr_thread_join(&lease->heartbeat);
    if (lease->wake >= 0)
        close(lease->wake);
    mr_free(lease->key);
    mr_free(lease);
}

/* Lets the next one have the lease at once. When that fails, it runs out. */
void mr_state_pg_release(void *self)
{
    struct mr_state_pg_lease *lease = self;
    PGresult *result = NULL;
    if (!lease)
        return;
    const char *params[] = {lease->key, lease->fence};
    if (lease->fence[0] && lease->store->pg && mr_pg_usable(lease->store->pg))
        (void)mr_pg_query(lease->store->pg,
                          "UPDATE millrace.leases SET expires = '-infinity'"
                          " WHERE state_key = $1 AND fence = $2::bigint",
                          2, params, &result, NULL);
    PQclear(result);
    free_lease(lease);
}

static const char take_sql[] =
    "INSERT INTO millrace.leases AS l (state_key, fence, run_id, holder, token, expires, written)"
    " VALUES ($1, 1, $2, $3, $4, clock_timestamp() + $5::bigint * interval '1 us', 0)"
    " ON CONFLICT (state_key) DO UPDATE SET fence = l.fence + 1, run_id = $2, holder = $3,"
    " token = $4, expires = excluded.expires, written = 0"
    " WHERE l.expires <= clock_timestamp() AND l.token <> $4 RETURNING fence";

static const char holder_sql[] =
    "SELECT fence, run_id, holder, token, expires,"
    " greatest(0, extract(epoch FROM expires - clock_timestamp()) * 1000000)::bigint"
    " FROM millrace.leases WHERE state_key = $1";

/* Waits for a holder that may be dead; one that renewed since we first looked is not. */
static enum mr_status held(const PGresult *row, const char *key, struct mr_lease_attempt *attempt,
                           struct mr_error *err)
{
    char now[sizeof attempt->seen];
    snprintf(now, sizeof now, "%s %s", PQgetvalue(row, 0, 0), PQgetvalue(row, 0, 4));
    bool first = !attempt->seen[0];
    if (first)
        snprintf(attempt->seen, sizeof attempt->seen, "%s", now);
    int64_t left = strtoll(PQgetvalue(row, 0, 5), NULL, 10);
    if (first || !strcmp(now, attempt->seen))
        attempt->retry_micros = left < POLL_MICROS ? left + 1000 : POLL_MICROS;
    mr_error_set(err, MR_BUSY, MR_CLASS_TRANSIENT, "another run holds the pipeline %s: run %s, %s",
                 key, PQgetvalue(row, 0, 1), PQgetvalue(row, 0, 2));
    mr_error_hint(err, "wait for it or stop it; runs that may overlap need different stateKeys");
    return MR_BUSY;
}

static enum mr_status take(struct mr_state_pg_lease *lease, const char *run_id,
                           struct mr_lease_attempt *attempt, struct mr_error *err)
{
    char token[33], host[128] = "", holder[192];
    PGresult *result = NULL;
    enum mr_status status;
    MR_TRY(mr_state_new_uuid(token, err));
    (void)gethostname(host, sizeof host - 1);
    snprintf(holder, sizeof holder, "process %d on %s", (int)getpid(), host);
    const char *params[] = {lease->key, run_id, holder, token, lease->period};
    MR_TRY(mr_state_pg_query(lease->store, take_sql, 5, params, &result, err));
    if (PQntuples(result) == 0) {
        PQclear(result);
        MR_TRY(mr_state_pg_query(lease->store, holder_sql, 1, params, &result, err));
    }
    bool ours = PQntuples(result) == 1 &&
                (PQnfields(result) == 1 || !strcmp(PQgetvalue(result, 0, 3), token));
    if (ours)
        status = MR_OK;
    else if (PQntuples(result) == 1)
        status = held(result, lease->key, attempt, err);
    else
        status = mr_error_internal(err, "the lease of %s has vanished", lease->key);
    if (ours)
        snprintf(lease->fence, sizeof lease->fence, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return status;
}

enum mr_status mr_state_pg_take(void *self, const char *key, const char *run_id,
                                struct mr_lease_attempt *attempt, void **out, int64_t *fence,
                                struct mr_error *err)
{
    struct mr_state_pg_lease *lease = mr_calloc(1, sizeof *lease);
    enum mr_status status = MR_OK;
    if (!lease)
        return mr_error_nomem(err);
    lease->store = self;
    snprintf(lease->period, sizeof lease->period, "%lld", (long long)lease->store->lease_micros);
    lease->waiter = (struct mr_waiter){.wait = wait_or_wake, .cancelled = was_woken};
    lease->key = mr_strdup(key);
    lease->wake = eventfd(0, EFD_CLOEXEC);
    if (!lease->key) {
        status = mr_error_nomem(err);
        goto out;
    }
    if (lease->wake < 0) {
        status = mr_error_errno(err, MR_INTERNAL, errno, "eventfd");
        goto out;
    }
    MR_TRY_OUT(take(lease, run_id, attempt, err));
    MR_TRY_OUT(mr_thread_start(&lease->heartbeat, "mr-lease", beat, lease, err));
    *fence = strtoll(lease->fence, NULL, 10);
    *out = lease;
    lease = NULL;
out:
    mr_state_pg_release(lease);
    return status;
}

/* --- checks and writes --- */

/* Why did a statement find no lease of ours? MR_OK: it was done, and only the reply was lost. */
static enum mr_status settle(struct mr_state_pg_lease *lease, struct mr_error *err)
{
    const char *params[] = {lease->key};
    PGresult *result = NULL;
    enum mr_status status = MR_OK;
    MR_TRY(mr_state_pg_query(lease->store,
                             "SELECT fence, run_id, written FROM millrace.leases"
                             " WHERE state_key = $1",
                             1, params, &result, err));
    if (PQntuples(result) == 0)
        status = mr_state_fenced(err, lease->key, NULL);
    else if (strcmp(PQgetvalue(result, 0, 0), lease->fence) != 0)
        status = mr_state_fenced(err, lease->key, PQgetvalue(result, 0, 1));
    else if (strtoll(PQgetvalue(result, 0, 2), NULL, 10) != lease->written)
        status =
            mr_error_internal(err, "the state of %s is out of step with its writer", lease->key);
    PQclear(result);
    return status;
}

/* Also renews, so that what follows the check has a whole period. */
enum mr_status mr_state_pg_check(void *self, struct mr_error *err)
{
    struct mr_state_pg_lease *lease = self;
    const char *params[] = {lease->key, lease->fence, lease->period};
    PGresult *result = NULL;
    MR_TRY(mr_state_pg_query(lease->store, renew_sql, 3, params, &result, err));
    bool ours = atoi(PQcmdTuples(result)) == 1;
    PQclear(result);
    return ours ? MR_OK : settle(lease, err);
}

enum mr_status mr_state_pg_write(void *self, const char *sql, int nparams,
                                 const char *const *params, struct mr_error *err)
{
    struct mr_state_pg_lease *lease = self;
    const char *all[3 + MR_STATE_PG_PARAMS];
    char written[NUMBER_BYTES];
    struct mr_bytes text;
    PGresult *result = NULL;
    assert(nparams <= MR_STATE_PG_PARAMS);
    snprintf(written, sizeof written, "%lld", (long long)++lease->written);
    all[0] = lease->key;
    all[1] = lease->fence;
    all[2] = written;
    memcpy(all + 3, params, (size_t)nparams * sizeof *params);
    mr_bytes_init(&text, 4096);
    mr_bytes_printf(&text,
                    "WITH held AS (UPDATE millrace.leases SET written = $3::bigint,"
                    " expires = clock_timestamp() + interval '%lld us'"
                    " WHERE state_key = $1 AND fence = $2::bigint AND written < $3::bigint"
                    " RETURNING state_key), %s SELECT count(*) FROM held",
                    (long long)lease->store->lease_micros, sql);
    mr_bytes_char(&text, '\0');
    enum mr_status status = mr_bytes_status(&text, err);
    if (status == MR_OK)
        status = mr_state_pg_query(lease->store, text.data, nparams + 3, all, &result, err);
    mr_bytes_reset(&text);
    if (status != MR_OK)
        return status;
    bool done = PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 0), "1") == 0;
    PQclear(result);
    return done ? MR_OK : settle(lease, err);
}
