/*
 * listen.c - a thread that answers GET /metrics and GET /healthz.
 *
 * One connection at a time, a request of at most 4 KiB, two seconds for it, and the connection ends with the answer: that is all that
 * a scraper needs. Of a request only its first line is looked at. libmicrohttpd would do more than that, and bring TLS with it into a process
 * that has another one. What is answered are sums that other threads keep (totals.h), read under their lock.
 */
#include "run/listen.h"

#include "base/thread.h"
#include "base/time.h"
#include "run/machine.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MOST 4096
#define PATIENCE_MS  2000

struct mr_listen {
    struct mr_session *session;
    struct mr_totals *totals;
    const char *query; /* what a stream calls itself; the file may be read again meanwhile */
    struct mr_thread thread;
    int fd;
    int stop; /* eventfd */
};

bool mr_listen_parse(const char *address, char *host, size_t capacity, char port[8])
{
    const char *colon = strrchr(address, ':');
    const char *number = colon != NULL ? colon + 1 : address;
    size_t digits = strspn(number, "0123456789");
    size_t size = colon != NULL ? (size_t)(colon - address) : 0;
    if (digits == 0 || digits > 5 || number[digits] != '\0' || strtol(number, NULL, 10) > 65535)
        return false;
    if (size > 1 && address[0] == '[' && address[size - 1] == ']') {
        address++;
        size -= 2;
    } else if (memchr(address, ':', size) != NULL) {
        return false; /* of IPv6, without brackets */
    }
    if (size >= capacity)
        return false;
    memcpy(host, address, size);
    host[size] = '\0';
    memcpy(port, number, digits + 1);
    return true;
}

/* ---- pages ---- */

static void head(struct mr_bytes *out, const char *name, const char *type, const char *help)
{
    mr_bytes_printf(out, "# HELP millrace_%s %s\n# TYPE millrace_%s %s\n", name, help, name, type);
}

static void label(struct mr_bytes *out, const char *key, const char *value)
{
    mr_bytes_printf(out, "%s=\"", key);
    for (; *value != '\0'; value++) {
        if (*value == '\n')
            mr_bytes_text(out, "\\n");
        else if (*value == '"' || *value == '\\')
            mr_bytes_printf(out, "\\%c", *value);
        else
            mr_bytes_char(out, *value);
    }
    mr_bytes_char(out, '"');
}

static void value(struct mr_bytes *out, const struct mr_session *session, const char *name,
                  const char *type, const char *help, double number)
{
    head(out, name, type, help);
    mr_bytes_printf(out, "millrace_%s{", name);
    label(out, "pipeline", session->logger.pipeline);
    mr_bytes_printf(out, "} %.17g\n", number);
}

static void step_value(struct mr_bytes *out, const struct mr_session *session, const char *name,
                       const char *step, int64_t number)
{
    mr_bytes_printf(out, "millrace_%s{", name);
    label(out, "pipeline", session->logger.pipeline);
    mr_bytes_char(out, ',');
    label(out, "step", step);
    mr_bytes_printf(out, "} %lld\n", (long long)number);
}

static void steps(struct mr_bytes *out, const struct mr_session *session,
                  const struct mr_totals *totals)
{
    head(out, "step_rows_in_total", "counter", "Rows that came into a step.");
    for (int i = 0; i < totals->nnodes; i++)
        step_value(out, session, "step_rows_in_total", totals->nodes[i].label,
                   totals->nodes[i].step.rows_in);
    head(out, "step_rows_out_total", "counter", "Rows that left a step.");
    for (int i = 0; i < totals->nnodes; i++)
        step_value(out, session, "step_rows_out_total", totals->nodes[i].label,
                   totals->nodes[i].step.rows_out);
    for (int k = 0; k < MR_COUNTERS; k++) {
        char name[80];
        bool any = false;
        snprintf(name, sizeof name, "step_%s", mr_counter_name((enum mr_counter)k));
        for (int i = 0; i < totals->nnodes; i++) {
            if (totals->nodes[i].counters[k] == 0)
                continue;
            if (!any)
                head(out, name, "gauge", "A counter of a step, as in the report.");
            any = true;
            step_value(out, session, name, totals->nodes[i].label, totals->nodes[i].counters[k]);
        }
    }
}

