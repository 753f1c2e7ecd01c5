/*
 * sink_bind.c - toPostgres when the plan is made: what the options mean together, and what the server says of the table.
 *
 * Everything that can be refused without a row is refused here, before anything is read: a missing table that must not be
 * made, columns that do not fit, rights that are missing.
 *
 * Two ways of staging. `direct`: the table is made by this load, so all tasks fill one ordinary table that the commit only
 * renames; the rows are written once, as by \copy. Otherwise each task fills an unlogged table of its own, and the commit inserts
 * from them. The alternative for a new table, a staging table per task as well, would write all rows but the first task's
 * twice, and the alternative of loading an existing table directly would need prepared transactions, which servers
 * refuse unless configured.
 */
#include "connect/postgres/postgres.h"
#include "connect/postgres/sink_private.h"

/* Less is loaded by one connection before a second one has a table to fill. */
#define SMALL_BYTES ((int64_t)4 << 20)

static enum mr_status read_options(struct pg_sink *sink, struct mr_error *err)
{
    const struct mr_options *options = sink->options;
    const struct mr_option_value *mode = mr_options_get(options, "mode");
    const struct mr_option_value *keys = mr_options_get(options, "keys");
    sink->mode = (enum pg_mode)mr_options_integer(options, "mode", PG_APPEND);
    sink->swap = mr_options_integer(options, "overwriteMode", 0) == 1;
    sink->where = mr_options_text(options, "replaceWhere");
    sink->batch_rows = mr_options_integer(options, "batchSize", 10000);
    if (sink->where && !mode->by_user)
        sink->mode = PG_OVERWRITE;
    if (sink->where && sink->mode != PG_OVERWRITE)
        return mr_options_error(options, "replaceWhere", err,
                                "\"replaceWhere\" goes with mode overwrite");
    if (sink->where && sink->swap)
        return mr_options_error(options, "overwriteMode", err,
                                "swap replaces the whole table; \"replaceWhere\" a part of it");
    if (keys->set && sink->mode != PG_UPSERT)
        return mr_options_error(options, "keys", err, "\"keys\" go with mode upsert");
    if (sink->mode == PG_UPSERT && (!keys->set || keys->u.strings.count == 0))
        return mr_options_error(options, "mode", err, "mode upsert needs \"keys\"");
    if (keys->set) {
        sink->keys = keys->u.strings.items;
        sink->nkeys = keys->u.strings.count;
    }
    sink->swap = sink->swap && sink->mode == PG_OVERWRITE;
    return MR_OK;
}

static enum mr_status refuse(struct mr_error *err, const char *hint)
{
    if (err)
        err->status = MR_SINK; /* the file is right, the target is not */
    mr_error_hint(err, "%s", hint);
    return MR_SINK;
}

static enum mr_status check_missing_target(const struct pg_sink *sink, struct mr_error *err)
{
    const struct pg_target *target = &sink->target;
    if (!target->schema_exists) {
        mr_options_error(sink->options, "table", err, "there is no schema \"%s\"", target->schema);
        return refuse(err, "CREATE SCHEMA it, or name another");
    }
    if (!mr_options_boolean(sink->options, "createTable", true)) {
        mr_options_error(sink->options, "createTable", err, "there is no table %s", target->label);
        return refuse(err, "createTable false: make it before the load, or let the load do it");
    }
    return MR_OK;
}

static enum mr_status check_target(struct pg_sink *sink, struct mr_sink_info *info,
                                   struct mr_error *err)
{
    const struct pg_target *target = &sink->target;
    info->missing = !target->exists;
    info->skip = target->exists && sink->mode == PG_IGNORE;
    if (info->skip)
        return MR_OK;
    if (!target->exists)
        MR_TRY(check_missing_target(sink, err));
    if (target->exists && sink->mode == PG_ERROR_IF_EXISTS) {
        mr_options_error(sink->options, "mode", err, "table %s exists already", target->label);
        return refuse(err, "mode errorifexists stops here; append adds, overwrite replaces");
    }
    if (target->exists && target->kind != 'r' && target->kind != 'p') {
        mr_options_error(sink->options, "table", err, "%s is not a table", target->label);
        return refuse(err, "views and foreign tables cannot be loaded");
    }
    if (!target->may_create) {
        mr_error_set(err, MR_SINK, MR_CLASS_CONFIG,
                     "user \"%s\" may not create tables in schema \"%s\"", target->user,
                     target->schema);
        return refuse(err, "GRANT CREATE ON SCHEMA to this user: rows are staged there, and the "
                           "table " PG_STATE_TABLE " remembers what was committed");
    }
    return MR_OK;
}

static enum mr_status check_unique(struct pg_sink *sink, struct mr_pg *pg, struct mr_error *err)
{
    if (sink->mode != PG_UPSERT || !sink->target.exists)
        return MR_OK;
    MR_TRY(pg_target_keys(pg, &sink->target, sink->keys, sink->nkeys, err));
    if (sink->target.unique_keys)
        return MR_OK;
    mr_options_error(sink->options, "keys", err, "table %s has no unique index on these columns",
                     sink->target.label);
    return refuse(err, "CREATE UNIQUE INDEX on exactly these columns, without a WHERE");
}

