/*
 * text_writer.h - what the text formats share: a buffer of text, handed over in chunks, compressed or not.
 */
#ifndef MR_FORMAT_TEXT_WRITER_H
#define MR_FORMAT_TEXT_WRITER_H

#include "ext/codec.h"
#include "ext/format.h"

struct mr_text_writer {
    struct mr_byte_sink *sink;
    struct mr_memory *memory;
    const struct mr_codec *codec; /* NULL = none */
    int level;
    struct mr_bytes text; /* not handed over yet */
    size_t charged;       /* bytes of text.capacity that `memory` knows of */
    int64_t written;      /* bytes handed over */
    int64_t rows;
};

/* Finds the codec; refuses those that no reader of text files expects. */
enum mr_status mr_text_writer_init(struct mr_text_writer *writer,
                                   const struct mr_format_write *write, struct mr_byte_sink *sink,
                                   struct mr_error *err);
/* Books what the text grew by and hands over full chunks. Call it every few hundred rows. */
enum mr_status mr_text_writer_settle(struct mr_text_writer *writer, struct mr_error *err);
/* Hands over everything and frees the buffer. */
enum mr_status mr_text_writer_flush(struct mr_text_writer *writer, struct mr_error *err);
void mr_text_writer_reset(struct mr_text_writer *writer);

#endif
