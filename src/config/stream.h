/*
 * stream.h - the keys that loads have in mode streaming: trigger, checkpointLocation, outputMode, queryName.
 *
 * They are written in loads and mean the whole pipeline (outputMode: the load), so several loads must agree.
 */
#ifndef MR_CONFIG_STREAM_H
#define MR_CONFIG_STREAM_H

#include "config/context.h"
#include "config/spec.h"

/* Where each was found first, while the steps are read. */
struct mr_stream_reader {
    struct mr_stream_spec spec;
    const struct mr_option_value *trigger;
    const struct mr_option_value *checkpoint;
    const struct mr_option_value *query;
};

/*
 * "5 seconds", "processingTime=5 seconds", "once", "availableNow" (alone, or as "availableNow=true"). False when it is none of these.
 */
bool mr_trigger_parse(const char *text, struct mr_stream_spec *out);
/* The keys of one load. Problems go into the context. */
enum mr_status mr_stream_read(struct mr_stream_reader *reader, struct mr_config_context *context,
                              enum mr_mode mode, const struct mr_options *common, int *output_mode);
/* `state` as the file gives it, or NULL. Where a checkpointLocation is given it becomes the state's path. */
enum mr_status mr_stream_finish(const struct mr_stream_reader *reader,
                                struct mr_config_context *context,
                                const struct mr_option_value *state, struct mr_spec *spec);

#endif
