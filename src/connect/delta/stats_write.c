/*
 * stats_write.c - what the Parquet writer saw of a file, as the statistics of the log.
 *
 *   {"numRecords":3,"minValues":{"id":1,"s":{"a":"x"}},"maxValues":{..},"nullCount":{"id":0,..}}
 *
 * The leaves of the writer are walked with the schema of the table beside them, once for each of the
 * three objects; objects of structs open when their first leaf has something to say. Bounds exist
 * for numbers, dates, timestamps and texts only, as in Spark's StatisticsCollection; floats that are
 * not finite have none, because JSON cannot say them. Timestamps have milliseconds: a minimum is cut
 * down, a maximum goes up to the next, so that the bound holds for readers that take it as it stands
 * as for those that widen it.
 */
#include "connect/delta/log_write.h"

#include "base/text.h"
#include "base/time.h"

#include <inttypes.h>
#include <math.h>

#define DEFAULT_LEAVES    32
#define PREFIX_CHARACTERS 32

enum part { PART_MINIMUM, PART_MAXIMUM, PART_NULLS };

struct walk {
    struct mr_bytes *out;
    const struct delta_metadata *metadata;
    const struct mr_file_statistics *statistics;
    const char *wanted; /* delta.dataSkippingStatsColumns, or NULL */
    int64_t limit;      /* of leaves, where `wanted` is NULL; -1 = all */
    enum part part;
    int leaf;
    struct mr_bytes path; /* logical names of the leaf at hand, with dots */
};

/* ---- which columns ---- */

/* One name of the list, backticks resolved; false at the end. */
static bool next_name(const char **at, struct mr_bytes *name)
{
    mr_bytes_clear(name);
    while (**at == ' ' || **at == ',')
        (*at)++;
    if (!**at)
        return false;
    bool quoted = false;
    for (; **at && (quoted || **at != ','); (*at)++) {
        if (**at == '`')
            quoted = !quoted;
        else
            mr_bytes_char(name, **at);
    }
    while (name->size > 0 && name->data[name->size - 1] == ' ')
        name->size--;
    return true;
}

/* Is `path` the column `name`, or inside of it? */
static bool is_within(const struct mr_bytes *path, const struct mr_bytes *name)
{
    if (name->size > path->size || name->size == 0)
        return false;
    for (size_t i = 0; i < name->size; i++) {
        char a = path->data[i], b = name->data[i];
        a = a >= 'A' && a <= 'Z' ? (char)(a + 32) : a;
        b = b >= 'A' && b <= 'Z' ? (char)(b + 32) : b;
        if (a != b)
            return false;
    }
    return path->size == name->size || path->data[name->size] == '.';
}

static bool is_wanted(struct walk *walk)
{
    if (!walk->wanted)
        return walk->limit < 0 || walk->leaf < walk->limit;
    struct mr_bytes name;
    mr_bytes_init(&name, 1 << 20);
    const char *at = walk->wanted;
    bool wanted = false;
    while (!wanted && next_name(&at, &name))
        wanted = is_within(&walk->path, &name);
    mr_bytes_reset(&name);
    return wanted;
}

/* ---- one value ---- */

bool delta_put_text_bound(struct mr_bytes *out, struct mr_slice text, bool maximum)
{
    size_t at = 0;
    uint32_t code = 0;
    int count = 0;
    for (int n; at < text.size && count < PREFIX_CHARACTERS; at += (size_t)n, count++) {
        n = mr_utf8_decode(text.data + at, text.size - at, &code);
        if (n == 0)
            return false;
    }
    if (at == text.size || !maximum) {
        mr_bytes_json_string(out, text.data, at);
        return true;
    }
    /* The first character that is cut off, U+10FFFF passed over: nothing is greater than that. */
    for (int n; at < text.size && count < 2 * PREFIX_CHARACTERS; at += (size_t)n, count++) {
        n = mr_utf8_decode(text.data + at, text.size - at, &code);
        if (n == 0)
            return false;
        if (code == 0x10FFFF)
            continue;
        char more[4];
        int size = mr_utf8_encode(code < 0x7F ? 0x7F : 0x10FFFF, more);
        struct mr_bytes bound;
        mr_bytes_init(&bound, 1 << 16);
        mr_bytes_append(&bound, text.data, at);
        mr_bytes_append(&bound, more, (size_t)size);
        bool ok = bound.status == MR_OK;
        if (ok)
            mr_bytes_json_string(out, bound.data, bound.size);
        mr_bytes_reset(&bound);
        return ok;
    }
    if (at < text.size)
        return false;
    mr_bytes_json_string(out, text.data, text.size);
    return true;
}

static bool put_timestamp(struct mr_bytes *out, int64_t micros, bool maximum, bool zone)
{
    int64_t rest = micros % 1000;
    rest += rest < 0 ? 1000 : 0;
    int64_t millis = (micros - rest) / 1000 + (maximum && rest > 0);
    int64_t fraction = millis % 1000;
    fraction += fraction < 0 ? 1000 : 0;
    char text[MR_TIME_TEXT_MAX];
    mr_timestamp_format((millis - fraction) * 1000, 'T', text);
    if (text[0] == '-' || text[0] == '+') /* outside of the years that readers parse */
        return false;
    mr_bytes_printf(out, "\"%s.%03" PRId64 "%s\"", text, fraction, zone ? "Z" : "");
    return true;
}

static bool put_float(struct mr_bytes *out, const struct mr_value *value)
{
    char text[MR_DOUBLE_TEXT_MAX];
    if (!isfinite(value->u.f64))
        return false;
    /* Of a float too the digits of a double: exact for readers that parse it as either. */
    int size = mr_double_to_text(value->u.f64, text);
    mr_bytes_append(out, text, (size_t)size);
    return true;
}

