/*
 * sink_state.c - what a database remembers of the pipelines that load it: a row for (state_key, lane, sink) in
 * _millrace_state, in the schema of the target, written by the very transaction that writes the rows.
 *
 * `sink` is the table's name with the number of the load in its pipeline, so that two loads into one table do not take each other's
 * epochs for their own. recover takes the row of another load of the table only when there is none of its own: the pipeline
 * was changed, and a lost state is to be noticed all the same.
 */
#include "connect/postgres/sink_private.h"
#include "net/pg_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void state_table(const char *schema, struct mr_bytes *sql)
{
    mr_pg_identifier(sql, schema);
    mr_bytes_text(sql, "." PG_STATE_TABLE);
}

static void literal(struct mr_bytes *sql, const char *text)
{
    mr_pg_literal(sql, mr_slice_of(text ? text : ""));
}

/* Runs what was written and frees it. `result` may be NULL. */
static enum mr_status run(struct mr_pg *pg, struct mr_bytes *sql, PGresult **result,
                          struct mr_error *err)
{
    enum mr_status status = mr_bytes_status(sql, err);
    if (status == MR_OK && result)
        status =
            pg_sink_blame(mr_pg_query(pg, sql->data, 0, NULL, result, err), pg, NULL, NULL, err);
    else if (status == MR_OK)
        status = pg_sink_blame(mr_pg_exec(pg, sql->data, err), pg, NULL, NULL, err);
    mr_bytes_reset(sql);
    return status;
}

static void begin(struct mr_bytes *sql)
{
    mr_bytes_init(sql, MR_BYTES_DEFAULT_MAXIMUM);
}

/* *run_id: it has that column, which one of an older version lacks. */
static enum mr_status look_for_table(struct mr_pg *pg, const char *schema, bool *exists,
                                     bool *run_id, struct mr_error *err)
{
    struct mr_bytes sql;
    PGresult *result = NULL;
    *exists = *run_id = false;
    begin(&sql);
    mr_bytes_text(&sql, "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = "
                        "c.oid AND a.attname = 'run_id' AND NOT a.attisdropped) FROM "
                        "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
                        "c.relnamespace WHERE c.relname = '" PG_STATE_TABLE "' AND n.nspname = ");
    literal(&sql, schema);
    enum mr_status status = run(pg, &sql, &result, err);
    if (status == MR_OK && PQntuples(result) > 0) {
        *exists = true;
        *run_id = pg_field(result, 0, 0)[0] == 't';
    }
    PQclear(result);
    return status;
}

enum mr_status pg_state_make(struct mr_pg *pg, const char *schema, struct mr_error *err)
{
    struct mr_bytes sql;
    bool exists, run_id;
    MR_TRY(look_for_table(pg, schema, &exists, &run_id, err));
    if (run_id)
        return MR_OK;
    begin(&sql);
    /* IF NOT EXISTS alone can fail when two make it at once; the number is that of this lock. */
    mr_bytes_text(&sql,
                  "BEGIN; SELECT pg_advisory_xact_lock(7308604897319743); CREATE TABLE IF NOT "
                  "EXISTS ");
    state_table(schema, &sql);
    mr_bytes_text(&sql,
                  " (state_key text NOT NULL, lane integer NOT NULL, sink text NOT NULL, "
                  "state_uuid text NOT NULL, epoch bigint NOT NULL, positions bytea NOT NULL, "
                  "updated_at timestamptz NOT NULL DEFAULT clock_timestamp(), run_id text NOT NULL "
                  "DEFAULT '', PRIMARY KEY (state_key, lane, sink))");
    if (exists) {
        mr_bytes_text(&sql, "; ALTER TABLE ");
        state_table(schema, &sql);
        mr_bytes_text(&sql, " ADD COLUMN IF NOT EXISTS run_id text NOT NULL DEFAULT ''");
    }
    mr_bytes_text(&sql, "; COMMIT");
    return run(pg, &sql, NULL, err);
}

