/*
 * store_suite.c - the contract of ext/store.h, on every registered store.
 *
 * Each test opens the store on an empty root of its own. "Another process" is another handle here: a store keeps
 * nothing about objects in memory that a ticket does not say.
 *
 * A store that needs a server is tested where one is named: MILLRACE_TEST_S3 is the URL of an endpoint,
 * MILLRACE_TEST_S3_BUCKET an existing bucket, and keys come as they do for everybody. Then only that store is tested: with its
 * usual settings, with everything as multipart uploads, and with parts waiting on disk.
 */
#include "contract/fixture.h"
#include "contract/registered.h"
#include "dataset/store_options.h"
#include "ext/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct fixture f;
static const struct mr_store *store; /* under test */
static void *handle;

static const struct mr_option option_rows[] = {MR_STORE_OPTION_ROWS, MR_UPLOAD_OPTION_ROWS,
                                               MR_OPTION_END};
static const char *endpoint;     /* NULL: the store is a directory */
static const char *const *given; /* options, as texts */

static const struct mr_options *options(void)
{
    const struct mr_options *made;
    const char *texts[16] = {"endpoint", endpoint};
    for (int i = 0; given[i]; i++)
        texts[2 + i] = given[i];
    FIXTURE_OK(&f, mr_options_from_texts(&f.arena, option_rows, texts, &made, &f.err));
    return made;
}

static void *open_again(void)
{
    char url[600];
    void *opened;
    if (endpoint)
        snprintf(url, sizeof url, "s3://%s%s/ro ot=+%%", getenv("MILLRACE_TEST_S3_BUCKET"),
                 strrchr(f.directory, '/'));
    else
        snprintf(url, sizeof url, "%s://%s/root/", store->scheme, f.directory);
    FIXTURE_OK(&f, store->open(url, endpoint ? options() : NULL, &f.runtime, &opened, &f.err));
    return opened;
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, 0);
    if (endpoint) { /* as often as S3 has it, but soon: the server may be one that fails often */
        f.runtime.retry = (struct mr_retry){.attempts = 9,
                                            .delay_micros = 10000,
                                            .max_delay_micros = 1000000,
                                            .multiplier = 2};
        f.runtime.retry_given = true;
    }
    handle = open_again();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store->close(handle);
    return fixture_reset(&f);
}

static enum mr_status add_line(void *context, const struct mr_store_entry *entry,
                               struct mr_error *err)
{
    mr_bytes_printf(context, "%s %lld\n", entry->path, (long long)entry->size);
    return mr_bytes_status(context, err);
}

static const char *list(const char *prefix, bool hidden)
{
    struct mr_bytes out;
    mr_bytes_init(&out, 1 << 20);
    FIXTURE_OK(&f, store->list(handle, prefix, NULL, hidden, add_line, &out, &f.err));
    const char *text = mr_arena_strndup(&f.arena, out.size ? out.data : "", out.size);
    mr_bytes_reset(&out);
    return text;
}

static const char *content(const char *path)
{
    char buffer[100];
    size_t got;
    FIXTURE_OK(&f, store->read(handle, path, 0, buffer, sizeof buffer, &got, &f.err));
    return mr_arena_strndup(&f.arena, buffer, got);
}

static void put(const char *path, const char *text)
{
    FIXTURE_OK(&f, store->put(handle, path, mr_slice_of(text), &f.err));
}

/* Stages `text` and returns the ticket. */
static struct mr_slice stage(const char *path, const char *tag, const char *text)
{
    void *stage;
    struct mr_bytes ticket;
    mr_bytes_init(&ticket, 1 << 16);
    FIXTURE_OK(&f, store->stage_open(handle, path, tag, &stage, &f.err));
    for (const char *at = text; *at; at++)
        FIXTURE_OK(&f, store->stage_append(stage, at, 1, &f.err));
    FIXTURE_OK(&f, store->stage_finish(stage, &ticket, &f.err));
    store->stage_close(stage);
    FIXTURE_OK(&f, store->sync(handle, &f.err));
    char *copy = mr_arena_alloc(&f.arena, ticket.size);
    memcpy(copy, ticket.data, ticket.size);
    struct mr_slice slice = {copy, ticket.size};
    mr_bytes_reset(&ticket);
    return slice;
}

static void test_objects(void **state)
{
    (void)state;
    assert_string_equal(list("", true), "");
    put("a/x", "1");
    put("a.b", "22");
    put("a/_hidden", "");
    put("a/_k=1/y", "333");
    put("b", "");
    assert_string_equal(list("", false), "a.b 2\na/_k=1/y 3\na/x 1\nb 0\n");
    assert_string_equal(list("a", false), "a/_k=1/y 3\na/x 1\n");
    assert_string_equal(list("a/", true), "a/_hidden 0\na/_k=1/y 3\na/x 1\n");
    assert_string_equal(list("b", false), "b 0\n");
    assert_string_equal(list("nothing", false), "");
    put("a/x", "replaced");
    assert_string_equal(content("a/x"), "replaced");
}

