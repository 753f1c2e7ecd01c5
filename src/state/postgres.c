/*
 * postgres.c - the state as tables in schema millrace of a PostgreSQL, for runs that move between hosts.
 *
 * Every call is one statement, and so one transaction, over one connection. Reads and the table of runs may be repeated, writes
 * under a lease are counted (postgres_lease.c); therefore a lost connection means only: connect again, with back-off, and repeat.
 * Whether the lost statement was done is then settled by what the rows say. Transactions of several statements would need the same reading
 * back at each of their steps: refused.
 */
#include "state/postgres.h"

#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>

#define CONNECT_MICROS   5000000
#define STATEMENT_MICROS 60000000
#define SOCKET_MICROS    20000000
#define LEASE_MICROS     30000000
#define SCHEMA_VERSION   3
#define NUMBER_BYTES     24

/* A state that cannot be reached ends the run: about 12 s of patience for a restart of its server. */
static const struct mr_retry own_retry = {.attempts = 8,
                                          .delay_micros = 100000,
                                          .max_delay_micros = 5000000,
                                          .multiplier = 2,
                                          .jitter = true};

/* What must not depend on the role or the database. A commit that the server could lose is none. */
static const char session_sql[] =
    "SET client_encoding = 'UTF8'; SET bytea_output = 'hex'; SET DateStyle = 'ISO';"
    " SET TimeZone = 'UTC'; SET standard_conforming_strings = on; SET search_path = pg_catalog;"
    " SET default_transaction_read_only = off; SET default_transaction_isolation ="
    " 'read committed'; SELECT pg_catalog.set_config('synchronous_commit', 'on', false)"
    " WHERE pg_catalog.current_setting('synchronous_commit') = 'off'";

#define KEYS_SQL                                                                                   \
    "CREATE INDEX IF NOT EXISTS runs_key ON millrace.runs(state_key, run_key)"                     \
    " WHERE run_key IS NOT NULL;"

/* Several processes may do this at once: the lock is held to the end of the transaction, which is the whole of it. */
static const char schema_sql[] =
    "SELECT pg_advisory_xact_lock(78141174130001);"
    "CREATE SCHEMA IF NOT EXISTS millrace;"
    "CREATE TABLE IF NOT EXISTS millrace.runs(run_id text PRIMARY KEY, pipeline text NOT NULL,"
    " state_key text NOT NULL, status text NOT NULL, exit_code integer NOT NULL,"
    " started bigint NOT NULL, ended bigint NOT NULL, rows_read bigint NOT NULL,"
    " rows_written bigint NOT NULL, message text, report text, run_key text);"
    "CREATE INDEX IF NOT EXISTS runs_started ON millrace.runs(started);"
    "CREATE TABLE IF NOT EXISTS millrace.leases(state_key text PRIMARY KEY, fence bigint NOT NULL,"
    " run_id text NOT NULL, holder text NOT NULL, token text NOT NULL,"
    " expires timestamptz NOT NULL, written bigint NOT NULL);"
    "CREATE TABLE IF NOT EXISTS millrace.lanes(state_key text NOT NULL, lane integer NOT NULL,"
    " record bytea NOT NULL, previous bytea, PRIMARY KEY (state_key, lane));"
    "CREATE TABLE IF NOT EXISTS millrace.notes(state_key text NOT NULL, kind integer NOT NULL,"
    " epoch bigint NOT NULL, name text COLLATE \"C\" NOT NULL, bytes bytea NOT NULL,"
    " PRIMARY KEY (state_key, kind, epoch, name));"
    "CREATE TABLE IF NOT EXISTS millrace.identity(id integer PRIMARY KEY CHECK (id = 1),"
    " uuid text NOT NULL, version integer NOT NULL);" KEYS_SQL;

/* Version 2 had no run keys. */
static const char upgrade_sql[] =
    "SELECT pg_advisory_xact_lock(78141174130001);"
    "ALTER TABLE millrace.runs ADD COLUMN IF NOT EXISTS run_key text;" KEYS_SQL
    "UPDATE millrace.identity SET version = 3 WHERE version = 2";

