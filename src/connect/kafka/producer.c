/*
 * producer.c - a handle of librdkafka that sends, shared by all writers of a process that load with the same connection.
 *
 * librdkafka takes records into a queue and sends them in batches from threads of its own. A thread of ours serves its delivery reports, which
 * count on the flight of the writer that sent the record; a writer that finds the queue full, or waits for its last records, is in mr_wait on
 * the flight's eventfd. Reports served by the writers themselves were refused: who waits would have to take turns in serving the
 * others. Flights stay until the producer goes: a report may come after its writer has given up.
 *
 * The object lives as long as the run, in a stream as long as the process, so that an epoch begins without connecting.
 */
#include "connect/kafka/sink.h"

#include "base/hash.h"
#include "base/thread.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define POLL_MILLIS  100
#define QUEUE_LEAST  ((int64_t)1 << 20)
#define QUEUE_MOST   ((int64_t)16 << 20)
#define LEAVE_MILLIS 5000
/* A stream that is to end: no record was taken for so long. */
#define SILENCE_AT_END MR_MICROS_PER_SECOND

/* --- the object --- */

/*
 * Whoever fails with a transaction open would leave it to the broker's time-out, and readers with read_committed behind it. Nobody else can end
 * it well: it dies with this handle. Whatever the broker answers, the next start asks it.
 */
static void leave(struct kafka_producer *producer)
{
    char text[8];
    if (producer->phase != KAFKA_OPEN || producer->client == NULL ||
        rd_kafka_fatal_error(kafka_client_handle(producer->client), text, sizeof text) !=
            RD_KAFKA_RESP_ERR_NO_ERROR)
        return; /* nothing is open, or who fenced us has ended it */
    rd_kafka_error_t *error =
        rd_kafka_abort_transaction(kafka_client_handle(producer->client), LEAVE_MILLIS);
    if (error != NULL)
        rd_kafka_error_destroy(error);
}

void kafka_producer_free(void *object)
{
    struct kafka_producer *producer = object;
    if (producer == NULL)
        return;
    leave(producer);
    kafka_producer_drop(producer);
    kafka_client_close(producer->reader);
    while (producer->flights != NULL) {
        struct kafka_flight *flight = producer->flights;
        producer->flights = flight->next;
        if (flight->fd >= 0)
            close(flight->fd);
        mr_free(flight);
    }
    kafka_memories_reset(&producer->memories);
    kafka_memories_reset(&producer->pending);
    if (producer->reader_conf != NULL)
        rd_kafka_conf_destroy(producer->reader_conf);
    if (producer->peeker_conf != NULL)
        rd_kafka_conf_destroy(producer->peeker_conf);
    pthread_mutex_destroy(&producer->lock);
    mr_arena_reset(&producer->arena);
    mr_free(producer);
}

static bool keep(struct mr_arena *arena, const char **text)
{
    if (*text != NULL)
        *text = mr_arena_strdup(arena, *text);
    return *text != NULL;
}

/* The options may be gone before the producer is. */
static bool keep_link(struct kafka_link *link, struct mr_arena *arena)
{
    struct kafka_settings *settings = &link->settings;
    struct kafka_setting *items =
        mr_arena_calloc(arena, (size_t)settings->count + 1, sizeof *items);
    bool good = items != NULL;
    for (int i = 0; good && i < settings->count; i++) {
        items[i] = settings->items[i];
        good = keep(arena, &items[i].name) && keep(arena, &items[i].value) &&
               keep(arena, &items[i].key);
    }
    settings->items = items;
    settings->options = NULL;
    link->topic = NULL;
    return good && keep(arena, &settings->servers) && keep(arena, &link->progress) &&
           keep(arena, &link->key) && keep(arena, &link->state_key) &&
           (link->id == NULL || keep(arena, &link->id)) &&
           (link->why == NULL || keep(arena, &link->why));
}

struct making {
    const struct kafka_link *link;
    int lane;
};

static enum mr_status fill(struct kafka_producer *producer, const struct making *making,
                           struct mr_error *err)
{
    const struct kafka_link *link = making->link;
    MR_TRY(kafka_link_reader(link, true, &producer->reader_conf, err));
    MR_TRY(kafka_link_reader(link, false, &producer->peeker_conf, err));
    producer->link = *link;
    if (!keep_link(&producer->link, &producer->arena))
        return mr_error_nomem(err);
    struct {
        const void *place;
        int64_t now;
        int64_t process;
    } seed = {producer, mr_clock_wall_micros(), getpid()};
    producer->nonce = mr_hash64(&seed, sizeof seed);
    return kafka_progress_prefix(link->state_key, making->lane, &producer->arena, &producer->prefix,
                                 err);
}

