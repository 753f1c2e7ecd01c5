/*
 * settings.c - the option table of fromPostgres, and what the values mean together.
 *
 * Keys that are not set are not passed to libpq, so that PGHOST, PGSERVICE, ~/.pgpass and the other fall-backs work by themselves.
 * Everything that changes the meaning of what the server prints (time zone, date style, float digits) is
 * fixed per session here: the same pipeline must give the same rows whatever the role's or the database's settings say.
 */
#include "connect/postgres/settings.h"

#include "base/hash.h"
#include "base/time.h"
#include "net/pg_text.h"

#include <stdio.h>

const char *const mr_postgres_sslmodes[] = {"disable",   "allow",       "prefer", "require",
                                            "verify-ca", "verify-full", NULL};
static const char *const snapshots[] = {"shared", "none", NULL};
static const char *const infinities[] = {"fail", "null", "text", NULL};

const struct mr_option mr_postgres_properties[] = {
    {.name = "maxPoolSize",
     .type = MR_OPTION_INT,
     .minimum = 1,
     .maximum = 10000,
     .unit = "connections",
     .doc = "Caps the connections of this step, the coordinating one included."},
    {.name = "minPoolSize",
     .type = MR_OPTION_INT,
     .maximum = 10000,
     .unit = "connections",
     .doc = "So many stay open while idle."},
    {.name = "initialPoolSize",
     .type = MR_OPTION_INT,
     .maximum = 10000,
     .unit = "connections",
     .doc = "So many are opened before the first split is read."},
    {.name = "maxIdleTime",
     .type = MR_OPTION_DURATION,
     .unit = "seconds",
     .unit_micros = 1000000,
     .doc = "An idle connection is closed after this time."},
    {.name = "ApplicationName",
     .type = MR_OPTION_STRING,
     .doc = "application_name of the connections; default millrace."},
    {.name = "fetchsize",
     .aliases = "fetchSize,defaultRowFetchSize",
     .type = MR_OPTION_INT,
     .maximum = 10000000,
     .unit = "rows",
     .doc = "Rows of a batch; 0 lets the size in bytes decide."},
    {.name = "socketTimeout",
     .type = MR_OPTION_DURATION,
     .unit = "seconds",
     .unit_micros = 1000000,
     .doc = "The longest silence of the server while it should answer; 0 = none."},
    {.name = "currentSchema", .type = MR_OPTION_STRING, .doc = "search_path of the connections."},
    MR_OPTION_END,
};

static const char *const modes[] = {"auto", "xid", "cursor", NULL};

static const struct mr_option incremental_options[] = {
    {.name = "column",
     .type = MR_OPTION_STRING,
     .doc = "The column that grows: of type xid8 (exactly once), or a time, a number or a text."},
    {.name = "key",
     .type = MR_OPTION_STRINGS,
     .doc = "Columns that tell rows with the same value of the column apart."},
    {.name = "initial",
     .type = MR_OPTION_STRING,
     .doc = "The smallest value that the first run reads; default all."},
    {.name = "overlap",
     .type = MR_OPTION_STRING,
     .doc = "How far before the end of the last run reading begins: an interval of time or a "
            "number. Its rows come again, so the target needs keys."},
    {.name = "mode",
     .type = MR_OPTION_ENUM,
     .choices = modes,
     .fallback = "auto",
     .doc = "xid: by transaction, of a column of type xid8. cursor: by values. auto: what the "
            "column's type says."},
    MR_OPTION_END,
};

static const struct mr_option limit_options[] = {
    {.name = "connections",
     .type = MR_OPTION_INT,
     .minimum = 1,
     .maximum = 10000,
     .unit = "connections",
     .doc = "Connections of this step at once, the coordinating one included."},
    {.name = "rowsPerSecond",
     .type = MR_OPTION_INT,
     .minimum = 1,
     .maximum = 1000000000000,
     .unit = "rows",
     .doc = "Rows read per second, by all connections of the step together."},
    {.name = "maxReplicaLag",
     .type = MR_OPTION_DURATION,
     .unit = "seconds",
     .unit_micros = 1000000,
     .doc =
         "How far a standby may be behind its primary. Before it begins to read the run waits for "
         "it (retry.maxDelay at most); when it is further behind later the run ends (exit 8)."},
    {.name = "maxSnapshotAge",
     .type = MR_OPTION_DURATION,
     .unit = "seconds",
     .unit_micros = 1000000,
     .doc = "A run that reads for longer under one snapshot, which holds VACUUM back, ends (exit "
            "8)."},
    MR_OPTION_END,
};

