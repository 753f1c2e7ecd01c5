/*
 * leaf_read.c - levels and values of a leaf, page by page, in batches that pages know nothing of.
 *
 * Three ways through a page, by what the levels must tell. A required column has none. A flat nullable column's levels
 * are its validity bitmap, copied bit by bit from the page or filled run by run. Below a struct or a list the levels are
 * kept as bytes, for assemble.c; a repeated column looks ahead, since a row ends only where the next one starts, perhaps in
 * the next page. Values follow densely in all three.
 */
#include "format/parquet/leaf_read.h"

#include "format/parquet/delta.h"

/* Strings of dictionaries up to this many bytes stay codes; larger ones cost more as shared weight than as copies. */
#define CODED_MAX ((size_t)256 << 10)

static enum mr_status bad(const struct mr_pq_leaf_reader *leaf, struct mr_error *err,
                          const char *what)
{
    return mr_pq_pages_bad(&leaf->pages, err, "%s", what);
}

static enum mr_status check_fault(const struct mr_pq_leaf_reader *leaf, enum mr_pq_fault fault,
                                  struct mr_error *err)
{
    enum mr_status status;
    char type[80];
    switch (fault) {
    case MR_PQ_FAULT_NONE:
        return MR_OK;
    case MR_PQ_FAULT_SHORT:
        return bad(leaf, err, "a page has fewer values than its header says");
    case MR_PQ_FAULT_CODE:
        return bad(leaf, err, "a value is outside of the dictionary");
    default:
        break;
    }
    bool nanos = leaf->convert.divide > 1 || leaf->convert.from == MR_PQ_IN_INT96;
    status = mr_pq_pages_bad(&leaf->pages, err,
                             nanos ? "a time is no whole microsecond, or does not fit into %s"
                                   : "a value does not fit into %s",
                             mr_type_text(leaf->type, type, sizeof type));
    if (nanos)
        mr_error_hint(err, "set \"nanoseconds\" to \"floor\" to cut times to microseconds");
    return status;
}

static int level_bits(int max)
{
    return max == 0 ? 0 : 32 - __builtin_clz((unsigned)max);
}

enum mr_status mr_pq_leaf_open(struct mr_pq_leaf_reader *leaf, const struct mr_registry *registry,
                               struct mr_error *err)
{
    leaf->values.memory = leaf->dictionary.memory = leaf->memory;
    leaf->values.convert = leaf->dictionary.convert = &leaf->convert;
    return mr_pq_pages_open(&leaf->pages, registry, err);
}

static void drop_batch(struct mr_pq_leaf_reader *leaf)
{
    mr_pq_values_reset(&leaf->values);
    mr_buffer_unref(leaf->validity);
    leaf->validity = NULL;
    leaf->levels = 0;
}

void mr_pq_leaf_close(struct mr_pq_leaf_reader *leaf)
{
    drop_batch(leaf);
    mr_pq_pages_close(&leaf->pages);
    mr_pq_values_reset(&leaf->dictionary);
    mr_column_unref(leaf->dictionary_column);
    mr_buffer_unref(leaf->scratch[0]);
    mr_buffer_unref(leaf->scratch[1]);
    mr_buffer_unref(leaf->work);
    mr_buffer_unref(leaf->def_levels);
    mr_buffer_unref(leaf->rep_levels);
    leaf->dictionary_column = NULL;
    leaf->scratch[0] = leaf->scratch[1] = leaf->work = NULL;
    leaf->def_levels = leaf->rep_levels = NULL;
}

static enum mr_status scratch_room(struct mr_pq_leaf_reader *leaf, struct mr_buffer **buffer,
                                   size_t size, struct mr_error *err)
{
    if (*buffer != NULL && (*buffer)->capacity >= size + 64)
        return MR_OK;
    mr_buffer_unref(*buffer);
    *buffer = NULL;
    return mr_buffer_new(leaf->memory, size + 64, buffer, err);
}

/* ---- dictionaries ---- */

/* A column that shares the storage of the entries. */
static enum mr_status make_dictionary_column(struct mr_pq_leaf_reader *leaf, struct mr_error *err)
{
    struct mr_pq_values *entries = &leaf->dictionary;
    mr_buffer_finish(entries->values, (size_t)(entries->count + 1) * 4);
    mr_buffer_finish(entries->data, entries->bytes);
    return mr_column_new(leaf->type, entries->count, 0, NULL, mr_buffer_ref(entries->values),
                         mr_buffer_ref(entries->data), &leaf->dictionary_column, err);
}

