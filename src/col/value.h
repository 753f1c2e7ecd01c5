/*
 * value.h - one value outside of a column: literals, bounds, partition values, messages.
 */
#ifndef MR_COL_VALUE_H
#define MR_COL_VALUE_H

#include "base/bytes.h"
#include "base/decimal.h"
#include "col/type.h"

struct mr_column;

struct mr_value {
    const struct mr_type *type;
    bool is_null;
    union {
        /* BOOL, INT*, DATE, TIME, TIMESTAMP*, DECIMAL up to 18 digits is in i128 too */
        int64_t i64;
        mr_int128 i128;        /* DECIMAL */
        double f64;            /* FLOAT32, FLOAT64 */
        struct mr_slice bytes; /* STRING, BINARY, JSON; borrowed */
        uint8_t uuid[16];
        struct mr_interval interval;
        struct { /* LIST, STRUCT, MAP: a row of a column, borrowed */
            const struct mr_column *column;
            int64_t row;
        } nested;
    } u;
};

/* Total order of one type as Spark sorts: NULL first, NaN greatest, -0.0 equal to 0.0. */
int mr_value_compare(const struct mr_value *a, const struct mr_value *b);
/*
 * Text as CAST(x AS STRING) in UTC gives it; NULL as "NULL"; lists [a, b], structs {a, b}, maps {k
 * -> v}.
 */
void mr_value_format(const struct mr_value *value, struct mr_bytes *out);
/* Copies borrowed bytes into the arena; false when it is out of memory. Not for nested values. */
bool mr_value_copy(struct mr_arena *arena, const struct mr_value *value, struct mr_value *out);

#endif
