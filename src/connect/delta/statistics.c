/*
 * statistics.c - what the log says of the columns of a file: its partition values, which are exact,
 * and the JSON of `stats`.
 *
 * The JSON is parsed once a file, and only when a column is asked for. Bounds are widened where
 * writers are known to be inexact: instants are cut down to milliseconds, decimals of many digits
 * pass through doubles. Floats may hide a NaN. With a deletion vector, bounds still hold, but a
 * count of nulls says only "none" or "all" (wide bounds of the protocol). Strings may be cut, with
 * the maximum rounded up: still bounds. Booleans and nested columns have none.
 *
 *   {"numRecords":3,"minValues":{"id":1},"maxValues":{"id":9},"nullCount":{"id":0}}
 */
#include "base/alloc.h"
#include "base/text.h"
#include "connect/delta/private.h"
#include "connect/delta/value.h"

struct delta_statistics {
    const struct delta_metadata *metadata;
    const struct mr_tz *tz;
    const struct delta_file *file;
    struct mr_json_tree tree;
    struct mr_arena arena; /* texts of bounds of this file */
    struct mr_bytes scratch;
    bool parsed;
    bool wide; /* tightBounds is false */
    int64_t rows;
    uint32_t minimum; /* nodes of the objects, 0 = none */
    uint32_t maximum;
    uint32_t nulls;
    int *partition; /* of each column of the schema, -1 = none */
};

enum mr_status delta_statistics_new(const struct delta_metadata *metadata, const struct mr_tz *tz,
                                    struct delta_statistics **out, struct mr_error *err)
{
    int count = metadata->schema->nfields;
    struct delta_statistics *statistics = mr_calloc(1, sizeof *statistics);
    int *partition = mr_calloc((size_t)count + 1, sizeof *partition);
    if (!statistics || !partition) {
        mr_free(statistics);
        mr_free(partition);
        return mr_error_nomem(err);
    }
    for (int i = 0; i < count; i++)
        partition[i] = delta_partition_index(metadata, i);
    statistics->metadata = metadata;
    statistics->tz = tz;
    statistics->partition = partition;
    mr_json_tree_init(&statistics->tree);
    mr_arena_init(&statistics->arena, NULL);
    mr_bytes_init(&statistics->scratch, MR_BYTES_DEFAULT_MAXIMUM);
    *out = statistics;
    return MR_OK;
}

void delta_statistics_free(struct delta_statistics *statistics)
{
    if (!statistics)
        return;
    mr_json_tree_reset(&statistics->tree);
    mr_arena_reset(&statistics->arena);
    mr_bytes_reset(&statistics->scratch);
    mr_free(statistics->partition);
    mr_free(statistics);
}

void delta_statistics_file(struct delta_statistics *statistics, const struct delta_file *file)
{
    statistics->file = file;
    statistics->parsed = false;
    if (statistics->arena.blocks)
        mr_arena_reset(&statistics->arena);
}

static uint32_t member(const struct mr_json_tree *tree, uint32_t object, const char *name,
                       struct mr_bytes *scratch)
{
    size_t size = strlen(name);
    for (uint32_t i = object + 1; i < tree->nodes[object].next; i = tree->nodes[i].next) {
        struct mr_slice key =
            tree->nodes[i].key_escaped ? mr_json_key(tree, i, scratch) : mr_json_raw_key(tree, i);
        if (key.size == size && memcmp(key.data, name, size) == 0)
            return i;
    }
    return 0;
}

static uint32_t object_member(struct delta_statistics *statistics, const char *name)
{
    const struct mr_json_tree *tree = &statistics->tree;
    uint32_t node = member(tree, 0, name, &statistics->scratch);
    return node && tree->nodes[node].kind == MR_JSON_OBJECT ? node : 0;
}

static int64_t integer_of(const struct mr_json_tree *tree, uint32_t node)
{
    int64_t value;
    return node && tree->nodes[node].kind == MR_JSON_INTEGER &&
                   mr_text_to_int64(mr_json_raw(tree, node), false, &value) && value >= 0
               ? value
               : -1;
}

static void parse(struct delta_statistics *statistics)
{
    const struct delta_file *file = statistics->file;
    struct mr_json_tree *tree = &statistics->tree;
    statistics->parsed = true;
    statistics->rows = -1;
    statistics->minimum = statistics->maximum = statistics->nulls = 0;
    statistics->wide = file->vector != NULL;
    size_t size = file->stats ? strlen(file->stats) : 0;
    if (size == 0 || size > UINT32_MAX - 1 ||
        !mr_json_tree_parse(tree, (struct mr_slice){file->stats, size}, 0) || tree->count == 0 ||
        tree->nodes[0].kind != MR_JSON_OBJECT)
        return;
    statistics->rows = integer_of(tree, member(tree, 0, "numRecords", &statistics->scratch));
    uint32_t tight = member(tree, 0, "tightBounds", &statistics->scratch);
    if (tight && tree->nodes[tight].kind == MR_JSON_FALSE)
        statistics->wide = true;
    statistics->minimum = object_member(statistics, "minValues");
    statistics->maximum = object_member(statistics, "maxValues");
    statistics->nulls = object_member(statistics, "nullCount");
}

