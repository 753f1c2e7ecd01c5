/*
 * registry.c - the only file that names concrete implementations.
 *
 * A method of the dialect that is not built yet has a row too, so that it is refused by name and
 * with a reason rather than as unknown.
 */
#include "registry.h"

#include "codec/codecs.h"
#include "connect/arrow/arrow.h"
#include "connect/checkpoint/checkpoint.h"
#include "connect/delta/delta.h"
#include "connect/delta/maintain_action.h"
#include "connect/delta/sink.h"
#include "connect/files/files.h"
#include "connect/held/held.h"
#include "connect/kafka/kafka.h"
#include "connect/postgres/postgres.h"
#include "format/avro.h"
#include "format/parquet/parquet.h"
#include "format/text.h"
#include "op/ops.h"
#include "plan/condition.h"
#include "store/local.h"
#include "store/s3/s3.h"

#define NOT_BUILT "it is part of the dialect, but not built in this version"

static const char *const avro[] = {"format", "avro", NULL};

static const struct mr_method methods[] = {
    /* extract */
    {.name = "fromPostgres", .type = MR_STEP_EXTRACT, .source = &mr_source_postgres},
    {.name = "fromKafka", .type = MR_STEP_EXTRACT, .source = &mr_source_kafka},
    {.name = "fromS3", .type = MR_STEP_EXTRACT, .source = &mr_source_files},
    {.name = "fromDeltaLake",
     .aliases = "fromDelta",
     .type = MR_STEP_EXTRACT,
     .source = &mr_source_delta},
    {.name = "fromAvro",
     .type = MR_STEP_EXTRACT,
     .doc = "Reads Avro files.",
     .source = &mr_source_files,
     .presets = avro},
    {.name = "fromFile", .type = MR_STEP_EXTRACT, .source = &mr_source_files},
    {.name = "fromArrow", .type = MR_STEP_EXTRACT, .source = &mr_source_arrow},
    {.name = "fromMySQL", .type = MR_STEP_EXTRACT, .unbuilt = NOT_BUILT},
    /* transform */
    {.name = "filterRows", .type = MR_STEP_TRANSFORM, .op = &mr_op_filter_rows},
    {.name = "enrichData", .type = MR_STEP_TRANSFORM, .op = &mr_op_enrich_data},
    {.name = "selectColumns", .type = MR_STEP_TRANSFORM, .op = &mr_op_select_columns},
    {.name = "dropColumns", .type = MR_STEP_TRANSFORM, .op = &mr_op_drop_columns},
    {.name = "renameColumns", .type = MR_STEP_TRANSFORM, .op = &mr_op_rename_columns},
    {.name = "castColumns", .type = MR_STEP_TRANSFORM, .op = &mr_op_cast_columns},
    {.name = "limitRows", .type = MR_STEP_TRANSFORM, .op = &mr_op_limit_rows},
    {.name = "unionDataFrames", .type = MR_STEP_TRANSFORM, .op = &mr_op_union_data_frames},
    {.name = "repartition", .type = MR_STEP_TRANSFORM, .op = &mr_op_repartition},
    {.name = "coalesce", .type = MR_STEP_TRANSFORM, .op = &mr_op_coalesce},
    {.name = "repartitionByColumns",
     .type = MR_STEP_TRANSFORM,
     .op = &mr_op_repartition_by_columns},
    {.name = "joinDataFrames", .type = MR_STEP_TRANSFORM, .op = &mr_op_join_data_frames},
    {.name = "joinStreams", .type = MR_STEP_TRANSFORM, .op = &mr_op_join_streams},
    {.name = "aggregateData", .type = MR_STEP_TRANSFORM, .op = &mr_op_aggregate_data},
    {.name = "windowColumns", .type = MR_STEP_TRANSFORM, .op = &mr_op_window_columns},
    {.name = "withWatermark", .type = MR_STEP_TRANSFORM, .op = &mr_op_with_watermark},
    {.name = "dropLateRows", .type = MR_STEP_TRANSFORM, .op = &mr_op_drop_late_rows},
    {.name = "reshapeData", .type = MR_STEP_TRANSFORM, .op = &mr_op_reshape_data},
    {.name = "deduplicate", .type = MR_STEP_TRANSFORM, .op = &mr_op_deduplicate},
    {.name = "sortData", .type = MR_STEP_TRANSFORM, .op = &mr_op_sort_data},
    {.name = "checkpoint", .type = MR_STEP_TRANSFORM, .op = &mr_op_checkpoint},
    {.name = "sql", .type = MR_STEP_TRANSFORM, .op = &mr_op_sql},
    {.name = "toAvroSchema", .type = MR_STEP_TRANSFORM, .op = &mr_op_to_avro_schema},
    {.name = "evolveAvroSchema", .type = MR_STEP_TRANSFORM, .op = &mr_op_evolve_avro_schema},
    /* validate */
    {.name = "validateSchema", .type = MR_STEP_VALIDATE, .op = &mr_op_validate_schema},
    {.name = "validateNulls", .type = MR_STEP_VALIDATE, .op = &mr_op_validate_nulls},
    {.name = "validateRanges", .type = MR_STEP_VALIDATE, .op = &mr_op_validate_ranges},
    {.name = "validateReferentialIntegrity",
     .type = MR_STEP_VALIDATE,
     .op = &mr_op_validate_referential_integrity},
    {.name = "validateBusinessRules",
     .type = MR_STEP_VALIDATE,
     .op = &mr_op_validate_business_rules},
    /* load */
    {.name = "toS3", .type = MR_STEP_LOAD, .sink = &mr_sink_files},
    {.name = "toFile", .type = MR_STEP_LOAD, .sink = &mr_sink_files},
    {.name = "toAvro",
     .type = MR_STEP_LOAD,
     .doc = "Writes Avro files: toFile with format avro.",
     .sink = &mr_sink_files,
     .presets = avro},
    {.name = "toDeltaLake", .aliases = "toDelta", .type = MR_STEP_LOAD, .sink = &mr_sink_delta},
    {.name = "toPostgres", .type = MR_STEP_LOAD, .sink = &mr_sink_postgres},
    {.name = "toKafka", .type = MR_STEP_LOAD, .sink = &mr_sink_kafka},
    {.name = "toMySQL", .type = MR_STEP_LOAD, .unbuilt = NOT_BUILT},
    /* maintain */
    {.name = "optimizeDelta", .type = MR_STEP_MAINTAIN, .action = &mr_action_optimize_delta},
    {.name = "vacuumDelta", .type = MR_STEP_MAINTAIN, .action = &mr_action_vacuum_delta},
    {.name = "deleteDelta", .type = MR_STEP_MAINTAIN, .action = &mr_action_delete_delta},
    {.name = "describeDelta", .type = MR_STEP_MAINTAIN, .action = &mr_action_describe_delta},
    {.name = "historyDelta", .type = MR_STEP_MAINTAIN, .action = &mr_action_history_delta},
    {.name = "maintainSql",
     .aliases = "sql",
     .type = MR_STEP_MAINTAIN,
     .action = &mr_action_sql_delta},
    {.name = NULL},
};

static const struct mr_store *const stores[] = {&mr_store_local, &mr_store_s3, NULL};

static const struct mr_format *const formats[] = {&mr_format_parquet, &mr_format_avro,
                                                  &mr_format_json, &mr_format_csv, NULL};

static const struct mr_codec *const codecs[] = {&mr_codec_snappy,
                                                &mr_codec_zstd,
                                                &mr_codec_gzip,
                                                &mr_codec_lz4,
                                                &mr_codec_deflate,
                                                &mr_codec_none,
                                                NULL};

const struct mr_registry mr_registry_builtin = {.methods = methods,
                                                .stores = stores,
                                                .formats = formats,
                                                .codecs = codecs,
                                                .conditions = &mr_plan_conditions,
                                                .holder = &mr_holder_builtin};
