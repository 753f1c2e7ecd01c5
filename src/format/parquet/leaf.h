/*
 * leaf.h - how a schema maps to Parquet: its leaf columns, their physical types, and the schema elements.
 */
#ifndef MR_FORMAT_PARQUET_LEAF_H
#define MR_FORMAT_PARQUET_LEAF_H

#include "col/type.h"
#include "format/parquet/thrift.h"

/* Parquet's Type. */
enum mr_pq_physical {
    MR_PQ_BOOLEAN = 0,
    MR_PQ_INT32 = 1,
    MR_PQ_INT64 = 2,
    MR_PQ_FLOAT = 4,
    MR_PQ_DOUBLE = 5,
    MR_PQ_BYTE_ARRAY = 6,
    MR_PQ_FIXED = 7,
};

/* How values compare for bounds; UUID and binary as unsigned bytes. */
enum mr_pq_order {
    MR_PQ_ORDER_NONE,
    MR_PQ_ORDER_BOOL,
    MR_PQ_ORDER_I32,
    MR_PQ_ORDER_I64,
    MR_PQ_ORDER_I128,
    MR_PQ_ORDER_F32,
    MR_PQ_ORDER_F64,
    MR_PQ_ORDER_FIXED16,
    MR_PQ_ORDER_BINARY,
    MR_PQ_ORDER_TEXT,
};

/* What a gather does with a value on its way from the column to the encoder. */
enum mr_pq_source {
    MR_PQ_FROM_SAME,  /* the column's bytes as they lie */
    MR_PQ_FROM_I8,    /* widened to int32 */
    MR_PQ_FROM_I16,   /* widened to int32 */
    MR_PQ_FROM_I64,   /* decimal of at most 9 digits, narrowed to int32 */
    MR_PQ_FROM_PART4, /* 4 bytes of a 16-byte interval, at `part` */
    MR_PQ_FROM_PART8,
    MR_PQ_FROM_BYTES,
};

/* One step from a top-level column down to the leaf. */
struct mr_pq_step {
    bool optional; /* may be NULL here: one definition level */
    enum { MR_PQ_STEP_LEAF, MR_PQ_STEP_CHILD, MR_PQ_STEP_REPEAT } kind;
    int child; /* STEP_CHILD */
};

struct mr_pq_leaf {
    enum mr_pq_physical physical;
    int width; /* FIXED: bytes on disk */
    int value; /* bytes of a value in the encoder: 1 (boolean), 4, 8, 16; 0 = bytes of any length */
    enum mr_pq_order order;
    enum mr_pq_source source;
    int part;   /* offset in an interval */
    int column; /* top-level column */
    const struct mr_type *type;
    int max_def;
    int max_rep;
    int nsteps;
    const struct mr_pq_step *steps;
    int npath;
    const char *const *path; /* names of the schema elements below the root */
};

struct mr_pq_leaves {
    const struct mr_schema *schema;
    int count;
    struct mr_pq_leaf *items; /* in schema order */
};

/* Leaves that a column of this type has. */
int mr_pq_leaf_count(const struct mr_type *type);
/* Refuses, naming the column, what Parquet cannot hold: a struct without fields, nesting over 32 levels. */
enum mr_status mr_pq_leaves_make(struct mr_arena *arena, const struct mr_schema *schema,
                                 struct mr_pq_leaves *out, struct mr_error *err);
/* Writes FileMetaData.schema (field 2): the root and all elements, depth first. */
void mr_pq_schema_write(struct mr_thrift *thrift, const struct mr_pq_leaves *leaves);

#endif
