/*
 * content.c - sums over the rows that pass.
 *
 *   value of column c in row i   h(c,i) = hash of its mr_column_words, seeded by c
 *   column c                     sum over i of h(c,i), and the number of NULLs
 *   row i                        r(i) = mix(sum over c of h(c,i))
 *   table                        sum over i of r(i)
 *
 * Column sums say in which column two sets of rows differ; they do not see two values that changed
 * places, the sums of rows do. The row hash is not a chain of mr_hash_combine: so each value is
 * hashed once for both. Sums of hashes rather than XORs: a row that came twice must not vanish.
 *
 * To say where sets differ the sums of rows are kept apart by ranges of one column. Ranges begin at
 * multiples of their width, a power of two, and are made twice as wide whenever there are too many;
 * so any two contents can be brought to the same ranges, whatever came first. The alternative, equal
 * parts of [min, max], needs the bounds before the rows.
 */
#include "col/content.h"

#include "base/hash.h"
#include "col/kernel.h"

#include <stdlib.h>

#define BLOCK           512
#define RANGE_SLOTS     4096 /* powers of two, more than twice the entries */
#define PARTITION_SLOTS 16384
#define KEY_SLOTS       16384
#define KEYS            (2 * MR_CONTENT_SAMPLE)
#define SIGN            (UINT64_C(1) << 63)
#define FACTOR          UINT64_C(0xA0761D6478BD642F) /* of wyhash */

enum mr_status mr_content_new(int ncolumns, struct mr_content **out, struct mr_error *err)
{
    struct mr_content *content = mr_calloc(1, sizeof *content);
    if (!content)
        return mr_error_nomem(err);
    content->ncolumns = ncolumns;
    content->bound = UINT64_MAX;
    content->columns = mr_calloc((size_t)ncolumns + 1, sizeof *content->columns);
    if (!content->columns) {
        mr_content_free(content);
        return mr_error_nomem(err);
    }
    *out = content;
    return MR_OK;
}

void mr_content_free(struct mr_content *content)
{
    if (!content)
        return;
    for (int i = 0; i < content->npartitions; i++)
        mr_free(content->partitions[i].label);
    mr_free(content->columns);
    mr_free(content->ranges);
    mr_free(content->partitions);
    mr_free(content->keys);
    mr_free(content->range_slots);
    mr_free(content->partition_slots);
    mr_free(content->key_slots);
    mr_free(content->hashes);
    mr_free(content->row_hashes);
    mr_free(content);
}

/* ---- ranges ---- */

static enum mr_status need_ranges(struct mr_content *content, struct mr_error *err)
{
    if (content->range_slots)
        return MR_OK;
    content->ranges = mr_calloc(MR_CONTENT_RANGES, sizeof *content->ranges);
    content->range_slots = mr_calloc(RANGE_SLOTS, sizeof *content->range_slots);
    return content->ranges && content->range_slots ? MR_OK : mr_error_nomem(err);
}

/* The slot of the key, or the free one where it belongs. */
static int32_t *range_slot(const struct mr_content *content, int64_t key)
{
    size_t at = (size_t)mr_hash_mix((uint64_t)key) & (RANGE_SLOTS - 1);
    while (content->range_slots[at] && content->ranges[content->range_slots[at] - 1].key != key)
        at = (at + 1) & (RANGE_SLOTS - 1);
    return &content->range_slots[at];
}

static void index_ranges(struct mr_content *content)
{
    memset(content->range_slots, 0, RANGE_SLOTS * sizeof *content->range_slots);
    for (int i = 0; i < content->nranges; i++)
        *range_slot(content, content->ranges[i].key) = i + 1;
}

static int by_range(const void *a, const void *b)
{
    const struct mr_content_range *left = a, *right = b;
    return (left->key > right->key) - (left->key < right->key);
}

static void add_range(struct mr_content_range *into, const struct mr_content_range *from)
{
    into->rows += from->rows;
    into->sum += from->sum;
    into->values += from->values;
}

void mr_content_coarsen(struct mr_content *content, int shift)
{
    int by = shift - content->shift, kept = 0;
    if (by <= 0)
        return;
    content->shift = shift;
    if (content->nranges == 0)
        return;
    for (int i = 0; i < content->nranges; i++)
        content->ranges[i].key >>= by;
    qsort(content->ranges, (size_t)content->nranges, sizeof *content->ranges, by_range);
    for (int i = 1; i < content->nranges; i++)
        if (content->ranges[i].key == content->ranges[kept].key)
            add_range(&content->ranges[kept], &content->ranges[i]);
        else
            content->ranges[++kept] = content->ranges[i];
    content->nranges = kept + 1;
    index_ranges(content);
}

