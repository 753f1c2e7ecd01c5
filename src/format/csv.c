/*
 * csv.c - CSV files: an optional line of names, then a line a row.
 *
 * enc/ makes the text; here is the file around it (reading is csv_read.c). Nested values are written as JSON in a cell, so no schema is
 * refused. A file without columns would be a file of empty lines, which nobody reads back: refused.
 */
#include "enc/json_text.h"
#include "format/csv_dialect.h"
#include "format/text.h"
#include "format/text_read.h"
#include "format/text_writer.h"

#define ROWS_AT_ONCE 256

struct csv_writer {
    struct mr_text_writer text;
    struct mr_csv_rows *rows;
};

static const struct mr_option csv_options[] = {MR_CSV_OPTION_ROWS, MR_CSV_READ_OPTION_ROWS,
                                               MR_JSON_READ_OPTION_ROWS, MR_OPTION_END};

static void write_close(void *opaque)
{
    struct csv_writer *writer = opaque;
    if (!writer)
        return;
    mr_csv_rows_free(writer->rows);
    mr_text_writer_reset(&writer->text);
    mr_free(writer);
}

static enum mr_status write_open(const struct mr_format_write *write, struct mr_byte_sink *sink,
                                 void **out, struct mr_error *err)
{
    struct mr_csv_dialect dialect;
    const struct mr_options *options = mr_csv_options(write->options);
    if (write->schema->nfields == 0)
        return mr_error_config(err, "a CSV file needs at least one column");
    MR_TRY(mr_csv_dialect_of(options, &dialect, err));
    struct csv_writer *writer = mr_calloc(1, sizeof *writer);
    if (!writer)
        return mr_error_nomem(err);
    enum mr_status status = mr_text_writer_init(&writer->text, write, sink, err);
    if (status == MR_OK)
        status = mr_csv_rows_new(write->schema, &dialect, &writer->rows, err);
    if (status == MR_OK && (!options || mr_options_boolean(options, "header", true)))
        mr_csv_rows_header(writer->rows, &writer->text.text);
    if (status == MR_OK)
        *out = writer;
    else
        write_close(writer);
    return status;
}

static enum mr_status write_batch(void *opaque, struct mr_batch *batch, struct mr_error *err)
{
    struct csv_writer *writer = opaque;
    for (int64_t row = 0; row < batch->rows; row += ROWS_AT_ONCE) {
        int64_t count = batch->rows - row < ROWS_AT_ONCE ? batch->rows - row : ROWS_AT_ONCE;
        MR_TRY(mr_csv_rows_encode(writer->rows, batch, row, count, &writer->text.text, err));
        MR_TRY(mr_text_writer_settle(&writer->text, err));
    }
    writer->text.rows += batch->rows;
    return MR_OK;
}

static int64_t buffered(const void *opaque)
{
    return (int64_t)((const struct csv_writer *)opaque)->text.text.size;
}

static int64_t written(const void *opaque)
{
    return ((const struct csv_writer *)opaque)->text.written;
}

static enum mr_status flush(void *opaque, struct mr_error *err)
{
    return mr_text_writer_flush(&((struct csv_writer *)opaque)->text, err);
}

static enum mr_status write_finish(void *opaque, struct mr_file_statistics *statistics,
                                   struct mr_error *err)
{
    struct csv_writer *writer = opaque;
    MR_TRY(mr_text_writer_flush(&writer->text, err));
    *statistics =
        (struct mr_file_statistics){.rows = writer->text.rows, .bytes = writer->text.written};
    return MR_OK;
}

const struct mr_format mr_format_csv = {
    .name = "csv",
    .extension = "csv",
    .doc = "CSV (RFC 4180): a line a row, names in the first.",
    .options = csv_options,
    .probe = mr_csv_probe,
    .read_open = mr_csv_read_open,
    .read_next = mr_csv_read_next,
    .read_close = mr_csv_read_close,
    .write_open = write_open,
    .write = write_batch,
    .buffered = buffered,
    .written = written,
    .flush = flush,
    .write_finish = write_finish,
    .write_close = write_close,
};
