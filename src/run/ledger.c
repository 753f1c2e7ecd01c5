/*
 * ledger.c - what the targets should hold, folded from what each load counted.
 *
 *   the load               what is known before           afterwards
 *   append                 ALL                            ALL, added
 *                          PARTITIONS                     PARTITIONS, added
 *                          KEYS                           KEYS as they were: the table keeps keys unique
 *                          other columns than before      ROWS
 *                          WHERE                          NONE: rows may have come into the condition
 *   overwrite, a new table anything                       ALL of this load
 *   overwrite by partition ALL, PARTITIONS                PARTITIONS, those of this load replaced
 *   replaceWhere           anything                       WHERE of this load
 *   upsert                 KEYS                           KEYS, those of this load replaced
 *                          anything else                  KEYS of this load
 *
 * Only what follows from counts is claimed. That an upsert replaced rows takes away from column sums
 * what nobody knows, so they end there; a replaceWhere says everything of what it replaced, and the
 * next one may replace part of that, so only the last counts.
 *
 * A note holds the whole ledger: "MRV1" and the fields of struct mr_ledger in order, content last.
 * All ledgers of a pipeline are stored again with every epoch, so that notes of older epochs can go;
 * targets whose last load is the longest ago are forgotten beyond 32 (a path with a date in it).
 */
#include "run/ledger.h"

#include <stdlib.h>

#define MOST_LEDGERS 32
#define NOTE_BYTES   ((size_t)4 << 20)

static const char magic[4] = {'M', 'R', 'V', '1'};

/* ---- options of the loads ---- */

static const char *text_option(const struct mr_step_spec *step, const char *name)
{
    const struct mr_options *options = step->options;
    const struct mr_option *row = mr_option_find(options->table, name);
    if (!row || strcmp(row->name, name) != 0 ||
        (row->type != MR_OPTION_STRING && row->type != MR_OPTION_ENUM))
        return NULL;
    return mr_options_text(options, name);
}

static bool is_option(const struct mr_step_spec *step, const char *name, const char *value)
{
    const char *text = text_option(step, name);
    return text && strcmp(text, value) == 0;
}

static const struct mr_option_value *list_option(const struct mr_step_spec *step, const char *name)
{
    const struct mr_option *row = mr_option_find(step->options->table, name);
    if (!row || strcmp(row->name, name) != 0 || row->type != MR_OPTION_STRINGS)
        return NULL;
    const struct mr_option_value *value = mr_options_get(step->options, name);
    return value->set && value->u.strings.count > 0 ? value : NULL;
}

static bool is_sink(const struct mr_step_spec *step, const char *name)
{
    return strcmp(step->method->sink->name, name) == 0;
}

const char *mr_ledger_target(const struct mr_step_spec *step, struct mr_arena *arena)
{
    static const char *const names[] = {"host", "database", "schema", "table", "bucket", "path"};
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 16);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = text_option(step, names[i]);
        if (value)
            mr_bytes_printf(&text, "%s%s", text.size ? "/" : "", value);
    }
    return mr_bytes_to_arena(&text, arena);
}

/* What a load does to what is known. */
enum effect { ADDS, REPLACES, REPLACES_PARTITIONS, REPLACES_WHERE, UPSERTS };

static enum effect effect_of(const struct mr_step_spec *step)
{
    const char *where = text_option(step, "replaceWhere");
    if (where && *where)
        return REPLACES_WHERE;
    if (is_option(step, "mode", "upsert"))
        return UPSERTS;
    if (is_option(step, "mode", "append"))
        return ADDS;
    if (is_option(step, "mode", "overwrite") &&
        is_option(step, "partitionOverwriteMode", "dynamic") &&
        (list_option(step, "partitionBy") || !is_sink(step, "files")))
        return REPLACES_PARTITIONS;
    return REPLACES;
}

/* ---- what is counted ---- */

static bool is_counted(const struct mr_plan_node *node)
{
    return node->step->type == MR_STEP_LOAD && node->step->method->sink == node->sink &&
           node->schema && !node->sink_info.skip;
}

/* An upsert of Delta gives the sink the places of old rows too, in two more columns. */
static int value_columns(const struct mr_schema *schema)
{
    int n = schema->nfields;
    bool places = n > 2 && strcmp(schema->fields[n - 2].name, "__file") == 0 &&
                  strcmp(schema->fields[n - 1].name, "__position") == 0;
    return places ? n - 2 : n;
}

