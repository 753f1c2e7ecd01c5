/*
 * listen.h - /metrics and /healthz of a run that goes on, over HTTP (--listen).
 */
#ifndef MR_RUN_LISTEN_H
#define MR_RUN_LISTEN_H

#include "run/session.h"
#include "run/totals.h"

struct mr_listen;

/*
 * "host:port", ":port", "port", "[::1]:port"; port 0 = any that is free. Logs where it listens. `totals`: of a stream, or NULL; both it
 * and the session outlive mr_listen_stop.
 */
enum mr_status mr_listen_start(struct mr_session *session, struct mr_totals *totals,
                               const char *address, struct mr_listen **out, struct mr_error *err);
/* NULL: nothing. */
void mr_listen_stop(struct mr_listen *listen);

/* Splits an address: host "" = all. False when it is none. For tests. */
bool mr_listen_parse(const char *address, char *host, size_t capacity, char port[8]);

#endif
