/*
 * listen.h - /metrics, /healthz and /readyz of a run that goes on, over HTTP (--listen).
 */
#ifndef MR_RUN_LISTEN_H
#define MR_RUN_LISTEN_H

#include "run/session.h"
#include "run/totals.h"

struct mr_listen;

/*
 * "host:port", ":port", "port", "[::1]:port"; port 0 = any that is free. Logs where it listens. The session is that of the process, and
 * outlives mr_listen_stop. `lanes`: runs come and go; else there is one.
 */
enum mr_status mr_listen_start(struct mr_session *session, bool lanes, const char *address,
                               struct mr_listen **out, struct mr_error *err);
/* NULL: nothing. */
void mr_listen_stop(struct mr_listen *listen);

/* From here on, until it is removed, a run is told of. `totals`: of a stream, or NULL. Any thread; `listen` may be NULL. */
enum mr_status mr_listen_add(struct mr_listen *listen, struct mr_session *session,
                             struct mr_totals *totals, struct mr_error *err);
void mr_listen_remove(struct mr_listen *listen, const struct mr_session *session);

/* Splits an address: host "" = all. False when it is none. For tests. */
bool mr_listen_parse(const char *address, char *host, size_t capacity, char port[8]);

#endif
