/*
 * copy_target.c - which Postgres type takes which of ours.
 *
 * A table that is made gets the type that the values were read from, when it is built in and they still have the type that the
 * reader made of it; else the nearest that holds all of ours. The origin of a field is the text of format_type(), so it is
 * parsed back: "timestamp(3) without time zone[]" is a name, a number in the middle, and an array.
 *
 * A column that exists takes what widens into it and what can be checked value by value; where no value could ever fit, the plan
 * fails. Nothing is turned into a text or out of one on the way: a cast belongs into the pipeline, where it is seen.
 */
#include "connect/postgres/catalog.h"
#include "connect/postgres/copy_encode.h"

#include <ctype.h>
#include <stdlib.h>

struct known {
    uint32_t oid;
    uint32_t array;
    const char *name; /* format_type() without a modifier */
    enum mr_copy_form form;
    enum mr_type_id type; /* what a reader makes of it */
};

static const struct known types[] = {
    {MR_PG_BOOL, 1000, "boolean", MR_FORM_BOOL, MR_TYPE_BOOL},
    {MR_PG_INT2, 1005, "smallint", MR_FORM_INT2, MR_TYPE_INT16},
    {MR_PG_INT4, 1007, "integer", MR_FORM_INT4, MR_TYPE_INT32},
    {MR_PG_INT8, 1016, "bigint", MR_FORM_INT8, MR_TYPE_INT64},
    {MR_PG_FLOAT4, 1021, "real", MR_FORM_FLOAT4, MR_TYPE_FLOAT32},
    {MR_PG_FLOAT8, 1022, "double precision", MR_FORM_FLOAT8, MR_TYPE_FLOAT64},
    {MR_PG_NUMERIC, 1231, "numeric", MR_FORM_NUMERIC, MR_TYPE_DECIMAL},
    {MR_PG_TEXT, 1009, "text", MR_FORM_TEXT, MR_TYPE_STRING},
    {MR_PG_VARCHAR, 1015, "character varying", MR_FORM_TEXT, MR_TYPE_STRING},
    {MR_PG_BPCHAR, 1014, "character", MR_FORM_TEXT, MR_TYPE_STRING},
    {MR_PG_BPCHAR, 1014, "bpchar", MR_FORM_TEXT, MR_TYPE_STRING},
    {MR_PG_NAME, 1003, "name", MR_FORM_TEXT, MR_TYPE_STRING},
    {MR_PG_BYTEA, 1001, "bytea", MR_FORM_BYTEA, MR_TYPE_BINARY},
    {MR_PG_DATE, 1182, "date", MR_FORM_DATE, MR_TYPE_DATE},
    {MR_PG_TIME, 1183, "time without time zone", MR_FORM_TIME, MR_TYPE_TIME},
    {MR_PG_TIMESTAMP, 1115, "timestamp without time zone", MR_FORM_TIMESTAMP,
     MR_TYPE_TIMESTAMP_NTZ},
    {MR_PG_TIMESTAMPTZ, 1185, "timestamp with time zone", MR_FORM_TIMESTAMP, MR_TYPE_TIMESTAMP},
    {MR_PG_INTERVAL, 1187, "interval", MR_FORM_INTERVAL, MR_TYPE_INTERVAL},
    {MR_PG_UUID, 2951, "uuid", MR_FORM_UUID, MR_TYPE_UUID},
    {MR_PG_JSON, 199, "json", MR_FORM_TEXT, MR_TYPE_JSON},
    {MR_PG_JSONB, 3807, "jsonb", MR_FORM_JSONB, MR_TYPE_JSON},
};

#define NTYPES (sizeof types / sizeof types[0])

static const struct known *find_oid(uint32_t oid, bool *array)
{
    for (size_t i = 0; i < NTYPES; i++) {
        *array = types[i].array == oid;
        if (types[i].oid == oid || *array)
            return &types[i];
    }
    return NULL;
}

