/*
 * Every codec: round trips of many sizes and kinds of data, all levels, and refusal of damaged or wrongly sized blocks.
 */
#include "codec/codecs.h"

#include "base/bytes.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct mr_codec *const codecs[] = {&mr_codec_none, &mr_codec_snappy, &mr_codec_zstd,
                                                &mr_codec_gzip, &mr_codec_lz4};
#define NCODECS (sizeof codecs / sizeof *codecs)

/* kind 0: zeros, 1: text that repeats, 2: noise. */
static void fill(uint8_t *data, size_t size, int kind)
{
    for (size_t i = 0; i < size; i++)
        data[i] = kind == 0   ? 0
                  : kind == 1 ? (uint8_t) "the quick brown fox "[i % 20]
                              : (uint8_t)mr_hash_mix(i + 1);
}

static void round_trip(const struct mr_codec *codec, const uint8_t *data, size_t size, int level,
                       void **scratch)
{
    struct mr_error err;
    size_t bound = codec->bound(size), packed_size = 0;
    uint8_t *packed = mr_alloc(bound + 1), *out = mr_alloc(size + 1);
    assert_int_equal(codec->compress(data, size, level, packed, bound, &packed_size, scratch, &err),
                     MR_OK);
    assert_true(packed_size <= bound);
    assert_int_equal(codec->decompress(packed, packed_size, out, size, &err), MR_OK);
    assert_true(size == 0 || memcmp(data, out, size) == 0);
    /* Another size than the true one is an error, and so is a block cut short. */
    assert_int_not_equal(codec->decompress(packed, packed_size, out, size + 1, &err), MR_OK);
    if (size > 0) {
        assert_int_not_equal(codec->decompress(packed, packed_size, out, size - 1, &err), MR_OK);
        assert_int_not_equal(codec->decompress(packed, packed_size / 2, out, size, &err), MR_OK);
    }
    mr_free(packed);
    mr_free(out);
}

static void test_round_trips(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 15, 16, 17, 1000, 65535, 65536, 65537, 300000};
    uint8_t *data = mr_alloc(300000);
    for (size_t c = 0; c < NCODECS; c++) {
        void *scratch = NULL;
        for (int kind = 0; kind < 3; kind++) {
            fill(data, 300000, kind);
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
                round_trip(codecs[c], data, sizes[s], INT_MIN, &scratch);
                round_trip(codecs[c], data, sizes[s], INT_MIN, NULL);
            }
        }
        if (scratch != NULL)
            codecs[c]->free_scratch(scratch);
    }
    mr_free(data);
}

static void test_levels(void **state)
{
    (void)state;
    uint8_t data[5000];
    fill(data, sizeof data, 1);
    for (size_t c = 0; c < NCODECS; c++) {
        void *scratch = NULL;
        for (int level = codecs[c]->min_level; level <= codecs[c]->max_level; level++)
            round_trip(codecs[c], data, sizeof data, level, &scratch);
        if (scratch != NULL)
            codecs[c]->free_scratch(scratch);
    }
}

static void test_gzip_members(void **state)
{
    (void)state;
    struct mr_error err;
    uint8_t packed[256], out[8];
    size_t first = 0, second = 0;
    assert_int_equal(mr_codec_gzip.compress("abc", 3, 6, packed, 128, &first, NULL, &err), MR_OK);
    assert_int_equal(mr_codec_gzip.compress("defgh", 5, 6, packed + first, 128, &second, NULL,
                                            &err),
                     MR_OK);
    assert_int_equal(mr_codec_gzip.decompress(packed, first + second, out, 8, &err), MR_OK);
    assert_memory_equal(out, "abcdefgh", 8);
}

static void test_noise_is_refused(void **state)
{
    (void)state;
    struct mr_error err;
    uint8_t noise[512], out[1024];
    for (size_t c = 1; c < NCODECS; c++) {
        for (int round = 0; round < 200; round++) {
            for (size_t i = 0; i < sizeof noise; i++)
                noise[i] = (uint8_t)mr_hash_mix(i * 1000 + (size_t)round);
            /* It may happen to decode; it must not touch other memory. */
            (void)codecs[c]->decompress(noise, sizeof noise, out, sizeof out, &err);
        }
    }
}

