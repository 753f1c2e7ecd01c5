/*
 * schema.c - ordered, named and typed columns.
 *
 * Lookup is a scan: schemas have tens of columns and are searched when a plan is bound, not per
 * row. The exact name wins over one that differs in ASCII case, so that a frame read with "id" and
 * "ID" stays usable.
 */
#include "base/map.h"
#include "base/text.h"
#include "col/type.h"

const struct mr_schema *mr_schema_new(struct mr_arena *arena, const struct mr_field *fields,
                                      int nfields)
{
    struct mr_schema *schema = mr_arena_alloc(arena, sizeof *schema);
    struct mr_field *copy = mr_arena_calloc(arena, (size_t)nfields, sizeof *copy);
    if (!schema || !copy)
        return NULL;
    for (int i = 0; i < nfields; i++) {
        copy[i].nullable = fields[i].nullable;
        copy[i].id = fields[i].id;
        copy[i].name = mr_arena_strdup(arena, fields[i].name);
        copy[i].type = mr_type_copy(arena, fields[i].type);
        if (!copy[i].name || !copy[i].type)
            return NULL;
        if (fields[i].origin) {
            copy[i].origin = mr_arena_strdup(arena, fields[i].origin);
            if (!copy[i].origin)
                return NULL;
        }
    }
    schema->nfields = nfields;
    schema->fields = copy;
    return schema;
}

int mr_schema_find(const struct mr_schema *schema, const char *name)
{
    int found = -1;
    for (int i = 0; i < schema->nfields; i++) {
        const char *other = schema->fields[i].name;
        if (strcmp(other, name) == 0)
            return i;
        if (mr_text_equal_nocase(other, name))
            found = found == -1 ? i : -2;
    }
    return found;
}

bool mr_schema_equal(const struct mr_schema *a, const struct mr_schema *b)
{
    if (a == b)
        return true;
    if (a->nfields != b->nfields)
        return false;
    for (int i = 0; i < a->nfields; i++)
        if (strcmp(a->fields[i].name, b->fields[i].name) != 0 ||
            !mr_type_equal(a->fields[i].type, b->fields[i].type))
            return false;
    return true;
}

enum mr_status mr_schema_unknown_column(const struct mr_schema *schema, const char *name,
                                        struct mr_error *err)
{
    if (!err)
        return MR_CONFIG;
    struct mr_bytes hint;
    mr_bytes_init(&hint, MR_BYTES_DEFAULT_MAXIMUM);
    size_t count = (size_t)schema->nfields;
    const char **names = mr_alloc(count * sizeof *names);
    if (names) {
        for (size_t i = 0; i < count; i++)
            names[i] = schema->fields[i].name;
        const char *nearest = mr_nearest_name(name, names, count);
        if (nearest)
            mr_bytes_printf(&hint, "did you mean \"%s\"? ", nearest);
        mr_free(names);
    }
    mr_bytes_text(&hint, "columns: ");
    for (int i = 0; i < schema->nfields; i++)
        mr_bytes_printf(&hint, "%s%s", i ? ", " : "", schema->fields[i].name);
    mr_error_config(err,
                    mr_schema_find(schema, name) == -2
                        ? "column \"%s\" is ambiguous: several columns differ only in case"
                        : "no column \"%s\"",
                    name);
    if (hint.status == MR_OK)
        mr_error_hint(err, "%s", hint.data);
    mr_bytes_reset(&hint);
    return MR_CONFIG;
}
