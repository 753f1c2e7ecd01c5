/*
 * test_kafka.c - the parts of fromKafka, and reading from librdkafka's mock cluster: errors of brokers, leaders that move.
 *
 * What the mock only pretends to do (transactions, retention, times) is tested against a real broker in tests/interop/test_kafka.py.
 */
#include "base/thread.h"
#include "connect/kafka/source.h"
#include "contract/fixture.h"

#include <librdkafka/rdkafka_mock.h>
#include <sched.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PARTITIONS 4
#define RECORDS    2000 /* a partition */

enum { FETCH = 1, LIST_OFFSETS = 2 };

static struct fixture f;
static rd_kafka_t *producer;
static rd_kafka_mock_cluster_t *mock;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, 0);
    f.runtime.parallelism = 2;
    f.runtime.time_zone = "UTC";
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fixture_reset(&f);
}

/* --- places as bytes and text --- */

static bool parse(const char *json, struct kafka_marks *out, char why[128])
{
    return kafka_marks_parse(mr_slice_of(json), &f.arena, out, why, 128, &f.err);
}

static void test_marks(void **state)
{
    (void)state;
    char why[128];
    struct kafka_marks marks, again;
    struct mr_slice bytes;
    assert_true(
        parse("{\"b\":{\"10\":5,\"2\":0},\"a\\u0062\":{\"0\":9223372036854775807}}", &marks, why));
    assert_int_equal(marks.count, 3);
    assert_string_equal(marks.items[0].topic, "ab");
    assert_int_equal(marks.items[1].partition, 2);
    assert_int_equal(kafka_marks_find(&marks, "b", 10)->offset, 5);
    assert_null(kafka_marks_find(&marks, "b", 3));
    assert_string_equal(kafka_marks_text(&marks, &f.arena),
                        "{\"ab\":{\"0\":9223372036854775807},\"b\":{\"2\":0,\"10\":5}}");
    marks.cluster = "c";
    FIXTURE_OK(&f, kafka_marks_write(&marks, &f.arena, &bytes, &f.err));
    assert_true(kafka_marks_read(bytes, &f.arena, &again, &f.err));
    assert_string_equal(again.cluster, "c");
    assert_string_equal(kafka_marks_text(&again, &f.arena), kafka_marks_text(&marks, &f.arena));
    for (size_t size = 0; size < bytes.size; size++)
        assert_false(
            kafka_marks_read((struct mr_slice){bytes.data, size}, &f.arena, &again, &f.err));
}

static void test_bad_marks(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "[]",
                                      "{\"t\":1}",
                                      "{\"t\":{\"x\":1}}",
                                      "{\"t\":{\"-1\":1}}",
                                      "{\"t\":{\"0\":-3}}",
                                      "{\"t\":{\"0\":1.5}}",
                                      "{\"t\":{\"0\":\"1\"}}",
                                      "{\"t\":{\"0\":1,\"00\":2}}",
                                      "{\"t\":{\"2147483648\":1}}",
                                      "{\"t\":{\"0\":1}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char why[128] = "";
        struct kafka_marks marks;
        assert_false(parse(bad[i], &marks, why));
        assert_string_not_equal(why, "");
    }
}

static void test_hostile_tokens(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "\1",
                                      "\2\0\1t\0\0\1",
                                      "\1\0\0\0\0\1",
                                      "\1\0\1t\0\5\1",
                                      "\1\0\1t\0\0\1x",
                                      "\1\2\1t\0\0\1",
                                      "\1\0\xff\xff\xff\xff\xff"};
    static const size_t sizes[] = {0, 1, 7, 6, 7, 8, 7, 7};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct kafka_split split;
        struct mr_slice token = {bad[i], sizes[i]};
        assert_int_equal(kafka_split_read(token, &f.arena, &split, &f.err), MR_INTERNAL);
    }
    struct kafka_split split;
    struct mr_slice token = {"\1\0\1t\0\2\5", 7};
    FIXTURE_OK(&f, kafka_split_read(token, &f.arena, &split, &f.err));
    assert_int_equal(split.from, 2);
    assert_int_equal(split.end, 5);
    struct kafka_position position = {.next = 3, .rejected = 1, .rows = 7}, again;
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, 1024);
    kafka_position_write(token, &position, &bytes);
    FIXTURE_OK(&f, kafka_position_read((struct mr_slice){bytes.data, bytes.size}, token, &split,
                                       &again, &f.err));
    assert_memory_equal(&position, &again, sizeof again);
    for (size_t size = 1; size < bytes.size; size++)
        assert_int_equal(kafka_position_read((struct mr_slice){bytes.data, size}, token, &split,
                                             &again, &f.err),
                         MR_INTERNAL);
    mr_bytes_reset(&bytes);
}

