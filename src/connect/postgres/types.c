/*
 * types.c - a Postgres type to a type of ours and a decoder.
 *
 * Built-in types are known by object id. Everything else (domains, enums, arrays, citext) is looked up in pg_type once, with all the
 * types that it rests on, in one recursive query. What has no place of its own is cast to text by the server in the
 * SELECT list, element by element in arrays, and the plan says so: a wrong guess would be silent, a text is not.
 */
#include "connect/postgres/catalog.h"

#include <stdlib.h>

/* A row of pg_type. */
struct type_row {
    uint32_t oid;
    char kind; /* typtype */
    bool citext;
    uint32_t base; /* of a domain */
    int32_t base_typmod;
    uint32_t element; /* of an array; 0 = is none */
};

struct mapper {
    const struct mr_postgres_settings *settings;
    struct mr_arena *arena;
    struct type_row *rows;
    int nrows;
    struct mr_error *err;
};

struct builtin {
    uint32_t oid;
    enum mr_copy_kind kind;
    enum mr_type_id type;
};

static const struct builtin builtins[] = {
    {MR_PG_BOOL, MR_COPY_BOOL, MR_TYPE_BOOL},
    {MR_PG_INT2, MR_COPY_INT2, MR_TYPE_INT16},
    {MR_PG_INT4, MR_COPY_INT4, MR_TYPE_INT32},
    {MR_PG_INT8, MR_COPY_INT8, MR_TYPE_INT64},
    {MR_PG_FLOAT4, MR_COPY_FLOAT4, MR_TYPE_FLOAT32},
    {MR_PG_FLOAT8, MR_COPY_FLOAT8, MR_TYPE_FLOAT64},
    {MR_PG_TEXT, MR_COPY_TEXT, MR_TYPE_STRING},
    {MR_PG_VARCHAR, MR_COPY_TEXT, MR_TYPE_STRING},
    {MR_PG_BPCHAR, MR_COPY_TEXT, MR_TYPE_STRING},
    {MR_PG_NAME, MR_COPY_TEXT, MR_TYPE_STRING},
    {MR_PG_BYTEA, MR_COPY_BYTEA, MR_TYPE_BINARY},
    {MR_PG_DATE, MR_COPY_DATE, MR_TYPE_DATE},
    {MR_PG_TIME, MR_COPY_TIME, MR_TYPE_TIME},
    {MR_PG_TIMESTAMP, MR_COPY_TIMESTAMP, MR_TYPE_TIMESTAMP_NTZ},
    {MR_PG_TIMESTAMPTZ, MR_COPY_TIMESTAMP, MR_TYPE_TIMESTAMP},
    {MR_PG_INTERVAL, MR_COPY_INTERVAL, MR_TYPE_INTERVAL},
    {MR_PG_UUID, MR_COPY_UUID, MR_TYPE_UUID},
    {MR_PG_JSON, MR_COPY_TEXT, MR_TYPE_JSON},
    {MR_PG_JSONB, MR_COPY_JSONB, MR_TYPE_JSON},
};

/* What became of one type; the outer name (for columns) is added later. */
struct mapped {
    struct mr_copy_field field;
    bool text_cast; /* the server must cast it to text */
    bool by_text;   /* ... because nothing else fits */
    uint32_t base;
    int32_t base_typmod;
    bool is_enum;
    bool is_citext;
    bool is_array;
};

static const struct type_row *find_row(const struct mapper *mapper, uint32_t oid)
{
    for (int i = 0; i < mapper->nrows; i++)
        if (mapper->rows[i].oid == oid)
            return &mapper->rows[i];
    return NULL;
}

static void as_text(struct mapped *out, bool foreign)
{
    out->field.kind = MR_COPY_TEXT;
    out->field.type = mr_type_of(MR_TYPE_STRING);
    out->text_cast = true;
    out->by_text = foreign;
}

/*
 * numeric(p,s): typmod is (p << 16 | s) + 4; since version 15 s is 11 bits with a sign, and may be larger than p or negative.
 */
