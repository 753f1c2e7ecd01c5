/*
 * verify_read.c - reads a target through our own sources.
 *
 * A plan is made of steps that no file holds (read_back.h): the source that reads what the load writes; the condition
 * of a replaceWhere; and a projection to the columns of the load, in their order and with their types. It is bound twice: first to learn
 * which types the target has, then with the casts. So the mapping of types is that of the sources
 * and of CAST, and there is no second one to keep true.
 *
 *   target    loaded     compared
 *   integer   bigint     as it is: an integer's hash is that of its value
 *   numeric   decimal    TRY_CAST to the loaded type; what does not fit is NULL, and differs
 *   jsonb     struct     not: the text is another, whatever the value
 */
#include "run/verify_read.h"

#include "run/read_back.h"

#include <string.h>

struct reader {
    struct mr_read_back back;
    const struct mr_ledger *ledger;
    struct mr_verify_reading *out;
    struct mr_content_spec counted;
    bool json_files;
};

/* ---- steps ---- */

static struct mr_arena *arena_of(const struct reader *reader)
{
    return &reader->back.session->arena;
}

static bool is_source(const struct reader *reader, const char *method)
{
    return strcmp(mr_read_back_method(reader->back.load), method) == 0;
}

/* The columns that were loaded, for a source of files: Parquet keeps an interval as three integers. */
static enum mr_status set_schema(struct reader *reader, struct mr_options *options,
                                 struct mr_error *err)
{
    const struct mr_schema *loaded = reader->out->schema;
    struct mr_arena *arena = arena_of(reader);
    const struct mr_type *parts = NULL;
    bool parquet = strcmp(mr_options_text(reader->back.load->options, "format"), "parquet") == 0;
    MR_TRY(mr_type_parse(arena, "struct<months:int,days:int,microseconds:bigint>", &parts, err));
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)loaded->nfields + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    for (int i = 0; i < loaded->nfields; i++) {
        fields[i] = loaded->fields[i];
        if (parquet && fields[i].type->id == MR_TYPE_INTERVAL)
            fields[i].type = parts;
    }
    struct mr_schema schema = {.nfields = loaded->nfields, .fields = fields};
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_schema_format(&schema, &text);
    enum mr_status status = mr_bytes_status(&text, err);
    if (status == MR_OK)
        status = mr_options_set_text(arena, options, "schema", text.data ? text.data : "", err);
    mr_bytes_reset(&text);
    return status;
}

static enum mr_status add_source(struct reader *reader, bool with_schema, struct mr_error *err)
{
    struct mr_options *options;
    MR_TRY(mr_read_back_source(&reader->back, &options, err));
    if (with_schema)
        MR_TRY(set_schema(reader, options, err));
    if (reader->ledger->scope == MR_LEDGER_WHERE && is_source(reader, "fromPostgres"))
        MR_TRY(mr_options_set_text(arena_of(reader), options, "where", reader->ledger->text, err));
    return MR_OK;
}

static enum mr_status add_filter(struct reader *reader, struct mr_error *err)
{
    struct mr_options *options;
    if (reader->ledger->scope != MR_LEDGER_WHERE || is_source(reader, "fromPostgres"))
        return MR_OK;
    MR_TRY(mr_read_back_step(&reader->back, "filterRows", &options, err));
    return mr_options_set_text(arena_of(reader), options, "condition", reader->ledger->text, err);
}

/* ---- types ---- */

/* Integers that stand for an interval. */
static bool is_interval(const struct mr_type *type)
{
    if (type->id == MR_TYPE_INTERVAL)
        return true;
    bool three = type->id == MR_TYPE_STRUCT && type->nfields == 3;
    for (int i = 0; three && i < 3; i++)
        three = mr_type_is_integer(type->fields[i].type);
    return three;
}

/* Does a value hash the same in both? */
static bool same_hash(const struct mr_type *a, const struct mr_type *b)
{
    if (mr_type_is_integer(a) && mr_type_is_integer(b))
        return true;
    if (mr_type_is_string(a) && mr_type_is_string(b))
        return true;
    bool float_a = a->id == MR_TYPE_FLOAT32 || a->id == MR_TYPE_FLOAT64;
    bool float_b = b->id == MR_TYPE_FLOAT32 || b->id == MR_TYPE_FLOAT64;
    if (float_a || float_b)
        return float_a && float_b;
    if (a->id == MR_TYPE_INTERVAL || b->id == MR_TYPE_INTERVAL)
        return is_interval(a) && is_interval(b);
    if (a->id != b->id)
        return false;
    if (a->id == MR_TYPE_DECIMAL)
        return a->scale == b->scale;
    if (!mr_type_is_nested(a))
        return true;
    if (a->nfields != b->nfields)
        return false;
    for (int i = 0; i < a->nfields; i++)
        if (!same_hash(a->fields[i].type, b->fields[i].type))
            return false;
    return true;
}

