/*
 * Errors, memory accounts, arenas, buffers, bitmaps, bytes, maps, hashes, threads, logs.
 */
#include "base/arena.h"
#include "base/bitmap.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/time.h"
#include "base/wait.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static void test_error_texts(void **state)
{
    (void)state;
    struct mr_error err;
    assert_int_equal(mr_error_config(&err, "no column %s", "x"), MR_CONFIG);
    assert_int_equal(err.cls, MR_CLASS_CONFIG);
    mr_error_hint(&err, "did you mean %d", 5);
    mr_error_where(&err, "a.json:%d", 3);
    mr_error_prefix(&err, "step %d", 2);
    assert_string_equal(err.message, "step 2: no column x");
    assert_string_equal(err.hint, "did you mean 5");
    assert_string_equal(err.where, "a.json:3");

    /* Cut texts stay UTF-8: 2-byte letters, so that the cut falls inside one. */
    char text[3000];
    for (int shift = 0; shift < 2; shift++) {
        memset(text, 'x', 1);
        for (int i = shift; i + 2 < 3000; i += 2)
            memcpy(text + i, "\xC3\xA4", 2);
        text[2990 + shift] = '\0';
        mr_error_config(&err, "%s", text);
        size_t length = strlen(err.message);
        assert_true(length < sizeof err.message && length > sizeof err.message - 8);
        assert_int_equal(mr_utf8_valid_prefix(err.message, length), length);
        assert_string_equal(err.message + length - 3, "...");
    }
    assert_int_equal(mr_error_errno(&err, MR_SINK, ENOSPC, "write %s", "f"), MR_SINK);
    assert_string_equal(err.message, "write f: No space left on device");
    assert_int_equal(mr_error_errno(&err, MR_SOURCE, EAGAIN, "read"), MR_SOURCE);
    assert_int_equal(err.cls, MR_CLASS_TRANSIENT);
    assert_int_equal(mr_error_nomem(NULL), MR_NOMEM);
    assert_int_equal(mr_status_exit_code(MR_LIMIT), 8);
    assert_int_equal(mr_status_exit_code(MR_CANCELLED), 130);
}

static void test_memory_tree(void **state)
{
    (void)state;
    struct mr_memory root, child;
    struct mr_error err;
    mr_memory_init(&root, NULL, "run", 1000);
    mr_memory_init(&child, &root, "step 1", 600);
    assert_int_equal(mr_memory_charge(&child, 500, &err), MR_OK);
    assert_int_equal(mr_memory_available(&child), 100);
    assert_int_equal(mr_memory_charge(&child, 101, &err), MR_LIMIT);
    assert_non_null(strstr(err.message, "step 1"));
    assert_int_equal(mr_memory_charge(&root, 450, &err), MR_OK);
    assert_int_equal(mr_memory_charge(&child, 80, &err), MR_LIMIT); /* the root refuses */
    assert_non_null(strstr(err.message, "run"));
    assert_int_equal(mr_memory_used(&child), 500); /* nothing of it stays */
    mr_memory_credit(&child, 500);
    assert_int_equal(mr_memory_used(&root), 450);
    assert_int_equal(mr_memory_peak(&root), 950);
    assert_int_equal(mr_memory_charge(NULL, INT64_MAX, &err), MR_OK);
}

static void test_arena(void **state)
{
    (void)state;
    struct mr_memory memory;
    struct mr_arena arena;
    mr_memory_init(&memory, NULL, "t", 1 << 20);
    mr_arena_init(&arena, &memory);
    char *first = mr_arena_strdup(&arena, "hello");
    char *large = mr_arena_alloc(&arena, 100000);
    char *next = mr_arena_printf(&arena, "%d-%s", 42, "x");
    assert_non_null(large);
    memset(large, 1, 100000);
    assert_string_equal(first, "hello");
    assert_string_equal(next, "42-x");
    assert_true(next - first < 64); /* the current block goes on behind a large one */
    assert_int_equal((uintptr_t)next % 16, 0);
    assert_null(mr_arena_alloc(&arena, 2 << 20));
    assert_null(mr_arena_calloc(&arena, SIZE_MAX / 2, 4));
    for (int i = 0; i < 1000; i++)
        assert_non_null(mr_arena_alloc(&arena, 100));
    mr_arena_reset(&arena);
    assert_int_equal(mr_memory_used(&memory), 0);
}

