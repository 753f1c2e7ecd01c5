/*
 * steps.h - the steps of a pipeline: method, options, frames.
 */
#ifndef MR_CONFIG_STEPS_H
#define MR_CONFIG_STEPS_H

#include "config/credentials.h"
#include "config/spark.h"
#include "config/stream.h"
#include "config/substitute.h"

struct mr_frame {
    const char *name;
    struct mr_position at;
};

/* What earlier steps have left for the next one. */
struct mr_step_reader {
    struct mr_config_context *context;
    struct mr_parameters *parameters;
    struct mr_spark *spark;
    struct mr_credentials credentials;
    const char *directory; /* of the pipeline */
    enum mr_mode mode;
    struct mr_stream_reader stream;
    bool primary;        /* there is a primary frame */
    bool unknown_frames; /* a broken step may have registered any */
    struct mr_frame *frames;
    int nframes;
    struct mr_map frame_names; /* -> struct mr_frame */
    struct mr_map step_names;  /* -> struct mr_json, the name's value */
};

/* Reads the array `steps`, checks all of it and fills spec->steps. */
enum mr_status mr_steps_read(struct mr_step_reader *reader, const struct mr_json *steps,
                             struct mr_spec *spec);

#endif
