/*
 * progress.c - the topic of epochs: what of a pipeline is committed in a cluster.
 *
 * A compacted topic holds a record for each load, written by the very transaction that writes the load's rows:
 *
 *   key    ["orders",0,"out",1]      state key, lane, topic, number of the load
 *   value  "MRKP" 01 | state uuid | epoch u64 | run | positions kept? u8, bytes | CRC-32
 *
 * Whoever has fenced the transactional.id and then reads to the end knows what happened. Offsets of a consumer group would be a cheaper place
 * (no topic, one request), and were refused: brokers forget them after a week without commits, and a commit would then look as if it had
 * never been.
 *
 * The end is the high watermark as of the reading. read_committed stops in front of the first transaction that is open, and that may be one of
 * another pipeline, behind which our last record is. So what lies between is looked at uncommitted: if nothing of ours is there, we are done;
 * else we wait until it is decided.
 *
 * What a fetch says of the end is not enough: a leader that has just been elected does not know its high watermark yet (KIP-207), and what it does
 * not show would look as if it were not committed. So the end is asked for first, which such a leader refuses to say.
 */
#include "connect/kafka/offsets.h"
#include "connect/kafka/sink.h"

#include "base/hash.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>

#define PARTITIONS     8
#define PATIENCE       (30 * MR_MICROS_PER_SECOND)
#define MOST_POSITIONS ((size_t)512 << 10) /* a record has to fit where 1 MB is allowed */

static const char magic[5] = {'M', 'R', 'K', 'P', 1};

/* --- memories --- */

static void drop_memory(struct kafka_memory *memory)
{
    mr_free(memory->key);
    mr_free((void *)(uintptr_t)memory->positions.data);
}

void kafka_memories_reset(struct kafka_memories *memories)
{
    for (int i = 0; i < memories->count; i++)
        drop_memory(&memories->items[i]);
    mr_free(memories->items);
    *memories = (struct kafka_memories){0};
}

static struct kafka_memory *find(const struct kafka_memories *memories, const char *key)
{
    for (int i = 0; i < memories->count; i++)
        if (strcmp(memories->items[i].key, key) == 0)
            return &memories->items[i];
    return NULL;
}

const struct kafka_memory *kafka_memories_find(const struct kafka_memories *memories,
                                               const char *key)
{
    return find(memories, key);
}

enum mr_status kafka_memories_put(struct kafka_memories *memories,
                                  const struct kafka_memory *memory, struct mr_error *err)
{
    struct kafka_memory copy = *memory;
    char *bytes = mr_alloc(memory->positions.size + 1);
    copy.key = mr_strdup(memory->key);
    copy.positions.data = bytes;
    struct kafka_memory *at = find(memories, memory->key);
    if (at == NULL && bytes != NULL && copy.key != NULL) {
        size_t size = ((size_t)memories->count + 1) * sizeof *memories->items;
        struct kafka_memory *items = mr_realloc(memories->items, size);
        if (items != NULL) {
            memories->items = items;
            at = &items[memories->count];
            *at = (struct kafka_memory){0};
            memories->count++;
        }
    }
    if (at == NULL || bytes == NULL || copy.key == NULL) {
        drop_memory(&copy);
        return mr_error_nomem(err);
    }
    if (memory->positions.size > 0)
        memcpy(bytes, memory->positions.data, memory->positions.size);
    drop_memory(at);
    *at = copy;
    return MR_OK;
}

static void forget(struct kafka_memories *memories, const char *key)
{
    struct kafka_memory *at = find(memories, key);
    if (at == NULL)
        return;
    drop_memory(at);
    *at = memories->items[--memories->count];
}

/* --- keys and values --- */

enum mr_status kafka_progress_prefix(const char *state_key, int lane, struct mr_arena *arena,
                                     const char **out, struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 16);
    mr_bytes_char(&text, '[');
    mr_bytes_json_string(&text, state_key, strlen(state_key));
    mr_bytes_printf(&text, ",%d,", lane);
    *out = mr_bytes_to_arena(&text, arena);
    return *out != NULL ? MR_OK : mr_error_nomem(err);
}

