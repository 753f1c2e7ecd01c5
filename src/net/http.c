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
 */
#include "net/http.h"

#include "base/hash.h"
#include "base/time.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#define HEADERS_MAX    ((size_t)64 << 10)
#define CONNECT_MICROS INT64_C(10000000)

struct mr_http {
    struct mr_http_options options;
    struct mr_waiter *waiter;
    CURLM *multi;
    CURL *easy;
    int epoll;
    int64_t timer; /* when curl wants to be called; INT64_MAX = not by time */
    char detail[CURL_ERROR_SIZE];
    /* Of the request at hand. */
    struct mr_http_answer *answer;
    bool too_large;
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

/* --- what curl hands over --- */

static size_t take_body(char *data, size_t one, size_t size, void *context)
{
    struct mr_http *http = context;
    (void)one;
    mr_bytes_append(&http->answer->body, data, size);
    http->too_large = http->answer->body.status == MR_LIMIT;
    return http->answer->body.status == MR_OK ? size : 0;
}

static size_t take_header(char *data, size_t one, size_t size, void *context)
{
    struct mr_http *http = context;
    struct mr_bytes *headers = &http->answer->headers;
    (void)one;
    if (size >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        mr_bytes_clear(headers); /* an answer behind a redirect or a 100 */
        mr_bytes_clear(&http->answer->body);
        return size;
    }
    mr_bytes_append(headers, data, size);
    return headers->status == MR_OK ? size : 0;
}

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

void mr_http_set_waiter(struct mr_http *http, struct mr_waiter *waiter)
{
    http->waiter = waiter;
}

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

static bool is_https(const char *url)
{
    return strncasecmp(url, "https:", 6) == 0;
}

static void set_security(struct mr_http *http)
{
    const struct mr_http_options *options = &http->options;
    CURL *easy = http->easy;
    if (options->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
    if (options->ca_path)
        curl_easy_setopt(easy, CURLOPT_CAPATH, options->ca_path);
    if (options->client_cert)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, options->client_cert);
    if (options->client_key)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, options->client_key);
    if (options->proxy)
        curl_easy_setopt(easy, CURLOPT_PROXY, options->proxy);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, options->insecure ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, options->insecure ? 0L : 2L);
}

static void set_body(CURL *easy, const struct mr_http_request *request)
{
    if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (request->body.data || strcmp(request->method, "POST") == 0 ||
        strcmp(request->method, "PUT") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.data ? request->body.data : "");
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_request(struct mr_http *http, const struct mr_http_request *request,
                        struct curl_slist *headers)
{
    CURL *easy = http->easy;
    int64_t connect = http->options.connect_timeout_micros;
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "millrace");
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->detail);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)((connect > 0 ? connect : CONNECT_MICROS) / 1000 + 1));
    if (request->timeout_micros > 0)
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(request->timeout_micros / 1000 + 1));
    if (request->redirects > 0) {
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)request->redirects);
        curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR,
                         is_https(request->url) ? "https" : "http,https");
    }
    set_security(http);
    set_body(easy, request);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
}

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
    http->detail[0] = '\0';
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

/* --- errors --- */

static bool is_repeatable(const struct mr_http_request *request)
{
    return request->repeatable || strcmp(request->method, "POST") != 0;
}

static enum mr_error_class class_of(CURLcode code, const struct mr_http_request *request)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST: /* curl does not tell "unknown" from "try again" */
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR: /* nothing was sent yet */
        return MR_CLASS_TRANSIENT;
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return is_repeatable(request) ? MR_CLASS_TRANSIENT : MR_CLASS_UNKNOWN;
    default:
        return MR_CLASS_CONFIG;
    }
}

static enum mr_status transport_error(const struct mr_http *http, CURLcode code,
                                      const struct mr_http_request *request, struct mr_error *err)
{
    int size = (int)strcspn(request->url, "?#");
    if (code == CURLE_OUT_OF_MEMORY || http->answer->body.status == MR_NOMEM ||
        http->answer->headers.status == MR_NOMEM)
        return mr_error_nomem(err);
    if (http->too_large)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG,
                            "%s %.*s: the answer is larger than %zu bytes", request->method, size,
                            request->url, request->answer_max);
    mr_error_set(err, http->options.status, class_of(code, request), "%s %.*s: %s", request->method,
                 size, request->url, http->detail[0] ? http->detail : curl_easy_strerror(code));
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        mr_error_hint(err, "the server's certificate is not signed by a known authority, or is for "
                           "another name");
    return http->options.status;
}

/* --- sending --- */

/* A line break would begin another header. */
static enum mr_status make_headers(const struct mr_http *http,
                                   const struct mr_http_request *request, struct curl_slist **out,
                                   struct mr_error *err)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    for (int i = 0; list && request->headers && request->headers[i]; i++) {
        if (strpbrk(request->headers[i], "\r\n")) {
            curl_slist_free_all(list);
            return mr_error_set(err, http->options.status, MR_CLASS_CONFIG,
                                "the header \"%.*s\" has a line break in its value",
                                (int)strcspn(request->headers[i], ":\r\n"), request->headers[i]);
        }
        struct curl_slist *longer = curl_slist_append(list, request->headers[i]);
        if (!longer)
            curl_slist_free_all(list);
        list = longer;
    }
    *out = list;
    return list ? MR_OK : mr_error_nomem(err);
}

static enum mr_status attempt(struct mr_http *http, const struct mr_http_request *request,
                              struct mr_http_answer *answer, struct mr_error *err)
{
    struct curl_slist *headers = NULL;
    CURLcode code = CURLE_OK;
    mr_http_answer_reset(answer);
    answer->body.maximum = request->answer_max > 0 ? request->answer_max : MR_BYTES_DEFAULT_MAXIMUM;
    answer->status = 0;
    http->answer = answer;
    http->too_large = false;
    MR_TRY(make_headers(http, request, &headers, err));
    set_request(http, request, headers);
    enum mr_status status = transfer(http, &code, err);
    if (status == MR_OK && code != CURLE_OK)
        status = transport_error(http, code, request, err);
    long http_status = 0;
    if (status == MR_OK)
        curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &http_status);
    answer->status = (int)http_status;
    curl_easy_reset(http->easy); /* forgets the list, and the headers with what is secret in them */
    curl_slist_free_all(headers);
    http->answer = NULL;
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
        return is_repeatable(request);
    default:
        return false;
    }
}

static int64_t pause_before(const struct mr_http_retry *retry, int attempts,
                            const struct mr_http_answer *answer)
{
    double delay = (double)retry->delay_micros;
    for (int i = 1; i < attempts; i++)
        delay *= retry->multiplier > 1 ? retry->multiplier : 1;
    if (retry->jitter) /* between half of it and all */
        delay *= 0.5 + (double)(mr_hash_mix((uint64_t)mr_clock_monotonic_micros()) % 1000) / 2000;
    struct mr_slice after = mr_http_header(answer, "Retry-After");
    double asked = after.size > 0 && after.size < 10 ? atof(after.data) * 1e6 : 0;
    if (asked > delay)
        delay = asked;
    if (retry->max_delay_micros > 0 && delay > (double)retry->max_delay_micros)
        delay = (double)retry->max_delay_micros;
    return (int64_t)delay;
}

enum mr_status mr_http_send(struct mr_http *http, const struct mr_http_request *request,
                            const struct mr_http_retry *retry, struct mr_http_answer *answer,
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
        int64_t pause = pause_before(retry, answer->attempts, answer);
        MR_TRY(mr_wait(http->waiter, -1, 0, mr_clock_monotonic_micros() + pause, MR_WAIT_RETRY,
                       NULL, err));
    }
}