/* The range of a value. A quarter of the room is free after widening, so that it is done seldom. */
static struct mr_content_range *range_of(struct mr_content *content, int64_t value)
{
    int32_t *slot = range_slot(content, value >> content->shift);
    if (*slot == 0 && content->nranges == MR_CONTENT_RANGES) {
        while (content->nranges > MR_CONTENT_RANGES / 4 * 3)
            mr_content_coarsen(content, content->shift + 1);
        slot = range_slot(content, value >> content->shift);
    }
    if (*slot == 0) {
        content->ranges[content->nranges] =
            (struct mr_content_range){.key = value >> content->shift};
        *slot = ++content->nranges;
    }
    return &content->ranges[*slot - 1];
}

/* Texts and uuids by their first eight bytes, in their order. */
static int64_t prefix(const void *data, size_t size)
{
    uint8_t bytes[8] = {0};
    uint64_t value = 0;
    memcpy(bytes, data, size < sizeof bytes ? size : sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        value = value << 8 | bytes[i];
    return (int64_t)(value ^ SIGN);
}

bool mr_content_has_ranges(const struct mr_type *type)
{
    switch (mr_type_layout(type)) {
    case MR_LAYOUT_I8:
        return type->id != MR_TYPE_BOOL;
    case MR_LAYOUT_I16:
    case MR_LAYOUT_I32:
    case MR_LAYOUT_I64:
        return true;
    case MR_LAYOUT_FIXED16:
        return type->id == MR_TYPE_UUID;
    case MR_LAYOUT_BYTES:
        return type->id == MR_TYPE_STRING;
    default:
        return false;
    }
}

static int64_t range_value(const struct mr_column *flat, int64_t at)
{
    const void *values = flat->values->data;
    switch (mr_type_layout(flat->type)) {
    case MR_LAYOUT_I8:
        return ((const int8_t *)values)[at];
    case MR_LAYOUT_I16:
        return ((const int16_t *)values)[at];
    case MR_LAYOUT_I32:
        return ((const int32_t *)values)[at];
    case MR_LAYOUT_I64:
        return ((const int64_t *)values)[at];
    case MR_LAYOUT_FIXED16:
        return prefix((const char *)values + 16 * at, 16);
    default: {
        struct mr_slice text = mr_column_slice(flat, at);
        return prefix(text.data, text.size);
    }
    }
}

static const struct mr_column *flat_of(const struct mr_column *column)
{
    return column->encoding == MR_DICTIONARY ? column->dictionary : column;
}

static enum mr_status add_ranges(struct mr_content *content, const struct mr_column *column,
                                 const int32_t *rows, int64_t count, struct mr_error *err)
{
    const struct mr_column *flat = flat_of(column);
    struct mr_content_range *last = NULL;
    MR_TRY(need_ranges(content, err));
    for (int64_t i = 0; i < count; i++) {
        int64_t at = mr_column_place(column, rows ? rows[i] : i);
        int64_t value = at < 0 ? 0 : range_value(flat, at);
        struct mr_content_range *range = &content->no_value;
        if (at >= 0 && (!last || last->key != value >> content->shift))
            last = range_of(content, value);
        if (at >= 0)
            range = last;
        range->rows++;
        range->sum += content->row_hashes[i];
        range->values += (uint64_t)value;
    }
    return MR_OK;
}

/* ---- partitions ---- */

static enum mr_status need_partitions(struct mr_content *content, struct mr_error *err)
{
    if (content->partition_slots)
        return MR_OK;
    content->partitions = mr_calloc(MR_CONTENT_PARTITIONS, sizeof *content->partitions);
    content->partition_slots = mr_calloc(PARTITION_SLOTS, sizeof *content->partition_slots);
    return content->partitions && content->partition_slots ? MR_OK : mr_error_nomem(err);
}

static int32_t *partition_slot(const struct mr_content *content, uint64_t hash)
{
    size_t at = (size_t)hash & (PARTITION_SLOTS - 1);
    while (content->partition_slots[at] &&
           content->partitions[content->partition_slots[at] - 1].hash != hash)
        at = (at + 1) & (PARTITION_SLOTS - 1);
    return &content->partition_slots[at];
}

static char *partition_label(const struct mr_content_spec *spec, const struct mr_batch *batch,
                             int64_t row)
{
    struct mr_bytes label;
    mr_bytes_init(&label, 4096);
    for (int i = 0; i < spec->npartitions; i++) {
        struct mr_value value;
        mr_column_get(batch->columns[spec->partitions[i]], row, &value);
        mr_bytes_printf(&label, "%s%s=", i ? "/" : "",
                        batch->schema->fields[spec->partitions[i]].name);
        mr_value_format(&value, &label);
    }
    mr_bytes_char(&label, '\0');
    char *text = mr_strdup(label.status == MR_OK ? label.data : "(long values)");
    mr_bytes_reset(&label);
    return text;
}

/* The partition with this hash, made when missing: *out NULL when there are too many. Takes over the label. */
static enum mr_status put_partition(struct mr_content *content, uint64_t hash, char *label,
                                    struct mr_content_partition **out, struct mr_error *err)
{
    if (!label)
        return mr_error_nomem(err);
    *out = NULL;
    if (content->npartitions == MR_CONTENT_PARTITIONS) {
        content->partitions_full = true;
        mr_free(label);
        return MR_OK;
    }
    *out = &content->partitions[content->npartitions];
    **out = (struct mr_content_partition){.hash = hash, .label = label};
    *partition_slot(content, hash) = ++content->npartitions;
    return MR_OK;
}

static struct mr_content_partition *find_partition(const struct mr_content *content, uint64_t hash)
{
    int32_t at = *partition_slot(content, hash);
    return at ? &content->partitions[at - 1] : NULL;
}

static enum mr_status add_partitions(struct mr_content *content, const struct mr_content_spec *spec,
                                     const struct mr_batch *batch, const int32_t *rows,
                                     int64_t count, struct mr_error *err)
{
    struct mr_content_partition *last = NULL;
    MR_TRY(need_partitions(content, err));
    if (content->partitions_full)
        return MR_OK;
    memset(content->hashes, 0, (size_t)count * sizeof *content->hashes);
    for (int i = 0; i < spec->npartitions; i++)
        mr_column_hash(batch->columns[spec->partitions[i]], rows, count, content->hashes);
    for (int64_t i = 0; i < count; i++) {
        uint64_t hash = content->hashes[i];
        if (!last || last->hash != hash)
            last = find_partition(content, hash);
        if (!last)
            MR_TRY(put_partition(content, hash, partition_label(spec, batch, rows ? rows[i] : i),
                                 &last, err));
        if (!last)
            return MR_OK;
        last->rows++;
        last->sum += content->row_hashes[i];
    }
    return MR_OK;
}

/* ---- sample ---- */

static enum mr_status need_keys(struct mr_content *content, struct mr_error *err)
{
    if (content->key_slots)
        return MR_OK;
    content->keys = mr_calloc(KEYS, sizeof *content->keys);
    content->key_slots = mr_calloc(KEY_SLOTS, sizeof *content->key_slots);
    return content->keys && content->key_slots ? MR_OK : mr_error_nomem(err);
}

static int32_t *key_slot(const struct mr_content *content, uint64_t key)
{
    size_t at = (size_t)key & (KEY_SLOTS - 1);
    while (content->key_slots[at] && content->keys[content->key_slots[at] - 1].key != key)
        at = (at + 1) & (KEY_SLOTS - 1);
    return &content->key_slots[at];
}

static void index_keys(struct mr_content *content)
{
    memset(content->key_slots, 0, KEY_SLOTS * sizeof *content->key_slots);
    for (int i = 0; i < content->nkeys; i++)
        *key_slot(content, content->keys[i].key) = i + 1;
}

static int by_key(const void *a, const void *b)
{
    const struct mr_content_key *left = a, *right = b;
    return (left->key > right->key) - (left->key < right->key);
}

/* Keeps the smallest. */
static void cut_keys(struct mr_content *content)
{
    qsort(content->keys, (size_t)content->nkeys, sizeof *content->keys, by_key);
    if (content->nkeys > MR_CONTENT_SAMPLE) {
        content->nkeys = MR_CONTENT_SAMPLE;
        content->bound = content->keys[content->nkeys - 1].key;
    }
    index_keys(content);
}

static void put_key(struct mr_content *content, const struct mr_content_key *from)
{
    if (from->key > content->bound)
        return;
    int32_t *slot = key_slot(content, from->key);
    if (*slot == 0 && content->fixed)
        return;
    if (*slot == 0) {
        if (content->nkeys == KEYS) {
            cut_keys(content);
            put_key(content, from);
            return;
        }
        *slot = ++content->nkeys;
    }
    content->keys[*slot - 1] = *from;
}

static enum mr_status add_keys(struct mr_content *content, const struct mr_content_spec *spec,
                               const struct mr_batch *batch, const int32_t *rows, int64_t count,
                               struct mr_error *err)
{
    MR_TRY(need_keys(content, err));
    memset(content->hashes, 0, (size_t)count * sizeof *content->hashes);
    for (int i = 0; i < spec->nkeys; i++)
        mr_column_hash(batch->columns[spec->keys[i]], rows, count, content->hashes);
    const struct mr_column *column = spec->range >= 0 ? batch->columns[spec->range] : NULL;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = column ? mr_column_place(column, rows ? rows[i] : i) : -1;
        struct mr_content_key key = {.key = mr_hash_mix(content->hashes[i]),
                                     .row = content->row_hashes[i],
                                     .value = at >= 0 ? range_value(flat_of(column), at) : 0,
                                     .seen = true};
        put_key(content, &key);
    }
    return MR_OK;
}

