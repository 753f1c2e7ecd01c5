/*
 * test_kafka_stream.c - fromKafka epoch after epoch in one process: what is kept between them, and that each record is read once.
 *
 * On librdkafka's mock cluster; a gap in the offsets is made by hiding records between librdkafka and the feed. An epoch here is what the engine makes of it: bind with the end of the last one, splits, all readers, close.
 */
#include "base/thread.h"
#include "base/time.h"
#include "connect/kafka/source.h"
#include "contract/fixture.h"

#include <librdkafka/rdkafka_mock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PARTITIONS 4

static struct fixture f;
static rd_kafka_t *owner, *writer;
static rd_kafka_topic_t *topic;
static rd_kafka_mock_cluster_t *mock;
static int64_t written; /* ids are 0.. of all records */

static int64_t gap_from, gap_end; /* records of these offsets are hidden */
static int starts;                /* of feeds */
static bool silent;               /* nothing comes */
static int64_t coming; /* so many records come in when a time is asked for, and it is theirs */

int __real_rd_kafka_consume_start_queue(rd_kafka_topic_t *of, int32_t partition, int64_t offset,
                                        rd_kafka_queue_t *queue);
int __wrap_rd_kafka_consume_start_queue(rd_kafka_topic_t *of, int32_t partition, int64_t offset,
                                        rd_kafka_queue_t *queue);
rd_kafka_message_t *__real_rd_kafka_consume_queue(rd_kafka_queue_t *queue, int millis);
rd_kafka_message_t *__wrap_rd_kafka_consume_queue(rd_kafka_queue_t *queue, int millis);

rd_kafka_resp_err_t __real_rd_kafka_offsets_for_times(rd_kafka_t *rk,
                                                      rd_kafka_topic_partition_list_t *list,
                                                      int millis);
rd_kafka_resp_err_t __wrap_rd_kafka_offsets_for_times(rd_kafka_t *rk,
                                                      rd_kafka_topic_partition_list_t *list,
                                                      int millis);

int __wrap_rd_kafka_consume_start_queue(rd_kafka_topic_t *of, int32_t partition, int64_t offset,
                                        rd_kafka_queue_t *queue)
{
    starts++;
    return __real_rd_kafka_consume_start_queue(of, partition, offset, queue);
}

rd_kafka_message_t *__wrap_rd_kafka_consume_queue(rd_kafka_queue_t *queue, int millis)
{
    for (;;) {
        rd_kafka_message_t *message = __real_rd_kafka_consume_queue(queue, millis);
        if (message == NULL ||
            (!silent && (message->err != RD_KAFKA_RESP_ERR_NO_ERROR || message->offset < gap_from ||
                         message->offset >= gap_end)))
            return message;
        rd_kafka_message_destroy(message);
    }
}

static void produce(int count, int partition);

rd_kafka_resp_err_t
__wrap_rd_kafka_offsets_for_times(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, int millis)
{
    if (coming == 0 || list->elems[0].offset < 0)
        return __real_rd_kafka_offsets_for_times(rk, list, millis);
    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].offset = written / PARTITIONS + coming;
        list->elems[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    produce((int)coming * PARTITIONS, -1);
    coming = 0;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_t *client(const char *servers)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    if (servers != NULL)
        rd_kafka_conf_set(conf, "bootstrap.servers", servers, text, sizeof text);
    return rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, 0);
    f.runtime.parallelism = 2;
    f.runtime.time_zone = "UTC";
    f.runtime.streaming = true;
    f.runtime.common = mr_shared_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mr_shared_free(f.runtime.common);
    return fixture_reset(&f);
}

static int start(void **state)
{
    setup(state);
    owner = client(NULL);
    mock = rd_kafka_mock_cluster_new(owner, 3);
    assert_int_equal(rd_kafka_mock_topic_create(mock, "t", PARTITIONS, 3), 0);
    writer = client(rd_kafka_mock_cluster_bootstraps(mock));
    topic = rd_kafka_topic_new(writer, "t", NULL);
    written = 0;
    gap_from = gap_end = starts = 0;
    coming = 0;
    silent = false;
    return 0;
}

