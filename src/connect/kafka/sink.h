/*
 * sink.h - what the parts of toKafka share.
 */
#ifndef MR_CONNECT_KAFKA_SINK_H
#define MR_CONNECT_KAFKA_SINK_H

#include "base/thread.h"
#include "col/batch.h"
#include "connect/kafka/client.h"
#include "connect/kafka/kafka.h"
#include "connect/kafka/registry.h"

extern const struct mr_option kafka_load_options[];

enum kafka_load_format { KAFKA_LOAD_JSON, KAFKA_LOAD_AVRO };   /* choices of `format` */
enum kafka_load_mode { KAFKA_LOAD_APPEND, KAFKA_LOAD_UPSERT }; /* choices of `mode` */
enum kafka_transactional { KAFKA_TXN_AUTO, KAFKA_TXN_TRUE, KAFKA_TXN_FALSE };

#define KAFKA_RUN_MAX 64

/* --- sink_link.c: the connection of a load, as its options say it --- */

struct kafka_link {
    struct kafka_settings settings;
    const char *topic;    /* NULL: every row names its own */
    const char *progress; /* the topic that remembers epochs */
    const char *id;       /* transactional.id; NULL: at least once */
    const char *why;      /* it is only that: "kafka.acks is 1" */
    const char *key;      /* of the producer that loads with the same connection share */
    const char *state_key;
    int64_t timeout_millis; /* of a transaction */
};

/* `options` may be NULL (the file has no such load any more): MR_CONFIG. Texts live in the arena or the options. */
enum mr_status kafka_link_read(struct kafka_link *link, const struct mr_options *options,
                               struct mr_runtime *runtime, int lane, struct mr_arena *arena,
                               struct mr_error *err);
/* What a client that only asks and reads is made with: none of a producer's own settings. */
enum mr_status kafka_link_reader(const struct kafka_link *link, bool committed,
                                 rd_kafka_conf_t **out, struct mr_error *err);
enum mr_status kafka_link_producer(const struct kafka_link *link, int64_t queue_bytes,
                                   rd_kafka_conf_t **out, struct mr_error *err);

/* --- progress.c: what the topic of epochs remembers --- */

/* Of one load: key ["stateKey",lane,"topic",sequence]. */
struct kafka_memory {
    char *key;
    char uuid[33];
    char run[KAFKA_RUN_MAX];
    int64_t epoch;
    struct mr_slice positions; /* owned */
};
struct kafka_memories {
    struct kafka_memory *items;
    int count;
};

void kafka_memories_reset(struct kafka_memories *memories);
/* Replaces that of the same key. */
enum mr_status kafka_memories_put(struct kafka_memories *memories,
                                  const struct kafka_memory *memory, struct mr_error *err);
/* Or NULL. */
const struct kafka_memory *kafka_memories_find(const struct kafka_memories *memories,
                                               const char *key);
/* `["orders",0,`: what the keys of a pipeline's lane begin with. */
enum mr_status kafka_progress_prefix(const char *state_key, int lane, struct mr_arena *arena,
                                     const char **out, struct mr_error *err);
enum mr_status kafka_progress_key(const char *prefix, const char *topic, int sequence,
                                  struct mr_arena *arena, const char **out, struct mr_error *err);
/* The number behind the last comma of a key. */
int kafka_progress_sequence(const char *key);
/* The same load of another place in the pipeline. */
bool kafka_progress_same_topic(const char *key, const char *other);
void kafka_progress_value(const struct kafka_memory *memory, struct mr_bytes *out);

struct kafka_producer;
/* How many partitions a topic has, 0 = there is none of that name. */
enum mr_status kafka_topic_partitions(struct kafka_producer *producer, struct mr_runtime *runtime,
                                      const char *topic, int *out, struct mr_error *err);
/* Makes the topic of epochs if it is missing. *partition: where those of this prefix are. */
enum mr_status kafka_progress_ready(struct kafka_producer *producer, struct mr_runtime *runtime,
                                    const char *prefix, bool make, int *partition,
                                    struct mr_error *err);
/*
 * What is committed under the prefix. Where the last records of ours are in a transaction that is not decided: *undecided; NULL: waits for
 * its end, MR_CLASS_TRANSIENT when that takes too long.
 */
enum mr_status kafka_progress_read(struct kafka_producer *producer, struct mr_runtime *runtime,
                                   const char *prefix, int partition, struct kafka_memories *out,
                                   bool *undecided, struct mr_error *err);