static enum mr_status check_text(const struct mr_pq_leaf_reader *leaf,
                                 const struct mr_pq_values *values, struct mr_error *err)
{
    if (!leaf->convert.text || mr_pq_values_is_text(values))
        return MR_OK;
    enum mr_status status = bad(leaf, err, "a text is not UTF-8");
    mr_error_hint(err, "read the column as binary");
    return status;
}

static enum mr_status read_dictionary(struct mr_pq_leaf_reader *leaf,
                                      const struct mr_pq_page_in *page, struct mr_error *err)
{
    struct mr_pq_values *entries = &leaf->dictionary;
    enum mr_pq_fault fault = MR_PQ_FAULT_NONE;
    size_t used;
    if (leaf->has_dictionary)
        return bad(leaf, err, "a column chunk has two dictionaries");
    if (page->encoding != MR_PQ_E_PLAIN && page->encoding != MR_PQ_E_PLAIN_DICTIONARY)
        return bad(leaf, err, "its dictionary is not PLAIN");
    leaf->has_dictionary = true;
    if (leaf->levels_only)
        return MR_OK;
    if (leaf->convert.physical == MR_PQ_T_BOOLEAN)
        return bad(leaf, err, "a boolean column has a dictionary");
    if (leaf->convert.width > 0 &&
        page->data.size / (size_t)leaf->convert.width < (size_t)page->values)
        return check_fault(leaf, MR_PQ_FAULT_SHORT, err);
    if (page->values > 0 && leaf->convert.width > 0)
        MR_TRY(mr_pq_values_fixed(entries, page->data.data, page->values, &fault, err));
    else if (page->values > (int64_t)page->data.size / 4)
        fault = MR_PQ_FAULT_SHORT;
    else
        MR_TRY(mr_pq_values_plain(entries, page->data.data, page->data.size, page->values, true,
                                  &used, &fault, err));
    MR_TRY(check_fault(leaf, fault, err));
    MR_TRY(check_text(leaf, entries, err));
    if (entries->kind != MR_PQ_VALUES_BYTES)
        return MR_OK;
    leaf->coded = entries->bytes + (size_t)entries->count * 4 <= CODED_MAX;
    return make_dictionary_column(leaf, err);
}

/* ---- opening a page ---- */

static void open_levels(struct mr_pq_hybrid *hybrid, const struct mr_pq_part *part, bool legacy,
                        int max)
{
    if (legacy)
        mr_pq_hybrid_init_legacy(hybrid, part->data, part->size, level_bits(max));
    else
        mr_pq_hybrid_init(hybrid, part->data, part->size, level_bits(max));
}

static enum mr_status open_codes(struct mr_pq_leaf_reader *leaf, const struct mr_pq_part *data,
                                 struct mr_error *err)
{
    if (!leaf->has_dictionary)
        return bad(leaf, err, "a page needs a dictionary that the column chunk does not have");
    leaf->mode = MR_PQ_MODE_CODES;
    /* A page of NULLs may be empty. */
    int width = data->size > 0 ? data->data[0] : 0;
    size_t head = data->size > 0;
    if (width > 32)
        return bad(leaf, err, "dictionary indices have more than 32 bits");
    mr_pq_hybrid_init(&leaf->codes, data->data + head, data->size - head, width);
    return MR_OK;
}

static enum mr_status open_delta(struct mr_pq_leaf_reader *leaf, const struct mr_pq_page_in *page,
                                 struct mr_error *err)
{
    size_t used;
    int width = leaf->convert.width;
    if (leaf->convert.physical != MR_PQ_T_INT32 && leaf->convert.physical != MR_PQ_T_INT64)
        return bad(leaf, err, "DELTA_BINARY_PACKED of a column that is no integer");
    int64_t count = mr_pq_delta_count(page->data.data, page->data.size);
    if (count < 0 || count > page->values)
        return check_fault(leaf, MR_PQ_FAULT_SHORT, err);
    MR_TRY(scratch_room(leaf, &leaf->scratch[0], (size_t)(count * width), err));
    uint8_t *out = leaf->scratch[0]->data;
    if (!mr_pq_delta_read(page->data.data, page->data.size, width, out, &used))
        return bad(leaf, err, "delta-encoded values are damaged");
    leaf->mode = MR_PQ_MODE_FIXED;
    leaf->at = out;
    leaf->end = out + count * width;
    return MR_OK;
}