enum mr_status mr_content_fix_keys(struct mr_content *content, const struct mr_content *from,
                                   struct mr_error *err)
{
    MR_TRY(need_keys(content, err));
    content->nkeys = from->nkeys;
    content->bound = from->bound;
    content->fixed = true;
    for (int i = 0; i < from->nkeys; i++)
        content->keys[i] =
            (struct mr_content_key){.key = from->keys[i].key, .value = from->keys[i].value};
    index_keys(content);
    return MR_OK;
}

/* ---- rows ---- */

static enum mr_status make_room(struct mr_content *content, int64_t count, struct mr_error *err)
{
    if (count <= content->capacity)
        return MR_OK;
    uint64_t *hashes = mr_alloc((size_t)count * sizeof *hashes);
    uint64_t *row_hashes = mr_alloc((size_t)count * sizeof *row_hashes);
    if (!hashes || !row_hashes) {
        mr_free(hashes);
        mr_free(row_hashes);
        return mr_error_nomem(err);
    }
    mr_free(content->hashes);
    mr_free(content->row_hashes);
    content->hashes = hashes;
    content->row_hashes = row_hashes;
    content->capacity = count;
    return MR_OK;
}

static int64_t count_nulls(const struct mr_column *column, const int32_t *rows, int64_t count)
{
    int64_t nulls = 0;
    if (!rows)
        return column->type->id == MR_TYPE_NULL ? count : column->nulls;
    for (int64_t i = 0; i < count; i++)
        nulls += mr_column_is_null(column, rows[i]);
    return nulls;
}

