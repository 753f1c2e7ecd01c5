/*
 * time_pattern.c - datetime patterns, compiled to a list of fields and literals.
 *
 * The letters and widths are those of "Datetime Patterns for Formatting and Parsing" (Spark 3.5), which are java.time's
 * DateTimeFormatter in the US locale without the week-based letters. Parsing is strict: a field of width n takes n digits where Java
 * does, the whole text must match, and 30 February is refused.
 */
#include "sql/time_pattern.h"

#include "base/time.h"
#include "sql/text_of.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct item {
    char letter; /* 0: literal; '[' and ']' */
    int width;
    struct mr_slice text; /* literal */
};

struct mr_time_pattern {
    int count;
    bool era; /* has G */
    struct item *items;
};

static const char *const month_names[12] = {"January",   "February", "March",    "April",
                                            "May",       "June",     "July",     "August",
                                            "September", "October",  "November", "December"};
static const char *const day_names[7] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                         "Friday", "Saturday", "Sunday"};
static const char *const quarter_names[4] = {"1st quarter", "2nd quarter", "3rd quarter",
                                             "4th quarter"};

/* The widest run of each letter that Spark takes; 0: not a letter of Spark 3. */
static int widest(char letter)
{
    switch (letter) {
    case 'y':
        return 6;
    case 'F':
        return 1;
    case 'Z':
        return 5;
    case 'G':
    case 'M':
    case 'L':
    case 'E':
    case 'Q':
    case 'q':
    case 'O':
        return 4;
    case 'S':
        return 9;
    case 'D':
    case 'z':
        return 3;
    case 'X':
    case 'x':
        return 5;
    case 'd':
    case 'h':
    case 'H':
    case 'k':
    case 'K':
    case 'm':
    case 's':
    case 'V':
        return 2;
    case 'a':
        return 1;
    default:
        return 0;
    }
}

static enum mr_status bad_letter(char letter, int width, struct mr_error *err)
{
    if (widest(letter) == 0)
        mr_error_config(err, "the datetime pattern has the letter %c, which Spark 3 does not take",
                        letter);
    else
        mr_error_config(err, "the datetime pattern has %d times %c; that is not a form of it",
                        width, letter);
    return MR_CONFIG;
}

static bool width_is_known(char letter, int width)
{
    if (letter == 'V')
        return width == 2;
    if (letter == 'O')
        return width == 1 || width == 4;
    return width <= widest(letter);
}

/* 'it''s' from its opening quote; '' alone is one quote. Returns the bytes taken, 0 when it does not end. */
static size_t quoted(struct mr_slice rest, struct mr_arena *arena, struct mr_slice *out)
{
    char *text = mr_arena_alloc(arena, rest.size + 1);
    size_t size = 0;
    if (!text)
        return 0;
    if (rest.size > 1 && rest.data[1] == '\'') {
        *out = (struct mr_slice){"'", 1};
        return 2;
    }
    for (size_t i = 1; i < rest.size; i++) {
        if (rest.data[i] != '\'') {
            text[size++] = rest.data[i];
        } else if (i + 1 < rest.size && rest.data[i + 1] == '\'') {
            text[size++] = '\'';
            i++;
        } else {
            *out = (struct mr_slice){text, size};
            return i + 1;
        }
    }
    return 0;
}

/* One item from the start of `rest`; *taken bytes of it. */
static enum mr_status next_item(struct mr_arena *arena, struct mr_slice rest, int *depth,
                                struct item *item, size_t *taken, struct mr_error *err)
{
    char c = rest.data[0];
    *taken = 1;
    if (isalpha((unsigned char)c)) {
        while (*taken < rest.size && rest.data[*taken] == c)
            (*taken)++;
        *item = (struct item){.letter = c, .width = (int)*taken};
        if (!width_is_known(c, item->width))
            return bad_letter(c, item->width, err);
    } else if (c == '\'') {
        *item = (struct item){0};
        *taken = quoted(rest, arena, &item->text);
        if (*taken == 0)
            return mr_error_config(err, "the datetime pattern has a quote that does not end");
    } else if (c == '[' || c == ']') {
        *depth += c == '[' ? 1 : -1;
        if (*depth < 0 || *depth > 8)
            return mr_error_config(err, "the datetime pattern has unbalanced brackets");
        *item = (struct item){.letter = c};
    } else if (c == '{' || c == '}' || c == '#') {
        return mr_error_config(err, "the datetime pattern has the reserved character %c", c);
    } else {
        const char *copy = mr_arena_strndup(arena, rest.data, 1);
        if (!copy)
            return mr_error_nomem(err);
        *item = (struct item){.text = {copy, 1}};
    }
    return MR_OK;
}

