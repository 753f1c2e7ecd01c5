/*
 * kafka_tool.c - librdkafka alone: fills a topic for the bench, and reads one and throws every record away.
 *
 * The drain is the floor under any reader over this library: one consumer over all partitions, records taken one by one as fromKafka takes them, their
 * bytes looked at once. Rows are numbered, so sums of what is read can be checked. Prints one JSON object.
 *
 *   kafka_tool fill SERVERS TOPIC COUNT CODEC
 *   kafka_tool stock SERVERS TOPIC COUNT CODEC           records of pace, as fast as it goes
 *   kafka_tool pace SERVERS TOPIC RATE SECONDS FIRST
 *                          so many a second (0: as fast as it goes), with the time of each in microseconds as "sent", from the number FIRST on
 *   kafka_tool drain SERVERS TOPIC COUNT
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "kafka_tool: %s\n", text);
        exit(2);
    }
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char text[256];
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);

    if (!rk) {
        fprintf(stderr, "kafka_tool: %s\n", text);
        exit(2);
    }
    return rk;
}

/* About 200 bytes; tests/bench/kafka_read.py knows the sums. */
static int row(long n, char *out, size_t room)
{
    long second = n / 20 % 86400, day = n / 20 / 86400 % 28 + 1;

    return snprintf(
        out, room,
        "{\"id\":%ld,\"user\":\"user-%06ld\",\"amount\":%ld.%02ld,"
        "\"at\":\"2024-05-%02ldT%02ld:%02ld:%02ld.%03ldZ\","
        "\"note\":\"%.*s\",\"channel\":\"%s\"}",
        n, n * 7919 % 1000000, n % 1000, n % 100, day, second / 3600, second / 60 % 60, second % 60,
        n % 1000, (int)(60 + n % 40),
        "the quick brown fox jumps over the lazy dog and then it walks all the way home "
        "again, slowly",
        n % 3 ? "web" : "mobile");
}

static int fill(const char *servers, const char *topic, long count, const char *codec)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char value[512];

    set(conf, "bootstrap.servers", servers);
    set(conf, "compression.codec", codec);
    set(conf, "linger.ms", "50");
    set(conf, "batch.size", "900000");
    set(conf, "queue.buffering.max.messages", "200000");
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, conf);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    const struct rd_kafka_metadata *metadata;
    long bytes = 0;
    if (rd_kafka_metadata(rk, 0, handle, &metadata, 30000) != 0)
        return 1;
    int partitions = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    for (long n = 0; n < count; n++) {
        int size = row(n, value, sizeof value);
        bytes += size;
        while (rd_kafka_produce(handle, (int)(n % partitions), RD_KAFKA_MSG_F_COPY, value,
                                (size_t)size, NULL, 0, NULL) != 0)
            rd_kafka_poll(rk, 10);
    }
    if (rd_kafka_flush(rk, 600000) != 0)
        return 1;
    printf("{\"records\": %ld, \"bytes\": %ld}\n", count, bytes);
    rd_kafka_topic_destroy(handle);
    rd_kafka_destroy(rk);
    return 0;
}

static double clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A record made in advance, but for two numbers behind spaces: what it costs to make is next to nothing. */
static const char EVENT[] =
    "{\"id\":            ,\"sent\":                 ,\"note\":\"the quick brown fox jumps over "
    "the lazy dog and then it walks all the way home again, slowly, for it has run a very long "
    "w\"}";

enum { ID_END = 18, SENT_END = 43 };

static void put(char *end, long long number)
{
    do {
        *--end = (char)('0' + number % 10);
        number /= 10;
    } while (number);
}

struct events {
    rd_kafka_t *rk;
    rd_kafka_topic_t *handle;
    int partitions;
};

static void events_open(struct events *events, const char *servers, const char *topic,
                        const char *codec)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const struct rd_kafka_metadata *metadata;

    set(conf, "bootstrap.servers", servers);
    set(conf, "compression.codec", codec);
    set(conf, "linger.ms", "5");
    set(conf, "queue.buffering.max.messages", "500000");
    events->rk = client(RD_KAFKA_PRODUCER, conf);
    events->handle = rd_kafka_topic_new(events->rk, topic, NULL);
    if (rd_kafka_metadata(events->rk, 0, events->handle, &metadata, 30000) != 0) {
        fprintf(stderr, "kafka_tool: no metadata of %s\n", topic);
        exit(1);
    }
    events->partitions = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
}

