/*
 * sink_writer.c - a task's rows into the queue of the shared producer.
 *
 * What the queue may hold is charged once for all writers that are open, to the step of the first.
 */
#include "connect/kafka/sink.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "base/map.h"

static const char magic[5] = {'M', 'R', 'K', 'C', 1};

struct writer {
    const struct kafka_load *load;
    struct mr_runtime *runtime;
    struct kafka_producer *producer;
    struct kafka_flight *flight;
    struct kafka_encoder *encoder;
    rd_kafka_topic_t *topic; /* NULL: every row names its own */
    struct mr_map topics;    /* those that rows have named */
    bool owned;              /* the producer is nobody else's */
    bool counted;            /* among the producer's writers */
    int64_t rows;
    int64_t bytes;
};

static enum mr_status charge(struct writer *writer, struct mr_error *err)
{
    struct kafka_producer *producer = writer->producer;
    enum mr_status status = MR_OK;
    pthread_mutex_lock(&producer->lock);
    if (producer->writers == 0) {
        int64_t bytes =
            producer->queue_bytes * 5 / 2; /* and what librdkafka keeps of each record */
        status = mr_memory_charge(writer->runtime->memory, bytes, err);
        producer->account = writer->runtime->memory;
        producer->charged = status == MR_OK ? bytes : 0;
    }
    if (status == MR_OK) {
        producer->writers++;
        writer->counted = true;
    }
    pthread_mutex_unlock(&producer->lock);
    return status;
}

static void credit(struct writer *writer)
{
    struct kafka_producer *producer = writer->producer;
    pthread_mutex_lock(&producer->lock);
    if (--producer->writers == 0) {
        mr_memory_credit(producer->account, producer->charged);
        producer->account = NULL;
        producer->charged = 0;
    }
    pthread_mutex_unlock(&producer->lock);
}

void kafka_writer_close(void *object)
{
    struct writer *writer = object;
    if (writer->topic != NULL)
        rd_kafka_topic_destroy(writer->topic);
    for (size_t i = 0; i < writer->topics.count; i++)
        rd_kafka_topic_destroy(writer->topics.entries[i].value);
    mr_map_reset(&writer->topics);
    kafka_flight_close(writer->flight);
    kafka_encoder_free(writer->encoder);
    if (writer->counted)
        credit(writer);
    if (writer->owned)
        kafka_producer_free(writer->producer);
    mr_free(writer);
}

/* By name alone librdkafka would ask for a topic up to a second later. */
static enum mr_status new_topic(struct writer *writer, const char *name, rd_kafka_topic_t **out,
                                struct mr_error *err)
{
    *out = rd_kafka_topic_new(kafka_client_handle(writer->producer->client), name, NULL);
    return *out != NULL ? MR_OK
                        : kafka_error(NULL, MR_SINK, rd_kafka_last_error(), err, "topic %s", name);
}

struct registering {
    struct writer *writer;
    const struct kafka_columns *columns;
};

static enum mr_status register_schema(void *context, void **out, struct mr_error *err)
{
    const struct registering *registering = context;
    int32_t *number = mr_calloc(1, sizeof *number);
    if (number == NULL)
        return mr_error_nomem(err);
    enum mr_status status =
        kafka_registry_register(registering->columns->registry, registering->writer->runtime,
                                registering->columns->subject, registering->columns->avro->text,
                                number, err);
    if (status == MR_OK)
        *out = number;
    else
        mr_free(number);
    return status;
}

/* The number of the schema in the registry: one request, whoever asks first. */
static enum mr_status find_schema(struct writer *writer, int32_t *out, struct mr_error *err)
{
    const struct kafka_columns *columns = &writer->load->columns;
    struct registering registering = {writer, columns};
    struct mr_runtime lent = *writer->runtime;
    struct mr_bytes key;
    void *number = NULL;
    *out = -1;
    if (columns->registry == NULL)
        return MR_OK;
    if (lent.streaming && lent.common != NULL)
        lent.shared = lent.common;
    struct mr_slice text = columns->avro->text;
    mr_bytes_init(&key, 1 << 16);
    mr_bytes_printf(&key, "toKafka %s %s %llx", kafka_registry_place(columns->registry),
                    columns->subject, (unsigned long long)mr_hash64(text.data, text.size));
    enum mr_status status = mr_bytes_status(&key, err);
    if (status == MR_OK)
        status = lent.shared != NULL ? mr_shared_get(&lent, key.data, register_schema, &registering,
                                                     mr_free, &number, err)
                                     : register_schema(&registering, &number, err);
    if (status == MR_OK)
        *out = *(int32_t *)number;
    if (lent.shared == NULL)
        mr_free(number);
    mr_bytes_reset(&key);
    return status;
}