enum mr_status mr_time_pattern_compile(struct mr_arena *arena, struct mr_slice text,
                                       const struct mr_time_pattern **out, struct mr_error *err)
{
    struct mr_time_pattern *pattern = mr_arena_calloc(arena, 1, sizeof(*pattern));
    int depth = 0;
    if (!pattern || !(pattern->items = mr_arena_calloc(arena, text.size + 1, sizeof(struct item))))
        return mr_error_nomem(err);
    while (text.size > 0) {
        size_t taken = 0;
        MR_TRY(next_item(arena, text, &depth, &pattern->items[pattern->count], &taken, err));
        pattern->era |= pattern->items[pattern->count].letter == 'G';
        pattern->count++;
        text.data += taken;
        text.size -= taken;
    }
    if (depth != 0)
        return mr_error_config(err, "the datetime pattern has unbalanced brackets");
    *out = pattern;
    return MR_OK;
}

/* ---- formatting ---- */

/* At least `width` digits. */
static void put_number(struct mr_bytes *out, int64_t number, int width)
{
    char digits[24];
    int at = (int)sizeof(digits);
    for (; number > 0 || (int)sizeof(digits) - at < width; number /= 10)
        digits[--at] = (char)('0' + number % 10);
    mr_bytes_append(out, digits + at, sizeof(digits) - (size_t)at);
}

/* With an era the year counts within it; without one it is astronomical and has a sign where it needs one. */
static void put_year(struct mr_bytes *out, int64_t year, int width, bool era)
{
    static const int64_t limits[] = {0, 0, 0, 0, 10000, 100000, 1000000};
    int64_t shown = year > 0 ? year : era ? 1 - year : -year;
    if (width == 2) {
        put_number(out, shown % 100, 2);
        return;
    }
    if (year < 0 && !era)
        mr_bytes_char(out, '-');
    else if (width >= 4 && shown >= limits[width])
        mr_bytes_char(out, '+');
    put_number(out, shown, width);
}

/* A number padded to the width, or a name cut to three letters, or the whole name. */
static void put_named(struct mr_bytes *out, int number, int width, const char *name)
{
    if (width <= 2)
        put_number(out, number, width);
    else if (width == 3)
        mr_bytes_append(out, name, 3);
    else
        mr_bytes_text(out, name);
}

static void put_offset(struct mr_bytes *out, int32_t seconds, char letter, int width)
{
    int32_t absolute = seconds < 0 ? -seconds : seconds;
    int hours = absolute / 3600, minutes = absolute / 60 % 60, rest = absolute % 60;
    char sign = seconds < 0 ? '-' : '+';
    if (seconds == 0 && (letter == 'X' || (letter == 'Z' && width == 5))) {
        mr_bytes_char(out, 'Z');
        return;
    }
    if (letter == 'Z' && width < 4)
        width = 2; /* +0100 */
    if (letter == 'O' || (letter == 'Z' && width == 4)) {
        mr_bytes_text(out, "GMT");
        if (seconds == 0)
            return;
        mr_bytes_printf(out, width == 4 ? "%c%02d" : "%c%d", sign, hours);
        if (width == 4 || minutes || rest)
            mr_bytes_printf(out, ":%02d", minutes);
        if (rest)
            mr_bytes_printf(out, ":%02d", rest);
        return;
    }
    const char *colon = width == 3 || width == 5 ? ":" : "";
    mr_bytes_printf(out, "%c%02d", sign, hours);
    if (width > 1 || minutes)
        mr_bytes_printf(out, "%s%02d", colon, minutes);
    if (width > 3 && rest)
        mr_bytes_printf(out, "%s%02d", colon, rest);
}

