/*
 * csv_decode.c - cells to typed columns: a row at a time, and blocks of plain records column by column.
 *
 * Row by row, so that a record that is bad in its last cell costs one step back; the jump on the type repeats with every
 * row and is predicted well. A block (csv_block.h) has a loop for texts, short numbers and the rest each; a loop ends at
 * the first cell that has a fault, and all columns are cut back to the least of these rows.
 */
#include "enc/csv_block.h"

#include "base/digits.h"
#include "base/text.h"
#include "enc/json_decode.h"

struct mr_csv_decoder {
    const struct mr_schema *schema;
    const struct mr_tz *tz;
    int ncells;
    struct mr_bytes scratch;
    struct mr_arena arena;
    struct mr_json_decoder **nested; /* of columns that are JSON in a cell, else NULL */
    int places[];
};

static bool is_json(const struct mr_type *type)
{
    return mr_type_is_nested(type) || type->id == MR_TYPE_JSON;
}

static enum mr_status make_nested(struct mr_csv_decoder *decoder, struct mr_memory *memory,
                                  struct mr_error *err)
{
    const struct mr_schema *schema = decoder->schema;
    decoder->nested = mr_arena_calloc(&decoder->arena, (size_t)schema->nfields + 1,
                                      sizeof(struct mr_json_decoder *));
    if (!decoder->nested)
        return mr_error_nomem(err);
    for (int i = 0; i < schema->nfields; i++) {
        if (!is_json(schema->fields[i].type))
            continue;
        const struct mr_schema *one = mr_schema_new(&decoder->arena, &schema->fields[i], 1);
        if (!one)
            return mr_error_nomem(err);
        MR_TRY(mr_json_decoder_new(one, decoder->tz, memory, &decoder->nested[i], err));
    }
    return MR_OK;
}

enum mr_status mr_csv_decoder_new(const struct mr_schema *schema, const int *places, int ncells,
                                  const struct mr_tz *tz, struct mr_memory *memory,
                                  struct mr_csv_decoder **out, struct mr_error *err)
{
    size_t size = (size_t)schema->nfields * sizeof(int);
    struct mr_csv_decoder *decoder = mr_calloc(1, sizeof *decoder + size);
    if (!decoder)
        return mr_error_nomem(err);
    decoder->schema = schema;
    decoder->tz = tz;
    decoder->ncells = ncells;
    memcpy(decoder->places, places, size);
    mr_bytes_init(&decoder->scratch, INT32_MAX);
    mr_arena_init(&decoder->arena, NULL);
    enum mr_status status = make_nested(decoder, memory, err);
    if (status != MR_OK) {
        mr_csv_decoder_free(decoder);
        return status;
    }
    *out = decoder;
    return MR_OK;
}

void mr_csv_decoder_free(struct mr_csv_decoder *decoder)
{
    if (!decoder)
        return;
    for (int i = 0; decoder->nested && i < decoder->schema->nfields; i++)
        mr_json_decoder_free(decoder->nested[i]);
    mr_bytes_reset(&decoder->scratch);
    mr_arena_reset(&decoder->arena);
    mr_free(decoder);
}

static enum mr_status append_null(struct mr_csv_decoder *decoder, int column, struct mr_builder *to,
                                  struct mr_row_fault *fault, struct mr_error *err)
{
    const struct mr_field *field = &decoder->schema->fields[column];
    if (!field->nullable)
        mr_row_fault_set(fault, field->name, "NULL, and the column is NOT NULL");
    return mr_builder_null(to, err);
}

/* A cell of JSON; or nothing and the fault. */
static enum mr_status append_json(struct mr_csv_decoder *decoder, int column, struct mr_slice text,
                                  bool null_faults, struct mr_builder *to,
                                  struct mr_row_fault *fault, bool *done, struct mr_error *err)
{
    struct mr_row_fault own = {.found = false};
    MR_TRY(mr_json_decode_value(decoder->nested[column], text, null_faults, to, done, &own, err));
    if (own.found)
        mr_row_fault_set(fault, decoder->schema->fields[column].name, "%s", own.reason);
    return MR_OK;
}

