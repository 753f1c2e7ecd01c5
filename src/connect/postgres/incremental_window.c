/*
 * incremental_window.c - where this run ends, once its snapshot is fixed, and the condition that its rows are in the window.
 *
 * A bound is exclusive, and the next run begins with it; the largest value is inclusive, and the next run begins behind it.
 */
#include "connect/postgres/incremental.h"
#include "connect/postgres/incremental_mark.h"

#include "net/pg_text.h"

static enum mr_status clock_went_back(const struct mr_postgres_incremental *work, const char *now,
                                      struct mr_error *err)
{
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                 "the last run ended at %s, but the server's clock says %s: rows written now would "
                 "be taken for old ones",
                 work->mark.values[0], now);
    mr_error_hint(err, "mend the clock, run with --fresh, or say where to go on with `millrace "
                       "watermark set`");
    return MR_SOURCE;
}

/*
 * An instant as a value of the column. Of wall-clock times the smallest of the coming three hours: where clocks are put back, later rows carry smaller stamps.
 */
static const char *instant_sql(const struct mr_postgres_incremental *work)
{
    switch (work->column->base) {
    case MR_PG_TIMESTAMPTZ:
        return "i";
    case MR_PG_TIMESTAMP:
        return "(SELECT min(t AT TIME ZONE $4::text) FROM (SELECT i AS t UNION ALL SELECT "
               "date_trunc('minute', i) + n * interval '1 minute' FROM generate_series(1, 180) n) "
               "s)";
    default:
        return "(SELECT min(t AT TIME ZONE $4::text)::date FROM (SELECT i AS t UNION ALL SELECT "
               "date_trunc('minute', i) + n * interval '1 minute' FROM generate_series(1, 180) n) "
               "s)";
    }
}

/*
 * When a prepared transaction began is kept nowhere. The bound of the last run stays true, whatever was prepared since; so a run ends where it
 * began until the transaction is over. With an overlap, its length answers for the time between begin and prepare.
 */
static enum mr_status end_at_bound(struct mr_postgres_state *state, struct mr_pg *pg,
                                   struct mr_arena *arena, struct mr_postgres_mark *end,
                                   struct mr_error *err)
{
    const struct mr_postgres_incremental *work = state->incremental;
    struct mr_postgres_bound bound;
    MR_TRY(mr_postgres_server_bound(state->server, pg, &bound, err));
    end->inclusive = true;
    end->has_keys = false;
    if (bound.prepared[0] && work->overlap == NULL) {
        if (end->has_value)
            return MR_OK;
        mr_error_set(err, MR_SOURCE, MR_CLASS_TRANSIENT,
                     "a transaction prepared at %s is open, and PostgreSQL does not say when it "
                     "began: the first run cannot know where to end",
                     bound.prepared);
        mr_error_hint(err, "end it (COMMIT PREPARED, ROLLBACK PREPARED), or give `overlap`, longer "
                           "than transactions are open");
        return MR_SOURCE;
    }
    bool zoned = work->column->base != MR_PG_TIMESTAMPTZ;
    const char *type = work->types[0];
    const char *instant = instant_sql(work);
    char sql[1400];
    snprintf(
        sql, sizeof sql,
        "SELECT greatest(v, l)::text, coalesce(c < l, false), c::text FROM (SELECT %s AS v "
        "FROM (SELECT least($1::text::timestamptz, nullif($2::text, '')::timestamptz) AS i) x) "
        "a, (SELECT %s AS c FROM (SELECT $3::text::timestamptz AS i) y) b, "
        "(SELECT nullif($%d::text, '')::%s AS l) d",
        instant, zoned ? "i AT TIME ZONE $4::text" : "i", zoned ? 5 : 4, type);
    const char *value = end->has_value ? end->values[0] : "";
    const char *params[] = {bound.time, bound.prepared, bound.clock, zoned ? work->zone : value,
                            value};
    PGresult *result = NULL;
    MR_TRY(mr_postgres_ask(pg, sql, zoned ? 5 : 4, params, &result, err));
    enum mr_status status = MR_OK;
    if (work->stored && PQgetvalue(result, 0, 1)[0] == 't')
        status = clock_went_back(work, PQgetvalue(result, 0, 2), err);
    end->values[0] = mr_arena_strdup(arena, PQgetvalue(result, 0, 0));
    PQclear(result);
    end->has_value = true;
    if (status == MR_OK && end->values[0] == NULL)
        status = mr_error_nomem(err);
    return status;
}

/*
 * Infinities and NaN are no end: nothing would be behind them. The texts have names of their own, because ORDER BY would take a
 * result's name before the column's, and sort 9 behind 10.
 */
static void put_largest(const struct mr_postgres_state *state, struct mr_bytes *sql)
{
    const struct mr_postgres_incremental *work = state->incremental;
    mr_bytes_text(sql, "SELECT ");
    for (int i = -1; i < work->mark.nkeys; i++) {
        mr_bytes_text(sql, i >= 0 ? ", " : "");
        mr_pg_identifier(sql, i < 0 ? work->column->name : work->keys[i]->name);
        mr_bytes_printf(sql, "::pg_catalog.text AS millrace_%d", i + 1);
    }
    mr_bytes_printf(sql, " FROM %s WHERE ", state->relation.from);
    mr_pg_identifier(sql, work->column->name);
    mr_bytes_text(sql, " IS NOT NULL");
    if (mr_postgres_is_time(work->column) || mr_postgres_is_number(work->column)) {
        mr_bytes_text(sql, " AND ");
        mr_pg_identifier(sql, work->column->name);
        mr_bytes_text(sql, "::pg_catalog.text NOT IN ('NaN', 'Infinity', 'infinity')");
    }
    if (work->mark.has_value) {
        mr_bytes_text(sql, " AND ");
        mr_postgres_put_after(work, sql);
    }
    mr_bytes_text(sql, " ORDER BY ");
    for (int i = -1; i < work->mark.nkeys; i++) {
        mr_bytes_text(sql, i >= 0 ? ", " : "");
        mr_pg_identifier(sql, i < 0 ? work->column->name : work->keys[i]->name);
        mr_bytes_text(sql, " DESC");
    }
    mr_bytes_text(sql, " LIMIT 1");
}