static void test_ranges(void **state)
{
    (void)state;
    char buffer[10];
    size_t got;
    put("r", "0123456789");
    FIXTURE_OK(&f, store->read(handle, "r", 4, buffer, 3, &got, &f.err));
    assert_int_equal(got, 3);
    assert_memory_equal(buffer, "456", 3);
    FIXTURE_OK(&f, store->read(handle, "r", 8, buffer, 10, &got, &f.err));
    assert_int_equal(got, 2);
    FIXTURE_OK(&f, store->read(handle, "r", 50, buffer, 10, &got, &f.err));
    assert_int_equal(got, 0);
    assert_int_equal(store->read(handle, "absent", 0, buffer, 1, &got, &f.err), MR_SOURCE);
    assert_int_equal(f.err.cls, MR_CLASS_CONFIG);
}

static void test_bad_paths(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "/a", "a//b", "../a", "a/../b", "./a", "a/", NULL};
    for (int i = 0; bad[i]; i++)
        assert_int_equal(store->put(handle, bad[i], mr_slice_of("x"), &f.err), MR_CONFIG);
}

static void test_put_if_absent(void **state)
{
    (void)state;
    bool created;
    FIXTURE_OK(&f, store->put_if_absent(handle, "d/v1", mr_slice_of("mine"), &created, &f.err));
    assert_true(created);
    FIXTURE_OK(&f, store->put_if_absent(handle, "d/v1", mr_slice_of("late"), &created, &f.err));
    assert_false(created);
    assert_string_equal(content("d/v1"), "mine");
    assert_string_equal(list("", true), "d/v1 4\n");
}

static void test_stage_publish(void **state)
{
    (void)state;
    struct mr_slice ticket = stage("p=1/x", "run1", "hello");
    assert_string_equal(list("", false), "");
    void *other = open_again();
    for (int i = 0; i < 3; i++) {
        FIXTURE_OK(&f, store->publish(other, ticket, &f.err));
        FIXTURE_OK(&f, store->sync(other, &f.err));
    }
    store->close(other);
    assert_string_equal(list("", true), "p=1/x 5\n");
    assert_string_equal(content("p=1/x"), "hello");
    FIXTURE_OK(&f, store->discard(handle, ticket, &f.err)); /* nothing is staged any more */
    assert_string_equal(list("", true), "p=1/x 5\n");
}

static void test_publish_never_replaces(void **state)
{
    (void)state;
    put("x", "theirs");
    struct mr_slice ticket = stage("x", "run1", "ours");
    assert_int_equal(store->publish(handle, ticket, &f.err), MR_SINK);
    assert_int_equal(f.err.cls, MR_CLASS_FATAL);
    assert_string_equal(content("x"), "theirs");
    FIXTURE_OK(&f, store->discard(handle, ticket, &f.err));
    /* The same bytes under the same name are a repeat. */
    ticket = stage("x", "run1", "theirs");
    FIXTURE_OK(&f, store->publish(handle, ticket, &f.err));
    assert_string_equal(list("", true), "x 6\n");
}

static void test_discard(void **state)
{
    (void)state;
    put("keep", "k");
    struct mr_slice ticket = stage("p=1/x", "run1", "hello");
    for (int i = 0; i < 2; i++)
        FIXTURE_OK(&f, store->discard(handle, ticket, &f.err));
    assert_string_equal(list("", true), "keep 1\n");
    assert_int_equal(store->publish(handle, ticket, &f.err), MR_SINK);

    void *unfinished;
    FIXTURE_OK(&f, store->stage_open(handle, "p=2/y", "run1", &unfinished, &f.err));
    FIXTURE_OK(&f, store->stage_append(unfinished, "abc", 3, &f.err));
    store->stage_close(unfinished);
    assert_string_equal(list("", true), "keep 1\n");
}

static void test_discard_tag(void **state)
{
    (void)state;
    struct mr_slice other = stage("p=1/x", "run2", "two");
    stage("p=1/x", "run1", "one");
    stage("p=2/y", "run1", "one");
    void *dead;
    FIXTURE_OK(&f, store->stage_open(handle, "p=3/z", "run1", &dead, &f.err));
    FIXTURE_OK(&f, store->discard_tag(handle, "", "run1", NULL, &f.err));
    store->stage_close(dead);
    FIXTURE_OK(&f, store->publish(handle, other, &f.err));
    assert_string_equal(list("", true), "p=1/x 3\n");
}

static bool is_staged(struct mr_slice ticket)
{
    bool whole = false;
    void *again = open_again();
    FIXTURE_OK(&f, store->is_staged(again, ticket, &whole, &f.err));
    store->close(again);
    return whole;
}