/* Both halves of a product: one multiplication where mr_hash_mix has two, and no sum of values gets through it. */
static inline uint64_t hash_of(uint64_t word, uint64_t seed)
{
    unsigned __int128 product =
        (unsigned __int128)(word ^ seed) * ((word << 32 | word >> 32) ^ FACTOR);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static void add_column(struct mr_content *content, int number, const struct mr_column *column,
                       const int32_t *rows, int64_t count)
{
    const uint64_t *restrict words = content->hashes;
    uint64_t *restrict row_hashes = content->row_hashes;
    uint64_t sum = 0, seed = mr_hash_mix((uint64_t)number + 1);
    mr_column_words(column, rows, count, content->hashes);
    for (int64_t i = 0; i < count; i++) {
        uint64_t hash = hash_of(words[i], seed);
        sum += hash;
        row_hashes[i] += hash;
    }
    content->columns[number].sum += sum;
    content->columns[number].nulls += count_nulls(column, rows, count);
}

static enum mr_status add_rows(struct mr_content *content, const struct mr_content_spec *spec,
                               const struct mr_batch *batch, const int32_t *rows, int64_t count,
                               struct mr_error *err)
{
    MR_TRY(make_room(content, count, err));
    memset(content->row_hashes, 0, (size_t)count * sizeof *content->row_hashes);
    for (int c = 0; c < content->ncolumns; c++)
        add_column(content, c, batch->columns[c], rows, count);
    uint64_t sum = 0;
    for (int64_t i = 0; i < count; i++) {
        content->row_hashes[i] = mr_hash_mix(content->row_hashes[i]);
        sum += content->row_hashes[i];
    }
    content->rows += count;
    content->sum += sum;
    if (spec->range >= 0)
        MR_TRY(add_ranges(content, batch->columns[spec->range], rows, count, err));
    if (spec->npartitions > 0)
        MR_TRY(add_partitions(content, spec, batch, rows, count, err));
    if (spec->nkeys > 0)
        MR_TRY(add_keys(content, spec, batch, rows, count, err));
    return MR_OK;
}

enum mr_status mr_content_add(struct mr_content *content, const struct mr_content_spec *spec,
                              const struct mr_batch *batch, struct mr_error *err)
{
    if (batch->rows == 0)
        return MR_OK;
    if (spec->skip < 0)
        return add_rows(content, spec, batch, NULL, batch->rows, err);
    int64_t count = 0;
    int32_t *rows = mr_alloc((size_t)batch->rows * sizeof *rows);
    if (!rows)
        return mr_error_nomem(err);
    for (int64_t i = 0; i < batch->rows; i++)
        if (mr_column_is_null(batch->columns[spec->skip], i))
            rows[count++] = (int32_t)i;
    enum mr_status status = count > 0 ? add_rows(content, spec, batch, rows, count, err) : MR_OK;
    mr_free(rows);
    return status;
}

/* ---- merging ---- */

static enum mr_status merge_ranges(struct mr_content *content, const struct mr_content *from,
                                   struct mr_error *err)
{
    add_range(&content->no_value, &from->no_value);
    if (from->nranges == 0)
        return MR_OK;
    MR_TRY(need_ranges(content, err));
    mr_content_coarsen(content, from->shift);
    for (int i = 0; i < from->nranges; i++) {
        int64_t start = (int64_t)((uint64_t)from->ranges[i].key << from->shift);
        add_range(range_of(content, start), &from->ranges[i]);
    }
    return MR_OK;
}

static enum mr_status merge_partition(struct mr_content *content,
                                      const struct mr_content_partition *from, bool replace,
                                      struct mr_error *err)
{
    struct mr_content_partition *into = find_partition(content, from->hash);
    if (!into)
        MR_TRY(put_partition(content, from->hash, mr_strdup(from->label), &into, err));
    if (!into)
        return MR_OK;
    into->rows = from->rows + (replace ? 0 : into->rows);
    into->sum = from->sum + (replace ? 0 : into->sum);
    return MR_OK;
}

static enum mr_status merge_partitions(struct mr_content *content, const struct mr_content *from,
                                       bool replace, struct mr_error *err)
{
    content->partitions_full |= from->partitions_full;
    if (from->npartitions == 0)
        return MR_OK;
    MR_TRY(need_partitions(content, err));
    for (int i = 0; i < from->npartitions; i++)
        MR_TRY(merge_partition(content, &from->partitions[i], replace, err));
    return MR_OK;
}

enum mr_status mr_content_replace_partitions(struct mr_content *content,
                                             const struct mr_content *from, struct mr_error *err)
{
    return merge_partitions(content, from, true, err);
}

enum mr_status mr_content_merge(struct mr_content *content, const struct mr_content *from,
                                struct mr_error *err)
{
    if (content->ncolumns != from->ncolumns)
        return mr_error_internal(err, "contents of different columns cannot be added");
    content->rows += from->rows;
    content->sum += from->sum;
    for (int c = 0; c < content->ncolumns; c++) {
        content->columns[c].nulls += from->columns[c].nulls;
        content->columns[c].sum += from->columns[c].sum;
    }
    MR_TRY(merge_ranges(content, from, err));
    MR_TRY(merge_partitions(content, from, false, err));
    if (from->bound < content->bound)
        content->bound = from->bound;
    if (from->nkeys > 0)
        MR_TRY(need_keys(content, err));
    for (int i = 0; i < from->nkeys; i++)
        put_key(content, &from->keys[i]);
    return MR_OK;
}

static int by_label(const void *a, const void *b)
{
    const struct mr_content_partition *left = a, *right = b;
    return strcmp(left->label, right->label);
}

/* A bound that came with another content may have left keys above it. */
static void drop_keys_above(struct mr_content *content)
{
    int kept = 0;
    for (int i = 0; i < content->nkeys; i++)
        if (content->keys[i].key <= content->bound)
            content->keys[kept++] = content->keys[i];
    content->nkeys = kept;
}

void mr_content_sort(struct mr_content *content)
{
    if (content->nranges > 0) {
        qsort(content->ranges, (size_t)content->nranges, sizeof *content->ranges, by_range);
        index_ranges(content);
    }
    if (content->npartitions > 0) {
        qsort(content->partitions, (size_t)content->npartitions, sizeof *content->partitions,
              by_label);
        memset(content->partition_slots, 0, PARTITION_SLOTS * sizeof *content->partition_slots);
        for (int i = 0; i < content->npartitions; i++)
            *partition_slot(content, content->partitions[i].hash) = i + 1;
    }
    if (content->nkeys > 0 && !content->fixed) {
        drop_keys_above(content);
        cut_keys(content);
    }
}
