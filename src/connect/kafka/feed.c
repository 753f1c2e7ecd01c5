/*
 * feed.c - clients and partitions that outlive an epoch.
 *
 * An epoch is a plan of its own, with splits that end at fixed offsets. Were its consumers made with it, each epoch would connect, ask for
 * metadata, and wait for the first answer to a fetch. So in streaming a step has a hub in the process: a client over which all partitions are
 * fetched (one request a broker whatever their number), each into a queue of its own. A reader takes a partition's queue, and if the queue stands
 * where the split begins, which it does unless an epoch was repeated, it just goes on: what came meanwhile is there already.
 *
 * Fetched into queues of their own by the older interface (rd_kafka_consume_start_queue): it belongs to no group and looks for no coordinator, and
 * a partition is begun anew without touching the others, which an assignment to the consumer does. A full queue stops fetching by itself.
 *
 * Questions have a client of their own: a broker answers one request of a connection after the other, and a fetch is answered when something comes, or
 * fetch.wait.max.ms later.
 *
 * Where a queue stands is two offsets: behind the last record that was handed out, and `next`, in front of which no other record is (said by
 * a later record, or by the end of the partition). A split may begin anywhere between the two.
 */
#include "connect/kafka/feed.h"

#include "base/hash.h"
#include "base/thread.h"
#include "base/time.h"
#include "connect/kafka/source.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Partitions that are added are found within this time, or topic.metadata.refresh.interval.ms if that is shorter. */
#define METADATA_MICROS (5 * MR_MICROS_PER_SECOND)
#define FEED_LEAST      ((int64_t)256 << 10)
#define FEED_MOST       ((int64_t)8 << 20)
/* maxRatePerPartition: what a pause may save up for, and what the first epoch has. */
#define RATE_MOST  (10 * MR_MICROS_PER_SECOND)
#define RATE_FIRST MR_MICROS_PER_SECOND

struct kafka_feed {
    struct kafka_feed *after;
    struct kafka_hub *hub;
    char *topic;
    int32_t partition;
    int64_t first;     /* where the stream begins, -1 = not known */
    int64_t rate_mark; /* up to which the rate has been spent; 0 = nothing was */
    bool busy;         /* hub's lock: a reader has it, and all that follows */
    rd_kafka_topic_t *handle;
    rd_kafka_queue_t *queue;
    int wake; /* eventfd */
    bool started;
    int64_t taken;
    int64_t before; /* `taken`, before the last record was */
    int64_t next;
    rd_kafka_message_t *held;
};

struct kafka_hub {
    struct kafka_client *asker;
    struct kafka_client *client; /* fetches */
    int64_t queue_bytes;
    bool begun; /* partitions that come now are read from their first record */
    struct mr_arena arena;
    struct kafka_partitions partitions; /* in the arena */
    int64_t asked;                      /* when, 0 = never */
    int64_t age;                        /* that it may have */
    pthread_mutex_t lock;
    struct kafka_feed *feeds; /* lock */
};

/* --- feeds --- */

static void stop(struct kafka_feed *feed)
{
    if (feed->held != NULL)
        rd_kafka_message_destroy(feed->held);
    feed->held = NULL;
    if (feed->started)
        rd_kafka_consume_stop(feed->handle, feed->partition);
    feed->started = false;
}

