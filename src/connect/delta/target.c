/*
 * target.c - schema enforcement and evolution.
 *
 * Rows are brought into the table's form by a projection in front of the sink: casts that lose nothing,
 * NULL for what the rows lack, the table's order. So the engine's own expressions do the work (in
 * parallel, and named in the plan), and the writer takes batches that have the table's schema already.
 * A cast that may lose something is never put in silently: the user writes it in a step of his own.
 */
#include "connect/delta/target.h"

#include "base/text.h"
#include "base/time.h"
#include "connect/delta/private.h"
#include "connect/delta/schema_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#define MAX_ID_PROPERTY "delta.columnMapping.maxColumnId"

void delta_random_uuid(char out[40])
{
    uint64_t bits[2] = {0, 0};
    if (getrandom(bits, sizeof bits, 0) != sizeof bits)
        bits[0] ^= (uint64_t)mr_clock_wall_micros();
    snprintf(out, 40, "%08x-%04x-4%03x-%04x-%012" PRIx64, (unsigned)(bits[0] >> 32),
             (unsigned)(bits[0] >> 16) & 0xFFFF, (unsigned)bits[0] & 0xFFF,
             0x8000U | ((unsigned)(bits[1] >> 48) & 0x3FFF), bits[1] & UINT64_C(0xFFFFFFFFFFFF));
}

/* ---- types ---- */

static int integer_digits(enum mr_type_id id)
{
    switch (id) {
    case MR_TYPE_INT8:
        return 3;
    case MR_TYPE_INT16:
        return 5;
    case MR_TYPE_INT32:
        return 10;
    case MR_TYPE_INT64:
        return 19;
    default:
        return 0;
    }
}

static bool integer_fits(const struct mr_type *from, const struct mr_type *to)
{
    int digits = integer_digits(from->id);
    if (mr_type_is_integer(to))
        return integer_digits(to->id) >= digits;
    if (to->id == MR_TYPE_DECIMAL)
        return to->precision - to->scale >= digits;
    return to->id == MR_TYPE_FLOAT64 && digits <= 10;
}

static bool nested_fits(const struct mr_type *from, const struct mr_type *to)
{
    if (from->nfields != to->nfields)
        return false;
    for (int i = 0; i < from->nfields; i++) {
        if (to->id == MR_TYPE_STRUCT &&
            !mr_text_equal_nocase(from->fields[i].name, to->fields[i].name))
            return false;
        if (!delta_type_fits(from->fields[i].type, to->fields[i].type))
            return false;
    }
    return true;
}

bool delta_type_fits(const struct mr_type *from, const struct mr_type *to)
{
    if (from->id == MR_TYPE_NULL || mr_type_equal(from, to))
        return true;
    if (mr_type_is_integer(from))
        return integer_fits(from, to);
    switch (from->id) {
    case MR_TYPE_FLOAT32:
        return to->id == MR_TYPE_FLOAT64;
    case MR_TYPE_DECIMAL:
        return to->id == MR_TYPE_DECIMAL && to->scale >= from->scale &&
               to->precision - to->scale >= from->precision - from->scale;
    case MR_TYPE_DATE:
        return to->id == MR_TYPE_TIMESTAMP_NTZ;
    case MR_TYPE_UUID:
    case MR_TYPE_JSON:
        return to->id == MR_TYPE_STRING;
    case MR_TYPE_LIST:
    case MR_TYPE_MAP:
    case MR_TYPE_STRUCT:
        return from->id == to->id && nested_fits(from, to);
    default:
        return false;
    }
}

/* ---- expressions ---- */

static void put_literal(struct mr_bytes *out, const char *text)
{
    mr_bytes_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            mr_bytes_char(out, '\\');
        mr_bytes_char(out, *text);
    }
    mr_bytes_char(out, '\'');
}

static void put_cast(struct mr_bytes *out, const char *expression, const struct mr_type *type)
{
    mr_bytes_printf(out, "CAST(%s AS ", expression);
    mr_type_format(type, out);
    mr_bytes_char(out, ')');
}

char *delta_quoted_name(const char *name, struct mr_arena *arena)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 20);
    mr_bytes_quoted(&text, name, '`');
    return mr_bytes_to_arena(&text, arena);
}

char *delta_null_of(const struct mr_type *type, struct mr_arena *arena)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 20);
    put_cast(&text, "NULL", type);
    return mr_bytes_to_arena(&text, arena);
}