/*
 * Java names a zone by its names of today, standard or summer, whatever it was called then (LMT, EWT). `out` of today: in the
 * summer of either half of the earth.
 */
static const char *zone_name(const struct mr_tz *tz, int64_t utc)
{
    const int64_t january = INT64_C(1704110400000000), july = INT64_C(1719835200000000);
    bool north = mr_tz_offset_at(tz, january) <= mr_tz_offset_at(tz, july);
    const char *standard = mr_tz_abbreviation(tz, north ? january : july);
    const char *summer = mr_tz_abbreviation(tz, north ? july : january);
    const char *name = mr_tz_abbreviation(tz, utc);
    if (strcmp(name, standard) == 0 || strcmp(name, summer) == 0)
        return name;
    bool local_time = strcmp(name, "LMT") == 0;
    return !local_time && mr_tz_offset_at(tz, utc) > mr_tz_offset_at(tz, north ? january : july)
               ? summer
               : standard;
}

static void put_zone(struct mr_bytes *out, const struct item *item, const struct mr_tz *tz,
                     int64_t utc)
{
    if (item->letter == 'V')
        mr_bytes_text(out, mr_tz_name(tz));
    else if (item->letter == 'z')
        mr_bytes_text(out, zone_name(tz, utc));
    else
        put_offset(out, mr_tz_offset_at(tz, utc), item->letter, item->width);
}

static void put_clock(struct mr_bytes *out, const struct item *item, const struct mr_civil *civil)
{
    int value = civil->hour;
    if (item->letter == 'a') {
        mr_bytes_text(out, civil->hour < 12 ? "AM" : "PM");
        return;
    }
    if (item->letter == 'S') {
        char digits[16];
        for (int i = 8, rest = civil->micro * 1000; i >= 0; i--, rest /= 10)
            digits[i] = (char)('0' + rest % 10);
        mr_bytes_append(out, digits, (size_t)item->width);
        return;
    }
    if (item->letter == 'h')
        value = (civil->hour + 11) % 12 + 1;
    else if (item->letter == 'K')
        value = civil->hour % 12;
    else if (item->letter == 'k')
        value = (civil->hour + 23) % 24 + 1;
    else if (item->letter == 'm')
        value = civil->minute;
    else if (item->letter == 's')
        value = civil->second;
    put_number(out, value, item->width);
}

static void put_date(const struct mr_time_pattern *pattern, struct mr_bytes *out,
                     const struct item *item, const struct mr_civil *civil, int64_t days)
{
    int quarter = (civil->month - 1) / 3 + 1;
    static const char *const short_quarters[4] = {"Q1", "Q2", "Q3", "Q4"};
    switch (item->letter) {
    case 'G':
        if (item->width == 4)
            mr_bytes_text(out, civil->year > 0 ? "Anno Domini" : "Before Christ");
        else
            mr_bytes_text(out, civil->year > 0 ? "AD" : "BC");
        break;
    case 'y':
        put_year(out, civil->year, item->width, pattern->era);
        break;
    case 'M':
    case 'L':
        put_named(out, civil->month, item->width, month_names[civil->month - 1]);
        break;
    case 'd':
        put_number(out, civil->day, item->width);
        break;
    case 'D':
        put_number(out, days - mr_days_from_civil(civil->year, 1, 1) + 1, item->width);
        break;
    case 'F':
        put_number(out, (civil->day - 1) % 7 + 1, 1);
        break;
    case 'E':
        put_named(out, 0, item->width < 4 ? 3 : 4, day_names[mr_iso_weekday(days) - 1]);
        break;
    default: /* Q, q */
        if (item->width == 3)
            mr_bytes_text(out, short_quarters[quarter - 1]);
        else
            put_named(out, quarter, item->width, quarter_names[quarter - 1]);
    }
}