enum mr_status kafka_progress_key(const char *prefix, const char *topic, int sequence,
                                  struct mr_arena *arena, const char **out, struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 17);
    mr_bytes_text(&text, prefix);
    mr_bytes_json_string(&text, topic, strlen(topic));
    mr_bytes_printf(&text, ",%d]", sequence);
    *out = mr_bytes_to_arena(&text, arena);
    return *out != NULL ? MR_OK : mr_error_nomem(err);
}

int kafka_progress_sequence(const char *key)
{
    const char *comma = strrchr(key, ',');
    return comma != NULL ? atoi(comma + 1) : 0;
}

bool kafka_progress_same_topic(const char *key, const char *other)
{
    const char *a = strrchr(key, ','), *b = strrchr(other, ',');
    return a != NULL && b != NULL && a - key == b - other &&
           strncmp(key, other, (size_t)(a - key)) == 0;
}

void kafka_progress_value(const struct kafka_memory *memory, struct mr_bytes *out)
{
    bool kept = memory->positions.size <= MOST_POSITIONS;
    size_t start = out->size;
    mr_bytes_append(out, magic, sizeof magic);
    mr_bytes_lenpref_text(out, memory->uuid);
    mr_bytes_u64le(out, (uint64_t)memory->epoch);
    mr_bytes_lenpref_text(out, memory->run);
    mr_bytes_u8(out, kept);
    mr_bytes_lenpref(out, memory->positions.data, kept ? memory->positions.size : 0);
    mr_bytes_seal(out, start);
}

static void copy_text(char *out, size_t room, struct mr_slice text)
{
    snprintf(out, room, "%.*s", (int)(text.size < room ? text.size : room - 1),
             text.size > 0 ? text.data : "");
}

static enum mr_status take_value(struct kafka_memories *into, char *key, struct mr_slice value,
                                 struct mr_error *err)
{
    struct mr_byte_reader reader;
    struct kafka_memory memory = {.key = key};
    if (!mr_byte_reader_unseal(&reader, value) ||
        !mr_byte_reader_expect(&reader, magic, sizeof magic))
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                            "the record of %s in the topic of epochs is damaged, or of another "
                            "version",
                            key);
    copy_text(memory.uuid, sizeof memory.uuid, mr_byte_reader_lenpref(&reader));
    memory.epoch = (int64_t)mr_byte_reader_u64le(&reader);
    copy_text(memory.run, sizeof memory.run, mr_byte_reader_lenpref(&reader));
    mr_byte_reader_u8(&reader);
    memory.positions = mr_byte_reader_lenpref(&reader);
    if (!mr_byte_reader_done(&reader))
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                            "the record of %s in the topic of epochs is damaged", key);
    return kafka_memories_put(into, &memory, err);
}

/* --- the topic --- */

struct existing {
    const char *topic;
    bool wait; /* it was just made */
    int partitions;
};

static rd_kafka_resp_err_t ask_partitions(rd_kafka_t *rk, int millis, void *context)
{
    struct existing *existing = context;
    const struct rd_kafka_metadata *metadata;
    existing->partitions = 0;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, existing->topic, NULL);
    if (topic == NULL)
        return rd_kafka_last_error();
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, topic, &metadata, millis);
    rd_kafka_topic_destroy(topic);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    if (metadata->topic_cnt == 1) {
        code = metadata->topics[0].err;
        existing->partitions = metadata->topics[0].partition_cnt;
        for (int i = 0; i < existing->partitions && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
            code = metadata->topics[0].partitions[i].err;
    }
    rd_kafka_metadata_destroy(metadata);
    if (code == RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE)
        code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        existing->partitions = 0;
        code = existing->wait ? RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE : RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    return code;
}

static enum mr_status ask_topic(struct kafka_producer *producer, struct mr_runtime *runtime,
                                const char *topic, bool wait, int *out, struct mr_error *err)
{
    struct existing existing = {.topic = topic, .wait = wait};
    struct kafka_client *client;
    char doing[300];
    snprintf(doing, sizeof doing, "topic %.250s", topic);
    MR_TRY(kafka_producer_reader(producer, &client, err));
    MR_TRY(kafka_client_ask(client, runtime, ask_partitions, &existing, doing, err));
    *out = existing.partitions;
    return MR_OK;
}