const struct mr_option mr_postgres_options[] = {
    {.name = "table",
     .aliases = "dbtable",
     .type = MR_OPTION_STRING,
     .doc = "The table, view or foreign table to read: name or schema.name, quoted as in SQL where "
            "needed."},
    {.name = "query",
     .type = MR_OPTION_STRING,
     .doc = "A SELECT of the server's SQL to read instead of a table; wins over table."},
    {.name = "columns",
     .type = MR_OPTION_STRINGS,
     .doc = "The columns to read, in this order; default all."},
    {.name = "where",
     .type = MR_OPTION_STRING,
     .doc = "A condition in the server's SQL; only its rows are read."},
    {.name = "partitionColumn",
     .type = MR_OPTION_STRING,
     .doc =
         "The column whose ranges are read in parallel. Without it a table is split by its pages."},
    {.name = "lowerBound",
     .type = MR_OPTION_STRING,
     .doc = "Where the equal-width ranges begin; shapes the ranges, never filters rows."},
    {.name = "upperBound",
     .type = MR_OPTION_STRING,
     .doc = "Where the equal-width ranges end; shapes the ranges, never filters rows."},
    {.name = "numPartitions",
     .type = MR_OPTION_INT,
     .minimum = 1,
     .maximum = 100000,
     .unit = "splits",
     .doc = "How many splits; default by size, about four per connection."},
    {.name = "maxConnections",
     .type = MR_OPTION_INT,
     .minimum = 1,
     .maximum = 10000,
     .unit = "connections",
     .doc = "Connections that read at once; default the smaller of numPartitions and twice the "
            "cores. One more coordinates "
            "them."},
    {.name = "snapshot",
     .type = MR_OPTION_ENUM,
     .choices = snapshots,
     .fallback = "shared",
     .doc = "shared: all connections of the run see the database at one moment. none: each "
            "statement at its own."},
    {.name = "numericAs",
     .type = MR_OPTION_STRING,
     .fallback = "decimal(38,18)",
     .doc = "What numeric without precision, or with more than 38 digits, becomes: a decimal type "
            "(digits that do not "
            "fit are an error), text, or double."},
    {.name = "infinityAs",
     .type = MR_OPTION_ENUM,
     .choices = infinities,
     .fallback = "fail",
     .doc = "What infinite dates and timestamps become: an error, NULL, or (with their columns) "
            "text."},
    {.name = "incremental",
     .type = MR_OPTION_OBJECT,
     .fields = incremental_options,
     .doc = "Read only what is new since the last run."},
    {.name = "sourceLimits",
     .type = MR_OPTION_OBJECT,
     .fields = limit_options,
     .doc = "What this run may cost the server."},
    MR_POSTGRES_CONNECTION_ROWS,
    MR_OPTION_END,
};

/* --- the login --- */

static void add_keyword(struct mr_postgres_login *login, int *n, const char *keyword,
                        const char *value)
{
    if (value == NULL)
        return;
    login->keywords[*n] = keyword;
    login->values[*n] = value;
    ++*n;
}

/* jit off: compiling a plan per split costs more than it saves on a plain scan. lock_timeout: a queued ALTER TABLE must not hang us. */
static const char fixed_session[] =
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; "
    "SET bytea_output = 'hex'; SET extra_float_digits = 3; SET standard_conforming_strings = on; "
    "SET synchronize_seqscans = off; SET jit = off; SET lock_timeout = '30s'; "
    "SET idle_in_transaction_session_timeout = 0; SET default_transaction_read_only = on; ";

static const char *session_sql(const struct mr_options *options,
                               const struct mr_options *properties, const char *fixed,
                               int64_t statement_micros, struct mr_arena *arena)
{
    const char *schema = mr_options_text(options, "schema");
    const char *path = properties ? mr_options_text(properties, "currentSchema") : NULL;
    struct mr_bytes sql;
    mr_bytes_init(&sql, 1 << 16);
    mr_bytes_text(&sql, fixed);
    if (statement_micros > 0)
        mr_bytes_printf(&sql, "SET statement_timeout = %lld; ",
                        (long long)((statement_micros + 999) / 1000));
    if (schema) {
        mr_bytes_text(&sql, "SET search_path = ");
        mr_pg_identifier(&sql, schema);
    } else if (path) {
        mr_bytes_text(&sql, "SELECT set_config('search_path', ");
        mr_pg_literal(&sql, mr_slice_of(path));
        mr_bytes_text(&sql, ", false)");
    }
    return mr_bytes_to_arena(&sql, arena);
}

