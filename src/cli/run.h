/*
 * run.h - what running one file and running several share.
 */
#ifndef MR_CLI_RUN_H
#define MR_CLI_RUN_H

#include "base/error.h"
#include "cli/cli.h"

int mr_cli_run_many(const struct mr_cli_options *options);
/* What a run did, from its report. */
void mr_cli_print_summary(const char *report);
bool mr_cli_report_to_stdout(const struct mr_cli_options *options);
/* The error of a run that hung after a signal. */
void mr_cli_gave_up(struct mr_error *err);

#endif
