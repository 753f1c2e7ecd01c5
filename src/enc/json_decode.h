/*
 * json_decode.h - JSON into builders: one record or many.
 *
 * All of a record is checked (RFC 8259, UTF-8), also what no column wants. Rules where the format leaves them open: of a
 * key that comes twice the last value counts, in a map it is a fault; a \u escape that is half of a pair is a fault; \u0000 is a
 * character like any other; nesting is at most MR_JSON_DEPTH_MAX deep. A key that no column has is passed over, a column
 * without a key is NULL, names are compared exactly. Numbers are never rounded on their way: integers and decimals
 * have all their digits or are a fault. A text column takes any value, as the JSON text it is, without blanks between
 * tokens. Texts are read by enc/text_value.h; a timestamp may be a number of seconds, a decimal and NaN a string.
 */
#ifndef MR_ENC_JSON_DECODE_H
#define MR_ENC_JSON_DECODE_H

#include "base/tz.h"
#include "enc/rows.h"

#define MR_JSON_DEPTH_MAX 500

struct mr_json_decoder;

/* The schema and `tz` (NULL = UTC) outlive it. */
enum mr_status mr_json_decoder_new(const struct mr_schema *schema, const struct mr_tz *tz,
                                   struct mr_memory *memory, struct mr_json_decoder **out,
                                   struct mr_error *err);
void mr_json_decoder_free(struct mr_json_decoder *decoder);
/*
 * Takes a text of one record or several, of less than 4 GiB, borrowed until the next call. *reason says why it is
 * nothing to decode (a string that does not end, no UTF-8), and is NULL otherwise. The status is about memory.
 */
enum mr_status mr_json_load(struct mr_json_decoder *decoder, const char *text, size_t size,
                            const char **reason, struct mr_error *err);
/*
 * Appends the record that is all of text[from, to) of the text loaded, behind those decoded before. With a fault nothing is
 * appended, or if `null_faults` a row in which values that are no value of their column are NULL. *blank: nothing but
 * white space. The status is about memory.
 */
enum mr_status mr_json_decode(struct mr_json_decoder *decoder, size_t from, size_t to,
                              bool null_faults, struct mr_rows *rows, bool *blank,
                              struct mr_row_fault *fault, struct mr_error *err);
/*
 * The same for a single value of the type of column 0 of the schema, appended to `to`; *done false with a fault. For cells of other
 * formats; loads the text itself.
 */
enum mr_status mr_json_decode_value(struct mr_json_decoder *decoder, struct mr_slice text,
                                    bool null_faults, struct mr_builder *to, bool *done,
                                    struct mr_row_fault *fault, struct mr_error *err);

#endif