static void free_feed(struct kafka_feed *feed)
{
    stop(feed);
    if (feed->queue != NULL) {
        rd_kafka_queue_io_event_enable(feed->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(feed->queue);
    }
    if (feed->handle != NULL)
        rd_kafka_topic_destroy(feed->handle);
    if (feed->wake >= 0)
        close(feed->wake);
    mr_free(feed->topic);
    mr_free(feed);
}

static struct kafka_feed *find(struct kafka_hub *hub, const char *topic, int32_t partition)
{
    struct kafka_feed *feed = hub->feeds;
    while (feed != NULL && (feed->partition != partition || strcmp(feed->topic, topic) != 0))
        feed = feed->after;
    return feed;
}

/* Finds or adds. Caller holds the lock. NULL: out of memory. */
static struct kafka_feed *feed_of(struct kafka_hub *hub, const char *topic, int32_t partition)
{
    struct kafka_feed *feed = find(hub, topic, partition);
    if (feed != NULL)
        return feed;
    feed = mr_calloc(1, sizeof *feed);
    if (feed == NULL)
        return NULL;
    *feed = (struct kafka_feed){.hub = hub, .partition = partition, .first = -1, .wake = -1};
    feed->topic = mr_strdup(topic);
    if (feed->topic == NULL) {
        mr_free(feed);
        return NULL;
    }
    feed->after = hub->feeds;
    hub->feeds = feed;
    return feed;
}

static enum mr_status open_feed(struct kafka_feed *feed, struct mr_error *err)
{
    static const uint64_t one = 1;
    rd_kafka_t *rk = kafka_client_handle(feed->hub->client);
    if (feed->handle == NULL)
        feed->handle = rd_kafka_topic_new(rk, feed->topic, NULL);
    if (feed->handle == NULL)
        return kafka_error(feed->hub->client, MR_SOURCE, rd_kafka_last_error(), err, "%s",
                           feed->topic);
    if (feed->wake < 0)
        feed->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (feed->wake < 0)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_TRANSIENT, "no more descriptors");
    if (feed->queue == NULL) {
        feed->queue = rd_kafka_queue_new(rk);
        rd_kafka_queue_io_event_enable(feed->queue, feed->wake, &one, sizeof one);
    }
    return MR_OK;
}

enum mr_status kafka_feed_start(struct kafka_feed *feed, int64_t from, struct mr_error *err)
{
    stop(feed);
    MR_TRY(open_feed(feed, err));
    if (rd_kafka_consume_start_queue(feed->handle, feed->partition, from, feed->queue) != 0)
        return kafka_error(feed->hub->client, MR_SOURCE, rd_kafka_last_error(), err,
                           "%s[%d] at offset %lld", feed->topic, (int)feed->partition,
                           (long long)from);
    feed->started = true;
    feed->taken = feed->before = feed->next = from;
    return MR_OK;
}

enum mr_status kafka_feed_take(struct kafka_hub *hub, const char *topic, int32_t partition,
                               int64_t from, struct kafka_feed **out, struct mr_error *err)
{
    *out = NULL;
    pthread_mutex_lock(&hub->lock);
    struct kafka_feed *feed = feed_of(hub, topic, partition);
    bool mine = feed != NULL && !feed->busy;
    if (mine)
        feed->busy = true;
    pthread_mutex_unlock(&hub->lock);
    if (feed == NULL)
        return mr_error_nomem(err);
    if (!mine)
        return MR_OK;
    bool there = feed->started && feed->taken <= from && from <= feed->next;
    enum mr_status status = there ? MR_OK : kafka_feed_start(feed, from, err);
    if (status == MR_OK)
        *out = feed;
    else
        kafka_feed_give(feed, false);
    return status;
}

void kafka_feed_give(struct kafka_feed *feed, bool good)
{
    if (!good)
        stop(feed);
    pthread_mutex_lock(&feed->hub->lock);
    feed->busy = false;
    pthread_mutex_unlock(&feed->hub->lock);
}

rd_kafka_message_t *kafka_feed_poll(struct kafka_feed *feed)
{
    rd_kafka_message_t *message = feed->held;
    feed->held = NULL;
    if (message == NULL)
        message = rd_kafka_consume_queue(feed->queue, 0);
    if (message == NULL)
        return NULL;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        feed->before = feed->taken;
        feed->taken = feed->next = message->offset + 1;
    } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && message->offset > feed->next)
        feed->next = message->offset;
    return message;
}

void kafka_feed_put_back(struct kafka_feed *feed, rd_kafka_message_t *message)
{
    feed->held = message;
    feed->next = message->offset;
    feed->taken = feed->before; /* a split may begin in the gap in front of it */
}

int64_t kafka_feed_next(const struct kafka_feed *feed)
{
    return feed->next;
}

int kafka_feed_fd(const struct kafka_feed *feed)
{
    return feed->wake;
}

void kafka_feed_quiet(struct kafka_feed *feed)
{
    uint64_t count;
    while (read(feed->wake, &count, sizeof count) > 0)
        ;
}

size_t kafka_feed_queued(const struct kafka_feed *feed)
{
    return rd_kafka_queue_length(feed->queue);
}

/* --- the hub --- */

