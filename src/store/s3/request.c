/*
 * request.c - one request to S3 from its signature to an answer to live with.
 *
 * A flight is a call with its attempts. It is signed anew for every attempt, because the time, the
 * keys, the region or the clock may be others by then. All flights of a handle go on together:
 * whoever waits for one (s3_turn) judges and repeats those of the others that have come back, so
 * that parts of uploads are repeated while a later part is waited for.
 *
 * What an answer leads to:
 *
 *   301, 307, 308, 400 AuthorizationHeaderMalformed ...   the region it names, at once, twice at most
 *   403 RequestTimeTooSkewed                              the clock of its Date header, once
 *   400 ExpiredToken                                      other keys, once
 *   500 502 503 504 429 408, codes of throttling          again after a pause
 *   409 ConditionalRequestConflict, OperationAborted      again after a pause
 *   200 with <Error> inside (copy, complete)              as its code says
 *   a lost connection, a timeout                          again, on a fresh connection
 *   anything else                                         the caller's to judge
 *
 * Redirects are never followed by curl: the signature is for one host. HEAD answers have no body, so
 * the reason of a refused one is asked for by a GET of the first byte.
 */
#include "store/s3/s3_private.h"

#include "base/text.h"
#include "base/time.h"
#include "store/s3/xml.h"

#include <stdio.h>
#include <stdlib.h>

#define ANSWER_MAX   ((size_t)16 << 20)
#define STALL_MICROS INT64_C(30000000)
/* Attempts at a service that has never answered. */
#define SILENT_ATTEMPTS 4

static const struct mr_retry own_retry = {.attempts = 9,
                                          .delay_micros = 100000,
                                          .max_delay_micros = 20000000,
                                          .multiplier = 2,
                                          .jitter = true};

/* --- making --- */

enum mr_status s3_flight_new(struct s3 *s3, struct s3_flight **out, struct mr_error *err)
{
    struct s3_flight *flight = mr_calloc(1, sizeof *flight);
    *out = NULL;
    if (!flight)
        return mr_error_nomem(err);
    flight->s3 = s3;
    mr_arena_init(&flight->arena, NULL);
    mr_bytes_init(&flight->url, 1 << 16);
    mr_bytes_init(&flight->lines, 1 << 20);
    mr_http_answer_init(&flight->transfer.answer);
    flight->next = s3->flights;
    if (flight->next)
        flight->next->before = flight;
    s3->flights = flight;
    *out = flight;
    return MR_OK;
}

void s3_flight_free(struct s3_flight *flight)
{
    if (!flight)
        return;
    if (flight->moving)
        mr_transfer_cancel(&flight->transfer);
    *(flight->before ? &flight->before->next : &flight->s3->flights) = flight->next;
    if (flight->next)
        flight->next->before = flight->before;
    s3_credentials_unref(flight->credentials);
    if (flight->lines.data)
        explicit_bzero(flight->lines.data, flight->lines.size);
    mr_bytes_reset(&flight->lines);
    mr_bytes_reset(&flight->url);
    mr_http_answer_reset(&flight->transfer.answer);
    mr_arena_reset(&flight->arena);
    mr_free(flight);
}

void s3_flight_query(struct s3_flight *flight, const char *name, const char *value)
{
    flight->call.query[flight->call.nquery++] = (struct sigv4_pair){name, value};
}

void s3_flight_header(struct s3_flight *flight, const char *name, const char *value)
{
    flight->call.headers[flight->call.nheaders++] = (struct sigv4_pair){name, value};
}

const char *s3_flight_key(struct s3_flight *flight, const char *path)
{
    return mr_arena_printf(&flight->arena, "%s%s", flight->s3->config.prefix, path);
}

enum mr_status s3_flight_body_set(struct s3_flight *flight, struct mr_slice body,
                                  struct mr_error *err)
{
    const struct s3_config *config = &flight->s3->config;
    struct s3_hash *hash;
    char payload[SIGV4_HASH_SIZE], checksum[S3_CHECKSUM_SIZE];
    /* Small ones are hashed over TLS too: it costs nothing. */
    bool hashed = !config->https || body.size < (size_t)1 << 20;
    MR_TRY(s3_hash_new(config->checksum, hashed, &hash, err));
    s3_hash_add(hash, body.data, body.size);
    s3_hash_end(hash, payload, checksum);
    flight->call.body = (struct mr_slice){body.data ? body.data : "", body.size};
    flight->call.payload_hash = mr_arena_strdup(&flight->arena, payload);
    const char *sum = mr_arena_strdup(&flight->arena, checksum);
    if (!flight->call.payload_hash || !sum)
        return mr_error_nomem(err);
    if (*sum)
        s3_flight_header(flight, s3_checksum_header(config->checksum), sum);
    return MR_OK;
}

