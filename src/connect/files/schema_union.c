/*
 * schema_union.c - one schema for files that do not agree.
 *
 * Columns are matched by name, exactly, else ignoring ASCII case (not of JSON, whose keys are read by their exact
 * names), and come in the order of the first file that has them. One that some files lack is NULL there. Where types differ, the result is one
 * that holds every value of both, so that no file's rows change their meaning:
 *
 *   integers                          the wider one
 *   float, double                     double; so are int and smaller with either of them, and bigint
 *                                     where the reader refuses what no double holds exactly
 *   decimal, decimal                  enough digits before and behind the point, if 38 are enough
 *   integer, decimal                  the same, the integer as a decimal of its digits
 *   date, timestamp_ntz               timestamp_ntz
 *   struct, list, map                 the same rules inside; fields of structs by name
 *   nothing but NULLs, T              T
 *
 * Types that were guessed from samples of text give way further, since the text is there to be read
 * as another type: bigint and double are double, date and timestamp are timestamp, anything else is
 * string. All other pairs are an error that names both files.
 */
#include "connect/files/read.h"

#include "base/text.h"

#include <stdio.h>

#define DEPTH_MOST 64

struct merge {
    struct mr_arena *arena;
    bool inferred;
    bool exact; /* names */
    bool checks;
    bool nomem;
};

static const struct mr_type *merge_types(struct merge *merge, const struct mr_type *a,
                                         const struct mr_type *b, int depth);

/* Digits of an integer type in front of the point. */
static int digits_of(const struct mr_type *type)
{
    switch (type->id) {
    case MR_TYPE_INT8:
        return 3;
    case MR_TYPE_INT16:
        return 5;
    case MR_TYPE_INT32:
        return 10;
    default:
        return 19;
    }
}

static const struct mr_type *merge_decimals(struct merge *merge, const struct mr_type *a,
                                            const struct mr_type *b)
{
    int scale_a = a->id == MR_TYPE_DECIMAL ? a->scale : 0;
    int scale_b = b->id == MR_TYPE_DECIMAL ? b->scale : 0;
    int before_a = a->id == MR_TYPE_DECIMAL ? a->precision - a->scale : digits_of(a);
    int before_b = b->id == MR_TYPE_DECIMAL ? b->precision - b->scale : digits_of(b);
    int scale = scale_a > scale_b ? scale_a : scale_b;
    int before = before_a > before_b ? before_a : before_b;
    if (before + scale > MR_DECIMAL_MAX_PRECISION)
        return NULL;
    const struct mr_type *type = mr_type_decimal(merge->arena, before + scale, scale);
    merge->nomem = merge->nomem || type == NULL;
    return type;
}

static bool is_float(const struct mr_type *type)
{
    return type->id == MR_TYPE_FLOAT32 || type->id == MR_TYPE_FLOAT64;
}

static const struct mr_type *merge_numbers(struct merge *merge, const struct mr_type *a,
                                           const struct mr_type *b)
{
    bool integer_a = mr_type_is_integer(a), integer_b = mr_type_is_integer(b);
    if (integer_a && integer_b)
        return a->id > b->id ? a : b;
    if (is_float(a) && is_float(b))
        return mr_type_of(MR_TYPE_FLOAT64);
    if (is_float(a) || is_float(b)) {
        const struct mr_type *other = is_float(a) ? b : a;
        bool exact =
            other->id == MR_TYPE_INT8 || other->id == MR_TYPE_INT16 || other->id == MR_TYPE_INT32;
        return exact || merge->inferred || (merge->checks && mr_type_is_integer(other))
                   ? mr_type_of(MR_TYPE_FLOAT64)
                   : NULL;
    }
    return merge_decimals(merge, a, b);
}

/* --- nested types --- */

static int find_exact(const struct mr_field *fields, int nfields, const char *name)
{
    for (int i = 0; i < nfields; i++)
        if (strcmp(fields[i].name, name) == 0)
            return i;
    return -1;
}

/*
 * The field of `a` that is field `name` of `b`: exactly so named, else (unless `exact`) the first that
 * differs by ASCII case only and that is no field of `b` itself; -1.
 */
static int find_field(const struct mr_type *a, const struct mr_type *b, const char *name,
                      bool exact)
{
    int found = find_exact(a->fields, a->nfields, name);
    for (int i = 0; found < 0 && i < a->nfields && !exact; i++)
        if (mr_text_equal_nocase(a->fields[i].name, name) &&
            find_exact(b->fields, b->nfields, a->fields[i].name) < 0)
            found = i;
    return found;
}

