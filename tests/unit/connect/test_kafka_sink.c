/*
 * test_kafka_sink.c - toKafka on librdkafka's mock cluster: every retriable error of every request of an epoch, once and (MILLRACE_LONG=1)
 * three times; tokens.
 *
 * The mock takes transactions without performing them, so that a record that is sent twice shows even where the broker would hide it. Fencing, aborts and
 * ends without an answer are tested against a real broker in tests/interop/test_kafka_sink.py.
 */
#include "connect/kafka/sink.h"
#include "contract/fixture.h"

#include <librdkafka/rdkafka_mock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PARTITIONS 2
#define ROWS       40

enum {
    PRODUCE = 0,
    FIND_COORDINATOR = 10,
    INIT_PRODUCER_ID = 22,
    ADD_PARTITIONS = 24,
    END_TXN = 26
};

static struct fixture f;
static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *mock;

static int start_mock(void **state)
{
    char text[256];
    (void)state;
    fixture_init(&f, 0);
    f.runtime.parallelism = 2;
    f.runtime.time_zone = "UTC";
    f.runtime.state_key = "orders";
    f.runtime.state_uuid = "0123456789abcdef0123456789abcdef";
    f.runtime.run_id = "run-1";
    f.runtime.shared = mr_shared_new();
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(host);
    mock = rd_kafka_mock_cluster_new(host, 3);
    assert_int_equal(rd_kafka_mock_topic_create(mock, "t", PARTITIONS, 3), 0);
    assert_int_equal(rd_kafka_mock_topic_create(mock, "_millrace_progress", 8, 3), 0);
    return 0;
}

static int stop_mock(void **state)
{
    (void)state;
    mr_shared_free(f.runtime.shared);
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(host);
    return fixture_reset(&f);
}

static const struct mr_options *options_of(const char *name, const char *value)
{
    const char *pairs[] = {"topic",
                           "t",
                           "bootstrap.servers",
                           rd_kafka_mock_cluster_bootstraps(mock),
                           "kafka.retry.backoff.ms",
                           "10",
                           "kafka.reconnect.backoff.max.ms",
                           "100",
                           name,
                           value,
                           NULL};
    const struct mr_options *options;
    FIXTURE_OK(&f, mr_options_from_texts(&f.arena, kafka_load_options, pairs, &options, &f.err));
    return options;
}

/* Records in a topic, however they got there. */
static int64_t records(const char *topic, int partitions)
{
    char text[256];
    int64_t low, high, all = 0;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(mock), text,
                      sizeof text);
    rd_kafka_t *reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    for (int i = 0; i < partitions; i++) {
        assert_int_equal(rd_kafka_query_watermark_offsets(reader, topic, i, &low, &high, 10000), 0);
        all += high - low;
    }
    rd_kafka_destroy(reader);
    return all;
}

static void push(int request, int times, rd_kafka_resp_err_t error)
{
    for (int i = 0; i < times; i++)
        rd_kafka_mock_push_request_errors(mock, (int16_t)request, 1, error);
}

/* One epoch, with these errors in front of the answers to the first requests of that kind. */
static void load(const struct mr_options *options, int64_t number, int request, int times,
                 rd_kafka_resp_err_t error)
{
    struct mr_sink_info info;
    struct mr_sink_bind bind = {.options = options,
                                .runtime = &f.runtime,
                                .arena = &f.arena,
                                .schema = fixture_schema(&f, "id BIGINT"),
                                .step = "load"};
    struct mr_epoch epoch = {.epoch = number, .positions = {"where", 5}};
    const char *rows[ROWS + 1] = {NULL};
    void *sink, *writer;
    for (int i = 0; i < ROWS; i++)
        rows[i] = "7";
    FIXTURE_OK(&f, mr_sink_kafka.bind(&bind, &sink, &info, &f.err));
    push(request, times, error);
    FIXTURE_OK(&f, mr_sink_kafka.writer_open(sink, &f.runtime, &epoch, 0, &writer, &f.err));
    struct mr_batch *batch = fixture_batch(&f, "id BIGINT", rows);
    FIXTURE_OK(&f, mr_sink_kafka.write(writer, batch, &f.err));
    mr_batch_unref(batch);
    struct mr_bytes committable, token;
    mr_bytes_init(&committable, 1 << 20);
    mr_bytes_init(&token, 1 << 20);
    FIXTURE_OK(&f, mr_sink_kafka.writer_finish(writer, &committable, &f.err));
    mr_sink_kafka.writer_close(writer);
    struct mr_slice slice = {committable.data, committable.size};
    FIXTURE_OK(&f, mr_sink_kafka.prepare(sink, &f.runtime, &epoch, &slice, 1, &token, &f.err));
    slice = (struct mr_slice){token.data, token.size};
    FIXTURE_OK(&f, mr_sink_kafka.commit(options, &f.runtime, slice, &f.err));
    FIXTURE_OK(&f, mr_sink_kafka.commit(options, &f.runtime, slice, &f.err)); /* once is enough */
    mr_bytes_reset(&committable);
    mr_bytes_reset(&token);
    mr_sink_kafka.close(sink);
}

