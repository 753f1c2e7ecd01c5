/*
 * http.h - HTTP requests that wait only in mr_wait.
 *
 * A client keeps its connections open between requests and belongs to one thread at a time. A
 * request and its answer are held in memory; what is larger is cut into several requests by the
 * caller.
 */
#ifndef MR_NET_HTTP_H
#define MR_NET_HTTP_H

#include "base/bytes.h"
#include "base/retry.h"
#include "base/wait.h"

/* A part of a file that is a body. */
struct mr_http_file {
    int fd;
    int64_t offset;
    int64_t size;
};

/* NULL, 0 and false mean: the usual. Texts are copied by curl or must outlive the client. */
struct mr_http_options {
    const char *ca_file; /* PEM; NULL = the system's */
    const char *ca_path; /* directory of certificates */
    const char *client_cert;
    const char *client_key;
    const char *proxy; /* NULL = http_proxy, https_proxy, no_proxy of the environment */
    bool insecure;     /* certificates are not checked */
    int64_t connect_timeout_micros; /* 0 = 10 s */
    enum mr_status status;          /* of errors: MR_SOURCE, MR_SINK, MR_CREDENTIALS */
    enum mr_wait_cause cause;       /* what waiting is booked to */
    struct mr_retry_log *retries;   /* where attempts that are repeated are noted, or NULL */
    const char *step;               /* whose they are; with `retries` */
};

struct mr_http_answer {
    int status;              /* 200, ... */
    struct mr_bytes headers; /* "name: value" lines of the last answer, without the status line */
    struct mr_bytes body;
    size_t received; /* bytes of the body that went to the request's `out` */
    int attempts;
};

struct mr_http_request {
    const char *method; /* "GET" */
    const char *url;
    const char *const *headers; /* "Name: value", ended by NULL; or NULL */
    struct mr_slice body;
    const struct mr_http_file *file; /* instead of `body` */
    void *out;              /* where the body of a 2xx goes instead of the answer's; or NULL */
    size_t out_size;        /* more than this is MR_LIMIT */
    size_t answer_max;      /* bytes of the body; more is MR_LIMIT */
    int64_t timeout_micros; /* of one attempt, connecting included; 0 = none */
    int64_t stall_micros;   /* so long without a byte in or out ends the attempt; 0 = for ever */
    bool fresh;             /* on a new connection, the name looked up anew */
    int redirects;          /* so many are followed, never from https to http */
    bool repeatable;        /* doing it twice is doing it once; GET, HEAD, PUT, DELETE always are */
    /* Optional: true where an answer that could be retried (503) is one to live with. */
    bool (*final)(const struct mr_http_answer *answer);
};

/* Attempts on 429, 500, 502, 503, 504 and lost connections. Retry-After is heeded up to the cap. */
/* How long to pause after `attempts` attempts; `answer` NULL = nothing came back. */
int64_t mr_http_pause(const struct mr_retry *retry, int attempts,
                      const struct mr_http_answer *answer);

struct mr_http;

enum mr_status mr_http_new(const struct mr_http_options *options, struct mr_waiter *waiter,
                           struct mr_http **out, struct mr_error *err);
void mr_http_free(struct mr_http *http);

void mr_http_answer_init(struct mr_http_answer *answer);
/* Overwrites the body, which may hold secrets, before it is freed. */
void mr_http_answer_reset(struct mr_http_answer *answer);
/* The value of a header (name in any case), without surrounding blanks; empty when absent. */
struct mr_slice mr_http_header(const struct mr_http_answer *answer, const char *name);

/*
 * Sends it, once or (`retry` given) until there is an answer to live with. MR_OK for every status
 * of HTTP: the caller judges it. Else the error's class tells: TRANSIENT nothing came back in the
 * last attempt; UNKNOWN the same, but the request was sent and is not repeatable; CONFIG the URL,
 * the name or the certificate is wrong. URLs are in messages without their query; headers never.
 */
enum mr_status mr_http_send(struct mr_http *http, const struct mr_http_request *request,
                            const struct mr_retry *retry, struct mr_http_answer *answer,
                            struct mr_error *err);

#endif