/* Numbers that have no gaps as a rule are best for naming rows, then times, then texts. */
static int rank_of(const struct mr_field *field)
{
    if (!mr_content_has_ranges(field->type))
        return 0;
    int rank = 1;
    if (mr_type_integer_bits(field->type) >= 32)
        rank = 5;
    else if (field->type->id == MR_TYPE_DATE || field->type->id == MR_TYPE_TIMESTAMP ||
             field->type->id == MR_TYPE_TIMESTAMP_NTZ)
        rank = 3;
    else if (field->type->id == MR_TYPE_UUID)
        rank = 2;
    return 2 * rank + !field->nullable;
}

static int choose_range(const struct mr_schema *schema, int ncolumns, const char *key)
{
    int best = key ? mr_schema_find(schema, key) : -1;
    if (best >= 0 && best < ncolumns && rank_of(&schema->fields[best]) > 0)
        return best;
    best = -1;
    for (int i = 0; i < ncolumns; i++) {
        int rank = rank_of(&schema->fields[i]);
        if (rank > 0 && (best < 0 || rank > rank_of(&schema->fields[best])))
            best = i;
    }
    return best;
}

static enum mr_status find_columns(const struct mr_schema *schema,
                                   const struct mr_option_value *names, struct mr_arena *arena,
                                   const int **out, int *count, struct mr_error *err)
{
    *count = 0;
    if (!names)
        return MR_OK;
    int *columns = mr_arena_calloc(arena, (size_t)names->u.strings.count, sizeof *columns);
    if (!columns)
        return mr_error_nomem(err);
    for (int i = 0; i < names->u.strings.count; i++) {
        int column = mr_schema_find(schema, names->u.strings.items[i]);
        if (column >= 0)
            columns[(*count)++] = column;
    }
    *out = columns;
    return MR_OK;
}

static enum mr_status make_spec(const struct mr_plan_node *node, struct mr_arena *arena,
                                const struct mr_content_spec **out, struct mr_error *err)
{
    const struct mr_schema *schema = node->schema;
    struct mr_content_spec *spec = mr_arena_calloc(arena, 1, sizeof *spec);
    const struct mr_option_value *keys = NULL;
    if (!spec)
        return mr_error_nomem(err);
    if (effect_of(node->step) == UPSERTS)
        keys = list_option(node->step, "keys");
    spec->ncolumns = value_columns(schema);
    spec->skip = spec->ncolumns < schema->nfields ? spec->ncolumns : -1;
    spec->range = choose_range(schema, spec->ncolumns, keys ? keys->u.strings.items[0] : NULL);
    MR_TRY(find_columns(schema, list_option(node->step, "partitionBy"), arena, &spec->partitions,
                        &spec->npartitions, err));
    MR_TRY(find_columns(schema, keys, arena, &spec->keys, &spec->nkeys, err));
    *out = spec;
    return MR_OK;
}

enum mr_status mr_ledger_specs(struct mr_session *session,
                               const struct mr_content_spec *const **out, struct mr_error *err)
{
    const struct mr_plan *plan = session->plan;
    *out = NULL;
    if (!session->spec->verify)
        return MR_OK;
    const struct mr_content_spec **specs =
        mr_arena_calloc(&session->arena, (size_t)plan->nsinks + 1, sizeof *specs);
    if (!specs)
        return mr_error_nomem(err);
    for (int i = 0; i < plan->nsinks; i++) {
        const struct mr_plan_node *node = &plan->nodes[plan->sinks[i]];
        if (is_counted(node))
            MR_TRY(make_spec(node, &session->arena, &specs[i], err));
    }
    *out = specs;
    return MR_OK;
}

/* ---- bytes ---- */

static void put_texts(struct mr_bytes *out, const char *const *texts, int count)
{
    mr_bytes_varint(out, (uint64_t)count);
    for (int i = 0; i < count; i++)
        mr_bytes_lenpref_text(out, texts[i]);
}

