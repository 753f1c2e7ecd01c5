/*
 * text.h - small helpers over C strings and UTF-8.
 */
#ifndef MR_BASE_TEXT_H
#define MR_BASE_TEXT_H

#include "base/bytes.h"

/* Byte length of valid UTF-8 from the start of `data`; equal to size when all of it is. */
size_t mr_utf8_valid_prefix(const char *data, size_t size);
/* Code points in valid UTF-8. */
int64_t mr_utf8_length(const char *data, size_t size);
/* Decodes one code point at data (size > 0); returns its bytes, or 0 if it is not UTF-8. */
int mr_utf8_decode(const char *data, size_t size, uint32_t *code_point);
/* Writes 1..4 bytes. */
int mr_utf8_encode(uint32_t code_point, char out[4]);
bool mr_text_equal_nocase(const char *a, const char *b);
/*
 * Whole text must be a number (for a double also NaN, Inf, Infinity in any case); ASCII space
 * around is allowed when `trim`. Locale-independent, correctly rounded.
 */
bool mr_text_to_int64(struct mr_slice text, bool trim, int64_t *out);
bool mr_text_to_double(struct mr_slice text, bool trim, double *out);
/*
 * Shortest text that reads back to the same value, in Java's Double.toString / Float.toString form
 * ("1.0E10", "NaN").
 */
#define MR_DOUBLE_TEXT_MAX 32
int mr_double_to_text(double value, char out[MR_DOUBLE_TEXT_MAX]);
int mr_float_to_text(float value, char out[MR_DOUBLE_TEXT_MAX]);
/* Shortest round-trip in C form ("10000000000", "1e+20"), for JSON and CSV. */
int mr_double_to_json(double value, char out[MR_DOUBLE_TEXT_MAX]);

#endif
