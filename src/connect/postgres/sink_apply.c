/*
 * sink_apply.c - inside of the transaction of a commit: staged rows become rows of the target.
 *
 * A table that the load made (direct) is renamed; otherwise its rows are inserted, task after task, in their order. They must be as many
 * as were staged: an unlogged table is empty after a crash of the server, and that must not pass for a table without rows. What tells
 * their number is the INSERT, where it takes them all and says so; the tasks' notes for a direct table (see sink_write.c); else a count.
 *
 * Upsert: of several rows with the same keys the last counts. Within a task DISTINCT ON picks it by its place in the staging table, which
 * was filled in the order of the rows; a later task's row replaces that of an earlier one like any row of the table. An
 * error for doubles, as toDeltaLake has it, was refused: the overlap of an incremental read brings them by design.
 */
#include "base/failpoint.h"
#include "connect/postgres/sink_private.h"
#include "net/pg_text.h"

#include <stdlib.h>

struct apply {
    struct mr_pg *pg;
    const struct mr_runtime *runtime;
    const struct pg_token *token;
    const char *from;  /* of the target */
    const char *label; /* schema.name */
    struct mr_arena arena;
    struct mr_bytes sql;
};

/* Runs what was written, and gives the first field or the number of rows. */
static enum mr_status run(struct apply *apply, const char *staging, int64_t *number,
                          struct mr_error *err)
{
    PGresult *result = NULL;
    enum mr_status status = mr_bytes_status(&apply->sql, err);
    if (status == MR_OK)
        status = pg_sink_blame(mr_pg_query(apply->pg, apply->sql.data, 0, NULL, &result, err),
                               apply->pg, staging, apply->label, err);
    mr_bytes_clear(&apply->sql);
    if (status == MR_OK && number)
        *number =
            strtoll(PQntuples(result) > 0 ? pg_field(result, 0, 0) : PQcmdTuples(result), NULL, 10);
    if (status == MR_OK)
        mr_progressed(apply->runtime);
    PQclear(result);
    return status;
}

static void put_table(struct apply *apply, const char *name)
{
    mr_pg_identifier(&apply->sql, apply->token->schema);
    mr_bytes_char(&apply->sql, '.');
    mr_pg_identifier(&apply->sql, name);
}

static void put_staging(struct apply *apply, const struct pg_staged *staged)
{
    put_table(apply, staged->name);
}

static void put_notes(struct apply *apply)
{
    char name[PG_NAME_MAX];
    pg_staging_notes(apply->token->staged[0].name, name);
    put_table(apply, name);
}

static enum mr_status target_exists(struct apply *apply, bool *exists, struct mr_error *err)
{
    int64_t found = 0;
    mr_bytes_text(&apply->sql, "SELECT count(to_regclass(");
    mr_pg_literal(&apply->sql, mr_slice_of(apply->from));
    mr_bytes_text(&apply->sql, "))");
    MR_TRY(run(apply, NULL, &found, err));
    *exists = found > 0;
    return MR_OK;
}

static enum mr_status count(struct apply *apply, const struct pg_staged *staged,
                            struct mr_error *err)
{
    int64_t rows = 0;
    if (apply->token->noted) {
        mr_bytes_text(&apply->sql, "SELECT coalesce(sum(rows), 0) FROM ");
        put_notes(apply);
    } else {
        mr_bytes_text(&apply->sql, "SELECT count(*) FROM ");
        put_staging(apply, staged);
    }
    MR_TRY(run(apply, NULL, &rows, err));
    if (rows == staged->rows)
        return MR_OK;
    mr_error_set(err, MR_SINK, MR_CLASS_REFUSED,
                 "%lld rows were staged for table %s, and %lld are there now",
                 (long long)staged->rows, apply->label, (long long)rows);
    mr_error_hint(err, "a crash of the server empties unlogged tables: nothing was changed, run "
                       "again");
    return MR_SINK;
}