int64_t delta_statistics_rows(const struct delta_statistics *statistics)
{
    if (!statistics->parsed)
        parse((struct delta_statistics *)statistics);
    int64_t rows = statistics->rows;
    if (rows >= 0 && statistics->file->vector)
        rows -= statistics->file->vector->cardinality;
    return rows < 0 ? -1 : rows;
}

/* ---- bounds ---- */

/* A decimal that may have come through a double is known to 15 digits. */
static void widen_decimal(struct mr_value *value, bool upper)
{
    if (value->type->precision <= 15)
        return;
    mr_int128 room = (value->u.i128 < 0 ? -value->u.i128 : value->u.i128) / 100000000000000 + 1;
    value->u.i128 += upper ? room : -room;
}

static bool widen_time(struct mr_value *value, bool upper)
{
    return !__builtin_add_overflow(value->u.i64,
                                   upper              ? 999
                                   : value->u.i64 < 0 ? -999
                                                      : 0,
                                   &value->u.i64);
}

static bool has_zone(const char *text)
{
    const char *time = strchr(text, 'T');
    return time && (strchr(time, 'Z') || strchr(time, '+') || strchr(time, '-'));
}

/* False: it is no bound. */
static bool read_bound(struct delta_statistics *statistics, uint32_t node,
                       const struct mr_type *type, bool upper, struct mr_value *out)
{
    const struct mr_json_tree *tree = &statistics->tree;
    enum mr_json_kind kind = tree->nodes[node].kind;
    bool text = type->id == MR_TYPE_STRING || type->id == MR_TYPE_DATE ||
                type->id == MR_TYPE_TIMESTAMP || type->id == MR_TYPE_TIMESTAMP_NTZ;
    bool number = mr_type_is_numeric(type);
    if (!(text && kind == MR_JSON_STRING) &&
        !(number && (kind == MR_JSON_INTEGER || kind == MR_JSON_NUMBER || kind == MR_JSON_STRING)))
        return false;
    struct mr_slice slice = mr_json_string(tree, node, &statistics->scratch);
    if (statistics->scratch.status != MR_OK)
        return false;
    const char *copy = mr_arena_strndup(&statistics->arena, slice.data, slice.size);
    if (!copy)
        return false;
    if (type->id == MR_TYPE_STRING) {
        *out = (struct mr_value){.type = type, .u.bytes = {copy, slice.size}};
        return true;
    }
    if (type->id == MR_TYPE_TIMESTAMP && !has_zone(copy))
        return false;
    if (!delta_value_parse(type, copy, statistics->tz, out) || out->is_null)
        return false;
    if (type->id == MR_TYPE_DECIMAL)
        widen_decimal(out, upper);
    if (type->id == MR_TYPE_TIMESTAMP || type->id == MR_TYPE_TIMESTAMP_NTZ)
        return widen_time(out, upper);
    return !mr_type_is_numeric(type) || type->id == MR_TYPE_DECIMAL || mr_type_is_integer(type) ||
           out->u.f64 == out->u.f64;
}

static uint32_t column_node(struct delta_statistics *statistics, uint32_t object, const char *name)
{
    return object ? member(&statistics->tree, object, name, &statistics->scratch) : 0;
}

static void partition_column(struct delta_statistics *statistics, int column, int partition,
                             struct mr_part_column *out)
{
    const struct mr_type *type = statistics->metadata->schema->fields[column].type;
    const char *text = statistics->file->partition_values[partition];
    struct mr_value value;
    if (!delta_value_parse(type, text, statistics->tz, &value))
        return;
    /* how many rows there are does not matter: they are all alike */
    out->rows = 1;
    out->nulls = value.is_null;
    if (value.is_null)
        return;
    bool nan =
        (type->id == MR_TYPE_FLOAT32 || type->id == MR_TYPE_FLOAT64) && value.u.f64 != value.u.f64;
    out->may_have_nan = nan;
    out->has_minimum = out->has_maximum = !nan;
    out->minimum = out->maximum = value;
}

void delta_statistics_column(void *context, int column, struct mr_part_column *out)
{
    struct delta_statistics *statistics = context;
    int partition = statistics->partition[column];
    *out = (struct mr_part_column){.nulls = -1, .rows = -1};
    if (partition >= 0) {
        partition_column(statistics, column, partition, out);
        return;
    }
    if (!statistics->parsed)
        parse(statistics);
    const struct mr_field *field = &statistics->metadata->physical->fields[column];
    out->rows = statistics->rows;
    out->may_have_nan = field->type->id == MR_TYPE_FLOAT32 || field->type->id == MR_TYPE_FLOAT64;
    uint32_t nulls = column_node(statistics, statistics->nulls, field->name);
    out->nulls = integer_of(&statistics->tree, nulls);
    if (statistics->wide && out->nulls != 0 && out->nulls != out->rows)
        out->nulls = -1;
    uint32_t minimum = column_node(statistics, statistics->minimum, field->name);
    uint32_t maximum = column_node(statistics, statistics->maximum, field->name);
    out->has_minimum =
        minimum && read_bound(statistics, minimum, field->type, false, &out->minimum);
    out->has_maximum = maximum && read_bound(statistics, maximum, field->type, true, &out->maximum);
}
