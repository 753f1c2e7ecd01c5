/*
 * incremental.c - the option `incremental`: the part of the rows that the runs before have not read.
 *
 * A run reads the window [where the last one ended, where this one may end). The lower end comes from the last run (`since`); what matters is the
 * upper one, because rows become visible in another order than their values were made in: "greater than the largest seen" loses
 * every row of a transaction that was open while a later one committed. Three ends, by what can be known:
 *
 *   xid     column of type xid8, filled with pg_current_xact_id(): the end is pg_snapshot_xmin of the snapshot. All transactions before
 *           it are over, so each row is in exactly one window. The xmin of the tuples themselves does not do: under a savepoint
 *           it is a subtransaction's, which a snapshot reports as finished while its parent is open.
 *   bound   time column, and a role that sees all sessions: the end is the start of the oldest open transaction (server.c). Rows stamped with
 *           now() or later cannot appear before it any more.
 *   largest anything else: the end is the largest value in the snapshot. That proves nothing; `overlap` reads a stretch again.
 *
 * Comparisons are made by the server, in the column's type, of text at full precision. Windows are conditions in the splits' tokens, so that every
 * kind of split and every reader keeps to them.
 */
#include "connect/postgres/incremental.h"
#include "connect/postgres/incremental_mark.h"

#include "net/pg_text.h"

static const char *const no_notes[] = {NULL};

static bool add_note(struct mr_postgres_incremental *work, const char *note)
{
    if (note == NULL || work->nnotes + 1 >= (int)(sizeof work->notes / sizeof work->notes[0]))
        return note != NULL;
    work->notes[work->nnotes++] = note;
    return true;
}

/* The last statement failed because its text was no value of the type. */
static bool server_says_no(const struct mr_pg *pg)
{
    return strncmp(mr_pg_sqlstate(pg), "22", 2) == 0;
}

static enum mr_status pass_on(const struct mr_error *cause, struct mr_error *err)
{
    if (err)
        *err = *cause;
    return cause->status;
}

/* Runs text through a type of the server: *out is its form of the value, in the arena. */
static enum mr_status canonical(struct mr_pg *pg, struct mr_arena *arena, const char *text,
                                const char *type, const char **out, struct mr_error *err)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT ($1::pg_catalog.text::%.120s)::pg_catalog.text", type);
    PGresult *result = NULL;
    MR_TRY(mr_postgres_ask(pg, sql, 1, &text, &result, err));
    *out = mr_arena_strdup(arena, PQgetvalue(result, 0, 0));
    PQclear(result);
    return *out ? MR_OK : mr_error_nomem(err);
}

/* --- bind: options, columns, who we are --- */

enum mr_status mr_postgres_incremental_check(const struct mr_postgres_settings *settings,
                                             struct mr_error *err)
{
    const struct mr_options *options = settings->incremental;
    if (options == NULL)
        return MR_OK;
    if (!mr_options_has(options, "column"))
        return mr_options_error(settings->options, "incremental", err,
                                "\"incremental\" needs \"column\"");
    if (mr_options_get(options, "key")->u.strings.count > MR_POSTGRES_KEYS_MAX)
        return mr_options_error(options, "key", err, "more than %d columns", MR_POSTGRES_KEYS_MAX);
    if (mr_options_integer(options, "mode", 0) == MR_POSTGRES_XID &&
        mr_options_has(options, "overlap"))
        return mr_options_error(options, "overlap", err,
                                "mode xid reads every row once and needs no overlap");
    return MR_OK;
}

static enum mr_status find_column(struct mr_postgres_state *state, const char *option,
                                  const char *name, const struct mr_postgres_column **out,
                                  struct mr_error *err)
{
    for (int i = 0; i < state->nall; i++) {
        *out = &state->all[i];
        if (strcmp(state->all[i].name, name) == 0)
            return MR_OK;
    }
    for (int i = 0; i < state->nall; i++) {
        *out = &state->all[i];
        if (strcasecmp(state->all[i].name, name) == 0)
            return MR_OK;
    }
    return mr_options_error(state->settings.incremental, option, err, "%s has no column \"%s\"",
                            state->relation.label, name);
}