struct binding {
    struct pg_sink *sink;
    const struct mr_sink_bind *bind;
    struct mr_sink_info *info;
};

static enum mr_status ask_server(void *context, struct mr_pg *pg, struct mr_error *err)
{
    const struct binding *binding = context;
    struct pg_sink *sink = binding->sink;
    const struct mr_sink_bind *bind = binding->bind;
    struct mr_sink_info *info = binding->info;
    struct pg_target *target = &sink->target;
    enum mr_status status =
        pg_target_find(pg, mr_options_text(sink->options, "table"), bind->arena, target, err);
    if (status == MR_CONFIG)
        return mr_options_error(sink->options, "table", err, "%s", err ? err->message : "");
    MR_TRY(status);
    MR_TRY(check_target(sink, info, err));
    sink->name = mr_arena_printf(bind->arena, "%s#%d", target->name, sink->sequence);
    if (!sink->name)
        return mr_error_nomem(err);
    if (target->exists)
        MR_TRY(pg_target_columns(pg, target, bind->arena, err));
    MR_TRY(check_unique(sink, pg, err));
    sink->direct = target->exists ? sink->swap : sink->mode != PG_UPSERT;
    if (!info->skip && bind->schema)
        MR_TRY(pg_sink_define(sink, bind->schema, bind->arena, err));
    struct pg_state_of of = {target, bind->runtime->state_key, sink->name, 0};
    return pg_state_read(pg, &of, &sink->before, NULL, err);
}

static enum mr_status describe(const struct pg_sink *sink, const struct mr_sink_bind *bind,
                               struct mr_sink_info *info, struct mr_error *err)
{
    static const char *const modes[] = {"append", "overwrite", "errorifexists", "ignore", "upsert"};
    const char **notes = mr_arena_calloc(bind->arena, 3, sizeof *notes);
    const char *label =
        sink->target.label ? sink->target.label : mr_options_text(sink->options, "table");
    info->location =
        mr_arena_printf(bind->arena, "%s %s (%s)", sink->link.location, label, modes[sink->mode]);
    if (!notes || !info->location)
        return mr_error_nomem(err);
    int count = 0;
    if (sink->target.label && !info->skip) {
        notes[count++] = sink->direct ? "staged as a new table, which the commit gives its name"
                                      : "staged in unlogged tables, inserted by the commit";
        if (sink->mode == PG_OVERWRITE && sink->target.exists)
            notes[count++] = sink->where  ? "overwrite deletes the rows of replaceWhere"
                             : sink->swap ? "overwrite drops the table with its indexes and grants"
                                          : "overwrite truncates; overwriteMode swap makes the "
                                            "table anew";
    }
    info->notes = notes;
    info->nnotes = count;
    return MR_OK;
}

enum mr_status pg_sink_bind(const struct mr_sink_bind *bind, void **state,
                            struct mr_sink_info *info, struct mr_error *err)
{
    *info = (struct mr_sink_info){.kinds = MR_SINK_APPEND};
    struct pg_sink *sink = mr_arena_calloc(bind->arena, 1, sizeof *sink);
    if (!sink)
        return mr_error_nomem(err);
    sink->options = bind->options;
    sink->sequence = bind->sequence;
    MR_TRY(read_options(sink, err));
    info->kinds |= sink->mode == PG_UPSERT ? MR_SINK_UPSERT : 0;
    info->kinds |= sink->mode == PG_OVERWRITE ? MR_SINK_COMPLETE : 0;
    MR_TRY(pg_link_read(&sink->link, bind->options, bind->runtime, bind->arena, err));
    info->tasks = (int)mr_options_integer(bind->options, "maxConnections", 0);
    info->small_bytes = SMALL_BYTES;
    struct binding binding = {sink, bind, info};
    if (!bind->runtime->offline)
        MR_TRY(
            pg_link_ask(&sink->link, bind->runtime, "catalog queries", ask_server, &binding, err));
    *state = sink;
    return describe(sink, bind, info, err);
}

static void pg_sink_close(void *state)
{
    (void)state; /* all of it is in the plan's arena */
}

const struct mr_sink mr_sink_postgres = {
    .name = "toPostgres",
    .doc = "Loads a PostgreSQL table; rows and the number of the epoch commit in one transaction.",
    .system = "postgres",
    .options = pg_sink_options,
    .flags = MR_SINK_ATOMIC,
    .bind = pg_sink_bind,
    .writer_open = pg_sink_writer_open,
    .write = pg_sink_write,
    .relieve = pg_sink_relieve,
    .writer_finish = pg_sink_writer_finish,
    .writer_close = pg_sink_writer_close,
    .prepare = pg_sink_prepare,
    .commit = pg_sink_commit,
    .recover = pg_sink_recover,
    .abort = pg_sink_abort,
    .close = pg_sink_close,
};