static void destroy_hub(void *object)
{
    struct kafka_hub *hub = object;
    while (hub->feeds != NULL) {
        struct kafka_feed *feed = hub->feeds;
        hub->feeds = feed->after;
        free_feed(feed);
    }
    kafka_client_close(hub->client);
    kafka_client_close(hub->asker);
    mr_arena_reset(&hub->arena);
    pthread_mutex_destroy(&hub->lock);
    mr_free(hub);
}

struct making {
    const struct kafka_settings *settings;
    const struct kafka_topics *topics;
    int64_t bytes;
    struct mr_runtime *runtime;
};

static enum mr_status open_asker(struct kafka_hub *hub, const struct making *making,
                                 struct mr_error *err)
{
    rd_kafka_conf_t *conf;
    MR_TRY(kafka_settings_conf(making->settings, &conf, err));
    MR_TRY(kafka_client_open(conf, KAFKA_CONSUMER, &hub->asker, err));
    MR_TRY(kafka_find_partitions(hub->asker, making->runtime, making->topics, &hub->arena,
                                 &hub->partitions, err));
    const char *millis = kafka_settings_get(making->settings, "topic.metadata.refresh.interval.ms");
    int64_t age = millis != NULL ? strtoll(millis, NULL, 10) * 1000 : METADATA_MICROS;
    hub->age = age > 0 && age < METADATA_MICROS ? age : METADATA_MICROS;
    hub->asked = mr_clock_monotonic_micros();
    return MR_OK;
}

static enum mr_status open_fetcher(struct kafka_hub *hub, const struct making *making,
                                   struct mr_error *err)
{
    rd_kafka_conf_t *conf;
    int partitions = hub->partitions.count > 0 ? hub->partitions.count : 1;
    int64_t share = making->bytes / partitions;
    share = share < FEED_LEAST ? FEED_LEAST : share;
    share = share > FEED_MOST ? FEED_MOST : share;
    int64_t given = kafka_settings_kilobytes(making->settings, "queued.max.messages.kbytes");
    hub->queue_bytes = given > 0 ? given : share;
    MR_TRY(kafka_settings_conf(making->settings, &conf, err));
    enum mr_status status = kafka_reader_conf(making->settings, hub->queue_bytes, false, conf, err);
    if (status == MR_OK)
        return kafka_client_open(conf, KAFKA_CONSUMER, &hub->client, err);
    rd_kafka_conf_destroy(conf);
    return status;
}

static enum mr_status make_hub(void *context, void **out, struct mr_error *err)
{
    const struct making *making = context;
    struct kafka_hub *hub = mr_calloc(1, sizeof *hub);
    if (hub == NULL)
        return mr_error_nomem(err);
    mr_mutex_init(&hub->lock);
    mr_arena_init(&hub->arena, NULL);
    enum mr_status status = open_asker(hub, making, err);
    if (status == MR_OK)
        status = open_fetcher(hub, making, err);
    if (status != MR_OK)
        destroy_hub(hub);
    else
        *out = hub;
    return status;
}

/* The same for the same step, cluster and topics; settings may be secrets, so only their hash. */
static enum mr_status write_key(const struct making *making, struct mr_bytes *out,
                                struct mr_error *err)
{
    const struct kafka_settings *settings = making->settings;
    const struct kafka_topics *topics = making->topics;
    struct mr_bytes all;
    mr_bytes_init(&all, 16 << 20);
    for (int i = 0; i < settings->count; i++) {
        mr_bytes_lenpref_text(&all, settings->items[i].name);
        mr_bytes_lenpref_text(&all, settings->items[i].value);
    }
    mr_bytes_lenpref_text(&all, settings->servers);
    mr_bytes_lenpref_text(&all, topics->pattern);
    for (int i = 0; i < topics->count; i++)
        mr_bytes_lenpref_text(&all, topics->names[i]);
    mr_bytes_printf(out, "kafka hub %016llx %s", (unsigned long long)mr_hash64(all.data, all.size),
                    making->runtime->memory->name);
    enum mr_status status = mr_bytes_status(&all, err);
    mr_bytes_reset(&all);
    return status == MR_OK ? mr_bytes_status(out, err) : status;
}

