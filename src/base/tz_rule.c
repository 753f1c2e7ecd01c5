/*
 * tz_rule.c - POSIX TZ strings with the extensions of RFC 8536 (hours to 167, negative too).
 *
 * Offsets in the text are west of Greenwich and are turned round when they are read. Southern zones
 * have a start behind their end: daylight time is then everything but the time between.
 */
#include "base/tz_rule.h"

#include "base/time.h"

#include <string.h>

struct cursor {
    const char *at;
    const char *end;
};

static bool accept(struct cursor *c, char what)
{
    if (c->at == c->end || *c->at != what)
        return false;
    c->at++;
    return true;
}

static bool parse_number(struct cursor *c, int low, int high, int *out)
{
    int value = 0, digits = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9' && digits < 4; c->at++, digits++)
        value = value * 10 + (*c->at - '0');
    *out = value;
    return digits > 0 && value >= low && value <= high;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool parse_hours(struct cursor *c, int *out)
{
    bool negative = accept(c, '-');
    if (!negative)
        accept(c, '+');
    int hours, minutes = 0, seconds = 0;
    if (!parse_number(c, 0, 167, &hours))
        return false;
    if (accept(c, ':')) {
        if (!parse_number(c, 0, 59, &minutes))
            return false;
        if (accept(c, ':') && !parse_number(c, 0, 59, &seconds))
            return false;
    }
    int total = hours * 3600 + minutes * 60 + seconds;
    *out = negative ? -total : total;
    return true;
}

static bool parse_name(struct cursor *c, char out[MR_TZ_ABBREVIATION_MAX])
{
    bool quoted = accept(c, '<');
    size_t n = 0;
    for (; c->at < c->end; c->at++) {
        char ch = *c->at;
        bool letter = (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z');
        if (quoted ? ch == '>' : !letter)
            break;
        if (n + 1 == MR_TZ_ABBREVIATION_MAX)
            return false;
        out[n++] = ch;
    }
    out[n] = '\0';
    return n > 0 && (!quoted || accept(c, '>'));
}

static bool parse_day(struct cursor *c, struct mr_tz_day *out)
{
    *out = (struct mr_tz_day){.form = '0', .seconds = 7200};
    if (!accept(c, ','))
        return false;
    if (accept(c, 'M')) {
        out->form = 'M';
        if (!parse_number(c, 1, 12, &out->month) || !accept(c, '.') ||
            !parse_number(c, 1, 5, &out->week) || !accept(c, '.') ||
            !parse_number(c, 0, 6, &out->day))
            return false;
    } else if (accept(c, 'J')) {
        out->form = 'J';
        if (!parse_number(c, 1, 365, &out->day))
            return false;
    } else if (!parse_number(c, 0, 365, &out->day)) {
        return false;
    }
    return !accept(c, '/') || parse_hours(c, &out->seconds);
}

bool mr_tz_rule_parse(const char *text, size_t size, struct mr_tz_rule *out)
{
    struct cursor c = {text, text + size};
    int west;
    memset(out, 0, sizeof *out);
    if (!parse_name(&c, out->abbreviations[0]) || !parse_hours(&c, &west))
        return false;
    out->offsets[0] = -west;
    if (c.at == c.end)
        return true;
    out->has_dst = true;
    out->offsets[1] = out->offsets[0] + 3600;
    if (!parse_name(&c, out->abbreviations[1]))
        return false;
    if (c.at < c.end && *c.at != ',') {
        if (!parse_hours(&c, &west))
            return false;
        out->offsets[1] = -west;
    }
    return parse_day(&c, &out->start) && parse_day(&c, &out->end) && c.at == c.end;
}

/* Day number of the change in a year. */
static int64_t day_in_year(const struct mr_tz_day *day, int64_t year)
{
    int64_t first = mr_days_from_civil(year, 1, 1);
    if (day->form == '0')
        return first + day->day;
    if (day->form == 'J')
        return first + day->day - 1 + (day->day >= 60 && mr_is_leap_year(year));
    int64_t month = mr_days_from_civil(year, day->month, 1);
    int weekday = mr_iso_weekday(month) % 7;
    int64_t at = (day->day - weekday + 7) % 7 + (day->week - 1) * 7;
    while (at >= mr_days_in_month(year, day->month))
        at -= 7;
    return month + at;
}

void mr_tz_rule_changes(const struct mr_tz_rule *rule, int64_t year, int64_t *start, int64_t *end)
{
    *start = day_in_year(&rule->start, year) * 86400 + rule->start.seconds - rule->offsets[0];
    *end = day_in_year(&rule->end, year) * 86400 + rule->end.seconds - rule->offsets[1];
}

bool mr_tz_rule_is_dst(const struct mr_tz_rule *rule, int64_t seconds)
{
    if (!rule->has_dst)
        return false;
    int64_t local = seconds + rule->offsets[0];
    int64_t days = local / 86400 - (local % 86400 < 0);
    int64_t year, start, end;
    int month, day;
    mr_civil_from_days(days, &year, &month, &day);
    mr_tz_rule_changes(rule, year, &start, &end);
    if (start < end)
        return seconds >= start && seconds < end;
    return seconds >= start || seconds < end;
}
