/*
 * resolve.h - what is wanted of a file: fields of a schema found in its tree, and the leaves that this takes.
 */
#ifndef MR_FORMAT_PARQUET_RESOLVE_H
#define MR_FORMAT_PARQUET_RESOLVE_H

#include "format/parquet/convert.h"

/* A wanted value. */
struct mr_pq_want {
    const struct mr_type *type;
    const struct mr_pq_node *node; /* NULL: the file lacks it, all NULL */
    int leaf;                      /* LEAF: which of the leaves; else -1 */
    int levels;                    /* STRUCT, LIST, MAP: leaf whose levels tell */
    int nchildren;                 /* as the node's kind has: STRUCT n, LIST 1, MAP 2 */
    struct mr_pq_want *children;
};

/* A leaf that must be read. */
struct mr_pq_wanted_leaf {
    const struct mr_pq_node *node;
    const struct mr_type *type;
    struct mr_pq_convert convert;
    bool levels_only;
    bool nested;
    int slot_def; /* level from which it has a slot */
};

struct mr_pq_selection {
    struct mr_arena *arena;
    const struct mr_pq_file *file;
    enum mr_resolve resolve;
    bool by_position; /* the schema is the file's own */
    bool floor;       /* times are cut to microseconds */
    int ncolumns;
    struct mr_pq_want *columns; /* one a field of the schema */
    int nleaves;
    struct mr_pq_wanted_leaf *leaves;
};

/* Class data when a column cannot be read as its field's type, or is missing and must not be. */
enum mr_status mr_pq_resolve(struct mr_pq_selection *selection, const struct mr_pq_node *root,
                             const struct mr_schema *schema, struct mr_error *err);

#endif
