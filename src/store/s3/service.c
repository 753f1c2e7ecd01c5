/*
 * service.c - what all handles on one service share in a run: connections, keys, what was learned.
 *
 * It is an object of mr_shared, under a key that is a hash of everything that makes it different
 * (hashed because keys are in it). Runs that share a process share it too, and with it the number of
 * requests at once: the smallest that one of them asks for. A runtime without shared objects, as in tests, gives each handle its
 * own.
 *
 * Learned are the regions of buckets, the difference of the clocks, and whether a bucket honours
 * If-None-Match. Repeats are paid from a purse of 500 that successes refill, as the SDKs do: when a
 * service is down, thousands of tasks that each repeat eight times keep it down.
 */
#include "store/s3/s3_private.h"

#include "base/map.h"
#include "base/thread.h"

#include <stdio.h>
#include <stdlib.h>

#define PURSE 500

struct s3_service {
    struct mr_arena arena;
    struct mr_transfers *transfers;
    struct s3_provider *provider;
    atomic_int_fast64_t offset;
    atomic_int_fast64_t purse;
    atomic_bool answered;
    pthread_mutex_t lock;       /* guards the maps */
    struct mr_map regions;      /* bucket -> text */
    struct mr_map conditionals; /* bucket -> "y" or "n" */
};

struct making {
    struct mr_runtime *runtime;
    const struct s3_config *config;
};

static enum mr_status make(void *context, void **out, struct mr_error *err)
{
    const struct making *making = context;
    const struct s3_config *config = making->config;
    struct s3_service *service = mr_calloc(1, sizeof *service);
    if (!service)
        return mr_error_nomem(err);
    mr_arena_init(&service->arena, NULL);
    mr_mutex_init(&service->lock);
    mr_map_init(&service->regions, false);
    mr_map_init(&service->conditionals, false);
    atomic_init(&service->purse, PURSE);
    const char *ca = config->ca_file ? config->ca_file : getenv("AWS_CA_BUNDLE");
    struct mr_http_options options = {
        .ca_file = ca && *ca ? mr_arena_strdup(&service->arena, ca) : NULL,
        .proxy = config->proxy ? mr_arena_strdup(&service->arena, config->proxy) : NULL,
        .connect_timeout_micros = config->connect_micros,
        .status = MR_SOURCE,
        .cause = MR_WAIT_SOURCE,
    };
    enum mr_status status = s3_provider_new(&config->credentials, &service->provider, err);
    if (status == MR_OK)
        status = mr_transfers_new(&options, config->connections, &service->transfers, err);
    if (status == MR_OK)
        *out = service;
    else
        s3_service_free(service);
    return status;
}

void s3_service_free(void *object)
{
    struct s3_service *service = object;
    if (!service)
        return;
    mr_transfers_free(service->transfers);
    s3_provider_free(service->provider);
    for (size_t i = 0; i < service->regions.count; i++)
        mr_free(service->regions.entries[i].value);
    mr_map_reset(&service->regions);
    mr_map_reset(&service->conditionals);
    pthread_mutex_destroy(&service->lock);
    mr_arena_reset(&service->arena);
    mr_free(service);
}

static void add(struct mr_bytes *text, const char *value)
{
    mr_bytes_lenpref_text(text, value);
}

static enum mr_status key_of(const struct s3_config *config, char key[80], struct mr_error *err)
{
    const struct s3_credentials_options *credentials = &config->credentials;
    const char *const parts[] = {config->host,
                                 config->region,
                                 config->ca_file,
                                 config->proxy,
                                 credentials->access_key,
                                 credentials->secret_key,
                                 credentials->session_token,
                                 credentials->profile};
    char hash[SIGV4_HASH_SIZE];
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 20);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        add(&text, parts[i]);
    mr_bytes_u8(&text, config->https);
    mr_bytes_u8(&text, credentials->anonymous);
    mr_bytes_u64le(&text, (uint64_t)config->connect_micros);
    enum mr_status status = mr_bytes_status(&text, err);
    if (status == MR_OK) {
        sigv4_hash((struct mr_slice){text.data, text.size}, hash);
        explicit_bzero(text.data, text.size);
        snprintf(key, 80, "s3 %s", hash);
    }
    mr_bytes_reset(&text);
    return status;
}