static const struct mr_field *find(const struct mr_field *fields, int nfields, const char *name)
{
    for (int i = 0; i < nfields; i++) {
        if (mr_text_equal_nocase(fields[i].name, name))
            return &fields[i];
    }
    return NULL;
}

static enum mr_status does_not_fit(const char *column, const struct mr_type *from,
                                   const struct mr_type *to, const char *table,
                                   struct mr_error *err)
{
    char left[200], right[200];
    mr_error_config(err, "column '%s' is %s, and %s in %s", column,
                    mr_type_text(from, left, sizeof left), mr_type_text(to, right, sizeof right),
                    table);
    if (err)
        mr_error_hint(err, "castColumns in front of the load, if what may be lost may be lost");
    return MR_CONFIG;
}

struct projection {
    const char *table;
    const char *column; /* of the top, for messages */
};

static enum mr_status put_value(const struct projection *projection, struct mr_bytes *out,
                                const char *expression, const struct mr_type *from,
                                const struct mr_type *to, struct mr_error *err);

/* CASE WHEN x IS NULL THEN NULL ELSE named_struct('a', x.a, ..) END, fields by their names. */
static enum mr_status put_struct(const struct projection *projection, struct mr_bytes *out,
                                 const char *expression, const struct mr_type *from,
                                 const struct mr_type *to, struct mr_error *err)
{
    for (int i = 0; i < from->nfields; i++) {
        if (!find(to->fields, to->nfields, from->fields[i].name))
            return does_not_fit(projection->column, from, to, projection->table, err);
    }
    mr_bytes_printf(out, "CASE WHEN %s IS NULL THEN NULL ELSE named_struct(", expression);
    for (int i = 0; i < to->nfields; i++) {
        const struct mr_field *field = find(from->fields, from->nfields, to->fields[i].name);
        mr_bytes_text(out, i ? ", " : "");
        put_literal(out, to->fields[i].name);
        mr_bytes_text(out, ", ");
        if (!field) {
            if (!to->fields[i].nullable)
                return does_not_fit(projection->column, from, to, projection->table, err);
            put_cast(out, "NULL", to->fields[i].type);
            continue;
        }
        struct mr_bytes inner;
        mr_bytes_init(&inner, 1 << 20);
        mr_bytes_printf(&inner, "%s.", expression);
        mr_bytes_quoted(&inner, field->name, '`');
        enum mr_status status = mr_bytes_status(&inner, err);
        if (status == MR_OK)
            status = put_value(projection, out, inner.data, field->type, to->fields[i].type, err);
        mr_bytes_reset(&inner);
        MR_TRY(status);
    }
    mr_bytes_text(out, ") END");
    return MR_OK;
}

static enum mr_status put_value(const struct projection *projection, struct mr_bytes *out,
                                const char *expression, const struct mr_type *from,
                                const struct mr_type *to, struct mr_error *err)
{
    if (mr_type_equal(from, to))
        mr_bytes_text(out, expression);
    else if (delta_type_fits(from, to))
        put_cast(out, expression, to);
    else if (from->id == MR_TYPE_STRUCT && to->id == MR_TYPE_STRUCT)
        return put_struct(projection, out, expression, from, to, err);
    else
        return does_not_fit(projection->column, from, to, projection->table, err);
    return MR_OK;
}

static enum mr_status project_column(const struct projection *projection,
                                     const struct mr_schema *schema, const struct mr_field *to,
                                     struct mr_arena *arena, const char **out, struct mr_error *err)
{
    const struct mr_field *from = find(schema->fields, schema->nfields, to->name);
    struct mr_bytes name, text;
    mr_bytes_init(&name, 1 << 20);
    mr_bytes_init(&text, 1 << 20);
    enum mr_status status = MR_OK;
    if (from) {
        mr_bytes_quoted(&name, from->name, '`');
        status = mr_bytes_status(&name, err);
        if (status == MR_OK)
            status = put_value(projection, &text, name.data, from->type, to->type, err);
    } else {
        put_cast(&text, "NULL", to->type);
    }
    if (status == MR_OK)
        status = mr_bytes_status(&text, err);
    *out = status == MR_OK ? mr_arena_strdup(arena, text.data) : "";
    mr_bytes_reset(&name);
    mr_bytes_reset(&text);
    return *out ? status : mr_error_nomem(err);
}

