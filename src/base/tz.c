/*
 * tz.c - time zones read from the system's TZif files.
 *
 * libc keeps one zone for the whole process (tzset, TZ), and a pipeline may need several at once,
 * so the files are read here: RFC 8536, version 2 and later (64-bit times) or version 1. A zone is
 * a sorted array of instants and the offset in force from each; looking one up is a binary search.
 * The rule in the file's footer is unrolled to the year 2100 when the zone is loaded, because files
 * made "slim" hold nothing after the last change of the rule, and today's data should not pay for
 * calendar arithmetic. Later instants ask the rule.
 *
 * Layout of a file: header (44 bytes: "TZif", version, 15 unused, six big-endian counts), data with
 * 32-bit times, and from version 2 on a second header, the same with 64-bit times, and "\n<POSIX
 * TZ>\n".
 */
#include "base/tz.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/time.h"
#include "base/tz_rule.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX  ((size_t)256 << 10)
#define LAST_YEAR 2100

struct period {
    int64_t from; /* seconds UTC */
    int32_t offset;
    uint32_t abbreviation; /* into mr_tz.abbreviations */
};

struct mr_tz {
    struct mr_arena arena;
    const char *name;
    struct period before; /* in force before the first period */
    struct period *periods;
    int64_t nperiods;
    const char *abbreviations;
    bool has_rule; /* holds from the last period on */
    struct mr_tz_rule rule;
    bool utc;
};

/* [+-]h, hh, hh:mm, hhmm, hh:mm:ss, up to 18 hours; what java.time.ZoneOffset reads. */
static bool parse_offset(const char *text, int32_t *out)
{
    int sign = *text == '-' ? -1 : 1;
    if (*text != '-' && *text != '+')
        return false;
    text++;
    int parts[3] = {0, 0, 0}, n = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 4 || digits == 6) {
        for (size_t i = 0; i < digits; i += 2)
            parts[n++] = (text[i] - '0') * 10 + (text[i + 1] - '0');
        text += digits;
    } else {
        for (; n < 3; n++) {
            digits = strspn(text, "0123456789");
            if (digits == 0 || digits > 2 || (n > 0 && digits != 2))
                return false;
            parts[n] = atoi(text);
            text += digits;
            if (*text != ':') {
                n++;
                break;
            }
            text++;
        }
        if (text[-1] == ':')
            return false;
    }
    int32_t total = parts[0] * 3600 + parts[1] * 60 + parts[2];
    if (*text || parts[1] > 59 || parts[2] > 59 || total > 18 * 3600)
        return false;
    *out = sign * total;
    return true;
}

/* "UTC", "Z", "+02:00", "GMT+3"; false when the name must be a file's. */
static bool parse_fixed(const char *name, int32_t *offset)
{
    static const char *const zero[] = {"UTC", "GMT", "UT", "Z", "Etc/UTC", "Etc/GMT"};
    for (size_t i = 0; i < sizeof zero / sizeof zero[0]; i++)
        if (strcmp(name, zero[i]) == 0) {
            *offset = 0;
            return true;
        }
    if (strncmp(name, "UTC", 3) == 0 || strncmp(name, "GMT", 3) == 0)
        name += 3;
    else if (strncmp(name, "UT", 2) == 0)
        name += 2;
    return parse_offset(name, offset);
}

static enum mr_status unknown_zone(const char *name, struct mr_error *err)
{
    mr_error_config(err, "unknown time zone \"%s\"", name);
    mr_error_hint(err,
                  "use a name of the IANA data base such as Europe/Berlin, or an offset such as "
                  "+02:00; zone files are read from $TZDIR or /usr/share/zoneinfo (tzdata)");
    return MR_CONFIG;
}

static enum mr_status read_zone_file(const char *name, struct mr_bytes *out, struct mr_error *err)
{
    const char *directory = getenv("TZDIR");
    char path[512];
    bool odd = name[0] == '\0' || name[0] == '/' || strstr(name, "..") || strlen(name) > 100;
    if (odd)
        return unknown_zone(name, err);
    snprintf(path, sizeof path, "%s/%s",
             directory && *directory ? directory : "/usr/share/zoneinfo", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return unknown_zone(name, err);
    for (;;) {
        char *to = mr_bytes_reserve(out, 4096);
        ssize_t n = to ? read(fd, to, 4096) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            close(fd);
            return n < 0 ? unknown_zone(name, err) : mr_bytes_status(out, err);
        }
        out->size += (size_t)n;
    }
}

