/*
 * sink_commit.c - one transaction: the epoch's row, locked; the rows; the epoch.
 *
 * The row decides. It holds our epoch and run: done. It holds what the plan saw: the rows go in. Anything else: somebody else has
 * loaded under this stateKey meanwhile (a second instance, while this one was stopped, or beside it with a copy of its state), and this load is refused.
 *
 * An attempt that lost its connection is repeated. That is exact even when COMMIT was under way: the next attempt waits for the
 * row's lock until the server has decided about the earlier one, and then reads what it decided. Only when no attempt gets through is the
 * error of class "unknown": the next start asks again.
 */
#include "base/failpoint.h"
#include "base/time.h"
#include "connect/postgres/sink_private.h"
#include "net/pg_text.h"

#include <stdio.h>

/* The commit ends the run's work: it is worth some patience (about 8 s). */
static const struct mr_retry own_retry = {.attempts = 8,
                                          .delay_micros = 100000,
                                          .max_delay_micros = 3000000,
                                          .multiplier = 2,
                                          .jitter = true};

struct commit {
    const struct pg_link *link;
    struct mr_runtime *runtime;
    const struct pg_token *token;
    bool unknown; /* an attempt's COMMIT was sent and not answered */
};

/* A server that is told to end a session may do so behind the commit. */
static bool says_nothing(const struct mr_pg *pg)
{
    const char *state = mr_pg_sqlstate(pg);
    return state[0] == '\0' || strncmp(state, "57P", 3) == 0 || strncmp(state, "08", 2) == 0;
}

/*
 * Another state's epoch in the row may have replaced ours: but a commit takes the staging tables away, so that where they
 * all are, it has not happened.
 */
static enum mr_status fenced(struct mr_pg *pg, const struct pg_token *token,
                             const struct pg_memory *now, struct mr_error *err)
{
    bool untouched;
    MR_TRY(pg_sink_staged(pg, token, &untouched, err));
    mr_error_set(err, MR_SINK, untouched ? MR_CLASS_REFUSED : MR_CLASS_SUPERSEDED,
                 "another run of %s has loaded %s.%s meanwhile: epoch %lld is there, this load "
                 "began behind %lld",
                 token->state_key, token->schema, token->name, (long long)now->epoch,
                 (long long)token->before.epoch);
    mr_error_hint(err, "nothing was changed; run again, and see that only one state (`state`) "
                       "serves this pipeline");
    return MR_SINK;
}

/*
 * *done: the row is that of this very commit. The same epoch of another run is a copy's of this state, whose commit could not have come behind
 * ours; of a later epoch the staging tables tell.
 */
static enum mr_status compare_row(struct mr_pg *pg, const struct pg_token *token,
                                  const struct pg_memory *now, bool *done, struct mr_error *err)
{
    bool same_run = !now->run[0] || !token->run[0] || strcmp(now->run, token->run) == 0;
    bool untouched = true;
    char target[300];
    *done = false;
    if (strcmp(now->uuid, token->uuid) != 0 || now->epoch < token->epoch)
        return MR_OK;
    *done = now->epoch == token->epoch && same_run;
    if (*done)
        return MR_OK;
    if (now->epoch > token->epoch)
        MR_TRY(pg_sink_staged(pg, token, &untouched, err));
    snprintf(target, sizeof target, "%s.%s", token->schema, token->name);
    return mr_sink_overtaken(target, token->epoch, now->epoch,
                             untouched ? MR_CLASS_REFUSED : MR_CLASS_SUPERSEDED, err);
}

static enum mr_status begin(struct mr_pg *pg, const struct pg_token *token, struct pg_memory *now,
                            struct mr_error *err)
{
    /* Longer than what a stopped process can hold the row for: it is put out after 60 s. */
    static const char sql[] =
        "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL lock_timeout = "
        "'75s'; SELECT set_config('synchronous_commit', 'on', true) WHERE "
        "current_setting('synchronous_commit') = 'off'";
    MR_TRY(pg_sink_blame(mr_pg_exec(pg, sql, err), pg, NULL, NULL, err));
    MR_TRY(pg_state_lock(pg, token, now, err));
    return pg_sink_blame(mr_pg_exec(pg, "SET LOCAL lock_timeout = '30s'", err), pg, NULL, NULL,
                         err);
}

static enum mr_status end(struct commit *commit, struct mr_pg *pg, struct mr_error *err)
{
    MR_TRY(MR_FAILPOINT("postgres.before_epoch", err));
    MR_TRY(pg_state_store(pg, commit->token, err));
    MR_TRY(MR_FAILPOINT("postgres.before_commit", err));
    enum mr_status status = mr_pg_exec(pg, "COMMIT", err);
    if (status != MR_OK && says_nothing(pg))
        commit->unknown = true;
    return pg_sink_blame(status, pg, NULL, NULL, err);
}

