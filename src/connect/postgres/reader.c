/*
 * reader.c - one split through one connection into batches.
 *
 * A reader takes a connection from the pool, makes sure that the relation still is what was planned (once per connection and relation), and runs
 * COPY (SELECT ..) TO STDOUT (FORMAT binary). A batch ends at about 4 MB of messages or 64 Ki rows, whichever comes first; the room
 * for its rows is reserved before, from what the last batch needed. The connection goes back as soon as the last row is read.
 *
 * The check takes the relation's lock (planning a statement locks it) and compares the types of the SELECT list and the table's file node: a
 * TRUNCATE or a rewriting ALTER TABLE after the snapshot would otherwise show as missing rows. From then on the reader's
 * transaction holds the lock, so one check is enough.
 *
 * Reopening in the middle skips rows with OFFSET on the server. That is sound only for splits read in physical order under one snapshot, so these
 * force it (no index scans, no parallel plans, no synchronised scans); other splits refuse to be reopened.
 */
#include "connect/postgres/state.h"

#include "base/hash.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH_BYTES     ((int64_t)4 << 20)
#define ASKED_BYTES_MAX ((int64_t)64 << 20) /* a batch of so many rows as the user wants */
#define BATCH_ROWS_MIN  1024
#define BATCH_ROWS_MAX  65536

#define TEXT_ARRAY 1009 /* pg_type: text[] */

struct reader {
    const struct mr_postgres_state *state;
    struct mr_runtime *runtime;
    struct mr_postgres_conn *conn; /* NULL behind the last row */
    struct mr_copy_decoder decoder;
    char *token; /* a copy; `split` points into it */
    size_t token_size;
    struct mr_postgres_split split;
    char *origin;      /* for errors: "table public.users" */
    int64_t delivered; /* rows in batches so far, skipped ones included */
    int64_t row_bytes; /* of the last batch, or predicted */
    int64_t since;     /* when the snapshot that is read was taken */
    bool ended;
};

/* --- is the relation still what was planned? --- */

static uint64_t check_identity(const struct reader *reader)
{
    uint64_t hash =
        mr_hash64_seed(reader->split.from.data, reader->split.from.size, reader->state->identity);
    hash = mr_hash_combine(hash, reader->split.filenode);
    return hash ? hash : 1;
}

static enum mr_status changed(const struct reader *reader, const char *what, struct mr_error *err)
{
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG, "%s %s between planning and reading",
                 reader->origin, what);
    mr_error_hint(err, "nothing was written; run again when no migration is under way");
    return MR_SOURCE;
}

static bool same_column(const struct mr_postgres_column *column, uint32_t type, int typmod)
{
    if (strcmp(column->cast, "::text") == 0)
        return type == MR_PG_TEXT;
    if (strcmp(column->cast, "::text[]") == 0)
        return type == TEXT_ARRAY;
    return (type == column->type && typmod == column->typmod) ||
           (type == column->base && typmod == column->base_typmod);
}

static enum mr_status check_types(const struct reader *reader, const char *select,
                                  struct mr_error *err)
{
    struct mr_pg *pg = reader->conn->pg;
    PGresult *result = NULL;
    enum mr_status status = mr_pg_describe(pg, select, &result, err);
    if (status != MR_OK) {
        const char *state = mr_pg_sqlstate(pg);
        if (strcmp(state, "42P01") == 0)
            return changed(reader, "was dropped or renamed", err);
        if (strcmp(state, "42703") == 0)
            return changed(reader, "lost or renamed a column", err);
        mr_error_prefix(err, "%s", reader->origin);
        return status;
    }
    const struct mr_postgres_state *state = reader->state;
    if (PQnfields(result) != state->ncolumns)
        status = changed(reader, "got other columns", err);
    for (int i = 0; i < state->ncolumns && status == MR_OK; i++) {
        if (same_column(&state->columns[i], PQftype(result, i), PQfmod(result, i)))
            continue;
        char what[200];
        snprintf(what, sizeof what, "changed the type of column \"%.100s\" (it was %.60s)",
                 state->columns[i].name, state->columns[i].origin);
        status = changed(reader, what, err);
    }
    PQclear(result);
    return status;
}

