/*
 * chunk.c - from shredded values to pages.
 *
 * A chunk starts with a dictionary and keeps only ids until the first page is full. Then it is known whether the dictionary
 * pays: entries plus packed ids against the plain values. If not, that page is written PLAIN from the dictionary's entries, which are
 * freed, and the chunk goes on PLAIN; where nearly all of the first 4096 values are distinct, that is known at once. Later pages give up as well when
 * the dictionary passes its limit or still grows by more than an eighth of a page's values; pages written before stay as they are,
 * since a chunk may mix encodings. Pages are compressed as soon as they are full, so a row group costs its compressed
 * bytes plus one open page a column. Holding uncompressed row groups, as Arrow's buffered writer does, costs 3-10
 * times the memory.
 *
 * Values that are not ids are PLAIN, or delta-encoded where that is smaller (page.c).
 *
 * Bounds: of plain values as they come; of ids, over the distinct entries that a page uses, when it ends.
 */
#include "format/parquet/chunk.h"

#include "format/parquet/page.h"
#include "format/parquet/rle.h"

/* Values after which a chunk of (nearly) distinct ones is written PLAIN at once: over some 40,000 distinct in all. */
#define SAMPLE_VALUES 4096

void mr_pq_chunk_init(struct mr_pq_chunk *chunk, struct mr_pq_encoder *encoder,
                      const struct mr_pq_leaf *leaf)
{
    *chunk = (struct mr_pq_chunk){.encoder = encoder, .leaf = leaf};
    mr_pq_dict_init(&chunk->dict, encoder->memory, leaf->value);
    mr_pq_bounds_init(&chunk->page_bounds);
    mr_pq_bounds_init(&chunk->bounds);
    if (leaf->physical == MR_PQ_BOOLEAN || encoder->dictionary_bytes == 0)
        chunk->mode = MR_PQ_PLAIN;
}

void mr_pq_chunk_reset(struct mr_pq_chunk *chunk)
{
    for (int i = 0; i < chunk->npages; i++)
        mr_buffer_unref(chunk->pages[i].data);
    mr_memory_credit(chunk->encoder->memory, (int64_t)sizeof *chunk->pages * chunk->pages_capacity);
    mr_free(chunk->pages);
    mr_pq_dict_reset(&chunk->dict);
    mr_column_unref(chunk->codes_of);
    mr_buffer_unref(chunk->codes_map);
    mr_buffer_unref(chunk->ids);
    mr_buffer_unref(chunk->plain);
    mr_buffer_unref(chunk->def);
    mr_buffer_unref(chunk->rep);
    bool settled = chunk->settled;
    int value_encoding = chunk->value_encoding;
    mr_pq_chunk_init(chunk, chunk->encoder, chunk->leaf);
    chunk->settled = settled;
    chunk->value_encoding = value_encoding;
}

/* Room for `bytes` more behind buffer->size. */
static enum mr_status more(struct mr_pq_chunk *chunk, struct mr_buffer **buffer, size_t bytes,
                           struct mr_error *err)
{
    if (*buffer == NULL)
        return mr_buffer_new(chunk->encoder->memory, bytes < 256 ? 256 : bytes, buffer, err);
    if ((*buffer)->size + bytes <= (*buffer)->capacity)
        return MR_OK;
    return mr_buffer_reserve(*buffer, (*buffer)->size + bytes, err);
}

/* ---- levels ---- */

static enum mr_status append_levels(struct mr_pq_chunk *chunk, const struct mr_pq_shred *shred,
                                    int64_t from, int64_t count, int64_t values,
                                    struct mr_error *err)
{
    const struct mr_pq_leaf *leaf = chunk->leaf;
    bool held = chunk->def != NULL && chunk->def->size > 0;
    if (shred->rep != NULL) {
        MR_TRY(more(chunk, &chunk->rep, (size_t)count, err));
        memcpy(chunk->rep->data + chunk->rep->size, shred->rep + from, (size_t)count);
        chunk->rep->size += (size_t)count;
    }
    /* Nothing is kept for as long as no level of the page is below the maximum. */
    if (leaf->max_def == 0 || (values == count && !held))
        return MR_OK;
    size_t behind = held ? 0 : (size_t)chunk->page_levels;
    MR_TRY(more(chunk, &chunk->def, behind + (size_t)count, err));
    uint8_t *to = chunk->def->data + chunk->def->size;
    memset(to, leaf->max_def, behind);
    if (shred->def != NULL)
        memcpy(to + behind, shred->def + from, (size_t)count);
    else
        memset(to + behind, leaf->max_def, (size_t)count);
    chunk->def->size += behind + (size_t)count;
    return MR_OK;
}

