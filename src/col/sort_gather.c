/*
 * sort_gather.c - rows picked from several batches at once.
 *
 * What a merge gives is a list of positions; the columns of its result are made one after the other,
 * each in one loop over the positions that reads from wherever the row lies. The alternative, taking
 * from each batch and permuting what came together, moves every value twice; it is kept for nested
 * columns, whose lengths are another question at every level.
 *
 * DICTIONARY columns stay so when their dictionaries, one behind the other, are small against the rows:
 * codes are moved then, not texts.
 */
#include "col/sort.h"

#include <assert.h>

/* Where the values of one column of one batch are. */
struct from {
    const struct mr_column *flat; /* values, offsets and data */
    const uint8_t *values;
    const int32_t *codes;    /* DICTIONARY */
    const uint8_t *validity; /* by row, or NULL */
    bool constant;
    int32_t base; /* of its dictionary among those put together */
};

struct gather {
    struct mr_memory *memory;
    struct mr_batch *const *batches;
    int nbatches;
    const uint64_t *positions;
    int64_t count;
    const uint8_t *used; /* by batch */
    int first;           /* a batch in use */
    struct from *from;
    int column;
    bool plain; /* all FLAT */
    struct mr_error *err;
};

#define BATCH(p) ((int)((p) >> 32))
#define ROW(p)   ((int64_t)(uint32_t)(p))

static inline int64_t place(const struct from *from, int64_t row)
{
    return from->codes ? from->codes[row] : from->constant ? 0 : row;
}

static struct mr_column *column_of(const struct gather *g, int batch)
{
    return g->batches[batch]->columns[g->column];
}

static const struct mr_type *type_of(const struct gather *g)
{
    return column_of(g, g->first)->type;
}

/* Fills `from`; true when some row may be NULL. */
static bool look(struct gather *g)
{
    bool nulls = false;
    g->plain = true;
    for (int b = 0; b < g->nbatches; b++) {
        if (!g->used[b])
            continue;
        const struct mr_column *column = column_of(g, b);
        struct from *from = &g->from[b];
        bool coded = column->encoding == MR_DICTIONARY;
        from->flat = coded ? column->dictionary : column;
        from->values = from->flat->values ? from->flat->values->data : NULL;
        from->codes = coded ? mr_column_offsets(column) : NULL;
        from->validity = column->nulls > 0 && column->validity ? column->validity->data : NULL;
        from->constant = column->encoding == MR_CONSTANT;
        g->plain &= column->encoding == MR_FLAT;
        nulls |= column->nulls > 0;
    }
    return nulls;
}

static inline bool valid(const struct from *from, int64_t row)
{
    return mr_bitmap_get(from->validity, from->constant ? 0 : row);
}

static enum mr_status gather_validity(const struct gather *g, bool nulls, struct mr_buffer **out,
                                      int64_t *count)
{
    *out = NULL;
    *count = 0;
    if (!nulls)
        return MR_OK;
    size_t size = mr_bitmap_bytes(g->count);
    MR_TRY(mr_buffer_new(g->memory, size, out, g->err));
    memset((*out)->data, 0, size);
    for (int64_t i = 0; i < g->count; i++) {
        uint64_t p = g->positions[i];
        (*out)->data[i >> 3] |= (uint8_t)(valid(&g->from[BATCH(p)], ROW(p)) << (i & 7));
    }
    mr_buffer_finish(*out, size);
    *count = g->count - mr_bitmap_count((*out)->data, g->count);
    return MR_OK;
}

