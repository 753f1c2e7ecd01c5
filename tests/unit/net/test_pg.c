/*
 * test_pg.c - what needs no server: quoting, error classes, a server that does not answer.
 */
#include "base/time.h"
#include "net/pg_conn.h"
#include "net/pg_error.h"
#include "net/pg_text.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void check_quoted(void (*write)(struct mr_bytes *, const char *), const char *text,
                         const char *expected)
{
    struct mr_bytes sql;
    mr_bytes_init(&sql, 1000);
    write(&sql, text);
    assert_string_equal(sql.data, expected);
    mr_bytes_reset(&sql);
}

static void write_literal(struct mr_bytes *sql, const char *text)
{
    assert_true(mr_pg_literal(sql, mr_slice_of(text)));
}

static void test_quoting(void **state)
{
    (void)state;
    check_quoted(mr_pg_identifier, "a \"b\"", "\"a \"\"b\"\"\"");
    check_quoted(write_literal, "it's", "'it''s'");
    check_quoted(write_literal, "a\\'b", " E'a\\\\''b'");
    check_quoted(write_literal, "", "''");
    struct mr_bytes sql;
    mr_bytes_init(&sql, 100);
    assert_false(mr_pg_literal(&sql, (struct mr_slice){"a\0b", 3}));
    mr_bytes_reset(&sql);
}

static void check_class(const char *sqlstate, enum mr_status status, enum mr_error_class cls)
{
    struct mr_error err;
    assert_int_equal(mr_pg_error_state(&err, sqlstate, "m\nn\n", "h", false), status);
    assert_int_equal(err.status, status);
    assert_int_equal(err.cls, cls);
    assert_non_null(strstr(err.message, "m; n"));
}

static void test_classes(void **state)
{
    (void)state;
    check_class("28P01", MR_CREDENTIALS, MR_CLASS_CONFIG);
    struct mr_error err;
    mr_pg_error_state(&err, "57014", "m", "h", false);
    assert_non_null(strstr(err.hint, "splits"));
    mr_pg_error_writing(&err, "57014");
    assert_null(strstr(err.hint, "splits"));
    mr_pg_error_state(&err, "40001", "m", "h", false);
    mr_pg_error_writing(&err, "40001");
    assert_string_equal(err.hint, "");
    check_class("08006", MR_SOURCE, MR_CLASS_TRANSIENT);
    check_class("57P01", MR_SOURCE, MR_CLASS_TRANSIENT);
    check_class("25P03", MR_SOURCE, MR_CLASS_TRANSIENT);
    check_class("40001", MR_SOURCE, MR_CLASS_TRANSIENT);
    check_class("53300", MR_SOURCE, MR_CLASS_TRANSIENT);
    check_class("", MR_SOURCE, MR_CLASS_TRANSIENT);
    check_class("42P01", MR_SOURCE, MR_CLASS_CONFIG);
    check_class("22012", MR_SOURCE, MR_CLASS_DATA);
}

/* A server that takes the connection and says nothing: the deadline ends it. */
static void test_silence(void **state)
{
    (void)state;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    char port[16];
    snprintf(port, sizeof port, "%d", ntohs(address.sin_port));
    const char *keywords[] = {"host", "port", "user", "password", "sslmode", NULL};
    const char *values[] = {"127.0.0.1", port, "u", "top-secret", "disable", NULL};
    struct mr_pg_config config = {.keywords = keywords,
                                  .values = values,
                                  .location = "127.0.0.1",
                                  .connect_timeout_micros = 50000};
    struct mr_waiter waiter = mr_waiter_plain();
    struct mr_error err = {0};
    struct mr_pg *pg = NULL;
    int64_t began = mr_clock_monotonic_micros();
    assert_int_equal(mr_pg_open(&config, &waiter, MR_WAIT_SOURCE, &pg, &err), MR_SOURCE);
    assert_true(mr_clock_monotonic_micros() - began < 5 * MR_MICROS_PER_SECOND);
    assert_int_equal(err.cls, MR_CLASS_TRANSIENT);
    assert_non_null(strstr(err.message, "connect time-out"));
    assert_null(strstr(err.message, "top-secret"));
    assert_null(pg);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quoting),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
