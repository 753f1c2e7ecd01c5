/*
 * csv_block.c - the places of many plain cells.
 *
 * Most files are lines of unquoted cells. Scanning and decoding such a line by itself costs more in calls and jumps than in
 * looking at its bytes, so a thousand lines are scanned first, and then each column is a loop over its cells (csv_decode.c).
 * The scanner proper stays as it is: where a line is odd the block ends in front of it, and the line takes the long
 * way. A second parser with rules of its own, for files that are said to have no quotes, was refused: nobody says so.
 */
#include "enc/csv_block.h"

#include "base/byte_mask.h"

/* Where in the text the scan is: as in the scanner, but in registers. */
struct place {
    const char *block;
    uint64_t mask;
};

static inline uint64_t mask_of(const struct mr_csv_dialect *dialect, const char *block)
{
    return mr_byte_mask(block, dialect->delimiter, dialect->quote, dialect->quote, '\n');
}

/* The next delimiter, quote or line break, or NULL at the end. */
static inline const char *next_special(struct place *place, const struct mr_csv_dialect *dialect,
                                       const char *end)
{
    while (place->mask == 0) {
        place->block += 64;
        if (place->block >= end)
            return NULL;
        place->mask = mask_of(dialect, place->block);
    }
    const char *found = place->block + __builtin_ctzll(place->mask);
    place->mask &= place->mask - 1;
    return found < end ? found : NULL;
}

/* One record from `start` on: where the next begins, or NULL if it is not plain. Its ends go to `ends`. */
static inline const char *scan_line(struct place *place, const struct mr_csv_scanner *scanner,
                                    const char *start, const struct mr_csv_block *block,
                                    uint32_t *ends)
{
    const struct mr_csv_dialect *dialect = &scanner->dialect;
    const char *cell = start;
    for (int n = 0;;) {
        const char *found = next_special(place, dialect, scanner->end);
        if (found == NULL)
            return NULL;
        if (*found == dialect->delimiter) {
            if (n + 1 >= block->ncells)
                return NULL;
            ends[n++] = (uint32_t)(found - block->text);
            cell = found + 1;
        } else if (*found == '\n') {
            const char *end = found > cell && found[-1] == '\r' ? found - 1 : found;
            bool empty = n == 0 && end == start;
            ends[n++] = (uint32_t)(end - block->text);
            return n == block->ncells && !empty ? found + 1 : NULL;
        } else if (found == cell) {
            return NULL;
        }
    }
}

void mr_csv_block_scan(struct mr_csv_scanner *scanner, struct mr_csv_block *block, int64_t most,
                       const char *stop)
{
    int ncells = block->ncells;
    int64_t room = ncells > 0 ? MR_CSV_BLOCK_CELLS / ncells : 0;
    room = room < MR_CSV_BLOCK_ROWS ? room : MR_CSV_BLOCK_ROWS;
    most = most < room ? most : room;
    const char *at = scanner->at;
    block->rows = 0;
    block->text = scanner->text;
    if (most <= 0 || at >= stop || at >= scanner->end ||
        scanner->end - scanner->text > (int64_t)INT32_MAX)
        return;
    /* The scanner's own mask holds escapes too, and bits in front of `at` are gone from it. */
    struct place place = {at, mask_of(&scanner->dialect, at)};
    block->starts[0] = (uint32_t)(at - block->text);
    while (block->rows < most && at < stop) {
        at = scan_line(&place, scanner, at, block, block->ends + block->rows * ncells);
        if (at == NULL)
            break;
        block->starts[++block->rows] = (uint32_t)(at - block->text);
    }
    if (block->rows == 0)
        return;
    scanner->record = block->text + block->starts[block->rows - 1];
    scanner->line = scanner->next_line + block->rows - 1;
    mr_csv_scanner_move(scanner, block->text + block->starts[block->rows], block->rows);
}

void mr_csv_block_rewind(struct mr_csv_scanner *scanner, const struct mr_csv_block *block,
                         int64_t row)
{
    if (row > 0)
        scanner->record = block->text + block->starts[row - 1];
    mr_csv_scanner_move(scanner, block->text + block->starts[row], row - block->rows);
}
