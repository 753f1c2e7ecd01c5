/*
 * glob.h - paths with * ? [a-z] {a,b} and **, as Hadoop's globs and the shell's have them.
 */
#ifndef MR_CONNECT_FILES_GLOB_H
#define MR_CONNECT_FILES_GLOB_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>

/* The first character that makes a text a pattern (a backslash does: it protects the next one), or NULL. */
const char *files_glob_start(const char *text);
/* The patterns that the braces of one stand for, at most 10,000: MR_CONFIG if there are more. */
enum mr_status files_glob_expand(struct mr_arena *arena, const char *pattern,
                                 const char *const **out, int *count, struct mr_error *err);
/* Does a pattern without braces match the path or a directory that the path is in? */
bool files_glob_match(const char *pattern, const char *path);
/* Bytes with which every path that matches one of the patterns begins. */
size_t files_glob_literal(const char *const *patterns, int count);

#endif
