/*
 * action.c - one line of the log, one action: JSON into the structs of table.h.
 *
 * Each kind of action is a table of its members (name, how to read it, where it goes), read by one
 * loop. Lines are parsed one at a time into the same tree of nodes, so a log of a hundred thousand
 * files costs its texts and no tree of objects. Unknown actions and members are passed over, as the
 * protocol asks; of a known member the type must be right.
 *
 *   {"add":{"path":"p=1/x.parquet","partitionValues":{"p":"1"},"size":841,...}}
 */
#include "base/hash.h"
#include "base/text.h"
#include "connect/delta/private.h"

#include <stddef.h>
#include <stdio.h>

struct line {
    const struct delta_table *table;
    const char *name; /* of the file */
    int64_t number;   /* from 1 */
    struct mr_json_tree tree;
    struct mr_bytes scratch;
    struct mr_arena *arena;
};

/* What a member becomes. JSON null leaves it as it was. */
enum member_kind {
    MEMBER_TEXT,    /* const char * */
    MEMBER_LONG,    /* int64_t */
    MEMBER_INT,     /* int */
    MEMBER_BOOL,    /* bool */
    MEMBER_PAIRS,   /* struct delta_pairs: an object of texts */
    MEMBER_TEXTS,   /* struct texts: an array of texts */
    MEMBER_VECTOR,  /* const struct delta_vector * */
    MEMBER_LETTER,  /* char: a text of one letter */
    MEMBER_PROVIDER /* of format: must be "parquet" */
};

struct member {
    const char *name;
    enum member_kind kind;
    bool required;
    size_t offset;
};

struct texts {
    const char *const *items; /* ended by NULL */
    int count;
};

static enum mr_status broken(const struct line *line, struct mr_error *err, const char *what,
                             const char *name)
{
    mr_error_data(err, MR_SOURCE, "%s: %s '%s' in the log", line->table->text, what, name);
    if (err)
        mr_error_where(err, "%s:%lld", line->name, (long long)line->number);
    return MR_SOURCE;
}

static const struct mr_json_node *node_of(const struct line *line, uint32_t node)
{
    return &line->tree.nodes[node];
}

static bool is_key(const struct line *line, uint32_t node, const char *name)
{
    struct mr_slice key = mr_json_raw_key(&line->tree, node);
    return !node_of(line, node)->key_escaped && key.size == strlen(name) &&
           memcmp(key.data, name, key.size) == 0;
}

/* Child of an object by name, 0 = none or null. */
static uint32_t child_of(const struct line *line, uint32_t object, const char *name)
{
    uint32_t end = node_of(line, object)->next;
    for (uint32_t i = object + 1; i < end; i = node_of(line, i)->next) {
        if (is_key(line, i, name))
            return node_of(line, i)->kind == MR_JSON_NULL ? 0 : i;
    }
    return 0;
}

static const char *keep(struct line *line, struct mr_slice text)
{
    if (line->scratch.status != MR_OK)
        return NULL;
    return mr_arena_strndup(line->arena, text.data, text.size);
}

/* A text, or of another value its JSON; NULL: out of memory. */
static const char *text_of(struct line *line, uint32_t node)
{
    const struct mr_json_node *at = node_of(line, node);
    if (at->kind == MR_JSON_TRUE)
        return "true";
    if (at->kind == MR_JSON_FALSE)
        return "false";
    if (at->kind != MR_JSON_STRING)
        return keep(line, mr_json_raw(&line->tree, node));
    return keep(line, mr_json_string(&line->tree, node, &line->scratch));
}

