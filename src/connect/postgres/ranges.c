/*
 * ranges.c - the values of the partition column that separate splits.
 *
 * Three ways, best first. Bounds that the user wrote are obeyed as written: n equal-width strides between them, the first and last open, as Spark's
 * JDBC reader does it (JDBCRelation.columnPartition), with NULLs in the first. Without bounds, pg_stats: the histogram's buckets hold equally many rows each and the most common
 * values their own share, so the cumulative distribution gives boundaries of equal frequency without reading a row; sparse or skewed keys cost nothing.
 * Without statistics, the smallest and largest value, equal widths between them.
 *
 * Boundaries may be anything: the ranges [b1, b2) of a total order hold every row exactly once whatever the statistics say. Equal widths are
 * computed in 128-bit integers (units: integers, days, microseconds, or decimals of a fixed scale), so no
 * rounding moves a boundary.
 */
#include "connect/postgres/state.h"

#include "base/time.h"
#include "net/pg_text.h"

#include <stdio.h>
#include <stdlib.h>

#define BOUND_DIGITS   36
#define FRACTION_SCALE 9

/* How values of the column become integers and literals. */
struct unit {
    const char *
        to_units; /* SQL from an expression (twice %s) to an integer; NULL = parsed here as a decimal */
    const char *type; /* of the literals */
    const char *
        finite; /* SQL that is true for values with a place on the axis (%s = the column), or NULL */
    int scale;
};

struct planner {
    struct mr_postgres_state *state;
    const struct mr_postgres_column *column;
    struct mr_pg *pg;
    struct mr_arena *arena;
    struct mr_error *err;
    struct unit unit;
};

#define EPOCH_MICROS_SQL                                                                           \
    "floor(extract(epoch FROM %s) * 1000000)::pg_catalog.numeric::pg_catalog.text"

static bool unit_of(const struct mr_postgres_column *column, struct unit *out)
{
    switch (column->base) {
    case MR_PG_INT2:
    case MR_PG_INT4:
    case MR_PG_INT8:
        *out = (struct unit){.type = "int8"};
        return true;
    case MR_PG_NUMERIC:
        *out = (struct unit){.type = "numeric", .scale = FRACTION_SCALE, .finite = "%s <> 'NaN'"};
        if (column->field.kind == MR_COPY_NUMERIC && column->base_typmod >= 4 &&
            column->field.type->scale < FRACTION_SCALE)
            out->scale = column->field.type->scale;
        return true;
    case MR_PG_FLOAT4:
    case MR_PG_FLOAT8:
        *out = (struct unit){.type = "float8",
                             .scale = FRACTION_SCALE,
                             .finite = "%s > '-Infinity' AND %s < 'Infinity'"};
        return true;
    case MR_PG_DATE:
        *out = (struct unit){.to_units = "(%s - '1970-01-01'::date)::text",
                             .type = "date",
                             .finite = "isfinite(%s)"};
        return true;
    case MR_PG_TIMESTAMP:
        *out = (struct unit){.to_units = EPOCH_MICROS_SQL,
                             .type = "timestamp",
                             .finite = "isfinite(%s)"};
        return true;
    case MR_PG_TIMESTAMPTZ:
        *out = (struct unit){.to_units = EPOCH_MICROS_SQL,
                             .type = "timestamptz",
                             .finite = "isfinite(%s)"};
        return true;
    default:
        return false;
    }
}

static const struct mr_postgres_column *find_column(const struct mr_postgres_state *state)
{
    const char *name = state->settings.partition_column;
    for (int i = 0; i < state->nall; i++)
        if (strcmp(state->all[i].name, name) == 0)
            return &state->all[i];
    for (int i = 0; i < state->nall; i++)
        if (strcasecmp(state->all[i].name, name) == 0)
            return &state->all[i];
    return NULL;
}

enum mr_status mr_postgres_check_partition_column(const struct mr_postgres_state *state,
                                                  struct mr_error *err)
{
    const struct mr_postgres_settings *settings = &state->settings;
    if (settings->partition_column == NULL)
        return MR_OK;
    const struct mr_postgres_column *column = find_column(state);
    if (column == NULL)
        return mr_options_error(settings->options, "partitionColumn", err,
                                "%s has no column \"%s\"", state->relation.label,
                                settings->partition_column);
    struct unit unit;
    if (settings->lower && !unit_of(column, &unit))
        return mr_options_error(
            settings->options, "partitionColumn", err,
            "bounds need a column of integers, numerics, floats, dates or timestamps; \"%s\" is %s",
            column->name, column->origin);
    return MR_OK;
}