static const struct known *find_name(const char *name)
{
    for (size_t i = 0; i < NTYPES; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

/* --- a column of a table that is made --- */

struct origin {
    const struct known *known;
    int32_t typmod;
    bool array;
};

/* numeric(p,s) and the like: how the server packs what is in the parentheses. */
static int32_t pack_typmod(uint32_t oid, const char *modifier)
{
    char *end;
    long first = strtol(modifier, &end, 10);
    long second = *end == ',' ? strtol(end + 1, NULL, 10) : 0;
    if (first < 0 || first > 10485760)
        return -1;
    if (oid == MR_PG_NUMERIC)
        return (int32_t)(((uint32_t)first << 16 | ((uint32_t)second & 0x7FF)) + 4);
    return oid == MR_PG_VARCHAR || oid == MR_PG_BPCHAR ? (int32_t)first + 4 : (int32_t)first;
}

static bool parse_origin(const char *text, struct origin *out)
{
    char name[64];
    if (text == NULL || strlen(text) >= sizeof name)
        return false;
    snprintf(name, sizeof name, "%s", text);
    size_t size = strlen(name);
    out->array = size > 2 && strcmp(name + size - 2, "[]") == 0;
    if (out->array)
        name[size - 2] = '\0';
    char *open = strchr(name, '(');
    char *close = open ? strchr(open, ')') : NULL;
    char modifier[64] = "";
    if (open && close == NULL)
        return false;
    if (open) {
        *close = '\0';
        snprintf(modifier, sizeof modifier, "%s", open + 1);
        memmove(open, close + 1, strlen(close + 1) + 1);
    }
    out->known = find_name(name);
    if (out->known == NULL || (modifier[0] == '\0' && strcmp(name, "character") == 0))
        return false;
    out->typmod = modifier[0] ? pack_typmod(out->known->oid, modifier) : -1;
    return true;
}

struct digits {
    int precision;
    int scale; /* may be negative, or larger than the precision */
};

static struct digits unpack_numeric(int32_t typmod)
{
    return (struct digits){((typmod - 4) >> 16) & 0xFFFF, (((typmod - 4) & 0x7FF) ^ 1024) - 1024};
}

/* Is `type` what the reader makes of the origin? */
static bool came_from(const struct mr_type *type, const struct origin *origin)
{
    if (type->id != origin->known->type)
        return false;
    if (type->id != MR_TYPE_DECIMAL || origin->typmod < 4)
        return true;
    struct digits digits = unpack_numeric(origin->typmod);
    int scale = digits.scale > 0 ? digits.scale : 0;
    int precision = digits.scale < 0 ? digits.precision - digits.scale : digits.precision;
    if (precision < scale)
        precision = scale;
    return type->precision == precision && type->scale == scale;
}

static const char *const nearest[] = {
    [MR_TYPE_NULL] = "text",
    [MR_TYPE_BOOL] = "boolean",
    [MR_TYPE_INT8] = "smallint",
    [MR_TYPE_INT16] = "smallint",
    [MR_TYPE_INT32] = "integer",
    [MR_TYPE_INT64] = "bigint",
    [MR_TYPE_FLOAT32] = "real",
    [MR_TYPE_FLOAT64] = "double precision",
    [MR_TYPE_DECIMAL] = "numeric",
    [MR_TYPE_DATE] = "date",
    [MR_TYPE_TIME] = "time without time zone",
    [MR_TYPE_TIMESTAMP] = "timestamp with time zone",
    [MR_TYPE_TIMESTAMP_NTZ] = "timestamp without time zone",
    [MR_TYPE_INTERVAL] = "interval",
    [MR_TYPE_STRING] = "text",
    [MR_TYPE_BINARY] = "bytea",
    [MR_TYPE_JSON] = "json", /* jsonb would change the text, and has no place for \u0000 */
    [MR_TYPE_UUID] = "uuid",
    [MR_TYPE_LIST] = "jsonb",
    [MR_TYPE_STRUCT] = "jsonb",
    [MR_TYPE_MAP] = "jsonb",
};

static enum mr_status new_element(const struct mr_type *type, const struct known *known,
                                  struct mr_arena *arena, struct mr_copy_target *out,
                                  struct mr_error *err)
{
    struct mr_copy_target *element = mr_arena_calloc(arena, 1, sizeof *element);
    if (element == NULL)
        return mr_error_nomem(err);
    *element = (struct mr_copy_target){.name = "element",
                                       .sql_type = known->name,
                                       .type = known->oid,
                                       .typmod = out->typmod,
                                       .from = type,
                                       .form = known->form,
                                       .scale = type->scale};
    out->element = element;
    out->form = MR_FORM_ARRAY;
    return MR_OK;
}

enum mr_status mr_copy_target_new(const struct mr_field *field, struct mr_arena *arena,
                                  struct mr_copy_target *out, struct mr_error *err)
{
    const struct mr_type *type = field->type;
    bool list = type->id == MR_TYPE_LIST && !mr_type_is_nested(type->fields[0].type);
    const struct mr_type *inner = list ? type->fields[0].type : type;
    struct origin origin;
    *out = (struct mr_copy_target){.name = out->name,
                                   .typmod = -1,
                                   .from = type,
                                   .scale = inner->scale};
    if (parse_origin(field->origin, &origin) && origin.array == list && came_from(inner, &origin)) {
        out->sql_type = mr_arena_strdup(arena, field->origin);
        out->typmod = origin.typmod;
    } else {
        origin.known = find_name(nearest[inner->id]);
        const char *name = origin.known->name;
        if (inner->id == MR_TYPE_DECIMAL)
            name = mr_arena_printf(arena, "numeric(%d,%d)", inner->precision, inner->scale);
        out->sql_type = list && name ? mr_arena_printf(arena, "%s[]", name) : name;
    }
    if (out->sql_type == NULL)
        return mr_error_nomem(err);
    out->form = origin.known->form;
    return list ? new_element(inner, origin.known, arena, out, err) : MR_OK;
}

/* --- a column that exists --- */

static bool takes(const struct known *known, const struct mr_type *from)
{
    bool exact = mr_type_is_integer(from) || from->id == MR_TYPE_DECIMAL;
    if (from->id == MR_TYPE_NULL)
        return true;
    switch (known->form) {
    case MR_FORM_INT2:
    case MR_FORM_INT4:
    case MR_FORM_INT8:
    case MR_FORM_NUMERIC:
        return exact;
    case MR_FORM_FLOAT4:
    case MR_FORM_FLOAT8:
        return exact || from->id == MR_TYPE_FLOAT32 || from->id == MR_TYPE_FLOAT64;
    case MR_FORM_TEXT:
        if (known->oid != MR_PG_JSON)
            return mr_type_is_string(from);
        return mr_type_is_string(from) || mr_type_is_nested(from);
    case MR_FORM_JSONB:
        return mr_type_is_string(from) || mr_type_is_nested(from);
    case MR_FORM_TIMESTAMP:
        return from->id == MR_TYPE_TIMESTAMP || from->id == MR_TYPE_TIMESTAMP_NTZ ||
               (from->id == MR_TYPE_DATE && known->oid == MR_PG_TIMESTAMP);
    default:
        return from->id == known->type;
    }
}

static enum mr_status refuse(const struct mr_copy_target *target, struct mr_error *err)
{
    char name[200];
    mr_error_set(err, MR_SINK, MR_CLASS_CONFIG,
                 "column %s: %s cannot be loaded into %s: cast it before", target->name,
                 mr_type_text(target->from, name, sizeof name), target->sql_type);
    return MR_SINK;
}

/* A type without a form of ours, or a text that was once of the type: the server casts. */
static enum mr_status match_cast(struct mr_arena *arena, struct mr_copy_target *target,
                                 struct mr_error *err)
{
    const struct mr_type *from = target->from;
    target->form = MR_FORM_CAST;
    target->element = NULL;
    if (mr_type_is_string(from) || from->id == MR_TYPE_NULL)
        return MR_OK;
    if (from->id != MR_TYPE_LIST || !mr_type_is_string(from->fields[0].type))
        return refuse(target, err);
    struct mr_copy_target outer = {.typmod = -1};
    MR_TRY(new_element(from->fields[0].type, find_name("text"), arena, &outer, err));
    target->element = outer.element;
    return MR_OK;
}

enum mr_status mr_copy_target_match(const struct mr_field *field, struct mr_arena *arena,
                                    struct mr_copy_target *target, struct mr_error *err)
{
    const struct mr_type *from = field->type;
    bool array = false;
    bool textual = target->form == MR_FORM_TEXT;
    const struct known *known = find_oid(target->type, &array);
    target->from = from;
    target->element = NULL;
    target->scale = from->scale;
    if (known == NULL) {
        if (!textual || !mr_type_is_string(from))
            return match_cast(arena, target, err);
        target->form = MR_FORM_TEXT;
        return MR_OK;
    }
    if (from->id == MR_TYPE_NULL) {
        target->form = array ? MR_FORM_TEXT : known->form;
        return MR_OK;
    }
    const struct mr_type *inner = from;
    if (array && from->id == MR_TYPE_LIST)
        inner = from->fields[0].type;
    struct origin origin;
    bool fits = array == (inner != from) && takes(known, inner);
    if (!fits && parse_origin(field->origin, &origin) && origin.known->oid == known->oid &&
        origin.array == array && mr_type_is_string(inner))
        return match_cast(arena, target, err);
    if (!fits)
        return refuse(target, err);
    target->form = known->form;
    target->scale = inner->scale;
    return array ? new_element(inner, known, arena, target, err) : MR_OK;
}
