/*
 * test_http.c - the HTTP client against a server that follows a script, one connection after the other.
 */
#include "base/thread.h"
#include "base/time.h"
#include "net/http.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* What the server does with each connection: "" = closes it, NULL = says nothing, else answers. */
struct server {
    const char *const *script;
    int replies;
    int listener;
    int port;
    struct mr_thread thread;
    char seen[8][2048]; /* requests */
    int nseen;
};

static void serve(void *context)
{
    struct server *server = context;
    for (int i = 0; i < server->replies; i++) {
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0)
            return;
        char *seen = server->seen[server->nseen++];
        size_t size = 0;
        while (!strstr(seen, "\r\n\r\n")) {
            ssize_t n = read(fd, seen + size, sizeof server->seen[0] - 1 - size);
            if (n <= 0)
                break;
            seen[size += (size_t)n] = '\0';
        }
        const char *reply = server->script[i];
        struct linger reset = {.l_onoff = 1};
        char end;
        if (!reply) { /* until the client goes */
            while (read(fd, &end, 1) > 0)
                ;
        } else if (!*reply) {
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        } else if (write(fd, reply, strlen(reply)) < 0) {
            close(fd);
            return;
        }
        close(fd);
    }
}

static void start(struct server *server, const char *const *script)
{
    memset(server, 0, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct mr_error err;
    server->script = script;
    while (script[server->replies] || server->replies == 0)
        server->replies++;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 8), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(mr_thread_start(&server->thread, "server", serve, server, &err), MR_OK);
}

static void stop(struct server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    mr_thread_join(&server->thread);
    close(server->listener);
}

/* A waiter that does not really pause, and counts what it was asked for. */
struct counting {
    struct mr_waiter base;
    struct mr_waiter plain;
    int pauses;
    int64_t paused;
    int cancel_after; /* waits on sockets; -1 = never */
};

static enum mr_status counting_wait(struct mr_waiter *waiter, int fd, int events, int64_t deadline,
                                    enum mr_wait_cause cause, bool *timed_out, struct mr_error *err)
{
    struct counting *counting = (struct counting *)waiter;
    if (cause == MR_WAIT_RETRY) {
        counting->pauses++;
        counting->paused += deadline - mr_clock_monotonic_micros();
        return MR_OK;
    }
    if (counting->cancel_after >= 0 && counting->cancel_after-- == 0)
        return mr_error_cancelled(err);
    return mr_wait(&counting->plain, fd, events, deadline, cause, timed_out, err);
}

static bool never(struct mr_waiter *waiter)
{
    (void)waiter;
    return false;
}

struct exchange {
    struct counting waiter;
    struct mr_http *http;
    struct mr_http_answer answer;
    struct mr_error err;
    char url[64];
};

static void begin(struct exchange *exchange, const struct server *server)
{
    *exchange = (struct exchange){
        .waiter = {.base = {counting_wait, never}, .plain = mr_waiter_plain(), .cancel_after = -1}};
    struct mr_http_options options = {.status = MR_CREDENTIALS, .proxy = ""};
    snprintf(exchange->url, sizeof exchange->url, "http://127.0.0.1:%d/a?secret=1", server->port);
    assert_int_equal(mr_http_new(&options, &exchange->waiter.base, &exchange->http, &exchange->err),
                     MR_OK);
    mr_http_answer_init(&exchange->answer);
}

static void end(struct exchange *exchange)
{
    mr_http_answer_reset(&exchange->answer);
    mr_http_free(exchange->http);
}

static const struct mr_retry three = {.attempts = 3,
                                      .delay_micros = 1000,
                                      .max_delay_micros = 5000000,
                                      .multiplier = 2};

static enum mr_status fetch(struct exchange *exchange, struct mr_http_request *request,
                            const struct mr_retry *retry)
{
    request->url = exchange->url;
    if (!request->method)
        request->method = "GET";
    return mr_http_send(exchange->http, request, retry, &exchange->answer, &exchange->err);
}

#define OK_REPLY "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Thing:  v \r\n\r\nok"

static void test_exchange(void **state)
{
    (void)state;
    struct server server;
    struct exchange exchange;
    start(&server, (const char *const[]){OK_REPLY, NULL});
    begin(&exchange, &server);
    struct mr_http_request request = {.method = "PUT",
                                      .headers = (const char *const[]){"X-Mine: 7", NULL},
                                      .body = mr_slice_of("body")};
    assert_int_equal(fetch(&exchange, &request, NULL), MR_OK);
    assert_int_equal(exchange.answer.status, 200);
    assert_string_equal(exchange.answer.body.data, "ok");
    assert_true(mr_slice_equal(mr_http_header(&exchange.answer, "x-thing"), mr_slice_of("v")));
    assert_int_equal(mr_http_header(&exchange.answer, "x-other").size, 0);
    stop(&server);
    assert_non_null(strstr(server.seen[0], "PUT /a?secret=1 HTTP/1.1\r\n"));
    assert_non_null(strstr(server.seen[0], "\r\nX-Mine: 7\r\n"));
    assert_non_null(strstr(server.seen[0], "\r\nContent-Length: 4\r\n"));
    assert_null(strstr(server.seen[0], "Expect"));
    request.headers = (const char *const[]){"X-Mine: 7\r\nX-Other: 8", NULL};
    assert_int_equal(fetch(&exchange, &request, NULL), MR_CREDENTIALS);
    assert_null(strstr(exchange.err.message, "8"));
    end(&exchange);
}