/* --- producer.c: a handle that sends, and who waits for it --- */

/* What one writer has sent. */
struct kafka_flight {
    struct kafka_flight *next;
    struct kafka_producer *producer;
    atomic_int_fast64_t done; /* delivered or failed */
    atomic_int failed;        /* rd_kafka_resp_err_t of the first that failed */
    int64_t sent;             /* the writer's, like the next two */
    int64_t still, since;     /* who waits has seen so many done since then; 0 = has not waited */
    int fd;                   /* eventfd: something was delivered */
    atomic_bool waiting;
    bool used;     /* producer->lock */
    bool forsaken; /* producer->lock: the handle that sent its records is gone */
};

enum kafka_phase {
    KAFKA_CLOSED, /* no handle */
    KAFKA_READY,  /* transactions: fenced, memories are known; else: sending */
    KAFKA_OPEN,   /* a transaction of (epoch, run) */
};

struct kafka_producer {
    struct mr_arena arena;
    struct kafka_link link; /* texts in the arena */
    rd_kafka_conf_t *reader_conf;
    rd_kafka_conf_t *peeker_conf; /* reads what is not committed */
    const char *prefix;           /* of keys of memories */
    uint64_t nonce; /* of this object: what a transaction was begun by is here or gone */
    struct kafka_client *reader; /* NULL until asked */
    struct kafka_client *client; /* of phase READY, OPEN */
    struct mr_thread poller;
    atomic_bool stop;
    pthread_mutex_t lock;
    bool busy;              /* lock: somebody changes the phase */
    enum kafka_phase phase; /* lock, or whoever is busy */
    bool fenced;            /* the same: another producer has taken over */
    bool ended;             /* the same: the transaction of epoch and run is committed */
    int64_t epoch;          /* the same */
    char run[KAFKA_RUN_MAX];
    int64_t begun;                  /* monotonic: when the transaction was begun */
    rd_kafka_topic_t *progress;     /* the topic of epochs; of `client` */
    int partition;                  /* in it */
    struct kafka_memories memories; /* committed */
    struct kafka_memories pending;  /* in the open transaction */
    struct kafka_flight *flights;   /* lock */
    int writers;                    /* lock */
    struct mr_memory *account;      /* lock: what the queue is charged to */
    int64_t charged;                /* lock */
    int64_t queue_bytes;
};

/* The producer that this process has for the link, made if there is none. *owned: nothing is shared, the caller frees it. */
enum mr_status kafka_producer_get(const struct kafka_link *link, struct mr_runtime *runtime,
                                  int lane, struct kafka_producer **out, bool *owned,
                                  struct mr_error *err);
void kafka_producer_free(void *producer);
/* A client for questions and for reading the topic of epochs. */
enum mr_status kafka_producer_reader(struct kafka_producer *producer, struct kafka_client **out,
                                     struct mr_error *err);
void kafka_producer_forget_reader(struct kafka_producer *producer);
/* A handle with its thread; *phase stays. */
enum mr_status kafka_producer_start(struct kafka_producer *producer, struct mr_runtime *runtime,
                                    struct mr_error *err);
/* Drops the handle with all that is under way in it. Nobody is writing. */
void kafka_producer_drop(struct kafka_producer *producer);

enum mr_status kafka_flight_open(struct kafka_producer *producer, struct kafka_flight **out,
                                 struct mr_error *err);
void kafka_flight_close(struct kafka_flight *flight);
struct kafka_record {
    rd_kafka_topic_t *topic;
    const char *name; /* of the topic, where a row says it: the writer's business */
    int32_t partition;
    struct mr_slice key;         /* data NULL: none */
    struct mr_slice value;       /* data NULL: a tombstone */
    int64_t millis;              /* 0: now */
    rd_kafka_headers_t *headers; /* taken over, also when it fails */
};
enum mr_status kafka_flight_send(struct kafka_flight *flight, struct mr_runtime *runtime,
                                 const struct kafka_record *record, struct mr_error *err);
/* Until all that was sent is delivered. */
enum mr_status kafka_flight_land(struct kafka_flight *flight, struct mr_runtime *runtime,
                                 struct mr_error *err);
/* Wakes all that wait. */
void kafka_producer_wake(struct kafka_producer *producer);
/* An error of the handle: fenced, a transaction that took too long, or what librdkafka says. */
enum mr_status kafka_producer_error(struct kafka_producer *producer, rd_kafka_resp_err_t code,
                                    const char *doing, struct mr_error *err);