static const char *login_key(const struct mr_postgres_login *login, struct mr_arena *arena)
{
    struct mr_bytes key;
    mr_bytes_init(&key, 1 << 16);
    mr_bytes_text(&key, "postgres");
    for (int i = 0; login->keywords[i]; i++) {
        bool secret = strcmp(login->keywords[i], "password") == 0;
        mr_bytes_printf(&key, "|%s=", login->keywords[i]);
        if (secret)
            mr_bytes_printf(&key, "%016llx",
                            (unsigned long long)mr_hash64(login->values[i],
                                                          strlen(login->values[i])));
        else
            mr_bytes_text(&key, login->values[i]);
    }
    mr_bytes_printf(&key, "|%lld|%s", (long long)login->socket_timeout_micros, login->session_sql);
    return mr_bytes_to_arena(&key, arena);
}

bool mr_postgres_login_keep(struct mr_postgres_login *login, struct mr_arena *arena)
{
    bool good = true;
    for (int i = 0; login->keywords[i]; i++) {
        login->values[i] = mr_arena_strdup(arena, login->values[i]);
        good = good && login->values[i];
    }
    login->session_sql = mr_arena_strdup(arena, login->session_sql);
    login->key = NULL;
    return good && login->session_sql;
}

enum mr_status mr_postgres_login_read(struct mr_postgres_login *login,
                                      const struct mr_options *options, const char *session,
                                      const struct mr_runtime *runtime, struct mr_arena *arena,
                                      struct mr_error *err)
{
    const struct mr_option_value *object = mr_options_get(options, "properties");
    const struct mr_options *properties = object->set ? object->u.object : NULL;
    const char *port = NULL;
    if (mr_options_has(options, "port"))
        port = mr_arena_printf(arena, "%lld", (long long)mr_options_integer(options, "port", 0));
    const char *application = properties ? mr_options_text(properties, "ApplicationName") : NULL;
    int n = 0;
    add_keyword(login, &n, "host", mr_options_text(options, "host"));
    add_keyword(login, &n, "port", port);
    add_keyword(login, &n, "dbname", mr_options_text(options, "database"));
    add_keyword(login, &n, "user", mr_options_text(options, "username"));
    add_keyword(login, &n, "password", mr_options_text(options, "password"));
    add_keyword(login, &n, "sslmode", mr_options_text(options, "sslmode"));
    add_keyword(login, &n, "application_name", application);
    add_keyword(login, &n, "fallback_application_name", "millrace");
    add_keyword(login, &n, "client_encoding", "UTF8");
    login->keywords[n] = login->values[n] = NULL;
    login->connect_timeout_micros = runtime->timeout_connect_micros;
    login->statement_timeout_micros = runtime->timeout_statement_micros;
    if (properties) {
        login->socket_timeout_micros = mr_options_integer(properties, "socketTimeout", 0);
        login->idle_micros = mr_options_integer(properties, "maxIdleTime", 0);
        login->keep_open = (int)mr_options_integer(properties, "minPoolSize", 0);
    }
    login->session_sql =
        session_sql(options, properties, session, login->statement_timeout_micros, arena);
    login->key = login->session_sql ? login_key(login, arena) : NULL;
    if (login->key == NULL)
        return mr_error_nomem(err);
    return MR_OK;
}

/* --- the rest --- */

static void read_pool(struct mr_postgres_settings *settings, const struct mr_options *properties,
                      int parallelism)
{
    const struct mr_options *options = settings->options;
    int64_t cores = parallelism > 0 ? parallelism : 1;
    int64_t readers = 2 * cores;
    if (settings->partitions > 0 && settings->partitions < readers)
        readers = settings->partitions;
    readers = mr_options_integer(options, "maxConnections", readers);
    int64_t most = properties ? mr_options_integer(properties, "maxPoolSize", 0) : 0;
    const struct mr_option_value *limits = mr_options_get(options, "sourceLimits");
    int64_t allowed = limits->set ? mr_options_integer(limits->u.object, "connections", 0) : 0;
    if (allowed > 0 && (most == 0 || allowed < most))
        most = allowed;
    if (most > 0) {
        settings->one_connection = most == 1 && settings->shared_snapshot;
        if (settings->shared_snapshot && most > 1)
            most--;
        readers = readers < most ? readers : most;
    }
    settings->max_connections = (int)readers;
    if (properties) {
        int64_t initial = mr_options_integer(properties, "initialPoolSize", 0);
        settings->initial_connections = (int)(initial < readers ? initial : readers);
        settings->fetch_rows = mr_options_integer(properties, "fetchsize", 0);
    }
}

