/*
 * test_location.c - bucket, path and map of buckets to a store and a URL.
 */
#include "contract/fixture.h"
#include "dataset/location.h"
#include "dataset/store_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct mr_store file_store = {.name = "local", .scheme = "file"};
static const struct mr_store s3_store = {.name = "s3", .scheme = "s3"};
static const struct mr_store *const both[] = {&file_store, &s3_store, NULL};

static const struct mr_option rows[] = {MR_LOCATION_OPTION_ROWS, MR_STORE_OPTION_ROWS,
                                        MR_OPTION_END};
/* As a step has it that knows no bucket. */
static const struct mr_option only_path[] = {{.name = "path", .type = MR_OPTION_STRING},
                                             MR_OPTION_END};

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, 0);
    f.registry.stores = both;
    f.runtime.pipeline_dir = "/pipelines";
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fixture_reset(&f);
}

static enum mr_status locate(const struct mr_option *table, const char *bucket, const char *path,
                             struct mr_location *out)
{
    const char *pairs[9];
    int count = 0;
    if (bucket) {
        pairs[count++] = "bucket";
        pairs[count++] = bucket;
    }
    if (path) {
        pairs[count++] = "path";
        pairs[count++] = path;
    }
    if (table == rows) {
        pairs[count++] = "bucketMap";
        pairs[count++] = "lake=/data/lake/";
        pairs[count++] = "bucketMap";
        pairs[count++] = "far=https://s3.example:9000";
    }
    pairs[count] = NULL;
    const struct mr_options *options;
    FIXTURE_OK(&f, mr_options_from_texts(&f.arena, table, pairs, &options, &f.err));
    return mr_locate(options, &f.runtime, &f.arena, out, &f.err);
}

static void found(const char *bucket, const char *path, const struct mr_store *store,
                  const char *url)
{
    struct mr_location location;
    FIXTURE_OK(&f, locate(rows, bucket, path, &location));
    assert_ptr_equal(location.store, store);
    assert_string_equal(location.url, url);
}

static void test_places(void **state)
{
    (void)state;
    found(NULL, "out", &file_store, "/pipelines/out");
    found(NULL, "/out//", &file_store, "/out");
    found(NULL, "file:///out/x/", &file_store, "/out/x");
    found(NULL, "file:/out", &file_store, "/out");
    found(NULL, "file://localhost/out", &file_store, "/out");
    found("lake", "/a/b/", &file_store, "/data/lake/a/b");
    found("lake", NULL, &file_store, "/data/lake");
    found(NULL, "s3a://lake/a", &file_store, "/data/lake/a");
    found("far", "a//", &s3_store, "s3://far/a");
    found(NULL, "s3://far/a/b=1", &s3_store, "s3://far/a/b=1");
    found("unknown", "/a/b/", &s3_store, "s3://unknown/a/b");
    found(NULL, "s3a://unknown", &s3_store, "s3://unknown/");
}

static void refused(const char *bucket, const char *path, const char *part)
{
    struct mr_location location;
    assert_int_equal(locate(rows, bucket, path, &location), MR_CONFIG);
    if (!strstr(f.err.message, part))
        fail_msg("'%s' does not say '%s'", f.err.message, part);
}

static void test_refusals(void **state)
{
    (void)state;
    refused(NULL, NULL, "path is missing");
    refused(NULL, "", "path is missing");
    refused("", "x", "name of the bucket");
    refused(NULL, "s3:///x", "name of the bucket");
    refused("a/b", "x", "no slash");
    refused("lake", "../x", "..");
    refused(NULL, "s3://far/a/../x", "..");
    refused("lake", "s3://far/x", "leave out bucket");
    refused(NULL, "gs://x/y", "schemes");
    f.registry.stores = &both[2];
    refused("unknown", "x", "not in this build");
}

static void test_offline(void **state)
{
    (void)state;
    struct mr_location location;
    f.runtime.offline = true;
    FIXTURE_OK(&f, locate(rows, "unknown", "x", &location));
    assert_null(location.store);
    assert_string_equal(location.text, "s3://unknown/x");
    found("lake", "x", &file_store, "/data/lake/x");
}

static void test_texts(void **state)
{
    (void)state;
    struct mr_location location;
    FIXTURE_OK(&f, mr_locate_text("s3a://b/c/", NULL, &f.runtime, &f.arena, &location, &f.err));
    assert_ptr_equal(location.store, &s3_store);
    assert_string_equal(location.url, "s3://b/c");
    FIXTURE_OK(&f, mr_locate_text("c", NULL, &f.runtime, &f.arena, &location, &f.err));
    assert_string_equal(location.url, "/pipelines/c");
    assert_int_equal(mr_locate_text("", NULL, &f.runtime, &f.arena, &location, &f.err), MR_CONFIG);
    assert_int_equal(mr_locate_text("gs://b", NULL, &f.runtime, &f.arena, &location, &f.err),
                     MR_CONFIG);
    FIXTURE_OK(&f, locate(only_path, NULL, "s3://b/c", &location));
    assert_string_equal(location.url, "s3://b/c");
    assert_int_equal(locate(only_path, NULL, NULL, &location), MR_CONFIG);
}

/* The file was given by a relative path: what a token holds is found again, and is not taken for a path below that directory once more. */
static void test_relative(void **state)
{
    struct mr_location location, again;
    char here[4096];
    (void)state;
    assert_non_null(getcwd(here, sizeof here));
    f.runtime.pipeline_dir = "some/pipelines";
    FIXTURE_OK(&f, locate(rows, NULL, "out/a", &location));
    assert_string_equal(location.url, mr_arena_printf(&f.arena, "%s/some/pipelines/out/a", here));
    FIXTURE_OK(&f, mr_locate_text(location.url, NULL, &f.runtime, &f.arena, &again, &f.err));
    assert_string_equal(again.url, location.url);
    FIXTURE_OK(&f, locate(rows, NULL, "/out/a", &location));
    assert_string_equal(location.url, "/out/a");
    f.runtime.pipeline_dir = ".";
    FIXTURE_OK(&f, locate(rows, NULL, "out/a", &location));
    assert_string_equal(location.url, "./out/a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_offline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_relative, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
