/*
 * text_table.c - rows of values as lines of text.
 *
 * Cells are collected first, because a column is as wide as its widest cell.
 */
#include "api/text_table.h"

#include <string.h>

#define MAX_CELL 40

void mr_text_table_reset(struct mr_text_table *table)
{
    for (int64_t i = 0; i < table->ncells; i++)
        mr_free(table->cells[i]);
    mr_free(table->cells);
    *table = (struct mr_text_table){.ncolumns = table->ncolumns, .most = table->most};
}

enum mr_status mr_text_table_text(struct mr_text_table *table, const char *text, size_t size,
                                  struct mr_error *err)
{
    if (table->ncells == table->capacity) {
        int64_t capacity = table->capacity ? table->capacity * 2 : 256;
        char **cells = mr_realloc(table->cells, (size_t)capacity * sizeof(*cells));
        if (!cells)
            return mr_error_nomem(err);
        table->cells = cells;
        table->capacity = capacity;
    }
    char *cell = mr_strndup(text, size);
    if (!cell)
        return mr_error_nomem(err);
    for (size_t i = 0; cell[i]; i++)
        if ((unsigned char)cell[i] < ' ')
            cell[i] = ' ';
    table->cells[table->ncells++] = cell;
    return MR_OK;
}

enum mr_status mr_text_table_value(struct mr_text_table *table, const struct mr_column *column,
                                   int64_t row, struct mr_error *err)
{
    struct mr_bytes text;
    struct mr_value value;
    mr_bytes_init(&text, 1 << 20);
    mr_column_get(column, row, &value);
    mr_value_format(&value, &text);
    size_t size = text.size;
    size_t most = table->most > 0 ? table->most : MAX_CELL;
    if (size > most) {
        size = most - 3;
        while (size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80)
            size--;
        memcpy(text.data + size, "...", 3);
        size += 3;
    }
    enum mr_status status = mr_text_table_text(table, text.data ? text.data : "", size, err);
    mr_bytes_reset(&text);
    return status;
}

/* Columns on a terminal, each code point taken as one wide. */
static int64_t width_of(const char *text)
{
    int64_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

enum mr_status mr_text_table_print(const struct mr_text_table *table, const char *indent,
                                   struct mr_bytes *out, struct mr_error *err)
{
    int ncolumns = table->ncolumns;
    int64_t *widths = mr_calloc((size_t)ncolumns + 1, sizeof *widths);
    if (!widths)
        return mr_error_nomem(err);
    for (int64_t i = 0; i < table->ncells; i++) {
        int64_t width = width_of(table->cells[i]);
        if (width > widths[i % ncolumns])
            widths[i % ncolumns] = width;
    }
    for (int64_t i = 0; i < table->ncells; i++) {
        int column = (int)(i % ncolumns);
        bool last = column == ncolumns - 1;
        int pad = last ? 0 : (int)(widths[column] - width_of(table->cells[i])) + 2;
        mr_bytes_printf(out, "%s%s%*s", column == 0 ? indent : "", table->cells[i], pad, "");
        if (!last)
            continue;
        while (out->size > 0 && out->data[out->size - 1] == ' ')
            out->data[--out->size] = '\0';
        mr_bytes_char(out, '\n');
    }
    mr_free(widths);
    return mr_bytes_status(out, err);
}
