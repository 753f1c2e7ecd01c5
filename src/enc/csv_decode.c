/*
 * csv_decode.c - cells to typed columns, a row at a time.
 *
 * Row by row, so that a record that is bad in its last cell costs one step back; the jump on the type repeats with every
 * row and is predicted well.
 */
#include "enc/csv_decode.h"

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
