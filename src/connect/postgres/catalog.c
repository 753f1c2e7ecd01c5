/*
 * catalog.c - finding the relation and its columns by asking pg_catalog, never the data.
 *
 * Names are resolved by the server itself (to_regclass): quoting, case and search_path mean exactly what they mean in psql. A query
 * is described by preparing it (Parse and Describe messages), which runs nothing.
 */
#include "connect/postgres/catalog.h"

#include "net/pg_text.h"

#include <stdio.h>
#include <stdlib.h>

static const char *value(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column);
}

static bool is_true(const PGresult *result, int row, int column)
{
    return value(result, row, column)[0] == 't';
}

static uint32_t to_u32(const char *text)
{
    return (uint32_t)strtoul(text, NULL, 10);
}

/* --- relations --- */

/* The columns of this list are read by fill_relation. */
#define RELATION_COLUMNS                                                                           \
    "c.oid, n.nspname, c.relname, c.relkind, c.reltuples, "                                        \
    "EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid), "                  \
    "coalesce(a.amname, ''), coalesce(pg_catalog.pg_relation_filenode(c.oid), 0), "                \
    "CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_relation_size(c.oid) ELSE 0 END, "       \
    "CASE WHEN c.reltoastrelid <> 0 THEN pg_catalog.pg_relation_size(c.reltoastrelid) ELSE 0 "     \
    "END, pg_catalog.current_setting('block_size')"
#define RELATION_FROM                                                                              \
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "        \
    "LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam "

static enum mr_status fill_relation(const PGresult *result, int row, struct mr_arena *arena,
                                    struct mr_postgres_relation *out, struct mr_error *err)
{
    *out = (struct mr_postgres_relation){
        .oid = to_u32(value(result, row, 0)),
        .schema = mr_arena_strdup(arena, value(result, row, 1)),
        .name = mr_arena_strdup(arena, value(result, row, 2)),
        .kind = value(result, row, 3)[0],
        .rows = atof(value(result, row, 4)),
        .parent = is_true(result, row, 5),
        .filenode = to_u32(value(result, row, 7)),
        .heap_bytes = atoll(value(result, row, 8)),
        .toast_bytes = atoll(value(result, row, 9)),
        .block_size = atoll(value(result, row, 10)),
    };
    out->heap =
        (out->kind == 'r' || out->kind == 'm') && strcmp(value(result, row, 6), "heap") == 0;
    /* reltuples 0 with pages there: older servers' way of saying "never counted". */
    if (out->rows == 0 && out->heap_bytes > 0)
        out->rows = -1;
    if (out->schema == NULL || out->name == NULL)
        return mr_error_nomem(err);
    struct mr_bytes from;
    mr_bytes_init(&from, 4096);
    mr_pg_identifier(&from, out->schema);
    mr_bytes_char(&from, '.');
    mr_pg_identifier(&from, out->name);
    out->from = mr_bytes_to_arena(&from, arena);
    out->label = mr_arena_printf(arena, "%s.%s", out->schema, out->name);
    return out->from && out->label ? MR_OK : mr_error_nomem(err);
}

/* "no such table", with the tables that the user may have meant. */
static enum mr_status no_table(struct mr_pg *pg, const char *table, struct mr_error *err)
{
    mr_error_config(err, "there is no table, view or foreign table %s", table);
    static const char sql[] =
        "SELECT pg_catalog.string_agg(name, ', ') FROM (SELECT format('%I.%I', n.nspname, "
        "c.relname) AS name "
        "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND lower(c.relname) = "
        "lower(btrim(regexp_replace($1, '^.*[.]', ''), '\"')) ORDER BY 1 LIMIT 5) AS t";
    PGresult *result = NULL;
    if (mr_pg_query(pg, sql, 1, &table, &result, NULL) == MR_OK) {
        if (PQntuples(result) == 1 && !PQgetisnull(result, 0, 0))
            mr_error_hint(err, "there is %s; set `schema` or write the schema's name in front",
                          value(result, 0, 0));
        else
            mr_error_hint(err,
                          "names are looked up as in SQL: without quotes in lower case, and in "
                          "the schemas of search_path (set `schema`)");
        PQclear(result);
    }
    return MR_CONFIG;
}