/* What another run goes on with survives, and is known to be whole. */
static void test_kept(void **state)
{
    (void)state;
    struct mr_map kept;
    struct mr_slice keep = stage("p=1/x-run1", "run1", "one");
    struct mr_slice also = stage("p=2/x-run1", "run1", "two");
    struct mr_slice lost = stage("p=1/y", "run1", "three");
    FIXTURE_OK(&f, store->sync(handle, &f.err));
    assert_true(is_staged(keep) && is_staged(also) && is_staged(lost));
    mr_map_init(&kept, false);
    FIXTURE_OK(&f, mr_map_put(&kept, mr_slice_of("x-run1"), &kept, &f.err));
    for (int i = 0; i < 2; i++)
        FIXTURE_OK(&f, store->discard_tag(handle, "", "run1", &kept, &f.err));
    FIXTURE_OK(&f, store->sync(handle, &f.err));
    mr_map_reset(&kept);
    assert_true(is_staged(keep) && is_staged(also));
    assert_false(is_staged(lost));
    FIXTURE_OK(&f, store->publish(handle, keep, &f.err));
    FIXTURE_OK(&f, store->sync(handle, &f.err));
    assert_false(is_staged(keep));
    FIXTURE_OK(&f, store->discard(handle, also, &f.err));
    FIXTURE_OK(&f, store->sync(handle, &f.err));
    assert_false(is_staged(also));
    assert_string_equal(list("", true), "p=1/x-run1 3\n");
}

/* A dead run's object under the same name and tag is no obstacle, and no harm to what it had published. */
static void test_restage(void **state)
{
    (void)state;
    void *dead;
    void *before = open_again();
    FIXTURE_OK(&f, store->stage_open(before, "x", "run1", &dead, &f.err));
    FIXTURE_OK(&f, store->stage_append(dead, "half of it", 10, &f.err));
    struct mr_slice ticket = stage("x", "run1", "all");
    FIXTURE_OK(&f, store->publish(handle, ticket, &f.err));
    assert_string_equal(content("x"), "all");
    store->stage_close(dead);
    store->close(before);
    assert_string_equal(list("", true), "x 3\n");
}

static void test_many_stages(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    void *stages[COUNT];
    char path[32], text[16], last[64];
    struct mr_bytes ticket;
    mr_bytes_init(&ticket, 1 << 16);
    for (int i = 0; i < COUNT; i++) {
        snprintf(path, sizeof path, "p=%d/f", i);
        FIXTURE_OK(&f, store->stage_open(handle, path, "t", &stages[i], &f.err));
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            int size = snprintf(text, sizeof text, "%d-%d;", round, i);
            FIXTURE_OK(&f, store->stage_append(stages[i], text, (size_t)size, &f.err));
        }
    }
    for (int i = 0; i < COUNT; i++) {
        mr_bytes_clear(&ticket);
        FIXTURE_OK(&f, store->stage_finish(stages[i], &ticket, &f.err));
        store->stage_close(stages[i]);
        FIXTURE_OK(&f, store->publish(handle, (struct mr_slice){ticket.data, ticket.size}, &f.err));
    }
    FIXTURE_OK(&f, store->sync(handle, &f.err));
    mr_bytes_reset(&ticket);
    snprintf(last, sizeof last, "0-%d;1-%d;2-%d;", COUNT - 1, COUNT - 1, COUNT - 1);
    assert_string_equal(content("p=199/f"), last);
}

static void test_damaged_ticket(void **state)
{
    (void)state;
    struct mr_slice ticket = stage("x", "run1", "abc");
    for (size_t size = 0; size < ticket.size; size++) {
        struct mr_slice cut = {ticket.data, size};
        assert_int_equal(store->publish(handle, cut, &f.err), MR_SINK);
        assert_int_equal(f.err.cls, MR_CLASS_FATAL);
    }
    FIXTURE_OK(&f, store->discard(handle, ticket, &f.err));
}

static void test_remove(void **state)
{
    (void)state;
    put("p=1/q=2/x", "1");
    put("p=1/y", "2");
    for (int i = 0; i < 2; i++)
        FIXTURE_OK(&f, store->remove(handle, "p=1/q=2/x", &f.err));
    FIXTURE_OK(&f, store->sync(handle, &f.err));
    assert_string_equal(list("", true), "p=1/y 1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_objects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ranges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_if_absent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stage_publish, setup, teardown),
        cmocka_unit_test_setup_teardown(test_publish_never_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_discard, setup, teardown),
        cmocka_unit_test_setup_teardown(test_discard_tag, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_stages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_ticket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
    };
    static const char *const usual[] = {NULL};
    static const char *const uploads[] = {
        "multipartThreshold", "0", "multipartSize", "5M", "checksum", "crc32c", NULL};
    static const char *const disk[] = {"multipartThreshold", "0", "uploadBuffer", "disk", NULL};
    static const char *const *const settings[] = {usual, uploads, disk};
    int failed = 0;
    endpoint = getenv("MILLRACE_TEST_S3");
    for (int i = 0; contract_registry()->stores[i]; i++) {
        store = contract_registry()->stores[i];
        if ((strcmp(store->scheme, "file") == 0) == (endpoint != NULL))
            continue;
        for (int j = 0; j < (endpoint ? 3 : 1); j++) {
            given = settings[j];
            printf("# store %s %s\n", store->name, given[0] ? given[0] : "");
            failed += cmocka_run_group_tests(tests, NULL, NULL);
        }
    }
    return failed;
}