static enum mr_status of_state(enum mr_status status, struct mr_error *err)
{
    if (status != MR_OK && err && strncmp(err->message, "state: ", 7) != 0)
        mr_error_prefix(err, "state");
    return mr_error_of_sink(status, err);
}

/* --- the connection --- */

enum mr_status mr_state_pg_connect(const struct mr_pg_config *config, struct mr_waiter *waiter,
                                   struct mr_pg **out, struct mr_error *err)
{
    *out = NULL;
    enum mr_status status = mr_pg_open(config, waiter, MR_WAIT_RETRY, out, err);
    if (status == MR_OK)
        status = mr_pg_exec(*out, session_sql, err);
    if (status != MR_OK) {
        mr_pg_close(*out);
        *out = NULL;
    }
    return status;
}

static enum mr_status ask(struct mr_state_pg *store, const char *sql, int nparams,
                          const char *const *params, PGresult **out, struct mr_error *err)
{
    if (!store->pg)
        MR_TRY(mr_state_pg_connect(&store->config, store->waiter, &store->pg, err));
    enum mr_status status;
    if (nparams < 0)
        status = mr_pg_exec(store->pg, sql, err);
    else
        status = mr_pg_query(store->pg, sql, nparams, params, out, err);
    if (status != MR_OK && !mr_pg_usable(store->pg)) {
        mr_pg_close(store->pg);
        store->pg = NULL;
    }
    return status;
}

static void pause_before(struct mr_state_pg *store, int attempt, const struct mr_error *cause)
{
    bool timed_out;
    struct mr_retry_entry entry = {
        .step = "state",
        .unit = "statement",
        .cls = cause->cls,
        .attempt = attempt,
        .delay_micros = mr_retry_pause(&store->retry, attempt, mr_retry_random()),
        .message = cause->message,
    };
    mr_retry_log_add(store->retries, &entry);
    (void)mr_wait(store->waiter, -1, 0, mr_clock_monotonic_micros() + entry.delay_micros,
                  MR_WAIT_RETRY, &timed_out, NULL);
}

/* nparams -1: several statements without a result. */
static enum mr_status query(struct mr_state_pg *store, const char *sql, int nparams,
                            const char *const *params, PGresult **out, struct mr_error *err)
{
    struct mr_error own = {0};
    enum mr_status status;
    for (int attempt = 1;; attempt++) {
        status = ask(store, sql, nparams, params, out, &own);
        bool again = own.cls == MR_CLASS_TRANSIENT || own.cls == MR_CLASS_UNKNOWN || !store->pg;
        if (status == MR_OK || status == MR_CREDENTIALS || status == MR_NOMEM ||
            status == MR_CANCELLED || !again || own.cls == MR_CLASS_CONFIG ||
            attempt >= store->retry.attempts)
            break;
        pause_before(store, attempt, &own);
    }
    if (status != MR_OK && err)
        *err = own;
    return of_state(status, err);
}

enum mr_status mr_state_pg_query(struct mr_state_pg *store, const char *sql, int nparams,
                                 const char *const *params, PGresult **out, struct mr_error *err)
{
    *out = NULL;
    return query(store, sql, nparams, params, out, err);
}

/* A statement whose result does not matter. */
static enum mr_status run(struct mr_state_pg *store, const char *sql, int nparams,
                          const char *const *params, struct mr_error *err)
{
    PGresult *result;
    MR_TRY(mr_state_pg_query(store, sql, nparams, params, &result, err));
    PQclear(result);
    return MR_OK;
}

/* --- opening --- */

/* A role that may not create anything can use what is there. */
static enum mr_status make_schema(struct mr_state_pg *store, struct mr_error *err)
{
    PGresult *result;
    MR_TRY(mr_state_pg_query(store, "SELECT to_regclass('millrace.identity') IS NOT NULL", 0, NULL,
                             &result, err));
    bool there = PQntuples(result) == 1 && PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return there ? MR_OK : query(store, schema_sql, -1, NULL, NULL, err);
}

