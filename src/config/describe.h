/*
 * describe.h - methods and options in words, from the tables: for `millrace methods` and the reference pages.
 */
#ifndef MR_CONFIG_DESCRIBE_H
#define MR_CONFIG_DESCRIBE_H

#include "base/bytes.h"
#include "ext/registry.h"

/* "whole number, 1 to 10000", "append | overwrite", "list of columns". */
void mr_option_describe_type(const struct mr_option *option, struct mr_bytes *out);
/* "required", "default 256MB", "secret", "not built", separated by ", "; may append nothing. */
void mr_option_describe_rules(const struct mr_option *option, struct mr_bytes *out);
/* All methods by step type, one line each, then the names of those that are not built. Plain text. */
void mr_config_describe_methods(const struct mr_registry *registry, struct mr_bytes *out);
/* One method with all of its options, wrapped at 100 columns. */
void mr_config_describe_method(const struct mr_method *method, struct mr_bytes *out);

#endif
