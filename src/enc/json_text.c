/*
 * json_text.c - the encoder.
 *
 * Row by row: the keys with their punctuation are prepared once, and a cell is a jump on the type and a few bytes
 * into one growing buffer. Rendering column by column into text first and zipping the columns afterwards was
 * refused: it copies every byte twice and touches far more memory than a row's cells do.
 */
#include "enc/json_text.h"

#include "enc/value_text.h"

#include <math.h>

struct key {
    char *text; /* {"a": or ,"b": */
    size_t size;
};

struct mr_json_rows {
    int ncolumns;
    struct key keys[];
};

enum mr_status mr_json_rows_new(const struct mr_schema *schema, struct mr_json_rows **out,
                                struct mr_error *err)
{
    struct mr_json_rows *rows =
        mr_calloc(1, sizeof *rows + (size_t)schema->nfields * sizeof rows->keys[0]);
    if (!rows)
        return mr_error_nomem(err);
    rows->ncolumns = schema->nfields;
    enum mr_status status = MR_OK;
    for (int i = 0; i < schema->nfields && status == MR_OK; i++) {
        struct mr_bytes text;
        mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
        mr_bytes_char(&text, i ? ',' : '{');
        mr_bytes_json_string(&text, schema->fields[i].name, strlen(schema->fields[i].name));
        mr_bytes_char(&text, ':');
        status = mr_bytes_status(&text, err);
        rows->keys[i].text = mr_bytes_move(&text, &rows->keys[i].size);
    }
    if (status == MR_OK)
        *out = rows;
    else
        mr_json_rows_free(rows);
    return status;
}

void mr_json_rows_free(struct mr_json_rows *rows)
{
    for (int i = 0; rows && i < rows->ncolumns; i++)
        mr_free(rows->keys[i].text);
    mr_free(rows);
}

/* Most strings need no escape: one look, one copy. */
static void put_string(struct mr_slice text, struct mr_bytes *out)
{
    unsigned char odd = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        odd |= (unsigned char)((c < 0x20) | (c == '"') | (c == '\\') | (c >= 0x80));
    }
    if (odd) {
        mr_bytes_json_string(out, text.data, text.size);
        return;
    }
    char *to = mr_bytes_reserve(out, text.size + 2);
    if (!to)
        return;
    to[0] = '"';
    if (text.size)
        memcpy(to + 1, text.data, text.size);
    to[text.size + 1] = '"';
    out->size += text.size + 2;
}

/* A JSON text as it is. Line breaks can only stand between its tokens: a blank means the same and keeps rows on lines. */
static void put_document(struct mr_slice text, struct mr_bytes *out)
{
    char *to = mr_bytes_reserve(out, text.size);
    if (!to)
        return;
    for (size_t i = 0; i < text.size; i++)
        to[i] = text.data[i] == '\n' || text.data[i] == '\r' ? ' ' : text.data[i];
    out->size += text.size;
}

static bool is_quoted(const struct mr_column *flat, int64_t row)
{
    switch (flat->type->id) {
    case MR_TYPE_BOOL:
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
    case MR_TYPE_DECIMAL:
        return false;
    case MR_TYPE_FLOAT32:
        return !isfinite(((const float *)(const void *)flat->values->data)[row]);
    case MR_TYPE_FLOAT64:
        return !isfinite(((const double *)(const void *)flat->values->data)[row]);
    default:
        return true;
    }
}

static void put_bounded(const struct mr_column *flat, int64_t row, bool quoted,
                        struct mr_bytes *out)
{
    char *to = mr_bytes_reserve(out, MR_VALUE_TEXT_MAX + 2);
    if (!to)
        return;
    char *at = to;
    if (quoted)
        *at++ = '"';
    at += mr_value_text_put(flat, row, at);
    if (quoted)
        *at++ = '"';
    out->size += (size_t)(at - to);
}