static int released;
static void on_release(void *owner)
{
    released += *(int *)owner;
}

static void test_buffer(void **state)
{
    (void)state;
    struct mr_memory memory;
    struct mr_error err;
    struct mr_buffer *buffer;
    mr_memory_init(&memory, NULL, "t", 100000);
    assert_int_equal(mr_buffer_new(&memory, 10, &buffer, &err), MR_OK);
    assert_int_equal(buffer->capacity, 64);
    memset(buffer->data, 7, 64);
    assert_int_equal(mr_buffer_reserve(buffer, 20000, &err), MR_OK);
    assert_int_equal((uintptr_t)buffer->data % 64, 0);
    assert_int_equal(buffer->data[63], 7);
    assert_int_equal(mr_memory_used(&memory), (int64_t)buffer->capacity);
    assert_int_equal(mr_buffer_reserve(buffer, 200000, &err), MR_LIMIT);
    mr_buffer_finish(buffer, 65);
    assert_int_equal(buffer->capacity, 128);
    for (int i = 65; i < 128; i++)
        assert_int_equal(buffer->data[i], 0);
    mr_buffer_ref(buffer);
    mr_buffer_unref(buffer);
    mr_buffer_unref(buffer);
    assert_int_equal(mr_memory_used(&memory), 0);
    int one = 1;
    assert_int_equal(mr_buffer_wrap("abc", 3, on_release, &one, &buffer, &err), MR_OK);
    mr_buffer_unref(buffer);
    assert_int_equal(released, 1);
    assert_int_equal(mr_buffer_wrap("abc", 3, NULL, NULL, &buffer, &err), MR_OK);
    mr_buffer_unref(buffer);
}