static enum mr_status read_pairs(struct line *line, uint32_t object, struct delta_pairs *out,
                                 struct mr_error *err)
{
    uint32_t count = node_of(line, object)->count;
    struct delta_pair *items = mr_arena_calloc(line->arena, count + 1, sizeof *items);
    if (!items)
        return mr_error_nomem(err);
    int at = 0;
    for (uint32_t i = object + 1; i < node_of(line, object)->next; i = node_of(line, i)->next) {
        struct delta_pair *pair = &items[at++];
        pair->name = keep(line, mr_json_key(&line->tree, i, &line->scratch));
        bool null = node_of(line, i)->kind == MR_JSON_NULL;
        pair->value = null ? NULL : text_of(line, i);
        if (!pair->name || (!null && !pair->value))
            return mr_error_nomem(err);
    }
    *out = (struct delta_pairs){at, items};
    return MR_OK;
}

static enum mr_status read_texts(struct line *line, uint32_t array, struct texts *out,
                                 struct mr_error *err)
{
    uint32_t count = node_of(line, array)->count;
    const char **items = mr_arena_calloc(line->arena, (size_t)count + 1, sizeof *items);
    if (!items)
        return mr_error_nomem(err);
    int at = 0;
    for (uint32_t i = array + 1; i < node_of(line, array)->next; i = node_of(line, i)->next) {
        if (node_of(line, i)->kind != MR_JSON_STRING)
            return broken(line, err, "a member is no text in", "a list of names");
        items[at] = text_of(line, i);
        if (!items[at++])
            return mr_error_nomem(err);
    }
    *out = (struct texts){items, at};
    return MR_OK;
}

static enum mr_status read_members(struct line *line, uint32_t object, const char *action,
                                   const struct member *members, void *out, struct mr_error *err);

static const struct member vector_members[] = {
    {"storageType", MEMBER_LETTER, true, offsetof(struct delta_vector, storage)},
    {"pathOrInlineDv", MEMBER_TEXT, true, offsetof(struct delta_vector, text)},
    {"offset", MEMBER_LONG, false, offsetof(struct delta_vector, offset)},
    {"sizeInBytes", MEMBER_LONG, true, offsetof(struct delta_vector, size)},
    {"cardinality", MEMBER_LONG, true, offsetof(struct delta_vector, cardinality)},
    {0},
};

static enum mr_status read_vector(struct line *line, uint32_t object,
                                  const struct delta_vector **out, struct mr_error *err)
{
    struct delta_vector *vector = mr_arena_calloc(line->arena, 1, sizeof *vector);
    if (!vector)
        return mr_error_nomem(err);
    vector->offset = -1;
    *out = vector;
    return read_members(line, object, "deletionVector", vector_members, vector, err);
}

static bool kind_fits(enum member_kind kind, const struct mr_json_node *node)
{
    switch (kind) {
    case MEMBER_LONG:
    case MEMBER_INT:
        return node->kind == MR_JSON_INTEGER || node->kind == MR_JSON_NUMBER ||
               node->kind == MR_JSON_STRING;
    case MEMBER_BOOL:
        return node->kind == MR_JSON_TRUE || node->kind == MR_JSON_FALSE;
    case MEMBER_PAIRS:
    case MEMBER_VECTOR:
    case MEMBER_PROVIDER:
        return node->kind == MR_JSON_OBJECT;
    case MEMBER_TEXTS:
        return node->kind == MR_JSON_ARRAY;
    case MEMBER_LETTER:
        return node->kind == MR_JSON_STRING && node->size == 1 && !node->escaped;
    default:
        return node->kind == MR_JSON_STRING;
    }
}

static enum mr_status read_number(struct line *line, uint32_t node, const struct member *member,
                                  void *target, struct mr_error *err)
{
    int64_t value;
    struct mr_slice text = mr_json_raw(&line->tree, node);
    double real;
    if (!mr_text_to_int64(text, false, &value)) { /* 1.6E12 is what some writers make of a long */
        if (!mr_text_to_double(text, false, &real) || !(real > -9e15 && real < 9e15))
            return broken(line, err, "a number is not valid:", member->name);
        value = (int64_t)real;
    }
    if (member->kind == MEMBER_LONG)
        *(int64_t *)target = value;
    else if (value < INT32_MIN || value > INT32_MAX)
        return broken(line, err, "a number is too large:", member->name);
    else
        *(int *)target = (int)value;
    return MR_OK;
}

