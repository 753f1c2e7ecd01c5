/*
 * substitute.h - ${name}, ${env:NAME} and the built-in values in the strings of a pipeline file.
 */
#ifndef MR_CONFIG_SUBSTITUTE_H
#define MR_CONFIG_SUBSTITUTE_H

#include "config/json.h"

#include "base/map.h"

/* A value of one run's parameters. */
struct mr_parameter {
    const char *name;
    const char *text;           /* NULL: must be given on the command line */
    const struct mr_json *json; /* where it is written in the file, or NULL */
    bool resolving;             /* its own placeholders are being replaced */
    bool resolved;
    bool used;
    struct mr_parameter *next;
};

struct mr_parameters {
    struct mr_map by_name;
    struct mr_parameter *first; /* in order */
    struct mr_parameter *last;
    size_t produced; /* bytes of replaced strings so far */
    bool uses_last_run_timestamp;
};

/* From the file's `name` and `parameters` (each may be NULL), then those of the request, which win. */
enum mr_status mr_parameters_init(struct mr_config_context *context, const struct mr_json *object,
                                  const struct mr_json *name, struct mr_parameters *parameters);
void mr_parameters_reset(struct mr_parameters *parameters);
/* Replaces in every string at or below `value`. Problems are reported at the placeholder in the template. */
enum mr_status mr_substitute(struct mr_config_context *context, struct mr_parameters *parameters,
                             struct mr_json *value);
/* A note for every parameter of the command line that nothing uses. */
enum mr_status mr_parameters_note_unused(struct mr_config_context *context,
                                         const struct mr_parameters *parameters);

#endif
