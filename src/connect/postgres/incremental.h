/*
 * incremental.h - reading only what is new: where the last run ended, where this one ends, and which promise that carries.
 */
#ifndef MR_CONNECT_POSTGRES_INCREMENTAL_H
#define MR_CONNECT_POSTGRES_INCREMENTAL_H

#include "connect/postgres/state.h"

/* What needs no server: which options go together. */
enum mr_status mr_postgres_incremental_check(const struct mr_postgres_settings *settings,
                                             struct mr_error *err);
/*
 * Compares where the last run ended with this server, table and column, finds out what can be promised, and sets state->incremental.
 * Nothing happens without the option `incremental`.
 */
enum mr_status mr_postgres_incremental_bind(struct mr_postgres_state *state, struct mr_pg *pg,
                                            const struct mr_source_bind *bind,
                                            struct mr_source_info *info, struct mr_error *err);
/* Where this run begins, as SQL; NULL = at the first row. */
const char *mr_postgres_incremental_lower(const struct mr_postgres_state *state);
/* The notes of the plan, ended by NULL. */
const char *const *mr_postgres_incremental_notes(const struct mr_postgres_state *state);
/*
 * Once the snapshot is fixed: the condition that is part of every split, and where the splits end (upto, upto_text).
 */
enum mr_status mr_postgres_incremental_window(struct mr_postgres_state *state, struct mr_pg *pg,
                                              struct mr_arena *arena, struct mr_split_list *out,
                                              const char **window, struct mr_error *err);

#endif
