/*
 * pack.h - a batch as one run of bytes and back, for temporary files of this process.
 *
 * The bytes are those of the columns' buffers, each aligned to 64 bytes, so that unpacking copies
 * nothing. They are valid on the machine and for the version that made them only; they carry no
 * checksum. Unpacking stays inside of the bytes, but does not look at values: mr_column_check does.
 */
#ifndef MR_COL_PACK_H
#define MR_COL_PACK_H

#include "base/bytes.h"
#include "col/batch.h"

/* Appends the batch (no selection; row kinds are dropped) to `out`, which must be empty. */
enum mr_status mr_batch_pack(const struct mr_batch *batch, struct mr_bytes *out,
                             struct mr_error *err);
/*
 * A batch over the bytes in `packed`, which it shares and keeps. `rows` and the schema are those of
 * the batch that was packed.
 */
enum mr_status mr_batch_unpack(const struct mr_schema *schema, int64_t rows,
                               struct mr_buffer *packed, struct mr_batch **out,
                               struct mr_error *err);

#endif