void mr_time_pattern_format(const struct mr_time_pattern *pattern, const struct mr_tz *tz,
                            int64_t local, int64_t utc, struct mr_bytes *out)
{
    struct mr_civil civil;
    mr_civil_from_micros(local, &civil);
    int64_t days = mr_days_from_civil(civil.year, civil.month, civil.day);
    for (int i = 0; i < pattern->count; i++) {
        const struct item *item = &pattern->items[i];
        if (item->letter == 0)
            mr_bytes_append(out, item->text.data, item->text.size);
        else if (item->letter == '[' || item->letter == ']')
            continue;
        else if (strchr("VzOXxZ", item->letter))
            put_zone(out, item, tz, utc);
        else if (strchr("ahHkKmsS", item->letter))
            put_clock(out, item, &civil);
        else
            put_date(pattern, out, item, &civil, days);
    }
}

/* ---- parsing ---- */

/* What a text said; -1 where it said nothing. */
struct parsed {
    int64_t year;
    int month, day, day_of_year, quarter;
    int hour, half_hour, half, minute, second; /* half_hour: 0..11 with AM (0) or PM (1) */
    int micro;
    int era; /* 1 AD, 0 BC */
    int weekday;
    bool zoned;
    int32_t offset;
    struct mr_slice region; /* "Europe/Berlin" */
    bool has_year;
};

/* Reads between `least` and `most` digits; the number of bytes taken, 0 when there are too few. */
static size_t take_digits(struct mr_slice text, int least, int most, int64_t *value)
{
    size_t size = 0;
    *value = 0;
    while (size < text.size && size < (size_t)most && text.data[size] >= '0' &&
           text.data[size] <= '9')
        *value = *value * 10 + (text.data[size++] - '0');
    return size >= (size_t)least ? size : 0;
}

static size_t take_name(struct mr_slice text, const char *const *names, int count, size_t cut,
                        int *value)
{
    for (int i = 0; i < count; i++) {
        size_t size = cut ? cut : strlen(names[i]);
        if (text.size >= size && strncasecmp(text.data, names[i], size) == 0) {
            *value = i + 1;
            return size;
        }
    }
    return 0;
}

/* yy: 2000..2099. y: any width; yyyy: four digits, more only behind a sign. */
static size_t take_year(const struct item *item, struct mr_slice text, struct parsed *out)
{
    int64_t year = 0;
    size_t sign = text.size > 0 && (text.data[0] == '+' || text.data[0] == '-') ? 1 : 0;
    struct mr_slice rest = {text.data + sign, text.size - sign};
    if (item->width == 2) {
        size_t size = sign ? 0 : take_digits(text, 2, 2, &year);
        out->year = 2000 + year;
        out->has_year = true;
        return size;
    }
    int most = item->width == 1 || sign ? 15 : item->width;
    size_t size = take_digits(rest, item->width == 1 ? 1 : item->width, most, &year);
    out->year = sign && text.data[0] == '-' ? -year : year;
    out->has_year = true;
    return size ? size + sign : 0;
}

static size_t take_number(const struct item *item, struct mr_slice text, int most, int *value)
{
    int64_t number = 0;
    int wide = item->width == 1 ? most : item->width;
    size_t size = take_digits(text, item->width, wide, &number);
    *value = (int)number;
    return size;
}

static size_t take_digits_between(struct mr_slice text, int least, int most, int *value)
{
    int64_t number = 0;
    size_t size = take_digits(text, least, most, &number);
    *value = (int)number;
    return size;
}

static size_t take_fraction(const struct item *item, struct mr_slice text, int *micro)
{
    int64_t number = 0;
    size_t size = take_digits(text, item->width, item->width, &number);
    for (size_t i = size; i < 6; i++)
        number *= 10;
    for (size_t i = 6; i < size; i++)
        number /= 10;
    *micro = (int)number;
    return size;
}

