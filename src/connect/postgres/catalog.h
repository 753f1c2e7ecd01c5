/*
 * catalog.h - what the server's catalogs say of a relation and its columns, and how each type is read.
 */
#ifndef MR_CONNECT_POSTGRES_CATALOG_H
#define MR_CONNECT_POSTGRES_CATALOG_H

#include "connect/postgres/copy_decode.h"
#include "connect/postgres/settings.h"
#include "net/pg_conn.h"

/* Built-in types by object id (pg_type.dat); these never change. */
enum {
    MR_PG_BOOL = 16,
    MR_PG_BYTEA = 17,
    MR_PG_CHAR = 18, /* "char", one byte */
    MR_PG_NAME = 19,
    MR_PG_INT8 = 20,
    MR_PG_INT2 = 21,
    MR_PG_INT4 = 23,
    MR_PG_TEXT = 25,
    MR_PG_JSON = 114,
    MR_PG_FLOAT4 = 700,
    MR_PG_FLOAT8 = 701,
    MR_PG_BPCHAR = 1042,
    MR_PG_VARCHAR = 1043,
    MR_PG_DATE = 1082,
    MR_PG_TIME = 1083,
    MR_PG_TIMESTAMP = 1114,
    MR_PG_TIMESTAMPTZ = 1184,
    MR_PG_INTERVAL = 1186,
    MR_PG_NUMERIC = 1700,
    MR_PG_UUID = 2950,
    MR_PG_JSONB = 3802,
    MR_PG_XID8 = 5069,
};

/* A table, view, foreign table, partition, or a query (oid 0). */
struct mr_postgres_relation {
    uint32_t oid;
    uint32_t filenode; /* changes when the table is rewritten or truncated; 0 = has no storage */
    char kind;         /* pg_class.relkind; 'q' for a query */
    bool
        heap; /* has ctid ranges: an ordinary table or materialised view of the heap access method */
    bool parent; /* other tables inherit from it, or are its partitions */
    const char *schema;
    const char *name;
    const char *from;  /* for SQL: "schema"."name" or the query in parentheses with an alias */
    const char *label; /* for people: schema.name or "query" */
    double rows;       /* pg_class.reltuples, -1 = never counted */
    int64_t heap_bytes;
    int64_t toast_bytes;
    int64_t block_size;
};

struct mr_postgres_column {
    const char *name;
    uint32_t type; /* as the catalog has it, for the check before reading */
    int32_t typmod;
    bool not_null;
    bool deterministic; /* equality of its collation is equality of bytes */
    const char *origin; /* format_type() */
    uint32_t base;      /* below domains */
    int32_t base_typmod;
    bool is_enum;
    bool is_citext;
    const char *cast; /* "", "::text", "::text[]": behind the name in the SELECT list */
    bool by_text;     /* read as text because its type has no place of its own */
    struct mr_copy_field field;
};

/* Finds settings->table, or describes settings->query and gives its columns (*ncolumns, without types resolved). */
enum mr_status mr_postgres_find_relation(struct mr_pg *pg,
                                         const struct mr_postgres_settings *settings,
                                         struct mr_arena *arena,
                                         struct mr_postgres_relation *relation,
                                         struct mr_error *err);
/* All columns of the relation in order, each with its type mapped. */
enum mr_status mr_postgres_read_columns(struct mr_pg *pg,
                                        const struct mr_postgres_settings *settings,
                                        const struct mr_postgres_relation *relation,
                                        struct mr_arena *arena, struct mr_postgres_column **out,
                                        int *ncolumns, struct mr_error *err);
/* The tables that hold the rows of a parent, itself included when it has storage; ordered by name. */
enum mr_status mr_postgres_children(struct mr_pg *pg, const struct mr_postgres_relation *parent,
                                    struct mr_arena *arena, struct mr_postgres_relation **out,
                                    int *count, struct mr_error *err);
/* Sets base, cast, field ... of columns whose name, type and typmod are known (types.c). */
enum mr_status mr_postgres_map_types(struct mr_pg *pg, const struct mr_postgres_settings *settings,
                                     struct mr_arena *arena, struct mr_postgres_column *columns,
                                     int ncolumns, struct mr_error *err);

#endif
