/*
 * incremental_mark.c - where a run ended, as bytes that say of which server, table and column; and as a condition in SQL.
 *
 * Form: 02 | flags | system identifier | database | relation | column | type | number of keys, their names | the values, all as strings with a varint
 * length | CRC-32. Everything is text as the server wrote it at full precision: the server reads it back, and nothing here has to know the type.
 */
#include "connect/postgres/incremental_mark.h"

#include "net/pg_text.h"

#include <stdlib.h>

#define VERSION   2
#define HAS_VALUE 1
#define INCLUSIVE 2
#define HAS_KEYS  4

bool mr_postgres_is_time(const struct mr_postgres_column *column)
{
    return column->base == MR_PG_DATE || column->base == MR_PG_TIMESTAMP ||
           column->base == MR_PG_TIMESTAMPTZ;
}

bool mr_postgres_is_number(const struct mr_postgres_column *column)
{
    switch (column->base) {
    case MR_PG_INT2:
    case MR_PG_INT4:
    case MR_PG_INT8:
    case MR_PG_NUMERIC:
    case MR_PG_FLOAT4:
    case MR_PG_FLOAT8:
        return true;
    default:
        return false;
    }
}

/* --- where a run ended, as bytes --- */

enum mr_status mr_postgres_mark_write(const struct mr_postgres_mark *mark, struct mr_arena *arena,
                                      struct mr_slice *out, struct mr_error *err)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, 1 << 20);
    mr_bytes_u8(&bytes, VERSION);
    mr_bytes_u8(&bytes,
                (uint8_t)((mark->has_value ? HAS_VALUE : 0) | (mark->inclusive ? INCLUSIVE : 0) |
                          (mark->has_keys ? HAS_KEYS : 0)));
    mr_bytes_lenpref_text(&bytes, mark->system);
    mr_bytes_lenpref_text(&bytes, mark->database);
    mr_bytes_lenpref_text(&bytes, mark->relation);
    mr_bytes_lenpref_text(&bytes, mark->column);
    mr_bytes_lenpref_text(&bytes, mark->type);
    mr_bytes_varint(&bytes, (uint64_t)mark->nkeys);
    for (int i = 0; i < mark->nkeys; i++)
        mr_bytes_lenpref_text(&bytes, mark->keys[i]);
    for (int i = 0; mark->has_value && i <= mr_postgres_mark_keys(mark); i++)
        mr_bytes_lenpref_text(&bytes, mark->values[i]);
    mr_bytes_seal(&bytes, 0);
    return mr_bytes_settle(&bytes, arena, out, err);
}

static const char *get(struct mr_byte_reader *reader, struct mr_arena *arena, bool *good)
{
    struct mr_slice text = mr_byte_reader_lenpref(reader);
    const char *copy = NULL;
    if (!reader->bad && (text.size == 0 || memchr(text.data, 0, text.size) == NULL))
        copy = mr_arena_strndup(arena, text.data, text.size);
    *good = *good && copy;
    return copy;
}

bool mr_postgres_mark_read(struct mr_slice bytes, struct mr_arena *arena,
                           struct mr_postgres_mark *mark)
{
    struct mr_byte_reader reader;
    if (!mr_byte_reader_unseal(&reader, bytes))
        return false;
    uint8_t version = mr_byte_reader_u8(&reader);
    uint8_t flags = mr_byte_reader_u8(&reader);
    bool good = version == VERSION;
    mark->has_value = flags & HAS_VALUE;
    mark->inclusive = flags & INCLUSIVE;
    mark->has_keys = flags & HAS_KEYS;
    mark->system = get(&reader, arena, &good);
    mark->database = get(&reader, arena, &good);
    mark->relation = get(&reader, arena, &good);
    mark->column = get(&reader, arena, &good);
    mark->type = get(&reader, arena, &good);
    uint64_t nkeys = mr_byte_reader_varint(&reader);
    if (!good || reader.bad || nkeys > MR_POSTGRES_KEYS_MAX)
        return false;
    mark->nkeys = (int)nkeys;
    for (int i = 0; i < mark->nkeys; i++)
        mark->keys[i] = get(&reader, arena, &good);
    for (int i = 0; mark->has_value && i <= mr_postgres_mark_keys(mark); i++)
        mark->values[i] = get(&reader, arena, &good);
    return good && mr_byte_reader_done(&reader);
}

enum mr_status mr_postgres_mark_refuse(struct mr_error *err, const char *what, const char *before,
                                       const char *now)
{
    mr_error_set(
        err, MR_SOURCE, MR_CLASS_CONFIG,
        "the last run ended in %s %s, this one reads %s: where it ended means nothing here", what,
        before, now);
    mr_error_hint(err, "run with --fresh to read from the beginning, or say where to go on with "
                       "`millrace watermark set`");
    return MR_SOURCE;
}