static enum mr_status map_numeric(struct mapper *mapper, int32_t typmod, struct mr_copy_field *out)
{
    const struct mr_postgres_settings *settings = mapper->settings;
    out->kind = MR_COPY_NUMERIC;
    out->type = settings->numeric_type;
    if (typmod >= 4) {
        int precision = ((typmod - 4) >> 16) & 0xFFFF;
        int scale = (((typmod - 4) & 0x7FF) ^ 1024) - 1024;
        if (scale < 0) {
            precision -= scale;
            scale = 0;
        }
        if (scale > precision)
            precision = scale;
        if (precision <= MR_DECIMAL_MAX_PRECISION) {
            out->type = mr_type_decimal(mapper->arena, precision, scale);
            return out->type ? MR_OK : mr_error_nomem(mapper->err);
        }
    }
    if (settings->numeric_as == MR_NUMERIC_AS_TEXT) {
        out->kind = MR_COPY_NUMERIC_TEXT;
        out->type = mr_type_of(MR_TYPE_STRING);
    } else if (settings->numeric_as == MR_NUMERIC_AS_DOUBLE) {
        out->kind = MR_COPY_NUMERIC_DOUBLE;
        out->type = mr_type_of(MR_TYPE_FLOAT64);
    }
    return MR_OK;
}

/* A type that is neither domain nor array. */
static enum mr_status map_scalar(struct mapper *mapper, uint32_t oid, int32_t typmod,
                                 const struct type_row *row, struct mapped *out)
{
    if (oid == MR_PG_NUMERIC)
        return map_numeric(mapper, typmod, &out->field);
    if (oid == MR_PG_CHAR) {
        as_text(out, false);
        return MR_OK;
    }
    out->is_enum = row && row->kind == 'e';
    out->is_citext = row && row->citext;
    if (out->is_enum || out->is_citext) {
        out->field.kind = MR_COPY_TEXT;
        out->field.type = mr_type_of(MR_TYPE_STRING);
        return MR_OK;
    }
    for (size_t i = 0; i < sizeof builtins / sizeof builtins[0]; i++) {
        if (builtins[i].oid != oid)
            continue;
        out->field.kind = builtins[i].kind;
        out->field.type = mr_type_of(builtins[i].type);
        bool infinite = out->field.kind == MR_COPY_DATE || out->field.kind == MR_COPY_TIMESTAMP;
        out->field.infinity_null = infinite && mapper->settings->infinity_as == MR_INFINITY_NULL;
        if (infinite && mapper->settings->infinity_as == MR_INFINITY_TEXT)
            as_text(out, false);
        return MR_OK;
    }
    as_text(out, true);
    return MR_OK;
}

static enum mr_status map_type(struct mapper *mapper, uint32_t oid, int32_t typmod, bool in_array,
                               struct mapped *out)
{
    *out = (struct mapped){0};
    const struct type_row *row = find_row(mapper, oid);
    while (row && row->kind == 'd') {
        oid = row->base;
        typmod = row->base_typmod;
        row = find_row(mapper, oid);
    }
    out->base = oid;
    out->base_typmod = typmod;
    enum mr_status status = MR_OK;
    if (row && row->element != 0 && in_array) {
        as_text(out, true); /* an array of a domain over an array */
    } else if (row && row->element != 0) {
        struct mapped element;
        MR_TRY(map_type(mapper, row->element, typmod, true, &element));
        struct mr_copy_field *copy = mr_arena_calloc(mapper->arena, 1, sizeof *copy);
        if (copy == NULL)
            return mr_error_nomem(mapper->err);
        *copy = element.field;
        copy->name = "element";
        out->field.kind = MR_COPY_ARRAY;
        out->field.element = copy;
        out->field.type = mr_type_list(mapper->arena, element.field.type, true);
        out->text_cast = element.text_cast;
        out->by_text = element.by_text;
        out->is_array = true;
        if (out->field.type == NULL)
            return mr_error_nomem(mapper->err);
    } else {
        status = map_scalar(mapper, oid, typmod, row, out);
    }
    return status;
}

