/*
 * avro_resolve.c - writer's schema, reader's schema and columns -> a plan.
 *
 * The plan is a tree of nodes in the order of the bytes: a node takes one datum off the wire and appends one row to the
 * builder of its slot, or skips it. Fields that the writer lacks come last, from their defaults or as NULL. A union that cannot be
 * resolved in one of its branches is an error only when that branch is met, as the specification says.
 *
 * A field is looked for by name among all, so a record of n fields costs n^2 comparisons once a file; the number of nodes is bounded,
 * and with it what a hostile schema can cost.
 */
#include "enc/avro_resolve.h"

#include "base/text.h"
#include "enc/avro_type.h"

#include <stdio.h>

#define MAX_NODES  200000
#define MAX_FIELDS 20000

struct avro_node *avro_node_new(struct avro_compiler *compiler, enum avro_op op,
                                const struct avro_value *value, int children)
{
    if (compiler->nodes++ > MAX_NODES)
        return NULL;
    struct avro_node *node = mr_arena_calloc(compiler->arena, 1, sizeof *node);
    if (!node)
        return NULL;
    node->op = op;
    node->count = children;
    node->children = mr_arena_calloc(compiler->arena, (size_t)children + 1, sizeof(void *));
    if (value) {
        node->slot = value->slot;
        node->not_null = !value->nullable && value->type->id != MR_TYPE_NULL;
        node->path = value->path;
    }
    return node->children ? node : NULL;
}

static const char *kind_text(const struct mr_avro_schema *schema, char *out, size_t capacity)
{
    if (schema->name)
        snprintf(out, capacity, "%s %s", mr_avro_kind_name(schema->kind), schema->name);
    else
        snprintf(out, capacity, "%s", mr_avro_kind_name(schema->kind));
    return out;
}

enum mr_status avro_unresolved(struct avro_compiler *compiler, const struct avro_value *value)
{
    char writer[160], reader[160], type[160];
    if (!compiler->err)
        return MR_CONFIG;
    kind_text(value->writer, writer, sizeof writer);
    kind_text(value->reader, reader, sizeof reader);
    mr_type_text(value->type, type, sizeof type);
    if (value->writer->kind == MR_AVRO_NULL && value->reader->kind == MR_AVRO_NULL)
        mr_error_config(compiler->err, "field %s: null in a column that may not be NULL",
                        value->path);
    else if (avro_match(value->writer, value->reader, compiler->lenient) == AVRO_MATCH_NONE)
        mr_error_config(compiler->err, "field %s: written as %s, cannot be read as %s", value->path,
                        writer, reader);
    else
        mr_error_config(compiler->err, "field %s: Avro %s cannot be a column of type %s",
                        value->path, reader, type);
    if (value->writer->name && value->writer->kind == value->reader->kind)
        mr_error_hint(compiler->err,
                      "names count: an alias \"%s\" in the reader's schema allows it",
                      value->writer->name);
    return MR_CONFIG;
}

int avro_slots(const struct mr_type *type)
{
    int slots = 1;
    int children = type->id == MR_TYPE_STRUCT ? type->nfields : mr_type_is_nested(type);
    for (int i = 0; i < children; i++)
        slots += avro_slots(mr_type_child(type, i));
    return slots;
}

/* ---- skipping ---- */

static enum mr_status skip_children(struct avro_compiler *compiler,
                                    const struct mr_avro_schema *schema, struct avro_node *node)
{
    for (int i = 0; i < node->count; i++) {
        bool record = schema->kind == MR_AVRO_RECORD;
        MR_TRY(avro_skip(compiler, record ? schema->fields[i].schema : schema->branches[i],
                         &node->children[i]));
    }
    return MR_OK;
}