static void each_error(int request, const rd_kafka_resp_err_t *errors, int count)
{
    const struct mr_options *options = options_of("format", "json");
    int all = getenv("MILLRACE_LONG") ? 2 * count : count;
    for (int i = 0; i < all; i++) {
        load(options, i + 1, request, i < count ? 1 : 3, errors[i % count]);
        assert_int_equal(records("t", PARTITIONS), (int64_t)ROWS * (i + 1));
        assert_int_equal(records("_millrace_progress", 8), i + 1);
    }
}

/* Those that Kafka calls retriable, of the leader of a partition. */
static void test_produce(void **state)
{
    static const rd_kafka_resp_err_t errors[] = {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
                                                 RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
                                                 RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                                 RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
                                                 RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
                                                 RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
                                                 RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                                 RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
                                                 RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
                                                 RD_KAFKA_RESP_ERR__TRANSPORT};
    (void)state;
    each_error(PRODUCE, errors, (int)(sizeof errors / sizeof errors[0]));
}

/* Those of a coordinator. */
#define COORDINATOR                                                                                \
    RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_COORDINATOR,                \
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS

static void test_add_partitions(void **state)
{
    static const rd_kafka_resp_err_t errors[] = {COORDINATOR,
                                                 RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
                                                 RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
                                                 RD_KAFKA_RESP_ERR__TRANSPORT};
    (void)state;
    each_error(ADD_PARTITIONS, errors, (int)(sizeof errors / sizeof errors[0]));
}

static void test_end(void **state)
{
    static const rd_kafka_resp_err_t errors[] = {COORDINATOR,
                                                 RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
                                                 RD_KAFKA_RESP_ERR__TRANSPORT};
    (void)state;
    each_error(END_TXN, errors, (int)(sizeof errors / sizeof errors[0]));
}

/* What a process asks once: each time another one, as far as the target can tell. */
static void each_start(int request, const rd_kafka_resp_err_t *errors, int count)
{
    for (int i = 0; i < count; i++) {
        mr_shared_free(f.runtime.shared);
        f.runtime.shared = mr_shared_new();
        load(options_of("format", "json"), i + 1, request, 1, errors[i]);
        assert_int_equal(records("t", PARTITIONS), (int64_t)ROWS * (i + 1));
    }
}

static void test_init(void **state)
{
    static const rd_kafka_resp_err_t errors[] = {COORDINATOR,
                                                 RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
                                                 RD_KAFKA_RESP_ERR__TRANSPORT};
    (void)state;
    each_start(INIT_PRODUCER_ID, errors, (int)(sizeof errors / sizeof errors[0]));
}

static void test_find(void **state)
{
    static const rd_kafka_resp_err_t errors[] = {COORDINATOR, RD_KAFKA_RESP_ERR__TRANSPORT};
    (void)state;
    each_start(FIND_COORDINATOR, errors, (int)(sizeof errors / sizeof errors[0]));
}

/* What the target remembers, in a process of its own. */
static void test_recover(void **state)
{
    (void)state;
    struct mr_recovered known = {.load = 0};
    const struct mr_options *options = options_of("format", "json");
    mr_bytes_init(&known.positions, 1 << 20);
    FIXTURE_OK(&f, mr_sink_kafka.recover(options, &f.runtime, 0, &known, &f.err));
    assert_int_equal(known.epoch, 0);
    load(options, 3, PRODUCE, 0, RD_KAFKA_RESP_ERR_NO_ERROR);
    mr_shared_free(f.runtime.shared);
    f.runtime.shared = mr_shared_new();
    FIXTURE_OK(&f, mr_sink_kafka.recover(options, &f.runtime, 0, &known, &f.err));
    assert_int_equal(known.epoch, 3);
    assert_string_equal(known.state_uuid, f.runtime.state_uuid);
    assert_true(known.run == mr_run_mark("run-1") && known.adds && !known.missing);
    assert_memory_equal(known.positions.data, "where", 5);
    mr_bytes_reset(&known.positions);
}