static void fill_memory(const PGresult *result, struct pg_memory *out)
{
    out->epoch = strtoll(pg_field(result, 0, 0), NULL, 10);
    snprintf(out->uuid, sizeof out->uuid, "%s", pg_field(result, 0, 1));
    snprintf(out->run, sizeof out->run, "%s", pg_field(result, 0, 2));
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static void append_hex(struct mr_bytes *out, const char *hex)
{
    for (; hex[0] && hex[1]; hex += 2)
        mr_bytes_u8(out, (uint8_t)(digit(hex[0]) << 4 | digit(hex[1])));
}

enum mr_status pg_state_read(struct mr_pg *pg, const struct pg_state_of *of, struct pg_memory *out,
                             struct mr_bytes *positions, struct mr_error *err)
{
    struct mr_bytes sql;
    PGresult *result = NULL;
    *out = (struct pg_memory){0};
    if (!of->target->remembers)
        return MR_OK;
    begin(&sql);
    /* A table of an older version has no run_id. */
    mr_bytes_text(&sql, "SELECT epoch, state_uuid, coalesce(to_jsonb(s) ->> 'run_id', ''), "
                        "encode(positions, 'hex'), sink FROM ");
    state_table(of->target->schema, &sql);
    mr_bytes_text(&sql, " s WHERE state_key = ");
    literal(&sql, of->state_key);
    mr_bytes_printf(&sql, " AND lane = %d AND %s = ", of->lane,
                    of->sink ? "sink" : "regexp_replace(sink, '#[0-9]+$', '')");
    literal(&sql, of->sink ? of->sink : of->target->name);
    mr_bytes_text(&sql, " ORDER BY updated_at DESC, epoch DESC LIMIT 1");
    enum mr_status status = run(pg, &sql, &result, err);
    if (status == MR_OK && PQntuples(result) == 1) {
        fill_memory(result, out);
        const char *number = strrchr(pg_field(result, 0, 4), '#');
        out->load = number ? atoi(number + 1) : 0;
        if (positions)
            append_hex(positions, pg_field(result, 0, 3));
    }
    PQclear(result);
    return status;
}

static void where_row(const struct pg_token *token, struct mr_bytes *sql)
{
    mr_bytes_text(sql, " WHERE state_key = ");
    literal(sql, token->state_key);
    mr_bytes_printf(sql, " AND lane = %d AND sink = ", token->lane);
    literal(sql, token->sink);
}

enum mr_status pg_state_lock(struct mr_pg *pg, const struct pg_token *token, struct pg_memory *out,
                             struct mr_error *err)
{
    struct mr_bytes sql;
    PGresult *result = NULL;
    *out = (struct pg_memory){0};
    begin(&sql);
    mr_bytes_text(&sql, "INSERT INTO ");
    state_table(token->schema, &sql);
    mr_bytes_text(&sql, " (state_key, lane, sink, state_uuid, epoch, positions) VALUES (");
    literal(&sql, token->state_key);
    mr_bytes_printf(&sql, ", %d, ", token->lane);
    literal(&sql, token->sink);
    mr_bytes_text(&sql, ", '', 0, '') ON CONFLICT DO NOTHING");
    MR_TRY(run(pg, &sql, NULL, err));
    begin(&sql);
    mr_bytes_text(&sql, "SELECT epoch, state_uuid, run_id FROM ");
    state_table(token->schema, &sql);
    where_row(token, &sql);
    mr_bytes_text(&sql, " FOR UPDATE");
    enum mr_status status = run(pg, &sql, &result, err);
    if (status == MR_OK && PQntuples(result) != 1)
        status = mr_error_set(err, MR_SINK, MR_CLASS_TRANSIENT,
                              "the row of this load in " PG_STATE_TABLE " was deleted meanwhile");
    else if (status == MR_OK)
        fill_memory(result, out);
    PQclear(result);
    return status;
}

enum mr_status pg_state_store(struct mr_pg *pg, const struct pg_token *token, struct mr_error *err)
{
    struct mr_bytes sql;
    begin(&sql);
    mr_bytes_text(&sql, "UPDATE ");
    state_table(token->schema, &sql);
    mr_bytes_printf(&sql, " SET epoch = %" PRId64 ", updated_at = clock_timestamp(), state_uuid = ",
                    token->epoch);
    literal(&sql, token->uuid);
    mr_bytes_text(&sql, ", run_id = ");
    literal(&sql, token->run);
    mr_bytes_text(&sql, ", positions = decode('");
    for (size_t i = 0; i < token->positions.size; i++)
        mr_bytes_printf(&sql, "%02x", (unsigned char)token->positions.data[i]);
    mr_bytes_text(&sql, "', 'hex')");
    where_row(token, &sql);
    return run(pg, &sql, NULL, err);
}

/* ---- recover ---- */

/* What recover and abort ask with. */
struct asking {
    const struct mr_options *options;
    struct mr_runtime *runtime;
    struct mr_arena *arena;
    int lane;
    struct mr_recovered *out;
    struct mr_slice token;
};

static enum mr_status recover(void *context, struct mr_pg *pg, struct mr_error *err)
{
    const struct asking *asking = context;
    struct mr_recovered *out = asking->out;
    struct pg_target target;
    struct pg_memory memory;
    mr_bytes_clear(&out->positions);
    MR_TRY(
        pg_target_find(pg, mr_options_text(asking->options, "table"), asking->arena, &target, err));
    out->missing = !target.exists;
    const char *own = mr_arena_printf(asking->arena, "%s#%d", target.name, out->load);
    if (!own)
        return mr_error_nomem(err);
    struct pg_state_of of = {&target, asking->runtime->state_key, own, asking->lane};
    MR_TRY(pg_state_read(pg, &of, &memory, &out->positions, err));
    of.sink = NULL;
    if (memory.epoch == 0)
        MR_TRY(pg_state_read(pg, &of, &memory, &out->positions, err));
    out->load = memory.epoch > 0 ? memory.load : out->load;
    out->epoch = memory.epoch;
    out->run = mr_run_mark(memory.run);
    snprintf(out->state_uuid, sizeof out->state_uuid, "%s", memory.uuid);
    return mr_bytes_status(&out->positions, err);
}

enum mr_status pg_sink_recover(const struct mr_options *options, struct mr_runtime *runtime,
                               int lane, struct mr_recovered *out, struct mr_error *err)
{
    struct mr_arena arena;
    struct pg_link link;
    struct asking asking = {options, runtime, &arena, lane, out, {NULL, 0}};
    mr_arena_init(&arena, NULL);
    out->epoch = 0;
    out->state_uuid[0] = '\0';
    out->adds = options && mr_options_integer(options, "mode", PG_APPEND) == PG_APPEND &&
                !mr_options_has(options, "replaceWhere");
    enum mr_status status = pg_link_read(&link, options, runtime, &arena, err);
    if (status == MR_OK)
        status = pg_link_ask(&link, runtime, "last epoch", recover, &asking, err);
    mr_arena_reset(&arena);
    return status;
}

/* ---- abort ---- */

static enum mr_status drop(struct mr_pg *pg, const char *schema, const char *name,
                           struct mr_error *err)
{
    struct mr_bytes sql;
    begin(&sql);
    mr_bytes_text(&sql, "DROP TABLE IF EXISTS ");
    mr_pg_identifier(&sql, schema);
    mr_bytes_char(&sql, '.');
    mr_pg_identifier(&sql, name);
    return run(pg, &sql, NULL, err);
}

/*
 * Ends the sessions of a dead run (of a process that was stopped, of a machine that is gone), which may be in the middle of making
 * a table, and waits until they are over. Without state_uuid those of all states of the pipeline.
 */
static enum mr_status end_sessions(struct mr_pg *pg, const struct mr_runtime *runtime,
                                   struct mr_error *err)
{
    struct mr_bytes sql;
    uint64_t number = pg_staging_number(runtime);
    int ignored = runtime->state_uuid ? 0 : 24;
    begin(&sql);
    mr_bytes_printf(&sql,
                    "SELECT pg_advisory_lock(held.n), pg_advisory_unlock(held.n) FROM (SELECT "
                    "(l.classid::bigint << 32) | l.objid::bigint AS n, "
                    "count(pg_terminate_backend(l.pid)) FROM pg_catalog.pg_locks l JOIN "
                    "pg_catalog.pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' "
                    "AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = "
                    "current_database()) AND l.classid = %" PRIu64
                    " AND l.objid::bigint >> %d = %" PRIu64
                    " AND l.objsubid = 1 AND a.usename = current_user AND l.pid <> "
                    "pg_backend_pid() GROUP BY 1 OFFSET 0) held",
                    number >> 32, ignored, (number & 0xffffffff) >> ignored);
    return run(pg, &sql, NULL, err);
}

static enum mr_status drop_leftovers(struct mr_pg *pg, const struct asking *asking,
                                     struct mr_error *err)
{
    struct pg_target target;
    struct mr_bytes sql;
    PGresult *result = NULL;
    char prefix[PG_NAME_MAX];
    pg_staging_prefix(asking->runtime, prefix);
    MR_TRY(
        pg_target_find(pg, mr_options_text(asking->options, "table"), asking->arena, &target, err));
    MR_TRY(end_sessions(pg, asking->runtime, err));
    begin(&sql);
    mr_bytes_text(&sql, "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace "
                        "n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = ");
    literal(&sql, target.schema);
    mr_bytes_printf(&sql, " AND left(c.relname, %d) = '%s'", (int)strlen(prefix), prefix);
    enum mr_status status = run(pg, &sql, &result, err);
    for (int i = 0; status == MR_OK && i < PQntuples(result); i++)
        status = drop(pg, target.schema, pg_field(result, i, 0), err);
    PQclear(result);
    return status;
}

static enum mr_status drop_staged(struct mr_pg *pg, struct mr_slice data, struct mr_arena *arena,
                                  struct mr_error *err)
{
    struct pg_token token;
    MR_TRY(pg_token_read(data, arena, &token, err));
    for (int i = 0; i < token.nstaged; i++)
        MR_TRY(drop(pg, token.schema, token.staged[i].name, err));
    char notes[PG_NAME_MAX];
    if (token.noted && token.nstaged > 0) {
        pg_staging_notes(token.staged[0].name, notes);
        MR_TRY(drop(pg, token.schema, notes, err));
    }
    return MR_OK;
}

static enum mr_status discard(void *context, struct mr_pg *pg, struct mr_error *err)
{
    const struct asking *asking = context;
    if (asking->token.size > 0)
        return drop_staged(pg, asking->token, asking->arena, err);
    return drop_leftovers(pg, asking, err);
}

enum mr_status pg_sink_abort(const struct mr_options *options, struct mr_runtime *runtime,
                             struct mr_slice token, struct mr_error *err)
{
    struct mr_arena arena;
    struct pg_link link;
    struct asking asking = {options, runtime, &arena, 0, NULL, token};
    if (options == NULL) {
        mr_event(runtime, MR_LOG_WARN,
                 "staging tables (_mr_..) may be left: the file has no such load any more");
        return MR_OK;
    }
    mr_arena_init(&arena, NULL);
    enum mr_status status = pg_link_read(&link, options, runtime, &arena, err);
    if (status == MR_OK)
        status = pg_link_ask(&link, runtime, "discarding", discard, &asking, err);
    mr_arena_reset(&arena);
    return status;
}