/* Appends a value; or nothing and the fault. */
static enum mr_status append_text(struct mr_csv_decoder *decoder, int column, struct mr_slice text,
                                  struct mr_builder *to, struct mr_row_fault *fault, bool *done,
                                  struct mr_error *err)
{
    enum mr_text_fault text_fault;
    MR_TRY(mr_text_decode(to, text, decoder->tz, &text_fault, err));
    *done = text_fault == MR_TEXT_GOOD;
    if (*done)
        return MR_OK;
    char reason[200];
    mr_text_reason(text_fault, to->type, text, reason, sizeof reason);
    mr_row_fault_set(fault, decoder->schema->fields[column].name, "%s", reason);
    return MR_OK;
}

static enum mr_status append_cell(struct mr_csv_decoder *decoder,
                                  const struct mr_csv_scanner *scanner, int column,
                                  bool null_faults, struct mr_builder *to,
                                  struct mr_row_fault *fault, struct mr_error *err)
{
    int place = decoder->places[column];
    if (place < 0 || place >= scanner->ncells)
        return append_null(decoder, column, to, fault, err);
    const struct mr_csv_cell *cell = &scanner->cells[place];
    if (mr_csv_cell_is_null(scanner, cell) || (cell->size == 0 && to->type->id != MR_TYPE_STRING))
        return append_null(decoder, column, to, fault, err);
    struct mr_slice text = mr_csv_cell_text(scanner, cell, &decoder->scratch);
    MR_TRY(mr_bytes_status(&decoder->scratch, err));
    bool done = false;
    if (decoder->nested[column])
        MR_TRY(append_json(decoder, column, text, null_faults, to, fault, &done, err));
    else
        MR_TRY(append_text(decoder, column, text, to, fault, &done, err));
    return done ? MR_OK : append_null(decoder, column, to, fault, err);
}

static bool may_keep(const struct mr_csv_decoder *decoder, const struct mr_rows *rows)
{
    for (int i = 0; i < decoder->schema->nfields; i++) {
        const struct mr_builder *builder = &rows->builders[i];
        if (!decoder->schema->fields[i].nullable && builder->nulls > 0)
            return false;
    }
    return true;
}

enum mr_status mr_csv_decode(struct mr_csv_decoder *decoder, const struct mr_csv_scanner *scanner,
                             bool null_faults, struct mr_rows *rows, struct mr_row_fault *fault,
                             struct mr_error *err)
{
    fault->found = false;
    if (scanner->ncells != decoder->ncells)
        mr_row_fault_set(fault, NULL, "%d values, %d are expected", scanner->ncells,
                         decoder->ncells);
    for (int i = 0; i < decoder->schema->nfields && (null_faults || !fault->found); i++) {
        enum mr_status status =
            append_cell(decoder, scanner, i, null_faults, &rows->builders[i], fault, err);
        if (status != MR_OK) {
            mr_rows_rollback(rows);
            return status;
        }
    }
    if (fault->found && !(null_faults && may_keep(decoder, rows)))
        mr_rows_rollback(rows);
    else
        rows->count++;
    return MR_OK;
}

/* Blocks. */

/* A column of a block on its way into a builder. */
struct block_column {
    const struct mr_csv_block *block;
    const struct mr_csv_scanner *scanner;
    const struct mr_tz *tz;
    int cell;
    bool nullable;
    struct mr_builder *to;
};

static inline struct mr_slice cell_at(const struct block_column *column, int64_t row)
{
    const struct mr_csv_block *block = column->block;
    const uint32_t *ends = block->ends + row * block->ncells + column->cell;
    uint32_t start = column->cell > 0 ? ends[-1] + 1 : block->starts[row];
    return (struct mr_slice){block->text + start, ends[0] - start};
}