static void encode(const struct mr_ledger *ledger, struct mr_bytes *out)
{
    mr_bytes_append(out, magic, sizeof magic);
    mr_bytes_lenpref_text(out, ledger->step);
    mr_bytes_lenpref_text(out, ledger->target);
    mr_bytes_u8(out, (uint8_t)ledger->scope);
    mr_bytes_lenpref_text(out, ledger->text);
    mr_bytes_varint(out, (uint64_t)ledger->first_epoch);
    mr_bytes_varint(out, (uint64_t)ledger->last_epoch);
    mr_bytes_varint(out, (uint64_t)ledger->loads);
    mr_bytes_lenpref_text(out, ledger->schema);
    mr_bytes_lenpref_text(out, ledger->range);
    put_texts(out, ledger->partitions, ledger->npartitions);
    put_texts(out, ledger->keys, ledger->nkeys);
    put_texts(out, ledger->texts, ledger->ntexts);
    mr_content_encode(ledger->content, out);
}

static const char *get_text(struct mr_byte_reader *reader, struct mr_arena *arena)
{
    const char *copy = mr_byte_reader_lenpref_text(reader, arena);
    if (!copy)
        reader->bad = true;
    return copy;
}

static const char *const *get_texts(struct mr_byte_reader *reader, struct mr_arena *arena,
                                    int *count)
{
    uint64_t n = mr_byte_reader_varint(reader);
    if (reader->bad || n > (uint64_t)(reader->end - reader->at))
        reader->bad = true;
    const char **texts = mr_arena_calloc(arena, reader->bad ? 1 : n + 1, sizeof *texts);
    *count = reader->bad || !texts ? 0 : (int)n;
    for (int i = 0; i < *count; i++)
        texts[i] = get_text(reader, arena);
    return texts;
}

static enum mr_status decode(const struct mr_note *note, struct mr_arena *arena,
                             struct mr_ledger *out, struct mr_error *err)
{
    struct mr_byte_reader reader;
    struct mr_slice bytes = note->bytes;
    if (bytes.size < sizeof magic || memcmp(bytes.data, magic, sizeof magic) != 0)
        return mr_error_internal(err, "the record of a load's content is not one");
    mr_byte_reader_init(&reader, bytes.data + sizeof magic, bytes.size - sizeof magic);
    out->name = note->name;
    out->step = get_text(&reader, arena);
    out->target = get_text(&reader, arena);
    out->scope = (enum mr_ledger_scope)mr_byte_reader_u8(&reader);
    out->text = get_text(&reader, arena);
    out->first_epoch = (int64_t)mr_byte_reader_varint(&reader);
    out->last_epoch = (int64_t)mr_byte_reader_varint(&reader);
    out->loads = (int64_t)mr_byte_reader_varint(&reader);
    out->schema = get_text(&reader, arena);
    out->range = get_text(&reader, arena);
    out->partitions = get_texts(&reader, arena, &out->npartitions);
    out->keys = get_texts(&reader, arena, &out->nkeys);
    out->texts = get_texts(&reader, arena, &out->ntexts);
    if (reader.bad || out->scope > MR_LEDGER_NONE)
        return mr_error_internal(err, "the record of a load's content is damaged");
    if (!*out->range)
        out->range = NULL;
    struct mr_slice rest = {(const char *)reader.at, (size_t)(reader.end - reader.at)};
    return mr_content_decode(rest, &out->content, err);
}

static void free_contents(struct mr_ledger *ledgers, int count)
{
    for (int i = 0; ledgers && i < count; i++)
        mr_content_free(ledgers[i].content);
}

/* The newest epoch up to `epoch` that has notes; -1 = none. A note without bytes was withdrawn (by an earlier version). */
static int64_t newest(const struct mr_note *notes, int count, int64_t epoch)
{
    int64_t found = -1;
    for (int i = 0; i < count; i++)
        if (notes[i].epoch <= epoch && notes[i].bytes.size > 0 && notes[i].epoch > found)
            found = notes[i].epoch;
    return found;
}

