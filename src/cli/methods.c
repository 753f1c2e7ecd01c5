/*
 * methods.c - `millrace methods`: what a step can do; `millrace methods NAME`: the options of one method.
 */
#include "cli/cli.h"

#include "api/methods.h"

#include <stdio.h>
#include <string.h>

int mr_cli_methods(int argc, char **argv)
{
    const char *usage = "usage: millrace methods [NAME]\n"
                        "Lists the methods of this build, or the options of one.\n";
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name != NULL && (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)) {
        fputs(usage, stdout);
        return MILLRACE_OK;
    }
    if (argc > 2 || (name != NULL && name[0] == '-')) {
        fputs(usage, stderr);
        return MILLRACE_USAGE;
    }
    struct mr_bytes text;
    struct mr_error err = {0};
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    enum mr_status status = mr_api_methods(name, &text, &err);
    if (status == MR_OK)
        fwrite(text.data, 1, text.size, stdout);
    else
        fprintf(stderr, "error: %s%s%s\n", err.message, err.hint[0] != '\0' ? "; " : "", err.hint);
    mr_bytes_reset(&text);
    return mr_status_exit_code(status);
}
