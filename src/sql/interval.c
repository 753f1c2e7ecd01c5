/*
 * interval.c - intervals: one type of months, days and microseconds, as Spark's CalendarInterval.
 *
 * Spark 3 has three interval types (calendar, year-month, day-time). We keep the one that can hold all of them:
 * a day is not 24 hours where clocks change, so days stay apart from microseconds, and months apart from days.
 */
#include "sql/interval.h"

#include "base/bytes.h"
#include "base/time.h"

#include <stdio.h>

struct unit {
    const char *name; /* singular */
    int32_t months;
    int32_t days;
    int64_t micros;
};

static const struct unit units[] = {
    {"year", 12, 0, 0},         {"quarter", 3, 0, 0},      {"month", 1, 0, 0},
    {"week", 0, 7, 0},          {"day", 0, 1, 0},          {"hour", 0, 0, INT64_C(3600000000)},
    {"minute", 0, 0, 60000000}, {"second", 0, 0, 1000000}, {"millisecond", 0, 0, 1000},
    {"microsecond", 0, 0, 1},
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool equal_nocase(const char *text, size_t size, const char *word)
{
    for (size_t i = 0; i < size; i++) {
        if (word[i] == '\0' || lower(text[i]) != word[i])
            return false;
    }
    return word[size] == '\0';
}

static const struct unit *find_unit(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (equal_nocase(name, size, units[i].name))
            return &units[i];
        if (size > 1 && lower(name[size - 1]) == 's' && equal_nocase(name, size - 1, units[i].name))
            return &units[i];
    }
    return NULL;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A decimal number as whole units and billionths of one, both with its sign. */
static bool parse_number(const char *text, size_t size, int64_t *whole, int64_t *nanos)
{
    size_t i = 0;
    bool negative = false;
    if (i < size && (text[i] == '-' || text[i] == '+'))
        negative = text[i++] == '-';
    size_t digits = 0;
    int64_t value = 0;
    for (; i < size && is_digit(text[i]); i++, digits++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, text[i] - '0', &value))
            return false;
    }
    int64_t fraction = 0;
    if (i < size && text[i] == '.') {
        int64_t weight = 100000000;
        for (i++; i < size && is_digit(text[i]); i++, digits++, weight /= 10)
            fraction += (text[i] - '0') * weight;
    }
    *whole = negative ? -value : value;
    *nanos = negative ? -fraction : fraction;
    return digits > 0 && i == size;
}

static bool add_scaled(struct mr_interval *interval, const struct unit *unit, int64_t number)
{
    int64_t months, days, micros;
    if (__builtin_mul_overflow(number, (int64_t)unit->months, &months) ||
        __builtin_mul_overflow(number, (int64_t)unit->days, &days) ||
        __builtin_mul_overflow(number, unit->micros, &micros))
        return false;
    return !__builtin_add_overflow(interval->months, months, &interval->months) &&
           !__builtin_add_overflow(interval->days, days, &interval->days) &&
           !__builtin_add_overflow(interval->micros, micros, &interval->micros);
}

bool mr_interval_add(struct mr_interval *interval, const char *number, size_t size,
                     const char *unit_name, size_t unit_size)
{
    const struct unit *unit = find_unit(unit_name, unit_size);
    int64_t whole, nanos;
    if (unit == NULL || !parse_number(number, size, &whole, &nanos))
        return false;
    if (nanos != 0 && unit->micros != 1000000)
        return false;
    return add_scaled(interval, unit, whole) &&
           !__builtin_add_overflow(interval->micros, nanos / 1000, &interval->micros);
}

static struct mr_slice next_word(const char **at, const char *end)
{
    while (*at < end && is_space(**at))
        (*at)++;
    const char *start = *at;
    while (*at < end && !is_space(**at))
        (*at)++;
    return (struct mr_slice){start, (size_t)(*at - start)};
}