/* ---- values ---- */

/* Copies short strings by fixed-size moves where reading over their end is allowed. */
static inline void copy_bytes(uint8_t *to, const uint8_t *from, size_t size, const uint8_t *safe)
{
    if (size <= 32 && from <= safe) {
        memcpy(to, from, 16);
        memcpy(to + 16, from + 16, 16);
    } else if (size > 0) {
        memcpy(to, from, size);
    }
}

static enum mr_status plain_bytes(struct mr_pq_chunk *chunk, const struct mr_pq_dense *dense,
                                  struct mr_error *err)
{
    size_t total = 32;
    if (dense->ends == dense->starts + 1)
        total += (size_t)(dense->ends[dense->count - 1] - dense->starts[0]);
    else
        for (int64_t i = 0; i < dense->count; i++)
            total += (size_t)(dense->ends[i] - dense->starts[i]);
    MR_TRY(more(chunk, &chunk->plain, total + 4 * (size_t)dense->count, err));
    uint8_t *to = chunk->plain->data + chunk->plain->size;
    const uint8_t *safe = dense->limit >= 32 ? dense->data + dense->limit - 32 : NULL;
    for (int64_t i = 0; i < dense->count; i++) {
        uint32_t size = (uint32_t)(dense->ends[i] - dense->starts[i]);
        memcpy(to, &size, 4);
        copy_bytes(to + 4, dense->data + dense->starts[i], size, safe);
        to += size + 4;
    }
    chunk->plain->size = (size_t)(to - chunk->plain->data);
    mr_pq_bounds_bytes(&chunk->page_bounds, chunk->leaf->order, dense->data, dense->limit,
                       dense->starts, dense->ends, dense->count);
    return MR_OK;
}

static enum mr_status plain_fixed(struct mr_pq_chunk *chunk, const uint8_t *values, int64_t count,
                                  struct mr_error *err)
{
    const struct mr_pq_leaf *leaf = chunk->leaf;
    bool wide = leaf->order == MR_PQ_ORDER_I128;
    size_t width = wide ? (size_t)leaf->width : (size_t)leaf->value;
    MR_TRY(more(chunk, &chunk->plain, (size_t)count * width, err));
    uint8_t *to = chunk->plain->data + chunk->plain->size;
    if (wide)
        for (int64_t i = 0; i < count; i++, to += width)
            mr_pq_decimal_bytes(((const mr_int128 *)(const void *)values)[i], leaf->width, to);
    else
        memcpy(to, values, (size_t)count * width);
    chunk->plain->size += (size_t)count * width;
    return MR_OK;
}

static enum mr_status append_plain(struct mr_pq_chunk *chunk, const struct mr_pq_shred *shred,
                                   int64_t from, int64_t count, struct mr_error *err)
{
    struct mr_pq_dense dense;
    MR_TRY(mr_pq_gather(&chunk->encoder->scratch, chunk->leaf, shred, from, count, &dense, err));
    if (chunk->leaf->value == 0)
        return plain_bytes(chunk, &dense, err);
    mr_pq_bounds_fixed(&chunk->page_bounds, chunk->leaf->order, dense.data, count);
    return plain_fixed(chunk, dense.data, count, err);
}

static enum mr_status put_dense(struct mr_pq_chunk *chunk, const struct mr_pq_dense *dense,
                                uint32_t *ids, struct mr_error *err)
{
    if (chunk->leaf->value == 0)
        return mr_pq_dict_put_bytes(&chunk->dict, dense->data, dense->starts, dense->ends,
                                    dense->count, ids, err);
    return mr_pq_dict_put_fixed(&chunk->dict, dense->data, dense->count, ids, err);
}

