/*
 * text_value.h - a text to a value of a scalar type, appended to a builder: the inverse of enc/value_text.h.
 *
 * Nothing is rounded or cut: an integer that does not fit, or a decimal with more digits than its type holds, is no value
 * of the type. Blanks around anything but texts do not count. Taken besides what value_text.h writes: true and false in
 * any case, t, f, yes, no, y, n, 1, 0; inf; dates with one-digit parts; a blank or T in front of a time, which may
 * have no seconds; offsets as Z, +hh, +hhmm, +hh:mm, UTC, GMT; digits behind microseconds are dropped; uuids without
 * dashes. A timestamp without an offset is local time of `tz`; a timestamp_ntz has none.
 */
#ifndef MR_ENC_TEXT_VALUE_H
#define MR_ENC_TEXT_VALUE_H

#include "base/tz.h"
#include "col/builder.h"

enum mr_text_fault {
    MR_TEXT_GOOD,
    MR_TEXT_FORM,   /* not of the form of the type */
    MR_TEXT_RANGE,  /* out of its range */
    MR_TEXT_DIGITS, /* more digits behind the point than the decimal has */
    MR_TEXT_UTF8,
};

/*
 * Appends one value; with a fault nothing is appended. `tz` NULL is UTC. Not for nested types and JSON (asserts). The status
 * is only about memory.
 */
enum mr_status mr_text_decode(struct mr_builder *to, struct mr_slice text, const struct mr_tz *tz,
                              enum mr_text_fault *fault, struct mr_error *err);
/* "'12x' is no int": for people, cut to the buffer, always UTF-8. Returns out. */
const char *mr_text_reason(enum mr_text_fault fault, const struct mr_type *type,
                           struct mr_slice text, char *out, size_t capacity);

/* Parts of it for other decoders and for inference; blanks are not skipped. */
bool mr_text_int64(struct mr_slice text, int64_t *out);
enum mr_text_fault mr_text_decimal(struct mr_slice text, int precision, int scale, mr_int128 *out);
bool mr_text_date(struct mr_slice text, int32_t *days);
/* Date and time, or a date alone; *zoned when an offset is there, which is applied then. */
bool mr_text_timestamp(struct mr_slice text, int64_t *micros, bool *zoned);

#endif
