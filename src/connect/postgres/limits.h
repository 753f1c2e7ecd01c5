/*
 * limits.h - sourceLimits: what a run may cost the server that it reads.
 */
#ifndef MR_CONNECT_POSTGRES_LIMITS_H
#define MR_CONNECT_POSTGRES_LIMITS_H

#include "ext/runtime.h"
#include "net/pg_conn.h"

/* So many a second over all who share it; the lock guards `free_at`. */
struct mr_postgres_rate {
    pthread_mutex_t lock;
    int64_t per_second; /* 0 = as many as they like */
    int64_t free_at;    /* monotonic micros: what was taken so far is paid by then */
};

/* sourceLimits of one step; 0 = none. */
struct mr_postgres_limits {
    int64_t connections;
    int64_t lag_micros; /* of a standby behind its primary */
    int64_t age_micros; /* of a snapshot that is held */
    struct mr_postgres_rate rate;
};

void mr_postgres_limits_init(struct mr_postgres_limits *limits, const struct mr_options *options);
void mr_postgres_limits_reset(struct mr_postgres_limits *limits);

/* Takes `rows` at the time `now` and says until when to wait before more is taken. Any thread. */
int64_t mr_postgres_rate_take(struct mr_postgres_rate *rate, int64_t now, int64_t rows);
/* The rows of a batch at most, so that waits are short; 0 = no matter. */
int64_t mr_postgres_rate_batch(const struct mr_postgres_rate *rate);
/* Takes and waits, booked to MR_WAIT_LIMIT. */
enum mr_status mr_postgres_rate_pay(struct mr_postgres_rate *rate, struct mr_runtime *runtime,
                                    int64_t rows, struct mr_error *err);

/*
 * How far a standby is behind; a primary is not. MR_LIMIT when it is more than the limit. Whoever holds no snapshot there may
 * `wait` for it, for `retry.maxDelay` at most.
 */
enum mr_status mr_postgres_check_lag(const struct mr_postgres_limits *limits,
                                     struct mr_runtime *runtime, struct mr_pg *pg, bool wait,
                                     struct mr_error *err);
/* MR_LIMIT when a snapshot that was taken at `since` (monotonic) is too old by now. */
enum mr_status mr_postgres_check_age(const struct mr_postgres_limits *limits, int64_t since,
                                     struct mr_error *err);

#endif
