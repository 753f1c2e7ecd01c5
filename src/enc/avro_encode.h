/*
 * avro_encode.h - columns -> Avro data, row by row.
 */
#ifndef MR_ENC_AVRO_ENCODE_H
#define MR_ENC_AVRO_ENCODE_H

#include "col/batch.h"
#include "enc/avro_schema.h"

struct mr_avro_encoder;

/*
 * Rows of `columns` as records of `schema`; both outlive the encoder. A field is written from the column of its name (exactly, then
 * ignoring ASCII case); one without a column from its default, or as null. MR_CONFIG names the column that has no
 * field, the field that has nothing, or the type that does not fit. What fits only for some values (NULL, a long into an int, microseconds
 * into timestamp-millis, a text into an enum) is checked as they come.
 */
enum mr_status mr_avro_encoder_new(const struct mr_avro_document *schema,
                                   const struct mr_schema *columns, struct mr_avro_encoder **out,
                                   struct mr_error *err);
void mr_avro_encoder_free(struct mr_avro_encoder *encoder);
/* The batch whose rows come next; borrowed until the next call. Its selection does not count. */
void mr_avro_encoder_batch(struct mr_avro_encoder *encoder, const struct mr_batch *batch);
/*
 * Appends rows [from, from + count) to `out`, fewer once it is `most` bytes long; *done rows were written. MR_SINK: a value that
 * the schema cannot hold (`out` then ends with the row before).
 */
enum mr_status mr_avro_encode(struct mr_avro_encoder *encoder, int64_t from, int64_t count,
                              size_t most, struct mr_bytes *out, int64_t *done,
                              struct mr_error *err);

#endif