static enum mr_status open_writer(struct writer *writer, const struct mr_epoch *epoch,
                                  struct mr_error *err)
{
    const struct kafka_link *link = &writer->load->link;
    int32_t schema;
    MR_TRY(find_schema(writer, &schema, err));
    MR_TRY(kafka_producer_get(link, writer->runtime, epoch->lane, &writer->producer, &writer->owned,
                              err));
    if (writer->owned && link->id != NULL)
        return mr_error_internal(err, "a transaction that nothing shares");
    MR_TRY(kafka_transaction_begin(writer->producer, writer->runtime, epoch->epoch, err));
    MR_TRY(charge(writer, err));
    MR_TRY(kafka_flight_open(writer->producer, &writer->flight, err));
    MR_TRY(kafka_encoder_new(&writer->load->columns, schema, &writer->encoder, err));
    if (link->topic == NULL)
        return MR_OK;
    writer->topic =
        rd_kafka_topic_new(kafka_client_handle(writer->producer->client), link->topic, NULL);
    return writer->topic != NULL
               ? MR_OK
               : kafka_error(NULL, MR_SINK, rd_kafka_last_error(), err, "topic %s", link->topic);
}

enum mr_status kafka_writer_open(void *state, struct mr_runtime *runtime,
                                 const struct mr_epoch *epoch, int task, void **out,
                                 struct mr_error *err)
{
    struct writer *writer = mr_calloc(1, sizeof *writer);
    (void)task;
    *out = NULL;
    if (writer == NULL)
        return mr_error_nomem(err);
    writer->load = state;
    mr_map_init(&writer->topics, false);
    writer->runtime = runtime;
    enum mr_status status = mr_error_of_sink(open_writer(writer, epoch, err), err);
    if (status != MR_OK)
        kafka_writer_close(writer);
    else
        *out = writer;
    return status;
}

static enum mr_status find_topic(struct writer *writer, struct kafka_record *record,
                                 struct mr_error *err)
{
    if (record->name == NULL) {
        record->topic = writer->topic;
        return record->topic != NULL
                   ? MR_OK
                   : mr_error_data(err, MR_SINK, "a row names no topic, and `topic` is not set");
    }
    if (strcmp(record->name, writer->load->link.progress) == 0)
        return mr_error_data(err, MR_SINK, "a row names the topic of epochs, %s", record->name);
    record->topic = mr_map_get(&writer->topics, mr_slice_of(record->name));
    if (record->topic != NULL)
        return MR_OK;
    MR_TRY(new_topic(writer, record->name, &record->topic, err));
    enum mr_status status =
        mr_map_put(&writer->topics, mr_slice_of(record->name), record->topic, err);
    if (status != MR_OK)
        rd_kafka_topic_destroy(record->topic);
    return status;
}

static enum mr_status send_record(void *context, struct kafka_record *record, struct mr_error *err)
{
    struct writer *writer = context;
    enum mr_status status = find_topic(writer, record, err);
    if (status != MR_OK && record->headers != NULL)
        rd_kafka_headers_destroy(record->headers);
    MR_TRY(status);
    writer->bytes += (int64_t)(record->key.size + record->value.size);
    return kafka_flight_send(writer->flight, writer->runtime, record, err);
}

/* Which topic a failure is about, where rows do not say it themselves. */
static enum mr_status name_target(const struct writer *writer, enum mr_status status,
                                  struct mr_error *err)
{
    if (status != MR_OK && writer->load->link.topic != NULL && writer->load->columns.topic < 0)
        mr_error_prefix(err, "topic %s", writer->load->link.topic);
    return mr_error_of_sink(status, err);
}

enum mr_status kafka_writer_write(void *object, struct mr_batch *batch, struct mr_error *err)
{
    struct writer *writer = object;
    int64_t before = writer->bytes;
    MR_TRY(
        name_target(writer, kafka_encode(writer->encoder, batch, send_record, writer, err), err));
    mr_count(writer->runtime, MR_COUNT_ROWS_WRITTEN, batch->rows);
    mr_count(writer->runtime, MR_COUNT_BATCHES, 1);
    mr_count(writer->runtime, MR_COUNT_BYTES_WRITTEN, writer->bytes - before);
    writer->rows += batch->rows;
    return MR_OK;
}

enum mr_status kafka_writer_finish(void *object, struct mr_bytes *committable, struct mr_error *err)
{
    struct writer *writer = object;
    MR_TRY(MR_FAILPOINT("kafka.before_flush", err));
    enum mr_status status = kafka_flight_land(writer->flight, writer->runtime, err);
    kafka_client_tell(writer->producer->client, writer->runtime);
    MR_TRY(name_target(writer, status, err));
    mr_bytes_append(committable, magic, sizeof magic);
    mr_bytes_u64le(committable, writer->producer->nonce);
    mr_bytes_varint(committable, (uint64_t)writer->rows);
    return mr_bytes_status(committable, err);
}

bool kafka_committable_read(struct mr_slice bytes, uint64_t *nonce)
{
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, bytes.data, bytes.size);
    if (!mr_byte_reader_expect(&reader, magic, sizeof magic))
        return false;
    *nonce = mr_byte_reader_u64le(&reader);
    mr_byte_reader_varint(&reader);
    return mr_byte_reader_done(&reader);
}