enum mr_status mr_ledger_load(struct mr_session *session, struct mr_state *state, const char *key,
                              int64_t epoch, struct mr_ledger **out, int *count,
                              struct mr_error *err)
{
    struct mr_note *notes = NULL;
    int nnotes = 0, found = 0;
    enum mr_status status = MR_OK;
    *out = NULL;
    *count = 0;
    MR_TRY(mr_state_notes(state, key, MR_NOTE_CONTENT, -1, &session->arena, &notes, &nnotes, err));
    int64_t last = newest(notes, nnotes, epoch);
    struct mr_ledger *ledgers =
        mr_arena_calloc(&session->arena, (size_t)nnotes + 1, sizeof *ledgers);
    if (!ledgers)
        return mr_error_nomem(err);
    for (int i = 0; i < nnotes && status == MR_OK; i++)
        if (notes[i].epoch == last && notes[i].bytes.size > 0)
            status = decode(&notes[i], &session->arena, &ledgers[found++], err);
    if (status != MR_OK) {
        free_contents(ledgers, found);
        return status;
    }
    *out = ledgers;
    *count = found;
    return MR_OK;
}

/* ---- folding ---- */

static bool same_texts(const char *const *a, int na, const char *const *b, int nb)
{
    if (na != nb)
        return false;
    for (int i = 0; i < na; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

/* Do sums of both mean the same? */
static bool same_form(const struct mr_ledger *a, const struct mr_ledger *b)
{
    bool same_range = !a->range == !b->range && (!a->range || strcmp(a->range, b->range) == 0);
    return strcmp(a->schema, b->schema) == 0 && same_range &&
           a->content->ncolumns == b->content->ncolumns &&
           same_texts(a->partitions, a->npartitions, b->partitions, b->npartitions) &&
           same_texts(a->keys, a->nkeys, b->keys, b->nkeys);
}

static void take_content(struct mr_ledger *into, struct mr_ledger *from)
{
    mr_content_free(into->content);
    into->content = from->content;
    from->content = NULL;
    into->schema = from->schema;
    into->range = from->range;
    into->partitions = from->partitions;
    into->npartitions = from->npartitions;
    into->keys = from->keys;
    into->nkeys = from->nkeys;
    into->texts = from->texts;
    into->ntexts = from->ntexts;
}

static void start_again(struct mr_ledger *into, struct mr_ledger *load, enum mr_ledger_scope scope)
{
    into->scope = scope;
    into->text = load->text;
    into->first_epoch = load->last_epoch;
    into->loads = 0;
    take_content(into, load);
}

static enum mr_status add(struct mr_ledger *into, struct mr_ledger *load, struct mr_error *err)
{
    int64_t rows = into->content->rows + load->content->rows;
    switch (into->scope) {
    case MR_LEDGER_KEYS:
    case MR_LEDGER_NONE:
        return MR_OK;
    case MR_LEDGER_WHERE:
        into->scope = MR_LEDGER_NONE;
        into->text = "rows were appended after a load with replaceWhere";
        return MR_OK;
    default:
        break;
    }
    if (into->scope == MR_LEDGER_ROWS) {
        into->content->rows = rows;
        return MR_OK;
    }
    if (same_form(into, load))
        return mr_content_merge(into->content, load->content, err);
    if (into->scope == MR_LEDGER_PARTITIONS) {
        into->scope = MR_LEDGER_NONE;
        into->text = "the columns changed after partitions were overwritten";
        return MR_OK;
    }
    into->scope = MR_LEDGER_ROWS;
    into->text = "the columns changed between loads";
    take_content(into, load);
    into->content->rows = rows;
    return MR_OK;
}

static enum mr_status replace_partitions(struct mr_ledger *into, struct mr_ledger *load,
                                         struct mr_error *err)
{
    bool kept = into->scope == MR_LEDGER_ALL || into->scope == MR_LEDGER_PARTITIONS;
    if (!kept || !same_form(into, load)) {
        start_again(into, load, MR_LEDGER_PARTITIONS);
        return MR_OK;
    }
    into->scope = MR_LEDGER_PARTITIONS;
    return mr_content_replace_partitions(into->content, load->content, err);
}

static enum mr_status upsert(struct mr_ledger *into, struct mr_ledger *load, struct mr_error *err)
{
    if (into->scope == MR_LEDGER_KEYS && same_form(into, load))
        return mr_content_merge(into->content, load->content, err);
    start_again(into, load, MR_LEDGER_KEYS);
    return MR_OK;
}

static enum mr_status fold(struct mr_ledger *into, struct mr_ledger *load, enum effect effect,
                           struct mr_error *err)
{
    enum mr_status status = MR_OK;
    if (load->scope == MR_LEDGER_NONE) {
        start_again(into, load, MR_LEDGER_NONE);
        into->loads = 1;
        into->last_epoch = load->last_epoch;
        return MR_OK;
    }
    switch (effect) {
    case ADDS:
        status = add(into, load, err);
        break;
    case REPLACES:
        start_again(into, load, MR_LEDGER_ALL);
        break;
    case REPLACES_PARTITIONS:
        status = replace_partitions(into, load, err);
        break;
    case REPLACES_WHERE:
        start_again(into, load, MR_LEDGER_WHERE);
        break;
    case UPSERTS:
        status = upsert(into, load, err);
        break;
    }
    if (into->scope == MR_LEDGER_PARTITIONS && into->content->partitions_full) {
        into->scope = MR_LEDGER_NONE;
        into->text = "partitions were overwritten, and there are too many to keep account of each";
    }
    into->loads++;
    into->last_epoch = load->last_epoch;
    return status;
}

static enum mr_ledger_scope first_scope(enum effect effect)
{
    return effect == REPLACES_PARTITIONS ? MR_LEDGER_PARTITIONS
           : effect == REPLACES_WHERE    ? MR_LEDGER_WHERE
           : effect == UPSERTS           ? MR_LEDGER_KEYS
                                         : MR_LEDGER_ALL;
}

/* ---- lanes ---- */

/* A key that two lanes have loaded, with different rows: both samples are sorted by key. */
static bool any_disputed(const struct mr_content *a, const struct mr_content *b)
{
    for (int i = 0, k = 0; i < a->nkeys && k < b->nkeys;) {
        uint64_t left = a->keys[i].key, right = b->keys[k].key;
        if (left == right && a->keys[i].row != b->keys[k].row)
            return true;
        i += left <= right;
        k += right <= left;
    }
    return false;
}

static void know_nothing(struct mr_ledger *into, const char *why)
{
    into->scope = MR_LEDGER_NONE;
    into->text = why;
}

enum mr_status mr_ledger_unite(struct mr_ledger *into, const struct mr_ledger *from,
                               struct mr_error *err)
{
    bool same = into->scope == from->scope && same_form(into, from);
    bool counts = (into->scope == MR_LEDGER_ALL || into->scope == MR_LEDGER_ROWS) &&
                  (from->scope == MR_LEDGER_ALL || from->scope == MR_LEDGER_ROWS);
    int64_t rows = into->content->rows + from->content->rows;
    into->loads += from->loads;
    if (from->first_epoch < into->first_epoch)
        into->first_epoch = from->first_epoch;
    if (from->last_epoch > into->last_epoch)
        into->last_epoch = from->last_epoch;
    if (into->scope == MR_LEDGER_NONE)
        return MR_OK;
    mr_content_sort(into->content);
    mr_content_sort(from->content);
    if (from->scope == MR_LEDGER_NONE) {
        know_nothing(into, from->text);
    } else if (same && into->scope == MR_LEDGER_KEYS &&
               any_disputed(into->content, from->content)) {
        know_nothing(into, "rows of one key were loaded by several lanes, and which was the last "
                           "is not known: give the topic a key that the keys of the load hold");
    } else if (same && (into->scope == MR_LEDGER_ALL || into->scope == MR_LEDGER_KEYS)) {
        return mr_content_merge(into->content, from->content, err);
    } else if (counts) {
        if (into->scope == MR_LEDGER_ALL)
            into->text =
                from->scope == MR_LEDGER_ROWS ? from->text : "the columns changed between loads";
        into->scope = MR_LEDGER_ROWS;
        into->content->rows = rows;
    } else {
        know_nothing(into, "lanes have loaded it in different ways");
    }
    return MR_OK;
}

/* ---- of this run ---- */

static const char *const *names_of(const struct mr_schema *schema, const int *columns, int count,
                                   struct mr_arena *arena)
{
    const char **names = mr_arena_calloc(arena, (size_t)count + 1, sizeof *names);
    for (int i = 0; names && i < count; i++)
        names[i] = schema->fields[columns[i]].name;
    return names;
}

static const char *const *json_texts(const struct mr_schema *schema, int ncolumns,
                                     struct mr_arena *arena, int *count)
{
    const char **names = mr_arena_calloc(arena, (size_t)ncolumns + 1, sizeof *names);
    *count = 0;
    for (int i = 0; names && i < ncolumns; i++) {
        const struct mr_field *field = &schema->fields[i];
        bool same = field->origin && strcmp(field->origin, "jsonb") == 0;
        if (mr_type_is_string(field->type) && !same)
            names[(*count)++] = field->name;
    }
    return names;
}

/* Whether NULLs are allowed does not count. */
static const char *schema_text(const struct mr_schema *schema, int ncolumns, struct mr_arena *arena)
{
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)ncolumns + 1, sizeof *fields);
    struct mr_schema some = {.nfields = ncolumns, .fields = fields};
    struct mr_bytes text;
    if (!fields)
        return NULL;
    for (int i = 0; i < ncolumns; i++) {
        fields[i] = schema->fields[i];
        fields[i].nullable = true;
    }
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_schema_format(&some, &text);
    return mr_bytes_to_arena(&text, arena);
}

