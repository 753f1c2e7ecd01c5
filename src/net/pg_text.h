/*
 * pg_text.h - writing SQL: names and literals that mean what they say on any server.
 */
#ifndef MR_NET_PG_TEXT_H
#define MR_NET_PG_TEXT_H

#include "base/bytes.h"

/* "name", quotes doubled. */
void mr_pg_identifier(struct mr_bytes *sql, const char *name);
/* 'text', or E'..' when a backslash occurs. False when it holds a NUL, which no Postgres text can. */
bool mr_pg_literal(struct mr_bytes *sql, struct mr_slice text);

#endif
