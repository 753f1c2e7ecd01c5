/*
 * time.h - dates and times of the proleptic Gregorian calendar (ISO 8601), and the clocks.
 *
 * A date is days since 1970-01-01 (int32). A timestamp is microseconds since 1970-01-01T00:00:00Z
 * (int64). A time of day is microseconds since midnight. All functions are pure; the two clocks
 * take no lock.
 */
#ifndef MR_BASE_TIME_H
#define MR_BASE_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MR_MICROS_PER_SECOND INT64_C(1000000)
#define MR_MICROS_PER_DAY    INT64_C(86400000000)

struct mr_civil {
    int64_t year; /* astronomical: 0 is 1 BC */
    int month;    /* 1..12 */
    int day;      /* 1..31 */
    int hour;     /* 0..23 */
    int minute;
    int second;
    int micro; /* 0..999999 */
};

int64_t mr_days_from_civil(int64_t year, int month, int day);
void mr_civil_from_days(int64_t days, int64_t *year, int *month, int *day);
/* Without a zone: the fields of a timestamp as if in UTC, and back. */
void mr_civil_from_micros(int64_t micros, struct mr_civil *out);
int64_t mr_micros_from_civil(const struct mr_civil *civil);
int mr_days_in_month(int64_t year, int month);
bool mr_is_leap_year(int64_t year);
/* 1 = Monday .. 7 = Sunday. */
int mr_iso_weekday(int64_t days);
void mr_iso_week(int64_t days, int64_t *week_year, int *week);
/* Adds months, the day clamped to the month's length. */
int64_t mr_days_add_months(int64_t days, int64_t months);

/*
 * Text forms: "yyyy-MM-dd" (year with sign when outside 0..9999), "HH:mm:ss[.ffffff]" without
 * trailing zeros.
 */
#define MR_TIME_TEXT_MAX 48
int mr_date_format(int64_t days, char out[MR_TIME_TEXT_MAX]);
int mr_time_of_day_format(int64_t micros, char out[MR_TIME_TEXT_MAX]);
/* "yyyy-MM-dd HH:mm:ss[.ffffff]" of a local or UTC timestamp; `separator` is ' ' or 'T'. */
int mr_timestamp_format(int64_t micros, char separator, char out[MR_TIME_TEXT_MAX]);

/*
 * Microseconds of CLOCK_REALTIME and of CLOCK_MONOTONIC, nanoseconds of the thread's and the
 * process's CPU.
 */
int64_t mr_clock_wall_micros(void);
int64_t mr_clock_monotonic_micros(void);
int64_t mr_clock_thread_cpu_nanos(void);
int64_t mr_clock_process_cpu_nanos(void);

/*
 * Durations and sizes as the dialect writes them. A bare number takes `unit_micros`; "500 ms", "5
 * seconds", "24h", "1 day". False when it is not one or overflows. Sizes: "128M", "100MB", "1GiB",
 * "104857600": k, m, g, t with or without B/iB are powers of 1024.
 */
bool mr_duration_parse(const char *text, int64_t unit_micros, int64_t *micros);
bool mr_size_parse(const char *text, int64_t *bytes);
/* "1.5 MiB", "12 ms": for people. */
int mr_size_format(int64_t bytes, char *out, size_t capacity);
int mr_duration_format(int64_t micros, char *out, size_t capacity);

#endif
