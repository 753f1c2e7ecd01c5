/*
 * kafka.h - topics of Apache Kafka: the source (fromKafka).
 */
#ifndef MR_CONNECT_KAFKA_KAFKA_H
#define MR_CONNECT_KAFKA_KAFKA_H

#include "ext/source.h"

extern const struct mr_source mr_source_kafka;

#endif
