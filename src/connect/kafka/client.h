/*
 * client.h - a handle of librdkafka: opening, questions with a deadline, errors, its log.
 */
#ifndef MR_CONNECT_KAFKA_CLIENT_H
#define MR_CONNECT_KAFKA_CLIENT_H

#include "connect/kafka/config.h"

#include <pthread.h>

struct kafka_client;

/* Takes over `conf`, also when it fails. Connects in the background. */
enum mr_status kafka_client_open(rd_kafka_conf_t *conf, enum kafka_role role,
                                 struct kafka_client **out, struct mr_error *err);
/* Does not wait for brokers that do not answer. NULL is allowed. */
void kafka_client_close(struct kafka_client *client);
/* It serves a load: waits and failures of its questions are those of the target. */
void kafka_client_of_sink(struct kafka_client *client);
rd_kafka_t *kafka_client_handle(struct kafka_client *client);
/* What librdkafka has logged since, as notes of the run. The runtime's thread. */
void kafka_client_tell(struct kafka_client *client, struct mr_runtime *runtime);

/* Has it complained (a connection was lost, or worse) since this was asked last? */
bool kafka_client_troubled(struct kafka_client *client);

/*
 * Asks until there is an answer: `ask` blocks for at most `millis` and is called on a thread of its own, again after time-outs and lost
 * connections. Waits in mr_wait; a cancel ends it within a second or two where the broker has been quick or is not connected, else within
 * eight. `doing` is for the message: "reading the list of topics".
 */
typedef rd_kafka_resp_err_t (*kafka_question)(rd_kafka_t *rk, int millis, void *context);
enum mr_status kafka_client_ask(struct kafka_client *client, struct mr_runtime *runtime,
                                kafka_question ask, void *context, const char *doing,
                                struct mr_error *err);

/* An error of librdkafka as one of ours (`status`: MR_SOURCE or MR_SINK): class, message, hint. */
enum mr_status kafka_error(struct kafka_client *client, enum mr_status status,
                           rd_kafka_resp_err_t code, struct mr_error *err, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* May the same call succeed later, without anybody doing anything? */
bool kafka_is_transient(rd_kafka_resp_err_t code);

/* The consumer's queue: readable when something was put into it. Drained by kafka_client_quiet before looking into it. */
enum mr_status kafka_client_watch(struct kafka_client *client, struct mr_error *err);
int kafka_client_fd(const struct kafka_client *client);
/* Records and events in it. */
size_t kafka_client_queued(const struct kafka_client *client);
/*
 * Has the thread of a partition's leader look at its queues: in librdkafka before 2.2 it does by itself only when an answer comes, or once a second,
 * so that fetching stands still for as long once a queue was full. Does not wait.
 */
void kafka_client_nudge(struct kafka_client *client, const char *topic, int32_t partition);
void kafka_client_quiet(struct kafka_client *client);

#define KAFKA_TOPIC_RULE                                                                           \
    "the name of a topic has 1 to 249 letters, digits, dots, underscores and hyphens"
/* What brokers take. A byte 0 would end the name, and a row go elsewhere. */
bool kafka_is_topic(struct mr_slice name);

#endif
