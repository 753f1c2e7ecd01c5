/*
 * avro_decode.h - Avro data -> columns, by the rules of schema resolution.
 *
 * What is written by one schema and wanted by another is worked out once, into a plan; decoding follows the plan and looks at no
 * schema. A plan is immutable and may be used by many threads, each with a decoder of its own.
 */
#ifndef MR_ENC_AVRO_DECODE_H
#define MR_ENC_AVRO_DECODE_H

#include "col/builder.h"
#include "enc/avro_schema.h"
#include "enc/rows.h"

struct mr_avro_plan;
struct mr_avro_decoder;

struct mr_avro_resolution {
    const struct mr_avro_document *writer;
    const struct mr_avro_document *reader; /* NULL: the writer's */
    /*
     * Columns that come out, found by name among the reader's fields (exactly, then ignoring ASCII case). A column may be
     * wider than its field (integers, int to double, float to double, decimals that lose nothing, date to timestamp_ntz). One
     * that the reader lacks is NULL. NULL: as mr_avro_columns says.
     */
    const struct mr_schema *columns;
    /*
     * Data of columns, which know no enum and no fixed: a string may become an enum or a uuid, bytes a fixed or a decimal, where the
     * value fits.
     */
    bool lenient;
    /* Fields of the reader that no column wants need no value. */
    bool partial;
};

/* The plan lives in the arena. MR_CONFIG names the field that cannot be resolved. */
enum mr_status mr_avro_resolve(struct mr_arena *arena, const struct mr_avro_resolution *resolution,
                               const struct mr_avro_plan **out, struct mr_error *err);
const struct mr_schema *mr_avro_plan_columns(const struct mr_avro_plan *plan);
/* Rows take no bytes at all: the caller bounds their number. */
bool mr_avro_plan_empty_rows(const struct mr_avro_plan *plan);

/* Columns are charged to `memory`. */
enum mr_status mr_avro_decoder_new(const struct mr_avro_plan *plan, struct mr_memory *memory,
                                   struct mr_avro_decoder **out, struct mr_error *err);
void mr_avro_decoder_free(struct mr_avro_decoder *decoder);
/*
 * Appends up to `rows` rows from the start of `data`, fewer once they took `most` bytes; *used bytes were read, *done rows made.
 * MR_SOURCE: the data are damaged, or a value does not fit its column; the decoder is then good for nothing but free.
 */
enum mr_status mr_avro_decode(struct mr_avro_decoder *decoder, struct mr_slice data, int64_t rows,
                              size_t most, size_t *used, int64_t *done, struct mr_error *err);
/*
 * For messages, of which each may have a writer's schema of its own: a decoder that appends to rows made elsewhere, whose columns are those of the plan.
 * Several may append to the same ones in turn; `rows` outlives them, finishes them and stays where it is.
 */
enum mr_status mr_avro_decoder_onto(const struct mr_avro_plan *plan, struct mr_rows *rows,
                                    struct mr_avro_decoder **out, struct mr_error *err);
/* Appends the row that is all of `data`, or nothing and says what is wrong with it. The status is about memory. */
enum mr_status mr_avro_decode_row(struct mr_avro_decoder *decoder, struct mr_slice data,
                                  struct mr_row_fault *fault, struct mr_error *err);
/* Rows since the last finish. */
int64_t mr_avro_decoder_rows(const struct mr_avro_decoder *decoder);
/* `columns` has room for one a column of the plan. The decoder is empty afterwards. */
enum mr_status mr_avro_decoder_finish(struct mr_avro_decoder *decoder, struct mr_column **columns,
                                      struct mr_error *err);

#endif
