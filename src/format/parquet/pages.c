/*
 * pages.c - one page after the other.
 *
 * A compressed page goes into storage of its own, one per column, used again for the next page. One that is not is used
 * where it lies in the window, which it keeps alive by a reference. Writers differ in details that the
 * specification leaves open or that were bugs; what is done about each stands beside it.
 */
#include "format/parquet/pages.h"

#include "base/hash.h"
#include "format/parquet/hybrid.h"

#include <stdio.h>

#define HEADER_MAX ((size_t)16 << 20)

enum { DATA_PAGE = 0, INDEX_PAGE = 1, DICTIONARY_PAGE = 2, DATA_PAGE_V2 = 3 };

struct header {
    int type;
    int64_t uncompressed;
    int64_t compressed;
    bool has_crc;
    uint32_t crc;
    int64_t values;
    int encoding;
    int def_encoding;
    int rep_encoding;
    int64_t def_bytes; /* version 2 */
    int64_t rep_bytes;
    bool plain; /* version 2: is_compressed false */
};

enum mr_status mr_pq_pages_bad(const struct mr_pq_pages *pages, struct mr_error *err,
                               const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    enum mr_status status = mr_error_data(err, MR_SOURCE, "%s: column %s: %s", pages->file->name,
                                          pages->leaf->path, text);
    mr_error_where(err, "%s, byte %lld", pages->file->name, (long long)pages->stream->next);
    return status;
}

bool mr_pq_written_before(const struct mr_pq_file *file, const char *application, int major,
                          int minor, int patch)
{
    size_t length = strlen(application);
    int found[3] = {0};
    if (strncmp(file->created_by, application, length) != 0)
        return false;
    if (sscanf(file->created_by + length, " version %d.%d.%d", &found[0], &found[1], &found[2]) < 2)
        return true; /* it did not say then */
    if (found[0] != major)
        return found[0] < major;
    return found[1] != minor ? found[1] < minor : found[2] < patch;
}

static enum mr_status find_codec(struct mr_pq_pages *pages, const struct mr_registry *registry,
                                 struct mr_error *err)
{
    static const char *const names[] = {"none", "snappy", "gzip", NULL, NULL, "lz4", "zstd", "lz4"};
    static const char *const others[] = {[3] = "LZO", [4] = "brotli"};
    int codec = pages->column->codec;
    if (codec == 0)
        return MR_OK;
    if (codec == 3 || codec == 4)
        return mr_pq_pages_bad(pages, err, "compression %s is not supported", others[codec]);
    if (codec < 0 || codec > 7)
        return mr_pq_pages_bad(pages, err, "compression number %d is not known", codec);
    pages->codec = mr_registry_codec(registry, names[codec]);
    if (pages->codec == NULL)
        return mr_pq_pages_bad(pages, err, "compression %s is not in this build", names[codec]);
    return MR_OK;
}

enum mr_status mr_pq_pages_open(struct mr_pq_pages *pages, const struct mr_registry *registry,
                                struct mr_error *err)
{
    const struct mr_pq_column *column = pages->column;
    pages->values_left = column->values;
    if (column->elsewhere)
        return mr_pq_pages_bad(pages, err, "its bytes are in another file, which is not supported");
    if (column->encrypted)
        return mr_pq_pages_bad(pages, err, "it is encrypted, which is not supported");
    if (column->type != pages->leaf->element->type)
        return mr_pq_pages_bad(pages, err, "a row group has another physical type than the schema");
    return find_codec(pages, registry, err);
}

void mr_pq_pages_close(struct mr_pq_pages *pages)
{
    mr_buffer_unref(pages->body);
    pages->body = NULL;
}

/* ---- headers ---- */