static int stop(void **state)
{
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(writer);
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(owner);
    return teardown(state);
}

/* To all partitions in turn, or to one. */
static void produce(int count, int partition)
{
    for (int i = 0; i < count; i++, written++) {
        char value[64];
        int size = snprintf(value, sizeof value, "{\"id\": %lld}", (long long)written);
        int to = partition >= 0 ? partition : (int)(written % PARTITIONS);
        assert_int_equal(rd_kafka_produce(topic, to, RD_KAFKA_MSG_F_COPY, value, (size_t)size, NULL,
                                          0, NULL),
                         0);
    }
    assert_int_equal(rd_kafka_flush(writer, 60000), 0);
}

struct stream {
    const char *more[8]; /* options */
    struct mr_slice since;
    char place[4096]; /* of `since` */
    bool seen[20000];
    bool fails; /* its readers are to */
    int64_t rows;
};

static enum mr_status read_split(struct stream *stream, void *source, struct mr_slice token)
{
    void *reader;
    struct mr_item item = {0};
    struct mr_slice from = {0};
    MR_TRY(mr_source_kafka.reader_open(source, &f.runtime, token, from, &reader, &f.err));
    enum mr_status status;
    while ((status = mr_source_kafka.next(reader, &item, &f.err)) == MR_OK &&
           item.kind != MR_ITEM_END) {
        const int64_t *ids = (const int64_t *)item.batch->columns[0]->values->data;
        for (int64_t i = 0; i < item.batch->rows; i++) {
            assert_in_range(ids[i], 0, written - 1);
            assert_false(stream->seen[ids[i]]);
            stream->seen[ids[i]] = true;
        }
        stream->rows += item.batch->rows;
        mr_batch_unref(item.batch);
    }
    mr_source_kafka.reader_close(reader);
    return status;
}

/* Rows of the splits: of one epoch. `commit` false: the next one begins where this one did. */
static int64_t epoch(struct stream *stream, bool commit)
{
    const char *pairs[40] = {"topic", "t", "format", "json", "schema", "id BIGINT",
                             "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(mock),
                             /* The mock answers fetches late, also when there is something. */
                             "kafka.fetch.wait.max.ms", "5", "kafka.fetch.error.backoff.ms", "5",
                             "kafka.retry.backoff.ms", "5", "kafka.reconnect.backoff.ms", "5",
                             "kafka.reconnect.backoff.max.ms", "20",
                             "kafka.topic.metadata.refresh.fast.interval.ms", "20"};
    for (int i = 0; stream->more[i] != NULL; i++)
        pairs[20 + i] = stream->more[i];
    struct mr_arena arena;
    struct mr_source_bind bind = {.runtime = &f.runtime, .arena = &arena, .since = stream->since};
    struct mr_source_info info;
    struct mr_split_list splits;
    void *source;
    int64_t rows = 0;
    bool before[sizeof stream->seen];
    memcpy(before, stream->seen, sizeof before);
    mr_arena_init(&arena, NULL);
    FIXTURE_OK(&f, mr_options_from_texts(&arena, kafka_read_options, pairs, &bind.options, &f.err));
    FIXTURE_OK(&f, mr_source_kafka.bind(&bind, &source, &info, &f.err));
    FIXTURE_OK(&f, mr_source_kafka.splits(source, &f.runtime, &arena, &splits, &f.err));
    for (int i = 0; i < splits.count; i++) {
        rows += splits.items[i].rows;
        if (stream->fails)
            assert_int_equal(read_split(stream, source, splits.items[i].token), MR_SOURCE);
        else
            FIXTURE_OK(&f, read_split(stream, source, splits.items[i].token));
    }
    assert_true(splits.upto.size > 0 && splits.upto.size < sizeof stream->place);
    if (commit) {
        memcpy(stream->place, splits.upto.data, splits.upto.size);
        stream->since = (struct mr_slice){stream->place, splits.upto.size};
    } else {
        memcpy(stream->seen, before, sizeof before);
        stream->rows -= rows;
    }
    mr_source_kafka.close(source);
    mr_arena_reset(&arena);
    assert_int_equal(mr_memory_used(f.runtime.memory), 0);
    return rows;
}