/* --- values --- */

/* An integer of units from the text that a query or the user gave. */
static bool parse_units(const struct unit *unit, const char *text, mr_int128 *out)
{
    return mr_decimal_parse(text, strlen(text), BOUND_DIGITS, unit->scale, out);
}

static const char *literal(struct planner *planner, mr_int128 units, const char **shown)
{
    char text[MR_DECIMAL_TEXT_MAX > MR_TIME_TEXT_MAX ? MR_DECIMAL_TEXT_MAX : MR_TIME_TEXT_MAX];
    const char *type = planner->unit.type;
    if (strcmp(type, "date") == 0)
        mr_date_format((int64_t)units, text);
    else if (strcmp(type, "timestamp") == 0 || strcmp(type, "timestamptz") == 0)
        mr_timestamp_format((int64_t)units, ' ', text);
    else
        mr_decimal_format(units, planner->unit.scale, text);
    *shown = mr_arena_strdup(planner->arena, text);
    const char *zone = strcmp(type, "timestamptz") == 0 ? "+00" : "";
    return mr_arena_printf(planner->arena, "'%s%s'::%s", text, zone, type);
}

/* --- from boundaries to ranges --- */

struct boundary {
    const char *literal;
    const char *shown;
    double below; /* share of the rows before it, NULLs included */
};

static enum mr_status make_ranges(struct planner *planner, const struct boundary *boundaries, int n,
                                  struct mr_postgres_ranges *out)
{
    struct mr_arena *arena = planner->arena;
    const char *name = planner->column->name;
    struct mr_bytes quoted;
    mr_bytes_init(&quoted, 1024);
    mr_pg_identifier(&quoted, name);
    enum mr_status status = mr_bytes_status(&quoted, planner->err);
    out->count = n + 1;
    out->items = mr_arena_calloc(arena, (size_t)n + 1, sizeof *out->items);
    if (out->items == NULL)
        status = mr_error_nomem(planner->err);
    for (int i = 0; i <= n && status == MR_OK; i++) {
        struct mr_postgres_range *range = &out->items[i];
        const char *from = i > 0 ? boundaries[i - 1].literal : NULL;
        const char *to = i < n ? boundaries[i].literal : NULL;
        range->share = (i < n ? boundaries[i].below : 1) - (i > 0 ? boundaries[i - 1].below : 0);
        if (n == 0)
            range->label = mr_arena_printf(arena, "%s, all", name);
        else if (i == 0)
            range->label = mr_arena_printf(arena, "%s (.., %s)%s", name, boundaries[0].shown,
                                           planner->column->not_null ? "" : " or NULL");
        else if (i == n)
            range->label = mr_arena_printf(arena, "%s [%s, ..)", name, boundaries[n - 1].shown);
        else
            range->label = mr_arena_printf(arena, "%s [%s, %s)", name, boundaries[i - 1].shown,
                                           boundaries[i].shown);
        if (n == 0)
            continue;
        if (i == 0)
            range->condition =
                planner->column->not_null
                    ? mr_arena_printf(arena, "%s < %s", quoted.data, to)
                    : mr_arena_printf(arena, "%s < %s OR %s IS NULL", quoted.data, to, quoted.data);
        else if (i == n)
            range->condition = mr_arena_printf(arena, "%s >= %s", quoted.data, from);
        else
            range->condition =
                mr_arena_printf(arena, "%s >= %s AND %s < %s", quoted.data, from, quoted.data, to);
        if (range->condition == NULL || range->label == NULL)
            status = mr_error_nomem(planner->err);
    }
    mr_bytes_reset(&quoted);
    return status;
}

/* --- statistics --- */

/*
 * One row per known point of the distribution: value, the share of rows that it stands for, the share of NULLs. A histogram bound
 * stands for the bucket that it ends; a most common value for itself.
 */
