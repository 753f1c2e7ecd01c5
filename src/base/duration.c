/*
 * duration.c - durations and sizes as pipeline files write them, and as people read them.
 *
 * Both are a decimal number and a unit. The number is read as an exact decimal, not as a double, so
 * that "0.1s" is 100000 microseconds and large byte counts stay exact.
 */
#include "base/decimal.h"
#include "base/text.h"
#include "base/time.h"

#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"us", 1},
    {"microsecond", 1},
    {"microseconds", 1},
    {"ms", 1000},
    {"millisecond", 1000},
    {"milliseconds", 1000},
    {"s", 1000000},
    {"sec", 1000000},
    {"secs", 1000000},
    {"second", 1000000},
    {"seconds", 1000000},
    {"m", 60000000},
    {"min", 60000000},
    {"mins", 60000000},
    {"minute", 60000000},
    {"minutes", 60000000},
    {"h", INT64_C(3600000000)},
    {"hr", INT64_C(3600000000)},
    {"hour", INT64_C(3600000000)},
    {"hours", INT64_C(3600000000)},
    {"d", MR_MICROS_PER_DAY},
    {"day", MR_MICROS_PER_DAY},
    {"days", MR_MICROS_PER_DAY},
    {"w", 7 * MR_MICROS_PER_DAY},
    {"week", 7 * MR_MICROS_PER_DAY},
    {"weeks", 7 * MR_MICROS_PER_DAY},
};

static const struct unit size_units[] = {
    {"b", 1},
    {"k", INT64_C(1) << 10},
    {"kb", INT64_C(1) << 10},
    {"kib", INT64_C(1) << 10},
    {"m", INT64_C(1) << 20},
    {"mb", INT64_C(1) << 20},
    {"mib", INT64_C(1) << 20},
    {"g", INT64_C(1) << 30},
    {"gb", INT64_C(1) << 30},
    {"gib", INT64_C(1) << 30},
    {"t", INT64_C(1) << 40},
    {"tb", INT64_C(1) << 40},
    {"tib", INT64_C(1) << 40},
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* [space] number [space] [unit] [space] -> number * factor, rounded half up. */
static bool parse(const char *text, const struct unit *units, size_t nunits, int64_t bare,
                  int64_t *out)
{
    while (is_space(*text))
        text++;
    size_t digits = strspn(text, "0123456789.");
    if (digits == 0)
        return false;
    mr_int128 number; /* millionths */
    if (!mr_decimal_parse(text, digits, 30, 6, &number))
        return false;
    text += digits;
    while (is_space(*text))
        text++;
    char name[16];
    size_t length = strlen(text);
    while (length && is_space(text[length - 1]))
        length--;
    if (length >= sizeof name)
        return false;
    memcpy(name, text, length);
    name[length] = '\0';

    int64_t factor = length ? 0 : bare;
    for (size_t i = 0; i < nunits && factor == 0; i++)
        if (mr_text_equal_nocase(units[i].name, name))
            factor = units[i].factor;
    mr_int128 product;
    if (factor == 0 || !mr_decimal_multiply(number, 6, factor, 0, 0, &product) ||
        product > INT64_MAX)
        return false;
    *out = (int64_t)product;
    return true;
}

bool mr_duration_parse(const char *text, int64_t unit_micros, int64_t *micros)
{
    return parse(text, duration_units, sizeof duration_units / sizeof duration_units[0],
                 unit_micros, micros);
}

bool mr_size_parse(const char *text, int64_t *bytes)
{
    return parse(text, size_units, sizeof size_units / sizeof size_units[0], 1, bytes);
}

int mr_size_format(int64_t bytes, char *out, size_t capacity)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    int unit = 0;
    /* 1023.95 and more would print as "1024.0". */
    while (unit < 6 && (value >= 1023.95 || value <= -1023.95)) {
        value /= 1024;
        unit++;
    }
    if (unit == 0)
        return snprintf(out, capacity, "%lld B", (long long)bytes);
    return snprintf(out, capacity, "%.1f %s", value, names[unit]);
}

int mr_duration_format(int64_t micros, char *out, size_t capacity)
{
    long long n = micros;
    if (n < 0)
        return snprintf(out, capacity, "%.3f s", (double)n / 1e6);
    if (n < 1000)
        return snprintf(out, capacity, "%lld us", n);
    if (n < 1000000)
        return snprintf(out, capacity, "%lld ms", n / 1000);
    if (n < 60 * 1000000LL)
        return snprintf(out, capacity, "%.1f s", (double)n / 1e6);
    long long seconds = n / 1000000;
    if (seconds < 3600)
        return snprintf(out, capacity, "%lldm %02llds", seconds / 60, seconds % 60);
    if (seconds < 86400)
        return snprintf(out, capacity, "%lldh %02lldm", seconds / 3600, seconds / 60 % 60);
    return snprintf(out, capacity, "%lldd %02lldh", seconds / 86400, seconds / 3600 % 24);
}