static enum mr_status read_member(struct line *line, uint32_t node, const struct member *member,
                                  void *target, struct mr_error *err)
{
    if (!kind_fits(member->kind, node_of(line, node)))
        return broken(line, err, "a member has the wrong type:", member->name);
    switch (member->kind) {
    case MEMBER_LONG:
    case MEMBER_INT:
        return read_number(line, node, member, target, err);
    case MEMBER_BOOL:
        *(bool *)target = node_of(line, node)->kind == MR_JSON_TRUE;
        return MR_OK;
    case MEMBER_PAIRS:
        return read_pairs(line, node, target, err);
    case MEMBER_TEXTS:
        return read_texts(line, node, target, err);
    case MEMBER_VECTOR:
        return read_vector(line, node, target, err);
    case MEMBER_LETTER:
        *(char *)target = mr_json_raw(&line->tree, node).data[0];
        return MR_OK;
    case MEMBER_PROVIDER: {
        uint32_t provider = child_of(line, node, "provider");
        if (provider && !mr_slice_equal(mr_json_raw(&line->tree, provider), mr_slice_of("parquet")))
            return broken(line, err, "the table's files are not Parquet:", "format");
        return MR_OK;
    }
    default:
        *(const char **)target = text_of(line, node);
        return *(const char **)target ? MR_OK : mr_error_nomem(err);
    }
}

static enum mr_status read_members(struct line *line, uint32_t object, const char *action,
                                   const struct member *members, void *out, struct mr_error *err)
{
    uint64_t seen = 0;
    uint32_t end = node_of(line, object)->next;
    for (uint32_t i = object + 1; i < end; i = node_of(line, i)->next) {
        if (node_of(line, i)->kind == MR_JSON_NULL)
            continue;
        for (int m = 0; members[m].name; m++) {
            if (!is_key(line, i, members[m].name))
                continue;
            MR_TRY(read_member(line, i, &members[m], (char *)out + members[m].offset, err));
            seen |= UINT64_C(1) << m;
            break;
        }
    }
    for (int m = 0; members[m].name; m++) {
        if (members[m].required && !(seen >> m & 1)) {
            char what[64];
            snprintf(what, sizeof what, "%s lacks", action);
            return broken(line, err, what, members[m].name);
        }
    }
    return MR_OK;
}

/* ---- the kinds of actions ---- */

/* Room for one more in an array of the arena that doubles; NULL: out of memory. */
static void *one_more(struct mr_arena *arena, void *items, int count, size_t size)
{
    if (count && (count & (count - 1)) != 0)
        return items;
    char *more = count > INT32_MAX / 2
                     ? NULL
                     : mr_arena_alloc(arena, (size_t)(count ? count * 2 : 1) * size);
    if (more && count)
        memcpy(more, items, (size_t)count * size);
    return more;
}

#define ONE_MORE(arena, items, count)                                                              \
    (((items) = one_more((arena), (items), (count), sizeof *(items))) != NULL)

static const struct member file_members[] = {
    {"path", MEMBER_TEXT, true, offsetof(struct delta_entry, file.raw_path)},
    {"partitionValues", MEMBER_PAIRS, false, offsetof(struct delta_entry, values)},
    {"size", MEMBER_LONG, false, offsetof(struct delta_entry, file.size)},
    {"modificationTime", MEMBER_LONG, false, offsetof(struct delta_entry, file.modified_millis)},
    {"dataChange", MEMBER_BOOL, false, offsetof(struct delta_entry, file.data_change)},
    {"stats", MEMBER_TEXT, false, offsetof(struct delta_entry, file.stats)},
    {"deletionVector", MEMBER_VECTOR, false, offsetof(struct delta_entry, file.vector)},
    {"deletionTimestamp", MEMBER_LONG, false, offsetof(struct delta_entry, file.deleted_millis)},
    {"baseRowId", MEMBER_LONG, false, offsetof(struct delta_entry, file.base_row_id)},
    {"defaultRowCommitVersion", MEMBER_LONG, false,
     offsetof(struct delta_entry, file.default_row_commit_version)},
    {"clusteringProvider", MEMBER_TEXT, false,
     offsetof(struct delta_entry, file.clustering_provider)},
    {0},
};