/* Makes codes_map belong to this column of entries. */
static enum mr_status follow_codes(struct mr_pq_chunk *chunk, const struct mr_column *column,
                                   struct mr_error *err)
{
    if (chunk->codes_of == column)
        return MR_OK;
    size_t entries = column->encoding == MR_CONSTANT ? 1 : (size_t)column->length;
    mr_column_unref(chunk->codes_of);
    chunk->codes_of = NULL;
    mr_buffer_unref(chunk->codes_map);
    chunk->codes_map = NULL;
    MR_TRY(mr_buffer_new(chunk->encoder->memory, entries * sizeof(int32_t) + 1, &chunk->codes_map,
                         err));
    memset(chunk->codes_map->data, 0xff, entries * sizeof(int32_t));
    chunk->codes_of = mr_column_ref((struct mr_column *)column);
    return MR_OK;
}

/* The input's codes become ids by a table; only an entry seen for the first time is hashed. */
static enum mr_status append_codes(struct mr_pq_chunk *chunk, const struct mr_pq_shred *shred,
                                   int64_t from, int64_t count, uint32_t *ids, struct mr_error *err)
{
    MR_TRY(follow_codes(chunk, shred->column, err));
    int32_t *map = (int32_t *)(void *)chunk->codes_map->data;
    for (int64_t i = 0; i < count; i++) {
        int32_t code = shred->index[from + i];
        if (__builtin_expect(map[code] < 0, 0)) {
            struct mr_pq_dense dense;
            uint32_t id;
            MR_TRY(mr_pq_gather(&chunk->encoder->scratch, chunk->leaf, shred, from + i, 1, &dense,
                                err));
            MR_TRY(put_dense(chunk, &dense, &id, err));
            map[code] = (int32_t)id;
        }
        ids[i] = (uint32_t)map[code];
    }
    return MR_OK;
}

static enum mr_status append_ids(struct mr_pq_chunk *chunk, const struct mr_pq_shred *shred,
                                 int64_t from, int64_t count, struct mr_error *err)
{
    MR_TRY(more(chunk, &chunk->ids, (size_t)count * sizeof(uint32_t), err));
    uint32_t *ids = (uint32_t *)(void *)(chunk->ids->data + chunk->ids->size);
    if (shred->coded) {
        MR_TRY(append_codes(chunk, shred, from, count, ids, err));
    } else {
        struct mr_pq_dense dense;
        MR_TRY(
            mr_pq_gather(&chunk->encoder->scratch, chunk->leaf, shred, from, count, &dense, err));
        MR_TRY(put_dense(chunk, &dense, ids, err));
    }
    chunk->ids->size += (size_t)count * sizeof(uint32_t);
    return MR_OK;
}

/* ---- the end of a page ---- */

static const uint32_t *entry_starts(const struct mr_pq_chunk *chunk)
{
    return (const uint32_t *)(const void *)chunk->dict.starts->data;
}

static const uint32_t *page_ids(const struct mr_pq_chunk *chunk)
{
    return (const uint32_t *)(const void *)chunk->ids->data;
}

/* Bounds over the entries marked in used[], squeezed together in the scratch. */
static enum mr_status bounds_of_used(struct mr_pq_chunk *chunk, const uint8_t *used,
                                     struct mr_error *err)
{
    struct mr_pq_scratch *scratch = &chunk->encoder->scratch;
    const uint8_t *entries = chunk->dict.values->data;
    uint32_t entries_count = chunk->dict.count;
    size_t width = (size_t)chunk->leaf->value;
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->values,
                              entries_count * (width > 4 ? width : 4) + 16, err));
    int64_t n = 0;
    if (width > 0) {
        uint8_t *to = scratch->values->data;
        for (uint32_t i = 0; i < entries_count; i++) {
            memcpy(to + (size_t)n * width, entries + (size_t)i * width, width);
            n += used[i];
        }
        mr_pq_bounds_fixed(&chunk->page_bounds, chunk->leaf->order, to, n);
        return MR_OK;
    }
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->ends, entries_count * 4 + 16, err));
    int32_t *starts = (int32_t *)(void *)scratch->values->data;
    int32_t *ends = (int32_t *)(void *)scratch->ends->data;
    const uint32_t *at = entry_starts(chunk);
    for (uint32_t i = 0; i < entries_count; i++) {
        starts[n] = (int32_t)at[i] + 4;
        ends[n] = (int32_t)at[i + 1];
        n += used[i];
    }
    mr_pq_bounds_bytes(&chunk->page_bounds, chunk->leaf->order, entries, chunk->dict.values->size,
                       starts, ends, n);
    return MR_OK;
}