static struct stream *stream_new(const char *name, const char *value)
{
    struct stream *stream = mr_calloc(1, sizeof *stream);
    assert_non_null(stream);
    stream->more[0] = name;
    stream->more[1] = value;
    return stream;
}

static void all_seen(const struct stream *stream)
{
    assert_int_equal(stream->rows, written);
    for (int64_t i = 0; i < written; i++)
        assert_true(stream->seen[i]);
}

static int64_t connections(void)
{
    return atomic_load(&f.runtime.counters->value[MR_COUNT_CONNECTIONS]);
}

/* From the first record on, epochs that are repeated, epochs without records: no connection but the hub's. */
static void test_epochs(void **state)
{
    (void)state;
    struct stream *stream = stream_new("startingOffsets", "earliest");
    produce(1000, -1);
    assert_int_equal(epoch(stream, true), 1000);
    for (int i = 0; i < 10; i++) {
        produce(i * 10, -1);
        if (i % 3 == 2) {
            assert_int_equal(epoch(stream, false), i * 10);
            produce(8, -1);
            assert_int_equal(epoch(stream, true), i * 10 + 8);
        } else {
            assert_int_equal(epoch(stream, true), i * 10);
        }
        assert_int_equal(epoch(stream, true), 0);
    }
    all_seen(stream);
    assert_int_equal(connections(), 0);
    mr_free(stream);
}

/* Without a state a stream begins at the end, and that end is the one of the first look. */
static void test_latest(void **state)
{
    (void)state;
    struct stream *stream = stream_new(NULL, NULL);
    produce(100, -1);
    assert_int_equal(epoch(stream, false), 0);
    produce(50, 1);
    assert_int_equal(epoch(stream, false), 50);
    produce(5, 2);
    assert_int_equal(epoch(stream, true), 55);
    assert_int_equal(epoch(stream, true), 0);
    assert_int_equal(stream->rows, 55);
    mr_free(stream);
}

/* The record that a stream begins at comes in after the ends were asked for. */
static void test_time(void **state)
{
    (void)state;
    struct stream *stream = stream_new("startingOffsets", "{\"timestamp\": 1700000000000}");
    produce(10 * PARTITIONS, -1);
    coming = 3;
    assert_int_equal(epoch(stream, true), 0);
    produce(5 * PARTITIONS, -1);
    assert_int_equal(epoch(stream, true), 5 * PARTITIONS);
    assert_false(stream->seen[13 * PARTITIONS - 1]);
    assert_true(stream->seen[13 * PARTITIONS]);
    mr_free(stream);
}

/* Offsets of another cluster mean nothing in this one. */
static void test_cluster(void **state)
{
    (void)state;
    struct stream *stream = stream_new("startingOffsets", "earliest");
    const char *pairs[] = {"topic", "t", "bootstrap.servers",
                           rd_kafka_mock_cluster_bootstraps(mock), NULL};
    struct mr_source_bind bind = {.runtime = &f.runtime, .arena = &f.arena};
    struct kafka_marks marks;
    struct mr_source_info info;
    void *source;
    produce(20, -1);
    assert_int_equal(epoch(stream, true), 20);
    assert_true(kafka_marks_read(stream->since, &f.arena, &marks, &f.err));
    marks.cluster = "elsewhere";
    FIXTURE_OK(&f, kafka_marks_write(&marks, &f.arena, &bind.since, &f.err));
    FIXTURE_OK(&f,
               mr_options_from_texts(&f.arena, kafka_read_options, pairs, &bind.options, &f.err));
    assert_int_equal(mr_source_kafka.bind(&bind, &source, &info, &f.err), MR_SOURCE);
    assert_non_null(strstr(f.err.message, "read from the cluster elsewhere"));
    mr_free(stream);
}

