/*
 * methods.h - what `millrace methods` prints.
 */
#ifndef MR_API_METHODS_H
#define MR_API_METHODS_H

#include "base/bytes.h"

/* The list of methods, or with a name (or alias) one of them with its options. An unknown name is MR_USAGE. */
enum mr_status mr_api_methods(const char *name, struct mr_bytes *out, struct mr_error *err);

#endif