static void parse_data(struct mr_thrift_in *in, struct header *header)
{
    struct mr_thrift_field field = {0};
    while (mr_thrift_in_field(in, &field)) {
        if (field.id == 1)
            header->values = mr_thrift_in_int(in, &field);
        else if (field.id == 2)
            header->encoding = (int)mr_thrift_in_int(in, &field);
        else if (field.id == 3)
            header->def_encoding = (int)mr_thrift_in_int(in, &field);
        else if (field.id == 4)
            header->rep_encoding = (int)mr_thrift_in_int(in, &field);
        else
            mr_thrift_in_skip(in, field.type);
    }
}

static void parse_data_v2(struct mr_thrift_in *in, struct header *header)
{
    struct mr_thrift_field field = {0};
    while (mr_thrift_in_field(in, &field)) {
        if (field.id == 1)
            header->values = mr_thrift_in_int(in, &field);
        else if (field.id == 4)
            header->encoding = (int)mr_thrift_in_int(in, &field);
        else if (field.id == 5)
            header->def_bytes = mr_thrift_in_int(in, &field);
        else if (field.id == 6)
            header->rep_bytes = mr_thrift_in_int(in, &field);
        else if (field.id == 7)
            header->plain = !mr_thrift_in_bool(in, &field);
        else
            mr_thrift_in_skip(in, field.type);
    }
}

static void parse_header(struct mr_thrift_in *in, struct header *header)
{
    struct mr_thrift_field field = {0};
    *header = (struct header){.type = -1, .encoding = -1, .def_encoding = 3, .rep_encoding = 3};
    while (mr_thrift_in_field(in, &field)) {
        if (field.id == 1)
            header->type = (int)mr_thrift_in_int(in, &field);
        else if (field.id == 2)
            header->uncompressed = mr_thrift_in_int(in, &field);
        else if (field.id == 3)
            header->compressed = mr_thrift_in_int(in, &field);
        else if (field.id == 4) {
            header->crc = (uint32_t)mr_thrift_in_int(in, &field);
            header->has_crc = true;
        } else if ((field.id == 5 || field.id == 7) && mr_thrift_in_struct(in, &field))
            parse_data(in, header);
        else if (field.id == 8 && mr_thrift_in_struct(in, &field))
            parse_data_v2(in, header);
        else if (field.id != 5 && field.id != 7 && field.id != 8)
            mr_thrift_in_skip(in, field.type);
    }
}

static enum mr_status check_header(const struct mr_pq_pages *pages, const struct header *header,
                                   struct mr_error *err)
{
    int64_t rest = pages->stream->end - pages->stream->next;
    if (header->compressed < 0 || header->compressed > rest)
        return mr_pq_pages_bad(pages, err, "a page is longer than its column chunk");
    if (header->uncompressed < 0 || header->uncompressed > INT32_MAX || header->values < 0 ||
        header->values > INT32_MAX)
        return mr_pq_pages_bad(pages, err, "a page header has impossible sizes");
    int64_t levels = header->def_bytes + header->rep_bytes;
    if (header->def_bytes < 0 || header->rep_bytes < 0 || levels > header->compressed ||
        levels > header->uncompressed)
        return mr_pq_pages_bad(pages, err, "the levels of a page are longer than the page");
    return MR_OK;
}

/* How long a header is nobody says: a longer piece is tried while it seems to be cut. */
static enum mr_status read_header(struct mr_pq_pages *pages, struct header *header,
                                  struct mr_error *err)
{
    const uint8_t *at;
    size_t got;
    for (size_t size = 1;; size = got * 2 + 256) {
        struct mr_thrift_in in;
        MR_TRY(mr_pq_input_peek(pages->input, pages->stream, size, &at, &got, err));
        if (at == NULL)
            return mr_pq_pages_bad(pages, err, "its pages end too early");
        mr_thrift_in_init(&in, at, got);
        parse_header(&in, header);
        if (!in.bad) {
            pages->stream->next += in.at - at;
            return check_header(pages, header, err);
        }
        bool all = (int64_t)got >= pages->stream->end - pages->stream->next;
        if (!in.cut || all || size > HEADER_MAX)
            return mr_pq_pages_bad(pages, err, "a page header is damaged or cut off");
    }
}

