/*
 * type_format.c - types and schemas as text, in Spark's spelling.
 *
 * What is written here is read back by type_parse.c: field names that are not plain identifiers are
 * put in backquotes.
 */
#include "col/type.h"

#include <stdio.h>

static const char *const names[] = {
    [MR_TYPE_NULL] = "void",
    [MR_TYPE_BOOL] = "boolean",
    [MR_TYPE_INT8] = "tinyint",
    [MR_TYPE_INT16] = "smallint",
    [MR_TYPE_INT32] = "int",
    [MR_TYPE_INT64] = "bigint",
    [MR_TYPE_FLOAT32] = "float",
    [MR_TYPE_FLOAT64] = "double",
    [MR_TYPE_DECIMAL] = "decimal",
    [MR_TYPE_DATE] = "date",
    [MR_TYPE_TIME] = "time",
    [MR_TYPE_TIMESTAMP] = "timestamp",
    [MR_TYPE_TIMESTAMP_NTZ] = "timestamp_ntz",
    [MR_TYPE_INTERVAL] = "interval",
    [MR_TYPE_STRING] = "string",
    [MR_TYPE_BINARY] = "binary",
    [MR_TYPE_JSON] = "json",
    [MR_TYPE_UUID] = "uuid",
    [MR_TYPE_LIST] = "array",
    [MR_TYPE_STRUCT] = "struct",
    [MR_TYPE_MAP] = "map",
};

static void format_name(const char *name, struct mr_bytes *out)
{
    bool plain = *name != '\0' && !(*name >= '0' && *name <= '9');
    for (const char *c = name; *c && plain; c++)
        plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                *c == '_' || (*c & 0x80);
    if (plain) {
        mr_bytes_text(out, name);
        return;
    }
    mr_bytes_quoted(out, name, '`');
}

void mr_type_format(const struct mr_type *type, struct mr_bytes *out)
{
    mr_bytes_text(out, names[type->id]);
    if (type->id == MR_TYPE_DECIMAL)
        mr_bytes_printf(out, "(%d,%d)", type->precision, type->scale);
    if (type->nfields == 0 && type->id != MR_TYPE_STRUCT)
        return;
    mr_bytes_char(out, '<');
    for (int i = 0; i < type->nfields; i++) {
        if (i > 0)
            mr_bytes_char(out, ',');
        if (type->id == MR_TYPE_STRUCT) {
            format_name(type->fields[i].name, out);
            mr_bytes_char(out, ':');
        }
        mr_type_format(type->fields[i].type, out);
    }
    mr_bytes_char(out, '>');
}

const char *mr_type_text(const struct mr_type *type, char *out, size_t capacity)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, MR_BYTES_DEFAULT_MAXIMUM);
    mr_type_format(type, &bytes);
    snprintf(out, capacity, "%s", bytes.data ? bytes.data : names[type->id]);
    mr_bytes_reset(&bytes);
    return out;
}

void mr_schema_format(const struct mr_schema *schema, struct mr_bytes *out)
{
    for (int i = 0; i < schema->nfields; i++) {
        const struct mr_field *field = &schema->fields[i];
        if (i > 0)
            mr_bytes_append(out, ", ", 2);
        format_name(field->name, out);
        mr_bytes_char(out, ' ');
        mr_type_format(field->type, out);
        if (!field->nullable)
            mr_bytes_text(out, " NOT NULL");
    }
}
