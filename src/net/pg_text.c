/*
 * pg_text.c - quoting by hand, because libpq's functions want a live connection where the plan only writes text.
 *
 * The rules are those of PQescapeIdentifier and PQescapeLiteral: quotes are doubled, and a literal with a backslash is
 * written E'..' with the backslash doubled, so that standard_conforming_strings does not matter. Valid for UTF-8,
 * in which no byte of a longer character looks like a quote or a backslash; all our connections set client_encoding UTF8.
 */
#include "net/pg_text.h"

void mr_pg_identifier(struct mr_bytes *sql, const char *name)
{
    mr_bytes_quoted(sql, name, '"');
}

bool mr_pg_literal(struct mr_bytes *sql, struct mr_slice text)
{
    if (text.size > 0 && memchr(text.data, '\0', text.size))
        return false;
    if (text.size > 0 && memchr(text.data, '\\', text.size))
        mr_bytes_text(sql, " E");
    mr_bytes_char(sql, '\'');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\'' || text.data[i] == '\\')
            mr_bytes_char(sql, text.data[i]);
        mr_bytes_char(sql, text.data[i]);
    }
    mr_bytes_char(sql, '\'');
    return true;
}
