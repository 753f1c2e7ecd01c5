/*
 * plan.c - `millrace plan FILE [--json]`.
 */
#include "cli/cli.h"

#include <stdio.h>

int mr_cli_plan(int argc, char **argv)
{
    struct mr_cli_options options;
    struct millrace_pipeline *pipeline;
    int code = mr_cli_begin(argc, argv, "pcCSLFj", &options, &pipeline);
    if (code == MILLRACE_OK) {
        char *text = NULL;
        code = millrace_plan(pipeline, options.json, &text);
        if (text)
            fputs(text, stdout);
        if (code != MILLRACE_OK)
            mr_cli_print_errors(pipeline);
        millrace_free(text);
    }
    return mr_cli_close(pipeline, code);
}