struct context {
    struct line line;
    struct delta_actions *out;
    int64_t version;
};

static enum mr_status take_file(struct context *context, uint32_t object, bool removed,
                                struct mr_error *err)
{
    struct line *line = &context->line;
    struct delta_actions *out = context->out;
    if (!ONE_MORE(line->arena, out->entries, out->nentries))
        return mr_error_nomem(err);
    struct delta_entry *entry = &out->entries[out->nentries];
    *entry = (struct delta_entry){.file = {.removed = removed,
                                           .size = -1,
                                           .modified_millis = -1,
                                           .deleted_millis = -1,
                                           .base_row_id = -1,
                                           .default_row_commit_version = -1,
                                           .data_change = true,
                                           .version = context->version}};
    MR_TRY(read_members(line, object, removed ? "remove" : "add", file_members, entry, err));
    struct delta_pairs tags = {0};
    uint32_t node = child_of(line, object, "tags");
    if (node && node_of(line, node)->kind == MR_JSON_OBJECT)
        MR_TRY(read_pairs(line, node, &tags, err));
    entry->file.ntags = tags.count;
    entry->file.tags = tags.items;
    struct mr_slice raw = mr_slice_of(entry->file.raw_path);
    entry->file.path = delta_path_decode(line->arena, raw, line->table->url);
    if (!entry->file.path)
        return mr_error_nomem(err);
    entry->hash = delta_file_hash(&entry->file);
    out->nentries++;
    return MR_OK;
}

static enum mr_status take_add(struct context *context, uint32_t object, struct mr_error *err)
{
    return take_file(context, object, false, err);
}

static enum mr_status take_remove(struct context *context, uint32_t object, struct mr_error *err)
{
    return take_file(context, object, true, err);
}

struct metadata_text {
    struct delta_metadata metadata;
    struct texts columns;
    struct delta_pairs configuration;
    int nothing;
};

static const struct member metadata_members[] = {
    {"id", MEMBER_TEXT, false, offsetof(struct metadata_text, metadata.id)},
    {"name", MEMBER_TEXT, false, offsetof(struct metadata_text, metadata.name)},
    {"description", MEMBER_TEXT, false, offsetof(struct metadata_text, metadata.description)},
    {"format", MEMBER_PROVIDER, false, offsetof(struct metadata_text, nothing)},
    {"schemaString", MEMBER_TEXT, false, offsetof(struct metadata_text, metadata.schema_json)},
    {"createdTime", MEMBER_LONG, false, offsetof(struct metadata_text, metadata.created_millis)},
    {"partitionColumns", MEMBER_TEXTS, false, offsetof(struct metadata_text, columns)},
    {"configuration", MEMBER_PAIRS, false, offsetof(struct metadata_text, configuration)},
    {0},
};

static enum mr_status take_metadata(struct context *context, uint32_t object, struct mr_error *err)
{
    struct line *line = &context->line;
    struct metadata_text *text = mr_arena_calloc(line->arena, 1, sizeof *text);
    if (!text)
        return mr_error_nomem(err);
    text->metadata.created_millis = -1;
    /* old tables that never had data; Spark reads them as without columns */
    text->metadata.schema_json = "{\"type\":\"struct\",\"fields\":[]}";
    MR_TRY(read_members(line, object, "metaData", metadata_members, text, err));
    text->metadata.partition_columns = text->columns.items;
    text->metadata.npartition_columns = text->columns.count;
    text->metadata.configuration = text->configuration.items;
    text->metadata.nconfiguration = text->configuration.count;
    context->out->metadata = &text->metadata;
    return MR_OK;
}

