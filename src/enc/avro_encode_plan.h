/*
 * avro_encode_plan.h - private to the encoder: how a column is written.
 */
#ifndef MR_ENC_AVRO_ENCODE_PLAN_H
#define MR_ENC_AVRO_ENCODE_PLAN_H

#include "base/map.h"
#include "enc/avro_encode.h"

enum avro_write {
    AVRO_WRITE_NOTHING, /* null */
    AVRO_WRITE_BOOL,
    AVRO_WRITE_VARINT, /* `low`..`high` is what the type takes */
    AVRO_WRITE_TIMES,  /* varint of the value times `factor` */
    AVRO_WRITE_PARTS,  /* varint of the value divided by `factor`, which must leave nothing */
    AVRO_WRITE_F32,
    AVRO_WRITE_F64,
    AVRO_WRITE_F32_F64,
    AVRO_WRITE_INT_F32,
    AVRO_WRITE_INT_F64,
    AVRO_WRITE_BYTES,
    AVRO_WRITE_RAW, /* binary of exactly `size` bytes */
    AVRO_WRITE_ENUM,
    AVRO_WRITE_DECIMAL,
    AVRO_WRITE_DECIMAL_RAW,
    AVRO_WRITE_UUID_TEXT,
    AVRO_WRITE_UUID_RAW,
    AVRO_WRITE_DURATION,
    AVRO_WRITE_LIST,    /* children: the element */
    AVRO_WRITE_MAP,     /* children: key, value */
    AVRO_WRITE_RECORD,  /* children: fields */
    AVRO_WRITE_MEMBERS, /* children: members, one of which is not NULL */
    AVRO_WRITE_DEFAULT, /* `data`: a field without a column */
};

struct avro_writer {
    enum avro_write op;
    const struct mr_type *type;
    const struct mr_avro_schema *schema;
    const char *path;
    int source;      /* child of the column above (column of the batch) that this writes */
    bool in_union;   /* a branch number comes first */
    bool ranged;     /* low..high must be checked */
    int null_branch; /* -1 = NULL is an error */
    int value_branch;
    int count;
    int size;
    int shift;     /* DECIMAL: digits that the scale gains */
    int *branches; /* MEMBERS: the branch of each */
    int64_t low, high, factor;
    struct avro_writer *children;
    struct mr_map symbols; /* ENUM: number + 1 */
    struct mr_slice data;
    /* the column of the batch at hand */
    enum mr_layout layout;
    enum mr_encoding encoding;
    const uint8_t *validity;
    const uint8_t *values;
    const uint8_t *bytes;
    const int32_t *codes;
};

/* What a column of this type does in a record of that schema. Frees nothing when it fails: see avro_writer_reset. */
struct avro_planner {
    struct mr_arena *arena;
    struct mr_error *err;
};
enum mr_status avro_plan_records(struct avro_planner *planner, const struct mr_avro_schema *schema,
                                 const struct mr_field *columns, int ncolumns, const char *path,
                                 struct avro_writer *out);
void avro_writer_reset(struct avro_writer *writer);

#endif
