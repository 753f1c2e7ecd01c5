/*
 * exchange.c - a request put onto an easy handle of curl, and what its failure means.
 *
 * TLS, proxy, time limits, headers, bodies and the classes of errors are decided here only, so that
 * the client for small requests and the pump for large ones cannot differ in what they verify or
 * print. URLs are in messages without their query, which may hold a signature; headers never.
 *
 * A body is memory or a part of a file; both can be sent again, which curl needs when a connection
 * that it kept open turns out to be dead.
 */
#include "net/exchange.h"

#include <errno.h>
#include <strings.h>
#include <unistd.h>

#define CONNECT_MICROS INT64_C(10000000)
#define BUFFER_BYTES   ((long)512 << 10)

/* --- what curl hands over --- */

static size_t take_body(char *data, size_t one, size_t size, void *context)
{
    struct mr_exchange *exchange = context;
    struct mr_http_answer *answer = exchange->answer;
    (void)one;
    if (exchange->into_out) {
        if (size > exchange->request->out_size - answer->received) {
            exchange->too_large = true;
            return 0;
        }
        memcpy((char *)exchange->request->out + answer->received, data, size);
        answer->received += size;
        return size;
    }
    mr_bytes_append(&answer->body, data, size);
    exchange->too_large = answer->body.status == MR_LIMIT;
    return answer->body.status == MR_OK ? size : 0;
}

/* The first digit of the status in "HTTP/1.1 206 Partial Content". */
static char status_digit(const char *data, size_t size)
{
    const char *space = memchr(data, ' ', size);
    return space && (size_t)(space - data) + 1 < size ? space[1] : '0';
}

static size_t take_header(char *data, size_t one, size_t size, void *context)
{
    struct mr_exchange *exchange = context;
    struct mr_bytes *headers = &exchange->answer->headers;
    (void)one;
    if (size >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        mr_bytes_clear(headers); /* an answer behind a redirect or a 100 */
        mr_bytes_clear(&exchange->answer->body);
        exchange->answer->received = 0;
        exchange->into_out = exchange->request->out && status_digit(data, size) == '2';
        return size;
    }
    mr_bytes_append(headers, data, size);
    return headers->status == MR_OK ? size : 0;
}

static size_t give_body(char *data, size_t one, size_t size, void *context)
{
    struct mr_exchange *exchange = context;
    const struct mr_http_file *file = exchange->request->file;
    (void)one;
    int64_t left = file->size - exchange->position;
    if ((int64_t)size > left)
        size = (size_t)left;
    ssize_t n;
    do {
        n = pread(file->fd, data, size, file->offset + exchange->position);
    } while (n < 0 && errno == EINTR);
    if (n < 0 || (n == 0 && size > 0)) {
        exchange->file_failed = true;
        return CURL_READFUNC_ABORT;
    }
    exchange->position += n;
    return (size_t)n;
}

static int seek_body(void *context, curl_off_t offset, int origin)
{
    struct mr_exchange *exchange = context;
    if (origin != SEEK_SET || offset < 0 || offset > exchange->request->file->size)
        return CURL_SEEKFUNC_FAIL;
    exchange->position = offset;
    return CURL_SEEKFUNC_OK;
}

/* --- setting up --- */

static bool is_https(const char *url)
{
    return strncasecmp(url, "https:", 6) == 0;
}

static void set_security(CURL *easy, const struct mr_http_options *options)
{
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

static void set_body(struct mr_exchange *exchange)
{
    const struct mr_http_request *request = exchange->request;
    CURL *easy = exchange->easy;
    if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (request->file) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->file->size);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(easy, CURLOPT_READDATA, exchange);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek_body);
        curl_easy_setopt(easy, CURLOPT_SEEKDATA, exchange);
    } else if (request->body.data || strcmp(request->method, "POST") == 0 ||
               strcmp(request->method, "PUT") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.data ? request->body.data : "");
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_limits(struct mr_exchange *exchange)
{
    const struct mr_http_request *request = exchange->request;
    CURL *easy = exchange->easy;
    int64_t connect = exchange->options->connect_timeout_micros;
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)((connect > 0 ? connect : CONNECT_MICROS) / 1000 + 1));
    if (request->timeout_micros > 0)
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(request->timeout_micros / 1000 + 1));
    if (request->stall_micros > 0) {
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                         (long)((request->stall_micros + 999999) / 1000000));
    }
    if (request->fresh) {
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    }
    if (request->redirects > 0) {
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)request->redirects);
        curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR,
                         is_https(request->url) ? "https" : "http,https");
    }
}