static enum mr_status open_split(struct mr_pq_leaf_reader *leaf, const struct mr_pq_page_in *page,
                                 struct mr_error *err)
{
    int width = leaf->convert.width;
    if (width == 0 || leaf->convert.physical == MR_PQ_T_BOOLEAN)
        return bad(leaf, err, "BYTE_STREAM_SPLIT of a column without a fixed width");
    int64_t count = (int64_t)(page->data.size / (size_t)width);
    MR_TRY(scratch_room(leaf, &leaf->scratch[0], page->data.size, err));
    uint8_t *out = leaf->scratch[0]->data;
    mr_pq_stream_join(page->data.data, count, width, out);
    leaf->mode = MR_PQ_MODE_FIXED;
    leaf->at = out;
    leaf->end = out + count * width;
    return MR_OK;
}

static enum mr_status open_strings(struct mr_pq_leaf_reader *leaf, const struct mr_pq_page_in *page,
                                   struct mr_error *err)
{
    const uint8_t *in = page->data.data;
    size_t size = page->data.size, data = 0;
    int64_t count = 0;
    bool whole = page->encoding == MR_PQ_E_DELTA_BYTE_ARRAY;
    if (leaf->convert.physical != MR_PQ_T_BYTE_ARRAY &&
        !(whole && leaf->convert.physical == MR_PQ_T_FIXED))
        return bad(leaf, err, "delta-encoded strings in a column of another type");
    mr_buffer_unref(leaf->scratch[0]);
    mr_buffer_unref(leaf->scratch[1]);
    leaf->scratch[0] = leaf->scratch[1] = NULL;
    enum mr_status status =
        whole ? mr_pq_delta_strings(leaf->memory, in, size, page->values, &leaf->scratch[0], &count,
                                    &leaf->scratch[1], err)
              : mr_pq_delta_lengths(leaf->memory, in, size, page->values, &leaf->scratch[0], &count,
                                    &data, err);
    if (status != MR_OK)
        return err && err->status == MR_SOURCE ? bad(leaf, err, "delta-encoded strings are damaged")
                                               : status;
    leaf->mode = MR_PQ_MODE_LENGTHS;
    leaf->lengths = (const int32_t *)(const void *)leaf->scratch[0]->data;
    leaf->values_left = count;
    leaf->at = whole ? leaf->scratch[1]->data : in + data;
    leaf->end = whole ? leaf->at + leaf->scratch[1]->size : in + size;
    if (leaf->convert.physical != MR_PQ_T_FIXED)
        return MR_OK;
    for (int64_t i = 0; i < count; i++)
        if (leaf->lengths[i] != leaf->convert.width)
            return bad(leaf, err, "delta-encoded strings are damaged");
    leaf->mode = MR_PQ_MODE_FIXED;
    return MR_OK;
}

static enum mr_status open_runs(struct mr_pq_leaf_reader *leaf, const struct mr_pq_part *data,
                                struct mr_error *err)
{
    uint32_t length;
    if (leaf->convert.physical != MR_PQ_T_BOOLEAN)
        return bad(leaf, err, "RLE values in a column that is not boolean");
    leaf->mode = MR_PQ_MODE_RUNS;
    if (data->size < 4) {
        mr_pq_hybrid_init(&leaf->codes, data->data, 0, 1);
        return MR_OK;
    }
    memcpy(&length, data->data, 4);
    if (length > data->size - 4)
        return check_fault(leaf, MR_PQ_FAULT_SHORT, err);
    mr_pq_hybrid_init(&leaf->codes, data->data + 4, length, 1);
    return MR_OK;
}

