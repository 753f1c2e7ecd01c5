/*
 * read.c - a split into batches: records from the consumer's queue, decoded a chunk at a time.
 *
 * Records are taken with rd_kafka_consumer_poll one by one: the batch calls of librdkafka 2.0 can skip offsets behind a seek or a pause
 * (docs/internals/kafka.md), and one by one costs a fifth of a microsecond. A split ends when a record at or behind its end comes, or the
 * end of the partition: the last offsets may be markers of transactions, or gone by compaction, and no record ever comes for them.
 *
 * Where a batch ends depends on records alone, never on when they came, so that what a run writes does not depend on timing. JSON is
 * decoded in chunks: the values of many records are put behind each other, since finding tokens costs the same for one record as for
 * a thousand; CSV too, for the bytes behind its text that are looked at. A chunk of JSON in which they cannot be found (a string that does not end) is decoded record by record, so only the bad one is bad.
 */
#include "connect/kafka/source.h"
#include "ext/latency.h"

#include "base/time.h"
#include "enc/json_decode.h"

#include <stdio.h>

#define BATCH_ROWS    65536
#define BATCH_BYTES   ((int64_t)4 << 20)
#define CHUNK_RECORDS 1024
#define CHUNK_BYTES   ((size_t)128 << 10)
#define PADDING       64 /* readable behind the text */
/* Nothing came for so long: the split is given up, and tried again by the engine. */
#define SILENCE_MICROS (60 * MR_MICROS_PER_SECOND)
#define SILENCE_AT_END MR_MICROS_PER_SECOND /* of a stream that is to end */
#define LOOK_MICROS    (500 * 1000)
#define LOOK_BYTES     ((int64_t)1 << 20)

struct reader {
    struct kafka_source *source;
    struct mr_runtime *runtime;
    struct mr_arena arena;
    struct mr_slice token;
    struct kafka_split split;
    struct kafka_client *client;
    struct kafka_feed *feed; /* streaming: where records come from; the client is the hub's */
    int64_t charged;
    struct kafka_position position; /* behind the last item given */
    int64_t next;                   /* offset of the next record */
    int64_t deadline;               /* of the silence; 0 = there is none */
    bool done;                      /* all of the split has been taken */
    int64_t look_bytes;             /* the queue is looked at after so many */
    int64_t polled_bytes;           /* since the queue was looked at */
    size_t polled;
    size_t queued; /* in it then */
    bool failed;
    bool told; /* the log has an example of what is dropped */
    /* the batch that is made */
    struct mr_rows rows;
    struct mr_rows letters;
    int64_t bytes;
    int64_t millis; /* of the last records, and how many they are: for mr_latency */
    int64_t nmillis;
    int64_t faults; /* since position.next */
    /* the chunk: records that are not decoded yet */
    rd_kafka_message_t *records[CHUNK_RECORDS];
    size_t starts[CHUNK_RECORDS]; /* in the text */
    int nrecords;
    struct mr_bytes text;
    struct mr_json_decoder *json;
    struct kafka_avro *avro;
    struct kafka_csv *csv;
};

/* --- decoding --- */

static void drop_chunk(struct reader *reader)
{
    for (int i = 0; i < reader->nrecords; i++)
        rd_kafka_message_destroy(reader->records[i]);
    reader->nrecords = 0;
    mr_bytes_clear(&reader->text);
}