/* --- signing and sending --- */

/* "bucket.s3.eu-west-1.amazonaws.com" */
static const char *host_of(struct s3_flight *flight, const char *region)
{
    const struct s3_config *config = &flight->s3->config;
    const char *host = config->host;
    if (!config->given_host)
        host = mr_arena_printf(&flight->arena, "s3.%s.amazonaws.com%s", region,
                               strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    if (config->path_style || !host)
        return host;
    return mr_arena_printf(&flight->arena, "%s.%s", config->bucket, host);
}

static const char *path_of(struct s3_flight *flight)
{
    const struct s3_config *config = &flight->s3->config;
    const char *key = flight->call.key;
    const char *slash = key ? "/" : "";
    if (config->path_style)
        return mr_arena_printf(&flight->arena, "/%s%s%s", config->bucket, slash, key ? key : "");
    return mr_arena_printf(&flight->arena, "/%s", key ? key : "");
}

static void add_line(struct s3_flight *flight, size_t *starts, int *count, const char *name,
                     const char *value)
{
    starts[(*count)++] = flight->lines.size;
    mr_bytes_printf(&flight->lines, "%s: %s", name, value);
    mr_bytes_append(&flight->lines, "", 1);
}

/* The headers that are signed: the call's, and those of the signature itself. */
static int gather(const struct s3_flight *flight, const char *host, const char *date,
                  const char *hash, struct sigv4_pair *pairs)
{
    int count = 0;
    for (int i = 0; i < flight->call.nheaders; i++)
        pairs[count++] = flight->call.headers[i];
    pairs[count++] = (struct sigv4_pair){"host", host};
    pairs[count++] = (struct sigv4_pair){"x-amz-content-sha256", hash};
    pairs[count++] = (struct sigv4_pair){"x-amz-date", date};
    if (flight->credentials && flight->credentials->session_token)
        pairs[count++] =
            (struct sigv4_pair){"x-amz-security-token", flight->credentials->session_token};
    return count;
}

static enum mr_status write_headers(struct s3_flight *flight, struct sigv4_request *request,
                                    const char *region, struct mr_error *err)
{
    size_t starts[S3_HEADERS_MAX + 8];
    int count = 0;
    if (flight->lines.data)
        explicit_bzero(flight->lines.data, flight->lines.size);
    mr_bytes_clear(&flight->lines);
    for (int i = 0; i < request->nheaders; i++) {
        if (strcmp(request->headers[i].name, "host") != 0) /* curl sends that one */
            add_line(flight, starts, &count, request->headers[i].name, request->headers[i].value);
    }
    if (flight->credentials) {
        struct sigv4_key key = {flight->credentials->access_key, flight->credentials->secret_key,
                                region, "s3"};
        starts[count++] = flight->lines.size;
        mr_bytes_text(&flight->lines, "Authorization: ");
        MR_TRY(sigv4_sign(request, &key, &flight->lines, err));
        mr_bytes_append(&flight->lines, "", 1);
    }
    MR_TRY(mr_bytes_status(&flight->lines, err));
    for (int i = 0; i < count; i++)
        flight->list[i] = flight->lines.data + starts[i];
    flight->list[count] = NULL;
    return MR_OK;
}

static enum mr_status write_url(struct s3_flight *flight, const char *host, const char *path,
                                struct mr_error *err)
{
    mr_bytes_clear(&flight->url);
    mr_bytes_printf(&flight->url, "%s://%s", flight->s3->config.https ? "https" : "http", host);
    sigv4_encode(&flight->url, mr_slice_of(path), true);
    if (flight->call.nquery > 0) {
        mr_bytes_char(&flight->url, '?');
        MR_TRY(sigv4_query(&flight->url, flight->call.query, flight->call.nquery, err));
    }
    return mr_bytes_status(&flight->url, err);
}

static enum mr_status sign(struct s3_flight *flight, struct mr_error *err)
{
    struct s3 *s3 = flight->s3;
    char region[S3_REGION_SIZE], date[SIGV4_DATE_SIZE], empty[SIGV4_HASH_SIZE];
    struct sigv4_pair pairs[S3_HEADERS_MAX + 8];
    s3_service_region(s3->service, &s3->config, region);
    const char *host = host_of(flight, region);
    const char *path = path_of(flight);
    if (!host || !path)
        return mr_error_nomem(err);
    const struct s3_credentials *credentials;
    MR_TRY(
        s3_provider_get(s3_service_provider(s3->service), s3->runtime->waiter, &credentials, err));
    s3_credentials_unref(flight->credentials);
    flight->credentials = credentials;
    const char *hash = flight->call.payload_hash;
    if (!hash) {
        sigv4_hash(flight->call.body, empty);
        hash = empty;
    }
    sigv4_date(mr_clock_wall_micros() + s3_service_offset(s3->service), date);
    struct sigv4_request request = {
        .method = flight->call.method,
        .path = mr_slice_of(path),
        .query = flight->call.query,
        .nquery = flight->call.nquery,
        .headers = pairs,
        .nheaders = gather(flight, host, date, hash, pairs),
        .payload_hash = hash,
        .date = date,
    };
    MR_TRY(write_url(flight, host, path, err));
    return write_headers(flight, &request, region, err);
}

static void finish(struct s3_flight *flight, enum mr_status status)
{
    flight->status = status;
    flight->finished = true;
    flight->retry_at = 0;
}

static void send_attempt(struct s3_flight *flight, bool fresh)
{
    const struct s3_call *call = &flight->call;
    struct s3 *s3 = flight->s3;
    flight->retry_at = 0;
    flight->fault = (struct s3_fault){0};
    enum mr_status status = sign(flight, &flight->err);
    if (status != MR_OK) {
        finish(flight, status);
        return;
    }
    flight->attempts++;
    flight->transfer.request = (struct mr_http_request){
        .method = call->method,
        .url = flight->url.data,
        .headers = flight->list,
        .body = call->file ? (struct mr_slice){NULL, 0} : call->body,
        .file = call->file,
        .out = call->out,
        .out_size = call->out_size,
        .answer_max = call->answer_max ? call->answer_max : ANSWER_MAX,
        .timeout_micros = call->timeout_micros,
        .stall_micros = call->stall_micros ? call->stall_micros : STALL_MICROS,
        .fresh = fresh,
        .repeatable = true, /* nothing that we POST does harm twice */
    };
    flight->moving = true;
    mr_count(s3->runtime, MR_COUNT_REQUESTS, 1);
    mr_transfer_start(s3_service_transfers(s3->service), s3->mailbox, &flight->transfer);
}

void s3_flight_start(struct s3_flight *flight)
{
    send_attempt(flight, false);
}

/* --- answers --- */

int s3_flight_code(const struct s3_flight *flight)
{
    return flight->transfer.answer.status;
}

bool s3_flight_ok(const struct s3_flight *flight)
{
    int code = s3_flight_code(flight);
    return code >= 200 && code < 300 && flight->fault.code[0] == '\0';
}

struct mr_slice s3_flight_body(const struct s3_flight *flight)
{
    const struct mr_bytes *body = &flight->transfer.answer.body;
    return (struct mr_slice){body->data ? body->data : "", body->size};
}

static enum mr_status take_fault(void *context, const char *parent, const char *name,
                                 struct mr_slice text, struct mr_error *err)
{
    struct s3_fault *fault = context;
    (void)err;
    if (strcmp(parent, "Error") != 0)
        return MR_OK;
    int size = text.size < 250 ? (int)text.size : 250;
    if (strcmp(name, "Code") == 0)
        snprintf(fault->code, sizeof fault->code, "%.*s", size, text.data);
    else if (strcmp(name, "Message") == 0)
        snprintf(fault->message, sizeof fault->message, "%.*s", size, text.data);
    else if (strcmp(name, "Region") == 0)
        snprintf(fault->region, sizeof fault->region, "%.*s", size, text.data);
    return MR_OK;
}

void s3_fault_read(struct mr_slice body, struct s3_fault *out)
{
    const struct s3_xml reader = {take_fault, out};
    *out = (struct s3_fault){0};
    if (body.size > 0)
        s3_xml_read(body, &reader, NULL);
}

static void read_fault(struct s3_flight *flight)
{
    int code = s3_flight_code(flight);
    if (code >= 300)
        s3_fault_read(s3_flight_body(flight), &flight->fault);
    else if (flight->call.error_in_200)
        s3_fault_read(s3_flight_body(flight), &flight->fault);
    struct mr_slice region = mr_http_header(&flight->transfer.answer, "x-amz-bucket-region");
    if (region.size > 0 && region.size < sizeof flight->fault.region)
        snprintf(flight->fault.region, sizeof flight->fault.region, "%.*s", (int)region.size,
                 region.data);
}

static bool is_code(const struct s3_flight *flight, const char *const *codes)
{
    for (; *codes; codes++) {
        size_t size = strlen(*codes);
        bool prefix = (*codes)[size - 1] == '*';
        if (prefix ? strncmp(flight->fault.code, *codes, size - 1) == 0
                   : strcmp(flight->fault.code, *codes) == 0)
            return true;
    }
    return false;
}

/* Another region than the one it was signed for, named by the answer. */
static bool goes_elsewhere(struct s3_flight *flight)
{
    static const char *const codes[] = {"PermanentRedirect",
                                        "TemporaryRedirect",
                                        "Redirect",
                                        "AuthorizationHeaderMalformed",
                                        "IllegalLocationConstraintException",
                                        "IllegalLocationConstraint",
                                        "InvalidRegion",
                                        NULL};
    int code = s3_flight_code(flight);
    char now[S3_REGION_SIZE];
    bool head = strcmp(flight->call.method, "HEAD") == 0;
    bool says = code == 301 || code == 307 || code == 308 || is_code(flight, codes) ||
                (head && (code == 400 || code == 403));
    s3_service_region(flight->s3->service, &flight->s3->config, now);
    if (!says || flight->regions == 2 || flight->fault.region[0] == '\0' ||
        strcmp(flight->fault.region, now) == 0)
        return false;
    for (const char *c = flight->fault.region; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-'))
            return false; /* it becomes a part of a host name */
    flight->regions++;
    s3_service_set_region(flight->s3->service, flight->s3->config.bucket, flight->fault.region);
    mr_event(flight->s3->runtime, MR_LOG_DEBUG, "s3: bucket %s is in %s", flight->s3->config.bucket,
             flight->fault.region);
    return true;
}

static bool sets_clock(struct s3_flight *flight)
{
    static const char *const codes[] = {"RequestTimeTooSkewed", "RequestExpired", NULL};
    if (flight->reclocked || !is_code(flight, codes))
        return false;
    int64_t theirs = s3_http_date(mr_http_header(&flight->transfer.answer, "Date"));
    if (theirs == 0)
        return false;
    int64_t offset = theirs - mr_clock_wall_micros();
    flight->reclocked = true;
    s3_service_set_offset(flight->s3->service, offset);
    mr_event(flight->s3->runtime, MR_LOG_WARN,
             "s3: the clock of this machine is %lld s %s the service's; its time is used",
             (long long)(llabs(offset) / MR_MICROS_PER_SECOND), offset > 0 ? "behind" : "ahead of");
    return true;
}

static bool changes_keys(struct s3_flight *flight)
{
    static const char *const codes[] = {"ExpiredToken", "ExpiredTokenException",
                                        "TokenRefreshRequired", "RequestExpired", NULL};
    if (flight->refreshed || !flight->credentials || !is_code(flight, codes))
        return false;
    flight->refreshed = true;
    s3_provider_distrust(s3_service_provider(flight->s3->service), flight->credentials);
    return true;
}

static bool is_passing(const struct s3_flight *flight)
{
    static const char *const codes[] = {"RequestTimeout",
                                        "RequestTimeoutException",
                                        "PriorRequestNotComplete",
                                        "SlowDown",
                                        "Throttl*",
                                        "TooManyRequests*",
                                        "RequestThrottled*",
                                        "RequestLimitExceeded",
                                        "BandwidthLimitExceeded",
                                        "InternalError",
                                        "ServiceUnavailable",
                                        "OperationAborted",
                                        "ConditionalRequestConflict",
                                        NULL};
    switch (s3_flight_code(flight)) {
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return true;
    default:
        return is_code(flight, codes);
    }
}

/* Plans another attempt, unless there were enough. */
static bool plan_retry(struct s3_flight *flight, const char *why)
{
    struct s3 *s3 = flight->s3;
    const struct mr_http_answer *answer = &flight->transfer.answer;
    const struct mr_retry *retry = mr_retry_policy(s3->runtime, &own_retry);
    int most = retry->attempts;
    if (!s3_service_answered(s3->service) && most > SILENT_ATTEMPTS)
        most = SILENT_ATTEMPTS;
    if (flight->attempts >= most || !s3_service_spend(s3->service, flight->transfer.timed_out))
        return false;
    int64_t pause = mr_http_pause(retry, flight->attempts, answer->status ? answer : NULL);
    struct mr_slice asked = mr_http_header(answer, "x-amz-retry-after"); /* milliseconds */
    int64_t millis;
    if (mr_text_to_int64(asked, true, &millis) && millis > 0 && millis <= 20000 &&
        millis * 1000 > pause)
        pause = millis * 1000;
    flight->retry_at = mr_clock_monotonic_micros() + pause;
    char unit[300];
    struct mr_error cause = {.cls = MR_CLASS_TRANSIENT};
    snprintf(unit, sizeof unit, "%s s3://%s/%s", flight->call.method, s3->config.bucket,
             flight->call.key ? flight->call.key : "");
    snprintf(cause.message, sizeof cause.message, "%s", why);
    mr_retry_note(s3->runtime, unit, flight->attempts, pause, &cause);
    return true;
}

/* A refused HEAD says nothing: a GET of the first byte does. */
static bool asks_why(struct s3_flight *flight)
{
    int code = s3_flight_code(flight);
    if (strcmp(flight->call.method, "HEAD") != 0 || (code != 400 && code != 403))
        return false;
    flight->call.method = "GET";
    s3_flight_header(flight, "range", "bytes=0-0");
    return true;
}

/* The transfer came back: finished, or what next? */
static void judge(struct s3_flight *flight)
{
    flight->moving = false;
    if (flight->transfer.status != MR_OK) {
        flight->err = flight->transfer.err;
        flight->transfer.answer.status = 0;
        if (flight->call.write && flight->err.status == MR_SOURCE)
            flight->err.status = MR_SINK;
        bool passing = flight->err.cls == MR_CLASS_TRANSIENT || flight->err.cls == MR_CLASS_UNKNOWN;
        flight->uncertain |= passing;
        if (!passing || !plan_retry(flight, "no answer"))
            finish(flight, flight->err.status);
        return;
    }
    s3_service_set_answered(flight->s3->service);
    read_fault(flight);
    if (s3_flight_ok(flight)) {
        s3_service_earn(flight->s3->service);
        finish(flight, MR_OK);
    } else if (goes_elsewhere(flight) || sets_clock(flight) || changes_keys(flight) ||
               asks_why(flight)) {
        send_attempt(flight, false);
    } else {
        const char *why = flight->fault.code[0] ? flight->fault.code : "the service is busy";
        flight->uncertain |= s3_flight_code(flight) >= 500;
        if (!is_passing(flight) || !plan_retry(flight, why))
            finish(flight, MR_OK);
    }
}

/* --- waiting --- */

static void go_on(struct s3 *s3)
{
    int64_t now = mr_clock_monotonic_micros();
    for (struct s3_flight *flight = s3->flights; flight; flight = flight->next) {
        if (flight->moving && flight->transfer.done)
            judge(flight);
        else if (flight->retry_at != 0 && flight->retry_at <= now)
            send_attempt(flight, true);
    }
}

void s3_poll(struct s3 *s3)
{
    mr_mailbox_take(s3->mailbox);
    go_on(s3);
}

enum mr_status s3_turn(struct s3 *s3, enum mr_wait_cause cause, struct mr_error *err)
{
    int64_t deadline = INT64_MAX;
    bool moving = false;
    for (const struct s3_flight *flight = s3->flights; flight; flight = flight->next) {
        moving |= flight->moving;
        if (flight->retry_at != 0 && flight->retry_at < deadline)
            deadline = flight->retry_at;
    }
    MR_TRY(mr_mailbox_wait(s3->mailbox, s3->runtime->waiter, deadline,
                           moving ? cause : MR_WAIT_RETRY, err));
    go_on(s3);
    return MR_OK;
}

enum mr_status s3_flight_wait(struct s3_flight *flight, struct mr_error *err)
{
    while (!flight->finished)
        MR_TRY(s3_turn(flight->s3, flight->call.write ? MR_WAIT_SINK : MR_WAIT_SOURCE, err));
    if (flight->status != MR_OK && err)
        *err = flight->err;
    return flight->status;
}

enum mr_status s3_flight_run(struct s3_flight *flight, struct mr_error *err)
{
    s3_flight_start(flight);
    return s3_flight_wait(flight, err);
}