enum mr_status delta_target_project(const struct delta_target *target,
                                    const struct mr_schema *schema, struct mr_arena *arena,
                                    const char *const **expressions, bool *same,
                                    struct mr_error *err)
{
    const struct mr_schema *wanted = target->metadata->schema;
    const char **texts = mr_arena_calloc(arena, (size_t)wanted->nfields + 1, sizeof *texts);
    if (!texts)
        return mr_error_nomem(err);
    *same = wanted->nfields == schema->nfields;
    for (int i = 0; i < wanted->nfields; i++) {
        struct projection projection = {.table = target->table, .column = wanted->fields[i].name};
        MR_TRY(project_column(&projection, schema, &wanted->fields[i], arena, &texts[i], err));
        *same = *same && strcmp(schema->fields[i].name, wanted->fields[i].name) == 0 &&
                mr_type_equal(schema->fields[i].type, wanted->fields[i].type);
    }
    *expressions = texts;
    return MR_OK;
}

/* ---- protocol ---- */

/* The features that a writer version of the old kind stands for. */
static int legacy_features(int writer, const char **out)
{
    static const struct {
        int since;
        const char *name;
    } known[] = {{2, "appendOnly"},     {2, "invariants"},       {3, "checkConstraints"},
                 {4, "changeDataFeed"}, {4, "generatedColumns"}, {5, "columnMapping"},
                 {6, "identityColumns"}};
    int count = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (writer >= known[i].since)
            out[count++] = known[i].name;
    }
    return count;
}

/* The protocol with timestampNtz in both lists. */
static enum mr_status with_ntz(const struct delta_protocol *old, struct mr_arena *arena,
                               const struct delta_protocol **out, struct mr_error *err)
{
    int nreaders = 0, nwriters = 0;
    while (old->reader_features && old->reader_features[nreaders])
        nreaders++;
    while (old->writer_features && old->writer_features[nwriters])
        nwriters++;
    struct delta_protocol *protocol = mr_arena_calloc(arena, 1, sizeof *protocol);
    const char **readers = mr_arena_calloc(arena, (size_t)nreaders + 3, sizeof *readers);
    const char **writers = mr_arena_calloc(arena, (size_t)nwriters + 10, sizeof *writers);
    if (!protocol || !readers || !writers)
        return mr_error_nomem(err);
    for (int i = 0; i < nreaders; i++)
        readers[i] = old->reader_features[i];
    if (old->reader == 2)
        readers[nreaders++] = "columnMapping";
    readers[nreaders] = "timestampNtz";
    for (int i = 0; i < nwriters; i++)
        writers[i] = old->writer_features[i];
    if (old->writer < 7)
        nwriters = legacy_features(old->writer, writers);
    writers[nwriters] = "timestampNtz";
    *protocol = (struct delta_protocol){.reader = 3,
                                        .writer = 7,
                                        .reader_features = readers,
                                        .writer_features = writers};
    *out = protocol;
    return MR_OK;
}

static enum mr_status choose_protocol(const struct delta_target_request *request,
                                      struct mr_arena *arena, struct delta_target *out,
                                      struct mr_error *err)
{
    static const struct delta_protocol plain = {.reader = 1, .writer = 2};
    const struct delta_snapshot *snapshot = request->snapshot;
    bool ntz = delta_schema_has_ntz(out->metadata->schema);
    if (!snapshot) {
        out->protocol = &plain;
        return ntz ? with_ntz(&plain, arena, &out->protocol, err) : MR_OK;
    }
    if (!ntz || delta_protocol_reads(&snapshot->protocol, "timestampNtz"))
        return MR_OK;
    return with_ntz(&snapshot->protocol, arena, &out->protocol, err);
}

/* ---- partitioning ---- */

static enum mr_status wanted_partitions(const struct delta_target_request *request,
                                        const struct mr_schema *schema, struct mr_arena *arena,
                                        const char *const **names, int *count, struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(request->options, "partitionBy");
    int n = value->set ? value->u.strings.count : 0;
    const char **out = mr_arena_calloc(arena, (size_t)n + 1, sizeof *out);
    if (!out)
        return mr_error_nomem(err);
    for (int i = 0; i < n; i++) {
        int column = mr_schema_find(schema, value->u.strings.items[i]);
        if (column < 0) {
            mr_schema_unknown_column(schema, value->u.strings.items[i], err);
            if (err)
                mr_error_prefix(err, "partitionBy");
            return MR_CONFIG;
        }
        out[i] = schema->fields[column].name;
        for (int k = 0; k < i; k++) {
            if (strcmp(out[k], out[i]) == 0)
                return mr_options_error(request->options, "partitionBy", err,
                                        "column '%s' is named twice", out[i]);
        }
    }
    *names = out;
    *count = n;
    return MR_OK;
}