/* The longest prefix that names a region. */
static size_t take_region(struct mr_slice text, struct parsed *out)
{
    char name[64];
    size_t size = 0;
    while (size < text.size && size < sizeof(name) - 1 &&
           (isalnum((unsigned char)text.data[size]) || strchr("+-/_", text.data[size]) != NULL))
        size++;
    struct mr_tz *tz;
    memcpy(name, text.data, size);
    name[size] = '\0';
    if (size == 0 || mr_tz_new(name, &tz, NULL) != MR_OK)
        return 0;
    mr_tz_free(tz);
    out->zoned = true;
    out->region = (struct mr_slice){text.data, size};
    return size;
}

/* The instant of fields in a region, which is loaded for each text: such patterns are rare. */
static bool in_region(struct mr_slice region, int64_t *micros)
{
    char name[64];
    struct mr_tz *tz;
    memcpy(name, region.data, region.size);
    name[region.size] = '\0';
    if (mr_tz_new(name, &tz, NULL) != MR_OK)
        return false;
    *micros = mr_tz_to_utc(tz, *micros);
    mr_tz_free(tz);
    return true;
}

/* The longest prefix that names an offset: Z, +02, +0200, +02:00, GMT+2, UTC. */
static size_t take_zone(struct mr_slice text, struct parsed *out)
{
    size_t size = 0;
    while (size < text.size &&
           (isalnum((unsigned char)text.data[size]) || strchr("+-:/_", text.data[size]) != NULL))
        size++;
    for (; size > 0; size--) {
        if (mr_zone_offset((struct mr_slice){text.data, size}, &out->offset)) {
            out->zoned = true;
            return size;
        }
    }
    return take_region(text, out);
}

static size_t take_date(const struct item *item, struct mr_slice text, struct parsed *out)
{
    static const char *const eras[2] = {"BC", "AD"};
    int number = 0;
    size_t size = 0;
    switch (item->letter) {
    case 'G':
        size = take_name(text, eras, 2, 0, &number);
        out->era = number - 1;
        return size;
    case 'M':
    case 'L':
        if (item->width > 2)
            return take_name(text, month_names, 12, item->width == 3 ? 3 : 0, &out->month);
        return take_number(item, text, 2, &out->month);
    case 'd':
        return take_number(item, text, 2, &out->day);
    case 'D':
        return take_digits_between(text, item->width, 3, &out->day_of_year);
    case 'E':
        return take_name(text, day_names, 7, item->width < 4 ? 3 : 0, &out->weekday);
    case 'F':
        return take_number(item, text, 1, &number);
    default:
        return take_number(item, text, 1, &out->quarter);
    }
}

static size_t take_clock(const struct item *item, struct mr_slice text, struct parsed *out)
{
    static const char *const halves[2] = {"AM", "PM"};
    int number = 0;
    size_t size = 0;
    switch (item->letter) {
    case 'a':
        size = take_name(text, halves, 2, 0, &number);
        out->half = number - 1;
        return size;
    case 'S':
        return take_fraction(item, text, &out->micro);
    case 'm':
        return take_number(item, text, 2, &out->minute);
    case 's':
        return take_number(item, text, 2, &out->second);
    default:
        size = take_number(item, text, 2, &number);
    }
    if (item->letter == 'H')
        out->hour = number;
    else if (item->letter == 'k')
        out->hour = number == 24 ? 0 : number == 0 ? -2 : number;
    else if (item->letter == 'K')
        out->half_hour = number;
    else
        out->half_hour = number == 12 ? 0 : number == 0 ? -2 : number;
    return size;
}

static size_t take_item(const struct item *item, struct mr_slice text, struct parsed *out)
{
    if (item->letter == 'y')
        return take_year(item, text, out);
    if (strchr("VzOXxZ", item->letter))
        return take_zone(text, out);
    if (strchr("ahHkKmsS", item->letter))
        return take_clock(item, text, out);
    return take_date(item, text, out);
}

