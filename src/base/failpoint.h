/*
 * failpoint.h - named places where a test build dies, stops or fails (configure --enable-failpoints).
 *
 * MILLRACE_FAILPOINT="name[:N]=kill|stop|error|unknown|enospc|eio" acts at the Nth time (default 1) that the
 * place is passed. MILLRACE_FAILPOINT_LIST=path appends each name passed, so that a test can
 * enumerate them all. In a normal build the macro is MR_OK and costs nothing.
 */
#ifndef MR_BASE_FAILPOINT_H
#define MR_BASE_FAILPOINT_H

#include "base/error.h"

#ifdef MR_ENABLE_FAILPOINTS
enum mr_status mr_failpoint_hit(const char *name, struct mr_error *err);
#define MR_FAILPOINT(name, err) mr_failpoint_hit(name, err)
#else
#define MR_FAILPOINT(name, err) MR_OK
#endif

#endif
