/*
 * Decimals against expected values from Python, and numbers to and from text.
 */
#include "base/decimal.h"
#include "base/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct decimal_case {
    char op; /* '*', '/', or 'r' = rescale of a from a_scale to b_scale */
    const char *a;
    int a_scale;
    const char *b;
    int b_scale;
    int scale;
    const char *result;
};
#include "decimal_cases.h"

static mr_int128 whole(const char *text)
{
    mr_int128 value;
    assert_true(mr_decimal_parse(text, strlen(text), 38, 0, &value));
    return value;
}

static void test_arithmetic(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof decimal_cases / sizeof decimal_cases[0]; i++) {
        const struct decimal_case *c = &decimal_cases[i];
        mr_int128 a = whole(c->a), b = whole(c->b), out;
        bool ok = c->op == '*'   ? mr_decimal_multiply(a, c->a_scale, b, c->b_scale, c->scale, &out)
                  : c->op == '/' ? mr_decimal_divide(a, c->a_scale, b, c->b_scale, c->scale, &out)
                                 : mr_decimal_rescale(a, c->a_scale, c->b_scale, &out);
        assert_int_equal(ok, c->result != NULL);
        if (!ok)
            continue;
        char text[MR_DECIMAL_TEXT_MAX];
        mr_decimal_format(out, 0, text);
        assert_string_equal(text, c->result);
    }
    mr_int128 out;
    assert_false(mr_decimal_divide(1, 0, 0, 0, 0, &out));
}

static void test_decimal_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int precision, scale;
        const char *result; /* NULL = refused */
    } cases[] = {
        {"12.345", 10, 2, "12.35"},
        {"-12.345", 10, 2, "-12.35"},
        {" +1e3 ", 10, 0, "1000"},
        {"1.5e-3", 10, 3, "0.002"},
        {"0.00049", 10, 3, "0.000"},
        {"-0.0005", 10, 3, "-0.001"},
        {"999.995", 5, 2, NULL},
        {"99999", 5, 0, "99999"},
        {"100000", 5, 0, NULL},
        {"", 5, 0, NULL},
        {".", 5, 0, NULL},
        {"1.", 5, 1, "1.0"},
        {".5", 5, 1, "0.5"},
        {"1e", 5, 1, NULL},
        {"1 2", 5, 1, NULL},
        {"1e99999999999", 5, 1, NULL},
        {"0e99999999999", 5, 1, "0.0"},
        {"abc", 5, 1, NULL},
        {"1e-99999999999", 5, 1, "0.0"},
        {"99999999999999999999999999999999999999", 38, 0, "99999999999999999999999999999999999999"},
        {"755532348306442", 38, 25, NULL},
        {"-0.1", 38, 38, "-0.10000000000000000000000000000000000000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mr_int128 value;
        bool ok = mr_decimal_parse(cases[i].text, strlen(cases[i].text), cases[i].precision,
                                   cases[i].scale, &value);
        assert_int_equal(ok, cases[i].result != NULL);
        if (!ok)
            continue;
        char text[MR_DECIMAL_TEXT_MAX];
        int length = mr_decimal_format(value, cases[i].scale, text);
        assert_string_equal(text, cases[i].result);
        assert_int_equal(length, strlen(text));
    }
    mr_int128 value;
    assert_true(mr_decimal_from_double(0.1 + 0.2, 38, 20, &value));
    assert_true(mr_decimal_to_double(value, 20) == 0.1 + 0.2);
    assert_false(mr_decimal_from_double(NAN, 38, 0, &value));
    assert_true(mr_decimal_fits(999, 3) && !mr_decimal_fits(-1000, 3));
}