/* Epochs that end in a gap (markers, aborted or compacted records): the record behind it stays where it is, and nothing is fetched again. */
static void test_gap(void **state)
{
    (void)state;
    struct stream *stream = stream_new("startingOffsets", "earliest");
    stream->more[2] = "maxOffsetsPerTrigger";
    stream->more[3] = "3";
    gap_from = 10;
    gap_end = 20;
    produce(30, 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(epoch(stream, true), 3);
    assert_int_equal(stream->rows, 20);
    assert_int_equal(starts, 1);
    mr_free(stream);
}

/* A broker that sends nothing is not waited for by a stream that is to end. */
static void test_end(void **state)
{
    (void)state;
    struct stream *stream = stream_new("startingOffsets", "earliest");
    struct mr_drain drain = {.fd = -1};
    f.runtime.drain = &drain;
    produce(10, 0);
    assert_int_equal(epoch(stream, true), 10);
    produce(10, 0);
    atomic_store(&drain.set, true);
    silent = stream->fails = true;
    int64_t begun = mr_clock_monotonic_micros();
    assert_int_equal(epoch(stream, false), 10);
    assert_true(mr_clock_monotonic_micros() - begun < 30 * MR_MICROS_PER_SECOND);
    assert_int_equal(f.err.cls, MR_CLASS_TRANSIENT);
    silent = stream->fails = false;
    stream->rows = 10;
    assert_int_equal(epoch(stream, true), 10);
    all_seen(stream);
    mr_free(stream);
}

/* Pieces of one partition are read beside its feed. */
static void test_pieces(void **state)
{
    (void)state;
    struct stream *stream = stream_new("minPartitions", "6");
    stream->more[2] = "startingOffsets";
    stream->more[3] = "earliest";
    for (int i = 0; i < 4; i++) {
        produce(600, i % PARTITIONS);
        assert_int_equal(epoch(stream, true), 600);
    }
    all_seen(stream);
    mr_free(stream);
}

static void test_most(void **state)
{
    (void)state;
    struct stream *stream = stream_new("maxOffsetsPerTrigger", "100");
    stream->more[2] = "startingOffsets";
    stream->more[3] = "earliest";
    produce(300, 0);
    produce(30, 1);
    produce(1, 2);
    int64_t epochs = 0, rows;
    while ((rows = epoch(stream, true)) > 0) {
        assert_in_range(rows, 1, 101);
        epochs++;
    }
    assert_in_range(epochs, 4, 5);
    all_seen(stream);
    mr_free(stream);
}

static void test_rate(void **state)
{
    (void)state;
    struct stream *stream = stream_new("maxRatePerPartition", "1000");
    stream->more[2] = "startingOffsets";
    stream->more[3] = "earliest";
    produce(3000, 0);
    int64_t began = mr_clock_monotonic_micros();
    int64_t first = epoch(stream, true), rows = first;
    assert_in_range(first, 1000, 1000 + 500);
    while (rows < 1500)
        rows += epoch(stream, true);
    int64_t allowed = 1000 + (mr_clock_monotonic_micros() - began) / 1000;
    assert_in_range(rows, 1500, allowed + 1);
    mr_free(stream);
}

static void test_share_out(void **state)
{
    (void)state;
    static const struct {
        int64_t backlogs[4], most, shares[4];
    } cases[] = {
        {{10, 20, 30, 0}, 100, {10, 20, 30, 0}},
        {{10, 20, 30, 0}, 60, {10, 20, 30, 0}},
        {{100, 200, 300, 0}, 60, {10, 20, 30, 0}},
        {{1000000, 1, 1, 1}, 10, {9, 1, 1, 1}},
        {{5, 5, 5, 5}, 1, {1, 1, 1, 1}},
        {{7, 7, 7, 0}, 11, {4, 4, 3, 0}},
        {{INT64_MAX / 4, INT64_MAX / 4, 0, 0}, 1000, {500, 500, 0, 0}},
        {{0, 0, 0, 0}, 5, {0, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t shares[4];
        kafka_share_out(cases[i].backlogs, 4, cases[i].most, shares);
        assert_memory_equal(shares, cases[i].shares, sizeof shares);
    }
}

/* Errors of brokers, moving leaders and brokers that go away between epochs, and in front of a fetch. */
static void test_faults(void **state)
{
    (void)state;
    struct stream *stream = stream_new("startingOffsets", "earliest");
    static const rd_kafka_resp_err_t errors[] = {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                                 RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
                                                 RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
                                                 RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
                                                 RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE};
    produce(100, -1);
    assert_int_equal(epoch(stream, true), 100);
    for (int i = 0; i < 10; i++) {
        rd_kafka_mock_push_request_errors(mock, 1, 2, errors[i % 5], errors[i / 2 % 5]);
        if (i % 2 == 0)
            rd_kafka_mock_push_request_errors(mock, 2, 1, errors[i % 5]);
        if (i % 3 == 0)
            rd_kafka_mock_partition_set_leader(mock, "t", i % PARTITIONS, 1 + i % 3);
        produce(200, -1);
        if (i == 5)
            for (int broker = 1; broker <= 3; broker++) {
                rd_kafka_mock_broker_set_down(mock, broker);
                rd_kafka_mock_broker_set_up(mock, broker);
            }
        assert_int_equal(epoch(stream, true), 200);
    }
    all_seen(stream);
    mr_free(stream);
}

/* What only one mode knows. */
static void test_modes(void **state)
{
    (void)state;
    static const char *const cases[][3] = {{"", "endingOffsets", "latest"},
                                           {"batch", "maxOffsetsPerTrigger", "5"},
                                           {"batch", "maxRatePerPartition", "5"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *pairs[] = {"topic",     "t", "bootstrap.servers", "h:1", cases[i][1],
                               cases[i][2], NULL};
        struct mr_source_bind bind = {.runtime = &f.runtime, .arena = &f.arena};
        struct mr_source_info info;
        struct mr_options *options;
        void *source;
        FIXTURE_OK(&f, mr_options_from_texts(&f.arena, kafka_read_options, pairs, &bind.options,
                                             &f.err));
        options = (struct mr_options *)(uintptr_t)bind.options;
        for (int k = 0; k < options->count; k++)
            options->values[k].by_user =
                options->values[k].set && strcmp(options->table[k].name, cases[i][1]) == 0;
        f.runtime.offline = true;
        f.runtime.streaming = cases[i][0][0] == '\0';
        assert_int_equal(mr_source_kafka.bind(&bind, &source, &info, &f.err), MR_CONFIG);
        assert_non_null(strstr(f.err.message, cases[i][1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share_out),
        cmocka_unit_test_setup_teardown(test_epochs, start, stop),
        cmocka_unit_test_setup_teardown(test_latest, start, stop),
        cmocka_unit_test_setup_teardown(test_time, start, stop),
        cmocka_unit_test_setup_teardown(test_cluster, start, stop),
        cmocka_unit_test_setup_teardown(test_gap, start, stop),
        cmocka_unit_test_setup_teardown(test_end, start, stop),
        cmocka_unit_test_setup_teardown(test_pieces, start, stop),
        cmocka_unit_test_setup_teardown(test_most, start, stop),
        cmocka_unit_test_setup_teardown(test_rate, start, stop),
        cmocka_unit_test_setup_teardown(test_faults, start, stop),
        cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
