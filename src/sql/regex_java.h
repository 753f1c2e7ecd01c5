/*
 * regex_java.h - Java's regular expressions as PCRE2's.
 */
#ifndef MR_SQL_REGEX_JAVA_H
#define MR_SQL_REGEX_JAVA_H

#include "base/bytes.h"

/* Appends the pattern as PCRE2 reads it. What PCRE2 has no form for is passed on as it is, for PCRE2 to refuse. */
void mr_regex_from_java(struct mr_slice pattern, struct mr_bytes *out);

#endif
