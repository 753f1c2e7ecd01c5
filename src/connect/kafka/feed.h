/*
 * feed.h - what a process that streams keeps from epoch to epoch: a client, what it knows of the cluster, and partitions that are being fetched.
 */
#ifndef MR_CONNECT_KAFKA_FEED_H
#define MR_CONNECT_KAFKA_FEED_H

#include "connect/kafka/offsets.h"

struct kafka_hub;
struct kafka_feed;

/*
 * The hub of a step in this process: made by the first epoch, lives in runtime->common, which must be there. Asks for metadata. `bytes`: what
 * all its partitions together may fetch ahead.
 */
enum mr_status kafka_hub_get(const struct kafka_settings *settings,
                             const struct kafka_topics *topics, int64_t bytes,
                             struct mr_runtime *runtime, struct kafka_hub **out,
                             struct mr_error *err);
/* For questions, and what fetches. The hub's. */
struct kafka_client *kafka_hub_asker(struct kafka_hub *hub);
struct kafka_client *kafka_hub_fetcher(struct kafka_hub *hub);
/* Bytes that one feed may hold. */
int64_t kafka_hub_queue_bytes(const struct kafka_hub *hub);
/* Partitions and cluster, copied into the arena; asked for again where the answer is old, or `now` is set. One thread at a time, as the next ones. */
enum mr_status kafka_hub_partitions(struct kafka_hub *hub, const struct kafka_topics *topics,
                                    bool now, struct mr_runtime *runtime, struct mr_arena *arena,
                                    struct kafka_partitions *out, struct mr_error *err);
/*
 * Where the stream has begun, as long as nothing is committed: `starts` (one each) as they are the first time, later those of then; 0 for partitions
 * that have come since, of which everything is read.
 */
enum mr_status kafka_hub_begin(struct kafka_hub *hub, const struct kafka_partitions *partitions,
                               int64_t *starts, struct mr_error *err);
/* maxRatePerPartition: records that may be read now of one partition; `spend` of them are. */
int64_t kafka_hub_allowance(struct kafka_hub *hub, const struct kafka_partition *partition,
                            int64_t rate, int64_t now_micros);
void kafka_hub_spend(struct kafka_hub *hub, const struct kafka_partition *partition, int64_t rate,
                     int64_t now_micros);

/*
 * The feed of a partition, for a reader that begins at `from`: continued where it stands there, else begun anew. *out is NULL when another reader has
 * it. Any thread; then the reader's.
 */
enum mr_status kafka_feed_take(struct kafka_hub *hub, const char *topic, int32_t partition,
                               int64_t from, struct kafka_feed **out, struct mr_error *err);
/* `good`: what it has fetched is of use to the next reader. */
void kafka_feed_give(struct kafka_feed *feed, bool good);
/* Begins anew at an offset. */
enum mr_status kafka_feed_start(struct kafka_feed *feed, int64_t from, struct mr_error *err);
/* The next record or event, or NULL: nothing is there. The caller's to destroy, or to put back: at most the last one. */
rd_kafka_message_t *kafka_feed_poll(struct kafka_feed *feed);
void kafka_feed_put_back(struct kafka_feed *feed, rd_kafka_message_t *message);
/* All records in front of this offset have been polled. */
int64_t kafka_feed_next(const struct kafka_feed *feed);
/* Readable when something came; emptied before it is looked into. */
int kafka_feed_fd(const struct kafka_feed *feed);
void kafka_feed_quiet(struct kafka_feed *feed);
size_t kafka_feed_queued(const struct kafka_feed *feed);

#endif
