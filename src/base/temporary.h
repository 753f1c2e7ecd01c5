/*
 * temporary.h - files without a name, which neither a kill nor a crash leaves behind.
 */
#ifndef MR_BASE_TEMPORARY_H
#define MR_BASE_TEMPORARY_H

/* A descriptor for reading and writing, close-on-exec; -1 with errno. Any thread. */
int mr_open_unnamed(const char *directory);

#endif
