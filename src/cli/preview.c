/*
 * preview.c - `millrace preview FILE [--step NAME] [--rows N]`: the first rows of a frame as a table.
 */
#include "cli/cli.h"

#include "api/preview.h"

#include <stdio.h>

int mr_cli_preview(int argc, char **argv)
{
    struct mr_cli_options options;
    struct millrace_pipeline *pipeline;
    int code = mr_cli_begin(argc, argv, "pcCSLFsn", &options, &pipeline);
    if (code == MILLRACE_OK) {
        struct mr_bytes table;
        mr_bytes_init(&table, MR_BYTES_DEFAULT_MAXIMUM);
        code = mr_api_preview(pipeline, options.step, options.rows, &table);
        if (code == MILLRACE_OK && table.data)
            fputs(table.data, stdout);
        else
            mr_cli_print_errors(pipeline);
        mr_bytes_reset(&table);
    }
    return mr_cli_close(pipeline, code);
}