static enum mr_status check_where(struct apply *apply, const struct pg_staged *staged,
                                  struct mr_error *err)
{
    int64_t rows = 0;
    mr_bytes_printf(&apply->sql, "SELECT count(*) FROM (SELECT %s FROM ", apply->token->select);
    put_staging(apply, staged);
    mr_bytes_text(&apply->sql, ") AS ");
    mr_pg_identifier(&apply->sql, apply->token->name);
    mr_bytes_printf(&apply->sql, " WHERE (\n%s\n) IS NOT TRUE", apply->token->where);
    enum mr_status status = run(apply, staged->name, &rows, err);
    if (status != MR_OK)
        mr_error_prefix(err, "\"replaceWhere\"");
    if (status != MR_OK || rows == 0)
        return status;
    mr_error_set(err, MR_SINK, MR_CLASS_DATA,
                 "\"replaceWhere\" (%.200s) is not true for rows of the load: %lld",
                 apply->token->where, (long long)rows);
    mr_error_hint(err, "they would come again with the next run: filter them, or widen it");
    return MR_SINK;
}

static enum mr_status remove_rows(struct apply *apply, struct mr_error *err)
{
    const struct pg_token *token = apply->token;
    if (token->mode != PG_OVERWRITE)
        return MR_OK;
    if (token->where[0])
        mr_bytes_printf(&apply->sql, "DELETE FROM %s WHERE (\n%s\n)", apply->from, token->where);
    else
        mr_bytes_printf(&apply->sql, "TRUNCATE %s", apply->from);
    return run(apply, NULL, NULL, err);
}

/* Does the INSERT itself tell how many rows were staged? Upsert leaves out those with keys that come again. */
static bool insert_counts(const struct pg_token *token)
{
    return !token->noted && !token->key_list[0];
}

static enum mr_status insert(struct apply *apply, const struct pg_staged *staged,
                             struct mr_error *err)
{
    const struct pg_token *token = apply->token;
    int64_t rows = 0;
    mr_bytes_printf(&apply->sql, "INSERT INTO %s (%s)%s SELECT ", apply->from, token->into,
                    token->overriding ? " OVERRIDING SYSTEM VALUE" : "");
    if (token->key_list[0])
        mr_bytes_printf(&apply->sql, "%s FROM (SELECT DISTINCT ON (%s) %s FROM ", token->into,
                        token->key_list, token->select);
    else
        mr_bytes_printf(&apply->sql, "%s FROM ", token->select);
    put_staging(apply, staged);
    if (token->key_list[0])
        mr_bytes_printf(&apply->sql, " ORDER BY %s, ctid DESC) AS s%s", token->key_list,
                        token->conflict);
    MR_TRY(run(apply, staged->name, &rows, err));
    /* A trigger or a rule of the table may keep rows out of it: then they are counted. */
    if (rows != staged->rows && insert_counts(token))
        MR_TRY(count(apply, staged, err));
    mr_bytes_text(&apply->sql, "DROP TABLE ");
    put_staging(apply, staged);
    return run(apply, NULL, NULL, err);
}

static enum mr_status insert_all(struct apply *apply, bool exists, struct mr_error *err)
{
    const struct pg_token *token = apply->token;
    if (!exists && token->mode != PG_UPSERT) {
        mr_error_set(err, MR_SINK, MR_CLASS_CONFIG, "table %s was dropped while the load ran",
                     apply->label);
        mr_error_hint(err, "run again");
        return MR_SINK;
    }
    if (!exists) {
        mr_bytes_printf(&apply->sql, "CREATE TABLE %s %s", apply->from, token->create);
        MR_TRY(run(apply, NULL, NULL, err));
    }
    MR_TRY(remove_rows(apply, err));
    MR_TRY(MR_FAILPOINT("postgres.before_insert", err));
    for (int i = 0; i < token->nstaged; i++)
        MR_TRY(insert(apply, &token->staged[i], err));
    return MR_FAILPOINT("postgres.after_insert", err);
}