static enum mr_status bounds_of_ids(struct mr_pq_chunk *chunk, struct mr_error *err)
{
    struct mr_pq_scratch *scratch = &chunk->encoder->scratch;
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->ids, chunk->dict.count + 1, err));
    uint8_t *used = scratch->ids->data;
    const uint32_t *ids = page_ids(chunk);
    memset(used, 0, chunk->dict.count);
    for (int64_t i = 0; i < chunk->page_values; i++)
        used[ids[i]] = 1;
    MR_TRY(bounds_of_used(chunk, used, err));
    /* The bounds counted NaN entries once each; statistics count rows. */
    if (chunk->page_bounds.nans > 0) {
        chunk->page_bounds.nans = 0;
        for (int64_t i = 0; i < chunk->page_values; i++) {
            double value =
                chunk->leaf->order == MR_PQ_ORDER_F64
                    ? ((const double *)(const void *)chunk->dict.values->data)[ids[i]]
                    : (double)((const float *)(const void *)chunk->dict.values->data)[ids[i]];
            chunk->page_bounds.nans += value != value;
        }
    }
    return MR_OK;
}

/* Bytes that the values of the open page take when written PLAIN. */
static size_t plain_size_of_ids(const struct mr_pq_chunk *chunk)
{
    if (chunk->leaf->value > 0)
        return (size_t)chunk->page_values * (size_t)chunk->leaf->value;
    const uint32_t *ids = page_ids(chunk), *starts = entry_starts(chunk);
    size_t size = 0;
    for (int64_t i = 0; i < chunk->page_values; i++)
        size += starts[ids[i] + 1] - starts[ids[i]];
    return size;
}

static bool dictionary_pays(const struct mr_pq_chunk *chunk)
{
    size_t bits = (size_t)mr_rle_width(chunk->dict.count) * (size_t)chunk->page_values;
    return mr_pq_dict_bytes(&chunk->dict) + bits / 8 < plain_size_of_ids(chunk);
}

/* Turns the ids of the open page into PLAIN values and drops the dictionary. */
static enum mr_status abandon_dictionary(struct mr_pq_chunk *chunk, struct mr_error *err)
{
    const uint32_t *ids = page_ids(chunk);
    const uint8_t *entries = chunk->dict.values->data;
    size_t width = (size_t)chunk->leaf->value;
    MR_TRY(more(chunk, &chunk->plain, plain_size_of_ids(chunk) + 16, err));
    if (width > 0) {
        for (int64_t i = 0; i < chunk->page_values; i++)
            MR_TRY(plain_fixed(chunk, entries + ids[i] * width, 1, err));
    } else {
        const uint32_t *starts = entry_starts(chunk);
        for (int64_t i = 0; i < chunk->page_values; i++) {
            size_t size = starts[ids[i] + 1] - starts[ids[i]];
            memcpy(chunk->plain->data + chunk->plain->size, entries + starts[ids[i]], size);
            chunk->plain->size += size;
        }
    }
    mr_pq_dict_reset(&chunk->dict);
    mr_buffer_unref(chunk->ids);
    chunk->ids = NULL;
    chunk->mode = MR_PQ_PLAIN;
    return MR_OK;
}

/* Before the page is written: its bounds, and whether it stays a page of ids. */
static enum mr_status settle_page(struct mr_pq_chunk *chunk, struct mr_error *err)
{
    chunk->page_plain = chunk->mode == MR_PQ_PLAIN || chunk->page_values == 0;
    if (chunk->page_plain)
        return MR_OK;
    MR_TRY(bounds_of_ids(chunk, err));
    if (chunk->mode == MR_PQ_TRYING && !dictionary_pays(chunk)) {
        chunk->page_plain = true;
        return abandon_dictionary(chunk, err);
    }
    chunk->mode = MR_PQ_DICTIONARY;
    return MR_OK;
}

/* Nearly all of the first values are distinct: waiting for the end of the page would only fill a table. */
static enum mr_status give_up_early(struct mr_pq_chunk *chunk, struct mr_error *err)
{
    if (chunk->mode != MR_PQ_TRYING || chunk->page_values < SAMPLE_VALUES ||
        (int64_t)chunk->dict.count * 20 < chunk->page_values * 19)
        return MR_OK;
    MR_TRY(bounds_of_ids(chunk, err));
    return abandon_dictionary(chunk, err);
}

