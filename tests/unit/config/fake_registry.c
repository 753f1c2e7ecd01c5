/*
 * fake_registry.c - option tables of every type, in the shape of the real methods.
 */
#include "fake_registry.h"

#include "ext/format.h"
#include "ext/op.h"
#include "ext/sink.h"
#include "ext/source.h"

#define CONNECTION MR_OPTION_CONNECTION

static const char *const numerics[] = {"decimal(38,18)", "text", "double", NULL};
static const char *const save_modes[] = {"append", "overwrite", "errorifexists", "ignore", NULL};
static const char *const buffers[] = {"memory", "disk", NULL};
static const char *const failures[] = {"fail", "drop", "quarantine", NULL};

static const struct mr_option pool[] = {
    {.name = "maxPoolSize", .type = MR_OPTION_INT},
    {.name = "minPoolSize", .type = MR_OPTION_INT},
    {.name = "initialPoolSize", .type = MR_OPTION_INT},
    {.name = "maxIdleTime", .type = MR_OPTION_DURATION, .unit_micros = 1000000},
    MR_OPTION_END,
};

#define POSTGRES_CONNECTION                                                                        \
    {.name = "host", .type = MR_OPTION_STRING, .flags = CONNECTION},                               \
        {.name = "port",                                                                           \
         .type = MR_OPTION_INT,                                                                    \
         .flags = CONNECTION,                                                                      \
         .minimum = 1,                                                                             \
         .maximum = 65535},                                                                        \
        {.name = "database", .type = MR_OPTION_STRING, .flags = CONNECTION},                       \
        {.name = "username", .aliases = "user", .type = MR_OPTION_STRING, .flags = CONNECTION},    \
        {.name = "sslmode", .type = MR_OPTION_STRING, .flags = CONNECTION},                        \
        {.name = "password", .type = MR_OPTION_STRING, .flags = CONNECTION | MR_OPTION_SECRET},    \
    {                                                                                              \
        .name = "schema", .type = MR_OPTION_STRING, .flags = CONNECTION                            \
    }

static const struct mr_option postgres_options[] = {
    {.name = "table", .aliases = "dbtable", .type = MR_OPTION_STRING},
    {.name = "query", .type = MR_OPTION_STRING},
    {.name = "columns", .type = MR_OPTION_STRINGS},
    {.name = "partitionColumn", .type = MR_OPTION_STRING},
    {.name = "lowerBound", .type = MR_OPTION_STRING},
    {.name = "upperBound", .type = MR_OPTION_STRING},
    {.name = "numPartitions", .type = MR_OPTION_INT, .minimum = 1, .maximum = 10000},
    {.name = "numericAs",
     .type = MR_OPTION_ENUM,
     .choices = numerics,
     .fallback = "decimal(38,18)"},
    {.name = "incremental", .type = MR_OPTION_ANY, .flags = MR_OPTION_UNBUILT},
    {.name = "properties", .type = MR_OPTION_OBJECT, .fields = pool},
    POSTGRES_CONNECTION,
    MR_OPTION_END,
};

static const struct mr_option to_postgres_options[] = {
    {.name = "table", .type = MR_OPTION_STRING, .flags = MR_OPTION_REQUIRED},
    {.name = "mode", .type = MR_OPTION_ENUM, .choices = save_modes, .fallback = "append"},
    {.name = "batchSize",
     .type = MR_OPTION_INT,
     .fallback = "10000",
     .minimum = 1,
     .maximum = 1000000},
    POSTGRES_CONNECTION,
    MR_OPTION_END,
};

static const struct mr_option file_options[] = {
    {.name = "bucket", .type = MR_OPTION_STRING},
    {.name = "path", .type = MR_OPTION_STRING, .flags = MR_OPTION_REQUIRED},
    {.name = "format", .type = MR_OPTION_STRING, .fallback = "parquet"},
    {.name = "partitionBy", .type = MR_OPTION_STRINGS},
    {.name = "mode", .type = MR_OPTION_ENUM, .choices = save_modes, .fallback = "append"},
    {.name = "targetFileSize", .type = MR_OPTION_SIZE, .fallback = "256MB"},
    {.name = "multipartSize", .type = MR_OPTION_SIZE},
    {.name = "multipartThreshold", .type = MR_OPTION_SIZE},
    {.name = "uploadThreads", .type = MR_OPTION_INT},
    {.name = "maxConnections", .type = MR_OPTION_INT},
    {.name = "uploadBuffer", .type = MR_OPTION_ENUM, .choices = buffers},
    {.name = "bucketMap", .type = MR_OPTION_PAIRS, .flags = CONNECTION},
    {.name = "accessKey", .type = MR_OPTION_STRING, .flags = CONNECTION | MR_OPTION_SECRET},
    MR_OPTION_END,
};

static const struct mr_option kafka_options[] = {
    {.name = "topic", .type = MR_OPTION_STRING, .flags = MR_OPTION_REQUIRED},
    {.name = "bootstrap.servers",
     .aliases = "kafka.bootstrap.servers,bootstrapServers",
     .type = MR_OPTION_STRINGS,
     .flags = CONNECTION},
    {.name = "kafka.", .type = MR_OPTION_PAIRS, .flags = MR_OPTION_PREFIX},
    MR_OPTION_END,
};