/* What a handle that was dropped has not delivered: who waited for it is free again, with its descriptor. */
static void test_dropped(void **state)
{
    (void)state;
    const struct mr_options *options = options_of("transactional", "false");
    struct mr_sink_info info;
    struct mr_sink_bind bind = {.options = options,
                                .runtime = &f.runtime,
                                .arena = &f.arena,
                                .schema = fixture_schema(&f, "id BIGINT"),
                                .step = "load"};
    struct kafka_link link;
    struct kafka_producer *producer;
    bool owned;
    void *sink, *writer;
    int flights = 0;
    FIXTURE_OK(&f, mr_sink_kafka.bind(&bind, &sink, &info, &f.err));
    FIXTURE_OK(&f, kafka_link_read(&link, options, &f.runtime, 0, &f.arena, &f.err));
    FIXTURE_OK(&f, kafka_producer_get(&link, &f.runtime, 0, &producer, &owned, &f.err));
    assert_false(owned);
    for (int number = 1; number <= 5; number++) {
        struct mr_epoch epoch = {.epoch = number};
        FIXTURE_OK(&f, mr_sink_kafka.writer_open(sink, &f.runtime, &epoch, 0, &writer, &f.err));
        const char *rows[] = {"7", NULL};
        struct mr_batch *batch = fixture_batch(&f, "id BIGINT", rows);
        FIXTURE_OK(&f, mr_sink_kafka.write(writer, batch, &f.err));
        mr_batch_unref(batch);
        mr_sink_kafka.writer_close(writer);
        kafka_producer_drop(producer);
    }
    for (const struct kafka_flight *flight = producer->flights; flight; flight = flight->next)
        flights++;
    assert_int_equal(flights, 1);
    mr_sink_kafka.close(sink);
}

/* The replica next to us may be behind the leader: it is not asked. */
static void test_near_replica(void **state)
{
    (void)state;
    char value[64];
    size_t size = sizeof value;
    struct kafka_link link;
    rd_kafka_conf_t *conf;
    const struct mr_options *options = options_of("kafka.client.rack", "near");
    FIXTURE_OK(&f, kafka_link_read(&link, options, &f.runtime, 0, &f.arena, &f.err));
    FIXTURE_OK(&f, kafka_link_reader(&link, true, &conf, &f.err));
    assert_true(rd_kafka_conf_get(conf, "client.rack", value, &size) != RD_KAFKA_CONF_OK ||
                value[0] == '\0');
    rd_kafka_conf_destroy(conf);
}

static void test_hostile_tokens(void **state)
{
    (void)state;
    struct kafka_token token = {.transactional = true,
                                .lane = 3,
                                .epoch = 5,
                                .uuid = "u",
                                .run = "r",
                                .key = "[\"k\",3,\"t\",0]",
                                .before_epoch = 4,
                                .before_uuid = "u",
                                .before_run = "q"},
                       read;
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, 1 << 16);
    kafka_token_write(&token, &bytes);
    struct mr_slice slice = {bytes.data, bytes.size};
    FIXTURE_OK(&f, kafka_token_read(slice, &f.arena, &read, &f.err));
    assert_true(read.transactional && read.lane == 3 && read.before_epoch == 4);
    assert_string_equal(read.key, token.key);
    for (size_t i = 0; i < bytes.size * 8; i++) {
        bytes.data[i / 8] ^= (char)(1 << i % 8);
        assert_int_equal(kafka_token_read(slice, &f.arena, &read, &f.err), MR_SINK);
        bytes.data[i / 8] ^= (char)(1 << i % 8);
    }
    for (slice.size = 0; slice.size < bytes.size; slice.size++)
        assert_int_equal(kafka_token_read(slice, &f.arena, &read, &f.err), MR_SINK);
    mr_bytes_reset(&bytes);
}

static void test_keys(void **state)
{
    (void)state;
    const char *prefix, *key, *other;
    FIXTURE_OK(&f, kafka_progress_prefix("a\",1,", 0, &f.arena, &prefix, &f.err));
    FIXTURE_OK(&f, kafka_progress_key(prefix, "t", 1, &f.arena, &key, &f.err));
    FIXTURE_OK(&f, kafka_progress_key(prefix, "t", 12, &f.arena, &other, &f.err));
    assert_string_equal(key, "[\"a\\\",1,\",0,\"t\",1]");
    assert_int_equal(kafka_progress_sequence(other), 12);
    assert_true(kafka_progress_same_topic(key, other));
    FIXTURE_OK(&f, kafka_progress_key(prefix, "u", 1, &f.arena, &other, &f.err));
    assert_false(kafka_progress_same_topic(key, other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_produce, start_mock, stop_mock),
        cmocka_unit_test_setup_teardown(test_add_partitions, start_mock, stop_mock),
        cmocka_unit_test_setup_teardown(test_end, start_mock, stop_mock),
        cmocka_unit_test_setup_teardown(test_init, start_mock, stop_mock),
        cmocka_unit_test_setup_teardown(test_find, start_mock, stop_mock),
        cmocka_unit_test_setup_teardown(test_recover, start_mock, stop_mock),
        cmocka_unit_test_setup_teardown(test_dropped, start_mock, stop_mock),
        cmocka_unit_test_setup_teardown(test_near_replica, start_mock, stop_mock),
        cmocka_unit_test_setup_teardown(test_hostile_tokens, start_mock, stop_mock),
        cmocka_unit_test_setup_teardown(test_keys, start_mock, stop_mock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
