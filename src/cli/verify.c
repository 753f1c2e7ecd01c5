/*
 * verify.c - `millrace verify FILE [--load NAME] [--limit N] [--json]`.
 */
#include "api/verify.h"

#include "cli/cli.h"

#include <stdio.h>

int mr_cli_verify(int argc, char **argv)
{
    struct mr_cli_options options;
    struct millrace_pipeline *pipeline;
    int code = mr_cli_begin(argc, argv, "pcCSLFjol", &options, &pipeline);
    if (code == MILLRACE_OK) {
        struct mr_api_verify_options what = {.load = options.load,
                                             .most = options.limit,
                                             .json = options.json};
        struct mr_bytes text;
        mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
        code = mr_api_verify(pipeline, &what, &text);
        if (text.size > 0)
            fwrite(text.data, 1, text.size, stdout);
        else
            mr_cli_print_errors(pipeline);
        mr_bytes_reset(&text);
    }
    return mr_cli_close(pipeline, code);
}