enum mr_status mr_postgres_mark_compare(const struct mr_postgres_mark *before,
                                        const struct mr_postgres_mark *now, struct mr_error *err)
{
    if (before->system[0] && now->system[0] && strcmp(before->system, now->system) != 0)
        return mr_postgres_mark_refuse(err, "the server with the system identifier", before->system,
                                       now->system);
    if (strcmp(before->database, now->database) != 0)
        return mr_postgres_mark_refuse(err, "the database", before->database, now->database);
    if (strcmp(before->relation, now->relation) != 0)
        return mr_postgres_mark_refuse(err, "the relation", before->relation, now->relation);
    if (strcmp(before->column, now->column) != 0)
        return mr_postgres_mark_refuse(err, "the column", before->column, now->column);
    if (strcmp(before->type, now->type) != 0)
        return mr_postgres_mark_refuse(err, "a column of type", before->type, now->type);
    bool same = before->nkeys == now->nkeys;
    for (int i = 0; same && i < now->nkeys; i++)
        same = strcmp(before->keys[i], now->keys[i]) == 0;
    return same ? MR_OK
                : mr_postgres_mark_refuse(err, "a column with", "another key", "a different one");
}

/* --- SQL --- */

void mr_postgres_put_literal(struct mr_bytes *sql, const char *text, const char *type)
{
    (void)mr_pg_literal(sql, mr_slice_of(text));
    mr_bytes_printf(sql, "::%s", type);
}

/* ("c", "k") > ('1'::int8, 'a'::text); only the column where `values` is one value. */
void mr_postgres_put_compare(const struct mr_postgres_incremental *work, struct mr_bytes *sql,
                             const char *op, const char *const *values, int nkeys)
{
    mr_bytes_text(sql, nkeys ? "(" : "");
    mr_pg_identifier(sql, work->column->name);
    for (int i = 0; i < nkeys; i++) {
        mr_bytes_text(sql, ", ");
        mr_pg_identifier(sql, work->keys[i]->name);
    }
    mr_bytes_printf(sql, "%s %s %s", nkeys ? ")" : "", op, nkeys ? "(" : "");
    for (int i = 0; i <= nkeys; i++) {
        mr_bytes_text(sql, i ? ", " : "");
        mr_postgres_put_literal(sql, values[i], work->types[i]);
    }
    mr_bytes_text(sql, nkeys ? ")" : "");
}

/* Behind (or at) the mark, without the overlap. */
void mr_postgres_put_after(const struct mr_postgres_incremental *work, struct mr_bytes *sql)
{
    const struct mr_postgres_mark *mark = &work->mark;
    if (mark->inclusive)
        mr_postgres_put_compare(work, sql, ">=", mark->values, 0);
    else
        mr_postgres_put_compare(work, sql, ">", mark->values, mr_postgres_mark_keys(mark));
}

/* One row of texts with text parameters; the result is the caller's. */
enum mr_status mr_postgres_ask(struct mr_pg *pg, const char *sql, int n, const char *const *params,
                               PGresult **out, struct mr_error *err)
{
    MR_TRY(mr_pg_query(pg, sql, n, params, out, err));
    if (PQntuples(*out) == 1)
        return MR_OK;
    PQclear(*out);
    *out = NULL;
    return mr_error_internal(err, "a query of one row gave another number");
}

bool mr_postgres_xid_before(const char *a, const char *b)
{
    return strtoull(a, NULL, 10) < strtoull(b, NULL, 10);
}

/* Transaction numbers went back: this is not the history that the last run read. */
enum mr_status mr_postgres_check_xid(const struct mr_postgres_incremental *work, const char *now,
                                     struct mr_error *err)
{
    if (work->first || !work->mark.has_value || !mr_postgres_xid_before(now, work->mark.values[0]))
        return MR_OK;
    mr_postgres_mark_refuse(err, "front of transaction", work->mark.values[0], now);
    mr_error_hint(err, "the server was restored, or is a standby that lags: wait for it, run with "
                       "--fresh, or say where to go on with `millrace watermark set`");
    return MR_SOURCE;
}

enum mr_status mr_postgres_find_xmin(struct mr_pg *pg, struct mr_arena *arena, const char **out,
                                     struct mr_error *err)
{
    PGresult *result = NULL;
    MR_TRY(mr_postgres_ask(pg,
                           "SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())",
                           0, NULL, &result, err));
    *out = mr_arena_strdup(arena, PQgetvalue(result, 0, 0));
    PQclear(result);
    return *out ? MR_OK : mr_error_nomem(err);
}