enum mr_status avro_skip(struct avro_compiler *compiler, const struct mr_avro_schema *schema,
                         const struct avro_node **out)
{
    static const struct {
        enum avro_op op;
        int size;
    } ways[] = {
        [MR_AVRO_NULL] = {AVRO_SKIP_RAW, 0},      [MR_AVRO_BOOLEAN] = {AVRO_SKIP_RAW, 1},
        [MR_AVRO_INT] = {AVRO_SKIP_VARINT, 0},    [MR_AVRO_LONG] = {AVRO_SKIP_VARINT, 0},
        [MR_AVRO_FLOAT] = {AVRO_SKIP_RAW, 4},     [MR_AVRO_DOUBLE] = {AVRO_SKIP_RAW, 8},
        [MR_AVRO_BYTES] = {AVRO_SKIP_BYTES, 0},   [MR_AVRO_STRING] = {AVRO_SKIP_BYTES, 0},
        [MR_AVRO_RECORD] = {AVRO_SKIP_RECORD, 0}, [MR_AVRO_ENUM] = {AVRO_SKIP_VARINT, 0},
        [MR_AVRO_ARRAY] = {AVRO_SKIP_LIST, 0},    [MR_AVRO_MAP] = {AVRO_SKIP_LIST, 0},
        [MR_AVRO_UNION] = {AVRO_SKIP_UNION, 0},   [MR_AVRO_FIXED] = {AVRO_SKIP_RAW, 0},
    };
    struct mr_slice key = {(const char *)&schema, sizeof schema};
    *out = mr_map_get(&compiler->skips, key);
    if (*out)
        return MR_OK;
    bool nested = schema->kind == MR_AVRO_RECORD || schema->kind == MR_AVRO_ARRAY ||
                  schema->kind == MR_AVRO_MAP || schema->kind == MR_AVRO_UNION;
    struct avro_node *node =
        avro_node_new(compiler, ways[schema->kind].op, NULL, nested ? schema->count : 0);
    if (!node)
        return mr_error_nomem(compiler->err);
    node->size = schema->kind == MR_AVRO_FIXED ? schema->size : ways[schema->kind].size;
    node->keyed = schema->kind == MR_AVRO_MAP;
    node->empty = schema->kind == MR_AVRO_ARRAY && schema->branches[0]->empty;
    node->path = mr_avro_name(schema);
    MR_TRY(mr_map_put(&compiler->skips, key, node, compiler->err));
    *out = node;
    return skip_children(compiler, schema, node);
}

/* ---- values ---- */

static enum mr_status compile(struct avro_compiler *compiler, const struct avro_value *value,
                              const struct avro_node **out);

static enum mr_status compile_list(struct avro_compiler *compiler, const struct avro_value *value,
                                   const struct avro_node **out)
{
    const struct mr_type *type = value->type;
    bool entries = value->reader->logical == MR_AVRO_KEY_VALUES && type->id == MR_TYPE_MAP;
    if (type->id != MR_TYPE_LIST && !entries)
        return avro_unresolved(compiler, value);
    struct avro_node *node = avro_node_new(compiler, AVRO_LIST, value, 1);
    if (!node)
        return mr_error_nomem(compiler->err);
    struct avro_value element = {.writer = value->writer->branches[0],
                                 .reader = value->reader->branches[0],
                                 .type = mr_type_child(type, 0),
                                 .slot = value->slot + 1,
                                 .nullable = !entries && type->fields[0].nullable,
                                 .path = value->path};
    node->empty = element.writer->empty;
    *out = node;
    return compile(compiler, &element, &node->children[0]);
}

static enum mr_status compile_map(struct avro_compiler *compiler, const struct avro_value *value,
                                  const struct avro_node **out)
{
    const struct mr_type *type = value->type;
    if (type->id != MR_TYPE_MAP || !mr_type_is_string(type->fields[0].type))
        return avro_unresolved(compiler, value);
    struct avro_node *node = avro_node_new(compiler, AVRO_MAP, value, 2);
    if (!node)
        return mr_error_nomem(compiler->err);
    /* builders: the map, its struct, the key, the value */
    struct avro_value key = {.type = type->fields[0].type,
                             .slot = value->slot + 2,
                             .path = value->path};
    struct avro_value item = {.writer = value->writer->branches[0],
                              .reader = value->reader->branches[0],
                              .type = type->fields[1].type,
                              .slot = value->slot + 3,
                              .nullable = type->fields[1].nullable,
                              .path = value->path};
    node->children[0] = avro_node_new(compiler, AVRO_TEXT, &key, 0);
    *out = node;
    if (!node->children[0])
        return mr_error_nomem(compiler->err);
    return compile(compiler, &item, &node->children[1]);
}

/* The columns or fields that a record goes to. */
struct target {
    const struct mr_field *fields;
    int count;
    int slot; /* of the first */
    const char *path;
};

/* The reader's field that a column is, -1 = it has none. `guess` is looked at first. */
static int find_read(const struct mr_avro_schema *reader, const char *name, int guess)
{
    if (guess < reader->count && strcmp(name, reader->fields[guess].name) == 0)
        return guess;
    for (int j = 0; j < reader->count; j++)
        if (strcmp(name, reader->fields[j].name) == 0)
            return j;
    for (int j = 0; j < reader->count; j++)
        if (mr_text_equal_nocase(name, reader->fields[j].name))
            return j;
    return -1;
}