/* A code under NULL may be anything: such rows are left at zero. */
#define MOVE(name, T)                                                                              \
    static void name(const struct gather *g, uint8_t *out_)                                        \
    {                                                                                              \
        T *restrict out = (T *)(void *)out_;                                                       \
        const struct from *from = g->from;                                                         \
        if (g->plain) {                                                                            \
            for (int64_t i = 0; i < g->count; i++) {                                               \
                uint64_t p = g->positions[i];                                                      \
                out[i] = ((const T *)(const void *)from[BATCH(p)].values)[ROW(p)];                 \
            }                                                                                      \
            return;                                                                                \
        }                                                                                          \
        for (int64_t i = 0; i < g->count; i++) {                                                   \
            const struct from *f = &from[BATCH(g->positions[i])];                                  \
            int64_t row = ROW(g->positions[i]);                                                    \
            out[i] = (T){0};                                                                       \
            if (valid(f, row))                                                                     \
                out[i] = ((const T *)(const void *)f->values)[place(f, row)];                      \
        }                                                                                          \
    }
struct sixteen {
    uint64_t low, high;
};
MOVE(move_1, uint8_t)
MOVE(move_2, uint16_t)
MOVE(move_4, uint32_t)
MOVE(move_8, uint64_t)
MOVE(move_16, struct sixteen)

static enum mr_status gather_fixed(const struct gather *g, struct mr_buffer *validity,
                                   int64_t nulls, struct mr_column **out)
{
    int width = mr_layout_width(mr_type_layout(type_of(g)));
    size_t size = (size_t)g->count * (size_t)width;
    struct mr_buffer *values;
    enum mr_status status = mr_buffer_new(g->memory, size, &values, g->err);
    if (status != MR_OK) {
        mr_buffer_unref(validity);
        return status;
    }
    if (width == 1)
        move_1(g, values->data);
    else if (width == 2)
        move_2(g, values->data);
    else if (width == 4)
        move_4(g, values->data);
    else if (width == 8)
        move_8(g, values->data);
    else
        move_16(g, values->data);
    mr_buffer_finish(values, size);
    return mr_column_new(type_of(g), g->count, nulls, validity, values, NULL, out, g->err);
}

static struct mr_slice text_at(const struct gather *g, uint64_t position)
{
    const struct from *from = &g->from[BATCH(position)];
    int64_t row = ROW(position);
    if (!valid(from, row))
        return (struct mr_slice){NULL, 0};
    return mr_column_slice(from->flat, place(from, row));
}

/* Offsets, and where each text starts; *total is their sum. */
static int64_t place_texts(const struct gather *g, int32_t *offsets, const char **starts)
{
    int64_t total = 0;
    offsets[0] = 0;
    for (int64_t i = 0; i < g->count; i++) {
        struct mr_slice text = text_at(g, g->positions[i]);
        starts[i] = text.data;
        total += (int64_t)text.size;
        offsets[i + 1] = (int32_t)total;
    }
    return total;
}

static enum mr_status too_large(struct mr_error *err)
{
    mr_error_set(err, MR_LIMIT, MR_CLASS_DATA, "a column of one batch exceeds 2 GiB");
    mr_error_hint(err, "lower resources.batchRows");
    return MR_LIMIT;
}

static enum mr_status gather_text(const struct gather *g, struct mr_buffer *validity, int64_t nulls,
                                  struct mr_column **out)
{
    struct mr_buffer *offsets = NULL, *data = NULL, *starts = NULL;
    size_t size = (size_t)(g->count + 1) * sizeof(int32_t);
    enum mr_status status = mr_buffer_new(g->memory, size, &offsets, g->err);
    if (status == MR_OK)
        status = mr_buffer_new(g->memory, (size_t)g->count * sizeof(char *), &starts, g->err);
    int64_t total = 0;
    if (status == MR_OK) {
        total =
            place_texts(g, (int32_t *)(void *)offsets->data, (const char **)(void *)starts->data);
        mr_buffer_finish(offsets, size);
        status = total > INT32_MAX ? too_large(g->err)
                                   : mr_buffer_new(g->memory, (size_t)total, &data, g->err);
    }
    if (status == MR_OK) {
        const int32_t *at = (const int32_t *)(const void *)offsets->data;
        const char *const *from = (const char *const *)(const void *)starts->data;
        for (int64_t i = 0; i < g->count; i++)
            if (at[i + 1] > at[i])
                memcpy(data->data + at[i], from[i], (size_t)(at[i + 1] - at[i]));
        mr_buffer_finish(data, (size_t)total);
    }
    mr_buffer_unref(starts);
    if (status != MR_OK) {
        mr_buffer_unref(offsets);
        mr_buffer_unref(validity);
        return status;
    }
    return mr_column_new(type_of(g), g->count, nulls, validity, offsets, data, out, g->err);
}

