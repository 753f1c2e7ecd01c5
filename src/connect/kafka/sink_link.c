/*
 * sink_link.c - how a load reaches its cluster, and what it may promise there.
 *
 * The transactional.id is made from the state key and the lane, so that whoever runs the pipeline next fences whoever ran it before; loads of a
 * pipeline into the same cluster share one, and so one transaction. A user's own id is refused: two pipelines with the same one would abort each
 * other's transactions for ever.
 */
#include "connect/kafka/sink.h"

#include "base/hash.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

#define TRANSACTION_MILLIS                                                                         \
    "900000" /* what brokers allow unless told (transaction.max.timeout.ms) */
#define DELIVERY_MILLIS 120000

/*
 * Settings that are not for who reads the topic of epochs: those that only producers have, about which librdkafka grumbles, and the rack: the
 * replica next to us may be behind the leader, and what it lacks would look as if it were not committed.
 */
static const char *const not_of_readers[] = {
    "client.rack",
    "acks",
    "request.required.acks",
    "linger.ms",
    "queue.buffering.",
    "batch.",
    "compression.",
    "partitioner",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "retries",
    "message.send.max.retries",
    "enable.idempotence",
    "transaction.timeout.ms",
    "sticky.partitioning.linger.ms",
    "request.timeout.ms",
    "queuing.strategy",
    "produce.offset.report",
    NULL,
};

static bool is_not_of_readers(const char *name)
{
    for (int i = 0; not_of_readers[i] != NULL; i++)
        if (strncmp(name, not_of_readers[i], strlen(not_of_readers[i])) == 0)
            return true;
    return false;
}

static const char *acks_of(const struct kafka_settings *settings)
{
    const char *acks = kafka_settings_get(settings, "acks");
    return acks != NULL ? acks : kafka_settings_get(settings, "request.required.acks");
}

static bool is_false(const char *text)
{
    return text != NULL && (mr_text_equal_nocase(text, "false") || strcmp(text, "0") == 0 ||
                            mr_text_equal_nocase(text, "f"));
}

static bool is_all(const char *acks)
{
    return acks == NULL || strcmp(acks, "-1") == 0 || mr_text_equal_nocase(acks, "all");
}

static bool is_idempotent(const struct kafka_settings *settings)
{
    return is_all(acks_of(settings)) &&
           !is_false(kafka_settings_get(settings, "enable.idempotence"));
}

/* Why transactions cannot be had. */
static const char *why_not(const struct kafka_settings *settings, struct mr_arena *arena)
{
    const char *acks = acks_of(settings);
    return is_all(acks) ? "kafka.enable.idempotence is false"
                        : mr_arena_printf(arena, "kafka.acks is %s", acks);
}

static enum mr_status choose(struct kafka_link *link, const struct mr_options *options, int lane,
                             struct mr_arena *arena, struct mr_error *err)
{
    int64_t wanted = mr_options_integer(options, "transactional", KAFKA_TXN_AUTO);
    if (!is_idempotent(&link->settings)) {
        link->why = why_not(&link->settings, arena);
        if (link->why == NULL)
            return mr_error_nomem(err);
    }
    if (wanted == KAFKA_TXN_TRUE && link->why != NULL)
        return mr_options_error(options, "transactional", err,
                                "transactions need every replica's acknowledgement, and %s",
                                link->why);
    if (wanted == KAFKA_TXN_FALSE)
        link->why = "transactional is false";
    if (link->why != NULL)
        return MR_OK;
    link->id = mr_arena_printf(arena, "millrace.%s.%d", link->state_key, lane);
    return link->id != NULL ? MR_OK : mr_error_nomem(err);
}

static uint64_t hash_settings(const struct kafka_link *link)
{
    uint64_t hash = 0;
    for (int i = 0; i < link->settings.count; i++) {
        const struct kafka_setting *item = &link->settings.items[i];
        hash = mr_hash64_seed(item->name, strlen(item->name), hash);
        hash = mr_hash64_seed(item->value, strlen(item->value), hash);
    }
    return hash;
}

