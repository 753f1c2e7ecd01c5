/*
 * csv_dialect.h - the options of CSV that readers and writers share.
 */
#ifndef MR_FORMAT_CSV_DIALECT_H
#define MR_FORMAT_CSV_DIALECT_H

#include "enc/csv_text.h"
#include "ext/option.h"

/* NULL where the step does not offer the dialect of CSV: then the defaults count. */
const struct mr_options *mr_csv_options(const struct mr_options *options);
/* From the rows of MR_CSV_OPTION_ROWS, or NULL. MR_CONFIG at the option that is no single ASCII character. */
enum mr_status mr_csv_dialect_of(const struct mr_options *options, struct mr_csv_dialect *dialect,
                                 struct mr_error *err);

#endif