static const char points_sql[] =
    "WITH s AS (SELECT histogram_bounds::pg_catalog.text::%1$s[] AS h, "
    "most_common_vals::pg_catalog.text::%1$s[] AS m, most_common_freqs AS f, null_frac "
    "FROM pg_catalog.pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = $3 "
    "AND inherited = $4), "
    "p AS (SELECT u.v, CASE WHEN u.o = 1 THEN 0 ELSE greatest(1 - s.null_frac - "
    "coalesce((SELECT sum(x) FROM unnest(s.f) AS x), 0), 0) / greatest(cardinality(s.h) - 1, 1) "
    "END AS w, s.null_frac FROM s, unnest(s.h) WITH ORDINALITY AS u(v, o) "
    "UNION ALL SELECT u.v, u.w, s.null_frac FROM s, unnest(s.m, s.f) AS u(v, w)) ";

struct point {
    const char *text;
    double weight;
};

static enum mr_status base_type_name(struct planner *planner, const char **out)
{
    char oid[16];
    snprintf(oid, sizeof oid, "%u", planner->column->base);
    const char *params[] = {oid};
    PGresult *result = NULL;
    MR_TRY(mr_pg_query(planner->pg, "SELECT pg_catalog.format_type($1::pg_catalog.oid, NULL)", 1,
                       params, &result, planner->err));
    *out = mr_arena_strdup(planner->arena, PQgetvalue(result, 0, 0));
    PQclear(result);
    return *out ? MR_OK : mr_error_nomem(planner->err);
}

