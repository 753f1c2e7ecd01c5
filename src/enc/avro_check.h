/*
 * avro_check.h - can data of one schema be read with another?
 */
#ifndef MR_ENC_AVRO_CHECK_H
#define MR_ENC_AVRO_CHECK_H

#include "enc/avro_schema.h"

struct mr_avro_difference {
    const char *path; /* "orders[].price"; {} are values of a map; "" the schema itself */
    const char *what;
};

#define MR_AVRO_MAX_DIFFERENCES 1000

/*
 * Everything that keeps a reader with `reader` from reading data of `writer`, in the order of the reader's fields; none = it can. In
 * the arena. Stricter than reading itself (avro_decode.h) where other implementations are: names of records count.
 */
enum mr_status mr_avro_check(struct mr_arena *arena, const struct mr_avro_schema *writer,
                             const struct mr_avro_schema *reader,
                             const struct mr_avro_difference **out, int *count,
                             struct mr_error *err);

#endif
