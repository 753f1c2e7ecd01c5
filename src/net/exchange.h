/*
 * exchange.h - one request on one of curl's easy handles: shared by http.c, which waits for one
 * at a time, and transfer.c, where a thread moves many.
 */
#ifndef MR_NET_EXCHANGE_H
#define MR_NET_EXCHANGE_H

#include "net/http.h"

#include <curl/curl.h>

struct mr_exchange {
    CURL *easy;
    const struct mr_http_options *options;
    const struct mr_http_request *request;
    struct mr_http_answer *answer;
    struct curl_slist *headers;
    char detail[CURL_ERROR_SIZE];
    int64_t position; /* in the file that is the body */
    bool too_large;   /* the answer is */
    bool file_failed; /* reading the file did */
    bool into_out;    /* the body of this answer goes to request->out */
    bool http_1;      /* no later version of the protocol: set before open */
};

/*
 * Sets the handle up; all pointers must stay until it is closed. The answer is emptied. On failure
 * nothing needs closing.
 */
enum mr_status mr_exchange_open(struct mr_exchange *exchange, CURL *easy,
                                const struct mr_http_options *options,
                                const struct mr_http_request *request,
                                struct mr_http_answer *answer, struct mr_error *err);
/* Judges what curl said, fills answer->status, closes. Errors as mr_http_send has them. */
enum mr_status mr_exchange_end(struct mr_exchange *exchange, CURLcode code, struct mr_error *err);
/* The handle forgets the request, and the headers with what is secret in them. */
void mr_exchange_close(struct mr_exchange *exchange);
/* Is sending it twice the same as sending it once? */
bool mr_exchange_repeatable(const struct mr_http_request *request);

#endif