static enum mr_status take_fault(struct reader *reader, const rd_kafka_message_t *record,
                                 const struct mr_row_fault *fault, struct mr_error *err)
{
    const struct kafka_split *split = &reader->split;
    if (reader->source->on_error == KAFKA_FAIL) {
        mr_error_data(err, MR_SOURCE, "%s[%d] offset %lld%s%s%s: %s", split->topic,
                      (int)split->partition, (long long)record->offset,
                      fault->column ? ", column \"" : "", fault->column ? fault->column : "",
                      fault->column ? "\"" : "", fault->reason);
        mr_error_hint(err,
                      "to read on, give the step `onError` drop, or deadLetter with `deadLetter`");
        return MR_SOURCE;
    }
    if (reader->faults++ < reader->position.rejected)
        return MR_OK; /* was delivered before the reader was opened again */
    mr_count(reader->runtime, MR_COUNT_ROWS_REJECTED, 1);
    if (!reader->told)
        mr_event(reader->runtime, MR_LOG_WARN,
                 "%s[%d] offset %lld%s%s%s: %s; further ones of this split are only counted",
                 split->topic, (int)split->partition, (long long)record->offset,
                 fault->column ? ", column \"" : "", fault->column ? fault->column : "",
                 fault->column ? "\"" : "", fault->reason);
    reader->told = true;
    if (reader->source->on_error == KAFKA_DEAD_LETTER && reader->source->to_topic)
        return kafka_append_letter_record(&reader->letters, record, fault->column, fault->reason,
                                          err);
    if (reader->source->on_error == KAFKA_DEAD_LETTER)
        return kafka_append_letter(&reader->letters, record, fault->column, fault->reason, err);
    return MR_OK;
}

/* One record. JSON: the text is loaded unless `reason` says why it cannot be. */
static enum mr_status decode_record(struct reader *reader, const rd_kafka_message_t *record,
                                    size_t from, size_t to, const char *reason,
                                    struct mr_error *err)
{
    struct mr_row_fault fault;
    bool blank = false, done = true;
    fault.found = false;
    if (record->payload == NULL) {
        MR_TRY(mr_rows_null(&reader->rows, &done, err));
        if (!done)
            mr_row_fault_set(&fault, NULL,
                             "no value (a tombstone), and there are columns NOT NULL");
    } else if (reason != NULL) {
        mr_row_fault_set(&fault, NULL, "%s", reason);
    } else if (reader->csv != NULL) {
        struct mr_slice value = {reader->text.data + from, to - from};
        MR_TRY(kafka_csv_decode(reader->csv, value, &fault, err));
    } else if (reader->avro != NULL) {
        struct mr_slice value = {record->payload, record->len};
        MR_TRY(kafka_avro_decode(reader->avro, value, &fault, err));
    } else {
        MR_TRY(mr_json_decode(reader->json, from, to, false, &reader->rows, &blank, &fault, err));
        if (blank)
            mr_row_fault_set(&fault, NULL, "an empty value");
    }
    return fault.found ? take_fault(reader, record, &fault, err) : MR_OK;
}

static enum mr_status decode_json(struct reader *reader, struct mr_error *err)
{
    const char *reason = NULL, *own = NULL;
    if (reader->nrecords == 0)
        return MR_OK;
    if (mr_bytes_reserve(&reader->text, PADDING) == NULL)
        return mr_bytes_status(&reader->text, err);
    memset(reader->text.data + reader->text.size, 0, PADDING);
    MR_TRY(mr_json_load(reader->json, reader->text.data, reader->text.size, &reason, err));
    for (int i = 0; i < reader->nrecords; i++) {
        const rd_kafka_message_t *record = reader->records[i];
        size_t from = reader->starts[i], to = from + record->len;
        if (reason != NULL && record->payload != NULL) {
            MR_TRY(mr_json_load(reader->json, reader->text.data + from, record->len, &own, err));
            from = 0;
            to = record->len;
        }
        MR_TRY(decode_record(reader, record, from, to, own, err));
    }
    return MR_OK;
}

static enum mr_status decode_csv(struct reader *reader, struct mr_error *err)
{
    if (mr_bytes_reserve(&reader->text, PADDING) == NULL)
        return mr_bytes_status(&reader->text, err);
    memset(reader->text.data + reader->text.size, 0, PADDING);
    for (int i = 0; i < reader->nrecords; i++) {
        size_t from = reader->starts[i];
        MR_TRY(decode_record(reader, reader->records[i], from, from + reader->records[i]->len, NULL,
                             err));
    }
    return MR_OK;
}

static enum mr_status decode_chunk(struct reader *reader, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    if (reader->json != NULL)
        status = decode_json(reader, err);
    else if (reader->csv != NULL)
        status = decode_csv(reader, err);
    drop_chunk(reader);
    return status;
}

static void note_age(struct reader *reader)
{
    if (reader->nmillis > 0)
        mr_latency_note(reader->runtime->latency, reader->millis * 1000, reader->nmillis);
    reader->nmillis = 0;
}

