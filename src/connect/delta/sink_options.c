/*
 * sink_options.c - the keys of toDeltaLake.
 */
#include "connect/delta/sink_private.h"

#include "dataset/store_options.h"

static const char *const compressions[] = {"snappy", "gzip",         "lz4", "zstd",
                                           "none",   "uncompressed", NULL};
/* The order of enum delta_mode. */
static const char *const modes[] = {"append", "overwrite", "errorifexists",
                                    "ignore", "upsert",    NULL};
static const char *const overwrites[] = {"static", "dynamic", NULL};

const struct mr_option delta_sink_options[] = {
    MR_LOCATION_OPTION_ROWS,
    {.name = "mode",
     .type = MR_OPTION_ENUM,
     .choices = modes,
     .fallback = "append",
     .doc = "append adds rows; overwrite replaces the table's rows (or what replaceWhere or "
            "partitionOverwriteMode says); errorifexists stops and ignore skips the load if there "
            "is a table; upsert replaces rows with the same keys and adds the others."},
    {.name = "keys",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_COLUMN,
     .doc = "With upsert: columns that say which row of the table a row replaces. NULL equals "
            "nothing. Two rows of the load with the same keys are an error."},
    {.name = "partitionBy",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_COLUMN,
     .doc = "Partition columns of a new table. A table that exists keeps its own, unless "
            "overwriteSchema."},
    {.name = "mergeSchema",
     .type = MR_OPTION_BOOL,
     .fallback = "false",
     .doc = "Columns, and fields of structs, that the table lacks are added to it."},
    {.name = "overwriteSchema",
     .type = MR_OPTION_BOOL,
     .fallback = "false",
     .doc = "With overwrite: the table gets the rows' columns and partitionBy instead of its own."},
    {.name = "replaceWhere",
     .type = MR_OPTION_STRING,
     .doc = "With overwrite: a condition. The table's rows that it is true for are replaced; the "
            "load's rows must all fulfil it."},
    {.name = "partitionOverwriteMode",
     .type = MR_OPTION_ENUM,
     .choices = overwrites,
     .fallback = "static",
     .doc = "With overwrite: static replaces the whole table, dynamic only the partitions that are "
            "written."},
    {.name = "compression",
     .type = MR_OPTION_ENUM,
     .choices = compressions,
     .doc = "Codec of the Parquet files: the table's delta.parquet.compression.codec, else "
            "snappy."},
    {.name = "compressionLevel",
     .type = MR_OPTION_INT,
     .minimum = -7,
     .maximum = 22,
     .doc = "Level of the codec: gzip 1-12, zstd 1-22."},
    {.name = "targetFileSize",
     .type = MR_OPTION_SIZE,
     .unit = "bytes",
     .minimum = 1,
     .maximum = INT64_MAX,
     .doc = "A file that reaches this size on the disk is ended and another begun: the table's "
            "delta.targetFileSize, else 256MB."},
    {.name = "optimizeWrite",
     .type = MR_OPTION_BOOL,
     .fallback = "false",
     .doc = "Rows are regrouped by partition before they are written, so that each partition gets "
            "few files."},
    {.name = "autoCompact",
     .type = MR_OPTION_BOOL,
     .fallback = "false",
     .doc = "After the commit, small files of a partition become larger ones, in a commit of its "
            "own, when "
            "there are autoCompactFiles of them: those below targetFileSize that are no larger "
            "than all "
            "smaller ones together. A failure of that is a warning."},
    {.name = "autoCompactFiles",
     .type = MR_OPTION_INT,
     .fallback = "50",
     .minimum = 2,
     .maximum = 1000000,
     .doc = "With autoCompact: how many small files of a partition are worth a compaction."},
    {.name = "zOrderBy",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_COLUMN,
     .doc = "After the commit, the files that were written are put in Z-order of these columns, in "
            "a commit of its own. A failure of that is a warning."},
    {.name = "rowAddresses",
     .type = MR_OPTION_BOOL,
     .flags = MR_OPTION_INTERNAL,
     .doc = "The rows have two columns more: the place of a row that goes."},
    {.name = "readVersion",
     .type = MR_OPTION_INT,
     .flags = MR_OPTION_INTERNAL,
     .minimum = 0,
     .maximum = INT64_MAX,
     .doc = "The version that the places are of."},
    MR_UPLOAD_OPTION_ROWS,
    MR_STORE_OPTION_ROWS,
    MR_OPTION_END,
};