static enum mr_status read_identity(struct mr_state_pg *store, char *uuid, struct mr_error *err)
{
    PGresult *result;
    const char *params[] = {uuid};
    static const char read_sql[] = "SELECT uuid, version FROM millrace.identity";
    MR_TRY(mr_state_pg_query(store, read_sql, 0, NULL, &result, err));
    if (PQntuples(result) == 1 && atoi(PQgetvalue(result, 0, 1)) == 2) {
        PQclear(result);
        MR_TRY(query(store, upgrade_sql, -1, NULL, NULL, err));
        MR_TRY(mr_state_pg_query(store, read_sql, 0, NULL, &result, err));
    }
    if (PQntuples(result) == 0) {
        PQclear(result);
        MR_TRY(mr_state_new_uuid(uuid, err));
        MR_TRY(run(store, "INSERT INTO millrace.identity VALUES (1, $1, 3) ON CONFLICT DO NOTHING",
                   1, params, err));
        MR_TRY(mr_state_pg_query(store, read_sql, 0, NULL, &result, err));
    }
    enum mr_status status = MR_OK;
    if (PQntuples(result) != 1 || PQgetlength(result, 0, 0) != 32)
        status = mr_error_config(err, "the state in %s has no identity", store->config.location);
    else if (atoi(PQgetvalue(result, 0, 1)) != SCHEMA_VERSION)
        status = mr_error_config(err, "the state in %s is of another version of Millrace (%s)",
                                 store->config.location, PQgetvalue(result, 0, 1));
    else
        memcpy(uuid, PQgetvalue(result, 0, 0), 33);
    PQclear(result);
    return status;
}

static enum mr_status pg_open(const struct mr_state_config *config, void **self, char *uuid,
                              struct mr_error *err)
{
    struct mr_state_pg *store = mr_calloc(1, sizeof *store);
    if (!store)
        return mr_error_nomem(err);
    *self = store;
    store->plain = mr_waiter_plain();
    store->retry = config->retry ? *config->retry : own_retry;
    store->retries = config->retries;
    store->waiter = config->patient ? config->patient : &store->plain;
    store->lease_micros = config->lease_micros > 0 ? config->lease_micros : LEASE_MICROS;
    store->config = (struct mr_pg_config){
        .keywords = config->keywords,
        .values = config->values,
        .location = config->location ? config->location : "state",
        .writes = true,
        .connect_timeout_micros = CONNECT_MICROS,
        .statement_timeout_micros = STATEMENT_MICROS,
        .socket_timeout_micros = SOCKET_MICROS,
    };
    MR_TRY(make_schema(store, err));
    return read_identity(store, uuid, err);
}

static void pg_close(void *self)
{
    struct mr_state_pg *store = self;
    mr_pg_close(store->pg);
    mr_free(store);
}

/* --- blobs --- */

/* '\x..' with a NUL behind it. */
static void put_hex(struct mr_bytes *out, struct mr_slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *at = mr_bytes_reserve(out, bytes.size * 2 + 3);
    if (!at)
        return;
    *at++ = '\\';
    *at++ = 'x';
    for (size_t i = 0; i < bytes.size; i++) {
        *at++ = digits[(unsigned char)bytes.data[i] >> 4];
        *at++ = digits[(unsigned char)bytes.data[i] & 15];
    }
    *at = '\0';
    out->size += bytes.size * 2 + 3;
}

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum mr_status get_hex(const PGresult *result, int row, int column, struct mr_arena *arena,
                              struct mr_slice *out, struct mr_error *err)
{
    const char *text = PQgetvalue(result, row, column);
    size_t size = (size_t)PQgetlength(result, row, column);
    if (size < 2 || text[0] != '\\' || text[1] != 'x' || size % 2)
        return mr_error_internal(err, "the server sent bytes in an unknown form");
    char *copy = mr_arena_alloc(arena, size / 2);
    if (!copy)
        return mr_error_nomem(err);
    for (size_t i = 2; i < size; i += 2) {
        int high = nibble(text[i]), low = nibble(text[i + 1]);
        if (high < 0 || low < 0)
            return mr_error_internal(err, "the server sent bytes in an unknown form");
        copy[i / 2 - 1] = (char)(high << 4 | low);
    }
    *out = (struct mr_slice){copy, size / 2 - 1};
    return MR_OK;
}

