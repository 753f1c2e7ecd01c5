/*
 * read_options.c - the keys of fromS3, fromFile and fromAvro.
 */
#include "connect/files/read.h"
#include "dataset/store_options.h"
#include "enc/avro_schema.h"
#include "enc/csv_text.h"
#include "enc/json_text.h"
#include "ext/format.h"

static const char *const formats[] = {"parquet", "json", "csv", "avro", "orc", NULL};
static const char *const on_errors[] = {"fail", "null", "drop", "quarantine", NULL};
static const char *const incrementals[] = {"files", NULL};
static const char *const changes[] = {"fail", "read", NULL};

static const struct mr_option quarantine_options[] = {
    {.name = "path",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .doc = "Where bad records go."},
    {.name = "format",
     .type = MR_OPTION_STRING,
     .fallback = "parquet",
     .doc = "Format of these files."},
    MR_OPTION_END,
};

static const struct mr_option incremental_options[] = {
    {.name = "by",
     .type = MR_OPTION_ENUM,
     .flags = MR_OPTION_REQUIRED,
     .choices = incrementals,
     .doc = "files: every file that no earlier run has read, whatever its name and time."},
    {.name = "initial",
     .type = MR_OPTION_STRING,
     .doc = "The first run leaves out files that were modified before this time (\"2024-05-01\", "
            "\"2024-05-01 12:00:00\" in sql.timeZone), for good; default none."},
    {.name = "changed",
     .type = MR_OPTION_ENUM,
     .choices = changes,
     .fallback = "fail",
     .doc = "A file that was read and has another size or time now stops the run, or is read again "
            "from its beginning (the target needs keys)."},
    {.name = "maxFileAge",
     .type = MR_OPTION_DURATION,
     .doc = "Files that were modified longer than this before the newest file of earlier runs "
            "count as read and are "
            "forgotten, so that what is remembered does not grow for ever. Default: every file is "
            "remembered."},
    MR_OPTION_END,
};

const struct mr_option files_read_options[] = {
    MR_LOCATION_OPTION_ROWS,
    {.name = "format",
     .type = MR_OPTION_ENUM,
     .choices = formats,
     .doc =
         "What the files are. Default: by their extension if all agree, else parquet. orc is not "
         "built."},
    {.name = "schema",
     .type = MR_OPTION_STRING,
     .doc =
         "The columns, as \"id BIGINT, at TIMESTAMP\": exactly these, with these types. Default: "
         "what the files say of themselves, and the directories column=value."},
    {.name = "onError",
     .type = MR_OPTION_ENUM,
     .choices = on_errors,
     .fallback = "fail",
     .doc =
         "A record that cannot be read fails the run, has NULL where it is wrong, is dropped, or "
         "goes to `quarantine`."},
    {.name = "quarantine",
     .type = MR_OPTION_OBJECT,
     .fields = quarantine_options,
     .doc = "Where bad records go, as rows of file, position, offset, column, reason, record."},
    MR_CSV_OPTION_ROWS,
    MR_CSV_READ_OPTION_ROWS,
    MR_JSON_READ_OPTION_ROWS,
    MR_AVRO_OPTION_ROWS,
    MR_NANOSECONDS_OPTION_ROW,
    {.name = "incremental",
     .type = MR_OPTION_OBJECT,
     .fields = incremental_options,
     .doc = "Reads only the files that are new since the last run."},
    MR_STORE_OPTION_ROWS,
    MR_OPTION_END,
};
