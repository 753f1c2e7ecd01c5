/*
 * settings.h - the options of fromPostgres as a struct, checked as far as no server is needed.
 */
#ifndef MR_CONNECT_POSTGRES_SETTINGS_H
#define MR_CONNECT_POSTGRES_SETTINGS_H

#include "col/type.h"
#include "ext/runtime.h"

extern const struct mr_option mr_postgres_options[];
extern const struct mr_option mr_postgres_properties[];
extern const char *const mr_postgres_sslmodes[];

/* The rows of an option table that say how to reach a server. */
#define MR_POSTGRES_CONNECTION_ROWS                                                                \
    {.name = "host",                                                                               \
     .type = MR_OPTION_STRING,                                                                     \
     .flags = MR_OPTION_CONNECTION,                                                                \
     .doc = "Host name or address, or the directory of the server's Unix socket."},                \
        {.name = "port",                                                                           \
         .type = MR_OPTION_INT,                                                                    \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .minimum = 1,                                                                             \
         .maximum = 65535,                                                                         \
         .doc = "Port."},                                                                          \
        {.name = "database",                                                                       \
         .aliases = "dbname",                                                                      \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .doc = "Database."},                                                                      \
        {.name = "username",                                                                       \
         .aliases = "user",                                                                        \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .doc = "User."},                                                                          \
        {.name = "password",                                                                       \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION | MR_OPTION_SECRET,                                         \
         .doc = "Password; better kept in the credentials file."},                                 \
        {.name = "sslmode",                                                                        \
         .type = MR_OPTION_ENUM,                                                                   \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .choices = mr_postgres_sslmodes,                                                          \
         .doc = "How TLS is used, as libpq defines it."},                                          \
        {.name = "schema",                                                                         \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .doc = "Where names without a schema are looked up."},                                    \
    {                                                                                              \
        .name = "properties", .type = MR_OPTION_OBJECT, .flags = MR_OPTION_CONNECTION,             \
        .fields = mr_postgres_properties,                                                          \
        .doc = "Settings of the connection pool, by the names that JDBC users know."               \
    }

enum mr_numeric_as { MR_NUMERIC_AS_DECIMAL, MR_NUMERIC_AS_TEXT, MR_NUMERIC_AS_DOUBLE };
/* The choices of incremental.mode, in the table's order. */
enum mr_postgres_mode { MR_POSTGRES_AUTO, MR_POSTGRES_XID, MR_POSTGRES_CURSOR };
enum mr_infinity_as { MR_INFINITY_FAIL, MR_INFINITY_NULL, MR_INFINITY_TEXT };

/* How to reach a server. Two logins with the same `key` share connections and the snapshot. */
struct mr_postgres_login {
    const char *keywords[12]; /* libpq's, ended by NULL */
    const char *values[12];
    const char *session_sql; /* what every new connection runs first */
    const char *key;
    int64_t connect_timeout_micros;
    int64_t statement_timeout_micros;
    int64_t socket_timeout_micros;
    int64_t idle_micros; /* an idle connection is closed after this; 0 = kept */
    int keep_open;       /* so many stay open nevertheless */
};

struct mr_postgres_settings {
    const struct mr_options *options;
    const char *table;
    const char *query; /* wins; without its trailing semicolon */
    const char *const *columns;
    int ncolumns; /* 0 = all */
    const char *where;
    const char *partition_column;
    const char *lower;
    const char *upper;
    int partitions;      /* 0 = not given */
    int max_connections; /* readers at once, resolved */
    int initial_connections;
    bool one_connection; /* maxPoolSize 1: the reader uses the coordinator's connection */
    bool shared_snapshot;
    int64_t fetch_rows; /* rows of a batch, 0 = by bytes */
    enum mr_numeric_as numeric_as;
    const struct mr_type *numeric_type; /* DECIMAL */
    enum mr_infinity_as infinity_as;
    const struct mr_options *incremental; /* NULL = everything is read in every run */
    struct mr_postgres_login login;
};

/* Copies the texts into an arena; the key, by which logins are found, stays behind. False: no memory. */
bool mr_postgres_login_keep(struct mr_postgres_login *login, struct mr_arena *arena);
/* `session`: what every new connection runs first, before what the options say of time-outs and the search path. */
enum mr_status mr_postgres_login_read(struct mr_postgres_login *login,
                                      const struct mr_options *options, const char *session,
                                      const struct mr_runtime *runtime, struct mr_arena *arena,
                                      struct mr_error *err);
/* Everything is copied into, or points to storage of, the arena. */
enum mr_status mr_postgres_settings_read(struct mr_postgres_settings *settings,
                                         const struct mr_options *options,
                                         const struct mr_runtime *runtime, struct mr_arena *arena,
                                         struct mr_error *err);

#endif
