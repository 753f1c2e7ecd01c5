/*
 * source.c - fromPostgres: bind, offer, and the table of callbacks.
 *
 * Bind asks the catalogs and the planner (EXPLAIN), never the data, so that `validate --connect` and `plan` are cheap on any table. The parts:
 * settings.c options, server.c connections and snapshot, catalog.c and types.c what the columns are, predicate.c and sql.c the statements,
 * splits.c and ranges.c the parts, reader.c and copy_decode.c rows to batches.
 */
#include "connect/postgres/postgres.h"

#include "base/hash.h"
#include "connect/postgres/incremental.h"

#include <stdio.h>

/* --- the columns that are read --- */

/* Makes columns, fields and schema from a choice of state->all; `pick` has indexes into it. */
static enum mr_status choose_columns(struct mr_postgres_state *state,
                                     const struct mr_postgres_column *const *pick, int n,
                                     struct mr_error *err)
{
    struct mr_arena *arena = state->arena;
    struct mr_postgres_column *columns = mr_arena_calloc(arena, (size_t)n + 1, sizeof *columns);
    struct mr_copy_field *copies = mr_arena_calloc(arena, (size_t)n + 1, sizeof *copies);
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)n + 1, sizeof *fields);
    if (!columns || !copies || !fields)
        return mr_error_nomem(err);
    uint64_t identity = 1;
    for (int i = 0; i < n; i++) {
        columns[i] = *pick[i];
        copies[i] = pick[i]->field;
        fields[i] = (struct mr_field){
            .name = pick[i]->name,
            .type = pick[i]->field.type,
            .nullable = !pick[i]->not_null || pick[i]->field.infinity_null,
            .origin = pick[i]->origin,
        };
        identity = mr_hash64_seed(pick[i]->name, strlen(pick[i]->name), identity);
        identity = mr_hash_combine(identity, pick[i]->type);
    }
    state->columns = columns;
    state->ncolumns = n;
    state->fields = copies;
    state->identity = identity;
    state->schema = mr_schema_new(arena, fields, n);
    return state->schema ? MR_OK : mr_error_nomem(err);
}

/* The option `columns`: those, in that order; else all. */
static enum mr_status wanted_columns(struct mr_postgres_state *state, struct mr_error *err)
{
    const struct mr_postgres_settings *settings = &state->settings;
    int n = settings->ncolumns > 0 ? settings->ncolumns : state->nall;
    const struct mr_postgres_column **pick =
        mr_arena_calloc(state->arena, (size_t)(n > state->nall ? n : state->nall) + 1,
                        sizeof *pick);
    if (pick == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < state->nall; i++)
        pick[i] = &state->all[i];
    MR_TRY(choose_columns(state, pick, state->nall, err));
    for (int i = 0; i < settings->ncolumns; i++) {
        int at = mr_schema_find(state->schema, settings->columns[i]);
        if (at < 0) {
            struct mr_error cause;
            mr_schema_unknown_column(state->schema, settings->columns[i], &cause);
            mr_options_error(settings->options, "columns", err, "%s of %s", cause.message,
                             state->relation.label);
            mr_error_hint(err, "%s", cause.hint);
            return MR_CONFIG;
        }
        for (int k = 0; k < i; k++)
            if (pick[k] == &state->all[at])
                return mr_options_error(settings->options, "columns", err,
                                        "the column \"%s\" is listed twice", state->all[at].name);
        pick[i] = &state->all[at];
    }
    return settings->ncolumns > 0 ? choose_columns(state, pick, n, err) : MR_OK;
}

/* --- what the plan shows --- */

static bool add_note(struct mr_postgres_state *state, struct mr_source_info *info, const char *note)
{
    const char **notes = mr_arena_calloc(state->arena, (size_t)info->nnotes + 1, sizeof *notes);
    if (notes == NULL || note == NULL)
        return false;
    for (int i = 0; i < info->nnotes; i++)
        notes[i] = info->notes[i];
    notes[info->nnotes++] = note;
    info->notes = notes;
    return true;
}