struct protocol_text {
    struct delta_protocol protocol;
    struct texts reader;
    struct texts writer;
};

static const struct member protocol_members[] = {
    {"minReaderVersion", MEMBER_INT, true, offsetof(struct protocol_text, protocol.reader)},
    {"minWriterVersion", MEMBER_INT, true, offsetof(struct protocol_text, protocol.writer)},
    {"readerFeatures", MEMBER_TEXTS, false, offsetof(struct protocol_text, reader)},
    {"writerFeatures", MEMBER_TEXTS, false, offsetof(struct protocol_text, writer)},
    {0},
};

static enum mr_status take_protocol(struct context *context, uint32_t object, struct mr_error *err)
{
    struct line *line = &context->line;
    struct protocol_text *text = mr_arena_calloc(line->arena, 1, sizeof *text);
    if (!text)
        return mr_error_nomem(err);
    MR_TRY(read_members(line, object, "protocol", protocol_members, text, err));
    text->protocol.reader_features = text->reader.items;
    text->protocol.writer_features = text->writer.items;
    context->out->protocol = &text->protocol;
    return MR_OK;
}

static const struct member txn_members[] = {
    {"appId", MEMBER_TEXT, true, offsetof(struct delta_txn, app_id)},
    {"version", MEMBER_LONG, true, offsetof(struct delta_txn, version)},
    {"lastUpdated", MEMBER_LONG, false, offsetof(struct delta_txn, updated_millis)},
    {0},
};

static enum mr_status take_txn(struct context *context, uint32_t object, struct mr_error *err)
{
    struct delta_actions *out = context->out;
    if (!ONE_MORE(context->line.arena, out->txns, out->ntxns))
        return mr_error_nomem(err);
    struct delta_txn *txn = &out->txns[out->ntxns++];
    *txn = (struct delta_txn){.updated_millis = -1};
    return read_members(&context->line, object, "txn", txn_members, txn, err);
}

static const struct member domain_members[] = {
    {"domain", MEMBER_TEXT, true, offsetof(struct delta_domain, domain)},
    {"configuration", MEMBER_TEXT, false, offsetof(struct delta_domain, configuration)},
    {"removed", MEMBER_BOOL, false, offsetof(struct delta_domain, removed)},
    {0},
};

static enum mr_status take_domain(struct context *context, uint32_t object, struct mr_error *err)
{
    struct delta_actions *out = context->out;
    if (!ONE_MORE(context->line.arena, out->domains, out->ndomains))
        return mr_error_nomem(err);
    struct delta_domain *domain = &out->domains[out->ndomains++];
    *domain = (struct delta_domain){.configuration = ""};
    return read_members(&context->line, object, "domainMetadata", domain_members, domain, err);
}

static const struct member sidecar_members[] = {
    {"path", MEMBER_TEXT, true, offsetof(struct delta_sidecar, path)},
    {"sizeInBytes", MEMBER_LONG, false, offsetof(struct delta_sidecar, size)},
    {0},
};

static enum mr_status take_sidecar(struct context *context, uint32_t object, struct mr_error *err)
{
    struct delta_actions *out = context->out;
    if (!ONE_MORE(context->line.arena, out->sidecars, out->nsidecars))
        return mr_error_nomem(err);
    struct delta_sidecar *sidecar = &out->sidecars[out->nsidecars++];
    *sidecar = (struct delta_sidecar){.size = -1};
    return read_members(&context->line, object, "sidecar", sidecar_members, sidecar, err);
}

/* Any shape is allowed; only the in-commit timestamp means something to us. */
static enum mr_status take_info(struct context *context, uint32_t object, struct mr_error *err)
{
    struct line *line = &context->line;
    context->out->info = keep(line, mr_json_raw(&line->tree, object));
    uint32_t time = child_of(line, object, "inCommitTimestamp");
    if (time &&
        !mr_text_to_int64(mr_json_raw(&line->tree, time), false, &context->out->in_commit_millis))
        return broken(line, err, "a number is not valid:", "inCommitTimestamp");
    return context->out->info ? MR_OK : mr_error_nomem(err);
}

