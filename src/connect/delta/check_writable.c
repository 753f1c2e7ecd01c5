/*
 * check_writable.c - which tables this writer may change, and how.
 *
 * A feature that is listed binds every writer, so whatever is not in the table below is refused by
 * name. Some features are only a permission: with generated columns listed and no column generated,
 * nothing has to be done. Those are looked for in the schema, and the column is named.
 */
#include "connect/delta/commit.h"

#include "connect/delta/private.h"

static const char *const writable[] = {
    "allowColumnDefaults", "appendOnly",
    "changeDataFeed",      "checkConstraints",
    "clustering",          "columnMapping",
    "deletionVectors",     "domainMetadata",
    "generatedColumns",    "identityColumns",
    "inCommitTimestamp",   "invariants",
    "timestampNtz",        "timestampWithoutTimezone",
    "typeWidening",        "typeWidening-preview",
    "v2Checkpoint",        "vacuumProtocolCheck",
};

#define NWRITABLE (sizeof writable / sizeof *writable)

/* Keys of a field's metadata that ask something of a writer which this one cannot do. */
static const struct {
    const char *key;
    const char *what;
} demands[] = {
    {"delta.generationExpression", "a generated column"},
    {"delta.identity.start", "an identity column"},
    {"delta.identity.step", "an identity column"},
    {"CURRENT_DEFAULT", "a column with a default value"},
};

#define NDEMANDS (sizeof demands / sizeof *demands)

static bool is_writable(const char *feature)
{
    for (size_t i = 0; i < NWRITABLE; i++) {
        if (strcmp(writable[i], feature) == 0)
            return true;
    }
    return false;
}

static enum mr_status refused(struct mr_error *err)
{
    if (err) {
        err->status = MR_SINK;
        err->cls = MR_CLASS_CONFIG;
    }
    return MR_SINK;
}

static enum mr_status check_protocol(const struct delta_protocol *protocol, const char *table,
                                     struct mr_error *err)
{
    if (protocol->writer > 7) {
        mr_error_config(
            err, "%s needs writer version %d of the Delta protocol; this writer knows 1 to 7",
            table, protocol->writer);
        return refused(err);
    }
    struct mr_bytes missing;
    mr_bytes_init(&missing, 600);
    for (const char *const *at = protocol->writer_features; at && *at; at++) {
        if (!is_writable(*at))
            mr_bytes_printf(&missing, "%s%s", missing.size ? ", " : "", *at);
    }
    enum mr_status status = MR_OK;
    if (missing.size || missing.status != MR_OK) {
        mr_error_config(err,
                        "%s uses features of Delta Lake that this writer does not have: %s "
                        "(reader version %d, writer version %d)",
                        table, missing.size ? missing.data : "too many to name", protocol->reader,
                        protocol->writer);
        status = refused(err);
    }
    mr_bytes_reset(&missing);
    return status;
}

/* ---- metadata of fields ---- */

static uint32_t member(const struct mr_json_tree *tree, uint32_t object, const char *key)
{
    uint32_t end = tree->nodes[object].next;
    for (uint32_t at = object + 1; at < end; at = tree->nodes[at].next) {
        if (mr_slice_equal(mr_json_raw_key(tree, at), mr_slice_of(key)))
            return at;
    }
    return 0;
}

static enum mr_status check_field(const struct mr_json_tree *tree, uint32_t field,
                                  const char *table, struct mr_error *err)
{
    uint32_t name = member(tree, field, "name"), metadata = member(tree, field, "metadata");
    if (!name || !metadata || tree->nodes[metadata].kind != MR_JSON_OBJECT)
        return MR_OK;
    for (size_t i = 0; i < NDEMANDS; i++) {
        if (!member(tree, metadata, demands[i].key))
            continue;
        struct mr_slice text = mr_json_raw(tree, name);
        mr_error_config(err, "%s: '%.*s' is %s (%s), which this writer cannot fill", table,
                        (int)(text.size < 200 ? text.size : 200), text.data, demands[i].what,
                        demands[i].key);
        return refused(err);
    }
    return MR_OK;
}

static enum mr_status check_fields(const struct delta_metadata *metadata, const char *table,
                                   struct mr_error *err)
{
    struct mr_json_tree tree;
    enum mr_status status = MR_OK;
    mr_json_tree_init(&tree);
    if (!mr_json_tree_parse(&tree, mr_slice_of(metadata->schema_json), 0))
        status = tree.nomem ? mr_error_nomem(err)
                            : mr_error_data(err, MR_SINK, "%s: the schema is not JSON", table);
    for (uint32_t at = 0; at < tree.count && status == MR_OK; at++) {
        if (tree.nodes[at].kind == MR_JSON_OBJECT)
            status = check_field(&tree, at, table, err);
    }
    mr_json_tree_reset(&tree);
    return status;
}

/* ---- properties ---- */

static bool is_on(const struct delta_metadata *metadata, const char *property)
{
    const char *text = delta_property(metadata, property);
    return text && strcasecmp(text, "true") == 0;
}

static enum mr_status check_kind(const struct delta_metadata *metadata, enum delta_kind kind,
                                 const char *table, struct mr_error *err)
{
    bool removes = kind == DELTA_KIND_REPLACE || kind == DELTA_KIND_REWRITE;
    if (removes && is_on(metadata, "delta.appendOnly")) {
        mr_error_config(err, "%s takes new rows only (delta.appendOnly = true)", table);
        return refused(err);
    }
    if (kind == DELTA_KIND_REWRITE && is_on(metadata, "delta.enableChangeDataFeed")) {
        mr_error_config(err,
                        "%s keeps a change feed (delta.enableChangeDataFeed = true), which this "
                        "writer cannot write for updates and deletes",
                        table);
        if (err)
            mr_error_hint(err, "append and overwrite work; for the rest switch the feed off");
        return refused(err);
    }
    return MR_OK;
}

enum mr_status delta_check_writable(const struct delta_snapshot *snapshot, enum delta_kind kind,
                                    const char *table, struct mr_error *err)
{
    MR_TRY(check_protocol(&snapshot->protocol, table, err));
    MR_TRY(check_kind(&snapshot->metadata, kind, table, err));
    /* Old rows keep the values that they have. */
    return kind == DELTA_KIND_REORGANISE ? MR_OK : check_fields(&snapshot->metadata, table, err);
}