static uint32_t be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t be64(const uint8_t *at)
{
    return (int64_t)((uint64_t)be32(at) << 32 | be32(at + 4));
}

/* One header and the sizes behind it. */
struct block {
    const uint8_t *data;
    int version;
    int width; /* bytes of a time */
    size_t ntimes, ntypes, nchars, nleaps, nstd, nut;
    size_t size; /* of the data */
};

static bool read_header(const uint8_t *at, const uint8_t *end, int width, struct block *out)
{
    if (end - at < 44 || memcmp(at, "TZif", 4) != 0)
        return false;
    out->version = at[4] ? at[4] - '0' : 1;
    out->width = width;
    out->nut = be32(at + 20);
    out->nstd = be32(at + 24);
    out->nleaps = be32(at + 28);
    out->ntimes = be32(at + 32);
    out->ntypes = be32(at + 36);
    out->nchars = be32(at + 40);
    out->data = at + 44;
    if (out->nut > FILE_MAX || out->nstd > FILE_MAX || out->nleaps > FILE_MAX ||
        out->ntimes > FILE_MAX || out->ntypes > 256 || out->nchars > FILE_MAX || out->ntypes == 0)
        return false;
    size_t w = (size_t)width;
    out->size = out->ntimes * (w + 1) + out->ntypes * 6 + out->nchars + out->nleaps * (w + 4) +
                out->nstd + out->nut;
    return (size_t)(end - out->data) >= out->size;
}

/* Periods of the block; the array has room for the years that the rule adds. */
static bool read_periods(struct mr_tz *tz, const struct block *block, bool *nomem)
{
    const uint8_t *times = block->data;
    const uint8_t *indices = times + block->ntimes * (size_t)block->width;
    const uint8_t *types = indices + block->ntimes;
    const char *chars = (const char *)types + block->ntypes * 6;
    size_t room = block->ntimes + 2 * (LAST_YEAR - 1900);
    tz->periods = mr_arena_calloc(&tz->arena, room, sizeof *tz->periods);
    /* Behind the file's abbreviations: the two of the rule. */
    char *names = mr_arena_calloc(&tz->arena, block->nchars + 1 + 2 * MR_TZ_ABBREVIATION_MAX, 1);
    if (!tz->periods || !names) {
        *nomem = true;
        return false;
    }
    memcpy(names, chars, block->nchars);
    memcpy(names + block->nchars + 1, tz->rule.abbreviations, sizeof tz->rule.abbreviations);
    tz->abbreviations = names;
    for (size_t i = 0; i <= block->ntimes; i++) {
        size_t type = i == 0 ? 0 : indices[i - 1];
        if (type >= block->ntypes || types[type * 6 + 5] >= block->nchars)
            return false;
        struct period *period = i == 0 ? &tz->before : &tz->periods[i - 1];
        period->offset = (int32_t)be32(types + type * 6);
        period->abbreviation = types[type * 6 + 5];
        if (i == 0)
            continue;
        const uint8_t *at = times + (i - 1) * (size_t)block->width;
        period->from = block->width == 8 ? be64(at) : (int32_t)be32(at);
        if (i > 1 && period->from <= period[-1].from)
            return false;
    }
    tz->nperiods = (int64_t)block->ntimes;
    return true;
}