static enum mr_status check_partitions(const struct delta_target_request *request,
                                       struct mr_error *err)
{
    const struct delta_metadata *metadata = &request->snapshot->metadata;
    const struct mr_option_value *value = mr_options_get(request->options, "partitionBy");
    if (!value->set)
        return MR_OK;
    bool same = value->u.strings.count == metadata->npartition_columns;
    for (int i = 0; same && i < metadata->npartition_columns; i++)
        same = mr_text_equal_nocase(value->u.strings.items[i], metadata->partition_columns[i]);
    if (same)
        return MR_OK;
    struct mr_bytes names;
    mr_bytes_init(&names, 4096);
    for (int i = 0; i < metadata->npartition_columns; i++)
        mr_bytes_printf(&names, "%s%s", i ? ", " : "", metadata->partition_columns[i]);
    mr_options_error(request->options, "partitionBy", err, "%s is partitioned by %s",
                     request->table, names.size ? names.data : "nothing");
    mr_bytes_reset(&names);
    if (err)
        mr_error_hint(err, "leave partitionBy out, or overwrite with overwriteSchema");
    return MR_CONFIG;
}

/* ---- metadata ---- */

static const char *schema_text(const struct mr_schema *schema, struct mr_arena *arena,
                               struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, (size_t)1 << 28);
    delta_put_schema(&text, schema);
    char *copy = mr_bytes_status(&text, err) == MR_OK ? mr_arena_strdup(arena, text.data) : NULL;
    mr_bytes_reset(&text);
    return copy;
}

static enum mr_status new_table(const struct delta_target_request *request,
                                const struct mr_schema *storable, struct mr_arena *arena,
                                struct delta_target *out, struct mr_error *err)
{
    char uuid[40];
    delta_random_uuid(uuid);
    struct delta_metadata *metadata = mr_arena_calloc(arena, 1, sizeof *metadata);
    if (!metadata)
        return mr_error_nomem(err);
    MR_TRY(delta_schema_check_names(storable, err));
    MR_TRY(wanted_partitions(request, storable, arena, &metadata->partition_columns,
                             &metadata->npartition_columns, err));
    metadata->id = mr_arena_strdup(arena, uuid);
    metadata->created_millis = mr_clock_wall_micros() / 1000;
    metadata->schema_json = schema_text(storable, arena, err);
    if (!metadata->id || !metadata->schema_json)
        return mr_error_nomem(err);
    out->metadata = metadata;
    out->new_metadata = true;
    return delta_schema_read(arena, metadata, err);
}

/* The properties with another maxColumnId. */
static enum mr_status with_max_id(const struct delta_metadata *metadata, int64_t max_id,
                                  struct mr_arena *arena, const struct delta_pair **out,
                                  struct mr_error *err)
{
    int count = metadata->nconfiguration;
    struct delta_pair *pairs = mr_arena_calloc(arena, (size_t)count + 1, sizeof *pairs);
    if (!pairs)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++) {
        pairs[i] = metadata->configuration[i];
        if (strcmp(pairs[i].name, MAX_ID_PROPERTY) != 0)
            continue;
        pairs[i].value = mr_arena_printf(arena, "%" PRId64, max_id);
        if (!pairs[i].value)
            return mr_error_nomem(err);
    }
    *out = pairs;
    return MR_OK;
}

/* `base` with the columns that `storable` has more. */
static enum mr_status widen(const struct delta_metadata *base, const struct mr_schema *storable,
                            struct mr_arena *arena, struct delta_target *out, struct mr_error *err)
{
    const char *max_id = delta_property(base, MAX_ID_PROPERTY);
    int64_t next_id = 0;
    int added;
    char seed[40];
    struct mr_bytes text;
    if (base->mapping != DELTA_MAPPING_NONE &&
        (!max_id || !mr_text_to_int64(mr_slice_of(max_id), true, &next_id)))
        return mr_error_data(err, MR_SINK, "the table maps columns and has no " MAX_ID_PROPERTY);
    next_id++;
    delta_random_uuid(seed);
    mr_bytes_init(&text, (size_t)1 << 28);
    enum mr_status status =
        delta_put_merged_schema(&text, base, storable, seed, &next_id, &added, err);
    const char *json = status == MR_OK ? mr_arena_strdup(arena, text.data) : "";
    mr_bytes_reset(&text);
    MR_TRY(status);
    if (!json)
        return mr_error_nomem(err);
    out->metadata = base;
    if (added == 0)
        return MR_OK;
    const struct delta_pair *pairs = base->configuration;
    if (base->mapping != DELTA_MAPPING_NONE)
        MR_TRY(with_max_id(base, next_id - 1, arena, &pairs, err));
    out->new_metadata = true;
    return delta_metadata_with(base, json, pairs, base->nconfiguration, arena, &out->metadata, err);
}

