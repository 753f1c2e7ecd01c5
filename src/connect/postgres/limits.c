/*
 * limits.c - sourceLimits: rows a second, the lag of a standby, the age of a snapshot.
 *
 * Rows: a bucket that all readers of a step share. A batch is paid for after it was read and before it is passed on, so that at no time
 * more than the rate (and a batch per reader) has been read; meanwhile the server's COPY stands still, because nobody takes its
 * bytes. Batches are cut to a tenth of a second, else a single one could be worth a minute.
 *
 * Lag: a standby whose replay waits for our queries gets further behind the longer we hold a snapshot there. So waiting helps only
 * before the snapshot is taken (at most `retry.maxDelay`); after that a split is not begun, and the run ends with exit 8. Inside a split
 * nobody asks: its connection is busy. Lag is the age of the last replayed transaction, unless all that was received is
 * replayed and the standby is connected to its primary: an idle primary is not a lagging standby, a cut line is.
 *
 * Age: a snapshot keeps VACUUM from removing rows. The limit is looked at between batches; a process that is stopped or hangs cannot
 * look, so the server is told to end the sessions of the snapshot after that time (server.c).
 */
#include "connect/postgres/limits.h"

#include "base/thread.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>

#define LAG_POLL_MICROS (MR_MICROS_PER_SECOND / 4)

void mr_postgres_limits_init(struct mr_postgres_limits *limits, const struct mr_options *options)
{
    const struct mr_option_value *value = mr_options_get(options, "sourceLimits");
    *limits = (struct mr_postgres_limits){0};
    mr_mutex_init(&limits->rate.lock);
    if (!value->set)
        return;
    limits->connections = mr_options_integer(value->u.object, "connections", 0);
    limits->rate.per_second = mr_options_integer(value->u.object, "rowsPerSecond", 0);
    limits->lag_micros = mr_options_integer(value->u.object, "maxReplicaLag", 0);
    limits->age_micros = mr_options_integer(value->u.object, "maxSnapshotAge", 0);
}

void mr_postgres_limits_reset(struct mr_postgres_limits *limits)
{
    pthread_mutex_destroy(&limits->rate.lock);
}

int64_t mr_postgres_rate_take(struct mr_postgres_rate *rate, int64_t now, int64_t rows)
{
    double cost = (double)rows / (double)rate->per_second * MR_MICROS_PER_SECOND;
    pthread_mutex_lock(&rate->lock);
    int64_t from = rate->free_at > now ? rate->free_at : now;
    int64_t until = from + (int64_t)(cost < 1e15 ? cost : 1e15);
    rate->free_at = until;
    pthread_mutex_unlock(&rate->lock);
    return until;
}

int64_t mr_postgres_rate_batch(const struct mr_postgres_rate *rate)
{
    if (rate->per_second <= 0)
        return 0;
    return rate->per_second < 10 ? 1 : rate->per_second / 10;
}

enum mr_status mr_postgres_rate_pay(struct mr_postgres_rate *rate, struct mr_runtime *runtime,
                                    int64_t rows, struct mr_error *err)
{
    bool timed_out;
    if (rate->per_second <= 0)
        return MR_OK;
    int64_t now = mr_clock_monotonic_micros();
    return mr_wait(runtime->waiter, -1, 0, mr_postgres_rate_take(rate, now, rows), MR_WAIT_LIMIT,
                   &timed_out, err);
}

/* --- a standby --- */

/* Microseconds, -1 = nothing says how old what it holds is; NULL on a primary. */
static const char lag_sql[] =
    "SELECT CASE WHEN pg_is_in_recovery() THEN CASE WHEN EXISTS (SELECT FROM pg_stat_wal_receiver) "
    "AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 ELSE coalesce(greatest(0, "
    "extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000000)::bigint, "
    "-1) END END";

static enum mr_status ask_lag(struct mr_pg *pg, int64_t *lag, struct mr_error *err)
{
    PGresult *result = NULL;
    MR_TRY(mr_pg_query(pg, lag_sql, 0, NULL, &result, err));
    *lag = PQgetisnull(result, 0, 0) ? 0 : strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return MR_OK;
}

static enum mr_status too_far_behind(const struct mr_postgres_limits *limits, int64_t lag,
                                     struct mr_error *err)
{
    char most[32], now[32] = "an unknown time";
    mr_duration_format(limits->lag_micros, most, sizeof most);
    if (lag >= 0)
        mr_duration_format(lag, now, sizeof now);
    mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG,
                 "the standby is %s behind its primary, more than sourceLimits.maxReplicaLag (%s)",
                 now, most);
    mr_error_hint(err, "run again when it has caught up, read from the primary, or raise the "
                       "limit");
    return MR_LIMIT;
}

enum mr_status mr_postgres_check_lag(const struct mr_postgres_limits *limits,
                                     struct mr_runtime *runtime, struct mr_pg *pg, bool wait,
                                     struct mr_error *err)
{
    int64_t end = mr_clock_monotonic_micros() + runtime->retry.max_delay_micros;
    int64_t lag = 0;
    bool said = false;
    if (limits->lag_micros <= 0)
        return MR_OK;
    for (;;) {
        bool timed_out;
        MR_TRY(ask_lag(pg, &lag, err));
        if (lag >= 0 && lag <= limits->lag_micros)
            return MR_OK;
        int64_t now = mr_clock_monotonic_micros();
        if (!wait || now >= end)
            return too_far_behind(limits, lag, err);
        if (!said)
            mr_event(runtime, MR_LOG_WARN,
                     "the standby is more than sourceLimits.maxReplicaLag behind its primary: "
                     "waiting for it");
        said = true;
        MR_TRY(
            mr_wait(runtime->waiter, -1, 0, now + LAG_POLL_MICROS, MR_WAIT_LIMIT, &timed_out, err));
    }
}

/* --- a snapshot --- */

enum mr_status mr_postgres_check_age(const struct mr_postgres_limits *limits, int64_t since,
                                     struct mr_error *err)
{
    char most[32];
    if (limits->age_micros <= 0 || since == 0 ||
        mr_clock_monotonic_micros() - since <= limits->age_micros)
        return MR_OK;
    mr_duration_format(limits->age_micros, most, sizeof most);
    mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG,
                 "the snapshot of this run is older than sourceLimits.maxSnapshotAge (%s)", most);
    mr_error_hint(err, "nothing was loaded, and VACUUM is free again; read less at once "
                       "(incremental, where), faster (maxConnections, rowsPerSecond), or raise "
                       "the limit");
    return MR_LIMIT;
}
