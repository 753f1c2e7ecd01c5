/*
 * json_input.h - the records of a JSON file: its lines, or the objects of a document.
 */
#ifndef MR_FORMAT_JSON_INPUT_H
#define MR_FORMAT_JSON_INPUT_H

#include "format/text_reader.h"
#include "format/text_rows.h"

struct mr_json_input {
    const struct mr_format_read *read;
    bool document;    /* multiLine */
    bool lines_known; /* `line` counts from the start of the file */
    int64_t line;     /* of the next byte looked at */
    struct mr_text_reader text;
    struct mr_slice piece;      /* whole records, in the window; the record is in it */
    bool fresh;                 /* the piece is another than the last record's */
    size_t done;                /* bytes of the piece that are records already */
    bool inside;                /* DOCUMENT: in the outer array */
    bool first;                 /* no element of it came yet */
    struct mr_text_place place; /* of the record */
};

/* Opens at the start of the file; `soft` as for mr_text_reader_open. */
enum mr_status mr_json_input_open(struct mr_json_input *input, const struct mr_format_read *read,
                                  int64_t soft, struct mr_error *err);
void mr_json_input_close(struct mr_json_input *input);
/* Plain files of lines: goes on at the first line that starts at or behind `offset`. */
enum mr_status mr_json_input_seek(struct mr_json_input *input, int64_t offset, int64_t soft,
                                  struct mr_error *err);
/*
 * The next record, in input->place; *found false at the end. Lines may be blank. A document whose outer form is wrong is
 * MR_SOURCE: what comes behind has no meaning.
 */
enum mr_status mr_json_input_next(struct mr_json_input *input, bool *found, struct mr_error *err);

#endif
