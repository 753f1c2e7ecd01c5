/*
 * avro_schema.h - Avro schemas: parsing, printing, names, canonical form (specification 1.11 and 1.12).
 *
 * A schema is a graph in an arena: a name that is used again is the same node, so a recursive schema is a cycle.
 * Everything is immutable after parsing.
 */
#ifndef MR_ENC_AVRO_SCHEMA_H
#define MR_ENC_AVRO_SCHEMA_H

#include "col/type.h"

enum mr_avro_kind {
    MR_AVRO_NULL,
    MR_AVRO_BOOLEAN,
    MR_AVRO_INT,
    MR_AVRO_LONG,
    MR_AVRO_FLOAT,
    MR_AVRO_DOUBLE,
    MR_AVRO_BYTES,
    MR_AVRO_STRING,
    MR_AVRO_RECORD,
    MR_AVRO_ENUM,
    MR_AVRO_ARRAY,
    MR_AVRO_MAP,
    MR_AVRO_UNION,
    MR_AVRO_FIXED,
};

/* One that does not fit its type (a date on a string) is ignored, as the specification says. */
enum mr_avro_logical {
    MR_AVRO_PLAIN,
    MR_AVRO_DECIMAL,
    MR_AVRO_UUID,
    MR_AVRO_DATE,
    MR_AVRO_TIME_MILLIS,
    MR_AVRO_TIME_MICROS,
    MR_AVRO_TIMESTAMP_MILLIS,
    MR_AVRO_TIMESTAMP_MICROS,
    MR_AVRO_TIMESTAMP_NANOS,
    MR_AVRO_LOCAL_MILLIS,
    MR_AVRO_LOCAL_MICROS,
    MR_AVRO_LOCAL_NANOS,
    MR_AVRO_DURATION,
    MR_AVRO_KEY_VALUES, /* logicalType "map" on an array of records of key and value (as Iceberg) */
};

struct mr_avro_schema;

struct mr_avro_field {
    const char *name;
    const char *const *aliases;
    int naliases;
    const struct mr_avro_schema *schema;
    bool has_default;
    /* The default as Avro data of `schema`; data NULL when the schema gives one that does not fit it. */
    struct mr_slice default_value;
};

struct mr_avro_schema {
    enum mr_avro_kind kind;
    enum mr_avro_logical logical;
    int precision; /* DECIMAL */
    int scale;
    const char *name;           /* RECORD, ENUM, FIXED: the full name, with its namespace */
    const char *const *aliases; /* full names */
    int naliases;
    int size;                     /* FIXED: bytes */
    int count;                    /* fields, symbols, branches; 1 for ARRAY and MAP */
    struct mr_avro_field *fields; /* RECORD */
    const char *const *symbols;   /* ENUM */
    int default_symbol;           /* ENUM, -1 = none */
    /* UNION: branches; ARRAY, MAP: the element */
    const struct mr_avro_schema **branches;
    bool empty; /* its data take no bytes: null, records and fixed of nothing */
    int id;     /* number of the node in its document */
};

struct mr_avro_document {
    const struct mr_avro_schema *root;
    struct mr_slice text; /* as it was given, byte for byte */
    int nodes;
};

/* Nesting of types, of a default's values, and of data that is skipped. */
#define MR_AVRO_MAX_DEPTH 64
#define MR_AVRO_MAX_TEXT  ((size_t)16 << 20)
#define MR_AVRO_MAX_FIXED (1 << 28)

/*
 * Parses a schema. A schema of a file (`strict` false) may break rules that do not change what its data mean: characters of
 * names, defaults that do not fit. MR_CONFIG otherwise, naming the place.
 */
enum mr_status mr_avro_parse(struct mr_arena *arena, struct mr_slice text, bool strict,
                             const struct mr_avro_document **out, struct mr_error *err);

/*
 * The value of an option: JSON text, JSON text in a JSON string, or the path of a file, relative to `directory` (may be NULL).
 * Strict.
 */
enum mr_status mr_avro_load(struct mr_arena *arena, const char *text, const char *directory,
                            const struct mr_avro_document **out, struct mr_error *err);

/* "int", "array", ...; of named types the full name. */
const char *mr_avro_kind_name(enum mr_avro_kind kind);
const char *mr_avro_name(const struct mr_avro_schema *schema);
/* The part behind the last dot. */
const char *mr_avro_short_name(const char *name);
bool mr_avro_name_valid(const char *name);
/* Index of the null branch of a union, -1 = none. */
int mr_avro_null_branch(const struct mr_avro_schema *schema);
/* [null, T], [T, null] or [T]: T. NULL for other unions. */
const struct mr_avro_schema *mr_avro_nullable_of(const struct mr_avro_schema *schema);
/* Parsing Canonical Form, and its CRC-64-AVRO (Rabin) fingerprint. */
void mr_avro_canonical(const struct mr_avro_schema *schema, struct mr_bytes *out);
uint64_t mr_avro_fingerprint(const struct mr_avro_schema *schema, struct mr_error *err);

/* The same row in the option tables of those that read and write files. */
#define MR_AVRO_OPTION_ROWS                                                                        \
    {                                                                                              \
        .name = "avroSchema", .type = MR_OPTION_ANY,                                               \
        .doc =                                                                                     \
            "Avro: the schema as JSON text, or the path of a file that holds it, relative to the " \
            "pipeline file. Written as it stands; in reading, what the file's schema is resolved " \
            "to."                                                                                  \
    }

#endif
