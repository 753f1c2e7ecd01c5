/*
 * copy_encode.h - columns to the binary COPY format, without a connection; and which Postgres type takes which of ours.
 *
 * Source: PostgreSQL manual, COPY, "Binary Format"; the binary form of each type is that of its `send` function. An encoder
 * belongs to one thread.
 */
#ifndef MR_CONNECT_POSTGRES_COPY_ENCODE_H
#define MR_CONNECT_POSTGRES_COPY_ENCODE_H

#include "col/batch.h"

/* How the values of one column are written. */
enum mr_copy_form {
    MR_FORM_BOOL,
    MR_FORM_INT2,
    MR_FORM_INT4,
    MR_FORM_INT8,
    MR_FORM_FLOAT4,
    MR_FORM_FLOAT8,
    MR_FORM_NUMERIC,
    MR_FORM_TEXT,  /* text, varchar, bpchar, json, enums: the bytes */
    MR_FORM_JSONB, /* a version byte, then the text */
    MR_FORM_BYTEA,
    MR_FORM_DATE,
    MR_FORM_TIME,
    MR_FORM_TIMESTAMP, /* with and without time zone */
    MR_FORM_INTERVAL,
    MR_FORM_UUID,
    MR_FORM_ARRAY, /* of one dimension */
    /*
     * The type has no form here (inet, ranges, types of users): the staging column is text, and the
     * INSERT out of it casts; not for a COPY straight into the table. Where `element` is set the staging column is text[].
     */
    MR_FORM_CAST,
};

/* A column of the target and how ours gets into it. */
struct mr_copy_target {
    const char *name;
    const char *sql_type; /* "numeric(10,2)", "timestamptz", "mood" */
    uint32_t type; /* oid of the base type, that of a domain resolved; 0 = of a table to be made */
    int32_t typmod;
    const struct mr_type *from; /* ours */
    enum mr_copy_form form;
    int scale;                            /* NUMERIC: fraction digits of ours */
    const struct mr_copy_target *element; /* ARRAY */
};

/*
 * The type of a column of a table that is made for a field: its origin (mr_field.origin) if that is a built-in type
 * which the values came from unchanged, else the nearest that holds every value of ours. Fills everything but the name.
 */
enum mr_status mr_copy_target_new(const struct mr_field *field, struct mr_arena *arena,
                                  struct mr_copy_target *out, struct mr_error *err);
/*
 * The same for a column that exists: `sql_type`, `type`, `typmod` are set by the caller. Widening is allowed, as is a narrower type
 * whose range every value is checked against; MR_SINK, class config, names both types where no value could survive ("text cannot
 * be loaded into integer: cast it before"). A caller who knows that the binary form of a type that is not built in is that of text (an
 * enum, citext) sets `form` to MR_FORM_TEXT before, else to anything else. A text that was read from the very type of the
 * target (its origin says so) gets MR_FORM_CAST. Time stamps with and without zone are taken for each other as UTC.
 */
enum mr_status mr_copy_target_match(const struct mr_field *field, struct mr_arena *arena,
                                    struct mr_copy_target *target, struct mr_error *err);

struct mr_copy_encoder {
    const struct mr_copy_target *targets; /* borrowed, one a column of the batches */
    int ntargets;
    const char *origin; /* for errors: "table public.users" */
    int64_t rows;       /* encoded so far: for row numbers in errors */
};

void mr_copy_encoder_init(struct mr_copy_encoder *encoder, const struct mr_copy_target *targets,
                          int ntargets, const char *origin);
/* What stands in front of the first and behind the last row of a COPY. */
void mr_copy_encode_header(struct mr_bytes *out);
void mr_copy_encode_trailer(struct mr_bytes *out);
/*
 * Appends rows [from, from + count) of a batch (no selection). A value that has no place in its column (range, digits, a NUL byte in
 * a text, invalid UTF-8) is a data error naming table, column and row; `out` is as before then. Room for all rows is reserved at
 * once: MR_LIMIT when that is over the maximum of `out`.
 */
enum mr_status mr_copy_encode_rows(struct mr_copy_encoder *encoder, const struct mr_batch *batch,
                                   int64_t from, int64_t count, struct mr_bytes *out,
                                   struct mr_error *err);

#endif