/* Appends a bound; false (nothing appended) when the type or the value has none. */
static bool put_bound(struct mr_bytes *out, const struct mr_value *value, bool maximum)
{
    char text[MR_DECIMAL_TEXT_MAX + MR_TIME_TEXT_MAX];
    switch (value->type->id) {
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
        mr_bytes_printf(out, "%" PRId64, value->u.i64);
        return true;
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        return put_float(out, value);
    case MR_TYPE_DECIMAL:
        mr_decimal_format(value->u.i128, value->type->scale, text);
        mr_bytes_text(out, text);
        return true;
    case MR_TYPE_DATE:
        mr_date_format(value->u.i64, text);
        if (text[0] == '-' || text[0] == '+')
            return false;
        mr_bytes_printf(out, "\"%s\"", text);
        return true;
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        return put_timestamp(out, value->u.i64, maximum, value->type->id == MR_TYPE_TIMESTAMP);
    case MR_TYPE_STRING:
        return delta_put_text_bound(out, value->u.bytes, maximum);
    default:
        return false;
    }
}

static bool put_leaf(struct walk *walk)
{
    if (walk->leaf >= walk->statistics->nleaves || !is_wanted(walk))
        return false;
    const struct mr_leaf_statistics *leaf = &walk->statistics->leaves[walk->leaf];
    if (walk->part == PART_NULLS) {
        if (leaf->nulls >= 0)
            mr_bytes_printf(walk->out, "%" PRId64, leaf->nulls);
        return leaf->nulls >= 0;
    }
    bool maximum = walk->part == PART_MAXIMUM;
    return leaf->has_bounds &&
           put_bound(walk->out, maximum ? &leaf->maximum : &leaf->minimum, maximum);
}

/* ---- the walk ---- */

static void cut(struct mr_bytes *bytes, size_t size)
{
    if (bytes->status == MR_OK && bytes->data) {
        bytes->size = size;
        bytes->data[size] = '\0';
    }
}

static bool put_field(struct walk *walk, const struct mr_field *logical,
                      const struct mr_field *physical, bool *any);

/* The members of an object; the braces are the caller's. True when there is one. */
static bool put_fields(struct walk *walk, const struct mr_type *logical,
                       const struct mr_type *physical)
{
    bool any = false;
    for (int i = 0; i < logical->nfields; i++)
        put_field(walk, &logical->fields[i], &physical->fields[i], &any);
    return any;
}

static bool put_field(struct walk *walk, const struct mr_field *logical,
                      const struct mr_field *physical, bool *any)
{
    size_t start = walk->out->size, path = walk->path.size;
    if (path > 0)
        mr_bytes_char(&walk->path, '.');
    mr_bytes_text(&walk->path, logical->name);
    if (*any)
        mr_bytes_char(walk->out, ',');
    delta_put_string(walk->out, physical->name);
    mr_bytes_char(walk->out, ':');
    bool said;
    if (logical->type->id == MR_TYPE_STRUCT) {
        mr_bytes_char(walk->out, '{');
        said = put_fields(walk, logical->type, physical->type);
        mr_bytes_char(walk->out, '}');
    } else {
        said = put_leaf(walk);
        walk->leaf++;
    }
    if (said)
        *any = true;
    else
        cut(walk->out, start);
    cut(&walk->path, path);
    return said;
}

static bool is_partition_column(const struct delta_metadata *metadata, const char *name)
{
    for (int i = 0; i < metadata->npartition_columns; i++) {
        if (mr_text_equal_nocase(metadata->partition_columns[i], name))
            return true;
    }
    return false;
}

static void put_part(struct walk *walk, const char *key, enum part part)
{
    const struct delta_metadata *metadata = walk->metadata;
    bool any = false;
    walk->part = part;
    walk->leaf = 0;
    mr_bytes_printf(walk->out, ",\"%s\":{", key);
    for (int i = 0; i < metadata->schema->nfields; i++) {
        if (!is_partition_column(metadata, metadata->schema->fields[i].name))
            put_field(walk, &metadata->schema->fields[i], &metadata->physical->fields[i], &any);
    }
    mr_bytes_char(walk->out, '}');
}

enum mr_status delta_put_stats(struct mr_bytes *out, const struct delta_metadata *metadata,
                               const struct mr_file_statistics *statistics, struct mr_error *err)
{
    struct walk walk = {
        .out = out,
        .metadata = metadata,
        .statistics = statistics,
        .wanted = delta_property(metadata, "delta.dataSkippingStatsColumns"),
        .limit = DEFAULT_LEAVES,
    };
    const char *limit = delta_property(metadata, "delta.dataSkippingNumIndexedCols");
    if (limit && !mr_text_to_int64(mr_slice_of(limit), true, &walk.limit))
        walk.limit = DEFAULT_LEAVES;
    mr_bytes_init(&walk.path, (size_t)1 << 20);
    mr_bytes_printf(out, "{\"numRecords\":%" PRId64, statistics->rows);
    if (statistics->leaves) {
        put_part(&walk, "minValues", PART_MINIMUM);
        put_part(&walk, "maxValues", PART_MAXIMUM);
        put_part(&walk, "nullCount", PART_NULLS);
    }
    mr_bytes_char(out, '}');
    enum mr_status status = mr_bytes_status(&walk.path, err);
    mr_bytes_reset(&walk.path);
    return status == MR_OK ? mr_bytes_status(out, err) : status;
}
