/*
 * validate.c - `millrace validate FILE [--connect]`: the verdict, and what the plan warns of.
 */
#include "cli/cli.h"

#include <stdio.h>

int mr_cli_validate(int argc, char **argv)
{
    struct mr_cli_options options;
    struct millrace_pipeline *pipeline = NULL;
    char *warnings = NULL;
    int code = mr_cli_parse(argc, argv, "pcCSLFx", 1, 1, &options);
    if (code != 0)
        return code;
    options.log_level =
        options.log_level > MILLRACE_LOG_WARN ? options.log_level : MILLRACE_LOG_WARN;
    code = mr_cli_open(&options, 0, &pipeline);
    if (code == MILLRACE_OK) {
        mr_cli_catch_signals(pipeline);
        code = millrace_validate(pipeline, options.connect);
        if (code == MILLRACE_OK)
            code = millrace_warnings(pipeline, &warnings);
        if (code == MILLRACE_OK)
            printf("%s: valid%s\n%s", options.files[0],
                   options.connect ? "" : " (tables and columns are checked with --connect)",
                   warnings);
        else
            mr_cli_print_errors(pipeline);
        mr_cli_catch_signals(NULL);
    }
    millrace_free(warnings);
    millrace_close(pipeline);
    return mr_cli_exit_code(code);
}