static void event(struct events *events, long n)
{
    char value[sizeof EVENT];

    memcpy(value, EVENT, sizeof value);
    put(value + ID_END, n);
    put(value + SENT_END, (long long)(clock_now() * 1e6));
    while (rd_kafka_produce(events->handle, (int)(n % events->partitions), RD_KAFKA_MSG_F_COPY,
                            value, sizeof value - 1, NULL, 0, NULL) != 0)
        rd_kafka_poll(events->rk, 1);
}

static int events_close(struct events *events)
{
    int failed = rd_kafka_flush(events->rk, 600000) != 0;

    rd_kafka_topic_destroy(events->handle);
    rd_kafka_destroy(events->rk);
    return failed;
}

static int stock(const char *servers, const char *topic, long count, const char *codec)
{
    struct events events;

    events_open(&events, servers, topic, codec);
    for (long n = 0; n < count; n++)
        event(&events, n);
    if (events_close(&events) != 0)
        return 1;
    printf("{\"records\": %ld, \"bytes\": %ld}\n", count, count * (long)(sizeof EVENT - 1));
    return 0;
}

/* What is due goes out, then the client is served for a millisecond; what is late is made up for, until the time is over. */
static int pace(const char *servers, const char *topic, long rate, long duration, long first)
{
    struct events events;
    long n = 0, late = 0;

    events_open(&events, servers, topic, "none");
    double began = seconds(), gone = 0;
    while (gone < (double)duration) {
        long due = rate ? (long)(gone * (double)rate) : n + 1000;
        late = rate && due - n > late ? due - n : late;
        for (long i = 0; n < due && i < 10000; n++, i++)
            event(&events, first + n);
        rd_kafka_poll(events.rk, rate && n == due ? 1 : 0);
        gone = seconds() - began;
    }
    if (events_close(&events) != 0)
        return 1;
    printf("{\"records\": %ld, \"seconds\": %.3f, \"most_behind\": %ld}\n", n, seconds() - began,
           late);
    return 0;
}

static int drain(const char *servers, const char *topic, long count)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    long records = 0, bytes = 0;
    unsigned sum = 0;

    set(conf, "bootstrap.servers", servers);
    set(conf, "group.id", "drain");
    set(conf, "enable.auto.commit", "false");
    set(conf, "queued.min.messages", "1000000");
    set(conf, "queued.max.messages.kbytes", "32768");
    set(conf, "fetch.message.max.bytes", "1048576");
    double began = seconds();
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, conf);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    if (rd_kafka_metadata(rk, 0, handle, &metadata, 30000) != 0)
        return 1;
    int partitions = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = 0;
    rd_kafka_assign(rk, list);
    while (records < count) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 1000);
        if (!message)
            continue;
        if (!message->err) {
            records++;
            bytes += (long)message->len;
            for (size_t i = 0; i < message->len; i += 64)
                sum += ((const unsigned char *)message->payload)[i];
        }
        rd_kafka_message_destroy(message);
    }
    printf("{\"records\": %ld, \"bytes\": %ld, \"sum\": %u, \"seconds\": %.3f}\n", records, bytes,
           sum, seconds() - began);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_topic_destroy(handle);
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "fill") == 0)
        return fill(argv[2], argv[3], atol(argv[4]), argv[5]);
    if (argc == 6 && strcmp(argv[1], "stock") == 0)
        return stock(argv[2], argv[3], atol(argv[4]), argv[5]);
    if (argc == 7 && strcmp(argv[1], "pace") == 0)
        return pace(argv[2], argv[3], atol(argv[4]), atol(argv[5]), atol(argv[6]));
    if (argc == 5 && strcmp(argv[1], "drain") == 0)
        return drain(argv[2], argv[3], atol(argv[4]));
    fprintf(stderr,
            "usage: kafka_tool fill SERVERS TOPIC COUNT CODEC | stock SERVERS TOPIC COUNT CODEC | "
            "pace SERVERS TOPIC RATE SECONDS FIRST | drain SERVERS TOPIC COUNT\n");
    return 2;
}