static enum mr_status transact(struct commit *commit, struct mr_pg *pg, struct mr_error *err)
{
    const struct pg_token *token = commit->token;
    struct pg_memory now;
    MR_TRY(MR_FAILPOINT("postgres.before_state", err));
    MR_TRY(pg_state_make(pg, token->schema, err));
    MR_TRY(MR_FAILPOINT("postgres.before_begin", err));
    MR_TRY(begin(pg, token, &now, err));
    MR_TRY(MR_FAILPOINT("postgres.locked", err));
    /* The row's lock: no earlier attempt is under way, and what it did would be seen. */
    commit->unknown = false;
    bool done;
    MR_TRY(compare_row(pg, token, &now, &done, err));
    if (done)
        return mr_pg_exec(pg, "ROLLBACK", err);
    bool fresh = now.epoch == 0 && now.uuid[0] == '\0';
    bool same = now.epoch == token->before.epoch && strcmp(now.uuid, token->before.uuid) == 0;
    if (!fresh && !same)
        return fenced(pg, token, &now, err);
    MR_TRY(pg_sink_apply(pg, commit->runtime, token, err));
    return end(commit, pg, err);
}

static void analyze(struct commit *commit, struct mr_pg *pg)
{
    struct mr_bytes sql;
    struct mr_error err = {0};
    if (!commit->token->analyze || !mr_pg_usable(pg))
        return;
    mr_bytes_init(&sql, 4096);
    mr_bytes_text(&sql, "ANALYZE ");
    mr_pg_identifier(&sql, commit->token->schema);
    mr_bytes_char(&sql, '.');
    mr_pg_identifier(&sql, commit->token->name);
    if (mr_bytes_status(&sql, &err) != MR_OK || mr_pg_exec(pg, sql.data, &err) != MR_OK)
        mr_event(commit->runtime, MR_LOG_WARN, "ANALYZE %s failed: %s", commit->token->name,
                 err.message);
    mr_bytes_reset(&sql);
}

/* *repeat: nothing stands against trying again. */
static enum mr_status attempt(struct commit *commit, bool *repeat, struct mr_error *err)
{
    struct mr_pg *pg = NULL;
    enum mr_status status = pg_link_open(commit->link, commit->runtime, &pg, err);
    if (status == MR_OK) {
        status = transact(commit, pg, err);
        if (status == MR_OK)
            status = MR_FAILPOINT("postgres.after_commit", err);
        if (status == MR_OK)
            analyze(commit, pg);
    }
    *repeat = err && err->cls == MR_CLASS_TRANSIENT && status != MR_CANCELLED &&
              !(pg && strcmp(mr_pg_sqlstate(pg), "55P03") == 0);
    mr_pg_close(pg); /* not kept: triggers may have changed its settings, and hold locks */
    return status;
}

static enum mr_status commit_all(struct commit *commit, struct mr_error *err)
{
    struct mr_error local;
    struct mr_error *at = err ? err : &local;
    const struct mr_retry *retry = mr_retry_policy(commit->runtime, &own_retry);
    enum mr_status status = MR_OK;
    for (int i = 1;; i++) {
        bool repeat = false;
        memset(at, 0, sizeof *at);
        status = attempt(commit, &repeat, at);
        if (!repeat || !mr_retry_wanted(retry, i, status, at))
            break;
        struct mr_error cause = *at;
        if (mr_retry_wait(commit->runtime, retry, "commit", i, &cause, at) != MR_OK) {
            *at = cause;
            break;
        }
    }
    if (status != MR_OK && commit->unknown) {
        at->cls = MR_CLASS_UNKNOWN;
        mr_error_hint(at, "the rows may be there or not; the next start asks the server");
    }
    return status;
}

enum mr_status pg_sink_commit(const struct mr_options *options, struct mr_runtime *runtime,
                              struct mr_slice data, struct mr_error *err)
{
    struct mr_arena arena;
    struct pg_link link;
    struct pg_token token;
    mr_arena_init(&arena, NULL);
    struct commit commit = {.link = &link, .runtime = runtime, .token = &token};
    enum mr_status status = pg_token_read(data, &arena, &token, err);
    if (status == MR_OK)
        status = pg_link_read(&link, options, runtime, &arena, err);
    if (status == MR_OK)
        status = commit_all(&commit, err);
    mr_arena_reset(&arena);
    return status;
}