static enum mr_status read_numeric(struct mr_postgres_settings *settings, struct mr_arena *arena,
                                   struct mr_error *err)
{
    const char *text = mr_options_text(settings->options, "numericAs");
    settings->numeric_as = MR_NUMERIC_AS_DECIMAL;
    settings->numeric_type = mr_type_decimal(arena, 38, 18);
    if (settings->numeric_type == NULL)
        return mr_error_nomem(err);
    if (text == NULL)
        return MR_OK;
    const struct mr_type *type = NULL;
    enum mr_status status = mr_type_parse(arena, text, &type, err);
    if (status == MR_NOMEM)
        return status;
    if (status == MR_OK && type->id == MR_TYPE_STRING)
        settings->numeric_as = MR_NUMERIC_AS_TEXT;
    else if (status == MR_OK && type->id == MR_TYPE_FLOAT64)
        settings->numeric_as = MR_NUMERIC_AS_DOUBLE;
    else if (status == MR_OK && type->id == MR_TYPE_DECIMAL)
        settings->numeric_type = type;
    else
        return mr_options_error(settings->options, "numericAs", err,
                                "\"%s\" must be decimal(p,s), text or double", text);
    return MR_OK;
}

/* Without the semicolon and the space behind it. */
static const char *trim_query(struct mr_arena *arena, const char *query)
{
    size_t size = strlen(query);
    while (size > 0 && strchr("; \t\r\n", query[size - 1]))
        size--;
    return mr_arena_strndup(arena, query, size);
}

static enum mr_status check_together(const struct mr_postgres_settings *settings,
                                     struct mr_error *err)
{
    const struct mr_options *options = settings->options;
    if (settings->table == NULL && settings->query == NULL)
        return mr_options_error(options, "table", err, "give \"table\" or \"query\"");
    const char *bound = settings->lower ? "lowerBound" : "upperBound";
    if ((settings->lower || settings->upper) && settings->partition_column == NULL)
        return mr_options_error(options, bound, err, "bounds need \"partitionColumn\"");
    if ((settings->lower == NULL) != (settings->upper == NULL))
        return mr_options_error(options, bound, err,
                                "\"lowerBound\" and \"upperBound\" go together");
    if (settings->query && settings->query[0] == '\0')
        return mr_options_error(options, "query", err, "the query is empty");
    return MR_OK;
}

enum mr_status mr_postgres_settings_read(struct mr_postgres_settings *settings,
                                         const struct mr_options *options,
                                         const struct mr_runtime *runtime, struct mr_arena *arena,
                                         struct mr_error *err)
{
    memset(settings, 0, sizeof *settings);
    settings->options = options;
    settings->table = mr_options_text(options, "table");
    const char *query = mr_options_text(options, "query");
    if (query && (settings->query = trim_query(arena, query)) == NULL)
        return mr_error_nomem(err);
    const struct mr_option_value *columns = mr_options_get(options, "columns");
    if (columns->set) {
        settings->columns = columns->u.strings.items;
        settings->ncolumns = columns->u.strings.count;
    }
    settings->where = mr_options_text(options, "where");
    settings->partition_column = mr_options_text(options, "partitionColumn");
    settings->lower = mr_options_text(options, "lowerBound");
    settings->upper = mr_options_text(options, "upperBound");
    settings->partitions = (int)mr_options_integer(options, "numPartitions", 0);
    settings->shared_snapshot = mr_options_integer(options, "snapshot", 0) == 0;
    settings->infinity_as = (enum mr_infinity_as)mr_options_integer(options, "infinityAs", 0);
    MR_TRY(check_together(settings, err));
    MR_TRY(read_numeric(settings, arena, err));
    const struct mr_option_value *incremental = mr_options_get(options, "incremental");
    settings->incremental = incremental->set ? incremental->u.object : NULL;
    const struct mr_option_value *object = mr_options_get(options, "properties");
    const struct mr_options *properties = object->set ? object->u.object : NULL;
    read_pool(settings, properties, runtime->parallelism);
    return mr_postgres_login_read(&settings->login, options, fixed_session, runtime, arena, err);
}
