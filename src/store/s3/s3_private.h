/*
 * s3_private.h - what the files of the S3 store share: settings, the service that handles share,
 * requests in flight.
 */
#ifndef MR_STORE_S3_PRIVATE_H
#define MR_STORE_S3_PRIVATE_H

#include "net/transfer.h"
#include "store/s3/credentials.h"
#include "store/s3/hash.h"
#include "store/s3/s3.h"

#define S3_PATH_MAX  1024 /* bytes of a key */
#define S3_HIDDEN    ".millrace/"
#define S3_TOKEN     "x-amz-meta-millrace-token"
#define S3_PART_MIN  ((int64_t)5 << 20)
#define S3_PART_MAX  ((int64_t)5 << 30)
#define S3_PARTS_MAX 10000

/* Arena-owned texts, never NULL unless said. */
struct s3_config {
    const char *bucket;
    const char *prefix; /* in front of every path: "" or "a/b/" */
    const char *host;   /* of the service, with the port where it is not the usual one */
    bool https;
    bool aws; /* Amazon's own service: what it honours is known */
    bool path_style;
    bool given_host;     /* an endpoint, not made of the region */
    const char *region;  /* "" = to be found out */
    const char *ca_file; /* NULL */
    const char *proxy;   /* NULL */
    int connections;
    int64_t connect_micros;
    enum s3_checksum checksum;
    int64_t part_size;
    int64_t threshold;
    int upload_threads;
    bool disk; /* parts wait there */
    struct s3_credentials_options credentials;
};

enum mr_status s3_config_read(const char *url, const struct mr_options *options,
                              struct mr_runtime *runtime, struct mr_arena *arena,
                              struct s3_config *out, struct mr_error *err);

/* --- what the handles of a run share; any thread --- */

struct s3_service;

enum mr_status s3_service_get(struct mr_runtime *runtime, const struct s3_config *config,
                              struct s3_service **out, bool *owned, struct mr_error *err);
void s3_service_free(void *service);
struct mr_transfers *s3_service_transfers(struct s3_service *service);
struct s3_provider *s3_service_provider(struct s3_service *service);
/* Region of the bucket: as found out, else as given, else a guess. Into `out`. */
#define S3_REGION_SIZE 64
void s3_service_region(struct s3_service *service, const struct s3_config *config,
                       char out[S3_REGION_SIZE]);
void s3_service_set_region(struct s3_service *service, const char *bucket, const char *region);
/* What to add to the clock so that the service agrees with it. */
int64_t s3_service_offset(struct s3_service *service);
void s3_service_set_offset(struct s3_service *service, int64_t micros);
/* May a request be repeated once more? Keeps a broken service from being flooded. */
bool s3_service_spend(struct s3_service *service, bool timeout);
void s3_service_earn(struct s3_service *service);
/* Did it answer anything in this run? One that never did is given up sooner: the endpoint is wrong. */
bool s3_service_answered(struct s3_service *service);
void s3_service_set_answered(struct s3_service *service);
/* Does the bucket honour If-None-Match? 1 yes, -1 no, 0 not known. */
int s3_service_conditional(struct s3_service *service, const char *bucket);
void s3_service_set_conditional(struct s3_service *service, const char *bucket, int answer);

/* --- requests --- */

#define S3_QUERY_MAX   6
#define S3_HEADERS_MAX 12

/* Texts must stay until the flight is freed (its arena is there for them). */
struct s3_call {
    const char *method;
    const char *key; /* with the prefix; NULL = the bucket */
    struct sigv4_pair query[S3_QUERY_MAX];
    int nquery;
    struct sigv4_pair headers[S3_HEADERS_MAX]; /* names in lower case */
    int nheaders;
    struct mr_slice body;
    const struct mr_http_file *file;
    const char *payload_hash; /* NULL = of `body` */
    void *out;                /* where the body of a 2xx goes, or NULL */
    size_t out_size;
    size_t answer_max;
    int64_t timeout_micros; /* of one attempt; 0 = only stalls end it */
    int64_t stall_micros;   /* 0 = the usual */
    bool write;             /* failing is MR_SINK */
    bool error_in_200;      /* the body of a 200 may be an error */
};

/* What S3 said was wrong. */
struct s3_fault {
    char code[64];
    char message[256];
    char region[S3_REGION_SIZE];
};

struct s3_flight {
    struct mr_transfer transfer;
    struct s3 *s3;
    struct s3_flight *next; /* of the handle */
    struct s3_flight *before;
    struct s3_call call;
    struct mr_arena arena;
    struct mr_bytes url;
    struct mr_bytes lines; /* the headers as they are sent */
    const char *list[S3_HEADERS_MAX + 8];
    const struct s3_credentials *credentials; /* of this attempt */
    int attempts;
    int regions; /* times that it was sent to another one */
    bool refreshed;
    bool reclocked;
    bool moving;      /* its transfer is started */
    int64_t retry_at; /* monotonic; 0 = not waiting */
    bool uncertain;   /* an attempt may have had its effect without our knowing */
    bool finished;
    enum mr_status status; /* MR_OK: there is an answer, of whatever HTTP status */
    struct mr_error err;
    struct s3_fault fault; /* when the HTTP status, or the body of a 200, is an error */
};

struct s3_stage;
struct s3_background; /* something the handle finishes by itself */
struct s3_buffers;

/* A handle. One thread at a time. */
struct s3 {
    struct mr_arena arena;
    struct mr_runtime *runtime;
    struct s3_config config;
    struct s3_service *service;
    bool owned;
    struct mr_mailbox *mailbox;
    struct s3_flight *flights;
    struct s3_background *background;
    int nbackground;
    struct s3_stage *stages;    /* with parts in flight */
    struct s3_buffers *buffers; /* NULL until something is staged */
    /* The object read last. */
    char *read_path;
    char *read_etag;
    int64_t read_size; /* -1 = not known */
};

