/*
 * tree.h - the schema of a file as values: columns, structs, lists, maps, and the levels that tell them apart.
 */
#ifndef MR_FORMAT_PARQUET_TREE_H
#define MR_FORMAT_PARQUET_TREE_H

#include "col/type.h"
#include "format/parquet/meta.h"

enum mr_pq_node_kind { MR_PQ_LEAF, MR_PQ_STRUCT, MR_PQ_LIST, MR_PQ_MAP };

struct mr_pq_node {
    enum mr_pq_node_kind kind;
    const char *name;
    const char *path;           /* "a.list.element", for messages */
    int id;                     /* field_id, 0 = none */
    const struct mr_type *type; /* NULL: cannot be read, `refused` (of it or of a child) says why */
    const char *refused;
    const struct mr_pq_element *element;
    bool nullable;
    int rep;         /* repetition levels that its ancestors have */
    int slot_def;    /* definition level from which it is there at all: as a field, as an element */
    int def;         /* from which it is not NULL (slot_def, or 1 more) */
    int element_def; /* LIST, MAP: from which there is an element */
    int leaf;        /* LEAF: number of its column in a row group */
    int nchildren;   /* LIST 1; MAP 2: key and value; STRUCT n */
    struct mr_pq_node *children;
};

/* The columns of a file: children of the root. In the arena. */
enum mr_status mr_pq_tree_make(const struct mr_pq_file *file, struct mr_arena *arena,
                               struct mr_pq_node *root, struct mr_error *err);

#endif
