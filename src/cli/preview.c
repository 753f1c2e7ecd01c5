/*
 * preview.c - `millrace preview FILE [--step NAME] [--rows N] [--written]`: the first rows of a frame, or of a target, as a table.
 */
#include "cli/cli.h"

#include "api/preview.h"

#include <stdio.h>

int mr_cli_preview(int argc, char **argv)
{
    struct mr_cli_options options;
    struct millrace_pipeline *pipeline;
    int code = mr_cli_begin(argc, argv, "pcCSLFsnv", &options, &pipeline);
    if (code == MILLRACE_OK) {
        struct mr_api_preview_options what = {.step = options.step,
                                              .rows = options.rows,
                                              .written = options.written};
        struct mr_bytes table;
        mr_bytes_init(&table, MR_BYTES_DEFAULT_MAXIMUM);
        code = mr_api_preview(pipeline, &what, &table);
        if (code == MILLRACE_OK && table.data)
            fputs(table.data, stdout);
        else
            mr_cli_print_errors(pipeline);
        mr_bytes_reset(&table);
    }
    return mr_cli_close(pipeline, code);
}