static void test_doubles_to_text(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *java, *json;
    } cases[] = {
        {1, "1.0", "1"},
        {-0.0, "-0.0", "-0"},
        {0.1, "0.1", "0.1"},
        {100, "100.0", "100"},
        {1234567.5, "1234567.5", "1234567.5"},
        {1e7, "1.0E7", "10000000"},
        {1e10, "1.0E10", "10000000000"},
        {0.001, "0.001", "0.001"},
        {0.00012, "1.2E-4", "0.00012"},
        {1e20, "1.0E20", "1e+20"},
        {1e-7, "1.0E-7", "1e-07"},
        {123456789012345680.0, "1.2345678901234568E17", "1.2345678901234568e+17"},
        {2.0 / 3, "0.6666666666666666", "0.6666666666666666"},
        {5e-324, "4.9E-324", "4.9e-324"},
        {1.7976931348623157e308, "1.7976931348623157E308", "1.7976931348623157e+308"},
        {NAN, "NaN", "NaN"},
        {-INFINITY, "-Infinity", "-Infinity"},
    };
    char text[MR_DOUBLE_TEXT_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(mr_double_to_text(cases[i].value, text), strlen(cases[i].java));
        assert_string_equal(text, cases[i].java);
        assert_int_equal(mr_double_to_json(cases[i].value, text), strlen(cases[i].json));
        assert_string_equal(text, cases[i].json);
    }
    mr_float_to_text(0.1f, text);
    assert_string_equal(text, "0.1");
    mr_float_to_text(16777216.0f, text);
    assert_string_equal(text, "1.6777216E7");
    mr_float_to_text(3.4028235e38f, text);
    assert_string_equal(text, "3.4028235E38");
    /* A power of two: the neighbour below is only half as far, and eight digits do that are not the nearest eight. */
    mr_float_to_text(0x1p-96f, text);
    assert_string_equal(text, "1.2621775E-29");
    mr_float_to_text(1.4e-45f, text);
    assert_string_equal(text, "1.4E-45");
}

/* Random bit patterns go through text and come back; strtod is the judge of reading. */
static void test_doubles_round_trip(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (int i = 0; i < 20000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        double value, back;
        uint64_t bits = seed ^ (seed >> 29);
        if (i % 2)
            value = (double)(int64_t)(bits >> 30) / 10000;
        else
            memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        char text[MR_DOUBLE_TEXT_MAX];
        mr_double_to_text(value, text);
        assert_true(strtod(text, NULL) == value);
        assert_true(mr_text_to_double(mr_slice_of(text), false, &back));
        assert_true(back == value);
        mr_double_to_json(value, text);
        assert_true(mr_text_to_double(mr_slice_of(text), false, &back) && back == value);
    }
}

static void test_text_to_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "+", "1x", "0x10", "1e", "e5", ".", "--1", "1 ", "nanx"};
    double d;
    int64_t n;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(mr_text_to_double(mr_slice_of(bad[i]), false, &d));
        assert_false(mr_text_to_int64(mr_slice_of(bad[i]), false, &n));
    }
    assert_true(mr_text_to_double(mr_slice_of(" 1.5 "), true, &d) && d == 1.5);
    assert_true(mr_text_to_double(mr_slice_of("-Infinity"), false, &d) && d == -INFINITY);
    /* Halfway between two doubles, decided by a digit far behind. */
    char half[1100] = "9007199254740993.";
    memset(half + 17, '0', 1000);
    half[1017] = '\0';
    assert_true(mr_text_to_double(mr_slice_of(half), false, &d) && d == 9007199254740992.0);
    half[1016] = '1';
    assert_true(mr_text_to_double(mr_slice_of(half), false, &d) && d == 9007199254740994.0);
    assert_true(mr_text_to_int64(mr_slice_of("-9223372036854775808"), false, &n) && n == INT64_MIN);
    assert_true(mr_text_to_int64(mr_slice_of("9223372036854775807"), false, &n) && n == INT64_MAX);
    assert_false(mr_text_to_int64(mr_slice_of("9223372036854775808"), false, &n));
    assert_false(mr_text_to_int64(mr_slice_of("99999999999999999999999"), false, &n));
    assert_true(mr_text_to_int64(mr_slice_of("\t+0000000000000000000000042\n"), true, &n) &&
                n == 42);
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82",
        "\x80",     "\xFF",         "\xE0\x80\x80",     "\xF0\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[32] = "abcdefgh\xC3\xA4";
        strcat(text, bad[i]);
        assert_int_equal(mr_utf8_valid_prefix(text, strlen(text)), 10);
    }
    for (uint32_t c = 0; c < 0x110000; c += c < 0x900 ? 1 : 97) {
        char text[4];
        uint32_t back;
        if (c >= 0xD800 && c < 0xE000)
            continue;
        int n = mr_utf8_encode(c, text);
        assert_int_equal(mr_utf8_decode(text, (size_t)n, &back), n);
        assert_int_equal(back, c);
    }
    assert_int_equal(mr_utf8_length("a\xC3\xA4\xF0\x9F\x98\x80", 7), 3);
    assert_true(mr_text_equal_nocase("AbC", "aBc"));
    assert_false(mr_text_equal_nocase("AbC", "aBcd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arithmetic),      cmocka_unit_test(test_decimal_text),
        cmocka_unit_test(test_doubles_to_text), cmocka_unit_test(test_doubles_round_trip),
        cmocka_unit_test(test_text_to_numbers), cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}
