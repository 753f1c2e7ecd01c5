/*
 * csv_text.c - the encoder.
 *
 * A cell's text goes straight into the output; only when a look at it finds a byte that needs quotes is it moved and
 * quoted. The look uses a table of 256 flags, so a dialect with odd characters (a digit as delimiter) costs no
 * more and is right for numbers and dates as well.
 */
#include "enc/csv_text.h"

#include "enc/json_text.h"
#include "enc/value_text.h"

struct mr_csv_rows {
    const struct mr_schema *schema;
    struct mr_csv_dialect dialect;
    size_t null_size;
    bool special[256]; /* bytes that need quotes */
};

enum mr_status mr_csv_dialect_check(const struct mr_csv_dialect *dialect, struct mr_error *err)
{
    const char characters[3] = {dialect->delimiter, dialect->quote, dialect->escape};
    for (int i = 0; i < 3; i++) {
        if (characters[i] == '\n' || characters[i] == '\r' || characters[i] == '\0' ||
            (unsigned char)characters[i] >= 0x80)
            return mr_error_config(err, "CSV: delimiter, quote and escape are single ASCII "
                                        "characters that do not end lines");
    }
    if (dialect->delimiter == dialect->quote || dialect->delimiter == dialect->escape)
        return mr_error_config(err, "CSV: the delimiter '%c' is the quote or escape as well",
                               dialect->delimiter);
    return MR_OK;
}

enum mr_status mr_csv_rows_new(const struct mr_schema *schema, const struct mr_csv_dialect *dialect,
                               struct mr_csv_rows **out, struct mr_error *err)
{
    MR_TRY(mr_csv_dialect_check(dialect, err));
    const char characters[3] = {dialect->delimiter, dialect->quote, dialect->escape};
    struct mr_csv_rows *rows = mr_calloc(1, sizeof *rows);
    if (!rows)
        return mr_error_nomem(err);
    rows->schema = schema;
    rows->dialect = *dialect;
    rows->null_size = strlen(dialect->null_value);
    rows->special['\n'] = rows->special['\r'] = true;
    for (int i = 0; i < 3; i++)
        rows->special[(unsigned char)characters[i]] = true;
    for (size_t i = 0; i < rows->null_size; i++) {
        if (rows->special[(unsigned char)dialect->null_value[i]]) {
            mr_csv_rows_free(rows);
            return mr_error_config(err, "CSV: nullValue holds a character that needs quotes");
        }
    }
    *out = rows;
    return MR_OK;
}

void mr_csv_rows_free(struct mr_csv_rows *rows)
{
    mr_free(rows);
}

/* Puts quotes around out[from, size) and escapes what is inside. */
static void quote_from(const struct mr_csv_rows *rows, size_t from, struct mr_bytes *out)
{
    char quote = rows->dialect.quote, escape = rows->dialect.escape;
    size_t extra = 2;
    for (size_t i = from; i < out->size; i++)
        extra += out->data[i] == quote || out->data[i] == escape;
    size_t size = out->size - from;
    if (!mr_bytes_reserve(out, extra))
        return;
    char *read = out->data + out->size, *write = read + extra;
    *--write = quote;
    while (size-- > 0) {
        char c = *--read;
        *--write = c;
        if (c == quote || c == escape)
            *--write = escape;
    }
    *--write = quote;
    out->size += extra;
}

/* Quotes the text out[from, size) if a reader would misread it, or take it for NULL. */
static void finish_text(const struct mr_csv_rows *rows, size_t from, struct mr_bytes *out)
{
    if (out->status != MR_OK)
        return;
    size_t size = out->size - from;
    unsigned odd = size == 0;
    for (size_t i = from; i < out->size; i++)
        odd |= rows->special[(unsigned char)out->data[i]];
    if (odd ||
        (size == rows->null_size && memcmp(out->data + from, rows->dialect.null_value, size) == 0))
        quote_from(rows, from, out);
}

static void put_cell(const struct mr_csv_rows *rows, const struct mr_column *column, int64_t row,
                     struct mr_bytes *out)
{
    const struct mr_column *flat;
    int64_t index;
    if (!mr_column_locate(column, row, &flat, &index)) {
        mr_bytes_append(out, rows->dialect.null_value, rows->null_size);
        return;
    }
    size_t from = out->size;
    if (mr_value_text_bounded(flat->type)) {
        char *to = mr_bytes_reserve(out, MR_VALUE_TEXT_MAX);
        if (to)
            out->size += (size_t)mr_value_text_put(flat, index, to);
    } else if (mr_type_is_nested(flat->type)) {
        mr_json_value(flat, index, out);
    } else {
        struct mr_slice bytes = mr_column_slice(flat, index);
        if (flat->type->id == MR_TYPE_BINARY)
            mr_base64_append(out, bytes.data, bytes.size);
        else
            mr_bytes_append(out, bytes.data, bytes.size);
    }
    finish_text(rows, from, out);
}

void mr_csv_rows_header(const struct mr_csv_rows *rows, struct mr_bytes *out)
{
    for (int i = 0; i < rows->schema->nfields; i++) {
        if (i)
            mr_bytes_char(out, rows->dialect.delimiter);
        size_t from = out->size;
        mr_bytes_text(out, rows->schema->fields[i].name);
        finish_text(rows, from, out);
    }
    mr_bytes_char(out, '\n');
}

static enum mr_status refuse_empty_line(const struct mr_csv_rows *rows, struct mr_error *err)
{
    mr_error_data(err, MR_SINK,
                  "column '%s' is the only one and has a NULL, which would be an empty line",
                  rows->schema->fields[0].name);
    if (err)
        mr_error_hint(err, "readers skip empty lines: set nullValue, for example to \\N");
    return MR_SINK;
}

enum mr_status mr_csv_rows_encode(const struct mr_csv_rows *rows, const struct mr_batch *batch,
                                  int64_t from, int64_t count, struct mr_bytes *out,
                                  struct mr_error *err)
{
    int ncolumns = rows->schema->nfields;
    bool lone = ncolumns == 1 && rows->null_size == 0 && batch->columns[0]->nulls > 0;
    for (int64_t row = from; row < from + count; row++) {
        if (lone && mr_column_is_null(batch->columns[0], row))
            return refuse_empty_line(rows, err);
        for (int i = 0; i < ncolumns; i++) {
            if (i)
                mr_bytes_char(out, rows->dialect.delimiter);
            put_cell(rows, batch->columns[i], row, out);
        }
        mr_bytes_char(out, '\n');
    }
    return MR_OK;
}
