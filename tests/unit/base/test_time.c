/*
 * Calendar from the year -9999 to 9999, text forms, durations and sizes, time zones against expected values.
 */
#include "base/time.h"
#include "base/tz.h"
#include "base/tz_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct tz_case {
    const char *zone;
    char what;
    int64_t at;
    int64_t result;
};
#include "tz_cases.h"

static void test_every_day(void **state)
{
    (void)state;
    int64_t year = -9999;
    int month = 1, day = 1;
    int64_t first = mr_days_from_civil(-9999, 1, 1), last = mr_days_from_civil(9999, 12, 31);
    assert_int_equal(mr_days_from_civil(1970, 1, 1), 0);
    assert_int_equal(mr_days_from_civil(2000, 3, 1), 11017);
    for (int64_t days = first; days <= last; days++) {
        int64_t y;
        int m, d;
        mr_civil_from_days(days, &y, &m, &d);
        if (y != year || m != month || d != day || mr_days_from_civil(y, m, d) != days)
            fail_msg("day %lld", (long long)days);
        if (++day > mr_days_in_month(year, month)) {
            day = 1;
            if (++month > 12) {
                month = 1;
                year++;
            }
        }
    }
}

static void test_calendar(void **state)
{
    (void)state;
    int64_t year;
    int week;
    mr_iso_week(mr_days_from_civil(2021, 1, 3), &year, &week);
    assert_int_equal(year, 2020);
    assert_int_equal(week, 53);
    mr_iso_week(mr_days_from_civil(2024, 12, 30), &year, &week);
    assert_int_equal(year, 2025);
    assert_int_equal(week, 1);
    assert_int_equal(mr_iso_weekday(0), 4);
    assert_int_equal(mr_iso_weekday(-4), 7);
    assert_int_equal(mr_days_add_months(mr_days_from_civil(2024, 1, 31), 1),
                     mr_days_from_civil(2024, 2, 29));
    assert_int_equal(mr_days_add_months(mr_days_from_civil(2024, 3, 31), -13),
                     mr_days_from_civil(2023, 2, 28));
    struct mr_civil civil;
    mr_civil_from_micros(-1, &civil);
    assert_int_equal(civil.year, 1969);
    assert_int_equal(civil.micro, 999999);
    assert_int_equal(mr_micros_from_civil(&civil), -1);
}

static void test_formats(void **state)
{
    (void)state;
    char text[MR_TIME_TEXT_MAX];
    mr_date_format(0, text);
    assert_string_equal(text, "1970-01-01");
    mr_date_format(mr_days_from_civil(7, 3, 4), text);
    assert_string_equal(text, "0007-03-04");
    mr_date_format(mr_days_from_civil(-44, 3, 15), text);
    assert_string_equal(text, "-0044-03-15");
    mr_date_format(mr_days_from_civil(12345, 1, 2), text);
    assert_string_equal(text, "+12345-01-02");
    mr_timestamp_format(-1, ' ', text);
    assert_string_equal(text, "1969-12-31 23:59:59.999999");
    mr_timestamp_format(1700000000120000, 'T', text);
    assert_string_equal(text, "2023-11-14T22:13:20.12");
    mr_time_of_day_format(MR_MICROS_PER_DAY - MR_MICROS_PER_SECOND, text);
    assert_string_equal(text, "23:59:59");
    assert_true(mr_timestamp_format(INT64_MIN, ' ', text) < MR_TIME_TEXT_MAX);
    assert_true(mr_timestamp_format(INT64_MAX, ' ', text) < MR_TIME_TEXT_MAX);
}

static void test_durations_and_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t micros; /* -1 = refused */
    } durations[] = {
        {"500 ms", 500000},
        {"5 seconds", 5000000},
        {"24h", 86400000000},
        {"1 day", 86400000000},
        {"7", 7000000},
        {"0.1s", 100000},
        {" 1 Minute ", 60000000},
        {"", -1},
        {"x", -1},
        {"5 parsecs", -1},
        {"-1s", -1},
        {"99999999999999 weeks", -1},
    };
    int64_t out;
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        bool ok = mr_duration_parse(durations[i].text, 1000000, &out);
        assert_int_equal(ok, durations[i].micros >= 0);
        if (ok)
            assert_int_equal(out, durations[i].micros);
    }
    assert_true(mr_size_parse("128M", &out) && out == 128 << 20);
    assert_true(mr_size_parse("100MB", &out) && out == 100 << 20);
    assert_true(mr_size_parse("1GiB", &out) && out == 1 << 30);
    assert_true(mr_size_parse("104857600", &out) && out == 104857600);
    assert_true(mr_size_parse("1.5k", &out) && out == 1536);
    assert_false(mr_size_parse("12 apples", &out));
    assert_false(mr_size_parse("99999999999t", &out));
    char text[64];
    mr_size_format(1536 << 10, text, sizeof text);
    assert_string_equal(text, "1.5 MiB");
    mr_size_format(1023, text, sizeof text);
    assert_string_equal(text, "1023 B");
    mr_duration_format(12345, text, sizeof text);
    assert_string_equal(text, "12 ms");
    mr_duration_format(INT64_C(3723000000), text, sizeof text);
    assert_string_equal(text, "1h 02m");
}