static bool type_notes(struct mr_postgres_state *state, struct mr_source_info *info)
{
    struct mr_arena *arena = state->arena;
    bool good = true;
    for (int i = 0; i < state->ncolumns && good; i++) {
        const struct mr_postgres_column *column = &state->columns[i];
        if (column->by_text)
            good = add_note(state, info,
                            mr_arena_printf(arena, "column \"%s\": %s is read as text",
                                            column->name, column->origin));
        else if (column->cast[0] && column->base != MR_PG_CHAR)
            good = add_note(state, info,
                            mr_arena_printf(arena, "column \"%s\": %s is read as text (infinityAs)",
                                            column->name, column->origin));
        else if (column->base == MR_PG_NUMERIC &&
                 column->field.type == state->settings.numeric_type)
            good = add_note(
                state, info,
                mr_arena_printf(arena,
                                "column \"%s\": %s becomes decimal(%d,%d); digits that do not fit "
                                "are an error (numericAs)",
                                column->name, column->origin, column->field.type->precision,
                                column->field.type->scale));
    }
    return good;
}

static const char *split_note(const struct mr_postgres_state *state)
{
    const struct mr_postgres_settings *settings = &state->settings;
    if (settings->lower)
        return mr_arena_printf(state->arena,
                               "splits: equal-width ranges of %s from the bounds given",
                               settings->partition_column);
    if (settings->partition_column)
        return mr_arena_printf(state->arena,
                               "splits: ranges of %s with equally many rows, from statistics",
                               settings->partition_column);
    if (strchr("rmp", state->relation.kind))
        return "splits: page ranges (ctid)";
    return "splits: one; a view, foreign table or query needs partitionColumn to be read in "
           "parallel";
}

static enum mr_status describe(struct mr_postgres_state *state, struct mr_source_info *info,
                               struct mr_error *err)
{
    struct mr_bytes sql;
    mr_bytes_init(&sql, MR_BYTES_DEFAULT_MAXIMUM);
    struct mr_postgres_select select = {.from = state->relation.from,
                                        .condition = mr_postgres_incremental_lower(state),
                                        .limit = state->limit};
    mr_postgres_write_select(state, &select, &sql);
    enum mr_status status = mr_bytes_status(&sql, err);
    if (status == MR_OK)
        info->details = mr_arena_strndup(state->arena, sql.data, sql.size);
    mr_bytes_reset(&sql);
    info->schema = state->schema;
    info->notes = NULL;
    info->nnotes = 0;
    if (status == MR_OK && (info->details == NULL || !type_notes(state, info) ||
                            !add_note(state, info, split_note(state))))
        status = mr_error_nomem(err);
    const char *const *notes = mr_postgres_incremental_notes(state);
    for (int i = 0; notes[i] && status == MR_OK; i++)
        if (!add_note(state, info, notes[i]))
            status = mr_error_nomem(err);
    return status;
}

/* --- bind --- */

static enum mr_status estimate(struct mr_postgres_state *state, struct mr_pg *pg,
                               struct mr_source_info *info, struct mr_error *err)
{
    struct mr_postgres_estimate guess;
    enum mr_status status = mr_postgres_estimate(pg, info->details, &guess, err);
    if (status != MR_OK) {
        if (strncmp(mr_pg_sqlstate(pg), "42", 2) == 0 && state->settings.where &&
            strcmp(mr_pg_sqlstate(pg), "42501") != 0) {
            struct mr_error cause = {.status = status};
            if (err)
                cause = *err;
            return mr_options_error(state->settings.options, "where", err, "%s", cause.message);
        }
        return status;
    }
    info->rows = guess.rows >= 0 ? (int64_t)guess.rows : -1;
    state->row_bytes = guess.width + 4 * state->ncolumns + 2;
    info->bytes = info->rows >= 0 ? info->rows * state->row_bytes : -1;
    return MR_OK;
}