enum mr_status kafka_topic_partitions(struct kafka_producer *producer, struct mr_runtime *runtime,
                                      const char *topic, int *out, struct mr_error *err)
{
    return ask_topic(producer, runtime, topic, false, out, err);
}

static rd_kafka_resp_err_t creation_result(rd_kafka_event_t *event)
{
    size_t count = 0;
    if (event == NULL)
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return rd_kafka_event_error(event);
    const rd_kafka_topic_result_t **topics =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    rd_kafka_resp_err_t code =
        count == 1 ? rd_kafka_topic_result_error(topics[0]) : RD_KAFKA_RESP_ERR__FAIL;
    return code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS ? RD_KAFKA_RESP_ERR_NO_ERROR : code;
}

/* Replicas as the brokers' default says. Segments are small, so that compaction keeps the topic quick to read. */
static rd_kafka_resp_err_t ask_creation(rd_kafka_t *rk, int millis, void *context)
{
    static const char *const configs[][2] = {
        {"cleanup.policy", "compact"},
        {"segment.bytes", "4194304"},
        {"min.cleanable.dirty.ratio", "0.1"},
    };
    char text[256];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(context, PARTITIONS, -1, text, sizeof text);
    if (topic == NULL)
        return RD_KAFKA_RESP_ERR__INVALID_ARG;
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++)
        rd_kafka_NewTopic_set_config(topic, configs[i][0], configs[i][1]);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, millis, text, sizeof text);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_CreateTopics(rk, &topic, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, millis + 500);
    rd_kafka_resp_err_t code = creation_result(event);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(topic);
    return code;
}

static enum mr_status make_topic(struct kafka_producer *producer, struct mr_runtime *runtime,
                                 int *partitions, struct mr_error *err)
{
    const char *topic = producer->link.progress;
    struct kafka_client *client;
    char doing[300];
    snprintf(doing, sizeof doing, "making topic %.250s", topic);
    MR_TRY(kafka_producer_reader(producer, &client, err));
    enum mr_status status =
        kafka_client_ask(client, runtime, ask_creation, (void *)(uintptr_t)topic, doing, err);
    if (status != MR_OK) {
        mr_error_hint(err, "make it beforehand: %d partitions, cleanup.policy compact", PARTITIONS);
        return status;
    }
    return ask_topic(producer, runtime, topic, true, partitions, err);
}

struct policy {
    const char *topic;
    char text[64]; /* "" = not known */
};

static void take_policy(struct policy *policy, const rd_kafka_ConfigResource_t *resource)
{
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), "cleanup.policy") == 0 && value != NULL)
            snprintf(policy->text, sizeof policy->text, "%s", value);
    }
}

static void read_policy(struct policy *policy, rd_kafka_event_t *event)
{
    size_t count = 0;
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event),
                                                  &count);
    if (count == 1 && rd_kafka_ConfigResource_error(resources[0]) == RD_KAFKA_RESP_ERR_NO_ERROR)
        take_policy(policy, resources[0]);
}

/* Asked once: who may not ask, or a broker that does not know the question (the mock cluster), goes on, as the guide says. */
static rd_kafka_resp_err_t ask_policy(rd_kafka_t *rk, int millis, void *context)
{
    struct policy *policy = context;
    char text[256];
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, policy->topic);
    if (resource == NULL)
        return RD_KAFKA_RESP_ERR__INVALID_ARG;
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_AdminOptions_set_request_timeout(options, millis, text, sizeof text);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DescribeConfigs(rk, &resource, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, millis);
    read_policy(policy, event);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* What expires in it would look as if it had never been committed, and be loaded again. */
static enum mr_status check_policy(struct kafka_producer *producer, struct mr_runtime *runtime,
                                   struct mr_error *err)
{
    struct policy policy = {.topic = producer->link.progress};
    struct kafka_client *client;
    char doing[300];
    snprintf(doing, sizeof doing, "settings of topic %.250s", policy.topic);
    MR_TRY(kafka_producer_reader(producer, &client, err));
    MR_TRY(kafka_client_ask(client, runtime, ask_policy, &policy, doing, err));
    if (policy.text[0] == '\0' || strcmp(policy.text, "compact") == 0)
        return MR_OK;
    mr_error_set(err, MR_SINK, MR_CLASS_CONFIG,
                 "the topic of epochs %s (`progressTopic`) has cleanup.policy %s: what is "
                 "committed would be forgotten, and loaded again",
                 policy.topic, policy.text);
    mr_error_hint(err,
                  "set it to compact (kafka-configs --alter --entity-type topics --entity-name %s "
                  "--add-config cleanup.policy=compact), or name another `progressTopic`",
                  policy.topic);
    return MR_SINK;
}

