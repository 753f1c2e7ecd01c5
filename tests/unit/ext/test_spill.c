/*
 * Rows that go into a spill come out again, in order, whatever was written to the file in between: over every
 * sample type and encoding, with limits from nothing to everything.
 */
#include "../col/sample.h"
#include "base/hash.h"
#include "base/thread.h"
#include "codec/codecs.h"
#include "col/kernel.h"
#include "ext/codec.h"
#include "ext/registry.h"
#include "ext/spill.h"
#include "ext/spill_log.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS       500
#define BATCHES    7
#define PARTITIONS 5

struct fixture {
    struct mr_arena arena;
    struct mr_memory memory;
    struct mr_counters counters;
    struct mr_runtime runtime;
    struct mr_registry registry;
    char directory[64];
    const struct mr_schema *schema;
    struct mr_batch *batches[BATCHES];
};

static const struct mr_codec *const codecs[] = {&mr_codec_lz4, NULL};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    mr_arena_init(&f->arena, NULL);
    mr_memory_init(&f->memory, NULL, "test", INT64_MAX);
    snprintf(f->directory, sizeof f->directory, "/tmp/spill-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->registry.codecs = codecs;
    f->runtime = (struct mr_runtime){.memory = &f->memory,
                                     .counters = &f->counters,
                                     .registry = &f->registry,
                                     .temp_dir = f->directory};
    struct mr_field *fields = mr_arena_calloc(&f->arena, (size_t)sample_ntypes, sizeof *fields);
    struct mr_error err;
    for (int i = 0; i < sample_ntypes; i++) {
        fields[i].name = sample_types[i];
        fields[i].nullable = true;
        assert_int_equal(mr_type_parse(&f->arena, sample_types[i], &fields[i].type, &err), MR_OK);
    }
    f->schema = mr_schema_new(&f->arena, fields, sample_ntypes);
    for (int b = 0; b < BATCHES; b++) {
        struct mr_column *columns[64];
        for (int i = 0; i < sample_ntypes; i++)
            columns[i] =
                b % 3 == 1 && fields[i].type->id != MR_TYPE_NULL
                    ? sample_dictionary(&f->memory, fields[i].type, ROWS, b < 3 ? 20 : 900, 6)
                    : sample_column(&f->memory, fields[i].type, ROWS, ROWS, b % 2 ? 4 : 0);
        assert_int_equal(mr_batch_new(f->schema, ROWS, columns, &f->batches[b], &err), MR_OK);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (int b = 0; b < BATCHES; b++)
        mr_batch_unref(f->batches[b]);
    int64_t left = mr_memory_used(&f->memory);
    assert_int_equal(rmdir(f->directory), 0); /* nothing may be left in it */
    mr_arena_reset(&f->arena);
    free(f);
    return left != 0;
}

static uint32_t partition_of(int batch, int row)
{
    return (uint32_t)(mr_hash_mix((uint64_t)batch * ROWS + (uint64_t)row) % (PARTITIONS - 1));
}

/* Row `row` of batch `batch` is the next one that partition p must give. */
static bool next_of(int p, int *batch, int *row, bool odd_only)
{
    for (; *batch < BATCHES; (*batch)++, *row = 0)
        for (; *row < ROWS; (*row)++)
            if (!(odd_only && *row % 2 == 0) && partition_of(*batch, *row) == (uint32_t)p)
                return true;
    return false;
}

static void check_partition(struct fixture *f, const struct mr_spill *spill, int p, bool odd_only)
{
    struct mr_error err;
    int batch = 0, row = 0;
    int64_t rows = 0;
    for (int c = 0; c < mr_spill_chunks(spill, p); c++) {
        struct mr_batch *out;
        if (mr_spill_chunk(spill, &f->runtime, p, c, &out, &err) != MR_OK)
            fail_msg("%s", err.message);
        assert_int_equal(out->rows, mr_spill_chunk_rows(spill, p, c));
        for (int i = 0; i < f->schema->nfields; i++)
            if (mr_column_check(out->columns[i], &err) != MR_OK)
                fail_msg("%s: %s", sample_types[i], err.message);
        for (int64_t r = 0; r < out->rows; r++, row++) {
            assert_true(next_of(p, &batch, &row, odd_only));
            for (int i = 0; i < f->schema->nfields; i++)
                assert_true(
                    mr_column_equal_rows(out->columns[i], r, f->batches[batch]->columns[i], row));
        }
        rows += out->rows;
        mr_batch_unref(out);
    }
    assert_false(next_of(p, &batch, &row, odd_only));
    assert_int_equal(rows, mr_spill_rows(spill, p));
}

static void scatter(struct fixture *f, struct mr_spill *spill, int from, int to, bool odd_only)
{
    struct mr_error err;
    int32_t rows[ROWS];
    uint32_t partitions[ROWS];
    for (int b = from; b < to; b++) {
        int64_t count = 0;
        for (int r = 0; r < ROWS; r++) {
            if (odd_only && r % 2 == 0)
                continue;
            partitions[count] = partition_of(b, r);
            rows[count++] = r;
        }
        if (mr_spill_scatter(spill, f->batches[b], odd_only ? rows : NULL, partitions, count,
                             &err) != MR_OK)
            fail_msg("%s", err.message);
    }
    assert_int_equal(mr_spill_flush(spill, &err), MR_OK);
}

static void scattered_rows_keep_their_order(void **state)
{
    struct fixture *f = *state;
    static const int64_t limits[] = {0, 100000, 1000000, INT64_MAX};
    for (int l = 0; l < 4; l++)
        for (int odd = 0; odd < 2; odd++) {
            struct mr_error err;
            struct mr_spill *spill;
            assert_int_equal(mr_spill_new(&f->runtime, f->schema, PARTITIONS, limits[l], &spill,
                                          &err),
                             MR_OK);
            scatter(f, spill, 0, BATCHES, odd);
            assert_true(mr_spill_resident(spill) <= limits[l]);
            for (int p = 0; p < PARTITIONS; p++)
                for (int again = 0; again < 2; again++)
                    check_partition(f, spill, p, odd);
            assert_int_equal(mr_spill_chunks(spill, PARTITIONS - 1), 0);
            bool wrote = atomic_load(&f->counters.value[MR_COUNT_SPILL_BYTES]) > 0;
            assert_true(wrote || limits[l] == INT64_MAX || l > 0);
            mr_spill_free(spill);
        }
}

static void absorbed_chunks_follow(void **state)
{
    struct fixture *f = *state;
    struct mr_error err;
    struct mr_spill *a, *b;
    assert_int_equal(mr_spill_new(&f->runtime, f->schema, PARTITIONS, 50000, &a, &err), MR_OK);
    assert_int_equal(mr_spill_new(&f->runtime, f->schema, PARTITIONS, INT64_MAX, &b, &err), MR_OK);
    scatter(f, a, 0, 3, false);
    scatter(f, b, 3, BATCHES, false);
    assert_int_equal(mr_spill_absorb(a, b, &err), MR_OK);
    mr_spill_free(b);
    for (int p = 0; p < PARTITIONS; p++)
        check_partition(f, a, p, false);
    int64_t before = mr_spill_resident(a);
    assert_int_equal(mr_spill_limit(a, before / 3, &err), MR_OK);
    assert_true(mr_spill_resident(a) <= before / 3);
    for (int p = 0; p < PARTITIONS; p++)
        check_partition(f, a, p, false);
    assert_int_equal(mr_spill_write(a, -1, &err), MR_OK);
    assert_int_equal(mr_spill_resident(a), 0);
    for (int p = 0; p < PARTITIONS; p++)
        check_partition(f, a, p, false);
    mr_spill_free(a);
}

static void whole_batches_are_kept_as_they_are(void **state)
{
    struct fixture *f = *state;
    struct mr_error err;
    for (int write = 0; write < 2; write++) {
        struct mr_spill *spill;
        assert_int_equal(mr_spill_new(&f->runtime, f->schema, 1, INT64_MAX, &spill, &err), MR_OK);
        for (int b = 0; b < BATCHES; b++)
            assert_int_equal(mr_spill_add(spill, 0, f->batches[b], &err), MR_OK);
        if (write)
            assert_int_equal(mr_spill_write(spill, 0, &err), MR_OK);
        for (int b = 0; b < BATCHES; b++) {
            struct mr_batch *out;
            struct mr_content_hash want = {0}, got = {0};
            assert_int_equal(mr_spill_chunk(spill, &f->runtime, 0, b, &out, &err), MR_OK);
            assert_int_equal(mr_batch_content_hash(f->batches[b], &want, &err), MR_OK);
            assert_int_equal(mr_batch_content_hash(out, &got, &err), MR_OK);
            assert_memory_equal(&want, &got, sizeof want);
            mr_batch_unref(out);
        }
        mr_spill_free(spill);
    }
}

/* A budget that only takes a part of the rows: they go to the file instead of failing. */
static void a_full_budget_writes(void **state)
{
    struct fixture *f = *state;
    struct mr_error err;
    struct mr_memory tight;
    mr_memory_init(&tight, NULL, "tight", 3 * mr_batch_bytes(f->batches[0]));
    struct mr_runtime runtime = f->runtime;
    runtime.memory = &tight;
    struct mr_spill *spill;
    assert_int_equal(mr_spill_new(&runtime, f->schema, PARTITIONS, INT64_MAX, &spill, &err), MR_OK);
    scatter(f, spill, 0, BATCHES, false);
    for (int p = 0; p < PARTITIONS; p++)
        check_partition(f, spill, p, false);
    mr_spill_free(spill);
    assert_int_equal(mr_memory_used(&tight), 0);
}

static void a_directory_that_is_not_there_is_named(void **state)
{
    struct fixture *f = *state;
    struct mr_error err;
    struct mr_runtime runtime = f->runtime;
    runtime.temp_dir = "/nowhere/at/all";
    struct mr_spill *spill;
    assert_int_equal(mr_spill_new(&runtime, f->schema, 1, 0, &spill, &err), MR_OK);
    assert_int_equal(mr_spill_add(spill, 0, f->batches[0], &err), MR_SOURCE);
    assert_non_null(strstr(err.message, "/nowhere/at/all"));
    assert_non_null(strstr(err.hint, "resources.tempDir"));
    mr_spill_free(spill);
}

struct dropping {
    struct mr_spill *spill;
    int first;
};

static void drop_some(void *argument)
{
    const struct dropping *dropping = argument;
    for (int p = dropping->first; p < PARTITIONS; p += 2)
        mr_spill_drop(dropping->spill, p);
}

/* As an aggregate of a stream does where its partitions are settled. */
static void partitions_are_dropped_by_threads(void **state)
{
    struct fixture *f = *state;
    struct mr_error err;
    struct mr_thread threads[2] = {{0}};
    struct mr_spill *spill;
    assert_int_equal(mr_spill_new(&f->runtime, f->schema, PARTITIONS, INT64_MAX, &spill, &err),
                     MR_OK);
    scatter(f, spill, 0, BATCHES, false);
    struct dropping droppings[2] = {{spill, 0}, {spill, 1}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(mr_thread_start(&threads[i], "drop", drop_some, &droppings[i], &err),
                         MR_OK);
    for (int i = 0; i < 2; i++)
        mr_thread_join(&threads[i]);
    assert_int_equal(mr_spill_resident(spill), 0);
    mr_spill_free(spill);
}

/* Files in a directory that this process has open. */
static int count_open(const char *directory)
{
    char name[64], target[256];
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        count += strncmp(target, directory, strlen(directory)) == 0;
    }
    return count;
}

/* Bytes that they take on the disk. */
static int64_t bytes_open(const char *directory)
{
    char name[64], target[256];
    struct stat info;
    int64_t bytes = 0;
    for (int fd = 0; fd < 1024; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strncmp(target, directory, strlen(directory)) == 0 && fstat(fd, &info) == 0)
            bytes += (int64_t)info.st_blocks * 512;
    }
    return bytes;
}

