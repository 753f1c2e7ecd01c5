/*
 * avro_type.h - columns <-> Avro schemas.
 *
 *     null NULL · boolean BOOL · int INT32 · long INT64 · float FLOAT32 · double FLOAT64 · bytes, fixed BINARY · string, enum STRING
 *     decimal DECIMAL · uuid UUID · date DATE · time-* TIME · timestamp-* TIMESTAMP · local-timestamp-* TIMESTAMP_NTZ
 *     duration INTERVAL · array LIST · map, and array of key and value with logicalType map, MAP · record STRUCT
 *     [null, T] T that may be NULL · [int, long] INT64 · [float, double] FLOAT64
 *     other unions: a struct of member0, member1, .. (null not counted), of which one is not NULL
 */
#ifndef MR_ENC_AVRO_TYPE_H
#define MR_ENC_AVRO_TYPE_H

#include "enc/avro_schema.h"

/*
 * The type of a column that holds such data, and whether NULL may occur. MR_CONFIG: a recursive schema, a decimal of more than 38
 * digits, a map's key that may be null.
 */
enum mr_status mr_avro_type(struct mr_arena *arena, const struct mr_avro_schema *schema,
                            const struct mr_type **out, bool *nullable, struct mr_error *err);
/* A column a field of a record; what is no record is one column "value". */
enum mr_status mr_avro_columns(struct mr_arena *arena, const struct mr_avro_schema *root,
                               const struct mr_schema **out, struct mr_error *err);
/* What a general union is read as: the branch's number among the members, -1 for null. */
int mr_avro_member(const struct mr_avro_schema *schema, int branch);
/* [int, long] and [float, double], null or not: the wider of the two, or NULL. */
const struct mr_avro_schema *mr_avro_number_union(const struct mr_avro_schema *schema);

/*
 * Appends the schema of rows with these columns as JSON. A column that may be NULL is [null, T] with default null. `name` NULL:
 * "topLevelRecord"; `space` (namespace) may be NULL. MR_CONFIG with a hint for a column whose name Avro does not allow.
 */
enum mr_status mr_avro_print(const struct mr_schema *columns, const char *name, const char *space,
                             struct mr_bytes *out, struct mr_error *err);

#endif
