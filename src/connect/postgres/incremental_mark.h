/*
 * incremental_mark.h - where a run ended, shared by the two halves of incremental reading: bind and splits.
 */
#ifndef MR_CONNECT_POSTGRES_INCREMENTAL_MARK_H
#define MR_CONNECT_POSTGRES_INCREMENTAL_MARK_H

#include "connect/postgres/state.h"

#define MR_POSTGRES_KEYS_MAX 32

enum mr_postgres_ending {
    MR_POSTGRES_ENDING_XID,
    MR_POSTGRES_ENDING_BOUND,
    MR_POSTGRES_ENDING_LARGEST
};

/* Where a run ended. Everything is text. */
struct mr_postgres_mark {
    bool has_value;
    bool has_keys;  /* ... and a value of each key */
    bool inclusive; /* the next window begins with the value itself, not behind it */
    const char *system;
    const char *database;
    const char *relation;
    const char *column;
    const char *type;
    int nkeys;
    const char *keys[MR_POSTGRES_KEYS_MAX];
    const char *values[MR_POSTGRES_KEYS_MAX + 1];
};

struct mr_postgres_incremental {
    enum mr_postgres_ending ending;
    const struct mr_options *options;
    const struct mr_postgres_column *column;
    const struct mr_postgres_column *keys[MR_POSTGRES_KEYS_MAX];
    const char *types[MR_POSTGRES_KEYS_MAX + 1]; /* of literals */
    const char *overlap;                         /* canonical, NULL = none */
    const char *zone;                            /* of writers, for columns without one */
    struct mr_postgres_mark mark;                /* who we are, and where this run begins */
    bool first;                                  /* no run before, and nobody set where to begin */
    bool stored;                                 /* the beginning comes from a run */
    const char *from;  /* the value that reading begins at when there is an overlap */
    const char *lower; /* SQL, NULL = no lower end */
    const char *notes[6];
    int nnotes;
};

/* How many of the values count: a person may have set the column's alone. */
static inline int mr_postgres_mark_keys(const struct mr_postgres_mark *mark)
{
    return mark->has_keys ? mark->nkeys : 0;
}

bool mr_postgres_is_time(const struct mr_postgres_column *column);
bool mr_postgres_is_number(const struct mr_postgres_column *column);

enum mr_status mr_postgres_mark_write(const struct mr_postgres_mark *mark, struct mr_arena *arena,
                                      struct mr_slice *out, struct mr_error *err);
/* False when the bytes are not of this form. */
bool mr_postgres_mark_read(struct mr_slice bytes, struct mr_arena *arena,
                           struct mr_postgres_mark *mark);
/* What --fresh and `millrace watermark set` mend: "the last run ended in WHAT BEFORE, this one reads NOW". */
enum mr_status mr_postgres_mark_refuse(struct mr_error *err, const char *what, const char *before,
                                       const char *now);
enum mr_status mr_postgres_mark_compare(const struct mr_postgres_mark *before,
                                        const struct mr_postgres_mark *now, struct mr_error *err);

/* 'text'::type */
void mr_postgres_put_literal(struct mr_bytes *sql, const char *text, const char *type);
/* ("c", "k") > ('1'::int8, 'a'::text), with the first `nkeys` keys. */
void mr_postgres_put_compare(const struct mr_postgres_incremental *work, struct mr_bytes *sql,
                             const char *op, const char *const *values, int nkeys);
/* Behind the mark, or from it on; without the overlap. */
void mr_postgres_put_after(const struct mr_postgres_incremental *work, struct mr_bytes *sql);
/* A query of exactly one row; the result is the caller's. */
enum mr_status mr_postgres_ask(struct mr_pg *pg, const char *sql, int n, const char *const *params,
                               PGresult **out, struct mr_error *err);

bool mr_postgres_xid_before(const char *a, const char *b);
/* Transaction numbers went back: this is not the history that the last run read. */
enum mr_status mr_postgres_check_xid(const struct mr_postgres_incremental *work, const char *now,
                                     struct mr_error *err);
enum mr_status mr_postgres_find_xmin(struct mr_pg *pg, struct mr_arena *arena, const char **out,
                                     struct mr_error *err);

#endif
