/*
 * plan.c - `millrace plan FILE [--json]`.
 */
#include "cli/cli.h"

#include <stdio.h>

int mr_cli_plan(int argc, char **argv)
{
    struct mr_cli_options options;
    struct millrace_pipeline *pipeline = NULL;
    int code = mr_cli_parse(argc, argv, "pcCSLFj", 1, 1, &options);
    if (code != 0)
        return code;
    options.log_level =
        options.log_level > MILLRACE_LOG_WARN ? options.log_level : MILLRACE_LOG_WARN;
    code = mr_cli_open(&options, 0, &pipeline);
    if (code == MILLRACE_OK) {
        char *text = NULL;
        mr_cli_catch_signals(pipeline);
        code = millrace_plan(pipeline, options.json, &text);
        if (text)
            fputs(text, stdout);
        if (code != MILLRACE_OK)
            mr_cli_print_errors(pipeline);
        millrace_free(text);
        mr_cli_catch_signals(NULL);
    }
    millrace_close(pipeline);
    return mr_cli_exit_code(code);
}
