/*
 * maintain.h - the maintain steps of a pipeline alone, for commands.
 */
#ifndef MR_API_MAINTAIN_H
#define MR_API_MAINTAIN_H

#include "millrace.h"

/*
 * Does the maintain steps of a pipeline that has no others, without state. *report is the JSON
 * object of what the first did (millrace_free). Returns a millrace code.
 */
int mr_api_maintain(struct millrace_pipeline *pipeline, char **report);

#endif
