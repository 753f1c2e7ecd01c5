/*
 * copy_decode.h - the binary COPY format to columns, without a connection.
 *
 * Source: PostgreSQL manual, COPY, "Binary Format". A decoder belongs to one thread.
 */
#ifndef MR_CONNECT_POSTGRES_COPY_DECODE_H
#define MR_CONNECT_POSTGRES_COPY_DECODE_H

#include "col/batch.h"
#include "col/builder.h"

enum mr_copy_kind {
    MR_COPY_BOOL,
    MR_COPY_INT2,
    MR_COPY_INT4,
    MR_COPY_INT8,
    MR_COPY_FLOAT4,
    MR_COPY_FLOAT8,
    MR_COPY_NUMERIC,        /* to DECIMAL */
    MR_COPY_NUMERIC_TEXT,   /* to STRING, as Postgres prints it */
    MR_COPY_NUMERIC_DOUBLE, /* to FLOAT64, nearest */
    MR_COPY_TEXT,  /* STRING or JSON: the bytes as they come; the server promises client_encoding */
    MR_COPY_JSONB, /* a version byte, then the text */
    MR_COPY_BYTEA,
    MR_COPY_DATE,
    MR_COPY_TIME,
    MR_COPY_TIMESTAMP, /* with and without time zone */
    MR_COPY_INTERVAL,
    MR_COPY_UUID,
    MR_COPY_ARRAY, /* one dimension; `element` says of what */
};

/* How one column comes and what becomes of it. */
struct mr_copy_field {
    const char *name;
    enum mr_copy_kind kind;
    const struct mr_type *type;
    bool infinity_null; /* DATE, TIMESTAMP: infinities become NULL instead of an error */
    const struct mr_copy_field *element; /* ARRAY */
};

struct mr_copy_column;

struct mr_copy_decoder {
    const struct mr_copy_field *fields;
    int nfields;
    const char *origin; /* for errors: "table public.users" */
    struct mr_copy_column *columns;
    int64_t rows;     /* in the batch being built */
    int64_t capacity; /* rows that there is room for */
    int64_t bytes;    /* of messages, in the batch being built */
    int64_t total;    /* rows in earlier batches: for row numbers in errors */
    bool header_seen;
    bool done; /* the trailer came */
    struct mr_error *err;
};

/* `fields` and `origin` are borrowed. */
enum mr_status mr_copy_decoder_init(struct mr_copy_decoder *decoder, struct mr_memory *memory,
                                    const struct mr_copy_field *fields, int nfields,
                                    const char *origin, struct mr_error *err);
void mr_copy_decoder_reset(struct mr_copy_decoder *decoder);
/* Room for a batch of `rows` rows. Once per batch, before its first message. */
enum mr_status mr_copy_decoder_begin(struct mr_copy_decoder *decoder, int64_t rows,
                                     struct mr_error *err);
/*
 * One message: any number of whole tuples, perhaps behind the header, perhaps before the trailer. A value that has no place in
 * its column is a data error naming table, column and row; bytes that are not this format are MR_SOURCE too.
 */
enum mr_status mr_copy_decoder_message(struct mr_copy_decoder *decoder, const void *data,
                                       size_t size, struct mr_error *err);
/* The rows so far as a batch of `schema` (one field per decoder field); the decoder is ready for begin. */
enum mr_status mr_copy_decoder_finish(struct mr_copy_decoder *decoder,
                                      const struct mr_schema *schema, struct mr_batch **out,
                                      struct mr_error *err);

#endif