/* overwriteSchema: the same table, id and properties, with the rows' columns. */
static enum mr_status replace_schema(const struct delta_target_request *request,
                                     const struct mr_schema *storable, struct mr_arena *arena,
                                     struct delta_target *out, struct mr_error *err)
{
    struct delta_metadata *empty = mr_arena_calloc(arena, 1, sizeof *empty);
    if (!empty)
        return mr_error_nomem(err);
    *empty = request->snapshot->metadata;
    if (empty->mapping == DELTA_MAPPING_NONE)
        MR_TRY(delta_schema_check_names(storable, err));
    empty->schema_json = "{\"type\":\"struct\",\"fields\":[]}";
    MR_TRY(wanted_partitions(request, storable, arena, &empty->partition_columns,
                             &empty->npartition_columns, err));
    empty->schema = empty->physical = mr_schema_new(arena, NULL, 0);
    if (!empty->schema)
        return mr_error_nomem(err);
    MR_TRY(widen(empty, storable, arena, out, err));
    out->new_metadata = true;
    return MR_OK;
}

static enum mr_status check_columns(const struct delta_target_request *request, bool merge,
                                    struct mr_error *err)
{
    const struct mr_schema *schema = request->schema;
    const struct mr_schema *table = request->snapshot->metadata.schema;
    struct mr_bytes extra;
    mr_bytes_init(&extra, 4096);
    for (int i = 0; i < schema->nfields && !merge; i++) {
        if (!find(table->fields, table->nfields, schema->fields[i].name))
            mr_bytes_printf(&extra, "%s%s", extra.size ? ", " : "", schema->fields[i].name);
    }
    if (extra.size || extra.status != MR_OK) {
        mr_error_config(err, "columns that %s does not have: %s", request->table,
                        extra.size ? extra.data : "too many to name");
        mr_bytes_reset(&extra);
        if (err)
            mr_error_hint(err, "\"mergeSchema\": true adds them to the table");
        return MR_CONFIG;
    }
    mr_bytes_reset(&extra);
    for (int i = 0; i < table->nfields; i++) {
        if (!table->fields[i].nullable &&
            !find(schema->fields, schema->nfields, table->fields[i].name))
            return mr_error_config(err, "column '%s' is NOT NULL in %s, and the rows lack it",
                                   table->fields[i].name, request->table);
    }
    return MR_OK;
}

/* What a NULL column is in the table; else new fields would have no type. */
static enum mr_status storable_input(const struct delta_target_request *request,
                                     struct mr_arena *arena, const struct mr_schema **out,
                                     struct mr_error *err)
{
    const struct mr_schema *schema = request->schema;
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)schema->nfields + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    for (int i = 0; i < schema->nfields; i++) {
        fields[i] = schema->fields[i];
        if (fields[i].type->id != MR_TYPE_NULL || !request->snapshot)
            continue;
        const struct mr_schema *table = request->snapshot->metadata.schema;
        const struct mr_field *known = find(table->fields, table->nfields, fields[i].name);
        if (known)
            fields[i].type = known->type;
    }
    struct mr_schema copy = {.nfields = schema->nfields, .fields = fields};
    return delta_schema_storable(&copy, arena, out, err);
}

enum mr_status delta_target_resolve(const struct delta_target_request *request,
                                    struct mr_arena *arena, struct delta_target *out,
                                    struct mr_error *err)
{
    const struct mr_schema *storable;
    bool merge = mr_options_boolean(request->options, "mergeSchema", false);
    bool replace = mr_options_boolean(request->options, "overwriteSchema", false);
    *out = (struct delta_target){.table = request->table, .snapshot = request->snapshot};
    MR_TRY(storable_input(request, arena, &storable, err));
    if (!request->snapshot) {
        MR_TRY(new_table(request, storable, arena, out, err));
    } else if (replace && request->overwrite) {
        MR_TRY(replace_schema(request, storable, arena, out, err));
    } else {
        MR_TRY(check_partitions(request, err));
        MR_TRY(check_columns(request, merge, err));
        out->metadata = &request->snapshot->metadata;
        if (merge)
            MR_TRY(widen(&request->snapshot->metadata, storable, arena, out, err));
    }
    return choose_protocol(request, arena, out, err);
}
