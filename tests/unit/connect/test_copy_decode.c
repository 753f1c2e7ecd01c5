/*
 * test_copy_decode.c - the binary form of numeric, and batches from COPY messages.
 */
#include "connect/postgres/copy_decode.h"
#include "connect/postgres/numeric.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct wire {
    uint8_t data[64];
    uint32_t size;
};

static void put16(struct wire *wire, unsigned value)
{
    wire->data[wire->size++] = (uint8_t)(value >> 8);
    wire->data[wire->size++] = (uint8_t)value;
}

/* numeric_send of value / 10^scale, by the definition of the format. */
static struct wire make_numeric(mr_int128 value, int scale)
{
    unsigned digits[16];
    int count = 0;
    bool negative = value < 0;
    if (negative)
        value = -value;
    int pad = (4 - scale % 4) % 4;
    value *= mr_decimal_pow10(pad);
    int weight = -(scale + pad) / 4 - 1;
    for (; value > 0; value /= 10000, weight++)
        digits[count++] = (unsigned)(value % 10000);
    int low = 0;
    while (low < count && digits[low] == 0)
        low++;
    struct wire wire = {.size = 0};
    put16(&wire, (unsigned)(count - low));
    put16(&wire, (unsigned)(count > low ? weight : 0));
    put16(&wire, negative ? 0x4000 : 0);
    put16(&wire, (unsigned)scale);
    for (int i = count - 1; i >= low; i--)
        put16(&wire, digits[i]);
    return wire;
}

static void check_number(int64_t value, int precision, int scale)
{
    struct wire wire = make_numeric(value, scale);
    char expected[MR_DECIMAL_TEXT_MAX];
    mr_decimal_format(value, scale, expected);
    struct mr_bytes text;
    mr_bytes_init(&text, 1000);
    assert_int_equal(mr_numeric_to_text(wire.data, wire.size, &text), MR_NUMERIC_OK);
    assert_string_equal(text.data, expected);
    mr_bytes_reset(&text);
    mr_int128 wide = 0;
    assert_int_equal(mr_numeric_to_decimal(wire.data, wire.size, precision, scale, &wide),
                     MR_NUMERIC_OK);
    assert_true(wide == value);
    if (precision > MR_DECIMAL64_PRECISION)
        return;
    int64_t narrow = 0;
    assert_int_equal(mr_numeric_to_decimal64(wire.data, wire.size, precision, scale, &narrow),
                     MR_NUMERIC_OK);
    assert_true(narrow == value);
}

static void test_numbers(void **state)
{
    (void)state;
    for (int precision = 1; precision <= 18; precision++) {
        int64_t limit = (int64_t)mr_decimal_pow10(precision);
        for (int scale = 0; scale <= precision; scale++) {
            for (int64_t power = 1; power < limit; power *= 10) {
                for (int64_t factor = 1; factor <= 9; factor += 4) {
                    check_number(power * factor, precision, scale);
                    check_number(-(power * factor), precision, scale);
                    check_number(power * factor / 3, precision, scale);
                }
            }
            check_number(limit - 1, precision, scale);
            check_number(1 - limit, precision, scale);
            check_number(0, precision, scale);
        }
    }
    /* Every straddling digit: the division by multiplication. */
    for (int64_t value = 0; value < 10000; value++)
        for (int scale = 0; scale <= 4; scale++)
            check_number(value, 18, scale);
}