/* The rows of pg_type for these types and all that they rest on. */
static enum mr_status load_rows(struct mr_pg *pg, struct mapper *mapper,
                                const struct mr_postgres_column *columns, int ncolumns)
{
    struct mr_bytes types;
    mr_bytes_init(&types, 1 << 20);
    for (int i = 0; i < ncolumns; i++)
        mr_bytes_printf(&types, "%s%u", i ? "," : "{", columns[i].type);
    mr_bytes_text(&types, ncolumns ? "}" : "{}");
    const char *params[] = {types.data};
    PGresult *result = NULL;
    enum mr_status status = mr_bytes_status(&types, mapper->err);
    /* int2vector and oidvector (22, 30) look like arrays and print like none. */
    if (status == MR_OK)
        status = mr_pg_query(
            pg,
            "WITH RECURSIVE need(oid) AS (SELECT unnest($1::pg_catalog.oid[]) UNION "
            "SELECT v.x FROM need JOIN pg_catalog.pg_type t ON t.oid = need.oid, LATERAL (VALUES "
            "(t.typbasetype), (CASE WHEN t.typcategory = 'A' AND t.typlen = -1 THEN t.typelem ELSE "
            "0 END)) "
            "AS v(x) WHERE v.x <> 0) "
            "SELECT t.oid, t.typtype, t.typname = 'citext' AND t.typtype = 'b', t.typbasetype, "
            "t.typtypmod, "
            "CASE WHEN t.typcategory = 'A' AND t.typlen = -1 AND t.typtype = 'b' AND t.oid NOT IN "
            "(22, 30) "
            "THEN t.typelem ELSE 0 END FROM need JOIN pg_catalog.pg_type t ON t.oid = need.oid",
            1, params, &result, mapper->err);
    mr_bytes_reset(&types);
    if (status != MR_OK)
        return status;
    mapper->nrows = PQntuples(result);
    mapper->rows = mr_arena_calloc(mapper->arena, (size_t)mapper->nrows + 1, sizeof *mapper->rows);
    for (int i = 0; mapper->rows && i < mapper->nrows; i++)
        mapper->rows[i] = (struct type_row){
            .oid = (uint32_t)strtoul(PQgetvalue(result, i, 0), NULL, 10),
            .kind = PQgetvalue(result, i, 1)[0],
            .citext = PQgetvalue(result, i, 2)[0] == 't',
            .base = (uint32_t)strtoul(PQgetvalue(result, i, 3), NULL, 10),
            .base_typmod = atoi(PQgetvalue(result, i, 4)),
            .element = (uint32_t)strtoul(PQgetvalue(result, i, 5), NULL, 10),
        };
    PQclear(result);
    return mapper->rows ? MR_OK : mr_error_nomem(mapper->err);
}

enum mr_status mr_postgres_map_types(struct mr_pg *pg, const struct mr_postgres_settings *settings,
                                     struct mr_arena *arena, struct mr_postgres_column *columns,
                                     int ncolumns, struct mr_error *err)
{
    struct mapper mapper = {.settings = settings, .arena = arena, .err = err};
    MR_TRY(load_rows(pg, &mapper, columns, ncolumns));
    for (int i = 0; i < ncolumns; i++) {
        struct mr_postgres_column *column = &columns[i];
        struct mapped mapped;
        MR_TRY(map_type(&mapper, column->type, column->typmod, false, &mapped));
        column->field = mapped.field;
        column->field.name = column->name;
        column->base = mapped.base;
        column->base_typmod = mapped.base_typmod;
        column->is_enum = mapped.is_enum;
        column->is_citext = mapped.is_citext;
        column->by_text = mapped.by_text;
        column->cast = !mapped.text_cast ? "" : mapped.is_array ? "::text[]" : "::text";
    }
    return MR_OK;
}
