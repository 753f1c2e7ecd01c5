/*
 * target.h - the table that rows are about to be written to: is its schema theirs, can it become so,
 * and what has to be done to them?
 */
#ifndef MR_CONNECT_DELTA_TARGET_H
#define MR_CONNECT_DELTA_TARGET_H

#include "connect/delta/table.h"

struct delta_target_request {
    const struct mr_options *options;      /* partitionBy, mergeSchema, overwriteSchema */
    const struct delta_snapshot *snapshot; /* NULL: there is no table yet */
    const struct mr_schema *schema;        /* of the rows */
    bool overwrite;                        /* all rows of the table go: its schema may go too */
    const char *table;                     /* for messages */
};

struct delta_target {
    const char *table; /* for messages */
    const struct delta_snapshot *snapshot;
    const struct delta_metadata *metadata; /* that the rows are written under */
    bool new_metadata;                     /* it differs from the snapshot's: to be committed */
    const struct delta_protocol *protocol; /* to be committed, or NULL */
};

/*
 * MR_CONFIG: columns that the table lacks (hint mergeSchema), columns that lack and may not be NULL,
 * types that would lose something, another partitioning.
 */
enum mr_status delta_target_resolve(const struct delta_target_request *request,
                                    struct mr_arena *arena, struct delta_target *out,
                                    struct mr_error *err);
/*
 * One SQL expression for each column of the table, over the rows' columns. *same: the rows are what
 * the table wants as they are.
 */
enum mr_status delta_target_project(const struct delta_target *target,
                                    const struct mr_schema *schema, struct mr_arena *arena,
                                    const char *const **expressions, bool *same,
                                    struct mr_error *err);
/* Does every value of a type have one of the other type, without loss? */
bool delta_type_fits(const struct mr_type *from, const struct mr_type *to);
/* A column's name between backticks; NULL of a type, as an expression. NULL: out of memory. */
char *delta_quoted_name(const char *name, struct mr_arena *arena);
char *delta_null_of(const struct mr_type *type, struct mr_arena *arena);
/* A random UUID. */
void delta_random_uuid(char out[40]);

#endif