/*
 * The type that literals of a column get: without length and precision, which would round them. Of bpchar that is not what format_type says.
 */
static enum mr_status literal_type(struct mr_pg *pg, struct mr_arena *arena,
                                   const struct mr_postgres_column *column, const char **out,
                                   struct mr_error *err)
{
    if (column->base == MR_PG_BPCHAR) {
        *out = "pg_catalog.bpchar";
        return MR_OK;
    }
    char oid[16];
    snprintf(oid, sizeof oid, "%u", column->base);
    const char *params[] = {oid};
    PGresult *result = NULL;
    MR_TRY(mr_postgres_ask(pg, "SELECT pg_catalog.format_type($1::pg_catalog.oid, NULL)", 1, params,
                           &result, err));
    *out = mr_arena_strdup(arena, PQgetvalue(result, 0, 0));
    PQclear(result);
    return *out ? MR_OK : mr_error_nomem(err);
}

static enum mr_status find_columns(struct mr_postgres_state *state, struct mr_pg *pg,
                                   struct mr_postgres_incremental *work, struct mr_error *err)
{
    const struct mr_options *options = work->options;
    MR_TRY(find_column(state, "column", mr_options_text(options, "column"), &work->column, err));
    MR_TRY(literal_type(pg, state->arena, work->column, &work->types[0], err));
    const struct mr_option_value *keys = mr_options_get(options, "key");
    int nkeys = keys->set ? keys->u.strings.count : 0;
    const struct mr_postgres_relation *relation = &state->relation;
    bool known = relation->kind == 'p' || (relation->kind == 'r' && !relation->parent);
    for (int i = 0; i < nkeys; i++) {
        MR_TRY(find_column(state, "key", keys->u.strings.items[i], &work->keys[i], err));
        if (known && !work->keys[i]->not_null)
            return mr_options_error(options, "key", err,
                                    "\"%s\" may be NULL, and NULL breaks no tie",
                                    work->keys[i]->name);
        MR_TRY(literal_type(pg, state->arena, work->keys[i], &work->types[i + 1], err));
        work->mark.keys[i] = work->keys[i]->name;
    }
    work->mark.nkeys = nkeys;
    work->mark.column = work->column->name;
    work->mark.type = work->types[0];
    return MR_OK;
}

/* The server's identity lies behind a privilege that is public by default. */
static enum mr_status find_system(struct mr_postgres_state *state, struct mr_pg *pg,
                                  struct mr_postgres_incremental *work, struct mr_error *err)
{
    struct mr_arena *arena = state->arena;
    const struct mr_postgres_relation *relation = &state->relation;
    PGresult *result = NULL;
    MR_TRY(
        mr_postgres_ask(pg,
                        "SELECT pg_catalog.current_database(), pg_catalog.has_function_privilege("
                        "'pg_catalog.pg_control_system()', 'EXECUTE')",
                        0, NULL, &result, err));
    bool allowed = PQgetvalue(result, 0, 1)[0] == 't';
    work->mark.database = mr_arena_strdup(arena, PQgetvalue(result, 0, 0));
    PQclear(result);
    work->mark.system = "";
    if (allowed) {
        MR_TRY(mr_postgres_ask(pg, "SELECT system_identifier FROM pg_catalog.pg_control_system()",
                               0, NULL, &result, err));
        work->mark.system = mr_arena_strdup(arena, PQgetvalue(result, 0, 0));
        PQclear(result);
    } else if (!add_note(work, "incremental: this role may not call pg_control_system(), so "
                               "another server in this one's place would not be noticed")) {
        return mr_error_nomem(err);
    }
    work->mark.relation = relation->oid ? mr_arena_printf(arena, "%s (oid %u)", relation->label,
                                                          (unsigned)relation->oid)
                                        : relation->label;
    if (!work->mark.database || !work->mark.system || !work->mark.relation)
        return mr_error_nomem(err);
    return MR_OK;
}

/* --- bind: what can be promised --- */

