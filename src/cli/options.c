/*
 * options.c - command lines: --name value or --name=value, files anywhere.
 *
 * One table for all commands, so that an option has the same name and meaning everywhere; a command says which it takes.
 */
#include "cli/cli.h"

#include "base/map.h"
#include "base/time.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum option_kind { OPTION_FLAG, OPTION_VALUE };

static const struct cli_option {
    const char *name;
    char letter; /* in `allowed` */
    enum option_kind kind;
    const char *value;
    const char *doc;
} cli_options[] = {
    {"--param", 'p', OPTION_VALUE, "NAME=VALUE", "value of ${NAME} in the file"},
    {"--conf", 'c', OPTION_VALUE, "KEY=VALUE", "override of a sparkConf entry"},
    {"--credentials", 'C', OPTION_VALUE, "FILE", "credentials file"},
    {"--state", 'S', OPTION_VALUE, "DIR", "state directory"},
    {"--pipeline", 'I', OPTION_VALUE, "FILE", "the runs of this pipeline, wherever its state is"},
    {"--report", 'r', OPTION_VALUE, "FILE", "write the JSON report there (- = standard output)"},
    {"--max-parallel", 'm', OPTION_VALUE, "N",
     "several files: so many at once (default: twice the cores)"},
    {"--memory", 'M', OPTION_VALUE, "SIZE",
     "several files: together at most (default: half of the machine's)"},
    {"--fail-fast", 'a', OPTION_FLAG, NULL, "several files: end the others when one fails"},
    {"--stop-within", 'W', OPTION_VALUE, "SECONDS",
     "after SIGINT or SIGTERM the run ends in this time (default: 10)"},
    {"--fresh", 'f', OPTION_FLAG, NULL,
     "forget watermarks, positions and what an unfinished run has done"},
    {"--resume", 'R', OPTION_FLAG, NULL, "go on with the unfinished run, or do nothing"},
    {"--adopt", 'A', OPTION_FLAG, NULL, "state was lost: go on from what the targets know"},
    {"--listen", 'i', OPTION_VALUE, "ADDRESS",
     "answer /metrics, /healthz, /readyz on host:port while it runs; port 0 = any"},
    {"--run-key", 'K', OPTION_VALUE, "KEY",
     "the scheduler's name of this run: one that has succeeded is not run again"},
    {"--clear", 'k', OPTION_FLAG, NULL, "forget the watermark: the next run begins anew"},
    {"--progress", 'P', OPTION_VALUE, "auto|plain|none", "how to show progress"},
    {"--log-format", 'F', OPTION_VALUE, "text|json", "form of log lines"},
    {"--log-level", 'L', OPTION_VALUE, "debug|info|warn|error", "least level to log"},
    {"--quiet", 'q', OPTION_FLAG, NULL, "no summary"},
    {"--connect", 'x', OPTION_FLAG, NULL, "check against the catalogs too"},
    {"--json", 'j', OPTION_FLAG, NULL, "JSON output"},
    {"--step", 's', OPTION_VALUE, "NAME", "name or number of a step"},
    {"--lane", 'E', OPTION_VALUE, "NAME", "of a stream with `group`: topic/partition"},
    {"--load", 'o', OPTION_VALUE, "NAME", "only this load: its name or number"},
    {"--rows", 'n', OPTION_VALUE, "N", "rows to show"},
    {"--written", 'v', OPTION_FLAG, NULL, "of what the load has written, read from its target"},
    {"--runs", 'N', OPTION_VALUE, "N", "timed runs of each configuration"},
    {"--limit", 'l', OPTION_VALUE, "N", "how many to list"},
    {"--where", 'w', OPTION_VALUE, "CONDITION", "only these partitions"},
    {"--zorder", 'z', OPTION_VALUE, "COLUMN,..", "put the rows in Z-order of these columns"},
    {"--target-file-size", 't', OPTION_VALUE, "SIZE", "size of the new files"},
    {"--retain-hours", 'H', OPTION_VALUE, "N", "keep what versions of the last N hours need"},
    {"--dry-run", 'd', OPTION_FLAG, NULL, "only say what would be removed"},
    {"--no-retention-check", 'u', OPTION_FLAG, NULL, "allow a short retention"},
};

