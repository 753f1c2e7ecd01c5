/*
 * verify.c - `millrace verify FILE [--load NAME] [--limit N] [--json]`.
 */
#include "api/verify.h"

#include "cli/cli.h"

#include <stdio.h>

int mr_cli_verify(int argc, char **argv)
{
    struct mr_cli_options options;
    struct millrace_pipeline *pipeline = NULL;
    int code = mr_cli_parse(argc, argv, "pcCSLFjol", 1, 1, &options);
    if (code != 0)
        return code;
    options.log_level =
        options.log_level > MILLRACE_LOG_WARN ? options.log_level : MILLRACE_LOG_WARN;
    code = mr_cli_open(&options, 0, &pipeline);
    if (code == MILLRACE_OK) {
        struct mr_api_verify_options what = {.load = options.load,
                                             .most = options.limit,
                                             .json = options.json};
        struct mr_bytes text;
        mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
        mr_cli_catch_signals(pipeline);
        code = mr_api_verify(pipeline, &what, &text);
        if (text.size > 0)
            fwrite(text.data, 1, text.size, stdout);
        else
            mr_cli_print_errors(pipeline);
        mr_bytes_reset(&text);
        mr_cli_catch_signals(NULL);
    }
    millrace_close(pipeline);
    return mr_cli_exit_code(code);
}
