/*
 * csv_decode.h - a record of CSV into builders.
 */
#ifndef MR_ENC_CSV_DECODE_H
#define MR_ENC_CSV_DECODE_H

#include "enc/csv_scan.h"
#include "enc/rows.h"
#include "enc/text_value.h"

struct mr_csv_decoder;

/*
 * Column i of `schema` is cell places[i] of a record, or NULL if that is -1; a record has `ncells`. Nested and JSON columns are
 * JSON in a cell. The schema and `tz` (NULL = UTC) outlive it; places is copied.
 */
enum mr_status mr_csv_decoder_new(const struct mr_schema *schema, const int *places, int ncells,
                                  const struct mr_tz *tz, struct mr_memory *memory,
                                  struct mr_csv_decoder **out, struct mr_error *err);
void mr_csv_decoder_free(struct mr_csv_decoder *decoder);
/*
 * Appends the record found last as a complete row. With a fault: nothing, or if `null_faults` a row in which what is wrong
 * or missing is NULL (nothing if that may not be). An unquoted cell that is the text of NULL is NULL, and so is an empty
 * cell of any type but texts. The status is about memory.
 */
enum mr_status mr_csv_decode(struct mr_csv_decoder *decoder, const struct mr_csv_scanner *scanner,
                             bool null_faults, struct mr_rows *rows, struct mr_row_fault *fault,
                             struct mr_error *err);

#endif
