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
    bool moving; /* its value is new in every start: made of ${run_id} or ${last_run_timestamp} */
    struct mr_parameter *next;
};

struct mr_parameters {
    struct mr_map by_name;
    struct mr_parameter *first; /* in order */
    struct mr_parameter *last;
    size_t produced; /* bytes of replaced strings so far */
    bool moving;     /* the value that is being made is */
    bool in_step;
    bool time_given;              /* --param last_run_timestamp=.. */
    bool uses_last_run_timestamp; /* outside of steps that read incrementally */
    bool uses_watermark;          /* inside */
};

/* From the file's `name` and `parameters` (each may be NULL), then those of the request, which win. */
enum mr_status mr_parameters_init(struct mr_config_context *context, const struct mr_json *object,
                                  const struct mr_json *name, struct mr_parameters *parameters);
void mr_parameters_reset(struct mr_parameters *parameters);
/* Replaces in every string at or below `value`. Problems are reported at the placeholder in the template. */
enum mr_status mr_substitute(struct mr_config_context *context, struct mr_parameters *parameters,
                             struct mr_json *value);
/*
 * From here to leave, ${last_run_timestamp} is `text` (NULL: that of a first run), also where a parameter is made of it.
 */
void mr_parameters_enter(struct mr_parameters *parameters, const char *text);
void mr_parameters_leave(struct mr_config_context *context, struct mr_parameters *parameters);
/* A note for every parameter of the command line that nothing uses. */
enum mr_status mr_parameters_note_unused(struct mr_config_context *context,
                                         const struct mr_parameters *parameters);

#endif
