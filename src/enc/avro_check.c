/*
 * avro_check.c - compatibility of two schemas: the rules of resolution, all of the findings instead of the first.
 *
 * Two named types are compared once, wherever they meet again; so a recursive schema ends, and one mistake in a shared type is one
 * line. Units and scales of logical types are looked at too: by the rules int and int match, but an implementation that takes the
 * reader's word reads milliseconds as microseconds.
 */
#include "enc/avro_check.h"

#include "enc/avro_resolve.h"

#include <stdarg.h>
#include <stdio.h>

struct checker {
    struct mr_arena *arena;
    struct mr_map seen; /* addresses of writer and reader */
    struct mr_avro_difference *found;
    int count;
    int depth;
    struct mr_error *err;
    enum mr_status status;
};

__attribute__((format(printf, 3, 4))) static void report(struct checker *checker, const char *path,
                                                         const char *format, ...)
{
    if (checker->count >= MR_AVRO_MAX_DIFFERENCES)
        return;
    char piece[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    struct mr_avro_difference *difference = &checker->found[checker->count];
    difference->path = path;
    difference->what = mr_arena_strdup(checker->arena, piece);
    if (difference->what)
        checker->count++;
    else
        checker->status = mr_error_nomem(checker->err);
}

static const char *join(struct checker *checker, const char *path, const char *separator,
                        const char *name)
{
    const char *out = mr_arena_printf(checker->arena, "%s%s%s", path, *path ? separator : "", name);
    if (!out && checker->status == MR_OK)
        checker->status = mr_error_nomem(checker->err);
    return out ? out : path;
}

static void walk(struct checker *checker, const struct mr_avro_schema *writer,
                 const struct mr_avro_schema *reader, const char *path);

static void check_record(struct checker *checker, const struct mr_avro_schema *writer,
                         const struct mr_avro_schema *reader, const char *path)
{
    if (!avro_same_name(writer, reader))
        report(checker, path, "record %s was %s, and has no alias for it", reader->name,
               writer->name);
    for (int i = 0; i < reader->count; i++) {
        const struct mr_avro_field *field = &reader->fields[i];
        int from = avro_field_of(writer, field);
        const char *inner = join(checker, path, ".", field->name);
        if (from >= 0)
            walk(checker, writer->fields[from].schema, field->schema, inner);
        else if (!field->has_default)
            report(checker, inner, "not written, and without a default");
    }
}

static void check_enum(struct checker *checker, const struct mr_avro_schema *writer,
                       const struct mr_avro_schema *reader, const char *path)
{
    struct mr_bytes lost;
    if (!avro_same_name(writer, reader))
        report(checker, path, "enum %s was %s, and has no alias for it", reader->name,
               writer->name);
    if (reader->default_symbol >= 0)
        return;
    mr_bytes_init(&lost, MR_BYTES_DEFAULT_MAXIMUM);
    for (int i = 0; i < writer->count; i++) {
        bool known = false;
        for (int j = 0; j < reader->count && !known; j++)
            known = strcmp(writer->symbols[i], reader->symbols[j]) == 0;
        if (!known)
            mr_bytes_printf(&lost, "%s%s", lost.size ? ", " : "", writer->symbols[i]);
    }
    if (lost.size)
        report(checker, path, "enum %s lacks the symbols %s, and has no default", reader->name,
               lost.data);
    mr_bytes_reset(&lost);
}

static void check_fixed(struct checker *checker, const struct mr_avro_schema *writer,
                        const struct mr_avro_schema *reader, const char *path)
{
    if (!avro_same_name(writer, reader))
        report(checker, path, "fixed %s was %s, and has no alias for it", reader->name,
               writer->name);
    if (writer->size != reader->size)
        report(checker, path, "fixed of %d bytes was of %d", reader->size, writer->size);
}

static void check_logical(struct checker *checker, const struct mr_avro_schema *writer,
                          const struct mr_avro_schema *reader, const char *path)
{
    static const char *const names[] = {
        [MR_AVRO_DECIMAL] = "decimal",
        [MR_AVRO_UUID] = "uuid",
        [MR_AVRO_DATE] = "date",
        [MR_AVRO_TIME_MILLIS] = "time-millis",
        [MR_AVRO_TIME_MICROS] = "time-micros",
        [MR_AVRO_TIMESTAMP_MILLIS] = "timestamp-millis",
        [MR_AVRO_TIMESTAMP_MICROS] = "timestamp-micros",
        [MR_AVRO_TIMESTAMP_NANOS] = "timestamp-nanos",
        [MR_AVRO_LOCAL_MILLIS] = "local-timestamp-millis",
        [MR_AVRO_LOCAL_MICROS] = "local-timestamp-micros",
        [MR_AVRO_LOCAL_NANOS] = "local-timestamp-nanos",
        [MR_AVRO_DURATION] = "duration",
        [MR_AVRO_KEY_VALUES] = "map",
    };
    enum mr_avro_logical was = writer->logical, is = reader->logical;
    if (was == MR_AVRO_PLAIN || is == MR_AVRO_PLAIN)
        return;
    if (was != is)
        report(checker, path, "%s was %s: the numbers mean something else", names[is], names[was]);
    else if (is == MR_AVRO_DECIMAL &&
             (writer->scale != reader->scale || writer->precision > reader->precision))
        report(checker, path, "decimal(%d,%d) was decimal(%d,%d)", reader->precision, reader->scale,
               writer->precision, writer->scale);
}

static void check_union(struct checker *checker, const struct mr_avro_schema *writer,
                        const struct mr_avro_schema *reader, const char *path)
{
    if (writer->kind == MR_AVRO_UNION) {
        for (int i = 0; i < writer->count; i++)
            walk(checker, writer->branches[i], reader, path);
        return;
    }
    int branch = avro_branch(writer, reader, false);
    if (branch < 0)
        report(checker, path, "written as %s, which is none of the types of the reader's union",
               mr_avro_name(writer));
    else
        walk(checker, writer, reader->branches[branch], path);
}

static void check_same_kind(struct checker *checker, const struct mr_avro_schema *writer,
                            const struct mr_avro_schema *reader, const char *path)
{
    switch (writer->kind) {
    case MR_AVRO_RECORD:
        check_record(checker, writer, reader, path);
        break;
    case MR_AVRO_ENUM:
        check_enum(checker, writer, reader, path);
        break;
    case MR_AVRO_FIXED:
        check_fixed(checker, writer, reader, path);
        break;
    case MR_AVRO_ARRAY:
        walk(checker, writer->branches[0], reader->branches[0], join(checker, path, "", "[]"));
        break;
    case MR_AVRO_MAP:
        walk(checker, writer->branches[0], reader->branches[0], join(checker, path, "", "{}"));
        break;
    default:
        break;
    }
}

static void walk(struct checker *checker, const struct mr_avro_schema *writer,
                 const struct mr_avro_schema *reader, const char *path)
{
    const struct mr_avro_schema *pair[2] = {writer, reader};
    struct mr_slice key = {(const char *)pair, sizeof pair};
    if (checker->status != MR_OK || writer == reader || mr_map_get(&checker->seen, key))
        return;
    checker->status = mr_map_put(&checker->seen, key, checker, checker->err);
    if (checker->depth > 4 * MR_AVRO_MAX_DEPTH) {
        checker->status = mr_error_config(checker->err, "the schemas are nested too deep");
        return;
    }
    checker->depth++;
    if (writer->kind == MR_AVRO_UNION || reader->kind == MR_AVRO_UNION) {
        check_union(checker, writer, reader, path);
    } else if (writer->kind == reader->kind) {
        check_same_kind(checker, writer, reader, path);
        check_logical(checker, writer, reader, path);
    } else if (avro_match(writer, reader, false) == AVRO_MATCH_NONE) {
        report(checker, path, "written as %s, cannot be read as %s", mr_avro_name(writer),
               mr_avro_name(reader));
    } else {
        check_logical(checker, writer, reader, path);
    }
    checker->depth--;
}

enum mr_status mr_avro_check(struct mr_arena *arena, const struct mr_avro_schema *writer,
                             const struct mr_avro_schema *reader,
                             const struct mr_avro_difference **out, int *count,
                             struct mr_error *err)
{
    struct checker checker = {.arena = arena, .err = err};
    checker.found = mr_arena_calloc(arena, MR_AVRO_MAX_DIFFERENCES, sizeof *checker.found);
    if (!checker.found)
        return mr_error_nomem(err);
    mr_map_init(&checker.seen, false);
    walk(&checker, writer, reader, "");
    mr_map_reset(&checker.seen);
    *out = checker.found;
    *count = checker.count;
    return checker.status;
}