static enum mr_status check_filenode(const struct reader *reader, struct mr_error *err)
{
    char oid[16];
    snprintf(oid, sizeof oid, "%u", reader->split.oid);
    const char *params[] = {oid};
    PGresult *result = NULL;
    MR_TRY(mr_pg_query(reader->conn->pg,
                       "SELECT coalesce(pg_catalog.pg_relation_filenode($1::pg_catalog.oid), 0)", 1,
                       params, &result, err));
    uint32_t now = (uint32_t)strtoul(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    if (now == reader->split.filenode)
        return MR_OK;
    return changed(reader, now == 0 ? "was dropped" : "was rewritten or truncated", err);
}

static enum mr_status check_relation(struct reader *reader, struct mr_error *err)
{
    uint64_t identity = check_identity(reader);
    if (reader->conn->checked == identity)
        return MR_OK;
    char *from = mr_strndup(reader->split.from.data, reader->split.from.size);
    if (from == NULL)
        return mr_error_nomem(err);
    struct mr_bytes sql;
    mr_bytes_init(&sql, MR_BYTES_DEFAULT_MAXIMUM);
    struct mr_postgres_select select = {.from = from, .limit = -1};
    mr_postgres_write_select(reader->state, &select, &sql);
    enum mr_status status = mr_bytes_status(&sql, err);
    if (status == MR_OK)
        status = check_types(reader, sql.data, err);
    if (status == MR_OK && reader->split.filenode != 0)
        status = check_filenode(reader, err);
    if (status == MR_OK)
        reader->conn->checked = identity;
    mr_bytes_reset(&sql);
    mr_free(from);
    return status;
}

/* --- opening --- */

static enum mr_status copy_token(struct reader *reader, struct mr_slice token, struct mr_error *err)
{
    reader->token = mr_alloc(token.size);
    if (reader->token == NULL)
        return mr_error_nomem(err);
    memcpy(reader->token, token.data, token.size);
    reader->token_size = token.size;
    return mr_postgres_split_read((struct mr_slice){reader->token, token.size}, &reader->split,
                                  err);
}

static const char *ordered_session(bool ordered)
{
    if (ordered)
        return "SET enable_indexscan = off; SET enable_indexonlyscan = off; "
               "SET enable_bitmapscan = off; SET max_parallel_workers_per_gather = 0; ";
    return "RESET enable_indexscan; RESET enable_indexonlyscan; RESET enable_bitmapscan; "
           "RESET max_parallel_workers_per_gather; ";
}

static enum mr_status start_copy(struct reader *reader, struct mr_error *err)
{
    const struct mr_postgres_state *state = reader->state;
    const struct mr_postgres_split *split = &reader->split;
    char *from = mr_strndup(split->from.data, split->from.size);
    char *condition = mr_strndup(split->condition.data, split->condition.size);
    struct mr_bytes sql;
    mr_bytes_init(&sql, MR_BYTES_DEFAULT_MAXIMUM);
    if (reader->conn->ordered != split->ordered)
        mr_bytes_text(&sql, ordered_session(split->ordered));
    mr_bytes_text(&sql, "COPY (");
    struct mr_postgres_select select = {
        .from = from,
        .condition = condition,
        .limit = state->limit < 0 ? -1 : state->limit - reader->delivered,
        .offset = reader->delivered,
    };
    if (from && condition)
        mr_postgres_write_select(state, &select, &sql);
    mr_bytes_text(&sql, ") TO STDOUT (FORMAT binary)");
    enum mr_status status = from && condition ? mr_bytes_status(&sql, err) : mr_error_nomem(err);
    if (status == MR_OK)
        status = mr_pg_copy_out(reader->conn->pg, sql.data, err);
    if (status == MR_OK)
        reader->conn->ordered = split->ordered;
    else if (status != MR_NOMEM)
        mr_error_prefix(err, "%s", reader->origin);
    mr_bytes_reset(&sql);
    mr_free(from);
    mr_free(condition);
    return status;
}

static enum mr_status name_origin(struct reader *reader, struct mr_error *err)
{
    const struct mr_postgres_split *split = &reader->split;
    struct mr_bytes text;
    mr_bytes_init(&text, 4096);
    if (split->oid == 0) {
        mr_bytes_text(&text, "query");
    } else {
        mr_bytes_text(&text, "table ");
        for (size_t i = 0; i < split->from.size; i++)
            if (split->from.data[i] != '"')
                mr_bytes_char(&text, split->from.data[i]);
    }
    MR_TRY(mr_bytes_status(&text, err));
    size_t size;
    reader->origin = mr_bytes_move(&text, &size);
    return MR_OK;
}

/* A statement without a shared snapshot has its own, for as long as it runs. */
static enum mr_status check_limits(struct reader *reader, bool alone, struct mr_error *err)
{
    const struct mr_postgres_state *state = reader->state;
    reader->since = alone ? mr_clock_monotonic_micros() : mr_postgres_server_since(state->server);
    MR_TRY(mr_postgres_check_age(&state->limits, reader->since, err));
    return mr_postgres_check_lag(&state->limits, reader->runtime, reader->conn->pg, alone, err);
}

static enum mr_status open_reader(struct reader *reader, struct mr_slice from, struct mr_error *err)
{
    const struct mr_postgres_state *state = reader->state;
    MR_TRY(name_origin(reader, err));
    struct mr_slice token = {reader->token, reader->token_size};
    MR_TRY(mr_postgres_position_read(from, token, &reader->delivered, err));
    MR_TRY(mr_copy_decoder_init(&reader->decoder, reader->runtime->memory, state->fields,
                                state->ncolumns, reader->origin, err));
    reader->decoder.total = reader->delivered;
    if (reader->delivered > 0 && !reader->split.ordered) {
        mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                     "%s: reading cannot go on behind row %lld, because the order of this split's "
                     "rows may differ when read "
                     "again",
                     reader->origin, (long long)reader->delivered);
        mr_error_hint(
            err, "run again; tables split by pages (no partitionColumn, no query) can be reopened");
        return MR_SOURCE;
    }
    if (state->limit >= 0 && reader->delivered >= state->limit) {
        reader->ended = true;
        return MR_OK;
    }
    char snapshot[MR_POSTGRES_SNAPSHOT_MAX] = "";
    memcpy(snapshot, reader->split.snapshot.data, reader->split.snapshot.size);
    MR_TRY(mr_postgres_server_take(state->server, reader->runtime, snapshot,
                                   state->settings.one_connection, &reader->conn, err));
    MR_TRY(check_limits(reader, snapshot[0] == '\0', err));
    MR_TRY(check_relation(reader, err));
    return start_copy(reader, err);
}