/* The table that the load made takes the place of the target. */
static enum mr_status take_place(struct apply *apply, bool exists, struct mr_error *err)
{
    const struct pg_token *token = apply->token;
    MR_TRY(MR_FAILPOINT("postgres.before_rename", err));
    if (exists) {
        mr_bytes_printf(&apply->sql, "DROP TABLE %s", apply->from);
        MR_TRY(run(apply, NULL, NULL, err));
    }
    mr_bytes_text(&apply->sql, "ALTER TABLE ");
    put_staging(apply, &token->staged[0]);
    mr_bytes_text(&apply->sql, " RENAME TO ");
    mr_pg_identifier(&apply->sql, token->name);
    MR_TRY(run(apply, NULL, NULL, err));
    return MR_FAILPOINT("postgres.after_rename", err);
}

/* Another load was faster: it made the table. */
static enum mr_status refuse_second(struct apply *apply, struct mr_error *err)
{
    mr_error_set(err, MR_SINK, MR_CLASS_CONFIG, "table %s was made by another while the load ran",
                 apply->label);
    mr_error_hint(err, "nothing was changed: run again");
    return MR_SINK;
}

static enum mr_status move(struct apply *apply, struct mr_error *err)
{
    const struct pg_token *token = apply->token;
    bool exists;
    for (int i = 0; i < token->nstaged; i++) {
        if (token->direct || !insert_counts(token))
            MR_TRY(count(apply, &token->staged[i], err));
        if (token->where[0])
            MR_TRY(check_where(apply, &token->staged[i], err));
    }
    MR_TRY(target_exists(apply, &exists, err));
    if (exists && (token->mode == PG_ERROR_IF_EXISTS || token->mode == PG_IGNORE))
        return refuse_second(apply, err);
    if (token->nstaged == 0)
        return mr_error_internal(err, "a commit to %s without a staging table", apply->label);
    if (token->direct && (!exists || token->swap))
        MR_TRY(take_place(apply, exists, err));
    else
        MR_TRY(insert_all(apply, exists, err));
    if (token->noted) {
        mr_bytes_text(&apply->sql, "DROP TABLE ");
        put_notes(apply);
        MR_TRY(run(apply, NULL, NULL, err));
    }
    return pg_sink_blame(token->indexes[0] ? mr_pg_exec(apply->pg, token->indexes, err) : MR_OK,
                         apply->pg, NULL, NULL, err);
}

enum mr_status pg_sink_apply(struct mr_pg *pg, const struct mr_runtime *runtime,
                             const struct pg_token *token, struct mr_error *err)
{
    struct apply apply = {.pg = pg, .runtime = runtime, .token = token};
    struct mr_bytes from;
    mr_arena_init(&apply.arena, NULL);
    mr_bytes_init(&apply.sql, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_init(&from, 4096);
    mr_pg_identifier(&from, token->schema);
    mr_bytes_char(&from, '.');
    mr_pg_identifier(&from, token->name);
    apply.from = mr_bytes_to_arena(&from, &apply.arena);
    apply.label = mr_arena_printf(&apply.arena, "%s.%s", token->schema, token->name);
    enum mr_status status = apply.from && apply.label ? move(&apply, err) : mr_error_nomem(err);
    mr_bytes_reset(&apply.sql);
    mr_arena_reset(&apply.arena);
    return status;
}

enum mr_status pg_sink_staged(struct mr_pg *pg, const struct pg_token *token, bool *all,
                              struct mr_error *err)
{
    struct mr_bytes sql;
    PGresult *result = NULL;
    mr_bytes_init(&sql, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_text(&sql, "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                        "ON n.oid = c.relnamespace WHERE n.nspname = ");
    mr_pg_literal(&sql, mr_slice_of(token->schema));
    mr_bytes_text(&sql, " AND c.relname IN (NULL");
    for (int i = 0; i < token->nstaged; i++) {
        mr_bytes_text(&sql, ", ");
        mr_pg_literal(&sql, mr_slice_of(token->staged[i].name));
    }
    mr_bytes_char(&sql, ')');
    enum mr_status status = mr_bytes_status(&sql, err);
    if (status == MR_OK)
        status =
            pg_sink_blame(mr_pg_query(pg, sql.data, 0, NULL, &result, err), pg, NULL, NULL, err);
    mr_bytes_reset(&sql);
    MR_TRY(status);
    *all = token->nstaged > 0 && strtoll(pg_field(result, 0, 0), NULL, 10) == token->nstaged;
    PQclear(result);
    return MR_OK;
}
