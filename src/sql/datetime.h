/*
 * datetime.h - + - * / where a date, a timestamp or an interval takes part.
 */
#ifndef MR_SQL_DATETIME_H
#define MR_SQL_DATETIME_H

#include "sql/function.h"

/* Is one of the two arguments a date, a timestamp or an interval? */
bool mr_datetime_operands(const struct mr_binding *binding);
enum mr_status mr_bind_datetime(struct mr_binding *binding, char op);
enum mr_status mr_bind_negate_interval(struct mr_binding *binding);
/* An instant moved by an interval: months and days in local time of the session's zone. False on overflow. */
bool mr_timestamp_add(const struct mr_tz *tz, int64_t micros, const struct mr_interval *interval,
                      int sign, int64_t *out);

/* A time out of range: an error with ANSI off as well, NULL for try_ only. */
void mr_time_overflow(struct mr_result *result, int64_t row);

#endif