/* A log begins files anew, and one goes with the last batch in it. */
static void files_of_a_log_go_one_by_one(void **state)
{
    enum { MOST = 20000 };
    struct fixture *f = *state;
    struct mr_error err;
    struct mr_spill_log *log;
    struct mr_spilled *spilled = calloc(MOST, sizeof *spilled);
    int64_t bytes = 0;
    int n = 0;
    assert_int_equal(mr_spill_log_new(&f->runtime, &log, &err), MR_OK);
    for (; n < MOST && bytes < 36 << 20; bytes += spilled[n++].extent.stored)
        assert_int_equal(mr_spill_log_put(log, &f->runtime, f->batches[n % BATCHES], &spilled[n],
                                          &err),
                         MR_OK);
    assert_int_equal(atomic_load(&f->counters.value[MR_COUNT_SPILL_BYTES]), bytes);
    assert_int_equal(count_open(f->directory), 3);
    for (int i = 0; i < n; i += i < n - 100 ? 97 : 1) {
        struct mr_batch *batch;
        assert_int_equal(mr_spilled_read(&spilled[i], &f->runtime, f->schema, &batch, &err), MR_OK);
        assert_int_equal(batch->rows, f->batches[i % BATCHES]->rows);
        for (int c = 0; c < f->schema->nfields; c++)
            for (int64_t r = 0; r < batch->rows; r += 7)
                assert_true(mr_column_equal_rows(batch->columns[c], r,
                                                 f->batches[i % BATCHES]->columns[c], r));
        mr_batch_unref(batch);
    }
    for (int i = 0; i < n / 2; i++)
        mr_spilled_drop(log, &spilled[i]);
    assert_int_equal(count_open(f->directory), 2);
    for (int i = 0; i < n; i++)
        mr_spilled_drop(log, &spilled[i]);
    assert_int_equal(count_open(f->directory), 1);
    mr_spill_log_free(log);
    assert_int_equal(count_open(f->directory), 0);
    free(spilled);
}

