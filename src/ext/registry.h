/*
 * registry.h - finding implementations by name. The table itself is src/registry.c, seen only by
 * api/.
 *
 * A method is data: what a user types maps to an implementation with preset options (toS3, toFile
 * and toAvro are one sink).
 */
#ifndef MR_EXT_REGISTRY_H
#define MR_EXT_REGISTRY_H

#include "ext/option.h"

struct mr_source;
struct mr_sink;
struct mr_op;
struct mr_action;
struct mr_store;
struct mr_format;
struct mr_codec;
struct mr_conditions;
struct mr_holder;

enum mr_step_type {
    MR_STEP_EXTRACT,
    MR_STEP_TRANSFORM,
    MR_STEP_VALIDATE,
    MR_STEP_LOAD,
    MR_STEP_MAINTAIN,
};

struct mr_method {
    const char *name;    /* "toS3" */
    const char *aliases; /* comma-separated, or NULL */
    enum mr_step_type type;
    const char *doc;                /* one sentence; NULL = the implementation's */
    const struct mr_source *source; /* exactly one of these, or `unbuilt` */
    const struct mr_op *op;
    const struct mr_sink *sink;
    const struct mr_action *action;
    const char *const *presets; /* option, text, ..., NULL */
    /* known to the dialect, refused in this build: why, and what to use */
    const char *unbuilt;
};

struct mr_registry {
    const struct mr_method *methods;      /* ended by a row without name */
    const struct mr_store *const *stores; /* these three end with NULL */
    const struct mr_format *const *formats;
    const struct mr_codec *const *codecs;
    const struct mr_conditions *conditions;
    const struct mr_holder *holder; /* ext/held.h; NULL: `refresh` does nothing */
};

/* Name or alias, exact case; NULL when unknown. */
const struct mr_method *mr_registry_method(const struct mr_registry *registry, const char *name);
/* Of this type if there is one (sql transforms, and maintains), else any of the name. */
const struct mr_method *mr_registry_method_of(const struct mr_registry *registry, const char *name,
                                              enum mr_step_type type);
const struct mr_store *mr_registry_store(const struct mr_registry *registry, const char *scheme);
const struct mr_format *mr_registry_format(const struct mr_registry *registry, const char *name);
const struct mr_codec *mr_registry_codec(const struct mr_registry *registry, const char *name);
/* The nearest known method name, or NULL. */
const char *mr_registry_nearest_method(const struct mr_registry *registry, const char *name);
/* The option table, `system` and doc of whatever implements it. */
const struct mr_option *mr_method_options(const struct mr_method *method);
const char *mr_method_system(const struct mr_method *method);
const char *mr_method_doc(const struct mr_method *method);
/*
 * Input frames that it takes: transforms by their operator, loads and validations 1, extracts and
 * maintenance 0.
 */
int mr_method_min_inputs(const struct mr_method *method);
int mr_method_max_inputs(const struct mr_method *method);
/* Of formats and codecs, for the reference pages and for checks without their headers. */
const char *mr_format_name(const struct mr_format *format);
const char *mr_format_doc(const struct mr_format *format);
const struct mr_option *mr_format_options(const struct mr_format *format);
bool mr_format_can_read(const struct mr_format *format);
bool mr_format_can_write(const struct mr_format *format);
const char *mr_codec_name(const struct mr_codec *codec);
const char *mr_codec_doc(const struct mr_codec *codec);
/* min == max == 0: it has no levels. */
void mr_codec_levels(const struct mr_codec *codec, int *minimum, int *maximum, int *normal);
const char *mr_step_type_name(enum mr_step_type type); /* "extract" ... as written in "type" */

#endif