static enum mr_status bind_connected(struct mr_postgres_state *state, struct mr_pg *pg,
                                     const struct mr_source_bind *bind, struct mr_source_info *info,
                                     struct mr_error *err)
{
    MR_TRY(mr_postgres_find_relation(pg, &state->settings, state->arena, &state->relation, err));
    MR_TRY(mr_postgres_read_columns(pg, &state->settings, &state->relation, state->arena,
                                    &state->all, &state->nall, err));
    MR_TRY(mr_postgres_check_partition_column(state, err));
    MR_TRY(wanted_columns(state, err));
    MR_TRY(mr_postgres_incremental_bind(state, pg, bind, info, err));
    MR_TRY(describe(state, info, err));
    return estimate(state, pg, info, err);
}

static void close_source(void *object)
{
    struct mr_postgres_state *state = object;
    if (state->owns_server)
        mr_postgres_server_free(state->server);
    mr_free(state->narrowed);
    mr_postgres_limits_reset(&state->limits);
    mr_free(state);
}

struct binding {
    struct mr_postgres_state *state;
    const struct mr_source_bind *bind;
    struct mr_source_info *info;
};

static enum mr_status ask_to_bind(void *context, struct mr_pg *pg, struct mr_error *err)
{
    const struct binding *binding = context;
    return bind_connected(binding->state, pg, binding->bind, binding->info, err);
}

static enum mr_status connect_and_bind(struct mr_postgres_state *state,
                                       const struct mr_source_bind *bind,
                                       struct mr_source_info *info, struct mr_error *err)
{
    struct mr_runtime *runtime = bind->runtime;
    MR_TRY(mr_postgres_server_get(runtime, &state->settings.login, &state->server,
                                  &state->owns_server, err));
    mr_postgres_server_limit_age(state->server, state->limits.age_micros);
    struct binding binding = {state, bind, info};
    enum mr_status status =
        mr_postgres_server_ask(state->server, runtime, ask_to_bind, &binding, err);
    if (status == MR_OK) {
        info->location =
            mr_arena_printf(state->arena, "postgres://%s %s%s",
                            mr_postgres_server_location(state->server),
                            state->relation.kind == 'q' ? "" : "table ", state->relation.label);
        if (info->location == NULL)
            status = mr_error_nomem(err);
    }
    return status;
}

static enum mr_status bind_source(const struct mr_source_bind *bind, void **out,
                                  struct mr_source_info *info, struct mr_error *err)
{
    *out = NULL;
    *info = (struct mr_source_info){.rows = -1, .bytes = -1};
    struct mr_postgres_state *state = mr_calloc(1, sizeof *state);
    if (state == NULL)
        return mr_error_nomem(err);
    state->arena = bind->arena;
    state->limit = -1;
    mr_postgres_limits_init(&state->limits, bind->options);
    state->planning = bind->runtime;
    state->time_zone = bind->runtime->time_zone;
    enum mr_status status =
        mr_postgres_settings_read(&state->settings, bind->options, bind->runtime, bind->arena, err);
    if (status == MR_OK)
        status = mr_postgres_incremental_check(&state->settings, err);
    info->max_readers = state->settings.max_connections;
    info->location = "postgres";
    if (status == MR_OK && !bind->runtime->offline)
        status = connect_and_bind(state, bind, info, err);
    if (status != MR_OK) {
        close_source(state);
        return status;
    }
    *out = state;
    return MR_OK;
}

/* --- offer --- */