static bool names_text(const struct mr_ledger *ledger, const char *name)
{
    for (int i = 0; i < ledger->ntexts; i++)
        if (strcmp(ledger->texts[i], name) == 0)
            return true;
    return false;
}

/* Why a column of the target says nothing of the values that were loaded; or NULL. */
static const char *incomparable(const struct mr_ledger *ledger, const struct mr_field *loaded,
                                const struct mr_field *found, bool json_files)
{
    const char *origin = found->origin ? found->origin : "";
    bool nested = mr_type_is_nested(loaded->type) || mr_type_is_nested(found->type);
    if (strcmp(origin, "jsonb") == 0 && nested)
        return "kept as jsonb";
    if (strcmp(origin, "jsonb") == 0 && names_text(ledger, loaded->name))
        return "jsonb spells texts its own way";
    if (json_files && loaded->type->id == MR_TYPE_JSON)
        return "JSON files hold the value, not its text";
    if (same_hash(loaded->type, found->type))
        return NULL;
    if (nested || loaded->type->id == MR_TYPE_NULL || loaded->type->id == MR_TYPE_BINARY)
        return "its type is another";
    return NULL;
}

/* A value of the target as one of the loaded type: NULL when there is none that is the same. */
static void put_value(struct mr_bytes *out, const struct mr_type *type,
                      const struct mr_field *found)
{
    bool rounds = mr_type_is_numeric(type) || type->id == MR_TYPE_DATE;
    if (same_hash(type, found->type)) {
        mr_bytes_quoted(out, found->name, '`');
        return;
    }
    for (int i = rounds ? 0 : 1; i < 2; i++) {
        mr_bytes_text(out, i == 0 ? "CASE WHEN TRY_CAST(" : "TRY_CAST(");
        mr_bytes_quoted(out, found->name, '`');
        mr_bytes_text(out, " AS ");
        mr_type_format(type, out);
        mr_bytes_char(out, ')');
        if (i > 0)
            break;
        mr_bytes_text(out, " = ");
        mr_bytes_quoted(out, found->name, '`');
        mr_bytes_text(out, " THEN ");
    }
    mr_bytes_text(out, rounds ? " END" : "");
}

/* The expression of a column as it was loaded, of what the target has. */
static enum mr_status add_column(struct reader *reader, struct mr_options *options, int column,
                                 const struct mr_schema *target, struct mr_error *err)
{
    struct mr_verify_reading *out = reader->out;
    const struct mr_field *field = &out->schema->fields[column];
    int at = mr_schema_find(target, field->name);
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 20);
    out->missing[column] = at < 0;
    out->why[column] =
        at < 0 ? NULL
               : incomparable(reader->ledger, field, &target->fields[at], reader->json_files);
    if (at < 0 || out->why[column])
        mr_bytes_text(&text, "CAST(NULL AS string)");
    else
        put_value(&text, field->type, &target->fields[at]);
    enum mr_status status = mr_bytes_status(&text, err);
    if (status == MR_OK)
        status =
            mr_options_add_pair(arena_of(reader), options, "columns", field->name, text.data, err);
    mr_bytes_reset(&text);
    return status;
}

static enum mr_status add_projection(struct reader *reader, const struct mr_schema *target,
                                     struct mr_error *err)
{
    struct mr_options *options;
    MR_TRY(mr_read_back_step(&reader->back, "selectColumns", &options, err));
    for (int i = 0; i < reader->out->schema->nfields; i++)
        MR_TRY(add_column(reader, options, i, target, err));
    return mr_options_fill_defaults(arena_of(reader), options, err);
}

/* ---- plans ---- */

/* The columns that the target has, as our source reads them. */
static enum mr_status look(struct reader *reader, bool with_schema, const struct mr_schema **out,
                           struct mr_error *err)
{
    MR_TRY(add_source(reader, with_schema, err));
    MR_TRY(mr_read_back_plan(&reader->back, false, 0, err));
    *out = reader->back.plan->nodes[0].schema;
    return MR_OK;
}

/*
 * Files are read as what was loaded, if that can be: directories then have the right types, and files without rows
 * are no question. If not, as what they say they are; Avro in any case, whose types are fewer.
 */