/* All that its tasks counted, in their order. *whole: every one that wrote has counted. */
static enum mr_status sum_tasks(const struct mr_exec_result *result, int sink, int ncolumns,
                                struct mr_content **out, bool *whole, struct mr_error *err)
{
    MR_TRY(mr_content_new(ncolumns, out, err));
    for (int t = 0; t < result->sinks[sink].count; t++) {
        struct mr_content *content = result->sinks[sink].contents[t];
        *whole &= content != NULL;
        if (!content)
            continue;
        mr_content_sort(content);
        MR_TRY(mr_content_merge(*out, content, err));
    }
    mr_content_sort(*out);
    return MR_OK;
}

static enum mr_status describe(struct mr_session *session, const struct mr_plan_node *node,
                               const struct mr_exec_result *result, int64_t epoch,
                               struct mr_ledger *out, struct mr_error *err)
{
    struct mr_arena *arena = &session->arena;
    const struct mr_content_spec *spec = NULL;
    const struct mr_schema *schema = node->schema;
    MR_TRY(make_spec(node, arena, &spec, err));
    const char *target = mr_ledger_target(node->step, arena);
    *out = (struct mr_ledger){
        .step = node->step->key,
        .target = target,
        .name = target ? mr_arena_printf(arena, "%s %s", node->step->key, target) : NULL,
        .scope = first_scope(effect_of(node->step)),
        .text = text_option(node->step, "replaceWhere"),
        .first_epoch = epoch,
        .last_epoch = epoch,
        .schema = schema_text(schema, spec->ncolumns, arena),
        .range = spec->range >= 0 ? schema->fields[spec->range].name : NULL,
        .partitions = names_of(schema, spec->partitions, spec->npartitions, arena),
        .npartitions = spec->npartitions,
        .keys = names_of(schema, spec->keys, spec->nkeys, arena),
        .nkeys = spec->nkeys,
    };
    out->texts = json_texts(schema, spec->ncolumns, arena, &out->ntexts);
    if (!out->name || !out->schema || !out->partitions || !out->keys || !out->texts)
        return mr_error_nomem(err);
    bool whole = true;
    MR_TRY(sum_tasks(result, node->sink_sequence, spec->ncolumns, &out->content, &whole, err));
    if (!whole) {
        out->scope = MR_LEDGER_NONE;
        out->text = "a run went on from rows of an earlier one that were not counted";
    } else if (out->scope == MR_LEDGER_PARTITIONS && out->npartitions == 0) {
        out->scope = MR_LEDGER_NONE;
        out->text = "partitions are overwritten, and the load does not say by which columns "
                    "(partitionBy)";
    }
    return MR_OK;
}

