/*
 * arrow_cdata.h - batches across the Arrow C data and C stream interfaces.
 *
 * Export flattens encodings, packs booleans to bits, widens decimals to 128 bits, and shares every
 * buffer that can be shared. Import takes any ArrowArray whose types map to ours. Source: "The
 * Arrow C data interface", "The Arrow C stream interface" (Apache Arrow, format version 1.0).
 */
#ifndef MR_COL_ARROW_CDATA_H
#define MR_COL_ARROW_CDATA_H

#include "col/batch.h"

struct ArrowSchema;
struct ArrowArray;
struct ArrowArrayStream;

/*
 * As a struct type, deep copy, `out` released by the consumer. UUID: fixed_size_binary(16) with
 * arrow.uuid, JSON: utf8 with arrow.json.
 */
enum mr_status mr_arrow_export_schema(const struct mr_schema *schema, struct ArrowSchema *out,
                                      struct mr_error *err);
/* As a struct array; the selection is applied; holds references until released. */
enum mr_status mr_arrow_export_batch(struct mr_batch *batch, struct ArrowArray *out,
                                     struct mr_error *err);
enum mr_status mr_arrow_import_schema(const struct ArrowSchema *in, struct mr_arena *arena,
                                      const struct mr_schema **out, struct mr_error *err);
/*
 * Copies the array into columns charged to `memory`: foreign buffers have neither our padding nor
 * our account. `in_schema` is what `schema` was imported from. Releases the array, also when it
 * fails.
 */
enum mr_status mr_arrow_import_batch(struct ArrowArray *in, const struct ArrowSchema *in_schema,
                                     const struct mr_schema *schema, struct mr_memory *memory,
                                     struct mr_batch **out, struct mr_error *err);
/* How the rows of one array are cut into batches, and who gets them (with their reference). */
struct mr_arrow_cut {
    int64_t rows;  /* of a batch at most */
    int64_t bytes; /* about so many at most, by the average row of the array */
    enum mr_status (*take)(void *context, struct mr_batch *batch, struct mr_error *err);
    void *context;
};
/*
 * The same as mr_arrow_import_batch in several batches, in order; they share the dictionaries of the
 * array.
 */
enum mr_status mr_arrow_import_slices(struct ArrowArray *in, const struct ArrowSchema *in_schema,
                                      const struct mr_schema *schema, struct mr_memory *memory,
                                      const struct mr_arrow_cut *cut, struct mr_error *err);

#endif