static const struct mr_type *merge_structs(struct merge *merge, const struct mr_type *a,
                                           const struct mr_type *b, int depth)
{
    int n = a->nfields;
    struct mr_field *fields =
        mr_arena_calloc(merge->arena, (size_t)(a->nfields + b->nfields) + 1, sizeof *fields);
    if (fields == NULL) {
        merge->nomem = true;
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        fields[i] = a->fields[i];
        fields[i].nullable |= find_field(b, a, a->fields[i].name, merge->exact) < 0;
    }
    for (int i = 0; i < b->nfields; i++) {
        int at = find_field(a, b, b->fields[i].name, merge->exact);
        if (at < 0) {
            fields[n] = b->fields[i];
            fields[n++].nullable = true;
            continue;
        }
        fields[at].nullable |= b->fields[i].nullable;
        fields[at].type = merge_types(merge, fields[at].type, b->fields[i].type, depth);
        if (fields[at].type == NULL)
            return NULL;
    }
    const struct mr_type *type = mr_type_struct(merge->arena, fields, n);
    merge->nomem = merge->nomem || type == NULL;
    return type;
}

static const struct mr_type *merge_lists(struct merge *merge, const struct mr_type *a,
                                         const struct mr_type *b, int depth)
{
    const struct mr_type *element = merge_types(merge, a->fields[0].type, b->fields[0].type, depth);
    if (element == NULL)
        return NULL;
    return mr_type_list(merge->arena, element, a->fields[0].nullable || b->fields[0].nullable);
}

static const struct mr_type *merge_maps(struct merge *merge, const struct mr_type *a,
                                        const struct mr_type *b, int depth)
{
    const struct mr_type *key = merge_types(merge, a->fields[0].type, b->fields[0].type, depth);
    const struct mr_type *value = merge_types(merge, a->fields[1].type, b->fields[1].type, depth);
    if (key == NULL || value == NULL)
        return NULL;
    return mr_type_map(merge->arena, key, value, a->fields[1].nullable || b->fields[1].nullable);
}

/* --- any two types --- */

static bool are(const struct mr_type *a, const struct mr_type *b, enum mr_type_id one,
                enum mr_type_id other)
{
    return (a->id == one && b->id == other) || (a->id == other && b->id == one);
}

/* NULL when no type holds both (or memory is out). */
static const struct mr_type *merge_types(struct merge *merge, const struct mr_type *a,
                                         const struct mr_type *b, int depth)
{
    const struct mr_type *type = NULL;
    if (mr_type_equal(a, b) && !mr_type_is_nested(a))
        return a;
    if (depth > DEPTH_MOST)
        return NULL;
    if (a->id == MR_TYPE_NULL || b->id == MR_TYPE_NULL)
        return a->id == MR_TYPE_NULL ? b : a;
    if (mr_type_is_numeric(a) && mr_type_is_numeric(b))
        type = merge_numbers(merge, a, b);
    else if (are(a, b, MR_TYPE_DATE, MR_TYPE_TIMESTAMP_NTZ))
        type = mr_type_of(MR_TYPE_TIMESTAMP_NTZ);
    else if (merge->inferred && are(a, b, MR_TYPE_DATE, MR_TYPE_TIMESTAMP))
        type = mr_type_of(MR_TYPE_TIMESTAMP);
    else if (a->id == MR_TYPE_STRUCT && b->id == MR_TYPE_STRUCT)
        type = merge_structs(merge, a, b, depth + 1);
    else if (a->id == MR_TYPE_LIST && b->id == MR_TYPE_LIST)
        type = merge_lists(merge, a, b, depth + 1);
    else if (a->id == MR_TYPE_MAP && b->id == MR_TYPE_MAP)
        type = merge_maps(merge, a, b, depth + 1);
    if (type == NULL && merge->inferred && !merge->nomem)
        type = mr_type_of(MR_TYPE_STRING);
    return type;
}

/* --- schemas --- */

struct column {
    struct mr_field field;
    int first;   /* part that it came from */
    int last;    /* the latest part that has it */
    int present; /* parts that have it */
};

struct columns {
    struct column *items;
    int count;
    int capacity;
};

static struct column *find_column(const struct columns *columns, const struct mr_schema *schema,
                                  int hint, const char *name, bool exact)
{
    if (hint < columns->count && strcmp(columns->items[hint].field.name, name) == 0)
        return &columns->items[hint]; /* files mostly agree */
    for (int i = 0; i < columns->count; i++)
        if (strcmp(columns->items[i].field.name, name) == 0)
            return &columns->items[i];
    for (int i = 0; i < columns->count && !exact; i++)
        if (mr_text_equal_nocase(columns->items[i].field.name, name) &&
            find_exact(schema->fields, schema->nfields, columns->items[i].field.name) < 0)
            return &columns->items[i];
    return NULL;
}

