/*
 * footer.c - page indexes, row groups and file metadata in Thrift.
 *
 * Source: parquet.thrift of the Parquet format, 2.11. Field numbers stand where they are used. Page indexes are serialised when a row group
 * ends and written behind the last one, as the format asks; until then a file keeps about 50 bytes a page of them.
 *
 * Statistics give min_value and max_value only, never the older signed min and max; null_count also when it is 0;
 * nan_count for floats. ColumnChunk.file_offset is 0, which the format now demands.
 */
#include "format/parquet/footer.h"

#include "config.h"
#include "format/parquet/page.h"

static bool page_has_bounds(const struct mr_pq_chunk *chunk, int i, struct mr_pq_bound *max)
{
    const struct mr_pq_page *page = &chunk->pages[i];
    if (page->values == 0)
        return true;
    if (!page->bounds.any)
        return false;
    mr_pq_bounds_max(&page->bounds, chunk->leaf, max);
    return max->usable;
}

/* 0 unordered, 1 ascending, 2 descending: of the pages that have values. */
static int boundary_order(const struct mr_pq_chunk *chunk)
{
    bool ascending = true, descending = true;
    const struct mr_pq_bounds *last = NULL;
    for (int i = 0; i < chunk->npages; i++) {
        if (chunk->pages[i].values == 0)
            continue;
        const struct mr_pq_bounds *now = &chunk->pages[i].bounds;
        for (int which = 0; last != NULL && which < 2; which++) {
            int order = mr_pq_bounds_compare(chunk->leaf, last, now, which);
            ascending &= order <= 0;
            descending &= order >= 0;
        }
        last = now;
    }
    return ascending ? 1 : descending ? 2 : 0;
}

bool mr_pq_column_index_write(const struct mr_pq_chunk *chunk, struct mr_bytes *out)
{
    struct mr_pq_bound bound;
    struct mr_thrift thrift;
    size_t n = (size_t)chunk->npages;
    if (chunk->leaf->order == MR_PQ_ORDER_NONE)
        return false;
    for (int i = 0; i < chunk->npages; i++)
        if (!page_has_bounds(chunk, i, &bound))
            return false;
    mr_thrift_init(&thrift, out);
    mr_thrift_list(&thrift, 1, MR_THRIFT_TRUE, n);
    for (size_t i = 0; i < n; i++)
        mr_thrift_item_bool(&thrift, chunk->pages[i].values == 0);
    for (int16_t field = 2; field <= 3; field++) {
        mr_thrift_list(&thrift, field, MR_THRIFT_BINARY, n);
        for (size_t i = 0; i < n; i++) {
            bound.size = 0;
            if (chunk->pages[i].values > 0 && field == 2)
                mr_pq_bounds_min(&chunk->pages[i].bounds, chunk->leaf, &bound);
            else if (chunk->pages[i].values > 0)
                mr_pq_bounds_max(&chunk->pages[i].bounds, chunk->leaf, &bound);
            mr_thrift_item_binary(&thrift, bound.bytes, (size_t)bound.size);
        }
    }
    mr_thrift_i32(&thrift, 4, boundary_order(chunk));
    mr_thrift_list(&thrift, 5, MR_THRIFT_I64, n);
    for (size_t i = 0; i < n; i++)
        mr_thrift_item_int(&thrift, chunk->pages[i].nulls);
    mr_thrift_end(&thrift);
    return true;
}

void mr_pq_offset_index_write(const struct mr_pq_chunk *chunk, int64_t offset, struct mr_bytes *out)
{
    struct mr_thrift thrift;
    mr_thrift_init(&thrift, out);
    mr_thrift_list(&thrift, 1, MR_THRIFT_STRUCT, (size_t)chunk->npages);
    for (int i = 0; i < chunk->npages; i++) {
        const struct mr_pq_page *page = &chunk->pages[i];
        mr_thrift_begin(&thrift, 0);
        mr_thrift_i64(&thrift, 1, offset);
        mr_thrift_i32(&thrift, 2, (int32_t)page->data->size);
        mr_thrift_i64(&thrift, 3, page->first_row);
        mr_thrift_end(&thrift);
        offset += (int64_t)page->data->size;
    }
    mr_thrift_end(&thrift);
}