static enum mr_status open_values(struct mr_pq_leaf_reader *leaf, const struct mr_pq_page_in *page,
                                  struct mr_error *err)
{
    leaf->at = page->data.data;
    leaf->end = leaf->at + page->data.size;
    leaf->values_left = INT64_MAX;
    switch (page->encoding) {
    case MR_PQ_E_PLAIN:
        leaf->bit = 0;
        leaf->mode = leaf->convert.physical == MR_PQ_T_BOOLEAN ? MR_PQ_MODE_BITS
                     : leaf->convert.width > 0                 ? MR_PQ_MODE_FIXED
                                                               : MR_PQ_MODE_PLAIN;
        return MR_OK;
    case MR_PQ_E_PLAIN_DICTIONARY:
    case MR_PQ_E_RLE_DICTIONARY:
        return open_codes(leaf, &page->data, err);
    case MR_PQ_E_RLE:
        return open_runs(leaf, &page->data, err);
    case MR_PQ_E_DELTA_BINARY_PACKED:
        return open_delta(leaf, page, err);
    case MR_PQ_E_DELTA_LENGTH_BYTE_ARRAY:
    case MR_PQ_E_DELTA_BYTE_ARRAY:
        return open_strings(leaf, page, err);
    case MR_PQ_E_BYTE_STREAM_SPLIT:
        return open_split(leaf, page, err);
    case MR_PQ_E_ALP:
        return bad(leaf, err, "encoding ALP is not supported");
    default:
        return mr_pq_pages_bad(&leaf->pages, err, "encoding number %d is not known",
                               page->encoding);
    }
}

/* The next data page with levels; dictionaries on the way are taken. *got false at the chunk's end. */
static enum mr_status next_page(struct mr_pq_leaf_reader *leaf, bool *got, struct mr_error *err)
{
    struct mr_pq_page_in page;
    for (;;) {
        MR_TRY(mr_pq_pages_next(&leaf->pages, &page, got, err));
        if (!*got)
            return MR_OK;
        if (!page.dictionary)
            break;
        MR_TRY(read_dictionary(leaf, &page, err));
    }
    open_levels(&leaf->rep, &page.rep, page.legacy_rep, leaf->node->rep);
    open_levels(&leaf->def, &page.def, page.legacy_def, leaf->node->def);
    leaf->page_left = page.values;
    return leaf->levels_only ? MR_OK : open_values(leaf, &page, err);
}

/* ---- values ---- */

static enum mr_status take_codes(struct mr_pq_leaf_reader *leaf, int64_t count,
                                 enum mr_pq_fault *fault, struct mr_error *err)
{
    MR_TRY(scratch_room(leaf, &leaf->work, (size_t)count * 4, err));
    uint32_t *codes = (uint32_t *)(void *)leaf->work->data;
    if (!mr_pq_hybrid_get(&leaf->codes, codes, count)) {
        *fault = MR_PQ_FAULT_SHORT;
        return MR_OK;
    }
    return mr_pq_values_codes(&leaf->values, codes, count, &leaf->dictionary, leaf->coded, fault,
                              err);
}

static enum mr_status take_bools(struct mr_pq_leaf_reader *leaf, int64_t count,
                                 enum mr_pq_fault *fault, struct mr_error *err)
{
    MR_TRY(scratch_room(leaf, &leaf->work, (size_t)count, err));
    uint8_t *out = leaf->work->data;
    if (leaf->mode == MR_PQ_MODE_RUNS) {
        if (!mr_pq_hybrid_get_bytes(&leaf->codes, out, count))
            *fault = MR_PQ_FAULT_SHORT;
    } else if (leaf->bit + count > (int64_t)(leaf->end - leaf->at) * 8) {
        *fault = MR_PQ_FAULT_SHORT;
    } else {
        for (int64_t i = 0; i < count; i++, leaf->bit++)
            out[i] = (leaf->at[leaf->bit >> 3] >> (leaf->bit & 7)) & 1;
    }
    return *fault ? MR_OK : mr_pq_values_fixed(&leaf->values, out, count, fault, err);
}

static enum mr_status take_fixed(struct mr_pq_leaf_reader *leaf, int64_t count,
                                 enum mr_pq_fault *fault, struct mr_error *err)
{
    int64_t width = leaf->convert.width;
    if (count > (leaf->end - leaf->at) / width) {
        *fault = MR_PQ_FAULT_SHORT;
        return MR_OK;
    }
    const uint8_t *in = leaf->at;
    leaf->at += count * width;
    return mr_pq_values_fixed(&leaf->values, in, count, fault, err);
}

