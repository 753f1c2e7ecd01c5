/*
 * predicate.c - conditions to the server's SQL, only where they mean the same there.
 *
 * What makes a comparison mean the same: text is compared by bytes here, so order needs COLLATE "C" and a UTF-8 server, while equality needs it only under a
 * nondeterministic collation (and goes without otherwise, so that indexes serve it); char(n) ignores trailing spaces there, citext
 * ignores case: refused. Floats agree (NaN equals NaN and is greatest, -0 equals 0). Instants are written with their offset. A column whose infinities become NULL
 * here, or whose values are read as text or rounded, is not comparable there at all. Anything doubtful is refused:
 * the filter then runs here, which costs time and no row.
 *
 * Monotone functions become ranges of the column itself, so that indexes and partitions serve them: year(c) = 2024 is
 * c >= 2024-01-01 AND c < 2025-01-01. Instants only in UTC: in other zones a local date can run backwards.
 */
#include "connect/postgres/state.h"

#include "base/text.h"
#include "base/time.h"
#include "net/pg_text.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

struct writer {
    const struct mr_postgres_state *state;
    struct mr_bytes *sql;
    bool utc;
    bool exact;
};

static const char *const operators[] = {
    [MR_EQ] = " = ",  [MR_NE] = " <> ", [MR_LT] = " < ",
    [MR_LE] = " <= ", [MR_GT] = " > ",  [MR_GE] = " >= ",
};

/* Days between the years 1 and 9999: what prints the same everywhere. */
#define FIRST_DAY (-719162)
#define LAST_DAY  2932896

static bool write_date(struct mr_bytes *sql, int64_t days)
{
    char text[MR_TIME_TEXT_MAX];
    if (days < FIRST_DAY || days > LAST_DAY)
        return false;
    mr_date_format(days, text);
    mr_bytes_printf(sql, "'%s'::date", text);
    return true;
}

static bool write_timestamp(struct mr_bytes *sql, int64_t micros, bool instant)
{
    char text[MR_TIME_TEXT_MAX];
    if (micros < FIRST_DAY * MR_MICROS_PER_DAY || micros >= (LAST_DAY + 1) * MR_MICROS_PER_DAY)
        return false;
    mr_timestamp_format(micros, ' ', text);
    mr_bytes_printf(sql, instant ? "'%s+00'::timestamptz" : "'%s'::timestamp", text);
    return true;
}

static bool write_float(struct mr_bytes *sql, double value, bool single)
{
    const char *type = single ? "float4" : "float8";
    if (isnan(value))
        mr_bytes_printf(sql, "'NaN'::%s", type);
    else if (isinf(value))
        mr_bytes_printf(sql, "'%sInfinity'::%s", value < 0 ? "-" : "", type);
    else if (single && (double)(float)value != value)
        return false;
    else
        mr_bytes_printf(sql, single ? "'%.9g'::%s" : "'%.17g'::%s", value, type);
    return true;
}

static bool write_hex(struct mr_bytes *sql, const uint8_t *data, size_t size, const char *type)
{
    mr_bytes_text(sql, strcmp(type, "bytea") == 0 ? "'\\x" : "'");
    for (size_t i = 0; i < size; i++)
        mr_bytes_printf(sql, "%02x", data[i]);
    mr_bytes_printf(sql, "'::%s", type);
    return true;
}

/* A literal of the column's type. False when it cannot be written safely. */
static bool write_value(struct mr_bytes *sql, const struct mr_value *value)
{
    char text[MR_DECIMAL_TEXT_MAX];
    char time[MR_TIME_TEXT_MAX];
    switch (value->type->id) {
    case MR_TYPE_BOOL:
        mr_bytes_text(sql, value->u.i64 ? "true" : "false");
        return true;
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
        mr_bytes_printf(sql, "'%lld'::int8", (long long)value->u.i64);
        return true;
    case MR_TYPE_DECIMAL:
        mr_decimal_format(value->u.i128, value->type->scale, text);
        mr_bytes_printf(sql, "'%s'::numeric", text);
        return true;
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        return write_float(sql, value->u.f64, value->type->id == MR_TYPE_FLOAT32);
    case MR_TYPE_DATE:
        return write_date(sql, value->u.i64);
    case MR_TYPE_TIMESTAMP:
        return write_timestamp(sql, value->u.i64, true);
    case MR_TYPE_TIMESTAMP_NTZ:
        return write_timestamp(sql, value->u.i64, false);
    case MR_TYPE_TIME:
        mr_time_of_day_format(value->u.i64, time);
        mr_bytes_printf(sql, "'%s'::time", time);
        return true;
    case MR_TYPE_STRING:
        return mr_pg_literal(sql, value->u.bytes);
    case MR_TYPE_BINARY:
        return write_hex(sql, (const uint8_t *)value->u.bytes.data, value->u.bytes.size, "bytea");
    case MR_TYPE_UUID:
        return write_hex(sql, value->u.uuid, 16, "uuid");
    default:
        return false;
    }
}

static const struct mr_postgres_column *column_of(const struct writer *writer,
                                                  const struct mr_predicate *predicate)
{
    return &writer->state->columns[predicate->column];
}