enum mr_status s3_service_get(struct mr_runtime *runtime, const struct s3_config *config,
                              struct s3_service **out, bool *owned, struct mr_error *err)
{
    struct making making = {runtime, config};
    char key[80];
    void *object = NULL;
    *owned = !runtime->shared;
    enum mr_status status = MR_OK;
    if (*owned) {
        status = make(&making, &object, err);
    } else {
        struct mr_runtime lent = *runtime;
        if (runtime->common)
            lent.shared = runtime->common;
        MR_TRY(key_of(config, key, err));
        status = mr_shared_get(&lent, key, make, &making, s3_service_free, &object, err);
    }
    *out = object;
    if (status == MR_OK)
        mr_transfers_limit(((struct s3_service *)object)->transfers, config->connections);
    return status;
}

struct mr_transfers *s3_service_transfers(struct s3_service *service)
{
    return service->transfers;
}

struct s3_provider *s3_service_provider(struct s3_service *service)
{
    return service->provider;
}

void s3_service_region(struct s3_service *service, const struct s3_config *config,
                       char out[S3_REGION_SIZE])
{
    pthread_mutex_lock(&service->lock);
    const char *found = mr_map_get(&service->regions, mr_slice_of(config->bucket));
    const char *region = found ? found : *config->region ? config->region : "us-east-1";
    snprintf(out, S3_REGION_SIZE, "%s", region);
    pthread_mutex_unlock(&service->lock);
}

void s3_service_set_region(struct s3_service *service, const char *bucket, const char *region)
{
    char *copy = mr_strdup(region);
    if (!copy)
        return;
    pthread_mutex_lock(&service->lock);
    char *old = mr_map_get(&service->regions, mr_slice_of(bucket));
    if (mr_map_put(&service->regions, mr_slice_of(bucket), copy, NULL) == MR_OK)
        copy = old;
    pthread_mutex_unlock(&service->lock);
    mr_free(copy);
}

int64_t s3_service_offset(struct s3_service *service)
{
    return atomic_load_explicit(&service->offset, memory_order_relaxed);
}

void s3_service_set_offset(struct s3_service *service, int64_t micros)
{
    atomic_store_explicit(&service->offset, micros, memory_order_relaxed);
}

bool s3_service_spend(struct s3_service *service, bool timeout)
{
    int_fast64_t price = timeout ? 10 : 5;
    int_fast64_t left = atomic_load_explicit(&service->purse, memory_order_relaxed);
    while (left >= price)
        if (atomic_compare_exchange_weak_explicit(&service->purse, &left, left - price,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

void s3_service_earn(struct s3_service *service)
{
    int_fast64_t left = atomic_load_explicit(&service->purse, memory_order_relaxed);
    while (left < PURSE)
        if (atomic_compare_exchange_weak_explicit(&service->purse, &left,
                                                  left + 5 > PURSE ? PURSE : left + 5,
                                                  memory_order_relaxed, memory_order_relaxed))
            return;
}

void s3_service_set_answered(struct s3_service *service)
{
    atomic_store_explicit(&service->answered, true, memory_order_relaxed);
}

bool s3_service_answered(struct s3_service *service)
{
    return atomic_load_explicit(&service->answered, memory_order_relaxed);
}

int s3_service_conditional(struct s3_service *service, const char *bucket)
{
    pthread_mutex_lock(&service->lock);
    const char *answer = mr_map_get(&service->conditionals, mr_slice_of(bucket));
    pthread_mutex_unlock(&service->lock);
    return !answer ? 0 : *answer == 'y' ? 1 : -1;
}

void s3_service_set_conditional(struct s3_service *service, const char *bucket, int answer)
{
    static char yes[] = "y", no[] = "n";
    pthread_mutex_lock(&service->lock);
    mr_map_put(&service->conditionals, mr_slice_of(bucket), answer > 0 ? yes : no, NULL);
    pthread_mutex_unlock(&service->lock);
}