/* --- settings --- */

static enum mr_status settings(struct kafka_settings *out, const char *key, const char *value)
{
    const char *pairs[] = {"topic", "t", "bootstrap.servers", "h:1", key, value, NULL};
    const struct mr_options *options;
    FIXTURE_OK(&f, mr_options_from_texts(&f.arena, kafka_read_options, pairs, &options, &f.err));
    return kafka_settings_read(out, options, KAFKA_CONSUMER, &f.runtime, &f.arena, &f.err);
}

static void test_translated(void **state)
{
    (void)state;
    static const char *const cases[][4] = {
        {"kafka.fetch.max.wait.ms", "7", "fetch.wait.max.ms", "7"},
        {"kafka.request.timeout.ms", "9000", "socket.timeout.ms", "9000"},
        {"kafka.buffer.memory", "1048576", "queue.buffering.max.kbytes", "1024"},
        {"kafka.ssl.endpoint.identification.algorithm", "", "ssl.endpoint.identification.algorithm",
         "none"},
        {"kafka.sasl.jaas.config",
         "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" "
         "password=\"p\\\"w\";",
         "sasl.password", "p\"w"},
        {"kafka.max.partition.fetch.bytes", "2000000", "max.partition.fetch.bytes", "2000000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kafka_settings out;
        FIXTURE_OK(&f, settings(&out, cases[i][0], cases[i][1]));
        assert_string_equal(kafka_settings_get(&out, cases[i][2]), cases[i][3]);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"kafka.enable.auto.commit", "true", "epoch"},
        {"kafka.ssl.truststore.location", "a.jks", "kafka.ssl.ca.location"},
        {"kafka.value.deserializer", "x", "format"},
        {"kafka.sasl.jaas.config", "com.sun.security.auth.module.Krb5LoginModule required;",
         "kafka.sasl.mechanism"},
        {"kafka.sasl.pasword", "hunter2", "kafka.sasl.pasword"},
        {"kafka.session.timeout.ms", "hunter2", "kafka.session.timeout.ms"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kafka_settings out;
        assert_int_equal(settings(&out, cases[i][0], cases[i][1]), MR_CONFIG);
        assert_non_null(strstr(f.err.message, cases[i][2]));
        assert_null(strstr(f.err.message, "hunter2"));
    }
}

/* --- the mock cluster --- */

static int start_mock(void **state)
{
    char text[256];
    setup(state);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(producer);
    mock = rd_kafka_mock_cluster_new(producer, 3);
    assert_int_equal(rd_kafka_mock_topic_create(mock, "t", PARTITIONS, 3), 0);
    conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(mock), text,
                      sizeof text);
    rd_kafka_t *writer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(writer, "t", NULL);
    for (int i = 0; i < PARTITIONS * RECORDS; i++) {
        char value[64];
        int size = snprintf(value, sizeof value, "{\"id\": %d}", i);
        assert_int_equal(rd_kafka_produce(topic, i % PARTITIONS, RD_KAFKA_MSG_F_COPY, value,
                                          (size_t)size, NULL, 0, NULL),
                         0);
    }
    assert_int_equal(rd_kafka_flush(writer, 60000), 0);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(writer);
    return 0;
}

static int stop_mock(void **state)
{
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(producer);
    return teardown(state);
}

