/*
 * avro_print.c - columns -> the JSON of an Avro schema.
 *
 * Records and fixed need names that are unique in the schema: each has the name of its column, in the namespace of the record
 * around it, as Spark does. So struct column a with a struct field b gives topLevelRecord.a and topLevelRecord.a.b.
 *
 *     id BIGINT NOT NULL   {"name":"id","type":"long"}
 *     tag STRING           {"name":"tag","type":["null","string"],"default":null}
 */
#include "enc/avro_type.h"

struct printer {
    struct mr_bytes *out;
    struct mr_bytes path; /* full name of the record around */
    struct mr_error *err;
};

static enum mr_status print_type(struct printer *printer, const char *name,
                                 const struct mr_type *type, bool nullable);

static enum mr_status check_name(struct printer *printer, const char *name)
{
    if (mr_avro_name_valid(name))
        return MR_OK;
    mr_error_config(printer->err, "column '%s' has no name that Avro allows", name);
    if (printer->err)
        mr_error_hint(printer->err, "Avro names are letters, digits and _, no digit first: "
                                    "renameColumns in front of this step");
    return MR_CONFIG;
}

/* "name":..,"namespace":.. of a named type. */
static void print_name(struct printer *printer, const char *name)
{
    mr_bytes_printf(printer->out, "\"name\":\"%s\"", name);
    if (printer->path.size > 0)
        mr_bytes_printf(printer->out, ",\"namespace\":\"%s\"", printer->path.data);
}

static size_t push(struct printer *printer, const char *name)
{
    size_t before = printer->path.size;
    if (before > 0)
        mr_bytes_char(&printer->path, '.');
    mr_bytes_text(&printer->path, name);
    return before;
}

static void pop(struct printer *printer, size_t before)
{
    printer->path.size = before;
    if (printer->path.data)
        printer->path.data[before] = 0;
}

static enum mr_status print_fields(struct printer *printer, const char *name,
                                   const struct mr_field *fields, int count)
{
    mr_bytes_text(printer->out, "{\"type\":\"record\",");
    print_name(printer, name);
    mr_bytes_text(printer->out, ",\"fields\":[");
    size_t before = push(printer, name);
    for (int i = 0; i < count; i++) {
        const struct mr_field *field = &fields[i];
        MR_TRY(check_name(printer, field->name));
        mr_bytes_printf(printer->out, "%s{\"name\":\"%s\",\"type\":", i ? "," : "", field->name);
        MR_TRY(print_type(printer, field->name, field->type, field->nullable));
        if (field->nullable || field->type->id == MR_TYPE_NULL)
            mr_bytes_text(printer->out, ",\"default\":null");
        mr_bytes_char(printer->out, '}');
    }
    mr_bytes_text(printer->out, "]}");
    pop(printer, before);
    return MR_OK;
}

/* Keys that are no strings: an array of entries, as Iceberg and Kafka Connect write them. */
static enum mr_status print_map(struct printer *printer, const char *name,
                                const struct mr_type *type)
{
    if (type->fields[0].type->id == MR_TYPE_STRING) {
        mr_bytes_text(printer->out, "{\"type\":\"map\",\"values\":");
        MR_TRY(print_type(printer, name, type->fields[1].type, type->fields[1].nullable));
        mr_bytes_char(printer->out, '}');
        return MR_OK;
    }
    struct mr_field entry[2] = {type->fields[0], type->fields[1]};
    entry[0].name = "key";
    entry[0].nullable = false;
    entry[1].name = "value";
    mr_bytes_text(printer->out, "{\"type\":\"array\",\"items\":");
    size_t before = push(printer, name);
    MR_TRY(print_fields(printer, "entry", entry, 2));
    pop(printer, before);
    mr_bytes_text(printer->out, ",\"logicalType\":\"map\"}");
    return MR_OK;
}

