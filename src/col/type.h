/*
 * type.h - the types a value can have, and schemas.
 *
 * Types and schemas are immutable and live in an arena (the plan's): "const struct mr_type *" is
 * never freed by who holds it, and every batch dies before the plan that made its schema. Types
 * without parameters are static constants. Two types are the same if mr_type_equal says so, never
 * by address.
 */
#ifndef MR_COL_TYPE_H
#define MR_COL_TYPE_H

#include "base/arena.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum mr_type_id {
    MR_TYPE_NULL, /* only NULLs; no values buffer */
    MR_TYPE_BOOL, /* one byte a value, 0 or 1 (packed to bits at the Arrow border) */
    MR_TYPE_INT8,
    MR_TYPE_INT16,
    MR_TYPE_INT32,
    MR_TYPE_INT64,
    MR_TYPE_FLOAT32,
    MR_TYPE_FLOAT64,
    MR_TYPE_DECIMAL, /* precision <= 18: int64; else int128; unscaled */
    MR_TYPE_DATE,    /* int32 days since 1970-01-01 */
    MR_TYPE_TIME,    /* int64 microseconds since midnight */
    /* int64 microseconds since the epoch, an instant (Spark TIMESTAMP, timestamptz) */
    MR_TYPE_TIMESTAMP,
    MR_TYPE_TIMESTAMP_NTZ, /* int64 microseconds, local fields without a zone */
    MR_TYPE_INTERVAL,      /* struct mr_interval */
    MR_TYPE_STRING,        /* UTF-8, int32 offsets */
    MR_TYPE_BINARY,
    MR_TYPE_JSON, /* a JSON text; handled as STRING everywhere but in file schemas */
    MR_TYPE_UUID, /* 16 bytes, network order */
    MR_TYPE_LIST,
    MR_TYPE_STRUCT,
    MR_TYPE_MAP, /* a list of struct<key, value>; keys are never NULL */
};

struct mr_interval {
    int32_t months;
    int32_t days;
    int64_t micros;
};

/* How values lie in memory; kernels are written per layout. */
enum mr_layout {
    MR_LAYOUT_NONE, /* NULL type */
    MR_LAYOUT_I8,   /* BOOL as well */
    MR_LAYOUT_I16,
    MR_LAYOUT_I32,
    MR_LAYOUT_I64,
    MR_LAYOUT_I128,
    MR_LAYOUT_F32,
    MR_LAYOUT_F64,
    MR_LAYOUT_FIXED16, /* UUID and INTERVAL */
    MR_LAYOUT_BYTES,   /* int32 offsets (rows + 1) and data */
    MR_LAYOUT_LIST,    /* int32 offsets (rows + 1) and one child; MAP too (child = struct) */
    MR_LAYOUT_STRUCT,  /* children of the same length */
};

struct mr_field;

struct mr_type {
    enum mr_type_id id;
    int precision; /* DECIMAL */
    int scale;     /* DECIMAL */
    int nfields;   /* LIST 1 ("element"), MAP 2 ("key", "value"), STRUCT n */
    const struct mr_field *fields;
};

struct mr_field {
    const char *name;
    const struct mr_type *type;
    bool nullable;
    const char *origin; /* the type's name at the source ("numeric(12,2)"), or NULL */
    int id;             /* number of the field in a file's schema (Parquet field_id), 0 = none */
};

struct mr_schema {
    int nfields;
    const struct mr_field *fields;
};

/* The constants, for ids without parameters; asserts on DECIMAL, LIST, STRUCT, MAP. */
const struct mr_type *mr_type_of(enum mr_type_id id);
/* NULL when the arena is out of memory. 1 <= precision <= 38, 0 <= scale <= precision. */
const struct mr_type *mr_type_decimal(struct mr_arena *arena, int precision, int scale);
const struct mr_type *mr_type_list(struct mr_arena *arena, const struct mr_type *element,
                                   bool element_nullable);
const struct mr_type *mr_type_map(struct mr_arena *arena, const struct mr_type *key,
                                  const struct mr_type *value, bool value_nullable);
/* Copies the fields and their names. */
const struct mr_type *mr_type_struct(struct mr_arena *arena, const struct mr_field *fields,
                                     int nfields);
/* The struct<key, value> of a map: the type of a map column's one child. */
const struct mr_type *mr_type_map_entry(const struct mr_type *type);
/* Type of child column i: the element, the field, or the entry of a map. */
const struct mr_type *mr_type_child(const struct mr_type *type, int i);
/* Deep copy into another arena. */
const struct mr_type *mr_type_copy(struct mr_arena *arena, const struct mr_type *type);

/* Names of struct fields count; nullability and origin do not. */
bool mr_type_equal(const struct mr_type *a, const struct mr_type *b);
enum mr_layout mr_type_layout(const struct mr_type *type);
/*
 * Bytes of one value in the values buffer: 0 for NONE, STRUCT; 4 (the offset) for BYTES and LIST.
 */
int mr_layout_width(enum mr_layout layout);
bool mr_type_is_numeric(const struct mr_type *type); /* INT*, FLOAT*, DECIMAL */
bool mr_type_is_integer(const struct mr_type *type);
int mr_type_integer_bits(const struct mr_type *type); /* 0 = not INT* */
bool mr_type_is_string(const struct mr_type *type);   /* STRING, JSON */
bool mr_type_is_nested(const struct mr_type *type);

/*
 * Spark's spelling: "int", "decimal(12,2)", "array<string>", "struct<a:int,b:string>",
 * "timestamp_ntz".
 */
void mr_type_format(const struct mr_type *type, struct mr_bytes *out);
/* The same into a buffer, cut when too long; returns out. */
const char *mr_type_text(const struct mr_type *type, char *out, size_t capacity);
/*
 * Reads Spark and SQL type names (case-insensitive): int/integer, long/bigint, short/smallint,
 * byte/tinyint, float/real, double, boolean, string/text/varchar(n)/char(n), binary, date,
 * timestamp, timestamp_ntz, decimal/numeric[(p[,s])] (10,0 when bare), array<..>, map<..,..>,
 * struct<name[:]type,..>, uuid, json, time, interval. MR_CONFIG with the position otherwise;
 * nesting at most 64.
 */
enum mr_status mr_type_parse(struct mr_arena *arena, const char *text, const struct mr_type **out,
                             struct mr_error *err);
/* "id BIGINT, ts TIMESTAMP NOT NULL", or the same as "struct<id:bigint,..>", -> schema. */
enum mr_status mr_schema_parse(struct mr_arena *arena, const char *text,
                               const struct mr_schema **out, struct mr_error *err);

/* Copies fields (names and types are copied too). */
const struct mr_schema *mr_schema_new(struct mr_arena *arena, const struct mr_field *fields,
                                      int nfields);
/* Index of a column: exact name first, else ASCII case ignored; -1 absent, -2 ambiguous. */
int mr_schema_find(const struct mr_schema *schema, const char *name);
bool mr_schema_equal(const struct mr_schema *a, const struct mr_schema *b);
/* Sets err to MR_CONFIG "no column X" with the nearest name and the list of columns as the hint. */
enum mr_status mr_schema_unknown_column(const struct mr_schema *schema, const char *name,
                                        struct mr_error *err);
void mr_schema_format(const struct mr_schema *schema, struct mr_bytes *out);

#endif