static inline bool is_null(const struct block_column *column, struct mr_slice text)
{
    const struct mr_csv_scanner *scanner = column->scanner;
    return text.size == scanner->null_size &&
           (text.size == 0 || memcmp(scanner->dialect.null_value, text.data, text.size) == 0);
}

/* Their bytes were checked with those of the whole block. */
static enum mr_status block_texts(const struct block_column *column, int64_t *good,
                                  struct mr_error *err)
{
    struct mr_builder *to = column->to;
    int64_t bytes = 0;
    for (int64_t row = 0; row < *good; row++)
        bytes += (int64_t)cell_at(column, row).size;
    MR_TRY(mr_builder_reserve(to, *good, bytes + 16, err));
    char *out = (char *)to->data->data + to->data->size;
    int32_t *ends = (int32_t *)(void *)to->values->data + to->length + 1;
    int32_t end = (int32_t)to->data->size;
    for (int64_t row = 0; row < *good; row++) {
        struct mr_slice text = cell_at(column, row);
        if (is_null(column, text)) {
            if (!column->nullable) {
                *good = row;
                break;
            }
            MR_TRY(mr_builder_mark_null(to, err));
            text.size = 0;
        }
        if (text.size <= 16)
            memcpy(out, text.data, 16); /* the scanner's text has 64 bytes more */
        else
            memcpy(out, text.data, text.size);
        out += text.size;
        end += (int32_t)text.size;
        *ends++ = end;
        to->length++;
    }
    to->data->size = (size_t)end;
    return MR_OK;
}

/* A value that the loops of short numbers do not take: NULL, or by the parser of its type. False: a fault. */
static enum mr_status block_value(const struct block_column *column, struct mr_slice text,
                                  bool *done, struct mr_error *err)
{
    enum mr_text_fault fault = MR_TEXT_GOOD;
    *done = true;
    if (text.size > 0 && !is_null(column, text))
        MR_TRY(mr_text_decode(column->to, text, column->tz, &fault, err));
    else if (column->nullable)
        return mr_builder_null(column->to, err);
    else
        fault = MR_TEXT_FORM;
    *done = fault == MR_TEXT_GOOD;
    return MR_OK;
}

static enum mr_status block_values(const struct block_column *column, int64_t *good,
                                   struct mr_error *err)
{
    for (int64_t row = 0; row < *good; row++) {
        bool done;
        MR_TRY(block_value(column, cell_at(column, row), &done, err));
        if (!done)
            *good = row;
    }
    return MR_OK;
}

/* A short number without an exponent, at its scale of `scale` digits (integers 0). */
static inline bool short_number(const struct block_column *column, struct mr_slice text, int scale,
                                int64_t limit, int64_t *out)
{
    static const int64_t powers[] = {1,      10,      100,      1000,      10000,
                                     100000, 1000000, 10000000, 100000000, 1000000000};
    uint32_t value;
    int behind;
    bool negative = text.size > 0 && text.data[0] == '-';
    if (!mr_short_digits(text.data + negative, text.size - negative, &value, &behind) ||
        behind > scale || scale - behind > 9)
        return false;
    *out = value * powers[scale - behind];
    if (*out > limit || is_null(column, text))
        return false;
    *out = negative ? -*out : *out;
    return true;
}

/* Integers, and decimals that fit 64 bits. */
static enum mr_status block_integers(const struct block_column *column, int64_t *good,
                                     struct mr_error *err)
{
    static const int64_t most[] = {INT8_MAX, INT16_MAX, INT32_MAX, INT64_MAX};
    const struct mr_type *type = column->to->type;
    bool decimal = type->id == MR_TYPE_DECIMAL;
    int scale = decimal ? type->scale : 0;
    int64_t limit =
        decimal ? (int64_t)mr_decimal_pow10(type->precision) - 1 : most[type->id - MR_TYPE_INT8];
    for (int64_t row = 0; row < *good; row++) {
        struct mr_slice text = cell_at(column, row);
        int64_t value;
        bool done = true;
        if (short_number(column, text, scale, limit, &value))
            MR_TRY(mr_builder_int(column->to, value, err));
        else
            MR_TRY(block_value(column, text, &done, err));
        if (!done)
            *good = row;
    }
    return MR_OK;
}