static enum mr_status new_column(struct columns *columns, const struct mr_field *field, int part,
                                 struct mr_arena *arena, struct mr_error *err)
{
    if (columns->count == columns->capacity) {
        int capacity = columns->capacity ? 2 * columns->capacity : 32;
        struct column *more = mr_arena_alloc(arena, (size_t)capacity * sizeof *more);
        if (more == NULL)
            return mr_error_nomem(err);
        if (columns->count > 0)
            memcpy(more, columns->items, (size_t)columns->count * sizeof *more);
        columns->items = more;
        columns->capacity = capacity;
    }
    columns->items[columns->count++] =
        (struct column){.field = *field, .first = part, .last = part, .present = 1};
    return MR_OK;
}

static enum mr_status cannot_merge(const struct files_union_part *parts,
                                   const struct column *column, const struct mr_field *field,
                                   int part, struct mr_error *err)
{
    char a[160], b[160];
    mr_error_data(err, MR_SOURCE, "the column \"%s\" is %s in %s and %s in %s: no type holds both",
                  column->field.name, mr_type_text(column->field.type, a, sizeof a),
                  parts[column->first].name, mr_type_text(field->type, b, sizeof b),
                  parts[part].name);
    mr_error_hint(err, "say with \"schema\" as what the columns are to be read");
    return MR_SOURCE;
}

static void tell(const struct files_union_part *parts, const struct column *column,
                 const struct mr_field *field, const struct mr_type *type, int part,
                 void (*note)(void *context, const char *line), void *context)
{
    char a[80], b[80], c[80], line[600];
    if (note == NULL || column->field.type->id == MR_TYPE_NULL || field->type->id == MR_TYPE_NULL)
        return;
    snprintf(line, sizeof line, "column \"%.100s\": %s in %.120s, %s in %.120s, read as %s",
             column->field.name, mr_type_text(column->field.type, a, sizeof a),
             parts[column->first].name, mr_type_text(field->type, b, sizeof b), parts[part].name,
             mr_type_text(type, c, sizeof c));
    note(context, line);
}

static enum mr_status add_part(struct merge *merge, struct columns *columns,
                               const struct files_union_part *parts, int part,
                               void (*note)(void *context, const char *line), void *context,
                               struct mr_error *err)
{
    const struct mr_schema *schema = parts[part].schema;
    for (int i = 0; i < schema->nfields; i++) {
        const struct mr_field *field = &schema->fields[i];
        struct column *column = find_column(columns, schema, i, field->name, parts[part].exact);
        bool own = column != NULL && column->last == part;
        if (own && strcmp(column->field.name, field->name) == 0)
            return mr_error_data(err, MR_SOURCE, "%s has two columns \"%s\"", parts[part].name,
                                 field->name);
        if (column == NULL || own) {
            MR_TRY(new_column(columns, field, part, merge->arena, err));
            continue;
        }
        column->last = part;
        column->present++;
        column->field.nullable |= field->nullable;
        if (mr_type_equal(column->field.type, field->type) && !mr_type_is_nested(field->type))
            continue;
        merge->exact = parts[part].exact;
        merge->checks = parts[part].checks;
        merge->inferred = parts[part].inferred && parts[column->first].inferred;
        const struct mr_type *type = merge_types(merge, column->field.type, field->type, 0);
        if (merge->nomem)
            return mr_error_nomem(err);
        if (type == NULL)
            return cannot_merge(parts, column, field, part, err);
        if (!mr_type_equal(type, column->field.type))
            tell(parts, column, field, type, part, note, context);
        column->field.type = type;
    }
    return MR_OK;
}

enum mr_status files_schema_union(struct mr_arena *arena, const struct files_union_part *parts,
                                  int nparts, const struct mr_schema **out,
                                  void (*note)(void *context, const char *line), void *context,
                                  struct mr_error *err)
{
    struct merge merge = {.arena = arena};
    struct columns columns = {0};
    for (int i = 0; i < nparts; i++)
        MR_TRY(add_part(&merge, &columns, parts, i, note, context, err));
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)columns.count + 1, sizeof *fields);
    if (fields == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < columns.count; i++) {
        fields[i] = columns.items[i].field;
        fields[i].nullable |= columns.items[i].present < nparts;
    }
    *out = mr_schema_new(arena, fields, columns.count);
    return *out ? MR_OK : mr_error_nomem(err);
}
