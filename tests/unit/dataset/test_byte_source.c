/*
 * test_byte_source.c - every way of reading gives the bytes of the file; what is read ahead is bounded; changed and cut files are errors.
 * The store counts its requests and pretends to be remote.
 */
#include "contract/fixture.h"
#include "dataset/byte_source.h"
#include "store/local.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE 20000000

static struct fixture f;
static struct mr_store remote;
static void *handle;
static char *content;
static char path[300];
static int requests;
static size_t largest;

static enum mr_status counted(void *object, const char *of, struct mr_store_read *reads, int nreads,
                              struct mr_error *err)
{
    requests++;
    for (int i = 0; i < nreads; i++)
        if (reads[i].size > largest)
            largest = reads[i].size;
    return mr_store_local.read_many(object, of, reads, nreads, err);
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, 0);
    content = malloc(SIZE);
    for (int i = 0; i < SIZE; i++)
        content[i] = (char)((unsigned)i * 2654435761u >> 24);
    snprintf(path, sizeof path, "%s/a", f.directory);
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(content, 1, SIZE, file), SIZE);
    fclose(file);
    remote = mr_store_local;
    remote.scheme = "s3";
    remote.read_many = counted;
    requests = 0;
    largest = 0;
    FIXTURE_OK(&f, mr_store_local.open(f.directory, NULL, &f.runtime, &handle, &f.err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mr_store_local.close(handle);
    free(content);
    return fixture_reset(&f);
}

static struct mr_byte_source *open_source(const struct mr_store *store)
{
    struct mr_object object = {.path = "a", .size = -1, .modified_micros = -1};
    struct mr_byte_source *source;
    FIXTURE_OK(&f, mr_byte_source_open(store, handle, &object, &f.runtime, &source, &f.err));
    assert_int_equal(source->size, SIZE);
    return source;
}

static void read_and_check(struct mr_byte_source *source, int64_t offset, size_t size)
{
    char *out = malloc(size + 1);
    FIXTURE_OK(&f, source->read(source, offset, out, size, &f.err));
    assert_memory_equal(out, content + offset, size);
    free(out);
}

static void test_sequential(void **state)
{
    (void)state;
    struct mr_byte_source *source = open_source(&remote);
    for (int64_t at = 0; at < SIZE; at += 100000)
        read_and_check(source, at, 100000);
    assert_in_range(requests, 3, 12);
    assert_true(largest <= (size_t)3 << 20);
    assert_true(f.counters.value[MR_COUNT_BYTES_READ] == SIZE);
    mr_byte_source_close(source);
    assert_true(mr_memory_peak(&f.memory) <= 9 << 20);
}

static void test_anyhow(void **state)
{
    (void)state;
    const struct mr_store *const stores[] = {&remote, &mr_store_local};
    unsigned seed = 7;
    for (int k = 0; k < 2; k++) {
        struct mr_byte_source *source = open_source(stores[k]);
        int64_t at = 0;
        for (int i = 0; i < 3000; i++) {
            seed = seed * 1103515245u + 12345;
            size_t size = (seed >> 8) % (i % 50 == 0 ? 5000000 : 20000);
            if (seed % 7 == 0 || at + (int64_t)size > SIZE)
                at = (seed >> 4) % (SIZE - 5000000);
            read_and_check(source, at, size);
            at += (int64_t)size;
        }
        char some[3][100];
        struct mr_byte_read reads[] = {{5, 100, some[0]},
                                       {SIZE - 100, 100, some[1]},
                                       {0, 1, some[2]}};
        FIXTURE_OK(&f, source->read_many(source, reads, 3, &f.err));
        assert_memory_equal(some[0], content + 5, 100);
        assert_memory_equal(some[1], content + SIZE - 100, 100);
        mr_byte_source_close(source);
    }
}

static void test_errors(void **state)
{
    (void)state;
    char out[200];
    struct mr_byte_source *source = open_source(&remote);
    assert_int_equal(source->read(source, SIZE - 10, out, 11, &f.err), MR_SOURCE);
    assert_int_equal(source->read(source, -1, out, 1, &f.err), MR_SOURCE);
    assert_int_equal(source->read(source, INT64_MAX, out, 11, &f.err), MR_SOURCE);
    struct mr_byte_read beyond = {SIZE, 1, out};
    assert_int_equal(source->read_many(source, &beyond, 1, &f.err), MR_SOURCE);
    assert_int_equal(truncate(path, SIZE / 2), 0);
    assert_int_equal(source->read(source, SIZE - 10, out, 10, &f.err), MR_SOURCE);
    assert_int_equal(f.err.cls, MR_CLASS_DATA);
    mr_byte_source_close(source);

    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    struct mr_object object = {.path = "a", .size = SIZE / 2};
    object.modified_micros = info.st_mtim.tv_sec * 1000000 + info.st_mtim.tv_nsec / 1000;
    FIXTURE_OK(&f, mr_byte_source_open(&remote, handle, &object, &f.runtime, &source, &f.err));
    mr_byte_source_close(source);
    object.modified_micros += 2000000;
    assert_int_equal(mr_byte_source_open(&remote, handle, &object, &f.runtime, &source, &f.err),
                     MR_SOURCE);
    object = (struct mr_object){.path = "none", .size = -1, .modified_micros = -1};
    assert_int_equal(mr_byte_source_open(&remote, handle, &object, &f.runtime, &source, &f.err),
                     MR_SOURCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sequential, setup, teardown),
        cmocka_unit_test_setup_teardown(test_anyhow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
