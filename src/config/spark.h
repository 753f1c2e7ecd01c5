/*
 * spark.h - sparkConf: settings of Spark mapped to ours, or accepted with a reason, or refused.
 */
#ifndef MR_CONFIG_SPARK_H
#define MR_CONFIG_SPARK_H

#include "config/check.h"
#include "config/spec.h"

/* Quantities that several keys contribute to. */
enum mr_spark_quantity {
    MR_SPARK_DYNAMIC,   /* spark.dynamicAllocation.enabled */
    MR_SPARK_MIN,       /* .minExecutors */
    MR_SPARK_INITIAL,   /* .initialExecutors */
    MR_SPARK_MAX,       /* .maxExecutors */
    MR_SPARK_INSTANCES, /* spark.executor.instances */
    MR_SPARK_CORES,     /* spark.executor.cores */
    MR_SPARK_MEMORY,    /* spark.executor.memory, bytes */
    MR_SPARK_OVERHEAD,  /* spark.executor.memoryOverhead, bytes */
    MR_SPARK_BROADCAST, /* spark.sql.autoBroadcastJoinThreshold, bytes, 0 = never */
    MR_SPARK_ADAPTIVE,  /* spark.sql.adaptive.enabled */
    MR_SPARK_ANSI,      /* spark.sql.ansi.enabled */
    MR_SPARK_QUANTITIES
};

/* A setting that stands for an option of steps. */
struct mr_spark_option {
    struct mr_spark_option *next;
    const char *key;    /* Spark's */
    const char *system; /* of the steps meant */
    const char *option;
    const char *text;
    struct mr_position position;
    int used; /* steps that took it */
};

struct mr_spark {
    bool set[MR_SPARK_QUANTITIES];
    int64_t value[MR_SPARK_QUANTITIES];
    const char *text[MR_SPARK_QUANTITIES];
    struct mr_position position[MR_SPARK_QUANTITIES];
    const char *time_zone;
    struct mr_position time_zone_at;
    struct mr_spark_option *options; /* in the order of the file */
};

/* `pairs` is the option sparkConf (may be unset); --conf of the request is put over it. */
enum mr_status mr_spark_read(struct mr_config_context *context, const struct mr_option_value *pairs,
                             struct mr_spark *spark);
/* Gives a step the options that it does not set itself. */
enum mr_status mr_spark_apply_to_step(struct mr_config_context *context, struct mr_spark *spark,
                                      const char *system, struct mr_options *options);
/* Sets the spec's pipeline-level fields where the file has no key of ours, and writes the notes. */
enum mr_status mr_spark_apply(struct mr_config_context *context, struct mr_spark *spark,
                              const struct mr_options *pipeline, struct mr_spec *spec);

#endif
