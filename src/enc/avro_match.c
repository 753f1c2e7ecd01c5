/*
 * avro_match.c - the rules of "Schema Resolution" that look at two types and nothing inside of them.
 *
 * Records are read by any record: their names count only where a union has a choice, since the name of the record that a tool wrote
 * (topLevelRecord) is nobody's intention. Enums and fixed must have the same name, or the reader an alias.
 */
#include "enc/avro_resolve.h"

bool avro_same_name(const struct mr_avro_schema *writer, const struct mr_avro_schema *reader)
{
    const char *name = mr_avro_short_name(writer->name);
    if (strcmp(name, mr_avro_short_name(reader->name)) == 0)
        return true;
    for (int i = 0; i < reader->naliases; i++)
        if (strcmp(writer->name, reader->aliases[i]) == 0 ||
            strcmp(name, mr_avro_short_name(reader->aliases[i])) == 0)
            return true;
    return false;
}

static enum avro_match promotion(enum mr_avro_kind writer, enum mr_avro_kind reader)
{
    bool number = writer >= MR_AVRO_INT && writer < reader && reader <= MR_AVRO_DOUBLE;
    bool text = (writer == MR_AVRO_STRING && reader == MR_AVRO_BYTES) ||
                (writer == MR_AVRO_BYTES && reader == MR_AVRO_STRING);
    return number || text ? AVRO_MATCH_PROMOTED : AVRO_MATCH_NONE;
}

enum avro_match avro_match(const struct mr_avro_schema *writer, const struct mr_avro_schema *reader,
                           bool lenient)
{
    if (writer == reader)
        return AVRO_MATCH_EXACT;
    if (lenient && writer->kind == MR_AVRO_STRING && reader->kind == MR_AVRO_ENUM)
        return AVRO_MATCH_PROMOTED;
    if (lenient && writer->kind == MR_AVRO_BYTES && reader->kind == MR_AVRO_FIXED)
        return AVRO_MATCH_PROMOTED;
    if (writer->kind != reader->kind)
        return promotion(writer->kind, reader->kind);
    switch (writer->kind) {
    case MR_AVRO_UNION:
        return AVRO_MATCH_NONE;
    case MR_AVRO_RECORD:
        return avro_same_name(writer, reader) ? AVRO_MATCH_EXACT : AVRO_MATCH_PROMOTED;
    case MR_AVRO_ENUM:
        return avro_same_name(writer, reader) ? AVRO_MATCH_EXACT : AVRO_MATCH_NONE;
    case MR_AVRO_FIXED:
        return writer->size == reader->size && (lenient || avro_same_name(writer, reader))
                   ? AVRO_MATCH_EXACT
                   : AVRO_MATCH_NONE;
    default:
        return AVRO_MATCH_EXACT;
    }
}

int avro_branch(const struct mr_avro_schema *writer, const struct mr_avro_schema *reader,
                bool lenient)
{
    int promoted = -1;
    for (int i = 0; i < reader->count; i++) {
        enum avro_match match = avro_match(writer, reader->branches[i], lenient);
        if (match == AVRO_MATCH_EXACT)
            return i;
        if (match == AVRO_MATCH_PROMOTED && promoted < 0)
            promoted = i;
    }
    return promoted;
}

static int field_named(const struct mr_avro_schema *record, const char *name)
{
    for (int i = 0; i < record->count; i++)
        if (strcmp(record->fields[i].name, name) == 0)
            return i;
    return -1;
}

int avro_field_of(const struct mr_avro_schema *writer, const struct mr_avro_field *field)
{
    int found = field_named(writer, field->name);
    for (int i = 0; found < 0 && i < field->naliases; i++)
        found = field_named(writer, field->aliases[i]);
    return found;
}