/* Records come in runs of the same millisecond, so that most cost a comparison. */
static void count_age(struct reader *reader, const rd_kafka_message_t *record)
{
    rd_kafka_timestamp_type_t type;
    int64_t millis = rd_kafka_message_timestamp(record, &type);
    if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || millis < 0 || millis > INT64_MAX / 1000)
        return;
    if (millis != reader->millis)
        note_age(reader);
    reader->millis = millis;
    reader->nmillis++;
}

/* Takes the record over. */
static enum mr_status take_record(struct reader *reader, rd_kafka_message_t *record,
                                  struct mr_error *err)
{
    reader->bytes += (int64_t)(record->len + record->key_len) + 16;
    reader->next = record->offset + 1;
    reader->deadline = 0;
    if (reader->runtime->latency != NULL)
        count_age(reader, record);
    if (reader->json == NULL && reader->csv == NULL) {
        enum mr_status status =
            reader->avro != NULL
                ? decode_record(reader, record, 0, 0, NULL, err)
                : kafka_append_raw(&reader->rows, reader->source->columns, record, err);
        rd_kafka_message_destroy(record);
        return status;
    }
    reader->starts[reader->nrecords] = reader->text.size;
    reader->records[reader->nrecords++] = record;
    if (record->len > 0)
        mr_bytes_append(&reader->text, record->payload, record->len);
    mr_bytes_char(&reader->text, '\n');
    MR_TRY(mr_bytes_status(&reader->text, err));
    if (reader->nrecords == CHUNK_RECORDS || reader->text.size >= CHUNK_BYTES)
        return decode_chunk(reader, err);
    return MR_OK;
}

/* --- records --- */

static enum mr_status assign(struct reader *reader, struct mr_error *err)
{
    if (reader->feed != NULL) {
        reader->deadline = 0;
        return kafka_feed_start(reader->feed, reader->next, err);
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, reader->split.topic, reader->split.partition)->offset =
        reader->next;
    rd_kafka_resp_err_t code = rd_kafka_assign(kafka_client_handle(reader->client), list);
    rd_kafka_topic_partition_list_destroy(list);
    reader->deadline = 0;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return MR_OK;
    return kafka_error(reader->client, MR_SOURCE, code, err, "%s[%d]", reader->split.topic,
                       (int)reader->split.partition);
}

/* The offset is not there (any more). */
static enum mr_status take_loss(struct reader *reader, struct mr_error *err)
{
    struct kafka_source *source = reader->source;
    struct kafka_partition partition = {.topic = reader->split.topic,
                                        .number = reader->split.partition};
    struct kafka_partitions one = {.items = &partition, .count = 1, .cluster = ""};
    MR_TRY(kafka_ask_watermarks(source->client, reader->runtime, &one, err));
    if (source->fail_on_loss || partition.low <= reader->next) {
        mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                     "%s[%d]: offset %lld is not there any more; the broker keeps %lld to %lld",
                     partition.topic, (int)partition.number, (long long)reader->next,
                     (long long)partition.low, (long long)partition.high);
        mr_error_hint(err, "records expired while they were read: raise the topic's retention, or "
                           "set failOnDataLoss to false, which goes on behind them");
        return MR_SOURCE;
    }
    mr_event(reader->runtime, MR_LOG_WARN, "%s[%d]: offsets %lld to %lld have expired",
             partition.topic, (int)partition.number, (long long)reader->next,
             (long long)partition.low);
    reader->next = partition.low;
    reader->done = reader->next >= reader->split.end;
    return reader->done ? MR_OK : assign(reader, err);
}