static void latency(struct mr_bytes *out, const struct mr_session *session,
                    const struct mr_totals *totals)
{
    static const char *const bounds[] = {"0.1", "0.25", "0.5", "1",  "2.5",
                                         "5",   "10",   "30",  "60", "300"};
    struct mr_latency_figures figures;
    if (totals->latency == NULL)
        return;
    mr_latency_read(totals->latency, &figures);
    head(out, "latency_seconds", "histogram", "Age of records when their epoch was committed.");
    for (size_t i = 0; i <= sizeof bounds / sizeof bounds[0]; i++) {
        bool last = i == sizeof bounds / sizeof bounds[0];
        double most = last ? 0 : strtod(bounds[i], NULL);
        int64_t count =
            last ? figures.count : mr_latency_up_to(totals->latency, (int64_t)(most * 1e6));
        mr_bytes_text(out, "millrace_latency_seconds_bucket{");
        label(out, "pipeline", session->logger.pipeline);
        mr_bytes_printf(out, ",le=\"%s\"} %lld\n", last ? "+Inf" : bounds[i], (long long)count);
    }
    mr_bytes_text(out, "millrace_latency_seconds_sum{");
    label(out, "pipeline", session->logger.pipeline);
    mr_bytes_printf(out, "} %.6f\nmillrace_latency_seconds_count{", (double)figures.sum / 1e6);
    label(out, "pipeline", session->logger.pipeline);
    mr_bytes_printf(out, "} %lld\n", (long long)figures.count);
}

/* Caller holds the lock. */
static void stream_metrics(struct mr_bytes *out, const struct mr_session *session,
                           const struct mr_totals *totals)
{
    value(out, session, "rows_read_total", "counter", "Rows of committed epochs that were read.",
          (double)totals->rows_read);
    value(out, session, "rows_written_total", "counter", "Rows that were committed.",
          (double)totals->rows_written);
    value(out, session, "bytes_read_total", "counter", "Bytes read.", (double)totals->bytes_read);
    value(out, session, "bytes_written_total", "counter", "Bytes written.",
          (double)totals->bytes_written);
    value(out, session, "epochs_total", "counter", "Epochs committed by this process.",
          (double)totals->epochs);
    value(out, session, "epochs_failed_total", "counter", "Epochs that failed and were repeated.",
          (double)totals->failures);
    value(out, session, "epoch", "gauge", "Number of the last epoch.", (double)totals->epoch);
    value(out, session, "epoch_seconds_total", "counter", "Time that epochs took.",
          (double)totals->micros / 1e6);
    steps(out, session, totals);
    latency(out, session, totals);
}

static void batch_metrics(struct mr_bytes *out, const struct mr_session *session)
{
    struct mr_exec_progress progress;
    mr_exec_progress(session->engine, &progress);
    value(out, session, "rows_read_total", "counter", "Rows read.", (double)progress.rows_read);
    value(out, session, "rows_written_total", "counter", "Rows staged or written.",
          (double)progress.rows_written);
    value(out, session, "bytes_read_total", "counter", "Bytes read.", (double)progress.bytes_read);
    value(out, session, "bytes_written_total", "counter", "Bytes written.",
          (double)progress.bytes_written);
    value(out, session, "splits", "gauge", "Splits of the run.", progress.splits);
    value(out, session, "splits_done_total", "counter", "Splits that were read.",
          progress.splits_done);
}

