/*
 * meta.h - what the footer of a file says: schema elements, row groups, column chunks.
 */
#ifndef MR_FORMAT_PARQUET_META_H
#define MR_FORMAT_PARQUET_META_H

#include "base/arena.h"
#include "ext/format.h"
#include "format/parquet/thrift_read.h"

/* Parquet's Type, all of them (leaf.h has those that are written). */
enum mr_pq_type {
    MR_PQ_T_BOOLEAN,
    MR_PQ_T_INT32,
    MR_PQ_T_INT64,
    MR_PQ_T_INT96,
    MR_PQ_T_FLOAT,
    MR_PQ_T_DOUBLE,
    MR_PQ_T_BYTE_ARRAY,
    MR_PQ_T_FIXED,
};

enum mr_pq_repetition { MR_PQ_REQUIRED, MR_PQ_OPTIONAL, MR_PQ_REPEATED };

/* What a value means: LogicalType, or the ConvertedType where there is none. */
enum mr_pq_logical {
    MR_PQ_L_NONE,
    MR_PQ_L_STRING,
    MR_PQ_L_MAP,
    MR_PQ_L_LIST,
    MR_PQ_L_ENUM,
    MR_PQ_L_DECIMAL,
    MR_PQ_L_DATE,
    MR_PQ_L_TIME,
    MR_PQ_L_TIMESTAMP,
    MR_PQ_L_INTERVAL,
    MR_PQ_L_INTEGER,
    MR_PQ_L_UNKNOWN,
    MR_PQ_L_JSON,
    MR_PQ_L_BSON,
    MR_PQ_L_UUID,
    MR_PQ_L_FLOAT16,
    MR_PQ_L_VARIANT,
    MR_PQ_L_GEOMETRY,
    MR_PQ_L_GEOGRAPHY,
    MR_PQ_L_MAP_KEY_VALUE,
};

enum mr_pq_unit { MR_PQ_MILLIS, MR_PQ_MICROS, MR_PQ_NANOS };

struct mr_pq_element {
    const char *name;
    int type; /* enum mr_pq_type, -1 = a group */
    int length;
    int repetition;
    int nchildren;
    int id; /* field_id, 0 = none */
    enum mr_pq_logical logical;
    enum mr_pq_unit unit;
    bool utc;
    bool is_signed;
    int bits;
    int scale;
    int precision;
};

/* Bounds as they lie in the footer; data NULL = absent. */
struct mr_pq_statistics {
    struct mr_slice minimum;
    struct mr_slice maximum;
    struct mr_slice old_minimum; /* deprecated fields, signed order */
    struct mr_slice old_maximum;
    int64_t nulls; /* -1 = unknown */
    int64_t nans;  /* -1 = unknown */
};

struct mr_pq_column {
    int type;
    int codec;
    int64_t values;
    int64_t offset; /* of the first page, the dictionary's if there is one */
    int64_t size;   /* bytes of all pages */
    int64_t uncompressed;
    bool elsewhere; /* its bytes are in another file */
    bool encrypted;
    int64_t column_index_offset;
    int64_t column_index_size;
    int64_t offset_index_offset;
    int64_t offset_index_size;
    int64_t bloom_offset;
    int64_t bloom_size; /* -1 = unknown */
    struct mr_pq_statistics statistics;
};

struct mr_pq_group {
    int64_t rows;
    int64_t first_row; /* in the file */
    int64_t offset;    /* of its first byte */
    struct mr_pq_column *columns;
};

struct mr_pq_file {
    const char *name;
    int64_t size;
    int nelements;
    struct mr_pq_element *elements; /* [0] is the root */
    int nleaves;                    /* columns of every row group */
    int64_t rows;
    int ngroups;
    struct mr_pq_group *groups;
    const char *created_by; /* "" = not said */
    int norders;
    const uint8_t *orders; /* per leaf: 1 = TYPE_ORDER, 2 = another or unknown */
};

/* Reads and parses the footer. All of it lives in the arena. Class data when it is not a Parquet file. */
enum mr_status mr_pq_file_read(struct mr_byte_source *source, struct mr_arena *arena,
                               struct mr_pq_file *out, struct mr_error *err);
/* The same from the bytes of a FileMetaData, which must outlive `out`. */
enum mr_status mr_pq_file_parse(const void *data, size_t size, struct mr_arena *arena,
                                struct mr_pq_file *out, struct mr_error *err);

#endif