/* Items from..to against the text; an optional part that does not match is passed over. */
static bool match(const struct mr_time_pattern *pattern, int from, int to, struct mr_slice *text,
                  struct parsed *out)
{
    for (int i = from; i < to; i++) {
        const struct item *item = &pattern->items[i];
        if (item->letter == '[') {
            int depth = 1, end = i + 1;
            while (depth > 0) {
                depth += pattern->items[end].letter == '[';
                depth -= pattern->items[end].letter == ']';
                end++;
            }
            struct mr_slice rest = *text;
            struct parsed with = *out;
            if (match(pattern, i + 1, end - 1, &rest, &with)) {
                *text = rest;
                *out = with;
            }
            i = end - 1;
            continue;
        }
        size_t size = item->text.size;
        if (item->letter != 0)
            size = take_item(item, *text, out);
        else if (text->size < size || strncasecmp(text->data, item->text.data, size) != 0)
            return false;
        if (size == 0)
            return false;
        text->data += size;
        text->size -= size;
    }
    return true;
}

static bool in_range(int value, int least, int most)
{
    return value == -1 || (value >= least && value <= most);
}

/* Fields -> a time; false when a field is out of its range or the day does not exist. */
static bool resolve(struct parsed *in, int64_t *micros)
{
    int64_t year = in->has_year ? in->year : 1970;
    if (in->era == 0)
        year = 1 - year;
    if (!in_range(in->month, 1, 12) || !in_range(in->day, 1, 31) || !in_range(in->hour, 0, 23) ||
        !in_range(in->half_hour, 0, 11) || !in_range(in->minute, 0, 59) ||
        !in_range(in->second, 0, 59) || year < -290000 || year > 294000)
        return false;
    struct mr_civil civil = {.year = year,
                             .month = in->month < 0 ? 1 : in->month,
                             .day = in->day < 0 ? 1 : in->day,
                             .hour = in->hour < 0 ? 0 : in->hour,
                             .minute = in->minute < 0 ? 0 : in->minute,
                             .second = in->second < 0 ? 0 : in->second,
                             .micro = in->micro < 0 ? 0 : in->micro};
    if (in->hour < 0 && in->half_hour >= 0)
        civil.hour = in->half_hour + (in->half == 1 ? 12 : 0);
    if (in->month < 0 && in->quarter > 0)
        civil.month = in->quarter > 4 ? 13 : in->quarter * 3 - 2;
    if (civil.month > 12 || civil.day > mr_days_in_month(year, civil.month))
        return false;
    *micros = mr_micros_from_civil(&civil);
    if (in->day_of_year >= 0) {
        if (in->day_of_year < 1 || in->day_of_year > (mr_is_leap_year(year) ? 366 : 365))
            return false;
        int64_t first = mr_days_from_civil(year, 1, 1);
        int64_t now = mr_days_from_civil(year, civil.month, civil.day);
        *micros += (first + in->day_of_year - 1 - now) * MR_MICROS_PER_DAY;
    }
    int64_t midnight = *micros / MR_MICROS_PER_DAY - (*micros % MR_MICROS_PER_DAY < 0);
    if (in->weekday > 0 && mr_iso_weekday(midnight) != in->weekday)
        return false;
    *micros -= (int64_t)in->offset * MR_MICROS_PER_SECOND;
    return true;
}

bool mr_time_pattern_parse(const struct mr_time_pattern *pattern, struct mr_slice text,
                           int64_t *micros, bool *zoned)
{
    struct parsed parsed = {.month = -1,
                            .day = -1,
                            .day_of_year = -1,
                            .quarter = -1,
                            .hour = -1,
                            .half_hour = -1,
                            .half = -1,
                            .minute = -1,
                            .second = -1,
                            .micro = -1,
                            .era = -1,
                            .weekday = -1};
    if (!match(pattern, 0, pattern->count, &text, &parsed) || text.size != 0)
        return false;
    *zoned = parsed.zoned;
    return resolve(&parsed, micros) &&
           (parsed.region.size == 0 || in_region(parsed.region, micros));
}

char mr_time_pattern_unreadable(const struct mr_time_pattern *pattern)
{
    for (int i = 0; i < pattern->count; i++) {
        if (pattern->items[i].letter != 0 && strchr("LEuQq", pattern->items[i].letter) != NULL)
            return pattern->items[i].letter;
    }
    return '\0';
}
