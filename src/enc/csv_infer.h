/*
 * csv_infer.h - types of CSV columns out of a sample of records.
 *
 * BIGINT, DECIMAL(38,0) for longer integers, DOUBLE, BOOLEAN (true, false), DATE and TIMESTAMP (ISO 8601), else STRING, each if all
 * values of the sample are of that form. Numbers with leading zeroes or a plus are texts: postcodes, telephone numbers.
 */
#ifndef MR_ENC_CSV_INFER_H
#define MR_ENC_CSV_INFER_H

#include "enc/csv_scan.h"

struct mr_csv_guess;

/* `names` outlives it. */
enum mr_status mr_csv_guess_new(const struct mr_schema *names, struct mr_csv_guess **out,
                                struct mr_error *err);
void mr_csv_guess_free(struct mr_csv_guess *guess);
/* Takes the record found last into account. */
enum mr_status mr_csv_guess_record(struct mr_csv_guess *guess, const struct mr_csv_scanner *scanner,
                                   struct mr_error *err);
enum mr_status mr_csv_guess_schema(const struct mr_csv_guess *guess, struct mr_arena *arena,
                                   const struct mr_schema **out, struct mr_error *err);

#endif