/* Adds the changes of the rule after the last transition of the file, in order. */
static void unroll_rule(struct mr_tz *tz, size_t nchars)
{
    if (!tz->has_rule || !tz->rule.has_dst)
        return;
    int64_t year = 1970;
    int64_t last = INT64_MIN;
    if (tz->nperiods) {
        int month, day;
        last = tz->periods[tz->nperiods - 1].from;
        mr_civil_from_days(last / 86400, &year, &month, &day);
    }
    for (year = year < 1970 ? 1970 : year; year < LAST_YEAR; year++) {
        int64_t change[2]; /* to daylight time, to standard time */
        mr_tz_rule_changes(&tz->rule, year, &change[0], &change[1]);
        int first = change[0] <= change[1] ? 0 : 1;
        for (int i = 0; i < 2; i++) {
            int which = first ^ i;
            int dst = !which;
            if (change[which] <= last)
                continue;
            last = change[which];
            tz->periods[tz->nperiods++] =
                (struct period){.from = last,
                                .offset = tz->rule.offsets[dst],
                                .abbreviation =
                                    (uint32_t)(nchars + 1 + (size_t)dst * MR_TZ_ABBREVIATION_MAX)};
        }
    }
}

static bool parse_file(struct mr_tz *tz, const struct mr_bytes *file, bool *nomem)
{
    const uint8_t *at = (const uint8_t *)file->data, *end = at + file->size;
    struct block block;
    if (!at || !read_header(at, end, 4, &block))
        return false;
    if (block.version >= 2) {
        if (!read_header(block.data + block.size, end, 8, &block))
            return false;
        const char *footer = (const char *)block.data + block.size;
        const char *stop = (const char *)end;
        if (footer >= stop || *footer != '\n')
            return false;
        const char *close = memchr(footer + 1, '\n', (size_t)(stop - footer - 1));
        if (!close)
            return false;
        if (close > footer + 1) {
            tz->has_rule = mr_tz_rule_parse(footer + 1, (size_t)(close - footer - 1), &tz->rule);
            if (!tz->has_rule)
                return false;
        }
    }
    if (!read_periods(tz, &block, nomem))
        return false;
    unroll_rule(tz, block.nchars);
    return true;
}

static enum mr_status load_file(struct mr_tz *tz, struct mr_error *err)
{
    struct mr_bytes file;
    mr_bytes_init(&file, FILE_MAX);
    enum mr_status status = read_zone_file(tz->name, &file, err);
    bool nomem = false;
    if (status == MR_OK && !parse_file(tz, &file, &nomem))
        status = nomem ? mr_error_nomem(err)
                       : mr_error_config(err, "the file of time zone \"%s\" is damaged", tz->name);
    mr_bytes_reset(&file);
    return status;
}

static enum mr_status make_fixed(struct mr_tz *tz, int32_t offset, struct mr_error *err)
{
    unsigned total = (unsigned)abs(offset);
    tz->before.offset = offset;
    tz->abbreviations = offset == 0
                            ? (strstr(tz->name, "GMT") ? "GMT" : "UTC")
                            : mr_arena_printf(&tz->arena, "%c%02u:%02u", offset < 0 ? '-' : '+',
                                              total / 3600, total / 60 % 60);
    return tz->abbreviations ? MR_OK : mr_error_nomem(err);
}

/* Java's short names (ZoneId.SHORT_IDS), which Spark accepts. */
static const char *long_name(const char *name)
{
    static const char *const names[][2] = {
        {"ACT", "Australia/Darwin"},
        {"AET", "Australia/Sydney"},
        {"AGT", "America/Argentina/Buenos_Aires"},
        {"ART", "Africa/Cairo"},
        {"AST", "America/Anchorage"},
        {"BET", "America/Sao_Paulo"},
        {"BST", "Asia/Dhaka"},
        {"CAT", "Africa/Harare"},
        {"CNT", "America/St_Johns"},
        {"CST", "America/Chicago"},
        {"CTT", "Asia/Shanghai"},
        {"EAT", "Africa/Addis_Ababa"},
        {"ECT", "Europe/Paris"},
        {"IET", "America/Indiana/Indianapolis"},
        {"IST", "Asia/Kolkata"},
        {"JST", "Asia/Tokyo"},
        {"MIT", "Pacific/Apia"},
        {"NET", "Asia/Yerevan"},
        {"NST", "Pacific/Auckland"},
        {"PLT", "Asia/Karachi"},
        {"PNT", "America/Phoenix"},
        {"PRT", "America/Puerto_Rico"},
        {"PST", "America/Los_Angeles"},
        {"SST", "Pacific/Guadalcanal"},
        {"VST", "Asia/Ho_Chi_Minh"},
        {"EST", "-05:00"},
        {"MST", "-07:00"},
        {"HST", "-10:00"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i][0]) == 0)
            return names[i][1];
    }
    return name;
}

