/*
 * csv_decode.c - cells to typed columns, a row at a time.
 *
 * Row by row, so that a record that is bad in its last cell costs one step back; the jump on the type repeats with every
 * row and is predicted well.
 */
#include "enc/csv_decode.h"

struct mr_csv_decoder {
    const struct mr_schema *schema;
    const struct mr_tz *tz;
    int ncells;
    struct mr_bytes scratch;
    int places[];
};

enum mr_status mr_csv_decoder_new(const struct mr_schema *schema, const int *places, int ncells,
                                  const struct mr_tz *tz, struct mr_memory *memory,
                                  struct mr_csv_decoder **out, struct mr_error *err)
{
    (void)memory;
    size_t size = (size_t)schema->nfields * sizeof(int);
    struct mr_csv_decoder *decoder = mr_calloc(1, sizeof *decoder + size);
    if (!decoder)
        return mr_error_nomem(err);
    decoder->schema = schema;
    decoder->tz = tz;
    decoder->ncells = ncells;
    memcpy(decoder->places, places, size);
    mr_bytes_init(&decoder->scratch, INT32_MAX);
    for (int i = 0; i < schema->nfields; i++) {
        const struct mr_type *type = schema->fields[i].type;
        if (mr_type_is_nested(type) || type->id == MR_TYPE_JSON) {
            mr_csv_decoder_free(decoder);
            return mr_error_config(err, "column '%s': nested values are not read from CSV",
                                   schema->fields[i].name);
        }
    }
    *out = decoder;
    return MR_OK;
}

void mr_csv_decoder_free(struct mr_csv_decoder *decoder)
{
    if (!decoder)
        return;
    mr_bytes_reset(&decoder->scratch);
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
                                  struct mr_builder *to, struct mr_row_fault *fault,
                                  struct mr_error *err)
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
        enum mr_status status = append_cell(decoder, scanner, i, &rows->builders[i], fault, err);
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