static enum mr_status take_strings(struct mr_pq_leaf_reader *leaf, int64_t count,
                                   enum mr_pq_fault *fault, struct mr_error *err)
{
    size_t used = 0, size = (size_t)(leaf->end - leaf->at);
    if (leaf->mode == MR_PQ_MODE_PLAIN) {
        MR_TRY(mr_pq_values_plain(&leaf->values, leaf->at, size, count, leaf->page_left == 0, &used,
                                  fault, err));
    } else if (count > leaf->values_left) {
        *fault = MR_PQ_FAULT_SHORT;
    } else {
        MR_TRY(mr_pq_values_lengths(&leaf->values, leaf->lengths, leaf->at, size, count, &used,
                                    fault, err));
        leaf->lengths += count;
        leaf->values_left -= count;
    }
    leaf->at += used;
    return MR_OK;
}

static enum mr_status take_values(struct mr_pq_leaf_reader *leaf, int64_t count,
                                  struct mr_error *err)
{
    enum mr_pq_fault fault = MR_PQ_FAULT_NONE;
    enum mr_status status = MR_OK;
    if (count == 0 || leaf->levels_only)
        return MR_OK;
    switch (leaf->mode) {
    case MR_PQ_MODE_CODES:
        status = take_codes(leaf, count, &fault, err);
        break;
    case MR_PQ_MODE_FIXED:
        status = take_fixed(leaf, count, &fault, err);
        break;
    case MR_PQ_MODE_PLAIN:
    case MR_PQ_MODE_LENGTHS:
        status = take_strings(leaf, count, &fault, err);
        break;
    default:
        status = take_bools(leaf, count, &fault, err);
    }
    if (status == MR_LIMIT && err != NULL)
        mr_error_prefix(err, "%s: column %s", leaf->pages.file->name, leaf->node->path);
    return status != MR_OK ? status : check_fault(leaf, fault, err);
}

/* ---- levels ---- */

static enum mr_status grow(struct mr_pq_leaf_reader *leaf, struct mr_buffer **buffer, int64_t more,
                           struct mr_error *err)
{
    size_t size = (size_t)(leaf->levels + more);
    if (*buffer == NULL)
        return mr_buffer_new(leaf->memory, size, buffer, err);
    return mr_buffer_reserve(*buffer, size, err);
}

static enum mr_status check_levels(const struct mr_pq_leaf_reader *leaf, const uint8_t *levels,
                                   int64_t count, int max, int64_t *at_max, struct mr_error *err)
{
    int64_t equal = 0;
    uint8_t most = 0;
    for (int64_t i = 0; i < count; i++) {
        most = levels[i] > most ? levels[i] : most;
        equal += levels[i] == max;
    }
    *at_max = equal;
    return most > max ? bad(leaf, err, "a level is over its maximum") : MR_OK;
}

static enum mr_status short_levels(const struct mr_pq_leaf_reader *leaf, struct mr_error *err)
{
    return bad(leaf, err, "a page has fewer levels than its header says");
}

/* Flat: `count` levels of this page. */
static enum mr_status flat_part(struct mr_pq_leaf_reader *leaf, int64_t count, struct mr_error *err)
{
    int64_t valid = count;
    if (leaf->node->def > 0) {
        valid = 0;
        if (!mr_pq_hybrid_get_bits(&leaf->def, leaf->validity->data, leaf->levels, count, &valid))
            return short_levels(leaf, err);
    }
    leaf->levels += count;
    leaf->page_left -= count;
    return take_values(leaf, valid, err);
}

/* Below structs only. */
static enum mr_status struct_part(struct mr_pq_leaf_reader *leaf, int64_t count,
                                  struct mr_error *err)
{
    int64_t valid;
    MR_TRY(grow(leaf, &leaf->def_levels, count, err));
    uint8_t *levels = leaf->def_levels->data + leaf->levels;
    if (!mr_pq_hybrid_get_bytes(&leaf->def, levels, count))
        return short_levels(leaf, err);
    MR_TRY(check_levels(leaf, levels, count, leaf->node->def, &valid, err));
    leaf->levels += count;
    leaf->page_left -= count;
    return take_values(leaf, valid, err);
}