enum mr_status mr_postgres_reader_open(void *state, struct mr_runtime *runtime,
                                       struct mr_slice split, struct mr_slice from, void **out,
                                       struct mr_error *err)
{
    *out = NULL;
    struct reader *reader = mr_calloc(1, sizeof *reader);
    if (reader == NULL)
        return mr_error_nomem(err);
    reader->state = state;
    reader->runtime = runtime;
    reader->row_bytes = reader->state->row_bytes;
    enum mr_status status = copy_token(reader, split, err);
    if (status == MR_OK)
        status = open_reader(reader, from, err);
    if (status != MR_OK) {
        mr_postgres_reader_close(reader);
        return status;
    }
    *out = reader;
    return MR_OK;
}

/* --- reading --- */

/* Rows of a batch by order of the user, 0 = the bytes decide. */
static int64_t rows_asked(const struct reader *reader)
{
    int64_t asked = reader->runtime->batch_rows;
    return asked > 0 ? asked : reader->state->settings.fetch_rows;
}

static int64_t rows_expected(const struct reader *reader)
{
    int64_t rows = BATCH_BYTES / (reader->row_bytes > 0 ? reader->row_bytes : 64);
    return rows < BATCH_ROWS_MIN ? BATCH_ROWS_MIN : rows > BATCH_ROWS_MAX ? BATCH_ROWS_MAX : rows;
}