static void metrics(const struct mr_listen *listen, struct mr_bytes *out)
{
    struct mr_session *session = listen->session;
    head(out, "info", "gauge", "What runs.");
    mr_bytes_text(out, "millrace_info{");
    label(out, "pipeline", session->logger.pipeline);
    mr_bytes_char(out, ',');
    label(out, "run_id", session->run_id);
    if (listen->query != NULL) {
        mr_bytes_char(out, ',');
        label(out, "query", listen->query);
    }
    mr_bytes_text(out, "} 1\n");
    value(out, session, "uptime_seconds", "gauge", "Since the run began.",
          (double)(mr_clock_monotonic_micros() - session->start_monotonic) / 1e6);
    value(out, session, "memory_limit_bytes", "gauge", "Budget of the run.",
          (double)session->memory.limit);
    value(out, session, "memory_available_bytes", "gauge", "What of it is free.",
          (double)mr_memory_available(&session->memory));
    value(out, session, "process_peak_bytes", "gauge", "Largest resident set so far.",
          (double)mr_machine_peak_rss());
    if (listen->totals == NULL) {
        batch_metrics(out, session);
        return;
    }
    pthread_mutex_lock(&listen->totals->lock);
    stream_metrics(out, session, listen->totals);
    pthread_mutex_unlock(&listen->totals->lock);
}

static int health(const struct mr_listen *listen, struct mr_bytes *out)
{
    struct mr_totals *totals = listen->totals;
    int code = 200;
    if (totals != NULL)
        pthread_mutex_lock(&totals->lock);
    if (totals != NULL && totals->failing) {
        code = 503;
        mr_bytes_printf(out, "the last epoch failed and is done again: %s\n", totals->reason);
    } else {
        mr_bytes_text(out, "ok\n");
    }
    if (totals != NULL)
        pthread_mutex_unlock(&totals->lock);
    return code;
}

static int answer(const struct mr_listen *listen, const char *request, struct mr_bytes *out)
{
    if (strncmp(request, "GET ", 4) != 0 && strncmp(request, "HEAD ", 5) != 0) {
        mr_bytes_text(out, "only GET\n");
        return 405;
    }
    const char *path = strchr(request, ' ') + 1;
    size_t size = strcspn(path, " ?\r\n");
    if (size == 8 && memcmp(path, "/metrics", 8) == 0) {
        metrics(listen, out);
        return 200;
    }
    if (size == 8 && memcmp(path, "/healthz", 8) == 0)
        return health(listen, out);
    mr_bytes_text(out, "there is /metrics and /healthz\n");
    return 404;
}

/* ---- connections ---- */

/* False: told to stop, too slow, or broken. */
static bool ready(const struct mr_listen *listen, int fd, short events, int64_t deadline)
{
    struct pollfd fds[] = {{.fd = fd, .events = events}, {.fd = listen->stop, .events = POLLIN}};
    int64_t left = deadline == INT64_MAX ? -1 : deadline - mr_clock_monotonic_micros();
    if (deadline != INT64_MAX && left <= 0)
        return false;
    int n = poll(fds, 2, left < 0 ? -1 : (int)(left / 1000) + 1);
    if (n < 0 && errno == EINTR)
        return ready(listen, fd, events, deadline);
    return n > 0 && fds[1].revents == 0 && fds[0].revents != 0;
}