static int usage(const char *command, const char *format, const char *what, const char *hint)
{
    fprintf(stderr, "millrace %s: ", command);
    fprintf(stderr, format, what);
    if (hint)
        fprintf(stderr, " (did you mean %s?)", hint);
    fputc('\n', stderr);
    return MILLRACE_USAGE;
}

static void help(const char *command, const char *allowed)
{
    const char *files = mr_cli_usage(command);
    printf("usage: millrace %s [options] %s\n", command, files ? files : "URL");
    for (size_t i = 0; i < sizeof cli_options / sizeof cli_options[0]; i++) {
        const struct cli_option *option = &cli_options[i];
        char left[64];
        if (!strchr(allowed, option->letter))
            continue;
        snprintf(left, sizeof left, "%s %s", option->name, option->value ? option->value : "");
        printf("  %-40s %s\n", left, option->doc);
    }
}

/* Splits "a=b" in place into two entries. */
static int add_pair(char *text, const char **pairs, int *count)
{
    char *equals = strchr(text, '=');
    if (!equals || *count >= MR_CLI_MAX_PAIRS)
        return -1;
    *equals = '\0';
    pairs[*count * 2] = text;
    pairs[*count * 2 + 1] = equals + 1;
    (*count)++;
    return 0;
}

static int choice(const char *text, const char *const *choices)
{
    for (int i = 0; choices[i]; i++)
        if (!strcmp(text, choices[i]))
            return i;
    return -1;
}

static int number(const char *text, int64_t minimum, int64_t *out)
{
    char *end = NULL;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || value < minimum || value > INT_MAX)
        return -1;
    *out = value;
    return 0;
}

/* Where the text of an option goes; NULL = it is no text. */
static const char **text_of(char letter, struct mr_cli_options *out)
{
    switch (letter) {
    case 'C':
        return &out->credentials;
    case 'S':
        return &out->state;
    case 'I':
        return &out->pipeline;
    case 'i':
        return &out->listen;
    case 'K':
        return &out->run_key;
    case 'r':
        return &out->report;
    case 's':
        return &out->step;
    case 'E':
        return &out->lane;
    case 'o':
        return &out->load;
    case 'w':
        return &out->where;
    case 'z':
        return &out->zorder;
    case 't':
        return &out->target_file_size;
    case 'H':
        return &out->retain_hours;
    default:
        return NULL;
    }
}

/* Applies one option; -1 when its value makes no sense. */
static int apply(char letter, char *value, struct mr_cli_options *out)
{
    static const char *const progress[] = {"auto", "plain", "none", NULL};
    static const char *const formats[] = {"text", "json", NULL};
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
    int64_t n = 0;
    int chosen = 0;
    const char **text = text_of(letter, out);
    if (text) {
        *text = value;
        /* A variable that the scheduler has not set: the run would be one without a key. */
        return letter == 'K' && !*value ? -1 : 0;
    }
    switch (letter) {
    case 'p':
        return add_pair(value, out->parameters, &out->nparameters);
    case 'c':
        return add_pair(value, out->conf, &out->nconf);
    case 'f':
        out->fresh = true;
        return 0;
    case 'R':
        out->resume = true;
        return 0;
    case 'A':
        out->adopt = true;
        return 0;
    case 'k':
        out->clear = true;
        return 0;
    case 'q':
        out->quiet = true;
        return 0;
    case 'x':
        out->connect = true;
        return 0;
    case 'd':
        out->dry_run = true;
        return 0;
    case 'u':
        out->unchecked = true;
        return 0;
    case 'j':
        out->json = true;
        return 0;
    case 'v':
        out->written = true;
        return 0;
    case 'P':
        chosen = choice(value, progress);
        out->progress = (enum mr_cli_progress)chosen;
        return chosen < 0 ? -1 : 0;
    case 'F':
        chosen = choice(value, formats);
        out->log_json = chosen == 1;
        return chosen < 0 ? -1 : 0;
    case 'L':
        chosen = choice(value, levels);
        out->log_level = (enum millrace_log_level)chosen;
        return chosen < 0 ? -1 : 0;
    case 'a':
        out->fail_fast = true;
        return 0;
    case 'm':
        chosen = number(value, 1, &n);
        out->max_parallel = (int)n;
        return chosen;
    case 'M':
        return mr_size_parse(value, &out->memory) && out->memory > 0 ? 0 : -1;
    case 'W':
        chosen = number(value, 1, &n);
        out->stop_within = (int)n;
        return chosen;
    case 'n':
        return number(value, 1, &out->rows);
    case 'N':
        chosen = number(value, 1, &n);
        out->runs = (int)n;
        return chosen;
    default:
        chosen = number(value, 1, &n);
        out->limit = (int)n;
        return chosen;
    }
}

