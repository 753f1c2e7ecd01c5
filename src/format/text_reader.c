/*
 * text_reader.c - windows of text.
 *
 * A plain file is fetched 4 MiB at a time, as four reads in flight together where the store can do that; up to the end of the
 * range first, then in small steps until the last record ends. A compressed one is fetched in the same way and decompressed into
 * the window by the codec's stream. What is not consumed moves to the front before more comes, and the window doubles
 * only when one record fills it: memory is two windows, whatever the size of the file. Mapping files into memory was
 * refused: it is local only, and a file that is cut while it is read kills the process.
 */
#include "format/text_reader.h"

#include "ext/registry.h"

#include <string.h>

#define WINDOW       ((size_t)4 << 20)
#define PIECE        ((size_t)1 << 20)
#define SMALL_WINDOW ((size_t)64 << 10)
/* Enough decompressed text for one call: it stays in the cache until it is scanned. */
#define ENOUGH ((size_t)512 << 10)
/* Counting lines for a message reads at most this much. */
#define COUNT_MAX ((int64_t)1 << 30)

/* Magic bytes at the start of a file; codec NULL: refused. */
static const struct {
    const char *bytes;
    size_t size;
    const char *codec;
    const char *name;
} magics[] = {
    {"\x1f\x8b", 2, "gzip", "gzip"},
    {"\x28\xb5\x2f\xfd", 4, "zstd", "zstd"},
    {"\x04\x22\x4d\x18", 4, "lz4", "LZ4"},
    {"\xff\x06\x00\x00sNaPpY", 10, NULL, "framed Snappy"},
    {"BZh", 3, NULL, "bzip2"},
    {"\xfd"
     "7zXZ",
     5, NULL, "xz"},
    {"PK\x03\x04", 4, NULL, "ZIP"},
    {"\xff\xfe", 2, NULL, "UTF-16"},
    {"\xfe\xff", 2, NULL, "UTF-16"},
};

static enum mr_status refuse(const char *file, const char *name, struct mr_error *err)
{
    mr_error_data(err, MR_SOURCE, "%s: %s cannot be read as text", file, name);
    if (err)
        mr_error_hint(err, "plain UTF-8 can, also compressed by gzip, zstd or lz4");
    return MR_SOURCE;
}

/* Compressed? The file's first bytes tell; its name only says what was meant. */
static enum mr_status find_codec(struct mr_text_reader *reader, const struct mr_format_read *read,
                                 struct mr_error *err)
{
    char head[16] = {0};
    size_t size = reader->source->size < 16 ? (size_t)reader->source->size : 16;
    if (size == 0)
        return MR_OK;
    MR_TRY(reader->source->read(reader->source, 0, head, size, err));
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        if (size < magics[i].size || memcmp(head, magics[i].bytes, magics[i].size) != 0)
            continue;
        /* A line of text may begin with "BZh" or "PK": these two need the name as well. */
        if (!magics[i].codec && head[0] >= 'A' && head[0] <= 'Z' &&
            !(strstr(reader->source->name, ".bz2") || strstr(reader->source->name, ".zip")))
            continue;
        if (magics[i].codec)
            reader->codec = mr_registry_codec(read->runtime->registry, magics[i].codec);
        if (!reader->codec || !reader->codec->stream_open)
            return refuse(reader->source->name, magics[i].name, err);
        return reader->codec->stream_open(reader->memory, &reader->stream, err);
    }
    return MR_OK;
}

static enum mr_status new_block(struct mr_text_reader *reader, char **block, size_t *capacity,
                                size_t size, struct mr_error *err)
{
    MR_TRY(mr_memory_charge(reader->memory, (int64_t)(size + MR_TEXT_PADDING), err));
    *block = mr_alloc_aligned(size + MR_TEXT_PADDING);
    if (!*block) {
        mr_memory_credit(reader->memory, (int64_t)(size + MR_TEXT_PADDING));
        return mr_error_nomem(err);
    }
    *capacity = size;
    return MR_OK;
}