bool mr_interval_parse(const char *text, size_t size, struct mr_interval *out)
{
    const char *at = text;
    const char *end = text + size;
    *out = (struct mr_interval){0};
    struct mr_slice word = next_word(&at, end);
    if (equal_nocase(word.data, word.size, "interval"))
        word = next_word(&at, end);
    if (word.size == 0)
        return false;
    while (word.size > 0) {
        struct mr_slice number = word;
        char glued[64];
        if (number.size == 1 && (number.data[0] == '-' || number.data[0] == '+')) {
            struct mr_slice rest = next_word(&at, end);
            if (rest.size > sizeof(glued) - 1)
                return false;
            glued[0] = number.data[0];
            memcpy(glued + 1, rest.data, rest.size);
            number = (struct mr_slice){glued, rest.size + 1};
        }
        struct mr_slice unit = next_word(&at, end);
        if (!mr_interval_add(out, number.data, number.size, unit.data, unit.size))
            return false;
        word = next_word(&at, end);
    }
    return true;
}

static int rank_of(const char *unit)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].name) == 0)
            return (int)i;
    }
    return -1;
}

/* The numbers of 'd h:m:s' in order, each of the next smaller unit of the list year month | day hour minute second. */
bool mr_interval_parse_range(const char *text, size_t size, const char *from, const char *to,
                             struct mr_interval *out)
{
    static const char *const year_month[] = {"year", "month"};
    static const char *const day_second[] = {"day", "hour", "minute", "second"};
    bool is_year = strcmp(from, "year") == 0;
    const char *const *names = is_year ? year_month : day_second;
    int count = is_year ? 2 : 4;
    int first = 0;
    while (first < count && strcmp(names[first], from) != 0)
        first++;
    *out = (struct mr_interval){0};
    if (first == count || rank_of(to) <= rank_of(from))
        return false;
    size_t at = 0;
    while (at < size && is_space(text[at]))
        at++;
    while (size > at && is_space(text[size - 1]))
        size--;
    bool negative = at < size && text[at] == '-';
    if (at < size && (text[at] == '-' || text[at] == '+'))
        at++;
    for (int i = first; i < count; i++) {
        char number[64];
        size_t length = 0;
        if (negative)
            number[length++] = '-';
        while (at < size && (is_digit(text[at]) || text[at] == '.') && length < 60)
            number[length++] = text[at++];
        if (!mr_interval_add(out, number, length, names[i], strlen(names[i])))
            return false;
        if (strcmp(names[i], to) == 0)
            return at == size;
        char separator = is_year ? '-' : i == 0 ? ' ' : ':';
        if (at >= size || text[at] != separator)
            return false;
        at++;
    }
    return false;
}

void mr_interval_normalise(struct mr_interval *interval)
{
    __int128 micros = (__int128)interval->days * MR_MICROS_PER_DAY + interval->micros;
    if (interval->months != 0 || micros != (int64_t)micros)
        return;
    interval->days = (int32_t)(micros / MR_MICROS_PER_DAY);
    interval->micros = (int64_t)(micros % MR_MICROS_PER_DAY);
}

__int128 mr_interval_rank(const struct mr_interval *interval)
{
    __int128 days = (__int128)interval->months * 30 + interval->days;
    return days * MR_MICROS_PER_DAY + interval->micros;
}

static int put(char *out, int at, long long number, const char *unit)
{
    if (number == 0)
        return at;
    return at + sprintf(out + at, "%s%lld %s", at ? " " : "", number, unit);
}

int mr_interval_format(const struct mr_interval *interval, char out[MR_INTERVAL_TEXT_MAX])
{
    int at = put(out, 0, interval->months / 12, "years");
    at = put(out, at, interval->months % 12, "months");
    at = put(out, at, interval->days, "days");
    at = put(out, at, (long long)(interval->micros / 3600000000), "hours");
    at = put(out, at, (long long)(interval->micros % 3600000000 / 60000000), "minutes");
    int64_t rest = interval->micros % 60000000;
    if (rest != 0) {
        long long whole = (long long)(rest < 0 ? -rest : rest);
        at += sprintf(out + at, "%s%s%lld", at ? " " : "", rest < 0 ? "-" : "", whole / 1000000);
        if (whole % 1000000 != 0) {
            at += sprintf(out + at, ".%06lld", whole % 1000000);
            while (out[at - 1] == '0')
                at--;
        }
        at += sprintf(out + at, " seconds");
    }
    if (at == 0)
        at = sprintf(out, "0 seconds");
    return at;
}
