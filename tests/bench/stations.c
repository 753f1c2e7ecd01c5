/*
 * stations.c - lines of `station;value`, the same ones at every run: the file of tests/bench/stations.py.
 *
 * 413 names of 3 to 26 bytes, some of them not ASCII, and a value of one decimal between -99.9 and 99.9 around
 * the station's own mean. Line i is a function of i (splitmix64), so any number of lines is a prefix
 * of any larger one. Prints the number of bytes and their FNV-1a hash by words of eight bytes.
 *
 *   stations LINES FILE
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATIONS 413
#define ROOM     (1 << 20)
#define LONGEST  64

struct station {
    char name[40];
    int size;
    int mean; /* tenths */
};

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

/* Syllables until the length is reached; two in thirteen have two words, one has letters of two bytes. */
static void make_station(struct station *station, int number)
{
    static const char *const parts[] = {"ka", "lo",  "mi",  "ra", "ten", "vor",  "sa", "bel",
                                        "du", "hai", "jun", "ne", "po",  "quir", "st", "wy"};
    static const char *const wide[] = {"é", "ü", "ō", "ñ"};
    uint64_t seed = mix((uint64_t)number * 7919 + 1);
    int length = 1 + (int)(seed % 10) + (number % 29 == 0 ? 10 : 0), at = 0;
    for (int i = 0; at < length; i++) {
        const char *part = parts[mix(seed + (uint64_t)i) % 16];
        if (number % 13 == 5 && i == 1)
            part = wide[seed % 4];
        if (number % 13 < 2 && i == 2)
            part = " ";
        at += snprintf(station->name + at, sizeof station->name - (size_t)at, "%s", part);
    }
    /* The number as two letters at the end makes the names differ. */
    at += snprintf(station->name + at, sizeof station->name - (size_t)at, "%c%c", 'a' + number / 26,
                   'a' + number % 26);
    station->name[0] = (char)(station->name[0] - 'a' + 'A');
    station->size = at;
    station->mean = (int)(mix(seed) % 480) - 140;
}

static int put_value(char *to, int tenths)
{
    int at = 0;
    if (tenths < 0) {
        to[at++] = '-';
        tenths = -tenths;
    }
    if (tenths >= 100)
        to[at++] = (char)('0' + tenths / 100);
    to[at++] = (char)('0' + tenths / 10 % 10);
    to[at++] = '.';
    to[at++] = (char)('0' + tenths % 10);
    return at;
}

static int put_line(char *to, const struct station *stations, int64_t line)
{
    uint64_t random = mix((uint64_t)line);
    const struct station *station = &stations[random % STATIONS];
    /* The sum of four is near enough to a bell. */
    int bell = 0;
    for (int i = 0; i < 4; i++)
        bell += (int)(random >> (16 + 12 * i) & 0xFFF) * 200 / 4096;
    int tenths = station->mean + bell - 400 + 1;
    tenths = tenths < -999 ? -999 : tenths > 999 ? 999 : tenths;
    memcpy(to, station->name, (size_t)station->size);
    int at = station->size;
    to[at++] = ';';
    at += put_value(to + at, tenths);
    to[at++] = '\n';
    return at;
}

struct sum {
    uint64_t hash, word;
    int filled;
};

static void add_bytes(struct sum *sum, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        sum->word = sum->word << 8 | (unsigned char)data[i];
        if (++sum->filled < 8)
            continue;
        sum->hash = (sum->hash ^ sum->word) * UINT64_C(0x100000001B3);
        sum->filled = 0;
    }
}

static int write_lines(FILE *file, int64_t lines, int64_t *bytes, struct sum *sum)
{
    static struct station stations[STATIONS];
    static char buffer[ROOM];
    size_t at = 0;
    for (int s = 0; s < STATIONS; s++)
        make_station(&stations[s], s);
    for (int64_t line = 0; line < lines; line++) {
        at += (size_t)put_line(buffer + at, stations, line);
        if (at < ROOM - LONGEST && line + 1 < lines)
            continue;
        if (fwrite(buffer, 1, at, file) != at)
            return 1;
        add_bytes(sum, buffer, at);
        *bytes += (int64_t)at;
        at = 0;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct sum sum = {.hash = UINT64_C(0xCBF29CE484222325)};
    int64_t bytes = 0;
    if (argc != 3) {
        fprintf(stderr, "usage: stations LINES FILE\n");
        return 2;
    }
    FILE *file = fopen(argv[2], "wb");
    if (!file || write_lines(file, atoll(argv[1]), &bytes, &sum) != 0 || fclose(file) != 0) {
        perror(argv[2]);
        return 1;
    }
    printf("%" PRId64 " bytes %016" PRIx64 "\n", bytes, sum.hash ^ sum.word);
    return 0;
}