static enum mr_status end_at_largest(struct mr_postgres_state *state, struct mr_pg *pg,
                                     struct mr_arena *arena, struct mr_postgres_mark *end,
                                     bool *moved, struct mr_error *err)
{
    struct mr_bytes sql;
    mr_bytes_init(&sql, MR_BYTES_DEFAULT_MAXIMUM);
    put_largest(state, &sql);
    PGresult *result = NULL;
    enum mr_status status = mr_bytes_status(&sql, err);
    if (status == MR_OK)
        status = mr_pg_query(pg, sql.data, 0, NULL, &result, err);
    mr_bytes_reset(&sql);
    if (status != MR_OK)
        return status;
    *moved = PQntuples(result) == 1;
    for (int i = 0; *moved && i <= end->nkeys; i++) {
        end->values[i] = mr_arena_strdup(arena, PQgetvalue(result, 0, i));
        if (end->values[i] == NULL)
            status = mr_error_nomem(err);
    }
    PQclear(result);
    if (*moved) {
        end->has_value = true;
        end->inclusive = false;
        end->has_keys = end->nkeys > 0;
    }
    return status;
}

/* The rows from the beginning to the end, and on the first run those without a value. */
static const char *write_window(const struct mr_postgres_incremental *work, struct mr_arena *arena,
                                const struct mr_postgres_mark *end, bool moved)
{
    struct mr_bytes sql;
    mr_bytes_init(&sql, 1 << 20);
    mr_bytes_text(&sql, "(");
    if (work->from)
        mr_postgres_put_compare(work, &sql, ">=", &work->from, 0);
    else if (work->mark.has_value)
        mr_postgres_put_after(work, &sql);
    else
        mr_bytes_text(&sql, "true");
    mr_bytes_text(&sql, " AND ");
    if (work->ending != MR_POSTGRES_ENDING_LARGEST)
        mr_postgres_put_compare(work, &sql, "<", end->values, 0);
    else if (moved || (work->from && end->has_value))
        mr_postgres_put_compare(work, &sql, "<=", end->values, mr_postgres_mark_keys(end));
    else
        mr_bytes_text(&sql, "false");
    mr_bytes_text(&sql, ")");
    if (work->first) {
        mr_bytes_text(&sql, " OR ");
        mr_pg_identifier(&sql, work->column->name);
        mr_bytes_text(&sql, " IS NULL");
    }
    return mr_bytes_to_arena(&sql, arena);
}

/* For people: the value, or {value,key} as an array of PostgreSQL. */
static enum mr_status write_text(struct mr_pg *pg, struct mr_arena *arena,
                                 const struct mr_postgres_mark *end, const char **out,
                                 struct mr_error *err)
{
    *out = end->has_value ? end->values[0] : "";
    if (!end->has_value || end->inclusive || mr_postgres_mark_keys(end) == 0)
        return MR_OK;
    struct mr_bytes sql;
    mr_bytes_init(&sql, 1 << 20);
    mr_bytes_text(&sql, "SELECT ARRAY[");
    for (int i = 0; i <= end->nkeys; i++) {
        mr_bytes_text(&sql, i ? ", " : "");
        mr_postgres_put_literal(&sql, end->values[i], "pg_catalog.text");
    }
    mr_bytes_text(&sql, "]::pg_catalog.text");
    PGresult *result = NULL;
    enum mr_status status = mr_bytes_status(&sql, err);
    if (status == MR_OK)
        status = mr_postgres_ask(pg, sql.data, 0, NULL, &result, err);
    mr_bytes_reset(&sql);
    if (status != MR_OK)
        return status;
    *out = mr_arena_strdup(arena, PQgetvalue(result, 0, 0));
    PQclear(result);
    return *out ? MR_OK : mr_error_nomem(err);
}

enum mr_status mr_postgres_incremental_window(struct mr_postgres_state *state, struct mr_pg *pg,
                                              struct mr_arena *arena, struct mr_split_list *out,
                                              const char **window, struct mr_error *err)
{
    const struct mr_postgres_incremental *work = state->incremental;
    if (work == NULL)
        return MR_OK;
    struct mr_postgres_mark end = work->mark;
    bool moved = true;
    if (work->ending == MR_POSTGRES_ENDING_XID) {
        const char *now = NULL;
        MR_TRY(mr_postgres_find_xmin(pg, arena, &now, err));
        MR_TRY(mr_postgres_check_xid(work, now, err));
        if (!end.has_value || !mr_postgres_xid_before(now, end.values[0]))
            end.values[0] = now;
        end.has_value = end.inclusive = true;
    } else if (work->ending == MR_POSTGRES_ENDING_BOUND) {
        MR_TRY(end_at_bound(state, pg, arena, &end, err));
    } else {
        MR_TRY(end_at_largest(state, pg, arena, &end, &moved, err));
    }
    MR_TRY(mr_postgres_mark_write(&end, arena, &out->upto, err));
    MR_TRY(write_text(pg, arena, &end, &out->upto_text, err));
    *window = write_window(work, arena, &end, moved);
    return *window ? MR_OK : mr_error_nomem(err);
}
