/*
 * interval.h - intervals from text and numbers, and arithmetic on them.
 */
#ifndef MR_SQL_INTERVAL_H
#define MR_SQL_INTERVAL_H

#include "col/type.h"

#include <stddef.h>

/*
 * Adds `number` ("-1", "2.5"; a fraction only for seconds) of `unit` (year(s), quarter, month, week, day, hour, minute,
 * second, millisecond, microsecond). False when it is no number or overflows.
 */
bool mr_interval_add(struct mr_interval *interval, const char *number, size_t size,
                     const char *unit, size_t unit_size);
/* "1 day 2 hours", "interval -3 months", "1 02:03:04.5" with units or as printed. False when it is none. */
bool mr_interval_parse(const char *text, size_t size, struct mr_interval *out);
/* 'y-m' YEAR TO MONTH and 'd h:m:s.f' from .. TO ..; units in lower case, singular. */
bool mr_interval_parse_range(const char *text, size_t size, const char *from, const char *to,
                             struct mr_interval *out);
/* Rank for comparison: a month counts 30 days. */
__int128 mr_interval_rank(const struct mr_interval *interval);

/* An interval as Spark prints one: "1 years 2 months 3 days 4 hours 5.5 seconds"; returns the length. */
#define MR_INTERVAL_TEXT_MAX 160
int mr_interval_format(const struct mr_interval *interval, char out[MR_INTERVAL_TEXT_MAX]);

/*
 * Without months it is Spark's day-time interval, whose days and time are one number: 36 hours are 1 day and 12 hours. Left
 * as it is where that number does not fit.
 */
void mr_interval_normalise(struct mr_interval *interval);

#endif