static enum mr_status load_record(void *self, const char *key, int lane, bool before,
                                  struct mr_arena *arena, struct mr_slice *out,
                                  struct mr_error *err)
{
    char number[NUMBER_BYTES];
    const char *params[] = {key, number};
    PGresult *result;
    enum mr_status status = MR_OK;
    snprintf(number, sizeof number, "%d", lane);
    MR_TRY(mr_state_pg_query(
        self,
        before ? "SELECT previous FROM millrace.lanes WHERE state_key = $1 AND lane = $2::integer"
               : "SELECT record FROM millrace.lanes WHERE state_key = $1 AND lane = $2::integer",
        2, params, &result, err));
    if (PQntuples(result) > 0 && !PQgetisnull(result, 0, 0))
        status = get_hex(result, 0, 0, arena, out, err);
    PQclear(result);
    return status;
}

/* --- records and notes --- */

/* An element of an array of texts. */
static void put_element(struct mr_bytes *out, bool first, const char *text)
{
    mr_bytes_append(out, first ? "{\"" : ",\"", 2);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            mr_bytes_u8(out, '\\');
        mr_bytes_u8(out, (uint8_t)*text);
    }
    mr_bytes_u8(out, '"');
}

/* Notes as arrays of their columns. */
struct arrays {
    struct mr_bytes kinds, epochs, names, bytes;
    int count;
};

static void init_arrays(struct arrays *arrays)
{
    mr_bytes_init(&arrays->kinds, (size_t)1 << 30);
    mr_bytes_init(&arrays->epochs, (size_t)1 << 30);
    mr_bytes_init(&arrays->names, (size_t)1 << 30);
    mr_bytes_init(&arrays->bytes, (size_t)1 << 30);
    arrays->count = 0;
}

static void reset_arrays(struct arrays *arrays)
{
    mr_bytes_reset(&arrays->kinds);
    mr_bytes_reset(&arrays->epochs);
    mr_bytes_reset(&arrays->names);
    mr_bytes_reset(&arrays->bytes);
}

static void put_number(struct mr_bytes *out, bool first, int64_t number)
{
    mr_bytes_printf(out, "%s%lld", first ? "{" : ",", (long long)number);
}

static void put_note(struct arrays *arrays, enum mr_note_kind kind, const struct mr_note *note)
{
    struct mr_bytes *bytes = &arrays->bytes;
    bool first = arrays->count++ == 0;
    put_number(&arrays->kinds, first, kind);
    put_number(&arrays->epochs, first, note->epoch);
    put_element(&arrays->names, first, note->name);
    mr_bytes_append(bytes, first ? "{\"\\" : ",\"\\", 3);
    put_hex(bytes, note->bytes);
    if (bytes->status == MR_OK)
        bytes->data[bytes->size - 1] = '"'; /* the NUL */
}

static enum mr_status end_arrays(struct arrays *arrays, struct mr_error *err)
{
    const char *end = arrays->count > 0 ? "}" : "{}";
    size_t size = strlen(end) + 1;
    mr_bytes_append(&arrays->kinds, end, size);
    mr_bytes_append(&arrays->epochs, end, size);
    mr_bytes_append(&arrays->names, end, size);
    mr_bytes_append(&arrays->bytes, end, size);
    MR_TRY(mr_bytes_status(&arrays->kinds, err));
    MR_TRY(mr_bytes_status(&arrays->epochs, err));
    MR_TRY(mr_bytes_status(&arrays->names, err));
    return mr_bytes_status(&arrays->bytes, err);
}