static const struct mr_option condition_options[] = {
    {.name = "condition",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_EXPRESSION},
    MR_OPTION_END,
};

static const struct mr_option select_options[] = {
    {.name = "columns",
     .type = MR_OPTION_PAIRS,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_EXPRESSION | MR_OPTION_OR_LIST},
    MR_OPTION_END,
};

static const struct mr_option distinct_options[] = {
    {.name = "distinct", .type = MR_OPTION_BOOL, .fallback = "false"},
    MR_OPTION_END,
};

static const struct mr_option range_fields[] = {
    {.name = "min", .type = MR_OPTION_STRING},
    {.name = "max", .type = MR_OPTION_STRING},
    MR_OPTION_END,
};

static const struct mr_option quarantine_fields[] = {
    {.name = "path", .type = MR_OPTION_STRING, .flags = MR_OPTION_REQUIRED},
    {.name = "format", .type = MR_OPTION_STRING, .fallback = "parquet"},
    MR_OPTION_END,
};

static const struct mr_option range_options[] = {
    {.name = "ranges",
     .type = MR_OPTION_NAMED_OBJECTS,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_OR_LIST,
     .fields = range_fields},
    {.name = "onFailure", .type = MR_OPTION_ENUM, .choices = failures, .fallback = "fail"},
    {.name = "quarantine", .type = MR_OPTION_OBJECT, .fields = quarantine_fields},
    MR_OPTION_END,
};

static const struct mr_option column_fields[] = {
    {.name = "name", .type = MR_OPTION_STRING, .flags = MR_OPTION_REQUIRED},
    {.name = "nullable", .type = MR_OPTION_BOOL, .fallback = "true"},
    MR_OPTION_END,
};

static const struct mr_option schema_options[] = {
    {.name = "expectedColumns",
     .type = MR_OPTION_OBJECTS,
     .flags = MR_OPTION_REQUIRED,
     .fields = column_fields},
    MR_OPTION_END,
};

static const struct mr_option reference_options[] = {
    {.name = "foreignKey", .type = MR_OPTION_STRING, .flags = MR_OPTION_REQUIRED},
    MR_OPTION_END,
};

static const struct mr_source postgres = {.name = "fromPostgres",
                                          .doc = "Rows of a table.",
                                          .system = "postgres",
                                          .options = postgres_options};
static const struct mr_sink to_postgres = {.name = "toPostgres",
                                           .system = "postgres",
                                           .options = to_postgres_options};
static const struct mr_sink files = {.name = "files",
                                     .doc = "Writes files.",
                                     .system = "s3",
                                     .options = file_options};
static const struct mr_sink kafka = {.name = "toKafka",
                                     .system = "kafka",
                                     .options = kafka_options};
static const struct mr_op filter = {.name = "filterRows",
                                    .options = condition_options,
                                    .min_inputs = 1,
                                    .max_inputs = 1};
static const struct mr_op select_op = {.name = "selectColumns",
                                       .options = select_options,
                                       .min_inputs = 1,
                                       .max_inputs = 1};
static const struct mr_op unite = {.name = "union",
                                   .options = distinct_options,
                                   .min_inputs = 2,
                                   .max_inputs = 99};
static const struct mr_op ranges = {.name = "validateRanges",
                                    .options = range_options,
                                    .min_inputs = 1,
                                    .max_inputs = 1};
static const struct mr_op schema = {.name = "validateSchema",
                                    .options = schema_options,
                                    .min_inputs = 1,
                                    .max_inputs = 1};
static const struct mr_op reference = {.name = "reference",
                                       .options = reference_options,
                                       .min_inputs = 2,
                                       .max_inputs = 2};

static const char *const avro_presets[] = {"format", "avro", NULL};

static const struct mr_method methods[] = {
    {.name = "fromPostgres", .type = MR_STEP_EXTRACT, .source = &postgres},
    {.name = "fromMySQL", .type = MR_STEP_EXTRACT, .unbuilt = "there is no MySQL client"},
    {.name = "filterRows", .aliases = "filter", .type = MR_STEP_TRANSFORM, .op = &filter},
    {.name = "selectColumns", .type = MR_STEP_TRANSFORM, .op = &select_op},
    {.name = "unionDataFrames", .type = MR_STEP_TRANSFORM, .op = &unite},
    {.name = "validateRanges", .type = MR_STEP_VALIDATE, .op = &ranges},
    {.name = "validateSchema", .type = MR_STEP_VALIDATE, .op = &schema},
    {.name = "validateReferentialIntegrity", .type = MR_STEP_VALIDATE, .op = &reference},
    {.name = "toPostgres", .type = MR_STEP_LOAD, .sink = &to_postgres},
    {.name = "toS3", .type = MR_STEP_LOAD, .sink = &files},
    {.name = "toAvro", .type = MR_STEP_LOAD, .sink = &files, .presets = avro_presets},
    {.name = "toKafka", .type = MR_STEP_LOAD, .sink = &kafka},
    {.name = NULL},
};

static const struct mr_store *const stores[] = {NULL};
static const struct mr_format *const formats[] = {NULL};
static const struct mr_codec *const codecs[] = {NULL};

const struct mr_registry fake_registry = {methods, stores, formats, codecs};