static const char *path_of(struct avro_compiler *compiler, const char *outer, const char *name)
{
    return outer ? mr_arena_printf(compiler->arena, "%s.%s", outer, name)
                 : mr_arena_strdup(compiler->arena, name);
}

static enum mr_status compile_default(struct avro_compiler *compiler,
                                      const struct mr_avro_field *field, struct avro_value *value,
                                      const struct avro_node **out)
{
    if (!value->type && compiler->partial)
        return MR_OK;
    if (!field->has_default || !field->default_value.data) {
        mr_error_config(compiler->err,
                        field->has_default
                            ? "field %s: it was not written, and its default does not fit its type"
                            : "field %s: it was not written, and has no default",
                        value->path);
        return MR_CONFIG;
    }
    if (!value->type)
        return MR_OK;
    struct avro_node *node = avro_node_new(compiler, AVRO_DEFAULT, value, 1);
    if (!node)
        return mr_error_nomem(compiler->err);
    node->data = field->default_value;
    value->writer = value->reader = field->schema;
    *out = node;
    return compile(compiler, value, &node->children[0]);
}

static enum mr_status compile_absent(struct avro_compiler *compiler, const struct avro_value *value,
                                     const struct avro_node **out)
{
    *out = avro_node_new(compiler, AVRO_NULL, value, 0);
    if (!*out)
        return mr_error_nomem(compiler->err);
    if (value->nullable || value->type->id == MR_TYPE_NULL)
        return MR_OK;
    return mr_error_set(compiler->err, MR_SOURCE, MR_CLASS_DATA,
                        "column %s, which may not be NULL, is not in the Avro schema", value->path);
}

/* Fields that the reader has, in the order of the reader's schema: by the writer's data or by default. */
static enum mr_status compile_reads(struct avro_compiler *compiler,
                                    const struct mr_avro_schema *writer,
                                    const struct mr_avro_schema *reader,
                                    const struct target *target, const int *wanted,
                                    const int *slots, const struct avro_node **nodes)
{
    int extra = writer->count;
    for (int j = 0; j < reader->count; j++) {
        const struct mr_avro_field *field = &reader->fields[j];
        int from = writer == reader ? j : avro_field_of(writer, field);
        int to = wanted[j] - 1;
        struct avro_value value = {.reader = field->schema,
                                   .path = path_of(compiler, target->path, field->name)};
        if (!value.path)
            return mr_error_nomem(compiler->err);
        if (to >= 0) {
            value.type = target->fields[to].type;
            value.nullable = target->fields[to].nullable;
            value.slot = slots[to];
        }
        if (from >= 0 && nodes[from])
            return mr_error_config(compiler->err, "field %s: two fields are read from '%s'",
                                   value.path, writer->fields[from].name);
        if (from < 0) {
            MR_TRY(compile_default(compiler, field, &value, &nodes[extra]));
            extra += nodes[extra] != NULL;
        } else if (to >= 0) {
            value.writer = writer->fields[from].schema;
            MR_TRY(compile(compiler, &value, &nodes[from]));
        }
    }
    return MR_OK;
}

/* nodes: in the order of the wire, then defaults, then columns that nobody has; none is NULL. */
static enum mr_status compile_fields(struct avro_compiler *compiler,
                                     const struct mr_avro_schema *writer,
                                     const struct mr_avro_schema *reader,
                                     const struct target *target, const struct avro_node ***out,
                                     int *count)
{
    if (reader->count > MAX_FIELDS || writer->count > MAX_FIELDS || target->count > MAX_FIELDS)
        return mr_error_config(compiler->err, "an Avro record of more than 20000 fields");
    size_t room = (size_t)writer->count + (size_t)reader->count + (size_t)target->count + 1;
    const struct avro_node **nodes = mr_arena_calloc(compiler->arena, room, sizeof(void *));
    int *reads = mr_arena_calloc(compiler->arena, (size_t)target->count + 1, sizeof *reads);
    int *slots = mr_arena_calloc(compiler->arena, (size_t)target->count + 1, sizeof *slots);
    /* wanted[j] - 1 = the column of reader's field j */
    int *wanted = mr_arena_calloc(compiler->arena, (size_t)reader->count + 1, sizeof *wanted);
    if (!nodes || !reads || !slots || !wanted)
        return mr_error_nomem(compiler->err);
    int next = target->slot;
    for (int i = 0; i < target->count; i++) {
        slots[i] = next;
        next += avro_slots(target->fields[i].type);
        reads[i] = find_read(reader, target->fields[i].name, i);
        if (reads[i] >= 0 && wanted[reads[i]])
            return mr_error_config(compiler->err, "columns %s and %s are the same Avro field",
                                   target->fields[wanted[reads[i]] - 1].name,
                                   target->fields[i].name);
        if (reads[i] >= 0)
            wanted[reads[i]] = i + 1;
    }
    MR_TRY(compile_reads(compiler, writer, reader, target, wanted, slots, nodes));
    for (int i = 0; i < writer->count; i++)
        if (!nodes[i])
            MR_TRY(avro_skip(compiler, writer->fields[i].schema, &nodes[i]));
    int total = writer->count;
    while (nodes[total])
        total++;
    for (int i = 0; i < target->count; i++) {
        if (reads[i] >= 0)
            continue;
        struct avro_value value = {.type = target->fields[i].type,
                                   .nullable = target->fields[i].nullable,
                                   .slot = slots[i],
                                   .path = path_of(compiler, target->path, target->fields[i].name)};
        MR_TRY(compile_absent(compiler, &value, &nodes[total++]));
    }
    *out = nodes;
    *count = total;
    return MR_OK;
}

