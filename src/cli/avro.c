/*
 * avro.c - `millrace avro check`: do two versions of a schema understand each other's data?
 */
#include "cli/cli.h"

#include "api/avro.h"

#include <stdio.h>
#include <string.h>

#define MAX_FILES 64

static const char usage[] =
    "usage: millrace avro check OLD.. NEW [--mode backward|forward|full] [--transitive]\n"
    "Compares Avro schemas (JSON files). backward (default): NEW reads data of OLD; forward: OLD\n"
    "reads data of NEW; full: both. With several OLD the one before NEW counts, with\n"
    "--transitive all of them. Exits with 0 when compatible, 7 when not, 3 when a file is no "
    "schema.\n";

static enum mr_avro_mode mode_of(const char *name)
{
    if (strcmp(name, "backward") == 0)
        return MR_AVRO_BACKWARD;
    if (strcmp(name, "forward") == 0)
        return MR_AVRO_FORWARD;
    return strcmp(name, "full") == 0 ? MR_AVRO_FULL : 0;
}

static int misused(const char *what, const char *word)
{
    fprintf(stderr, "millrace avro: %s%s%s\n%s", what, word ? " " : "", word ? word : "", usage);
    return MILLRACE_USAGE;
}

static int check(const char *const *files, int nfiles, enum mr_avro_mode mode, bool transitive)
{
    struct mr_bytes text;
    struct mr_error err = {0};
    bool compatible = false;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    enum mr_status status =
        mr_api_avro_check(files, nfiles, mode, transitive, &text, &compatible, &err);
    if (status == MR_OK && text.size > 0)
        fwrite(text.data, 1, text.size, stdout);
    if (status == MR_OK && compatible)
        printf("compatible\n");
    if (status != MR_OK)
        fprintf(stderr, "error: %s%s%s%s%s%s\n", err.message, err.where[0] ? " (" : "", err.where,
                err.where[0] ? ")" : "", err.hint[0] ? "; " : "", err.hint);
    mr_bytes_reset(&text);
    if (status != MR_OK)
        return mr_status_exit_code(status);
    return compatible ? MILLRACE_OK : MILLRACE_VALIDATION;
}

int mr_cli_avro(int argc, char **argv)
{
    const char *files[MAX_FILES];
    int nfiles = 0;
    enum mr_avro_mode mode = MR_AVRO_BACKWARD;
    bool transitive = false, options = true;
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(usage, stdout);
        return MILLRACE_OK;
    }
    if (argc < 2 || strcmp(argv[1], "check") != 0)
        return misused("the one subcommand is check", NULL);
    for (int i = 2; i < argc; i++) {
        const char *word = argv[i];
        const char *value = options && strncmp(word, "--mode=", 7) == 0 ? word + 7 : NULL;
        if (options && strcmp(word, "--mode") == 0)
            value = i + 1 < argc ? argv[++i] : "";
        if (value) {
            mode = mode_of(value);
            if (!mode)
                return misused("--mode is backward, forward or full, not", value);
        } else if (options && strcmp(word, "--transitive") == 0) {
            transitive = true;
        } else if (options && (!strcmp(word, "--help") || !strcmp(word, "-h"))) {
            fputs(usage, stdout);
            return MILLRACE_OK;
        } else if (options && strcmp(word, "--") == 0) {
            options = false;
        } else if (options && word[0] == '-') {
            return misused("no option", word);
        } else if (nfiles == MAX_FILES) {
            return misused("more than 64 files", NULL);
        } else {
            files[nfiles++] = word;
        }
    }
    return nfiles < 2 ? misused("two schemas are compared", NULL)
                      : check(files, nfiles, mode, transitive);
}