static void test_bitmap(void **state)
{
    (void)state;
    uint8_t bits[40], copy[40], other[40];
    for (int i = 0; i < 40; i++)
        bits[i] = (uint8_t)(i * 37 + 11);
    for (int from = 0; from < 20; from++)
        for (int to = 0; to < 12; to++)
            for (int count = 0; count < 200; count += 13) {
                memset(copy, 0xA5, sizeof copy);
                mr_bitmap_copy(copy, to, bits, from, count);
                for (int i = 0; i < count; i++)
                    assert_int_equal(mr_bitmap_get(copy, to + i), mr_bitmap_get(bits, from + i));
                for (int i = 0; i < to; i++)
                    assert_int_equal(mr_bitmap_get(copy, i), (0xA5 >> (i & 7)) & 1);
                assert_int_equal(mr_bitmap_get(copy, to + count), (0xA5 >> ((to + count) & 7)) & 1);
            }
    int64_t expected = 0;
    for (int i = 0; i < 301; i++)
        expected += mr_bitmap_get(bits, i);
    assert_int_equal(mr_bitmap_count(bits, 301), expected);
    assert_int_equal(mr_bitmap_count(NULL, 301), 301);
    memset(other, 0, sizeof other);
    mr_bitmap_fill(other, 3, 77, true);
    for (int i = 0; i < 100; i++)
        assert_int_equal(mr_bitmap_get(other, i), i >= 3 && i < 77);
    mr_bitmap_fill(other, 10, 12, false);
    assert_int_equal(mr_bitmap_count(other, 100), 72);
    mr_bitmap_and(copy, bits, other, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(mr_bitmap_get(copy, i), mr_bitmap_get(bits, i) && mr_bitmap_get(other, i));
}

static void test_bytes(void **state)
{
    (void)state;
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, 1000);
    mr_bytes_printf(&bytes, "%s-%d", "a", 5);
    mr_bytes_char(&bytes, '!');
    assert_string_equal(bytes.data, "a-5!");
    mr_bytes_clear(&bytes);
    static const char odd[] = "q\"\\\n\x01\xC3\xA4\xFFz";
    mr_bytes_json_string(&bytes, odd, sizeof odd - 1);
    assert_string_equal(bytes.data, "\"q\\\"\\\\\\n\\u0001\xC3\xA4\xEF\xBF\xBDz\"");
    mr_bytes_clear(&bytes);
    mr_bytes_u8(&bytes, 200);
    mr_bytes_u32le(&bytes, 0x01020304);
    mr_bytes_u64le(&bytes, UINT64_MAX - 1);
    const uint64_t numbers[] = {0, 127, 128, 300, UINT64_MAX};
    for (int i = 0; i < 5; i++)
        mr_bytes_varint(&bytes, numbers[i]);
    mr_bytes_lenpref(&bytes, "xyz", 3);
    assert_int_equal(bytes.data[1], 4);
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, bytes.data, bytes.size);
    assert_int_equal(mr_byte_reader_u8(&reader), 200);
    assert_int_equal(mr_byte_reader_u32le(&reader), 0x01020304);
    assert_true(mr_byte_reader_u64le(&reader) == UINT64_MAX - 1);
    for (int i = 0; i < 5; i++)
        assert_true(mr_byte_reader_varint(&reader) == numbers[i]);
    assert_true(mr_slice_equal(mr_byte_reader_lenpref(&reader), mr_slice_of("xyz")));
    assert_false(reader.bad);
    assert_int_equal(mr_byte_reader_u32le(&reader), 0);
    assert_true(reader.bad);
    /* A length that reaches behind the end, and a varint of eleven bytes. */
    mr_byte_reader_init(&reader, "\x05zz", 3);
    assert_int_equal(mr_byte_reader_lenpref(&reader).size, 0);
    assert_true(reader.bad);
    mr_byte_reader_init(&reader, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11);
    mr_byte_reader_varint(&reader);
    assert_true(reader.bad);

    mr_bytes_clear(&bytes);
    for (int i = 0; i < 1001; i++)
        mr_bytes_char(&bytes, 'x');
    struct mr_error err;
    assert_int_equal(mr_bytes_status(&bytes, &err), MR_LIMIT);
    assert_int_equal(bytes.size, 1000);
    mr_bytes_clear(&bytes);
    size_t size;
    mr_bytes_text(&bytes, "keep");
    char *moved = mr_bytes_move(&bytes, &size);
    assert_string_equal(moved, "keep");
    assert_int_equal(size, 4);
    mr_free(moved);
    moved = mr_bytes_move(&bytes, &size);
    assert_string_equal(moved, "");
    mr_free(moved);

    mr_bytes_quoted(&bytes, "a`b", '`');
    mr_bytes_quoted(&bytes, "a`b\"", '"');
    assert_string_equal(bytes.data, "`a``b`\"a`b\"\"\"");
    mr_bytes_reset(&bytes);
}

static void test_bytes_in_arenas(void **state)
{
    (void)state;
    struct mr_error err;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, 8);
    assert_string_equal(mr_bytes_to_arena(&bytes, &arena), "");
    mr_bytes_lenpref_text(&bytes, "abc");
    mr_bytes_lenpref_text(&bytes, NULL);
    mr_bytes_char(&bytes, 9);
    struct mr_slice record;
    assert_int_equal(mr_bytes_settle(&bytes, &arena, &record, &err), MR_OK);
    assert_int_equal(record.size, 6);
    assert_null(bytes.data);
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, record.data, record.size);
    assert_string_equal(mr_byte_reader_lenpref_text(&reader, &arena), "abc");
    assert_string_equal(mr_byte_reader_lenpref_text(&reader, &arena), "");
    assert_false(reader.bad);
    assert_string_equal(mr_byte_reader_lenpref_text(&reader, &arena), "");
    assert_true(reader.bad);
    /* What did not fit is nothing, not a part. */
    mr_bytes_text(&bytes, "12345678");
    mr_bytes_char(&bytes, '9');
    assert_int_equal(mr_bytes_settle(&bytes, &arena, &record, &err), MR_LIMIT);
    assert_int_equal(bytes.size, 0);
    mr_bytes_text(&bytes, "123456789");
    assert_null(mr_bytes_to_arena(&bytes, &arena));
    mr_arena_reset(&arena);
}