static enum mr_status push_predicates(struct mr_postgres_state *state,
                                      struct mr_source_offer *offer, struct mr_error *err)
{
    struct mr_bytes sql;
    mr_bytes_init(&sql, MR_BYTES_DEFAULT_MAXIMUM);
    for (int i = 0; i < offer->npredicates; i++) {
        size_t mark = sql.size;
        mr_bytes_text(&sql, sql.size ? " AND (" : "(");
        offer->pushed[i] =
            mr_postgres_write_predicate(state, offer->predicates[i], state->time_zone, &sql);
        if (offer->pushed[i] != MR_PUSH_REFUSED)
            mr_bytes_char(&sql, ')');
        else if (sql.status == MR_OK && sql.data)
            sql.data[sql.size = mark] = '\0';
    }
    enum mr_status status = mr_bytes_status(&sql, err);
    if (status == MR_OK && sql.size > 0) {
        state->condition = mr_arena_strndup(state->arena, sql.data, sql.size);
        if (state->condition == NULL)
            status = mr_error_nomem(err);
    }
    mr_bytes_reset(&sql);
    return status;
}

/* What is left of the rows, by the server's planner. */
static enum mr_status ask_estimate(void *context, struct mr_pg *pg, struct mr_error *err)
{
    const struct binding *binding = context;
    return estimate(binding->state, pg, binding->info, err);
}

static enum mr_status offer_source(void *object, struct mr_source_offer *offer,
                                   struct mr_source_info *info, struct mr_error *err)
{
    struct mr_postgres_state *state = object;
    if (state->schema == NULL) { /* offline */
        for (int i = 0; i < offer->npredicates; i++)
            offer->pushed[i] = MR_PUSH_REFUSED;
        return MR_OK;
    }
    MR_TRY(push_predicates(state, offer, err));
    bool all_exact = true;
    for (int i = 0; i < offer->npredicates; i++)
        all_exact = all_exact && offer->pushed[i] == MR_PUSH_EXACT;
    state->limit = all_exact ? offer->limit : -1;
    if (offer->columns) {
        const struct mr_postgres_column **pick =
            mr_arena_calloc(state->arena, (size_t)state->ncolumns + 1, sizeof *pick);
        if (pick == NULL)
            return mr_error_nomem(err);
        int n = 0;
        for (int i = 0; i < state->ncolumns; i++)
            if (offer->columns[i])
                pick[n++] = &state->columns[i];
        MR_TRY(choose_columns(state, pick, n, err));
    }
    const char *before = info->details;
    MR_TRY(describe(state, info, err));
    if (before && strcmp(before, info->details) == 0)
        return MR_OK; /* bind asked the planner that */
    struct binding binding = {.state = state, .info = info};
    return mr_postgres_server_ask(state->server, state->planning, ask_estimate, &binding, err);
}

/* --- narrow --- */

/* A longer list of keys costs the server more to compare than it saves us. */
#define NARROW_BYTES_MOST ((size_t)256 << 10)

static enum mr_status narrow_source(void *object, const struct mr_predicate *predicate,
                                    struct mr_error *err)
{
    struct mr_postgres_state *state = object;
    struct mr_bytes sql;
    (void)err;
    mr_free(state->narrowed);
    state->narrowed = NULL;
    if (predicate == NULL)
        return MR_OK;
    mr_bytes_init(&sql, NARROW_BYTES_MOST);
    if (mr_postgres_write_predicate(state, predicate, state->time_zone, &sql) != MR_PUSH_REFUSED &&
        mr_bytes_status(&sql, NULL) == MR_OK)
        state->narrowed = mr_strndup(sql.data, sql.size);
    mr_bytes_reset(&sql);
    return MR_OK;
}

const struct mr_source mr_source_postgres = {
    .name = "postgres",
    .doc = "Reads a table, view or query of PostgreSQL in parallel, under one snapshot.",
    .system = "postgres",
    .options = mr_postgres_options,
    .flags = MR_SOURCE_STABLE_ORDER,
    .bind = bind_source,
    .offer = offer_source,
    .splits = mr_postgres_splits,
    .narrow = narrow_source,
    .reader_open = mr_postgres_reader_open,
    .next = mr_postgres_reader_next,
    .position = mr_postgres_reader_position,
    .reader_close = mr_postgres_reader_close,
    .close = close_source,
};