static void write_statistics(struct mr_thrift *thrift, const struct mr_pq_chunk_meta *chunk)
{
    struct mr_pq_bound min, max;
    const struct mr_pq_leaf *leaf = chunk->leaf;
    mr_thrift_begin(thrift, 12);
    mr_thrift_i64(thrift, 3, chunk->nulls);
    if (chunk->bounds.any && leaf->order != MR_PQ_ORDER_NONE) {
        mr_pq_bounds_min(&chunk->bounds, leaf, &min);
        mr_pq_bounds_max(&chunk->bounds, leaf, &max);
        if (max.usable)
            mr_thrift_binary(thrift, 5, max.bytes, (size_t)max.size);
        mr_thrift_binary(thrift, 6, min.bytes, (size_t)min.size);
        if (max.usable)
            mr_thrift_bool(thrift, 7, max.exact);
        mr_thrift_bool(thrift, 8, min.exact);
    }
    if (leaf->order == MR_PQ_ORDER_F32 || leaf->order == MR_PQ_ORDER_F64)
        mr_thrift_i64(thrift, 9, chunk->bounds.nans);
    mr_thrift_end(thrift);
}

static void write_encoding_stats(struct mr_thrift *thrift, const struct mr_pq_chunk_meta *chunk)
{
    const struct {
        int page_type; /* 0 data, 2 dictionary */
        int encoding;
        int count;
    } rows[] = {
        {2, MR_PQ_ENC_PLAIN, chunk->dictionary_offset > 0},
        {0, MR_PQ_ENC_RLE_DICTIONARY, chunk->dict_pages},
        {0, MR_PQ_ENC_PLAIN, chunk->plain_pages},
        {0, chunk->other, chunk->other_pages},
    };
    size_t n = 0;
    for (int i = 0; i < 4; i++)
        n += rows[i].count > 0;
    mr_thrift_list(thrift, 13, MR_THRIFT_STRUCT, n);
    for (int i = 0; i < 4; i++) {
        if (rows[i].count == 0)
            continue;
        mr_thrift_begin(thrift, 0);
        mr_thrift_i32(thrift, 1, rows[i].page_type);
        mr_thrift_i32(thrift, 2, rows[i].encoding);
        mr_thrift_i32(thrift, 3, rows[i].count);
        mr_thrift_end(thrift);
    }
}

static void write_encodings(struct mr_thrift *thrift, const struct mr_pq_chunk_meta *chunk)
{
    int list[4];
    size_t n = 0;
    if (chunk->dictionary_offset > 0 || chunk->plain_pages > 0)
        list[n++] = MR_PQ_ENC_PLAIN;
    list[n++] = MR_PQ_ENC_RLE;
    if (chunk->dict_pages > 0)
        list[n++] = MR_PQ_ENC_RLE_DICTIONARY;
    if (chunk->other_pages > 0)
        list[n++] = chunk->other;
    mr_thrift_list(thrift, 2, MR_THRIFT_I32, n);
    for (size_t i = 0; i < n; i++)
        mr_thrift_item_int(thrift, list[i]);
}