static enum mr_status choose_ending(struct mr_postgres_state *state, struct mr_pg *pg,
                                    struct mr_postgres_incremental *work, bool *hidden,
                                    struct mr_error *err)
{
    int64_t mode = mr_options_integer(work->options, "mode", 0);
    bool xid = work->column->base == MR_PG_XID8;
    if (mode == MR_POSTGRES_XID && !xid)
        return mr_options_error(work->options, "mode", err,
                                "mode xid needs a column of type xid8; \"%s\" is %s",
                                work->column->name, work->column->origin);
    if (mode == MR_POSTGRES_CURSOR && xid)
        return mr_options_error(work->options, "mode", err,
                                "\"%s\" is xid8: mode xid reads it exactly once",
                                work->column->name);
    if (xid && mr_options_has(work->options, "overlap"))
        return mr_options_error(work->options, "overlap", err,
                                "a column of type xid8 is read once and needs no overlap");
    work->ending = xid ? MR_POSTGRES_ENDING_XID : MR_POSTGRES_ENDING_LARGEST;
    if (xid || !mr_postgres_is_time(work->column))
        return MR_OK;
    struct mr_postgres_bound bound;
    MR_TRY(mr_postgres_server_bound(state->server, pg, &bound, err));
    *hidden = bound.hidden;
    if (!bound.hidden)
        work->ending = MR_POSTGRES_ENDING_BOUND;
    if (work->column->base == MR_PG_TIMESTAMPTZ)
        return MR_OK;
    PGresult *result = NULL;
    MR_TRY(mr_postgres_ask(pg,
                           "SELECT coalesce(min(reset_val), 'UTC') FROM pg_catalog.pg_settings "
                           "WHERE name = 'TimeZone'",
                           0, NULL, &result, err));
    work->zone = mr_arena_strdup(state->arena, PQgetvalue(result, 0, 0));
    PQclear(result);
    return work->zone ? MR_OK : mr_error_nomem(err);
}

static enum mr_status read_overlap(struct mr_postgres_state *state, struct mr_pg *pg,
                                   struct mr_postgres_incremental *work, struct mr_error *err)
{
    const char *text = mr_options_text(work->options, "overlap");
    if (text == NULL)
        return MR_OK;
    bool time = mr_postgres_is_time(work->column);
    if (!time && !mr_postgres_is_number(work->column))
        return mr_options_error(work->options, "overlap", err,
                                "an overlap needs a column of times or numbers; \"%s\" is %s",
                                work->column->name, work->column->origin);
    const char *type = time ? "pg_catalog.interval" : "pg_catalog.numeric";
    struct mr_error cause = {0};
    enum mr_status status = canonical(pg, state->arena, text, type, &work->overlap, &cause);
    bool good = status == MR_OK;
    if (good) {
        char sql[200];
        snprintf(sql, sizeof sql, "SELECT $1::%s >= '0'::%s%s", type, type,
                 time ? "" : " AND $1::text NOT IN ('NaN', 'Infinity')");
        PGresult *result = NULL;
        MR_TRY(mr_postgres_ask(pg, sql, 1, &work->overlap, &result, err));
        good = PQgetvalue(result, 0, 0)[0] == 't';
        PQclear(result);
    } else if (!server_says_no(pg)) {
        return pass_on(&cause, err);
    }
    if (!good)
        return mr_options_error(work->options, "overlap", err, "\"%s\" is no %s of at least 0",
                                text, time ? "interval" : "number");
    return MR_OK;
}