static bool is_text(const struct mr_postgres_column *column)
{
    return column->field.kind == MR_COPY_TEXT && column->field.type->id == MR_TYPE_STRING;
}

/* Do values here and there compare alike? */
static bool comparable(const struct writer *writer, const struct mr_postgres_column *column,
                       bool order)
{
    if (column->cast[0] || column->field.infinity_null || column->is_citext)
        return false;
    switch (column->field.kind) {
    case MR_COPY_ARRAY:
    case MR_COPY_JSONB:
    case MR_COPY_INTERVAL:
    case MR_COPY_NUMERIC_TEXT:
    case MR_COPY_NUMERIC_DOUBLE:
        return false;
    case MR_COPY_TEXT:
        if (!is_text(column) || column->base == MR_PG_BPCHAR)
            return false;
        if (!order)
            return true;
        return strcmp(mr_postgres_server_encoding(writer->state->server), "UTF8") == 0;
    default:
        return true;
    }
}

static void write_column(const struct writer *writer, const struct mr_postgres_column *column,
                         bool order)
{
    mr_pg_identifier(writer->sql, column->name);
    if (column->is_enum)
        mr_bytes_text(writer->sql, "::text");
    if (is_text(column) && (order || !column->deterministic))
        mr_bytes_text(writer->sql, " COLLATE \"C\"");
}

static bool same_type(const struct mr_postgres_column *column, const struct mr_predicate *predicate)
{
    for (int i = 0; i < predicate->nvalues; i++)
        if (predicate->values[i].is_null || predicate->values[i].type->id != column->field.type->id)
            return false;
    return predicate->nvalues > 0;
}

static bool write_compare(struct writer *writer, const struct mr_predicate *predicate)
{
    const struct mr_postgres_column *column = column_of(writer, predicate);
    bool order = predicate->compare != MR_EQ && predicate->compare != MR_NE;
    if (!comparable(writer, column, order) || !same_type(column, predicate))
        return false;
    write_column(writer, column, order);
    mr_bytes_text(writer->sql, operators[predicate->compare]);
    return write_value(writer->sql, &predicate->values[0]);
}

static bool write_in(struct writer *writer, const struct mr_predicate *predicate)
{
    const struct mr_postgres_column *column = column_of(writer, predicate);
    if (!comparable(writer, column, false) || !same_type(column, predicate))
        return false;
    write_column(writer, column, false);
    mr_bytes_text(writer->sql, " IN (");
    for (int i = 0; i < predicate->nvalues; i++) {
        if (i > 0)
            mr_bytes_text(writer->sql, ", ");
        if (!write_value(writer->sql, &predicate->values[i]))
            return false;
    }
    mr_bytes_char(writer->sql, ')');
    return true;
}

/* starts_with() compares bytes. */
static bool write_prefix(struct writer *writer, const struct mr_predicate *predicate)
{
    const struct mr_postgres_column *column = column_of(writer, predicate);
    if (!comparable(writer, column, false) || !same_type(column, predicate) || !is_text(column))
        return false;
    mr_bytes_text(writer->sql, "pg_catalog.starts_with(");
    mr_pg_identifier(writer->sql, column->name);
    mr_bytes_text(writer->sql, "::text COLLATE \"C\", ");
    if (!mr_pg_literal(writer->sql, predicate->values[0].u.bytes))
        return false;
    mr_bytes_char(writer->sql, ')');
    return true;
}

static bool write_boundary(struct writer *writer, const struct mr_postgres_column *column,
                           const char *operator, int64_t days)
{
    mr_pg_identifier(writer->sql, column->name);
    mr_bytes_text(writer->sql, operator);
    enum mr_type_id id = column->field.type->id;
    if (id == MR_TYPE_DATE)
        return write_date(writer->sql, days);
    if (days < FIRST_DAY || days > LAST_DAY)
        return false;
    return write_timestamp(writer->sql, days * MR_MICROS_PER_DAY, id == MR_TYPE_TIMESTAMP);
}

/* f(c) <op> v, where f(c) = v holds for c in [from, to) and f is monotone. */
static bool write_interval(struct writer *writer, const struct mr_postgres_column *column,
                           enum mr_compare compare, int64_t from, int64_t to)
{
    struct mr_bytes *sql = writer->sql;
    switch (compare) {
    case MR_LT:
        return write_boundary(writer, column, " < ", from);
    case MR_GE:
        return write_boundary(writer, column, " >= ", from);
    case MR_LE:
        return write_boundary(writer, column, " < ", to);
    case MR_GT:
        return write_boundary(writer, column, " >= ", to);
    case MR_EQ:
        mr_bytes_char(sql, '(');
        if (!write_boundary(writer, column, " >= ", from))
            return false;
        mr_bytes_text(sql, " AND ");
        if (!write_boundary(writer, column, " < ", to))
            return false;
        mr_bytes_char(sql, ')');
        return true;
    default:
        mr_bytes_char(sql, '(');
        if (!write_boundary(writer, column, " < ", from))
            return false;
        mr_bytes_text(sql, " OR ");
        if (!write_boundary(writer, column, " >= ", to))
            return false;
        mr_bytes_char(sql, ')');
        return true;
    }
}