/* ---- bodies ---- */

static uint32_t big_endian(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Hadoop's framing of LZ4: (size, compressed size, both big-endian; block)... False: it is not that. */
static bool lz4_hadoop(const struct mr_codec *codec, const uint8_t *in, size_t size, uint8_t *out,
                       size_t out_size)
{
    while (size >= 8) {
        uint32_t made = big_endian(in), taken = big_endian(in + 4);
        if (taken > size - 8 || made > out_size ||
            codec->decompress(in + 8, taken, out, made, NULL) != MR_OK)
            return false;
        in += 8 + taken;
        size -= 8 + taken;
        out += made;
        out_size -= made;
    }
    return size == 0 && out_size == 0;
}

static enum mr_status decompress(const struct mr_pq_pages *pages, const uint8_t *in, size_t size,
                                 uint8_t *out, size_t out_size, struct mr_error *err)
{
    /* Codec 5 has two framings: Hadoop's, and bare blocks by early parquet-cpp. */
    if (pages->column->codec == 5 && lz4_hadoop(pages->codec, in, size, out, out_size))
        return MR_OK;
    if (out_size == 0)
        return MR_OK;
    if (pages->codec->decompress(in, size, out, out_size, err) == MR_OK)
        return MR_OK;
    if (err != NULL && err->status == MR_NOMEM)
        return err->status;
    return mr_pq_pages_bad(pages, err, "a page of %zu bytes cannot be decompressed (%s)", size,
                           pages->codec->name);
}

static enum mr_status body_room(struct mr_pq_pages *pages, size_t size, struct mr_error *err)
{
    struct mr_buffer *body = pages->body;
    bool own = body != NULL && body != pages->stream->window && atomic_load(&body->refs) == 1;
    if (own && body->capacity >= size + 64) {
        memset(body->data + size, 0, MR_PQ_SLACK);
        return MR_OK;
    }
    mr_buffer_unref(body);
    pages->body = NULL;
    MR_TRY(mr_buffer_new(pages->memory, size + 64, &pages->body, err));
    memset(pages->body->data + size, 0, MR_PQ_SLACK);
    return MR_OK;
}

/* The page as it is before compression, its first `levels` bytes being stored as they are. */
static enum mr_status open_body(struct mr_pq_pages *pages, const struct header *header,
                                size_t levels, const uint8_t *in, const uint8_t **out,
                                struct mr_error *err)
{
    size_t size = (size_t)header->compressed, whole = (size_t)header->uncompressed;
    /* Old parquet-cpp said is_compressed = false of compressed pages (ARROW-10353): the sizes tell. */
    bool plain = pages->codec == NULL || (header->plain && size == whole);
    if (plain && size < whole)
        return mr_pq_pages_bad(pages, err, "a page is shorter than it says");
    if (plain) {
        mr_buffer_unref(pages->body);
        pages->body = mr_buffer_ref(pages->stream->window);
        *out = in;
        return MR_OK;
    }
    MR_TRY(body_room(pages, whole, err));
    uint8_t *to = pages->body->data;
    memcpy(to, in, levels);
    *out = to;
    if (size == levels && whole == levels)
        return MR_OK;
    return decompress(pages, in + levels, size - levels, to + levels, whole - levels, err);
}

/* Bits of a level up to `max`. */
static int level_bits(int max)
{
    return max == 0 ? 0 : 32 - __builtin_clz((unsigned)max);
}

/* Version 1: cuts the levels of one kind off the front of page->data. */
static enum mr_status cut_levels(const struct mr_pq_pages *pages, struct mr_pq_page_in *page,
                                 int max, int encoding, struct mr_pq_part *out, bool *legacy,
                                 struct mr_error *err)
{
    *out = (struct mr_pq_part){page->data.data, 0};
    if (max == 0)
        return MR_OK;
    uint64_t size, head = 0;
    if (encoding == MR_PQ_E_BIT_PACKED) {
        *legacy = true;
        size = ((uint64_t)page->values * (uint64_t)level_bits(max) + 7) / 8;
    } else if (encoding == MR_PQ_E_RLE) {
        uint32_t length = 0;
        if (page->data.size >= 4)
            memcpy(&length, page->data.data, 4);
        size = length;
        head = 4;
    } else {
        return mr_pq_pages_bad(pages, err, "levels have an unknown encoding (%d)", encoding);
    }
    if (head + size > page->data.size)
        return mr_pq_pages_bad(pages, err, "the levels of a page are longer than the page");
    *out = (struct mr_pq_part){page->data.data + head, (size_t)size};
    page->data.data += head + size;
    page->data.size -= (size_t)(head + size);
    return MR_OK;
}

static enum mr_status split_body(struct mr_pq_pages *pages, const struct header *header,
                                 const uint8_t *body, struct mr_pq_page_in *page,
                                 struct mr_error *err)
{
    *page = (struct mr_pq_page_in){
        .dictionary = header->type == DICTIONARY_PAGE,
        .values = header->values,
        .encoding = header->encoding,
        .data = {body, (size_t)header->uncompressed},
    };
    if (page->dictionary)
        return MR_OK;
    if (header->type == DATA_PAGE) {
        MR_TRY(cut_levels(pages, page, pages->max_rep, header->rep_encoding, &page->rep,
                          &page->legacy_rep, err));
        return cut_levels(pages, page, pages->leaf->def, header->def_encoding, &page->def,
                          &page->legacy_def, err);
    }
    size_t rep = (size_t)header->rep_bytes, def = (size_t)header->def_bytes;
    page->rep = (struct mr_pq_part){body, rep};
    page->def = (struct mr_pq_part){body + rep, def};
    page->data.data += rep + def;
    page->data.size -= rep + def;
    return MR_OK;
}

static enum mr_status read_body(struct mr_pq_pages *pages, const struct header *header,
                                struct mr_pq_page_in *page, struct mr_error *err)
{
    const uint8_t *in, *body = NULL;
    size_t got, size = (size_t)header->compressed;
    MR_TRY(mr_pq_input_peek(pages->input, pages->stream, size, &in, &got, err));
    if (header->has_crc && size > 0 && mr_crc32(0, in, size) != header->crc)
        return mr_pq_pages_bad(pages, err, "the checksum of a page is wrong");
    size_t levels = (size_t)(header->def_bytes + header->rep_bytes);
    MR_TRY(open_body(pages, header, levels, in, &body, err));
    pages->stream->next += header->compressed;
    return split_body(pages, header, body, page, err);
}

enum mr_status mr_pq_pages_next(struct mr_pq_pages *pages, struct mr_pq_page_in *page, bool *got,
                                struct mr_error *err)
{
    *got = false;
    while (pages->values_left > 0) {
        struct header header = {0};
        if (pages->indexed && pages->stream->next >= pages->stream->end)
            return MR_OK;
        if (pages->stream->next >= pages->stream->end)
            return mr_pq_pages_bad(pages, err, "its pages have fewer values than the footer says");
        MR_TRY(read_header(pages, &header, err));
        bool data = header.type == DATA_PAGE || header.type == DATA_PAGE_V2;
        if ((!data && header.type != DICTIONARY_PAGE) || (data && header.values == 0)) {
            pages->stream->next += header.compressed;
            continue;
        }
        MR_TRY(read_body(pages, &header, page, err));
        if (data && header.values > pages->values_left)
            return mr_pq_pages_bad(pages, err, "its pages have more values than the footer says");
        if (data && !pages->indexed)
            pages->values_left -= header.values;
        *got = true;
        return MR_OK;
    }
    return MR_OK;
}