/* Runs a whole file through a stream in pieces of the given sizes. */
static enum mr_status run_stream(const struct mr_codec *codec, const uint8_t *in, size_t size,
                                 size_t in_piece, size_t out_piece, struct mr_bytes *out)
{
    struct mr_error err;
    struct mr_memory memory;
    mr_memory_init(&memory, NULL, "test", INT64_MAX);
    void *stream = NULL;
    assert_int_equal(codec->stream_open(&memory, &stream, &err), MR_OK);
    /* The input is copied, so that a byte read behind it is seen by the sanitizer. */
    char *copy = mr_alloc(size);
    memcpy(copy, in, size);
    struct mr_codec_flow flow = {.in = copy};
    size_t given = 0;
    enum mr_status status = MR_OK;
    for (;;) {
        char *to = mr_bytes_reserve(out, out_piece);
        flow.out = to;
        flow.out_size = out_piece;
        flow.last = given == size;
        size_t left = flow.in_size;
        status = codec->stream_step(stream, &flow, &err);
        if (status != MR_OK)
            break;
        out->size += (size_t)(flow.out - to);
        if (flow.out != to || flow.in_size != left)
            continue;
        if (given == size)
            break;
        size_t more = size - given < in_piece ? size - given : in_piece;
        flow.in_size += more;
        given += more;
    }
    if (status == MR_OK)
        assert_int_equal(flow.in_size, 0);
    codec->stream_close(stream);
    mr_free(copy);
    assert_int_equal(mr_memory_used(&memory), 0);
    return status;
}

/* Two members or frames of 100,000 bytes of text and one of 10. */
static size_t pack_file(const struct mr_codec *codec, const uint8_t *data, uint8_t *out,
                        size_t capacity)
{
    static const size_t sizes[] = {100000, 100000, 10};
    struct mr_error err;
    size_t total = 0;
    for (int i = 0; i < 3; i++) {
        size_t packed = 0;
        assert_int_equal(codec->compress(data, sizes[i], INT_MIN, out + total, capacity - total,
                                         &packed, NULL, &err),
                         MR_OK);
        total += packed;
    }
    return total;
}

static void test_streams(void **state)
{
    (void)state;
    static const struct mr_codec *const streams[] = {&mr_codec_gzip, &mr_codec_zstd};
    static const size_t pieces[] = {1, 7, 1000, 300000};
    uint8_t *data = mr_alloc(100000), *packed = mr_alloc(400000);
    fill(data, 100000, 1);
    for (int c = 0; c < 2; c++) {
        size_t size = pack_file(streams[c], data, packed, 400000);
        for (int i = 0; i < 16; i++) {
            struct mr_bytes out;
            mr_bytes_init(&out, MR_BYTES_DEFAULT_MAXIMUM);
            assert_int_equal(run_stream(streams[c], packed, size, pieces[i % 4], pieces[i / 4],
                                        &out),
                             MR_OK);
            assert_int_equal(out.size, 200010);
            assert_memory_equal(out.data + 100000, data, 100000);
            mr_bytes_reset(&out);
        }
        int whole = 0;
        for (size_t cut = 0; cut < size; cut++) { /* only the ends of members are ends */
            struct mr_bytes out;
            mr_bytes_init(&out, MR_BYTES_DEFAULT_MAXIMUM);
            whole += run_stream(streams[c], packed, cut, 100, 300000, &out) == MR_OK;
            mr_bytes_reset(&out);
        }
        assert_int_equal(whole, 3);
        for (size_t bit = 0; bit < size * 8; bit += 3) { /* no crash */
            struct mr_bytes out;
            mr_bytes_init(&out, MR_BYTES_DEFAULT_MAXIMUM);
            packed[bit / 8] ^= (uint8_t)(1 << (bit % 8));
            run_stream(streams[c], packed, size, bit % 2 ? 50 : 300000, 300000, &out);
            packed[bit / 8] ^= (uint8_t)(1 << (bit % 8));
            mr_bytes_reset(&out);
        }
    }
    mr_free(data);
    mr_free(packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),      cmocka_unit_test(test_streams),
        cmocka_unit_test(test_levels),           cmocka_unit_test(test_gzip_members),
        cmocka_unit_test(test_noise_is_refused),
    };
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