/* Makes a flight with an empty call. */
enum mr_status s3_flight_new(struct s3 *s3, struct s3_flight **out, struct mr_error *err);
/* Ends it if it is under way. */
void s3_flight_free(struct s3_flight *flight);
void s3_flight_query(struct s3_flight *flight, const char *name, const char *value);
void s3_flight_header(struct s3_flight *flight, const char *name, const char *value);
/* prefix + path, in the arena; NULL when out of memory. */
const char *s3_flight_key(struct s3_flight *flight, const char *path);
/* Signs and sends. What fails is told when it is finished. */
void s3_flight_start(struct s3_flight *flight);
/* Goes on with all flights of the handle: one wait, judging, repeating. */
enum mr_status s3_turn(struct s3 *s3, enum mr_wait_cause cause, struct mr_error *err);
/* The same without waiting. */
void s3_poll(struct s3 *s3);
/* Until it is finished; MR_OK when there is an answer. */
enum mr_status s3_flight_wait(struct s3_flight *flight, struct mr_error *err);
/* start and wait. */
enum mr_status s3_flight_run(struct s3_flight *flight, struct mr_error *err);
int s3_flight_code(const struct s3_flight *flight); /* HTTP status, 0 = none */
bool s3_flight_ok(const struct s3_flight *flight);  /* 2xx without an error inside */
struct mr_slice s3_flight_body(const struct s3_flight *flight);

/*
 * The error of an answer that is not a success: "cannot <what> s3://bucket/key: ...", with its
 * class, the exit code and what to do.
 */
enum mr_status s3_flight_error(const struct s3_flight *flight, const char *what,
                               struct mr_error *err);
/* Reads code, message and region out of an error document. */
void s3_fault_read(struct mr_slice body, struct s3_fault *out);

/* Refuses what cannot be a path of an object that we write. */
enum mr_status s3_check_path(const struct s3 *s3, const char *path, struct mr_error *err);
/* "Sun, 06 Nov 1994 08:49:37 GMT" in microseconds; 0 when it is not one. */
int64_t s3_http_date(struct mr_slice text);
/* Payload hash and checksum headers for a body in memory. */
enum mr_status s3_flight_body_set(struct s3_flight *flight, struct mr_slice body,
                                  struct mr_error *err);

/* --- reading (read.c, list.c) --- */

enum mr_status s3_read(void *handle, const char *path, int64_t offset, void *out, size_t size,
                       size_t *got, struct mr_error *err);
enum mr_status s3_read_many(void *handle, const char *path, struct mr_store_read *reads, int nreads,
                            struct mr_error *err);
enum mr_status s3_stat(void *handle, const char *path, struct mr_store_entry *entry, bool *exists,
                       struct mr_error *err);
enum mr_status s3_list(void *handle, const char *prefix, const char *after, bool hidden,
                       enum mr_status (*each)(void *context, const struct mr_store_entry *entry,
                                              struct mr_error *err),
                       void *context, struct mr_error *err);
/* %XX and '+' as in forms; what is no code stays. NULL when out of memory. */
char *s3_url_decode(struct mr_arena *arena, struct mr_slice text);
/* Forgets what is known of the object read last. */
void s3_forget(struct s3 *s3);
/* What HEAD says: size, token (empty when there is none). */
struct s3_head {
    bool exists;
    int64_t size;
    int64_t modified_micros;
    char token[64];
};
enum mr_status s3_head(struct s3 *s3, const char *path, bool write, struct s3_head *out,
                       struct mr_error *err);

/* --- writing (put.c, stage.c, publish.c) --- */

enum mr_status s3_put(void *handle, const char *path, struct mr_slice data, struct mr_error *err);
enum mr_status s3_put_if_absent(void *handle, const char *path, struct mr_slice data, bool *created,
                                struct mr_error *err);
enum mr_status s3_remove(void *handle, const char *path, struct mr_error *err);
enum mr_status s3_stage_open(void *handle, const char *path, const char *tag, void **stage,
                             struct mr_error *err);
enum mr_status s3_stage_append(void *stage, const void *data, size_t size, struct mr_error *err);
enum mr_status s3_stage_finish(void *stage, struct mr_bytes *ticket, struct mr_error *err);
void s3_stage_close(void *stage);
enum mr_status s3_publish(void *handle, struct mr_slice ticket, struct mr_error *err);
enum mr_status s3_discard(void *handle, struct mr_slice ticket, struct mr_error *err);
enum mr_status s3_is_staged(void *handle, struct mr_slice ticket, bool *whole,
                            struct mr_error *err);
enum mr_status s3_discard_tag(void *handle, const char *prefix, const char *tag,
                              const struct mr_map *kept, struct mr_error *err);

/*
 * Work whose end nobody waits for at once. The flight becomes the handle's, as does what `release`
 * frees; an answer other than 2xx (or 404 where `absent_ok`) is an error of the next settle.
 */
enum mr_status s3_background_add(struct s3 *s3, struct s3_flight *flight, const char *what,
                                 bool absent_ok, void (*release)(void *thing), void *thing,
                                 struct mr_error *err);
/* Waits until at most `most` are under way. */
enum mr_status s3_background_settle(struct s3 *s3, int most, struct mr_error *err);
/* Waits for what writes; removals may go on. */
enum mr_status s3_background_settle_puts(struct s3 *s3, struct mr_error *err);
void s3_background_drop(struct s3 *s3);
/* Starts a DELETE of a key (without prefix) that may be absent. */
enum mr_status s3_background_remove(struct s3 *s3, const char *path, struct mr_error *err);

#endif
