/*
 * sink_options.c - the keys of toPostgres.
 */
#include "connect/postgres/sink_private.h"

/* The order of enum pg_mode. */
static const char *const modes[] = {"append", "overwrite", "errorifexists",
                                    "ignore", "upsert",    NULL};
static const char *const overwrites[] = {"truncate", "swap", NULL};

static const struct mr_option index_options[] = {
    {.name = "columns",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_COLUMN,
     .doc = "Columns of the index, in order."},
    {.name = "include",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_COLUMN,
     .doc = "Columns that are kept in the index, and not searched by."},
    {.name = "unique",
     .type = MR_OPTION_BOOL,
     .fallback = "false",
     .doc = "No two rows may have the same values of the columns."},
    MR_OPTION_END,
};

const struct mr_option pg_sink_options[] = {
    {.name = "table",
     .aliases = "dbtable",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .doc = "The table to load: name or schema.name, quoted as in SQL where needed."},
    {.name = "mode",
     .type = MR_OPTION_ENUM,
     .choices = modes,
     .fallback = "append",
     .doc = "append adds rows; overwrite replaces the table's rows (or those that replaceWhere "
            "names); errorifexists stops and ignore skips the load if there is a table; upsert "
            "replaces rows with the same keys and adds the others."},
    {.name = "keys",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_COLUMN,
     .doc = "With upsert: columns that say which row a row replaces. The table needs a unique "
            "index on them; a table that is made gets them as its primary key. Of several rows of "
            "a load with the same keys the last one counts."},
    {.name = "replaceWhere",
     .type = MR_OPTION_STRING,
     .doc = "A condition in the server's SQL. The table's rows that it is true for are replaced; "
            "the load's rows must all fulfil it. Goes with overwrite, which it implies."},
    {.name = "createTable",
     .type = MR_OPTION_BOOL,
     .fallback = "true",
     .doc = "A table that is missing is made, with the types that the rows came with."},
    {.name = "overwriteMode",
     .type = MR_OPTION_ENUM,
     .choices = overwrites,
     .fallback = "truncate",
     .doc = "With overwrite: truncate keeps the table with its indexes, grants and constraints; "
            "swap puts a new table in its place."},
    {.name = "indexes",
     .type = MR_OPTION_OBJECTS,
     .fields = index_options,
     .doc = "Indexes that are made in the commit where they are missing."},
    {.name = "analyze",
     .type = MR_OPTION_BOOL,
     .fallback = "true",
     .doc = "ANALYZE after the commit. A failure of that is a warning."},
    {.name = "batchSize",
     .aliases = "batchsize",
     .type = MR_OPTION_INT,
     .minimum = 1,
     .maximum = 10000000,
     .fallback = "10000",
     .unit = "rows",
     .doc = "Rows that are encoded before they are sent; 256 KB of them are sent in any case."},
    {.name = "maxConnections",
     .type = MR_OPTION_INT,
     .minimum = 1,
     .maximum = 10000,
     .unit = "connections",
     .doc = "Connections that load at once; default one a task of the plan."},
    MR_POSTGRES_CONNECTION_ROWS,
    MR_OPTION_END,
};
