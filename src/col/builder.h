/*
 * builder.h - makes FLAT columns row by row or in bulk.
 *
 * A builder belongs to one thread. Its buffers are charged to `memory` as they grow. The fields are
 * public so that decoders can write into `values` and `data` directly between mr_builder_reserve
 * and their own count.
 */
#ifndef MR_COL_BUILDER_H
#define MR_COL_BUILDER_H

#include "col/column.h"

struct mr_builder {
    struct mr_memory *memory;
    const struct mr_type *type;
    enum mr_layout layout;
    int width;      /* bytes of a value in `values` */
    int64_t length; /* rows so far */
    int64_t nulls;
    int64_t capacity;           /* rows that `values` and `validity` have room for */
    struct mr_buffer *validity; /* made at the first NULL; bits of all earlier rows set then */
    struct mr_buffer *values;
    struct mr_buffer *data; /* BYTES */
    int nchildren;
    struct mr_builder *children; /* LIST 1, MAP 1 (struct), STRUCT n */
};

/* Empty, no storage yet. */
enum mr_status mr_builder_init(struct mr_builder *builder, struct mr_memory *memory,
                               const struct mr_type *type, struct mr_error *err);
void mr_builder_reset(struct mr_builder *builder);
/*
 * Room for `rows` more rows and `bytes` more data bytes (BYTES). More than 2^31-1 data bytes is
 * MR_LIMIT.
 */
enum mr_status mr_builder_reserve(struct mr_builder *builder, int64_t rows, int64_t bytes,
                                  struct mr_error *err);
enum mr_status mr_builder_null(struct mr_builder *builder, struct mr_error *err);
/* For LAYOUT_I8..I64 (narrowed), decimals of up to 18 digits too. */
enum mr_status mr_builder_int(struct mr_builder *builder, int64_t value, struct mr_error *err);
/* DECIMAL of any precision: stored as int64 or int128. */
enum mr_status mr_builder_decimal(struct mr_builder *builder, mr_int128 value,
                                  struct mr_error *err);
enum mr_status mr_builder_double(struct mr_builder *builder, double value, struct mr_error *err);
enum mr_status mr_builder_bytes(struct mr_builder *builder, const void *data, size_t size,
                                struct mr_error *err);
/* UUID and INTERVAL. */
enum mr_status mr_builder_fixed16(struct mr_builder *builder, const void *data,
                                  struct mr_error *err);
/* Ends one list (map, struct): its elements were appended to the children before. */
enum mr_status mr_builder_list(struct mr_builder *builder, struct mr_error *err);
enum mr_status mr_builder_struct(struct mr_builder *builder, struct mr_error *err);
enum mr_status mr_builder_value(struct mr_builder *builder, const struct mr_value *value,
                                struct mr_error *err);
/*
 * Marks the next row NULL, for decoders that write the value slot (offset) themselves and then add
 * to `length`. Needs room reserved. Bits of rows not marked are set already: valid rows need no
 * call.
 */
enum mr_status mr_builder_mark_null(struct mr_builder *builder, struct mr_error *err);
/*
 * Drops the rows from `rows` on (<= length), and what of an unfinished list or struct is in the children. Storage stays.
 */
void mr_builder_truncate(struct mr_builder *builder, int64_t rows);
/*
 * Moves what was built into a column; the builder is empty (also when it fails) and can be used
 * again.
 */
enum mr_status mr_builder_finish(struct mr_builder *builder, struct mr_column **out,
                                 struct mr_error *err);

#endif