static void test_retry(void **state)
{
    (void)state;
    struct server server;
    struct exchange exchange;
    struct mr_http_request request = {0};
    start(&server,
          (const char *const[]){"HTTP/1.1 503 Slow\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n",
                                "", OK_REPLY, NULL});
    begin(&exchange, &server);
    assert_int_equal(fetch(&exchange, &request, &three), MR_OK);
    assert_int_equal(exchange.answer.status, 200);
    assert_int_equal(exchange.answer.attempts, 3);
    assert_int_equal(exchange.waiter.pauses, 2);
    assert_in_range(exchange.waiter.paused, 1900000, 2100000);
    end(&exchange);
    stop(&server);

    /* The last answer counts when attempts are out; a 404 is an answer. */
    start(&server, (const char *const[]){"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n",
                                         "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
                                         "HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n",
                                         "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", NULL});
    begin(&exchange, &server);
    assert_int_equal(fetch(&exchange, &request, &three), MR_OK);
    assert_int_equal(exchange.answer.status, 502);
    assert_int_equal(fetch(&exchange, &request, &three), MR_OK);
    assert_int_equal(exchange.answer.status, 404);
    assert_int_equal(exchange.answer.attempts, 1);
    end(&exchange);
    stop(&server);
}

/* A request that must not be done twice: not after it may have been done. */
static void test_not_repeatable(void **state)
{
    (void)state;
    struct server server;
    struct exchange exchange;
    struct mr_http_request request = {.method = "POST", .body = mr_slice_of("x")};
    start(&server, (const char *const[]){"", "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", NULL});
    begin(&exchange, &server);
    assert_int_equal(fetch(&exchange, &request, &three), MR_CREDENTIALS);
    assert_int_equal(exchange.err.cls, MR_CLASS_UNKNOWN);
    assert_null(strstr(exchange.err.message, "secret"));
    assert_int_equal(fetch(&exchange, &request, &three), MR_OK);
    assert_int_equal(exchange.answer.status, 500);
    assert_int_equal(exchange.waiter.pauses, 0);
    end(&exchange);
    stop(&server);
}

static void test_bounds(void **state)
{
    (void)state;
    struct server server;
    struct exchange exchange;
    start(&server, (const char *const[]){OK_REPLY, NULL});
    begin(&exchange, &server);
    struct mr_http_request request = {.answer_max = 1};
    assert_int_equal(fetch(&exchange, &request, &three), MR_LIMIT);
    end(&exchange);
    stop(&server);

    /* A server that says nothing. */
    start(&server, (const char *const[]){NULL, NULL});
    begin(&exchange, &server);
    request = (struct mr_http_request){.timeout_micros = 50000};
    assert_int_equal(fetch(&exchange, &request, NULL), MR_CREDENTIALS);
    assert_int_equal(exchange.err.cls, MR_CLASS_TRANSIENT);
    end(&exchange);
    stop(&server);

    start(&server, (const char *const[]){NULL, NULL});
    begin(&exchange, &server);
    exchange.waiter.cancel_after = 2;
    request = (struct mr_http_request){0};
    assert_int_equal(fetch(&exchange, &request, &three), MR_CANCELLED);
    end(&exchange);
    stop(&server);
}

static void test_nobody(void **state)
{
    (void)state;
    struct server server;
    struct exchange exchange;
    struct mr_http_request request = {0};
    start(&server, (const char *const[]){OK_REPLY, NULL});
    stop(&server);
    begin(&exchange, &server);
    assert_int_equal(fetch(&exchange, &request, &three), MR_CREDENTIALS);
    assert_int_equal(exchange.err.cls, MR_CLASS_TRANSIENT);
    assert_int_equal(exchange.answer.attempts, 3);
    snprintf(exchange.url, sizeof exchange.url, "ftp://127.0.0.1/x");
    assert_int_equal(fetch(&exchange, &request, &three), MR_CREDENTIALS);
    assert_int_equal(exchange.err.cls, MR_CLASS_CONFIG);
    assert_int_equal(exchange.answer.attempts, 1);
    end(&exchange);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange),       cmocka_unit_test(test_retry),
        cmocka_unit_test(test_not_repeatable), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