static void put_list(const struct mr_column *flat, int64_t row, struct mr_bytes *out)
{
    const int32_t *offsets = mr_column_offsets(flat);
    mr_bytes_char(out, '[');
    for (int32_t i = offsets[row]; i < offsets[row + 1]; i++) {
        if (i > offsets[row])
            mr_bytes_char(out, ',');
        mr_json_value(flat->children[0], i, out);
    }
    mr_bytes_char(out, ']');
}

static void put_struct(const struct mr_column *flat, int64_t row, struct mr_bytes *out)
{
    mr_bytes_char(out, '{');
    for (int i = 0; i < flat->nchildren; i++) {
        if (i)
            mr_bytes_char(out, ',');
        put_string(mr_slice_of(flat->type->fields[i].name), out);
        mr_bytes_char(out, ':');
        mr_json_value(flat->children[i], row, out);
    }
    mr_bytes_char(out, '}');
}

/* A key must be a string in JSON: what is not one becomes its own text. */
static void put_map_key(const struct mr_column *keys, int64_t row, struct mr_bytes *out)
{
    const struct mr_column *flat;
    int64_t index;
    if (mr_column_locate(keys, row, &flat, &index) && mr_value_text_bounded(flat->type)) {
        put_bounded(flat, index, true, out);
        return;
    }
    if (mr_type_is_nested(keys->type) || keys->type->id == MR_TYPE_JSON) {
        struct mr_bytes text;
        mr_bytes_init(&text, out->maximum);
        mr_json_value(keys, row, &text);
        if (text.status == MR_OK)
            put_string((struct mr_slice){text.data, text.size}, out);
        else if (out->status == MR_OK)
            out->status = text.status;
        mr_bytes_reset(&text);
        return;
    }
    mr_json_value(keys, row, out);
}

static void put_map(const struct mr_column *flat, int64_t row, struct mr_bytes *out)
{
    const int32_t *offsets = mr_column_offsets(flat);
    const struct mr_column *entries = flat->children[0];
    mr_bytes_char(out, '{');
    for (int32_t i = offsets[row]; i < offsets[row + 1]; i++) {
        if (i > offsets[row])
            mr_bytes_char(out, ',');
        put_map_key(entries->children[0], i, out);
        mr_bytes_char(out, ':');
        mr_json_value(entries->children[1], i, out);
    }
    mr_bytes_char(out, '}');
}

void mr_json_value(const struct mr_column *column, int64_t row, struct mr_bytes *out)
{
    const struct mr_column *flat;
    int64_t index;
    if (!mr_column_locate(column, row, &flat, &index)) {
        mr_bytes_append(out, "null", 4);
        return;
    }
    switch (flat->type->id) {
    case MR_TYPE_STRING:
        put_string(mr_column_slice(flat, index), out);
        break;
    case MR_TYPE_JSON:
        put_document(mr_column_slice(flat, index), out);
        break;
    case MR_TYPE_BINARY: {
        struct mr_slice bytes = mr_column_slice(flat, index);
        mr_bytes_char(out, '"');
        mr_base64_append(out, bytes.data, bytes.size);
        mr_bytes_char(out, '"');
        break;
    }
    case MR_TYPE_LIST:
        put_list(flat, index, out);
        break;
    case MR_TYPE_STRUCT:
        put_struct(flat, index, out);
        break;
    case MR_TYPE_MAP:
        put_map(flat, index, out);
        break;
    default:
        put_bounded(flat, index, is_quoted(flat, index), out);
    }
}

void mr_json_rows_encode(const struct mr_json_rows *rows, const struct mr_batch *batch,
                         int64_t from, int64_t count, struct mr_bytes *out)
{
    for (int64_t row = from; row < from + count; row++) {
        if (rows->ncolumns == 0)
            mr_bytes_char(out, '{');
        for (int i = 0; i < rows->ncolumns; i++) {
            mr_bytes_append(out, rows->keys[i].text, rows->keys[i].size);
            mr_json_value(batch->columns[i], row, out);
        }
        mr_bytes_append(out, "}\n", 2);
    }
}
