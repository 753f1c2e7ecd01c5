/*
 * The parts of the Parquet writer that have no file: the RLE hybrid, Thrift, dictionaries, bounds.
 */
#include "base/hash.h"
#include "format/parquet/bounds.h"
#include "format/parquet/dict.h"
#include "format/parquet/rle.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- RLE hybrid: decoded by the text of the specification ---- */

static uint32_t read_bits(const uint8_t *data, size_t bit, int width)
{
    uint32_t value = 0;
    for (int i = 0; i < width; i++, bit++)
        value |= (uint32_t)((data[bit / 8] >> (bit % 8)) & 1) << i;
    return value;
}

static void decode(const uint8_t *data, size_t size, int width, uint32_t *out, size_t count)
{
    size_t at = 0, n = 0;
    while (n < count) {
        uint64_t header = 0;
        for (int shift = 0;; shift += 7) {
            assert_true(at < size);
            header |= (uint64_t)(data[at] & 127) << shift;
            if (data[at++] < 128)
                break;
        }
        if (header & 1) {
            size_t values = (size_t)(header >> 1) * 8;
            for (size_t i = 0; i < values && n < count; i++)
                out[n++] = read_bits(data + at, i * (size_t)width, width);
            at += values * (size_t)width / 8;
        } else {
            uint32_t value = read_bits(data + at, 0, width);
            at += (size_t)(width + 7) / 8;
            for (uint64_t i = 0; i < header >> 1; i++) {
                assert_true(n < count);
                out[n++] = value;
            }
        }
    }
    assert_int_equal(at, size);
}

static void test_rle(void **state)
{
    (void)state;
    enum { N = 3000 };
    uint32_t values[N], back[N];
    for (int width = 1; width <= 32; width++) {
        uint64_t mask = width == 32 ? UINT32_MAX : (UINT64_C(1) << width) - 1;
        for (uint64_t seed = 0; seed < 40; seed++) {
            size_t n = seed < 20 ? (size_t)seed : N - (size_t)seed;
            for (size_t i = 0; i < n; i++) /* runs of varied length, longer with the seed */
                values[i] = (uint32_t)(mr_hash_mix(i / (1 + seed % 13) + seed * 7919) & mask);
            size_t bound = mr_rle_bound(n, width);
            uint8_t *out = mr_alloc(bound);
            size_t size = mr_rle_encode(values, n, width, out);
            assert_true(size + 16 <= bound);
            decode(out, size, width, back, n);
            assert_true(n == 0 || memcmp(values, back, n * sizeof *values) == 0);
            mr_free(out);
        }
    }
}

