/*
 * check.h - a JSON object against an option table.
 */
#ifndef MR_CONFIG_CHECK_H
#define MR_CONFIG_CHECK_H

#include "config/json.h"

struct mr_check {
    struct mr_config_context *context;
    struct mr_options *options;
    struct mr_options *common; /* a second table whose keys may occur as well; or NULL */
    bool keep;                 /* options that have a value already keep it */
    bool by_user;              /* written in the pipeline (else: credentials) */
    unsigned only;             /* rows without these flags do not exist here */
};

/* Reads every key of `object`. Problems are reported; fails only when memory is out. */
enum mr_status mr_check_object(struct mr_check *check, const struct mr_json *object);
/* Reports every required option without a value at `at`. `inside` is the enclosing key, or NULL. */
enum mr_status mr_check_required(struct mr_config_context *context,
                                 const struct mr_options *options, struct mr_position at,
                                 const char *inside);

#endif
