/*
 * csv_block.h - many plain records of CSV at once, into builders.
 *
 * A record is plain where no cell begins with the quote, the number of cells is the expected one, and the line is ended.
 * What is not plain, and what has a fault, is left to csv_scan.h and csv_decode.h record by record; both give the
 * same rows.
 */
#ifndef MR_ENC_CSV_BLOCK_H
#define MR_ENC_CSV_BLOCK_H

#include "enc/csv_decode.h"

/* Most records, and most cells, of a block. */
#define MR_CSV_BLOCK_ROWS  1024
#define MR_CSV_BLOCK_CELLS 16384

struct mr_csv_block {
    int ncells;       /* of a record */
    int64_t rows;     /* found */
    const char *text; /* from which offsets are counted */
    uint32_t
        starts[MR_CSV_BLOCK_ROWS + 1]; /* of records; behind the last one: where the next begins */
    uint32_t
        ends[MR_CSV_BLOCK_CELLS]; /* of cell c of record r at [r * ncells + c], a \r left out */
};

/*
 * Finds plain records that begin in front of `stop`, `most` of them. The scanner stands behind the last one, which is its
 * record (place, line); with none nothing has changed.
 */
void mr_csv_block_scan(struct mr_csv_scanner *scanner, struct mr_csv_block *block, int64_t most,
                       const char *stop);
/* The scanner stands in front of record `row` of the block again. */
void mr_csv_block_rewind(struct mr_csv_scanner *scanner, const struct mr_csv_block *block,
                         int64_t row);

/*
 * Appends the records [0, *good) of a block as complete rows: up to the first that has a fault, which mr_csv_decode is to
 * be given. Not where mr_csv_decoder_blocks is false (nested columns). The status is about memory.
 */
bool mr_csv_decoder_blocks(const struct mr_csv_decoder *decoder);
enum mr_status mr_csv_decode_block(struct mr_csv_decoder *decoder,
                                   const struct mr_csv_scanner *scanner,
                                   const struct mr_csv_block *block, struct mr_rows *rows,
                                   int64_t *good, struct mr_error *err);

#endif