static enum mr_status find_table(struct mr_pg *pg, const char *table, struct mr_arena *arena,
                                 struct mr_postgres_relation *out, struct mr_error *err)
{
    PGresult *result = NULL;
    enum mr_status status = mr_pg_query(pg,
                                        "SELECT " RELATION_COLUMNS RELATION_FROM
                                        "WHERE c.oid = pg_catalog.to_regclass($1)",
                                        1, &table, &result, err);
    if (status != MR_OK) {
        const char *state = mr_pg_sqlstate(pg);
        if (strcmp(state, "42602") == 0 || strcmp(state, "42601") == 0 ||
            strcmp(state, "0A000") == 0)
            return mr_error_config(err, "\"%s\" is not the name of a table", table);
        return status;
    }
    if (PQntuples(result) == 0)
        status = no_table(pg, table, err);
    else
        status = fill_relation(result, 0, arena, out, err);
    PQclear(result);
    if (status == MR_OK && !strchr("rpvmf", out->kind))
        return mr_error_config(err, "%s is neither a table nor a view", out->label);
    return status;
}

enum mr_status mr_postgres_find_relation(struct mr_pg *pg,
                                         const struct mr_postgres_settings *settings,
                                         struct mr_arena *arena,
                                         struct mr_postgres_relation *relation,
                                         struct mr_error *err)
{
    if (settings->query == NULL) {
        enum mr_status status = find_table(pg, settings->table, arena, relation, err);
        if (status == MR_CONFIG) {
            struct mr_error cause;
            if (err)
                cause = *err;
            mr_options_error(settings->options, "table", err, "%s", err ? cause.message : "");
            if (err)
                mr_error_hint(err, "%s", cause.hint);
        }
        return status;
    }
    /* New lines, so that a comment at the end of the query does not swallow the parenthesis. */
    *relation = (struct mr_postgres_relation){
        .kind = 'q',
        .label = "query",
        .rows = -1,
        .from = mr_arena_printf(arena, "(\n%s\n) AS millrace_query", settings->query),
    };
    return relation->from ? MR_OK : mr_error_nomem(err);
}

enum mr_status mr_postgres_children(struct mr_pg *pg, const struct mr_postgres_relation *parent,
                                    struct mr_arena *arena, struct mr_postgres_relation **out,
                                    int *count, struct mr_error *err)
{
    char oid[16];
    snprintf(oid, sizeof oid, "%u", parent->oid);
    const char *params[] = {oid};
    PGresult *result = NULL;
    MR_TRY(mr_pg_query(
        pg,
        "WITH RECURSIVE t(oid) AS (SELECT $1::pg_catalog.oid UNION SELECT i.inhrelid FROM t "
        "JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid) SELECT " RELATION_COLUMNS
            RELATION_FROM "JOIN t ON t.oid = c.oid WHERE c.relkind IN ('r', 'm', 'f') "
        "ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
        1, params, &result, err));
    int n = PQntuples(result);
    enum mr_status status = MR_OK;
    *out = mr_arena_calloc(arena, (size_t)n + 1, sizeof **out);
    if (*out == NULL)
        status = mr_error_nomem(err);
    for (int i = 0; i < n && status == MR_OK; i++)
        status = fill_relation(result, i, arena, &(*out)[i], err);
    *count = n;
    PQclear(result);
    return status;
}

/* --- columns --- */

static enum mr_status table_columns(struct mr_pg *pg, const struct mr_postgres_relation *relation,
                                    struct mr_arena *arena, struct mr_postgres_column **out,
                                    int *ncolumns, struct mr_error *err)
{
    char oid[16];
    snprintf(oid, sizeof oid, "%u", relation->oid);
    const char *params[] = {oid};
    bool collations = mr_pg_server_version(pg) >= 120000;
    char sql[600];
    snprintf(sql, sizeof sql,
             "SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull, "
             "pg_catalog.format_type(a.atttypid, a.atttypmod), coalesce(%s, true) "
             "FROM pg_catalog.pg_attribute a "
             "LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation "
             "WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
             collations ? "c.collisdeterministic" : "true");
    PGresult *result = NULL;
    MR_TRY(mr_pg_query(pg, sql, 1, params, &result, err));
    int n = PQntuples(result);
    struct mr_postgres_column *columns = mr_arena_calloc(arena, (size_t)n + 1, sizeof *columns);
    bool good = columns != NULL;
    for (int i = 0; i < n && good; i++) {
        columns[i] = (struct mr_postgres_column){
            .name = mr_arena_strdup(arena, value(result, i, 0)),
            .type = to_u32(value(result, i, 1)),
            .typmod = atoi(value(result, i, 2)),
            /* The tables that inherit from a table need not have its primary key. */
            .not_null = is_true(result, i, 3) && !(relation->parent && relation->kind == 'r'),
            .origin = mr_arena_strdup(arena, value(result, i, 4)),
            .deterministic = is_true(result, i, 5),
        };
        good = columns[i].name && columns[i].origin;
    }
    PQclear(result);
    *out = columns;
    *ncolumns = n;
    return good ? MR_OK : mr_error_nomem(err);
}