static enum mr_status make(void *context, void **out, struct mr_error *err)
{
    struct kafka_producer *producer = mr_calloc(1, sizeof *producer);
    if (producer == NULL)
        return mr_error_nomem(err);
    mr_mutex_init(&producer->lock);
    mr_arena_init(&producer->arena, NULL);
    enum mr_status status = fill(producer, context, err);
    if (status == MR_OK)
        *out = producer;
    else
        kafka_producer_free(producer);
    return status;
}

enum mr_status kafka_producer_get(const struct kafka_link *link, struct mr_runtime *runtime,
                                  int lane, struct kafka_producer **out, bool *owned,
                                  struct mr_error *err)
{
    struct making making = {link, lane};
    struct mr_runtime lent = *runtime;
    void *object = NULL;
    if (runtime->streaming && runtime->common != NULL)
        lent.shared = runtime->common;
    *owned = lent.shared == NULL;
    enum mr_status status =
        *owned ? make(&making, &object, err)
               : mr_shared_get(&lent, link->key, make, &making, kafka_producer_free, &object, err);
    *out = object;
    return status;
}

enum mr_status kafka_producer_reader(struct kafka_producer *producer, struct kafka_client **out,
                                     struct mr_error *err)
{
    if (producer->reader == NULL) {
        MR_TRY(kafka_client_open(rd_kafka_conf_dup(producer->reader_conf), KAFKA_CONSUMER,
                                 &producer->reader, err));
        kafka_client_of_sink(producer->reader);
        enum mr_status status = kafka_client_watch(producer->reader, err);
        if (status != MR_OK) {
            kafka_producer_forget_reader(producer);
            return status;
        }
    }
    *out = producer->reader;
    return MR_OK;
}

void kafka_producer_forget_reader(struct kafka_producer *producer)
{
    kafka_client_close(producer->reader);
    producer->reader = NULL;
}

/* --- the handle --- */

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct kafka_flight *flight = message->_private;
    int none = RD_KAFKA_RESP_ERR_NO_ERROR;
    (void)rk;
    (void)opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        atomic_compare_exchange_strong(&flight->failed, &none, message->err);
    atomic_fetch_add_explicit(&flight->done, 1, memory_order_release);
}

void kafka_producer_wake(struct kafka_producer *producer)
{
    static const uint64_t one = 1;
    pthread_mutex_lock(&producer->lock);
    for (struct kafka_flight *flight = producer->flights; flight != NULL; flight = flight->next)
        if (atomic_load(&flight->waiting))
            (void)!write(flight->fd, &one, sizeof one);
    pthread_mutex_unlock(&producer->lock);
}

static void poll_body(void *argument)
{
    struct kafka_producer *producer = argument;
    while (!atomic_load(&producer->stop)) {
        rd_kafka_poll(kafka_client_handle(producer->client), POLL_MILLIS);
        kafka_producer_wake(producer);
    }
}

/* What the user says, or a share. Never less than two of the largest records that the user allows: one that has no room in an empty queue would wait for ever. */
static int64_t queue_size(const struct kafka_producer *producer, const struct mr_runtime *runtime)
{
    const struct kafka_settings *settings = &producer->link.settings;
    const char *text = kafka_settings_get(settings, "message.max.bytes");
    int64_t given = kafka_settings_kilobytes(settings, "queue.buffering.max.kbytes");
    if (given > 0)
        return given;
    int64_t least = text != NULL ? 2 * strtoll(text, NULL, 10) : QUEUE_LEAST;
    int64_t share = mr_memory_available(runtime->memory) / 32;
    share = share > QUEUE_MOST ? QUEUE_MOST : share;
    least = least < QUEUE_LEAST ? QUEUE_LEAST : least;
    return share < least ? least : share;
}

enum mr_status kafka_producer_start(struct kafka_producer *producer, struct mr_runtime *runtime,
                                    struct mr_error *err)
{
    rd_kafka_conf_t *conf;
    producer->queue_bytes = queue_size(producer, runtime);
    MR_TRY(kafka_link_producer(&producer->link, producer->queue_bytes, &conf, err));
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    MR_TRY(kafka_client_open(conf, KAFKA_PRODUCER, &producer->client, err));
    kafka_client_of_sink(producer->client);
    atomic_store(&producer->stop, false);
    producer->fenced = false;
    enum mr_status status =
        mr_thread_start(&producer->poller, "kafka-poll", poll_body, producer, err);
    if (status != MR_OK) {
        kafka_client_close(producer->client);
        producer->client = NULL;
        return status;
    }
    mr_count(runtime, MR_COUNT_CONNECTIONS, 1);
    return MR_OK;
}

/* Reports of a handle that is gone do not come any more: its flights are free for others. */
static void forsake_flights(struct kafka_producer *producer)
{
    pthread_mutex_lock(&producer->lock);
    for (struct kafka_flight *flight = producer->flights; flight != NULL; flight = flight->next)
        flight->forsaken = true;
    pthread_mutex_unlock(&producer->lock);
}

