/*
 * client.c - a handle of librdkafka.
 *
 * librdkafka has threads of its own and keeps trying by itself, so that a broker that is away shows only as silence; why is in what it
 * logs. The log callback runs on those threads: it keeps the last complaint for the message of whoever gives up waiting, and a few lines for
 * the run's log, which the owner's thread hands on.
 *
 * Its questions (metadata, offsets) block. They run on a thread made for the question, in slices, while the caller is in mr_wait; a
 * cancel lets the current slice end. The asynchronous forms came with librdkafka 2.3 only. What was asked in one slice is not heard in the next
 * one, so a broker that is slow needs longer ones, up to 8 s; one that was quick before, or is not connected, does not.
 */
#include "connect/kafka/client.h"

#include "base/thread.h"
#include "base/time.h"

#include <ctype.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <unistd.h>

#define LINES        16
#define LINE_BYTES   256
#define ASK_MICROS   (30 * MR_MICROS_PER_SECOND)
#define SLICE_LEAST  1000
#define SLICE_MOST   8000
#define SLICE_QUICK  2000
#define CHECK_MICROS (100 * 1000)

struct kafka_client {
    rd_kafka_t *rk;
    bool of_sink;
    rd_kafka_queue_t *queue; /* of the consumer, when watched */
    int wake;                /* eventfd */
    atomic_bool quick;       /* the last question was answered in its first slice */
    pthread_mutex_t lock;
    char complaint[LINE_BYTES];      /* lock: what went wrong last */
    bool troubled;                   /* lock: since somebody asked */
    rd_kafka_resp_err_t hopeless;    /* lock: refused credentials and the like; 0 = none */
    char lines[LINES][LINE_BYTES];   /* lock: for the run's log */
    enum mr_log_level levels[LINES]; /* lock */
    int nlines;                      /* lock */
    int nlost;                       /* lock: lines that had no room */
};

/* --- what librdkafka says; on its threads --- */

static void copy_line(char out[LINE_BYTES], const char *text)
{
    size_t size = strcspn(text, "\n");
    size = size < LINE_BYTES - 1 ? size : LINE_BYTES - 1;
    memcpy(out, text, size);
    out[size] = '\0';
}

static void log_line(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct kafka_client *client = rd_kafka_opaque(rk);
    const char *says = strchr(text, ']'); /* "[thrd:name]: what" */
    says = text[0] == '[' && says != NULL && says[1] == ':' ? says + 2 : text;
    while (*says == ' ')
        says++;
    pthread_mutex_lock(&client->lock);
    if (level <= LOG_ERR || strcmp(facility, "FAIL") == 0) {
        copy_line(client->complaint, says);
        client->troubled = true;
    }
    if (client->nlines < LINES) {
        copy_line(client->lines[client->nlines], says);
        client->levels[client->nlines++] = level <= LOG_WARNING ? MR_LOG_WARN : MR_LOG_DEBUG;
    } else {
        client->nlost++;
    }
    pthread_mutex_unlock(&client->lock);
}

static bool is_hopeless(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL ||
           code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct kafka_client *client = opaque;
    (void)rk;
    pthread_mutex_lock(&client->lock);
    copy_line(client->complaint, reason);
    client->troubled = true;
    if (is_hopeless((rd_kafka_resp_err_t)code))
        client->hopeless = (rd_kafka_resp_err_t)code;
    pthread_mutex_unlock(&client->lock);
}

static rd_kafka_resp_err_t hopeless(struct kafka_client *client)
{
    pthread_mutex_lock(&client->lock);
    rd_kafka_resp_err_t code = client->hopeless;
    pthread_mutex_unlock(&client->lock);
    return code;
}

bool kafka_client_troubled(struct kafka_client *client)
{
    pthread_mutex_lock(&client->lock);
    bool troubled = client->troubled;
    client->troubled = false;
    pthread_mutex_unlock(&client->lock);
    return troubled;
}

void kafka_client_tell(struct kafka_client *client, struct mr_runtime *runtime)
{
    char lines[LINES][LINE_BYTES];
    enum mr_log_level levels[LINES];
    pthread_mutex_lock(&client->lock);
    int n = client->nlines, lost = client->nlost;
    memcpy(lines, client->lines, sizeof lines);
    memcpy(levels, client->levels, sizeof levels);
    client->nlines = client->nlost = 0;
    pthread_mutex_unlock(&client->lock);
    for (int i = 0; i < n; i++)
        mr_event(runtime, levels[i], "kafka: %s", lines[i]);
    if (lost > 0)
        mr_event(runtime, MR_LOG_WARN, "kafka: and %d more lines", lost);
}

