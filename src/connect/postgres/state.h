/*
 * state.h - what a bound fromPostgres step knows, and the parts that work on it.
 */
#ifndef MR_CONNECT_POSTGRES_STATE_H
#define MR_CONNECT_POSTGRES_STATE_H

#include "connect/postgres/catalog.h"
#include "connect/postgres/limits.h"
#include "connect/postgres/server.h"
#include "ext/source.h"

struct mr_postgres_incremental; /* incremental.c */

/* Written by bind, offer and narrow, only read afterwards: readers on any thread share it. */
struct mr_postgres_state {
    struct mr_arena *arena; /* the plan's */
    struct mr_postgres_settings settings;
    struct mr_postgres_limits limits;
    struct mr_runtime *planning; /* of bind; for offer only */
    struct mr_postgres_server *server;
    bool owns_server;
    struct mr_postgres_relation relation;
    struct mr_postgres_column *all; /* every column of the relation */
    int nall;
    struct mr_postgres_column *columns; /* the ones that are read, in the schema's order */
    int ncolumns;
    const struct mr_copy_field *fields; /* of `columns` */
    const struct mr_schema *schema;
    const char *condition; /* what offer took on, as SQL; NULL = nothing */
    char *narrowed;        /* what narrow took on, as SQL (heap); NULL = nothing */
    int64_t limit;         /* -1 = none */
    const char *time_zone; /* sql.timeZone */
    struct mr_postgres_incremental *incremental; /* NULL = all rows in every run */
    uint64_t identity;                           /* hash of the SELECT list with its types */
    int64_t row_bytes;                           /* of a row in COPY, predicted */
};

/* --- sql.c --- */

/* The SELECT of a reader, without COPY. `condition` may be NULL; limit -1 and offset 0 say nothing. */
struct mr_postgres_select {
    const char *from;
    const char *condition;
    int64_t limit;
    int64_t offset;
};
void mr_postgres_write_select(const struct mr_postgres_state *state,
                              const struct mr_postgres_select *select, struct mr_bytes *sql);
/* "WHERE a AND b .." of the user's `where`, what offer and narrow took on, and `condition` (each may be missing). */
void mr_postgres_write_where(const struct mr_postgres_state *state, const char *condition,
                             struct mr_bytes *sql);
/* The planner's guess for a SELECT: rows, bytes of a row, and whether it reads the whole table in physical order. */
struct mr_postgres_estimate {
    double rows;
    int width;
    bool sequential;
};
enum mr_status mr_postgres_estimate(struct mr_pg *pg, const char *select,
                                    struct mr_postgres_estimate *out, struct mr_error *err);

/* --- predicate.c --- */

/* Writes the condition as SQL if it means the same there; the answer says how much of it. Nothing is written when refused. */
enum mr_pushed mr_postgres_write_predicate(const struct mr_postgres_state *state,
                                           const struct mr_predicate *predicate,
                                           const char *time_zone, struct mr_bytes *sql);

/* --- token.c --- */

/* What a split's token holds. Strings are borrowed from the token when read. */
struct mr_postgres_split {
    bool ordered; /* read in physical order: may be reopened in its middle */
    uint32_t oid; /* of the table it reads, 0 = none */
    uint32_t filenode;
    struct mr_slice from;
    struct mr_slice condition; /* empty = none */
    struct mr_slice snapshot;  /* empty = none */
};
enum mr_status mr_postgres_split_write(const struct mr_postgres_split *split,
                                       struct mr_arena *arena, struct mr_slice *token,
                                       struct mr_error *err);
enum mr_status mr_postgres_split_read(struct mr_slice token, struct mr_postgres_split *split,
                                      struct mr_error *err);
void mr_postgres_position_write(struct mr_slice token, int64_t rows, struct mr_bytes *out);
enum mr_status mr_postgres_position_read(struct mr_slice position, struct mr_slice token,
                                         int64_t *rows, struct mr_error *err);

/* --- splits.c --- */

enum mr_status mr_postgres_splits(void *state, struct mr_runtime *runtime, struct mr_arena *arena,
                                  struct mr_split_list *out, struct mr_error *err);

/* --- ranges.c --- */

/* Ranges of a column as conditions, in order; together they hold every row once, NULLs in the first. */
struct mr_postgres_range {
    const char *condition; /* NULL = all rows */
    const char *label;
    double share; /* of the rows, predicted; sums to 1 */
};
struct mr_postgres_ranges {
    struct mr_postgres_range *items;
    int count;
};
/* By bounds, else by the statistics, else by smallest and largest value. At least one range. */
enum mr_status mr_postgres_ranges(struct mr_postgres_state *state, struct mr_pg *pg, int wanted,
                                  struct mr_arena *arena, struct mr_postgres_ranges *out,
                                  struct mr_error *err);
/* Is the column there, and of a type that bounds can be put on? */
enum mr_status mr_postgres_check_partition_column(const struct mr_postgres_state *state,
                                                  struct mr_error *err);

/* --- reader.c --- */

enum mr_status mr_postgres_reader_open(void *state, struct mr_runtime *runtime,
                                       struct mr_slice split, struct mr_slice from, void **reader,
                                       struct mr_error *err);
enum mr_status mr_postgres_reader_next(void *reader, struct mr_item *out, struct mr_error *err);
enum mr_status mr_postgres_reader_position(void *reader, struct mr_bytes *out,
                                           struct mr_error *err);
void mr_postgres_reader_close(void *reader);

#endif