static void set_request(struct mr_exchange *exchange)
{
    CURL *easy = exchange->easy;
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, exchange->request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Giving up while a name is looked up does not wait for the resolver's thread. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "millrace");
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->detail);
    if (exchange->http_1) {
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
        curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
    }
    set_limits(exchange);
    set_security(easy, exchange->options);
    set_body(exchange);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
}

/* A line break would begin another header. */
static enum mr_status make_headers(struct mr_exchange *exchange, struct mr_error *err)
{
    const struct mr_http_request *request = exchange->request;
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    for (int i = 0; list && request->headers && request->headers[i]; i++) {
        if (strpbrk(request->headers[i], "\r\n")) {
            curl_slist_free_all(list);
            return mr_error_set(err, exchange->options->status, MR_CLASS_CONFIG,
                                "the header \"%.*s\" has a line break in its value",
                                (int)strcspn(request->headers[i], ":\r\n"), request->headers[i]);
        }
        struct curl_slist *longer = curl_slist_append(list, request->headers[i]);
        if (!longer)
            curl_slist_free_all(list);
        list = longer;
    }
    exchange->headers = list;
    return list ? MR_OK : mr_error_nomem(err);
}

enum mr_status mr_exchange_open(struct mr_exchange *exchange, CURL *easy,
                                const struct mr_http_options *options,
                                const struct mr_http_request *request,
                                struct mr_http_answer *answer, struct mr_error *err)
{
    bool http_1 = exchange->http_1;
    *exchange = (struct mr_exchange){
        .easy = easy, .options = options, .request = request, .answer = answer, .http_1 = http_1};
    mr_http_answer_reset(answer);
    answer->body.maximum = request->answer_max > 0 ? request->answer_max : MR_BYTES_DEFAULT_MAXIMUM;
    answer->status = 0;
    answer->received = 0;
    MR_TRY(make_headers(exchange, err));
    set_request(exchange);
    return MR_OK;
}

/* --- the end --- */

bool mr_exchange_repeatable(const struct mr_http_request *request)
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
        return mr_exchange_repeatable(request) ? MR_CLASS_TRANSIENT : MR_CLASS_UNKNOWN;
    default:
        return MR_CLASS_CONFIG;
    }
}

static enum mr_status transport_error(const struct mr_exchange *exchange, CURLcode code,
                                      struct mr_error *err)
{
    const struct mr_http_request *request = exchange->request;
    const struct mr_http_answer *answer = exchange->answer;
    enum mr_status status = exchange->options->status;
    int size = (int)strcspn(request->url, "?#");
    if (code == CURLE_OUT_OF_MEMORY || answer->body.status == MR_NOMEM ||
        answer->headers.status == MR_NOMEM)
        return mr_error_nomem(err);
    if (exchange->too_large)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG,
                            "%s %.*s: the answer is larger than %zu bytes", request->method, size,
                            request->url,
                            exchange->into_out ? request->out_size : request->answer_max);
    if (exchange->file_failed)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG,
                            "%s %.*s: the temporary file with the body cannot be read",
                            request->method, size, request->url);
    mr_error_set(err, status, class_of(code, request), "%s %.*s: %s", request->method, size,
                 request->url, exchange->detail[0] ? exchange->detail : curl_easy_strerror(code));
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        mr_error_hint(err, "the server's certificate is not signed by a known authority, or is for "
                           "another name");
    return status;
}

enum mr_status mr_exchange_end(struct mr_exchange *exchange, CURLcode code, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    long http_status = 0;
    if (code != CURLE_OK)
        status = transport_error(exchange, code, err);
    else
        curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &http_status);
    exchange->answer->status = (int)http_status;
    mr_exchange_close(exchange);
    return status;
}

void mr_exchange_close(struct mr_exchange *exchange)
{
    curl_easy_reset(exchange->easy);
    curl_slist_free_all(exchange->headers);
    exchange->headers = NULL;
}
