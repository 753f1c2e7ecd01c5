/*
 * validate.c - `millrace validate FILE [--connect]`: the verdict, and what the plan warns of.
 */
#include "cli/cli.h"

#include <stdio.h>

int mr_cli_validate(int argc, char **argv)
{
    struct mr_cli_options options;
    struct millrace_pipeline *pipeline;
    char *warnings = NULL;
    int code = mr_cli_begin(argc, argv, "pcCSLFx", &options, &pipeline);
    if (code == MILLRACE_OK) {
        code = millrace_validate(pipeline, options.connect);
        if (code == MILLRACE_OK)
            code = millrace_warnings(pipeline, &warnings);
        if (code == MILLRACE_OK)
            printf("%s: valid%s\n%s", options.files[0],
                   options.connect ? "" : " (tables and columns are checked with --connect)",
                   warnings);
        else
            mr_cli_print_errors(pipeline);
    }
    millrace_free(warnings);
    return mr_cli_close(pipeline, code);
}