static enum mr_status read_unrepeated(struct mr_pq_leaf_reader *leaf, int64_t rows,
                                      struct mr_error *err)
{
    if (!leaf->nested && leaf->node->def > 0) {
        MR_TRY(mr_buffer_new(leaf->memory, mr_bitmap_bytes(rows) + 8, &leaf->validity, err));
        memset(leaf->validity->data, 0, mr_bitmap_bytes(rows));
    }
    for (int64_t done = 0; done < rows;) {
        bool got = true;
        if (leaf->page_left == 0)
            MR_TRY(next_page(leaf, &got, err));
        if (!got)
            return bad(leaf, err, "its pages have fewer rows than the row group");
        int64_t now = leaf->page_left < rows - done ? leaf->page_left : rows - done;
        MR_TRY(leaf->nested ? struct_part(leaf, now, err) : flat_part(leaf, now, err));
        done += now;
    }
    return MR_OK;
}

/* Makes levels to look at; *got false at the end of the chunk. */
static enum mr_status look_ahead(struct mr_pq_leaf_reader *leaf, bool *got, struct mr_error *err)
{
    int64_t unused;
    *got = true;
    if (leaf->ahead_at < leaf->ahead_count)
        return MR_OK;
    if (leaf->page_left == 0)
        MR_TRY(next_page(leaf, got, err));
    if (!*got)
        return MR_OK;
    int64_t now = leaf->page_left < MR_PQ_AHEAD ? leaf->page_left : MR_PQ_AHEAD;
    if (!mr_pq_hybrid_get_bytes(&leaf->rep, leaf->ahead_rep, now) ||
        !mr_pq_hybrid_get_bytes(&leaf->def, leaf->ahead_def, now))
        return short_levels(leaf, err);
    MR_TRY(check_levels(leaf, leaf->ahead_rep, now, leaf->node->rep, &unused, err));
    MR_TRY(check_levels(leaf, leaf->ahead_def, now, leaf->node->def, &unused, err));
    if (!leaf->started && leaf->ahead_rep[0] != 0)
        return bad(leaf, err, "its first value continues a row that is not there");
    leaf->started = true;
    leaf->ahead_at = 0;
    leaf->ahead_count = (int)now;
    leaf->page_left -= now;
    return MR_OK;
}

static enum mr_status repeated_part(struct mr_pq_leaf_reader *leaf, int count, struct mr_error *err)
{
    MR_TRY(grow(leaf, &leaf->def_levels, count, err));
    MR_TRY(grow(leaf, &leaf->rep_levels, count, err));
    const uint8_t *def = leaf->ahead_def + leaf->ahead_at;
    memcpy(leaf->def_levels->data + leaf->levels, def, (size_t)count);
    memcpy(leaf->rep_levels->data + leaf->levels, leaf->ahead_rep + leaf->ahead_at, (size_t)count);
    int64_t valid = 0;
    for (int i = 0; i < count; i++)
        valid += def[i] == leaf->node->def;
    leaf->levels += count;
    leaf->ahead_at += count;
    return take_values(leaf, valid, err);
}

static enum mr_status read_repeated(struct mr_pq_leaf_reader *leaf, int64_t rows,
                                    struct mr_error *err)
{
    int64_t begun = 0;
    for (;;) {
        bool got;
        MR_TRY(look_ahead(leaf, &got, err));
        if (!got)
            break;
        int at = leaf->ahead_at;
        for (; at < leaf->ahead_count; at++) {
            if (leaf->ahead_rep[at] == 0 && begun == rows)
                break;
            begun += leaf->ahead_rep[at] == 0;
        }
        bool ended = at < leaf->ahead_count;
        MR_TRY(repeated_part(leaf, at - leaf->ahead_at, err));
        if (ended)
            break;
    }
    return begun < rows ? bad(leaf, err, "its pages have fewer rows than the row group") : MR_OK;
}

/* What that many rows of text take if they are like the rest of the chunk; a guess, kept within reason. */
static size_t text_bytes(const struct mr_pq_leaf_reader *leaf, int64_t rows)
{
    const struct mr_pq_column *column = leaf->pages.column;
    if (leaf->node->rep > 0 || leaf->convert.to != MR_LAYOUT_BYTES || column->values <= 0)
        return 0;
    double bytes = (double)column->uncompressed / (double)column->values * (double)rows * 1.05;
    return bytes < 0 || bytes > (double)(16 << 20) ? 0 : (size_t)bytes;
}

enum mr_status mr_pq_leaf_read(struct mr_pq_leaf_reader *leaf, int64_t rows, struct mr_error *err)
{
    drop_batch(leaf);
    leaf->values.expected = leaf->node->rep == 0 ? rows : 0;
    leaf->values.expected_bytes = text_bytes(leaf, rows);
    leaf->row += rows;
    if (leaf->node->rep > 0)
        return read_repeated(leaf, rows, err);
    return read_unrepeated(leaf, rows, err);
}