/* A batch that stays does not hold the room of those that were behind each other with it. */
static void batches_of_a_log_give_their_room_back(void **state)
{
    enum { COUNT = 400 };
    struct fixture *f = *state;
    struct mr_error err;
    struct mr_spill_log *log;
    struct mr_batch *batch;
    struct mr_spilled spilled[COUNT];
    int64_t bytes = 0, left = 0;
    assert_int_equal(mr_spill_log_new(&f->runtime, &log, &err), MR_OK);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(mr_spill_log_put(log, &f->runtime, f->batches[i % BATCHES], &spilled[i],
                                          &err),
                         MR_OK);
        bytes += spilled[i].extent.stored;
    }
    bool holes = bytes_open(f->directory) >= bytes;
    for (int i = 0; i < COUNT; i++) {
        if (i % 40 != 7)
            mr_spilled_drop(log, &spilled[i]);
        else
            left += spilled[i].extent.stored + 8192;
    }
    if (holes)
        assert_in_range(bytes_open(f->directory), 0, left);
    for (int i = 7; i < COUNT; i += 40) {
        assert_int_equal(mr_spilled_read(&spilled[i], &f->runtime, f->schema, &batch, &err), MR_OK);
        assert_int_equal(batch->rows, f->batches[i % BATCHES]->rows);
        mr_batch_unref(batch);
        mr_spilled_drop(log, &spilled[i]);
    }
    mr_spill_log_free(log);
}

