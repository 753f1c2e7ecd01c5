/*
 * text_reader.h - what readers of text share: a window of text that moves over a file, compressed or not.
 */
#ifndef MR_FORMAT_TEXT_READER_H
#define MR_FORMAT_TEXT_READER_H

#include "ext/codec.h"
#include "ext/format.h"

/* Readable bytes behind the window, for scanners that look at many bytes at once. */
#define MR_TEXT_PADDING 64
/* No record may be longer. */
#define MR_TEXT_RECORD_MAX ((size_t)64 << 20)

struct mr_text_reader {
    struct mr_byte_source *source;
    struct mr_memory *memory;
    const struct mr_codec *codec; /* NULL: plain text */
    void *stream;
    int64_t at;    /* of the source: where the next bytes come from */
    int64_t soft;  /* plain: what lies behind is only needed to end a record */
    size_t behind; /* bytes fetched at once behind `soft` */
    char *packed;  /* compressed bytes not used yet: [packed_begin, packed_end) */
    size_t packed_capacity, packed_begin, packed_end;
    char *data; /* the window: [begin, end) is text nobody has consumed */
    size_t capacity, begin, end;
    int64_t base; /* offset in the text of data[0] */
    bool eof;     /* the window's end is the text's */
};

/*
 * Opens at `offset` of a plain file (0 of a compressed one, which its first bytes tell); `soft` is where the records wanted end.
 * Refuses UTF-16 and compressions that cannot be read, by name.
 */
enum mr_status mr_text_reader_open(struct mr_text_reader *reader, const struct mr_format_read *read,
                                   int64_t offset, int64_t soft, struct mr_error *err);
void mr_text_reader_close(struct mr_text_reader *reader);
/* Plain files: drops the window and goes on at `offset`. */
void mr_text_reader_seek(struct mr_text_reader *reader, int64_t offset, int64_t soft);
/*
 * Brings more text behind the window's, whose start moves: pointers into it are void. With `eof` nothing. MR_SOURCE, class data, when
 * a window of MR_TEXT_RECORD_MAX is full, or the compressed stream is damaged or cut.
 */
enum mr_status mr_text_reader_fill(struct mr_text_reader *reader, struct mr_error *err);
static inline const char *mr_text_reader_data(const struct mr_text_reader *reader)
{
    return reader->data + reader->begin;
}
static inline size_t mr_text_reader_size(const struct mr_text_reader *reader)
{
    return reader->end - reader->begin;
}
/* Offset in the (decompressed) file of the window's first byte. */
static inline int64_t mr_text_reader_offset(const struct mr_text_reader *reader)
{
    return reader->base + (int64_t)reader->begin;
}
/* 1 + the number of line breaks in front of `offset` of a plain file; -1 when that cannot be said cheaply. */
int64_t mr_text_line_at(const struct mr_format_read *read, int64_t offset);

#endif
