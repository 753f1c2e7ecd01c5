/*
 * fuzz_main.c - a short deterministic run of a fuzz target, for `make check`.
 *
 * Feeds every file of the target's seed folder ($srcdir/tests/fuzz/seeds/<name>, or the folder given), then mutations of
 * them: bytes changed, pieces cut, doubled, or taken from another seed. The generator is fixed, so that a failure
 * happens again; MILLRACE_FUZZ_RUNS changes the number of mutations. With MILLRACE_FUZZ_KEEP set each input is written
 * to fuzz-last.bin first, so that the one that crashes is left behind.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_MAX    256
#define INPUT_MAX    65536
#define RUNS_DEFAULT 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seed {
    uint8_t *data;
    size_t size;
};

static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static size_t below(size_t limit)
{
    return limit > 0 ? (size_t)(next_random() % limit) : 0;
}

static int only_files(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static size_t load_seeds(const char *folder, struct seed *seeds)
{
    struct dirent **names;
    int found = scandir(folder, &names, only_files, alphasort);
    size_t count = 0;
    for (int i = 0; i < found; i++) {
        char path[4096 + 256];
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
        free(names[i]);
        FILE *file = count < SEEDS_MAX ? fopen(path, "rb") : NULL;
        if (file == NULL)
            continue;
        uint8_t *data = malloc(INPUT_MAX);
        size_t size = fread(data, 1, INPUT_MAX, file);
        fclose(file);
        seeds[count++] = (struct seed){data, size};
    }
    if (found >= 0)
        free(names);
    return count;
}

/* Inserts, overwrites or removes one piece. */
static size_t mutate(uint8_t *input, size_t size, const struct seed *other)
{
    static const char *const tokens[] = {"\"",      "{",       "}",    "[",
                                         "]",       ",",       ":",    "\\",
                                         "${",      "$${",     "null", "-1",
                                         "1e999",   "\\u0000", "\n",   "true",
                                         "\xff",    "(",       ")",    "'",
                                         "\\ud800", "1e9",     "::",   "\xc3\xa9",
                                         "`",       "--",      "NULL", "99999999999999999999"};
    size_t at = below(size + 1);
    size_t piece = below(16) + 1;
    switch (below(5)) {
    case 0: /* a byte */
        if (at < size)
            input[at] = (uint8_t)next_random();
        return size;
    case 1: /* cut */
        piece = piece < size - at ? piece : size - at;
        memmove(input + at, input + at + piece, size - at - piece);
        return size - piece;
    case 2: { /* a token */
        const char *token = tokens[below(sizeof(tokens) / sizeof(tokens[0]))];
        piece = strlen(token);
        if (size + piece > INPUT_MAX)
            return size;
        memmove(input + at + piece, input + at, size - at);
        memcpy(input + at, token, piece);
        return size + piece;
    }
    case 3: { /* a piece of its own again */
        size_t from = below(size + 1);
        piece = piece * 8 < size - from ? piece * 8 : size - from;
        if (size + piece > INPUT_MAX)
            return size;
        uint8_t copy[128];
        memcpy(copy, input + from, piece);
        memmove(input + at + piece, input + at, size - at);
        memcpy(input + at, copy, piece);
        return size + piece;
    }
    default: { /* the rest of another seed */
        size_t from = below(other->size + 1);
        piece = other->size - from;
        if (at + piece > INPUT_MAX)
            piece = INPUT_MAX - at;
        memcpy(input + at, other->data + from, piece);
        return at + piece;
    }
    }
}

static void run(const uint8_t *data, size_t size)
{
    if (getenv("MILLRACE_FUZZ_KEEP") != NULL) {
        FILE *file = fopen("fuzz-last.bin", "wb");
        if (file != NULL) {
            fwrite(data, 1, size, file);
            fclose(file);
        }
    }
    /* An exact copy on the heap, so that a sanitizer sees reads behind the end. */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

int main(int argc, char **argv)
{
    char folder[4096];
    const char *name = strstr(argv[0], "fuzz_");
    for (const char *later = name; later != NULL; later = strstr(later + 1, "fuzz_"))
        name = later;
    const char *srcdir = getenv("srcdir");
    snprintf(folder, sizeof(folder), "%s/tests/fuzz/seeds/%s", srcdir ? srcdir : ".",
             name != NULL ? name + strlen("fuzz_") : "");
    struct seed seeds[SEEDS_MAX];
    size_t count = load_seeds(argc > 1 ? argv[1] : folder, seeds);
    if (count == 0) {
        fprintf(stderr, "no seeds in %s\n", argc > 1 ? argv[1] : folder);
        return 1;
    }
    const char *wanted = getenv("MILLRACE_FUZZ_RUNS");
    long runs = wanted != NULL ? atol(wanted) : RUNS_DEFAULT;
    for (size_t i = 0; i < count; i++)
        run(seeds[i].data, seeds[i].size);
    static uint8_t input[INPUT_MAX];
    for (long i = 0; i < runs; i++) {
        const struct seed *seed = &seeds[below(count)];
        memcpy(input, seed->data, seed->size);
        size_t size = seed->size;
        for (size_t changes = below(6) + 1; changes > 0; changes--)
            size = mutate(input, size, &seeds[below(count)]);
        run(input, size);
    }
    printf("%zu seeds, %ld mutations\n", count, runs);
    for (size_t i = 0; i < count; i++)
        free(seeds[i].data);
    return 0;
}
