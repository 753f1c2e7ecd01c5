/*
 * sink_link.c - how toPostgres reaches the server, and what the server's errors mean for a load.
 *
 * The session of a load differs from that of an extract in being allowed to write. Time zone and formats are fixed all the same:
 * replaceWhere and casts of text must mean the same whatever the role's settings say.
 */
#include "connect/postgres/sink_private.h"

#include <stdio.h>

static const char session[] =
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; "
    "SET bytea_output = 'hex'; SET extra_float_digits = 3; SET standard_conforming_strings = on; "
    "SET jit = off; SET synchronize_seqscans = off; SET lock_timeout = '30s'; SET "
    "idle_in_transaction_session_timeout = 0; "
    "SET default_transaction_read_only = off; SET default_transaction_isolation = 'read "
    "committed'; ";

static const char *value_of(const struct mr_postgres_login *login, const char *keyword)
{
    for (int i = 0; login->keywords[i]; i++)
        if (strcmp(login->keywords[i], keyword) == 0)
            return login->values[i];
    return NULL;
}

enum mr_status pg_link_read(struct pg_link *link, const struct mr_options *options,
                            const struct mr_runtime *runtime, struct mr_arena *arena,
                            struct mr_error *err)
{
    memset(link, 0, sizeof *link);
    if (options == NULL) {
        mr_error_config(err, "the load to Postgres that a commit is left of is gone from the file");
        mr_error_hint(err, "put the step back, or run with --fresh");
        return MR_CONFIG;
    }
    MR_TRY(mr_postgres_login_read(&link->login, options, session, runtime, arena, err));
    link->login.key = mr_arena_printf(arena, "load|%s", link->login.key);
    if (link->login.key == NULL)
        return mr_error_nomem(err);
    const char *host = value_of(&link->login, "host");
    const char *database = value_of(&link->login, "dbname");
    snprintf(link->location, sizeof link->location, "%s%s%s", host ? host : "default host",
             database ? "/" : "", database ? database : "");
    link->config = (struct mr_pg_config){
        .keywords = link->login.keywords,
        .values = link->login.values,
        .location = link->location,
        .writes = true,
        .connect_timeout_micros = link->login.connect_timeout_micros,
        .statement_timeout_micros = link->login.statement_timeout_micros,
        .socket_timeout_micros = link->login.socket_timeout_micros,
    };
    return MR_OK;
}

static enum mr_status ask_once(const struct pg_link *link, struct mr_runtime *runtime,
                               pg_link_fn ask, void *context, struct mr_error *err)
{
    struct mr_pg *pg = NULL;
    enum mr_status status = pg_link_open(link, runtime, &pg, err);
    if (status == MR_OK)
        status = ask(context, pg, err);
    if (status == MR_OK)
        pg_link_close(link, runtime, pg);
    else
        mr_pg_close(pg);
    return status;
}

enum mr_status pg_link_ask(const struct pg_link *link, struct mr_runtime *runtime, const char *unit,
                           pg_link_fn ask, void *context, struct mr_error *err)
{
    for (int attempt = 1;; attempt++) {
        struct mr_error failure = {0};
        enum mr_status status = ask_once(link, runtime, ask, context, &failure);
        if (!mr_retry_wanted(&runtime->retry, attempt, status, &failure)) {
            if (status != MR_OK && err)
                *err = failure;
            return status;
        }
        MR_TRY(mr_retry_wait(runtime, &runtime->retry, unit, attempt, &failure, err));
    }
}

/* ---- errors ---- */

struct state_hint {
    const char *prefix;
    enum mr_error_class cls;
    const char *hint; /* NULL = the server's, if it has one */
};

static const struct state_hint hints[] = {
    {"42501", MR_CLASS_CONFIG,
     "the user needs CREATE on the schema (staging tables, " PG_STATE_TABLE
     ") and INSERT on the table, TRUNCATE or DELETE to overwrite, UPDATE and SELECT to upsert; "
     "overwriteMode swap, indexes and ANALYZE need its owner"},
    {"23502", MR_CLASS_DATA,
     "filter the rows, fill the value (coalesce), or, unless it is of a primary key, ALTER TABLE "
     ".. "
     "ALTER COLUMN .. DROP NOT NULL"},
    {"23505", MR_CLASS_DATA,
     "mode upsert with \"keys\" replaces such rows; deduplicate removes doubles of the load"},
    {"23503", MR_CLASS_DATA, "load the table that is referred to before"},
    {"23", MR_CLASS_DATA, "filter the rows before, or change the constraint"},
    {"22", MR_CLASS_DATA, "cast or filter the column before the load"},
    {"2BP01", MR_CLASS_CONFIG,
     "views or tables depend on it: overwriteMode truncate keeps the table"},
    {"0A000", MR_CLASS_CONFIG, NULL},
    {"42P10", MR_CLASS_CONFIG, "upsert needs a unique index on exactly the columns of \"keys\""},
    {"42P01", MR_CLASS_CONFIG, "it was dropped while the load ran: run again"},
    {"42P07", MR_CLASS_CONFIG, "another load made the table meanwhile: run again"},
    {"55P03", MR_CLASS_TRANSIENT, "another session holds a lock on the table: run again"},
};

/* Puts the target's name where the message names a staging table. */
static void rename_staging(char *text, size_t capacity, const char *staging, const char *target)
{
    char copy[1024];
    char *at;
    for (int i = 0; i < 4 && (at = strstr(text, staging)) != NULL; i++) {
        snprintf(copy, sizeof copy, "%s", at + strlen(staging));
        snprintf(at, capacity - (size_t)(at - text), "%s%s", target, copy);
    }
}

enum mr_status pg_sink_blame(enum mr_status status, const struct mr_pg *pg, const char *staging,
                             const char *target, struct mr_error *err)
{
    if (status == MR_OK)
        return MR_OK;
    const char *state = pg ? mr_pg_sqlstate(pg) : "";
    status = mr_error_of_sink(status, err);
    if (err == NULL)
        return status;
    if (staging && target)
        rename_staging(err->message, sizeof err->message, staging, target);
    for (size_t i = 0; state[0] && i < sizeof hints / sizeof hints[0]; i++) {
        if (strncmp(state, hints[i].prefix, strlen(hints[i].prefix)) != 0)
            continue;
        err->cls = hints[i].cls;
        if (hints[i].hint)
            mr_error_hint(err, "%s", hints[i].hint);
        break;
    }
    return status;
}

const char *pg_field(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? "" : PQgetvalue(result, row, column);
}
