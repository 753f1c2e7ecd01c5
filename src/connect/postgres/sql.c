/*
 * sql.c - the statements that readers run.
 *
 *   SELECT "id", "tags"::text[] FROM "public"."users" WHERE (active) AND ("id" >= 5) LIMIT 10 OFFSET 3
 *
 * COPY (SELECT ..) takes no parameters, so values are written as literals (net/pg_text.h). The user's own SQL goes between
 * parentheses on lines of its own, so that a comment in it ends where it should.
 */
#include "connect/postgres/state.h"

#include "net/pg_text.h"

#include <stdio.h>

static void write_condition(struct mr_bytes *sql, bool *first, const char *condition, bool user)
{
    if (condition == NULL || condition[0] == '\0')
        return;
    mr_bytes_text(sql, *first ? " WHERE " : " AND ");
    mr_bytes_text(sql, user ? "(\n" : "(");
    mr_bytes_text(sql, condition);
    mr_bytes_text(sql, user ? "\n)" : ")");
    *first = false;
}

void mr_postgres_write_where(const struct mr_postgres_state *state, const char *condition,
                             struct mr_bytes *sql)
{
    bool first = true;
    write_condition(sql, &first, state->settings.where, true);
    write_condition(sql, &first, state->condition, false);
    write_condition(sql, &first, state->narrowed, false);
    write_condition(sql, &first, condition, false);
}

void mr_postgres_write_select(const struct mr_postgres_state *state,
                              const struct mr_postgres_select *select, struct mr_bytes *sql)
{
    mr_bytes_text(sql, "SELECT");
    for (int i = 0; i < state->ncolumns; i++) {
        mr_bytes_text(sql, i ? ", " : " ");
        mr_pg_identifier(sql, state->columns[i].name);
        mr_bytes_text(sql, state->columns[i].cast);
    }
    mr_bytes_text(sql, " FROM ");
    mr_bytes_text(sql, select->from);
    mr_postgres_write_where(state, select->condition, sql);
    if (select->limit >= 0)
        mr_bytes_printf(sql, " LIMIT %lld", (long long)select->limit);
    if (select->offset > 0)
        mr_bytes_printf(sql, " OFFSET %lld", (long long)select->offset);
}

enum mr_status mr_postgres_estimate(struct mr_pg *pg, const char *select,
                                    struct mr_postgres_estimate *out, struct mr_error *err)
{
    struct mr_bytes sql;
    mr_bytes_init(&sql, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_text(&sql, "EXPLAIN ");
    mr_bytes_text(&sql, select);
    PGresult *result = NULL;
    enum mr_status status = mr_bytes_status(&sql, err);
    if (status == MR_OK)
        status = mr_pg_query(pg, sql.data, 0, NULL, &result, err);
    mr_bytes_reset(&sql);
    if (status != MR_OK)
        return status;
    *out = (struct mr_postgres_estimate){.rows = -1, .sequential = true};
    /* "Seq Scan on t  (cost=0.00..17.00 rows=700 width=36)" */
    const char *line = PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "";
    const char *numbers = strstr(line, " rows=");
    if (numbers)
        (void)sscanf(numbers, " rows=%lf width=%d", &out->rows, &out->width);
    for (int i = 0; i < PQntuples(result); i++) {
        const char *text = PQgetvalue(result, i, 0);
        if (strstr(text, "Index") || strstr(text, "Bitmap"))
            out->sequential = false;
    }
    PQclear(result);
    return MR_OK;
}