/* Of the arrays in $4 to $7. */
#define PUT_SQL                                                                                    \
    "put AS (INSERT INTO millrace.notes SELECT state_key, n.kind, n.epoch, n.name, n.bytes"        \
    " FROM held, unnest($4::integer[], $5::bigint[], $6::text[], $7::bytea[])"                     \
    " AS n(kind, epoch, name, bytes)"                                                              \
    " ON CONFLICT (state_key, kind, epoch, name) DO UPDATE SET bytes = excluded.bytes)"

static enum mr_status put_notes(void *lease, enum mr_note_kind kind, const struct mr_note *notes,
                                int count, struct mr_error *err)
{
    struct arrays arrays;
    init_arrays(&arrays);
    for (int i = 0; i < count; i++)
        put_note(&arrays, kind, &notes[i]);
    enum mr_status status = end_arrays(&arrays, err);
    const char *params[] = {arrays.kinds.data, arrays.epochs.data, arrays.names.data,
                            arrays.bytes.data};
    if (status == MR_OK)
        status = mr_state_pg_write(lease, PUT_SQL, 4, params, err);
    reset_arrays(&arrays);
    return status;
}

/*
 * The parts of one statement see the same notes, and none of them may change a row twice: what is put does not go. Of its row that is there
 * it takes the place.
 */
static const char store_sql[] =
    PUT_SQL ", gone AS (DELETE FROM millrace.notes n"
            " USING held, unnest($8::integer[], $9::bigint[]) AS d(kind, first)"
            " WHERE n.state_key = held.state_key AND n.kind = d.kind AND n.epoch >= d.first"
            " AND NOT EXISTS (SELECT FROM unnest($4::integer[], $5::bigint[], $6::text[])"
            " AS p(kind, epoch, name)"
            " WHERE p.kind = n.kind AND p.epoch = n.epoch AND p.name = n.name)),"
            " stored AS (INSERT INTO millrace.lanes AS l SELECT state_key, $10::integer,"
            " $11::bytea, NULL FROM held ON CONFLICT (state_key, lane)"
            " DO UPDATE SET previous = l.record, record = excluded.record)";

static enum mr_status store_record(void *lease, int lane, struct mr_slice record,
                                   const struct mr_note_change *changes, int count,
                                   struct mr_error *err)
{
    char number[NUMBER_BYTES];
    struct arrays put, gone;
    struct mr_bytes hex;
    enum mr_status status = MR_OK;
    struct mr_note first = {.name = ""}; /* of those that go */
    init_arrays(&put);
    init_arrays(&gone);
    mr_bytes_init(&hex, (size_t)1 << 30);
    put_hex(&hex, record);
    snprintf(number, sizeof number, "%d", lane);
    for (int i = 0; i < count; i++) {
        first.epoch = changes[i].from;
        put_note(&gone, changes[i].kind, &first);
        if (changes[i].mark.name != NULL)
            put_note(&put, changes[i].kind, &changes[i].mark);
    }
    MR_TRY_OUT(mr_bytes_status(&hex, err));
    MR_TRY_OUT(end_arrays(&put, err));
    MR_TRY_OUT(end_arrays(&gone, err));
    const char *params[] = {put.kinds.data,  put.epochs.data,  put.names.data, put.bytes.data,
                            gone.kinds.data, gone.epochs.data, number,         hex.data};
    status = mr_state_pg_write(lease, store_sql, 8, params, err);
out:
    reset_arrays(&put);
    reset_arrays(&gone);
    mr_bytes_reset(&hex);
    return status;
}

static enum mr_status drop_notes(void *lease, enum mr_note_kind kind, int64_t from, int64_t upto,
                                 struct mr_error *err)
{
    char number[NUMBER_BYTES], first[NUMBER_BYTES], last[NUMBER_BYTES];
    const char *params[] = {number, first, last};
    snprintf(number, sizeof number, "%d", (int)kind);
    snprintf(first, sizeof first, "%lld", (long long)from);
    snprintf(last, sizeof last, "%lld", (long long)upto);
    return mr_state_pg_write(lease,
                             "gone AS (DELETE FROM millrace.notes n USING held WHERE n.state_key ="
                             " held.state_key AND n.kind = $4::integer"
                             " AND n.epoch BETWEEN $5::bigint AND $6::bigint)",
                             3, params, err);
}