enum mr_status kafka_link_read(struct kafka_link *link, const struct mr_options *options,
                               struct mr_runtime *runtime, int lane, struct mr_arena *arena,
                               struct mr_error *err)
{
    *link = (struct kafka_link){.state_key = runtime->state_key ? runtime->state_key : ""};
    if (options == NULL)
        return mr_error_set(err, MR_SINK, MR_CLASS_CONFIG,
                            "the pipeline has no such load any more, whose connection is needed");
    MR_TRY(kafka_settings_read(&link->settings, options, KAFKA_PRODUCER, runtime, arena, err));
    link->topic = mr_options_text(options, "topic");
    if (link->topic != NULL && !kafka_is_topic(mr_slice_of(link->topic)))
        return mr_options_error(options, "topic", err, "\"%.80s\": %s", link->topic,
                                KAFKA_TOPIC_RULE);
    link->progress = mr_options_text(options, "progressTopic");
    if (link->topic != NULL && strcmp(link->topic, link->progress) == 0)
        return mr_options_error(options, "topic", err, "%s remembers which epochs are committed",
                                link->topic);
    MR_TRY(choose(link, options, lane, arena, err));
    const char *timeout = kafka_settings_get(&link->settings, "transaction.timeout.ms");
    link->timeout_millis = strtoll(timeout != NULL ? timeout : TRANSACTION_MILLIS, NULL, 10);
    const char *servers = link->settings.servers;
    /* Without an id too it is this pipeline's: what its queue holds is charged to one run. */
    link->key = mr_arena_printf(arena, "toKafka %s %s %s %s %llx", link->id ? link->id : "-",
                                link->state_key, servers ? servers : "", link->progress,
                                (unsigned long long)hash_settings(link));
    return link->key != NULL ? MR_OK : mr_error_nomem(err);
}

struct own_setting {
    const char *name;
    const char *value;
    bool always; /* not for the user to say */
};

static enum mr_status set_own(const struct kafka_link *link, rd_kafka_conf_t *conf,
                              const struct own_setting *own, size_t count, struct mr_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (own[i].always || kafka_settings_get(&link->settings, own[i].name) == NULL)
            MR_TRY(kafka_conf_set(conf, own[i].name, own[i].value, err));
    return MR_OK;
}

enum mr_status kafka_link_reader(const struct kafka_link *link, bool committed,
                                 rd_kafka_conf_t **out, struct mr_error *err)
{
    static const struct own_setting own[] = {
        {"group.id", "millrace", false},
        {"enable.auto.commit", "false", true},
        {"enable.auto.offset.store", "false", true},
        {"auto.offset.reset", "error", true},
        {"enable.partition.eof", "true", true},
        {"queued.max.messages.kbytes", "4096", true},
        {"fetch.message.max.bytes", "1048576", true},
        {"fetch.wait.max.ms", "10", true},
        {"reconnect.backoff.max.ms", "1000", false},
    };
    struct kafka_settings settings = link->settings;
    settings.items = mr_calloc((size_t)settings.count + 1, sizeof *settings.items);
    if (settings.items == NULL)
        return mr_error_nomem(err);
    settings.count = 0;
    for (int i = 0; i < link->settings.count; i++)
        if (!is_not_of_readers(link->settings.items[i].name))
            settings.items[settings.count++] = link->settings.items[i];
    enum mr_status status = kafka_settings_conf(&settings, out, err);
    mr_free(settings.items);
    if (status != MR_OK)
        return status;
    status = set_own(link, *out, own, sizeof own / sizeof own[0], err);
    if (status == MR_OK)
        status = kafka_conf_set(*out, "isolation.level",
                                committed ? "read_committed" : "read_uncommitted", err);
    if (status != MR_OK)
        rd_kafka_conf_destroy(*out);
    return status;
}

enum mr_status kafka_link_producer(const struct kafka_link *link, int64_t queue_bytes,
                                   rd_kafka_conf_t **out, struct mr_error *err)
{
    char kilobytes[32], messages[32], delivery[32];
    snprintf(kilobytes, sizeof kilobytes, "%lld", (long long)(queue_bytes / 1024));
    snprintf(messages, sizeof messages, "%lld", (long long)(queue_bytes / 160));
    snprintf(delivery, sizeof delivery, "%lld",
             (long long)(link->timeout_millis < DELIVERY_MILLIS ? link->timeout_millis
                                                                : DELIVERY_MILLIS));
    bool patience = kafka_settings_get(&link->settings, "delivery.timeout.ms") != NULL;
    const char *idempotent = is_idempotent(&link->settings) ? "true" : "false";
    const struct own_setting own[] = {
        {"enable.idempotence", idempotent, false},
        {"queue.buffering.max.kbytes", kilobytes, false},
        {"queue.buffering.max.messages", messages, false},
        {"reconnect.backoff.max.ms", "1000", false},
        /* where clients in Java put records of the same key */
        {"partitioner", "murmur2_random", false},
    };
    const struct own_setting transactions[] = {
        {"transactional.id", link->id, true},
        {"transaction.timeout.ms", TRANSACTION_MILLIS, false},
    };
    MR_TRY(kafka_settings_conf(&link->settings, out, err));
    enum mr_status status = set_own(link, *out, own, sizeof own / sizeof own[0], err);
    if (status == MR_OK && !patience &&
        kafka_settings_get(&link->settings, "message.timeout.ms") == NULL)
        status = kafka_conf_set(*out, "message.timeout.ms", delivery, err);
    if (status == MR_OK && link->id != NULL)
        status = set_own(link, *out, transactions, 2, err);
    if (status != MR_OK)
        rd_kafka_conf_destroy(*out);
    return status;
}