/* Pages are entered by their place: the dictionary in front of them has to be read first. */
static enum mr_status load_dictionary(struct mr_pq_leaf_reader *leaf, struct mr_error *err)
{
    struct mr_pq_page_in page;
    bool got;
    if (leaf->has_dictionary || leaf->pages.stream->next >= leaf->places->items[0].offset)
        return MR_OK;
    MR_TRY(mr_pq_pages_next(&leaf->pages, &page, &got, err));
    if (!got || !page.dictionary)
        return bad(leaf, err, "its offset index is wrong");
    return read_dictionary(leaf, &page, err);
}

/* The page that holds the row, if it is one behind that at hand. */
static enum mr_status jump(struct mr_pq_leaf_reader *leaf, int64_t row, struct mr_error *err)
{
    const struct mr_pq_places *places = leaf->places;
    int low = 0, high = places->count - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (places->items[middle].row <= row)
            low = middle;
        else
            high = middle - 1;
    }
    const struct mr_pq_place *place = &places->items[low];
    if (place->row < leaf->row || place->offset < leaf->pages.stream->next)
        return MR_OK;
    MR_TRY(load_dictionary(leaf, err));
    leaf->pages.stream->next = place->offset;
    leaf->page_left = 0;
    leaf->ahead_at = leaf->ahead_count = 0;
    leaf->started = false;
    leaf->row = place->row;
    return MR_OK;
}

enum mr_status mr_pq_leaf_seek(struct mr_pq_leaf_reader *leaf, int64_t row, int64_t most,
                               struct mr_error *err)
{
    if (leaf->places != NULL && leaf->places->count > 0 && row > leaf->row)
        MR_TRY(jump(leaf, row, err));
    while (leaf->row < row) {
        int64_t rows = row - leaf->row < most ? row - leaf->row : most;
        MR_TRY(mr_pq_leaf_read(leaf, rows, err));
    }
    return MR_OK;
}

/* ---- the column ---- */

/* Slots and validity from kept levels. */
static enum mr_status validity_of_levels(struct mr_pq_leaf_reader *leaf, int64_t *slots,
                                         struct mr_error *err)
{
    const uint8_t *def = leaf->def_levels ? leaf->def_levels->data : NULL;
    int max = leaf->node->def;
    int64_t n = 0;
    if (max == leaf->slot_def && leaf->node->rep == 0) {
        *slots = leaf->levels;
        return MR_OK;
    }
    MR_TRY(mr_buffer_new(leaf->memory, mr_bitmap_bytes(leaf->levels) + 8, &leaf->validity, err));
    uint8_t *bits = leaf->validity->data;
    memset(bits, 0, mr_bitmap_bytes(leaf->levels) + 8);
    for (int64_t i = 0; i < leaf->levels; i++) {
        bits[n >> 3] |= (uint8_t)((def[i] == max) << (n & 7));
        n += def[i] >= leaf->slot_def;
    }
    *slots = n;
    return MR_OK;
}

enum mr_status mr_pq_leaf_column(struct mr_pq_leaf_reader *leaf, struct mr_column **out,
                                 struct mr_error *err)
{
    int64_t slots = leaf->levels;
    *out = NULL;
    if (leaf->nested)
        MR_TRY(validity_of_levels(leaf, &slots, err));
    if (leaf->convert.from == MR_PQ_IN_NOTHING) {
        struct mr_value null = {.type = leaf->type, .is_null = true};
        return mr_column_new_constant(leaf->memory, leaf->type, &null, slots, out, err);
    }
    MR_TRY(check_text(leaf, &leaf->values, err));
    struct mr_buffer *validity = leaf->validity;
    leaf->validity = NULL;
    if (leaf->values.count == slots) {
        mr_buffer_unref(validity);
        validity = NULL;
    } else if (validity != NULL) {
        mr_buffer_finish(validity, mr_bitmap_bytes(slots));
    } else {
        return bad(leaf, err, "its values and levels do not go together");
    }
    return mr_pq_values_column(&leaf->values, leaf->type, slots, validity, leaf->dictionary_column,
                               out, err);
}
