/*
 * regex.h - regular expressions (PCRE2, UTF-8, with limits) for kernels: compiled once per pattern, node and thread.
 */
#ifndef MR_SQL_REGEX_H
#define MR_SQL_REGEX_H

#include "sql/function.h"

struct mr_regex;

/* How many patterns a call may have at work. */
#define MR_REGEXES 2
/*
 * The compiled pattern, number `which` of the call; the one of the last row when it is the same. MR_CONFIG with PCRE2's message
 * and offset.
 */
enum mr_status mr_regex_get(struct mr_call *call, int which, struct mr_slice pattern,
                            struct mr_regex **out);
/*
 * Finds the first match at or behind byte `from`. *groups receives pairs of byte offsets ((size_t)-1: group not set), valid until the
 * next match. Returns the number of groups with the whole match as the first, 0 for no match; -1 with call->err
 * set when the limits (work, depth) were reached or the text is not UTF-8.
 */
int mr_regex_match(struct mr_call *call, struct mr_regex *regex, struct mr_slice text, size_t from,
                   const size_t **groups);
/* Groups of the pattern, the whole match not counted. */
int mr_regex_groups(const struct mr_regex *regex);
/* Number of a named group, -1 when there is none. */
int mr_regex_group_named(const struct mr_regex *regex, const char *name);

#endif