void kafka_producer_drop(struct kafka_producer *producer)
{
    if (producer->client != NULL) {
        atomic_store(&producer->stop, true);
        mr_thread_join(&producer->poller);
        if (producer->progress != NULL)
            rd_kafka_topic_destroy(producer->progress);
        producer->progress = NULL;
        rd_kafka_purge(kafka_client_handle(producer->client), RD_KAFKA_PURGE_F_QUEUE |
                                                                  RD_KAFKA_PURGE_F_INFLIGHT |
                                                                  RD_KAFKA_PURGE_F_NON_BLOCKING);
        kafka_client_close(producer->client);
        producer->client = NULL;
        forsake_flights(producer);
    }
    producer->phase = KAFKA_CLOSED;
    producer->ended = false;
    kafka_memories_reset(&producer->pending);
}

/* --- flights --- */

static struct kafka_flight *new_flight(struct kafka_producer *producer)
{
    struct kafka_flight *flight = mr_calloc(1, sizeof *flight);
    if (flight == NULL)
        return NULL;
    flight->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (flight->fd < 0) {
        mr_free(flight);
        return NULL;
    }
    flight->producer = producer;
    flight->next = producer->flights;
    producer->flights = flight;
    return flight;
}

enum mr_status kafka_flight_open(struct kafka_producer *producer, struct kafka_flight **out,
                                 struct mr_error *err)
{
    struct kafka_flight *flight;
    pthread_mutex_lock(&producer->lock);
    for (flight = producer->flights; flight != NULL; flight = flight->next)
        if (!flight->used && (flight->forsaken || atomic_load(&flight->done) == flight->sent))
            break;
    if (flight == NULL)
        flight = new_flight(producer);
    if (flight != NULL) {
        flight->used = true;
        flight->forsaken = false;
        flight->sent = flight->since = 0;
        atomic_store(&flight->done, 0);
        atomic_store(&flight->failed, RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    pthread_mutex_unlock(&producer->lock);
    *out = flight;
    return flight != NULL ? MR_OK
                          : mr_error_set(err, MR_LIMIT, MR_CLASS_TRANSIENT,
                                         "no memory, or no more descriptors");
}

void kafka_flight_close(struct kafka_flight *flight)
{
    if (flight == NULL)
        return;
    pthread_mutex_lock(&flight->producer->lock);
    flight->used = false;
    pthread_mutex_unlock(&flight->producer->lock);
}

/* Until there may be news, which is at the latest when the thread has polled for nothing. */
static enum mr_status wait_for_news(struct kafka_flight *flight, struct mr_runtime *runtime,
                                    int64_t seen, struct mr_error *err)
{
    uint64_t count;
    enum mr_status status = MR_OK;
    int64_t now = mr_clock_monotonic_micros();
    if (flight->still != seen || flight->since == 0) {
        flight->still = seen;
        flight->since = now;
    } else if (mr_is_draining(runtime) && now - flight->since >= SILENCE_AT_END) {
        return kafka_producer_error(flight->producer, RD_KAFKA_RESP_ERR__TIMED_OUT,
                                    "no record was taken", err);
    }
    atomic_store(&flight->waiting, true);
    if (atomic_load(&flight->done) == seen)
        status =
            mr_wait(runtime->waiter, flight->fd, MR_WAIT_READ, INT64_MAX, MR_WAIT_SINK, NULL, err);
    atomic_store(&flight->waiting, false);
    while (read(flight->fd, &count, sizeof count) > 0)
        ;
    return status;
}

static bool is_fenced(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

enum mr_status kafka_producer_error(struct kafka_producer *producer, rd_kafka_resp_err_t code,
                                    const char *doing, struct mr_error *err)
{
    char text[256] = "";
    rd_kafka_t *rk = producer->client != NULL ? kafka_client_handle(producer->client) : NULL;
    rd_kafka_resp_err_t fatal =
        rk != NULL ? rd_kafka_fatal_error(rk, text, sizeof text) : RD_KAFKA_RESP_ERR_NO_ERROR;
    int64_t open = (mr_clock_monotonic_micros() - producer->begun) / 1000;
    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR)
        code = fatal;
    if (is_fenced(code) && producer->phase == KAFKA_OPEN && open >= producer->link.timeout_millis) {
        mr_error_set(err, MR_SINK, MR_CLASS_CONFIG,
                     "%s: the transaction was open for %lld s, and the broker has ended it: "
                     "transaction.timeout.ms is %lld",
                     doing, (long long)(open / 1000), (long long)producer->link.timeout_millis);
        mr_error_hint(err, "raise kafka.transaction.timeout.ms, and the brokers' "
                           "transaction.max.timeout.ms; load less at a time; or set "
                           "transactional to false (at least once)");
        return MR_SINK;
    }
    if (is_fenced(code)) {
        mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                     "%s: another process has taken over the transactions of this pipeline "
                     "(transactional.id %s)",
                     doing, producer->link.id ? producer->link.id : "");
        mr_error_hint(err, "it runs somewhere else with another state; nothing of this epoch is "
                           "visible unless the next start finds it committed");
        return MR_SINK;
    }
    if (code == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT) {
        mr_error_set(err, MR_SINK, MR_CLASS_CONFIG,
                     "%s: the brokers do not allow transactions of %lld ms", doing,
                     (long long)producer->link.timeout_millis);
        mr_error_hint(err, "lower kafka.transaction.timeout.ms, or raise the brokers' "
                           "transaction.max.timeout.ms");
        return MR_SINK;
    }
    /* What comes behind the first failure of a transaction, or of another writer's record. */
    bool follows = code == RD_KAFKA_RESP_ERR__STATE || code == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
                   code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    enum mr_status status = kafka_error(producer->client, MR_SINK, code, err, "%s%s%s%s", doing,
                                        text[0] ? " (" : "", text, text[0] ? ")" : "");
    if (follows && fatal == RD_KAFKA_RESP_ERR_NO_ERROR && err != NULL)
        err->cls = MR_CLASS_TRANSIENT;
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        mr_error_hint(err, "raise kafka.message.max.bytes and the topic's max.message.bytes");
    if (code == RD_KAFKA_RESP_ERR_INVALID_RECORD)
        mr_error_hint(err, "a compacted topic takes no record without a key");
    return status;
}

static enum mr_status failed(struct kafka_flight *flight, struct mr_error *err)
{
    rd_kafka_resp_err_t code = (rd_kafka_resp_err_t)atomic_load(&flight->failed);
    return kafka_producer_error(flight->producer, code, "a record was not taken", err);
}

static rd_kafka_resp_err_t produce(rd_kafka_t *rk, struct kafka_flight *flight,
                                   const struct kafka_record *record)
{
    void *value = (void *)(uintptr_t)record->value.data;
    if (record->headers == NULL && record->millis == 0)
        return rd_kafka_produce(record->topic, record->partition, RD_KAFKA_MSG_F_COPY, value,
                                record->value.size, record->key.data, record->key.size, flight) == 0
                   ? RD_KAFKA_RESP_ERR_NO_ERROR
                   : rd_kafka_last_error();
    rd_kafka_vu_t units[8];
    size_t n = 0;
    units[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = record->topic};
    units[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = record->partition};
    units[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_VALUE,
                                 .u.mem = {.ptr = value, .size = record->value.size}};
    units[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_KEY,
                                 .u.mem = {.ptr = (void *)(uintptr_t)record->key.data,
                                           .size = record->key.size}};
    units[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY};
    units[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = flight};
    if (record->millis != 0)
        units[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = record->millis};
    if (record->headers != NULL)
        units[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = record->headers};
    rd_kafka_error_t *error = rd_kafka_produceva(rk, units, n);
    if (error == NULL)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    return code;
}

enum mr_status kafka_flight_send(struct kafka_flight *flight, struct mr_runtime *runtime,
                                 const struct kafka_record *record, struct mr_error *err)
{
    rd_kafka_t *rk = kafka_client_handle(flight->producer->client);
    enum mr_status status = MR_OK;
    for (;;) {
        int64_t seen = atomic_load(&flight->done);
        rd_kafka_resp_err_t code = produce(rk, flight, record);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            flight->sent++;
            return MR_OK;
        }
        if (atomic_load(&flight->failed) != RD_KAFKA_RESP_ERR_NO_ERROR)
            status = failed(flight, err);
        else if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            status = kafka_producer_error(flight->producer, code, "sending a record", err);
        else if (rd_kafka_outq_len(rk) == 0)
            status =
                kafka_producer_error(flight->producer, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                     "a record is larger than kafka.queue.buffering.max.kbytes",
                                     err);
        else
            status = wait_for_news(flight, runtime, seen, err);
        if (status != MR_OK)
            break;
    }
    if (record->headers != NULL)
        rd_kafka_headers_destroy(record->headers);
    return status;
}

enum mr_status kafka_flight_land(struct kafka_flight *flight, struct mr_runtime *runtime,
                                 struct mr_error *err)
{
    for (;;) {
        int64_t done = atomic_load_explicit(&flight->done, memory_order_acquire);
        if (atomic_load(&flight->failed) != RD_KAFKA_RESP_ERR_NO_ERROR)
            return failed(flight, err);
        if (done >= flight->sent)
            return MR_OK;
        MR_TRY(wait_for_news(flight, runtime, done, err));
    }
}
