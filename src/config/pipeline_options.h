/*
 * pipeline_options.h - the option tables of what is not a method: the pipeline itself, a step, and the keys that every
 * method of a step type has in common.
 */
#ifndef MR_CONFIG_PIPELINE_OPTIONS_H
#define MR_CONFIG_PIPELINE_OPTIONS_H

#include "ext/registry.h"

/* Top level of the file. `steps` and `parameters` are ANY here and read by their own code. */
extern const struct mr_option mr_pipeline_options[];
/* One element of `steps`. */
extern const struct mr_option mr_step_options[];
/* Keys of `config` that a method has besides its own table. */
const struct mr_option *mr_common_options(const struct mr_method *method);

#endif
