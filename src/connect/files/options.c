/*
 * options.c - the keys of toS3 and toFile.
 */
#include "connect/files/files_private.h"
#include "dataset/store_options.h"
#include "enc/avro_schema.h"
#include "enc/csv_text.h"

#include <limits.h>

static const char *const formats[] = {"parquet", "json", "csv", "avro", "orc", NULL};
static const char *const compressions[] = {"snappy",    "gzip", "lz4",          "zstd", "deflate",
                                           "zstandard", "none", "uncompressed", NULL};
static const char *const modes[] = {"append", "overwrite", "errorifexists", "ignore", NULL};
static const char *const overwrites[] = {"dynamic", "static", NULL};

const struct mr_option files_options[] = {
    MR_LOCATION_OPTION_ROWS,
    {.name = "format",
     .type = MR_OPTION_ENUM,
     .choices = formats,
     .fallback = "parquet",
     .doc = "What the files are. orc is not built yet."},
    {.name = "mode",
     .type = MR_OPTION_ENUM,
     .choices = modes,
     .fallback = "append",
     .doc = "append adds files; overwrite replaces what was there when the run commits; "
            "errorifexists stops and ignore skips the load if there is anything."},
    {.name = "partitionBy",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_COLUMN,
     .doc = "Columns that become directories column=value; they are not in the files. NULL and "
            "the empty string are __HIVE_DEFAULT_PARTITION__."},
    {.name = "partitionOverwriteMode",
     .type = MR_OPTION_ENUM,
     .choices = overwrites,
     .fallback = "dynamic",
     .doc = "With overwrite and partitionBy: dynamic replaces only partitions that are written, "
            "static everything."},
    {.name = "compression",
     .type = MR_OPTION_ENUM,
     .choices = compressions,
     .doc = "Codec: snappy for Parquet and Avro and none for text by default. Text takes gzip and "
            "zstd, Avro snappy, deflate, zstandard (also zstd) and none."},
    {.name = "compressionLevel",
     .type = MR_OPTION_INT,
     .minimum = -7,
     .maximum = 22,
     .doc = "Level of the codec: gzip and deflate 1-12, zstd 1-22."},
    {.name = "targetFileSize",
     .type = MR_OPTION_SIZE,
     .fallback = "256MB",
     .unit = "bytes",
     .minimum = 1,
     .maximum = INT64_MAX,
     .doc = "A file that reaches this size on the disk is ended and another begun."},
    {.name = "rowGroupRows",
     .type = MR_OPTION_INT,
     .unit = "rows",
     .minimum = 1,
     .maximum = INT32_MAX,
     .doc = "Parquet: most rows of a row group."},
    {.name = "rowGroupBytes",
     .type = MR_OPTION_SIZE,
     .unit = "bytes",
     .minimum = 1024,
     .maximum = INT32_MAX,
     .doc = "Parquet: most bytes of a row group in memory."},
    MR_CSV_OPTION_ROWS,
    MR_AVRO_OPTION_ROWS,
    {.name = "manifest",
     .type = MR_OPTION_BOOL,
     .doc =
         "The commit writes _manifest.json after the files: a JSON object with version and files "
         "(path, size, rows), all that the target consists of."},
    MR_UPLOAD_OPTION_ROWS,
    MR_STORE_OPTION_ROWS,
    MR_OPTION_END,
};