/* --- open, close --- */

void kafka_client_close(struct kafka_client *client)
{
    if (client == NULL)
        return;
    if (client->queue != NULL) {
        rd_kafka_queue_io_event_enable(client->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(client->queue);
    }
    if (client->rk != NULL)
        rd_kafka_destroy_flags(client->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (client->wake >= 0)
        close(client->wake);
    pthread_mutex_destroy(&client->lock);
    mr_free(client);
}

enum mr_status kafka_client_open(rd_kafka_conf_t *conf, enum kafka_role role,
                                 struct kafka_client **out, struct mr_error *err)
{
    char text[512];
    *out = NULL;
    struct kafka_client *client = mr_calloc(1, sizeof *client);
    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        return mr_error_nomem(err);
    }
    mr_mutex_init(&client->lock);
    client->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    rd_kafka_conf_set_opaque(conf, client);
    rd_kafka_conf_set_log_cb(conf, log_line);
    rd_kafka_conf_set_error_cb(conf, on_error);
    client->rk = rd_kafka_new(role == KAFKA_CONSUMER ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf,
                              text, sizeof text);
    if (client->rk == NULL)
        rd_kafka_conf_destroy(conf);
    if (client->rk == NULL || client->wake < 0) {
        bool made = client->rk != NULL;
        kafka_client_close(client);
        if (made)
            return mr_error_set(err, MR_LIMIT, MR_CLASS_TRANSIENT, "no more descriptors");
        return mr_error_config(err, "the Kafka client does not take its settings: %.300s", text);
    }
    *out = client;
    return MR_OK;
}

void kafka_client_of_sink(struct kafka_client *client)
{
    client->of_sink = true;
}

rd_kafka_t *kafka_client_handle(struct kafka_client *client)
{
    return client->rk;
}

/* --- the queue --- */

enum mr_status kafka_client_watch(struct kafka_client *client, struct mr_error *err)
{
    static const uint64_t one = 1;
    rd_kafka_poll_set_consumer(client->rk);
    client->queue = rd_kafka_queue_get_consumer(client->rk);
    if (client->queue == NULL)
        return mr_error_internal(err, "a Kafka consumer without a queue");
    rd_kafka_queue_io_event_enable(client->queue, client->wake, &one, sizeof one);
    return MR_OK;
}

int kafka_client_fd(const struct kafka_client *client)
{
    return client->wake;
}

size_t kafka_client_queued(const struct kafka_client *client)
{
    return rd_kafka_queue_length(client->queue);
}

/* Any request does; this one is cheap, and with no time to wait it is sent and its answer dropped. */
void kafka_client_nudge(struct kafka_client *client, const char *topic, int32_t partition)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = -1; /* the latest */
    rd_kafka_offsets_for_times(client->rk, list, 0);
    rd_kafka_topic_partition_list_destroy(list);
}

void kafka_client_quiet(struct kafka_client *client)
{
    uint64_t count;
    while (read(client->wake, &count, sizeof count) > 0)
        ;
}

/* --- errors --- */

bool kafka_is_transient(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__RETRY:
    case RD_KAFKA_RESP_ERR__WAIT_CACHE:
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
        return true;
    default:
        return false;
    }
}

static bool is_forbidden(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
}

/* Of records that were given up because of something else. */
static bool is_sequel(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__STATE || code == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
           code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
}

static const char *hint_of(rd_kafka_resp_err_t code)
{
    if (is_hopeless(code))
        return "check kafka.security.protocol, kafka.sasl.* and kafka.ssl.* against the listener "
               "of "
               "bootstrap.servers";
    if (is_forbidden(code))
        return "the principal needs an ACL for it";
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        return "topics are not made here; check the name and the cluster";
    if (code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
        code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__RESOLVE)
        return "check bootstrap.servers, and that the addresses that the brokers advertise "
               "(advertised.listeners) can be reached from here";
    return NULL;
}