static enum mr_status compile_record(struct avro_compiler *compiler, const struct avro_value *value,
                                     const struct avro_node **out)
{
    struct target target = {.slot = value->slot + 1, .path = value->path};
    if (value->type->id != MR_TYPE_STRUCT)
        return avro_unresolved(compiler, value);
    /* The one child of a map is a struct too. */
    target.fields = value->type->fields;
    target.count = value->type->nfields;
    struct avro_node *node = avro_node_new(compiler, AVRO_RECORD, value, 0);
    if (!node)
        return mr_error_nomem(compiler->err);
    *out = node;
    return compile_fields(compiler, value->writer, value->reader, &target, &node->children,
                          &node->count);
}

/* The reader has a union, the writer one type: into the column of the branch that it goes to. */
static enum mr_status compile_branch(struct avro_compiler *compiler, const struct avro_value *value,
                                     int branch, const struct avro_node **out)
{
    const struct mr_avro_schema *reader = value->reader;
    struct avro_value inner = *value;
    inner.reader = reader->branches[branch];
    bool single = mr_avro_nullable_of(reader) || reader->count == 1 || mr_avro_number_union(reader);
    int member = mr_avro_member(reader, branch);
    if (single && mr_avro_number_union(reader) && member >= 0)
        inner.reader = mr_avro_number_union(reader);
    if (single || member < 0)
        return compile(compiler, &inner, out);
    if (value->type->id != MR_TYPE_STRUCT || member >= value->type->nfields)
        return avro_unresolved(compiler, value);
    struct avro_node *node = avro_node_new(compiler, AVRO_MEMBER, value, 1);
    if (!node)
        return mr_error_nomem(compiler->err);
    node->size = member;
    inner.type = value->type->fields[member].type;
    inner.nullable = value->type->fields[member].nullable;
    inner.slot = value->slot + 1;
    for (int i = 0; i < member; i++)
        inner.slot += avro_slots(value->type->fields[i].type);
    *out = node;
    return compile(compiler, &inner, &node->children[0]);
}

/* One branch of the writer's union. What cannot be resolved fails only if it is met. */
static enum mr_status compile_writer_branch(struct avro_compiler *compiler,
                                            const struct avro_value *value, int branch,
                                            const struct avro_node **out)
{
    struct avro_value inner = *value;
    inner.writer = value->writer->branches[branch];
    enum mr_status status;
    if (value->writer == value->reader)
        status = compile_branch(compiler, &inner, branch, out);
    else
        status = compile(compiler, &inner, out);
    if (status != MR_CONFIG)
        return status;
    struct avro_node *node = avro_node_new(compiler, AVRO_FAIL, value, 0);
    if (!node)
        return mr_error_nomem(compiler->err);
    const char *why = compiler->err ? compiler->err->message : "";
    node->data.data = mr_arena_strdup(compiler->arena, why);
    *out = node;
    return node->data.data ? MR_OK : mr_error_nomem(compiler->err);
}

static enum mr_status compile_union(struct avro_compiler *compiler, const struct avro_value *value,
                                    const struct avro_node **out)
{
    const struct mr_avro_schema *writer = value->writer;
    struct avro_node *node = avro_node_new(compiler, AVRO_UNION, value, writer->count);
    if (!node)
        return mr_error_nomem(compiler->err);
    bool any = false;
    for (int i = 0; i < writer->count; i++) {
        MR_TRY(compile_writer_branch(compiler, value, i, &node->children[i]));
        any = any || node->children[i]->op != AVRO_FAIL;
    }
    if (!any)
        return MR_CONFIG; /* as the last branch said */
    if (compiler->err)
        *compiler->err = (struct mr_error){0};
    int null = mr_avro_null_branch(writer);
    if (writer->count == 2 && null >= 0 && node->children[null]->op == AVRO_NULL &&
        node->children[null]->slot == value->slot) {
        node->op = AVRO_NULLABLE;
        node->null_index = null;
        node->children[0] = node->children[1 - null];
    }
    *out = node;
    return MR_OK;
}