static bool write_monotone(struct writer *writer, const struct mr_predicate *predicate)
{
    const struct mr_postgres_column *column = column_of(writer, predicate);
    enum mr_type_id id = column->field.type->id;
    if (predicate->kind != MR_PREDICATE_COMPARE || predicate->nvalues != 1 ||
        predicate->values[0].is_null || !comparable(writer, column, true))
        return false;
    if (id != MR_TYPE_DATE && id != MR_TYPE_TIMESTAMP_NTZ &&
        !(id == MR_TYPE_TIMESTAMP && writer->utc))
        return false;
    int64_t value = predicate->values[0].u.i64;
    enum mr_type_id value_type = predicate->values[0].type->id;
    int64_t year;
    int month, day;
    switch (predicate->monotone) {
    case MR_MONOTONE_DATE:
        return value_type == MR_TYPE_DATE &&
               write_interval(writer, column, predicate->compare, value, value + 1);
    case MR_MONOTONE_YEAR:
        if (!mr_type_is_integer(predicate->values[0].type) || value < 1 || value > 9998)
            return false;
        return write_interval(writer, column, predicate->compare, mr_days_from_civil(value, 1, 1),
                              mr_days_from_civil(value + 1, 1, 1));
    case MR_MONOTONE_TRUNC_MONTH:
        if (value_type != MR_TYPE_DATE || value < FIRST_DAY || value > LAST_DAY)
            return false;
        mr_civil_from_days(value, &year, &month, &day);
        return day == 1 && write_interval(writer, column, predicate->compare, value,
                                          mr_days_add_months(value, 1));
    default:
        return false;
    }
}

static bool write_one(struct writer *writer, const struct mr_predicate *predicate, bool positive);

/* OR and NOT need all of their arguments; an AND that only ever takes rows away may leave some out. */
static bool write_list(struct writer *writer, const struct mr_predicate *predicate, bool positive)
{
    bool conjunction = predicate->kind == MR_PREDICATE_AND;
    int written = 0;
    mr_bytes_char(writer->sql, '(');
    for (int i = 0; i < predicate->nargs; i++) {
        size_t mark = writer->sql->size;
        if (written > 0)
            mr_bytes_text(writer->sql, conjunction ? " AND " : " OR ");
        if (write_one(writer, predicate->args[i], positive)) {
            written++;
            continue;
        }
        if (!conjunction || !positive)
            return false;
        writer->exact = false;
        if (writer->sql->status == MR_OK && writer->sql->data)
            writer->sql->data[writer->sql->size = mark] = '\0';
    }
    mr_bytes_char(writer->sql, ')');
    return written > 0;
}

static bool write_one(struct writer *writer, const struct mr_predicate *predicate, bool positive)
{
    const struct mr_postgres_column *column;
    if (predicate->monotone != MR_MONOTONE_NONE && predicate->kind != MR_PREDICATE_IS_NULL)
        return write_monotone(writer, predicate);
    switch (predicate->kind) {
    case MR_PREDICATE_AND:
    case MR_PREDICATE_OR:
        return write_list(writer, predicate, positive);
    case MR_PREDICATE_NOT:
        mr_bytes_text(writer->sql, "(NOT (");
        if (!write_one(writer, predicate->args[0], false))
            return false;
        mr_bytes_text(writer->sql, "))");
        return true;
    case MR_PREDICATE_COMPARE:
        return write_compare(writer, predicate);
    case MR_PREDICATE_IN:
        return write_in(writer, predicate);
    case MR_PREDICATE_IS_NULL:
        column = column_of(writer, predicate);
        if (column->field.infinity_null || predicate->monotone != MR_MONOTONE_NONE)
            return false;
        mr_pg_identifier(writer->sql, column->name);
        /* A row value with NULL fields IS NULL there; its text is not. */
        mr_bytes_printf(writer->sql, "%s IS NULL", column->by_text ? column->cast : "");
        return true;
    case MR_PREDICATE_PREFIX:
        return write_prefix(writer, predicate);
    case MR_PREDICATE_IS_TRUE:
        column = column_of(writer, predicate);
        if (column->field.kind != MR_COPY_BOOL)
            return false;
        mr_pg_identifier(writer->sql, column->name);
        return true;
    }
    return false;
}

enum mr_pushed mr_postgres_write_predicate(const struct mr_postgres_state *state,
                                           const struct mr_predicate *predicate,
                                           const char *time_zone, struct mr_bytes *sql)
{
    struct writer writer = {.state = state, .sql = sql, .exact = true};
    writer.utc = time_zone == NULL || strcmp(time_zone, "UTC") == 0 || strcmp(time_zone, "Z") == 0;
    size_t mark = sql->size;
    if (write_one(&writer, predicate, true))
        return writer.exact ? MR_PUSH_EXACT : MR_PUSH_PARTIAL;
    if (sql->status == MR_OK && sql->data)
        sql->data[sql->size = mark] = '\0';
    return MR_PUSH_REFUSED;
}