struct bound {
    void *state;
    struct mr_source_info info;
    struct mr_split_list splits;
};

static enum mr_status try_bind(struct bound *bound, const char *pieces)
{
    const char *pairs[] = {"topic",
                           "t",
                           "bootstrap.servers",
                           rd_kafka_mock_cluster_bootstraps(mock),
                           "format",
                           "json",
                           "schema",
                           "id BIGINT",
                           "kafka.reconnect.backoff.max.ms",
                           "200",
                           "minPartitions",
                           pieces,
                           NULL};
    struct mr_source_bind request = {.runtime = &f.runtime, .arena = &f.arena};
    FIXTURE_OK(&f, mr_options_from_texts(&f.arena, kafka_read_options, pairs, &request.options,
                                         &f.err));
    return mr_source_kafka.bind(&request, &bound->state, &bound->info, &f.err);
}

static void bind_topic(struct bound *bound, const char *pieces)
{
    FIXTURE_OK(&f, try_bind(bound, pieces));
    FIXTURE_OK(&f,
               mr_source_kafka.splits(bound->state, &f.runtime, &f.arena, &bound->splits, &f.err));
}

/* One thread of readers: every `step`-th split, reopened behind every batch. */
struct reading {
    const struct bound *bound;
    struct mr_runtime runtime;
    int first;
    int step;
    int64_t rows;
    int64_t sum;
    bool ordered;
    atomic_int_fast64_t *done; /* rows of all readers */
    enum mr_status status;
    struct mr_error err;
};

static enum mr_status read_some(struct reading *reading, struct mr_slice split,
                                struct mr_bytes *position, int64_t *last, bool *end)
{
    void *reader;
    struct mr_item item;
    struct mr_slice from = {position->data, position->size};
    MR_TRY(mr_source_kafka.reader_open(reading->bound->state, &reading->runtime, split, from,
                                       &reader, &reading->err));
    enum mr_status status = mr_source_kafka.next(reader, &item, &reading->err);
    *end = status == MR_OK && item.kind == MR_ITEM_END;
    if (status == MR_OK && !*end) {
        const int64_t *ids = (const int64_t *)item.batch->columns[0]->values->data;
        for (int64_t i = 0; i < item.batch->rows; i++) {
            reading->ordered = reading->ordered && ids[i] > *last;
            reading->sum += *last = ids[i];
        }
        reading->rows += item.batch->rows;
        atomic_fetch_add(reading->done, item.batch->rows);
        mr_batch_unref(item.batch);
        mr_bytes_clear(position);
        status = mr_source_kafka.position(reader, position, &reading->err);
    }
    mr_source_kafka.reader_close(reader);
    return status;
}

static void read_splits(void *argument)
{
    struct reading *reading = argument;
    struct mr_bytes position;
    mr_bytes_init(&position, 1024);
    for (int i = reading->first; i < reading->bound->splits.count && reading->status == MR_OK;
         i += reading->step) {
        int64_t last = -1;
        bool end = false;
        mr_bytes_clear(&position);
        while (!end && reading->status == MR_OK)
            reading->status =
                read_some(reading, reading->bound->splits.items[i].token, &position, &last, &end);
    }
    mr_bytes_reset(&position);
}

/* `breaking`: all brokers are away once some rows have been read, and come back. */
static void read_all(const struct bound *bound, int threads, bool breaking)
{
    atomic_int_fast64_t done = 0;
    struct reading readings[4];
    struct mr_thread handles[4] = {{0}};
    int64_t rows = 0, sum = 0, all = (int64_t)PARTITIONS * RECORDS;
    for (int i = 0; i < threads; i++) {
        readings[i] = (struct reading){.bound = bound,
                                       .runtime = f.runtime,
                                       .first = i,
                                       .step = threads,
                                       .ordered = true,
                                       .done = &done};
        readings[i].runtime.batch_rows = 300;
        FIXTURE_OK(&f, mr_thread_start(&handles[i], "reader", read_splits, &readings[i], &f.err));
    }
    while (breaking && atomic_load(&done) < 1000)
        sched_yield();
    for (int i = 1; i <= 3 && breaking; i++)
        rd_kafka_mock_broker_set_down(mock, i);
    for (int i = 1; i <= 3 && breaking; i++)
        rd_kafka_mock_broker_set_up(mock, i);
    for (int i = 0; i < threads; i++) {
        mr_thread_join(&handles[i]);
        f.err = readings[i].err;
        FIXTURE_OK(&f, readings[i].status);
        assert_true(readings[i].ordered);
        rows += readings[i].rows;
        sum += readings[i].sum;
    }
    assert_int_equal(rows, all);
    assert_int_equal(sum, all * (all - 1) / 2);
}