static const char *guarantee(const struct mr_postgres_incremental *work, struct mr_arena *arena,
                             bool hidden)
{
    const char *name = work->column->name;
    if (work->ending == MR_POSTGRES_ENDING_XID)
        return mr_arena_printf(
            arena,
            "every committed version of a row exactly once, if \"%s\" is pg_current_xact_id() of "
            "the "
            "transaction that wrote it: a run ends in front of the oldest transaction that still "
            "writes (pg_snapshot_xmin)",
            name);
    if (work->ending == MR_POSTGRES_ENDING_BOUND && work->column->base == MR_PG_TIMESTAMPTZ)
        return mr_arena_printf(arena,
                               "every row %s, if \"%s\" is set by now() or a later clock of this "
                               "server: a run ends at "
                               "the start of the oldest open transaction",
                               work->overlap ? "at least once (the overlap comes again)"
                                             : "exactly once",
                               name);
    if (work->ending == MR_POSTGRES_ENDING_BOUND)
        return mr_arena_printf(arena,
                               "every row %s, if \"%s\" is set by now() of sessions in the time "
                               "zone %s: a run ends at "
                               "the start of the oldest open transaction%s",
                               work->overlap ? "at least once (the overlap comes again)"
                                             : "exactly once",
                               name, work->zone,
                               work->column->base == MR_PG_DATE ? ", in front of its day" : "");
    const char *why = hidden ? "this role cannot see when open transactions began (a standby, or "
                               "pg_read_all_stats is missing)"
                             : "nothing tells which values open transactions will commit";
    if (work->overlap)
        return mr_arena_printf(
            arena,
            "every row at least once, if none becomes visible with a \"%s\" more than %s below the "
            "largest that a run has seen; %s. Rows of the overlap come again",
            name, work->overlap, why);
    return mr_arena_printf(
        arena,
        "none: a row that becomes visible after a run with a \"%s\" below the largest that the run "
        "has seen is never read; %s. Give `overlap`, or a column of type xid8",
        name, why);
}

/* The transactions that rows wait for, oldest first: of xid8 those that write, of times all of this database. */
static const char writers_sql[] =
    "SELECT who, state, coalesce(date_trunc('second', clock_timestamp() - since)::text, "
    "'a time that is hidden'), ', ' || a || ' transactions back' "
    "FROM (SELECT 'pid ' || pid AS who, age(backend_xid) AS a, coalesce(state, 'state hidden') AS "
    "state, xact_start AS since FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL "
    "UNION ALL SELECT 'prepared transaction ' || quote_literal(gid), age(transaction), 'prepared', "
    "prepared FROM pg_catalog.pg_prepared_xacts) AS w ORDER BY a DESC LIMIT 1";
static const char open_sql[] =
    "SELECT who, state, date_trunc('second', clock_timestamp() - since)::text, '' "
    "FROM (SELECT 'pid ' || pid AS who, false AS prepared, state, xact_start AS since "
    "FROM pg_catalog.pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker' "
    "UNION ALL SELECT 'prepared transaction ' || quote_literal(gid), true, 'prepared', prepared "
    "FROM pg_catalog.pg_prepared_xacts WHERE database = current_database()) AS w "
    "WHERE since IS NOT NULL ORDER BY prepared DESC, since LIMIT 1";

static enum mr_status note_lag(struct mr_postgres_state *state, struct mr_pg *pg,
                               struct mr_postgres_incremental *work, struct mr_error *err)
{
    bool xid = work->ending == MR_POSTGRES_ENDING_XID;
    if (work->ending == MR_POSTGRES_ENDING_LARGEST)
        return MR_OK;
    PGresult *result = NULL;
    MR_TRY(mr_pg_query(pg, xid ? writers_sql : open_sql, 0, NULL, &result, err));
    bool good = true;
    if (PQntuples(result) == 1)
        good = add_note(work, mr_arena_printf(state->arena,
                                              "incremental: the oldest %s transaction is %s (%s, "
                                              "for %s%s); newer rows wait for its end",
                                              xid ? "writing" : "open", PQgetvalue(result, 0, 0),
                                              PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 2),
                                              PQgetvalue(result, 0, 3)));
    PQclear(result);
    return good ? MR_OK : mr_error_nomem(err);
}

/* --- bind: where this run begins --- */

static enum mr_status bad_value(const struct mr_postgres_incremental *work, const char *text,
                                bool initial, struct mr_error *err)
{
    if (initial)
        return mr_options_error(work->options, "initial", err, "\"%s\" is no value of \"%s\" (%s)",
                                text, work->column->name, work->column->origin);
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG, "the watermark \"%s\" is no value of \"%s\" (%s)",
                 text, work->column->name, work->column->origin);
    mr_error_hint(err, "set another with `millrace watermark set`, or run with --fresh");
    return MR_SOURCE;
}

