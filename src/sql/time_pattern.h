/*
 * time_pattern.h - Spark's datetime patterns ("yyyy-MM-dd HH:mm:ss"): times to text and back.
 */
#ifndef MR_SQL_TIME_PATTERN_H
#define MR_SQL_TIME_PATTERN_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/tz.h"

struct mr_time_pattern;

/*
 * Compiles a pattern of Spark 3 (letters G y M L d D E a h H k K m s S Q q V z O X x, quoted text, [optional] parts). A letter that
 * Spark refuses, or that names what this build lacks, is MR_CONFIG with the letter. The pattern lives in the arena.
 */
enum mr_status mr_time_pattern_compile(struct mr_arena *arena, struct mr_slice text,
                                       const struct mr_time_pattern **out, struct mr_error *err);
/* `local`: fields in microseconds; `utc`: the instant (for the zone's letters). */
void mr_time_pattern_format(const struct mr_time_pattern *pattern, const struct mr_tz *tz,
                            int64_t local, int64_t utc, struct mr_bytes *out);
/*
 * Fields that the pattern lacks are those of 1970-01-01 00:00:00. *zoned: the text had an offset or zone, and *micros is an
 * instant; else *micros are local fields. False when the text does not match or is no valid time.
 */
bool mr_time_pattern_parse(const struct mr_time_pattern *pattern, struct mr_slice text,
                           int64_t *micros, bool *zoned);

/* The first letter that Spark writes but does not read (L E Q q), or NUL. */
char mr_time_pattern_unreadable(const struct mr_time_pattern *pattern);

#endif
