/*
 * decimal.h - exact decimals: 128-bit two's complement integers with a scale kept by the type.
 *
 * Precision is at most 38 digits (Spark, Parquet, Arrow). Rounding is half up (away from zero), as
 * Spark does.
 */
#ifndef MR_BASE_DECIMAL_H
#define MR_BASE_DECIMAL_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __int128 mr_int128;
typedef unsigned __int128 mr_uint128;

#define MR_DECIMAL_MAX_PRECISION 38
/* Values of at most this many digits are stored as int64 in columns. */
#define MR_DECIMAL64_PRECISION 18
/* Longest text: sign, 38 digits, point, leading zero, NUL. */
#define MR_DECIMAL_TEXT_MAX 44

/* 10^n for n in 0..38. */
mr_int128 mr_decimal_pow10(int n);
/* Does |value| have at most `precision` digits? */
bool mr_decimal_fits(mr_int128 value, int precision);
/* Changes the scale; half-up rounding when digits are lost. False on overflow of 38 digits. */
bool mr_decimal_rescale(mr_int128 value, int from_scale, int to_scale, mr_int128 *out);
/*
 * a/b at `scale` digits, half up; inputs at their own scales. False on division by zero or
 * overflow.
 */
bool mr_decimal_divide(mr_int128 a, int a_scale, mr_int128 b, int b_scale, int scale,
                       mr_int128 *out);
/*
 * a+b exactly, then rounded half up to `scale`, which is at most the larger of theirs. False on overflow.
 */
bool mr_decimal_sum(mr_int128 a, int a_scale, mr_int128 b, int b_scale, int scale, mr_int128 *out);
/* What a/b leaves, with the sign of a, at the larger of the two scales. b is not 0. */
mr_int128 mr_decimal_remainder(mr_int128 a, int a_scale, mr_int128 b, int b_scale);
/* a/b without its fraction. False where it has more than 127 bits: *out holds the low ones then. b is not 0. */
bool mr_decimal_quotient(mr_int128 a, int a_scale, mr_int128 b, int b_scale, mr_int128 *out);
/* a*b rounded half up from (a_scale + b_scale) to `scale`; 256-bit inside. False on overflow. */
bool mr_decimal_multiply(mr_int128 a, int a_scale, mr_int128 b, int b_scale, int scale,
                         mr_int128 *out);
/*
 * Reads [+-]digits[.digits][e[+-]digits], surrounding ASCII space allowed, rounding half up to
 * `scale`. False when it is not a number or has more than `precision` digits.
 */
bool mr_decimal_parse(const char *text, size_t size, int precision, int scale, mr_int128 *out);
/* Plain notation with exactly `scale` digits behind the point; returns the length without NUL. */
int mr_decimal_format(mr_int128 value, int scale, char out[MR_DECIMAL_TEXT_MAX]);
/* Nearest double (correctly rounded), and from a double by its shortest decimal text. */
double mr_decimal_to_double(mr_int128 value, int scale);
bool mr_decimal_from_double(double value, int precision, int scale, mr_int128 *out);

#endif
