/*
 * discover.h - answers what steps must know of their rows before they can be planned. Private to run/.
 */
#ifndef MR_RUN_DISCOVER_H
#define MR_RUN_DISCOVER_H

#include "run/session.h"

/*
 * Builds session->plan by the request, which it completes with answers as often as the plan asks.
 * Each answer is read under the session's snapshot.
 */
enum mr_status mr_discover_and_plan(struct mr_session *session, struct mr_plan_request *request,
                                    struct mr_load_errors *errors, struct mr_error *err);

#endif