static void test_rle_bytes(void **state)
{
    (void)state;
    uint8_t out[128];
    uint32_t run[8] = {5, 5, 5, 5, 5, 5, 5, 5}, ramp[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    assert_int_equal(mr_rle_encode(run, 8, 3, out), 2);
    assert_memory_equal(out, "\x10\x05", 2);
    assert_int_equal(mr_rle_encode(ramp, 8, 3, out), 4);
    assert_memory_equal(out, "\x03\x88\xc6\xfa", 4);
    uint8_t bools[11] = {1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1};
    mr_rle_pack_bools(bools, 11, out);
    assert_memory_equal(out, "\x8d\x06", 2);
}

static void test_rle_long_runs(void **state)
{
    (void)state;
    enum { N = 200000 };
    uint32_t *values = mr_calloc(N, sizeof *values), *back = mr_calloc(N, sizeof *back);
    uint8_t *out = mr_alloc(mr_rle_bound(N, 9));
    for (size_t i = 0; i < N; i++) /* literal stretches over 8191 groups, then one long run */
        values[i] = i < 150000 ? (uint32_t)(i * 7 % 512) : 3;
    size_t size = mr_rle_encode(values, N, 9, out);
    decode(out, size, 9, back, N);
    assert_memory_equal(values, back, N * sizeof *values);
    mr_free(values);
    mr_free(back);
    mr_free(out);
}

/* ---- Thrift ---- */

static void test_thrift(void **state)
{
    (void)state;
    struct mr_bytes out;
    struct mr_thrift thrift;
    mr_bytes_init(&out, 1 << 20);
    mr_thrift_init(&thrift, &out);
    mr_thrift_i32(&thrift, 1, 5);
    mr_thrift_binary(&thrift, 3, "ab", 2);
    mr_thrift_begin(&thrift, 4);
    mr_thrift_i64(&thrift, 20, -1);
    mr_thrift_bool(&thrift, 21, false);
    mr_thrift_end(&thrift);
    mr_thrift_list(&thrift, 5, MR_THRIFT_I32, 2);
    mr_thrift_item_int(&thrift, 1);
    mr_thrift_item_int(&thrift, 300);
    mr_thrift_end(&thrift);
    static const uint8_t wanted[] = {0x15, 0x0a, 0x28, 0x02, 'a',  'b',  0x1c, 0x06, 0x28,
                                     0x01, 0x12, 0x00, 0x19, 0x25, 0x02, 0xd8, 0x04, 0x00};
    assert_int_equal(out.size, sizeof wanted);
    assert_memory_equal(out.data, wanted, sizeof wanted);
    mr_bytes_reset(&out);
}

/* ---- dictionaries ---- */

static void test_dict_fixed(void **state)
{
    (void)state;
    enum { N = 20000 };
    static const int widths[] = {4, 8, 16};
    struct mr_error err;
    for (int w = 0; w < 3; w++) {
        struct mr_pq_dict dict;
        size_t width = (size_t)widths[w];
        uint8_t *values = mr_calloc(N, width);
        uint32_t *ids = mr_calloc(N, sizeof *ids);
        for (size_t i = 0; i < N;
             i++) { /* zero is a value like any other; the high bytes differ too */
            uint32_t value = (uint32_t)(mr_hash_mix(i) % 3000);
            memcpy(values + i * width + (i % 2 ? width - 4 : 0), &value, 4);
        }
        mr_pq_dict_init(&dict, NULL, widths[w]);
        assert_int_equal(mr_pq_dict_put_fixed(&dict, values, N / 2, ids, &err), MR_OK);
        assert_int_equal(mr_pq_dict_put_fixed(&dict, values + N / 2 * width, N / 2, ids + N / 2,
                                              &err),
                         MR_OK);
        uint32_t seen = 0;
        for (size_t i = 0; i < N; i++) {
            assert_memory_equal(dict.values->data + ids[i] * width, values + i * width, width);
            assert_true(ids[i] <= seen); /* ids in the order of first appearance */
            seen += ids[i] == seen;
        }
        assert_int_equal(seen, dict.count);
        mr_pq_dict_reset(&dict);
        mr_free(values);
        mr_free(ids);
    }
}

static void test_dict_bytes(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct mr_error err;
    struct mr_pq_dict dict;
    static uint8_t data[N * 24];
    static int32_t offsets[N + 1];
    static uint32_t ids[N];
    for (size_t i = 0; i < N;
         i++) { /* lengths 0..23: both kinds of key; some differ only in length */
        size_t size = mr_hash_mix(i) % 24;
        memset(data + offsets[i], size % 3 == 0 ? 0 : (int)(mr_hash_mix(i * 3) % 5), size);
        offsets[i + 1] = offsets[i] + (int32_t)size;
    }
    mr_pq_dict_init(&dict, NULL, 0);
    assert_int_equal(mr_pq_dict_put_bytes(&dict, data, offsets, offsets + 1, N, ids, &err), MR_OK);
    const uint32_t *starts = (const uint32_t *)(const void *)dict.starts->data;
    for (size_t i = 0; i < N; i++) {
        uint32_t size = (uint32_t)(offsets[i + 1] - offsets[i]);
        const uint8_t *entry = dict.values->data + starts[ids[i]];
        assert_int_equal(starts[ids[i] + 1] - starts[ids[i]], size + 4);
        assert_memory_equal(entry, &size, 4);
        assert_true(size == 0 || memcmp(entry + 4, data + offsets[i], size) == 0);
    }
    assert_true(dict.count <= 24 * 6);
    mr_pq_dict_reset(&dict);
}

/* ---- bounds ---- */

static void test_bounds_numbers(void **state)
{
    (void)state;
    struct mr_pq_bounds bounds;
    struct mr_pq_bound low, high;
    struct mr_pq_leaf leaf = {.order = MR_PQ_ORDER_I64, .value = 8};
    int64_t values[] = {3, INT64_MIN, 7, INT64_MAX, 0};
    mr_pq_bounds_init(&bounds);
    mr_pq_bounds_fixed(&bounds, leaf.order, values, 5);
    mr_pq_bounds_min(&bounds, &leaf, &low);
    mr_pq_bounds_max(&bounds, &leaf, &high);
    assert_memory_equal(low.bytes, &values[1], 8);
    assert_memory_equal(high.bytes, &values[3], 8);
    /* Wide decimals: big-endian two's complement of minimal width. */
    struct mr_pq_leaf wide = {.order = MR_PQ_ORDER_I128, .value = 16, .width = 9};
    mr_int128 decimals[] = {-1, 256, -(((mr_int128)1) << 64)};
    mr_pq_bounds_init(&bounds);
    mr_pq_bounds_fixed(&bounds, wide.order, decimals, 3);
    mr_pq_bounds_min(&bounds, &wide, &low);
    mr_pq_bounds_max(&bounds, &wide, &high);
    assert_int_equal(low.size, 9);
    assert_memory_equal(low.bytes, "\xff\0\0\0\0\0\0\0\0", 9);
    assert_memory_equal(high.bytes, "\0\0\0\0\0\0\0\x01\0", 9);
}

static void check_floats(const double *values, int64_t count, bool any, double min, double max)
{
    struct mr_pq_bounds bounds;
    struct mr_pq_bound low, high;
    struct mr_pq_leaf leaf = {.order = MR_PQ_ORDER_F64, .value = 8};
    mr_pq_bounds_init(&bounds);
    mr_pq_bounds_fixed(&bounds, leaf.order, values, count);
    assert_int_equal(bounds.any, any);
    if (!any)
        return;
    mr_pq_bounds_min(&bounds, &leaf, &low);
    mr_pq_bounds_max(&bounds, &leaf, &high);
    assert_memory_equal(low.bytes, &min, 8); /* bits: the sign of zero counts */
    assert_memory_equal(high.bytes, &max, 8);
}

static void test_bounds_floats(void **state)
{
    (void)state;
    check_floats((double[]){NAN, 1.5, -2.5, NAN}, 4, true, -2.5, 1.5);
    check_floats((double[]){NAN, NAN}, 2, false, 0, 0);
    check_floats((double[]){0.0}, 1, true, -0.0, 0.0);
    check_floats((double[]){-0.0, -0.0}, 2, true, -0.0, 0.0);
    check_floats((double[]){-1, -0.0}, 2, true, -1, 0.0);
    check_floats((double[]){INFINITY, INFINITY}, 2, true, INFINITY, INFINITY);
    check_floats((double[]){-INFINITY, NAN}, 2, true, -INFINITY, -INFINITY);
}

static void add_text(struct mr_pq_bounds *bounds, enum mr_pq_order order, const char *text)
{
    int32_t offsets[2] = {0, (int32_t)strlen(text)};
    mr_pq_bounds_bytes(bounds, order, (const uint8_t *)text, strlen(text), offsets, offsets + 1, 1);
}

/* min NULL: how tight it is depends on the order, not looked at. */
static void check_text(enum mr_pq_order order, const char *const *texts, const char *min,
                       const char *max, bool exact)
{
    struct mr_pq_leaf leaf = {.order = order};
    struct mr_pq_bounds bounds, merged;
    struct mr_pq_bound low, high;
    mr_pq_bounds_init(&bounds);
    mr_pq_bounds_init(&merged);
    for (int i = 0; texts[i]; i++) {
        struct mr_pq_bounds one;
        mr_pq_bounds_init(&one);
        add_text(&bounds, order, texts[i]);
        add_text(&one, order, texts[i]);
        mr_pq_bounds_merge(&merged, order, &one);
    }
    for (int way = 0; way < 2; way++) { /* value by value, and page by page */
        mr_pq_bounds_min(way ? &merged : &bounds, &leaf, &low);
        mr_pq_bounds_max(way ? &merged : &bounds, &leaf, &high);
        if (min != NULL) {
            assert_int_equal(low.size, strlen(min));
            assert_memory_equal(low.bytes, min, strlen(min));
        }
        assert_int_equal(high.usable, max != NULL);
        if (max == NULL)
            continue;
        assert_int_equal(high.size, strlen(max));
        assert_memory_equal(high.bytes, max, strlen(max));
        assert_int_equal(high.exact, exact);
    }
}

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10
#define X64 X60 "xxxx"
#define F8  "\xff\xff\xff\xff\xff\xff\xff\xff"
#define F64 F8 F8 F8 F8 F8 F8 F8 F8
#define M4  "\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf" /* U+10FFFF */

static void test_bounds_text(void **state)
{
    (void)state;
    enum mr_pq_order text = MR_PQ_ORDER_TEXT, binary = MR_PQ_ORDER_BINARY;
    check_text(text, (const char *[]){"b", "", "abc", NULL}, "", "b", true);
    check_text(text, (const char *[]){"same", "sam", "samey", NULL}, "sam", "samey", true);
    check_text(text, (const char *[]){"same-prefix-1", "same-prefix-0", NULL}, "same-prefix-0",
               "same-prefix-1", true);
    check_text(text, (const char *[]){X64, NULL}, X64, X64, true);
    /* Longer than 64 bytes: a prefix below, its successor above. */
    check_text(text, (const char *[]){X64 "y", NULL}, X64, X60 "xxxy", false);
    check_text(text, (const char *[]){X64 "y", X64 "z", X64, NULL}, X64, X60 "xxxy", false);
    /* A cut maximum stays above shorter values that extend the same prefix. */
    check_text(text, (const char *[]){X60 "xx\xe2\x82\xac", X60 "xxzz", NULL}, X60 "xx", X60 "xy",
               false);
    check_text(text, (const char *[]){X60 "xxzz", X60 "xx\xe2\x82\xac", NULL}, NULL, X60 "xy",
               false);
    /* Between code points only; over the surrogates; up to the last code point. */
    check_text(text,
               (const char *[]){X60 "\xed\x9f\xbf"
                                    "abc",
                                NULL},
               X60 "\xed\x9f\xbf"
                   "a",
               X60 "\xed\x9f\xbf"
                   "b",
               false);
    check_text(text, (const char *[]){X60 "x\xed\x9f\xbfzz", NULL}, X60 "x\xed\x9f\xbf",
               X60 "x\xee\x80\x80", false);
    check_text(text,
               (const char *[]){X60 "\xf4\x8f\xbf\xbf"
                                    "a",
                                NULL},
               X60 "\xf4\x8f\xbf\xbf", X10 X10 X10 X10 X10 "xxxxxxxxxy", false);
    check_text(text, (const char *[]){M4 M4 M4 M4 "a", NULL}, M4 M4 M4 M4, NULL, false);
    check_text(binary, (const char *[]){F64 "a", NULL}, F64, NULL, false);
    check_text(binary, (const char *[]){X60 "\xff\xff\xff\xff\xff", NULL}, X60 "\xff\xff\xff\xff",
               X10 X10 X10 X10 X10 "xxxxxxxxxy", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rle),
        cmocka_unit_test(test_rle_bytes),
        cmocka_unit_test(test_rle_long_runs),
        cmocka_unit_test(test_thrift),
        cmocka_unit_test(test_dict_fixed),
        cmocka_unit_test(test_dict_bytes),
        cmocka_unit_test(test_bounds_numbers),
        cmocka_unit_test(test_bounds_floats),
        cmocka_unit_test(test_bounds_text),
    };
    return cmocka_run_group_tests_name("format/parquet", tests, NULL, NULL);
}