static enum mr_status print_plain(struct printer *printer, const char *name,
                                  const struct mr_type *type)
{
    static const char *const texts[] = {
        [MR_TYPE_NULL] = "\"null\"",
        [MR_TYPE_BOOL] = "\"boolean\"",
        [MR_TYPE_INT8] = "\"int\"",
        [MR_TYPE_INT16] = "\"int\"",
        [MR_TYPE_INT32] = "\"int\"",
        [MR_TYPE_INT64] = "\"long\"",
        [MR_TYPE_FLOAT32] = "\"float\"",
        [MR_TYPE_FLOAT64] = "\"double\"",
        [MR_TYPE_STRING] = "\"string\"",
        [MR_TYPE_JSON] = "\"string\"",
        [MR_TYPE_BINARY] = "\"bytes\"",
        [MR_TYPE_DATE] = "{\"type\":\"int\",\"logicalType\":\"date\"}",
        [MR_TYPE_TIME] = "{\"type\":\"long\",\"logicalType\":\"time-micros\"}",
        [MR_TYPE_TIMESTAMP] = "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}",
        [MR_TYPE_TIMESTAMP_NTZ] = "{\"type\":\"long\",\"logicalType\":\"local-timestamp-micros\"}",
        [MR_TYPE_UUID] = "{\"type\":\"string\",\"logicalType\":\"uuid\"}",
    };
    switch (type->id) {
    case MR_TYPE_DECIMAL:
        mr_bytes_printf(
            printer->out,
            "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":%d,\"scale\":%d}",
            type->precision, type->scale);
        return MR_OK;
    case MR_TYPE_INTERVAL:
        mr_bytes_text(printer->out, "{\"type\":\"fixed\",");
        print_name(printer, name);
        mr_bytes_text(printer->out, ",\"size\":12,\"logicalType\":\"duration\"}");
        return MR_OK;
    case MR_TYPE_LIST:
        mr_bytes_text(printer->out, "{\"type\":\"array\",\"items\":");
        MR_TRY(print_type(printer, name, type->fields[0].type, type->fields[0].nullable));
        mr_bytes_char(printer->out, '}');
        return MR_OK;
    case MR_TYPE_MAP:
        return print_map(printer, name, type);
    case MR_TYPE_STRUCT:
        return print_fields(printer, name, type->fields, type->nfields);
    default:
        mr_bytes_text(printer->out, texts[type->id]);
        return MR_OK;
    }
}

static enum mr_status print_type(struct printer *printer, const char *name,
                                 const struct mr_type *type, bool nullable)
{
    bool both = nullable && type->id != MR_TYPE_NULL;
    mr_bytes_text(printer->out, both ? "[\"null\"," : "");
    MR_TRY(print_plain(printer, name, type));
    mr_bytes_text(printer->out, both ? "]" : "");
    return MR_OK;
}

static bool space_valid(const char *space)
{
    char part[128];
    for (;;) {
        size_t size = strcspn(space, ".");
        if (size >= sizeof part)
            return false;
        memcpy(part, space, size);
        part[size] = 0;
        if (!mr_avro_name_valid(part))
            return false;
        if (!space[size])
            return true;
        space += size + 1;
    }
}

enum mr_status mr_avro_print(const struct mr_schema *columns, const char *name, const char *space,
                             struct mr_bytes *out, struct mr_error *err)
{
    struct printer printer = {.out = out, .err = err};
    if (!name)
        name = "topLevelRecord";
    if (!mr_avro_name_valid(name))
        return mr_error_config(err, "'%s' is no name for an Avro record", name);
    if (space && *space && !space_valid(space))
        return mr_error_config(err, "'%s' is no Avro namespace", space);
    mr_bytes_init(&printer.path, MR_BYTES_DEFAULT_MAXIMUM);
    if (space)
        mr_bytes_text(&printer.path, space);
    enum mr_status status = print_fields(&printer, name, columns->fields, columns->nfields);
    if (status == MR_OK)
        status = mr_bytes_status(&printer.path, err);
    if (status == MR_OK)
        status = mr_bytes_status(out, err);
    mr_bytes_reset(&printer.path);
    return status;
}
