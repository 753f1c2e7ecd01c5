/*
 * csv_scan.h - where the records and cells of CSV text are (RFC 4180, and what is common besides).
 *
 * Lines end with \n or \r\n; empty lines are no records. A cell that begins with the quote ends at the next quote that is
 * neither doubled nor behind the escape character, and may hold delimiters and, unless `lines`, line breaks. A quote
 * inside a cell that did not begin with one is an ordinary character.
 */
#ifndef MR_ENC_CSV_SCAN_H
#define MR_ENC_CSV_SCAN_H

#include "enc/csv_text.h"

/* The scanner looks at up to this many bytes behind the text, whatever they are. */
#define MR_CSV_PADDING 64

struct mr_csv_cell {
    uint32_t start; /* behind the start of the record; of a quoted cell without its quotes */
    uint32_t size;
    bool quoted;
    bool escaped; /* mr_csv_cell_text must resolve escapes */
};

enum mr_csv_found {
    MR_CSV_RECORD,
    MR_CSV_MORE, /* the text ends inside the record, or there is none */
    MR_CSV_END,  /* no record is left, the text being `last` */
    MR_CSV_BAD,  /* a record that is none: `reason`; the next one begins behind its line */
};

struct mr_csv_scanner {
    struct mr_csv_dialect dialect;
    size_t null_size;
    bool lines;       /* a record is a line: a quote open at its end is a fault */
    int keep;         /* most cells stored */
    const char *text; /* of mr_csv_scanner_set; `end` is behind it */
    const char *end;
    bool last;
    const char *at;    /* where the next record is looked for */
    const char *block; /* 64 bytes whose special ones are `mask`; all before it are done */
    uint64_t mask;
    /* The record found last. */
    const char *record;
    const char *record_end; /* behind its text, in front of the line break */
    int64_t line;           /* of its first byte, counted from the `line` set by the caller */
    int64_t next_line;
    int ncells; /* as many as there are, also those not kept */
    struct mr_csv_cell *cells;
    const char *reason;
};

/* `keep` cells are stored, of further ones only the number. MR_NOMEM. */
enum mr_status mr_csv_scanner_init(struct mr_csv_scanner *scanner,
                                   const struct mr_csv_dialect *dialect, bool lines, int keep,
                                   struct mr_error *err);
void mr_csv_scanner_reset(struct mr_csv_scanner *scanner);
/* The text to look at, from the start of a record; `last`: no text follows. Padded (see above), borrowed. */
void mr_csv_scanner_set(struct mr_csv_scanner *scanner, const char *text, size_t size, bool last);
/* After MR_CSV_MORE: set again, the text from `at` on first. */
enum mr_csv_found mr_csv_scan(struct mr_csv_scanner *scanner);
/* Goes to `at`, where a record begins, `lines` lines from where the next one would have been looked for. */
void mr_csv_scanner_move(struct mr_csv_scanner *scanner, const char *at, int64_t lines);
/* The value of a cell; escapes are resolved into `scratch`, cleared before. */
struct mr_slice mr_csv_cell_text(const struct mr_csv_scanner *scanner,
                                 const struct mr_csv_cell *cell, struct mr_bytes *scratch);
/* Is it NULL: not quoted, and the dialect's text of NULL? */
bool mr_csv_cell_is_null(const struct mr_csv_scanner *scanner, const struct mr_csv_cell *cell);
/*
 * For text that begins anywhere: is its second byte inside quotes? text[0] is the byte in front. Decided by the first quote that
 * can only open or only close a cell; false if there is none.
 */
bool mr_csv_guess_quoted(const struct mr_csv_dialect *dialect, const char *text, size_t size);

#endif
