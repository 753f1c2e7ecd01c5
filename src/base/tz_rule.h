/*
 * tz_rule.h - the POSIX TZ string at the end of a TZif file: what holds after the last transition.
 */
#ifndef MR_BASE_TZ_RULE_H
#define MR_BASE_TZ_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MR_TZ_ABBREVIATION_MAX 16

/* The day and local time of a change of clocks. */
struct mr_tz_day {
    char form; /* 'J' = 1..365 without leap days, '0' = 0..365, 'M' = month.week.weekday */
    int day;   /* of 'J' and '0'; weekday 0..6 (Sunday 0) of 'M' */
    int month;
    int week; /* 5 = the last */
    int seconds;
};

struct mr_tz_rule {
    bool has_dst;
    int32_t offsets[2]; /* seconds east of Greenwich: standard time, daylight time */
    char abbreviations[2][MR_TZ_ABBREVIATION_MAX];
    struct mr_tz_day start;
    struct mr_tz_day end;
};

/* "CET-1CEST,M3.5.0,M10.5.0/3"; false when it is not such a string. */
bool mr_tz_rule_parse(const char *text, size_t size, struct mr_tz_rule *out);
/* The instants (seconds UTC) at which daylight time starts and ends in a local year. */
void mr_tz_rule_changes(const struct mr_tz_rule *rule, int64_t year, int64_t *start, int64_t *end);
/* Is daylight time in force at an instant? */
bool mr_tz_rule_is_dst(const struct mr_tz_rule *rule, int64_t seconds);

#endif