/* What is in the queue beside records. */
static enum mr_status take_event(struct reader *reader, const rd_kafka_message_t *event,
                                 struct mr_error *err)
{
    rd_kafka_resp_err_t code = event->err;
    if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        reader->done = event->offset >= reader->split.end;
        return MR_OK; /* else the leader is a new one that does not know its end yet */
    }
    if (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
        code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
        return take_loss(reader, err);
    /* Of the group, which is not used; and what librdkafka tries again by itself until the silence is over. */
    if (kafka_is_transient(code) || code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        return MR_OK;
    return kafka_error(reader->client, MR_SOURCE, code, err, "%s[%d] at offset %lld",
                       reader->split.topic, (int)reader->split.partition, (long long)reader->next);
}

static bool is_ours(const struct reader *reader, const rd_kafka_message_t *message)
{
    return message->rkt != NULL && message->partition == reader->split.partition &&
           strcmp(rd_kafka_topic_name(message->rkt), reader->split.topic) == 0;
}

static enum mr_status take_message(struct reader *reader, rd_kafka_message_t *message,
                                   struct mr_error *err)
{
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        enum mr_status status = MR_OK;
        if (message->rkt == NULL || is_ours(reader, message))
            status = take_event(reader, message, err);
        rd_kafka_message_destroy(message);
        return status;
    }
    if (!is_ours(reader, message)) { /* fetched for the reader before */
        rd_kafka_message_destroy(message);
        return MR_OK;
    }
    int64_t offset = message->offset;
    if (offset >= reader->split.end) {
        if (reader->feed != NULL)
            kafka_feed_put_back(reader->feed, message);
        else
            rd_kafka_message_destroy(message);
        reader->done = true;
        return MR_OK;
    }
    if (offset < reader->next) {
        rd_kafka_message_destroy(message);
        return mr_error_set(err, MR_SOURCE, MR_CLASS_FATAL,
                            "%s[%d]: offset %lld came where %lld or a later one was to come",
                            reader->split.topic, (int)reader->split.partition, (long long)offset,
                            (long long)reader->next);
    }
    MR_TRY(take_record(reader, message, err));
    reader->done = reader->next >= reader->split.end;
    return MR_OK;
}

/* Nothing has come while so much was taken: the queue was full, and nobody has seen yet that it is not. */
static void look_at_queue(struct reader *reader)
{
    size_t queued = reader->feed != NULL ? kafka_feed_queued(reader->feed)
                                         : kafka_client_queued(reader->client);
    if (queued + reader->polled <= reader->queued)
        kafka_client_nudge(reader->client, reader->split.topic, reader->split.partition);
    reader->queued = queued;
    reader->polled = 0;
    reader->polled_bytes = 0;
}

/* Nothing is there: waits for the queue. */
static enum mr_status wait_for_records(struct reader *reader, struct mr_error *err)
{
    bool timed_out;
    int64_t now = mr_clock_monotonic_micros(), until = now + LOOK_MICROS;
    kafka_client_tell(reader->client, reader->runtime);
    if (reader->polled > 0)
        look_at_queue(reader);
    if (reader->deadline == 0)
        reader->deadline = now + SILENCE_MICROS;
    int64_t silence = now - (reader->deadline - SILENCE_MICROS);
    if (silence >= (mr_is_draining(reader->runtime) ? SILENCE_AT_END : SILENCE_MICROS))
        return kafka_error(reader->client, MR_SOURCE, RD_KAFKA_RESP_ERR__TIMED_OUT, err,
                           "%s[%d]: nothing came at offset %lld for %lld seconds",
                           reader->split.topic, (int)reader->split.partition,
                           (long long)reader->next, (long long)(silence / MR_MICROS_PER_SECOND));
    int fd = reader->feed != NULL ? kafka_feed_fd(reader->feed) : kafka_client_fd(reader->client);
    MR_TRY(mr_wait(reader->runtime->waiter, fd, MR_WAIT_READ,
                   until < reader->deadline ? until : reader->deadline, MR_WAIT_SOURCE, &timed_out,
                   err));
    if (reader->feed != NULL)
        kafka_feed_quiet(reader->feed);
    else
        kafka_client_quiet(reader->client);
    if (reader->feed != NULL)
        rd_kafka_poll(kafka_client_handle(reader->client), 0); /* its errors */
    return MR_OK;
}

/* --- batches --- */

static int64_t most_rows(const struct reader *reader)
{
    int64_t most = reader->runtime->batch_rows > 0 ? reader->runtime->batch_rows : BATCH_ROWS;
    int64_t limit = reader->source->limit;
    if (limit >= 0 && limit - reader->position.rows < most)
        most = limit - reader->position.rows;
    return most;
}

