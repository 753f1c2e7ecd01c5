/*
 * postgres.h - reading PostgreSQL: the method fromPostgres.
 */
#ifndef MR_CONNECT_POSTGRES_POSTGRES_H
#define MR_CONNECT_POSTGRES_POSTGRES_H

#include "ext/source.h"

extern const struct mr_source mr_source_postgres;

#endif