static struct mr_ledger *find(struct mr_ledger *ledgers, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(ledgers[i].name, name) == 0)
            return &ledgers[i];
    return NULL;
}

static int by_age(const void *a, const void *b)
{
    const struct mr_ledger *left = a, *right = b;
    if (left->last_epoch != right->last_epoch)
        return left->last_epoch < right->last_epoch ? 1 : -1;
    return strcmp(left->name, right->name);
}

static enum mr_status store(struct mr_lease *lease, const struct mr_ledger *ledger, int64_t epoch,
                            struct mr_error *err)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, NOTE_BYTES);
    encode(ledger, &bytes);
    enum mr_status status = mr_bytes_status(&bytes, err);
    struct mr_note note = {.epoch = epoch, .name = ledger->name, .bytes = {bytes.data, bytes.size}};
    if (status == MR_OK)
        status = mr_state_put_note(lease, MR_NOTE_CONTENT, &note, err);
    mr_bytes_reset(&bytes);
    return status;
}

static enum mr_status fold_sinks(struct mr_session *session, const struct mr_exec_result *result,
                                 int64_t epoch, struct mr_ledger *ledgers, int *count,
                                 struct mr_error *err)
{
    const struct mr_plan *plan = session->plan;
    enum mr_status status = MR_OK;
    for (int i = 0; i < plan->nsinks && status == MR_OK; i++) {
        const struct mr_plan_node *node = &plan->nodes[plan->sinks[i]];
        struct mr_ledger load = {0};
        if (!is_counted(node))
            continue;
        status = describe(session, node, result, epoch, &load, err);
        struct mr_ledger *known = status == MR_OK ? find(ledgers, *count, load.name) : NULL;
        /* what was loaded into a table that is gone is not in the one that is made now */
        bool anew = !known || (session->absent && session->absent[i]);
        if (status == MR_OK && anew) {
            struct mr_ledger *into = known ? known : &ledgers[(*count)++];
            if (known)
                mr_content_free(known->content);
            *into = load;
            into->loads = 1;
            load.content = NULL;
        } else if (status == MR_OK) {
            status = fold(known, &load, effect_of(node->step), err);
        }
        mr_content_free(load.content);
    }
    return status;
}

