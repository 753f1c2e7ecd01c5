/*
 * pool.c - consumers for readers.
 *
 * Connecting costs round trips and a handle has threads, so a reader that is done leaves its consumer to the next. Each reader has one of its
 * own: two pieces of one partition cannot be read through the same handle at once.
 *
 * The consumer is the high-level one without a subscription (rd_kafka_assign): it joins no group, but librdkafka wants a group.id for it.
 */
#include "connect/kafka/source.h"

#include <stdio.h>

/* Larger answers make the allocator give memory back to the kernel and fetch it again. */
#define FETCH_MOST ((int64_t)1 << 20)

struct own_setting {
    const char *name;
    const char *value;
    bool always; /* not for the user to say */
};

enum mr_status kafka_reader_conf(const struct kafka_settings *settings, int64_t queue_bytes,
                                 bool group, rd_kafka_conf_t *conf, struct mr_error *err)
{
    char kilobytes[32], fetch[32];
    int64_t bytes = queue_bytes / 4 < FETCH_MOST ? queue_bytes / 4 : FETCH_MOST;
    snprintf(kilobytes, sizeof kilobytes, "%lld", (long long)(queue_bytes / 1024));
    snprintf(fetch, sizeof fetch, "%lld", (long long)bytes);
    const struct own_setting own[] = {
        {"group.id", "millrace", false},
        {"enable.auto.commit", "false", true},
        {"enable.auto.offset.store", "false", true},
        {"auto.offset.reset", "error", true},
        {"enable.partition.eof", "true", true},
        {"queued.min.messages", "1000000", false},
        {"queued.max.messages.kbytes", kilobytes, false},
        {"fetch.message.max.bytes", fetch, false},
        {"fetch.wait.max.ms", "100", false},
    };
    for (size_t i = group ? 0 : 1; i < sizeof own / sizeof own[0]; i++)
        if (own[i].always || kafka_settings_get(settings, own[i].name) == NULL)
            MR_TRY(kafka_conf_set(conf, own[i].name, own[i].value, err));
    return MR_OK;
}

static enum mr_status open_consumer(struct kafka_source *source, struct kafka_client **out,
                                    struct mr_error *err)
{
    rd_kafka_conf_t *conf;
    MR_TRY(kafka_settings_conf(&source->settings, &conf, err));
    enum mr_status status =
        kafka_reader_conf(&source->settings, source->queue_bytes, true, conf, err);
    if (status != MR_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    MR_TRY(kafka_client_open(conf, KAFKA_CONSUMER, out, err));
    status = kafka_client_watch(*out, err);
    if (status != MR_OK)
        kafka_client_close(*out);
    return status;
}

enum mr_status kafka_consumer_take(struct kafka_source *source, struct kafka_client **out,
                                   struct mr_error *err)
{
    pthread_mutex_lock(&source->lock);
    *out = source->nidle > 0 ? source->idle[--source->nidle] : NULL;
    pthread_mutex_unlock(&source->lock);
    return *out != NULL ? MR_OK : open_consumer(source, out, err);
}

static bool keep(struct kafka_source *source, struct kafka_client *client)
{
    bool kept = false;
    pthread_mutex_lock(&source->lock);
    if (source->nidle == source->room) {
        int room = source->room > 0 ? 2 * source->room : 8;
        struct kafka_client **idle =
            mr_realloc(source->idle, (size_t)room * sizeof(struct kafka_client *));
        if (idle != NULL) {
            source->idle = idle;
            source->room = room;
        }
    }
    if (source->nidle < source->room) {
        source->idle[source->nidle++] = client;
        kept = true;
    }
    pthread_mutex_unlock(&source->lock);
    return kept;
}

void kafka_consumer_give(struct kafka_source *source, struct kafka_client *client, bool good)
{
    if (client == NULL)
        return;
    good = good && rd_kafka_assign(kafka_client_handle(client), NULL) == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!good || !keep(source, client))
        kafka_client_close(client);
}

void kafka_consumers_close(struct kafka_source *source)
{
    for (int i = 0; i < source->nidle; i++)
        kafka_client_close(source->idle[i]);
    mr_free(source->idle);
    source->idle = NULL;
    source->nidle = source->room = 0;
}
