/*
 * json.c - JSON lines: one object a row, UTF-8, a newline behind each.
 *
 * enc/ makes the text of a row; here is only the file around it (reading is json_read.c). Every type has an exact JSON form (enc/json_text.h), so no
 * schema is refused. An empty file is an empty result.
 */
#include "enc/json_text.h"
#include "ext/option.h"
#include "format/text.h"
#include "format/text_read.h"
#include "format/text_writer.h"

#define ROWS_AT_ONCE 256

static const struct mr_option json_options[] = {MR_JSON_READ_OPTION_ROWS, MR_OPTION_END};

struct json_writer {
    struct mr_text_writer text;
    struct mr_json_rows *rows;
};

static void write_close(void *opaque)
{
    struct json_writer *writer = opaque;
    if (!writer)
        return;
    mr_json_rows_free(writer->rows);
    mr_text_writer_reset(&writer->text);
    mr_free(writer);
}

static enum mr_status write_open(const struct mr_format_write *write, struct mr_byte_sink *sink,
                                 void **out, struct mr_error *err)
{
    struct json_writer *writer = mr_calloc(1, sizeof *writer);
    if (!writer)
        return mr_error_nomem(err);
    enum mr_status status = mr_text_writer_init(&writer->text, write, sink, err);
    if (status == MR_OK)
        status = mr_json_rows_new(write->schema, &writer->rows, err);
    if (status == MR_OK)
        *out = writer;
    else
        write_close(writer);
    return status;
}

static enum mr_status write_batch(void *opaque, struct mr_batch *batch, struct mr_error *err)
{
    struct json_writer *writer = opaque;
    for (int64_t row = 0; row < batch->rows; row += ROWS_AT_ONCE) {
        int64_t count = batch->rows - row < ROWS_AT_ONCE ? batch->rows - row : ROWS_AT_ONCE;
        mr_json_rows_encode(writer->rows, batch, row, count, &writer->text.text);
        MR_TRY(mr_text_writer_settle(&writer->text, err));
    }
    writer->text.rows += batch->rows;
    return MR_OK;
}

static int64_t buffered(const void *opaque)
{
    return (int64_t)((const struct json_writer *)opaque)->text.text.size;
}

static int64_t written(const void *opaque)
{
    return ((const struct json_writer *)opaque)->text.written;
}

static enum mr_status flush(void *opaque, struct mr_error *err)
{
    return mr_text_writer_flush(&((struct json_writer *)opaque)->text, err);
}

static enum mr_status write_finish(void *opaque, struct mr_file_statistics *statistics,
                                   struct mr_error *err)
{
    struct json_writer *writer = opaque;
    MR_TRY(mr_text_writer_flush(&writer->text, err));
    *statistics =
        (struct mr_file_statistics){.rows = writer->text.rows, .bytes = writer->text.written};
    return MR_OK;
}

const struct mr_format mr_format_json = {
    .name = "json",
    .extension = "json",
    .doc = "JSON lines: one object a row.",
    .options = json_options,
    .probe = mr_json_probe,
    .read_open = mr_json_read_open,
    .read_next = mr_json_read_next,
    .read_close = mr_json_read_close,
    .write_open = write_open,
    .write = write_batch,
    .buffered = buffered,
    .written = written,
    .flush = flush,
    .write_finish = write_finish,
    .write_close = write_close,
};
