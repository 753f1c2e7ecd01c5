/*
 * sink_target.c - the table that is loaded, as the catalogs have it.
 *
 * Names are resolved by the server, as SQL would. A table that is not there gets the schema that CREATE TABLE would choose.
 */
#include "connect/postgres/sink_private.h"
#include "net/pg_text.h"

#include <stdlib.h>

static bool truth(const PGresult *result, int row, int column)
{
    return pg_field(result, row, column)[0] == 't';
}

static const char *qualified(struct mr_arena *arena, const char *schema, const char *name)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 4096);
    mr_pg_identifier(&text, schema);
    mr_bytes_char(&text, '.');
    mr_pg_identifier(&text, name);
    return mr_bytes_to_arena(&text, arena);
}

static enum mr_status fill(const PGresult *result, const char *table, struct mr_arena *arena,
                           struct pg_target *out, struct mr_error *err)
{
    const char *schema = pg_field(result, 0, 0);
    int parts = atoi(pg_field(result, 0, 4));
    if (parts < 1 || parts > 2)
        return mr_error_config(err, "\"%s\" is not the name of a table", table);
    if (schema[0] == '\0') {
        mr_error_config(err, "no schema is there to make table %s in", table);
        mr_error_hint(err, "set `schema`, or write the schema's name in front");
        return MR_CONFIG;
    }
    *out = (struct pg_target){
        .schema = mr_arena_strdup(arena, schema),
        .name = mr_arena_strdup(arena, pg_field(result, 0, 1)),
        .exists = !PQgetisnull(result, 0, 2),
        .kind = pg_field(result, 0, 3)[0],
        .schema_exists = truth(result, 0, 5),
        .may_create = truth(result, 0, 6),
        .user = mr_arena_strdup(arena, pg_field(result, 0, 7)),
        .remembers = truth(result, 0, 8),
    };
    if (!out->schema || !out->name || !out->user)
        return mr_error_nomem(err);
    out->from = qualified(arena, out->schema, out->name);
    out->state = qualified(arena, out->schema, PG_STATE_TABLE);
    out->label = mr_arena_printf(arena, "%s.%s", out->schema, out->name);
    return out->from && out->state && out->label ? MR_OK : mr_error_nomem(err);
}

enum mr_status pg_target_find(struct mr_pg *pg, const char *table, struct mr_arena *arena,
                              struct pg_target *out, struct mr_error *err)
{
    static const char sql[] =
        "SELECT s.name, coalesce(c.relname, t.p[array_upper(t.p, 1)]), c.oid, c.relkind, "
        "array_length(t.p, 1), n.oid IS NOT NULL, "
        "coalesce(has_schema_privilege(n.oid, 'CREATE'), false), current_user, "
        "EXISTS (SELECT FROM pg_catalog.pg_class m WHERE m.relnamespace = n.oid AND m.relname = "
        "'" PG_STATE_TABLE "') FROM (SELECT parse_ident($1) AS p, to_regclass($1) AS r) AS t "
        "LEFT JOIN pg_catalog.pg_class c ON c.oid = t.r "
        "LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace "
        "CROSS JOIN LATERAL (SELECT coalesce(cn.nspname, CASE WHEN array_length(t.p, 1) = 2 "
        "THEN t.p[1] ELSE current_schema() END) AS name) AS s "
        "LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = s.name";
    PGresult *result = NULL;
    enum mr_status status = mr_pg_query(pg, sql, 1, &table, &result, err);
    if (status != MR_OK) {
        const char *state = mr_pg_sqlstate(pg);
        if (strcmp(state, "22023") == 0 || strcmp(state, "42602") == 0)
            return mr_error_config(err, "\"%s\" is not the name of a table", table);
        return pg_sink_blame(status, pg, NULL, NULL, err);
    }
    status = fill(result, table, arena, out, err);
    PQclear(result);
    return status;
}

enum mr_status pg_target_columns(struct mr_pg *pg, struct pg_target *target, struct mr_arena *arena,
                                 struct mr_error *err)
{
    static const char sql[] =
        "WITH RECURSIVE b(num, typ, typmod) AS (SELECT attnum, atttypid, atttypmod FROM "
        "pg_catalog.pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped "
        "UNION ALL SELECT b.num, t.typbasetype, CASE WHEN b.typmod = -1 THEN t.typtypmod ELSE "
        "b.typmod END FROM b JOIN pg_catalog.pg_type t ON t.oid = b.typ WHERE t.typtype = 'd') "
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), b.typ, b.typmod, a.attnotnull, "
        "a.atthasdef OR a.attidentity <> '', a.attgenerated <> '', a.attidentity = 'a', t.typtype "
        "= 'e' OR t.typname = 'citext' "
        "FROM pg_catalog.pg_attribute a JOIN b ON b.num = a.attnum "
        "JOIN pg_catalog.pg_type t ON t.oid = b.typ AND t.typtype <> 'd' "
        "WHERE a.attrelid = $1::regclass ORDER BY a.attnum";
    PGresult *result = NULL;
    MR_TRY(
        pg_sink_blame(mr_pg_query(pg, sql, 1, &target->from, &result, err), pg, NULL, NULL, err));
    int n = PQntuples(result);
    target->columns = mr_arena_calloc(arena, (size_t)n + 1, sizeof *target->columns);
    target->ncolumns = target->columns ? n : 0;
    bool good = target->columns != NULL;
    for (int i = 0; i < n && good; i++) {
        target->columns[i] = (struct pg_column){
            .name = mr_arena_strdup(arena, pg_field(result, i, 0)),
            .sql_type = mr_arena_strdup(arena, pg_field(result, i, 1)),
            .type = (uint32_t)strtoul(pg_field(result, i, 2), NULL, 10),
            .typmod = atoi(pg_field(result, i, 3)),
            .not_null = truth(result, i, 4),
            .has_default = truth(result, i, 5),
            .generated = truth(result, i, 6),
            .always = truth(result, i, 7),
            .text = truth(result, i, 8),
        };
        good = target->columns[i].name && target->columns[i].sql_type;
    }
    PQclear(result);
    return good ? MR_OK : mr_error_nomem(err);
}

enum mr_status pg_target_keys(struct mr_pg *pg, struct pg_target *target, const char *const *keys,
                              int nkeys, struct mr_error *err)
{
    struct mr_bytes sql;
    mr_bytes_init(&sql, 1 << 20);
    mr_bytes_text(&sql,
                  "SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = "
                  "$1::regclass AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND "
                  "i.indexprs IS NULL AND (SELECT array_agg(a.attname::text ORDER BY "
                  "a.attname::text) FROM unnest(i.indkey[0:i.indnkeyatts - 1]) AS k(num) JOIN "
                  "pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num) "
                  "= (SELECT array_agg(k ORDER BY k) FROM unnest(ARRAY[");
    for (int i = 0; i < nkeys; i++) {
        mr_bytes_text(&sql, i ? ", " : "");
        mr_pg_literal(&sql, mr_slice_of(keys[i]));
    }
    mr_bytes_text(&sql, "]::text[]) AS u(k)))");
    PGresult *result = NULL;
    enum mr_status status = mr_bytes_status(&sql, err);
    if (status == MR_OK)
        status = pg_sink_blame(mr_pg_query(pg, sql.data, 1, &target->from, &result, err), pg, NULL,
                               NULL, err);
    if (status == MR_OK)
        target->unique_keys = truth(result, 0, 0);
    PQclear(result);
    mr_bytes_reset(&sql);
    return status;
}
