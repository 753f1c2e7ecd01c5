/*
 * offsets.h - partitions, the offsets that are in them, and the offsets that a run reads.
 */
#ifndef MR_CONNECT_KAFKA_OFFSETS_H
#define MR_CONNECT_KAFKA_OFFSETS_H

#include "base/tz.h"
#include "connect/kafka/client.h"

/* A place in a topic: the offset of the next record. */
struct kafka_mark {
    const char *topic;
    int32_t partition;
    int64_t offset; /* in options also KAFKA_EARLIEST, KAFKA_LATEST */
};

#define KAFKA_LATEST   (-1)
#define KAFKA_EARLIEST (-2)

/* Places of a cluster, sorted by topic and partition. */
struct kafka_marks {
    const char *cluster; /* "" = not said */
    struct kafka_mark *items;
    int count;
};

/* positions.c: 01 | cluster | number of | topic, partition, offset each */
enum mr_status kafka_marks_write(const struct kafka_marks *marks, struct mr_arena *arena,
                                 struct mr_slice *out, struct mr_error *err);
/* False when the bytes are not what write made; running out of memory is in `err`. */
bool kafka_marks_read(struct mr_slice bytes, struct mr_arena *arena, struct kafka_marks *out,
                      struct mr_error *err);
/* {"topic":{"0":17}}: as people (and Spark) write it. NULL: out of memory. */
const char *kafka_marks_text(const struct kafka_marks *marks, struct mr_arena *arena);
/* False with the reason in `why`: not of that form. */
bool kafka_marks_parse(struct mr_slice json, struct mr_arena *arena, struct kafka_marks *out,
                       char *why, size_t room, struct mr_error *err);
/* The mark of a partition, or NULL. */
const struct kafka_mark *kafka_marks_find(const struct kafka_marks *marks, const char *topic,
                                          int32_t partition);

/* A partition of this run. */
struct kafka_partition {
    const char *topic;
    int32_t number;
    int64_t low; /* the first offset that is kept */
    int64_t
        high; /* behind the last that may be read (read_committed: in front of open transactions) */
    int64_t from; /* what is read: [from, end) */
    int64_t end;
    int64_t goal; /* where it would end if nothing bounded the epoch */
};

struct kafka_partitions {
    struct kafka_partition *items; /* sorted by topic and number */
    int count;
    const char *cluster;
};

/* Where to begin or to end. */
struct kafka_point {
    enum { KAFKA_AT_EARLIEST, KAFKA_AT_LATEST, KAFKA_AT_TIME, KAFKA_AT_MARKS } kind;
    int64_t millis;           /* AT_TIME */
    struct kafka_marks marks; /* AT_MARKS */
    /* where it was said; AT_MARKS and AT_TIME */
    const struct mr_options *options;
    const char *option;
};

/* The value of startingOffsets or endingOffsets (JSON text). MR_CONFIG at the option. */
enum mr_status kafka_point_read(const struct mr_options *options, const char *name,
                                const struct mr_tz *tz, struct mr_arena *arena,
                                struct kafka_point *out, struct mr_error *err);

/* Topics by name, or all that a pattern matches as a whole (PCRE2). */
struct kafka_topics {
    const char *const *names;
    int count;
    const char *pattern; /* or NULL */
    const struct mr_options *options;
};
/* What can be said of them offline: a pattern that is none. */
enum mr_status kafka_topics_check(const struct kafka_topics *topics, struct mr_error *err);
/* The same of offsets: those of a topic that is not read. */
enum mr_status kafka_point_check(const struct kafka_point *point, const struct kafka_topics *topics,
                                 struct mr_error *err);
/* Partitions and cluster in the arena. */
enum mr_status kafka_find_partitions(struct kafka_client *client, struct mr_runtime *runtime,
                                     const struct kafka_topics *topics, struct mr_arena *arena,
                                     struct kafka_partitions *out, struct mr_error *err);
/* low and high. */
enum mr_status kafka_ask_watermarks(struct kafka_client *client, struct mr_runtime *runtime,
                                    struct kafka_partitions *partitions, struct mr_error *err);
/* high alone; low is 0. */
enum mr_status kafka_ask_ends(struct kafka_client *client, struct mr_runtime *runtime,
                              struct kafka_partitions *partitions, struct mr_error *err);
/*
 * The offsets of a point in all partitions, into `into` (one each). Marks have to name every partition, and offsets that are not in
 * [low, high] are the caller's business; a time may raise `high`: that of a record which has come in since.
 */
enum mr_status kafka_resolve(struct kafka_client *client, struct mr_runtime *runtime,
                             struct kafka_partitions *partitions, const struct kafka_point *point,
                             int64_t *into, struct mr_error *err);

#endif