/* ColumnMetaData, field 3 of a ColumnChunk. */
static void write_column(struct mr_thrift *thrift, const struct mr_pq_chunk_meta *chunk,
                         int codec_id)
{
    const struct mr_pq_leaf *leaf = chunk->leaf;
    mr_thrift_begin(thrift, 3);
    mr_thrift_i32(thrift, 1, (int32_t)leaf->physical);
    write_encodings(thrift, chunk);
    mr_thrift_list(thrift, 3, MR_THRIFT_BINARY, (size_t)leaf->npath);
    for (int i = 0; i < leaf->npath; i++)
        mr_thrift_item_binary(thrift, leaf->path[i], strlen(leaf->path[i]));
    mr_thrift_i32(thrift, 4, codec_id);
    mr_thrift_i64(thrift, 5, chunk->levels);
    mr_thrift_i64(thrift, 6, chunk->uncompressed);
    mr_thrift_i64(thrift, 7, chunk->compressed);
    mr_thrift_i64(thrift, 9, chunk->data_offset);
    if (chunk->dictionary_offset > 0)
        mr_thrift_i64(thrift, 11, chunk->dictionary_offset);
    write_statistics(thrift, chunk);
    write_encoding_stats(thrift, chunk);
    mr_thrift_end(thrift);
}

static void write_group(struct mr_thrift *thrift, const struct mr_pq_file_meta *file,
                        const struct mr_pq_group_meta *group, int ordinal)
{
    mr_thrift_begin(thrift, 0);
    mr_thrift_list(thrift, 1, MR_THRIFT_STRUCT, (size_t)file->leaves->count);
    for (int i = 0; i < file->leaves->count; i++) {
        const struct mr_pq_chunk_meta *chunk = &group->chunks[i];
        mr_thrift_begin(thrift, 0);
        mr_thrift_i64(thrift, 2, 0);
        write_column(thrift, chunk, file->codec_id);
        mr_thrift_i64(thrift, 4, chunk->offset_index_offset);
        mr_thrift_i32(thrift, 5, (int32_t)chunk->offset_index.size);
        if (chunk->column_index.size > 0) {
            mr_thrift_i64(thrift, 6, chunk->column_index_offset);
            mr_thrift_i32(thrift, 7, (int32_t)chunk->column_index.size);
        }
        mr_thrift_end(thrift);
    }
    mr_thrift_i64(thrift, 2, group->uncompressed);
    mr_thrift_i64(thrift, 3, group->rows);
    mr_thrift_i64(thrift, 5, group->offset);
    mr_thrift_i64(thrift, 6, group->compressed);
    if (ordinal <= INT16_MAX)
        mr_thrift_i16(thrift, 7, (int16_t)ordinal);
    mr_thrift_end(thrift);
}

static void write_metadata(struct mr_thrift *thrift, const char *const *pairs)
{
    size_t n = 0;
    while (pairs != NULL && pairs[n * 2] != NULL)
        n++;
    if (n == 0)
        return;
    mr_thrift_list(thrift, 5, MR_THRIFT_STRUCT, n);
    for (size_t i = 0; i < n; i++) {
        mr_thrift_begin(thrift, 0);
        mr_thrift_text(thrift, 1, pairs[i * 2]);
        mr_thrift_text(thrift, 2, pairs[i * 2 + 1]);
        mr_thrift_end(thrift);
    }
}

void mr_pq_footer_write(const struct mr_pq_file_meta *file, struct mr_bytes *out)
{
    struct mr_thrift thrift;
    mr_thrift_init(&thrift, out);
    mr_thrift_i32(&thrift, 1, 1);
    mr_pq_schema_write(&thrift, file->leaves);
    mr_thrift_i64(&thrift, 3, file->rows);
    mr_thrift_list(&thrift, 4, MR_THRIFT_STRUCT, (size_t)file->ngroups);
    int ordinal = 0;
    for (const struct mr_pq_group_meta *group = file->first; group; group = group->next)
        write_group(&thrift, file, group, ordinal++);
    write_metadata(&thrift, file->metadata);
    mr_thrift_text(&thrift, 6, "millrace version " PACKAGE_VERSION " (build release)");
    mr_thrift_list(&thrift, 7, MR_THRIFT_STRUCT, (size_t)file->leaves->count);
    for (int i = 0; i < file->leaves->count; i++) {
        mr_thrift_begin(&thrift, 0);
        mr_thrift_empty(&thrift, 1); /* TYPE_ORDER */
        mr_thrift_end(&thrift);
    }
    mr_thrift_end(&thrift);
}