static enum mr_status fill(struct reader *reader, struct mr_error *err)
{
    int64_t most = most_rows(reader);
    rd_kafka_t *rk = kafka_client_handle(reader->client);
    struct kafka_feed *feed = reader->feed;
    while (reader->rows.count + reader->nrecords < most && reader->bytes < BATCH_BYTES &&
           !reader->done) {
        rd_kafka_message_t *message =
            feed != NULL ? kafka_feed_poll(feed) : rd_kafka_consumer_poll(rk, 0);
        if (message == NULL) {
            MR_TRY(wait_for_records(reader, err));
            continue;
        }
        reader->polled++;
        reader->polled_bytes += (int64_t)message->len;
        MR_TRY(take_message(reader, message, err));
        if (reader->polled_bytes >= reader->look_bytes && !reader->done)
            look_at_queue(reader);
        if (reader->rows.count + reader->nrecords >= most)
            MR_TRY(decode_chunk(reader, err)); /* faults leave room */
    }
    return decode_chunk(reader, err);
}

static enum mr_status give_letters(struct reader *reader, struct mr_item *out, struct mr_error *err)
{
    out->kind = MR_ITEM_BATCH;
    out->port = 1;
    MR_TRY(mr_rows_finish(&reader->letters, &out->batch, err));
    reader->position.rejected += out->batch->rows;
    return MR_OK;
}

/* The position moves over what the batch was made of, also where only faults were in it. */
static enum mr_status give_rows(struct reader *reader, struct mr_item *out, struct mr_error *err)
{
    int64_t rows = reader->rows.count;
    note_age(reader);
    reader->position.next = reader->next;
    reader->position.rejected = reader->faults = 0;
    mr_count(reader->runtime, MR_COUNT_BYTES_READ, reader->bytes);
    reader->bytes = 0;
    if (rows == 0)
        return MR_OK;
    MR_TRY(mr_rows_finish(&reader->rows, &out->batch, err));
    out->kind = MR_ITEM_BATCH;
    reader->position.rows += rows;
    mr_count(reader->runtime, MR_COUNT_ROWS_READ, rows);
    mr_count(reader->runtime, MR_COUNT_BATCHES, 1);
    return MR_OK;
}

static bool is_full(const struct reader *reader)
{
    return reader->source->limit >= 0 && reader->position.rows >= reader->source->limit;
}

static enum mr_status next_item(struct reader *reader, struct mr_item *out, struct mr_error *err)
{
    while (out->kind == MR_ITEM_END) {
        if (reader->letters.schema != NULL && reader->letters.count > 0)
            return give_letters(reader, out, err);
        if (reader->bytes > 0) {
            MR_TRY(give_rows(reader, out, err));
            continue;
        }
        if (reader->done || is_full(reader))
            return MR_OK;
        if (mr_wait_cancelled(reader->runtime->waiter))
            return mr_error_cancelled(err);
        MR_TRY(fill(reader, err));
    }
    return MR_OK;
}

enum mr_status kafka_reader_next(void *object, struct mr_item *out, struct mr_error *err)
{
    struct reader *reader = object;
    *out = (struct mr_item){.kind = MR_ITEM_END};
    enum mr_status status = next_item(reader, out, err);
    reader->failed = reader->failed || status != MR_OK;
    return status;
}

enum mr_status kafka_reader_position(void *object, struct mr_bytes *out, struct mr_error *err)
{
    const struct reader *reader = object;
    kafka_position_write(reader->token, &reader->position, out);
    return mr_bytes_status(out, err);
}

/* --- open, close --- */

void kafka_reader_close(void *object)
{
    struct reader *reader = object;
    drop_chunk(reader);
    if (reader->feed != NULL)
        kafka_feed_give(reader->feed, !reader->failed);
    else
        kafka_consumer_give(reader->source, reader->client, !reader->failed);
    mr_json_decoder_free(reader->json);
    kafka_avro_free(reader->avro);
    kafka_csv_free(reader->csv);
    mr_bytes_reset(&reader->text);
    if (reader->rows.builders != NULL)
        mr_rows_reset(&reader->rows);
    if (reader->letters.builders != NULL)
        mr_rows_reset(&reader->letters);
    mr_memory_credit(reader->runtime->memory, reader->charged);
    mr_arena_reset(&reader->arena);
    mr_free(reader);
}

