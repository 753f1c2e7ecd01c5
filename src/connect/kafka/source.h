/*
 * source.h - what the parts of fromKafka share.
 */
#ifndef MR_CONNECT_KAFKA_SOURCE_H
#define MR_CONNECT_KAFKA_SOURCE_H

#include "connect/kafka/decode.h"
#include "connect/kafka/feed.h"
#include "connect/kafka/kafka.h"
#include "connect/kafka/offsets.h"

extern const struct mr_option kafka_read_options[];

enum kafka_on_error { KAFKA_FAIL, KAFKA_DROP, KAFKA_DEAD_LETTER }; /* choices of `onError` */

/* Columns of format raw, in their order. */
enum kafka_column {
    KAFKA_KEY,
    KAFKA_VALUE,
    KAFKA_TOPIC,
    KAFKA_PARTITION,
    KAFKA_OFFSET,
    KAFKA_TIMESTAMP,
    KAFKA_TIMESTAMP_TYPE,
    KAFKA_HEADERS,
    KAFKA_COLUMNS
};

/* A bound source. What bind and offer make is in the plan's arena. */
struct kafka_source {
    const struct mr_options *options;
    struct mr_arena *arena;
    struct kafka_settings settings;
    struct kafka_client *client; /* for questions; NULL offline */
    struct kafka_hub *hub;       /* streaming: whose client it is; or NULL */
    bool streaming;
    bool planned;             /* streaming: bind has found the ranges, splits need not again */
    int64_t most;             /* maxOffsetsPerTrigger, 0 = no bound */
    int64_t rate;             /* maxRatePerPartition, 0 = no bound */
    struct mr_memory *memory; /* that `charged` is in, for the feeds of the hub */
    int64_t charged;
    struct mr_tz *tz;
    struct kafka_topics topics;
    struct kafka_point start, end;
    struct kafka_shape shape;
    enum kafka_on_error on_error;
    bool fail_on_loss;
    bool incremental;
    bool has_since;
    bool has_until; /* a stream that is to end there */
    struct kafka_marks until;
    const char *const *const *lane_keys; /* see mr_source_info; NULL = no `group` */
    void *member;                        /* of the group, where this reads a lane; or NULL */
    struct kafka_marks since;
    struct kafka_partitions partitions;
    const struct mr_schema *all;    /* NULL offline, when only the registry knows */
    const struct mr_schema *side;   /* of dead letters, or NULL */
    bool to_topic;                  /* they are records */
    const struct mr_schema *schema; /* after offer */
    int *columns;                   /* of each: its place in `all` */
    int64_t limit;                  /* rows of a split, -1 = all */
    int64_t queue_bytes;            /* that a reader's client may hold */
    /* clients without a reader */
    pthread_mutex_t lock;
    struct kafka_client **idle; /* lock */
    int nidle;                  /* lock */
    int room;                   /* lock */
};

/* schema.c */
const struct mr_schema *kafka_raw_schema(struct mr_arena *arena);
const struct mr_schema *kafka_side_schema(struct mr_arena *arena);
/* Appends what is not `wanted` to nothing: one record as a row of raw columns. */
enum mr_status kafka_append_raw(struct mr_rows *rows, const int *columns,
                                const rd_kafka_message_t *message, struct mr_error *err);
enum mr_status kafka_append_letter(struct mr_rows *rows, const rd_kafka_message_t *message,
                                   const char *column, const char *reason, struct mr_error *err);
/* The same for a topic: key, value, headers. */
const struct mr_schema *kafka_letter_record_schema(struct mr_arena *arena);
enum mr_status kafka_append_letter_record(struct mr_rows *rows, const rd_kafka_message_t *message,
                                          const char *column, const char *reason,
                                          struct mr_error *err);

/* range.c: partitions, and [from, end) of each. Again at every call. */
enum mr_status kafka_find_ranges(struct kafka_source *source, struct mr_runtime *runtime,
                                 struct mr_error *err);
/* lane.c */
enum mr_status kafka_lane_options(struct kafka_source *source, const struct mr_runtime *runtime,
                                  struct mr_error *err);
/* Of the partitions that were found, and of what is remembered, only the lane of the run. */
enum mr_status kafka_keep_lane(struct kafka_source *source, const struct mr_runtime *runtime,
                               struct mr_error *err);
void kafka_lane_ack(void *state);

int64_t kafka_ranges_rows(const struct kafka_partitions *partitions);
/* Shares `most` out over backlogs in proportion to them, at least 1 to each that is not empty. */
void kafka_share_out(const int64_t *backlogs, int count, int64_t most, int64_t *shares);

/* splits.c */
struct kafka_split {
    const char *topic;
    int32_t partition;
    int64_t from;
    int64_t end;
    bool uncommitted;
};
enum mr_status kafka_splits(void *state, struct mr_runtime *runtime, struct mr_arena *arena,
                            struct mr_split_list *out, struct mr_error *err);
enum mr_status kafka_split_read(struct mr_slice token, struct mr_arena *arena,
                                struct kafka_split *out, struct mr_error *err);
struct kafka_position {
    int64_t next;     /* offset */
    int64_t rejected; /* dead letters from there on that were delivered */
    int64_t rows;     /* of the split */
};
void kafka_position_write(struct mr_slice token, const struct kafka_position *position,
                          struct mr_bytes *out);
enum mr_status kafka_position_read(struct mr_slice bytes, struct mr_slice token,
                                   const struct kafka_split *split, struct kafka_position *out,
                                   struct mr_error *err);

/* pool.c: consumers */
/* Sets what is ours to say; `group`: librdkafka wants the name of one. */
enum mr_status kafka_reader_conf(const struct kafka_settings *settings, int64_t queue_bytes,
                                 bool group, rd_kafka_conf_t *conf, struct mr_error *err);
enum mr_status kafka_consumer_take(struct kafka_source *source, struct kafka_client **out,
                                   struct mr_error *err);
/* `good`: may serve another reader. */
void kafka_consumer_give(struct kafka_source *source, struct kafka_client *client, bool good);
void kafka_consumers_close(struct kafka_source *source);

/* read.c */
enum mr_status kafka_reader_open(void *state, struct mr_runtime *runtime, struct mr_slice split,
                                 struct mr_slice from, void **reader, struct mr_error *err);
enum mr_status kafka_reader_next(void *reader, struct mr_item *out, struct mr_error *err);
enum mr_status kafka_reader_position(void *reader, struct mr_bytes *out, struct mr_error *err);
void kafka_reader_close(void *reader);

#endif
