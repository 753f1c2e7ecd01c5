/*
 * preview.c - `millrace preview FILE [--step NAME] [--rows N]`: the first rows of a frame as a table.
 */
#include "cli/cli.h"

#include "api/preview.h"

#include <stdio.h>

int mr_cli_preview(int argc, char **argv)
{
    struct mr_cli_options options;
    struct millrace_pipeline *pipeline = NULL;
    int code = mr_cli_parse(argc, argv, "pcCSLFsn", 1, 1, &options);
    if (code != 0)
        return code;
    options.log_level =
        options.log_level > MILLRACE_LOG_WARN ? options.log_level : MILLRACE_LOG_WARN;
    code = mr_cli_open(&options, 0, &pipeline);
    if (code == MILLRACE_OK) {
        struct mr_bytes table;
        mr_bytes_init(&table, MR_BYTES_DEFAULT_MAXIMUM);
        mr_cli_catch_signals(pipeline);
        code = mr_api_preview(pipeline, options.step, options.rows, &table);
        mr_cli_catch_signals(NULL);
        if (code == MILLRACE_OK && table.data)
            fputs(table.data, stdout);
        else
            mr_cli_print_errors(pipeline);
        mr_bytes_reset(&table);
    }
    millrace_close(pipeline);
    return mr_cli_exit_code(code);
}