/* Runs points_sql and `tail`; *out NULL when the relation has no statistics. */
static enum mr_status ask_stats(struct planner *planner, const char *type, const char *tail,
                                PGresult **out)
{
    const struct mr_postgres_relation *relation = &planner->state->relation;
    const char *params[] = {relation->schema, relation->name, planner->column->name,
                            relation->parent ? "true" : "false"};
    *out = NULL;
    if (relation->kind == 'q')
        return MR_OK;
    struct mr_bytes sql;
    mr_bytes_init(&sql, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_printf(&sql, points_sql, type);
    mr_bytes_text(&sql, tail);
    enum mr_status status = mr_bytes_status(&sql, planner->err);
    if (status == MR_OK)
        status = mr_pg_query(planner->pg, sql.data, 4, params, out, planner->err);
    mr_bytes_reset(&sql);
    return status;
}

/*
 * Walks the points in order and sets a boundary in front of the first point behind each i/n of the rows; a value that alone is more than half a
 * split gets a boundary of its own in front, so that it does not swell the range before it.
 */
static int choose_boundaries(const struct point *points, int npoints, double nulls, int wanted,
                             int *chosen, double *below)
{
    int n = 0;
    double mass = nulls; /* NULLs are in the first range */
    double last = 0;
    for (int i = 0; i < npoints && n < wanted - 1; i++) {
        bool step = (int64_t)(mass * wanted + 1e-9) > (int64_t)(last * wanted + 1e-9);
        bool heavy = points[i].weight * wanted > 0.5 && (mass - last) * wanted > 0.5;
        if (i > 0 && (step || heavy)) {
            chosen[n] = i;
            below[n++] = mass;
            last = mass;
        }
        mass += points[i].weight;
    }
    return n;
}

static enum mr_status ranges_of_points(struct planner *planner, const PGresult *result,
                                       const char *type, int wanted, struct mr_postgres_ranges *out)
{
    struct mr_arena *arena = planner->arena;
    int npoints = PQntuples(result);
    struct point *points = mr_arena_calloc(arena, (size_t)npoints, sizeof *points);
    int *chosen = mr_arena_calloc(arena, (size_t)wanted, sizeof *chosen);
    double *below = mr_arena_calloc(arena, (size_t)wanted, sizeof *below);
    struct boundary *boundaries = mr_arena_calloc(arena, (size_t)wanted, sizeof *boundaries);
    if (!points || !chosen || !below || !boundaries)
        return mr_error_nomem(planner->err);
    for (int i = 0; i < npoints; i++)
        points[i] = (struct point){PQgetvalue(result, i, 0), atof(PQgetvalue(result, i, 1))};
    int n =
        choose_boundaries(points, npoints, atof(PQgetvalue(result, 0, 2)), wanted, chosen, below);
    for (int i = 0; i < n; i++) {
        const char *text = points[chosen[i]].text;
        struct mr_bytes sql;
        mr_bytes_init(&sql, 1 << 20);
        bool good = mr_pg_literal(&sql, mr_slice_of(text));
        boundaries[i].literal =
            good && sql.data ? mr_arena_printf(arena, "%s::%s", sql.data, type) : NULL;
        mr_bytes_reset(&sql);
        boundaries[i].shown = mr_arena_strndup(arena, text, strlen(text) > 40 ? 40 : strlen(text));
        boundaries[i].below = below[i];
        if (boundaries[i].literal == NULL || boundaries[i].shown == NULL)
            return mr_error_nomem(planner->err);
    }
    return make_ranges(planner, boundaries, n, out);
}

/* Equal frequencies. out->count stays 0 without statistics. */
static enum mr_status ranges_by_stats(struct planner *planner, int wanted,
                                      struct mr_postgres_ranges *out)
{
    const char *type = NULL;
    PGresult *result = NULL;
    MR_TRY(base_type_name(planner, &type));
    MR_TRY(ask_stats(
        planner, type,
        "SELECT v::pg_catalog.text, sum(w), min(null_frac) FROM p GROUP BY v ORDER BY p.v",
        &result));
    enum mr_status status = MR_OK;
    if (result && PQntuples(result) > 0)
        status = ranges_of_points(planner, result, type, wanted, out);
    PQclear(result);
    return status;
}

/* Predicts the shares of ranges between given boundaries; equal shares without statistics. */
static enum mr_status predict_shares(struct planner *planner, struct boundary *boundaries, int n)
{
    for (int i = 0; i < n; i++)
        boundaries[i].below = (i + 1.0) / (n + 1.0);
    struct mr_bytes tail;
    mr_bytes_init(&tail, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_text(&tail, "SELECT coalesce(sum(p.w) FILTER (WHERE p.v < b.v), 0) + min(p.null_frac) "
                         "FROM unnest(ARRAY[");
    for (int i = 0; i < n; i++)
        mr_bytes_printf(&tail, "%s%s", i ? ", " : "", boundaries[i].literal);
    mr_bytes_text(&tail, "]) WITH ORDINALITY AS b(v, o) CROSS JOIN p GROUP BY b.o ORDER BY b.o");
    enum mr_status status = mr_bytes_status(&tail, planner->err);
    const char *type = NULL;
    PGresult *result = NULL;
    if (status == MR_OK)
        status = base_type_name(planner, &type);
    if (status == MR_OK)
        status = ask_stats(planner, type, tail.data, &result);
    if (status == MR_OK && result && PQntuples(result) == n)
        for (int i = 0; i < n; i++)
            boundaries[i].below = atof(PQgetvalue(result, i, 0));
    PQclear(result);
    mr_bytes_reset(&tail);
    return status;
}

/* --- equal widths --- */

static enum mr_status ranges_by_width(struct planner *planner, mr_int128 lower, mr_int128 upper,
                                      int wanted, struct mr_postgres_ranges *out)
{
    mr_int128 width = upper - lower;
    if (width < wanted)
        wanted = width < 1 ? 1 : (int)width;
    struct boundary *boundaries =
        mr_arena_calloc(planner->arena, (size_t)wanted, sizeof *boundaries);
    if (boundaries == NULL)
        return mr_error_nomem(planner->err);
    for (int i = 1; i < wanted; i++) {
        mr_int128 at = lower + width / wanted * i + width % wanted * i / wanted;
        boundaries[i - 1].literal = literal(planner, at, &boundaries[i - 1].shown);
        if (boundaries[i - 1].literal == NULL || boundaries[i - 1].shown == NULL)
            return mr_error_nomem(planner->err);
    }
    if (wanted > 1)
        MR_TRY(predict_shares(planner, boundaries, wanted - 1));
    return make_ranges(planner, boundaries, wanted - 1, out);
}

/* A bound as units; dates and times are read by the server. */
static enum mr_status read_bound(struct planner *planner, const char *key, const char *text,
                                 mr_int128 *out)
{
    const struct mr_options *options = planner->state->settings.options;
    const struct unit *unit = &planner->unit;
    if (unit->to_units == NULL) {
        if (parse_units(unit, text, out))
            return MR_OK;
        return mr_options_error(options, key, planner->err, "\"%s\" must be a number, not \"%s\"",
                                key, text);
    }
    char sql[200];
    char param[48];
    snprintf(param, sizeof param, "$1::pg_catalog.%s", unit->type);
    size_t used = (size_t)snprintf(sql, sizeof sql, "SELECT ");
    snprintf(sql + used, sizeof sql - used, unit->to_units, param);
    PGresult *result = NULL;
    const char *params[] = {text};
    enum mr_status status = mr_pg_query(planner->pg, sql, 1, params, &result, planner->err);
    if (status != MR_OK && strncmp(mr_pg_sqlstate(planner->pg), "22", 2) != 0)
        return status;
    bool good = status == MR_OK && parse_units(unit, PQgetvalue(result, 0, 0), out);
    PQclear(result);
    if (good)
        return MR_OK;
    return mr_options_error(options, key, planner->err, "\"%s\" must be a finite %s, not \"%s\"",
                            key, unit->type, text);
}

static enum mr_status ranges_by_bounds(struct planner *planner, int wanted,
                                       struct mr_postgres_ranges *out)
{
    const struct mr_postgres_settings *settings = &planner->state->settings;
    mr_int128 lower = 0;
    mr_int128 upper = 0;
    MR_TRY(read_bound(planner, "lowerBound", settings->lower, &lower));
    MR_TRY(read_bound(planner, "upperBound", settings->upper, &upper));
    if (lower > upper)
        return mr_options_error(settings->options, "lowerBound", planner->err,
                                "\"lowerBound\" %s lies above \"upperBound\" %s", settings->lower,
                                settings->upper);
    return ranges_by_width(planner, lower, upper, wanted, out);
}

static enum mr_status ranges_by_extremes(struct planner *planner, int wanted,
                                         struct mr_postgres_ranges *out)
{
    struct mr_bytes name;
    mr_bytes_init(&name, 1024);
    mr_pg_identifier(&name, planner->column->name);
    struct mr_bytes sql;
    mr_bytes_init(&sql, MR_BYTES_DEFAULT_MAXIMUM);
    const struct unit *unit = &planner->unit;
    mr_bytes_text(&sql, "SELECT ");
    for (int i = 0; i < 2; i++) {
        char value[400];
        char filter[300] = "true";
        if (unit->finite)
            snprintf(filter, sizeof filter, unit->finite, name.data, name.data);
        snprintf(value, sizeof value, "%s(%s) FILTER (WHERE %s)", i ? "max" : "min", name.data,
                 filter);
        mr_bytes_text(&sql, i ? ", " : "");
        mr_bytes_printf(&sql, unit->to_units ? unit->to_units : "(%s)::pg_catalog.text", value);
    }
    mr_bytes_text(&sql, " FROM ");
    mr_bytes_text(&sql, planner->state->relation.from);
    mr_postgres_write_where(planner->state, NULL, &sql);
    PGresult *result = NULL;
    enum mr_status status = mr_bytes_status(&sql, planner->err);
    if (status == MR_OK)
        status = mr_pg_query(planner->pg, sql.data, 0, NULL, &result, planner->err);
    mr_bytes_reset(&name);
    mr_bytes_reset(&sql);
    if (status != MR_OK)
        return status;
    mr_int128 lower = 0;
    mr_int128 upper = 0;
    if (PQgetisnull(result, 0, 0) || !parse_units(unit, PQgetvalue(result, 0, 0), &lower) ||
        !parse_units(unit, PQgetvalue(result, 0, 1), &upper))
        lower = upper = 0;
    PQclear(result);
    return ranges_by_width(planner, lower, lower == upper ? upper : upper + 1, wanted, out);
}

enum mr_status mr_postgres_ranges(struct mr_postgres_state *state, struct mr_pg *pg, int wanted,
                                  struct mr_arena *arena, struct mr_postgres_ranges *out,
                                  struct mr_error *err)
{
    struct planner planner = {
        .state = state, .column = find_column(state), .pg = pg, .arena = arena, .err = err};
    *out = (struct mr_postgres_ranges){0};
    bool countable = unit_of(planner.column, &planner.unit);
    if (state->settings.lower)
        return ranges_by_bounds(&planner, wanted, out);
    if (wanted > 1)
        MR_TRY(ranges_by_stats(&planner, wanted, out));
    if (out->count > 0)
        return MR_OK;
    if (countable && wanted > 1)
        return ranges_by_extremes(&planner, wanted, out);
    return make_ranges(&planner, NULL, 0, out);
}