static enum mr_status block_doubles(const struct block_column *column, int64_t *good,
                                    struct mr_error *err)
{
    static const double powers[] = {1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7};
    struct mr_builder *to = column->to;
    MR_TRY(mr_builder_reserve(to, *good, 0, err));
    double *values = (double *)(void *)to->values->data;
    for (int64_t row = 0; row < *good; row++) {
        struct mr_slice text = cell_at(column, row);
        uint32_t value;
        int behind;
        bool done = true, negative = text.size > 0 && text.data[0] == '-';
        if (mr_short_digits(text.data + negative, text.size - negative, &value, &behind) &&
            !is_null(column, text)) {
            /* Both are exact, so the quotient is the nearest double. */
            double number = (double)value / powers[behind];
            values[to->length++] = negative ? -number : number;
        } else {
            MR_TRY(block_value(column, text, &done, err));
        }
        if (!done)
            *good = row;
    }
    return MR_OK;
}

static enum mr_status block_column(const struct block_column *column, int64_t *good,
                                   struct mr_error *err)
{
    const struct mr_type *type = column->to->type;
    if (column->cell < 0) {
        for (int64_t row = 0; row < *good; row++)
            MR_TRY(mr_builder_null(column->to, err));
        return MR_OK;
    }
    if (type->id == MR_TYPE_STRING)
        return block_texts(column, good, err);
    if (type->id == MR_TYPE_FLOAT64)
        return block_doubles(column, good, err);
    if (type->id >= MR_TYPE_INT8 && type->id <= MR_TYPE_INT64)
        return block_integers(column, good, err);
    if (type->id == MR_TYPE_DECIMAL && mr_type_layout(type) == MR_LAYOUT_I64)
        return block_integers(column, good, err);
    return block_values(column, good, err);
}

/*
 * Records whose texts are UTF-8. Delimiters are ASCII, so a cell is UTF-8 where the whole is; one bad byte anywhere leaves
 * its record to the long way, which knows whether its column is wanted.
 */
static int64_t valid_records(const struct mr_csv_block *block)
{
    const char *text = block->text + block->starts[0];
    size_t size = block->starts[block->rows] - block->starts[0];
    size_t valid = mr_utf8_valid_prefix(text, size);
    if (valid == size)
        return block->rows;
    int64_t row = 0;
    while (block->starts[row + 1] - block->starts[0] <= valid)
        row++;
    return row;
}

bool mr_csv_decoder_blocks(const struct mr_csv_decoder *decoder)
{
    for (int i = 0; i < decoder->schema->nfields; i++)
        if (decoder->nested[i] || (decoder->places[i] < 0 && !decoder->schema->fields[i].nullable))
            return false;
    return decoder->ncells <= MR_CSV_BLOCK_CELLS;
}

enum mr_status mr_csv_decode_block(struct mr_csv_decoder *decoder,
                                   const struct mr_csv_scanner *scanner,
                                   const struct mr_csv_block *block, struct mr_rows *rows,
                                   int64_t *good, struct mr_error *err)
{
    const struct mr_schema *schema = decoder->schema;
    enum mr_status status = MR_OK;
    *good = block->rows;
    for (int i = 0; i < schema->nfields; i++)
        if (schema->fields[i].type->id == MR_TYPE_STRING) {
            *good = valid_records(block);
            break;
        }
    for (int i = 0; i<schema->nfields && * good> 0 && status == MR_OK; i++) {
        struct block_column column = {
            .block = block,
            .scanner = scanner,
            .tz = decoder->tz,
            .cell = decoder->places[i],
            .nullable = schema->fields[i].nullable,
            .to = &rows->builders[i],
        };
        status = block_column(&column, good, err);
    }
    if (status == MR_OK)
        rows->count += *good;
    /* Columns in front of the one with the fault are longer. */
    mr_rows_rollback(rows);
    return status;
}
