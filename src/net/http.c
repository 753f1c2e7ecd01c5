/*
 * http.c - an HTTP client over curl's multi interface.
 *
 * curl tells which sockets it watches and when it wants to be called again; the sockets are put
 * into an epoll set, and that one descriptor is what mr_wait waits for. So a request gives back the
 * CPU permit, wakes on cancel and is booked to its cause, as everything else that waits. The
 * alternatives: curl_easy_perform and curl_multi_poll, which block by themselves. Names are looked
 * up by curl's resolver thread, whose descriptor is in the set as well.
 *
 * One easy handle is used again and again: connections and TLS sessions live in the multi handle.
 * How it is set up for a request, and what its failures mean, is in exchange.c.
 */
#include "net/http.h"

#include "base/time.h"
#include "net/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#define HEADERS_MAX ((size_t)64 << 10)

struct mr_http {
    struct mr_http_options options;
    struct mr_waiter *waiter;
    CURLM *multi;
    CURL *easy;
    int epoll;
    int64_t timer;               /* when curl wants to be called; INT64_MAX = not by time */
    struct mr_exchange exchange; /* the request at hand */
};

/* --- what curl watches --- */

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *assigned)
{
    struct mr_http *http = context;
    struct epoll_event event = {.data.fd = fd};
    (void)easy;
    (void)assigned;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(http->epoll, EPOLL_CTL_DEL, fd, &event);
        return 0;
    }
    if (what & CURL_POLL_IN)
        event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        event.events |= EPOLLOUT;
    if (epoll_ctl(http->epoll, EPOLL_CTL_MOD, fd, &event) != 0 && errno == ENOENT)
        return epoll_ctl(http->epoll, EPOLL_CTL_ADD, fd, &event) != 0 ? -1 : 0;
    return 0;
}

static int watch_timer(CURLM *multi, long millis, void *context)
{
    struct mr_http *http = context;
    (void)multi;
    http->timer = millis < 0 ? INT64_MAX : mr_clock_monotonic_micros() + (int64_t)millis * 1000;
    return 0;
}

/* --- answers --- */

void mr_http_answer_init(struct mr_http_answer *answer)
{
    *answer = (struct mr_http_answer){0};
    mr_bytes_init(&answer->headers, HEADERS_MAX);
    mr_bytes_init(&answer->body, MR_BYTES_DEFAULT_MAXIMUM);
}

void mr_http_answer_reset(struct mr_http_answer *answer)
{
    if (answer->body.data)
        explicit_bzero(answer->body.data, answer->body.size);
    mr_bytes_reset(&answer->body);
    mr_bytes_reset(&answer->headers);
}

struct mr_slice mr_http_header(const struct mr_http_answer *answer, const char *name)
{
    const char *line = answer->headers.data;
    size_t size = strlen(name);
    while (line && *line) {
        const char *end = strchr(line, '\n');
        const char *stop = end ? end : line + strlen(line);
        if (strncasecmp(line, name, size) == 0 && line[size] == ':') {
            line += size + 1;
            while (line < stop && (*line == ' ' || *line == '\t'))
                line++;
            while (stop > line && (stop[-1] == '\r' || stop[-1] == ' '))
                stop--;
            return (struct mr_slice){line, (size_t)(stop - line)};
        }
        line = end ? end + 1 : NULL;
    }
    return (struct mr_slice){"", 0};
}

/* --- the client --- */

void mr_http_free(struct mr_http *http)
{
    if (!http)
        return;
    if (http->easy)
        curl_easy_cleanup(http->easy);
    if (http->multi)
        curl_multi_cleanup(http->multi);
    if (http->epoll >= 0)
        close(http->epoll);
    mr_free(http);
}

enum mr_status mr_http_new(const struct mr_http_options *options, struct mr_waiter *waiter,
                           struct mr_http **out, struct mr_error *err)
{
    *out = NULL;
    struct mr_http *http = mr_calloc(1, sizeof *http);
    if (!http)
        return mr_error_nomem(err);
    http->options = *options;
    http->waiter = waiter;
    http->timer = INT64_MAX;
    http->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (http->epoll < 0) {
        enum mr_status status = mr_error_errno(err, MR_LIMIT, errno, "epoll_create1");
        mr_http_free(http);
        return status;
    }
    http->easy = curl_easy_init(); /* first: it sets curl up, safely from any thread */
    http->multi = curl_multi_init();
    if (!http->easy || !http->multi) {
        mr_http_free(http);
        return mr_error_nomem(err);
    }
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, watch_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    *out = http;
    return MR_OK;
}

/* --- one attempt --- */

