/*
 * csv_head.h - records of a CSV file one by one, and what stands at its start: names of columns, their number, their types.
 */
#ifndef MR_FORMAT_CSV_HEAD_H
#define MR_FORMAT_CSV_HEAD_H

#include "enc/csv_scan.h"
#include "format/text_reader.h"
#include "format/text_rows.h"

/* May values in quotes have line breaks? */
enum mr_csv_breaks {
    MR_CSV_BREAKS_CHECKED, /* yes, and where a range begins is guessed, then checked */
    MR_CSV_BREAKS_NEVER,
    MR_CSV_BREAKS_WHOLE, /* yes; the file is one range */
};

/* A file, or a range of one, as records. */
struct mr_csv_input {
    const struct mr_format_read *read;
    struct mr_csv_dialect dialect;
    enum mr_csv_breaks breaks;
    bool header;
    bool infer;
    bool lines_known; /* scanner.line counts from the start of the file */
    bool loaded;      /* the scanner looks at the window */
    struct mr_text_reader text;
    struct mr_csv_scanner scanner;
};

struct mr_csv_head {
    const struct mr_schema *names; /* of the file's columns, all strings; 0 fields: an empty file */
    int64_t data;                  /* offset behind the header */
    int64_t line;                  /* there */
};

/* Opens at the start of the file; `soft` as for mr_text_reader_open. */
enum mr_status mr_csv_input_open(struct mr_csv_input *input, const struct mr_format_read *read,
                                 int64_t soft, struct mr_error *err);
void mr_csv_input_close(struct mr_csv_input *input);
/* Plain files: goes on at `offset`, where a record starts. */
void mr_csv_input_seek(struct mr_csv_input *input, int64_t offset, int64_t soft);
/* The next record; never MR_CSV_MORE. */
enum mr_status mr_csv_input_next(struct mr_csv_input *input, enum mr_csv_found *found,
                                 struct mr_error *err);
/* Of the record found last. */
static inline int64_t mr_csv_input_offset(const struct mr_csv_input *input)
{
    return input->text.base + (input->scanner.record - input->text.data);
}
void mr_csv_input_place(const struct mr_csv_input *input, struct mr_text_place *place);
/*
 * The columns of the file: names in the first record, or those of the option `schema`, or _c0, _c1, ...; afterwards the input stands at
 * the first record of data.
 */
enum mr_status mr_csv_head_read(struct mr_csv_input *input, struct mr_arena *arena,
                                struct mr_csv_head *head, struct mr_error *err);
/*
 * Where the first record at or behind `offset` of a plain file starts, empty lines left out; the size of the file if there is
 * none. Exact if `breaks` is NEVER, else a guess that depends on nothing but the file. Moves the input.
 */
enum mr_status mr_csv_find_record(struct mr_csv_input *input, int64_t offset, int64_t *start,
                                  struct mr_error *err);

#endif
