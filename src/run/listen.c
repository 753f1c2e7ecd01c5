/*
 * listen.c - a thread that answers GET /metrics, /healthz and /readyz (metrics.c).
 *
 * One connection at a time, a request of at most 4 KiB, two seconds for it, and the connection ends with the answer: that is all that
 * a scraper needs. Of a request only its first line is looked at. libmicrohttpd would do more than that, and bring TLS with it into a process
 * that has another one. What is answered are sums that other threads keep (totals.h), read under their lock.
 */
#include "run/listen.h"

#include "base/thread.h"
#include "base/time.h"
#include "run/metrics.h"

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
/* /healthz, unless it is asked for another time. */
#define WITHIN_SECONDS 300

struct mr_listen {
    struct mr_session *session;
    char *pipeline, *query; /* copies: the file may be read again meanwhile */
    pthread_mutex_t lock;
    struct mr_metrics metrics; /* lock */
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

/* ?within=600: seconds. */
static int64_t within_of(const char *path)
{
    const char *query = path + strcspn(path, " ?\r\n");
    const char *given = strncmp(query, "?within=", 8) == 0 ? query + 8 : "";
    size_t digits = strspn(given, "0123456789");
    if (digits == 0 || digits > 8)
        return WITHIN_SECONDS * MR_MICROS_PER_SECOND;
    return strtol(given, NULL, 10) * MR_MICROS_PER_SECOND;
}

static int answer(struct mr_listen *listen, const char *request, struct mr_bytes *out)
{
    int code = 404;
    if (strncmp(request, "GET ", 4) != 0 && strncmp(request, "HEAD ", 5) != 0) {
        mr_bytes_text(out, "only GET\n");
        return 405;
    }
    const char *path = strchr(request, ' ') + 1;
    size_t size = strcspn(path, " ?\r\n");
    pthread_mutex_lock(&listen->lock);
    if (size == 8 && memcmp(path, "/metrics", 8) == 0) {
        mr_metrics_page(&listen->metrics, out);
        code = 200;
    } else if (size == 8 && memcmp(path, "/healthz", 8) == 0) {
        code = mr_metrics_health(&listen->metrics, within_of(path), out);
    } else if (size == 7 && memcmp(path, "/readyz", 7) == 0) {
        code = mr_metrics_ready(&listen->metrics, out);
    }
    pthread_mutex_unlock(&listen->lock);
    if (code == 404)
        mr_bytes_text(out, "there is /metrics, /healthz and /readyz\n");
    return code;
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

static void serve(struct mr_listen *listen, int fd)
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
                     "listening on http://%s%s%s:%s (/metrics, /healthz, /readyz)", six ? "[" : "",
                     host, six ? "]" : "", port);
}

static enum mr_status new_listen(struct mr_session *session, bool lanes, struct mr_listen **out,
                                 struct mr_error *err)
{
    const char *query = session->spec->stream.query_name;
    struct mr_listen *listen = mr_calloc(1, sizeof *listen);
    if (listen == NULL)
        return mr_error_nomem(err);
    mr_mutex_init(&listen->lock);
    listen->session = session;
    listen->fd = listen->stop = -1;
    listen->pipeline = mr_strdup(session->spec->name);
    listen->query = query != NULL ? mr_strdup(query) : NULL;
    listen->metrics = (struct mr_metrics){.process = session,
                                          .pipeline = listen->pipeline,
                                          .query = listen->query,
                                          .lanes = lanes};
    *out = listen;
    return listen->pipeline != NULL && (query == NULL || listen->query != NULL)
               ? MR_OK
               : mr_error_nomem(err);
}

enum mr_status mr_listen_start(struct mr_session *session, bool lanes, const char *address,
                               struct mr_listen **out, struct mr_error *err)
{
    char host[256], port[8];
    struct mr_listen *listen = NULL;
    *out = NULL;
    if (!mr_listen_parse(address, host, sizeof host, port))
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG,
                            "--listen wants host:port, :port or [address]:port, not \"%.200s\"",
                            address);
    enum mr_status status = new_listen(session, lanes, &listen, err);
    if (status == MR_OK)
        status = open_socket(address, host, port, &listen->fd, err);
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
    for (int i = 0; i < listen->metrics.nruns; i++)
        mr_free(listen->metrics.runs[i].lane);
    mr_free(listen->metrics.runs);
    mr_free(listen->pipeline);
    mr_free(listen->query);
    pthread_mutex_destroy(&listen->lock);
    mr_free(listen);
}

/* ---- runs ---- */

enum mr_status mr_listen_add(struct mr_listen *listen, struct mr_session *session,
                             struct mr_totals *totals, struct mr_error *err)
{
    const struct mr_session_lane *lane = session->request.lane;
    enum mr_status status = MR_OK;
    if (listen == NULL)
        return MR_OK;
    pthread_mutex_lock(&listen->lock);
    struct mr_metrics *metrics = &listen->metrics;
    struct mr_metrics_run *runs =
        mr_realloc(metrics->runs, ((size_t)metrics->nruns + 1) * sizeof *runs);
    char *name = lane != NULL ? mr_strdup(lane->of.name) : NULL;
    if (runs != NULL)
        metrics->runs = runs;
    if (runs == NULL || (lane != NULL && name == NULL)) {
        mr_free(name);
        status = mr_error_nomem(err);
    } else {
        runs[metrics->nruns++] =
            (struct mr_metrics_run){.session = session, .totals = totals, .lane = name};
    }
    pthread_mutex_unlock(&listen->lock);
    return status;
}

void mr_listen_remove(struct mr_listen *listen, const struct mr_session *session)
{
    if (listen == NULL)
        return;
    pthread_mutex_lock(&listen->lock);
    struct mr_metrics *metrics = &listen->metrics;
    for (int i = 0; i < metrics->nruns; i++) {
        if (metrics->runs[i].session != session)
            continue;
        mr_free(metrics->runs[i].lane);
        memmove(&metrics->runs[i], &metrics->runs[i + 1],
                (size_t)(metrics->nruns - i - 1) * sizeof *metrics->runs);
        metrics->nruns--;
        break;
    }
    pthread_mutex_unlock(&listen->lock);
}