enum mr_status kafka_error(struct kafka_client *client, enum mr_status status,
                           rd_kafka_resp_err_t code, struct mr_error *err, const char *format, ...)
{
    char what[400], complaint[LINE_BYTES] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (client != NULL) {
        pthread_mutex_lock(&client->lock);
        memcpy(complaint, client->complaint, sizeof complaint);
        pthread_mutex_unlock(&client->lock);
    }
    enum mr_error_class cls = kafka_is_transient(code)                ? MR_CLASS_TRANSIENT
                              : code == RD_KAFKA_RESP_ERR__FATAL      ? MR_CLASS_FATAL
                              : code == RD_KAFKA_RESP_ERR__BAD_MSG    ? MR_CLASS_DATA
                              : code == RD_KAFKA_RESP_ERR_INVALID_MSG ? MR_CLASS_DATA
                                                                      : MR_CLASS_CONFIG;
    bool silent = cls == MR_CLASS_TRANSIENT || is_hopeless(code) || is_sequel(code);
    if (is_hopeless(code) || is_forbidden(code))
        status = MR_CREDENTIALS;
    mr_error_set(err, status, cls, "%s: %s%s%s%s", what, rd_kafka_err2str(code),
                 silent && complaint[0] ? " (" : "", silent ? complaint : "",
                 silent && complaint[0] ? ")" : "");
    if (hint_of(code) != NULL)
        mr_error_hint(err, "%s", hint_of(code));
    return status;
}

/* --- questions --- */

struct asking {
    struct kafka_client *client;
    kafka_question ask;
    void *context;
    int64_t deadline;
    atomic_bool stop;
    atomic_bool done;
    int fd;
    rd_kafka_resp_err_t code;
};

/* Its errors. The queue of a consumer that is watched is not served: rd_kafka_poll aborts at a record in it. */
static void serve(struct kafka_client *client, int millis)
{
    if (client->queue == NULL)
        rd_kafka_poll(client->rk, millis);
    else if (millis > 0)
        poll(NULL, 0, millis);
}

static void ask_body(void *argument)
{
    struct asking *asking = argument;
    static const uint64_t one = 1;
    int millis = SLICE_LEAST, slices = 0;
    int most = atomic_load(&asking->client->quick) ? SLICE_QUICK : SLICE_MOST;
    for (;;) {
        int64_t left = (asking->deadline - mr_clock_monotonic_micros()) / 1000;
        int slice = left < millis ? (int)(left > 1 ? left : 1) : millis;
        asking->code = asking->ask(asking->client->rk, slice, asking->context);
        slices++;
        serve(asking->client, 0);
        rd_kafka_resp_err_t why = hopeless(asking->client);
        if (asking->code != RD_KAFKA_RESP_ERR_NO_ERROR && why != RD_KAFKA_RESP_ERR_NO_ERROR)
            asking->code = why;
        if (!kafka_is_transient(asking->code) || atomic_load(&asking->stop) || left <= millis)
            break;
        if (asking->code != RD_KAFKA_RESP_ERR__TIMED_OUT)
            serve(asking->client, 100); /* a refusal at once: not in a tight loop */
        if (asking->code != RD_KAFKA_RESP_ERR__TRANSPORT)
            millis = millis * 2 < most ? millis * 2 : most;
    }
    if (!atomic_load(&asking->stop))
        atomic_store(&asking->client->quick, slices == 1 && !kafka_is_transient(asking->code));
    atomic_store(&asking->done, true);
    (void)!write(asking->fd, &one, sizeof one);
}

enum mr_status kafka_client_ask(struct kafka_client *client, struct mr_runtime *runtime,
                                kafka_question ask, void *context, const char *doing,
                                struct mr_error *err)
{
    int64_t patience = runtime->timeout_connect_micros;
    struct asking asking = {
        .client = client,
        .ask = ask,
        .context = context,
        .deadline = mr_clock_monotonic_micros() + (patience > 0 ? patience : ASK_MICROS),
        .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
    };
    struct mr_thread thread = {0};
    if (asking.fd < 0)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_TRANSIENT, "no more descriptors");
    enum mr_status status = mr_thread_start(&thread, "kafka-ask", ask_body, &asking, err);
    while (status == MR_OK && !atomic_load(&asking.done)) {
        bool timed_out;
        status = mr_wait(runtime->waiter, asking.fd, MR_WAIT_READ, INT64_MAX,
                         client->of_sink ? MR_WAIT_SINK : MR_WAIT_SOURCE, &timed_out, err);
    }
    atomic_store(&asking.stop, true);
    mr_thread_join(&thread);
    close(asking.fd);
    kafka_client_tell(client, runtime);
    if (status != MR_OK)
        return status;
    if (asking.code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_error(client, client->of_sink ? MR_SINK : MR_SOURCE, asking.code, err, "%s",
                           doing);
    return MR_OK;
}

bool kafka_is_topic(struct mr_slice name)
{
    for (size_t i = 0; i < name.size; i++)
        if (!isalnum((unsigned char)name.data[i]) && memchr("._-", name.data[i], 3) == NULL)
            return false;
    return name.size > 0 && name.size <= 249;
}