/* "{value,key}" as PostgreSQL writes arrays, or the value alone. */
static enum mr_status split_text(struct mr_postgres_state *state, struct mr_pg *pg,
                                 struct mr_postgres_incremental *work, const char *text,
                                 struct mr_error *err)
{
    work->mark.values[0] = text;
    if (work->mark.nkeys == 0 || text[0] != '{')
        return MR_OK;
    PGresult *result = NULL;
    MR_TRY(mr_pg_query(pg, "SELECT unnest($1::pg_catalog.text[])", 1, &text, &result, err));
    bool good = PQntuples(result) == work->mark.nkeys + 1;
    for (int i = 0; good && i <= work->mark.nkeys; i++)
        work->mark.values[i] = mr_arena_strdup(state->arena, PQgetvalue(result, i, 0));
    PQclear(result);
    work->mark.has_keys = good;
    if (!good) {
        mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                     "the watermark %s has not a value of \"%s\" and one of each key", text,
                     work->column->name);
        return MR_SOURCE;
    }
    for (int i = 0; i <= work->mark.nkeys; i++)
        if (work->mark.values[i] == NULL)
            return mr_error_nomem(err);
    return MR_OK;
}

static enum mr_status begin_at(struct mr_postgres_state *state, struct mr_pg *pg,
                               struct mr_postgres_incremental *work, const char *text, bool initial,
                               struct mr_error *err)
{
    struct mr_postgres_mark *mark = &work->mark;
    struct mr_error cause = {0};
    enum mr_status status = MR_OK;
    mark->values[0] = text;
    if (!initial)
        status = split_text(state, pg, work, text, &cause);
    if (status != MR_OK && !server_says_no(pg))
        return pass_on(&cause, err);
    if (work->ending == MR_POSTGRES_ENDING_XID &&
        (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0'))
        return bad_value(work, text, initial, err); /* the server would read "soon" as 0 */
    for (int i = 0; status == MR_OK && i <= mr_postgres_mark_keys(mark); i++)
        status =
            canonical(pg, state->arena, mark->values[i], work->types[i], &mark->values[i], &cause);
    if (status != MR_OK)
        return server_says_no(pg) ? bad_value(work, text, initial, err) : pass_on(&cause, err);
    mark->has_value = true;
    mark->inclusive = initial || work->ending != MR_POSTGRES_ENDING_LARGEST;
    return MR_OK;
}

static enum mr_status find_beginning(struct mr_postgres_state *state, struct mr_pg *pg,
                                     const struct mr_source_bind *bind,
                                     struct mr_postgres_incremental *work, struct mr_error *err)
{
    struct mr_postgres_mark *mark = &work->mark;
    const char *initial = mr_options_text(work->options, "initial");
    if (bind->since.size > 0) {
        struct mr_postgres_mark before = {0};
        if (!mr_postgres_mark_read(bind->since, state->arena, &before))
            return mr_postgres_mark_refuse(err, "a watermark of", "an unknown form", "another");
        MR_TRY(mr_postgres_mark_compare(&before, mark, err));
        work->stored = true;
        mark->has_value = before.has_value;
        mark->inclusive = before.inclusive;
        mark->has_keys = before.has_keys;
        memcpy(mark->values, before.values, sizeof mark->values);
        if (mark->has_value || initial == NULL)
            return MR_OK;
        return begin_at(state, pg, work, initial, true, err);
    }
    if (bind->since_text && bind->since_text[0])
        return begin_at(state, pg, work, bind->since_text, false, err);
    work->first = true;
    return initial ? begin_at(state, pg, work, initial, true, err) : MR_OK;
}

/* The mark less the overlap, in the column's type and at its end of the range where that would leave it. */
static enum mr_status apply_overlap(struct mr_postgres_state *state, struct mr_pg *pg,
                                    struct mr_postgres_incremental *work, struct mr_error *err)
{
    if (work->overlap == NULL || !work->mark.has_value || work->first)
        return MR_OK;
    char sql[400];
    const char *type = work->types[0];
    uint32_t base = work->column->base;
    const char *least = base == MR_PG_INT2   ? "-32768"
                        : base == MR_PG_INT4 ? "-2147483648"
                                             : "-9223372036854775808";
    /* 5 - 0.5 would be 5 again as an integer: down, not to the nearest. */
    if (base == MR_PG_INT2 || base == MR_PG_INT4 || base == MR_PG_INT8)
        snprintf(sql, sizeof sql,
                 "SELECT greatest(floor($1::text::numeric - $2::text::numeric), %s)::%s::text",
                 least, type);
    else if (base == MR_PG_FLOAT4 || base == MR_PG_FLOAT8)
        snprintf(sql, sizeof sql, "SELECT ($1::text::float8 - $2::text::float8)::%s::text", type);
    else if (base == MR_PG_NUMERIC)
        snprintf(sql, sizeof sql, "SELECT ($1::text::numeric - $2::text::numeric)::text");
    else
        snprintf(sql, sizeof sql, "SELECT ($1::text::%s - $2::text::interval)::%s::text", type,
                 type);
    const char *params[] = {work->mark.values[0], work->overlap};
    PGresult *result = NULL;
    MR_TRY(mr_postgres_ask(pg, sql, 2, params, &result, err));
    work->from = mr_arena_strdup(state->arena, PQgetvalue(result, 0, 0));
    PQclear(result);
    return work->from ? MR_OK : mr_error_nomem(err);
}

static enum mr_status write_lower(struct mr_postgres_state *state,
                                  struct mr_postgres_incremental *work, struct mr_error *err)
{
    if (!work->mark.has_value)
        return MR_OK;
    struct mr_bytes sql;
    mr_bytes_init(&sql, 1 << 20);
    if (work->from)
        mr_postgres_put_compare(work, &sql, ">=", &work->from, 0);
    else
        mr_postgres_put_after(work, &sql);
    if (work->first) {
        mr_bytes_text(&sql, " OR ");
        mr_pg_identifier(&sql, work->column->name);
        mr_bytes_text(&sql, " IS NULL");
    }
    work->lower = mr_bytes_to_arena(&sql, state->arena);
    return work->lower ? MR_OK : mr_error_nomem(err);
}

enum mr_status mr_postgres_incremental_bind(struct mr_postgres_state *state, struct mr_pg *pg,
                                            const struct mr_source_bind *bind,
                                            struct mr_source_info *info, struct mr_error *err)
{
    if (state->settings.incremental == NULL)
        return MR_OK;
    struct mr_postgres_incremental *work = mr_arena_calloc(state->arena, 1, sizeof *work);
    if (work == NULL)
        return mr_error_nomem(err);
    work->options = state->settings.incremental;
    bool hidden = false;
    MR_TRY(find_columns(state, pg, work, err));
    MR_TRY(find_system(state, pg, work, err));
    MR_TRY(choose_ending(state, pg, work, &hidden, err));
    MR_TRY(read_overlap(state, pg, work, err));
    MR_TRY(find_beginning(state, pg, bind, work, err));
    MR_TRY(apply_overlap(state, pg, work, err));
    MR_TRY(write_lower(state, work, err));
    if (work->ending == MR_POSTGRES_ENDING_XID) {
        const char *now = NULL;
        MR_TRY(mr_postgres_find_xmin(pg, state->arena, &now, err));
        MR_TRY(mr_postgres_check_xid(work, now, err));
    }
    MR_TRY(note_lag(state, pg, work, err));
    info->guarantee = guarantee(work, state->arena, hidden);
    info->repeats = work->overlap != NULL;
    bool noted =
        work->column->not_null ||
        add_note(work, "incremental: rows without a value (NULL) are read by the first run "
                       "and by none after it");
    if (info->guarantee == NULL || !noted)
        return mr_error_nomem(err);
    state->incremental = work;
    return MR_OK;
}

const char *mr_postgres_incremental_lower(const struct mr_postgres_state *state)
{
    return state->incremental ? state->incremental->lower : NULL;
}

const char *const *mr_postgres_incremental_notes(const struct mr_postgres_state *state)
{
    return state->incremental ? state->incremental->notes : no_notes;
}