static void free_block(struct mr_text_reader *reader, char **block, size_t capacity)
{
    if (*block)
        mr_memory_credit(reader->memory, (int64_t)(capacity + MR_TEXT_PADDING));
    mr_free(*block);
    *block = NULL;
}

static size_t clamp(int64_t size, size_t least, size_t most)
{
    return size < (int64_t)least ? least : size > (int64_t)most ? most : (size_t)size;
}

enum mr_status mr_text_reader_open(struct mr_text_reader *reader, const struct mr_format_read *read,
                                   int64_t offset, int64_t soft, struct mr_error *err)
{
    *reader = (struct mr_text_reader){.source = read->source, .memory = read->runtime->memory};
    int64_t size = read->source->size;
    enum mr_status status = find_codec(reader, read, err);
    if (status == MR_OK && reader->codec)
        status = new_block(reader, &reader->packed, &reader->packed_capacity,
                           clamp(size, 64, WINDOW), err);
    if (status == MR_OK) {
        int64_t want = reader->codec                   ? size > (int64_t)WINDOW ? size : size * 16
                       : soft < size && soft >= offset ? soft - offset + (int64_t)SMALL_WINDOW
                                                       : size - offset;
        status = new_block(reader, &reader->data, &reader->capacity,
                           clamp(want, SMALL_WINDOW, WINDOW), err);
    }
    if (status != MR_OK) {
        mr_text_reader_close(reader);
        return status;
    }
    mr_text_reader_seek(reader, reader->codec ? 0 : offset, soft);
    return MR_OK;
}

void mr_text_reader_close(struct mr_text_reader *reader)
{
    if (reader->stream)
        reader->codec->stream_close(reader->stream);
    reader->stream = NULL;
    free_block(reader, &reader->packed, reader->packed_capacity);
    free_block(reader, &reader->data, reader->capacity);
}

void mr_text_reader_seek(struct mr_text_reader *reader, int64_t offset, int64_t soft)
{
    reader->at = reader->base = offset < reader->source->size ? offset : reader->source->size;
    reader->soft = soft;
    reader->behind = SMALL_WINDOW;
    reader->begin = reader->end = 0;
    reader->eof = false;
}

/* Fetches the next `size` bytes of the source in pieces. */
static enum mr_status fetch(struct mr_text_reader *reader, char *out, size_t size,
                            struct mr_error *err)
{
    while (size > 0) {
        struct mr_byte_read reads[WINDOW / PIECE];
        int n = 0;
        for (; size > 0 && n < (int)(WINDOW / PIECE); n++) {
            size_t piece = size < PIECE ? size : PIECE;
            reads[n] = (struct mr_byte_read){reader->at, piece, out};
            reader->at += (int64_t)piece;
            out += piece;
            size -= piece;
        }
        MR_TRY(n == 1 ? reader->source->read(reader->source, reads[0].offset, reads[0].out,
                                             reads[0].size, err)
                      : reader->source->read_many(reader->source, reads, n, err));
    }
    return MR_OK;
}

static enum mr_status fill_plain(struct mr_text_reader *reader, struct mr_error *err)
{
    int64_t left = reader->source->size - reader->at;
    size_t size = reader->capacity - reader->end;
    if (reader->at < reader->soft) {
        size = clamp(reader->soft - reader->at, 1, size);
    } else {
        size = clamp((int64_t)reader->behind, 1, size);
        if (reader->behind < WINDOW)
            reader->behind *= 2;
    }
    size = clamp(left, 0, size);
    MR_TRY(fetch(reader, reader->data + reader->end, size, err));
    reader->end += size;
    reader->eof = reader->at == reader->source->size;
    return MR_OK;
}