static enum mr_status take_cdc(struct context *context, uint32_t object, struct mr_error *err)
{
    (void)object;
    (void)err;
    context->out->ncdc++;
    return MR_OK;
}

static enum mr_status take_checkpoint(struct context *context, uint32_t object,
                                      struct mr_error *err)
{
    struct line *line = &context->line;
    uint32_t version = child_of(line, object, "version");
    context->out->checkpoint = true;
    if (!version || !mr_text_to_int64(mr_json_raw(&line->tree, version), false,
                                      &context->out->checkpoint_version))
        return broken(line, err, "checkpointMetadata lacks", "version");
    return MR_OK;
}

static const struct {
    const char *name;
    enum mr_status (*take)(struct context *context, uint32_t object, struct mr_error *err);
} kinds[] = {
    {"add", take_add},
    {"remove", take_remove},
    {"commitInfo", take_info},
    {"metaData", take_metadata},
    {"protocol", take_protocol},
    {"txn", take_txn},
    {"domainMetadata", take_domain},
    {"cdc", take_cdc},
    {"sidecar", take_sidecar},
    {"checkpointMetadata", take_checkpoint},
};

#define NKINDS (sizeof kinds / sizeof *kinds)

static enum mr_status take_line(struct context *context, struct mr_slice text, struct mr_error *err)
{
    struct line *line = &context->line;
    if (mr_utf8_valid_prefix(text.data, text.size) != text.size)
        return broken(line, err, "a line is not valid", "UTF-8");
    if (!mr_json_tree_parse(&line->tree, text, 0))
        return line->tree.nomem ? mr_error_nomem(err)
                                : broken(line, err, "a line is not valid", "JSON");
    if (line->tree.count == 0) /* blank */
        return MR_OK;
    if (node_of(line, 0)->kind != MR_JSON_OBJECT)
        return broken(line, err, "a line is no", "object");
    bool found = false;
    for (uint32_t i = 1; i < node_of(line, 0)->next; i = node_of(line, i)->next) {
        if (node_of(line, i)->kind != MR_JSON_OBJECT)
            continue;
        for (size_t k = 0; k < NKINDS; k++) {
            if (!is_key(line, i, kinds[k].name))
                continue;
            if (found)
                return broken(line, err, "a line has two actions, one of them", kinds[k].name);
            found = true;
            MR_TRY(kinds[k].take(context, i, err));
            break;
        }
    }
    return MR_OK;
}

enum mr_status delta_actions_parse(const struct delta_table *table, const char *name,
                                   struct mr_slice text, int64_t version, struct mr_arena *arena,
                                   struct delta_actions *out, struct mr_error *err)
{
    *out = (struct delta_actions){.in_commit_millis = -1, .checkpoint_version = -1};
    struct context context = {.line = {.table = table, .name = name, .arena = arena},
                              .out = out,
                              .version = version};
    mr_json_tree_init(&context.line.tree);
    mr_bytes_init(&context.line.scratch, MR_BYTES_DEFAULT_MAXIMUM);
    enum mr_status status = MR_OK;
    const char *at = text.data;
    const char *end = text.data + text.size;
    while (at < end && status == MR_OK) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        context.line.number++;
        if (stop - at > (int64_t)UINT32_MAX - 1)
            status = broken(&context.line, err, "too long is", "a line");
        else
            status = take_line(&context, (struct mr_slice){at, (size_t)(stop - at)}, err);
        at = stop + 1;
    }
    if (status == MR_OK)
        status = mr_bytes_status(&context.line.scratch, err);
    mr_bytes_reset(&context.line.scratch);
    mr_json_tree_reset(&context.line.tree);
    return status;
}