static enum mr_status look_well(struct reader *reader, const struct mr_schema **out,
                                struct mr_error *err)
{
    struct mr_error first = {0};
    if (!is_source(reader, "fromFile") ||
        strcmp(mr_options_text(reader->back.load->options, "format"), "avro") == 0)
        return look(reader, false, out, err);
    enum mr_status status = look(reader, true, out, &first);
    if (status == MR_OK || status == MR_CANCELLED)
        return status;
    return look(reader, false, out, err);
}

static int column_of(const struct mr_schema *schema, const char *name)
{
    return name ? mr_schema_find(schema, name) : -1;
}

static enum mr_status find_all(struct reader *reader, const char *const *names, int count,
                               const int **out, struct mr_error *err)
{
    int *columns = mr_arena_calloc(arena_of(reader), (size_t)count + 1, sizeof *columns);
    if (!columns)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++) {
        columns[i] = mr_schema_find(reader->out->schema, names[i]);
        if (columns[i] < 0)
            return mr_error_internal(err, "the record of a load's content is damaged");
    }
    *out = columns;
    return MR_OK;
}

static enum mr_status count_as_loaded(struct reader *reader, struct mr_error *err)
{
    const struct mr_ledger *ledger = reader->ledger;
    struct mr_verify_reading *out = reader->out;
    reader->counted = (struct mr_content_spec){
        .ncolumns = out->schema->nfields,
        .range = column_of(out->schema, ledger->range),
        .npartitions = ledger->npartitions,
        .nkeys = ledger->nkeys,
        .skip = -1,
    };
    if (out->schema->nfields != ledger->content->ncolumns)
        return mr_error_internal(err, "the record of a load's content is damaged");
    MR_TRY(find_all(reader, ledger->partitions, ledger->npartitions, &reader->counted.partitions,
                    err));
    MR_TRY(find_all(reader, ledger->keys, ledger->nkeys, &reader->counted.keys, err));
    int range = reader->counted.range;
    if (range >= 0 && (out->missing[range] || out->why[range]))
        reader->counted.range = -1;
    MR_TRY(mr_content_new(out->schema->nfields, &out->content, err));
    return ledger->scope == MR_LEDGER_KEYS ? mr_content_fix_keys(out->content, ledger->content, err)
                                           : MR_OK;
}

static enum mr_status tap(void *context, struct mr_batch *batch, bool *enough, struct mr_error *err)
{
    struct reader *reader = context;
    (void)enough;
    return mr_content_add(reader->out->content, &reader->counted, batch, err);
}

static enum mr_status execute(struct reader *reader, struct mr_error *err)
{
    struct mr_exec_result result = {0};
    struct mr_exec_request request = {
        .plan = reader->back.plan,
        .tap_node = reader->back.plan->result,
        .tap = tap,
        .tap_context = reader,
        .only_segment = -1,
        .only_task = -1,
    };
    enum mr_status status = mr_exec_run(reader->back.session->engine, &request, &result, err);
    mr_exec_result_reset(&result);
    return status;
}

static enum mr_status read_rows(struct reader *reader, struct mr_error *err)
{
    const struct mr_schema *target = NULL;
    MR_TRY(look_well(reader, &target, err));
    MR_TRY(add_filter(reader, err));
    MR_TRY(add_projection(reader, target, err));
    MR_TRY(count_as_loaded(reader, err));
    MR_TRY(mr_read_back_plan(&reader->back, true, 0, err));
    return execute(reader, err);
}

enum mr_status mr_verify_read(struct mr_session *session, const struct mr_step_spec *load,
                              const struct mr_ledger *ledger, struct mr_verify_reading *out,
                              const char **why, struct mr_error *err)
{
    struct reader reader = {.ledger = ledger, .out = out};
    *out = (struct mr_verify_reading){0};
    *why = NULL;
    const char *method = mr_read_back_method(load);
    if (!method || strcmp(method, "fromKafka") == 0) { /* a topic has no columns */
        *why = "such targets cannot be read back";
        return MR_OK;
    }
    MR_TRY(mr_schema_parse(&session->arena, ledger->schema, &out->schema, err));
    size_t ncolumns = (size_t)out->schema->nfields + 1;
    out->why = mr_arena_calloc(&session->arena, ncolumns, sizeof *out->why);
    out->missing = mr_arena_calloc(&session->arena, ncolumns, sizeof *out->missing);
    if (!out->why || !out->missing)
        return mr_error_nomem(err);
    reader.json_files = strcmp(load->method->sink->name, "files") == 0 &&
                        strcmp(mr_options_text(load->options, "format"), "json") == 0;
    mr_read_back_init(&reader.back, session, load);
    enum mr_status status = read_rows(&reader, err);
    mr_read_back_reset(&reader.back);
    if (status == MR_OK)
        return MR_OK;
    mr_content_free(out->content);
    out->content = NULL;
    return status;
}