/* What cannot be read any more is as if it had never been counted: no reason to stop a load. */
static enum mr_status load_known(struct mr_session *session, struct mr_state *state, int64_t epoch,
                                 struct mr_ledger **out, int *count, struct mr_error *err)
{
    struct mr_error why = {0};
    enum mr_status status =
        mr_ledger_load(session, state, session->spec->state_key, epoch, out, count, &why);
    if (status == MR_INTERNAL) {
        mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                         "what was counted of earlier loads is lost: %s", why.message);
        return MR_OK;
    }
    if (status != MR_OK && err)
        *err = why;
    return status;
}

static enum mr_status store_all(struct mr_lease *lease, struct mr_ledger *ledgers, int count,
                                int64_t epoch, struct mr_error *err)
{
    /* of an attempt that was killed */
    MR_TRY(mr_state_drop_notes_from(lease, MR_NOTE_CONTENT, epoch, err));
    qsort(ledgers, (size_t)count, sizeof *ledgers, by_age);
    for (int i = 0; i < count && i < MOST_LEDGERS; i++)
        MR_TRY(store(lease, &ledgers[i], epoch, err));
    return MR_OK;
}

enum mr_status mr_ledger_record(struct mr_session *session, struct mr_state *state,
                                struct mr_lease *lease, const struct mr_exec_result *result,
                                int64_t epoch, struct mr_error *err)
{
    struct mr_ledger *old = NULL;
    int nold = 0, count = 0;
    if (session->plan->nsinks == 0)
        return MR_OK;
    if (!session->spec
             ->verify) /* nobody will know what is there after a load that is not counted */
        return mr_state_drop_notes(lease, MR_NOTE_CONTENT, epoch, err);
    MR_TRY(load_known(session, state, epoch - 1, &old, &nold, err));
    size_t room = (size_t)nold + (size_t)session->plan->nsinks;
    struct mr_ledger *ledgers = mr_arena_calloc(&session->arena, room, sizeof *ledgers);
    enum mr_status status = ledgers ? MR_OK : mr_error_nomem(err);
    for (; ledgers && count < nold; count++)
        ledgers[count] = old[count];
    if (status == MR_OK)
        status = fold_sinks(session, result, epoch, ledgers, &count, err);
    if (status == MR_OK)
        status = store_all(lease, ledgers, count, epoch, err);
    free_contents(ledgers ? ledgers : old, ledgers ? count : nold);
    return status;
}

enum mr_status mr_ledger_settle(struct mr_lease *lease, int64_t epoch, struct mr_error *err)
{
    return mr_state_drop_notes(lease, MR_NOTE_CONTENT, epoch - 1, err);
}

struct mr_note_change mr_ledger_withdraw(int64_t epoch)
{
    return (struct mr_note_change){.kind = MR_NOTE_CONTENT, .from = epoch};
}
