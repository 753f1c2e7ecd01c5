/*
 * test_transfer.c - requests moved by their own thread, against a server here that answers each connection
 * as the path of its request says.
 */
#include "base/temporary.h"
#include "base/thread.h"
#include "base/time.h"
#include "net/transfer.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { CONNECTIONS = 3 };

/* Accepts until it is stopped; a thread for each connection, which reads one request and ends. */
struct server {
    int listener;
    int port;
    struct mr_thread thread;
    struct mr_thread workers[64];
    int fds[64];
    int nworkers;
    atomic_int open;
    atomic_int open_most;
    char bodies[64][64];
};

struct worker {
    struct server *server;
    int number;
};

/* "/hang" says nothing; else the body comes back, or "0123456789". */
static void work(void *context)
{
    struct worker worker = *(struct worker *)context;
    struct server *server = worker.server;
    int fd = server->fds[worker.number];
    char seen[4096] = "", reply[256], end;
    size_t size = 0;
    free(context);
    int open = atomic_fetch_add(&server->open, 1) + 1;
    if (open > atomic_load(&server->open_most))
        atomic_store(&server->open_most, open);
    const char *body = NULL;
    while (!body || (strstr(seen, "Content-Length: ") &&
                     size < (size_t)(body + 4 - seen) +
                                (size_t)atoi(strstr(seen, "Content-Length: ") + 16))) {
        ssize_t n = read(fd, seen + size, sizeof seen - 1 - size);
        if (n <= 0)
            break;
        seen[size += (size_t)n] = '\0';
        body = strstr(seen, "\r\n\r\n");
    }
    if (body)
        snprintf(server->bodies[worker.number], sizeof server->bodies[0], "%s", body + 4);
    if (strstr(seen, "/hang")) {
        while (read(fd, &end, 1) > 0)
            ;
    } else {
        usleep(20000); /* so that several are open at once */
        int n = snprintf(reply, sizeof reply,
                         "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 10\r\n\r\n0123456789",
                         strstr(seen, "/error") ? "500 No" : "200 OK");
        if (write(fd, reply, (size_t)n) != n)
            size = 0;
    }
    atomic_fetch_sub(&server->open, 1);
    close(fd);
}

static void serve(void *context)
{
    struct server *server = context;
    struct mr_error err;
    for (;;) {
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0 || server->nworkers == 64)
            return;
        struct worker *worker = malloc(sizeof *worker);
        *worker = (struct worker){server, server->nworkers};
        server->fds[server->nworkers] = fd;
        mr_thread_start(&server->workers[server->nworkers++], "w", work, worker, &err);
    }
}

static struct server server;
static struct mr_transfers *transfers;
static struct mr_mailbox *mailbox;
static struct mr_waiter waiter;
static struct mr_error err;

static int begin(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    memset(&server, 0, sizeof server);
    server.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server.listener, 64), 0);
    assert_int_equal(getsockname(server.listener, (struct sockaddr *)&address, &size), 0);
    server.port = ntohs(address.sin_port);
    assert_int_equal(mr_thread_start(&server.thread, "server", serve, &server, &err), MR_OK);
    waiter = mr_waiter_plain();
    const struct mr_http_options options = {.status = MR_SOURCE, .proxy = ""};
    assert_int_equal(mr_transfers_new(&options, CONNECTIONS, &transfers, &err), MR_OK);
    assert_int_equal(mr_mailbox_new(&mailbox, &err), MR_OK);
    return 0;
}

static int end(void **state)
{
    (void)state;
    mr_transfers_free(transfers);
    mr_mailbox_free(mailbox);
    shutdown(server.listener, SHUT_RDWR);
    mr_thread_join(&server.thread);
    close(server.listener);
    for (int i = 0; i < server.nworkers; i++)
        mr_thread_join(&server.workers[i]);
    return 0;
}

static void prepare(struct mr_transfer *transfer, const char *path, char url[64])
{
    memset(transfer, 0, sizeof *transfer);
    mr_http_answer_init(&transfer->answer);
    snprintf(url, 64, "http://127.0.0.1:%d%s", server.port, path);
    transfer->request.method = "GET";
    transfer->request.url = url;
}

static void until_done(const struct mr_transfer *transfer)
{
    while (!transfer->done)
        assert_int_equal(mr_mailbox_wait(mailbox, &waiter, INT64_MAX, MR_WAIT_SOURCE, &err), MR_OK);
}

