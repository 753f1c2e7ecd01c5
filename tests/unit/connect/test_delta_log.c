/*
 * test_delta_log.c - a Delta log read: actions, paths, replay, versions and times, what is refused.
 */
#include "connect/delta/private.h"
#include "contract/fixture.h"
#include "store/local.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct fixture f;
static struct delta_table table;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, (int64_t)256 << 20);
    char path[300];
    snprintf(path, sizeof path, "%s/_delta_log", f.directory);
    mkdir(path, 0777);
    struct mr_location location = {.store = &mr_store_local, .url = f.directory, .text = "t"};
    FIXTURE_OK(&f, delta_table_open(&location, NULL, &f.runtime, &table, &f.err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    delta_table_close(&table);
    return fixture_reset(&f);
}

static void put(const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/_delta_log/%s", f.directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

#define PROTOCOL "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"
#define FIELD(name, type)                                                                          \
    "{\\\"name\\\":\\\"" name "\\\",\\\"type\\\":\\\"" type                                        \
    "\\\",\\\"nullable\\\":true,\\\"metadata\\\":{}}"
#define METADATA                                                                                   \
    "{\"metaData\":{\"id\":\"1\",\"format\":{\"provider\":\"parquet\",\"options\":{}},"            \
    "\"schemaString\":\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[" FIELD(                      \
        "id", "long") "," FIELD("p", "string") "]}\",\"partitionColumns\":[\"p\"],"                \
                                               "\"configuration\":{\"a\":\"b\"},"                  \
                                               "\"createdTime\":5}}\n"
#define ADD(path, time)                                                                            \
    "{\"add\":{\"path\":\"" path "\",\"partitionValues\":{\"p\":\"x\"},\"size\":7,"                \
    "\"modificationTime\":" time ",\"dataChange\":true,\"stats\":\"{\\\"numRecords\\\":3}\"}}\n"
#define REMOVE(path) "{\"remove\":{\"path\":\"" path "\",\"dataChange\":true}}\n"

static const struct delta_snapshot *latest(void)
{
    const struct delta_snapshot *snapshot;
    FIXTURE_OK(&f, delta_snapshot_read(&table, NULL, &f.arena, &snapshot, &f.err));
    return snapshot;
}

static void test_replay(void **state)
{
    (void)state;
    assert_null(latest());
    put("00000000000000000000.json", PROTOCOL METADATA ADD("p=x/a%20b", "2") ADD("c", "1"));
    put("00000000000000000001.json",
        REMOVE("c") "{\"txn\":{\"appId\":\"s\",\"version\":3}}\n"
                    "{\"commitInfo\":{\"x\":[1,{}],\"inCommitTimestamp\":77}}\n{\"other\":{}}\n");
    const struct delta_snapshot *snapshot = latest();
    assert_int_equal(snapshot->version, 1);
    assert_int_equal(snapshot->timestamp_millis, 77);
    assert_int_equal(snapshot->nfiles, 1);
    assert_int_equal(snapshot->ntombstones, 1);
    assert_string_equal(snapshot->files[0].path, "p=x/a b");
    assert_string_equal(snapshot->files[0].raw_path, "p=x/a%20b");
    assert_string_equal(snapshot->files[0].partition_values[0], "x");
    assert_string_equal(snapshot->files[0].stats, "{\"numRecords\":3}");
    assert_int_equal(snapshot->files[0].size, 7);
    assert_int_equal(snapshot->ntxns, 1);
    assert_int_equal(snapshot->metadata.schema->nfields, 2);
    assert_string_equal(delta_property(&snapshot->metadata, "a"), "b");
    assert_null(delta_property(&snapshot->metadata, "c"));

    struct delta_asof first = {0, INT64_MIN};
    FIXTURE_OK(&f, delta_snapshot_read(&table, &first, &f.arena, &snapshot, &f.err));
    assert_int_equal(snapshot->nfiles, 2);
    assert_string_equal(snapshot->files[0].path, "c");

    const struct delta_commit *commits;
    int count;
    FIXTURE_OK(&f, delta_commits_read(&table, NULL, 0, -1, &f.arena, &commits, &count, &f.err));
    assert_int_equal(count, 2);
    assert_int_equal(commits[0].nfiles, 2);
    assert_true(commits[1].files[0].removed);
    assert_string_equal(commits[1].info, "{\"x\":[1,{}],\"inCommitTimestamp\":77}");
}

static void expect_failure(const struct delta_asof *asof, const char *part)
{
    const struct delta_snapshot *snapshot;
    assert_int_equal(delta_snapshot_read(&table, asof, &f.arena, &snapshot, &f.err), MR_SOURCE);
    if (!strstr(f.err.message, part) && !strstr(f.err.where, part))
        fail_msg("'%s' at '%s' lacks '%s'", f.err.message, f.err.where, part);
}

static void test_refused(void **state)
{
    (void)state;
    put("00000000000000000001.json", PROTOCOL METADATA);
    expect_failure(NULL, "neither version 0 nor a complete checkpoint");
    put("00000000000000000000.json", METADATA);
    put("00000000000000000001.json", "{}\n");
    expect_failure(NULL, "no protocol");
    put("00000000000000000001.json", PROTOCOL);
    assert_non_null(latest());
    put("00000000000000000003.json", "{}");
    expect_failure(NULL, "version 2 is missing");
    put("00000000000000000002.json", PROTOCOL "{\"add\":{\"path\":7}}");
    expect_failure(NULL, "00000000000000000002.json:2");
    put("00000000000000000002.json", "{\"add\":{}}");
    expect_failure(NULL, "add lacks 'path'");
    put("00000000000000000002.json", "{\"add\":");
    expect_failure(NULL, "JSON");
    put("00000000000000000002.json",
        "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":"
        "[\"deletionVectors\",\"variantType\",\"zz\"],\"writerFeatures\":[]}}");
    expect_failure(NULL, "variantType, zz");
    put("00000000000000000002.json",
        "{\"protocol\":{\"minReaderVersion\":4,\"minWriterVersion\":7}}");
    expect_failure(NULL, "reader version 4");
    put("00000000000000000002.json", "{}");
    expect_failure(&(struct delta_asof){9, INT64_MIN}, "there are 0 to 3");
    expect_failure(&(struct delta_asof){-1, 0}, "before the first");
    expect_failure(&(struct delta_asof){-1, INT64_MAX / 2}, "after the last");
}

static void test_compaction(void **state)
{
    (void)state;
    put("00000000000000000000.json", PROTOCOL METADATA ADD("a", "1"));
    put("00000000000000000001.json", ADD("b", "2"));
    put("00000000000000000002.json", REMOVE("a"));
    put("00000000000000000003.json", ADD("c", "3"));
    put("00000000000000000001.00000000000000000002.compacted.json", ADD("b", "2") REMOVE("a"));
    put("_last_checkpoint", "{\"version\":");
    assert_int_equal(latest()->nfiles, 2);
    put("_last_checkpoint", "{\"version\":3,\"size\":1}");
    assert_int_equal(latest()->nfiles, 2);
}

static void test_names(void **state)
{
    (void)state;
    struct delta_log_file file;
    assert_true(delta_log_name("00000000000000000012.json", &file));
    assert_int_equal(file.version, 12);
    assert_int_equal(file.kind, DELTA_LOG_COMMIT);
    assert_true(delta_log_name("00000000000000000012.checkpoint.parquet", &file));
    assert_true(
        delta_log_name("00000000000000000012.checkpoint.0000000002.0000000003.parquet", &file));
    assert_int_equal(file.part, 2);
    assert_int_equal(file.parts, 3);
    assert_true(
        delta_log_name("00000000000000000012.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json",
                       &file));
    assert_int_equal(file.kind, DELTA_LOG_CHECKPOINT_JSON);
    assert_false(delta_log_name("00000000000000000012.crc", &file));
    assert_false(delta_log_name("12.json", &file));
    assert_false(delta_log_name("99999999999999999999.json", &file));
    assert_false(
        delta_log_name("00000000000000000012.checkpoint.0000000004.0000000003.parquet", &file));
}

static void test_paths(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a/b", "/t", "a/b"},
        {"as=2021-09-08%2011%253A11/x", "/t", "as=2021-09-08 11%3A11/x"},
        {"100%/x%zz%4", "/t", "100%/x%zz%4"},
        {"/some/path", "/t", "file:///some/path"},
        {"file:/some/path", "/t", "file:///some/path"},
        {"file:///some/pa%20th", "/t", "file:///some/pa th"},
        {"/x", "s3://bucket/t", "s3://bucket/x"},
        {"s3a://bucket/x%3D", "s3://bucket/t", "s3://bucket/x="},
        {"a%00b", "/t", "a%00b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(delta_path_decode(&f.arena, mr_slice_of(cases[i][0]), cases[i][1]),
                            cases[i][2]);
    assert_true(delta_path_is_absolute("s3://b/x"));
    assert_false(delta_path_is_absolute("a:b/x"));
}

static void test_schema(void **state)
{
    (void)state;
    struct delta_pair mode = {"delta.columnMapping.mode", "name"};
    struct delta_metadata metadata = {
        .schema_json =
            "{\"type\":\"struct\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"array\","
            "\"elementType\":{\"type\":\"struct\",\"fields\":[{\"name\":\"b\",\"type\":"
            "\"decimal(12,2)\",\"nullable\":false,\"metadata\":{\"delta.columnMapping.id\":2,"
            "\"delta.columnMapping.physicalName\":\"col-2\"}}]},\"containsNull\":true},"
            "\"nullable\":true,\"metadata\":{\"delta.columnMapping.id\":1,"
            "\"delta.columnMapping.physicalName\":\"col-1\"}}]}",
        .configuration = &mode,
        .nconfiguration = 1};
    FIXTURE_OK(&f, delta_schema_read(&f.arena, &metadata, &f.err));
    struct mr_bytes text;
    mr_bytes_init(&text, 1000);
    mr_schema_format(metadata.physical, &text);
    assert_non_null(strstr(text.data, "col-2"));
    mr_bytes_clear(&text);
    mr_schema_format(metadata.schema, &text);
    assert_null(strstr(text.data, "col-"));
    mr_bytes_reset(&text);
    assert_int_equal(metadata.physical->fields[0].id, 1);
    metadata.schema_json =
        "{\"type\":\"struct\",\"fields\":[{\"name\":\"a\",\"type\":\"variant\"}]}";
    assert_int_equal(delta_schema_read(&f.arena, &metadata, &f.err), MR_SOURCE);
    assert_non_null(strstr(f.err.message, "variant"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compaction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_schema, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
