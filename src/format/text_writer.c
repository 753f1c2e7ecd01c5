/*
 * text_writer.c - chunks of text to the byte sink.
 *
 * A compressed file is a row of gzip members or zstd frames, one a chunk: every reader joins them, a chunk is one call of
 * a block codec, and no state of a stream has to be kept between chunks (with a thousand files open that state
 * would be gigabytes). A chunk of 1 MiB loses well under one percent of ratio against one long stream.
 */
#include "format/text_writer.h"

#include "ext/registry.h"

#define CHUNK       ((size_t)1 << 20)
#define PLAIN_CHUNK ((size_t)256 << 10)
/* One row can be large; this is the end of it. */
#define TEXT_MAXIMUM ((size_t)1 << 31)

static enum mr_status find_codec(const struct mr_format_write *write, const struct mr_codec **out,
                                 struct mr_error *err)
{
    const char *name = write->compression;
    *out = NULL;
    if (!name || strcmp(name, "none") == 0)
        return MR_OK;
    if (strcmp(name, "gzip") != 0 && strcmp(name, "zstd") != 0) {
        mr_error_config(err, "compression %s is not used for text files", name);
        if (err)
            mr_error_hint(err, "gzip and zstd are: .gz and .zst files that every tool opens");
        return MR_CONFIG;
    }
    *out = mr_registry_codec(write->runtime->registry, name);
    return *out ? MR_OK : mr_error_config(err, "compression %s is not in this build", name);
}

enum mr_status mr_text_writer_init(struct mr_text_writer *writer,
                                   const struct mr_format_write *write, struct mr_byte_sink *sink,
                                   struct mr_error *err)
{
    *writer = (struct mr_text_writer){
        .sink = sink,
        .memory = write->runtime->memory,
        .level = write->level,
    };
    mr_bytes_init(&writer->text, TEXT_MAXIMUM);
    return find_codec(write, &writer->codec, err);
}

static enum mr_status book(struct mr_text_writer *writer, struct mr_error *err)
{
    size_t capacity = writer->text.capacity;
    if (capacity > writer->charged)
        MR_TRY(mr_memory_charge(writer->memory, (int64_t)(capacity - writer->charged), err));
    else if (capacity < writer->charged)
        mr_memory_credit(writer->memory, (int64_t)(writer->charged - capacity));
    writer->charged = capacity;
    return MR_OK;
}

static enum mr_status append(struct mr_text_writer *writer, const void *data, size_t size,
                             struct mr_error *err)
{
    MR_TRY(writer->sink->append(writer->sink, data, size, err));
    writer->written += (int64_t)size;
    return MR_OK;
}

static enum mr_status append_compressed(struct mr_text_writer *writer, const char *data,
                                        size_t size, struct mr_error *err)
{
    size_t bound = writer->codec->bound(size), packed = 0;
    MR_TRY(mr_memory_charge(writer->memory, (int64_t)bound, err));
    void *out = mr_alloc(bound);
    enum mr_status status = out ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = writer->codec->compress(data, size, writer->level, out, bound, &packed, NULL, err);
    if (status == MR_OK)
        status = append(writer, out, packed, err);
    mr_free(out);
    mr_memory_credit(writer->memory, (int64_t)bound);
    return status;
}

static enum mr_status hand_over(struct mr_text_writer *writer, struct mr_error *err)
{
    const char *data = writer->text.data;
    size_t left = writer->text.size;
    while (left > 0) {
        size_t size = !writer->codec || left < 2 * CHUNK ? left : CHUNK;
        if (writer->codec)
            MR_TRY(append_compressed(writer, data, size, err));
        else
            MR_TRY(append(writer, data, size, err));
        data += size;
        left -= size;
    }
    mr_bytes_clear(&writer->text);
    return MR_OK;
}

enum mr_status mr_text_writer_settle(struct mr_text_writer *writer, struct mr_error *err)
{
    MR_TRY(mr_bytes_status(&writer->text, err));
    MR_TRY(book(writer, err));
    if (writer->text.size < (writer->codec ? CHUNK : PLAIN_CHUNK))
        return MR_OK;
    return hand_over(writer, err);
}

enum mr_status mr_text_writer_flush(struct mr_text_writer *writer, struct mr_error *err)
{
    MR_TRY(mr_bytes_status(&writer->text, err));
    MR_TRY(hand_over(writer, err));
    mr_bytes_reset(&writer->text);
    return book(writer, err);
}

void mr_text_writer_reset(struct mr_text_writer *writer)
{
    mr_bytes_reset(&writer->text);
    book(writer, NULL);
}