static enum mr_status fill_batch(struct reader *reader, struct mr_error *err)
{
    struct mr_copy_decoder *decoder = &reader->decoder;
    struct mr_pg *pg = reader->conn->pg;
    int64_t asked = rows_asked(reader);
    int64_t room = rows_expected(reader);
    int64_t most = asked > 0 ? asked : room;
    int64_t most_bytes = asked > 0 ? ASKED_BYTES_MAX : BATCH_BYTES;
    int64_t limited = mr_postgres_rate_batch(&reader->state->limits.rate);
    if (limited > 0 && most > limited)
        most = limited;
    MR_TRY(mr_copy_decoder_begin(decoder, room < most ? room : most, err));
    while (decoder->rows < most && decoder->bytes < most_bytes) {
        char *data;
        size_t size;
        MR_TRY(mr_pg_copy_next(pg, &data, &size, err));
        if (data == NULL) {
            reader->ended = true;
            break;
        }
        enum mr_status status = mr_copy_decoder_message(decoder, data, size, err);
        PQfreemem(data);
        if (status != MR_OK)
            return status;
    }
    if (reader->ended && !decoder->done)
        return mr_error_data(err, MR_SOURCE, "%s: the server's COPY data ended without its trailer",
                             reader->origin);
    return MR_OK;
}

static void release_connection(struct reader *reader)
{
    if (reader->conn == NULL)
        return;
    mr_postgres_server_give(reader->state->server, reader->conn);
    reader->conn = NULL;
}

static enum mr_status check_nulls(const struct reader *reader, const struct mr_batch *batch,
                                  struct mr_error *err)
{
    for (int i = 0; i < batch->schema->nfields; i++)
        if (!batch->schema->fields[i].nullable && batch->columns[i]->nulls > 0)
            return mr_error_data(
                err, MR_SOURCE, "%s, column \"%s\": the catalog says NOT NULL, but there are NULLs",
                reader->origin, batch->schema->fields[i].name);
    return MR_OK;
}

static enum mr_status finish_batch(struct reader *reader, struct mr_item *out, struct mr_error *err)
{
    struct mr_copy_decoder *decoder = &reader->decoder;
    int64_t rows = decoder->rows;
    int64_t bytes = decoder->bytes;
    struct mr_batch *batch = NULL;
    MR_TRY(mr_copy_decoder_finish(decoder, reader->state->schema, &batch, err));
    enum mr_status status = check_nulls(reader, batch, err);
    if (status != MR_OK) {
        mr_batch_unref(batch);
        return status;
    }
    reader->row_bytes = bytes / rows + 1;
    reader->delivered += rows;
    mr_count(reader->runtime, MR_COUNT_ROWS_READ, rows);
    mr_count(reader->runtime, MR_COUNT_BYTES_READ, bytes);
    mr_count(reader->runtime, MR_COUNT_BATCHES, 1);
    out->kind = MR_ITEM_BATCH;
    out->batch = batch;
    return MR_OK;
}

/* The one thing that readers share and change. */
static struct mr_postgres_rate *rate_of(const struct reader *reader)
{
    return &((struct mr_postgres_state *)(uintptr_t)reader->state)->limits.rate;
}

enum mr_status mr_postgres_reader_next(void *object, struct mr_item *out, struct mr_error *err)
{
    struct reader *reader = object;
    memset(out, 0, sizeof *out);
    if (mr_wait_cancelled(reader->runtime->waiter))
        return mr_error_cancelled(err);
    if (!reader->ended) {
        MR_TRY(mr_postgres_check_age(&reader->state->limits, reader->since, err));
        MR_TRY(fill_batch(reader, err));
        if (reader->ended)
            release_connection(reader);
        MR_TRY(mr_postgres_rate_pay(rate_of(reader), reader->runtime, reader->decoder.rows, err));
        if (reader->decoder.rows > 0)
            return finish_batch(reader, out, err);
    }
    release_connection(reader);
    out->kind = MR_ITEM_END;
    return MR_OK;
}

enum mr_status mr_postgres_reader_position(void *object, struct mr_bytes *out, struct mr_error *err)
{
    struct reader *reader = object;
    mr_postgres_position_write((struct mr_slice){reader->token, reader->token_size},
                               reader->delivered, out);
    return mr_bytes_status(out, err);
}

void mr_postgres_reader_close(void *object)
{
    struct reader *reader = object;
    release_connection(reader);
    if (reader->decoder.columns)
        mr_copy_decoder_reset(&reader->decoder);
    mr_free(reader->origin);
    mr_free(reader->token);
    mr_free(reader);
}
