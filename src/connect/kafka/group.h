/*
 * group.h - topics that several processes share: lanes, and membership of the consumer group.
 */
#ifndef MR_CONNECT_KAFKA_GROUP_H
#define MR_CONNECT_KAFKA_GROUP_H

#include "connect/kafka/source.h"

#define KAFKA_TOPIC_SIZE 256

/* lane.c */
bool kafka_lane_parse(const char *name, char topic[KAFKA_TOPIC_SIZE], int32_t *partition);

/* group.c */
extern const struct mr_source_group kafka_group;
/* Everything in front of partition->end is committed: the group is told within seconds, for monitoring alone. Any thread. */
void kafka_member_reached(void *member, const struct kafka_partition *partition);

#endif