static enum mr_status read_note(const PGresult *result, int row, struct mr_arena *arena,
                                struct mr_note *note, struct mr_error *err)
{
    note->epoch = strtoll(PQgetvalue(result, row, 0), NULL, 10);
    note->name = mr_arena_strdup(arena, PQgetvalue(result, row, 1));
    if (!note->name)
        return mr_error_nomem(err);
    return PQnfields(result) > 2 ? get_hex(result, row, 2, arena, &note->bytes, err) : MR_OK;
}

static enum mr_status read_notes(void *self, const struct mr_note_filter *filter,
                                 struct mr_arena *arena, struct mr_note **out, int *count,
                                 struct mr_error *err)
{
    char number[NUMBER_BYTES], wanted[NUMBER_BYTES];
    const char *params[] = {filter->key, number, wanted, filter->name};
    PGresult *result;
    enum mr_status status = MR_OK;
    snprintf(number, sizeof number, "%d", (int)filter->kind);
    snprintf(wanted, sizeof wanted, "%lld", (long long)filter->epoch);
    MR_TRY(mr_state_pg_query(
        self,
        filter->no_bytes
            ? "SELECT epoch, name FROM millrace.notes WHERE state_key = $1"
              " AND kind = $2::integer AND ($3::bigint = -1 OR epoch = $3::bigint)"
              " AND ($4::text IS NULL OR name = $4) ORDER BY epoch, name COLLATE \"C\""
            : "SELECT epoch, name, bytes FROM millrace.notes WHERE state_key = $1"
              " AND kind = $2::integer AND ($3::bigint = -1 OR epoch = $3::bigint)"
              " AND ($4::text IS NULL OR name = $4) ORDER BY epoch, name COLLATE \"C\"",
        4, params, &result, err));
    int rows = PQntuples(result);
    *out = mr_arena_calloc(arena, (size_t)rows + 1, sizeof **out);
    if (!*out)
        status = mr_error_nomem(err);
    for (int i = 0; status == MR_OK && i < rows; i++)
        status = read_note(result, i, arena, &(*out)[i], err);
    *count = status == MR_OK ? rows : 0;
    PQclear(result);
    return status;
}

/* --- runs --- */

static enum mr_status run_begin(void *self, const struct mr_run_row *row, struct mr_error *err)
{
    char started[NUMBER_BYTES];
    const char *params[] = {row->run_id, row->pipeline, row->state_key, started, row->run_key};
    snprintf(started, sizeof started, "%lld", (long long)row->started_micros);
    return run(self,
               "INSERT INTO millrace.runs (run_id, pipeline, state_key, status, exit_code, started,"
               " ended, rows_read, rows_written, run_key) VALUES ($1, $2, $3, 'running', -1,"
               " $4::bigint, 0, 0, 0, $5) ON CONFLICT DO NOTHING",
               5, params, err);
}

static enum mr_status run_end(void *self, const struct mr_run_row *row, struct mr_error *err)
{
    char numbers[4][NUMBER_BYTES];
    int64_t values[4] = {row->exit_code, row->ended_micros, row->rows_read, row->rows_written};
    for (int i = 0; i < 4; i++)
        snprintf(numbers[i], sizeof numbers[i], "%lld", (long long)values[i]);
    const char *params[] = {row->run_id, row->status, numbers[0],   numbers[1],
                            numbers[2],  numbers[3],  row->message, row->report};
    return run(self,
               "UPDATE millrace.runs SET status = $2, exit_code = $3::integer, ended = $4::bigint,"
               " rows_read = $5::bigint, rows_written = $6::bigint, message = $7, report = $8"
               " WHERE run_id = $1",
               8, params, err);
}

static const char *copy_text(struct mr_arena *arena, const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return NULL;
    return mr_arena_strdup(arena, PQgetvalue(result, row, column));
}

