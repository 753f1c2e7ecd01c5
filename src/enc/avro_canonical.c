/*
 * avro_canonical.c - Parsing Canonical Form and the CRC-64-AVRO fingerprint ("Transforming into Parsing Canonical Form" and
 * "Schema Fingerprints" of the specification).
 *
 * Two schemas with the same form read and write the same bytes. The form drops what does not matter for parsing: docs, aliases,
 * defaults, logical types, namespaces beside full names. A single message (10 bytes in front: C3 01 and the
 * fingerprint, little-endian) names its schema by it.
 */
#include "enc/avro_schema.h"

/* A node is printed in full where it is met first, by name later. */
struct printer {
    struct mr_bytes *out;
    uint8_t seen[(100000 + 7) / 8];
};

static void print(struct printer *printer, const struct mr_avro_schema *schema);

static void print_record(struct printer *printer, const struct mr_avro_schema *schema)
{
    mr_bytes_text(printer->out, ",\"fields\":[");
    for (int i = 0; i < schema->count; i++) {
        mr_bytes_text(printer->out, i ? ",{\"name\":" : "{\"name\":");
        mr_bytes_json_string(printer->out, schema->fields[i].name, strlen(schema->fields[i].name));
        mr_bytes_text(printer->out, ",\"type\":");
        print(printer, schema->fields[i].schema);
        mr_bytes_char(printer->out, '}');
    }
    mr_bytes_char(printer->out, ']');
}

static void print_named(struct printer *printer, const struct mr_avro_schema *schema)
{
    struct mr_bytes *out = printer->out;
    bool again = printer->seen[schema->id / 8] >> (schema->id % 8) & 1;
    printer->seen[schema->id / 8] |= (uint8_t)(1 << schema->id % 8);
    if (!again)
        mr_bytes_text(out, "{\"name\":");
    mr_bytes_json_string(out, schema->name, strlen(schema->name));
    if (again)
        return;
    mr_bytes_printf(out, ",\"type\":\"%s\"", mr_avro_kind_name(schema->kind));
    if (schema->kind == MR_AVRO_RECORD)
        print_record(printer, schema);
    if (schema->kind == MR_AVRO_FIXED)
        mr_bytes_printf(out, ",\"size\":%d", schema->size);
    if (schema->kind == MR_AVRO_ENUM) {
        mr_bytes_text(out, ",\"symbols\":[");
        for (int i = 0; i < schema->count; i++) {
            mr_bytes_text(out, i ? "," : "");
            mr_bytes_json_string(out, schema->symbols[i], strlen(schema->symbols[i]));
        }
        mr_bytes_char(out, ']');
    }
    mr_bytes_char(out, '}');
}

static void print(struct printer *printer, const struct mr_avro_schema *schema)
{
    struct mr_bytes *out = printer->out;
    if (schema->name) {
        print_named(printer, schema);
        return;
    }
    switch (schema->kind) {
    case MR_AVRO_UNION:
        mr_bytes_char(out, '[');
        for (int i = 0; i < schema->count; i++) {
            mr_bytes_text(out, i ? "," : "");
            print(printer, schema->branches[i]);
        }
        mr_bytes_char(out, ']');
        break;
    case MR_AVRO_ARRAY:
    case MR_AVRO_MAP:
        mr_bytes_text(out, schema->kind == MR_AVRO_ARRAY ? "{\"type\":\"array\",\"items\":"
                                                         : "{\"type\":\"map\",\"values\":");
        print(printer, schema->branches[0]);
        mr_bytes_char(out, '}');
        break;
    default:
        mr_bytes_printf(out, "\"%s\"", mr_avro_kind_name(schema->kind));
    }
}

void mr_avro_canonical(const struct mr_avro_schema *schema, struct mr_bytes *out)
{
    struct printer printer = {.out = out};
    print(&printer, schema);
}

#define EMPTY UINT64_C(0xC15D213AA4D7A795)

uint64_t mr_avro_fingerprint(const struct mr_avro_schema *schema, struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, MR_AVRO_MAX_TEXT);
    mr_avro_canonical(schema, &text);
    uint64_t print = 0;
    if (mr_bytes_status(&text, err) == MR_OK) {
        print = EMPTY;
        for (size_t i = 0; i < text.size; i++) {
            print ^= (uint8_t)text.data[i];
            for (int bit = 0; bit < 8; bit++)
                print = (print >> 1) ^ (EMPTY & -(print & 1));
        }
    }
    mr_bytes_reset(&text);
    return print;
}
