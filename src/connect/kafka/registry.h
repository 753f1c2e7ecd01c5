/*
 * registry.h - a registry of Avro schemas (the REST interface of Confluent's, which Karapace, Redpanda and Apicurio speak too).
 */
#ifndef MR_CONNECT_KAFKA_REGISTRY_H
#define MR_CONNECT_KAFKA_REGISTRY_H

#include "enc/avro_schema.h"
#include "ext/runtime.h"

/* For extract and load. */
#define MR_KAFKA_REGISTRY_ROWS                                                                     \
    {.name = "schemaRegistry",                                                                     \
     .aliases = "schema.registry.url",                                                             \
     .type = MR_OPTION_STRING,                                                                     \
     .flags = MR_OPTION_CONNECTION | MR_OPTION_SECRET,                                             \
     .doc = "URL of the registry of Avro schemas; may hold user:password@."},                      \
        {.name = "schemaRegistryUserInfo",                                                         \
         .aliases = "schema.registry.basic.auth.user.info",                                        \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION | MR_OPTION_SECRET,                                         \
         .doc = "user:password for the registry."},                                                \
        {.name = "schemaRegistryCa",                                                               \
         .aliases = "schema.registry.ssl.ca.location",                                             \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .doc = "PEM file with the authorities that the registry's certificate is checked "        \
                "against; default: the system's."},                                                \
        {.name = "schemaRegistryCertificate",                                                      \
         .aliases = "schema.registry.ssl.certificate.location",                                    \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .doc = "PEM file with the own certificate for the registry."},                            \
    {                                                                                              \
        .name = "schemaRegistryKey", .aliases = "schema.registry.ssl.key.location",                \
        .type = MR_OPTION_STRING, .flags = MR_OPTION_CONNECTION,                                   \
        .doc = "PEM file with the key of the own certificate."                                     \
    }

/* Bytes in front of Avro data: 0, and the id of the schema in four, the highest first. */
#define KAFKA_FRAME_BYTES 5

/* How to reach one; immutable, any thread. */
struct kafka_registry;

/* Immutable, and there until the run ends (where runs share things: the process). */
struct kafka_registered {
    int32_t id;
    const struct mr_avro_document *document;
};

/*
 * Reads the options; asks nothing. *out is NULL when schemaRegistry is not set. In the arena; `status` (MR_SOURCE or MR_SINK) is that of
 * errors.
 */
enum mr_status kafka_registry_open(const struct mr_options *options, enum mr_status status,
                                   struct mr_arena *arena, const struct kafka_registry **out,
                                   struct mr_error *err);
/* The URL, without secrets. */
const char *kafka_registry_place(const struct kafka_registry *registry);
/*
 * The schema with this id: asked for once, whoever asks (needs runtime->shared or common). Errors: DATA no Avro schema has this id; TRANSIENT
 * the registry does not answer, after the retries of the runtime; CONFIG all else.
 */
enum mr_status kafka_registry_schema(const struct kafka_registry *registry,
                                     struct mr_runtime *runtime, int32_t id,
                                     const struct kafka_registered **out, struct mr_error *err);
/*
 * The latest schema of a subject. In streaming once a process, else once a run; CONFIG when there is none.
 */
enum mr_status kafka_registry_latest(const struct kafka_registry *registry,
                                     struct mr_runtime *runtime, const char *subject,
                                     const struct kafka_registered **out, struct mr_error *err);
/* Registers an Avro schema (JSON text) under a subject, where it may be already; *id is its id. CONFIG when it is refused. */
enum mr_status kafka_registry_register(const struct kafka_registry *registry,
                                       struct mr_runtime *runtime, const char *subject,
                                       struct mr_slice schema, int32_t *id, struct mr_error *err);

#endif