enum mr_status kafka_hub_get(const struct kafka_settings *settings,
                             const struct kafka_topics *topics, int64_t bytes,
                             struct mr_runtime *runtime, struct kafka_hub **out,
                             struct mr_error *err)
{
    struct making making = {settings, topics, bytes, runtime};
    struct mr_runtime lent = *runtime;
    struct mr_bytes key;
    void *object = NULL;
    mr_bytes_init(&key, 1 << 16);
    lent.shared = runtime->common;
    enum mr_status status = write_key(&making, &key, err);
    if (status == MR_OK)
        status = mr_shared_get(&lent, key.data, make_hub, &making, destroy_hub, &object, err);
    mr_bytes_reset(&key);
    *out = object;
    return status;
}

struct kafka_client *kafka_hub_asker(struct kafka_hub *hub)
{
    return hub->asker;
}

struct kafka_client *kafka_hub_fetcher(struct kafka_hub *hub)
{
    return hub->client;
}

int64_t kafka_hub_queue_bytes(const struct kafka_hub *hub)
{
    return hub->queue_bytes;
}

enum mr_status kafka_hub_partitions(struct kafka_hub *hub, const struct kafka_topics *topics,
                                    bool now, struct mr_runtime *runtime, struct mr_arena *arena,
                                    struct kafka_partitions *out, struct mr_error *err)
{
    int64_t clock = mr_clock_monotonic_micros();
    if (now || hub->asked == 0 || clock - hub->asked >= hub->age) {
        hub->asked = 0;
        mr_arena_reset(&hub->arena);
        mr_arena_init(&hub->arena, NULL);
        MR_TRY(
            kafka_find_partitions(hub->asker, runtime, topics, &hub->arena, &hub->partitions, err));
        hub->asked = clock;
    }
    const struct kafka_partitions *known = &hub->partitions;
    out->count = known->count;
    out->items = mr_arena_calloc(arena, (size_t)known->count + 1, sizeof *out->items);
    out->cluster = mr_arena_strdup(arena, known->cluster);
    if (out->items == NULL || out->cluster == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < known->count; i++) {
        const char *before = i > 0 ? out->items[i - 1].topic : NULL, *topic = known->items[i].topic;
        bool same = before != NULL && strcmp(before, topic) == 0;
        out->items[i].topic = same ? before : mr_arena_strdup(arena, topic);
        out->items[i].number = known->items[i].number;
        if (out->items[i].topic == NULL)
            return mr_error_nomem(err);
    }
    return MR_OK;
}

enum mr_status kafka_hub_begin(struct kafka_hub *hub, const struct kafka_partitions *partitions,
                               int64_t *starts, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    pthread_mutex_lock(&hub->lock);
    for (int i = 0; i < partitions->count && status == MR_OK; i++) {
        struct kafka_feed *feed =
            feed_of(hub, partitions->items[i].topic, partitions->items[i].number);
        if (feed == NULL) {
            status = mr_error_nomem(err);
            break;
        }
        if (feed->first < 0)
            feed->first = hub->begun ? partitions->items[i].low : starts[i];
        starts[i] = feed->first;
    }
    hub->begun = hub->begun || status == MR_OK;
    pthread_mutex_unlock(&hub->lock);
    return status;
}

/* --- the rate --- */

static int64_t rate_mark(const struct kafka_feed *feed, int64_t now)
{
    int64_t mark = feed != NULL && feed->rate_mark != 0 ? feed->rate_mark : now - RATE_FIRST;
    return mark < now - RATE_MOST ? now - RATE_MOST : mark;
}

int64_t kafka_hub_allowance(struct kafka_hub *hub, const struct kafka_partition *partition,
                            int64_t rate, int64_t now_micros)
{
    pthread_mutex_lock(&hub->lock);
    int64_t mark = rate_mark(find(hub, partition->topic, partition->number), now_micros);
    pthread_mutex_unlock(&hub->lock);
    double rows = (double)(now_micros - mark) / MR_MICROS_PER_SECOND * (double)rate;
    return rows < 0 ? 0 : rows > 1e15 ? (int64_t)1e15 : (int64_t)rows;
}

void kafka_hub_spend(struct kafka_hub *hub, const struct kafka_partition *partition, int64_t rate,
                     int64_t now_micros)
{
    double micros =
        (double)(partition->end - partition->from) * MR_MICROS_PER_SECOND / (double)rate;
    pthread_mutex_lock(&hub->lock);
    struct kafka_feed *feed = feed_of(hub, partition->topic, partition->number);
    if (feed != NULL)
        feed->rate_mark = rate_mark(feed, now_micros) + (int64_t)micros;
    pthread_mutex_unlock(&hub->lock);
}
