/*
 * avro_plan.h - private to resolution and decoding: the plan.
 */
#ifndef MR_ENC_AVRO_PLAN_H
#define MR_ENC_AVRO_PLAN_H

#include "base/map.h"
#include "enc/avro_decode.h"

enum avro_op {
    /* bytes that nobody wants */
    AVRO_SKIP_VARINT,
    AVRO_SKIP_RAW, /* `size` bytes, may be 0 */
    AVRO_SKIP_BYTES,
    AVRO_SKIP_LIST, /* children: the element; a map too (`keyed`) */
    AVRO_SKIP_RECORD,
    AVRO_SKIP_UNION,
    /* one value into the builder of `slot` */
    AVRO_NULL,
    AVRO_BOOL,
    AVRO_I32,
    AVRO_I64,
    AVRO_SCALED, /* times `factor` */
    AVRO_NANOS,  /* divided by 1000, which must leave nothing */
    AVRO_VARINT_F32,
    AVRO_VARINT_F64,
    AVRO_VARINT_F32_F64, /* through a float, as the reader's schema says */
    AVRO_VARINT_DECIMAL,
    AVRO_F32,
    AVRO_F64,
    AVRO_F32_F64,
    AVRO_TEXT, /* string: UTF-8 */
    AVRO_BYTES,
    AVRO_RAW, /* `size` bytes as binary */
    AVRO_ENUM,
    AVRO_TEXT_ENUM, /* a string that must be one of the symbols */
    AVRO_BYTES_RAW, /* bytes that must have `size` */
    AVRO_DECIMAL,   /* of bytes */
    AVRO_DECIMAL_RAW,
    AVRO_UUID_TEXT,
    AVRO_UUID_RAW,
    AVRO_DURATION,
    AVRO_LIST, /* children: the element */
    AVRO_MAP,  /* children: the key, the value */
    AVRO_RECORD,
    AVRO_NULLABLE, /* a union of null and children[0] */
    AVRO_UNION,    /* children: a node a branch */
    AVRO_MEMBER,   /* children[0] into one member of a struct, NULL into the others */
    AVRO_DEFAULT,  /* children[0] from `data` */
    AVRO_FAIL,     /* a branch that cannot be resolved, met */
};

struct avro_node {
    enum avro_op op;
    int slot;
    int count;      /* children, symbols */
    int size;       /* bytes of RAW; MEMBER: number of the member */
    int precision;  /* of the column's DECIMAL */
    int shift;      /* DECIMAL: digits that the scale gains */
    int null_index; /* NULLABLE: the branch of null */
    bool narrow;    /* the varint is an int */
    bool not_null;  /* NULL may not come out */
    bool empty;     /* LIST: elements take no bytes */
    bool keyed;     /* SKIP_LIST: a map */
    bool time;      /* SCALED and I64: a time of day, checked */
    int64_t factor;
    const struct avro_node **children;
    const struct mr_slice *symbols; /* ENUM: of the writer's index, data NULL = not the reader's */
    struct mr_slice fallback;       /* TEXT_ENUM: the enum's default */
    struct mr_slice data;
    const char *path; /* "a.b", for messages */
};

struct mr_avro_plan {
    const struct mr_schema *columns;
    const struct avro_node **nodes; /* one after the other make a row */
    int count;
    int slots;
    bool empty_rows;
};

#endif