static void test_sealed(void **state)
{
    (void)state;
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, 1000);
    mr_bytes_text(&bytes, "before");
    size_t start = bytes.size;
    mr_bytes_text(&bytes, "MRX1");
    mr_bytes_lenpref(&bytes, "123456789", 9);
    mr_bytes_seal(&bytes, start);
    struct mr_slice sealed = {bytes.data + start, bytes.size - start};
    assert_int_equal(sealed.size, 4 + 10 + 4);
    struct mr_byte_reader reader;
    assert_true(mr_byte_reader_unseal(&reader, sealed));
    assert_false(mr_byte_reader_expect(&reader, "MRX2", 4));
    assert_true(mr_byte_reader_expect(&reader, "MRX1", 4));
    assert_false(mr_byte_reader_done(&reader));
    assert_true(mr_slice_equal(mr_byte_reader_lenpref(&reader), mr_slice_of("123456789")));
    assert_true(mr_byte_reader_done(&reader));
    assert_false(mr_byte_reader_expect(&reader, "x", 1));

    for (size_t bit = 0; bit < 8 * sealed.size; bit++) {
        bytes.data[start + bit / 8] ^= (char)(1 << bit % 8);
        assert_false(mr_byte_reader_unseal(&reader, sealed));
        assert_false(mr_byte_reader_expect(&reader, "MRX1", 4));
        assert_false(mr_byte_reader_done(&reader));
        bytes.data[start + bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t size = 0; size < sealed.size; size++)
        assert_false(mr_byte_reader_unseal(&reader, (struct mr_slice){sealed.data, size}));
    assert_false(mr_byte_reader_unseal(&reader, (struct mr_slice){NULL, 0}));

    /* The bytes on disk: little-endian, the CRC-32 of zlib. */
    mr_bytes_clear(&bytes);
    mr_bytes_text(&bytes, "123456789");
    mr_bytes_seal(&bytes, 0);
    assert_memory_equal(bytes.data, "123456789\x26\x39\xF4\xCB", 13);
    mr_bytes_reset(&bytes);
    /* What did not fit is not sealed. */
    mr_bytes_init(&bytes, 3);
    mr_bytes_text(&bytes, "four");
    mr_bytes_seal(&bytes, 0);
    assert_int_equal(mr_bytes_status(&bytes, NULL), MR_LIMIT);
    mr_bytes_reset(&bytes);
}

static void test_map(void **state)
{
    (void)state;
    struct mr_map map;
    struct mr_error err;
    char key[32];
    static int values[5000];
    mr_map_init(&map, true);
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "Key-%d", i);
        assert_int_equal(mr_map_put(&map, mr_slice_of(key), &values[i], &err), MR_OK);
    }
    assert_int_equal(map.count, 5000);
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "kEY-%d", i);
        assert_ptr_equal(mr_map_get(&map, mr_slice_of(key)), &values[i]);
    }
    assert_int_equal(mr_map_put(&map, mr_slice_of("KEY-7"), &values[0], &err), MR_OK);
    assert_ptr_equal(mr_map_get(&map, mr_slice_of("key-7")), &values[0]);
    assert_string_equal(map.entries[7].key, "Key-7");
    assert_null(mr_map_get(&map, mr_slice_of("other")));
    mr_map_reset(&map);
    mr_map_init(&map, false);
    assert_null(mr_map_get(&map, mr_slice_of("a")));
    mr_map_put(&map, mr_slice_of("a"), &values[1], &err);
    assert_null(mr_map_get(&map, mr_slice_of("A")));
    mr_map_reset(&map);

    static const char *const names[] = {"inputFile", "outputPath", "partitionColumn", "id"};
    assert_string_equal(mr_nearest_name("inputfil", names, 4), "inputFile");
    assert_string_equal(mr_nearest_name("partitionColmun", names, 4), "partitionColumn");
    assert_string_equal(mr_nearest_name("Id", names, 4), "id");
    assert_null(mr_nearest_name("compression", names, 4));
}