static void test_many(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    static struct mr_transfer all[COUNT];
    char urls[COUNT][64], out[COUNT][16];
    for (int i = 0; i < COUNT; i++) {
        prepare(&all[i], "/a", urls[i]);
        all[i].request.out = out[i];
        all[i].request.out_size = sizeof out[i];
        mr_transfer_start(transfers, mailbox, &all[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        until_done(&all[i]);
        assert_int_equal(all[i].status, MR_OK);
        assert_int_equal(all[i].answer.status, 200);
        assert_int_equal(all[i].answer.received, 10);
        assert_memory_equal(out[i], "0123456789", 10);
        mr_http_answer_reset(&all[i].answer);
    }
    assert_int_equal(mr_transfers_peak(transfers), CONNECTIONS);
    /* The server learns late of connections that were closed, so it may count more than there were. */
    assert_true(atomic_load(&server.open_most) >= 2);
}

/* An error's body is not what was asked for; more than there is room for is refused. */
/* A limit that is lowered holds for all that use these connections, and is never raised again. */
static void test_limit(void **state)
{
    (void)state;
    enum { COUNT = 10 };
    static struct mr_transfer all[COUNT];
    char urls[COUNT][64];
    mr_transfers_limit(transfers, 1);
    mr_transfers_limit(transfers, CONNECTIONS);
    for (int i = 0; i < COUNT; i++) {
        prepare(&all[i], "/a", urls[i]);
        mr_transfer_start(transfers, mailbox, &all[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        until_done(&all[i]);
        assert_int_equal(all[i].answer.status, 200);
        mr_http_answer_reset(&all[i].answer);
    }
    assert_int_equal(mr_transfers_peak(transfers), 1);
}

static void test_bodies(void **state)
{
    (void)state;
    struct mr_transfer transfer;
    char url[64], out[4] = "abc";
    prepare(&transfer, "/error", url);
    transfer.request.out = out;
    transfer.request.out_size = sizeof out;
    mr_transfer_start(transfers, mailbox, &transfer);
    until_done(&transfer);
    assert_int_equal(transfer.answer.status, 500);
    assert_string_equal(out, "abc");
    assert_string_equal(transfer.answer.body.data, "0123456789");
    mr_http_answer_reset(&transfer.answer);
    prepare(&transfer, "/a", url);
    transfer.request.out = out;
    transfer.request.out_size = sizeof out;
    mr_transfer_start(transfers, mailbox, &transfer);
    until_done(&transfer);
    assert_int_equal(transfer.status, MR_LIMIT);
    mr_http_answer_reset(&transfer.answer);
}

static void test_file(void **state)
{
    (void)state;
    struct mr_transfer transfer;
    char url[64];
    int fd = mr_open_unnamed("/tmp");
    assert_int_equal(write(fd, "xxHELLOyy", 9), 9);
    const struct mr_http_file file = {fd, 2, 5};
    prepare(&transfer, "/a", url);
    transfer.request.method = "PUT";
    transfer.request.file = &file;
    mr_transfer_start(transfers, mailbox, &transfer);
    until_done(&transfer);
    assert_int_equal(transfer.answer.status, 200);
    assert_string_equal(server.bodies[0], "HELLO");
    mr_http_answer_reset(&transfer.answer);
    close(fd);
}

/* Moving ones, queued ones and ended ones can all be cancelled; a stall ends by itself. */
static void test_cancel(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    static struct mr_transfer all[COUNT];
    char urls[COUNT][64];
    for (int i = 0; i < COUNT; i++) {
        prepare(&all[i], "/hang", urls[i]);
        mr_transfer_start(transfers, mailbox, &all[i]);
    }
    while (mr_transfers_peak(transfers) < CONNECTIONS)
        usleep(1000);
    for (int i = 0; i < COUNT; i++) {
        mr_transfer_cancel(&all[i]);
        assert_false(all[i].done);
        mr_http_answer_reset(&all[i].answer);
    }
    prepare(&all[0], "/a", urls[0]);
    mr_transfer_start(transfers, mailbox, &all[0]);
    until_done(&all[0]);
    mr_transfer_cancel(&all[0]);
    assert_int_equal(all[0].answer.status, 200);
    mr_http_answer_reset(&all[0].answer);
    prepare(&all[0], "/hang", urls[0]);
    all[0].request.timeout_micros = 50000;
    mr_transfer_start(transfers, mailbox, &all[0]);
    until_done(&all[0]);
    assert_int_equal(all[0].status, MR_SOURCE);
    assert_int_equal(all[0].err.cls, MR_CLASS_TRANSIENT);
    assert_true(all[0].timed_out);
    mr_http_answer_reset(&all[0].answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many, begin, end),
        cmocka_unit_test_setup_teardown(test_limit, begin, end),
        cmocka_unit_test_setup_teardown(test_bodies, begin, end),
        cmocka_unit_test_setup_teardown(test_file, begin, end),
        cmocka_unit_test_setup_teardown(test_cancel, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