static enum mr_status make_decoder(struct reader *reader, struct mr_error *err)
{
    const struct kafka_source *source = reader->source;
    const struct kafka_shape *shape = &source->shape;
    struct mr_rows *rows = &reader->rows;
    switch (shape->format) {
    case KAFKA_JSON:
        return mr_json_decoder_new(source->schema, source->tz, rows->memory, &reader->json, err);
    case KAFKA_AVRO:
        return kafka_avro_new(shape, reader->runtime, rows, &reader->avro, err);
    case KAFKA_CSV:
        return kafka_csv_new(shape, source->columns, source->tz, rows, &reader->csv, err);
    case KAFKA_RAW:
        break;
    }
    return MR_OK;
}

/* Gets to where records come from. */
static enum mr_status attach(struct reader *reader, struct mr_error *err)
{
    struct kafka_source *source = reader->source;
    const struct kafka_split *split = &reader->split;
    int64_t look = source->queue_bytes / 4;
    if (source->hub != NULL && kafka_hub_queue_bytes(source->hub) / 4 < look)
        look = kafka_hub_queue_bytes(source->hub) / 4;
    reader->look_bytes = look < LOOK_BYTES ? look : LOOK_BYTES;
    if (source->hub != NULL)
        MR_TRY(kafka_feed_take(source->hub, split->topic, split->partition, reader->next,
                               &reader->feed, err));
    if (reader->feed != NULL) {
        reader->client = kafka_hub_fetcher(source->hub);
        reader->done = kafka_feed_next(reader->feed) >= split->end;
        return MR_OK;
    }
    int64_t queue = source->queue_bytes + source->queue_bytes / 4;
    MR_TRY(mr_memory_charge(reader->runtime->memory, queue, err));
    reader->charged = queue;
    MR_TRY(kafka_consumer_take(source, &reader->client, err));
    mr_count(reader->runtime, MR_COUNT_CONNECTIONS, 1);
    return assign(reader, err);
}

static enum mr_status open_reader(struct reader *reader, struct mr_slice split,
                                  struct mr_slice from, struct mr_error *err)
{
    struct kafka_source *source = reader->source;
    struct mr_memory *memory = reader->runtime->memory;
    reader->token.data = mr_arena_strndup(&reader->arena, split.data, split.size);
    reader->token.size = split.size;
    if (reader->token.data == NULL)
        return mr_error_nomem(err);
    MR_TRY(kafka_split_read(split, &reader->arena, &reader->split, err));
    MR_TRY(kafka_position_read(from, split, &reader->split, &reader->position, err));
    if (reader->split.uncommitted != kafka_is_uncommitted(&source->settings))
        return mr_error_internal(err, "a split of Kafka of another isolation.level");
    reader->next = reader->position.next;
    reader->done = reader->next >= reader->split.end;
    MR_TRY(mr_rows_init(&reader->rows, memory, source->schema, err));
    if (source->side != NULL)
        MR_TRY(mr_rows_init(&reader->letters, memory, source->side, err));
    MR_TRY(make_decoder(reader, err));
    if (reader->done || is_full(reader))
        return MR_OK;
    return attach(reader, err);
}

enum mr_status kafka_reader_open(void *state, struct mr_runtime *runtime, struct mr_slice split,
                                 struct mr_slice from, void **out, struct mr_error *err)
{
    *out = NULL;
    struct reader *reader = mr_calloc(1, sizeof *reader);
    if (reader == NULL)
        return mr_error_nomem(err);
    reader->source = state;
    reader->runtime = runtime;
    mr_arena_init(&reader->arena, NULL);
    mr_bytes_init(&reader->text, (size_t)1 << 30);
    enum mr_status status = open_reader(reader, split, from, err);
    if (status != MR_OK) {
        reader->failed = true;
        kafka_reader_close(reader);
        return status;
    }
    *out = reader;
    return MR_OK;
}