static const struct cli_option *find_option(const char *name, size_t size, const char *allowed)
{
    for (size_t i = 0; i < sizeof cli_options / sizeof cli_options[0]; i++) {
        const struct cli_option *option = &cli_options[i];
        if (strlen(option->name) == size && !strncmp(option->name, name, size) &&
            strchr(allowed, option->letter))
            return option;
    }
    return NULL;
}

static const char *nearest_option(const char *name, const char *allowed)
{
    const char *names[sizeof cli_options / sizeof cli_options[0]];
    size_t count = 0;
    for (size_t i = 0; i < sizeof cli_options / sizeof cli_options[0]; i++)
        if (strchr(allowed, cli_options[i].letter))
            names[count++] = cli_options[i].name;
    return mr_nearest_name(name, names, count);
}

int mr_cli_parse(int argc, char **argv, const char *allowed, int min_files, int max_files,
                 struct mr_cli_options *out)
{
    *out = (struct mr_cli_options){.rows = 20,
                                   .runs = 5,
                                   .limit = 20,
                                   .stop_within = MR_CLI_STOP_SECONDS,
                                   .log_level = MILLRACE_LOG_INFO};
    bool only_files = false;
    for (int i = 1; i < argc; i++) {
        char *arg = argv[i];
        if (!only_files && !strcmp(arg, "--")) {
            only_files = true;
            continue;
        }
        if (!only_files && (!strcmp(arg, "--help") || !strcmp(arg, "-h"))) {
            help(argv[0], allowed);
            return -1;
        }
        if (only_files || arg[0] != '-' || !arg[1]) {
            if (out->nfiles >= max_files)
                return usage(argv[0], "%s is one argument too many", arg, NULL);
            out->files[out->nfiles++] = arg;
            continue;
        }
        char *equals = strchr(arg, '=');
        size_t size = equals ? (size_t)(equals - arg) : strlen(arg);
        const struct cli_option *option = find_option(arg, size, allowed);
        if (!option)
            return usage(argv[0], "unknown option %s", arg, nearest_option(arg, allowed));
        char *value = equals ? equals + 1 : NULL;
        if (option->kind == OPTION_VALUE && !value)
            value = i + 1 < argc ? argv[++i] : NULL;
        if (option->kind == OPTION_VALUE && !value)
            return usage(argv[0], "%s needs a value", option->name, NULL);
        if (option->kind == OPTION_FLAG && equals)
            return usage(argv[0], "%s takes no value", option->name, NULL);
        if (apply(option->letter, value, out) != 0) {
            fprintf(stderr, "millrace %s: %s takes %s, not %s\n", argv[0], option->name,
                    option->value, value);
            return MILLRACE_USAGE;
        }
    }
    if (out->nfiles < min_files)
        return usage(argv[0], "%s", "which file? (millrace COMMAND --help tells more)", NULL);
    return 0;
}

int mr_cli_parse_quiet(int argc, char **argv, const char *allowed, int min_files, int max_files,
                       struct mr_cli_options *out)
{
    int code = mr_cli_parse(argc, argv, allowed, min_files, max_files, out);
    if (out->log_level < MILLRACE_LOG_WARN)
        out->log_level = MILLRACE_LOG_WARN;
    return code;
}