static void test_refused_numbers(void **state)
{
    (void)state;
    mr_int128 wide = 0;
    int64_t narrow = 0;
    struct wire wire = make_numeric(12345, 2); /* 123.45 */
    assert_int_equal(mr_numeric_to_decimal64(wire.data, wire.size, 18, 1, &narrow),
                     MR_NUMERIC_LOSS);
    assert_int_equal(mr_numeric_to_decimal64(wire.data, wire.size, 4, 2, &narrow),
                     MR_NUMERIC_RANGE);
    assert_int_equal(mr_numeric_to_decimal(wire.data, wire.size, 38, 36, &wide), MR_NUMERIC_RANGE);
    assert_int_equal(mr_numeric_to_decimal(wire.data, wire.size - 1, 38, 2, &wide),
                     MR_NUMERIC_MALFORMED);
    static const uint8_t nan[8] = {0, 0, 0, 0, 0xC0, 0, 0, 0};
    assert_int_equal(mr_numeric_to_decimal64(nan, 8, 18, 2, &narrow), MR_NUMERIC_SPECIAL);
    static const uint8_t huge[10] = {0, 1, 0x7F, 0xFF, 0, 0, 0, 0, 0, 1};
    assert_int_equal(mr_numeric_to_decimal(huge, 10, 38, 0, &wide), MR_NUMERIC_RANGE);
    static const uint8_t digit[10] = {0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10};
    assert_int_equal(mr_numeric_to_decimal64(digit, 10, 18, 0, &narrow), MR_NUMERIC_MALFORMED);
}

static const uint8_t stream_header[19] = "PGCOPY\n\377\r\n";

static void test_stream(void **state)
{
    (void)state;
    struct mr_memory memory;
    mr_memory_init(&memory, NULL, "test", INT64_MAX);
    struct mr_error err;
    struct mr_copy_field fields[2] = {
        {.name = "id", .kind = MR_COPY_INT4, .type = mr_type_of(MR_TYPE_INT32)},
        {.name = "s", .kind = MR_COPY_TEXT, .type = mr_type_of(MR_TYPE_STRING)},
    };
    struct mr_field columns[2] = {{"id", fields[0].type, true, NULL},
                                  {"s", fields[1].type, true, NULL}};
    struct mr_schema schema = {2, columns};
    static const uint8_t first[] = {0, 2, 0, 0, 0, 4, 0, 0, 0, 42, 0xFF, 0xFF, 0xFF, 0xFF};
    static const uint8_t second[] = {0,    2,    0, 0, 0, 4, 0xFF, 0xFF,
                                     0xFF, 0xFE, 0, 0, 0, 2, 'h',  'i'};
    static const uint8_t trailer[] = {0xFF, 0xFF};
    struct mr_copy_decoder decoder;
    assert_int_equal(mr_copy_decoder_init(&decoder, &memory, fields, 2, "table t", &err), MR_OK);
    /* Room for one row: the batch grows. Header, tuple and tuple may share a message. */
    assert_int_equal(mr_copy_decoder_begin(&decoder, 1, &err), MR_OK);
    assert_int_equal(mr_copy_decoder_message(&decoder, stream_header, 19, &err), MR_OK);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(mr_copy_decoder_message(&decoder, first, sizeof first, &err), MR_OK);
        assert_int_equal(mr_copy_decoder_message(&decoder, second, sizeof second, &err), MR_OK);
    }
    assert_int_equal(mr_copy_decoder_message(&decoder, trailer, 2, &err), MR_OK);
    assert_true(decoder.done);
    struct mr_batch *batch;
    assert_int_equal(mr_copy_decoder_finish(&decoder, &schema, &batch, &err), MR_OK);
    assert_int_equal(batch->rows, 600);
    assert_int_equal(batch->columns[1]->nulls, 300);
    for (int i = 0; i < 2; i++)
        assert_int_equal(mr_column_check(batch->columns[i], &err), MR_OK);
    struct mr_value value;
    mr_column_get(batch->columns[0], 599, &value);
    assert_int_equal(value.u.i64, -2);
    mr_column_get(batch->columns[1], 599, &value);
    assert_memory_equal(value.u.bytes.data, "hi", 2);
    assert_true(mr_column_is_null(batch->columns[1], 0));
    mr_batch_unref(batch);
    /* A row with another number of columns. */
    assert_int_equal(mr_copy_decoder_begin(&decoder, 10, &err), MR_OK);
    decoder.done = false;
    static const uint8_t third[] = {0, 1, 0, 0, 0, 4, 0, 0, 0, 42};
    assert_int_equal(mr_copy_decoder_message(&decoder, third, sizeof third, &err), MR_SOURCE);
    assert_non_null(strstr(err.message, "1 columns where 2"));
    mr_copy_decoder_reset(&decoder);
    assert_int_equal(mr_memory_used(&memory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_refused_numbers),
        cmocka_unit_test(test_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