enum mr_status kafka_progress_ready(struct kafka_producer *producer, struct mr_runtime *runtime,
                                    const char *prefix, bool make, int *partition,
                                    struct mr_error *err)
{
    int partitions = 0;
    *partition = -1;
    MR_TRY(ask_topic(producer, runtime, producer->link.progress, false, &partitions, err));
    if (partitions == 0 && make)
        MR_TRY(make_topic(producer, runtime, &partitions, err));
    else if (make)
        MR_TRY(check_policy(producer, runtime, err));
    if (partitions > PARTITIONS)
        partitions = PARTITIONS;
    if (partitions > 0)
        *partition = (int)(mr_hash64(prefix, strlen(prefix)) % (uint64_t)partitions);
    return MR_OK;
}

/* --- reading --- */

struct scan {
    struct kafka_client *client;
    struct mr_runtime *runtime;
    const char *topic;
    const char *prefix;
    int32_t partition;
    struct kafka_memories *into; /* NULL: only looked for */
    int64_t next;                /* offset up to which all was seen */
    int64_t last;                /* of the last record of ours, -1 = none */
    int64_t deadline;
};

static bool is_ours(const struct scan *scan, const rd_kafka_message_t *message)
{
    size_t size = strlen(scan->prefix);
    return message->key != NULL && message->key_len > size &&
           memcmp(message->key, scan->prefix, size) == 0;
}

static enum mr_status take_record(struct scan *scan, const rd_kafka_message_t *message,
                                  struct mr_error *err)
{
    scan->next = message->offset + 1;
    if (!is_ours(scan, message))
        return MR_OK;
    scan->last = message->offset;
    if (scan->into == NULL)
        return MR_OK;
    char *key = mr_alloc(message->key_len + 1);
    if (key == NULL)
        return mr_error_nomem(err);
    memcpy(key, message->key, message->key_len);
    key[message->key_len] = '\0';
    enum mr_status status = MR_OK;
    if (message->payload == NULL)
        forget(scan->into, key);
    else
        status =
            take_value(scan->into, key, (struct mr_slice){message->payload, message->len}, err);
    mr_free(key);
    return status;
}

/* *end: the end of what may be read was there. */
static enum mr_status take_message(struct scan *scan, const rd_kafka_message_t *message, bool *end,
                                   struct mr_error *err)
{
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return take_record(scan, message, err);
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        scan->next = message->offset > scan->next ? message->offset : scan->next;
        *end = true;
        return MR_OK;
    }
    /* see source: a refusal of the group does not matter */
    if (kafka_is_transient(message->err) ||
        message->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        return MR_OK;
    return kafka_error(scan->client, MR_SINK, message->err, err, "reading topic %s", scan->topic);
}

static enum mr_status too_long(const struct scan *scan, struct mr_error *err)
{
    if (scan->last < 0 || scan->into == NULL)
        return kafka_error(scan->client, MR_SINK, RD_KAFKA_RESP_ERR__TIMED_OUT, err,
                           "reading topic %s", scan->topic);
    mr_error_set(err, MR_SINK, MR_CLASS_TRANSIENT,
                 "topic %s: a transaction is open in front of offset %lld, and whether that is "
                 "committed cannot be told before it ends",
                 scan->topic, (long long)scan->last);
    mr_error_hint(err, "another pipeline was stopped in its commit: start it, or wait for its "
                       "transaction.timeout.ms");
    return MR_SINK;
}