static void test_zones(void **state)
{
    (void)state;
    struct mr_tz *tz = NULL;
    struct mr_error err;
    if (mr_tz_new("Europe/Berlin", &tz, &err) != MR_OK)
        skip(); /* no zone files on this machine */
    for (size_t i = 0; i < sizeof tz_cases / sizeof tz_cases[0]; i++) {
        const struct tz_case *c = &tz_cases[i];
        if (strcmp(mr_tz_name(tz), c->zone) != 0) {
            mr_tz_free(tz);
            assert_int_equal(mr_tz_new(c->zone, &tz, &err), MR_OK);
        }
        int64_t got = c->what == 'o' ? mr_tz_offset_at(tz, c->at) : mr_tz_to_utc(tz, c->at);
        if (got != c->result)
            fail_msg("%s %c %lld: %lld, not %lld", c->zone, c->what, (long long)c->at,
                     (long long)got, (long long)c->result);
    }
    mr_tz_free(tz);
    assert_int_equal(mr_tz_new("Europe/Berlin", &tz, &err), MR_OK);
    assert_string_equal(mr_tz_abbreviation(tz, 0), "CET");
    assert_string_equal(mr_tz_abbreviation(tz, INT64_C(1720000000000000)), "CEST");
    assert_false(mr_tz_is_utc(tz));
    assert_int_equal(mr_tz_to_local(tz, 0), INT64_C(3600000000));
    mr_tz_free(tz);
}

static void test_fixed_zones(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int32_t offset;
    } cases[] = {{"UTC", 0},        {"Z", 0},           {"+02:00", 7200},
                 {"-0530", -19800}, {"GMT+3", 10800},   {"UTC-08:00", -28800},
                 {"+18:00", 64800}, {"+01:02:03", 3723}};
    static const char *const bad[] = {"+19:00",         "+1:",           "+",
                                      "Mars/Olympus",   "../etc/passwd", "",
                                      "/etc/localtime", "+02:60",        "UTC+",
                                      "Europe"};
    struct mr_tz *tz;
    struct mr_error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(mr_tz_new(cases[i].name, &tz, &err), MR_OK);
        assert_int_equal(mr_tz_offset_at(tz, 0), cases[i].offset);
        assert_int_equal(mr_tz_is_utc(tz), cases[i].offset == 0);
        assert_int_equal(mr_tz_to_utc(tz, mr_tz_to_local(tz, 12345)), 12345);
        mr_tz_free(tz);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(mr_tz_new(bad[i], &tz, &err), MR_CONFIG);
}

static void test_rules(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "CET",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M13.5.0,M10.5.0",
                                      "CET-1CEST,M3.5.0,M10.5.0x",
                                      "<+03-3",
                                      "C\"ET-1"};
    struct mr_tz_rule rule;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(mr_tz_rule_parse(bad[i], strlen(bad[i]), &rule));
    const char *text = "<-02>2<-01>,M3.5.0/-1,M10.5.0/0";
    assert_true(mr_tz_rule_parse(text, strlen(text), &rule));
    assert_int_equal(rule.offsets[0], -7200);
    assert_int_equal(rule.offsets[1], -3600);
    int64_t start, end;
    text = "AAA0BBB,J60/0,59/0"; /* both 1 March in a common year; 'J' does not count 29 February */
    assert_true(mr_tz_rule_parse(text, strlen(text), &rule));
    mr_tz_rule_changes(&rule, 2023, &start, &end);
    assert_int_equal(start, mr_days_from_civil(2023, 3, 1) * 86400);
    assert_int_equal(end, mr_days_from_civil(2023, 3, 1) * 86400 - 3600);
    mr_tz_rule_changes(&rule, 2024, &start, &end);
    assert_int_equal(start, mr_days_from_civil(2024, 3, 1) * 86400);
    assert_int_equal(end, mr_days_from_civil(2024, 2, 29) * 86400 - 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_day), cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_formats),   cmocka_unit_test(test_durations_and_sizes),
        cmocka_unit_test(test_zones),     cmocka_unit_test(test_fixed_zones),
        cmocka_unit_test(test_rules),
    };
    return cmocka_run_group_tests_name("time", tests, NULL, NULL);
}