static void test_read(void **state)
{
    (void)state;
    struct bound bound;
    bind_topic(&bound, "7");
    assert_true(bound.splits.count >= PARTITIONS);
    assert_int_equal(bound.info.rows, PARTITIONS * RECORDS);
    read_all(&bound, 3, false);
    mr_source_kafka.close(bound.state);
}

/* What Kafka calls retriable in answers of a leader. */
#define LEADER                                                                                     \
    RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,           \
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,           \
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,               \
        RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,                \
        RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,             \
        RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, RD_KAFKA_RESP_ERR__TRANSPORT

static void test_errors(void **state)
{
    static const rd_kafka_resp_err_t errors[] = {LEADER};
    (void)state;
    struct bound bound;
    bind_topic(&bound, "1");
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        rd_kafka_mock_push_request_errors(mock, FETCH, 2, errors[i], errors[i]);
    for (int i = 0; i < PARTITIONS; i++)
        rd_kafka_mock_partition_set_leader(mock, "t", i, 1 + i % 3);
    read_all(&bound, 2, false);
    mr_source_kafka.close(bound.state);
}

/* The first question for offsets, the earliest ones, and the second, the latest. */
static void test_offsets(void **state)
{
    static const rd_kafka_resp_err_t errors[] = {LEADER};
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        for (int before = 0; before < 2; before++) {
            struct bound bound;
            if (before > 0)
                rd_kafka_mock_push_request_errors(mock, LIST_OFFSETS, 3, RD_KAFKA_RESP_ERR_NO_ERROR,
                                                  RD_KAFKA_RESP_ERR_NO_ERROR,
                                                  RD_KAFKA_RESP_ERR_NO_ERROR);
            rd_kafka_mock_push_request_errors(mock, LIST_OFFSETS, 1, errors[i]);
            bind_topic(&bound, "1");
            assert_int_equal(bound.info.rows, PARTITIONS * RECORDS);
            mr_source_kafka.close(bound.state);
        }
}

static void test_down(void **state)
{
    (void)state;
    struct bound bound;
    bind_topic(&bound, "1");
    read_all(&bound, 2, true);
    mr_source_kafka.close(bound.state);
}

/* Brokers that were all away know no leader at first. */
static void test_no_leader(void **state)
{
    (void)state;
    struct bound bound;
    f.runtime.timeout_connect_micros = 1000000;
    for (int i = 0; i < PARTITIONS; i++)
        rd_kafka_mock_partition_set_leader(mock, "t", i, -1);
    assert_int_equal(try_bind(&bound, "1"), MR_SOURCE);
    assert_int_equal(f.err.cls, MR_CLASS_TRANSIENT);
    for (int i = 0; i < PARTITIONS; i++)
        rd_kafka_mock_partition_set_leader(mock, "t", i, 1 + i % 3);
    f.runtime.timeout_connect_micros = 0;
    bind_topic(&bound, "1");
    read_all(&bound, 2, false);
    mr_source_kafka.close(bound.state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_marks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_marks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_translated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read, start_mock, stop_mock),
        cmocka_unit_test_setup_teardown(test_errors, start_mock, stop_mock),
        cmocka_unit_test_setup_teardown(test_offsets, start_mock, stop_mock),
        cmocka_unit_test_setup_teardown(test_down, start_mock, stop_mock),
        cmocka_unit_test_setup_teardown(test_no_leader, start_mock, stop_mock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
