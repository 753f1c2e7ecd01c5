/*
 * text_of.h - any value as Spark's CAST(x AS STRING) prints it, and text read back.
 */
#ifndef MR_SQL_TEXT_OF_H
#define MR_SQL_TEXT_OF_H

#include "sql/function.h"

/* Appends the text of a row that is not NULL (elements: "null"); timestamps in the session's zone. FLAT or CONSTANT. */
void mr_text_of(const struct mr_sql_session *session, const struct mr_column *column, int64_t row,
                struct mr_bytes *out);

/* Spark's rules of CAST(text AS type). All trim ASCII space and control characters around. */
bool mr_text_to_bool(struct mr_slice text, bool *out);
/* `fraction`: digits behind a point are cut off (ANSI off), else they make it no integer. */
bool mr_text_to_integer(struct mr_slice text, bool fraction, int64_t *out);
bool mr_text_to_number(struct mr_slice text, double *out);
/* yyyy[-M[-d]], whatever follows a blank or T behind a whole date ignored. */
bool mr_text_to_date(struct mr_slice text, int32_t *out);
/*
 * yyyy[-M[-d]][( |T)H:m[:s[.ffffff]][zone]]: local fields in microseconds, and the zone's text (empty: none). More
 * than six digits of a second are cut.
 */
bool mr_text_to_local(struct mr_slice text, int64_t *local, struct mr_slice *zone);
/*
 * The words epoch, now, today, tomorrow and yesterday, which a constant text may be where a DATE or a timestamp is asked for.
 */
bool mr_special_time(const struct mr_sql_session *session, struct mr_slice text,
                     const struct mr_type *type, struct mr_value *out);
bool mr_text_to_time(struct mr_slice text, int64_t *micros);
bool mr_text_to_uuid(struct mr_slice text, uint8_t out[16]);
/* "+02:00", "-5", "Z", "UTC", "GMT+1": seconds. False for names of regions. */
bool mr_zone_offset(struct mr_slice zone, int32_t *seconds);
struct mr_slice mr_text_trim(struct mr_slice text);

#endif