/* ---- dictionaries -------------------------------------------------------------------------- */

/*
 * The distinct dictionaries of the batches in use, in `list` (room for nbatches), with `base` set; 0
 * when codes are not worth it.
 */
static int find_dictionaries(struct gather *g, struct mr_column **list)
{
    int n = 0;
    int64_t entries = 0;
    for (int b = 0; b < g->nbatches; b++) {
        if (!g->used[b])
            continue;
        struct mr_column *column = column_of(g, b);
        if (column->encoding != MR_DICTIONARY)
            return 0;
        int d = n;
        int64_t base = entries;
        for (int i = n - 1; i >= 0 && i >= n - 16; i--) {
            base -= list[i]->length;
            if (list[i] == column->dictionary) {
                d = i;
                break;
            }
        }
        if (d == n) {
            base = entries;
            list[n++] = column->dictionary;
            entries += column->dictionary->length;
        }
        g->from[b].base = (int32_t)base;
        if (n > 1 && entries > g->count / 4)
            return 0;
    }
    return n;
}

static enum mr_status gather_codes(struct gather *g, struct mr_column **list, int n,
                                   struct mr_buffer *validity, int64_t nulls,
                                   struct mr_column **out)
{
    struct mr_column *dictionary = NULL;
    struct mr_buffer *codes = NULL;
    size_t size = (size_t)g->count * sizeof(int32_t);
    enum mr_status status = mr_buffer_new(g->memory, size, &codes, g->err);
    if (status == MR_OK && n == 1)
        dictionary = mr_column_ref(list[0]);
    else if (status == MR_OK)
        status = mr_column_concat(g->memory, list, n, &dictionary, g->err);
    if (status != MR_OK) {
        mr_buffer_unref(codes);
        mr_buffer_unref(validity);
        return status;
    }
    int32_t *to = (int32_t *)(void *)codes->data;
    for (int64_t i = 0; i < g->count; i++) {
        const struct from *from = &g->from[BATCH(g->positions[i])];
        int64_t row = ROW(g->positions[i]);
        to[i] = valid(from, row) ? from->codes[row] + from->base : 0;
    }
    mr_buffer_finish(codes, size);
    return mr_column_new_dictionary(dictionary, g->count, nulls, validity, codes, out, g->err);
}

/* ---- nested, and all else ------------------------------------------------------------------ */

/* Takes from each batch, puts the parts together, and takes again in the order wanted. */
static enum mr_status gather_nested(const struct gather *g, struct mr_column **out)
{
    struct mr_column **parts = mr_calloc((size_t)g->nbatches + 1, sizeof(*parts));
    int32_t *starts = mr_calloc((size_t)g->nbatches + 1, sizeof *starts);
    int32_t *rows = mr_calloc((size_t)g->count + 1, sizeof *rows);
    int32_t *places = mr_calloc((size_t)g->count + 1, sizeof *places);
    struct mr_column *all = NULL;
    int nparts = 0;
    enum mr_status status = parts && starts && rows && places ? MR_OK : mr_error_nomem(g->err);
    if (status == MR_OK) {
        for (int64_t i = 0; i < g->count; i++)
            starts[BATCH(g->positions[i]) + 1]++;
        for (int b = 0; b < g->nbatches; b++)
            starts[b + 1] += starts[b];
        for (int64_t i = 0; i < g->count; i++) {
            int32_t at = starts[BATCH(g->positions[i])]++;
            rows[at] = (int32_t)ROW(g->positions[i]);
            places[i] = at;
        }
    }
    /* starts[b] is now the end of batch b's rows. */
    for (int b = 0; status == MR_OK && b < g->nbatches; b++) {
        int32_t from = b ? starts[b - 1] : 0;
        if (starts[b] == from)
            continue;
        status = mr_column_take(g->memory, column_of(g, b), rows + from, starts[b] - from,
                                &parts[nparts], g->err);
        nparts += status == MR_OK;
    }
    if (status == MR_OK)
        status = mr_column_concat(g->memory, parts, nparts, &all, g->err);
    if (status == MR_OK)
        status = mr_column_take(g->memory, all, places, g->count, out, g->err);
    mr_column_unref(all);
    for (int i = 0; i < nparts; i++)
        mr_column_unref(parts[i]);
    mr_free(places);
    mr_free(rows);
    mr_free(starts);
    mr_free(parts);
    return status;
}

