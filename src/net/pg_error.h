/*
 * pg_error.h - what an error of PostgreSQL means to us.
 */
#ifndef MR_NET_PG_ERROR_H
#define MR_NET_PG_ERROR_H

#include "base/error.h"

#include <libpq-fe.h>

/*
 * Sets err from a failed result: class and status by SQLSTATE, the server's message (primary, detail), a hint (the server's, or ours where
 * we know better). `location` says which server. Returns the status.
 */
enum mr_status mr_pg_error_result(struct mr_error *err, const PGresult *result,
                                  const char *location);
/* From an SQLSTATE ("" = none) and a message; `connecting` tells an attempt to connect from a later break. */
enum mr_status mr_pg_error_state(struct mr_error *err, const char *sqlstate, const char *message,
                                 const char *location, bool connecting);

/* Replaces the hint of an error with this SQLSTATE where it speaks of reading. */
void mr_pg_error_writing(struct mr_error *err, const char *sqlstate);

#endif