/* Until the end of the partition, and at least until `until`. */
static enum mr_status read_on(struct scan *scan, int64_t until, struct mr_error *err)
{
    rd_kafka_t *rk = kafka_client_handle(scan->client);
    bool end = false;
    while (!end || scan->next < until) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 0);
        if (message != NULL) {
            enum mr_status status = take_message(scan, message, &end, err);
            rd_kafka_message_destroy(message);
            MR_TRY(status);
            continue;
        }
        if (mr_clock_monotonic_micros() > scan->deadline)
            return too_long(scan, err);
        MR_TRY(mr_wait(scan->runtime->waiter, kafka_client_fd(scan->client), MR_WAIT_READ,
                       scan->deadline + 1000, MR_WAIT_SINK, NULL, err));
        kafka_client_quiet(scan->client);
    }
    return MR_OK;
}

static enum mr_status begin_scan(struct scan *scan, int64_t from, struct mr_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, scan->topic, scan->partition)->offset = from;
    rd_kafka_resp_err_t code = rd_kafka_assign(kafka_client_handle(scan->client), list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return MR_OK;
    return kafka_error(scan->client, MR_SINK, code, err, "topic %s", scan->topic);
}

/* Behind all that is decided, as the leader knows it. */
static enum mr_status ask_end(const struct scan *scan, int64_t *out, struct mr_error *err)
{
    struct kafka_partition partition = {.topic = scan->topic, .number = scan->partition};
    struct kafka_partitions one = {.items = &partition, .count = 1, .cluster = ""};
    MR_TRY(kafka_ask_ends(scan->client, scan->runtime, &one, err));
    *out = partition.high;
    return MR_OK;
}

/* Is a record of ours among those that are not decided? Then that of the last one. */
static enum mr_status peek(struct kafka_producer *producer, const struct scan *seen, int64_t high,
                           int64_t *last, struct mr_error *err)
{
    struct scan scan = *seen;
    struct kafka_client *client = NULL;
    scan.into = NULL;
    scan.last = -1;
    MR_TRY(
        kafka_client_open(rd_kafka_conf_dup(producer->peeker_conf), KAFKA_CONSUMER, &client, err));
    scan.client = client;
    enum mr_status status = kafka_client_watch(client, err);
    if (status == MR_OK)
        status = begin_scan(&scan, seen->next, err);
    if (status == MR_OK)
        status = read_on(&scan, high, err);
    kafka_client_close(client);
    *last = scan.last;
    return status;
}

static enum mr_status scan_all(struct kafka_producer *producer, struct scan *scan, bool *undecided,
                               struct mr_error *err)
{
    int64_t low = 0, high = 0, last = -1, end;
    MR_TRY(ask_end(scan, &end, err));
    MR_TRY(begin_scan(scan, RD_KAFKA_OFFSET_BEGINNING, err));
    MR_TRY(read_on(scan, end, err));
    rd_kafka_resp_err_t code =
        rd_kafka_get_watermark_offsets(kafka_client_handle(scan->client), scan->topic,
                                       scan->partition, &low, &high);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_error(scan->client, MR_SINK, code, err, "topic %s", scan->topic);
    if (high <= scan->next)
        return MR_OK;
    MR_TRY(peek(producer, scan, high, &last, err));
    if (last < 0)
        return MR_OK;
    if (undecided != NULL) {
        *undecided = true;
        return MR_OK;
    }
    scan->last = last;
    return read_on(scan, last + 1, err);
}

enum mr_status kafka_progress_read(struct kafka_producer *producer, struct mr_runtime *runtime,
                                   const char *prefix, int partition, struct kafka_memories *out,
                                   bool *undecided, struct mr_error *err)
{
    int64_t patience = runtime->timeout_connect_micros;
    struct scan scan = {
        .runtime = runtime,
        .topic = producer->link.progress,
        .prefix = prefix,
        .partition = partition,
        .into = out,
        .last = -1,
        .deadline = mr_clock_monotonic_micros() + (patience > 0 ? patience : PATIENCE),
    };
    if (undecided != NULL)
        *undecided = false;
    kafka_memories_reset(out);
    MR_TRY(kafka_producer_reader(producer, &scan.client, err));
    enum mr_status status = scan_all(producer, &scan, undecided, err);
    kafka_client_tell(scan.client, runtime);
    if (status == MR_OK &&
        rd_kafka_assign(kafka_client_handle(scan.client), NULL) == RD_KAFKA_RESP_ERR_NO_ERROR)
        return MR_OK;
    kafka_producer_forget_reader(producer);
    return status;
}