/* After a page of ids: does the dictionary still pay for the next? */
static void settle_mode(struct mr_pq_chunk *chunk)
{
    if (chunk->mode != MR_PQ_DICTIONARY)
        return;
    uint32_t grown = chunk->dict.count - chunk->dict_seen;
    bool growing = chunk->dict_seen > 0 && (int64_t)grown * 8 > chunk->page_values;
    bool full = (int64_t)mr_pq_dict_bytes(&chunk->dict) > chunk->encoder->dictionary_bytes;
    chunk->dict_seen = chunk->dict.count;
    if (growing || full)
        chunk->mode = MR_PQ_PLAIN;
}

static enum mr_status new_page(struct mr_pq_chunk *chunk, struct mr_pq_page **out,
                               struct mr_error *err)
{
    if (chunk->npages == chunk->pages_capacity) {
        int capacity = chunk->pages_capacity == 0 ? 4 : chunk->pages_capacity * 2;
        int64_t more_bytes = (int64_t)sizeof *chunk->pages * (capacity - chunk->pages_capacity);
        MR_TRY(mr_memory_charge(chunk->encoder->memory, more_bytes, err));
        void *pages = mr_realloc(chunk->pages, sizeof *chunk->pages * (size_t)capacity);
        if (pages == NULL) {
            mr_memory_credit(chunk->encoder->memory, more_bytes);
            return mr_error_nomem(err);
        }
        chunk->pages = pages;
        chunk->pages_capacity = capacity;
    }
    *out = &chunk->pages[chunk->npages];
    return MR_OK;
}

static void clear_page(struct mr_pq_chunk *chunk)
{
    struct mr_buffer *held[] = {chunk->ids, chunk->plain, chunk->def, chunk->rep};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        if (held[i] != NULL)
            held[i]->size = 0;
    chunk->page_rows = chunk->page_levels = chunk->page_values = 0;
    mr_pq_bounds_init(&chunk->page_bounds);
}

enum mr_status mr_pq_chunk_close_page(struct mr_pq_chunk *chunk, struct mr_error *err)
{
    if (chunk->page_rows == 0)
        return MR_OK;
    struct mr_pq_page *page = NULL;
    MR_TRY(new_page(chunk, &page, err));
    MR_TRY(settle_page(chunk, err));
    MR_TRY(mr_pq_page_data(chunk, &page->data, err));
    chunk->npages++;
    page->first_row = chunk->rows;
    page->nulls = chunk->page_levels - chunk->page_values;
    page->values = chunk->page_values;
    page->bounds = chunk->page_bounds;
    chunk->dict_pages += !chunk->page_plain;
    chunk->plain_pages += chunk->page_plain && chunk->page_encoding == MR_PQ_ENC_PLAIN;
    chunk->rows += chunk->page_rows;
    chunk->levels += chunk->page_levels;
    chunk->nulls += page->nulls;
    mr_pq_bounds_merge(&chunk->bounds, chunk->leaf->order, &chunk->page_bounds);
    settle_mode(chunk);
    clear_page(chunk);
    return MR_OK;
}

/* ---- cutting into pages ---- */

struct piece {
    int64_t rows;
    int64_t levels;
    int64_t values;
};

static int64_t count_values(const struct mr_pq_chunk *chunk, const struct mr_pq_shred *shred,
                            int64_t from, int64_t count)
{
    if (shred->def == NULL)
        return count;
    int64_t values = 0;
    uint8_t max = (uint8_t)chunk->leaf->max_def;
    for (int64_t i = from; i < from + count; i++)
        values += shred->def[i] == max;
    return values;
}

/* Bytes of byte-string values. */
static int64_t bytes_of(const struct mr_pq_shred *shred, int64_t from, int64_t count)
{
    const int32_t *offsets = mr_column_offsets(shred->column);
    if (shred->index == NULL)
        return offsets[shred->first + from + count] - offsets[shred->first + from];
    int64_t bytes = 0;
    for (int64_t i = from; i < from + count; i++)
        bytes += offsets[shred->index[i] + 1] - offsets[shred->index[i]];
    return bytes;
}

