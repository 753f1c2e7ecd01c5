/*
 * time.c - the proleptic Gregorian calendar, its text forms, and the clocks.
 *
 * Day numbers follow Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years start in
 * March, so that the leap day comes last, and 400-year eras of 146097 days repeat exactly. No
 * table, no loop, valid for every int32 day number and far beyond. libc's gmtime is not used: it is
 * slower and limited to its tm_year.
 */
#include "base/time.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

/* Days and the microseconds of the day, without a product that could overflow near INT64_MIN. */
static int64_t split_micros(int64_t micros, int64_t *of_day)
{
    int64_t rest = micros % MR_MICROS_PER_DAY;
    *of_day = rest < 0 ? rest + MR_MICROS_PER_DAY : rest;
    return micros / MR_MICROS_PER_DAY - (rest < 0);
}

int64_t mr_days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = floor_div(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void mr_civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = floor_div(days, 146097);
    uint32_t day_of_era = (uint32_t)(days - era * 146097);
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (int64_t)year_of_era + era * 400 + (*month <= 2);
}

void mr_civil_from_micros(int64_t micros, struct mr_civil *out)
{
    int64_t rest;
    int64_t days = split_micros(micros, &rest);
    mr_civil_from_days(days, &out->year, &out->month, &out->day);
    int seconds = (int)(rest / MR_MICROS_PER_SECOND);
    out->micro = (int)(rest % MR_MICROS_PER_SECOND);
    out->hour = seconds / 3600;
    out->minute = seconds / 60 % 60;
    out->second = seconds % 60;
}

int64_t mr_micros_from_civil(const struct mr_civil *civil)
{
    int64_t days = mr_days_from_civil(civil->year, civil->month, civil->day);
    int64_t seconds = civil->hour * 3600 + civil->minute * 60 + civil->second;
    return days * MR_MICROS_PER_DAY + seconds * MR_MICROS_PER_SECOND + civil->micro;
}

bool mr_is_leap_year(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int mr_days_in_month(int64_t year, int month)
{
    if (month == 2)
        return mr_is_leap_year(year) ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

int mr_iso_weekday(int64_t days)
{
    /* Day 0 was a Thursday. */
    int64_t since_monday = (days + 3) % 7;
    return (int)(since_monday < 0 ? since_monday + 7 : since_monday) + 1;
}

void mr_iso_week(int64_t days, int64_t *week_year, int *week)
{
    /* The week belongs to the year that its Thursday is in. */
    int64_t thursday = days - mr_iso_weekday(days) + 4;
    int month, day;
    mr_civil_from_days(thursday, week_year, &month, &day);
    *week = (int)((thursday - mr_days_from_civil(*week_year, 1, 1)) / 7) + 1;
}

int64_t mr_days_add_months(int64_t days, int64_t months)
{
    int64_t year;
    int month, day;
    mr_civil_from_days(days, &year, &month, &day);
    int64_t total = year * 12 + (month - 1) + months;
    year = floor_div(total, 12);
    month = (int)(total - year * 12) + 1;
    int last = mr_days_in_month(year, month);
    return mr_days_from_civil(year, month, day < last ? day : last);
}

static char *two_digits(char *out, int value)
{
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
    return out + 2;
}

static char *put_date(char *out, int64_t days)
{
    int64_t year;
    int month, day;
    mr_civil_from_days(days, &year, &month, &day);
    if (year >= 0 && year <= 9999) {
        out = two_digits(out, (int)year / 100);
        out = two_digits(out, (int)year % 100);
    } else {
        out += sprintf(out, year < 0 ? "-%04lld" : "+%lld", (long long)(year < 0 ? -year : year));
    }
    *out++ = '-';
    out = two_digits(out, month);
    *out++ = '-';
    return two_digits(out, day);
}

static char *put_time(char *out, int64_t micros)
{
    int seconds = (int)(micros / MR_MICROS_PER_SECOND);
    int fraction = (int)(micros % MR_MICROS_PER_SECOND);
    out = two_digits(out, seconds / 3600);
    *out++ = ':';
    out = two_digits(out, seconds / 60 % 60);
    *out++ = ':';
    out = two_digits(out, seconds % 60);
    if (fraction) {
        int width = 6;
        for (; fraction % 10 == 0; fraction /= 10)
            width--;
        *out++ = '.';
        for (int i = width - 1; i >= 0; i--, fraction /= 10)
            out[i] = (char)('0' + fraction % 10);
        out += width;
    }
    return out;
}

int mr_date_format(int64_t days, char out[MR_TIME_TEXT_MAX])
{
    char *end = put_date(out, days);
    *end = '\0';
    return (int)(end - out);
}

int mr_time_of_day_format(int64_t micros, char out[MR_TIME_TEXT_MAX])
{
    char *end = put_time(out, micros);
    *end = '\0';
    return (int)(end - out);
}

int mr_timestamp_format(int64_t micros, char separator, char out[MR_TIME_TEXT_MAX])
{
    int64_t of_day;
    int64_t days = split_micros(micros, &of_day);
    char *end = put_date(out, days);
    *end++ = separator;
    end = put_time(end, of_day);
    *end = '\0';
    return (int)(end - out);
}

static int64_t clock_nanos(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t mr_clock_wall_micros(void)
{
    return clock_nanos(CLOCK_REALTIME) / 1000;
}

int64_t mr_clock_monotonic_micros(void)
{
    return clock_nanos(CLOCK_MONOTONIC) / 1000;
}

int64_t mr_clock_thread_cpu_nanos(void)
{
    return clock_nanos(CLOCK_THREAD_CPUTIME_ID);
}

int64_t mr_clock_process_cpu_nanos(void)
{
    return clock_nanos(CLOCK_PROCESS_CPUTIME_ID);
}
