/*
 * config.h - how to reach a cluster: options of DIALECT -> settings of librdkafka.
 */
#ifndef MR_CONNECT_KAFKA_CONFIG_H
#define MR_CONNECT_KAFKA_CONFIG_H

#include "ext/runtime.h"

#include <librdkafka/rdkafka.h>

/* The rows of the connection, for extract and load. */
#define MR_KAFKA_CONNECTION_ROWS                                                                   \
    {.name = "bootstrap.servers",                                                                  \
     .aliases = "kafka.bootstrap.servers,bootstrapServers",                                        \
     .type = MR_OPTION_STRING,                                                                     \
     .flags = MR_OPTION_CONNECTION,                                                                \
     .doc = "Brokers to begin with, host:port separated by commas. Default: "                      \
            "KAFKA_BOOTSTRAP_SERVERS."},                                                           \
    {                                                                                              \
        .name = "kafka.", .type = MR_OPTION_PAIRS,                                                 \
        .flags = MR_OPTION_PREFIX | MR_OPTION_CONNECTION | MR_OPTION_SECRET,                       \
        .doc = "Settings of the client (librdkafka's names; those of Java clients are translated " \
               "where there is an equivalent)."                                                    \
    }

struct kafka_setting {
    const char *name; /* librdkafka's */
    const char *value;
    const char *key; /* as the user wrote it */
};

struct kafka_settings {
    const struct mr_options *options;
    const char *servers; /* NULL offline, when nothing says it */
    struct kafka_setting *items;
    int count;
};

enum kafka_role { KAFKA_CONSUMER, KAFKA_PRODUCER };

/* Translates and checks all of them; needs no network. Texts live in the arena or the options. */
enum mr_status kafka_settings_read(struct kafka_settings *settings,
                                   const struct mr_options *options, enum kafka_role role,
                                   const struct mr_runtime *runtime, struct mr_arena *arena,
                                   struct mr_error *err);
/* What the user set under this name of librdkafka, or NULL. */
const char *kafka_settings_get(const struct kafka_settings *settings, const char *name);
/* The same, of a size in KiB: in bytes, 0 = not set. */
int64_t kafka_settings_kilobytes(const struct kafka_settings *settings, const char *name);
/* isolation.level, in any spelling of librdkafka's. */
bool kafka_is_uncommitted(const struct kafka_settings *settings);
/* A configuration with all of it, for rd_kafka_new or rd_kafka_conf_destroy. */
enum mr_status kafka_settings_conf(const struct kafka_settings *settings, rd_kafka_conf_t **out,
                                   struct mr_error *err);
/* Sets what is ours to say. A value that librdkafka refuses is a defect. */
enum mr_status kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                              struct mr_error *err);

#endif
