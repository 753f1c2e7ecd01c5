/*
 * schema.c - a schema as bytes: count, then of each field name, origin, number, nullable, type.
 *
 * The texts that types print would lose what downstream steps may look at: whether an element can be
 * NULL, the name of a type at its source, the numbers of fields. A type is its number, precision
 * and scale, and its fields in turn.
 */
#include "connect/checkpoint/frame.h"

#define MOST_NESTED 64

static void put_fields(struct mr_bytes *out, const struct mr_field *fields, int nfields);

static void put_text(struct mr_bytes *out, const char *text)
{
    mr_bytes_u8(out, text != NULL);
    if (text != NULL)
        mr_bytes_lenpref_text(out, text);
}

static void put_fields(struct mr_bytes *out, const struct mr_field *fields, int nfields)
{
    mr_bytes_varint(out, (uint64_t)nfields);
    for (int i = 0; i < nfields; i++) {
        const struct mr_type *type = fields[i].type;
        put_text(out, fields[i].name);
        put_text(out, fields[i].origin);
        mr_bytes_varint(out, (uint32_t)fields[i].id);
        mr_bytes_u8(out, fields[i].nullable);
        mr_bytes_u8(out, (uint8_t)type->id);
        mr_bytes_u8(out, (uint8_t)type->precision);
        mr_bytes_u8(out, (uint8_t)type->scale);
        put_fields(out, type->fields, type->nfields);
    }
}

void frame_put_schema(struct mr_bytes *out, const struct mr_schema *schema)
{
    put_fields(out, schema->fields, schema->nfields);
}

static const char *get_text(struct mr_byte_reader *reader, struct mr_arena *arena)
{
    if (mr_byte_reader_u8(reader) == 0)
        return NULL;
    const char *copy = mr_byte_reader_lenpref_text(reader, arena);
    reader->bad = reader->bad || copy == NULL;
    return copy;
}

/* Do the numbers fit the type? Then it is made, else NULL. */
static const struct mr_type *make_type(struct mr_arena *arena, const struct mr_type *raw)
{
    switch (raw->id) {
    case MR_TYPE_DECIMAL:
        if (raw->precision < 1 || raw->precision > 38 || raw->scale > raw->precision)
            return NULL;
        return mr_type_decimal(arena, raw->precision, raw->scale);
    case MR_TYPE_LIST:
        if (raw->nfields != 1)
            return NULL;
        return mr_type_list(arena, raw->fields[0].type, raw->fields[0].nullable);
    case MR_TYPE_MAP:
        if (raw->nfields != 2)
            return NULL;
        return mr_type_map(arena, raw->fields[0].type, raw->fields[1].type,
                           raw->fields[1].nullable);
    case MR_TYPE_STRUCT:
        return mr_type_struct(arena, raw->fields, raw->nfields);
    default:
        return raw->nfields == 0 && raw->id < MR_TYPE_LIST ? mr_type_of(raw->id) : NULL;
    }
}

static struct mr_field *get_fields(struct mr_byte_reader *reader, struct mr_arena *arena, int depth,
                                   int *nfields)
{
    uint64_t count = mr_byte_reader_varint(reader);
    /* Each takes at least seven bytes. */
    if (reader->bad || depth > MOST_NESTED || count > (size_t)(reader->end - reader->at) / 7) {
        reader->bad = true;
        return NULL;
    }
    struct mr_field *fields = mr_arena_calloc(arena, count + 1, sizeof *fields);
    reader->bad = fields == NULL;
    for (uint64_t i = 0; i < count && !reader->bad; i++) {
        fields[i].name = get_text(reader, arena);
        fields[i].origin = get_text(reader, arena);
        fields[i].id = (int)mr_byte_reader_varint(reader);
        fields[i].nullable = mr_byte_reader_u8(reader) != 0;
        struct mr_type raw = {.id = (enum mr_type_id)mr_byte_reader_u8(reader)};
        raw.precision = mr_byte_reader_u8(reader);
        raw.scale = mr_byte_reader_u8(reader);
        raw.fields = get_fields(reader, arena, depth + 1, &raw.nfields);
        if (reader->bad)
            return NULL;
        fields[i].type = make_type(arena, &raw);
        reader->bad = fields[i].type == NULL || fields[i].name == NULL;
    }
    *nfields = (int)count;
    return reader->bad ? NULL : fields;
}

const struct mr_schema *frame_get_schema(struct mr_byte_reader *reader, struct mr_arena *arena)
{
    int nfields = 0;
    const struct mr_field *fields = get_fields(reader, arena, 0, &nfields);
    return fields != NULL ? mr_schema_new(arena, fields, nfields) : NULL;
}
