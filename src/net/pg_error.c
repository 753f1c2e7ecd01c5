/*
 * pg_error.c - SQLSTATE to error class.
 *
 * The class decides whether a split is read again, so it is made from the SQLSTATE and never from the text of a message, which
 * is translated by the server's lc_messages. The table lists classes (two characters) and single codes; the first row
 * that fits wins. Source: PostgreSQL manual, appendix A. A message without SQLSTATE comes from libpq itself: the
 * connection is gone (transient), or its parameters are wrong.
 *
 * libpq puts neither the password nor the connection string into its messages; the server never knows the password.
 */
#include "net/pg_error.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

struct state_rule {
    const char *prefix;
    enum mr_status status;
    enum mr_error_class cls;
    const char *hint; /* to who reads */
};

static const struct state_rule rules[] = {
    {"28", MR_CREDENTIALS, MR_CLASS_CONFIG,
     "check username, password and the server's pg_hba.conf"},
    {"08", MR_SOURCE, MR_CLASS_TRANSIENT, NULL},
    {"57P0", MR_SOURCE, MR_CLASS_TRANSIENT, NULL},
    /* Somebody (a debugger, a hypervisor) stopped the process for longer than a transaction may idle. */
    {"25P03", MR_SOURCE, MR_CLASS_TRANSIENT, NULL},
    {"25P04", MR_SOURCE, MR_CLASS_TRANSIENT, NULL},
    {"57014", MR_SOURCE, MR_CLASS_CONFIG,
     "the server cancelled the statement: raise statement_timeout or `timeouts.statement`, or use "
     "more splits"},
    {"40001", MR_SOURCE, MR_CLASS_TRANSIENT,
     "on a standby: set hot_standby_feedback = on or raise max_standby_streaming_delay there, read "
     "from the primary, or use more and "
     "smaller splits"},
    {"40P01", MR_SOURCE, MR_CLASS_TRANSIENT, NULL},
    {"53300", MR_SOURCE, MR_CLASS_TRANSIENT,
     "the server is out of connections: lower `maxConnections`, or raise max_connections there"},
    {"53", MR_SOURCE, MR_CLASS_TRANSIENT, NULL},
    {"55P03", MR_SOURCE, MR_CLASS_TRANSIENT,
     "another session holds or waits for an exclusive lock on the table (ALTER, DROP, TRUNCATE, "
     "VACUUM FULL)"},
    {"3D000", MR_SOURCE, MR_CLASS_CONFIG, "check `database`"},
    {"42P01", MR_SOURCE, MR_CLASS_CONFIG, "does the table exist, and is its schema named?"},
    {"42501", MR_SOURCE, MR_CLASS_CONFIG, "GRANT SELECT on it to this user"},
    {"22021", MR_SOURCE, MR_CLASS_DATA,
     "the text is not in the database's encoding: read it with convert_from(x::bytea, '..') in "
     "`query`, or as bytea"},
    {"22P05", MR_SOURCE, MR_CLASS_DATA,
     "the text has no form in UTF-8: read it as bytea in `query`"},
    {"22", MR_SOURCE, MR_CLASS_DATA, NULL},
    {"23", MR_SOURCE, MR_CLASS_DATA, NULL},
};

/* What is said instead to who writes; "" = nothing. */
static const struct {
    const char *state;
    const char *hint;
} write_hints[] = {
    {"57014", "the server cancelled the statement: raise statement_timeout there, or "
              "`timeouts.statement`"},
    {"40001", ""},
    {"42501", "GRANT what the statement needs to this user"},
    {"22021", "the database's encoding has no such character: filter or replace it before"},
    {"22P05", "the database's encoding has no such character: filter or replace it before"},
    {"55P03", "another session holds a lock that the statement needs"},
};

void mr_pg_error_writing(struct mr_error *err, const char *sqlstate)
{
    for (size_t i = 0; err && i < sizeof write_hints / sizeof write_hints[0]; i++)
        if (strcmp(sqlstate, write_hints[i].state) == 0)
            mr_error_hint(err, "%s", write_hints[i].hint);
}

static const struct state_rule *find_rule(const char *sqlstate)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (strncmp(sqlstate, rules[i].prefix, strlen(rules[i].prefix)) == 0)
            return &rules[i];
    return NULL;
}

/* One line: newlines become "; ", trailing space goes. */
static void flatten(const char *message, char *out, size_t capacity)
{
    size_t used = 0;
    for (const char *at = message; *at != '\0' && used + 3 < capacity; at++) {
        if (*at == '\n' || *at == '\t' || *at == '\r') {
            if (at[1] == '\0' || (used > 0 && out[used - 1] == ' '))
                continue;
            if (*at == '\n')
                out[used++] = ';';
            out[used++] = ' ';
        } else {
            out[used++] = *at;
        }
    }
    while (used > 0 && (out[used - 1] == ' ' || out[used - 1] == ';'))
        used--;
    out[used] = '\0';
    out[mr_utf8_valid_prefix(out, used)] = '\0';
}

enum mr_status mr_pg_error_state(struct mr_error *err, const char *sqlstate, const char *message,
                                 const char *location, bool connecting)
{
    char text[900];
    flatten(message ? message : "", text, sizeof text);
    const struct state_rule *rule = sqlstate[0] ? find_rule(sqlstate) : NULL;
    enum mr_status status = rule ? rule->status : MR_SOURCE;
    enum mr_error_class cls = rule ? rule->cls : MR_CLASS_CONFIG;
    if (sqlstate[0] == '\0')
        cls = MR_CLASS_TRANSIENT;
    mr_error_set(err, status, cls, "%s%s%s%s%s", connecting ? "cannot connect: " : "",
                 text[0] ? text : "the connection was lost", sqlstate[0] ? " (SQLSTATE " : "",
                 sqlstate, sqlstate[0] ? ")" : "");
    mr_error_where(err, "postgres %s", location);
    if (rule && rule->hint)
        mr_error_hint(err, "%s", rule->hint);
    return status;
}

enum mr_status mr_pg_error_result(struct mr_error *err, const PGresult *result,
                                  const char *location)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    if (primary == NULL)
        primary = PQresultErrorMessage(result);
    char text[800];
    snprintf(text, sizeof text, "%s%s%s%s%s", primary, detail ? ": " : "", detail ? detail : "",
             context ? "; " : "", context ? context : "");
    enum mr_status status = mr_pg_error_state(err, sqlstate ? sqlstate : "", text, location, false);
    if (hint && err && err->hint[0] == '\0')
        mr_error_hint(err, "%s", hint);
    return status;
}