static enum mr_status gather_column(struct gather *g, struct mr_column **list,
                                    struct mr_column **out)
{
    const struct mr_type *type = type_of(g);
    struct mr_buffer *validity;
    int64_t nulls;
    if (type->id == MR_TYPE_NULL)
        return mr_column_resize_constant(column_of(g, g->first), g->count, out, g->err);
    if (g->count == 0)
        return mr_column_range(g->memory, column_of(g, g->first), 0, 0, out, g->err);
    if (mr_type_is_nested(type))
        return gather_nested(g, out);
    bool any = look(g);
    MR_TRY(gather_validity(g, any, &validity, &nulls));
    int ndictionaries = find_dictionaries(g, list);
    if (ndictionaries > 0)
        return gather_codes(g, list, ndictionaries, validity, nulls, out);
    if (mr_type_layout(type) == MR_LAYOUT_BYTES)
        return gather_text(g, validity, nulls, out);
    return gather_fixed(g, validity, nulls, out);
}

/* All rows of one batch in order need no copy. */
static bool is_whole_batch(const struct gather *g)
{
    if (g->count == 0 || g->batches[g->first]->rows != g->count)
        return false;
    uint64_t start = mr_sort_position(g->first, 0);
    for (int64_t i = 0; i < g->count; i++)
        if (g->positions[i] != start + (uint64_t)i)
            return false;
    return true;
}

static void find_used(struct gather *g, uint8_t *used)
{
    g->first = g->count > 0 ? BATCH(g->positions[0]) : 0;
    for (int64_t i = 0; i < g->count; i++)
        used[BATCH(g->positions[i])] = 1;
    g->used = used;
}

enum mr_status mr_sort_gather(struct mr_memory *memory, const struct mr_schema *schema,
                              struct mr_batch *const *batches, int nbatches,
                              const uint64_t *positions, int64_t count, struct mr_batch **out,
                              struct mr_error *err)
{
    struct gather g = {.memory = memory,
                       .batches = batches,
                       .nbatches = nbatches,
                       .positions = positions,
                       .count = count,
                       .err = err};
    uint8_t *used = mr_calloc((size_t)nbatches + 1, 1);
    struct mr_column **list = mr_calloc((size_t)nbatches + 1, sizeof(*list));
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof(*columns));
    g.from = mr_calloc((size_t)nbatches + 1, sizeof *g.from);
    int n = 0;
    enum mr_status status = used && list && columns && g.from ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK) {
        find_used(&g, used);
        bool whole = is_whole_batch(&g);
        for (; status == MR_OK && n < schema->nfields; n += status == MR_OK) {
            g.column = n;
            if (whole)
                columns[n] = mr_column_ref(column_of(&g, g.first));
            else
                status = gather_column(&g, list, &columns[n]);
        }
    }
    if (status == MR_OK)
        status = mr_batch_new(schema, count, columns, out, err);
    else
        for (int i = 0; i < n; i++)
            mr_column_unref(columns[i]);
    mr_free(g.from);
    mr_free(columns);
    mr_free(list);
    mr_free(used);
    return status;
}
