/*
 * kafka.h - topics of Apache Kafka: the source (fromKafka) and the sink (toKafka).
 */
#ifndef MR_CONNECT_KAFKA_KAFKA_H
#define MR_CONNECT_KAFKA_KAFKA_H

#include "ext/sink.h"
#include "ext/source.h"

extern const struct mr_source mr_source_kafka;
extern const struct mr_sink mr_sink_kafka;

#endif