/* At most `rows` whole rows from `level`; of a repeated leaf as many as fit into `most` levels, at least one. */
static struct piece cut_rows(const struct mr_pq_chunk *chunk, const struct mr_pq_shred *shred,
                             int64_t level, int64_t rows, int64_t most)
{
    struct piece piece = {0};
    if (shred->rep == NULL) {
        int64_t left = shred->levels - level;
        left = left < most ? left : most;
        piece.rows = piece.levels = left < rows ? left : rows;
    } else {
        int64_t end = level;
        while (end < shred->levels && piece.rows < rows &&
               (end - level < most || piece.rows == 0)) {
            do
                end++;
            while (end < shred->levels && shred->rep[end] != 0);
            piece.rows++;
        }
        piece.levels = end - level;
    }
    piece.values = count_values(chunk, shred, level, piece.levels);
    return piece;
}

/* The next rows to append: what the open page still takes, and not much more than a quarter page of bytes. */
static struct piece next_piece(const struct mr_pq_chunk *chunk, const struct mr_pq_shred *shred,
                               int64_t level, int64_t value)
{
    int64_t rows = chunk->encoder->page_rows - chunk->page_rows;
    if (chunk->mode == MR_PQ_TRYING && rows > SAMPLE_VALUES)
        rows = SAMPLE_VALUES;
    int64_t bytes = chunk->encoder->page_bytes / 4;
    int64_t width = chunk->leaf->value > 4 ? chunk->leaf->value : 4;
    int64_t most = bytes / width + 1;
    struct piece piece = cut_rows(chunk, shred, level, rows, most);
    while (chunk->leaf->value == 0 && piece.rows > 1 && piece.values > 0 &&
           bytes_of(shred, value, piece.values) + 4 * piece.values > bytes)
        piece = cut_rows(chunk, shred, level, piece.rows / 2, most);
    return piece;
}

static bool page_full(const struct mr_pq_chunk *chunk)
{
    const struct mr_pq_encoder *encoder = chunk->encoder;
    int64_t bytes = chunk->mode == MR_PQ_PLAIN ? (chunk->plain ? (int64_t)chunk->plain->size : 0)
                                               : chunk->page_values * 4;
    if (chunk->page_rows >= encoder->page_rows || bytes > encoder->page_bytes / 4 * 3)
        return true;
    return chunk->mode != MR_PQ_PLAIN &&
           (int64_t)mr_pq_dict_bytes(&chunk->dict) > encoder->dictionary_bytes;
}

enum mr_status mr_pq_chunk_append(struct mr_pq_chunk *chunk, const struct mr_pq_shred *shred,
                                  struct mr_error *err)
{
    int64_t level = 0, value = 0;
    while (level < shred->levels) {
        struct piece piece = next_piece(chunk, shred, level, value);
        MR_TRY(append_levels(chunk, shred, level, piece.levels, piece.values, err));
        if (piece.values > 0 && chunk->mode == MR_PQ_PLAIN)
            MR_TRY(append_plain(chunk, shred, value, piece.values, err));
        else if (piece.values > 0)
            MR_TRY(append_ids(chunk, shred, value, piece.values, err));
        level += piece.levels;
        value += piece.values;
        chunk->page_rows += piece.rows;
        chunk->page_levels += piece.levels;
        chunk->page_values += piece.values;
        MR_TRY(give_up_early(chunk, err));
        if (page_full(chunk))
            MR_TRY(mr_pq_chunk_close_page(chunk, err));
    }
    return MR_OK;
}

int64_t mr_pq_chunk_size(const struct mr_pq_chunk *chunk)
{
    int64_t open = chunk->mode == MR_PQ_PLAIN ? (chunk->plain ? (int64_t)chunk->plain->size : 0)
                                              : chunk->page_values * 2;
    return chunk->uncompressed + open + (int64_t)mr_pq_dict_bytes(&chunk->dict);
}

enum mr_status mr_pq_chunk_dictionary(struct mr_pq_chunk *chunk, struct mr_buffer **out,
                                      struct mr_error *err)
{
    *out = NULL;
    if (chunk->dict.count == 0)
        return MR_OK;
    return mr_pq_page_dictionary(chunk, out, err);
}