static void test_hash(void **state)
{
    (void)state;
    /* Test vectors of XXH3 and of CRC-32; both are written to disk and must never change. */
    assert_true(mr_hash64("", 0) == UINT64_C(0x2D06800538D394C2));
    assert_int_equal(mr_crc32(0, "123456789", 9), 0xCBF43926);
    assert_int_equal(mr_crc32(mr_crc32(0, "1234", 4), "56789", 5), 0xCBF43926);
    assert_true(mr_hash_combine(1, 2) != mr_hash_combine(2, 1));
}

static void bump(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_thread(void **state)
{
    (void)state;
    struct mr_thread threads[4];
    struct mr_error err;
    atomic_int count = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(mr_thread_start(&threads[i], "worker", bump, &count, &err), MR_OK);
    for (int i = 0; i < 4; i++)
        mr_thread_join(&threads[i]);
    assert_int_equal(atomic_load(&count), 4);
    mr_thread_join(&threads[0]); /* a second time is nothing */
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    mr_mutex_init(&mutex);
    mr_cond_init(&cond);
    pthread_mutex_lock(&mutex);
    assert_false(mr_cond_wait(&cond, &mutex, mr_clock_monotonic_micros() - 1));
    pthread_mutex_unlock(&mutex);
    pthread_cond_destroy(&cond);
    pthread_mutex_destroy(&mutex);
}

static void test_wait(void **state)
{
    (void)state;
    struct mr_waiter waiter = mr_waiter_plain();
    struct mr_error err;
    bool timed_out;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(mr_wait(&waiter, fds[0], MR_WAIT_READ, mr_clock_monotonic_micros() - 1,
                             MR_WAIT_SOURCE, &timed_out, &err),
                     MR_OK);
    assert_true(timed_out);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(mr_wait(&waiter, fds[0], MR_WAIT_READ, INT64_MAX, MR_WAIT_SOURCE, &timed_out,
                             &err),
                     MR_OK);
    assert_false(timed_out);
    close(fds[0]);
    close(fds[1]);
}

static void test_log(void **state)
{
    (void)state;
    struct mr_log_record record = {.level = MR_LOG_WARN,
                                   .wall_micros = INT64_C(1700000000123456),
                                   .logger = "run",
                                   .message = "a \"b\"",
                                   .step = "2 filterRows"};
    struct mr_bytes out;
    mr_bytes_init(&out, 1000);
    mr_log_format_text(&record, &out);
    assert_string_equal(out.data, "22:13:20.123 WARN  run: [2 filterRows] a \"b\"");
    mr_bytes_clear(&out);
    mr_log_format_json(&record, &out);
    assert_string_equal(out.data, "{\"@timestamp\":\"2023-11-14T22:13:20.123Z\",\"level\":\"WARN\","
                                  "\"logger_name\":\"run\",\"message\":\"a \\\"b\\\"\","
                                  "\"step\":\"2 filterRows\"}");
    mr_bytes_reset(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_texts), cmocka_unit_test(test_memory_tree),
        cmocka_unit_test(test_arena),       cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_bitmap),      cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_sealed),      cmocka_unit_test(test_bytes_in_arenas),
        cmocka_unit_test(test_map),         cmocka_unit_test(test_hash),
        cmocka_unit_test(test_thread),      cmocka_unit_test(test_wait),
        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