static enum mr_status fill_packed(struct mr_text_reader *reader, struct mr_error *err)
{
    size_t left = reader->packed_end - reader->packed_begin;
    memmove(reader->packed, reader->packed + reader->packed_begin, left);
    reader->packed_begin = 0;
    size_t size = clamp(reader->source->size - reader->at, 0, reader->packed_capacity - left);
    reader->packed_end = left;
    MR_TRY(fetch(reader, reader->packed + left, size, err));
    reader->packed_end += size;
    return MR_OK;
}

static enum mr_status fill_stream(struct mr_text_reader *reader, struct mr_error *err)
{
    size_t made = 0;
    while (made < ENOUGH && reader->end < reader->capacity) {
        bool last = reader->at == reader->source->size;
        struct mr_codec_flow flow = {
            .in = reader->packed + reader->packed_begin,
            .in_size = reader->packed_end - reader->packed_begin,
            .last = last,
            .out = reader->data + reader->end,
            .out_size = reader->capacity - reader->end,
        };
        const char *in = flow.in, *out = flow.out;
        enum mr_status status = reader->codec->stream_step(reader->stream, &flow, err);
        if (status != MR_OK) {
            if (err && status == MR_SOURCE)
                mr_error_where(err, "%s", reader->source->name);
            return status;
        }
        reader->packed_begin += (size_t)(flow.in - in);
        reader->end += (size_t)(flow.out - out);
        made += (size_t)(flow.out - out);
        if (flow.in != in || flow.out != out)
            continue;
        if (last) {
            reader->eof = true;
            break;
        }
        MR_TRY(fill_packed(reader, err));
    }
    return MR_OK;
}

/* Doubles a window that one record fills. */
static enum mr_status grow(struct mr_text_reader *reader, struct mr_error *err)
{
    char *data;
    size_t capacity = 0, size = reader->capacity * 2;
    if (reader->capacity >= MR_TEXT_RECORD_MAX) {
        mr_error_data(err, MR_SOURCE, "a record is longer than %zu MiB", MR_TEXT_RECORD_MAX >> 20);
        if (err)
            mr_error_where(err, "%s: byte %lld", reader->source->name,
                           (long long)mr_text_reader_offset(reader));
        return MR_SOURCE;
    }
    MR_TRY(new_block(reader, &data, &capacity, size, err));
    memcpy(data, reader->data, reader->end);
    free_block(reader, &reader->data, reader->capacity);
    reader->data = data;
    reader->capacity = capacity;
    return MR_OK;
}

enum mr_status mr_text_reader_fill(struct mr_text_reader *reader, struct mr_error *err)
{
    if (reader->eof)
        return MR_OK;
    if (reader->begin > 0) {
        size_t size = reader->end - reader->begin;
        memmove(reader->data, reader->data + reader->begin, size);
        reader->base += (int64_t)reader->begin;
        reader->begin = 0;
        reader->end = size;
    }
    /* Less than half of the window free: records are long here. */
    if (reader->end > reader->capacity / 2 &&
        (reader->end == reader->capacity || reader->capacity < WINDOW))
        MR_TRY(grow(reader, err));
    MR_TRY(reader->codec ? fill_stream(reader, err) : fill_plain(reader, err));
    memset(reader->data + reader->end, 0, MR_TEXT_PADDING);
    return MR_OK;
}

int64_t mr_text_line_at(const struct mr_format_read *read, int64_t offset)
{
    struct mr_text_reader reader;
    int64_t line = 1;
    if (offset > COUNT_MAX)
        return -1;
    if (mr_text_reader_open(&reader, read, 0, offset, NULL) != MR_OK)
        return -1;
    while (line > 0 && !reader.eof && mr_text_reader_offset(&reader) < offset) {
        if (mr_text_reader_fill(&reader, NULL) != MR_OK) {
            line = -1;
            break;
        }
        int64_t left = offset - mr_text_reader_offset(&reader);
        const char *at = mr_text_reader_data(&reader), *end = at + mr_text_reader_size(&reader);
        end = left < end - at ? at + left : end;
        while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
            line++;
            at++;
        }
        reader.begin = reader.end;
    }
    mr_text_reader_close(&reader);
    return line;
}