/* A column of only NULL has no builders worth filling: the data are skipped where they can be. */
static enum mr_status compile(struct avro_compiler *compiler, const struct avro_value *value,
                              const struct avro_node **out)
{
    if (compiler->nodes > MAX_NODES)
        return mr_error_config(compiler->err, "the Avro schema is too large to be resolved");
    if (value->writer->kind == MR_AVRO_UNION)
        return compile_union(compiler, value, out);
    if (value->reader->kind == MR_AVRO_UNION) {
        int branch = avro_branch(value->writer, value->reader, compiler->lenient);
        if (branch < 0)
            return avro_unresolved(compiler, value);
        return compile_branch(compiler, value, branch, out);
    }
    if (avro_match(value->writer, value->reader, compiler->lenient) == AVRO_MATCH_NONE)
        return avro_unresolved(compiler, value);
    switch (value->writer->kind) {
    case MR_AVRO_RECORD:
        return compile_record(compiler, value, out);
    case MR_AVRO_ARRAY:
        return compile_list(compiler, value, out);
    case MR_AVRO_MAP:
        return compile_map(compiler, value, out);
    default:
        return avro_compile_leaf(compiler, value, out);
    }
}

/* ---- the root ---- */

static enum mr_status compile_root(struct avro_compiler *compiler,
                                   const struct mr_avro_schema *writer,
                                   const struct mr_avro_schema *reader, struct mr_avro_plan *plan)
{
    struct target target = {.fields = plan->columns->fields, .count = plan->columns->nfields};
    if (reader->kind == MR_AVRO_RECORD && writer->kind == MR_AVRO_RECORD)
        return compile_fields(compiler, writer, reader, &target, &plan->nodes, &plan->count);
    /* Not a record: as if it were the field "value" of one. */
    struct mr_avro_field *fields = mr_arena_calloc(compiler->arena, 2, sizeof *fields);
    struct mr_avro_schema *records = mr_arena_calloc(compiler->arena, 2, sizeof *records);
    if (!fields || !records)
        return mr_error_nomem(compiler->err);
    fields[0] = (struct mr_avro_field){.name = "value", .schema = writer};
    fields[1] = (struct mr_avro_field){.name = "value", .schema = reader};
    for (int i = 0; i < 2; i++)
        records[i] = (struct mr_avro_schema){.kind = MR_AVRO_RECORD,
                                             .name = "value",
                                             .count = 1,
                                             .fields = &fields[i]};
    return compile_fields(compiler, &records[0], &records[1], &target, &plan->nodes, &plan->count);
}

enum mr_status mr_avro_resolve(struct mr_arena *arena, const struct mr_avro_resolution *resolution,
                               const struct mr_avro_plan **out, struct mr_error *err)
{
    struct mr_error own = {0};
    struct avro_compiler compiler = {.arena = arena,
                                     .lenient = resolution->lenient,
                                     .partial = resolution->partial,
                                     .err = err ? err : &own};
    const struct mr_avro_schema *writer = resolution->writer->root;
    const struct mr_avro_schema *reader = resolution->reader ? resolution->reader->root : writer;
    struct mr_avro_plan *plan = mr_arena_calloc(arena, 1, sizeof *plan);
    if (!plan)
        return mr_error_nomem(err);
    plan->columns = resolution->columns;
    if (!plan->columns)
        MR_TRY(mr_avro_columns(arena, reader, &plan->columns, err));
    for (int i = 0; i < plan->columns->nfields; i++)
        plan->slots += avro_slots(plan->columns->fields[i].type);
    plan->empty_rows = writer->empty;
    mr_map_init(&compiler.skips, false);
    enum mr_status status = compile_root(&compiler, writer, reader, plan);
    mr_map_reset(&compiler.skips);
    if (status == MR_NOMEM && compiler.nodes > MAX_NODES)
        return mr_error_config(err, "the Avro schema is too large to be resolved");
    if (status == MR_OK)
        *out = plan;
    return status;
}

const struct mr_schema *mr_avro_plan_columns(const struct mr_avro_plan *plan)
{
    return plan->columns;
}

bool mr_avro_plan_empty_rows(const struct mr_avro_plan *plan)
{
    return plan->empty_rows;
}