enum mr_status mr_tz_new(const char *name, struct mr_tz **out, struct mr_error *err)
{
    name = long_name(name);
    *out = NULL;
    struct mr_tz *tz = mr_calloc(1, sizeof *tz);
    if (!tz)
        return mr_error_nomem(err);
    mr_arena_init(&tz->arena, NULL);
    tz->name = mr_arena_strdup(&tz->arena, name);
    int32_t offset;
    enum mr_status status;
    if (!tz->name)
        status = mr_error_nomem(err);
    else if (parse_fixed(name, &offset))
        status = make_fixed(tz, offset, err);
    else
        status = load_file(tz, err);
    if (status != MR_OK) {
        mr_tz_free(tz);
        return status;
    }
    tz->utc = tz->nperiods == 0 && tz->before.offset == 0 &&
              (!tz->has_rule || (!tz->rule.has_dst && tz->rule.offsets[0] == 0));
    *out = tz;
    return MR_OK;
}

void mr_tz_free(struct mr_tz *tz)
{
    if (!tz)
        return;
    mr_arena_reset(&tz->arena);
    mr_free(tz);
}

const char *mr_tz_name(const struct mr_tz *tz)
{
    return tz->name;
}

bool mr_tz_is_utc(const struct mr_tz *tz)
{
    return tz->utc;
}

static int64_t floor_seconds(int64_t micros)
{
    return micros / MR_MICROS_PER_SECOND - (micros % MR_MICROS_PER_SECOND < 0);
}

/* The period in force, or NULL when the rule decides. */
static const struct period *find_period(const struct mr_tz *tz, int64_t seconds)
{
    int64_t low = 0, high = tz->nperiods;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (tz->periods[middle].from <= seconds)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == tz->nperiods && tz->has_rule)
        return NULL;
    return low == 0 ? &tz->before : &tz->periods[low - 1];
}

static int32_t offset_at(const struct mr_tz *tz, int64_t seconds)
{
    const struct period *period = find_period(tz, seconds);
    return period ? period->offset : tz->rule.offsets[mr_tz_rule_is_dst(&tz->rule, seconds)];
}

int32_t mr_tz_offset_at(const struct mr_tz *tz, int64_t utc_micros)
{
    return offset_at(tz, floor_seconds(utc_micros));
}

/* At the ends of the range of int64 the result wraps instead of being undefined. */
static int64_t shift(int64_t micros, int32_t seconds)
{
    return (int64_t)((uint64_t)micros + (uint64_t)(seconds * MR_MICROS_PER_SECOND));
}

int64_t mr_tz_to_local(const struct mr_tz *tz, int64_t utc_micros)
{
    return tz->utc ? utc_micros : shift(utc_micros, mr_tz_offset_at(tz, utc_micros));
}

int64_t mr_tz_to_utc(const struct mr_tz *tz, int64_t local_micros)
{
    if (tz->utc)
        return local_micros;
    int64_t local = floor_seconds(local_micros);
    /*
     * No offset is larger than a day, so these are in force before and after any change near the
     * instant.
     */
    int32_t early = offset_at(tz, local - 86400), late = offset_at(tz, local + 86400);
    if (early == late)
        return shift(local_micros, -early);
    /* The larger offset gives the earlier instant; in an overlap both fit. */
    int32_t larger = early > late ? early : late, smaller = early > late ? late : early;
    if (offset_at(tz, local - larger) == larger)
        return shift(local_micros, -larger);
    if (offset_at(tz, local - smaller) == smaller)
        return shift(local_micros, -smaller);
    /* A gap: the offset before it moves the fields forward by its length. */
    return shift(local_micros, -offset_at(tz, local - larger));
}

const char *mr_tz_abbreviation(const struct mr_tz *tz, int64_t utc_micros)
{
    int64_t seconds = floor_seconds(utc_micros);
    const struct period *period = find_period(tz, seconds);
    if (!period)
        return tz->rule.abbreviations[mr_tz_rule_is_dst(&tz->rule, seconds)];
    return tz->abbreviations + period->abbreviation;
}