/* --- transaction.c --- */

/* Opens the handle, fences who had it, and reads what is committed: READY. */
enum mr_status kafka_transaction_ready(struct kafka_producer *producer, struct mr_runtime *runtime,
                                       struct mr_error *err);
/* OPEN for this epoch and run; any thread. Others wait for the one who begins it. */
enum mr_status kafka_transaction_begin(struct kafka_producer *producer, struct mr_runtime *runtime,
                                       int64_t epoch, struct mr_error *err);
bool kafka_transaction_is(const struct kafka_producer *producer, int64_t epoch, const char *run);
/* *decided false: it failed, and whether it is committed has to be asked. */
enum mr_status kafka_transaction_end(struct kafka_producer *producer, struct mr_runtime *runtime,
                                     bool *decided, struct mr_error *err);
/* Nothing to do where none is open. */
enum mr_status kafka_transaction_abort(struct kafka_producer *producer, struct mr_runtime *runtime,
                                       struct mr_error *err);

/* --- encode.c: rows as records --- */

struct kafka_columns { /* numbers of columns, -1 = none */
    int key, value, headers, partition, timestamp, topic;
    enum kafka_load_format format;
    enum kafka_load_mode mode;
    const struct mr_schema *payload; /* of the whole row as value; NULL: `value` */
    int *from;                       /* of each column of the payload: its number in the row */
    const struct mr_avro_document *avro;
    const struct kafka_registry *registry; /* NULL: data without a number in front */
    const char *subject;                   /* in it */
};
/* `directory`: where the path of a schema begins. */
enum mr_status kafka_columns_bind(const struct mr_options *options, const struct mr_schema *schema,
                                  const char *directory, struct mr_arena *arena,
                                  struct kafka_columns *out, struct mr_error *err);

struct kafka_encoder;
/* `schema`: its number in the registry, -1 = none. */
enum mr_status kafka_encoder_new(const struct kafka_columns *columns, int32_t schema,
                                 struct kafka_encoder **out, struct mr_error *err);
void kafka_encoder_free(struct kafka_encoder *encoder);
/* Calls `send` for each record of the batch; `record->topic` is not set. */
typedef enum mr_status (*kafka_send)(void *context, struct kafka_record *record,
                                     struct mr_error *err);
enum mr_status kafka_encode(struct kafka_encoder *encoder, struct mr_batch *batch, kafka_send send,
                            void *context, struct mr_error *err);

/* --- sink_token.c --- */

struct kafka_token {
    bool transactional;
    int lane;
    int64_t epoch;
    const char *uuid;
    const char *run;
    const char *key; /* of its memory */
    /* what was remembered under the key when the transaction began; epoch 0 = nothing */
    int64_t before_epoch;
    const char *before_uuid;
    const char *before_run;
};
void kafka_token_write(const struct kafka_token *token, struct mr_bytes *out);
enum mr_status kafka_token_read(struct mr_slice bytes, struct mr_arena *arena,
                                struct kafka_token *out, struct mr_error *err);

/* --- sink_writer.c, sink_commit.c --- */

struct kafka_load { /* a bound sink */
    struct kafka_link link;
    struct kafka_columns columns;
    int sequence;
};
enum mr_status kafka_writer_open(void *state, struct mr_runtime *runtime,
                                 const struct mr_epoch *epoch, int task, void **writer,
                                 struct mr_error *err);
enum mr_status kafka_writer_write(void *writer, struct mr_batch *batch, struct mr_error *err);
enum mr_status kafka_writer_finish(void *writer, struct mr_bytes *committable,
                                   struct mr_error *err);
void kafka_writer_close(void *writer);
/* What a committable says. */
bool kafka_committable_read(struct mr_slice bytes, uint64_t *nonce);
enum mr_status kafka_load_prepare(void *state, struct mr_runtime *runtime,
                                  const struct mr_epoch *epoch, const struct mr_slice *committables,
                                  int ncommittables, struct mr_bytes *token, struct mr_error *err);
enum mr_status kafka_load_commit(const struct mr_options *options, struct mr_runtime *runtime,
                                 struct mr_slice token, struct mr_error *err);
enum mr_status kafka_load_recover(const struct mr_options *options, struct mr_runtime *runtime,
                                  int lane, struct mr_recovered *out, struct mr_error *err);
enum mr_status kafka_load_abort(const struct mr_options *options, struct mr_runtime *runtime,
                                struct mr_slice token, struct mr_error *err);

#endif