static enum mr_status name_types(struct mr_pg *pg, struct mr_arena *arena,
                                 struct mr_postgres_column *columns, int ncolumns,
                                 struct mr_error *err)
{
    struct mr_bytes types;
    struct mr_bytes typmods;
    mr_bytes_init(&types, 1 << 20);
    mr_bytes_init(&typmods, 1 << 20);
    for (int i = 0; i < ncolumns; i++) {
        mr_bytes_printf(&types, "%s%u", i ? "," : "{", columns[i].type);
        mr_bytes_printf(&typmods, "%s%d", i ? "," : "{", columns[i].typmod);
    }
    mr_bytes_char(&types, '}');
    mr_bytes_char(&typmods, '}');
    const char *params[] = {types.data, typmods.data};
    PGresult *result = NULL;
    enum mr_status status = mr_bytes_status(&types, err);
    if (status == MR_OK)
        status = mr_bytes_status(&typmods, err);
    if (status == MR_OK)
        status = mr_pg_query(pg,
                             "SELECT pg_catalog.format_type(t, m) FROM "
                             "unnest($1::pg_catalog.oid[], $2::pg_catalog.int4[]) "
                             "WITH ORDINALITY AS u(t, m, n) ORDER BY n",
                             2, params, &result, err);
    for (int i = 0; i < ncolumns && status == MR_OK; i++) {
        columns[i].origin = mr_arena_strdup(arena, value(result, i, 0));
        if (columns[i].origin == NULL)
            status = mr_error_nomem(err);
    }
    PQclear(result);
    mr_bytes_reset(&types);
    mr_bytes_reset(&typmods);
    return status;
}

static enum mr_status check_names(const struct mr_postgres_settings *settings,
                                  const struct mr_postgres_column *columns, int ncolumns,
                                  struct mr_error *err)
{
    for (int i = 0; i < ncolumns; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(columns[i].name, columns[k].name) == 0)
                return mr_options_error(
                    settings->options, "query", err,
                    "the query gives two columns the name \"%s\"; rename one with AS",
                    columns[i].name);
    return MR_OK;
}

static enum mr_status query_columns(struct mr_pg *pg, const struct mr_postgres_settings *settings,
                                    struct mr_arena *arena, struct mr_postgres_column **out,
                                    int *ncolumns, struct mr_error *err)
{
    PGresult *result = NULL;
    enum mr_status status = mr_pg_describe(pg, settings->query, &result, err);
    if (status != MR_OK) {
        mr_error_prefix(err, "\"query\"");
        return status;
    }
    int n = PQnfields(result);
    struct mr_postgres_column *columns = mr_arena_calloc(arena, (size_t)n + 1, sizeof *columns);
    bool good = columns != NULL;
    for (int i = 0; i < n && good; i++) {
        columns[i] = (struct mr_postgres_column){
            .name = mr_arena_strdup(arena, PQfname(result, i)),
            .type = PQftype(result, i),
            .typmod = PQfmod(result, i),
        };
        good = columns[i].name != NULL;
    }
    PQclear(result);
    *out = columns;
    *ncolumns = n;
    if (!good)
        return mr_error_nomem(err);
    if (n == 0)
        return mr_options_error(settings->options, "query", err,
                                "the query gives no columns; it must be a SELECT");
    MR_TRY(check_names(settings, columns, n, err));
    return name_types(pg, arena, columns, n, err);
}

enum mr_status mr_postgres_read_columns(struct mr_pg *pg,
                                        const struct mr_postgres_settings *settings,
                                        const struct mr_postgres_relation *relation,
                                        struct mr_arena *arena, struct mr_postgres_column **out,
                                        int *ncolumns, struct mr_error *err)
{
    if (relation->kind == 'q')
        MR_TRY(query_columns(pg, settings, arena, out, ncolumns, err));
    else
        MR_TRY(table_columns(pg, relation, arena, out, ncolumns, err));
    return mr_postgres_map_types(pg, settings, arena, *out, *ncolumns, err);
}
