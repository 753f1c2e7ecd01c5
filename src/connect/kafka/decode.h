/*
 * decode.h - values of records as rows: what the columns are, and decoders for Avro and CSV (JSON's is that of enc/).
 */
#ifndef MR_CONNECT_KAFKA_DECODE_H
#define MR_CONNECT_KAFKA_DECODE_H

#include "connect/kafka/registry.h"
#include "enc/csv_text.h"
#include "enc/rows.h"

#include "base/tz.h"

enum kafka_format { KAFKA_RAW, KAFKA_JSON, KAFKA_AVRO, KAFKA_CSV }; /* choices of `format` */

/* What values are. */
struct kafka_shape {
    enum kafka_format format;
    const struct mr_schema *columns; /* NULL: only the registry knows */
    const struct mr_avro_document
        *reader; /* AVRO: what is read as; NULL: `columns` of the writer's */
    const struct kafka_registry *registry; /* AVRO: values are framed; NULL: they are plain */
    struct mr_csv_dialect csv;
};

/* The options format, schema, schemaRegistry and those of CSV. Asks nothing. */
enum mr_status kafka_shape_read(struct kafka_shape *shape, const struct mr_options *options,
                                const char *directory, struct mr_arena *arena,
                                struct mr_error *err);
/* Asks the registry, where columns are not known yet: the latest schema of the values of `topic` (NULL: of several topics). */
enum mr_status kafka_shape_ask(struct kafka_shape *shape, struct mr_runtime *runtime,
                               const char *topic, struct mr_arena *arena, struct mr_error *err);

/* Both decoders append to `rows`, or nothing with a fault; rows, shape and runtime outlive them. One thread. */
struct kafka_avro;
enum mr_status kafka_avro_new(const struct kafka_shape *shape, struct mr_runtime *runtime,
                              struct mr_rows *rows, struct kafka_avro **out, struct mr_error *err);
void kafka_avro_free(struct kafka_avro *avro);
/* Asks the registry for a schema that is new, waiting in mr_wait. */
enum mr_status kafka_avro_decode(struct kafka_avro *avro, struct mr_slice value,
                                 struct mr_row_fault *fault, struct mr_error *err);

struct kafka_csv;
/* Column i of the rows is column places[i] of the shape. */
enum mr_status kafka_csv_new(const struct kafka_shape *shape, const int *places,
                             const struct mr_tz *tz, struct mr_rows *rows, struct kafka_csv **out,
                             struct mr_error *err);
void kafka_csv_free(struct kafka_csv *csv);
/* `value` has MR_CSV_PADDING readable bytes behind it. */
enum mr_status kafka_csv_decode(struct kafka_csv *csv, struct mr_slice value,
                                struct mr_row_fault *fault, struct mr_error *err);

#endif