static bool read_request(const struct mr_listen *listen, int fd, char *request, int64_t deadline)
{
    size_t size = 0;
    while (size < REQUEST_MOST - 1 && ready(listen, fd, POLLIN, deadline)) {
        ssize_t n = recv(fd, request + size, REQUEST_MOST - 1 - size, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return false;
        size += (size_t)n;
        request[size] = '\0';
        if (strstr(request, "\r\n\r\n") != NULL || strstr(request, "\n\n") != NULL)
            return true;
    }
    return false;
}

static void write_all(const struct mr_listen *listen, int fd, const char *data, size_t size,
                      int64_t deadline)
{
    while (size > 0 && ready(listen, fd, POLLOUT, deadline)) {
        ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return;
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
}

static const char *reason_of(int code)
{
    return code == 200   ? "OK"
           : code == 503 ? "Service Unavailable"
           : code == 405 ? "Method Not Allowed"
                         : "Not Found";
}

static void serve(const struct mr_listen *listen, int fd)
{
    char request[REQUEST_MOST];
    int64_t deadline = mr_clock_monotonic_micros() + PATIENCE_MS * INT64_C(1000);
    if (!read_request(listen, fd, request, deadline))
        return;
    struct mr_bytes body, all;
    mr_bytes_init(&body, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_init(&all, MR_BYTES_DEFAULT_MAXIMUM);
    int code = answer(listen, request, &body);
    mr_bytes_printf(&all,
                    "HTTP/1.1 %d %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                    "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                    code, reason_of(code), body.size);
    if (strncmp(request, "HEAD ", 5) != 0)
        mr_bytes_append(&all, body.data, body.size);
    if (mr_bytes_status(&body, NULL) == MR_OK && mr_bytes_status(&all, NULL) == MR_OK)
        write_all(listen, fd, all.data, all.size, deadline);
    mr_bytes_reset(&body);
    mr_bytes_reset(&all);
}

static void body(void *arg)
{
    struct mr_listen *listen = arg;
    while (ready(listen, listen->fd, POLLIN, INT64_MAX)) {
        int fd = accept4(listen->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            /* Out of descriptors: the connection waits, and so does this. */
            (void)ready(listen, -1, 0, mr_clock_monotonic_micros() + 100000);
            continue;
        }
        serve(listen, fd);
        close(fd);
    }
}

/* ---- start, stop ---- */

static enum mr_status open_socket(const char *address, const char *host, const char *port, int *out,
                                  struct mr_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int code = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &found);
    if (code != 0)
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG, "--listen %s: %s", address,
                            gai_strerror(code));
    int saved = 0, one = 1;
    *out = -1;
    for (struct addrinfo *at = found; at != NULL && *out < 0; at = at->ai_next) {
        int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0)
            (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (fd >= 0 && bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, 16) == 0) {
            *out = fd;
            break;
        }
        saved = errno;
        if (fd >= 0)
            close(fd);
    }
    freeaddrinfo(found);
    if (*out >= 0)
        return MR_OK;
    mr_error_errno(err, MR_USAGE, saved, "--listen %s", address);
    return MR_USAGE;
}

static void tell(const struct mr_listen *listen)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char host[64] = "", port[8] = "";
    if (getsockname(listen->fd, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    bool six = strchr(host, ':') != NULL;
    mr_logger_printf(&listen->session->logger, MR_LOG_INFO, "run",
                     "listening on http://%s%s%s:%s (/metrics, /healthz)", six ? "[" : "", host,
                     six ? "]" : "", port);
}

enum mr_status mr_listen_start(struct mr_session *session, struct mr_totals *totals,
                               const char *address, struct mr_listen **out, struct mr_error *err)
{
    char host[256], port[8];
    *out = NULL;
    if (!mr_listen_parse(address, host, sizeof host, port))
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG,
                            "--listen wants host:port, :port or [address]:port, not \"%.200s\"",
                            address);
    struct mr_listen *listen = mr_calloc(1, sizeof *listen);
    if (listen == NULL)
        return mr_error_nomem(err);
    *listen = (struct mr_listen){.session = session,
                                 .totals = totals,
                                 .query = session->spec->stream.query_name,
                                 .fd = -1,
                                 .stop = -1};
    enum mr_status status = open_socket(address, host, port, &listen->fd, err);
    if (status == MR_OK) {
        listen->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (listen->stop < 0)
            status = mr_error_errno(err, MR_LIMIT, errno, "eventfd");
    }
    if (status == MR_OK)
        status = mr_thread_start(&listen->thread, "mr-listen", body, listen, err);
    if (status != MR_OK) {
        mr_listen_stop(listen);
        return status;
    }
    tell(listen);
    *out = listen;
    return MR_OK;
}

void mr_listen_stop(struct mr_listen *listen)
{
    uint64_t one = 1;
    if (listen == NULL)
        return;
    if (listen->stop >= 0) {
        ssize_t written = write(listen->stop, &one, sizeof one);
        (void)written;
    }
    mr_thread_join(&listen->thread);
    if (listen->fd >= 0)
        close(listen->fd);
    if (listen->stop >= 0)
        close(listen->stop);
    mr_free(listen);
}