static int64_t get_number(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

static enum mr_status read_runs(void *self, const struct mr_run_filter *filter,
                                struct mr_arena *arena, struct mr_run_row **rows, int *count,
                                struct mr_error *err)
{
    char most[NUMBER_BYTES];
    const char *params[] = {filter->state_key, most, filter->run_id, filter->run_key,
                            filter->lanes ? "t" : "f"};
    PGresult *result;
    snprintf(most, sizeof most, "%d", filter->limit);
    MR_TRY(mr_state_pg_query(self,
                             "SELECT run_id, pipeline, state_key, status, exit_code, started,"
                             " ended, rows_read, rows_written, message, CASE WHEN $3::text IS NULL"
                             " THEN NULL ELSE report END, run_key FROM millrace.runs"
                             " WHERE ($1::text IS NULL OR state_key = $1 OR ($5::boolean AND"
                             " left(state_key, length($1) + 1) = $1 || '@'))"
                             " AND ($3::text IS NULL OR run_id = $3)"
                             " AND ($4::text IS NULL OR (run_key = $4 AND status = 'success'))"
                             " ORDER BY started DESC LIMIT $2::integer",
                             5, params, &result, err));
    *count = PQntuples(result);
    *rows = mr_arena_calloc(arena, (size_t)*count + 1, sizeof **rows);
    for (int i = 0; *rows && i < *count; i++)
        (*rows)[i] = (struct mr_run_row){
            .run_id = copy_text(arena, result, i, 0),
            .pipeline = copy_text(arena, result, i, 1),
            .state_key = copy_text(arena, result, i, 2),
            .status = copy_text(arena, result, i, 3),
            .exit_code = (int)get_number(result, i, 4),
            .started_micros = get_number(result, i, 5),
            .ended_micros = get_number(result, i, 6),
            .rows_read = get_number(result, i, 7),
            .rows_written = get_number(result, i, 8),
            .message = copy_text(arena, result, i, 9),
            .report = copy_text(arena, result, i, 10),
            .run_key = copy_text(arena, result, i, 11),
        };
    PQclear(result);
    return *rows ? MR_OK : mr_error_nomem(err);
}

static enum mr_status lane_keys(void *self, const char *key, struct mr_arena *arena,
                                const char ***out, int *count, struct mr_error *err)
{
    const char *params[] = {key};
    PGresult *result;
    MR_TRY(mr_state_pg_query(self,
                             "SELECT DISTINCT state_key COLLATE \"C\" FROM millrace.lanes"
                             " WHERE left(state_key, length($1) + 1) = $1 || '@' ORDER BY 1",
                             1, params, &result, err));
    int rows = PQntuples(result);
    *out = mr_arena_calloc(arena, (size_t)rows + 1, sizeof **out);
    enum mr_status status = *out ? MR_OK : mr_error_nomem(err);
    for (int i = 0; status == MR_OK && i < rows; i++) {
        (*out)[i] = copy_text(arena, result, i, 0);
        if (!(*out)[i])
            status = mr_error_nomem(err);
    }
    *count = status == MR_OK ? rows : 0;
    PQclear(result);
    return status;
}

static enum mr_status holder(void *self, const char *key, struct mr_arena *arena,
                             const char **run_id, struct mr_error *err)
{
    const char *params[] = {key};
    PGresult *result;
    MR_TRY(mr_state_pg_query(self,
                             "SELECT run_id FROM millrace.leases WHERE state_key = $1"
                             " AND expires > clock_timestamp()",
                             1, params, &result, err));
    *run_id = PQntuples(result) > 0 ? copy_text(arena, result, 0, 0) : NULL;
    PQclear(result);
    return MR_OK;
}

const struct mr_state_backend mr_state_postgres = {
    .open = pg_open,
    .close = pg_close,
    .lease = mr_state_pg_take,
    .release = mr_state_pg_release,
    .check = mr_state_pg_check,
    .load_record = load_record,
    .store_record = store_record,
    .lane_keys = lane_keys,
    .put_notes = put_notes,
    .notes = read_notes,
    .drop_notes = drop_notes,
    .run_begin = run_begin,
    .run_end = run_end,
    .runs = read_runs,
    .holder = holder,
};