/* A byte of a file in the directory, through a descriptor that this process has. */
static void change_byte(const char *directory, int64_t at)
{
    char name[64], target[256];
    for (int fd = 0; fd < 1024; fd++) {
        uint8_t byte;
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strncmp(target, directory, strlen(directory)) != 0)
            continue;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x40;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
}

/* A disk that gives back something else is noticed, wherever that is. */
static void a_disk_that_lies_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct mr_error err = {0};
    struct mr_spill_log *log;
    struct mr_batch *batch;
    struct mr_spilled spilled;
    assert_int_equal(mr_spill_log_new(&f->runtime, &log, &err), MR_OK);
    assert_int_equal(mr_spill_log_put(log, &f->runtime, f->batches[0], &spilled, &err), MR_OK);
    int64_t step = spilled.extent.stored / 50 + 1;
    for (int64_t at = 0; at < spilled.extent.stored; at += step) {
        change_byte(f->directory, spilled.extent.offset + at);
        assert_int_equal(mr_spilled_read(&spilled, &f->runtime, f->schema, &batch, &err),
                         MR_SOURCE);
        assert_non_null(strstr(err.message, "does not hold what was written to it"));
        change_byte(f->directory, spilled.extent.offset + at);
    }
    assert_int_equal(mr_spilled_read(&spilled, &f->runtime, f->schema, &batch, &err), MR_OK);
    mr_batch_unref(batch);
    mr_spilled_drop(log, &spilled);
    mr_spill_log_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scattered_rows_keep_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(absorbed_chunks_follow, setup, teardown),
        cmocka_unit_test_setup_teardown(whole_batches_are_kept_as_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_budget_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_that_is_not_there_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(partitions_are_dropped_by_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(files_of_a_log_go_one_by_one, setup, teardown),
        cmocka_unit_test_setup_teardown(batches_of_a_log_give_their_room_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_lies_is_noticed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