/* One wait and what follows from it. */
static enum mr_status turn(struct mr_http *http, struct mr_error *err)
{
    bool timed_out;
    int running;
    struct epoll_event events[16];
    MR_TRY(mr_wait(http->waiter, http->epoll, MR_WAIT_READ, http->timer, http->options.cause,
                   &timed_out, err));
    if (timed_out) {
        http->timer = INT64_MAX;
        curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        return MR_OK;
    }
    int n = epoll_wait(http->epoll, events, 16, 0);
    for (int i = 0; i < n; i++) {
        int mask = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(http->multi, events[i].data.fd, mask, &running);
    }
    return MR_OK;
}

static enum mr_status transfer(struct mr_http *http, CURLcode *code, struct mr_error *err)
{
    if (curl_multi_add_handle(http->multi, http->easy) != CURLM_OK)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (bool done = false; status == MR_OK && !done;) {
        status = turn(http, err);
        int left;
        for (CURLMsg *message; (message = curl_multi_info_read(http->multi, &left)) != NULL;)
            if (message->msg == CURLMSG_DONE) {
                *code = message->data.result;
                done = true;
            }
    }
    curl_multi_remove_handle(http->multi, http->easy);
    return status;
}

/* --- sending --- */

static enum mr_status attempt(struct mr_http *http, const struct mr_http_request *request,
                              struct mr_http_answer *answer, struct mr_error *err)
{
    CURLcode code = CURLE_OK;
    MR_TRY(mr_exchange_open(&http->exchange, http->easy, &http->options, request, answer, err));
    enum mr_status status = transfer(http, &code, err);
    if (status == MR_OK)
        return mr_exchange_end(&http->exchange, code, err);
    mr_exchange_close(&http->exchange);
    return status;
}

static bool worth_another(const struct mr_http_request *request, enum mr_status status,
                          const struct mr_http_answer *answer, const struct mr_error *err)
{
    if (status != MR_OK)
        return status != MR_CANCELLED && err->cls == MR_CLASS_TRANSIENT;
    if (request->final && request->final(answer))
        return false;
    switch (answer->status) {
    case 429:
    case 503:
        return true;
    case 500:
    case 502:
    case 504:
        return mr_exchange_repeatable(request);
    default:
        return false;
    }
}

int64_t mr_http_pause(const struct mr_retry *retry, int attempts,
                      const struct mr_http_answer *answer)
{
    double delay = (double)mr_retry_pause(retry, attempts, mr_retry_random());
    struct mr_slice after = answer ? mr_http_header(answer, "Retry-After") : mr_slice_of("");
    double asked = after.size > 0 && after.size < 10 ? atof(after.data) * 1e6 : 0;
    if (asked > delay)
        delay = asked;
    if (retry->max_delay_micros > 0 && delay > (double)retry->max_delay_micros)
        delay = (double)retry->max_delay_micros;
    return (int64_t)delay;
}

static void note_retry(struct mr_http *http, const struct mr_http_request *request,
                       const struct mr_http_answer *answer, enum mr_status status,
                       const struct mr_error *failure, int64_t pause)
{
    char unit[300], message[64];
    snprintf(unit, sizeof unit, "%s %.*s", request->method, (int)strcspn(request->url, "?"),
             request->url);
    snprintf(message, sizeof message, "HTTP status %d", answer->status);
    struct mr_retry_entry entry = {
        .step = http->options.step ? http->options.step : "",
        .unit = unit,
        .cls = status == MR_OK ? MR_CLASS_TRANSIENT : failure->cls,
        .attempt = answer->attempts,
        .delay_micros = pause,
        .message = status == MR_OK ? message : failure->message,
    };
    mr_retry_log_add(http->options.retries, &entry);
}

enum mr_status mr_http_send(struct mr_http *http, const struct mr_http_request *request,
                            const struct mr_retry *retry, struct mr_http_answer *answer,
                            struct mr_error *err)
{
    for (answer->attempts = 1;; answer->attempts++) {
        struct mr_error failure = {0};
        if (mr_wait_cancelled(http->waiter))
            return mr_error_cancelled(err);
        enum mr_status status = attempt(http, request, answer, &failure);
        if (!retry || answer->attempts >= retry->attempts ||
            !worth_another(request, status, answer, &failure)) {
            if (status != MR_OK && err)
                *err = failure;
            return status;
        }
        int64_t pause = mr_http_pause(retry, answer->attempts, answer);
        note_retry(http, request, answer, status, &failure, pause);
        MR_TRY(mr_wait(http->waiter, -1, 0, mr_clock_monotonic_micros() + pause, MR_WAIT_RETRY,
                       NULL, err));
    }
}
