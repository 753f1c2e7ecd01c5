/*
 * options.c - the keys of fromDeltaLake.
 */
#include "connect/delta/source.h"
#include "dataset/store_options.h"

static const char *const incrementals[] = {"version", NULL};
static const char *const changes[] = {"fail", "skip", "rewritten", NULL};

static const struct mr_option incremental_options[] = {
    {.name = "by",
     .type = MR_OPTION_ENUM,
     .flags = MR_OPTION_REQUIRED,
     .choices = incrementals,
     .doc = "version: the rows that the commits since the last version have added."},
    {.name = "initial",
     .type = MR_OPTION_INT,
     .minimum = 0,
     .maximum = INT64_MAX / 2,
     .doc = "The first run reads what the commits from this version on have added; default: the "
            "whole latest version."},
    {.name = "changes",
     .type = MR_OPTION_ENUM,
     .choices = changes,
     .fallback = "fail",
     .doc = "A commit that takes rows away or changes them (delete, update, merge, overwrite) "
            "stops the run; is left out (skip); or counts with all rows of the files that it wrote "
            "(rewritten: unchanged rows come again, the target needs keys)."},
    MR_OPTION_END,
};

const struct mr_option delta_source_options[] = {
    MR_LOCATION_OPTION_ROWS,
    {.name = "version",
     .aliases = "versionAsOf",
     .type = MR_OPTION_INT,
     .minimum = 0,
     .maximum = INT64_MAX,
     .doc = "The version of the table to read. Default: the latest when the run is planned."},
    {.name = "timestamp",
     .aliases = "timestampAsOf",
     .type = MR_OPTION_STRING,
     .doc = "Reads the last version committed at or before this time (\"2024-05-01\", \"2024-05-01 "
            "12:00:00\" in sql.timeZone, or ISO 8601 with a zone)."},
    {.name = "incremental",
     .type = MR_OPTION_OBJECT,
     .fields = incremental_options,
     .doc = "Reads only what was added since the version that the last run ended with."},
    {.name = "addresses",
     .type = MR_OPTION_BOOL,
     .flags = MR_OPTION_INTERNAL,
     .doc = "Appends __file and __position, by which a merge finds the rows again."},
    MR_STORE_OPTION_ROWS,
    MR_OPTION_END,
};
