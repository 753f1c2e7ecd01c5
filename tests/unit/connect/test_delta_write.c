/*
 * test_delta_write.c - the writing half of Delta: texts of the log, data files, the commit loop.
 */
#include "codec/codecs.h"
#include "connect/delta/commit.h"
#include "connect/delta/log_write.h"
#include "connect/delta/maintain.h"
#include "connect/delta/maintain_log.h"
#include "connect/delta/private.h"
#include "connect/delta/schema_write.h"
#include "contract/fixture.h"
#include "format/parquet/parquet.h"
#include "store/local.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const struct mr_store *const stores[] = {&mr_store_local, NULL};
static const struct mr_format *const formats[] = {&mr_format_parquet, NULL};
static const struct mr_codec *const codecs[] = {&mr_codec_snappy, NULL};

static struct fixture f;
static struct delta_table table;

static const struct delta_protocol protocol = {.reader = 1, .writer = 2};

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, 0);
    f.registry.stores = stores;
    f.registry.formats = formats;
    f.registry.codecs = codecs;
    struct mr_location location = {.store = &mr_store_local,
                                   .url = f.directory,
                                   .text = "the table"};
    FIXTURE_OK(&f, delta_table_open(&location, NULL, &f.runtime, &table, &f.err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    delta_table_close(&table);
    return fixture_reset(&f);
}

static struct delta_metadata *metadata_of(const char *schema, const char *const *partitions,
                                          int npartitions, const struct delta_pair *configuration,
                                          int nconfiguration)
{
    struct mr_bytes text;
    struct delta_metadata *metadata = mr_arena_calloc(&f.arena, 1, sizeof *metadata);
    mr_bytes_init(&text, 1 << 20);
    delta_put_schema(&text, fixture_schema(&f, schema));
    *metadata = (struct delta_metadata){
        .id = "11111111-2222-4333-8444-555555555555",
        .created_millis = 1700000000000,
        .schema_json = mr_arena_strdup(&f.arena, text.data),
        .npartition_columns = npartitions,
        .partition_columns = partitions,
        .configuration = configuration,
        .nconfiguration = nconfiguration,
    };
    mr_bytes_reset(&text);
    FIXTURE_OK(&f, delta_schema_read(&f.arena, metadata, &f.err));
    return metadata;
}

static const struct delta_snapshot *latest(void)
{
    const struct delta_asof asof = {.version = -1, .timestamp_micros = INT64_MIN};
    const struct delta_snapshot *snapshot;
    FIXTURE_OK(&f, delta_snapshot_read(&table, &asof, &f.arena, &snapshot, &f.err));
    return snapshot;
}

/* Writes rows into published files; the number is part of their names. */
static struct delta_written write_rows(const struct delta_metadata *metadata, const char *schema,
                                       const char *const *rows, int number)
{
    char identity[32];
    snprintf(identity, sizeof identity, "test-%d", number);
    struct delta_writer_options options = {.tag = "test", .identity = identity, .level = INT_MIN};
    struct delta_writer *writer;
    struct mr_bytes bytes;
    struct delta_written written;
    mr_bytes_init(&bytes, 1 << 20);
    FIXTURE_OK(&f, delta_writer_new(&table, metadata, &options, &writer, &f.err));
    struct mr_batch *batch = fixture_batch(&f, schema, rows);
    FIXTURE_OK(&f, delta_writer_add(writer, batch, &f.err));
    mr_batch_unref(batch);
    FIXTURE_OK(&f, delta_writer_finish(writer, &bytes, &f.err));
    delta_writer_free(writer);
    char *copy = mr_arena_strndup(&f.arena, bytes.data, bytes.size);
    FIXTURE_OK(&f,
               delta_written_read((struct mr_slice){copy, bytes.size}, &f.arena, &written, &f.err));
    mr_bytes_reset(&bytes);
    for (int i = 0; i < written.count; i++)
        FIXTURE_OK(&f, table.store->publish(table.handle, written.tickets[i], &f.err));
    return written;
}

static struct delta_outcome commit(const struct delta_snapshot *snapshot,
                                   const struct delta_metadata *metadata,
                                   const struct delta_written *written, const struct delta_txn *txn)
{
    struct delta_change change = {
        .operation = "WRITE",
        .parameters = "{\"mode\":\"Append\"}",
        .protocol = snapshot ? NULL : &protocol,
        .metadata = snapshot ? NULL : metadata,
        .nadds = written->count,
        .adds = written->files,
        .data_change = true,
        .txn = txn,
    };
    struct delta_outcome outcome;
    FIXTURE_OK(&f, delta_commit_write(&table, snapshot, &change, &outcome, &f.err));
    return outcome;
}

static const char *log_text(int version)
{
    char path[64];
    snprintf(path, sizeof path, "_delta_log/%020d.json", version);
    char full[512];
    snprintf(full, sizeof full, "%s/%s", f.directory, path);
    size_t size;
    return fixture_read(&f, full, &size);
}

#define SCHEMA "id BIGINT, day STRING"

static const char *const rows[] = {"1|a", "2|b", "3|~", NULL};
static const char *const by_day[] = {"day"};

static void test_create_and_append(void **state)
{
    (void)state;
    const struct delta_metadata *metadata = metadata_of(SCHEMA, by_day, 1, NULL, 0);
    struct delta_written written = write_rows(metadata, SCHEMA, rows, 0);
    assert_int_equal(written.count, 3);
    struct delta_outcome outcome = commit(NULL, metadata, &written, NULL);
    assert_int_equal(outcome.version, 0);
    const char *text = log_text(0);
    assert_non_null(strstr(text, "\"path\":\"day=a/part-00000-"));
    assert_non_null(strstr(text, "\"partitionValues\":{\"day\":null}"));
    assert_non_null(strstr(text, "{\\\"numRecords\\\":1,\\\"minValues\\\":{\\\"id\\\":1},"));
    const struct delta_snapshot *snapshot = latest();
    assert_int_equal(snapshot->nfiles, 3);
    written = write_rows(&snapshot->metadata, SCHEMA, rows, 1);
    outcome = commit(snapshot, NULL, &written, NULL);
    assert_int_equal(outcome.version, 1);
    assert_int_equal(latest()->nfiles, 6);
}

/* A second writer that saw the same version goes behind the first. */
static void test_lost_race(void **state)
{
    (void)state;
    const struct delta_metadata *metadata = metadata_of(SCHEMA, NULL, 0, NULL, 0);
    struct delta_written first = write_rows(metadata, SCHEMA, rows, 0);
    commit(NULL, metadata, &first, NULL);
    const struct delta_snapshot *snapshot = latest();
    for (int i = 1; i < 4; i++) {
        struct delta_written more = write_rows(metadata, SCHEMA, rows, i);
        struct delta_outcome outcome = commit(snapshot, NULL, &more, NULL);
        assert_int_equal(outcome.version, i);
        assert_int_equal(outcome.attempts, i == 1 ? 1 : 2);
    }
    assert_int_equal(latest()->nfiles, 4);
}

static void test_two_creators(void **state)
{
    (void)state;
    const struct delta_metadata *metadata = metadata_of(SCHEMA, NULL, 0, NULL, 0);
    struct delta_written first = write_rows(metadata, SCHEMA, rows, 0);
    struct delta_written second = write_rows(metadata, SCHEMA, rows, 1);
    commit(NULL, metadata, &first, NULL);
    assert_int_equal(commit(NULL, metadata, &second, NULL).version, 1);
    assert_null(strstr(log_text(1), "metaData"));
    const struct delta_metadata *other = metadata_of("id BIGINT", NULL, 0, NULL, 0);
    struct delta_change change = {.operation = "WRITE",
                                  .protocol = &protocol,
                                  .metadata = other,
                                  .data_change = true};
    struct delta_outcome outcome;
    assert_int_equal(delta_commit_write(&table, NULL, &change, &outcome, &f.err), MR_SINK);
    assert_int_equal(f.err.cls, MR_CLASS_TRANSIENT);
}

static void test_txn(void **state)
{
    (void)state;
    const struct delta_metadata *metadata = metadata_of(SCHEMA, NULL, 0, NULL, 0);
    struct delta_txn txn = {.app_id = "me", .version = 3, .updated_millis = 5};
    struct delta_written written = write_rows(metadata, SCHEMA, rows, 0);
    commit(NULL, metadata, &written, &txn);
    const struct delta_snapshot *snapshot = latest();
    assert_true(commit(snapshot, NULL, &written, &txn).already);
    txn.version = 4;
    assert_int_equal(commit(snapshot, NULL, &written, &txn).version, 1);
    /* Found among the winners, not in the snapshot. */
    assert_true(commit(snapshot, NULL, &written, &txn).already);
    assert_true(commit(NULL, metadata, &written, &txn).already);
}

/* The same epoch of another run is a copy's of our state, and none of ours; a later one says nothing of ours. */
static void test_txn_of_another_run(void **state)
{
    (void)state;
    const struct delta_metadata *metadata = metadata_of(SCHEMA, NULL, 0, NULL, 0);
    struct delta_written written = write_rows(metadata, SCHEMA, rows, 0);
    struct delta_txn txn = {.app_id = "me", .version = 3, .updated_millis = 5};
    struct delta_txn run = {.app_id = "run of me", .version = 7, .updated_millis = 5};
    struct delta_change change = {.operation = "WRITE",
                                  .protocol = &protocol,
                                  .metadata = metadata,
                                  .data_change = true,
                                  .adds = written.files,
                                  .nadds = written.count,
                                  .txn = &txn,
                                  .run = &run};
    struct delta_outcome outcome;
    assert_int_equal(delta_commit_write(&table, NULL, &change, &outcome, &f.err), MR_OK);
    assert_int_equal(delta_commit_write(&table, NULL, &change, &outcome, &f.err), MR_OK);
    assert_true(outcome.already);
    const struct delta_snapshot *snapshot = latest();
    change.metadata = NULL;
    change.protocol = NULL;
    run.version = 8;
    for (int seen = 0; seen < 2; seen++) { /* among the winners, and in the snapshot */
        memset(&f.err, 0, sizeof f.err);
        assert_int_equal(delta_commit_write(&table, seen ? latest() : snapshot, &change, &outcome,
                                            &f.err),
                         MR_SINK);
        assert_int_equal(f.err.cls, MR_CLASS_REFUSED);
        assert_non_null(strstr(f.err.message, "copied"));
        assert_non_null(strstr(f.err.hint, "--adopt"));
    }
    txn.version = 2;
    memset(&f.err, 0, sizeof f.err);
    assert_int_equal(delta_commit_write(&table, latest(), &change, &outcome, &f.err), MR_SINK);
    assert_int_equal(f.err.cls, MR_CLASS_SUPERSEDED);
    txn.version = 4;
    assert_int_equal(delta_commit_write(&table, latest(), &change, &outcome, &f.err), MR_OK);
    assert_int_equal(outcome.version, 1);
}

static void test_conflicts(void **state)
{
    (void)state;
    const struct delta_metadata *metadata = metadata_of(SCHEMA, NULL, 0, NULL, 0);
    struct delta_written first = write_rows(metadata, SCHEMA, rows, 0);
    commit(NULL, metadata, &first, NULL);
    const struct delta_snapshot *snapshot = latest();
    struct delta_written second = write_rows(metadata, SCHEMA, rows, 1);
    struct delta_change replace = {
        .operation = "DELETE",
        .nadds = second.count,
        .adds = second.files,
        .nremoves = snapshot->nfiles,
        .removes = snapshot->files,
        .data_change = true,
        .reads = DELTA_READS_TABLE,
    };
    struct delta_outcome outcome;
    /* A blind append in between is no conflict. */
    struct delta_written third = write_rows(metadata, SCHEMA, rows, 2);
    commit(snapshot, NULL, &third, NULL);
    FIXTURE_OK(&f, delta_commit_write(&table, snapshot, &replace, &outcome, &f.err));
    assert_int_equal(outcome.version, 2);
    assert_int_equal(latest()->nfiles, 2);
    /* The same once more: its files are gone. */
    assert_int_equal(delta_commit_write(&table, snapshot, &replace, &outcome, &f.err), MR_SINK);
    assert_int_equal(f.err.cls, MR_CLASS_TRANSIENT);
    assert_non_null(strstr(f.err.message, "version 2 (DELETE)"));
    /* Metadata. */
    snapshot = latest();
    struct delta_metadata changed = snapshot->metadata;
    struct delta_pair pair = {"delta.appendOnly", "true"};
    changed.configuration = &pair;
    changed.nconfiguration = 1;
    struct delta_change set = {.operation = "SET TBLPROPERTIES",
                               .metadata = &changed,
                               .data_change = true};
    FIXTURE_OK(&f, delta_commit_write(&table, snapshot, &set, &outcome, &f.err));
    struct delta_change append = {.operation = "WRITE", .data_change = true};
    assert_int_equal(delta_commit_write(&table, snapshot, &append, &outcome, &f.err), MR_SINK);
    assert_non_null(strstr(f.err.message, "schema or properties"));
    assert_int_equal(delta_check_writable(latest(), DELTA_KIND_REPLACE, "t", &f.err), MR_SINK);
    assert_int_equal(delta_check_writable(latest(), DELTA_KIND_APPEND, "t", &f.err), MR_OK);
}

static int count_data_files(void)
{
    int count = 0;
    for (const char *at = fixture_tree(&f, f.directory); (at = strstr(at, ".parquet")); at++)
        count++;
    return count;
}

/* Two compact the same files: those of the one that comes second go, and nothing else. */
static void test_compaction_lost(void **state)
{
    (void)state;
    const struct delta_metadata *metadata = metadata_of(SCHEMA, by_day, 1, NULL, 0);
    struct delta_written first = write_rows(metadata, SCHEMA, rows, 0);
    commit(NULL, metadata, &first, NULL);
    const struct delta_snapshot *snapshot = latest();
    int before = count_data_files();
    for (int i = 0; i < 2; i++) {
        struct delta_replace *replace;
        struct delta_outcome outcome = {0};
        struct mr_batch *batch = fixture_batch(&f, SCHEMA, rows);
        struct delta_change change = {.operation = "OPTIMIZE",
                                      .nremoves = snapshot->nfiles,
                                      .removes = snapshot->files,
                                      .reads = DELTA_READS_FILES};
        FIXTURE_OK(&f, delta_replace_new(&table, snapshot, 0, &replace, &f.err));
        FIXTURE_OK(&f, delta_replace_add(replace, batch, &f.err));
        mr_batch_unref(batch);
        enum mr_status status = delta_replace_commit(replace, &change, &f.arena, &outcome, &f.err);
        assert_int_equal(status, i == 0 ? MR_OK : MR_SINK);
        assert_false(outcome.uncertain);
        assert_int_equal(count_data_files(), before + (i + 1) * change.nadds);
        delta_replace_free(replace);
        assert_int_equal(count_data_files(), before + change.nadds);
    }
    assert_int_equal(f.err.cls, MR_CLASS_TRANSIENT);
    assert_int_equal(latest()->version, 1);
    for (int i = 0; i < latest()->nfiles; i++)
        assert_non_null(strstr(fixture_tree(&f, f.directory), latest()->files[i].path));
}

static void test_checkpoint_and_clean_up(void **state)
{
    (void)state;
    static const struct delta_pair properties[] = {{"delta.checkpointInterval", "5"},
                                                   {"delta.logRetentionDuration",
                                                    "interval 0 days"}};
    const struct delta_metadata *metadata = metadata_of(SCHEMA, NULL, 0, properties, 2);
    for (int i = 0; i < 12; i++) {
        const struct delta_snapshot *snapshot = i ? latest() : NULL;
        struct delta_txn txn = {.app_id = "me", .version = i, .updated_millis = -1};
        struct delta_written written = write_rows(metadata, SCHEMA, rows, i);
        assert_int_equal(commit(snapshot, metadata, &written, &txn).version, i);
    }
    const char *tree = fixture_tree(&f, f.directory);
    assert_non_null(strstr(tree, "_last_checkpoint"));
    assert_non_null(strstr(tree, "00000000000000000010.checkpoint.parquet"));
    assert_null(strstr(tree, "00000000000000000004.json"));
    assert_non_null(strstr(tree, "00000000000000000010.json"));
    const struct delta_snapshot *snapshot = latest();
    assert_int_equal(snapshot->nfiles, 12);
    assert_int_equal(snapshot->ntxns, 1);
    assert_int_equal(snapshot->txns[0].version, 11);
    assert_int_equal(snapshot->checkpoint_version, 10);
}

static void expect_bound(const char *text, bool maximum, const char *expected)
{
    struct mr_bytes out;
    mr_bytes_init(&out, 1 << 16);
    bool said = delta_put_text_bound(&out, mr_slice_of(text), maximum);
    if (expected)
        assert_string_equal(out.data, expected);
    else
        assert_false(said);
    mr_bytes_reset(&out);
}

#define A32 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BIG "\xF4\x8F\xBF\xBF"

static void test_text_bounds(void **state)
{
    (void)state;
    expect_bound("abc", true, "\"abc\"");
    expect_bound(A32, true, "\"" A32 "\"");
    expect_bound(A32 "b", false, "\"" A32 "\"");
    expect_bound(A32 "b", true, "\"" A32 "\x7F\"");
    expect_bound(A32 "\xC3\xA4", true, "\"" A32 BIG "\"");
    expect_bound(A32 BIG "b", true, "\"" A32 BIG "\x7F\"");
    expect_bound(A32 BIG BIG, true, "\"" A32 BIG BIG "\"");
}

static void test_paths(void **state)
{
    (void)state;
    struct mr_bytes out;
    mr_bytes_init(&out, 1 << 16);
    delta_put_path(&out, "t=2021-09-08 11%3A11/a+b.parquet");
    assert_string_equal(out.data, "t=2021-09-08%2011%253A11/a+b.parquet");
    mr_bytes_reset(&out);
}

static void test_merged_schema(void **state)
{
    (void)state;
    struct delta_metadata metadata = {
        .id = "x",
        .schema_json =
            "{\"type\":\"struct\",\"fields\":[{\"name\":\"a\",\"type\":\"integer\",\"nullable\":"
            "false,\"metadata\":{\"comment\":\"k\\u00e9y\",\"x\":1.50}},{\"name\":\"s\",\"type\":{"
            "\"type\":\"array\",\"elementType\":{\"type\":\"struct\",\"fields\":[{\"name\":\"b\","
            "\"type\":\"string\",\"nullable\":true,\"metadata\":{}}]},\"containsNull\":true},"
            "\"nullable\":true,\"metadata\":{}}]}",
    };
    FIXTURE_OK(&f, delta_schema_read(&f.arena, &metadata, &f.err));
    struct mr_bytes out;
    int64_t next_id = 1;
    int added;
    mr_bytes_init(&out, 1 << 16);
    FIXTURE_OK(&f, delta_put_merged_schema(
                       &out, &metadata,
                       fixture_schema(&f, "s array<struct<c:double,B:string>>, d date, A int"),
                       "seed", &next_id, &added, &f.err));
    assert_int_equal(added, 2);
    assert_string_equal(
        out.data,
        "{\"type\":\"struct\",\"fields\":[{\"name\":\"a\",\"type\":\"integer\",\"nullable\":"
        "false,\"metadata\":{\"comment\":\"k\\u00e9y\",\"x\":1.50}},{\"name\":\"s\",\"type\":{"
        "\"type\":\"array\",\"elementType\":{\"type\":\"struct\",\"fields\":[{\"name\":\"b\","
        "\"type\":\"string\",\"nullable\":true,\"metadata\":{}},{\"name\":\"c\",\"type\":"
        "\"double\",\"nullable\":true,\"metadata\":{}}]},\"containsNull\":true},"
        "\"nullable\":true,\"metadata\":{}},{\"name\":\"d\",\"type\":\"date\",\"nullable\":true,"
        "\"metadata\":{}}]}");
    mr_bytes_reset(&out);
}

static void test_not_null(void **state)
{
    (void)state;
    const char *schema = "id BIGINT NOT NULL, s STRING";
    const struct delta_metadata *metadata = metadata_of(schema, NULL, 0, NULL, 0);
    struct delta_writer_options options = {.tag = "t", .identity = "i", .level = INT_MIN};
    static const char *const bad[] = {"1|a", "~|b", NULL};
    struct delta_writer *writer;
    FIXTURE_OK(&f, delta_writer_new(&table, metadata, &options, &writer, &f.err));
    struct mr_batch *batch = fixture_batch(&f, "id BIGINT, s STRING", bad);
    assert_int_equal(delta_writer_add(writer, batch, &f.err), MR_SINK);
    assert_non_null(strstr(f.err.message, "'id' is NOT NULL"));
    mr_batch_unref(batch);
    delta_writer_free(writer);
}

static void test_unwritable(void **state)
{
    (void)state;
    static const char *const features[] = {"appendOnly", "rowTracking", "shiny", NULL};
    struct delta_snapshot snapshot = {
        .protocol = {.reader = 1, .writer = 7, .writer_features = features},
        .metadata = *metadata_of(SCHEMA, NULL, 0, NULL, 0),
    };
    assert_int_equal(delta_check_writable(&snapshot, DELTA_KIND_APPEND, "t", &f.err), MR_SINK);
    assert_non_null(strstr(f.err.message, "rowTracking, shiny"));
    snapshot.protocol = protocol;
    snapshot.metadata.schema_json =
        "{\"type\":\"struct\",\"fields\":[{\"name\":\"g\",\"type\":\"long\",\"nullable\":true,"
        "\"metadata\":{\"delta.generationExpression\":\"id + 1\"}}]}";
    assert_int_equal(delta_check_writable(&snapshot, DELTA_KIND_APPEND, "t", &f.err), MR_SINK);
    assert_non_null(strstr(f.err.message, "'g' is a generated column"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create_and_append, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_race, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_creators, setup, teardown),
        cmocka_unit_test_setup_teardown(test_txn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_txn_of_another_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conflicts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compaction_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checkpoint_and_clean_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_merged_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_null, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unwritable, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
