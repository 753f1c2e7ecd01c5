/*
 * main.c - `millrace COMMAND ..`: picks the command.
 */
#include "cli/cli.h"

#include "base/map.h"

#include <stdio.h>
#include <string.h>

static int version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("millrace %s\n", millrace_version());
    return MILLRACE_OK;
}

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage;
    const char *doc;
} commands[] = {
    {"run", mr_cli_run, "FILE..", "run a pipeline, or several beside each other"},
    {"validate", mr_cli_validate, "FILE",
     "check a pipeline file; --connect checks it against the catalogs"},
    {"plan", mr_cli_plan, "FILE", "show what a run would do"},
    {"preview", mr_cli_preview, "FILE", "show the first rows of a frame; commits nothing"},
    {"bench", mr_cli_bench, "BASELINE OPTIMIZED..", "time configurations against each other"},
    {"verify", mr_cli_verify, "FILE", "compare the targets with what was loaded into them"},
    {"runs", mr_cli_runs, "[show ID]", "list earlier runs, or show one's report"},
    {"watermark", mr_cli_watermark, "show|set FILE [VALUE]",
     "show where incremental reading has ended, or set where it goes on"},
    {"delta", mr_cli_delta, "optimize|vacuum|delete|history|describe URL",
     "maintain a Delta table, or show what it says of itself"},
    {"show", mr_cli_show, "URL", "show columns, statistics and rows of files or of a table"},
    {"methods", mr_cli_methods, "[NAME]", "list the methods, or one's options"},
    {"avro", mr_cli_avro, "check OLD NEW", "compare two Avro schemas"},
    {"version", version, "", "print the version"},
};

#define NCOMMANDS (sizeof commands / sizeof commands[0])

const char *mr_cli_usage(const char *command)
{
    for (size_t i = 0; i < NCOMMANDS; i++)
        if (strcmp(commands[i].name, command) == 0)
            return commands[i].usage;
    return NULL;
}

static void print_help(FILE *out)
{
    fprintf(out, "usage: millrace COMMAND ..\n");
    for (size_t i = 0; i < NCOMMANDS; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].usage);
        fprintf(out, "  %-32s %s\n", left, commands[i].doc);
    }
    fprintf(out, "millrace COMMAND --help tells a command's options.\n");
}

int mr_cli_main(int argc, char **argv)
{
    const char *names[NCOMMANDS];
    mr_alloc_tune();
    if (argc < 2) {
        print_help(stderr);
        return MILLRACE_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_help(stdout);
        return MILLRACE_OK;
    }
    if (!strcmp(argv[1], "--version"))
        return version(0, NULL);
    for (size_t i = 0; i < NCOMMANDS; i++) {
        names[i] = commands[i].name;
        if (!strcmp(argv[1], commands[i].name)) {
            int code = commands[i].run(argc - 1, argv + 1);
            /* -1: the help was printed. */
            return code < 0 ? MILLRACE_OK : code;
        }
    }
    const char *near = mr_nearest_name(argv[1], names, NCOMMANDS);
    fprintf(stderr, "millrace: no command %s%s%s%s\n", argv[1], near ? " (did you mean " : "",
            near ? near : "", near ? "?)" : "");
    print_help(stderr);
    return MILLRACE_USAGE;
}
