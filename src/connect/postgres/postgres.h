/*
 * postgres.h - reading and writing PostgreSQL: the methods fromPostgres and toPostgres.
 */
#ifndef MR_CONNECT_POSTGRES_POSTGRES_H
#define MR_CONNECT_POSTGRES_POSTGRES_H

#include "ext/sink.h"
#include "ext/source.h"

extern const struct mr_source mr_source_postgres;
extern const struct mr_sink mr_sink_postgres;

#endif
